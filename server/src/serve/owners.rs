//! Who changes which zone: a secondary zone, and one that is updated or has been, gets an owner ([`Live`]) when it is
//! loaded, and an owner lets go before its zone is loaded again.

use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{self, AtomicUsize},
    },
    thread,
};

use jiff::Timestamp;
use tracing::{error, info};
use zonefmt::diagnostics::{Diagnostic, Severity};

use crate::{
    config::{NamedFile, Role, ZoneConfig},
    journal::{
        self, Journal,
        disk::{LocalDisk, UnchangedDisk},
    },
    live::{Leased, Legacy, Live, OpenError, Storage, ZoneFile},
    transfer::inbound,
    update::Policy,
    zone::ZoneData,
    zones::{Snapshot, Zone, ZoneState},
};

/// A zone as it is to be served.
pub(super) struct Owned {
    pub(super) state: ZoneState,
    pub(super) live: Option<Arc<Live>>,
}

/// Who changes a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ChangedBy {
    /// Its file alone.
    File,
    /// Its file alone, and secondaries get the differences (`ixfr-from-differences`).
    Differences,
    /// Its owner, while it is served.
    Owner,
    /// Nobody durably: its owner could not have its files, and another one may.
    Nobody,
}

impl ChangedBy {
    /// What changes a zone that is configured so.
    pub(super) fn wanted(zone: &ZoneConfig) -> ChangedBy {
        match zone.role {
            Role::Secondary(..) => ChangedBy::Owner,
            Role::Primary(_) if zone.settings.updates.policy != Policy::nobody() => ChangedBy::Owner,
            Role::Primary(_) if zone.settings.ixfr_from_differences => ChangedBy::Differences,
            Role::Primary(_) => ChangedBy::File,
        }
    }

    /// What changes a zone that is served.
    pub(super) fn of(zone: &Zone) -> ChangedBy {
        match zone.live.as_ref().filter(|live| !live.is_closed()) {
            None => ChangedBy::File,
            Some(live) if live.makes_way() => ChangedBy::Nobody,
            Some(live) if live.follows_file() => ChangedBy::Differences,
            Some(_) => ChangedBy::Owner,
        }
    }
}

/// The journal of a zone that has a file.
fn journal_of(zone: &ZoneConfig) -> Option<PathBuf> {
    Some(journal::path(zone.role.file()?.path(), zone.journal.as_deref()))
}

/// Whether a zone has a journal. If nobody can say whether there is one, there may be.
pub(super) fn has_journal(zone: &ZoneConfig) -> bool {
    journal_of(zone).is_some_and(|journal| journal.try_exists().unwrap_or(true))
}

/// Gives a zone that needs it an owner, and makes the changes of its journal. `content` is what its file had, which was
/// last changed at `time`, with the changes in named's journal, which are in the file, too, once this returns. An owner
/// that it had has let go, of the version `before`. `None` if there is no data, and none will come.
pub(super) fn own(
    zone: &ZoneConfig,
    content: Option<ZoneData>,
    legacy: Option<Legacy>,
    time: Timestamp,
    before: Option<&ZoneData>,
) -> Result<Option<Owned>, OpenError> {
    match (&zone.role, content) {
        (Role::Primary(_), None) => Ok(None),
        (Role::Primary(_), Some(content)) => {
            let is_in_file = legacy.as_ref().is_none_or(|legacy| legacy.in_file);
            let (wanted, is_journaled) = (ChangedBy::wanted(zone), has_journal(zone));
            let is_plain = wanted == ChangedBy::File && is_in_file && !is_journaled;
            let Some(storage) = storage(zone).filter(|_| !is_plain) else {
                return Ok(Some(Owned { state: ZoneState::Loaded(content), live: None }));
            };
            let mut content = content;
            if wanted == ChangedBy::Owner || legacy.is_some() || is_journaled {
                let live = Live::open(storage.clone(), &content, legacy)?;
                content = live.newest();
                // Otherwise the zone only has an owner until its file has all changes, which somebody may edit then.
                if wanted == ChangedBy::Owner || !folds(&live, &storage.file.path) {
                    return Ok(Some(Owned { state: ZoneState::Loaded(content), live: Some(Arc::new(live)) }));
                }
            }
            let live = (wanted == ChangedBy::Differences).then(|| following(storage, &content, before)).flatten();
            Ok(Some(Owned { state: ZoneState::Loaded(content), live }))
        }
        (Role::Secondary(_, secondary), content) => {
            let content = content.unwrap_or_else(|| ZoneData::new(zone.origin.clone()));
            let live = match storage(zone) {
                Some(storage) => Live::open_copy(storage, &content, legacy).unwrap_or_else(|cause| {
                    let shown = zone.origin.as_ref();
                    let shown = shown.without_final_dot();
                    error!(target: "general", "zone {shown}/IN: {cause}; until it is loaded again, the copy is only in memory");
                    Live::unkept_because(cause, content)
                }),
                None => Live::unkept(content),
            };
            let data = live.newest();
            // As with named, the time of the copy says when it was confirmed.
            let state = match inbound::validity(&data, &secondary.inbound, time) {
                None => ZoneState::NotLoaded,
                Some(validity) if live.timing().resume(validity) => ZoneState::Loaded(data),
                Some(_) => ZoneState::Expired,
            };
            Ok(Some(Owned { state, live: Some(Arc::new(live)) }))
        }
    }
}

/// Writes the changes of a zone into its file, for good, and removes its journal. Returns whether that was possible.
fn folds(live: &Live, file: &Path) -> bool {
    match live.fold() {
        Ok(true) => info!(target: "general", "{live}: it is not updated any more: {} has all changes", file.display()),
        Ok(false) => {}
        Err(cause) => {
            error!(target: "general", "{live}: {cause}; until that succeeds, its file must not be edited: reload then");
            return false;
        }
    }
    true
}

/// What is wrong with the journal of a zone whose file has this content, as [`own`] would find, which changes no file.
pub(super) fn journal_fault(zone: &ZoneConfig, content: &ZoneData) -> Option<Diagnostic> {
    let path = journal_of(zone).filter(|_| ChangedBy::wanted(zone) == ChangedBy::Owner)?;
    let disk = Arc::new(UnchangedDisk);
    let (saved, error) = match Journal::open(disk, path, content.origin()) {
        Ok(mut journal) => (journal.is_saved(), journal.replay(content).err()?),
        Err(error) => (false, error),
    };
    let dropped = zone.role.secondary().is_some() || saved;
    let severity = if dropped { Severity::Warning } else { Severity::Error };
    let what = if dropped { "; it would be dropped" } else { "" };
    let file = zone.role.file().map_or(Path::new(""), NamedFile::path);
    Some(Diagnostic::of_file(severity, file, format!("{error}{what}")))
}

/// The owner of a zone that changes with its file. Without one the zone is served all the same.
fn following(storage: Storage, content: &ZoneData, before: Option<&ZoneData>) -> Option<Arc<Live>> {
    let live = Live::following(storage, content, before);
    live.map(Arc::new)
        .inspect_err(|cause| {
            let zone = content.origin();
            let zone = zone.without_final_dot();
            error!(target: "general", "zone {zone}/IN: ixfr-from-differences: secondaries get the whole zone: {cause}");
        })
        .ok()
}

/// Whether the file of a zone may have this version, after the one that is served. With `ixfr-from-differences`, as in
/// named, its serial must be greater, or all must be the same.
pub(super) fn check_serial(zone: &ZoneConfig, before: Option<&ZoneData>, content: &ZoneData) -> Option<Diagnostic> {
    let before = before.filter(|before| !before.is(content) && ChangedBy::wanted(zone) == ChangedBy::Differences)?;
    let (old, new) = (before.serial()?, content.serial()?);
    if old.partial_cmp(&new) == Some(Ordering::Less) {
        return None;
    }
    let [least, most] = [1, (1 << 31) - 1].map(|distance| old.0.wrapping_add(distance));
    let message = format!("ixfr-from-differences: new serial ({}) out of range [{least} - {most}]", new.0);
    let file = zone.role.file().map_or(Path::new(""), NamedFile::path);
    Some(Diagnostic::of_file(Severity::Error, file, message).help("raise the serial of the SOA"))
}

/// Takes all zones from their owners, several at a time: each may wait for the disk to write its file.
pub(super) fn close_all(snapshot: &Snapshot) {
    const AT_A_TIME: usize = 16;
    let owners: Vec<_> = snapshot.declared().filter_map(|(_, zone)| zone.live.as_deref()).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(owners.len()) {
            scope.spawn(|| {
                while let Some(live) = owners.get(next.fetch_add(1, atomic::Ordering::Relaxed)) {
                    live.close();
                }
            });
        }
    });
}

/// The other processes that had zones' files when the zones were loaded, each folder once.
pub(super) fn waits(snapshot: &Snapshot) -> Vec<Leased> {
    let mut waits: Vec<Leased> = Vec::new();
    for by in snapshot.declared().filter_map(|(_, zone)| zone.live.as_ref()?.waits_for()) {
        if !waits.iter().any(|known| known.folder() == by.folder()) {
            waits.push(by.clone());
        }
    }
    waits
}

/// Takes a zone from its owner.
pub(super) fn disown(zone: &Zone) {
    if let Some(live) = &zone.live {
        live.close();
    }
}

/// Gives a zone back to its owner, as what was to take its place has failed.
pub(super) fn give_back(zone: &Zone) {
    if let Some(Err(cause)) = zone.live.as_ref().map(|live| live.reopen()) {
        let shown = zone.origin.as_ref();
        error!(target: "general", "zone {}/IN: no changes are accepted: {cause}", shown.without_final_dot());
    }
}

/// The finding that a journal does not fit its zone.
pub(super) fn unfit(zone: &ZoneConfig, cause: &OpenError) -> Diagnostic {
    let file = zone.role.file().map_or(Path::new(""), NamedFile::path);
    Diagnostic::of_file(Severity::Error, file, cause.to_string())
}

fn storage(zone: &ZoneConfig) -> Option<Storage> {
    let (path, journal) = (zone.role.file()?.path().to_owned(), journal_of(zone)?);
    Some(Storage { file: ZoneFile { path, format: zone.reading.format }, journal, disk: Arc::new(LocalDisk) })
}
