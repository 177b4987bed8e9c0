//! `Bind9Cluster` and `ClusterBind9Provider`: the number of primaries and secondaries, and the configuration they
//! share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    config::Bind9Config,
    embedded::{ServiceSpec, Volume, VolumeMount},
    keys::{RndcKeyConfig, RndcSecretRef, TransferKeyConfig},
    spread::PlacementConfig,
};

/// Primaries and secondaries that serve zones together, and the configuration they share. A Bind9Cluster is for the
/// zones of its namespace, and a ClusterBind9Provider for those of all namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// The version of BIND 9 that the servers replace, for people. Nothing follows from it: which program runs says `image`.
    #[serde(default = "version")]
    #[schemars(length(min = 1, max = 128), extend("x-example" = "9.18"))]
    pub version: String,
    /// The image of the servers' container.
    pub image: Option<ImageConfig>,
    /// ConfigMaps with configuration files that are used instead of generated ones.
    pub config_map_refs: Option<ConfigMapRefs>,
    /// The configuration of every server. That of a role, and that of an instance, take precedence.
    pub global: Option<Bind9Config>,
    /// The primary servers.
    pub primary: Option<RoleSpec>,
    /// The secondary servers.
    pub secondary: Option<RoleSpec>,
    /// Secrets with additional RNDC keys that every server accepts.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub rndc_secret_refs: Vec<RndcSecretRef>,
    /// When the key is replaced by which the servers get their zones.
    pub transfer_key: Option<TransferKeyConfig>,
    /// Named address match lists, which `allowQuery`, `allowTransfer`, `listenOn` and other lists may refer to by name.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64), extend("x-example" = BTreeMap::from([("internal", ["10.0.0.0/8", "!10.9.0.0/16"])])))]
    pub acls: BTreeMap<String, Vec<String>>,
    /// Volumes for the pod of every server.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub volumes: Vec<Volume>,
    /// Where the server's container mounts `volumes`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub volume_mounts: Vec<VolumeMount>,
    /// The namespace in which the servers run. Only a ClusterBind9Provider has this field.
    #[schemars(
        length(max = 63),
        extend("x-default" = "`--home` of `bindy run`"),
        extend("x-example" = "dns-system")
    )]
    pub namespace: Option<String>,
}

/// The servers of one role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "RoleSpec"))]
pub struct RoleSpec {
    /// The number of servers. Each is a Bind9Instance with its own Service, key and pod.
    #[schemars(range(max = 100), extend("x-unit" = "servers", "x-default" = "0"), extend("x-example" = 2))]
    pub replicas: Option<u32>,
    /// Labels of the instances, in addition to those that Bindy sets.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64), extend("x-example" = BTreeMap::from([("tier", "edge")])))]
    pub labels: BTreeMap<String, String>,
    /// The Service of each server.
    pub service: Option<ServiceConfig>,
    /// The clients that may transfer zones from these servers. Takes precedence over `global.allowTransfer`.
    #[schemars(length(max = 1024), inner(length(max = 253)), extend("x-example" = ["10.0.0.0/8"]))]
    pub allow_transfer: Option<Vec<String>>,
    /// The RNDC key of these servers. This is the former spelling of `rndcKey.secretRef`.
    pub rndc_secret_ref: Option<RndcSecretRef>,
    /// The RNDC key of these servers. Takes precedence over `global`.
    pub rndc_key: Option<RndcKeyConfig>,
    /// How the pods of these servers are spread over nodes and zones.
    pub placement: Option<PlacementConfig>,
    /// The configuration of these servers. Takes precedence over `global`; that of an instance takes precedence over
    /// both.
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
    /// Fields that override those of the default Service, which is a ClusterIP with port 53 over UDP and TCP.
    pub spec: Option<ServiceSpec>,
    /// Whether the Service has UDP only and another one, called as the server with `-tcp`, TCP: for load balancers that
    /// take one protocol each. Annotations such as `metallb.universe.tf/allow-shared-ip`, which both get, have both share
    /// an address.
    #[serde(default)]
    pub split: bool,
}

/// The image of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "ImageConfig"))]
pub struct ImageConfig {
    /// The name of the image, with its tag or digest.
    #[schemars(
        length(max = 512),
        extend("x-default" = "what `bindy run --image` says, or else `BINDY_IMAGE`: the operator's own image"),
        extend("x-example" = "ghcr.io/firestoned/bindy:0.1.0")
    )]
    pub image: Option<String>,
    /// When the image is pulled.
    #[schemars(extend("x-default" = "IfNotPresent"))]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets in the namespace of the pod with which the image is pulled.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 253)), extend("x-example" = ["registry"]))]
    pub image_pull_secrets: Vec<String>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // The values are Kubernetes' own.
pub enum ImagePullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// ConfigMaps in the namespace of the server. Their changes are taken over without new pods. If one is not there, the
/// server says so and goes on with what it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "ConfigMapRefs"))]
pub struct ConfigMapRefs {
    /// The ConfigMap whose key `named.conf` has the whole configuration, without which a server has only what is in it. It
    /// may include `/etc/bind/named.conf.options`, by which it gets the zones that are declared, `/etc/bind/rndc.key` and
    /// `/etc/bind/named.conf.zones`. It gets a `statistics-channels` on port 8080, at which its pod is probed, if it has
    /// none.
    #[schemars(length(max = 253), extend("x-example" = "my-named-conf"))]
    pub named_conf: Option<String>,
    /// The ConfigMap whose key `named.conf.options` has the `options` statement. It takes the place of what `config` says;
    /// statements that a server needs to get its zones are added.
    #[schemars(length(max = 253), extend("x-example" = "my-named-conf-options"))]
    pub named_conf_options: Option<String>,
    /// The ConfigMap whose key `named.conf.zones` has zones beside those that are declared.
    #[schemars(length(max = 253), extend("x-example" = "my-named-conf-zones"))]
    pub named_conf_zones: Option<String>,
}

/// The default of `version` in the schema.
fn version() -> String {
    "9.18".into()
}
