//! Publishing: the swap from one snapshot to the next. Writers take turns, each starting from the latest snapshot;
//! readers pick up the newest once per batch and never wait. A separate thread drops the versions that nobody reads any
//! more, so that no worker spends time on freeing a large zone.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{Snapshot, Zone};
use crate::sync::lock;

/// The snapshot that is currently served.
pub struct Published {
    current: ArcSwap<Snapshot>,
    /// Held by the writer whose turn it is; the snapshots that it swaps out are sent through here.
    retired: Mutex<mpsc::Sender<Arc<Snapshot>>>,
    watchers: Mutex<Vec<Watcher>>,
}

/// What gets the new versions of zones, and the names of the views that declare these.
type Watcher = Box<dyn Fn(&str, &Zone) + Send>;

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
        Published { current: ArcSwap::from_pointee(first), retired: Mutex::new(retired), watchers: Mutex::default() }
    }

    /// The newest snapshot.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Whether a snapshot is the newest one.
    #[inline]
    pub fn is_current(&self, snapshot: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.current.load(), snapshot)
    }

    /// Changes what is served: `change` modifies a copy of the newest snapshot, which is then published. Other changes
    /// wait meanwhile, so `change` must be quick; slow work such as loading a zone is done beforehand.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        // A change that panicked has published nothing.
        let retired = lock(&self.retired);
        let mut next = Snapshot::clone(&self.current.load());
        change(&mut next);
        let old = self.current.swap(Arc::new(next));
        // If the receiver is gone, the old snapshot is dropped here: slower, but not wrong.
        let _ = retired.send(old);
    }

    /// Has new versions of zones reported to `watcher`, too, which must be quick and not publish anything.
    pub fn watch(&self, watcher: impl Fn(&str, &Zone) + Send + 'static) {
        lock(&self.watchers).push(Box::new(watcher));
    }

    /// Reports a zone that is served now to all watchers. `view` is the name of the view that declares it.
    pub fn report(&self, view: &str, zone: &Zone) {
        lock(&self.watchers).iter().for_each(|watcher| watcher(view, zone));
    }

    /// Reports a zone that has taken the place of `before`, if that has other data.
    pub fn report_if_new(&self, view: &str, zone: &Zone, before: Option<&Zone>) {
        let Some(data) = zone.data() else { return };
        if !before.and_then(Zone::data).is_some_and(|before| before.is(data)) {
            self.report(view, zone);
        }
    }

    /// Reports all zones that have other data than they had in `before`.
    pub fn report_since(&self, before: &Snapshot) {
        for (view, zone) in self.load().declared() {
            let before = before.view(&view.name).and_then(|view| view.zones.get(zone.origin.as_ref()));
            self.report_if_new(&view.name, zone, before.map(Arc::as_ref));
        }
    }
}

/// Drops each snapshot once nobody else holds it.
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
