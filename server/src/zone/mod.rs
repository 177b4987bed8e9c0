//! The data of one zone: names in canonical order, each with its RRsets. The data is persistent: a change makes a new
//! version that shares everything but the changed path with the old one, which readers keep using undisturbed.
//!
//! * [`trie`]: the index of names; [`key`]: a name as the trie's key; [`arena`]: storage for the trie's nodes and for
//!   the entries; [`holes`]: the parts of it that an edit has freed.
//! * [`entry`]: what is stored for a name.
//! * [`walk`]: all names, one after the other, as long as it takes.
//! * [`find`]: lookups, RFC 1034 4.3.2 step 3; [`target`]: whether a host that a record names is usable.
//! * [`edit`]: changes, from one record to a whole zone; [`rewrite`]: replacing a zone's whole content; [`diff`]: the
//!   differences between two versions; [`change`]: those as records, to be kept and transferred.
//!
//! The data knows nothing of views, access, keys or journals.

mod arena;
mod change;
mod diff;
mod edit;
mod entry;
mod find;
mod holes;
mod key;
mod rewrite;
mod target;
mod trie;
mod walk;

#[cfg(test)]
mod tests;

pub use change::{Change, ChangeError, RecordRef, Records};
pub use diff::{Difference, Differences};
pub use edit::{Edit, EditError};
pub use entry::{Added, Node, Rrset};
pub(crate) use find::{Found, Spare, Target};
pub(crate) use key::{Key, KeyRef};
pub(crate) use trie::{Descent, Leaf, Trie, TrieEdit};
pub(crate) use walk::Walk;

use std::sync::Arc;

use zonefmt::{
    Class, Name, NameRef, Rtype, Serial,
    rdata::Soa,
    zone::{Location, Record, RrSets},
};

use arena::{Arena, Ref};

/// A version of a zone's data; cheap to clone.
#[derive(Clone)]
pub struct ZoneData(Arc<Version>);

struct Version {
    origin: Name,
    trie: Trie,
    entries: Arena<u8>,
    apex: Option<Leaf>,
    names: usize,
    records: usize,
}

impl ZoneData {
    /// A zone without records.
    pub fn new(origin: Name) -> ZoneData {
        let version = Version { origin, trie: Trie::new(), entries: Arena::new(), apex: None, names: 0, records: 0 };
        ZoneData(Arc::new(version))
    }

    /// The name of the apex.
    pub fn origin(&self) -> NameRef<'_> {
        self.0.origin.as_ref()
    }

    /// The data of the apex; `None` while the zone has none.
    pub fn apex(&self) -> Option<Node<'_>> {
        self.0.apex.map(|leaf| self.read(leaf))
    }

    /// The SOA's serial (RFC 1035 3.3.13); `None` without a SOA.
    pub fn serial(&self) -> Option<Serial> {
        self.apex()?.rrset(Rtype::SOA)?.rdatas().next().and_then(Soa::serial_of)
    }

    /// The SOA (RFC 1035 3.3.13), if there is one that can be read.
    pub fn soa(&self) -> Option<Soa<'_>> {
        self.apex()?.rrset(Rtype::SOA)?.rdatas().next().and_then(Soa::read)
    }

    /// The hash algorithm of the NSEC3PARAM records, if there are any and none has a known one (RFC 5155 4.1).
    pub fn unknown_hash(&self) -> Option<u8> {
        const SHA_1: u8 = 1;
        let params = self.apex()?.rrset(Rtype::NSEC3PARAM)?;
        let mut algorithms = params.rdatas().filter_map(|rdata| rdata.first().copied());
        let first = algorithms.clone().next()?;
        algorithms.all(|algorithm| algorithm != SHA_1).then_some(first)
    }

    /// The data at exactly this name, whatever lies above it; `None` outside the zone too.
    pub fn node(&self, owner: NameRef<'_>) -> Option<Node<'_>> {
        let labels = owner.strip_suffix(self.origin())?;
        self.at(Target { labels, key: Key::of(labels).view() })
    }

    /// The RRset at exactly this name, whatever lies above it.
    pub fn rrset(&self, owner: NameRef<'_>, rtype: Rtype) -> Option<Rrset<'_>> {
        self.node(owner)?.rrset(rtype)
    }

    /// Every name that has data, in canonical order, the apex first.
    pub fn iter(&self) -> impl Iterator<Item = Node<'_>> {
        self.0.trie.iter().map(|leaf| self.read(leaf))
    }

    /// The zone as zonefmt's RRsets, for text formats.
    pub fn rrsets(&self) -> RrSets {
        let owners: Vec<Name> = self.iter().map(Node::owner).collect();
        let records = self.iter().zip(&owners).flat_map(|(node, owner)| {
            let sets = node.rrsets().flat_map(|set| set.rdatas().map(move |rdata| (set.rtype, set.ttl, rdata)));
            sets.map(move |(rtype, ttl, rdata)| {
                let (owner, class, at) = (owner.as_ref(), Class::IN, Location::default());
                Record { owner, ttl, class, rtype, rdata, at }
            })
        });
        RrSets::collect(Class::IN, records)
    }

    /// The number of names that have data.
    pub fn names(&self) -> usize {
        self.0.names
    }

    /// The number of records.
    pub fn records(&self) -> usize {
        self.0.records
    }

    /// Opens the zone for changes. This version stays as it is.
    pub fn edit(&self) -> Edit {
        Edit::open(self)
    }

    /// The changes that turn `self` into `newer`, name by name in canonical order.
    pub fn differences<'a>(&'a self, newer: &'a ZoneData) -> Differences<'a> {
        Differences::between(self, newer)
    }

    /// Whether both are the very same version, not merely equal in content.
    pub fn is(&self, other: &ZoneData) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Octets of data and index, dead ones included.
    pub fn octets(&self) -> usize {
        self.0.entries.octets() + self.0.trie.octets()
    }

    /// The entry of a leaf.
    #[inline]
    fn read(&self, leaf: Leaf) -> Node<'_> {
        Node::read(self.0.origin.as_ref(), self.0.entries.tail(Ref(leaf.to)), leaf)
    }
}

impl std::fmt::Debug for ZoneData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} names, {} records)", self.0.origin, self.0.names, self.0.records)
    }
}
