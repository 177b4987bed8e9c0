//! `ixfr-from-differences`: secondaries get the differences between the versions of a zone file.

use std::{collections::BTreeSet, fmt::Write as _, process::Command};

use bindy_tests::ports::free_port;

use super::{
    notify::{follows, secondary, serve},
    server::{Server, dig},
    transfers::{KEY, SIGN, records},
    updates::nsupdate,
    zone,
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");

/// A version of the zone file; so many records that the differences are shorter.
fn text(serial: u32) -> String {
    let mut text = zone(serial, &format!("192.0.2.{serial}"));
    for i in serial..serial + 100 {
        let _ = writeln!(text, "h{i} A 192.0.2.1");
    }
    text
}

fn conf(copy: u16, control: u16, statements: &str) -> String {
    format!(
        "controls {{ inet 127.0.0.1 port {control} allow {{ 127.0.0.1; }} keys {{ k; }}; }};\
         zone \"example.com\" {{ type primary; file \"example.zone\"; ixfr-from-differences yes; {statements}\
         allow-transfer {{ key k; }}; notify explicit; also-notify {{ 127.0.0.1 port {copy}; }}; }};"
    )
}

/// Runs rndc, and returns whether it succeeded.
fn rndc(server: &Server, control: u16, command: &[&str]) -> bool {
    server.write("rndc.key", KEY);
    let mut rndc = Command::new("rndc");
    rndc.arg("-k").arg(server.folder().join("rndc.key")).args([
        "-y",
        "k",
        "-s",
        "127.0.0.1",
        "-p",
        &control.to_string(),
    ]);
    rndc.args(command).output().expect("rndc is installed: run scripts/install-test-tools").status.success()
}

fn whole(port: u16) -> BTreeSet<String> {
    let answer = dig("127.0.0.1", port, &[&SIGN, &["+onesoa", "example.com", "AXFR"][..]].concat());
    records(&answer).into_iter().collect()
}

#[test]
fn named_follows_the_versions_of_a_file_by_ixfr() {
    for program in ["named", BINDYD] {
        let (port, copy, control) = (free_port(), free_port(), free_port());
        let mut primary = serve(program, "127.0.0.1", port, &conf(copy, control, ""), &text(1));
        let _secondary = secondary(copy, &format!("127.0.0.1 port {port}"));
        follows(copy, 1);
        let change = |primary: &Server, serial: u32, by_rndc: bool| {
            primary.write("example.zone", &text(serial));
            if by_rndc {
                assert!(rndc(primary, control, &["reload", "example.com"]));
            } else {
                primary.reload();
            }
            follows(copy, serial);
        };
        for (serial, by_rndc) in [(2, false), (3, true), (4, false)] {
            change(&primary, serial, by_rndc);
            primary.says(&format!("IXFR started: TSIG k (serial {} -> {serial})", serial - 1));
        }
        // Secondaries would not notice these, or be confused: all stays as it was.
        for serial in [4, 3] {
            let other = text(serial).replace("h50 ", "other ");
            primary.write("example.zone", &other);
            primary.reload();
            primary.says(&format!("ixfr-from-differences: new serial ({serial}) out of range [5 - 2147483651]"));
            assert_eq!(dig("127.0.0.1", port, &["+short", "www.example.com"]), "192.0.2.4\n", "{program}");
        }
        change(&primary, 6, false);
        primary.says("IXFR started: TSIG k (serial 4 -> 6)");
        // What led here is still known after a crash.
        primary.replace("KILL", program);
        primary.says("all zones loaded");
        let back = dig("127.0.0.1", port, &[&SIGN, &["+tcp", "example.com", "IXFR=1"][..]].concat());
        let soas = records(&back).iter().filter(|record| record.contains("SOA")).count();
        assert!(soas >= 4 && back.contains("h1."), "{program}: {back}");
        change(&primary, 7, true);
        primary.says("IXFR started: TSIG k (serial 6 -> 7)");
        assert!(whole(port).contains("www.example.com. 300 IN A 192.0.2.7"), "{program}");
    }
}

#[test]
fn a_file_that_was_edited_while_the_server_was_down_is_served() {
    let (port, copy, control) = (free_port(), free_port(), free_port());
    let mut primary = serve(BINDYD, "127.0.0.1", port, &conf(copy, control, ""), &text(1));
    let _secondary = secondary(copy, &format!("127.0.0.1 port {port}"));
    follows(copy, 1);
    primary.write("example.zone", &text(2));
    primary.reload();
    follows(copy, 2);
    // named does not load such a zone before its journal is removed.
    primary.write("example.zone", &text(3));
    primary.replace("KILL", BINDYD);
    follows(copy, 3);
    primary.write("example.zone", &text(4));
    primary.reload();
    follows(copy, 4);
    primary.says("IXFR started: TSIG k (serial 3 -> 4)");
}

/// Its changes are not in the file: they must not be taken for the differences between versions of the file.
#[test]
fn a_zone_that_is_updated_does_not_follow_its_file() {
    let (port, copy, control) = (free_port(), free_port(), free_port());
    let mut primary = serve(BINDYD, "127.0.0.1", port, &conf(copy, control, ""), &text(1));
    let serial = || dig("127.0.0.1", port, &["+short", "example.com", "SOA"]);
    assert!(!rndc(&primary, control, &["freeze", "example.com"]), "it is not dynamic");
    primary.configure(&(KEY.to_owned() + &conf(copy, control, "allow-update { key k; };")));
    primary.reload();
    primary.says("reloading configuration succeeded");
    assert_eq!(nsupdate(port, &SIGN, "update add one.example.com 60 A 192.0.2.7"), "");
    primary.write("example.zone", &text(5));
    primary.reload();
    primary.says("reloading configuration succeeded");
    assert!(serial().contains(" 2 "), "{}", serial());
    primary.write("example.zone", &text(1));
    primary.configure(&(KEY.to_owned() + &conf(copy, control, "")));
    primary.replace("KILL", BINDYD);
    primary.says("all zones loaded");
    assert!(serial().contains(" 2 "), "{}", serial());
    // Once its changes are in the file, it follows the file again.
    assert!(rndc(&primary, control, &["sync", "-clean", "example.com"]));
    primary.write("example.zone", &text(6));
    primary.reload();
    primary.says("zone example.com/IN: loaded serial 6");
    primary.write("example.zone", &text(5));
    primary.reload();
    primary.says("ixfr-from-differences: new serial (5) out of range [7 - 2147483653]");
}

#[test]
fn what_a_secondary_gets_whole_it_gives_on_by_ixfr() {
    let port = free_port();
    let conf = "zone \"example.com\" { type primary; file \"example.zone\"; allow-transfer { any; };\
                allow-update { any; }; notify no; };";
    let _primary = serve("named", "127.0.0.1", port, conf, &text(1));
    let given = [("named", 1), (BINDYD, 2)].map(|(program, serial)| {
        let copy = free_port();
        let conf = format!(
            "zone \"example.com\" {{ type secondary; file \"copy\"; primaries {{ 127.0.0.1 port {port}; }};\
             request-ixfr no; ixfr-from-differences yes; allow-transfer {{ any; }}; notify no; }};"
        );
        let _secondary = serve(program, "127.0.0.1", copy, &conf, "");
        follows(copy, serial);
        let update = format!("update del n{serial}.example.com\nupdate add n{}.example.com 60 A 192.0.2.9", serial + 1);
        assert_eq!(nsupdate(port, &[], &update), "");
        dig("127.0.0.1", copy, &["+opcode=notify", "example.com", "SOA"]);
        follows(copy, serial + 1);
        records(&dig("127.0.0.1", copy, &["+tcp", "example.com", &format!("IXFR={serial}")]))
    });
    // Each has the SOA of both versions, the newer one twice more, and what has changed.
    assert_eq!(given.map(|records| records.len()), [5, 6]);
}
