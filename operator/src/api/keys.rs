//! Keys: where those of RNDC come from, and when they and those of transfers are replaced.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ages at which keys are replaced, as CRDs check them.
const AGE_PATTERN: &str = "^([1-9][0-9]{0,2}w)?([1-9][0-9]{0,3}d)?([1-9][0-9]{0,4}h)?$";
const AGE_RULE: &str = "!has(self.rotateAfter) || int('0' + self.rotateAfter.find('[0-9]+w').replace('w', '')) * 168 + \
     int('0' + self.rotateAfter.find('[0-9]+d').replace('d', '')) * 24 + \
     int('0' + self.rotateAfter.find('[0-9]+h').replace('h', '')) <= 8760";
const AGE_HELP: &str = "rotateAfter is over a year: write 8760h, 365d, 52w or less";

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
#[x_kube(validation = Rule::new(AGE_RULE).message(AGE_HELP))]
pub struct RndcKeyConfig {
    /// Whether the key is replaced when it reaches the age `rotateAfter`, while servers go on and take the former one for
    /// some minutes still. A key from `secretRef` is never replaced.
    #[serde(default)]
    pub auto_rotate: bool,
    /// The age at which the key is replaced: a number with `w`, `d` or `h`, or several of them in this order, from 1h to
    /// 8760h.
    #[serde(default = "rotate_after")]
    #[schemars(
        length(min = 2, max = 16),
        regex(pattern = AGE_PATTERN),
        extend("x-unit" = "hours, days or weeks"),
        extend("x-example" = "30d")
    )]
    pub rotate_after: String,
    /// How servers get to know of another key.
    #[serde(default)]
    pub strategy: RotationStrategy,
    /// The algorithm of a generated key.
    #[serde(default)]
    pub algorithm: RndcAlgorithm,
    /// An existing key, to be used instead of a generated one.
    pub secret_ref: Option<RndcSecretRef>,
    /// The labels, the annotations and the first key of the Secret that is made for each server.
    pub secret: Option<SecretTemplate>,
}

/// When the key of transfers is replaced: that by which the servers of a cluster get zones from the operator, and from each
/// other. It is made, and each that comes has another name, `NAME.2`, `NAME.3` and so on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "TransferKeyConfig"))]
#[x_kube(validation = Rule::new(AGE_RULE).message(AGE_HELP))]
pub struct TransferKeyConfig {
    /// Whether the key is replaced when it reaches the age `rotateAfter`, once all servers know the new one.
    #[serde(default)]
    pub auto_rotate: bool,
    /// The age at which the key is replaced, as with `rndcKey`.
    #[serde(default = "rotate_after")]
    #[schemars(
        length(min = 2, max = 16),
        regex(pattern = AGE_PATTERN),
        extend("x-unit" = "hours, days or weeks"),
        extend("x-example" = "30d")
    )]
    pub rotate_after: String,
}

impl RndcKeyConfig {
    /// The age at which the key is replaced, in hours, from 1 to 8760; `None` if it is on request only.
    pub fn hours(&self) -> Option<u32> {
        self.auto_rotate.then(|| hours(&self.rotate_after))
    }
}

impl TransferKeyConfig {
    /// The age at which the key is replaced, in hours, from 1 to 8760; `None` if it is on request only.
    pub fn hours(&self) -> Option<u32> {
        self.auto_rotate.then(|| hours(&self.rotate_after))
    }
}

fn hours(age: &str) -> u32 {
    const HOURS: [(char, u32); 3] = [('w', 7 * 24), ('d', 24), ('h', 1)];
    let (mut rest, mut hours) = (age, 0u32);
    for (unit, of_unit) in HOURS {
        if let Some((number, behind)) = rest.split_once(unit) {
            // What is no number, or over a year, the schema does not let pass.
            hours = hours.saturating_add(number.parse::<u32>().unwrap_or(0).saturating_mul(of_unit));
            rest = behind;
        }
    }
    hours.clamp(1, 8760)
}

/// How servers get to know of another key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RotationStrategy {
    /// They read it while they go on.
    #[default]
    Reload,
    /// Their pods are replaced, one after another: when a new key is there, and when the former one is to be accepted no
    /// more. It is for servers that read their keys only at the start.
    Restart,
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

/// The template of a Secret. Its data may have the first key, under `key-name`, `algorithm` and `secret`; what it lacks is
/// made. It has no effect on a key that there is.
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
    /// A name, which has no effect: the Secret of a server is called `INSTANCE-rndc-key`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_of_weeks_days_and_hours() {
        let hours = |text: &str| {
            let config = RndcKeyConfig { auto_rotate: true, rotate_after: text.into(), ..RndcKeyConfig::default() };
            config.hours()
        };
        for (text, expected) in
            [("1h", 1), ("720h", 720), ("30d", 720), ("12w", 2016), ("1w2d3h", 219), ("1d12h", 36), ("99999h", 8760)]
        {
            assert_eq!(hours(text), Some(expected), "{text}");
        }
        assert_eq!(RndcKeyConfig { rotate_after: "1h".into(), ..RndcKeyConfig::default() }.hours(), None);
    }
}
