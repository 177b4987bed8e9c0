//! Keys as Secrets have them: their names, algorithms and secrets, and the statements of named.conf that say all of it.

use std::{collections::BTreeMap, fmt::Write};

use bindy_server::{
    keys::{Algorithm, Key},
    tsig::TsigKey,
};
use data_encoding::BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;
use zonefmt::Name;

use crate::{
    api::keys::{RndcAlgorithm, RndcSecretRef},
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

/// The keys of transfers.
#[derive(Default)]
pub struct TransferKeys(BTreeMap<ObjectId, TsigKey>);

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

    /// The key of a Secret of Bindy's.
    pub(super) fn of(secret: &Value) -> Option<Material> {
        let text = |key| Some(field(secret, key)?.trim().to_owned());
        let (name, algorithm) = (text("key-name")?, text("algorithm")?);
        Some(Material { name, algorithm, secret: Zeroizing::new(text("secret")?) })
    }

    /// Whether it is a key that can be written into a text as it is.
    pub(super) fn is_sound(&self) -> bool {
        let is_plain = self.name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
        is_plain && self.key().is_some() && Name::from_ascii(&self.name).is_ok()
    }

    /// Whether the key is for this algorithm.
    pub(super) fn is_for(&self, algorithm: RndcAlgorithm) -> bool {
        self.algorithm == name_of(algorithm)
    }

    /// The data of a Secret with this key, and others beside it; `file` is where their statements go. Of several keys of
    /// a name the first counts.
    pub(super) fn data(&self, others: &[Material], file: &str) -> BTreeMap<String, Zeroizing<String>> {
        let mut all: Vec<&Material> = vec![self];
        for other in others {
            if !all.iter().any(|known| known.name.eq_ignore_ascii_case(&other.name)) {
                all.push(other);
            }
        }
        let statements = all.iter().fold(Zeroizing::new(String::new()), |mut text, material| {
            let Material { name, algorithm, secret } = material;
            // Writing to a String cannot fail.
            let _ = write!(text, "key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{}\";\n}};\n", &**secret);
            text
        });
        let names: Vec<&str> = all.iter().map(|material| material.name.as_str()).collect();
        let fields = [
            ("key-name", Zeroizing::new(self.name.clone())),
            ("algorithm", Zeroizing::new(self.algorithm.clone())),
            ("secret", self.secret.clone()),
            (NAMES, Zeroizing::new(names.join("\n"))),
            (file, statements),
        ];
        fields.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
    }

    fn key(&self) -> Option<Key> {
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == self.algorithm)?;
        Key::new(self.name.clone(), algorithm, &self.secret).ok()
    }
}

impl TransferKeys {
    /// The keys that there are.
    pub fn of(store: &Store) -> TransferKeys {
        let keys = store.of(Type::Secret).filter_map(|(id, secret)| {
            // Only they have this field.
            field(&secret["data"], "transfer.key")?;
            let material = Material::of(&secret["data"])?;
            let name = Name::from_ascii(&material.name).ok()?;
            Some((id.clone(), TsigKey::new(&name, material.key()?, None)))
        });
        TransferKeys(keys.collect())
    }

    /// The key of the servers of a cluster, or of one on its own.
    pub fn find(&self, namespace: &str, owner: &str) -> Option<&TsigKey> {
        let name = names::transfer_secret(owner);
        self.0.get(&ObjectId { of: Type::Secret, namespace: namespace.to_owned(), name })
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &TsigKey> {
        self.0.values()
    }
}

/// The names of the keys in a Secret of Bindy's; none if there are none.
pub fn names_of(secret: &Value) -> Vec<String> {
    let names = field(&secret["data"], NAMES).or_else(|| field(&secret["data"], "key-name"));
    names.map(|names| names.lines().map(|name| name.trim().to_owned()).collect()).unwrap_or_default()
}

/// The key of a Secret's data that has the names of all keys, each in a line.
const NAMES: &str = "key-names";

/// The name of an algorithm (RFC 8945 6).
fn name_of(algorithm: RndcAlgorithm) -> String {
    json!(algorithm).as_str().unwrap_or("hmac-sha256").to_owned()
}

/// The text of a field of a Secret's data.
pub(super) fn field(data: &Value, key: &str) -> Option<Zeroizing<String>> {
    let octets = BASE64.decode(data.get(key)?.as_str()?.as_bytes()).ok()?;
    String::from_utf8(octets).ok().map(Zeroizing::new)
}
