//! `bindy keys`: makes the Secrets with keys that servers need. It is a program of its own because it alone may write
//! Secrets; it reads declarations and never serves anything.
//!
//! Each server has a key for `rndc`, and each cluster one for transfers from the hidden primary; a server without a
//! cluster has its own of that, too. What a user gives in a Secret of another name and form is written as servers read it,
//! and follows that Secret. `material` makes keys and writes them down, [`TransferKeys`] reads them.

mod material;
mod wanted;

pub use material::{TransferKeys, names_of};
pub(crate) use wanted::given;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use kube::{
    Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{
    api::{Kind, keys::RndcSecretRef},
    cluster::{self, Namespaces, Seen, Store, Text, Watched, Watches, collection, terminated, why},
    object::{Object, ObjectId, Type},
    render::names,
    terminal::{begin_log, say},
};
use material::{Material, field};
use wanted::{From, Wanted};

/// The arguments of `bindy keys`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {}

/// Why `bindy keys` ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeysError {
    /// There is no cluster to be found.
    Client(Box<kube::Error>),
    /// The program cannot start its threads.
    Start(std::io::Error),
}

/// After how long what failed is tried again.
const RETRY: Duration = Duration::from_secs(2);

const KINDS: [Kind; 3] = [Kind::PROVIDER, Kind::CLUSTER, Kind::INSTANCE];

/// Makes keys until SIGINT or SIGTERM.
pub fn run(_: &Options) -> Result<(), KeysError> {
    begin_log();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(KeysError::Start)?;
    runtime.block_on(async {
        let client = cluster::client().await.map_err(|error| KeysError::Client(Box::new(error)))?;
        tokio::select! {
            () = serve(client) => {}
            () = terminated() => {}
        }
        Ok(())
    })
}

async fn serve(client: Client) {
    let mut watches = Watches::new(client.clone());
    let namespaces = Namespaces::from_environment(&[]);
    let places =
        || KINDS.map(Type::Own).into_iter().flat_map(|of| namespaces.of(of).map(move |namespace| (of, namespace)));
    places().for_each(|(of, namespace)| watches.watch(of, namespace));
    let (mut store, mut failed): (Store, BTreeMap<ObjectId, String>) = (Store::default(), BTreeMap::new());
    let mut told: BTreeMap<Watched, String> = BTreeMap::new();
    say("Watching for servers without keys.");
    loop {
        match timeout(RETRY, watches.next()).await {
            Ok(batch) => {
                for (watched, why) in batch.failures {
                    // It is tried again and again, and told once.
                    if told.get(&watched) != Some(&why) {
                        say(&format!("cannot watch {watched}: {why}"));
                        told.insert(watched, why);
                    }
                }
                batch.seen.into_iter().for_each(|seen| store.take(seen, &mut BTreeSet::new()));
            }
            Err(_) if failed.is_empty() => continue,
            Err(_) => {}
        }
        if places().any(|(of, namespace)| !store.is_listed(of, namespace)) {
            continue;
        }
        let all = wanted::of(&store);
        let given: BTreeSet<ObjectId> = all.iter().flat_map(Wanted::given).collect();
        watches.watch_these(&given);
        store.retain(&given);
        let before = std::mem::take(&mut failed);
        for wanted in &all {
            // Secrets are seen only in namespaces where somebody allows it.
            watches.watch(Type::Secret, &wanted.id.namespace);
            if !store.is_listed(Type::Secret, &wanted.id.namespace) {
                continue;
            }
            let outcome = match due(wanted, &store) {
                Ok(None) => continue,
                Ok(Some(due)) => write(&client, wanted, due).await,
                Err(why) => Err(why),
            };
            let id = wanted.id.clone();
            match outcome {
                Ok(what) => {
                    say(&format!("{id} {what}"));
                    // What it is now will be seen, if it is Bindy's.
                    store.take(Seen::Put(id, Text::from(&Value::Null)), &mut BTreeSet::new());
                }
                Err(why) => {
                    if before.get(&id) != Some(&why) {
                        say(&format!("{id} cannot be made: {why}"));
                    }
                    failed.insert(id, why);
                }
            }
        }
    }
}

/// What is to be done about a Secret.
struct Due {
    /// Its key; `None` if that is still to be found or made.
    material: Option<Material>,
    others: Vec<Material>,
    /// Whether the Secret is there.
    exists: bool,
}

/// The annotation with the name of the Secret that a key was taken from, in our group.
const KEY_FROM: &str = "key-from";

/// What is to be done about a Secret; `None` if nothing, or if it is not known yet.
///
/// # Errors
/// A Secret of a user's that is not there, or has no key.
fn due(wanted: &Wanted, store: &Store) -> Result<Option<Due>, String> {
    let there = store.get(&wanted.id);
    if there.as_ref().is_some_and(Value::is_null) {
        // It was written a moment ago, or is not Bindy's.
        return Ok(None);
    }
    let find = |reference: &RndcSecretRef| match store.find(&wanted.secret(&reference.name)) {
        None => Ok(None),
        Some(None) => Err(format!("there is no Secret {}/{}; create it", wanted.id.namespace, reference.name)),
        Some(Some(secret)) => Material::referenced(&secret, reference).map(Some),
    };
    let mut others = Vec::new();
    for reference in &wanted.others {
        match find(reference) {
            Ok(Some(other)) => others.push(other),
            Ok(None) => return Ok(None),
            // A server without any key would not start.
            Err(_) if there.is_none() => {}
            Err(why) => return Err(why),
        }
    }
    let known = there.as_ref().and_then(|there| Material::of(&there["data"]));
    let material = match &wanted.from {
        From::Secret(reference) => match find(reference)? {
            Some(material) => Some(material),
            None => return Ok(None),
        },
        From::Chance { algorithm, former, .. } => known.filter(|known| {
            let from =
                there.as_ref().and_then(|there| there["metadata"]["annotations"][names::ours(KEY_FROM)].as_str());
            from.is_none_or(|from| Some(from) == former.as_deref())
                && algorithm.is_none_or(|algorithm| known.is_for(algorithm))
        }),
    };
    let is_as_wanted = |there: &Value| {
        let data = material.as_ref().map(|material| material.data(&others, wanted.file));
        let is_there = |(key, text): (&String, &Zeroizing<String>)| field(&there["data"], key).as_ref() == Some(text);
        data.is_some_and(|data| data.iter().all(is_there))
    };
    Ok((!there.as_ref().is_some_and(is_as_wanted)).then_some(Due { material, others, exists: there.is_some() }))
}

/// Makes a Secret what it is to be; returns what was done. One that somebody else has made is left as it is.
async fn write(client: &Client, wanted: &Wanted, due: Due) -> Result<&'static str, String> {
    let Wanted { id, owner, from, file, .. } = wanted;
    let secrets = collection(client, Type::Secret, &id.namespace);
    let Due { material, others, exists } = due;
    let (material, source) = match (material, from) {
        (Some(material), From::Secret(reference)) => (material, Some(reference.name.clone())),
        (Some(material), From::Chance { .. }) => (material, None),
        (None, From::Chance { name, algorithm, former }) => {
            let former = former.as_ref().filter(|_| !exists);
            match former_key(client, &id.namespace, former).await? {
                Some(material) => (material, former.cloned()),
                None => (Material::random(name.clone(), algorithm.unwrap_or_default())?, None),
            }
        }
        (None, From::Secret(reference)) => return Err(format!("Secret {} is not read yet", reference.name)),
    };
    let data: BTreeMap<String, String> =
        material.data(&others, file).iter().map(|(key, text)| (key.clone(), text.to_string())).collect();
    let annotations = json!({ names::ours(KEY_FROM): source });
    if exists {
        let change = json!({ "metadata": { "annotations": annotations }, "stringData": data });
        let written = secrets.patch(&id.name, &PatchParams::default(), &Patch::Merge(&change)).await;
        return written.map(|_| "is written anew").map_err(|error| why(&error));
    }
    let mut metadata = json!({ "labels": { names::PART_OF.0: names::PART_OF.1 }, "ownerReferences": [owner] });
    if source.is_some() {
        metadata["annotations"] = annotations;
    }
    let secret = Object::new(id.clone(), metadata, json!({ "type": "Opaque", "stringData": data }));
    let secret = serde_json::from_value(secret.body).map_err(|error| error.to_string())?;
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok("is made"),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Ok("is there and has not the label app.kubernetes.io/part-of=bindy, so that it stays as it is")
        }
        Err(error) => Err(why(&error)),
    }
}

/// The key of a server that a former version has made in a Secret of another name.
async fn former_key(client: &Client, namespace: &str, former: Option<&String>) -> Result<Option<Material>, String> {
    let Some(former) = former else { return Ok(None) };
    let secret = collection(client, Type::Secret, namespace).get_opt(former).await.map_err(|error| why(&error))?;
    // What is no key is somebody else's business.
    Ok(secret.and_then(|secret| Material::of(&secret.data["data"])).filter(Material::is_sound))
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeysError::Client(error) => {
                write!(f, "no cluster: {error}; run this in a pod, or name a kubeconfig in KUBECONFIG")
            }
            KeysError::Start(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for KeysError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            KeysError::Client(error) => Some(error),
            KeysError::Start(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;

    fn id(of: Type, name: &str) -> ObjectId {
        ObjectId { of, namespace: "dns".into(), name: name.into() }
    }

    /// A Secret with these fields as an API server has it.
    fn secret(fields: &BTreeMap<String, Zeroizing<String>>) -> Value {
        let data: BTreeMap<&String, String> =
            fields.iter().map(|(key, text)| (key, BASE64.encode(text.as_bytes()))).collect();
        json!({ "metadata": {}, "data": data })
    }

    fn a_users(name: &str, octets: &[u8]) -> Value {
        let fields = [("name", name.to_owned()), ("secret", BASE64.encode(octets))];
        secret(&fields.map(|(key, text)| (key.to_owned(), Zeroizing::new(text))).into())
    }

    /// The servers of a cluster whose role and instance say this of keys.
    fn declared(cluster: &Value, instance: &Value) -> Store {
        let mut store = Store::default();
        let mut spec = json!({ "clusterRef": "ns", "role": "primary" });
        spec.as_object_mut().unwrap().extend(instance.as_object().unwrap().clone());
        for (kind, name, spec) in [(Kind::CLUSTER, "ns", cluster), (Kind::INSTANCE, "a", &spec)] {
            let object = json!({ "metadata": { "name": name, "namespace": "dns", "uid": "0" }, "spec": spec });
            store.take(Seen::Put(id(Type::Own(kind), name), Text::from(&object)), &mut BTreeSet::new());
        }
        store
    }

    fn rndc(store: &Store) -> Wanted {
        wanted::of(store).into_iter().find(|wanted| wanted.id.name == "a-rndc-key").unwrap()
    }

    /// What is to be done, as the data that is to be written.
    fn data(wanted: &Wanted, store: &Store) -> Result<Option<BTreeMap<String, Zeroizing<String>>>, String> {
        Ok(due(wanted, store)?.map(|due| due.material.map(|it| it.data(&due.others, "rndc.key")).unwrap_or_default()))
    }

    #[test]
    fn the_secret_that_is_named_nearest_to_a_server_counts() {
        let (one, two) = (json!({ "name": "one" }), json!({ "name": "two" }));
        let cluster = |role: Value, global: Value| json!({ "primary": role, "global": global });
        let none = || json!({});
        let cases = [
            (cluster(none(), json!({ "rndcSecretRef": one })), none(), Some("one")),
            (cluster(json!({ "rndcSecretRef": two }), json!({ "rndcSecretRef": one })), none(), Some("two")),
            (cluster(json!({ "rndcKey": { "secretRef": two } }), none()), none(), Some("two")),
            (cluster(json!({ "rndcKeys": { "secretRef": two } }), none()), none(), Some("two")),
            (cluster(json!({ "rndcSecretRef": two }), none()), json!({ "rndcSecretRef": one }), Some("one")),
            (cluster(json!({ "rndcSecretRef": two }), none()), json!({ "rndcKey": { "secretRef": one } }), Some("one")),
            (cluster(json!({ "rndcKey": { "algorithm": "hmac-sha512" } }), none()), none(), None),
        ];
        for (cluster, instance, name) in cases {
            let wanted = rndc(&declared(&cluster, &instance));
            let given: Vec<String> = wanted.given().map(|id| id.name).collect();
            assert_eq!(given, name.into_iter().collect::<Vec<_>>(), "{cluster} {instance}");
        }
    }

    #[test]
    fn a_key_is_as_long_as_what_its_algorithm_makes_and_another_algorithm_makes_another_key() {
        let role = |algorithm: &str| json!({ "primary": { "rndcKey": { "algorithm": algorithm } } });
        for (algorithm, octets) in
            [("hmac-sha1", 20), ("hmac-sha224", 28), ("hmac-sha256", 32), ("hmac-sha384", 48), ("hmac-sha512", 64)]
        {
            let mut store = declared(&role(algorithm), &json!({}));
            let wanted = rndc(&store);
            let From::Chance { name, algorithm: Some(declared), .. } = &wanted.from else { panic!("{algorithm}") };
            assert_eq!(data(&wanted, &store), Ok(Some(BTreeMap::new())));
            let made = Material::random(name.clone(), *declared).unwrap().data(&[], "rndc.key");
            assert_eq!(BASE64.decode(made["secret"].as_bytes()).unwrap().len(), octets);
            assert!(made["rndc.key"].contains(&format!("algorithm {algorithm};")));
            store.take(Seen::Put(wanted.id.clone(), Text::from(&secret(&made))), &mut BTreeSet::new());
            assert_eq!(data(&wanted, &store), Ok(None));
            let other = if algorithm == "hmac-sha1" { "hmac-sha512" } else { "hmac-sha1" };
            let other = rndc(&self::declared(&role(other), &json!({})));
            assert_eq!(data(&other, &store), Ok(Some(BTreeMap::new())), "a new one is made");
            let any = rndc(&self::declared(&json!({ "primary": {} }), &json!({})));
            assert_eq!(data(&any, &store), Ok(None), "nobody asks for another");
        }
    }

    /// Its `named.conf` stays as it is, and names that key.
    #[test]
    fn a_server_whose_cluster_is_gone_or_cannot_be_read_keeps_its_key() {
        let has_key = |store: &Store| wanted::of(store).iter().any(|wanted| wanted.id.name == "a-rndc-key");
        let mut store = declared(&json!({ "primary": { "rndcSecretRef": { "name": "mine" } } }), &json!({}));
        assert!(has_key(&store));
        store.take(Seen::Gone(id(Type::Own(Kind::CLUSTER), "ns")), &mut BTreeSet::new());
        assert!(!has_key(&store));
        assert!(!has_key(&declared(&json!({ "primary": { "rndcKey": { "algorithm": "hmac-md5" } } }), &json!({}))));
    }

    #[test]
    fn a_key_is_that_of_what_is_in_force() {
        let mut store = declared(&json!({ "primary": {} }), &json!({}));
        let before = json!({ "primary": { "rndcSecretRef": { "name": "mine" } } });
        let mut cluster = store.get(&id(Type::Own(Kind::CLUSTER), "ns")).unwrap();
        cluster["spec"] = json!({ "primary": { "rndcKey": { "algorithm": "hmac-md5" } } });
        cluster["status"] = json!({ "inForce": before.to_string() });
        store.take(Seen::Put(id(Type::Own(Kind::CLUSTER), "ns"), Text::from(&cluster)), &mut BTreeSet::new());
        let given: Vec<String> = rndc(&store).given().map(|id| id.name).collect();
        assert_eq!(given, ["mine"]);
    }

    #[test]
    fn keys_follow_the_secrets_of_users() {
        let reference = json!({ "name": "mine", "keyNameKey": "name", "algorithm": "hmac-sha384" });
        let more = json!([{ "name": "more", "keyNameKey": "name" }]);
        let mut store = declared(&json!({ "rndcSecretRefs": more }), &json!({ "rndcKey": { "secretRef": reference } }));
        let wanted = rndc(&store);
        let put = |store: &mut Store, id: ObjectId, object: Value| {
            store.take(Seen::Put(id, Text::from(&object)), &mut BTreeSet::new());
        };
        assert_eq!(data(&wanted, &store), Ok(None), "nobody has looked yet");
        for name in ["mine", "more"] {
            store.take(Seen::One(id(Type::GivenSecret, name), None), &mut BTreeSet::new());
        }
        assert_eq!(data(&wanted, &store), Err("there is no Secret dns/mine; create it".into()));
        put(&mut store, id(Type::GivenSecret, "mine"), a_users("k", b"one"));
        let first = data(&wanted, &store).unwrap().unwrap();
        assert_eq!((&*first["key-name"], &*first["algorithm"]), (&"k".to_owned(), &"hmac-sha384".to_owned()));
        put(&mut store, wanted.id.clone(), secret(&first));
        assert_eq!(data(&wanted, &store), Err("there is no Secret dns/more; create it".into()));
        put(&mut store, id(Type::GivenSecret, "more"), a_users("l", b"three"));
        let second = data(&wanted, &store).unwrap().unwrap();
        assert_eq!(second["rndc.key"].matches("key \"").count(), 2);
        put(&mut store, wanted.id.clone(), secret(&second));
        assert_eq!(data(&wanted, &store), Ok(None));
        assert_eq!(names_of(&store.get(&wanted.id).unwrap()), ["k", "l"]);
        put(&mut store, id(Type::GivenSecret, "mine"), a_users("k", b"two"));
        assert_eq!(*data(&wanted, &store).unwrap().unwrap()["secret"], BASE64.encode(b"two"));
        for name in ["a\"; };", "", "a b"] {
            put(&mut store, id(Type::GivenSecret, "mine"), a_users(name, b"two"));
            assert!(data(&wanted, &store).is_err(), "{name}");
        }
    }
}
