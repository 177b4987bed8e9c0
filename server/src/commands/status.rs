//! What `status` and `zonestatus` show, in the lines of BIND 9.18.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    path, thread,
};

use jiff::{Timestamp, tz::TimeZone};
use rustix::system::uname;
use zonefmt::NameRef;

use crate::{
    live::Timing,
    serve::{Running, ServedZone},
    settings::ServerSettings,
    zone::ZoneData,
};

/// The lines of `status`.
pub(super) fn of_server(server: &Running) -> String {
    let state = server.state();
    let mut text = String::new();
    let mut line = |words: fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{words}");
    };
    let settings = &server.published().load().settings;
    line(format_args!("version: bindyd {} <id:>{}", env!("CARGO_PKG_VERSION"), hidden_version(settings)));
    line(format_args!("running on {}", machine()));
    line(format_args!("boot time: {}", date(state.started)));
    line(format_args!("last configured: {}", date(state.configured)));
    let file = path::absolute(state.file).unwrap_or_else(|_| state.file.to_owned());
    line(format_args!("configuration file: {}", file.display()));
    line(format_args!("CPUs found: {}", thread::available_parallelism().map_or(1, usize::from)));
    line(format_args!("worker threads: {}", state.workers));
    line(format_args!("UDP listeners per interface: {}", state.workers));
    line(format_args!("number of zones: {} (0 automatic)", state.zones));
    line(format_args!("debug level: {}", server.logs().debug_level()));
    line(format_args!("xfers running: {}", state.transfers + state.inbound.transfers()));
    line(format_args!("xfers deferred: {}", state.inbound.waiting()));
    line(format_args!("soa queries in progress: {}", state.inbound.questions()));
    line(format_args!("query logging is {}", if server.logs().querylog() { "ON" } else { "OFF" }));
    line(format_args!("recursive clients: 0/0/0"));
    line(format_args!("tcp clients: {}/{}", state.connections.v4.open + state.connections.v6.open, state.tcp_clients));
    line(format_args!("TCP high-water: {}", state.connections.high_water));
    if state.reload_failed {
        line(format_args!("reload/reconfig failed"));
    }
    text + "server is up and running"
}

/// The lines of `zonestatus` for a zone that was asked for as `name`; `None` if the zone is not loaded.
pub(super) fn of_zone(server: &Running, name: &str, served: &ServedZone) -> Option<String> {
    let (zone, source) = (&*served.zone, server.source(served)?);
    let (data, is_secondary) = (zone.data()?, zone.secondary.is_some());
    let mut text = String::new();
    let mut line = |what: &str, value: &dyn fmt::Display| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what}: {value}");
    };
    line("name", &name);
    line("type", &if is_secondary { "secondary" } else { "primary" });
    let files = source.files().map(|file| file.as_written().display().to_string()).collect::<Vec<_>>().join(", ");
    if !files.is_empty() {
        line("files", &files);
    }
    line("serial", &data.serial().map_or(0, |serial| serial.0));
    line("nodes", &nodes(data));
    // named takes a file from the future as of now.
    let loaded = if is_secondary { zone.loaded.unwrap_or_default() } else { source.modified().min(Timestamp::now()) };
    line("last loaded", &date(loaded));
    let timing = zone.live.as_ref().map(|live| live.timing());
    for (what, time) in
        [("next refresh", timing.and_then(Timing::refreshes)), ("expires", timing.and_then(Timing::expires))]
    {
        let time = time.and_then(|time| Timestamp::from_second(time.try_into().ok()?).ok());
        if let Some(time) = time {
            line(what, &date(time));
        }
    }
    line("secure", &"no");
    let dynamic = zone.updater();
    line("dynamic", &if dynamic.is_some() { "yes" } else { "no" });
    if let Some(live) = dynamic {
        line("frozen", &if live.is_frozen() { "yes" } else { "no" });
    }
    line("reconfigurable via modzone", &if source.added().is_some() || source.is_member() { "yes" } else { "no" });
    text.pop();
    Some(text)
}

/// What clients are told in place of the version, if that was changed.
fn hidden_version(settings: &ServerSettings) -> String {
    match &settings.version {
        None => " (version.bind/txt/ch disabled)".into(),
        version if *version == ServerSettings::default().version => String::new(),
        Some(version) => format!(" ({})", String::from_utf8_lossy(version)),
    }
}

/// The nodes that named has for a zone: its names, and of the empty non-terminals those above a wildcard, and those
/// below which the names part.
fn nodes(data: &ZoneData) -> usize {
    let mut empty = BTreeSet::new();
    let mut before = None;
    for node in data.iter() {
        let owner = node.owner();
        let mut add = |name: NameRef<'_>| {
            if data.node(name).is_none() {
                empty.insert(name.to_owned());
            }
        };
        if let Some(parent) = owner.as_ref().parent().filter(|_| owner.as_ref().is_wildcard()) {
            add(parent);
        }
        if let Some(before) = before.replace(owner.clone()) {
            add(common(before.as_ref(), owner.as_ref()));
        }
    }
    data.names() + empty.len()
}

/// The longest name that both are at or below.
fn common<'n>(one: NameRef<'n>, other: NameRef<'_>) -> NameRef<'n> {
    let mut name = one;
    while !other.is_at_or_below(name) {
        // All names are below the root.
        let Some(parent) = name.parent() else { break };
        name = parent;
    }
    name
}

/// A time as HTTP writes it: `Fri, 20 Nov 2026 23:35:10 GMT`.
fn date(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Host, system and kernel.
fn machine() -> String {
    let system = uname();
    let [host, name, machine, release, version] =
        [system.nodename(), system.sysname(), system.machine(), system.release(), system.version()]
            .map(|text| text.to_string_lossy());
    format!("{host}: {name} {machine} {release} {version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(date(Timestamp::UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
