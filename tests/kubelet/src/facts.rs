//! What is known of a Pod beside its specification, and the fields of it that its containers may be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use k8s_openapi::{
    api::core::v1::{Container, ObjectFieldSelector, Pod, ResourceFieldSelector},
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{
    network::{self, Addresses},
    quantity::in_units,
};

/// Why a container waits: a reason and a message for its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { reason, message: message.into() }
    }

    /// The specification asks for something that is not there.
    pub(crate) fn config(message: impl Into<String>) -> Refusal {
        Refusal::new("CreateContainerConfigError", message)
    }
}

/// An object that a Pod refers to, in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    ConfigMap,
    Secret,
}

/// A token of the Pod's ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token {
    /// `None` is the API server.
    pub(crate) audience: Option<String>,
    pub(crate) seconds: i64,
}

/// The keys of a ConfigMap or a Secret.
pub(crate) type Data = BTreeMap<String, Vec<u8>>;

/// What a Pod refers to, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    /// `None` are objects that do not exist.
    pub(crate) data: BTreeMap<Reference, Option<Data>>,
    pub(crate) tokens: BTreeMap<Token, String>,
}

/// What a Pod needs to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) objects: BTreeSet<Reference>,
    pub(crate) tokens: BTreeSet<Token>,
}

/// All that containers and volumes are made of.
pub(crate) struct Facts<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) objects: &'a Objects,
    pub(crate) node: &'a str,
    pub(crate) addresses: Addresses,
    /// The Service `kubernetes`.
    pub(crate) api: SocketAddr,
}

impl Facts<'_> {
    /// The keys of an object; `None` where it is optional and does not exist.
    pub(crate) fn data(&self, kind: Kind, name: &str, is_optional: Option<bool>) -> Result<Option<&Data>, Refusal> {
        let reference = Reference { kind, name: name.into() };
        match self.objects.data.get(&reference) {
            Some(Some(data)) => Ok(Some(data)),
            Some(None) if is_optional == Some(true) => Ok(None),
            Some(None) => Err(Refusal::config(format!("{kind:?} {name:?} not found"))),
            None => Err(Refusal::new("ContainerCreating", format!("{kind:?} {name:?} was not read yet"))),
        }
    }

    /// A field of the Pod that may be referred to.
    pub(crate) fn field(&self, field: &ObjectFieldSelector) -> Result<String, Refusal> {
        let metadata = &self.pod.metadata;
        let spec = self.pod.spec.as_ref();
        let path = field.field_path.as_str();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let keyed = |map: &Option<BTreeMap<String, String>>, of: &str| {
            let key = path.strip_prefix(of)?.strip_prefix("['")?.strip_suffix("']")?;
            Some(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default())
        };
        let all = |map: &Option<BTreeMap<String, String>>| {
            let lines =
                map.iter().flatten().map(|(key, value)| format!("{key}={}", serde_json::Value::from(&value[..])));
            lines.collect::<Vec<_>>().join("\n")
        };
        Ok(match path {
            "metadata.name" => text(&metadata.name),
            "metadata.namespace" => text(&metadata.namespace),
            "metadata.uid" => text(&metadata.uid),
            "metadata.labels" => all(&metadata.labels),
            "metadata.annotations" => all(&metadata.annotations),
            "spec.nodeName" => self.node.into(),
            "spec.serviceAccountName" => text(&spec.and_then(|spec| spec.service_account_name.clone())),
            "status.hostIP" | "status.hostIPs" => IpAddr::from(network::NODE).to_string(),
            "status.podIP" => self.addresses.first().to_string(),
            "status.podIPs" => self.addresses.all().map(|it| it.to_string()).collect::<Vec<_>>().join(","),
            _ => keyed(&metadata.labels, "metadata.labels")
                .or_else(|| keyed(&metadata.annotations, "metadata.annotations"))
                .ok_or_else(|| Refusal::config(format!("fieldRef {path:?} is none that this kubelet knows")))?,
        })
    }

    /// A resource of a container; where it has no limit, the node's.
    pub(crate) fn resource(&self, own: Option<&Container>, field: &ResourceFieldSelector) -> Result<u64, Refusal> {
        let spec = self.pod.spec.as_ref();
        let containers = || spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        let named = field.container_name.as_deref().and_then(|name| containers().find(|it| it.name == name));
        let container = named.or(own).ok_or_else(|| Refusal::config("resourceFieldRef: there is no such container"))?;
        let resources = container.resources.as_ref();
        let (map, name) = field.resource.split_once('.').unwrap_or(("limits", &field.resource));
        let map = match map {
            "requests" => resources.and_then(|resources| resources.requests.as_ref()),
            _ => resources.and_then(|resources| resources.limits.as_ref()),
        };
        let quantity = map.and_then(|map| map.get(name)).cloned();
        let quantity = quantity.unwrap_or_else(|| Quantity(capacity(name).into()));
        Ok(in_units(&quantity, field.divisor.as_ref()))
    }
}

/// What the Node has of a resource.
pub(crate) fn capacity(resource: &str) -> &'static str {
    match resource {
        "cpu" => "64",
        "memory" => "64Gi",
        "ephemeral-storage" => "100Gi",
        "pods" => "1000",
        _ => "0",
    }
}
