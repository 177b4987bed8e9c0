//! How many transfers run at a time (`transfers-out`).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The transfers that run, out of as many as may. Clones share them.
#[derive(Clone, Debug)]
pub struct Slots {
    taken: Arc<AtomicUsize>,
}

/// The right to make one transfer, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    taken: Arc<AtomicUsize>,
}

impl Slots {
    /// Nothing runs yet.
    pub fn new() -> Slots {
        Slots { taken: Arc::default() }
    }

    /// The number of transfers that run.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a slot, if fewer than `most` are taken.
    pub(super) fn take(&self, most: usize) -> Option<Slot> {
        let slot = Slot { taken: Arc::clone(&self.taken) };
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        // Dropped, the slot is given back.
        (before < most).then_some(slot)
    }
}

impl Default for Slots {
    fn default() -> Slots {
        Slots::new()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
