//! The memory of the names that a message holds already, so that later ones can point to them (RFC 1035 4.1.4).
//!
//! It is a small hash table of suffixes, kept from message to message and emptied by counting up a generation. A hit is
//! compared with the message itself, so a stale entry can cost a miss but never give a wrong pointer. The table takes a
//! bounded number of suffixes and a lookup a bounded number of probes: no message makes compression slow.

use zonefmt::NameRef;

/// The names of a message; see the module.
pub(crate) struct Names {
    slots: Box<[Slot; SLOTS]>,
    generation: u16,
    taken: usize,
    /// The suffixes of the name at hand, the longest first.
    suffixes: [Suffix; MAX_LABELS],
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u32,
    at: u16,
    generation: u16,
}

/// The part of a name from one of its labels on.
#[derive(Clone, Copy, Default)]
struct Suffix {
    hash: u32,
    start: u8,
}

const SLOTS: usize = 512;
const MAX_TAKEN: usize = SLOTS * 3 / 4;
const MAX_LABELS: usize = 127;
/// The largest offset that a pointer can have: 14 bits.
const MAX_TARGET: usize = 0x3fff;

/// Whether a pointer may lead to a name that differs in the case of its letters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// It may: the case of owner names means nothing (RFC 1035 2.3.3).
    Ignore,
    /// It may not: names in RDATA keep the case that the zone's owner wrote.
    Keep,
}

impl Names {
    pub(crate) fn new() -> Names {
        Names {
            slots: Box::new([Slot::default(); SLOTS]),
            generation: 1,
            taken: 0,
            suffixes: [Suffix::default(); MAX_LABELS],
        }
    }

    /// Forgets every name.
    pub(crate) fn clear(&mut self) {
        self.taken = 0;
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.slots.fill(Slot::default());
            self.generation = 1;
        }
    }

    /// Remembers a name that stands uncompressed at `at` in the message.
    pub(crate) fn learn(&mut self, name: NameRef<'_>, at: usize) {
        let count = self.split(name);
        self.remember(count, at, name.len());
    }

    /// Looks for the longest suffix of `name` that the message holds: returns how many octets of the name come before
    /// it, and its offset. The name is remembered, as it is about to be written at the message's end.
    pub(crate) fn compress(&mut self, name: NameRef<'_>, message: &[u8], case: Case) -> Option<(usize, u16)> {
        let count = self.split(name);
        let known = self.suffixes[..count].iter().find_map(|&Suffix { hash, start }| {
            let start = usize::from(start);
            let at = self.probe(hash, |at| reads_as(message, at, &name.as_wire()[start..], case))?;
            Some((start, at))
        });
        self.remember(count, message.len(), known.map_or(name.len(), |(octets, _)| octets));
        known
    }

    /// Notes the suffixes of a name; returns how many there are.
    fn split(&mut self, name: NameRef<'_>) -> usize {
        let wire = name.as_wire();
        let (mut count, mut at) = (0, 0);
        while wire[at] != 0 {
            self.suffixes[count].start = at as u8;
            count += 1;
            at += 1 + usize::from(wire[at]);
        }
        let mut hash = 0x811c_9dc5_u32;
        for suffix in self.suffixes[..count].iter_mut().rev() {
            let start = usize::from(suffix.start);
            hash = fold(hash, &wire[start..at]);
            suffix.hash = hash;
            at = start;
        }
        count
    }

    /// Remembers those suffixes of the name at hand that start in its first `octets` octets, which stand at `at`.
    fn remember(&mut self, count: usize, at: usize, octets: usize) {
        for index in 0..count {
            let Suffix { hash, start } = self.suffixes[index];
            let start = usize::from(start);
            if start >= octets || at + start > MAX_TARGET || self.taken == MAX_TAKEN {
                return;
            }
            self.insert(hash, (at + start) as u16);
        }
    }

    fn probe(&self, hash: u32, mut matches: impl FnMut(usize) -> bool) -> Option<u16> {
        let mut index = (hash >> 16) as usize;
        loop {
            let slot = self.slots[index % SLOTS];
            if slot.generation != self.generation {
                return None;
            }
            if slot.hash == hash && matches(usize::from(slot.at)) {
                return Some(slot.at);
            }
            index += 1;
        }
    }

    fn insert(&mut self, hash: u32, at: u16) {
        let mut index = (hash >> 16) as usize;
        while self.slots[index % SLOTS].generation == self.generation {
            index += 1;
        }
        self.slots[index % SLOTS] = Slot { hash, at, generation: self.generation };
        self.taken += 1;
    }
}

/// Adds octets to a hash; letters that differ only in case give the same hash.
fn fold(mut hash: u32, octets: &[u8]) -> u32 {
    const ONE_CASE: u32 = 0x2020_2020;
    let mut mix = |word: u32| hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9);
    let words = octets.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        mix(u32::from_le_bytes([word[0], word[1], word[2], word[3]]) | ONE_CASE);
    }
    for &octet in rest {
        mix(u32::from(octet) | ONE_CASE);
    }
    hash
}

/// Whether the name at an offset of a message is `name`; pointers are followed backwards only.
pub(crate) fn reads_as(message: &[u8], mut at: usize, name: &[u8], case: Case) -> bool {
    let mut read = 0;
    loop {
        let Some(&length) = message.get(at) else { return false };
        match length {
            0 => return name[read..] == [0],
            1..=63 => {
                let end = 1 + usize::from(length);
                let (Some(a), Some(b)) = (message.get(at..at + end), name.get(read..read + end)) else { return false };
                if !(a == b || (case == Case::Ignore && a.eq_ignore_ascii_case(b))) {
                    return false;
                }
                read += end;
                at += end;
            }
            _ => {
                let Some(&low) = message.get(at + 1) else { return false };
                let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                if target >= at {
                    return false;
                }
                at = target;
            }
        }
    }
}
