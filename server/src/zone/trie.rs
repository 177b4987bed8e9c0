//! The index of names: a copy-on-write qp-trie, which is a radix tree that stores only the positions where names
//! differ.
//!
//! A node is twelve octets. A branch names the key position that it decides on, has one bit for each number that occurs
//! there, and points to its twigs, which lie side by side in that order. A leaf carries a word and a reference to data,
//! both chosen by the trie's owner. The ancestors of a name hang off the branches on its path as twig 0, so one descent
//! finds a name, what encloses it and every cut above it. Reading the twigs in order gives canonical order.

use super::{
    arena::{Arena, ArenaEdit, Item, Ref},
    key::KeyRef,
};

/// A version of the trie.
#[derive(Clone)]
pub(crate) struct Trie {
    root: Option<Node>,
    nodes: Arena<Node>,
}

/// What the trie stores for a name: a reference and a word, both chosen by the trie's owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Leaf {
    /// The location of the data.
    pub(crate) to: u32,
    /// What must be known without reading the data.
    pub(crate) word: u32,
}

/// The end of a descent.
pub(crate) struct Descent {
    /// The leaf at the end. No leaf shares a longer prefix with the key, but the leaf's own key may still differ.
    pub(crate) leaf: Leaf,
    /// Whether the key led all the way; if not, no leaf has this key.
    pub(crate) followed: bool,
}

#[derive(Clone, Copy)]
struct Node {
    low: u32,
    high: u32,
    to: u32,
}

/// A node, unpacked.
enum View {
    Leaf(Leaf),
    Branch(Branch),
}

#[derive(Clone, Copy)]
struct Branch {
    /// One bit for each number that occurs at `position`; bits 0 to 47.
    bitmap: u64,
    position: usize,
    twigs: Ref,
}

const BRANCH: u32 = 1 << 31;
const POSITION_SHIFT: u32 = 16;
const HIGH_BITMAP: u32 = (1 << POSITION_SHIFT) - 1;

impl Item for Node {
    const OFFSET_BITS: u32 = 16;
    const ALIGN: usize = 1;
    const FILLER: Node = Node { low: 0, high: 0, to: 0 };
}

impl Node {
    fn leaf(leaf: Leaf) -> Node {
        debug_assert!(leaf.word & BRANCH == 0);
        Node { low: 0, high: leaf.word, to: leaf.to }
    }

    fn branch(branch: Branch) -> Node {
        let high = BRANCH | (branch.position as u32) << POSITION_SHIFT | (branch.bitmap >> 32) as u32;
        Node { low: branch.bitmap as u32, high, to: branch.twigs.0 }
    }

    #[inline]
    fn view(self) -> View {
        if self.high & BRANCH == 0 {
            return View::Leaf(Leaf { to: self.to, word: self.high });
        }
        View::Branch(Branch {
            bitmap: u64::from(self.low) | u64::from(self.high & HIGH_BITMAP) << 32,
            position: ((self.high & !BRANCH) >> POSITION_SHIFT) as usize,
            twigs: Ref(self.to),
        })
    }
}

impl Branch {
    fn len(self) -> usize {
        self.bitmap.count_ones() as usize
    }

    fn has(self, number: u8) -> bool {
        self.bitmap >> number & 1 != 0
    }

    /// The index of the twig for a number, or where it would be inserted.
    fn index(self, number: u8) -> usize {
        (self.bitmap & ((1 << number) - 1)).count_ones() as usize
    }
}

impl Trie {
    pub(crate) fn new() -> Trie {
        Trie { root: None, nodes: Arena::new() }
    }

    /// Follows a key. `ancestor` is called with the key length and the leaf of every possible encloser on the way, top
    /// down. Such a leaf really encloses the name if the key's first difference to the final leaf is not before that
    /// length.
    #[inline]
    pub(crate) fn descend(&self, key: KeyRef<'_>, mut ancestor: impl FnMut(usize, Leaf)) -> Option<Descent> {
        let mut node = self.root?;
        let mut followed = true;
        loop {
            let branch = match node.view() {
                View::Leaf(leaf) => return Some(Descent { leaf, followed }),
                View::Branch(branch) => branch,
            };
            let twigs = self.nodes.tail(branch.twigs);
            let number = key.at(branch.position);
            if !followed || !branch.has(number) {
                followed = false;
                node = twigs[0];
                continue;
            }
            if number != 0
                && branch.has(0)
                && key.is_boundary(branch.position)
                && let View::Leaf(leaf) = twigs[0].view()
            {
                ancestor(branch.position, leaf);
            }
            node = twigs[branch.index(number)];
        }
    }

    /// The leaves in the order of their keys.
    pub(crate) fn iter(&self) -> Leaves<'_> {
        Leaves { trie: self, cursor: self.cursor() }
    }

    /// A position before the first leaf.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { root: self.root, pending: Vec::new() }
    }

    pub(crate) fn edit(&self) -> TrieEdit {
        TrieEdit { root: self.root, nodes: self.nodes.edit(), spare: Vec::new() }
    }

    pub(crate) fn octets(&self) -> usize {
        self.nodes.octets()
    }
}

/// Iterates over a trie's leaves; see [`Trie::iter`].
pub(crate) struct Leaves<'t> {
    trie: &'t Trie,
    cursor: Cursor,
}

impl Iterator for Leaves<'_> {
    type Item = Leaf;

    fn next(&mut self) -> Option<Leaf> {
        self.cursor.next(self.trie)
    }
}

/// A position among a trie's leaves; see [`Trie::cursor`].
pub(crate) struct Cursor {
    root: Option<Node>,
    /// The runs of twigs on the way, and how many twigs of each are passed.
    pending: Vec<(Ref, usize, usize)>,
}

impl Cursor {
    /// The next leaf, of the trie that the cursor was made for.
    #[inline]
    pub(crate) fn next(&mut self, trie: &Trie) -> Option<Leaf> {
        let mut node = match self.root.take() {
            Some(root) => root,
            None => loop {
                let (twigs, passed, len) = self.pending.last_mut()?;
                if passed < len {
                    *passed += 1;
                    break trie.nodes.run(*twigs, *len)[*passed - 1];
                }
                self.pending.pop();
            },
        };
        loop {
            match node.view() {
                View::Leaf(leaf) => return Some(leaf),
                View::Branch(branch) => {
                    node = *trie.nodes.run(branch.twigs, branch.len()).first()?;
                    self.pending.push((branch.twigs, 1, branch.len()));
                }
            }
        }
    }
}

/// A trie under change. The version that it was opened from stays as it is.
pub(crate) struct TrieEdit {
    root: Option<Node>,
    nodes: ArenaEdit<Node>,
    /// Runs of this edit that were freed and can be reused, by length.
    spare: Vec<Vec<Ref>>,
}

/// Where a node is stored: the root, or a twig in a run that this edit owns.
#[derive(Clone, Copy)]
enum Place {
    Root,
    Twig { run: Ref, index: usize },
}

impl TrieEdit {
    /// Follows a key; see [`Trie::descend`].
    pub(crate) fn descend(&self, key: KeyRef<'_>) -> Option<Descent> {
        let mut node = self.root?;
        let mut followed = true;
        loop {
            match node.view() {
                View::Leaf(leaf) => return Some(Descent { leaf, followed }),
                View::Branch(branch) => {
                    let number = key.at(branch.position);
                    followed = followed && branch.has(number);
                    let index = if followed { branch.index(number) } else { 0 };
                    node = self.nodes.tail(branch.twigs)[index];
                }
            }
        }
    }

    /// Adds a leaf. `nearest` is the key of the leaf that [`TrieEdit::descend`] returned, or `None` if it returned
    /// none; it must differ from `key`.
    pub(crate) fn insert(&mut self, key: KeyRef<'_>, leaf: Leaf, nearest: Option<KeyRef<'_>>) {
        let leaf = Node::leaf(leaf);
        let Some((nearest, position)) = nearest.and_then(|near| Some((near, key.mismatch(near)?))) else {
            self.root = Some(leaf);
            return;
        };
        let (number, other) = (key.at(position), nearest.at(position));
        let (place, node) = self.walk(key, position);
        let branch = match node.view() {
            View::Branch(branch) if branch.position == position => {
                let index = branch.index(number);
                let mut twigs = [Item::FILLER; super::key::NUMBERS as usize];
                let old = self.nodes.run(branch.twigs, branch.len());
                twigs[..index].copy_from_slice(&old[..index]);
                twigs[index] = leaf;
                twigs[index + 1..=old.len()].copy_from_slice(&old[index..]);
                let run = self.store(&twigs[..=branch.len()]);
                self.free(branch.twigs, branch.len());
                Branch { bitmap: branch.bitmap | 1 << number, position, twigs: run }
            }
            _ => {
                let twigs = if number < other { [leaf, node] } else { [node, leaf] };
                Branch { bitmap: 1 << number | 1 << other, position, twigs: self.store(&twigs) }
            }
        };
        self.put(place, Node::branch(branch));
    }

    /// Replaces the leaf of an existing key.
    pub(crate) fn replace(&mut self, key: KeyRef<'_>, leaf: Leaf) {
        let (place, _) = self.walk(key, usize::MAX);
        self.put(place, Node::leaf(leaf));
    }

    /// Removes the leaf of an existing key.
    pub(crate) fn remove(&mut self, key: KeyRef<'_>) {
        let mut place = Place::Root;
        let Some(mut node) = self.root else { return };
        while let View::Branch(branch) = node.view() {
            let index = branch.index(key.at(branch.position));
            if let View::Leaf(_) = self.nodes.tail(branch.twigs)[index].view() {
                return self.drop_twig(place, branch, index, key.at(branch.position));
            }
            (place, node) = self.step(place, branch, index);
        }
        self.root = None;
    }

    pub(crate) fn wants_compaction(&self) -> bool {
        self.nodes.wants_compaction()
    }

    /// Copies all live nodes into a fresh trie; `relocate` returns the new reference of each leaf.
    pub(crate) fn compact(&self, mut relocate: impl FnMut(u32) -> u32) -> TrieEdit {
        let mut fresh = TrieEdit { root: None, nodes: Arena::new().edit(), spare: Vec::new() };
        fresh.root = self.root.map(|root| self.copy_below(root, &mut fresh, &mut relocate));
        fresh
    }

    pub(crate) fn commit(self) -> Trie {
        Trie { root: self.root, nodes: self.nodes.commit() }
    }

    /// Makes every run on the way to the first node at or beyond `limit` the edit's own, and returns that node with its
    /// place.
    fn walk(&mut self, key: KeyRef<'_>, limit: usize) -> (Place, Node) {
        let mut place = Place::Root;
        let mut node = self.root.unwrap_or(Item::FILLER);
        while let View::Branch(branch) = node.view() {
            if branch.position >= limit {
                break;
            }
            (place, node) = self.step(place, branch, branch.index(key.at(branch.position)));
        }
        (place, node)
    }

    /// Makes a branch's run the edit's own and moves on to one of its twigs.
    fn step(&mut self, place: Place, branch: Branch, index: usize) -> (Place, Node) {
        let mut run = branch.twigs;
        if self.nodes.owned(run, branch.len()).is_none() {
            let mut twigs = [Item::FILLER; super::key::NUMBERS as usize];
            twigs[..branch.len()].copy_from_slice(self.nodes.run(run, branch.len()));
            run = self.store(&twigs[..branch.len()]);
            self.nodes.free(branch.len());
            self.put(place, Node::branch(Branch { twigs: run, ..branch }));
        }
        (Place::Twig { run, index }, self.nodes.tail(run)[index])
    }

    fn put(&mut self, place: Place, node: Node) {
        match place {
            Place::Root => self.root = Some(node),
            Place::Twig { run, index } => {
                if let Some(twigs) = self.nodes.owned(run, index + 1) {
                    twigs[index] = node;
                }
            }
        }
    }

    /// Removes one twig from a branch; a branch left with a single twig is replaced by it.
    fn drop_twig(&mut self, place: Place, branch: Branch, index: usize, number: u8) {
        let mut twigs = [Item::FILLER; super::key::NUMBERS as usize];
        let old = self.nodes.run(branch.twigs, branch.len());
        twigs[..index].copy_from_slice(&old[..index]);
        twigs[index..old.len() - 1].copy_from_slice(&old[index + 1..]);
        let left = branch.len() - 1;
        self.free(branch.twigs, branch.len());
        let node = match left {
            1 => twigs[0],
            _ => {
                let run = self.store(&twigs[..left]);
                Node::branch(Branch { bitmap: branch.bitmap & !(1 << number), twigs: run, ..branch })
            }
        };
        self.put(place, node);
    }

    fn store(&mut self, run: &[Node]) -> Ref {
        if let Some(at) = self.spare.get_mut(run.len()).and_then(Vec::pop)
            && let Some(slot) = self.nodes.owned(at, run.len())
        {
            slot.copy_from_slice(run);
            self.nodes.reuse(run.len());
            return at;
        }
        self.nodes.store(run)
    }

    fn free(&mut self, run: Ref, len: usize) {
        self.nodes.free(len);
        if self.nodes.owned(run, len).is_some() {
            self.spare.resize_with(self.spare.len().max(len + 1), Vec::new);
            self.spare[len].push(run);
        }
    }

    fn copy_below(&self, node: Node, fresh: &mut TrieEdit, relocate: &mut impl FnMut(u32) -> u32) -> Node {
        match node.view() {
            View::Leaf(leaf) => Node::leaf(Leaf { to: relocate(leaf.to), ..leaf }),
            View::Branch(branch) => {
                let twigs = self.nodes.run(branch.twigs, branch.len());
                let run = fresh.nodes.store(twigs);
                for (index, &twig) in twigs.iter().enumerate() {
                    let copy = self.copy_below(twig, fresh, relocate);
                    fresh.put(Place::Twig { run, index }, copy);
                }
                Node::branch(Branch { twigs: run, ..branch })
            }
        }
    }
}
