//! What a fuzzer runs: everything that takes a zone file from somebody else.

use super::{NoIncludes, Options, Record, Refusal, check, format, origin, write_record};
use crate::{
    NameRef,
    diagnostics::{Colour, Source, render},
};

/// Records after which there is nothing new to see.
const ENOUGH: usize = 1000;

/// Reads, checks, shows, writes and formats any octets as a zone file.
///
/// # Panics
///
/// If what was written is read differently, or formatting changes its own result.
pub fn fuzz(octets: &[u8]) {
    let source = Source::new("fuzz", octets);
    let mut written = String::new();
    let mut records = 0;
    let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
        write_record(&record, &mut written);
        records += 1;
        // `$GENERATE` makes more than anybody can wait for.
        if records < ENOUGH { Ok(()) } else { Err("enough".into()) }
    };
    let name = origin(&source);
    let apex = name.as_ref().map_or(NameRef::ROOT, crate::Name::as_ref);
    let options = Options { includes: &NoIncludes, max_errors: 20, ..Options::new(apex) };
    let (report, _) = check(&source, &options, &mut sink);
    let _ = render(&report.diagnostics, Colour::Never);

    let mut count = 0;
    let mut sink = |_: Record<'_>| -> Result<(), Refusal> {
        count += 1;
        Ok(())
    };
    let again = super::parse(&Source::new("written", written), &Options::new(apex), &mut sink);
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
