//! The differences between the versions of a zone that changes with its file only (`ixfr-from-differences`), kept for
//! secondaries.
//!
//! They are in a journal of their own, `FILE.differences`, which nothing else needs: the file has the whole zone. What
//! does not lead to the file's version is forgotten, and secondaries get the whole zone then.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    journal::{Journal, JournalError},
    zone::{Change, ZoneData},
};

/// The journal of the differences between the versions of a zone file.
pub fn path(zone_file: &Path) -> PathBuf {
    let mut path = OsString::from(zone_file);
    path.push(".differences");
    path.into()
}

/// Adds the difference from the version before, if that is known, to the version that the zone file has now.
pub(super) fn record(journal: &mut Journal, before: Option<&ZoneData>, content: &ZoneData) -> Result<(), JournalError> {
    let change = before.and_then(|before| Change::between(before, content));
    let start = change.as_ref().map(Change::from).or(content.serial());
    if journal.end().is_some_and(|end| Some(end) != start) {
        journal.reset()?;
    }
    journal.append(change.as_slice())
}
