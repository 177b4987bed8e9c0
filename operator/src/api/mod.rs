//! The resources of `bindy.firestoned.io/v1beta1`, as people write them.
//!
//! `zone` and `records` hold the `spec` of each kind, field for field; `selector` is how a zone picks records.
//! Every record kind comes down to one [`RecordSet`], so nothing past this module knows how many kinds there are.

mod records;
mod selector;
mod zone;

pub use records::{Field, FieldError, Rdata, RecordKind, RecordSet, absolute};
pub use selector::{LabelSelector, Operator, RecordSource, Requirement};
pub use zone::{DnsZoneSpec, NameServer, SoaRecord};

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::DeserializeSeed};

/// The API group of every resource here.
pub const GROUP: &str = "bindy.firestoned.io";
/// The one version of [`GROUP`] that is read.
pub const VERSION: &str = "v1beta1";
/// What a TTL may be at most, in seconds: 2³¹ − 1 (RFC 2181 8).
pub const MAX_TTL: u32 = 0x7fff_ffff;
/// The TTL in seconds of a record for which neither the record nor its zone names one.
pub const DEFAULT_TTL: u32 = 300;

/// A resource with what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Which one it is.
    pub id: ResourceId,
    /// What selectors look at.
    pub labels: BTreeMap<String, String>,
    /// When the cluster created it; `None` for one that never was in a cluster.
    pub created: Option<Timestamp>,
    /// What it asks for.
    pub spec: Spec,
}

/// What a resource asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// A zone.
    Zone(Box<DnsZoneSpec>),
    /// Records of one type at one name.
    Record(RecordSet),
}

/// What tells one resource from every other; its order decides between resources of one age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// The namespace; resources of different namespaces never meet.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The kind.
    pub kind: Kind,
}

/// The kinds that become DNS data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `DNSZone`.
    Zone,
    /// One of the record kinds.
    Record(RecordKind),
}

/// The part of `metadata` that has a meaning here; the rest is the cluster's business.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Unique in its namespace and kind.
    pub name: String,
    /// `default` if absent, as kubectl has it.
    pub namespace: Option<String>,
    /// What selectors look at.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Set by the cluster.
    pub creation_timestamp: Option<Timestamp>,
}

impl Kind {
    /// The kind of that name, if it is one that becomes DNS data.
    pub fn from_name(name: &str) -> Option<Kind> {
        match name {
            "DNSZone" => Some(Kind::Zone),
            _ => RecordKind::from_name(name).map(Kind::Record),
        }
    }

    /// Its name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Zone => "DNSZone",
            Kind::Record(kind) => kind.name(),
        }
    }
}

/// A kind reads its `spec`.
impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Spec;

    fn deserialize<D: Deserializer<'de>>(self, spec: D) -> Result<Spec, D::Error> {
        match self {
            Kind::Zone => DnsZoneSpec::deserialize(spec).map(Box::new).map(Spec::Zone),
            Kind::Record(kind) => kind.read(spec).map(Spec::Record),
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}
