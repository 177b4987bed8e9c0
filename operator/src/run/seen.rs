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
    servers::{ServerId, Servers},
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
        // Nobody answers there until it starts, and then that is seen.
        let starts = waiting(&pod).next().is_some();
        if !has_ended(&pod) && !starts && (!is_to_go(&pod) || is_leaving(&pod)) {
            let pods = pods.entry(server).or_default();
            pods.addresses.insert(SocketAddr::new(address, names::DNS_PORT));
            pods.is_open |= conditions::is_ready(&pod);
        }
    }
    pods
}

/// The pods of a server that have not ended.
pub(super) fn pods_of<'s>(store: &'s Store, server: &ServerId) -> impl Iterator<Item = (&'s ObjectId, Value)> {
    let is_its = move |id: &ObjectId, pod: &Value| server_of(id, pod).is_some_and(|of| of == *server);
    store.of(Type::Pod).filter(move |(id, pod)| is_its(id, pod) && !has_ended(pod))
}

/// The server whose pod this is, and the pod's address.
pub(super) fn pod_of_server(id: &ObjectId, pod: &Value) -> Option<(ServerId, IpAddr)> {
    Some((server_of(id, pod)?, pod["status"]["podIP"].as_str()?.parse().ok()?))
}

fn server_of(id: &ObjectId, pod: &Value) -> Option<ServerId> {
    let name = pod["metadata"]["labels"][names::INSTANCE].as_str()?.to_owned();
    Some(ServerId { namespace: id.namespace.clone(), name })
}

/// Whether a pod does not run any more, as one that was evicted.
fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Why a pod does not start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// What its node, or the scheduler, has said.
    pub(super) why: String,
    /// Whether it may go by itself, as when another node is there.
    pub(super) may_pass: bool,
}

/// Why a pod does not start, if its node, or the scheduler, has said that something is wrong.
pub(super) fn obstacle(pod: &Value) -> Option<Obstacle> {
    /// What is always said at first.
    const AS_USUAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];
    /// What others write may be long.
    const MOST: usize = 500;
    let unscheduled = items(&pod["status"], "conditions").find(|it| it["reason"] == "Unschedulable");
    let waiting = || {
        let mut waiting = waiting(pod);
        waiting.find(|(_, waiting)| !AS_USUAL.iter().any(|usual| waiting["reason"] == *usual))
    };
    let (why, ended, may_pass) = match unscheduled {
        Some(unscheduled) => (unscheduled, &Value::Null, true),
        None => waiting().map(|(container, waiting)| (waiting, &container["lastState"]["terminated"], false))?,
    };
    let end = ended["exitCode"]
        .as_i64()
        .map(|code| format!("its container ended with code {code} ({}), and its log says why", text(&ended["reason"])));
    let said = [text(&why["reason"]), text(&why["message"]), end.as_deref().unwrap_or_default()];
    let said: Vec<&str> = said.into_iter().filter(|said| !said.is_empty()).collect();
    Some(Obstacle { why: said.join(": ").chars().take(MOST).collect(), may_pass })
}

/// The containers of a pod that do not run yet, or not again yet, with how they wait.
fn waiting(pod: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let lists = ["initContainerStatuses", "containerStatuses"].into_iter();
    let all = lists.flat_map(|list| items(&pod["status"], list));
    all.filter_map(|container| Some((container, container["state"].get("waiting")?)))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items<'v>(object: &'v Value, list: &str) -> impl Iterator<Item = &'v Value> {
    object[list].as_array().into_iter().flatten()
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
    of_secrets(store, instances, |secret| Some(keys::names_of(secret)).filter(|keys| !keys.is_empty()))
}

/// The names of the keys by which servers get their zones, where there are Secrets already: that which is used first.
pub(super) fn transfer_keys(store: &Store, servers: &Servers) -> BTreeMap<ServerId, Vec<String>> {
    let names = servers.iter().filter_map(|server| {
        let ServerId { namespace, .. } = server.id.clone();
        let id = ObjectId { of: Type::Secret, namespace, name: names::transfer_secret(names::key_owner(server)) };
        let names = Some(keys::names_of(&store.get(&id)?)).filter(|names| !names.is_empty())?;
        Some((server.id.clone(), names))
    });
    names.collect()
}

/// Whether the Secret of a server is there without the file that its pods read, as one that a former version has made.
pub(super) fn lacks_keys_file(store: &Store, namespace: &str, server: &str) -> bool {
    let id = ObjectId { of: Type::Secret, namespace: namespace.to_owned(), name: names::rndc_secret(server) };
    store.get(&id).is_some_and(|secret| secret["data"].get(names::KEYS_FILE).is_none())
}

/// When the pods of servers were to be replaced last, so that these accept other keys.
pub(super) fn keys_changed<'r>(
    store: &Store,
    instances: impl Iterator<Item = &'r ResourceId>,
) -> BTreeMap<ServerId, String> {
    of_secrets(store, instances, |secret| keys::changed_at(secret).map(str::to_owned))
}

/// What the Secrets with the RNDC keys of servers say.
fn of_secrets<'r, T>(
    store: &Store,
    instances: impl Iterator<Item = &'r ResourceId>,
    say: impl Fn(&Value) -> Option<T>,
) -> BTreeMap<ServerId, T> {
    let said = instances.filter_map(|instance| {
        let ResourceId { namespace, name, .. } = instance.clone();
        let id = ObjectId { of: Type::Secret, namespace: namespace.clone(), name: names::rndc_secret(&name) };
        let said = say(&store.get(&id)?)?;
        Some((ServerId { namespace, name }, said))
    });
    said.collect()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_of_a_former_version_lacks_the_file_that_pods_read() {
        let mut store = Store::default();
        let mut lacks = |data: Value| {
            let id = ObjectId { of: Type::Secret, namespace: "dns".into(), name: names::rndc_secret("a") };
            let secret = crate::cluster::Text::from(&json!({ "data": data }));
            store.take(crate::cluster::Seen::Put(id, secret), &mut std::collections::BTreeSet::default());
            (lacks_keys_file(&store, "dns", "a"), lacks_keys_file(&store, "dns", "b"))
        };
        assert_eq!(lacks(json!({ "rndc.key": "" })), (true, false), "of what is not there, nothing is known");
        assert_eq!(lacks(json!({ "rndc.key": "", "keys.conf": "" })), (false, false));
    }

    #[test]
    fn a_pod_that_does_not_start_says_why() {
        let pod = |waiting: Value, ended: Value| {
            let container = json!({ "state": { "waiting": waiting }, "lastState": { "terminated": ended } });
            let containers = json!([{ "state": { "running": {} } }, container]);
            obstacle(&json!({ "status": { "containerStatuses": containers } })).map(|it| it.why)
        };
        assert_eq!(pod(json!({ "reason": "ContainerCreating" }), json!(null)), None);
        let image = json!({ "reason": "ImagePullBackOff", "message": "no such image" });
        assert_eq!(pod(image, json!(null)).unwrap(), "ImagePullBackOff: no such image");
        let crashes = json!({ "reason": "CrashLoopBackOff", "message": "back-off 10s" });
        let ended = json!({ "exitCode": 137, "reason": "OOMKilled" });
        let said =
            "CrashLoopBackOff: back-off 10s: its container ended with code 137 (OOMKilled), and its log says why";
        assert_eq!(pod(crashes, ended).unwrap(), said);
        let unscheduled = json!([{ "type": "Ready" }, { "reason": "Unschedulable", "message": "no nodes" }]);
        let waits = Obstacle { why: "Unschedulable: no nodes".into(), may_pass: true };
        assert_eq!(obstacle(&json!({ "status": { "conditions": unscheduled } })), Some(waits));
    }
}
