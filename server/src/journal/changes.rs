//! Reading changes back from a journal, for secondaries (IXFR) and at the start.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use zonefmt::Serial;

use super::{
    disk::DiskFile,
    error::{JournalCause, JournalError, cannot},
    format::{Entry, FrameReader, Mark},
};
use crate::zone::Change;

/// The changes from a serial to what was the journal's end when [`super::Journal::since`] was called. They can be read
/// whatever happens to the journal meanwhile: appended changes do not appear, and a file that was replaced or removed
/// stays readable until this is dropped. Ends after the first error.
pub struct Changes {
    file: Arc<dyn DiskFile>,
    mark: Mark,
    path: PathBuf,
    /// Where the next change starts, if it is in the frame at hand.
    serial: Serial,
    /// The frames not yet read.
    left: Range<u64>,
    frame: FrameReader,
    /// Where the next change is in the frame at hand.
    at: usize,
}

impl Changes {
    pub(super) fn new(file: Arc<dyn DiskFile>, path: &Path, mark: Mark, serial: Serial, left: Range<u64>) -> Changes {
        Changes { file, mark, path: path.to_owned(), serial, left, frame: FrameReader::default(), at: 0 }
    }

    /// At least the number of octets of the changes that are left, and at most a frame more.
    pub fn octets(&self) -> u64 {
        self.left.end - self.left.start + (self.frame.changes().len() - self.at) as u64
    }

    fn read(&mut self) -> Result<Option<Change>, JournalCause> {
        loop {
            while let Some((entry, rest)) = Entry::split(&self.frame.changes()[self.at..]) {
                self.at = self.frame.changes().len() - rest.len();
                // A frame can begin before the first change that is asked for.
                if entry.from == self.serial {
                    self.serial = entry.to;
                    return entry.change().ok_or(JournalCause::Damaged(self.left.start)).map(Some);
                }
            }
            if self.left.is_empty() {
                return Ok(None);
            }
            let read = self.frame.read(&*self.file, self.mark, self.left.start, self.left.end);
            self.left.start = read.map_err(cannot("read it"))?.ok_or(JournalCause::Damaged(self.left.start))?;
            self.at = 0;
        }
    }
}

impl Iterator for Changes {
    type Item = Result<Change, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().transpose()?;
        Some(read.map_err(|cause| {
            self.left = 0..0;
            self.frame = FrameReader::default();
            self.at = 0;
            JournalError::new(&self.path, cause)
        }))
    }
}
