//! What clients have written into a zone by DNS UPDATE, beside what resources declare.
//!
//! Resources are compiled as if nothing had been written. Then each written RRset is judged by itself against the
//! result: it is served unless a declared RRset [stands in its way](super::zone::Zone::in_the_way). No written RRset
//! depends on another, except that a CNAME yields to other types that are written at its name: it may be there because a
//! declared RRset had hidden it from those who wrote them. So the order of changes does not matter. What is not served
//! is kept, and is served when nothing stands in its way any more.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::zone::{self, ZoneData};
use zonefmt::{Name, NameRef, Rtype};

use super::{node::canonical, region::is_cover};

/// What clients have written into one zone.
pub(super) struct Written {
    /// All of it.
    kept: ZoneData,
    /// The part that is served. The zone's data has it too; all else in there is declared.
    served: ZoneData,
    /// The names whose written RRsets must be judged again.
    dirty: BTreeSet<Name>,
    /// Those of them at which clients changed something.
    rewritten: BTreeSet<Name>,
}

/// Who changes what is kept for a zone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Clients,
    /// The zone is made from another resource now, maybe of another namespace.
    Resources,
}

/// An RRset, by itself.
pub(super) struct Content {
    pub(super) ttl: u32,
    pub(super) records: Vec<Vec<u8>>,
}

impl Content {
    pub(super) fn rdatas(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.records.iter().map(Vec::as_slice)
    }

    /// Whether both have the same TTL and the same records in the same order.
    pub(super) fn is<'r>(&self, ttl: u32, rdatas: impl Iterator<Item = &'r [u8]>) -> bool {
        self.ttl == ttl && self.rdatas().eq(rdatas)
    }
}

impl Written {
    /// Nothing is written yet.
    pub(super) fn new(origin: &Name) -> Written {
        let nothing = ZoneData::new(origin.clone());
        Written { kept: nothing.clone(), served: nothing, dirty: BTreeSet::new(), rewritten: BTreeSet::new() }
    }

    /// Sets all that is written.
    pub(super) fn put(&mut self, written: ZoneData, by: By) {
        if self.kept.is(&written) {
            return;
        }
        for difference in self.kept.differences(&written) {
            let owner = difference.node().owner();
            if by == By::Clients {
                self.rewritten.insert(owner.clone());
            }
            self.dirty.insert(owner);
        }
        self.kept = written;
    }

    /// The part that is served.
    pub(super) fn served(&self) -> &ZoneData {
        &self.served
    }

    /// Whether an RRset of what is served is a written one.
    pub(super) fn serves(&self, owner: NameRef<'_>, rtype: Rtype) -> bool {
        self.served.rrset(owner, rtype).is_some()
    }

    /// Notes that declared data at a name has changed: this matters there, and to what would hide the name.
    pub(super) fn meet(&mut self, owner: &Name) {
        if self.kept.names() == 0 {
            return;
        }
        let covers = |name: &NameRef<'_>| {
            let mut sets = self.kept.node(*name).into_iter().flat_map(zone::Node::rrsets);
            sets.any(|set| is_cover(set.rtype))
        };
        let above = owner.as_ref().ancestors(self.kept.origin()).skip(1).filter(covers).map(NameRef::to_owned);
        let above: Vec<Name> = above.collect();
        self.dirty.extend(above);
        self.dirty.insert(owner.clone());
    }

    /// Notes that declared delegations or DNAMEs have changed, which matters to all names below.
    pub(super) fn meet_covers(&mut self, covers: &BTreeSet<Name>) {
        if covers.is_empty() {
            return;
        }
        let owners = self.kept.iter().map(zone::Node::owner);
        let is_below = |owner: &Name| {
            owner.as_ref().ancestors(self.kept.origin()).map(NameRef::to_owned).any(|name| covers.contains(&name))
        };
        let below: Vec<Name> = owners.filter(is_below).collect();
        self.dirty.extend(below);
    }

    /// Makes the declared RRsets of these names and types no longer count as written.
    pub(super) fn yield_to(&mut self, declared: &[(Name, Rtype)]) {
        if declared.is_empty() {
            return;
        }
        let mut edit = self.served.edit();
        for (owner, rtype) in declared {
            // This only fails in a zone that is full, and what is served of a zone has room for its written part.
            let _ = edit.remove(owner.as_ref(), *rtype);
        }
        self.served = edit.commit();
    }

    /// The names that must be judged again, and those of them at which clients changed something.
    pub(super) fn take_dirty(&mut self) -> (BTreeSet<Name>, BTreeSet<Name>) {
        (std::mem::take(&mut self.dirty), std::mem::take(&mut self.rewritten))
    }

    /// What clients want to be served at a name, of what may be served there.
    pub(super) fn wanted(&self, owner: &Name, may_be_served: impl Fn(Rtype) -> bool) -> BTreeMap<Rtype, Content> {
        let sets = self.kept.node(owner.as_ref()).into_iter().flat_map(zone::Node::rrsets);
        let mut wanted: BTreeMap<Rtype, Content> =
            sets.filter(|set| may_be_served(set.rtype)).map(|set| (set.rtype, in_canonical_order(set))).collect();
        if wanted.len() > 1 {
            wanted.remove(&Rtype::CNAME);
        }
        wanted
    }

    /// Sets what is served.
    pub(super) fn set_served(&mut self, served: ZoneData) {
        self.served = served;
    }
}

/// An RRset in an order that does not depend on who wrote which record first.
fn in_canonical_order(set: zone::Rrset<'_>) -> Content {
    let records: BTreeMap<Vec<u8>, &[u8]> = set.rdatas().map(|rdata| (canonical(set.rtype, rdata), rdata)).collect();
    Content { ttl: set.ttl, records: records.into_values().map(<[u8]>::to_vec).collect() }
}
