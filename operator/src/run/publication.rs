//! Which versions of zones are published. Their serials are durable in the zones' status before the zones are served, by
//! name with the hash of the content or reserved, so that no serial ever names two contents; and only who leads can write
//! them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use kube::{
    Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use zonefmt::{Name, Serial};

use super::{
    Fenced,
    reserves::{Reserves, Said},
};
use crate::{
    api::{Kind, ResourceId},
    cluster::{Seen, Store, collection, stored, why},
    compile::{ContentHash, Published},
    object::{ObjectId, Type},
};

/// The version of a zone that is to be published.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    pub(super) origin: Name,
    /// The resource of the zone.
    pub(super) id: ResourceId,
    pub(super) published: Published,
    /// How many record resources the zone has.
    pub(super) records: usize,
    /// Whether it differs from the one before by nothing but what clients have written.
    pub(super) by_clients: bool,
}

/// Whether a serial is durable.
pub(super) enum Kept {
    /// It is; and what has become of the zone's resource, if that was written now.
    Yes(Option<Seen>),
    /// It need not be, as the resource is gone; that will be seen.
    Gone,
    /// It is not, and why.
    No(String),
}

/// How many writes are under way at a time.
const AT_A_TIME: usize = 32;
/// How long a write may take. Clients wait for it.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often a write is tried whose object others change meanwhile.
const TRIES: usize = 5;

/// What was published of each zone, as the zones' status says. If several resources claim a name, the highest serial
/// counts.
pub(super) fn published(store: &Store) -> BTreeMap<Name, Published> {
    highest(store, published_of)
}

/// From what each zone goes on if another process has published it until now: which of the serials are used that it has
/// reserved, and for what, nobody knows.
pub(super) fn used(store: &Store) -> BTreeMap<Name, Published> {
    highest(store, |zone| {
        let reserved = reserved_of(zone).map(|serial| Published { serial, hash: ContentHash::default() });
        reserved.or_else(|| published_of(zone))
    })
}

fn highest(store: &Store, of: impl Fn(&Value) -> Option<Published>) -> BTreeMap<Name, Published> {
    let mut published: BTreeMap<Name, Published> = BTreeMap::new();
    for (_, zone) in store.of(Type::Own(Kind::Zone)) {
        // A `spec` that cannot be read has a name, too, which never changes.
        let Some(name) = zone["spec"]["zoneName"].as_str() else { continue };
        let (Ok(origin), Some(known)) = (Name::from_ascii(name), of(&zone)) else { continue };
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

/// Up to which serial a zone's status reserves them.
fn reserved_of(zone: &Value) -> Option<Serial> {
    u32::try_from(zone["status"]["reservedSerial"].as_u64()?).ok().map(Serial)
}

/// The zones of a namespace as they are stored now; of all if it is empty.
pub(super) async fn zones(client: &Client, namespace: &str) -> Result<Seen, String> {
    let of = Type::Own(Kind::Zone);
    let zones =
        collection(client, of, namespace).list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    Ok(Seen::All(of, namespace.to_owned(), zones.items.into_iter().filter_map(|zone| stored(of, zone)).collect()))
}

/// Makes serials durable.
///
/// # Errors
/// Another process has published a zone meanwhile.
pub(super) async fn persist(
    client: &Client,
    store: &Store,
    reserves: &mut Reserves,
    versions: Vec<Version>,
) -> Result<Vec<(Name, Kept)>, Fenced> {
    let (now, mut all, mut writes) = (Instant::now(), Vec::new(), Vec::new());
    for version in versions {
        let Some(known) = store.get(&ObjectId::from(&version.id)) else {
            reserves.forget(&version.origin);
            all.push((version.origin, Kept::Gone));
            continue;
        };
        match reserves.publish(&version, &known["metadata"]["uid"], now) {
            Ok(()) => all.push((version.origin, Kept::Yes(None))),
            Err(up_to) => {
                let own = reserves.said(&version.origin);
                writes.push(async move {
                    let written = timeout(PATIENCE, write(client, &known, &own, &version, up_to)).await;
                    let kept = written.unwrap_or_else(|_| Ok(Kept::No("the API server takes too long".into())));
                    (known, version, up_to, kept)
                });
            }
        }
    }
    let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_A_TIME).collect().await;
    for (mut known, version, up_to, kept) in written {
        let (origin, kept) = (version.origin.clone(), kept?);
        match kept {
            Kept::Yes(_) => reserves.written(version, known["metadata"]["uid"].take(), up_to, now),
            Kept::No(_) => reserves.tried(&version, up_to),
            Kept::Gone => {}
        }
        all.push((origin, kept));
    }
    Ok(all)
}

/// Writes a version into the status of a zone that is known so. This process may have written one of `own` meanwhile.
async fn write(
    client: &Client,
    known: &Value,
    own: &[Said],
    zone: &Version,
    up_to: Option<Serial>,
) -> Result<Kept, Fenced> {
    let Version { id, published, records, .. } = zone;
    let says = |zone: &Value| (published_of(zone), reserved_of(zone));
    let (before, due) = (says(known), (Some(*published), up_to));
    if before == due {
        return Ok(Kept::Yes(None));
    }
    let zones = collection(client, Type::Own(id.kind), &id.namespace);
    let mut version = known["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    for _ in 0..TRIES {
        let (serial, hash, up_to) = (published.serial.0, published.hash.to_string(), up_to.map(|serial| serial.0));
        let status = json!({ "serial": serial, "contentHash": hash, "reservedSerial": up_to, "recordsCount": records });
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": status });
        match zones.patch_status(&id.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(now) => return Ok(Kept::Yes(stored(Type::Own(id.kind), now).map(|(id, now)| Seen::Put(id, now)))),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Ok(Kept::unless_gone(&error)),
        }
        let now = match zones.get(&id.name).await {
            Ok(now) => now,
            Err(error) => return Ok(Kept::unless_gone(&error)),
        };
        version = now.metadata.resource_version.clone().unwrap_or_default();
        let now = says(&now.data);
        if now == due {
            return Ok(Kept::Yes(None));
        }
        // Only who publishes writes this. What was seen may be older than what this process has written itself.
        let is_own = now == before || own.iter().any(|own| now == (Some(own.0), own.1));
        let is_ahead = |serial: Serial| serial >= published.serial;
        let in_use = [now.0.filter(|now| now != published).map(|now| now.serial), now.1];
        if !is_own && in_use.into_iter().flatten().any(is_ahead) {
            return Err(Fenced(id.to_string()));
        }
    }
    Ok(Kept::No("others change it all the time".into()))
}

impl Kept {
    fn unless_gone(error: &kube::Error) -> Kept {
        match error {
            kube::Error::Api(status) if status.code == 404 => Kept::Gone,
            error => Kept::No(why(error)),
        }
    }
}
