//! What the server does about each statement of named.conf: obeys it, passes over it, warns of it, or refuses the
//! configuration. The table `support.txt` says it for every statement.
//!
//! A statement without effect is an error where somebody would rely on it, a warning where something is missed and
//! nothing goes wrong, and passed over where nothing is missed. A statement that asks for nothing (`no`, `none`, `{ }`,
//! …) is always fine.

use std::{collections::hash_map::Entry, sync::LazyLock};

use rustc_hash::FxHashMap;
use zonefmt::{conf::Statement, diagnostics::Diagnostic};

/// The words of `support.txt`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Support {
    Obeyed,
    Silent,
    Recursion,
    /// With the reason.
    Warning(&'static str),
    /// With the reason.
    Error(&'static str),
}

/// The statements that have zones signed.
const SIGNING: [&str; 3] = ["auto-dnssec", "dnssec-policy", "inline-signing"];
/// What to do about them.
const UNSIGNED: &str = "to serve the zone unsigned, remove its DS records from the parent zone and wait until they have \
                        expired in all caches; give the zone file a serial above that of the signed zone (`rndc \
                        zonestatus`, `FILE.signed`); then remove the statement, `FILE.signed`, `FILE.signed.jnl` and \
                        `FILE.jbk`; or leave the zone with named";
/// The most places that one finding shows.
const MAX_PLACES: usize = 10;

static TABLE: LazyLock<FxHashMap<&'static str, Support>> = LazyLock::new(|| rows().collect());

/// Reports the statements that are not obeyed.
#[derive(Default)]
pub(super) struct Judge<'c> {
    signing: Vec<Statement<'c>>,
    recursion: Vec<Statement<'c>>,
    findings: Vec<Diagnostic>,
    /// The warning about each statement, by its index among the findings, and how many more places deserve it.
    warned: FxHashMap<&'static str, (usize, usize)>,
}

impl<'c> Judge<'c> {
    /// Takes note of a statement.
    pub(super) fn statement(&mut self, statement: Statement<'c>) {
        let name = statement.name();
        match TABLE.get(name).copied().unwrap_or(Support::Error("it is not supported")) {
            Support::Obeyed | Support::Silent => {}
            _ if asks_for_nothing(statement) => {}
            Support::Recursion => self.recursion.push(statement),
            Support::Warning(why) => match self.warned.entry(name) {
                Entry::Occupied(mut warned) => warned.get_mut().1 += 1,
                Entry::Vacant(new) => {
                    new.insert((self.findings.len(), 0));
                    self.findings.push(statement.warning(format!("`{name}` has no effect: {why}")));
                }
            },
            Support::Error(_) if SIGNING.contains(&name) => self.signing.push(statement),
            Support::Error(why) => {
                let error = statement.error(format!("`{name}` cannot be obeyed: {why}"));
                self.findings.push(error.help("remove it"));
            }
        }
    }

    /// All findings. A statement that stands in every zone gets one warning, and so do all statements about recursion.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for &(index, more) in self.warned.values().filter(|(_, more)| *more > 0) {
            let places = if more == 1 { "place" } else { "places" };
            let message = &mut self.findings[index].message;
            *message = format!("{message} (and in {more} more {places})");
        }
        if let Some((first, others)) = self.signing.split_first() {
            let mut names: Vec<_> = self.signing.iter().map(|statement| format!("`{}`", statement.name())).collect();
            names.sort_unstable();
            names.dedup();
            let error =
                first.error(format!("{} cannot be obeyed: signed zones are not supported yet", names.join(", ")));
            let error =
                others.iter().take(MAX_PLACES).fold(error, |error, other| error.related(other.place(), "here, too"));
            self.findings.push(error.help(UNSIGNED));
        }
        if let Some(first) = self.recursion.first() {
            let mut names: Vec<_> = self.recursion.iter().map(|statement| statement.name()).collect();
            names.sort_unstable();
            names.dedup();
            let message = format!("this server never does recursion; without effect: {}", names.join(", "));
            self.findings.push(first.warning(message));
        }
        self.findings
    }
}

/// Where the form of a configuration is wrong because of a signing statement, the remedy of BIND is none here.
pub(super) fn without_signing(mut findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for finding in &mut findings {
        finding.help =
            finding.help.take().map(|help| if help.contains("inline-signing") { UNSIGNED.into() } else { help });
    }
    findings
}

/// The rows of `support.txt`: a name, a word and, after some words, a reason.
fn rows() -> impl Iterator<Item = (&'static str, Support)> {
    let lines = include_str!("support.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (word, why) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
        let support = match (word, why.trim_start()) {
            ("obeyed", "") => Support::Obeyed,
            ("silent", "") => Support::Silent,
            ("recursion", "") => Support::Recursion,
            ("warning", why) if !why.is_empty() => Support::Warning(why),
            ("error", why) if !why.is_empty() => Support::Error(why),
            _ => panic!("support.txt: {line}"),
        };
        (name, support)
    })
}

fn asks_for_nothing(statement: Statement<'_>) -> bool {
    const NOTHING: [&str; 6] = ["no", "none", "off", "false", "0", "disabled"];
    let mut arguments = statement.arguments();
    let (Some(argument), None) = (arguments.next(), arguments.next()) else { return false };
    match argument.block() {
        Some(mut elements) => match (elements.next(), elements.next()) {
            (None, _) => true,
            (Some(only), None) => only.arguments().next().is_some_and(|part| part.is("none")),
            _ => false,
        },
        None => NOTHING.iter().any(|word| argument.text().eq_ignore_ascii_case(word.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};
    use std::collections::{BTreeMap, BTreeSet};
    use zonefmt::{
        conf::statements_of,
        diagnostics::{Severity, Source},
    };

    /// The table of `docs/named.conf.md`.
    fn table() -> String {
        let mut kinds: BTreeMap<Support, String> = BTreeMap::new();
        for (name, support) in rows() {
            *kinds.entry(support).or_default() += &[" `", name, "`"].concat();
        }
        let line = |(support, names): (&Support, &String)| {
            let (what, why) = match support {
                Support::Obeyed => ("obeyed", ""),
                Support::Silent => ("no effect", "nothing is missed without it"),
                Support::Recursion => ("one warning for all of them", "this server never does recursion"),
                Support::Warning(why) => ("warning", *why),
                Support::Error(why) => ("error", *why),
            };
            format!("| {what} | {why} |{names} |\n")
        };
        kinds.iter().map(line).collect()
    }

    /// `BLESS=1 cargo test -p bindy-server support` writes it anew.
    #[test]
    fn the_documentation_has_the_table() {
        const HEADER: &str = "|---|---|---|\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/named.conf.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(HEADER).unwrap();
        let (_, after) = rest.split_once("\n\n").unwrap();
        let current = format!("{before}{HEADER}{}\n{after}", table());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, current).unwrap();
        } else {
            assert!(page == current, "docs/named.conf.md is not what the table says: run this with BLESS=1");
        }
    }

    /// The remedy of one error led to the next one.
    #[test]
    fn a_signed_zone_gets_one_error_with_a_remedy_that_helps() {
        let zone = |statements: &str| format!("zone a.test {{ type primary; file \"a\"; {statements} }};");
        for text in [
            zone("dnssec-policy default; inline-signing yes;"),
            zone("auto-dnssec maintain;"),
            zone("auto-dnssec maintain; inline-signing yes;"),
            format!("options {{ dnssec-policy default; }}; {}", zone("")),
        ] {
            let findings = Config::parse(Source::new("named.conf", &*text), Overrides::default()).unwrap_err();
            let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
            let [error] = *errors else { panic!("{text}: {errors:?}") };
            let help = error.help.as_deref().unwrap_or_default();
            assert!(help.contains("DS records") && help.contains("FILE.signed"), "{text}: {help}");
            assert!(!help.contains("inline-signing"), "{text}: {help}");
        }
    }

    #[test]
    fn every_statement_has_one_row() {
        let places = ["top", "options", "view", "zone", "server"];
        let known: BTreeSet<_> = places.into_iter().flat_map(statements_of).collect();
        let listed: Vec<_> = rows().map(|(name, _)| name).collect();
        assert!(listed.is_sorted_by(|a, b| a < b), "not in the order of the alphabet, or one is listed twice");
        let listed: BTreeSet<_> = listed.into_iter().collect();
        let strangers: Vec<_> = listed.difference(&known).collect();
        assert!(strangers.is_empty(), "no statements of BIND's: {strangers:?}");
        let missing: Vec<_> = known.difference(&listed).collect();
        assert!(missing.is_empty(), "without a row: {missing:?}");
    }
}
