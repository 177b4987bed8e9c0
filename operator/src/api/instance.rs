//! `Bind9Instance`: one server.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cluster::{ConfigMapRefs, ImageConfig},
    config::{Bind9Config, BindcarConfig},
    embedded::{Volume, VolumeMount},
    keys::{RndcKeyConfig, RndcSecretRef},
    spread::PlacementConfig,
};

/// One server, alone or of a cluster. Those that a cluster makes are named after it, its role and a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.role == oldSelf.role || [self.role, oldSelf.role] in \
     [['primary', 'Primary'], ['Primary', 'primary'], ['secondary', 'Secondary'], ['Secondary', 'secondary']]"
)
    .message("role cannot change: create another Bind9Instance and delete this one"))]
pub struct InstanceSpec {
    /// The Bind9Cluster of its namespace, or else the ClusterBind9Provider, whose configuration it shares; empty for a
    /// server that stands alone.
    #[schemars(length(max = 253), extend("x-example" = "production-dns"))]
    pub cluster_ref: String,
    /// Whether the server is a primary or a secondary. It cannot be changed.
    pub role: Role,
    /// How many pods it has.
    #[schemars(range(max = 100), extend("x-unit" = "pods", "x-default" = "1"), extend("x-example" = 1))]
    pub replicas: Option<u32>,
    /// As `version` of the cluster, above it.
    #[schemars(length(min = 1, max = 128), extend("x-default" = "the cluster's"), extend("x-example" = "9.18"))]
    pub version: Option<String>,
    /// As `image` of the cluster, in its place.
    pub image: Option<ImageConfig>,
    /// As `configMapRefs` of the cluster, in their place.
    pub config_map_refs: Option<ConfigMapRefs>,
    /// Its configuration, above that of its role and of its cluster, field by field.
    pub config: Option<Bind9Config>,
    /// Addresses of the primaries that a secondary transfers from, in place of its cluster's.
    #[schemars(length(max = 64), inner(length(max = 253)), extend("x-example" = ["192.0.2.53"]))]
    pub primary_servers: Option<Vec<String>>,
    /// As `volumes` of the cluster, in their place.
    #[schemars(length(max = 32))]
    pub volumes: Option<Vec<Volume>>,
    /// As `volumeMounts` of the cluster, in their place.
    #[schemars(length(max = 32))]
    pub volume_mounts: Option<Vec<VolumeMount>>,
    /// Its RNDC key; the former way to write `rndcKey.secretRef`.
    pub rndc_secret_ref: Option<RndcSecretRef>,
    /// Its RNDC key, above its role's.
    pub rndc_key: Option<RndcKeyConfig>,
    /// Where it keeps its zones.
    pub storage: Option<StorageConfig>,
    /// The sidecar of other servers; bindyd has none, and this has no effect on it.
    pub bindcar_config: Option<BindcarConfig>,
    /// How its pods are spread over nodes and zones, in place of its role's.
    pub placement: Option<PlacementConfig>,
}

/// What a server is to its zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Gets the zones from the operator, and gives them to the secondaries.
    Primary,
    /// Transfers the zones.
    Secondary,
}

/// Where a server keeps its zones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.storageType) || self.storageType != 'persistentVolumeClaim' || has(self.persistentVolumeClaim)"
).message("storageType persistentVolumeClaim needs persistentVolumeClaim: name a claim, or a size"))]
pub struct StorageConfig {
    /// `emptyDir`, which lives as long as the pod, or `persistentVolumeClaim`.
    #[schemars(extend("x-default" = "persistentVolumeClaim if that is given, else emptyDir"))]
    pub storage_type: Option<StorageType>,
    /// What the emptyDir is like.
    pub empty_dir: Option<EmptyDir>,
    /// What the claim is like.
    pub persistent_volume_claim: Option<ClaimConfig>,
}

/// The kinds of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // Kubernetes' words.
pub enum StorageType {
    EmptyDir,
    PersistentVolumeClaim,
}

/// Storage that lives as long as the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDir {
    /// `Memory`, or empty for the node's disk.
    #[schemars(length(max = 32), extend("x-default" = "the node's disk"), extend("x-example" = "Memory"))]
    pub medium: Option<String>,
    /// The most that it may hold, as a Kubernetes quantity of octets.
    #[schemars(length(max = 32), extend("x-unit" = "quantity"), extend("x-example" = "256Mi"))]
    pub size_limit: Option<String>,
}

/// A claim on storage that outlives the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimConfig {
    /// A claim that exists already.
    #[schemars(length(max = 253), extend("x-default" = "one is made"), extend("x-example" = "bindy-zones"))]
    pub claim_name: Option<String>,
    /// The storage class of a claim that is made.
    #[schemars(length(max = 253), extend("x-default" = "the cluster's default class"), extend("x-example" = "fast-ssd"))]
    pub storage_class_name: Option<String>,
    /// The size of a claim that is made, as a Kubernetes quantity of octets.
    #[schemars(length(max = 32), extend("x-unit" = "quantity", "x-default" = "1Gi"), extend("x-example" = "10Gi"))]
    pub size: Option<String>,
    /// The access modes of a claim that is made.
    #[schemars(
        length(max = 4),
        inner(length(max = 32)),
        extend("x-default" = "[ReadWriteOnce]"),
        extend("x-example" = ["ReadWriteOnce"])
    )]
    pub access_modes: Option<Vec<String>>,
}

impl Role {
    /// As it stands in names and labels.
    pub fn name(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Secondary => "secondary",
        }
    }
}

impl StorageConfig {
    /// The kind of storage, said or implied.
    pub fn kind(&self) -> StorageType {
        let implied = if self.persistent_volume_claim.is_some() {
            StorageType::PersistentVolumeClaim
        } else {
            StorageType::EmptyDir
        };
        self.storage_type.unwrap_or(implied)
    }
}
