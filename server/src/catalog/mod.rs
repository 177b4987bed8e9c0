//! Catalog zones (RFC 9432): zones that list the zones which a secondary is to serve.
//!
//! * `read`: what a version of a catalog zone says, as a [`Catalog`].
//! * `members`: which of several catalogs a member belongs to, and the [`MemberChange`]s from one version of a catalog to
//!   the next.
//!
//! Nothing here knows how a member is served, and nothing runs: versions go in, changes come out.

mod members;
mod read;

pub use members::{MemberChange, Members, Step};
pub use read::{Broken, Finding, MAX_FINDINGS, Reading};

use std::net::IpAddr;

use rustc_hash::FxHashMap;
use zonefmt::Name;

use crate::access::Acl;

/// What a version of a catalog zone says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Catalog {
    properties: Properties,
    members: FxHashMap<Name, Member>,
}

/// A zone that a catalog lists.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Member {
    /// The unique label of the zone's node, in lower case (RFC 9432 4.1). Another label asks for a zone without a past.
    label: Box<[u8]>,
    /// The groups that the zone belongs to, in the order of their octets (RFC 9432 4.3.2).
    groups: Box<[Box<[u8]>]>,
    /// The catalog that may take the zone over (RFC 9432 4.3.1).
    coo: Option<Name>,
    /// The zone's own properties.
    properties: Option<Box<Properties>>,
}

/// How zones are to be got and served: BIND's properties, of a whole catalog or of a member.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Properties {
    /// The servers that have the zone (`primaries`).
    pub primaries: Option<Vec<Primary>>,
    /// The clients that may query the zone (`allow-query`).
    pub allow_query: Option<Acl>,
    /// The clients that may transfer the zone (`allow-transfer`).
    pub allow_transfer: Option<Acl>,
}

/// A server that has a member.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Primary {
    /// Its address.
    pub address: IpAddr,
    /// The name of the key that messages to it are signed with.
    pub key: Option<Name>,
}

impl Catalog {
    /// A member; `None` if the catalog does not list the zone.
    pub fn member(&self, zone: &Name) -> Option<&Member> {
        self.members.get(zone)
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl Member {
    /// The unique label of the zone's node, in lower case.
    pub fn label(&self) -> &[u8] {
        &self.label
    }

    /// The groups that the zone belongs to, in the order of their octets.
    pub fn groups(&self) -> impl Iterator<Item = &[u8]> {
        self.groups.iter().map(|group| &**group)
    }
}

impl Properties {
    /// These properties, and those of `around` in place of missing ones.
    #[must_use]
    pub fn within(&self, around: &Properties) -> Properties {
        Properties {
            primaries: self.primaries.as_ref().or(around.primaries.as_ref()).cloned(),
            allow_query: self.allow_query.as_ref().or(around.allow_query.as_ref()).cloned(),
            allow_transfer: self.allow_transfer.as_ref().or(around.allow_transfer.as_ref()).cloned(),
        }
    }
}
