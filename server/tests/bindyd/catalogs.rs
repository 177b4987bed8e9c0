//! Catalog zones: named, Knot and ours as producers, and as consumers of the same catalogs.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    control::Controlled,
    server::{dig, wait_until},
    statistics::fetch,
    transfers::{KEY, SIGN},
    updates::nsupdate,
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");
const BOTH: [&str; 2] = [BINDYD, "named"];

const CATALOG: &str = "$TTL 0\n@ SOA invalid. invalid. 1 3600 600 2147483646 0\n@ NS invalid.\nversion TXT \"2\"\n";
const ZONES: [&str; 4] = ["a.test", "b.test", "c.test", "d.test"];

/// A server on a port of 127.0.0.1.
struct Peer {
    controlled: Controlled,
    port: u16,
}

/// A producer and a consumer.
struct Pair {
    producer: Peer,
    consumer: Peer,
}

impl Peer {
    fn start(program: &str, port: u16, options: &str, statements: &str, files: &[(&str, &str)]) -> Peer {
        let (listen, statements) = (format!("port {port} {{ 127.0.0.1; }}"), format!("{KEY}{statements}"));
        Peer { controlled: Controlled::start_with(program, &listen, options, &statements, files), port }
    }

    fn told(&self, command: &str) -> String {
        self.controlled.told(&command.split(' ').collect::<Vec<_>>()).1
    }

    /// The zones of [`ZONES`] that the server has.
    fn has(&self) -> Vec<&'static str> {
        ZONES.into_iter().filter(|zone| self.answers(zone)).collect()
    }

    fn answers(&self, zone: &str) -> bool {
        dig("127.0.0.1", self.port, &["+short", &format!("www.{zone}")]) == "192.0.2.1\n"
    }

    fn comes_to(&self, zones: &[&str]) {
        let what = || format!("{zones:?}, not {:?}:\n{}", self.has(), self.controlled.server.said());
        wait_until(|| self.has() == zones, &what());
    }

    /// The serial of a zone; empty if there is none.
    fn serial(&self, zone: &str) -> String {
        let soa = dig("127.0.0.1", self.port, &["+short", zone, "SOA"]);
        soa.split(' ').nth(2).unwrap_or_default().to_owned()
    }

    fn folder(&self) -> &Path {
        self.controlled.server.folder()
    }

    /// The files of members.
    fn copies(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder().join("members")).expect("it is there").flatten();
        let mut names: Vec<_> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name.starts_with("__catz__") && name.rsplit('.').next() == Some("db"));
        names.sort();
        names
    }

    /// The list of the members' files.
    fn labels(&self) -> PathBuf {
        let mut files = fs::read_dir(self.folder().join("members")).expect("it is there").flatten();
        let file = files.find(|file| file.path().extension().is_some_and(|extension| extension == "labels"));
        file.expect("there is a list").path()
    }
}

impl Pair {
    /// A producer with the catalogs `one.catalog` and `two.catalog`, which may be updated, and all members; and a
    /// consumer whose `catalog-zones` has these options for both, with further statements.
    fn start(producer: &str, consumer: &str, options: &str, statements: &str) -> Pair {
        let (port, copy) = (free_port(), free_port());
        let catalogs = ["one.catalog", "two.catalog"];
        let mut conf =
            format!("allow-transfer {{ key k; }}; notify explicit; also-notify {{ 127.0.0.1 port {copy}; }};");
        conf += " notify-delay 0; allow-update { key k; };";
        let mut zones = String::new();
        for zone in catalogs {
            let _ = write!(zones, "zone {zone} {{ type primary; file \"{zone}\"; }};");
        }
        for zone in ZONES {
            let _ = write!(zones, "zone {zone} {{ type primary; file \"{zone}\"; }};");
        }
        let files = catalogs.map(|zone| (zone, CATALOG)).into_iter().chain(ZONES.map(|zone| (zone, ZONE)));
        let producer = Peer::start(producer, port, &conf, &zones, &files.collect::<Vec<_>>());
        let primaries = format!("{{ 127.0.0.1 port {port} key k; }}");
        let catalog = |zone| format!("zone {zone} default-primaries {primaries} {options};");
        let lists = format!("allow-new-zones yes; notify no; catalog-zones {{ {} }};", catalogs.map(catalog).concat());
        let copies = |zone| format!("zone {zone} {{ type secondary; file \"{zone}\"; primaries {primaries}; }};");
        let statements = catalogs.map(copies).concat() + statements;
        let consumer = Peer::start(consumer, copy, &lists, &statements, &[("members/empty", ""), ("own", OWN)]);
        Pair { producer, consumer }
    }

    fn update(&self, catalog: &str, commands: &[&str]) {
        let lines: Vec<_> = commands
            .iter()
            .map(|command| {
                let (verb, rest) = command.split_once(' ').expect("a verb and a name");
                let (owner, data) = rest.split_once(' ').unwrap_or((rest, ""));
                let ttl = if verb == "add" { "0" } else { "" };
                format!("update {verb} {owner}.{catalog}. {ttl} {data}")
            })
            .collect();
        let lines = format!("zone {catalog}.\n{}", lines.join("\n"));
        assert_eq!(nsupdate(self.producer.port, &SIGN, &lines), "");
    }

    /// Updates `one.catalog`, whose new version the consumer gets, but does not follow for a long time.
    fn changes_unseen(&mut self, commands: &[&str]) {
        self.update("one.catalog", commands);
        self.consumer.controlled.server.says("catz: one.catalog: new zone version came too soon");
    }

    /// Starts the producer with other versions of zones, which have lower serials: a secondary does not take those.
    fn produces_anew(&mut self, zones: &[&str]) {
        for zone in zones {
            self.producer
                .controlled
                .server
                .write(zone, &ZONE.replace("hostmaster 1 ", &format!("hostmaster {LOWER} ")));
        }
        self.producer.controlled.replace("KILL", "named");
        wait_until(|| zones.iter().all(|zone| self.producer.serial(zone) == LOWER), "the producer has them");
    }
}

/// The serial of versions that come after 1 only for who knows nothing of 1.
const LOWER: &str = "4294967000";

/// A zone of the consumer's own.
const OWN: &str = "$TTL 300\n@ SOA ns h 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.99\n";

#[test]
fn members_come_and_go_as_with_named() {
    for (producer, consumer) in [("named", BINDYD), (BINDYD, BINDYD), (BINDYD, "named")] {
        let Pair { consumer, .. } = &{
            let pair = Pair::start(producer, consumer, "zone-directory \"members\" min-update-interval 0", "");
            pair.update("one.catalog", &["add ua.zones PTR a.test.", "add ub.zones PTR b.test."]);
            pair.consumer.comes_to(&["a.test", "b.test"]);
            assert!(
                pair.consumer
                    .told("zonestatus a.test")
                    .contains("files: members/__catz___default_one.catalog_a.test.db")
            );
            assert_eq!(
                pair.consumer.controlled.told(&["showzone", "a.test"]),
                (false, "rndc: 'showzone' failed: failure\n".into())
            );
            pair.update("one.catalog", &["delete ub.zones PTR", "add uc.zones PTR c.test."]);
            pair.consumer.comes_to(&["a.test", "c.test"]);
            // A member is a zone like others: a new version comes.
            assert_eq!(nsupdate(pair.producer.port, &SIGN, "zone a.test\nupdate add n.a.test 60 A 192.0.2.7"), "");
            let new = || dig("127.0.0.1", pair.consumer.port, &["+short", "n.a.test"]);
            wait_until(|| new() == "192.0.2.7\n", "a member follows its primary");
            pair
        };
        assert!(!consumer.copies().iter().any(|name| name.contains("b.test")), "{:?}", consumer.copies());
    }
}

#[test]
fn a_server_is_not_ready_before_its_catalog_and_the_members_have_come() {
    let (port, copy, statistics) = (free_port(), free_port(), free_port());
    let primaries = format!("{{ 127.0.0.1 port {port} key k; }}");
    let conf = format!(
        "statistics-channels {{ inet 127.0.0.1 port {statistics}; }};\
         zone one.catalog {{ type secondary; file \"one.catalog\"; primaries {primaries}; }};"
    );
    let lists = format!("notify no; catalog-zones {{ zone one.catalog default-primaries {primaries}; }};");
    let mut consumer = Peer::start(BINDYD, copy, &lists, &conf, &[]);
    let readiness = || fetch(statistics, "/readyz");
    let (status, _, text) = readiness();
    assert!(status.ends_with("503 Service Unavailable"), "{status}");
    assert!(
        text.starts_with("not ready: a catalog zone has not come from its primaries yet\nconfiguration "),
        "{text}"
    );

    let options = format!(
        "allow-transfer {{ key k; }}; notify explicit; also-notify {{ 127.0.0.1 port {copy}; }}; notify-delay 0;"
    );
    let zones =
        "zone one.catalog { type primary; file \"one.catalog\"; }; zone a.test { type primary; file \"a.test\"; };";
    let catalog = format!("{CATALOG}ua.zones PTR a.test.\n");
    let files = [("one.catalog", catalog.as_str()), ("a.test", ZONE)];
    let producer = Peer::start(BINDYD, port, &options, zones, &files);
    wait_until(|| readiness().0.ends_with("200 OK"), &readiness().2);
    assert!(consumer.answers("a.test"));
    // What was there once is on the disk.
    drop(producer);
    consumer.controlled.replace("TERM", BINDYD);
    assert!(readiness().0.ends_with("200 OK"), "{}", readiness().2);
}

#[test]
fn members_are_there_at_once_after_a_restart_without_their_primary() {
    let Pair { producer, mut consumer } = {
        let pair = Pair::start("named", BINDYD, "zone-directory \"members\"", "");
        pair.update("one.catalog", &["add ua.zones PTR a.test.", "add ub.zones PTR b.test."]);
        pair.consumer.comes_to(&["a.test", "b.test"]);
        pair
    };
    drop(producer);
    consumer.controlled.replace("TERM", BINDYD);
    assert_eq!(consumer.has(), ["a.test", "b.test"]);
    let names = ["a", "b"].map(|zone| format!("__catz___default_one.catalog_{zone}.test.db"));
    assert_eq!(consumer.copies(), names);
    // named takes them over.
    consumer.controlled.replace("TERM", "named");
    consumer.comes_to(&["a.test", "b.test"]);
    // Nor does named have a list of them.
    fs::remove_file(consumer.labels()).expect("it is there");
    consumer.controlled.replace("TERM", BINDYD);
    assert_eq!(consumer.has(), ["a.test", "b.test"]);
    assert!(consumer.labels().exists());
}

#[test]
fn members_in_memory_leave_no_files() {
    let pair = Pair::start("named", BINDYD, "in-memory yes", "");
    pair.update("one.catalog", &["add ua.zones PTR a.test."]);
    pair.consumer.comes_to(&["a.test"]);
    let mut consumer = pair.consumer;
    assert!(consumer.controlled.server.stop().success());
    let left = |folder: &Path| {
        let files = fs::read_dir(folder).expect("it is there").flatten();
        files.filter(|file| file.file_name().to_string_lossy().contains("catz")).count()
    };
    assert_eq!((left(consumer.folder()), left(&consumer.folder().join("members"))), (0, 0));
}

#[test]
fn another_unique_label_asks_for_a_zone_without_a_past() {
    let mut pair = Pair::start("named", BINDYD, "zone-directory \"members\" min-update-interval 0", "");
    pair.update("one.catalog", &["add ua.zones PTR a.test."]);
    pair.consumer.comes_to(&["a.test"]);
    pair.produces_anew(&["a.test"]);
    pair.consumer.told("refresh a.test");
    assert_eq!(pair.consumer.serial("a.test"), "1");
    pair.update("one.catalog", &["delete ua.zones PTR", "add other.zones PTR a.test."]);
    wait_until(|| pair.consumer.serial("a.test") == LOWER, "it comes anew");
    pair.consumer.controlled.server.says("catz: zone 'a.test' unique label has changed, reset state");
}

#[test]
fn a_member_that_is_reset_and_has_no_primaries_does_not_keep_its_past() {
    let mut pair = Pair::start("named", BINDYD, "zone-directory \"members\" min-update-interval 0", "");
    pair.update("one.catalog", &["add ua.zones PTR a.test.", "add ub.zones PTR b.test."]);
    pair.consumer.comes_to(&["a.test", "b.test"]);
    pair.produces_anew(&["a.test"]);
    // These are no servers: the name of a key has one string.
    let unreadable = "add primaries.ext.other.zones TXT \"a\" \"b\"";
    pair.update("one.catalog", &["delete ua.zones PTR", "add other.zones PTR a.test.", unreadable]);
    pair.consumer.comes_to(&["b.test"]);
    pair.update("one.catalog", &["delete primaries.ext.other.zones TXT"]);
    wait_until(|| pair.consumer.serial("a.test") == LOWER, "it comes anew");
}

/// A consumer that follows new versions of catalogs only when it starts again, and serves these members of
/// `one.catalog`.
fn slow(entries: &[&str], members: &[&str]) -> Pair {
    let mut pair = Pair::start("named", BINDYD, "zone-directory \"members\" min-update-interval 1d", "");
    pair.consumer.controlled.server.says("catz: one.catalog: 0 members");
    pair.changes_unseen(entries);
    pair.consumer.controlled.replace("TERM", BINDYD);
    pair.consumer.comes_to(members);
    pair
}

#[test]
fn a_reset_is_not_forgotten_over_a_restart() {
    let mut pair = slow(&["add ua.zones PTR a.test.", "add ub.zones PTR b.test."], &["a.test", "b.test"]);
    pair.produces_anew(&["a.test", "b.test"]);
    pair.changes_unseen(&["delete ua.zones PTR", "add other.zones PTR a.test."]);
    assert_eq!(pair.consumer.serial("a.test"), "1");
    pair.consumer.controlled.replace("TERM", BINDYD);
    wait_until(|| pair.consumer.serial("a.test") == LOWER, "it comes anew");
    pair.consumer.told("refresh b.test");
    assert_eq!(pair.consumer.serial("b.test"), "1");
    // Nor is it reset once more.
    pair.producer.controlled.server.stop();
    pair.consumer.controlled.replace("TERM", BINDYD);
    assert_eq!(["a.test", "b.test"].map(|zone| pair.consumer.serial(zone)), [LOWER, "1"]);
}

#[test]
fn a_removal_is_not_forgotten_over_a_restart() {
    let mut pair = slow(&["add ua.zones PTR a.test.", "add ub.zones PTR b.test."], &["a.test", "b.test"]);
    pair.produces_anew(&["a.test", "b.test"]);
    pair.changes_unseen(&["delete ua.zones PTR"]);
    pair.consumer.controlled.replace("TERM", BINDYD);
    assert_eq!(pair.consumer.has(), ["b.test"]);
    pair.changes_unseen(&["add other.zones PTR a.test."]);
    pair.consumer.controlled.replace("TERM", BINDYD);
    wait_until(|| pair.consumer.serial("a.test") == LOWER, "it comes without its past");
    assert_eq!(pair.consumer.serial("b.test"), "1");
}

#[test]
fn members_that_left_unseen_leave_no_files_and_others_keep_theirs() {
    let entries = ["a", "b", "c", "d"].map(|zone| format!("add u{zone}.zones PTR {zone}.test."));
    let mut pair = slow(&entries.each_ref().map(String::as_str), &ZONES);
    let members = pair.consumer.folder().join("members");
    // What is named as such files are may be anybody's.
    let others = ["other_one.catalog_b.test", "_default_two.catalog_b.test", "_default_one.catalog_e.test"];
    for other in others {
        fs::write(members.join(format!("__catz__{other}.db")), ZONE).expect("it is ours");
        fs::write(members.join(format!("__catz__{other}.db.changes")), ZONE).expect("it is ours");
    }
    // The copy of a member is given to a zone of named.conf.
    let conf = fs::read_to_string(pair.consumer.folder().join("named.conf")).expect("it is there");
    let file = "./members/__catz___default_one.catalog_c.test.db";
    let own = format!("zone c.test {{ type secondary; file \"{file}\"; primaries {{ 127.0.0.1 port 1; }}; }};");
    pair.consumer.controlled.server.write("named.conf", &(conf + &own));
    pair.changes_unseen(&["delete ub.zones PTR", "delete uc.zones PTR"]);
    pair.consumer.controlled.replace("TERM", BINDYD);
    assert_eq!(pair.consumer.has(), ["a.test", "c.test", "d.test"]);
    let stay = ["_default_one.catalog_a.test", "_default_one.catalog_c.test", "_default_one.catalog_d.test"];
    let mut expected: Vec<_> = stay.into_iter().chain(others).map(|stem| format!("__catz__{stem}.db")).collect();
    expected.sort();
    assert_eq!(pair.consumer.copies(), expected);
    let files: Vec<_> = fs::read_dir(&members).expect("it is there").flatten().map(|file| file.file_name()).collect();
    let of_b = |file: &&std::ffi::OsString| file.to_string_lossy().contains("_default_one.catalog_b");
    assert_eq!(files.iter().filter(of_b).count(), 0, "{files:?}");
    assert!(others.iter().all(|other| files.contains(&format!("__catz__{other}.db.changes").into())), "{files:?}");
    // Without members, nothing is left.
    pair.changes_unseen(&["delete ua.zones PTR", "delete ud.zones PTR"]);
    pair.consumer.controlled.replace("TERM", BINDYD);
    assert_eq!(pair.consumer.has(), ["c.test"]);
    let labels = |file: &fs::DirEntry| file.file_name().to_string_lossy().ends_with(".labels");
    assert_eq!(fs::read_dir(&members).expect("it is there").flatten().filter(labels).count(), 0);
}

#[test]
fn without_knowing_the_labels_of_copies_members_are_in_memory() {
    let mut pair = slow(&["add ua.zones PTR a.test."], &["a.test"]);
    let members = pair.consumer.folder().join("members");
    fs::write(pair.consumer.labels(), "nonsense").expect("it is ours");
    pair.produces_anew(&["a.test"]);
    pair.changes_unseen(&["add ub.zones PTR b.test."]);
    pair.consumer.controlled.replace("TERM", BINDYD);
    let words = ".labels: cannot read the labels of copies: line 1";
    pair.consumer.controlled.server.says(words);
    wait_until(|| pair.consumer.serial("a.test") == LOWER, "it comes anew");
    pair.consumer.comes_to(&["a.test", "b.test"]);
    assert_eq!(pair.consumer.copies(), ["__catz___default_one.catalog_a.test.db"], "it stays as it is");
    // The remedy that the message names.
    fs::remove_file(pair.consumer.labels()).expect("it is there");
    fs::remove_file(members.join("__catz___default_one.catalog_a.test.db")).expect("it is there");
    pair.consumer.controlled.replace("TERM", BINDYD);
    pair.consumer.comes_to(&["a.test", "b.test"]);
    assert!(pair.consumer.labels().exists());
}

#[test]
fn a_group_names_a_template() {
    let template = "template hidden { allow-query { 127.0.0.2; }; };";
    let pair = Pair::start("named", BINDYD, "zone-directory \"members\" min-update-interval 0", template);
    pair.update(
        "one.catalog",
        &["add ua.zones PTR a.test.", "add group.ub.zones TXT hidden", "add ub.zones PTR b.test."],
    );
    pair.consumer.comes_to(&["a.test"]);
    let asked = |from| dig("127.0.0.1", pair.consumer.port, &["-b", from, "www.b.test"]);
    wait_until(|| asked("127.0.0.2").contains("192.0.2.1"), "those in its list have it");
    assert!(asked("127.0.0.1").contains("REFUSED"));
    // What a catalog says of a member prevails.
    pair.update("one.catalog", &["add allow-query.ext.ub.zones APL 1:127.0.0.1/32"]);
    pair.consumer.comes_to(&["a.test", "b.test"]);
    assert!(asked("127.0.0.2").contains("REFUSED"));
    pair.update("one.catalog", &["delete group.ub.zones TXT", "delete allow-query.ext.ub.zones APL"]);
    wait_until(|| asked("127.0.0.2").contains("192.0.2.1"), "nothing is hidden");
    assert_eq!(pair.consumer.has(), ["a.test", "b.test"]);
}

#[test]
fn a_member_moves_only_with_leave_and_keeps_its_state() {
    for consumer in BOTH {
        let pair = Pair::start("named", consumer, "zone-directory \"members\" min-update-interval 0", "");
        let belongs_to = |zone: &str, catalog: &str| {
            let status = pair.consumer.told(&format!("zonestatus {zone}"));
            status.contains(&format!("{catalog}_{zone}.db")) && status.contains("serial: 1")
        };
        pair.update("one.catalog", &["add ua.zones PTR a.test.", "add uc.zones PTR c.test."]);
        pair.consumer.comes_to(&["a.test", "c.test"]);
        pair.update("two.catalog", &["add ua.zones PTR a.test.", "add ub.zones PTR b.test."]);
        pair.consumer.comes_to(&["a.test", "b.test", "c.test"]);
        assert!(belongs_to("a.test", "one.catalog"));
        pair.update("one.catalog", &["add coo.uc.zones PTR two.catalog.", "add ud.zones PTR d.test."]);
        pair.consumer.comes_to(&ZONES);
        pair.update("two.catalog", &["add uc.zones PTR c.test."]);
        wait_until(|| belongs_to("c.test", "two.catalog"), "the other catalog has it");
        pair.update("one.catalog", &["delete coo.uc.zones PTR", "delete uc.zones PTR", "delete ud.zones PTR"]);
        pair.consumer.comes_to(&["a.test", "b.test", "c.test"]);
        // named deletes a zone whose new catalog listed it before the old one let it go.
        if consumer == BINDYD {
            pair.update("one.catalog", &["add coo.ua.zones PTR two.catalog."]);
            wait_until(|| belongs_to("a.test", "two.catalog"), "the other catalog has it");
        }
    }
}

#[test]
fn a_zone_of_named_conf_is_never_replaced() {
    let own = "zone a.test { type primary; file \"own\"; };";
    let mut pair = Pair::start("named", BINDYD, "zone-directory \"members\" min-update-interval 0", own);
    pair.update("one.catalog", &["add ua.zones PTR a.test.", "add ub.zones PTR b.test."]);
    let words = "catz: zone 'a.test' will not be added because it is an explicitly configured zone";
    pair.consumer.controlled.server.says(words);
    pair.consumer.comes_to(&["b.test"]);
    let address = |consumer: &Peer| dig("127.0.0.1", consumer.port, &["+short", "www.a.test"]);
    assert_eq!(address(&pair.consumer), "192.0.2.99\n");
    pair.consumer.told("reload");
    assert_eq!(address(&pair.consumer), "192.0.2.99\n");
    // Once named.conf does not have it any more, the catalog's is served.
    let conf = fs::read_to_string(pair.consumer.folder().join("named.conf")).expect("it is there");
    pair.consumer.controlled.server.write("named.conf", &conf.replace(own, ""));
    pair.consumer.told("reconfig");
    pair.consumer.comes_to(&["a.test", "b.test"]);
    // And with the catalog, its members go.
    let start = conf.find("zone one.catalog default-primaries").expect("it is there");
    let end = start + conf[start..].find("zone two.catalog").expect("it is there");
    pair.consumer.controlled.server.write("named.conf", &[&conf[..start], &conf[end..]].concat());
    pair.consumer.told("reconfig");
    assert_eq!(address(&pair.consumer), "192.0.2.99\n");
    assert_eq!(pair.consumer.has(), [""; 0]);
    pair.consumer.controlled.replace("KILL", BINDYD);
    assert_eq!(pair.consumer.has(), [""; 0]);
}

/// A deliberate difference: named takes the member at the next reload.
#[test]
fn a_member_takes_the_place_of_a_zone_that_is_deleted() {
    let mut pair = Pair::start("named", BINDYD, "zone-directory \"members\" min-update-interval 0", "");
    let own = pair.consumer.controlled.told(&["addzone", "a.test", "{ type primary; file \"own\"; };"]);
    assert_eq!(own, (true, String::new()));
    pair.update("one.catalog", &["add ua.zones PTR a.test.", "add ub.zones PTR b.test."]);
    pair.consumer.comes_to(&["b.test"]);
    pair.consumer.told("delzone a.test");
    pair.consumer.comes_to(&["a.test", "b.test"]);
    pair.consumer.controlled.replace("KILL", BINDYD);
    pair.consumer.comes_to(&["a.test", "b.test"]);
}

#[test]
fn a_broken_catalog_changes_nothing() {
    let pair = Pair::start("named", BINDYD, "zone-directory \"members\" min-update-interval 0", "");
    pair.update("one.catalog", &["add ua.zones PTR a.test."]);
    pair.consumer.comes_to(&["a.test"]);
    pair.update("one.catalog", &["delete ua.zones PTR", "add ub.zones PTR b.test.", "delete version TXT"]);
    pair.consumer.controlled.server.says("new catalog zone 'one.catalog' is broken and will not be processed");
    assert_eq!(pair.consumer.has(), ["a.test"]);
    pair.update("one.catalog", &["add version TXT 2"]);
    pair.consumer.comes_to(&["b.test"]);
}

/// What nobody knows was passed over in silence.
#[test]
fn records_of_a_catalog_that_have_no_effect_are_told_as_by_named() {
    const JUNK: &str = "ua.zones PTR a.test.\n@ A 192.0.2.1\njunk TXT what\njunk.zones TXT x\nbad.ext.ua.zones TXT y\n\
                        primaries.ext APL 1:192.0.2.0/24\nother.ext TXT z\nub.zones A 192.0.2.1\nversion.sub TXT 3\n\
                        allow-query.ext A 192.0.2.1\ncoo.uc.zones PTR x.\n";
    let told = BOTH.map(|program| {
        let options = "catalog-zones { zone one.catalog default-primaries { 127.0.0.1 port 9; } in-memory yes; };";
        let logging = "logging { channel all { stderr; severity info; }; category default { all; }; };";
        let statements = format!("{logging} zone one.catalog {{ type primary; file \"one.catalog\"; }};");
        let catalog = CATALOG.to_owned() + JUNK;
        let server = Peer::start(program, free_port(), options, &statements, &[("one.catalog", &catalog)]);
        server.controlled.server.says("catz: adding zone 'a.test'");
        let log = server.controlled.server.log();
        let records = log.lines().filter_map(|line| {
            let (record, _) = line.split_once("invalid record in catalog zone - ")?.1.split_once(" (")?;
            Some(record.to_owned())
        });
        records.collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].len(), 10, "{told:?}");
}

/// A Knot server that makes a catalog of its zones, or serves those that a catalog lists.
struct Knot {
    process: Child,
    folder: tempfile::TempDir,
}

impl Knot {
    fn start(port: u16, conf: &str) -> Knot {
        let folder = tempfile::tempdir().expect("the temporary directory can be written");
        let path = folder.path().display().to_string();
        for zone in ZONES {
            fs::write(folder.path().join(format!("{zone}.zone")), format!("$ORIGIN {zone}.\n{ZONE}"))
                .expect("it is ours");
        }
        let secret = KEY.split('"').nth(1).expect("it is quoted");
        let conf = format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {path}\nlog:\n  - target: stderr\n    any: info\n\
             database:\n    storage: {path}\nkey:\n  - id: k\n    algorithm: hmac-sha256\n    secret: {secret}\n{conf}"
        )
        .replace("FOLDER", &path);
        fs::write(folder.path().join("knot.conf"), conf).expect("it is ours");
        let log = fs::File::create(folder.path().join("log")).expect("it is ours");
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut command = Command::new("knotd");
        command.env("PATH", path).arg("-c").arg(folder.path().join("knot.conf")).stdin(Stdio::null());
        let process = command.stdout(log.try_clone().expect("a file can be shared")).stderr(log).spawn();
        Knot { process: process.expect("knotd must be installed: run scripts/install-test-tools"), folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_catalog_that_knot_makes() {
    let (port, copy) = (free_port(), free_port());
    let mut conf = format!(
        "remote:\n  - id: ours\n    address: 127.0.0.1@{copy}\nacl:\n  - id: all\n    key: k\n    action: transfer\n\
         template:\n  - id: default\n    storage: FOLDER\n    acl: all\n    notify: ours\n\
         zone:\n  - domain: one.catalog\n    catalog-role: generate\n"
    );
    for (zone, group) in ZONES.into_iter().zip(["", "hidden", "", "unknown"]) {
        let _ = write!(conf, "  - domain: {zone}\n    catalog-role: member\n    catalog-zone: one.catalog\n");
        if !group.is_empty() {
            let _ = writeln!(conf, "    catalog-group: {group}");
        }
    }
    let knot = Knot::start(port, &conf);
    let primaries = format!("{{ 127.0.0.1 port {port} key k; }}");
    let options =
        format!("notify no; catalog-zones {{ zone one.catalog default-primaries {primaries} in-memory yes; }};");
    let statements = format!(
        "zone one.catalog {{ type secondary; min-retry-time 1; primaries {primaries}; }};\
         template hidden {{ allow-query {{ none; }}; }};"
    );
    let consumer = Peer::start(BINDYD, copy, &options, &statements, &[]);
    consumer.comes_to(&["a.test", "c.test", "d.test"]);
    let hidden = dig("127.0.0.1", copy, &["www.b.test"]);
    assert!(hidden.contains("REFUSED"), "{hidden}\n{}", knot.log());
}

#[test]
fn knot_takes_the_members_of_our_catalog() {
    let (port, copy) = (free_port(), free_port());
    let catalog = CATALOG.to_owned() + "ua.zones PTR a.test.\nuc.zones PTR c.test.\n";
    let zones: String = ["one.catalog", "a.test", "c.test"]
        .map(|zone| format!("zone {zone} {{ type primary; file \"{zone}\"; }};"))
        .concat();
    let options = format!(
        "allow-transfer {{ key k; }}; notify explicit; also-notify {{ 127.0.0.1 port {copy}; }};\
         allow-update {{ key k; }};"
    );
    let files = [("one.catalog", &*catalog), ("a.test", ZONE), ("c.test", ZONE)];
    let _producer = Peer::start(BINDYD, port, &options, &zones, &files);
    let conf = format!(
        "remote:\n  - id: ours\n    address: 127.0.0.1@{port}\n    key: k\n\
         acl:\n  - id: ours\n    address: 127.0.0.1\n    action: notify\n\
         template:\n  - id: default\n    storage: FOLDER\n    master: ours\n    acl: ours\n\
         \x20 - id: member\n    storage: FOLDER\n    file: \"%s.copy\"\n    master: ours\n    acl: ours\n\
         zone:\n  - domain: one.catalog\n    file: one.copy\n    catalog-role: interpret\n    catalog-template: member\n"
    );
    let knot = Knot::start(copy, &conf);
    let has = |zone: &str| dig("127.0.0.1", copy, &["+short", &format!("www.{zone}")]) == "192.0.2.1\n";
    wait_until(|| has("a.test") && has("c.test"), &knot.log());
    let gone = "zone one.catalog\nupdate delete uc.zones.one.catalog. PTR";
    assert_eq!(nsupdate(port, &SIGN, gone), "");
    wait_until(|| dig("127.0.0.1", copy, &["www.c.test"]).contains("REFUSED"), "it goes");
    assert!(has("a.test"));
}
