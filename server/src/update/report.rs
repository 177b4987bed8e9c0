//! What is logged of an update, in BIND's words: why it was refused, and what became of its operations.

use std::{borrow::Cow, fmt};

use zonefmt::{Name, NameRef, Rtype, rdata};

use crate::Rcode;

/// Why an update was refused. It has changed nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The response code.
    pub rcode: Rcode,
    about: Option<(Name, Option<Rtype>)>,
    reason: Cow<'static, str>,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug)]
pub enum Note<'a> {
    /// A record is added, or gets another TTL.
    Adds(NameRef<'a>, Rtype, &'a [u8]),
    /// A record goes, if it exists.
    Deletes(NameRef<'a>, Rtype),
    /// An RRset goes, if it exists.
    DeletesRrset(NameRef<'a>, Rtype),
    /// All RRsets of a name go.
    DeletesName(NameRef<'a>),
    /// The operation has no effect (RFC 2136 3.4.2).
    Noted(Noted),
}

/// Why an operation has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The texts say it.
pub enum Noted {
    Obsolete(Rtype),
    Wildcard(Rtype),
    CnameBesideOthers,
    BesideCname,
    SecondSoa,
    OldSerial,
    AtApex(Rtype),
    OverLimit(u32),
    DeleteSoaOrNs,
    DeleteSoa,
    DeleteLastNs,
}

impl Refusal {
    pub(super) fn new(rcode: Rcode, reason: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { rcode, about: None, reason: reason.into() }
    }

    pub(super) fn of_name(rcode: Rcode, name: NameRef<'_>, reason: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { rcode, about: Some((name.to_owned(), None)), reason: reason.into() }
    }

    pub(super) fn of(rcode: Rcode, name: NameRef<'_>, rtype: Rtype, reason: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { rcode, about: Some((name.to_owned(), Some(rtype))), reason: reason.into() }
    }

    /// Why it was refused, without the response code.
    pub(super) fn why(&self) -> String {
        let Refusal { about, reason, .. } = self;
        match about {
            Some((name, Some(rtype))) => format!("{}/{rtype}: {reason}", name.as_ref().without_final_dot()),
            Some((name, None)) => format!("{}: {reason}", name.as_ref().without_final_dot()),
            None => reason.to_string(),
        }
    }

    /// The client may not update the zone at all.
    pub(super) fn denied() -> Refusal {
        Refusal::new(Rcode::REFUSED, "denied")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unmet = matches!(self.rcode, Rcode::NXDOMAIN | Rcode::YXDOMAIN | Rcode::NXRRSET | Rcode::YXRRSET);
        write!(f, "update {}: {} ({})", if unmet { "unsuccessful" } else { "failed" }, self.why(), self.rcode)
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Note::Adds(owner, rtype, data) => {
                let mut text = String::new();
                rdata::write_text(rtype, data, &rdata::Style::FULL, &mut text);
                write!(f, "adding an RR at '{}' {rtype} {text}", owner.without_final_dot())
            }
            Note::Deletes(owner, rtype) => write!(f, "deleting an RR at {} {rtype}", owner.without_final_dot()),
            Note::DeletesRrset(owner, rtype) => write!(f, "deleting rrset at '{}' {rtype}", owner.without_final_dot()),
            Note::DeletesName(owner) => write!(f, "delete all rrsets from name '{}'", owner.without_final_dot()),
            Note::Noted(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Noted::Obsolete(rtype) => write!(f, "attempt to add {rtype} ignored"),
            Noted::Wildcard(rtype) => write!(f, "attempt to add wildcard {rtype} record ignored"),
            Noted::CnameBesideOthers => f.write_str("attempt to add CNAME alongside non-CNAME ignored"),
            Noted::BesideCname => f.write_str("attempt to add non-CNAME alongside CNAME ignored"),
            Noted::SecondSoa => f.write_str("attempt to create 2nd SOA ignored"),
            Noted::OldSerial => f.write_str("SOA update failed to increment serial, ignoring it"),
            Noted::AtApex(rtype) => write!(f, "attempt to add a {rtype} record at zone apex ignored"),
            Noted::OverLimit(most) => {
                write!(f, "attempt to add more records than permitted by policy max={most}")
            }
            Noted::DeleteSoaOrNs => f.write_str("attempt to delete all SOA or NS records ignored"),
            Noted::DeleteSoa => f.write_str("attempt to delete SOA ignored"),
            Noted::DeleteLastNs => f.write_str("attempt to delete last NS ignored"),
        }
    }
}
