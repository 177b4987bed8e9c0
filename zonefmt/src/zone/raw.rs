//! Raw zone files: RRsets in wire form, in BIND's `masterfile-format raw`, which is its default for secondary zones.
//!
//! All numbers are in network byte order and take 4 octets, or 2 if marked `:16`. Names are not compressed.
//!
//! ```text
//! file:   format (2), version (0 or 1), time of writing; of version 1 also: flags, source serial, last transfer; RRset…
//! RRset:  its octets, these included; class:16, type:16, covered type:16, TTL, number of records;
//!         length:16 and owner; for each record length:16 and data
//! ```
//!
//! Files are read as BIND reads them: names need not be host names, and the file ends at the first malformed RRset. The
//! source serial and the time of the last transfer matter only to the server that wrote them.

use std::io::{self, Write};

use super::{
    FileFormat, Location, Options, Record, RrSets, Sink, covers,
    letters::is_hash,
    report::Report,
    ttl::{MAX_TTL, over_limit},
};
use crate::{
    Class, Name, NameRef, Rtype,
    diagnostics::{Diagnostic, Severity, Source},
    rdata,
};

/// The number with which a raw file begins.
const RAW: u32 = 2;
/// The number with which a file of `masterfile-format map` begins.
const MAP: u32 = 3;
/// The version that is written.
const VERSION: u32 = 1;
/// The number of octets between the version and the first RRset, by version.
const AFTER_VERSION: [usize; 2] = [4, 16];

impl FileFormat {
    /// The format of a file, from its first octets. A map file counts as raw; reading it gives an error that says what
    /// to do.
    pub fn of(octets: &[u8]) -> FileFormat {
        match octets.first_chunk() {
            Some(&first) if matches!(u32::from_be_bytes(first), RAW | MAP) => FileFormat::Raw,
            _ => FileFormat::Text,
        }
    }
}

/// Writes a raw file of version 1, as named-compilezone does. `written` is the time in seconds since 1970.
pub fn write_raw(zone: &RrSets, written: u32) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into memory does not fail.
    let _ = RawWriter::new(&mut out, written)
        .and_then(|mut writer| zone.iter().try_for_each(|set| writer.write(&set.records().collect::<Vec<_>>())));
    out
}

/// Writes a raw file RRset by RRset.
pub struct RawWriter<W> {
    out: W,
    /// The octets of a set.
    set: Vec<u8>,
}

impl<W: Write> RawWriter<W> {
    /// The most records written together. BIND accepts up to 65535, and their octets stay far below 2³².
    const TOGETHER: usize = 1 << 15;

    /// Starts a file that is `written` at this time, in seconds since 1970.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, written: u32) -> io::Result<RawWriter<W>> {
        for number in [RAW, VERSION, written, 0, 0, 0] {
            out.write_all(&number.to_be_bytes())?;
        }
        Ok(RawWriter { out, set: Vec::new() })
    }

    /// Writes the records of one owner, class, type, covered type and TTL.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&mut self, records: &[Record<'_>]) -> io::Result<()> {
        records.chunks(Self::TOGETHER).try_for_each(|records| {
            self.set.clear();
            write_set(records, &mut self.set);
            self.out.write_all(&self.set)
        })
    }
}

fn write_set(records: &[Record<'_>], out: &mut Vec<u8>) {
    let Some(first) = records.first() else { return };
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    for number in [first.class.0, first.rtype.0, first.covers()] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&first.ttl.to_be_bytes());
    out.extend_from_slice(&(records.len() as u32).to_be_bytes());
    let mut push = |octets: &[u8]| {
        out.extend_from_slice(&(octets.len() as u16).to_be_bytes());
        out.extend_from_slice(octets);
    };
    push(first.owner.as_wire());
    for record in records {
        push(record.rdata);
    }
    let octets = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&octets.to_be_bytes());
}

/// Reads a raw file as [`super::parse`] does. There are no lines, so findings name the RRset, or the octet where it
/// should be.
pub(super) fn parse(source: &Source, options: &Options<'_>, sink: &mut impl Sink) -> Report {
    let mut reader = Reader { source, report: Report::new(source, options.max_errors.max(1)), options, sink };
    reader.file();
    reader.report
}

/// The error for a raw file that is to be read as text.
pub(super) fn is_no_text(source: &Source) -> Report {
    let mut report = Report::new(source, 1);
    let help = "if it is meant, say so: `masterfile-format raw`; `zonefmt convert --to zone` makes a text of it";
    report.push(Diagnostic::at(Severity::Error, source.whole(), "this is a raw zone file and no text").help(help));
    report
}

/// The owner of the SOA, if that is one of the first RRsets.
pub(super) fn origin(octets: &[u8]) -> Option<Name> {
    /// The number of RRsets among which the SOA is looked for.
    const MOST: usize = 100;
    let mut sets = Sets::new(octets).ok()?.take(MOST).map_while(Result::ok);
    sets.find(|set| set.rtype == Rtype::SOA).map(|set| set.owner.to_owned())
}

/// An error in a raw file. The message says where it is, as there are no lines.
struct Fault {
    message: String,
    help: Option<String>,
}

struct Reader<'o, S> {
    source: &'o Source,
    report: Report,
    options: &'o Options<'o>,
    sink: &'o mut S,
}

impl<S: Sink> Reader<'_, S> {
    fn file(&mut self) {
        let sets = match Sets::new(self.source.text()) {
            Ok(sets) => sets,
            Err(fault) => return self.error(fault),
        };
        for set in sets {
            if self.report.is_full() {
                break;
            }
            match set {
                Ok(set) => self.set(&set),
                Err(fault) => self.error(fault),
            }
        }
    }

    fn set(&mut self, set: &Set<'_>) {
        let Set { owner, rtype, class, .. } = *set;
        if let Err((message, help)) = self.look_at(set) {
            return self.error(Fault { message, help: Some(help.into()) });
        }
        let ttl = if set.ttl > MAX_TTL { 0 } else { set.ttl };
        if ttl != set.ttl {
            self.warning(format!("{} ({rtype} of {owner})", over_limit(set.ttl)));
        }
        if self.options.apex.is_some_and(|apex| !owner.is_at_or_below(apex)) {
            self.warning(format!("{owner} lies outside the zone: its {rtype} records are ignored"));
            return;
        }
        let at = Location { offset: set.at, ..Location::default() };
        for rdata in set.records() {
            if self.report.is_full() {
                return;
            }
            if let Err(error) = rdata::validate_in(class, rtype, rdata) {
                let message = format!("{}, in the data of {owner}", error.message);
                self.error(Fault { message, help: Some(DAMAGED.into()) });
                continue;
            }
            self.report.records += 1;
            if let Err(refusal) = self.sink.record(Record { owner, ttl, class, rtype, rdata, at }) {
                self.error(Fault { message: refusal.message, help: refusal.help });
            }
        }
    }

    /// Checks whether the zone may have such an RRset. The error says what is wrong and what to do.
    fn look_at(&self, set: &Set<'_>) -> Result<(), (String, &'static str)> {
        let Set { owner, rtype, class, .. } = *set;
        if class != self.options.class {
            let message = format!("{rtype} of {owner} has class {class} in a zone of class {}", self.options.class);
            return Err((message, "read the file with its zone's class"));
        }
        if !rdata::is_zone_data(rtype) {
            return Err((format!("{rtype} of {owner} exists in messages only, never in a zone"), DAMAGED));
        }
        if rtype == Rtype::SOA && self.options.apex.is_some_and(|apex| owner != apex) {
            let message = format!("SOA at {owner}, which is not the top of the zone");
            return Err((message, "the file is another zone's: check the zone's name"));
        }
        if set.records().any(|data| covers(rtype, data) != set.covers) {
            return Err((format!("{rtype} of {owner} covers another type than the file says"), DAMAGED));
        }
        if rtype == Rtype::NSEC3 && !is_hash(owner) {
            return Err((format!("{owner} is no owner for NSEC3"), DAMAGED));
        }
        Ok(())
    }

    #[cold]
    fn error(&mut self, fault: Fault) {
        self.report.error(self.source.whole(), fault.message, fault.help);
    }

    #[cold]
    fn warning(&mut self, message: String) {
        self.report.push(Diagnostic::at(Severity::Warning, self.source.whole(), message));
    }
}

const DAMAGED: &str = "the file is damaged: write it again, or transfer the zone again";

/// An RRset in the file. Its framing is valid, but its data is not checked yet.
struct Set<'a> {
    /// The octet of the file where the RRset starts.
    at: usize,
    class: Class,
    rtype: Rtype,
    covers: u16,
    ttl: u32,
    owner: NameRef<'a>,
    records: &'a [u8],
}

impl<'a> Set<'a> {
    /// Takes an RRset from the start of `rest`, or says how it is malformed.
    fn take(rest: &mut &'a [u8], at: usize) -> Result<Set<'a>, &'static str> {
        const CUT_SHORT: &str = "is cut short";
        /// The most records of one RRset that BIND accepts.
        const MOST: u32 = u16::MAX as u32;
        const TOO_SHORT: &str = "has fewer octets than it needs";
        let octets = u32::from_be_bytes(take(rest).ok_or(CUT_SHORT)?) as usize;
        let mut set =
            octets.checked_sub(4).ok_or(TOO_SHORT).and_then(|octets| take_slice(rest, octets).ok_or(CUT_SHORT))?;
        let mut head = || {
            let (class, rtype) = (Class(take_u16(&mut set)?), Rtype(take_u16(&mut set)?));
            let covers = take_u16(&mut set)?;
            let (ttl, count) = (u32::from_be_bytes(take(&mut set)?), u32::from_be_bytes(take(&mut set)?));
            Some((class, rtype, covers, ttl, count, take_counted(&mut set)?))
        };
        let (class, rtype, covers, ttl, count, owner) = head().ok_or(TOO_SHORT)?;
        let owner = NameRef::from_wire(owner).map_err(|_| "has an owner that is no name")?;
        let set = Set { at, class, rtype, covers, ttl, owner, records: set };
        let found = set.records().fold((0, 0), |(count, octets), data| (count + 1, octets + 2 + data.len()));
        if !(1..=MOST).contains(&count) || found != (count, set.records.len()) {
            return Err("has not the records that it counts");
        }
        Ok(set)
    }

    /// The data of each record.
    fn records(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.records;
        std::iter::from_fn(move || take_counted(&mut rest))
    }
}

/// An iterator over the RRsets of a file, which ends after a malformed one.
struct Sets<'a> {
    rest: &'a [u8],
    octets: usize,
}

impl<'a> Sets<'a> {
    /// Reads the header.
    fn new(octets: &'a [u8]) -> Result<Sets<'a>, Fault> {
        let mut rest = octets;
        let fault = |message: String, help: &str| Fault { message, help: Some(help.into()) };
        let mut number = || Some(u32::from_be_bytes(take(&mut rest)?));
        let (format, version) = (number(), number());
        match (format, version.and_then(|version| AFTER_VERSION.get(version as usize))) {
            (Some(RAW), Some(&header)) => match take_slice(&mut rest, header) {
                Some(_) => Ok(Sets { rest, octets: octets.len() }),
                None => Err(fault("the raw file is cut short in its header".into(), DAMAGED)),
            },
            (Some(RAW), None) => {
                let version = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
                Err(fault(format!("raw files have version 0 or 1, this one {version}"), DAMAGED))
            }
            (Some(MAP), _) => Err(fault(
                "this is a map file, a format that BIND 9.18 has no more".into(),
                "convert it with the BIND that wrote it: named-compilezone -f map -F raw -o FILE ZONE MAPFILE",
            )),
            _ => Err(fault("this is no raw file".into(), "if it is a text, say so: `masterfile-format text`")),
        }
    }
}

impl<'a> Iterator for Sets<'a> {
    type Item = Result<Set<'a>, Fault>;

    fn next(&mut self) -> Option<Result<Set<'a>, Fault>> {
        if self.rest.is_empty() {
            return None;
        }
        let at = self.octets - self.rest.len();
        Some(Set::take(&mut self.rest, at).map_err(|what| {
            self.rest = &[];
            let message = format!("the RRset at octet {at} of the raw file {what}");
            Fault { message, help: Some(DAMAGED.into()) }
        }))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    take(rest).map(u16::from_be_bytes)
}

fn take_slice<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (first, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(first)
}

/// Reads octets after a 16-bit number that gives their length.
fn take_counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_u16(rest)?;
    take_slice(rest, len.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{Refusal, Serials, diff};

    /// The output of named-compilezone of BIND 9.18 for `$TTL 300`, `@ SOA ns hm 1 2 3 4 5` in the zone `a`, in version
    /// 0.
    const COMPILED: &[u8] = b"\0\0\0\x02\0\0\0\0\x6b\x01\x8e\xbd\
        \0\0\0\x39\0\x01\0\x06\0\0\0\0\x01\x2c\0\0\0\x01\0\x03\x01a\0\
        \0\x20\x02ns\x01a\0\x02hm\x01a\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05";

    /// The octets before the first RRset in version 0.
    const HEADER: usize = 12;

    /// Reads a file, and lists each record as `owner ttl type`, then the findings.
    fn read(octets: &[u8]) -> Vec<String> {
        let apex = Name::from_ascii("a").unwrap();
        let mut found = Vec::new();
        let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
            found.push(format!("{} {} {}", record.owner, record.ttl, record.rtype));
            Ok(())
        };
        let options = Options { format: FileFormat::Raw, ..Options::new(apex.as_ref()) };
        let report = parse(&Source::new("z", octets), &options, &mut sink);
        found.extend(report.diagnostics.iter().map(|diagnostic| diagnostic.message.clone()));
        found
    }

    /// The file with other octets at `at`, which counts from the first RRset.
    fn with(at: usize, octets: &[u8]) -> Vec<u8> {
        let mut file = COMPILED.to_vec();
        file[HEADER + at..][..octets.len()].copy_from_slice(octets);
        file
    }

    #[test]
    fn both_versions_are_read() {
        assert_eq!(read(COMPILED), ["a. 300 SOA"]);
        let mut newer = COMPILED.to_vec();
        newer[7] = 1;
        newer.splice(HEADER..HEADER, [0, 0, 0, 2, 0, 0, 0, 77, 0, 0, 0, 0]);
        assert_eq!(read(&newer), ["a. 300 SOA"]);
        assert_eq!(origin(&newer), Some(Name::from_ascii("a").unwrap()));
        assert!(FileFormat::of(&newer) == FileFormat::Raw && FileFormat::of(b"@ SOA") == FileFormat::Text);
    }

    #[test]
    fn what_is_written_is_read() {
        let apex = Name::from_ascii("a").unwrap();
        let options = Options { format: FileFormat::Raw, ..Options::new(apex.as_ref()) };
        let read = |octets: &[u8]| RrSets::parse(&Source::new("z", octets), &options).0;
        let zone = read(COMPILED);
        let written = write_raw(&zone, 0x6b01_8ebd);
        assert_eq!(written[HEADER + 12..], COMPILED[HEADER..]);
        assert_eq!(diff(&zone, &read(&written), Serials::Compare).count(), 0);
    }

    #[test]
    fn a_malformed_file_says_where() {
        let at = |octet: usize, what: &str| vec![format!("the RRset at octet {octet} of the raw file {what}")];
        for end in HEADER + 1..COMPILED.len() {
            assert_eq!(read(&COMPILED[..end]), at(HEADER, "is cut short"));
        }
        assert_eq!(read(&[COMPILED, b"xyz"].concat())[1..], at(COMPILED.len(), "is cut short"));
        assert_eq!(read(&with(0, &[0, 0, 0, 3])), at(HEADER, "has fewer octets than it needs"));
        assert_eq!(read(&with(0, &[0, 0, 0, 20])), at(HEADER, "has fewer octets than it needs"));
        assert_eq!(read(&with(14, &[0, 0, 0, 2])), at(HEADER, "has not the records that it counts"));
        assert_eq!(read(&with(14, &[0, 0, 0, 0])), at(HEADER, "has not the records that it counts"));
        assert_eq!(read(&with(20, &[0])), at(HEADER, "has an owner that is no name"));
        for (octets, says) in [
            (&b""[..], "this is no raw file"),
            (b"\0\0\0", "this is no raw file"),
            (b"\0\0\0\x03\0\0\0\x01", "this is a map file, a format that BIND 9.18 has no more"),
            (b"\0\0\0\x02\0\0\0\x02", "raw files have version 0 or 1, this one 2"),
            (b"\0\0\0\x02\0\0\0", "raw files have version 0 or 1, this one none"),
            (b"\0\0\0\x02\0\0\0\x01\0\0\0\0", "the raw file is cut short in its header"),
        ] {
            assert_eq!(read(octets), [says]);
        }
    }

    #[test]
    fn a_record_in_the_wrong_place_is_told() {
        assert_eq!(read(&with(4, &[0, 3])), ["SOA of a. has class CH in a zone of class IN"]);
        assert_eq!(read(&with(6, &[0, 255])), ["ANY of a. exists in messages only, never in a zone"]);
        assert_eq!(read(&with(8, &[0, 1])), ["SOA of a. covers another type than the file says"]);
        assert_eq!(read(&with(21, b"b")), ["SOA at b., which is not the top of the zone"]);
        let too_long = "a TTL of 2147483948 is over 2147483647 and counts as 0 (RFC 2181 8) (SOA of a.)";
        assert_eq!(read(&with(10, &[0x80])), ["a. 0 SOA", too_long]);
        assert_eq!(
            read(&with(25, &[0xc0])),
            ["SOA: primary server holds no whole, uncompressed name, in the data of a."]
        );
    }

    #[test]
    fn neither_format_is_taken_for_the_other() {
        let apex = Name::from_ascii("a").unwrap();
        let report = RrSets::parse(&Source::new("z", COMPILED), &Options::new(apex.as_ref())).1;
        assert_eq!(report.diagnostics[0].message, "this is a raw zone file and no text");
        assert_eq!(read(b"$TTL 300\n@ SOA ns hm 1 2 3 4 5\n"), ["this is no raw file"]);
    }
}
