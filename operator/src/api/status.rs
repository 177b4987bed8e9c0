//! What Bindy reports of each kind under `status`. Conditions are those of Kubernetes (metav1): `Ready`, `Reconciling`
//! and `Stalled`, as kstatus reads them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One condition, as metav1 has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "Condition"))]
pub struct Condition {
    /// What it is about: `Ready`, `Reconciling`, `Stalled`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316), extend("x-example" = "Ready"))]
    pub kind: String,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// The generation that it is about.
    #[schemars(range(min = 0), extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// Since when it is so.
    #[schemars(extend("format" = "date-time"), extend("x-example" = "2026-11-21T06:00:00Z"))]
    pub last_transition_time: String,
    /// Why, for programs: one word of a documented list.
    #[serde(default)]
    #[schemars(length(max = 1024), extend("x-example" = "Served"))]
    pub reason: String,
    /// Why, for people, and what to do.
    #[serde(default)]
    #[schemars(length(max = 32_768), extend("x-example" = "served by 3 of 3 servers under serial 2026112101"))]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' words.
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// A resource that another one belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its API version.
    #[schemars(length(max = 317), extend("x-example" = "bindy.firestoned.io/v1beta1"))]
    pub api_version: String,
    /// Its kind.
    #[schemars(length(max = 63), extend("x-example" = "DNSZone"))]
    pub kind: String,
    /// Its name.
    #[schemars(length(max = 253), extend("x-example" = "example-com"))]
    pub name: String,
    /// Its namespace; none for a resource of the whole cluster.
    #[schemars(length(max = 63), extend("x-example" = "dns"))]
    pub namespace: Option<String>,
    /// The zone's name, if it is a zone.
    #[schemars(length(max = 1004), extend("x-example" = "example.com"))]
    pub zone_name: Option<String>,
}

/// `status` of a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordStatus {
    /// How it stands.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of `spec` that this is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// The zone that serves it.
    pub zone_ref: Option<ObjectRef>,
    /// The name under which it is served.
    #[schemars(length(max = 1004), extend("x-example" = "www.example.com."))]
    pub published_name: Option<String>,
    /// Addresses with commas between them, for listings.
    #[schemars(length(max = 4096), extend("x-example" = "192.0.2.10,192.0.2.11"))]
    pub addresses: Option<String>,
}

/// `status` of a `DNSZone`. Its size does not grow with the number of records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ZoneStatus {
    /// How it stands.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of `spec` that this is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// The serial that is published.
    #[schemars(extend("x-unit" = "serial (RFC 1982)"), extend("x-example" = 2_026_112_101))]
    pub serial: Option<u32>,
    /// A hash of what is published, the serial apart.
    #[schemars(length(max = 64), extend("x-example" = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"))]
    pub content_hash: Option<String>,
    /// How many record resources it serves.
    #[schemars(extend("x-unit" = "resources"), extend("x-example" = 17))]
    pub records_count: Option<u32>,
    /// How many instances it has.
    #[schemars(extend("x-unit" = "instances"), extend("x-example" = 3))]
    #[serde(rename = "bind9InstancesCount")]
    pub bind9_instances_count: Option<u32>,
    /// How many of them serve the published serial, for listings.
    #[schemars(length(max = 16), extend("x-example" = "3/3"))]
    pub servers: Option<String>,
    /// What a parent zone needs to know of its signatures.
    pub dnssec: Option<DnssecStatus>,
}

/// How a zone is signed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnssecStatus {
    /// Whether it is signed.
    pub signed: bool,
    /// The DS records to publish in the parent zone.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 512)), extend("x-example" = ["example.com. IN DS 60485 13 2 D4B7…"]))]
    pub ds_records: Vec<String>,
    /// The key-signing key's tag.
    #[schemars(range(max = 65535), extend("x-unit" = "tag (RFC 4034 B)"), extend("x-example" = 60485))]
    pub key_tag: Option<u32>,
    /// The keys' algorithm.
    #[schemars(length(max = 32), extend("x-example" = "ECDSAP256SHA256"))]
    pub algorithm: Option<String>,
    /// When keys change next.
    #[schemars(length(max = 64), extend("x-example" = "2027-02-19T06:00:00Z"))]
    pub next_key_rollover: Option<String>,
    /// When keys changed last.
    #[schemars(length(max = 64), extend("x-example" = "2026-11-21T06:00:00Z"))]
    pub last_key_rollover: Option<String>,
}

/// `status` of a `Bind9Cluster` or a `ClusterBind9Provider`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// How it stands.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of `spec` that this is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// How many instances it has.
    #[schemars(extend("x-unit" = "instances"), extend("x-example" = 3))]
    pub instance_count: Option<u32>,
    /// How many of them are ready.
    #[schemars(extend("x-unit" = "instances"), extend("x-example" = 3))]
    pub ready_instances: Option<u32>,
    /// Their names.
    #[serde(default)]
    #[schemars(length(max = 200), inner(length(max = 253)), extend("x-example" = ["production-dns-primary-0"]))]
    pub instances: Vec<String>,
}

/// `status` of a `Bind9Instance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// How it stands.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of `spec` that this is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// The generation of the cluster's `spec` that this is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 7))]
    pub observed_parent_generation: Option<i64>,
    /// How many pods there are.
    #[schemars(extend("x-unit" = "pods"), extend("x-example" = 1))]
    pub replicas: Option<u32>,
    /// The selector of its pods, in the form of `kubectl --selector`.
    #[schemars(length(max = 1024), extend("x-example" = "app=bind9,instance=production-dns-primary-0"))]
    pub selector: Option<String>,
    /// Where it is reached from outside.
    #[schemars(length(max = 253), extend("x-example" = "192.0.2.53"))]
    pub service_address: Option<String>,
    /// The cluster that it belongs to.
    pub cluster_ref: Option<ObjectRef>,
    /// How many zones it serves.
    #[schemars(extend("x-unit" = "zones"), extend("x-example" = 12))]
    pub zones_count: Option<u32>,
    /// The age of its RNDC key.
    pub rndc_key_rotation: Option<KeyRotationStatus>,
}

/// The age of an RNDC key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotationStatus {
    /// When it was made.
    #[schemars(length(max = 64), extend("x-example" = "2026-11-21T06:00:00Z"))]
    pub created_at: String,
    /// When it is replaced.
    #[schemars(length(max = 64), extend("x-example" = "2026-12-21T06:00:00Z"))]
    pub rotate_at: Option<String>,
    /// When it was replaced last.
    #[schemars(length(max = 64), extend("x-example" = "2026-11-21T06:00:00Z"))]
    pub last_rotated_at: Option<String>,
    /// How often it was replaced.
    #[serde(default)]
    #[schemars(extend("x-unit" = "times"), extend("x-example" = 0))]
    pub rotation_count: u32,
}
