//! What follows from what was seen. Resources become zones, and declared servers become objects; what is served, and what
//! is said of it, follows from both.

use std::{collections::BTreeSet, mem, time::Instant};

use bindy_server::live::{Batch as Updates, Unkept, Written};
use jiff::Timestamp;
use kube::Client;
use zonefmt::Serial;

use super::{
    Fenced, Options, Place,
    audit::{self, Refusals},
    configs::Configs,
    desk::{Errand, Inbox},
    http::{Board, Figures},
    ledgers::{self, Ledgers, NotWritten, ZoneKey},
    objects::{Applied, Objects},
    primary::Primary,
    probes::{Answer, Question},
    publication,
    readiness::{ConfigQuestion, Told},
    reports::{Outcome, Reports, Unwritten},
    rotation,
    rounds::Rounds,
    seen,
    serving::{Assigned, Serving},
    status::{self, View},
    world::World,
    zones::{Step, Zones},
};
use crate::{
    api::Kind,
    cluster::{Batch, Seen, Unseen, Watched},
    dynamic::{Entry, Unfit},
    keys::{Purpose, TransferKeys},
    object::{ObjectId, Type},
    servers::ServerId,
    terminal::Once,
};

/// All that the process knows, and all that it has under way.
pub(super) struct Operator {
    client: Client,
    /// Whether this process publishes and writes. Otherwise another one does, and this one serves what that has
    /// published, so that it can take its place at any time.
    leads: bool,
    world: World,
    /// `None` until everything was listed.
    zones: Option<Zones>,
    serving: Serving,
    /// Where clients hand in what they want to write.
    inbox: Inbox,
    /// What they have written.
    ledgers: Ledgers,
    refusals: Refusals,
    objects: Objects,
    probes: Rounds<Question>,
    /// Which configuration servers have.
    configs: Configs,
    readiness: Rounds<ConfigQuestion>,
    reports: Reports,
    /// Whether it may have changed who is to have which zone.
    is_moving: bool,
    /// Whether this is one of the regular looks: only then is tried again what failed.
    looks: bool,
    /// How many pods have to go and answer on.
    leaving: usize,
    once: Once,
    board: Board,
}

/// What servers, and the API server, have answered.
pub(super) enum Heard {
    Versions(Vec<Answer>),
    Configs(Vec<(ObjectId, Told)>),
    Outcomes(Vec<Outcome>),
    /// What clients want to write.
    Errand(Errand),
}

/// The most zones for which a pod is asked in a round. Further ones have to wait for these.
const MOST_ZONES: usize = 2_000;

impl Operator {
    pub(super) fn new(
        client: Client,
        options: &Options,
        place: Place,
        (primary, inbox): (Primary, Inbox),
        board: Board,
    ) -> Operator {
        let home = options.home.clone().unwrap_or_else(|| place.namespace.clone());
        Operator {
            leads: false,
            world: World::new(&place.namespace, &home),
            zones: None,
            serving: Serving::new(primary),
            inbox,
            ledgers: Ledgers::default(),
            refusals: Refusals::new(client.clone(), place.name()),
            probes: Rounds::start(),
            configs: Configs::default(),
            readiness: Rounds::start(),
            reports: Reports::start(client.clone(), place.name()),
            objects: Objects::new(client.clone(), options, place),
            client,
            is_moving: true,
            looks: false,
            leaving: 0,
            once: Once::default(),
            board,
        }
    }

    /// What is to be watched now: types and namespaces, of which an empty one stands for all.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Type, &str)> {
        self.world.watched()
    }

    /// The objects that are to be watched by name.
    pub(super) fn named(&self) -> &BTreeSet<ObjectId> {
        self.objects.named()
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
        self.objects.forget();
        if leads && self.zones.is_some() {
            self.take_over().await;
        }
        self.act_on(BTreeSet::new()).await
    }

    /// Goes on where another process has ended.
    async fn take_over(&mut self) {
        let mut changed = BTreeSet::new();
        self.list_zones(&mut changed).await;
        self.ledgers.doubt(&self.world.store);
        self.read_stored().await;
        self.compile(&changed);
        self.serving.take_over(&self.world);
        let Some(zones) = &mut self.zones else { return };
        self.reports.look_at(zones.take_over(&self.world.store));
        self.reports.look_at(zones.resources().cloned());
    }

    /// Lists the DNSZones again: what another process has written last may not have been seen yet.
    async fn list_zones(&mut self, changed: &mut BTreeSet<ObjectId>) {
        let namespaces: Vec<String> = self.world.namespaces_of(Type::Own(Kind::Zone)).map(str::to_owned).collect();
        for namespace in namespaces {
            match publication::zones(&self.client, &namespace).await {
                Ok(zones) => self.world.store.take(zones, changed),
                Err(why) => {
                    self.once.say(format!("the DNSZones cannot be listed: {why}; what was seen of them counts"));
                }
            }
        }
    }

    /// Takes over what was seen, and does what follows.
    ///
    /// # Errors
    /// Somebody else publishes, too.
    pub(super) async fn take(&mut self, batch: Batch) -> Result<(), Fenced> {
        let mut changed = BTreeSet::new();
        for (watched, Unseen { why, is_forbidden }) in batch.failures {
            self.once.say(format!("cannot watch {watched}: {why}; what is known of it stays as it is"));
            match watched {
                Watched::One(id) => {
                    self.objects.cannot_be_read(id.clone(), why);
                    changed.insert(id);
                }
                // Of what fails otherwise it will be known.
                Watched::All(Type::Secret, namespace) if is_forbidden => {
                    self.is_moving |= self.objects.may_not_see_keys(namespace);
                }
                Watched::All(..) => {}
            }
        }
        for seen in &batch.seen {
            if let Seen::All(Type::Secret, namespace, _) = seen {
                self.objects.sees_keys(namespace);
                self.is_moving = true;
            }
        }
        batch.seen.into_iter().for_each(|seen| self.world.store.take(seen, &mut changed));
        if !self.world.is_complete() {
            return Ok(());
        }
        if self.zones.is_none() {
            if self.leads {
                self.list_zones(&mut changed).await;
            }
            self.zones = Some(Zones::new(&self.world.store, self.world.home(), self.leads));
            self.board.show(self.figures());
            changed = self.world.ids().cloned().collect();
            self.ledgers.see(&changed, &self.world.store);
            if self.leads {
                self.ledgers.doubt(&self.world.store);
                self.read_stored().await;
            } else {
                self.read_seen();
            }
        }
        self.act_on(changed).await
    }

    /// Tries again what failed.
    ///
    /// # Errors
    /// Somebody else publishes, too.
    pub(super) async fn look(&mut self) -> Result<(), Fenced> {
        let Some(zones) = &self.zones else { return Ok(()) };
        self.looks = true;
        self.board.show(self.figures());
        for origin in self.serving.remind() {
            self.reports.look_at(zones.resource(origin).cloned());
            self.reports.heard_of(origin);
        }
        self.reports.retry();
        self.reports.look_at(self.serving.miscounted(&self.world));
        // Nobody tells when the time of a pod is over.
        let leaving = self.world.store.of(Type::Pod).filter(|(_, pod)| seen::is_leaving(pod)).count();
        self.is_moving |= mem::replace(&mut self.leaving, leaving) > leaving;
        self.is_moving |= self.objects.is_outdated(&self.world);
        if self.leads {
            self.read_stored().await;
            self.mark().await;
        } else {
            self.read_seen();
        }
        self.act_on(BTreeSet::new()).await
    }

    /// Waits for answers.
    pub(super) async fn hear(&mut self) -> Heard {
        tokio::select! {
            versions = self.probes.next() => Heard::Versions(versions),
            configs = self.readiness.next() => Heard::Configs(configs),
            outcomes = self.reports.written() => Heard::Outcomes(outcomes),
            errand = self.inbox.next() => Heard::Errand(errand),
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
            Heard::Errand(errand) => return self.run(errand).await,
        }
        self.act_on(BTreeSet::new()).await
    }

    /// Does what clients have handed in.
    async fn run(&mut self, errand: Errand) -> Result<(), Fenced> {
        match errand {
            Errand::Reply => self.reply(),
            Errand::TurnedAway(update) => audit::turned_away(&update),
            Errand::Keep(keep) => {
                let Some((updates, answer)) = keep.take_up() else { return Ok(()) };
                let kept = match self.write_down(&updates).await {
                    Err(why @ (Unkept::Refused { .. } | Unkept::Failed(_))) => {
                        answer.give(Err(why));
                        return self.act_on(BTreeSet::new()).await;
                    }
                    // Who has to judge the updates anew needs what was read anew.
                    kept => kept,
                };
                // Also what was read anew is served.
                let acted = self.act_on(BTreeSet::new()).await;
                // What is stored is told of, even if another process leads now and publishes it.
                let kept = kept.map(|()| self.told(&updates));
                acted?;
                answer.give(kept);
            }
        }
        Ok(())
    }

    /// Stores what clients want to write into a zone, and has it compiled.
    async fn write_down(&mut self, updates: &Updates) -> Result<(), Unkept> {
        let failed = |why: &str| Err(Unkept::Failed(why.to_owned()));
        let origin = updates.before.origin().to_owned();
        if !self.leads {
            return failed("another operator leads; try again");
        }
        let resource = self.zones.as_ref().and_then(|zones| zones.resource(&origin));
        let Some(resource) = resource.cloned() else { return failed("the zone is not declared any more") };
        let zone = ZoneKey { namespace: resource.namespace.clone(), origin };
        if self.ledgers.is_unread(&zone) {
            self.read_zone(&zone).await;
            return if self.ledgers.is_unread(&zone) {
                failed("the API server is away; try again")
            } else {
                Err(Unkept::Stale)
            };
        }
        let Some(zones) = &mut self.zones else { return failed("the operator starts; try again") };
        if let Some(why) = zones.held(&zone.origin) {
            return failed(&format!("the zone takes no changes now: {why}"));
        }
        let served = self.serving.data(&zone.origin).and_then(|data| data.serial());
        if zones.is_pending(&zone.origin) || served != updates.before.serial() {
            return Err(Unkept::Stale);
        }
        for (update, Written { change, .. }) in updates.updates.iter().enumerate() {
            let mut touched = audit::touched(change).into_iter();
            let refusal = touched.find_map(|(owner, rtype)| {
                let declarer = zones.declarer(&zone.origin, owner, rtype)?;
                Some(format!("{owner} {rtype} is declared by {declarer}"))
            });
            if let Some(why) = refusal {
                let live = self.world.store.get(&ObjectId::from(&resource)).unwrap_or_default();
                self.refusals.tell(&resource, &live, &why);
                return Err(Unkept::Refused { update, why });
            }
        }
        if updates.updates.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        let entries = updates.updates.iter().map(|Written { author, change, .. }| Entry::of(author, change, now));
        match self.ledgers.write(&self.client, &zone, entries.collect()).await {
            Ok(data) => {
                let judged = zones.write(vec![ledgers::Written { zone, data: Ok(data) }], &self.world.store);
                self.reports.look_at(judged);
                Ok(())
            }
            Err(NotWritten::Conflict) => {
                self.read_zone(&zone).await;
                Err(Unkept::Stale)
            }
            Err(NotWritten::Unfit(Unfit::Update(update, why))) => Err(Unkept::Refused { update, why }),
            Err(NotWritten::Unfit(Unfit::Together)) => failed("too many updates at a time; try again"),
            Err(NotWritten::Failed(why)) => {
                self.once.say(why.clone());
                failed(&why)
            }
        }
    }

    /// Tells of updates that are stored; returns the serial from which on the zone has them.
    fn told(&self, Updates { before, updates }: &Updates) -> Serial {
        let origin = before.origin().to_owned();
        let before = before.serial().unwrap_or(Serial(0));
        let newest = self.zones.as_ref().and_then(|zones| zones.newest(&origin)?.serial());
        let after = newest.unwrap_or(before);
        for update in updates {
            audit::made(update, self.serving.rule(&origin, update), (before, after));
        }
        after
    }

    /// Sends the replies of updates that servers serve.
    fn reply(&mut self) {
        self.inbox.reply(|origin, serial| self.serving.has(origin, serial));
    }

    /// Reads what other processes may have written for clients, as it is stored.
    async fn read_stored(&mut self) {
        let (written, failure) = self.ledgers.read_stored(&self.client).await;
        self.take_written(written);
        if let Some(why) = failure {
            self.cannot_list(&why);
        }
    }

    /// The same for one zone.
    async fn read_zone(&mut self, zone: &ZoneKey) {
        match self.ledgers.read_zone(&self.client, zone).await {
            Ok(written) => self.take_written(written),
            Err(why) => self.cannot_list(&why),
        }
    }

    fn cannot_list(&mut self, why: &str) {
        self.once.say(format!("the DynamicRecords cannot be listed: {why}"));
    }

    /// The same for all, as it was seen.
    fn read_seen(&mut self) {
        let written = self.ledgers.read_seen(&self.world.store);
        self.take_written(written);
    }

    fn take_written(&mut self, written: Vec<ledgers::Written>) {
        let Some(zones) = self.zones.as_mut().filter(|_| !written.is_empty()) else { return };
        self.reports.look_at(zones.write(written, &self.world.store));
    }

    /// Says of what clients have written whether its zone is gone.
    async fn mark(&mut self) {
        let (marked, failure) = self.ledgers.mark(&self.client, &self.world.store).await;
        for (zone, mark) in marked {
            audit::marked(&zone, mark);
        }
        if let Some(why) = failure {
            self.once.say(why);
        }
    }

    fn learn_versions(&mut self, answers: Vec<Answer>) {
        let Some(zones) = &mut self.zones else { return };
        for answer in answers {
            let ahead = self.serving.heard(&answer);
            self.reports.look_at(zones.resource(&answer.zone).cloned());
            self.reports.heard_of(&answer.zone);
            if let Some(serial) = ahead {
                zones.overtake(answer.zone, serial);
            }
        }
        self.reply();
    }

    fn learn_outcomes(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            self.reports.settle(&outcome);
            let Outcome { id, before, after } = outcome;
            match after {
                Ok(after) => self.world.store.renew(&ObjectId::from(&id), &before, after),
                Err(Unwritten::Changed) => continue,
                Err(Unwritten::Refused(why) | Unwritten::Away(why)) => {
                    self.once.say(format!("the status of {id} cannot be written: {why}"));
                    continue;
                }
            }
            if id.kind == Kind::INSTANCE {
                // What is said of those follows from this.
                self.reports.look_at(self.world.declarations.families().cloned());
            }
        }
    }

    /// Does what follows from changes, until nothing more does.
    async fn act_on(&mut self, mut changed: BTreeSet<ObjectId>) -> Result<(), Fenced> {
        /// What a provider makes is three steps away from it.
        const STEPS: usize = 6;
        if self.zones.is_none() {
            return Ok(());
        }
        for _ in 0..STEPS {
            self.ledgers.see(&changed, &self.world.store);
            self.is_moving |= changed.iter().any(|id| tells_of_servers(id.of));
            self.compile(&changed);
            self.publish().await?;
            let may_differ = self.is_moving || changed.iter().any(|id| id.of == Type::ConfigMap);
            let seen = self.apply(&changed).await;
            if may_differ {
                let servers = self.configs.expect(&self.world.store, self.objects.wanted(), Instant::now());
                self.reports.look_at(servers.iter().map(ServerId::resource));
            }
            changed.clear();
            for seen in seen {
                self.world.store.take(seen, &mut changed);
            }
            if changed.is_empty() {
                break;
            }
        }
        if self.leads {
            self.probes.ask(self.serving.questions(&TransferKeys::of(&self.world.store), MOST_ZONES));
            self.readiness.ask(self.configs.open().collect());
            self.report();
        } else {
            self.probes.ask(Vec::new());
            self.readiness.ask(Vec::new());
            self.reports.clear();
        }
        self.looks = false;
        Ok(())
    }

    /// Compiles the resources that changed.
    fn compile(&mut self, changed: &BTreeSet<ObjectId>) {
        let Some(zones) = &mut self.zones else { return };
        let taken = self.world.understand(changed);
        self.is_moving |= taken.concerns(|kind| !matches!(kind, Kind::Record(_)));
        taken.errors.into_iter().for_each(|error| self.once.say(error));
        // Also what changes nothing of a resource, such as another spelling, or a status that somebody else has written.
        self.reports.look_at(changed.iter().filter_map(ObjectId::resource));
        let deployments = changed.iter().filter(|id| id.of == Type::Deployment).cloned();
        let servers = deployments.map(|ObjectId { namespace, name, .. }| ServerId { namespace, name });
        self.reports.look_at(servers.map(|server| server.resource()));
        if changed.iter().any(|id| id.of == Type::Own(Kind::INSTANCE)) {
            self.reports.look_at(self.world.declarations.families().cloned());
        }
        self.reports.look_at(zones.compile(taken.changes, &self.world.store));
        if !self.leads {
            zones.keep_up(changed, &self.world);
        }
    }

    /// Publishes compiled zones, if this process leads, and serves what is published.
    async fn publish(&mut self) -> Result<(), Fenced> {
        let Some(zones) = &mut self.zones else { return Ok(()) };
        let store = &mut self.world.store;
        let Step { ready, judged } = if self.leads {
            let served = |origin: &_| self.serving.data(origin);
            let is_read = |zone: &ZoneKey| !self.ledgers.is_unread(zone);
            zones.publish(&self.client, store, (served, is_read), self.looks, &mut self.once).await?
        } else {
            zones.published_elsewhere(store)
        };
        self.reports.look_at(judged);
        self.is_moving |= ready.iter().any(|origin| !self.serving.knows(origin));
        if self.is_moving {
            let Assigned { open, moved, judged } = self.serving.assign(&self.world, zones, &ready, self.leads);
            for origin in open {
                self.reports.look_at(zones.resource(&origin).cloned());
                self.reports.heard_of(&origin);
            }
            self.reports.look_at(judged);
            for origin in moved {
                self.reports.look_at(zones.members(&origin).cloned());
            }
        } else {
            self.serving.renew(ready.into_iter().map(|origin| {
                let data = zones.newest(&origin).cloned();
                (origin, data)
            }));
        }
        Ok(())
    }

    /// Makes the objects what they are to be, as far as something about them changed; returns what came of it.
    async fn apply(&mut self, changed: &BTreeSet<ObjectId>) -> Vec<Seen> {
        let is_moving = mem::take(&mut self.is_moving);
        if !self.leads {
            return Vec::new();
        }
        let mut due = changed.clone();
        if is_moving {
            due.extend(self.objects.render(&mut self.world, &self.serving.addresses(), &mut self.once));
            let declared = self.world.declarations.infrastructure();
            self.reports.look_at(declared.map(|declared| declared.resource.id.clone()));
        }
        let known = || self.serving.known();
        let Applied { seen, judged } = self.objects.apply(due, &self.world, known, self.looks, &mut self.once).await;
        self.reports.look_at(judged);
        seen
    }

    /// Says of resources what there is to be said now.
    fn report(&mut self) {
        let Some(zones) = &self.zones else { return };
        let view = View {
            world: &self.world,
            zones,
            serving: &self.serving,
            objects: &self.objects,
            configs: &self.configs,
            counts: self.looks,
        };
        let now = Timestamp::now();
        while let Some(id) = self.reports.next() {
            if let Some(live) = self.world.store.get(&ObjectId::from(&id)) {
                let due = status::of(view, &id, &live, now);
                self.reports.say(id, live, due);
            }
        }
    }

    fn figures(&self) -> Figures {
        let count = |kind: Kind| (kind.name(), self.world.store.ids(Type::Own(kind)).count() as u64);
        let zones = self.zones.as_ref();
        Figures {
            is_ready: true,
            leads: self.leads,
            zones: zones.map_or(0, |zones| zones.iter().count() as u64),
            resources: Kind::all().map(count).collect(),
            held: zones.map_or(0, Zones::count_held) as u64,
            keeping: self.serving.count_keeping() as u64,
            behind: self.serving.count_behind() as u64,
            published: zones.map_or(0, Zones::count_published),
            waiting: self.reports.len() as u64,
            failed: self.objects.count_failed() as u64,
            keys: Purpose::ALL
                .map(|purpose| (purpose, rotation::figures(&self.world.store, purpose, Timestamp::now())))
                .into(),
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
