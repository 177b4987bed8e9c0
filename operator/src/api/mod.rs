//! The resources of `bindy.firestoned.io/v1beta1`, as users write them.
//!
//! `zone`, `records`, `cluster` and `instance` have the `spec` of each kind, field for field; `dynamic` has what clients
//! may write, and have written. Everything else that
//! knows fields is derived from these types: `schema` makes schemas of them, `crd` the CustomResourceDefinitions, and
//! `reference` the documentation, and `admission` refuses what they do not allow. `spelling` knows former spellings.
//! Every record kind becomes a [`RecordSet`], so nothing outside this module depends on how many kinds there are.

mod admission;
pub mod cluster;
pub mod config;
mod crd;
mod data;
mod dynamic;
pub mod embedded;
pub mod instance;
pub mod keys;
mod record_set;
mod records;
mod reference;
mod schema;
mod selector;
mod spelling;
pub mod spread;
pub mod status;
mod zone;

pub(crate) use admission::remove_nulls;
pub use admission::{metadata_refusals, refusals, refusals_as_written, refusals_of_change};
pub use cluster::ClusterSpec;
pub use config::Bind9Config;
pub use crd::{crd, files as crd_files};
pub use data::{DataField, Form};
pub use dynamic::{Dynamic, DynamicRecordsSpec, DynamicRule, KeyRef, NameMatch, dynamic_records_crd};
pub use instance::{InstanceSpec, Role};
pub use record_set::{Field, FieldError, Rdata, RecordSet, absolute};
pub use records::{RecordKind, RecordType};
pub use reference::reference;
pub use schema::{bounds, ineffective_fields, spec as spec_schema, unknown_fields};
pub use selector::{LabelSelector, Operator, RecordSource, Requirement};
pub use spelling::{Moves, Note, has_former, modernize};
pub use zone::{DnsZoneSpec, NameServer, SoaRecord};

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeSeed};
use serde_json::Value;

use crd::Column;

/// The API group of every resource here.
pub const GROUP: &str = "bindy.firestoned.io";
/// The only version of [`GROUP`] that is read.
pub const VERSION: &str = "v1beta1";
/// The largest TTL in seconds: 2³¹ − 1 (RFC 2181 8).
pub const MAX_TTL: u32 = 0x7fff_ffff;
/// The TTL in seconds of a record if neither the record nor its zone gives one.
pub const DEFAULT_TTL: u32 = 300;

/// A resource that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// The identity of the resource.
    pub id: ResourceId,
    /// The labels, which selectors compare.
    pub labels: BTreeMap<String, String>,
    /// The annotations that are Bindy's.
    pub annotations: BTreeMap<String, String>,
    /// The time at which the cluster created the resource; `None` if it was never in a cluster.
    pub created: Option<Timestamp>,
    /// The `spec` of the resource.
    pub spec: Spec,
}

/// The `spec` of a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// A zone.
    Zone(Box<DnsZoneSpec>),
    /// Records of one type at one name.
    Record(RecordSet),
    /// Servers.
    Infrastructure(Infrastructure),
}

/// The `spec` of a resource that declares servers.
#[derive(Clone, Debug, PartialEq)]
pub enum Infrastructure {
    /// A cluster for all namespaces.
    Provider(Box<ClusterSpec>),
    /// A cluster.
    Cluster(Box<ClusterSpec>),
    /// One server.
    Instance(Box<InstanceSpec>),
}

/// The identity of a resource. Its order decides between resources of the same age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// The namespace; empty for a kind without namespaces.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The kind.
    pub kind: Kind,
}

/// The kinds of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `DNSZone`.
    Zone,
    /// One of the record kinds.
    Record(RecordKind),
    /// One of the kinds that declare servers.
    Infrastructure(InfrastructureKind),
}

/// The kinds that declare servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InfrastructureKind {
    /// `ClusterBind9Provider`, the only kind without a namespace.
    Provider,
    /// `Bind9Cluster`.
    Cluster,
    /// `Bind9Instance`.
    Instance,
}

/// The part of `metadata` that is used here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The name, unique for its kind in its namespace.
    pub name: String,
    /// The namespace; `default` if absent, as with kubectl.
    pub namespace: Option<String>,
    /// The labels, which selectors compare.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The time of creation, set by the cluster.
    pub creation_timestamp: Option<Timestamp>,
}

impl InfrastructureKind {
    /// All these kinds, those with the widest scope first.
    pub const ALL: &[InfrastructureKind] =
        &[InfrastructureKind::Provider, InfrastructureKind::Cluster, InfrastructureKind::Instance];

    /// The name of the kind in manifests.
    pub fn name(self) -> &'static str {
        match self {
            InfrastructureKind::Provider => "ClusterBind9Provider",
            InfrastructureKind::Cluster => "Bind9Cluster",
            InfrastructureKind::Instance => "Bind9Instance",
        }
    }
}

impl Kind {
    /// `ClusterBind9Provider`.
    pub const PROVIDER: Kind = Kind::Infrastructure(InfrastructureKind::Provider);
    /// `Bind9Cluster`.
    pub const CLUSTER: Kind = Kind::Infrastructure(InfrastructureKind::Cluster);
    /// `Bind9Instance`.
    pub const INSTANCE: Kind = Kind::Infrastructure(InfrastructureKind::Instance);

    /// All kinds, those that declare servers first.
    pub fn all() -> impl Iterator<Item = Kind> {
        let infrastructure = InfrastructureKind::ALL.iter().copied().map(Kind::Infrastructure);
        infrastructure.chain([Kind::Zone]).chain(RecordKind::ALL.iter().copied().map(Kind::Record))
    }

    /// The kind with that name, if there is one.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::all().find(|kind| kind.name() == name)
    }

    /// The name of the kind in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Zone => "DNSZone",
            Kind::Record(kind) => kind.name(),
            Kind::Infrastructure(kind) => kind.name(),
        }
    }

    /// The name of the kind in paths of the API: lower case, plural.
    pub fn plural(self) -> String {
        format!("{}s", self.name().to_ascii_lowercase())
    }

    /// Whether resources of the kind have a namespace.
    pub fn is_namespaced(self) -> bool {
        self != Kind::PROVIDER
    }

    /// Whether `kubectl scale` works on resources of the kind.
    fn is_scalable(self) -> bool {
        self == Kind::INSTANCE
    }

    /// The short names that kubectl accepts for the kind.
    fn short_names(self) -> Vec<&'static str> {
        match self {
            Kind::Zone => vec!["zone", "zones", "dz", "dzs"],
            Kind::Record(kind) => vec![kind.short_name()],
            Kind::PROVIDER => vec!["cb9p", "cb9ps"],
            Kind::CLUSTER => vec!["b9c", "b9cs"],
            Kind::INSTANCE => vec!["b9", "b9s"],
        }
    }

    /// The columns of listings, and the additional ones of wide listings. Readiness and age are added to all kinds.
    fn columns(self) -> (Vec<Column>, Vec<Column>) {
        let column = |name, path, kind| Column { name, path, kind };
        match self {
            Kind::Zone => (
                vec![
                    column("Zone", ".spec.zoneName", "string"),
                    column("Serial", ".status.serial", "integer"),
                    column("Records", ".status.recordsCount", "integer"),
                    column("Servers", ".status.servers", "string"),
                ],
                vec![
                    column("Cluster", ".spec.clusterRef", "string"),
                    column("Provider", ".spec.clusterProviderRef", "string"),
                    column("TTL", ".spec.ttl", "integer"),
                    column("Signed", ".status.dnssec.signed", "boolean"),
                ],
            ),
            Kind::Record(kind) => {
                let first =
                    [column("Name", ".spec.name", "string"), column("Zone", ".status.zoneRef.zoneName", "string")];
                let own = kind.columns().iter().copied();
                let ttl = column("TTL", ".spec.ttl", "integer");
                (first.into_iter().chain(own).chain([ttl]).collect(), Vec::new())
            }
            Kind::INSTANCE => (
                vec![
                    column("Cluster", ".spec.clusterRef", "string"),
                    column("Role", ".spec.role", "string"),
                    column("Replicas", ".status.replicas", "integer"),
                    column("Zones", ".status.zonesCount", "integer"),
                ],
                vec![column("Address", ".status.serviceAddress", "string")],
            ),
            Kind::PROVIDER | Kind::CLUSTER => (
                vec![
                    column("Primary", ".spec.primary.replicas", "integer"),
                    column("Secondary", ".spec.secondary.replicas", "integer"),
                    column("Instances", ".status.instanceCount", "integer"),
                    column("Available", ".status.readyInstances", "integer"),
                ],
                Vec::new(),
            ),
        }
    }

    fn spec_schema(self) -> Value {
        match self {
            Kind::Zone => schema::of::<DnsZoneSpec>(),
            Kind::Record(kind) => kind.schema(),
            Kind::INSTANCE => schema::of::<InstanceSpec>(),
            Kind::PROVIDER => schema::of::<ClusterSpec>(),
            Kind::CLUSTER => {
                let mut schema = schema::of::<ClusterSpec>();
                // The servers of a cluster run in the cluster's namespace.
                if let Some(Value::Object(properties)) = schema.get_mut("properties") {
                    properties.remove("namespace");
                }
                schema
            }
        }
    }

    fn status_schema(self) -> Value {
        match self {
            Kind::Zone => schema::of::<status::ZoneStatus>(),
            Kind::Record(_) => schema::of::<status::RecordStatus>(),
            Kind::INSTANCE => schema::of::<status::InstanceStatus>(),
            Kind::Infrastructure(_) => schema::of::<status::ClusterStatus>(),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Reads the `spec` of a resource of the kind.
impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Spec;

    fn deserialize<D: Deserializer<'de>>(self, spec: D) -> Result<Spec, D::Error> {
        match self {
            Kind::Zone => DnsZoneSpec::deserialize(spec).map(Box::new).map(Spec::Zone),
            Kind::Record(kind) => kind.read(spec).map(Spec::Record),
            Kind::Infrastructure(kind) => kind.read(spec).map(Spec::Infrastructure),
        }
    }
}

impl InfrastructureKind {
    fn read<'de, D: Deserializer<'de>>(self, spec: D) -> Result<Infrastructure, D::Error> {
        match self {
            InfrastructureKind::Provider => ClusterSpec::deserialize(spec).map(Box::new).map(Infrastructure::Provider),
            InfrastructureKind::Cluster => ClusterSpec::deserialize(spec).map(Box::new).map(Infrastructure::Cluster),
            InfrastructureKind::Instance => InstanceSpec::deserialize(spec).map(Box::new).map(Infrastructure::Instance),
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.name())?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}
