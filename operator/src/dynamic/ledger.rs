//! All that clients have written into a zone.
//!
//! Updates are appended to the log, whole, all of a batch by one write of one object. The log is a ring of segments: one
//! object would have to be written whole with each update. Before a segment is used again, the shards that its updates
//! touch are written anew from what there is then, each with the number of the last update that is folded into it. So
//! nothing is ever deleted, and what there is follows from the objects at each moment: the shards, and on top of each the
//! updates in the log with higher numbers.
//!
//! As soon as the log has no longer the first update, all parts are there, and it has every update from its first on. So it
//! is noticed if one of them was lost, and nothing is taken for less than it was.
//!
//! Which segment is written next depends on what there is, and never on what is to be written. So of two processes that
//! know the same, both would write the same object, and the API server takes it from one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use bindy_server::zone::{Edit, EditError, ZoneData};
use serde_json::{Value, json};
use zonefmt::Name;

use super::{
    Entry,
    line::{self, Line},
    part::{Kept, Part, SEGMENTS, SHARDS},
};

/// All that clients have written into a zone.
#[derive(Clone, Debug)]
pub struct Ledger {
    namespace: String,
    zone: Name,
    /// The updates in each segment of the log.
    log: Vec<Arc<Segment>>,
    /// The segment with the last update.
    current: usize,
    /// Up to which update each shard has them folded in.
    folded: [u64; SHARDS],
    /// How many octets the records of each shard take as lines.
    octets: [usize; SHARDS],
    /// The number of the last update; 0 if there is none.
    last: u64,
    data: ZoneData,
}

/// A segment of the log.
#[derive(Clone, Default, Debug)]
struct Segment {
    entries: Vec<(u64, Arc<Entry>)>,
    octets: usize,
}

/// What is to be written for updates, and what there is then.
#[derive(Debug)]
pub struct Plan {
    parts: Vec<Kept>,
    ledger: Ledger,
}

/// Why updates are not made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// This one of them does not fit, by its index, for this reason.
    Update(usize, String),
    /// Each would, but they are too many for one object.
    Together,
}

/// What was written cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerError(String);

/// The most records that clients may have in a zone.
pub const MOST_RECORDS: usize = 20_000;
/// From how many octets on a segment gets no more updates.
const SEGMENT_OCTETS: usize = 2048;
/// The most octets of an update as it is in an object.
const MOST_OF_UPDATE: usize = 64 * 1024;
/// The most of a batch.
const MOST_OF_BATCH: usize = 256 * 1024;
/// The most octets of a shard's lines. The names of a zone spread evenly; those of one who wants them not to be, do not.
const MOST_OF_SHARD: usize = 512 * 1024;

impl Ledger {
    /// Nothing was written yet.
    pub fn new(namespace: &str, zone: Name) -> Ledger {
        Ledger {
            namespace: namespace.to_owned(),
            data: ZoneData::new(zone.clone()),
            zone,
            log: vec![Arc::default(); SEGMENTS],
            current: 0,
            folded: [0; SHARDS],
            octets: [0; SHARDS],
            last: 0,
        }
    }

    /// Reads what was written from the objects that there are of the zone, in any order.
    ///
    /// # Errors
    /// Somebody else has written them, or an update that was made, or a part, is not there any more.
    pub fn read<'o>(
        namespace: &str,
        zone: Name,
        objects: impl Iterator<Item = &'o Value>,
    ) -> Result<Ledger, LedgerError> {
        let mut ledger = Ledger::new(namespace, zone);
        let mut edit = ledger.data.edit();
        let mut updates: BTreeMap<u64, (Arc<Entry>, &str)> = BTreeMap::new();
        let mut there = BTreeSet::new();
        for object in objects {
            let (name, spec) = (object["metadata"]["name"].as_str().unwrap_or_default(), &object["spec"]);
            let wrong = |what: &str| {
                LedgerError(format!(
                    "DynamicRecords {name} {what}; put it back as it was, or remove what is wrong with it"
                ))
            };
            let list = |field: &str| {
                spec[field]
                    .as_array()
                    .ok_or_else(|| wrong(&format!("has no list in `{field}`")))
                    .map(|list| list.iter().enumerate())
            };
            let part = spec["part"].as_str().and_then(Part::parse);
            let part = part.ok_or_else(|| wrong("has no `part` that is known"))?;
            if !there.insert(part) {
                return Err(wrong(&format!("is {part}, as another one is")));
            }
            match part {
                Part::Base(shard) => {
                    ledger.folded[shard] = spec["upTo"].as_u64().ok_or_else(|| wrong("has no number in `upTo`"))?;
                    for (number, text) in list("lines")? {
                        let line = text.as_str().and_then(line::read);
                        let line = line.filter(|line| ledger.has_place_for(line, shard));
                        let line =
                            line.ok_or_else(|| wrong(&format!("has no record of the zone in lines[{number}]")))?;
                        add(&mut edit, &line).map_err(|error| wrong(&format!("has in lines[{number}]: {error}")))?;
                        ledger.octets[shard] += octets(&line);
                    }
                }
                Part::Log(segment) => {
                    let mut read = Segment::default();
                    for (number, value) in list("changes")? {
                        let entry = Entry::read(value);
                        let is_inside = |entry: &Entry| entry.records().all(|line| ledger.is_inside(line));
                        let entry = entry.filter(|(_, entry)| is_inside(entry));
                        let (at, entry) =
                            entry.ok_or_else(|| wrong(&format!("has no update of the zone in changes[{number}]")))?;
                        let entry = Arc::new(entry);
                        if let Some((other, of)) = updates.insert(at, (Arc::clone(&entry), name))
                            && other != entry
                        {
                            return Err(wrong(&format!("has another update {at} than {of}")));
                        }
                        read.octets += value.to_string().len();
                        read.entries.push((at, entry));
                    }
                    read.entries.sort_unstable_by_key(|(number, _)| *number);
                    ledger.log[segment] = Arc::new(read);
                }
            }
        }
        let newest = ledger.folded.into_iter().max().unwrap_or(0);
        ledger.last = updates.last_key_value().map_or(newest, |(last, _)| newest.max(*last));
        let first = updates.first_key_value().map_or(1, |(first, _)| *first);
        if let Some(missing) = Part::all().find(|part| first > 1 && !there.contains(part)) {
            return Err(LedgerError(format!("the zone has no DynamicRecords for {missing}; put it back")));
        }
        if let Some(missing) = (first..=ledger.last).find(|number| !updates.contains_key(number)) {
            return Err(LedgerError(format!("update {missing} of the zone is in no DynamicRecords; put it back")));
        }
        for (number, (entry, name)) in &updates {
            let folded = ledger.folded;
            let is_open = |line: &&Line| folded[Part::shard_of(line.owner.as_ref())] < *number;
            ledger.make(&mut edit, entry, is_open).map_err(|error| {
                LedgerError(format!("update {number} in DynamicRecords {name} cannot be made: {error}"))
            })?;
        }
        ledger.data = edit.commit();
        let last_of = |segment: usize| ledger.log[segment].entries.last().map_or(0, |(number, _)| *number);
        ledger.current = (0..SEGMENTS).max_by_key(|segment| (last_of(*segment), SEGMENTS - segment)).unwrap_or(0);
        Ok(ledger)
    }

    /// All records that clients have written, without an SOA.
    pub fn data(&self) -> &ZoneData {
        &self.data
    }

    /// What is to be written so that these updates are made, all of them by one object.
    ///
    /// # Errors
    /// They do not fit.
    pub fn append(&self, updates: Vec<Entry>) -> Result<Plan, Unfit> {
        let mut next = self.clone();
        let (mut edit, mut written) = (self.data.edit(), 0);
        let mut entries = Vec::new();
        for (update, entry) in updates.into_iter().enumerate() {
            let full = |why: String| Unfit::Update(update, why);
            let before = next.records();
            next.last += 1;
            let octets = entry.write(next.last).to_string().len();
            written += octets;
            if octets > MOST_OF_UPDATE {
                return Err(full(format!("the update is too large ({octets} octets as text); make several of it")));
            }
            if written > MOST_OF_BATCH {
                return Err(Unfit::Together);
            }
            let sizes = next.octets;
            next.make(&mut edit, &entry, |_| true).map_err(|error| full(error.to_string()))?;
            // What was changed so far is seen in a version.
            next.data = edit.commit();
            edit = next.data.edit();
            if next.records() > MOST_RECORDS && next.records() > before {
                return Err(full(format!(
                    "clients have {before} records in the zone, and may have {MOST_RECORDS}; remove some first"
                )));
            }
            if next.octets.iter().zip(sizes).any(|(octets, before)| *octets > MOST_OF_SHARD && *octets > before) {
                return Err(full("clients have too large records in the zone; remove some first".into()));
            }
            entries.push((next.last, Arc::new(entry), octets));
        }
        let mut parts = Vec::new();
        if self.log[self.current].octets >= SEGMENT_OCTETS {
            next.current = (self.current + 1) % SEGMENTS;
            parts = self.fold(next.current, &mut next.folded);
            next.log[next.current] = Arc::default();
        }
        let segment = Arc::make_mut(&mut next.log[next.current]);
        for (number, entry, octets) in entries {
            segment.octets += octets;
            segment.entries.push((number, entry));
        }
        parts.push(next.segment(next.current));
        Ok(Plan { parts, ledger: next })
    }

    /// How many records clients have written.
    pub fn records(&self) -> usize {
        self.data.records()
    }

    /// The shards that are to be written so that nothing is lost with a segment, as they are now. Those that were never
    /// written are among them, so that all are there from then on.
    fn fold(&self, segment: usize, folded: &mut [u64; SHARDS]) -> Vec<Kept> {
        let entries = &self.log[segment].entries;
        let mut open = self.folded.map(|folded| folded == 0 && !entries.is_empty());
        for (number, entry) in entries {
            for line in entry.records() {
                let shard = Part::shard_of(line.owner.as_ref());
                open[shard] |= self.folded[shard] < *number;
            }
        }
        if !open.contains(&true) {
            return Vec::new();
        }
        let mut lines: Vec<Vec<String>> = vec![Vec::new(); SHARDS];
        for node in self.data.iter() {
            let owner = node.owner();
            let shard = Part::shard_of(owner.as_ref());
            if open[shard] {
                for set in node.rrsets() {
                    lines[shard].extend(set.rdatas().map(|data| line::write(owner.as_ref(), set.rtype, set.ttl, data)));
                }
            }
        }
        let shards = lines.into_iter().enumerate().filter(|(shard, _)| open[*shard]);
        let kept = shards.map(|(shard, lines)| {
            folded[shard] = self.last;
            let content = json!({ "records": lines.len(), "upTo": self.last, "lines": lines });
            Kept::new(&self.namespace, &self.zone, Part::Base(shard), content)
        });
        kept.collect()
    }

    fn segment(&self, number: usize) -> Kept {
        let entries = &self.log[number].entries;
        let changes: Vec<Value> = entries.iter().map(|(number, entry)| entry.write(*number)).collect();
        let last = entries.last().map(|(_, entry)| entry);
        let content = json!({
            "records": entries.iter().map(|(_, entry)| entry.records().count()).sum::<usize>(),
            "lastWriter": last.map(|entry| &entry.by),
            "lastChange": last.map(|entry| entry.at.to_string()),
            "changes": changes,
        });
        Kept::new(&self.namespace, &self.zone, Part::Log(number), content)
    }

    /// Makes an update, as far as these records go.
    fn make(&mut self, edit: &mut Edit, entry: &Entry, counts: impl Fn(&&Line) -> bool) -> Result<(), EditError> {
        for line in entry.removed.iter().filter(&counts) {
            if edit.remove_record(line.owner.as_ref(), line.rtype, &line.rdata)? {
                let size = &mut self.octets[Part::shard_of(line.owner.as_ref())];
                *size = size.saturating_sub(octets(line));
            }
        }
        for line in entry.added.iter().filter(&counts) {
            add(edit, line)?;
            self.octets[Part::shard_of(line.owner.as_ref())] += octets(line);
        }
        Ok(())
    }

    fn is_inside(&self, line: &Line) -> bool {
        line.owner.as_ref().is_at_or_below(self.zone.as_ref())
    }

    fn has_place_for(&self, line: &Line, shard: usize) -> bool {
        self.is_inside(line) && Part::shard_of(line.owner.as_ref()) == shard
    }
}

impl Plan {
    /// What is to be written, one after the other, each in place of the version that is known. If that ends before the
    /// last, none of the updates is made, and nothing else has changed.
    pub fn parts(&self) -> &[Kept] {
        &self.parts
    }

    /// What there is when all is written.
    pub fn into_ledger(self) -> Ledger {
        self.ledger
    }
}

fn add(edit: &mut Edit, line: &Line) -> Result<(), EditError> {
    edit.add(line.owner.as_ref(), line.rtype, line.ttl, &line.rdata).map(drop)
}

/// How many octets a record takes at most as a line.
fn octets(line: &Line) -> usize {
    line::write(line.owner.as_ref(), line.rtype, line.ttl, &line.rdata).len()
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
