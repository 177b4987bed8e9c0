//! Fuzzes the zone file parser with any octets: every record that it returns is valid, and every finding can be
//! rendered.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonefmt::{
    Name,
    diagnostics::{self, Colour, Source},
    rdata,
    zone::{self, Options, Record, Refusal},
};

/// The sink stops after this many records, since `$GENERATE` can make more than a fuzzer can wait for.
const ENOUGH: usize = 1000;

fuzz_target!(|text: &[u8]| {
    let origin = Name::from_ascii("example.").expect("a name");
    let mut records = 0;
    let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
        assert!(record.owner.is_at_or_below(origin.as_ref()));
        assert!(record.ttl < 1 << 31);
        rdata::validate(record.rtype, record.rdata).expect("the parser hands out valid data");
        records += 1;
        if records > ENOUGH { Err("enough".into()) } else { Ok(()) }
    };
    let options = Options { max_errors: 20, ..Options::new(origin.as_ref()) };
    let report = zone::parse(&Source::new("fuzz", text), &options, &mut sink);
    diagnostics::render(&report.diagnostics, Colour::Never);
});
