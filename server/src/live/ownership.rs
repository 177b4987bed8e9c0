//! Which files have an owner. A second one would write over what the first has acknowledged.

use std::{
    collections::HashMap,
    fs,
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
        let folder = folder_of(file);
        let other = (journal.parent() != file.parent()).then(|| folder_of(journal));
        let journal = within(other.as_ref().unwrap_or(&folder), journal);
        let file = within(&folder, file);
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

/// One path for the folder of a file, however it is written.
fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(path);
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// One path for a file of this folder, which need not exist.
fn within(folder: &Path, path: &Path) -> PathBuf {
    let path = path.file_name().map_or_else(|| path.to_owned(), |name| folder.join(name));
    let is_link = fs::read_link(&path).is_ok();
    if is_link { path.canonicalize().unwrap_or(path) } else { path }
}
