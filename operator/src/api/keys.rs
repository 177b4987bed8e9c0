//! RNDC keys: where they come from, and when they are replaced.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Secret with an RNDC key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "RndcSecretRef"))]
pub struct RndcSecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253), extend("x-example" = "my-rndc-key"))]
    pub name: String,
    /// The algorithm of the key.
    #[serde(default)]
    pub algorithm: RndcAlgorithm,
    /// The key of the Secret's data that holds the name of the RNDC key.
    #[serde(default = "key_name")]
    #[schemars(length(min = 1, max = 253), extend("x-example" = "key-name"))]
    pub key_name_key: String,
    /// The key of the Secret's data that holds the RNDC key itself, in base64.
    #[serde(default = "secret")]
    #[schemars(length(min = 1, max = 253), extend("x-example" = "secret"))]
    pub secret_key: String,
}

/// How a server gets its RNDC key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "RndcKeyConfig"))]
#[x_kube(validation = Rule::new(
    "!has(self.rotateAfter) || (self.rotateAfter.endsWith('h') ? int(self.rotateAfter.split('h')[0]) <= 8760 : \
     self.rotateAfter.endsWith('d') ? int(self.rotateAfter.split('d')[0]) <= 365 : \
     int(self.rotateAfter.split('w')[0]) <= 52)"
)
    .message("rotateAfter is over a year: write 8760h, 365d, 52w or less"))]
pub struct RndcKeyConfig {
    /// Whether the key is replaced when it reaches the age `rotateAfter`. A key from `secretRef` is never replaced.
    #[serde(default)]
    pub auto_rotate: bool,
    /// The age at which the key is replaced: a number with `h`, `d` or `w`, from 1h to 8760h.
    #[serde(default = "rotate_after")]
    #[schemars(
        length(max = 8),
        regex(pattern = "^[1-9][0-9]{0,5}[hdw]$"),
        extend("x-unit" = "hours, days or weeks"),
        extend("x-example" = "30d")
    )]
    pub rotate_after: String,
    /// The algorithm of a generated key.
    #[serde(default)]
    pub algorithm: RndcAlgorithm,
    /// An existing key, to be used instead of a generated one.
    pub secret_ref: Option<RndcSecretRef>,
    /// The Secret in which a generated key is stored.
    pub secret: Option<SecretTemplate>,
}

/// The algorithms of RNDC keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // The names are those of RFC 8945 6.
pub enum RndcAlgorithm {
    HmacSha1,
    HmacSha224,
    #[default]
    HmacSha256,
    HmacSha384,
    HmacSha512,
}

/// The template of a Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// The metadata of the Secret.
    pub metadata: SecretMetadata,
    /// The type of the Secret.
    #[serde(default = "opaque", rename = "type")]
    #[schemars(length(max = 253), extend("x-example" = "Opaque"))]
    pub secret_type: String,
    /// The data of the Secret as text.
    #[schemars(extend("maxProperties" = 16), extend("x-example" = BTreeMap::from([("key-name", "bindy-operator")])))]
    pub string_data: Option<BTreeMap<String, String>>,
    /// The data of the Secret in base64.
    #[schemars(extend("maxProperties" = 16), extend("x-example" = BTreeMap::from([("key-name", "YmluZHktb3BlcmF0b3I=")])))]
    pub data: Option<BTreeMap<String, String>>,
}

/// The part of a Secret's metadata that users can set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretMetadata {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253), extend("x-example" = "my-rndc-key"))]
    pub name: String,
    /// The labels of the Secret.
    #[schemars(extend("maxProperties" = 64), extend("x-example" = BTreeMap::from([("team", "dns")])))]
    pub labels: Option<BTreeMap<String, String>>,
    /// The annotations of the Secret.
    #[schemars(extend("maxProperties" = 64), extend("x-example" = BTreeMap::from([("example.com/owner", "dns")])))]
    pub annotations: Option<BTreeMap<String, String>>,
}

fn key_name() -> String {
    "key-name".into()
}

fn secret() -> String {
    "secret".into()
}

fn rotate_after() -> String {
    "720h".into()
}

fn opaque() -> String {
    "Opaque".into()
}
