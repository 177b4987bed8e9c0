//! The TSIG keys of clients, which write into zones. They are Secrets of their owners, beside the servers; nothing here
//! writes them, and no server uses them for itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bindy_server::tsig::TsigKey;
use serde_json::Value;
use zeroize::Zeroizing;
use zonefmt::Name;

use super::{
    TransferKeys,
    material::{Material, field},
};
use crate::{
    api::KeyRef,
    cluster::Store,
    object::{ObjectId, Type},
    render::names,
    servers::ALLOW_ZONE_NAMESPACES,
};

/// The keys of clients.
#[derive(Default)]
pub struct ClientKeys(BTreeMap<ObjectId, ClientKey>);

/// A key, and whose zones may name it.
struct ClientKey {
    key: Result<TsigKey, KeyFault>,
    /// `*` for those of all namespaces.
    namespaces: BTreeSet<String>,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFault {
    /// There is none, or it is not for zones of this namespace; which of both is nobody else's business.
    Absent,
    /// It has no key.
    Unsound,
    /// Another key has the same name.
    Repeated,
}

/// The label of a Secret that says whose key it has, and what it says there of clients' keys.
const LABEL: (&str, &str) = ("bindy.firestoned.io/key", "client");

impl ClientKeys {
    /// The keys that were seen.
    pub fn of(store: &Store) -> ClientKeys {
        let secrets = store.of(Type::Secret).filter(|(_, secret)| is_of_client(secret));
        let mut keys: BTreeMap<ObjectId, ClientKey> =
            secrets.map(|(id, secret)| (id.clone(), ClientKey::read(&id.name, &secret))).collect();
        // By its name, nobody could tell which of them it is.
        let mut names: BTreeMap<Name, usize> = BTreeMap::new();
        let own = TransferKeys::of(store);
        let all = own.iter().chain(keys.values().filter_map(|key| key.key.as_ref().ok()));
        for key in all {
            *names.entry(key.name().to_lowercase()).or_default() += 1;
        }
        for client in keys.values_mut() {
            if client.key.as_ref().is_ok_and(|key| names.get(&key.name().to_lowercase()) != Some(&1)) {
                client.key = Err(KeyFault::Repeated);
            }
        }
        ClientKeys(keys)
    }

    /// The key that a zone of this namespace names.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn named(&self, namespace: &str, key: &KeyRef) -> Result<&TsigKey, KeyFault> {
        let id = ObjectId { of: Type::Secret, namespace: key.namespace.clone(), name: key.name.clone() };
        let client = self.0.get(&id).filter(|client| client.is_for(namespace)).ok_or(KeyFault::Absent)?;
        client.key.as_ref().map_err(|fault| *fault)
    }

    /// All that can be used.
    pub fn iter(&self) -> impl Iterator<Item = &TsigKey> {
        self.0.values().filter_map(|client| client.key.as_ref().ok())
    }
}

/// Whether a Secret has the key of a client, and none of Bindy's.
pub(super) fn is_of_client(secret: &Value) -> bool {
    secret["metadata"]["labels"][LABEL.0] == LABEL.1
}

impl ClientKey {
    fn read(name: &str, secret: &Value) -> ClientKey {
        let text = |key| field(&secret["data"], key).map(|text| text.trim().to_owned());
        let bytes = || field(&secret["data"], "secret").map(|text| Zeroizing::new(text.trim().to_owned()));
        let of_clients = secret["metadata"]["annotations"][ALLOW_ZONE_NAMESPACES].as_str().unwrap_or_default();
        let namespaces = of_clients.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let name = text("key-name").unwrap_or_else(|| name.to_owned());
        let algorithm = text("algorithm").unwrap_or_else(|| "hmac-sha256".to_owned());
        let material = bytes().map(|secret| Material::given(name, algorithm, secret));
        let key = material.filter(Material::is_sound).and_then(|material| material.tsig());
        ClientKey { key: key.ok_or(KeyFault::Unsound), namespaces: namespaces.collect() }
    }

    fn is_for(&self, namespace: &str) -> bool {
        self.namespaces.contains("*") || self.namespaces.contains(namespace)
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFault::Absent => write!(
                f,
                "there is no Secret of this name with the labels {}={} and {}={} whose annotation \
                 {ALLOW_ZONE_NAMESPACES} has this namespace; create one beside the servers, or open one",
                names::PART_OF.0, names::PART_OF.1, LABEL.0, LABEL.1
            ),
            KeyFault::Unsound => f.write_str(
                "the Secret has no key; write `algorithm`, such as hmac-sha256, and `secret` in base64, and perhaps `key-name`",
            ),
            KeyFault::Repeated => f.write_str("another key has the same name; give one of them another `key-name`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use serde_json::json;

    use super::*;
    use crate::cluster::Seen;

    /// A cluster with these Secrets: names, namespaces that may name them, and names and secrets of keys.
    fn keys(secrets: &[(&str, &str, &str, &str)]) -> ClientKeys {
        let mut store = Store::default();
        for (name, open_to, key, secret) in secrets {
            let id = ObjectId { of: Type::Secret, namespace: "dns".into(), name: (*name).into() };
            let base64 = |text: &str| BASE64.encode(text.as_bytes());
            let object = json!({
                "metadata": { "labels": { LABEL.0: LABEL.1 }, "annotations": { ALLOW_ZONE_NAMESPACES: open_to } },
                "data": { "key-name": base64(key), "algorithm": base64("hmac-sha256"), "secret": base64(secret) },
            });
            store.take(Seen::Put(id, (&object).into()), &mut BTreeSet::new());
        }
        ClientKeys::of(&store)
    }

    fn named(keys: &ClientKeys, namespace: &str, name: &str) -> Result<String, KeyFault> {
        let reference = KeyRef { namespace: "dns".into(), name: name.into() };
        keys.named(namespace, &reference).map(|key| key.name().to_string())
    }

    #[test]
    fn zones_name_the_keys_that_are_open_to_them() {
        const SECRET: &str = "c2VjcmV0IG9mIGEgY2xpZW50";
        let keys = keys(&[
            ("a", "web, shop", "key.a", SECRET),
            ("all", "*", "key.all", SECRET),
            ("none", "", "key.none", SECRET),
            ("bad", "web", "key.bad", "no base64!"),
            ("one", "web", "same", SECRET),
            ("two", "*", "SAME", SECRET),
        ]);
        assert_eq!(named(&keys, "web", "a").as_deref(), Ok("key.a."));
        assert_eq!(named(&keys, "shop", "a").as_deref(), Ok("key.a."));
        assert_eq!(named(&keys, "mail", "a"), Err(KeyFault::Absent));
        assert_eq!(named(&keys, "mail", "all").as_deref(), Ok("key.all."));
        assert_eq!(named(&keys, "web", "none"), Err(KeyFault::Absent));
        assert_eq!(named(&keys, "web", "bad"), Err(KeyFault::Unsound));
        assert_eq!(named(&keys, "mail", "bad"), Err(KeyFault::Absent), "that is not theirs to know");
        assert_eq!(named(&keys, "web", "one"), Err(KeyFault::Repeated));
        assert_eq!(named(&keys, "web", "two"), Err(KeyFault::Repeated));
        assert_eq!(keys.iter().count(), 3);
    }
}
