//! What there is: the objects that were seen, the resources as they are understood, and the servers that these declare.

use std::collections::BTreeSet;

use super::{
    conditions,
    declarations::{Declarations, Taken},
};
use crate::{
    api::{DnsZoneSpec, Kind, ResourceId, Spec},
    cluster::{Namespaces, Store},
    object::{ObjectId, Type},
    servers::{ServerId, Servers},
};

/// What there is.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) declarations: Declarations,
    pub(super) servers: Servers,
    /// The namespace of this process.
    here: String,
    /// The namespace of the servers of providers that name none.
    home: String,
    /// Where there may be resources and servers.
    namespaces: Namespaces,
}

/// The types that are watched everywhere. Nothing is done before all of them are listed.
fn types() -> impl Iterator<Item = Type> {
    let others = [
        Type::ConfigMap,
        Type::Deployment,
        Type::DynamicRecords,
        Type::PersistentVolumeClaim,
        Type::Pod,
        Type::PodDisruptionBudget,
        Type::Service,
    ];
    Kind::all().map(Type::Own).chain(others)
}

impl World {
    /// Nothing was seen yet by a process in the namespace `here`.
    pub(super) fn new(here: &str, home: &str) -> World {
        World {
            store: Store::default(),
            declarations: Declarations::default(),
            servers: Servers::default(),
            here: here.to_owned(),
            home: home.to_owned(),
            namespaces: Namespaces::from_environment(&[home, here]),
        }
    }

    /// The namespace of the servers of providers that name none.
    pub(super) fn home(&self) -> &str {
        &self.home
    }

    /// What is to be watched now: types and namespaces, of which an empty one stands for all. Secrets are seen only where
    /// there are servers, and only where somebody allows it; without their keys, those servers get nothing new.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Type, &str)> {
        let here = [(Type::EndpointSlice, self.here.as_str())];
        let keys: BTreeSet<&str> = self.servers.iter().map(|server| server.id.namespace.as_str()).collect();
        self.everywhere().chain(here).chain(keys.into_iter().map(|namespace| (Type::Secret, namespace)))
    }

    /// Where there may be objects of a type; an empty name stands for everywhere.
    pub(super) fn namespaces_of(&self, of: Type) -> impl Iterator<Item = &str> {
        self.namespaces.of(of)
    }

    /// Whether everything was seen that has to be before anything is done.
    pub(super) fn is_complete(&self) -> bool {
        self.everywhere().all(|(of, namespace)| self.store.is_listed(of, namespace))
    }

    /// All objects of which something may follow.
    pub(super) fn ids(&self) -> impl Iterator<Item = &ObjectId> {
        types().flat_map(|of| self.store.ids(of))
    }

    /// Takes over what has become of these objects; returns what that means for resources.
    pub(super) fn understand(&mut self, changed: &BTreeSet<ObjectId>) -> Taken {
        let taken = self.declarations.take(&self.store, changed);
        if taken.concerns(|kind| matches!(kind, Kind::Infrastructure(_))) {
            self.servers = Servers::of(self.declarations.iter(), &self.home);
        }
        taken
    }

    /// Whether a zone names a cluster or a provider that is not there.
    pub(super) fn is_adrift(&self, zone: &ResourceId) -> bool {
        self.zone(zone).is_some_and(|spec| self.servers.lacks_named(&zone.namespace, spec))
    }

    fn zone(&self, id: &ResourceId) -> Option<&DnsZoneSpec> {
        match &self.declarations.get(id)?.spec {
            Spec::Zone(spec) => Some(spec),
            _ => None,
        }
    }

    /// The servers on which a zone stays that names a cluster or a provider which is not there: those that have it, as far
    /// as it might name theirs.
    pub(super) fn former_servers(&self, zone: &ResourceId) -> Vec<ServerId> {
        let live = self.is_adrift(zone).then(|| self.store.get(&ObjectId::from(zone))).flatten();
        let former = live.iter().flat_map(conditions::servers_of);
        let may_mean = |server: &ServerId| {
            self.zone(zone).is_some_and(|spec| self.servers.may_be_named(&zone.namespace, spec, server))
        };
        former.filter(may_mean).collect()
    }

    /// What is watched before anything is done.
    fn everywhere(&self) -> impl Iterator<Item = (Type, &str)> {
        types().flat_map(|of| self.namespaces.of(of).map(move |namespace| (of, namespace)))
    }
}
