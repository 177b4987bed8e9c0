//! `--follow`: reads the configuration again when named.conf, or a file that it includes, has other content than before.
//! The files are read and compared now and then, so that it does not matter how they are replaced.

use std::time::{Duration, Instant};

use tracing::{error, info};

use super::Running;
use crate::{config::Hashes, stats::Refused};

/// What is known of the files of the configuration.
pub(super) struct Followed {
    /// When to look at them next; `None`: never.
    due: Option<Instant>,
    /// Which content was read last, be it in effect or refused; `None` if it could not be read.
    tried: Option<String>,
}

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How much longer than a look takes the wait is at least, so that a large configuration costs little.
const IDLE: u32 = 100;

impl Followed {
    /// `hash` is that of the configuration that was read.
    pub(super) fn new(follow: bool, hash: String) -> Followed {
        Followed { due: follow.then(Instant::now), tried: Some(hash) }
    }

    /// When to look at the files next; `None`: never.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The configuration with this hash is in effect.
    pub(super) fn tried(&mut self, hash: String) {
        self.tried = Some(hash);
    }
}

impl Running {
    /// Reads the configuration again, if its files have changed since that was last tried.
    pub(super) fn look_at_files(&mut self) {
        let began = Instant::now();
        let now = Hashes::of(&self.options.config);
        self.followed.due = began.checked_add(PAUSE.max(began.elapsed() * IDLE));
        if now.map(|now| now.all) != self.followed.tried {
            info!(target: "general", "the configuration has changed");
            self.reconfigure();
        }
    }

    /// Tells why the configuration with these hashes cannot be used.
    pub(super) fn refuse(&mut self, hashes: Option<Hashes>, why: &str) {
        let (path, used) = (self.options.config.display(), &self.config.file_hash);
        let file_hash = hashes.as_ref().map(|hashes| hashes.file.clone());
        let refused =
            file_hash.as_deref().map_or_else(|| "cannot be read".to_owned(), |hash| format!("has SHA-256 {hash}"));
        error!(
            target: "general",
            "reloading configuration failed: {why}; all stays as it was: '{path}' {refused}, in effect is SHA-256 {used}"
        );
        self.followed.tried = hashes.map(|hashes| hashes.all);
        // It is one line of a text for programs.
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        self.statistics.refused(&Refused { file_hash, why });
    }
}
