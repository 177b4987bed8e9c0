//! Raw zone files: named-compilezone (Debian package bind9-utils) reads what we write, and we read what it writes.

use std::{fmt::Write, fs, path::Path, process::Command};

use proptest::prelude::*;
use zonefmt::{
    Class, Name,
    diagnostics::Source,
    zone::{FileFormat, Options, Report, RrSets, write_file, write_raw, write_record},
};

use crate::any_raw::try_raw;

const TOP: &str = "$TTL 300\n@ SOA ns hm 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n";

/// Data of every type, valid and not.
const RDATA: &str = include_str!("../../src/rdata/tests/corpus.txt");

fn origin() -> Name {
    Name::from_ascii("eXample.com").unwrap()
}

fn check(octets: &[u8], format: FileFormat, class: Class) -> (RrSets, Report) {
    let origin = origin();
    RrSets::check(&Source::new("z", octets), &Options { format, class, ..Options::new(origin.as_ref()) })
}

fn is_sound(octets: &[u8], format: FileFormat) -> bool {
    !check(octets, format, Class::IN).1.has_errors()
}

/// Converts the file `z` in `folder`; `None` if it is refused.
fn compile(folder: &Path, class: Class, formats: &[&str]) -> Option<Vec<u8>> {
    let run = Command::new("named-compilezone")
        .args(["-q", "-k", "ignore", "-n", "warn", "-m", "ignore", "-r", "ignore", "-i", "local", "-o", "out"])
        .args(formats)
        .args(["-c", &class.to_string(), "eXample.com", "z"])
        .current_dir(folder)
        .output()
        .expect("named-compilezone runs (Debian package bind9-utils)");
    run.status.success().then(|| fs::read(folder.join("out")).unwrap())
}

/// Asserts that the zone is the same when read from every format, written by us and by named-compilezone.
fn assert_equal(text: &str, class: Class) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("z"), text).unwrap();
    let compile = |formats: &[&str]| compile(folder, class, formats).expect("BIND accepts it");
    let theirs = text_of(compile(&[]));
    for version in ["raw", "raw=0"] {
        let (zone, report) = check(&compile(&["-F", version]), FileFormat::Raw, class);
        assert!(!report.has_errors(), "{version}: {:?}", report.diagnostics);
        assert_same(&written(&zone), &theirs);
    }
    let (zone, _) = check(text.as_bytes(), FileFormat::Text, class);
    assert_same(&written(&zone), &theirs);
    let (again, _) = check(&write_file(origin().as_ref(), &zone), FileFormat::Text, class);
    assert_same(&written(&again), &theirs);
    fs::write(folder.join("z"), write_raw(&zone, 1_800_000_000)).unwrap();
    assert_same(&text_of(compile(&["-f", "raw"])), &theirs);
}

fn written(zone: &RrSets) -> String {
    let mut text = String::new();
    zone.records().for_each(|record| write_record(&record, &mut text));
    text
}

/// The output of named-compilezone without comments, which contain what it knows of re-signing.
fn text_of(compiled: Vec<u8>) -> String {
    let text = String::from_utf8(compiled).unwrap();
    text.split_inclusive('\n').filter(|line| !line.starts_with("; ")).collect()
}

fn assert_same(ours: &str, theirs: &str) {
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

#[test]
fn every_record_type_is_read_and_written_as_by_bind() {
    let mut text = TOP.to_owned();
    // named uses KEYDATA internally, and prints it in different forms.
    let lines = RDATA.lines().filter(|line| !line.starts_with([';', '!']) && !line.starts_with("KEYDATA"));
    for (number, line) in lines.enumerate() {
        let record = format!("r{number} {line}\n");
        if is_sound(format!("{TOP}{record}").as_bytes(), FileFormat::Text) {
            text.push_str(&record);
        }
    }
    assert!(text.lines().count() > 250, "{}", text.lines().count());
    assert_equal(&text, Class::IN);
}

#[test]
fn large_rrsets_long_names_and_other_classes_too() {
    let mut text = format!("{TOP}{0}.{0}.{0} AAAA ::1\n*.w 5 TXT {1}\n", "x".repeat(63), "\"y\" ".repeat(900));
    for number in 0..3000 {
        writeln!(text, "many A 10.0.{}.{}", number / 256, number % 256).unwrap();
    }
    assert_equal(&text, Class::IN);
    assert_equal("$TTL 300\n@ SOA ns hm 1 2 3 4 5\n@ NS ns\nns A ns.example.net. 1234\n", Class::CH);
}

/// What we refuse although BIND accepts it, and why.
const STRICTER: &[(&str, &str)] = &[
    ("covers another type", "BIND keeps the RRset where no question finds it"),
    ("exists in messages only", "BIND takes types that it would not take from a text"),
    ("has an owner that is no name", "BIND overlooks a length that is more than the owner's octets"),
    ("is no owner for NSEC3", "BIND would not take it from a text"),
    ("is cut short", "BIND overlooks up to three octets behind the last RRset"),
];

#[test]
fn names_keep_their_case() {
    let mixed = "\
Www TXT x\nwww A 192.0.2.1\nzz TXT y\nWWW A 192.0.2.2\nwWw MX 1 Mail.eXample.COM.\n MX 2 mail.example.com.
x MX 1 Foo.eXample.com.\n MX 1 fOO.example.com.\nzz TXT z\nX MX 1 FOO.example.com.
Y PTR H.Example.com.\ny PTR h.example.com.\nsub.Example.COM. TXT a\nSub TXT b\n@ TXT c\nEXAMPLE.com. TXT d
";
    assert_equal(&format!("{TOP}{mixed}"), Class::IN);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn a_damaged_file_gets_the_same_verdict(at: prop::sample::Index, octet: u8, cut: bool) {
        let (zone, _) = check(format!("{TOP}a 5 TXT x y\na MX 5 ns\n*.b SRV 0 0 5 ns\n").as_bytes(), FileFormat::Text, Class::IN);
        let mut file = write_raw(&zone, 1_800_000_000);
        let at = at.index(file.len());
        if cut {
            file.truncate(at);
        } else {
            file[at] = octet;
        }
        try_raw(&file);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("z"), &file).unwrap();
        let theirs = compile(folder.path(), Class::IN, &["-f", "raw"]).is_some();
        let report = check(&file, FileFormat::Raw, Class::IN).1;
        let stricter = |message: &str| STRICTER.iter().any(|(part, _)| message.contains(part));
        if !(theirs && report.diagnostics.iter().any(|finding| finding.is_error() && stricter(&finding.message))) {
            prop_assert_eq!(!report.has_errors(), theirs, "octet {}: {:?}\n{:?}", at, file, report.diagnostics);
        }
    }
}
