//! The `logging` statement: channels, and which categories go to them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use zonefmt::conf::{Parts, Statement, Statements, values};

use super::scope::path;
use crate::logs::Severity;

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

/// A file that lines are appended to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFile {
    /// Its name.
    pub path: PathBuf,
    /// Octets at which it is full.
    pub size: Option<u64>,
    /// What becomes of it when it is full or, without a size, when it is opened.
    pub versions: Versions,
    /// What it is called then.
    pub suffix: Suffix,
    /// Whether lines may wait for more of them.
    pub buffered: bool,
    /// Whether it is there only once it has a line.
    pub later: bool,
}

/// How many old files of a log are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Versions {
    /// A full file takes no more lines.
    None,
    /// So many; 0: a full file is begun anew.
    Number(u32),
    /// All.
    Unlimited,
}

/// How old files of a log are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suffix {
    /// `.0` is the newest, then `.1`, …
    Increment,
    /// After the time: `.20261121080500123`.
    Timestamp,
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

    /// What is written, with the channels that need no definition.
    pub(super) fn read(logging: Option<Statement<'_>>, options: Option<Statement<'_>>, directory: &Path) -> Logging {
        let option = |name| options?.block().find(name)?.argument();
        let mut read = Logging {
            channels: built_in(directory),
            categories: HashMap::new(),
            querylog: false,
            sample: option("querylog-sample").and_then(|part| values::number(&part.text())).unwrap_or(1),
        };
        let all = |name| logging.into_iter().flat_map(Statement::block).filter(move |inner| inner.name() == name);
        read.channels.extend(all("channel").filter_map(|statement| channel(statement, directory)));
        for category in all("category") {
            let Some(name) = category.argument() else { continue };
            let known = |part: &Statement<'_>| part.argument().map(zonefmt::conf::Part::shown);
            let to = category.block().filter_map(|part| read.channel(&known(&part)?)).collect::<Vec<_>>();
            read.categories.entry(name.shown().to_ascii_lowercase()).or_default().extend(to);
        }
        // Unless it is written, their category decides.
        let written = option("querylog").and_then(|part| values::yes_no(&part.text()));
        read.querylog = written.unwrap_or_else(|| read.categories.contains_key("queries"));
        read
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
    fn channel(&self, name: &str) -> Option<usize> {
        self.channels.iter().rposition(|channel| channel.name == name)
    }
}

impl Channel {
    fn new(name: &str, output: Output) -> Channel {
        Channel {
            name: name.into(),
            output,
            threshold: Threshold::Fixed(Severity::Info),
            debug_only: false,
            form: Form::Text { times: Times::Hidden, category: false, severity: false },
        }
    }
}

impl LogFile {
    fn plain(path: PathBuf) -> LogFile {
        LogFile { path, size: None, versions: Versions::None, suffix: Suffix::Increment, buffered: false, later: false }
    }
}

impl Facility {
    const NAMES: [&str; 24] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "", "",
        "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ];

    /// What servers are.
    const DAEMON: Facility = Facility(3);

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

/// The channels that need no definition.
fn built_in(directory: &Path) -> Vec<Channel> {
    let run = LogFile { later: true, ..LogFile::plain(directory.join("named.run")) };
    vec![
        Channel::new("default_syslog", Output::Syslog(Facility::DAEMON)),
        Channel {
            threshold: Threshold::Dynamic,
            debug_only: true,
            form: Form::Text { times: Times::Local, category: false, severity: false },
            ..Channel::new("default_debug", Output::File(run))
        },
        Channel::new("default_stderr", Output::Stderr),
        Channel::new("null", Output::Null),
    ]
}

fn channel(statement: Statement<'_>, directory: &Path) -> Option<Channel> {
    let block = statement.block();
    let switch = |name| {
        let argument = block.find(name).and_then(Statement::argument);
        argument.is_some_and(|part| values::yes_no(&part.text()) == Some(true))
    };
    let output = if let Some(file) = block.find("file") {
        Output::File(log_file(file.arguments(), directory, switch("buffered"))?)
    } else if let Some(syslog) = block.find("syslog") {
        let named = syslog.argument().and_then(|part| Facility::from_name(&part.shown()));
        Output::Syslog(named.unwrap_or(Facility::DAEMON))
    } else if block.find("stderr").is_some() {
        Output::Stderr
    } else {
        Output::Null
    };
    let (category, severity) = (switch("print-category"), switch("print-severity"));
    let form = if switch("print-json") { Form::Json } else { Form::Text { times: times(&block), category, severity } };
    Some(Channel { threshold: threshold(&block), form, ..Channel::new(&statement.argument()?.shown(), output) })
}

/// A name of a file, and what becomes of it when it is full.
pub(super) fn log_file(mut arguments: Parts<'_>, directory: &Path, buffered: bool) -> Option<LogFile> {
    let path = directory.join(path(&arguments.next()?.text()));
    let size = arguments.clone().behind("size").and_then(|size| values::size(&size.text())).filter(|&size| size > 0);
    let suffix = arguments.clone().behind("suffix").filter(|suffix| suffix.is("timestamp"));
    let versions = match arguments.behind("versions") {
        Some(part) if part.is("unlimited") => Versions::Unlimited,
        Some(part) => Versions::Number(values::number(&part.text())?),
        None => Versions::None,
    };
    let suffix = suffix.map_or(Suffix::Increment, |_| Suffix::Timestamp);
    Some(LogFile { size, versions, suffix, buffered, ..LogFile::plain(path) })
}

fn threshold(channel: &Statements<'_>) -> Threshold {
    let fixed = [
        ("critical", Severity::Critical),
        ("error", Severity::Error),
        ("warning", Severity::Warning),
        ("notice", Severity::Notice),
    ];
    let Some(statement) = channel.find("severity") else { return Threshold::Fixed(Severity::Info) };
    let mut arguments = statement.arguments();
    match arguments.next() {
        Some(part) if part.is("dynamic") => Threshold::Dynamic,
        Some(part) if part.is("debug") => {
            let level = arguments.next().and_then(|level| values::number(&level.text()));
            Threshold::Fixed(Severity::Debug(level.unwrap_or(1)))
        }
        part => {
            let named = part.and_then(|part| fixed.into_iter().find(|(name, _)| part.is(name)));
            Threshold::Fixed(named.map_or(Severity::Info, |(_, severity)| severity))
        }
    }
}

fn times(channel: &Statements<'_>) -> Times {
    match channel.find("print-time").and_then(Statement::argument) {
        Some(part) if part.is("iso8601") => Times::Iso,
        Some(part) if part.is("iso8601-utc") => Times::IsoUtc,
        Some(part) if part.is("local") || values::yes_no(&part.text()) == Some(true) => Times::Local,
        _ => Times::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};
    use zonefmt::diagnostics::Source;

    fn read(logging: &str) -> Logging {
        let text = format!("options {{ directory \"/tmp\"; }}; {logging}");
        Config::parse(Source::new("named.conf", text), Overrides::default()).unwrap().logging
    }

    fn goes(logging: &Logging, category: &str) -> Vec<String> {
        let channels = logging.categories.get(category).or_else(|| logging.categories.get(DEFAULT_CATEGORY)).unwrap();
        channels.iter().map(|&index| logging.channels[index].name.clone()).collect()
    }

    #[test]
    fn every_form_of_a_channel() {
        let of = |channel: &str| {
            let logging = read(&format!("logging {{ channel c {{ {channel} }}; }};"));
            logging.channels.into_iter().next_back().unwrap()
        };
        let file =
            of("file \"a\" versions 3 size 2k suffix timestamp; buffered yes; severity debug 7; print-json yes;");
        let wanted = LogFile {
            path: "/tmp/a".into(),
            size: Some(2048),
            versions: Versions::Number(3),
            suffix: Suffix::Timestamp,
            buffered: true,
            later: false,
        };
        assert_eq!((file.output, file.form), (Output::File(wanted), Form::Json));
        assert_eq!(file.threshold, Threshold::Fixed(Severity::Debug(7)));
        let unlimited = of("file \"/a\" versions unlimited size unlimited;").output;
        assert_eq!(unlimited, Output::File(LogFile { versions: Versions::Unlimited, ..LogFile::plain("/a".into()) }));
        assert_eq!(of("syslog;").output, Output::Syslog(Facility(3)));
        assert_eq!(of("syslog LOCAL3;").output, Output::Syslog(Facility(19)));
        assert_eq!((of("stderr;").output, of("null;").output), (Output::Stderr, Output::Null));
        for (text, severity) in [
            ("critical", Severity::Critical),
            ("Error", Severity::Error),
            ("warning", Severity::Warning),
            ("notice", Severity::Notice),
            ("info", Severity::Info),
            ("debug", Severity::Debug(1)),
            ("debug 0", Severity::Debug(0)),
        ] {
            assert_eq!(of(&format!("null; severity {text};")).threshold, Threshold::Fixed(severity), "{text}");
        }
        assert_eq!(of("null; severity dynamic;").threshold, Threshold::Dynamic);
    }

    #[test]
    fn what_is_not_written_goes_where_default_goes() {
        let silent = read("").with_default(&DefaultLog::Syslog);
        assert_eq!(goes(&silent, "queries"), ["default_debug", "default_syslog"]);
        assert_eq!(goes(&silent, "unmatched"), [""; 0]);
        let written = read(
            "logging { channel a { null; }; category queries { a; default_stderr; }; category queries { null; }; };",
        );
        let with_file = written.with_default(&DefaultLog::File("log".into()));
        assert_eq!(goes(&with_file, "queries"), ["a", "default_stderr", "null"]);
        assert_eq!(goes(&with_file, "general"), ["default_debug", "default"]);
        let own = read("logging { category default { null; }; };").with_default(&DefaultLog::Syslog);
        assert_eq!(goes(&own, "general"), ["null"]);
        assert_eq!(goes(&own.with_default(&DefaultLog::Stderr), "general"), ["default"]);
    }
}
