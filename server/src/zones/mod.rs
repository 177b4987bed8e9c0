//! What is served: views of zones, in one snapshot that all workers answer from.
//!
//! A [`Snapshot`] never changes. A change makes the next snapshot, which shares all but one path of one map with the
//! old one, and publishing swaps the two ([`Published`]). A snapshot holds [`View`]s, each with its zones in a
//! [`ZoneMap`]; a client sees only the first view that it belongs to.

mod map;
mod publish;
mod view;

use std::{mem, sync::Arc};

use jiff::Timestamp;
use zonefmt::Name;

use crate::{
    live::Live,
    settings::{Secondary, ZoneSettings, ZoneStatistics},
    stats::ZoneCounters,
    zone::ZoneData,
};

pub use map::ZoneMap;
pub use publish::Published;
pub use view::{Membership, Snapshot, View};

/// A zone as it is served.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The name of the zone's apex.
    pub origin: Name,
    /// How the zone is served; shared by all zones with the same settings.
    pub settings: Arc<ZoneSettings>,
    /// The zone's data, if it can be served.
    pub state: ZoneState,
    /// When the zone's data was loaded.
    pub loaded: Option<Timestamp>,
    /// Where queries for the zone are counted, if they are.
    pub counters: Option<Arc<ZoneCounters>>,
    /// Who changes the zone while it is served, if it does.
    pub live: Option<Arc<Live>>,
    /// How the zone comes from its primaries, if it is a secondary one.
    pub secondary: Option<Arc<Secondary>>,
}

/// Whether a zone has data to answer from.
#[derive(Clone, Debug)]
pub enum ZoneState {
    /// The zone is configured but has no data: the answer is SERVFAIL, never from another zone.
    NotLoaded,
    /// The zone is served from this data.
    Loaded(ZoneData),
    /// A secondary's copy that is too old to be served (RFC 1035 3.3.13, EXPIRE).
    Expired,
}

impl Zone {
    /// Makes a zone whose data, if there is any, has just been loaded. It counts queries if its settings say so.
    pub fn new(origin: Name, settings: Arc<ZoneSettings>, state: ZoneState) -> Zone {
        let loaded = matches!(state, ZoneState::Loaded(_)).then(Timestamp::now);
        let counters = (settings.statistics == ZoneStatistics::Full).then(Arc::default);
        Zone { origin, settings, state, loaded, counters, live: None, secondary: None }
    }

    /// Takes over from the previous version of the zone: its counters, and its load time if the data is the same.
    #[must_use]
    pub fn after(mut self, before: Option<&Zone>) -> Zone {
        let Some(before) = before else { return self };
        if self.data().zip(before.data()).is_some_and(|(data, former)| data.is(former)) {
            self.loaded = before.loaded;
        }
        self.counters = self.counters.map(|new| before.counters.clone().unwrap_or(new));
        self
    }

    /// The zone with this owner, which changes it while it is served.
    #[must_use]
    pub fn owned_by(self, live: Option<Arc<Live>>) -> Zone {
        Zone { live, ..self }
    }

    /// The owner of a zone that is updated while it is served; `None` if only its file or its primaries change it.
    pub fn updater(&self) -> Option<&Arc<Live>> {
        self.live.as_ref().filter(|live| self.secondary.is_none() && !live.follows_file())
    }

    /// The zone as one that comes from primaries.
    #[must_use]
    pub fn coming_from(self, secondary: Option<Arc<Secondary>>) -> Zone {
        Zone { secondary, ..self }
    }

    /// The zone with another version of its data, or none.
    #[must_use]
    pub fn with_state(&self, state: ZoneState) -> Zone {
        let now = matches!(state, ZoneState::Loaded(_)).then(Timestamp::now);
        Zone { state, loaded: now.or(self.loaded), ..self.clone() }
    }

    /// This zone, or if another one of the same owner is in another state, this zone in that state.
    pub(crate) fn caught_up_with(self: &Arc<Zone>, newest: &Zone) -> Arc<Zone> {
        let same_owner = self.live.as_ref().zip(newest.live.as_ref()).is_some_and(|(one, two)| Arc::ptr_eq(one, two));
        if same_owner && !self.state.is(&newest.state) {
            Arc::new(Zone { state: newest.state.clone(), loaded: newest.loaded, ..Zone::clone(self) })
        } else {
            Arc::clone(self)
        }
    }

    /// The zone's data, if it is served.
    pub fn data(&self) -> Option<&ZoneData> {
        match &self.state {
            ZoneState::Loaded(data) => Some(data),
            ZoneState::NotLoaded | ZoneState::Expired => None,
        }
    }
}

impl ZoneState {
    /// Whether this is the same state, with the same version of the data.
    fn is(&self, other: &ZoneState) -> bool {
        match (self, other) {
            (ZoneState::Loaded(one), ZoneState::Loaded(other)) => one.is(other),
            (one, other) => mem::discriminant(one) == mem::discriminant(other),
        }
    }
}

/// A change to what is served.
#[derive(Clone, Debug)]
pub enum ZoneChange {
    /// Serves this zone, replacing the one with the same origin if there is one.
    Put(Arc<Zone>),
    /// Stops serving the zone of this origin, if it is served.
    Remove(Name),
}
