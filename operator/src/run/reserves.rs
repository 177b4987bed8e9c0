//! Serials that are durable before there are versions with them. A zone that clients write all the time gets many versions
//! a second, and each would cost a write of its status; by one such write, serials are reserved for all of the next second.
//! Whoever publishes the zone next without knowing which of them are used takes none of them. Of versions that differ by what
//! is declared, the status always names the one that is published.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;
use zonefmt::{Name, Serial};

use super::publication::Version;
use crate::compile::Published;

/// The serials that this process has reserved.
#[derive(Default)]
pub(super) struct Reserves {
    zones: BTreeMap<Name, Reserve>,
    /// What was to be written into statuses since they were written last, and may be there.
    tried: BTreeMap<Name, Vec<Said>>,
}

/// What a status says: the version, and up to which serial they are reserved.
pub(super) type Said = (Published, Option<Serial>);

struct Reserve {
    /// The resource whose status says so, of all that have its name one after the other.
    uid: Value,
    /// The version that was published last.
    version: Version,
    /// Whether it is the one that the status names.
    is_named: bool,
    /// The last serial that the status reserves.
    up_to: Option<Serial>,
    /// What was written into the status.
    said: Said,
    /// When the status was written.
    written: Instant,
}

/// How long a status may name another version than the last one.
const PERIOD: Duration = Duration::from_secs(1);
/// How many writes without an answer are remembered.
const MOST_TRIES: usize = 16;
/// How many serials are reserved at a time.
const SERIALS: u32 = 256;

impl Reserves {
    /// Publishes a version of a zone without a write, if its serial is reserved. Else it tells up to which serial the write
    /// that names this version has to reserve, if it has to.
    ///
    /// # Errors
    /// A write is necessary.
    pub(super) fn publish(&mut self, version: &Version, uid: &Value, now: Instant) -> Result<(), Option<Serial>> {
        let reserve = self.zones.get_mut(&version.origin).filter(|reserve| reserve.uid == *uid && version.by_clients);
        let Some(reserve) = reserve else { return Err(None) };
        let (last, serial) = (reserve.version.published.serial, version.published.serial);
        let (is_fresh, is_new) = (now < reserve.written + PERIOD, reserve.version != *version);
        if is_fresh && reserve.up_to.is_some_and(|up_to| last <= serial && serial <= up_to) {
            reserve.is_named &= !is_new;
            reserve.version = version.clone();
            return Ok(());
        }
        let goes_on = is_fresh && is_new || !reserve.is_named;
        Err(goes_on.then(|| Serial(serial.0.wrapping_add(SERIALS))))
    }

    /// A status was written that names this version and reserves serials up to this one.
    pub(super) fn written(&mut self, version: Version, uid: Value, up_to: Option<Serial>, now: Instant) {
        let (origin, said) = (version.origin.clone(), (version.published, up_to));
        self.tried.remove(&origin);
        self.zones.insert(origin, Reserve { uid, version, is_named: true, up_to, said, written: now });
    }

    /// A status was to be written that says this, and nobody knows whether it was.
    pub(super) fn tried(&mut self, version: &Version, up_to: Option<Serial>) {
        let tried = self.tried.entry(version.origin.clone()).or_default();
        if tried.len() >= MOST_TRIES {
            tried.remove(0);
        }
        tried.push((version.published, up_to));
    }

    /// What the status of a zone may say because this process has written it.
    pub(super) fn said(&self, origin: &Name) -> Vec<Said> {
        let written = self.zones.get(origin).map(|reserve| reserve.said);
        written.into_iter().chain(self.tried.get(origin).into_iter().flatten().copied()).collect()
    }

    /// The last versions of zones whose status has reserved serials for long enough, if it is that of the resource with the
    /// same `uid` still.
    pub(super) fn due(&mut self, now: Instant, uid: impl Fn(&Version) -> Option<Value>) -> Vec<Version> {
        let is_over = |reserve: &Reserve| now >= reserve.written + PERIOD;
        self.zones.retain(|_, reserve| {
            !is_over(reserve) || reserve.up_to.is_some() && uid(&reserve.version).as_ref() == Some(&reserve.uid)
        });
        self.zones.values().filter(|reserve| is_over(reserve)).map(|reserve| reserve.version.clone()).collect()
    }

    /// The resource of a zone is gone.
    pub(super) fn forget(&mut self, origin: &Name) {
        self.zones.remove(origin);
        self.tried.remove(origin);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{Kind, ResourceId},
        compile::{ContentHash, Published},
    };

    fn version(serial: u32) -> Version {
        Version {
            origin: Name::from_ascii("example.com").unwrap(),
            id: ResourceId { kind: Kind::Zone, namespace: "web".into(), name: "example".into() },
            published: Published { serial: Serial(serial), hash: ContentHash::default() },
            records: 0,
            by_clients: true,
        }
    }

    #[test]
    fn a_zone_that_changes_seldom_has_each_version_in_its_status() {
        let (mut reserves, uid, mut now) = (Reserves::default(), json!("1"), Instant::now());
        for serial in 1..5 {
            assert_eq!(reserves.publish(&version(serial), &uid, now), Err(None));
            reserves.written(version(serial), uid.clone(), None, now);
            now += PERIOD;
            assert_eq!(reserves.due(now, |_| Some(uid.clone())), []);
        }
        assert!(reserves.zones.is_empty());
    }

    #[test]
    fn a_zone_that_changes_all_the_time_is_written_once_in_a_period() {
        let (mut reserves, uid, mut now) = (Reserves::default(), json!("1"), Instant::now());
        let (mut writes, mut durable) = (0, Serial(u32::MAX - 1000));
        let mut serial = durable;
        for step in 0..1000 {
            serial = serial.next();
            now += PERIOD / 100;
            for look in [false, step % 100 == 0] {
                let versions = if look { reserves.due(now, |_| Some(uid.clone())) } else { vec![version(serial.0)] };
                for version in versions {
                    match reserves.publish(&version, &uid, now) {
                        Ok(()) => assert!(serial <= durable, "{serial:?} was published and could be forgotten"),
                        Err(up_to) => {
                            writes += 1;
                            durable = up_to.unwrap_or(serial);
                            reserves.written(version, uid.clone(), up_to, now);
                        }
                    }
                }
            }
        }
        assert!((10..15).contains(&writes), "{writes} writes");
        // It comes to rest, and its status names its last version in the end and reserves none.
        let mut last = None;
        for _ in 0..5 {
            now += PERIOD;
            for due in reserves.due(now, |_| Some(uid.clone())) {
                assert_eq!(due, version(serial.0));
                let up_to = reserves.publish(&due, &uid, now).unwrap_err();
                reserves.written(due, uid.clone(), up_to, now);
                last = Some(up_to);
            }
        }
        assert_eq!(last, Some(None));
        assert!(reserves.zones.is_empty());
    }

    #[test]
    fn what_was_tried_is_known_until_something_else_was_written() {
        let (mut reserves, origin, now) = (Reserves::default(), version(1).origin, Instant::now());
        let said = |serial: u32| (version(serial).published, None);
        reserves.tried(&version(1), None);
        reserves.tried(&version(2), None);
        assert_eq!(reserves.due(now + PERIOD, |_| None), []);
        assert_eq!(reserves.said(&origin), [said(1), said(2)], "nobody knows");
        reserves.written(version(3), json!("1"), None, now);
        assert_eq!(reserves.said(&origin), [said(3)]);
        for serial in 4..100 {
            reserves.tried(&version(serial), None);
        }
        assert_eq!(reserves.said(&origin).len(), MOST_TRIES + 1);
        reserves.forget(&origin);
        assert_eq!(reserves.said(&origin), []);
    }

    #[test]
    fn what_is_reserved_is_for_clients_of_one_resource() {
        let (mut reserves, now) = (Reserves::default(), Instant::now());
        reserves.written(version(1), json!("1"), Some(Serial(9)), now);
        assert_eq!(reserves.publish(&version(2), &json!("2"), now), Err(None));
        assert_eq!(reserves.publish(&version(2), &json!("1"), now), Ok(()));
        let declared = Version { by_clients: false, ..version(3) };
        assert_eq!(reserves.publish(&declared, &json!("1"), now), Err(None));
        assert_eq!(reserves.publish(&version(1), &json!("1"), now), Err(Some(Serial(257))), "it is used");
        assert_eq!(reserves.publish(&version(10), &json!("1"), now), Err(Some(Serial(266))));
        let later = now + PERIOD;
        assert_eq!(reserves.due(later, |_| Some(json!("1"))), [version(2)]);
        assert_eq!(reserves.due(later, |_| Some(json!("2"))), [], "its status is another's");
    }
}
