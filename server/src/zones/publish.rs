//! The swap from one snapshot to the next. Writers take turns, each on what the one before left; readers take the newest
//! once a batch and never wait. Versions that nobody reads any more are dropped by a thread of their own, so that no worker
//! pays for freeing a large zone.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;

use super::Snapshot;

/// The snapshot that is served now.
pub struct Published {
    current: ArcSwap<Snapshot>,
    /// Held by the writer whose turn it is; what it swaps out goes through here.
    retired: Mutex<mpsc::Sender<Arc<Snapshot>>>,
}

impl Published {
    /// Publishes a first snapshot.
    ///
    /// # Panics
    /// If no thread can be started.
    pub fn new(first: Snapshot) -> Published {
        let (retired, retirees) = mpsc::channel();
        thread::Builder::new()
            .name("retire".into())
            .spawn(move || retire(&retirees))
            .expect("a process that cannot start a thread cannot serve");
        Published { current: ArcSwap::from_pointee(first), retired: Mutex::new(retired) }
    }

    /// The newest snapshot.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Whether a snapshot is the newest.
    #[inline]
    pub fn is_current(&self, snapshot: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.current.load(), snapshot)
    }

    /// Changes what is served: `change` gets the newest snapshot, and what it makes of it is published. No other change
    /// comes between, so it is to be quick: what takes long, as loading a zone, is done before.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        // A change that panicked has published nothing.
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.current.load());
        change(&mut next);
        let old = self.current.swap(Arc::new(next));
        // Without its receiver the old one is dropped here: slower, not wrong.
        let _ = retired.send(old);
    }
}

/// Drops snapshots once nobody else holds them.
fn retire(retirees: &mpsc::Receiver<Arc<Snapshot>>) {
    const LOOK_AGAIN: Duration = Duration::from_millis(20);
    let mut waiting: Vec<Arc<Snapshot>> = Vec::new();
    loop {
        let next = if waiting.is_empty() {
            retirees.recv().map_err(RecvTimeoutError::from)
        } else {
            retirees.recv_timeout(LOOK_AGAIN)
        };
        match next {
            Ok(snapshot) => waiting.push(snapshot),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        waiting.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zones::{View, Zone, ZoneChange, ZoneState};
    use zonefmt::Name;

    #[test]
    fn writers_do_not_lose_each_others_changes() {
        const EACH: usize = 500;
        let origin = |writer: usize, i: usize| Name::from_ascii(format!("z{i}.w{writer}.example")).unwrap();
        let published = Published::new(Snapshot::default());
        thread::scope(|scope| {
            for writer in 0..4 {
                let published = &published;
                scope.spawn(move || {
                    for i in 0..EACH {
                        let (origin, settings) = (origin(writer, i), Arc::default());
                        let zone = Arc::new(Zone::new(origin, settings, ZoneState::NotLoaded));
                        published.update(|snapshot| snapshot.change(View::DEFAULT, [ZoneChange::Put(zone)]));
                    }
                });
            }
        });
        assert_eq!(published.load().views[0].zones.len(), 4 * EACH);
    }
}
