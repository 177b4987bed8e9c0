//! Statistics: the counters of the server, and the channels and formats in which they are read.
//!
//! * `table`: what is counted, and its name in each output; `counters`: counting, once per answer; `zone`: the counters
//!   of one zone.
//! * `report`: everything at one moment; `json`, `xml`, `file`, `metrics`: the same report in each output format:
//!   BIND's JSON v1, XML v3 and statistics file, and OpenMetrics.
//! * `arrival`: whether zones have come from other servers, without which the server is not ready.
//! * `http`: `statistics-channels`, the listener that serves them.

mod arrival;
mod counters;
mod file;
mod http;
mod json;
mod metrics;
mod report;
mod table;
mod xml;
mod zone;

pub use counters::Counters;
pub(crate) use counters::{Event, Received, Sent};
pub use http::{Channels, Listener};
pub(crate) use table::Stat;
pub use zone::ZoneCounters;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::{listen::Connections, transfer::outbound::Slots, zones::Published};
use arrival::Arrival;
use counters::Blocks;
use report::Report;

/// The statistics of a server over its whole life.
pub struct Statistics {
    blocks: Arc<Blocks>,
    started: Timestamp,
    /// When the configuration was last read, in milliseconds since 1970.
    configured: AtomicI64,
    /// Which configuration is in effect.
    configuration: ArcSwap<Configuration>,
    /// Whether the server is about to end.
    leaving: AtomicBool,
    /// What has come from other servers.
    arrival: Arrival,
    /// Set once loading has been attempted for every zone.
    served: OnceLock<Served>,
}

/// Which configuration is in effect, and what became of a later one.
#[derive(Clone, Default, Debug)]
pub(crate) struct Configuration {
    /// The SHA-256 of named.conf and the files that it includes, in hexadecimal.
    pub(crate) hash: String,
    /// That of named.conf alone.
    pub(crate) file_hash: String,
    /// The later one that cannot be used.
    pub(crate) refused: Option<Refused>,
}

/// A configuration that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    /// The SHA-256 of named.conf; `None` if that cannot be read.
    pub(crate) file_hash: Option<String>,
    /// What is wrong, in one line.
    pub(crate) why: String,
}

/// What a server answers from, its TCP connections and its transfers.
struct Served {
    published: Arc<Published>,
    connections: Connections,
    transfers: Slots,
}

impl Statistics {
    /// Makes the statistics of a server that starts now.
    pub fn new() -> Arc<Statistics> {
        let started = Timestamp::now();
        let configured = AtomicI64::new(started.as_millisecond());
        let (blocks, configuration) = (Arc::default(), ArcSwap::default());
        let leaving = AtomicBool::new(false);
        let (arrival, served) = (Arrival::default(), OnceLock::new());
        Arc::new(Statistics { blocks, started, configured, configuration, leaving, arrival, served })
    }

    /// Returns counters for one more worker.
    pub fn counters(&self) -> Counters {
        self.blocks.take()
    }

    /// Records that the configuration with these hashes is in effect from now on: that of named.conf with the files that
    /// it includes, and that of named.conf alone.
    pub fn configured(&self, hash: &str, file_hash: &str) {
        let (hash, file_hash) = (hash.to_owned(), file_hash.to_owned());
        self.configuration.store(Arc::new(Configuration { hash, file_hash, refused: None }));
        self.configured.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
    }

    /// Records that a configuration was read just now that cannot be used.
    pub(crate) fn refused(&self, refused: &Refused) {
        self.configuration.rcu(|now| Configuration { refused: Some(refused.clone()), ..Configuration::clone(now) });
    }

    /// Whether the configuration that was read last cannot be used.
    pub(crate) fn is_refused(&self) -> bool {
        self.configuration.load().refused.is_some()
    }

    /// Records that the server is about to end, so that it is no longer ready.
    pub(crate) fn leaves(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Records that every catalog was read once, so that it is known which zones there are to be.
    pub(crate) fn knows_members(&self) {
        self.arrival.listed();
    }

    /// Records that loading has been attempted for every zone, so that the server is ready, and where to read the zones
    /// TCP connections and transfers from.
    pub fn serves(&self, published: &Arc<Published>, connections: Connections, transfers: Slots) {
        // Called once, at the start; a second call changes nothing.
        let _ = self.served.set(Served { published: Arc::clone(published), connections, transfers });
    }

    /// The text that `rndc stats` appends to the statistics file.
    pub fn dump(&self) -> String {
        file::write(&Report::of(self))
    }
}
