//! Keys as Secrets have them: their names, algorithms and secrets, and the statements of named.conf that say all of it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    mem,
};

use bindy_server::{
    keys::{Algorithm, Key},
    tsig::TsigKey,
};
use data_encoding::BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;
use zonefmt::Name;

use super::{
    Purpose,
    client::is_of_client,
    rotation::{Phase, Step},
};
use crate::{
    api::keys::{RndcAlgorithm, RndcSecretRef, SecretTemplate},
    cluster::Store,
    object::{ObjectId, Type},
    render::names,
};

/// A key.
#[derive(Clone, PartialEq)]
pub(super) struct Material {
    name: String,
    algorithm: String,
    /// In base64.
    secret: Zeroizing<String>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.name, self.algorithm)
    }
}

/// The keys of a Secret of Bindy's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ring {
    /// The one that clients use.
    pub(super) used: Material,
    /// Another one that servers accept: one that is to be used, or was.
    pub(super) other: Option<Material>,
}

/// The fields of a Secret's data, as text; `None` for those that are not to be there.
pub(super) type Data = BTreeMap<String, Option<Zeroizing<String>>>;

/// The keys of transfers: of each Secret the one that is used, and then one that is accepted beside it.
#[derive(Default)]
pub struct TransferKeys(BTreeMap<ObjectId, Vec<TsigKey>>);

impl Material {
    /// A new key. Its secret has as many octets as what the algorithm makes (RFC 2104 3).
    pub(super) fn random(name: String, algorithm: RndcAlgorithm) -> Result<Material, String> {
        let octets = match algorithm {
            RndcAlgorithm::HmacSha1 => 20,
            RndcAlgorithm::HmacSha224 => 28,
            RndcAlgorithm::HmacSha256 => 32,
            RndcAlgorithm::HmacSha384 => 48,
            RndcAlgorithm::HmacSha512 => 64,
        };
        let mut secret = Zeroizing::new(vec![0; octets]);
        getrandom::fill(&mut secret).map_err(|error| format!("no random octets: {error}"))?;
        Ok(Material { name, algorithm: name_of(algorithm), secret: Zeroizing::new(BASE64.encode(&secret)) })
    }

    /// The first key of a Secret that a user gives a template of; what that lacks is made.
    ///
    /// # Errors
    /// What the template has is no key.
    pub(super) fn of_template(
        template: &SecretTemplate,
        name: &str,
        algorithm: RndcAlgorithm,
    ) -> Result<Material, String> {
        let name = text_of(template, "key-name").map_or_else(|| name.to_owned(), |name| name.to_string());
        let Some(secret) = text_of(template, "secret") else { return Material::random(name, algorithm) };
        let material = Material { name, algorithm: name_of(algorithm), secret };
        let wrong = "rndcKey.secret has no key: write its name, and the secret in base64, or leave both out";
        let is_long = Name::from_ascii(format!("{}{SECOND}", material.name)).is_err();
        Some(material).filter(|material| material.is_sound() && !is_long).ok_or_else(|| wrong.to_owned())
    }

    /// The key of a user's Secret.
    pub(super) fn referenced(secret: &Value, reference: &RndcSecretRef) -> Result<Material, String> {
        let field = |key: &str| {
            let text = field(&secret["data"], key).map(|text| Zeroizing::new(text.trim().to_owned()));
            text.ok_or_else(|| format!("Secret {} has no text in `{key}`; add it", reference.name))
        };
        let (name, secret) = (field(&reference.key_name_key)?.to_string(), field(&reference.secret_key)?);
        let material = Material { name, algorithm: name_of(reference.algorithm), secret };
        if material.is_sound() {
            Ok(material)
        } else {
            Err(format!("Secret {} has no key: write its name, and the secret in base64", reference.name))
        }
    }

    /// A key as somebody has written it.
    pub(super) fn given(name: String, algorithm: String, secret: Zeroizing<String>) -> Material {
        Material { name, algorithm, secret }
    }

    /// The key of a Secret of Bindy's.
    pub(super) fn of(secret: &Value) -> Option<Material> {
        let text = |key| Some(field(secret, key)?.trim().to_owned());
        let (name, algorithm) = (text(NAME)?, text("algorithm")?);
        Some(Material { name, algorithm, secret: Zeroizing::new(text("secret")?) })
    }

    /// Whether it is a key that can be written into a text as it is.
    pub(super) fn is_sound(&self) -> bool {
        self.name.bytes().all(is_plain) && self.key().is_some() && Name::from_ascii(&self.name).is_ok()
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The key as messages are signed with it; `None` if it is none.
    pub(super) fn tsig(&self) -> Option<TsigKey> {
        Some(TsigKey::new(&Name::from_ascii(&self.name).ok()?, self.key()?, None))
    }

    /// The algorithm of the key, if it is one that keys are made for.
    pub(super) fn algorithm(&self) -> Option<RndcAlgorithm> {
        serde_json::from_value(json!(self.algorithm)).ok()
    }

    /// Whether the key is for this algorithm.
    pub(super) fn is_for(&self, algorithm: RndcAlgorithm) -> bool {
        self.algorithm == name_of(algorithm)
    }

    /// The key as programs use it; `None` if it is none.
    pub(super) fn key(&self) -> Option<Key> {
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == self.algorithm)?;
        Key::new(self.name.clone(), algorithm, &self.secret).ok()
    }
}

impl Ring {
    /// The keys in a Secret of Bindy's.
    pub(super) fn of(purpose: Purpose, data: &Value) -> Option<Ring> {
        let used = Material::of(data)?;
        let name = match purpose {
            Purpose::Control => Some(used.name.clone()),
            // One that is called as the other cannot be told from it.
            Purpose::Transfer => field(data, OTHER_NAME).map(|name| name.to_string()).filter(|name| *name != used.name),
        };
        let other = name.zip(field(data, OTHER_ALGORITHM)).zip(field(data, OTHER_SECRET));
        let other =
            other.map(|((name, algorithm), secret)| Material { name, algorithm: algorithm.to_string(), secret });
        Some(Ring { used, other })
    }

    /// The keys beside them that the Secret's file has, as it was written.
    pub(super) fn others(&self, data: &Value) -> Vec<Material> {
        let text = field(data, names::KEYS_FILE).or_else(|| field(data, names::RNDC_FILE)).unwrap_or_default();
        let second = format!("{}{SECOND}", self.used.name);
        let is_ours = |name: &str| [&self.used.name, &second].iter().any(|ours| ours.eq_ignore_ascii_case(name));
        let others = text.split("key ").filter_map(|statement| {
            let mut quoted = statement.split('"');
            let (name, algorithm, secret) = (quoted.nth(1)?, quoted.next()?, quoted.next()?);
            let algorithm = algorithm.split("algorithm").nth(1)?.split(';').next()?.trim();
            let secret = Zeroizing::new(secret.to_owned());
            Some(Material { name: name.to_owned(), algorithm: algorithm.to_owned(), secret })
        });
        others.filter(|other| !is_ours(&other.name) && other.is_sound()).collect()
    }

    /// The keys without one that has no place in this phase.
    pub(super) fn in_phase(mut self, phase: Phase) -> Ring {
        self.other = self.other.filter(|_| matches!(phase, Phase::Staged { .. } | Phase::Active));
        self
    }

    /// The keys after a step of a replacement; a new one is for this algorithm.
    ///
    /// # Errors
    /// The system gives no random octets.
    pub(super) fn then(mut self, purpose: Purpose, step: &Step, algorithm: RndcAlgorithm) -> Result<Ring, String> {
        let successor = || Material::random(purpose.successor(&self), algorithm);
        match step {
            Step::Rest(_) => {}
            Step::Stage => self.other = Some(successor()?),
            Step::Activate => {
                if let Some(other) = &mut self.other {
                    mem::swap(&mut self.used, other);
                }
            }
            Step::Settle => self.other = None,
            Step::Replace { .. } => self = Ring { used: successor()?, other: None },
        }
        Ok(self)
    }

    /// The key that pods have to answer to, if one is being replaced.
    pub(super) fn newest(&self, phase: Phase) -> Option<&Material> {
        match phase {
            Phase::Settled => None,
            Phase::Staged { .. } => self.other.as_ref(),
            Phase::Active | Phase::Revoked => Some(&self.used),
        }
    }

    /// The data of a Secret with these keys, for this purpose, and keys of others beside them; `None` for fields that are
    /// not to be there. Of several keys of a name the first counts.
    ///
    /// A key of a control channel that may be replaced has a second name, so that `named.conf` need not change with it:
    /// servers know the other key by that, or if there is none, the same key again. Those of transfers each have a name.
    pub(super) fn data(&self, purpose: Purpose, is_replaced: bool, others: &[Material]) -> Data {
        let mut all = vec![self.used.clone()];
        let second = match purpose {
            Purpose::Control => is_replaced.then(|| {
                let second = self.other.as_ref().unwrap_or(&self.used);
                Material { name: format!("{}{SECOND}", self.used.name), ..second.clone() }
            }),
            Purpose::Transfer => self.other.clone(),
        };
        for other in second.iter().chain(others) {
            if !all.iter().any(|known| known.name.eq_ignore_ascii_case(&other.name)) {
                all.push(other.clone());
            }
        }
        let names: Vec<&str> = all.iter().map(|material| material.name.as_str()).collect();
        let other = |field: fn(&Material) -> Zeroizing<String>| self.other.as_ref().map(field);
        let mut data = vec![
            (NAME, Some(Zeroizing::new(self.used.name.clone()))),
            ("algorithm", Some(Zeroizing::new(self.used.algorithm.clone()))),
            ("secret", Some(self.used.secret.clone())),
            (NAMES, Some(Zeroizing::new(names.join("\n")))),
            (OTHER_NAME, other(|it| Zeroizing::new(it.name.clone())).filter(|_| purpose == Purpose::Transfer)),
            (OTHER_ALGORITHM, other(|it| Zeroizing::new(it.algorithm.clone()))),
            (OTHER_SECRET, other(|it| it.secret.clone())),
        ];
        match purpose {
            // rndc reads a file with a single key.
            Purpose::Control => data.extend([
                (names::RNDC_FILE, Some(statements([&self.used]))),
                (names::KEYS_FILE, Some(statements(&all))),
            ]),
            Purpose::Transfer => data.push((names::TRANSFER_FILE, Some(statements(&all)))),
        }
        data.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
    }
}

/// The statements of named.conf that define keys.
fn statements<'m>(keys: impl IntoIterator<Item = &'m Material>) -> Zeroizing<String> {
    keys.into_iter().fold(Zeroizing::new(String::new()), |mut text, material| {
        let Material { name, algorithm, secret } = material;
        // Writing to a String cannot fail.
        let _ = write!(text, "key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{}\";\n}};\n", &**secret);
        text
    })
}

impl TransferKeys {
    /// The keys that there are.
    pub fn of(store: &Store) -> TransferKeys {
        let keys = store.of(Type::Secret).filter_map(|(id, secret)| {
            // Of Bindy's, only they have this field.
            field(&secret["data"], names::TRANSFER_FILE).filter(|_| !is_of_client(&secret))?;
            let Ring { used, other } = Ring::of(Purpose::Transfer, &secret["data"])?;
            let other = other.as_ref().and_then(Material::tsig);
            Some((id.clone(), [used.tsig()?].into_iter().chain(other).collect()))
        });
        TransferKeys(keys.collect())
    }

    /// The keys of the servers of a cluster, or of one on its own, that which is used first; none if there are none.
    pub fn of_owner(&self, namespace: &str, owner: &str) -> &[TsigKey] {
        let name = names::transfer_secret(owner);
        let keys = self.0.get(&ObjectId { of: Type::Secret, namespace: namespace.to_owned(), name });
        keys.map(Vec::as_slice).unwrap_or_default()
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &TsigKey> {
        self.0.values().flatten()
    }
}

/// The names of the keys in a Secret of Bindy's, that of the used one first; none if there are none.
pub fn names_of(secret: &Value) -> Vec<String> {
    let names = field(&secret["data"], NAMES).or_else(|| field(&secret["data"], NAME));
    names.map(|names| names.lines().map(|name| name.trim().to_owned()).collect()).unwrap_or_default()
}

/// The name of the key that is used, whatever else is wrong with it.
pub(super) fn name_of_used(data: &Value) -> Option<String> {
    let name = field(data, NAME)?.trim().to_owned();
    let is_plain = Name::from_ascii(&name).is_ok() && name.bytes().all(is_plain);
    is_plain.then_some(name)
}

/// Whether a key's name that has this can be written into a text as it is.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-_.".contains(&octet)
}

/// The key of a Secret's data that has the name of the key that is used.
const NAME: &str = "key-name";
/// The key of a Secret's data that has the names of all keys, each in a line.
const NAMES: &str = "key-names";

/// The keys of the data that have the key beside the one that is used.
const OTHER_NAME: &str = "other-key-name";
const OTHER_ALGORITHM: &str = "other-algorithm";
const OTHER_SECRET: &str = "other-secret";
/// What follows a key's name in its second name.
const SECOND: &str = "-other";

/// The algorithm that a template says.
pub(super) fn algorithm_of(template: &SecretTemplate) -> Option<RndcAlgorithm> {
    text_of(template, "algorithm").and_then(|name| serde_json::from_value(json!(*name)).ok())
}

/// A text of a template's data. What is said as text goes before what is said in base64, as with Secrets.
fn text_of(template: &SecretTemplate, key: &str) -> Option<Zeroizing<String>> {
    let text = template.string_data.as_ref().and_then(|data| data.get(key)).cloned().map(Zeroizing::new);
    let text = text.or_else(|| template.data.as_ref().and_then(|data| field(&json!(data), key)));
    text.map(|text| Zeroizing::new(text.trim().to_owned()))
}

/// The name of an algorithm (RFC 8945 6).
fn name_of(algorithm: RndcAlgorithm) -> String {
    json!(algorithm).as_str().unwrap_or("hmac-sha256").to_owned()
}

/// The text of a field of a Secret's data.
pub(super) fn field(data: &Value, key: &str) -> Option<Zeroizing<String>> {
    let octets = BASE64.decode(data.get(key)?.as_str()?.as_bytes()).ok()?;
    String::from_utf8(octets).ok().map(Zeroizing::new)
}
