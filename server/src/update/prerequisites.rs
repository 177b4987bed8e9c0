//! The prerequisites of an update (RFC 2136 2.4, 3.2).

use zonefmt::{Class, NameRef, Rtype, rdata};

use super::{Item, Refusal, Update};
use crate::{
    Rcode,
    zone::{Rrset, ZoneData},
};

impl Update {
    /// Checks the prerequisites against a version of the zone.
    ///
    /// # Errors
    /// FORMERR for a prerequisite of no known form, NOTZONE for one outside of `zone`, and NXDOMAIN, YXDOMAIN, NXRRSET
    /// or YXRRSET for one that does not hold. The first that fails decides; those with values come last, as in BIND.
    pub(super) fn check_prerequisites(&self, zone: &ZoneData) -> Result<(), Refusal> {
        let mut with_values = Vec::new();
        for item in &self.prerequisites {
            if item.check_existence(zone)? {
                with_values.push(item);
            }
        }
        with_values.sort_by(|a, b| a.rrset().cmp(&b.rrset()));
        for rrset in with_values.chunk_by(|a, b| a.rrset() == b.rrset()) {
            let (owner, rtype) = rrset[0].rrset();
            let stored = zone.rrset(owner, rtype).into_iter().flat_map(Rrset::rdatas);
            if sorted(rtype, rrset.iter().map(|item| &*item.rdata)) != sorted(rtype, stored) {
                let reason = "'RRset exists (value dependent)' prerequisite not satisfied";
                return Err(Refusal::of(Rcode::NXRRSET, owner, rtype, reason));
            }
        }
        Ok(())
    }
}

impl Item {
    fn rrset(&self) -> (NameRef<'_>, Rtype) {
        (self.owner.as_ref(), self.rtype)
    }

    /// Checks a prerequisite apart from its values; returns whether it has any.
    fn check_existence(&self, zone: &ZoneData) -> Result<bool, Refusal> {
        let (owner, rtype) = self.rrset();
        if self.ttl != 0 {
            return Err(Refusal::new(Rcode::FORMERR, "prerequisite TTL is not zero"));
        }
        if !owner.is_at_or_below(zone.origin()) {
            return Err(Refusal::of_name(Rcode::NOTZONE, owner, "prerequisite name is out of zone"));
        }
        let wanted = match self.class {
            Class::IN => return Ok(true),
            Class::ANY => true,
            Class::NONE => false,
            _ => return Err(Refusal::new(Rcode::FORMERR, "malformed prerequisite")),
        };
        let node = zone.node(owner);
        if rtype == Rtype::ANY {
            return match (node.is_some(), wanted) {
                (false, true) => {
                    let reason = "'name in use' prerequisite not satisfied";
                    Err(Refusal::of_name(Rcode::NXDOMAIN, owner, reason))
                }
                (true, false) => {
                    let reason = "'name not in use' prerequisite not satisfied";
                    Err(Refusal::of_name(Rcode::YXDOMAIN, owner, reason))
                }
                _ => Ok(false),
            };
        }
        match (node.is_some_and(|node| node.rrset(rtype).is_some()), wanted) {
            (false, true) => {
                let reason = "'rrset exists (value independent)' prerequisite not satisfied";
                Err(Refusal::of(Rcode::NXRRSET, owner, rtype, reason))
            }
            (true, false) => {
                let reason = "'rrset does not exist' prerequisite not satisfied";
                Err(Refusal::of(Rcode::YXRRSET, owner, rtype, reason))
            }
            _ => Ok(false),
        }
    }
}

/// The data of records in canonical form and order.
fn sorted<'r>(rtype: Rtype, rdatas: impl Iterator<Item = &'r [u8]>) -> Vec<Vec<u8>> {
    let canonical = |data| {
        let mut out = Vec::new();
        rdata::canonical(rtype, data, &mut out);
        out
    };
    let mut all: Vec<Vec<u8>> = rdatas.map(canonical).collect();
    all.sort_unstable();
    all
}
