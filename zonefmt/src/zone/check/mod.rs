//! The rules for a whole zone: what named-checkzone refuses, and what it warns of.
//!
//! Errors are those of named-checkzone, and of named when it loads a primary zone.
//!
//! While records are read:
//! - SOA below the apex
//! - a CNAME and other data (only NSEC, RRSIG, SIG and KEY may be beside it, RFC 2181 10.1, RFC 4035 2.5)
//! - two different CNAMEs, DNAMEs or SOAs at one owner
//! - NS with a wildcard owner
//! - DS at the apex
//! - an RRset too large for a message
//!
//! In the complete zone:
//! - no SOA, or no NS at the apex
//! - a name server of the apex that is in the zone but has no address, is a CNAME or lies below a DNAME
//! - only NSEC3PARAM records with unknown hash algorithms
//! - CDS or CDNSKEY that match no DNSKEY
//!
//! Warnings are for the same faults in the name servers of delegations, in MX and in SRV; for missing glue, including
//! that of siblings; for `*` inside a name; for addresses in place of names; and for SPF records without their TXT
//! twin. Names outside the zone are never looked up. In addition to named-checkzone's, there are warnings for names
//! that contain the zone's name twice, data below a delegation or a DNAME, and repeated records.
//!
//! named differs from named-checkzone in two points: it uses [`super::CheckNames::Fail`] for primary zones, and it
//! limits an RRset to 100 records and an owner to 100 types (`max-records-per-type`, `max-types-per-name`). The server
//! checks these limits.
//!
//! The checks keep one table of owners over one block of octets, which takes about 60 octets for each owner and nothing
//! for each record.

mod integrity;
mod names;
mod sizes;

use std::ops::Range;

use self::names::{Facts, Id, Names};
use super::{
    FileId, Location, MAX_RRSET, Options, Record, Refusal, Remark, Report, Rule, Sink, may_stand_beside_cname,
};
use crate::{
    NameRef, Rtype, Serial,
    diagnostics::{Diagnostic, Severity, Source},
};

/// Reads `source` as [`super::parse`] does, checks the rules for a whole zone, and passes the records that keep them to
/// `sink`.
///
/// Findings are in the order of the files and lines that they are about. The serial is that of the SOA.
pub fn check(source: &Source, options: &Options<'_>, sink: &mut impl Sink) -> (Report, Option<Serial>) {
    let mut checker = Checker::new(source, options, sink);
    let mut report = super::parse(source, options, &mut checker);
    let Checker { mut zone, findings, .. } = checker;
    findings.push_to(&mut report);
    if zone.large {
        sizes::check(source, options, &zone).push_to(&mut report);
    }
    let serial = zone.serial();
    // A record that is missing because its line has an error is not another error.
    if !report.has_errors() {
        integrity::check(&mut zone, options).push_to(&mut report);
    }
    report.sort();
    (report, serial)
}

/// A guess at how much text an owner takes, in octets. A wrong guess costs only time or memory.
const OCTETS_PER_OWNER: usize = 48;

/// The number of records of one owner that are remembered to find repeated ones.
const MAX_RUN: usize = 16;

/// A sink that checks each record before it passes it on.
struct Checker<'s, S> {
    zone: Zone,
    sink: &'s mut S,
    /// The owner of the last record, and its name as written.
    current: Option<Id>,
    current_name: Vec<u8>,
    /// The types and data of the first records of that owner, joined together.
    run: Vec<(Rtype, Range<usize>)>,
    run_data: Vec<u8>,
    findings: Findings,
}

/// The facts about a zone that the checks remember.
struct Zone {
    names: Names,
    apex: Id,
    soa: Option<u32>,
    /// The records that later checks need.
    kept: Vec<Kept>,
    /// The data of `kept`.
    data: Vec<u8>,
    has_wildcards: bool,
    /// Whether an owner has more data than one RRset may have.
    large: bool,
}

struct Kept {
    owner: Id,
    rtype: Rtype,
    data: Range<usize>,
    at: Location,
}

/// The findings of checks, until there is a report to put them in.
struct Findings {
    found: Vec<Finding>,
    max: usize,
}

struct Finding {
    severity: Severity,
    /// `None` for the zone as a whole.
    at: Option<Location>,
    message: String,
    help: String,
}

impl<'s, S: Sink> Checker<'s, S> {
    fn new(source: &Source, options: &Options<'_>, sink: &'s mut S) -> Checker<'s, S> {
        let mut names = Names::with_capacity(source.text().len() / OCTETS_PER_OWNER);
        let (apex, _) = names.add(options.origin, Location::default());
        let (kept, data) = (Vec::new(), Vec::new());
        let zone = Zone { names, apex, soa: None, kept, data, has_wildcards: false, large: false };
        Checker {
            zone,
            sink,
            current: None,
            current_name: Vec::new(),
            run: Vec::new(),
            run_data: Vec::new(),
            findings: Findings::new(options),
        }
    }

    /// The owner of a record, if it differs from that of the last record.
    fn owner(&mut self, record: &Record<'_>) -> Id {
        let (id, new) = self.zone.names.add(record.owner, record.at);
        self.current = Some(id);
        self.current_name.clear();
        self.current_name.extend_from_slice(record.owner.as_wire());
        self.run.clear();
        self.run_data.clear();
        if new {
            self.zone.has_wildcards |= record.owner.is_wildcard();
            self.look_at_owner(record);
        }
        id
    }

    fn look_at_owner(&mut self, record: &Record<'_>) {
        for remark in Remark::of_owner(record.owner, self.zone.name(self.zone.apex)) {
            self.findings.remark(record.at, &remark);
        }
    }

    fn look_for_repetition(&mut self, record: &Record<'_>) {
        let same = |(rtype, data): &(Rtype, Range<usize>)| {
            *rtype == record.rtype && self.run_data[data.clone()] == *record.rdata
        };
        if self.run.iter().any(same) {
            let message = format!("the same {} record of {} again", record.rtype, record.owner);
            self.findings.warn(record.at, message, "remove it: an RRset has each record once (RFC 2181 5)");
        } else if self.run.len() < MAX_RUN {
            let start = self.run_data.len();
            self.run_data.extend_from_slice(record.rdata);
            self.run.push((record.rtype, start..self.run_data.len()));
        }
    }
}

impl<S: Sink> Sink for Checker<'_, S> {
    #[inline]
    fn record(&mut self, record: Record<'_>) -> Result<(), Refusal> {
        let owner = match self.current {
            Some(id) if self.current_name == record.owner.as_wire() => id,
            _ => self.owner(&record),
        };
        self.look_for_repetition(&record);
        self.zone.take(owner, &record)?;
        self.sink.record(record)
    }
}

impl Zone {
    fn name(&self, id: Id) -> NameRef<'_> {
        self.names.name(id)
    }

    fn data(&self, kept: &Kept) -> &[u8] {
        &self.data[kept.data.clone()]
    }

    fn serial(&self) -> Option<Serial> {
        let soa = self.data(self.kept.get(self.soa? as usize)?);
        // Five numbers of four octets follow the names (RFC 1035 3.3.13).
        let [.., a, b, c, d, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *soa else { return None };
        Some(Serial(u32::from_be_bytes([a, b, c, d])))
    }

    /// Notes a record, or refuses it.
    #[inline]
    fn take(&mut self, owner: Id, record: &Record<'_>) -> Result<(), Refusal> {
        let node = self.names.node(owner);
        let facts = node.facts | facts_of(record);
        if facts.has(Facts::CNAME) && facts.has(Facts::OTHER | Facts::ADDRESS) {
            return Err(refusal(&Rule::CnameAlone(record.owner)));
        }
        node.facts = facts;
        node.size = node.size.saturating_add(record.rdata.len() as u32 + 2);
        self.large |= node.size > MAX_RRSET;
        match record.rtype {
            Rtype::NS if record.owner.is_wildcard() => Err(refusal(&Rule::NoWildcardNs(record.owner))),
            Rtype::DS if owner == self.apex => Err(refusal(&Rule::NoDsAtApex(record.owner))),
            Rtype::NSEC3PARAM | CDS | CDNSKEY | Rtype::DNSKEY if owner != self.apex => Ok(()),
            rtype if is_kept(rtype) => self.keep(owner, record),
            _ => Ok(()),
        }
    }

    /// Keeps a record whose data later checks need.
    fn keep(&mut self, owner: Id, record: &Record<'_>) -> Result<(), Refusal> {
        let rtype = record.rtype;
        if matches!(rtype, Rtype::CNAME | Rtype::DNAME | Rtype::SOA) {
            // A CNAME and a DNAME are never at the same owner.
            let single = if rtype == Rtype::SOA { &mut self.soa } else { &mut self.names.node(owner).single };
            if let Some(first) = single.and_then(|first| self.kept.get(first as usize)) {
                let same = self.data[first.data.clone()].eq_ignore_ascii_case(record.rdata);
                return if same { Ok(()) } else { Err(refusal(&Rule::Single(rtype, record.owner))) };
            }
            *single = Some(self.kept.len() as u32);
        }
        let start = self.data.len();
        self.data.extend_from_slice(record.rdata);
        self.kept.push(Kept { owner, rtype, data: start..self.data.len(), at: record.at });
        Ok(())
    }
}

const SPF: Rtype = Rtype(99);
const CDS: Rtype = Rtype(59);
const CDNSKEY: Rtype = Rtype(60);

fn is_kept(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::NS | Rtype::CNAME | Rtype::DNAME | Rtype::SOA | Rtype::MX | Rtype::SRV)
        || matches!(rtype, Rtype::NSEC3PARAM | CDS | CDNSKEY | Rtype::DNSKEY)
}

#[inline]
fn facts_of(record: &Record<'_>) -> Facts {
    match record.rtype {
        Rtype::A | Rtype::AAAA => Facts::ADDRESS,
        Rtype::CNAME => Facts::CNAME,
        Rtype::NS => Facts::NS | Facts::OTHER,
        Rtype::DNAME => Facts::DNAME | Facts::OTHER,
        SPF => Facts::SPF | Facts::OTHER,
        Rtype::TXT if record.rdata.get(1..).is_some_and(|text| text.starts_with(b"v=spf1")) => {
            Facts::SPF_IN_TXT | Facts::OTHER
        }
        rtype if may_stand_beside_cname(rtype) => Facts::default(),
        _ => Facts::OTHER,
    }
}

#[cold]
fn refusal(rule: &Rule<'_>) -> Refusal {
    Refusal { message: rule.to_string(), help: Some(rule.help()) }
}

impl Findings {
    fn new(options: &Options<'_>) -> Findings {
        Findings { found: Vec::new(), max: options.max_errors.max(1) }
    }

    fn add(&mut self, severity: Severity, at: Option<Location>, message: String, help: &str) {
        let alike = self.found.iter().filter(|finding| finding.severity == severity);
        // Counting stops at the limit, so that it stays cheap.
        if alike.take(self.max).count() < self.max {
            self.found.push(Finding { severity, at, message, help: help.into() });
        }
    }

    fn error(&mut self, at: impl Into<Option<Location>>, rule: &Rule<'_>) {
        self.add(Severity::Error, at.into(), rule.to_string(), &rule.help());
    }

    fn warn(&mut self, at: Location, message: String, help: &str) {
        self.add(Severity::Warning, Some(at), message, help);
    }

    fn remark(&mut self, at: Location, remark: &Remark<'_>) {
        self.warn(at, remark.to_string(), remark.help());
    }

    fn push_to(self, report: &mut Report) {
        for Finding { severity, at, message, help } in self.found {
            let place = match at {
                Some(at) => report.entry(at),
                None => report.file(FileId::default()).whole(),
            };
            report.push(Diagnostic::at(severity, place, message).help(help));
        }
    }
}

#[cfg(test)]
mod tests;
