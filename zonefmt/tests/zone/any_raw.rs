//! Arbitrary octets as a raw zone file. The fuzz target `raw_zone` runs this function.

use zonefmt::{
    Name, NameRef,
    diagnostics::{Colour, Source, render},
    zone::{FileFormat, Options, RrSets, origin, write_raw, write_record},
};

/// Reads, checks, shows and writes any octets as a raw zone file.
///
/// # Panics
///
/// If what was written is read differently.
pub fn try_raw(octets: &[u8]) {
    let source = Source::new("fuzz", octets);
    let name = origin(&source);
    let apex = name.as_ref().map_or(NameRef::ROOT, Name::as_ref);
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
