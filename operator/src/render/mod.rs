//! Renders declared servers as objects of Kubernetes: a `ClusterBind9Provider` becomes a `Bind9Cluster`, that becomes a
//! `Bind9Instance` for each of its servers, and an instance becomes a Deployment with its Service and configuration.
//!
//! [`render`] is a pure function of what is declared, so the same declarations always become the same objects, octet for
//! octet. It says what an object is to be and never that one is to go: objects have owners, and go with them.
//!
//! * `names`: the names, labels, ports and paths that operator, servers and keys agree on.
//! * `subject`: a server with all that it inherits.
//! * `family`: what a provider and a cluster make; `deployment`, `service` and `named_conf`: what an instance makes;
//!   `volumes`: what a user gives to its pods.
//! * `options` is the part of `named_conf` that a user's own file may stand for, and `given` are such files.

mod deployment;
mod family;
mod given;
mod named_conf;
pub mod names;
mod options;
mod service;
mod subject;
mod volumes;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;

use crate::{
    api::{ClusterSpec, FieldError, Infrastructure, Resource, Spec},
    object::{Object, ObjectId},
    servers::{ClusterId, ServerId, Servers},
};
use given::Files;
pub use given::Given;
use subject::Subject;
pub use subject::owner;

/// A declaration of servers as it is in the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'r> {
    /// The resource.
    pub resource: &'r Resource,
    /// The identifier that the API server gave it.
    pub uid: &'r str,
}

/// What holds for all servers.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The namespace where the servers of a provider run that names none.
    pub home: String,
    /// The image of servers that name none.
    pub image: String,
    /// Where servers find the hidden primary. While this is empty, there are no servers.
    pub leader: Vec<SocketAddr>,
    /// The addresses of servers' Services, which they keep.
    pub services: BTreeMap<ServerId, Vec<IpAddr>>,
    /// Those of their Services for TCP, of servers that have one of their own.
    pub tcp_services: BTreeMap<ServerId, Vec<IpAddr>>,
    /// The servers that are to have no pods any more.
    pub drained: BTreeSet<ServerId>,
    /// The names of servers' RNDC keys, where these are known.
    pub rndc_keys: BTreeMap<ServerId, Vec<String>>,
    /// The names of the keys by which servers may get their zones, where these are known: that which is used first.
    pub transfer_keys: BTreeMap<ServerId, Vec<String>>,
    /// When the pods of servers were to be replaced last, so that these accept other keys.
    pub keys_changed: BTreeMap<ServerId, String>,
    /// The PodDisruptionBudgets that there are, whoever has made them.
    pub budgets: BTreeMap<ObjectId, Value>,
    /// The objects that resources name, as far as they were looked for. A server of which one was not is left out.
    pub given: BTreeMap<ObjectId, Given>,
}

/// The objects that are to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// The objects, owners first.
    pub objects: Vec<Object>,
    /// The servers whose declaration cannot be used, and why. What they have stays as it is.
    pub refused: BTreeMap<ServerId, FieldError>,
    /// The objects that resources name.
    pub named: BTreeSet<ObjectId>,
}

/// Renders all declared servers.
pub fn render(declared: &[Declared<'_>], surroundings: &Surroundings) -> Rendered {
    let servers = Servers::of(declared.iter().map(|one| one.resource), &surroundings.home);
    let mut clusters: BTreeMap<ClusterId, &ClusterSpec> = BTreeMap::new();
    let mut instances = BTreeSet::new();
    for Declared { resource, .. } in declared {
        match &resource.spec {
            Spec::Infrastructure(Infrastructure::Provider(spec)) => {
                let namespace = spec.namespace.as_ref().unwrap_or(&surroundings.home).clone();
                clusters.insert(ClusterId { namespace, name: resource.id.name.clone(), provider: true }, spec);
            }
            Spec::Infrastructure(Infrastructure::Cluster(spec)) => {
                let id = &resource.id;
                let id = ClusterId { namespace: id.namespace.clone(), name: id.name.clone(), provider: false };
                clusters.insert(id, spec);
            }
            Spec::Infrastructure(Infrastructure::Instance(_)) if !family::is_child(resource) => {
                instances.insert(&resource.id);
            }
            _ => {}
        }
    }
    let mut rendered = Rendered::default();
    for &one in declared {
        match &one.resource.spec {
            Spec::Infrastructure(Infrastructure::Provider(spec)) => {
                let cluster = family::cluster(one, spec, &surroundings.home);
                rendered.objects.extend(cluster);
            }
            Spec::Infrastructure(Infrastructure::Cluster(spec)) => {
                let its = family::instances(one, spec);
                rendered.objects.extend(its.filter(|object| {
                    // One that a user declares under such a name is that user's.
                    !instances.iter().any(|id| id.namespace == object.id.namespace && id.name == object.id.name)
                }));
                rendered.objects.extend(family::budgets(one, spec, &servers, &surroundings.budgets));
            }
            Spec::Infrastructure(Infrastructure::Instance(spec)) => {
                let id = ServerId { namespace: one.resource.id.namespace.clone(), name: one.resource.id.name.clone() };
                let Some(server) = servers.server(&id) else { continue };
                let cluster = server.cluster.as_ref().and_then(|cluster| clusters.get(cluster).copied());
                let (sources, dependants) = (servers.sources(server).collect(), servers.dependants(server).collect());
                let namesake = ServerId { name: names::tcp_service(&id.name), ..id.clone() };
                let has_namesake = servers.server(&namesake).is_some();
                let subject = Subject { declared: one, spec, cluster, server, sources, dependants, has_namesake };
                match instance(&subject, surroundings, &mut rendered.named) {
                    Ok(objects) => rendered.objects.extend(objects),
                    Err(error) => {
                        rendered.refused.insert(id, error);
                    }
                }
            }
            Spec::Zone(_) | Spec::Record(_) => {}
        }
    }
    rendered
}

/// The objects of one server.
fn instance(
    subject: &Subject<'_>,
    surroundings: &Surroundings,
    named: &mut BTreeSet<ObjectId>,
) -> Result<Vec<Object>, FieldError> {
    let own = Files::of(subject, surroundings, named);
    if surroundings.leader.is_empty() {
        return Ok(Vec::new());
    }
    if !surroundings.services.contains_key(&subject.server.id) {
        // Once it has its address, so have the others, which all of them name.
        return service::services(subject, surroundings);
    }
    let Some(own) = own? else { return Ok(Vec::new()) };
    volumes::check(subject)?;
    let files = named_conf::files(subject, surroundings, own)?;
    let mut objects = vec![deployment::config_map(subject, &files)];
    objects.extend(deployment::claim(subject));
    let is_drained = surroundings.drained.contains(&subject.server.id);
    objects.push(deployment::deployment(subject, surroundings, is_drained));
    objects.extend(service::services(subject, surroundings)?);
    Ok(objects)
}

#[cfg(test)]
mod tests;
