//! When a secondary asks which primary for what: the refresh, retry and expire times of a zone's SOA (RFC 1034 4.3.5),
//! NOTIFY (RFC 1996), the commands `refresh` and `retransfer`, and fail-over from one primary to the next.
//!
//! [`Timers`] only decides. It is called with what happens, and the time at which it does, and returns the next
//! [`Step`]; between the calls it wants to be woken at [`Timers::wake_at`]. There is at most one step under way, and its
//! result comes back through [`Timers::heard`].

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
    /// The version at hand, its times within their bounds.
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
pub(crate) const MAX_EXPIRE: u32 = 14_515_200;

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
        let times = timers.settings.bound(times);
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
                let times = self.settings.bound(times);
                let expires = now + times.valid_for(edns);
                self.version = Some(Version { times, expires, is_expired: false });
                self.backoff = *BACKOFF.start();
                self.end(true, now)
            }
            Heard::Serial(serial, edns) => match &mut self.version {
                Some(version) if version.times.serial == serial && !round.forced => {
                    let expires = now + version.times.valid_for(edns);
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

    /// Changes the settings, or what the primaries are. A round under way is given up, so a result of its step is ignored; the next one is due at
    /// once.
    pub fn configure(&mut self, settings: RefreshSettings, now: Moment) {
        self.settings = settings;
        (self.round, self.queued, self.due) = (None, None, now);
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

    fn start(&mut self, cause: Cause, now: Moment) -> Step {
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
            Some(Version { times, .. }) if reached => times.refresh,
            Some(Version { times, .. }) => times.retry,
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
    /// The times of an SOA within their bounds, as BIND has them.
    fn bound(&self, times: Times) -> Times {
        let within = |time: u32, bounds: &RangeInclusive<u32>| time.min(*bounds.end()).max(*bounds.start()).max(1);
        let (refresh, retry) = (within(times.refresh, &self.refresh), within(times.retry, &self.retry));
        let expire = times.expire.min(MAX_EXPIRE).max(refresh.saturating_add(retry));
        Times { refresh, retry, expire, ..times }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3600;

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn settings(primaries: usize) -> RefreshSettings {
        RefreshSettings::of(&Inbound::default(), vec![true; primaries])
    }

    fn times(serial: u32) -> Times {
        Times { serial: Serial(serial), refresh: 3600, retry: 600, expire: 86_400 }
    }

    /// A zone with version 5, refreshed at 0.
    fn timers(primaries: usize) -> Timers {
        let mut timers = Timers::new(settings(primaries), 7, at(0));
        assert_eq!(timers.wake(at(0)), Step::Ask(0));
        assert_eq!(timers.heard(Heard::Serial(Serial(5), None), at(0)), Step::Transfer(0, Want::Any));
        assert_eq!(timers.heard(Heard::Version(times(5), None), at(0)), Step::Wait);
        timers
    }

    const FAILED: Heard = Heard::Failed { axfr_may_help: false };

    fn serial(serial: u32) -> Heard {
        Heard::Serial(Serial(serial), None)
    }

    fn seconds_between(timers: &Timers, now: u64) -> u64 {
        timers.due().saturating_sub(at(now)).as_secs()
    }

    #[test]
    fn the_next_round_follows_after_refresh_or_retry() {
        let mut timers = timers(1);
        assert!((2700..=3600).contains(&seconds_between(&timers, 0)));
        assert_eq!(timers.wake(at(100)), Step::Wait);
        assert_eq!(timers.wake(timers.due()), Step::Ask(0));
        assert_eq!(timers.heard(FAILED, at(HOUR)), Step::Wait);
        assert!((450..=600).contains(&seconds_between(&timers, HOUR)));
        assert_eq!(timers.wake(timers.due()), Step::Ask(0));
        assert_eq!(timers.heard(serial(5), at(2 * HOUR)), Step::Wait);
        assert!((2700..=3600).contains(&seconds_between(&timers, 2 * HOUR)));
        assert_eq!(timers.expires(), Some(at(2 * HOUR + 86_400)));
        // An older version confirms nothing.
        assert_eq!(timers.wake(timers.due()), Step::Ask(0));
        assert_eq!(timers.heard(serial(4), at(3 * HOUR)), Step::Wait);
        assert!((450..=600).contains(&seconds_between(&timers, 3 * HOUR)));
        assert_eq!(timers.expires(), Some(at(2 * HOUR + 86_400)));
    }

    #[test]
    fn times_stay_within_their_bounds() {
        let settings = RefreshSettings { refresh: 400..=5000, retry: 300..=600, ..settings(1) };
        let bound = |refresh, retry, expire| {
            let times = settings.bound(Times { serial: Serial(1), refresh, retry, expire });
            (times.refresh, times.retry, times.expire)
        };
        assert_eq!(bound(0, 0, 0), (400, 300, 700));
        assert_eq!(bound(u32::MAX, u32::MAX, u32::MAX), (5000, 600, MAX_EXPIRE));
        assert_eq!(bound(1000, 400, 7000), (1000, 400, 7000));
        let unbounded = RefreshSettings { refresh: 0..=u32::MAX, retry: 0..=u32::MAX, ..settings };
        let zero = unbounded.bound(Times { serial: Serial(1), refresh: 0, retry: 0, expire: 0 });
        assert_eq!((zero.refresh, zero.retry), (1, 1));
    }

    #[test]
    fn all_primaries_are_asked_until_one_gives_a_newer_version() {
        let mut timers = timers(4);
        assert_eq!(timers.refresh(at(10)), Notified::Started(Step::Ask(0)));
        assert_eq!(timers.heard(serial(5), at(10)), Step::Ask(1));
        assert_eq!(timers.heard(FAILED, at(11)), Step::Ask(2));
        assert_eq!(timers.heard(serial(6), at(12)), Step::Transfer(2, Want::Changes));
        assert_eq!(timers.heard(Heard::Failed { axfr_may_help: true }, at(12)), Step::Transfer(2, Want::Newer));
        assert_eq!(timers.heard(Heard::Failed { axfr_may_help: true }, at(13)), Step::Ask(3));
        assert_eq!(timers.heard(serial(6), at(13)), Step::Transfer(3, Want::Changes));
        assert_eq!(timers.heard(Heard::Version(times(6), None), at(14)), Step::Wait);
        assert_eq!(timers.expires(), Some(at(14 + 86_400)));
    }

    #[test]
    fn changes_are_asked_only_of_primaries_that_are_to_be_asked_for_them() {
        let mut timers = timers(1);
        timers.configure(RefreshSettings::of(&Inbound::default(), [false]), at(5));
        assert_eq!(timers.wake(at(5)), Step::Ask(0));
        assert_eq!(timers.heard(serial(6), at(5)), Step::Transfer(0, Want::Newer));
    }

    #[test]
    fn a_notify_with_a_known_serial_does_nothing() {
        let mut timers = timers(2);
        assert_eq!(timers.notified(Some(0), Some(Serial(5)), at(9)), Notified::UpToDate);
        assert_eq!(timers.notified(Some(0), Some(Serial(4)), at(9)), Notified::UpToDate);
        assert!(!timers.is_busy());
    }

    #[test]
    fn the_sender_of_a_notify_is_asked_first() {
        let started = |from, serial: Option<u32>| timers(3).notified(from, serial.map(Serial), at(9));
        assert_eq!(started(Some(2), None), Notified::Started(Step::Ask(2)));
        assert_eq!(started(Some(2), Some(6)), Notified::Started(Step::Transfer(2, Want::Changes)));
        assert_eq!(started(None, Some(6)), Notified::Started(Step::Ask(0)));
        assert_eq!(started(Some(9), Some(6)), Notified::Started(Step::Ask(0)));
        let mut timers = timers(3);
        timers.notified(Some(2), None, at(9));
        assert_eq!(timers.heard(FAILED, at(9)), Step::Ask(0));
        assert_eq!(timers.heard(FAILED, at(9)), Step::Ask(1));
        assert_eq!(timers.heard(FAILED, at(9)), Step::Wait);
    }

    /// NSD asked again and again for a transfer when a NOTIFY had announced a serial that the primary did not have.
    #[test]
    fn a_notify_that_is_ahead_of_its_primary_leads_to_one_round() {
        let mut timers = timers(1);
        let step = timers.notified(Some(0), Some(Serial(9)), at(9));
        assert_eq!(step, Notified::Started(Step::Transfer(0, Want::Changes)));
        assert_eq!(timers.heard(serial(5), at(9)), Step::Wait);
        assert!((2700..=3600).contains(&seconds_between(&timers, 9)));
    }

    #[test]
    fn what_comes_during_a_round_leads_to_one_more_if_it_is_still_needed() {
        let mut timers = timers(1);
        timers.refresh(at(9));
        assert_eq!(timers.notified(Some(0), Some(Serial(6)), at(9)), Notified::Queued);
        assert_eq!(timers.notified(Some(0), Some(Serial(7)), at(9)), Notified::Queued);
        assert_eq!(timers.heard(serial(6), at(9)), Step::Transfer(0, Want::Changes));
        assert_eq!(
            timers.heard(Heard::Version(times(6), None), at(9)),
            Step::Transfer(0, Want::Changes),
            "7 is announced"
        );
        assert_eq!(timers.notified(Some(0), Some(Serial(7)), at(9)), Notified::Queued);
        assert_eq!(timers.heard(Heard::Version(times(7), None), at(9)), Step::Wait);
    }

    /// The announcement that came last took the place of the one with the newer serial.
    #[test]
    fn of_two_announcements_during_a_round_the_newer_one_counts() {
        for announced in [[7, 6], [6, 7]] {
            let mut timers = timers(2);
            timers.retransfer(at(9));
            for serial in announced {
                assert_eq!(timers.notified(Some(0), Some(Serial(serial)), at(9)), Notified::Queued);
            }
            let next = timers.heard(Heard::Version(times(6), None), at(9));
            assert_eq!(next, Step::Transfer(0, Want::Changes), "7 is announced");
        }
    }

    /// A primary whose own version expires in this moment was asked again and again without a pause.
    #[test]
    fn a_version_that_expires_at_the_primary_is_valid_until_that_is_asked_again() {
        let mut timers = timers(1);
        timers.retransfer(at(0));
        timers.heard(Heard::Version(times(6), Some(0)), at(0));
        assert_eq!(timers.expires(), Some(at(600)));
        assert!(timers.wake_at() > Some(at(0)));
    }

    #[test]
    fn retransfer_takes_any_version() {
        let mut timers = timers(2);
        assert_eq!(timers.retransfer(at(9)), Notified::Started(Step::Transfer(0, Want::Any)));
        assert_eq!(timers.heard(FAILED, at(9)), Step::Transfer(1, Want::Any));
        timers.refresh(at(9));
        assert_eq!(timers.retransfer(at(9)), Notified::Queued);
        timers.notified(None, Some(Serial(3)), at(9));
        assert_eq!(timers.heard(Heard::Version(times(3), None), at(9)), Step::Transfer(0, Want::Any));
        assert_eq!(timers.heard(Heard::Version(times(3), None), at(9)), Step::Wait);
    }

    #[test]
    fn a_version_expires_and_the_next_one_found_is_served() {
        for (heard, step) in [
            (serial(5), Step::Wait),
            (serial(6), Step::Transfer(0, Want::Any)),
            (serial(4), Step::Transfer(0, Want::Any)),
        ] {
            let mut timers = timers(1);
            while !timers.is_expired() {
                let now = timers.wake_at().unwrap();
                if timers.wake(now) != Step::Wait {
                    timers.heard(FAILED, now);
                }
                assert_eq!(timers.is_expired(), now >= at(86_400));
            }
            let now = timers.due();
            assert_eq!(timers.wake(now), Step::Ask(0));
            assert_eq!(timers.heard(heard, now), step);
            timers.heard(Heard::Version(times(9), None), now);
            assert!(!timers.is_expired());
            assert_eq!(timers.expires(), Some(now + at(86_400)));
        }
    }

    #[test]
    fn edns_expire_only_lowers_the_expire_time() {
        let mut timers = timers(2);
        timers.retransfer(at(0));
        timers.heard(Heard::Version(times(6), Some(5000)), at(0));
        assert_eq!(timers.expires(), Some(at(5000)));
        timers.refresh(at(10));
        timers.heard(Heard::Serial(Serial(6), Some(u32::MAX)), at(10));
        assert_eq!(timers.expires(), Some(at(86_410)));
        timers.heard(Heard::Serial(Serial(6), Some(100)), at(10));
        assert_eq!(timers.expires(), Some(at(86_410)), "the other primary is better informed");
    }

    #[test]
    fn rounds_without_a_version_follow_ever_more_slowly() {
        let mut timers = Timers::new(settings(1), 3, at(0));
        let mut waits = Vec::new();
        let mut now = at(0);
        for _ in 0..14 {
            assert_eq!(timers.wake(now), Step::Ask(0));
            timers.heard(FAILED, now);
            waits.push(timers.due().saturating_sub(now).as_secs_f64());
            now = timers.due();
        }
        for (wait, longest) in waits.iter().zip([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600, 600]) {
            assert!((f64::from(longest) * 0.75..=f64::from(longest)).contains(wait), "{waits:?}");
        }
    }

    #[test]
    fn a_restart_resets_nothing() {
        let timers = Timers::resumed(settings(1), 0, times(5), at(50), at(900));
        assert_eq!((timers.wake_at(), timers.expires()), (Some(at(50)), Some(at(900))));
    }

    #[test]
    fn without_primaries_nothing_is_asked() {
        let mut timers = Timers::new(settings(0), 0, at(0));
        assert_eq!(timers.wake(at(0)), Step::Wait);
        assert!(timers.wake_at() > Some(at(0)));
    }

    /// What happens in the world around a secondary.
    #[derive(Clone, Debug)]
    enum Event {
        /// A primary publishes its next version and sends a NOTIFY, which may be lost.
        Publish(usize, bool),
        /// A primary goes away, or comes back.
        Switch(usize),
        Refresh,
        Retransfer,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (0..2usize, any::<bool>()).prop_map(|(primary, notifies)| Event::Publish(primary, notifies)),
            2 => (0..2usize).prop_map(Event::Switch),
            1 => Just(Event::Refresh),
            1 => Just(Event::Retransfer),
        ]
    }

    proptest! {
        /// Two primaries and a secondary on a simulated clock, over weeks.
        #[test]
        fn a_zone_is_as_fresh_as_its_times_promise(
            events in prop::collection::vec((0..40_000u64, event()), 1..80),
            seed in any::<u64>(),
        ) {
            let mut timers = Timers::new(settings(2), seed, at(0));
            let mut primaries = [(1u32, true), (1, true)];
            let (mut ours, mut reached, mut now) = (None::<u32>, None::<Moment>, at(0));
            let mut steps_in_a_row = 0;
            for (wait, event) in events {
                let then = now + at(wait);
                // What is due before the event.
                while let Some(wakes) = timers.wake_at() && wakes <= then {
                    prop_assert!(wakes >= now || timers.due() <= now);
                    steps_in_a_row = if wakes > now { 0 } else { steps_in_a_row + 1 };
                    prop_assert!(steps_in_a_row < 20, "it turns on the spot");
                    now = now.max(wakes);
                    let mut step = timers.wake(now);
                    while step != Step::Wait {
                        step = play(&mut timers, step, &primaries, &mut ours, &mut reached, now);
                    }
                    prop_assert!(!timers.is_busy());
                    prop_assert_eq!(timers.is_expired(), reached.is_some_and(|reached| now >= reached + at(86_400)));
                }
                now = then;
                let started = match event {
                    Event::Publish(primary, notifies) => {
                        primaries[primary].0 += 1;
                        let announced = Some(Serial(primaries[primary].0));
                        notifies.then(|| timers.notified(Some(primary), announced, now))
                    }
                    Event::Switch(primary) => {
                        primaries[primary].1 ^= true;
                        None
                    }
                    Event::Refresh => Some(timers.refresh(now)),
                    Event::Retransfer => Some(timers.retransfer(now)),
                };
                let mut step = match started {
                    Some(Notified::Started(step)) => step,
                    other => {
                        prop_assert!(other != Some(Notified::Queued), "nothing is under way");
                        Step::Wait
                    }
                };
                let first = step;
                while step != Step::Wait {
                    step = play(&mut timers, step, &primaries, &mut ours, &mut reached, now);
                }
                if let Step::Ask(asked) | Step::Transfer(asked, _) = first && primaries[asked].1 {
                    prop_assert!(ours >= Some(primaries[asked].0) || matches!(first, Step::Transfer(_, Want::Any)));
                }
                prop_assert!(!timers.is_busy());
                let wait = timers.due().saturating_sub(now);
                prop_assert!(wait <= at(3600), "{wait:?}");
            }
        }
    }

    /// Takes a step against the primaries and returns the next one.
    fn play(
        timers: &mut Timers,
        step: Step,
        primaries: &[(u32, bool); 2],
        ours: &mut Option<u32>,
        reached: &mut Option<Moment>,
        now: Moment,
    ) -> Step {
        let heard = match step {
            Step::Wait => return Step::Wait,
            Step::Ask(primary) | Step::Transfer(primary, _) if !primaries[primary].1 => FAILED,
            Step::Ask(primary) => serial(primaries[primary].0),
            Step::Transfer(primary, want) => {
                let theirs = primaries[primary].0;
                if want == Want::Any || ours.is_none_or(|ours| theirs > ours) {
                    (*ours, *reached) = (Some(theirs), Some(now));
                    Heard::Version(times(theirs), None)
                } else {
                    serial(theirs)
                }
            }
        };
        if heard == serial(ours.unwrap_or(0)) {
            *reached = Some(now);
        }
        timers.heard(heard, now)
    }
}
