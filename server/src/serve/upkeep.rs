//! What needs a look once a second, as long as a server runs: limiters write to the log what they limit.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::zones::Published;

/// A thread of its own; dropped, it ends.
pub(super) struct Upkeep {
    _ends: Sender<()>,
}

const INTERVAL: Duration = Duration::from_secs(1);

impl Upkeep {
    /// Begins.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start(published: Arc<Published>) -> io::Result<Upkeep> {
        let (ends, end) = channel::<()>();
        thread::Builder::new().name("upkeep".into()).spawn(move || {
            while end.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                published.load().limiters().for_each(|limiter| limiter.tend(Instant::now()));
            }
        })?;
        Ok(Upkeep { _ends: ends })
    }
}
