//! The time of a batch of requests.

use std::time::{Duration, Instant};

use crate::clock::unix_now;

/// The current time by both clocks. A worker reads it once per batch.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic clock.
    pub instant: Instant,
    /// The wall clock: seconds since 1970, up to a tenth of a second old.
    pub unix: u64,
    wall_read: Instant,
}

/// How old the reading of the wall clock may be.
const COARSE: Duration = Duration::from_millis(100);

impl Now {
    /// Reads both clocks.
    pub fn read() -> Now {
        let instant = Instant::now();
        Now { instant, unix: unix_now(), wall_read: instant }
    }

    /// The time of the next batch. The wall clock is read only if its last reading is too old.
    pub(super) fn next(self) -> Now {
        let instant = Instant::now();
        if instant.duration_since(self.wall_read) < COARSE { Now { instant, ..self } } else { Now::read() }
    }
}
