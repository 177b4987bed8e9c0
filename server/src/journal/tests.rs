//! The journal on a real disk, in each of its steps.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use proptest::prelude::*;
use zonefmt::{Name, Rtype, Serial, rdata::Soa};

use super::{Journal, JournalCause, JournalError, disk::LocalDisk, files, path};
use crate::zone::{Change, ZoneData};

pub(super) fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

pub(super) fn origin() -> Name {
    name("example")
}

pub(super) fn soa(serial: Serial) -> Vec<u8> {
    let (primary, mailbox) = (name("ns.example"), name("hostmaster.example"));
    let (primary, mailbox) = (primary.as_ref(), mailbox.as_ref());
    Soa { primary, mailbox, serial, refresh: 3600, retry: 900, expire: 604_800, minimum: 300 }.to_wire()
}

/// The version of this serial: it has one address, which is the serial.
fn version(serial: u32) -> ZoneData {
    let mut edit = ZoneData::new(origin()).edit();
    edit.add(origin().as_ref(), Rtype::SOA, 300, &soa(Serial(serial))).unwrap();
    edit.add(name("host.example").as_ref(), Rtype::A, 300, &serial.to_be_bytes()).unwrap();
    edit.commit()
}

fn change(from: u32, to: u32) -> Change {
    Change::between(&version(from), &version(to)).unwrap()
}

fn changes(serials: &[u32]) -> Vec<Change> {
    serials.windows(2).map(|two| change(two[0], two[1])).collect()
}

fn open(folder: &tempfile::TempDir) -> Result<Journal, JournalError> {
    Journal::open(Arc::new(LocalDisk), folder.path().join("zone.changes"), origin().as_ref())
}

/// A folder, and a journal in it with a frame for each of these changes.
fn with_frames(serials: &[u32]) -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(&folder).unwrap();
    for change in changes(serials) {
        journal.append(&[change]).unwrap();
    }
    (folder, journal)
}

/// The serials that the changes since a serial lead to.
fn since(journal: &Journal, serial: u32) -> Option<Vec<u32>> {
    Some(journal.since(Serial(serial))?.map(|change| change.unwrap().to().0).collect())
}

/// Changes octets of the file.
fn overwrite(path: &Path, at: u64, octets: &[u8]) {
    fs::File::options().write(true).open(path).unwrap().write_all_at(octets, at).unwrap();
}

#[test]
fn what_is_appended_is_there_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(&folder).unwrap();
    assert_eq!((journal.base(), journal.end(), since(&journal, 1)), (None, None, None));
    assert!(!journal.path().exists());
    journal.append(&changes(&[1, 2])).unwrap();
    journal.append(&changes(&[2, 3, 5])).unwrap();
    journal.append(&[]).unwrap();
    for mut journal in [journal, open(&folder).unwrap()] {
        assert_eq!((journal.base(), journal.end()), (Some(Serial(1)), Some(Serial(5))));
        assert_eq!(since(&journal, 1), Some(vec![2, 3, 5]));
        assert_eq!(since(&journal, 3), Some(vec![5]));
        assert_eq!(since(&journal, 5), Some(vec![]));
        assert_eq!((since(&journal, 4), since(&journal, 0)), (None, None));
        assert_eq!(journal.replay(&version(2)).unwrap().serial(), Some(Serial(5)));
        assert_eq!(journal.replay(&version(5)).unwrap().serial(), Some(Serial(5)));
    }
}

#[test]
fn serials_may_go_round() {
    let serials = [u32::MAX - 1, u32::MAX, 1, 0x8000_0000, 0xffff_fff0, 0x7fff_ffe0];
    let (folder, journal) = with_frames(&serials);
    for journal in [journal, open(&folder).unwrap()] {
        assert_eq!(since(&journal, serials[0]).unwrap(), serials[1..]);
        assert_eq!(since(&journal, 1).unwrap(), serials[3..]);
    }
}

/// With a serial twice in it, the journal made only the changes since its second time to a zone file of the first one.
#[test]
fn a_serial_that_comes_again_is_refused() {
    let serials = [1, 2, 0x8000_0001, 0xffff_ffff];
    let (folder, mut journal) = with_frames(&serials);
    for wrong in
        [&[u32::MAX, 2][..], &[u32::MAX, 1], &[u32::MAX, 0, 2], &[u32::MAX, 0x7fff_ffff, 0xffff_fffe, 7, 0x7fff_ffff]]
    {
        let error = journal.append(&changes(wrong)).unwrap_err();
        assert!(matches!(error.cause, JournalCause::Repeated(_)), "{error}");
    }
    assert_eq!(since(&journal, 1).unwrap(), serials[1..]);
    journal.append(&changes(&[u32::MAX, 0])).unwrap();
    let mut journal = open(&folder).unwrap();
    assert!(journal.append(&changes(&[0, 1])).is_err());
    journal.compact(0, Serial(0)).unwrap();
    journal.append(&changes(&[0, 1, 2])).unwrap();
    assert_eq!(since(&journal, 0), Some(vec![1, 2]));
}

/// From one serial to the next: mostly small steps, and such as soon lead round.
fn step() -> impl Strategy<Value = u32> {
    prop_oneof![1..4_u32, Just(0x7fff_ffff), Just(0x8000_0000), Just(u32::MAX), any::<u32>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever serials do, those in the journal are distinct, and each finds the changes since then.
    #[test]
    fn no_serial_is_twice_in_a_journal(steps in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = open(&folder).unwrap();
        let mut known = vec![1_u32];
        for steps in steps {
            let mut serials = vec![*known.last().unwrap()];
            for step in steps {
                serials.push(serials.last().unwrap().wrapping_add(step));
            }
            if serials.windows(2).any(|two| two[0] == two[1]) {
                continue;
            }
            let all = [&known, &serials[1..]].concat();
            let repeats = (1..all.len()).any(|at| all[..at].contains(&all[at]));
            let appended = journal.append(&changes(&serials));
            match appended {
                Ok(()) => known = all,
                Err(error) => {
                    prop_assert!(matches!(error.cause, JournalCause::Repeated(_)), "{}", error);
                    journal.reset().unwrap();
                    known = vec![serials[0]];
                }
            }
            prop_assert_eq!(repeats, known.len() == 1);
            for (at, &serial) in known.iter().enumerate().filter(|_| known.len() > 1) {
                prop_assert_eq!(since(&journal, serial).unwrap(), &known[at + 1..]);
            }
            journal = open(&folder).unwrap();
        }
    }
}

#[test]
fn a_change_that_does_not_follow_is_refused() {
    let (folder, mut journal) = with_frames(&[1, 2, 3]);
    for wrong in [changes(&[2, 4]), changes(&[4, 5]), vec![change(3, 4), change(5, 6)]] {
        let error = journal.append(&wrong).unwrap_err();
        assert!(matches!(error.cause, JournalCause::Gap(..)), "{error}");
    }
    assert_eq!(since(&journal, 1), Some(vec![2, 3]));
    assert_eq!(since(&open(&folder).unwrap(), 1), Some(vec![2, 3]));
}

#[test]
fn a_zone_file_that_the_journal_does_not_belong_to_is_an_error() {
    let (_folder, mut journal) = with_frames(&[2, 3, 4]);
    for serial in [1, 5, 9] {
        let error = journal.replay(&version(serial)).unwrap_err();
        assert!(matches!(error.cause, JournalCause::OutOfSync(..)), "{error}");
        assert!(error.to_string().contains(&format!("from serial 2 to 4, and the zone file has serial {serial};")));
    }
    let edited = {
        let mut edit = version(2).edit();
        edit.remove(name("host.example").as_ref(), Rtype::A).unwrap();
        edit.commit()
    };
    let error = journal.replay(&edited).unwrap_err();
    assert!(error.to_string().contains("a change removes host.example. A, which does not exist; "), "{error}");
}

#[test]
fn a_frame_that_is_not_whole_at_the_end_is_dropped() {
    let (folder, journal) = with_frames(&[1, 2, 3]);
    let (path, end) = (journal.path().to_owned(), journal.octets());
    let (third, whole) = {
        let mut journal = journal;
        journal.append(&changes(&[3, 4, 5])).unwrap();
        (end, fs::read(&path).unwrap())
    };
    let last = whole.iter().rposition(|&octet| octet != 0).unwrap() as u64;
    for at in third..=last {
        // Every octet of it, one way or another, and then a change that takes its place.
        let octet = !whole[at as usize];
        overwrite(&path, at, &[octet]);
        let mut journal = open(&folder).unwrap();
        assert_eq!(since(&journal, 1), Some(vec![2, 3]), "octet {at}");
        journal.append(&changes(&[3, 6])).unwrap();
        assert_eq!(since(&open(&folder).unwrap(), 1), Some(vec![2, 3, 6]), "octet {at}");
        fs::write(&path, &whole).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(at).unwrap();
        assert_eq!(since(&open(&folder).unwrap(), 1), Some(vec![2, 3]), "cut off at {at}");
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(since(&open(&folder).unwrap(), 1), Some(vec![2, 3, 4, 5]));
}

#[test]
fn damage_before_the_end_is_an_error() {
    let (folder, journal) = with_frames(&[1, 2, 3]);
    let (path, end) = (journal.path().to_owned(), journal.octets());
    let mut whole = fs::read(&path).unwrap();
    for at in (512..end).filter(|&at| whole[at as usize] != 0) {
        overwrite(&path, at, &[!whole[at as usize]]);
        match open(&folder) {
            Err(error) => {
                assert!(matches!(error.cause, JournalCause::Damaged(512)), "octet {at}: {error}");
                assert_eq!(fs::read(&path).unwrap().len(), whole.len(), "it is left for an operator to look at");
            }
            // Only the last frame can be lost in a crash.
            Ok(journal) => assert_eq!(since(&journal, 1), Some(vec![2]), "octet {at}"),
        }
        fs::write(&path, &whole).unwrap();
    }
    for at in 0..512 {
        whole[at] = !whole[at];
        fs::write(&path, &whole).unwrap();
        let error = open(&folder).err().expect("its header is damaged");
        assert!(matches!(error.cause, JournalCause::NotAJournal), "octet {at}: {error}");
        whole[at] = !whole[at];
    }
    fs::write(&path, b"").unwrap();
    assert!(matches!(open(&folder).err().expect("it is empty").cause, JournalCause::NotAJournal));
}

#[test]
fn the_journal_of_another_zone_is_an_error() {
    let (_folder, journal) = with_frames(&[1, 2]);
    let open = |zone: &str| Journal::open(Arc::new(LocalDisk), journal.path().to_owned(), name(zone).as_ref());
    assert!(open("EXAMPLE").is_ok());
    let error = open("other").err().expect("it is another zone's");
    assert!(matches!(&error.cause, JournalCause::OtherZone(zone) if *zone == origin()), "{error}");
}

#[test]
fn compaction_keeps_the_newest_changes_and_those_the_zone_file_lacks() {
    let serials: Vec<u32> = (1..=50).collect();
    let (folder, mut journal) = with_frames(&serials);
    let whole = journal.octets();
    let mut reader = journal.since(Serial(10)).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().to(), Serial(11));

    journal.compact(whole, Serial(50)).unwrap();
    journal.compact(0, Serial(0)).unwrap();
    journal.compact(0, Serial(1)).unwrap();
    assert_eq!((journal.base(), journal.octets()), (Some(Serial(1)), whole));

    journal.compact(whole / 2, Serial(50)).unwrap();
    let base = journal.base().unwrap().0;
    assert!((25..=28).contains(&base) && journal.octets() <= whole / 2, "{base}, {}", journal.octets());
    assert_eq!(since(&journal, base), Some((base + 1..=50).collect()));
    assert_eq!(since(&journal, base - 1), None);

    journal.append(&changes(&[50, 51])).unwrap();
    assert_eq!(since(&open(&folder).unwrap(), base), Some((base + 1..=51).collect()));
    // What is kept was joined to one frame, which is kept as a whole.
    journal.compact(0, Serial(48)).unwrap();
    assert_eq!(journal.base(), Some(Serial(base)));
    journal.compact(0, Serial(50)).unwrap();
    assert_eq!(since(&open(&folder).unwrap(), 50), Some(vec![51]));
    journal.compact(0, Serial(51)).unwrap();
    assert_eq!((since(&journal, 50), since(&journal, 51)), (None, Some(vec![])));
    let mut journal = open(&folder).unwrap();
    assert!(journal.append(&changes(&[50, 51])).is_err());
    journal.append(&changes(&[51, 52])).unwrap();
    assert_eq!(since(&open(&folder).unwrap(), 51), Some(vec![52]));

    assert_eq!(reader.map(|change| change.unwrap().to().0).collect::<Vec<_>>(), (12..=50).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn after_a_reset_a_new_chain_starts() {
    let (folder, mut journal) = with_frames(&[1, 2, 3]);
    let reader = journal.since(Serial(1)).unwrap();
    journal.reset().unwrap();
    assert!(!journal.path().exists());
    journal.reset().unwrap();
    assert_eq!((journal.base(), journal.octets(), since(&journal, 3)), (None, 0, None));
    journal.append(&changes(&[70, 71])).unwrap();
    assert_eq!(since(&open(&folder).unwrap(), 70), Some(vec![71]));
    assert_eq!(reader.count(), 2);
}

#[test]
fn what_was_left_of_writing_a_journal_anew_is_removed() {
    let (folder, journal) = with_frames(&[1, 2]);
    fs::write(folder.path().join("zone.changes.new"), "x").unwrap();
    drop(journal);
    open(&folder).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_an_error_with_a_remedy() {
    let path = PathBuf::from("/nonexistent/zone.changes");
    let mut journal = Journal::open(Arc::new(LocalDisk), path, origin().as_ref()).unwrap();
    let error = journal.append(&changes(&[1, 2])).unwrap_err().to_string();
    assert!(error.starts_with("journal /nonexistent/zone.changes: cannot write a new one: "), "{error}");
    assert!(error.ends_with("; make its folder, and let the server's user write in it"), "{error}");
    assert!(!journal.is_uncertain());
}

#[test]
fn the_journal_is_beside_the_zone_file_or_named_s_journal() {
    let of = |file: &str, named: Option<&str>| path(Path::new(file), named.map(Path::new));
    assert_eq!(of("a/zone", None), PathBuf::from("a/zone.changes"));
    assert_eq!(of("a/zone", Some("b/zone.jnl")), PathBuf::from("b/zone.changes"));
    assert_eq!(of("a/zone", Some("b/zone.journal")), PathBuf::from("b/zone.journal.changes"));
}

/// The files in a folder that this process has open.
fn open_in(folder: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|file| fs::read_link(file.path()).is_ok_and(|path| path.starts_with(folder))).count()
}

/// Each journal was an open file.
#[test]
fn many_journals_are_few_open_files() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        |n: usize| Journal::open(Arc::new(LocalDisk), folder.path().join(n.to_string()), origin().as_ref()).unwrap();
    let mut journals: Vec<Journal> = (0..files::MOST + 50).map(open).collect();
    for serial in 1..3 {
        for journal in &mut journals {
            journal.append(&[change(serial, serial + 1)]).unwrap();
        }
        assert!(open_in(folder.path()) <= files::MOST);
    }
    let readers: Vec<_> = journals.iter().map(|journal| journal.since(Serial(1)).unwrap()).collect();
    for journal in &mut journals {
        journal.compact(0, Serial(3)).unwrap();
    }
    assert!(readers.into_iter().all(|changes| changes.count() == 2));
    assert!(open_in(folder.path()) <= files::MOST);
}

#[test]
fn a_journal_that_goes_while_it_is_closed_is_noticed() {
    for other in [None, Some([2, 3])] {
        let (folder, mut journal) = with_frames(&[1, 2, 3]);
        journal.close_file();
        assert_eq!(since(&journal, 1), Some(vec![2, 3]));
        journal.close_file();
        match other {
            None => fs::remove_file(journal.path()).unwrap(),
            Some(serials) => {
                let (_other, journal) = with_frames(&serials);
                fs::copy(journal.path(), folder.path().join("zone.changes")).unwrap();
            }
        }
        assert!(journal.append(&changes(&[3, 4])).unwrap_err().is_gone());
        assert!(journal.recover().unwrap_err().is_gone() && since(&journal, 1).is_none());
        journal.reset().unwrap();
        journal.append(&changes(&[3, 4])).unwrap();
        assert_eq!(since(&open(&folder).unwrap(), 3), Some(vec![4]));
    }
}

#[test]
fn a_journal_goes_along_when_a_copy_becomes_a_primary_but_not_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = || folder.path().join("zone.changes");
    let open_of_copy = || Journal::open_of_copy(Arc::new(LocalDisk), path(), origin().as_ref()).unwrap();
    let mut copy = open_of_copy();
    copy.append(&changes(&[1, 2])).unwrap();
    copy.mark_saved().unwrap();
    let mut copy = open_of_copy();
    assert!(copy.reopen().unwrap() && copy.is_saved());
    let mut primary = open(&folder).unwrap();
    assert_eq!((since(&primary, 1), primary.is_saved()), (Some(vec![2]), true));
    primary.append(&changes(&[2, 3])).unwrap();
    assert_eq!(since(&open(&folder).unwrap(), 1), Some(vec![2, 3]));
    let copy = open_of_copy();
    assert_eq!((copy.end(), since(&copy, 1)), (None, None));
    assert!(!path().exists());
    fs::rename(folder.path().join("zone.changes.old"), path()).unwrap();
    assert_eq!(since(&open(&folder).unwrap(), 1), Some(vec![2, 3]));
}
