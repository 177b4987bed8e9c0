//! Zone files (RFC 1035 5, RFC 2308 4, `$GENERATE`), read as BIND 9.18 reads them.
//!
//! [`parse`] takes a text and hands each record to a [`Sink`], borrowed, so that a large zone goes straight into
//! whatever is built from it. `lexer` cuts the text into entries, `parser` reads them: `directive` those that begin with
//! `$`, `head` and `ttl` what stands between owner and data, [`crate::rdata`] the data. What is wrong is collected, many
//! errors in one go, each with its place. [`check()`] adds the rules of a whole zone, [`write_record`] and [`format()`] go
//! the other way. [`RrSets`] are a zone in memory, sorted, which [`diff()`] compares and [`write_file`]
//! writes.
//!
//! How BIND decides, where the RFCs leave it open:
//! - The order before the type is class and TTL, each at most once, in either order.
//! - No TTL on a record: `$TTL`, else the last TTL that was written out (with a warning), else the SOA's minimum (with
//!   a warning, for the SOA and what follows it), else an error. A TTL over 2³¹−1 counts as 0 (RFC 2181 8).
//! - Records of one type that follow each other under one owner take the first one's TTL. If the owner comes again
//!   later in the file, the RRset takes the TTL it has there: a sink lets the last record's TTL stand for the RRset.
//! - `$INCLUDE` restores origin and owner afterwards, but keeps the TTLs.
//! - Records outside the zone are ignored with a warning.

mod check;
mod data;
mod diff;
mod directive;
mod fault;
mod file;
mod fuzz;
mod generate;
mod head;
mod include;
mod layout;
mod letters;
mod lexer;
mod origin;
mod parser;
mod raw;
mod remark;
mod report;
mod rrsets;
mod rule;
mod ttl;
mod write;

pub use check::check;
pub use data::parse_rdata;
pub use diff::{Difference, Serials, diff};
pub use file::write_file;
pub use fuzz::{fuzz, fuzz_raw};
pub use include::{Directory, Includes, NoIncludes};
pub use layout::format;
pub use origin::origin;
pub use raw::write_raw;
pub use remark::{Remark, target};
pub use report::{FileId, Location, Report};
pub use rrsets::{RrSet, RrSets};
pub use rule::{MAX_RRSET, Rule, TargetProblem, deletes_keys, may_stand_beside_cname};
pub use write::write_record;

use crate::{Class, NameRef, Rtype, diagnostics::Source};

/// A record, borrowed from the parser.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The owner, as written the first time in a run of records of one owner.
    pub owner: NameRef<'a>,
    /// Seconds, up to 2³¹−1.
    pub ttl: u32,
    /// The class, always the zone's.
    pub class: Class,
    /// The type; never one that exists in messages only.
    pub rtype: Rtype,
    /// The data in wire form: valid for its type, names uncompressed, at most 65535 octets.
    pub rdata: &'a [u8],
    /// Where its entry starts.
    pub at: Location,
}

impl Record<'_> {
    /// For signatures the type they cover, which is part of what tells RRsets apart; 0 for other types.
    #[inline]
    pub fn covers(&self) -> u16 {
        covers(self.rtype, self.rdata)
    }
}

#[inline]
fn covers(rtype: Rtype, rdata: &[u8]) -> u16 {
    match (rtype, rdata.first_chunk()) {
        (Rtype::RRSIG | Rtype::SIG, Some(covered)) => u16::from_be_bytes(*covered),
        _ => 0,
    }
}

/// What takes the records.
///
/// A closure is one, too.
pub trait Sink {
    /// Takes one record; a refusal becomes an error at its place, and parsing goes on.
    fn record(&mut self, record: Record<'_>) -> Result<(), Refusal>;
}

/// Why a sink does not take a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// What to do with names that are no host names where one is expected (RFC 952, RFC 1123 2.1), as `check-names` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckNames {
    /// An error: named's default for primary zones.
    Fail,
    /// A warning: named-checkzone's default.
    Warn,
    /// Nothing.
    Ignore,
}

/// How the octets of a zone file are to be understood: `masterfile-format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileFormat {
    /// Lines for people (RFC 1035 5).
    Text,
    /// BIND's RRsets in wire form, of version 0 or 1.
    Raw,
}

/// How to read a zone file.
#[derive(Clone, Copy)]
pub struct Options<'o> {
    /// Text, unless it is told: a file does not decide by itself how it is read.
    pub format: FileFormat,
    /// The origin until the file sets another: the zone's name.
    pub origin: NameRef<'o>,
    /// The zone that records must belong to, normally that of `origin`; `None` takes records of any, as formatting does.
    pub apex: Option<NameRef<'o>>,
    /// The zone's class; records of another are errors.
    pub class: Class,
    /// The TTL of records without one until the file says otherwise; normally none.
    pub default_ttl: Option<u32>,
    /// What to do with odd host names in texts.
    pub check_names: CheckNames,
    /// Where `$INCLUDE` finds its files.
    pub includes: &'o dyn Includes,
    /// Errors after which parsing stops; also the most warnings that are kept.
    pub max_errors: usize,
}

impl<'o> Options<'o> {
    /// As named-checkzone reads a zone of class IN, with no access to other files.
    pub fn new(origin: NameRef<'o>) -> Options<'o> {
        let (class, check_names) = (Class::IN, CheckNames::Warn);
        Options {
            format: FileFormat::Text,
            origin,
            apex: Some(origin),
            class,
            default_ttl: None,
            check_names,
            includes: &NoIncludes,
            max_errors: 100,
        }
    }
}

/// Reads `source`, in the format that the options tell, and hands its records to `sink`, in order.
///
/// Time is linear in the text and what it includes and generates; memory beyond the text is bounded by the longest
/// record and `options.max_errors`. `$INCLUDE` nests to a depth of [`MAX_DEPTH`], one `$GENERATE` makes up to
/// [`MAX_GENERATED`] records, one record takes up to 1 MiB of text.
pub fn parse(source: &Source, options: &Options<'_>, sink: &mut impl Sink) -> Report {
    match (options.format, FileFormat::of(source.text())) {
        (FileFormat::Text, FileFormat::Text) => parser::parse(source, options, sink),
        (FileFormat::Text, FileFormat::Raw) => raw::is_no_text(source),
        (FileFormat::Raw, _) => raw::parse(source, options, sink),
    }
}

/// How deep `$INCLUDE` nests.
pub const MAX_DEPTH: usize = 32;

/// The most files that one zone includes, nested or not.
pub const MAX_FILES: usize = 10_000;

/// The most records of one `$GENERATE`: the addresses of a /8.
pub const MAX_GENERATED: u32 = 1 << 24;

impl<F: FnMut(Record<'_>) -> Result<(), Refusal>> Sink for F {
    fn record(&mut self, record: Record<'_>) -> Result<(), Refusal> {
        self(record)
    }
}

impl<M: Into<String>> From<M> for Refusal {
    fn from(message: M) -> Refusal {
        Refusal { message: message.into(), help: None }
    }
}

#[cfg(test)]
mod tests;
