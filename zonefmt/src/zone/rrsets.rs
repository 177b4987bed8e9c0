//! A whole zone: its RRsets, sorted, with each record once. Comparing zones and writing them canonically start from
//! this.

use std::{cmp::Ordering, fmt};

use super::{Location, Options, Record, Refusal, Report};
use crate::{Class, NameRef, Rtype, diagnostics::Source, rdata};

/// The RRsets of a zone in the order of named-compilezone. Owners are in canonical order (RFC 4034 6.1). At each owner
/// SOA and NS come first and then the other types by number, with signatures after the type they cover. All NSEC3 are
/// at the end.
///
/// Each record takes about 24 octets, plus its owner and data.
#[derive(Clone, Debug)]
pub struct RrSets {
    class: Class,
    octets: Vec<u8>,
    rows: Vec<Row>,
}

/// The records of one owner and type, in canonical order (RFC 4034 6.3).
#[derive(Clone, Copy)]
pub struct RrSet<'z> {
    zone: &'z RrSets,
    rows: &'z [Row],
}

/// A record. Its owner and data are adjacent.
#[derive(Clone, Copy, Debug)]
struct Row {
    start: usize,
    ttl: u32,
    rtype: Rtype,
    covers: u16,
    rdata_len: u16,
    owner_len: u8,
    /// The number of its run: a sequence of records under one owner, written in the same way.
    run: u32,
}

impl RrSets {
    /// Reads a zone file as [`super::parse`] does, and returns its report.
    pub fn parse(source: &Source, options: &Options<'_>) -> (RrSets, Report) {
        let mut sets = RrSets::new(options.class);
        let report = super::parse(source, options, &mut |record: Record<'_>| sets.push(&record));
        sets.sort();
        (sets, report)
    }

    /// Reads and checks a zone file as [`super::check()`] does. If the report has no errors, the result is a whole
    /// zone.
    pub fn check(source: &Source, options: &Options<'_>) -> (RrSets, Report) {
        let mut sets = RrSets::new(options.class);
        let (report, _) = super::check(source, options, &mut |record: Record<'_>| sets.push(&record));
        sets.sort();
        (sets, report)
    }

    /// Collects records of one class in any order. The TTL of an RRset is that of its last record.
    pub fn collect<'r>(class: Class, records: impl IntoIterator<Item = Record<'r>>) -> RrSets {
        let mut sets = RrSets::new(class);
        // No record is refused.
        records.into_iter().for_each(|record| drop(sets.push(&record)));
        sets.sort();
        sets
    }

    /// The RRsets, in order.
    pub fn iter(&self) -> impl Iterator<Item = RrSet<'_>> {
        self.rows.chunk_by(|a, b| self.order(a, b).is_eq()).map(|rows| RrSet { zone: self, rows })
    }

    /// All records, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.rows.iter().map(|row| self.record(row))
    }

    fn new(class: Class) -> RrSets {
        RrSets { class, octets: Vec::new(), rows: Vec::new() }
    }

    /// Adds a record, as a sink. The rows are unsorted until `sort`.
    #[allow(clippy::unnecessary_wraps)] // Every sink returns a result.
    fn push(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let start = self.octets.len();
        self.octets.extend_from_slice(record.owner.as_wire());
        self.octets.extend_from_slice(record.rdata);
        let run = self
            .rows
            .last()
            .map_or(0, |last| last.run + u32::from(self.owner(last).as_wire() != record.owner.as_wire()));
        self.rows.push(Row {
            run,
            start,
            ttl: record.ttl,
            rtype: record.rtype,
            covers: record.covers(),
            rdata_len: record.rdata.len() as u16,
            owner_len: record.owner.len() as u8,
        });
        Ok(())
    }

    fn sort(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        // The sort is stable, so that the last row of each RRset is the last one in the file.
        rows.sort_by(|a, b| self.order(a, b));
        let mut kept = Vec::with_capacity(rows.len());
        let mut set: Vec<(Vec<u8>, Row)> = Vec::new();
        let mut respelt = Vec::new();
        for group in rows.chunk_by(|a, b| self.order(a, b).is_eq()) {
            let [first, .., last] = group else {
                kept.extend_from_slice(group);
                continue;
            };
            // As in BIND, all records of an RRset have the first one's spelling of the owner.
            let written = |row: &&Row| self.owner(row).as_wire() != self.owner(first).as_wire();
            respelt.extend(group.iter().filter(written).map(|row| (row.start, self.owner(first).to_owned())));
            set.clear();
            set.extend(group.iter().map(|row| (self.record(row).canonical(), Row { ttl: last.ttl, ..*row })));
            set.sort_by(|(a, _), (b, _)| a.cmp(b));
            // Of records that differ only in the case of names, BIND keeps the last of the first run.
            set.dedup_by(|(a, later), (b, kept)| {
                let same = a == b;
                if same && later.run == kept.run {
                    *kept = *later;
                }
                same
            });
            kept.extend(set.iter().map(|(_, row)| *row));
        }
        self.rows = kept;
        for (start, owner) in respelt {
            self.octets[start..start + owner.as_ref().len()].copy_from_slice(owner.as_ref().as_wire());
        }
    }

    /// The order of RRsets. Records of one RRset are equal.
    fn order(&self, a: &Row, b: &Row) -> Ordering {
        let owners = || self.owner(a).cmp(&self.owner(b));
        is_nsec3(a).cmp(&is_nsec3(b)).then_with(owners).then_with(|| rank(a).cmp(&rank(b)))
    }

    fn owner(&self, row: &Row) -> NameRef<'_> {
        let wire = &self.octets[row.start..row.start + usize::from(row.owner_len)];
        NameRef::from_wire(wire).expect("it was a name when it was put here")
    }

    fn record(&self, row: &Row) -> Record<'_> {
        let start = row.start + usize::from(row.owner_len);
        let rdata = &self.octets[start..start + usize::from(row.rdata_len)];
        let (owner, at) = (self.owner(row), Location::default());
        Record { owner, ttl: row.ttl, class: self.class, rtype: row.rtype, rdata, at }
    }
}

/// BIND keeps NSEC3 and their signatures in a separate tree.
fn is_nsec3(row: &Row) -> bool {
    row.rtype == Rtype::NSEC3 || row.covers == Rtype::NSEC3.0
}

/// The rank of an RRset at its owner.
fn rank(row: &Row) -> (u32, bool, u16) {
    let is_signature = row.rtype == Rtype::RRSIG;
    let about = match if is_signature { Rtype(row.covers) } else { row.rtype } {
        Rtype::SOA => 0,
        Rtype::NS => 1,
        other => u32::from(other.0) + 2,
    };
    (about, is_signature, row.covers)
}

impl Record<'_> {
    /// The data in canonical form.
    fn canonical(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.rdata.len());
        rdata::canonical(self.rtype, self.rdata, &mut octets);
        octets
    }
}

impl fmt::Debug for RrSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.records()).finish()
    }
}

impl<'z> RrSet<'z> {
    /// The owner of the RRset.
    pub fn owner(self) -> NameRef<'z> {
        self.zone.owner(self.first())
    }

    /// The type of the RRset.
    pub fn rtype(self) -> Rtype {
        self.first().rtype
    }

    /// The TTL in seconds.
    pub fn ttl(self) -> u32 {
        self.first().ttl
    }

    /// The records, of which there is at least one.
    pub fn records(self) -> impl Iterator<Item = Record<'z>> {
        self.rows.iter().map(|row| self.zone.record(row))
    }

    /// The data of each record in canonical form, in canonical order.
    pub(super) fn canonical(self) -> impl Iterator<Item = Vec<u8>> {
        self.records().map(|record| record.canonical())
    }

    /// Compares the place of this RRset with that of an RRset of another zone.
    pub(super) fn order(self, other: RrSet<'_>) -> Ordering {
        let (a, b) = (self.first(), other.first());
        let owners = || self.owner().cmp(&other.owner());
        is_nsec3(a).cmp(&is_nsec3(b)).then_with(owners).then_with(|| rank(a).cmp(&rank(b)))
    }

    fn first(self) -> &'z Row {
        // RRsets are made by splitting a slice into runs, none of which is empty.
        &self.rows[0]
    }
}
