//! Changes that named has in a zone's journal but not yet in its file are not lost: `named` and `nsupdate` make some, then
//! `bindyd` takes named's place, and gives it back.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use bindy_tests::ports::free_port;

use super::{
    EXAMPLE, ZONE,
    control::Controlled,
    notify,
    server::{Prepared, Server, dig, wait_until},
    transfers::{KEY, SIGN, large_zone},
    updates::nsupdate,
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");

const DYNAMIC: &str = "zone \"dynamic.test\" { type primary; file \"dynamic.zone\"; allow-update { key k; }; };";

/// The server that has taken the zone over from another one, and its DNS port.
struct Taken {
    server: Server,
    port: u16,
}

/// Adds a name to the zone.
fn add(port: u16, name: &str) {
    let mut nsupdate = Command::new("nsupdate");
    nsupdate.args(SIGN).stdin(Stdio::piped());
    let mut nsupdate = nsupdate.spawn().expect("nsupdate: install bind9-dnsutils");
    let text = format!("server 127.0.0.1 {port}\nadd {name}.dynamic.test 300 A 192.0.2.7\nsend\n");
    nsupdate.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    assert!(nsupdate.wait().expect("it was started").success());
}

/// A server whose zone was updated with one name, and its DNS port.
fn controlled(program: &str) -> (Controlled, u16) {
    let port = free_port();
    let (listen, conf) = (format!("port {port} {{ 127.0.0.1; }}"), format!("{KEY}{DYNAMIC}"));
    let server = Controlled::start_with(program, &listen, "", &conf, &[("dynamic.zone", ZONE)]);
    add(port, "one");
    (server, port)
}

impl Taken {
    /// A named whose zone is updated with one name, so that its journal leads from serial 1 to 2.
    fn updated() -> Taken {
        let port = free_port();
        let options = "recursion no; dnssec-validation no;";
        let mut prepared = Prepared::new(options, "", &[("dynamic.zone", ZONE)]);
        prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
        prepared.configure(&format!("{KEY}{DYNAMIC}"));
        let named = Taken { server: prepared.run_until("named", "all zones loaded"), port };
        named.add("one");
        named
    }

    /// A bindyd that has taken the zone over, and the journal that it has moved away.
    fn with_journal() -> (Taken, Vec<u8>) {
        let mut server = Taken::updated();
        server.replace("KILL", BINDYD);
        server.says("all zones loaded");
        let journal = server.read("dynamic.zone.jnl.old");
        (server, journal)
    }

    /// Asserts that bindyd has the zone's change once it runs, that it makes another one, and that named goes on then.
    fn goes_on(mut self) {
        self.says("all zones loaded");
        self.has(&["one"]);
        self.add("two");
        self.replace("TERM", "named");
        self.says("all zones loaded");
        self.has(&["one", "two"]);
    }

    /// Ends the server with this signal, and starts another one in the same folder.
    fn replace(&mut self, signal: &str, program: &str) {
        self.server.replace(signal, program);
    }

    fn add(&self, name: &str) {
        add(self.port, name);
    }

    fn dig(&self, question: &[&str]) -> String {
        dig("127.0.0.1", self.port, question)
    }

    /// Asserts that the zone has been changed by these additions and by nothing else.
    fn has(&self, names: &[&str]) {
        for name in names {
            let reply = self.dig(&[&format!("{name}.dynamic.test")]);
            assert!(reply.contains("192.0.2.7"), "{name}: {reply}\n{}", self.server.said());
        }
        let soa = self.dig(&["+short", "dynamic.test", "SOA"]);
        assert_eq!(soa.split(' ').nth(2), Some(&*(1 + names.len()).to_string()));
    }

    fn says(&self, text: &str) {
        self.server.says(text);
    }

    fn path(&self, file: &str) -> PathBuf {
        self.server.folder().join(file)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    fn write(&self, file: &str, octets: &[u8]) {
        fs::write(self.path(file), octets).expect("the folder is there");
    }
}

#[test]
fn what_named_acknowledged_is_taken_over_and_named_can_take_over_again() {
    let mut server = Taken::updated();
    server.add("two");
    server.replace("KILL", BINDYD);
    server.says("journal rollforward completed successfully: ");
    server.says("all zones loaded");
    server.has(&["one", "two"]);
    assert!(server.path("dynamic.zone.jnl.old").exists() && !server.path("dynamic.zone.jnl").exists());
    server.add("three");
    server.replace("KILL", BINDYD);
    server.says("all zones loaded");
    server.has(&["one", "two", "three"]);

    // A server that is asked to end writes the zone file; named goes on from there.
    server.replace("TERM", "named");
    server.says("all zones loaded");
    server.has(&["one", "two", "three"]);
    server.add("four");
    server.replace("KILL", BINDYD);
    server.says("named's changes from serial 4 to 5 now");
    server.says("all zones loaded");
    server.has(&["one", "two", "three", "four"]);
    server.add("five");
    server.replace("TERM", "named");
    server.says("all zones loaded");
    server.has(&["one", "two", "three", "four", "five"]);
}

/// named's journal began later than where this server had ended, and both seemed to have changed the zone by themselves.
#[test]
fn a_journal_that_named_has_begun_anew_is_taken_over() {
    let (mut server, port) = controlled(BINDYD);
    server.replace("TERM", "named");
    add(port, "two");
    assert!(server.told(&["sync", "-clean", "dynamic.test"]).0);
    add(port, "three");
    server.replace("KILL", BINDYD);
    add(port, "four");
    for name in ["one", "two", "three", "four"] {
        let name = format!("{name}.dynamic.test");
        assert_eq!(dig("127.0.0.1", port, &["+short", &name]), "192.0.2.7\n", "{name}");
    }
}

#[test]
fn a_kill_at_any_moment_of_taking_over_loses_nothing_and_makes_nothing_twice() {
    let mut server = Taken::updated();
    server.add("two");
    let (file, journal) = (ZONE.as_bytes(), server.read("dynamic.zone.jnl"));
    for delay in (0..40).map(|i| i * 1500) {
        server.server.signal("KILL");
        server.server.ended();
        for left in ["dynamic.zone.jnl.old", "dynamic.zone.changes"] {
            let _ = fs::remove_file(server.path(left));
        }
        server.write("dynamic.zone", file);
        server.write("dynamic.zone.jnl", &journal);
        server.server.start_again(BINDYD);
        thread::sleep(Duration::from_micros(delay));
        server.replace("KILL", BINDYD);
        server.says("all zones loaded");
        server.has(&["one", "two"]);
        assert!(!server.path("dynamic.zone.jnl").exists());
        server.add("three");
    }
    server.replace("TERM", "named");
    server.says("all zones loaded");
    server.has(&["one", "two", "three"]);
}

/// The moment between writing the zone file and moving the journal away, which a kill seldom hits.
#[test]
fn a_journal_that_is_in_the_file_already_is_only_moved_away() {
    let (mut server, journal) = Taken::with_journal();
    server.write("dynamic.zone.jnl", &journal);
    // What named leaves behind if it ends while it makes the journal shorter.
    server.write("dynamic.zone.jbk", &journal);
    server.replace("KILL", BINDYD);
    server.says("named's journal is not needed any more");
    server.goes_on();
}

#[test]
fn a_zone_that_both_servers_changed_from_one_version_on_is_not_served() {
    let mut server = Taken::updated();
    server.replace("KILL", BINDYD);
    server.says("all zones loaded");
    server.add("ours");
    // What this server has acknowledged is in its journal only, which named does not know.
    server.replace("KILL", "named");
    server.says("all zones loaded");
    server.has(&["one"]);
    server.add("theirs");
    server.replace("KILL", BINDYD);
    server.says("named changed the zone from serial 2 on, and the journal ");
    server.says("all zones loaded");
    assert!(server.dig(&["www.dynamic.test"]).contains("status: SERVFAIL"));
    assert!(server.path("dynamic.zone.jnl").exists() && server.path("dynamic.zone.changes").exists());
    fs::remove_file(server.path("dynamic.zone.changes")).expect("it was there");
    server.replace("KILL", BINDYD);
    server.says("all zones loaded");
    server.has(&["one", "theirs"]);
}

/// The journal has the zone file's serial, but others have made that version: secondaries got what it lacks.
#[test]
fn changes_that_led_to_another_version_are_not_sent() {
    let mut server = Taken::updated();
    server.replace("KILL", BINDYD);
    server.says("all zones loaded");
    server.add("ours");
    let other = ZONE.replace("hostmaster 1 ", "hostmaster 3 ") + "one A 192.0.2.7\ntheirs A 192.0.2.7\n";
    server.write("dynamic.zone", other.as_bytes());
    server.replace("KILL", BINDYD);
    server.says("the zone file does not have what the journal ");
    server.says("all zones loaded");
    server.has(&["one", "theirs"]);
    assert_eq!(server.dig(&["+short", "ours.dynamic.test"]), "");
    let ixfr = |from: &str| server.dig(&[SIGN[0], SIGN[1], "dynamic.test", from]);
    let whole = ixfr("IXFR=2");
    assert!(whole.contains("theirs.dynamic.test.") && !whole.contains("ours.dynamic.test."), "{whole}");
    server.add("more");
    let change = ixfr("IXFR=3");
    assert!(change.contains("more.dynamic.test.") && !change.contains("theirs.dynamic.test."), "{change}");
    server.replace("KILL", BINDYD);
    server.says("all zones loaded");
    server.has(&["one", "theirs", "more"]);
}

#[test]
fn a_zone_without_updates_is_taken_over_too() {
    let mut server = Taken::updated();
    let fixed = fs::read_to_string(server.path("named.conf")).expect("it is there");
    server.write("named.conf", fixed.replace("allow-update", "allow-query { any; }; allow-transfer").as_bytes());
    server.replace("KILL", BINDYD);
    server.says("all zones loaded");
    server.has(&["one"]);
    assert!(String::from_utf8_lossy(&server.read("dynamic.zone")).contains("one"));
    server.write("dynamic.zone", ZONE.replace("hostmaster 1 ", "hostmaster 3 ").as_bytes());
    server.server.reload();
    server.says("zone dynamic.test/IN: loaded serial 3");
    assert!(!server.path("dynamic.zone.changes").exists());
}

#[test]
fn a_journal_that_named_had_not_put_in_its_place_is_taken_over() {
    let (mut server, journal) = Taken::with_journal();
    server.write("dynamic.zone", ZONE.as_bytes());
    server.write("dynamic.zone.jbk", &journal);
    server.replace("KILL", BINDYD);
    server.goes_on();
}

/// It took named's journal over before it found named's sockets.
#[test]
fn a_start_beside_named_takes_nothing_over() {
    let (named, port) = controlled("named");
    let journal = named.server.folder().join("dynamic.zone.jnl");
    let before = fs::read(&journal).expect("named has made it");
    let mut beside = Command::new(BINDYD);
    beside.arg("-g").arg("-c").arg(named.server.folder().join("named.conf"));
    let output = beside.output().expect("it was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(&format!("cannot listen on 127.0.0.1:{port} (UDP)")), "{said}");
    assert_eq!(fs::read(&journal).expect("it is where it was"), before);
    assert!(!named.server.folder().join("dynamic.zone.changes").exists());
    add(port, "two");
    assert!(dig("127.0.0.1", port, &["two.dynamic.test"]).contains("192.0.2.7"));
}

#[test]
fn a_check_of_the_configuration_takes_nothing_over() {
    let mut server = Taken::updated();
    server.server.signal("KILL");
    server.server.ended();
    let journal = server.read("dynamic.zone.jnl");
    let conf = server.path("named.conf");
    let check = Command::new(BINDYD).arg("--check").arg("-c").arg(conf).output().expect("it was built");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    assert_eq!((server.read("dynamic.zone.jnl"), server.read("dynamic.zone")), (journal, ZONE.as_bytes().to_vec()));
}

#[test]
fn a_journal_that_named_has_written_into_the_file_is_no_matter() {
    for command in [&["sync", "dynamic.test"][..], &["sync", "-clean", "dynamic.test"]] {
        let (mut named, port) = controlled("named");
        assert!(named.told(command).0);
        // named answers before it writes the file, and before it removes the journal.
        named.server.writes("dynamic.zone", "192.0.2.7");
        named.replace("KILL", BINDYD);
        let reply = dig("127.0.0.1", port, &["one.dynamic.test"]);
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
    let mut server = prepared.run_until_it_answers("named");
    let keys = || dig("127.0.0.1", port, &["+short", "example.com", "DNSKEY"]);
    wait_until(|| keys().starts_with("257 "), "named has signed the zone");
    server.configure(EXAMPLE);
    server.replace("TERM", BINDYD);
    server.says("example.zone.signed: named signed this zone up to serial ");
    server.says("all zones loaded");
    assert!(dig("127.0.0.1", port, &["www.example.com"]).contains("status: SERVFAIL"));

    server.write("example.zone", &ZONE.replace("hostmaster 1 ", "hostmaster 1000 "));
    server.reload();
    server.says("1000 is served unsigned");
    server.says("reloading configuration succeeded");
    assert_eq!(dig("127.0.0.1", port, &["+short", "www.example.com"]), "192.0.2.1\n");
}

#[test]
fn a_journal_that_does_not_belong_to_the_file_is_an_error_as_for_named() {
    let mut server = Taken::updated();
    server.add("two");
    let journal = server.read("dynamic.zone.jnl");
    // Serials before and after those of the journal, and one inside it.
    for (serial, is_served) in [(0, false), (4, false), (0x8000_0002_u32, false), (2, true)] {
        let text = ZONE.replace("hostmaster 1 ", &format!("hostmaster {serial} "));
        let text = if serial == 2 { text + "one A 192.0.2.7\n" } else { text };
        for program in ["named", BINDYD] {
            server.write("dynamic.zone", text.as_bytes());
            server.write("dynamic.zone.jnl", &journal);
            server.replace("KILL", program);
            if is_served {
                server.says("all zones loaded");
                server.has(&["one", "two"]);
                continue;
            }
            server.says("journal rollforward failed: journal out of sync with zone");
            server.says("all zones loaded");
            assert!(server.dig(&["www.dynamic.test"]).contains("status: SERVFAIL"), "{program}, {serial}");
            assert_eq!(
                (server.read("dynamic.zone"), &server.read("dynamic.zone.jnl")),
                (text.clone().into(), &journal)
            );
        }
    }
}

/// The journal did not have the serial of the edited file, and the zone was not served, as with named.
#[test]
fn a_frozen_zone_that_was_edited_is_served_after_a_start() {
    let (mut server, port) = controlled(BINDYD);
    assert!(server.told(&["freeze", "dynamic.test"]).0);
    let edited = ZONE.replace("hostmaster 1 ", "hostmaster 10 ") + "one A 192.0.2.7\nedited A 192.0.2.9\n";
    server.server.write("dynamic.zone", &edited);
    server.replace("KILL", BINDYD);
    assert_eq!(dig("127.0.0.1", port, &["+short", "one.dynamic.test"]), "192.0.2.7\n");
    assert_eq!(dig("127.0.0.1", port, &["+short", "edited.dynamic.test"]), "192.0.2.9\n");
}

/// Its serial was raised, but it may lack what is in the journal.
#[test]
fn a_zone_that_was_edited_without_a_freeze_is_not_served() {
    let (mut server, port) = controlled(BINDYD);
    server.server.write("dynamic.zone", &ZONE.replace("hostmaster 1 ", "hostmaster 10 "));
    server.replace("KILL", BINDYD);
    assert!(dig("127.0.0.1", port, &["www.dynamic.test"]).contains("status: SERVFAIL"));
    server.server.says("has the changes from serial 1 to 2, and the zone file has serial 10; restore the file");
}

/// `--check` looked at the zone file alone.
#[test]
fn a_check_reads_the_journals_and_changes_nothing() {
    let (mut server, _) = controlled(BINDYD);
    server.server.signal("KILL");
    server.server.ended();
    let folder = server.server.folder();
    let files =
        || ["dynamic.zone", "dynamic.zone.changes"].map(|name| fs::read(folder.join(name)).expect("it is there"));
    let check = || {
        let command = Command::new(BINDYD).arg("--check").arg("-c").arg(folder.join("named.conf")).output();
        let output = command.expect("it was built");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let before = files();
    let (success, said) = check();
    assert!(success, "{said}");
    assert!(files() == before);
    server.server.write("dynamic.zone", &ZONE.replace("hostmaster 1 ", "hostmaster 10 "));
    let before = files();
    let (success, said) = check();
    assert!(!success && said.contains("has the changes from serial 1 to 2, and the zone file has serial 10"), "{said}");
    // Others have made the version that the file has: the journal's past would be forgotten.
    server.server.write("dynamic.zone", &ZONE.replace("hostmaster 1 ", "hostmaster 2 "));
    assert!(files() != before);
    let before = files();
    let (success, said) = check();
    assert!(success, "{said}");
    assert!(files() == before);
    server.server.write("dynamic.zone.changes", "no journal");
    let (success, said) = check();
    assert!(!success && said.contains("the file is not a journal of this server"), "{said}");
}

/// What a program prints of a journal.
fn printed(program: &str, arguments: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program).env("PATH", path).args(arguments).output().expect("install bind9-utils");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
fn a_journal_is_printed_as_by_named_journalprint() {
    let printed_of = |program: &str, journal: &str| {
        let (server, port) = controlled(program);
        let long = "a-name-that-is-longer-than-the-first-column";
        for update in [
            format!("update add {long}.dynamic.test 7 TXT \"two words\" \"x;\\\"y\"\nupdate delete www.dynamic.test"),
            format!("update delete {long}.dynamic.test TXT\nupdate add m.dynamic.test 60 MX 10 mail.example.org."),
        ] {
            let text = format!("zone dynamic.test\n{update}");
            assert_eq!(nsupdate(port, &SIGN, &text), "");
        }
        // named and its tool share no journal that is written at the moment.
        let path = server.server.folder().join(journal).display().to_string();
        let before = fs::read(&path).expect("it is there");
        let ours = printed(BINDYD, &["--journal", &path]);
        assert!(fs::read(&path).expect("it is there") == before, "it is only read");
        (ours, (program == "named").then(|| printed("named-journalprint", &[&path])))
    };
    let (of_named, expected) = printed_of("named", "dynamic.zone.jnl");
    assert_eq!(Some(&of_named), expected.as_ref());
    let (of_ours, _) = printed_of(BINDYD, "dynamic.zone.changes");
    // The order within a change is free, except that each part begins with the SOA.
    let sorted = |text: &str| {
        let mut changes: Vec<Vec<&str>> = Vec::new();
        for line in text.lines() {
            if line.contains("\tSOA\t") {
                changes.push(Vec::new());
            }
            changes.last_mut().expect("the SOA is first").push(line);
        }
        let sorted = changes.into_iter().map(|mut change| {
            change.sort_unstable();
            change.join("\n")
        });
        sorted.collect::<Vec<_>>()
    };
    assert_eq!(sorted(&of_ours), sorted(&of_named));
    assert_eq!(sorted(&of_ours).len(), 6);
}

#[test]
fn what_is_no_journal_is_not_printed() {
    let prepared = Prepared::new("", "", &[("zone", ZONE)]);
    for (name, why) in
        [("zone", "the file is not a journal of this server"), ("missing", "cannot open it: No such file")]
    {
        let output =
            Command::new(BINDYD).arg("--journal").arg(prepared.folder().join(name)).output().expect("it was built");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why) && output.stdout.is_empty(), "{said}");
    }
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

#[test]
fn a_damaged_journal_is_reported() {
    let mut header = b";BIND LOG V9.2\n\0".to_vec();
    header.extend([1_u32, 64, 2, 128].into_iter().flat_map(u32::to_be_bytes));
    header.resize(64, 0);
    let no_journal = "it is not named's journal, or its start is damaged (if the zone file has all changes, remove";
    for (broken, cause) in [
        (&b""[..], no_journal),
        (b";BIND LOG V9.2\n\0", no_journal),
        (&[b'x'; 64], no_journal),
        (&header, "malformed change at octet 64 (let named load the zone"),
    ] {
        let server = with_journal(broken);
        server.has_said(&format!("example.zone.jnl: journal rollforward failed: {cause}"));
        assert!(server.dig(&["www.example.com"]).contains("status: SERVFAIL"));
    }
}

#[test]
fn a_zone_that_named_began_to_sign_is_not_taken_over() {
    let port = free_port();
    let mut prepared = Prepared::new("recursion no; dnssec-validation no;", "", &[("example.zone", ZONE)]);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    let updated = EXAMPLE.replace(" };", " allow-update { none; }; };");
    prepared.configure(&EXAMPLE.replace(" };", " allow-update { 192.0.2.1; }; dnssec-policy default; };"));
    let mut server = prepared.run_until_it_answers("named");
    // The header has the journal's first and last position.
    let journal = || fs::read(server.folder().join("example.zone.jnl")).unwrap_or_default();
    wait_until(|| journal().get(16..32).is_some_and(|header| header[..8] != header[8..]), "named has signed the zone");
    server.configure(&updated);
    server.replace("KILL", BINDYD);
    server.says("signed zones are not supported yet: the zone has a DNSKEY");
    server.says("all zones loaded");
    assert!(dig("127.0.0.1", port, &["www.example.com"]).contains("status: SERVFAIL"));
}

/// named as a secondary keeps what came by IXFR in a journal, too.
#[test]
fn a_copy_is_taken_over_without_asking_the_primary() {
    let (port, copy) = (free_port(), free_port());
    let statements = format!(
        "allow-transfer {{ key k; }}; allow-update {{ key k; }}; notify explicit; also-notify {{ 127.0.0.1 port {copy}; }};"
    );
    let conf = format!("zone \"example.com\" {{ type primary; file \"example.zone\"; {statements} }};");
    let primary = notify::serve(BINDYD, "127.0.0.1", port, &conf, &large_zone(20));
    let mut secondary = notify::secondary(copy, &format!("127.0.0.1 port {port}"));
    let file = secondary.folder().join("copy");
    notify::follows(copy, 1);
    wait_until(|| file.exists(), "named has written its copy");
    for name in ["one", "two"] {
        let update = format!("update add {name}.example.com 60 A 192.0.2.7");
        assert_eq!(nsupdate(port, &SIGN, &update), "");
    }
    notify::follows(copy, 3);
    assert!(file.with_extension("jnl").exists());
    drop(primary);
    secondary.replace("KILL", BINDYD);
    secondary.says("journal rollforward completed successfully: ");
    secondary.says(": running");
    assert_eq!(dig("127.0.0.1", copy, &["+short", "two.example.com"]), "192.0.2.7\n");
}
