//! Statistics: the counters of the server, and the channels and formats in which they are read.
//!
//! * `table`: what is counted, and its name in each output; `counters`: counting, once per answer; `zone`: the counters
//!   of one zone.
//! * `report`: everything at one moment; `json`, `xml`, `file`, `metrics`: the same report in each output format:
//!   BIND's JSON v1, XML v3 and statistics file, and OpenMetrics.
//! * `http`: `statistics-channels`, the listener that serves them.

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
    atomic::{AtomicI64, Ordering},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::{listen::Connections, transfer::outbound::Slots, zones::Published};
use counters::Blocks;
use report::Report;

/// The statistics of a server over its whole life.
pub struct Statistics {
    blocks: Arc<Blocks>,
    started: Timestamp,
    /// When the configuration was last read, in milliseconds since 1970.
    configured: AtomicI64,
    /// The hash of that configuration.
    hash: ArcSwap<String>,
    /// Set once loading has been attempted for every zone.
    served: OnceLock<Served>,
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
        let (blocks, hash) = (Arc::default(), ArcSwap::default());
        Arc::new(Statistics { blocks, started, configured, hash, served: OnceLock::new() })
    }

    /// Returns counters for one more worker.
    pub fn counters(&self) -> Counters {
        self.blocks.take()
    }

    /// Records that the configuration with this hash was read just now.
    pub fn configured(&self, hash: &str) {
        self.hash.store(Arc::new(hash.to_owned()));
        self.configured.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
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
