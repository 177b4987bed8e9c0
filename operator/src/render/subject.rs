//! A server with everything that it inherits. Its own settings take precedence over those of its role, and these over
//! those of its cluster.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Declared, Surroundings, names};
use crate::{
    api::{
        ClusterSpec, InstanceSpec, Kind, Role,
        cluster::{ConfigMapRefs, ImageConfig, RoleSpec, ServiceConfig},
        embedded::{Volume, VolumeMount},
        spread::PlacementConfig,
    },
    object::{Object, ObjectId, Type},
    servers::Server,
};

/// A server, and where its settings are.
pub(super) struct Subject<'r> {
    pub(super) declared: Declared<'r>,
    pub(super) spec: &'r InstanceSpec,
    pub(super) cluster: Option<&'r ClusterSpec>,
    pub(super) server: &'r Server,
    /// The servers from which it gets its zones while the hidden primary is away.
    pub(super) sources: Vec<&'r Server>,
    /// The servers that get theirs from it then.
    pub(super) dependants: Vec<&'r Server>,
    /// Whether there is a server that is called as its Service for TCP would be.
    pub(super) has_namesake: bool,
}

impl<'r> Subject<'r> {
    pub(super) fn name(&self) -> &'r str {
        &self.server.id.name
    }

    pub(super) fn namespace(&self) -> &'r str {
        &self.server.id.namespace
    }

    /// Makes an object that goes with the server.
    pub(super) fn object(&self, of: Type, name: String, annotations: &Value, fields: Value) -> Object {
        let id = ObjectId { of, namespace: self.namespace().to_owned(), name };
        let metadata = json!({
            "labels": self.labels(),
            "annotations": annotations,
            "ownerReferences": [owner(self.declared)],
        });
        Object::new(id, metadata, fields)
    }

    /// The labels by which its pods are selected.
    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        let made = self.declared.resource.labels.get(&names::ours("managed-by"));
        let manager = made.map_or(Kind::INSTANCE.name(), String::as_str);
        names::selector(self.name(), manager, self.server.role)
    }

    /// The labels of its objects and pods.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        if let Some(cluster) = &self.server.cluster {
            labels.insert(names::ours("cluster"), cluster.name.clone());
        }
        labels
    }

    /// The name of the Secret with the key by which it gets its zones.
    pub(super) fn transfer_secret(&self) -> String {
        names::transfer_secret(names::key_owner(self.server))
    }

    /// The names of the keys by which it may get its zones, and others from it. It uses the first.
    pub(super) fn transfer_keys(&self, surroundings: &Surroundings) -> Vec<String> {
        let known = surroundings.transfer_keys.get(&self.server.id).cloned();
        let mut keys =
            known.unwrap_or_else(|| vec![names::transfer_key(self.namespace(), names::key_owner(self.server))]);
        // That which is to come is accepted as soon as it is in the Secret, without another configuration.
        if let Some(next) = keys.first().map(|used| names::next_key(used))
            && !keys.contains(&next)
        {
            keys.push(next);
        }
        keys
    }

    pub(super) fn image(&self) -> Option<&'r ImageConfig> {
        self.spec.image.as_ref().or_else(|| self.cluster?.image.as_ref())
    }

    pub(super) fn config_map_refs(&self) -> Option<&'r ConfigMapRefs> {
        self.spec.config_map_refs.as_ref().or_else(|| self.cluster?.config_map_refs.as_ref())
    }

    pub(super) fn volumes(&self) -> &'r [Volume] {
        let of_cluster = self.cluster.map(|cluster| &cluster.volumes);
        self.spec.volumes.as_ref().or(of_cluster).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn volume_mounts(&self) -> &'r [VolumeMount] {
        let of_cluster = self.cluster.map(|cluster| &cluster.volume_mounts);
        self.spec.volume_mounts.as_ref().or(of_cluster).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn service(&self) -> Option<&'r ServiceConfig> {
        self.role()?.service.as_ref()
    }

    pub(super) fn placement(&self) -> Option<&'r PlacementConfig> {
        self.spec.placement.as_ref().or_else(|| self.role()?.placement.as_ref())
    }

    fn role(&self) -> Option<&'r RoleSpec> {
        let cluster = self.cluster?;
        match self.server.role {
            Role::Primary => cluster.primary.as_ref(),
            Role::Secondary => cluster.secondary.as_ref(),
        }
    }
}

/// The reference by which an object goes with its owner.
pub fn owner(declared: Declared<'_>) -> Value {
    let id = &declared.resource.id;
    let resource = Type::Own(id.kind).resource();
    json!({
        "apiVersion": resource.api_version, "kind": resource.kind, "name": id.name, "uid": declared.uid,
        "controller": true,
    })
}
