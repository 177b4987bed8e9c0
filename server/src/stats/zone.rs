//! The counters of one zone, for zones with `zone-statistics full`.
//!
//! Since there may be many zones, they are few: the outcomes of requests and the most common types. A zone's counters have a few
//! lanes and each worker counts on its own. If two workers share a lane, nothing is lost, because additions are atomic.

use std::{
    array, fmt,
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use zonefmt::Rtype;

use super::table::Stat;

/// The requests that a zone received, by outcome and, if they are queries, by type.
pub struct ZoneCounters(Box<[Lane]>);

/// Aligned so that no two lanes share a cache line.
#[repr(align(64))]
struct Lane([AtomicU64; CELLS]);

/// The outcomes that are counted per zone.
const STATS: [Stat; 18] = [
    Stat::QrySuccess,
    Stat::QryAuthAns,
    Stat::QryNoauthAns,
    Stat::QryReferral,
    Stat::QryNxrrset,
    Stat::QrySERVFAIL,
    Stat::QryFORMERR,
    Stat::QryNXDOMAIN,
    Stat::QryFailure,
    Stat::QryUDP,
    Stat::QryTCP,
    Stat::QryBADCOOKIE,
    Stat::XfrReqDone,
    Stat::XfrRej,
    Stat::UpdateDone,
    Stat::UpdateRej,
    Stat::UpdateFail,
    Stat::UpdateBadPrereq,
];

/// The types that have a counter of their own.
const TYPES: [Rtype; 18] = [
    Rtype::A,
    Rtype::NS,
    Rtype::CNAME,
    Rtype::SOA,
    Rtype::PTR,
    Rtype::HINFO,
    Rtype::MX,
    Rtype::TXT,
    Rtype::AAAA,
    Rtype::SRV,
    Rtype::NAPTR,
    Rtype::DS,
    Rtype::DNSKEY,
    Rtype::TLSA,
    Rtype::SVCB,
    Rtype::HTTPS,
    Rtype::ANY,
    Rtype::CAA,
];

const CELLS: usize = STATS.len() + TYPES.len() + 1;

/// The most lanes of a zone.
const MAX_LANES: usize = 8;

impl Default for ZoneCounters {
    fn default() -> ZoneCounters {
        let lanes = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_LANES);
        ZoneCounters((0..lanes).map(|_| Lane(array::from_fn(|_| AtomicU64::new(0)))).collect())
    }
}

impl fmt::Debug for ZoneCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoneCounters").finish_non_exhaustive()
    }
}

impl ZoneCounters {
    /// Counts a transfer that was sent to its end, on any thread.
    pub(crate) fn transferred(&self) {
        self.stat(0, Stat::XfrReqDone);
    }

    /// Counts the outcome of a request on a worker's lane.
    pub(super) fn stat(&self, lane: usize, stat: Stat) {
        if let Some(cell) = STATS.iter().position(|known| *known == stat) {
            self.add(lane, cell);
        }
    }

    /// Counts the type of a query on a worker's lane.
    pub(super) fn qtype(&self, lane: usize, rtype: Rtype) {
        self.add(lane, STATS.len() + TYPES.iter().position(|known| *known == rtype).unwrap_or(TYPES.len()));
    }

    fn add(&self, lane: usize, cell: usize) {
        self.0[lane % self.0.len()].0[cell].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts of outcomes.
    pub(super) fn stats(&self) -> impl Iterator<Item = (Stat, u64)> {
        STATS.into_iter().enumerate().map(|(cell, stat)| (stat, self.sum(cell)))
    }

    /// The counts of query types.
    pub(super) fn qtypes(&self) -> impl Iterator<Item = (String, u64)> {
        let names = TYPES.iter().map(ToString::to_string).chain(["Others".to_owned()]);
        names.enumerate().map(|(index, name)| (name, self.sum(STATS.len() + index)))
    }

    fn sum(&self, cell: usize) -> u64 {
        self.0.iter().map(|lane| lane.0[cell].load(Ordering::Relaxed)).sum()
    }
}
