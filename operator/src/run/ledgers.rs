//! What clients have written into zones, as it is kept in DynamicRecords: read as others see it, and written before it is
//! served.
//!
//! Who leads writes what a `Plan` says, object by object, each with the resourceVersion that it knows: that is the fence.
//! A conflict tells that somebody else has written, and an answer that did not come, that nobody knows what is written. In
//! both cases the zone is read again before anything else is written to it. So it is when somebody else's writing is seen by
//! watching.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use kube::{
    Client,
    api::{ListParams, PostParams},
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use zonefmt::Name;

use crate::{
    api::Kind,
    cluster::{Store, collection, why},
    compile::ZoneData,
    dynamic::{Entry, Ledger, Unfit, ZONE_LABEL, zone_label},
    object::{ObjectId, Type},
};

/// What clients have written into all zones.
#[derive(Default)]
pub(super) struct Ledgers {
    zones: BTreeMap<ZoneKey, Known>,
    /// The zones that somebody else may have written, so that what is known of them may not be all.
    unread: BTreeSet<ZoneKey>,
    /// Whether some may not have the mark that they are to have.
    unmarked: bool,
}

/// A zone of a namespace, whether it is declared or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ZoneKey {
    pub(super) namespace: String,
    pub(super) origin: Name,
}

/// What is known of a zone.
struct Known {
    /// What clients have written, or why it cannot be read.
    ledger: Result<Ledger, String>,
    /// The resourceVersions of its objects, by their names.
    versions: HashMap<String, String>,
    /// How many of them have the mark of those without a DNSZone.
    marked: usize,
}

/// What clients have written into a zone, or why that cannot be read.
pub(super) struct Written {
    pub(super) zone: ZoneKey,
    pub(super) data: Result<ZoneData, String>,
}

/// What objects say of their DNSZone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    /// There is one.
    Adopted,
    /// It is gone.
    Orphaned,
}

/// Why updates were not written.
pub(super) enum NotWritten {
    /// Somebody else has written.
    Conflict,
    /// They do not fit.
    Unfit(Unfit),
    /// What is there cannot be read, or the API server does not take them, or nobody knows whether it has.
    Failed(String),
}

/// How long the API server may take for an object, or a list of those of a zone. Clients wait for it.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long it may take for all objects of a write. What is written by then is none of the updates, or all. No more zones are
/// marked after this time.
const LONGEST: Duration = Duration::from_secs(4);
/// How long it may take to list a namespace, and after which time no other one is listed. No client waits for that alone.
const LONG: Duration = Duration::from_secs(10);
/// How many objects are listed at a time.
const PAGE: u32 = 500;
/// The label of objects whose DNSZone is gone. They are kept for one that returns.
const ORPHANED: &str = "bindy.firestoned.io/orphaned";
/// How many objects are marked at a time.
const MARKS: usize = 8;

impl Ledgers {
    /// Takes note of what has become of objects.
    pub(super) fn see(&mut self, changed: &BTreeSet<ObjectId>, store: &Store) {
        self.unmarked |= changed.iter().any(|id| matches!(id.of, Type::Own(Kind::Zone) | Type::DynamicRecords));
        for id in changed.iter().filter(|id| id.of == Type::DynamicRecords) {
            let object = store.get(id);
            let zone = match &object {
                Some(object) => ZoneKey::of(&id.namespace, object),
                None => self.zone_with(id),
            };
            let Some(zone) = zone else { continue };
            let known = self.zones.get(&zone).and_then(|known| known.versions.get(&id.name));
            let is_old = known.zip(object.as_ref()).is_some_and(|(known, seen)| !is_newer(version_of(seen), known));
            if !is_old {
                // It may have been of another one.
                self.unread.extend(self.zone_with(id));
                self.unread.insert(zone);
            }
        }
    }

    /// Reads again what others may have written, as it was seen.
    pub(super) fn read_seen(&mut self, store: &Store) -> Vec<Written> {
        if self.unread.is_empty() {
            return Vec::new();
        }
        let objects = store.of(Type::DynamicRecords);
        let unread = mem::take(&mut self.unread);
        self.read(&unread, objects.map(|(id, object)| (id.clone(), object)))
    }

    /// Reads again what others may have written, as it is stored now. What cannot be listed stays to be read; why, is
    /// returned, too.
    pub(super) async fn read_stored(&mut self, client: &Client) -> (Vec<Written>, Option<String>) {
        let mut namespaces: BTreeMap<String, BTreeSet<ZoneKey>> = BTreeMap::new();
        for zone in &self.unread {
            namespaces.entry(zone.namespace.clone()).or_default().insert(zone.clone());
        }
        let (mut written, end) = (Vec::new(), Instant::now() + LONG);
        for (namespace, zones) in namespaces {
            if Instant::now() > end {
                return (written, Some("the API server takes too long".into()));
            }
            match list(client, &namespace, ListParams::default(), LONG).await {
                Ok(objects) => written.extend(self.read(&zones, objects.into_iter())),
                Err(why) => return (written, Some(why)),
            }
        }
        (written, None)
    }

    /// The same for one zone, for which clients wait.
    ///
    /// # Errors
    /// Its objects cannot be listed, for this reason.
    pub(super) async fn read_zone(&mut self, client: &Client, zone: &ZoneKey) -> Result<Vec<Written>, String> {
        let of_zone = ListParams::default().labels(&format!("{ZONE_LABEL}={}", zone_label(&zone.origin)));
        let objects = list(client, &zone.namespace, of_zone, PATIENCE).await?;
        Ok(self.read(&BTreeSet::from([zone.clone()]), objects.into_iter()))
    }

    /// Whether others may have written something into a zone that is not known here.
    pub(super) fn is_unread(&self, zone: &ZoneKey) -> bool {
        self.unread.contains(zone)
    }

    /// All that is known is to be read again, and what may be there of zones of which nothing is known.
    pub(super) fn doubt(&mut self, store: &Store) {
        let seen = [Type::DynamicRecords, Type::Own(Kind::Zone)].into_iter().flat_map(|of| store.of(of));
        let seen = seen.filter_map(|(id, object)| ZoneKey::of(&id.namespace, &object));
        self.unread.extend(seen.chain(self.zones.keys().cloned()));
    }

    /// Writes updates into a zone, all of them or none; returns all that clients have written then.
    ///
    /// # Errors
    /// They are not written, as far as is known.
    pub(super) async fn write(
        &mut self,
        client: &Client,
        zone: &ZoneKey,
        updates: Vec<Entry>,
    ) -> Result<ZoneData, NotWritten> {
        let known = self.zones.entry(zone.clone()).or_insert_with(|| Known {
            ledger: Ok(Ledger::new(&zone.namespace, zone.origin.clone())),
            versions: HashMap::new(),
            marked: 0,
        });
        let ledger = known.ledger.as_ref().map_err(|why| NotWritten::Failed(why.clone()))?;
        let plan = ledger.append(updates).map_err(NotWritten::Unfit)?;
        let end = Instant::now() + LONGEST;
        for part in plan.parts() {
            let name = part.name();
            let end = end.min(Instant::now() + PATIENCE);
            match put(client, &zone.namespace, part.object(), known.versions.get(&name), end).await {
                Ok(version) => _ = known.versions.insert(name, version),
                Err(unwritten) => {
                    self.unread.insert(zone.clone());
                    return Err(unwritten);
                }
            }
        }
        let ledger = plan.into_ledger();
        let data = ledger.data().clone();
        known.ledger = Ok(ledger);
        Ok(data)
    }

    /// Labels the objects of zones without a DNSZone, and takes the label from those that have one again, as far as what is
    /// known of them was seen; returns the zones that have their mark now, and why others have not. What is left is done by
    /// the next call.
    pub(super) async fn mark(&mut self, client: &Client, store: &Store) -> (Vec<(ZoneKey, Mark)>, Option<String>) {
        let (mut done, mut failure) = (Vec::new(), None);
        if !mem::take(&mut self.unmarked) {
            return (done, failure);
        }
        let end = Instant::now() + LONGEST;
        let zones = store.of(Type::Own(Kind::Zone));
        let declared: BTreeSet<ZoneKey> = zones.filter_map(|(id, zone)| ZoneKey::of(&id.namespace, &zone)).collect();
        for (zone, known) in &mut self.zones {
            let mark = if declared.contains(zone) { Mark::Adopted } else { Mark::Orphaned };
            let due = if mark == Mark::Orphaned { known.versions.len() } else { 0 };
            if known.marked == due {
                continue;
            }
            if self.unread.contains(zone) || Instant::now() > end || failure.is_some() {
                self.unmarked = true;
                continue;
            }
            let namespace = &zone.namespace;
            let writes = known.versions.iter().map(|(name, version)| async move {
                let id = ObjectId { of: Type::DynamicRecords, namespace: namespace.clone(), name: name.clone() };
                let seen = store.get(&id).filter(|object| version_of(object) == version);
                let mut object = seen.ok_or(NotWritten::Conflict)?;
                if !mark.put_on(&mut object) {
                    return Ok(None);
                }
                let version = put(client, namespace, object, Some(version), Instant::now() + PATIENCE).await?;
                Ok(Some((name.clone(), version)))
            });
            let written: Vec<Result<Option<(String, String)>, NotWritten>> =
                stream::iter(writes).buffer_unordered(MARKS).collect().await;
            let mut is_done = true;
            for written in written {
                match written {
                    Ok(version) => known.versions.extend(version),
                    Err(why) => {
                        is_done = false;
                        failure = failure.or(why.failure());
                    }
                }
            }
            self.unmarked |= !is_done;
            if is_done {
                known.marked = due;
                done.push((zone.clone(), mark));
            }
        }
        (done, failure)
    }

    /// Takes over what there is of these zones, which are read then.
    fn read(&mut self, unread: &BTreeSet<ZoneKey>, objects: impl Iterator<Item = (ObjectId, Value)>) -> Vec<Written> {
        self.unread.retain(|zone| !unread.contains(zone));
        let mut zones: BTreeMap<ZoneKey, Vec<(ObjectId, Value)>> =
            unread.iter().map(|zone| (zone.clone(), Vec::new())).collect();
        for (id, object) in objects {
            if let Some(zone) = ZoneKey::of(&id.namespace, &object)
                && let Some(of_zone) = zones.get_mut(&zone)
            {
                of_zone.push((id, object));
            }
        }
        let read = zones.into_iter().map(|(zone, objects)| {
            let parts = objects.iter().map(|(_, object)| object);
            let ledger = Ledger::read(&zone.namespace, zone.origin.clone(), parts).map_err(|why| why.to_string());
            let data = ledger.as_ref().map(|ledger| ledger.data().clone()).map_err(String::clone);
            let versions = objects.iter().map(|(id, object)| (id.name.clone(), version_of(object).to_owned()));
            let marked = objects.iter().filter(|(_, object)| Mark::of(object) == Mark::Orphaned).count();
            if objects.is_empty() {
                self.zones.remove(&zone);
            } else {
                self.zones.insert(zone.clone(), Known { ledger, versions: versions.collect(), marked });
            }
            Written { zone, data }
        });
        read.collect()
    }

    /// The zone that an object belongs to which is not there any more.
    fn zone_with(&self, id: &ObjectId) -> Option<ZoneKey> {
        let mut zones = self.zones.iter().filter(|(zone, _)| zone.namespace == id.namespace);
        zones.find(|(_, known)| known.versions.contains_key(&id.name)).map(|(zone, _)| zone.clone())
    }
}

impl ZoneKey {
    /// The zone that an object says it belongs to; a DNSZone, the zone that it declares.
    fn of(namespace: &str, object: &Value) -> Option<ZoneKey> {
        let origin = Name::from_ascii(object["spec"]["zoneName"].as_str()?).ok()?;
        Some(ZoneKey { namespace: namespace.to_owned(), origin })
    }
}

impl Mark {
    /// What an object says.
    fn of(object: &Value) -> Mark {
        if object["metadata"]["labels"][ORPHANED].is_string() { Mark::Orphaned } else { Mark::Adopted }
    }

    /// Has an object say this; tells whether it said something else.
    fn put_on(self, object: &mut Value) -> bool {
        if Mark::of(object) == self {
            return false;
        }
        let labels = &mut object["metadata"]["labels"];
        match self {
            Mark::Orphaned => labels[ORPHANED] = "true".into(),
            Mark::Adopted => _ = labels.as_object_mut().and_then(|labels| labels.remove(ORPHANED)),
        }
        true
    }
}

impl NotWritten {
    /// What went wrong, if something did for which nobody else has written.
    fn failure(self) -> Option<String> {
        match self {
            NotWritten::Conflict | NotWritten::Unfit(_) => None,
            NotWritten::Failed(why) => Some(why),
        }
    }
}

/// The objects of a namespace that are asked for, as they are stored now.
async fn list(
    client: &Client,
    namespace: &str,
    which: ListParams,
    patience: Duration,
) -> Result<Vec<(ObjectId, Value)>, String> {
    let (of, end) = (Type::DynamicRecords, Instant::now() + patience);
    let objects = collection(client, of, namespace);
    let (mut items, mut page) = (Vec::new(), which.limit(PAGE));
    loop {
        let listed = match timeout_at(end, objects.list(&page)).await {
            Ok(listed) => listed.map_err(|error| why(&error))?,
            Err(_) => return Err("the API server takes too long".into()),
        };
        items.extend(listed.items);
        match listed.metadata.continue_.filter(|rest| !rest.is_empty()) {
            Some(rest) => page = page.continue_token(&rest),
            None => break,
        }
    }
    let read = items.into_iter().filter_map(|object| {
        let id = ObjectId { of, namespace: namespace.to_owned(), name: object.metadata.name.clone()? };
        Some((id, serde_json::to_value(object).ok()?))
    });
    Ok(read.collect())
}

/// Stores an object in place of the version that is known, or as a new one; returns its version.
async fn put(
    client: &Client,
    namespace: &str,
    mut object: Value,
    known: Option<&String>,
    end: Instant,
) -> Result<String, NotWritten> {
    let objects = collection(client, Type::DynamicRecords, namespace);
    if let Some(version) = known {
        object["metadata"]["resourceVersion"] = version.as_str().into();
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let object = serde_json::from_value(object).map_err(|error| NotWritten::Failed(error.to_string()))?;
    let params = PostParams::default();
    let put = async {
        match known {
            Some(_) => objects.replace(&name, &params, &object).await,
            None => objects.create(&params, &object).await,
        }
    };
    match timeout_at(end, put).await {
        Ok(Ok(now)) => Ok(now.metadata.resource_version.unwrap_or_default()),
        // One that is gone is another's doing, too.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Err(NotWritten::Conflict),
        Ok(Err(error)) => Err(NotWritten::Failed(format!("DynamicRecords {name} cannot be written: {}", why(&error)))),
        Err(_) => Err(NotWritten::Failed(format!("DynamicRecords {name}: the API server takes too long"))),
    }
}

fn version_of(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

/// Whether a resourceVersion is later than another; they are numbers that only grow.
fn is_newer(version: &str, known: &str) -> bool {
    match (version.parse::<u64>(), known.parse::<u64>()) {
        (Ok(version), Ok(known)) => version > known,
        _ => version != known,
    }
}
