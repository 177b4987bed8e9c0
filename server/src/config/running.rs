//! A server made of a configuration: started, reloaded by difference, stopped.

use std::{
    cmp::Ordering,
    fmt,
    fs::File,
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::Sender},
    time::Instant,
};

use jiff::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};
use tracing::{debug, error, info, warn};
use zonefmt::{
    Name, Serial,
    diagnostics::{Diagnostic, Severity},
};

use super::{
    Config, DefaultLog, Overrides, ZoneConfig,
    load::{self, Files, Job, Loaded},
    run_files::HeldFiles,
    zones::Reading,
};
use crate::{
    control::{self, Control},
    listen::{self, ListenError, Listeners},
    logs::{Logs, OpenError},
    notice,
    respond::Responder,
    stats::{Channels, Statistics},
    zone::ZoneData,
    zones::{Published, Snapshot, Zone, ZoneChange, ZoneMap, ZoneState},
};

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
    sources: FxHashMap<Name, ZoneSource>,
    control: Control,
    statistics: Arc<Statistics>,
    channels: Channels,
    statistics_file: PathBuf,
    directory: PathBuf,
    files: HeldFiles,
    started: Timestamp,
    configured: Timestamp,
}

/// What a zone's data was made of.
#[derive(Debug)]
pub struct ZoneSource {
    file: PathBuf,
    reading: Reading,
    files: Files,
    /// Whether the data is what the files say.
    sound: bool,
    loaded: Timestamp,
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
    /// The file with the process's number cannot be written.
    PidFile(PathBuf, io::Error),
    /// Another server holds the lock.
    Lock(PathBuf, io::Error),
    /// There is no thread for the control channel.
    Control(io::Error),
    /// There is no thread for the statistics channels.
    Statistics(io::Error),
}

/// Zones logged one by one when they are loaded; of more, the number is.
const LOGGED_ZONES: usize = 100;

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
        config: Config,
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
        let statistics = Statistics::new();
        let mut channels = Channels::new(Arc::clone(&statistics)).map_err(StartError::Statistics)?;
        // It tells how loading goes on, too.
        channels.listen(config.statistics.channels.clone());
        let mut sources = FxHashMap::default();
        let mut zones = ZoneMap::new();
        zones.update(load_changed(&config, &zones, &mut sources));
        let totals = Totals::of(&zones);
        let published = Arc::new(Published::new(Snapshot::new(Arc::clone(&config.settings), zones)));
        notice!(target: "general", "all zones loaded");
        info!(target: "general", "{totals} in {:.2} s", began.elapsed().as_secs_f64());
        let (answering, counting) = (Arc::clone(&published), Arc::clone(&statistics));
        let responder = move || Responder::counting(Arc::clone(&answering), counting.counters());
        let listeners = listen::start(&listening(&config, options.workers), responder).map_err(StartError::Listen)?;
        for address in listeners.local_addrs() {
            info!(target: "network", "listening on {address}");
        }
        let mut control = Control::new(jobs).map_err(StartError::Control)?;
        open(&mut control, config.controls);
        files.announce(&config.run_files)?;
        statistics.serves(&published, listeners.connections());
        notice!(target: "general", "running");
        let (directory, configured) = (config.directory, Timestamp::now());
        let statistics_file = config.statistics.file;
        Ok(Running {
            options,
            logs,
            published,
            listeners,
            sources,
            control,
            statistics,
            channels,
            statistics_file,
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
        let config = match Config::load(&self.options.config, self.options.overrides) {
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
        log_addresses(&before, &self.listeners.local_addrs());
        let changes = load_changed(&config, &self.published.load().zones, &mut self.sources);
        self.published.update(|snapshot| {
            snapshot.zones.update(changes);
            snapshot.configure(Arc::clone(&config.settings));
        });
        open(&mut self.control, config.controls);
        self.channels.listen(config.statistics.channels);
        self.statistics_file = config.statistics.file;
        self.statistics.configured();
        self.files.change(&config.run_files);
        self.directory = config.directory;
        self.configured = Timestamp::now();
        info!(target: "general", "reloading configuration succeeded");
        notice!(target: "general", "all zones loaded");
        info!(target: "general", "{}", Totals::of(&self.published.load().zones));
        true
    }

    /// Reads the files of one zone again, if they changed.
    pub fn reload_zone(&mut self, origin: &Name) -> ZoneReload {
        let Some((zone, source)) = self.zone(origin).zip(self.sources.get(origin)) else { return ZoneReload::Failed };
        let (file, settings) = (source.file.clone(), Arc::clone(&zone.settings));
        let config = ZoneConfig { origin: origin.clone(), file, settings, reading: source.reading };
        if source.is_current(&config) {
            return ZoneReload::UpToDate;
        }
        let stale = [Job { zone: &config, old: zone.data() }];
        let changes = load_zones(&stale, &self.directory, &mut self.sources);
        self.published.update(|snapshot| snapshot.zones.update(changes));
        match self.sources.get(origin) {
            Some(source) if source.sound => ZoneReload::Loaded,
            _ => ZoneReload::Failed,
        }
    }

    /// The zone of that name.
    pub fn zone(&self, origin: &Name) -> Option<Arc<Zone>> {
        self.published.load().zones.get(origin.as_ref()).cloned()
    }

    /// What a zone's data was made of.
    pub fn source(&self, origin: &Name) -> Option<&ZoneSource> {
        self.sources.get(origin)
    }

    /// What names of files are relative to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where its log lines go, and how much is told.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Appends what was counted to the statistics file.
    pub fn write_statistics(&self) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(&self.statistics_file)?;
        file.write_all(self.statistics.dump().as_bytes())
    }

    /// How it is.
    pub fn state(&self) -> State<'_> {
        State {
            started: self.started,
            configured: self.configured,
            file: &self.options.config,
            workers: self.options.workers,
            zones: self.published.load().zones.len(),
        }
    }

    /// Stops answering: sockets are closed and threads have ended.
    pub fn stop(self) {
        info!(target: "general", "shutting down");
        self.listeners.stop();
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

fn listening(config: &Config, workers: NonZeroUsize) -> listen::Config {
    listen::Config { addresses: config.listen.clone(), workers, tcp: config.tcp.clone() }
}

/// What must change for a configuration: zones that are served already and have not changed stay, the others are
/// loaded. A zone that does not load keeps the data it had.
fn load_changed(config: &Config, served: &ZoneMap, sources: &mut FxHashMap<Name, ZoneSource>) -> Vec<ZoneChange> {
    let mut changes = Vec::new();
    let wanted: FxHashSet<&Name> = config.zones.iter().map(|zone| &zone.origin).collect();
    for zone in served.iter().filter(|zone| !wanted.contains(&zone.origin)) {
        info!(target: "zoneload", "zone {}: no longer served", InClass(&zone.origin));
        sources.remove(&zone.origin);
        changes.push(ZoneChange::Remove(zone.origin.clone()));
    }
    let mut stale = Vec::new();
    for zone in &config.zones {
        let current = served.get(zone.origin.as_ref());
        match (current, sources.get(&zone.origin)) {
            (Some(current), Some(source)) if source.is_current(zone) => {
                if current.settings.allow_query != zone.settings.allow_query {
                    changes.push(made(zone, current.state.clone()));
                }
            }
            (current, _) => stale.push(Job { zone, old: current.and_then(|current| current.data()) }),
        }
    }
    changes.extend(load_zones(&stale, &config.directory, sources));
    changes
}

/// Loads zones. One that does not load keeps the data it had.
fn load_zones(stale: &[Job<'_>], directory: &Path, sources: &mut FxHashMap<Name, ZoneSource>) -> Vec<ZoneChange> {
    let mut changes = Vec::with_capacity(stale.len());
    let each = stale.len() <= LOGGED_ZONES;
    let take = |Job { zone, old }: Job<'_>, Loaded { data, files, findings }: Loaded| {
        log(&findings, "zoneload");
        let sound = data.is_some();
        let state = match (data, old) {
            (Some(data), old) => {
                let mended = sources.get(&zone.origin).is_some_and(|source| !source.sound);
                log_loaded(&zone.origin, old, &data, each || mended, mended);
                ZoneState::Loaded(data)
            }
            (None, Some(old)) => {
                let shown = InClass(&zone.origin);
                error!(target: "zoneload", "zone {shown}: not loaded due to errors; what was served stays served");
                ZoneState::Loaded(old.clone())
            }
            (None, None) => {
                error!(target: "zoneload", "zone {}: not loaded due to errors", InClass(&zone.origin));
                ZoneState::NotLoaded
            }
        };
        let (file, loaded) = (zone.file.clone(), Timestamp::now());
        let source = ZoneSource { file, reading: zone.reading, files, sound, loaded };
        sources.insert(zone.origin.clone(), source);
        changes.push(made(zone, state));
    };
    load::load_all(stale, directory, take);
    changes
}

impl ZoneSource {
    /// Its file, then those that it includes.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&*self.file).chain(self.files.includes())
    }

    /// When its files were last read.
    pub fn loaded(&self) -> Timestamp {
        self.loaded
    }

    fn is_current(&self, zone: &ZoneConfig) -> bool {
        self.sound && self.file == zone.file && self.reading == zone.reading && self.files.are_unchanged(&zone.file)
    }
}

fn made(zone: &ZoneConfig, state: ZoneState) -> ZoneChange {
    let (origin, settings) = (zone.origin.clone(), Arc::clone(&zone.settings));
    ZoneChange::Put(Arc::new(Zone { origin, settings, state }))
}

/// `each`: few enough are loaded to tell of each one that is new; `mended`: there was something wrong with its files.
fn log_loaded(origin: &Name, old: Option<&ZoneData>, new: &ZoneData, each: bool, mended: bool) {
    let (zone, serial) = (InClass(origin), new.serial().unwrap_or(Serial(0)));
    match old {
        None if !each => debug!(target: "zoneload", "zone {zone}: loaded serial {}", serial.0),
        Some(old) if old.is(new) && !mended => debug!(target: "zoneload", "zone {zone}: its content is as it was"),
        _ => info!(target: "zoneload", "zone {zone}: loaded serial {}", serial.0),
    }
    let Some(before) = old.filter(|old| !old.is(new)).and_then(ZoneData::serial) else { return };
    if before == serial {
        let message = "the content changed and its serial did not: secondaries will not notice";
        warn!(target: "zoneload", "zone {zone}: {message}; raise the SOA's serial {}", serial.0);
    } else if before.partial_cmp(&serial) != Some(Ordering::Less) {
        let message = format!("the serial went back from {} to {}: secondaries will not notice", before.0, serial.0);
        warn!(target: "zoneload", "zone {zone}: {message}; make it greater than {}", before.0);
    }
}

fn log_addresses(before: &[SocketAddr], now: &[SocketAddr]) {
    for address in before.iter().filter(|address| !now.contains(address)) {
        info!(target: "network", "no longer listening on {address}");
    }
    for address in now.iter().filter(|address| !before.contains(address)) {
        info!(target: "network", "listening on {address}");
    }
}

/// A zone as named shows it: without the final dot, and with its class.
struct InClass<'n>(&'n Name);

impl fmt::Display for InClass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.0.to_string();
        match origin.strip_suffix('.') {
            Some("") | None => write!(f, "{origin}/IN"),
            Some(name) => write!(f, "{name}/IN"),
        }
    }
}

/// How much is served.
struct Totals {
    zones: usize,
    not_loaded: usize,
    records: usize,
}

impl Totals {
    fn of(zones: &ZoneMap) -> Totals {
        let loaded = zones.iter().filter_map(|zone| zone.data());
        let (count, records) = loaded.fold((0, 0), |(count, sum), data| (count + 1, sum + data.records()));
        Totals { zones: zones.len(), not_loaded: zones.len() - count, records }
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

fn log(findings: &[Diagnostic], target: &str) {
    for finding in findings {
        let (severity, finding) = (finding.severity, finding.without_severity());
        match (severity, target) {
            (Severity::Error, "config") => error!(target: "config", "{finding}"),
            (Severity::Warning, "config") => warn!(target: "config", "{finding}"),
            (Severity::Note, "config") => info!(target: "config", "{finding}"),
            (Severity::Error, _) => error!(target: "zoneload", "{finding}"),
            (Severity::Warning, _) => warn!(target: "zoneload", "{finding}"),
            (Severity::Note, _) => info!(target: "zoneload", "{finding}"),
        }
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
            StartError::Log(error) => error.fmt(f),
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
            StartError::PidFile(path, error) => {
                write!(f, "cannot write the pid-file {}: {error}; choose another one, or `none`", path.display())
            }
        }
    }
}

impl std::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zonefmt::{Rtype, diagnostics::Source};

    const HEAD: &str = "$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.53\n";

    struct Folder(tempfile::TempDir, FxHashMap<Name, ZoneSource>);

    impl Folder {
        fn new() -> Folder {
            Folder(tempfile::tempdir().unwrap(), FxHashMap::default())
        }

        fn write(&self, name: &str, text: &str) {
            let mut file = tempfile::NamedTempFile::new_in(&self.0).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.persist(self.0.path().join(name)).unwrap();
        }

        fn load(&mut self, conf: &str, served: &ZoneMap) -> ZoneMap {
            let text = format!("options {{ directory {:?}; }}; {conf}", self.0.path());
            let config = Config::parse(Source::new("named.conf", text), Overrides::default()).unwrap();
            let mut zones = served.clone();
            zones.update(load_changed(&config, served, &mut self.1));
            zones
        }
    }

    fn zone<'m>(zones: &'m ZoneMap, origin: &str) -> &'m Arc<Zone> {
        zones.get(Name::from_ascii(origin).unwrap().as_ref()).unwrap()
    }

    #[test]
    fn only_what_changed_is_made_anew() {
        let mut folder = Folder::new();
        folder.write("a.zone", HEAD);
        folder.write("b.zone", HEAD);
        let conf = "zone a { type primary; file \"a.zone\"; }; zone b { type primary; file \"b.zone\"; };";
        let first = folder.load(conf, &ZoneMap::new());
        let second = folder.load(conf, &first);
        assert!(Arc::ptr_eq(zone(&first, "a"), zone(&second, "a")));

        folder.write("b.zone", &format!("{HEAD}www A 192.0.2.1\n"));
        let third = folder.load(conf, &second);
        assert!(Arc::ptr_eq(zone(&second, "a"), zone(&third, "a")));
        assert_eq!(zone(&third, "b").data().unwrap().records(), 4);
        assert_eq!(zone(&second, "b").data().unwrap().records(), 3, "a version that is being read stays as it is");

        folder.write("b.zone", "@ nonsense\n");
        let broken = folder.load(conf, &third);
        assert_eq!(zone(&broken, "b").data().unwrap().records(), 4);
        folder.write("b.zone", HEAD);
        let mended = folder.load(conf, &broken);
        assert_eq!(zone(&mended, "b").data().unwrap().records(), 3);

        let one = folder.load("zone a { type primary; file \"a.zone\"; allow-query { none; }; };", &mended);
        assert_eq!(one.len(), 1);
        assert!(!zone(&one, "a").settings.allow_query.allows([192, 0, 2, 1].into()));
        assert_eq!(zone(&one, "a").data().unwrap().records(), 3);
    }

    #[test]
    fn an_rrset_has_the_ttl_that_it_has_last() {
        let mut folder = Folder::new();
        folder.write("a.zone", &format!("{HEAD}www 100 A 192.0.2.1\nx A 192.0.2.9\nwww 200 A 192.0.2.2\n"));
        let zones = folder.load("zone a { type primary; file \"a.zone\"; };", &ZoneMap::new());
        let www = Name::from_ascii("www.a").unwrap();
        assert_eq!(zone(&zones, "a").data().unwrap().rrset(www.as_ref(), Rtype::A).unwrap().ttl, 200);
    }

    #[test]
    fn name_servers_without_addresses_are_for_check_integrity() {
        let mut folder = Folder::new();
        folder.write("a.zone", &HEAD.replace("ns A", "other A"));
        let conf = |check| format!("zone a {{ type primary; file \"a.zone\"; check-integrity {check}; }};");
        let checked = folder.load(&conf("yes"), &ZoneMap::new());
        assert!(zone(&checked, "a").data().is_none());
        let unchecked = folder.load(&conf("no"), &checked);
        assert!(zone(&unchecked, "a").data().is_some());
    }

    #[test]
    fn limits_that_change_are_applied() {
        let mut folder = Folder::new();
        folder.write("a.zone", HEAD);
        let conf = |limit: u32| format!("zone a {{ type primary; file \"a.zone\"; max-records {limit}; }};");
        let strict = folder.load(&conf(2), &ZoneMap::new());
        assert!(zone(&strict, "a").data().is_none());
        let lenient = folder.load(&conf(3), &strict);
        assert!(zone(&lenient, "a").data().is_some());
    }
}
