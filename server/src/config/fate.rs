//! What becomes of a statement of BIND's: obeyed, silently nothing, a warning, or an error. One table says it for every
//! statement.
//!
//! A statement without effect is an error where someone would rely on what it asks for, a warning where something is
//! missed and nothing is wrong, and silence where nothing is missed. A statement that asks for nothing (`no`, `none`,
//! `{ }`, …) is always fine.

use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use zonefmt::{conf::Statement, diagnostics::Diagnostic};

/// What becomes of a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Read elsewhere.
    Obeyed,
    /// Has nothing to act upon here.
    Silent,
    /// About recursion, which this server never does: one warning for all of them.
    Recursion,
    /// Missed, for the reason given.
    Warning(&'static str),
    /// The configuration cannot be used.
    Error(&'static str),
}

use Fate::{Error, Recursion, Silent, Warning};

const TRANSFERS: Fate = Warning("zone transfers are refused for now");
const SIGNING: Fate = Error("signed zones are not supported yet");
const UPDATES: Fate = Warning("dynamic updates are refused for now");
const FILTERING: Fate = Error("it changes what resolvers answer, which this server is not");

/// Names of statements and their fate, wherever they stand.
const FATES: &[(Fate, &str)] = &[
    (
        Fate::Obeyed,
        "allow-new-zones new-zones-directory answer-cookie cookie-algorithm cookie-secret nocookie-udp-size rate-limit require-server-cookie \
         options view zone in-view interface-interval journal match-clients match-destinations match-recursive-only logging acl controls dnstap dnstap-identity dnstap-output dnstap-version \
         dump-file key \
         allow-query allow-query-on blackhole check-integrity check-names directory \
         edns-udp-size file hostname listen-on listen-on-v6 masterfile-format max-query-restarts max-records \
         max-records-per-type max-types-per-name max-udp-size minimal-any minimal-responses lock-file pid-file port \
         querylog querylog-sample rrset-order server-id session-keyalg session-keyfile session-keyname statistics-channels statistics-file \
         tcp-advertised-timeout tcp-clients tcp-clients-per-address \
         tcp-idle-timeout tcp-initial-timeout tcp-keepalive-timeout tcp-listen-queue type version zone-statistics",
    ),
    (
        Silent,
        "primaries masters parental-agents tls http \
         auth-nxdomain automatic-interface-scan bindkeys-file check-dup-records check-mx \
         check-mx-cname check-sibling check-spf check-srv-cname check-wildcard coresize \
         datasize files flush-zones-on-shutdown fstrm-set-buffer-hint fstrm-set-flush-timeout \
         fstrm-set-input-queue-size fstrm-set-output-notify-threshold fstrm-set-output-queue-model \
         fstrm-set-output-queue-size fstrm-set-reopen-interval geoip-directory glue-cache heartbeat-interval \
         http-listener-clients http-port http-streams-per-connection https-port \
         keep-response-order key-directory lmdb-mapsize managed-keys-directory match-mapped-addresses \
         max-journal-size max-rsa-exponent-size memstatistics memstatistics-file \
         nsec3-test-zone recursing-file reserved-sockets reuseport \
         secroots-file stacksize \
         tcp-receive-buffer tcp-send-buffer tkey-dhkey tkey-domain tkey-gssapi-credential tkey-gssapi-keytab tls-port \
         transfer-message-size udp-receive-buffer udp-send-buffer update-quota zero-no-soa-ttl \
         masterfile-style dnssec-dnskey-kskonly dnssec-loadkeys-interval dnssec-secure-to-insecure dnssec-update-mode \
         dnskey-sig-validity sig-signing-nodes sig-signing-signatures sig-signing-type sig-validity-interval \
         update-check-ksk serial-update-method disable-algorithms disable-ds-digests random-device dscp \
         suppress-initial-notify",
    ),
    (
        Recursion,
        "allow-query-cache allow-query-cache-on allow-recursion allow-recursion-on attach-cache clients-per-query \
         delegation-only deny-answer-addresses deny-answer-aliases disable-empty-zone dns64-contact dns64-server \
         dnssec-accept-expired dnssec-must-be-secure dnssec-validation dual-stack-servers empty-contact empty-server \
         empty-zones-enable fetch-quota-params fetches-per-server fetches-per-zone forward forwarders ipv4only-contact \
         ipv4only-enable ipv4only-server lame-ttl managed-keys max-cache-size max-cache-ttl max-clients-per-query \
         max-ncache-ttl max-query-count max-recursion-depth max-recursion-queries max-stale-ttl \
         min-cache-ttl min-ncache-ttl nta-lifetime nta-recheck nxdomain-redirect preferred-glue prefetch \
         qname-minimization query-source query-source-v6 recursion recursive-clients request-nsid \
         resolver-nonbackoff-tries resolver-query-timeout resolver-retry-interval root-delegation-only \
         root-key-sentinel send-cookie server-addresses server-names servfail-ttl stale-answer-client-timeout stale-answer-enable stale-answer-ttl \
         stale-cache-enable stale-refresh-time synth-from-dnssec trust-anchor-telemetry trust-anchors trusted-keys \
         use-v4-udp-ports use-v6-udp-ports avoid-v4-udp-ports avoid-v6-udp-ports v6-bias validate-except \
         zero-no-soa-ttl-cache",
    ),
    (
        TRANSFERS,
        "allow-notify allow-transfer also-notify alt-transfer-source alt-transfer-source-v6 dialup max-ixfr-ratio \
         max-refresh-time max-retry-time max-transfer-idle-in max-transfer-idle-out max-transfer-time-in \
         max-transfer-time-out min-refresh-time min-retry-time multi-master notify notify-delay notify-rate \
         notify-source notify-source-v6 notify-to-soa parental-source parental-source-v6 provide-ixfr request-expire \
         request-ixfr serial-query-rate startup-notify-rate transfer-format transfer-source transfer-source-v6 \
         transfers-in transfers-out transfers-per-ns try-tcp-refresh use-alt-transfer-source ixfr-from-differences \
         server",
    ),
    (Warning("addresses are given in the order of `rrset-order`"), "sortlist"),
    (Warning("names are compressed in any case"), "message-compression"),
    (Warning("TTLs are served as they are"), "max-zone-ttl"),
    (Warning("names are compressed with their case kept in any case"), "no-case-compress"),
    (Warning("responses are not padded yet"), "response-padding"),
    (SIGNING, "auto-dnssec dnssec-policy inline-signing"),
    (UPDATES, "allow-update allow-update-forwarding update-policy"),
    (FILTERING, "dns64 response-policy"),
    (Error("it is not supported yet"), "catalog-zones"),
    (Error("zones come from zone files only"), "database dlz dyndb"),
    (Error("there are no plugins"), "plugin"),
];

/// The fate of a statement, whatever it says.
pub(super) fn of(name: &str) -> Fate {
    let listed = |(_, names): &&(Fate, &str)| names.split_ascii_whitespace().any(|listed| listed == name);
    FATES.iter().find(listed).map_or(Error("it is not supported"), |&(fate, _)| fate)
}

/// Reports on the statements that are not obeyed.
#[derive(Default)]
pub(super) struct Judge<'c> {
    recursion: Vec<Statement<'c>>,
    findings: Vec<Diagnostic>,
    /// The warning about each statement, by its place among the findings, and how often it would be repeated.
    warned: FxHashMap<&'static str, (usize, usize)>,
    /// The fates that were looked up already: a hundred thousand zones use the same few statements.
    known: FxHashMap<&'static str, Fate>,
}

impl<'c> Judge<'c> {
    /// Takes note of a statement.
    pub(super) fn statement(&mut self, statement: Statement<'c>) {
        let name = statement.name();
        let fate = *self.known.entry(name).or_insert_with(|| of(name));
        match fate {
            Fate::Obeyed | Silent => {}
            _ if asks_for_nothing(statement) => {}
            Recursion => self.recursion.push(statement),
            Warning(why) => match self.warned.entry(name) {
                Entry::Occupied(mut warned) => warned.get_mut().1 += 1,
                Entry::Vacant(new) => {
                    new.insert((self.findings.len(), 0));
                    self.findings.push(statement.warning(format!("`{name}` has no effect: {why}")));
                }
            },
            Error(why) => {
                let error = statement.error(format!("`{name}` cannot be obeyed: {why}"));
                self.findings.push(error.help("remove it"));
            }
        }
    }

    /// All findings; one warning is enough for a statement that stands in every zone, and for all about recursion.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for &(index, more) in self.warned.values().filter(|(_, more)| *more > 0) {
            let places = if more == 1 { "place" } else { "places" };
            let message = &mut self.findings[index].message;
            *message = format!("{message}; nor has it in {more} more {places}");
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
    use std::collections::BTreeSet;
    use zonefmt::conf::statements_of;

    /// The table of `docs/named.conf.md`.
    fn table() -> String {
        let mut lines = String::new();
        for (fate, names) in FATES {
            let (what, why) = match fate {
                Fate::Obeyed => ("obeyed", ""),
                Silent => ("no effect", "nothing is missed without it"),
                Recursion => ("one warning for all of them", "this server never does recursion"),
                Warning(why) => ("warning", *why),
                Error(why) => ("error", *why),
            };
            let mut names: Vec<_> = names.split_ascii_whitespace().collect();
            names.sort_unstable();
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            lines += &["| ", what, " | ", why, " | ", &names.join(" "), " |\n"].concat();
        }
        lines
    }

    /// `BLESS=1 cargo test -p bindy-server fate` writes it anew.
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

    #[test]
    fn every_statement_has_one_fate() {
        let places = ["top", "options", "view", "zone"];
        let known: BTreeSet<_> = places.into_iter().flat_map(statements_of).collect();
        let listed: Vec<_> = FATES.iter().flat_map(|(_, names)| names.split_ascii_whitespace()).collect();
        let distinct: BTreeSet<_> = listed.iter().copied().collect();
        assert_eq!(listed.len(), distinct.len(), "a statement is listed twice");
        let strangers: Vec<_> = distinct.difference(&known).collect();
        assert!(strangers.is_empty(), "no statements of BIND's: {strangers:?}");
        let missing: Vec<_> = known.difference(&distinct).collect();
        assert!(missing.is_empty(), "without a fate: {missing:?}");
    }
}
