//! Updates of a running server: a queue, and threads that carry them out.
//!
//! [`Queue::admit`] runs in the worker that received the request, and turns away what is not for a zone that this client
//! may update, so that strangers never fill the queue. Each zone has its thread, which takes all that is waiting, zone by
//! zone, makes the changes one after the other, each from the version that the one before left, and commits those of a
//! zone together: one sync of the disk serves them all. Replies are sent when it is done. Whoever may not update the zone
//! any more by then is turned away, too. `stored` does it for zones that are not kept on a disk of this server.

use std::{
    hash::BuildHasher,
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SendError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Zoned;
use rustc_hash::FxBuildHasher;
use tracing::{error, info, warn};
use zonefmt::{Class, Name, NameRef, Rtype};

use super::{
    Note, Policy, Refusal, Update, Updater,
    job::{End, Job, Reply},
    observers::Observers,
    request::Request,
    stored,
};
use crate::{
    Malformed, Rcode,
    access::Requester,
    answer::Answered,
    clock::unix_now,
    dnstap::Tap,
    listen::{Client, Later, Transport},
    live::{Author, Live},
    logs::ClientLine,
    message::Message,
    stats::Counters,
    wire::Ede,
    zone::{Change, ZoneData},
    zones::{Published, Snapshot, Zone, ZoneState},
};

/// The queue of updates. Clones lead to the same one.
#[derive(Clone)]
pub struct Queue {
    /// One for each thread.
    jobs: Arc<[Sender<Job>]>,
    waiting: Arc<Waiting>,
}

/// How many updates wait.
#[derive(Default)]
struct Waiting {
    all: AtomicUsize,
    /// Those of clients that have proved no key.
    unproven: AtomicUsize,
}

/// An update that may be carried out.
pub(crate) struct Admitted {
    queue: Queue,
    pub(super) zone: Arc<Zone>,
    pub(super) live: Arc<Live>,
    view: Arc<str>,
    pub(super) client: Client,
    key: Option<Name>,
    message: Vec<u8>,
    _place: Place,
}

/// The place of an update that waits, given back when dropped.
struct Place {
    waiting: Arc<Waiting>,
    is_proven: bool,
}

/// The threads. While one waits for its disk, zones of the others go on.
const THREADS: usize = 4;
/// How many updates may wait.
const LENGTH: usize = 4096;
/// How many of them may be of clients that have proved no key: `update-policy` can allow something to anybody over TCP.
const UNPROVEN: usize = 1024;
/// The most updates that are carried out together.
const BATCH: usize = 512;
/// How long updates may take until that is logged: their clients are about to send them again.
pub(super) const SLOW: Duration = Duration::from_secs(2);

impl Queue {
    /// Starts the threads, which change what is published, and count and tap their replies. They end when nobody has the
    /// queue any more.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        published: &Arc<Published>,
        counters: impl Fn() -> Counters,
        tap: impl Fn() -> Tap,
    ) -> io::Result<Queue> {
        let start = |number| {
            let (sender, jobs) = channel();
            let (published, observers) = (Arc::clone(published), Arc::new(Observers::new(counters(), tap())));
            let thread = thread::Builder::new().name(format!("update-{number}"));
            thread.spawn(move || run(&jobs, &published, &observers))?;
            Ok(sender)
        };
        Ok(Queue { jobs: (0..THREADS).map(start).collect::<io::Result<_>>()?, waiting: Arc::default() })
    }

    /// Checks whether an update is for a zone that its client may update.
    ///
    /// # Errors
    /// What to respond with, which is logged.
    pub(crate) fn admit<'v>(&self, request: &Request<'_, 'v>) -> Result<Admitted, Answered<'v>> {
        let &Request { view, question, client, key, message, quota, .. } = request;
        if question.qtype != Rtype::SOA {
            return Err(request.fails(Rcode::FORMERR, None, "update zone section contains non-SOA"));
        }
        if matches!(question.qclass, Class::ANY | Class::NONE) {
            return Err(request.fails(Rcode::FORMERR, None, "update zone section has a meta-class"));
        }
        if question.qclass != Class::IN {
            return Err(request.fails(Rcode::NOTIMP, None, "updates are for zones of class IN"));
        }
        let Some(zone) = request.zone() else {
            let why = "not authoritative for update zone";
            return Err(request.fails(Rcode::NOTAUTH, Some(Ede::NotAuthoritative), why));
        };
        let by =
            Updater { requester: Requester { addr: client.addr.ip(), key }, tcp: client.transport == Transport::Tcp };
        let for_nobody = || zone.settings.updates.policy == Policy::nobody();
        judge(zone, by).map_err(|denied| request.denied(zone, "update", denied, for_nobody()))?;
        let Some(live) = zone.live.clone().filter(|_| matches!(zone.state, ZoneState::Loaded(_))) else {
            return Err(request.fails(Rcode::SERVFAIL, Some(Ede::NotReady), "the zone is not loaded"));
        };
        let Some(place) = Place::take(&self.waiting, key.is_some(), quota) else {
            return Err(request.is_one_too_many("too many updates are waiting"));
        };
        Ok(Admitted {
            queue: self.clone(),
            zone: Arc::clone(zone),
            live,
            view: Arc::clone(&view.name),
            client: *client,
            key: key.map(NameRef::to_owned),
            message: message.to_vec(),
            _place: place,
        })
    }
}

impl Admitted {
    /// Puts the update into the queue, where it has its place.
    pub(crate) fn enqueue(self, reply: Reply, way: Later) {
        let jobs = Arc::clone(&self.queue.jobs);
        let thread = FxBuildHasher.hash_one(&self.zone.origin) as usize % jobs.len();
        if let Err(SendError(job)) = jobs[thread].send(Job { update: self, reply, way }) {
            // Without a reply, the client tries again.
            error!(target: "update", "{}: update failed: the thread for updates has ended", job.update.line());
        }
    }

    pub(super) fn line(&self) -> ClientLine<'_> {
        let key = self.key.as_ref().map(Name::as_ref);
        ClientLine { number: ClientLine::number(), client: self.client.addr, key, name: None, view: &self.view }
    }

    /// Who has sent it.
    pub(super) fn author(&self) -> Author {
        Author::of(&self.client, self.key.as_ref().map(Name::as_ref), &self.message)
    }

    /// How many octets the message has.
    pub(super) fn octets(&self) -> usize {
        self.message.len()
    }

    /// The client, and what it has proved.
    fn by(&self) -> Updater<'_> {
        Updater {
            requester: Requester { addr: self.client.addr.ip(), key: self.key.as_ref().map(Name::as_ref) },
            tcp: self.client.transport == Transport::Tcp,
        }
    }

    /// The zone as it is published now.
    ///
    /// # Errors
    /// This client may not update it any more.
    fn zone_in<'s>(&self, snapshot: &'s Snapshot) -> Result<&'s Zone, Refusal> {
        let refusal = |why| Refusal::new(Rcode::REFUSED, why);
        let changed = || refusal("the zone or the key is not configured any more");
        let view = snapshot.view(&self.view).ok_or_else(changed)?;
        let has_key = self.key.as_ref().is_none_or(|key| view.keys.find(key.as_ref()).is_some());
        let zone = view.zones.get(self.zone.origin.as_ref()).filter(|_| has_key).ok_or_else(changed)?;
        judge(zone, self.by()).map_err(refusal)?;
        Ok(zone)
    }

    /// Carries the update out on a version of the zone.
    ///
    /// # Errors
    /// What became of it, if nothing changes.
    fn apply(&self, zone: Result<&Zone, Refusal>, data: &ZoneData, now: &Zoned) -> Result<(ZoneData, Change), End> {
        let line = self.line();
        let shown = self.zone.origin.as_ref();
        let shown = shown.without_final_dot();
        let log = |refusal: &Refusal| info!(target: "update", "{line}: updating zone '{shown}/IN': {refusal}");
        let refused = |refusal: Refusal| {
            log(&refusal);
            End::Refused(refusal.into())
        };
        let settings = &zone.map_err(refused)?.settings.updates;
        if let Some(key) = &self.key {
            info!(target: "update-security", "{line}: signer \"{}\" approved", key.as_ref().without_final_dot());
        }
        let read = Message::read(&self.message)
            .map_err(|Malformed| Refusal::new(Rcode::FORMERR, "malformed message"))
            .and_then(|message| Update::read(&message));
        let permitted = read.and_then(|update| update.permit(self.by(), data, settings)).map_err(refused)?;
        let mut note = |note: Note<'_>| info!(target: "update", "{line}: updating zone '{shown}/IN': {note}");
        match permitted.apply(data, settings, now, &mut note) {
            Ok(made) => made.ok_or(End::Made),
            Err(refusal) => {
                log(&refusal);
                Err(End::Failed(refusal.into()))
            }
        }
    }
}

/// Whether a client may update a zone at all; see also [`Update::permit`].
///
/// # Errors
/// How it is logged that it may not, in named's words. As in BIND, prerequisites must not show to a client what it may
/// not query.
fn judge(zone: &Zone, by: Updater<'_>) -> Result<(), &'static str> {
    if !zone.settings.allow_query.allows(by.requester) {
        return Err("denied due to allow-query");
    }
    if zone.settings.updates.policy.admits(by) { Ok(()) } else { Err("denied") }
}

impl Place {
    /// A place for one more update, if there is one; `most` may have one.
    fn take(waiting: &Arc<Waiting>, is_proven: bool, most: usize) -> Option<Place> {
        let place = Place { waiting: Arc::clone(waiting), is_proven };
        let mut is_free = waiting.all.fetch_add(1, Ordering::Relaxed) < most.min(LENGTH);
        if !is_proven {
            is_free &= waiting.unproven.fetch_add(1, Ordering::Relaxed) < UNPROVEN;
        }
        is_free.then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.all.fetch_sub(1, Ordering::Relaxed);
        if !self.is_proven {
            self.waiting.unproven.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn run(jobs: &Receiver<Job>, published: &Published, observers: &Arc<Observers>) {
    let mut company = stored::Company::default();
    while let Ok(first) = jobs.recv() {
        company.gather();
        let mut zones: Vec<(Arc<Live>, Vec<Job>)> = Vec::new();
        for job in [first].into_iter().chain(jobs.try_iter()).take(BATCH) {
            match zones.iter_mut().find(|(live, _)| Arc::ptr_eq(live, &job.update.live)) {
                Some((_, together)) => together.push(job),
                None => zones.push((Arc::clone(&job.update.live), vec![job])),
            }
        }
        for (live, together) in zones {
            let carry_out = || match live.store() {
                Some(store) => stored::carry_out(&live, &**store, together, published, observers, &mut company),
                None => carry_out(&live, together, published, observers),
            };
            // A panic here fails only these updates.
            if panic::catch_unwind(AssertUnwindSafe(carry_out)).is_err() {
                error!(target: "update", "{live:?}: updates failed by a fault of this server");
            }
        }
    }
}

/// Carries out the updates of one zone, together.
fn carry_out(live: &Live, jobs: Vec<Job>, published: &Published, observers: &Observers) {
    let begun = Instant::now();
    live.make_way();
    let mut locked = live.lock();
    let waited = begun.elapsed();
    if let Err(failure) = locked.check_open() {
        fail_all(jobs, &End::from(&failure), observers);
        return;
    }
    let mut changes = Vec::new();
    let (data, ends) = try_all(&jobs, locked.data().clone(), published, |_, change, _| changes.push(change));
    let committed = if changes.is_empty() { Ok(()) } else { locked.commit(&changes, data, published) };
    drop(locked);
    let took = begun.elapsed();
    if took > SLOW {
        let (took, waited, count) = (took.as_secs_f32(), waited.as_secs_f32(), ends.len());
        warn!(
            target: "update",
            "{live}: {count} updates took {took:.1} s, of which they waited {waited:.1} s for others; the disk may be slow"
        );
    }
    match committed {
        Ok(()) => {
            let now = unix_now();
            jobs.into_iter().zip(ends).for_each(|(job, end)| job.finish(&end, observers, now));
        }
        // What any of them found may stand on what was not made.
        Err(failure) => fail_all(jobs, &End::from(&failure), observers),
    }
}

/// Carries updates out, each on the version that the one before has left. Returns the last version, and what becomes of
/// each update once that is served. `made` gets the index of each one that changes something, the change, and the version
/// that this leads to.
pub(super) fn try_all(
    jobs: &[Job],
    mut data: ZoneData,
    published: &Published,
    mut made: impl FnMut(usize, Change, &ZoneData),
) -> (ZoneData, Vec<End>) {
    let (snapshot, time) = (published.load(), Zoned::now());
    let carried_out = jobs.iter().enumerate().map(|(index, job)| {
        match job.update.apply(job.update.zone_in(&snapshot), &data, &time) {
            Ok((next, change)) => {
                made(index, change, &next);
                data = next;
                End::Made
            }
            Err(end) => end,
        }
    });
    let ends = carried_out.collect();
    (data, ends)
}

/// Replies to updates with which nothing is wrong that they were not made, and logs it.
pub(super) fn fail_all(jobs: Vec<Job>, end: &End, observers: &Observers) {
    let now = unix_now();
    for job in jobs {
        job.log_failed(end);
        job.finish(end, observers, now);
    }
}
