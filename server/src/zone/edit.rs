//! Changes to a zone's data, from one record to a whole load: collected name by name, then committed as a new version.

use super::{
    Added, Difference, Key, Node, TrieEdit, Version, ZoneData,
    arena::{Arena, ArenaEdit, Ref},
    entry::Draft,
    trie::Leaf,
};
use std::{fmt, sync::Arc};
use zonefmt::{Name, NameRef, Rtype};

/// A zone under change. Nothing is visible before [`Edit::commit`]; dropping it undoes everything.
pub struct Edit {
    origin: Name,
    trie: TrieEdit,
    entries: ArenaEdit<u8>,
    names: usize,
    records: usize,
    /// The name that is being changed, written back when another one's turn comes.
    draft: Draft,
    open: Option<Open>,
    scratch: Box<Scratch>,
}

/// Where the draft's name stands in the trie, its key being in `Scratch::key`.
struct Open {
    /// The leaf nearest to the name, or its own.
    nearest: Option<Leaf>,
    /// What the name had before: octets and records.
    had: Option<(usize, usize)>,
}

struct Scratch {
    key: Key,
    nearest: Key,
    entry: Vec<u8>,
}

/// Why a record was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EditError {
    /// The owner is not at or below the origin.
    OutOfZone,
    /// The type exists only in questions (RFC 6895 3.1).
    MetaType,
    /// An RRset has 65,535 records already.
    RrsetFull,
    /// RDATA over 65,535 octets.
    RdataTooLong,
    /// The zone holds 8 GiB already.
    ZoneFull,
}

/// Half of what references into the entries can name, so that a commit always has room to copy.
const MAX_OCTETS: usize = 8 << 30;

impl Edit {
    pub(super) fn open(zone: &ZoneData) -> Edit {
        let version = &zone.0;
        Edit {
            origin: version.origin.clone(),
            trie: version.trie.edit(),
            entries: version.entries.edit(),
            names: version.names,
            records: version.records,
            draft: Draft::default(),
            open: None,
            scratch: Box::new(Scratch { key: Key::new(), nearest: Key::new(), entry: Vec::with_capacity(256) }),
        }
    }

    /// Adds one record. RDATA is in wire form, names uncompressed. The RRset takes its TTL, as in BIND.
    pub fn add(&mut self, owner: NameRef<'_>, rtype: Rtype, ttl: u32, rdata: &[u8]) -> Result<Added, EditError> {
        if rtype.is_meta() {
            return Err(EditError::MetaType);
        }
        if rdata.len() > usize::from(u16::MAX) {
            return Err(EditError::RdataTooLong);
        }
        self.turn_to(owner)?;
        self.draft.add(rtype, ttl, rdata).ok_or(EditError::RrsetFull)
    }

    /// Replaces an RRset by these records; without any it is removed.
    pub fn replace<'r>(
        &mut self,
        owner: NameRef<'_>,
        rtype: Rtype,
        ttl: u32,
        rdatas: impl IntoIterator<Item = &'r [u8]>,
    ) -> Result<(), EditError> {
        self.remove(owner, rtype)?;
        for rdata in rdatas {
            self.add(owner, rtype, ttl, rdata)?;
        }
        Ok(())
    }

    /// Removes an RRset; gives how many records it had.
    pub fn remove(&mut self, owner: NameRef<'_>, rtype: Rtype) -> Result<usize, EditError> {
        self.turn_to(owner)?;
        Ok(self.draft.remove(rtype))
    }

    /// Takes over one difference between two zones.
    pub(super) fn apply(&mut self, difference: Difference<'_>) {
        let labels = difference.node().labels();
        self.settle();
        self.turn_to_labels(labels);
        match difference {
            Difference::Removed(_) => self.draft.start(labels),
            Difference::Added(node) | Difference::Changed { new: node, .. } => self.draft.load(node),
        }
    }

    /// Makes the new version.
    pub fn commit(mut self) -> ZoneData {
        self.settle();
        if self.trie.wants_compaction() || self.entries.wants_compaction() {
            self.compact();
        }
        let (trie, entries) = (self.trie.commit(), self.entries.commit());
        let mut version =
            Version { origin: self.origin, trie, entries, apex: None, names: self.names, records: self.records };
        version.apex =
            version.trie.descend(Key::new().view(), |_, _| ()).filter(|found| found.followed).and_then(|found| {
                let apex = version.entries.tail(Ref(found.leaf.to))[0] == 0;
                apex.then_some(found.leaf)
            });
        ZoneData(Arc::new(version))
    }

    /// Makes `owner` the draft's name.
    fn turn_to(&mut self, owner: NameRef<'_>) -> Result<(), EditError> {
        let split = owner.len().checked_sub(self.origin.as_ref().len()).ok_or(EditError::OutOfZone)?;
        if self.open.is_some()
            && self.draft.labels == owner.as_wire()[..split]
            && self.origin.as_ref().as_wire() == &owner.as_wire()[split..]
        {
            return Ok(());
        }
        let labels = owner.strip_suffix(self.origin.as_ref()).ok_or(EditError::OutOfZone)?;
        if self.open.is_some() && self.draft.labels.eq_ignore_ascii_case(labels) {
            return Ok(());
        }
        if self.entries.octets() > MAX_OCTETS {
            return Err(EditError::ZoneFull);
        }
        self.settle();
        self.turn_to_labels(labels);
        Ok(())
    }

    fn turn_to_labels(&mut self, labels: &[u8]) {
        self.scratch.key.set(labels);
        let descent = self.trie.descend(self.scratch.key.view());
        let own = descent.as_ref().filter(|descent| descent.followed).and_then(|descent| {
            let node = Node::read(self.origin.as_ref(), self.entries.tail(Ref(descent.leaf.to)), descent.leaf);
            node.is_named(labels).then_some(node)
        });
        let had = own.map(|node| {
            self.draft.load(node);
            (node.octets(), self.draft.records())
        });
        if had.is_none() {
            self.draft.start(labels);
        }
        self.open = Some(Open { nearest: descent.map(|descent| descent.leaf), had });
    }

    /// Writes the draft back.
    fn settle(&mut self) {
        let Some(Open { nearest, had }) = self.open.take() else { return };
        let key = self.scratch.key.view();
        if let Some((octets, records)) = had {
            self.entries.free(octets);
            self.records -= records;
            self.names -= 1;
            if self.draft.is_empty() {
                return self.trie.remove(key);
            }
        } else if self.draft.is_empty() {
            return;
        }
        self.scratch.entry.clear();
        self.draft.write(&mut self.scratch.entry);
        let leaf = Leaf { to: self.entries.store(&self.scratch.entry).0, word: self.draft.flags() };
        self.records += self.draft.records();
        self.names += 1;
        match (had, nearest) {
            (Some(_), _) => self.trie.replace(key, leaf),
            (None, None) => self.trie.insert(key, leaf, None),
            (None, Some(nearest)) => {
                let entry = self.entries.tail(Ref(nearest.to));
                self.scratch.nearest.set(&entry[1..=usize::from(entry[0])]);
                self.trie.insert(key, leaf, Some(self.scratch.nearest.view()));
            }
        }
    }

    /// Copies what lives, in canonical order, into storage of its own.
    fn compact(&mut self) {
        let mut entries = Arena::new().edit();
        let old = &self.entries;
        let origin = self.origin.as_ref();
        self.trie = self.trie.compact(|to| {
            let tail = old.tail(Ref(to));
            let octets = Node::read(origin, tail, Leaf { to, word: 0 }).octets();
            entries.store(&tail[..octets]).0
        });
        self.entries = entries;
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EditError::OutOfZone => "the owner lies outside the zone",
            EditError::MetaType => "a type that exists only in questions cannot be data",
            EditError::RrsetFull => "the RRset has 65,535 records already",
            EditError::RdataTooLong => "the data is longer than 65,535 octets",
            EditError::ZoneFull => "the zone holds 8 GiB already",
        })
    }
}

impl std::error::Error for EditError {}
