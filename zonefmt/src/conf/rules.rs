//! Rules that hold between statements, beyond the form of each.

use super::{
    Conf, Part, Statement, Statements, anchors, policies, ranges,
    references::{self, Reference},
    values::{self, number},
    zones::{self, class_of, forwards_nowhere},
};
use crate::{
    Class, Name, Rtype,
    diagnostics::{Diagnostic, Findings},
    rdata,
};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use rustc_hash::FxHashMap;
use std::hash::Hash;

/// The categories of log lines.
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

/// Definitions whose names must differ from each other and from the built-in ones.
const UNIQUE: &[Unique] = &[
    Unique { statements: &["acl"], what: "acl", built_in: &["any", "none", "localhost", "localnets"], any_case: true },
    Unique { statements: &["dnssec-policy"], what: "dnssec-policy", built_in: POLICIES, any_case: false },
    Unique { statements: &["http"], what: "http", built_in: &["default"], any_case: true },
    Unique { statements: &["parental-agents"], what: "parental-agents", built_in: &[], any_case: true },
    Unique { statements: &["primaries", "masters"], what: "list of primaries", built_in: &[], any_case: true },
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
    let mut rules = Rules { findings };
    for unique in UNIQUE {
        rules.definitions(conf, unique);
    }
    rules.unique(conf.statements().all("view"), "the view", |view| {
        (view.argument().map(|name| name.text().into_owned()), class_of(view))
    });
    rules.unique(conf.statements().all("server"), "the server", |server| server.arguments().prefix());
    rules.servers(&conf.statements());
    rules.keys(conf);
    rules.dnstap(conf);
    if let Some(references) = references {
        references::check(conf, references, rules.findings);
    }
    ranges::check(conf.statements(), rules.findings);
    let views = conf.statements().find("view").is_some();
    for statement in conf.statements() {
        match statement.name() {
            "key" => rules.key(statement),
            "options" => rules.settings(statement),
            "logging" => rules.logging(statement),
            "tls" => rules.tls(statement),
            "http" => rules.http(statement),
            "zone" if views => {
                rules.findings.push(statement.error("a zone outside of all views").help("put it into a `view`"));
            }
            "view" => {
                let class = statement.arguments().nth(1).filter(|part| part.block().is_none());
                if let Some(part) = class.filter(|part| part.shown().parse::<Class>().is_err()) {
                    rules.findings.push(part.error(format!("`{}` is no class", part.shown())));
                }
                let built_in = match class_of(statement) {
                    Class::IN => Some("_default"),
                    Class::CH => Some("_bind"),
                    _ => None,
                };
                if let Some(name) = statement.argument().filter(|name| Some(&*name.shown()) == built_in) {
                    rules.findings.push(
                        name.error(format!("the view `{}` is built in", name.shown())).help("give it another name"),
                    );
                }
                rules.settings(statement);
                rules.servers(&statement.block());
                rules.unique(statement.block().all("server"), "the server", |server| server.arguments().prefix());
                statement.block().all("key").for_each(|key| rules.key(key));
            }
            _ => {}
        }
    }
    anchors::check(conf, rules.findings);
    for policy in conf.statements().all("dnssec-policy") {
        policies::policy(policy, rules.findings);
    }
    zones::check(conf, references.is_some(), rules.findings);
}

struct Rules<'f> {
    findings: &'f mut Findings,
}

impl Rules<'_> {
    /// Reports statements that have the same key as an earlier one.
    fn unique<'c, K: Eq + Hash>(
        &mut self,
        statements: impl Iterator<Item = Statement<'c>>,
        what: &str,
        key: impl Fn(Statement<'c>) -> K,
    ) {
        let mut seen = FxHashMap::default();
        for statement in statements {
            let Some(name) = statement.argument() else { continue };
            if let Some(first) = seen.insert(key(statement), name) {
                self.findings.push(again(what, name, first));
            }
        }
    }

    fn definitions(&mut self, conf: &Conf, unique: &Unique) {
        let what = format!("the {}", unique.what);
        let fold = |name: Part<'_>| if unique.any_case { name.text().to_ascii_lowercase() } else { name.text().into() };
        let all = || conf.statements().filter(|found| unique.statements.contains(&found.name()));
        self.unique(all(), &what, |found| found.argument().map(fold));
        for name in all().filter_map(Statement::argument) {
            if unique.built_in.iter().any(|known| known.as_bytes() == fold(name)) {
                let error = name.error(format!("{what} `{}` is built in", name.shown()));
                self.findings.push(error.help("give it another name"));
            }
        }
    }

    /// Checks that keys are defined once. Their names are domain names, and keys outside of views are visible in every
    /// view.
    fn keys(&mut self, conf: &Conf) {
        let origin = |key: Statement<'_>| key.argument().and_then(|name| Name::from_ascii(name.text()).ok());
        let outside = || conf.statements().all("key");
        let blocks: Vec<_> = conf.statements().all("view").map(Statement::block).collect();
        self.unique(outside(), "the key", origin);
        for block in &blocks {
            let inside: Vec<_> = block.all("key").collect();
            if !inside.is_empty() {
                self.unique(outside().chain(inside), "the key", origin);
            }
        }
    }

    fn key(&mut self, key: Statement<'_>) {
        if let Some(name) = key.argument()
            && let Err(error) = Name::from_ascii(name.text())
        {
            self.findings.push(name.error(format!("`{}` is no name of a key: {error}", name.shown())));
        }
        let (algorithm, secret) = (key.block().find("algorithm"), key.block().find("secret"));
        let (Some(algorithm), Some(secret)) = (algorithm, secret) else {
            return self.findings.push(key.error("a key needs both `algorithm` and `secret`"));
        };
        if let Some(part) = algorithm.argument()
            && !is_algorithm(&part.shown().to_ascii_lowercase())
        {
            let error = part.error(format!("unknown algorithm `{}`", part.shown()));
            self.findings.push(error.help("write `hmac-sha256`, or another of the `hmac-sha…`"));
        }
        if let Some(part) = secret.argument() {
            let mut text = part.text().into_owned();
            text.retain(|octet| !octet.is_ascii_whitespace());
            if BASE64.decode(&text).is_err() {
                // The secret is not shown, because it may be almost right.
                self.findings.push(secret.error("the secret is no base64").help("`tsig-keygen` makes a key"));
            }
        }
    }

    /// Checks that a server of one address family has no source address of the other.
    fn servers(&mut self, block: &Statements<'_>) {
        for server in block.all("server") {
            let Some((address, _)) = server.arguments().prefix() else { continue };
            for source in server.block() {
                let name = source.name();
                let is_v6 = name.ends_with("-source-v6");
                if (is_v6 || name.ends_with("-source")) && is_v6 != address.is_ipv6() {
                    self.findings
                        .push(source.error(format!("`{name}` has no meaning for {address}")).help("remove it"));
                }
            }
        }
    }

    /// Checks that dnstap has an output if anything is recorded, and that only a file has sizes and versions.
    fn dnstap(&mut self, conf: &Conf) {
        let options = conf.statements().find("options").map(Statement::block);
        let output = options.and_then(|options| options.find("dnstap-output"));
        let blocks = conf.statements().filter(|block| ["options", "view"].contains(&block.name()));
        let unset = blocks.filter_map(|block| block.block().find("dnstap")).find(|_| output.is_none());
        if let Some(dnstap) = unset {
            let error = dnstap.error("`dnstap` without `dnstap-output`");
            self.findings.push(error.help("add `dnstap-output unix \"…\";` to `options`"));
        }
        let Some(output) = output.filter(|output| output.argument().is_some_and(|kind| kind.is("unix"))) else {
            return;
        };
        if let Some(part) = output.arguments().nth(2) {
            self.findings.push(part.error("a socket has no size and no versions").help("write them with `file` only"));
        }
    }

    fn tls(&mut self, tls: Statement<'_>) {
        let has = |name| tls.block().find(name).is_some();
        if has("key-file") != has("cert-file") {
            self.findings.push(tls.error("it has one of `key-file` and `cert-file`").help("write both, or none"));
        }
        let Some(protocols) = tls.block().find("protocols") else { return };
        if protocols.block().next().is_none() {
            self.findings.push(protocols.error("no version of TLS is allowed").help(VERSIONS));
        }
        self.unique(protocols.block(), "the protocol", |version| version.argument().map(Part::shown));
        for version in protocols.block().filter_map(Statement::argument) {
            if !["TLSv1.2", "TLSv1.3"].iter().any(|known| version.is(known)) {
                let error = version.error(format!("there is no protocol `{}`", version.shown()));
                self.findings.push(error.help(VERSIONS));
            }
        }
    }

    /// Checks that the paths of endpoints begin with a slash, and have neither query nor fragment (RFC 3986 3.3).
    fn http(&mut self, http: Statement<'_>) {
        let in_path = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(octet);
        for path in
            http.block().find("endpoints").into_iter().flat_map(Statement::block).filter_map(Statement::argument)
        {
            if !path.text().starts_with(b"/") || !path.text().iter().all(in_path) {
                let error = path.error(format!("`{}` is no path", path.shown()));
                self.findings.push(error.help("write one that begins with `/` and has no query, as \"/dns-query\""));
            }
        }
    }

    /// Checks the statements of `options` and `view`.
    fn settings(&mut self, block: Statement<'_>) {
        self.floods(block);
        let auto = block.block().find("auto-dnssec");
        if let Some(auto) = auto.filter(|auto| auto.argument().is_some_and(|value| !value.is("off"))) {
            self.findings
                .push(auto.error("`auto-dnssec` for all zones").help("write it in the zones that it is meant for"));
        }
        self.names_and_numbers(block);
        if let Some(error) = forwards_nowhere(block) {
            self.findings.push(error);
        }
        for listener in
            ["listen-on", "listen-on-v6"].iter().flat_map(|name| block.block().all(name).collect::<Vec<_>>())
        {
            if listener.arguments().behind("http").is_some() && listener.arguments().behind("tls").is_none() {
                let error = listener.error("`http` without `tls`");
                self.findings.push(error.help("add `tls` and a name, `tls ephemeral` or `tls none`"));
            }
        }
        for dns64 in block.block().all("dns64") {
            self.dns64(dns64);
        }
        let former = |name: &str| match name {
            "master" => "primary".to_owned(),
            "slave" => "secondary".to_owned(),
            name => name.to_ascii_lowercase(),
        };
        let kinds = block.block().all("check-names").filter_map(Statement::argument);
        let mut seen: Vec<Part<'_>> = Vec::new();
        for kind in kinds {
            let other = seen.iter().find(|other| {
                former(&other.shown()) == former(&kind.shown()) && !other.shown().eq_ignore_ascii_case(&kind.shown())
            });
            if let Some(other) = other {
                self.findings.push(again("`check-names` for", kind, *other));
            }
            seen.push(kind);
        }
        for rule in block.block().find("rrset-order").into_iter().flat_map(Statement::block) {
            let parts = rule.arguments();
            let wrong =
                |keyword, reads: &dyn Fn(&str) -> bool| parts.behind(keyword).filter(|part| !reads(&part.shown()));
            let class = wrong("class", &|text| text.parse::<Class>().is_ok());
            let rtype = wrong("type", &|text| text.parse::<Rtype>().is_ok());
            let name = wrong("name", &|text| Name::from_ascii(text).is_ok());
            for (part, what) in [(class, "class"), (rtype, "record type"), (name, "domain name")] {
                if let Some(part) = part {
                    self.findings.push(part.error(format!("`{}` is no {what}", part.shown())));
                }
            }
        }
    }

    /// Checks that named algorithms and digests exist, and that ranges do not end before they start.
    fn names_and_numbers(&mut self, block: Statement<'_>) {
        type Reads = fn(&[u8]) -> Option<u8>;
        let lists: [(&str, Reads, &str); 2] = [
            ("disable-algorithms", rdata::algorithm, "algorithm"),
            ("disable-ds-digests", rdata::digest_type, "digest"),
        ];
        for (name, reads, what) in lists {
            for part in block.block().all(name).flat_map(Statement::block).filter_map(Statement::argument) {
                if reads(&part.text()).is_none() {
                    self.findings.push(part.error(format!("there is no {what} `{}`", part.shown())));
                }
            }
        }
        self.unique(block.block().all("dnssec-must-be-secure"), "`dnssec-must-be-secure` for", |domain| {
            domain.argument().and_then(|name| Name::from_ascii(name.text()).ok())
        });
        for ports in block.block().filter(|found| found.name().ends_with("-udp-ports")).flat_map(Statement::block) {
            let mut bounds = ports.arguments().filter_map(|part| number(&part.text()));
            if let (Some(low), Some(high)) = (bounds.next(), bounds.next())
                && low > high
            {
                self.findings
                    .push(ports.error(format!("the range ends at {high}, before it begins")).help("swap the two"));
            }
        }
    }

    /// Checks that the prefix has one of six lengths and zeros in bits 64 to 71, and that the suffix fills the rest
    /// (RFC 6052 2.2).
    fn dns64(&mut self, dns64: Statement<'_>) {
        let (Some(part), Some((address, length))) = (dns64.argument(), dns64.arguments().prefix()) else { return };
        let std::net::IpAddr::V6(address) = address else {
            return self.findings.push(part.error("the prefix of `dns64` is one of IPv6").help("write `64:ff9b::/96`"));
        };
        if ![32, 40, 48, 56, 64, 96].contains(&length) {
            let error = part.error("the prefix has a length that `dns64` has not");
            return self.findings.push(error.help("write one of 32, 40, 48, 56, 64 and 96 bits"));
        }
        if address.octets()[8] != 0 {
            let error = part.error("bits 64 to 71 of the prefix are not zero");
            return self.findings.push(error.help("they are reserved (RFC 6052 2.2)"));
        }
        let suffix = dns64.block().find("suffix").and_then(Statement::argument);
        let Some((suffix, value)) = suffix.and_then(|part| Some((part, values::ipv6(&part.text())?))) else { return };
        // Octets that are taken: the prefix, the IPv4 address, and the reserved octet if it lies between or after them.
        let taken = usize::from(length / 8) + 4 + usize::from(length <= 64);
        if value.octets()[..taken].iter().any(|&octet| octet != 0) {
            let error = suffix.error(format!("the first {taken} octets of the suffix are not zero"));
            self.findings.push(error.help("they belong to the prefix and the IPv4 address"));
        }
    }

    /// Checks the statements of `options` and `view` that protect against floods.
    fn floods(&mut self, block: Statement<'_>) {
        for secret in block.block().all("cookie-secret") {
            let octets = secret.argument().and_then(|part| HEXLOWER_PERMISSIVE.decode(&part.text()).ok());
            if octets.is_none_or(|octets| octets.len() != 16) {
                // The secret is not shown, because it may be almost right.
                let error = secret.error("the secret is not 128 bits in hexadecimal");
                self.findings.push(error.help("`openssl rand -hex 16` makes one"));
            }
        }
        let Some(limits) = block.block().find("rate-limit") else { return };
        let size = |name| limits.block().find(name)?.argument().and_then(|part| Some((part, number(&part.text())?)));
        let least = size("min-table-size").map_or(500, |(_, least)| least.max(1));
        if let Some((part, _)) = size("max-table-size").filter(|(_, most)| *most < least) {
            let error = part.error(format!("`max-table-size` is smaller than `min-table-size`, which is {least}"));
            self.findings.push(error.help("make it larger, or the other smaller"));
        }
    }

    fn logging(&mut self, logging: Statement<'_>) {
        const WRITES_TO: [&str; 4] = ["file", "syslog", "null", "stderr"];
        for channel in logging.block().all("channel") {
            if channel.block().filter(|statement| WRITES_TO.contains(&statement.name())).count() != 1 {
                let error = channel.error("a channel has exactly one of `file`, `syslog`, `null` and `stderr`");
                self.findings.push(error);
            }
        }
        for name in logging.block().all("category").filter_map(Statement::argument) {
            let text = name.shown();
            if !LOG_CATEGORIES.iter().any(|known| known.eq_ignore_ascii_case(&text)) {
                let error = name.error(format!("there is no category `{text}`"));
                self.findings.push(error.help(format!("the categories are {}", LOG_CATEGORIES.join(", "))));
            }
        }
    }
}

const VERSIONS: &str = "write `TLSv1.2`, `TLSv1.3` or both";

/// The error for a second definition of the same thing.
pub(super) fn again(what: &str, name: Part<'_>, first: Part<'_>) -> Diagnostic {
    let error = name.error(format!("{what} `{}` is there already", name.shown())).label("again here");
    error.related(first.place(), "first here").help("remove one of them")
}

/// Whether a text is an algorithm such as `hmac-sha256`, or `hmac-sha256-128`, which is truncated to 128 bits (RFC 8945
/// 5.2.2.1).
fn is_algorithm(text: &str) -> bool {
    const DIGESTS: [(&str, u16); 6] =
        [("md5", 128), ("sha1", 160), ("sha224", 224), ("sha256", 256), ("sha384", 384), ("sha512", 512)];
    if matches!(text, "hmac-md5.sig-alg.reg.int" | "hmac-md5.sig-alg.reg.int.") {
        return true;
    }
    let Some(name) = text.strip_prefix("hmac-") else { return false };
    let (name, bits) = name.split_once('-').map_or((name, None), |(name, bits)| (name, Some(bits)));
    let Some((_, most)) = DIGESTS.iter().find(|(digest, _)| *digest == name) else { return false };
    bits.is_none_or(|bits| bits.parse::<u16>().is_ok_and(|bits| bits % 8 == 0 && bits <= *most))
}
