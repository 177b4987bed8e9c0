//! The severities of BIND. `tracing` has fewer levels: an event of level INFO with the field `notice` is a notice, and
//! one of level ERROR with the field `critical` is critical. These fields are empty and never shown.

use std::fmt;

use tracing::{Level, Metadata, level_filters::LevelFilter};

/// The severity of an event, most severe first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The server cannot continue.
    Critical,
    /// Something does not work.
    Error,
    /// Something may not work.
    Warning,
    /// An event that an operator will want to know about.
    Notice,
    /// An everyday event.
    Info,
    /// Details for finding faults; higher levels are more detailed.
    Debug(u32),
}

impl Severity {
    pub(super) fn of(event: &Metadata<'_>) -> Severity {
        let marked = |name| event.fields().field(name).is_some();
        match *event.level() {
            Level::ERROR if marked("critical") => Severity::Critical,
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            Level::INFO if marked("notice") => Severity::Notice,
            Level::INFO => Severity::Info,
            Level::DEBUG => Severity::Debug(1),
            Level::TRACE => Severity::Debug(3),
        }
    }

    /// The `tracing` level that includes all events of at least this severity.
    pub(super) fn filter(self) -> LevelFilter {
        match self {
            Severity::Critical | Severity::Error => LevelFilter::ERROR,
            Severity::Warning => LevelFilter::WARN,
            Severity::Notice | Severity::Info | Severity::Debug(0) => LevelFilter::INFO,
            Severity::Debug(1 | 2) => LevelFilter::DEBUG,
            Severity::Debug(_) => LevelFilter::TRACE,
        }
    }

    /// The number in syslog (RFC 3164 4.1.1).
    pub(super) fn in_syslog(self) -> u8 {
        match self {
            Severity::Critical => 2,
            Severity::Error => 3,
            Severity::Warning => 4,
            Severity::Notice => 5,
            Severity::Info => 6,
            Severity::Debug(_) => 7,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Critical => "critical",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
            Severity::Info => "info",
            Severity::Debug(level) => return write!(f, "debug {level}"),
        })
    }
}

/// Logs like `info!`, with severity notice.
#[macro_export]
macro_rules! notice {
    (target: $target:expr, $($rest:tt)+) => {
        $crate::logs::tracing::info!(target: $target, notice = $crate::logs::tracing::field::Empty, $($rest)+)
    };
}

/// Logs like `error!`, with severity critical.
#[macro_export]
macro_rules! critical {
    (target: $target:expr, $($rest:tt)+) => {
        $crate::logs::tracing::error!(target: $target, critical = $crate::logs::tracing::field::Empty, $($rest)+)
    };
}
