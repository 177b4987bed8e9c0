//! `Bind9Cluster` and `ClusterBind9Provider`: how many primaries and secondaries there are, and what they share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    config::Bind9Config,
    embedded::{ServiceSpec, Volume, VolumeMount},
    keys::{RndcKeyConfig, RndcSecretRef},
    spread::PlacementConfig,
};

/// Primaries and secondaries that serve zones together, and what they share. A Bind9Cluster is for the zones of its
/// namespace, a ClusterBind9Provider for those of all namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// The version whose BIND 9 the servers stand for, which also is the tag of a default image.
    #[serde(default = "version")]
    #[schemars(length(min = 1, max = 128), extend("x-example" = "9.18"))]
    pub version: String,
    /// The image of the servers' container.
    pub image: Option<ImageConfig>,
    /// ConfigMaps with configuration files that take the place of generated ones.
    pub config_map_refs: Option<ConfigMapRefs>,
    /// Configuration of every server; a role's, and an instance's own, stand above it.
    pub global: Option<Bind9Config>,
    /// The primaries.
    pub primary: Option<RoleSpec>,
    /// The secondaries.
    pub secondary: Option<RoleSpec>,
    /// Secrets with further RNDC keys that every server accepts.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub rndc_secret_refs: Vec<RndcSecretRef>,
    /// Named address match lists, for use by name in `allowQuery`, `allowTransfer`, `listenOn` and each other.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64), extend("x-example" = BTreeMap::from([("internal", ["10.0.0.0/8", "!10.9.0.0/16"])])))]
    pub acls: BTreeMap<String, Vec<String>>,
    /// Volumes of every server's pod.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub volumes: Vec<Volume>,
    /// Where the server's container mounts `volumes`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub volume_mounts: Vec<VolumeMount>,
    /// Of a ClusterBind9Provider only: the namespace in which its servers run.
    #[schemars(
        length(max = 63),
        extend("x-default" = "the operator's namespace"),
        extend("x-example" = "bindy-system")
    )]
    pub namespace: Option<String>,
}

/// The servers of one role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "RoleSpec"))]
pub struct RoleSpec {
    /// How many servers there are, each a Bind9Instance with a Service, a key and a pod of its own.
    #[schemars(range(max = 100), extend("x-unit" = "servers", "x-default" = "0"), extend("x-example" = 2))]
    pub replicas: Option<u32>,
    /// Labels of the instances, beside those that Bindy sets.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64), extend("x-example" = BTreeMap::from([("tier", "edge")])))]
    pub labels: BTreeMap<String, String>,
    /// The Service of each server.
    pub service: Option<ServiceConfig>,
    /// Who may transfer zones from these servers, above `global.allowTransfer`.
    #[schemars(length(max = 1024), inner(length(max = 253)), extend("x-example" = ["10.0.0.0/8"]))]
    pub allow_transfer: Option<Vec<String>>,
    /// The RNDC key of these servers; the former way to write `rndcKey.secretRef`.
    pub rndc_secret_ref: Option<RndcSecretRef>,
    /// The RNDC key of these servers, above `global`.
    pub rndc_key: Option<RndcKeyConfig>,
    /// How their pods are spread over nodes and zones.
    pub placement: Option<PlacementConfig>,
    /// Configuration of these servers, above `global`; an instance's own stands above both.
    pub config: Option<Bind9Config>,
}

/// The Service of a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceConfig {
    /// Annotations of the Service.
    #[serde(default)]
    #[schemars(
        extend("maxProperties" = 64),
        extend("x-example" = BTreeMap::from([("metallb.universe.tf/address-pool", "dns")]))
    )]
    pub annotations: BTreeMap<String, String>,
    /// What differs from the Service that would be made: ClusterIP, ports 53 over UDP and TCP.
    pub spec: Option<ServiceSpec>,
}

/// A container's image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "ImageConfig"))]
pub struct ImageConfig {
    /// Its name, with tag or digest.
    #[schemars(length(max = 512), extend("x-example" = "ghcr.io/firestoned/bindyd:0.1.0"))]
    pub image: Option<String>,
    /// When it is pulled.
    #[schemars(extend("x-default" = "IfNotPresent"))]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets of the pod's namespace with which it is pulled.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 253)), extend("x-example" = ["registry"]))]
    pub image_pull_secrets: Vec<String>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' words.
pub enum ImagePullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// ConfigMaps of the server's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "ConfigMapRefs"))]
pub struct ConfigMapRefs {
    /// The ConfigMap whose key `named.conf` is the whole configuration.
    #[schemars(length(max = 253), extend("x-example" = "my-named-conf"))]
    pub named_conf: Option<String>,
    /// The ConfigMap whose key `named.conf.options` is the `options` statement.
    #[schemars(length(max = 253), extend("x-example" = "my-named-conf-options"))]
    pub named_conf_options: Option<String>,
    /// The ConfigMap whose key `named.conf.zones` has zones of its own.
    #[schemars(length(max = 253), extend("x-example" = "my-named-conf-zones"))]
    pub named_conf_zones: Option<String>,
}

/// The schema's default of `version`.
fn version() -> String {
    "9.18".into()
}
