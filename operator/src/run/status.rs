//! What is to be said of resources: of each what has become of it, from what was compiled and what servers were seen to
//! serve.

use std::{borrow::Cow, time::Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use zonefmt::Name;

use super::{
    conditions::{self, APPLY_FAILED, NO_SERVERS, NOT_SERVED_YET, Said, Trouble},
    configs::{Configs, InEffect},
    objects::Objects,
    retirement, rollout, rotation,
    seen::{self, Obstacle},
    serving::Serving,
    world::World,
    zones::Zones,
};
use crate::{
    api::{
        FieldError, InfrastructureKind, Kind, ResourceId,
        status::{MOST_IN_FORCE, MOST_INSTANCES},
    },
    compile::{self, Reason, Verdict},
    keys::{self, Purpose},
    object::{ObjectId, Type},
    render::names,
    servers::ServerId,
};

/// The status of a resource, as far as it is known.
pub(super) enum Due {
    /// This, until something changes.
    Final(Value),
    /// This, until servers have answered for a zone.
    Until(Name, Value),
    /// That will be known when servers have answered for a zone.
    Once(Name),
    /// That will be known soon.
    Later,
}

impl Due {
    /// The same with another field. What is null goes.
    fn with(mut self, field: &str, value: Value) -> Due {
        if let Due::Final(status) | Due::Until(_, status) = &mut self {
            status[field] = value;
        }
        self
    }
}

/// All that status tells of.
#[derive(Clone, Copy)]
pub(super) struct View<'v> {
    pub(super) world: &'v World,
    pub(super) zones: &'v Zones,
    pub(super) serving: &'v Serving,
    pub(super) objects: &'v Objects,
    pub(super) configs: &'v Configs,
    /// Whether it is said how many zones servers have, which may change all the time.
    pub(super) counts: bool,
}

/// What is to be said of a resource.
pub(super) fn of(view: View<'_>, id: &ResourceId, live: &Value, now: Timestamp) -> Due {
    let rejected = view.world.declarations.rejected(id);
    let known = view.zones.verdict(id).or_else(|| (!rejected.is_empty()).then(Verdict::default));
    let Some(mut verdict) = known else { return Due::Later };
    verdict.findings.splice(..0, rejected.iter().cloned());
    verdict.findings.extend(compile::remarks(id.kind, &live["spec"]));
    verdict.findings.extend(view.serving.findings_of_keys(id).iter().cloned());
    let due = match id.kind {
        Kind::Zone => zone(view, id, &verdict, live, now),
        Kind::Record(_) => record(view, id, &verdict, live, now),
        Kind::Infrastructure(InfrastructureKind::Instance) => instance(view, id, &verdict, live, now),
        Kind::Infrastructure(_) => Due::Final(family(view, id, &verdict, live, now)),
    };
    let in_force = view.world.declarations.in_force(id).filter(|spec| spec.len() <= MOST_IN_FORCE);
    due.with("inForce", json!(in_force.map(without_keys)))
}

/// A `spec` without the keys that users write into it. Such a key is the first of a Secret that is there already.
fn without_keys(spec: &str) -> Cow<'_, str> {
    fn take_out(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if matches!(name.as_str(), "rndcKey" | "rndcKeys")
                        && let Some(secret) = field.get_mut("secret").and_then(Value::as_object_mut)
                    {
                        secret.remove("data");
                        secret.remove("stringData");
                    }
                    take_out(field);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(take_out),
            _ => {}
        }
    }
    let read = if spec.contains("\"rndcKey") { serde_json::from_str::<Value>(spec).ok() } else { None };
    read.map_or(Cow::Borrowed(spec), |mut read| {
        take_out(&mut read);
        Cow::Owned(read.to_string())
    })
}

fn zone(view: View<'_>, id: &ResourceId, verdict: &Verdict, live: &Value, now: Timestamp) -> Due {
    let Some(origin) = verdict.served.first() else {
        let Some(said) = Said::refused(verdict) else { return Due::Later };
        let is_anothers = verdict.findings.iter().any(|finding| finding.reason == Reason::DuplicateZone);
        if is_anothers {
            return Due::Final(conditions::zone_nowhere(live, &said, now));
        }
        // Servers may have it still, as it was.
        let generation = &live["metadata"]["generation"];
        return Due::Final(json!({ "observedGeneration": generation, "conditions": said.conditions(live, now) }));
    };
    if let Some(server) = view.serving.lacks_room(origin) {
        let extent = view.serving.extent(origin).unwrap_or_default();
        return Due::Final(conditions::zone_on(live, &extent, &conditions::no_room(server), now));
    }
    if let Some(why) = view.zones.unreadable(origin) {
        let extent = view.serving.extent(origin).unwrap_or_default();
        return Due::Final(conditions::zone_on(live, &extent, &conditions::unreadable(why), now));
    }
    let held = view.zones.held(origin).map(ToString::to_string);
    if held.is_none() && view.zones.is_pending(origin) {
        return Due::Later;
    }
    let Some(extent) = view.serving.extent(origin) else { return Due::Once(origin.clone()) };
    let is_adrift = view.world.is_adrift(id);
    Due::Final(conditions::zone(live, verdict, &extent, &Trouble { held, is_adrift }, now))
}

/// What is to be said of a record. Once it was served everywhere it stays so until it changes, or has no servers any more:
/// a server that is away shows on the zone.
fn record(view: View<'_>, id: &ResourceId, verdict: &Verdict, live: &Value, now: Timestamp) -> Due {
    let first = verdict.served.first();
    let zone = first.and_then(|origin| Some((view.zones.resource(origin)?, origin)));
    let owner = first.and_then(|origin| view.zones.owner(origin, id));
    let in_force = view.world.declarations.in_force(id).and_then(|spec| serde_json::from_str(spec).ok());
    let spec = in_force.as_ref().unwrap_or(&live["spec"]);
    let said = |said: &Said| conditions::record((live, spec), said, zone, owner, now);
    if let Some(refused) = Said::refused(verdict) {
        return Due::Final(said(&refused));
    }
    let Some(versions) = view.zones.contained(id) else { return Due::Later };
    let is_deserted = versions.keys().any(|origin| view.serving.is_deserted(origin));
    let lacking = || versions.iter().find(|(origin, serial)| !view.serving.has(origin, **serial));
    let generation = &live["metadata"]["generation"];
    let served = said(&Said::served(verdict));
    let is_same = |field: &str| live["status"][field] == served[field];
    let was_served = conditions::ready(live)
        .is_some_and(|ready| ready["status"] == "True" && ready["observedGeneration"] == *generation)
        && is_same("zoneRef")
        && is_same("publishedName");
    let Some((origin, _)) = lacking().filter(|_| !was_served || is_deserted) else { return Due::Final(served) };
    if view.serving.is_early(origin) {
        return Due::Once(origin.clone());
    }
    let (reason, message) = if is_deserted {
        (NO_SERVERS, "Its zone has no servers; the DNSZone says why.")
    } else {
        (NOT_SERVED_YET, "Some server of its zone does not serve it yet; the DNSZone says which.")
    };
    Due::Until(origin.clone(), said(&Said::Waiting(reason, message.to_owned())))
}

fn instance(view: View<'_>, id: &ResourceId, verdict: &Verdict, live: &Value, now: Timestamp) -> Due {
    let server = ServerId { namespace: id.namespace.clone(), name: id.name.clone() };
    let declared = view.world.servers.server(&server);
    let retires = declared.and_then(|server| server.retires);
    let pods = Pods::of(view, &server, live);
    let replicas = pods.there;
    let stopped = stopped(view, &server, verdict).or_else(|| retires.map(|why| retirement::said(why, replicas)));
    let stopped = stopped.or_else(|| view.serving.keeps(&server).map(|why| Said::held(&why.to_string())));
    let Some(said) = stopped.or_else(|| runs(view, &server, verdict, &pods)) else { return Due::Later };
    let mut conditions = said.conditions(live, now);
    let key = |purpose| rotation::of(&view.world.store, purpose, (&id.namespace, &id.name), live, now).unzip();
    let (rotation, due) = key(Purpose::Control);
    let is_alone = declared.is_some_and(|server| server.cluster_name.is_none());
    let (of_transfers, transfers_due) = if is_alone { key(Purpose::Transfer) } else { (None, None) };
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.extend(retires.map(|why| retirement::condition(live, why, now)));
        conditions.extend(due.into_iter().chain(transfers_due));
    }
    let used = view.objects.transfer_key(&server).filter(|_| view.configs.is_everywhere(&server));
    let cluster = declared.and_then(|server| server.cluster.as_ref()).map(|cluster| {
        let kind = if cluster.provider { Kind::PROVIDER } else { Kind::CLUSTER };
        let namespace = if cluster.provider { String::new() } else { cluster.namespace.clone() };
        conditions::reference(&ResourceId { namespace, name: cluster.name.clone(), kind })
    });
    let mut status = json!({
        "observedGeneration": live["metadata"]["generation"],
        "replicas": replicas,
        "selector": format!("{}={},{}={}", names::PART_OF.0, names::PART_OF.1, names::INSTANCE, id.name),
        "serviceAddress": service_address(view, &server),
        "clusterRef": cluster,
        "rndcKeyRotation": rotation,
        "rndcKeyRotationStatus": rotation,
        "transferKeyRotation": of_transfers,
        keys::IN_USE: used.or(live["status"][keys::IN_USE].as_str()),
        "conditions": conditions,
    });
    if let Some((zones, serial)) = view.serving.listed(&server).filter(|_| view.counts) {
        status["zonesCount"] = json!(zones);
        if view.serving.keeps(&server).is_none() {
            // By this one, somebody may be about to allow what is held.
            status["catalogSerial"] = json!(serial.0);
        }
    }
    if retires.is_some() && replicas == 0 {
        status["zonesCount"] = json!(0);
    }
    Due::Final(status)
}

/// The pods of a server, as far as its status tells of them.
struct Pods {
    wanted: usize,
    there: usize,
    ready: usize,
    /// One that does not start, and why.
    obstacle: Option<(String, Obstacle)>,
}

impl Pods {
    fn of(view: View<'_>, server: &ServerId, live: &Value) -> Pods {
        let wanted = live["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
        let mut pods = Pods { wanted, there: 0, ready: 0, obstacle: None };
        for (id, pod) in seen::pods_of(&view.world.store, server) {
            pods.there += 1;
            if conditions::is_ready(&pod) {
                pods.ready += 1;
            } else if let Some(obstacle) = seen::obstacle(&pod) {
                pods.obstacle = Some((id.name.clone(), obstacle));
            }
        }
        pods
    }

    fn said(&self) -> Said {
        conditions::of_servers(self.wanted, self.ready, "pods")
    }
}

/// That a server is not made what it is declared to be, if it is not.
fn stopped(view: View<'_>, server: &ServerId, verdict: &Verdict) -> Option<Said> {
    let refused = view.objects.refused(server).map(|FieldError { path, message, help }| {
        let help = help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        Said::Stalled(Reason::InvalidServer.name(), format!("{path}: {message}{help}."))
    });
    Said::refused(verdict).or(refused).or_else(|| unapplied(view, &server.resource()))
}

/// That an object of a resource cannot be applied, if one cannot.
fn unapplied(view: View<'_>, id: &ResourceId) -> Option<Said> {
    view.objects.refusal(id).map(|why| Said::Stalled(APPLY_FAILED, why))
}

/// How far the pods of a server are what they are to be; `None` if that will be known soon.
fn runs(view: View<'_>, server: &ServerId, verdict: &Verdict, pods: &Pods) -> Option<Said> {
    let lacks_some = pods.ready < pods.wanted;
    Some(match view.configs.of(server, Instant::now()) {
        InEffect::Refused(pod, why) => conditions::config_refused(&pod, &why),
        _ if let Some(missing) = lacks_key(view, server, lacks_some) => missing,
        _ if let Some((pod, obstacle)) = &pods.obstacle => conditions::pod_not_starting(pod, obstacle, pods.ready),
        _ if lacks_some => pods.said(),
        _ if let Some(other) = view.objects.awaited_by(server) => conditions::rollout_waiting(other),
        InEffect::Unknown => return None,
        InEffect::Pending(pod) => conditions::config_pending(&pod),
        _ if is_rolling(view, server) => conditions::rolling_out(),
        InEffect::Wanted => pods.said().warning(verdict),
    })
}

/// The address at which clients find a server: outside of the cluster, or if there is none, within.
fn service_address(view: View<'_>, server: &ServerId) -> Option<String> {
    let id = ObjectId { of: Type::Service, namespace: server.namespace.clone(), name: server.name.clone() };
    let service = view.world.store.get(&id)?;
    let outside = &service["status"]["loadBalancer"]["ingress"][0];
    let addresses = [&outside["ip"], &outside["hostname"], &service["spec"]["clusterIP"]];
    addresses.into_iter().find_map(Value::as_str).map(str::to_owned)
}

/// That the Secret is not there without which the pods of a server do not start, if it `lacks_pods`, or the file in it.
fn lacks_key(view: View<'_>, server: &ServerId, lacks_pods: bool) -> Option<Said> {
    let World { store, declarations, servers, .. } = view.world;
    let ServerId { namespace, name } = server;
    let id = ObjectId { of: Type::Secret, namespace: namespace.clone(), name: names::rndc_secret(name) };
    let is_missing = lacks_pods && store.is_listed(Type::Secret, namespace) && !store.has(&id)
        || seen::lacks_keys_file(store, namespace, name);
    let given = || keys::given(declarations.iter(), servers.server(server)?);
    is_missing.then(|| conditions::key_missing(&id, given().as_deref()))
}

/// Whether pods of a server are being replaced.
fn is_rolling(view: View<'_>, server: &ServerId) -> bool {
    view.world.store.get(&rollout::deployment(server)).is_some_and(|live| rollout::is_rolling(&live))
}

/// What is to be said of a cluster or a provider.
fn family(view: View<'_>, id: &ResourceId, verdict: &Verdict, live: &Value, now: Timestamp) -> Value {
    let of_it = view.world.servers.staying().filter(|server| {
        server.cluster.as_ref().is_some_and(|cluster| {
            let is_its = if id.kind == Kind::PROVIDER { cluster.provider } else { cluster.namespace == id.namespace };
            is_its && cluster.name == id.name
        })
    });
    let (mut instances, mut ready, mut lacking) = (Vec::new(), 0, None);
    for server in of_it {
        let instance = view.world.store.get(&ObjectId::from(&server.id.resource())).unwrap_or_default();
        if conditions::is_ready(&instance) {
            ready += 1;
        } else if let Some(reason) = conditions::ready(&instance).and_then(|ready| ready["reason"].as_str()) {
            lacking.get_or_insert_with(|| format!("{} is {reason}; its status says more.", server.id.name));
        }
        instances.push(server.id.name.clone());
    }
    let said = Said::refused(verdict).or_else(|| unapplied(view, id));
    let said = said.unwrap_or_else(|| conditions::of_servers(instances.len(), ready, "instances").warning(verdict));
    let said = match (said, lacking) {
        (Said::Waiting(reason, message), Some(why)) => Said::Waiting(reason, format!("{message} {why}")),
        (said, _) => said,
    };
    // What a provider makes is where it says.
    let elsewhere = || live["spec"]["namespace"].as_str().unwrap_or(view.world.home());
    let namespace = if id.kind == Kind::PROVIDER { elsewhere() } else { &id.namespace };
    let (rotation, due) = rotation::of(&view.world.store, Purpose::Transfer, (namespace, &id.name), live, now).unzip();
    let mut conditions = said.conditions(live, now);
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.extend(due);
    }
    json!({
        "observedGeneration": live["metadata"]["generation"],
        "instanceCount": instances.len(),
        "readyInstances": ready,
        "instances": instances.get(..MOST_INSTANCES).unwrap_or(&instances),
        "transferKeyRotation": rotation,
        "conditions": conditions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_in_force_has_no_keys_that_users_write_into_it() {
        let key = json!({ "algorithm": "hmac-sha512", "secret": { "metadata": { "name": "a" }, "stringData": { "secret": "c2VjcmV0" } } });
        let mut data = key.clone();
        data["secret"] = json!({ "data": { "secret": "YzJWamNtVjA=" } });
        for spec in [
            json!({ "rndcKey": key, "role": "primary" }),
            json!({ "primary": { "replicas": 1, "config": { "rndcKey": data } }, "global": { "rndcKey": key } }),
            json!({ "secondary": { "rndcKeys": data } }),
        ] {
            let told = without_keys(&spec.to_string()).into_owned();
            assert!(
                !told.contains("c2VjcmV0") && !told.contains("YzJWamNtVjA=") && told.contains("hmac-sha512"),
                "{told}"
            );
        }
        for spec in [r#"{"rndcKey": {"secretRef": {"name": "a"}}}"#, r#"{"rndcKey": null}"#] {
            let same = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(same(&without_keys(spec)), same(spec));
        }
        assert_eq!(without_keys("{ }"), "{ }");
    }
}
