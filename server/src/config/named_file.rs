//! Files that named.conf or a zone file names.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A file by the name that is written, which may be relative to the folder of the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedFile {
    path: PathBuf,
    /// The octets at the end of the path that are written.
    written: usize,
}

impl NamedFile {
    /// The file of this name; `directory` is the folder that relative names start from.
    pub fn new(directory: &Path, name: &Path) -> NamedFile {
        NamedFile { path: directory.join(name), written: name.as_os_str().len() }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name as it is written, as named shows it.
    pub fn as_written(&self) -> &Path {
        let octets = self.path.as_os_str().as_bytes();
        Path::new(OsStr::from_bytes(&octets[octets.len().saturating_sub(self.written)..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_shown_as_it_is_written() {
        let file = |name: &str| NamedFile::new(Path::new("/var"), Path::new(name));
        for (name, path) in [("a", "/var/a"), ("b/../a", "/var/b/../a"), ("/var/a", "/var/a"), ("/etc/a", "/etc/a")] {
            assert_eq!((file(name).path(), file(name).as_written()), (Path::new(path), Path::new(name)));
        }
        let here = NamedFile::new(Path::new(""), Path::new("a"));
        assert_eq!((here.path(), here.as_written()), (Path::new("a"), Path::new("a")));
    }
}
