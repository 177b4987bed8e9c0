//! When a secondary zone asks its primaries, and when it expires.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{transfer::inbound::MAX_EXPIRE, zone::ZoneData};

/// The times of a secondary zone, in seconds since 1970. They change without a new version of the zone. A primary zone
/// has none.
#[derive(Debug, Default)]
pub struct Timing {
    expires: AtomicU64,
    refreshes: AtomicU64,
    expired: AtomicBool,
}

impl Timing {
    /// When the version at hand expires; `None` for a primary zone, or without a version.
    pub fn expires(&self) -> Option<u64> {
        Some(self.expires.load(Ordering::Relaxed)).filter(|&time| time > 0)
    }

    /// When a primary is asked next; `None` for a primary zone.
    pub fn refreshes(&self) -> Option<u64> {
        Some(self.refreshes.load(Ordering::Relaxed)).filter(|&time| time > 0)
    }

    /// Sets when a primary is asked next.
    pub fn set_refreshes(&self, time: u64) {
        self.refreshes.store(time, Ordering::Relaxed);
    }

    /// Sets when a version from an earlier run expires; returns whether it has not.
    pub fn resume(&self, expires: u64) -> bool {
        self.expires.store(expires, Ordering::Relaxed);
        let expired = now() >= expires;
        self.expired.store(expired, Ordering::Relaxed);
        !expired
    }

    /// Whether the version at hand has expired.
    pub fn is_expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed)
    }

    /// Sets when the version at hand expires, which is the newest until then; returns whether it had expired.
    pub(super) fn confirm(&self, expires: u64) -> bool {
        self.expires.store(expires, Ordering::Relaxed);
        self.expired.swap(false, Ordering::Relaxed)
    }

    /// Takes note that there is another version at hand than the one that may have expired.
    pub(super) fn revive(&self) {
        self.expired.store(false, Ordering::Relaxed);
    }

    /// Takes note that the version at hand has expired.
    pub(super) fn expire(&self) {
        self.expired.store(true, Ordering::Relaxed);
    }

    /// When the version was confirmed, as far as the time of its file can say it: as with BIND, its expire time before
    /// it expires.
    pub(super) fn confirmed(&self, data: &ZoneData) -> Option<SystemTime> {
        let soa = data.soa()?;
        Some(UNIX_EPOCH + Duration::from_secs(self.expires()?.saturating_sub(soa.expire.min(MAX_EXPIRE).into())))
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use zonefmt::{Name, NameRef, Rtype, Serial, rdata::Soa};

    use super::*;

    /// Its copy had the time 1970, and so had expired when the server started again.
    #[test]
    fn a_copy_whose_soa_lets_it_expire_after_years_has_the_time_of_its_confirmation() {
        let (root, serial) = (NameRef::ROOT, Serial(1));
        let soa = Soa { primary: root, mailbox: root, serial, refresh: 1, retry: 1, expire: 1 << 31, minimum: 1 };
        let mut edit = ZoneData::new(Name::root()).edit();
        edit.add(root, Rtype::SOA, 0, &soa.to_wire()).expect("it fits");
        let (data, timing, confirmed) = (edit.commit(), Timing::default(), now());
        timing.confirm(confirmed + u64::from(MAX_EXPIRE));
        assert_eq!(timing.confirmed(&data), Some(UNIX_EPOCH + Duration::from_secs(confirmed)));
    }
}
