//! Updates that clients give to a secondary, which forwards them to its primary: among ours, named, Knot and PowerDNS.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    control::SECRET,
    server::{PATIENCE, Prepared, Server, dig, run, wait_until},
    statistics::fetch,
    transfers::{KEY, SIGN},
    updates::{nsupdate, nsupdate_in, run_nsupdate},
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");
const NAMED: &str = "named";
const KNOT: &str = "knotd";
const PDNS: &str = "pdns_server";
const BOTH: [&str; 2] = [BINDYD, NAMED];

const ADD: &str = "update add a.example.com 60 A 192.0.2.7";
/// Signs with the key that primaries know and secondaries do not.
const WRITER: [&str; 2] = ["-y", "hmac-sha256:writer:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="];

/// A server with the zone.
struct Member {
    server: Server,
    address: &'static str,
    port: u16,
}

impl Member {
    /// A primary that the key `writer` may update, and that notifies the secondary at this port.
    fn primary(program: &str, port: u16, copy: u16) -> Member {
        if program == KNOT {
            let remote = format!("  - id: other\n    address: 127.0.0.1@{copy}\n");
            return Member::knot(port, &remote, "notify: other");
        }
        if program == PDNS {
            return Member::powerdns(port, Err(copy));
        }
        let statements = format!(
            "type primary; file \"example.zone\"; allow-update {{ key writer; }};\
             notify explicit; also-notify {{ 127.0.0.1 port {copy}; }}; notify-delay 0;"
        );
        Member::of(program, "127.0.0.1", port, &format!("{}{}", key("writer"), zone(&statements)))
    }

    /// A secondary of the primary at this port, with these further statements.
    fn secondary(program: &str, port: u16, primary: u16, statements: &str) -> Member {
        if program == KNOT {
            let remote = format!("  - id: other\n    address: 127.0.0.1@{primary}\n    key: k\n");
            return Member::knot(port, &remote, "master: other");
        }
        if program == PDNS {
            return Member::powerdns(port, Ok(primary));
        }
        let statements = format!("type secondary; primaries {{ 127.0.0.1 port {primary} key k; }}; {statements}");
        Member::of(program, "127.0.0.1", port, &zone(&statements))
    }

    fn of(program: &str, address: &'static str, port: u16, conf: &str) -> Member {
        Member::with(program, address, port, "", conf)
    }

    /// A server with these further `options` and statements.
    fn with(program: &str, address: &'static str, port: u16, options: &str, conf: &str) -> Member {
        Member::of_zone(ZONE, program, (address, port), options, conf)
    }

    /// A primary of this zone, which the key `writer` may update and have.
    fn large_primary(program: &str, port: u16, content: &str) -> Member {
        let statements = "type primary; file \"example.zone\"; allow-update { key writer; };";
        let zone = format!("zone \"example.com\" {{ {statements} allow-transfer {{ key k; key writer; }}; }};");
        Member::of_zone(content, program, ("127.0.0.1", port), "", &format!("{}{zone}", key("writer")))
    }

    fn of_zone(
        content: &str,
        program: &str,
        (address, port): (&'static str, u16),
        options: &str,
        conf: &str,
    ) -> Member {
        let files = [("example.zone", content)];
        let options = format!("recursion no; dnssec-validation no; notify no; {options}");
        let mut prepared = Prepared::new(&options, "", &files);
        prepared.listen_on(&format!("port {port} {{ {address}; }}"));
        prepared.configure(&format!("{KEY}{conf}"));
        let server = prepared.run_until(program, "all zones loaded");
        server.runs();
        Member { server, address, port }
    }

    fn knot(port: u16, remotes: &str, role: &str) -> Member {
        Member::knot_with(ZONE, port, remotes, role)
    }

    fn knot_with(content: &str, port: u16, remotes: &str, role: &str) -> Member {
        let prepared = Prepared::new("", "", &[("example.zone", content)]).with_arguments(&["-c", "knot.conf"]);
        let folder = prepared.folder().display();
        let keys =
            ["k", "writer"].map(|id| format!("  - id: {id}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n"));
        let conf = format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {folder}\n    user: root\n\
             log:\n  - target: stderr\n    any: info\n\
             database:\n    storage: {folder}\n\
             key:\n{keys}remote:\n{remotes}\
             acl:\n  - id: transfer\n    key: [k, writer]\n    action: transfer\n\
             \x20 - id: write\n    key: writer\n    action: update\n\
             \x20 - id: notify\n    address: 127.0.0.1\n    action: notify\n\
             zone:\n  - domain: example.com\n    storage: {folder}\n    file: example.zone\n\
             \x20   acl: [transfer, write, notify]\n    {role}\n",
            keys = keys.concat()
        );
        let conf = if role.contains("master") { conf.replace("example.zone", "copy") } else { conf };
        prepared.write("knot.conf", &conf);
        let server = prepared.run_until(KNOT, "server started");
        Member { server, address: "127.0.0.1", port }
    }

    /// PowerDNS with a database, as it takes no updates for zone files: the secondary of a primary at a port, or the
    /// primary of a secondary at one (`Err`).
    fn powerdns(port: u16, other: Result<u16, u16>) -> Member {
        let prepared = Prepared::new("", "", &[("example.zone", ZONE)]).with_arguments(&[
            "--config-dir=.",
            "--daemon=no",
            "--guardian=no",
        ]);
        let also_notify = other.err().map_or_else(String::new, |copy| format!("also-notify=127.0.0.1:{copy}\n"));
        let conf = format!(
            "launch=gsqlite3\ngsqlite3-database=zones.db\ngsqlite3-dnssec=yes\nsocket-dir=.\nloglevel=5\n\
             local-address=127.0.0.1\nlocal-port={port}\nreceiver-threads=1\nquery-cache-ttl=0\ncache-ttl=0\n\
             primary=yes\nsecondary=yes\nxfr-cycle-interval=1\nonly-notify=\n{also_notify}\
             dnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\n"
        );
        prepared.write("pdns.conf", &conf);
        run(
            prepared.folder(),
            "sqlite3",
            &["zones.db", ".read /usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"],
        );
        let util = |line: &str| {
            let words: Vec<_> = ["--config-dir=."].into_iter().chain(line.split(' ')).collect();
            run(prepared.folder(), "pdnsutil", &words);
        };
        for key in ["k", "writer"] {
            util(&format!("import-tsig-key {key} hmac-sha256 {SECRET}"));
        }
        match other {
            Ok(primary) => {
                util(&format!("create-secondary-zone example.com 127.0.0.1:{primary}"));
                util("activate-tsig-key example.com k secondary");
            }
            Err(_) => {
                util("load-zone example.com example.zone");
                util("set-kind example.com primary");
                util("activate-tsig-key example.com k primary");
                util("set-meta example.com NOTIFY-DNSUPDATE 1");
                util("set-meta example.com TSIG-ALLOW-DNSUPDATE writer");
                util("set-meta example.com SOA-EDIT-DNSUPDATE INCREASE");
            }
        }
        let server = prepared.run_until(PDNS, "Done launching threads, ready to distribute questions");
        Member { server, address: "127.0.0.1", port }
    }

    fn nsupdate(&self, arguments: &[&str], commands: &str) -> String {
        nsupdate(self.port, arguments, commands)
    }

    fn dig(&self, question: &[&str]) -> String {
        dig(self.address, self.port, question)
    }

    fn serial(&self) -> Option<u32> {
        self.dig(&["+short", "example.com", "SOA"]).split(' ').nth(2)?.parse().ok()
    }

    fn has(&self, names: &[&str]) {
        for name in names {
            let is_there = || !self.dig(&["+short", &format!("{name}.example.com")]).is_empty();
            wait_until(is_there, &format!("{name} is there:\n{}", self.server.said()));
        }
    }
}

fn key(name: &str) -> String {
    format!("key {name} {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};")
}

fn zone(statements: &str) -> String {
    format!("zone \"example.com\" {{ {statements} allow-transfer {{ key k; }}; }};")
}

const ANYBODY: &str = "allow-update-forwarding { any; };";

#[test]
fn an_update_given_to_any_server_of_a_group_reaches_all() {
    let named_and_knot = [(NAMED, BINDYD), (BINDYD, NAMED), (KNOT, BINDYD), (BINDYD, KNOT)];
    for (first, second) in named_and_knot.into_iter().chain([(BINDYD, BINDYD), (PDNS, BINDYD), (BINDYD, PDNS)]) {
        let (port, copy) = (free_port(), free_port());
        let primary = Member::primary(first, port, copy);
        let secondary = Member::secondary(second, copy, port, ANYBODY);
        wait_until(|| secondary.serial() == Some(1), &format!("{second} has what {first} has"));
        let tcp = [&WRITER[..], &["-v"]].concat();
        assert_eq!(secondary.nsupdate(&WRITER, ADD), "", "{first} {second}");
        secondary.has(&["a"]);
        assert_eq!(secondary.nsupdate(&tcp, &ADD.replace("a.", "b.")), "", "{first} {second}");
        secondary.has(&["b"]);
        let refused = secondary.nsupdate(&WRITER, &format!("prereq nxdomain a.example.com\n{ADD}"));
        assert_eq!(refused, "update failed: YXDOMAIN\n", "{first} {second}");
        let large = (0..1000).map(|n| format!("update add large{n}.example.com 60 TXT \"{}\"\n", "t".repeat(30)));
        let large = large.collect::<Vec<_>>().concat();
        assert_eq!(secondary.nsupdate(&WRITER, &large), "", "{first} {second}");
        thread::scope(|scope| {
            for name in ["c", "d", "e"] {
                scope.spawn(move || {
                    assert_eq!(nsupdate(copy, &WRITER, &ADD.replace("a.", &format!("{name}."))), "");
                });
            }
        });
        primary.has(&["a", "b", "c", "d", "e"]);
        secondary.has(&["a", "b", "c", "d", "e"]);
        assert!(secondary.dig(&["+short", "large999.example.com", "TXT"]).contains("ttt"), "{first} {second}");
        if second == BINDYD {
            secondary.server.says("forwarding update for zone 'example.com/IN'");
            let returned =
                format!("zone example.com/IN: forwarded dynamic update: primary 127.0.0.1#{port} returned: ");
            secondary.server.says(&format!("{returned}NOERROR"));
            secondary.server.says(&format!("{returned}YXDOMAIN"));
        }
    }
}

#[test]
fn a_client_that_is_not_nsupdate_takes_the_response_too() {
    let (port, copy) = (free_port(), free_port());
    let primary = Member::primary(BINDYD, port, copy);
    let secondary = Member::secondary(BINDYD, copy, port, ANYBODY);
    assert_eq!(run_nsupdate("knsupdate", "example.com", copy, &WRITER, ADD), "");
    primary.has(&["a"]);
    secondary.has(&["a"]);
}

/// The outcomes of updates that a secondary denies, or that the primary refuses.
#[test]
fn who_may_not_update_is_told_as_by_named() {
    let outcomes = BOTH.map(|program| {
        let (port, copy) = (free_port(), free_port());
        let _primary = Member::primary(NAMED, port, copy);
        let secondary = |statements: &str| {
            let conf = format!(
                "{} zone \"example.com\" {{ type secondary; primaries {{ 127.0.0.1 port {port} key k; }}; {statements} }};",
                key("other")
            );
            Member::of(program, "127.0.0.1", copy, &conf)
        };
        let wrong = ["-y", "hmac-sha256:other:b3RoZXI="];
        let wrong_writer = ["-y", "hmac-sha256:writer:b3RoZXI="];
        let other = ["-y", &format!("hmac-sha256:other:{SECRET}")];
        let mut outcomes = Vec::new();
        for statements in
            ["", ANYBODY, "allow-update-forwarding { key other; };", "allow-update-forwarding { 127.0.0.2; };"]
        {
            let member = secondary(statements);
            for sign in [&[][..], &WRITER, &other, &wrong, &wrong_writer] {
                let said = member.nsupdate(sign, ADD);
                let said: Vec<_> = said.lines().filter(|line| !line.contains("too short")).map(str::to_owned).collect();
                outcomes.push((statements, sign.last().copied().unwrap_or_default().to_owned(), said.join("\n")));
            }
            if statements.is_empty() {
                member.server.says("update forwarding 'example.com/IN' denied");
            }
        }
        outcomes
    });
    let [ours, theirs] = outcomes;
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        // What the primary does not know is answered by it with NOTAUTH and a reason. named keeps that to itself.
        if theirs.2.contains("SERVFAIL") {
            assert!(ours.2.contains("NOTAUTH(BADKEY)") || ours.2.contains("NOTAUTH(BADSIG)"), "{ours:?} {theirs:?}");
        } else {
            assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn unsigned_updates_are_forwarded_to_a_primary_that_takes_them() {
    for program in BOTH {
        let (port, copy) = (free_port(), free_port());
        let statements = "type primary; file \"example.zone\"; allow-update { 127.0.0.1; };";
        let primary = Member::of(NAMED, "127.0.0.1", port, &zone(statements));
        let secondary = Member::secondary(program, copy, port, "allow-update-forwarding { 127.0.0.1; };");
        assert_eq!(secondary.nsupdate(&[], ADD), "", "{program}");
        primary.has(&["a"]);
    }
}

#[test]
fn without_any_primary_the_client_is_told() {
    let (dead, copy) = (free_port(), free_port());
    let said = BOTH.map(|program| {
        let secondary = Member::secondary(program, copy, dead, ANYBODY);
        [&[][..], &WRITER, &SIGN].map(|sign| secondary.nsupdate(sign, ADD))
    });
    assert_eq!(said[0], said[1]);
    assert_eq!(said[0][0], "update failed: SERVFAIL\n");
    let secondary = Member::secondary(BINDYD, copy, dead, ANYBODY);
    let told = secondary.dig(&["+opcode=update", "example.com", "SOA"]);
    assert!(told.contains("SERVFAIL") && told.contains("EDE: 22 (No Reachable Authority)"), "{told}");
    secondary.server.says(&format!("could not forward dynamic update to 127.0.0.1#{dead}: connection refused"));
}

#[test]
fn the_next_primary_gets_the_update_if_one_is_gone_or_silent() {
    let [dead, silent, port, copy] = [(); 4].map(|()| free_port());
    let stopped = Member::primary(NAMED, silent, copy);
    let primary = Member::primary(NAMED, port, copy);
    let all = [dead, silent, port].map(|port| format!("127.0.0.1 port {port} key k;")).concat();
    let conf = format!("zone \"example.com\" {{ type secondary; primaries {{ {all} }}; {ANYBODY} }};");
    let secondary = Member::of(BINDYD, "127.0.0.1", copy, &conf);
    stopped.server.pause();
    assert_eq!(secondary.nsupdate(&[&WRITER[..], &["-v"]].concat(), ADD), "");
    primary.has(&["a"]);
    secondary.server.says(&format!("could not forward dynamic update to 127.0.0.1#{dead}: connection refused"));
    secondary.server.says(&format!("could not forward dynamic update to 127.0.0.1#{silent}: timed out"));
    stopped.server.signal("CONT");
}

/// The statement is ours: named asks all primaries.
#[test]
fn a_primary_may_be_spared_what_is_forwarded() {
    let [spared, port, copy] = [(); 3].map(|()| free_port());
    // This one would refuse the update, which would be the last word.
    let refusing = zone("type primary; file \"example.zone\";");
    let _spared = Member::of(BINDYD, "127.0.0.2", spared, &format!("{}{refusing}", key("writer")));
    let primary = Member::primary(NAMED, port, copy);
    let secondary = |server: &str, primaries: &str| {
        let statements = format!("type secondary; primaries {{ {primaries} }}; {ANYBODY}");
        Member::of(BINDYD, "127.0.0.1", copy, &format!("{server}{}", zone(&statements)))
    };
    let first = format!("127.0.0.2 port {spared} key k;");
    let both = format!("{first} 127.0.0.1 port {port} key k;");
    for (server, primaries, said) in [
        ("", &both, "update failed: REFUSED\n"),
        ("server 127.0.0.2 { forward-updates yes; };", &both, "update failed: REFUSED\n"),
        ("server 127.0.0.2 { forward-updates no; };", &both, ""),
        ("server 127.0.0.2 { forward-updates no; };", &first, "update failed: SERVFAIL(BADKEY)\n"),
    ] {
        let secondary = secondary(server, primaries);
        assert_eq!(secondary.nsupdate(&WRITER, ADD).lines().last().unwrap_or_default(), said.trim_end(), "{server}");
        if server.ends_with("no; };") {
            let why = "its `server` statement says `forward-updates no`";
            secondary.server.says(&format!("could not forward dynamic update to 127.0.0.2#{spared}: {why}"));
        }
    }
    primary.has(&["a"]);
}

/// The client got the SERVFAIL or NOTAUTH of the first primary that responded.
#[test]
fn the_next_primary_gets_the_update_if_one_fails_to_judge_it() {
    for program in BOTH {
        let [failing, ignorant, port, copy] = [(); 4].map(|()| free_port());
        // This one has not loaded the zone, and the next one has neither the zone nor the key.
        let broken = "zone \"example.com\" { type primary; file \"missing.zone\"; allow-update { any; }; };";
        let _failing = Member::of(BINDYD, "127.0.0.1", failing, &format!("{}{broken}", key("writer")));
        let _ignorant = Member::of(BINDYD, "127.0.0.1", ignorant, "");
        let primary = Member::primary(NAMED, port, copy);
        let secondary = |ports: &[u16]| {
            let all = ports.iter().map(|port| format!("127.0.0.1 port {port} key k;")).collect::<Vec<_>>().concat();
            let conf = format!("zone \"example.com\" {{ type secondary; primaries {{ {all} }}; {ANYBODY} }};");
            Member::of(program, "127.0.0.1", copy, &conf)
        };
        {
            let secondary = secondary(&[failing, ignorant, port]);
            assert_eq!(secondary.nsupdate(&WRITER, ADD), "", "{program}");
            primary.has(&["a"]);
            // named begins with the primary that it has used last.
            let said = [(failing, "SERVFAIL"), (ignorant, "NOTAUTH"), (port, "NOERROR")];
            for (port, rcode) in said.iter().filter(|_| program == BINDYD) {
                secondary.server.says(&format!("primary 127.0.0.1#{port} returned: {rcode}"));
            }
            // What the zone is asked and does not fulfil is its primary's last word.
            let unmet = secondary.nsupdate(&WRITER, &format!("prereq nxdomain a.example.com\n{ADD}"));
            assert_eq!(unmet, "update failed: YXDOMAIN\n", "{program}");
        }
        // Refused, it goes to no other primary.
        assert_eq!(secondary(&[port, failing]).nsupdate(&[], ADD), "update failed: REFUSED\n", "{program}");
        // Without any primary that judges it, named keeps the reason to itself.
        let said = secondary(&[failing, ignorant]).nsupdate(&[], ADD);
        let last = if program == BINDYD { "NOTAUTH" } else { "SERVFAIL" };
        assert_eq!(said, format!("update failed: {last}\n"));
    }
}

#[test]
fn a_datagram_that_the_client_repeats_is_forwarded_once() {
    let (port, copy) = (free_port(), free_port());
    let primary = Member::primary(NAMED, port, copy);
    let secondary = Member::secondary(BINDYD, copy, port, ANYBODY);
    wait_until(|| secondary.serial() == Some(1), "the zone is there");
    primary.server.pause();
    thread::scope(|scope| {
        // named would remove the name that the first copy added, and fail at the second.
        let commands = format!("prereq nxdomain a.example.com\n{ADD}");
        let update = scope.spawn(move || nsupdate(copy, &[&WRITER[..], &["-u", "1", "-r", "5"]].concat(), &commands));
        secondary.server.says("forwarding update for zone");
        thread::sleep(Duration::from_millis(2500));
        primary.server.signal("CONT");
        assert_eq!(update.join().expect("it runs"), "");
    });
    primary.has(&["a"]);
    assert_eq!(primary.serial(), Some(2));
    secondary.server.has_said("forwarding update for zone");
    assert!(secondary.server.goes_on_without("returned: YXDOMAIN"));
}

/// A connection for each would leave no port to make another from, as all rest in TIME-WAIT.
#[test]
fn updates_that_follow_each_other_are_forwarded_over_the_same_connections() {
    const COUNT: u32 = 40;
    let [port, copy, statistics] = [(); 3].map(|()| free_port());
    let conf = zone("type primary; file \"example.zone\"; allow-update { key writer; };");
    let conf = format!("{}{}{conf}", channel(statistics), key("writer"));
    let primary = Member::of(BINDYD, "127.0.0.1", port, &conf);
    let secondary = Member::secondary(BINDYD, copy, port, ANYBODY);
    wait_until(|| secondary.serial() == Some(1), "the zone is there");
    let updates = (0..COUNT).map(|number| format!("update add a{number}.example.com 60 A 192.0.2.7\nsend\n"));
    assert_eq!(secondary.nsupdate(&WRITER, &updates.collect::<String>()), "");
    assert_eq!(primary.serial(), Some(1 + COUNT));
    let accepted = counter_of(statistics, "/json/v1/net", "TCP4Accept");
    assert!(accepted.is_some_and(|accepted| (1..COUNT / 4).contains(&accepted)), "{accepted:?}");
}

/// A counter of the server whose statistics channel has this port; `None` if it has counted nothing.
fn counter(statistics: u16, name: &str) -> Option<u32> {
    counter_of(statistics, "/json/v1/server", name)
}

fn counter_of(statistics: u16, path: &str, name: &str) -> Option<u32> {
    let (_, _, body) = fetch(statistics, path);
    let (_, rest) = body.split_once(&format!("\"{name}\""))?;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A statistics channel at this port.
fn channel(port: u16) -> String {
    format!("statistics-channels {{ inet 127.0.0.1 port {port} allow {{ 127.0.0.1; }}; }};")
}

#[test]
fn forwarded_updates_are_counted_as_by_named() {
    let counted = BOTH.map(|program| {
        let [port, copy, dead, statistics] = [(); 4].map(|()| free_port());
        let _primary = Member::primary(NAMED, port, copy);
        let others = ["gone", "denied"].map(|name| {
            let forwarding = if name == "gone" { ANYBODY } else { "" };
            format!("zone {name}.com {{ type secondary; primaries {{ 127.0.0.1 port {dead}; }}; {forwarding} }};")
        });
        let statements = format!("type secondary; primaries {{ 127.0.0.1 port {port} key k; }}; {ANYBODY}");
        let conf = format!("{}{}{}", channel(statistics), others.concat(), zone(&statements));
        let secondary = Member::of(program, "127.0.0.1", copy, &conf);
        assert_eq!(secondary.nsupdate(&WRITER, ADD), "");
        assert_eq!(secondary.nsupdate(&[], ADD), "update failed: REFUSED\n");
        assert_eq!(
            nsupdate_in("gone.com", copy, &[], "update add gone.com 60 A 192.0.2.7"),
            "update failed: SERVFAIL\n"
        );
        let denied = nsupdate_in("denied.com", copy, &[], "update add denied.com 60 A 192.0.2.7");
        assert_eq!(denied, "update failed: REFUSED\n");
        ["UpdateReqFwd", "UpdateRespFwd", "UpdateFwdFail", "UpdateRej", "UpdateDone"]
            .map(|name| counter(statistics, name))
    });
    assert_eq!(counted[0], counted[1]);
    assert_eq!(counted[0], [Some(3), Some(2), Some(1), Some(1), None]);
}

/// Unlike named, which would send it back.
#[test]
fn servers_that_are_each_others_primaries_do_not_send_an_update_back() {
    let port = free_port();
    let member = |address: &'static str, primary: &str| {
        let conf = format!(
            "zone \"example.com\" {{ type secondary; primaries {{ {primary} port {port}; }};\
             transfer-source {address}; {ANYBODY} }};"
        );
        Member::of(BINDYD, address, port, &conf)
    };
    let (one, two) = (member("127.0.0.1", "127.0.0.2"), member("127.0.0.2", "127.0.0.1"));
    assert_eq!(one.nsupdate(&WRITER, ADD).lines().last(), Some("update failed: SERVFAIL(BADKEY)"));
    one.server.says(&format!("unexpected response: primary 127.0.0.2#{port} returned: SERVFAIL"));
    two.server.says(&format!(
        "could not forward dynamic update to 127.0.0.1#{port}: the message comes from there; check `primaries`"
    ));
}

#[test]
fn a_client_with_too_many_updates_on_their_way_is_told_at_once() {
    are_bounded("", 64);
}

#[test]
fn more_updates_than_update_quota_says_are_not_forwarded() {
    are_bounded("update-quota 3;", 3);
}

/// With these options, so many updates of one client are forwarded at a time.
fn are_bounded(options: &str, most: u8) {
    let [port, copy, statistics] = [(); 3].map(|()| free_port());
    // All connections have room in the primary's queue while it is stopped; they would time out otherwise.
    let conf = zone("type primary; file \"example.zone\"; allow-update { key writer; };");
    let conf = format!("{}{conf}", key("writer"));
    let primary = Member::with(NAMED, "127.0.0.1", port, "tcp-listen-queue 200;", &conf);
    let statements = format!("type secondary; primaries {{ 127.0.0.1 port {port} key k; }}; {ANYBODY}");
    let conf = format!("{}{}", channel(statistics), zone(&statements));
    let secondary = Member::with(BINDYD, "127.0.0.1", copy, options, &conf);
    primary.server.pause();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let receive = || {
        let mut response = [0; 512];
        let length = socket.recv(&mut response).unwrap();
        assert!(length >= 12 && response[2] == 0xa8, "{:?}", &response[..length]);
        (response[1], response[3] & 15)
    };
    for id in 0..=most {
        let update = [&[0, id, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0], &b"\x07example\x03com\0\0\x06\0\x01"[..]].concat();
        socket.send_to(&update, ("127.0.0.1", copy)).unwrap();
        if id < most {
            secondary.server.says("forwarding update for zone");
        }
    }
    assert_eq!(receive(), (most, 2));
    assert_eq!(counter(statistics, "UpdateQuota"), Some(1));
    primary.server.signal("CONT");
    let mut others: Vec<_> = (0..most).map(|_| receive()).collect();
    others.sort_unstable();
    // Unsigned, they are refused by the primary.
    assert_eq!(others, (0..most).map(|id| (id, 5)).collect::<Vec<_>>());
}

/// A zone of which a transfer has many messages.
fn large_zone() -> String {
    (0..20_000).fold(ZONE.to_owned(), |zone, number| zone + &format!("n{number} TXT \"{number} is one of many\"\n"))
}

const BY_ANYBODY: &str = "allow-signed-forwarding { any; };";

/// The records of a transfer to a client with the key that only the primary knows.
fn transferred(member: &Member, question: &[&str]) -> Vec<String> {
    let answer = member.dig(&[&WRITER, &["+nocomments", "+nostats", "+nocmd"][..], question].concat());
    let mut records: Vec<String> = answer.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    assert!(!answer.contains("BADSIG") && !answer.contains("failed"), "{answer}");
    // The signatures themselves.
    records.retain(|line| !line.contains("\tTSIG\t"));
    records
}

#[test]
fn a_transfer_by_a_key_that_only_the_primary_knows_comes_from_there() {
    let large = large_zone();
    for primary in [BINDYD, NAMED, KNOT] {
        let (port, copy) = (free_port(), free_port());
        let primary = match primary {
            KNOT => {
                let remote = format!("  - id: other\n    address: 127.0.0.1@{copy}\n");
                Member::knot_with(&large, port, &remote, "notify: other")
            }
            program => Member::large_primary(program, port, &large),
        };
        let secondary = Member::secondary(BINDYD, copy, port, BY_ANYBODY);
        secondary.has(&["www"]);
        let whole = transferred(&primary, &["example.com", "AXFR"]);
        assert!(whole.len() > 20_000);
        let sorted = |mut records: Vec<String>| {
            records.sort_unstable();
            records
        };
        assert_eq!(sorted(transferred(&secondary, &["example.com", "AXFR"])), sorted(whole));
        let serial = primary.serial().expect("it has the zone");
        assert_eq!(transferred(&secondary, &["example.com", &format!("IXFR={serial}")]).len(), 1);
        primary.nsupdate(&WRITER, ADD);
        wait_until(|| primary.serial() != Some(serial), "the update is made");
        let changes = transferred(&primary, &["example.com", &format!("IXFR={serial}")]);
        assert_eq!(transferred(&secondary, &["example.com", &format!("IXFR={serial}")]), changes);
        assert!((5..20_000).contains(&changes.len()), "{changes:?}");
        secondary.server.says("forwarding query 'example.com/AXFR/IN'");
        secondary.server.says("messages from primary 127.0.0.1");
    }
}

#[test]
fn the_next_primary_gets_the_question_if_what_one_says_cannot_be_read() {
    /// Answers that a record follows, and sends none.
    fn garble(mut stream: TcpStream) -> io::Result<()> {
        /// A header, and a question about example.com.
        const LENGTH: u8 = 12 + 17;
        let mut message = [0; 512];
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_exact(&mut message[..2])?;
        let length = u16::from_be_bytes([message[0], message[1]]);
        stream.read_exact(&mut message[..usize::from(length)])?;
        message[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
        stream.write_all(&[&[0, LENGTH][..], &message[..usize::from(LENGTH)]].concat())
    }
    let garbling = TcpListener::bind("127.0.0.1:0").unwrap();
    let garbled = garbling.local_addr().unwrap().port();
    thread::spawn(move || garbling.incoming().take(100).flatten().map(garble).for_each(drop));
    let (port, copy) = (free_port(), free_port());
    let primary = Member::large_primary(BINDYD, port, ZONE);
    let all = [garbled, port].map(|port| format!("127.0.0.1 port {port} key k;")).concat();
    let secondary =
        Member::of(BINDYD, "127.0.0.1", copy, &zone(&format!("type secondary; primaries {{ {all} }}; {BY_ANYBODY}")));
    secondary.has(&["www"]);
    assert_eq!(transferred(&secondary, &["example.com", "AXFR"]), transferred(&primary, &["example.com", "AXFR"]));
    secondary.server.says(&format!("could not forward query to 127.0.0.1#{garbled}: FORMERR: a message is malformed"));
}

#[test]
fn which_transfers_are_forwarded_says_the_secondary_and_who_may_have_them_the_primary() {
    let (port, copy) = (free_port(), free_port());
    let others = format!("{}{}", key("writer"), key("reader"));
    let statements = "type primary; file \"example.zone\"; allow-transfer { key k; key writer; };";
    let primary = Member::of(BINDYD, "127.0.0.1", port, &format!("{others}zone \"example.com\" {{ {statements} }};"));
    let signed = |name: &str| ["-y".to_owned(), format!("hmac-sha256:{name}:{SECRET}")];
    let asked = |secondary: &Member, name: &str, more: &[&str]| {
        let [y, key] = signed(name);
        secondary.dig(&[&[&*y, &*key], more].concat())
    };
    let secondary = Member::secondary(BINDYD, copy, port, BY_ANYBODY);
    secondary.has(&["www"]);
    assert!(asked(&secondary, "writer", &["example.com", "AXFR"]).contains("XFR size"));
    // It knows the key, and refuses; it does not know it.
    for name in ["reader", "stranger"] {
        let answer = asked(&secondary, name, &["example.com", "AXFR"]);
        assert!(answer.contains("Transfer failed") && !answer.contains("www.example.com"), "{name}: {answer}");
    }
    secondary.server.says(&format!("primary 127.0.0.1#{port} returned: NOTAUTH"));
    // Other questions are forwarded, too; but not over UDP, nor what has no signature.
    assert!(asked(&secondary, "reader", &["+tcp", "+short", "www.example.com", "A"]).contains("192.0.2.1\n"));
    assert!(asked(&secondary, "reader", &["+tcp", "none.example.com", "A"]).contains("NXDOMAIN"));
    assert!(asked(&secondary, "stranger", &["+tcp", "www.example.com", "A"]).contains("BADKEY"));
    assert!(asked(&secondary, "reader", &["www.example.com", "A"]).contains("BADKEY"));
    assert!(asked(&secondary, "reader", &["+tcp", "www.example.net", "A"]).contains("BADKEY"));
    let transfers = || secondary.server.log().matches("forwarding query").count();
    let before = transfers();
    assert!(secondary.dig(&["example.com", "AXFR"]).contains("Transfer failed"));
    assert_eq!(transfers(), before);
    for statements in ["", "allow-signed-forwarding { 127.0.0.2; };", "allow-signed-forwarding { key writer; };"] {
        let port_of_other = free_port();
        let other = Member::secondary(BINDYD, port_of_other, port, statements);
        other.has(&["www"]);
        assert!(asked(&other, "writer", &["example.com", "AXFR"]).contains("Transfer failed"), "{statements}");
        assert!(other.server.goes_on_without("forwarding query"), "{}", other.server.said());
    }
    // Whom the secondary does not answer, it does not let ask, but for what the primary's own lists are about.
    let closed = Member::secondary(BINDYD, free_port(), port, &format!("{BY_ANYBODY} allow-query {{ 127.0.0.2; }};"));
    let transfer = || asked(&closed, "writer", &["example.com", "AXFR"]);
    wait_until(|| transfer().contains("XFR size"), "transfers are forwarded");
    assert!(asked(&closed, "reader", &["+tcp", "www.example.com", "A"]).contains("BADKEY"));
    assert!(closed.server.goes_on_without("forwarding query 'www"), "{}", closed.server.said());
    // While the primary is away, the client is told so.
    drop(primary);
    let answer = asked(&secondary, "writer", &["example.com", "AXFR"]);
    assert!(answer.contains("Transfer failed"), "{answer}");
    secondary.server.says("could not forward query");
}
