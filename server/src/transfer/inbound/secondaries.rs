//! The secondary zones of a server, each kept up to date by its [`Timers`](super::Timers).
//!
//! [`Secondaries`] is the thread that does it, and the way to tell it what happens: `inbox` keeps that until the thread
//! takes it. `schedule` knows when which zone is due. An `attempt` carries out one step of a zone's timers: a question to
//! one primary or a transfer from it, of which only so many run at a time.

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, sync::Arc, thread, time::Duration};

use tokio::{
    runtime,
    task::{LocalSet, spawn_local},
    time::{Instant, timeout_at},
};
use tracing::{info, warn};
use zonefmt::{Name, Serial};

use super::{
    Activity, Heard, Moment, Notified, Step,
    attempt::{Attempt, Resources},
    connections,
    inbox::{Inbox, News, ZoneId},
    schedule::{Due, Schedule},
    unix_now,
};
use crate::{
    logs::{AddressLine, ZoneLine},
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
    /// Starts the thread. Nothing is asked before [`Secondaries::follow`].
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(published: &Arc<Published>) -> io::Result<Secondaries> {
        let (inbox, activity) = (Arc::new(Inbox::default()), Arc::new(Activity::default()));
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (news, served, counts) = (Arc::clone(&inbox), Arc::clone(published), Arc::clone(&activity));
        thread::Builder::new().name("refresh".into()).spawn(move || {
            let keeper = Rc::new(Keeper {
                resources: Resources::new(Arc::clone(&served), counts),
                published: served,
                inbox: news,
                schedule: RefCell::default(),
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
        self.0.inbox.tell((Arc::clone(view), origin.clone()), news);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

/// How long the thread sleeps at most.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the thread works with.
struct Keeper {
    published: Arc<Published>,
    inbox: Arc<Inbox>,
    schedule: RefCell<Schedule>,
    resources: Resources,
    /// The start of the clock of all timers.
    started: Instant,
}

impl Keeper {
    /// Does what is due, and what others tell, until nobody can tell anything more.
    async fn run(self: Rc<Self>) {
        loop {
            let longest = if self.resources.tend_connections() { connections::LONGEST } else { LONGEST };
            let wakes = self.schedule.borrow().wakes().unwrap_or(Moment::MAX).min(self.now() + longest);
            if let Ok(news) = timeout_at(self.started + wakes, self.inbox.next()).await {
                let Some((all, zones)) = news else { return };
                let snapshot = self.published.load();
                if all {
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
            let id = (Arc::clone(&view.name), zone.origin.clone());
            stale.remove(&id);
            schedule.follow(id, zone, &view.settings.peers, now);
        }
        for id in &stale {
            schedule.forget(id);
        }
    }

    fn hear(self: &Rc<Self>, id: &ZoneId, news: News, snapshot: &Snapshot) {
        let zone = || ZoneLine { origin: id.1.as_ref(), view: &id.0 };
        let now = self.now();
        let mut schedule = self.schedule.borrow_mut();
        let reaction = match news {
            News::Changed => {
                let view = snapshot.view(&id.0);
                match view.and_then(|view| Some((view, view.zones.get(id.1.as_ref())?))) {
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
                info!(target: "notify", "zone {}: notify from {}: {said}{then}", zone(), AddressLine(from));
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
            let (view, origin) = &due.id;
            warn!(target: "general", "zone {}: expired", ZoneLine { origin: origin.as_ref(), view });
            due.live.expire(&self.published);
        }
        if due.step == Step::Wait {
            return;
        }
        let keeper = Rc::clone(self);
        spawn_local(async move {
            let mut next = Some(due);
            while let Some(due) = next.take().filter(|due| due.step != Step::Wait) {
                let heard = Attempt::new(&due, &keeper.resources).run().await;
                next = keeper.finish(&due, heard);
            }
            // There may be something to do sooner than before.
            keeper.inbox.wake();
        });
    }

    /// Takes the result of a step, and returns the next one.
    fn finish(&self, done: &Due, heard: Heard) -> Option<Due> {
        let now = self.now();
        let next = self.schedule.borrow_mut().heard(done, heard, now)?;
        if let (Heard::Serial(..) | Heard::Version(..), Some(expires)) = (heard, next.expires) {
            done.live.confirm(unix_now() + expires.saturating_sub(now).as_secs(), &self.published);
        }
        Some(next)
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }
}
