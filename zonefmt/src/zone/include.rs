//! Where `$INCLUDE` finds its files. This is a trait, so that parsing does not need a disk.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::diagnostics::Source;

/// Opens the files that `$INCLUDE` names.
///
/// Closures implement this too.
pub trait Includes {
    /// Reads the file at `path`, which is as written in `$INCLUDE`. The name of the returned source identifies the
    /// file, so that a file that includes itself is noticed.
    fn open(&self, path: &Path) -> io::Result<Source>;
}

/// Refuses every `$INCLUDE`.
#[derive(Clone, Copy, Debug)]
pub struct NoIncludes;

/// Reads files from disk. Relative paths start at this directory: `directory` for named, the working directory for
/// tools.
#[derive(Clone, Debug)]
pub struct Directory(pub PathBuf);

impl Includes for NoIncludes {
    fn open(&self, _: &Path) -> io::Result<Source> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "$INCLUDE is not allowed here"))
    }
}

impl Includes for Directory {
    fn open(&self, path: &Path) -> io::Result<Source> {
        Source::read(self.0.join(path))
    }
}

impl<F: Fn(&Path) -> io::Result<Source>> Includes for F {
    fn open(&self, path: &Path) -> io::Result<Source> {
        self(path)
    }
}
