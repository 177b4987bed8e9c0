//! The secondary zones with their timers, by when they are due.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use zonefmt::Serial;

use super::{Heard, Moment, Notified, RefreshSettings, Step, Timers, Times, inbox::ZoneId, unix_now};
use crate::{
    live::Live,
    settings::{Peers, Secondary},
    zones::Zone,
};

/// The secondary zones.
#[derive(Default)]
pub(super) struct Schedule {
    zones: HashMap<Key, Entry>,
    keys: HashMap<ZoneId, Key>,
    wakes: BTreeSet<(Moment, Key)>,
    next: Key,
}

/// The number of a zone, which no other one gets.
type Key = u64;

struct Entry {
    id: ZoneId,
    live: Arc<Live>,
    secondary: Arc<Secondary>,
    settings: RefreshSettings,
    timers: Timers,
    /// Tells the steps of the present settings from those of earlier ones.
    generation: u32,
    /// When it is in `Schedule::wakes`.
    wakes: Option<Moment>,
}

/// What a zone has to do now.
#[derive(Clone)]
pub(super) struct Due {
    pub(super) id: ZoneId,
    pub(super) live: Arc<Live>,
    pub(super) secondary: Arc<Secondary>,
    pub(super) step: Step,
    /// Whether the version at hand has just expired.
    pub(super) expired: bool,
    /// When the version at hand expires, if that has changed.
    pub(super) expires: Option<Moment>,
    key: Key,
    generation: u32,
}

impl Schedule {
    /// The moment at which to call [`Schedule::take_due`].
    pub(super) fn wakes(&self) -> Option<Moment> {
        self.wakes.first().map(|&(moment, _)| moment)
    }

    /// All zones.
    pub(super) fn zones(&self) -> HashSet<ZoneId> {
        self.keys.keys().cloned().collect()
    }

    /// Takes over a secondary zone as it is published. If anything about it has changed, its primaries are asked at
    /// once.
    pub(super) fn follow(&mut self, id: ZoneId, zone: &Zone, peers: &Peers, now: Moment) {
        let (Some(secondary), Some(live)) = (&zone.secondary, &zone.live) else { return self.forget(&id) };
        let wants_changes = |address: IpAddr| peers.of(address).and_then(|peer| peer.request_ixfr);
        let each = secondary
            .primaries
            .iter()
            .map(|primary| wants_changes(primary.address.ip()).unwrap_or(secondary.inbound.request_ixfr));
        let settings = RefreshSettings::of(&secondary.inbound, each);
        if let Some(&key) = self.keys.get(&id)
            && let Some(entry) = self.zones.get_mut(&key).filter(|entry| Arc::ptr_eq(&entry.live, live))
        {
            if entry.secondary != *secondary || entry.settings != settings {
                entry.secondary = Arc::clone(secondary);
                entry.timers.configure(settings.clone(), now);
                entry.settings = settings;
                entry.generation += 1;
                self.reschedule(key, now);
            }
            return;
        }
        self.forget(&id);
        let timers = resumed(live, settings.clone(), now);
        self.next += 1;
        let key = self.next;
        self.keys.insert(id.clone(), key);
        let (live, secondary) = (Arc::clone(live), Arc::clone(secondary));
        self.zones.insert(key, Entry { id, live, secondary, settings, timers, generation: 0, wakes: None });
        self.reschedule(key, now);
    }

    /// Forgets a zone.
    pub(super) fn forget(&mut self, id: &ZoneId) {
        let entry = self.keys.remove(id).and_then(|key| Some((key, self.zones.remove(&key)?)));
        if let Some((key, Entry { wakes: Some(wakes), .. })) = entry {
            self.wakes.remove(&(wakes, key));
        }
    }

    /// Takes a NOTIFY from this address; `None` if the zone is unknown. See [`Timers::notified`].
    pub(super) fn notified(
        &mut self,
        id: &ZoneId,
        from: IpAddr,
        serial: Option<Serial>,
        now: Moment,
    ) -> Option<(Due, Notified)> {
        self.request(id, now, |entry| {
            let primary = entry.secondary.primaries.iter().position(|primary| primary.address.ip() == from);
            entry.timers.notified(primary, serial, now)
        })
    }

    /// Starts a round; `None` if the zone is unknown. See [`Timers::refresh`].
    pub(super) fn refresh(&mut self, id: &ZoneId, now: Moment) -> Option<(Due, Notified)> {
        self.request(id, now, |entry| entry.timers.refresh(now))
    }

    /// Starts a transfer of the whole zone; `None` if the zone is unknown. See [`Timers::retransfer`].
    pub(super) fn retransfer(&mut self, id: &ZoneId, now: Moment) -> Option<(Due, Notified)> {
        self.request(id, now, |entry| entry.timers.retransfer(now))
    }

    /// The next zone that has something to do; `None` if nothing is due.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Due> {
        loop {
            let &(_, key) = self.wakes.first().filter(|(moment, _)| *moment <= now)?;
            let Some(entry) = self.zones.get_mut(&key) else {
                self.wakes.pop_first();
                continue;
            };
            let was_expired = entry.timers.is_expired();
            let step = entry.timers.wake(now);
            let due = Due { expired: entry.timers.is_expired() && !was_expired, ..entry.due(key, step) };
            self.reschedule(key, now);
            if due.expired || due.step != Step::Wait {
                return Some(due);
            }
        }
    }

    /// Takes the result of a step, and returns the next one; `None` if the zone, or what is known of its primaries, is
    /// not what it was when the step began.
    pub(super) fn heard(&mut self, done: &Due, heard: Heard, now: Moment) -> Option<Due> {
        let entry = self.zones.get_mut(&done.key)?;
        if entry.generation != done.generation {
            if let Heard::Version(..) = heard {
                entry.timers = resumed(&entry.live, entry.settings.clone(), now);
                entry.generation += 1;
                self.reschedule(done.key, now);
            }
            return None;
        }
        let before = (entry.timers.expires(), entry.timers.is_expired());
        let step = entry.timers.heard(heard, now);
        let after = (entry.timers.expires(), entry.timers.is_expired());
        let due = Due { expires: after.0.filter(|_| after != before), ..entry.due(done.key, step) };
        self.reschedule(done.key, now);
        Some(due)
    }

    fn request(
        &mut self,
        id: &ZoneId,
        now: Moment,
        what: impl FnOnce(&mut Entry) -> Notified,
    ) -> Option<(Due, Notified)> {
        let key = *self.keys.get(id)?;
        let entry = self.zones.get_mut(&key)?;
        let notified = what(entry);
        let step = if let Notified::Started(step) = notified { step } else { Step::Wait };
        let due = entry.due(key, step);
        self.reschedule(key, now);
        Some((due, notified))
    }

    /// Enters a zone at the moment that its timers want.
    fn reschedule(&mut self, key: Key, now: Moment) {
        let Some(entry) = self.zones.get_mut(&key) else { return };
        let wakes = entry.timers.wake_at();
        if entry.wakes != wakes {
            entry.wakes.map(|earlier| self.wakes.remove(&(earlier, key)));
            wakes.map(|wakes| self.wakes.insert((wakes, key)));
            entry.wakes = wakes;
        }
        entry.live.timing().set_refreshes(unix_now() + entry.timers.due().saturating_sub(now).as_secs());
    }
}

impl Entry {
    fn due(&self, key: Key, step: Step) -> Due {
        Due {
            id: self.id.clone(),
            live: Arc::clone(&self.live),
            secondary: Arc::clone(&self.secondary),
            step,
            expired: false,
            expires: None,
            key,
            generation: self.generation,
        }
    }
}

/// The timers of a zone with what it has at hand. Its primaries are asked at once, as a NOTIFY may have come while nobody
/// was there.
fn resumed(live: &Live, settings: RefreshSettings, now: Moment) -> Timers {
    // What spreads the load need not be random.
    let seed = getrandom::u64().unwrap_or_default();
    let times = live.lock().data().soa().map(|soa| Times::of(&soa));
    match times.zip(live.timing().expires()) {
        Some((times, expires)) => {
            let expires = now + Moment::from_secs(expires.saturating_sub(unix_now()));
            Timers::resumed(settings, seed, times, now, expires)
        }
        None => Timers::new(settings, seed, now),
    }
}
