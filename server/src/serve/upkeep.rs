//! Work that has to be done now and then as long as a server runs: every second limiters log what they limit, and every
//! minute zones that change write their files and shorten their journals. A zone that came as a whole by a transfer is
//! written as soon as there is time, as nothing of it is on the disk before.

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
    live::Live,
    settings::{JournalSize, ZoneSettings},
    zones::{Published, Snapshot, Zone},
};

/// The threads that do it. Dropping this ends them.
pub(super) struct Upkeep {
    ends: [Sender<Task>; 2],
}

/// What one of them has to do beside its regular work.
enum Task {
    /// Write the file of a zone.
    Write(Arc<Live>, Arc<ZoneSettings>),
    End,
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
        let files = |snapshot: &Snapshot| {
            for (_, zone) in snapshot.declared() {
                zone.live.iter().for_each(|live| tend(live, &zone.settings));
            }
        };
        let limiters = every(LIMITERS, "upkeep", published, limiters)?;
        let files = every(ZONES, "zone-files", published, files)?;
        let write = files.clone();
        published.watch(move |_, zone: &Zone| {
            if let Some(live) = zone.live.as_ref().filter(|live| live.is_unwritten()) {
                // Once the thread has ended, zones are written as they are closed.
                let _ = write.send(Task::Write(Arc::clone(live), Arc::clone(&zone.settings)));
            }
        });
        Ok(Upkeep { ends: [limiters, files] })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.ends.iter().for_each(|thread| {
            // It may have ended by itself.
            let _ = thread.send(Task::End);
        });
    }
}

/// Does something at intervals on a thread of its own, and what it is given.
fn every(
    interval: Duration,
    thread: &str,
    published: &Arc<Published>,
    work: impl Fn(&Snapshot) + Send + 'static,
) -> io::Result<Sender<Task>> {
    let (give, tasks) = channel::<Task>();
    let published = Arc::clone(published);
    thread::Builder::new().name(thread.into()).spawn(move || {
        let mut next = Instant::now() + interval;
        loop {
            match tasks.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Task::Write(live, settings)) => tend(&live, &settings),
                Ok(Task::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    work(&published.load());
                    next = Instant::now() + interval;
                }
            }
        }
    })?;
    Ok(give)
}

fn tend(live: &Live, settings: &ZoneSettings) {
    live.tend(Instant::now(), |data| match settings.journal_size {
        JournalSize::TwiceTheZone => (2 * data.octets() as u64).max(LEAST),
        JournalSize::Unlimited => u64::MAX,
        JournalSize::Octets(octets) => octets,
    });
}
