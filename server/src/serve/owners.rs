//! Who changes which zone: a zone that is updated, or has been, gets an owner ([`Live`]) when it is loaded, and an owner
//! lets go before its zone is loaded again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use zonefmt::diagnostics::{Diagnostic, Severity};

use crate::{
    config::{Role, ZoneConfig},
    journal::{self, disk::LocalDisk},
    live::{Live, OpenError, ZoneFile},
    update::Policy,
    zone::ZoneData,
    zones::Zone,
};

/// Whether a zone changes while it is served, or has done so and its file may lack changes.
pub(super) fn needs_owner(zone: &ZoneConfig) -> bool {
    let Role::Primary(_) = zone.role else { return false };
    zone.settings.updates.policy != Policy::nobody() || journal_of(zone).is_some_and(|journal| journal.exists())
}

/// The journal of a zone that is loaded from a file.
pub(super) fn journal_of(zone: &ZoneConfig) -> Option<PathBuf> {
    Some(journal::path(zone.role.file()?.path(), zone.journal.as_deref()))
}

/// Gives a zone that needs it an owner, and makes the changes of its journal. An owner that it had has let go.
pub(super) fn own(zone: &ZoneConfig, data: ZoneData) -> Result<(ZoneData, Option<Arc<Live>>), OpenError> {
    let Some(path) = journal_of(zone).filter(|_| needs_owner(zone)) else { return Ok((data, None)) };
    // One path for one file, however it is written.
    let path = path
        .parent()
        .and_then(|folder| folder.canonicalize().ok())
        .zip(path.file_name())
        .map_or(path.clone(), |(folder, name)| folder.join(name));
    let file = ZoneFile {
        path: zone.role.file().map(|file| file.path().to_owned()).unwrap_or_default(),
        format: zone.reading.format,
    };
    let live = Live::open(file, &data, Arc::new(LocalDisk), path)?;
    let data = live.lock().data().clone();
    Ok((data, Some(Arc::new(live))))
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
    let file = zone.role.file().map_or(Path::new(""), |file| file.path());
    Diagnostic::of_file(Severity::Error, file, cause.to_string())
}
