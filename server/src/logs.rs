//! Log lines, as named writes them: `tracing` events into channels by category and severity, exchangeable while running.
//!
//! The category of an event is its target where that is one of BIND's categories; what `listen` says is `network`, and
//! anything else `general`.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use jiff::{Timestamp, Zoned};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::SetGlobalDefaultError,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
};

use crate::config::{Channel, DEFAULT_CATEGORY, Logging, Output, Times};

/// Targets that are categories.
const CATEGORIES: [&str; 6] = ["config", "general", "network", "queries", "security", "zoneload"];

/// Where events of category `network` come from.
const LISTENER: &str = "bindy_server::listen";

/// Where events go; cheap to clone.
#[derive(Clone)]
pub struct Logs(Arc<ArcSwap<Sinks>>);

/// Channels that are open.
struct Sinks {
    channels: Vec<Sink>,
    categories: HashMap<String, Vec<usize>>,
    most: LevelFilter,
}

struct Sink {
    channel: Channel,
    writer: Writer,
}

enum Writer {
    Null,
    Stderr,
    File(Mutex<LogFile>),
}

struct LogFile {
    file: File,
    path: PathBuf,
    written: u64,
    size: Option<u64>,
    versions: u32,
}

impl Logs {
    /// Takes all events of this process.
    ///
    /// # Errors
    /// If something else takes them already.
    pub fn install(logging: &Logging) -> Result<Logs, InstallError> {
        let sinks = Sinks::open(logging).map_err(InstallError::Open)?;
        let logs = Logs(Arc::new(ArcSwap::from_pointee(sinks)));
        let subscriber = Registry::default().with(logs.clone());
        tracing::subscriber::set_global_default(subscriber).map_err(InstallError::Taken)?;
        Ok(logs)
    }

    /// Changes where events go.
    ///
    /// # Errors
    /// If a file cannot be opened; events go where they went then.
    pub fn change(&self, logging: &Logging) -> Result<(), OpenError> {
        self.0.store(Arc::new(Sinks::open(logging)?));
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }
}

impl<S: Subscriber> Layer<S> for Logs {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.0.load().most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.load().most)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let category = category(target);
        let sinks = self.0.load();
        let to = sinks.categories.get(category).or_else(|| sinks.categories.get(DEFAULT_CATEGORY));
        let mut line = String::new();
        for sink in to.into_iter().flatten().filter_map(|&index| sinks.channels.get(index)) {
            if level <= sink.channel.level {
                line.clear();
                sink.channel.prefix(category, level, &mut line);
                event.record(&mut Text(&mut line));
                line.push('\n');
                sink.writer.write(&line);
            }
        }
    }
}

impl Sinks {
    fn open(logging: &Logging) -> Result<Sinks, OpenError> {
        let used = |index: usize| logging.categories.values().any(|channels| channels.contains(&index));
        let open = |(index, channel): (usize, &Channel)| {
            let writer = if used(index) { Writer::open(&channel.output)? } else { Writer::Null };
            Ok(Sink { channel: channel.clone(), writer })
        };
        let channels: Vec<Sink> = logging.channels.iter().enumerate().map(open).collect::<Result<_, _>>()?;
        let writes = channels.iter().filter(|sink| !matches!(sink.writer, Writer::Null));
        let most = writes.map(|sink| sink.channel.level).max().unwrap_or(LevelFilter::OFF);
        Ok(Sinks { channels, categories: logging.categories.clone(), most })
    }
}

impl Channel {
    /// What comes before the message.
    fn prefix(&self, category: &str, level: Level, line: &mut String) {
        let time = match self.times {
            Times::Hidden => None,
            Times::Local => Some(Zoned::now().strftime("%d-%b-%Y %H:%M:%S%.3f").to_string()),
            Times::Iso => Some(Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()),
            Times::IsoUtc => Some(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
        };
        let severity = match level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug 1",
            Level::TRACE => "debug 3",
        };
        if let Some(time) = time {
            line.push_str(&time);
            line.push(' ');
        }
        for (part, shown) in [(category, self.print_category), (severity, self.print_severity)] {
            if shown {
                line.push_str(part);
                line.push_str(": ");
            }
        }
    }
}

impl Writer {
    fn open(output: &Output) -> Result<Writer, OpenError> {
        Ok(match output {
            Output::Null => Writer::Null,
            Output::Stderr => Writer::Stderr,
            Output::File { path, size, versions } => {
                let file = LogFile::open(path, *size, *versions).map_err(|error| OpenError(path.clone(), error))?;
                Writer::File(Mutex::new(file))
            }
        })
    }

    /// Writes a line; there is nobody to tell if that fails.
    fn write(&self, line: &str) {
        let _ = match self {
            Writer::Null => Ok(()),
            Writer::Stderr => io::stderr().write_all(line.as_bytes()),
            Writer::File(file) => file.lock().unwrap_or_else(PoisonError::into_inner).write(line),
        };
    }
}

impl LogFile {
    fn open(path: &Path, size: Option<u64>, versions: u32) -> io::Result<LogFile> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        Ok(LogFile { file, path: path.to_owned(), written, size, versions })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.size.is_some_and(|size| self.written + line.len() as u64 > size) {
            if self.versions == 0 {
                return Ok(());
            }
            self.roll()?;
        }
        self.written += line.len() as u64;
        self.file.write_all(line.as_bytes())
    }

    /// Starts a new file; the full one becomes `.0`, `.0` becomes `.1`, and so on.
    fn roll(&mut self) -> io::Result<()> {
        let version = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let kept = (0..self.versions).find(|&number| !version(number).exists()).unwrap_or(self.versions - 1);
        for number in (0..kept).rev() {
            std::fs::rename(version(number), version(number + 1))?;
        }
        std::fs::rename(&self.path, version(0))?;
        *self = LogFile::open(&self.path, self.size, self.versions)?;
        Ok(())
    }
}

fn category(target: &str) -> &'static str {
    if target.starts_with(LISTENER) {
        return "network";
    }
    CATEGORIES.into_iter().find(|&category| category == target).unwrap_or("general")
}

/// Writes the fields of an event: the message, then the others as `name=value`.
struct Text<'l>(&'l mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// A log file that cannot be opened.
#[derive(Debug)]
pub struct OpenError(PathBuf, io::Error);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open the log file {}: {}; may this user write there?", self.0.display(), self.1)
    }
}

impl std::error::Error for OpenError {}

/// Why events cannot be taken.
#[derive(Debug)]
pub enum InstallError {
    /// A file cannot be opened.
    Open(OpenError),
    /// Something else takes the events of this process.
    Taken(SetGlobalDefaultError),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstallError::Open(error) => error.fmt(f),
            InstallError::Taken(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InstallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_makes_room_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = LogFile::open(&path, Some(8), 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            file.write(line).unwrap();
        }
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert_eq!([text("log"), text("log.0"), text("log.1")], ["five\n", "four\n", "three\n"]);
        assert!(!folder.path().join("log.2").exists());
    }

    #[test]
    fn without_versions_a_full_file_takes_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = LogFile::open(&path, Some(8), 0).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            file.write(line).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn categories_are_those_of_bind() {
        assert_eq!(category("zoneload"), "zoneload");
        assert_eq!(category("bindy_server::listen::udp"), "network");
        assert_eq!(category("somewhere::else"), "general");
    }
}
