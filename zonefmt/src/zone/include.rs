//! Where `$INCLUDE` finds its files: behind a trait, so that parsing needs no disk.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::diagnostics::Source;

/// Fetches the files that `$INCLUDE` names.
///
/// A closure is one, too.
pub trait Includes {
    /// Reads the file at `path`, as written in `$INCLUDE`. The name of the source it returns tells files apart, so that
    /// a file that includes itself is noticed.
    fn open(&self, path: &Path) -> io::Result<Source>;
}

/// Refuses every `$INCLUDE`.
#[derive(Clone, Copy, Debug)]
pub struct NoIncludes;

/// Reads from disk; relative paths start at this directory (named's `directory`, the working directory in tools).
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
