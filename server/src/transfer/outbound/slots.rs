//! How many transfers run at a time (`transfers-out`), and how many have run.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The transfers that run, out of as many as may. Clones share them.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Counts>);

/// The right to make one transfer, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Counts>);

#[derive(Default, Debug)]
struct Counts {
    taken: AtomicUsize,
    completed: AtomicU64,
}

impl Slots {
    /// Nothing runs yet.
    pub fn new() -> Slots {
        Slots(Arc::default())
    }

    /// The number of transfers that run.
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// The number of transfers that were sent to their end.
    pub fn completed(&self) -> u64 {
        self.0.completed.load(Ordering::Relaxed)
    }

    /// Takes a slot, if fewer than `most` are taken.
    pub(super) fn take(&self, most: usize) -> Option<Slot> {
        let slot = Slot(Arc::clone(&self.0));
        let before = self.0.taken.fetch_add(1, Ordering::Relaxed);
        // Dropped, the slot is given back.
        (before < most).then_some(slot)
    }
}

impl Default for Slots {
    fn default() -> Slots {
        Slots::new()
    }
}

impl Slot {
    /// Counts the transfer as sent to its end.
    pub(super) fn complete(&self) {
        self.0.completed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
