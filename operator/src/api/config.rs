//! `Bind9Config`: what a server does, whoever says so: the provider or cluster for all, a role, or one instance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cluster::ImagePullPolicy,
    embedded::{EnvVar, PersistentVolumeClaimSpec, ResourceRequirements, ServiceSpec},
    keys::RndcSecretRef,
};

const AUTHORITATIVE: &str = "the servers answer for their own zones only, and resolve nobody else's names";

/// Configuration of servers. A field that is absent is inherited: an instance's from its role, a role's from the
/// cluster, a cluster's from its provider. A list that is there replaces the inherited one as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "Bind9Config"))]
pub struct Bind9Config {
    /// Whether the server resolves other people's names. bindyd never does: `true` is reported.
    #[schemars(extend("x-default" = "false", "x-no-effect" = AUTHORITATIVE))]
    pub recursion: Option<bool>,
    /// Who may ask: an address match list of addresses, prefixes, names of `acls`, `any`, `none`, `localhost`,
    /// `localnets`, each perhaps after a `!`. The first that matches decides.
    #[schemars(
        length(max = 1024),
        inner(length(max = 253)),
        extend("x-default" = "[any]"),
        extend("x-example" = ["10.0.0.0/8", "internal"])
    )]
    pub allow_query: Option<Vec<String>>,
    /// Who may transfer zones, by address; servers of one cluster always may, by key.
    #[schemars(
        length(max = 1024),
        inner(length(max = 253)),
        extend("x-default" = "[none]"),
        extend("x-example" = ["192.0.2.53"])
    )]
    pub allow_transfer: Option<Vec<String>>,
    /// Where other people's names are resolved; without `recursion` it has no effect.
    #[schemars(
        length(max = 64),
        inner(length(max = 45)),
        extend("x-no-effect" = AUTHORITATIVE),
        extend("x-example" = ["192.0.2.1"])
    )]
    pub forwarders: Option<Vec<String>>,
    /// The IPv4 addresses that the server answers on, as an address match list.
    #[schemars(length(max = 256), inner(length(max = 253)), extend("x-default" = "[any]"), extend("x-example" = ["any"]))]
    pub listen_on: Option<Vec<String>>,
    /// The IPv6 addresses that the server answers on, as an address match list.
    #[schemars(length(max = 256), inner(length(max = 253)), extend("x-default" = "[any]"), extend("x-example" = ["any"]))]
    pub listen_on_v6: Option<Vec<String>>,
    /// DNSSEC.
    pub dnssec: Option<DnssecConfig>,
    /// Limits on answers (response rate limiting).
    pub rate_limit: Option<RateLimitConfig>,
    /// The RNDC key; the former way to write `rndcKey.secretRef` of a role.
    pub rndc_secret_ref: Option<RndcSecretRef>,
    /// The sidecar of other servers; bindyd has none, and this has no effect on it.
    pub bindcar_config: Option<BindcarConfig>,
}

/// Response rate limiting: how often one network gets the same answer over UDP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitConfig {
    /// Answers a second to one network; 0 for no limit.
    #[schemars(range(max = 1000), extend("x-unit" = "answers a second", "x-default" = "15"), extend("x-example" = 15))]
    pub responses_per_second: Option<u32>,
}

/// DNSSEC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "DnssecConfig"))]
pub struct DnssecConfig {
    /// Whether answers of others are validated; without `recursion` it has no effect.
    #[schemars(extend("x-default" = "false"))]
    pub validation: Option<bool>,
    /// How zones are signed that have no `dnssecPolicy` of their own.
    pub signing: Option<SigningConfig>,
}

/// How zones are signed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningConfig {
    /// Whether zones are signed.
    #[serde(default)]
    pub enabled: bool,
    /// The policy's name.
    #[schemars(
        length(max = 63),
        regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"),
        extend("x-default" = "bindy"),
        extend("x-example" = "bindy")
    )]
    pub policy: Option<String>,
    /// The keys' algorithm (RFC 8624 3.1), by its mnemonic.
    #[schemars(
        length(max = 32),
        regex(pattern = "^[A-Za-z0-9]{1,32}$"),
        extend("x-default" = "ECDSAP256SHA256"),
        extend("x-example" = "ECDSAP256SHA256")
    )]
    pub algorithm: Option<String>,
    /// How long a key-signing key is used: a number with `d`, `h` or another unit, or `unlimited`.
    #[schemars(
        length(max = 32),
        regex(pattern = "^[A-Za-z0-9]{1,32}$"),
        extend("x-unit" = "duration", "x-default" = "unlimited"),
        extend("x-example" = "365d")
    )]
    pub ksk_lifetime: Option<String>,
    /// How long a zone-signing key is used, likewise.
    #[schemars(
        length(max = 32),
        regex(pattern = "^[A-Za-z0-9]{1,32}$"),
        extend("x-unit" = "duration", "x-default" = "unlimited"),
        extend("x-example" = "90d")
    )]
    pub zsk_lifetime: Option<String>,
    /// Whether denials are by NSEC3 (RFC 5155).
    #[schemars(extend("x-default" = "false"))]
    pub nsec3: Option<bool>,
    /// The salt of NSEC3 in hexadecimal; RFC 9276 3.1 advises none.
    #[schemars(length(max = 510), extend("x-default" = "none"), extend("x-example" = ""))]
    pub nsec3_salt: Option<String>,
    /// Iterations of NSEC3; RFC 9276 3.1 advises 0.
    #[schemars(range(max = 50), extend("x-unit" = "iterations", "x-default" = "0"), extend("x-example" = 0))]
    pub nsec3_iterations: Option<u32>,
    /// Where keys come from that exist already.
    pub keys_from: Option<KeySource>,
    /// Whether keys are made where there are none.
    #[schemars(extend("x-default" = "true"))]
    pub auto_generate: Option<bool>,
    /// Whether keys that were made are stored in a Secret.
    #[schemars(extend("x-default" = "false"))]
    pub export_to_secret: Option<bool>,
}

/// Where signing keys come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySource {
    /// A Secret that holds them under BIND's file names; key lifetimes must be `unlimited` then.
    pub secret_ref: Option<SecretRef>,
    /// A volume that holds them as files.
    pub persistent_volume: Option<PersistentVolumeClaimSpec>,
}

/// A Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), extend("x-example" = "bindy-dnssec-keys"))]
    pub name: String,
    /// Its namespace.
    #[schemars(length(max = 63), extend("x-default" = "the server's namespace"), extend("x-example" = "dns"))]
    pub namespace: Option<String>,
}

/// The sidecar through which BIND's zones are managed; servers that are bindyd need none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "BindcarConfig"))]
pub struct BindcarConfig {
    /// Its image.
    #[schemars(length(max = 512), extend("x-example" = "ghcr.io/firestoned/bindcar:v0.7.2"))]
    pub image: Option<String>,
    /// When its image is pulled.
    #[schemars(extend("x-default" = "IfNotPresent"))]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// What its container may use.
    pub resources: Option<ResourceRequirements>,
    /// The port of its API.
    #[schemars(range(min = 1, max = 65535), extend("x-unit" = "port", "x-default" = "8080"), extend("x-example" = 8080))]
    pub port: Option<u32>,
    /// What differs from the Service that would be made.
    pub service_spec: Option<ServiceSpec>,
    /// How much it logs.
    #[schemars(length(max = 32), extend("x-default" = "info"), extend("x-example" = "info"))]
    pub log_level: Option<String>,
    /// Its environment.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub env_vars: Vec<EnvVar>,
    /// TLS between operator and sidecar.
    pub tls: Option<BindcarTls>,
}

/// TLS between operator and sidecar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BindcarTls {
    /// Whether it is used.
    #[schemars(extend("x-default" = "false"))]
    pub enabled: Option<bool>,
    /// The Secret with certificate and key.
    #[schemars(length(max = 253), extend("x-example" = "bindcar-tls"))]
    pub secret_name: Option<String>,
    /// Who signed the certificate.
    pub ca_bundle: Option<CaBundle>,
    /// The name that the certificate must have.
    #[schemars(length(max = 253), extend("x-example" = "bindcar.dns.svc"))]
    pub server_name: Option<String>,
    /// How often certificates are read again, in seconds.
    #[schemars(range(max = 86_400), extend("x-unit" = "seconds"), extend("x-example" = 300))]
    pub reload_interval_seconds: Option<u32>,
}

/// Certificates of authorities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// A ConfigMap that holds them.
    pub config_map_ref: Option<KeyRef>,
    /// A Secret that holds them.
    pub secret_ref: Option<KeyRef>,
}

/// A key of a ConfigMap or Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253), extend("x-example" = "bindcar-ca"))]
    pub name: String,
    /// The key in its data.
    #[serde(default = "ca_crt")]
    #[schemars(length(max = 253), extend("x-example" = "ca.crt"))]
    pub key: String,
}

fn ca_crt() -> String {
    "ca.crt".into()
}

impl Bind9Config {
    /// This configuration, with what it does not say taken from `inherited`.
    #[must_use]
    pub fn or(self, inherited: &Bind9Config) -> Bind9Config {
        Bind9Config {
            recursion: self.recursion.or(inherited.recursion),
            allow_query: self.allow_query.or_else(|| inherited.allow_query.clone()),
            allow_transfer: self.allow_transfer.or_else(|| inherited.allow_transfer.clone()),
            forwarders: self.forwarders.or_else(|| inherited.forwarders.clone()),
            listen_on: self.listen_on.or_else(|| inherited.listen_on.clone()),
            listen_on_v6: self.listen_on_v6.or_else(|| inherited.listen_on_v6.clone()),
            dnssec: self.dnssec.or_else(|| inherited.dnssec.clone()),
            rate_limit: self.rate_limit.or_else(|| inherited.rate_limit.clone()),
            rndc_secret_ref: self.rndc_secret_ref.or_else(|| inherited.rndc_secret_ref.clone()),
            bindcar_config: self.bindcar_config.or_else(|| inherited.bindcar_config.clone()),
        }
    }
}
