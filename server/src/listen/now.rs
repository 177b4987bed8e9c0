//! The time of a batch of requests.

use std::time::{Duration, Instant, SystemTime};

/// A moment, by both clocks. A worker reads it once a batch.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By the clock that only goes forward.
    pub instant: Instant,
    /// By the clock on the wall: seconds since 1970, up to a tenth of a second old.
    pub unix: u64,
    wall_read: Instant,
}

/// How old what the clock on the wall said may be.
const COARSE: Duration = Duration::from_millis(100);

impl Now {
    /// Reads both clocks.
    pub fn read() -> Now {
        let instant = Instant::now();
        // Before 1970 no signature is good anyway.
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
        Now { instant, unix, wall_read: instant }
    }

    /// The moment of the next batch. The clock on the wall is read only if this one's is too old.
    pub(super) fn next(self) -> Now {
        let instant = Instant::now();
        if instant.duration_since(self.wall_read) < COARSE { Now { instant, ..self } } else { Now::read() }
    }
}
