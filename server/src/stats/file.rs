//! The report as BIND's statistics file, which `rndc stats` appends to.

use std::fmt::{self, Write};

use super::{report::Report, table::FAMILIES};

/// One dump: sections of counters that are not zero.
pub(super) fn write(report: &Report) -> String {
    let mut text = String::new();
    // A String takes all that is written.
    let _ = dump(&mut text, report);
    text
}

fn dump(text: &mut String, report: &Report) -> fmt::Result {
    let now = report.now.as_second();
    writeln!(text, "+++ Statistics Dump +++ ({now})")?;
    for family in &FAMILIES {
        writeln!(text, "++ {} ++", family.heading)?;
        for (words, cell) in family.words() {
            let count = report.sums.cell(cell);
            if count > 0 {
                writeln!(text, "{count:20} {words}")?;
            }
        }
    }
    writeln!(text, "++ Zone Maintenance Statistics ++")?;
    writeln!(text, "++ Socket I/O Statistics ++")?;
    writeln!(text, "++ Per Zone Query Statistics ++")?;
    writeln!(text, "--- Statistics Dump --- ({now})")
}
