//! Changes that named has in a zone's journal but not yet in its file must not be lost: `named` and `nsupdate` make
//! some, then `bindyd` takes named's place.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use super::{
    EXAMPLE, ZONE,
    control::{Controlled, SECRET, free_port},
    server::{Prepared, Server, dig, wait_until},
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");

const DYNAMIC: &str = "zone \"dynamic.test\" { type primary; file \"dynamic.zone\"; allow-update { key \"hmac-sha256\"; }; };\n\
                       zone \"example.com\" { type primary; file \"example.zone\"; };";

/// A named whose zone was changed by nsupdate, and its DNS port.
fn updated() -> (Controlled, u16) {
    updated_at("named")
}

/// The same with any server.
fn updated_at(program: &str) -> (Controlled, u16) {
    let port = free_port();
    let listen = format!("port {port} {{ 127.0.0.1; }}");
    let server = Controlled::start_with(program, &listen, "", DYNAMIC, &[("dynamic.zone", ZONE)]);
    let mut nsupdate = Command::new("nsupdate");
    nsupdate.args(["-y", &format!("hmac-sha256:hmac-sha256:{SECRET}")]).stdin(Stdio::piped());
    let mut nsupdate = nsupdate.spawn().expect("nsupdate: install bind9-dnsutils");
    let text = format!("server 127.0.0.1 {port}\nadd dyn.dynamic.test 300 A 192.0.2.7\nsend\n");
    nsupdate.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    assert!(nsupdate.wait().expect("it was started").success());
    (server, port)
}

fn ask(port: u16) -> String {
    dig("127.0.0.1", port, &["+short", "dyn.dynamic.test"])
}

#[test]
fn a_zone_whose_changes_are_in_its_journal_only_is_not_served() {
    let (mut server, port) = updated();
    assert_eq!(ask(port), "192.0.2.7\n");
    server.replace("KILL", BINDYD);
    assert_eq!(dig("127.0.0.1", port, &["+short", "www.example.com"]), "192.0.2.1\n");
    let reply = dig("127.0.0.1", port, &["www.dynamic.test"]);
    assert!(reply.contains("status: SERVFAIL") && reply.contains("EDE: 14"), "{reply}");
    server
        .server
        .says("dynamic.zone.jnl: the journal has changes up to serial 2, the zone file ends at 1 (write them into");

    // Runs the command that the message recommends.
    let said = server.server.said();
    let command =
        said.split('`').find(|quoted| quoted.starts_with("named-compilezone ")).expect("it says it").to_owned();
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new("sh").args(["-c", &command]).env("PATH", path).output().expect("sh is everywhere");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(server.told(&["reload", "dynamic.test"]).0);
    assert_eq!(ask(port), "192.0.2.7\n");
}

#[test]
fn a_journal_that_is_in_the_zone_file_is_no_matter() {
    for command in [&["sync", "dynamic.test"][..], &["sync", "-clean", "dynamic.test"]] {
        let (mut server, port) = updated();
        assert!(server.told(command).0);
        // named answers before it writes the file, and before it removes the journal.
        server.server.writes("dynamic.zone", "192.0.2.7");
        server.replace("KILL", BINDYD);
        let reply = dig("127.0.0.1", port, &["dyn.dynamic.test"]);
        assert!(reply.contains("192.0.2.7"), "{command:?}: {reply}");
    }
}

/// The unsigned file, older than what named had served, was served without a word.
#[test]
fn a_zone_that_named_signed_is_not_served_as_it_was_before() {
    let port = free_port();
    let mut prepared = Prepared::new("recursion no; dnssec-validation no;", "", &[("example.zone", ZONE)]);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    let signing = "dnssec-policy default; inline-signing yes; };";
    prepared.configure(&EXAMPLE.replace(" };", &format!(" {signing}")));
    let mut server = prepared.run_until("named", " running");
    let keys = || dig("127.0.0.1", port, &["+short", "example.com", "DNSKEY"]);
    wait_until(|| !keys().is_empty(), "named has signed the zone");
    server.configure(EXAMPLE);
    server.replace("TERM", BINDYD);
    server.says("example.zone.signed: named signed this zone up to serial ");
    server.says(" running");
    assert!(dig("127.0.0.1", port, &["www.example.com"]).contains("status: SERVFAIL"));

    server.write("example.zone", &ZONE.replace("hostmaster 1 ", "hostmaster 1000 "));
    server.reload();
    server.says("1000 is served unsigned");
    server.says("reloading configuration succeeded");
    assert_eq!(dig("127.0.0.1", port, &["+short", "www.example.com"]), "192.0.2.1\n");
}

/// The journal did not have the serial of the edited file, and the zone was not served, as with named.
#[test]
fn a_frozen_zone_that_was_edited_is_served_after_a_start() {
    let (mut server, port) = updated_at(BINDYD);
    assert!(server.told(&["freeze", "dynamic.test"]).0);
    let edited = ZONE.replace("hostmaster 1 ", "hostmaster 10 ") + "dyn A 192.0.2.7\nedited A 192.0.2.9\n";
    server.server.write("dynamic.zone", &edited);
    server.replace("KILL", BINDYD);
    assert_eq!(ask(port), "192.0.2.7\n");
    assert_eq!(dig("127.0.0.1", port, &["+short", "edited.dynamic.test"]), "192.0.2.9\n");
}

/// Its serial was raised, but it may lack what is in the journal.
#[test]
fn a_zone_that_was_edited_without_a_freeze_is_not_served() {
    let (mut server, port) = updated_at(BINDYD);
    server.server.write("dynamic.zone", &ZONE.replace("hostmaster 1 ", "hostmaster 10 "));
    server.replace("KILL", BINDYD);
    assert!(dig("127.0.0.1", port, &["www.dynamic.test"]).contains("status: SERVFAIL"));
    server.server.says("has the changes from serial 1 to 2, and the zone file has serial 10; restore the file");
}

/// It was taken for one that is not there, and the zone was served without its changes.
#[test]
fn a_journal_that_cannot_be_looked_at_is_an_error() {
    let prepared = Prepared::new("", EXAMPLE, &[("example.zone", ZONE)]);
    let journal = prepared.folder().join("example.zone.changes");
    std::os::unix::fs::symlink(&journal, &journal).expect("the folder is there");
    let server = prepared.run();
    server.has_said("example.zone.changes: cannot open it: ");
    assert!(server.dig(&["www.example.com"]).contains("status: SERVFAIL"));
}

/// A server that finds this journal beside a zone file of serial 1.
fn with_journal(journal: &[u8]) -> Server {
    let prepared = Prepared::new("", EXAMPLE, &[("example.zone", ZONE)]);
    fs::write(prepared.folder().join("example.zone.jnl"), journal).expect("the folder is there");
    prepared.run()
}

/// The start of a journal that leads from serial 0 to this one.
fn journal(end: u32) -> Vec<u8> {
    let mut octets = b";BIND LOG V9.2\n\0".to_vec();
    octets.extend([0_u32, 64, end, 128].into_iter().flat_map(u32::to_be_bytes));
    octets.resize(64, 0);
    octets
}

#[test]
fn serials_of_journals_are_compared_as_serials() {
    for (end, served) in [(1, true), (0, true), (2, false), (0x8000_0000, false), (0x8000_0002, true)] {
        let server = with_journal(&journal(end));
        assert_eq!(server.dig(&["+short", "www.example.com"]) == "192.0.2.1\n", served, "{end}: {}", server.said());
    }
    with_journal(&journal(0)).has_said("the journal ends at serial 0, before the zone file's 1");
}

/// While named shortens a journal, the old one is the backup.
#[test]
fn the_backup_of_a_journal_is_looked_into_if_there_is_no_journal() {
    let prepared = Prepared::new("", EXAMPLE, &[("example.zone", ZONE)]);
    fs::write(prepared.folder().join("example.zone.jbk"), journal(2)).expect("the folder is there");
    let server = prepared.run();
    server.has_said("the journal has changes up to serial 2");
    assert!(server.dig(&["www.example.com"]).contains("status: SERVFAIL"));
}

#[test]
fn what_is_no_journal_is_told() {
    for broken in [&b""[..], b";BIND LOG V9.2\n\0", &[b'x'; 64]] {
        let server = with_journal(broken);
        server.has_said("example.zone.jnl: cannot read the zone's journal: ");
        assert!(server.dig(&["www.example.com"]).contains("status: SERVFAIL"));
    }
}
