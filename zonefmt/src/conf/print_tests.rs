//! Compares what we print with what named-checkconf prints.

use std::process::Command;

use super::{Secrets, tests::ours};

/// Prints a configuration with named-checkconf; `None` if it has an error.
fn named_checkconf(options: &str, text: &[u8]) -> Option<String> {
    let file = tempfile::NamedTempFile::new().expect("the temporary directory can be written");
    std::fs::write(file.path(), text).expect("the file is there");
    let output = Command::new("named-checkconf").arg(options).arg(file.path()).output();
    let output = output.expect("named-checkconf: install bind9-utils");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // The warnings of named-checkconf are on standard output, too.
    let file = file.path().display().to_string();
    let lines = text.split_inclusive('\n').filter(|line| !line.starts_with(&file));
    output.status.success().then(|| lines.collect())
}

/// What named-checkconf prints differently: blanks for absent parts, and numbers for words.
const PLAINLY: &[(&str, &str)] = &[
    ("  {", " {"),
    (" ;", ";"),
    ("inet 0.0.0.0 ", "inet * "),
    // named-checkconf leaves out a port of `*` here.
    ("inet 127.0.0.1 port * ", "inet 127.0.0.1 "),
    ("transfer-source 0.0.0.0;", "transfer-source *;"),
    ("query-source address 192.0.2.1 port 0;", "query-source 192.0.2.1;"),
    ("query-source-v6 address :: port 0;", "query-source-v6 address *;"),
    ("severity debug 1;", "severity debug;"),
    ("syslog \"daemon\";", "syslog daemon;"),
    // named-checkconf prints the number of the interface.
    ("fe80::1%1/", "fe80::1%lo/"),
];

fn plainly(text: &str) -> String {
    PLAINLY.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

fn texts() -> impl Iterator<Item = &'static str> {
    let corpora = [include_str!("corpus.txt"), include_str!("print_corpus.txt")];
    corpora.into_iter().flat_map(|corpus| corpus.split_once('\n').map_or("", |(_, texts)| texts).split("\n----\n"))
}

#[test]
fn what_is_printed_is_what_named_checkconf_prints() {
    let (mut printed, mut differences) = (0, Vec::new());
    for text in texts() {
        let Some(theirs) = named_checkconf("-p", text.as_bytes()) else { continue };
        let conf = ours(text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        let ours = String::from_utf8(conf.print(Secrets::Show)).expect("the corpus is UTF-8");
        printed += 1;
        if plainly(&theirs) != plainly(&ours) {
            differences.push(format!("{text}\ntheirs: {theirs}\nours: {ours}"));
        }
        assert_eq!(named_checkconf("-p", ours.as_bytes()).as_ref(), Some(&theirs), "it means the same: {ours}");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(printed > 40, "{printed}");
}

#[test]
fn secrets_can_be_hidden() {
    let text = "options { cookie-secret \"00112233445566778899aabbccddeeff\"; };\n\
                key k { algorithm hmac-sha256; secret abcd; };\ntrust-anchors { . static-ds 1 2 2 \"AABB\"; };\n";
    let ours = ours(text).expect("it is right").print(Secrets::Hide);
    assert_eq!(Some(String::from_utf8(ours).expect("UTF-8")), named_checkconf("-px", text.as_bytes()));
}
