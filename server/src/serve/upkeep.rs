//! Work that has to be done now and then as long as a server runs: every second limiters log what they limit, and every
//! minute zones that change write their files and shorten their journals.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    settings::JournalSize,
    zones::{Published, Snapshot, Zone},
};

/// The threads that do it. Dropping this ends them.
pub(super) struct Upkeep {
    _ends: [Sender<()>; 2],
}

const LIMITERS: Duration = Duration::from_secs(1);
const ZONES: Duration = Duration::from_secs(60);
/// What a small zone's journal may have in any case, in octets.
const LEAST: u64 = 1 << 20;

impl Upkeep {
    /// Starts the threads.
    ///
    /// # Errors
    /// One of them cannot be started.
    pub(super) fn start(published: &Arc<Published>) -> io::Result<Upkeep> {
        let limiters = |snapshot: &Snapshot| snapshot.limiters().for_each(|limiter| limiter.tend(Instant::now()));
        // Files may take their time.
        let zones = |snapshot: &Snapshot| snapshot.declared().for_each(|(_, zone)| tend(zone));
        let limiters = every(LIMITERS, "upkeep", published, limiters)?;
        let zones = every(ZONES, "zone-files", published, zones)?;
        Ok(Upkeep { _ends: [limiters, zones] })
    }
}

/// Does something at intervals on a thread of its own, until the sender is dropped.
fn every(
    interval: Duration,
    thread: &str,
    published: &Arc<Published>,
    work: impl Fn(&Snapshot) + Send + 'static,
) -> io::Result<Sender<()>> {
    let (ends, end) = channel::<()>();
    let published = Arc::clone(published);
    thread::Builder::new().name(thread.into()).spawn(move || {
        while end.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            work(&published.load());
        }
    })?;
    Ok(ends)
}

fn tend(zone: &Zone) {
    let Some(live) = &zone.live else { return };
    live.tend(Instant::now(), |data| match zone.settings.journal_size {
        JournalSize::TwiceTheZone => (2 * data.octets() as u64).max(LEAST),
        JournalSize::Unlimited => u64::MAX,
        JournalSize::Octets(octets) => octets,
    });
}
