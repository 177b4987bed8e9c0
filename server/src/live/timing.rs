//! When a secondary zone asks its primaries, and when it expires.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::clock::unix_now;

/// The times of a secondary zone, in seconds since 1970. They change without a new version of the zone, and nobody waits
/// to read or set them. A primary zone has none.
#[derive(Debug, Default)]
pub struct Timing {
    confirmed: AtomicU64,
    expires: AtomicU64,
    refreshes: AtomicU64,
    expired: AtomicBool,
    withheld: AtomicBool,
}

/// How long the copy of a zone is valid, in seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    /// When a primary confirmed the copy: its expire time before it expires. That is earlier than in fact if the primary
    /// said that its own version expires sooner (RFC 7314).
    pub confirmed: u64,
    /// When the copy expires.
    pub expires: u64,
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

    /// Sets how long a version from an earlier run is valid, before it is published; returns whether it is still.
    pub fn resume(&self, validity: Validity) -> bool {
        self.confirm(validity);
        let expired = unix_now() >= validity.expires;
        self.expired.store(expired, Ordering::Relaxed);
        self.withheld.store(expired, Ordering::Relaxed);
        !expired
    }

    /// Sets how long the version at hand is valid, which is the newest until then;
    /// [`Live::follow_times`](super::Live::follow_times) serves it again if it had expired.
    pub fn confirm(&self, Validity { confirmed, expires }: Validity) {
        self.confirmed.store(confirmed, Ordering::Relaxed);
        self.expires.store(expires, Ordering::Relaxed);
        self.expired.store(false, Ordering::Relaxed);
    }

    /// Takes note that the version at hand has expired; [`Live::follow_times`](super::Live::follow_times) stops serving
    /// it.
    pub fn expire(&self) {
        self.expired.store(true, Ordering::Relaxed);
    }

    /// Takes note that another version is served than the one that may have expired.
    pub(super) fn revive(&self) {
        self.expired.store(false, Ordering::Relaxed);
        self.withheld.store(false, Ordering::Relaxed);
    }

    /// Whether the version at hand is to be withheld from now on, as it has expired, or to be served again; `None` if
    /// that is so already. To be called by whoever does it.
    pub(super) fn turn(&self) -> Option<bool> {
        let expired = self.expired.load(Ordering::Relaxed);
        (self.withheld.swap(expired, Ordering::Relaxed) != expired).then_some(expired)
    }

    /// When the version at hand was confirmed ([`Validity::confirmed`]), which is the time of its file, as with BIND;
    /// `None` for a primary zone, or without a version.
    pub fn confirmed(&self) -> Option<SystemTime> {
        self.expires().map(|_| UNIX_EPOCH + Duration::from_secs(self.confirmed.load(Ordering::Relaxed)))
    }
}
