//! What is served: views of zones, and the one snapshot of it all that workers answer from.
//!
//! A [`Snapshot`] never changes; a change makes the next one, which shares all but a path of one map, and publishing swaps
//! the two ([`Published`]). It holds [`View`]s, the first of which that a client belongs to is the world that the client
//! sees; each has its zones in a [`ZoneMap`].

mod map;
mod publish;
mod view;

use std::sync::Arc;

use zonefmt::Name;

use crate::{settings::ZoneSettings, zone::ZoneData};

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
