//! Counters of one zone, for zones with `zone-statistics full`.
//!
//! They are few, as there may be many zones: what became of queries, and the types most asked for. Each has some lanes, and
//! a worker counts on its own; should two share one, nothing is lost, as these are added to atomically.

use std::{
    array, fmt,
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use zonefmt::Rtype;

use super::table::Stat;

/// How many queries a zone had, of what kind, and what became of them.
pub struct ZoneCounters(Box<[Lane]>);

/// On lines of its own.
#[repr(align(64))]
struct Lane([AtomicU64; CELLS]);

/// What is counted of a zone.
const STATS: [Stat; 12] = [
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
];

/// Types with a counter of their own.
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

/// Lanes of a zone, at most.
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
    /// Counts what became of a query, on a worker's lane.
    pub(super) fn stat(&self, lane: usize, stat: Stat) {
        if let Some(cell) = STATS.iter().position(|known| *known == stat) {
            self.add(lane, cell);
        }
    }

    /// Counts a type asked for.
    pub(super) fn qtype(&self, lane: usize, rtype: Rtype) {
        self.add(lane, STATS.len() + TYPES.iter().position(|known| *known == rtype).unwrap_or(TYPES.len()));
    }

    fn add(&self, lane: usize, cell: usize) {
        self.0[lane % self.0.len()].0[cell].fetch_add(1, Ordering::Relaxed);
    }

    /// What became of queries.
    pub(super) fn stats(&self) -> impl Iterator<Item = (Stat, u64)> {
        STATS.into_iter().enumerate().map(|(cell, stat)| (stat, self.sum(cell)))
    }

    /// Types asked for.
    pub(super) fn qtypes(&self) -> impl Iterator<Item = (String, u64)> {
        let names = TYPES.iter().map(ToString::to_string).chain(["Others".to_owned()]);
        names.enumerate().map(|(index, name)| (name, self.sum(STATS.len() + index)))
    }

    fn sum(&self, cell: usize) -> u64 {
        self.0.iter().map(|lane| lane.0[cell].load(Ordering::Relaxed)).sum()
    }
}
