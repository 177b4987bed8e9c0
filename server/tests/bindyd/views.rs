//! Views, address lists by key, and signed requests: a company's configuration, served by `named` and by bindyd,
//! queried by every kind of client, and operated with rndc.

use std::{collections::BTreeSet, process::Command};

use bindy_tests::ports::free_port;

use super::{
    control::key,
    server::{Prepared, Server, wait_until},
};

const INSIDE: &str = "aW5zaWRlIHNlY3JldCBpcyBsb25nIGVub3VnaCE=";
const PARTNER: &str = "cGFydG5lciBzZWNyZXQgaXMgbG9uZyBlbm91Z2g=";
const OTHER: &str = "c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgbm90IG91cnM=";

/// The number of further zones in each view.
const ZONES: usize = 13;

/// The addresses of clients and servers. named listens only on addresses of interfaces, and of 127.0.0.0/8 only
/// 127.0.0.1 is one.
const PLACES: &[(&str, &str)] =
    &[("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.1"), ("127.0.0.4", "127.0.0.1"), ("127.0.0.66", "127.0.0.1")];

/// Keys to sign with, if any: known ones, one in upper case, and ones with a wrong secret, algorithm or name.
fn signatures() -> Vec<Option<String>> {
    let signatures = [
        format!("hmac-sha256:inside-key:{INSIDE}"),
        format!("hmac-sha256:INSIDE-key:{INSIDE}"),
        format!("hmac-sha512:partner-key:{PARTNER}"),
        format!("hmac-sha256-128:short-key:{PARTNER}"),
        format!("hmac-sha256:short-key:{PARTNER}"),
        format!("hmac-sha256:inside-key:{OTHER}"),
        format!("hmac-sha1:inside-key:{INSIDE}"),
        format!("hmac-sha256:nobody:{OTHER}"),
        format!("hmac-md5:old-key:{PARTNER}"),
        format!("hmac-sha384:own-key:{INSIDE}"),
    ];
    std::iter::once(None).chain(signatures.map(Some)).collect()
}

/// Parts of the keys that some view accepts.
const KNOWN: [&str; 4] = [":inside-key:aW5", "partner-key", "sha256-128", "own-key"];

const QUESTIONS: &[&str] = &[
    "www.example.com A",
    "nothing.example.com A",
    "www.shared.test A",
    "www.secret.test A",
    "www.signed.test A",
    "www.there.test A",
    "www.zone7.test A",
    "www.example.com ANY",
];

/// An operator's session with the company's server.
const SESSION: &[&str] = &[
    "status",
    "zonestatus example.com",
    "zonestatus example.com IN inside",
    "zonestatus secret.test IN outside",
    "zonestatus shared.test IN partners",
    "zonestatus shared.test",
    "reload shared.test IN partners",
    "reload shared.test",
    "zonestatus zone3.test",
    "zonestatus zone3.test IN nowhere",
    "reload example.com",
    "reload example.com IN partners",
    "reload nothing.test IN partners",
    "freeze example.com IN inside",
    "refresh example.com IN inside",
    "querylog",
    "querylog on",
    "tsig-list",
    "trace 3",
    "notrace",
    "reconfig",
    "reload",
    "flush",
    "status",
];

fn conf(control: u16, statistics: u16) -> String {
    let zone =
        |name: &str, file: &str, more: &str| format!("  zone {name} {{ type primary; file \"{file}\"; {more} }};\n");
    let many = |file: &str| (0..ZONES).map(|i| zone(&format!("zone{i}.test"), file, "")).collect::<String>();
    format!(
        "{rndc}controls {{ inet 127.0.0.1 port {control} allow {{ 127.0.0.1; }} keys {{ rndc-key; }}; }};
statistics-channels {{ inet 127.0.0.1 port {statistics} allow {{ 127.0.0.1; }}; }};
logging {{
  channel audit {{ file \"audit.log\" versions 3 size 1m; print-time iso8601; print-category yes; severity info; }};
  channel nothing {{ null; }};
  category security {{ audit; default_stderr; }};
  category queries {{ audit; }};
  category lame-servers {{ nothing; }};
}};
key inside-key {{ algorithm hmac-sha256; secret \"{INSIDE}\"; }};
key partner-key {{ algorithm hmac-sha512; secret \"{PARTNER}\"; }};
key short-key {{ algorithm hmac-sha256-128; secret \"{PARTNER}\"; }};
key old-key {{ algorithm hmac-md5; secret \"{PARTNER}\"; }};
acl offices {{ 127.0.0.2; 127.0.0.64/26; }};
acl staff {{ key inside-key; !127.0.0.66; offices; }};
acl partners {{ key partner-key; {{ key short-key; !127.0.0.4; }}; }};
view inside {{
  match-clients {{ !key partner-key; staff; }};
  minimal-responses yes;
{inside}{}{}{}  zone signed.test {{ type primary; file \"a.zone\"; allow-query {{ key inside-key; }}; }};
}};
view partners {{
  match-clients {{ partners; key own-key; }};
  match-destinations {{ 127.0.0.1; key own-key; }};
  key own-key {{ algorithm hmac-sha384; secret \"{INSIDE}\"; }};
  allow-query {{ !127.0.0.4; any; }};
{partners}  zone shared.test {{ in-view inside; }};
{}}};
view outside {{
  match-recursive-only no;
  allow-query-on {{ any; }};
{outside}{}{}}};
",
        zone("shared.test", "a.zone", "allow-query { any; };"),
        zone("secret.test", "a.zone", "allow-query { !offices; any; };"),
        many("a.zone"),
        many("b.zone"),
        zone("there.test", "c.zone", "allow-query-on { 127.0.0.3; };"),
        many("c.zone"),
        rndc = key("rndc-key", "hmac-sha256"),
        inside = zone("example.com", "a.zone", ""),
        partners = zone("example.com", "b.zone", "allow-query { any; };"),
        outside = zone("example.com", "c.zone", ""),
    )
}

/// The ports of the company's server.
struct Ports {
    dns: u16,
    control: u16,
    statistics: u16,
}

impl Ports {
    fn free() -> Ports {
        Ports { dns: free_port(), control: free_port(), statistics: free_port() }
    }

    /// Whether a command succeeded, and what rndc printed.
    fn rndc(&self, server: &Server, command: &str) -> (bool, String) {
        let port = self.control.to_string();
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut rndc = Command::new("rndc");
        rndc.env("PATH", path).arg("-c").arg(server.folder().join("rndc.conf"));
        let output = rndc.args(["-s", "127.0.0.1", "-p", &port]).args(command.split(' ')).output();
        let output = output.expect("rndc must be installed: run scripts/install-test-tools");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), text.replace(&server.folder().display().to_string(), ""))
    }
}

fn prepared(port: u16) -> Prepared {
    prepare(&Ports { dns: port, ..Ports::free() })
}

fn prepare(ports: &Ports) -> Prepared {
    let zone = |address: &str| super::zone(1, address);
    let files = [("a.zone", zone("192.0.2.1")), ("b.zone", zone("192.0.2.2")), ("c.zone", zone("192.0.2.3"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let options = "dnssec-validation no; recursion no; version \"v\"; hostname none; rrset-order { order fixed; };
  rate-limit { responses-per-second 1000; exempt-clients { 127.0.0.2; }; };";
    let mut prepared = Prepared::new(options, "", &files);
    prepared.listen_on(&format!("port {} {{ 127.0.0.1; 127.0.0.3; }}", ports.dns));
    prepared.configure(&conf(ports.control, ports.statistics));
    let key = key("rndc-key", "hmac-sha256");
    prepared.write("rndc.conf", &format!("{key}options {{ default-key rndc-key; }};\n"));
    prepared
}

/// The answers as dig shows them, without what differs between two signatures.
fn ask(port: u16, (from, to): (&str, &str), signature: Option<&str>) -> String {
    let mut dig = Command::new("dig");
    dig.args([&format!("@{to}"), "-p", &port.to_string(), "-b", from, "+tries=1", "+time=20", "+nocookie"]);
    dig.args(["+norecurse", "+nostats", "+nocmd"]);
    if let Some(signature) = signature {
        dig.args(["-y", signature]);
    }
    // A client whose signature is not accepted gets the same answer to everything.
    let known = signature.is_none_or(|signature| KNOWN.iter().any(|known| signature.contains(known)));
    for question in QUESTIONS.iter().take(if known { QUESTIONS.len() } else { 1 }) {
        dig.args(question.split(' '));
    }
    let output = dig.output().expect("dig: install bind9-dnsutils");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.lines().filter_map(comparable).collect::<Vec<_>>().join("\n")
}

fn comparable(line: &str) -> Option<String> {
    if line.contains("TSIG\t") || line.contains(" TSIG ") {
        // Time, code and ID always differ.
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (fudge_and_length, error) = (words.get(6..8)?, words.get(words.len().checked_sub(2)?..)?);
        return Some([&words[..5], fudge_and_length, error].concat().join(" "));
    }
    let line = line.split(", id:").next().unwrap_or(line);
    let ours = line.contains("EDE") || line.starts_with("; OPT=15") || line.trim().is_empty();
    (!ours).then(|| line.to_owned())
}

#[test]
fn every_client_sees_what_named_shows_it() {
    let (ours, theirs) = (free_port(), free_port());
    let bindyd = prepared(ours).run();
    let named =
        prepared(theirs).with_arguments(&["-g", "-n", "1", "-c", "named.conf"]).run_until("named", "all zones loaded");
    let mut differences = Vec::new();
    for &place in PLACES {
        for signature in signatures() {
            let [here, there] = [ours, theirs].map(|port| ask(port, place, signature.as_deref()));
            assert!(there.contains("status: "), "named does not answer: {there}");
            if here != there {
                differences.push(format!("{place:?} {signature:?}\nbindyd:\n{here}\nnamed:\n{there}\n"));
            }
        }
    }
    drop((bindyd, named));
    assert!(differences.is_empty(), "{} differences; the first:\n{}", differences.len(), differences[0]);
}

#[test]
fn an_operator_is_told_what_named_tells() {
    let (here, there) = (Ports::free(), Ports::free());
    let bindyd = prepare(&here).run();
    let named =
        prepare(&there).with_arguments(&["-g", "-n", "1", "-c", "named.conf"]).run_until("named", "all zones loaded");
    wait_until(|| there.rndc(&named, "null").0, "named listens to rndc");
    for command in SESSION {
        let told = [(&here, &bindyd), (&there, &named)].map(|(ports, server)| {
            let (success, text) = ports.rndc(server, command);
            (success, text.lines().filter_map(lasting).collect::<Vec<_>>().join("\n"))
        });
        assert_eq!(told[0], told[1], "{command}");
    }
    // What both servers count per view, and which clients they admit.
    let [ours, theirs] = [&here, &there].map(|ports| zones_of(ports.statistics));
    assert_eq!(ours, theirs);
    assert!(ours.len() > 3 * ZONES, "{ours:?}");
    drop((bindyd, named));
}

/// A line of rndc's output, unless it depends on the time or the server.
fn lasting(line: &str) -> Option<String> {
    let own = ["version: ", "running on ", "boot time: ", "last configured: ", "CPUs found: ", "worker threads: "];
    let by_the_way = ["UDP listeners per interface: ", "recursive clients: ", "tcp clients: ", "TCP high-water: "];
    let zones = ["number of zones: "]; // named counts its built-in zones, too.
    let differs = own.iter().chain(&by_the_way).chain(&zones).any(|start| line.starts_with(start));
    let line = line.split_once("last loaded: ").map_or(line, |(before, _)| before);
    (!differs).then(|| line.to_owned())
}

/// The zones in the statistics, each with its view and serial.
fn zones_of(port: u16) -> BTreeSet<String> {
    let (_, _, body) = super::statistics::fetch(port, "/json/v1/zones");
    let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let views = json["views"].as_object().expect("views").iter().filter(|(view, _)| *view != "_bind");
    views
        .flat_map(|(view, inside)| {
            let zones = inside["zones"].as_array().cloned().unwrap_or_default();
            zones.into_iter().map(move |zone| format!("{view} {} {} {}", zone["name"], zone["serial"], zone["type"]))
        })
        .collect()
}

/// The address that a client gets for a name.
fn address_of(name: &str, port: u16, place: (&str, &str), signature: Option<&str>) -> Option<String> {
    let text = ask(port, place, signature);
    let record = text.lines().find(|line| line.starts_with(&format!("{name}.\t")))?;
    record.split_ascii_whitespace().last().map(str::to_owned)
}

#[test]
fn who_may_see_no_view_is_told_so_by_the_key_used() {
    let conf = format!(
        "key k {{ algorithm hmac-sha256; secret \"{INSIDE}\"; }};\n\
         view inside {{ match-clients {{ 127.0.0.2; }}; zone example.com {{ type primary; file \"example.zone\"; }}; }};\n"
    );
    let server = Prepared::new("", &conf, &[("example.zone", super::ZONE)]).run();
    let known = format!("hmac-sha256:k:{INSIDE}");
    let answer = server.dig(&["-y", &known, "+noall", "+comments", "+answer", "www.example.com"]);
    assert!(answer.contains("status: REFUSED") && !answer.contains("verify"), "{answer}");
    let unknown = format!("hmac-sha256:nobody:{INSIDE}");
    let answer = server.dig(&["-y", &unknown, "www.example.com"]);
    assert!(answer.contains("status: REFUSED") && answer.contains("BADKEY"), "{answer}");
}

#[test]
fn the_address_asked_chooses_the_view() {
    let port = free_port();
    let _server = prepared(port).run();
    let partner = format!("hmac-sha512:partner-key:{PARTNER}");
    let seen = |to| address_of("www.example.com", port, ("127.0.0.1", to), Some(&partner));
    assert_eq!(seen("127.0.0.1").as_deref(), Some("192.0.2.2"), "the partners' view");
    assert_eq!(seen("127.0.0.3").as_deref(), Some("192.0.2.3"), "its match-destinations leaves this out");
    let there = |to| address_of("www.there.test", port, ("127.0.0.1", to), None);
    assert_eq!((there("127.0.0.3").as_deref(), there("127.0.0.1")), (Some("192.0.2.3"), None), "allow-query-on");
}

#[test]
fn a_change_of_a_shared_zone_is_seen_in_both_views() {
    let port = free_port();
    let server: Server = prepared(port).run();
    let address =
        |from: &str, signature: Option<&str>| address_of("www.shared.test", port, (from, "127.0.0.1"), signature);
    let partner = format!("hmac-sha512:partner-key:{PARTNER}");
    assert_eq!(address("127.0.0.2", None).as_deref(), Some("192.0.2.1"));
    server.write("a.zone", &super::zone(2, "192.0.2.77"));
    server.reload();
    wait_until(|| address("127.0.0.2", None).as_deref() == Some("192.0.2.77"), "the view that has it shows the change");
    assert_eq!(address("127.0.0.1", Some(&partner)).as_deref(), Some("192.0.2.77"));
}
