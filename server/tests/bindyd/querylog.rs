//! The query log, compared with `named`.

use std::fs;

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    control::{SECRET, key},
    server::{Prepared, Server, dig, wait_until},
};

const LOGGING: &str = "logging { channel q { file \"q.log\"; print-category yes; print-severity yes; };\n\
                       channel rest { file \"rest.log\"; print-category yes; };\n\
                       category queries { q; }; category security { q; }; category query-errors { q; };\n\
                       category default { rest; }; };\n";

const ZONES: &str = "zone example.com { type primary; file \"example.zone\"; };\n\
                     zone closed.test { type primary; file \"example.zone\"; allow-query { none; }; };\n\
                     zone gone.test { type primary; file \"missing.zone\"; };\n";

/// Starts a listening server, bindyd or named, and returns it with its port.
fn start(program: &str, conf: &str, options: &str) -> (Server, u16) {
    let mut prepared =
        Prepared::new(&format!("recursion no; dnssec-validation no; {options}"), "", &[("example.zone", ZONE)]);
    let port = free_port();
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    prepared.configure(conf);
    let server = prepared.with_arguments(&["-f", "-n", "1", "-c", "named.conf"]).run_program(program);
    wait_until(|| dig("127.0.0.1", port, &["+nocookie", "example.com", "SOA"]).contains("NOERROR"), "it answers");
    (server, port)
}

/// The lines without what differs between servers: the client's number and port, and the position in named's source
/// code.
fn lines(server: &Server, last: &str) -> Vec<String> {
    let log = server.writes("q.log", last);
    let plain = |line: &str| {
        let (before, rest) = line.split_once("client @0x")?;
        let (number, rest) = rest.split_once(' ')?;
        assert_eq!(number.len(), 12, "{line}");
        let (address, rest) = rest.split_once('#')?;
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = rest.split_once(" at query.c:").map_or(rest, |(rest, _)| rest);
        Some(format!("{before}client {address}{rest}"))
    };
    let known = log.lines().filter(|line| !line.contains("(example.com): query: example.com IN SOA"));
    known.map(|line| plain(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

#[test]
fn queries_and_refusals_are_told_in_named_s_words() {
    let questions: &[&[&str]] = &[
        &["+nocookie", "www.example.com"],
        &["+nocookie", "+norecurse", "+dnssec", "+cdflag", "WWW.example.COM", "AAAA"],
        &["+nocookie", "+tcp", "nx.example.com", "TYPE65333"],
        &["+nocookie", "+noedns", "www.example.com", "MX"],
        &["+nocookie", "CH", "TXT", "version.bind"],
        &["+nocookie", "www.closed.test"],
        &["+nocookie", "www.gone.test"],
        &["+nocookie", "else.where", "NS"],
        &["+nocookie", ".", "NS"],
        &["+nocookie", "a\\.b\\000\\ c.example.com"],
        &["+nocookie", "+subnet=192.0.2.0/24", "www.example.com"],
        &["+nocookie", "+subnet=2001:db8:1::/37", "www.example.com", "AAAA"],
        &["+nocookie", "+subnet=0", "www.example.com"],
        // Malformed queries are not logged as queries.
        &["+nocookie", "+edns=1", "+noednsnegotiation", "www.example.com"],
        &["+nocookie", "last.example.com"],
    ];
    let logs = [env!("CARGO_BIN_EXE_bindyd"), "named"].map(|program| {
        let (server, port) = start(program, &format!("{LOGGING}{ZONES}"), "");
        // A client cookie alone, then a cookie with the server's part.
        let answer = dig("127.0.0.1", port, &["new.example.com"]);
        let cookie = answer.split_once("COOKIE: ").and_then(|(_, rest)| rest.split_ascii_whitespace().next());
        dig("127.0.0.1", port, &[&format!("+cookie={}", cookie.expect("it is given one")), "known.example.com"]);
        for question in questions {
            dig("127.0.0.1", port, question);
        }
        lines(&server, "query: last.example.com")
    });
    assert_eq!(logs[0], logs[1]);
}

#[test]
fn transfers_are_told_in_named_s_words() {
    let zones = "zone example.com { type primary; file \"example.zone\"; allow-transfer { any; }; };\n\
                 zone closed.test { type primary; file \"example.zone\"; allow-transfer { none; }; };\n\
                 zone gone.test { type primary; file \"missing.zone\"; allow-transfer { any; }; };\n";
    let conf = format!("{LOGGING}{}{zones}", key("k", "hmac-sha256"));
    let signed = format!("hmac-sha256:k:{SECRET}");
    let questions: &[&[&str]] = &[
        &["+tcp", "example.com", "AXFR"],
        &["+tcp", "-y", &signed, "example.com", "AXFR"],
        &["+tcp", "-y", &signed.replace("MDEy", "MDEx"), "example.com", "AXFR"],
        &["+tcp", "example.com", "IXFR=0"],
        &["+notcp", "example.com", "IXFR=1"],
        &["+tcp", "closed.test", "AXFR"],
        &["+notcp", "closed.test", "IXFR=1"],
        &["+tcp", "gone.test", "AXFR"],
        &["+tcp", "else.where", "AXFR"],
        &["last.example.com"],
    ];
    let logs = [env!("CARGO_BIN_EXE_bindyd"), "named"].map(|program| {
        let (server, port) = start(program, &conf, "");
        for question in questions {
            dig("127.0.0.1", port, &[&["+nocookie"], *question].concat());
        }
        // What is refused is logged before the query or after it.
        let mut lines = lines(&server, "query: last.example.com");
        lines.sort();
        lines
    });
    assert_eq!(logs[0], logs[1]);
}

#[test]
fn views_and_keys_are_told_in_named_s_words() {
    let zone = "zone example.com { type primary; file \"example.zone\"; };";
    let conf = format!(
        "{LOGGING}{}view inside {{ match-clients {{ key k; }}; {zone} }};\n\
         view outside {{ {zone} zone closed.test {{ type primary; file \"example.zone\"; allow-query {{ key k; }}; }}; }};\n",
        key("k", "hmac-sha256")
    );
    let signed = format!("hmac-sha256:k:{SECRET}");
    let wrong = signed.replace("MDEy", "MDEx");
    let questions: &[&[&str]] = &[
        &["+nocookie", "www.example.com"],
        &["+nocookie", "-y", &signed, "www.example.com"],
        &["+nocookie", "+tcp", "-y", &signed, "www.example.com", "TXT"],
        &["+nocookie", "www.closed.test"],
        &["+nocookie", "-y", &wrong, "bad.example.com"],
        &["+nocookie", "-y", &signed.replace(":k:", ":nobody:"), "bad.example.com"],
        &["+nocookie", "-y", &signed.replace("256:", "256-128:"), "bad.example.com"],
        &["+nocookie", "+fuzztime", "-y", &signed, "bad.example.com"],
        &["+nocookie", "last.example.com"],
    ];
    let logs = [env!("CARGO_BIN_EXE_bindyd"), "named"].map(|program| {
        let (server, port) = start(program, &conf, "");
        for question in questions {
            dig("127.0.0.1", port, question);
        }
        lines(&server, "query: last.example.com")
    });
    assert_eq!(logs[0], logs[1]);
    for (key, error) in [("k", "BADSIG"), ("nobody", "BADKEY"), ("k", "BADTRUNC"), ("k", "BADTIME")] {
        let line = format!("outside: request has invalid signature: TSIG {key}: tsig verify failure ({error})");
        assert!(logs[0].iter().any(|told| told.contains(&line)), "{line}: {:?}", logs[0]);
    }
    assert!(
        logs[0].iter().any(|line| line.contains("/key k (www.example.com): view inside: query: ")),
        "{:?}",
        logs[0]
    );
}

#[test]
fn queries_are_logged_when_it_is_said_or_they_have_a_channel() {
    let silent = LOGGING.replace("category queries { q; };", "");
    for (options, logging, logged) in
        [("", LOGGING, true), ("querylog no;", LOGGING, false), ("", &*silent, false), ("querylog yes;", &silent, true)]
    {
        for program in [env!("CARGO_BIN_EXE_bindyd"), "named"] {
            let (server, port) = start(program, &format!("{logging}{ZONES}"), options);
            dig("127.0.0.1", port, &["www.example.com"]);
            // A refusal is always logged, after the query itself.
            dig("127.0.0.1", port, &["www.closed.test"]);
            server.writes("q.log", "query 'www.closed.test/A/IN' denied");
            let read = |name| fs::read_to_string(server.folder().join(name)).unwrap_or_default();
            let told =
                read("q.log").contains("query: www.example.com") || read("rest.log").contains("query: www.example.com");
            assert_eq!(told, logged, "{program}: {options} {logging}");
        }
    }
}

#[test]
fn one_in_so_many_is_logged() {
    let (server, port) = start(env!("CARGO_BIN_EXE_bindyd"), &format!("{LOGGING}{ZONES}"), "querylog-sample 5;");
    for n in 0..50 {
        dig("127.0.0.1", port, &[&format!("n{n}.example.com")]);
    }
    dig("127.0.0.1", port, &["www.closed.test"]);
    let log = server.writes("q.log", "query 'www.closed.test/A/IN' denied");
    // There is one UDP worker, and it also counted the earlier queries.
    let queries = log.matches("query: n").count();
    assert!((9..=11).contains(&queries), "{queries} of 50:\n{log}");
}

#[test]
fn json_has_the_parts_of_a_query_by_name() {
    let logging = "logging { channel q { file \"q.log\"; print-json yes; }; channel rest { file \"rest.log\"; print-category yes; };\n\
                   category queries { q; }; category default { rest; }; };\n";
    let (server, port) = start(env!("CARGO_BIN_EXE_bindyd"), &format!("{logging}{ZONES}"), "");
    dig("127.0.0.1", port, &["+nocookie", "+tcp", "last.example.com", "MX"]);
    let log = server.writes("q.log", "query: last.example.com");
    let last = log.lines().find(|line| line.contains("last.example.com")).expect("it was waited for");
    let line: serde_json::Value = serde_json::from_str(last).expect("it is JSON");
    for (name, value) in [
        ("category", "queries"),
        ("client", "127.0.0.1"),
        ("name", "last.example.com"),
        ("class", "IN"),
        ("type", "MX"),
        ("flags", "+E(0)T"),
        ("server", "127.0.0.1"),
    ] {
        assert_eq!(line[name], value, "{last}");
    }
    assert!(line["port"].as_u64().is_some_and(|port| port > 0), "{last}");
}
