//! The holes of an edit: places of runs that it stored and freed, for what it stores next. An entry that is rewritten
//! again and again mostly grows, so its old place is too small for it. Neighbouring holes are therefore merged, and the
//! largest hole is used first.

use std::collections::{BTreeMap, BTreeSet};

/// Holes in the chunks of an edit, as place numbers in the format of a [`Ref`](super::arena::Ref), whose upper bits are
/// the chunk.
pub(super) struct Holes {
    /// The number of bits below the chunk's number.
    offset_bits: u32,
    /// The number of places of each hole, by its first place.
    by_start: BTreeMap<u32, u32>,
    /// The same holes as pairs of number of places and first place.
    by_size: BTreeSet<(u32, u32)>,
}

impl Holes {
    pub(super) fn new(offset_bits: u32) -> Holes {
        Holes { offset_bits, by_start: BTreeMap::new(), by_size: BTreeSet::new() }
    }

    /// Adds places that are not part of a hole yet.
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

    /// Takes this many places from the largest hole, if it has as many.
    pub(super) fn take(&mut self, places: u32) -> Option<u32> {
        let &(room, start) = self.by_size.last().filter(|(room, _)| *room >= places)?;
        self.remove(start);
        // The place after a run that fills its chunk has no number in that chunk and stays unused.
        if let Some(rest) = self.within_chunk(start, places).filter(|_| room > places) {
            self.insert(rest, room - places);
        }
        Some(start)
    }

    /// The place this many places further on, if it is in the same chunk.
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
