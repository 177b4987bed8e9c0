//! The differences between two versions of a zone, or two zones of the same name, found by reading both side by side in
//! canonical order.

use std::{cmp::Ordering, iter::Peekable};

use super::{Node, ZoneData};

/// The difference at one name; see [`ZoneData::differences`].
#[derive(Clone, Copy)]
pub enum Difference<'a> {
    /// The name has data only in the old version.
    Removed(Node<'a>),
    /// The name has data only in the new version.
    Added(Node<'a>),
    /// The name's data differs.
    Changed {
        /// The name in the old version.
        old: Node<'a>,
        /// The name in the new version.
        new: Node<'a>,
    },
}

impl<'a> Difference<'a> {
    /// The node in the newest version that has the name.
    pub fn node(self) -> Node<'a> {
        match self {
            Difference::Removed(node) | Difference::Added(node) | Difference::Changed { new: node, .. } => node,
        }
    }
}

/// Iterates over differences; see [`ZoneData::differences`].
pub struct Differences<'a> {
    old: Peekable<Box<dyn Iterator<Item = Node<'a>> + 'a>>,
    new: Peekable<Box<dyn Iterator<Item = Node<'a>> + 'a>>,
}

impl<'a> Differences<'a> {
    pub(super) fn between(old: &'a ZoneData, new: &'a ZoneData) -> Self {
        let boxed = |zone: &'a ZoneData| Box::new(zone.iter()) as Box<dyn Iterator<Item = Node<'a>>>;
        Differences { old: boxed(old).peekable(), new: boxed(new).peekable() }
    }
}

impl<'a> Iterator for Differences<'a> {
    type Item = Difference<'a>;

    fn next(&mut self) -> Option<Difference<'a>> {
        loop {
            let order = match (self.old.peek(), self.new.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.canonical_cmp(*new),
            };
            match order {
                Ordering::Less => return self.old.next().map(Difference::Removed),
                Ordering::Greater => return self.new.next().map(Difference::Added),
                Ordering::Equal => {
                    if let (Some(old), Some(new)) = (self.old.next(), self.new.next())
                        && old != new
                    {
                        return Some(Difference::Changed { old, new });
                    }
                }
            }
        }
    }
}
