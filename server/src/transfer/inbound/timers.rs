//! When a secondary asks which primary for what: the refresh, retry and expire times of a zone's SOA (RFC 1034 4.3.5),
//! NOTIFY (RFC 1996), the commands `refresh` and `retransfer`, and fail-over from one primary to the next.
//!
//! [`Timers`] only decides. It is called with what happens, and the time at which it does, and returns the next
//! [`Step`]; between the calls it wants to be woken at [`Timers::wake_at`]. There is at most one step under way, and its
//! result comes back through [`Timers::heard`].

#[cfg(test)]
mod tests;

use std::{cmp, mem, ops::RangeInclusive, time::Duration};

use zonefmt::{Serial, rdata::Soa};

use super::Want;
use crate::settings::Inbound;

/// How a zone is kept up to date.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefreshSettings {
    /// Whether each primary, in the order in which they are tried, is asked for changes (`request-ixfr`).
    pub request_ixfr: Box<[bool]>,
    /// The bounds of the refresh time in seconds (`min-refresh-time`, `max-refresh-time`).
    pub refresh: RangeInclusive<u32>,
    /// The bounds of the retry time in seconds (`min-retry-time`, `max-retry-time`).
    pub retry: RangeInclusive<u32>,
}

/// A time on a clock of the caller's that never goes back: the time since an arbitrary start.
pub type Moment = Duration;

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing until [`Timers::wake_at`].
    Wait,
    /// To ask the primary with this index for its SOA.
    Ask(usize),
    /// To ask the primary with this index for a transfer.
    Transfer(usize, Want),
}

/// What came of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The primary has the version with this serial. A transfer ends so if there is nothing newer.
    Serial(Serial, EdnsExpire),
    /// A transfer brought this version, which is served now.
    Version(Times, EdnsExpire),
    /// The step failed.
    Failed {
        /// Whether the same primary may give the whole zone: see [`Failure`](super::Failure).
        axfr_may_help: bool,
    },
}

/// For how many seconds the primary's own version is valid (RFC 7314), if it said so. It can only lower the time of the
/// SOA.
pub type EdnsExpire = Option<u32>;

/// The serial of a version and its times in seconds, as its SOA has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are those of RFC 1035 3.3.13.
pub struct Times {
    pub serial: Serial,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
}

/// What a NOTIFY, or a command, leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notified {
    /// Nothing: the zone is up to date.
    UpToDate,
    /// Another round, after the one that is under way.
    Queued,
    /// A round with this first step.
    Started(Step),
}

/// The timers of a zone.
#[derive(Clone, Debug)]
pub struct Timers {
    settings: RefreshSettings,
    /// The version at hand.
    version: Option<Version>,
    /// When the next round is due.
    due: Moment,
    /// How many seconds to wait after the next failed round, while there is no version with a retry time.
    backoff: u32,
    round: Option<Round>,
    queued: Option<Cause>,
    random: u64,
}

#[derive(Clone, Copy, Debug)]
struct Version {
    /// As its SOA has them; what holds is what [`RefreshSettings::bound`] makes of them.
    times: Times,
    expires: Moment,
    is_expired: bool,
}

/// Each primary is tried once a round, until one has given a newer version.
#[derive(Clone, Debug)]
struct Round {
    /// The primaries that are left; the last one is next.
    left: Vec<usize>,
    step: Step,
    /// Whether any version is wanted, not only a newer one.
    forced: bool,
    /// Whether a primary has confirmed the version at hand.
    confirmed: bool,
}

/// Why a round is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Cause {
    /// The primary to begin with.
    primary: Option<usize>,
    /// The serial that it announced.
    serial: Option<Serial>,
    forced: bool,
}

/// The longest expire time, in seconds: 24 weeks, as in BIND.
const MAX_EXPIRE: u32 = 14_515_200;

/// The bounds of the seconds between rounds without a version to keep: a new secondary is often there before its
/// primary.
const BACKOFF: RangeInclusive<u32> = 1..=600;

impl RefreshSettings {
    /// The configured bounds, and whether each primary is asked for changes.
    pub fn of(settings: &Inbound, request_ixfr: impl IntoIterator<Item = bool>) -> RefreshSettings {
        let (refresh, retry) = (settings.refresh.range(), settings.retry.range());
        RefreshSettings { request_ixfr: request_ixfr.into_iter().collect(), refresh, retry }
    }
}

impl Times {
    /// The times of an SOA.
    pub fn of(soa: &Soa<'_>) -> Times {
        Times { serial: soa.serial, refresh: soa.refresh, retry: soa.retry, expire: soa.expire }
    }

    /// The times within these bounds of the refresh and retry times, as BIND has them: a version expires at the earliest
    /// after a refresh time and a retry time, and at the latest after 24 weeks.
    #[must_use]
    pub fn within(self, refresh: &RangeInclusive<u32>, retry: &RangeInclusive<u32>) -> Times {
        let bound = |time: u32, bounds: &RangeInclusive<u32>| time.min(*bounds.end()).max(*bounds.start()).max(1);
        let (refresh, retry) = (bound(self.refresh, refresh), bound(self.retry, retry));
        let expire = self.expire.min(MAX_EXPIRE).max(refresh.saturating_add(retry));
        Times { refresh, retry, expire, ..self }
    }

    /// For how long the version is valid that a primary has confirmed: at least until that is asked again.
    fn valid_for(&self, edns: EdnsExpire) -> Duration {
        seconds(edns.unwrap_or(u32::MAX).max(self.retry).min(self.expire))
    }
}

impl Timers {
    /// The timers of a zone without a version: a round is due at once. `seed` is for spreading out the rounds of zones
    /// that start together.
    pub fn new(settings: RefreshSettings, seed: u64, now: Moment) -> Timers {
        Timers { settings, version: None, due: now, backoff: *BACKOFF.start(), round: None, queued: None, random: seed }
    }

    /// The timers of a zone with a version from an earlier run, and the moments at which its next round is due, and at
    /// which it expires.
    pub fn resumed(settings: RefreshSettings, seed: u64, times: Times, due: Moment, expires: Moment) -> Timers {
        let mut timers = Timers::new(settings, seed, due);
        timers.version = Some(Version { times, expires, is_expired: false });
        timers
    }

    /// The moment at which to call [`Self::wake`]. While a step is under way, only the version's expiry counts.
    pub fn wake_at(&self) -> Option<Moment> {
        let expires = self.version.filter(|version| !version.is_expired).map(|version| version.expires);
        let due = self.round.is_none().then_some(self.due);
        [due, expires].into_iter().flatten().min()
    }

    /// The moment at which the next round is due.
    pub fn due(&self) -> Moment {
        self.due
    }

    /// The moment at which the version expires; `None` without one.
    pub fn expires(&self) -> Option<Moment> {
        self.version.map(|version| version.expires)
    }

    /// The seconds after which a version expires that a primary has just confirmed, unless its own expires sooner; `None`
    /// without a version.
    pub fn lifetime(&self) -> Option<u32> {
        self.version.map(|version| self.settings.bound(version.times).expire)
    }

    /// Whether the version has expired, and is not to be served until a primary confirms or replaces it.
    pub fn is_expired(&self) -> bool {
        self.version.is_some_and(|version| version.is_expired)
    }

    /// Whether a step is under way.
    pub fn is_busy(&self) -> bool {
        self.round.is_some()
    }

    /// Starts what is due, and notices that the version expires.
    pub fn wake(&mut self, now: Moment) -> Step {
        if let Some(version) = self.version.as_mut().filter(|version| !version.is_expired && version.expires <= now) {
            version.is_expired = true;
            self.backoff = *BACKOFF.start();
            self.due = cmp::min(self.due, now);
        }
        if self.round.is_none() && self.due <= now { self.start(Cause::default(), now) } else { Step::Wait }
    }

    /// Takes a NOTIFY, with the index of the primary that it came from, if it came from one, and the serial that it
    /// announces, if there is one (RFC 1996 3.7). The sender is asked first.
    pub fn notified(&mut self, from: Option<usize>, serial: Option<Serial>, now: Moment) -> Notified {
        let cause = Cause { primary: from, serial, forced: false };
        if self.is_answered(cause) { Notified::UpToDate } else { self.request(cause, now) }
    }

    /// Starts a round now: the command `refresh`.
    pub fn refresh(&mut self, now: Moment) -> Notified {
        self.request(Cause::default(), now)
    }

    /// Starts a round that transfers the whole zone, whatever its serial: the command `retransfer`.
    pub fn retransfer(&mut self, now: Moment) -> Notified {
        self.request(Cause { forced: true, ..Cause::default() }, now)
    }

    /// Takes the result of the step under way.
    pub fn heard(&mut self, heard: Heard, now: Moment) -> Step {
        let Some(round) = &mut self.round else { return Step::Wait };
        let (primary, transferring) = match round.step {
            Step::Ask(primary) => (primary, None),
            Step::Transfer(primary, want) => (primary, Some(want)),
            Step::Wait => return Step::Wait,
        };
        match heard {
            Heard::Failed { axfr_may_help: true } if transferring == Some(Want::Changes) => {
                round.step = Step::Transfer(primary, Want::Newer);
                round.step
            }
            Heard::Failed { .. } => self.next(now),
            Heard::Version(times, edns) => {
                self.took(times, edns, now);
                self.end(true, now)
            }
            Heard::Serial(serial, edns) => match &mut self.version {
                Some(version) if version.times.serial == serial && !round.forced => {
                    let expires = now + self.settings.bound(version.times).valid_for(edns);
                    // What another primary said earlier still holds.
                    version.expires = if version.is_expired { expires } else { version.expires.max(expires) };
                    version.is_expired = false;
                    round.confirmed = true;
                    self.next(now)
                }
                version => {
                    let ours = version.filter(|version| !version.is_expired).map(|version| version.times.serial);
                    let is_wanted = round.forced || ours.is_none_or(|ours| serial > ours);
                    if transferring.is_some() || !is_wanted {
                        return self.next(now);
                    }
                    round.step = Step::Transfer(primary, self.settings.want(primary, ours.filter(|_| !round.forced)));
                    round.step
                }
            },
        }
    }

    /// Takes note of a version that is served now, although it does not come from the step under way: the settings have
    /// changed since that began.
    pub fn took(&mut self, times: Times, edns: EdnsExpire, now: Moment) {
        let expires = now + self.settings.bound(times).valid_for(edns);
        self.version = Some(Version { times, expires, is_expired: false });
        self.backoff = *BACKOFF.start();
    }

    /// Changes the settings, or what the primaries are. A round under way is given up, so a result of its step is ignored
    /// (but see [`Self::took`]). The next one is due at once, and is what the one under way and the queued one were for.
    pub fn configure(&mut self, settings: RefreshSettings, now: Moment) {
        self.settings = settings;
        let forced = self.round.take().is_some_and(|round| round.forced);
        // The primaries may be others.
        let queued = self.queued.map(|queued| Cause { primary: None, ..queued }).unwrap_or_default();
        let queued = Cause { forced: forced || queued.forced, ..queued };
        // Any round asks all primaries, but may end before the one that has announced a serial.
        self.queued = Some(queued).filter(|queued| queued.forced || queued.serial.is_some());
        self.due = now;
    }

    fn request(&mut self, cause: Cause, now: Moment) -> Notified {
        if self.round.is_some() {
            let queued = self.queued.unwrap_or(cause);
            // Without a serial, the primary is asked in any case.
            let known = queued.serial.is_none() || cause.serial.is_some() && queued.serial >= cause.serial;
            let forced = cause.forced || queued.forced;
            self.queued = Some(Cause { forced, ..if known { queued } else { cause } });
            return Notified::Queued;
        }
        Notified::Started(self.start(cause, now))
    }

    /// Whether the version at hand is what was announced, or newer.
    fn is_answered(&self, Cause { serial, forced, .. }: Cause) -> bool {
        let ours = self.version.filter(|version| !version.is_expired).map(|version| version.times.serial);
        !forced && ours.zip(serial).is_some_and(|(ours, theirs)| theirs <= ours)
    }

    fn start(&mut self, mut cause: Cause, now: Moment) -> Step {
        // What was forced before the settings changed.
        cause.forced |= self.queued.take_if(|queued| queued.forced).is_some();
        let first = cause.primary.filter(|&primary| primary < self.settings.request_ixfr.len());
        let mut left: Vec<usize> =
            (0..self.settings.request_ixfr.len()).rev().filter(|&primary| Some(primary) != first).collect();
        left.extend(first);
        self.round = Some(Round { left, step: Step::Wait, forced: cause.forced, confirmed: false });
        let step = self.next(now);
        // Who announces a newer version has it: one question less.
        if let (Step::Ask(primary), Some(round), Some(announced)) = (step, &mut self.round, cause.serial)
            && first == Some(primary)
            && let Some(ours) = self.version.filter(|version| !version.is_expired).map(|version| version.times.serial)
            && announced > ours
        {
            round.step = Step::Transfer(primary, self.settings.want(primary, Some(ours)));
            return round.step;
        }
        step
    }

    /// Turns to the next primary, or ends the round.
    fn next(&mut self, now: Moment) -> Step {
        let Some(round) = &mut self.round else { return Step::Wait };
        let Some(primary) = round.left.pop() else {
            let confirmed = round.confirmed;
            return self.end(confirmed, now);
        };
        round.step = if round.forced { Step::Transfer(primary, Want::Any) } else { Step::Ask(primary) };
        round.step
    }

    /// Ends a round, which has reached a primary with this version or not.
    fn end(&mut self, reached: bool, now: Moment) -> Step {
        self.round = None;
        let wait = match self.version.filter(|version| !version.is_expired) {
            Some(Version { times, .. }) if reached => self.settings.bound(times).refresh,
            Some(Version { times, .. }) => self.settings.bound(times).retry,
            None => {
                let next = self.backoff.saturating_mul(2).min(*BACKOFF.end());
                mem::replace(&mut self.backoff, next)
            }
        };
        self.due = now + self.jittered(seconds(wait));
        match self.queued.take() {
            Some(cause) if !self.is_answered(cause) => self.start(cause, now),
            _ => Step::Wait,
        }
    }

    /// A time that is up to a quarter shorter, as in BIND.
    fn jittered(&mut self, time: Duration) -> Duration {
        // As in splitmix64: it has to spread load, not to be unpredictable.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        time.saturating_sub(time / 4 * ((mixed >> 48) as u32) / (1 << 16))
    }
}

impl RefreshSettings {
    /// The times of a version within their bounds.
    fn bound(&self, times: Times) -> Times {
        times.within(&self.refresh, &self.retry)
    }

    /// What to ask a primary for that has a version newer than this one, or any version if there is none.
    fn want(&self, primary: usize, ours: Option<Serial>) -> Want {
        match ours {
            None => Want::Any,
            Some(_) if self.request_ixfr.get(primary).copied().unwrap_or(true) => Want::Changes,
            Some(_) => Want::Newer,
        }
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}
