//! NOTIFY to other servers (RFC 1996): a zone's secondaries hear at once that there is a new version.
//!
//! [`Notifier`] is the thread that sends; it watches what is [`Published`]. `queue` holds the zones that wait for it,
//! each at most once, so that versions that follow each other quickly are one round of messages. `targets` finds out who
//! is notified, `question` makes a message and reads the response, and `sockets` sends and receives.

mod question;
mod queue;
mod sockets;
mod targets;

use std::{cell::RefCell, collections::HashMap, io, net::SocketAddr, rc::Rc, sync::Arc, thread, time::Duration};

use tokio::{
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, LocalSet, spawn_local},
    time::{sleep, timeout},
};
use tracing::{debug, error, info};
use zonefmt::Rtype;

use crate::{
    Rcode,
    logs::AddressLine,
    settings::{Rates, Whom},
    stats::{Counters, Stat},
    transfer::{SourceError, ZoneId, pace::Pace},
    tsig::TsigKey,
    zones::Published,
};
use question::Question;
use queue::{Occasion, Queue};
use sockets::Sockets;
use targets::Target;

/// The thread that notifies other servers. Dropping this ends it.
pub struct Notifier(Arc<Queue>);

/// The most messages that wait for an answer; others wait for one of these to end.
const UNANSWERED: usize = 4096;

/// How long each message may stay unanswered before the next: as long altogether as named tries, but a message that is
/// lost is noticed sooner.
const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(10), Duration::from_secs(30)];

impl Notifier {
    /// Starts the thread, which counts here. Nobody is notified before [`Notifier::listens`].
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(published: &Arc<Published>, counters: Counters) -> io::Result<Notifier> {
        let queue = Arc::new(Queue::default());
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (zones, served) = (Arc::clone(&queue), Arc::clone(published));
        thread::Builder::new().name("notify".into()).spawn(move || {
            let sender = Rc::new(Sender::new(served, zones, counters));
            LocalSet::new().block_on(&runtime, sender.run());
        })?;
        let zones = Arc::clone(&queue);
        published.watch(move |view, zone| {
            if zone.settings.notify.whom != Whom::Nobody {
                zones.push(ZoneId { view: view.into(), origin: zone.origin.clone() });
            }
        });
        Ok(Notifier(queue))
    }

    /// Notifies from now on, as the server answers at these addresses, to which nothing is sent unless they are listed.
    /// Zones that were published before the first call are those of the start.
    pub fn listens(&self, own: Vec<SocketAddr>) {
        self.0.open(own);
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the thread works with.
struct Sender {
    published: Arc<Published>,
    queue: Arc<Queue>,
    counters: Counters,
    sockets: Sockets,
    /// The zones whose last round is less than `notify-delay` ago, and whether there is a newer version.
    recent: RefCell<HashMap<ZoneId, bool>>,
    /// The messages that are sent and not answered.
    unanswered: RefCell<HashMap<(ZoneId, SocketAddr), AbortHandle>>,
    /// Bounds those.
    places: Arc<Semaphore>,
    changes: Pace,
    starts: Pace,
}

/// The messages about a version of a zone.
struct Round {
    messages: Vec<Outgoing>,
    rates: Rates,
    delay: Duration,
}

/// A message to be sent.
struct Outgoing {
    target: Target,
    key: Option<TsigKey>,
    question: Question,
}

impl Sender {
    fn new(published: Arc<Published>, queue: Arc<Queue>, counters: Counters) -> Sender {
        Sender {
            published,
            queue,
            counters,
            sockets: Sockets::default(),
            recent: RefCell::default(),
            unanswered: RefCell::default(),
            places: Arc::new(Semaphore::new(UNANSWERED)),
            changes: Pace::default(),
            starts: Pace::default(),
        }
    }

    /// Notifies of each zone that has a new version, until the notifier is dropped. Zones of the start, which may be many,
    /// keep no others waiting.
    async fn run(self: Rc<Self>) {
        while let Some(zones) = self.queue.next().await {
            let (starts, changes): (Vec<_>, Vec<_>) =
                zones.into_iter().partition(|(_, occasion)| *occasion == Occasion::Start);
            if !starts.is_empty() {
                spawn_local(Rc::clone(&self).rounds(starts));
            }
            Rc::clone(&self).rounds(changes).await;
        }
    }

    /// Begins a round for each of these zones, unless its last one is less than `notify-delay` ago: then one will follow.
    async fn rounds(self: Rc<Self>, zones: Vec<(ZoneId, Occasion)>) {
        for (zone, occasion) in zones {
            if let Some(again) = self.recent.borrow_mut().get_mut(&zone) {
                *again = true;
                continue;
            }
            let delay = self.round(&zone, occasion).await;
            if !delay.is_zero() {
                self.recent.borrow_mut().insert(zone.clone(), false);
                spawn_local(Rc::clone(&self).rest(zone, delay));
            }
        }
    }

    /// Waits for `notify-delay`, after which a version that has come meanwhile gets its round.
    async fn rest(self: Rc<Self>, zone: ZoneId, delay: Duration) {
        sleep(delay).await;
        if self.recent.borrow_mut().remove(&zone) == Some(true) {
            self.queue.push(zone);
        }
    }

    /// Notifies everybody who is to hear of the zone's newest version, and returns the zone's `notify-delay`; zero if
    /// there is nobody.
    async fn round(self: &Rc<Self>, id: &ZoneId, occasion: Occasion) -> Duration {
        let Some(Round { messages, rates, delay }) = self.prepare(id) else { return Duration::ZERO };
        for Outgoing { target, key, question } in messages {
            match occasion {
                Occasion::Change => self.changes.turn(rates.notify).await,
                Occasion::Start => self.starts.turn(rates.startup_notify).await,
            }
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { break };
            self.send(id.clone(), target, key.as_ref(), question, place);
        }
        delay
    }

    /// Makes the messages about the zone's newest version; `None` if there are none. No version of the zones is held
    /// while they are sent.
    fn prepare(&self, id: &ZoneId) -> Option<Round> {
        let snapshot = self.published.load();
        let view = snapshot.view(&id.view)?;
        let zone = view.zones.get(id.origin.as_ref())?;
        let data = zone.data()?;
        let (serial, soa) = (data.serial()?, data.apex()?.rrset(Rtype::SOA)?);
        let targets = targets::of(zone, data, view, snapshot.settings.port, |address| self.queue.is_own(address));
        if targets.is_empty() {
            return None;
        }
        info!(target: "notify", "zone {id}: sending notifies (serial {})", serial.0);
        let mut messages = Vec::with_capacity(targets.len());
        for target in targets {
            let key = target.key.as_ref().map(|name| view.keys.find(name.as_ref()).cloned().ok_or(name)).transpose();
            let Ok(key) = key else {
                error!(
                    target: "notify",
                    "zone {id}: NOTIFY to {} not sent. Peer TSIG key lookup failure.",
                    AddressLine(target.address)
                );
                continue;
            };
            match Question::new(id.origin.as_ref(), soa, key.clone()) {
                Ok(question) => messages.push(Outgoing { target, key, question }),
                Err(cause) => failed(id, target.address, &cause),
            }
        }
        // A pause of some length even where the statement says 0.
        let delay = zone.settings.notify.delay.max(Duration::from_millis(1));
        Some(Round { messages, rates: snapshot.settings.rates, delay })
    }

    /// Sends a message until it is answered. It takes the place of the one about an earlier version.
    fn send(
        self: &Rc<Self>,
        zone: ZoneId,
        target: Target,
        key: Option<&TsigKey>,
        mut question: Question,
        place: OwnedSemaphorePermit,
    ) {
        let to = AddressLine(target.address);
        let signed =
            key.map_or_else(String::new, |key| format!(" : TSIG ({})", key.name().as_ref().without_final_dot()));
        info!(target: "notify", "zone {zone}: sending notify to {to}{signed}");
        self.counters.by_family([Stat::NotifyOutv4, Stat::NotifyOutv6], target.address);
        let about = (zone, target.address);
        let (sender, after) = (Rc::clone(self), about.clone());
        let task = spawn_local(async move {
            let (_place, zone) = (place, &after.0);
            match sender.exchange(&target, &mut question).await {
                Ok(Some(Rcode::NOERROR)) => {
                    debug!(target: "notify", "zone {zone}: notify response from {to}: NOERROR");
                }
                Ok(Some(rcode)) => info!(target: "notify", "zone {zone}: notify response from {to}: {rcode}"),
                Ok(None) => info!(target: "notify", "zone {zone}: notify to {to}: retries exceeded"),
                Err(cause) => failed(zone, target.address, &cause),
            }
            sender.unanswered.borrow_mut().remove(&after);
        });
        if let Some(earlier) = self.unanswered.borrow_mut().insert(about, task.abort_handle()) {
            earlier.abort();
        }
    }

    /// Sends a message, again and again until it is answered; `None` if it never is.
    async fn exchange(&self, target: &Target, question: &mut Question) -> io::Result<Option<Rcode>> {
        let socket = self
            .sockets
            .of(target.source)
            .map_err(|error| io::Error::other(SourceError::new(target.source, "notify-source", &error)))?;
        let mut responses = socket.expect(target.address, question.id());
        for wait in WAITS {
            socket.send(question.octets(), target.address).await?;
            let answered = timeout(wait, async {
                loop {
                    if let Some(rcode) = question.read(&responses.next().await) {
                        return rcode;
                    }
                }
            });
            if let Ok(rcode) = answered.await {
                return rcode.map(Some).map_err(io::Error::other);
            }
        }
        Ok(None)
    }
}

fn failed(zone: &ZoneId, to: SocketAddr, cause: &io::Error) {
    info!(target: "notify", "zone {zone}: notify to {} failed: {cause}", AddressLine(to));
}
