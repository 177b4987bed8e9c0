//! Which files have an owner. A second one would write over what the first has acknowledged, also if it is in another
//! process.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard},
};

use super::{
    Failure, OpenError,
    lease::{Lease, NoLease},
};
use crate::{
    journal::{JournalCause, JournalError},
    sync::lock,
};

/// The zone file and the journal of an owner. Once this is dropped, they may have another one.
pub(super) struct Ownership {
    file: PathBuf,
    journal: PathBuf,
    /// Whether the zone is frozen. If so when this is dropped, it is for the next owner, too.
    pub(super) frozen: bool,
    /// The right to write in the folders of both; none in one that could not be opened, as it was not there.
    leases: [Option<Lease>; 2],
}

/// What is known of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has an owner.
    Owned,
    /// It is a journal whose last owner let go while the zone was frozen.
    Frozen,
}

impl Ownership {
    /// Takes possession of a zone file and a journal, however their paths are written.
    ///
    /// # Errors
    /// One of them has an owner already, or its folder is another process's.
    pub(super) fn take(file: &Path, journal: &Path) -> Result<Ownership, OpenError> {
        let folder = folder_of(file);
        let other = (journal.parent() != file.parent()).then(|| folder_of(journal));
        let journal = within(other.as_ref().unwrap_or(&folder), journal);
        let file = within(&folder, file);
        let leases = [lease_for(&file)?, lease_for(&journal)?];
        let mut known = known();
        for path in [&file, &journal] {
            if known.get(path) == Some(&Standing::Owned) {
                return Err(OpenError::Owned(path.clone()));
            }
        }
        known.insert(file.clone(), Standing::Owned);
        let frozen = known.insert(journal.clone(), Standing::Owned) == Some(Standing::Frozen);
        Ok(Ownership { file, journal, frozen, leases })
    }

    /// Makes sure that no other process writes the files, as their folders are there by now.
    ///
    /// # Errors
    /// The folder of one of them is another process's, or cannot be opened.
    pub(super) fn secure(&mut self) -> Result<(), Failure> {
        let [file, journal] = &mut self.leases;
        secure(file, &self.file, |error| Failure::File(self.file.clone(), error))?;
        secure(journal, &self.journal, |error| {
            let cause = JournalCause::Io("open its folder", error);
            Failure::Journal(JournalError { path: self.journal.clone(), cause })
        })
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let mut known = known();
        known.remove(&self.file);
        if self.frozen {
            known.insert(self.journal.clone(), Standing::Frozen);
        } else {
            known.remove(&self.journal);
        }
    }
}

fn known() -> MutexGuard<'static, HashMap<PathBuf, Standing>> {
    static KNOWN: LazyLock<Mutex<HashMap<PathBuf, Standing>>> = LazyLock::new(Mutex::default);
    lock(&KNOWN)
}

/// The right to write a file; `None` if its folder cannot be opened.
fn lease_for(path: &Path) -> Result<Option<Lease>, OpenError> {
    match Lease::take(parent(path)) {
        Ok(lease) => Ok(Some(lease)),
        Err(NoLease::Leased(by)) => Err(OpenError::Leased(by)),
        Err(NoLease::Io(_)) => Ok(None),
    }
}

fn secure(lease: &mut Option<Lease>, path: &Path, failure: impl FnOnce(io::Error) -> Failure) -> Result<(), Failure> {
    if lease.is_none() {
        *lease = Some(Lease::take(parent(path)).map_err(|cause| match cause {
            NoLease::Leased(by) => Failure::Unwritable(by.to_string()),
            NoLease::Io(error) => failure(error),
        })?);
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// One path for the folder of a file, however it is written.
fn folder_of(path: &Path) -> PathBuf {
    let folder = parent(path);
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// One path for a file of this folder, which need not exist.
fn within(folder: &Path, path: &Path) -> PathBuf {
    let path = path.file_name().map_or_else(|| path.to_owned(), |name| folder.join(name));
    let is_link = fs::read_link(&path).is_ok();
    if is_link { path.canonicalize().unwrap_or(path) } else { path }
}
