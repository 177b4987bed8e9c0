//! `Bind9Instance`: a single server.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cluster::{ConfigMapRefs, ImageConfig},
    config::{Bind9Config, BindcarConfig},
    embedded::{Volume, VolumeMount},
    keys::{RndcKeyConfig, RndcSecretRef, TransferKeyConfig},
    spread::PlacementConfig,
};

/// What Kubernetes takes as a quantity that is not negative.
const QUANTITY: &str = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// A server, on its own or of a cluster. A server that a cluster makes is named after the cluster, its role and a
/// number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.role == oldSelf.role || [self.role, oldSelf.role] in \
     [['primary', 'Primary'], ['Primary', 'primary'], ['secondary', 'Secondary'], ['Secondary', 'secondary']]"
)
    .message("role cannot change: create another Bind9Instance and delete this one"))]
pub struct InstanceSpec {
    /// The Bind9Cluster in the namespace of the instance, or else the ClusterBind9Provider, whose configuration it
    /// shares; empty for a server on its own.
    #[schemars(length(max = 253), extend("x-example" = "production-dns"))]
    pub cluster_ref: String,
    /// Whether the server is a primary or a secondary. It cannot be changed.
    pub role: Role,
    /// The number of pods. With none the server is not wanted: no zone counts on it, and it answers on for some time.
    #[schemars(range(max = 100), extend("x-unit" = "pods", "x-default" = "1"), extend("x-example" = 1))]
    pub replicas: Option<u32>,
    /// As `version` of the cluster: for people, and nothing follows from it.
    #[schemars(length(min = 1, max = 128), extend("x-default" = "the cluster's"), extend("x-example" = "9.18"))]
    pub version: Option<String>,
    /// As `image` of the cluster. Replaces it.
    pub image: Option<ImageConfig>,
    /// As `configMapRefs` of the cluster. Replaces them.
    pub config_map_refs: Option<ConfigMapRefs>,
    /// The configuration of this server. Each field takes precedence over that of the role and the cluster.
    pub config: Option<Bind9Config>,
    /// Addresses of the primaries from which a secondary transfers zones, instead of those of its cluster.
    #[schemars(length(max = 64), inner(length(max = 253)), extend("x-example" = ["192.0.2.53"]))]
    pub primary_servers: Option<Vec<String>>,
    /// As `volumes` of the cluster. Replaces them.
    #[schemars(length(max = 32))]
    pub volumes: Option<Vec<Volume>>,
    /// As `volumeMounts` of the cluster. Replaces them.
    #[schemars(length(max = 32))]
    pub volume_mounts: Option<Vec<VolumeMount>>,
    /// The RNDC key of the server. This is the former spelling of `rndcKey.secretRef`.
    pub rndc_secret_ref: Option<RndcSecretRef>,
    /// The RNDC key of the server. Takes precedence over that of its role.
    pub rndc_key: Option<RndcKeyConfig>,
    /// When the key is replaced by which a server on its own gets its zones. Those of a cluster have one together, and it
    /// says when.
    pub transfer_key: Option<TransferKeyConfig>,
    /// Where the server keeps its zones.
    pub storage: Option<StorageConfig>,
    /// The sidecar of other servers. It has no effect on bindyd, which has no sidecar.
    pub bindcar_config: Option<BindcarConfig>,
    /// How the pods are spread over nodes and zones. Replaces the setting of the role.
    pub placement: Option<PlacementConfig>,
}

/// The role of a server for its zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A primary gets zones from the operator, and transfers them to the secondaries.
    Primary,
    /// A secondary transfers zones from the primaries.
    Secondary,
}

/// Where a server keeps its zones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.storageType) || self.storageType != 'persistentVolumeClaim' || has(self.persistentVolumeClaim)"
).message("storageType persistentVolumeClaim needs persistentVolumeClaim: name a claim, or a size"))]
pub struct StorageConfig {
    /// `emptyDir`, which exists as long as the pod, or `persistentVolumeClaim`.
    #[schemars(extend("x-default" = "persistentVolumeClaim if that is given, else emptyDir"))]
    pub storage_type: Option<StorageType>,
    /// The settings of the emptyDir.
    pub empty_dir: Option<EmptyDir>,
    /// The settings of the claim.
    pub persistent_volume_claim: Option<ClaimConfig>,
}

/// The kinds of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // The values are Kubernetes' own.
pub enum StorageType {
    EmptyDir,
    PersistentVolumeClaim,
}

/// Storage that exists as long as the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDir {
    /// `Memory`, or empty for the node's disk.
    #[schemars(length(max = 32), extend("x-default" = "the node's disk"), extend("x-example" = "Memory"))]
    pub medium: Option<String>,
    /// The most octets that the storage may hold, as a Kubernetes quantity.
    #[schemars(length(max = 32), regex(pattern = QUANTITY), extend("x-unit" = "quantity"), extend("x-example" = "256Mi"))]
    pub size_limit: Option<String>,
}

/// A claim on storage that outlives the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimConfig {
    /// The name of an existing claim.
    #[schemars(length(max = 253), extend("x-default" = "one is made"), extend("x-example" = "bindy-zones"))]
    pub claim_name: Option<String>,
    /// The storage class of a new claim.
    #[schemars(length(max = 253), extend("x-default" = "the cluster's default class"), extend("x-example" = "fast-ssd"))]
    pub storage_class_name: Option<String>,
    /// The size of a new claim in octets, as a Kubernetes quantity.
    #[schemars(length(max = 32), regex(pattern = QUANTITY), extend("x-unit" = "quantity", "x-default" = "1Gi"), extend("x-example" = "10Gi"))]
    pub size: Option<String>,
    /// The access modes of a new claim.
    #[schemars(
        length(max = 4),
        inner(length(max = 32)),
        extend("x-default" = "[ReadWriteOnce]"),
        extend("x-example" = ["ReadWriteOnce"])
    )]
    pub access_modes: Option<Vec<String>>,
}

impl Role {
    /// The role as it is written in names and labels.
    pub fn name(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Secondary => "secondary",
        }
    }
}

impl StorageConfig {
    /// The kind of storage, whether given or implied.
    pub fn kind(&self) -> StorageType {
        let implied = if self.persistent_volume_claim.is_some() {
            StorageType::PersistentVolumeClaim
        } else {
            StorageType::EmptyDir
        };
        self.storage_type.unwrap_or(implied)
    }
}
