//! A disk that is only memory, for the journal of a zone whose versions come again from elsewhere: it is kept for
//! secondaries alone.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::disk::{Disk, DiskFile};
use crate::sync::lock;

/// Files that are gone with the last one who has them.
#[derive(Default)]
pub struct MemoryDisk(Mutex<HashMap<PathBuf, Arc<MemoryFile>>>);

#[derive(Default)]
struct MemoryFile(Mutex<Content>);

/// What a file has: octets, and then zeroes up to its size. Journals write many of them ahead.
#[derive(Default)]
struct Content {
    octets: Vec<u8>,
    size: usize,
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = lock(&self.0).get(path).cloned();
        file.map(|file| file as Arc<dyn DiskFile>).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = Arc::new(MemoryFile::default());
        lock(&self.0).insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = lock(&self.0).remove(path);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.0).size as u64)
    }

    fn resize(&self, octets: u64) -> io::Result<()> {
        let mut content = lock(&self.0);
        content.size = octets as usize;
        let left = content.octets.len().min(content.size);
        content.octets.truncate(left);
        Ok(())
    }

    fn read_at(&self, octets: &mut [u8], at: u64) -> io::Result<()> {
        let (content, at) = (lock(&self.0), at as usize);
        if content.size < at + octets.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = content.octets.get(at..).unwrap_or_default();
        let (known, zeroes) = octets.split_at_mut(there.len().min(octets.len()));
        known.copy_from_slice(&there[..known.len()]);
        zeroes.fill(0);
        Ok(())
    }

    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        let (mut content, at) = (lock(&self.0), at as usize);
        content.size = content.size.max(at + octets.len());
        let last = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| at + last + 1);
        // What was there and is within is overwritten, zeroes or not.
        let end = last.max(content.octets.len().min(at + octets.len()));
        if content.octets.len() < end {
            content.octets.resize(end, 0);
        }
        if at < end {
            content.octets[at..end].copy_from_slice(&octets[..end - at]);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_what_was_written_and_zeroes() {
        let disk = MemoryDisk::default();
        let path = Path::new("a");
        assert!(disk.open(path).is_err());
        let file = disk.create(path).unwrap();
        file.write_at(&[1, 2, 0, 0], 2).unwrap();
        assert_eq!(file.size().unwrap(), 6);
        let read = |at, length| {
            let mut octets = vec![9; length];
            file.read_at(&mut octets, at).map(|()| octets)
        };
        assert_eq!(read(0, 6).unwrap(), [0, 0, 1, 2, 0, 0]);
        assert_eq!(read(5, 1).unwrap(), [0]);
        assert!(read(3, 4).is_err(), "it ends before");
        file.write_at(&[0, 3], 2).unwrap();
        assert_eq!(read(1, 4).unwrap(), [0, 0, 3, 0]);
        file.write_at(&[0, 0], 8).unwrap();
        assert_eq!(read(0, 10).unwrap(), [0, 0, 0, 3, 0, 0, 0, 0, 0, 0]);
        file.resize(3).unwrap();
        file.resize(5).unwrap();
        assert_eq!(read(0, 5).unwrap(), [0; 5], "what was cut off does not come back");
        disk.rename(path, Path::new("b")).unwrap();
        assert!(disk.open(path).is_err() && disk.open(Path::new("b")).is_ok());
        disk.remove(Path::new("b")).unwrap();
        assert!(disk.remove(Path::new("b")).is_err());
    }
}
