//! The entry that a zone stores for a name, one run of octets: the owner's labels below the origin, then its RRsets.
//!
//! ```text
//! owner length (1) | owner labels | number of RRsets (2) | RRset …
//! RRset: type (2) | records (2) | TTL (4) | octets that follow (4) | record …
//! record: RDLENGTH (2, network order) | RDATA, names uncompressed
//! ```
//! Numbers are little-endian except RDLENGTH, which is copied into messages as it stands. Records keep the order in
//! which they were added.

use std::{cmp::Ordering, collections::HashSet, mem};

use zonefmt::{Name, NameBuf, NameRef, Rtype};

use super::{Key, Leaf};

/// Bits of a leaf's word: what a lookup must know of a name without reading its entry.
pub(super) mod flag {
    /// The name has NS records and is not the apex: a zone cut.
    pub(in crate::zone) const CUT: u32 = 1;
    /// The name has a DNAME record: everything below it is elsewhere.
    pub(in crate::zone) const DNAME: u32 = 2;
}

/// A name of a zone and its data.
#[derive(Clone, Copy)]
pub struct Node<'z> {
    origin: NameRef<'z>,
    labels: &'z [u8],
    sets: &'z [u8],
    flags: u32,
}

/// The records of one owner and type.
#[derive(Clone, Copy)]
pub struct Rrset<'z> {
    /// The type.
    pub rtype: Rtype,
    /// The TTL in seconds, 0 to 2³¹−1 (RFC 2181 8).
    pub ttl: u32,
    count: u16,
    records: &'z [u8],
}

const SET_HEADER: usize = 12;

impl<'z> Node<'z> {
    /// Reads the entry at the start of `octets`.
    #[inline]
    pub(super) fn read(origin: NameRef<'z>, octets: &'z [u8], leaf: Leaf) -> Node<'z> {
        let (labels, sets) = octets[1..].split_at(usize::from(octets[0]));
        Node { origin, labels, sets, flags: leaf.word }
    }

    /// The owner's labels below the origin, in wire form without a final zero; empty at the apex.
    pub fn labels(self) -> &'z [u8] {
        self.labels
    }

    /// The name of the zone's apex.
    pub(crate) fn origin(self) -> NameRef<'z> {
        self.origin
    }

    /// The owner's full name.
    pub fn owner(self) -> Name {
        self.owner_into(&mut NameBuf::default()).to_owned()
    }

    /// The owner's length in wire form, in octets.
    pub(crate) fn owner_len(self) -> usize {
        self.labels.len() + self.origin.len()
    }

    /// Writes the owner's full name into a buffer.
    pub(crate) fn owner_into(self, buffer: &mut NameBuf) -> NameRef<'_> {
        let joined = buffer.set_parts(&[self.labels, self.origin.as_wire()]);
        joined.expect("a node was made of a name at or below its zone's origin");
        buffer.as_ref()
    }

    /// The RRsets, in the order in which their types were added.
    pub fn rrsets(self) -> impl Iterator<Item = Rrset<'z>> + Clone {
        let mut rest = &self.sets[2..];
        (0..u16_at(self.sets, 0)).map(move |_| {
            let (set, after) = Rrset::read(rest);
            rest = after;
            set
        })
    }

    /// The RRset of a type.
    #[inline]
    pub fn rrset(self, rtype: Rtype) -> Option<Rrset<'z>> {
        self.rrsets().find(|set| set.rtype == rtype)
    }

    /// Whether a zone cut lies here (RFC 1034 4.2).
    pub fn is_cut(self) -> bool {
        self.flags & flag::CUT != 0
    }

    /// Whether the name has these labels, ignoring case.
    #[inline]
    pub(super) fn is_named(self, labels: &[u8]) -> bool {
        self.labels == labels || self.labels.eq_ignore_ascii_case(labels)
    }

    /// Whether a name with these labels below the same origin is at or below this one.
    pub(crate) fn is_above(self, labels: &[u8]) -> bool {
        let mut at = 0;
        while at < labels.len() && labels.len() - at > self.labels.len() {
            at += 1 + usize::from(labels[at]);
        }
        labels.get(at..).is_some_and(|labels| self.is_named(labels))
    }

    /// Compares the owners of two nodes of one zone in canonical order (RFC 4034 6.1).
    pub(super) fn canonical_cmp(self, other: Node<'_>) -> Ordering {
        Key::of(self.labels).view().order(Key::of(other.labels).view())
    }

    /// The number of records in all RRsets.
    pub(super) fn records(self) -> usize {
        self.rrsets().map(Rrset::len).sum()
    }

    /// The length of the whole entry in octets.
    pub(super) fn octets(self) -> usize {
        let sets: usize = self.rrsets().map(|set| SET_HEADER + set.records.len()).sum();
        1 + self.labels.len() + 2 + sets
    }
}

impl PartialEq for Node<'_> {
    /// Nodes are equal if they have the same owner and the same RRsets in the same order; names inside RDATA are
    /// compared with case.
    fn eq(&self, other: &Node<'_>) -> bool {
        let (mine, theirs) = (self.octets(), other.octets());
        self.is_named(other.labels)
            && mine == theirs
            && self.sets[..mine - 1 - self.labels.len()] == other.sets[..theirs - 1 - other.labels.len()]
    }
}

impl<'z> Rrset<'z> {
    #[inline]
    fn read(octets: &'z [u8]) -> (Rrset<'z>, &'z [u8]) {
        let (header, rest) = octets.split_at(SET_HEADER);
        let (records, rest) = rest.split_at(u32_at(header, 8) as usize);
        let set = Rrset { rtype: Rtype(u16_at(header, 0)), count: u16_at(header, 2), ttl: u32_at(header, 4), records };
        (set, rest)
    }

    /// The number of records, at least one.
    #[allow(clippy::len_without_is_empty)] // An RRset is never empty.
    pub fn len(self) -> usize {
        usize::from(self.count)
    }

    /// The RDATA of each record in wire form, names uncompressed.
    #[inline]
    pub fn rdatas(self) -> impl Iterator<Item = &'z [u8]> + Clone {
        let mut rest = self.records;
        (0..self.count).map(move |_| {
            let (length, after) = rest.split_at(2);
            let (rdata, after) = after.split_at(usize::from(u16::from_be_bytes([length[0], length[1]])));
            rest = after;
            rdata
        })
    }

    /// Whether one of the records has this RDATA (RFC 2181 5).
    pub(crate) fn contains(self, rdata: &[u8]) -> bool {
        self.rdatas().any(|other| same_rdata(self.rtype, other, rdata))
    }

    /// The records as stored: RDLENGTH and RDATA, one after the other.
    pub(crate) fn records(self) -> &'z [u8] {
        self.records
    }
}

#[inline]
fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([octets[at], octets[at + 1]])
}

#[inline]
fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

/// An entry under change. One draft is reused for name after name, so a bulk load allocates only when it grows.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) labels: Vec<u8>,
    sets: Vec<SetDraft>,
    /// How many of `sets` are in use; the others are kept for their buffers.
    live: usize,
}

#[derive(Default)]
struct SetDraft {
    rtype: u16,
    ttl: u32,
    count: u16,
    records: Vec<u8>,
    /// The canonical RDATA of a large set, so that a duplicate is found without comparing it with every record.
    seen: HashSet<Box<[u8]>>,
}

/// Sets up to this size are searched record by record.
const SMALL_SET: u16 = 32;

/// The result of adding a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// The record is new.
    New,
    /// The record is new, and its RRset had this other TTL before (RFC 2181 5.2).
    OtherTtl(u32),
    /// The RRset already has the record.
    Duplicate,
}

impl Draft {
    pub(super) fn start(&mut self, labels: &[u8]) {
        self.labels.clear();
        self.labels.extend_from_slice(labels);
        self.live = 0;
    }

    /// Starts from an existing entry.
    pub(super) fn load(&mut self, node: Node<'_>) {
        self.start(node.labels);
        for set in node.rrsets() {
            let draft = self.fresh_set(set.rtype, set.ttl);
            draft.count = set.count;
            draft.records.extend_from_slice(set.records);
            if set.count > SMALL_SET {
                draft.seen = set.rdatas().map(|rdata| canonical(set.rtype, rdata)).collect();
            }
        }
    }

    /// Adds a record; `None` if the RRset already has 65,535, the maximum.
    pub(super) fn add(&mut self, rtype: Rtype, ttl: u32, rdata: &[u8]) -> Option<Added> {
        let set = match self.position(rtype) {
            Some(index) => &mut self.sets[index],
            None => self.fresh_set(rtype, ttl),
        };
        if set.count == u16::MAX {
            return None;
        }
        if set.holds(rdata) {
            return Some(Added::Duplicate);
        }
        set.push(rdata);
        Some(match mem::replace(&mut set.ttl, ttl) {
            before if before == ttl => Added::New,
            before => Added::OtherTtl(before),
        })
    }

    /// Removes an RRset and returns how many records it had.
    pub(super) fn remove(&mut self, rtype: Rtype) -> usize {
        let Some(index) = self.position(rtype) else { return 0 };
        self.live -= 1;
        self.sets[index..=self.live].rotate_left(1);
        usize::from(self.sets[self.live].count)
    }

    /// Removes one record, and with the last one its RRset. Returns whether it was there.
    pub(super) fn remove_record(&mut self, rtype: Rtype, rdata: &[u8]) -> bool {
        let Some(index) = self.position(rtype) else { return false };
        let removed = self.sets[index].take(rdata);
        if self.sets[index].count == 0 {
            self.remove(rtype);
        }
        removed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The number of types, and of records of this type.
    pub(super) fn sizes(&self, rtype: Rtype) -> (usize, usize) {
        (self.live, self.position(rtype).map_or(0, |index| usize::from(self.sets[index].count)))
    }

    pub(super) fn records(&self) -> usize {
        self.sets[..self.live].iter().map(|set| usize::from(set.count)).sum()
    }

    /// The flags of the entry's leaf.
    pub(super) fn flags(&self) -> u32 {
        let cut = !self.labels.is_empty() && self.position(Rtype::NS).is_some();
        let dname = self.position(Rtype::DNAME).is_some();
        u32::from(cut) * flag::CUT | u32::from(dname) * flag::DNAME
    }

    /// Appends the entry in its stored form.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.labels.len() as u8);
        out.extend_from_slice(&self.labels);
        out.extend_from_slice(&(self.live as u16).to_le_bytes());
        for set in &self.sets[..self.live] {
            out.extend_from_slice(&set.rtype.to_le_bytes());
            out.extend_from_slice(&set.count.to_le_bytes());
            out.extend_from_slice(&set.ttl.to_le_bytes());
            out.extend_from_slice(&(set.records.len() as u32).to_le_bytes());
            out.extend_from_slice(&set.records);
        }
    }

    fn position(&self, rtype: Rtype) -> Option<usize> {
        self.sets[..self.live].iter().position(|set| set.rtype == rtype.0)
    }

    fn fresh_set(&mut self, rtype: Rtype, ttl: u32) -> &mut SetDraft {
        if self.live == self.sets.len() {
            self.sets.push(SetDraft { records: Vec::with_capacity(64), ..SetDraft::default() });
        }
        let set = &mut self.sets[self.live];
        self.live += 1;
        (set.rtype, set.ttl, set.count) = (rtype.0, ttl, 0);
        set.records.clear();
        set.seen.clear();
        set
    }
}

impl SetDraft {
    fn as_rrset(&self) -> Rrset<'_> {
        Rrset { rtype: Rtype(self.rtype), ttl: self.ttl, count: self.count, records: &self.records }
    }

    fn holds(&mut self, rdata: &[u8]) -> bool {
        let rtype = Rtype(self.rtype);
        if self.count <= SMALL_SET {
            return self.as_rrset().rdatas().any(|other| same_rdata(rtype, other, rdata));
        }
        if self.seen.is_empty() {
            self.seen = self.as_rrset().rdatas().map(|other| canonical(rtype, other)).collect();
        }
        !self.seen.insert(canonical(rtype, rdata))
    }

    /// Removes a record and returns whether it was there.
    fn take(&mut self, rdata: &[u8]) -> bool {
        let rtype = Rtype(self.rtype);
        let mut end = 0;
        let found = self.as_rrset().rdatas().find_map(|other| {
            let start = end;
            end += 2 + other.len();
            same_rdata(rtype, other, rdata).then_some(start)
        });
        let Some(start) = found else { return false };
        self.records.drain(start..end);
        self.count -= 1;
        if self.count > SMALL_SET {
            self.seen.remove(&canonical(rtype, rdata));
        } else {
            // A small set does not keep it up to date.
            self.seen.clear();
        }
        true
    }

    fn push(&mut self, rdata: &[u8]) {
        self.records.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        self.records.extend_from_slice(rdata);
        self.count += 1;
    }
}

/// Whether two records of a type are equal (RFC 2181 5, RFC 4034 6.2).
fn same_rdata(rtype: Rtype, a: &[u8], b: &[u8]) -> bool {
    a == b || (a.eq_ignore_ascii_case(b) && canonical(rtype, a) == canonical(rtype, b))
}

fn canonical(rtype: Rtype, rdata: &[u8]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(rdata.len());
    zonefmt::rdata::canonical(rtype, rdata, &mut out);
    out.into()
}
