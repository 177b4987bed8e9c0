//! The configuration of logging: channels, and the channels to which each category is written.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{LogFile, Severity};

/// The channels of the log and the categories in each.
#[derive(Clone, Debug)]
pub struct Logging {
    /// All channels, used or not.
    pub channels: Vec<Channel>,
    /// The channels of each category, as indices. A category that is not listed goes to those of [`DEFAULT_CATEGORY`].
    pub categories: HashMap<String, Vec<usize>>,
    /// Whether queries are logged from the start.
    pub querylog: bool,
    /// One in this many queries is logged; 1 logs all.
    pub sample: u32,
}

/// Where log lines go unless named.conf says otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DefaultLog {
    /// To syslog.
    Syslog,
    /// To this file (`-L`).
    File(PathBuf),
    /// To standard error, even if named.conf says otherwise (`-g`).
    Stderr,
}

/// The category that stands for those that are not listed.
pub const DEFAULT_CATEGORY: &str = "default";

/// A channel: one output for log lines.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The channel's name.
    pub name: String,
    /// Where the channel's lines go.
    pub output: Output,
    /// The lowest severity that the channel writes.
    pub threshold: Threshold,
    /// Whether it is silent while the debug level is 0.
    pub debug_only: bool,
    /// The format of the channel's lines.
    pub form: Form,
}

/// The format of lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The text that BIND writes.
    Text {
        /// How a line shows its time.
        times: Times,
        /// Whether a line shows its category.
        category: bool,
        /// Whether a line shows its severity.
        severity: bool,
    },
    /// A JSON object with everything that is known of the event.
    Json,
}

/// The lowest severity that a channel writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threshold {
    /// A fixed severity.
    Fixed(Severity),
    /// The debug level.
    Dynamic,
}

/// Where a channel's lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Nowhere.
    Null,
    /// Standard error.
    Stderr,
    /// The system's log or, where there is none, standard error.
    Syslog(Facility),
    /// A file to which lines are appended.
    File(LogFile),
}

/// A facility of the system's log (RFC 3164 4.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facility(u8);

/// How a line shows its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Times {
    /// The time is left out.
    Hidden,
    /// `21-Nov-2026 09:05:00.123`, local time.
    Local,
    /// `2026-11-21T09:05:00.123`, local time.
    Iso,
    /// `2026-11-21T08:05:00.123Z`.
    IsoUtc,
}

impl Logging {
    /// One channel for everything that the debug level allows.
    pub fn to(output: Output) -> Logging {
        let channel = Channel {
            threshold: Threshold::Dynamic,
            form: Form::Text { times: Times::Local, category: true, severity: true },
            ..Channel::new("default", output)
        };
        let categories = HashMap::from([(DEFAULT_CATEGORY.to_owned(), vec![0])]);
        Logging { channels: vec![channel], categories, querylog: false, sample: 1 }
    }

    /// The channels that need no definition, with their files in `directory`. No category goes to them yet.
    pub(crate) fn built_in(directory: &Path) -> Logging {
        let run = LogFile { later: true, ..LogFile::plain(directory.join("named.run")) };
        let channels = vec![
            Channel::new("default_syslog", Output::Syslog(Facility::DAEMON)),
            Channel {
                threshold: Threshold::Dynamic,
                debug_only: true,
                form: Form::Text { times: Times::Local, category: false, severity: false },
                ..Channel::new("default_debug", Output::File(run))
            },
            Channel::new("default_stderr", Output::Stderr),
            Channel::new("null", Output::Null),
        ];
        Logging { channels, categories: HashMap::new(), querylog: false, sample: 1 }
    }

    /// Sets this default for all categories that are not listed, unless `default` is listed itself.
    #[must_use]
    pub fn with_default(&self, default: &DefaultLog) -> Logging {
        let mut logging = self.clone();
        let to = match default {
            DefaultLog::Stderr => {
                let Logging { querylog, sample, .. } = *self;
                return Logging { querylog, sample, ..Logging::to(Output::Stderr) };
            }
            DefaultLog::Syslog => logging.channel("default_syslog"),
            DefaultLog::File(path) => {
                let file = LogFile { later: false, ..LogFile::plain(path.clone()) };
                logging.channels.extend(Logging::to(Output::File(file)).channels);
                Some(logging.channels.len() - 1)
            }
        };
        let to = logging.channel("default_debug").into_iter().chain(to).collect();
        logging.categories.entry(DEFAULT_CATEGORY.into()).or_insert(to);
        // BIND's own default: category `unmatched` is not logged.
        logging.categories.entry("unmatched".into()).or_default();
        logging
    }

    /// The index of a channel. If several have the same name, the last one is used, since it may redefine a built-in
    /// one.
    pub(crate) fn channel(&self, name: &str) -> Option<usize> {
        self.channels.iter().rposition(|channel| channel.name == name)
    }
}

impl Channel {
    pub(crate) fn new(name: &str, output: Output) -> Channel {
        Channel {
            name: name.into(),
            output,
            threshold: Threshold::Fixed(Severity::Info),
            debug_only: false,
            form: Form::Text { times: Times::Hidden, category: false, severity: false },
        }
    }
}

impl Facility {
    const NAMES: [&str; 24] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "", "",
        "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ];

    /// The facility of system services.
    pub(crate) const DAEMON: Facility = Facility(3);

    /// The facility of this name, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Facility> {
        let known = Facility::NAMES.iter().position(|known| !known.is_empty() && known.eq_ignore_ascii_case(name))?;
        u8::try_from(known).ok().map(Facility)
    }

    /// The facility's number.
    pub fn number(self) -> u8 {
        self.0
    }
}
