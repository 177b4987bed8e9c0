//! The rules of a whole zone whose breach makes named refuse it, each with its words: one list for those who check a zone
//! file, line by line, and for a server, which looks at the data that it is about to serve.

use std::fmt;

use crate::{NameRef, Rtype};

/// A rule, and what breaks it; shown, it says what is wrong.
#[derive(Clone, Copy, Debug)]
pub enum Rule<'a> {
    /// A zone has a SOA.
    Soa(NameRef<'a>),
    /// A zone has NS at its top.
    Ns(NameRef<'a>),
    /// An owner has one record of this type: SOA, CNAME, DNAME.
    Single(Rtype, NameRef<'a>),
    /// A CNAME stands alone; see [`may_stand_beside_cname`].
    CnameAlone(NameRef<'a>),
    /// A wildcard does not delegate.
    NoWildcardNs(NameRef<'a>),
    /// DS belongs to the parent.
    NoDsAtApex(NameRef<'a>),
    /// An RRset fits a message: [`MAX_RRSET`].
    RrsetSize(Rtype, NameRef<'a>),
    /// Of the NSEC3PARAM records one has a known hash algorithm; this one has not.
    Nsec3Hash(u8),
    /// CDS and CDNSKEY ask the parent for keys that the zone has, or to delete all.
    ChildKey(Rtype),
    /// The name in NS, MX or SRV is of use. Only of NS at the zone's top it is an error that it is not.
    Target {
        /// The type.
        rtype: Rtype,
        /// The name in its data.
        target: NameRef<'a>,
        /// The owner.
        owner: NameRef<'a>,
        /// What is wrong with the name.
        problem: TargetProblem,
    },
}

/// What is wrong with a name in NS, MX or SRV.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetProblem {
    /// It has no A and no AAAA.
    NoAddress,
    /// It is a CNAME.
    Cname,
    /// It lies below a DNAME.
    Dname,
    /// It lies below the very cut that needs it, without addresses there.
    NoGlue,
    /// It lies below another cut, without addresses there.
    NoSiblingGlue,
}

/// The largest sum of an RRset's data, two octets for the length of each record included, that BIND takes.
pub const MAX_RRSET: u32 = 65_512;

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
    /// What to do.
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
