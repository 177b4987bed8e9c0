//! A zone said anew from its first record to its last, as when its file is read again. The version that comes out holds
//! what was said and nothing else, and shares with the one before all names that are as they were: it costs what
//! changed, in memory, and no second copy of the zone is ever made.

use super::{
    Edit, Leaf, ZoneData,
    arena::{Item, Ref},
};

impl ZoneData {
    /// Opens it to be said anew: a name has nothing until something is added to it, and what nothing was added to goes
    /// with [`Edit::commit`]. If all is as it was, that gives this very version.
    pub fn rewrite(&self) -> Edit {
        let mut edit = self.edit();
        edit.rewritten = Some(Met::default());
        edit
    }
}

/// What has come up in a rewrite.
#[derive(Default)]
pub(super) struct Met {
    /// The entries of names that did; a bit for each place where an entry may start.
    places: Vec<Vec<u64>>,
    /// The base's leaves that others took the place of.
    pub(super) replaced: Vec<Leaf>,
}

impl Met {
    /// Takes note of an entry; gives whether it came up for the first time.
    pub(super) fn meet(&mut self, at: Ref) -> bool {
        let (chunk, word, bit) = place(at);
        if chunk >= self.places.len() {
            self.places.resize(chunk + 1, Vec::new());
        }
        let words = &mut self.places[chunk];
        if word >= words.len() {
            words.resize(word + 1, 0);
        }
        let first = words[word] & bit == 0;
        words[word] |= bit;
        first
    }

    pub(super) fn has(&self, at: Ref) -> bool {
        let (chunk, word, bit) = place(at);
        self.places.get(chunk).and_then(|words| words.get(word)).is_some_and(|word| word & bit != 0)
    }
}

/// Chunk, word in it and bit in that.
fn place(at: Ref) -> (usize, usize, u64) {
    let offset = at.0 & ((1 << <u8 as Item>::OFFSET_BITS) - 1);
    ((at.0 >> <u8 as Item>::OFFSET_BITS) as usize, (offset / u64::BITS) as usize, 1 << (offset % u64::BITS))
}
