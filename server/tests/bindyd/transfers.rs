//! Zone transfers to others, as dig and named get them.

use std::{collections::BTreeSet, fmt::Write as _, io::Write, net::TcpStream, process::Command};

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    server::{Prepared, Server, dig, wait_until},
};

pub const KEY: &str = "key k { algorithm hmac-sha256; secret \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"; };";
pub const SIGN: [&str; 2] = ["-y", "hmac-sha256:k:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="];

fn conf(statements: &str) -> String {
    format!("{KEY} zone \"example.com\" {{ type primary; file \"example.zone\"; {statements} }};")
}

/// A zone of many messages, with names that are compressed and names that are not.
pub fn large_zone(names: u32) -> String {
    let mut zone = ZONE.to_owned();
    for i in 0..names {
        let _ = writeln!(
            zone,
            "h{i} A 192.0.2.{}\n  MX {i} mail.h{i}\n  TXT \"{}\"",
            i % 256,
            "t".repeat(i as usize % 200)
        );
        let _ = writeln!(zone, "x{i} CNAME H{i}.Example.Com.\ns{i} SRV 1 2 3 h{i}.elsewhere.");
    }
    zone
}

/// A server at a port that was free, and the port.
fn serve(program: &str, conf: &str, files: &[(&str, &str)]) -> (Server, u16) {
    let port = free_port();
    let mut prepared = Prepared::new("recursion no; dnssec-validation no; notify no;", "", files);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    prepared.configure(conf);
    let server = prepared.run_until(program, "all zones loaded");
    server.runs();
    (server, port)
}

pub fn records(answer: &str) -> Vec<String> {
    let lines = answer.lines().filter(|line| !line.is_empty() && !line.starts_with(';') && !line.contains("TSIG"));
    lines.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_zone_of_many_messages_is_transferred_as_by_named() {
    let run = |program: &str| {
        let (_server, port) =
            serve(program, &conf("allow-transfer { key k; };"), &[("example.zone", &*large_zone(3000))]);
        let dig = |question: &[&str]| dig("127.0.0.1", port, question);
        let answers: Vec<_> = [&["AXFR"][..], &["AXFR", "+noedns"], &["IXFR=0"], &["IXFR=1"]]
            .into_iter()
            .map(|question| dig(&[&SIGN, &["+tcp", "example.com"], question].concat()))
            .collect();
        let refused = dig(&["example.com", "AXFR"]);
        assert!(refused.contains("Transfer failed."), "{refused}");
        answers
    };
    let (ours, named) = (run(env!("CARGO_BIN_EXE_bindyd")), run("named"));
    for (ours, named) in ours.iter().zip(&named) {
        assert!(!ours.contains("WARNING") && !ours.contains("Couldn't verify"), "{ours}");
        assert!(!ours.contains("expected opt"), "every message has an OPT, as dig expects:\n{ours}");
        let (mine, theirs) = (records(ours), records(named));
        assert_eq!((mine.len(), mine.first(), mine.last()), (theirs.len(), theirs.first(), theirs.last()));
        let set = |records: Vec<String>| records.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(set(mine), set(theirs));
    }
    let messages = |answer: &str| answer.matches("hmac-sha256.").count();
    assert!(messages(&ours[0]) > 10, "every message is signed");
    assert_eq!(messages(&ours[3]), 1);
}

/// Asks for a transfer of example.com, and does not read the response.
fn ask(server: &Server) -> TcpStream {
    const AXFR: &[u8] = b"\0\x1d\0\x01\0\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\xfc\0\x01";
    let mut client = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    client.write_all(AXFR).unwrap();
    client
}

#[test]
fn no_more_transfers_run_than_may_and_one_that_is_refused_takes_no_place() {
    let files = [("example.zone", &*large_zone(60_000))];
    let conf = conf("allow-transfer { key k; 127.0.0.1; };");
    let server = Prepared::new("transfers-out 1;", &conf, &files).run();
    let slow = ask(&server);
    server.says("transfer of 'example.com/IN': AXFR started (serial 1)");
    let refused = server.dig(&[&SIGN, &["example.com", "AXFR"][..]].concat());
    assert!(refused.contains("Transfer failed."), "{refused}");
    server.says("/key k (example.com): AXFR request denied: quota reached");
    drop(slow);
    server.says("transfer of 'example.com/IN': AXFR: the client left after ");
    let whole = server.dig(&[&SIGN, &["example.com", "AXFR"][..]].concat());
    assert_eq!(records(&whole).len(), 5 * 60_000 + 5);
    server.says("AXFR ended: ");
}

#[test]
fn a_record_that_no_message_can_hold_ends_the_transfer() {
    let (owner, data) = ("a".repeat(63), "00".repeat(65_500));
    let zone = format!("{ZONE}{owner} TYPE65400 \\# 65500 {data}\nlast A 192.0.2.1\n");
    let server = Server::start(&conf("allow-transfer { any; };"), &[("example.zone", &zone)]);
    let answer = server.dig(&["example.com", "AXFR"]);
    assert!(answer.contains("Transfer failed.") || answer.contains("communications error"), "{answer}");
    server.says("transfer of 'example.com/IN': AXFR: a record does not fit into any message");
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.1\n");
}

#[test]
fn who_asks_wrongly_is_told_as_by_named() {
    let run = |program: &str| {
        let conf = conf("allow-transfer { any; };") + "zone missing { type primary; file \"missing.zone\"; };";
        let (_server, port) = serve(program, &conf, &[("example.zone", ZONE)]);
        let ask = |question: &[&str]| {
            let answer = Command::new("kdig").args(["@127.0.0.1", "-p", &port.to_string()]).args(question).output();
            let answer = answer.expect("kdig is installed: run scripts/install-test-tools");
            let said = String::from_utf8_lossy(&answer.stdout) + String::from_utf8_lossy(&answer.stderr);
            let error = said.split("replied with error '").nth(1).and_then(|rest| rest.split('\'').next());
            error.map_or_else(|| records(&said).join("\n"), str::to_owned)
        };
        let questions: [&[&str]; 7] = [
            &["example.com", "AXFR"],
            &["www.example.com", "AXFR"],
            &["nowhere.test", "AXFR"],
            &["missing", "AXFR"],
            &["example.com", "AXFR", "-c", "CH"],
            &["example.com", "IXFR=1", "+notcp"],
            &["example.com", "IXFR=0", "+notcp"],
        ];
        questions.map(|question| (question.join(" "), ask(question)))
    };
    assert_eq!(run(env!("CARGO_BIN_EXE_bindyd")), run("named"));
}

/// A request for IXFR over UDP was answered as a question for the SOA: with name servers and addresses, and not to clients
/// who may transfer the zone and not query it.
#[test]
fn over_udp_who_may_transfer_a_zone_gets_the_changes_or_the_soa_alone() {
    let run = |program: &str| {
        let conf = conf("allow-query { key k; }; allow-transfer { 127.0.0.1; }; allow-update { key k; };");
        serve(program, &conf, &[("example.zone", ZONE)])
    };
    let ask = |port, question: &[&str]| {
        let answer = dig("127.0.0.1", port, &[&["+notcp", "+ignore", "+nocookie", "example.com"], question].concat());
        let size = answer.lines().find(|line| line.contains("MSG SIZE")).unwrap_or_default().to_owned();
        (records(&answer), size)
    };
    let ((_ours, port), (_named, theirs)) = (run(env!("CARGO_BIN_EXE_bindyd")), run("named"));
    for question in ["IXFR=0", "IXFR=1", "IXFR=9"] {
        assert_eq!(ask(port, &[question]), ask(theirs, &[question]), "{question}");
    }
    let both = |update: &str| [port, theirs].map(|port| super::updates::nsupdate(port, &SIGN, update)).concat();
    assert_eq!(both("update add one.example.com 60 A 192.0.2.1"), "");
    // named has the SOA in any case.
    let (changes, _) = ask(port, &["IXFR=1"]);
    let kinds: Vec<_> = changes.iter().filter_map(|record| record.split(' ').nth(3)).collect();
    assert_eq!(kinds, ["SOA", "SOA", "SOA", "A", "SOA"], "{changes:#?}");
    assert_eq!(ask(port, &["IXFR=0"]), ask(theirs, &["IXFR=0"]));
    let long = format!("update add two.example.com 60 TXT {} {}", "t".repeat(200), "u".repeat(200));
    assert_eq!(both(&long), "");
    assert!(ask(port, &["IXFR=1"]).0.len() == 6);
    for question in [&["IXFR=1", "+noedns"][..], &["IXFR=2", "+bufsize=512"], &["IXFR=3"]] {
        assert_eq!(ask(port, question), ask(theirs, question), "{question:?}");
    }
}

/// NSD can be told to ask over UDP.
#[test]
fn nsd_follows_over_udp() {
    let (here, there) = (free_port(), free_port());
    let mut primary = Prepared::new("notify explicit;", "", &[("example.zone", ZONE)]);
    primary.listen_on(&format!("port {here} {{ 127.0.0.1; }}"));
    let notify = format!("also-notify {{ 127.0.0.1 port {there}; }};");
    primary.configure(&conf(&format!("{notify} allow-transfer {{ 127.0.0.1; }}; allow-update {{ key k; }};")));
    let primary = primary.run();
    let secondary = Prepared::new("", "", &[]).with_arguments(&["-d", "-c", "nsd.conf"]);
    let folder = secondary.folder().display();
    secondary.write(
        "nsd.conf",
        &format!(
            "server:\n ip-address: 127.0.0.1@{there}\n zonesdir: {folder}\n database: \"\"\n pidfile: \"\"\n \
             xfrdfile: {folder}/xfrd\n xfrdir: {folder}\n zonelistfile: {folder}/zones\n username: \"\"\n verbosity: 2\n\
             remote-control:\n control-enable: no\n\
             zone:\n name: example.com\n zonefile: copy\n allow-notify: 127.0.0.1 NOKEY\n \
             request-xfr: UDP 127.0.0.1@{here} NOKEY\n"
        ),
    );
    let _secondary = secondary.run_until("nsd", "nsd started");
    let serial = || dig("127.0.0.1", there, &["+short", "example.com", "SOA"]).split(' ').nth(2).map(str::to_owned);
    wait_until(|| serial().as_deref() == Some("1"), "NSD has the zone");
    for (update, number) in [("update add one.example.com 60 A 192.0.2.1", "2"), ("update del one.example.com", "3")] {
        assert_eq!(super::updates::nsupdate(here, &SIGN, update), "");
        wait_until(|| serial().as_deref() == Some(number), "NSD has followed");
    }
    assert!(primary.goes_on_without(" started (serial 2"), "the changes came over UDP");
}

/// What a journal takes on the disk was compared with what a zone takes in memory.
#[test]
fn how_large_a_change_may_be_is_measured_as_by_named() {
    let ratios = 25..75;
    let zone = |ratio: u32| format!("z{ratio}.example.com");
    let of_ratio = |ratio| {
        let name = zone(ratio);
        format!(
            "zone \"{name}\" {{ type primary; file \"{name}\"; allow-update {{ key k; }}; allow-transfer {{ any; }}; \
             max-ixfr-ratio {ratio}%; }};\n"
        )
    };
    let conf = KEY.to_owned() + &ratios.clone().map(of_ratio).collect::<String>();
    let names: Vec<_> = ratios.clone().map(zone).collect();
    let text = (1..9).fold(ZONE.to_owned(), |text, i| text + &format!("h{i} A 192.0.2.{i}\n"));
    let files: Vec<_> = names.iter().map(|name| (&**name, &*text)).collect();
    let update = |name: &String| {
        format!("zone {name}\nupdate add a.{name} 60 A 192.0.2.7\nupdate add a.{name} 60 A 192.0.2.8\nsend\n")
    };
    let updates: String = names.iter().map(update).collect();
    let run = |program: &str| {
        let (_server, port) = serve(program, &conf, &files);
        assert_eq!(super::updates::nsupdate(port, &SIGN, &updates), "");
        let is_incremental = |name: &String| {
            let answer = dig("127.0.0.1", port, &["+tcp", name, "IXFR=1"]);
            records(&answer).iter().filter(|record| record.contains(" SOA ")).count() == 4
        };
        names.iter().map(is_incremental).collect::<Vec<_>>()
    };
    let (ours, named) = (run(env!("CARGO_BIN_EXE_bindyd")), run("named"));
    assert!(named.contains(&true) && named.contains(&false), "{named:?}");
    assert_eq!(ours, named);
}

/// A zone that a secondary asks for every second, changed by updates: it gets the changes, and never the whole zone
/// again.
#[test]
fn named_follows_by_ixfr_what_is_updated_here() {
    let zone = large_zone(200).replace(" 3600 900 604800 300", " 1 1 604800 300");
    let conf_here = conf("allow-transfer { key k; }; allow-update { key k; };");
    let (primary, port) = serve(env!("CARGO_BIN_EXE_bindyd"), &conf_here, &[("example.zone", &zone)]);
    let there = format!(
        "{KEY} zone \"example.com\" {{ type secondary; file \"copy\"; primaries {{ 127.0.0.1 port {port} key k; }};\
         min-refresh-time 1; min-retry-time 1; allow-transfer {{ any; }}; }};"
    );
    let (_secondary, copy) = serve("named", &there, &[]);
    let serial = |port| dig("127.0.0.1", port, &["+short", "example.com", "SOA"]).split(' ').nth(2).map(str::to_owned);
    wait_until(|| serial(copy).as_deref() == Some("1"), "named has the zone");
    let updates = [
        "update add one.example.com 60 A 192.0.2.1",
        "update add one.example.com 60 A 192.0.2.2\nupdate del h7.example.com",
        "update del one.example.com\nupdate add example.com 300 NS ns2.example.com\nupdate add ns2.example.com 60 A 192.0.2.3",
        "update add h9.example.com 7200 A 192.0.2.200",
    ];
    for (update, number) in updates.into_iter().zip(2..) {
        assert_eq!(super::updates::nsupdate(port, &SIGN, update), "");
        // The last two come together.
        if number < 4 {
            wait_until(|| serial(copy) == Some(number.to_string()), "named has followed");
        }
    }
    wait_until(|| serial(copy).as_deref() == Some("5"), "named has followed");
    let whole = |port, signed: &[&str]| {
        let answer = dig("127.0.0.1", port, &[signed, &["+onesoa", "example.com", "AXFR"]].concat());
        records(&answer).into_iter().collect::<BTreeSet<_>>()
    };
    assert_eq!(whole(copy, &[]), whole(port, &SIGN));
    primary.says("IXFR started: TSIG k (serial 1 -> 2)");
    assert!(primary.goes_on_without("AXFR-style"));
    let back = dig("127.0.0.1", port, &[&SIGN, &["+tcp", "example.com", "IXFR=3"][..]].concat());
    assert_eq!(records(&back).iter().filter(|record| record.contains("SOA")).count(), 4, "one change:\n{back}");
}
