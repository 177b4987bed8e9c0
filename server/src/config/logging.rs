//! The `logging` statement: channels, and which categories go to them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use tracing::level_filters::LevelFilter;
use zonefmt::conf::{Statement, Statements, values};

use super::{Reader, options::path};

/// Where log lines go.
#[derive(Clone, Debug)]
pub struct Logging {
    /// Each with its name.
    pub channels: Vec<Channel>,
    /// For each category that is written, indices of channels. Others go where `default` goes.
    pub categories: HashMap<String, Vec<usize>>,
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
    /// The least severe level that it writes.
    pub level: LevelFilter,
    /// How a line shows its time.
    pub times: Times,
    /// Whether a line shows its category.
    pub print_category: bool,
    /// Whether a line shows its severity.
    pub print_severity: bool,
}

/// Where a channel's lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Nowhere.
    Null,
    /// Standard error.
    Stderr,
    /// A file that is appended to.
    File {
        /// Its name.
        path: PathBuf,
        /// Octets at which it is full.
        size: Option<u64>,
        /// How many full ones are kept, as `path.0`, `path.1`, …; without any, a full file takes no more lines.
        versions: u32,
    },
}

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

/// Full files kept where `versions unlimited` is written.
const MOST_VERSIONS: u32 = 1000;

impl Logging {
    /// Everything from `level` on, to one channel.
    pub fn to(output: Output, level: LevelFilter) -> Logging {
        let channel = Channel {
            name: "default".into(),
            output,
            level,
            times: Times::Local,
            print_category: true,
            print_severity: true,
        };
        Logging { channels: vec![channel], categories: HashMap::from([(DEFAULT_CATEGORY.to_owned(), vec![0])]) }
    }

    pub(super) fn read(logging: Statement<'_>, directory: &Path, reader: &mut Reader<'_, '_>) -> Logging {
        let mut channels = built_in();
        for statement in logging.block().all("channel") {
            channels.extend(channel(statement, directory, reader));
        }
        let mut categories = HashMap::from([(DEFAULT_CATEGORY.to_owned(), vec![0])]);
        for category in logging.block().all("category") {
            let Some(name) = category.argument() else { continue };
            let known = |part: &Statement<'_>| part.argument().map(zonefmt::conf::Part::shown);
            // The last channel of a name holds; those that are not there did not pass the configuration's checks.
            let index = |name: String| channels.iter().rposition(|channel| channel.name == name);
            let to = category.block().filter_map(|part| index(known(&part)?)).collect();
            categories.insert(name.shown().to_ascii_lowercase(), to);
        }
        Logging { channels, categories }
    }
}

/// The channels that need no definition. There is no syslog here: what would go to it goes to standard error, where a
/// supervisor takes it.
fn built_in() -> Vec<Channel> {
    let channel = |name: &str, output| Channel {
        name: name.into(),
        output,
        level: LevelFilter::INFO,
        times: Times::Hidden,
        print_category: false,
        print_severity: false,
    };
    vec![
        channel("default_syslog", Output::Stderr),
        channel("default_stderr", Output::Stderr),
        channel("default_debug", Output::Null),
        channel("null", Output::Null),
    ]
}

fn channel(statement: Statement<'_>, directory: &Path, reader: &mut Reader<'_, '_>) -> Option<Channel> {
    let block = statement.block();
    let switch = |name| {
        let argument = block.find(name).and_then(Statement::argument);
        argument.is_some_and(|part| values::yes_no(&part.text()) == Some(true))
    };
    let output = if block.find("null").is_some() {
        Output::Null
    } else if let Some(file) = block.find("file") {
        log_file(file, directory)?
    } else {
        if let Some(syslog) = block.find("syslog") {
            reader.findings.push(syslog.warning("there is no syslog here: the lines go to standard error"));
        }
        Output::Stderr
    };
    Some(Channel {
        name: statement.argument()?.shown(),
        output,
        level: severity(&block),
        times: times(&block),
        print_category: switch("print-category"),
        print_severity: switch("print-severity"),
    })
}

fn log_file(file: Statement<'_>, directory: &Path) -> Option<Output> {
    let mut arguments = file.arguments();
    let path = directory.join(path(&arguments.next()?.text()));
    let size = arguments.clone().behind("size").and_then(|size| values::size(&size.text()));
    let versions = match arguments.behind("versions") {
        Some(part) if part.is("unlimited") => MOST_VERSIONS,
        Some(part) => values::number(&part.text())?.min(MOST_VERSIONS),
        None => 0,
    };
    Some(Output::File { path, size, versions })
}

fn severity(channel: &Statements<'_>) -> LevelFilter {
    let Some(statement) = channel.find("severity") else { return LevelFilter::INFO };
    let mut arguments = statement.arguments();
    match arguments.next() {
        Some(part) if part.is("critical") || part.is("error") => LevelFilter::ERROR,
        Some(part) if part.is("warning") => LevelFilter::WARN,
        Some(part) if part.is("debug") => match arguments.next().and_then(|level| values::number(&level.text())) {
            Some(0) => LevelFilter::INFO,
            Some(1) | None => LevelFilter::DEBUG,
            Some(_) => LevelFilter::TRACE,
        },
        _ => LevelFilter::INFO,
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
