//! What the objects of others tell of servers: where their pods and Services are, and what their keys are called.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{conditions, leader::cluster_addresses};
use crate::{
    api::ResourceId,
    cluster::Store,
    keys,
    object::{ObjectId, Type, is_to_go},
    render::{Given, names},
    servers::ServerId,
};

/// The pods of a server that run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pods {
    pub(super) addresses: BTreeSet<SocketAddr>,
    /// Whether one of them is ready, so that the server's Service leads clients to it.
    pub(super) is_open: bool,
}

/// The pods of each server.
pub(super) fn pods(store: &Store) -> BTreeMap<ServerId, Pods> {
    let mut pods: BTreeMap<ServerId, Pods> = BTreeMap::new();
    for (id, pod) in store.of(Type::Pod) {
        let Some((server, address)) = pod_of_server(id, &pod) else { continue };
        let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        // Nobody answers there until it starts, and then that is seen.
        let starts = waiting(&pod).next().is_some();
        if !ended && !starts && (!is_to_go(&pod) || is_leaving(&pod)) {
            let pods = pods.entry(server).or_default();
            pods.addresses.insert(SocketAddr::new(address, names::DNS_PORT));
            pods.is_open |= conditions::is_ready(&pod);
        }
    }
    pods
}

/// The server whose pod this is, and the pod's address.
pub(super) fn pod_of_server(id: &ObjectId, pod: &Value) -> Option<(ServerId, IpAddr)> {
    let name = pod["metadata"]["labels"]["instance"].as_str()?.to_owned();
    let address = pod["status"]["podIP"].as_str()?.parse().ok()?;
    Some((ServerId { namespace: id.namespace.clone(), name }, address))
}

/// Why a pod does not start, if its node, or the scheduler, has said that something is wrong.
pub(super) fn trouble(pod: &Value) -> Option<String> {
    /// What is always said at first.
    const AS_USUAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];
    /// What others write may be long.
    const MOST: usize = 500;
    let conditions = pod["status"]["conditions"].as_array();
    let unscheduled = conditions.into_iter().flatten().filter(|it| it["reason"] == "Unschedulable");
    let waiting = waiting(pod).filter(|waiting| !AS_USUAL.iter().any(|usual| waiting["reason"] == *usual));
    let why = unscheduled.chain(waiting).next()?;
    let said = |field: &str| why[field].as_str().filter(|text| !text.is_empty());
    let text: Vec<&str> = [said("reason"), said("message")].into_iter().flatten().collect();
    Some(text.join(": ").chars().take(MOST).collect())
}

/// How the containers of a pod wait that do not run yet, or not again yet.
fn waiting(pod: &Value) -> impl Iterator<Item = &Value> {
    let containers = |field: &str| pod["status"][field].as_array().into_iter().flatten();
    let all = containers("initContainerStatuses").chain(containers("containerStatuses"));
    all.filter_map(|container| container["state"].get("waiting"))
}

/// Whether a pod that has to go answers on. Clients may still reach it, so that it is to have what others have.
pub(super) fn is_leaving(pod: &Value) -> bool {
    /// The time between the end of its farewell and that which it is granted, but for a little that it takes to hear of it.
    const REST: SignedDuration = SignedDuration::from_secs(names::END as i64 - 2);
    let end: Option<Timestamp> = pod["metadata"]["deletionTimestamp"].as_str().and_then(|time| time.parse().ok());
    end.is_some_and(|end| Timestamp::now().duration_until(end) > REST)
}

/// The addresses of the Services of servers: of those that are called by this name.
pub(super) fn services<'r>(
    store: &Store,
    instances: impl Iterator<Item = &'r ResourceId>,
    called: fn(&str) -> String,
) -> BTreeMap<ServerId, Vec<IpAddr>> {
    let services = instances.filter_map(|instance| {
        let ResourceId { namespace, name, .. } = instance.clone();
        let id = ObjectId { of: Type::Service, namespace: namespace.clone(), name: called(&name) };
        // A headless one has none.
        Some((ServerId { namespace, name }, cluster_addresses(&store.get(&id)?)))
    });
    services.collect()
}

/// The names of the RNDC keys of servers, where there are Secrets already.
pub(super) fn rndc_keys<'r>(
    store: &Store,
    instances: impl Iterator<Item = &'r ResourceId>,
) -> BTreeMap<ServerId, Vec<String>> {
    let keys = instances.filter_map(|instance| {
        let ResourceId { namespace, name, .. } = instance.clone();
        let id = ObjectId { of: Type::Secret, namespace: namespace.clone(), name: names::rndc_secret(&name) };
        let keys = keys::names_of(&store.get(&id)?);
        (!keys.is_empty()).then_some((ServerId { namespace, name }, keys))
    });
    keys.collect()
}

/// The budgets of anybody.
pub(super) fn budgets(store: &Store) -> BTreeMap<ObjectId, Value> {
    let budgets = store.of(Type::PodDisruptionBudget).filter(|(_, budget)| !is_to_go(budget));
    budgets.map(|(id, budget)| (id.clone(), budget)).collect()
}

/// The objects that resources name, as far as they were looked for. One that was read once counts as it was then.
pub(super) fn given(
    store: &Store,
    named: &BTreeSet<ObjectId>,
    unreadable: &BTreeMap<ObjectId, String>,
) -> BTreeMap<ObjectId, Given> {
    let given = named.iter().filter_map(|id| {
        let given = match store.find(id) {
            Some(Some(object)) => Given::There(object),
            Some(None) => Given::Absent,
            None => Given::Unreadable(unreadable.get(id)?.clone()),
        };
        Some((id.clone(), given))
    });
    given.collect()
}
