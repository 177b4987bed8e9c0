//! The owners of a zone, in one hash table over one block of octets.

use std::{hash::BuildHasher, ops::BitOr};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use crate::{NameRef, zone::Location};

/// The index of an owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Id(u32);

/// The facts about an owner.
pub(super) struct Node {
    hash: u64,
    start: usize,
    len: u8,
    pub facts: Facts,
    /// The octets of all its data, including two for the length of each record.
    pub size: u32,
    /// The index of its CNAME or DNAME among the records that are kept.
    pub single: Option<u32>,
    /// The place of its first record.
    pub at: Location,
}

/// The kinds of data that an owner has.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Facts(u8);

/// All owners. Their names are in lower case.
pub(super) struct Names {
    octets: Vec<u8>,
    nodes: Vec<Node>,
    table: HashTable<Id>,
    hasher: DefaultHashBuilder,
}

impl Names {
    /// Creates a table with room for about that many names before it grows.
    pub fn with_capacity(names: usize) -> Names {
        Names {
            octets: Vec::with_capacity(names * 16),
            nodes: Vec::with_capacity(names),
            table: HashTable::with_capacity(names),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Finds or adds the owner of that name. The flag says whether it is new.
    pub fn add(&mut self, name: NameRef<'_>, at: Location) -> (Id, bool) {
        let start = self.octets.len();
        self.octets.extend_from_slice(name.as_wire());
        self.octets[start..].make_ascii_lowercase();
        let hash = self.hasher.hash_one(&self.octets[start..]);
        let Names { octets: all, nodes, table, .. } = self;
        let same = |&id: &Id| octets(all, nodes, id) == &all[start..];
        match table.entry(hash, same, |&Id(id)| nodes[id as usize].hash) {
            Entry::Occupied(entry) => {
                let id = *entry.get();
                all.truncate(start);
                (id, false)
            }
            Entry::Vacant(entry) => {
                let id = Id(nodes.len() as u32);
                entry.insert(id);
                let len = name.len() as u8;
                nodes.push(Node { hash, start, len, facts: Facts::default(), size: 0, single: None, at });
                (id, true)
            }
        }
    }

    pub fn find(&self, name: NameRef<'_>) -> Option<&Node> {
        let mut lower = [0; crate::MAX_NAME];
        let lower = &mut lower[..name.len()];
        lower.copy_from_slice(name.as_wire());
        lower.make_ascii_lowercase();
        let hash = self.hasher.hash_one(&*lower);
        let id = self.table.find(hash, |&id| octets(&self.octets, &self.nodes, id) == lower)?;
        self.nodes.get(id.0 as usize)
    }

    pub fn node(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    pub fn name(&self, id: Id) -> NameRef<'_> {
        self.name_of(&self.nodes[id.0 as usize])
    }

    pub fn name_of(&self, node: &Node) -> NameRef<'_> {
        let octets = &self.octets[node.start..][..usize::from(node.len)];
        NameRef::from_wire(octets).expect("the octets of a name in lower case are a name")
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// Adds the empty non-terminals between the owners and `apex`.
    pub fn add_ancestors(&mut self, apex: NameRef<'_>) {
        for index in 0..self.nodes.len() {
            let at = self.nodes[index].at;
            let name = self.name_of(&self.nodes[index]).to_owned();
            let mut ancestor = name.as_ref().parent();
            while let Some(name) = ancestor.filter(|name| name.len() > apex.len()) {
                if !self.add(name, at).1 {
                    break;
                }
                ancestor = name.parent();
            }
        }
    }
}

fn octets<'n>(all: &'n [u8], nodes: &[Node], Id(id): Id) -> &'n [u8] {
    let node = &nodes[id as usize];
    &all[node.start..][..usize::from(node.len)]
}

impl Facts {
    pub const CNAME: Facts = Facts(1);
    pub const ADDRESS: Facts = Facts(2);
    /// A type, other than an address, that may not be beside a CNAME.
    pub const OTHER: Facts = Facts(4);
    pub const NS: Facts = Facts(8);
    pub const DNAME: Facts = Facts(16);
    pub const SPF: Facts = Facts(32);
    pub const SPF_IN_TXT: Facts = Facts(64);

    pub fn has(self, any: Facts) -> bool {
        self.0 & any.0 != 0
    }
}

impl BitOr for Facts {
    type Output = Facts;

    fn bitor(self, other: Facts) -> Facts {
        Facts(self.0 | other.0)
    }
}

/// The key tag of a DNSKEY (RFC 4034 appendix B; algorithm 1 is never accepted).
pub(super) fn key_tag(key: &[u8]) -> u16 {
    let sum = key.chunks(2).fold(0_u32, |sum, pair| {
        let [high, low] = [pair[0], pair.get(1).copied().unwrap_or(0)];
        sum.wrapping_add(u32::from(u16::from_be_bytes([high, low])))
    });
    (sum.wrapping_add(sum >> 16) & 0xFFFF) as u16
}
