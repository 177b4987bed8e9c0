//! Why a question to a primary, or a transfer, fails.

use std::{fmt, io, time::Duration};

use zonefmt::{Class, Name, Rtype, Serial};

use crate::{
    Rcode,
    transfer::SourceError,
    tsig::SignatureError,
    zone::{ChangeError, EditError},
};

/// A question or a transfer that failed as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The reason.
    pub why: Reason,
    /// Whether the same primary may still give the whole zone: the question was IXFR, and what came was not the whole
    /// zone.
    pub axfr_may_help: bool,
}

/// The reason of a failure: what the primary sent, or that nothing came.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The primary cannot be reached, or the connection to it broke.
    Io(io::ErrorKind),
    /// Nothing can be sent from the configured address.
    Source(SourceError),
    /// The primary closed the connection before the transfer was complete.
    Closed,
    /// Nothing came for this long.
    Idle(Duration),
    /// The transfer took longer than this.
    Overdue(Duration),
    /// A message is not signed as it has to be (RFC 8945 5.3).
    Signature(SignatureError),
    /// The answer to a question for the SOA is not authoritative.
    NotAuthoritative,
    /// The answer to a question for the SOA has this many of them.
    SoaCount(usize),
    /// A message, or a record in it, is malformed.
    Malformed,
    /// A message has the id of another question.
    OtherId,
    /// A message is not a response.
    NotAResponse,
    /// A message is not about a query.
    OtherOpcode,
    /// A message says that it was truncated.
    Truncated,
    /// A message has this response code.
    Rcode(Rcode),
    /// The first message has no question.
    NoQuestion,
    /// A message has another question.
    OtherQuestion,
    /// The answer is empty.
    NoAnswer,
    /// More messages than this have no records.
    TooManyEmpty(u32),
    /// The messages have more octets than this.
    TooManyOctets(u64),
    /// The first record is of this type, not an SOA.
    FirstNotSoa(Rtype),
    /// The data of an SOA cannot be read.
    MalformedSoa,
    /// An SOA is at this name, which is not the apex.
    SoaElsewhere(Name),
    /// The SOA at the end of an AXFR differs from the first: their serials.
    SoaMismatch(Serial, Serial),
    /// Records follow the last SOA.
    AfterEnd,
    /// A record is of this class, not of the zone's.
    OtherClass(Class),
    /// A record is of a type that exists only in questions.
    MetaType(Name, Rtype),
    /// A record cannot be stored.
    Unfit(Name, Rtype, EditError),
    /// A change of an IXFR starts from the second serial; the one before led to the first.
    OutOfSync(Serial, Serial),
    /// A change of an IXFR leads from the first serial back to the second.
    Backwards(Serial, Serial),
    /// A change of an IXFR does not fit the zone.
    NotExact(ChangeError),
    /// A record that an IXFR removes has another TTL in the zone.
    OtherTtl(Name, Rtype),
    /// The changes of an IXFR have more octets than the zone.
    ChangesOutgrowZone(usize),
    /// The zone has no NS records at its apex.
    NoNs,
    /// The zone is signed (it has a DNSKEY).
    Signed,
    /// A name has a CNAME and other data.
    CnameAndOther(Name),
    /// A name has several records of a type that allows one.
    Several(Name, Rtype),
    /// A wildcard has records of a type that no wildcard can have.
    AtWildcard(Name, Rtype),
    /// Its NSEC3PARAM records have no other hash algorithm than this unknown one.
    Nsec3Hash(u8),
    /// The owner or the data of such a record is not the name of a host.
    HostName(Name, Rtype),
    /// The zone has more records than `max-records` allows.
    TooManyRecords(u32),
    /// An RRset has more records than `max-records-per-type` allows.
    TooManyInRrset(Name, Rtype, u32),
    /// A name has more types than `max-types-per-name` allows.
    TooManyTypes(Name, u32),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Io(kind) => write!(f, "{kind}: check that the primary runs and can be reached"),
            Reason::Closed => f.write_str("end of file: the primary closed the connection"),
            Reason::Idle(limit) => {
                write!(f, "timed out: nothing came for {} s; check the primary and the network", limit.as_secs_f32())
            }
            Reason::Overdue(limit) => {
                write!(f, "timed out after {} s; `max-transfer-time-in` may be raised", limit.as_secs_f32())
            }
            Reason::Signature(error) => error.fmt(f),
            Reason::Source(error) => error.fmt(f),
            Reason::NotAuthoritative => f.write_str("non-authoritative answer: check that the zone is loaded there"),
            Reason::SoaCount(count) => write!(f, "answer SOA count ({count}) != 1"),
            Reason::Malformed => f.write_str("FORMERR: a message is malformed"),
            Reason::OtherId => f.write_str("unexpected message id"),
            Reason::NotAResponse => f.write_str("a message is not a response"),
            Reason::OtherOpcode => f.write_str("unexpected OPCODE"),
            Reason::Truncated => f.write_str("a message is truncated"),
            Reason::Rcode(rcode) => write!(f, "{rcode}: the primary does not give the zone"),
            Reason::NoQuestion => f.write_str("the first message has no question"),
            Reason::OtherQuestion => f.write_str("question section mismatch"),
            Reason::NoAnswer => f.write_str("empty answer section"),
            Reason::TooManyEmpty(limit) => write!(f, "more than {limit} messages have no records"),
            Reason::TooManyOctets(limit) => write!(f, "the messages have more than {limit} octets"),
            Reason::FirstNotSoa(rtype) => write!(f, "the first record is {rtype}, but a transfer starts with the SOA"),
            Reason::MalformedSoa => f.write_str("the data of an SOA is malformed"),
            Reason::SoaElsewhere(owner) => write!(f, "not at top of zone: {owner} has an SOA"),
            Reason::SoaMismatch(first, last) => {
                write!(f, "start and ending SOA records mismatch: serials {} and {}", first.0, last.0)
            }
            Reason::AfterEnd => f.write_str("extra input data: records follow the last SOA"),
            Reason::OtherClass(class) => write!(f, "a record is of class {class}, the zone of class IN"),
            Reason::MetaType(owner, rtype) => write!(f, "{owner} {rtype} cannot be data of a zone"),
            Reason::Unfit(owner, rtype, error) => write!(f, "{owner} {rtype}: {error}"),
            Reason::OutOfSync(expected, found) => {
                write!(f, "IXFR out of sync: expected serial {}, got {}", expected.0, found.0)
            }
            Reason::Backwards(from, to) => write!(f, "IXFR leads from serial {} back to {}", from.0, to.0),
            Reason::NotExact(error) => write!(f, "not exact: a change {error}"),
            Reason::OtherTtl(owner, rtype) => write!(f, "not exact: {owner} {rtype} has another TTL"),
            Reason::ChangesOutgrowZone(octets) => write!(f, "the changes have more than the zone's {octets} octets"),
            Reason::NoNs => f.write_str("the zone has no NS records; add them to the zone on the primary"),
            Reason::Signed => f.write_str("signed zones are not supported yet: the zone has a DNSKEY"),
            Reason::CnameAndOther(owner) => write!(f, "CNAME and other data at {owner}; remove one on the primary"),
            Reason::Several(owner, rtype) => {
                write!(f, "multiple RRs of singleton type: {owner} {rtype}; leave one on the primary")
            }
            Reason::AtWildcard(owner, rtype) => {
                write!(f, "invalid {rtype} owner name (wildcard): {owner}; remove it on the primary")
            }
            Reason::Nsec3Hash(algorithm) => {
                write!(f, "NSEC3PARAM with the unknown hash algorithm {algorithm}: sign the zone with 1, SHA-1")
            }
            Reason::HostName(owner, rtype) => {
                write!(f, "{owner}/{rtype}: bad owner name or data (check-names): `check-names secondary` can allow it")
            }
            Reason::TooManyRecords(limit) => {
                write!(f, "too many records: the zone has more than {limit}; raise `max-records`")
            }
            Reason::TooManyInRrset(owner, rtype, limit) => {
                write!(f, "too many records: {owner} {rtype} has more than {limit}; raise `max-records-per-type`")
            }
            Reason::TooManyTypes(owner, limit) => {
                write!(f, "too many records: {owner} has more than {limit} types; raise `max-types-per-name`")
            }
        }
    }
}
