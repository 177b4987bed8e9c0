//! Whether the zones that come from other servers have come once, so that a server that knows nothing yet is not asked.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::zones::{Snapshot, ZoneState};

/// What was there once. It only ever grows.
#[derive(Default)]
pub(super) struct Arrival {
    /// Since when it is known which zones there are to be.
    listed: OnceLock<Instant>,
    done: AtomicBool,
}

/// What has not come yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Missing {
    /// The version of a catalog that says which zones there are to be.
    Catalog,
    /// A zone.
    Zone,
}

/// How long zones may take. A server has the others, and is ready without those that take longer: they may never come.
const PATIENCE: Duration = Duration::from_secs(30);

impl Arrival {
    /// Records that it is known from now on which zones there are to be.
    pub(super) fn listed(&self) {
        // Once known, it stays known.
        let _ = self.listed.set(Instant::now());
    }

    /// What has not come yet of what is served; `None` from the first time on that everything has.
    pub(super) fn missing(&self, snapshot: &Snapshot, now: Instant) -> Option<Missing> {
        if self.done.load(Ordering::Relaxed) {
            return None;
        }
        let Some(&listed) = self.listed.get() else { return Some(Missing::Catalog) };
        let mut zones = snapshot.declared().map(|(_, zone)| zone);
        let is_awaited = now.saturating_duration_since(listed) < PATIENCE;
        if is_awaited && zones.any(|zone| zone.secondary.is_some() && matches!(zone.state, ZoneState::NotLoaded)) {
            return Some(Missing::Zone);
        }
        self.done.store(true, Ordering::Relaxed);
        None
    }
}

impl Missing {
    /// Why the server is not ready, in some words.
    pub(super) fn why(self) -> &'static str {
        match self {
            Missing::Catalog => "a catalog zone has not come from its primaries yet",
            Missing::Zone => "secondary zones have not come from their primaries yet",
        }
    }
}
