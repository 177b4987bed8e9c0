//! The secondary zones of a server, each kept up to date by its [`Timers`](super::Timers).
//!
//! [`Secondaries`] is the thread that does it, and the way to tell it what happens: `inbox` keeps that until the thread
//! takes it. `schedule` knows when which zone is due. An `attempt` carries out one step of a zone's timers: a question to
//! one primary or a transfer from it, of which only so many run at a time.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    sync::Semaphore,
    task::{LocalSet, spawn_blocking, spawn_local},
    time::{Instant, timeout_at},
};
use tracing::{error, info, warn};
use zonefmt::{Name, Serial};

use super::{
    Activity, Moment, Notified, Step,
    attempt::{Attempt, Resources},
    connections,
    inbox::{All, Inbox, News},
    schedule::{Due, Schedule},
};
use crate::{
    live::Live,
    logs::AddressLine,
    stats::Counters,
    transfer::ZoneId,
    zones::{Published, Snapshot},
};

/// The thread that keeps secondary zones up to date. Clones lead to the same one, which ends with the last of them.
#[derive(Clone)]
pub struct Secondaries(Arc<Handle>);

struct Handle {
    inbox: Arc<Inbox>,
    activity: Arc<Activity>,
}

impl Secondaries {
    /// Starts the thread, which counts here. Nothing is asked before [`Secondaries::follow`].
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(published: &Arc<Published>, counters: Counters) -> io::Result<Secondaries> {
        let (inbox, activity) = (Arc::new(Inbox::default()), Arc::new(Activity::default()));
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (news, served, active) = (Arc::clone(&inbox), Arc::clone(published), Arc::clone(&activity));
        thread::Builder::new().name("refresh".into()).spawn(move || {
            let keeper = Rc::new(Keeper {
                resources: Resources::new(Arc::clone(&served), active, counters),
                published: served,
                inbox: news,
                schedule: RefCell::default(),
                settling: RefCell::default(),
                places: Semaphore::new(SETTLING),
                started: Instant::now(),
            });
            LocalSet::new().block_on(&runtime, keeper.run());
            // Blocking threads may still wait for the disk; nobody waits for them.
            runtime.shutdown_background();
        })?;
        Ok(Secondaries(Arc::new(Handle { inbox, activity })))
    }

    /// Takes over which zones are secondary, and how they are, from what is published.
    pub fn follow(&self) {
        self.0.inbox.tell_all();
    }

    /// Takes over what is published of one zone, which may be gone.
    pub fn follow_zone(&self, view: &Arc<str>, origin: &Name) {
        self.tell(view, origin, News::Changed);
    }

    /// Passes on a NOTIFY of a primary, and the serial in it if there is one.
    pub fn notified(&self, view: &Arc<str>, origin: &Name, from: SocketAddr, serial: Option<Serial>) {
        self.tell(view, origin, News::Notified(from, serial));
    }

    /// Asks the primaries of a zone for a newer version now.
    pub fn refresh(&self, view: &Arc<str>, origin: &Name) {
        self.tell(view, origin, News::Refresh);
    }

    /// Transfers a zone as a whole now.
    pub fn retransfer(&self, view: &Arc<str>, origin: &Name) {
        self.tell(view, origin, News::Retransfer);
    }

    /// How much is under way.
    pub fn activity(&self) -> &Activity {
        &self.0.activity
    }

    fn tell(&self, view: &Arc<str>, origin: &Name, news: News) {
        self.0.inbox.tell(ZoneId { view: Arc::clone(view), origin: origin.clone() }, news);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

/// How long the thread sleeps at most.
const LONGEST: Duration = Duration::from_secs(3600);

/// The most zones whose times are being taken over; each has a thread.
const SETTLING: usize = 64;

/// What the thread works with.
struct Keeper {
    published: Arc<Published>,
    inbox: Arc<Inbox>,
    schedule: RefCell<Schedule>,
    resources: Resources,
    /// The zones that are being settled, and whether their times have changed since that began.
    settling: RefCell<HashMap<*const Live, bool>>,
    /// Bounds how many are at a time, so that transfers do not lack threads if a disk hangs.
    places: Semaphore,
    /// The start of the clock of all timers.
    started: Instant,
}

impl Keeper {
    /// Does what is due, and what others tell, until nobody can tell anything more.
    async fn run(self: Rc<Self>) {
        loop {
            let longest = if self.resources.tend_connections() { connections::LONGEST_IDLE } else { LONGEST };
            let wakes = self.schedule.borrow().wakes().unwrap_or(Moment::MAX).min(self.now() + longest);
            if let Ok(news) = timeout_at(self.started + wakes, self.inbox.next()).await {
                let Some(All { changed, zones }) = news else { return };
                let snapshot = self.published.load();
                if changed {
                    self.follow(&snapshot);
                }
                for (id, news) in zones {
                    for news in news {
                        self.hear(&id, news, &snapshot);
                    }
                }
            }
            while let Some(due) = self.take_due() {
                self.begin(due);
            }
        }
    }

    /// Takes over all secondary zones that are published.
    fn follow(self: &Rc<Self>, snapshot: &Snapshot) {
        let now = self.now();
        let mut schedule = self.schedule.borrow_mut();
        let mut stale = schedule.zones();
        for (view, zone) in snapshot.declared().filter(|(_, zone)| zone.secondary.is_some()) {
            let id = ZoneId { view: Arc::clone(&view.name), origin: zone.origin.clone() };
            stale.remove(&id);
            schedule.follow(id, zone, &view.settings.peers, now);
        }
        for id in &stale {
            schedule.forget(id);
        }
    }

    fn hear(self: &Rc<Self>, id: &ZoneId, news: News, snapshot: &Snapshot) {
        let now = self.now();
        let mut schedule = self.schedule.borrow_mut();
        let reaction = match news {
            News::Changed => {
                let view = snapshot.view(&id.view);
                match view.and_then(|view| Some((view, view.zones.get(id.origin.as_ref())?))) {
                    Some((view, zone)) if zone.secondary.is_some() => {
                        schedule.follow(id.clone(), zone, &view.settings.peers, now);
                    }
                    _ => schedule.forget(id),
                }
                return;
            }
            News::Notified(from, serial) => {
                let said = serial.map_or("no serial".into(), |serial| format!("serial {}", serial.0));
                let reaction = schedule.notified(id, from.ip(), serial, now);
                let then = match reaction {
                    Some((_, Notified::UpToDate)) => ": zone is up to date",
                    Some((_, Notified::Queued)) => ": refresh in progress, refresh check queued",
                    _ => "",
                };
                info!(target: "general", "zone {id}: notify from {}: {said}{then}", AddressLine(from));
                reaction
            }
            News::Refresh => schedule.refresh(id, now),
            News::Retransfer => schedule.retransfer(id, now),
        };
        drop(schedule);
        if let Some((due, Notified::Started(_))) = reaction {
            self.begin(due);
        }
    }

    /// The next zone whose timers are due, if there is one.
    fn take_due(&self) -> Option<Due> {
        self.schedule.borrow_mut().take_due(self.now())
    }

    /// Carries out a step, and the ones that follow from it.
    fn begin(self: &Rc<Self>, due: Due) {
        if due.expired {
            warn!(target: "general", "zone {}: expired", due.id);
            self.settle(&due.live);
        }
        if due.step == Step::Wait {
            return;
        }
        let keeper = Rc::clone(self);
        spawn_local(async move {
            let mut next = Some(due);
            while let Some(due) = next.take().filter(|due| due.step != Step::Wait) {
                let heard = Attempt::new(&due, &keeper.resources).run().await;
                next = keeper.schedule.borrow_mut().heard(&due, heard, keeper.now());
                if next.as_ref().is_some_and(|next| next.confirmed) {
                    keeper.settle(&due.live);
                }
            }
            // There may be something to do sooner than before.
            keeper.inbox.wake();
        });
    }

    /// Serves a zone as its times say from now on, and marks its copy, on a thread that may wait for the disk. Each zone
    /// has one such thread at a time, so that the timers of others go on if its disk is slow.
    fn settle(self: &Rc<Self>, live: &Arc<Live>) {
        if live.try_follow_times(&self.published) {
            return;
        }
        match self.settling.borrow_mut().entry(Arc::as_ptr(live)) {
            Entry::Occupied(mut again) => {
                again.insert(true);
                return;
            }
            Entry::Vacant(first) => first.insert(false),
        };
        let (keeper, live) = (Rc::clone(self), Arc::clone(live));
        spawn_local(async move {
            let mut again = true;
            while again {
                // The semaphore is never closed.
                let Ok(_place) = keeper.places.acquire().await else { return };
                let (settled, published) = (Arc::clone(&live), Arc::clone(&keeper.published));
                let done = spawn_blocking(move || settled.follow_times(&published)).await;
                done.unwrap_or_else(|fault| error!(target: "general", "a fault of this server: {fault}"));
                again = keeper.settling.borrow_mut().insert(Arc::as_ptr(&live), false) == Some(true);
            }
            keeper.settling.borrow_mut().remove(&Arc::as_ptr(&live));
        });
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use zonefmt::{NameRef, Rtype, rdata::Soa};

    use super::*;
    use crate::{
        clock::unix_now,
        live::Validity,
        settings::{Remote, Secondary},
        zone::ZoneData,
        zones::{View, Zone, ZoneMap, ZoneState},
    };

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn wait_until(is_so: impl Fn() -> bool, what: &str) {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < PATIENCE, "{what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// While an update or a transfer of one zone waited for the disk, no other zone was refreshed, and none expired.
    #[test]
    fn a_zone_that_waits_for_its_disk_keeps_no_other_zone_waiting() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let primaries = [Remote { address: silent.local_addr().unwrap(), key: None }].into();
        let secondary = Arc::new(Secondary { primaries, inbound: Arc::default() });
        let [held, other] = ["held", "other"].map(|name| {
            let origin = Name::from_ascii(name).unwrap();
            let (root, serial) = (NameRef::ROOT, Serial(1));
            let soa = Soa { primary: root, mailbox: root, serial, refresh: 1, retry: 1, expire: 1, minimum: 1 };
            let mut edit = ZoneData::new(origin.clone()).edit();
            edit.add(origin.as_ref(), Rtype::SOA, 0, &soa.to_wire()).unwrap();
            let data = edit.commit();
            let live = Live::unkept(data.clone());
            live.timing().resume(Validity { confirmed: unix_now(), expires: unix_now() + 1 });
            Arc::new(
                Zone::new(origin, Arc::default(), ZoneState::Loaded(data))
                    .coming_from(Some(Arc::clone(&secondary)))
                    .owned_by(Some(Arc::new(live))),
            )
        });
        let zones = ZoneMap::from_iter([Arc::clone(&held), Arc::clone(&other)]);
        let published = Arc::new(Published::new(Snapshot::new(Arc::default(), vec![View::of(zones)])));
        let is_expired = |zone: &Zone| {
            let snapshot = published.load();
            let zone = snapshot.view(View::DEFAULT).and_then(|view| view.zones.get(zone.origin.as_ref()));
            matches!(zone.unwrap().state, ZoneState::Expired)
        };
        let secondaries = {
            let _changing = held.live.as_ref().unwrap().lock();
            let secondaries = Secondaries::start(&published, Counters::default()).unwrap();
            secondaries.follow();
            wait_until(|| is_expired(&other), "the other zone does not expire");
            assert!(!is_expired(&held));
            secondaries
        };
        wait_until(|| is_expired(&held), "the zone does not expire");
        drop(secondaries);
    }
}
