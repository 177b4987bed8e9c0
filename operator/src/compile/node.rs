//! One name of a zone: merges what its resources declare into the RRsets that are served.

use std::collections::BTreeMap;

use zonefmt::{
    Name, NameRef, Rtype, rdata,
    zone::{octets_in_message, room_in_message},
};

use super::{Finding, Reason, index::Rank};
use crate::api::ResourceId;

/// What one resource declares for a name.
pub(super) struct Contribution<'a> {
    pub(super) rank: &'a Rank,
    pub(super) rtype: Rtype,
    pub(super) ttl: u32,
    /// The RDATA in wire form.
    pub(super) records: Vec<Vec<u8>>,
}

/// What is served at a name, and the findings about resources that had to yield.
#[derive(Default)]
pub(super) struct Resolved<'a> {
    pub(super) rrsets: BTreeMap<Rtype, Rrset<'a>>,
    pub(super) findings: Vec<(&'a ResourceId, Finding)>,
}

pub(super) struct Rrset<'a> {
    pub(super) ttl: u32,
    /// The records by canonical form (RFC 4034 6.2), which finds duplicates and defines the order.
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The octets that the RRset takes in a message.
    octets: usize,
    /// The resource that came first.
    pub(super) first: &'a Rank,
}

/// Types of which a name may have only one record (RFC 2181 10.1, RFC 6672 2.4).
const ALONE: [(Rtype, Reason); 2] = [(Rtype::CNAME, Reason::CnameConflict), (Rtype::DNAME, Reason::DnameConflict)];

impl Rrset<'_> {
    /// The RDATA in canonical order.
    pub(super) fn rdatas(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.records.values().map(Vec::as_slice)
    }
}

impl<'a> Resolved<'a> {
    /// Adds a resource. Resources must come oldest first: what was added is never displaced by a later one.
    pub(super) fn take(&mut self, origin: &Name, owner: NameRef<'_>, said: Contribution<'a>) {
        let Contribution { rank, rtype, ttl, records } = said;
        let mut finding = |reason, path: &str, message| {
            let finding = Finding { reason, zone: Some(origin.clone()), path: path.into(), message };
            self.findings.push((&rank.id, finding));
        };
        if let Some((other_type, other)) = conflicting(&self.rrsets, rtype) {
            let message = format!(
                "{owner} has {other_type} from {}, {}, and a CNAME allows no other data; remove one of them",
                other.first.id,
                other.first.advantage(rank)
            );
            return finding(Reason::CnameConflict, "name", message);
        }
        let older = self.rrsets.get(&rtype);
        let new: BTreeMap<_, _> = records
            .into_iter()
            .map(|record| (canonical(rtype, &record), record))
            .filter(|(canonical, _)| older.is_none_or(|set| !set.records.contains_key(canonical)))
            .collect();
        if let Some((_, reason)) = ALONE.iter().find(|(alone, _)| *alone == rtype) {
            match older {
                Some(set) if !new.is_empty() => {
                    let message = format!(
                        "{owner} has another {rtype} from {}, {}, and a name has one at most; remove one of them",
                        set.first.id,
                        set.first.advantage(rank)
                    );
                    return finding(*reason, "name", message);
                }
                None if new.len() > 1 => {
                    let message = format!(
                        "{owner} would have {} {rtype} records, and a name has one at most; keep one of them",
                        new.len()
                    );
                    return finding(*reason, "rdata", message);
                }
                _ => {}
            }
        }
        let octets = new.values().map(|record| octets_in_message(record.len())).sum::<usize>();
        let octets = octets + older.map_or(0, |set| set.octets);
        let room = room_in_message(owner.as_wire().len());
        if octets > room {
            let message = format!(
                "the {rtype} RRset of {owner} would take {octets} octets of a message, which has {room} for it; spread its records over more names"
            );
            return finding(Reason::TooLarge, "name", message);
        }
        let set = self.rrsets.entry(rtype).or_insert_with(|| Rrset::new(ttl, rank));
        if set.ttl != ttl {
            let message = format!(
                "the {rtype} RRset of {owner} has TTL {} from {}, {} and holds for all of it; write the same ttl in both",
                set.ttl,
                set.first.id,
                set.first.advantage(rank)
            );
            finding(Reason::TtlOverridden, "ttl", message);
        }
        set.octets = octets;
        set.records.extend(new);
    }
}

impl<'a> Rrset<'a> {
    fn new(ttl: u32, first: &'a Rank) -> Rrset<'a> {
        Rrset { ttl, records: BTreeMap::new(), octets: 0, first }
    }
}

/// An RRset that cannot be beside `rtype` at the same name (RFC 1034 3.6.2).
fn conflicting<'s, 'a>(rrsets: &'s BTreeMap<Rtype, Rrset<'a>>, rtype: Rtype) -> Option<(Rtype, &'s Rrset<'a>)> {
    let mut others = rrsets.iter().filter(|(other, _)| **other != rtype);
    others.find(|(other, _)| rtype == Rtype::CNAME || **other == Rtype::CNAME).map(|(other, set)| (*other, set))
}

/// The form of a record by which it is compared and sorted (RFC 4034 6.2).
pub(super) fn canonical(rtype: Rtype, record: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(record.len());
    rdata::canonical(rtype, record, &mut canonical);
    canonical
}
