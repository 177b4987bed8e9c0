//! What has to hold between statements, beyond the form of each.

use super::{Conf, Part, Statement, Statements, grammar::GRAMMAR, ranges, tree::MAX_DIAGNOSTICS, values::number};
use crate::{Class, Name, Rtype, diagnostics::Diagnostic};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use rustc_hash::FxHashMap;
use std::hash::Hash;

/// What log lines are about.
pub const LOG_CATEGORIES: &[&str] = &[
    "client",
    "cname",
    "config",
    "database",
    "default",
    "delegation-only",
    "dispatch",
    "dnssec",
    "dnstap",
    "edns-disabled",
    "general",
    "lame-servers",
    "network",
    "notify",
    "nsid",
    "queries",
    "query-errors",
    "rate-limit",
    "resolver",
    "rpz",
    "rpz-passthru",
    "security",
    "serve-stale",
    "spill",
    "sslkeylog",
    "trust-anchor-telemetry",
    "unmatched",
    "update",
    "update-security",
    "xfer-in",
    "xfer-out",
    "zoneload",
];

/// Checks a configuration whose every statement has its form.
pub(super) fn check(conf: &Conf, diagnostics: &mut Vec<Diagnostic>) {
    let mut rules = Rules { diagnostics };
    rules.unique(conf.statements().all("acl"), "the acl", |name| name);
    rules.unique(conf.statements().all("key"), "the key", |name| name);
    rules.unique(conf.statements().all("view"), "the view", |name| name);
    for kind in ["dnssec-policy", "http", "parental-agents", "tls"] {
        rules.unique(conf.statements().all(kind), &format!("the {kind}"), |name| name);
    }
    let lists = conf.statements().filter(|statement| ["primaries", "masters"].contains(&statement.name()));
    rules.unique(lists, "the list of primaries", |name| name);
    ranges::check(conf.statements(), &mut |error| rules.report(error));
    let keys: Vec<_> = conf.statements().all("key").filter_map(Statement::argument).map(Part::text).collect();
    let known = |name: Part<'_>| keys.iter().any(|key| key.eq_ignore_ascii_case(&name.text()));
    let views = conf.statements().find("view").is_some();
    for statement in conf.statements() {
        match statement.name() {
            "key" => rules.key(statement),
            "options" => {
                rules.settings(statement);
                rules.floods(statement);
            }
            "logging" => rules.logging(statement),
            "controls" => {
                rules.keys_known(statement.block().all("inet"), known);
                rules.keys_known(statement.block().all("unix"), known);
            }
            "tls" => rules.tls(statement),
            "server" => rules.keys_known(statement.block().all("keys"), known),
            "zone" if views => {
                rules.report(statement.error("a zone outside of all views").help("put it into a `view`"));
            }
            "view" => {
                rules.settings(statement);
                rules.floods(statement);
                rules.zones(&statement.block());
            }
            _ => {}
        }
    }
    if !views {
        rules.zones(&conf.statements());
    }
}

struct Rules<'d> {
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl Rules<'_> {
    /// No two of these statements have the same name.
    fn unique<'c, K: Eq + Hash>(
        &mut self,
        statements: impl Iterator<Item = Statement<'c>>,
        what: &str,
        key: impl Fn(Vec<u8>) -> K,
    ) {
        let mut seen = FxHashMap::default();
        for statement in statements {
            let Some(name) = statement.argument() else { continue };
            if let Some(first) = seen.insert(key(name.text().into_owned()), name) {
                self.again(what, name, first);
            }
        }
    }

    fn again(&mut self, what: &str, name: Part<'_>, first: Part<'_>) {
        let error = name.error(format!("{what} `{}` is there already", name.shown())).label("again here");
        self.report(error.related(first.place(), "first here").help("remove one of them"));
    }

    fn key(&mut self, key: Statement<'_>) {
        const ALGORITHMS: [&str; 6] = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];
        let (algorithm, secret) = (key.block().find("algorithm"), key.block().find("secret"));
        let (Some(algorithm), Some(secret)) = (algorithm, secret) else {
            return self.report(key.error("a key needs both `algorithm` and `secret`"));
        };
        if let Some(part) = algorithm.argument() {
            let text = part.shown().to_ascii_lowercase();
            let name = text.strip_prefix("hmac-").unwrap_or(&text);
            // `hmac-sha256-128` is truncated to 128 bits.
            let (name, bits) = name.split_once('-').map_or((name, None), |(name, bits)| (name, Some(bits)));
            let name = name.strip_suffix(".sig").map_or(name, |_| "md5");
            let truncated = bits.is_none_or(|bits| bits.parse::<u16>().is_ok_and(|bits| bits % 8 == 0 && bits >= 80));
            if !ALGORITHMS.contains(&name) || !(text.starts_with("hmac-")) || !truncated {
                let error = part.error(format!("unknown algorithm `{}`", part.shown()));
                self.report(error.help("write `hmac-sha256`, or another of the `hmac-sha…`"));
            }
        }
        if let Some(part) = secret.argument() {
            let mut text = part.text().into_owned();
            text.retain(|octet| !octet.is_ascii_whitespace());
            if BASE64.decode(&text).is_err() {
                // What was written is not shown: it is nearly a secret.
                self.report(secret.error("the secret is no base64").help("`tsig-keygen` makes a key"));
            }
        }
    }

    fn tls(&mut self, tls: Statement<'_>) {
        let has = |name| tls.block().find(name).is_some();
        if has("key-file") != has("cert-file") {
            self.report(tls.error("it has one of `key-file` and `cert-file`").help("write both, or none"));
        }
    }

    fn keys_known<'c>(&mut self, statements: impl Iterator<Item = Statement<'c>>, known: impl Fn(Part<'c>) -> bool) {
        for statement in statements {
            let names = match statement.name() {
                "keys" => statement.argument(),
                _ => statement.arguments().behind("keys"),
            };
            let Some(names) = names else { continue };
            let unknown = |name: &Part<'c>| !known(*name);
            let one = names.block().is_none().then_some(names);
            let all = names.block().into_iter().flatten().filter_map(Statement::argument);
            for name in one.into_iter().chain(all).filter(unknown) {
                let error = name.error(format!("there is no key `{}`", name.shown()));
                self.report(error.help("define it: `key \"name\" { algorithm hmac-sha256; secret \"…\"; };`"));
            }
        }
    }

    /// The statements of `options` and `view` that name things of DNS.
    fn settings(&mut self, block: Statement<'_>) {
        for rule in block.block().find("rrset-order").into_iter().flat_map(Statement::block) {
            let parts = rule.arguments();
            let wrong =
                |keyword, reads: &dyn Fn(&str) -> bool| parts.behind(keyword).filter(|part| !reads(&part.shown()));
            let class = wrong("class", &|text| text.parse::<Class>().is_ok());
            let rtype = wrong("type", &|text| text.parse::<Rtype>().is_ok());
            let name = wrong("name", &|text| Name::from_ascii(text).is_ok());
            for (part, what) in [(class, "class"), (rtype, "record type"), (name, "domain name")] {
                if let Some(part) = part {
                    self.report(part.error(format!("`{}` is no {what}", part.shown())));
                }
            }
        }
    }

    /// The statements of `options` and `view` that tell clients from floods.
    fn floods(&mut self, block: Statement<'_>) {
        for secret in block.block().all("cookie-secret") {
            let octets = secret.argument().and_then(|part| HEXLOWER_PERMISSIVE.decode(&part.text()).ok());
            if octets.is_none_or(|octets| octets.len() != 16) {
                // What was written is not shown: it is nearly a secret.
                let error = secret.error("the secret is not 128 bits in hexadecimal");
                self.report(error.help("`openssl rand -hex 16` makes one"));
            }
        }
        let Some(limits) = block.block().find("rate-limit") else { return };
        let size = |name| limits.block().find(name)?.argument().and_then(|part| Some((part, number(&part.text())?)));
        let least = size("min-table-size").map_or(500, |(_, least)| least.max(1));
        if let Some((part, _)) = size("max-table-size").filter(|(_, most)| *most < least) {
            let error = part.error(format!("`max-table-size` is smaller than `min-table-size`, which is {least}"));
            self.report(error.help("make it larger, or the other smaller"));
        }
    }

    fn logging(&mut self, logging: Statement<'_>) {
        const WRITES_TO: [&str; 4] = ["file", "syslog", "null", "stderr"];
        const BUILT_IN: [&str; 4] = ["default_syslog", "default_debug", "default_stderr", "null"];
        for channel in logging.block().all("channel") {
            if channel.block().filter(|statement| WRITES_TO.contains(&statement.name())).count() != 1 {
                let error = channel.error("a channel has exactly one of `file`, `syslog`, `null` and `stderr`");
                self.report(error);
            }
        }
        let channels: Vec<_> =
            logging.block().all("channel").filter_map(Statement::argument).map(Part::shown).collect();
        for name in logging.block().all("category").filter_map(Statement::argument) {
            let text = name.shown();
            if !LOG_CATEGORIES.iter().any(|known| known.eq_ignore_ascii_case(&text)) {
                let error = name.error(format!("there is no category `{text}`"));
                self.report(error.help(format!("the categories are {}", LOG_CATEGORIES.join(", "))));
            }
        }
        for name in logging.block().all("category").flat_map(Statement::block).filter_map(Statement::argument) {
            let text = name.shown();
            if !BUILT_IN.contains(&&*text) && !channels.contains(&text) {
                self.report(name.error(format!("there is no channel `{text}`")).help("define it with `channel`"));
            }
        }
    }

    fn zones(&mut self, statements: &Statements<'_>) {
        let zones = statements.all("zone").count();
        let mut seen = FxHashMap::with_capacity_and_hasher(zones, rustc_hash::FxBuildHasher);
        for zone in statements.all("zone") {
            if self.diagnostics.len() >= MAX_DIAGNOSTICS {
                return;
            }
            let mut arguments = zone.arguments();
            let Some(name) = arguments.next() else { continue };
            match Name::from_ascii(name.text()) {
                Ok(origin) => {
                    if let Some(first) = seen.insert(origin, name) {
                        self.again("the zone", name, first);
                    }
                }
                Err(error) => {
                    self.report(name.error(format!("`{}` is no domain name: {error}", name.shown())));
                }
            }
            if let Some(class) = arguments.next().filter(|part| part.block().is_none()) {
                match class.shown().parse::<Class>() {
                    Ok(Class::IN) => {}
                    Ok(_) => self.report(class.error("the class of a zone has to be its view's, which is IN")),
                    Err(_) => self.report(class.error(format!("`{}` is no class", class.shown()))),
                }
            }
            self.zone(zone);
        }
    }

    fn zone(&mut self, zone: Statement<'_>) {
        let Some(written) = zone.block().find("type").and_then(Statement::argument) else {
            match zone.block().find("in-view") {
                Some(_) => {}
                None => self.report(zone.error("the zone has no `type`").help("add `type primary;`")),
            }
            return;
        };
        let kind = match &*written.text() {
            text if text.eq_ignore_ascii_case(b"master") => GRAMMAR.place(b"primary"),
            text if text.eq_ignore_ascii_case(b"slave") => GRAMMAR.place(b"secondary"),
            text => GRAMMAR.place(text),
        };
        // The grammar's types of zone are places of its table.
        let Some(place) = kind else { return };
        let kind = GRAMMAR.place_name(place);
        for statement in zone.block() {
            if !statement.may_stand_in(place) {
                let error = statement.error(format!("`{}` has no meaning in a {kind} zone", statement.name()));
                self.report(error.related(written.place(), "its type"));
            }
        }
        let missing: &[&str] = match kind {
            "primary" => &["file", "database", "dlz"],
            "hint" => &["file"],
            "secondary" | "stub" => &["primaries", "masters"],
            _ => return,
        };
        if !zone.block().any(|statement| missing.contains(&statement.name())) {
            let error = zone.error(format!("a {kind} zone needs `{}`", missing[0]));
            self.report(error);
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}
