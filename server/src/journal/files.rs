//! The files of journals, of which there may be more than a process may have open files: only those that were used last
//! stay open, and the others are opened when they are needed.
//!
//! Whoever uses a file for several operations, or reads it while the journal goes on, has it open until it is done. A file
//! that has lost its name, or is about to, stays open as well: nobody could open it again.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, Weak},
};

use super::{
    disk::{Disk, DiskFile},
    format::Mark,
};
use crate::sync::lock;

/// The most files that are open without being used.
pub(super) const MOST: usize = 500;

/// The file of a journal.
pub(super) struct JournalFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    mark: Mark,
    is_writable: bool,
    state: Mutex<State>,
}

struct State {
    /// `None` while it is closed.
    file: Option<Arc<dyn DiskFile>>,
    /// Whether it stays open.
    is_kept: bool,
    /// Whether it was used since it was last looked at.
    is_used: bool,
    /// Whether it is among those that are open.
    is_listed: bool,
    /// The length with which it was closed.
    size: u64,
}

/// The files that are open and need not stay so, those that were opened first in front.
static OPEN: LazyLock<Mutex<VecDeque<Weak<JournalFile>>>> = LazyLock::new(Mutex::default);

impl JournalFile {
    /// A file that has this mark. It stays open, as it may not have this name yet, until [`JournalFile::release`].
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        path: &Path,
        mark: Mark,
        file: Arc<dyn DiskFile>,
        is_writable: bool,
    ) -> Arc<JournalFile> {
        let state = State { file: Some(file), is_kept: true, is_used: false, is_listed: false, size: 0 };
        Arc::new(JournalFile { disk, path: path.to_owned(), mark, is_writable, state: Mutex::new(state) })
    }

    /// The file, which is opened if it is not open.
    ///
    /// # Errors
    /// It cannot be opened. With [`io::ErrorKind::NotFound`], it is not there any more, or it is another one by now.
    pub(super) fn open(self: &Arc<JournalFile>) -> io::Result<Arc<dyn DiskFile>> {
        let file = {
            let mut state = lock(&self.state);
            state.is_used = true;
            if let Some(file) = &state.file {
                return Ok(Arc::clone(file));
            }
            let file = if self.is_writable { self.disk.open(&self.path) } else { self.disk.open_to_read(&self.path) }?;
            if file.size()? != state.size || Mark::of(&*file)? != self.mark {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.file = Some(Arc::clone(&file));
            file
        };
        self.list();
        Ok(file)
    }

    /// Opens the file, which stays open until [`JournalFile::release`], whatever becomes of its name.
    ///
    /// # Errors
    /// As of [`JournalFile::open`].
    pub(super) fn keep(self: &Arc<JournalFile>) -> io::Result<()> {
        let file = self.open()?;
        let mut state = lock(&self.state);
        (state.file, state.is_kept) = (Some(file), true);
        Ok(())
    }

    /// The file has its name, and may be closed if it is not used.
    pub(super) fn release(self: &Arc<JournalFile>) {
        lock(&self.state).is_kept = false;
        self.list();
    }

    /// Closes the file if it may be. Returns whether it is closed.
    pub(super) fn close(&self) -> bool {
        let mut state = lock(&self.state);
        let Some(file) = &state.file else { return true };
        if state.is_kept || !file.has_name() {
            return false;
        }
        let Ok(size) = file.size() else { return false };
        (state.file, state.size) = (None, size);
        true
    }

    /// Whether the file was not used since this was last asked.
    fn rests(&self) -> bool {
        !std::mem::take(&mut lock(&self.state).is_used)
    }

    /// Puts the file among those that are open, and closes what is too much: of those that have not been used since they
    /// were last looked at, the first.
    fn list(self: &Arc<JournalFile>) {
        let mut open = lock(&OPEN);
        if std::mem::replace(&mut lock(&self.state).is_listed, true) {
            return;
        }
        open.push_back(Arc::downgrade(self));
        if open.len() > MOST {
            open.retain(|file| file.strong_count() > 0);
        }
        // Each is looked at twice at most: in between it may be used again.
        for _ in 0..2 * open.len() {
            if open.len() <= MOST {
                break;
            }
            let Some(file) = open.pop_front() else { break };
            let Some(oldest) = file.upgrade() else { continue };
            if oldest.rests() && oldest.close() {
                lock(&oldest.state).is_listed = false;
            } else {
                open.push_back(file);
            }
        }
    }
}
