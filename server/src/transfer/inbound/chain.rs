//! The changes of an IXFR (RFC 1995 4), one after the other, each applied as soon as it is whole.

use std::{collections::HashSet, mem};

use zonefmt::Serial;

use super::{Limits, Reason, Warning, sequence::Warnings, soundness::check_apex};
use crate::{
    message::Record,
    zone::{Change, ChangeError, RecordRef, Records, ZoneData},
};

/// The changes of an IXFR under way.
pub(super) struct Chain {
    /// The serial at which the chain ends.
    end: Serial,
    /// The version that the changes so far have made.
    data: ZoneData,
    changes: Vec<Change>,
    /// The octets of `changes`.
    octets: usize,
    /// What the next change removes.
    removed: Records,
    /// What it adds, and the serial to which it leads; `None` while records are removed.
    added: Option<(Serial, Records)>,
}

/// The octets of changes that are always allowed, however small the zone.
const MIN_CHANGES: usize = 1 << 20;

impl Chain {
    /// A chain that leads from this version to the one with the serial.
    pub(super) fn new(at_hand: ZoneData, end: Serial) -> Chain {
        Chain { end, data: at_hand, changes: Vec::new(), octets: 0, removed: Records::new(), added: None }
    }

    /// Takes an SOA, which ends a list of records; returns whether it is the last one.
    pub(super) fn turn(
        &mut self,
        serial: Serial,
        soa: &Record<'_>,
        limits: &Limits,
        warnings: &mut Warnings,
    ) -> Result<bool, Reason> {
        if let Some((to, added)) = self.added.take() {
            if serial != to {
                return Err(Reason::OutOfSync(to, serial));
            }
            self.close(added, limits, warnings)?;
            if to == self.end {
                return Ok(true);
            }
        }
        let mut list = Records::new();
        list.push(soa.owner, soa.rtype, soa.ttl, soa.rdata);
        if self.removed.is_empty() {
            self.removed = list;
            return Ok(false);
        }
        match self.data.serial() {
            Some(from) if serial <= from => Err(Reason::Backwards(from, serial)),
            _ => {
                self.added = Some((serial, list));
                Ok(false)
            }
        }
    }

    /// Takes a record that is removed or added. `zone` is the octets of the zone at hand.
    pub(super) fn take(
        &mut self,
        &Record { owner, rtype, ttl, rdata, .. }: &Record<'_>,
        zone: usize,
    ) -> Result<(), Reason> {
        let list = self.added.as_mut().map_or(&mut self.removed, |(_, added)| added);
        list.push(owner, rtype, ttl, rdata);
        let added = self.added.as_ref().map_or(0, |(_, added)| added.octets());
        let bound = zone.max(MIN_CHANGES);
        if self.octets + self.removed.octets() + added > bound {
            return Err(Reason::ChangesOutgrowZone(bound));
        }
        Ok(())
    }

    /// The changes, and the version that they have made.
    pub(super) fn finish(&mut self) -> (Vec<Change>, ZoneData) {
        (mem::take(&mut self.changes), self.data.clone())
    }

    /// Makes the change whose records are all there.
    fn close(&mut self, added: Records, limits: &Limits, warnings: &mut Warnings) -> Result<(), Reason> {
        let removed = mem::take(&mut self.removed);
        for record in removed.iter() {
            if self.data.rrset(record.owner, record.rtype).is_some_and(|rrset| rrset.ttl != record.ttl) {
                return Err(Reason::OtherTtl(record.owner.to_owned(), record.rtype));
            }
        }
        let mut change = Change::new(removed, added).ok_or(Reason::MalformedSoa)?;
        let mut data = change.apply(&self.data);
        if let Err(ChangeError::Present(..) | ChangeError::Missing(..)) = data {
            change = effective(&change, &self.data, warnings).ok_or(Reason::MalformedSoa)?;
            data = change.apply(&self.data);
        }
        let data = data.map_err(Reason::NotExact)?;
        limits.check_records(data.records())?;
        check_apex(&data)?;
        for record in change.added().iter() {
            data.node(record.owner).map_or(Ok(()), |node| limits.check_node(node))?;
        }
        self.octets += change.octets();
        self.changes.push(change);
        self.data = data;
        Ok(())
    }
}

/// The change without what has no effect. NSD adds records that are there, and BIND takes that.
fn effective(change: &Change, zone: &ZoneData, warnings: &mut Warnings) -> Option<Change> {
    let mut no_effect = |record: RecordRef<'_>| {
        warnings.add(|| Warning::NoEffect(record.owner.to_owned(), record.rtype));
    };
    let (mut gone, mut removed) = (HashSet::new(), Records::new());
    for record in change.removed().iter() {
        if gone.insert(record.key()) {
            removed.push(record.owner, record.rtype, record.ttl, record.rdata);
        } else {
            no_effect(record);
        }
    }
    let (mut come, mut added) = (HashSet::new(), Records::new());
    for record in change.added().iter() {
        let key = record.key();
        let rrset = zone.rrset(record.owner, record.rtype);
        let stays =
            !gone.contains(&key) && rrset.is_some_and(|rrset| rrset.ttl == record.ttl && rrset.contains(record.rdata));
        if !stays && come.insert(key) {
            added.push(record.owner, record.rtype, record.ttl, record.rdata);
        } else {
            no_effect(record);
        }
    }
    Change::new(removed, added)
}
