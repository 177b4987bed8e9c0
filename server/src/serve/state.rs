//! What the commands of the control channel ask of a running server, and the little things that they change.

use std::{
    fs::File,
    io::{self, Write},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use tracing::{error, info};
use zonefmt::Name;

use super::{
    Running, ZoneSource,
    sources::{Unusable, log_serial},
};
use crate::{
    dnstap::Dnstap,
    listen::{TcpCounts, TcpLimits, TcpTimeouts},
    logs::{Logs, ZoneLine},
    settings::ServerSettings,
    transfer::inbound::Activity,
    zones::{Published, View, Zone, ZoneChange},
};

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

/// The figures that `rndc status` shows.
#[derive(Debug)]
pub struct State<'a> {
    /// When the server started.
    pub started: Timestamp,
    /// When the server last read its configuration.
    pub configured: Timestamp,
    /// The path of named.conf.
    pub file: &'a Path,
    /// Threads that answer, for each address.
    pub workers: NonZeroUsize,
    /// Zones in all views together.
    pub zones: usize,
    /// The TCP connections of clients.
    pub connections: TcpCounts,
    /// The most TCP connections at a time (`tcp-clients`).
    pub tcp_clients: usize,
    /// The transfers to other servers that run.
    pub transfers: usize,
    /// What is asked of the primaries of secondary zones.
    pub inbound: &'a Activity,
    /// Whether the configuration could not be used when it was last read.
    pub reload_failed: bool,
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

impl Running {
    /// The figures that `rndc status` shows.
    pub fn state(&self) -> State<'_> {
        State {
            started: self.started,
            configured: self.configured,
            file: &self.options.config,
            workers: self.options.workers,
            zones: self.published.load().declared().count(),
            connections: self.listeners.connections().counts(),
            tcp_clients: self.listeners.tcp_limits().clients,
            transfers: self.transfers.taken(),
            inbound: self.secondaries.activity(),
            reload_failed: self.statistics.is_refused(),
        }
    }

    /// What is served now.
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// The names of the views.
    pub fn views(&self) -> Vec<Arc<str>> {
        self.published.load().views.iter().map(|view| Arc::clone(&view.name)).collect()
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

    /// What a zone's data was made of.
    pub fn source(&self, ServedZone { owner, zone, .. }: &ServedZone) -> Option<&ZoneSource> {
        self.sources.get(owner, &zone.origin)
    }

    /// Serves what the file of a zone that was frozen has now.
    ///
    /// # Errors
    /// The text for rndc: the file cannot be used, or what it changes did not become durable.
    pub fn take_over(&mut self, ServedZone { owner, zone, .. }: &ServedZone) -> Result<(), String> {
        let Some(live) = &zone.live else { return Ok(()) };
        let file = live.hold_file();
        let read = self.sources.read(owner, zone, &self.config.directory);
        let content = read.map_err(|Unusable| "the zone file cannot be used; see the log".to_owned())?;
        let before = live.newest();
        file.take_over(content.clone(), &self.published).map_err(|failure| failure.to_string())?;
        log_serial(ZoneLine { origin: zone.origin.as_ref(), view: owner }, &before, &content);
        Ok(())
    }

    /// Serves what the files of frozen zones have now, as named does on `reload`: the zones stay frozen.
    pub(super) fn take_over_edits(&mut self) {
        let snapshot = self.published.load();
        let declared = snapshot.declared().map(|(view, zone)| (Arc::clone(&view.name), Arc::clone(zone)));
        let edited = declared.filter(|(_, zone)| zone.updater().is_some_and(|live| live.has_open_edit()));
        for (view, zone) in edited.collect::<Vec<_>>() {
            let served = ServedZone { view: Arc::clone(&view), owner: view, zone };
            let shown = ZoneLine { origin: served.zone.origin.as_ref(), view: &served.owner };
            match self.take_over(&served) {
                Ok(()) => info!(target: "zoneload", "zone {shown}: its file was edited and is read; it stays frozen"),
                Err(cause) => error!(target: "zoneload", "zone {shown}: {cause}; what was served stays served"),
            }
        }
    }

    /// Reads the files of one zone again, if they changed.
    pub fn reload_zone(&mut self, ServedZone { owner, zone, .. }: &ServedZone) -> ZoneReload {
        let changes = self.sources.reload(owner, zone, &self.config.directory);
        let Some(changes) = changes else { return ZoneReload::UpToDate };
        self.published.update(|snapshot| {
            for view in &mut snapshot.views {
                // Views may share a zone.
                if view.zones.get(zone.origin.as_ref()).is_some_and(|shared| Arc::ptr_eq(shared, zone)) {
                    view.zones.update(changes.iter().cloned());
                }
            }
        });
        for change in &changes {
            if let ZoneChange::Put(new) = change {
                self.published.report_if_new(owner, new, Some(zone));
            }
        }
        match self.sources.get(owner, &zone.origin) {
            Some(source) if source.is_sound() => ZoneReload::Loaded,
            _ => ZoneReload::Failed,
        }
    }

    /// Asks the primaries of a secondary zone for a newer version.
    pub fn refresh(&self, ServedZone { owner, zone, .. }: &ServedZone) {
        self.secondaries.refresh(owner, &zone.origin);
    }

    /// Transfers a secondary zone as a whole.
    pub fn retransfer(&self, ServedZone { owner, zone, .. }: &ServedZone) {
        self.secondaries.retransfer(owner, &zone.origin);
    }

    /// Notifies a zone's secondaries of its version.
    pub fn notify(&self, ServedZone { owner, zone, .. }: &ServedZone) {
        self.published.report(owner, zone);
    }

    /// The keys that requests may be signed with: the view and the name of each.
    pub fn tsig_keys(&self) -> Vec<(Arc<str>, Name)> {
        let snapshot = self.published.load();
        let views = snapshot.views.iter().chain([&snapshot.chaos]);
        views.flat_map(|view| view.keys.iter().map(|key| (Arc::clone(&view.name), key.name().clone()))).collect()
    }

    /// The time-outs of TCP connections to come.
    pub fn tcp_timeouts(&self) -> TcpTimeouts {
        self.listeners.tcp_limits().timeouts
    }

    /// Sets the time-outs of TCP connections to come, until the configuration is read again.
    pub fn set_tcp_timeouts(&self, timeouts: TcpTimeouts) {
        self.listeners.set_tcp_limits(TcpLimits { timeouts, ..self.listeners.tcp_limits() });
        self.published.update(|snapshot| {
            let settings = ServerSettings::clone(&snapshot.settings);
            snapshot.settings = Arc::new(ServerSettings { tcp_advertised_timeout: timeouts.advertised, ..settings });
        });
    }

    /// Appends the counters to the statistics file (`statistics-file`).
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_statistics(&self) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(&self.config.statistics_file)?;
        file.write_all(self.statistics.dump().as_bytes())
    }

    /// The logs: where lines go, and how many there are.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The output of tapped messages.
    pub fn dnstap(&self) -> &Dnstap {
        &self.dnstap
    }

    /// The file that `rndc dumpdb` writes (`dump-file`).
    pub fn dump_file(&self) -> &Path {
        &self.config.dump_file
    }

    /// The folder that the names of files are relative to (`directory`).
    pub fn directory(&self) -> &Path {
        &self.config.directory
    }
}
