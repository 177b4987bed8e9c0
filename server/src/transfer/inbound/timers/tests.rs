//! The times of one zone, and weeks in the life of a secondary.

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
        let times = Times { serial: Serial(1), refresh, retry, expire }.within(&settings.refresh, &settings.retry);
        (times.refresh, times.retry, times.expire)
    };
    assert_eq!(bound(0, 0, 0), (400, 300, 700));
    assert_eq!(bound(u32::MAX, u32::MAX, u32::MAX), (5000, 600, MAX_EXPIRE));
    assert_eq!(bound(1000, 400, 7000), (1000, 400, 7000));
    let zero = Times { serial: Serial(1), refresh: 0, retry: 0, expire: 0 };
    let zero = zero.within(&(0..=u32::MAX), &(0..=u32::MAX));
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
    assert_eq!(timers.heard(Heard::Version(times(6), None), at(9)), Step::Transfer(0, Want::Changes), "7 is announced");
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

/// A zone whose first transfer ended after its primaries had changed was served, but never expired.
#[test]
fn a_version_that_comes_after_a_change_of_settings_expires() {
    let mut timers = Timers::new(settings(1), 0, at(0));
    assert_eq!(timers.wake(at(0)), Step::Ask(0));
    timers.configure(settings(2), at(1));
    timers.took(times(5), None, at(2));
    assert_eq!((timers.expires(), timers.lifetime()), (Some(at(2 + 86_400)), Some(86_400)));
    assert_eq!(timers.wake(at(2)), Step::Ask(0));
    assert_eq!(timers.heard(serial(5), at(2)), Step::Ask(1));
}

/// They held from the next version on only.
#[test]
fn bounds_that_change_hold_for_the_version_at_hand() {
    let mut timers = timers(1);
    timers.configure(RefreshSettings { refresh: 100..=200, retry: 20..=40, ..settings(1) }, at(10));
    assert_eq!(timers.wake(at(10)), Step::Ask(0));
    assert_eq!(timers.heard(serial(5), at(10)), Step::Wait);
    assert!((150..=200).contains(&seconds_between(&timers, 10)));
    timers.refresh(at(20));
    assert_eq!(timers.heard(FAILED, at(20)), Step::Wait);
    assert!((30..=40).contains(&seconds_between(&timers, 20)));
}

/// The command `retransfer` did nothing if the configuration changed before the transfer was over.
#[test]
fn what_was_wanted_before_a_change_of_settings_is_done_after_it() {
    let mut waiting = timers(1);
    waiting.refresh(at(9));
    assert_eq!(waiting.retransfer(at(9)), Notified::Queued);
    let mut running = timers(1);
    running.retransfer(at(9));
    for mut timers in [waiting, running] {
        timers.configure(settings(2), at(10));
        assert_eq!(timers.clone().notified(Some(1), None, at(10)), Notified::Started(Step::Transfer(1, Want::Any)));
        assert_eq!(timers.wake(at(10)), Step::Transfer(0, Want::Any));
        timers.heard(Heard::Version(times(5), None), at(11));
        assert_eq!(timers.wake(timers.due()), Step::Ask(0), "it is done once");
    }
    let mut announced = timers(1);
    announced.refresh(at(9));
    announced.notified(Some(0), Some(Serial(7)), at(9));
    announced.configure(settings(2), at(10));
    assert_eq!(announced.wake(at(10)), Step::Ask(0));
    assert_eq!(announced.heard(serial(6), at(10)), Step::Transfer(0, Want::Changes));
    assert_eq!(announced.heard(Heard::Version(times(6), None), at(10)), Step::Ask(0), "7 is announced");
}

#[test]
fn a_version_expires_and_the_next_one_found_is_served() {
    for (heard, step) in
        [(serial(5), Step::Wait), (serial(6), Step::Transfer(0, Want::Any)), (serial(4), Step::Transfer(0, Want::Any))]
    {
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
