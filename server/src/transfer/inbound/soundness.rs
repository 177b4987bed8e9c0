//! What a zone that was transferred must not hold: limits, and rules for which named refuses a transfer too.

use zonefmt::{Name, Rtype, zone::may_stand_beside_cname};

use super::Refusal;
use crate::zone::{Node, ZoneData};

/// How much a transferred zone may hold; 0 means no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Records (`max-records`).
    pub records: u32,
    /// Records of an RRset (`max-records-per-type`).
    pub records_per_type: u32,
    /// Types of a name (`max-types-per-name`).
    pub types_per_name: u32,
    /// Octets of a transfer's messages.
    pub octets: u64,
}

impl Default for Limits {
    /// The defaults of `named -C`; and 8 GiB, more than a zone can hold.
    fn default() -> Limits {
        Limits { records: 0, records_per_type: 100, types_per_name: 100, octets: 8 << 30 }
    }
}

impl Limits {
    /// Checks the number of a zone's records.
    pub(super) fn check_records(&self, records: usize) -> Result<(), Refusal> {
        if is_over(records, self.records) { Err(Refusal::TooManyRecords(self.records)) } else { Ok(()) }
    }

    /// Checks all names of a zone.
    pub(super) fn check_zone(&self, zone: &ZoneData) -> Result<(), Refusal> {
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
    ) -> Result<(), Refusal> {
        if is_over(records, self.records_per_type) {
            let (owner, rtype) = of();
            return Err(Refusal::TooManyInRrset(owner, rtype, self.records_per_type));
        }
        if is_over(types, self.types_per_name) {
            return Err(Refusal::TooManyTypes(of().0, self.types_per_name));
        }
        Ok(())
    }

    /// Checks one name.
    pub(super) fn check_node(&self, node: Node<'_>) -> Result<(), Refusal> {
        let (mut types, mut beside_cname, mut cname) = (0, false, false);
        for rrset in node.rrsets() {
            let rtype = rrset.rtype;
            types += 1;
            cname |= rtype == Rtype::CNAME;
            beside_cname |= rtype != Rtype::CNAME && !may_stand_beside_cname(rtype);
            self.check_name(types, rrset.len(), || (node.owner(), rtype))?;
            if rrset.len() > 1 && matches!(rtype, Rtype::SOA | Rtype::CNAME | Rtype::DNAME) {
                return Err(Refusal::Several(node.owner(), rtype));
            }
            if matches!(rtype, Rtype::NS | Rtype::NSEC3) && node.labels().starts_with(b"\x01*") {
                return Err(Refusal::AtWildcard(node.owner(), rtype));
            }
        }
        if cname && beside_cname { Err(Refusal::CnameAndOther(node.owner())) } else { Ok(()) }
    }
}

/// Checks that a zone has its NS records.
pub(super) fn check_apex(zone: &ZoneData) -> Result<(), Refusal> {
    let has_ns = zone.apex().is_some_and(|apex| apex.rrset(Rtype::NS).is_some());
    if has_ns { Ok(()) } else { Err(Refusal::NoNs) }
}

fn is_over(count: usize, limit: u32) -> bool {
    limit != 0 && count > limit as usize
}
