//! Which names a message holds already, so that later ones can point to them (RFC 1035 4.1.4).
//!
//! A small table of suffixes by hash, kept from message to message and emptied by counting up a generation. A hit is
//! compared with the message itself, so a stale entry can cost a miss but never give a wrong pointer. The table takes a
//! bounded number of suffixes and a lookup a bounded number of probes: no message makes compression slow.

use zonefmt::NameRef;

/// The table; see the module.
pub(crate) struct Names {
    slots: Box<[Slot; SLOTS]>,
    generation: u16,
    taken: usize,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u32,
    at: u16,
    generation: u16,
}

const SLOTS: usize = 512;
const MAX_TAKEN: usize = SLOTS * 3 / 4;
/// A pointer has 14 bits.
const MAX_TARGET: usize = 0x3fff;

/// A name's labels with the hash of the suffix that starts at each.
pub(crate) struct Suffixes<'n> {
    name: NameRef<'n>,
    count: usize,
    starts: [u8; 128],
    hashes: [u32; 128],
}

impl<'n> Suffixes<'n> {
    pub(crate) fn of(name: NameRef<'n>) -> Self {
        let mut suffixes = Suffixes { name, count: 0, starts: [0; 128], hashes: [0; 128] };
        let wire = name.as_wire();
        let mut at = 0;
        while wire[at] != 0 {
            suffixes.starts[suffixes.count] = at as u8;
            suffixes.count += 1;
            at += 1 + usize::from(wire[at]);
        }
        let (mut hash, mut end) = (0x811c_9dc5_u32, at);
        for index in (0..suffixes.count).rev() {
            let start = usize::from(suffixes.starts[index]);
            for octet in &wire[start..end] {
                hash = (hash ^ u32::from(octet.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
            }
            suffixes.hashes[index] = hash;
            end = start;
        }
        suffixes
    }
}

/// Whether the letters' case must agree for one name to stand for another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// In owner names: RFC 1035 2.3.3.
    Ignore,
    /// In RDATA: what the zone's owner wrote is kept.
    Keep,
}

impl Names {
    pub(crate) fn new() -> Names {
        Names { slots: Box::new([Slot::default(); SLOTS]), generation: 1, taken: 0 }
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

    /// The longest suffix that the message holds: how many octets of the name stand before it, and where it is.
    pub(crate) fn find(&self, suffixes: &Suffixes<'_>, message: &[u8], case: Case) -> Option<(usize, u16)> {
        (0..suffixes.count).find_map(|index| {
            let start = usize::from(suffixes.starts[index]);
            let suffix = &suffixes.name.as_wire()[start..];
            let at = self.probe(suffixes.hashes[index], |at| reads_as(message, at, suffix, case))?;
            Some((start, at))
        })
    }

    /// Remembers the labels of a name written at `at`, up to `octets` into it.
    pub(crate) fn remember(&mut self, suffixes: &Suffixes<'_>, at: usize, octets: usize) {
        for index in 0..suffixes.count {
            let start = usize::from(suffixes.starts[index]);
            if start >= octets || at + start > MAX_TARGET || self.taken == MAX_TAKEN {
                return;
            }
            self.insert(suffixes.hashes[index], (at + start) as u16);
        }
    }

    fn probe(&self, hash: u32, mut matches: impl FnMut(usize) -> bool) -> Option<u16> {
        let mut index = hash as usize;
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
        let mut index = hash as usize;
        while self.slots[index % SLOTS].generation == self.generation {
            index += 1;
        }
        self.slots[index % SLOTS] = Slot { hash, at, generation: self.generation };
        self.taken += 1;
    }
}

/// Whether the name at an offset of a message is this one; pointers are followed backwards only.
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
