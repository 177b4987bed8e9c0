//! The zone and the questions of the micro benchmarks: hosts with one or two addresses, aliases, mail exchangers,
//! delegations with glue and a wildcard, as `gen.py` makes them for the side-by-side runs.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

use bindy_server::zone::ZoneData;
use zonefmt::{
    Name, NameRef,
    diagnostics::Source,
    zone::{self, Options, Record, Refusal},
};

/// The text of the zone file.
pub fn text(hosts: u32) -> Source {
    let mut text = String::from(
        "$ORIGIN example.com.\n$TTL 3600\n@ IN SOA ns1 hostmaster 1 3600 900 1209600 300\n@ IN NS ns1\n@ IN NS ns2\n\
         ns1 IN A 192.0.2.1\nns2 IN A 192.0.2.2\nmail IN A 192.0.2.25\n*.wild IN A 192.0.2.99\n",
    );
    for i in 0..hosts {
        let [_, b, c, d] = i.to_be_bytes();
        let mut line = |text_line: std::fmt::Arguments<'_>| text.write_fmt(text_line).unwrap_or_default();
        line(format_args!("h{i} IN A 10.{b}.{c}.{d}\n"));
        if i % 2 == 0 {
            line(format_args!("h{i} IN AAAA 2001:db8:1::{:x}:{:x}\n", i >> 16, i & 0xffff));
        }
        if i % 10 == 0 {
            line(format_args!("c{i} IN CNAME h{i}\n"));
        }
        if i % 20 == 0 {
            line(format_args!("m{i} IN MX 10 h{i}\nm{i} IN MX 20 mail\n"));
        }
        if i % 50 == 0 {
            line(format_args!("d{i} IN NS ns1.d{i}\nd{i} IN NS ns2.d{i}\n"));
            line(format_args!("ns1.d{i} IN A 198.51.100.{0}\nns2.d{i} IN A 203.0.113.{0}\n", i % 250));
        }
    }
    Source::new("example.com.zone", text)
}

/// The zone's origin.
///
/// # Panics
/// Never, because the name is valid.
pub fn origin() -> Name {
    Name::from_ascii("example.com.").expect("a name")
}

/// Loads a zone file into the zone's data.
///
/// # Panics
/// If the text is not a valid zone file.
pub fn load(source: &Source) -> ZoneData {
    let origin = origin();
    let mut edit = ZoneData::new(origin.clone()).edit();
    let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
        edit.add(record.owner, record.rtype, record.ttl, record.rdata).map_err(|error| error.to_string())?;
        Ok(())
    };
    let report = zone::parse(source, &Options::new(origin.as_ref()), &mut sink);
    assert_eq!(report.errors, 0, "the zone is clean");
    edit.commit()
}

/// A query with RD and EDNS, as resolvers send it.
pub fn query(name: NameRef<'_>, qtype: u16) -> Vec<u8> {
    let mut wire = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    wire.extend_from_slice(name.as_wire());
    wire.extend_from_slice(&[qtype.to_be_bytes(), [0, 1]].concat());
    wire.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    wire
}
