//! Which Secrets there should be, and where their keys come from: a pure function of what is declared.

use serde_json::Value;

use super::names;
use crate::{
    api::{
        Bind9Config, ClusterSpec, Infrastructure, InstanceSpec, Kind, Resource, Role, Spec,
        cluster::RoleSpec,
        keys::{RndcAlgorithm, RndcKeyConfig, RndcSecretRef},
    },
    cluster::{Store, in_force},
    object::{ObjectId, Type},
    render::{Declared, owner},
    servers::{ClusterId, HOME, Server, ServerId, Servers},
};

/// A Secret that should be there.
pub(super) struct Wanted {
    pub(super) id: ObjectId,
    /// What it goes with.
    pub(super) owner: Value,
    pub(super) from: From,
    /// The Secrets with further keys that go into it.
    pub(super) others: Vec<RndcSecretRef>,
    /// The key of the Secret's data that has the key as a statement of named.conf.
    pub(super) file: &'static str,
}

/// Where a key comes from.
pub(super) enum From {
    /// It is made.
    Chance {
        /// The name that it gets.
        name: String,
        /// The algorithm that was asked for.
        algorithm: Option<RndcAlgorithm>,
        /// A Secret that has it, if it was made by a former version.
        former: Option<String>,
    },
    /// It is in a Secret already.
    Secret(RndcSecretRef),
}

impl Wanted {
    /// The Secrets of others that the keys come from.
    pub(super) fn given(&self) -> impl Iterator<Item = ObjectId> {
        let main = match &self.from {
            From::Chance { .. } => None,
            From::Secret(reference) => Some(reference),
        };
        main.into_iter().chain(&self.others).map(|reference| self.secret(&reference.name))
    }

    /// A Secret in the same namespace, whoever has made it.
    pub(super) fn secret(&self, name: &str) -> ObjectId {
        ObjectId { of: Type::GivenSecret, namespace: self.id.namespace.clone(), name: name.to_owned() }
    }
}

/// The Secrets that should be there.
pub(super) fn of(store: &Store) -> Vec<Wanted> {
    let mut read: Vec<(Resource, String)> = Vec::new();
    for kind in super::KINDS {
        for (_, object) in store.of(Type::Own(kind)) {
            // Who uses the resource tells what is wrong with it.
            let Some(resource) = in_force(kind, &object) else { continue };
            read.push((resource, object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()));
        }
    }
    let servers = Servers::of(read.iter().map(|(resource, _)| resource), HOME);
    let mut wanted = Vec::new();
    for (resource, uid) in &read {
        let id = &resource.id;
        let secret = |name| ObjectId { of: Type::Secret, namespace: id.namespace.clone(), name };
        let owner = owner(Declared { resource, uid });
        let transfer = || Wanted {
            id: secret(names::transfer_secret(&id.name)),
            owner: owner.clone(),
            from: From::Chance { name: names::transfer_key(&id.namespace, &id.name), algorithm: None, former: None },
            others: Vec::new(),
            file: "transfer.key",
        };
        match &resource.spec {
            Spec::Infrastructure(Infrastructure::Cluster(_)) => wanted.push(transfer()),
            Spec::Infrastructure(Infrastructure::Instance(spec)) => {
                let server = servers.server(&ServerId { namespace: id.namespace.clone(), name: id.name.clone() });
                let cluster = server.and_then(|server| server.cluster.as_ref());
                if server.is_none_or(|server| server.cluster_name.is_none()) {
                    wanted.push(transfer());
                }
                if server.is_some_and(|server| server.orphaned.is_some()) {
                    // It stays as it is, and so does its key, of which its cluster may have said more.
                    continue;
                }
                let resources = read.iter().map(|(resource, _)| resource);
                let of_cluster = cluster.and_then(|cluster| declaration_of(resources, cluster));
                let made = || From::Chance {
                    name: names::RNDC_KEY.into(),
                    algorithm: algorithm(spec, of_cluster),
                    former: Some(names::former_rndc_secret(&id.name)),
                };
                let from = reference(spec, of_cluster).cloned().map_or_else(made, From::Secret);
                let others = of_cluster.map(|cluster| cluster.rndc_secret_refs.clone()).unwrap_or_default();
                let id = secret(names::rndc_secret(&id.name));
                wanted.push(Wanted { id, owner, from, others, file: "rndc.key" });
            }
            _ => {}
        }
    }
    wanted
}

/// The name of the Secret with a user's own key for a server, if one is named.
pub(crate) fn given<'r>(resources: impl Iterator<Item = &'r Resource> + Clone, server: &Server) -> Option<String> {
    let instance = resources.clone().find_map(|resource| match &resource.spec {
        Spec::Infrastructure(Infrastructure::Instance(spec)) if resource.id == server.id.resource() => Some(spec),
        _ => None,
    });
    let cluster = server.cluster.as_ref().and_then(|cluster| declaration_of(resources, cluster));
    reference(instance?, cluster).map(|reference| reference.name.clone())
}

/// What declares a cluster.
fn declaration_of<'r>(
    mut resources: impl Iterator<Item = &'r Resource>,
    cluster: &ClusterId,
) -> Option<&'r ClusterSpec> {
    resources.find_map(|resource| match &resource.spec {
        Spec::Infrastructure(Infrastructure::Provider(spec) | Infrastructure::Cluster(spec)) => {
            let is_it = resource.id.name == cluster.name
                && (resource.id.kind == Kind::PROVIDER) == cluster.provider
                && (cluster.provider || resource.id.namespace == cluster.namespace);
            is_it.then_some(&**spec)
        }
        _ => None,
    })
}

/// The Secret that a user names for a server: its own, or else its role's, or else its cluster's.
fn reference<'s>(instance: &'s InstanceSpec, cluster: Option<&'s ClusterSpec>) -> Option<&'s RndcSecretRef> {
    let of = |key: &'s Option<RndcKeyConfig>, former: &'s Option<RndcSecretRef>| {
        key.as_ref().and_then(|key| key.secret_ref.as_ref()).or(former.as_ref())
    };
    let of_config = |config: &'s Option<Bind9Config>| config.as_ref()?.rndc_secret_ref.as_ref();
    let role = cluster.and_then(|cluster| role(instance, cluster));
    of(&instance.rndc_key, &instance.rndc_secret_ref)
        .or_else(|| of_config(&instance.config))
        .or_else(|| role.and_then(|role| of(&role.rndc_key, &role.rndc_secret_ref).or_else(|| of_config(&role.config))))
        .or_else(|| cluster.and_then(|cluster| of_config(&cluster.global)))
}

/// The algorithm that a user asks for: that of the server itself, or else of its role.
fn algorithm(instance: &InstanceSpec, cluster: Option<&ClusterSpec>) -> Option<RndcAlgorithm> {
    let of_role = || cluster.and_then(|cluster| role(instance, cluster))?.rndc_key.as_ref();
    instance.rndc_key.as_ref().or_else(of_role).map(|key| key.algorithm)
}

fn role<'s>(instance: &InstanceSpec, cluster: &'s ClusterSpec) -> Option<&'s RoleSpec> {
    match instance.role {
        Role::Primary => cluster.primary.as_ref(),
        Role::Secondary => cluster.secondary.as_ref(),
    }
}
