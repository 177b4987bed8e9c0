//! What may be said of logging: channels, and which categories go to them. `config` makes this of named.conf.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{LogFile, Severity};

/// Where log lines go.
#[derive(Clone, Debug)]
pub struct Logging {
    /// Each with its name.
    pub channels: Vec<Channel>,
    /// For each category that is written, indices of channels. Others go where `default` goes.
    pub categories: HashMap<String, Vec<usize>>,
    /// Whether queries are logged from the start.
    pub querylog: bool,
    /// One in so many of them is.
    pub sample: u32,
}

/// Where log lines go if named.conf does not say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DefaultLog {
    /// To syslog.
    Syslog,
    /// To this file (`-L`).
    File(PathBuf),
    /// To standard error, whatever named.conf says (`-g`).
    Stderr,
}

/// The category of what has none of its own.
pub const DEFAULT_CATEGORY: &str = "default";

/// One way out for log lines.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Where its lines go.
    pub output: Output,
    /// What it leaves out.
    pub threshold: Threshold,
    /// Whether it is silent while the debug level is 0.
    pub debug_only: bool,
    /// How its lines look.
    pub form: Form,
}

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// As BIND writes them.
    Text {
        /// How a line shows its time.
        times: Times,
        /// Whether a line shows its category.
        category: bool,
        /// Whether a line shows its severity.
        severity: bool,
    },
    /// An object of JSON, which shows everything.
    Json,
}

/// The least severe that a channel tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threshold {
    /// Always the same.
    Fixed(Severity),
    /// What the debug level says.
    Dynamic,
}

/// Where a channel's lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Nowhere.
    Null,
    /// Standard error.
    Stderr,
    /// The system's log; where there is none, standard error.
    Syslog(Facility),
    /// A file that is appended to.
    File(LogFile),
}

/// A part of the system that the system's log tells apart (RFC 3164 4.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facility(u8);

/// How a line shows its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Times {
    /// Not at all.
    Hidden,
    /// `21-Nov-2026 09:05:00.123`, local time.
    Local,
    /// `2026-11-21T09:05:00.123`, local time.
    Iso,
    /// `2026-11-21T08:05:00.123Z`.
    IsoUtc,
}

impl Logging {
    /// Everything that the debug level allows, to one channel.
    pub fn to(output: Output) -> Logging {
        let channel = Channel {
            threshold: Threshold::Dynamic,
            form: Form::Text { times: Times::Local, category: true, severity: true },
            ..Channel::new("default", output)
        };
        let categories = HashMap::from([(DEFAULT_CATEGORY.to_owned(), vec![0])]);
        Logging { channels: vec![channel], categories, querylog: false, sample: 1 }
    }

    /// The channels that need no definition, below `directory`; no category goes to them yet.
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

    /// What holds with this default: it is for all categories that are not written, unless `default` is.
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
        // BIND's own default.
        logging.categories.entry("unmatched".into()).or_default();
        logging
    }

    /// The last channel of a name holds; those that are not there did not pass the configuration's checks.
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

    /// What servers are.
    pub(crate) const DAEMON: Facility = Facility(3);

    /// The facility of that name, in any case.
    pub fn from_name(name: &str) -> Option<Facility> {
        let known = Facility::NAMES.iter().position(|known| !known.is_empty() && known.eq_ignore_ascii_case(name))?;
        u8::try_from(known).ok().map(Facility)
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }
}
