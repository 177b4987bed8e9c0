//! named's journal, as named and nsupdate write it, read here and by named's own tools.

#![forbid(unsafe_code)]

use std::{
    fs,
    io::Write,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bindy_server::{
    journal::bind::NamedJournal,
    zone::{RecordRef, ZoneData},
};
use bindy_tests::ports::free_port;
use proptest::prelude::*;
use zonefmt::{
    Name, Rtype, Serial,
    diagnostics::Source,
    zone::{self, Options, Record, Refusal},
};

const ZONE: &str = "$TTL 300\n@ SOA ns hostmaster 4294967290 3600 900 604800 300\n@ NS ns\nns A 192.0.2.53\n\
                    old A 192.0.2.1\nold A 192.0.2.2\nold TXT old\n*.wild MX 10 ns\nalias CNAME old\n";

/// Each is an UPDATE, so named makes a transaction of it.
const UPDATES: [&[&str]; 9] = [
    &["add new.example. 600 A 192.0.2.7", "add New.Example. 600 A 192.0.2.8"],
    &["delete old.example. A 192.0.2.1"],
    &["add old.example. 900 A 192.0.2.2", "add old.example. 900 A 192.0.2.3"],
    &["delete alias.example. CNAME", "add alias.example. 60 CNAME new.example."],
    &["add _sip._udp.example. 60 SRV 1 2 5060 ns.example.", "add example. 60 CAA 0 issue \"ca.example\""],
    &[
        "add odd\\.label.example. 60 TYPE65280 \\# 3 010203",
        "add ns2.example. 300 A 192.0.2.54",
        "add example. 300 NS ns2.example.",
    ],
    &["delete old.example."],
    &["delete \\*.wild.example. MX", "add old.example. 0 TXT \"a\" \"\\\"b\\\"\" \"\""],
    &["add example. 300 SOA ns.example. hostmaster.example. 20 3600 900 604800 300"],
];

fn origin() -> Name {
    Name::from_ascii("example.").expect("a name")
}

/// A folder with the zone file, and the journal that named has made of the updates.
fn updated() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let conf = format!(
        "options {{ directory \".\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
         pid-file none; session-keyfile none; notify no; }};\ncontrols {{ }};\n\
         zone \"example\" {{ type primary; file \"zone\"; allow-update {{ any; }}; }};\n"
    );
    fs::write(folder.path().join("named.conf"), conf).expect("a file");
    fs::write(folder.path().join("zone"), ZONE).expect("a file");
    let mut named = Command::new("named");
    named.env("PATH", path()).current_dir(&folder).args(["-g", "-n", "1", "-c", "named.conf"]);
    let named = named.stderr(Stdio::null()).spawn().expect("named must be installed: run scripts/install-test-tools");
    let named = Killed(named);
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(30), "named does not listen");
        thread::sleep(Duration::from_millis(50));
    }
    let many = (0..500).map(|i| format!("add h{i}.example. 60 A 10.0.{}.{}", i / 256, i % 256)).collect::<Vec<_>>();
    let updates = UPDATES.iter().map(|update| update.join("\n")).chain([many.join("\n")]);
    let updates: String = updates.map(|update| update + "\nsend\n").collect();
    let script = format!("server 127.0.0.1 {port}\nzone example\n{updates}");
    let mut nsupdate = Command::new("nsupdate");
    let mut nsupdate = nsupdate.arg("-v").stdin(Stdio::piped()).spawn().expect("nsupdate is installed with named");
    nsupdate.stdin.take().expect("it is piped").write_all(script.as_bytes()).expect("it reads");
    assert!(nsupdate.wait().expect("it was started").success());
    // Not asked to end: it would write the zone file.
    drop(named);
    let journal = folder.path().join("zone.jnl");
    (folder, journal)
}

/// A process that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).env("PATH", path()).current_dir(folder).args(arguments).output();
    let output = output.expect("it is installed with named");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it writes ASCII")
}

fn load(text: &str) -> ZoneData {
    let mut edit = ZoneData::new(origin()).edit();
    let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
        edit.add(record.owner, record.rtype, record.ttl, record.rdata).map_err(|error| error.to_string())?;
        Ok(())
    };
    let report = zone::parse(&Source::new("zone", text), &Options::new(origin().as_ref()), &mut sink);
    assert_eq!(report.errors, 0, "{text}");
    edit.commit()
}

/// A record as something that can be compared: a line of `named-journalprint` too is read into this.
type Line = (Vec<u8>, Rtype, u32, Vec<u8>);

fn line(record: RecordRef<'_>) -> Line {
    (record.owner.as_wire().to_vec(), record.rtype, record.ttl, record.rdata.to_vec())
}

fn parsed(text: &str) -> Line {
    let mut line = None;
    let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
        line = Some((record.owner.as_wire().to_vec(), record.rtype, record.ttl, record.rdata.to_vec()));
        Ok(())
    };
    zone::parse(&Source::new("line", text), &Options::new(origin().as_ref()), &mut sink);
    line.unwrap_or_else(|| panic!("a record: {text}"))
}

fn sorted(zone: &ZoneData) -> Vec<Line> {
    let mut lines = Vec::new();
    for node in zone.iter() {
        for set in node.rrsets() {
            let owner = node.owner().to_lowercase().as_ref().as_wire().to_vec();
            lines.extend(set.rdatas().map(|rdata| (owner.clone(), set.rtype, set.ttl, rdata.to_vec())));
        }
    }
    lines.sort();
    lines
}

/// Compares what is read with what named's tools print.
fn compare(folder: &Path, journal: &Path) {
    let named = NamedJournal::open(journal).expect("it can be read").expect("it is there");
    assert_eq!(named.end(), Some(Serial(21)));
    let read: Result<Vec<_>, _> = named.changes().collect();
    let read = read.expect("it is sound");
    assert_eq!((read.len(), read[0].from()), (UPDATES.len() + 1, Serial(4_294_967_290)));

    let printed = run(folder, "named-journalprint", &[&journal.to_string_lossy()]);
    let theirs = printed.lines().map(|line| line.split_once(' ').expect("an operation, then a record"));
    let ours = read.iter().flat_map(|change| {
        let removed = change.removed().iter().map(|record| ("del", line(record)));
        removed.chain(change.added().iter().map(|record| ("add", line(record))))
    });
    assert!(ours.eq(theirs.map(|(operation, record)| (operation, parsed(record)))), "{printed}");

    let arguments = ["-q", "-j", "-J", &journal.to_string_lossy(), "-o", "-", "example", "zone"];
    let theirs = load(&run(folder, "named-compilezone", &arguments));
    let ours = named.replay(&load(ZONE)).expect("it is the zone's journal");
    assert_eq!(sorted(&ours), sorted(&theirs));
    assert_eq!(sorted(&named.replay(&theirs).expect("nothing is left to do")), sorted(&theirs));
    let half = read[..4].iter().try_fold(load(ZONE), |zone, change| change.apply(&zone)).expect("they fit");
    assert_eq!(sorted(&named.replay(&half).expect("it goes on from there")), sorted(&theirs));
}

#[test]
fn changes_in_named_s_journal_are_read_as_named_reads_them() {
    let (folder, journal) = updated();
    compare(folder.path(), &journal);

    let other = ZONE.replace("4294967290", "4294967289");
    let error = NamedJournal::open(&journal).unwrap().unwrap().replay(&load(&other)).unwrap_err().to_string();
    assert!(
        error.contains("from serial 4294967290 to 21, and the zone file has serial 4294967289; restore"),
        "{error}"
    );
    let edited = ZONE.replace("old A 192.0.2.1\n", "");
    let error = NamedJournal::open(&journal).unwrap().unwrap().replay(&load(&edited)).unwrap_err().to_string();
    assert!(error.contains("a change removes old.example. A, which does not exist; restore"), "{error}");

    // The format of releases up to 9.16.11, which named still reads.
    run(folder.path(), "named-journalprint", &["-d", "zone.jnl"]);
    assert!(fs::read(&journal).unwrap().starts_with(b";BIND LOG V9\n\0"));
    compare(folder.path(), &journal);

    let shortened = folder.path().join("zone.jbk");
    fs::rename(&journal, &shortened).unwrap();
    let named = NamedJournal::open(&journal).unwrap().expect("its backup is found");
    assert_eq!(named.replay(&load(ZONE)).unwrap().serial(), Some(Serial(21)));
    fs::remove_file(&shortened).unwrap();
    assert!(NamedJournal::open(&journal).unwrap().is_none());
}

#[test]
fn a_damaged_journal_of_named_is_an_error() {
    let (folder, journal) = updated();
    let whole = fs::read(&journal).unwrap();
    let broken = folder.path().join("broken.jnl");
    // The octets of the last transaction's end, wherever the file is cut off before it.
    let end = u32::from_be_bytes(whole[28..32].try_into().unwrap()) as usize;
    let begin = u32::from_be_bytes(whole[20..24].try_into().unwrap()) as usize;
    let cuts = (64..end).step_by(97);
    for cut in cuts {
        fs::write(&broken, &whole[..cut]).unwrap();
        let named = NamedJournal::open(&broken).unwrap().unwrap();
        let read: Result<Vec<_>, _> = named.changes().collect();
        let error = read.expect_err("it is not whole").to_string();
        assert!(error.contains("malformed change at octet"), "{error}");
    }
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) }, |(
        at in prop_oneof![16..32_usize, begin..begin + 2000], octet in any::<u8>(),
    )| {
        let mut damaged = whole.clone();
        damaged[at] = octet;
        fs::write(&broken, &damaged).unwrap();
        let named = NamedJournal::open(&broken).unwrap().unwrap();
        // Not all damage can be seen, but it ends, and does not panic.
        let read = named.changes().count();
        prop_assert!(read <= UPDATES.len() + 2);
        let _ = named.replay(&load(ZONE));
    });
}
