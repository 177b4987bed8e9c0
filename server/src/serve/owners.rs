//! Who changes which zone: a secondary zone, and one that is updated or has been, gets an owner ([`Live`]) when it is
//! loaded, and an owner lets go before its zone is loaded again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use zonefmt::diagnostics::{Diagnostic, Severity};

use crate::{
    config::{NamedFile, Role, ZoneConfig},
    journal::{self, disk::LocalDisk},
    live::{Legacy, Live, OpenError, Storage, ZoneFile},
    transfer::inbound,
    update::Policy,
    zone::ZoneData,
    zones::{Zone, ZoneState},
};

/// A zone as it is to be served.
pub(super) struct Owned {
    pub(super) state: ZoneState,
    pub(super) live: Option<Arc<Live>>,
}

/// Whether a zone changes while it is served, or has done so and its file may lack changes. If nobody can say whether
/// there is a journal, there may be one.
pub(super) fn needs_owner(zone: &ZoneConfig) -> bool {
    match zone.role {
        Role::Primary(_) => {
            zone.settings.updates.policy != Policy::nobody()
                || journal_of(zone).is_some_and(|journal| journal.try_exists().unwrap_or(true))
        }
        Role::Secondary(..) => true,
    }
}

/// The journal of a zone that has a file.
pub(super) fn journal_of(zone: &ZoneConfig) -> Option<PathBuf> {
    Some(journal::path(zone.role.file()?.path(), zone.journal.as_deref()))
}

/// Gives a zone that needs it an owner, and makes the changes of its journal. `content` is what its file had, which was
/// last changed at `time`, with the changes in named's journal, which are in the file, too, once this returns. An owner
/// that it had has let go. `None` if there is no data, and none will come.
pub(super) fn own(
    zone: &ZoneConfig,
    content: Option<ZoneData>,
    legacy: Option<Legacy>,
    time: Timestamp,
) -> Result<Option<Owned>, OpenError> {
    match (&zone.role, content) {
        (Role::Primary(_), None) => Ok(None),
        (Role::Primary(_), Some(content)) => {
            let is_in_file = legacy.as_ref().is_none_or(|legacy| legacy.in_file);
            let Some(storage) = storage(zone).filter(|_| needs_owner(zone) || !is_in_file) else {
                return Ok(Some(Owned { state: ZoneState::Loaded(content), live: None }));
            };
            let live = Live::open(storage, &content, legacy)?;
            let state = ZoneState::Loaded(live.lock().data().clone());
            // The owner was only needed to take the zone over from named.
            if !needs_owner(zone) {
                live.close();
                return Ok(Some(Owned { state, live: None }));
            }
            Ok(Some(Owned { state, live: Some(Arc::new(live)) }))
        }
        (Role::Secondary(..), content) => {
            let content = content.unwrap_or_else(|| ZoneData::new(zone.origin.clone()));
            let live = match storage(zone) {
                Some(storage) => Live::open_copy(storage, &content, legacy)?,
                None => Live::unkept(content),
            };
            let data = live.lock().data().clone();
            // As with named, the time of the copy says when it was confirmed.
            let state = match inbound::expires(&data, time) {
                None => ZoneState::NotLoaded,
                Some(expires) if live.timing().resume(expires) => ZoneState::Loaded(data),
                Some(_) => ZoneState::Expired,
            };
            Ok(Some(Owned { state, live: Some(Arc::new(live)) }))
        }
    }
}

/// Whether a zone has an owner that makes changes.
pub(super) fn is_owned(zone: &Zone) -> bool {
    zone.live.as_ref().is_some_and(|live| !live.is_closed())
}

/// Takes a zone from its owner.
pub(super) fn disown(zone: &Zone) {
    if let Some(live) = &zone.live {
        live.close();
    }
}

/// The finding that a journal does not fit its zone.
pub(super) fn unfit(zone: &ZoneConfig, cause: &OpenError) -> Diagnostic {
    let file = zone.role.file().map_or(Path::new(""), NamedFile::path);
    Diagnostic::of_file(Severity::Error, file, cause.to_string())
}

fn storage(zone: &ZoneConfig) -> Option<Storage> {
    let (path, journal) = (zone.role.file()?.path().to_owned(), journal_of(zone)?);
    // One path for one file, however it is written.
    let folder = journal.parent().and_then(|folder| folder.canonicalize().ok());
    let journal = folder.zip(journal.file_name()).map_or(journal.clone(), |(folder, name)| folder.join(name));
    Some(Storage { file: ZoneFile { path, format: zone.reading.format }, journal, disk: Arc::new(LocalDisk) })
}
