//! DNSSEC: checks of each `dnssec-policy`, and of zones that this server signs.

use crate::{
    conf::{Part, Statement, Statements, values},
    diagnostics::{Diagnostic, Findings},
    rdata,
};

/// Checks a policy: its keys, their lifetimes against the duration of a rollover, and the times of signatures against
/// each other.
pub(super) fn policy(policy: Statement<'_>, findings: &mut Findings) {
    let block = policy.block();
    let times = Times::of(&block);
    for (time, than) in [("signatures-validity", times.validity), ("signatures-validity-dnskey", times.validity_dnskey)]
    {
        if u64::from(times.refresh) * 10 >= u64::from(than) * 9 {
            let error = policy.error(format!("`signatures-refresh` is 90 % of `{time}` or more"));
            findings.push(
                error.help("signatures would run out before they are made anew: make one shorter or the other longer"),
            );
        }
        if times.jitter > than {
            let error = policy.error(format!("`signatures-jitter` is longer than `{time}`"));
            findings.push(error.help("make one shorter or the other longer"));
        }
    }
    let nsec3 = block.find("nsec3param");
    for (name, most) in [("iterations", 150), ("salt-length", 255)] {
        let number = nsec3.and_then(|nsec3| nsec3.arguments().behind(name));
        if let Some(part) = number.filter(|part| values::number(&part.text()).is_some_and(|number| number > most)) {
            findings.push(part.error(format!("`{name}` is out of range")).help(format!("write a number up to {most}")));
        }
    }
    let keys: Vec<_> = block.find("keys").into_iter().flat_map(Statement::block).filter_map(Key::of).collect();
    for key in &keys {
        match key.algorithm {
            None => findings.push(key.written.error(format!("there is no algorithm `{}`", key.written.shown()))),
            // Algorithms that are older than NSEC3 cannot be used with it (RFC 5155 2).
            Some(algorithm) if nsec3.is_some() && matches!(algorithm, 1 | 3 | 5) => {
                findings
                    .push(key.written.error("the algorithm does not go with `nsec3param`").help("write `ecdsa256`"));
            }
            Some(_) => {}
        }
        if let Some(error) = key.length().or_else(|| key.too_short_lived(&times)) {
            findings.push(error);
        }
        let both = |algorithm| {
            let same = || keys.iter().filter(|other| other.algorithm == algorithm);
            same().any(|key| key.signs_keys) && same().any(|key| key.signs_data)
        };
        if key.algorithm.is_some() && !both(key.algorithm) {
            let error = key.written.error("an algorithm needs keys for both, keys and data");
            findings.push(error.help("write a `csk`, or a `ksk` and a `zsk` of the same algorithm"));
        }
    }
}

/// The times of a policy in seconds, with BIND's defaults for those that are not given.
struct Times {
    refresh: u32,
    validity: u32,
    validity_dnskey: u32,
    jitter: u32,
    /// The duration of a rollover of keys that sign data, and of keys that sign keys. The keys must live longer.
    rollover_of_data: u64,
    rollover_of_keys: u64,
}

impl Times {
    fn of(policy: &Statements<'_>) -> Times {
        const HOUR: u32 = 3600;
        const DAY: u32 = 24 * HOUR;
        let time = |name, default| {
            let written = policy.find(name).and_then(Statement::argument);
            written.and_then(|part| values::duration(&part.text())).unwrap_or(default)
        };
        let (refresh, validity) = (time("signatures-refresh", 5 * DAY), time("signatures-validity", 14 * DAY));
        let propagation = u64::from(time("zone-propagation-delay", 300));
        let published = u64::from(time("dnskey-ttl", HOUR)) + u64::from(time("publish-safety", HOUR)) + propagation;
        let retire = u64::from(time("retire-safety", HOUR));
        let signed = u64::from(validity.saturating_sub(refresh)) + u64::from(time("max-zone-ttl", DAY)) + propagation;
        let parent = u64::from(time("parent-ds-ttl", DAY)) + u64::from(time("parent-propagation-delay", HOUR));
        Times {
            refresh,
            validity,
            validity_dnskey: time("signatures-validity-dnskey", 14 * DAY),
            jitter: time("signatures-jitter", DAY / 2),
            rollover_of_data: published.max(signed + retire),
            rollover_of_keys: published.max(parent + retire),
        }
    }
}

/// A line of `keys` in a policy.
struct Key<'c> {
    signs_keys: bool,
    signs_data: bool,
    /// The lifetime in seconds; `None` if it is unlimited.
    lifetime: Option<(Part<'c>, u32)>,
    written: Part<'c>,
    algorithm: Option<u8>,
    bits: Option<Part<'c>>,
}

impl<'c> Key<'c> {
    fn of(line: Statement<'c>) -> Option<Key<'c>> {
        let parts = line.arguments();
        let role = parts.clone().next()?;
        let written = parts.behind("algorithm")?;
        let lifetime = parts.behind("lifetime").and_then(|part| Some((part, values::duration(&part.text())?)));
        let name = written.text().to_ascii_lowercase();
        let algorithm = match &*name {
            b"ecdsa256" => Some(13),
            b"ecdsa384" => Some(14),
            name => rdata::algorithm(name),
        };
        Some(Key {
            signs_keys: !role.is("zsk"),
            signs_data: !role.is("ksk"),
            lifetime: lifetime.filter(|&(_, seconds)| seconds > 0),
            written,
            algorithm,
            bits: parts.skip_while(|part| !part.is("algorithm")).nth(2),
        })
    }

    /// RSA keys have 1024 to 4096 bits here; the keys of other algorithms have one length.
    fn length(&self) -> Option<Diagnostic> {
        let bits = self.bits.filter(|_| matches!(self.algorithm, Some(5 | 7 | 8 | 10)))?;
        let wrong = values::number(&bits.text()).is_none_or(|bits| !(1024..=4096).contains(&bits));
        wrong.then(|| bits.error("keys of RSA have 1024 to 4096 bits").help("write 2048"))
    }

    fn too_short_lived(&self, times: &Times) -> Option<Diagnostic> {
        let (part, lifetime) = self.lifetime?;
        let needed = [(self.signs_keys, times.rollover_of_keys), (self.signs_data, times.rollover_of_data)];
        let needed = needed.into_iter().filter(|(signs, _)| *signs).map(|(_, needed)| needed).max()?;
        let error = || part.error(format!("a rollover takes {needed} seconds, and the key lives no longer"));
        (u64::from(lifetime) <= needed).then(|| error().help("let it live longer, or make the times shorter"))
    }
}

/// Checks that a signed zone can be written by what signs it, and that only one thing signs it. `outer` are the blocks
/// that the zone inherits from, the nearest one first.
pub(super) fn zone(zone: Statement<'_>, kind: &str, outer: &[Statements<'_>], findings: &mut Findings) {
    /// Statements for which a policy decides, so that a zone with a policy must not have them.
    const DECIDED: [&str; 6] = [
        "dnskey-sig-validity",
        "dnssec-dnskey-kskonly",
        "dnssec-secure-to-insecure",
        "dnssec-update-mode",
        "sig-validity-interval",
        "update-check-ksk",
    ];
    if !matches!(kind, "primary" | "secondary") {
        return;
    }
    let block = zone.block();
    let find = |name| block.find(name).or_else(|| outer.iter().find_map(|outer| outer.find(name)));
    if let Some(part) = block.find("sig-signing-type").and_then(Statement::argument)
        && values::number(&part.text()).is_some_and(|rtype| !(65_280..=65_535).contains(&rtype))
    {
        findings.push(part.error("the type is none for private use").help("write a number from 65280 to 65535"));
    }
    let writable = is_on(block.find("inline-signing"))
        || kind == "primary" && (block.find("update-policy").is_some() || takes_updates(find("allow-update")));
    if let Some(policy) = find("dnssec-policy").filter(|policy| policy.argument().is_some_and(|name| !is_none(name)))
        && !writable
    {
        let error = zone.error("a `dnssec-policy` for a zone that nothing here can write to");
        findings.push(error.related(policy.place(), "the policy").help("add `inline-signing yes;`"));
    }
    if let Some(policy) = find("dnssec-policy") {
        for other in block.clone().filter(|found| DECIDED.contains(&found.name())) {
            let error = other.error(format!("`{}` beside `dnssec-policy`", other.name()));
            findings
                .push(error.related(policy.place(), "the policy").help("the policy decides it: remove one of them"));
        }
    }
    let Some(auto) = block.find("auto-dnssec").filter(|auto| auto.argument().is_some_and(|value| !value.is("off")))
    else {
        return;
    };
    if find("dnssec-policy").is_some_and(|policy| policy.argument().is_some_and(|name| !is_none(name))) {
        findings.push(auto.error("`auto-dnssec` beside `dnssec-policy`").help("remove it"));
    }
    if !writable {
        let error = auto.error("`auto-dnssec` for a zone that nothing here can write to");
        findings.push(error.help("add `inline-signing yes;`"));
    }
}

/// Whether a list of those who may update a zone allows anybody.
pub(super) fn takes_updates(allow_update: Option<Statement<'_>>) -> bool {
    let Some(list) = allow_update else { return false };
    list.block().find_map(Statement::argument).is_some_and(|first| !first.is("none"))
}

/// Whether the value of a statement is yes.
pub(super) fn is_on(statement: Option<Statement<'_>>) -> bool {
    let value = statement.and_then(Statement::argument);
    value.is_some_and(|value| values::yes_no(&value.text()) == Some(true))
}

fn is_none(name: Part<'_>) -> bool {
    &*name.text() == b"none"
}
