//! Measures how fast zone text is read into records, on one core: `cargo bench -p zonefmt`.
//!
//! The zone has the same shape as the one used to compare servers: hosts with one or two addresses, aliases, mail
//! exchangers and delegations with glue, in plain `owner class type data` lines.

use std::{fmt::Write as _, hint::black_box};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zonefmt::{
    Name,
    diagnostics::Source,
    zone::{self, Options, Record, Refusal},
};

fn zone_text(hosts: u32) -> String {
    let mut text = String::from(
        "$ORIGIN example.com.\n$TTL 3600\n@ IN SOA ns1.example.com. hostmaster.example.com. 1 3600 900 1209600 300\n\
         @ IN NS ns1.example.com.\nns1 IN A 192.0.2.1\nns1 IN AAAA 2001:db8::1\n@ IN MX 10 mail\n\
         @ IN TXT \"v=spf1 mx -all\"\nmail IN A 192.0.2.25\n",
    );
    for i in 0..hosts {
        let address = std::net::Ipv4Addr::from(0x0A00_0000 | i);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "h{i} IN A {address}");
        if i % 2 == 0 {
            let _ = writeln!(text, "h{i} IN AAAA 2001:db8:1::{:x}:{:x}", i >> 16, i & 0xffff);
        }
        if i % 10 == 0 {
            let _ = writeln!(text, "c{i} IN CNAME h{i}");
        }
        if i % 20 == 0 {
            let _ = writeln!(text, "m{i} IN MX 10 h{i}\nm{i} IN MX 20 mail");
        }
        if i % 50 == 0 {
            let (x, y) = (i % 250, i % 249);
            let _ = writeln!(text, "d{i} IN NS ns1.d{i}\nd{i} IN NS ns2.d{i}");
            let _ = writeln!(text, "ns1.d{i} IN A 198.51.100.{x}\nns2.d{i} IN A 203.0.113.{y}");
        }
    }
    text
}

/// A sink that reads the record it is given.
#[allow(clippy::unnecessary_wraps)] // Every sink returns a result.
fn count(record: Record<'_>) -> Result<(), Refusal> {
    black_box(record.owner.len() + record.rdata.len());
    Ok(())
}

fn benches(criterion: &mut Criterion) {
    let source = Source::new("example.com.zone", zone_text(100_000));
    let origin = Name::from_ascii("example.com").expect("a name");
    let options = Options::new(origin.as_ref());
    let parse = || zone::parse(&source, &options, &mut count);
    let check = || zone::check(&source, &options, &mut count);
    assert!(check().0.diagnostics.is_empty(), "the zone is sound");
    let mut group = criterion.benchmark_group("zone_text");
    group.sample_size(20).throughput(Throughput::Elements(parse().records));
    group.bench_function("parse, counting sink", |bencher| bencher.iter(parse));
    group.bench_function("check, counting sink", |bencher| bencher.iter(check));
    group.finish();
}

criterion_group!(zone_text_benches, benches);
criterion_main!(zone_text_benches);
