//! Fuzzes RDATA: two octets of type, the rest as data in wire form. Valid data must survive conversion to text and
//! back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonefmt::{
    NameRef, Rtype,
    diagnostics::Source,
    rdata,
    zone::{self, CheckNames, Options, Record, Refusal},
};

fuzz_target!(|octets: &[u8]| {
    let Some((rtype, wire)) = octets.split_first_chunk() else { return };
    let rtype = Rtype(u16::from_be_bytes(*rtype));
    let mut text = String::new();
    rdata::write_text(rtype, wire, &rdata::Style::FULL, &mut text);
    let mut canonical = Vec::new();
    rdata::canonical(rtype, wire, &mut canonical);
    assert_eq!(canonical.len(), wire.len());
    if rdata::validate(rtype, wire).is_err() || rtype.is_meta() {
        return;
    }
    for name in rdata::names(rtype, wire) {
        NameRef::from_wire(&wire[name.range]).expect("the names in valid data are names");
    }
    let line = format!(". 0 IN TYPE{} {text}\n", rtype.0);
    let options = Options { check_names: CheckNames::Ignore, ..Options::new(NameRef::ROOT) };
    let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
        assert_eq!(record.rdata, wire, "{line}");
        Ok(())
    };
    zone::parse(&Source::new("fuzz", line.as_str()), &options, &mut sink);
});
