//! Rules that can be checked only once the zone is complete.

use super::{CDNSKEY, CDS, Facts, Findings, Kept, SPF, Zone, names};
use crate::{
    Class, NameRef, Rtype,
    diagnostics::Severity,
    zone::{Location, Options, Remark, Rule, TargetProblem, deletes_keys, target},
};

pub(super) fn check(zone: &mut Zone, options: &Options<'_>) -> Findings {
    let mut findings = Findings::new(options);
    apex(zone, &mut findings);
    // In other classes, A and AAAA are not addresses.
    if options.class == Class::IN {
        targets(zone, &mut findings);
    }
    spf(zone, &mut findings);
    occlusion(zone, &mut findings);
    nsec3(zone, &mut findings);
    cds(zone, &mut findings);
    findings
}

/// Checks that the apex has SOA and NS.
fn apex(zone: &Zone, findings: &mut Findings) {
    let name = zone.name(zone.apex);
    if zone.soa.is_none() {
        findings.error(None, &Rule::Soa(name));
    }
    if zone.at_apex(Rtype::NS).next().is_none() {
        findings.error(None, &Rule::Ns(name));
    }
}

/// What a name leads to.
#[derive(PartialEq)]
enum Found {
    Addresses,
    NoAddresses,
    /// The name is not an owner, but a wildcard may match it.
    Missing,
    Cname,
    /// The name is below the DNAME of an owner.
    Dname,
    /// The name is at or below a delegation, whose label count is `cut`. `glue` says whether it has addresses there.
    Delegated {
        cut: usize,
        glue: bool,
    },
    OutOfZone,
}

/// Checks the host names in NS, MX and SRV.
fn targets(zone: &mut Zone, findings: &mut Findings) {
    let mut missing = Vec::new();
    for (index, kept) in zone.kept.iter().enumerate() {
        let Some(target) = target(kept.rtype, zone.data(kept)) else { continue };
        if let Some(remark) = Remark::of_target(kept.rtype, target, zone.name(zone.apex)) {
            findings.remark(kept.at, &remark);
        }
        match zone.find(target) {
            Found::Missing => missing.push(index),
            found => judge(zone, kept, target, &found, findings),
        }
    }
    if zone.has_wildcards && !missing.is_empty() {
        let apex = zone.name(zone.apex).to_owned();
        zone.names.add_ancestors(apex.as_ref());
    }
    for index in missing {
        let kept = &zone.kept[index];
        let Some(target) = target(kept.rtype, zone.data(kept)) else { continue };
        let found = if zone.has_wildcards { zone.find_wildcard(target) } else { Found::NoAddresses };
        judge(zone, kept, target, &found, findings);
    }
}

fn judge(zone: &Zone, kept: &Kept, target: NameRef<'_>, found: &Found, findings: &mut Findings) {
    let at_apex = kept.owner == zone.apex && kept.rtype == Rtype::NS;
    let severity = if at_apex { Severity::Error } else { Severity::Warning };
    let problem = match *found {
        Found::Addresses | Found::OutOfZone => return,
        Found::NoAddresses | Found::Missing => TargetProblem::NoAddress,
        Found::Cname => TargetProblem::Cname,
        Found::Dname => TargetProblem::Dname,
        // Only a delegation needs glue. Other names below a delegation are looked up there.
        Found::Delegated { glue, cut } => {
            if glue || kept.rtype != Rtype::NS || at_apex {
                return;
            }
            if target.suffix(cut) == zone.name(kept.owner) {
                TargetProblem::NoGlue
            } else {
                TargetProblem::NoSiblingGlue
            }
        }
    };
    let rule = Rule::Target { rtype: kept.rtype, target, owner: zone.name(kept.owner), problem };
    findings.add(severity, Some(kept.at), rule.to_string(), &rule.help());
}

/// Checks that each SPF record has a TXT record with it, because only TXT is looked up.
fn spf(zone: &Zone, findings: &mut Findings) {
    for node in zone.names.nodes().filter(|node| node.facts.has(Facts::SPF) && !node.facts.has(Facts::SPF_IN_TXT)) {
        let message = format!("{} has a record of type {SPF} but none of type TXT with it", zone.names.name_of(node));
        findings.warn(node.at, message, "write it as TXT: the type SPF is obsolete (RFC 7208 3.1)");
    }
}

/// Finds data that is never served, because it is below a delegation or a DNAME.
fn occlusion(zone: &Zone, findings: &mut Findings) {
    let apex = zone.name(zone.apex);
    let cuts = |kept: &Kept| kept.rtype == Rtype::DNAME || kept.rtype == Rtype::NS && kept.owner != zone.apex;
    if !zone.kept.iter().any(cuts) {
        return;
    }
    // Neighbours in a file mostly have the same parent.
    let mut last: Option<(NameRef<'_>, bool)> = None;
    for node in zone.names.nodes().filter(|node| node.facts.has(Facts::OTHER | Facts::CNAME)) {
        let name = zone.names.name_of(node);
        let Some(parent) = name.parent().filter(|parent| parent.len() >= apex.len()) else { continue };
        let occluded = match last {
            Some((known, occluded)) if known.as_wire() == parent.as_wire() => occluded,
            _ => zone.is_occluding(parent),
        };
        last = Some((parent, occluded));
        if occluded {
            let message = format!("{name} lies below a delegation or a DNAME and is never answered");
            findings.warn(node.at, message, "remove it, or put it into the delegated zone; only glue belongs here");
        }
    }
}

/// Checks that NSEC3PARAM records do not all have unknown hash algorithms (RFC 5155 4.1.1).
fn nsec3(zone: &Zone, findings: &mut Findings) {
    let mut unknown: Vec<(Location, u8)> = Vec::new();
    for kept in zone.at_apex(Rtype::NSEC3PARAM) {
        match zone.data(kept) {
            [1, ..] => return,
            [algorithm, ..] => unknown.push((kept.at, *algorithm)),
            [] => {}
        }
    }
    if let [(at, algorithm), ..] = unknown[..] {
        findings.error(at, &Rule::Nsec3Hash(algorithm));
    }
}

/// Checks that CDS and CDNSKEY ask the parent for keys that the zone has, or for none (RFC 7344 4.1, RFC 8078 4).
fn cds(zone: &Zone, findings: &mut Findings) {
    let keys = || zone.at_apex(Rtype::DNSKEY).map(|key| zone.data(key));
    for kept in zone.at_apex(CDS).chain(zone.at_apex(CDNSKEY)) {
        let data = zone.data(kept);
        let fits = match (kept.rtype, data) {
            (CDNSKEY, _) => keys().any(|key| key == data),
            (_, [a, b, algorithm, ..]) => keys().any(|key| {
                let [_, _, _, used, ..] = *key else { return false };
                used == *algorithm && names::key_tag(key) == u16::from_be_bytes([*a, *b])
            }),
            _ => false,
        };
        if !fits && !deletes_keys(data) {
            findings.error(kept.at, &Rule::ChildKey(kept.rtype));
        }
    }
}

impl Zone {
    /// The records of a type at the apex.
    fn at_apex(&self, rtype: Rtype) -> impl Iterator<Item = &Kept> {
        self.kept.iter().filter(move |kept| kept.owner == self.apex && kept.rtype == rtype)
    }

    /// What a name leads to, without regard to wildcards.
    fn find(&self, name: NameRef<'_>) -> Found {
        let apex = self.name(self.apex);
        if !name.is_at_or_below(apex) {
            return Found::OutOfZone;
        }
        let (top, count) = (apex.label_count(), name.label_count());
        let facts = |name| self.names.find(name).map(|node| node.facts);
        for labels in top..count {
            let Some(facts) = facts(name.suffix(labels)) else { continue };
            if facts.has(Facts::NS) && labels > top {
                let glue = self.names.find(name).is_some_and(|node| node.facts.has(Facts::ADDRESS));
                return Found::Delegated { cut: labels, glue };
            }
            if facts.has(Facts::DNAME) {
                return Found::Dname;
            }
        }
        match facts(name) {
            Some(facts) if facts.has(Facts::NS) && count > top => {
                Found::Delegated { cut: count, glue: facts.has(Facts::ADDRESS) }
            }
            Some(facts) => found(facts),
            None => Found::Missing,
        }
    }

    /// What a name that does not exist gets from a wildcard (RFC 4592). The names include every empty non-terminal.
    fn find_wildcard(&self, name: NameRef<'_>) -> Found {
        if self.names.find(name).is_some() {
            return Found::NoAddresses;
        }
        let encloser = name.ancestors(NameRef::ROOT).find(|name| self.names.find(*name).is_some());
        let wildcard = encloser.and_then(|encloser| encloser.prepend(b"\x01*").ok());
        let node = wildcard.and_then(|wildcard| self.names.find(wildcard.as_ref()));
        node.map_or(Found::NoAddresses, |node| found(node.facts))
    }

    /// Whether a delegation or a DNAME hides the names below this one.
    fn is_occluding(&self, name: NameRef<'_>) -> bool {
        let apex = self.name(self.apex);
        name.ancestors(apex).any(|name| {
            let hides = if name.len() == apex.len() { Facts::DNAME } else { Facts::NS | Facts::DNAME };
            self.names.find(name).is_some_and(|node| node.facts.has(hides))
        })
    }
}

fn found(facts: Facts) -> Found {
    if facts.has(Facts::ADDRESS) {
        Found::Addresses
    } else if facts.has(Facts::CNAME) {
        Found::Cname
    } else {
        Found::NoAddresses
    }
}
