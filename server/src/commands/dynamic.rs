//! `freeze`, `thaw` and `sync`: the zone files of zones that change while they are served.

use std::sync::Arc;

use tracing::{error, info};

use super::zone;
use crate::{
    control::{CommandError, Failure, Reply},
    live::{self, Live},
    logs::ZoneLine,
    serve::{Running, ServedZone},
};

/// `freeze [ZONE [CLASS [VIEW]]]`: writes the zone file, and accepts no more changes, so that the file can be edited.
pub(super) fn freeze(server: &mut Running, arguments: &[String]) -> Reply {
    if arguments.is_empty() {
        for (zone, live) in owners(server) {
            if zone.zone.secondary.is_none() && !live.is_frozen() {
                freeze_one(&zone, &live)?;
            }
        }
        info!(target: "general", "freezing all zones: success");
        return Ok(String::new());
    }
    let zone = primary(server, arguments)?;
    let Some(live) = zone.zone.updater() else { return Err(Failure::NotDynamic.into()) };
    if live.is_frozen() {
        let text = "WARNING: The zone was already frozen.\n\
                    Someone else may be editing it or it may still be re-loading.";
        info!(target: "general", "freezing zone '{}': already frozen", shown(&zone));
        return Err(CommandError::new(Failure::Frozen, text));
    }
    freeze_one(&zone, live)?;
    info!(target: "general", "freezing zone '{}': success", shown(&zone));
    Ok(String::new())
}

/// `thaw [ZONE [CLASS [VIEW]]]`: serves what the zone file has now, and accepts changes again.
pub(super) fn thaw(server: &mut Running, arguments: &[String]) -> Reply {
    if arguments.is_empty() {
        for (zone, _) in owners(server) {
            thaw_one(server, &zone)?;
        }
        info!(target: "general", "thawing all zones: success");
        return Ok(String::new());
    }
    let zone = primary(server, arguments)?;
    let was_frozen = thaw_one(server, &zone)?;
    info!(target: "general", "thawing zone '{}': success", shown(&zone));
    Ok(if was_frozen { "The zone reload and thaw was successful.".into() } else { String::new() })
}

/// `sync [-clean] [ZONE [CLASS [VIEW]]]`: writes the zone file, and with `-clean` removes the journal.
pub(super) fn sync(server: &mut Running, arguments: &[String]) -> Reply {
    let (clean, arguments) = match arguments {
        [option, rest @ ..] if option == "-clean" => (true, rest),
        _ => (false, arguments),
    };
    let write = |zone: &ServedZone, live: &Live| {
        let written = match (live.is_frozen(), clean) {
            // Its file was written when it was frozen, and is edited now.
            (true, _) => Ok(()),
            (false, true) => live.sync_and_clean(),
            (false, false) => live.sync(),
        };
        written.map_err(|failure| {
            error!(target: "general", "sync: dumping zone '{}': failure: {failure}", shown(zone));
            failed(&failure)
        })
    };
    if arguments.is_empty() {
        owners(server).iter().try_for_each(|(zone, live)| write(zone, live))?;
        let removing = if clean { ", removing journal files" } else { "" };
        info!(target: "general", "dumping all zones{removing}: success");
    } else {
        let zone = zone(server, arguments)?;
        let live = zone.zone.live.as_deref().filter(|live| !live.follows_file());
        live.map_or(Ok(()), |live| write(&zone, live))?;
        let removing = if clean { ", removing journal file" } else { "" };
        info!(target: "general", "sync: dumping zone '{}'{removing}: success", shown(&zone));
    }
    Ok(String::new())
}

fn freeze_one(zone: &ServedZone, live: &Live) -> Result<(), CommandError> {
    live.freeze().map_err(|failure| {
        error!(target: "general", "freezing zone '{}': failure: {failure}", shown(zone));
        failed(&failure)
    })
}

/// Thaws a zone, and returns whether it was frozen.
fn thaw_one(server: &mut Running, zone: &ServedZone) -> Result<bool, CommandError> {
    let Some(live) = zone.zone.live.as_ref().filter(|live| live.is_frozen()) else { return Ok(false) };
    server.take_over(zone).map_err(|text| {
        error!(target: "general", "thawing zone '{}': failure: {text}; it stays frozen", shown(zone));
        CommandError::new(Failure::Failure, text)
    })?;
    live.thaw();
    Ok(true)
}

/// The primary zone that the arguments name.
fn primary(server: &Running, arguments: &[String]) -> Result<ServedZone, CommandError> {
    let zone = zone(server, arguments)?;
    if zone.zone.secondary.is_some() { Err(Failure::NotPrimary.into()) } else { Ok(zone) }
}

/// All zones that change while they are served, with their owners.
fn owners(server: &Running) -> Vec<(ServedZone, Arc<Live>)> {
    let snapshot = server.published().load();
    let owned = snapshot.declared().filter_map(|(view, zone)| {
        let live = zone.live.as_ref().filter(|live| !live.follows_file())?;
        let (name, live) = (Arc::clone(&view.name), Arc::clone(live));
        Some((ServedZone { view: Arc::clone(&name), owner: name, zone: Arc::clone(zone) }, live))
    });
    owned.collect()
}

fn shown(ServedZone { view, zone, .. }: &ServedZone) -> ZoneLine<'_> {
    ZoneLine { origin: zone.origin.as_ref(), view }
}

fn failed(failure: &live::Failure) -> CommandError {
    CommandError::new(Failure::Failure, failure.to_string())
}
