//! Why a journal cannot be read or written, and what to do about it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use zonefmt::{Name, Serial};

use crate::zone::ChangeError;

/// What went wrong with a journal.
#[derive(Debug)]
pub struct JournalError {
    /// The journal's file.
    pub path: PathBuf,
    /// What went wrong.
    pub cause: JournalCause,
}

/// What can go wrong with a journal.
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalCause {
    /// The system could not do something: its name, and the system's error.
    Io(&'static str, io::Error),
    /// The file is not there any more, or another one is there by now.
    Gone,
    /// The file is not a journal of this server.
    NotAJournal,
    /// The file has this version, which is not ours.
    OtherVersion(u32),
    /// The file is the journal of this other zone.
    OtherZone(Name),
    /// The file is damaged from this offset on, and changes that had been acknowledged follow.
    Damaged(u64),
    /// A write has failed, so nothing is accepted until [`super::Journal::recover`] has succeeded.
    Uncertain,
    /// The change starts from the second serial, while the journal ends at the first.
    Gap(Serial, Serial),
    /// Changes that lead to this serial go all the way round: the journal has one of their serials already.
    Repeated(Serial),
    /// The change is larger than a journal can hold.
    TooLarge,
    /// The zone has this serial, while the journal has the changes from the first of these serials to the second.
    OutOfSync(Option<Serial>, (Serial, Serial)),
    /// A change does not fit the zone.
    Unfit(ChangeError),
}

impl JournalError {
    pub(super) fn new(path: &Path, cause: JournalCause) -> JournalError {
        JournalError { path: path.to_owned(), cause }
    }

    /// Whether somebody has taken the file away.
    pub fn is_gone(&self) -> bool {
        matches!(self.cause, JournalCause::Gone)
    }

    /// Whether the disk has failed, or does not let the server do something.
    pub fn is_of_disk(&self) -> bool {
        matches!(self.cause, JournalCause::Io(..))
    }

    /// Whether nothing can be made of what is in the file.
    pub fn is_damage(&self) -> bool {
        matches!(self.cause, JournalCause::NotAJournal | JournalCause::Damaged(_))
    }
}

/// Names what could not be done when the system reports an error.
pub(super) fn cannot(what: &'static str) -> impl FnOnce(io::Error) -> JournalCause {
    move |error| JournalCause::Io(what, error)
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "journal {path}: ")?;
        match &self.cause {
            JournalCause::Io(what, error) => {
                write!(f, "cannot {what}: {error}; ")?;
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        f.write_str("free some space on its disk: the zone cannot be changed before")
                    }
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        f.write_str("the server's user must be able to write the file, and files in its folder")
                    }
                    io::ErrorKind::NotFound => f.write_str("make its folder, and let the server's user write in it"),
                    _ => f.write_str("check its disk: the zone cannot be changed before it works again"),
                }
            }
            JournalCause::Gone => {
                f.write_str("somebody has removed or replaced it; `rndc sync` writes all changes into the zone file")
            }
            JournalCause::NotAJournal => {
                write!(f, "the file is not a journal of this server, or its start is damaged; move it away, ")?;
                f.write_str("and compare the zone file with a secondary's copy of the zone")
            }
            JournalCause::OtherVersion(version) => {
                write!(
                    f,
                    "it has version {version}; run the release that wrote it, `rndc sync -clean`, and upgrade then"
                )
            }
            JournalCause::OtherZone(zone) => {
                write!(f, "it belongs to the zone {zone}; give each zone a file and a journal of its own")
            }
            JournalCause::Damaged(at) => {
                write!(
                    f,
                    "damaged at octet {at}, and later changes follow, which cannot be made without the lost ones; "
                )?;
                f.write_str("move it away, and restore the zone file from a secondary's copy or from a backup")
            }
            JournalCause::Uncertain => {
                f.write_str(
                    "an earlier write failed, and the file has not been written anew since; the next change tries ",
                )?;
                f.write_str("it again: free some space, or check the disk")
            }
            JournalCause::Gap(end, from) => {
                write!(f, "it ends at serial {}, and a change starts from {}; reload the zone", end.0, from.0)
            }
            JournalCause::Repeated(to) => {
                write!(f, "a change to serial {} leads to a serial that it has already; ", to.0)?;
                f.write_str("write the zone file with `rndc sync -clean` before")
            }
            JournalCause::TooLarge => {
                f.write_str("a change is too large; make it in the zone file, and reload the zone")
            }
            JournalCause::OutOfSync(zone, (base, end)) => {
                write!(f, "it has the changes from serial {} to {}, and the zone file ", base.0, end.0)?;
                match zone {
                    Some(serial) => write!(f, "has serial {}", serial.0)?,
                    None => f.write_str("has none")?,
                }
                f.write_str(
                    "; restore the file that the journal belongs to, or, if the file has all changes, remove ",
                )?;
                write!(f, "the journal")
            }
            JournalCause::Unfit(error) => {
                write!(
                    f,
                    "a change {error}; restore the zone file that the journal belongs to: freeze a zone before "
                )?;
                f.write_str("you edit its file")
            }
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            JournalCause::Io(_, error) => Some(error),
            JournalCause::Unfit(error) => Some(error),
            _ => None,
        }
    }
}
