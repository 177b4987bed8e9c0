//! A large corpus of configurations, valid and not, made from the table of statements. Our verdict on each must be that
//! of named-checkconf.

use std::{collections::BTreeSet, thread};

use super::{
    grammar::{Fate, GRAMMAR, Row},
    table_tests::samples,
    tests::{named_checkconf, ours},
};

/// The definitions that samples refer to. Every name in a sample is `s`.
const NAMES: &[(&str, &str)] = &[
    ("acl", "acl s { any; };\n"),
    ("dnssec-policy", "dnssec-policy s { };\n"),
    ("http", "http s { endpoints { \"/dns-query\"; }; };\n"),
    ("key", "key s { algorithm hmac-sha256; secret \"c2VjcmV0\"; };\n"),
    ("parental-agents", "parental-agents s { 192.0.2.1; };\n"),
    ("primaries", "primaries s { 192.0.2.1; };\n"),
    ("tls", "tls s { cert-file \"c\"; key-file \"k\"; };\n"),
];

/// What a zone of each type needs besides the tested statement: type, name, other statements.
const ZONES: &[(&str, &str, Needs)] = &[
    ("primary", "z", &[("file", "\"z.db\"")]),
    ("secondary", "z", &[("primaries", "{ 192.0.2.1; }")]),
    ("mirror", ".", &[]),
    ("stub", "z", &[("primaries", "{ 192.0.2.1; }")]),
    ("static-stub", "z", &[("server-addresses", "{ 192.0.2.1; }")]),
    ("redirect", ".", &[("file", "\"z.db\"")]),
    ("forward", "z", &[("forwarders", "{ 192.0.2.1; }")]),
    ("hint", ".", &[("file", "\"z.db\"")]),
    ("delegation-only", "z", &[]),
];

/// Statements with their arguments.
type Needs = &'static [(&'static str, &'static str)];

/// A configuration whose block `place` contains a statement, with everything that the statement needs.
fn context(place: &str, name: &str, statement: &str) -> String {
    let names = NAMES
        .iter()
        .filter(|(kind, _)| !(place == "top" && (*kind == name || (*kind == "primaries" && name == "masters"))));
    let names: String = names.map(|(_, text)| *text).collect();
    let block = match place {
        "top" => statement.into(),
        "options" | "logging" | "controls" | "statistics-channels" => format!("{place} {{\n{statement}\n}};\n"),
        "server" => format!("server 192.0.2.1 {{\n{statement}\n}};\n"),
        "channel" => {
            let to = if ["file", "syslog", "null", "stderr"].contains(&name) { "" } else { "null;" };
            format!("logging {{ channel c {{\n{to} {statement}\n}}; }};\n")
        }
        "rate-limit" => format!("options {{ rate-limit {{\n{statement}\n}}; }};\n"),
        "dns64" => format!("options {{ dns64 64:ff9b::/96 {{\n{statement}\n}}; }};\n"),
        "key" => {
            let other = if name == "secret" { "algorithm hmac-sha256;" } else { "secret \"c2VjcmV0\";" };
            format!("key k {{ {other}\n{statement}\n}};\n")
        }
        "in-view" => format!(
            "view v {{ zone z {{ type primary; file \"z.db\"; }}; }}; view w {{ zone z {{\n{statement}\n}}; }};\n"
        ),
        zone if ZONES.iter().any(|(kind, ..)| *kind == zone) => {
            let (_, owner, needs) = ZONES.iter().find(|(kind, ..)| *kind == zone).unwrap();
            let needs = needs.iter().filter(|(need, _)| *need != name && !(name == "masters" && *need == "primaries"));
            let needs = needs.flat_map(|(need, value)| [*need, " ", *value, "; "]).collect::<String>();
            let kind = if name == "type" { String::new() } else { format!("type {zone}; ") };
            format!("zone \"{owner}\" {{ {kind}{needs}\n{statement}\n}};\n")
        }
        named => format!("{named} n {{\n{statement}\n}};\n"),
    };
    names + &block
}

/// The most uses of a statement that are made from its form.
const MOST_SAMPLES: usize = 12;

/// Valid and invalid uses of a statement.
fn uses(row: &Row) -> BTreeSet<String> {
    let name = row.name;
    let mut uses = BTreeSet::new();
    let samples = samples(&row.arguments, 0);
    for sample in samples.iter().take(MOST_SAMPLES) {
        uses.insert(format!("{name} {sample};"));
        uses.insert(format!(
            "{name} {};",
            sample.replace("\"s\"", "nosuch").replace(" s ", " nosuch ").replace(" s;", " nosuch;")
        ));
    }
    let Some(sample) = samples.last() else { return uses };
    uses.insert(format!("{name} {sample}; {name} {sample};"));
    uses.insert(format!("{name} {sample} too-much;"));
    uses.insert(format!("{name} {sample}"));
    uses.insert(format!("{name};"));
    uses.insert(format!("{name}x {sample};"));
    for wrong in ["nosuch", "0", "1", "65536", "99999999999", "{ nosuch; }", "none", "192.0.2.1"] {
        uses.insert(format!("{name} {wrong};"));
    }
    uses
}

/// Where the verdicts differ and why: each row has a part of a message of named-checkconf, or of ours if
/// named-checkconf has none. A row that no configuration of the corpus needs is an error.
const DIFFERENCES: &[(&str, &str)] = &[
    ("unavailable in GeoIP2", GEOIP),
    ("is expected, not `nosuch` (write", RESOLVER),
    ("dnssec-policy", SIGNING),
    ("requires inline-signing when used in secondary zone", SIGNING),
    ("plugin check failed", ABSENT),
    ("valid cipher list string", ABSENT),
    (
        "unexpected token",
        "BIND allows `tls` with some lists of servers only; one shape for all of them is easier to read",
    ),
    ("file not found", "the directory is not entered to check a text"),
    ("`kern`, `user`", "BIND takes any facility and then logs nothing"),
    ("`versions` or `size`", "BIND overlooks words behind the name of a log file"),
    ("error: there is no ", "named refuses it, too, but only when it starts or a zone uses it"),
];

const GEOIP: &str = "there are no databases of places here: the server refuses `geoip`";
const RESOLVER: &str = "it says what a resolver does, which the server is not";
const SIGNING: &str = "zones are not signed yet: the server refuses the statement";
const ABSENT: &str = "the server has no such feature, and says so";

#[test]
fn verdicts_on_the_corpus_are_those_of_named_checkconf() {
    let texts = corpus();
    assert!(texts.len() > 3000, "{}", texts.len());
    let (first, second) = texts.split_at(texts.len() / 2);
    let found: Vec<_> = thread::scope(|scope| {
        let first = scope.spawn(|| differences(first));
        let second = differences(second);
        first.join().expect("no panic").into_iter().chain(second).collect()
    });
    let listed = |said: &str| DIFFERENCES.iter().position(|(part, _)| said.contains(part));
    let needed: BTreeSet<_> = found.iter().filter_map(|(_, said)| listed(said)).collect();
    let unlisted: Vec<_> = found.iter().filter(|(_, said)| listed(said).is_none()).collect();
    let unneeded: Vec<_> =
        (0..DIFFERENCES.len()).filter(|row| !needed.contains(row)).map(|row| DIFFERENCES[row]).collect();
    assert!(unneeded.is_empty() && unlisted.is_empty(), "{unneeded:#?}\n{}: {unlisted:#?}", unlisted.len());
}

/// Every statement in every type of zone and in its first block, in valid and invalid uses.
fn corpus() -> Vec<String> {
    let mut texts = Vec::new();
    for row in GRAMMAR.rows().iter().filter(|row| row.fate != Fate::Ours) {
        let place = GRAMMAR.place_name(row.places[0]);
        texts.extend(uses(row).iter().map(|text| context(place, row.name, text)));
        if row.fate != Fate::Gone && row.places.iter().any(|&place| GRAMMAR.is_zone(place)) {
            let sample = samples(&row.arguments, 0).pop().unwrap_or_default();
            texts.extend(ZONES.iter().map(|(kind, ..)| context(kind, row.name, &format!("{} {sample};", row.name))));
        }
    }
    texts
}

/// The texts on which the verdicts differ, each with the error message of the side that refuses it.
fn differences(texts: &[String]) -> Vec<(&str, String)> {
    let judged = texts.iter().map(|text| (text, named_checkconf(text), ours(text)));
    judged
        .filter_map(|(text, theirs, ours)| match (theirs, ours) {
            (Err(theirs), Ok(_)) => Some((&**text, theirs)),
            (Ok(()), Err(ours)) => Some((&**text, ours)),
            _ => None,
        })
        .collect()
}
