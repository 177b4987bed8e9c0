//! What follows from what was seen. Events change the [`Store`]; resources go to the compiler and become zones, and
//! declared servers become objects. A zone's serial is durable before the zone is served.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::SocketAddr,
    time::Instant,
};

use jiff::Timestamp;
use kube::Client;
use serde_json::Value;
use zonefmt::{Name, Serial};

use super::{
    Fenced, Options, Place,
    assignment::{Assignment, Declared, catalog},
    catalogs::{self, MOST_MEMBERS},
    configs::Configs,
    declarations::Declarations,
    http::{Board, Figures},
    leader,
    primary::Primary,
    probes::{Answer, Question},
    publication::{self, Kept},
    readiness::{ConfigQuestion, Told},
    removal::{Change, LargeRemoval, Removals},
    reports::{Outcome, Reports, Unwritten},
    retirement,
    rollout::Turns,
    rounds::Rounds,
    seen,
    serving::Serving,
    status,
};
use crate::{
    api::{FieldError, Kind, Resource, ResourceId, Spec},
    cluster::{Applier, Batch, Namespaces, Seen, Store, Watched},
    compile::{Compiler, ContentHash, Published, ZoneData, ZoneStep},
    keys::TransferKeys,
    object::{Object, ObjectId, Type},
    render::{Surroundings, names, render},
    servers::{Server, ServerId, Servers},
    terminal::say,
};

/// The operator.
pub(super) struct Operator {
    client: Client,
    place: Place,
    /// Where servers find this process, if that is not its Service.
    advertised: Vec<SocketAddr>,
    image: String,
    /// The namespace of the servers of providers that name none.
    home: String,
    /// Where there may be resources and servers.
    namespaces: Namespaces,
    pub(super) store: Store,
    pub(super) declarations: Declarations,
    /// `None` until every type was listed.
    pub(super) compiler: Option<Compiler>,
    pub(super) servers: Servers,
    /// Whether this process publishes and writes. Otherwise another one does, and this one serves what that has
    /// published, so that it can take its place at any time.
    leads: bool,
    applier: Applier,
    /// The objects that are to be.
    wanted: BTreeMap<ObjectId, Object>,
    pub(super) serving: Serving,
    /// The zones that were compiled and are not served yet, with how many RRsets that changes of what is served.
    pub(super) pending: BTreeMap<Name, Change>,
    removals: Removals,
    /// The zones among them that wait because too much would go.
    pub(super) held: BTreeMap<Name, LargeRemoval>,
    /// The servers that keep zones which they are not to have any more, as those are too many.
    pub(super) kept: BTreeMap<ServerId, LargeRemoval>,
    probes: Rounds<Question>,
    /// Which configuration servers have.
    pub(super) configs: Configs,
    readiness: Rounds<ConfigQuestion>,
    /// Whose pods are replaced when.
    pub(super) turns: Turns,
    reports: Reports,
    /// The versions of zones from which on records are in them.
    pub(super) contained: BTreeMap<ResourceId, BTreeMap<Name, Serial>>,
    /// The servers that are to have no pods any more.
    drained: BTreeSet<ServerId>,
    /// The servers whose declaration cannot be used.
    pub(super) refused: BTreeMap<ServerId, FieldError>,
    /// The objects that resources name.
    named: BTreeSet<ObjectId>,
    /// Those among them that cannot be read, and why.
    unreadable: BTreeMap<ObjectId, String>,
    /// Whether it may have changed who is to have which zone.
    is_moving: bool,
    /// How many pods have to go and answer on.
    leaving: usize,
    /// The zones among those that wait whose serials could not be kept.
    unkept: BTreeSet<Name>,
    /// Whether this is one of the regular looks: only then is tried again what failed, and does status say how many zones
    /// servers have, which may change all the time.
    pub(super) looks: bool,
    /// What failed at the last try, so that it is told once.
    told: BTreeSet<String>,
    board: Board,
    /// How many versions of zones were published.
    published: u64,
}

/// What servers, and the API server, have answered.
pub(super) enum Heard {
    Versions(Vec<Answer>),
    Configs(Vec<(ObjectId, Told)>),
    Outcomes(Vec<Outcome>),
}

/// The most pods and zones that are asked in a round; of more, the others follow.
const MOST_QUESTIONS: usize = 10_000;

/// The types that are watched everywhere. Nothing is done before all of them are listed.
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
    pub(super) fn new(client: Client, options: &Options, place: Place, primary: Primary, board: Board) -> Operator {
        let reports = Reports::start(client.clone(), place.name());
        let home = options.home.clone().unwrap_or_else(|| place.namespace.clone());
        Operator {
            applier: Applier::new(client.clone(), "bindy"),
            client,
            namespaces: Namespaces::from_environment(&[&home, &place.namespace]),
            home,
            place,
            advertised: options.advertise.clone(),
            image: options.image.clone(),
            store: Store::default(),
            declarations: Declarations::default(),
            compiler: None,
            servers: Servers::default(),
            leads: false,
            wanted: BTreeMap::new(),
            serving: Serving::new(primary),
            pending: BTreeMap::new(),
            removals: Removals::default(),
            held: BTreeMap::new(),
            kept: BTreeMap::new(),
            probes: Rounds::start(),
            configs: Configs::default(),
            readiness: Rounds::start(),
            turns: Turns::default(),
            reports,
            contained: BTreeMap::new(),
            drained: BTreeSet::new(),
            refused: BTreeMap::new(),
            named: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            is_moving: true,
            leaving: 0,
            unkept: BTreeSet::new(),
            looks: false,
            told: BTreeSet::new(),
            board,
            published: 0,
        }
    }

    /// What is to be watched now: types and namespaces, of which an empty one stands for all. Secrets are seen only where
    /// there are servers, and only where somebody allows it; without their keys, those servers get nothing new.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Type, &str)> {
        let here = [(Type::EndpointSlice, self.place.namespace.as_str())];
        let keys: BTreeSet<&str> = self.servers.iter().map(|server| server.id.namespace.as_str()).collect();
        self.everywhere().chain(here).chain(keys.into_iter().map(|namespace| (Type::Secret, namespace)))
    }

    /// What is watched before anything is done.
    fn everywhere(&self) -> impl Iterator<Item = (Type, &str)> {
        types().flat_map(|of| self.namespaces.of(of).map(move |namespace| (of, namespace)))
    }

    /// The objects that are to be watched by name.
    pub(super) fn named(&self) -> &BTreeSet<ObjectId> {
        &self.named
    }

    /// Begins to publish and write, or leaves that to another process and goes on serving what there is.
    ///
    /// # Errors
    /// Somebody else publishes, too.
    pub(super) async fn lead(&mut self, leads: bool) -> Result<(), Fenced> {
        if self.leads == leads {
            return Ok(());
        }
        self.leads = leads;
        self.is_moving = true;
        self.serving.forget();
        self.wanted.clear();
        self.held.clear();
        if leads && self.compiler.is_some() {
            let store = &self.store;
            let counts = self.servers.iter().filter_map(|server| {
                let instance = store.get(&ObjectId::from(&server.id.resource()))?;
                Some((catalog(&server.id)?, instance["status"]["zonesCount"].as_u64()? as usize))
            });
            let counts: BTreeMap<Name, usize> = counts.collect();
            self.serving.take_over(|catalog| counts.get(catalog).copied().unwrap_or(0));
            self.take_over().await?;
        }
        self.follow(BTreeSet::new()).await
    }

    /// Goes on where another process has ended.
    async fn take_over(&mut self) -> Result<(), Fenced> {
        // What it has written last may not have been seen yet.
        let mut changed = BTreeSet::new();
        let namespaces: Vec<String> = self.namespaces.of(Type::Own(Kind::Zone)).map(str::to_owned).collect();
        for namespace in namespaces {
            match publication::zones(&self.client, &namespace).await {
                Ok(zones) => self.store.take(zones, &mut changed),
                Err(why) => self.tell(format!("the DNSZones cannot be listed: {why}; what was seen of them counts")),
            }
        }
        self.compile(&changed);
        let Some(compiler) = &mut self.compiler else { return Ok(()) };
        let steps = compiler.resume(publication::published(&self.store));
        self.reports.look_at(compiler.resources().cloned());
        self.await_publication(steps);
        let records: Vec<ResourceId> = self.contained.keys().cloned().collect();
        self.judge(records);
        Ok(())
    }

    /// Takes over what was seen, and does what follows.
    ///
    /// # Errors
    /// Somebody else publishes, too.
    pub(super) async fn take(&mut self, batch: Batch) -> Result<(), Fenced> {
        let mut changed = BTreeSet::new();
        for (watched, why) in batch.failures {
            self.tell(format!("cannot watch {watched}: {why}; what is known of it stays as it is"));
            if let Watched::One(id) = watched {
                self.unreadable.insert(id.clone(), why);
                changed.insert(id);
            }
        }
        batch.seen.into_iter().for_each(|seen| self.store.take(seen, &mut changed));
        if !self.everywhere().all(|(of, namespace)| self.store.is_listed(of, namespace)) {
            return Ok(());
        }
        if self.compiler.is_none() {
            self.compiler = Some(Compiler::new(publication::published(&self.store)));
            self.board.show(self.figures());
            changed = types().flat_map(|of| self.store.ids(of).cloned()).collect();
        }
        self.follow(changed).await
    }

    /// Tries again what failed.
    ///
    /// # Errors
    /// Somebody else publishes, too.
    pub(super) async fn look(&mut self) -> Result<(), Fenced> {
        let Some(compiler) = &self.compiler else { return Ok(()) };
        self.looks = true;
        self.board.show(self.figures());
        let drained = retirement::drained(&self.servers, &self.store, Timestamp::now());
        self.is_moving |= drained != self.drained;
        for origin in self.serving.remind() {
            self.reports.look_at(compiler.zone_resource(origin).cloned());
            self.reports.heard_of(origin);
        }
        self.reports.retry();
        // Nobody tells when the time of a pod is over.
        let leaving = self.store.of(Type::Pod).filter(|(_, pod)| seen::is_leaving(pod)).count();
        self.is_moving |= mem::replace(&mut self.leaving, leaving) > leaving;
        let miscounted = self.miscounted();
        self.reports.look_at(miscounted);
        self.follow(BTreeSet::new()).await
    }

    /// The instances of the servers of which the status does not say how many zones they have.
    fn miscounted(&self) -> Vec<ResourceId> {
        let miscounted = self.servers.iter().filter(|server| {
            let id = server.id.resource();
            let listed = catalog(&server.id).and_then(|catalog| self.serving.listed(&catalog));
            let (Some((zones, serial)), Some(instance)) = (listed, self.store.get(&ObjectId::from(&id))) else {
                return false;
            };
            let status = &instance["status"];
            status["zonesCount"] != zones || status["catalogSerial"] != serial.0 && !self.kept.contains_key(&server.id)
        });
        miscounted.map(|server| server.id.resource()).collect()
    }

    /// Waits for answers.
    pub(super) async fn hear(&mut self) -> Heard {
        tokio::select! {
            versions = self.probes.next() => Heard::Versions(versions),
            configs = self.readiness.next() => Heard::Configs(configs),
            outcomes = self.reports.written() => Heard::Outcomes(outcomes),
        }
    }

    /// Takes over what was answered.
    ///
    /// # Errors
    /// Somebody else publishes, too.
    pub(super) async fn learn(&mut self, heard: Heard) -> Result<(), Fenced> {
        match heard {
            Heard::Versions(answers) => self.learn_versions(answers),
            Heard::Configs(told) => {
                for (pod, told) in told {
                    self.reports.look_at(self.configs.told(&pod, told).map(ServerId::resource));
                }
            }
            Heard::Outcomes(outcomes) => self.learn_outcomes(outcomes),
        }
        self.follow(BTreeSet::new()).await
    }

    fn learn_versions(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            let ahead = self.serving.heard(&answer);
            let Some(compiler) = &mut self.compiler else { continue };
            self.reports.look_at(compiler.zone_resource(&answer.zone).cloned());
            self.reports.heard_of(&answer.zone);
            if let Some(serial) = ahead {
                // As of a zone that was deleted and declared anew: no server would take a version with a lower serial.
                let steps = compiler.resume([(answer.zone, Published { serial, hash: ContentHash::default() })]);
                self.await_publication(steps);
            }
        }
    }

    fn learn_outcomes(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            self.reports.settle(&outcome);
            let Outcome { id, before, after } = outcome;
            match after {
                Ok(after) => self.store.renew(&ObjectId::from(&id), &before, after),
                Err(Unwritten::Changed) => continue,
                Err(Unwritten::Refused(why) | Unwritten::Away(why)) => {
                    self.tell(format!("the status of {id} cannot be written: {why}"));
                    continue;
                }
            }
            if id.kind == Kind::INSTANCE {
                // What is said of those follows from this.
                self.reports.look_at(self.declarations.families().cloned());
            }
        }
    }

    /// Does what follows from changes, until nothing more does.
    async fn follow(&mut self, mut changed: BTreeSet<ObjectId>) -> Result<(), Fenced> {
        /// What a provider makes is three steps away from it.
        const STEPS: usize = 6;
        if self.compiler.is_none() {
            return Ok(());
        }
        for _ in 0..STEPS {
            self.is_moving |= changed.iter().any(|id| tells_of_servers(id.of));
            self.compile(&changed);
            self.publish().await?;
            let may_differ = self.is_moving || changed.iter().any(|id| id.of == Type::ConfigMap);
            let seen = self.apply(&changed).await;
            if may_differ {
                let servers = self.configs.expect(&self.store, &self.wanted, Instant::now());
                self.reports.look_at(servers.iter().map(ServerId::resource));
            }
            changed.clear();
            for seen in seen {
                self.store.take(seen, &mut changed);
            }
            if changed.is_empty() {
                break;
            }
        }
        if self.leads {
            self.probes.ask(self.serving.questions(&TransferKeys::of(&self.store), MOST_QUESTIONS));
            self.readiness.ask(self.configs.open().take(MOST_QUESTIONS).collect());
            self.report();
        } else {
            self.probes.ask(Vec::new());
            self.readiness.ask(Vec::new());
            self.reports.clear();
        }
        self.looks = false;
        Ok(())
    }

    /// Says of resources what there is to be said now.
    fn report(&mut self) {
        let now = Timestamp::now();
        while let Some(id) = self.reports.next() {
            if let Some(live) = self.store.get(&ObjectId::from(&id)) {
                let due = status::of(self, &id, &live, now);
                self.reports.say(id, live, due);
            }
        }
    }

    fn figures(&self) -> Figures {
        let count = |kind: Kind| (kind.name(), self.store.ids(Type::Own(kind)).count() as u64);
        Figures {
            is_ready: true,
            leads: self.leads,
            zones: self.compiler.as_ref().map_or(0, |compiler| compiler.zones().count() as u64),
            resources: Kind::all().map(count).collect(),
            held: (self.held.len() + self.kept.len()) as u64,
            behind: self.serving.behind() as u64,
            published: self.published,
            waiting: self.reports.len() as u64,
            failed: self.applier.failed().len() as u64,
        }
    }

    /// Compiles the resources that changed.
    fn compile(&mut self, changed: &BTreeSet<ObjectId>) {
        let taken = self.declarations.take(&self.store, changed);
        taken.errors.into_iter().for_each(|error| self.tell(error));
        self.reports.look_at(taken.judged);
        // Also what changes nothing of a resource, such as another spelling, or a status that somebody else has written.
        let own = changed.iter().filter_map(ObjectId::resource);
        self.reports.look_at(own);
        if changed.iter().any(|id| id.of == Type::Own(Kind::INSTANCE)) {
            self.reports.look_at(self.declarations.families().cloned());
        }
        let of_kinds = |matches: fn(Kind) -> bool| taken.changes.iter().any(|change| matches(change.id().kind));
        self.is_moving |= of_kinds(|kind| !matches!(kind, Kind::Record(_)));
        if of_kinds(|kind| matches!(kind, Kind::Infrastructure(_))) {
            self.servers = Servers::of(self.declarations.iter(), &self.home);
        }
        let Some(compiler) = &mut self.compiler else { return };
        if !taken.changes.is_empty() {
            let step = compiler.apply(taken.changes);
            self.await_publication(step.zones);
            self.judge(step.judged);
        }
        if !self.leads {
            self.keep_up(changed);
        }
    }

    /// Gives zones the serials with which another process has published them.
    fn keep_up(&mut self, changed: &BTreeSet<ObjectId>) {
        let Some(compiler) = &mut self.compiler else { return };
        let zones = changed.iter().filter(|id| id.of == Type::Own(Kind::Zone));
        let published = zones.filter_map(|id| {
            let published = publication::published_of(&self.store.get(id)?)?;
            let id = id.resource()?;
            let Spec::Zone(spec) = &self.declarations.get(&id)?.spec else { return None };
            let origin = Name::from_ascii(&spec.zone_name).ok()?;
            (compiler.zone_resource(&origin) == Some(&id)).then_some((origin, published))
        });
        let published: Vec<_> = published.collect();
        let steps = compiler.resume(published);
        self.await_publication(steps);
    }

    fn await_publication(&mut self, steps: Vec<ZoneStep>) {
        for ZoneStep { origin, removed, added, .. } in steps {
            self.unkept.remove(&origin);
            *self.pending.entry(origin).or_default() += Change { removed, added };
        }
    }

    /// Notes from which versions on zones have these records, and that there may be something to be said of them.
    fn judge(&mut self, resources: impl IntoIterator<Item = ResourceId>) {
        let Some(compiler) = &self.compiler else { return };
        for id in resources {
            self.contained.remove(&id);
            if matches!(id.kind, Kind::Record(_)) {
                let served = compiler.verdict(&id).map(|verdict| verdict.served).unwrap_or_default();
                let zones = served.into_iter().filter_map(|zone| {
                    let serial = compiler.zone(&zone)?.serial()?;
                    Some((zone, serial))
                });
                self.contained.insert(id.clone(), zones.collect());
            }
            if let Some(origin) = unpublished(compiler, &self.store, &id) {
                self.pending.entry(origin).or_default();
            }
            self.reports.look_at([id]);
        }
    }

    /// Makes the serials of compiled zones durable, and serves those zones and the catalogs.
    async fn publish(&mut self) -> Result<(), Fenced> {
        let ready = if self.leads { self.persist().await? } else { self.published_elsewhere() };
        self.pending.retain(|origin, change| {
            let waits = !ready.contains(origin);
            if !waits {
                self.removals.published(origin, *change);
            }
            waits
        });
        self.published += ready.len() as u64;
        self.is_moving |= ready.iter().any(|origin| !self.serving.knows(origin));
        if self.is_moving {
            self.assign(&ready);
        } else if let Some(compiler) = &self.compiler {
            let zones = ready.into_iter().map(|origin| {
                let data = compiler.zone(&origin).cloned();
                (origin, data)
            });
            self.serving.renew(zones);
        }
        Ok(())
    }

    /// The zones that wait and that another process has published with the content that they have here.
    fn published_elsewhere(&self) -> BTreeSet<Name> {
        let Some(compiler) = &self.compiler else { return BTreeSet::new() };
        let is_published = |origin: &&Name| {
            let Some(id) = compiler.zone_resource(origin) else { return true };
            let object = self.store.get(&ObjectId::from(id));
            object.as_ref().and_then(publication::published_of).as_ref() == compiler.published().get(*origin)
        };
        self.pending.keys().filter(is_published).cloned().collect()
    }

    /// Makes the serials of zones that wait durable; returns the zones that can be served now.
    async fn persist(&mut self) -> Result<BTreeSet<Name>, Fenced> {
        let Some(compiler) = &self.compiler else { return Ok(BTreeSet::new()) };
        let (mut ready, mut writes) = (BTreeSet::new(), Vec::new());
        let was_held = mem::take(&mut self.held);
        let is_due = |origin: &Name| self.looks || !self.unkept.contains(origin);
        for (origin, change) in self.pending.iter().filter(|(origin, _)| is_due(origin)) {
            let (Some(id), Some(published), Some(version)) =
                (compiler.zone_resource(origin), compiler.published().get(origin), compiler.zone(origin))
            else {
                self.removals.forget(origin);
                ready.insert(origin.clone());
                continue;
            };
            let records = compiler.members(origin);
            if let Some(object) = self.store.get(&ObjectId::from(id))
                && let served = self.serving.data(origin)
                && let Some(large) = self.removals.hold(&object, (origin, version), served.as_ref(), *change, records)
            {
                self.reports.look_at([id.clone()]);
                self.held.insert(origin.clone(), large);
                continue;
            }
            writes.push(publication::Version {
                origin: origin.clone(),
                id: id.clone(),
                published: *published,
                records,
            });
        }
        for (origin, large) in &self.held {
            if !was_held.contains_key(origin) {
                say(&format!("{origin} is not published: {large}"));
            }
        }
        for (origin, kept) in publication::persist(&self.client, &self.store, writes).await? {
            match kept {
                Kept::Yes(seen) => {
                    if let Some(seen) = seen {
                        self.store.take(seen, &mut BTreeSet::new());
                    }
                    self.unkept.remove(&origin);
                    ready.insert(origin);
                }
                Kept::Gone => {}
                Kept::No(why) => {
                    self.unkept.insert(origin.clone());
                    self.tell(format!("{origin} is not published: its serial cannot be kept: {why}"));
                }
            }
        }
        Ok(ready)
    }

    /// Serves the new versions of these zones, and all zones to those who are to have them now.
    fn assign(&mut self, ready: &BTreeSet<Name>) {
        let Some(compiler) = &self.compiler else { return };
        let keys = TransferKeys::of(&self.store);
        // Servers hear of new versions from the one who leads.
        let pods = if self.leads { seen::pods(&self.store) } else { BTreeMap::new() };
        // Where there are too many, those that are new have to wait.
        let mut resources: Vec<&Resource> = self.declarations.iter().filter(|it| it.id.kind == Kind::Zone).collect();
        resources.sort_by_key(|resource| (resource.created.is_none(), resource.created, &resource.id));
        let declared = resources.into_iter().filter_map(|resource| {
            let Spec::Zone(spec) = &resource.spec else { return None };
            let origin = Name::from_ascii(&spec.zone_name).ok()?;
            let made = compiler.zone_resource(&origin);
            let is_compiled = made == Some(&resource.id);
            // Of several resources of a name, the servers of the one that counts have the zone.
            (is_compiled || made.is_none()).then_some(Declared {
                origin,
                namespace: &resource.id.namespace,
                spec,
                is_compiled,
            })
        });
        let mut assignment = Assignment::of(&self.servers, MOST_MEMBERS, declared, &keys, &pods);
        // The zones of a server that goes go with it.
        let by_catalog: BTreeMap<Name, &Server> =
            self.servers.staying().filter_map(|server| Some((catalog(&server.id)?, server))).collect();
        let instance = |catalog: &Name| {
            let id = ObjectId::from(&by_catalog.get(catalog)?.id.resource());
            self.store.get(&id)
        };
        let (mut kept, mut left) = (BTreeMap::new(), BTreeSet::new());
        for (catalog, catalogs::Kept { why, zones }) in self.serving.hold(&mut assignment.members, self.leads, instance)
        {
            let Some(server) = by_catalog.get(&catalog) else { continue };
            for zone in &zones {
                assignment.leave(zone, server, &keys, &pods);
            }
            left.extend(zones.into_iter().filter(|zone| compiler.zone(zone).is_none()));
            if !self.kept.contains_key(&server.id) {
                say(&format!("Bind9Instance {} keeps its zones: {why}", server.id));
            }
            kept.insert(server.id.clone(), why);
        }
        self.kept = kept;
        let zones = compiler.zones().filter_map(|(origin, data)| {
            // While a new version waits, the one that is served goes to those who are to have it.
            let waits = self.pending.contains_key(origin);
            let data = if waits { self.serving.data(origin)? } else { data.clone() };
            Some((origin.clone(), data, ready.contains(origin)))
        });
        // Zones that were deleted stay as they were.
        let left = left.into_iter().filter_map(|origin| Some((origin.clone(), self.serving.data(&origin)?, false)));
        let zones: Vec<(Name, ZoneData, bool)> = zones.chain(left).collect();
        let open = self.serving.assign(assignment, zones, &keys);
        for origin in open {
            self.reports.look_at(compiler.zone_resource(&origin).cloned());
            self.reports.heard_of(&origin);
        }
    }

    /// Makes the objects what they are to be, as far as something about them changed; returns what came of it.
    async fn apply(&mut self, changed: &BTreeSet<ObjectId>) -> Vec<Seen> {
        if !self.leads {
            self.is_moving = false;
            return Vec::new();
        }
        let failed = self.applier.failed().clone();
        let again = failed.keys().filter(|_| self.looks);
        let mut due: BTreeSet<ObjectId> = changed.iter().chain(again).cloned().collect();
        if mem::take(&mut self.is_moving) {
            self.reports.look_at(self.declarations.infrastructure().map(|declared| declared.resource.id.clone()));
            let wanted = self.render();
            let differs = |id: &ObjectId, object: &Object| self.wanted.get(id) != Some(object);
            due.extend(wanted.iter().filter(|(id, object)| differs(id, object)).map(|(id, _)| id.clone()));
            self.wanted = wanted;
        }
        let known = || self.serving.known();
        let concerned = self.turns.choose(&mut due, &self.wanted, &self.store, known);
        self.reports.look_at(concerned.iter().map(ServerId::resource));
        let due: Vec<Object> = due.iter().filter_map(|id| self.wanted.get(id)).cloned().collect();
        let seen = self.applier.apply(due, &self.store).await;
        let now = self.applier.failed();
        if failed != *now {
            self.reports.look_at(self.declarations.infrastructure().map(|declared| declared.resource.id.clone()));
        }
        let failures: Vec<String> =
            now.iter().map(|(id, failure)| format!("{id} cannot be applied: {}", failure.why)).collect();
        for failure in failures {
            self.tell(failure);
        }
        seen
    }

    /// Why an object that a resource makes is not there or not as it is to be, if an API server refuses it.
    pub(super) fn refusal(&self, of: &ResourceId) -> Option<String> {
        let is_owner = |owner: &Value| owner["kind"] == of.kind.name() && owner["name"] == *of.name;
        let is_its = |id: &ObjectId| {
            let owners = self.wanted.get(id).and_then(|object| object.body["metadata"]["ownerReferences"].as_array());
            id.namespace == of.namespace && owners.into_iter().flatten().any(is_owner)
        };
        let mut refused = self.applier.failed().iter().filter(|(_, failure)| failure.is_refusal);
        let (id, failure) = refused.find(|(id, _)| is_its(id))?;
        Some(format!("{id} cannot be applied: {}.", failure.why))
    }

    /// The objects that are to be.
    fn render(&mut self) -> BTreeMap<ObjectId, Object> {
        let (mut slices, mut found) = (Vec::new(), self.advertised.clone());
        if found.is_empty() {
            slices = leader::slices(&self.place, &self.serving.addresses(), &self.store);
            found = leader::addresses(&self.store, &self.place);
        }
        self.drained = retirement::drained(&self.servers, &self.store, Timestamp::now());
        let is_lost = found.is_empty();
        let declared: Vec<_> = self.declarations.infrastructure().collect();
        let rendered = render(
            &declared,
            &Surroundings {
                home: self.home.clone(),
                image: self.image.clone(),
                leader: found,
                services: seen::services(&self.store, self.declarations.instances(), str::to_owned),
                tcp_services: seen::services(&self.store, self.declarations.instances(), names::tcp_service),
                drained: self.drained.clone(),
                rndc_keys: seen::rndc_keys(&self.store, self.declarations.instances()),
                budgets: seen::budgets(&self.store),
                given: seen::given(&self.store, &self.named, &self.unreadable),
            },
        );
        for (server, FieldError { path, message, .. }) in &rendered.refused {
            self.tell(format!("Bind9Instance {server}: {path}: {message}; what it has stays as it is"));
        }
        self.refused = rendered.refused;
        if self.named != rendered.named {
            self.store.retain(&rendered.named);
            self.unreadable.retain(|id, _| rendered.named.contains(id));
            self.named = rendered.named;
        }
        if is_lost {
            self.tell(format!(
                "there is no Service {}/bindy-leader with the label app.kubernetes.io/part-of=bindy, so that no server could \
                 find this process: apply deploy/operator, or give --advertise",
                self.place.namespace
            ));
        }
        slices.into_iter().chain(rendered.objects).map(|object| (object.id.clone(), object)).collect()
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

/// Whether objects of a type may change what the objects of servers are to be.
fn tells_of_servers(of: Type) -> bool {
    matches!(
        of,
        Type::Pod | Type::PodDisruptionBudget | Type::Secret | Type::Service | Type::GivenConfigMap | Type::GivenSecret
    )
}

/// The zone of a resource whose status does not say what was published of it, such as one that has taken another's place.
fn unpublished(compiler: &Compiler, store: &Store, id: &ResourceId) -> Option<Name> {
    let origin = compiler.verdict(id)?.served.into_iter().next().filter(|_| id.kind == Kind::Zone)?;
    let known = publication::published_of(&store.get(&ObjectId::from(id))?);
    let published = compiler.published().get(&origin).filter(|_| compiler.zone_resource(&origin) == Some(id))?;
    (known.as_ref() != Some(published)).then_some(origin)
}
