//! What a provider and a cluster make: the resources of the next level, and the bounds on how many pods of a role may be
//! away at a time.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Declared, names, subject::owner};
use crate::{
    api::{ClusterSpec, Kind, LabelSelector, Resource, Role, cluster::RoleSpec},
    object::{Object, ObjectId, Type},
    servers::{Server, Servers},
};

/// The cluster of a provider; `None` if the provider cannot be written down, which cannot be.
pub(super) fn cluster(provider: Declared<'_>, spec: &ClusterSpec, home: &str) -> Option<Object> {
    let name = &provider.resource.id.name;
    let mut spec_of_cluster = serde_json::to_value(spec).ok()?;
    crate::api::remove_nulls(&mut spec_of_cluster);
    if let Value::Object(fields) = &mut spec_of_cluster {
        fields.remove("namespace");
    }
    let namespace = spec.namespace.as_deref().unwrap_or(home).to_owned();
    let id = ObjectId { of: Type::Own(Kind::CLUSTER), namespace, name: name.clone() };
    let labels = json!({
        names::PART_OF.0: names::PART_OF.1,
        names::ours("managed-by"): Kind::PROVIDER.name(),
        names::ours("cluster"): name,
    });
    let metadata = json!({ "labels": labels, "ownerReferences": [owner(provider)] });
    Some(Object::new(id, metadata, json!({ "spec": spec_of_cluster })))
}

/// The instances of a cluster. They say who they are; all else they inherit.
pub(super) fn instances<'c>(cluster: Declared<'c>, spec: &'c ClusterSpec) -> impl Iterator<Item = Object> + 'c {
    let id = &cluster.resource.id;
    roles(spec).flat_map(move |(role, of)| {
        (0..of.replicas.unwrap_or(0)).map(move |number| {
            let name = format!("{}-{}-{number}", id.name, role.name());
            let mut labels: BTreeMap<String, String> = of.labels.clone();
            labels.extend(names::role_selector(&id.name, role));
            labels.insert(names::ours("managed-by"), Kind::CLUSTER.name().into());
            let metadata = json!({
                "labels": labels,
                "annotations": { names::ours("instance-index"): number.to_string() },
                "ownerReferences": [owner(cluster)],
            });
            let of = ObjectId { of: Type::Own(Kind::INSTANCE), namespace: id.namespace.clone(), name };
            Object::new(of, metadata, json!({ "spec": { "clusterRef": id.name, "role": role.name() } }))
        })
    })
}

/// The budgets of a cluster: one pod of a role may be away at a time. A pod with two budgets cannot be evicted at all, so
/// that servers for which there is another one are left to that.
pub(super) fn budgets<'c>(
    cluster: Declared<'c>,
    spec: &'c ClusterSpec,
    servers: &'c Servers,
    there: &'c BTreeMap<ObjectId, Value>,
) -> impl Iterator<Item = Object> + 'c {
    let id = &cluster.resource.id;
    roles(spec).filter(|(_, of)| of.replicas.unwrap_or(0) > 0).filter_map(move |(role, _)| {
        let name = format!("{}-{}", id.name, role.name());
        let of = ObjectId { of: Type::PodDisruptionBudget, namespace: id.namespace.clone(), name };
        // Both at once say two things.
        let is_foreign = |budget: &Value| budget["spec"].get("minAvailable").is_some();
        if there.get(&of).is_some_and(is_foreign) {
            return None;
        }
        let its: Vec<(&str, BTreeMap<String, String>)> = pods(&of.namespace, &id.name, role, servers).collect();
        let others = || there.iter().filter(|(other, _)| other.namespace == of.namespace && **other != of);
        let has_other = |labels: &BTreeMap<String, String>| others().any(|(_, budget)| selects(budget, labels));
        let left: Vec<&str> = its.iter().filter(|(_, labels)| has_other(labels)).map(|(server, _)| *server).collect();
        if !left.is_empty() && left.len() == its.len() && !there.contains_key(&of) {
            return None;
        }
        let labels = names::role_selector(&id.name, role);
        let mut selector = json!({ "matchLabels": labels });
        if !left.is_empty() {
            selector["matchExpressions"] = json!([{ "key": names::INSTANCE, "operator": "NotIn", "values": left }]);
        }
        let metadata = json!({ "labels": labels, "ownerReferences": [owner(cluster)] });
        Some(Object::new(of, metadata, json!({ "spec": { "maxUnavailable": 1, "selector": selector } })))
    })
}

/// The servers of a role of a cluster, with the labels of their pods.
fn pods<'s>(
    namespace: &str,
    cluster: &str,
    role: Role,
    servers: &'s Servers,
) -> impl Iterator<Item = (&'s str, BTreeMap<String, String>)> {
    let is_its = move |server: &&Server| {
        let of = server.cluster.as_ref().is_some_and(|of| of.name == cluster);
        of && server.id.namespace == namespace && server.role == role
    };
    servers.iter().filter(is_its).map(move |server| {
        let manager = server.labels.get(&names::ours("managed-by")).map_or(Kind::INSTANCE.name(), String::as_str);
        let mut labels = names::selector(&server.id.name, manager, role);
        labels.insert(names::ours("cluster"), cluster.to_owned());
        (server.id.name.as_str(), labels)
    })
}

/// Whether a budget is for pods with these labels.
fn selects(budget: &Value, labels: &BTreeMap<String, String>) -> bool {
    let selector = budget["spec"].get("selector").and_then(|selector| LabelSelector::deserialize(selector).ok());
    selector.is_some_and(|selector| selector.matches(labels))
}

/// Whether a cluster has made an instance.
pub(super) fn is_child(instance: &Resource) -> bool {
    instance.labels.get(&names::ours("managed-by")).is_some_and(|manager| manager == Kind::CLUSTER.name())
}

fn roles(spec: &ClusterSpec) -> impl Iterator<Item = (Role, &RoleSpec)> {
    let roles = [(Role::Primary, spec.primary.as_ref()), (Role::Secondary, spec.secondary.as_ref())];
    roles.into_iter().filter_map(|(role, of)| Some((role, of?)))
}
