//! Changes to a zone's data, from one record to a whole load, collected name by name and committed as a new version.

use std::{fmt, sync::Arc};

use zonefmt::{Name, NameRef, Rtype};

use super::{
    Added, Key, Node, TrieEdit, Version, ZoneData,
    arena::{Arena, ArenaEdit, Ref},
    entry::Draft,
    rewrite::Met,
    trie::{Descent, Leaf},
};

/// A zone under change. Nothing is visible before [`Edit::commit`]; dropping the edit discards it.
pub struct Edit {
    base: ZoneData,
    origin: Name,
    trie: TrieEdit,
    entries: ArenaEdit<u8>,
    names: usize,
    records: usize,
    /// The name being changed; written back when another name is turned to.
    draft: Draft,
    open: Option<Open>,
    scratch: Box<Scratch>,
    /// Whether anything differs from the base.
    changed: bool,
    /// In a rewrite, the names seen so far.
    pub(super) rewritten: Option<Met>,
}

/// The position of the draft's name in the trie; its key is in `Scratch::key`.
struct Open {
    /// The leaf nearest to the name, or the name's own.
    nearest: Option<Leaf>,
    /// The size of the name's previous entry: octets and records.
    had: Option<(usize, usize)>,
}

struct Scratch {
    key: Key,
    nearest: Key,
    entry: Vec<u8>,
}

/// Why a record was rejected.
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

/// The bound on a zone's entries, in octets: half of what references can address, so that a commit always has room to
/// copy.
const MAX_OCTETS: usize = 8 << 30;

impl Edit {
    pub(super) fn open(zone: &ZoneData) -> Edit {
        let version = &zone.0;
        Edit {
            base: zone.clone(),
            origin: version.origin.clone(),
            trie: version.trie.edit(),
            entries: version.entries.edit(),
            names: version.names,
            records: version.records,
            draft: Draft::default(),
            open: None,
            scratch: Box::new(Scratch { key: Key::new(), nearest: Key::new(), entry: Vec::with_capacity(256) }),
            changed: false,
            rewritten: None,
        }
    }

    /// Adds one record. RDATA is in wire form with uncompressed names. The whole RRset takes the TTL of the record
    /// added last, as in BIND.
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

    /// Replaces an RRset with these records; without any, the RRset is removed.
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

    /// Removes an RRset and returns how many records it had.
    pub fn remove(&mut self, owner: NameRef<'_>, rtype: Rtype) -> Result<usize, EditError> {
        self.turn_to(owner)?;
        Ok(self.draft.remove(rtype))
    }

    /// Removes one record, and with the last one its RRset. Returns whether it was there.
    pub fn remove_record(&mut self, owner: NameRef<'_>, rtype: Rtype, rdata: &[u8]) -> Result<bool, EditError> {
        self.turn_to(owner)?;
        Ok(self.draft.remove_record(rtype, rdata))
    }

    /// The number of types of the name that was changed last, and of its records of this type.
    pub(crate) fn sizes(&self, rtype: Rtype) -> (usize, usize) {
        self.draft.sizes(rtype)
    }

    /// Makes the new version; if nothing changed, returns the old one.
    pub fn commit(mut self) -> ZoneData {
        self.settle();
        if let Some(met) = self.rewritten.take() {
            self.restore(&met.replaced);
            self.remove_all_but(&met);
        }
        if !self.changed {
            return self.base;
        }
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
        if self.entries.living_octets() > MAX_OCTETS || !self.entries.has_room() {
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
        let nearest = descent.as_ref().map(|descent| descent.leaf);
        let starts_empty =
            nearest.zip(self.rewritten.as_mut()).is_some_and(|(leaf, met)| own.is_some() && met.meet(Ref(leaf.to)));
        match own {
            Some(node) if !starts_empty => self.draft.load(node),
            _ => self.draft.start(labels),
        }
        self.open = Some(Open { nearest, had: own.map(|node| (node.octets(), node.records())) });
    }

    /// Writes the draft back into the zone.
    fn settle(&mut self) {
        let Some(Open { nearest, had }) = self.open.take() else { return };
        let key = self.scratch.key.view();
        self.scratch.entry.clear();
        self.draft.write(&mut self.scratch.entry);
        match (nearest, had) {
            (Some(own), Some((octets, _))) if *self.entries.run(Ref(own.to), octets) == *self.scratch.entry => return,
            (Some(own), Some((octets, records))) => {
                match &mut self.rewritten {
                    // More may be added to the name, so whether it has changed is decided at the end.
                    Some(met) if !self.entries.is_own(Ref(own.to)) => met.replaced.push(own),
                    Some(_) => {}
                    None => self.changed = true,
                }
                self.entries.give_back(Ref(own.to), octets);
                self.records -= records;
                self.names -= 1;
                if self.draft.is_empty() {
                    return self.trie.remove(key);
                }
            }
            _ if self.draft.is_empty() => return,
            _ => self.changed = true,
        }
        let leaf = Leaf { to: self.entries.store(&self.scratch.entry).0, word: self.draft.flags() };
        if let Some(met) = &mut self.rewritten {
            met.meet(Ref(leaf.to));
        }
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

    /// Restores the base's entries for names that turn out unchanged, given all entries that were replaced.
    fn restore(&mut self, replaced: &[Leaf]) {
        for &leaf in replaced {
            let node = Node::read(self.origin.as_ref(), self.entries.tail(Ref(leaf.to)), leaf);
            let octets = node.octets();
            self.scratch.key.set(node.labels());
            let key = self.scratch.key.view();
            let entry = self.entries.run(Ref(leaf.to), octets);
            // An entry's octets determine its length, so no entry is a prefix of another.
            let is_now = |now: &Descent| self.entries.tail(Ref(now.leaf.to)).starts_with(entry);
            if self.trie.descend(key).as_ref().is_some_and(is_now) {
                // One entry dies and the other lives again; the number of dead octets stays the same.
                self.trie.replace(key, leaf);
            } else {
                self.changed = true;
            }
        }
    }

    /// Removes the base's names that the rewrite has not seen.
    fn remove_all_but(&mut self, met: &Met) {
        let base = self.base.clone();
        for leaf in base.0.trie.iter().filter(|leaf| !met.has(Ref(leaf.to))) {
            let node = base.read(leaf);
            self.scratch.key.set(node.labels());
            self.trie.remove(self.scratch.key.view());
            self.entries.free(node.octets());
            self.names -= 1;
            self.records -= node.records();
            self.changed = true;
        }
    }

    /// Copies all live entries, in canonical order, into fresh storage.
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
