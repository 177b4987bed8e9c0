//! All statistics at one moment, in terms that the output formats share.

use std::{
    fmt, fs,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use jiff::Timestamp;

use super::{
    Configuration, Statistics,
    arrival::Missing,
    counters::Sums,
    table::{self, Stat},
    zone::ZoneCounters,
};
use crate::{
    listen::TcpCounts,
    settings::ZoneStatistics,
    zone::ZoneData,
    zones::{Snapshot, View, Zone, ZoneMap, ZoneState},
};

/// The content of all output formats.
pub(super) struct Report {
    pub(super) started: Timestamp,
    pub(super) configured: Timestamp,
    pub(super) configuration: Arc<Configuration>,
    /// Whether the server is about to end.
    pub(super) is_leaving: bool,
    pub(super) now: Timestamp,
    pub(super) sums: Sums,
    pub(super) memory: Memory,
    pub(super) connections: TcpCounts,
    /// What has not come from other servers yet.
    pub(super) missing: Option<Missing>,
    /// `None` while the zones are still being loaded.
    snapshot: Option<Arc<Snapshot>>,
}

/// A part of the report that can be requested on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Status,
    Server,
    Zones,
    Net,
    Mem,
    Tasks,
    Traffic,
}

/// The part that is wanted, or `None` for all.
pub(super) type Wanted = Option<Part>;

/// The memory of the process, in octets.
#[derive(Clone, Copy, Default)]
pub(super) struct Memory {
    pub(super) resident: u64,
    pub(super) peak: u64,
}

/// A view in the report.
pub(super) struct ViewReport<'r> {
    pub(super) name: &'r str,
    /// The class of the view's zones.
    pub(super) class: &'static str,
    /// The type of the view's zones that are no copies.
    kind: &'static str,
    zones: &'r ZoneMap,
}

/// A zone in the report.
pub(super) struct ZoneReport<'r> {
    zone: &'r Zone,
}

impl Part {
    /// Parses a part's name as used in paths.
    pub(super) fn from_name(name: &str) -> Option<Part> {
        Some(match name {
            "status" => Part::Status,
            "server" => Part::Server,
            "zones" => Part::Zones,
            "net" => Part::Net,
            "mem" => Part::Mem,
            "tasks" => Part::Tasks,
            "traffic" => Part::Traffic,
            _ => return None,
        })
    }

    pub(super) fn is_in(self, wanted: Wanted) -> bool {
        wanted.is_none_or(|wanted| wanted == self)
    }
}

impl Report {
    pub(super) fn of(statistics: &Statistics) -> Report {
        let configured = statistics.configured.load(Ordering::Relaxed);
        let served = statistics.served.get();
        let connections = served.map(|served| served.connections.counts()).unwrap_or_default();
        let mut sums = statistics.blocks.sums();
        sums.set(table::stat(Stat::TCPConnHighWater), connections.high_water as u64);
        sums.set(table::stat(Stat::XfrReqDone), served.map_or(0, |served| served.transfers.completed()));
        let snapshot = served.map(|served| served.published.load());
        let missing = snapshot.as_deref().and_then(|zones| statistics.arrival.missing(zones, Instant::now()));
        Report {
            started: statistics.started,
            configured: Timestamp::from_millisecond(configured).unwrap_or(statistics.started),
            configuration: statistics.configuration.load_full(),
            is_leaving: statistics.leaving.load(Ordering::Relaxed),
            now: Timestamp::now(),
            sums,
            memory: Memory::now(),
            connections,
            missing,
            snapshot,
        }
    }

    /// The counters of sockets, by BIND's names.
    pub(super) fn sockets(&self) -> [(&'static str, u64); 4] {
        let TcpCounts { v4, v6, .. } = self.connections;
        [
            ("TCP4Accept", v4.accepted),
            ("TCP6Accept", v6.accepted),
            ("TCP4Clients", v4.open as u64),
            ("TCP6Clients", v6.open as u64),
        ]
    }

    /// Whether loading has been attempted for every zone.
    pub(super) fn is_loaded(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Why the server is not to be asked; `None` if it is. It is ready when it has attempted to load every zone, and when
    /// its zones have come from other servers, until it leaves.
    pub(super) fn unready(&self) -> Option<&'static str> {
        if !self.is_loaded() {
            return Some("zones are being loaded");
        }
        if self.is_leaving { Some("shutting down") } else { self.missing.map(Missing::why) }
    }

    /// The views that are served; none before the server is ready.
    pub(super) fn views(&self) -> impl Iterator<Item = ViewReport<'_>> {
        self.snapshot.as_deref().map(views).into_iter().flatten()
    }

    /// The zones that are configured, each once, with the view that declares it.
    pub(super) fn declared(&self) -> impl Iterator<Item = (&View, ZoneReport<'_>)> {
        let zones = self.snapshot.as_deref().map(Snapshot::declared).into_iter().flatten();
        zones.map(|(view, zone)| (view, ZoneReport { zone }))
    }

    /// The views of configured zones, without the built-in one.
    pub(super) fn configured_views(&self) -> impl Iterator<Item = ViewReport<'_>> {
        self.views().filter(|view| view.class == "IN")
    }
}

fn views(snapshot: &Snapshot) -> impl Iterator<Item = ViewReport<'_>> {
    let report = |class, kind| {
        move |view| {
            let View { name, zones, .. }: &View = view;
            ViewReport { name, class, kind, zones }
        }
    };
    snapshot.views.iter().map(report("IN", "primary")).chain([&snapshot.chaos].map(report("CH", "builtin")))
}

impl<'r> ViewReport<'r> {
    /// All zones of the view.
    pub(super) fn zones(&self) -> impl Iterator<Item = ZoneReport<'r>> + use<'r> {
        self.zones.iter().map(|zone| ZoneReport { zone })
    }

    /// The type of a zone of the view.
    pub(super) fn kind(&self, ZoneReport { zone }: &ZoneReport<'_>) -> &'static str {
        if zone.secondary.is_some() { "secondary" } else { self.kind }
    }

    /// The zones whose settings allow statistics.
    pub(super) fn told(&self) -> impl Iterator<Item = ZoneReport<'r>> + use<'r> {
        self.zones().filter(|ZoneReport { zone }| zone.settings.statistics != ZoneStatistics::None)
    }
}

impl<'r> ZoneReport<'r> {
    /// The zone's name without the final dot, as in BIND.
    pub(super) fn name(&self) -> impl fmt::Display + use<'r> {
        self.zone.origin.as_ref().without_final_dot()
    }

    /// The zone's serial; `None` if it is not served.
    pub(super) fn serial(&self) -> Option<u32> {
        self.zone.data().and_then(ZoneData::serial).map(|serial| serial.0)
    }

    /// The times of the zone by BIND's names: when it was loaded, and of a secondary one also when it expires and when a
    /// primary is asked next. One that never comes is 1970, as in BIND.
    pub(super) fn times(&self) -> impl Iterator<Item = (&'static str, Timestamp)> + use<'r> {
        let Zone { loaded, live, secondary, .. } = self.zone;
        let timing = live.as_ref().map(|live| live.timing()).filter(|_| secondary.is_some());
        let copied = timing.map(|timing| [("expires", timing.expires()), ("refresh", timing.refreshes())]);
        let copied = copied.into_iter().flatten().map(|(name, seconds)| {
            (name, seconds.and_then(|seconds| Timestamp::from_second(seconds.try_into().ok()?).ok()))
        });
        [("loaded", *loaded)]
            .into_iter()
            .chain(copied)
            .map(|(name, time)| (name, time.unwrap_or(Timestamp::UNIX_EPOCH)))
    }

    /// The zone's query counters, if it has any.
    pub(super) fn counters(&self) -> Option<&'r ZoneCounters> {
        self.zone.counters.as_deref()
    }

    /// Why the zone is not served; `None` if it is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self.zone.state {
            ZoneState::Loaded(_) => None,
            ZoneState::NotLoaded => Some("not loaded"),
            ZoneState::Expired => Some("expired"),
        }
    }
}

impl Memory {
    fn now() -> Memory {
        // Where this file does not exist, the memory is unknown.
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kibibytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0)
        };
        Memory { resident: kibibytes("VmRSS") * 1024, peak: kibibytes("VmHWM") * 1024 }
    }
}
