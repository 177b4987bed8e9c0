//! Balances by key, in a table of fixed size without locks.
//!
//! The arithmetic is that of `governor`, the generic cell rate algorithm: a balance is stored as the time at which it
//! will be whole again, and each debit moves that time later by the rate's interval. Unlike there, debits of an empty
//! balance count as well, so a client that keeps asking stays limited. A balance that is whole is equivalent to none,
//! so its entry may be reused once its time has come. An entry fits one word. A key has eight places in one cache line;
//! if all are taken, the balance that is nearest to being whole is evicted. A flood of keys that are seen once each
//! therefore evicts mostly its own entries, while the balances that are limited stay.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prefetch_index::prefetch_index;

/// Balances by key.
pub(super) struct Table {
    lines: Box<[Line]>,
}

/// The key of a balance: a keyed hash, so that nobody can aim at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key(pub(super) u64);

/// A time or a duration, in 2⁻²⁰ seconds.
pub(super) type Ticks = u64;

pub(super) const SECOND: Ticks = 1 << 20;

/// The terms on which a balance is debited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Responses a second, at least one; this many may also come at once.
    pub(super) rate: u32,
    /// How far a balance may fall below zero, in seconds' worth of responses; 1 to [`MAX_WINDOW`].
    pub(super) window: u16,
    /// One in this many limited responses slips, starting with the first; 0 means none; at most [`MAX_SLIP`].
    pub(super) slip: u8,
}

/// The result of a debit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Debit {
    /// The balance covered it.
    Covered,
    /// The balance did not cover it. `slips` is true for one in [`Terms::slip`] refusals, `first` for the first one
    /// since [`Table::settle`] returned true.
    Refused { slips: bool, first: bool },
}

pub(super) const MAX_WINDOW: u16 = 3600;
pub(super) const MAX_SLIP: u8 = 10;

const WAYS: usize = 8;
/// The most entries of a table: 128 MiB.
const MOST: usize = 1 << 24;

/// The places of a key.
#[derive(Default)]
#[repr(align(64))]
struct Line([AtomicU64; WAYS]);

/// A place, unpacked. An entry whose time has come is equivalent to none, whatever its tag; an empty place is zero.
#[derive(Clone, Copy)]
struct Entry {
    /// Distinguishes a key from others with the same places.
    tag: u32,
    /// Whether `first` has reported a refusal.
    noted: bool,
    /// How many refusals came after the last one that slipped.
    slipped: u8,
    /// When the balance will be whole.
    whole: Ticks,
}

const TAG_BITS: u32 = 23;
const SLIP_BITS: u32 = 4;
/// The clock wraps after 18 hours; [`Table::sweep`] clears old entries before that.
const TICK_BITS: u32 = 36;

/// The longest that a balance takes to be whole. A time further ahead than this is really in the past.
const HORIZON: Ticks = (MAX_WINDOW as Ticks + 2) * SECOND;

impl Table {
    /// Makes a table of this many entries, rounded up to a power of two, with all the memory it will ever need.
    pub(super) fn new(entries: usize) -> Table {
        let lines = entries.clamp(WAYS, MOST).next_power_of_two() / WAYS;
        Table { lines: (0..lines).map(|_| Line::default()).collect() }
    }

    /// Takes one response from a balance.
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

    /// Fetches the places of a key from memory, so that to debit it soon does not have to wait for them.
    #[inline]
    pub(super) fn fetch(&self, key: Key) {
        prefetch_index(&self.lines, self.index(key));
    }

    /// Sets a mark that [`Table::is_marked`] reports for `seconds`.
    pub(super) fn mark(&self, key: Key, now: Ticks, seconds: u16) {
        let whole = now + Ticks::from(seconds.min(MAX_WINDOW)) * SECOND;
        self.change(key, now, |entry| Entry { whole, ..entry });
    }

    pub(super) fn is_marked(&self, key: Key, now: Ticks) -> bool {
        self.line(key).find(key.tag()).is_some_and(|(_, word)| Entry::unpack(word).ahead(now) > 0)
    }

    /// Whether a balance is whole or was evicted. If so, its next refusal counts as the first again.
    pub(super) fn settle(&self, key: Key, now: Ticks) -> bool {
        let Some((place, word)) = self.line(key).find(key.tag()) else { return true };
        let entry = Entry::unpack(word);
        let settled = Entry { noted: false, ..entry }.pack();
        entry.ahead(now) == 0 && place.compare_exchange(word, settled, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Clears the entries whose time has come in one of `parts` parts of the table. Each part must be swept within 16
    /// hours; after that, a past time could be mistaken for a future one.
    pub(super) fn sweep(&self, part: usize, parts: usize, now: Ticks) {
        let lines = self.lines.len().div_ceil(parts.max(1));
        for place in self.lines.chunks(lines).nth(part).into_iter().flatten().flat_map(|line| &line.0) {
            let word = place.load(Ordering::Relaxed);
            if Entry::unpack(word).ahead(now) == 0 {
                let empty = Entry { tag: 0, noted: false, slipped: 0, whole: now }.pack();
                // If the exchange fails, the place was taken in the meantime and is in use.
                let _ = place.compare_exchange(word, empty, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    fn change(&self, key: Key, now: Ticks, mut change: impl FnMut(Entry) -> Entry) {
        let line = self.line(key);
        // Each retry means that another thread made progress.
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
        &self.lines[self.index(key)]
    }

    fn index(&self, key: Key) -> usize {
        // The number of lines is a power of two.
        (key.0 >> TAG_BITS) as usize & (self.lines.len() - 1)
    }
}

impl Line {
    /// The place of a key, and the word that was read from it.
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
    /// How long until the balance is whole.
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

/// The ticks since the start.
pub(super) fn ticks(since_start: Duration) -> Ticks {
    // 2⁶⁴ ticks are half a million years.
    since_start.as_secs() * SECOND + u64::from(since_start.subsec_nanos()) * SECOND / 1_000_000_000
}
