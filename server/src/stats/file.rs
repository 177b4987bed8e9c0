//! The report as BIND's statistics file, to which `rndc stats` appends.

use std::fmt::{self, Write};

use super::{report::Report, table::SECTIONS};
use crate::{listen::TcpCounts, zones::View};

/// One dump: sections with the counters that are not zero.
pub(super) fn write(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = dump(&mut text, report);
    text
}

fn dump(text: &mut String, report: &Report) -> fmt::Result {
    let now = report.now.as_second();
    writeln!(text, "+++ Statistics Dump +++ ({now})")?;
    for family in SECTIONS {
        writeln!(text, "++ {} ++", family.heading)?;
        for (words, cell) in family.words() {
            line(text, &words, report.sums.cell(cell))?;
        }
    }
    writeln!(text, "++ Socket I/O Statistics ++")?;
    let TcpCounts { v4, v6, .. } = report.connections;
    line(text, "TCP/IPv4 connections accepted", v4.accepted)?;
    line(text, "TCP/IPv6 connections accepted", v6.accepted)?;
    writeln!(text, "++ Per Zone Query Statistics ++")?;
    for view in report.views() {
        for (zone, counters) in view.zones().filter_map(|zone| zone.counters().map(|counters| (zone, counters))) {
            match view.name {
                View::DEFAULT => writeln!(text, "[{}]", zone.name())?,
                name => writeln!(text, "[{} (view: {name})]", zone.name())?,
            }
            for (stat, count) in counters.stats() {
                line(text, stat.row().text, count)?;
            }
        }
    }
    writeln!(text, "--- Statistics Dump --- ({now})")
}

fn line(text: &mut String, words: &str, count: u64) -> fmt::Result {
    if count == 0 { Ok(()) } else { writeln!(text, "{count:20} {words}") }
}
