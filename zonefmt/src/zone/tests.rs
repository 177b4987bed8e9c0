//! The zone file language, feature by feature. `tests/peers` shows that BIND reads it in the same way.

use std::{io, path::Path};

use super::*;
use crate::{Name, rdata};

/// The records of a zone as `owner ttl type data`, then its diagnostics as `line:column: severity: message`.
fn read_with<'o>(text: &[u8], options: impl FnOnce(&mut Options<'o>)) -> Vec<String> {
    const ORIGIN: &[u8] = b"\x07example\x03com\0";
    let mut found = Vec::new();
    let mut sink = |record: Record<'_>| {
        let mut line = format!("{} {} {} ", record.owner, record.ttl, record.rtype);
        rdata::write_text(record.rtype, record.rdata, &rdata::Style::FULL, &mut line);
        found.push(line.replace(".example.com.", "."));
        Ok(())
    };
    let mut settings = Options::new(NameRef::from_wire(ORIGIN).unwrap());
    options(&mut settings);
    let report = parse(&Source::new("z", text), &settings, &mut sink);
    found.extend(report.diagnostics.iter().map(|diagnostic| {
        let at = diagnostic.position().map_or_else(String::new, |at| format!("{}:{}: ", at.line, at.column));
        format!("{at}{}: {}", diagnostic.severity, diagnostic.message)
    }));
    found
}

fn read(text: impl AsRef<[u8]>) -> Vec<String> {
    read_with(text.as_ref(), |_| ())
}

/// Reads a text after `$TTL 300`. Positions count from the line after that.
fn read_ttl(text: &str) -> Vec<String> {
    read(format!("$TTL 300\n{text}"))
}

#[test]
fn owner_ttl_and_class_may_be_left_out_and_swapped() {
    let expected = [
        "a. 5 A 192.0.2.1",
        "a. 6 TXT \"x\"",
        "a. 300 A 192.0.2.2",
        "example.com. 300 TXT \"@\"",
        "b. 5400 A 192.0.2.3",
        "IN. 300 A 192.0.2.4",
    ];
    let text = "a IN 5 A 192.0.2.1\n 6 IN TXT x\n @ TXT y\n";
    let found = read_ttl(text);
    assert_eq!(found[2], "4:2: error: `@` is no record type", "{found:?}");
    let text = "a IN 5 A 192.0.2.1\n 6 IN TXT x\nb 1h30m A 192.0.2.3\nIN class1 A 192.0.2.4\n@ TXT @\n";
    let found = read_ttl(text);
    for line in [expected[0], expected[1], expected[3], expected[4], expected[5]] {
        assert!(found.iter().any(|record| record == line), "{line} in {found:?}");
    }
}

#[test]
fn ttls_come_from_the_record_then_the_directive_then_the_last_one_then_the_soa() {
    let soa = "@ SOA ns hm 1 2 3 4 500\n";
    assert_eq!(
        read(format!("{soa}a A 192.0.2.1\nb 7 A 192.0.2.1\nc A 192.0.2.1\n")),
        [
            "example.com. 500 SOA ns. hm. 1 2 3 4 500",
            "a. 500 A 192.0.2.1",
            "b. 7 A 192.0.2.1",
            "c. 500 A 192.0.2.1",
            "1:21: warning: no TTL and no $TTL: the SOA's minimum, 500, is used"
        ]
    );
    assert_eq!(
        read("a 7 A 192.0.2.1\nb A 192.0.2.2\nc A 192.0.2.3\n$TTL 1w2d3h4m5s\nd A 192.0.2.4"),
        [
            "a. 7 A 192.0.2.1",
            "b. 7 A 192.0.2.2",
            "c. 7 A 192.0.2.3",
            "d. 788645 A 192.0.2.4",
            "2:1: warning: no TTL and no $TTL: the last TTL, 7, is used here and from here on",
            "5:14: warning: the file does not end with a newline",
        ]
    );
    assert_eq!(read("a A 192.0.2.1\n"), ["1:1: error: this record has no TTL, and there is no $TTL"]);
    assert_eq!(
        read("$TTL 2147483648\na A 192.0.2.1\nb 2147483647 A 192.0.2.1\n"),
        [
            "a. 0 A 192.0.2.1",
            "b. 2147483647 A 192.0.2.1",
            "1:6: warning: a TTL of 2147483648 is over 2147483647 and counts as 0 (RFC 2181 8)"
        ]
    );
    for bad in ["x", "1h5", "h", "\"5\"", "5 6", "", "4294967296"] {
        assert!(read(format!("$TTL {bad}\n"))[0].starts_with("1:"), "{bad}");
    }
}

#[test]
fn records_of_one_type_take_the_first_ttl() {
    assert_eq!(
        read_ttl("a 10 A 192.0.2.1\na 20 A 192.0.2.2\na 30 TXT x\na A 192.0.2.3\nb A 192.0.2.4\na 40 A 192.0.2.5\n"),
        [
            "a. 10 A 192.0.2.1",
            "a. 10 A 192.0.2.2",
            "a. 30 TXT \"x\"",
            "a. 10 A 192.0.2.3",
            "b. 300 A 192.0.2.4",
            "a. 40 A 192.0.2.5",
            "3:1: warning: the TTL is 10, as that of the A record before it, not 20",
            "5:1: warning: the TTL is 10, as that of the A record before it, not 300",
        ]
    );
}

#[test]
fn the_origin_makes_names_absolute() {
    assert_eq!(
        read_ttl(
            "a CNAME b\n$ORIGIN sub\na CNAME b.\n TXT x\n$origin example.com.\nb CNAME @\n TXT z\n$ORIGIN x\n TXT w\n"
        ),
        [
            "a. 300 CNAME b.",
            "a.sub. 300 CNAME b.",
            "a.sub. 300 TXT \"x\"",
            "b. 300 CNAME example.com.",
            "b. 300 TXT \"z\"",
            "b. 300 TXT \"w\"",
            "10:2: warning: the owner of this record is still b.example.com., from before the origin changed",
        ]
    );
    assert_eq!(read_ttl("$ORIGIN\n"), ["2:8: error: $ORIGIN takes a name"]);
    assert_eq!(read_ttl("$ORIGIN a b\n"), ["2:11: error: $ORIGIN takes a name, and nothing after it"]);
}

#[test]
fn quotes_escapes_and_parentheses() {
    assert_eq!(
        read_ttl("a TXT ( \"b ;( c\" ; comment\n d\\;\\065 )\n\"e\" TXT \"\"\n\\f\\.\\103 TXT \"x\\\"y\\\n\"\n"),
        ["a. 300 TXT \"b ;( c\" \"d;A\"", "e. 300 TXT \"\"", "f\\.g. 300 TXT \"x\\\"y\\010\"",]
    );
    assert_eq!(read_ttl("a \"TXT\" x\n"), ["2:3: error: TTL, class and type are not quoted"]);
    assert_eq!(read_ttl("\"\" TXT x\n"), ["2:1: error: the name has an empty label"]);
    assert_eq!(read(b"$TTL 1\r\na\x00b TXT x\r\na TXT \xe9\r\n".as_slice())[0], "a. 1 TXT \"\\233\"");
    assert_eq!(read_ttl("a HTTPS 1 . alpn=\"h2,h3\" port=53\n"), ["a. 300 HTTPS 1 . alpn=\"h2,h3\" port=53"]);
}

#[test]
fn types_and_classes() {
    assert_eq!(
        read_ttl("a TYPE16 x\na type999 \\# 2 0102\na A \\# 4 c0000201\n"),
        ["a. 300 TXT \"x\"", "a. 300 TYPE999 \\# 2 0102", "a. 300 A 192.0.2.1"]
    );
    assert_eq!(read_ttl("a CH TXT x\n"), ["2:3: error: class CH in a zone of class IN"]);
    assert_eq!(read_ttl("a ANY TXT x\n"), ["2:3: error: class ANY in a zone of class IN"]);
    assert_eq!(read_ttl("a TSIG \\# 0\n"), ["2:3: error: TSIG exists in messages only, never in a zone"]);
    assert_eq!(read_ttl("a IN IN A 192.0.2.1\n"), ["2:6: error: `IN` is no record type"]);
    assert_eq!(read_ttl("a 5 IN\n"), ["2:7: error: the type of the record is missing"]);
    let chaos = |options: &mut Options<'_>| options.class = Class::CH;
    assert_eq!(read_with(b"a 5 TXT x\na CH 5 TXT y\n", chaos), ["a. 5 TXT \"x\"", "a. 5 TXT \"y\""]);
}

#[test]
fn one_bad_record_hides_no_other_error() {
    assert_eq!(
        read_ttl("a A 192.0.2.256\nb FOO x\nA 192.0.2.1\nc..d A 192.0.2.1\n$FOO\ne A 192.0.2.1\n"),
        [
            "e. 300 A 192.0.2.1",
            "2:5: error: A address: `192.0.2.256` is no IPv4 address",
            "3:3: error: `FOO` is no record type",
            "4:3: error: `192.0.2.1` is no record type",
            "5:1: error: the name has an empty label",
            "6:1: error: unknown directive",
        ]
    );
    assert_eq!(read_ttl(" A 192.0.2.1\n"), ["2:2: error: this record has no owner, and there is none before it"]);
}

#[test]
fn a_bad_owner_leaves_no_owner_to_the_lines_below() {
    let found = read_ttl("a A 192.0.2.1\nb..c A 192.0.2.2\n A 192.0.2.3\nd A 192.0.2.4\n");
    let records: Vec<&String> = found.iter().filter(|line| !line.contains("error")).collect();
    assert_eq!(records, ["a. 300 A 192.0.2.1", "d. 300 A 192.0.2.4"], "{found:?}");
    assert_eq!(found.len(), 3, "what inherits a bad owner is no further error: {found:?}");
}

#[test]
fn errors_and_warnings_have_a_bound() {
    let few = |options: &mut Options<'_>| options.max_errors = 2;
    let found = read_with("$TTL 1\n".repeat(3).as_bytes(), few);
    assert!(found.is_empty());
    let found = read_with("a A x\n".repeat(9).as_bytes(), few);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[2], "10:1: note: 2 errors: the rest of the zone was not read");
    let found = read_with("a. 1 TXT x\n".repeat(9).as_bytes(), few);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn what_lies_outside_the_zone_is_ignored() {
    assert_eq!(
        read_ttl("a.example.org. A 192.0.2.1\n. TXT x\nb A 192.0.2.1\n"),
        [
            "b. 300 A 192.0.2.1",
            "2:1: warning: a.example.org. lies outside the zone: the record is ignored",
            "3:1: warning: . lies outside the zone: the record is ignored",
        ]
    );
}

#[test]
fn host_names_are_checked_as_told() {
    let text = b"$TTL 1\na_b A 192.0.2.1\n*.c A 192.0.2.1\nd MX 1 e_f\ngc._msdcs A 192.0.2.1\n_g TXT x\nh SOA_\n";
    let found = read_with(text, |options| options.check_names = CheckNames::Fail);
    assert!(
        found.contains(&"2:1: error: a_b.example.com. is no host name, as the owner of A must be".into()),
        "{found:?}"
    );
    assert!(found.contains(&"4:1: error: e_f.example.com. in the data of MX is no host name".into()), "{found:?}");
    assert_eq!(found.iter().filter(|line| line.contains("error")).count(), 3, "{found:?}");
    let warn = read_with(text, |options| options.check_names = CheckNames::Warn);
    assert_eq!(warn.iter().filter(|line| line.contains("warning")).count(), 2, "{warn:?}");
    let ignore = read_with(text, |options| options.check_names = CheckNames::Ignore);
    assert_eq!(ignore.len(), 6, "{ignore:?}");
}

#[test]
fn includes_have_their_own_origin_and_give_back_the_outer_one() {
    let files = |path: &Path| match path.to_str() {
        Some("inner") => Ok(Source::new("inner", " TXT first\na TXT x\n$ORIGIN deep\nz TXT y\n$TTL 77\n")),
        Some("broken") => Ok(Source::new("broken", "a A x\n")),
        Some("loop") => Ok(Source::new("loop", "$INCLUDE loop\n")),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let read = |text: &str| read_with(text.as_bytes(), |options| options.includes = &files);
    assert_eq!(
        read("$TTL 1\nw TXT w\n$INCLUDE \"inner\" sub\n TXT owner\nb TXT b\n"),
        [
            "w. 1 TXT \"w\"",
            "w. 1 TXT \"first\"",
            "a.sub. 1 TXT \"x\"",
            "z.deep.sub. 1 TXT \"y\"",
            "w. 77 TXT \"owner\"",
            "b. 77 TXT \"b\"",
            "1:2: warning: the owner of this record is still w.example.com., from before the origin changed",
        ]
    );
    assert_eq!(
        read("$TTL 1\n$INCLUDE broken\n$INCLUDE gone\n$INCLUDE loop\n$INCLUDE\n$INCLUDE a b c\n"),
        [
            "1:5: error: A address: `x` is no IPv4 address",
            "2:10: note: the errors in `broken` come from here",
            "3:10: error: cannot read `gone`: entity not found",
            "1:10: error: `loop` includes itself",
            "4:10: note: the errors in `loop` come from here",
            "5:9: error: $INCLUDE takes a file",
            "6:12: error: $INCLUDE takes a file, and nothing after it",
        ]
    );
    assert_eq!(read_ttl("$INCLUDE inner\n"), ["2:10: error: cannot read `inner`: $INCLUDE is not allowed here"]);
}

#[test]
fn includes_under_ever_new_names_have_a_bound() {
    let count = std::cell::Cell::new(0);
    let files = |_: &Path| {
        count.set(count.get() + 1);
        Ok(Source::new(format!("{}", count.get()), "$INCLUDE x\n$INCLUDE x\n"))
    };
    let found = read_with(b"$INCLUDE x\n", |options| options.includes = &files);
    assert!(found[0].contains("files include files 32 deep"), "{found:?}");
}

#[test]
fn generate_counts() {
    assert_eq!(
        read_ttl("$GENERATE 1-3/2 a$ A 192.0.2.$\nb TXT b\n$GENERATE 9-10 h${1,3} 5 IN MX \"$ m${-9,2,d}\"\n TXT o\n"),
        [
            "a1. 300 A 192.0.2.1",
            "a3. 300 A 192.0.2.3",
            "b. 300 TXT \"b\"",
            "h010. 5 MX 9 m00.",
            "h011. 5 MX 10 m01.",
            "b. 300 TXT \"o\"",
        ]
    );
    // Base, width and sign are those of printf; nibbles are those of ip6.arpa.
    for (modifier, expected) in [
        ("${0,4,x}", "a00ab"),
        ("${0,4,X}", "a00AB"),
        ("${0,4,o}", "a0253"),
        ("${-200}", "a-29"),
        ("${-200,5,d}", "a-0029"),
        ("${-172,3,x}", "affffffff"),
        ("${0,0,n}", "ab.a"),
        ("${0,3,N}", "aB.A"),
        ("${0,7,n}", "ab.a.0.0"),
        ("${1,2}}", "a172}"),
        ("$$", "a\\$"),
        ("\\$", "a\\$"),
    ] {
        assert_eq!(read_ttl(&format!("$GENERATE 171-171 a{modifier} TXT x\n")), [format!("{expected}. 300 TXT \"x\"")]);
    }
    for bad in [
        "1 a TXT x",
        "3-1 a TXT x",
        "1-3/0 a TXT x",
        "1-3/ a TXT x",
        "-1-3 a TXT x",
        "1-2147483648 a TXT x",
        "1-16777217 a TXT x",
        "1-1 a${} TXT x",
        "1-1 a${1,} TXT x",
        "1-1 a${1,2,z} TXT x",
        "1-1 a${1 TXT x",
        "1-1 a${1,-2} TXT x",
        "1-1 a${0,200} TXT x",
        "2147483647-2147483647 a${1} TXT x",
        "1-1 a TXT x y",
        "1-1 a A",
        "1-1 a",
        "1-1",
        "1-1 a TSIG x",
        "1-1 a A x",
        "1-1 (a A 192.0.2.1)",
        "1-1 \"a\" TXT x",
        "1-1 a${0,64} TXT x",
        "1-1 a CH TXT x",
        "1-1 a TXT \"x\\\ny\"",
    ] {
        let found = read_ttl(&format!("$GENERATE {bad}\n"));
        assert!(found.len() == 1 && found[0].contains("error"), "{bad}: {found:?}");
    }
    assert!(read("$GENERATE 1-1 a TXT x\n")[0].contains("no TTL"));
}

#[test]
fn a_refusal_of_the_sink_becomes_an_error() {
    let origin = Name::root();
    let mut sink = |_: Record<'_>| Err(Refusal::from("no more"));
    let source = Source::new("z", "a 1 TXT x\nb 1 TXT x\n");
    let report = parse(&source, &Options::new(origin.as_ref()), &mut sink);
    assert_eq!(report.errors, 2);
    assert_eq!(report.diagnostics[1].to_string(), "z:2:1: error: no more");
}
