//! Lookups: what the zone says of a name. RFC 1034 4.3.2 step 3, with RFC 4592 for wildcards and RFC 6672 for DNAME.

use super::{
    Key, KeyRef, Leaf, Node, ZoneData,
    entry::flag::{CUT, DNAME},
};

/// A name below an origin, prepared for lookups.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The labels below the origin in wire form.
    pub(crate) labels: &'a [u8],
    /// The same labels as a key.
    pub(crate) key: KeyRef<'a>,
}

/// Working memory of lookups, reused from one to the next.
pub(crate) struct Spare {
    nearest: Key,
    wildcard: Key,
}

impl Spare {
    pub(crate) fn new() -> Spare {
        Spare { nearest: Key::new(), wildcard: Key::new() }
    }
}

/// The result of a lookup.
#[derive(Clone, Copy)]
pub(crate) enum Found<'z> {
    /// The name has data. It may itself be a cut: [`Node::is_cut`].
    Exact(Node<'z>),
    /// The name does not exist, but this wildcard covers it.
    Wildcard(Node<'z>),
    /// The name lies below this zone cut.
    Delegation(Node<'z>),
    /// The name lies below this DNAME.
    Dname(Node<'z>),
    /// The name is an empty non-terminal (names below it have data), or is covered by a wildcard that is one.
    Ent,
    /// The name does not exist.
    NoName,
}

impl ZoneData {
    /// Finds what the zone says of a name at or below its origin. `spare` is working memory.
    pub(crate) fn find(&self, target: Target<'_>, spare: &mut Spare) -> Found<'_> {
        let stops = |leaf: Leaf| leaf.word & (CUT | DNAME) != 0;
        let mut crossing: Option<(usize, Leaf)> = None;
        let descent = self.0.trie.descend(target.key, |at, leaf| {
            if stops(leaf) && crossing.is_none() {
                crossing = Some((at, leaf));
            }
        });
        let Some(descent) = descent else { return Found::NoName };
        let nearest = self.read(descent.leaf);
        let exact = descent.followed && nearest.is_named(target.labels);
        if exact && crossing.is_none() {
            return Found::Exact(nearest);
        }
        let (agreed, nearest_ends) =
            if exact { (target.key.len(), false) } else { agreement(target.key, nearest, &mut spare.nearest) };
        let crossing = crossing.filter(|&(at, _)| at <= agreed).or_else(|| {
            // If nothing branches off below a cut or DNAME, the descent ended there instead of passing it.
            (nearest_ends && stops(descent.leaf)).then_some((agreed, descent.leaf))
        });
        match crossing.map(|(_, leaf)| self.read(leaf)) {
            Some(node) if node.is_cut() => Found::Delegation(node),
            Some(node) => Found::Dname(node),
            None if agreed == target.key.len() => Found::Ent,
            None => self.synthesize(target.key, agreed, spare),
        }
    }

    /// The data at exactly this name, whatever cut or DNAME lies above it; used for glue.
    pub(crate) fn at(&self, target: Target<'_>) -> Option<Node<'_>> {
        let descent = self.0.trie.descend(target.key, |_, _| ())?;
        let node = self.read(descent.leaf);
        (descent.followed && node.is_named(target.labels)).then_some(node)
    }

    /// Looks for a wildcard below the closest encloser of a name that does not exist.
    fn synthesize(&self, key: KeyRef<'_>, agreed: usize, spare: &mut Spare) -> Found<'_> {
        let boundary = key.boundary_before(agreed);
        spare.wildcard.set_wildcard_below(key.above(boundary));
        let wildcard = spare.wildcard.view();
        let Some(descent) = self.0.trie.descend(wildcard, |_, _| ()) else { return Found::NoName };
        let nearest = self.read(descent.leaf);
        match agreement(wildcard, nearest, &mut spare.nearest) {
            (agreed, _) if agreed < wildcard.len() => Found::NoName,
            (_, false) => Found::Ent,
            (_, true) => Found::Wildcard(nearest),
        }
    }
}

/// The number of positions in which a key agrees with the key of a node, and whether the node's key ends there.
fn agreement(key: KeyRef<'_>, node: Node<'_>, own: &mut Key) -> (usize, bool) {
    own.set(node.labels());
    let agreed = key.mismatch(own.view()).unwrap_or(key.len());
    (agreed, own.view().len() == agreed)
}
