//! One zone under compilation: which records are its members, what stands at each name, and the data that is served.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::zone::{self, Edit, EditError, Rrset, ZoneData};
use zonefmt::{Name, NameRef, Rtype, Serial};

use super::{
    ContentHash, Finding, Published, Reason, ZoneStep,
    apex::{self, Apex},
    index::{Index, Rank, ZoneEntry},
    node::{Contribution, Resolved},
    owner, unreadable, wire,
};
use crate::api::ResourceId;

/// A zone that is served.
pub(super) struct Zone {
    /// The resource that it comes from.
    pub(super) id: ResourceId,
    pub(super) data: ZoneData,
    apex: Apex,
    /// Of `data`.
    hash: ContentHash,
    members: BTreeMap<ResourceId, Member>,
    nodes: BTreeMap<Name, Node>,
    /// Names whose resources changed since the last [`Zone::refresh`].
    dirty: BTreeSet<Name>,
}

/// Where a selected record stands, or why it does not.
enum Member {
    At(Name),
    Lost(Finding),
}

/// Who contributes to a name, the oldest first, and what came of it.
#[derive(Default)]
struct Node {
    contributors: BTreeSet<Rank>,
    findings: Vec<(ResourceId, Finding)>,
}

impl Zone {
    /// A zone without data; its resource has to [take over](Zone::take_over) first.
    pub(super) fn new(id: ResourceId, apex: Apex) -> Zone {
        Zone {
            id,
            data: ZoneData::new(apex.origin.clone()),
            apex,
            hash: ContentHash::default(),
            members: BTreeMap::new(),
            nodes: BTreeMap::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// Makes `entry` the zone's resource, as it now is, and selects the records afresh.
    pub(super) fn take_over(&mut self, index: &Index, entry: &ZoneEntry, apex: &Apex) {
        self.dirty.extend(self.apex.generated.keys().cloned());
        self.dirty.extend(apex.generated.keys().cloned());
        self.dirty.extend(std::mem::take(&mut self.nodes).into_keys());
        self.members.clear();
        self.id = entry.rank.id.clone();
        self.apex = apex.clone();
        for record in index.selected_by(entry) {
            self.place(index, record);
        }
    }

    /// Takes a record in, lets it go, or moves it, as its labels and its owner now say; gives whether it is or was a
    /// member.
    pub(super) fn place(&mut self, index: &Index, id: &ResourceId) -> bool {
        let former = self.members.remove(id);
        let was_member = former.is_some();
        if let Some(Member::At(owner)) = former {
            if let Some(node) = self.nodes.get_mut(&owner) {
                node.contributors.retain(|rank| rank.id != *id);
            }
            self.dirty.insert(owner);
        }
        let zone = index.zone(&self.id);
        let Some(record) = index.record(id).filter(|record| zone.is_some_and(|zone| zone.selects(record))) else {
            return was_member;
        };
        let origin = &self.apex.origin;
        let member = match owner(&record.set, origin.as_ref()) {
            Ok(owner) if owner.as_ref().is_at_or_below(origin.as_ref()) => {
                self.nodes.entry(owner.clone()).or_default().contributors.insert(record.rank.clone());
                self.dirty.insert(owner.clone());
                Member::At(owner)
            }
            Ok(owner) => {
                let message =
                    format!("{owner} is not in {origin}; write a relative name, or one that ends in `.{origin}`");
                let (reason, path) = (Reason::OutOfZone, "name".into());
                Member::Lost(Finding { reason, zone: Some(origin.clone()), path, message })
            }
            Err(error) => Member::Lost(unreadable(Reason::InvalidRecord, Some(origin), error)),
        };
        self.members.insert(id.clone(), member);
        true
    }

    /// The records that it selects.
    pub(super) fn members(&self) -> impl Iterator<Item = &ResourceId> {
        self.members.keys()
    }

    /// Whether it selects a record.
    pub(super) fn has_member(&self, id: &ResourceId) -> bool {
        self.members.contains_key(id)
    }

    /// What is wrong with a record that it selects.
    pub(super) fn findings_of_member(&self, id: &ResourceId) -> Vec<Finding> {
        match self.members.get(id) {
            None => Vec::new(),
            Some(Member::Lost(finding)) => vec![finding.clone()],
            Some(Member::At(owner)) => {
                let findings = self.nodes.get(owner).map_or(&[][..], |node| &node.findings);
                let own = findings.iter().filter(|(of, _)| of == id).map(|(_, finding)| finding.clone());
                own.chain(self.repeated_zone_name(owner)).collect()
            }
        }
    }

    /// What is wrong with the zone itself.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let own = self.apex.generated.keys().filter_map(|owner| self.nodes.get(owner)).flat_map(|node| &node.findings);
        let own = own.filter(|(of, _)| *of == self.id).map(|(_, finding)| finding.clone());
        own.chain(self.servers_without_address()).collect()
    }

    /// Brings the data up to date, under a serial that follows `last`. Gives what that changed, if it changed anything,
    /// and adds the resources whose findings may have changed.
    pub(super) fn refresh(
        &mut self,
        index: &Index,
        last: Option<Published>,
        judged: &mut BTreeSet<ResourceId>,
    ) -> Option<(ZoneStep, Published)> {
        let origin = self.apex.origin.clone();
        let before = self.data.serial();
        let mut step = ZoneStep { origin, before, after: None, added: 0, removed: 0, changed: 0 };
        let mut edit = self.data.edit();
        for owner in std::mem::take(&mut self.dirty) {
            let mut resolved = self.resolve(index, &owner);
            if let Err(error) = self.write(&mut edit, &owner, &resolved, &mut step) {
                let (reason, zone) = (Reason::TooLarge, Some(self.apex.origin.clone()));
                let finding = Finding { reason, zone, path: String::new(), message: error.to_string() };
                resolved.findings.extend(index.zone(&self.id).map(|zone| (&zone.rank.id, finding)));
            }
            let findings: Vec<_> = resolved.findings.into_iter().map(|(id, finding)| (id.clone(), finding)).collect();
            let mut node = self.nodes.remove(&owner).unwrap_or_default();
            judged.extend(node.contributors.iter().map(|rank| rank.id.clone()));
            judged.extend(findings.iter().chain(&node.findings).map(|(id, _)| id.clone()));
            node.findings = findings;
            if !node.contributors.is_empty() || !node.findings.is_empty() {
                self.nodes.insert(owner, node);
            }
        }
        let published = Published::following(last, self.hash, self.apex.serial);
        if before == Some(published.serial) && step.added + step.removed + step.changed == 0 {
            return None;
        }
        self.write_serial(&mut edit, published.serial);
        self.data = edit.commit();
        step.after = self.data.serial();
        Some((step, published))
    }

    /// Merges what the zone itself and its records say of a name.
    fn resolve<'i>(&self, index: &'i Index, owner: &Name) -> Resolved<'i> {
        let mut resolved = Resolved::default();
        let origin = &self.apex.origin;
        if let Some(zone) = index.zone(&self.id) {
            for (&rtype, records) in self.apex.generated.get(owner).into_iter().flatten() {
                let (resource, ttl, records) = (&zone.rank.id, self.apex.ttl, records.clone());
                resolved.take(origin, owner.as_ref(), Contribution { resource, rtype, ttl, records });
            }
        }
        for rank in self.nodes.get(owner).into_iter().flat_map(|node| &node.contributors) {
            let Some(record) = index.record(&rank.id) else { continue };
            let resource = &record.rank.id;
            match wire(&record.set, origin.as_ref()) {
                Ok(records) => {
                    let ttl = record.set.ttl.unwrap_or(self.apex.ttl);
                    let said = Contribution { resource, rtype: record.set.rtype, ttl, records };
                    resolved.take(origin, owner.as_ref(), said);
                }
                Err(error) => {
                    resolved.findings.push((resource, unreadable(Reason::InvalidRecord, Some(origin), error)));
                }
            }
        }
        resolved
    }

    /// Makes the data at `owner` what was resolved, as a difference.
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
            let soa = apex::with_serial(soa, serial);
            // It takes the place of one that was just written; a full zone keeps what it had, which is as consistent.
            let _ = edit.replace(origin, Rtype::SOA, self.apex.ttl, [&soa[..]]);
        }
    }

    /// `www.example.com` without its final dot is a relative name as any other.
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

    fn servers_without_address(&self) -> impl Iterator<Item = Finding> {
        let origin = self.apex.origin.as_ref();
        let servers = self.data.rrset(origin, Rtype::NS).into_iter().flat_map(Rrset::rdatas);
        let inside =
            servers.filter_map(|rdata| NameRef::from_wire(rdata).ok()).filter(move |name| name.is_at_or_below(origin));
        let lost =
            inside.filter(|name| [Rtype::A, Rtype::AAAA].iter().all(|rtype| self.data.rrset(*name, *rtype).is_none()));
        lost.map(move |name| Finding {
            reason: Reason::ServerWithoutAddress,
            zone: Some(origin.to_owned()),
            path: "nameServers".into(),
            message: format!(
                "the name server {name} has no address; give it an ipv4Address or ipv6Address under `nameServers`, or add an ARecord for it"
            ),
        })
    }
}

/// An RRset of the data as it was resolved.
struct Content {
    ttl: u32,
    records: Vec<Vec<u8>>,
}

impl Content {
    fn rdatas(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(Vec::as_slice)
    }
}

/// The RRsets at a name as they were resolved, which is before the SOA got its serial.
fn content(data: &ZoneData, owner: NameRef<'_>) -> BTreeMap<Rtype, Content> {
    let sets = data.node(owner).into_iter().flat_map(zone::Node::rrsets);
    let resolved = sets.map(|set| {
        let records = set.rdatas().map(|rdata| match set.rtype {
            Rtype::SOA => apex::with_serial(rdata, Serial(0)),
            _ => rdata.to_vec(),
        });
        (set.rtype, Content { ttl: set.ttl, records: records.collect() })
    });
    resolved.collect()
}
