//! The secondary zones with their timers, by when they are due.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use zonefmt::Serial;

use super::{Heard, Moment, Notified, RefreshSettings, Step, Timers, Times};
use crate::{
    clock::unix_now,
    live::{Live, Validity},
    settings::{Peers, Secondary},
    transfer::ZoneId,
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
    /// Whether the version at hand has just been confirmed by a primary.
    pub(super) confirmed: bool,
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
            if due.expired {
                entry.live.timing().expire();
            }
            self.reschedule(key, now);
            if due.expired || due.step != Step::Wait {
                return Some(due);
            }
        }
    }

    /// Takes the result of a step, and returns the next one; `None` if the zone is not what it was when the step began. If
    /// only what is known of its primaries has changed since, a version that the step brought is kept.
    pub(super) fn heard(&mut self, done: &Due, heard: Heard, now: Moment) -> Option<Due> {
        let entry = self.zones.get_mut(&done.key)?;
        let before = (entry.timers.expires(), entry.timers.is_expired());
        let step = match heard {
            _ if entry.generation == done.generation => entry.timers.heard(heard, now),
            Heard::Version(times, edns) => {
                entry.timers.took(times, edns, now);
                Step::Wait
            }
            Heard::Serial(..) | Heard::Failed { .. } => return None,
        };
        let after = (entry.timers.expires(), entry.timers.is_expired());
        let is_confirmed = after != before || matches!(heard, Heard::Version(..));
        let confirmed = after.0.zip(entry.timers.lifetime()).filter(|_| is_confirmed);
        if let Some((expires, lifetime)) = confirmed {
            let expires = unix_now() + expires.saturating_sub(now).as_secs();
            entry.live.timing().confirm(Validity { confirmed: expires.saturating_sub(lifetime.into()), expires });
        }
        let due = Due { confirmed: confirmed.is_some(), ..entry.due(done.key, step) };
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
            confirmed: false,
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
    let times = live.newest().soa().map(|soa| Times::of(&soa));
    match times.zip(live.timing().expires()) {
        Some((times, expires)) => {
            let expires = now + Moment::from_secs(expires.saturating_sub(unix_now()));
            Timers::resumed(settings, seed, times, now, expires)
        }
        None => Timers::new(settings, seed, now),
    }
}

#[cfg(test)]
mod tests {
    use zonefmt::{Name, NameRef, Rtype, rdata::Soa};

    use super::*;
    use crate::{
        settings::{Inbound, Remote},
        transfer::inbound::validity,
        zone::ZoneData,
        zones::ZoneState,
    };

    /// A version whose SOA has these times, for a secondary with these primaries.
    fn secondary(soa: Option<[u32; 3]>, primaries: &[&str]) -> Zone {
        let mut edit = ZoneData::new(Name::root()).edit();
        if let Some([refresh, retry, expire]) = soa {
            let (root, serial) = (NameRef::ROOT, Serial(1));
            let soa = Soa { primary: root, mailbox: root, serial, refresh, retry, expire, minimum: 1 };
            edit.add(root, Rtype::SOA, 0, &soa.to_wire()).expect("it fits");
        }
        let primaries = primaries.iter().map(|at| Remote { address: at.parse().unwrap(), key: None }).collect();
        Zone::new(Name::root(), Arc::default(), ZoneState::NotLoaded)
            .coming_from(Some(Arc::new(Secondary { primaries, inbound: Arc::default() })))
            .owned_by(Some(Arc::new(Live::unkept(edit.commit()))))
    }

    fn id() -> ZoneId {
        ZoneId { view: "_default".into(), origin: Name::root() }
    }

    /// It was served without ever expiring, as its times were not known.
    #[test]
    fn a_zone_that_is_reconfigured_during_its_first_transfer_expires() {
        let (mut schedule, peers, now) = (Schedule::default(), Peers::default(), Moment::from_secs(1));
        let zone = secondary(None, &["192.0.2.1:53"]);
        schedule.follow(id(), &zone, &peers, now);
        let due = schedule.take_due(now).unwrap();
        let changed = secondary(None, &["192.0.2.2:53"]).owned_by(zone.live.clone());
        schedule.follow(id(), &changed, &peers, now);
        let times = Times { serial: Serial(1), refresh: 3600, retry: 600, expire: 86_400 };
        let next = schedule.heard(&due, Heard::Version(times, None), now).unwrap();
        assert!(next.confirmed && next.step == Step::Wait);
        let expires = zone.live.unwrap().timing().expires().unwrap();
        assert!((86_000..=86_400).contains(&(expires - unix_now())));
        assert_eq!(schedule.take_due(now).unwrap().step, Step::Ask(0));
    }

    /// Its copy had a time before its confirmation, or expired sooner after a restart than without one.
    #[test]
    fn a_copy_that_is_confirmed_expires_when_it_does_after_a_restart() {
        for soa in [[3600, 600, 86_400], [3600, 600, 7], [1, 1, 1], [1, 1, u32::MAX], [u32::MAX; 3]] {
            let (mut schedule, now) = (Schedule::default(), Moment::from_secs(1));
            let zone = secondary(Some(soa), &["192.0.2.1:53"]);
            let live = zone.live.clone().unwrap();
            let before = unix_now();
            schedule.follow(id(), &zone, &Peers::default(), now);
            let due = schedule.take_due(now).unwrap();
            let times = Times::of(&live.newest().soa().unwrap());
            schedule.heard(&due, Heard::Version(times, None), now);
            let (confirmed, expires) = (live.timing().confirmed().unwrap(), live.timing().expires().unwrap());
            let resumed = validity(&live.newest(), &Inbound::default(), confirmed.try_into().unwrap()).unwrap();
            assert_eq!(resumed.expires, expires, "{soa:?}");
            assert!((before..=unix_now()).contains(&resumed.confirmed), "{soa:?}");
        }
    }
}
