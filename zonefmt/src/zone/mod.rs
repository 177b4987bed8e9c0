//! Zone files (RFC 1035 5, RFC 2308 4, `$GENERATE`), read as BIND 9.18 reads them.
//!
//! [`parse`] reads a text and passes each record to a [`Sink`]. Records are borrowed, so that a large zone goes
//! straight into whatever is built from it. `lexer` splits the text into entries and `parser` reads them: `directive`
//! those that begin with `$`, `head` and `ttl` the fields between owner and data, and [`crate::rdata`] the data. One
//! run reports many errors, each with its place. [`check()`] adds the rules for a whole zone. [`write_record`] and
//! [`format()`] turn records and files back into text. [`RrSets`] is a whole zone in memory, sorted; [`diff()`]
//! compares two of them and [`write_file`] writes one.
//!
//! Where the RFCs leave a choice, BIND's is followed:
//! - Class and TTL come before the type, in either order and each at most once.
//! - A record without a TTL has that of `$TTL`; or else the last TTL that was written (with a warning); or else, from
//!   the SOA on, the SOA's minimum (with a warning); otherwise it is an error. A TTL over 2³¹−1 counts as 0 (RFC 2181
//!   8).
//! - Consecutive records of one type and owner have the TTL of the first. If the owner appears again later in the file,
//!   the RRset has the TTL given there: for a sink, the TTL of the last record is that of the RRset.
//! - After `$INCLUDE`, origin and owner are what they were before, but the TTLs are those of the included file.
//! - Records outside the zone are ignored with a warning.

mod check;
mod data;
mod diff;
mod directive;
mod fault;
mod file;
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
mod size;
mod ttl;
mod write;

pub use check::check;
pub use data::parse_rdata;
pub use diff::{Difference, Serials, diff};
pub use file::write_file;
pub use include::{Directory, Includes, NoIncludes};
pub use layout::format;
pub use letters::has_fine_names;
pub use origin::origin;
pub use raw::{RawWriter, write_raw};
pub use remark::{Remark, target};
pub use report::{FileId, Location, Report};
pub use rrsets::{RrSet, RrSets};
pub use rule::{Rule, TargetProblem, deletes_keys, may_stand_beside_cname};
pub use size::{MAX_RRSET, octets_in_message, records_in_message, room_in_message};
pub use write::{write_journal_record, write_record};

use crate::{Class, NameRef, Rtype, diagnostics::Source};

/// A record, borrowed from the parser.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The owner, as it was written first in a run of records of one owner.
    pub owner: NameRef<'a>,
    /// The TTL in seconds, up to 2³¹−1.
    pub ttl: u32,
    /// The class, which is always the zone's.
    pub class: Class,
    /// The type, which is never one that exists in messages only.
    pub rtype: Rtype,
    /// The data in wire form: valid for its type, names uncompressed, at most 65535 octets.
    pub rdata: &'a [u8],
    /// The place where the record's entry starts.
    pub at: Location,
}

impl Record<'_> {
    /// The type that a signature covers, because it distinguishes RRsets; 0 for other types.
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

/// A receiver of records.
///
/// Closures implement this too.
pub trait Sink {
    /// Receives one record. A refusal becomes an error at the record's place, and parsing continues.
    fn record(&mut self, record: Record<'_>) -> Result<(), Refusal>;
}

/// Why a sink refuses a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// What to do with names that are not host names where one is expected (RFC 952, RFC 1123 2.1), as in `check-names`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckNames {
    /// They are errors: named's default for primary zones.
    Fail,
    /// They are warnings: named-checkzone's default.
    Warn,
    /// They are allowed.
    Ignore,
}

/// The format of a zone file: `masterfile-format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileFormat {
    /// Text (RFC 1035 5).
    Text,
    /// BIND's RRsets in wire form, version 0 or 1.
    Raw,
}

/// How to read a zone file.
#[derive(Clone, Copy)]
pub struct Options<'o> {
    /// The format, which is text by default. It is never guessed from the file's content.
    pub format: FileFormat,
    /// The origin until the file sets another, normally the zone's name.
    pub origin: NameRef<'o>,
    /// The zone that records must belong to, normally `origin`; `None` accepts records of any zone, as formatting does.
    pub apex: Option<NameRef<'o>>,
    /// The zone's class. Records of another class are errors.
    pub class: Class,
    /// The TTL of records without one, until the file sets another; normally none.
    pub default_ttl: Option<u32>,
    /// What to do in text files with names that are not host names.
    pub check_names: CheckNames,
    /// Where `$INCLUDE` finds its files.
    pub includes: &'o dyn Includes,
    /// The number of errors after which parsing stops, and the most warnings that are kept.
    pub max_errors: usize,
}

impl<'o> Options<'o> {
    /// The options by which named-checkzone reads a zone of class IN, without access to other files.
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

/// Reads `source` in the format given by the options, and passes its records to `sink` in order.
///
/// Time is linear in the text and in what it includes and generates. Memory beyond the text is bounded by the longest
/// record and `options.max_errors`. `$INCLUDE` nests to a depth of [`MAX_DEPTH`], one `$GENERATE` makes up to
/// [`MAX_GENERATED`] records, and one record takes up to 1 MiB of text.
pub fn parse(source: &Source, options: &Options<'_>, sink: &mut impl Sink) -> Report {
    match (options.format, FileFormat::of(source.text())) {
        (FileFormat::Text, FileFormat::Text) => parser::parse(source, options, sink),
        (FileFormat::Text, FileFormat::Raw) => raw::is_no_text(source),
        (FileFormat::Raw, _) => raw::parse(source, options, sink),
    }
}

/// The greatest depth to which `$INCLUDE` nests.
pub const MAX_DEPTH: usize = 32;

/// The most files that one zone includes, nested or not.
pub const MAX_FILES: usize = 10_000;

/// The most records that one `$GENERATE` makes: the addresses of a /8.
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
