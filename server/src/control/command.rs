//! What the commands of the control channel do, with the words of BIND 9.18, which programs look for.

#![allow(clippy::unnecessary_wraps)] // All commands have one form.

use std::{
    fmt::Write,
    path::{self, Path},
    thread,
};

use jiff::{Timestamp, tz::TimeZone};
use tracing::info;
use zonefmt::Name;

use super::{Failure, Outcome, dump, new_zones, resolver, signing};
use crate::{
    dnstap::{Destination, Roll},
    listen::TcpTimeouts,
    serve::{Running, ServedZone, ZoneReload},
};

/// What a command led to.
#[derive(Debug)]
pub enum Done {
    /// The server goes on.
    Answer(Outcome),
    /// The server is to stop.
    Stop(Outcome),
}

/// A command: the names it goes by, what it may do, and what it does.
struct Command {
    names: &'static [&'static str],
    access: Access,
    run: Run,
}

/// How a command takes what stands behind its name.
enum Run {
    /// Split into words, without quotes.
    Words(fn(&mut Running, &[String]) -> Result<Outcome, Outcome>),
    /// The line as it came, the command's name included: it carries a statement of named.conf.
    Line(fn(&mut Running, &str) -> Result<Outcome, Outcome>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Reads,
    Changes,
    /// It ends the server, once it is answered.
    Stops,
}

const COMMANDS: &[Command] = &[
    Command { names: &["null"], access: Access::Reads, run: Run::Words(nothing) },
    Command { names: &["status"], access: Access::Reads, run: Run::Words(status) },
    Command { names: &["zonestatus"], access: Access::Reads, run: Run::Words(zone_status) },
    Command { names: &["stats"], access: Access::Changes, run: Run::Words(statistics) },
    Command { names: &["reload"], access: Access::Changes, run: Run::Words(reload) },
    Command { names: &["reconfig"], access: Access::Changes, run: Run::Words(|server, _| reconfigure(server, "")) },
    Command { names: &["stop", "halt"], access: Access::Stops, run: Run::Words(stop) },
    Command { names: &["freeze"], access: Access::Changes, run: Run::Words(freeze) },
    Command { names: &["thaw", "unfreeze", "sync"], access: Access::Changes, run: Run::Words(nothing_pending) },
    Command { names: &["refresh"], access: Access::Changes, run: Run::Words(refresh) },
    Command { names: &["retransfer"], access: Access::Changes, run: Run::Words(retransfer) },
    Command { names: &["querylog"], access: Access::Changes, run: Run::Words(query_log) },
    Command { names: &["trace"], access: Access::Changes, run: Run::Words(trace) },
    Command { names: &["notrace"], access: Access::Changes, run: Run::Words(|server, _| set_debug_level(server, 0)) },
    Command { names: &["tsig-list"], access: Access::Changes, run: Run::Words(tsig_list) },
    Command { names: &["tsig-delete"], access: Access::Changes, run: Run::Words(tsig_delete) },
    Command { names: &["notify"], access: Access::Changes, run: Run::Words(notify) },
    Command { names: &["tcp-timeouts"], access: Access::Changes, run: Run::Words(tcp_timeouts) },
    Command { names: &["dumpdb"], access: Access::Changes, run: Run::Words(dump::dump) },
    Command { names: &["dnstap"], access: Access::Changes, run: Run::Words(dnstap) },
    Command { names: &["testgen"], access: Access::Reads, run: Run::Words(test_text) },
    Command { names: &["sign", "loadkeys"], access: Access::Changes, run: Run::Words(signing::sign) },
    Command { names: &["signing"], access: Access::Changes, run: Run::Words(signing::signing) },
    Command { names: &["dnssec"], access: Access::Changes, run: Run::Words(signing::dnssec) },
    Command { names: &["flush"], access: Access::Changes, run: Run::Words(resolver::flush) },
    Command { names: &["flushname", "flushtree"], access: Access::Changes, run: Run::Words(resolver::flush_names) },
    Command { names: &["managed-keys"], access: Access::Changes, run: Run::Words(resolver::managed_keys) },
    Command { names: &["nta"], access: Access::Reads, run: Run::Words(resolver::negative_trust_anchor) },
    Command { names: &["secroots"], access: Access::Changes, run: Run::Words(resolver::secure_roots) },
    Command { names: &["serve-stale"], access: Access::Changes, run: Run::Words(resolver::serve_stale) },
    Command { names: &["validation"], access: Access::Changes, run: Run::Words(resolver::validation) },
    Command { names: &["addzone"], access: Access::Changes, run: Run::Line(new_zones::add) },
    Command { names: &["modzone"], access: Access::Changes, run: Run::Line(new_zones::modify) },
    Command { names: &["delzone"], access: Access::Changes, run: Run::Words(new_zones::delete) },
    Command { names: &["showzone"], access: Access::Reads, run: Run::Words(new_zones::show) },
    Command { names: &["scan"], access: Access::Changes, run: Run::Words(scan) },
    // Nobody's query waits for another server's answer.
    Command { names: &["recursing"], access: Access::Changes, run: Run::Words(nothing) },
];

/// Characters of a test, at most: what rndc takes is longer.
const MAX_TEST: usize = 500_000;

/// Carries out a command line.
pub fn perform(server: &mut Running, line: &str, read_only: bool) -> Done {
    let words = words(line);
    let Some((name, arguments)) = words.split_first() else {
        return Done::Answer(Outcome::failed(Failure::UnexpectedEnd, ""));
    };
    let named = |command: &&Command| command.names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let command = COMMANDS.iter().find(named);
    if read_only && command.is_none_or(|command| command.access != Access::Reads) {
        return Done::Answer(Outcome::failed(Failure::Failure, ""));
    }
    let Some(command) = command else {
        return Done::Answer(Outcome::failed(Failure::UnknownCommand, ""));
    };
    let outcome = match command.run {
        Run::Words(run) => run(server, arguments),
        Run::Line(run) => run(server, line.trim_start()),
    };
    match (command.access, outcome) {
        (Access::Stops, Ok(outcome)) => Done::Stop(outcome),
        (_, Ok(outcome) | Err(outcome)) => Done::Answer(outcome),
    }
}

fn nothing(_: &mut Running, _: &[String]) -> Result<Outcome, Outcome> {
    Ok(Outcome::done())
}

fn status(server: &mut Running, _: &[String]) -> Result<Outcome, Outcome> {
    let state = server.state();
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{words}");
    };
    line(format_args!("version: bindyd {} <id:>", env!("CARGO_PKG_VERSION")));
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
    line(format_args!("xfers running: 0"));
    line(format_args!("xfers deferred: 0"));
    line(format_args!("soa queries in progress: 0"));
    line(format_args!("query logging is {}", if server.logs().querylog() { "ON" } else { "OFF" }));
    line(format_args!("recursive clients: 0/0/0"));
    text += "server is up and running";
    Ok(Outcome::told(text))
}

fn zone_status(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let zone = zone(server, arguments)?;
    let (Some(data), Some(source)) = (zone.zone.data(), server.source(&zone)) else {
        return Err(Outcome::failed(Failure::NotLoaded, ""));
    };
    let named = |file: &Path| file.strip_prefix(server.directory()).unwrap_or(file).display().to_string();
    let files = source.files().map(named).collect::<Vec<_>>().join(", ");
    let serial = data.serial().map_or(0, |serial| serial.0);
    let nodes = data.names();
    let loaded = date(source.loaded());
    let name = &arguments[0];
    Ok(Outcome::told(format!(
        "name: {name}\ntype: primary\nfiles: {files}\nserial: {serial}\nnodes: {nodes}\nlast loaded: {loaded}\n\
         secure: no\ndynamic: no\nreconfigurable via modzone: {}",
        if source.added().is_some() { "yes" } else { "no" }
    )))
}

fn reload(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    if arguments.is_empty() {
        return reconfigure(server, "server reload successful");
    }
    let zone = zone(server, arguments)?;
    match server.reload_zone(&zone) {
        ZoneReload::Loaded => Ok(Outcome::told("zone reload successful")),
        ZoneReload::UpToDate => Ok(Outcome::told("zone reload up-to-date")),
        ZoneReload::Failed => Err(Outcome::failed(Failure::Failure, "the zone file cannot be used; see the log")),
    }
}

fn reconfigure(server: &mut Running, done: &str) -> Result<Outcome, Outcome> {
    if server.reload() {
        Ok(Outcome::told(done))
    } else {
        Err(Outcome::failed(Failure::Failure, "the configuration cannot be used; see the log"))
    }
}

fn scan(server: &mut Running, _: &[String]) -> Result<Outcome, Outcome> {
    server.scan();
    Ok(Outcome::done())
}

fn statistics(server: &mut Running, _: &[String]) -> Result<Outcome, Outcome> {
    let written = server.write_statistics();
    written.map(|()| Outcome::done()).map_err(|error| Outcome::failed(Failure::Failure, error.to_string()))
}

fn stop(_: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    Ok(match arguments.first().map(String::as_str) {
        Some("-p") => Outcome::told(format!("pid: {}", std::process::id())),
        _ => Outcome::done(),
    })
}

/// Every zone comes from a file and is changed by nobody else, so that there is nothing to freeze.
fn freeze(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    if arguments.is_empty() {
        return Ok(Outcome::done());
    }
    zone(server, arguments)?;
    Err(Outcome::failed(Failure::NotDynamic, ""))
}

/// Of a zone that is not frozen and has no journal, all is where it belongs.
fn nothing_pending(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let arguments = arguments.strip_prefix(&["-clean".to_owned()]).unwrap_or(arguments);
    if !arguments.is_empty() {
        zone(server, arguments)?;
    }
    Ok(Outcome::done())
}

fn refresh(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    zone(server, arguments)?;
    Err(Outcome::failed(Failure::Failure, "not a secondary, mirror, or stub zone"))
}

fn retransfer(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    zone(server, arguments)?;
    Err(Outcome::failed(Failure::Failure, "retransfer: inappropriate zone type: primary"))
}

/// Without a word, the other way round.
fn query_log(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let logs = server.logs();
    let on = match arguments.first() {
        None => !logs.querylog(),
        Some(word) if is_word(word, true) => true,
        Some(word) if is_word(word, false) => false,
        Some(_) => return Err(Outcome::failed(Failure::Syntax, "")),
    };
    if on != logs.querylog() {
        logs.set_querylog(on);
        info!(target: "general", "query logging is now {}", if on { "on" } else { "off" });
    }
    Ok(Outcome::done())
}

/// Without a number, one level more.
fn trace(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let level = match arguments.first() {
        None => server.logs().debug_level().saturating_add(1),
        Some(text) => {
            let level = text.parse().ok().filter(|&level: &u32| i32::try_from(level).is_ok());
            level.ok_or_else(|| Outcome::failed(Failure::OutOfRange, ""))?
        }
    };
    info!(target: "general", "debug level is now {level}");
    set_debug_level(server, level)
}

fn set_debug_level(server: &mut Running, level: u32) -> Result<Outcome, Outcome> {
    server.logs().set_debug_level(level);
    Ok(Outcome::done())
}

fn tsig_list(server: &mut Running, _: &[String]) -> Result<Outcome, Outcome> {
    let lines = server.tsig_keys().into_iter().map(|(view, key)| {
        let key = key.to_string();
        let key = key.strip_suffix('.').filter(|key| !key.is_empty()).unwrap_or(&key);
        format!("view \"{view}\"; type \"static\"; key \"{key}\";")
    });
    Ok(Outcome::told(lines.collect::<Vec<_>>().join("\n")))
}

/// It deletes keys that were agreed upon with TKEY, which there are none of.
fn tsig_delete(_: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let deleted = Ok(Outcome::told("0 tsig keys deleted."));
    arguments.first().map_or(Err(Outcome::failed(Failure::UnexpectedEnd, "")), |_| deleted)
}

/// There is nobody to tell yet.
fn notify(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    zone(server, arguments).map(|_| Outcome::told("zone notify queued"))
}

/// All four of them, in tenths of a second; without an argument they stay as they are.
fn tcp_timeouts(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let mut timeouts = server.tcp_timeouts();
    if !arguments.is_empty() {
        for (index, timeout) in TcpTimeouts::ALL.iter().enumerate() {
            let tenths = number(argument(arguments, index)?)?;
            if !timeout.bounds.contains(&tenths) {
                return Err(Outcome::failed(Failure::OutOfRange, ""));
            }
            timeout.set(&mut timeouts, tenths);
        }
        server.set_tcp_timeouts(timeouts);
    }
    let lines = TcpTimeouts::ALL.map(|timeout| format!("{}={}", timeout.name, timeout.tenths(timeouts)));
    Ok(Outcome::told(lines.join("\n")))
}

/// `-reopen`: whoever wants the file has moved it away; `-roll [NUMBER]`: it is moved away here, and so many are kept.
fn dnstap(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let failed = |failure| Outcome::failed(failure, "");
    let output = server.dnstap().output().ok_or_else(|| failed(Failure::NotFound))?;
    let roll = match argument(arguments, 0)?.to_ascii_lowercase().as_str() {
        "-reopen" => Roll::Not,
        "-roll" | "-rotate" => Roll::Keep(arguments.get(1).map(|kept| number(kept)).transpose()?),
        _ => return Err(failed(Failure::Syntax)),
    };
    if roll != Roll::Not && matches!(output.destination, Destination::Unix(_)) {
        return Err(failed(Failure::InvalidFile));
    }
    let opened = server.dnstap().reopen(roll);
    opened.map(|()| Outcome::done()).map_err(|error| Outcome::failed(Failure::Failure, error.to_string()))
}

/// So many characters, that whoever tests the channel may see how long an answer can be.
fn test_text(_: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    const CHARACTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let wanted = arguments.first().map_or(Ok(26), |text| text.parse());
    let text: String =
        CHARACTERS.iter().cycle().take(wanted.unwrap_or(0).min(MAX_TEST)).map(|&octet| char::from(octet)).collect();
    Ok(Outcome::told(text))
}

/// The word at a place that has to have one.
pub(super) fn argument(arguments: &[String], index: usize) -> Result<&str, Outcome> {
    arguments.get(index).map(String::as_str).ok_or_else(|| Outcome::failed(Failure::UnexpectedEnd, ""))
}

/// Whether a word switches something on, or off.
pub(super) fn is_word(word: &str, on: bool) -> bool {
    let words = if on { ["on", "yes", "enable", "true"] } else { ["off", "no", "disable", "false"] };
    words.into_iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// A decimal number, as named reads one.
pub(super) fn number(text: &str) -> Result<u32, Outcome> {
    let failed = |failure| Outcome::failed(failure, "");
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(failed(Failure::BadNumber));
    }
    text.parse().map_err(|_| failed(Failure::OutOfRange))
}

/// The zone that `zone [class [view]]` names.
pub(super) fn zone(server: &Running, arguments: &[String]) -> Result<ServedZone, Outcome> {
    let Some(text) = arguments.first() else { return Err(Outcome::failed(Failure::UnexpectedEnd, "")) };
    let not_found = |what: String| Outcome::failed(Failure::NotFound, what);
    let view = arguments.get(2);
    let unknown = || match view {
        Some(view) => not_found(format!("no matching zone '{text}' in view '{view}'")),
        None => not_found(format!("no matching zone '{text}' in any view")),
    };
    if arguments.get(1).is_some_and(|class| !class.eq_ignore_ascii_case("in")) {
        return Err(unknown());
    }
    if let Some(view) = view.filter(|view| server.views().iter().all(|known| **known != ***view)) {
        return Err(not_found(format!("no matching view '{view}'")));
    }
    let mut found = Name::from_ascii(text).map_or_else(|_| Vec::new(), |origin| server.zones(&origin));
    found.retain(|found| view.is_none_or(|view| *found.view == **view));
    match found.len() {
        0 | 1 => found.pop().ok_or_else(unknown),
        _ => {
            let text = format!("zone '{text}' was found in multiple views");
            Err(Outcome::failed(Failure::Multiple, text))
        }
    }
}

/// The words of a command line; quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            _ if character.is_ascii_whitespace() && !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// As HTTP writes it: `Fri, 20 Nov 2026 23:35:10 GMT`.
fn date(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Host, system and kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let (host, release) = (read("/proc/sys/kernel/hostname"), read("/proc/sys/kernel/osrelease"));
    let version = read("/proc/sys/kernel/version");
    format!("{host}: Linux {} {release} {version}", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(words("  reload  \"a b\".example in "), ["reload", "a b.example", "in"]);
        assert_eq!(words("x \"\""), ["x", ""]);
        assert!(words(" ").is_empty());
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(date(Timestamp::UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
