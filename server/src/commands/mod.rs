//! The commands of the control channel. They reply in the words of BIND 9.18, which programs look for.
//!
//! * Here: the table of commands, finding the one of a line, and those about the server as a whole.
//! * `new_zones`: adding, changing and deleting zones; `signing`: DNSSEC; `resolver`: what only a resolver has;
//!   `dump`: the zones' text; `status`: the lines of `status` and `zonestatus`.

mod dump;
mod dynamic;
mod new_zones;
mod resolver;
mod signing;
mod status;

use tracing::{debug, info, warn};
use zonefmt::Name;

use crate::{
    control::{CommandError, Failure, Reply},
    dnstap::{Destination, Roll},
    listen::TcpTimeouts,
    serve::{Running, ServedZone, ZoneReload},
};

/// A command that was carried out.
#[derive(Debug)]
pub struct Done {
    /// What rndc is to show.
    pub reply: Reply,
    /// Whether the server has to stop once the reply was sent.
    pub stop: bool,
}

/// A command, under one or more names.
struct Command {
    names: &'static [&'static str],
    access: Access,
    run: Run,
}

/// The function that carries a command out, by the form of its arguments.
enum Run {
    /// The words behind the command's name, without quotes.
    Words(fn(&mut Running, &[String]) -> Reply),
    /// The whole line as it came, as it holds a statement of named.conf.
    Line(fn(&mut Running, &str) -> Reply),
}

/// What a command may do. Where `read-only yes` holds, only those that read are carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Reads,
    Changes,
    /// Ends the server, once the reply was sent.
    Stops,
}

const COMMANDS: &[Command] = &[
    Command { names: &["null"], access: Access::Reads, run: NOTHING },
    Command { names: &["status"], access: Access::Reads, run: Run::Words(|server, _| Ok(status::of_server(server))) },
    Command { names: &["zonestatus"], access: Access::Reads, run: Run::Words(zone_status) },
    Command { names: &["stats"], access: Access::Changes, run: Run::Words(statistics) },
    Command { names: &["reload"], access: Access::Changes, run: Run::Words(reload) },
    Command { names: &["reconfig"], access: Access::Changes, run: Run::Words(reconfigure) },
    Command { names: &["stop", "halt"], access: Access::Stops, run: Run::Words(|_, arguments| Ok(stop(arguments))) },
    Command { names: &["freeze"], access: Access::Changes, run: Run::Words(dynamic::freeze) },
    Command { names: &["thaw", "unfreeze"], access: Access::Changes, run: Run::Words(dynamic::thaw) },
    Command { names: &["sync"], access: Access::Changes, run: Run::Words(dynamic::sync) },
    Command { names: &["refresh"], access: Access::Changes, run: Run::Words(refresh) },
    Command { names: &["retransfer"], access: Access::Changes, run: Run::Words(retransfer) },
    Command { names: &["querylog"], access: Access::Changes, run: Run::Words(query_log) },
    Command { names: &["trace"], access: Access::Changes, run: Run::Words(trace) },
    Command {
        names: &["notrace"],
        access: Access::Changes,
        run: Run::Words(|server, _| Ok(set_debug_level(server, 0))),
    },
    Command { names: &["tsig-list"], access: Access::Changes, run: Run::Words(|server, _| Ok(tsig_list(server))) },
    Command { names: &["tsig-delete"], access: Access::Changes, run: Run::Words(tsig_delete) },
    Command { names: &["notify"], access: Access::Changes, run: Run::Words(notify) },
    Command { names: &["tcp-timeouts"], access: Access::Changes, run: Run::Words(tcp_timeouts) },
    Command { names: &["dumpdb"], access: Access::Changes, run: Run::Words(dump::dump) },
    Command { names: &["dnstap"], access: Access::Changes, run: Run::Words(dnstap) },
    Command { names: &["testgen"], access: Access::Reads, run: Run::Words(|_, arguments| Ok(test_text(arguments))) },
    Command { names: &["sign", "loadkeys"], access: Access::Changes, run: Run::Words(signing::sign) },
    Command { names: &["signing"], access: Access::Changes, run: Run::Words(signing::signing) },
    Command { names: &["dnssec"], access: Access::Changes, run: Run::Words(signing::dnssec) },
    Command { names: &["flush"], access: Access::Changes, run: Run::Words(resolver::flush) },
    Command { names: &["flushname", "flushtree"], access: Access::Changes, run: Run::Words(resolver::flush_names) },
    Command { names: &["managed-keys"], access: Access::Changes, run: Run::Words(resolver::managed_keys) },
    Command { names: &["nta"], access: Access::Reads, run: Run::Words(resolver::negative_trust_anchor) },
    Command {
        names: &["secroots"],
        access: Access::Changes,
        run: Run::Words(|server, arguments| Ok(resolver::secure_roots(server, arguments))),
    },
    Command { names: &["serve-stale"], access: Access::Changes, run: Run::Words(resolver::serve_stale) },
    Command { names: &["validation"], access: Access::Changes, run: Run::Words(resolver::validation) },
    Command { names: &["addzone"], access: Access::Changes, run: Run::Line(new_zones::add) },
    Command { names: &["modzone"], access: Access::Changes, run: Run::Line(new_zones::modify) },
    Command { names: &["delzone"], access: Access::Changes, run: Run::Words(new_zones::delete) },
    Command { names: &["showzone"], access: Access::Reads, run: Run::Words(new_zones::show) },
    Command { names: &["scan"], access: Access::Changes, run: Run::Words(|server, _| Ok(scan(server))) },
    // Lists queries that wait for another server's answer: never any here.
    Command { names: &["recursing"], access: Access::Changes, run: NOTHING },
];

const NOTHING: Run = Run::Words(|_, _| Ok(String::new()));

/// The most characters that `testgen` gives; rndc takes longer replies than that.
const MAX_TEST: usize = 500_000;

/// Carries out a command line. With `read_only`, commands that change something are refused.
pub fn perform(server: &mut Running, line: &str, read_only: bool) -> Done {
    let words = words(line);
    let found = find(&words, read_only);
    log_command(line, &words, found.as_ref().err().copied());
    match found {
        Ok((command, arguments)) => {
            let reply = match command.run {
                Run::Words(run) => run(server, arguments),
                Run::Line(run) => run(server, line.trim_start()),
            };
            let stop = command.access == Access::Stops && reply.is_ok();
            Done { reply, stop }
        }
        Err(failure) => Done { reply: Err(failure.into()), stop: false },
    }
}

/// The command that a line's words name, and its arguments.
fn find(words: &[String], read_only: bool) -> Result<(&'static Command, &[String]), Failure> {
    let (name, arguments) = words.split_first().ok_or(Failure::UnexpectedEnd)?;
    let named = |command: &&Command| command.names.iter().any(|known| known.eq_ignore_ascii_case(name));
    match COMMANDS.iter().find(named) {
        Some(command) if !read_only || command.access == Access::Reads => Ok((command, arguments)),
        None if !read_only => Err(Failure::UnknownCommand),
        // named refuses unknown commands in the same way.
        _ => Err(Failure::Failure),
    }
}

/// Logs a command as named does; one that only asks how the server is, for those who look for a fault.
fn log_command(line: &str, words: &[String], failure: Option<Failure>) {
    let done = if failure == Some(Failure::Failure) { "rejecting restricted" } else { "received" };
    let line = printable(line);
    let is_question = match words {
        [word] if word.eq_ignore_ascii_case("null") => true,
        words => words.first().is_some_and(|word| word.eq_ignore_ascii_case("status")),
    };
    if is_question {
        debug!(target: "general", "{done} control channel command '{line}'");
    } else {
        info!(target: "general", "{done} control channel command '{line}'");
    }
    if let (Some(Failure::UnknownCommand), Some(name)) = (failure, words.first()) {
        warn!(target: "general", "unknown control channel command '{}'", printable(name));
    }
}

/// A text without the control characters that would break a line of the log.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn zone_status(server: &mut Running, arguments: &[String]) -> Reply {
    let zone = zone(server, arguments)?;
    Ok(status::of_zone(server, &arguments[0], &zone).ok_or(Failure::NotLoaded)?)
}

fn reload(server: &mut Running, arguments: &[String]) -> Reply {
    if arguments.is_empty() {
        return read_again(server.reload(), "server reload successful");
    }
    let zone = zone(server, arguments)?;
    if zone.zone.secondary.is_some() {
        server.refresh(&zone);
        return Ok("zone refresh queued".into());
    }
    if let Some(live) = zone.zone.updater().filter(|live| !live.makes_way()) {
        if !live.is_frozen() {
            return Err(Failure::Dynamic.into());
        }
        server.take_over(&zone).map_err(|text| CommandError::new(Failure::Failure, text))?;
        return Ok("zone reload successful".into());
    }
    match server.reload_zone(&zone) {
        ZoneReload::Loaded => Ok("zone reload successful".into()),
        ZoneReload::UpToDate => Ok("zone reload up-to-date".into()),
        ZoneReload::Failed => Err(CommandError::new(Failure::Failure, "the zone file cannot be used; see the log")),
    }
}

fn reconfigure(server: &mut Running, _: &[String]) -> Reply {
    read_again(server.reconfigure(), "")
}

fn read_again(succeeded: bool, done: &str) -> Reply {
    let failed = || CommandError::new(Failure::Failure, "the configuration cannot be used; see the log");
    if succeeded { Ok(done.into()) } else { Err(failed()) }
}

fn scan(server: &mut Running) -> String {
    server.scan();
    String::new()
}

fn statistics(server: &mut Running, _: &[String]) -> Reply {
    let written = server.write_statistics();
    written.map_err(|error| CommandError::new(Failure::Failure, error.to_string()))?;
    info!(target: "general", "dumpstats complete");
    Ok(String::new())
}

fn stop(arguments: &[String]) -> String {
    match arguments.first().map(String::as_str) {
        Some("-p") => format!("pid: {}", std::process::id()),
        _ => String::new(),
    }
}

fn refresh(server: &mut Running, arguments: &[String]) -> Reply {
    let zone = zone(server, arguments)?;
    if zone.zone.secondary.is_none() {
        return Err(CommandError::new(Failure::Failure, "not a secondary, mirror, or stub zone"));
    }
    server.refresh(&zone);
    Ok("zone refresh queued".into())
}

fn retransfer(server: &mut Running, arguments: &[String]) -> Reply {
    let zone = zone(server, arguments)?;
    if zone.zone.secondary.is_none() {
        return Err(CommandError::new(Failure::Failure, "retransfer: inappropriate zone type: primary"));
    }
    server.retransfer(&zone);
    Ok(String::new())
}

/// Without an argument, query logging is switched over.
fn query_log(server: &mut Running, arguments: &[String]) -> Reply {
    let logs = server.logs();
    let on = match arguments.first() {
        None => !logs.querylog(),
        Some(word) => switch(word).ok_or(Failure::Syntax)?,
    };
    if on != logs.querylog() {
        logs.set_querylog(on);
        info!(target: "general", "query logging is now {}", if on { "on" } else { "off" });
    }
    Ok(String::new())
}

/// Without an argument, the level rises by one.
fn trace(server: &mut Running, arguments: &[String]) -> Reply {
    let level = match arguments.first() {
        None => server.logs().debug_level().saturating_add(1),
        Some(text) => {
            let level = text.parse().ok().filter(|&level: &u32| i32::try_from(level).is_ok());
            level.ok_or(Failure::OutOfRange)?
        }
    };
    info!(target: "general", "debug level is now {level}");
    Ok(set_debug_level(server, level))
}

fn set_debug_level(server: &Running, level: u32) -> String {
    server.logs().set_debug_level(level);
    String::new()
}

fn tsig_list(server: &Running) -> String {
    let lines = server
        .tsig_keys()
        .into_iter()
        .map(|(view, key)| format!("view \"{view}\"; type \"static\"; key \"{}\";", key.as_ref().without_final_dot()));
    lines.collect::<Vec<_>>().join("\n")
}

/// Deletes keys that were agreed upon with TKEY (RFC 2930); there are none.
fn tsig_delete(_: &mut Running, arguments: &[String]) -> Reply {
    argument(arguments, 0)?;
    Ok("0 tsig keys deleted.".into())
}

fn notify(server: &mut Running, arguments: &[String]) -> Reply {
    let zone = zone(server, arguments)?;
    server.notify(&zone);
    Ok("zone notify queued".into())
}

/// Sets all four time-outs, in tenths of a second; without an argument they stay as they are.
fn tcp_timeouts(server: &mut Running, arguments: &[String]) -> Reply {
    let mut timeouts = server.tcp_timeouts();
    if !arguments.is_empty() {
        for (index, timeout) in TcpTimeouts::ALL.iter().enumerate() {
            let tenths = number(argument(arguments, index)?)?;
            if !timeout.bounds.contains(&tenths) {
                return Err(Failure::OutOfRange.into());
            }
            timeout.set(&mut timeouts, tenths);
        }
        server.set_tcp_timeouts(timeouts);
    }
    Ok(TcpTimeouts::ALL.map(|timeout| format!("{}={}", timeout.name, timeout.tenths(timeouts))).join("\n"))
}

/// `-reopen` opens the output again, after its file was moved away; `-roll [NUMBER]` moves the file away first, and
/// keeps so many old ones.
fn dnstap(server: &mut Running, arguments: &[String]) -> Reply {
    let output = server.dnstap().output().ok_or(Failure::NotFound)?;
    let roll = match argument(arguments, 0)?.to_ascii_lowercase().as_str() {
        "-reopen" => Roll::Not,
        "-roll" | "-rotate" => Roll::Keep(arguments.get(1).map(|kept| number(kept)).transpose()?),
        _ => return Err(Failure::Syntax.into()),
    };
    if roll != Roll::Not && matches!(output.destination, Destination::Unix(_)) {
        return Err(Failure::InvalidFile.into());
    }
    let opened = server.dnstap().reopen(roll);
    opened.map(|()| String::new()).map_err(|error| CommandError::new(Failure::Failure, error.to_string()))
}

/// A text of so many characters, to try out how long a reply can be.
fn test_text(arguments: &[String]) -> String {
    const CHARACTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let wanted = arguments.first().map_or(Ok(26), |text| text.parse());
    CHARACTERS.iter().cycle().take(wanted.unwrap_or(0).min(MAX_TEST)).map(|&octet| char::from(octet)).collect()
}

/// The argument at `index`, which must be there.
fn argument(arguments: &[String], index: usize) -> Result<&str, Failure> {
    arguments.get(index).map(String::as_str).ok_or(Failure::UnexpectedEnd)
}

/// Whether a word means on (`true`) or off, if either.
fn switch(word: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 4]| words.into_iter().any(|known| known.eq_ignore_ascii_case(word));
    if is_one_of(["on", "yes", "enable", "true"]) {
        Some(true)
    } else {
        is_one_of(["off", "no", "disable", "false"]).then_some(false)
    }
}

/// Reads a decimal number, as named does.
fn number(text: &str) -> Result<u32, Failure> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Failure::BadNumber);
    }
    text.parse().map_err(|_| Failure::OutOfRange)
}

/// The zone that the arguments `ZONE [CLASS [VIEW]]` name.
fn zone(server: &Running, arguments: &[String]) -> Result<ServedZone, CommandError> {
    let text = argument(arguments, 0)?;
    let not_found = |what: String| CommandError::new(Failure::NotFound, what);
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
            Err(CommandError::new(Failure::Multiple, text))
        }
    }
}

/// Splits a command line into words; spaces within quotes belong to the word.
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
    fn the_documentation_lists_every_command() {
        let page = include_str!("../../../docs/rndc.md");
        let (_, table) = page.split_once("|---|---|---|\n").unwrap();
        let rows = table.lines().map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let [_, name, _, read_only, _] = *cells else { panic!("{row}") };
            (name.trim_matches('`').to_owned(), read_only == "yes")
        });
        let mut listed: Vec<_> = rows.collect();
        let names = |command: &'static Command| {
            command.names.iter().map(|name| ((*name).to_owned(), command.access == Access::Reads))
        };
        let mut known: Vec<_> = COMMANDS.iter().flat_map(names).collect();
        listed.sort();
        known.sort();
        assert_eq!(listed, known);
    }
}
