//! The resources of Bindy as they were last understood. Of one that is changed into something that cannot be used, the
//! former `spec` stays in force. Its status says so, and has that `spec`, for those who have not seen it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    api::{Infrastructure, Kind, Resource, ResourceId, Spec},
    cluster::{Store, is_judged, resource, usable_with},
    compile::{self, Change, Finding},
    object::ObjectId,
    render,
};

/// The resources that are in force.
#[derive(Default)]
pub(super) struct Declarations {
    resources: BTreeMap<ResourceId, InForce>,
    /// What is wrong with the newest `spec` of a resource. A former one is in force meanwhile, if there was one.
    rejected: BTreeMap<ResourceId, Vec<Finding>>,
}

/// A resource as it was last understood.
struct InForce {
    resource: Resource,
    /// The identifier that the API server gave it.
    uid: String,
    /// Its `spec` as it was written, in JSON.
    spec: Box<str>,
    /// Whether that can be used. One that never could is passed on as it is, so that its status says what is wrong.
    is_usable: bool,
}

/// What follows from changed objects.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) changes: Vec<Change>,
    /// What cannot be read, for the log.
    pub(super) errors: Vec<String>,
}

impl Taken {
    /// Whether something has changed of a kind like this.
    pub(super) fn concerns(&self, matches: impl Fn(Kind) -> bool) -> bool {
        self.changes.iter().filter_map(Change::id).any(|id| matches(id.kind))
    }
}

impl Declarations {
    /// Takes over what has become of these objects.
    pub(super) fn take(&mut self, store: &Store, changed: &BTreeSet<ObjectId>) -> Taken {
        let mut taken = Taken::default();
        for id in changed {
            let Some(key) = id.resource() else { continue };
            self.rejected.remove(&key);
            match store.get(id) {
                Some(object) => self.understand(key, &object, &mut taken),
                None => {
                    if self.resources.remove(&key).is_some() {
                        taken.changes.push(Change::Remove(key));
                    }
                }
            }
        }
        taken
    }

    fn understand(&mut self, key: ResourceId, object: &Value, taken: &mut Taken) {
        let newest = resource(key.kind, object);
        let findings = match &newest {
            Ok(resource) => compile::check(resource),
            Err(error) => vec![compile::refusal(key.kind, error.clone())],
        };
        if findings.is_empty() {
            return newest.into_iter().for_each(|resource| self.put(key.clone(), resource, object, true, taken));
        }
        let former = self.former(&key, object).find_map(|spec| usable_with(key.kind, object, spec));
        match (former, newest) {
            (Some((resource, former)), _) => {
                self.put(key.clone(), resource, &former, true, taken);
                self.rejected.insert(key, findings);
            }
            (None, Ok(resource)) => self.put(key, resource, object, false, taken),
            (None, Err(_)) => {
                taken.errors.extend(findings.iter().map(|finding| format!("{key}: {}", finding.message)));
                // Of another resource of that name, or as little of use.
                if self.resources.remove(&key).is_some() {
                    taken.changes.push(Change::Remove(key.clone()));
                }
                taken.changes.push(Change::Refuse(key.clone()));
                self.rejected.insert(key, findings);
            }
        }
    }

    /// What may have been the `spec` in force before the newest one. If the status is about that one, whoever led has seen
    /// the one before, of which it tells; otherwise it tells of an older one than was seen here.
    fn former<'s>(&'s self, key: &ResourceId, object: &'s Value) -> impl Iterator<Item = &'s str> + use<'s> {
        let known = self.resources.get(key).filter(|known| known.is_usable && object["metadata"]["uid"] == known.uid);
        let (seen, said) = (known.map(|known| &*known.spec), object["status"]["inForce"].as_str());
        let in_turn = if is_judged(object) { [said, seen] } else { [seen, said] };
        in_turn.into_iter().flatten()
    }

    fn put(&mut self, key: ResourceId, resource: Resource, object: &Value, is_usable: bool, taken: &mut Taken) {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        if self.resources.get(&key).is_none_or(|known| known.resource != resource || known.uid != uid) {
            let spec = object["spec"].to_string().into();
            taken.changes.push(Change::Put(resource.clone()));
            self.resources.insert(key, InForce { resource, uid: uid.to_owned(), spec, is_usable });
        }
    }

    /// A resource.
    pub(super) fn get(&self, id: &ResourceId) -> Option<&Resource> {
        self.resources.get(id).map(|known| &known.resource)
    }

    /// The `spec` of a resource that is in force in place of its newest one, in JSON.
    pub(super) fn in_force(&self, id: &ResourceId) -> Option<&str> {
        self.rejected.get(id).and_then(|_| self.resources.get(id)).map(|known| &*known.spec)
    }

    /// What is wrong with the newest `spec` of a resource, if it is not in force.
    pub(super) fn rejected(&self, id: &ResourceId) -> &[Finding] {
        self.rejected.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// All resources.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Resource> + Clone {
        self.resources.values().map(|known| &known.resource)
    }

    /// The clusters and providers.
    pub(super) fn families(&self) -> impl Iterator<Item = &ResourceId> {
        self.resources.keys().filter(|id| matches!(id.kind, Kind::CLUSTER | Kind::PROVIDER))
    }

    /// The declared servers, for rendering.
    pub(super) fn infrastructure(&self) -> impl Iterator<Item = render::Declared<'_>> {
        let all = self.resources.values().filter(|known| matches!(known.resource.spec, Spec::Infrastructure(_)));
        all.map(|InForce { resource, uid, .. }| render::Declared { resource, uid })
    }

    /// The declared instances.
    pub(super) fn instances(&self) -> impl Iterator<Item = &ResourceId> {
        let instances =
            self.iter().filter(|resource| matches!(resource.spec, Spec::Infrastructure(Infrastructure::Instance(_))));
        instances.map(|resource| &resource.id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::RecordKind,
        cluster::{Seen, Text},
        object::Type,
    };

    const KIND: Kind = Kind::Record(RecordKind::ARecord);

    /// What becomes of a record, in each of these states.
    fn took(states: &[Value]) -> (Declarations, Vec<Change>) {
        let id = ObjectId { of: Type::Own(KIND), namespace: "dns".into(), name: "www".into() };
        let (mut store, mut declarations, mut changes) = (Store::default(), Declarations::default(), Vec::new());
        for state in states {
            let mut changed = BTreeSet::new();
            store.take(Seen::Put(id.clone(), Text::from(state)), &mut changed);
            changes = declarations.take(&store, &changed).changes;
        }
        (declarations, changes)
    }

    /// A record whose status is about an older `spec`, or if it says what is in force in its place, about this one.
    fn record(uid: &str, addresses: &Value, in_force: Option<&Value>) -> Value {
        let spec = |addresses: &Value| json!({ "name": "www", "ipv4Addresses": addresses });
        json!({
            "metadata": { "name": "www", "namespace": "dns", "uid": uid, "generation": 2 },
            "spec": spec(addresses),
            "status": { "observedGeneration": 1 + i32::from(in_force.is_some()), "inForce": in_force.map(|addresses| spec(addresses).to_string()) },
        })
    }

    fn addresses(declarations: &Declarations) -> Option<Value> {
        let spec: Value = serde_json::from_str(declarations.in_force(&id())?).unwrap();
        Some(spec["ipv4Addresses"].clone())
    }

    fn id() -> ResourceId {
        ResourceId { namespace: "dns".into(), name: "www".into(), kind: KIND }
    }

    #[test]
    fn a_former_spec_is_in_force_while_the_newest_cannot_be_used() {
        let (good, better, bad) = (json!(["192.0.2.1"]), json!(["192.0.2.2"]), json!(["192.0.2.300"]));
        // It cannot even be read: an API server would have refused it.
        let unreadable = json!("192.0.2.1");
        for bad in [&bad, &unreadable] {
            let mut stale = record("a", bad, Some(&better));
            stale["status"]["observedGeneration"] = json!(1);
            let (declarations, changes) = took(&[record("a", &good, None), stale]);
            assert_eq!((addresses(&declarations), changes.len()), (Some(good.clone()), 0), "what was seen counts");
            assert_eq!(declarations.rejected(&id()).len(), 1);
            let (declarations, changes) = took(&[record("a", bad, Some(&good))]);
            assert_eq!((addresses(&declarations), changes.len()), (Some(good.clone()), 1), "or what others have seen");
            let (declarations, _) = took(&[record("a", bad, Some(&good)), record("a", &better, Some(&good))]);
            assert_eq!((addresses(&declarations), declarations.rejected(&id()).len()), (None, 0));
            let (declarations, _) = took(&[record("a", &good, None), record("b", bad, None)]);
            assert_eq!(addresses(&declarations), None, "another resource has no former one");
            let (declarations, _) = took(&[record("a", bad, Some(bad))]);
            assert_eq!(addresses(&declarations), None);
        }
        let (_, changes) = took(&[record("a", &good, None), record("b", &unreadable, None)]);
        assert!(matches!(&changes[..], [Change::Remove(_), Change::Refuse(_)]), "{changes:?}");
    }

    #[test]
    fn what_is_in_force_is_followed_by_whoever_has_seen_less_or_later() {
        let (good, better, bad) = (json!(["192.0.2.1"]), json!(["192.0.2.2"]), json!(["192.0.2.300"]));
        let (declarations, _) = took(&[record("a", &bad, None), record("a", &bad, Some(&good))]);
        assert_eq!(addresses(&declarations), Some(good.clone()));
        // The better one came and went within one batch.
        let (declarations, _) = took(&[record("a", &good, None), record("a", &bad, Some(&better))]);
        assert_eq!(addresses(&declarations), Some(better));
    }

    #[test]
    fn labels_hold_also_of_what_is_in_force() {
        let good = record("a", &json!(["192.0.2.1"]), None);
        let mut bad = record("a", &json!(["192.0.2.300"]), None);
        bad["metadata"]["labels"] = json!({ "zone": "other" });
        let (declarations, changes) = took(&[good, bad]);
        let resource = declarations.get(&id()).unwrap();
        assert_eq!((resource.labels.len(), changes.len()), (1, 1));
    }
}
