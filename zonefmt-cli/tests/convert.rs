//! `zonefmt convert` loses nothing on the way to manifests and back, and people can read both.

use std::{fmt::Write as _, fs, path::Path, process::Command, sync::LazyLock};

use bindy::{
    compile::{Change, Compiler, ZoneData},
    manifest,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use zonefmt::{
    Name,
    diagnostics::Source,
    zone::{self, Options, RrSets, Serials},
};

const TOP: &str = "$TTL 300\n@ SOA ns hm 7 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n";

/// Data of every type, valid and not, without types that cannot be added to any zone or that only signing makes.
const CORPUS: &str = include_str!("../../zonefmt/src/rdata/tests/corpus.txt");
const NOT_BY_HAND: &[&str] = &["SOA", "CNAME", "DNAME", "NS", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "DS"];

fn origin() -> Name {
    "example.com".parse().unwrap()
}

/// Reads a zone; `None` if it has errors.
fn check(text: &str) -> Option<RrSets> {
    let origin = origin();
    let (zone, report) = RrSets::check(&Source::new("z", text), &Options::new(origin.as_ref()));
    (!report.has_errors()).then_some(zone)
}

/// The valid lines of the corpus.
fn pool() -> Vec<&'static str> {
    let lines = CORPUS.lines().filter(|line| !line.starts_with([';', '!']));
    let by_hand = lines.filter(|line| !NOT_BY_HAND.contains(&line.split(' ').next().unwrap()));
    by_hand.filter(|line| check(&format!("{TOP}x {line}\n")).is_some()).collect()
}

/// The zone that manifests declare, and the errors in them.
fn compiled(manifests: &str) -> (Option<RrSets>, String) {
    let reading = manifest::read(&Source::new("manifests", manifests));
    let mut told = reading.diagnostics.iter().fold(String::new(), |told, diagnostic| told + &format!("{diagnostic}\n"));
    let mut compiler = Compiler::default();
    compiler.apply(reading.manifests.into_iter().map(|manifest| Change::Put(manifest.resource)));
    for finding in compiler.resources().filter_map(|id| compiler.verdict(id)).flat_map(|verdict| verdict.findings) {
        writeln!(told, "{finding}").unwrap();
    }
    (compiler.zone(&origin()).map(ZoneData::rrsets), told)
}

/// Converts a zone to manifests and back, and asserts that it is the same and that a cluster would accept every
/// resource.
fn assert_nothing_is_lost(text: &str) {
    let zone = check(text).expect("a right zone");
    let manifests = manifest::write(&origin(), &zone, None).expect("it can be said");
    let (back, told) = compiled(&manifests);
    let back = back.unwrap_or_else(|| panic!("{manifests}\n{told}"));
    let lost: Vec<_> = zone::diff(&zone, &back, Serials::Compare).collect();
    assert!(lost.is_empty(), "{lost:?}\n{manifests}\n{told}");
    let written = zone::write_file(origin().as_ref(), &back);
    let again = check(std::str::from_utf8(&written).expect("ASCII")).expect("a right zone");
    assert_eq!(zone::diff(&zone, &again, Serials::Compare).count(), 0);
    for name in manifests.lines().filter_map(|line| line.strip_prefix("  name: ")) {
        // The names in `spec` are domain names; those in `metadata` contain a type or the zone's name.
        if name.starts_with("example.com") {
            let fine = |part: &str| {
                let inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
                !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
            };
            assert!(name.len() <= 253 && name.split('.').all(fine), "{name}");
        }
    }
}

#[test]
fn every_record_type_survives() {
    let mut text = TOP.to_owned();
    for (number, line) in pool().iter().enumerate() {
        writeln!(text, "r{number} {line}").unwrap();
    }
    text.push_str("c CNAME x\nd DNAME x.example.org.\nsub NS ns.sub\nsub NS ns.example.net.\nns.sub A 192.0.2.1\n");
    assert!(text.lines().count() > 250, "{}", text.lines().count());
    assert_nothing_is_lost(&text);
}

#[test]
fn an_rrset_that_nearly_fills_a_message_survives() {
    assert_nothing_is_lost(&format!("{TOP}x TXT{}\n", format!(" {}", "x".repeat(255)).repeat(255)));
}

#[test]
fn more_strings_than_a_text_record_may_have_survive() {
    assert_nothing_is_lost(&format!("{TOP}x TXT{}\n", " a".repeat(5_000)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn random_zones_survive(
        records in vec((any::<Index>(), "@|\\*|[a-c_*]{1,2}(\\.[ab_]){0,2}|x\\\\[.@;]y|[A-B]-", 0..4_u32), 1..40),
        servers in vec("ns|ns2|NS|ns\\.example\\.org\\.|\\.", 1..4),
        ttls in any::<[bool; 3]>(),
        primary in "ns|hidden|ns\\.example\\.org\\.|\\.",
    ) {
        let pool = pool_once();
        let ttl = |other: bool| if other { 60 } else { 300 };
        let mut text = format!("$TTL 300\n@ {} SOA {primary} h\\@m 4294967295 2 3 4 5\n", ttl(ttls[0]));
        for server in servers {
            writeln!(text, "@ {} NS {server}", ttl(ttls[1])).unwrap();
        }
        writeln!(text, "ns {} A 192.0.2.53\nns2 AAAA ::1\nns2 AAAA ::2", ttl(ttls[2])).unwrap();
        for (index, owner, ttl) in records {
            writeln!(text, "{owner} {ttl} {}", index.get(pool)).unwrap();
        }
        prop_assume!(check(&text).is_some());
        assert_nothing_is_lost(&text);
    }
}

fn pool_once() -> &'static [&'static str] {
    // SIG, obsolete since 2004, has a separate TTL for each type that it covers, but compiled zones have one TTL for
    // each type.
    static POOL: LazyLock<Vec<&str>> =
        LazyLock::new(|| pool().into_iter().filter(|line| !line.starts_with("SIG ")).collect());
    &POOL
}

/// Runs zonefmt in `folder`, and returns exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_zonefmt")).args(arguments).current_dir(folder).output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn manifests_read_as_a_person_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let zone = format!("{TOP}@ TXT \"v=spf1 mx -all\"\n*.apps 60 A 192.0.2.80\nwww HTTPS 1 . alpn=\"h2,h3\"\n");
    fs::write(folder.join("example.com.zone"), zone).unwrap();
    let (code, manifests, errors) = run(folder, &["convert", "--to", "manifests", "-n", "dns", "example.com.zone"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let expected = "\
apiVersion: bindy.firestoned.io/v1beta1
kind: DNSZone
metadata:
  name: example.com
  namespace: dns
spec:
  zoneName: example.com
  ttl: 300
  soaRecord:
    primaryNs: ns.example.com.
    adminEmail: hm.example.com.
    serial: 7
    refresh: 2
    retry: 3
    expire: 4
    negativeTtl: 5
  nameServers:
    - hostname: ns.example.com.
      ipv4Address: 192.0.2.53
  recordsFrom:
    - selector:
        matchLabels:
          zone: example.com
---
apiVersion: bindy.firestoned.io/v1beta1
kind: TXTRecord
metadata:
  name: example.com-txt
  namespace: dns
  labels:
    zone: example.com
spec:
  name: \"@\"
  text: [\"v=spf1 mx -all\"]
---
apiVersion: bindy.firestoned.io/v1beta1
kind: ARecord
metadata:
  name: example.com-wildcard.apps-a
  namespace: dns
  labels:
    zone: example.com
spec:
  name: \"*.apps\"
  ttl: 60
  ipv4Addresses: [192.0.2.80]
---
apiVersion: bindy.firestoned.io/v1beta1
kind: RecordSet
metadata:
  name: example.com-www-https
  namespace: dns
  labels:
    zone: example.com
spec:
  name: www
  type: HTTPS
  rdata: ['1 . alpn=\"h2,h3\"']
";
    assert_eq!(manifests, expected);
    fs::write(folder.join("z.yaml"), manifests).unwrap();
    let (code, zone, _) = run(folder, &["convert", "--to", "zone", "z.yaml"]);
    let expected = "\
$ORIGIN example.com.
$TTL 300
@         SOA   ns hm 7 2 3 4 5
          NS    ns
          TXT   \"v=spf1 mx -all\"
*.apps 60 A     192.0.2.80
ns        A     192.0.2.53
www       HTTPS 1 . alpn=\"h2,h3\"
";
    assert_eq!((code, zone.as_str()), (Some(0), expected));
}

#[test]
fn the_examples_survive() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut zones = 0;
    let entries = fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path());
    for example in entries.filter(|entry| entry.is_dir()) {
        let path = example.to_str().unwrap();
        let (code, manifests, errors) = run(folder, &["convert", "--to", "manifests", path]);
        if code != Some(0) {
            // The examples of conflicts are not served in full.
            assert!(errors.contains("not all of the manifests would be served"), "{path}: {errors}");
            continue;
        }
        fs::write(folder.join("again.yaml"), &manifests).unwrap();
        for name in manifests.lines().filter_map(|line| line.strip_prefix("  zoneName: ")) {
            let name = name.trim_matches('"');
            let text = |from: &str| run(folder, &["convert", "--to", "text", "-o", name, from]).1;
            let once = text(path);
            assert_eq!(once, text("again.yaml"));
            fs::write(folder.join("z"), &once).unwrap();
            let theirs = Command::new("named-compilezone")
                .args(["-s", "full", "-k", "ignore", "-i", "local", "-o", "-", name, "z"])
                .current_dir(folder)
                .output()
                .expect("named-compilezone runs (Debian package bind9-utils)");
            assert_eq!(once, String::from_utf8_lossy(&theirs.stdout), "{path}");
            zones += 1;
        }
    }
    assert!(zones > 0);
}

#[test]
fn raw_files_are_known_by_their_head() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("z"), TOP).unwrap();
    let convert = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zonefmt"));
        let output = command.arg("convert").args(arguments).current_dir(folder).output().unwrap();
        (output.status.success(), output.stdout, String::from_utf8(output.stderr).unwrap())
    };
    let (_, text, _) = convert(&["--to", "text", "-o", "example.com", "z"]);
    let (sound, raw, errors) = convert(&["--to", "raw", "-o", "example.com", "z"]);
    assert!(sound && raw.starts_with(b"\0\0\0\x02\0\0\0\x01"), "{errors}");
    fs::write(folder.join("raw"), raw).unwrap();
    assert_eq!(convert(&["--to", "text", "raw"]), (true, text.clone(), String::new()));
    assert_eq!(convert(&["--to", "text", "--from", "raw", "raw"]), (true, text, String::new()));
    assert!(convert(&["--to", "text", "--from", "zone", "raw"]).2.contains("masterfile-format raw"));
    assert!(convert(&["--to", "text", "--from", "raw", "-o", "example.com", "z"]).2.contains("this is no raw file"));
    let (code, output, _) = run(folder, &["check", "raw"]);
    assert_eq!((code, output.contains("zone example.com.") && output.contains("serial 7")), (Some(0), true));
    assert_eq!(run(folder, &["diff", "example.com", "z", "raw"]).0, Some(0));
    assert!(run(folder, &["fmt", "raw"]).2.contains("this is a raw zone file"));
}

#[test]
fn a_resource_in_two_arguments_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("z"), format!("$ORIGIN example.com.\n{TOP}")).unwrap();
    let (_, manifests, _) = run(folder, &["convert", "--to", "manifests", "z"]);
    fs::write(folder.join("a.yaml"), &manifests).unwrap();
    fs::write(folder.join("b.yaml"), manifests.replace("192.0.2.53", "192.0.2.54")).unwrap();
    let (code, output, errors) = run(folder, &["convert", "--to", "zone", "a.yaml", "b.yaml"]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(errors.contains("DNSZone default/example.com is defined in a.yaml:1 already"), "{errors}");
    let (code, output, errors) = run(folder, &["convert", "--to", "zone", "-o", "example.com", "z", "a.yaml"]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(errors.contains("the manifests: the zone example.com. was in another file already"), "{errors}");
}

#[test]
fn what_cannot_be_said_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    write("a.zone", TOP.replace('@', "a."));
    write("b.zone", TOP.replace('@', "b."));
    write("signed.zone", format!("$ORIGIN c.\n{TOP}@ NSEC c. NS SOA\n"));
    write("hidden.zone", format!("$ORIGIN d.\n{TOP}sub NS ns\nx.sub TXT x\n"));
    write(
        "wrong.yaml",
        "apiVersion: bindy.firestoned.io/v1beta1\nkind: ARecord\nmetadata: {name: a}\nspec: {}\n".into(),
    );
    let failure = |arguments: &[&str], says: &str| {
        let (code, output, errors) = run(folder, &[&["convert"], arguments].concat());
        assert_eq!((code, output.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(errors.contains(says), "{errors}");
    };
    failure(&["--to", "zone", "a.zone", "b.zone"], "there are 2 zones: choose one with --origin: a. b.");
    failure(&["--to", "zone", "-o", "c", "a.zone", "b.zone"], "there is no zone to write");
    failure(&["--to", "zone", "a.zone", "a.zone"], "was in another file already");
    failure(&["--to", "manifests", "signed.zone"], "belongs to a signed zone");
    failure(&["--to", "manifests", "hidden.zone"], "its TXT of x.sub.d. would be hidden by the NS of sub.d.");
    failure(&["--to", "zone", "wrong.yaml"], "missing field");
    failure(&["--to", "zone", "gone"], "cannot read the file");
    failure(&["--to", "manifests", "a.zone", "--namespace", "Not One"], "metadata.namespace: does not match");
    write("odd.zone", format!("$ORIGIN a\\ b.\n{TOP}"));
    failure(&["--to", "manifests", "odd.zone"], "spec.zoneName: does not match");
    write("looks.txt", "# A zone.\n---\napiVersion: bindy.firestoned.io/v1beta1\n".into());
    failure(&["--to", "zone", "looks.txt"], "not a Kubernetes resource");
    failure(&["--to", "manifests", "-c", "CH", "-o", "x", "a.zone"], "");
    let (code, output, _) = run(folder, &["convert", "--to", "manifests", "a.zone", "b.zone"]);
    assert_eq!((code, output.matches("kind: DNSZone").count()), (Some(0), 2));
}
