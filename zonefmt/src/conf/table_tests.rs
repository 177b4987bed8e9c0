//! Compares the table of statements with named-checkconf: every form that the table allows, in every place.

use super::{
    grammar::{Fate, GRAMMAR, Row, Shape, ValueKind},
    tests::{named_checkconf, ours},
};
use std::collections::BTreeSet;

/// Parts of the messages of named-checkconf that are about the form of named.conf, as opposed to what a configuration
/// means.
const FORM: [&str; 5] = [" near '", "missing ';'", "unknown option", "unexpected", "redefined"];

/// Words that are unknown to BIND.
const OURS: [&str; 1] = ["acme-challenge"];

fn has_form(text: &str) -> Result<(), String> {
    match named_checkconf(text) {
        Err(message) if FORM.iter().any(|form| message.contains(form)) => Err(message),
        _ => Ok(()),
    }
}

/// A configuration whose block `place` has the content `content`.
fn inside(place: &str, content: &str) -> String {
    match place {
        "top" => content.into(),
        "options" | "logging" | "controls" | "statistics-channels" => format!("{place} {{\n{content}}};\n"),
        "server" => format!("server 192.0.2.1 {{\n{content}}};\n"),
        "channel" => format!("logging {{ channel c {{\n{content}}}; }};\n"),
        "rate-limit" => format!("options {{ rate-limit {{\n{content}}}; }};\n"),
        "dns64" => format!("options {{ dns64 64:ff9b::/96 {{\n{content}}}; }};\n"),
        zone if is_zone(zone) => format!("zone z {{\n{content}}};\n"),
        named => format!("{named} n {{\n{content}}};\n"),
    }
}

fn is_zone(place: &str) -> bool {
    GRAMMAR.place(place.as_bytes()).is_some_and(|place| GRAMMAR.is_zone(place))
}

/// Texts that have a shape: each alternative, and each optional part both absent and present.
pub(super) fn samples(shape: &Shape, depth: usize) -> Vec<String> {
    /// How deep samples nest lists in lists, at most.
    const DEEPEST: usize = 8;
    let of = |shape: &Shape| samples(shape, depth + 1);
    let mut texts: Vec<String> = match shape {
        Shape::Keyword(word) if OURS.contains(word) => vec![],
        Shape::Keyword(word) => vec![(*word).into()],
        Shape::Value(kind) => value(*kind).iter().map(|&text| text.into()).collect(),
        Shape::Defined(_) if depth > DEEPEST => vec![],
        Shape::Defined(index) => of(GRAMMAR.definition(*index)),
        Shape::OneOf(shapes) => shapes.iter().flat_map(of).collect(),
        Shape::Optional(shape) => [String::new()].into_iter().chain(of(shape)).collect(),
        Shape::AnyOf(shapes) => {
            let all: Vec<_> = shapes.iter().map(|shape| of(shape)[0].clone()).collect();
            let reversed: Vec<_> = all.iter().rev().cloned().collect();
            let each = shapes.iter().flat_map(of);
            [String::new(), all.join(" "), reversed.join(" ")].into_iter().chain(each).collect()
        }
        Shape::List(element, many) => {
            let elements = of(element).into_iter().map(|element| element + "; ");
            let elements: String = if *many { elements.collect() } else { elements.take(1).collect() };
            if elements.is_empty() { vec![] } else { vec![format!("{{ {elements}}}")] }
        }
        Shape::Block(_) => vec!["{ }".into()],
        Shape::Sequence(shapes) => {
            let parts: Vec<Vec<String>> = shapes.iter().map(of).collect();
            let most = if parts.iter().any(Vec::is_empty) { 0 } else { parts.iter().map(Vec::len).max().unwrap_or(1) };
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
        ValueKind::String | ValueKind::Secret | ValueKind::Name | ValueKind::NameOf(_) => &["s", "\"s\""],
        ValueKind::Quoted => &["\"q\""],
        ValueKind::Word => &["w"],
        ValueKind::Number => &["3"],
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

/// Every place of the table that named-checkconf can check.
fn places() -> BTreeSet<&'static str> {
    let all = GRAMMAR.rows().iter().flat_map(|row| &row.places).map(|&place| GRAMMAR.place_name(place));
    // As far as its form goes, a zone may have the statements of all types.
    all.filter(|&place| !is_zone(place) && place != "new-zones").chain(["primary"]).collect()
}

fn may_stand(row: &Row, place: &str) -> bool {
    row.places.iter().any(|&other| {
        let other = GRAMMAR.place_name(other);
        other == place || (is_zone(place) && is_zone(other))
    })
}

fn is_usable(row: &Row) -> bool {
    !matches!(row.fate, Fate::Gone | Fate::Unbuilt | Fate::Ours)
}

#[test]
fn whatever_the_table_allows_has_the_form_for_named_checkconf() {
    let mut differences = Vec::new();
    for place in places() {
        let rows: Vec<_> = GRAMMAR.rows().iter().filter(|row| may_stand(row, place) && is_usable(row)).collect();
        let samples: Vec<Vec<String>> = rows
            .iter()
            .map(|row| samples(&row.arguments, 0).iter().map(|sample| format!("{} {sample};\n", row.name)).collect())
            .collect();
        for n in 0..samples.iter().map(Vec::len).max().unwrap_or(0) {
            // Check one file with the n-th sample of every statement. If it is wrong, check one file for each
            // statement.
            let nth: Vec<&str> = samples.iter().filter_map(|samples| samples.get(n).map(String::as_str)).collect();
            if has_form(&inside(place, &nth.concat())).is_ok() {
                continue;
            }
            differences.extend(nth.iter().filter_map(|statement| {
                let text = inside(place, statement);
                has_form(&text).err().map(|message| format!("{text}{message}"))
            }));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn a_word_too_many_is_wrong_for_both() {
    let mut differences = Vec::new();
    // BIND overlooks words after the name of a log file, and changes into a `directory` before it reads on.
    let told = |row: &&Row| is_usable(row) && !["file", "dnstap-output", "directory"].contains(&row.name);
    for row in GRAMMAR.rows().iter().filter(told) {
        let place = GRAMMAR.place_name(row.places[0]);
        let Some(sample) = samples(&row.arguments, 0).into_iter().last() else { continue };
        let text = inside(place, &format!("{} {sample} too-much;\n", row.name));
        if has_form(&text).is_ok() || ours(&text).is_ok() {
            differences.push(text);
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn no_statement_may_stand_where_the_table_has_it_not() {
    let mut differences = Vec::new();
    for place in places() {
        let strangers: BTreeSet<_> =
            GRAMMAR.rows().iter().filter(|row| !may_stand(row, place)).map(|row| row.name).collect();
        let known: BTreeSet<_> =
            GRAMMAR.rows().iter().filter(|row| may_stand(row, place)).map(|row| row.name).collect();
        let strangers: Vec<_> = strangers.difference(&known).collect();
        let text = inside(place, &strangers.iter().flat_map(|name| [name, ";\n"]).collect::<String>());
        let said = named_checkconf(&text).expect_err("no statement of it belongs there");
        for name in strangers {
            // named-checkconf shows only that much of a name.
            if !said.contains(&format!("unknown option '{name:.30}")) {
                differences.push(format!("{name} in {place}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
