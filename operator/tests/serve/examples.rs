//! Tests the stories of `examples` word for word: each folder is served, and every command in its README prints what
//! the README shows.

use std::{collections::BTreeSet, fs, process::Command};

use super::site::{Site, examples};

/// A command of a README, and its output.
struct Try<'r> {
    command: &'r str,
    output: Vec<&'r str>,
}

#[test]
fn every_story_is_true() {
    let mut untrue = Vec::new();
    for story in stories() {
        let site = Site::story(&story);
        let bindy = site.serve();
        let readme = fs::read_to_string(examples().join(&story).join("README.md")).expect("every story has a README");
        assert!(readme.contains(&format!("\nmake run STORY={story}\n")), "{story}: how it is served is not told");
        let tries = tries(&readme);
        assert!(tries.len() > 2, "{story}: there is nothing to try");
        for Try { command, output } in tries {
            let told = run(command, bindy.addr.port());
            if lines(command, told.lines()) != lines(command, output) {
                untrue.push(format!("{story}: {command}\n{told}"));
            }
        }
    }
    assert!(untrue.is_empty(), "READMEs of examples do not say what these print:\n{}", untrue.join("\n"));
}

#[test]
fn every_story_is_in_the_list() {
    let readme = fs::read_to_string(examples().join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| ["));
    let listed: BTreeSet<String> = rows.filter_map(|row| Some(row.split_once("](")?.0.to_owned())).collect();
    assert_eq!(listed, stories());
    for row in readme.lines().filter(|line| line.starts_with("| [")) {
        let (story, command) = (row[3..].split(']').next().unwrap(), row.rsplit('`').nth(1).unwrap());
        let told = fs::read_to_string(examples().join(story).join("README.md")).unwrap().replace(" +noall +answer", "");
        assert!(told.contains(&format!("$ {command}")), "{story}: {command} is not in its README");
    }
}

fn stories() -> BTreeSet<String> {
    let entries = fs::read_dir(examples()).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// The commands in `console` blocks: lines that start with `$ ` are commands, and the lines below are their output.
fn tries(readme: &str) -> Vec<Try<'_>> {
    let blocks = readme.split("```console\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    let mut tries: Vec<Try> = Vec::new();
    for block in blocks {
        assert!(block.starts_with("$ "), "this is no command: {block}");
        for line in block.lines() {
            match (line.strip_prefix("$ "), tries.last_mut()) {
                (Some(command), _) => tries.push(Try { command, output: Vec::new() }),
                (None, Some(last)) => last.output.push(line),
                (None, None) => unreachable!("the first line is a command"),
            }
        }
    }
    tries
}

/// Runs a command as a reader of the README would, but with the port that is used here. Returns both output streams.
fn run(command: &str, port: u16) -> String {
    let command = command
        .replace("dig @127.0.0.1 -p 5300", &format!("dig @127.0.0.1 -p {port} +tries=5 +time=2"))
        .replace("target/release/bindy", env!("CARGO_BIN_EXE_bindy"));
    let output =
        Command::new("sh").args(["-c", &format!("{{ {command}; }} 2>&1")]).current_dir(examples().join("..")).output();
    String::from_utf8(output.expect("there is a shell").stdout).unwrap()
}

/// Lines in a form that can be compared: columns are separated by one blank, and the output of dig is sorted, because
/// the records of an RRset have no order.
fn lines<'l>(command: &str, lines: impl IntoIterator<Item = &'l str>) -> Vec<String> {
    let columns = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = lines.into_iter().map(columns).collect();
    if command.starts_with("dig ") {
        lines.sort();
    }
    lines
}
