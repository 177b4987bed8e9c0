//! Updates of a running server: a queue, and a thread that carries them out.
//!
//! [`Queue::admit`] runs in the worker that received the request, and turns away what is not for a zone that this client
//! may update, so that strangers never fill the queue. The thread takes all that is waiting, zone by zone, makes the
//! changes one after the other, each from the version that the one before left, and commits those of a zone together:
//! one sync of the disk serves them all. Replies are sent when it is done.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::Zoned;
use tracing::{error, info, warn};
use zonefmt::{Class, Name, NameRef, Rtype};

use super::{Refusal, Update, Updater};
use crate::{
    Malformed, Rcode,
    access::Requester,
    answer::Outcome,
    listen::{Client, Later, Transport},
    live::{Failure, Live},
    logs::ClientLine,
    message::Message,
    tsig,
    wire::{Ede, request::Question},
    zone::{Change, ZoneData},
    zones::{Published, View, Zone, ZoneState},
};

/// The queue of updates. Clones lead to the same one.
#[derive(Clone)]
pub struct Queue {
    jobs: SyncSender<Job>,
    /// How many updates wait of clients that have proved no key.
    unproven: Arc<AtomicUsize>,
}

/// An update that may be carried out.
pub(crate) struct Admitted {
    queue: Queue,
    zone: Arc<Zone>,
    live: Arc<Live>,
    view: Arc<str>,
    client: Client,
    key: Option<Name>,
    message: Vec<u8>,
    _unproven: Option<Unproven>,
}

/// The place of an update of a client that has proved no key.
struct Unproven(Arc<AtomicUsize>);

/// An update that waits.
struct Job {
    update: Admitted,
    reply: Reply,
    way: Later,
}

/// The reply to an update.
pub(crate) struct Reply {
    /// A message with the zone section and the OPT, and response code NOERROR.
    pub(crate) message: Vec<u8>,
    /// What signs it.
    pub(crate) signature: Option<tsig::Chain>,
}

/// How many updates may wait.
const LENGTH: usize = 4096;
/// How many of them may be of clients that have proved no key: `update-policy` can allow something to anybody over TCP.
const UNPROVEN: usize = 64;
/// The most updates that are carried out together.
const BATCH: usize = 512;

impl Queue {
    /// Starts the thread, which changes what is published. It ends when nobody has the queue any more.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(published: Arc<Published>) -> io::Result<Queue> {
        let (sender, jobs) = sync_channel(LENGTH);
        thread::Builder::new().name("update".into()).spawn(move || run(&jobs, &published))?;
        Ok(Queue { jobs: sender, unproven: Arc::default() })
    }

    /// Checks whether an update is for a zone that this client may update.
    ///
    /// # Errors
    /// The outcome to respond with, which is logged.
    pub(crate) fn admit(
        &self,
        view: &View,
        question: Question<'_>,
        client: &Client,
        key: Option<NameRef<'_>>,
        message: &[u8],
    ) -> Result<Admitted, Outcome> {
        let line = ClientLine { number: ClientLine::number(), client: client.addr, key, name: None, view: &view.name };
        let shown = question.qname.without_final_dot();
        let fails = |rcode, ede, why: &str| {
            info!(target: "update", "{line}: updating zone '{shown}/{}': update failed: {why}", question.qclass);
            Err(Outcome::error(rcode, ede))
        };
        if question.qtype != Rtype::SOA {
            return fails(Rcode::FORMERR, None, "update zone section contains non-SOA (FORMERR)");
        }
        let Some(zone) = view.zones.get(question.qname).filter(|_| question.qclass == Class::IN) else {
            let why = "not authoritative for update zone (NOTAUTH)";
            return fails(Rcode::NOTAUTH, Some(Ede::NotAuthoritative), why);
        };
        let by =
            Updater { requester: Requester { addr: client.addr.ip(), key }, tcp: client.transport == Transport::Tcp };
        if !zone.settings.updates.policy.admits(by) {
            info!(target: "update-security", "{line}: update '{shown}/IN' denied");
            return Err(Outcome::error(Rcode::REFUSED, Some(Ede::Prohibited)));
        }
        let Some(live) = zone.live.clone().filter(|_| matches!(zone.state, ZoneState::Loaded(_))) else {
            return fails(Rcode::SERVFAIL, Some(Ede::NotReady), "the zone is not loaded (SERVFAIL)");
        };
        let unproven = key.is_none().then(|| Unproven::new(&self.unproven));
        if self.unproven.load(Ordering::Relaxed) > UNPROVEN && unproven.is_some() {
            return fails(Rcode::SERVFAIL, Some(Ede::NotReady), "too many unsigned updates are waiting (SERVFAIL)");
        }
        Ok(Admitted {
            queue: self.clone(),
            zone: Arc::clone(zone),
            live,
            view: Arc::clone(&view.name),
            client: *client,
            key: key.map(NameRef::to_owned),
            message: message.to_vec(),
            _unproven: unproven,
        })
    }
}

impl Admitted {
    /// Puts the update into the queue. If that is full, the client gets SERVFAIL at once.
    pub(crate) fn enqueue(self, reply: Reply, way: Later) {
        let queue = self.queue.clone();
        let job = match queue.jobs.try_send(Job { update: self, reply, way }) {
            Ok(()) => return,
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job,
        };
        warn!(target: "update", "{}: update failed: too many updates are waiting", job.update.line());
        job.finish(Rcode::SERVFAIL, now());
    }

    fn line(&self) -> ClientLine<'_> {
        let key = self.key.as_ref().map(Name::as_ref);
        ClientLine { number: ClientLine::number(), client: self.client.addr, key, name: None, view: &self.view }
    }

    /// Carries the update out on a version of the zone; `None` if nothing changes.
    fn apply(&self, data: &ZoneData, now: &Zoned) -> Result<Option<(ZoneData, Change)>, Refusal> {
        let line = self.line();
        let zone = self.zone.origin.as_ref();
        let zone = zone.without_final_dot();
        if let Some(key) = &self.key {
            info!(target: "update-security", "{line}: signer \"{}\" approved", key.as_ref().without_final_dot());
        }
        let settings = &self.zone.settings.updates;
        let by = Updater {
            requester: Requester { addr: self.client.addr.ip(), key: self.key.as_ref().map(Name::as_ref) },
            tcp: self.client.transport == Transport::Tcp,
        };
        let read = Message::read(&self.message)
            .map_err(|Malformed| Refusal::new(Rcode::FORMERR, "malformed message"))
            .and_then(|message| Update::read(&message));
        let applied = read.and_then(|update| update.permit(by, data, settings)).and_then(|permitted| {
            permitted.apply(data, settings, now, &mut |note| {
                info!(target: "update", "{line}: updating zone '{zone}/IN': {note}");
            })
        });
        applied.inspect_err(|refusal| info!(target: "update", "{line}: updating zone '{zone}/IN': {refusal}"))
    }
}

impl Unproven {
    fn new(waiting: &Arc<AtomicUsize>) -> Unproven {
        waiting.fetch_add(1, Ordering::Relaxed);
        Unproven(Arc::clone(waiting))
    }
}

impl Drop for Unproven {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Job {
    /// Replies with a response code.
    fn finish(self, rcode: Rcode, now: u64) {
        let Reply { mut message, signature } = self.reply;
        if let Some(low) = message.get_mut(3) {
            *low = *low & 0xf0 | (rcode.0 & 0xf) as u8;
        }
        if let Some(mut signature) = signature {
            let length = message.len();
            message.resize(length + signature.octets(), 0);
            if signature.sign(&mut message, length, now).is_none() {
                return;
            }
        }
        self.way.send(&message);
    }
}

fn run(jobs: &Receiver<Job>, published: &Published) {
    while let Ok(first) = jobs.recv() {
        let mut zones: Vec<(Arc<Live>, Vec<Job>)> = Vec::new();
        for job in [first].into_iter().chain(jobs.try_iter()).take(BATCH) {
            match zones.iter_mut().find(|(live, _)| Arc::ptr_eq(live, &job.update.live)) {
                Some((_, together)) => together.push(job),
                None => zones.push((Arc::clone(&job.update.live), vec![job])),
            }
        }
        for (live, together) in zones {
            // Of a fault here, only these clients shall suffer.
            if panic::catch_unwind(AssertUnwindSafe(|| carry_out(&live, together, published))).is_err() {
                error!(target: "update", "{live:?}: updates failed by a fault of this server");
            }
        }
    }
}

/// Carries out the updates of one zone, together.
fn carry_out(live: &Live, jobs: Vec<Job>, published: &Published) {
    live.make_way();
    let mut locked = live.lock();
    if locked.is_frozen() {
        for job in jobs {
            let (line, zone) = (job.update.line(), job.update.zone.origin.clone());
            let zone = zone.as_ref();
            let zone = zone.without_final_dot();
            info!(target: "update", "{line}: updating zone '{zone}/IN': update failed: {} (REFUSED)", Failure::Frozen);
            job.finish(Rcode::REFUSED, now());
        }
        return;
    }
    let (mut data, mut changes) = (locked.data().clone(), Vec::new());
    let time = Zoned::now();
    let mut rcodes = Vec::with_capacity(jobs.len());
    for job in &jobs {
        rcodes.push(match job.update.apply(&data, &time) {
            Ok(None) => Rcode::NOERROR,
            Ok(Some((next, change))) => {
                data = next;
                changes.push(change);
                Rcode::NOERROR
            }
            Err(refusal) => refusal.rcode,
        });
    }
    let committed = if changes.is_empty() { Ok(()) } else { locked.commit(&changes, data, published) };
    drop(locked);
    let now = now();
    for (job, rcode) in jobs.into_iter().zip(rcodes) {
        // What any of them found may stand on what was not made.
        job.finish(if committed.is_ok() { rcode } else { Rcode::SERVFAIL }, now);
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
