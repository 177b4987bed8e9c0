//! A zone that named changed before: whatever its journal has goes into the zone file, once, before this server makes
//! changes of its own.
//!
//! After a crash at any moment, the file has all of named's changes or the journal is still there. Once the journal is out
//! of the way, the file and this server's journal are the truth, for named, too, if it takes over again.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::PathBuf,
    time::SystemTime,
};

use tracing::info;
use zonefmt::Serial;

use super::ZoneFile;
use crate::{
    journal::{Journal, JournalError, bind::NamedJournal},
    zone::ZoneData,
};

/// named's journal of a zone, and how far it has been taken over.
#[derive(Debug)]
pub struct Legacy {
    /// The journal; it has changes.
    pub journal: NamedJournal,
    /// The serial of the zone file.
    pub from: Option<Serial>,
    /// Whether the zone file has all the changes.
    pub in_file: bool,
}

/// Why a zone cannot be taken over from named.
#[derive(Debug)]
pub enum LegacyError {
    /// Both servers have changed the zone, and neither knows the other's changes.
    Parted {
        /// This server's journal, and the serial that it leads to.
        ours: (PathBuf, Serial),
        /// named's journal, and the serial that it starts from.
        theirs: (PathBuf, Serial),
    },
    /// This server's own journal cannot be used.
    Journal(JournalError),
    /// The zone file cannot be written.
    File(PathBuf, io::Error),
    /// named's journal cannot be moved out of the way.
    Move(PathBuf, io::Error),
}

impl Legacy {
    /// Writes the newest version of the zone, which has all of named's changes, into its file, and moves named's journal
    /// away. Changes in this server's own journal must have been in the file when named read it, and are forgotten.
    pub(super) fn settle(self, file: &ZoneFile, newest: &ZoneData, own: &mut Journal) -> Result<(), LegacyError> {
        // named found the file as this server left it, if that had all changes.
        match own.end() {
            Some(end) if end != self.journal.begin() && !own.is_saved() => {
                let theirs = (self.journal.path().to_owned(), self.journal.begin());
                Err(LegacyError::Parted { ours: (own.path().to_owned(), end), theirs })
            }
            _ => self.write(file, newest, own, None),
        }
    }

    /// Does the same for a copy of a zone that other servers have: what gets lost comes again from them. The time of the
    /// file stays.
    pub(super) fn settle_copy(self, file: &ZoneFile, newest: &ZoneData, own: &mut Journal) -> Result<(), LegacyError> {
        let time = fs::metadata(&file.path).and_then(|file| file.modified()).ok();
        self.write(file, newest, own, time)
    }

    fn write(
        self,
        file: &ZoneFile,
        newest: &ZoneData,
        own: &mut Journal,
        time: Option<SystemTime>,
    ) -> Result<(), LegacyError> {
        own.reset().map_err(LegacyError::Journal)?;
        let unwritten = |error| LegacyError::File(file.path.clone(), error);
        if self.in_file {
            File::open(&file.path).and_then(|file| file.sync_all()).map_err(unwritten)?;
        } else {
            file.write(newest, time).map_err(unwritten)?;
        }
        let path = self.journal.path().to_owned();
        let kept = self.journal.move_away().map_err(|error| LegacyError::Move(path, error))?;
        let zone = newest.origin();
        let (zone, file, kept) = (zone.without_final_dot(), file.path.display(), kept.display());
        if let Some((from, to)) = self.from.zip(newest.serial()).filter(|_| !self.in_file) {
            info!(
                target: "zoneload",
                "zone {zone}/IN: journal rollforward completed successfully: {file} has named's changes from serial {} \
                 to {} now",
                from.0, to.0
            );
        }
        info!(target: "zoneload", "zone {zone}/IN: named's journal is not needed any more, and kept as {kept}");
        Ok(())
    }
}

impl fmt::Display for LegacyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LegacyError::Parted { ours: (ours, end), theirs: (theirs, begin) } => {
                let (ours, theirs) = (ours.display(), theirs.display());
                write!(f, "named changed the zone from serial {} on, and the journal {ours} of this server ", begin.0)?;
                write!(f, "has other changes up to serial {}; to keep named's, move {ours} away; to keep ", end.0)?;
                write!(f, "this server's, move {theirs} away and restore the zone file from before named had it")
            }
            LegacyError::Journal(error) => write!(f, "{error}"),
            LegacyError::File(path, error) => {
                write!(f, "cannot write named's changes into the zone file {}: {error}; ", path.display())?;
                f.write_str("the server's user must be able to write the file, and files in its folder")
            }
            LegacyError::Move(path, error) => {
                write!(f, "cannot move named's journal {} away: {error}; ", path.display())?;
                f.write_str("the zone file has all its changes: remove it")
            }
        }
    }
}

impl std::error::Error for LegacyError {}
