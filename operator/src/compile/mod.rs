//! Compiles resources into zones. This module has the semantics of the API, and nothing else.
//!
//! [`Compiler::apply`] takes changes of resources and brings the zones up to date, at the cost of the names that the
//! changes touch. The result depends only on the resources and on what was published before: there is no clock and no
//! disk, and the same changes in any order result in the same zones.
//!
//! The rules:
//! * A zone contains the records of its own namespace that `recordsFrom` selects.
//! * The TTL of a record is its own, or else the zone's, or else 300 seconds. An RRset has the TTL of its oldest
//!   resource.
//! * Records of several resources with the same name and type form one RRset; duplicates are dropped.
//! * If two resources cannot both be served, the older one is, by `creationTimestamp`, and then by namespace, name and
//!   kind. A resource without a timestamp counts as newest. The zone's own data goes before all records.
//! * A delegation or DNAME conflicts in this way with data that it would hide. Addresses of name servers below a
//!   delegation are glue, and do not conflict.
//! * A resource that cannot be served gets a [`Finding`]; everything else is served.
//! * Clients write RRsets too, into the zone of a namespace. Resources are judged as if nothing had been written, and a
//!   written RRset is served if it could stand beside what they declare, whichever is older. Warnings about a record's
//!   targets look at all that is served.

mod apex;
mod dynamic;
mod glue;
mod index;
mod node;
mod record;
mod region;
mod remark;
mod serial;
mod verdict;
mod zone;

pub use bindy_server::zone::ZoneData;
pub(crate) use record::reserved;
pub use serial::{ContentHash, Published};
pub use verdict::{Finding, Reason, Verdict};

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use serde_json::Value;
use zonefmt::{Name, NameRef, Rtype, Serial};

use crate::{
    api::{self, DnsZoneSpec, FieldError, Kind, Moves, Note, Resource, ResourceId, Spec},
    dynamic::rules,
    servers::{self, ServerId, Servers},
};
use apex::Apex;
use dynamic::By;
use index::{Index, RecordEntry, ZoneEntry};
use record::{owner, wire};
use zone::Zone;

/// Compiles zones, and keeps them up to date with the resources.
#[derive(Default)]
pub struct Compiler {
    index: Index,
    zones: BTreeMap<Name, Zone>,
    /// The zones that select each record.
    homes: HashMap<ResourceId, BTreeSet<Name>>,
    /// Every zone that was ever published, so that one that returns continues from its serial.
    published: BTreeMap<Name, Published>,
    /// What clients have written into the zones of each namespace, whether those are served or not.
    written: BTreeMap<String, BTreeMap<Name, ZoneData>>,
    /// The declared servers, to which zones may refer.
    servers: Servers,
    /// The namespace of the servers of providers that name none, if it is known.
    home: Option<String>,
}

/// A change of a resource, or of what clients have written.
#[derive(Clone, Debug)]
pub enum Change {
    /// The resource is new or has changed.
    Put(Resource),
    /// The resource is new, and cannot be read.
    Refuse(ResourceId),
    /// The resource is gone.
    Remove(ResourceId),
    /// This is all that clients have written into the zone of this name in this namespace, without SOA. It takes the
    /// place of what was there.
    Write(String, ZoneData),
}

impl Change {
    /// The identity of the resource; `None` for what clients have written.
    pub fn id(&self) -> Option<&ResourceId> {
        match self {
            Change::Put(resource) => Some(&resource.id),
            Change::Refuse(id) | Change::Remove(id) => Some(id),
            Change::Write(..) => None,
        }
    }
}

/// The effects of [`Compiler::apply`].
#[derive(Debug, Default)]
pub struct Step {
    /// The zones that changed, by name.
    pub zones: Vec<ZoneStep>,
    /// The resources whose verdict may have changed; some of them may be gone.
    pub judged: BTreeSet<ResourceId>,
}

/// The change of one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneStep {
    /// The name of the zone.
    pub origin: Name,
    /// The serial before the change; `None` if the zone was not served.
    pub before: Option<Serial>,
    /// The serial after the change; `None` if the zone is no longer served.
    pub after: Option<Serial>,
    /// The number of RRsets that were added.
    pub added: usize,
    /// The number of RRsets that were removed because of resources.
    pub removed: usize,
    /// The number of RRsets whose records or TTL changed, not counting a change of only the SOA's serial.
    pub changed: usize,
    /// The number of RRsets that were removed because clients removed what they had written. `removed` does not count
    /// them, so that nobody mistakes them for an accident.
    pub withdrawn: usize,
}

/// Finds what is wrong with a resource regardless of others, so that a cluster would not admit it.
pub fn check(resource: &Resource) -> Vec<Finding> {
    match &resource.spec {
        Spec::Zone(spec) => Apex::read(spec).err().into_iter().flatten().map(invalid_zone).collect(),
        Spec::Record(set) => {
            let errors = [owner(set, NameRef::ROOT).err(), wire(set, NameRef::ROOT).err()];
            errors.into_iter().flatten().map(|error| unreadable(Reason::InvalidRecord, None, error)).collect()
        }
        Spec::Infrastructure(infrastructure) => {
            let errors = servers::check(infrastructure).into_iter();
            errors.map(|error| unreadable(Reason::InvalidServer, None, error)).collect()
        }
    }
}

/// Finds what of a `spec`, as it is written, is in a former spelling or has no effect.
pub fn remarks(kind: Kind, spec: &Value) -> Vec<Finding> {
    let (mut notes, mut moves, mut spec) = (Vec::new(), Moves::default(), Cow::Borrowed(spec));
    if api::has_former(kind, &spec) {
        (notes, moves) = api::modernize(kind, spec.to_mut());
    }
    let ineffective = api::ineffective_fields(api::spec_schema(kind), &spec).into_iter();
    notes.extend(ineffective.map(|note| Note { path: moves.original(&note.path), ..note }));
    let is_of_cluster = spec["clusterRef"].as_str().is_some_and(|cluster| !cluster.is_empty());
    if kind == Kind::INSTANCE && is_of_cluster && spec["transferKey"].is_object() {
        notes.push(Note {
            path: "transferKey".into(),
            has_effect: false,
            message: "`transferKey` has no effect: the servers of a cluster have one key together".into(),
            help: "write it where the cluster is declared".into(),
        });
    }
    let findings = notes.into_iter().map(|Note { path, has_effect, message, help }| {
        let reason = if has_effect { Reason::FormerSpelling } else { Reason::NoEffect };
        Finding { reason, zone: None, path, message: format!("{message}; {help}") }
    });
    findings.collect()
}

impl Compiler {
    /// Creates a compiler without resources, from what was published before.
    pub fn new(published: BTreeMap<Name, Published>) -> Compiler {
        Compiler { published, ..Compiler::default() }
    }

    /// The same compiler, where the servers of providers that name no namespace run in this one.
    #[must_use]
    pub fn at_home_in(self, namespace: &str) -> Compiler {
        Compiler { home: Some(namespace.to_owned()), ..self }
    }

    /// Applies changes and brings the zones up to date. All changes of one step together cost a zone one new serial.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Step {
        let (mut touched, mut rewritten) = (index::Touched::default(), BTreeSet::new());
        for change in changes {
            match change {
                Change::Put(resource) => self.index.put(resource, &mut touched),
                Change::Refuse(id) => self.index.refuse(id, &mut touched),
                Change::Remove(id) => self.index.remove(&id, &mut touched),
                Change::Write(namespace, data) => _ = rewritten.insert(self.keep(namespace, data)),
            }
        }
        // This comes before the election, so that clients remain those who did it.
        for origin in &rewritten {
            self.hand_over(origin, By::Clients);
        }
        let (mut zones, mut judged) = (Vec::new(), Judged::default());
        for origin in &touched.origins {
            zones.extend(self.elect(origin, &mut judged));
        }
        for origin in &touched.origins {
            self.judge_above(origin, &mut judged);
        }
        let mut stale: BTreeSet<Name> = touched.origins.union(&rewritten).cloned().collect();
        // If every zone is new, each has already looked at every record.
        if self.zones.keys().any(|origin| !touched.origins.contains(origin)) {
            for id in &touched.records {
                self.place(id, &touched.origins, &mut stale);
            }
        }
        for origin in stale {
            let Some(zone) = self.zones.get_mut(&origin) else { continue };
            let last = self.published.get(&origin).copied();
            let (published, zone_step) = zone.refresh(&self.index, last, &mut judged);
            self.published.insert(origin, published);
            zones.extend(zone_step);
        }
        zones.sort_by(|a, b| a.origin.cmp(&b.origin));
        if !touched.infrastructure.is_empty() {
            self.servers =
                Servers::of(self.index.infrastructure().values(), self.home.as_deref().unwrap_or(servers::HOME));
            judged.extend(self.index.infrastructure().keys());
            judged.extend(self.index.zones().map(|(id, _)| id));
        }
        for namespace in &touched.namespaces {
            let homeless = self.index.records_of(namespace).map(|(id, _)| id);
            judged.extend(homeless.filter(|id| !self.homes.contains_key(*id)));
        }
        let Judged(mut judged) = judged;
        judged.extend(touched.zones);
        judged.extend(touched.records);
        judged.extend(touched.infrastructure);
        Step { zones, judged: judged.into_iter().collect() }
    }

    /// Takes what clients have written into the zone of this name in this namespace: all of it, in place of what was
    /// there. RRsets that can be served beside what resources declare are, if the zone is made from a resource of this
    /// namespace; all are kept. What clients removed counts as `withdrawn` and not as `removed`. To write into several
    /// zones in one step, apply several [`Change::Write`].
    pub fn write(&mut self, namespace: &str, written: ZoneData) -> Step {
        self.apply([Change::Write(namespace.to_owned(), written)])
    }

    /// Goes on from what somebody else has published: a zone with that content gets its serial, and any other the one
    /// that follows. Returns the changes of zones.
    pub fn resume(&mut self, published: impl IntoIterator<Item = (Name, Published)>) -> Vec<ZoneStep> {
        let mut steps = Vec::new();
        for (origin, mut last) in published {
            if let Some(zone) = self.zones.get_mut(&origin) {
                let (now, step) = zone.refresh(&self.index, Some(last), &mut Judged::default());
                steps.extend(step);
                last = now;
            }
            self.published.insert(origin, last);
        }
        steps
    }

    /// The zones that are served, by name.
    pub fn zones(&self) -> impl Iterator<Item = (&Name, &ZoneData)> {
        self.zones.iter().map(|(origin, zone)| (origin, &zone.data))
    }

    /// The data of a zone, if it is served.
    pub fn zone(&self, origin: &Name) -> Option<&ZoneData> {
        self.zones.get(origin).map(|zone| &zone.data)
    }

    /// The part of a zone that clients have written and that is served; `None` if the zone is not served.
    pub fn written(&self, origin: &Name) -> Option<&ZoneData> {
        self.zones.get(origin).map(Zone::written)
    }

    /// The resource because of which an RRset that a client writes is not served; `None` if it may be written, or if
    /// the zone is not served. If the RRset itself is declared, this is the first resource that declares it. What only
    /// the zone may have, such as the SOA, belongs to the DNSZone.
    pub fn declarer(&self, origin: &Name, owner: NameRef<'_>, rtype: Rtype) -> Option<ResourceId> {
        self.zones.get(origin)?.declarer(&self.index, owner, rtype)
    }

    /// The record resources that belong to a zone.
    pub fn members(&self, origin: &Name) -> impl Iterator<Item = &ResourceId> {
        self.zones.get(origin).into_iter().flat_map(Zone::members)
    }

    /// The name in a zone under which a record is served.
    pub fn owner(&self, origin: &Name, record: &ResourceId) -> Option<&Name> {
        self.zones.get(origin)?.owner_of(record)
    }

    /// The resource from which a served zone was made.
    pub fn zone_resource(&self, origin: &Name) -> Option<&ResourceId> {
        self.zones.get(origin).map(|zone| &zone.id)
    }

    /// The serial and content hash of every zone that was ever published. They must be durable before the zones are
    /// served.
    pub fn published(&self) -> &BTreeMap<Name, Published> {
        &self.published
    }

    /// The identities of all resources.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceId> {
        self.index.ids()
    }

    /// The verdict on a resource; `None` if there is no such resource.
    pub fn verdict(&self, id: &ResourceId) -> Option<Verdict> {
        match id.kind {
            Kind::Zone => self.index.zone(id).map(|entry| self.zone_verdict(id, entry)),
            Kind::Record(_) => self.index.record(id).map(|record| self.record_verdict(id, record)),
            Kind::Infrastructure(_) => self.index.infrastructure().get(id).map(|_| self.server_verdict(id)),
        }
    }

    /// Keeps what clients have written, and returns the name of its zone.
    fn keep(&mut self, namespace: String, data: ZoneData) -> Name {
        let origin = data.origin().to_owned();
        if data.records() > 0 {
            self.written.entry(namespace).or_default().insert(origin.clone(), data);
        } else if let Some(zones) = self.written.get_mut(&namespace) {
            zones.remove(&origin);
            if zones.is_empty() {
                self.written.remove(&namespace);
            }
        }
        origin
    }

    /// Gives a zone what clients have written into the zone of its name in its namespace.
    fn hand_over(&mut self, origin: &Name, by: By) {
        let Some(zone) = self.zones.get_mut(origin) else { return };
        let written = self.written.get(&zone.id.namespace).and_then(|zones| zones.get(origin));
        zone.put_written(written.cloned().unwrap_or_else(|| ZoneData::new(origin.clone())), by);
    }

    /// Puts a record that changed or is gone into every zone that selects it now, and takes it out of all others. The
    /// zones in `elected` have already looked at every record.
    fn place(&mut self, id: &ResourceId, elected: &BTreeSet<Name>, stale: &mut BTreeSet<Name>) {
        let mut origins = self.homes.remove(id).unwrap_or_default();
        for (zone, entry) in self.index.record(id).into_iter().flat_map(|record| self.index.may_select(record)) {
            origins.extend(entry.origin().filter(|origin| self.serves(zone, origin)).cloned());
        }
        origins.retain(|origin| {
            let Some(zone) = self.zones.get_mut(origin) else { return false };
            if !elected.contains(origin) && zone.place(&self.index, id) {
                stale.insert(origin.clone());
            }
            zone.has_member(id)
        });
        if !origins.is_empty() {
            self.homes.insert(id.clone(), origins);
        }
    }

    /// Makes the zone `origin` from the oldest resource that claims it. If none does, returns the change of the removed
    /// zone.
    fn elect(&mut self, origin: &Name, judged: &mut Judged) -> Option<ZoneStep> {
        judged.extend(self.index.claims(origin).map(|rank| &rank.id));
        let former = self.zones.get(origin);
        for member in former.into_iter().flat_map(Zone::members) {
            move_out(&mut self.homes, member, origin);
            judged.extend([member]);
        }
        let winner = self.index.claims(origin).next().and_then(|rank| self.index.zone(&rank.id));
        if let Some(entry @ ZoneEntry { rank, apex: Ok(apex), .. }) = winner {
            let new = || Zone::new(rank.id.clone(), apex.clone());
            let zone = self.zones.entry(origin.clone()).or_insert_with(new);
            zone.take_over(&self.index, entry, apex);
            for member in zone.members() {
                self.homes.entry(member.clone()).or_default().insert(origin.clone());
            }
            judged.extend(zone.members());
            self.hand_over(origin, By::Resources);
            return None;
        }
        let zone = self.zones.remove(origin)?;
        let removed = zone.data.iter().map(|node| node.rrsets().count()).sum();
        let (origin, before) = (origin.clone(), zone.data.serial());
        Some(ZoneStep { origin, before, after: None, added: 0, removed, changed: 0, withdrawn: 0 })
    }

    /// Marks the records of other zones that a zone hides, or no longer hides, as judged.
    fn judge_above(&self, origin: &Name, judged: &mut Judged) {
        let above = origin.as_ref().ancestors(NameRef::ROOT).skip(1);
        for zone in above.filter_map(|name| self.zones.get(&name.to_owned())) {
            judged.extend(zone.members_below(origin));
        }
    }

    /// Reports that a zone below `origin` answers for the owner of a record, although `origin` does not delegate it.
    fn hidden_by_zone(&self, origin: &Name, id: &ResourceId, record: &RecordEntry) -> Option<Finding> {
        let zone = self.zones.get(origin)?;
        let owner = zone.owner_of(id)?;
        let below = owner.as_ref().ancestors(origin.as_ref()).take_while(|name| *name != origin.as_ref());
        let hiding = below.map(NameRef::to_owned).find_map(|name| self.zones.get(&name))?;
        let name = hiding.data.origin();
        let is_of_cut = owner.as_ref() == name && matches!(record.set.rtype, Rtype::NS | Rtype::DS);
        if is_of_cut || zone.data.rrset(name, Rtype::NS).is_some() {
            return None;
        }
        let message = format!(
            "{owner} is answered from {name}, {}, by servers of both zones; let that zone select the record",
            hiding.id
        );
        Some(Finding { reason: Reason::HiddenByZone, zone: Some(origin.clone()), path: "name".into(), message })
    }

    /// Whether the zone of that name is made from this resource.
    fn serves(&self, id: &ResourceId, origin: &Name) -> bool {
        self.zones.get(origin).is_some_and(|zone| zone.id == *id)
    }

    fn zone_verdict(&self, id: &ResourceId, entry: &ZoneEntry) -> Verdict {
        let origin = match &entry.apex {
            Ok(apex) => &apex.origin,
            Err(errors) => {
                return Verdict { served: Vec::new(), findings: errors.iter().cloned().map(invalid_zone).collect() };
            }
        };
        let Some(zone) = self.zones.get(origin) else { return Verdict::default() };
        if zone.id != *id {
            let advantage =
                self.index.zone(&zone.id).map_or("which is older", |first| first.rank.advantage(&entry.rank));
            let message = format!("{origin} is {} already, {advantage}; remove one of them", zone.id);
            let (reason, zone) = (Reason::DuplicateZone, Some(origin.clone()));
            let finding = Finding { reason, zone, path: "zoneName".into(), message };
            return Verdict { served: Vec::new(), findings: vec![finding] };
        }
        let mut findings = zone.findings();
        if let Some(policy) =
            entry.spec.dnssec_policy.as_deref().filter(|policy| !matches!(*policy, "none" | "insecure"))
        {
            let message =
                format!("policy `{policy}` asks for signatures, and the zone is served unsigned; publish no DS for it");
            let (reason, zone) = (Reason::NotSigned, Some(origin.clone()));
            findings.push(Finding { reason, zone, path: "dnssecPolicy".into(), message });
        }
        findings.extend(self.servers.dangling(&id.namespace, &entry.spec).into_iter().map(dangling));
        findings.extend(unreadable_rules(origin, &entry.spec));
        Verdict { served: vec![origin.clone()], findings }
    }

    fn record_verdict(&self, id: &ResourceId, record: &RecordEntry) -> Verdict {
        let mut verdict = Verdict::default();
        for origin in self.homes.get(id).into_iter().flatten() {
            let findings = self.zones.get(origin).map(|zone| zone.findings_of_member(id, record)).unwrap_or_default();
            if !findings.iter().any(|finding| finding.reason.is_loss()) {
                verdict.served.push(origin.clone());
                verdict.findings.extend(self.hidden_by_zone(origin, id, record));
            }
            verdict.findings.extend(findings);
        }
        if verdict.served.is_empty() && verdict.findings.is_empty() {
            verdict.findings.push(self.homeless(id, record));
        }
        verdict
    }

    /// The verdict on a resource that declares servers. It is not data, so it cannot be served itself.
    fn server_verdict(&self, id: &ResourceId) -> Verdict {
        let server = ServerId { namespace: id.namespace.clone(), name: id.name.clone() };
        let is_instance = id.kind == Kind::INSTANCE;
        let server = self.servers.server(&server).filter(|_| is_instance);
        let orphaned = server.and_then(|server| server.orphaned.clone());
        let mut findings: Vec<Finding> = orphaned.map(dangling).into_iter().collect();
        if let Some(Resource { spec: Spec::Infrastructure(infrastructure), .. }) = self.index.infrastructure().get(id) {
            let errors = self.servers.unusable_lists(id, infrastructure).into_iter();
            findings.extend(errors.map(|error| unreadable(Reason::InvalidServer, None, error)));
        }
        Verdict { served: Vec::new(), findings }
    }

    /// Why no zone serves a record.
    fn homeless(&self, id: &ResourceId, record: &RecordEntry) -> Finding {
        let mut selecting = self.index.may_select(record).filter(|(_, zone)| zone.selects(record));
        if let Some((zone, entry)) = selecting.next() {
            let why = self.zone_verdict(zone, entry).findings.into_iter().find(|finding| finding.reason.is_loss());
            let why = why.map(|finding| format!(": {finding}")).unwrap_or_default();
            let message = format!("{zone} selects it and is not served itself{why}");
            return Finding { reason: Reason::ZoneNotServed, zone: None, path: String::new(), message };
        }
        let namespace = &id.namespace;
        if let Some(zone) = self.index.unreadable_zone_of(namespace) {
            let message = format!("no zone selects it, and {zone}, which may, cannot be read; mend that zone first");
            return Finding { reason: Reason::ZoneNotServed, zone: None, path: String::new(), message };
        }
        let mut zones = self.index.zones_of(namespace).peekable();
        let first = zones.peek().map(|(zone, _)| *zone);
        let selecting = zones.find(|(_, entry)| !entry.spec.records_from.is_empty());
        let message = match (first, selecting) {
            (None, _) => {
                format!("namespace {namespace} has no DNSZone; add one, or move the record to its zone's namespace")
            }
            (Some(zone), None) => format!(
                "no DNSZone of namespace {namespace} has `recordsFrom`, so that none selects records; give {} one \
                 that matches the record's labels",
                zone.name
            ),
            (_, Some((zone, _))) => format!(
                "no DNSZone of namespace {namespace} selects it; give it the labels that `recordsFrom` of {} asks for",
                zone.name
            ),
        };
        Finding { reason: Reason::NotSelected, zone: None, path: String::new(), message }
    }
}

/// Resources whose verdict may have changed. Most are added several times.
#[derive(Default)]
struct Judged(HashSet<ResourceId>);

impl<'a> Extend<&'a ResourceId> for Judged {
    fn extend<I: IntoIterator<Item = &'a ResourceId>>(&mut self, ids: I) {
        for id in ids {
            if !self.0.contains(id) {
                self.0.insert(id.clone());
            }
        }
    }
}

/// Notes that a record is no longer a member of `origin`.
fn move_out(homes: &mut HashMap<ResourceId, BTreeSet<Name>>, member: &ResourceId, origin: &Name) {
    if let Some(origins) = homes.get_mut(member) {
        origins.remove(origin);
        if origins.is_empty() {
            homes.remove(member);
        }
    }
}

fn invalid_zone(error: FieldError) -> Finding {
    unreadable(Reason::InvalidZone, None, error)
}

/// What is wrong with the rules by which clients may change a zone.
fn unreadable_rules(origin: &Name, spec: &DnsZoneSpec) -> impl Iterator<Item = Finding> {
    let faults = spec.dynamic.iter().flat_map(|dynamic| rules::faults(origin, dynamic));
    faults.map(|error| unreadable(Reason::InvalidRule, Some(origin), error))
}

fn dangling(error: FieldError) -> Finding {
    unreadable(Reason::DanglingReference, None, error)
}

/// What is wrong with a resource of this kind that cannot be read.
pub fn refusal(kind: Kind, error: FieldError) -> Finding {
    unreadable(Reason::unreadable(kind), None, error)
}

fn unreadable(reason: Reason, zone: Option<&Name>, error: FieldError) -> Finding {
    let help = error.help.map(|help| format!("; {help}")).unwrap_or_default();
    let at = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
    Finding { reason, zone: zone.cloned(), path: error.path, message: format!("{at}{}{help}", error.message) }
}

#[cfg(test)]
mod tests;
