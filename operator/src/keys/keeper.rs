//! Watches declarations and Secrets, and makes the Secrets what they are to be.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use kube::{
    Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    KINDS,
    due::{self, Change, Due},
    material::{Material, Ring},
    proofs::{Proofs, Question},
    rotation::Record,
    wanted::{self, From, Wanted},
};
use crate::{
    cluster::{Batch, Namespaces, Seen, Store, Text, Unseen, Watched, Watches, collection, stored, why},
    object::{Object, ObjectId, Type},
    render::names,
    rounds::Rounds,
    terminal::{Once, say},
};

/// How often to look whether the time of something has come, and to try again what failed.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait before more is said for the same reason, so that not each pod that answers is one more write.
const DETAILS: Duration = Duration::from_secs(60);

/// The one who makes keys.
struct Keeper {
    client: Client,
    namespaces: Namespaces,
    store: Store,
    /// What should be there; made anew when something was seen.
    wanted: Vec<Wanted>,
    proofs: Proofs,
    /// What could not be done, and why.
    failed: BTreeMap<ObjectId, String>,
    /// When Secrets were changed last.
    changed: BTreeMap<ObjectId, Instant>,
    once: Once,
}

/// Makes keys, for ever.
pub(super) async fn serve(client: Client) {
    let mut keeper = Keeper {
        client: client.clone(),
        namespaces: Namespaces::from_environment(&[]),
        store: Store::default(),
        wanted: Vec::new(),
        proofs: Proofs::default(),
        failed: BTreeMap::new(),
        changed: BTreeMap::new(),
        once: Once::default(),
    };
    let (mut watches, rounds) = (Watches::new(client), &mut Rounds::<Question>::start());
    keeper.places().for_each(|(of, namespace)| watches.watch(of, namespace));
    say("Watching for servers without keys.");
    let mut next = Instant::now() + LOOK;
    loop {
        let looks = tokio::select! {
            batch = watches.next() => {
                keeper.see(batch);
                false
            }
            answers = rounds.next() => {
                for answer in answers {
                    keeper.proofs.proven(answer);
                }
                false
            }
            () = sleep_until(next) => {
                next = Instant::now() + LOOK;
                true
            }
        };
        if !keeper.is_complete() {
            continue;
        }
        watches.watch_these(&keeper.given());
        // Secrets and Pods are seen only in namespaces where somebody allows it.
        for namespace in keeper.namespaces_of_servers() {
            watches.watch(Type::Secret, namespace);
            watches.watch(Type::Pod, namespace);
        }
        keeper.follow(looks).await;
        rounds.ask(keeper.proofs.questions());
    }
}

impl Keeper {
    /// The declarations that are watched.
    fn places(&self) -> impl Iterator<Item = (Type, &str)> {
        let of = |of| self.namespaces.of(of).map(move |namespace| (of, namespace));
        KINDS.map(Type::Own).into_iter().flat_map(of)
    }

    fn is_complete(&self) -> bool {
        self.places().all(|(of, namespace)| self.store.is_listed(of, namespace))
    }

    fn namespaces_of_servers(&self) -> BTreeSet<&str> {
        self.wanted.iter().map(|wanted| wanted.id.namespace.as_str()).collect()
    }

    /// The Secrets of others that keys come from.
    fn given(&self) -> BTreeSet<ObjectId> {
        self.wanted.iter().flat_map(Wanted::given).collect()
    }

    /// Takes over what was seen.
    fn see(&mut self, batch: Batch) {
        for (watched, Unseen { why, .. }) in batch.failures {
            if let Watched::All(Type::Pod, namespace) = &watched {
                self.proofs.hide(namespace, &why, Timestamp::now());
            }
            self.once.say(format!("cannot watch {watched}: {why}"));
        }
        for seen in &batch.seen {
            match seen {
                Seen::All(Type::Pod, namespace, _)
                | Seen::Put(ObjectId { of: Type::Pod, namespace, .. }, _)
                | Seen::Gone(ObjectId { of: Type::Pod, namespace, .. }) => self.proofs.show(namespace),
                _ => {}
            }
        }
        let mut changed = BTreeSet::new();
        batch.seen.into_iter().for_each(|seen| self.store.take(seen, &mut changed));
        if self.is_complete() && (self.wanted.is_empty() || changed.iter().any(|id| matches!(id.of, Type::Own(_)))) {
            self.wanted = wanted::of(&self.store);
            self.store.retain(&self.given());
        }
        let namespaces: BTreeSet<&str> = self.wanted.iter().map(|wanted| wanted.id.namespace.as_str()).collect();
        self.proofs.see(&self.store, namespaces.into_iter());
    }

    /// Does what there is to be done. What failed before is tried again only if this `looks`.
    async fn follow(&mut self, looks: bool) {
        let all = std::mem::take(&mut self.wanted);
        for wanted in &all {
            let is_known = self.store.is_listed(Type::Secret, &wanted.id.namespace);
            if !is_known || self.failed.contains_key(&wanted.id) && !looks {
                continue;
            }
            match self.settle(wanted).await {
                Ok(()) => _ = self.failed.remove(&wanted.id),
                Err(why) => {
                    if self.failed.get(&wanted.id) != Some(&why) {
                        say(&format!("{} cannot be made: {why}", wanted.id));
                    }
                    self.failed.insert(wanted.id.clone(), why);
                }
            }
        }
        self.wanted = all;
    }

    /// Makes a Secret what it is to be now.
    async fn settle(&mut self, wanted: &Wanted) -> Result<(), String> {
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let seen = match due::due(wanted, &self.store, &mut self.proofs, now)? {
            None => return Ok(()),
            Some(Due::Make { ring, others }) => self.make(wanted, ring, &others, now).await?,
            Some(Due::Change(change)) => {
                let is_lately = self.changed.get(&wanted.id).is_some_and(|at| at.elapsed() < DETAILS);
                if change.is_detail && is_lately {
                    return Ok(());
                }
                self.changed.insert(wanted.id.clone(), Instant::now());
                self.change(wanted, change).await?
            }
        };
        if let Some(seen) = seen {
            self.store.take(seen, &mut BTreeSet::new());
        }
        Ok(())
    }

    /// Makes a Secret that is not there. One that somebody else has made is left as it is.
    async fn make(
        &self,
        wanted: &Wanted,
        ring: Option<Ring>,
        others: &[Material],
        now: Timestamp,
    ) -> Result<Option<Seen>, String> {
        let Wanted { id, owner, from, purpose, .. } = wanted;
        let (ring, source) = match (ring, from) {
            (Some(ring), From::Secret { reference, .. }) => (ring, Some(&reference.name)),
            (Some(ring), From::Chance { .. } | From::Kept) => (ring, None),
            (None, From::Kept) => return Ok(None),
            (None, From::Secret { reference, .. }) => return Err(format!("Secret {} is not read yet", reference.name)),
            (None, From::Chance { name, algorithm, former, .. }) => {
                let known = match former {
                    Some(former) => former_key(&self.client, &id.namespace, former).await?,
                    None => None,
                };
                let source = former.as_ref().filter(|_| known.is_some());
                let random = || Material::random(name.clone(), algorithm.unwrap_or_default());
                (Ring { used: known.map_or_else(random, Ok)?, other: None }, source)
            }
        };
        let said: BTreeMap<String, String> = ring
            .data(*purpose, wanted.policy().is_some(), others)
            .into_iter()
            .filter_map(|(key, text)| Some((key, text?.to_string())))
            .collect();
        let (mut labels, mut annotations) = wanted.metadata();
        labels.insert(names::PART_OF.0.into(), names::PART_OF.1.into());
        let ours = wanted.annotations(&Record::new(*purpose, now), source.map(String::as_str), now);
        annotations.extend(ours.into_iter().filter_map(|(name, text)| Some((name, text?))));
        let metadata = json!({ "labels": labels, "annotations": annotations, "ownerReferences": [owner] });
        let secret = Object::new(id.clone(), metadata, json!({ "type": "Opaque", "stringData": said }));
        let secret = serde_json::from_value(secret.body).map_err(|error| error.to_string())?;
        match collection(&self.client, Type::Secret, &id.namespace).create(&PostParams::default(), &secret).await {
            Ok(made) => {
                say(&format!("{id} is made"));
                Ok(stored(Type::Secret, made).map(|(id, text)| Seen::Put(id, text)))
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                say(&format!(
                    "{id} is there and has not the label {}={}, so that it stays as it is",
                    names::PART_OF.0,
                    names::PART_OF.1
                ));
                // By this it is not looked at again until it is seen as Bindy's.
                Ok(Some(Seen::Put(id.clone(), Text::from(&Value::Null))))
            }
            Err(error) => Err(why(&error)),
        }
    }

    /// Changes a Secret, if nobody else has changed it meanwhile; that will be seen.
    async fn change(&self, wanted: &Wanted, change: Change) -> Result<Option<Seen>, String> {
        let Change { version, data, annotations, told, .. } = change;
        let (mut said, mut gone) = (BTreeMap::new(), BTreeMap::new());
        for (key, text) in data {
            match text {
                Some(text) => _ = said.insert(key, text.to_string()),
                None => _ = gone.insert(key, Value::Null),
            }
        }
        let patch = json!({
            "metadata": { "resourceVersion": version, "annotations": annotations }, "stringData": said, "data": gone,
        });
        let secrets = collection(&self.client, Type::Secret, &wanted.id.namespace);
        match secrets.patch(&wanted.id.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(changed) => {
                if let Some(told) = told {
                    say(&told);
                }
                Ok(stored(Type::Secret, changed).map(|(id, text)| Seen::Put(id, text)))
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(why(&error)),
        }
    }
}

/// The key of a server that a former version has made in a Secret of another name.
async fn former_key(client: &Client, namespace: &str, former: &str) -> Result<Option<Material>, String> {
    let secret = collection(client, Type::Secret, namespace).get_opt(former).await.map_err(|error| why(&error))?;
    // What is no key is somebody else's business.
    Ok(secret.and_then(|secret| Material::of(&secret.data["data"])).filter(Material::is_sound))
}
