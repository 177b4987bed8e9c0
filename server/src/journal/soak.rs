//! Lives of journals on a disk that loses power, fails and fills up: whatever happens, everything acknowledged is there
//! at the next start, nothing twice, in one chain, and what was refused or dropped does not come back.

use std::{path::PathBuf, sync::Arc};

use fastrand::Rng;
use zonefmt::{Rtype, Serial};

use super::{
    Changes, Journal, JournalCause,
    simulated::{Fault, SimulatedDisk},
    tests::{name, origin, soa},
};
use crate::zone::{Change, ZoneData};

/// What must hold, independently of the journal.
struct Life {
    rng: Rng,
    disk: SimulatedDisk,
    /// Every acknowledged version of the zone, and the change to each but the first.
    versions: Vec<ZoneData>,
    changes: Vec<Change>,
    /// The version that is in the zone file.
    saved: usize,
    /// Changes of which it is not known whether they are on the disk, and the versions they lead to.
    doubtful: Vec<(Change, ZoneData)>,
}

/// How a part of a life ended.
enum End {
    /// The power went off.
    Dark,
    /// The disk works, and so does the process.
    Fine,
}

type Verdict<T> = Result<T, String>;

fn path() -> PathBuf {
    PathBuf::from("zone.changes")
}

/// Turns a condition that does not hold into a verdict.
fn must(holds: bool, what: &str) -> Verdict<()> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

impl Life {
    fn new(seed: u64, disk: SimulatedDisk) -> Life {
        let mut rng = Rng::with_seed(seed);
        let serial = Serial([1, u32::MAX - 3, 0x7fff_fff0][rng.usize(..3)]);
        let mut edit = ZoneData::new(origin()).edit();
        edit.add(origin().as_ref(), Rtype::SOA, 300, &soa(serial)).expect("it fits");
        let versions = vec![edit.commit()];
        Life { rng, disk, versions, changes: Vec::new(), saved: 0, doubtful: Vec::new() }
    }

    fn tip(&self) -> &ZoneData {
        self.versions.last().expect("there is a first one")
    }

    fn serial(&self, version: usize) -> Serial {
        self.versions[version].serial().expect("each has an SOA")
    }

    /// Starts and ends the server a few times.
    fn live(mut self) -> Verdict<()> {
        for _ in 0..self.rng.u32(1..5) {
            if self.rng.bool() {
                let fault = [Fault::PowerOff, Fault::PowerOff, Fault::Failure, Fault::Full][self.rng.usize(..4)];
                self.disk.fail_after(self.rng.u32(..25), fault);
            }
            if let End::Fine = self.run()? {
                self.disk.mend();
            }
            if self.rng.u8(..3) == 0 && self.disk.is_powered() {
                self.disk.kill();
            } else {
                self.disk.lose_power();
            }
        }
        self.disk.mend();
        match self.start()? {
            Some(_) => Ok(()),
            None => Err("the journal does not open on a disk that works".to_owned()),
        }
    }

    /// A run of the server, from its start until the power goes off, or nothing more is to be done.
    fn run(&mut self) -> Verdict<End> {
        let mut journal = loop {
            match self.start()? {
                Some(journal) => break journal,
                None if !self.disk.is_powered() => return Ok(End::Dark),
                // Opening makes the journal durable, which can fail.
                None => self.disk.mend(),
            }
        };
        let mut readers: Vec<(Changes, Vec<Change>)> = Vec::new();
        for _ in 0..self.rng.u32(..12) {
            if self.rng.u8(..4) == 0 {
                journal.close_file();
            }
            if self.rng.u8(..4) == 0 {
                readers.extend(self.reader(&journal)?);
            }
            match self.rng.u8(..8) {
                0 => self.saved = self.versions.len() - 1,
                1 => {
                    let _ = journal.compact(self.rng.u64(..8000), self.serial(self.saved));
                }
                2 if self.is_saved() && self.rng.bool() => {
                    let _ = journal.reset();
                }
                3 if self.is_saved() => {
                    let _ = journal.mark_saved();
                }
                _ => self.append(&mut journal)?,
            }
            if !self.disk.is_powered() {
                return Ok(End::Dark);
            }
            if journal.is_uncertain() {
                must(
                    matches!(self.try_append(&mut journal), Err(JournalCause::Uncertain)),
                    "accepted after a failure",
                )?;
                if self.rng.u8(..4) == 0 {
                    return Ok(End::Fine);
                }
                if self.rng.bool() {
                    self.disk.mend();
                }
                let recovered = journal.recover().is_ok();
                must(recovered != journal.is_uncertain(), "certain after a failed recovery, or the reverse")?;
            }
            if !self.disk.is_powered() {
                return Ok(End::Dark);
            }
            if !journal.is_uncertain() {
                self.doubtful.clear();
            }
            if self.rng.u8(..4) == 0 {
                self.check(&journal)?;
            }
        }
        for (changes, expected) in readers {
            let read: Result<Vec<_>, _> = changes.collect();
            must(read.is_ok_and(|read| read == expected), "a reader does not see what was there when it started")?;
        }
        Ok(End::Fine)
    }

    /// Opens the journal, and decides what was doubtful by what is in it.
    fn start(&mut self) -> Verdict<Option<Journal>> {
        let opened = Journal::open(Arc::new(self.disk.clone()), path(), origin().as_ref());
        let mut journal = match opened {
            Ok(_) if !self.disk.is_powered() => return Ok(None),
            Ok(journal) => journal,
            Err(error) => {
                let is_io = matches!(error.cause, JournalCause::Io(..));
                return if is_io { Ok(None) } else { Err(error.to_string()) };
            }
        };
        let doubtful = std::mem::take(&mut self.doubtful);
        let led_to = doubtful.last().and_then(|(change, _)| (journal.end() == Some(change.to())).then_some(()));
        if led_to.is_some() {
            let (changes, versions): (Vec<_>, Vec<_>) = doubtful.into_iter().unzip();
            self.changes.extend(changes);
            self.versions.extend(versions);
        }
        self.check(&journal)?;
        let newest = journal.replay(&self.versions[self.saved]).map_err(|error| error.to_string())?;
        must(
            Change::between(&newest, self.tip()).is_none() && newest.serial() == self.tip().serial(),
            "other content",
        )?;
        must(newest.differences(self.tip()).next().is_none(), "other records")?;
        Ok(Some(journal))
    }

    /// Whether the zone file has everything.
    fn is_saved(&self) -> bool {
        self.saved == self.versions.len() - 1
    }

    /// Checks that the journal has exactly the changes since the zone file.
    fn check(&self, journal: &Journal) -> Verdict<()> {
        must(self.is_saved() || !journal.is_saved(), "the journal says that the zone file has what it lacks")?;
        let expected = &self.changes[self.saved..];
        match journal.since(self.serial(self.saved)) {
            Some(changes) => {
                let read: Result<Vec<_>, _> = changes.collect();
                must(read.is_ok_and(|read| read == expected), "other changes than were acknowledged")
            }
            None => must(expected.is_empty() && journal.end().is_none(), "acknowledged changes are gone"),
        }
    }

    /// A reader from any version that the journal has, and what it must read.
    fn reader(&mut self, journal: &Journal) -> Verdict<Option<(Changes, Vec<Change>)>> {
        let version = self.rng.usize(..self.versions.len());
        let changes = journal.since(self.serial(version));
        let has = journal.base().is_some_and(|base| (0..=version).any(|earlier| self.serial(earlier) == base));
        must(changes.is_some() == has, "the journal does not have what it says")?;
        Ok(changes.map(|changes| (changes, self.changes[version..].to_vec())))
    }

    fn append(&mut self, journal: &mut Journal) -> Verdict<()> {
        match self.try_append(journal) {
            Err(JournalCause::Io(..) | JournalCause::Uncertain) | Ok(()) => Ok(()),
            Err(cause) => Err(format!("refused: {cause:?}")),
        }
    }

    /// Appends a few changes together.
    fn try_append(&mut self, journal: &mut Journal) -> Result<(), JournalCause> {
        let mut made: Vec<(Change, ZoneData)> = Vec::new();
        for _ in 0..self.rng.usize(1..4) {
            let version = made.last().map_or(self.tip(), |(_, version)| version).clone();
            made.push(self.change(&version));
        }
        let changes: Vec<_> = made.iter().map(|(change, _)| change.clone()).collect();
        let appended = journal.append(&changes).map_err(|error| error.cause);
        match &appended {
            Ok(()) => {
                let (changes, versions): (Vec<_>, Vec<_>) = made.into_iter().unzip();
                self.changes.extend(changes);
                self.versions.extend(versions);
            }
            // The earlier ones are the doubtful ones then.
            Err(JournalCause::Uncertain) => {}
            Err(_) => self.doubtful = made,
        }
        appended
    }

    /// A change to a version: a record of any length takes another's place.
    fn change(&mut self, version: &ZoneData) -> (Change, ZoneData) {
        let serial = version.serial().expect("each has an SOA").next();
        let owner = name(&format!("h{}.example", self.rng.u8(..4)));
        let length = if self.rng.u8(..4) == 0 { self.rng.usize(..3000) } else { self.rng.usize(..40) };
        let data: Vec<u8> = std::iter::repeat_with(|| self.rng.u8(..)).take(length + 1).collect();
        let mut edit = version.edit();
        edit.replace(origin().as_ref(), Rtype::SOA, 300, [&*soa(serial)]).expect("it fits");
        edit.replace(owner.as_ref(), Rtype::TXT, 300, [&*data]).expect("it fits");
        let newer = edit.commit();
        (Change::between(version, &newer).expect("the serial differs"), newer)
    }
}

#[test]
fn ten_thousand_lives_lose_nothing() {
    for seed in 0..10_000 {
        let verdict = Life::new(seed, SimulatedDisk::new(seed)).live();
        assert_eq!(verdict, Ok(()), "seed {seed}");
    }
}

/// Proves that the lives would show it if a sync were missing.
#[test]
fn on_a_disk_that_lies_changes_are_lost() {
    let lost = (0..200).filter(|&seed| Life::new(seed, SimulatedDisk::lying(seed)).live().is_err()).count();
    assert!(lost > 20, "only {lost} of 200 lives lost something");
}
