//! Why a server did not start, and what to do about it.

use std::{fmt, io, path::PathBuf};

use zonefmt::diagnostics::{Diagnostic, Severity};

use crate::{dnstap::OutputError, listen::ListenError, logs::OpenError};

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be used; these are all findings.
    Config(Vec<Diagnostic>),
    /// An address cannot be listened on.
    Listen(ListenError),
    /// A log file cannot be opened.
    Log(OpenError),
    /// The added zones cannot be taken over from named's database.
    Additions(PathBuf, io::Error),
    /// The file of dnstap cannot be opened.
    Dnstap(OutputError),
    /// The file of the process number cannot be written.
    PidFile(PathBuf, io::Error),
    /// The lock cannot be taken, most likely because another server holds it.
    Lock(PathBuf, io::Error),
    /// The thread of the control channel cannot be started.
    Control(io::Error),
    /// The thread of the statistics channels cannot be started.
    Statistics(io::Error),
    /// A thread of updates cannot be started.
    Updates(io::Error),
    /// The thread of notifications cannot be started.
    Notifier(io::Error),
    /// The thread of secondary zones cannot be started.
    Secondaries(io::Error),
    /// The thread for regular work cannot be started.
    Upkeep(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(findings) => {
                let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
                write!(f, "the configuration has {errors} error{}", if errors == 1 { "" } else { "s" })
            }
            StartError::Listen(error) => error.fmt(f),
            StartError::Control(error) => write!(f, "cannot start the control channel: {error}"),
            StartError::Statistics(error) => write!(f, "cannot start the statistics channels: {error}"),
            StartError::Updates(error)
            | StartError::Notifier(error)
            | StartError::Secondaries(error)
            | StartError::Upkeep(error) => write!(f, "cannot start a thread: {error}"),
            StartError::Log(error) => error.fmt(f),
            StartError::Dnstap(error) => error.fmt(f),
            StartError::Lock(path, error) => {
                let path = path.display();
                match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        write!(
                            f,
                            "could not lock {path}: another server holds it: stop that one, or choose another lock-file"
                        )
                    }
                    _ => write!(f, "could not lock {path}: {error}; choose another lock-file, or `none`"),
                }
            }
            StartError::Additions(path, error) => {
                let path = path.display();
                write!(f, "cannot take over {path}: {error}; the server's user must be able to write in its folder")
            }
            StartError::PidFile(path, error) => {
                write!(f, "cannot write the pid-file {}: {error}; choose another one, or `none`", path.display())
            }
        }
    }
}

impl std::error::Error for StartError {}
