//! Atomic replacement of files: readers, and a restart after a crash, find either the old content or the new one.

use std::{
    ffi::OsString,
    fs::{self, File, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Replaces the content of a file by what `write` writes, or creates the file. The content is on the disk once this
/// returns.
///
/// It is written into a temporary file in the same folder, synced, and renamed. The file keeps its permissions, and a
/// symbolic link stays a link.
///
/// # Errors
/// The system's errors, and those of `write`; the file is then as it was.
pub fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let (path, permissions) = match fs::canonicalize(path) {
        Ok(path) => (path.clone(), Some(fs::metadata(path)?.permissions())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(error),
    };
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    // The process's umask applies, as to any new file.
    let open = Permissions::from_mode(0o666);
    let new = tempfile::Builder::new().prefix(&name).permissions(open).tempfile_in(folder_of(&path))?;
    if let Some(permissions) = permissions {
        new.as_file().set_permissions(permissions)?;
    }
    let mut file = BufWriter::new(new.as_file());
    write(&mut file)?;
    file.flush()?;
    drop(file);
    new.as_file().sync_all()?;
    new.persist(&path)?;
    sync_folder(&path)
}

/// Makes the creation, renaming or removal of a file durable by syncing its folder.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_with_its_permissions_and_behind_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        replace(&file, |out| out.write_all(b"first")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        replace(&link, |out| out.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"second");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["file", "link"]);
    }

    #[test]
    fn what_fails_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        replace(&file, |out| out.write_all(b"first")).unwrap();
        let failed = replace(&file, |out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&file).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["file"]);
    }
}
