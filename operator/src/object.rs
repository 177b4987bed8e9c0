//! Objects of the Kubernetes API, of our own types and others, as JSON: which there are, and what identifies one.

use std::fmt;

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::api::{GROUP, Kind, ResourceId, VERSION};

/// The types of objects that are read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names are those of the types.
pub enum Type {
    /// A type of Bindy.
    Own(Kind),
    ConfigMap,
    Deployment,
    /// What clients have written into zones.
    DynamicRecords,
    EndpointSlice,
    Event,
    /// A ConfigMap that a resource names, whoever has made it.
    GivenConfigMap,
    /// A Secret that a resource names, whoever has made it.
    GivenSecret,
    Lease,
    PersistentVolumeClaim,
    Pod,
    PodDisruptionBudget,
    Secret,
    Service,
}

/// The identity of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The type.
    pub of: Type,
    /// The namespace; empty for a type without namespaces.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// An object as it is to be: what is not said of it is left to others.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The identity.
    pub id: ObjectId,
    /// The whole object, with `apiVersion`, `kind` and `metadata`.
    pub body: Value,
}

impl Type {
    /// The group, the version, the kind and the plural.
    fn row(self) -> (&'static str, &'static str, &'static str, String) {
        let row =
            |group, version, kind: &'static str| (group, version, kind, format!("{}s", kind.to_ascii_lowercase()));
        match self {
            Type::Own(kind) => (GROUP, VERSION, kind.name(), kind.plural()),
            Type::ConfigMap | Type::GivenConfigMap => row("", "v1", "ConfigMap"),
            Type::Deployment => row("apps", "v1", "Deployment"),
            Type::DynamicRecords => (GROUP, VERSION, "DynamicRecords", "dynamicrecords".into()),
            Type::EndpointSlice => row("discovery.k8s.io", "v1", "EndpointSlice"),
            Type::Event => row("events.k8s.io", "v1", "Event"),
            Type::Lease => row("coordination.k8s.io", "v1", "Lease"),
            Type::PersistentVolumeClaim => row("", "v1", "PersistentVolumeClaim"),
            Type::Pod => row("", "v1", "Pod"),
            Type::PodDisruptionBudget => row("policy", "v1", "PodDisruptionBudget"),
            Type::Secret | Type::GivenSecret => row("", "v1", "Secret"),
            Type::Service => row("", "v1", "Service"),
        }
    }

    /// The type as kube's client needs it.
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.row();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), &plural)
    }

    /// The kind, as manifests have it.
    pub fn kind(self) -> &'static str {
        self.row().2
    }

    /// Whether objects of the type have a namespace.
    pub fn is_namespaced(self) -> bool {
        self != Type::Own(Kind::PROVIDER)
    }
}

impl Object {
    /// Makes an object of its metadata, without name and namespace, and of its other fields.
    pub fn new(id: ObjectId, mut metadata: Value, fields: Value) -> Object {
        let resource = id.of.resource();
        metadata["name"] = json!(id.name);
        if id.of.is_namespaced() {
            metadata["namespace"] = json!(id.namespace);
        }
        let mut body = json!({ "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata });
        if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
            body.extend(fields);
        }
        Object { id, body }
    }
}

/// Whether an object is being deleted.
pub(crate) fn is_to_go(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

impl ObjectId {
    /// The resource that this is, if it is one of Bindy's.
    pub fn resource(&self) -> Option<ResourceId> {
        let Type::Own(kind) = self.of else { return None };
        Some(ResourceId { namespace: self.namespace.clone(), name: self.name.clone(), kind })
    }
}

impl From<&ResourceId> for ObjectId {
    fn from(ResourceId { namespace, name, kind }: &ResourceId) -> ObjectId {
        ObjectId { of: Type::Own(*kind), namespace: namespace.clone(), name: name.clone() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.of.kind())?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}
