//! The time of a batch of requests.

use std::time::{Duration, Instant, SystemTime};

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
        // Before 1970 no signature is valid anyway.
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
        Now { instant, unix, wall_read: instant }
    }

    /// The time of the next batch. The wall clock is read only if its last reading is too old.
    pub(super) fn next(self) -> Now {
        let instant = Instant::now();
        if instant.duration_since(self.wall_read) < COARSE { Now { instant, ..self } } else { Now::read() }
    }
}
