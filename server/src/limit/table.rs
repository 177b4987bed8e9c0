//! Balances by key, in a table that never grows and has no locks.
//!
//! The arithmetic is that of `governor`, the generic cell rate algorithm: of each balance only the moment is kept at
//! which it will be whole again, a rate's interval later with each debit. What differs is a debit of an empty balance,
//! which counts here, too: who goes on asking stays limited. A balance that is whole is as good as none, so that any
//! entry may make room for another once its moment has come, and one word holds all there is to an entry. A key has its
//! eight places in one cache line; if all are taken, the balance that is nearest to being whole gives way. A flood of
//! keys thus takes turns in the places of other keys seen once, and those that are limited stay.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Balances by key.
pub(super) struct Table {
    lines: Box<[Line]>,
}

/// What a balance belongs to: a keyed hash, so that nobody can aim at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key(pub(super) u64);

/// A moment or a length of time, in 2⁻²⁰ seconds.
pub(super) type Ticks = u64;

pub(super) const SECOND: Ticks = 1 << 20;

/// How a balance is debited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Responses a second, one at least; as many may come at once.
    pub(super) rate: u32,
    /// How far below nothing a balance may go, in seconds' worth of responses; 1 to [`MAX_WINDOW`].
    pub(super) window: u16,
    /// Each so many-th limited response slips, from the first on; 0: none does. [`MAX_SLIP`] at most.
    pub(super) slip: u8,
}

/// What a debit came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Debit {
    /// The balance was good for it.
    Covered,
    /// It was not; `slips` is one in [`Terms::slip`], `first` holds until [`Table::settle`] was true.
    Refused { slips: bool, first: bool },
}

pub(super) const MAX_WINDOW: u16 = 3600;
pub(super) const MAX_SLIP: u8 = 10;

const WAYS: usize = 8;
/// Entries there may be: 128 MiB.
const MOST: usize = 1 << 24;

/// The places of a key.
#[derive(Default)]
#[repr(align(64))]
struct Line([AtomicU64; WAYS]);

/// A place, unpacked. One whose moment has come says nothing, whatever its tag; so is an empty place, which is zero.
#[derive(Clone, Copy)]
struct Entry {
    /// What tells a key from others with the same places.
    tag: u32,
    /// Whether a refusal was told of by `first`.
    noted: bool,
    /// How many refusals lie behind the last one that slipped.
    slipped: u8,
    /// When the balance will be whole.
    whole: Ticks,
}

const TAG_BITS: u32 = 23;
const SLIP_BITS: u32 = 4;
/// They come round after 18 hours: [`Table::sweep`] is there before.
const TICK_BITS: u32 = 36;

/// A balance is whole after so long; a moment further ahead is one long past.
const HORIZON: Ticks = (MAX_WINDOW as Ticks + 2) * SECOND;

impl Table {
    /// A table of this many entries, rounded up to a power of two, and all the memory it will ever take.
    pub(super) fn new(entries: usize) -> Table {
        let lines = entries.clamp(WAYS, MOST).next_power_of_two() / WAYS;
        Table { lines: (0..lines).map(|_| Line::default()).collect() }
    }

    /// Takes one from a balance.
    #[inline]
    pub(super) fn debit(&self, key: Key, now: Ticks, terms: Terms) -> Debit {
        let interval = SECOND / Ticks::from(terms.rate.max(1));
        let deepest = SECOND + Ticks::from(terms.window.clamp(1, MAX_WINDOW)) * SECOND;
        let mut debit = Debit::Covered;
        self.change(key, now, |entry| {
            let ahead = entry.ahead(now);
            let slipped = if ahead == 0 { 0 } else { entry.slipped };
            let ahead = (ahead + interval).min(deepest);
            let whole = now + ahead;
            if ahead <= SECOND {
                debit = Debit::Covered;
                return Entry { slipped, whole, ..entry };
            }
            debit = Debit::Refused { slips: terms.slip > 0 && slipped == 0, first: !entry.noted };
            let slipped = if slipped + 1 < terms.slip.min(MAX_SLIP) { slipped + 1 } else { 0 };
            Entry { slipped, whole, noted: true, ..entry }
        });
        debit
    }

    /// Sets a mark that [`Table::is_marked`] sees for `seconds`.
    pub(super) fn mark(&self, key: Key, now: Ticks, seconds: u16) {
        let whole = now + Ticks::from(seconds.min(MAX_WINDOW)) * SECOND;
        self.change(key, now, |entry| Entry { whole, ..entry });
    }

    pub(super) fn is_marked(&self, key: Key, now: Ticks) -> bool {
        self.line(key).find(key.tag()).is_some_and(|(_, word)| Entry::unpack(word).ahead(now) > 0)
    }

    /// Whether a balance is whole, or gave way to others. If so, the next refusal will be a first one.
    pub(super) fn settle(&self, key: Key, now: Ticks) -> bool {
        let Some((place, word)) = self.line(key).find(key.tag()) else { return true };
        let entry = Entry::unpack(word);
        let settled = Entry { noted: false, ..entry }.pack();
        entry.ahead(now) == 0 && place.compare_exchange(word, settled, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Empties the places in one of `parts` parts of the table whose moment has come. Each part needs it within 16 hours:
    /// later, a moment long past could be taken for one to come.
    pub(super) fn sweep(&self, part: usize, parts: usize, now: Ticks) {
        let lines = self.lines.len().div_ceil(parts.max(1));
        for place in self.lines.chunks(lines).nth(part).into_iter().flatten().flat_map(|line| &line.0) {
            let word = place.load(Ordering::Relaxed);
            if Entry::unpack(word).ahead(now) == 0 {
                let empty = Entry { tag: 0, noted: false, slipped: 0, whole: now }.pack();
                // One that was taken meanwhile is in use.
                let _ = place.compare_exchange(word, empty, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    fn change(&self, key: Key, now: Ticks, mut change: impl FnMut(Entry) -> Entry) {
        let line = self.line(key);
        // Who goes round again does so because someone else got on.
        loop {
            let (place, word) = line.find(key.tag()).unwrap_or_else(|| line.nearest_to_whole(now));
            let found = Entry::unpack(word);
            let fresh = Entry { tag: key.tag(), noted: false, slipped: 0, whole: now };
            let next = change(if found.tag == key.tag() { found } else { fresh }).pack();
            if place.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return;
            }
        }
    }

    fn line(&self, key: Key) -> &Line {
        // The number of lines is a power of two.
        &self.lines[(key.0 >> TAG_BITS) as usize & (self.lines.len() - 1)]
    }
}

impl Line {
    /// A key's place, and the word that it held.
    fn find(&self, tag: u32) -> Option<(&AtomicU64, u64)> {
        let words = self.0.iter().map(|place| (place, place.load(Ordering::Relaxed)));
        words.into_iter().find(|&(_, word)| Entry::unpack(word).tag == tag)
    }

    fn nearest_to_whole(&self, now: Ticks) -> (&AtomicU64, u64) {
        let words = self.0.iter().map(|place| (place, place.load(Ordering::Relaxed)));
        let nearest = words.into_iter().min_by_key(|&(_, word)| Entry::unpack(word).ahead(now));
        nearest.expect("a line has places")
    }
}

impl Key {
    fn tag(self) -> u32 {
        self.0 as u32 & ((1 << TAG_BITS) - 1)
    }
}

impl Entry {
    /// How long it takes for the balance to be whole.
    fn ahead(self, now: Ticks) -> Ticks {
        let ahead = self.whole.wrapping_sub(now) & ((1 << TICK_BITS) - 1);
        if ahead > HORIZON { 0 } else { ahead }
    }

    fn unpack(word: u64) -> Entry {
        Entry {
            tag: (word >> (64 - TAG_BITS)) as u32,
            noted: word >> (TICK_BITS + SLIP_BITS) & 1 == 1,
            slipped: (word >> TICK_BITS) as u8 & ((1 << SLIP_BITS) - 1),
            whole: word & ((1 << TICK_BITS) - 1),
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.tag) << (64 - TAG_BITS)
            | u64::from(self.noted) << (TICK_BITS + SLIP_BITS)
            | u64::from(self.slipped) << TICK_BITS
            | self.whole & ((1 << TICK_BITS) - 1)
    }
}

/// So long after the start.
pub(super) fn ticks(since_start: Duration) -> Ticks {
    // 2⁶⁴ ticks are half a million years.
    since_start.as_secs() * SECOND + u64::from(since_start.subsec_nanos()) * SECOND / 1_000_000_000
}
