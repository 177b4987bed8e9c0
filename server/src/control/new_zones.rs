//! `addzone`, `modzone`, `delzone`, `showzone`, with the words of BIND 9.18.

use zonefmt::diagnostics::{Diagnostic, Severity};

use super::{Failure, Outcome, command::zone};
use crate::serve::{Modified, Running, ZoneRefusal};

type Answer = Result<Outcome, Outcome>;

pub(super) fn delete(server: &mut Running, arguments: &[String]) -> Answer {
    let (clean, arguments) = match arguments {
        [option, rest @ ..] if option == "-clean" => (true, rest),
        _ => (false, arguments),
    };
    let served = zone(server, arguments)?;
    let added = server.delete_zone(&served, clean).map_err(|error| not_kept(&error))?;
    let name = &arguments[0];
    Ok(match (clean, added) {
        (true, true) => Outcome::told(format!("zone '{name}' and associated files will be deleted.")),
        (false, true) => Outcome::done(),
        (_, false) => Outcome::told(format!(
            "zone '{name}' is no longer active and will be deleted.\nTo keep it from returning when the server is restarted, \
             it\nmust also be removed from named.conf."
        )),
    })
}

pub(super) fn show(server: &mut Running, arguments: &[String]) -> Answer {
    let served = zone(server, arguments)?;
    let statement = server.zone_statement(&served).ok_or_else(|| Outcome::failed(Failure::Failure, ""))?;
    Ok(Outcome::told(format!("{statement};")))
}

pub(super) fn add(server: &mut Running, line: &str) -> Answer {
    match server.add_zone(statement(line)?) {
        Ok(()) => Ok(Outcome::done()),
        Err(ZoneRefusal::NoFile) => {
            Err(Outcome::failed(Failure::FileNotFound, "dns_zone_loadnew failed: file not found"))
        }
        Err(ZoneRefusal::NotLoaded(findings)) => {
            Err(Outcome::failed(Failure::Failure, format!("dns_zone_loadnew failed: {}", first(&findings))))
        }
        Err(refusal) => Err(refused(refusal, "addzone")),
    }
}

/// Where named would stop to serve the zone, it is served as before.
pub(super) fn modify(server: &mut Running, line: &str) -> Answer {
    let line = statement(line)?;
    let name = line.split_ascii_whitespace().nth(1).unwrap_or_default().trim_matches('"');
    let failed = |failure, why: &str| {
        let text = format!("failed to load zone '{name}': {why}\nThe zone is served as before.");
        Err(Outcome::failed(failure, text))
    };
    match server.modify_zone(line) {
        Ok(Modified::Kept) => Ok(Outcome::told(format!("zone '{name}' reconfigured."))),
        Ok(Modified::UntilReconfigured) => Ok(Outcome::told(format!(
            "zone '{name}' must also be reconfigured in\nnamed.conf to make changes permanent."
        ))),
        Err(ZoneRefusal::NoFile) => failed(Failure::FileNotFound, Failure::FileNotFound.text()),
        Err(ZoneRefusal::NotLoaded(findings)) => failed(Failure::Failure, &first(&findings)),
        Err(refusal) => Err(refused(refusal, "modzone")),
    }
}

/// The statement `zone …` that `addzone …` and `modzone …` carry.
fn statement(line: &str) -> Result<&str, Outcome> {
    let statement = line.get("add".len()..).filter(|statement| statement.contains('{'));
    statement.ok_or_else(|| Outcome::failed(Failure::UnexpectedToken, ""))
}

fn refused(refusal: ZoneRefusal, command: &str) -> Outcome {
    let (failure, text) = match refusal {
        ZoneRefusal::Statement(findings) | ZoneRefusal::NotLoaded(findings) => (Failure::Failure, first(&findings)),
        ZoneRefusal::Kind(kind) => (Failure::Failure, format!("'{kind}' zones not supported by {command}")),
        ZoneRefusal::NoView(view) => (Failure::NotFound, format!("no matching view found for '{view}'")),
        ZoneRefusal::NotAllowed(view) => (Failure::NoPermission, format!("Not allowing new zones in view '{view}'")),
        ZoneRefusal::Exists => (Failure::Exists, String::new()),
        ZoneRefusal::NotFound => (Failure::NotFound, String::new()),
        ZoneRefusal::NoFile => (Failure::FileNotFound, String::new()),
        ZoneRefusal::NotKept(error) => return not_kept(&error),
    };
    Outcome::failed(failure, text)
}

fn not_kept(error: &std::io::Error) -> Outcome {
    Outcome::failed(Failure::Failure, format!("the file of added zones cannot be written: {error}"))
}

/// What is wrong first; the rest is in the log.
fn first(findings: &[Diagnostic]) -> String {
    let error = findings.iter().find(|finding| finding.severity == Severity::Error);
    error.map(|error| error.without_severity().to_string()).unwrap_or_default()
}
