//! Makes objects what they are to be, by server-side apply: fields that somebody else sets stay that one's. Nothing is
//! written while an object is already as it is to be, nor while what owns it is being deleted: somebody may want to keep it
//! (`--cascade=orphan`), and would lose it if its owner were put back.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use futures_util::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Seen, Store, collection, stored, why};
use crate::{
    api::{GROUP, Kind},
    object::{Object, ObjectId, Type, is_to_go},
};

/// Applies objects under one name.
pub struct Applier {
    client: Client,
    /// The name under which fields are set.
    manager: &'static str,
    /// What was applied last: the hash of the object that was wanted, and the version that came of it. An API server
    /// may store something else than it was told, such as a quantity in another form.
    applied: HashMap<ObjectId, (String, String)>,
    /// The objects that could not be applied.
    failed: BTreeMap<ObjectId, Failed>,
}

/// Why an object could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was said, or how it failed.
    pub why: String,
    /// Whether the API server refuses the object, so that somebody has to change something.
    pub is_refusal: bool,
}

/// An object that could not be applied: why, and when it is tried again.
struct Failed {
    failure: Failure,
    /// When it failed last.
    since: Instant,
    /// How long it waits since then.
    pause: Duration,
}

/// How many objects are applied at a time.
const AT_A_TIME: usize = 8;
/// How long it is waited at first until what failed is tried again, and how long at most. What fails after a long time, as
/// by a webhook that does not answer, keeps its caller from other things.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Applier {
    /// An applier that sets fields under this name.
    pub fn new(client: Client, manager: &'static str) -> Applier {
        Applier { client, manager, applied: HashMap::new(), failed: BTreeMap::new() }
    }

    /// Applies the objects that differ from what was seen; returns what came of it. One that fails keeps the others from
    /// nothing, and is [to be tried again](Self::overdue).
    pub async fn apply(&mut self, objects: Vec<Object>, store: &Store) -> Vec<Seen> {
        let mut due = Vec::new();
        for Object { id, mut body } in objects {
            let hash = hash(&body);
            // By this mark a field is missed that is not wanted any more: it is not in `body`.
            body["metadata"]["annotations"][format!("{GROUP}/applied")] = json!(hash);
            let live = store.get(&id);
            let owner = owner(&id, &body);
            if owner.as_ref().and_then(|owner| store.get(&owner.id)).is_some_and(|owner| is_to_go(&owner)) {
                continue;
            }
            let left_by = owner.filter(|owner| live.as_ref().is_some_and(|live| !owner.owns(live)));
            let as_applied = |live: &Value| {
                let version = live["metadata"]["resourceVersion"].as_str().unwrap_or_default();
                self.applied.get(&id).is_some_and(|(wanted, came)| *wanted == hash && came == version)
            };
            if live.is_some_and(|live| !differs(&live, &body) || as_applied(&live)) {
                self.failed.remove(&id);
            } else {
                due.push((id, body, hash, left_by));
            }
        }
        let (client, params) = (&self.client, &PatchParams::apply(self.manager).force());
        let patches = due.into_iter().map(|(id, body, hash, left_by)| async move {
            let stays = match left_by {
                // Its deletion may not have been seen yet.
                Some(owner) => owner.stays(client).await,
                None => Ok(true),
            };
            let patch = Patch::Apply(&body);
            let applied = match stays {
                Ok(true) => collection(client, id.of, &id.namespace).patch(&id.name, params, &patch).await.map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            (id, hash, applied)
        });
        let applied: Vec<_> = stream::iter(patches).buffer_unordered(AT_A_TIME).collect().await;
        let mut seen = Vec::new();
        for (id, hash, applied) in applied {
            match applied {
                Ok(None) => {}
                Ok(Some(object)) => {
                    let version = object.metadata.resource_version.clone().unwrap_or_default();
                    self.applied.insert(id.clone(), (hash, version));
                    self.failed.remove(&id);
                    seen.extend(stored(id.of, object).map(|(id, object)| Seen::Put(id, object)));
                }
                Err(error) => {
                    let (first, longest) = PAUSES;
                    let pause = self.failed.get(&id).map_or(first, |last| longest.min(last.pause * 2));
                    self.failed.insert(id, Failed { failure: Failure::of(&error), since: Instant::now(), pause });
                }
            }
        }
        seen
    }

    /// The objects that could not be applied when it was last tried, and why.
    pub fn failed(&self) -> impl ExactSizeIterator<Item = (&ObjectId, &Failure)> {
        self.failed.iter().map(|(id, failed)| (id, &failed.failure))
    }

    /// Those among them that are to be tried again now: one that fails again and again, more and more seldom.
    pub fn overdue(&self) -> impl Iterator<Item = &ObjectId> {
        self.failed.iter().filter(|(_, failed)| failed.since.elapsed() >= failed.pause).map(|(id, _)| id)
    }

    /// Forgets the objects that are not wanted any more.
    pub fn retain(&mut self, is_wanted: impl Fn(&ObjectId) -> bool) {
        self.failed.retain(|id, _| is_wanted(id));
        self.applied.retain(|id, _| is_wanted(id));
    }
}

impl Failure {
    fn of(error: &kube::Error) -> Failure {
        let is_refusal = match error {
            // There is no such path if its namespace is not there.
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 422) => true,
            // So API servers say that a list has two items of one key.
            kube::Error::Api(status) => status.code == 500 && status.message.contains("typed patch object"),
            _ => false,
        };
        Failure { why: why(error), is_refusal }
    }
}

/// The resource that owns an object.
struct Owner {
    id: ObjectId,
    uid: String,
}

/// The resource that is to own an object, if one is.
fn owner(id: &ObjectId, wanted: &Value) -> Option<Owner> {
    let reference = wanted["metadata"]["ownerReferences"].get(0)?;
    let of = Type::Own(Kind::from_name(reference["kind"].as_str()?)?);
    let namespace = if of.is_namespaced() { id.namespace.clone() } else { String::new() };
    let text = |field: &str| Some(reference[field].as_str()?.to_owned());
    Some(Owner { id: ObjectId { of, namespace, name: text("name")? }, uid: text("uid")? })
}

impl Owner {
    /// Whether an object says that this owns it.
    fn owns(&self, live: &Value) -> bool {
        let owners = live["metadata"]["ownerReferences"].as_array();
        owners.into_iter().flatten().any(|owner| owner["uid"] == *self.uid)
    }

    /// Whether it is there, and not being deleted.
    async fn stays(&self, client: &Client) -> kube::Result<bool> {
        let ObjectId { of, namespace, name } = &self.id;
        let owner = collection(client, *of, namespace).get_metadata_opt(name).await?;
        let stays = |it: ObjectMeta| it.uid.as_deref() == Some(&self.uid) && it.deletion_timestamp.is_none();
        Ok(owner.is_some_and(|owner| stays(owner.metadata)))
    }
}

/// Whether an object lacks something that is wanted of it. What else it has is not looked at. In lists, items count by
/// their place.
pub fn differs(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().any(|(field, wanted)| match live.get(field) {
            Some(live) => differs(live, wanted),
            None => !is_empty(wanted),
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() != wanted.len() || live.iter().zip(wanted).any(|(live, wanted)| differs(live, wanted))
        }
        (live, wanted) => live != wanted,
    }
}

/// Whether an API server may leave something out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn hash(body: &Value) -> String {
    HEXLOWER.encode(&Sha256::digest(body.to_string())[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_add_is_no_difference() {
        let wanted = json!({ "spec": { "ports": [{ "port": 53 }], "none": {}, "replicas": 1 } });
        let mut live = json!({ "spec": { "ports": [{ "port": 53, "nodePort": 7 }], "replicas": 1, "more": 1 } });
        assert!(!differs(&live, &wanted));
        live["spec"]["replicas"] = json!(2);
        assert!(differs(&live, &wanted));
        live["spec"]["replicas"] = json!(1);
        live["spec"]["ports"] = json!([{ "port": 53 }, { "port": 54 }]);
        assert!(differs(&live, &wanted));
    }
}
