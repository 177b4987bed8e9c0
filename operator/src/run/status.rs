//! The status of resources. That of a zone has its serial and the hash of its content, which are durable there before the
//! zone is served, so that no serial ever names two contents.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use kube::{
    Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use zonefmt::Name;

use super::{RunError, operator::published_of};
use crate::{
    api::{Kind, ResourceId},
    cluster::{Store, api, resource},
    compile::Published,
    object::{ObjectId, Type},
};

/// How many writes are under way at a time.
const AT_A_TIME: usize = 16;
/// How often a write is tried whose object others change meanwhile.
const TRIES: usize = 5;

/// What was published of each zone, as the zones' status says. If several resources claim a name, the highest serial counts.
pub(super) fn published(store: &Store) -> BTreeMap<Name, Published> {
    let mut published: BTreeMap<Name, Published> = BTreeMap::new();
    for (_, zone) in store.of(Type::Own(Kind::Zone)) {
        let Ok(crate::api::Resource { spec: crate::api::Spec::Zone(spec), .. }) = resource(Kind::Zone, zone) else {
            continue;
        };
        let (Ok(origin), Some(known)) = (Name::from_ascii(&spec.zone_name), published_of(zone)) else { continue };
        let entry = published.entry(origin).or_insert(known);
        if known.serial > entry.serial {
            *entry = known;
        }
    }
    published
}

/// Makes serials durable; returns for each zone whether that is done.
///
/// # Errors
/// Another process has published a zone meanwhile.
pub(super) async fn persist(
    client: &Client,
    store: &Store,
    zones: Vec<(Name, ResourceId, Published)>,
) -> Result<Vec<(Name, Result<(), String>)>, RunError> {
    let writes = zones.into_iter().map(|(origin, id, published)| {
        let id = ObjectId { of: Type::Own(id.kind), namespace: id.namespace, name: id.name };
        let known = store.get(&id).cloned();
        async move {
            let outcome = match known {
                Some(known) => write(client, &id, &known, published).await,
                None => Ok(Err("the zone is gone".to_owned())),
            };
            (origin, outcome)
        }
    });
    let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_A_TIME).collect().await;
    written.into_iter().map(|(origin, outcome)| outcome.map(|outcome| (origin, outcome))).collect()
}

async fn write(
    client: &Client,
    id: &ObjectId,
    known: &Value,
    published: Published,
) -> Result<Result<(), String>, RunError> {
    if published_of(known) == Some(published) {
        return Ok(Ok(()));
    }
    let zones = api(client, id.of, &id.namespace);
    let mut version = known["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    for _ in 0..TRIES {
        let status = json!({ "serial": published.serial.0, "contentHash": published.hash.to_string() });
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": status });
        match zones.patch_status(&id.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => return Ok(Ok(())),
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
            return Ok(Ok(()));
        }
        // Only who publishes writes this.
        if now != published_of(known) && now.is_some_and(|now| now.serial >= published.serial) {
            return Err(RunError::Fenced(id.to_string()));
        }
    }
    Ok(Err("others change it all the time".into()))
}
