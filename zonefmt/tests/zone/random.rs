//! Random records in random layouts, and random octets.

use std::fmt::Write;

use proptest::{collection::vec, prelude::*, sample::select};
use zonefmt::{
    Class, Name,
    diagnostics::{Colour, Source, render},
    zone,
};

use crate::{
    any_raw::try_raw,
    any_text::try_text,
    support::{RrSets, parse},
};

/// A record: owner, TTL, type and data as tokens; all names relative.
type Plain = (String, u32, &'static str, Vec<String>);

fn record() -> impl Strategy<Value = Plain> {
    let label = "[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?";
    let owner =
        prop_oneof![4 => label.prop_map(String::from), 1 => Just("@".into()), 1 => "[a-z]{1,4}\\.\\*\\.[a-z]{1,3}"];
    let data = prop_oneof![
        any::<[u8; 4]>().prop_map(|[a, b, c, d]| ("A", vec![format!("{a}.{b}.{c}.{d}")])),
        any::<[u16; 8]>().prop_map(|a| ("AAAA", vec![std::net::Ipv6Addr::from(a).to_string()])),
        (any::<u16>(), label).prop_map(|(preference, name)| ("MX", vec![preference.to_string(), name])),
        label.prop_map(|name| ("PTR", vec![name])),
        vec(any::<Vec<u8>>().prop_map(|text| escaped(&text)), 1..4).prop_map(|strings| ("TXT", strings)),
        vec(any::<u8>(), 0..20).prop_map(|data| {
            let hex = data.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>();
            ("TYPE65280", [vec!["\\#".into(), data.len().to_string()], hex].concat())
        }),
    ];
    (owner, 0..=i32::MAX as u32, data).prop_map(|(owner, ttl, (rtype, data))| (owner, ttl, rtype, data))
}

/// Writes up to 255 octets as a quoted string in which escapes of every form occur.
fn escaped(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for &octet in &text[..text.len().min(255)] {
        match octet {
            b'"' | b'\\' => out.extend(['\\', char::from(octet)]),
            0x20..=0x7e => out.push(char::from(octet)),
            _ => write!(out, "\\{octet:03}").unwrap(),
        }
    }
    out + "\""
}

/// The layout of one record.
#[allow(clippy::struct_excessive_bools)] // Each is a choice of its own.
#[derive(Clone, Debug)]
struct Layout {
    omit: bool,
    class: &'static str,
    class_first: bool,
    units: bool,
    upper: bool,
    gaps: Vec<&'static str>,
    comment: bool,
    blank_line: bool,
}

fn layout() -> impl Strategy<Value = Layout> {
    let gaps = vec(select(vec![" ", "\t", "  ", " \t "]), 12);
    let class = select(vec!["", "IN", "in", "CLASS1"]);
    (any::<[bool; 6]>(), class, gaps).prop_map(
        |([omit, class_first, units, upper, comment, blank_line], class, gaps)| Layout {
            omit,
            class,
            class_first,
            units,
            upper,
            gaps,
            comment,
            blank_line,
        },
    )
}

fn ttl(ttl: u32, units: bool) -> String {
    if units {
        format!("{}w{}D{}h{}m{}S", ttl / 604_800, ttl / 86400 % 7, ttl / 3600 % 24, ttl / 60 % 60, ttl % 60)
    } else {
        ttl.to_string()
    }
}

/// Writes the records one a line, with nothing left out.
fn plainly(records: &[Plain]) -> String {
    let line = |(owner, ttl, rtype, data): &Plain| format!("{owner} {ttl} IN {rtype} {}\n", data.join(" "));
    records.iter().map(line).collect()
}

/// Writes the same records, each in its layout. Parentheses open and close where the gaps say so.
fn laid_out(records: &[(Plain, Layout)]) -> String {
    let mut text = String::new();
    let mut last = None;
    for (index, ((owner, seconds, rtype, data), layout)) in records.iter().enumerate() {
        let mut tokens = vec![ttl(*seconds, layout.units), layout.class.to_string()];
        if layout.class_first {
            tokens.reverse();
        }
        tokens.retain(|token| !token.is_empty());
        tokens.push(if layout.upper { rtype.to_string() } else { rtype.to_lowercase() });
        tokens.extend(data.iter().cloned());
        if !(layout.omit && last == Some(owner)) {
            text.push_str(owner);
        }
        last = Some(owner);
        let group = index % tokens.len();
        for (index, token) in tokens.iter().enumerate() {
            text.push_str(layout.gaps[index % layout.gaps.len()]);
            if layout.upper && index == group {
                text.push_str(if layout.comment { "( ; \" ( )\n\n" } else { "(\n" });
            }
            text.push_str(token);
        }
        if layout.upper && group < tokens.len() {
            text.push_str("\n)");
        }
        text.push_str(if layout.comment { " ; comment" } else { "" });
        text.push_str(if layout.blank_line { "\r\n \t\n;\n" } else { "\n" });
    }
    text
}

fn origin() -> Name {
    Name::from_ascii("example.com").unwrap()
}

fn read(text: &str) -> RrSets {
    let (report, sets) = parse(text.as_bytes(), &origin(), Class::IN);
    assert!(!report.has_errors(), "{text}\n{}", render(&report.diagnostics, Colour::Never));
    sets
}

proptest! {
    #[test]
    fn the_layout_does_not_matter(records in vec((record(), layout()), 1..20)) {
        let plain: Vec<Plain> = records.iter().map(|(record, _)| record.clone()).collect();
        prop_assert_eq!(read(&laid_out(&records)), read(&plainly(&plain)));
    }

    #[test]
    fn formatting_keeps_the_records_and_is_done_once(records in vec((record(), layout()), 1..20)) {
        let text = laid_out(&records);
        let format = |text: &str| String::from_utf8(zone::format(&Source::new("z", text)).unwrap()).unwrap();
        let tidy = format(&text);
        prop_assert_eq!(read(&tidy), read(&text));
        prop_assert_eq!(format(&tidy), tidy);
    }

    #[test]
    fn what_is_written_is_read_again(records in vec((record(), layout()), 1..20)) {
        let text = laid_out(&records);
        let mut written = String::new();
        let mut sink = |record: zone::Record<'_>| -> Result<(), zone::Refusal> {
            zone::write_record(&record, &mut written);
            Ok(())
        };
        let _ = zone::parse(&Source::new("z", text.as_str()), &zone::Options::new(origin().as_ref()), &mut sink);
        prop_assert_eq!(read(&written), read(&text));
    }

    #[test]
    fn octets_do_no_harm(octets in any::<Vec<u8>>()) {
        try_text(&octets);
    }

    #[test]
    fn octets_do_no_harm_behind_the_head_of_a_raw_file(octets in any::<Vec<u8>>()) {
        try_raw(&octets);
        try_raw(&[b"\0\0\0\x02\0\0\0\0\0\0\0\0", &octets[..]].concat());
    }

    #[test]
    fn pieces_of_zone_files_do_no_harm(pieces in vec(select(PIECES), 0..60)) {
        try_text(pieces.concat().as_bytes());
    }
}

const PIECES: &[&str] = &[
    " ",
    "\n",
    "\t",
    "(",
    ")",
    "\"",
    "\\",
    ";",
    "$",
    "@",
    ".",
    "a",
    "A",
    "AAAA",
    "TXT",
    "SOA",
    "CNAME",
    "NS",
    "MX",
    "SVCB",
    "RRSIG",
    "IN",
    "CH",
    "5",
    "1h",
    "4294967296",
    "$TTL",
    "$ORIGIN",
    "$INCLUDE",
    "$GENERATE",
    "1-9",
    "0-16777215/65536",
    "${0,3,d}",
    "${",
    "192.0.2.1",
    "::1",
    "\\#",
    "\\065",
    "\r",
    "\0",
    "\u{feff}",
    "*",
    "-",
    "alpn=",
    "$TTL 1\n",
    "a. A 192.0.2.1\n",
    "example.com. 5 IN SOA a. b. 1 2 3 4 5\n",
    "@ NS ns\n",
];
