//! The running server: started from a configuration, reloaded by difference, stopped.
//!
//! [`Running`] owns everything that runs. Here it is started and reloaded; `state` is what commands ask of it and
//! change.
//!
//! * `sources`: which zones have to be loaded for a configuration; `load`: zone files into zone data; `faults`: what is
//!   wrong with it; `owners`: who changes a zone that changes while it is served; `journal`: what named left beside a
//!   zone file.
//! * `additions`: zones that are added, changed and deleted while the server runs; `new_zones`: the files that keep
//!   them.
//! * `catalogs`: zones that are served because a catalog lists them; `copies`: which copies of them there are.
//! * `run_files`: the process number, the lock and the session key; `upkeep`: what has to be done now and then.
//! * `follow`: reading the configuration again when its files change.
//! * `start_error`: why a server does not start.

mod additions;
mod catalogs;
mod copies;
mod faults;
mod follow;
mod journal;
mod load;
mod new_zones;
mod owners;
mod run_files;
mod sources;
mod start_error;
mod state;
mod upkeep;

pub use additions::{Deleted, Modified, STATEMENT, ZoneRefusal};
pub use sources::{ZoneSource, check};
pub use start_error::StartError;
pub use state::{ServedZone, State, ZoneReload};

use std::{
    convert::Infallible,
    fmt, mem,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::{error, info, warn};
use zonefmt::diagnostics::Severity;

use crate::{
    config::{Additions, Config, Hashes, Interfaces, Overrides},
    control::{self, Control},
    dnstap::Dnstap,
    forward::Forwarder,
    listen::{self, ListenError, Listeners},
    live::{Leased, Leases},
    logs::{DefaultLog, Logs},
    notice,
    respond::Responder,
    stats::{Channels, Statistics},
    transfer::{inbound::Secondaries, notify::Notifier, outbound::Slots},
    update::Queue,
    zone::ZoneData,
    zones::{Published, Snapshot},
};
use catalogs::Catalogs;
use follow::Followed;
use run_files::HeldFiles;
use sources::{Sources, log};
use upkeep::Upkeep;

/// What the command line says of a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The path of named.conf.
    pub config: PathBuf,
    /// What takes precedence over named.conf.
    pub overrides: Overrides,
    /// Threads that answer, for each address.
    pub workers: NonZeroUsize,
    /// Where log lines go unless named.conf says otherwise.
    pub log: DefaultLog,
    /// Whether to look now and then if named.conf, or a file that it includes, was changed, and to read it then.
    pub follow: bool,
}

/// A server that answers.
pub struct Running {
    options: Options,
    /// The configuration that was read last. It has no views any more: those are in `sources` and in what is published.
    config: Config,
    configured: Timestamp,
    started: Timestamp,
    logs: Logs,
    statistics: Arc<Statistics>,
    channels: Channels,
    dnstap: Dnstap,
    /// The transfers to other servers that run.
    transfers: Slots,
    /// What each zone's data was made of.
    sources: Sources,
    catalogs: Catalogs,
    published: Arc<Published>,
    listeners: Listeners<Responder>,
    control: Control,
    files: HeldFiles,
    followed: Followed,
    /// When to look next whether the addresses of this machine changed.
    next_scan: Option<Instant>,
    /// When to look next whether an address that is to be listened on has come.
    next_look: Option<Instant>,
    /// When to look next whether another process still has files of zones.
    next_claim: Option<Instant>,
    notifier: Notifier,
    secondaries: Secondaries,
    _upkeep: Upkeep,
}

/// How often to look for an address that is to be listened on and that no interface has.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait if it came and could not be listened on.
const PAUSE: Duration = Duration::from_secs(10);
/// How often to look whether another process still has files of zones.
const CLAIM: Duration = Duration::from_secs(2);

impl Running {
    /// Loads the zones of `config`, which was read from the file that `options` names, and begins to answer.
    ///
    /// Commands of the control channel go to `jobs`, and are to be carried out by [`perform`](crate::commands::perform).
    /// When something comes through `wake`, [`Running::follow_catalogs`] is to be called.
    ///
    /// # Errors
    /// What the server cannot do without: an address that cannot be listened on, a lock that another server holds, a
    /// log file that cannot be opened. A zone that does not load is not among it: queries for it are answered with
    /// SERVFAIL. Neither is a control channel that cannot be opened.
    pub fn start(
        options: Options,
        mut config: Config,
        logs: Logs,
        jobs: Sender<control::Job>,
        wake: Sender<()>,
    ) -> Result<Running, StartError> {
        let began = Instant::now();
        log_warnings(&mut config);
        let mut server = Running::idle(options, config, logs, jobs, wake)?;
        // Before anything changes on the disk, where another server may be at work.
        server.listeners.probe(&server.config.listen).map_err(StartError::Listen)?;
        server.apply(Err)?;
        listen_on(&mut server.listeners, &server.config, server.options.workers).map_err(StartError::Listen)?;
        server.notify_others();
        server.statistics.serves(&server.published, server.listeners.connections(), server.transfers.clone());
        server.announce(began, Err)?;
        Ok(server)
    }

    /// As [`Running::reconfigure`], and reads the files of frozen zones that were edited.
    pub fn reload(&mut self) -> bool {
        let succeeded = self.reconfigure();
        if succeeded {
            self.take_over_edits();
        }
        succeeded
    }

    /// Reads the configuration again, and the zone files that changed, and serves the difference, all at once. What
    /// cannot be used is logged, and what was served in its place stays served. Returns whether the configuration could
    /// be used.
    pub fn reconfigure(&mut self) -> bool {
        // Before the files are read: what changes meanwhile is noticed later.
        let hashes = Hashes::of(&self.options.config);
        let done = self.try_reconfigure();
        match &done {
            Ok(()) => self.followed.tried(self.config.hash.clone()),
            Err(why) => self.refuse(hashes, why),
        }
        done.is_ok()
    }

    /// Serves what the files say now, or tells why it cannot.
    fn try_reconfigure(&mut self) -> Result<(), String> {
        let began = Instant::now();
        info!(target: "general", "loading configuration from '{}'", self.options.config.display());
        let mut config = match Config::load(&self.options.config, self.options.overrides) {
            Ok(config) => config,
            Err(findings) => {
                log(&findings, "config");
                let first = findings.iter().find(|finding| finding.severity == Severity::Error);
                return Err(first.map_or_else(String::new, ToString::to_string));
            }
        };
        config.controls.keep_key(&self.config.controls);
        let additions = config.additions.as_ref();
        let loses_zones = additions.is_some_and(|new| new.leaves_out_more_than(self.config.additions.as_ref()));
        log_warnings(&mut config);
        if loses_zones {
            return Err("it would lose added zones".into());
        }
        if let Err(cause) = listen_on(&mut self.listeners, &config, self.options.workers) {
            return Err(cause.to_string());
        }
        self.config = config;
        self.notify_others();
        let go_on = |failure| {
            log_failure(&failure);
            Ok::<(), Infallible>(())
        };
        let Ok(()) = self.apply(go_on);
        info!(target: "general", "reloading configuration succeeded");
        let Ok(()) = self.announce(began, go_on);
        Ok(())
    }

    /// When [`Running::scan_if_due`] is to be called next; `None`: never.
    pub fn next_scan(&self) -> Option<Instant> {
        let due = [self.next_scan, self.next_look, self.next_claim, self.catalogs.due(), self.followed.due()];
        due.into_iter().flatten().min()
    }

    /// Scans if `interface-interval` is over, or if an address has come that is to be listened on and was missing; follows
    /// catalogs whose new versions had to wait; takes files over that another process had; and reads a configuration that
    /// was changed.
    pub fn scan_if_due(&mut self) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        if is_due(self.next_claim) {
            self.claim();
        }
        if is_due(self.catalogs.due()) {
            self.follow_catalogs();
        }
        if is_due(self.followed.due()) {
            self.look_at_files();
        }
        let has_come = || {
            let there = Interfaces::now().unwrap_or_default();
            self.config.awaited.iter().any(|&address| there.have(address))
        };
        if is_due(self.next_scan) || is_due(self.next_look) && has_come() {
            self.scan();
        } else {
            self.next_look = self.look_after(LOOK);
        }
    }

    /// Looks whether the addresses of this machine changed. If they did, the configuration is read again: `localhost`,
    /// `localnets` and addresses to listen on may stand in any of its lists.
    pub fn scan(&mut self) {
        self.next_scan = after(self.config.interface_interval);
        // If the reload fails, another one is not tried at once.
        self.next_look = self.look_after(PAUSE);
        match Interfaces::now() {
            Ok(now) if now == self.config.interfaces => {}
            Ok(_) => {
                info!(target: "network", "the addresses of this machine have changed");
                self.reconfigure();
            }
            Err(error) => warn!(target: "network", "cannot list the addresses of this machine: {error}"),
        }
    }

    /// Reads the configuration again, if another process has let go of zones' files: they are this server's then.
    fn claim(&mut self) {
        let free = owners::waits(&self.published.load()).into_iter().find(|by| !by.lasts());
        self.next_claim = after(Some(CLAIM));
        if let Some(by) = free {
            notice!(target: "general", "the folder {} is free now", by.folder().display());
            self.reconfigure();
        }
    }

    /// Tells whoever asks at `/readyz` that the server is about to end. It goes on as before.
    pub fn leave(&self) {
        self.statistics.leaves();
    }

    /// Stops answering, and writes the files of zones that have changed. When this returns, the sockets are closed and the
    /// threads have ended.
    pub fn stop(mut self) {
        info!(target: "general", "shutting down");
        self.listeners.stop();
        // Their files are complete then, also for another server.
        owners::close_all(&self.published.load());
        self.dnstap.stop();
        self.control.stop();
        self.channels.stop();
        self.files.remove();
        notice!(target: "general", "exiting");
    }

    /// A server that has its lock and threads, but neither zones nor sockets.
    fn idle(
        options: Options,
        config: Config,
        logs: Logs,
        jobs: Sender<control::Job>,
        wake: Sender<()>,
    ) -> Result<Running, StartError> {
        let files = HeldFiles::lock(&config.run_files)?;
        let (dnstap, statistics, transfers) = (Dnstap::default(), Statistics::new(), Slots::new());
        let published = Arc::new(Published::new(Snapshot::new(Arc::clone(&config.settings), Vec::new())));
        let secondaries = Secondaries::start(&published, statistics.counters()).map_err(StartError::Secondaries)?;
        let responder = {
            let (published, statistics) = (Arc::clone(&published), Arc::clone(&statistics));
            let (queries, lanes, transfers) = (logs.queries(), dnstap.lanes(), transfers.clone());
            let updates = Queue::start(&published, || statistics.counters(), || lanes.tap());
            let updates = updates.map_err(StartError::Updates)?;
            let forwarder = Forwarder::start(statistics.counters(), lanes.tap()).map_err(StartError::Updates)?;
            let secondaries = secondaries.clone();
            move || {
                let responder = Responder::counting(Arc::clone(&published), statistics.counters());
                responder
                    .logging(queries.clone())
                    .tapped(lanes.tap())
                    .transferring(transfers.clone())
                    .updating(updates.clone())
                    .forwarding(forwarder.clone())
                    .notifying(secondaries.clone())
            }
        };
        let nowhere = listen::Config { addresses: Vec::new(), workers: options.workers, tcp: config.tcp.clone() };
        let now = Timestamp::now();
        let followed = Followed::new(options.follow, config.hash.clone());
        Ok(Running {
            channels: Channels::new(Arc::clone(&statistics)).map_err(StartError::Statistics)?,
            listeners: listen::start(&nowhere, responder).map_err(StartError::Listen)?,
            control: Control::new(jobs).map_err(StartError::Control)?,
            notifier: Notifier::start(&published, statistics.counters()).map_err(StartError::Notifier)?,
            _upkeep: Upkeep::start(&published).map_err(StartError::Upkeep)?,
            secondaries,
            options,
            config,
            configured: now,
            started: now,
            logs,
            statistics,
            dnstap,
            transfers,
            sources: Sources::default(),
            catalogs: Catalogs::new(&published, wake),
            published,
            files,
            followed,
            next_scan: None,
            next_look: None,
            next_claim: None,
        })
    }

    /// Puts the configuration into effect, except for the addresses that are listened on: at the start those come after
    /// the zones, and on a reload before anything is changed. `on_failure` gets what fails, and decides whether to go
    /// on.
    fn apply<E>(&mut self, on_failure: impl Fn(StartError) -> Result<(), E>) -> Result<(), E> {
        let config = &mut self.config;
        let logging = config.logging.with_default(&self.options.log);
        self.logs.change(&logging).or_else(|error| on_failure(StartError::Log(error)))?;
        self.dnstap.change(config.dnstap.as_ref()).or_else(|error| on_failure(StartError::Dnstap(error)))?;
        // Before the zones: the channels show how loading goes on, too.
        self.channels.listen(config.statistics_channels.clone());
        if let Some(key) = self.files.session_key(&config.run_files) {
            config.add_key(key);
        }
        let _files = Leases::keep();
        // Only this thread changes what is served, except for the content of zones that have an owner.
        let before = self.published.load();
        self.catalogs.configure(&mut config.views);
        let mut views = self.sources.views(config, &before.views);
        for changes in self.catalogs.follow(&views, &mut self.sources) {
            if let Some(view) = views.iter_mut().find(|view| view.name == changes.view) {
                let zones = self.sources.follow(&changes, &view.zones, &config.directory);
                view.zones.update(zones);
            }
        }
        // Not needed any more, and as large as all zones' statements.
        config.views = Vec::new();
        let settings = Arc::clone(&config.settings);
        self.published.update(|snapshot| {
            let mut next = Snapshot::new(settings, views);
            next.catch_up(snapshot);
            *snapshot = next;
        });
        self.published.report_since(&before);
        self.secondaries.follow();
        settle(config.additions.as_ref(), &self.sources).or_else(&on_failure)?;
        self.control.listen(config.controls.listeners.clone());
        self.statistics.configured(&config.hash, &config.file_hash);
        info!(target: "general", "in effect is '{}' with SHA-256 {}", self.options.config.display(), config.file_hash);
        self.next_scan = after(config.interface_interval);
        self.next_look = self.look_after(LOOK);
        // What is free and could not be loaded all the same is not tried again and again.
        let waits = owners::waits(&self.published.load()).iter().any(Leased::lasts);
        self.next_claim = after(waits.then_some(CLAIM));
        self.configured = Timestamp::now();
        self.tell_if_members_are_known();
        Ok(())
    }

    /// Notifies other servers of new versions from now on, but not at the addresses at which this server answers.
    fn notify_others(&self) {
        let own = self.listeners.local_addrs().into_iter().flat_map(|address| {
            let is_any = address.ip().is_unspecified();
            let all = self.config.interfaces.sockets(address.port());
            let of_family = all.filter(move |one| is_any && one.is_ipv4() == address.is_ipv4());
            of_family.chain((!is_any).then_some(address))
        });
        self.notifier.listens(own.collect());
    }

    /// This long from now, if an address that is to be listened on is missing.
    fn look_after(&self, time: Duration) -> Option<Instant> {
        after((!self.config.awaited.is_empty()).then_some(time))
    }

    /// Writes the session key and the process number, and logs that the server answers and how much it serves.
    fn announce<E>(&mut self, began: Instant, on_failure: impl Fn(StartError) -> Result<(), E>) -> Result<(), E> {
        self.files.publish_session_key();
        notice!(target: "general", "all zones loaded");
        let totals = Totals::of(&self.published.load());
        info!(target: "general", "{totals} in {:.2} s", began.elapsed().as_secs_f64());
        self.files.announce(&self.config.run_files).or_else(on_failure)?;
        notice!(target: "general", "running");
        Ok(())
    }
}

/// Logs the warnings about a configuration, which then lets go of them, and so of its text.
fn log_warnings(config: &mut Config) {
    log(&mem::take(&mut config.warnings), "config");
    log(config.controls.take_warning().as_slice(), "config");
}

/// Listens on the addresses of a configuration, and on no others.
fn listen_on(listeners: &mut Listeners<Responder>, config: &Config, workers: NonZeroUsize) -> Result<(), ListenError> {
    let before = listeners.local_addrs();
    let addresses = config.listen.clone();
    listeners.reconfigure(&listen::Config { addresses, workers, tcp: config.tcp.clone() })?;
    let now = listeners.local_addrs();
    for address in before.iter().filter(|address| !now.contains(address)) {
        info!(target: "network", "no longer listening on {address}");
    }
    for address in now.iter().filter(|address| !before.contains(address)) {
        info!(target: "network", "listening on {address}");
    }
    if now.is_empty() {
        warn!(target: "network", "not listening on any interfaces");
    }
    Ok(())
}

/// Logs what failed in a reload, after which the server goes on without it.
fn log_failure(failure: &StartError) {
    match failure {
        StartError::Log(cause) => warn!(target: "general", "{cause}; log lines go where they went"),
        StartError::Dnstap(cause) => warn!(target: "dnstap", "{cause}; nothing is tapped"),
        failure => error!(target: "general", "{failure}"),
    }
}

/// Takes over zones that are still in named's database, so that added zones are kept in one place only.
fn settle(additions: Option<&Additions>, sources: &Sources) -> Result<(), StartError> {
    let mut files = additions.into_iter().flat_map(Additions::files);
    files.try_for_each(|file| {
        let settled = file.settle(sources.added(&file.view).into_values());
        settled.map_err(|error| StartError::Additions(file.database.clone(), error))
    })
}

fn after(interval: Option<Duration>) -> Option<Instant> {
    interval.and_then(|interval| Instant::now().checked_add(interval))
}

/// How much is served.
struct Totals {
    zones: usize,
    not_loaded: usize,
    records: usize,
}

impl Totals {
    fn of(snapshot: &Snapshot) -> Totals {
        let (mut zones, mut loaded, mut records) = (0, 0, 0);
        for (_, zone) in snapshot.declared() {
            zones += 1;
            loaded += usize::from(zone.data().is_some());
            records += zone.data().map_or(0, ZoneData::records);
        }
        Totals { zones, not_loaded: zones - loaded, records }
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
