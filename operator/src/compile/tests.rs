//! Compiles manifests, and compares zone text and verdicts. The order of changes must not matter.

mod dynamic;

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::json;
use zonefmt::{diagnostics::Source, rdata};

use super::*;
use crate::manifest;

const ZONE: &str = "
kind: DNSZone
metadata: {name: example}
spec:
  zoneName: example.com
  ttl: 3600
  soaRecord: {primaryNs: ns1.example.com., adminEmail: admin.example.com., serial: 7, refresh: 1, retry: 2, expire: 3, negativeTtl: 4}
  nameServers: [{hostname: ns1.example.com., ipv4Address: 192.0.2.1}]
  recordsFrom: [{selector: {matchLabels: {zone: example}}}]
";

/// The records that every such zone has besides the SOA.
const APEX: &str = "@ 3600 NS ns1\nns1 3600 A 192.0.2.1\n";

/// A record that the zone selects.
fn record(kind: &str, name: &str, spec: &str) -> String {
    format!("\n---\nkind: {kind}\nmetadata: {{name: {name}, labels: {{zone: example}}}}\nspec: {{{spec}}}\n")
}

fn resources(yaml: &str) -> Vec<Resource> {
    let yaml = yaml.replace("\nkind: ", "\napiVersion: bindy.firestoned.io/v1beta1\nkind: ");
    let reading = manifest::read(&Source::new("test.yaml", yaml));
    assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
    reading.manifests.into_iter().map(|manifest| manifest.resource).collect()
}

fn compiled(resources: impl IntoIterator<Item = Resource>) -> Compiler {
    let mut compiler = Compiler::default();
    compiler.apply(resources.into_iter().map(Change::Put));
    compiler
}

/// The text of all zones, relative to their origins, in canonical order.
fn zone_text(compiler: &Compiler) -> String {
    let mut text = String::new();
    for (origin, data) in compiler.zones() {
        let style = rdata::Style::FULL.relative_to(origin.as_ref());
        for node in data.iter() {
            let owner = node.owner();
            for set in node.rrsets().collect::<Vec<_>>() {
                for record in set.rdatas() {
                    style.write_name(owner.as_ref(), &mut text);
                    write!(text, " {} {} ", set.ttl, set.rtype).unwrap();
                    rdata::write_text(set.rtype, record, &style, &mut text);
                    text.push('\n');
                }
            }
        }
    }
    text
}

/// The text of the zone without its SOA and the records of `APEX`.
fn records(compiler: &Compiler) -> String {
    let text = zone_text(compiler);
    text.split_inclusive('\n').filter(|line| !line.contains(" SOA ") && !APEX.contains(line)).collect()
}

/// All findings, as `resource: reason: message`.
fn findings(compiler: &Compiler) -> Vec<String> {
    let ids = compiler.resources().collect::<Vec<_>>();
    let lines = ids.into_iter().flat_map(|id| {
        let verdict = compiler.verdict(id).unwrap();
        let is_data = !matches!(id.kind, Kind::Infrastructure(_));
        assert!(!is_data || verdict.is_loss() || !verdict.served.is_empty(), "{id}: neither served nor lost");
        verdict.findings.into_iter().map(move |finding| format!("{id}: {finding}"))
    });
    lines.collect()
}

/// Asserts what is served besides the apex, and which resources have findings.
fn expect(records_yaml: &[String], served: &str, wrong: &[&str]) {
    let compiler = compiled(resources(&format!("{ZONE}{}", records_yaml.concat())));
    assert_eq!(records(&compiler), served);
    let findings = findings(&compiler);
    assert_eq!(findings.len(), wrong.len(), "{findings:#?}");
    for (finding, start) in findings.iter().zip(wrong) {
        assert!(finding.starts_with(start), "{finding:?} is not {start:?}");
    }
}

#[test]
fn the_zone_itself_gives_soa_servers_and_glue() {
    let compiler = compiled(resources(ZONE));
    assert_eq!(zone_text(&compiler), APEX.replacen("\nns1", "\n@ 3600 SOA ns1 admin 7 1 2 3 4\nns1", 1));
    assert!(findings(&compiler).is_empty());
}

#[test]
fn every_kind_of_record() {
    expect(
        &[
            record("ARecord", "a", "name: www, ipv4Addresses: [192.0.2.8, 192.0.2.9]"),
            record("AAAARecord", "aaaa", "name: www, ipv6Addresses: ['2001:db8::8']"),
            record("CNAMERecord", "cname", "name: ftp, ttl: 60, target: www"),
            record("MXRecord", "mx", "name: '@', priority: 10, mailServer: mail.example.net"),
            record("TXTRecord", "txt", r#"name: '@', text: ['v=spf1 -all', 'say "\ü"']"#),
            record("NSRecord", "ns", "name: sub, nameserver: ns.example.net."),
            record(
                "SRVRecord",
                "srv",
                "name: _ldap._tcp, priority: 1, weight: 2, port: 389, target: ldap.example.com.",
            ),
            record("CAARecord", "caa", "name: '@', flags: 128, tag: issue, value: 'ca.example.net; policy=ev'"),
            record("PTRRecord", "ptr", "name: '10', target: www"),
            record("RecordSet", "https", r#"name: www, type: HTTPS, ttl: 60, rdata: ['1 . alpn="h2,h3"', '2 alt']"#),
            record("RecordSet", "unknown", r"name: odd, type: TYPE65280, rdata: ['\# 2 abcd']"),
            record("ARecord", "wild", "name: '*', ipv4Addresses: [192.0.2.7]"),
            record("ARecord", "absolute", "name: host.example.com., ipv4Addresses: [192.0.2.6]"),
        ],
        "@ 3600 MX 10 mail.example.net.\n@ 3600 TXT \"v=spf1 -all\" \"say \\\"\\\\\\195\\188\\\"\"\n\
         @ 3600 CAA 128 issue \"ca.example.net; policy=ev\"\n* 3600 A 192.0.2.7\n10 3600 PTR www\n_ldap._tcp 3600 SRV 1 2 389 ldap\n\
         ftp 60 CNAME www\nhost 3600 A 192.0.2.6\nodd 3600 TYPE65280 \\# 2 ABCD\nsub 3600 NS ns.example.net.\n\
         www 3600 A 192.0.2.8\nwww 3600 A 192.0.2.9\nwww 3600 AAAA 2001:db8::8\nwww 60 HTTPS 1 . alpn=\"h2,h3\"\n\
         www 60 HTTPS 2 alt\n",
        &[],
    );
}

#[test]
fn records_of_several_resources_form_one_rrset() {
    expect(
        &[
            record("MXRecord", "mx1", "name: '@', priority: 10, mailServer: mail"),
            record("MXRecord", "mx2", "name: '@', priority: 20, mailServer: backup"),
            record("MXRecord", "mx3", "name: example.com., priority: 20, mailServer: BACKUP.example.com"),
        ],
        "@ 3600 MX 10 mail\n@ 3600 MX 20 backup\n",
        &["mx1", "mx2", "mx3"]
            .map(|name| format!("MXRecord default/{name}: UnusableTarget"))
            .each_ref()
            .map(String::as_str),
    );
}

#[test]
fn the_ttl_is_the_records_the_zones_or_300() {
    let a = |name: &str, ttl: &str| record("ARecord", name, &format!("name: {name}, {ttl} ipv4Addresses: [192.0.2.9]"));
    expect(&[a("a", "ttl: 0,"), a("b", "")], "a 0 A 192.0.2.9\nb 3600 A 192.0.2.9\n", &[]);
    let compiler = compiled(resources(&format!("{}{}", ZONE.replace("  ttl: 3600\n", ""), a("b", ""))));
    assert!(zone_text(&compiler).contains("b 300 A 192.0.2.9\n"));
}

#[test]
fn in_one_rrset_the_ttl_of_the_oldest_holds() {
    expect(
        &[
            record("ARecord", "b", "name: www, ttl: 60, ipv4Addresses: [192.0.2.8]"),
            record("ARecord", "a", "name: www, ttl: 90, ipv4Addresses: [192.0.2.9]"),
        ],
        "www 90 A 192.0.2.8\nwww 90 A 192.0.2.9\n",
        &["ARecord default/b: TtlOverridden: the A RRset of www.example.com. has TTL 90 from ARecord default/a"],
    );
}

#[test]
fn a_cname_allows_no_other_data() {
    let (a, cname) = ("name: www, ipv4Addresses: [192.0.2.8]", "name: www, target: other");
    let (a_wins, cname_wins) = ("www 3600 A 192.0.2.8\n", "www 3600 CNAME other\n");
    expect(
        &[record("ARecord", "a", a), record("CNAMERecord", "b", cname)],
        a_wins,
        &["CNAMERecord default/b: CnameConflict"],
    );
    expect(
        &[record("ARecord", "c", a), record("CNAMERecord", "b", cname)],
        cname_wins,
        &["ARecord default/c: CnameConflict"],
    );
    let another = record("CNAMERecord", "c", "name: www, target: third");
    expect(&[record("CNAMERecord", "b", cname), another], cname_wins, &["CNAMERecord default/c: CnameConflict"]);
    let apex = record("CNAMERecord", "apex", "name: example.com., target: www");
    expect(&[apex], "", &["CNAMERecord default/apex: CnameConflict: example.com. has NS from DNSZone default/example"]);
}

#[test]
fn two_cnames_or_dnames_of_one_record_set_are_a_conflict() {
    for (rtype, reason) in [("CNAME", "CnameConflict"), ("DNAME", "DnameConflict")] {
        let set = |rdata: &str| record("RecordSet", "a", &format!("name: f, type: {rtype}, rdata: [{rdata}]"));
        let wrong = format!("RecordSet default/a: {reason}: f.example.com. would have 2 {rtype} records");
        expect(&[set("x.example.net., y.example.net.")], "", &[&wrong]);
        expect(&[set("x.example.net., x.example.net.")], &format!("f 3600 {rtype} x.example.net.\n"), &[]);
    }
}

#[test]
fn a_delegation_and_what_it_hides_do_not_stand_together() {
    let (cut, data) = ("name: sub, nameserver: ns.example.net.", "name: a.sub, ipv4Addresses: [192.0.2.8]");
    let (cut_wins, data_wins) = ("sub 3600 NS ns.example.net.\n", "a.sub 3600 A 192.0.2.8\n");
    expect(
        &[record("NSRecord", "a", cut), record("ARecord", "b", data)],
        cut_wins,
        &[
            "ARecord default/b: DelegationConflict: its A of a.sub.example.com. would be hidden by the NS of sub.example.com. from NSRecord default/a",
        ],
    );
    expect(
        &[record("NSRecord", "c", cut), record("ARecord", "b", data)],
        data_wins,
        &[
            "NSRecord default/c: DelegationConflict: its NS of sub.example.com. would hide the A of a.sub.example.com. from ARecord default/b",
        ],
    );
    let at_cut = record("TXTRecord", "t", "name: sub, text: [x]");
    expect(&[record("NSRecord", "a", cut), at_cut], cut_wins, &["TXTRecord default/t: DelegationConflict"]);
    let deeper = record("NSRecord", "d", "name: deep.sub, nameserver: ns.example.net.");
    expect(&[record("NSRecord", "a", cut), deeper], cut_wins, &["NSRecord default/d: DelegationConflict"]);
    let alias = record("CNAMERecord", "c", "name: sub, target: www");
    expect(&[record("NSRecord", "a", cut), alias], cut_wins, &["CNAMERecord default/c: CnameConflict"]);
}

#[test]
fn glue_is_not_hidden() {
    let cut = record("NSRecord", "b", "name: sub, nameserver: ns.sub.example.com.");
    let glue = record("ARecord", "a", "name: ns.sub, ipv4Addresses: [192.0.2.8]");
    expect(&[cut.clone(), glue.clone()], "sub 3600 NS ns.sub\nns.sub 3600 A 192.0.2.8\n", &[]);
    let text = record("TXTRecord", "t", "name: ns.sub, text: [x]");
    expect(
        &[cut.clone(), glue.clone(), text],
        "sub 3600 NS ns.sub\nns.sub 3600 A 192.0.2.8\n",
        &["TXTRecord default/t: DelegationConflict"],
    );
    // An address is glue if any name server has it, of whichever delegation.
    let sibling = record("NSRecord", "s", "name: other, nameserver: x.sub.example.com.");
    let address = record("ARecord", "x", "name: x.sub, ipv4Addresses: [192.0.2.9]");
    let mut compiler = compiled(resources(&format!("{ZONE}{}", [cut, glue, sibling.clone(), address].concat())));
    assert!(findings(&compiler).is_empty());
    compiler.apply([Change::Remove(resources(&sibling)[0].id.clone())]);
    assert_eq!(findings(&compiler).len(), 1, "the address at x.sub is nobody's now");
}

#[test]
fn a_name_server_of_a_record_that_lost_is_no_reason_for_glue() {
    let cut = record("NSRecord", "a", "name: sub, nameserver: ns.example.net.");
    let address = record("ARecord", "b", "name: x.sub, ipv4Addresses: [192.0.2.8]");
    let alias = record("CNAMERecord", "c", "name: www, target: other");
    let lost = record("NSRecord", "d", "name: www, nameserver: x.sub.example.com.");
    let all = [cut, address, alias.clone(), lost];
    expect(
        &all,
        "sub 3600 NS ns.example.net.\nwww 3600 CNAME other\n",
        &["ARecord default/b: DelegationConflict", "NSRecord default/d: CnameConflict"],
    );
    let mut compiler = compiled(resources(&format!("{ZONE}{}", all.concat())));
    let alias = resources(&alias).remove(0);
    compiler.apply([Change::Remove(alias.id.clone())]);
    assert!(findings(&compiler).is_empty(), "the server is one now, and its address is glue");
    compiler.apply([Change::Put(alias)]);
    assert_eq!(findings(&compiler).len(), 2);
}

#[test]
fn what_zonefmt_warns_of_is_told_of_records() {
    let told = |kind: &str, spec: &str| {
        let compiler = compiled(resources(&format!("{ZONE}{}", record(kind, "a", spec))));
        findings(&compiler).join("\n").replace(&format!("{kind} default/a: "), "")
    };
    for (kind, spec, warning) in [
        (
            "NSRecord",
            "name: sub, nameserver: ns.sub.example.com.",
            "UnusableTarget: NS ns.sub.example.com. of sub.example.com. has no glue",
        ),
        (
            "MXRecord",
            "name: '@', priority: 1, mailServer: 192.0.2.1",
            "UnusualName: MX 192.0.2.1. looks like an address; write the host's name",
        ),
        (
            "MXRecord",
            "name: '@', priority: 1, mailServer: '2001:db8::1'",
            "UnusualName: MX 2001:db8::1.example.com. looks like an address",
        ),
        (
            "MXRecord",
            "name: '@', priority: 1, mailServer: mail",
            "UnusableTarget: MX mail.example.com. of example.com. has no A or AAAA record",
        ),
        (
            "SRVRecord",
            "name: _x._tcp, priority: 1, weight: 1, port: 1, target: x",
            "UnusableTarget: SRV x.example.com.",
        ),
        (
            "MXRecord",
            "name: '@', priority: 1, mailServer: my_mail.example.net.",
            "UnusualName: my_mail.example.net. in the data of MX is no host name",
        ),
        (
            "ARecord",
            "name: a_b, ipv4Addresses: [192.0.2.8, 192.0.2.9]",
            "UnusualName: a_b.example.com. is no host name, as the owner of A must be",
        ),
        (
            "TXTRecord",
            "name: a.*.b, text: [x]",
            "UnusualName: a.*.b.example.com. has a `*` that is not its first label",
        ),
        (
            "RecordSet",
            "name: '@', type: MX, rdata: ['1 m.example.com']",
            "RepeatedZoneName: m.example.com.example.com. has the zone's name in it twice",
        ),
    ] {
        let told = told(kind, spec);
        assert!(told.starts_with(warning) && told.lines().count() == 1, "{told:?} is not {warning:?}");
    }
    for (kind, spec) in [
        ("MXRecord", "name: '@', priority: 0, mailServer: ."),
        ("MXRecord", "name: '@', priority: 0, mailServer: ns1"),
        ("NSRecord", "name: sub, nameserver: ns.other.example."),
        ("CNAMERecord", "name: _acme-challenge, target: a_b"),
        ("ARecord", "name: '*.dev', ipv4Addresses: [192.0.2.8]"),
    ] {
        assert_eq!(told(kind, spec), "", "{kind} {spec}");
    }
}

#[test]
fn a_delegation_conflict_names_what_may_not_stay() {
    let address = record("ARecord", "a", "name: ns.g, ipv4Addresses: [192.0.2.8]");
    let text = record("TXTRecord", "b", "name: t.g, text: [x]");
    let cut = record("NSRecord", "c", "name: g, nameserver: ns.g.example.com.");
    expect(
        &[address, text, cut],
        "ns.g 3600 A 192.0.2.8\nt.g 3600 TXT \"x\"\n",
        &[
            "NSRecord default/c: DelegationConflict: its NS of g.example.com. would hide the TXT of t.g.example.com. from",
        ],
    );
}

#[test]
fn data_that_a_zone_below_hides_is_reported() {
    let child = ZONE
        .replace("{name: example}", "{name: sub}")
        .replace("example.com", "sub.example.com")
        .replace("zone: example", "zone: sub");
    let hidden = record("ARecord", "a", "name: www.sub, ipv4Addresses: [192.0.2.8]");
    let parent = resources(&format!("{ZONE}{hidden}"));
    let child = resources(&child).remove(0);
    let mut compiler = compiled(parent.clone());
    assert!(findings(&compiler).is_empty());
    let step = compiler.apply([Change::Put(child.clone())]);
    assert!(step.judged.contains(&parent[1].id));
    let told = findings(&compiler);
    let start =
        "ARecord default/a: HiddenByZone: www.sub.example.com. is answered from sub.example.com., DNSZone default/sub";
    assert!(told.len() == 1 && told[0].starts_with(start), "{told:?}");
    assert_eq!(compiler.verdict(&parent[1].id).unwrap().served.len(), 1);

    let cut = resources(&record("NSRecord", "cut", "name: sub, nameserver: ns1.sub.example.com.")).remove(0);
    let glue = record("ARecord", "glue", "name: ns1.sub, ipv4Addresses: [192.0.2.1]");
    let delegated = resources(&format!("{ZONE}{glue}")).into_iter().chain([cut, child]);
    assert_eq!(findings(&compiled(delegated)), [""; 0], "a delegation and its glue are meant");
}

#[test]
fn a_wildcard_is_not_delegated() {
    expect(
        &[record("NSRecord", "a", "name: '*.wd', nameserver: ns.example.net.")],
        "",
        &["NSRecord default/a: WildcardDelegation: *.wd.example.com. is a wildcard"],
    );
}

#[test]
fn age_goes_before_name() {
    let aged = |kind, name: &str, created: &str, spec| {
        record(kind, name, spec).replace("labels:", &format!("creationTimestamp: {created}, labels:"))
    };
    expect(
        &[
            record("TXTRecord", "a", "name: www, text: [new]"),
            aged("ARecord", "b", "2026-02-01T00:00:00Z", "name: www, ipv4Addresses: [192.0.2.8]"),
            aged("CNAMERecord", "c", "2026-01-01T00:00:00Z", "name: www, target: old"),
        ],
        "www 3600 CNAME old\n",
        &["TXTRecord default/a: CnameConflict", "ARecord default/b: CnameConflict"],
    );
}

#[test]
fn what_the_zone_does_not_select_is_not_served() {
    let elsewhere = record("ARecord", "far", "name: www, ipv4Addresses: [192.0.2.8]")
        .replace("{name: far", "{namespace: other, name: far");
    let unlabelled =
        record("ARecord", "bare", "name: www, ipv4Addresses: [192.0.2.8]").replace("zone: example", "zone: other");
    let outside = record("ARecord", "out", "name: www.example.org., ipv4Addresses: [192.0.2.8]");
    expect(
        &[elsewhere, unlabelled, outside],
        "",
        &[
            "ARecord default/bare: NotSelected: no DNSZone of namespace default selects it; give it the labels",
            "ARecord default/out: OutOfZone: www.example.org. is not in example.com.",
            "ARecord other/far: NotSelected: namespace other has no DNSZone",
        ],
    );
}

#[test]
fn what_decides_between_two_resources_is_said_as_it_is() {
    let aged = |text: String| text.replace("labels:", "creationTimestamp: 2026-01-01T00:00:00Z, labels:");
    expect(
        &[aged(record("ARecord", "ns1", "name: ns1, ttl: 5, ipv4Addresses: [192.0.2.1]"))],
        "",
        &[
            "ARecord default/ns1: TtlOverridden: the A RRset of ns1.example.com. has TTL 3600 from DNSZone default/example, \
           whose own data goes first and",
        ],
    );
    let address = record("ARecord", "b", "name: b, ipv4Addresses: [192.0.2.1]");
    expect(
        &[record("CNAMERecord", "b", "name: b, target: other"), address],
        "b 3600 A 192.0.2.1\n",
        &[
            "CNAMERecord default/b: CnameConflict: b.example.com. has A from ARecord default/b, which comes first by kind,",
        ],
    );
    let elsewhere = ZONE.replace("{name: example}", "{namespace: other, name: example}");
    let told = findings(&compiled(resources(&format!("{ZONE}---{elsewhere}"))));
    assert!(
        told.len() == 1 && told[0].contains("default/example already, which comes first by namespace;"),
        "{told:?}"
    );
}

#[test]
fn a_record_that_none_selects_is_told_what_can_be_done() {
    let a = record("ARecord", "a", "name: www, ipv4Addresses: [192.0.2.8]");
    let deaf = ZONE.replace("  recordsFrom: [{selector: {matchLabels: {zone: example}}}]\n", "");
    let told = findings(&compiled(resources(&format!("{deaf}{a}"))));
    assert!(
        told.len() == 1 && told[0].contains("NotSelected: no DNSZone of namespace default has `recordsFrom`"),
        "{told:?}"
    );

    let zone = resources(ZONE).remove(0);
    let mut compiler = compiled(resources(&a));
    let step = compiler.apply([Change::Refuse(zone.id.clone())]);
    assert_eq!(step.judged.len(), 1);
    let told = findings(&compiler);
    assert!(
        told.len() == 1 && told[0].contains("ZoneNotServed: no zone selects it, and DNSZone default/example"),
        "{told:?}"
    );
    compiler.apply([Change::Put(zone)]);
    assert!(findings(&compiler).is_empty());
    compiler.apply([Change::Refuse(resources(ZONE).remove(0).id), Change::Remove(resources(ZONE).remove(0).id)]);
    assert!(findings(&compiler)[0].contains("NotSelected: namespace default has no DNSZone"));
}

#[test]
fn a_forgotten_final_dot_is_told() {
    expect(
        &[record("ARecord", "a", "name: www.example.com, ipv4Addresses: [192.0.2.8]")],
        "www.example.com 3600 A 192.0.2.8\n",
        &[
            "ARecord default/a: RepeatedZoneName: www.example.com.example.com. has the zone's name twice; write `www.example.com.`",
        ],
    );
}

#[test]
fn long_text_becomes_several_strings() {
    let compiler = compiled(resources(&format!(
        "{ZONE}{}",
        record("TXTRecord", "dkim", &format!("name: k, text: [{}]", "x".repeat(300)))
    )));
    let expected = format!("k 3600 TXT \"{}\" \"{}\"\n", "x".repeat(255), "x".repeat(45));
    assert_eq!(records(&compiler), expected);
}

#[test]
fn rules_for_clients_that_cannot_be_read_are_told() {
    let rules = |name: &str| {
        format!("{ZONE}  dynamic: {{rules: [{{key: {{namespace: dns, name: a}}, match: Name, name: {name}}}]}}\n")
    };
    assert!(findings(&compiled(resources(&rules("apps")))).is_empty());
    let told = findings(&compiled(resources(&rules("other.test."))));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("DNSZone default/example: InvalidRule: dynamic.rules[0].name: other.test. is not in"),
        "{told:?}"
    );
}

#[test]
fn of_two_zones_with_one_name_the_older_is_served() {
    let second = ZONE.replace("{name: example}", "{name: second}").replace("serial: 7", "serial: 99");
    let both = resources(&format!("{ZONE}---{second}"));
    let mut compiler = compiled(both.clone());
    assert_eq!(
        findings(&compiler),
        [
            "DNSZone default/second: DuplicateZone: example.com. is DNSZone default/example already, which comes first by name; remove one of them"
        ]
    );
    compiler.apply([Change::Remove(both[0].id.clone())]);
    assert!(findings(&compiler).is_empty());
    let serial = compiler.zones().next().unwrap().1.serial();
    assert_eq!(serial, Some(Serial(99)), "the heir takes over, and its serial is ahead");
}

#[test]
fn records_of_a_zone_that_lost_are_told_so() {
    let second = ZONE.replace("{name: example}", "{name: second}").replace("zone: example", "zone: second");
    let late =
        record("ARecord", "late", "name: www, ipv4Addresses: [192.0.2.8]").replace("zone: example", "zone: second");
    let all = resources(&format!("{ZONE}---{second}{late}"));
    let mut compiler = compiled(all.clone());
    assert_eq!(
        findings(&compiler)[1],
        "ARecord default/late: ZoneNotServed: DNSZone default/second selects it and is not served itself: DuplicateZone: \
         example.com. is DNSZone default/example already, which comes first by name; remove one of them"
    );
    let step = compiler.apply([Change::Remove(all[1].id.clone())]);
    assert!(findings(&compiler)[0].contains("NotSelected"), "{:?}", findings(&compiler));
    assert!(step.judged.contains(&all[2].id));
}

#[test]
fn references_that_lead_nowhere_are_told() {
    let zone = |reference: &str| ZONE.replace("  ttl: 3600\n", &format!("  ttl: 3600\n  {reference}\n"));
    let told = |zone: &str, servers: &str| findings(&compiled(resources(&format!("{zone}{servers}"))));
    let cluster = "---\nkind: Bind9Cluster\nmetadata: {name: ns}\nspec: {primary: {replicas: 1}}\n";
    let instance =
        "---\nkind: Bind9Instance\nmetadata: {name: a, labels: {edge: x}}\nspec: {role: primary, clusterRef: ns}\n";
    for (reference, why) in [
        ("clusterRef: ns", "clusterRef: there is no Bind9Cluster default/ns, and no ClusterBind9Provider ns; create"),
        ("clusterProviderRef: ns", "clusterProviderRef: there is no ClusterBind9Provider ns; create it"),
        (
            "bind9InstancesFrom: [{selector: {matchLabels: {edge: x}}}]",
            "bind9InstancesFrom[0]: it selects no Bind9Instance of namespace default, nor one that is open to it; create",
        ),
    ] {
        let told = told(&zone(reference), "");
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&format!("DNSZone default/example: DanglingReference: {why}")), "{told:?}");
    }
    assert_eq!(told(&zone("clusterRef: ns"), cluster), [""; 0]);
    let selecting = zone("bind9InstancesFrom: [{selector: {matchLabels: {edge: x}}}]");
    assert_eq!(told(&selecting, &format!("{cluster}{instance}")), [""; 0]);
    let orphan = told(&selecting, instance);
    assert!(orphan.len() == 1 && orphan[0].starts_with("Bind9Instance default/a: DanglingReference"), "{orphan:?}");

    let mut compiler = compiled(resources(&zone("clusterRef: ns")));
    let step = compiler.apply(resources(cluster).into_iter().map(Change::Put));
    assert!(step.judged.iter().any(|id| id.kind == Kind::Zone) && step.zones.is_empty());
    assert!(findings(&compiler).is_empty());
}

#[test]
fn a_name_server_without_address_is_told() {
    let bare = ZONE.replace(", ipv4Address: 192.0.2.1", "");
    assert_eq!(findings(&compiled(resources(&bare))).len(), 1);
    let with = format!("{bare}{}", record("AAAARecord", "ns1", "name: ns1, ipv6Addresses: ['2001:db8::1']"));
    assert!(findings(&compiled(resources(&with))).is_empty());
}

#[test]
fn servers_of_the_old_spelling_count() {
    let old = ZONE.replace(
        "nameServers: [{hostname: ns1.example.com., ipv4Address: 192.0.2.1}]",
        "nameServerIps: {ns1.example.com.: 192.0.2.1}",
    );
    assert_eq!(zone_text(&compiled(resources(&old))), zone_text(&compiled(resources(ZONE))));
}

#[test]
fn an_rrset_that_fits_no_message_is_not_served() {
    let big = |i: usize| {
        record("TXTRecord", &format!("t{i:03}"), &format!("name: big, text: ['{}']", format!("{i:03}").repeat(85)))
    };
    let many: Vec<String> = (0..260).map(big).collect();
    let compiler = compiled(resources(&format!("{ZONE}{}", many.concat())));
    let findings = findings(&compiler);
    assert!(findings.iter().all(|finding| finding.contains("TooLarge")), "{findings:?}");
    assert_eq!(findings.len() + records(&compiler).lines().count(), many.len());
    assert!(!findings.is_empty());
}

#[test]
fn an_rrset_that_just_fits_a_message_is_served() {
    let strings = vec![format!("'{}'", "x".repeat(255)); 255].join(", ");
    let compiler =
        compiled(resources(&format!("{ZONE}{}", record("TXTRecord", "t", &format!("name: t, text: [{strings}]")))));
    assert_eq!(findings(&compiler), [""; 0]);
    assert_eq!(records(&compiler).matches(" \"").count(), 255);
}

#[test]
fn as_many_addresses_as_the_schema_admits_are_served() {
    for (kind, field) in [("ARecord", "ipv4Addresses"), ("AAAARecord", "ipv6Addresses")] {
        let schema = api::spec_schema(Kind::from_name(kind).unwrap());
        let most = schema["properties"][field]["maxItems"].as_u64().unwrap();
        let address = |i| match kind {
            "ARecord" => format!("10.0.{}.{}", i >> 8, i & 255),
            _ => format!("'2001:db8::{i:x}'"),
        };
        let addresses: Vec<String> = (0..most).map(address).collect();
        let yaml = record(kind, "many", &format!("name: many, {field}: [{}]", addresses.join(", ")));
        let compiler = compiled(resources(&format!("{ZONE}{yaml}")));
        assert_eq!(findings(&compiler), [] as [&str; 0], "{kind}");
        assert_eq!(records(&compiler).lines().count() as u64, most, "{kind}");
    }
}

#[test]
fn a_change_costs_one_serial_and_says_what_changed() {
    let mut compiler = compiled(resources(ZONE));
    let put = |yaml: String| resources(&yaml).into_iter().map(Change::Put);
    let a = |address: &str| record("ARecord", "a", &format!("name: www, ipv4Addresses: [{address}]"));
    let counts = |step: Step| {
        step.zones.iter().map(|z| (z.added, z.removed, z.changed, z.after.map(|s| s.0))).collect::<Vec<_>>()
    };
    assert_eq!(counts(compiler.apply(put(a("192.0.2.8")))), [(1, 0, 0, Some(8))]);
    assert_eq!(counts(compiler.apply(put(a("192.0.2.8")))), [], "the same again is no change");
    assert_eq!(counts(compiler.apply(put(a("192.0.2.9")))), [(0, 0, 1, Some(9))]);
    let both = put(a("192.0.2.9")).chain(put(record("ARecord", "b", "name: b, ipv4Addresses: [192.0.2.3]")));
    assert_eq!(counts(compiler.apply(both)), [(1, 0, 0, Some(10))]);
    let id = resources(&a("192.0.2.9"))[0].id.clone();
    assert_eq!(counts(compiler.apply([Change::Remove(id)])), [(0, 1, 0, Some(11))]);
    let zone = resources(ZONE)[0].id.clone();
    assert_eq!(counts(compiler.apply([Change::Remove(zone)])), [(0, 4, 0, None)]);
    assert_eq!(counts(compiler.apply(put(ZONE.into()))), [(4, 0, 0, Some(11))], "same content, same serial");
}

#[test]
fn a_restart_goes_on_from_what_was_published() {
    let published = compiled(resources(ZONE)).published().clone();
    let serial = |yaml: &str| {
        let mut compiler = Compiler::new(published.clone());
        compiler.apply(resources(yaml).into_iter().map(Change::Put));
        compiler.zones().next().and_then(|(_, data)| data.serial())
    };
    assert_eq!(serial(ZONE), Some(Serial(7)), "same content, same serial");
    assert_eq!(serial(&ZONE.replace("serial: 7", "serial: 3")), Some(Serial(7)), "never back");
    assert_eq!(serial(&ZONE.replace("ttl: 3600", "ttl: 60")), Some(Serial(8)));
}

/// Resources that conflict in every way for which there is a rule.
fn meeting() -> impl Strategy<Value = Vec<Resource>> {
    let owner = prop::sample::select(vec!["example.com.", "www", "'*'", "sub", "a.sub", "ns1", "www.example.com."]);
    let data = prop::sample::select(vec![
        ("ARecord", "ipv4Addresses: [192.0.2.8]"),
        ("ARecord", "ipv4Addresses: [192.0.2.9, 192.0.2.8]"),
        ("CNAMERecord", "target: www"),
        ("CNAMERecord", "target: WWW"),
        ("CNAMERecord", "target: other"),
        ("NSRecord", "nameserver: ns1"),
        ("NSRecord", "nameserver: a.sub"),
        ("RecordSet", "type: DNAME, rdata: [other]"),
        ("TXTRecord", "text: [x]"),
        ("MXRecord", "priority: 1, mailServer: www"),
    ]);
    let labels = prop::sample::select(vec!["zone: example", "zone: other", "zone: example, team: web", "team: web"]);
    let one_record =
        (data, owner, labels, 0..3_u8, 0..4_u8, 0..3_u8).prop_map(|((kind, data), owner, labels, ttl, id, age)| {
            let ttl = if ttl == 0 { String::new() } else { format!("ttl: {ttl},") };
            let yaml = record(kind, &format!("r{id}"), &format!("name: {owner}, {ttl} {data}"));
            let yaml = yaml.replace("zone: example", labels);
            if age == 0 {
                yaml
            } else {
                yaml.replace("labels:", &format!("creationTimestamp: 2026-01-0{age}T00:00:00Z, labels:"))
            }
        });
    let selector = prop::sample::select(vec![
        "matchLabels: {zone: example}",
        "matchLabels: {zone: example, team: web}",
        "matchLabels: {}",
        "matchExpressions: [{key: zone, operator: NotIn, values: [other]}]",
        "matchLabels: {zone: other}}}, {selector: {matchLabels: {team: web}",
    ]);
    let name = prop::sample::select(vec!["example.com", "example.com", "sub.example.com"]);
    let one_zone = (selector, name, 0..3_u8).prop_map(|(selector, name, id)| {
        let zone = ZONE
            .replace("matchLabels: {zone: example}", selector)
            .replace("zoneName: example.com", &format!("zoneName: {name}"));
        format!("---{}", zone.replace("{name: example}", &format!("{{name: z{id}}}")))
    });
    (prop::collection::vec(one_zone, 0..4), prop::collection::vec(one_record, 0..8)).prop_map(|(zones, records)| {
        let mut all: BTreeMap<ResourceId, Resource> = BTreeMap::new();
        for resource in resources(&(zones.concat() + &records.concat())) {
            all.insert(resource.id.clone(), resource);
        }
        all.into_values().collect()
    })
}

proptest! {
    #[test]
    fn neither_order_nor_steps_matter(
        (end, order) in meeting().prop_flat_map(|end| (Just(end.clone()), Just(end).prop_shuffle())),
        detour in meeting(),
        cuts in prop::collection::vec(any::<bool>(), 16),
    ) {
        let fresh = compiled(end.clone());
        let mut stepwise = Compiler::default();
        for resource in detour.clone() {
            stepwise.apply([Change::Put(resource)]);
        }
        let gone = detour.into_iter().map(|resource| resource.id).filter(|id| end.iter().all(|kept| kept.id != *id));
        let mut batch: Vec<Change> = gone.map(Change::Remove).collect();
        for (resource, cut) in order.into_iter().zip(cuts.into_iter().cycle()) {
            batch.push(Change::Put(resource));
            if cut {
                stepwise.apply(std::mem::take(&mut batch));
            }
        }
        stepwise.apply(batch);
        let without_serial = |compiler: &Compiler| {
            let text = zone_text(compiler);
            let mut lines: Vec<String> = text.lines().filter(|line| !line.contains(" SOA ")).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        prop_assert_eq!(without_serial(&fresh), without_serial(&stepwise));
        prop_assert_eq!(findings(&fresh), findings(&stepwise));
        for (origin, _) in fresh.zones() {
            prop_assert_eq!(fresh.published()[origin].hash, stepwise.published()[origin].hash);
        }
    }
}

#[test]
fn former_spellings_and_fields_without_effect_are_remarked_where_they_are_written() {
    let told = |kind, spec: Value| -> Vec<(Reason, String)> {
        remarks(Kind::from_name(kind).unwrap(), &spec).into_iter().map(|it| (it.reason, it.path)).collect()
    };
    assert_eq!(told("ARecord", json!({ "name": "www", "ipv4Addresses": ["192.0.2.1"] })), []);
    assert_eq!(
        told("ARecord", json!({ "name": "www", "ipv4Address": "192.0.2.1" })),
        [(Reason::FormerSpelling, "ipv4Address".into())]
    );
    assert_eq!(told("Bind9Cluster", json!({ "global": { "recursion": false } })), []);
    assert_eq!(
        told("Bind9Cluster", json!({ "zonesFrom": [], "common": { "global": { "recursion": true } } })),
        [
            (Reason::FormerSpelling, "common".into()),
            (Reason::NoEffect, "zonesFrom".into()),
            (Reason::NoEffect, "common.global.recursion".into()),
        ]
    );
    let instance = |cluster: &str| json!({ "clusterRef": cluster, "role": "primary", "transferKey": {} });
    assert_eq!(told("Bind9Instance", instance("ns")), [(Reason::NoEffect, "transferKey".into())]);
    assert_eq!(told("Bind9Instance", instance("")), []);
}
