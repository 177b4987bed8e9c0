//! The places of runs that an edit stored and gave back, for what it stores next. What is written again and again mostly
//! grows, so that its old place is too small for it: neighbouring holes are one, and the largest one is taken.

use std::collections::{BTreeMap, BTreeSet};

/// Holes in the chunks of an edit, in the terms of a [`Ref`](super::arena::Ref): numbers of places, the upper bits of which
/// are the chunk.
pub(super) struct Holes {
    /// Bits below the chunk's number.
    offset_bits: u32,
    /// Places, by the first one.
    by_start: BTreeMap<u32, u32>,
    /// Number of places, and the first one.
    by_size: BTreeSet<(u32, u32)>,
}

impl Holes {
    pub(super) fn new(offset_bits: u32) -> Holes {
        Holes { offset_bits, by_start: BTreeMap::new(), by_size: BTreeSet::new() }
    }

    /// Adds places, which are no hole yet.
    pub(super) fn add(&mut self, mut start: u32, mut places: u32) {
        if let Some(next) = self.within_chunk(start, places)
            && let Some(more) = self.remove(next)
        {
            places += more;
        }
        if let Some((&before, &more)) = self.by_start.range(..start).next_back()
            && self.within_chunk(before, more) == Some(start)
        {
            self.remove(before);
            (start, places) = (before, more + places);
        }
        self.insert(start, places);
    }

    /// Takes so many places from the largest hole, if it has them.
    pub(super) fn take(&mut self, places: u32) -> Option<u32> {
        let &(room, start) = self.by_size.last().filter(|(room, _)| *room >= places)?;
        self.remove(start);
        // What follows a long run may have no number in its chunk; it stays unused.
        if let Some(rest) = self.within_chunk(start, places).filter(|_| room > places) {
            self.insert(rest, room - places);
        }
        Some(start)
    }

    /// What comes so many places on, if it is in the same chunk.
    fn within_chunk(&self, start: u32, places: u32) -> Option<u32> {
        start.checked_add(places).filter(|end| end >> self.offset_bits == start >> self.offset_bits)
    }

    fn insert(&mut self, start: u32, places: u32) {
        self.by_start.insert(start, places);
        self.by_size.insert((places, start));
    }

    fn remove(&mut self, start: u32) -> Option<u32> {
        let places = self.by_start.remove(&start)?;
        self.by_size.remove(&(places, start));
        Some(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_within_their_chunk() {
        let mut holes = Holes::new(4);
        for (start, places) in [(2, 2), (6, 2), (4, 2), (14, 2), (16, 3)] {
            holes.add(start, places);
        }
        assert_eq!(holes.take(7), None, "the largest has six");
        assert_eq!(holes.take(5), Some(2));
        assert_eq!(holes.take(4), None, "16 is another chunk");
        assert_eq!([holes.take(3), holes.take(2), holes.take(1), holes.take(1)], [Some(16), Some(14), Some(7), None]);
    }
}
