//! The entry points of the fuzzer: everything that handles zone files from others.

use super::{FileFormat, NoIncludes, Options, Record, Refusal, RrSets, check, format, origin, write_raw, write_record};
use crate::{
    NameRef,
    diagnostics::{Colour, Source, render},
};

/// The number of records after which a file is not read further.
const ENOUGH: usize = 1000;

/// Reads, checks, shows, writes and formats any octets as a zone file.
///
/// # Panics
///
/// Panics if the written text reads differently, or if formatting changes its own result.
pub fn fuzz(octets: &[u8]) {
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

/// Reads, checks, shows and writes any octets as a raw zone file.
///
/// # Panics
///
/// Panics if the written file reads differently.
pub fn fuzz_raw(octets: &[u8]) {
    let source = Source::new("fuzz", octets);
    let name = origin(&source);
    let apex = name.as_ref().map_or(NameRef::ROOT, crate::Name::as_ref);
    let options = Options { format: FileFormat::Raw, max_errors: 20, ..Options::new(apex) };
    let (zone, report) = RrSets::check(&source, &options);
    let _ = render(&report.diagnostics, Colour::Never);
    let (again, report) = RrSets::parse(&Source::new("written", write_raw(&zone, 0)), &options);
    assert!(!report.has_errors(), "what was written is right: {:?}", report.diagnostics);
    let text = |zone: &RrSets| {
        let mut text = String::new();
        zone.records().for_each(|record| write_record(&record, &mut text));
        text
    };
    assert_eq!(text(&again), text(&zone), "every record is read again");
}
