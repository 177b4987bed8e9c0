//! A model of an authoritative server in the words of the RFCs: zones are lists of records (empty if not loaded), and
//! every question is answered by searching all of them. The order of steps is that of RFC 1034 4.3.2; RFC 2308
//! (negative answers), 4592 (wildcards), 6672 (DNAME), 8020 (empty non-terminals) and 9471 (glue) say what they mean
//! today; for what those leave open, BIND's default decides.
//!
//! Servers differ where the RFCs allow it. [`Rules`] is the complete list of these differences: each server is the same
//! model with its own rules.

use std::collections::BTreeSet;

use crate::{
    message::{Query, Rr},
    name::Name,
    zone::{Data, Record, Zone, types as t},
};

/// Where servers that follow the RFCs still differ.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // It is a list of yes and no.
pub struct Rules {
    /// A chain of CNAMEs continues in another zone of the same server.
    pub chain_crosses_zones: bool,
    /// The most CNAMEs that are followed for one question.
    pub longest_chain: usize,
    /// The response code if the chain is longer.
    pub endless: u16,
    /// If a chain leads to a zone that is not loaded, a client that desires recursion gets SERVFAIL instead of the
    /// first part.
    pub recursion_needs_whole_chain: bool,
    /// For DS, a zone that is not loaded and whose origin is the name counts as absent.
    pub refuses_ds_of_unloaded: bool,
    /// Additional records may also come from another zone of the same server.
    pub additional_crosses_zones: bool,
    /// The SOA of an NXDOMAIN answer to a question for SOA has TTL 0 (`zero-no-soa-ttl`).
    pub zero_soa_ttl: bool,
    /// A referral has the addresses of all its servers that the zone knows, not only those below a cut, which are glue
    /// in the strict sense.
    pub referral_has_addresses: bool,
    /// Addresses below a DNAME, where no name exists, are used as glue.
    pub glue_below_dname: bool,
    /// Glue is also added for the zone's own NS records, not only for a referral's.
    pub apex_ns_has_glue: bool,
    /// The zone's NS records are added to an answer even if recursion is desired.
    pub always_apex_ns: bool,
    /// A DNAME that leads below itself is followed as far as chains go, and not only once.
    pub follows_dname_into_itself: bool,
    /// NS records are added when the requested record is a synthesized CNAME.
    pub apex_ns_beside_synthesis: bool,
    /// A wildcard's records for the question's name appear in the additional section as well.
    pub repeats_wildcards: bool,
    /// What is added for SVCB and HTTPS.
    pub svcb: Svcb,
}

/// What is added for SVCB and HTTPS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Svcb {
    /// Nothing.
    Nothing,
    /// The records of the target (RFC 9460 4.1): addresses, and in alias form those of the same type.
    Target,
    /// Like `Target`, but chains on the way are followed.
    Chain,
}

/// The expected content of a response; sections have no order.
#[derive(Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Answer {
    pub rcode: u16,
    pub authoritative: bool,
    /// Whether an Extended DNS Error says that a zone is not loaded.
    pub not_ready: bool,
    pub answer: BTreeSet<Rr>,
    pub authority: BTreeSet<Rr>,
    pub additional: BTreeSet<Rr>,
}

/// Response codes.
#[allow(missing_docs)]
pub mod rcode {
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const YXDOMAIN: u16 = 6;
}

impl Rules {
    /// The rules of Bindy, which follow BIND's defaults in case of doubt.
    pub const BINDY: Rules = Rules {
        chain_crosses_zones: true,
        longest_chain: 11,
        endless: rcode::NOERROR,
        recursion_needs_whole_chain: true,
        refuses_ds_of_unloaded: false,
        additional_crosses_zones: true,
        zero_soa_ttl: true,
        referral_has_addresses: true,
        glue_below_dname: false,
        apex_ns_has_glue: false,
        always_apex_ns: false,
        follows_dname_into_itself: true,
        apex_ns_beside_synthesis: true,
        repeats_wildcards: false,
        svcb: Svcb::Target,
    };
}

/// An RRset with more names than this gets no additional records.
const MAX_ADDITIONAL_NAMES: usize = 13;

/// Answers a question from a server's zones, without a limit on the size of the response.
pub fn answer(zones: &[Zone], query: &Query, rules: Rules) -> Answer {
    let mut answering = Answering { zones, query, rules, out: Answer::default(), sources: Vec::new() };
    answering.run();
    answering.add_additional();
    answering.out
}

/// Whether a host can be the target of a zone's NS record: it has an address in the zone, or lies outside or below a
/// cut.
pub fn may_serve(zone: &Zone, host: &Name) -> bool {
    match find(zone, host, t::A) {
        _ if !host.is_under(&zone.origin) => true,
        Found::Cut(ns) => ns.iter().all(|ns| rrset(zone, &ns.owner, t::DNAME).is_empty()),
        Found::Node(node) => node.iter().any(|record| [t::A, t::AAAA].contains(&record.rtype())),
        Found::Dname(_) | Found::None => false,
    }
}

struct Answering<'a> {
    zones: &'a [Zone],
    query: &'a Query,
    rules: Rules,
    out: Answer,
    /// The RRsets whose names get additional records, each with the owner in the response and whether it is a
    /// referral's.
    sources: Vec<(&'a Zone, Vec<&'a Record>, Name, bool)>,
}

/// What a zone says of a name.
enum Found<'a> {
    /// The name exists or a wildcard covers it; the records of the node, none for an empty non-terminal.
    Node(Vec<&'a Record>),
    /// The name is at or below a zone cut, which has these NS records.
    Cut(Vec<&'a Record>),
    /// The name is below this DNAME.
    Dname(&'a Record),
    /// The name does not exist.
    None,
}

impl<'a> Answering<'a> {
    fn run(&mut self) {
        let mut name = self.query.name.clone();
        let mut first_zone: Option<&Zone> = None;
        for hop in 0..=self.rules.longest_chain {
            let may_enter = |zone: &&Zone| {
                let same = first_zone.is_none_or(|first| first.origin == zone.origin);
                same || self.rules.chain_crosses_zones || zone.records.is_empty()
            };
            let looks_above = self.query.qtype == t::DS && self.rules.refuses_ds_of_unloaded;
            let is_above = |zone: &&Zone| !(looks_above && zone.records.is_empty() && zone.origin == name);
            let zone = zone_for(self.zones, may_enter, &name, self.query.qtype).filter(is_above);
            let Some(zone) = zone else {
                // If the chain has left the server's zones, the client continues with what it has (RFC 1034 4.3.2 step
                // 3a).
                if hop == 0 {
                    self.out.rcode = rcode::REFUSED;
                }
                return;
            };
            first_zone.get_or_insert(zone);
            if zone.records.is_empty() {
                // The zone is configured but not loaded.
                if hop == 0 || self.query.recursion_desired && self.rules.recursion_needs_whole_chain {
                    self.out = Answer { rcode: rcode::SERVFAIL, ..Answer::default() };
                }
                self.out.not_ready = true;
                return;
            }
            if hop == 0 {
                self.out.authoritative = true;
            }
            match find(zone, &name, self.query.qtype) {
                Found::Cut(ns) => {
                    if hop == 0 {
                        self.out.authoritative = false;
                    }
                    self.out.authority.extend(ns.iter().map(|ns| rr(ns, &ns.owner)));
                    let owner = ns.first().map_or_else(Name::default, |ns| ns.owner.clone());
                    self.sources.push((zone, ns, owner, true));
                    return;
                }
                Found::Dname(dname) => {
                    self.out.answer.insert(rr(dname, &dname.owner));
                    let Data::Dname(target) = &dname.data else { unreachable!("found by its type") };
                    let moved = name.moved(&dname.owner, target);
                    if moved.wire().len() > 255 {
                        self.out.rcode = rcode::YXDOMAIN;
                        return;
                    }
                    let cname = Record { owner: name, ttl: dname.ttl, data: Data::Cname(moved.clone()) };
                    self.out.answer.insert(rr(&cname, &cname.owner));
                    // A synthesized CNAME answers a question for CNAME just as a stored one does (RFC 6672 3.2).
                    if [t::CNAME, t::ANY].contains(&self.query.qtype) {
                        if self.rules.apex_ns_beside_synthesis {
                            self.add_apex_ns(zone);
                        }
                        return;
                    }
                    if !self.rules.follows_dname_into_itself && target.is_under(&dname.owner) {
                        return;
                    }
                    name = moved;
                }
                Found::Node(node) => {
                    let wanted: Vec<&Record> =
                        node.iter().filter(|r| [r.rtype(), t::ANY].contains(&self.query.qtype)).copied().collect();
                    if !wanted.is_empty() {
                        self.out.answer.extend(wanted.iter().map(|record| rr(record, &name)));
                        self.sources.push((zone, wanted, name, false));
                        return self.add_apex_ns(zone);
                    }
                    let Some(cname) = node.iter().find(|r| r.rtype() == t::CNAME) else {
                        return self.add_soa(zone);
                    };
                    self.out.answer.insert(rr(cname, &name));
                    let Data::Cname(target) = &cname.data else { unreachable!("found by its type") };
                    name = target.clone();
                }
                Found::None => {
                    self.out.rcode = rcode::NXDOMAIN;
                    return self.add_soa(zone);
                }
            }
        }
        self.out.rcode = self.rules.endless;
    }

    /// Adds the SOA to a negative answer, with the time for which the answer may be cached (RFC 2308 3).
    fn add_soa(&mut self, zone: &Zone) {
        for record in &zone.records {
            if let Data::Soa { minimum, .. } = record.data {
                let zero = self.rules.zero_soa_ttl && self.out.rcode == rcode::NXDOMAIN && self.query.qtype == t::SOA;
                let ttl = if zero { 0 } else { record.ttl.min(minimum) };
                self.out.authority.insert(Rr { ttl, ..rr(record, &record.owner) });
            }
        }
    }

    /// BIND's `minimal-responses no-auth-recursive`: adds the zone's NS records unless recursion is desired.
    fn add_apex_ns(&mut self, zone: &'a Zone) {
        let wanted = match self.query.qtype {
            t::NS => true,
            t::DS => false,
            _ => self.rules.always_apex_ns || !self.query.recursion_desired,
        };
        if !wanted {
            return;
        }
        let ns = rrset(zone, &zone.origin, t::NS);
        if ns.iter().any(|ns| self.out.answer.contains(&rr(ns, &ns.owner))) {
            return;
        }
        self.out.authority.extend(ns.iter().map(|ns| rr(ns, &ns.owner)));
        self.sources.push((zone, ns, zone.origin.clone(), false));
    }

    /// Adds records for the names in the answer, except those that are already in the response.
    fn add_additional(&mut self) {
        for (zone, rrset, owner, referral) in std::mem::take(&mut self.sources) {
            let Some(rtype) = rrset.first().map(|record| record.rtype()) else { continue };
            let wanted = match self.query.qtype {
                _ if referral => true,
                // A question for keys gets nothing else, and an ANY response is long enough.
                t::DS | t::ANY => false,
                _ => rtype != t::HTTPS || self.rules.svcb != Svcb::Nothing,
            };
            if !wanted || rrset.len() > MAX_ADDITIONAL_NAMES {
                continue;
            }
            let glue = referral || rtype == t::NS && self.rules.apex_ns_has_glue;
            for (name, data) in rrset.iter().filter_map(|record| Some((record.data.additional(&owner)?, &record.data)))
            {
                for &rtype in data.additional_types() {
                    let found = self.known(zone, name, rtype, glue);
                    for record in found {
                        let rr = rr(record, name);
                        let repeated =
                            self.rules.repeats_wildcards && record.owner != *name && self.query.name == *name;
                        if repeated || !(self.out.answer.contains(&rr) || self.out.authority.contains(&rr)) {
                            self.out.additional.insert(rr);
                        }
                    }
                }
            }
        }
    }

    /// What the server knows of a name other than the question's.
    fn known(&self, zone: &'a Zone, name: &Name, rtype: u16, glue: bool) -> Vec<&'a Record> {
        // Glue comes from the zone that delegates.
        let own = !self.rules.additional_crosses_zones || glue && name.is_under(&zone.origin);
        let home = if own { Some(zone) } else { zone_for(self.zones, |_| true, name, rtype) };
        if let Some(home) = home.filter(|home| name.is_under(&home.origin) && !home.records.is_empty())
            && let Found::Node(node) = find(home, name, rtype)
            && node.iter().any(|record| record.rtype() == rtype)
            && (!glue || self.rules.referral_has_addresses)
        {
            return node.into_iter().filter(|record| record.rtype() == rtype).collect();
        }
        let is_glue = name.is_under(&zone.origin)
            && match find(zone, name, rtype) {
                Found::Cut(_) => true,
                Found::Dname(_) => self.rules.glue_below_dname,
                Found::Node(_) | Found::None => false,
            };
        if glue && is_glue { rrset(zone, name, rtype) } else { Vec::new() }
    }
}

/// The zone that a question belongs to: the one with the longest matching origin (RFC 1034 4.3.2 step 2); for DS, the
/// parent's side of a cut if it is here (RFC 4035 3.1.4.1).
fn zone_for<'a>(zones: &'a [Zone], may: impl Fn(&&Zone) -> bool, name: &Name, qtype: u16) -> Option<&'a Zone> {
    let longest = |strictly: bool| {
        let encloses = |zone: &&Zone| name.is_under(&zone.origin) && !(strictly && zone.origin == *name);
        zones.iter().filter(encloses).max_by_key(|zone| zone.origin.0.len()).filter(&may)
    };
    (qtype == t::DS).then(|| longest(true)).flatten().or_else(|| longest(false))
}

/// RFC 1034 4.3.2 step 3: from the apex down, label by label.
fn find<'a>(zone: &'a Zone, name: &Name, qtype: u16) -> Found<'a> {
    let depth = zone.origin.0.len().min(name.0.len());
    for length in depth..=name.0.len() {
        let here = Name(name.0[..length].to_vec());
        let at_name = here == *name;
        let ns = rrset(zone, &here, t::NS);
        if here != zone.origin && !ns.is_empty() && !(at_name && qtype == t::DS) {
            return Found::Cut(ns);
        }
        if !at_name && let Some(dname) = rrset(zone, &here, t::DNAME).first() {
            return Found::Dname(dname);
        }
        if !exists(zone, &here) {
            // RFC 4592 3.3.1: the parent is the closest encloser, and only its own `*` is the source of synthesis.
            let encloser = here.parent().expect("the apex exists");
            let source = encloser.wildcard();
            return if exists(zone, &source) { Found::Node(node(zone, &source)) } else { Found::None };
        }
    }
    Found::Node(node(zone, name))
}

/// A name exists if it or a name below it has data (RFC 4592 2.2.2, RFC 8020).
fn exists(zone: &Zone, name: &Name) -> bool {
    zone.records.iter().any(|record| record.owner.is_under(name))
}

fn node<'a>(zone: &'a Zone, name: &Name) -> Vec<&'a Record> {
    zone.records.iter().filter(|record| record.owner == *name).collect()
}

fn rrset<'a>(zone: &'a Zone, name: &Name, rtype: u16) -> Vec<&'a Record> {
    zone.records.iter().filter(|record| record.owner == *name && record.rtype() == rtype).collect()
}

fn rr(record: &Record, owner: &Name) -> Rr {
    Rr { owner: owner.clone(), rtype: record.rtype(), class: 1, ttl: record.ttl, data: record.data.wire() }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rcode {}{}", self.rcode, if self.authoritative { " aa" } else { "" })?;
        for (title, section) in
            [("answer", &self.answer), ("authority", &self.authority), ("additional", &self.additional)]
        {
            for rr in section {
                write!(f, "\n  {title:10} {rr:?}")?;
            }
        }
        Ok(())
    }
}
