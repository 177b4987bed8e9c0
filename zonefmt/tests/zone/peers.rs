//! Gives the same zone files to named-compilezone (Debian package bind9-utils) and to us: verdicts and records must
//! agree.
//!
//! A case of the corpus begins with `=== name`. `| class`, `| origin` and `| differs` may follow, the last with the
//! reason why we accept what BIND refuses, or the other way round. `TOP` stands for the head of a valid zone, `⟨0d⟩`
//! for an octet, and `⟨end⟩` for the absence of the final newline. `--- name` begins a file to include.

use std::{fs, path::Path, process::Command};

use proptest::{collection::vec, prelude::*, sample::select};
use zonefmt::{
    Class, Name,
    diagnostics::Source,
    zone::{CheckNames, Directory, Options, RrSets, write_record},
};

use crate::support::{check, parse};

const TOP: &str = "$TTL 300\n@ SOA ns hm 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n";

struct Case {
    name: String,
    origin: Name,
    class: Class,
    differs: bool,
    text: Vec<u8>,
    files: Vec<(String, Vec<u8>)>,
}

fn corpus(name: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zone/corpus").join(name);
    let corpus = fs::read_to_string(path).unwrap();
    corpus.split("=== ").skip(1).map(case).collect()
}

fn case(text: &str) -> Case {
    let (head, body) = text.split_once('\n').unwrap();
    let mut head = head.split(" | ");
    let mut case = Case {
        name: head.next().unwrap().into(),
        origin: "example.com".parse().unwrap(),
        class: Class::IN,
        differs: false,
        text: Vec::new(),
        files: Vec::new(),
    };
    for setting in head {
        match setting.split_once(' ').unwrap() {
            ("origin", origin) => case.origin = origin.parse().unwrap(),
            ("class", class) => case.class = class.parse().unwrap(),
            ("differs", _) => case.differs = true,
            other => panic!("{other:?} in {}", case.name),
        }
    }
    let mut files = body.split("--- ");
    case.text = octets(files.next().unwrap());
    case.files = files.map(|file| file.split_once('\n').unwrap()).map(|(name, t)| (name.into(), octets(t))).collect();
    case
}

fn octets(text: &str) -> Vec<u8> {
    let text = text.strip_prefix("TOP\n").map_or_else(|| text.to_owned(), |rest| format!("{TOP}{rest}"));
    let mut out = Vec::new();
    let mut rest = text.strip_suffix("⟨end⟩\n").unwrap_or(&text);
    while let Some((before, after)) = rest.split_once('⟨') {
        out.extend_from_slice(before.as_bytes());
        let (octet, after) = after.split_once('⟩').unwrap();
        out.push(u8::from_str_radix(octet, 16).unwrap());
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Compiles a zone with named-checkzone's defaults, without looking up names outside the zone; `None` if refused.
fn compile(case: &Case, folder: &Path) -> Option<Vec<u8>> {
    let run = Command::new("named-compilezone")
        .args(["-k", "warn", "-n", "warn", "-m", "warn", "-r", "warn", "-i", "local", "-o", "-"])
        .args(["-c", &case.class.to_string(), &case.origin.to_string(), "z"])
        .current_dir(folder)
        .output()
        .expect("named-compilezone runs (Debian package bind9-utils)");
    run.status.success().then_some(run.stdout)
}

/// The zone as sorted records, one a line.
fn canonical_text(case: &Case, folder: &Path) -> String {
    let includes = Directory(folder.to_owned());
    let options = Options {
        class: case.class,
        check_names: CheckNames::Warn,
        includes: &includes,
        ..Options::new(case.origin.as_ref())
    };
    let (zone, _) = RrSets::check(&Source::new("z", case.text.as_slice()), &options);
    let mut text = String::new();
    for record in zone.records() {
        write_record(&record, &mut text);
    }
    text
}

fn compare(corpus_name: &str) {
    let mut wrong = Vec::new();
    for case in corpus(corpus_name) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("z"), &case.text).unwrap();
        for (name, text) in &case.files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let theirs = compile(&case, folder.path());
        let (report, ours, lines) = check(&case.text, &case.origin, case.class, folder.path());
        if (theirs.is_some() == report.has_errors()) != case.differs {
            let found: Vec<_> = report.diagnostics.iter().map(ToString::to_string).collect();
            wrong.push(format!("{}: BIND accepts: {}; we found {found:#?}", case.name, theirs.is_some()));
        }
        let Some(theirs) = theirs.filter(|_| !report.has_errors()) else { continue };
        let text = canonical_text(&case, folder.path());
        // named-compilezone writes what it knows of re-signing in comments.
        let theirs_text = String::from_utf8_lossy(&theirs);
        let theirs_text: String = theirs_text.split_inclusive('\n').filter(|line| !line.starts_with("; ")).collect();
        if text != theirs_text {
            let theirs = theirs_text;
            wrong.push(format!("{}: canonical text: theirs\n{theirs}ours\n{text}", case.name));
        }
        let (report, sets) = parse(&theirs, &case.origin, case.class);
        if report.has_errors() || sets != ours {
            wrong.push(format!("{}: theirs {sets:#?} ours {ours:#?}", case.name));
        }
        // Each of their lines is one of ours. We have more lines if a record is repeated or a TTL replaced.
        let lower = |line: &str| line.trim_end().to_ascii_lowercase();
        let lines: Vec<_> = lines.iter().map(|line| lower(line)).collect();
        for line in String::from_utf8_lossy(&theirs).lines().filter(|line| !line.starts_with("; ")) {
            if !lines.contains(&lower(line)) && ours.values().all(|(_, data)| data.len() == 1) {
                wrong.push(format!("{}: they write {line:?}, we {lines:#?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {corpus_name}:\n{}", wrong.len(), wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn lines_gone_wrong_get_the_same_verdict(lines in vec((select(LINES), any::<u16>(), select(PIECES)), 1..5)) {
        let mut text = TOP.to_owned();
        for (line, at, piece) in lines {
            let at = usize::from(at) % (2 * line.len());
            // Half of the lines stay unchanged.
            let (before, after) = line.split_at(at.min(line.len()));
            text.push_str(before);
            text.push_str(if after.is_empty() { "" } else { piece });
            text.push_str(after);
            text.push('\n');
        }
        let folder = tempfile::tempdir().unwrap();
        let case = Case {
            name: String::new(),
            origin: "example.com".parse().unwrap(),
            class: Class::IN,
            differs: false,
            text: text.into_bytes(),
            files: Vec::new(),
        };
        fs::write(folder.path().join("z"), &case.text).unwrap();
        let theirs = compile(&case, folder.path());
        let (report, ours, _) = check(&case.text, &case.origin, case.class, folder.path());
        let shown = String::from_utf8_lossy(&case.text);
        prop_assert_eq!(theirs.is_some(), !report.has_errors(), "BIND accepts: {:?}", shown);
        if let Some(theirs) = theirs {
            prop_assert_eq!(parse(&theirs, &case.origin, case.class).1, ours, "{:?}", shown);
        }
    }
}

/// Lines to be damaged, without their newlines.
const LINES: &[&str] = &[
    "a A 192.0.2.1",
    "a CNAME b",
    " TXT x",
    "b 5 IN TXT \"x\" y",
    "$ORIGIN sub",
    "$ORIGIN example.com.",
    "$TTL 1h",
    "sub NS ns",
    "@ MX 10 ns",
    "$GENERATE 1-3 a$ A 192.0.2.$",
    "*.w A 192.0.2.1",
    "c (\n IN\n TXT ( x )\n )",
    "f AAAA ::1 ; c",
    "d 1w IN SRV 0 0 5 ns",
    "e DNAME x",
    "h IN 5 CAA 0 issue \"x;y\"",
    "x.example.org. A 192.0.2.1",
    "s HTTPS 1 . alpn=\"h2,h3\"",
];

/// Pieces to insert into these lines.
const PIECES: &[&str] = &[
    "",
    " ",
    "\t",
    "\n",
    "\n ",
    "\r",
    "(",
    ")",
    "\"",
    "\\",
    ";",
    "$",
    "@",
    ".",
    "*",
    "-",
    "_",
    "5",
    " 5 ",
    " IN ",
    " CH ",
    " A ",
    " ANY ",
    " 1w2d ",
    " sub.example.com. ",
    "\\065",
    "\\;",
    " ( ",
    " ) ",
    " \"y z\" ",
    " ; c ( \" ",
];

#[test]
fn the_language() {
    compare("language.txt");
}

#[test]
fn the_directives() {
    compare("directives.txt");
}

#[test]
fn generate() {
    compare("generate.txt");
}

#[test]
fn the_rules_of_a_zone() {
    compare("rules.txt");
}

/// Knot (Debian package knot-dnssecutils) accepts what we write.
#[test]
fn knot_reads_what_we_write() {
    let text = format!(
        "{TOP}$GENERATE 1-20 h${{0,3}} A 192.0.2.$\n@ MX 10 h001\n@ TXT \"a ; \\\"b\\\"\" c\\ d \"\\000\\255\"\n\
         *.w CNAME h001\nsub NS ns.sub\nns.sub AAAA 2001:db8::1\n_a._tcp SRV 0 5 443 h002\nb\\.c.x\\@ 1h TXT x\n\
         @ CAA 0 issue \"ca.example.net\"\nh003 HTTPS 1 . alpn=\"h2,h3\" port=8443\nt TYPE65280 \\# 3 010203\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let (report, ours, lines) = check(text.as_bytes(), &"example.com".parse().unwrap(), Class::IN, folder.path());
    assert!(report.diagnostics.is_empty() && ours.len() > 30, "{:?}", report.diagnostics);
    let verdict = |text: &str| {
        let file = folder.path().join("z");
        fs::write(&file, text).unwrap();
        let run = Command::new("kzonecheck").args(["-o", "example.com"]).arg(&file).output();
        run.expect("kzonecheck runs (Debian package knot-dnssecutils)").status.success()
    };
    assert!(verdict(&lines.concat()));
    assert!(!verdict(&format!("{}h001.example.com. 300 IN CNAME x.\n", lines.concat())));
}
