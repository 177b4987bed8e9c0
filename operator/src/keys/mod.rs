//! `bindy keys`: makes the Secrets with keys that servers need. It is a program of its own because it alone may write
//! Secrets; it reads declarations and never serves anything.
//!
//! Each server has a key for `rndc`, and each cluster one for transfers from the hidden primary; a server without a
//! cluster has its own of that, too. `material` makes keys and writes them down, [`TransferKeys`] reads them.

mod material;
mod wanted;

pub use material::{TransferKeys, name_of};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use kube::{Client, api::PostParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    api::Kind,
    cluster::{Seen, Store, Text, Watched, Watches, api, terminated},
    object::{Object, ObjectId, Type},
    render::names,
    terminal::say,
};
use material::Material;
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(KeysError::Start)?;
    runtime.block_on(async {
        let client = Client::try_default().await.map_err(|error| KeysError::Client(Box::new(error)))?;
        tokio::select! {
            () = serve(client) => {}
            () = terminated() => {}
        }
        Ok(())
    })
}

async fn serve(client: Client) {
    let mut watches = Watches::new(client.clone());
    for kind in KINDS {
        watches.watch(Type::Own(kind), "");
    }
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
        if KINDS.iter().any(|kind| !store.is_listed(Type::Own(*kind), "")) {
            continue;
        }
        let before = std::mem::take(&mut failed);
        for wanted in wanted::of(&store) {
            // Secrets are seen only in namespaces where somebody allows it.
            watches.watch(Type::Secret, &wanted.id.namespace);
            if !store.is_listed(Type::Secret, &wanted.id.namespace) || store.has(&wanted.id) {
                continue;
            }
            let id = wanted.id.clone();
            match make(&client, wanted).await {
                Ok(made) => {
                    if let Some(secret) = made {
                        say(&format!("{id} is made"));
                        store.take(Seen::Put(id, Text::from(&secret)), &mut BTreeSet::new());
                    }
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

/// Makes a Secret; `None` if there is one already, which is left as it is.
async fn make(client: &Client, wanted: Wanted) -> Result<Option<Value>, String> {
    let Wanted { id, owner, from, file } = wanted;
    let material = match from {
        From::Chance(name) => Material::random(name)?,
        From::Secret(reference) => {
            let secret = api(client, Type::Secret, &id.namespace).get(&reference.name).await;
            let secret = secret.map_err(|error| format!("Secret {}/{}: {error}", id.namespace, reference.name))?;
            Material::referenced(&secret.data["data"], &reference)?
        }
    };
    let metadata = json!({ "labels": { names::PART_OF.0: names::PART_OF.1 }, "ownerReferences": [owner] });
    let namespace = id.namespace.clone();
    let secret = Object::new(id, metadata, json!({ "type": "Opaque", "stringData": material.data(file) }));
    let secret = serde_json::from_value(secret.body).map_err(|error| error.to_string())?;
    match api(client, Type::Secret, &namespace).create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(Some(Value::Null)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error.to_string()),
    }
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
