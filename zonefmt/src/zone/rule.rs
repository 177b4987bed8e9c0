//! The rules for a whole zone that named enforces when it loads one, with their messages. The list is shared by the
//! check of zone files and by the server, which looks at the data that it is about to serve.

use std::fmt;

use super::MAX_RRSET;
use crate::{NameRef, Rtype};

/// A rule, with what breaks it. `Display` gives the error.
#[derive(Clone, Copy, Debug)]
pub enum Rule<'a> {
    /// A zone must have an SOA.
    Soa(NameRef<'a>),
    /// A zone must have NS records at its apex.
    Ns(NameRef<'a>),
    /// An owner may have only one record of this type: SOA, CNAME, DNAME.
    Single(Rtype, NameRef<'a>),
    /// A CNAME must be alone; see [`may_stand_beside_cname`].
    CnameAlone(NameRef<'a>),
    /// A wildcard must not have NS records.
    NoWildcardNs(NameRef<'a>),
    /// DS belongs to the parent zone, not to the apex.
    NoDsAtApex(NameRef<'a>),
    /// An RRset must fit into a message: [`MAX_RRSET`].
    RrsetSize(Rtype, NameRef<'a>),
    /// At least one NSEC3PARAM record must have a known hash algorithm; this is the number of an unknown one.
    Nsec3Hash(u8),
    /// CDS and CDNSKEY must ask the parent for keys that the zone has, or for none.
    ChildKey(Rtype),
    /// The name in NS, MX or SRV must be usable. This is an error only for NS at the apex, and otherwise a warning.
    Target {
        /// The type.
        rtype: Rtype,
        /// The name in the record's data.
        target: NameRef<'a>,
        /// The owner.
        owner: NameRef<'a>,
        /// Why the name is not usable.
        problem: TargetProblem,
    },
}

/// Why a name in NS, MX or SRV is not usable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetProblem {
    /// The name has neither A nor AAAA.
    NoAddress,
    /// The name is a CNAME.
    Cname,
    /// The name is below a DNAME.
    Dname,
    /// The name is below the delegation that needs it, without addresses there.
    NoGlue,
    /// The name is below another delegation, without addresses there.
    NoSiblingGlue,
}

/// Whether records of a type may have a CNAME beside them (RFC 2181 10.1, RFC 4035 2.5).
#[inline]
pub const fn may_stand_beside_cname(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::NSEC | Rtype::RRSIG | Rtype::SIG | Rtype::KEY)
}

/// Whether CDS or CDNSKEY data asks for the deletion of all keys (RFC 8078 4).
pub const fn deletes_keys(data: &[u8]) -> bool {
    matches!(data, [0, 0, 0 | 3, 0, 0])
}

impl Rule<'_> {
    /// What to write instead.
    pub fn help(&self) -> String {
        match *self {
            Rule::Soa(_) => "add one: @ SOA ns.example. hostmaster.example. 1 3600 900 1209600 300".into(),
            Rule::Ns(_) => "add one for each name server: @ NS ns.example.".into(),
            Rule::Single(rtype, _) => format!("an owner has one {rtype}: remove the others"),
            Rule::CnameAlone(_) => {
                "a CNAME stands alone: move it, or put the data at its target (RFC 1034 3.6.2)".into()
            }
            Rule::NoWildcardNs(_) => "name each delegated zone: a wildcard cannot delegate (RFC 4592 4.2)".into(),
            Rule::NoDsAtApex(_) => "it belongs into the parent zone (RFC 4034 5)".into(),
            Rule::RrsetSize(..) => {
                format!("an RRset has up to {MAX_RRSET} octets of data, 2 for each record included")
            }
            Rule::Nsec3Hash(_) => "write 1, SHA-1".into(),
            Rule::ChildKey(_) => "add the key, or remove the record: the parent would break the zone".into(),
            Rule::Target { problem, .. } => problem.help().into(),
        }
    }
}

impl TargetProblem {
    fn help(self) -> &'static str {
        match self {
            TargetProblem::NoAddress => "add one, or correct the name",
            TargetProblem::Cname => "name the CNAME's target instead (RFC 2181 10.3)",
            TargetProblem::Dname => "name the host that the DNAME leads to (RFC 2181 10.3)",
            TargetProblem::NoGlue => "without it nobody can reach the delegated zone (RFC 9471)",
            TargetProblem::NoSiblingGlue => "it lies in another delegated zone: add its addresses",
        }
    }
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Rule::Soa(zone) => write!(f, "the zone {zone} has no SOA record"),
            Rule::Ns(zone) => write!(f, "the zone {zone} has no NS record at its top"),
            Rule::Single(rtype, owner) => write!(f, "a second {rtype} record at {owner}"),
            Rule::CnameAlone(owner) => write!(f, "CNAME and other data at {owner}"),
            Rule::NoWildcardNs(owner) => write!(f, "NS with the wildcard owner {owner}"),
            Rule::NoDsAtApex(owner) => write!(f, "DS at the top of the zone {owner}"),
            Rule::RrsetSize(rtype, owner) => write!(f, "the {rtype} records of {owner} are too many for a message"),
            Rule::Nsec3Hash(algorithm) => write!(f, "NSEC3PARAM with the unknown hash algorithm {algorithm}"),
            Rule::ChildKey(rtype) => write!(f, "this {rtype} fits no DNSKEY of the zone"),
            Rule::Target { rtype, target, owner, problem } => write!(f, "{rtype} {target} of {owner} {problem}"),
        }
    }
}

impl fmt::Display for TargetProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetProblem::NoAddress => "has no A or AAAA record",
            TargetProblem::Cname => "is a CNAME",
            TargetProblem::Dname => "lies below a DNAME",
            TargetProblem::NoGlue => "has no glue, an A or AAAA record",
            TargetProblem::NoSiblingGlue => "has no sibling glue, an A or AAAA record",
        })
    }
}
