//! The state that must outlive the process: the serial and content hash of every zone that was ever published, so that
//! a restart neither lowers a serial nor uses one serial for two contents.
//!
//! One small file, replaced at once. A lock keeps a second process out of it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    fs::{File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use zonefmt::{Name, Serial, durable};

use crate::compile::Published;

/// A folder with the state. It stays locked while this value lives.
pub struct State {
    folder: PathBuf,
    _lock: File,
}

/// Why the state cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum StateError {
    /// Another process uses the folder.
    InUse(PathBuf),
    /// This program did not write the file.
    Malformed(PathBuf, String),
    /// The disk reported an error.
    Io(PathBuf, io::Error),
}

const FILE: &str = "serials";
const VERSION: u32 = 1;

/// The content of the file: a version, and the state of each zone by name.
#[derive(Serialize, Deserialize)]
struct Serials {
    version: u32,
    zones: BTreeMap<String, ZoneState>,
}

#[derive(Serialize, Deserialize)]
struct ZoneState {
    serial: u32,
    hash: String,
}

impl State {
    /// Opens a folder, which is created if necessary, and returns the state in it.
    pub fn open(folder: &Path) -> Result<(State, BTreeMap<Name, Published>), StateError> {
        let failed = |error| StateError::Io(folder.to_owned(), error);
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StateError::InUse(folder.to_owned()),
            TryLockError::Error(error) => failed(error),
        })?;
        let path = folder.join(FILE);
        let published = match fs::read(&path) {
            Ok(text) => parse(&text).map_err(|error| StateError::Malformed(path, error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(StateError::Io(path, error)),
        };
        Ok((State { folder: folder.to_owned(), _lock: lock }, published))
    }

    /// Makes `published` durable. Once this returns, it survives a crash of the machine. If it fails, the former state
    /// does.
    pub fn save(&self, published: &BTreeMap<Name, Published>) -> Result<(), StateError> {
        let (path, text) = (self.folder.join(FILE), render(published));
        durable::replace(&path, |file| file.write_all(&text)).map_err(|error| StateError::Io(path, error))
    }
}

fn parse(text: &[u8]) -> Result<BTreeMap<Name, Published>, String> {
    let serials: Serials = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if serials.version != VERSION {
        return Err(format!("version {} is not {VERSION}", serials.version));
    }
    let zone = |(name, state): (String, ZoneState)| {
        let hash = state.hash.parse().map_err(|wanted| format!("{name}: a hash is {wanted}"))?;
        let origin = Name::from_ascii(&name).map_err(|error| format!("{name}: {error}"))?;
        Ok((origin, Published { serial: Serial(state.serial), hash }))
    };
    serials.zones.into_iter().map(zone).collect()
}

fn render(published: &BTreeMap<Name, Published>) -> Vec<u8> {
    let zone = |(origin, published): (&Name, &Published)| {
        let state = ZoneState { serial: published.serial.0, hash: published.hash.to_string() };
        (origin.to_string(), state)
    };
    let serials = Serials { version: VERSION, zones: published.iter().map(zone).collect() };
    let mut text = serde_json::to_vec_pretty(&serials).unwrap_or_else(|_| unreachable!("strings and numbers are JSON"));
    text.push(b'\n');
    text
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::InUse(folder) => {
                write!(
                    f,
                    "another `bindy serve` uses {}; stop it, or name another folder with --state",
                    folder.display()
                )
            }
            StateError::Malformed(path, what) => write!(
                f,
                "{} is damaged: {what}; restore it, or remove it and raise `soaRecord.serial` of every zone past its last serial",
                path.display()
            ),
            StateError::Io(path, error) => {
                write!(f, "cannot use {}: {error}; name a folder that can be written with --state", path.display())
            }
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StateError::Io(_, error) => Some(error),
            StateError::InUse(_) | StateError::Malformed(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::ContentHash;

    fn published(serial: u32) -> BTreeMap<Name, Published> {
        let origin = Name::from_ascii(r#"odd\.\"name.example."#).unwrap();
        BTreeMap::from([(origin, Published { serial: Serial(serial), hash: ContentHash::default() })])
    }

    #[test]
    fn what_was_saved_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let (state, known) = State::open(folder.path()).unwrap();
        assert!(known.is_empty());
        state.save(&published(7)).unwrap();
        state.save(&published(8)).unwrap();
        drop(state);
        assert_eq!(State::open(folder.path()).unwrap().1, published(8));
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let _first = State::open(folder.path()).unwrap();
        assert!(matches!(State::open(folder.path()), Err(StateError::InUse(_))));
    }

    #[test]
    fn a_damaged_file_is_no_empty_state() {
        for text in [
            "",
            "{}",
            r#"{"version": 2, "zones": {}}"#,
            r#"{"version": 1, "zones": {"a.": {"serial": 1, "hash": "x"}}}"#,
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), text).unwrap();
            assert!(matches!(State::open(folder.path()), Err(StateError::Malformed(..))), "{text:?}");
        }
    }
}
