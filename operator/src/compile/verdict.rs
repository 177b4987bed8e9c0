//! What became of a resource, in words that say what to do.

use std::fmt;

use zonefmt::Name;

/// What became of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The zones that serve it; for a zone, itself.
    pub served: Vec<Name>,
    /// What is wrong with it, or worth knowing.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong with a resource, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is, for programs.
    pub reason: Reason,
    /// The zone in which it is so; `None` if it is so everywhere.
    pub zone: Option<Name>,
    /// The field at fault, as a path below `spec`; empty if it is no single one.
    pub path: String,
    /// What it is and what to do, for people: a sentence without its full stop.
    pub message: String,
}

/// The list of reasons. A resource with a [loss](Reason::is_loss) is not served, or not by the zone that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No zone of the record's namespace selects it.
    NotSelected,
    /// An older zone has the same name.
    DuplicateZone,
    /// A field of a zone cannot be read.
    InvalidZone,
    /// A field of a record cannot be read.
    InvalidRecord,
    /// The record's owner is neither the zone's name nor below it.
    OutOfZone,
    /// A CNAME stands beside other data, or beside another CNAME (RFC 1034 3.6.2, RFC 2181 10.1).
    CnameConflict,
    /// The RRset would not fit into a message.
    TooLarge,
    /// The owner has the zone's name twice, which is served and hardly meant.
    RepeatedZoneName,
    /// The RRset has another TTL from an older resource, which holds for all of it (RFC 2181 5.2).
    TtlOverridden,
    /// A name server inside the zone has no address, so that nobody finds it.
    ServerWithoutAddress,
    /// Signing is asked for, and the zone is served unsigned.
    NotSigned,
}

impl Reason {
    /// Whether it keeps the resource, or what it says for a zone, from being served.
    pub fn is_loss(self) -> bool {
        use Reason::{NotSigned, RepeatedZoneName, ServerWithoutAddress, TtlOverridden};
        !matches!(self, RepeatedZoneName | TtlOverridden | ServerWithoutAddress | NotSigned)
    }
}

impl Finding {
    /// The field at fault, as a path from the resource's top.
    pub fn spec_path(&self) -> String {
        if self.path.is_empty() { "spec".into() } else { format!("spec.{}", self.path) }
    }
}

impl Verdict {
    /// Whether something of the resource is not served.
    pub fn is_loss(&self) -> bool {
        self.findings.iter().any(|finding| finding.reason.is_loss())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
