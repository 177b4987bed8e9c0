//! Owners, one after the other.

use super::*;
use crate::{journal::disk::LocalDisk, zones::Snapshot};
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
    first.tend(Instant::now() + LATEST, |_| 0);
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
