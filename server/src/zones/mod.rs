//! What is served: views of zones, and the one snapshot of it all that workers answer from.
//!
//! A [`Snapshot`] never changes; a change makes the next one, which shares all but a path of one map, and publishing swaps
//! the two ([`Published`]). It holds [`View`]s, the first of which that a client belongs to is the world that the client
//! sees; each has its zones in a [`ZoneMap`].

mod map;
mod publish;
mod view;

use std::sync::Arc;

use jiff::Timestamp;
use zonefmt::Name;

use crate::{
    settings::{ZoneSettings, ZoneStatistics},
    stats::ZoneCounters,
    zone::ZoneData,
};

pub use map::ZoneMap;
pub use publish::Published;
pub(crate) use view::Seen;
pub use view::{Membership, Snapshot, View};

/// A zone as it is served.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The name of its apex.
    pub origin: Name,
    /// How it is served; shared by all zones with the same settings.
    pub settings: Arc<ZoneSettings>,
    /// Its data, if it can be served.
    pub state: ZoneState,
    /// When its data was loaded.
    pub loaded: Option<Timestamp>,
    /// Where queries for it are counted, if they are.
    pub counters: Option<Arc<ZoneCounters>>,
}

/// Whether a zone has data to answer from.
#[derive(Clone, Debug)]
pub enum ZoneState {
    /// It should be here and is not: SERVFAIL, never another zone's answer.
    NotLoaded,
    /// It is served.
    Loaded(ZoneData),
    /// A secondary's copy that is too old to be served (RFC 1035 3.3.13, EXPIRE).
    Expired,
}

impl Zone {
    /// A zone whose data, if there is any, was loaded just now. It starts to count if its settings say so.
    pub fn new(origin: Name, settings: Arc<ZoneSettings>, state: ZoneState) -> Zone {
        let loaded = matches!(state, ZoneState::Loaded(_)).then(Timestamp::now);
        let counters = (settings.statistics == ZoneStatistics::Full).then(Arc::default);
        Zone { origin, settings, state, loaded, counters }
    }

    /// Takes the place of another: it goes on counting, and the same data was loaded when it was.
    #[must_use]
    pub fn after(mut self, before: Option<&Zone>) -> Zone {
        let Some(before) = before else { return self };
        if self.data().zip(before.data()).is_some_and(|(data, former)| data.is(former)) {
            self.loaded = before.loaded;
        }
        self.counters = self.counters.map(|new| before.counters.clone().unwrap_or(new));
        self
    }

    /// Its data, if it is served.
    pub fn data(&self) -> Option<&ZoneData> {
        match &self.state {
            ZoneState::Loaded(data) => Some(data),
            ZoneState::NotLoaded | ZoneState::Expired => None,
        }
    }
}

/// A change of what is served.
#[derive(Clone, Debug)]
pub enum ZoneChange {
    /// The zone is served, in place of the one of its origin if there is one.
    Put(Arc<Zone>),
    /// The zone of this origin is no longer served, if it was.
    Remove(Name),
}
