//! Dynamic updates as nsupdate makes them.

use std::{
    fmt::Write as _,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    control::Controlled,
    process::is_root,
    server::{Prepared, Server, dig, wait_until},
    transfers::{KEY, SIGN},
};

const CONF: &str = "zone \"example.com\" { type primary; file \"example.zone\"; allow-update { key k; }; };";

/// A server that has the same port after a restart.
fn serve() -> Served {
    let port = free_port();
    let mut prepared = Prepared::new("", "", &[("example.zone", ZONE)]);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    prepared.configure(&format!("{KEY}{CONF}"));
    Served { server: prepared.run(), port }
}

struct Served {
    server: Server,
    port: u16,
}

impl Served {
    fn nsupdate(&self, arguments: &[&str], commands: &str) -> String {
        nsupdate(self.port, arguments, commands)
    }

    fn dig(&self, question: &[&str]) -> String {
        dig("127.0.0.1", self.port, question)
    }

    fn serial(&self) -> u32 {
        self.dig(&["+short", "example.com", "SOA"]).split(' ').nth(2).unwrap().parse().unwrap()
    }

    fn kill_and_start(&mut self) {
        self.server.replace("KILL", env!("CARGO_BIN_EXE_bindyd"));
        self.server.says(": running");
    }
}

/// What nsupdate prints for these commands, given to the server of this port; nothing if all succeeds.
pub fn nsupdate(port: u16, arguments: &[&str], commands: &str) -> String {
    nsupdate_in("example.com", port, arguments, commands)
}

/// The same for another zone.
pub fn nsupdate_in(zone: &str, port: u16, arguments: &[&str], commands: &str) -> String {
    run_nsupdate("nsupdate", zone, port, arguments, commands)
}

/// The same with this program.
pub fn run_nsupdate(program: &str, zone: &str, port: u16, arguments: &[&str], commands: &str) -> String {
    let mut child = Command::new(program)
        .args(["-t", "20"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed: run scripts/install-test-tools");
    let mut input = child.stdin.take().expect("it is piped");
    write!(input, "server 127.0.0.1 {port}\nzone {zone}\n{commands}\nsend\n").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn updates_are_served_at_once_and_are_there_after_a_kill() {
    let mut server = serve();
    assert_eq!(server.nsupdate(&SIGN, "update add a.example.com 60 A 192.0.2.7"), "");
    assert_eq!(server.dig(&["+short", "a.example.com"]), "192.0.2.7\n");
    let tcp = [&SIGN[..], &["-v"]].concat();
    assert_eq!(server.nsupdate(&tcp, "update del www.example.com\nupdate add b.example.com 60 TXT b"), "");
    assert_eq!(server.serial(), 3);
    server.kill_and_start();
    server.server.has_said("zone example.com/IN: the journal leads from serial 1 to 3");
    assert_eq!(server.serial(), 3);
    assert_eq!(server.dig(&["+short", "a.example.com"]), "192.0.2.7\n");
    assert_eq!(server.dig(&["+short", "b.example.com", "TXT"]), "\"b\"\n");
    assert!(server.dig(&["www.example.com"]).contains("NXDOMAIN"));
    // A reload does not bring back what the zone file has.
    server.server.reload();
    server.server.says("reloading configuration succeeded");
    assert_eq!(server.serial(), 3);
    assert_eq!(server.nsupdate(&SIGN, "update add c.example.com 60 A 192.0.2.8"), "");
    assert_eq!(server.serial(), 4);
}

#[test]
fn who_may_not_update_is_told_as_by_named() {
    let server = serve();
    let add = "update add a.example.com 60 A 192.0.2.7";
    assert_eq!(server.nsupdate(&[], add), "update failed: REFUSED\n");
    server.server.says("update 'example.com/IN' denied");
    let unknown = ["-y", "hmac-sha256:unknown:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="];
    assert!(server.nsupdate(&unknown, add).contains("(BADKEY)"));
    let other = ["-y", "hmac-sha256:k:b3RoZXI="];
    assert!(server.nsupdate(&other, add).contains("(BADSIG)"));
    let elsewhere = server.nsupdate(&SIGN, "zone example.net\nupdate add a.example.net 60 A 192.0.2.7");
    assert_eq!(elsewhere, "update failed: NOTAUTH\n");
    let outside = server.nsupdate(&SIGN, "update add a.example.net 60 A 192.0.2.7");
    assert_eq!(outside, "update failed: NOTZONE\n");
    assert_eq!(server.nsupdate(&SIGN, &format!("prereq nxdomain www.example.com\n{add}")), "update failed: YXDOMAIN\n");
    assert_eq!(server.serial(), 1);
}

/// What a program logs of requests that it refuses, with category and severity.
fn refusals(program: &str) -> Vec<String> {
    let port = free_port();
    let files = [("example.zone", ZONE), ("open.zone", ZONE)];
    let mut prepared = Prepared::new("recursion no; dnssec-validation no; notify no;", "", &files);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    let channel = "channel all { stderr; severity info; print-category yes; print-severity yes; };";
    let open = CONF.replace("example.com", "open.test").replace("example.zone", "open.zone");
    prepared.configure(&format!(
        "{KEY}logging {{ {channel} category default {{ all; }}; }}; {open}\
         zone closed.test {{ type primary; file \"example.zone\"; }};\
         zone copy.test {{ type secondary; primaries {{ 127.0.0.1 port 9; }}; }};"
    ));
    let prepared = prepared.with_arguments(&["-f", "-n", "1", "-c", "named.conf"]);
    let server = prepared.with_variable("BINDYD_SYSLOG", "/nowhere").run_until(program, "general: notice: running");
    for zone in ["open.test", "closed.test", "copy.test"] {
        let update = format!("update add a.{zone} 60 A 192.0.2.7");
        assert_eq!(nsupdate_in(zone, port, &[], &update), "update failed: REFUSED\n", "{program}");
    }
    for (name, rtype) in [("nowhere.test", "SOA"), ("copy.test", "A"), ("copy.test", "SOA")] {
        dig("127.0.0.1", port, &["+opcode=notify", name, rtype]);
    }
    server.says("zone copy.test/IN: notify from ");
    let log = server.log();
    let told = log.lines().filter(|line| ["denied", "notify "].iter().any(|word| line.contains(word)));
    let line = |line: &str| match line.split_once("client @") {
        Some((before, rest)) => before.to_owned() + rest.split_once(": ").map_or(rest, |(_, text)| text),
        None => line.split('#').next().unwrap_or(line).to_owned(),
    };
    told.map(line).collect()
}

/// named's operators look for some of them by their severity.
#[test]
fn what_is_refused_is_logged_as_by_named() {
    let ours = refusals(env!("CARGO_BIN_EXE_bindyd"));
    assert_eq!(ours, refusals("named"));
    assert_eq!(ours.len(), 7, "{ours:?}");
}

/// Only rndc said so.
#[test]
fn a_zone_file_that_cannot_be_written_is_told_in_the_log_too() {
    let port = free_port();
    let conf = format!("{KEY}{CONF}");
    let server = Controlled::start(env!("CARGO_BIN_EXE_bindyd"), &format!("port {port} {{ 127.0.0.1; }}"), "", &conf);
    assert_eq!(nsupdate(port, &SIGN, "update add one.example.com 60 A 192.0.2.7"), "");
    let file = server.server.folder().join("example.zone");
    std::fs::remove_file(&file).expect("it is there");
    std::fs::create_dir(&file).expect("nothing is there");
    assert!(!server.told(&["sync", "example.com"]).0);
    server.server.says("sync: dumping zone 'example.com/IN': failure: ");
    assert!(!server.told(&["freeze", "example.com"]).0);
    server.server.says("freezing zone 'example.com/IN': failure: ");
}

/// A program, and what `rndc` and nsupdate see of it.
fn session(program: &str) -> Vec<String> {
    let (port, control) = (free_port(), free_port());
    let files = [("example.zone", ZONE), ("fixed.zone", ZONE)];
    let mut prepared = Prepared::new("recursion no; dnssec-validation no; notify no;", "", &files);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    let inet = format!("controls {{ inet 127.0.0.1 port {control} allow {{ 127.0.0.1; }} keys {{ k; }}; }};");
    let fixed = "zone \"fixed.test\" { type primary; file \"fixed.zone\"; };";
    prepared.configure(&format!("{KEY}{inet}{CONF}{fixed}"));
    let options = format!("options {{ default-key k; default-server 127.0.0.1; default-port {control}; }};");
    prepared.write("rndc.conf", &format!("{KEY}\n{options}\n"));
    let mut server = prepared.run_until(program, "all zones loaded");
    server.runs();
    let mut said = Vec::new();
    let rndc_conf = server.folder().join("rndc.conf");
    let mut rndc = |command: &str| {
        let output = Command::new("rndc").arg("-c").arg(&rndc_conf).args(command.split(' ')).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let kept = text.lines().filter(|line| !line.starts_with("last loaded: ")).collect::<Vec<_>>().join("\n");
        said.push(format!("{command}: {:?} {kept}", output.status.code()));
    };
    let update = |name: &str| nsupdate(port, &SIGN, &format!("update add {name}.example.com 60 A 192.0.2.7"));
    let dig = |question: &[&str]| dig("127.0.0.1", port, question);
    let on_disk = |server: &Server| std::fs::read_to_string(server.folder().join("example.zone")).unwrap();
    assert_eq!(update("one"), "");
    for command in ["zonestatus example.com", "reload example.com", "freeze example.com", "freeze example.com"] {
        rndc(command);
    }
    assert!(on_disk(&server).contains("one"), "{}", on_disk(&server));
    assert_eq!(update("two"), "update failed: REFUSED\n");
    rndc("zonestatus example.com");
    // A reload of everything passed over it.
    server.write("example.zone", &(ZONE.replace("hostmaster 1 ", "hostmaster 9 ") + "zero A 192.0.2.9\n"));
    rndc("reload");
    wait_until(|| dig(&["+short", "zero.example.com"]) == "192.0.2.9\n", "what was edited is served");
    assert_eq!(update("two"), "update failed: REFUSED\n");
    rndc("zonestatus example.com");
    // Edited by hand.
    let edited = ZONE.replace("hostmaster 1 ", "hostmaster 10 ") + "three A 192.0.2.3\n";
    server.write("example.zone", &edited);
    for command in ["thaw example.com", "thaw example.com", "zonestatus example.com"] {
        rndc(command);
    }
    wait_until(|| dig(&["+short", "three.example.com"]) == "192.0.2.3\n", "the edited zone is served");
    assert_eq!(dig(&["+short", "one.example.com"]), "");
    assert_eq!(update("four"), "");
    for command in ["sync -clean example.com", "sync example.com", "freeze fixed.test", "thaw fixed.test"] {
        rndc(command);
    }
    for command in ["sync fixed.test", "freeze", "thaw", "sync", "sync -clean", "freeze nowhere.test"] {
        rndc(command);
    }
    assert!(on_disk(&server).contains("four"), "{}", on_disk(&server));
    assert_eq!(update("five"), "");
    rndc("stop");
    assert!(server.ended().success());
    assert!(on_disk(&server).contains("five"), "what is stopped leaves a whole file:\n{}", on_disk(&server));
    said
}

#[test]
fn zone_files_are_written_edited_and_taken_over_as_by_named() {
    // named reads the edited file after its reply, and here it has been read by then.
    let (later, done) = (
        "A zone reload and thaw was started.\nCheck the logs to see the result.",
        "The zone reload and thaw was successful.",
    );
    let named: Vec<String> = session("named").iter().map(|said| said.replace(later, done)).collect();
    assert_eq!(session(env!("CARGO_BIN_EXE_bindyd")), named);
}

impl Served {
    /// Writes another configuration, and has it read.
    fn reconfigure(&mut self, conf: &str) {
        self.server.configure(&format!("{KEY}{conf}"));
        self.server.reload();
        self.server.says("reloading configuration succeeded");
    }

    fn add(&self, name: &str) -> String {
        self.nsupdate(&SIGN, &format!("update add {name}.example.com 60 A 192.0.2.7"))
    }

    fn has(&self, name: &str) -> bool {
        self.dig(&["+short", &format!("{name}.example.com")]) == "192.0.2.7\n"
    }
}

/// While the new views were loaded, the zone had two owners, and the second wrote over what the first acknowledged.
#[test]
fn a_zone_that_moves_to_another_view_keeps_what_was_acknowledged() {
    let mut server = serve();
    assert_eq!(server.add("one"), "");
    for (view, name) in ["first", "second"].into_iter().zip(["two", "three"]) {
        server.reconfigure(&format!("view {view} {{ {CONF} }};"));
        assert!(server.has("one"));
        assert_eq!(server.add(name), "");
    }
    // In a view that stands before the old one, which has it by `in-view` from now on.
    let shared = "zone \"example.com\" { in-view third; };";
    server.reconfigure(&format!("view third {{ {CONF} }}; view second {{ {shared} }};"));
    assert_eq!(server.add("four"), "");
    server.kill_and_start();
    assert!(["one", "two", "three", "four"].iter().all(|name| server.has(name)));
    assert_eq!(server.serial(), 5);
}

/// The view that did not have it any more took it from its owner, and updates failed from then on.
#[test]
fn a_zone_that_one_view_has_no_more_by_in_view_is_still_updated_in_its_own() {
    let mut server = serve();
    let shared = "view second { zone \"example.com\" { in-view first; }; };";
    server.reconfigure(&format!("view first {{ {CONF} }}; {shared}"));
    assert_eq!(server.add("one"), "");
    server.reconfigure(&format!("view first {{ {CONF} }}; view second {{ }};"));
    assert_eq!(server.add("two"), "");
    assert!(server.has("one") && server.has("two"));
}

/// Its new owner accepted updates while the file was edited.
#[test]
fn a_frozen_zone_that_gets_another_owner_stays_frozen() {
    let mut server = serve();
    let control = free_port();
    let inet = format!("controls {{ inet 127.0.0.1 port {control} allow {{ 127.0.0.1; }} keys {{ k; }}; }};");
    let options = format!("options {{ default-key k; default-server 127.0.0.1; default-port {control}; }};");
    server.server.write("rndc.conf", &format!("{KEY}\n{options}\n"));
    let rndc_conf = server.server.folder().join("rndc.conf");
    let rndc = |command: &str| {
        let status = Command::new("rndc").arg("-c").arg(&rndc_conf).args([command, "example.com"]).status();
        assert!(status.unwrap().success(), "{command}");
    };
    server.reconfigure(&format!("{inet} {CONF}"));
    assert_eq!(server.add("one"), "");
    rndc("freeze");
    server.reconfigure(&format!("{inet} view other {{ {CONF} }};"));
    assert!(server.has("one"));
    assert_eq!(server.add("two"), "update failed: REFUSED\n");
    rndc("thaw");
    assert_eq!(server.add("two"), "");
}

/// A reload passed over the edit in silence, and the next write of the file undid it.
#[test]
fn a_reload_warns_of_an_edit_without_a_freeze() {
    const WARNING: &str = "zone example.com/IN: its file was edited, but the zone is dynamic";
    let control = free_port();
    let inet = format!("controls {{ inet 127.0.0.1 port {control} allow {{ 127.0.0.1; }} keys {{ k; }}; }};");
    let options = format!("options {{ default-key k; default-server 127.0.0.1; default-port {control}; }};");
    let mut server = serve();
    server.server.write("rndc.conf", &format!("{KEY}\n{options}\n"));
    let rndc_conf = server.server.folder().join("rndc.conf");
    let rndc = |command: &[&str]| {
        let status = Command::new("rndc").arg("-c").arg(&rndc_conf).args(command).status();
        assert!(status.unwrap().success(), "{command:?}");
    };
    let conf = format!("{inet} {CONF}");
    server.reconfigure(&conf);
    // What the server writes itself is no edit.
    assert_eq!(server.add("one"), "");
    rndc(&["sync"]);
    server.reconfigure(&conf);
    rndc(&["freeze", "example.com"]);
    let edited = |serial: &str| ZONE.replace("hostmaster 1 ", &format!("hostmaster {serial} "));
    server.server.write("example.zone", &edited("10"));
    server.reconfigure(&conf);
    rndc(&["thaw", "example.com"]);
    server.reconfigure(&conf);
    assert!(server.serial() == 10 && !server.server.log().contains(WARNING), "{}", server.server.said());
    server.server.write("example.zone", &edited("20"));
    server.reconfigure(&conf);
    server.server.has_said(WARNING);
    server.server.has_said("edit between `rndc freeze example.com` and `rndc thaw example.com`");
    assert_eq!(server.serial(), 10);
    assert_eq!(server.add("two"), "");
    rndc(&["sync"]);
    server.reconfigure(&conf);
    assert_eq!(server.server.log().matches(WARNING).count(), 1, "{}", server.server.said());
}

#[test]
fn two_zones_with_one_file_do_not_both_write_to_it() {
    let mut server = serve();
    let zone = "zone \"example.com\" { type primary; file \"./example.zone\"; };";
    server.server.configure(&format!(
        "{KEY}view a {{ allow-update {{ key k; }}; {zone} }}; view b {{ allow-update {{ key k; }}; {zone} }};"
    ));
    server.server.reload();
    server.server.says("example.zone; give each a file of its own, or use `in-view`");
}

/// The zone went back to what it was at the last update, at every reload.
#[test]
fn a_zone_that_is_not_updated_any_more_is_read_from_its_file_again() {
    let mut server = serve();
    assert_eq!(server.add("one"), "");
    let control = free_port();
    let fixed = format!(
        "controls {{ inet 127.0.0.1 port {control} allow {{ 127.0.0.1; }} keys {{ k; }}; }};\
         zone \"example.com\" {{ type primary; file \"example.zone\"; }};"
    );
    server.reconfigure(&fixed);
    assert!(server.has("one") && server.add("two") == "update failed: REFUSED\n");
    let options = format!("options {{ default-key k; default-server 127.0.0.1; default-port {control}; }};");
    server.server.write("rndc.conf", &format!("{KEY}\n{options}\n"));
    let rndc_conf = server.server.folder().join("rndc.conf");
    let clean = Command::new("rndc").arg("-c").arg(rndc_conf).args(["sync", "-clean", "example.com"]).status();
    assert!(clean.unwrap().success());
    server.server.write("example.zone", &ZONE.replace("hostmaster 1 ", "hostmaster 10 "));
    server.reconfigure(&fixed);
    assert!(!server.has("one") && server.serial() == 10);
    server.reconfigure(CONF);
    assert_eq!(server.add("three"), "");
    assert_eq!(server.serial(), 11);
}

/// What a process may have is told by prlimit (1), which becomes the server.
fn serve_within(limit: &str) -> Served {
    let port = free_port();
    let arguments = [limit, env!("CARGO_BIN_EXE_bindyd"), "-g", "-c", "named.conf"];
    let mut prepared = Prepared::new("", "", &[("example.zone", ZONE)]).with_arguments(&arguments);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    prepared.configure(&format!("{KEY}{CONF}"));
    Served { server: prepared.run_until("prlimit", ": running"), port }
}

/// Journals and connections were out of files at 1024 of them, which is what services get unless they ask for more.
#[test]
fn as_many_files_may_be_open_as_the_process_may_have() {
    let server = serve_within("--nofile=64:640");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.server.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_ascii_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["640", "640"]);
}

/// What was acknowledged after it went into a file without a name, and was gone after a start.
#[test]
fn a_journal_that_somebody_removes_is_written_anew() {
    let mut server = serve();
    assert_eq!(server.add("one"), "");
    std::fs::remove_file(server.server.folder().join("example.zone.changes")).unwrap();
    assert_eq!(server.add("two"), "");
    server.server.says("somebody has removed the journal ");
    server.kill_and_start();
    assert!(server.has("one") && server.has("two"));
}

/// It ended the server, by SIGXFSZ.
#[test]
fn a_journal_that_would_be_longer_than_a_file_may_be_is_as_on_a_full_disk() {
    let server = serve_within("--fsize=16384");
    let update = |n: u32| format!("update add large{n}.example.com 60 TXT \"{}\"", "t".repeat(250));
    let refused = (0..200).map(update).map(|update| server.nsupdate(&SIGN, &update)).find(|said| !said.is_empty());
    assert_eq!(refused.as_deref(), Some("update failed: SERVFAIL\n"));
    assert!(server.dig(&["+short", "large0.example.com", "TXT"]).contains("ttt"));
}

/// Secondaries did not get what was edited, and nobody was told.
#[test]
fn a_thaw_tells_of_a_serial_that_was_not_raised() {
    let listen = format!("port {} {{ 127.0.0.1; }}", free_port());
    let (bindyd, files) = (env!("CARGO_BIN_EXE_bindyd"), [("example.zone", ZONE)]);
    let server = Controlled::start_with(bindyd, &listen, "", &format!("{KEY}{CONF}"), &files);
    for (serial, warning) in
        [(1, "the content changed and its serial did not"), (0, "the serial went back from 1 to 0")]
    {
        assert!(server.told(&["freeze", "example.com"]).0);
        let edited =
            ZONE.replace("hostmaster 1 ", &format!("hostmaster {serial} ")) + &format!("e{serial} A 192.0.2.9\n");
        server.server.write("example.zone", &edited);
        assert!(server.told(&["thaw", "example.com"]).0);
        server.server.says(warning);
    }
}

#[test]
fn what_would_not_load_again_cannot_be_added() {
    let mut server = serve();
    let key = "update add example.com 60 DNSKEY 256 3 13 oJMRESz5E4gYzS/q6XDrvU1qMPYIjCWzJaOau8XNEZeqCYKD5ar0IRd8KqXXFJkqmVfRvMGPmM1x8fGAa2XhSA==";
    assert_eq!(server.nsupdate(&SIGN, key), "update failed: REFUSED\n");
    let hash = "update del example.com NSEC3PARAM";
    assert_eq!(server.nsupdate(&SIGN, hash), "");
    let cds = "update add example.com 60 CDS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000";
    assert_eq!(server.nsupdate(&SIGN, cds), "update failed: REFUSED\n");
    assert_eq!(server.add("one"), "");
    server.kill_and_start();
    assert!(server.has("one"));
}

/// With these checks, a stop wrote a file that the next start refused, and so it is in named.
#[test]
fn a_zone_whose_hosts_went_by_updates_loads_again() {
    let mut server = serve();
    let checks = "check-mx fail; check-mx-cname fail; check-srv-cname fail; file \"example.zone\";";
    server.reconfigure(&CONF.replace("file \"example.zone\";", checks));
    let records = "update add example.com 60 MX 10 mail.example.com.\nupdate add mail.example.com 60 A 192.0.2.1\n\
                   update add second.example.com 60 MX 10 www.example.com.\n\
                   update add _s._tcp.example.com 60 SRV 0 0 5 www.example.com.";
    assert_eq!(server.nsupdate(&SIGN, records), "");
    // What the update itself adds is checked.
    let added = "update add third.example.com 60 MX 10 nowhere.example.com.";
    assert_eq!(server.nsupdate(&SIGN, added), "update failed: REFUSED\n");
    let gone = "update del mail.example.com\nupdate del www.example.com\n\
                update add www.example.com 60 CNAME ns.example.com.";
    assert_eq!(server.nsupdate(&SIGN, gone), "");
    for signal in ["KILL", "TERM"] {
        server.server.replace(signal, env!("CARGO_BIN_EXE_bindyd"));
        server.server.says(": running");
        assert_eq!(server.serial(), 3, "{signal}");
    }
    server.server.has_said("MX mail.example.com. of example.com. has no A or AAAA record");
    assert_eq!(server.add("one"), "");
}

/// The commands that give the zone SOA records of these serials.
fn with_serials(serials: &[u32]) -> String {
    let soa =
        |serial| format!("update add example.com 300 SOA ns.example.com. hostmaster.example.com. {serial} 1 1 1 1\n");
    serials.iter().map(soa).collect()
}

/// The journal had serial 2 twice, and after a start everything between was lost.
#[test]
fn serials_that_go_all_the_way_round_lose_no_update() {
    let mut server = serve();
    assert_eq!(server.add("one"), "");
    // The zone file has serial 2 then.
    server.server.replace("TERM", env!("CARGO_BIN_EXE_bindyd"));
    server.server.says(": running");
    assert_eq!(server.add("two"), "");
    for serial in [0x8000_0002, u32::MAX, 2] {
        assert_eq!(server.nsupdate(&SIGN, &with_serials(&[serial])), "");
        assert_eq!(server.serial(), serial);
    }
    assert_eq!(server.add("three"), "");
    server.kill_and_start();
    assert_eq!(server.serial(), 3);
    assert!(["one", "two", "three"].iter().all(|name| server.has(name)));
}

#[test]
fn a_serial_that_does_not_increase_is_refused_as_by_named() {
    let run = |program: &str| {
        let port = free_port();
        let mut prepared = Prepared::new("recursion no; dnssec-validation no;", "", &[("example.zone", ZONE)]);
        prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
        prepared.configure(&format!("{KEY}{CONF}"));
        let server = prepared.run_until(program, "all zones loaded");
        server.runs();
        let step = |serials: &[u32]| {
            let update = format!("{}update add a.example.com 60 A 192.0.2.{}", with_serials(serials), serials.len());
            let said = nsupdate(port, &SIGN, &update);
            (said, dig("127.0.0.1", port, &["+short", "example.com", "SOA"]))
        };
        // From one SOA to the next it does, but not in all.
        let steps: [&[u32]; 7] =
            [&[1], &[0], &[0x8000_0000, 0xffff_ffff], &[0x8000_0000, 0xffff_ffff, 1], &[9, 7], &[9], &[10]];
        steps.map(step)
    };
    assert_eq!(run(env!("CARGO_BIN_EXE_bindyd")), run("named"));
}

#[test]
fn many_clients_updates_are_committed_together_and_none_is_lost() {
    let mut server = serve();
    let port = server.port;
    std::thread::scope(|scope| {
        for client in 0..8 {
            scope.spawn(move || {
                let mut commands = String::new();
                for i in 0..25 {
                    let _ = writeln!(commands, "update add h{i}.c{client}.example.com 60 A 192.0.2.{i}\nsend");
                }
                assert_eq!(nsupdate(port, &SIGN, &commands), "");
            });
        }
    });
    assert_eq!(server.serial(), 201);
    server.kill_and_start();
    assert_eq!(server.serial(), 201);
    for client in 0..8 {
        assert_eq!(server.dig(&["+short", &format!("h24.c{client}.example.com")]), "192.0.2.24\n");
    }
}

/// A configuration of another server for the same files: on another port, and with a zone of its own in another folder.
fn beside(server: &Server) -> Server {
    let conf = std::fs::read_to_string(server.folder().join("named.conf")).unwrap();
    let port = conf.split("port ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let own = "zone \"own.test\" { type primary; file \"own/own.zone\"; allow-update { key k; }; };";
    server.write("own/own.zone", ZONE);
    server.write("beside.conf", &(conf.replace(&format!("port {port} "), "port 0 ") + own));
    let conf = server.folder().join("beside.conf").display().to_string();
    Prepared::new("", "", &[]).with_arguments(&["-g", "-n", "1", "-c", &conf]).run()
}

/// Both servers acknowledged updates, and each wrote over what the other had acknowledged.
#[test]
fn of_two_servers_with_the_same_files_one_changes_the_zone_and_the_other_takes_over_from_it() {
    for journal in [true, false] {
        let mut server = serve();
        let folder = server.server.folder().to_owned();
        if journal {
            assert_eq!(server.add("one"), "");
        }
        let other = beside(&server.server);
        let folder_shown = folder.display();
        other.has_said(&format!(
            "another process ({}) has zones that change in the folder {folder_shown}",
            server.server.id()
        ));
        let add = |name: &str| nsupdate(other.port(), &SIGN, &format!("update add {name}.example.com 60 A 192.0.2.7"));
        let has = |name: &str| other.dig(&["+short", &format!("{name}.example.com")]) == "192.0.2.7\n";
        assert_eq!(has("one"), journal);
        assert_eq!(add("lost"), "update failed: SERVFAIL\n");
        let nothing = nsupdate(other.port(), &SIGN, "update delete two.example.com A");
        assert_eq!(nothing, "update failed: SERVFAIL\n", "the other server may have it");
        assert_eq!(folder.join("example.zone.changes").exists(), journal);
        let own = nsupdate_in("own.test", other.port(), &SIGN, "update add one.own.test 60 A 192.0.2.7");
        assert_eq!(own, "");

        assert_eq!(server.add("two"), "");
        other.reload();
        other.says("reloading configuration succeeded");
        assert!(has("two") && !has("lost"));
        assert_eq!(server.add("three"), "");
        server.server.signal("KILL");
        server.server.ended();
        other.says(" is free now");
        other.says("reloading configuration succeeded");
        assert_eq!(add("four"), "");
        assert!(has("two") && has("three") && has("four") && !has("lost"));

        server.server.start_again(env!("CARGO_BIN_EXE_bindyd"));
        server.server.says("another process (");
        server.server.says(": running");
        assert!(server.has("four"));
        assert_eq!(server.add("lost"), "update failed: SERVFAIL\n");
    }
}

/// The zone was not served.
#[test]
fn a_zone_whose_journal_cannot_be_written_at_the_start_is_served_and_refuses_updates() {
    let port = free_port();
    // Root may write everything.
    let user: &[&str] = if is_root() { &["-u", "nobody"] } else { &[] };
    let arguments = [user, &["-g", "-n", "1", "-c", "named.conf"]].concat();
    let mut prepared = Prepared::new("", "", &[("example.zone", ZONE)]).with_arguments(&arguments);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    prepared.configure(&format!("{KEY}{CONF}"));
    let folder = prepared.folder().to_owned();
    let allow = |file: &str, mode| {
        std::fs::set_permissions(folder.join(file), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow("", 0o777);
    let mut server = Served { server: prepared.run(), port };
    assert_eq!(server.add("one"), "");
    server.server.signal("KILL");
    server.server.ended();
    allow("example.zone.changes", 0o444);
    allow("", 0o555);
    server.server.start_again(env!("CARGO_BIN_EXE_bindyd"));
    server
        .server
        .says("example.zone.changes: cannot open it: Permission denied (os error 13); the server's user must be");
    server.server.says(": running");
    assert!(server.has("one"));
    assert_eq!(server.add("two"), "update failed: SERVFAIL\n");
    let ixfr = server.dig(&[&SIGN, &["example.com", "IXFR=1"][..]].concat());
    assert!(ixfr.contains("one.example.com.") && !ixfr.contains("www.example.com."), "{ixfr}");
    allow("", 0o777);
    allow("example.zone.changes", 0o666);
    server.server.reload();
    server.server.says("reloading configuration succeeded");
    assert_eq!(server.add("two"), "");
    server.kill_and_start();
    assert!(server.has("one") && server.has("two"));
}

/// Each zone with changes had an open file of its own: as many zones changed as the process may have open files.
#[test]
fn more_zones_change_than_there_may_be_open_files() {
    const ZONES: u32 = 700;
    let port = free_port();
    let arguments = ["--nofile=640", env!("CARGO_BIN_EXE_bindyd"), "-g", "-n", "1", "-c", "named.conf"];
    let mut prepared = Prepared::new("", "", &[]).with_arguments(&arguments);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    let mut conf = KEY.to_owned();
    for n in 0..ZONES {
        prepared.write(&format!("{n}.zone"), ZONE);
        write!(conf, "zone z{n}.test {{ type primary; file \"{n}.zone\"; allow-update {{ key k; }}; }};").unwrap();
    }
    prepared.configure(&conf);
    let mut server = Served { server: prepared.run_until("prlimit", ": running"), port };
    for name in ["one", "two"] {
        let mut commands = String::new();
        for n in 0..ZONES {
            writeln!(commands, "zone z{n}.test\nupdate add {name}.z{n}.test 60 A 192.0.2.7\nsend").unwrap();
        }
        assert_eq!(nsupdate_in("z0.test", port, &SIGN, &commands), "");
    }
    for again in [false, true] {
        if again {
            server.server.replace("KILL", "prlimit");
            server.server.says(": running");
        }
        for n in [0, 1, ZONES / 2, ZONES - 1] {
            let ixfr = server.dig(&[&SIGN, &[&format!("z{n}.test"), "IXFR=1"][..]].concat());
            assert!(ixfr.contains("one.z") && ixfr.contains("two.z") && !ixfr.contains("www.z"), "{ixfr}");
        }
    }
}

/// What was acknowledged was gone with the first transfer.
#[test]
fn the_updates_of_a_zone_that_becomes_secondary_are_kept_aside() {
    let primary = free_port();
    let secondary = format!(
        "zone \"example.com\" {{ type secondary; file \"example.zone\"; masterfile-format text; primaries port {primary} {{ 127.0.0.1; }}; }};"
    );
    for restarts in [false, true] {
        let mut server = serve();
        assert_eq!(server.add("one"), "");
        if restarts {
            server.server.configure(&secondary);
            server.kill_and_start();
        } else {
            server.reconfigure(&secondary);
        }
        server.server.log();
        server.server.has_said("the updates in its journal are kept as ");
        let [journal, aside] = ["changes", "changes.old"].map(|extension| {
            let path = server.server.folder().join(format!("example.zone.{extension}"));
            path.exists()
        });
        assert!(!journal && aside);
        assert!(server.dig(&["+short", "example.com", "SOA"]).contains(" hostmaster"));
        // Nor do they come back.
        server.server.configure(&secondary);
        server.kill_and_start();
        assert!(!server.server.folder().join("example.zone.changes").exists());
    }
}

/// The zone went on being dynamic: when the server stopped, it wrote over what had been edited.
#[test]
fn the_file_of_a_zone_that_is_not_updated_any_more_may_be_edited() {
    for restarts in [false, true] {
        let mut server = serve();
        assert_eq!(server.add("one"), "");
        let fixed = "zone \"example.com\" { type primary; file \"example.zone\"; };";
        if restarts {
            server.server.configure(&format!("{KEY}{fixed}"));
            server.kill_and_start();
        } else {
            server.reconfigure(fixed);
        }
        server.server.log();
        server.server.has_said("zone example.com/IN: it is not updated any more: ");
        let path = server.server.folder().join("example.zone");
        let read = || std::fs::read_to_string(&path).unwrap();
        assert!(server.has("one") && read().contains("one"), "{}", read());
        assert!(!server.server.folder().join("example.zone.changes").exists());
        let edited = ZONE.replace("hostmaster 1 ", "hostmaster 10 ") + "edited A 192.0.2.7\n";
        server.server.write("example.zone", &edited);
        server.reconfigure(fixed);
        assert!(server.has("edited") && server.serial() == 10);
        server.server.stop();
        assert_eq!(read(), edited);
    }
}
