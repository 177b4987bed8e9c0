//! Persistent storage for runs of small items: what was committed never moves or changes, so any number of versions of a
//! zone share it; what an edit adds lives in chunks of its own until it is committed.
//!
//! A [`Ref`] names a run by chunk and offset in 32 bits. Committed chunks sit behind `Arc`s in a two-level directory, so
//! a commit copies one directory page and the short last chunk, however large the whole is. Runs that a newer version no
//! longer uses are only counted; the owner copies what lives into a fresh arena when too much is dead. Runs that an edit
//! stored and gave back leave holes, for what it stores next.

use std::sync::Arc;

use super::holes::Holes;

/// Where a run starts: chunk number and offset within it, packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ref(pub(super) u32);

/// How an item is stored: the split of a [`Ref`]'s bits, and the unit that offsets count in.
pub(super) trait Item: Copy {
    /// Bits of a [`Ref`] that hold the offset; the others hold the chunk.
    const OFFSET_BITS: u32;
    /// Items an offset step stands for; runs start at multiples of it.
    const ALIGN: usize;
    /// Fills the gap before an aligned run.
    const FILLER: Self;
}

/// Items in a chunk of a bulk load, at most; a longer run gets a chunk of its own.
const fn chunk_items<T: Item>() -> usize {
    (1 << T::OFFSET_BITS) * T::ALIGN
}

/// A last chunk below this size in octets is copied and continued by the next edit, so small edits do not leave a chunk each.
const TAIL_OCTETS: usize = 8 * 1024;

/// Octets that a new chunk has room for: as much as a small zone needs, so that loading many of them does not go into
/// growing. A commit keeps no more than is used.
const SMALL_CHUNK: usize = 512;

/// Chunks in a directory page.
const PAGE: usize = 64;

type Chunk<T> = Arc<[T]>;
type Page<T> = Arc<[Chunk<T>]>;

/// The committed chunks of one version.
pub(super) struct Arena<T> {
    pages: Arc<[Page<T>]>,
    chunks: usize,
    /// Items in all chunks, dead ones included.
    used: usize,
    /// Items in runs that were freed.
    dead: usize,
}

impl<T> Clone for Arena<T> {
    fn clone(&self) -> Self {
        Arena { pages: Arc::clone(&self.pages), ..*self }
    }
}

impl<T: Item> Arena<T> {
    pub(super) fn new() -> Self {
        Arena { pages: Arc::new([]), chunks: 0, used: 0, dead: 0 }
    }

    /// From the start of a run to the end of its chunk.
    #[inline]
    pub(super) fn tail(&self, at: Ref) -> &[T] {
        let chunk = chunk_of::<T>(at);
        &self.pages[chunk / PAGE][chunk % PAGE][offset::<T>(at)..]
    }

    /// A run of known length.
    #[inline]
    pub(super) fn run(&self, at: Ref, len: usize) -> &[T] {
        &self.tail(at)[..len]
    }

    /// Opens it for additions; this version stays as it is.
    pub(super) fn edit(&self) -> ArenaEdit<T> {
        ArenaEdit {
            base: self.clone(),
            committed: self.chunks,
            taken_over: 0,
            added: Vec::new(),
            used: self.used,
            dead: self.dead,
            holes: Holes::new(T::OFFSET_BITS),
        }
    }

    fn chunk(&self, index: usize) -> &Chunk<T> {
        &self.pages[index / PAGE][index % PAGE]
    }

    /// Octets held, dead ones included; the directory is not counted.
    pub(super) fn octets(&self) -> usize {
        self.used * size_of::<T>()
    }
}

fn chunk_of<T: Item>(at: Ref) -> usize {
    (at.0 >> T::OFFSET_BITS) as usize
}

fn offset<T: Item>(at: Ref) -> usize {
    (at.0 & ((1 << T::OFFSET_BITS) - 1)) as usize * T::ALIGN
}

/// An arena under change: the committed chunks of its base, and chunks of its own that may be written.
pub(super) struct ArenaEdit<T> {
    base: Arena<T>,
    /// How many of the base's chunks stand; the last one may have been taken over into `added`.
    committed: usize,
    /// Items that the first added chunk has from the base.
    taken_over: usize,
    added: Vec<Vec<T>>,
    used: usize,
    dead: usize,
    /// Where runs of its own were given back.
    holes: Holes,
}

impl<T: Item> ArenaEdit<T> {
    /// From the start of a run to the end of its chunk.
    #[inline]
    pub(super) fn tail(&self, at: Ref) -> &[T] {
        let chunk = chunk_of::<T>(at);
        match chunk.checked_sub(self.committed) {
            None => self.base.tail(at),
            Some(added) => &self.added[added][offset::<T>(at)..],
        }
    }

    /// A run of known length.
    #[inline]
    pub(super) fn run(&self, at: Ref, len: usize) -> &[T] {
        &self.tail(at)[..len]
    }

    /// The run itself, if this edit owns it and so may change it in place.
    #[inline]
    pub(super) fn owned(&mut self, at: Ref, len: usize) -> Option<&mut [T]> {
        let chunk = chunk_of::<T>(at);
        let added = chunk.checked_sub(self.committed)?;
        let start = offset::<T>(at);
        Some(&mut self.added[added][start..start + len])
    }

    /// Stores a run. The owner keeps the whole below half of what 32 bits can name (see [`ArenaEdit::wants_compaction`]).
    pub(super) fn store(&mut self, run: &[T]) -> Ref {
        if let Some(at) = self.fill(run) {
            return at;
        }
        if self.added.is_empty() {
            self.continue_last_chunk();
        }
        let full = |chunk: &Vec<T>| chunk.len().next_multiple_of(T::ALIGN) >= chunk_items::<T>();
        if self.added.last().is_none_or(full) {
            self.added.push(Vec::with_capacity(SMALL_CHUNK / size_of::<T>()));
        }
        let index = self.committed + self.added.len() - 1;
        // Compaction keeps the chunks of a version below half of this, the bound on a zone those of an edit.
        assert!(index >> (32 - T::OFFSET_BITS) == 0, "an arena has room for every chunk");
        let chunk = &mut self.added[index - self.committed];
        let before = chunk.len();
        let start = before.next_multiple_of(T::ALIGN);
        chunk.resize(start, T::FILLER);
        chunk.extend_from_slice(run);
        self.used += chunk.len() - before;
        Ref((index as u32) << T::OFFSET_BITS | (start / T::ALIGN) as u32)
    }

    /// Octets in runs that were not freed.
    pub(super) fn living_octets(&self) -> usize {
        self.used.saturating_sub(self.dead) * size_of::<T>()
    }

    /// Whether one more run can be named for certain.
    pub(super) fn has_room(&self) -> bool {
        (self.committed + self.added.len()) >> (32 - T::OFFSET_BITS) == 0
    }

    /// Whether this edit stored the run.
    pub(super) fn is_own(&self, at: Ref) -> bool {
        match chunk_of::<T>(at).checked_sub(self.committed) {
            Some(0) => offset::<T>(at) >= self.taken_over,
            added => added.is_some(),
        }
    }

    /// Frees a run; if it is this edit's own, others may take its place.
    pub(super) fn give_back(&mut self, at: Ref, len: usize) {
        self.free(len);
        if self.is_own(at) {
            self.holes.add(at.0, len.div_ceil(T::ALIGN) as u32);
        }
    }

    /// Stores a run in a hole.
    fn fill(&mut self, run: &[T]) -> Option<Ref> {
        let at = Ref(self.holes.take(run.len().div_ceil(T::ALIGN) as u32)?);
        let chunk = &mut self.added[chunk_of::<T>(at) - self.committed];
        let place = offset::<T>(at)..offset::<T>(at) + run.len();
        if chunk.len() < place.end {
            // The last run of a chunk ends where it ends, the hole with its last place.
            self.used += place.end - chunk.len();
            chunk.resize(place.end, T::FILLER);
        }
        chunk[place].copy_from_slice(run);
        self.reuse(run.len());
        Some(at)
    }

    /// Counts a run as dead.
    pub(super) fn free(&mut self, len: usize) {
        self.dead += len.next_multiple_of(T::ALIGN);
    }

    /// Counts a run that was freed as alive again: its owner wrote another one over it.
    pub(super) fn reuse(&mut self, len: usize) {
        self.dead -= len.next_multiple_of(T::ALIGN);
    }

    /// Whether copying the living is worth it: much is dead, little room for chunks is left, or most was just loaded and
    /// lies in the order of its coming.
    pub(super) fn wants_compaction(&self) -> bool {
        let many_chunks = (self.committed + self.added.len()) >> (32 - T::OFFSET_BITS - 1) != 0;
        let added: usize = self.added.iter().map(Vec::len).sum();
        let worth = self.dead * 10 > self.used * 3 || added * 2 > self.used;
        many_chunks || (worth && self.used * size_of::<T>() > TAIL_OCTETS)
    }

    /// Freezes the additions and gives the new version.
    pub(super) fn commit(self) -> Arena<T> {
        if self.added.is_empty() {
            return Arena { used: self.used, dead: self.dead, ..self.base };
        }
        let chunks = self.committed + self.added.len();
        let kept_pages = self.committed / PAGE;
        let mut pages = self.base.pages[..kept_pages].to_vec();
        let mut page: Vec<Chunk<T>> =
            (kept_pages * PAGE..self.committed).map(|i| Arc::clone(self.base.chunk(i))).collect();
        for chunk in self.added {
            if page.len() == PAGE {
                pages.push(std::mem::take(&mut page).into());
            }
            page.push(chunk.into());
        }
        pages.push(page.into());
        Arena { pages: pages.into(), chunks, used: self.used, dead: self.dead }
    }

    fn continue_last_chunk(&mut self) {
        if let Some(last) = self.committed.checked_sub(1) {
            let chunk = self.base.chunk(last);
            if size_of_val(&**chunk) < TAIL_OCTETS {
                self.taken_over = chunk.len();
                self.added.push(chunk.to_vec());
                self.committed = last;
            }
        }
    }
}

impl Item for u8 {
    const OFFSET_BITS: u32 = 18;
    const ALIGN: usize = 4;
    const FILLER: u8 = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_keep_what_they_had() {
        let empty = Arena::<u8>::new();
        let mut edit = empty.edit();
        let a = edit.store(b"first");
        let one = edit.commit();
        let mut edit = one.edit();
        let b = edit.store(b"second");
        edit.owned(a, 5).unwrap().copy_from_slice(b"FIRST"); // The tail was taken over, as a copy.
        let two = edit.commit();
        assert_eq!(one.run(a, 5), b"first");
        assert_eq!(two.run(a, 5), b"FIRST");
        assert_eq!(two.run(b, 6), b"second");
        assert_eq!(two.chunks, 1);
    }

    #[test]
    fn runs_that_grow_in_turns_leave_no_more_than_they_take() {
        let run = |owner: u8, len: usize| vec![owner; len];
        let mut base = Arena::<u8>::new().edit();
        let kept = base.store(b"kept");
        let mut edit = base.commit().edit();
        let mut owners: Vec<(Ref, usize)> = (0..3).map(|owner| (edit.store(&run(owner, 1)), 1)).collect();
        for turn in 0..3000 {
            let owner = turn % owners.len();
            let (at, len) = owners[owner];
            assert_eq!(edit.run(at, len), run(owner as u8, len));
            edit.give_back(at, len);
            let longer = len + 1 + turn % 7;
            owners[owner] = (edit.store(&run(owner as u8, longer)), longer);
            assert!(edit.used < 4 * edit.living_octets() + 64, "turn {turn}: {} octets", edit.used);
        }
        let living: usize = owners.iter().map(|(_, len)| len.next_multiple_of(4)).sum();
        assert!((living..living + 64).contains(&edit.living_octets()), "{living} of {}", edit.living_octets());
        edit.give_back(kept, 4);
        edit.store(b"new");
        assert_eq!(edit.run(kept, 4), b"kept", "what the base stored stays, as its readers may");
    }

    #[test]
    fn long_runs_and_many_chunks() {
        let long = vec![7; 3 << 20];
        let mut arena = Arena::<u8>::new();
        let mut refs = Vec::new();
        for i in 0..200_u8 {
            let mut edit = arena.edit();
            refs.push(edit.store(&vec![i; 9000]));
            arena = edit.commit();
        }
        let mut edit = arena.edit();
        let at = edit.store(&long);
        let after = edit.store(b"after");
        arena = edit.commit();
        assert_eq!(arena.run(at, long.len()), long);
        assert_eq!(arena.run(after, 5), b"after");
        for (i, at) in refs.into_iter().enumerate() {
            assert_eq!(arena.run(at, 9000), vec![i as u8; 9000]);
        }
    }
}
