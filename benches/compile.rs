//! Measures compiling manifests into zones: fifty thousand record resources and two thousand zones from nothing, and a
//! single change among them.

use std::hint::black_box;

use bindy::{
    api::Resource,
    compile::{Change, Compiler},
    manifest,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use zonefmt::diagnostics::Source;

const ZONES: usize = 2_000;
const RECORDS: usize = 50_000;

fn zone(number: usize) -> String {
    format!(
        "---\napiVersion: bindy.firestoned.io/v1beta1\nkind: DNSZone\nmetadata: {{name: z{number}, namespace: dns}}\nspec:\n  \
         zoneName: z{number}.example\n  soaRecord: {{primaryNs: ns1.example.net., adminEmail: admin.example.net., serial: 1, \
         refresh: 3600, retry: 600, expire: 604800, negativeTtl: 300}}\n  \
         recordsFrom: [{{selector: {{matchLabels: {{zone: z{number}}}}}}}]\n"
    )
}

fn record(number: usize, address: &str) -> String {
    let zone = number % ZONES;
    format!(
        "---\napiVersion: bindy.firestoned.io/v1beta1\nkind: ARecord\nmetadata: {{name: r{number}, namespace: dns, \
         labels: {{zone: z{zone}}}}}\nspec: {{name: h{number}, ipv4Addresses: [{address}]}}\n"
    )
}

fn resources(yaml: &str) -> Vec<Resource> {
    let reading = manifest::read(&Source::new("bench.yaml", yaml));
    assert!(reading.diagnostics.is_empty());
    reading.manifests.into_iter().map(|manifest| manifest.resource).collect()
}

fn compile(criterion: &mut Criterion) {
    let all: Vec<Resource> = (0..ZONES)
        .map(zone)
        .chain((0..RECORDS).map(|number| record(number, "192.0.2.1")))
        .flat_map(|yaml| resources(&yaml))
        .collect();
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    group.bench_function("50,000 records and 2,000 zones from nothing", |bencher| {
        let changes = || all.iter().cloned().map(Change::Put).collect::<Vec<_>>();
        bencher.iter_batched(
            changes,
            |changes| {
                let mut compiler = Compiler::default();
                black_box(compiler.apply(changes));
                compiler
            },
            BatchSize::PerIteration,
        );
    });
    let mut compiler = Compiler::default();
    compiler.apply(all.into_iter().map(Change::Put));
    let versions = ["192.0.2.2", "192.0.2.3"].map(|address| resources(&record(1_234, address)).remove(0));
    let mut turn = versions.iter().cycle();
    group.sample_size(100);
    group.bench_function("one record changed among them", |bencher| {
        bencher.iter_batched(
            || turn.next().cloned(),
            |version| black_box(compiler.apply(version.map(Change::Put))),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, compile);
criterion_main!(benches);
