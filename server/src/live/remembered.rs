//! A zone whose versions are made elsewhere, one after another, as by an operator: the changes between them are kept in
//! memory for secondaries.

use std::{path::PathBuf, sync::Arc};

use super::Live;
use crate::{
    journal::{Journal, JournalError, memory::MemoryDisk},
    sync::lock,
    zone::{Change, ZoneData},
};

/// The changes that are kept of a zone, in octets; beyond this, the older half goes.
const MOST: u64 = 1 << 20;

/// The changes between the versions so far.
pub(super) struct Remembered(Journal);

impl Live {
    /// The owner of a zone whose versions are made elsewhere, of which this is the first. It is only in memory.
    pub fn remembered(content: ZoneData) -> Live {
        // On a disk without files there is nothing that could fail; if it did, secondaries would get the whole zone.
        let journal = Journal::open(Arc::new(MemoryDisk::default()), PathBuf::from("changes"), content.origin()).ok();
        let history = journal.as_ref().map(Journal::history);
        let live = Live { follows_file: true, history, ..Live::unkept(content) };
        lock(&live.tip).remembered = journal.map(Remembered);
        live
    }

    /// Takes note of the next version, which is to be published right after this. Secondaries get the difference, if its
    /// serial is ahead of the last one's (RFC 1982).
    pub fn follow(&self, content: ZoneData) {
        let mut tip = lock(&self.tip);
        let tip = &mut *tip;
        if let Some(remembered) = &mut tip.remembered
            && remembered.add(&tip.data, &content).is_err()
        {
            // Then secondaries get the whole zone.
            let _ = remembered.0.reset();
        }
        lock(&self.newest).clone_from(&content);
        tip.data = content;
    }
}

impl Remembered {
    fn add(&mut self, before: &ZoneData, content: &ZoneData) -> Result<(), JournalError> {
        let Remembered(journal) = self;
        let Some(change) = Change::between(before, content) else {
            // Of the same serial there is one version only, or no version at all.
            return if before.is(content) { Ok(()) } else { journal.reset() };
        };
        let (from, to) = (change.from(), change.to());
        let changes = [change];
        if from >= to || journal.end().is_some_and(|end| end != from) || journal.repeats(&changes) {
            return journal.reset();
        }
        journal.append(&changes)?;
        if journal.octets() > MOST {
            journal.compact(MOST / 2, to)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use zonefmt::{Name, Rtype, Serial};

    use super::*;

    /// The version after another: with this serial, and a text of so many octets at one more name.
    fn version(before: &ZoneData, serial: u32, label: &str, octets: usize) -> ZoneData {
        let mut soa = [0; 22];
        soa[2..6].copy_from_slice(&serial.to_be_bytes());
        let mut edit = before.edit();
        edit.replace(before.origin(), Rtype::SOA, 60, [&soa[..]]).unwrap();
        let owner = Name::from_ascii(format!("{label}.example")).unwrap();
        let text = [&[255][..], &[7; 255]].concat().repeat(octets / 256 + 1);
        edit.replace(owner.as_ref(), Rtype::TXT, 60, [&text[..]]).unwrap();
        edit.commit()
    }

    #[test]
    fn secondaries_get_what_changed_since_any_version_that_is_remembered() {
        let first = version(&ZoneData::new(Name::from_ascii("example").unwrap()), 1, "a", 0);
        let live = Live::remembered(first.clone());
        let since = |serial| live.since(Serial(serial)).map(|changes| changes.map(Result::unwrap).collect::<Vec<_>>());
        let count = |serial| since(serial).map(|changes| changes.len());
        let second = version(&first, 2, "b", 0);
        let third = version(&second, 3, "c", 0);
        live.follow(second.clone());
        live.follow(second.clone());
        live.follow(third.clone());
        assert_eq!([1, 2, 3, 4].map(count), [Some(2), Some(1), Some(0), None]);
        let led_to = since(2).unwrap().remove(0).apply(&second).unwrap();
        assert!(led_to.differences(&third).next().is_none());
        live.follow(version(&third, 2, "d", 0));
        assert_eq!([1, 2].map(count), [None, None], "it went back, so nothing leads to it");
        assert_eq!(live.newest().serial(), Some(Serial(2)));
    }

    #[test]
    fn what_is_remembered_has_bounds() {
        let mut at = version(&ZoneData::new(Name::from_ascii("example").unwrap()), 1, "a", 0);
        let live = Live::remembered(at.clone());
        for serial in 2..200 {
            at = version(&at, serial, &format!("n{serial}"), 16_000);
            live.follow(at.clone());
            let octets = lock(&live.tip).remembered.as_ref().unwrap().0.octets();
            assert!(octets <= MOST, "{octets}");
        }
        assert!(live.since(Serial(1)).is_none() && live.since(Serial(190)).is_some());
    }
}
