//! Dynamic updates (RFC 2136) as pure functions: a message and a version of a zone in, a refusal or the next version
//! out.
//!
//! [`Update::read`] takes the message apart. [`Update::permit`] checks what the client may do: its address and key
//! against the [`Policy`], and the form of each operation (RFC 2136 3.4.1). [`Permitted::apply`] checks the prerequisites
//! (`prerequisites`) and makes the change (`apply`), both against one and the same version, or changes nothing. The
//! order of the checks, and so the response code when several fail, is BIND's, and so are the texts.
//!
//! `service` carries out the updates of a running server, `stored` those that become durable elsewhere, each of them a
//! `job` that gets a reply. Those of secondary zones go to their primaries ([`forward`](crate::forward)).

mod apply;
mod job;
mod observers;
mod policy;
mod prerequisites;
mod report;
mod request;
mod serial;
mod service;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use job::Reply;
pub(crate) use observers::Observers;
pub use policy::{Names, Policy, Rule, TypeLimit, Updater, Verdict};
pub use report::{Note, Refusal};
pub(crate) use request::Request;
pub use serial::SerialMethod;
pub(crate) use service::Admitted;
pub use service::Queue;

use std::num::NonZeroU32;

use zonefmt::{
    Class, Name, NameRef, Rtype, rdata,
    zone::{deletes_keys, has_fine_names},
};

use crate::{
    Malformed, Rcode,
    message::{Message, Record, Records},
    settings::Updates,
    zone::ZoneData,
};

/// An update as it was read: which zone it is for, and what it asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    zone: Name,
    prerequisites: Vec<Item>,
    operations: Vec<Item>,
}

/// An update that its client may make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permitted {
    update: Update,
    /// For each operation, how many records of the type the policy allows at the name.
    limits: Vec<Option<NonZeroU32>>,
}

/// A record of a prerequisite or of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Item {
    owner: Name,
    rtype: Rtype,
    class: Class,
    ttl: u32,
    rdata: Box<[u8]>,
}

impl Update {
    /// Reads an update.
    ///
    /// # Errors
    /// FORMERR if the message has no zone section of type SOA (RFC 2136 3.1.1) or a malformed record; NOTAUTH if the
    /// zone is of a class that has no zones here.
    pub fn read(message: &Message<'_>) -> Result<Update, Refusal> {
        let zone = message.question().ok_or_else(|| Refusal::new(Rcode::FORMERR, "update zone section empty"))?;
        if zone.qtype != Rtype::SOA {
            return Err(Refusal::new(Rcode::FORMERR, "update zone section contains non-SOA"));
        }
        match zone.qclass {
            Class::IN => {}
            Class::ANY | Class::NONE => return Err(Refusal::new(Rcode::FORMERR, "zone section of a meta-class")),
            _ => return Err(Refusal::of_name(Rcode::NOTAUTH, zone.qname, "not authoritative for update zone")),
        }
        let prerequisites = Item::all(message.answers(), |item| match item.class {
            Class::ANY | Class::NONE => item.rdata.is_empty(),
            _ => true,
        })?;
        let operations = Item::all(message.authorities(), |item| match item.class {
            Class::ANY => item.rdata.is_empty(),
            Class::NONE => rdata::validate(item.rtype, &item.rdata).is_ok(),
            _ => true,
        })?;
        Item::all(message.additionals(), |_| true)?;
        Ok(Update { zone: zone.qname.to_owned(), prerequisites, operations })
    }

    /// The zone that the update is for.
    pub fn zone(&self) -> NameRef<'_> {
        self.zone.as_ref()
    }

    /// Checks whether the client may make the changes, and their form.
    ///
    /// # Errors
    /// REFUSED for a client or an operation that the zone's policy or `check-names` does not allow, and for types that
    /// only a signing server may change; NOTZONE for an operation outside of `zone`; FORMERR for one of no known form.
    /// The first operation that fails decides.
    pub fn permit(self, by: Updater<'_>, zone: &ZoneData, settings: &Updates) -> Result<Permitted, Refusal> {
        if !settings.policy.admits(by) {
            return Err(Refusal::denied());
        }
        let limits = self.operations.iter().map(|item| item.permit(by, zone, settings)).collect::<Result<_, _>>()?;
        Ok(Permitted { update: self, limits })
    }
}

impl Item {
    /// Reads the records of a section, each of which must have a form.
    fn all(mut records: Records<'_>, has_form: impl Fn(&Item) -> bool) -> Result<Vec<Item>, Refusal> {
        let malformed = |_| Refusal::new(Rcode::FORMERR, "malformed record");
        let mut all = Vec::new();
        while let Some(Record { owner, rtype, class, ttl, rdata }) = records.next().map_err(malformed)? {
            let item = Item { owner: owner.to_owned(), rtype, class, ttl, rdata: rdata.into() };
            if !has_form(&item) {
                return Err(malformed(Malformed));
            }
            all.push(item);
        }
        Ok(all)
    }

    /// Checks an operation (RFC 2136 3.4.1.3, 3.3); returns how many records of its type the name may have.
    fn permit(&self, by: Updater<'_>, zone: &ZoneData, settings: &Updates) -> Result<Option<NonZeroU32>, Refusal> {
        let Item { owner, rtype, class, ttl, rdata } = self;
        let (owner, rtype) = (owner.as_ref(), *rtype);
        if !owner.is_at_or_below(zone.origin()) {
            return Err(Refusal::new(Rcode::NOTZONE, "update RR is outside zone"));
        }
        let has_form = match *class {
            Class::IN => !rtype.is_meta(),
            Class::ANY => *ttl == 0 && (rtype == Rtype::ANY || !rtype.is_meta()),
            Class::NONE => *ttl == 0 && !rtype.is_meta(),
            _ => return Err(Refusal::new(Rcode::FORMERR, format!("update RR has incorrect class {}", class.0))),
        };
        if !has_form {
            return Err(Refusal::new(Rcode::FORMERR, "meta-RR in update"));
        }
        if *class == Class::IN && settings.checks.names && !has_fine_names(owner, rtype, rdata) {
            return Err(Refusal::of(Rcode::REFUSED, owner, rtype, "bad name (check-names)"));
        }
        if matches!(rtype, Rtype::NSEC | Rtype::NSEC3) || rtype == Rtype::RRSIG && owner != zone.origin() {
            return Err(Refusal::of(Rcode::REFUSED, owner, rtype, "explicit updates are not allowed"));
        }
        // A zone with these would not load again as long as zones are not signed here.
        let signs = match rtype {
            Rtype::DNSKEY | Rtype::NSEC3PARAM => true,
            Rtype::CDS | Rtype::CDNSKEY => !deletes_keys(rdata),
            _ => false,
        };
        if *class == Class::IN && signs && owner == zone.origin() {
            return Err(Refusal::of(Rcode::REFUSED, owner, rtype, "signed zones are not supported yet"));
        }
        let refused = || Refusal::of(Rcode::REFUSED, owner, rtype, "rejected by secure update");
        if rtype != Rtype::ANY {
            return match settings.policy.verdict(by, owner, rtype) {
                Verdict::Granted(most) => Ok(most),
                Verdict::Refused => Err(refused()),
            };
        }
        // All RRsets of a name are to go: each of them must be allowed.
        let mut types = zone.node(owner).into_iter().flat_map(|node| node.rrsets().map(|set| set.rtype));
        let may_go = |rtype| settings.policy.verdict(by, owner, rtype) != Verdict::Refused;
        if types.all(|rtype| matches!(rtype, Rtype::RRSIG | Rtype::NSEC) || may_go(rtype)) {
            return Ok(None);
        }
        Err(refused())
    }
}

impl Permitted {
    /// The zone that the update is for.
    pub fn zone(&self) -> NameRef<'_> {
        self.update.zone()
    }
}
