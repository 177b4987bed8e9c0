//! What the journal asks of the file system, and nothing more, so that tests can put a disk under it that loses power,
//! fills up and fails.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::Arc,
};

use zonefmt::durable;

/// A file system.
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading only.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a file, or empties the one that is there, and opens it for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, in place of a file that has it. Not durable before [`Disk::sync_folder`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name; whoever has the file open can go on reading. Not durable before [`Disk::sync_folder`].
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the creation, renaming and removal of the file of this path durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// An open file. Its octets are read and written by offset, so that several threads can read at the same time.
pub trait DiskFile: Send + Sync {
    /// The length of the file in octets.
    fn size(&self) -> io::Result<u64>;

    /// Sets the length, cutting the file off or adding zeroes. Not durable before [`DiskFile::sync`].
    fn resize(&self, octets: u64) -> io::Result<()>;

    /// Fills the buffer from an offset; the file ending before is an error.
    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes all the octets at an offset. Not durable before [`DiskFile::sync`]. Octets outside the range stay as they
    /// are, even if the power fails meanwhile.
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()>;

    /// Whether the file still has a name. Without one, it is gone once it is closed.
    fn has_name(&self) -> bool {
        true
    }

    /// Makes everything written durable, and the length. After an error it is unknown what of it is, and trying again
    /// can succeed without making anything durable.
    fn sync(&self) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::options().read(true).write(true).create(true).truncate(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        durable::sync_folder(path)
    }
}

/// The file system of this machine, of which nothing is changed: what is written vanishes. For a look at a journal that a
/// server may have open.
#[derive(Clone, Copy, Debug)]
pub struct UnchangedDisk;

/// A file that is only read; `None` if it has not been there.
struct OnlyRead(Option<File>);

impl Disk for UnchangedDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OnlyRead(Some(File::open(path)?))))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OnlyRead(None)))
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for OnlyRead {
    fn size(&self) -> io::Result<u64> {
        self.0.as_ref().map_or(Ok(0), DiskFile::size)
    }

    fn resize(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        self.0.as_ref().map_or(Err(io::ErrorKind::UnexpectedEof.into()), |file| DiskFile::read_at(file, octets, at))
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn resize(&self, octets: u64) -> io::Result<()> {
        self.set_len(octets)
    }

    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(octets, at)
    }

    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(octets, at)
    }

    fn has_name(&self) -> bool {
        // Whoever cannot tell has to rely on it.
        !self.metadata().is_ok_and(|file| file.nlink() == 0)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
