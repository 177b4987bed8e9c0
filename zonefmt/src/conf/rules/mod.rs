//! Rules that hold between statements, beyond the form of each: a module for each subject.

mod anchors;
mod floods;
mod keys;
mod logging;
mod policies;
mod ranges;
mod settings;
mod tls;
mod zones;

pub use logging::LOG_CATEGORIES;

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::{
    Conf, Part, Statement,
    references::{self, Reference},
};
use crate::{
    Class,
    diagnostics::{Diagnostic, Findings},
};
use zones::class_of;

/// Definitions whose names must differ from each other and from the built-in ones.
const UNIQUE: &[Unique] = &[
    Unique { statements: &["acl"], what: "acl", built_in: &["any", "none", "localhost", "localnets"], any_case: true },
    Unique { statements: &["dnssec-policy"], what: "dnssec-policy", built_in: POLICIES, any_case: false },
    Unique { statements: &["http"], what: "http", built_in: &["default"], any_case: true },
    Unique { statements: &["parental-agents"], what: "parental-agents", built_in: &[], any_case: true },
    Unique { statements: &["primaries", "masters"], what: "list of primaries", built_in: &[], any_case: true },
    Unique { statements: &["template"], what: "template", built_in: &[], any_case: false },
    Unique { statements: &["tls"], what: "tls", built_in: &["ephemeral", "none"], any_case: true },
];

const POLICIES: &[&str] = &["default", "insecure", "none"];

struct Unique {
    statements: &'static [&'static str],
    what: &'static str,
    built_in: &'static [&'static str],
    any_case: bool,
}

/// Checks a configuration in which every statement has the right form. `references` are the names in it that must be
/// defined; `None` if the definitions may be elsewhere.
pub(super) fn check(conf: &Conf, references: Option<&[Reference]>, findings: &mut Findings) {
    for definition in UNIQUE {
        definitions(conf, definition, findings);
    }
    unique(findings, conf.statements().all("view"), "the view", |view| {
        (view.argument().map(|name| name.text().into_owned()), class_of(view))
    });
    unique(findings, conf.statements().all("server"), "the server", |server| server.arguments().prefix());
    settings::servers(&conf.statements(), findings);
    settings::source_ports(conf, references.is_some(), findings);
    keys::defined_once(conf, findings);
    logging::dnstap(conf, findings);
    if let Some(references) = references {
        references::check(conf, references, findings);
    }
    ranges::check(conf.statements(), findings);
    let views = conf.statements().find("view").is_some();
    for statement in conf.statements() {
        match statement.name() {
            "key" => keys::check(statement, findings),
            "options" => settings::check(statement, findings),
            "logging" => logging::check(statement, findings),
            "tls" => tls::check(statement, findings),
            "http" => tls::http(statement, findings),
            "template" => zones::template(statement, findings),
            "zone" if views => {
                findings.push(statement.error("a zone outside of all views").help("put it into a `view`"));
            }
            "view" => view(statement, findings),
            _ => {}
        }
    }
    anchors::check(conf, findings);
    for policy in conf.statements().all("dnssec-policy") {
        policies::policy(policy, findings);
    }
    zones::check(conf, references.is_some(), findings);
}

/// Checks a view: its class, its name, and what it says for its zones.
fn view(view: Statement<'_>, findings: &mut Findings) {
    let class = view.arguments().nth(1).filter(|part| part.block().is_none());
    if let Some(part) = class.filter(|part| part.shown().parse::<Class>().is_err()) {
        findings.push(part.error(format!("`{}` is no class", part.shown())));
    }
    let built_in = match class_of(view) {
        Class::IN => Some("_default"),
        Class::CH => Some("_bind"),
        _ => None,
    };
    if let Some(name) = view.argument().filter(|name| Some(&*name.shown()) == built_in) {
        findings.push(name.error(format!("the view `{}` is built in", name.shown())).help("give it another name"));
    }
    settings::check(view, findings);
    settings::servers(&view.block(), findings);
    unique(findings, view.block().all("server"), "the server", |server| server.arguments().prefix());
    view.block().all("key").for_each(|key| keys::check(key, findings));
}

/// Reports statements that have the same key as an earlier one.
fn unique<'c, K: Eq + Hash>(
    findings: &mut Findings,
    statements: impl Iterator<Item = Statement<'c>>,
    what: &str,
    key: impl Fn(Statement<'c>) -> K,
) {
    let mut seen = FxHashMap::default();
    for statement in statements {
        let Some(name) = statement.argument() else { continue };
        if let Some(first) = seen.insert(key(statement), name) {
            findings.push(again(what, name, first));
        }
    }
}

/// Reports definitions with the name of another one, or of a built-in one.
fn definitions(conf: &Conf, of: &Unique, findings: &mut Findings) {
    let what = format!("the {}", of.what);
    let fold = |name: Part<'_>| if of.any_case { name.text().to_ascii_lowercase() } else { name.text().into() };
    let all = || conf.statements().filter(|found| of.statements.contains(&found.name()));
    unique(findings, all(), &what, |found| found.argument().map(fold));
    for name in all().filter_map(Statement::argument) {
        if of.built_in.iter().any(|known| known.as_bytes() == fold(name)) {
            let error = name.error(format!("{what} `{}` is built in", name.shown()));
            findings.push(error.help("give it another name"));
        }
    }
}

/// The error for a second definition of the same thing.
fn again(what: &str, name: Part<'_>, first: Part<'_>) -> Diagnostic {
    let error = name.error(format!("{what} `{}` is there already", name.shown())).label("again here");
    error.related(first.place(), "first here").help("remove one of them")
}
