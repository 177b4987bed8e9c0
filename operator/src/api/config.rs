//! `Bind9Config`: the configuration of servers, which a provider or cluster gives for all, a role for its servers, or
//! an instance for itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cluster::ImagePullPolicy,
    embedded::{EnvVar, PersistentVolumeClaimSpec, ResourceRequirements, ServiceSpec},
    keys::{RndcKeyConfig, RndcSecretRef},
};

const AUTHORITATIVE: &str = "the servers answer for their own zones only, and resolve nobody else's names";
const UNSIGNED: &str = "zones are not signed yet";
const ALONE: &str = "bindyd has no sidecar";

/// The configuration of servers. An absent field is inherited: that of an instance from its role, that of a role from
/// its cluster, and that of a cluster from its provider. A list that is present replaces the inherited one as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "Bind9Config"))]
pub struct Bind9Config {
    /// Whether the server resolves names for its clients. bindyd never does, and reports a warning for `true`.
    #[schemars(extend("x-default" = "false", "x-no-effect" = AUTHORITATIVE))]
    pub recursion: Option<bool>,
    /// The clients that may ask, as an address match list of addresses, prefixes, names of `acls`, `any`, `none`,
    /// `localhost` and `localnets`, each with an optional `!`. The first element that matches decides.
    #[schemars(
        length(max = 1024),
        inner(length(max = 253)),
        extend("x-default" = "[any]"),
        extend("x-example" = ["10.0.0.0/8", "internal"])
    )]
    pub allow_query: Option<Vec<String>>,
    /// The clients that may transfer zones, by address. Servers of the same cluster always may, by key.
    #[schemars(
        length(max = 1024),
        inner(length(max = 253)),
        extend("x-default" = "[none]"),
        extend("x-example" = ["192.0.2.53"])
    )]
    pub allow_transfer: Option<Vec<String>>,
    /// The servers to which queries for other names are forwarded. It has no effect without `recursion`.
    #[schemars(
        length(max = 64),
        inner(length(max = 45)),
        extend("x-no-effect" = AUTHORITATIVE),
        extend("x-example" = ["192.0.2.1"])
    )]
    pub forwarders: Option<Vec<String>>,
    /// The IPv4 addresses on which the server answers, as an address match list.
    #[schemars(length(max = 256), inner(length(max = 253)), extend("x-default" = "[any]"), extend("x-example" = ["any"]))]
    pub listen_on: Option<Vec<String>>,
    /// The IPv6 addresses on which the server answers, as an address match list.
    #[schemars(length(max = 256), inner(length(max = 253)), extend("x-default" = "[any]"), extend("x-example" = ["any"]))]
    pub listen_on_v6: Option<Vec<String>>,
    /// The DNSSEC settings.
    pub dnssec: Option<DnssecConfig>,
    /// Limits on the rate of responses.
    pub rate_limit: Option<RateLimitConfig>,
    /// The RNDC key of the servers. That of a role or of an instance itself takes precedence.
    pub rndc_key: Option<RndcKeyConfig>,
    /// The RNDC key. This is the former spelling of `rndcKey.secretRef`.
    pub rndc_secret_ref: Option<RndcSecretRef>,
    /// The sidecar of other servers. It has no effect on bindyd, which has none.
    #[schemars(extend("x-no-effect" = ALONE))]
    pub bindcar_config: Option<BindcarConfig>,
}

/// Response rate limiting: a bound on how often one network gets the same response over UDP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitConfig {
    /// Responses a second to one network; 0 for no limit.
    #[schemars(range(max = 1000), extend("x-unit" = "answers a second", "x-default" = "15"), extend("x-example" = 15))]
    pub responses_per_second: Option<u32>,
}

/// The DNSSEC settings of servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "DnssecConfig"))]
pub struct DnssecConfig {
    /// Whether responses of other servers are validated. It has no effect without `recursion`.
    #[schemars(extend("x-default" = "false", "x-no-effect" = AUTHORITATIVE))]
    pub validation: Option<bool>,
    /// How zones without a `dnssecPolicy` of their own are signed.
    pub signing: Option<SigningConfig>,
}

/// How zones are signed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningConfig {
    /// Whether zones are signed.
    #[serde(default)]
    #[schemars(extend("x-no-effect" = UNSIGNED))]
    pub enabled: bool,
    /// The name of the policy.
    #[schemars(
        length(max = 63),
        regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"),
        extend("x-default" = "bindy"),
        extend("x-example" = "bindy")
    )]
    pub policy: Option<String>,
    /// The mnemonic of the algorithm of the keys (RFC 8624 3.1).
    #[schemars(
        length(max = 32),
        regex(pattern = "^[A-Za-z0-9]{1,32}$"),
        extend("x-default" = "ECDSAP256SHA256"),
        extend("x-example" = "ECDSAP256SHA256")
    )]
    pub algorithm: Option<String>,
    /// How long a key-signing key is used: a number with a unit such as `d` or `h`, or `unlimited`.
    #[schemars(
        length(max = 32),
        regex(pattern = "^[A-Za-z0-9]{1,32}$"),
        extend("x-unit" = "duration", "x-default" = "unlimited"),
        extend("x-example" = "365d")
    )]
    pub ksk_lifetime: Option<String>,
    /// How long a zone-signing key is used, in the same form.
    #[schemars(
        length(max = 32),
        regex(pattern = "^[A-Za-z0-9]{1,32}$"),
        extend("x-unit" = "duration", "x-default" = "unlimited"),
        extend("x-example" = "90d")
    )]
    pub zsk_lifetime: Option<String>,
    /// Whether negative answers are proved with NSEC3 (RFC 5155).
    #[schemars(extend("x-default" = "false"))]
    pub nsec3: Option<bool>,
    /// The salt of NSEC3 in hexadecimal. RFC 9276 3.1 advises against a salt.
    #[schemars(length(max = 510), extend("x-default" = "none"), extend("x-example" = ""))]
    pub nsec3_salt: Option<String>,
    /// The iterations of NSEC3. RFC 9276 3.1 advises 0.
    #[schemars(range(max = 50), extend("x-unit" = "iterations", "x-default" = "0"), extend("x-example" = 0))]
    pub nsec3_iterations: Option<u32>,
    /// Where to find keys that already exist.
    pub keys_from: Option<KeySource>,
    /// Whether keys are generated if there are none.
    #[schemars(extend("x-default" = "true"))]
    pub auto_generate: Option<bool>,
    /// Whether generated keys are stored in a Secret.
    #[schemars(extend("x-default" = "false"))]
    pub export_to_secret: Option<bool>,
}

/// Where signing keys come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySource {
    /// A Secret that holds the keys under BIND's file names. Key lifetimes should then be `unlimited`.
    pub secret_ref: Option<SecretRef>,
    /// A volume that holds the keys as files.
    pub persistent_volume: Option<PersistentVolumeClaimSpec>,
}

/// A reference to a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253), extend("x-example" = "bindy-dnssec-keys"))]
    pub name: String,
    /// The namespace of the Secret.
    #[schemars(length(max = 63), extend("x-default" = "the server's namespace"), extend("x-example" = "dns"))]
    pub namespace: Option<String>,
}

/// The sidecar that manages the zones of BIND. bindyd does not need it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "BindcarConfig"))]
pub struct BindcarConfig {
    /// The image of the sidecar.
    #[schemars(length(max = 512), extend("x-example" = "ghcr.io/firestoned/bindcar:v0.7.2"))]
    pub image: Option<String>,
    /// When the image of the sidecar is pulled.
    #[schemars(extend("x-default" = "IfNotPresent"))]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// The resources that the container of the sidecar may use.
    pub resources: Option<ResourceRequirements>,
    /// The port of the sidecar's API.
    #[schemars(range(min = 1, max = 65535), extend("x-unit" = "port", "x-default" = "8080"), extend("x-example" = 8080))]
    pub port: Option<u32>,
    /// Fields that override those of the default Service.
    pub service_spec: Option<ServiceSpec>,
    /// The level of the sidecar's log.
    #[schemars(length(max = 32), extend("x-default" = "info"), extend("x-example" = "info"))]
    pub log_level: Option<String>,
    /// The environment variables of the sidecar.
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
    /// Whether TLS is used.
    #[schemars(extend("x-default" = "false"))]
    pub enabled: Option<bool>,
    /// The Secret with the certificate and its key.
    #[schemars(length(max = 253), extend("x-example" = "bindcar-tls"))]
    pub secret_name: Option<String>,
    /// The authorities that may have signed the certificate.
    pub ca_bundle: Option<CaBundle>,
    /// The name that must be in the certificate.
    #[schemars(length(max = 253), extend("x-example" = "bindcar.dns.svc"))]
    pub server_name: Option<String>,
    /// How often certificates are read again, in seconds.
    #[schemars(range(max = 86_400), extend("x-unit" = "seconds"), extend("x-example" = 300))]
    pub reload_interval_seconds: Option<u32>,
}

/// The certificates of authorities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// A ConfigMap that holds the certificates.
    pub config_map_ref: Option<KeyRef>,
    /// A Secret that holds the certificates.
    pub secret_ref: Option<KeyRef>,
}

/// A key of a ConfigMap or Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// The name of the ConfigMap or Secret.
    #[schemars(length(min = 1, max = 253), extend("x-example" = "bindcar-ca"))]
    pub name: String,
    /// The key in the data of the ConfigMap or Secret.
    #[serde(default = "ca_crt")]
    #[schemars(length(max = 253), extend("x-example" = "ca.crt"))]
    pub key: String,
}

fn ca_crt() -> String {
    "ca.crt".into()
}

impl Bind9Config {
    /// This configuration, with absent fields taken from `inherited`.
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
            rndc_key: self.rndc_key.or_else(|| inherited.rndc_key.clone()),
            rndc_secret_ref: self.rndc_secret_ref.or_else(|| inherited.rndc_secret_ref.clone()),
            bindcar_config: self.bindcar_config.or_else(|| inherited.bindcar_config.clone()),
        }
    }
}
