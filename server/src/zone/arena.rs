//! Persistent storage for runs of small items. Committed runs never move or change, so any number of versions of a zone
//! can share them. An edit adds to chunks of its own until it is committed.
//!
//! A [`Ref`] names a run by chunk and offset in 32 bits. Committed chunks sit behind `Arc`s in a two-level directory,
//! so a commit copies one directory page and the short last chunk, however large the whole is. Runs that a newer
//! version no longer uses are only counted; the owner copies the live ones into a fresh arena when too many are dead.
//! Runs that an edit stored and freed again leave holes, which its next runs can fill.

use std::sync::Arc;

use super::holes::Holes;

/// The start of a run: chunk number and offset within the chunk, packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ref(pub(super) u32);

/// An item that can be stored, with the split of a [`Ref`]'s bits and the unit of its offsets.
pub(super) trait Item: Copy {
    /// The bits of a [`Ref`] that hold the offset; the others hold the chunk.
    const OFFSET_BITS: u32;
    /// The number of items per offset step; runs start at multiples of it.
    const ALIGN: usize;
    /// Fills the gap before an aligned run.
    const FILLER: Self;
}

/// The most items in a chunk of a bulk load; a longer run gets a chunk of its own.
const fn chunk_items<T: Item>() -> usize {
    (1 << T::OFFSET_BITS) * T::ALIGN
}

/// If the last chunk is smaller than this, in octets, the next edit copies and continues it, so that small edits do not
/// each leave a chunk behind.
const TAIL_OCTETS: usize = 8 * 1024;

/// The initial capacity of a new chunk, in octets: enough for a small zone, so that loading many of them spends no time
/// on growing buffers. A commit keeps no more than is used.
const SMALL_CHUNK: usize = 512;

/// The number of chunks in a directory page.
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

    /// The items from the start of a run to the end of its chunk.
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

    /// Opens the arena for additions. This version stays as it is.
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

    /// Octets stored, dead ones included; the directory is not counted.
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

/// An arena under change: the committed chunks of its base, and its own chunks, which may be written.
pub(super) struct ArenaEdit<T> {
    base: Arena<T>,
    /// How many of the base's chunks are used as they are; the last one may have been taken over into `added`.
    committed: usize,
    /// How many items of the first added chunk came from the base.
    taken_over: usize,
    added: Vec<Vec<T>>,
    used: usize,
    dead: usize,
    /// Places where the edit's own runs were freed.
    holes: Holes,
}

impl<T: Item> ArenaEdit<T> {
    /// The items from the start of a run to the end of its chunk.
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

    /// The run itself, if it lies in one of this edit's chunks and so may be changed in place.
    #[inline]
    pub(super) fn owned(&mut self, at: Ref, len: usize) -> Option<&mut [T]> {
        let chunk = chunk_of::<T>(at);
        let added = chunk.checked_sub(self.committed)?;
        let start = offset::<T>(at);
        Some(&mut self.added[added][start..start + len])
    }

    /// Stores a run. The caller keeps the arena below half of what 32 bits can name (see
    /// [`ArenaEdit::wants_compaction`]).
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
        // Compaction keeps a committed version below half of this bound, and the bound on a zone's size covers an edit.
        assert!(index >> (32 - T::OFFSET_BITS) == 0, "an arena has room for every chunk");
        let chunk = &mut self.added[index - self.committed];
        let before = chunk.len();
        let start = before.next_multiple_of(T::ALIGN);
        if start + run.len() > chunk_items::<T>() {
            // The chunk ends here, so it needs no room to grow.
            chunk.reserve_exact(start + run.len() - before);
        }
        chunk.resize(start, T::FILLER);
        chunk.extend_from_slice(run);
        self.used += chunk.len() - before;
        Ref((index as u32) << T::OFFSET_BITS | (start / T::ALIGN) as u32)
    }

    /// Octets in runs that have not been freed.
    pub(super) fn living_octets(&self) -> usize {
        self.used.saturating_sub(self.dead) * size_of::<T>()
    }

    /// Whether one more run can certainly be stored.
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

    /// Frees a run; if this edit stored it, its place may be reused.
    pub(super) fn give_back(&mut self, at: Ref, len: usize) {
        self.free(len);
        if self.is_own(at) {
            self.holes.add(at.0, len.div_ceil(T::ALIGN) as u32);
        }
    }

    /// Stores a run in a hole, if one is large enough.
    fn fill(&mut self, run: &[T]) -> Option<Ref> {
        let at = Ref(self.holes.take(run.len().div_ceil(T::ALIGN) as u32)?);
        let chunk = &mut self.added[chunk_of::<T>(at) - self.committed];
        let place = offset::<T>(at)..offset::<T>(at) + run.len();
        if chunk.len() < place.end {
            // The last run of a chunk ends at its last item, but its hole extends to the end of that item's place.
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

    /// Counts a freed run as live again, because its owner wrote another one over it.
    pub(super) fn reuse(&mut self, len: usize) {
        self.dead -= len.next_multiple_of(T::ALIGN);
    }

    /// Whether compaction is worth its cost: much is dead, little room for chunks is left, or most was just loaded and
    /// lies in the order of its arrival.
    pub(super) fn wants_compaction(&self) -> bool {
        let many_chunks = (self.committed + self.added.len()) >> (32 - T::OFFSET_BITS - 1) != 0;
        let added: usize = self.added.iter().map(Vec::len).sum();
        let worth = self.dead * 10 > self.used * 3 || added * 2 > self.used;
        many_chunks || (worth && self.used * size_of::<T>() > TAIL_OCTETS)
    }

    /// Freezes the additions and returns the new version.
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
