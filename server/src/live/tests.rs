//! Owners, one after the other.

use std::path::{Path, PathBuf};

use super::*;
use crate::{journal::disk::LocalDisk, zone::Change, zones::Snapshot};
use zonefmt::{Rtype, zone::FileFormat};

fn storage(folder: &Path) -> Storage {
    let file = ZoneFile { path: folder.join("zone"), format: FileFormat::Text };
    Storage { file, journal: folder.join("zone.changes"), disk: Arc::new(LocalDisk) }
}

/// A version of a zone with this serial and this text at its apex.
fn version(serial: u32, text: &str) -> ZoneData {
    let origin = Name::from_ascii("example").unwrap();
    let mut edit = ZoneData::new(origin.clone()).edit();
    let soa = [&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat();
    let txt = [&[text.len() as u8], text.as_bytes()].concat();
    for (rtype, rdata) in [(Rtype::SOA, &soa), (Rtype::TXT, &txt)] {
        edit.add(origin.as_ref(), rtype, 60, rdata).unwrap();
    }
    edit.commit()
}

fn change(live: &Live, to: ZoneData, published: &Published) {
    let mut locked = live.lock();
    let change = Change::between(locked.data(), &to).unwrap();
    locked.commit(&[change], to, published).unwrap();
}

/// Its `sync -clean` removed the next owner's journal, and with it what that had acknowledged.
#[test]
fn an_owner_that_has_let_go_leaves_the_files_to_the_next_one() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    let first = Live::open(storage(folder.path()), &version(1, "a"), None).unwrap();
    change(&first, version(2, "b"), &published);
    first.close();
    let second = Live::open(storage(folder.path()), &version(2, "b"), None).unwrap();
    change(&second, version(3, "c"), &published);
    first.sync_and_clean().unwrap();
    assert!(matches!(first.freeze(), Err(Failure::Closed)));
    assert!(matches!(first.hold_file().take_over(version(9, "d"), &published), Err(Failure::Closed)));
    first.tend(Instant::now() + kept::LATEST, |_| 0);
    change(&second, version(4, "e"), &published);
    drop(second);
    let third = Live::open(storage(folder.path()), &version(2, "b"), None).unwrap();
    assert_eq!(third.lock().data().serial(), Some(Serial(4)));
}

/// Changes to a version that came whole were found at the next start, and made to the file of the version before,
/// which had the same serial.
#[test]
fn changes_to_a_version_that_came_whole_are_not_made_to_another_one() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    let file = version(9, "repaired");
    let live = Live::open_copy(storage(folder.path()), &file, None).unwrap();
    live.lock().replace(version(9, "again"), &published).unwrap();
    change(&live, version(10, "again"), &published);
    drop(live);
    let live = Live::open_copy(storage(folder.path()), &file, None).unwrap();
    assert_eq!(live.lock().data().serial(), Some(Serial(9)));
}

/// A file that was edited while the server was stopped left the zone without a server.
#[test]
fn a_journal_is_dropped_if_the_file_had_everything_and_is_another_one_now() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    let live = Live::open(storage(folder.path()), &version(1, "a"), None).unwrap();
    change(&live, version(2, "b"), &published);
    drop(live);
    let other = version(7, "other");
    assert!(Live::open(storage(folder.path()), &other, None).is_err(), "what was acknowledged is nowhere else");
    Live::open(storage(folder.path()), &version(1, "a"), None).unwrap().close();
    let live = Live::open(storage(folder.path()), &other, None).unwrap();
    assert!(live.lock().data().is(&other));
    assert!(live.since(Serial(2)).is_none());
}

/// The zone stayed without data until somebody removed the journal.
#[test]
fn a_copy_does_without_a_journal_that_is_damaged() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    let storage = storage(folder.path());
    for damaged in ["", "something else that is as long as the start of a journal".repeat(20).as_str()] {
        std::fs::write(&storage.journal, damaged).unwrap();
        assert!(Live::open(storage.clone(), &version(1, "a"), None).is_err());
        let live = Live::open_copy(storage.clone(), &version(1, "a"), None).unwrap();
        change(&live, version(2, "b"), &published);
        drop(live);
        let live = Live::open_copy(storage.clone(), &version(1, "a"), None).unwrap();
        assert_eq!(live.lock().data().serial(), Some(Serial(2)));
    }
}

/// Two views with one zone file each wrote it with their own changes.
#[test]
fn a_file_has_one_owner_however_its_path_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("zone"), "").unwrap();
    std::os::unix::fs::symlink("zone", path("link")).unwrap();
    let open = |file: PathBuf| {
        let journal = crate::journal::path(&file, None);
        let storage =
            Storage { file: ZoneFile { path: file, ..storage(folder.path()).file }, journal, ..storage(folder.path()) };
        Live::open(storage, &version(1, "a"), None)
    };
    let first = open(path("zone")).unwrap();
    for other in [path("zone"), path("./zone"), path("link")] {
        assert!(matches!(open(other), Err(OpenError::Owned(_))));
    }
    first.close();
    open(path("link")).unwrap();
}

/// A zone that was deleted while it was frozen was frozen when it was added again.
#[test]
fn a_zone_stays_frozen_for_the_next_owner_but_not_if_it_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Live::open(storage(folder.path()), &version(1, "a"), None).unwrap();
    let live = open();
    live.freeze().unwrap();
    live.close();
    let live = open();
    assert!(live.is_frozen());
    live.retire();
    assert!(!open().is_frozen());
}

/// It believed that the file had everything, and `sync -clean` removed what had been acknowledged.
#[test]
fn an_owner_that_gets_its_files_back_knows_what_the_file_lacks() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    // Nothing can be written in its place.
    std::fs::create_dir(folder.path().join("zone")).unwrap();
    let live = Live::open(storage(folder.path()), &version(1, "a"), None).unwrap();
    change(&live, version(2, "b"), &published);
    live.close();
    let refused = live.lock().commit(&[], version(3, "c"), &published);
    assert!(matches!(refused, Err(Failure::Closed)));
    live.reopen().unwrap();
    assert!(live.sync_and_clean().is_err());
    change(&live, version(3, "c"), &published);
    drop(live);
    let live = Live::open(storage(folder.path()), &version(1, "a"), None).unwrap();
    assert_eq!(live.newest().serial(), Some(Serial(3)));
}

/// Whoever has the files does not lose them to an owner that had let go.
#[test]
fn an_owner_does_not_get_back_what_another_one_has() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Live::open(storage(folder.path()), &version(1, "a"), None);
    let first = open().unwrap();
    first.close();
    let second = open().unwrap();
    assert!(matches!(first.reopen(), Err(OpenError::Owned(_))));
    assert!(first.is_closed());
    second.close();
    first.reopen().unwrap();
    assert!(open().is_err());
}

/// A secondary whose journal could not be written served its old version until that expired.
#[test]
fn a_copy_follows_its_primary_although_its_journal_cannot_be_written() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    let storage = Storage { journal: folder.path().join("gone/zone.changes"), ..storage(folder.path()) };
    assert!(Live::open(storage.clone(), &version(1, "a"), None).is_ok_and(|live| {
        let change = Change::between(&version(1, "a"), &version(2, "b")).unwrap();
        live.lock().commit(&[change], version(2, "b"), &published).is_err()
    }));
    let live = Live::open_copy(storage.clone(), &version(1, "a"), None).unwrap();
    for (serial, text) in [(2, "b"), (3, "c")] {
        change(&live, version(serial, text), &published);
        assert_eq!(live.newest().serial(), Some(Serial(serial)));
    }
    live.lock().replace(version(9, "d"), &published).unwrap();
    live.sync().unwrap();
    assert!(std::fs::read_to_string(&storage.file.path).unwrap().contains("\"d\""));
}

/// While a change waited for the disk, whoever asked for changes waited, too, and with them all other clients over TCP.
#[test]
fn changes_are_read_while_others_are_made() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    let live = Arc::new(Live::open(storage(folder.path()), &version(1, "a"), None).unwrap());
    change(&live, version(2, "b"), &published);
    let locked = live.lock();
    let (sender, found) = std::sync::mpsc::channel();
    let reader = Arc::clone(&live);
    std::thread::spawn(move || sender.send(reader.since(Serial(1)).map(Iterator::count)));
    assert_eq!(found.recv_timeout(std::time::Duration::from_secs(10)), Ok(Some(1)));
    drop(locked);
    live.sync_and_clean().unwrap();
    assert!(live.since(Serial(1)).is_none());
    change(&live, version(3, "c"), &published);
    assert_eq!(live.since(Serial(2)).map(Iterator::count), Some(1));
}

/// What it acknowledged afterwards was nowhere on the disk.
#[test]
fn an_owner_does_not_go_on_with_a_journal_that_another_one_has_dropped() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    let first = Live::open(storage(folder.path()), &version(1, "a"), None).unwrap();
    change(&first, version(2, "b"), &published);
    first.close();
    // The file has been edited, so the next owner drops the journal.
    Live::open(storage(folder.path()), &version(7, "other"), None).unwrap().close();
    for _ in 0..2 {
        assert!(matches!(first.reopen(), Err(OpenError::Changed(_))));
    }
    let refused = first.lock().commit(&[], version(3, "c"), &published);
    assert!(matches!(refused, Err(Failure::Closed)));
}

/// As another process does that has zones in a folder.
fn lock_folder(folder: &Path) -> Option<std::fs::File> {
    let file = std::fs::File::open(folder).unwrap();
    file.try_lock().is_ok().then_some(file)
}

#[test]
fn no_other_process_gets_a_folder_before_its_last_owner_has_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let file = ZoneFile { path: folder.path().join(name), format: FileFormat::Text };
        let journal = crate::journal::path(&file.path, None);
        Live::open(Storage { file, journal, ..storage(folder.path()) }, &version(1, "a"), None).unwrap()
    };
    let (one, two) = (open("one"), open("two"));
    one.close();
    assert!(lock_folder(folder.path()).is_none());
    let kept = Leases::keep();
    two.close();
    assert!(lock_folder(folder.path()).is_none());
    drop(kept);
    let other = lock_folder(folder.path()).unwrap();
    assert!(matches!(one.reopen(), Err(OpenError::Leased(_))));
    drop(other);
    one.reopen().unwrap();
}

#[test]
fn a_zone_whose_folder_another_process_has_is_as_on_the_disk_and_does_not_change() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    let first = Live::open(storage(folder.path()), &version(1, "a"), None).unwrap();
    change(&first, version(2, "b"), &published);
    first.close();
    let before = std::fs::read(folder.path().join("zone.changes")).unwrap();
    let other = lock_folder(folder.path()).unwrap();
    // Nothing was written, not even the file that it lacks.
    std::fs::remove_file(folder.path().join("zone")).unwrap();
    let live = Live::open(storage(folder.path()), &version(1, "a"), None).unwrap();
    assert_eq!((live.newest().serial(), live.since(Serial(1)).map(Iterator::count)), (Some(Serial(2)), Some(1)));
    let refused = live.lock().commit(&[], version(3, "c"), &published);
    assert!(matches!(refused, Err(Failure::Unwritable(_))));
    for refused in
        [live.freeze(), live.sync(), live.sync_and_clean(), live.hold_file().take_over(version(9, "d"), &published)]
    {
        assert!(matches!(refused, Err(Failure::Unwritable(_))));
    }
    assert!(!live.is_frozen() && live.makes_way() && live.waits_for().is_some_and(Leased::lasts));
    live.tend(Instant::now() + kept::LATEST, |_| 0);
    live.close();
    assert_eq!(std::fs::read(folder.path().join("zone.changes")).unwrap(), before);
    assert!(!folder.path().join("zone").exists());
    drop(other);
    assert!(!live.waits_for().is_some_and(Leased::lasts));
    let live = Live::open(storage(folder.path()), &version(1, "a"), None).unwrap();
    change(&live, version(3, "c"), &published);
}

/// Whoever made the folder of a journal after the start of two servers would have had a journal of both in it.
#[test]
fn a_folder_that_comes_later_is_one_process_s_too() {
    let (folder, published) = (tempfile::tempdir().unwrap(), Published::new(Snapshot::default()));
    let journal = folder.path().join("later/zone.changes");
    let live = Live::open(Storage { journal, ..storage(folder.path()) }, &version(1, "a"), None).unwrap();
    let to = version(2, "b");
    let change = Change::between(&version(1, "a"), &to).unwrap();
    let commit = || live.lock().commit(std::slice::from_ref(&change), to.clone(), &published);
    let missing = commit().unwrap_err().to_string();
    assert!(missing.ends_with("; make its folder, and let the server's user write in it"), "{missing}");
    std::fs::create_dir(folder.path().join("later")).unwrap();
    let other = lock_folder(&folder.path().join("later")).unwrap();
    assert!(matches!(commit(), Err(Failure::Unwritable(_))));
    drop(other);
    commit().unwrap();
    assert!(lock_folder(&folder.path().join("later")).is_none());
}
