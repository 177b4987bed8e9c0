//! The records of a transfer, in order, from one version of a zone.

use std::vec;

use zonefmt::{Rtype, Serial};

use super::packer::{Full, Owner, Packer};
use crate::zone::{Change, Node, Walk, ZoneData};

/// The records of a transfer that are still to be sent.
pub(super) struct Content {
    serial: Serial,
    /// The names that are still to be sent.
    walk: Walk,
    /// How many records of the first of them are sent.
    begun: usize,
    /// What is sent instead of all names, if the client has an earlier version.
    changes: Option<Changes>,
    stage: Stage,
}

/// The changes that are still to be sent.
struct Changes {
    left: vec::IntoIter<Change>,
    /// The first of them, once it is begun.
    current: Option<Change>,
    /// Whether its removed records are sent.
    adds: bool,
    /// How many octets of the records at hand are sent.
    sent: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The SOA, and nothing else.
    OnlySoa,
    /// The SOA that the transfer begins with.
    FirstSoa,
    /// All other records of the zone, or the changes.
    Records,
    /// The SOA again.
    LastSoa,
    Done,
}

impl Content {
    /// The whole zone: the SOA, every other record, and the SOA again (RFC 5936 2.2).
    pub(super) fn whole(zone: &ZoneData, serial: Serial) -> Content {
        Content { serial, walk: zone.walk(), begun: 0, changes: None, stage: Stage::FirstSoa }
    }

    /// The SOA, the changes that lead to this version, and the SOA again (RFC 1995 4).
    pub(super) fn changes(zone: &ZoneData, serial: Serial, changes: Vec<Change>) -> Content {
        let changes = Changes { left: changes.into_iter(), current: None, adds: false, sent: 0 };
        Content { changes: Some(changes), ..Content::whole(zone, serial) }
    }

    /// The SOA alone, for a client that has the zone already (RFC 1995 2).
    pub(super) fn soa(zone: &ZoneData, serial: Serial) -> Content {
        Content { stage: Stage::OnlySoa, ..Content::whole(zone, serial) }
    }

    /// The serial of the version that is sent.
    pub(super) fn serial(&self) -> Serial {
        self.serial
    }

    /// Whether all records are sent.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Adds as many records to a message as it takes.
    pub(super) fn fill(&mut self, packer: &mut Packer<'_>) {
        while self.stage != Stage::Done {
            let Ok(next) = self.step(packer) else { return };
            self.stage = next;
        }
    }

    /// Sends the next part, and returns what comes then.
    fn step(&mut self, packer: &mut Packer<'_>) -> Result<Stage, Full> {
        match self.stage {
            Stage::OnlySoa | Stage::LastSoa => self.soa_record(packer).map(|()| Stage::Done),
            Stage::FirstSoa => self.soa_record(packer).map(|()| Stage::Records),
            Stage::Records => {
                if let Some(changes) = &mut self.changes {
                    return changes.fill(self.walk.zone(), packer).map(|()| Stage::LastSoa);
                }
                let Some(node) = self.walk.node() else { return Ok(Stage::LastSoa) };
                self.begun = node_records(node, self.begun, packer).map_err(|sent| {
                    self.begun = sent;
                    Full
                })?;
                self.walk.advance();
                Ok(Stage::Records)
            }
            Stage::Done => Ok(Stage::Done),
        }
    }

    fn soa_record(&self, packer: &mut Packer<'_>) -> Result<(), Full> {
        let zone = self.walk.zone();
        let owner = Owner { labels: &[], origin: zone.origin(), is_same: false };
        let soa = zone.apex().and_then(|apex| apex.rrset(Rtype::SOA));
        soa.into_iter().try_for_each(|soa| {
            soa.rdatas().take(1).try_for_each(|rdata| packer.put(owner, Rtype::SOA, soa.ttl, rdata))
        })
    }
}

impl Changes {
    /// Adds all records that are left.
    fn fill(&mut self, zone: &ZoneData, packer: &mut Packer<'_>) -> Result<(), Full> {
        loop {
            if self.current.is_none() {
                (self.current, self.adds, self.sent) = (self.left.next(), false, 0);
            }
            let Some(change) = &self.current else { return Ok(()) };
            let records = if self.adds { change.added() } else { change.removed() };
            while let Some((record, end)) = records.at(self.sent) {
                if let Some(labels) = record.owner.strip_suffix(zone.origin()) {
                    let owner = Owner { labels, origin: zone.origin(), is_same: false };
                    packer.put(owner, record.rtype, record.ttl, record.rdata)?;
                }
                self.sent = end;
            }
            if self.adds {
                self.current = None;
            }
            (self.adds, self.sent) = (true, 0);
        }
    }
}

/// Adds the records of a name behind the first `begun`, except for the zone's SOA.
///
/// # Errors
/// The message is full; the number of records sent by then, the earlier ones included.
fn node_records(node: Node<'_>, begun: usize, packer: &mut Packer<'_>) -> Result<usize, usize> {
    let (labels, origin) = (node.labels(), node.origin());
    let mut index = 0;
    for set in node.rrsets().filter(|set| !(labels.is_empty() && set.rtype == Rtype::SOA)) {
        for rdata in set.rdatas() {
            let owner = Owner { labels, origin, is_same: index > begun };
            if index >= begun {
                packer.put(owner, set.rtype, set.ttl, rdata).map_err(|Full| index)?;
            }
            index += 1;
        }
    }
    Ok(0)
}
