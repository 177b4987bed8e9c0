//! Every type by example: text, the text it is printed as, and what is refused.

use super::*;
use crate::Name;

/// Splits a line as the zone parser does, as far as these tests need: blanks, quotes, escapes kept.
fn tokens(line: &str) -> Vec<Token<'_>> {
    let text = line.as_bytes();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < text.len() {
        if text[at] == b' ' {
            at += 1;
            continue;
        }
        let quoted = text[at] == b'"';
        let start = at + usize::from(quoted);
        let mut inside = quoted;
        at = start;
        while at < text.len() && (inside || text[at] != b' ') {
            match text[at] {
                b'\\' => at += 1,
                b'"' if quoted => break,
                b'"' if text[at - 1] == b'=' || inside => inside = !inside,
                _ => {}
            }
            at += 1;
        }
        at = at.min(text.len());
        tokens.push(Token { text: &text[start..at], quoted, at: start });
        at += usize::from(quoted);
    }
    tokens
}

fn wire(rtype: &str, text: &str) -> Result<Vec<u8>, RdataError> {
    let origin = Name::from_ascii("ex.").unwrap();
    let rtype =
        rtype.parse::<Rtype>().map_err(|error| RdataError { at: None, message: error.to_string(), help: None })?;
    let mut out = b"before".to_vec();
    let result = parse(rtype, &mut Fields::new(&tokens(text)), origin.as_ref(), &mut out);
    let rdata = out.split_off(6);
    assert!(result.is_ok() || rdata.is_empty(), "an error leaves the output as it was");
    result.map(|()| rdata)
}

fn text(rtype: &str, wire: &[u8]) -> String {
    let mut out = String::new();
    write_text(rtype.parse().unwrap(), wire, &Style::FULL, &mut out);
    out
}

/// A line of the corpus: type, rdata, and whether it is one where we want to differ from BIND.
fn corpus() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    include_str!("corpus.txt").lines().filter(|line| !line.starts_with(';')).map(|line| {
        let differs = line.starts_with("! ");
        let line = if differs { line[2..].split(" ; ").next().unwrap() } else { line };
        let (rtype, rdata) = line.split_once(' ').unwrap_or((line, ""));
        (rtype, rdata, differs)
    })
}

/// Runs the corpus through named-compilezone: what it refuses, and how it prints the rest.
struct Judge {
    folder: std::path::PathBuf,
}

impl Judge {
    /// `zone`'s lines as named-compilezone prints them, and what it complains of.
    fn compile(&self, zone: &str) -> (String, String) {
        let file = self.folder.join("zone");
        std::fs::write(&file, zone).unwrap();
        let run = std::process::Command::new("named-compilezone")
            .args(["-k", "ignore", "-i", "none", "-s", "full", "-o", "-", "ex"])
            .arg(&file)
            .output()
            .expect("named-compilezone is installed (Debian package bind9-utils)");
        (String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap())
    }
}

const ZONE_HEAD: &str = "$TTL 3600\n@ SOA ns root 1 3600 3600 3600 3600\n@ NS ns\nns A 127.0.0.1\n";

#[test]
fn bind_accepts_and_prints_the_same() {
    let folder = std::env::temp_dir().join(format!("zonefmt-corpus-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let judge = Judge { folder };
    let mut differences = Vec::new();

    // All lines at once: each that BIND refuses is named by its number.
    let zone: String = corpus().enumerate().map(|(i, (rtype, rdata, _))| format!("r{i} {rtype} {rdata}\n")).collect();
    let (_, complaints) = judge.compile(&format!("{ZONE_HEAD}{zone}"));
    let refused: Vec<usize> = complaints
        .lines()
        .filter(|line| !line.contains("old style DNSSEC") && !line.contains("signature has expired"))
        .filter_map(|line| line.split_once("/zone:")?.1.split(':').next()?.parse::<usize>().ok()?.checked_sub(5))
        .collect();

    // Then those that it takes.
    let taken = |i: &usize| !refused.contains(i);
    let zone: String = corpus()
        .enumerate()
        .filter(|(i, _)| taken(i))
        .map(|(i, (rtype, rdata, _))| format!("r{i} {rtype} {rdata}\n"))
        .collect();
    let (printed, complaints) = judge.compile(&format!("{ZONE_HEAD}{zone}"));
    assert!(printed.lines().count() > 300, "{complaints}");
    std::fs::remove_dir_all(&judge.folder).unwrap();

    for (i, (rtype, rdata, differs)) in corpus().enumerate() {
        let ours = wire(rtype, rdata).map(|octets| text(rtype, &octets));
        let theirs = printed.lines().find_map(|line| {
            let (owner, rest) = line.split_once('.')?;
            let (_, record) = rest.split_once(" IN ")?;
            (owner == format!("r{i}"))
                .then(|| record.split_once(['\t', ' ']).map_or("", |(_, rdata)| rdata.trim_start_matches('\t')))
        });
        if (ours.as_deref().ok() == theirs) != differs {
            continue;
        }
        differences.push(format!("{rtype} {rdata}\n  ours:   {ours:?}\n  theirs: {theirs:?}"));
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
