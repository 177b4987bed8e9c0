//! Keys as Secrets have them: their names, algorithms and secrets, and the statement of named.conf that says all of it.

use std::collections::BTreeMap;

use bindy_server::{
    keys::{Algorithm, Key},
    tsig::TsigKey,
};
use data_encoding::BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;
use zonefmt::Name;

use crate::{
    api::keys::RndcSecretRef,
    cluster::Store,
    object::{ObjectId, Type},
    render::names,
};

/// A key.
pub(super) struct Material {
    name: String,
    algorithm: String,
    /// In base64.
    secret: Zeroizing<String>,
}

/// The keys of transfers.
pub struct TransferKeys(BTreeMap<ObjectId, TsigKey>);

/// How many octets a secret has: as many as what HMAC-SHA256 makes (RFC 2104 3).
const OCTETS: usize = 32;

impl Material {
    /// A new key.
    pub(super) fn random(name: String) -> Result<Material, String> {
        let mut secret = Zeroizing::new([0; OCTETS]);
        getrandom::fill(&mut *secret).map_err(|error| format!("no random octets: {error}"))?;
        let (algorithm, secret) = ("hmac-sha256".to_owned(), Zeroizing::new(BASE64.encode(&*secret)));
        Ok(Material { name, algorithm, secret })
    }

    /// The key of a user's Secret.
    pub(super) fn referenced(secret: &Value, reference: &RndcSecretRef) -> Result<Material, String> {
        let field = |key: &str| {
            field(secret, key).ok_or_else(|| format!("Secret {} has no text in `{key}`; add it", reference.name))
        };
        let (name, secret) = (field(&reference.key_name_key)?, field(&reference.secret_key)?);
        let algorithm = json!(reference.algorithm).as_str().unwrap_or("hmac-sha256").to_owned();
        let material = Material { name: name.trim().to_owned(), algorithm, secret };
        let is_sound = material.key().is_some() && Name::from_ascii(&material.name).is_ok();
        if is_sound {
            Ok(material)
        } else {
            Err(format!("Secret {} has no key: write its name, and the secret in base64", reference.name))
        }
    }

    fn of(secret: &Value) -> Option<Material> {
        let text = |key| Some(field(secret, key)?.trim().to_owned());
        Some(Material { name: text("key-name")?, algorithm: text("algorithm")?, secret: field(secret, "secret")? })
    }

    /// The data of a Secret; `file` is where the statement goes.
    pub(super) fn data(&self, file: &str) -> Value {
        let Material { name, algorithm, secret } = self;
        let secret = secret.trim();
        let statement = format!("key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{secret}\";\n}};\n");
        json!({ "key-name": name, "algorithm": algorithm, "secret": secret, file: statement })
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

/// The name of the key in a Secret.
pub fn name_of(secret: &Value) -> Option<String> {
    Some(field(&secret["data"], "key-name")?.trim().to_owned())
}

/// The text of a field of a Secret's data.
fn field(data: &Value, key: &str) -> Option<Zeroizing<String>> {
    let octets = BASE64.decode(data.get(key)?.as_str()?.as_bytes()).ok()?;
    String::from_utf8(octets).ok().map(Zeroizing::new)
}
