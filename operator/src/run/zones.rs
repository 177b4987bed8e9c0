//! Zones on their way from resources to servers. A new version waits until its serial is durable, or until another process
//! has published the same, and as long as too much would go with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Instant,
};

use kube::Client;
use serde_json::Value;
use zonefmt::{Name, NameRef, Rtype, Serial};

use super::{
    Fenced,
    ledgers::{Written, ZoneKey},
    publication::{self, Kept, Version},
    removal::{Change, LargeRemoval, Removals},
    reserves::Reserves,
    world::World,
};
use crate::{
    api::{Kind, ResourceId, Spec},
    cluster::Store,
    compile::{self, Compiler, ContentHash, Published, Verdict, ZoneData, ZoneStep},
    object::{ObjectId, Type},
    terminal::{Once, say},
};

/// The zones.
pub(super) struct Zones {
    compiler: Compiler,
    /// Those of which the newest version is not published, with how many RRsets it changes of what is served.
    pending: BTreeMap<Name, Change>,
    /// Those among them that differ not only by what clients have written.
    declared: BTreeSet<Name>,
    removals: Removals,
    /// Those among them that wait because too much would go.
    held: BTreeMap<Name, LargeRemoval>,
    /// Those among them whose serials could not be kept.
    unkept: BTreeSet<Name>,
    /// The zones of which it cannot be read what clients have written, and why. They stay as they were published.
    unreadable: BTreeMap<ZoneKey, String>,
    /// The resources, by their uids, of which the published versions of zones were made.
    sources: BTreeMap<Name, Value>,
    /// The serials that are durable before there are versions with them.
    reserves: Reserves,
    /// The versions of zones from which on records are in them.
    contained: BTreeMap<ResourceId, BTreeMap<Name, Serial>>,
    /// How many versions were published.
    published: u64,
}

/// What came of publishing.
#[derive(Default)]
pub(super) struct Step {
    /// The zones whose newest version may be served from now on; of those that are gone, none.
    pub(super) ready: BTreeSet<Name>,
    /// The resources of which there may be something new to be said.
    pub(super) judged: Vec<ResourceId>,
}

impl Zones {
    /// No zones yet, but what was published of them before, to be served or, by who `leads`, to go on from. `home` is the
    /// namespace of the servers of providers that name none.
    pub(super) fn new(store: &Store, home: &str, leads: bool) -> Zones {
        let published = if leads { publication::used(store) } else { publication::published(store) };
        Zones {
            compiler: Compiler::new(published).at_home_in(home),
            pending: BTreeMap::new(),
            declared: BTreeSet::new(),
            removals: Removals::default(),
            held: BTreeMap::new(),
            unkept: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            sources: BTreeMap::new(),
            reserves: Reserves::default(),
            contained: BTreeMap::new(),
            published: 0,
        }
    }

    /// The zones, with the newest version of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &ZoneData)> {
        self.compiler.zones()
    }

    /// The newest version of a zone.
    pub(super) fn newest(&self, origin: &Name) -> Option<&ZoneData> {
        self.compiler.zone(origin)
    }

    /// The resource that a zone is made of.
    pub(super) fn resource(&self, origin: &Name) -> Option<&ResourceId> {
        self.compiler.zone_resource(origin)
    }

    /// The records of a zone.
    pub(super) fn members(&self, origin: &Name) -> impl Iterator<Item = &ResourceId> {
        self.compiler.members(origin)
    }

    /// All resources that were compiled.
    pub(super) fn resources(&self) -> impl Iterator<Item = &ResourceId> {
        self.compiler.resources()
    }

    /// What has become of a resource.
    pub(super) fn verdict(&self, id: &ResourceId) -> Option<Verdict> {
        self.compiler.verdict(id)
    }

    /// The name that a record has in a zone.
    pub(super) fn owner(&self, origin: &Name, id: &ResourceId) -> Option<&Name> {
        self.compiler.owner(origin, id)
    }

    /// The versions of zones from which on a record is in them.
    pub(super) fn contained(&self, id: &ResourceId) -> Option<&BTreeMap<Name, Serial>> {
        self.contained.get(id)
    }

    /// Whether the newest version of a zone is not published.
    pub(super) fn is_pending(&self, origin: &Name) -> bool {
        self.pending.contains_key(origin)
    }

    /// Whether what was published of a zone last was made of another resource than the newest version, such as one that was
    /// deleted: none serves the data of another.
    pub(super) fn is_of_another(&self, origin: &Name, store: &Store) -> bool {
        self.sources.get(origin).is_some_and(|uid| self.uid(origin, store).as_ref() != Some(uid))
    }

    /// Why the newest version of a zone has to wait, if too much would go with it.
    pub(super) fn held(&self, origin: &Name) -> Option<&LargeRemoval> {
        self.held.get(origin)
    }

    /// How many zones wait because too much would go.
    pub(super) fn count_held(&self) -> usize {
        self.held.len()
    }

    /// How many versions were published.
    pub(super) fn count_published(&self) -> u64 {
        self.published
    }

    /// Compiles what has changed; returns the resources of which there may be something new to be said.
    pub(super) fn compile(&mut self, changes: Vec<compile::Change>, store: &Store) -> Vec<ResourceId> {
        if changes.is_empty() {
            return Vec::new();
        }
        let step = self.compiler.apply(changes);
        self.wait(step.zones);
        self.judge(step.judged.into_iter().collect(), store)
    }

    /// Takes over what clients have written into zones; returns the resources of which there may be something new to be said.
    pub(super) fn write(&mut self, written: Vec<Written>, store: &Store) -> Vec<ResourceId> {
        let mut judged = BTreeSet::new();
        for Written { zone, data } in written {
            let resource = self.compiler.zone_resource(&zone.origin);
            judged.extend(resource.filter(|id| id.namespace == zone.namespace).cloned());
            match data {
                Ok(data) => {
                    self.unreadable.remove(&zone);
                    let step = self.compiler.write(&zone.namespace, data);
                    // What clients add and remove is no concern of who guards what is declared.
                    self.wait_for_clients(step.zones.into_iter().map(|zone| ZoneStep { added: 0, ..zone }));
                    judged.extend(step.judged);
                }
                Err(why) => {
                    say(&format!("{} of namespace {} is not published: {why}", zone.origin, zone.namespace));
                    self.unreadable.insert(zone, why);
                }
            }
        }
        self.judge(judged.into_iter().collect(), store)
    }

    /// The resource because of which clients cannot write an RRset, if there is one.
    pub(super) fn declarer(&self, origin: &Name, owner: NameRef<'_>, rtype: Rtype) -> Option<ResourceId> {
        self.compiler.declarer(origin, owner, rtype)
    }

    /// Why it cannot be read what clients have written into a zone, if it cannot.
    pub(super) fn unreadable(&self, origin: &Name) -> Option<&str> {
        let namespace = self.compiler.zone_resource(origin)?.namespace.clone();
        self.unreadable.get(&ZoneKey { namespace, origin: origin.clone() }).map(String::as_str)
    }

    /// Goes on where another process has ended; returns the resources of which there may be something new to be said.
    pub(super) fn take_over(&mut self, store: &Store) -> Vec<ResourceId> {
        self.held.clear();
        self.reserves = Reserves::default();
        let steps = self.compiler.resume(publication::used(store));
        self.wait(steps);
        self.judge(self.contained.keys().cloned().collect(), store)
    }

    /// Gives zones the serials with which another process has published them.
    pub(super) fn keep_up(&mut self, changed: &BTreeSet<ObjectId>, world: &World) {
        let zones = changed.iter().filter(|id| id.of == Type::Own(Kind::Zone));
        let published = zones.filter_map(|id| {
            let published = publication::published_of(&world.store.get(id)?)?;
            let id = id.resource()?;
            let Spec::Zone(spec) = &world.declarations.get(&id)?.spec else { return None };
            let origin = Name::from_ascii(&spec.zone_name).ok()?;
            (self.compiler.zone_resource(&origin) == Some(&id)).then_some((origin, published))
        });
        let published: Vec<_> = published.collect();
        let steps = self.compiler.resume(published);
        self.wait(steps);
    }

    /// Gives a zone a serial after one that a server has of it, as of one that was deleted and declared anew: no server would
    /// take a version with a lower serial.
    pub(super) fn overtake(&mut self, origin: Name, serial: Serial) {
        let steps = self.compiler.resume([(origin, Published { serial, hash: ContentHash::default() })]);
        self.wait(steps);
    }

    /// Makes the serials of zones that wait durable. What could not be kept before is tried again only if this `looks`; and
    /// then the status of zones that change all the time is brought up to date.
    ///
    /// # Errors
    /// Somebody else publishes, too.
    pub(super) async fn publish(
        &mut self,
        client: &Client,
        store: &mut Store,
        (served, is_read): (impl Fn(&Name) -> Option<ZoneData>, impl Fn(&ZoneKey) -> bool),
        looks: bool,
        once: &mut Once,
    ) -> Result<Step, Fenced> {
        let (mut step, mut versions) = (Step::default(), Vec::new());
        let was_held = mem::take(&mut self.held);
        let pending = self.pending.iter().filter(|(origin, _)| looks || !self.unkept.contains(*origin));
        for (origin, change) in pending {
            let (Some(id), Some(published), Some(newest)) = (
                self.compiler.zone_resource(origin),
                self.compiler.published().get(origin),
                self.compiler.zone(origin),
            ) else {
                step.ready.insert(origin.clone());
                continue;
            };
            // Nothing that clients were told is there may go meanwhile.
            if !is_read(&ZoneKey { namespace: id.namespace.clone(), origin: origin.clone() }) {
                continue;
            }
            if self.unreadable(origin).is_some() {
                step.judged.push(id.clone());
                continue;
            }
            let records = self.compiler.members(origin).count();
            if let Some(object) = store.get(&ObjectId::from(id))
                && let served = served(origin).filter(|_| self.sources.get(origin) == Some(&object["metadata"]["uid"]))
                && let Some(large) = self.removals.hold(&object, (origin, newest), served.as_ref(), *change, records)
            {
                if !was_held.contains_key(origin) {
                    say(&format!("{origin} is not published: {large}"));
                }
                step.judged.push(id.clone());
                self.held.insert(origin.clone(), large);
                continue;
            }
            let by_clients = !self.declared.contains(origin);
            versions.push(Version {
                origin: origin.clone(),
                id: id.clone(),
                published: *published,
                records,
                by_clients,
            });
        }
        for (origin, kept) in publication::persist(client, store, &mut self.reserves, versions).await? {
            match kept {
                Kept::Yes(seen) => {
                    if let Some(seen) = seen {
                        store.take(seen, &mut BTreeSet::new());
                    }
                    self.unkept.remove(&origin);
                    step.ready.insert(origin);
                }
                Kept::Gone => {}
                Kept::No(why) => {
                    once.say(format!("{origin} is not published: its serial cannot be kept: {why}"));
                    self.unkept.insert(origin);
                }
            }
        }
        if looks {
            let uid = |version: &Version| Some(store.get(&ObjectId::from(&version.id))?["metadata"]["uid"].take());
            let mut due = self.reserves.due(Instant::now(), uid);
            // What may have been written of these names later versions.
            due.retain(|version| !self.unkept.contains(&version.origin));
            for (_, kept) in publication::persist(client, store, &mut self.reserves, due).await? {
                if let Kept::Yes(Some(seen)) = kept {
                    store.take(seen, &mut BTreeSet::new());
                }
            }
        }
        self.release(&step.ready, store);
        Ok(step)
    }

    /// The zones that wait and that another process has published with the content that they have here.
    pub(super) fn published_elsewhere(&mut self, store: &Store) -> Step {
        let is_published = |origin: &&Name| {
            let Some(id) = self.compiler.zone_resource(origin) else { return true };
            let object = store.get(&ObjectId::from(id));
            object.as_ref().and_then(publication::published_of).as_ref() == self.compiler.published().get(*origin)
        };
        let ready = self.pending.keys().filter(is_published).cloned().collect();
        self.held.clear();
        self.release(&ready, store);
        Step { ready, judged: Vec::new() }
    }

    /// The uid of the resource that a zone is made of.
    fn uid(&self, origin: &Name, store: &Store) -> Option<Value> {
        let resource = store.get(&ObjectId::from(self.compiler.zone_resource(origin)?))?;
        Some(resource["metadata"]["uid"].clone())
    }

    fn wait(&mut self, steps: Vec<ZoneStep>) {
        self.declared.extend(steps.iter().map(|step| step.origin.clone()));
        self.wait_for_clients(steps);
    }

    fn wait_for_clients(&mut self, steps: impl IntoIterator<Item = ZoneStep>) {
        for ZoneStep { origin, removed, added, .. } in steps {
            self.unkept.remove(&origin);
            *self.pending.entry(origin).or_default() += Change { removed, added };
        }
    }

    fn release(&mut self, ready: &BTreeSet<Name>, store: &Store) {
        for origin in ready {
            self.declared.remove(origin);
            if let Some(change) = self.pending.remove(origin) {
                self.removals.published(origin, change);
            }
            match self.uid(origin, store) {
                Some(uid) => _ = self.sources.insert(origin.clone(), uid),
                None => {
                    self.sources.remove(origin);
                    self.removals.forget(origin);
                }
            }
        }
        self.published += ready.len() as u64;
    }

    /// Notes from which versions on zones have these records, and which zones are not published as their resources.
    fn judge(&mut self, resources: Vec<ResourceId>, store: &Store) -> Vec<ResourceId> {
        for id in &resources {
            match id.kind {
                Kind::Record(_) => {
                    let Some(verdict) = self.compiler.verdict(id) else {
                        self.contained.remove(id);
                        continue;
                    };
                    let zones = verdict.served.into_iter().filter_map(|zone| {
                        let serial = self.compiler.zone(&zone)?.serial()?;
                        Some((zone, serial))
                    });
                    self.contained.insert(id.clone(), zones.collect());
                }
                Kind::Zone => {
                    if let Some(origin) = self.unpublished(id, store) {
                        self.pending.entry(origin).or_default();
                    }
                }
                Kind::Infrastructure(_) => {}
            }
        }
        resources
    }

    /// The zone of a resource whose status does not say what was published of it, such as one that has taken another's place.
    fn unpublished(&self, id: &ResourceId, store: &Store) -> Option<Name> {
        let origin = self.compiler.verdict(id)?.served.into_iter().next()?;
        let known = publication::published_of(&store.get(&ObjectId::from(id))?);
        let published = self.compiler.published().get(&origin);
        let published = published.filter(|_| self.compiler.zone_resource(&origin) == Some(id))?;
        (known.as_ref() != Some(published)).then_some(origin)
    }
}
