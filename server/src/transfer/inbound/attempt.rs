//! One step of a secondary zone: a question to one primary for its serial, or a transfer from it and what comes of that.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::spawn_blocking};
use tracing::{debug, error, info, warn};
use zonefmt::Serial;

use super::{
    Connections, Failure, Heard, Limits, Outcome, Patience, Primary, Reason, Step, Times, Transfer, Want,
    client::SMALL, places::Places, schedule::Due,
};
use crate::{
    live::{self, Locked},
    logs::AddressLine,
    settings::ZoneSettings,
    stats::{Counters, Stat},
    transfer::{
        ZoneId,
        pace::Pace,
        totals::{Totals, Within},
    },
    tsig::TsigKey,
    zone::{Change, ZoneData},
    zones::Published,
};

/// What all attempts share.
pub(super) struct Resources {
    published: Arc<Published>,
    activity: Arc<Activity>,
    counters: Counters,
    /// Paces questions (`serial-query-rate`), and bounds those that are not answered.
    pace: Pace,
    unanswered: Semaphore,
    /// Whether primaries have answered lately, and until when that is worth something.
    heard: RefCell<HashMap<SocketAddr, (bool, Instant)>>,
    places: Places,
    connections: Connections,
}

/// How much is under way.
#[derive(Debug, Default)]
pub struct Activity {
    questions: AtomicUsize,
    transfers: AtomicUsize,
    waiting: AtomicUsize,
}

/// A step that is carried out.
pub(super) struct Attempt<'a> {
    due: &'a Due,
    shared: &'a Resources,
}

/// The most questions that wait for an answer; each has a socket.
const UNANSWERED: usize = 1000;

/// For how long it matters whether a primary has answered. One that did not is not asked again while places for questions
/// are scarce, so that zones whose primaries answer need not wait. From one that did, a new zone is transferred without
/// a question.
const LATELY: Duration = Duration::from_secs(10);

impl Activity {
    /// Questions for the serial of a zone that are waiting for an answer.
    pub fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    /// Transfers that run.
    pub fn transfers(&self) -> usize {
        self.transfers.load(Ordering::Relaxed)
    }

    /// Transfers that wait because as many run as may (`transfers-in`, `transfers-per-ns`).
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Resources {
    pub(super) fn new(published: Arc<Published>, activity: Arc<Activity>, counters: Counters) -> Resources {
        let (pace, unanswered) = (Pace::default(), Semaphore::new(UNANSWERED));
        let (heard, places, connections) = (RefCell::default(), Places::default(), Connections::default());
        Resources { published, activity, counters, pace, unanswered, heard, places, connections }
    }

    /// Closes connections that are not needed any more; returns whether there are others.
    pub(super) fn tend_connections(&self) -> bool {
        self.connections.tend()
    }

    /// Whether a primary is passed over, because it did not answer lately and places for questions are scarce.
    fn passes_over(&self, primary: SocketAddr) -> bool {
        self.unanswered.available_permits() < UNANSWERED / 2 && self.answered_lately(primary) == Some(false)
    }

    /// Whether a primary has answered when it was last asked, if that was lately.
    fn answered_lately(&self, primary: SocketAddr) -> Option<bool> {
        self.heard.borrow().get(&primary).filter(|(_, until)| *until > Instant::now()).map(|&(answered, _)| answered)
    }

    /// Takes note whether a primary has answered.
    fn heard_of(&self, primary: SocketAddr, answered: bool) {
        let now = Instant::now();
        let mut heard = self.heard.borrow_mut();
        if !heard.contains_key(&primary) {
            heard.retain(|_, (_, until)| *until > now);
        }
        heard.insert(primary, (answered, now + LATELY));
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn new(due: &'a Due, shared: &'a Resources) -> Attempt<'a> {
        Attempt { due, shared }
    }

    /// Carries the step out.
    pub(super) async fn run(self) -> Heard {
        let heard = match self.due.step {
            Step::Wait => None,
            Step::Ask(index) if self.is_new() && self.answered_lately(index) => self.transfer(index, Want::Any).await,
            Step::Ask(index) => self.ask(index).await,
            Step::Transfer(index, want) => self.transfer(index, want).await,
        };
        heard.unwrap_or(Heard::Failed { axfr_may_help: false })
    }

    /// Whether there is no version of the zone yet.
    fn is_new(&self) -> bool {
        self.due.live.newest().serial().is_none()
    }

    fn answered_lately(&self, index: usize) -> bool {
        let primary = self.due.secondary.primaries.get(index);
        primary.is_some_and(|primary| self.shared.answered_lately(primary.address) == Some(true))
    }

    /// Asks a primary for its serial; `None` if that fails.
    async fn ask(&self, index: usize) -> Option<Heard> {
        self.shared.pace.turn(self.shared.published.load().settings.rates.serial_query).await;
        let _place = self.shared.unanswered.acquire().await.ok()?;
        let Contact { primary, .. } = self.contact(index)?;
        let zone = self.zone();
        if self.shared.passes_over(primary.address) {
            debug!(target: "general", "zone {zone}: refresh: {} does not answer", AddressLine(primary.address));
            return None;
        }
        let count = || self.shared.counters.by_family([Stat::SOAOutv4, Stat::SOAOutv6], primary.address);
        let asked = counting(&self.shared.activity.questions, primary.serial(self.due.id.origin.as_ref(), count)).await;
        let is_silent = matches!(&asked, Err(Failure { why: Reason::Idle(_) | Reason::Io(_) | Reason::Source(_), .. }));
        self.shared.heard_of(primary.address, !is_silent);
        let ours = self.due.live.newest().serial();
        match asked {
            Ok((serial, expire)) => {
                let old = ours.map_or("not loaded".to_owned(), |ours| ours.0.to_string());
                debug!(target: "general", "zone {zone}: refresh: serial: new {}, old {old}", serial.0);
                if let Some(ours) = ours.filter(|&ours| serial < ours && !self.due.secondary.inbound.multi_master) {
                    let from = AddressLine(primary.address);
                    let why = format!("serial number ({}) received from primary {from} < ours ({})", serial.0, ours.0);
                    let name = self.due.id.origin.as_ref();
                    let retransfer = format!("`rndc retransfer {}` takes its version", name.without_final_dot());
                    info!(target: "general", "zone {zone}: {why}: raise the primary's serial above ours, or {retransfer}");
                }
                Some(Heard::Serial(serial, expire))
            }
            Err(failure) => {
                let (to, source) = (AddressLine(primary.address), AddressLine(primary.source));
                info!(target: "general", "zone {zone}: refresh: failure trying primary {to} (source {source}): {failure}");
                None
            }
        }
    }

    /// Transfers the zone from a primary, once there is a place for that; `None` if that fails.
    async fn transfer(&self, index: usize, want: Want) -> Option<Heard> {
        let Contact { primary, most, most_from, .. } = self.contact(index)?;
        let waiting = self.shared.places.take(primary.address.ip(), most_from, most);
        let _place = counting(&self.shared.activity.waiting, waiting).await;
        // It may have been a while.
        let contact = self.contact(index)?;
        let counters = &self.shared.counters;
        let incremental = want == Want::Changes && !self.is_new();
        let requested =
            if incremental { [Stat::IXFRReqv4, Stat::IXFRReqv6] } else { [Stat::AXFRReqv4, Stat::AXFRReqv6] };
        counters.by_family(requested, contact.primary.address);
        let heard = self.transfer_from(contact, want).await;
        match heard {
            Some(Heard::Version(..) | Heard::Serial(..)) => counters.stat(Stat::XfrSuccess),
            // The whole zone is requested next; as with named, that makes one transfer.
            Some(Heard::Failed { axfr_may_help: true }) if incremental => {}
            Some(Heard::Failed { .. }) | None => counters.stat(Stat::XfrFail),
        }
        heard
    }

    /// Transfers the zone from this primary now, and serves what comes; `None` if that fails.
    async fn transfer_from(&self, contact: Contact, want: Want) -> Option<Heard> {
        let Contact { primary, limits, settings, .. } = contact;
        let (zone, from, key) = (self.zone(), AddressLine(primary.address), Signed(primary.key.as_ref()));
        let at_hand = self.due.live.newest();
        let (what, began) = (Wanted(want, at_hand.serial()), Instant::now());
        info!(target: "xfer-in", "zone {zone}: Transfer started.");
        debug!(target: "xfer-in", "zone {zone}: {what} from {from}");
        let transferring = Box::pin(primary.transfer(at_hand.clone(), want, limits));
        let transferred = counting(&self.shared.activity.transfers, transferring).await;
        let ended = |how: &str, totals: Totals, serial: Option<Serial>| {
            info!(target: "xfer-in", "transfer of '{zone}' from {from}: Transfer status: {how}");
            let (totals, serial) = (Within(totals, began.elapsed()), serial.map_or(0, |serial| serial.0));
            info!(target: "xfer-in", "transfer of '{zone}' from {from}: Transfer completed: {totals} (serial {serial})");
        };
        let Transfer { outcome, totals, edns_expire, warnings } = match transferred {
            Ok(transfer) => transfer,
            Err(Failure { why, axfr_may_help }) => {
                if let Reason::Idle(_) | Reason::Io(_) | Reason::Source(_) = why {
                    self.shared.heard_of(primary.address, false);
                }
                error!(target: "xfer-in", "transfer of '{zone}' from {from}: failed while receiving responses: {why}");
                ended(&why.to_string(), Totals::default(), None);
                return Some(Heard::Failed { axfr_may_help });
            }
        };
        for warning in warnings {
            warn!(target: "xfer-in", "transfer of '{zone}' from {from}: {warning}");
        }
        if let Outcome::UpToDate(serial) = outcome {
            ended("up to date", totals, Some(serial));
            return Some(Heard::Serial(serial, edns_expire));
        }
        self.shared.heard_of(primary.address, true);
        let (live, published) = (&self.due.live, Arc::clone(&self.shared.published));
        // The first version of a small zone is served without waiting for anything.
        let is_quick = matches!(&outcome, Outcome::Whole(data) if data.records() < SMALL) && self.is_new();
        let installed = if is_quick && let Some(locked) = live.try_lock() {
            Ok(install(locked, &at_hand, outcome, &settings, &published))
        } else {
            let live = Arc::clone(live);
            spawn_blocking(move || install(live.lock(), &at_hand, outcome, &settings, &published)).await
        };
        match installed {
            Ok(Ok(times)) => {
                info!(target: "xfer-in", "zone {zone}: transferred serial {}{key}", times.serial.0);
                ended("success", totals, Some(times.serial));
                Some(Heard::Version(times, edns_expire))
            }
            Ok(Err(failure)) => {
                error!(target: "xfer-in", "transfer of '{zone}' from {from}: cannot be taken over: {failure}");
                None
            }
            Err(fault) => {
                error!(target: "xfer-in", "transfer of '{zone}' from {from}: a fault of this server: {fault}");
                None
            }
        }
    }

    /// How to reach a primary, as the configuration has it now; `None` if it cannot be asked.
    fn contact(&self, index: usize) -> Option<Contact> {
        let snapshot = self.shared.published.load();
        let view = snapshot.view(&self.due.id.view)?;
        let zone = view.zones.get(self.due.id.origin.as_ref())?;
        let (remote, inbound) = (self.due.secondary.primaries.get(index)?, &self.due.secondary.inbound);
        let address = remote.address;
        let peer = view.settings.peers.of(address.ip());
        if peer.is_some_and(|peer| peer.bogus) {
            let from = AddressLine(address);
            info!(target: "general", "zone {}: {from} is not asked: its `server` statement says `bogus`", self.zone());
            return None;
        }
        let key = match remote.key.as_ref().or_else(|| peer?.key.as_ref()) {
            None => None,
            Some(name) => match view.keys.find(name.as_ref()) {
                Some(key) => Some(key.clone()),
                None => {
                    let name = name.as_ref();
                    let name = name.without_final_dot();
                    error!(target: "general", "zone {}: unable to find key: {name}; add it to the configuration", self.zone());
                    return None;
                }
            },
        };
        let request_expire = peer.and_then(|peer| peer.request_expire).unwrap_or(inbound.request_expire);
        let limits = snapshot.settings.transfers_in;
        Some(Contact {
            primary: Primary {
                address,
                source: inbound.source_towards(address, peer),
                key,
                edns: peer.and_then(|peer| peer.edns).unwrap_or(true).then_some(request_expire),
                tcp_only: peer.and_then(|peer| peer.tcp_only).unwrap_or(false),
                try_tcp: true,
                patience: Patience::of(inbound),
                connections: self.shared.connections.clone(),
            },
            most: limits.in_all,
            most_from: peer.and_then(|peer| peer.transfers).unwrap_or(limits.per_primary),
            limits: Limits::of(&zone.settings),
            settings: Arc::clone(&zone.settings),
        })
    }

    fn zone(&self) -> &ZoneId {
        &self.due.id
    }
}

/// A primary, and what holds for transfers from it.
struct Contact {
    primary: Primary,
    /// How many transfers may run in all.
    most: usize,
    /// How many transfers may run from this primary.
    most_from: usize,
    limits: Limits,
    settings: Arc<ZoneSettings>,
}

/// Serves what was transferred.
fn install(
    mut locked: Locked<'_>,
    at_hand: &ZoneData,
    outcome: Outcome,
    settings: &ZoneSettings,
    published: &Published,
) -> Result<Times, live::Failure> {
    if !locked.data().is(at_hand) {
        return Err(live::Failure::Closed);
    }
    let (changes, data) = match outcome {
        Outcome::UpToDate(_) => (Vec::new(), at_hand.clone()),
        Outcome::Changes(changes, data) => (changes, data),
        Outcome::Whole(data) => {
            let differs = settings.ixfr_from_differences && at_hand.serial() < data.serial();
            (differs.then(|| Change::between(at_hand, &data)).flatten().into_iter().collect(), data)
        }
    };
    let times = data.soa().map(|soa| Times::of(&soa)).ok_or(live::Failure::Closed)?;
    if changes.is_empty() || locked.repeats(&changes) {
        locked.replace(data, published)?;
    } else {
        locked.commit(&changes, data, published)?;
    }
    Ok(times)
}

/// Counts while something is under way, also if it is given up.
async fn counting<T>(count: &AtomicUsize, work: impl Future<Output = T>) -> T {
    struct Counted<'c>(&'c AtomicUsize);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    count.fetch_add(1, Ordering::Relaxed);
    let _counted = Counted(count);
    work.await
}

/// What a primary is asked for, in named's words.
struct Wanted(Want, Option<Serial>);

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wanted(_, None) => "no database exists yet, requesting AXFR of initial version",
            Wanted(Want::Any, Some(_)) => "forced reload, requesting AXFR of initial version",
            Wanted(Want::Newer, Some(_)) => "requesting AXFR",
            Wanted(Want::Changes, Some(_)) => "requesting IXFR",
        })
    }
}

/// The key that a transfer was signed with, at the end of a line.
struct Signed<'k>(Option<&'k TsigKey>);

impl fmt::Display for Signed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |key| write!(f, ": TSIG '{}'", key.name().as_ref().without_final_dot()))
    }
}
