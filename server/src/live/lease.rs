//! That no other process writes the files of this one.
//!
//! Two servers that change one zone would each write over what the other has acknowledged. So a process holds a lock on
//! each folder in which it has zones that change, from before their files are read until it has written them for the
//! last time. The folder it is, and not the journals: a lock is an open file, of which a process has fewer than there may
//! be zones, and a zone whose journal is still to be made is protected as well. The system releases the lock when the
//! process ends, however it does.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard},
};

use rustix::fs::{major, minor};
use tracing::warn;

use crate::sync::lock;

/// The right to write in a folder, until it is dropped. A process may have several for one folder.
#[derive(Debug)]
pub struct Lease(FolderId);

/// Another process writes in a folder.
#[derive(Clone, Debug)]
pub struct Leased {
    folder: PathBuf,
    /// The process, if the system tells it.
    process: Option<u32>,
}

/// The right to write in all folders that this process had at some time: for as long as this lasts, no other process
/// gets them, also while zones change their owners.
pub struct Leases {
    _all: Vec<Lease>,
}

/// Why there is no lease.
#[derive(Debug)]
pub enum NoLease {
    /// The folder is another process's.
    Leased(Leased),
    /// The folder cannot be opened.
    Io(io::Error),
}

/// A folder, whichever path leads to it: its device and inode.
type FolderId = (u64, u64);

/// The lock on a folder.
struct Held {
    _file: Option<File>,
    leases: usize,
}

/// The most folders that are locked, as each is an open file. Others are as on a file system without locks.
const MOST: usize = 1000;

impl Lease {
    /// Takes the lock of a folder, unless this process has it already. Where the file system has no locks, there is a
    /// warning instead.
    ///
    /// # Errors
    /// See [`NoLease`].
    pub fn take(folder: &Path) -> Result<Lease, NoLease> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let file = File::open(folder).map_err(NoLease::Io)?;
        let metadata = file.metadata().map_err(NoLease::Io)?;
        let id = (metadata.dev(), metadata.ino());
        let mut held = held();
        if let Some(held) = held.get_mut(&id) {
            held.leases += 1;
            return Ok(Lease(id));
        }
        let unlocked = |cause: &dyn fmt::Display| {
            let (folder, remedy) = (folder.display(), "make sure that no other server has its zones there");
            warn!(target: "general", "cannot lock the folder {folder}: {cause}; {remedy}");
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(NoLease::Leased(Leased { folder: folder.to_owned(), process: holder(id) }));
            }
            Err(TryLockError::Error(cause)) => unlocked(&cause),
        }
        let is_kept = held.len() < MOST;
        if held.len() == MOST {
            unlocked(&format_args!("there are {MOST} others already, and more are not locked either"));
        }
        held.insert(id, Held { _file: is_kept.then_some(file), leases: 1 });
        Ok(Lease(id))
    }
}

impl Leases {
    /// Keeps what this process has.
    pub fn keep() -> Leases {
        let mut held = held();
        let keep = |(id, lock): (&FolderId, &mut Held)| {
            lock.leases += 1;
            Lease(*id)
        };
        Leases { _all: held.iter_mut().map(keep).collect() }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = held();
        if let Some(lock) = held.get_mut(&self.0) {
            lock.leases -= 1;
            if lock.leases == 0 {
                held.remove(&self.0);
            }
        }
    }
}

impl Leased {
    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the other process still does.
    pub fn lasts(&self) -> bool {
        let is_taken = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        !self.is_ours() && File::open(&self.folder).is_ok_and(is_taken)
    }

    /// Whether this process has the folder by now.
    fn is_ours(&self) -> bool {
        fs::metadata(&self.folder).is_ok_and(|folder| held().contains_key(&(folder.dev(), folder.ino())))
    }
}

impl fmt::Display for Leased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another process")?;
        if let Some(process) = self.process {
            write!(f, " ({process})")?;
        }
        write!(f, " has zones that change in the folder {}; ", self.folder.display())?;
        f.write_str("end it, or give each server a folder of its own")
    }
}

fn held() -> MutexGuard<'static, HashMap<FolderId, Held>> {
    static HELD: LazyLock<Mutex<HashMap<FolderId, Held>>> = LazyLock::new(Mutex::default);
    lock(&HELD)
}

/// The process that has locked a folder, as proc_locks(5) has it.
fn holder((device, inode): FolderId) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let is_such = words.next() == Some("FLOCK") && words.nth(1) == Some("WRITE");
        let process = words.next().filter(|_| is_such)?;
        (words.next() == Some(&file)).then(|| process.parse().ok()).flatten()
    })
}
