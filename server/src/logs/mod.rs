//! Logging in named's format: `tracing` events go into channels by category and severity. The configuration can be
//! replaced at run time.
//!
//! An event's category is its target if that is one of BIND's categories; events from `listen` are `network`, all
//! others `general`. Events wait in a bounded queue for a thread that writes them. If a pipe or disk does not keep up,
//! lines are dropped and their number is logged; nothing ever waits for the log.
//!
//! * [`severity`]: BIND's severities, and macros for those that `tracing` lacks; `line`: the format of a line.
//! * `file`, `syslog`: destinations; `queries`: what workers log; `client`, `zone`: how lines
//!   name clients and zones.

mod client;
mod file;
mod line;
mod logging;
mod queries;
pub mod severity;
mod syslog;
mod zone;

pub(crate) use client::{AddressLine, ClientLine};
pub(crate) use queries::{Asked, Ending};
pub(crate) use zone::ZoneLine;

pub use file::{LogFile, Suffix, Versions};
pub use logging::{Channel, DEFAULT_CATEGORY, DefaultLog, Facility, Form, Logging, Output, Threshold, Times};
pub use queries::QueryLog;
pub use severity::Severity;
pub use tracing;

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use jiff::{Timestamp, tz::TimeZone};
use tracing::{Metadata, Subscriber, level_filters::LevelFilter, subscriber::SetGlobalDefaultError};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
};
use zonefmt::conf::LOG_CATEGORIES;

use crate::sync::lock;
use file::Appender;
use line::Event;
use queries::{Note, Queries, Wanted};
use syslog::Syslog;

/// The module whose events are in category `network`.
const LISTENER: &str = "bindy_server::listen";

/// The most events waiting to be written; more are dropped and counted.
const QUEUE: usize = 4096;

/// The longest that a flush waits for each queue.
const FAREWELL: Duration = Duration::from_secs(1);

/// The log of this process; cheap to clone.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

struct Shared {
    /// `None` before the first configuration, for which events wait.
    sinks: ArcSwapOption<Sinks>,
    debug_level: AtomicU32,
    queue: SyncSender<Message>,
    dropped: AtomicU64,
    queries: Arc<Queries>,
    querylog: AtomicBool,
    /// The receivers of both queues, until the writing threads start.
    waiting: Mutex<Option<(Receiver<Message>, Receiver<Note>)>>,
    syslog: Syslog,
    /// Determined at the start, since it may be unknown inside a chroot.
    zone: TimeZone,
}

enum Message {
    /// An event, and the channels that were open when it happened.
    Event(Event, Option<Arc<Sinks>>),
    /// Signals once everything queued before it has been written.
    Flush(SyncSender<()>),
}

/// The open channels.
struct Sinks {
    channels: Vec<Sink>,
    categories: HashMap<String, Vec<usize>>,
}

struct Sink {
    channel: Channel,
    writer: Writer,
}

enum Writer {
    Null,
    Stderr,
    Syslog(Facility),
    File(Mutex<Appender>),
}

impl Logs {
    /// Installs the log for all events of this process; they wait until [`change`](Logs::change) configures the
    /// channels. `ident` is the program's name in syslog, whose socket is opened now.
    ///
    /// # Errors
    /// If the process already has a `tracing` subscriber.
    pub fn install(ident: &str, debug_level: u32) -> Result<Logs, InstallError> {
        let (queue, waiting) = sync_channel(QUEUE);
        let (queries, asked) = Queries::new();
        let logs = Logs(Arc::new(Shared {
            sinks: ArcSwapOption::empty(),
            debug_level: AtomicU32::new(debug_level),
            queue,
            dropped: AtomicU64::new(0),
            queries: Arc::new(queries),
            querylog: AtomicBool::new(false),
            waiting: Mutex::new(Some((waiting, asked))),
            syslog: Syslog::connect(ident),
            zone: TimeZone::system(),
        }));
        tracing::subscriber::set_global_default(Registry::default().with(logs.clone())).map_err(InstallError)?;
        Ok(logs)
    }

    /// Replaces the logging configuration.
    ///
    /// # Errors
    /// If a file cannot be opened; the former configuration then stays.
    pub fn change(&self, logging: &Logging) -> Result<(), OpenError> {
        let first = self.0.sinks.swap(Some(Arc::new(Sinks::open(logging)?))).is_none();
        // As with named, a reload does not change this.
        if first {
            self.0.querylog.store(logging.querylog, Relaxed);
        }
        self.0.queries.sample(logging.sample);
        tracing::callsite::rebuild_interest_cache();
        self.0.want_queries();
        if let Some((waiting, asked)) = lock(&self.0.waiting).take() {
            let (shared, of_queries) = (Arc::clone(&self.0), Arc::clone(&self.0));
            thread::spawn(move || waiting.into_iter().for_each(|message| shared.take(message)));
            thread::spawn(move || asked.into_iter().for_each(|note| of_queries.take_note(&note)));
        }
        Ok(())
    }

    /// Makes a worker's handle for logging queries.
    pub fn queries(&self) -> QueryLog {
        QueryLog::new(Arc::clone(&self.0.queries))
    }

    /// Whether queries are logged.
    pub fn querylog(&self) -> bool {
        self.0.querylog.load(Relaxed)
    }

    /// Turns the logging of queries on or off (`querylog`, `rndc querylog`).
    pub fn set_querylog(&self, on: bool) {
        self.0.querylog.store(on, Relaxed);
        self.0.want_queries();
    }

    /// The debug level (`-d`, `rndc trace`); 0 turns debugging off.
    pub fn debug_level(&self) -> u32 {
        self.0.debug_level.load(Relaxed)
    }

    /// Sets the debug level, which applies to channels of severity `dynamic`.
    pub fn set_debug_level(&self, level: u32) {
        self.0.debug_level.store(level, Relaxed);
        self.0.want_queries();
        tracing::callsite::rebuild_interest_cache();
    }

    /// Waits until everything logged so far is written, but at most a second per queue.
    pub fn flush(&self) {
        if lock(&self.0.waiting).is_some() {
            return;
        }
        // A second is always enough unless nothing gets written at all. Queries are flushed first, since flushing the
        // other queue also flushes the files.
        let (done, written) = sync_channel(1);
        if self.0.queries.flush(done) {
            let _ = written.recv_timeout(FAREWELL);
        }
        let (done, written) = sync_channel(1);
        if self.0.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FAREWELL);
        }
    }
}

impl<S: Subscriber> Layer<S> for Logs {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.0.most()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.most())
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let (category, severity) = (category(metadata.target()), Severity::of(metadata));
        let sinks = self.0.sinks.load_full();
        if sinks.as_ref().is_some_and(|sinks| !sinks.take(category, severity, self.debug_level())) {
            return;
        }
        let time = Timestamp::now();
        let (message, fields, details) = (String::new(), Vec::new(), Vec::new());
        let mut told = Event { time, category, severity, message, fields, details };
        event.record(&mut told);
        if let Err(TrySendError::Full(_)) = self.0.queue.try_send(Message::Event(told, sinks)) {
            self.0.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Shared {
    fn most(&self) -> LevelFilter {
        let debug_level = self.debug_level.load(Relaxed);
        match &*self.sinks.load() {
            Some(sinks) => sinks.most(debug_level),
            None => Severity::Debug(debug_level).filter(),
        }
    }

    /// Has workers log only what some channel takes.
    fn want_queries(&self) {
        let Some(sinks) = self.sinks.load_full() else { return };
        let (debug_level, querylog) = (self.debug_level.load(Relaxed), self.querylog.load(Relaxed));
        let wanted = |wanted: &Wanted| {
            (querylog || !matches!(wanted, Wanted::Queries))
                && sinks.take(wanted.category(), wanted.severity(), debug_level)
        };
        self.queries.want(Wanted::ALL.into_iter().filter(wanted));
    }

    /// Writes a query's events; runs on the query log's thread.
    fn take_note(&self, note: &Note) {
        let Some(sinks) = self.sinks.load_full() else { return };
        match note {
            Note::Query(query) => query.events().for_each(|event| self.write(&sinks, &event)),
            Note::Flush(done) => {
                // If nobody waits any more, the requester has given up.
                let _ = done.try_send(());
            }
        }
        self.tell_missing(&self.queries.dropped, Some(&sinks));
    }

    /// Handles a message; runs on the writing thread.
    fn take(&self, message: Message) {
        let current = self.sinks.load_full();
        match message {
            Message::Event(event, sinks) => {
                if let Some(sinks) = sinks.as_ref().or(current.as_ref()) {
                    self.write(sinks, &event);
                }
            }
            Message::Flush(done) => {
                if let Some(sinks) = &current {
                    sinks.flush();
                }
                // If nobody waits any more, the requester has given up.
                let _ = done.try_send(());
            }
        }
        self.tell_missing(&self.dropped, current.as_deref());
    }

    fn tell_missing(&self, dropped: &AtomicU64, sinks: Option<&Sinks>) {
        if dropped.load(Relaxed) > 0
            && let Some(sinks) = sinks
        {
            self.write(sinks, &missing(dropped.swap(0, Relaxed)));
        }
    }

    fn write(&self, sinks: &Sinks, event: &Event) {
        let debug_level = self.debug_level.load(Relaxed);
        for sink in sinks.of(event.category).filter(|sink| sink.channel.takes(event.severity, debug_level)) {
            let mut line = event.line(&sink.channel, &self.zone);
            let written = match &sink.writer {
                Writer::Null => Ok(()),
                Writer::Stderr => {
                    line.push('\n');
                    io::stderr().write_all(line.as_bytes())
                }
                Writer::File(file) => {
                    line.push('\n');
                    lock(file).append(line.as_bytes())
                }
                Writer::Syslog(facility) => {
                    let sent = self.syslog.send(*facility, event.severity, &event.time(&self.zone), &line);
                    match sent {
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                            // There is no syslog, so the line goes to stderr for a supervisor.
                            line.push('\n');
                            io::stderr().write_all(line.as_bytes())
                        }
                        sent => sent,
                    }
                }
            };
            if written.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                self.dropped.fetch_add(1, Relaxed);
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
        let channels = logging.channels.iter().enumerate().map(open).collect::<Result<_, _>>()?;
        Ok(Sinks { channels, categories: logging.categories.clone() })
    }

    /// The channels of a category.
    fn of(&self, category: &str) -> impl Iterator<Item = &Sink> {
        let to = self.categories.get(category).or_else(|| self.categories.get(DEFAULT_CATEGORY));
        to.into_iter().flatten().filter_map(|&index| self.channels.get(index))
    }

    /// Whether any channel writes an event.
    fn take(&self, category: &str, severity: Severity, debug_level: u32) -> bool {
        self.of(category).any(|sink| sink.writes() && sink.channel.takes(severity, debug_level))
    }

    fn most(&self, debug_level: u32) -> LevelFilter {
        let writes = self.channels.iter().filter(|sink| sink.writes());
        writes.map(|sink| sink.channel.threshold.now(debug_level).filter()).max().unwrap_or(LevelFilter::OFF)
    }

    fn flush(&self) {
        for sink in &self.channels {
            if let Writer::File(file) = &sink.writer {
                // There is nowhere to report a failure.
                let _ = lock(file).flush();
            }
        }
    }
}

impl Sink {
    fn writes(&self) -> bool {
        !matches!(self.writer, Writer::Null)
    }
}

impl Channel {
    fn takes(&self, severity: Severity, debug_level: u32) -> bool {
        severity <= self.threshold.now(debug_level) && !(self.debug_only && debug_level == 0)
    }
}

impl Threshold {
    /// The lowest severity that is logged.
    fn now(self, debug_level: u32) -> Severity {
        match self {
            Threshold::Fixed(severity) => severity,
            Threshold::Dynamic => Severity::Debug(debug_level),
        }
    }
}

impl Writer {
    fn open(output: &Output) -> Result<Writer, OpenError> {
        Ok(match output {
            Output::Null => Writer::Null,
            Output::Stderr => Writer::Stderr,
            Output::Syslog(facility) => Writer::Syslog(*facility),
            Output::File(file) if file.later => Writer::File(Mutex::new(Appender::later(file.clone()))),
            Output::File(file) => {
                let opened = Appender::open(file.clone()).map_err(|error| OpenError(file.path.clone(), error))?;
                Writer::File(Mutex::new(opened))
            }
        })
    }
}

fn category(target: &str) -> &'static str {
    if target.starts_with(LISTENER) {
        return "network";
    }
    LOG_CATEGORIES.iter().find(|&&category| category == target).copied().unwrap_or("general")
}

fn missing(lines: u64) -> Event {
    let message = format!("{lines} log lines are missing: they came faster than they could be written");
    let (time, severity) = (Timestamp::now(), Severity::Warning);
    Event { time, category: "general", severity, message, fields: Vec::new(), details: Vec::new() }
}

/// A log file could not be opened.
#[derive(Debug)]
pub struct OpenError(PathBuf, io::Error);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open the log file {}: {}; may this user write there?", self.0.display(), self.1)
    }
}

impl std::error::Error for OpenError {}

/// The process already has a `tracing` subscriber.
#[derive(Debug)]
pub struct InstallError(SetGlobalDefaultError);

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for InstallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_those_of_bind() {
        assert_eq!(category("zoneload"), "zoneload");
        assert_eq!(category("query-errors"), "query-errors");
        assert_eq!(category("bindy_server::listen::udp"), "network");
        assert_eq!(category("somewhere::else"), "general");
    }

    #[test]
    fn a_channel_takes_what_is_severe_enough() {
        let mut channel = Logging::to(Output::Stderr).channels.remove(0);
        let severities = [
            Severity::Critical,
            Severity::Error,
            Severity::Warning,
            Severity::Notice,
            Severity::Info,
            Severity::Debug(1),
            Severity::Debug(3),
        ];
        let mut taken = |threshold, debug_only, debug_level| {
            (channel.threshold, channel.debug_only) = (threshold, debug_only);
            severities.iter().filter(|&&severity| channel.takes(severity, debug_level)).count()
        };
        for (least, count) in severities.iter().zip(1..) {
            assert_eq!(taken(Threshold::Fixed(*least), false, 0), count, "{least}");
        }
        assert_eq!(taken(Threshold::Fixed(Severity::Debug(0)), false, 9), 5);
        assert_eq!([0, 1, 2, 3].map(|level| taken(Threshold::Dynamic, false, level)), [5, 6, 6, 7]);
        assert_eq!([0, 1, 3].map(|level| taken(Threshold::Dynamic, true, level)), [0, 6, 7]);
    }
}
