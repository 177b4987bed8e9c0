//! Writes records as text: one a line, with absolute names, octet for octet as named-compilezone does by default; or in
//! the narrower columns of named-journalprint.

use std::fmt::Write;

use super::Record;
use crate::rdata::{self, Style};

/// Appends a record as one line: owner, TTL, class, type and data in columns.
pub fn write_record(record: &Record<'_>, out: &mut String) {
    write_in_columns(record, [46, 46, 46, 64], out);
}

/// The same in the columns of named-journalprint.
pub fn write_journal_record(record: &Record<'_>, out: &mut String) {
    write_in_columns(record, [24, 32, 40, 48], out);
}

/// Appends a record whose TTL, class, type and data are in these columns, or at least a blank behind what is before.
fn write_in_columns(record: &Record<'_>, columns: [usize; 4], out: &mut String) {
    let mut at = 0;
    let fields: [&dyn std::fmt::Display; 4] = [&record.owner, &record.ttl, &record.class, &record.rtype];
    for (field, next) in fields.into_iter().zip(columns) {
        let before = out.len();
        // Writing to a String cannot fail.
        let _ = write!(out, "{field}");
        at = indent(out, at + out.len() - before, next);
    }
    rdata::write_text(record.rtype, record.rdata, &Style::FULL.in_class(record.class), out);
    out.push('\n');
}

const TAB: usize = 8;

/// Moves from column `from` to column `to`, or at least by one, with tabs and blanks. Returns the column reached.
fn indent(out: &mut String, from: usize, to: usize) -> usize {
    let to = to.max(from + 1);
    let tabs = to / TAB - from / TAB;
    out.extend(std::iter::repeat_n('\t', tabs));
    let from = if tabs > 0 { to - to % TAB } else { from };
    out.extend(std::iter::repeat_n(' ', to - from));
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Name,
        diagnostics::Source,
        zone::{self, Options, Refusal},
    };

    /// The output of `named-compilezone -o - example.com` of BIND 9.18.49.
    const COMPILED: &str = "\
example.com.\t\t\t\t      300 IN SOA\tns.example.org. hm.example.com. 1 2 3 4 5
example.com.\t\t\t\t      300 IN NS\t\tns.example.com.
a.very.long.name.that.goes.beyo.example.com.  2147483647 IN AAAA ::1
a.very.long.name.that.goes.beyon.example.com. 100000 IN\tA\t1.1.1.1
a.very.long.name.that.goes.beyond.example.com. 300 IN A\t\t1.1.1.1
a.very.long.name.that.goes.beyond.the.column.of.ttl.example.com. 300 IN\tA 1.1.1.1
t.example.com.\t\t\t\t      300 IN NSEC3PARAM\t1 0 10 AABB
t.example.com.\t\t\t\t      1\tIN TYPE65000\t\\# 0
b\\.c.x\\@.example.com.\t\t\t      300 IN TXT\t\"x\"
";

    #[test]
    fn records_are_written_as_bind_writes_them() {
        let origin = Name::from_ascii("example.com").unwrap();
        let mut out = String::new();
        let mut sink = |record: zone::Record<'_>| -> Result<(), Refusal> {
            write_record(&record, &mut out);
            Ok(())
        };
        let report = zone::parse(&Source::new("z", COMPILED), &Options::new(origin.as_ref()), &mut sink);
        assert!(report.diagnostics.is_empty(), "{:?}", report.diagnostics);
        assert_eq!(out, COMPILED);
    }
}
