//! Zones that come from other servers: named is the primary, and the secondary that ours is compared with.

use std::{
    net::{IpAddr, UdpSocket},
    thread,
    time::{Duration, SystemTime},
};

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    control::{Controlled, SECRET},
    pairs::kinds::{Key, NSD, Site, Zone},
    server::{Prepared, Server, dig, wait_until},
    transfers::{KEY, SIGN},
    updates::nsupdate,
    zone,
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");
const BOTH: [&str; 2] = [BINDYD, "named"];

/// A server on a port of 127.0.0.1 that can be controlled.
struct Peer {
    controlled: Controlled,
    port: u16,
}

impl Peer {
    fn start(program: &str, port: u16, statements: &str, text: &str) -> Peer {
        let (listen, statements) = (format!("port {port} {{ 127.0.0.1; }}"), format!("{KEY}{statements}"));
        let files = [("example.zone", text)];
        Peer { controlled: Controlled::start_with(program, &listen, "", &statements, &files), port }
    }

    /// A primary that may be updated, and that notifies the secondary at this port.
    fn primary(program: &str, port: u16, copy: u16, text: &str) -> Peer {
        let statements = format!(
            "zone \"example.com\" {{ type primary; file \"example.zone\"; allow-update {{ key k; }};\
             allow-transfer {{ key k; }}; notify explicit; also-notify {{ 127.0.0.1 port {copy}; }}; notify-delay 0; }};"
        );
        Peer::start(program, port, &statements, text)
    }

    fn secondary(program: &str, port: u16, statements: &str) -> Peer {
        let statements =
            format!("zone \"example.com\" {{ type secondary; allow-transfer {{ key k; }}; notify no; {statements} }};");
        Peer::start(program, port, &statements, "")
    }

    fn server(&self) -> &Server {
        &self.controlled.server
    }

    fn told(&self, command: &str) -> String {
        self.controlled.told(&command.split(' ').collect::<Vec<_>>()).1
    }

    fn dig(&self, question: &[&str]) -> String {
        dig("127.0.0.1", self.port, question)
    }

    fn serial(&self) -> Option<u32> {
        self.dig(&["+short", "example.com", "SOA"]).split(' ').nth(2)?.parse().ok()
    }

    fn follows(&self, serial: u32) {
        wait_until(|| self.serial() == Some(serial), &format!("serial {serial}:\n{}", self.server().said()));
    }

    /// The value behind a word of `zonestatus`.
    fn status(&self, word: &str) -> Option<String> {
        let status = self.told("zonestatus example.com");
        status.lines().find_map(|line| Some(line.strip_prefix(word)?.trim_start_matches(": ").to_owned()))
    }

    /// The zone, sorted.
    fn content(&self) -> Vec<String> {
        let all = self.dig(&[&SIGN[..], &["+tcp", "+noall", "+answer", "example.com", "AXFR"]].concat());
        let mut lines: Vec<_> = all.lines().filter(|line| !line.contains("TSIG")).map(str::to_owned).collect();
        lines.sort();
        lines.dedup();
        lines
    }
}

fn from(port: u16) -> String {
    format!("primaries {{ 127.0.0.1 port {port} key k; }};")
}

#[test]
fn it_follows_each_update_of_named_and_of_ours_by_ixfr() {
    for program in BOTH {
        let (port, copy) = (free_port(), free_port());
        let primary = Peer::primary(program, port, copy, ZONE);
        let secondary = Peer::secondary(BINDYD, copy, &(from(port) + "file \"copy\";"));
        secondary.follows(1);
        let more = ["a", "b", "c"].map(|name| format!("update add {name}.example.com 60 A 192.0.2.1\n")).concat();
        assert_eq!(nsupdate(port, &SIGN, &more), "");
        for serial in 3..6 {
            let update =
                format!("update add n{serial}.example.com 60 A 192.0.2.1\nupdate del n{}.example.com", serial - 1);
            assert_eq!(nsupdate(port, &SIGN, &update), "");
            secondary.follows(serial);
        }
        assert_eq!(secondary.content(), primary.content());
        // The whole zone would have nine records.
        secondary.server().says("zone example.com/IN: transferred serial 5: TSIG 'k'");
        secondary.server().says("Transfer completed: 1 messages, 6 records");
        // What came by IXFR goes on by IXFR.
        let changes = secondary.dig(&[&SIGN[..], &["+tcp", "example.com", "IXFR=3"]].concat());
        assert!(changes.contains("n5.example.com") && !changes.contains("www.example.com"), "{changes}");
    }
}

/// Its journal cannot have a serial twice.
#[test]
fn it_follows_serials_that_go_all_the_way_round() {
    let (port, copy) = (free_port(), free_port());
    let primary = Peer::primary(BINDYD, port, copy, ZONE);
    let secondary = Peer::secondary(BINDYD, copy, &(from(port) + "file \"copy\";"));
    secondary.follows(1);
    for serial in [2, 0x8000_0001, u32::MAX, 2, 3] {
        let soa = format!("ns.example.com. hostmaster.example.com. {serial} 3600 900 604800 300");
        let update =
            format!("update add example.com 300 SOA {soa}\nupdate add n{serial}.example.com 60 TXT \"{serial}\"");
        assert_eq!(nsupdate(port, &SIGN, &update), "");
        secondary.follows(serial);
        assert_eq!(secondary.content(), primary.content());
    }
}

#[test]
fn after_a_restart_it_answers_at_once_and_expires_when_it_would_have() {
    let (port, copy) = (free_port(), free_port());
    let primary = Peer::primary("named", port, copy, ZONE);
    let mut secondary = Peer::secondary(BINDYD, copy, &(from(port) + "file \"copy\";"));
    secondary.follows(1);
    assert_eq!(secondary.told("sync example.com"), "");
    assert_eq!(nsupdate(port, &SIGN, "update add n.example.com 60 A 192.0.2.1"), "");
    secondary.follows(2);
    let expires = secondary.status("expires");
    drop(primary);
    for signal in ["KILL", "TERM"] {
        secondary.controlled.replace(signal, BINDYD);
        assert_eq!(secondary.serial(), Some(2), "{signal}");
        assert_eq!(secondary.status("expires"), expires, "{signal}");
        secondary.server().says("zone example.com/IN: refresh: failure trying primary 127.0.0.1#");
    }
    // named takes the copy over, and its time.
    secondary.controlled.replace("TERM", "named");
    assert_eq!(secondary.serial(), Some(2));
    assert_eq!(secondary.status("expires"), expires);
    // And the other way round.
    secondary.controlled.replace("TERM", BINDYD);
    assert_eq!(secondary.serial(), Some(2));
    assert_eq!(secondary.status("expires"), expires);
}

#[test]
fn a_zone_that_no_primary_confirms_expires_and_comes_back() {
    let text = ZONE.replace("3600 900 604800", "1 1 3");
    let (port, copy) = (free_port(), free_port());
    let mut primary = Peer::primary("named", port, copy, &text);
    let statements = "file \"copy\"; min-refresh-time 1; min-retry-time 1;";
    let mut secondary = Peer::secondary(BINDYD, copy, &(from(port) + statements));
    secondary.follows(1);
    primary.server().pause();
    secondary.server().says("zone example.com/IN: expired");
    assert!(secondary.dig(&["example.com", "SOA"]).contains("SERVFAIL"));
    assert!(secondary.told("zonestatus example.com").contains("zone not loaded"));
    // A copy that has expired is not served after a restart either.
    secondary.controlled.replace("KILL", BINDYD);
    assert!(secondary.dig(&["example.com", "SOA"]).contains("SERVFAIL"));
    primary.server().signal("CONT");
    secondary.follows(1);
    primary.controlled.replace("KILL", "named");
    assert_eq!(nsupdate(port, &SIGN, "update add n.example.com 60 A 192.0.2.1"), "");
    secondary.follows(2);
}

#[test]
fn the_next_primary_is_asked_when_one_fails_or_is_behind() {
    let [dead, old, new, other, copy] = [(); 5].map(|()| free_port());
    let primary = |port, serial| Peer::primary("named", port, copy, &zone(serial, "192.0.2.1"));
    let _old = primary(old, 1);
    let new = (primary(new, 3), new);
    let key = |port| format!("127.0.0.1 port {port} key k;");
    let statements =
        format!("primaries {{ {} {} {} 127.0.0.1 port {} key other; }};", key(dead), key(old), key(new.1), new.1);
    let other_key = KEY.replace("key k", "key other");
    let conf = format!("{other_key} zone \"example.com\" {{ type secondary; {statements} }};");
    let secondary = Peer::start(BINDYD, copy, &conf, "");
    secondary.follows(1);
    secondary.told("refresh example.com");
    secondary.follows(3);
    secondary.told("refresh example.com");
    secondary.server().says(&format!("refresh: failure trying primary 127.0.0.1#{dead} (source 0.0.0.0#0)"));
    secondary.server().says(&format!("serial number (1) received from primary 127.0.0.1#{old} < ours (3)"));
    // A reload takes over other primaries, without a new transfer.
    let _ahead = primary(other, 4);
    let conf = format!("{KEY}{}", conf.replace(&key(old), &key(other)));
    let controls = std::fs::read_to_string(secondary.server().folder().join("named.conf")).unwrap();
    let (head, _) = controls.split_once(KEY).unwrap();
    secondary.server().write("named.conf", &format!("{head}{conf}"));
    secondary.told("reload");
    secondary.follows(4);
    // And that the zone is gone.
    secondary.controlled.server.write("named.conf", head);
    secondary.told("reload");
    assert!(secondary.dig(&["example.com", "SOA"]).contains("REFUSED"));
}

/// The lines of commands, and of `zonestatus` without times, are named's.
#[test]
fn rndc_says_of_it_what_named_says() {
    let said = BOTH.map(|program| {
        let (port, copy) = (free_port(), free_port());
        let _primary = Peer::primary("named", port, copy, ZONE);
        let secondary = Peer::secondary(program, copy, &(from(port) + "file \"copy\"; masterfile-format text;"));
        secondary.follows(1);
        let commands = ["refresh", "retransfer", "reload", "freeze", "thaw", "sync", "sync -clean", "notify"];
        let replies = commands.map(|command| (command, secondary.told(&format!("{command} example.com"))));
        let status = secondary.told("zonestatus example.com");
        let lines: Vec<_> = status
            .lines()
            .map(|line| if line.ends_with(" GMT") { line.split(": ").next().unwrap() } else { line }.to_owned())
            .collect();
        assert!(status.contains("next refresh: ") && status.contains("expires: "), "{status}");
        (replies.map(|(command, reply)| format!("{command}: {reply}")), lines)
    });
    assert_eq!(said[0], said[1]);
}

#[test]
fn retransfer_takes_a_version_that_is_not_newer() {
    let (port, copy) = (free_port(), free_port());
    let mut primary = Peer::primary("named", port, copy, &zone(5, "192.0.2.1"));
    let secondary = Peer::secondary(BINDYD, copy, &(from(port) + "file \"copy\";"));
    secondary.follows(5);
    primary.server().write("example.zone", &zone(3, "192.0.2.7"));
    primary.controlled.replace("KILL", "named");
    secondary.told("refresh example.com");
    secondary.server().says("< ours (5)");
    assert_eq!(secondary.dig(&["+short", "www.example.com"]), "192.0.2.1\n");
    secondary.told("retransfer example.com");
    secondary.follows(3);
    assert_eq!(secondary.dig(&["+short", "www.example.com"]), "192.0.2.7\n");
}

/// It was there after a minute.
#[test]
fn a_first_copy_is_on_the_disk_soon_and_answers_after_a_kill() {
    let (port, copy) = (free_port(), free_port());
    let primary = Peer::primary(BINDYD, port, copy, ZONE);
    let mut secondary = Peer::secondary(BINDYD, copy, &(from(port) + "file \"copy\"; masterfile-format text;"));
    secondary.follows(1);
    secondary.server().writes("copy", "192.0.2.1");
    // The whole zone comes again: what it brings is there soon, too.
    assert_eq!(nsupdate(port, &SIGN, "update add new.example.com 60 A 192.0.2.7"), "");
    secondary.follows(2);
    secondary.told("retransfer example.com");
    secondary.server().writes("copy", "192.0.2.7");
    drop(primary);
    secondary.controlled.replace("KILL", BINDYD);
    assert_eq!(secondary.dig(&["+short", "new.example.com"]), "192.0.2.7\n");
}

#[test]
fn a_notify_is_answered_as_by_named() {
    let answers = BOTH.map(|program| {
        let copy = free_port();
        let statements = "primaries { 127.0.0.1 port 9; }; allow-notify { 127.0.0.3; key k; };";
        let conf = format!(
            "zone \"example.com\" {{ type secondary; {statements} }};\
             zone \"example.net\" {{ type primary; file \"example.zone\"; }};"
        );
        let server = Peer::start(program, copy, &conf, ZONE);
        let answer = |from: &str, zone: &str, qtype: u16, questions: u16, serial: Option<u32>| {
            notify(copy, from.parse().unwrap(), zone, qtype, questions, serial)
        };
        let allowed = answer("127.0.0.3", "example.com", 6, 1, Some(7));
        if program == BINDYD {
            // Before another one takes its place.
            server.server().says("zone example.com/IN: notify from 127.0.0.3#");
        }
        let answers = [
            allowed,
            answer("127.0.0.1", "example.com", 6, 1, None),
            answer("127.0.0.1", "example.com", 6, 1, Some(7)),
            answer("127.0.0.2", "example.com", 6, 1, None),
            answer("127.0.0.2", "example.net", 6, 1, Some(7)),
            answer("127.0.0.1", "www.example.com", 6, 1, None),
            answer("127.0.0.1", "example.org", 6, 1, None),
            answer("127.0.0.1", "example.com", 1, 1, None),
            answer("127.0.0.1", "example.com", 6, 0, None),
            answer("127.0.0.1", "example.com", 6, 2, None),
        ];
        let signed =
            dig("127.0.0.1", copy, &[&SIGN[..], &["+opcode=notify", "-b", "127.0.0.2", "example.com", "SOA"]].concat());
        if program == BINDYD {
            server.server().says("zone example.com/IN: refused notify from non-primary: 127.0.0.2#");
        }
        let statuses = ["CH", "ANY"].map(|class| {
            let reply = dig("127.0.0.1", copy, &["+opcode=notify", "-c", class, "example.com", "SOA"]);
            let status = reply.split_once("status: ").and_then(|(_, rest)| rest.split_once(','));
            status.map(|(status, _)| status.to_owned())
        });
        assert_eq!(statuses, ["NOTIMP", "FORMERR"].map(|status| Some(status.to_owned())), "{program}");
        (answers, signed.contains("status: NOERROR"))
    });
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].1);
}

/// All of them said the same: to check the key, the secret and the clocks.
#[test]
fn why_a_primary_gives_nothing_is_told_with_what_to_mend() {
    let (port, zone) = (free_port(), "zone \"example.com\" { type secondary; allow-transfer { none; }; notify no;");
    let _primary = Peer::primary(BINDYD, port, free_port(), ZONE);
    let key = |name: &str, secret: &str| format!("key {name} {{ algorithm hmac-sha256; secret \"{secret}\"; }};");
    let keyed = |key: &str, name: &str| format!("{key}{zone} primaries {{ 127.0.0.1 port {port} key {name}; }}; }};");
    let source = format!("{zone} primaries {{ 127.0.0.1 port {port}; }}; transfer-source 192.0.2.9; }};");
    for (conf, why) in [
        (
            keyed(&key("stranger", "c2VjcmV0"), "stranger"),
            "the other server says BADKEY: define the key `stranger` there, with the same algorithm",
        ),
        (
            source,
            "cannot send from 192.0.2.9: address not available: this machine does not have the address; correct \
             `transfer-source`",
        ),
    ] {
        let secondary = Peer::start(BINDYD, free_port(), &conf, "");
        secondary.server().says(why);
    }
    let (copy, other) = (free_port(), key("k", "b3RoZXI="));
    let mut prepared = Prepared::new("", "", &[]);
    prepared.listen_on(&format!("port {copy} {{ 127.0.0.1; }}"));
    prepared.configure(&keyed(&other, "k"));
    prepared.run().says("the other server says BADSIG: the key `k` must have the same secret at both ends");
}

/// Nothing was said but which serials there are.
#[test]
fn a_secondary_that_is_ahead_is_told_with_what_to_do() {
    let (port, copy) = (free_port(), free_port());
    let primary = Peer::primary(BINDYD, port, copy, &ZONE.replace("hostmaster 1 ", "hostmaster 7 "));
    let secondary = Peer::secondary(BINDYD, copy, &from(port));
    secondary.follows(7);
    assert!(primary.controlled.told(&["freeze", "example.com"]).0);
    primary.server().write("example.zone", ZONE);
    assert!(primary.controlled.told(&["thaw", "example.com"]).0);
    secondary.told("refresh example.com");
    secondary.server().says(&format!(
        "zone example.com/IN: serial number (1) received from primary 127.0.0.1#{port} < ours (7): raise the primary's serial \
         above ours, or `rndc retransfer example.com` takes its version"
    ));
}

/// Sends a NOTIFY, and returns the flags and counts of the response.
fn notify(port: u16, from: IpAddr, zone: &str, qtype: u16, questions: u16, serial: Option<u32>) -> Vec<u16> {
    let mut name = Vec::new();
    for label in zone.split('.') {
        name.push(label.len() as u8);
        name.extend(label.bytes());
    }
    name.push(0);
    let mut message = [77, 0x2400, questions, u16::from(serial.is_some()), 0, 0].map(u16::to_be_bytes).concat();
    for _ in 0..questions {
        message.extend(&name);
        message.extend([qtype.to_be_bytes(), [0, 1]].concat());
    }
    if let Some(serial) = serial {
        message.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 24, 0xc0, 12, 0xc0, 12]);
        message.extend([serial, 1, 1, 1, 1].map(u32::to_be_bytes).concat());
    }
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send_to(&message, ("127.0.0.1", port)).unwrap();
    let mut response = [0; 512];
    let length = socket.recv(&mut response).unwrap();
    response[..length.min(12)].chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect()
}

#[test]
fn a_client_learns_when_the_zone_expires() {
    let (port, copy) = (free_port(), free_port());
    let primary = Peer::primary(BINDYD, port, copy, ZONE);
    let secondary = Peer::secondary(BINDYD, copy, &from(port));
    secondary.follows(1);
    let expire = |peer: &Peer, question: &[&str]| -> Option<u32> {
        let said = peer.dig(&[&["+expire"], question].concat());
        said.lines().find_map(|line| line.strip_prefix("; EXPIRE: ")?.split(' ').next()?.parse().ok())
    };
    assert_eq!(expire(&primary, &["example.com", "SOA"]), Some(604_800));
    let left = expire(&secondary, &["example.com", "SOA"]).unwrap();
    assert!((604_000..=604_800).contains(&left), "{left}");
    for question in [["www.example.com", "A"], ["example.com", "NS"], ["www.example.com", "SOA"]] {
        assert_eq!(expire(&secondary, &question), None, "{question:?}");
    }
}

#[test]
fn a_copy_that_is_damaged_is_transferred_again() {
    let (port, copy) = (free_port(), free_port());
    let _primary = Peer::primary("named", port, copy, ZONE);
    let mut secondary = Peer::secondary(BINDYD, copy, &(from(port) + "file \"copy\";"));
    secondary.follows(1);
    secondary.told("sync example.com");
    let whole = std::fs::read(secondary.server().folder().join("copy")).unwrap();
    std::fs::write(secondary.server().folder().join("copy"), &whole[..whole.len() - 5]).unwrap();
    secondary.controlled.replace("KILL", BINDYD);
    secondary.follows(1);
    secondary.told("sync example.com");
    assert_eq!(std::fs::read(secondary.server().folder().join("copy")).unwrap().len(), whole.len());
}

/// A copy with a CDS was served until the server started again, and not loaded then.
#[test]
fn a_copy_that_was_served_loads_again_as_by_named() {
    for (records, check_names) in [
        ("@ CDS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000", "warn"),
        ("@ DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000", "warn"),
        ("@ NSEC3PARAM 1 0 0 -", "warn"),
        ("@ NSEC3PARAM 2 0 0 -", "warn"),
        ("@ NS gone\nsub NS ns.sub\n@ MX 10 gone\n@ MX 10 alias\nalias CNAME www\n_s._tcp SRV 1 1 1 alias", "warn"),
        ("under_score A 192.0.2.1", "warn"),
        ("under_score A 192.0.2.1", "fail"),
    ] {
        let results = BOTH.map(|program| {
            let (port, copy) = (free_port(), free_port());
            let key = Some(Key { algorithm: "hmac-sha256", secret: SECRET.into() });
            let zones = [Zone { name: "example.com".into(), key }];
            let mut prepared = Prepared::new("", "", &[("example.com", &format!("{ZONE}{records}\n"))]);
            let arguments = (NSD.configure)(&mut prepared, &Site { zones: &zones, port, from: None, to: None });
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            let primary = prepared.with_arguments(&arguments).run_until("nsd", "nsd started");
            let statements = format!(
                "primaries {{ 127.0.0.1 port {port} key example.com; }}; file \"copy\"; masterfile-format text;\
                 check-names {check_names}; }}; key example.com {{ algorithm hmac-sha256; secret \"{SECRET}\";"
            );
            let mut secondary = Peer::secondary(program, copy, &statements);
            let answers = || {
                thread::sleep(Duration::from_millis(50));
                secondary.serial().is_some()
            };
            let _ = (0..40).any(|_| answers());
            drop(primary);
            let answered = secondary.serial();
            secondary.controlled.replace("TERM", program);
            (answered, secondary.serial())
        });
        assert_eq!(results[0], results[1], "{records}, check-names {check_names}");
        assert_eq!(results[0].0, results[0].1, "{records}");
    }
}

#[test]
fn secondary_zones_are_added_and_deleted_at_run_time() {
    let (port, copy) = (free_port(), free_port());
    let _primary = Peer::primary("named", port, copy, ZONE);
    let listen = format!("port {copy} {{ 127.0.0.1; }}");
    let controlled = Controlled::start(BINDYD, &listen, "allow-new-zones yes;", KEY);
    let mut secondary = Peer { controlled, port: copy };
    let statement = format!("{{ type secondary; file \"copy\"; {} }};", from(port));
    let added = secondary.controlled.told(&["addzone", "example.com", &statement]);
    assert_eq!(added, (true, String::new()));
    secondary.follows(1);
    assert_eq!(nsupdate(port, &SIGN, "update add n.example.com 60 A 192.0.2.1"), "");
    secondary.follows(2);
    secondary.controlled.replace("KILL", BINDYD);
    secondary.follows(2);
    let (deleted, said) = secondary.controlled.told(&["delzone", "example.com"]);
    assert!(deleted && said.contains("may now be removed:\ncopy"), "{said}");
    assert!(secondary.controlled.told(&["addzone", "example.com", &statement]).0);
    secondary.follows(2);
    let (deleted, said) = secondary.controlled.told(&["delzone", "-clean", "example.com"]);
    assert!(deleted && said.contains("associated files will be deleted"), "{said}");
    assert!(secondary.dig(&["example.com", "SOA"]).contains("REFUSED"));
    assert!(!secondary.server().folder().join("copy").exists());
    assert!(!secondary.server().folder().join("copy.changes").exists());
}

/// The times of files are those of the last confirmation, as named writes and reads them.
#[test]
fn the_time_of_a_copy_says_when_it_was_confirmed() {
    let (port, copy) = (free_port(), free_port());
    let _primary = Peer::primary("named", port, copy, ZONE);
    let secondary = Peer::secondary(BINDYD, copy, &(from(port) + "file \"copy\";"));
    secondary.follows(1);
    secondary.told("sync example.com");
    let file = secondary.server().folder().join("copy");
    let time = || std::fs::metadata(&file).unwrap().modified().unwrap();
    std::fs::File::open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    secondary.told("refresh example.com");
    wait_until(|| time().elapsed().is_ok_and(|age| age < Duration::from_secs(60)), "the copy has the time of now");
}

/// Ten zones, each long enough for others to be asked for meanwhile.
#[test]
fn as_many_transfers_run_as_transfers_in_and_transfers_per_ns_let() {
    let (port, copy) = (free_port(), free_port());
    let text = ZONE.to_owned() + "$GENERATE 1-20000 h$ TXT \"a record of some length, so that it takes a while\"\n";
    let zones =
        |statements: &str| [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|i| format!("zone z{i} {{ {statements} }};\n")).concat();
    let mut primary = Prepared::new("transfers-out 100; recursion no;", "", &[("example.zone", &text)]);
    primary.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    primary.configure(&zones("type primary; file \"example.zone\"; allow-transfer { any; };"));
    let _primary = primary.run_until("named", "all zones loaded");
    for (options, server, expected) in [
        ("transfers-in 3; transfers-per-ns 9;", "", 3),
        ("transfers-in 9; transfers-per-ns 2;", "", 2),
        ("transfers-in 9; transfers-per-ns 9;", "server 127.0.0.1 { transfers 1; };", 1),
    ] {
        let mut secondary = Prepared::new(options, "", &[]);
        secondary.listen_on(&format!("port {copy} {{ 127.0.0.1; }}"));
        let secondaries = zones(&format!("type secondary; primaries {{ 127.0.0.1 port {port}; }};"));
        secondary.configure(&format!("{server}{secondaries}"));
        let secondary = secondary.run();
        wait_until(|| secondary.log().matches("Transfer status: success").count() == 10, "all zones are there");
        let (mut running, mut most) = (0, 0);
        for line in secondary.log().lines() {
            running += usize::from(line.contains(": Transfer started."));
            running -= usize::from(line.contains(": Transfer status: "));
            most = most.max(running);
        }
        assert_eq!(most, expected, "{options} {server}");
    }
}
