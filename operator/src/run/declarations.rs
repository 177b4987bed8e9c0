//! The resources of Bindy as they were last understood. One that is changed into something that cannot be used stays in
//! force as it was before, and its status says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{Infrastructure, Kind, Resource, ResourceId, Spec},
    cluster::{Store, resource},
    compile::{self, Change, Finding},
    object::ObjectId,
    render,
};

/// The resources that are in force.
#[derive(Default)]
pub(super) struct Declarations {
    /// With the identifiers that the API server gave them.
    resources: BTreeMap<ResourceId, (Resource, String)>,
    /// What is wrong with the newest version of those that are in force as they were before.
    rejected: BTreeMap<ResourceId, Vec<Finding>>,
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
        self.changes.iter().any(|change| matches(change.id().kind))
    }
}

impl Declarations {
    /// Takes over what has become of these objects.
    pub(super) fn take(&mut self, store: &Store, changed: &BTreeSet<ObjectId>) -> Taken {
        let mut taken = Taken::default();
        for id in changed {
            let Some(key) = id.resource() else { continue };
            let Some(object) = store.get(id) else {
                self.rejected.remove(&key);
                if self.resources.remove(&key).is_some() {
                    taken.changes.push(Change::Remove(key));
                }
                continue;
            };
            match resource(key.kind, &object) {
                Ok(resource) => {
                    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
                    self.put(key, resource, uid, &mut taken);
                }
                // What was read of it before stays.
                Err(error) => {
                    let finding = compile::refusal(key.kind, error);
                    taken.errors.push(format!("{key}: {}", finding.message));
                    if !self.resources.contains_key(&key) {
                        taken.changes.push(Change::Refuse(key.clone()));
                    }
                    self.rejected.insert(key, vec![finding]);
                }
            }
        }
        taken
    }

    fn put(&mut self, key: ResourceId, resource: Resource, uid: &str, taken: &mut Taken) {
        let findings = compile::check(&resource);
        let known = self.resources.get(&key);
        if known.is_some() && !findings.is_empty() {
            self.rejected.insert(key, findings);
            return;
        }
        if known.is_none_or(|(known, known_uid)| *known != resource || known_uid != uid) {
            self.resources.insert(key.clone(), (resource.clone(), uid.to_owned()));
            taken.changes.push(Change::Put(resource));
        }
        self.rejected.remove(&key);
    }

    /// A resource.
    pub(super) fn get(&self, id: &ResourceId) -> Option<&Resource> {
        self.resources.get(id).map(|(resource, _)| resource)
    }

    /// What is wrong with the newest version of a resource that is in force as it was before.
    pub(super) fn rejected(&self, id: &ResourceId) -> &[Finding] {
        self.rejected.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// All resources.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Resource> + Clone {
        self.resources.values().map(|(resource, _)| resource)
    }

    /// The clusters and providers.
    pub(super) fn families(&self) -> impl Iterator<Item = &ResourceId> {
        self.resources.keys().filter(|id| matches!(id.kind, Kind::CLUSTER | Kind::PROVIDER))
    }

    /// The declared servers, for rendering.
    pub(super) fn infrastructure(&self) -> impl Iterator<Item = render::Declared<'_>> {
        let all = self.resources.values().filter(|(resource, _)| matches!(resource.spec, Spec::Infrastructure(_)));
        all.map(|(resource, uid)| render::Declared { resource, uid })
    }

    /// The declared instances.
    pub(super) fn instances(&self) -> impl Iterator<Item = &ResourceId> {
        let instances =
            self.iter().filter(|resource| matches!(resource.spec, Spec::Infrastructure(Infrastructure::Instance(_))));
        instances.map(|resource| &resource.id)
    }
}
