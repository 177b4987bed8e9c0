//! The table and the checks against named-checkconf.

use super::{
    grammar::{Fate, GRAMMAR, Grammar, Place, Row, Shape, ValueKind},
    *,
};
use std::{collections::BTreeSet, process::Command, sync::atomic::AtomicUsize};

/// What named-checkconf says of a text; `Ok`: it accepts it.
fn named_checkconf(text: &str) -> Result<(), String> {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let number = FILES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("zonefmt-{}-{number}.conf", std::process::id()));
    std::fs::write(&path, text).expect("the temporary directory can be written");
    let output = Command::new("named-checkconf").arg(&path).output().expect("named-checkconf: install bind9-utils");
    std::fs::remove_file(&path).expect("the file was written");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What we say of a text.
fn ours(text: &str) -> Result<Conf, String> {
    parse(Source::new("named.conf", text)).map_err(|diagnostics| {
        diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
    })
}

/// A configuration whose block `place` holds `content`.
fn inside(place: &str, content: &str) -> String {
    match place {
        "top" => content.into(),
        "options" | "logging" | "controls" | "statistics-channels" => format!("{place} {{\n{content}}};\n"),
        "server" => format!("server 192.0.2.1 {{\n{content}}};\n"),
        "channel" => format!("logging {{ channel c {{\n{content}}}; }};\n"),
        "rate-limit" => format!("options {{ rate-limit {{\n{content}}}; }};\n"),
        "dns64" => format!("options {{ dns64 64:ff9b::/96 {{\n{content}}}; }};\n"),
        "in-view" => format!("view v {{ zone z {{ type hint; file \"f\"; }}; }}; view w {{ zone z {{\n{content}}}; }};\n"),
        zone if is_zone(zone) => {
            let has = |name: &str| content.lines().any(|line| line.trim_start().starts_with(name));
            let needed = match zone {
                "primary" | "hint" if !has("file ") && !has("database ") && !has("dlz ") => "file \"needed\";",
                "secondary" | "stub" | "mirror" if !has("primaries ") && !has("masters ") => "primaries { 192.0.2.1; };",
                "redirect" if !has("file ") && !has("dlz ") && !has("primaries ") && !has("masters ")=> "file \"needed\";",
                "static-stub" if !has("server-addresses ") => "server-addresses { 192.0.2.1; };",
                _ => "",
            };
            let kind = if has("type ") { String::new() } else { format!("type {zone};") };
            let name = if matches!(zone, "hint" | "redirect" | "mirror") { "." } else { "z" };
            format!("zone \"{name}\" {{ {kind} {needed}\n{content}}};\n")
        }
        named => format!("{named} n {{\n{content}}};\n"),
    }
}

fn is_zone(place: &str) -> bool {
    GRAMMAR.place(place.as_bytes()).is_some_and(|place| GRAMMAR.is_zone(place))
}

/// Texts that have a shape: each alternative, each optional part absent and present.
fn samples(grammar: &Grammar, shape: &Shape, depth: usize) -> Vec<String> {
    let of = |shape: &Shape| samples(grammar, shape, depth + 1);
    let mut texts: Vec<String> = match shape {
        Shape::Keyword(word) => vec![(*word).into()],
        Shape::Value(kind) => value(*kind).iter().map(|&text| text.into()).collect(),
        Shape::Defined(_) if depth > 12 => return vec![],
        Shape::Defined(index) => of(grammar.definition(*index)),
        Shape::OneOf(shapes) => shapes.iter().flat_map(of).collect(),
        Shape::Optional(shape) => [String::new()].into_iter().chain(of(shape)).collect(),
        Shape::AnyOf(shapes) => {
            let all: Vec<_> = shapes.iter().map(|shape| of(shape)[0].clone()).collect();
            let one = shapes.iter().flat_map(of);
            [String::new(), all.join(" ")].into_iter().chain(one).collect()
        }
        Shape::List(element) => {
            let elements = of(element);
            let all: String = elements.iter().map(|element| format!("{element}; ")).collect();
            elements.iter().map(|element| format!("{{ {element}; }}")).chain([format!("{{ {all}}}")]).collect()
        }
        Shape::Block(_) => vec!["{ }".into()],
        Shape::Sequence(shapes) => {
            let parts: Vec<Vec<String>> = shapes.iter().map(of).collect();
            if parts.iter().any(Vec::is_empty) {
                return vec![];
            }
            let most = parts.iter().map(Vec::len).max().unwrap_or(1);
            let nth = |n: usize| parts.iter().map(|part| &*part[n.min(part.len() - 1)]).collect::<Vec<_>>().join(" ");
            (0..most).map(nth).collect()
        }
    };
    let mut known = BTreeSet::new();
    texts.retain(|text| known.insert(text.clone()));
    texts
}

fn value(kind: ValueKind) -> &'static [&'static str] {
    match kind {
        ValueKind::String => &["s", "\"s\""],
        ValueKind::Quoted => &["\"q\""],
        ValueKind::Number => &["3", "0x10"],
        ValueKind::Port => &["0", "5353"],
        ValueKind::YesNo => &["yes", "no", "TRUE", "false", "1", "0"],
        ValueKind::Duration => &["3600", "1h", "PT1H"],
        ValueKind::Size => &["4096", "64k", "8M"],
        ValueKind::Percent => &["90%"],
        ValueKind::FixedPoint => &["0.25"],
        ValueKind::Ipv4 => &["192.0.2.1"],
        ValueKind::Ipv6 => &["2001:db8::1"],
        ValueKind::Prefix => &["192.0.2.0/24", "2001:db8::/32", "192.0.2.1", "10/8"],
        ValueKind::Words => &["A AAAA"],
        ValueKind::AnyBlock => &["{ any { thing; }; }"],
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    (0..).map_while(|row| GRAMMAR.try_row(row))
}

#[test]
fn whatever_the_table_allows_named_checkconf_allows() {
    let mut differences = Vec::new();
    for row in rows() {
        for &place in &row.places {
            let place = GRAMMAR.place_name(place);
            for sample in samples(&GRAMMAR, &row.arguments, 0) {
                let text = inside(place, &format!("{} {sample};\n", row.name));
                let (theirs, ours) = (named_checkconf(&text), ours(&text));
                if theirs.is_ok() != ours.is_ok() {
                    differences.push(format!("{text}named-checkconf: {theirs:?}\nours: {:?}\n", ours.err()));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
