//! The operations of an update (RFC 2136 2.5, 3.4.2), carried out on drafts of the names that they touch. What differs
//! in the end is the change.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
    num::NonZeroU32,
};

use jiff::Zoned;
use zonefmt::{
    Class, Name, NameRef, Rtype, Serial,
    rdata::{self, Soa, Usage},
    zone::{self, MAX_RRSET, Remark, may_stand_beside_cname},
};

use super::{Item, Note, Permitted, Refusal, report::Noted};
use crate::{
    Rcode,
    settings::{Checks, Limits, Updates},
    zone::{Change, Node, Records, Rrset, ZoneData},
};

impl Permitted {
    /// Checks the prerequisites and makes the change, both to this version of the zone, which stays as it is. Returns the
    /// new version with its serial and what has changed; `None` if nothing has. `note` is called for each operation.
    ///
    /// # Errors
    /// The response code of a prerequisite that does not hold; REFUSED if a name server of the zone would be without
    /// address, or a new MX record; SERVFAIL if the zone would exceed a limit, or its serial would not increase.
    pub fn apply(
        &self,
        zone: &ZoneData,
        settings: &Updates,
        now: &Zoned,
        note: &mut dyn FnMut(Note<'_>),
    ) -> Result<Option<(ZoneData, Change)>, Refusal> {
        self.update.check_prerequisites(zone)?;
        let mut draft = Draft { zone, limits: settings.limits, names: BTreeMap::new(), has_new_soa: false, note };
        for (item, most) in self.update.operations.iter().zip(&self.limits) {
            draft.operate(item, *most)?;
        }
        let Some(change) = draft.into_change(|serial| settings.serial.next(serial, now)) else { return Ok(None) };
        // Each of several SOA records may be later than the one before, and the last one not than the first.
        if change.to().partial_cmp(&change.from()) != Some(Ordering::Greater) {
            return Err(Refusal::new(Rcode::SERVFAIL, "serial number did not increase"));
        }
        let new = change.apply(zone).map_err(|error| Refusal::new(Rcode::SERVFAIL, error.to_string()))?;
        check(&new, &change, settings)?;
        Ok(Some((new, change)))
    }
}

/// The names that an update touches, as they are after its operations so far.
struct Draft<'u, 'n> {
    zone: &'u ZoneData,
    limits: Limits,
    names: BTreeMap<NameRef<'u>, NameDraft<'u>>,
    /// Whether the SOA was replaced, so that the serial is the client's.
    has_new_soa: bool,
    note: &'n mut dyn FnMut(Note<'_>),
}

/// A name: its RRsets before and after.
struct NameDraft<'u> {
    before: Option<Node<'u>>,
    sets: Vec<SetDraft<'u>>,
}

struct SetDraft<'u> {
    rtype: Rtype,
    ttl: u32,
    records: Vec<Cow<'u, [u8]>>,
}

impl<'u> Draft<'u, '_> {
    fn operate(&mut self, item: &'u Item, most: Option<NonZeroU32>) -> Result<(), Refusal> {
        let (owner, rtype) = (item.owner.as_ref(), item.rtype);
        let is_apex = owner == self.zone.origin();
        let name = self.names.entry(owner).or_insert_with(|| NameDraft::new(self.zone, owner));
        match item.class {
            Class::IN => {
                if let Some(ignored) = name.why_not_add(item, is_apex, most) {
                    (self.note)(Note::Noted(ignored));
                    return Ok(());
                }
                self.has_new_soa |= rtype == Rtype::SOA;
                (self.note)(Note::Adds(owner, rtype, &item.rdata));
                name.add(item, self.limits)?;
            }
            Class::ANY if rtype == Rtype::ANY => {
                (self.note)(Note::DeletesName(owner));
                let stays = |rtype| match rtype {
                    Rtype::RRSIG | Rtype::NSEC => true,
                    Rtype::SOA | Rtype::NS | Rtype::NSEC3PARAM => is_apex,
                    _ => false,
                };
                name.sets.retain(|set| stays(set.rtype));
            }
            Class::ANY if is_apex && matches!(rtype, Rtype::SOA | Rtype::NS) => {
                (self.note)(Note::Noted(Noted::DeleteSoaOrNs));
            }
            Class::ANY => {
                (self.note)(Note::DeletesRrset(owner, rtype));
                name.sets.retain(|set| set.rtype != rtype);
            }
            _ if is_apex && rtype == Rtype::SOA => (self.note)(Note::Noted(Noted::DeleteSoa)),
            _ if is_apex && rtype == Rtype::NS && name.count(Rtype::NS) == 1 => {
                (self.note)(Note::Noted(Noted::DeleteLastNs));
            }
            _ => {
                (self.note)(Note::Deletes(owner, rtype));
                name.remove(rtype, &item.rdata);
            }
        }
        Ok(())
    }

    /// The change; `None` if the zone is as before. A DS RRset that has no NS beside it goes (RFC 3658 2.2).
    fn into_change(self, next_serial: impl FnOnce(Serial) -> Serial) -> Option<Change> {
        let origin = self.zone.origin();
        let soa = self.zone.rrset(origin, Rtype::SOA)?;
        let old_soa = soa.rdatas().next()?;
        let (mut removed, mut added) = (Records::new(), Records::new());
        removed.push(origin, Rtype::SOA, soa.ttl, old_soa);
        let new_soa = self.names.get(&origin).filter(|_| self.has_new_soa).and_then(|apex| apex.set(Rtype::SOA));
        match new_soa {
            Some(SetDraft { ttl, records, .. }) => added.push(origin, Rtype::SOA, *ttl, records.first()?),
            None => {
                let serial = next_serial(Soa::serial_of(old_soa)?);
                added.push(origin, Rtype::SOA, soa.ttl, &Soa::with_serial(old_soa, serial));
            }
        }
        let soas = (removed.octets(), added.octets());
        for (owner, mut name) in self.names {
            if owner != origin && name.set(Rtype::NS).is_none() && name.has_orphaned_ds() {
                name.sets.retain(|set| set.rtype != Rtype::DS);
            }
            name.differences(owner, &mut removed, &mut added);
        }
        let is_changed = self.has_new_soa || soas != (removed.octets(), added.octets());
        is_changed.then(|| Change::new(removed, added)).flatten()
    }
}

impl<'u> NameDraft<'u> {
    fn new(zone: &'u ZoneData, owner: NameRef<'_>) -> NameDraft<'u> {
        let before = zone.node(owner);
        let sets = before.into_iter().flat_map(Node::rrsets).map(|set| SetDraft {
            rtype: set.rtype,
            ttl: set.ttl,
            records: set.rdatas().map(Cow::Borrowed).collect(),
        });
        NameDraft { before, sets: sets.collect() }
    }

    fn set(&self, rtype: Rtype) -> Option<&SetDraft<'u>> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }

    fn count(&self, rtype: Rtype) -> usize {
        self.set(rtype).map_or(0, |set| set.records.len())
    }

    /// Why adding a record has no effect (RFC 2136 3.4.2.2 and BIND).
    fn why_not_add(&self, item: &Item, is_apex: bool, most: Option<NonZeroU32>) -> Option<Noted> {
        let (owner, rtype) = (item.owner.as_ref(), item.rtype);
        let others = || self.sets.iter().filter(|set| set.rtype != Rtype::CNAME && !may_stand_beside_cname(set.rtype));
        let serial = || self.set(Rtype::SOA).and_then(|soa| Soa::serial_of(soa.records.first()?));
        let is_obsolete = rdata::info(rtype).is_some_and(|row| row.usage == Usage::Obsolete);
        match rtype {
            _ if is_obsolete => Some(Noted::Obsolete(rtype)),
            Rtype::NS | Rtype::DNAME if owner.is_wildcard() => Some(Noted::Wildcard(rtype)),
            Rtype::CNAME if others().next().is_some() => Some(Noted::CnameBesideOthers),
            rtype if rtype != Rtype::CNAME && !may_stand_beside_cname(rtype) && self.set(Rtype::CNAME).is_some() => {
                Some(Noted::BesideCname)
            }
            Rtype::SOA => match serial() {
                None => Some(Noted::SecondSoa),
                // A serial 2³¹ ahead is not later (RFC 1982 3.2).
                now if Soa::serial_of(&item.rdata) > now => None,
                Some(_) => Some(Noted::OldSerial),
            },
            Rtype::DS if is_apex => Some(Noted::AtApex(rtype)),
            _ => {
                let most = most?.get();
                (self.count(rtype) >= most as usize).then_some(Noted::OverLimit(most))
            }
        }
    }

    /// Adds a record, and gives its RRset the record's TTL. Of some types, it replaces others.
    fn add(&mut self, item: &'u Item, limits: Limits) -> Result<(), Refusal> {
        let Item { owner, rtype, ttl, rdata, .. } = item;
        // RFC 2181 8: a TTL with the first bit set is 0.
        let ttl = if *ttl > i32::MAX.cast_unsigned() { 0 } else { *ttl };
        let too_many = |what: &str| {
            let reason = format!("adding an RR failed: too many {what}");
            Err(Refusal::of(Rcode::SERVFAIL, owner.as_ref(), *rtype, reason))
        };
        let over = |count: usize, limit: u32| limit != 0 && count > limit as usize;
        let index = match self.sets.iter().position(|set| set.rtype == *rtype) {
            Some(index) => index,
            None if over(self.sets.len() + 1, limits.types_per_name) => {
                return too_many("types at the name (max-types-per-name)");
            }
            None => {
                self.sets.push(SetDraft { rtype: *rtype, ttl, records: Vec::new() });
                self.sets.len() - 1
            }
        };
        let set = &mut self.sets[index];
        set.ttl = ttl;
        if set.position(rdata).is_none() {
            set.records.retain(|old| !replaces(*rtype, rdata, old));
            set.records.push(Cow::Borrowed(rdata));
        }
        if over(set.records.len(), limits.records_per_type) || set.records.len() > usize::from(u16::MAX) {
            return too_many("records (max-records-per-type)");
        }
        Ok(())
    }

    fn remove(&mut self, rtype: Rtype, rdata: &[u8]) {
        let Some(index) = self.sets.iter().position(|set| set.rtype == rtype) else { return };
        let set = &mut self.sets[index];
        if let Some(at) = set.position(rdata) {
            set.records.remove(at);
        }
        if set.records.is_empty() {
            self.sets.remove(index);
        }
    }

    /// Whether the name has a DS RRset that the update has made, or has taken the NS from.
    fn has_orphaned_ds(&self) -> bool {
        let Some(ds) = self.set(Rtype::DS) else { return false };
        let before = |rtype| self.before.and_then(|node| node.rrset(rtype));
        before(Rtype::NS).is_some()
            || before(Rtype::DS).is_none_or(|old| !old.rdatas().eq(ds.records.iter().map(AsRef::as_ref)))
    }

    /// Appends the records that differ, except for an SOA.
    fn differences(&self, owner: NameRef<'_>, removed: &mut Records, added: &mut Records) {
        let owner: Name = self.before.map_or_else(|| owner.to_owned(), Node::owner);
        let owner = owner.as_ref();
        for old in self.before.into_iter().flat_map(Node::rrsets).filter(|old| old.rtype != Rtype::SOA) {
            let new = self.set(old.rtype).filter(|new| new.ttl == old.ttl);
            let stay: HashSet<&[u8]> = new.into_iter().flat_map(|new| &new.records).map(AsRef::as_ref).collect();
            for rdata in old.rdatas().filter(|rdata| !stay.contains(rdata)) {
                removed.push(owner, old.rtype, old.ttl, rdata);
            }
        }
        for new in self.sets.iter().filter(|new| new.rtype != Rtype::SOA) {
            let old = self.before.and_then(|node| node.rrset(new.rtype)).filter(|old| old.ttl == new.ttl);
            let were: HashSet<&[u8]> = old.into_iter().flat_map(Rrset::rdatas).collect();
            for rdata in new.records.iter().filter(|rdata| !were.contains(&***rdata)) {
                added.push(owner, new.rtype, new.ttl, rdata);
            }
        }
    }
}

impl SetDraft<'_> {
    /// The index of the record that equals `rdata` (RFC 2181 5).
    fn position(&self, rdata: &[u8]) -> Option<usize> {
        let canonical = |data: &[u8]| {
            let mut out = Vec::new();
            rdata::canonical(self.rtype, data, &mut out);
            out
        };
        self.records
            .iter()
            .position(|old| **old == *rdata || (old.eq_ignore_ascii_case(rdata) && canonical(old) == canonical(rdata)))
    }
}

/// Whether a new record takes the place of an old one of its type (RFC 2136 1.1.5): those of which a name has only one,
/// WKS of the same address and protocol, and signatures by the same key.
fn replaces(rtype: Rtype, new: &[u8], old: &[u8]) -> bool {
    const WKS: Rtype = Rtype(11);
    match rtype {
        Rtype::SOA | Rtype::CNAME | Rtype::DNAME => true,
        WKS => new.get(..5) == old.get(..5),
        // The type covered and the algorithm; the key tag.
        Rtype::RRSIG => new.get(..3) == old.get(..3) && new.get(16..18) == old.get(16..18),
        _ => false,
    }
}

/// Checks the version that a change has led to, as `named-checkzone` would when it is loaded again.
fn check(zone: &ZoneData, change: &Change, settings: &Updates) -> Result<(), Refusal> {
    let Updates { limits, checks, .. } = settings;
    let origin = zone.origin();
    let servers = zone.rrset(origin, Rtype::NS).into_iter().flat_map(Rrset::rdatas);
    for host in servers.filter_map(|rdata| NameRef::from_wire(rdata).ok()).filter(|_| checks.servers) {
        if let Some(problem) = zone.target_problem(origin, Rtype::NS, host) {
            let rule = zone::Rule::Target { rtype: Rtype::NS, target: host, owner: origin, problem };
            let reason = format!("post update name server sanity check failed: {rule}");
            return Err(Refusal::new(Rcode::REFUSED, reason));
        }
    }
    for mail in change.added().iter().filter(|record| record.rtype == Rtype::MX) {
        if let Some(reason) =
            zone::target(Rtype::MX, mail.rdata).and_then(|host| mx_problem(zone, mail.owner, host, *checks))
        {
            return Err(Refusal::of(Rcode::REFUSED, mail.owner, Rtype::MX, reason));
        }
    }
    for record in change.added().iter() {
        let octets = zone.rrset(record.owner, record.rtype).map_or(0, |set| set.records().len());
        if octets > MAX_RRSET as usize {
            return Err(Refusal::of(
                Rcode::SERVFAIL,
                record.owner,
                record.rtype,
                "the RRset is too large for a message",
            ));
        }
    }
    if limits.records != 0 && zone.records() > limits.records as usize {
        let reason = format!("records in zone ({}) exceeds max-records ({})", zone.records(), limits.records);
        return Err(Refusal::new(Rcode::SERVFAIL, reason));
    }
    Ok(())
}

/// Why the host of a new MX record cannot be used.
fn mx_problem(zone: &ZoneData, owner: NameRef<'_>, host: NameRef<'_>, checks: Checks) -> Option<String> {
    if checks.mx
        && let Some(remark @ Remark::Address(..)) = Remark::of_target(Rtype::MX, host, zone.origin())
    {
        return Some(remark.to_string());
    }
    let problem = zone.target_problem(owner, Rtype::MX, host).filter(|_| checks.integrity)?;
    Some(zone::Rule::Target { rtype: Rtype::MX, target: host, owner, problem }.to_string())
}
