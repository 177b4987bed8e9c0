//! What follows from what was seen. Events change the [`Store`]; resources go to the compiler and become zones, and
//! declared servers become objects. A zone's serial is durable before the zone is served.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bindy_server::tsig::TsigKey;
use kube::Client;
use serde_json::Value;
use zonefmt::{Name, Serial};

use super::{
    Options, Place, RunError,
    catalogs::Catalogs,
    leader,
    primary::{Audience, Primary},
    probes::{Answer, Probes, Question},
    status,
    truth::{Pods, Truth},
};
use crate::{
    api::{FieldError, Infrastructure, Kind, Resource, ResourceId, Spec},
    cluster::{Applier, Batch, Seen, Store, resource},
    compile::{self, Change, Compiler, ContentHash, Finding, Published, ZoneStep},
    keys::TransferKeys,
    object::{Object, ObjectId, Type},
    render::{Declared, Surroundings, names, render},
    servers::{Server, ServerId, Servers},
    terminal::say,
};

/// The operator.
pub(super) struct Operator {
    pub(super) client: Client,
    place: Place,
    /// Where servers find this process, if that is not its Service.
    advertised: Vec<SocketAddr>,
    image: String,
    /// The namespace of the servers of providers that name none.
    home: String,
    pub(super) store: Store,
    /// The resources as they were last read, with their identifiers.
    pub(super) resources: BTreeMap<ResourceId, (Resource, String)>,
    /// `None` until every type was listed.
    pub(super) compiler: Option<Compiler>,
    pub(super) servers: Servers,
    applier: Applier,
    /// The objects that are to be.
    wanted: BTreeMap<ObjectId, Object>,
    primary: Primary,
    catalogs: Catalogs,
    /// The zones that were compiled and are not served yet.
    pending: BTreeSet<Name>,
    /// Who may have the zones and catalogs that are served.
    audiences: BTreeMap<Name, Audience>,
    /// What servers serve.
    pub(super) truth: Truth,
    probes: Probes,
    /// The resources whose status may not be what it is to be.
    pub(super) dirty: BTreeSet<ResourceId>,
    /// The versions of zones from which on records are in them.
    pub(super) contained: BTreeMap<ResourceId, BTreeMap<Name, Serial>>,
    /// What is wrong with resources that were changed into something that cannot be used, and are served as before.
    pub(super) rejected: BTreeMap<ResourceId, Vec<Finding>>,
    /// The servers whose declaration cannot be used.
    pub(super) refused: BTreeMap<ServerId, FieldError>,
    /// Whether there is more to be written of resources' status.
    is_behind: bool,
    /// Whether it may have changed who is to have which zone.
    is_moving: bool,
    /// What failed at the last try, so that it is told once.
    told: BTreeSet<String>,
}

/// The most pods and zones that are asked in a round; of more, the others follow.
const MOST_QUESTIONS: usize = 10_000;

/// The types that are watched in all namespaces. Nothing is done before all of them are listed.
fn types() -> impl Iterator<Item = Type> {
    let others = [
        Type::ConfigMap,
        Type::Deployment,
        Type::PersistentVolumeClaim,
        Type::Pod,
        Type::PodDisruptionBudget,
        Type::Service,
    ];
    Kind::all().map(Type::Own).chain(others)
}

impl Operator {
    pub(super) fn new(client: Client, options: &Options, place: Place, primary: Primary) -> Operator {
        Operator {
            applier: Applier::new(client.clone(), "bindy"),
            client,
            home: options.home.clone().unwrap_or_else(|| place.namespace.clone()),
            place,
            advertised: options.advertise.clone(),
            image: options.image.clone(),
            store: Store::default(),
            resources: BTreeMap::new(),
            compiler: None,
            servers: Servers::default(),
            wanted: BTreeMap::new(),
            primary,
            catalogs: Catalogs::default(),
            pending: BTreeSet::new(),
            audiences: BTreeMap::new(),
            truth: Truth::default(),
            probes: Probes::start(),
            dirty: BTreeSet::new(),
            contained: BTreeMap::new(),
            rejected: BTreeMap::new(),
            refused: BTreeMap::new(),
            is_behind: false,
            is_moving: true,
            told: BTreeSet::new(),
        }
    }

    /// What is to be watched now: types and namespaces, of which an empty one stands for all. Secrets are seen only where
    /// there are servers, and only where somebody allows it; without their keys, those servers get nothing new.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Type, &str)> {
        let everywhere = types().map(|of| (of, ""));
        let here = [(Type::EndpointSlice, self.place.namespace.as_str())];
        let keys: BTreeSet<&str> = self.servers.iter().map(|server| server.id.namespace.as_str()).collect();
        everywhere.chain(here).chain(keys.into_iter().map(|namespace| (Type::Secret, namespace)))
    }

    /// Takes over what was seen, and does what follows.
    ///
    /// # Errors
    /// That this process must not go on.
    pub(super) async fn take(&mut self, batch: Batch) -> Result<(), RunError> {
        for (of, why) in batch.failures {
            self.tell(format!("cannot watch {of:?}: {why}; what is known of it stays as it is"));
        }
        let mut changed = BTreeSet::new();
        batch.seen.into_iter().for_each(|seen| self.store.take(seen, &mut changed));
        if !types().all(|of| self.store.is_listed(of, "")) {
            return Ok(());
        }
        if self.compiler.is_none() {
            self.compiler = Some(Compiler::new(status::published(&self.store)));
            changed = types().flat_map(|of| self.store.of(of).map(|(id, _)| id.clone())).collect();
        }
        self.follow(changed).await
    }

    /// Tries again what failed.
    ///
    /// # Errors
    /// That this process must not go on.
    pub(super) async fn look(&mut self) -> Result<(), RunError> {
        let Some(compiler) = &self.compiler else { return Ok(()) };
        for origin in self.truth.late(Instant::now()) {
            self.primary.remind(origin);
            self.dirty.extend(compiler.zone_resource(origin).cloned());
        }
        self.follow(BTreeSet::new()).await
    }

    /// Waits for what servers answer, and takes it over.
    pub(super) async fn hear(&mut self) -> Option<Vec<Answer>> {
        self.probes.next().await
    }

    /// Takes over what servers have answered.
    ///
    /// # Errors
    /// That this process must not go on.
    pub(super) async fn learn(&mut self, answers: Vec<Answer>) -> Result<(), RunError> {
        for Answer { zone, pod, serial } in answers {
            self.truth.answered(&zone, pod, serial);
            let resource = self.compiler.as_ref().and_then(|compiler| compiler.zone_resource(&zone));
            self.dirty.extend(resource.cloned());
        }
        self.follow(BTreeSet::new()).await
    }

    /// Whether there is more to be done at once.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Does what follows from changes, until nothing more does.
    async fn follow(&mut self, mut changed: BTreeSet<ObjectId>) -> Result<(), RunError> {
        /// What a provider makes is three steps away from it.
        const STEPS: usize = 6;
        for _ in 0..STEPS {
            self.is_moving |= changed.iter().any(|id| matches!(id.of, Type::Pod | Type::Secret | Type::Service));
            self.compile(&changed);
            self.publish().await?;
            let seen = self.apply(&changed).await;
            changed.clear();
            for seen in seen {
                self.store.take(seen, &mut changed);
            }
            if changed.is_empty() {
                break;
            }
        }
        self.inquire();
        self.is_behind = status::report(self).await;
        Ok(())
    }

    /// Asks pods for what they are not known to serve.
    fn inquire(&self) {
        let keys = TransferKeys::of(&self.store);
        let by_name: BTreeMap<&Name, &TsigKey> = keys.iter().map(|key| (key.name(), key)).collect();
        let questions = self.truth.open().filter_map(|(zone, pod)| {
            let key = by_name.get(self.audiences.get(zone)?.pods.get(&pod)?)?;
            Some(Question { zone: zone.clone(), pod, key: (*key).clone() })
        });
        self.probes.ask(questions.take(MOST_QUESTIONS).collect());
    }

    /// Compiles the resources that changed.
    fn compile(&mut self, changed: &BTreeSet<ObjectId>) {
        let (mut changes, mut errors) = (Vec::new(), Vec::new());
        for id in changed {
            let Type::Own(kind) = id.of else { continue };
            let key = ResourceId { namespace: id.namespace.clone(), name: id.name.clone(), kind };
            let Some(object) = self.store.get(id) else {
                self.rejected.remove(&key);
                if self.resources.remove(&key).is_some() {
                    changes.push(Change::Remove(key));
                }
                continue;
            };
            match resource(kind, object) {
                Ok(resource) => {
                    let findings = compile::check(&resource);
                    if !findings.is_empty() && self.resources.contains_key(&key) {
                        // As with what cannot be read.
                        self.rejected.insert(key.clone(), findings);
                        self.dirty.insert(key);
                        continue;
                    }
                    if self.rejected.remove(&key).is_some() {
                        self.dirty.insert(key.clone());
                    }
                    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
                    let known = self.resources.get(&key);
                    if known.is_none_or(|(known, known_uid)| *known != resource || known_uid != uid) {
                        self.resources.insert(key, (resource.clone(), uid.to_owned()));
                        changes.push(Change::Put(resource));
                    }
                }
                // What was read of it before stays.
                Err(FieldError { path, message, .. }) => {
                    errors.push(format!("{key}: {path}: {message}"));
                    if !self.resources.contains_key(&key) {
                        changes.push(Change::Refuse(key));
                    }
                }
            }
        }
        for error in errors {
            self.tell(error);
        }
        if changes.is_empty() {
            return;
        }
        self.is_moving |= changes.iter().any(|change| !matches!(change.id().kind, Kind::Record(_)));
        if changes.iter().any(|change| matches!(change.id().kind, Kind::Infrastructure(_))) {
            self.servers = Servers::of(self.resources.values().map(|(resource, _)| resource), &self.home);
        }
        let Some(compiler) = &mut self.compiler else { return };
        let step = compiler.apply(changes);
        for id in step.judged {
            self.contained.remove(&id);
            if matches!(id.kind, Kind::Record(_)) {
                let served = compiler.verdict(&id).map(|verdict| verdict.served).unwrap_or_default();
                let zones = served.into_iter().filter_map(|zone| {
                    let serial = compiler.zone(&zone)?.serial()?;
                    Some((zone, serial))
                });
                self.contained.insert(id.clone(), zones.collect());
            }
            self.dirty.insert(id);
        }
        self.pending.extend(step.zones.into_iter().map(|ZoneStep { origin, .. }| origin));
    }

    /// Makes the serials of compiled zones durable, and serves those zones and the catalogs.
    async fn publish(&mut self) -> Result<(), RunError> {
        let Some(compiler) = &self.compiler else { return Ok(()) };
        let mut writes = Vec::new();
        for origin in &self.pending {
            if let (Some(id), Some(published)) = (compiler.zone_resource(origin), compiler.published().get(origin)) {
                let (origin, id, published, records) =
                    (origin.clone(), id.clone(), *published, compiler.members(origin));
                writes.push(status::Version { origin, id, published, records });
            }
        }
        let written = status::persist(&self.client, &self.store, writes).await?;
        let mut failures = Vec::new();
        let mut held = BTreeSet::new();
        for (origin, outcome) in written {
            match outcome {
                Ok(seen) => seen.into_iter().for_each(|seen| self.store.take(seen, &mut BTreeSet::new())),
                Err(why) => {
                    failures.push(format!("{origin} is not published: its serial cannot be kept: {why}"));
                    held.insert(origin);
                }
            }
        }
        let ready: BTreeSet<Name> = self.pending.iter().filter(|origin| !held.contains(*origin)).cloned().collect();
        self.pending = held;
        if self.is_moving {
            self.serve(&ready);
        } else {
            self.refresh(ready);
        }
        for failure in failures {
            self.tell(failure);
        }
        Ok(())
    }

    /// Serves the new versions of these zones to those who have them already.
    fn refresh(&mut self, ready: BTreeSet<Name>) {
        let Some(compiler) = &self.compiler else { return };
        for origin in &ready {
            if let Some(serial) = compiler.zone(origin).and_then(compile::ZoneData::serial) {
                self.truth.renew(origin, serial, Instant::now());
            }
        }
        let zones = ready.into_iter().map(|origin| {
            let zone = compiler.zone(&origin).cloned().zip(self.audiences.get(&origin).cloned());
            (origin, zone)
        });
        self.primary.serve(zones);
    }

    /// Serves the new versions of these zones, and all zones to those who are to have them now.
    fn serve(&mut self, ready: &BTreeSet<Name>) {
        let Some(compiler) = &self.compiler else { return };
        let keys = TransferKeys::of(&self.store);
        self.primary.know(keys.iter());
        let pods = pods(&self.store);
        let mut members: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
        let mut audiences: BTreeMap<Name, Audience> = BTreeMap::new();
        let mut running: BTreeMap<Name, Pods> = BTreeMap::new();
        let hears = |audience: &mut Audience, server: &Server| {
            let ServerId { namespace, name } = &server.id;
            let Some(key) = keys.find(namespace, names::key_owner(server.cluster.as_ref(), name)) else { return };
            audience.keys.insert(key.name().clone());
            let pods = pods.get(&server.id).into_iter().flatten();
            audience.pods.extend(pods.map(|&pod| (pod, key.name().clone())));
        };
        for server in self.servers.iter() {
            let Some(catalog) = catalog(server) else { continue };
            hears(audiences.entry(catalog.clone()).or_default(), server);
            members.entry(catalog).or_default();
        }
        // A zone that cannot be read, or not be published, stays listed: servers keep what they have of it.
        for (resource, _) in self.resources.values() {
            let Spec::Zone(spec) = &resource.spec else { continue };
            let Ok(origin) = Name::from_ascii(&spec.zone_name) else { continue };
            if compiler.zone(&origin).is_none() {
                for catalog in self.servers.of_zone(&resource.id.namespace, spec).filter_map(catalog) {
                    members.entry(catalog).or_default().insert(origin.clone());
                }
            }
        }
        let mut served = BTreeMap::new();
        for (origin, data) in compiler.zones() {
            let resource = compiler.zone_resource(origin).and_then(|id| self.resources.get(id));
            let Some((Resource { id, spec: Spec::Zone(spec), .. }, _)) = resource else { continue };
            served.insert(origin.clone(), data.clone());
            let audience = audiences.entry(origin.clone()).or_default();
            for server in self.servers.of_zone(&id.namespace, spec) {
                hears(audience, server);
                let of_server = pods.get(&server.id).cloned().unwrap_or_default();
                running.entry(origin.clone()).or_default().insert(server.id.clone(), of_server);
                if let Some(catalog) = catalog(server) {
                    members.entry(catalog).or_default().insert(origin.clone());
                }
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let catalogs = self.catalogs.list(members, now as u32);
        let new: BTreeSet<&Name> = catalogs.iter().map(|(origin, _)| origin).chain(ready).collect();
        served.extend(self.catalogs.iter().map(|(origin, data)| (origin.clone(), data.clone())));
        let gone: BTreeSet<Name> =
            self.audiences.keys().filter(|origin| !served.contains_key(*origin)).cloned().collect();
        let mut first = Vec::new();
        for (origin, data) in served {
            let audience = audiences.get(&origin).cloned().unwrap_or_default();
            if self.pending.contains(&origin) {
                // Its new data waits, and its audience with it.
                continue;
            }
            if let (Some(resource), Some(serial)) = (compiler.zone_resource(&origin), data.serial()) {
                let pods = running.remove(&origin).unwrap_or_default();
                if self.truth.expect(&origin, serial, pods, Instant::now()) {
                    self.dirty.insert(resource.clone());
                }
            }
            if new.contains(&origin) || self.audiences.get(&origin) != Some(&audience) {
                self.audiences.insert(origin.clone(), audience.clone());
                first.push((origin, Some((data, audience))));
            }
        }
        for origin in &gone {
            self.audiences.remove(origin);
            self.truth.forget(origin);
        }
        // Zones come before the catalogs that list them.
        let is_catalog = |origin: &Name| self.catalogs.iter().any(|(catalog, _)| catalog == origin);
        let (second, first): (Vec<_>, Vec<_>) = first.into_iter().partition(|(origin, _)| is_catalog(origin));
        self.primary.serve(first);
        self.primary.serve(second);
        self.primary.serve(gone.into_iter().map(|origin| (origin, None)));
    }

    /// Makes the objects what they are to be, as far as something about them changed; returns what came of it.
    async fn apply(&mut self, changed: &BTreeSet<ObjectId>) -> Vec<Seen> {
        let failed: Vec<ObjectId> = self.applier.failed().keys().cloned().collect();
        let mut due: BTreeSet<ObjectId> = changed.iter().cloned().chain(failed).collect();
        if self.is_moving {
            let infrastructure = self.resources.keys().filter(|id| matches!(id.kind, Kind::Infrastructure(_)));
            self.dirty.extend(infrastructure.cloned());
            let wanted = self.render();
            let differs = |id: &ObjectId, object: &Object| self.wanted.get(id) != Some(object);
            due.extend(wanted.iter().filter(|(id, object)| differs(id, object)).map(|(id, _)| id.clone()));
            self.wanted = wanted;
            // Zones that wait to be published may be new.
            self.is_moving = !self.pending.is_empty();
        }
        let due: Vec<Object> = due.iter().filter_map(|id| self.wanted.get(id)).cloned().collect();
        let seen = self.applier.apply(due, &self.store).await;
        let failures: Vec<String> =
            self.applier.failed().iter().map(|(id, why)| format!("{id} cannot be applied: {why}")).collect();
        for failure in failures {
            self.tell(failure);
        }
        seen
    }

    /// The objects that are to be.
    fn render(&mut self) -> BTreeMap<ObjectId, Object> {
        let infrastructure = self.resources.iter().filter(|(id, _)| matches!(id.kind, Kind::Infrastructure(_)));
        let declared: Vec<Declared<'_>> =
            infrastructure.map(|(_, (resource, uid))| Declared { resource, uid }).collect();
        let (mut slice, mut found) = (None, self.advertised.clone());
        if found.is_empty() {
            let port = self.primary.addresses().first().map_or(names::DNS_PORT, SocketAddr::port);
            slice = leader::slice(&self.place, port);
            found = leader::addresses(&self.store, &self.place);
        }
        let is_lost = found.is_empty();
        let rendered = render(
            &declared,
            &Surroundings {
                home: self.home.clone(),
                image: self.image.clone(),
                leader: found,
                rndc_keys: rndc_keys(&self.store, &declared),
            },
        );
        for (server, FieldError { path, message, .. }) in &rendered.refused {
            self.tell(format!("Bind9Instance {server}: {path}: {message}; what it has stays as it is"));
        }
        self.refused = rendered.refused;
        if is_lost {
            self.tell(format!(
                "there is no Service {}/bindy-leader with the label app.kubernetes.io/part-of=bindy, so that no server could \
                 find this process: apply deploy/operator, or give --advertise",
                self.place.namespace
            ));
        }
        slice.into_iter().chain(rendered.objects).map(|object| (object.id.clone(), object)).collect()
    }

    /// Tells something, once.
    fn tell(&mut self, what: String) {
        if !self.told.contains(&what) {
            say(&what);
            if self.told.len() > 10_000 {
                self.told.clear();
            }
            self.told.insert(what);
        }
    }
}

fn catalog(server: &Server) -> Option<Name> {
    Name::from_ascii(names::catalog(&server.id.namespace, &server.id.name)).ok()
}

/// The addresses of the pods of each server that run.
fn pods(store: &Store) -> BTreeMap<ServerId, BTreeSet<SocketAddr>> {
    let mut pods: BTreeMap<ServerId, BTreeSet<SocketAddr>> = BTreeMap::new();
    for (id, pod) in store.of(Type::Pod) {
        let metadata = &pod["metadata"];
        let Some(instance) = metadata["labels"]["instance"].as_str() else { continue };
        let Some(address) = pod["status"]["podIP"].as_str().and_then(|text| text.parse::<IpAddr>().ok()) else {
            continue;
        };
        let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        if !ended && metadata.get("deletionTimestamp").is_none() {
            let server = ServerId { namespace: id.namespace.clone(), name: instance.to_owned() };
            pods.entry(server).or_default().insert(SocketAddr::new(address, names::DNS_PORT));
        }
    }
    pods
}

/// The names of the RNDC keys of servers, where there are Secrets already.
fn rndc_keys(store: &Store, declared: &[Declared<'_>]) -> BTreeMap<ServerId, String> {
    let instances = declared
        .iter()
        .filter(|declared| matches!(declared.resource.spec, Spec::Infrastructure(Infrastructure::Instance(_))));
    let keys = instances.filter_map(|declared| {
        let ResourceId { namespace, name, .. } = declared.resource.id.clone();
        let id = ObjectId { of: Type::Secret, namespace: namespace.clone(), name: names::rndc_secret(&name) };
        let key = crate::keys::name_of(store.get(&id)?)?;
        Some((ServerId { namespace, name }, key))
    });
    keys.collect()
}

/// What a zone's status says was published.
pub(super) fn published_of(zone: &Value) -> Option<Published> {
    let status = &zone["status"];
    let serial = u32::try_from(status["serial"].as_u64()?).ok()?;
    let hash: ContentHash = status["contentHash"].as_str()?.parse().ok()?;
    Some(Published { serial: zonefmt::Serial(serial), hash })
}
