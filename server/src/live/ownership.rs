//! Which files have an owner. A second one would write over what the first has acknowledged.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard},
};

use super::OpenError;
use crate::sync::lock;

/// The zone file and the journal of an owner. Once this is dropped, they may have another one.
pub(super) struct Ownership {
    file: PathBuf,
    journal: PathBuf,
    /// Whether the zone is frozen. If so when this is dropped, it is for the next owner, too.
    pub(super) frozen: bool,
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
    /// One of them has an owner already.
    pub(super) fn take(file: &Path, journal: &Path) -> Result<Ownership, OpenError> {
        let [file, journal] = [file, journal].map(canonical);
        let mut known = known();
        for path in [&file, &journal] {
            if known.get(path) == Some(&Standing::Owned) {
                return Err(OpenError::Owned(path.clone()));
            }
        }
        known.insert(file.clone(), Standing::Owned);
        let frozen = known.insert(journal.clone(), Standing::Owned) == Some(Standing::Frozen);
        Ok(Ownership { file, journal, frozen })
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

/// One path for one file, which need not exist.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        folder.zip(path.file_name()).map_or_else(|| path.to_owned(), |(folder, name)| folder.join(name))
    })
}
