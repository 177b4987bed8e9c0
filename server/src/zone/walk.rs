//! A walk through all names of a zone that can be interrupted and goes on later, as long as it takes: it holds its
//! version of the zone.

use super::{Leaf, Node, ZoneData, trie::Cursor};

/// A walk through the names of a zone that have data, in canonical order.
pub(crate) struct Walk {
    zone: ZoneData,
    cursor: Cursor,
    at: Option<Leaf>,
}

impl ZoneData {
    /// A walk that begins at the first name, which is the apex if that has data.
    pub(crate) fn walk(&self) -> Walk {
        let mut walk = Walk { zone: self.clone(), cursor: self.0.trie.cursor(), at: None };
        walk.advance();
        walk
    }
}

impl Walk {
    /// The zone.
    pub(crate) fn zone(&self) -> &ZoneData {
        &self.zone
    }

    /// The name that the walk has reached; `None` after the last one.
    #[inline]
    pub(crate) fn node(&self) -> Option<Node<'_>> {
        self.at.map(|leaf| self.zone.read(leaf))
    }

    /// Goes on to the next name.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.at = self.cursor.next(&self.zone.0.trie);
    }
}
