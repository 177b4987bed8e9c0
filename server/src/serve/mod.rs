//! A running server: made of a configuration, reloaded by difference, stopped.
//!
//! * `sources`: which zones have to be loaded for a configuration; `load`: zone files into zone data; `journal`: changes
//!   that named has not written into them.
//! * `additions`: zones that are added, changed and taken away while the server runs; `new_zones`: where they are kept.
//! * `run_files`: its process number, lock and session key; `upkeep`: what has to be done once a second.

mod additions;
mod journal;
mod load;
mod new_zones;
mod run_files;
mod sources;
mod upkeep;

pub use additions::{Modified, ZoneRefusal};
pub use sources::ZoneSource;

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::{error, info, warn};
use zonefmt::{
    Name,
    diagnostics::{Diagnostic, Severity},
};

use crate::{
    config::{Additions, Config, Interfaces, Overrides},
    control::{self, Control},
    dnstap::{Dnstap, OutputError},
    listen::{self, ListenError, Listeners, TcpLimits},
    logs::{DefaultLog, Logs, OpenError},
    notice,
    respond::Responder,
    settings::ServerSettings,
    stats::{Channels, Statistics},
    zones::{Published, Snapshot, View, Zone},
};
use run_files::HeldFiles;
use sources::{Sources, log};
use upkeep::Upkeep;

/// How to run, apart from what the configuration says.
#[derive(Clone, Debug)]
pub struct Options {
    /// named.conf.
    pub config: PathBuf,
    /// What the command line says.
    pub overrides: Overrides,
    /// Threads that answer, for each address.
    pub workers: NonZeroUsize,
    /// Where log lines go unless named.conf says it.
    pub log: DefaultLog,
}

/// A server that answers.
pub struct Running {
    options: Options,
    logs: Logs,
    published: Arc<Published>,
    listeners: Listeners<Responder>,
    /// What each zone's data was made of.
    sources: Sources,
    control: Control,
    statistics: Arc<Statistics>,
    channels: Channels,
    dnstap: Dnstap,
    statistics_file: PathBuf,
    dump_file: PathBuf,
    additions: Option<Additions>,
    interfaces: Interfaces,
    /// How often to look for other addresses, and when next.
    scans: Option<(Duration, Instant)>,
    _upkeep: Upkeep,
    directory: PathBuf,
    files: HeldFiles,
    started: Timestamp,
    configured: Timestamp,
}

/// A zone, and the view that it is served in.
#[derive(Clone, Debug)]
pub struct ServedZone {
    /// The name of the view.
    pub view: Arc<str>,
    /// The view that the zone is declared in: another one, if this one has it by `in-view`.
    pub owner: Arc<str>,
    /// The zone as it is served.
    pub zone: Arc<Zone>,
}

/// How a server is.
#[derive(Debug)]
pub struct State<'a> {
    /// When it started.
    pub started: Timestamp,
    /// When it last read its configuration.
    pub configured: Timestamp,
    /// named.conf.
    pub file: &'a Path,
    /// Threads that answer, for each address.
    pub workers: NonZeroUsize,
    /// How many zones it has.
    pub zones: usize,
}

/// What became of reading a zone again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneReload {
    /// Its files had changed and are served now.
    Loaded,
    /// Its files are those that are served.
    UpToDate,
    /// Its files cannot be used; what was served stays served.
    Failed,
}

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

impl Running {
    /// Loads the zones of this configuration, which is what the options' file says, and begins to answer.
    ///
    /// # Errors
    /// An address that cannot be listened on, a lock that another server holds. A zone that does not load is no
    /// error: questions for it are answered SERVFAIL. Neither is a control channel that cannot be opened.
    ///
    /// Commands of the control channel go to `jobs`, and are to be carried out by [`perform`](crate::control::perform).
    pub fn start(
        options: Options,
        mut config: Config,
        logs: Logs,
        jobs: Sender<control::Job>,
    ) -> Result<Running, StartError> {
        let (began, started) = (Instant::now(), Timestamp::now());
        log(&config.warnings, "config");
        if config.listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        logs.change(&config.logging.with_default(&options.log)).map_err(StartError::Log)?;
        let mut files = config.run_files.hold()?;
        if let Some(key) = files.session_key() {
            config.add_key(key);
        }
        let statistics = Statistics::new();
        statistics.configured(&config.hash);
        let mut channels = Channels::new(Arc::clone(&statistics)).map_err(StartError::Statistics)?;
        // It tells how loading goes on, too.
        channels.listen(config.statistics.channels.clone());
        let mut sources = Sources::default();
        let views = sources.views(&config, &[]);
        settle(config.additions.as_ref(), &sources)?;
        let totals = Totals::of(&views);
        let published = Arc::new(Published::new(Snapshot::new(Arc::clone(&config.settings), views)));
        notice!(target: "general", "all zones loaded");
        info!(target: "general", "{totals} in {:.2} s", began.elapsed().as_secs_f64());
        let mut dnstap = Dnstap::default();
        dnstap.change(config.dnstap.as_ref()).map_err(StartError::Dnstap)?;
        let lanes = dnstap.lanes();
        let (answering, counting, queries) = (Arc::clone(&published), Arc::clone(&statistics), logs.queries());
        let responder = move || {
            let responder = Responder::counting(Arc::clone(&answering), counting.counters());
            responder.logging(queries.clone()).tapped(lanes.tap())
        };
        let listeners = listen::start(&listening(&config, options.workers), responder).map_err(StartError::Listen)?;
        for address in listeners.local_addrs() {
            info!(target: "network", "listening on {address}");
        }
        let mut control = Control::new(jobs).map_err(StartError::Control)?;
        open(&mut control, config.controls);
        files.announce(&config.run_files)?;
        statistics.serves(&published, listeners.connections());
        let upkeep = Upkeep::start(Arc::clone(&published)).map_err(StartError::Upkeep)?;
        notice!(target: "general", "running");
        let (directory, configured) = (config.directory, Timestamp::now());
        let (statistics_file, dump_file, additions) = (config.statistics.file, config.dump_file, config.additions);
        Ok(Running {
            options,
            logs,
            published,
            listeners,
            sources,
            control,
            statistics,
            channels,
            dnstap,
            statistics_file,
            dump_file,
            additions,
            interfaces: config.interfaces,
            scans: next_scan(config.interface_interval),
            _upkeep: upkeep,
            directory,
            files,
            started,
            configured,
        })
    }

    /// What is served now.
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// Reads the configuration again, and the zone files that changed, and serves the difference, all at once. What
    /// cannot be used is logged, and what was served in its place stays served. Whether the configuration could be used.
    pub fn reload(&mut self) -> bool {
        info!(target: "general", "loading configuration from '{}'", self.options.config.display());
        let mut config = match Config::load(&self.options.config, self.options.overrides) {
            Ok(config) => config,
            Err(findings) => {
                log(&findings, "config");
                error!(target: "general", "reloading configuration failed; all stays as it was");
                return false;
            }
        };
        log(&config.warnings, "config");
        let before = self.listeners.local_addrs();
        if let Err(cause) = self.listeners.reconfigure(&listening(&config, self.options.workers)) {
            error!(target: "general", "{cause}; all stays as it was");
            return false;
        }
        if let Err(cause) = self.logs.change(&config.logging.with_default(&self.options.log)) {
            warn!(target: "general", "{cause}; log lines go where they went");
        }
        if let Err(cause) = self.dnstap.change(config.dnstap.as_ref()) {
            warn!(target: "dnstap", "{cause}; nothing is tapped");
        }
        log_addresses(&before, &self.listeners.local_addrs());
        self.files.change(&config.run_files);
        if let Some(key) = self.files.session_key() {
            config.add_key(key);
        }
        // Nobody else changes what is served here.
        let views = self.sources.views(&config, &self.published.load().views);
        self.published.update(|snapshot| *snapshot = Snapshot::new(Arc::clone(&config.settings), views));
        if let Err(cause) = settle(config.additions.as_ref(), &self.sources) {
            error!(target: "general", "{cause}");
        }
        self.additions = config.additions;
        self.interfaces = config.interfaces;
        self.scans = next_scan(config.interface_interval);
        open(&mut self.control, config.controls);
        self.channels.listen(config.statistics.channels);
        (self.statistics_file, self.dump_file) = (config.statistics.file, config.dump_file);
        self.statistics.configured(&config.hash);
        self.directory = config.directory;
        self.configured = Timestamp::now();
        info!(target: "general", "reloading configuration succeeded");
        notice!(target: "general", "all zones loaded");
        info!(target: "general", "{}", Totals::of(&self.published.load().views));
        notice!(target: "general", "running");
        true
    }

    /// When to look for other addresses next, if ever.
    pub fn next_scan(&self) -> Option<Instant> {
        self.scans.map(|(_, next)| next)
    }

    /// Looks whether the addresses of this machine changed. If they did, the configuration is read again: what it says of
    /// `localhost`, of `localnets` and of addresses to listen on may stand in any of its lists.
    pub fn scan(&mut self) {
        self.scans = next_scan(self.scans.map(|(interval, _)| interval));
        match Interfaces::now() {
            Ok(now) if now == self.interfaces => {}
            Ok(_) => {
                info!(target: "network", "the addresses of this machine have changed");
                self.reload();
            }
            Err(error) => warn!(target: "network", "cannot list the addresses of this machine: {error}"),
        }
    }

    /// Reads the files of one zone again, if they changed.
    pub fn reload_zone(&mut self, ServedZone { owner, zone, .. }: &ServedZone) -> ZoneReload {
        let Some(changes) = self.sources.reload(owner, zone, &self.directory) else { return ZoneReload::UpToDate };
        self.published.update(|snapshot| {
            for view in &mut snapshot.views {
                // Views may share a zone.
                if view.zones.get(zone.origin.as_ref()).is_some_and(|shared| Arc::ptr_eq(shared, zone)) {
                    view.zones.update(changes.iter().cloned());
                }
            }
        });
        match self.sources.get(owner, &zone.origin) {
            Some(source) if source.is_sound() => ZoneReload::Loaded,
            _ => ZoneReload::Failed,
        }
    }

    /// The zones of that name, in all views that serve one.
    pub fn zones(&self, origin: &Name) -> Vec<ServedZone> {
        let snapshot = self.published.load();
        let mut zones: Vec<ServedZone> = Vec::new();
        for View { name, zones: served, .. } in &snapshot.views {
            let Some(zone) = served.get(origin.as_ref()) else { continue };
            // Views share with those before them only.
            let shared = zones.iter().find(|earlier| Arc::ptr_eq(&earlier.zone, zone));
            let owner = shared.map_or(name, |earlier| &earlier.owner);
            zones.push(ServedZone { view: Arc::clone(name), owner: Arc::clone(owner), zone: Arc::clone(zone) });
        }
        zones
    }

    /// The keys that requests may be signed with: view, and name.
    pub fn tsig_keys(&self) -> Vec<(Arc<str>, Name)> {
        let snapshot = self.published.load();
        let views = snapshot.views.iter().chain([&snapshot.chaos]);
        views.flat_map(|view| view.keys.iter().map(|key| (Arc::clone(&view.name), key.name().clone()))).collect()
    }

    /// The names of the views.
    pub fn views(&self) -> Vec<Arc<str>> {
        self.published.load().views.iter().map(|view| Arc::clone(&view.name)).collect()
    }

    /// What a zone's data was made of.
    pub fn source(&self, ServedZone { owner, zone, .. }: &ServedZone) -> Option<&ZoneSource> {
        self.sources.get(owner, &zone.origin)
    }

    /// What names of files are relative to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where its log lines go, and how much is told.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Where tapped messages go.
    pub fn dnstap(&self) -> &Dnstap {
        &self.dnstap
    }

    /// Appends what was counted to the statistics file.
    pub fn write_statistics(&self) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(&self.statistics_file)?;
        file.write_all(self.statistics.dump().as_bytes())
    }

    /// What `rndc dumpdb` writes.
    pub fn dump_file(&self) -> &Path {
        &self.dump_file
    }

    /// The time-outs of TCP clients, as [`TCP_TIMEOUTS`](crate::config::TCP_TIMEOUTS) lists them.
    pub fn tcp_timeouts(&self) -> [Duration; 4] {
        let limits = self.listeners.tcp_limits();
        let advertised = self.published.load().settings.tcp_advertised_timeout;
        [limits.initial_timeout, limits.idle_timeout, limits.keepalive_timeout, advertised]
    }

    /// Sets them for connections to come, until the configuration is read again.
    pub fn set_tcp_timeouts(&self, timeouts: [Duration; 4]) {
        let [initial_timeout, idle_timeout, keepalive_timeout, tcp_advertised_timeout] = timeouts;
        let limits = self.listeners.tcp_limits();
        self.listeners.set_tcp_limits(TcpLimits { initial_timeout, idle_timeout, keepalive_timeout, ..limits });
        self.published.update(|snapshot| {
            let settings = ServerSettings::clone(&snapshot.settings);
            snapshot.settings = Arc::new(ServerSettings { tcp_advertised_timeout, ..settings });
        });
    }

    /// How it is.
    pub fn state(&self) -> State<'_> {
        State {
            started: self.started,
            configured: self.configured,
            file: &self.options.config,
            workers: self.options.workers,
            zones: self.published.load().views.iter().map(|view| view.zones.len()).sum(),
        }
    }

    /// Stops answering: sockets are closed and threads have ended.
    pub fn stop(mut self) {
        info!(target: "general", "shutting down");
        self.listeners.stop();
        self.dnstap.stop();
        self.control.stop();
        self.channels.stop();
        self.files.remove();
        notice!(target: "general", "exiting");
    }
}

/// Opens the control channel where it is wanted now; what does not succeed is logged, as the server answers without it.
fn open(control: &mut Control, wanted: Vec<control::Listener>) {
    for error in control.listen(wanted) {
        warn!(target: "general", "{error}");
    }
}

fn next_scan(interval: Option<Duration>) -> Option<(Duration, Instant)> {
    interval.and_then(|interval| Some((interval, Instant::now().checked_add(interval)?)))
}

/// Leaves the zones that were added in one place only.
fn settle(additions: Option<&Additions>, sources: &Sources) -> Result<(), StartError> {
    let mut files = additions.into_iter().flat_map(|additions| &additions.files);
    files.try_for_each(|file| {
        let settled = file.settle(sources.added(&file.view).into_values());
        settled.map_err(|error| StartError::Additions(file.database.clone(), error))
    })
}

fn listening(config: &Config, workers: NonZeroUsize) -> listen::Config {
    listen::Config { addresses: config.listen.clone(), workers, tcp: config.tcp.clone() }
}

fn log_addresses(before: &[SocketAddr], now: &[SocketAddr]) {
    for address in before.iter().filter(|address| !now.contains(address)) {
        info!(target: "network", "no longer listening on {address}");
    }
    for address in now.iter().filter(|address| !before.contains(address)) {
        info!(target: "network", "listening on {address}");
    }
}

/// How much is served.
struct Totals {
    zones: usize,
    not_loaded: usize,
    records: usize,
}

impl Totals {
    fn of(views: &[View]) -> Totals {
        let zones: usize = views.iter().map(|view| view.zones.len()).sum();
        let loaded = views.iter().flat_map(|view| view.zones.iter()).filter_map(|zone| zone.data());
        let (count, records) = loaded.fold((0, 0), |(count, sum), data| (count + 1, sum + data.records()));
        Totals { zones, not_loaded: zones - count, records }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} zone{}", self.zones, if self.zones == 1 { "" } else { "s" })?;
        if self.not_loaded > 0 {
            write!(f, " ({} not loaded)", self.not_loaded)?;
        }
        write!(f, ", {} records", self.records)
    }
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
