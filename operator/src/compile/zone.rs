//! One zone: which records are its members, which of them are at each name, and the data that is served.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::zone::{self, Edit, EditError, ZoneData};
use zonefmt::{Name, NameRef, Rtype, Serial, rdata::Soa, zone::TargetProblem};

use super::{
    ContentHash, Finding, Judged, Published, Reason, ZoneStep,
    apex::Apex,
    glue::{Servers, Standing, servers_in},
    index::{Index, Rank, RecordEntry, ZoneEntry},
    node::{Contribution, Resolved, Rrset},
    record::{owner, wire},
    region::{Region, is_cover},
    remark, unreadable,
};
use crate::api::ResourceId;

/// A zone that is served.
pub(super) struct Zone {
    /// The resource from which the zone is made.
    pub(super) id: ResourceId,
    pub(super) data: ZoneData,
    apex: Apex,
    /// The hash of `data`.
    hash: ContentHash,
    members: BTreeMap<ResourceId, Member>,
    nodes: BTreeMap<Name, Node>,
    /// The number of records that may hide data below them.
    covers: usize,
    /// The name servers of all declared NS records, whether those are served or not.
    claimed: Servers,
    /// The name servers of the NS RRsets that win when addresses of `claimed` count as glue.
    standing: Standing,
    /// Names whose resources changed since the last [`Zone::refresh`].
    dirty: BTreeSet<Name>,
}

/// The place of a selected record, or why it has none.
enum Member {
    At(Place),
    Lost(Finding),
}

/// The place of a record, and its effect on other names.
struct Place {
    owner: Name,
    /// Whether the record may hide data below its owner.
    covers: bool,
    /// The names inside the zone that its NS records point to.
    servers: Vec<Name>,
}

/// The resources that contribute to a name, oldest first, and the findings about them.
#[derive(Default)]
struct Node {
    contributors: BTreeSet<Rank>,
    /// The number of contributors that may hide data below the name.
    covers: usize,
    findings: Vec<(ResourceId, Finding)>,
}

impl Zone {
    /// Creates a zone without data. Its resource must [take over](Zone::take_over) first.
    pub(super) fn new(id: ResourceId, apex: Apex) -> Zone {
        Zone {
            id,
            data: ZoneData::new(apex.origin.clone()),
            apex,
            hash: ContentHash::default(),
            members: BTreeMap::new(),
            nodes: BTreeMap::new(),
            covers: 0,
            claimed: Servers::default(),
            standing: Standing::default(),
            dirty: BTreeSet::new(),
        }
    }

    /// Makes `entry` the resource of the zone, and selects all records anew.
    pub(super) fn take_over(&mut self, index: &Index, entry: &ZoneEntry, apex: &Apex) {
        self.dirty.extend(self.apex.generated.keys().cloned());
        self.dirty.extend(apex.generated.keys().cloned());
        self.dirty.extend(std::mem::take(&mut self.nodes).into_keys());
        self.members.clear();
        self.covers = 0;
        self.claimed = Servers::default();
        self.id = entry.rank.id.clone();
        self.apex = apex.clone();
        for server in servers_in(self.apex.servers(), &self.apex.origin) {
            self.claimed.add(&server);
        }
        for record in index.selected_by(entry) {
            self.place(index, record);
        }
    }

    /// Adds, removes or moves a record according to its labels and owner. Returns whether the record is or was a
    /// member.
    pub(super) fn place(&mut self, index: &Index, id: &ResourceId) -> bool {
        let former = self.members.remove(id);
        let was_member = former.is_some();
        if let Some(Member::At(place)) = former {
            self.detach(id, &place);
        }
        let zone = index.zone(&self.id);
        let Some(record) = index.record(id).filter(|record| zone.is_some_and(|zone| zone.selects(record))) else {
            return was_member;
        };
        let member = match self.placed(record) {
            Ok(place) => {
                self.attach(&record.rank, &place);
                Member::At(place)
            }
            Err(finding) => Member::Lost(finding),
        };
        self.members.insert(id.clone(), member);
        true
    }

    /// The place of a record in the zone.
    fn placed(&self, record: &RecordEntry) -> Result<Place, Finding> {
        let (origin, set) = (&self.apex.origin, &record.set);
        let zone = Some(origin.clone());
        let owner =
            owner(set, origin.as_ref()).map_err(|error| unreadable(Reason::InvalidRecord, Some(origin), error))?;
        if !owner.as_ref().is_at_or_below(origin.as_ref()) {
            let message = format!("{owner} is not in {origin}; write a relative name, or one that ends in `.{origin}`");
            return Err(Finding { reason: Reason::OutOfZone, zone, path: "name".into(), message });
        }
        if set.rtype == Rtype::NS && owner.as_ref().is_wildcard() {
            let message = format!("{owner} is a wildcard, and no server delegates one; write a record for each name");
            return Err(Finding { reason: Reason::WildcardDelegation, zone, path: "name".into(), message });
        }
        let servers = match set.rtype {
            // Data that cannot be read is reported when its name is merged.
            Rtype::NS => servers_in(wire(set, origin.as_ref()).unwrap_or_default().iter().map(Vec::as_slice), origin),
            _ => Vec::new(),
        };
        let covers = is_cover(set.rtype) && (owner != *origin || set.rtype != Rtype::NS);
        Ok(Place { owner, covers, servers })
    }

    fn attach(&mut self, rank: &Rank, place: &Place) {
        let node = self.nodes.entry(place.owner.clone()).or_default();
        node.contributors.insert(rank.clone());
        node.covers += usize::from(place.covers);
        self.covers += usize::from(place.covers);
        self.dirty.insert(place.owner.clone());
        let new = place.servers.iter().filter(|server| self.claimed.add(server));
        self.dirty.extend(new.cloned());
        if place.covers {
            let below = self.at_and_below(&place.owner);
            self.dirty.extend(below);
        }
    }

    fn detach(&mut self, id: &ResourceId, place: &Place) {
        if place.covers {
            let below = self.at_and_below(&place.owner);
            self.dirty.extend(below);
        }
        if let Some(node) = self.nodes.get_mut(&place.owner) {
            node.contributors.retain(|rank| rank.id != *id);
            node.covers -= usize::from(place.covers);
            self.covers -= usize::from(place.covers);
        }
        self.dirty.insert(place.owner.clone());
        let gone = place.servers.iter().filter(|server| self.claimed.remove(server));
        self.dirty.extend(gone.cloned());
    }

    /// The records that the zone selects.
    pub(super) fn members(&self) -> impl Iterator<Item = &ResourceId> {
        self.members.keys()
    }

    /// Whether the zone selects a record.
    pub(super) fn has_member(&self, id: &ResourceId) -> bool {
        self.members.contains_key(id)
    }

    /// The selected records with an owner at or below `top`.
    pub(super) fn members_below(&self, top: &Name) -> impl Iterator<Item = &ResourceId> {
        let nodes = self.nodes.range(top..).take_while(move |(name, _)| name.as_ref().is_at_or_below(top.as_ref()));
        nodes.flat_map(|(_, node)| node.contributors.iter().map(|rank| &rank.id))
    }

    /// The owner of a selected record, if it is in the zone.
    pub(super) fn owner_of(&self, id: &ResourceId) -> Option<&Name> {
        match self.members.get(id)? {
            Member::At(place) => Some(&place.owner),
            Member::Lost(_) => None,
        }
    }

    /// The findings about a record that the zone selects.
    pub(super) fn findings_of_member(&self, id: &ResourceId, record: &RecordEntry) -> Vec<Finding> {
        match self.members.get(id) {
            None => Vec::new(),
            Some(Member::Lost(finding)) => vec![finding.clone()],
            Some(Member::At(Place { owner, .. })) => {
                let findings = self.nodes.get(owner).map_or(&[][..], |node| &node.findings);
                let own = findings.iter().filter(|(of, _)| of == id).map(|(_, finding)| finding.clone());
                let mut findings: Vec<Finding> = own.chain(self.repeated_zone_name(owner)).collect();
                if !findings.iter().any(|finding| finding.reason.is_loss()) {
                    findings.extend(remark::of_records(&self.data, owner.as_ref(), &record.set));
                }
                findings
            }
        }
    }

    /// The findings about the zone itself.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let own = self.apex.generated.keys().filter_map(|owner| self.nodes.get(owner)).flat_map(|node| &node.findings);
        let own = own.filter(|(of, _)| *of == self.id).map(|(_, finding)| finding.clone());
        own.chain(self.findings_of_servers()).collect()
    }

    /// Brings the data up to date, with a serial that follows `last`. Returns which version that is, with the change, if
    /// there is one, and adds the resources whose findings may have changed to `judged`.
    pub(super) fn refresh(
        &mut self,
        index: &Index,
        last: Option<Published>,
        judged: &mut Judged,
    ) -> (Published, Option<ZoneStep>) {
        let origin = self.apex.origin.clone();
        let before = self.data.serial();
        let mut step = ZoneStep { origin, before, after: None, added: 0, removed: 0, changed: 0 };
        let mut edit = self.data.edit();
        // First find out which NS RRsets win, with the name servers of all declared NS records. Glue matters only below
        // covering records, so all other names are final after this.
        let mut below_covers = BTreeSet::new();
        while let Some(owner) = self.dirty.first().cloned() {
            let region = self.region(&owner, &self.dirty);
            let covered = region.is_some();
            let names = region.unwrap_or_else(|| BTreeSet::from([owner]));
            for name in &names {
                self.dirty.remove(name);
            }
            for (owner, resolved) in self.resolve(index, &names, &self.claimed) {
                let servers = resolved.rrsets.get(&Rtype::NS).into_iter().flat_map(Rrset::rdatas);
                below_covers.extend(self.standing.put(&owner, servers_in(servers, &step.origin)));
                if !covered {
                    self.settle(index, &mut edit, &owner, resolved, &mut step, judged);
                }
            }
            below_covers.extend(names.into_iter().filter(|_| covered));
        }
        // Merge the names in covered regions again, now with the name servers of the NS RRsets that won.
        while let Some(owner) = below_covers.first().cloned() {
            let names = self.region(&owner, &below_covers).unwrap_or_default();
            below_covers.remove(&owner);
            for name in &names {
                below_covers.remove(name);
            }
            for (owner, resolved) in self.resolve(index, &names, self.standing.servers()) {
                self.settle(index, &mut edit, &owner, resolved, &mut step, judged);
            }
        }
        let published = Published::following(last, self.hash, self.apex.serial);
        if before == Some(published.serial) && step.added + step.removed + step.changed == 0 {
            return (published, None);
        }
        self.write_serial(&mut edit, published.serial);
        self.data = edit.commit();
        step.after = self.data.serial();
        (published, Some(step))
    }

    /// The names that must be merged together with `name`: all names at and below its uppermost ancestor, or `name`
    /// itself, that may hide data below it. `None` if there is none, so that `name` is merged alone.
    fn region(&self, name: &Name, dirty: &BTreeSet<Name>) -> Option<BTreeSet<Name>> {
        if self.covers == 0 {
            return None;
        }
        let inside = name.as_ref().ancestors(self.apex.origin.as_ref()).map(NameRef::to_owned);
        let covering = inside.filter(|name| self.nodes.get(name).is_some_and(|node| node.covers > 0));
        let top = covering.last()?;
        let mut region = self.at_and_below(&top);
        region.extend(dirty.range(&top..).take_while(|name| name.as_ref().is_at_or_below(top.as_ref())).cloned());
        Some(region)
    }

    /// The names at and below `top` for which anything is declared.
    fn at_and_below(&self, top: &Name) -> BTreeSet<Name> {
        let nodes = self.nodes.range(top..).map(|(name, _)| name);
        let generated = self.apex.generated.range(top..).map(|(name, _)| name);
        let within = |name: &&Name| name.as_ref().is_at_or_below(top.as_ref());
        nodes.take_while(within).chain(generated.take_while(within)).cloned().collect()
    }

    /// Merges what the zone itself and its records declare for the names of a region, oldest first.
    fn resolve<'i>(&self, index: &'i Index, names: &BTreeSet<Name>, servers: &Servers) -> BTreeMap<Name, Resolved<'i>> {
        let origin = &self.apex.origin;
        let mut ranked: Vec<(&Rank, &Name)> = names
            .iter()
            .flat_map(|owner| {
                self.nodes
                    .get(owner)
                    .into_iter()
                    .flat_map(move |node| node.contributors.iter().map(move |rank| (rank, owner)))
            })
            .collect();
        ranked.sort_unstable();
        let mut region = Region::new(origin, servers, names);
        if let Some(zone) = index.zone(&self.id) {
            for owner in names {
                for (&rtype, records) in self.apex.generated.get(owner).into_iter().flatten() {
                    let (rank, ttl, records) = (&zone.rank, self.apex.ttl, records.clone());
                    region.take(owner, Contribution { rank, rtype, ttl, records });
                }
            }
        }
        for (rank, owner) in ranked {
            let Some(record) = index.record(&rank.id) else { continue };
            let rank = &record.rank;
            match wire(&record.set, origin.as_ref()) {
                Ok(records) => {
                    let ttl = record.set.ttl.unwrap_or(self.apex.ttl);
                    region.take(owner, Contribution { rank, rtype: record.set.rtype, ttl, records });
                }
                Err(error) => region.refuse(owner, &rank.id, unreadable(Reason::InvalidRecord, Some(origin), error)),
            }
        }
        region.into_names()
    }

    /// Stores the result for a name: its data and its findings.
    fn settle<'i>(
        &mut self,
        index: &'i Index,
        edit: &mut Edit,
        owner: &Name,
        mut resolved: Resolved<'i>,
        step: &mut ZoneStep,
        judged: &mut Judged,
    ) {
        if let Err(error) = self.write(edit, owner, &resolved, step) {
            let (reason, zone) = (Reason::TooLarge, Some(self.apex.origin.clone()));
            let finding = Finding { reason, zone, path: String::new(), message: error.to_string() };
            resolved.findings.extend(index.zone(&self.id).map(|zone| (&zone.rank.id, finding)));
        }
        let findings: Vec<_> = resolved.findings.into_iter().map(|(id, finding)| (id.clone(), finding)).collect();
        let mut node = self.nodes.remove(owner).unwrap_or_default();
        judged.extend(node.contributors.iter().map(|rank| &rank.id));
        judged.extend(findings.iter().chain(&node.findings).map(|(id, _)| id));
        node.findings = findings;
        if !node.contributors.is_empty() || !node.findings.is_empty() {
            self.nodes.insert(owner.clone(), node);
        }
    }

    /// Changes the data at `owner` to the result. RRsets that stay the same are not written.
    fn write(
        &mut self,
        edit: &mut Edit,
        owner: &Name,
        resolved: &Resolved<'_>,
        step: &mut ZoneStep,
    ) -> Result<(), EditError> {
        let owner = owner.as_ref();
        let mut old = content(&self.data, owner);
        for (&rtype, set) in &resolved.rrsets {
            let old = old.remove(&rtype);
            if old.as_ref().is_some_and(|old| old.ttl == set.ttl && old.rdatas().eq(set.rdatas())) {
                continue;
            }
            edit.replace(owner, rtype, set.ttl, set.rdatas())?;
            self.hash.add(owner, rtype, set.ttl, set.rdatas());
            match old {
                Some(old) => {
                    self.hash.remove(owner, rtype, old.ttl, old.rdatas());
                    step.changed += 1;
                }
                None => step.added += 1,
            }
        }
        for (rtype, old) in old {
            edit.remove(owner, rtype)?;
            self.hash.remove(owner, rtype, old.ttl, old.rdatas());
            step.removed += 1;
        }
        Ok(())
    }

    fn write_serial(&self, edit: &mut Edit, serial: Serial) {
        let origin = self.apex.origin.as_ref();
        let soa = self.apex.generated.get(&self.apex.origin).and_then(|node| node.get(&Rtype::SOA));
        if let Some(soa) = soa.and_then(|records| records.first()) {
            let soa = Soa::with_serial(soa, serial);
            // This replaces the SOA that was just written. If the zone is full, it keeps the former one, which is
            // consistent too.
            let _ = edit.replace(origin, Rtype::SOA, self.apex.ttl, [&soa[..]]);
        }
    }

    /// The finding that a name repeats the zone's name: without its final dot, `www.example.com` is relative like any
    /// other.
    fn repeated_zone_name(&self, owner: &Name) -> Option<Finding> {
        let origin = self.apex.origin.as_ref();
        let meant = NameRef::ROOT.prepend(owner.as_ref().strip_suffix(origin)?).ok()?;
        (!origin.is_root() && meant.as_ref().is_at_or_below(origin)).then(|| Finding {
            reason: Reason::RepeatedZoneName,
            zone: Some(origin.to_owned()),
            path: "name".into(),
            message: format!(
                "{owner} has the zone's name twice; write `{meant}` with its final dot, or leave the zone's name out"
            ),
        })
    }

    /// The findings about the name servers in the zone's own fields.
    fn findings_of_servers(&self) -> impl Iterator<Item = Finding> {
        let origin = self.apex.origin.as_ref();
        let mut seen = BTreeSet::new();
        self.apex.servers().filter_map(move |rdata| {
            let name = NameRef::from_wire(rdata).ok().filter(|name| seen.insert(*name))?;
            if self.data.target_problem(origin, Rtype::NS, name) != Some(TargetProblem::NoAddress) {
                return remark::of_rdata(&self.data, origin, Rtype::NS, rdata, "nameServers");
            }
            let message = format!(
                "the name server {name} has no address; give it an ipv4Address or ipv6Address under `nameServers`, or add an ARecord for it"
            );
            let (reason, zone, path) = (Reason::ServerWithoutAddress, Some(origin.to_owned()), "nameServers".into());
            Some(Finding { reason, zone, path, message })
        })
    }
}

/// An RRset of the data, as it was before the serial was set.
struct Content {
    ttl: u32,
    records: Vec<Vec<u8>>,
}

impl Content {
    fn rdatas(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(Vec::as_slice)
    }
}

/// The RRsets at a name, as they were before the SOA got its serial.
fn content(data: &ZoneData, owner: NameRef<'_>) -> BTreeMap<Rtype, Content> {
    let sets = data.node(owner).into_iter().flat_map(zone::Node::rrsets);
    let resolved = sets.map(|set| {
        let records = set.rdatas().map(|rdata| match set.rtype {
            Rtype::SOA => Soa::with_serial(rdata, Serial(0)),
            _ => rdata.to_vec(),
        });
        (set.rtype, Content { ttl: set.ttl, records: records.collect() })
    });
    resolved.collect()
}
