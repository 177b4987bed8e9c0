//! Which Secrets there should be, and where their keys come from: a pure function of what is declared.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::Value;

use super::{Purpose, material, rotation::Policy};
use crate::{
    api::{
        Bind9Config, ClusterSpec, Infrastructure, InstanceSpec, Kind, Resource, Role, Spec,
        cluster::RoleSpec,
        keys::{RndcAlgorithm, RndcKeyConfig, RndcSecretRef, RotationStrategy, SecretTemplate, TransferKeyConfig},
    },
    cluster::{Store, in_force},
    object::{ObjectId, Type},
    render::{Declared, names, owner},
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
    pub(super) purpose: Purpose,
    /// The servers that have it.
    pub(super) servers: Vec<ServerId>,
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
        /// What a user says of its Secret, and of the first key in it.
        template: Option<SecretTemplate>,
        /// When it is replaced.
        policy: Policy,
    },
    /// It is in a Secret already.
    Secret {
        reference: RndcSecretRef,
        /// Whether pods are replaced when it changes.
        restarts: bool,
    },
    /// It stays as it is, and so do the keys beside it: what was declared of it is not known any more. It is replaced on
    /// request.
    Kept,
}

impl Wanted {
    /// The Secrets of others that the keys come from.
    pub(super) fn given(&self) -> impl Iterator<Item = ObjectId> {
        let main = match &self.from {
            From::Chance { .. } | From::Kept => None,
            From::Secret { reference, .. } => Some(reference),
        };
        main.into_iter().chain(&self.others).map(|reference| self.secret(&reference.name))
    }

    /// The labels and annotations that a user wants it to have.
    pub(super) fn metadata(&self) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let From::Chance { template: Some(SecretTemplate { metadata, .. }), .. } = &self.from else {
            return Default::default();
        };
        (metadata.labels.clone().unwrap_or_default(), metadata.annotations.clone().unwrap_or_default())
    }

    /// The name of the server or cluster that it belongs to.
    pub(super) fn owner(&self) -> &str {
        self.owner["name"].as_str().unwrap_or_default()
    }

    /// What declares that.
    pub(super) fn declaration(&self) -> ObjectId {
        let kind = if self.owner["kind"] == Kind::CLUSTER.name() { Kind::CLUSTER } else { Kind::INSTANCE };
        ObjectId { of: Type::Own(kind), namespace: self.id.namespace.clone(), name: self.owner().to_owned() }
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
        let transfer = |config: Option<&TransferKeyConfig>| Wanted {
            id: secret(names::transfer_secret(&id.name)),
            owner: owner.clone(),
            from: From::Chance {
                name: names::transfer_key(&id.namespace, &id.name),
                algorithm: None,
                former: None,
                template: None,
                policy: policy(config.and_then(TransferKeyConfig::hours), false),
            },
            others: Vec::new(),
            purpose: Purpose::Transfer,
            servers: of_key(&servers, &id.namespace, &id.name),
        };
        match &resource.spec {
            Spec::Infrastructure(Infrastructure::Cluster(spec)) => wanted.push(transfer(spec.transfer_key.as_ref())),
            Spec::Infrastructure(Infrastructure::Instance(spec)) => {
                let server = servers.server(&ServerId { namespace: id.namespace.clone(), name: id.name.clone() });
                let cluster = server.and_then(|server| server.cluster.as_ref());
                if server.is_none_or(|server| server.cluster_name.is_none()) {
                    wanted.push(transfer(spec.transfer_key.as_ref()));
                }
                let resources = read.iter().map(|(resource, _)| resource);
                let of_cluster = cluster.and_then(|cluster| declaration_of(resources, cluster));
                let from = match declared(spec, of_cluster) {
                    // Its cluster may have said more of its key.
                    _ if server.is_some_and(|server| server.orphaned.is_some()) => From::Kept,
                    Some(Declaration::Reference { reference, restarts }) => {
                        From::Secret { reference: reference.clone(), restarts }
                    }
                    Some(Declaration::Made(config)) => made(&id.name, Some(config)),
                    None => made(&id.name, None),
                };
                let others = of_cluster.map(|cluster| cluster.rndc_secret_refs.clone()).unwrap_or_default();
                let servers = vec![ServerId { namespace: id.namespace.clone(), name: id.name.clone() }];
                let id = secret(names::rndc_secret(&id.name));
                wanted.push(Wanted { id, owner, from, others, purpose: Purpose::Control, servers });
            }
            _ => {}
        }
    }
    wanted
}

/// The servers to which zones are transferred by the key of this cluster, or server on its own.
fn of_key(servers: &Servers, namespace: &str, owner: &str) -> Vec<ServerId> {
    let its = |server: &&Server| server.id.namespace == namespace && names::key_owner(server) == owner;
    servers.iter().filter(its).map(|server| server.id.clone()).collect()
}

/// The name of the Secret with a user's own key for a server, if one is named.
pub(crate) fn given<'r>(resources: impl Iterator<Item = &'r Resource> + Clone, server: &Server) -> Option<String> {
    let instance = resources.clone().find_map(|resource| match &resource.spec {
        Spec::Infrastructure(Infrastructure::Instance(spec)) if resource.id == server.id.resource() => Some(spec),
        _ => None,
    });
    let cluster = server.cluster.as_ref().and_then(|cluster| declaration_of(resources, cluster));
    match declared(instance?, cluster)? {
        Declaration::Reference { reference, .. } => Some(reference.name.clone()),
        Declaration::Made(_) => None,
    }
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

/// What a user says of a server's RNDC key.
enum Declaration<'s> {
    /// It is in this Secret, and pods are replaced when it changes, or not.
    Reference { reference: &'s RndcSecretRef, restarts: bool },
    /// It is made, and replaced, in this way.
    Made(&'s RndcKeyConfig),
}

/// What is said nearest to a server: of itself, or else of its role, or else of its cluster. It counts as a whole.
fn declared<'s>(instance: &'s InstanceSpec, cluster: Option<&'s ClusterSpec>) -> Option<Declaration<'s>> {
    let of = |key: &'s Option<RndcKeyConfig>, former: &'s Option<RndcSecretRef>| {
        let reference = key.as_ref().and_then(|key| key.secret_ref.as_ref()).or(former.as_ref());
        let restarts = key.as_ref().is_some_and(|key| key.strategy == RotationStrategy::Restart);
        reference
            .map(|reference| Declaration::Reference { reference, restarts })
            .or_else(|| key.as_ref().map(Declaration::Made))
    };
    let of_config = |config: &'s Option<Bind9Config>| {
        config.as_ref().and_then(|config| of(&config.rndc_key, &config.rndc_secret_ref))
    };
    let role = cluster.and_then(|cluster| role(instance, cluster));
    of(&instance.rndc_key, &instance.rndc_secret_ref)
        .or_else(|| of_config(&instance.config))
        .or_else(|| role.and_then(|role| of(&role.rndc_key, &role.rndc_secret_ref).or_else(|| of_config(&role.config))))
        .or_else(|| cluster.and_then(|cluster| of_config(&cluster.global)))
}

/// The key of a server that is made.
fn made(instance: &str, config: Option<&RndcKeyConfig>) -> From {
    let template = config.and_then(|config| config.secret.clone());
    let of_template = template.as_ref().and_then(material::algorithm_of);
    From::Chance {
        name: names::RNDC_KEY.into(),
        algorithm: of_template.or(config.map(|config| config.algorithm)),
        former: Some(names::former_rndc_secret(instance)),
        template,
        policy: policy(
            config.and_then(RndcKeyConfig::hours),
            config.is_some_and(|config| config.strategy == RotationStrategy::Restart),
        ),
    }
}

/// A key is replaced when it is so many hours old.
fn policy(hours: Option<u32>, restarts: bool) -> Policy {
    Policy { after: hours.map(|hours| SignedDuration::from_hours(hours.into())), restarts }
}

fn role<'s>(instance: &InstanceSpec, cluster: &'s ClusterSpec) -> Option<&'s RoleSpec> {
    match instance.role {
        Role::Primary => cluster.primary.as_ref(),
        Role::Secondary => cluster.secondary.as_ref(),
    }
}
