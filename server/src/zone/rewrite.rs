//! Replaces a zone's whole content, from its first record to its last, as when its file is read again. The new version
//! holds only what was added during the rewrite and shares all unchanged names with the old one: it costs memory only
//! for what changed, and the zone is never held twice.

use super::{
    Edit, Leaf, ZoneData,
    arena::{Item, Ref},
};

impl ZoneData {
    /// Opens the zone for a rewrite. Every name starts empty, and [`Edit::commit`] removes the names to which nothing
    /// was added. If the content is unchanged, the commit returns this very version.
    pub fn rewrite(&self) -> Edit {
        let mut edit = self.edit();
        edit.rewritten = Some(Met::default());
        edit
    }
}

/// The names seen in a rewrite.
#[derive(Default)]
pub(super) struct Met {
    /// The entries of the names seen: a bit for each place where an entry may start.
    places: Vec<Vec<u64>>,
    /// The base's leaves that were replaced.
    pub(super) replaced: Vec<Leaf>,
}

impl Met {
    /// Marks an entry as seen and returns whether it is for the first time.
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

/// The chunk, the word in it and the bit in that word.
fn place(at: Ref) -> (usize, usize, u64) {
    let offset = at.0 & ((1 << <u8 as Item>::OFFSET_BITS) - 1);
    ((at.0 >> <u8 as Item>::OFFSET_BITS) as usize, (offset / u64::BITS) as usize, 1 << (offset % u64::BITS))
}
