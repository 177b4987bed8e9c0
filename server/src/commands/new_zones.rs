//! `addzone`, `modzone`, `delzone`, `showzone`: zones that come and go while the server runs.

use zonefmt::diagnostics::{Diagnostic, Severity};

use super::zone;
use crate::{
    control::{CommandError, Failure, Reply},
    serve::{Deleted, Modified, Running, STATEMENT, ZoneRefusal},
};

pub(super) fn delete(server: &mut Running, arguments: &[String]) -> Reply {
    let (clean, arguments) = match arguments {
        [option, rest @ ..] if option == "-clean" => (true, rest),
        _ => (false, arguments),
    };
    let served = zone(server, arguments)?;
    let Deleted { added, left } = server.delete_zone(&served, clean).map_err(|error| not_kept(&error))?;
    let name = &arguments[0];
    Ok(match (clean, added) {
        (true, true) => format!("zone '{name}' and associated files will be deleted."),
        (false, true) if served.zone.secondary.is_none() => String::new(),
        (false, true) if left.is_empty() => format!("zone '{name}' will be deleted."),
        (false, true) => {
            let left: String = left.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join("\n");
            format!("zone '{name}' will be deleted.The following files were in use and may now be removed:\n{left}")
        }
        (_, false) => format!(
            "zone '{name}' is no longer active and will be deleted.\nTo keep it from returning when the server is restarted, \
             it\nmust also be removed from named.conf."
        ),
    })
}

pub(super) fn show(server: &mut Running, arguments: &[String]) -> Reply {
    let served = zone(server, arguments)?;
    let statement = server.zone_statement(&served).ok_or(Failure::Failure)?;
    Ok(format!("{statement};"))
}

pub(super) fn add(server: &mut Running, line: &str) -> Reply {
    match server.add_zone(statement(line)?) {
        Ok(()) => Ok(String::new()),
        Err(ZoneRefusal::NoFile) => {
            Err(CommandError::new(Failure::FileNotFound, "dns_zone_loadnew failed: file not found"))
        }
        Err(ZoneRefusal::NotLoaded(findings)) => {
            Err(CommandError::new(Failure::Failure, format!("dns_zone_loadnew failed: {}", first(&findings))))
        }
        Err(refusal) => Err(refused(refusal, "addzone")),
    }
}

/// Gives a zone another statement. Where named would no longer serve the zone, it is served as before.
pub(super) fn modify(server: &mut Running, line: &str) -> Reply {
    let line = statement(line)?;
    let name = line.split_ascii_whitespace().nth(1).unwrap_or_default().trim_matches('"');
    let failed = |failure, why: &str| {
        let text = format!("failed to load zone '{name}': {why}\nThe zone is served as before.");
        Err(CommandError::new(failure, text))
    };
    match server.modify_zone(line) {
        Ok(Modified::Kept) => Ok(format!("zone '{name}' reconfigured.")),
        Ok(Modified::UntilReconfigured) => {
            Ok(format!("zone '{name}' must also be reconfigured in\nnamed.conf to make changes permanent."))
        }
        Err(ZoneRefusal::NoFile) => failed(Failure::FileNotFound, Failure::FileNotFound.text()),
        Err(ZoneRefusal::NotLoaded(findings)) => failed(Failure::Failure, &first(&findings)),
        Err(refusal) => Err(refused(refusal, "modzone")),
    }
}

/// The statement `zone …` that follows `add` or `mod` in the line.
fn statement(line: &str) -> Result<&str, Failure> {
    let statement = line.get("add".len()..).filter(|statement| statement.contains('{'));
    statement.ok_or(Failure::UnexpectedToken)
}

fn refused(refusal: ZoneRefusal, command: &str) -> CommandError {
    let (failure, text) = match refusal {
        ZoneRefusal::Statement(findings) => (kind(&findings), first(&findings)),
        ZoneRefusal::NotLoaded(findings) => (Failure::Failure, first(&findings)),
        ZoneRefusal::Kind(kind) => (Failure::Failure, format!("'{kind}' zones not supported by {command}")),
        ZoneRefusal::NoView(view) => (Failure::NotFound, format!("no matching view found for '{view}'")),
        ZoneRefusal::NotAllowed(view) => (Failure::NoPermission, format!("Not allowing new zones in view '{view}'")),
        ZoneRefusal::Exists => (Failure::Exists, String::new()),
        ZoneRefusal::NotFound => (Failure::NotFound, String::new()),
        ZoneRefusal::NoFile => (Failure::FileNotFound, String::new()),
        ZoneRefusal::FileTaken(other) => {
            let other = other.as_ref().without_final_dot().to_string();
            (
                Failure::Failure,
                format!("zone '{other}' has the file, and one of the two writes to it: name another one"),
            )
        }
        ZoneRefusal::NotKept(error) => return not_kept(&error),
    };
    CommandError::new(failure, text)
}

fn not_kept(error: &std::io::Error) -> CommandError {
    CommandError::new(Failure::Failure, format!("the file of added zones cannot be written: {error}"))
}

/// The word by which named reports errors in a statement: it has one of its own for a value that is none of those that
/// are expected.
fn kind(findings: &[Diagnostic]) -> Failure {
    let error = findings.iter().find(|finding| finding.severity == Severity::Error);
    let is_value = |message: &str| {
        let is_missing = message.ends_with(" is missing") && !message.contains("`;`");
        is_missing || message.contains(" is expected, not ")
    };
    if error.is_some_and(|error| is_value(&error.message)) { Failure::UnexpectedToken } else { Failure::Failure }
}

/// The first error; the log has the others. A statement that rndc gave is no file, and has no lines.
fn first(findings: &[Diagnostic]) -> String {
    let Some(error) = findings.iter().find(|finding| finding.severity == Severity::Error) else { return String::new() };
    if error.place.source.name() != STATEMENT {
        return error.without_severity().to_string();
    }
    let message = error.message.replace("end of the file", "end of the statement");
    error.help.as_ref().map_or_else(|| message.clone(), |help| format!("{message} ({help})"))
}
