//! What a zone that was transferred must not hold: limits, and rules for which named refuses a transfer too. A copy that
//! fulfils them is served after a restart, too.

use zonefmt::{
    Name, Rtype,
    zone::{has_fine_names, may_stand_beside_cname},
};

use super::Reason;
use crate::{
    settings::{self, Updates, ZoneSettings},
    zone::{Node, ZoneData},
};

/// What a transfer may bring; of numbers, 0 means no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// What the zone may hold.
    pub zone: settings::Limits,
    /// Whether host names may only have letters, digits and hyphens (`check-names secondary fail`).
    pub host_names: bool,
    /// Octets of all messages.
    pub octets: u64,
}

impl Default for Limits {
    /// The zone's defaults; and 8 GiB, more than a zone can hold.
    fn default() -> Limits {
        Limits { zone: settings::Limits::default(), host_names: false, octets: 8 << 30 }
    }
}

impl Limits {
    /// Those of a secondary zone.
    pub fn of(settings: &ZoneSettings) -> Limits {
        let Updates { limits: zone, checks, .. } = settings.updates;
        Limits { zone, host_names: checks.names, ..Limits::default() }
    }

    /// Checks the number of a zone's records.
    pub(super) fn check_records(&self, records: usize) -> Result<(), Reason> {
        if is_over(records, self.zone.records) { Err(Reason::TooManyRecords(self.zone.records)) } else { Ok(()) }
    }

    /// Checks all names of a zone.
    pub(crate) fn check_zone(&self, zone: &ZoneData) -> Result<(), Reason> {
        self.check_records(zone.records())?;
        check_apex(zone)?;
        zone.iter().try_for_each(|node| self.check_node(node))
    }

    /// Checks the number of types of a name, and that of its records of a type.
    pub(super) fn check_name(
        &self,
        types: usize,
        records: usize,
        of: impl Fn() -> (Name, Rtype),
    ) -> Result<(), Reason> {
        if is_over(records, self.zone.records_per_type) {
            let (owner, rtype) = of();
            return Err(Reason::TooManyInRrset(owner, rtype, self.zone.records_per_type));
        }
        if is_over(types, self.zone.types_per_name) {
            return Err(Reason::TooManyTypes(of().0, self.zone.types_per_name));
        }
        Ok(())
    }

    /// Checks one name.
    pub(super) fn check_node(&self, node: Node<'_>) -> Result<(), Reason> {
        let (mut types, mut beside_cname, mut cname) = (0, false, false);
        for rrset in node.rrsets() {
            let rtype = rrset.rtype;
            types += 1;
            cname |= rtype == Rtype::CNAME;
            beside_cname |= rtype != Rtype::CNAME && !may_stand_beside_cname(rtype);
            self.check_name(types, rrset.len(), || (node.owner(), rtype))?;
            if rrset.len() > 1 && matches!(rtype, Rtype::SOA | Rtype::CNAME | Rtype::DNAME) {
                return Err(Reason::Several(node.owner(), rtype));
            }
            if self.host_names && rrset.rdatas().any(|rdata| !has_fine_names(node.owner().as_ref(), rtype, rdata)) {
                return Err(Reason::HostName(node.owner(), rtype));
            }
            if matches!(rtype, Rtype::NS | Rtype::NSEC3) && node.labels().starts_with(b"\x01*") {
                return Err(Reason::AtWildcard(node.owner(), rtype));
            }
        }
        if cname && beside_cname { Err(Reason::CnameAndOther(node.owner())) } else { Ok(()) }
    }
}

/// Checks that a zone has its NS records, and is not signed: without its signatures in answers, it would be bogus.
pub(super) fn check_apex(zone: &ZoneData) -> Result<(), Reason> {
    let rrset = |rtype| zone.apex().and_then(|apex| apex.rrset(rtype));
    if rrset(Rtype::NS).is_none() {
        return Err(Reason::NoNs);
    }
    if rrset(Rtype::DNSKEY).is_some() {
        return Err(Reason::Signed);
    }
    zone.unknown_hash().map_or(Ok(()), |algorithm| Err(Reason::Nsec3Hash(algorithm)))
}

fn is_over(count: usize, limit: u32) -> bool {
    limit != 0 && count > limit as usize
}
