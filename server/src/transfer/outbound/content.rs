//! The records of a transfer, in order, from one version of a zone.

use zonefmt::{Rtype, Serial};

use super::packer::{Full, Owner, Packer};
use crate::zone::{Node, Walk, ZoneData};

/// The records of a transfer that are still to be sent.
pub(super) struct Content {
    serial: Serial,
    /// The names that are still to be sent.
    walk: Walk,
    /// How many records of the first of them are sent.
    begun: usize,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The SOA, and nothing else.
    OnlySoa,
    /// The SOA that the transfer begins with.
    FirstSoa,
    /// All other records of the zone.
    Records,
    /// The SOA again.
    LastSoa,
    Done,
}

impl Content {
    /// The whole zone: the SOA, every other record, and the SOA again (RFC 5936 2.2).
    pub(super) fn whole(zone: &ZoneData, serial: Serial) -> Content {
        Content { serial, walk: zone.walk(), begun: 0, stage: Stage::FirstSoa }
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
