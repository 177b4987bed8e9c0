//! What can be seen of the server from outside: counters, and who asks for them.
//!
//! * `table`: what is counted, and how each output calls it; `counters`: counting, on the way of each answer;
//!   `zone`: the counters of one zone.
//! * `report`: all of it at one moment; `json`, `xml`, `file`, `metrics`: the same report in each of the forms that it is
//!   read in: BIND's JSON v1, XML v3 and statistics file, and OpenMetrics.
//! * `http`: `statistics-channels`, where they are asked for.

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
pub(crate) use counters::Event;
pub use http::{Channels, Listener};
pub use zone::ZoneCounters;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI64, Ordering},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::{listen::Connections, zones::Published};
use counters::Blocks;
use report::Report;

/// What is known of a server from its start to its end.
pub struct Statistics {
    blocks: Arc<Blocks>,
    started: Timestamp,
    /// When the configuration was last read, in milliseconds since 1970.
    configured: AtomicI64,
    /// What was read then, as a hash.
    hash: ArcSwap<String>,
    /// Set once every zone was tried.
    served: OnceLock<Served>,
}

/// What a server answers from, and to whom.
struct Served {
    published: Arc<Published>,
    connections: Connections,
}

impl Statistics {
    /// Of a server that starts now.
    pub fn new() -> Arc<Statistics> {
        let started = Timestamp::now();
        let configured = AtomicI64::new(started.as_millisecond());
        let (blocks, hash) = (Arc::default(), ArcSwap::default());
        Arc::new(Statistics { blocks, started, configured, hash, served: OnceLock::new() })
    }

    /// Counters for one more worker.
    pub fn counters(&self) -> Counters {
        self.blocks.take()
    }

    /// The configuration with this hash was read just now.
    pub fn configured(&self, hash: &str) {
        self.hash.store(Arc::new(hash.to_owned()));
        self.configured.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
    }

    /// Every zone was tried: this is what is served from now on, and who is connected.
    pub fn serves(&self, published: &Arc<Published>, connections: Connections) {
        // It is told once, at the start.
        let _ = self.served.set(Served { published: Arc::clone(published), connections });
    }

    /// What `rndc stats` appends to the statistics file.
    pub fn dump(&self) -> String {
        file::write(&Report::of(self))
    }
}
