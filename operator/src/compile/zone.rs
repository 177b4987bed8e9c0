//! One zone: which records are its members, which of them are at each name, what clients have written, and the data that
//! is served.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::zone::{self, Edit, EditError, ZoneData};
use zonefmt::{Name, NameRef, Rtype, Serial, rdata::Soa, zone::TargetProblem};

use super::{
    ContentHash, Finding, Judged, Published, Reason, ZoneStep,
    apex::Apex,
    dynamic::{By, Content, Written},
    glue::{Servers, Standing, servers_in},
    index::{Index, Rank, RecordEntry, ZoneEntry},
    node::{Contribution, Resolved, Rrset},
    record::{owner, reserved, wire},
    region::{Occlusion, Region, is_cover},
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
    written: Written,
}

/// The next version of a zone while its names are merged.
struct Draft {
    edit: Edit,
    step: ZoneStep,
    /// The RRsets that were written by clients and are declared now.
    taken: Vec<(Name, Rtype)>,
    /// The names whose declared delegation or DNAME changed.
    covers: BTreeSet<Name>,
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
            written: Written::new(&apex.origin),
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
            let below: Vec<Name> = self.at_and_below(&place.owner).cloned().collect();
            self.dirty.extend(below);
        }
    }

    fn detach(&mut self, id: &ResourceId, place: &Place) {
        if place.covers {
            let below: Vec<Name> = self.at_and_below(&place.owner).cloned().collect();
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

    /// Sets all that clients have written into the zone.
    pub(super) fn put_written(&mut self, written: ZoneData, by: By) {
        self.written.put(written, by);
    }

    /// What clients have written and is served.
    pub(super) fn written(&self) -> &ZoneData {
        self.written.served()
    }

    /// The resource that keeps an RRset that a client writes from being served; `None` if nothing does.
    pub(super) fn declarer(&self, index: &Index, owner: NameRef<'_>, rtype: Rtype) -> Option<ResourceId> {
        let (owner, rtype) = self.in_the_way(&owner.to_owned(), rtype)?;
        let is_own = self.apex.generated.get(&owner).is_some_and(|sets| sets.contains_key(&rtype));
        let node = self.nodes.get(&owner).filter(|_| !is_own);
        let declares = |node: &Node, id: &ResourceId| {
            let is_lost = node.findings.iter().any(|(of, finding)| of == id && finding.reason.is_loss());
            !is_lost && index.record(id).is_some_and(|record| record.set.rtype == rtype)
        };
        let first = node.and_then(|node| node.contributors.iter().find(|rank| declares(node, &rank.id)));
        Some(first.map_or(&self.id, |rank| &rank.id).clone())
    }

    /// The declared RRset because of which one of this name and type that a client writes is not served: the same one,
    /// one that may not stand beside it, or one that would hide it or be hidden by it. What belongs to the zone itself
    /// is kept by the SOA.
    fn in_the_way(&self, owner: &Name, rtype: Rtype) -> Option<(Name, Rtype)> {
        let origin = &self.apex.origin;
        let is_apex_ns = rtype == Rtype::NS && owner == origin;
        if reserved(rtype).is_some() || is_apex_ns || !owner.as_ref().is_at_or_below(origin.as_ref()) {
            return Some((origin.clone(), Rtype::SOA));
        }
        let conflicts = |other: Rtype| other == rtype || other == Rtype::CNAME || rtype == Rtype::CNAME;
        if let Some(other) = self.declared(owner).find(|other| conflicts(*other)) {
            return Some((owner.clone(), other));
        }
        let occlusion = Occlusion { origin, servers: self.standing.servers() };
        if self.covers > 0 {
            for cover in owner.as_ref().ancestors(origin.as_ref()).map(NameRef::to_owned) {
                let by = self.declared(&cover).find(|by| occlusion.hides(&cover, *by, owner, rtype));
                if let Some(by) = by {
                    return Some((cover, by));
                }
            }
        }
        if !is_cover(rtype) {
            return None;
        }
        self.at_and_below(owner).find_map(|name| {
            let of = self.declared(name).find(|of| occlusion.hides(owner, rtype, name, *of))?;
            Some((name.clone(), of))
        })
    }

    /// The types of the RRsets that resources declare at a name and that are served.
    fn declared(&self, owner: &Name) -> impl Iterator<Item = Rtype> {
        let written = self.written.served().node(owner.as_ref());
        let types = self.data.node(owner.as_ref()).into_iter().flat_map(zone::Node::rrsets).map(|set| set.rtype);
        types.filter(move |rtype| written.is_none_or(|node| node.rrset(*rtype).is_none()))
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
        let step = ZoneStep { origin, before, after: None, added: 0, removed: 0, changed: 0, withdrawn: 0 };
        let mut draft = Draft { edit: self.data.edit(), step, taken: Vec::new(), covers: BTreeSet::new() };
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
                for server in self.standing.put(&owner, servers_in(servers, &self.apex.origin)) {
                    self.written.meet(&server);
                    below_covers.insert(server);
                }
                if !covered {
                    self.settle(index, &mut draft, &owner, resolved, judged);
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
                self.settle(index, &mut draft, &owner, resolved, judged);
            }
        }
        let (mut edit, mut step) = self.serve_written(draft);
        let published = Published::following(last, self.hash, self.apex.serial);
        let changes = step.added + step.removed + step.changed + step.withdrawn;
        if before == Some(published.serial) && changes == 0 {
            // An RRset may have passed from a resource to clients as it is.
            self.data = edit.commit();
            return (published, None);
        }
        self.write_serial(&mut edit, published.serial);
        self.data = edit.commit();
        step.after = self.data.serial();
        (published, Some(step))
    }

    /// Judges what clients have written anew, where it or what is declared has changed. Returns the edit that makes the
    /// next version, and the changes so far.
    fn serve_written(&mut self, draft: Draft) -> (Edit, ZoneStep) {
        let Draft { edit, mut step, taken, covers } = draft;
        self.written.yield_to(&taken);
        self.written.meet_covers(&covers);
        let (dirty, rewritten) = self.written.take_dirty();
        if dirty.is_empty() {
            return (edit, step);
        }
        // From here on the data has what is declared now, with what was written before and did not have to yield.
        let former = std::mem::replace(&mut self.data, edit.commit());
        let (mut edit, mut served) = (self.data.edit(), self.written.served().edit());
        for name in &dirty {
            let owner = name.as_ref();
            let mut old = content(self.written.served(), owner);
            for (rtype, set) in self.written.wanted(name, |rtype| self.in_the_way(name, rtype).is_none()) {
                let old = old.remove(&rtype);
                if old.as_ref().is_some_and(|old| old.is(set.ttl, set.rdatas())) {
                    continue;
                }
                // What does not fit into the zone is not served.
                if served.replace(owner, rtype, set.ttl, set.rdatas()).is_err() {
                    continue;
                }
                if edit.replace(owner, rtype, set.ttl, set.rdatas()).is_err() {
                    let _ = served.remove(owner, rtype);
                    continue;
                }
                self.hash.add(owner, rtype, set.ttl, set.rdatas());
                if let Some(old) = &old {
                    self.hash.remove(owner, rtype, old.ttl, old.rdatas());
                }
                match former.rrset(owner, rtype) {
                    None => step.added += 1,
                    Some(_) if old.is_some() => step.changed += 1,
                    // It comes in place of a declared one, which counts as removed so far.
                    Some(declared) => {
                        step.removed = step.removed.saturating_sub(1);
                        step.changed += usize::from(!set.is(declared.ttl, declared.rdatas()));
                    }
                }
            }
            for (rtype, old) in old {
                let removed = served.remove(owner, rtype).and_then(|_| edit.remove(owner, rtype));
                if removed.is_err() {
                    continue;
                }
                self.hash.remove(owner, rtype, old.ttl, old.rdatas());
                if rewritten.contains(name) && self.in_the_way(name, rtype).is_none() {
                    step.withdrawn += 1;
                } else {
                    step.removed += 1;
                }
            }
        }
        self.written.set_served(served.commit());
        (edit, step)
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
        let mut region: BTreeSet<Name> = self.at_and_below(&top).cloned().collect();
        region.extend(dirty.range(&top..).take_while(|name| name.as_ref().is_at_or_below(top.as_ref())).cloned());
        Some(region)
    }

    /// The names at and below `top` for which anything is declared.
    fn at_and_below(&self, top: &Name) -> impl Iterator<Item = &Name> {
        let nodes = self.nodes.range(top..).map(|(name, _)| name);
        let generated = self.apex.generated.range(top..).map(|(name, _)| name);
        let within = move |name: &&Name| name.as_ref().is_at_or_below(top.as_ref());
        nodes.take_while(within).chain(generated.take_while(within))
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
        let mut region = Region::new(Occlusion { origin, servers }, names);
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
        draft: &mut Draft,
        owner: &Name,
        mut resolved: Resolved<'i>,
        judged: &mut Judged,
    ) {
        if let Err(error) = self.write(draft, owner, &resolved) {
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
    fn write(&mut self, draft: &mut Draft, name: &Name, resolved: &Resolved<'_>) -> Result<(), EditError> {
        let Draft { edit, step, taken, covers } = draft;
        let owner = name.as_ref();
        let mut old = content(&self.data, owner);
        let written: BTreeSet<Rtype> = old.keys().copied().filter(|rtype| self.written.serves(owner, *rtype)).collect();
        let mut changed = BTreeSet::new();
        for (&rtype, set) in &resolved.rrsets {
            let old = old.remove(&rtype);
            let is_same = old.as_ref().is_some_and(|old| old.is(set.ttl, set.rdatas()));
            if is_same && !written.contains(&rtype) {
                continue;
            }
            if !is_same {
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
            if written.contains(&rtype) {
                taken.push((name.clone(), rtype));
            }
            changed.insert(rtype);
        }
        for (rtype, old) in old.into_iter().filter(|(rtype, _)| !written.contains(rtype)) {
            edit.remove(owner, rtype)?;
            self.hash.remove(owner, rtype, old.ttl, old.rdatas());
            step.removed += 1;
            changed.insert(rtype);
        }
        if !changed.is_empty() {
            self.written.meet(name);
        }
        if changed.into_iter().any(is_cover) {
            covers.insert(name.clone());
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
