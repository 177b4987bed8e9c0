//! Writes the status of resources. That of a zone has its serial and the hash of its content, which are durable there
//! before the zone is served, so that no serial ever names two contents. What else it says is written when it is true,
//! and only if it differs from what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use zonefmt::{Name, Serial};

use super::{
    Fenced,
    conditions::{self, APPLY_FAILED, NOT_SERVED_YET, Said},
    configs::InEffect,
    events,
    operator::Operator,
    retirement,
};
use crate::{
    api::{FieldError, GROUP, InfrastructureKind, Kind, Resource, ResourceId, Spec},
    cluster::{Seen, Store, api, differs, resource, stored},
    compile::{Compiler, ContentHash, Published, Reason, Verdict},
    object::{ObjectId, Type},
    render::names,
    servers::ServerId,
};

/// The version of a zone that is to be published.
pub(super) struct Version {
    pub(super) origin: Name,
    /// The resource of the zone.
    pub(super) id: ResourceId,
    pub(super) published: Published,
    /// How many records resources the zone has.
    pub(super) records: usize,
}

/// How many writes are under way at a time.
const AT_A_TIME: usize = 32;
/// How many are made until others have their turn.
pub(super) const AT_ONCE: usize = 256;
/// How often a write is tried whose object others change meanwhile.
const TRIES: usize = 5;

/// What was published of each zone, as the zones' status says. If several resources claim a name, the highest serial
/// counts.
pub(super) fn published(store: &Store) -> BTreeMap<Name, Published> {
    let mut published: BTreeMap<Name, Published> = BTreeMap::new();
    for (_, zone) in store.of(Type::Own(Kind::Zone)) {
        let Ok(Resource { spec: Spec::Zone(spec), .. }) = resource(Kind::Zone, zone) else { continue };
        let (Ok(origin), Some(known)) = (Name::from_ascii(&spec.zone_name), published_of(zone)) else { continue };
        let entry = published.entry(origin).or_insert(known);
        if known.serial > entry.serial {
            *entry = known;
        }
    }
    published
}

/// What a zone's status says was published.
pub(super) fn published_of(zone: &Value) -> Option<Published> {
    let status = &zone["status"];
    let serial = u32::try_from(status["serial"].as_u64()?).ok()?;
    let hash: ContentHash = status["contentHash"].as_str()?.parse().ok()?;
    Some(Published { serial: Serial(serial), hash })
}

/// All zones as they are stored now.
pub(super) async fn zones(client: &Client) -> Result<Seen, String> {
    let of = Type::Own(Kind::Zone);
    let zones = api(client, of, "").list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    Ok(Seen::All(of, String::new(), zones.items.into_iter().filter_map(|zone| stored(of, zone)).collect()))
}

/// Makes serials durable; returns for each zone whether that is done, and what has become of its resource.
///
/// # Errors
/// Another process has published a zone meanwhile.
pub(super) async fn persist(
    client: &Client,
    store: &Store,
    versions: Vec<Version>,
) -> Result<Vec<(Name, Result<Option<Seen>, String>)>, Fenced> {
    let writes = versions.into_iter().map(|version| {
        let known = store.get(&ObjectId::from(&version.id)).cloned();
        async move {
            let outcome = match known {
                Some(known) => write(client, &known, &version).await,
                None => Ok(Err("the zone is gone".to_owned())),
            };
            (version.origin, outcome)
        }
    });
    let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_A_TIME).collect().await;
    written.into_iter().map(|(origin, outcome)| outcome.map(|outcome| (origin, outcome))).collect()
}

async fn write(client: &Client, known: &Value, zone: &Version) -> Result<Result<Option<Seen>, String>, Fenced> {
    let Version { id, published, records, .. } = zone;
    let (before, published) = (published_of(known), *published);
    if before == Some(published) {
        return Ok(Ok(None));
    }
    let zones = api(client, Type::Own(id.kind), &id.namespace);
    let mut version = known["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    for _ in 0..TRIES {
        let (serial, hash) = (published.serial.0, published.hash.to_string());
        let status = json!({ "serial": serial, "contentHash": hash, "recordsCount": records });
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": status });
        match zones.patch_status(&id.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(now) => return Ok(Ok(stored(Type::Own(id.kind), now).map(|(id, now)| Seen::Put(id, now)))),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Ok(Err(error.to_string())),
        }
        let now = match zones.get(&id.name).await {
            Ok(now) => now,
            Err(error) => return Ok(Err(error.to_string())),
        };
        version = now.metadata.resource_version.clone().unwrap_or_default();
        let now = published_of(&now.data);
        if now == Some(published) {
            return Ok(Ok(None));
        }
        // Only who publishes writes this. What was seen may be older than what this process has written itself.
        if now != before && now.is_some_and(|now| now.serial >= published.serial) {
            return Err(Fenced(id.to_string()));
        }
    }
    Ok(Err("others change it all the time".into()))
}

/// Writes what has become true of resources. What cannot be written, or is not settled, has its turn later. Returns
/// whether there is more to be written now.
pub(super) async fn report(operator: &mut Operator) -> bool {
    let now = Timestamp::now();
    let (mut writes, mut settled) = (Vec::new(), Vec::new());
    for id in &operator.dirty {
        if writes.len() == AT_ONCE {
            break;
        }
        let key = ObjectId::from(id);
        let Some(live) = operator.store.get(&key) else {
            settled.push(id.clone());
            continue;
        };
        let Some(status) = status(operator, id, live, now) else { continue };
        if differs(&live["status"], &status) {
            writes.push((id.clone(), key, live["metadata"]["resourceVersion"].clone(), status));
        } else if !waits(id, &status) {
            settled.push(id.clone());
        }
    }
    for id in settled {
        operator.dirty.remove(&id);
    }
    let is_behind = writes.len() == AT_ONCE;
    let client = &operator.client;
    let (before, by) = (&operator.store, operator.name());
    let writes = writes.into_iter().map(|(id, key, version, status)| async move {
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": status });
        let objects = api(client, key.of, &key.namespace);
        let written = objects.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        if let (Some(before), Ok(after)) = (before.get(&key), &written)
            && let Some(event) = events::of(&id, before, &after.data, by, now)
            && let Ok(body) = serde_json::from_value(event.body)
        {
            // The status says it, too.
            let _ = api(client, Type::Event, &event.id.namespace).create(&PostParams::default(), &body).await;
        }
        (id, key, written)
    });
    let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_A_TIME).collect().await;
    // If it was not written, what others wrote meanwhile is seen first.
    let written: Vec<_> = written.into_iter().filter_map(|(id, key, written)| Some((id, key, written.ok()?))).collect();
    let told = written.iter().map(|(id, _, object)| (id, &object.data["status"]));
    settle(&mut operator.dirty, told, operator.declarations.families());
    for (_, key, object) in written {
        if let Some((_, object)) = stored(key.of, object) {
            operator.store.take(Seen::Put(key, object), &mut BTreeSet::new());
        }
    }
    is_behind
}

/// Takes note of what was written: which resources need not be looked at any more, and which have to be because of it.
fn settle<'r>(
    dirty: &mut BTreeSet<ResourceId>,
    written: impl IntoIterator<Item = (&'r ResourceId, &'r Value)>,
    families: impl Iterator<Item = &'r ResourceId>,
) {
    let mut has_instances = false;
    for (id, status) in written {
        if !waits(id, status) {
            dirty.remove(id);
        }
        has_instances |= id.kind == Kind::INSTANCE;
    }
    if has_instances {
        // What is said of those follows from this; also of one that was written with it.
        dirty.extend(families.cloned());
    }
}

/// Whether a record waits for servers. Nobody tells what a new answer of one means for which records, so these are looked
/// at until they wait no more.
fn waits(id: &ResourceId, status: &Value) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    matches!(id.kind, Kind::Record(_)) && conditions.any(|it| it["type"] == "Reconciling" && it["status"] == "True")
}

/// What is to be said of a resource; `None` if that will be known soon.
fn status(operator: &Operator, id: &ResourceId, live: &Value, now: Timestamp) -> Option<Value> {
    let compiler = operator.compiler.as_ref()?;
    let mut verdict = compiler.verdict(id)?;
    verdict.findings.splice(..0, operator.declarations.rejected(id).iter().cloned());
    match id.kind {
        Kind::Zone => {
            let Some(origin) = verdict.served.first() else {
                let said = Said::refused(&verdict)?;
                return Some(json!({
                    "observedGeneration": live["metadata"]["generation"],
                    "conditions": said.conditions(live, now),
                }));
            };
            let extent = operator.serving.extent(origin)?;
            let held = operator.held.get(origin).map(ToString::to_string);
            Some(conditions::zone(live, &verdict, &extent, held.as_deref(), now))
        }
        Kind::Record(_) => record(operator, compiler, id, &verdict, live, now),
        Kind::Infrastructure(InfrastructureKind::Instance) => instance(operator, id, &verdict, live, now),
        Kind::Infrastructure(_) => Some(family(operator, id, &verdict, live, now)),
    }
}

/// What is to be said of a record. Once it was served everywhere it stays so until it changes: a server that is away
/// shows on the zone.
fn record(
    operator: &Operator,
    compiler: &Compiler,
    id: &ResourceId,
    verdict: &Verdict,
    live: &Value,
    now: Timestamp,
) -> Option<Value> {
    let first = verdict.served.first();
    let zone = first.and_then(|origin| Some((compiler.zone_resource(origin)?, origin)));
    let owner = first.and_then(|origin| compiler.owner(origin, id));
    if let Some(refused) = Said::refused(verdict) {
        return Some(conditions::record(live, &refused, zone, owner, now));
    }
    let ready = live["status"]["conditions"].as_array().into_iter().flatten().find(|it| it["type"] == "Ready");
    let generation = &live["metadata"]["generation"];
    let was_served = ready.is_some_and(|it| it["status"] == "True" && it["observedGeneration"] == *generation);
    let versions = operator.contained.get(id)?;
    let is_served = versions.iter().all(|(origin, serial)| operator.serving.has(origin, *serial));
    if was_served || is_served {
        return Some(conditions::record(live, &Said::served(verdict), zone, owner, now));
    }
    if versions.keys().any(|origin| operator.serving.is_early(origin)) {
        return None;
    }
    let message = "Some server of its zone does not serve it yet; the DNSZone says which.".to_owned();
    Some(conditions::record(live, &Said::Waiting(NOT_SERVED_YET, message), zone, owner, now))
}

fn instance(operator: &Operator, id: &ResourceId, verdict: &Verdict, live: &Value, now: Timestamp) -> Option<Value> {
    let server = ServerId { namespace: id.namespace.clone(), name: id.name.clone() };
    let pods = operator
        .store
        .of(Type::Pod)
        .filter(|(pod, object)| pod.namespace == id.namespace && object["metadata"]["labels"]["instance"] == *id.name);
    let (mut replicas, mut ready) = (0, 0);
    for (_, pod) in pods {
        replicas += 1;
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        ready += usize::from(conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True"));
    }
    let wanted = live["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
    let refused = operator.refused.get(&server).map(|FieldError { path, message, .. }| {
        Said::Stalled(Reason::InvalidServer.name(), format!("{path}: {message}."))
    });
    let refused = Said::refused(verdict).or(refused);
    let refused = refused.or_else(|| operator.refusal(id).map(|why| Said::Stalled(APPLY_FAILED, why)));
    let retires = operator.servers.server(&server).is_some_and(|server| server.retires);
    let said = match refused.or_else(|| retires.then(|| retirement::said(replicas))) {
        Some(said) => said,
        None => match operator.configs.of(&server, Instant::now()) {
            InEffect::Refused(pod, why) => conditions::config_refused(&pod, &why),
            _ if ready < wanted => conditions::of_servers(wanted, ready, "pods"),
            _ if let Some(other) = operator.turns.awaited_by(&server) => conditions::rollout_waiting(other),
            InEffect::Unknown => return None,
            InEffect::Pending(pod) => conditions::config_pending(&pod),
            InEffect::Wanted => conditions::of_servers(wanted, ready, "pods"),
        },
    };
    let service = ObjectId { of: Type::Service, namespace: id.namespace.clone(), name: id.name.clone() };
    let service = operator.store.get(&service);
    let outside = service.and_then(|it| it["status"]["loadBalancer"]["ingress"][0]["ip"].as_str());
    let address = outside.or_else(|| service.and_then(|it| it["spec"]["clusterIP"].as_str()));
    let cluster = operator.servers.server(&server).and_then(|server| server.cluster.as_ref()).map(|cluster| {
        let kind = if cluster.provider { Kind::PROVIDER } else { Kind::CLUSTER };
        let namespace = (!cluster.provider).then_some(&cluster.namespace);
        json!({
            "apiVersion": format!("{GROUP}/{}", crate::api::VERSION), "kind": kind.name(), "name": cluster.name,
            "namespace": namespace,
        })
    });
    Some(json!({
        "observedGeneration": live["metadata"]["generation"],
        "replicas": replicas,
        "selector": format!("{}={},instance={}", names::PART_OF.0, names::PART_OF.1, id.name),
        "serviceAddress": address,
        "clusterRef": cluster,
        "conditions": said.conditions(live, now),
    }))
}

/// What is to be said of a cluster or a provider.
fn family(operator: &Operator, id: &ResourceId, verdict: &Verdict, live: &Value, now: Timestamp) -> Value {
    let of_it = operator.servers.staying().filter(|server| {
        server.cluster.as_ref().is_some_and(|cluster| {
            cluster.name == id.name && (id.kind == Kind::PROVIDER || cluster.namespace == id.namespace)
        })
    });
    let (mut instances, mut ready) = (Vec::new(), 0);
    for server in of_it {
        let key = ObjectId {
            of: Type::Own(Kind::INSTANCE),
            namespace: server.id.namespace.clone(),
            name: server.id.name.clone(),
        };
        let conditions = operator.store.get(&key).and_then(|it| it["status"]["conditions"].as_array().cloned());
        let mut conditions = conditions.into_iter().flatten();
        ready += usize::from(conditions.any(|it| it["type"] == "Ready" && it["status"] == "True"));
        instances.push(server.id.name.clone());
    }
    let said = Said::refused(verdict);
    let said = said.unwrap_or_else(|| conditions::of_servers(instances.len(), ready, "instances"));
    json!({
        "observedGeneration": live["metadata"]["generation"],
        "instanceCount": instances.len(),
        "readyInstances": ready,
        "instances": instances,
        "conditions": said.conditions(live, now),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_is_written_together_with_its_instances_is_looked_at_again() {
        let id = |kind, name: &str| ResourceId { namespace: "dns".into(), name: name.into(), kind };
        let (cluster, instance) = (id(Kind::CLUSTER, "ns"), id(Kind::INSTANCE, "ns-primary-0"));
        let mut dirty = BTreeSet::from([cluster.clone(), instance.clone()]);
        // The cluster's status says what the instance was before.
        settle(&mut dirty, [(&instance, &json!({})), (&cluster, &json!({}))], [&cluster].into_iter());
        assert_eq!(dirty, BTreeSet::from([cluster.clone()]));
        settle(&mut dirty, [(&cluster, &json!({}))], [&cluster].into_iter());
        assert!(dirty.is_empty());
    }
}
