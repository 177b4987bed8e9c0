//! The rules one by one; `tests/peers` compares the verdicts with those of named-checkzone.

use super::*;
use crate::Name;

const TOP: &str = "$TTL 300\n@ SOA ns hm 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

/// The findings of a zone of `text`, as `line: severity: message`.
fn findings(text: &str) -> Vec<String> {
    let origin = Name::from_ascii("example.com").unwrap();
    let mut sink = |_: Record<'_>| Ok(());
    let (report, _) = check(&Source::new("z", text), &Options::new(origin.as_ref()), &mut sink);
    let show = |diagnostic: &Diagnostic| {
        let line = diagnostic.position().map_or(0, |at| at.line);
        format!("{line}: {}: {}", diagnostic.severity, diagnostic.message.replace(".example.com.", ""))
    };
    report.diagnostics.iter().map(show).collect()
}

/// The findings of a valid zone to which `text` is added; its first line is line 5.
fn with(text: &str) -> Vec<String> {
    findings(&format!("{TOP}{text}"))
}

#[test]
fn a_sound_zone_has_no_findings_and_a_serial() {
    let origin = Name::from_ascii("example.com").unwrap();
    let mut seen = 0;
    let mut sink = |_: Record<'_>| {
        seen += 1;
        Ok(())
    };
    let text = format!("{TOP}a CNAME b\nb A 192.0.2.1\nsub NS ns.sub\nns.sub AAAA ::1\n@ MX 0 .\n*.w A 192.0.2.1\n");
    let (report, serial) = check(&Source::new("z", text), &Options::new(origin.as_ref()), &mut sink);
    assert!(report.diagnostics.is_empty(), "{:?}", report.diagnostics);
    assert_eq!((report.records, serial, seen), (9, Some(Serial(7)), 9));
}

#[test]
fn a_zone_has_a_soa_and_name_servers() {
    let found = findings("");
    assert_eq!(found[0], "0: error: the zone example.com. has no SOA record");
    assert_eq!(found[1], "0: error: the zone example.com. has no NS record at its top");
    assert_eq!(with("x A y\nsub NS ns.sub\n").len(), 1);
    assert_eq!(with("@ SOA ns hm 8 2 3 4 5\n"), ["5: error: a second SOA record at example.com."]);
    assert_eq!(with("a SOA ns hm 8 2 3 4 5\n"), ["5: error: SOA at a, which is not the top of the zone"]);
    assert_eq!(with("@ SOA NS hm 7 2 3 4 5\n"), [""; 0]);
}

#[test]
fn a_cname_stands_alone() {
    for text in ["a CNAME b\nb A 192.0.2.1\na TXT x\n", "a TYPE999 \\# 0\nb A 192.0.2.1\na CNAME b\n"] {
        assert_eq!(with(text), ["7: error: CNAME and other data at a"]);
    }
    assert_eq!(with("a CNAME b\nA CNAME c\n"), ["6: error: a second CNAME record at A"]);
    assert_eq!(with("a DNAME b\na DNAME c\n"), ["6: error: a second DNAME record at a"]);
    assert_eq!(with("a CNAME b\na NSEC b A\na KEY 0 3 8 AAAA\n"), [""; 0]);
    assert_eq!(with("@ DNAME b.\n@ SOA ns hm 8 2 3 4 5\n"), ["6: error: a second SOA record at example.com."]);
}

#[test]
fn name_servers_of_the_zone_have_addresses() {
    let top = |text: &str| findings(&format!("$TTL 300\n@ SOA ns hm 1 2 3 4 5\n@ NS ns\n{text}"));
    assert_eq!(top(""), ["3: error: NS ns of example.com. has no A or AAAA record"]);
    assert_eq!(top("x.ns A 192.0.2.1\n* A 192.0.2.1\n"), ["3: error: NS ns of example.com. has no A or AAAA record"]);
    assert_eq!(top("ns CNAME x\n"), ["3: error: NS ns of example.com. is a CNAME"]);
    assert_eq!(top("* CNAME x\n"), ["3: error: NS ns of example.com. is a CNAME"]);
    assert_eq!(top("@ DNAME x.\n"), ["3: error: NS ns of example.com. lies below a DNAME"]);
    assert_eq!(top("* AAAA ::1\n"), [""; 0]);
    assert_eq!(top("ns NS x.\n"), [""; 0]);
}

#[test]
fn glue_and_targets_are_warned_of() {
    assert_eq!(with("sub NS ns.sub\n"), ["5: warning: NS ns.sub of sub has no glue, an A or AAAA record"]);
    assert_eq!(
        with("sub NS ns.sib\nsib NS ns\n"),
        ["5: warning: NS ns.sib of sub has no sibling glue, an A or AAAA record"]
    );
    assert_eq!(with("sub NS host\n"), ["5: warning: NS host of sub has no A or AAAA record"]);
    assert_eq!(with("@ MX 1 m\nm CNAME ns\n"), ["5: warning: MX m of example.com. is a CNAME"]);
    assert_eq!(with("_x._tcp SRV 0 0 1 d.m\nm DNAME x.\n"), ["5: warning: SRV d.m of _x._tcp lies below a DNAME"]);
    assert_eq!(with("@ MX 1 m.sub\nsub NS ns\nsub NS ns.example.org.\n"), [""; 0]);
    assert_eq!(with("@ MX 1 192.0.2.1.\n"), ["5: warning: MX 192.0.2.1. looks like an address"]);
    assert_eq!(with("a NS 192.0.2.1\n").len(), 2);
}

#[test]
fn some_records_have_their_place() {
    assert_eq!(with("*.a NS ns\n"), ["5: error: NS with the wildcard owner *.a"]);
    assert_eq!(with("@ DS 1 8 1 00000000000000000000000000000000000000\n").len(), 1);
    assert!(with("@ DS 1 8 1 0000000000000000000000000000000000000000\n")[0].contains("DS at the top of the zone"));
    assert_eq!(with("@ NSEC3PARAM 2 0 0 -\n"), ["5: error: NSEC3PARAM with the unknown hash algorithm 2"]);
    assert_eq!(with("@ NSEC3PARAM 2 0 0 -\n@ NSEC3PARAM 1 0 0 -\n"), [""; 0]);
    assert_eq!(with("@ CDS 0 0 0 00\n@ CDNSKEY 0 3 0 AA==\n"), [""; 0]);
    assert_eq!(with("@ CDNSKEY 257 3 8 AwEAAQ==\n"), ["5: error: this CDNSKEY fits no DNSKEY of the zone"]);
    assert_eq!(with("@ CDNSKEY 257 3 8 AwEAAQ==\n@ DNSKEY 257 3 8 AwEAAQ==\n"), [""; 0]);
}

#[test]
fn what_is_probably_not_meant() {
    assert_eq!(with("www.example.com A 192.0.2.1\n"), ["5: warning: wwwexample.com. has the zone's name in it twice"]);
    assert_eq!(with("a MX 1 m.example.com\nm.xexample.com A 192.0.2.1\n").len(), 2);
    assert_eq!(with("a A 192.0.2.1\na A 192.0.2.1\n"), ["6: warning: the same A record of a again"]);
    assert_eq!(with("a.*.b TXT x\n"), ["5: warning: a.*.b has a `*` that is not its first label"]);
    assert_eq!(
        with("sub NS ns\na.sub A 192.0.2.1\nb.c.sub TXT x\n"),
        ["7: warning: b.c.sub lies below a delegation or a DNAME and is never answered"]
    );
    assert_eq!(with("@ SPF x\n@ TXT \"v=spf1 -all\"\n"), [""; 0]);
    assert_eq!(with("@ SPF x\n").len(), 1);
}

#[test]
fn an_rrset_fits_a_message() {
    let records = |count: usize| {
        let lines = (0..count).map(|i| format!("big TYPE999 \\# 250 {i:0500x}\n"));
        with(&lines.collect::<String>())
    };
    assert_eq!(records(259), [""; 0]);
    assert_eq!(records(261), ["264: error: the TYPE999 records of big are too many for a message"]);
}
