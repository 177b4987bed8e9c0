//! Checks that every name that refers to a definition has one. The grammar's table says which values are such names.
//!
//! Lists may refer to other lists. As in BIND, the names in a list matter only once the list is used: an `acl` that
//! nothing refers to may contain any names.

use rustc_hash::FxHashMap;

use super::{Conf, Part, Statement};
use crate::diagnostics::Findings;

/// The kinds of definitions that names refer to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Acl,
    Key,
    Tls,
    /// A `tls` for connections to a server, where `none` is not allowed.
    ServerTls,
    Http,
    Primaries,
    ParentalAgents,
    Policy,
    Channel,
}

/// A name that refers to a definition.
#[derive(Clone, Copy)]
pub(super) struct Reference {
    pub(super) kind: Kind,
    /// The node of the name.
    pub(super) part: u32,
    /// The node of the outermost statement that contains the name.
    pub(super) within: u32,
}

/// How names of one kind are defined.
struct Definition {
    kind: Kind,
    /// What messages call the definition.
    what: &'static str,
    /// The statements that define such a name.
    statements: &'static [&'static str],
    /// The block that contains these statements, unless they are outside of all blocks.
    block: Option<&'static str>,
    built_in: &'static [&'static str],
    /// Whether names that differ only in case are the same.
    any_case: bool,
    help: &'static str,
}

const DEFINITIONS: &[Definition] = &[
    Definition {
        kind: Kind::Acl,
        what: "acl",
        statements: &["acl"],
        block: None,
        built_in: &["any", "none", "localhost", "localnets"],
        any_case: true,
        help: "define it with `acl`, or write `any`, `none`, `localhost` or `localnets`",
    },
    Definition {
        kind: Kind::Key,
        what: "key",
        statements: &["key"],
        block: None,
        built_in: &[],
        any_case: true,
        help: "define it: `key \"name\" { algorithm hmac-sha256; secret \"…\"; };`",
    },
    Definition {
        kind: Kind::Tls,
        what: "`tls`",
        statements: &["tls"],
        block: None,
        built_in: &["ephemeral", "none"],
        any_case: true,
        help: "define it: `tls \"name\" { cert-file \"…\"; key-file \"…\"; };`, or write `ephemeral` or `none`",
    },
    Definition {
        kind: Kind::ServerTls,
        what: "`tls`",
        statements: &["tls"],
        block: None,
        built_in: &["ephemeral"],
        any_case: true,
        help: "define it: `tls \"name\" { … };`, or write `ephemeral`; leave it out for connections without TLS",
    },
    Definition {
        kind: Kind::Http,
        what: "`http`",
        statements: &["http"],
        block: None,
        built_in: &["default"],
        any_case: true,
        help: "define it: `http \"name\" { endpoints { \"/dns-query\"; }; };`, or write `default`",
    },
    Definition {
        kind: Kind::Primaries,
        what: "list of primaries",
        statements: &["primaries", "masters"],
        block: None,
        built_in: &[],
        any_case: true,
        help: "define it: `primaries \"name\" { 192.0.2.1; };`",
    },
    Definition {
        kind: Kind::ParentalAgents,
        what: "list of parental agents",
        statements: &["parental-agents"],
        block: None,
        built_in: &[],
        any_case: true,
        help: "define it: `parental-agents \"name\" { 192.0.2.1; };`",
    },
    Definition {
        kind: Kind::Policy,
        what: "DNSSEC policy",
        statements: &["dnssec-policy"],
        block: None,
        built_in: &["default", "insecure", "none"],
        any_case: false,
        help: "define it with `dnssec-policy`, or write `default`, `insecure` or `none`",
    },
    Definition {
        kind: Kind::Channel,
        what: "channel",
        statements: &["channel"],
        block: Some("logging"),
        built_in: &["default_syslog", "default_debug", "default_stderr", "null"],
        any_case: true,
        help: "define it with `channel`",
    },
];

/// Looks up the definition of each name that is used.
pub(super) fn check(conf: &Conf, references: &[Reference], findings: &mut Findings) {
    let definitions: Vec<_> = DEFINITIONS.iter().map(|of| Definitions::of(conf, of)).collect();
    // The names in a named list wait until that list is used.
    let mut waiting: FxHashMap<u32, Vec<Reference>> = FxHashMap::default();
    let is_list = |at: u32| ["acl", "primaries", "masters", "parental-agents"].contains(&Statement { conf, at }.name());
    let mut used = Vec::new();
    for reference in references {
        if is_list(reference.within) {
            waiting.entry(reference.within).or_default().push(*reference);
        } else {
            used.push(*reference);
        }
    }
    let mut graph = Graph::default();
    let mut next = 0;
    while let Some(&reference) = used.get(next) {
        next += 1;
        let Some(definitions) = definitions.iter().find(|definitions| definitions.of.kind == reference.kind) else {
            continue;
        };
        let name = Part { conf, at: reference.part };
        match definitions.find(conf, name, reference.within) {
            Found::BuiltIn => {}
            Found::At(definition) => {
                used.extend(waiting.remove(&definition).unwrap_or_default());
                if reference.kind == Kind::Acl && is_list(reference.within) {
                    graph.edge(reference, definition);
                }
            }
            Found::Nowhere => {
                let error = name.error(format!("there is no {} `{}`", definitions.of.what, name.shown()));
                findings.push(error.help(definitions.of.help));
            }
        }
    }
    if let Some(reference) = graph.cycle() {
        let name = Part { conf, at: reference.part };
        let error = name.error(format!("the acl `{}` contains itself", name.shown()));
        findings.push(error.help("remove it from the lists that it names"));
    }
}

/// The definitions of one kind.
struct Definitions {
    of: &'static Definition,
    /// The nodes of the defining statements, by name.
    named: FxHashMap<Vec<u8>, u32>,
}

enum Found {
    BuiltIn,
    At(u32),
    Nowhere,
}

impl Definitions {
    fn of(conf: &Conf, of: &'static Definition) -> Definitions {
        let blocks = of.block.map(|block| conf.statements().all(block).map(Statement::block).collect());
        let blocks: Vec<_> = blocks.unwrap_or_else(|| vec![conf.statements()]);
        let statements = blocks.into_iter().flatten().filter(|found| of.statements.contains(&found.name()));
        let named = statements.filter_map(|found| Some((of.fold(&found.argument()?.text()), found.at))).collect();
        Definitions { of, named }
    }

    fn find(&self, conf: &Conf, name: Part<'_>, within: u32) -> Found {
        let name = self.of.fold(&name.text());
        if self.of.built_in.iter().any(|known| known.as_bytes() == name) {
            return Found::BuiltIn;
        }
        if let Some(&at) = self.named.get(&name) {
            return Found::At(at);
        }
        if self.of.kind != Kind::Key {
            return Found::Nowhere;
        }
        // A view may also have keys of its own.
        let block = Statement { conf, at: within }.block();
        let mut own = block.filter(|found| self.of.statements.contains(&found.name()));
        let same = |found: &Statement<'_>| found.argument().is_some_and(|own| self.of.fold(&own.text()) == name);
        own.find(same).map_or(Found::Nowhere, |found| Found::At(found.at))
    }
}

impl Definition {
    fn fold(&self, name: &[u8]) -> Vec<u8> {
        // The names of keys are domain names.
        let name = if self.kind == Kind::Key { name.strip_suffix(b".").unwrap_or(name) } else { name };
        if self.any_case { name.to_ascii_lowercase() } else { name.to_vec() }
    }
}

/// Which lists refer to which other lists.
#[derive(Default)]
struct Graph {
    edges: Vec<(Reference, u32)>,
}

impl Graph {
    fn edge(&mut self, from: Reference, to: u32) {
        self.edges.push((from, to));
    }

    /// Returns a name by which a list contains itself, or by which it is contained in a list that does.
    fn cycle(self) -> Option<Reference> {
        let mut open: FxHashMap<u32, usize> = FxHashMap::default();
        let mut named_by: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for (reference, to) in &self.edges {
            *open.entry(reference.within).or_default() += 1;
            named_by.entry(*to).or_default().push(reference.within);
        }
        // Lists that refer to no other, then lists that refer only to those, and so on, are not part of a cycle.
        let mut done: Vec<u32> = named_by.keys().copied().filter(|list| !open.contains_key(list)).collect();
        while let Some(list) = done.pop() {
            for from in named_by.remove(&list).unwrap_or_default() {
                let left = open.entry(from).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 {
                    open.remove(&from);
                    done.push(from);
                }
            }
        }
        self.edges.iter().find(|(reference, _)| open.contains_key(&reference.within)).map(|&(reference, _)| reference)
    }
}
