//! What can go wrong with a zone that changes while it is served.

use std::{fmt, io, path::PathBuf};

use super::{Leased, LegacyError};
use crate::journal::JournalError;

/// Why a change was not made. Nothing of it is served, or will be.
#[derive(Debug)]
pub enum Failure {
    /// The zone does not accept changes any more.
    Closed,
    /// The zone does not accept changes while its file is edited.
    Frozen,
    /// The zone's files cannot be written ([`Live::makes_way`](super::Live::makes_way)), for this reason.
    Unwritable(String),
    /// The zone's versions are made elsewhere ([`Live::remembered`](super::Live::remembered)).
    MadeElsewhere,
    /// It did not become durable.
    Journal(JournalError),
    /// The zone file cannot be written.
    File(PathBuf, io::Error),
}

/// Why a zone gets no owner.
#[derive(Debug)]
pub enum OpenError {
    /// This zone file or journal is another zone's, or that of the same zone in another view.
    Owned(PathBuf),
    /// The files are in a folder that is another process's.
    Leased(Leased),
    /// The journal is not what its owner left when it let go.
    Changed(PathBuf),
    /// The journal cannot be used.
    Journal(JournalError),
    /// The zone cannot be taken over from named.
    Legacy(LegacyError),
}

impl OpenError {
    /// Whether only writing has failed, so that what is on the disk may be served.
    pub(super) fn leaves_reading(&self) -> bool {
        match self {
            OpenError::Leased(_) | OpenError::Legacy(LegacyError::File(..) | LegacyError::Move(..)) => true,
            OpenError::Journal(error) | OpenError::Legacy(LegacyError::Journal(error)) => error.is_of_disk(),
            OpenError::Legacy(LegacyError::Parted { .. }) | OpenError::Owned(_) | OpenError::Changed(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Closed => f.write_str("the zone has been loaded again or is not served any more; try again"),
            // named's words.
            Failure::Frozen => f.write_str(
                "dynamic update temporarily disabled because the zone is frozen.  Use 'rndc thaw' to re-enable updates.",
            ),
            Failure::Unwritable(cause) => write!(f, "{cause}; until the zone is loaded again, no changes are accepted"),
            Failure::MadeElsewhere => f.write_str("the zone is made elsewhere; change it there"),
            Failure::Journal(cause) => write!(f, "{cause}"),
            Failure::File(path, error) => {
                write!(f, "cannot write the zone file {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Owned(path) => {
                write!(f, "another zone has the file {}; give each a file of its own, or use `in-view`", path.display())
            }
            OpenError::Leased(by) => write!(f, "{by}"),
            OpenError::Changed(path) => {
                write!(f, "the journal {} has been changed meanwhile; reload the zone", path.display())
            }
            OpenError::Journal(cause) => write!(f, "{cause}"),
            OpenError::Legacy(cause) => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for OpenError {}
