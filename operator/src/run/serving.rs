//! What servers get from here, and what they are seen to have of it: the zones, and the catalogs that list them, each for
//! those who are to have it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    net::SocketAddr,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bindy_server::{
    access::Requester,
    live::Written,
    tsig::TsigKey,
    update::{Policy, Rule, Updater, Verdict::Refused},
};
use zonefmt::{Name, Serial};

use super::{
    assignment::{Assignment, DeclaredZone, catalog},
    audit,
    catalogs::{Catalogs, Kept, MOST_MEMBERS},
    primary::{Audience, Primary, Writers},
    probes::{Answer, Question},
    publication::published_of,
    removal::LargeRemoval,
    retirement,
    rollout::Known,
    seen,
    truth::{Extent, Truth},
    world::World,
    zones::Zones,
};
use crate::{
    api::{DnsZoneSpec, DynamicRule, KeyRef, Kind, Resource, ResourceId, Spec},
    compile::{Finding, Reason, ZoneData},
    dynamic::rules,
    keys::{ClientKeys, TransferKeys},
    object::ObjectId,
    servers::{Server, ServerId},
    terminal::say,
};

/// What is served.
pub(super) struct Serving {
    primary: Primary,
    catalogs: Catalogs,
    /// Who may have the zones and catalogs that are served.
    audiences: BTreeMap<Name, Audience>,
    truth: Truth,
    /// The zones that a server does not have because it has the most that it may have, each with such a server.
    surplus: BTreeMap<Name, ServerId>,
    /// The servers that keep zones which they are not to have any more, as those are too many.
    kept: BTreeMap<ServerId, LargeRemoval>,
    /// The keys of clients.
    clients: ClientKeys,
    /// Which of these cannot be used by the zones that name them.
    findings: BTreeMap<ResourceId, Vec<Finding>>,
}

/// What is new to be said after zones were assigned.
#[derive(Default)]
pub(super) struct Assigned {
    /// The zones of which servers have to be asked anew.
    pub(super) open: Vec<Name>,
    /// The zones and catalogs that have no servers any more, or had none.
    pub(super) moved: Vec<Name>,
    /// The zones of which it is other keys that cannot be used.
    pub(super) judged: Vec<ResourceId>,
}

impl Serving {
    pub(super) fn new(primary: Primary) -> Serving {
        Serving {
            primary,
            catalogs: Catalogs::default(),
            audiences: BTreeMap::new(),
            truth: Truth::default(),
            surplus: BTreeMap::new(),
            kept: BTreeMap::new(),
            clients: ClientKeys::default(),
            findings: BTreeMap::new(),
        }
    }

    /// The addresses at which this is.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.primary.addresses()
    }

    /// Whether a zone is served.
    pub(super) fn knows(&self, origin: &Name) -> bool {
        self.audiences.contains_key(origin)
    }

    /// The data of a zone that is served.
    pub(super) fn data(&self, origin: &Name) -> Option<ZoneData> {
        self.primary.data(origin)
    }

    /// Serves new versions of zones to those who have them already; without data, a zone is not served any more.
    pub(super) fn renew(&mut self, zones: impl IntoIterator<Item = (Name, Option<ZoneData>)>) {
        let mut all = Vec::new();
        for (origin, data) in zones {
            if let Some(serial) = data.as_ref().and_then(ZoneData::serial) {
                self.truth.renew(&origin, serial, Instant::now());
            }
            let audience = self.audiences.get(&origin).cloned();
            all.push((origin, data.zip(audience)));
        }
        self.primary.serve(all);
    }

    /// Goes on where another process has ended, which may have published more members of catalogs.
    pub(super) fn take_over(&mut self, World { store, servers, .. }: &World) {
        let counts = servers.iter().filter_map(|server| {
            let instance = store.get(&ObjectId::from(&server.id.resource()))?;
            Some((catalog(&server.id)?, instance["status"]["zonesCount"].as_u64()? as usize))
        });
        let counts: BTreeMap<Name, usize> = counts.collect();
        self.catalogs.take_over(|catalog| counts.get(catalog).copied().unwrap_or(0));
    }

    /// Serves the newest version of those zones that are `ready`, and all zones to those who are to have them now.
    pub(super) fn assign(&mut self, world: &World, zones: &Zones, ready: &BTreeSet<Name>, leads: bool) -> Assigned {
        let keys = TransferKeys::of(&world.store);
        // Servers hear of new versions from the one who leads.
        let pods = if leads { seen::pods(&world.store) } else { BTreeMap::new() };
        let declared = declared(world, zones);
        self.clients = ClientKeys::of(&world.store);
        let judged = self.judge_keys(world);
        let writers = declared.iter().filter_map(|zone| Some((zone.origin.clone(), self.writers(zone)?))).collect();
        let mut assignment = Assignment::of(&world.servers, MOST_MEMBERS, declared.into_iter(), &keys, &pods);
        // The zones of a server that goes go with it.
        let by_catalog: BTreeMap<Name, &Server> =
            world.servers.staying().filter_map(|server| Some((catalog(&server.id)?, server))).collect();
        let instance = |catalog: &Name| world.store.get(&ObjectId::from(&by_catalog.get(catalog)?.id.resource()));
        let (mut kept, mut left) = (BTreeMap::new(), BTreeSet::new());
        for (catalog, Kept { why, zones: stay }) in self.catalogs.hold(&mut assignment.members, leads, instance) {
            let Some(server) = by_catalog.get(&catalog) else { continue };
            for zone in &stay {
                assignment.leave(zone, server, &keys, &pods);
            }
            left.extend(stay.into_iter().filter(|zone| zones.newest(zone).is_none()));
            if !self.kept.contains_key(&server.id) {
                say(&format!("Bind9Instance {} keeps its zones: {why}", server.id));
            }
            kept.insert(server.id.clone(), why);
        }
        self.kept = kept;
        let there = zones.iter().filter_map(|(origin, newest)| {
            // While a new version waits, the one that is served goes to those who are to have it.
            let data = match zones.is_pending(origin) {
                true if zones.is_of_another(origin, &world.store) => return None,
                true => self.data(origin)?,
                false => newest.clone(),
            };
            Some((origin.clone(), data, ready.contains(origin)))
        });
        // Zones that were deleted stay as they were.
        let left = left.into_iter().filter_map(|origin| Some((origin.clone(), self.data(&origin)?, false)));
        let all = there.chain(left).collect();
        Assigned { judged, ..self.hand_out(assignment, writers, all, &keys) }
    }

    /// Who may change a zone, or have it.
    fn writers(&self, DeclaredZone { origin, namespace, spec, is_compiled, .. }: &DeclaredZone<'_>) -> Option<Writers> {
        let dynamic = spec.dynamic.as_ref().filter(|_| *is_compiled)?;
        let key_of = |key: &KeyRef| Some(self.clients.named(namespace, key).ok()?.name().clone());
        let keys = dynamic.rules.iter().filter_map(|rule| key_of(&rule.key)).collect();
        let readers = dynamic.allow_transfer.iter().filter_map(key_of).collect();
        let (policy, numbers) = rules::policy(origin, dynamic, key_of);
        Some(Writers { policy, numbers, keys, readers })
    }

    /// Which keys that a zone names cannot be used, as far as this was assigned.
    pub(super) fn findings_of_keys(&self, id: &ResourceId) -> &[Finding] {
        self.findings.get(id).map_or(&[], Vec::as_slice)
    }

    /// Judges the keys that zones name for their clients; returns those of which there is something else to be said now.
    fn judge_keys(&mut self, world: &World) -> Vec<ResourceId> {
        let zones = world.declarations.iter().filter_map(|Resource { id, spec, .. }| match spec {
            Spec::Zone(spec) => Some((id.clone(), self.judge_keys_of(id, spec)?)),
            _ => None,
        });
        let findings: BTreeMap<ResourceId, Vec<Finding>> = zones.filter(|(_, findings)| !findings.is_empty()).collect();
        let former = mem::replace(&mut self.findings, findings);
        let all: BTreeSet<&ResourceId> = former.keys().chain(self.findings.keys()).collect();
        all.into_iter().filter(|id| former.get(id) != self.findings.get(id)).cloned().collect()
    }

    fn judge_keys_of(&self, id: &ResourceId, spec: &DnsZoneSpec) -> Option<Vec<Finding>> {
        let dynamic = spec.dynamic.as_ref()?;
        let rules = dynamic.rules.iter().enumerate();
        let of_rules = rules.map(|(number, DynamicRule { key, .. })| (format!("dynamic.rules[{number}].key"), key));
        let readers = dynamic.allow_transfer.iter().enumerate();
        let readers = readers.map(|(number, key)| (format!("dynamic.allowTransfer[{number}]"), key));
        let keys = of_rules.chain(readers).filter_map(|(path, key)| {
            let fault = self.clients.named(&id.namespace, key).err()?;
            let message = format!("the key {}/{} of {path} cannot be used: {fault}", key.namespace, key.name);
            Some(Finding { reason: Reason::KeyNotUsable, zone: None, path, message })
        });
        Some(keys.collect())
    }

    /// The first of a zone's rules that allows what an update has changed first.
    pub(super) fn rule(&self, origin: &Name, Written { author, change, .. }: &Written) -> Option<usize> {
        let Writers { policy, numbers, .. } = self.audiences.get(origin)?.writers.as_ref()?;
        let Policy::Rules(rules) = policy else { return None };
        let (owner, rtype) = audit::touched(change).into_iter().next()?;
        let requester = Requester { addr: author.client.ip(), key: author.key.as_ref().map(Name::as_ref) };
        let by = Updater { requester, tcp: false };
        let allows = |rule: &Rule| Policy::Rules(vec![rule.clone()]).verdict(by, owner, rtype) != Refused;
        numbers.get(rules.iter().position(allows)?).copied()
    }

    /// Whether no server is to have a zone.
    pub(super) fn is_deserted(&self, origin: &Name) -> bool {
        self.truth.is_deserted(origin)
    }

    /// Serves these zones, and the catalogs, to those who are to have them, and nothing else any more; of each zone it is told
    /// whether the version is a new one.
    fn hand_out(
        &mut self,
        assignment: Assignment,
        mut writers: BTreeMap<Name, Writers>,
        zones: Vec<(Name, ZoneData, bool)>,
        keys: &TransferKeys,
    ) -> Assigned {
        self.primary.know(keys.iter().chain(self.clients.iter()));
        let Assignment { members, mut audiences, mut pods, surplus } = assignment;
        self.surplus = surplus;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let changed: BTreeSet<Name> =
            self.catalogs.list(members, now as u32).into_iter().map(|(catalog, _)| catalog).collect();
        let catalogs: Vec<_> =
            self.catalogs.iter().map(|(name, data)| (name.clone(), data.clone(), changed.contains(name))).collect();
        let (mut assigned, mut there) = (Assigned::default(), BTreeSet::new());
        // Zones come before the catalogs that list them.
        for group in [zones, catalogs] {
            let mut put = Vec::new();
            for (origin, data, is_new) in group {
                there.insert(origin.clone());
                let audience = audiences.remove(&origin).unwrap_or_default();
                let audience = Audience { writers: writers.remove(&origin), ..audience };
                let pods = pods.remove(&origin).unwrap_or_default();
                if pods.is_empty() != self.truth.is_deserted(&origin) {
                    assigned.moved.push(origin.clone());
                }
                if let Some(serial) = data.serial()
                    && self.truth.expect(&origin, serial, pods, Instant::now())
                {
                    assigned.open.push(origin.clone());
                }
                if is_new || self.audiences.get(&origin) != Some(&audience) {
                    self.audiences.insert(origin.clone(), audience.clone());
                    put.push((origin, Some((data, audience))));
                }
            }
            self.primary.serve(put);
        }
        let gone: Vec<Name> = self.audiences.keys().filter(|origin| !there.contains(*origin)).cloned().collect();
        for origin in &gone {
            self.audiences.remove(origin);
            self.truth.forget(origin);
        }
        self.primary.serve(gone.into_iter().map(|origin| (origin, None)));
        assigned
    }

    /// Forgets what servers have answered.
    pub(super) fn forget(&mut self) {
        self.truth = Truth::default();
    }

    /// How many zones the catalog of a server lists, and its serial.
    pub(super) fn listed(&self, server: &ServerId) -> Option<(usize, Serial)> {
        self.catalogs.listed(&catalog(server)?)
    }

    /// Why a server keeps zones that it is not to have any more, if it does.
    pub(super) fn keeps(&self, server: &ServerId) -> Option<&LargeRemoval> {
        self.kept.get(server)
    }

    /// How many servers keep zones that they are not to have any more.
    pub(super) fn count_keeping(&self) -> usize {
        self.kept.len()
    }

    /// The instances of the servers of which the status does not say how many zones they have.
    pub(super) fn miscounted(&self, World { store, servers, .. }: &World) -> Vec<ResourceId> {
        let miscounted = servers.iter().filter(|server| {
            let instance = store.get(&ObjectId::from(&server.id.resource()));
            let (Some((zones, serial)), Some(instance)) = (self.listed(&server.id), instance) else { return false };
            let zones = if retirement::is_retired(&instance) { 0 } else { zones };
            let status = &instance["status"];
            status["zonesCount"] != zones || status["catalogSerial"] != serial.0 && self.keeps(&server.id).is_none()
        });
        miscounted.map(|server| server.id.resource()).collect()
    }

    /// Takes over what a server has answered. Returns its serial if that is ahead of what is served here.
    pub(super) fn heard(&mut self, Answer { zone, pod, serial }: &Answer) -> Option<Serial> {
        if !self.truth.answered(zone, *pod, *serial) {
            return None;
        }
        if let Some(data) = self.catalogs.overtake(zone, *serial) {
            self.renew([(zone.clone(), Some(data))]);
            return None;
        }
        Some(*serial)
    }

    /// Notifies servers that should have had a zone for some time once more; returns the zones.
    pub(super) fn remind(&self) -> Vec<&Name> {
        let late: Vec<&Name> = self.truth.late(Instant::now()).collect();
        for origin in &late {
            self.primary.remind(origin);
        }
        late
    }

    /// What servers are to be asked: for what they are not known to have. Each pod is asked for so many zones at a time, so
    /// that one that does not answer holds up no other.
    pub(super) fn questions(&self, keys: &TransferKeys, most_of_pod: usize) -> Vec<Question> {
        let by_name: BTreeMap<&Name, &TsigKey> = keys.iter().map(|key| (key.name(), key)).collect();
        let mut of_pods: HashMap<SocketAddr, usize> = HashMap::new();
        let questions = self.truth.open().filter_map(|(zone, pod)| {
            let key = by_name.get(self.audiences.get(zone)?.pods.get(&pod)?)?;
            let of_pod = of_pods.entry(pod).or_default();
            *of_pod += 1;
            (*of_pod <= most_of_pod).then(|| Question { zone: zone.clone(), pod, key: (*key).clone() })
        });
        questions.collect()
    }

    /// Which servers have zones in common, and which of them lack some.
    pub(super) fn known(&self) -> Known<'_> {
        Known { of_zones: self.truth.servers(), lacking: self.truth.lacking(Instant::now()) }
    }

    /// How many zones some server does not serve in their newest version.
    pub(super) fn count_behind(&self) -> usize {
        self.truth.behind().filter(|origin| self.catalogs.listed(origin).is_none()).count()
    }

    /// Whether every server has this version of a zone or a later one.
    pub(super) fn has(&self, origin: &Name, serial: Serial) -> bool {
        self.truth.has(origin, serial)
    }

    /// How far a zone or catalog is served; `None` if it is early to tell that some server lacks its newest version.
    pub(super) fn extent(&self, origin: &Name) -> Option<Extent> {
        (!self.is_early(origin)).then(|| self.truth.extent(origin))
    }

    /// A server that should have a zone, and does not because it has the most zones that it may have.
    pub(super) fn lacks_room(&self, origin: &Name) -> Option<&ServerId> {
        self.surplus.get(origin)
    }

    /// Whether it is early to tell that some server lacks the newest version of a zone.
    pub(super) fn is_early(&self, origin: &Name) -> bool {
        self.truth.is_fresh(origin, Instant::now())
    }
}

/// The zones that are declared, the oldest first: where there are too many, those that are new have to wait.
fn declared<'w>(world: &'w World, zones: &Zones) -> Vec<DeclaredZone<'w>> {
    let mut resources: Vec<&Resource> = world.declarations.iter().filter(|it| it.id.kind == Kind::Zone).collect();
    resources.sort_by_key(|resource| (resource.created.is_none(), resource.created, &resource.id));
    let declared = resources.into_iter().filter_map(|resource| {
        let Spec::Zone(spec) = &resource.spec else { return None };
        let origin = Name::from_ascii(&spec.zone_name).ok()?;
        let made = zones.resource(&origin);
        let is_compiled = made == Some(&resource.id);
        // Nobody has to wait for one that never was.
        let is_known = || world.store.get(&ObjectId::from(&resource.id)).is_some_and(|it| published_of(&it).is_some());
        // Of several resources of a name, the servers of the one that counts have the zone.
        (is_compiled || made.is_none() && is_known()).then_some(DeclaredZone {
            origin,
            namespace: &resource.id.namespace,
            spec,
            is_compiled,
            former: world.former_servers(&resource.id),
        })
    });
    declared.collect()
}
