//! Arbitrary octets as a zone file, for everything that handles zone files from others.

use zonefmt::{
    Name, NameRef,
    diagnostics::{Colour, Source, render},
    zone::{NoIncludes, Options, Record, Refusal, check, format, origin, parse, write_record},
};

/// The number of records after which a file is not read further.
const ENOUGH: usize = 1000;

/// Reads, checks, shows, writes and formats any octets as a zone file.
///
/// # Panics
///
/// Panics if the written text reads differently, or if formatting changes its own result.
pub fn try_text(octets: &[u8]) {
    let source = Source::new("fuzz", octets);
    let mut written = String::new();
    let mut records = 0;
    let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
        write_record(&record, &mut written);
        records += 1;
        // `$GENERATE` may make too many records to wait for.
        if records < ENOUGH { Ok(()) } else { Err("enough".into()) }
    };
    let name = origin(&source);
    let apex = name.as_ref().map_or(NameRef::ROOT, Name::as_ref);
    let options = Options { includes: &NoIncludes, max_errors: 20, ..Options::new(apex) };
    let (report, _) = check(&source, &options, &mut sink);
    let _ = render(&report.diagnostics, Colour::Never);

    let mut count = 0;
    let mut sink = |_: Record<'_>| -> Result<(), Refusal> {
        count += 1;
        Ok(())
    };
    let again = parse(&Source::new("written", written), &Options::new(apex), &mut sink);
    assert!(!again.has_errors(), "what was written is right: {:?}", again.diagnostics);
    assert_eq!(count, records, "every record is read again");

    if records >= ENOUGH {
        return;
    }
    if let Ok(tidy) = format(&source) {
        let tidy = Source::new("tidy", tidy);
        assert!(format(&tidy).is_ok_and(|twice| twice == tidy.text()), "formatting twice changes nothing more");
    }
}
