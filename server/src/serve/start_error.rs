//! Why a server does not start, with what to do about it.

use std::{fmt, io, path::PathBuf};

use zonefmt::diagnostics::{Diagnostic, Severity};

use crate::{dnstap::OutputError, listen::ListenError, logs::OpenError};

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be used: all findings.
    Config(Vec<Diagnostic>),
    /// It names no address to listen on.
    NoAddress,
    /// An address cannot be listened on.
    Listen(ListenError),
    /// A log file cannot be opened.
    Log(OpenError),
    /// The zones that were added cannot be taken over from named's database.
    Additions(PathBuf, io::Error),
    /// dnstap's file cannot be opened.
    Dnstap(OutputError),
    /// The file with the process's number cannot be written.
    PidFile(PathBuf, io::Error),
    /// Another server holds the lock.
    Lock(PathBuf, io::Error),
    /// There is no thread for the control channel.
    Control(io::Error),
    /// There is no thread for the statistics channels.
    Statistics(io::Error),
    /// There is no thread for what has to be done regularly.
    Upkeep(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(findings) => {
                let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
                write!(f, "the configuration has {errors} error{}", if errors == 1 { "" } else { "s" })
            }
            StartError::NoAddress => {
                f.write_str("the configuration leaves no address to listen on: look at listen-on and listen-on-v6")
            }
            StartError::Listen(error) => error.fmt(f),
            StartError::Control(error) => write!(f, "cannot start the control channel: {error}"),
            StartError::Statistics(error) => write!(f, "cannot start the statistics channels: {error}"),
            StartError::Upkeep(error) => write!(f, "cannot start a thread: {error}"),
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
