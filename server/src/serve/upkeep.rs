//! Work that has to be done once a second as long as a server runs: limiters log what they limit.

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

/// The thread that does it. Dropping this ends the thread.
pub(super) struct Upkeep {
    _ends: Sender<()>,
}

const INTERVAL: Duration = Duration::from_secs(1);

impl Upkeep {
    /// Starts the thread.
    ///
    /// # Errors
    /// The thread cannot be started.
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
