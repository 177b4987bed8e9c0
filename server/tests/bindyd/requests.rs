//! Requests with EDNS options that violate their RFCs, compared with `named`; and requests signed by a client other
//! than dig.

use std::process::Command;

use bindy_tests::ports::free_port;

use super::{
    EXAMPLE, ZONE,
    control::{Controlled, SECRET, key},
    server::{Prepared, dig},
};

/// Options by number, with their data: malformed ones, and a few that are well-formed.
const OPTIONS: &[&str] = &[
    "3",
    "3:00",
    "5:0102",
    "8:0001",
    "8:00011800",
    "8:00011800c00002",
    "8:00011800c0000201",
    "8:00011900c0000201",
    "8:00012100c000020100",
    "8:00031800c00002",
    "8:00000000",
    "8:00000100",
    "8:00020000",
    "8:000100",
    "8:00011821c00002",
    "9",
    "9:00000001",
    "9:000001",
    "10:01",
    "10:0102030405060708",
    "10:010203040506070809",
    "11",
    "11:0001",
    "12:0000",
    "14:4a5c",
    "14",
    "14:4a",
    "100:010203",
];

#[test]
fn malformed_options_are_answered_as_by_named() {
    let (ours, port) = (Controlled::ours(""), free_port());
    let _named = Controlled::start("named", &format!("port {port} {{ 127.0.0.1; }}"), "", EXAMPLE);
    for option in OPTIONS {
        let told = |port: u16| {
            let reply = dig("127.0.0.1", port, &["+nocookie", &format!("+ednsopt={option}"), "www.example.com"]);
            let status = reply.split_once("status: ").and_then(|(_, rest)| rest.split(',').next().map(str::to_owned));
            (status, reply.contains("OPT PSEUDOSECTION"), reply.contains("192.0.2.1"))
        };
        assert_eq!(told(ours.server.port()), told(port), "{option}");
    }
}

#[test]
fn kdig_proves_itself_with_every_algorithm() {
    for algorithm in ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"] {
        let conf = format!("{}{}", key("k", algorithm), EXAMPLE.replace("type", "allow-query { key k; }; type"));
        let server = Prepared::new("", &conf, &[("example.zone", ZONE)]).run();
        let ask = |secret: &str, transport| {
            let mut kdig = Command::new("kdig");
            kdig.args(["@127.0.0.1", "-p", &server.port().to_string(), transport, "-y"]);
            let output = kdig.args([&format!("{algorithm}:k:{secret}"), "www.example.com"]).output();
            let output = output.expect("kdig must be installed: run scripts/install-test-tools");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        for transport in ["+notcp", "+tcp"] {
            let reply = ask(SECRET, transport);
            assert!(reply.contains("192.0.2.1") && !reply.contains("WARNING"), "{algorithm}: {reply}");
            let reply = ask(&SECRET.replace("MDEy", "MDEx"), transport);
            assert!(reply.contains("BADSIG") && !reply.contains("192.0.2.1"), "{algorithm}: {reply}");
        }
    }
}
