//! The `status` that Bindy reports for each kind. Conditions are those of Kubernetes (metav1): `Ready`, `Reconciling`
//! and `Stalled`, as kstatus reads them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The octets of the longest `spec` that a status has.
pub const MOST_IN_FORCE: usize = 262_144;
/// The characters of the longest message of a condition.
pub const MOST_MESSAGE: usize = 32_768;
/// The characters of the longest list of addresses.
pub const MOST_ADDRESSES: usize = 4096;
/// The most instances that a status names.
pub const MOST_INSTANCES: usize = 200;

/// A condition, as in metav1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "Condition"))]
pub struct Condition {
    /// The type of the condition: `Ready`, `Reconciling`, `Stalled`, or one of the kind's own.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316), extend("x-example" = "Ready"))]
    pub kind: String,
    /// Whether the condition holds.
    pub status: ConditionStatus,
    /// The generation of `spec` that the condition is about.
    #[schemars(range(min = 0), extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// The time at which `status` last changed.
    #[schemars(extend("format" = "date-time"), extend("x-example" = "2026-11-21T06:00:00Z"))]
    pub last_transition_time: String,
    /// The reason for programs: one word of a documented list.
    #[serde(default)]
    #[schemars(length(max = 1024), extend("x-example" = "CnameConflict"))]
    pub reason: String,
    /// The reason for people, and what to do.
    #[serde(default)]
    #[schemars(length(max = MOST_MESSAGE), extend("x-example" = "www.example.com. has A from ARecord dns/www, which is older, and a CNAME allows no other data; remove one of them"))]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // The values are Kubernetes' own.
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// A reference to a related resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// The API version of the resource.
    #[schemars(length(max = 317), extend("x-example" = "bindy.firestoned.io/v1beta1"))]
    pub api_version: String,
    /// The kind of the resource.
    #[schemars(length(max = 63), extend("x-example" = "DNSZone"))]
    pub kind: String,
    /// The name of the resource.
    #[schemars(length(max = 253), extend("x-example" = "example-com"))]
    pub name: String,
    /// The namespace of the resource; absent if it belongs to the whole cluster.
    #[schemars(length(max = 63), extend("x-example" = "dns"))]
    pub namespace: Option<String>,
    /// The name of the zone, if the resource is a zone.
    #[schemars(length(max = 1004), extend("x-example" = "example.com"))]
    pub zone_name: Option<String>,
}

/// The `status` of a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordStatus {
    /// The current conditions of the record.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of `spec` that this status is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// The former `spec` of this resource that is in force while the newest one cannot be used, in JSON; absent
    /// if that is more than 262,144 bytes.
    #[schemars(length(max = MOST_IN_FORCE), extend("x-example" = "{…}"))]
    pub in_force: Option<String>,
    /// The zone that serves the record.
    pub zone_ref: Option<ObjectRef>,
    /// The name under which the record is served.
    #[schemars(length(max = 1004), extend("x-example" = "www.example.com."))]
    pub published_name: Option<String>,
    /// The addresses of an ARecord or AAAARecord, separated by commas, for listings; `…` stands for further ones.
    #[schemars(length(max = MOST_ADDRESSES), extend("x-example" = "192.0.2.10,192.0.2.11"))]
    pub addresses: Option<String>,
}

/// The `status` of a `DNSZone`. Its size does not grow with the number of records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ZoneStatus {
    /// The current conditions of the zone.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of `spec` that this status is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// The former `spec` of this resource that is in force while the newest one cannot be used, in JSON; absent
    /// if that is more than 262,144 bytes.
    #[schemars(length(max = MOST_IN_FORCE), extend("x-example" = "{…}"))]
    pub in_force: Option<String>,
    /// The published serial.
    #[schemars(extend("x-unit" = "serial (RFC 1982)"), extend("x-example" = 2_026_112_101))]
    pub serial: Option<u32>,
    /// The hash of the published content without the serial.
    #[schemars(length(max = 64), extend("x-example" = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"))]
    pub content_hash: Option<String>,
    /// The last of the serials that clients' changes may have by now, while these come faster than they are told here.
    #[schemars(extend("x-unit" = "serial (RFC 1982)"), extend("x-example" = 2_026_112_357))]
    pub reserved_serial: Option<u32>,
    /// The number of record resources that belong to the zone, also of those that cannot be served: their own status says so.
    #[schemars(extend("x-unit" = "resources"), extend("x-example" = 17))]
    pub records_count: Option<u32>,
    /// The number of instances that serve the zone.
    #[schemars(extend("x-unit" = "instances"), extend("x-example" = 3))]
    #[serde(rename = "bind9InstancesCount")]
    pub bind9_instances_count: Option<u32>,
    /// The instances that serve the zone. If it names a cluster that is not there, it stays on these.
    #[serde(default)]
    #[schemars(length(max = MOST_INSTANCES))]
    #[serde(rename = "bind9Instances")]
    pub bind9_instances: Vec<ObjectRef>,
    /// The number of instances that serve the published serial, for listings.
    #[schemars(length(max = 16), extend("x-example" = "3/3"))]
    pub servers: Option<String>,
    /// What a parent zone needs to know about the zone's signatures.
    pub dnssec: Option<DnssecStatus>,
}

/// The state of a zone's signing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnssecStatus {
    /// Whether the zone is signed.
    pub signed: bool,
    /// The DS records to publish in the parent zone.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 512)), extend("x-example" = ["example.com. IN DS 60485 13 2 D4B7…"]))]
    pub ds_records: Vec<String>,
    /// The tag of the key-signing key.
    #[schemars(range(max = 65535), extend("x-unit" = "tag (RFC 4034 B)"), extend("x-example" = 60485))]
    pub key_tag: Option<u32>,
    /// The algorithm of the keys.
    #[schemars(length(max = 32), extend("x-example" = "ECDSAP256SHA256"))]
    pub algorithm: Option<String>,
    /// The time of the next key rollover.
    #[schemars(length(max = 64), extend("x-example" = "2027-02-19T06:00:00Z"))]
    pub next_key_rollover: Option<String>,
    /// The time of the last key rollover.
    #[schemars(length(max = 64), extend("x-example" = "2026-11-21T06:00:00Z"))]
    pub last_key_rollover: Option<String>,
}

/// The `status` of a `Bind9Cluster` or a `ClusterBind9Provider`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The current conditions of the cluster.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of `spec` that this status is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// The former `spec` of this resource that is in force while the newest one cannot be used, in JSON; absent
    /// if that is more than 262,144 bytes.
    #[schemars(length(max = MOST_IN_FORCE), extend("x-example" = "{…}"))]
    pub in_force: Option<String>,
    /// The number of instances.
    #[schemars(extend("x-unit" = "instances"), extend("x-example" = 3))]
    pub instance_count: Option<u32>,
    /// The number of instances that are ready.
    #[schemars(extend("x-unit" = "instances"), extend("x-example" = 3))]
    pub ready_instances: Option<u32>,
    /// The names of the instances.
    #[serde(default)]
    #[schemars(length(max = MOST_INSTANCES), inner(length(max = 253)), extend("x-example" = ["production-dns-primary-0"]))]
    pub instances: Vec<String>,
    /// The age of the key by which the servers get their zones.
    pub transfer_key_rotation: Option<KeyRotationStatus>,
}

/// The `status` of a `Bind9Instance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// The current conditions of the instance.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of `spec` that this status is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 3))]
    pub observed_generation: Option<i64>,
    /// The former `spec` of this resource that is in force while the newest one cannot be used, in JSON; absent
    /// if that is more than 262,144 bytes.
    #[schemars(length(max = MOST_IN_FORCE), extend("x-example" = "{…}"))]
    pub in_force: Option<String>,
    /// The generation of the cluster's `spec` that this status is about.
    #[schemars(extend("x-unit" = "generation"), extend("x-example" = 7))]
    pub observed_parent_generation: Option<i64>,
    /// The number of pods.
    #[schemars(extend("x-unit" = "pods"), extend("x-example" = 1))]
    pub replicas: Option<u32>,
    /// The selector of the pods, in the form of `kubectl --selector`.
    #[schemars(length(max = 1024), extend("x-example" = "app.kubernetes.io/part-of=bindy,instance=production-dns-primary-0"))]
    pub selector: Option<String>,
    /// The address of the server's Service: that of its load balancer, or without one that within the cluster.
    #[schemars(length(max = 253), extend("x-example" = "192.0.2.53"))]
    pub service_address: Option<String>,
    /// The cluster that the instance belongs to.
    pub cluster_ref: Option<ObjectRef>,
    /// The number of zones that the instance serves.
    #[schemars(extend("x-unit" = "zones"), extend("x-example" = 12))]
    pub zones_count: Option<u32>,
    /// The serial of the catalog that lists these zones, when many of them were last free to go. The annotation
    /// `bindy.firestoned.io/allow-large-removal` allows by it what is held (`LargeRemovalHeld`).
    #[schemars(extend("x-unit" = "serial (RFC 1982)"), extend("x-example" = 1_795_362_331))]
    pub catalog_serial: Option<u32>,
    /// The age of the instance's RNDC key.
    pub rndc_key_rotation: Option<KeyRotationStatus>,
    /// The same, under the name that former documents have.
    pub rndc_key_rotation_status: Option<KeyRotationStatus>,
    /// The age of the key by which a server on its own gets its zones.
    pub transfer_key_rotation: Option<KeyRotationStatus>,
    /// The name of the key by which all pods get their zones, as was seen last when they all had the same one.
    #[schemars(length(max = 255), extend("x-example" = "dns-system.production-dns.1"))]
    pub transfer_key: Option<String>,
}

/// The age of a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotationStatus {
    /// The time since which the key is used.
    #[schemars(length(max = 64), extend("x-example" = "2026-11-21T06:00:00Z"))]
    pub created_at: String,
    /// The time at which the key will be replaced.
    #[schemars(length(max = 64), extend("x-example" = "2026-12-21T06:00:00Z"))]
    pub rotate_at: Option<String>,
    /// The time at which the key was last replaced.
    #[schemars(length(max = 64), extend("x-example" = "2026-11-21T06:00:00Z"))]
    pub last_rotated_at: Option<String>,
    /// The time at which a key was last revoked.
    #[schemars(length(max = 64), extend("x-example" = "2026-11-21T06:00:00Z"))]
    pub last_revoked_at: Option<String>,
    /// The algorithm of the key.
    #[schemars(length(max = 64), extend("x-example" = "hmac-sha256"))]
    pub algorithm: Option<String>,
    /// How often the key has been replaced.
    #[serde(default)]
    #[schemars(extend("x-unit" = "times"), extend("x-example" = 0))]
    pub rotation_count: u32,
}
