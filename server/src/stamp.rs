//! The state of a file, which tells whether somebody has changed it.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// The state of a file: two stamps differ if the file was changed in between. It is all zeros if there is no file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Stamp {
    seconds: i64,
    nanoseconds: i64,
    octets: u64,
    inode: u64,
}

impl Stamp {
    /// The state that a file has now.
    pub(crate) fn of(path: &Path) -> Stamp {
        fs::metadata(path).map_or(Stamp::default(), |file| Stamp::from(&file))
    }

    /// When the file was changed last, in seconds since 1970.
    pub(crate) fn seconds(&self) -> i64 {
        self.seconds
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(file: &fs::Metadata) -> Stamp {
        Stamp { seconds: file.mtime(), nanoseconds: file.mtime_nsec(), octets: file.size(), inode: file.ino() }
    }
}
