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
    zones::{Published, Zone},
};

/// The thread that does it. Dropping this ends the thread.
pub(super) struct Upkeep {
    _ends: Sender<()>,
}

const INTERVAL: Duration = Duration::from_secs(1);
/// In intervals.
const MINUTE: u64 = 60;
/// What a small zone's journal may have in any case, in octets.
const LEAST: u64 = 1 << 20;

impl Upkeep {
    /// Starts the thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(published: Arc<Published>) -> io::Result<Upkeep> {
        let (ends, end) = channel::<()>();
        thread::Builder::new().name("upkeep".into()).spawn(move || {
            let mut second = 0_u64;
            while end.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let snapshot = published.load();
                snapshot.limiters().for_each(|limiter| limiter.tend(Instant::now()));
                second += 1;
                if second.is_multiple_of(MINUTE) {
                    snapshot.declared().for_each(|(_, zone)| tend(zone));
                }
            }
        })?;
        Ok(Upkeep { _ends: ends })
    }
}

fn tend(zone: &Zone) {
    let Some(live) = &zone.live else { return };
    live.tend(Instant::now(), |data| match zone.settings.journal_size {
        JournalSize::TwiceTheZone => (2 * data.octets() as u64).max(LEAST),
        JournalSize::Unlimited => u64::MAX,
        JournalSize::Octets(octets) => octets,
    });
}
