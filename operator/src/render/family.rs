//! What a provider and a cluster make: the resources of the next level, and the bounds on how many pods of a role may be
//! away at a time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Declared, names, subject::owner};
use crate::{
    api::{ClusterSpec, Kind, Resource, Role, cluster::RoleSpec},
    object::{Object, ObjectId, Type},
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

/// The budgets of a cluster: one pod of a role may be away at a time.
pub(super) fn budgets<'c>(cluster: Declared<'c>, spec: &'c ClusterSpec) -> impl Iterator<Item = Object> + 'c {
    let id = &cluster.resource.id;
    roles(spec).filter(|(_, of)| of.replicas.unwrap_or(0) > 0).map(move |(role, _)| {
        let selector = names::role_selector(&id.name, role);
        let name = format!("{}-{}", id.name, role.name());
        let of = ObjectId { of: Type::PodDisruptionBudget, namespace: id.namespace.clone(), name };
        let metadata = json!({ "labels": selector, "ownerReferences": [owner(cluster)] });
        Object::new(of, metadata, json!({ "spec": { "maxUnavailable": 1, "selector": { "matchLabels": selector } } }))
    })
}

/// Whether a cluster has made an instance.
pub(super) fn is_child(instance: &Resource) -> bool {
    instance.labels.get(&names::ours("managed-by")).is_some_and(|manager| manager == Kind::CLUSTER.name())
}

fn roles(spec: &ClusterSpec) -> impl Iterator<Item = (Role, &RoleSpec)> {
    let roles = [(Role::Primary, spec.primary.as_ref()), (Role::Secondary, spec.secondary.as_ref())];
    roles.into_iter().filter_map(|(role, of)| Some((role, of?)))
}
