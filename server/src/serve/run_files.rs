//! The files of a running server: its process number, its lock, and the key of `nsupdate -l`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown},
    path::Path,
};

use data_encoding::BASE64;
use rustix::fs::{FlockOperation, fcntl_lock};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::StartError;
use crate::{
    config::{RunFile, RunFiles, SessionKey},
    keys::{Key, Mac},
    tsig::TsigKey,
};

/// The files that this server has written, and its lock.
pub(super) struct HeldFiles {
    pid: Option<RunFile>,
    session_key: Option<HeldKey>,
    /// Closing the file releases the lock.
    _lock: Option<File>,
}

/// A session key, and what is to be written to its file.
struct HeldKey {
    wanted: SessionKey,
    key: TsigKey,
    /// `None` once it is in the file.
    unwritten: Option<Zeroizing<String>>,
}

impl RunFiles {
    /// Makes the folders of the process number and the session key, for their owner. A failure shows when the file is
    /// written.
    pub fn make_folders(&self, owner: Option<(u32, u32)>) {
        let session_key = self.session_key.as_ref().map(|key| &key.file);
        for folder in [self.pid.as_ref(), session_key].into_iter().flatten().filter_map(|file| file.path.parent()) {
            make_folder(folder, owner);
        }
    }
}

impl HeldFiles {
    /// Takes the lock, which is held until the server ends, whatever is configured meanwhile.
    ///
    /// # Errors
    /// Another server holds the lock, or its file cannot be opened.
    pub(super) fn lock(files: &RunFiles) -> Result<HeldFiles, StartError> {
        let lock = files.lock.as_deref().map(lock).transpose()?;
        Ok(HeldFiles { pid: None, session_key: None, _lock: lock })
    }

    /// The session key: a new one, if another one was configured than there is.
    pub(super) fn session_key(&mut self, files: &RunFiles) -> Option<&TsigKey> {
        if self.session_key.as_ref().map(|held| &held.wanted) != files.session_key.as_ref() {
            if let Some(old) = self.session_key.take() {
                old.remove();
            }
            self.session_key = files.session_key.as_ref().and_then(|wanted| {
                info!(target: "general", "generating session key for dynamic DNS");
                wanted.generate().inspect_err(|error| wanted.log_missing(error)).ok()
            });
        }
        self.session_key.as_ref().map(|held| &held.key)
    }

    /// Writes the session key to its file, if it is not there yet: whoever may read that signs with the key. To be called
    /// once the server has its addresses, as the file may be that of another server until then.
    pub(super) fn publish_session_key(&mut self) {
        let Some(HeldKey { wanted, unwritten, .. }) = &mut self.session_key else { return };
        let Some(text) = unwritten else { return };
        match write(&wanted.file.path, text.as_bytes(), 0o600) {
            Ok(()) => *unwritten = None,
            Err(error) => wanted.log_missing(&error),
        }
    }

    /// Writes the process number, if that is not where it was configured to be. It says that queries are answered.
    ///
    /// # Errors
    /// The file that named.conf names cannot be written.
    pub(super) fn announce(&mut self, files: &RunFiles) -> Result<(), StartError> {
        if self.pid == files.pid {
            return Ok(());
        }
        if let Some(old) = self.pid.take() {
            remove(&old.path);
        }
        let Some(file) = &files.pid else { return Ok(()) };
        match write(&file.path, format!("{}\n", std::process::id()).as_bytes(), 0o644) {
            Ok(()) => self.pid = Some(file.clone()),
            Err(error) if file.written => return Err(StartError::PidFile(file.path.clone(), error)),
            Err(error) => info!(target: "general", "no pid-file {}: {error}", file.path.display()),
        }
        Ok(())
    }

    /// Removes all files but that of the lock, as named does.
    pub(super) fn remove(self) {
        self.pid.iter().for_each(|file| remove(&file.path));
        self.session_key.iter().for_each(HeldKey::remove);
    }
}

impl HeldKey {
    /// Removes the file, if it has this key.
    fn remove(&self) {
        if self.unwritten.is_none() {
            remove(&self.wanted.file.path);
        }
    }
}

impl SessionKey {
    /// Makes a secret as long as the algorithm's MACs, and the text of a file with it.
    fn generate(&self) -> io::Result<HeldKey> {
        let mut secret = Zeroizing::new([0; Mac::MAX]);
        let secret = &mut secret[..self.algorithm.octets()];
        getrandom::fill(secret).map_err(io::Error::other)?;
        let (name, algorithm, secret) = (&self.name, self.algorithm.name(), Zeroizing::new(BASE64.encode(secret)));
        let shown = name.as_ref().without_final_dot();
        let text = format!("key \"{shown}\" {{\n\talgorithm {algorithm};\n\tsecret \"{}\";\n}};\n", *secret);
        let key =
            Key::new(name.to_string(), self.algorithm, &secret).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(HeldKey { wanted: self.clone(), key: TsigKey::new(name, key, None), unwritten: Some(Zeroizing::new(text)) })
    }

    /// Logs why nobody can use the key.
    fn log_missing(&self, error: &io::Error) {
        let file = self.file.path.display();
        if self.file.written {
            warn!(target: "general", "cannot write the session-keyfile {file}: {error}");
        } else {
            info!(target: "general", "no session key {file}: {error}");
        }
    }
}

fn make_folder(folder: &Path, owner: Option<(u32, u32)>) {
    if folder.as_os_str().is_empty() || folder.exists() {
        return;
    }
    if let Some(above) = folder.parent() {
        make_folder(above, owner);
    }
    // A failure shows when the file is written.
    if fs::DirBuilder::new().mode(0o755).create(folder).is_ok()
        && let Some((user, group)) = owner
    {
        let _ = chown(folder, Some(user), Some(group));
    }
}

/// Takes the lock in the same way as named, so that the two exclude each other.
fn lock(path: &Path) -> Result<File, StartError> {
    let open = || OpenOptions::new().create(true).append(true).open(path);
    let take = |file: File| {
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    };
    open().and_then(take).map_err(|error| StartError::Lock(path.to_owned(), error))
}

/// Writes a file anew: no old reader sees half of it, and no link leads elsewhere.
fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(target: "general", "cannot remove {}: {error}", path.display());
    }
}
