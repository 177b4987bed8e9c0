//! Remembers the files that each zone's data was made of, and so finds the zones that a new configuration has to load.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};
use tracing::{debug, error, info, warn};
use zonefmt::{
    Name, Serial,
    diagnostics::{Diagnostic, Severity},
};

use super::{
    catalogs::Changes,
    load::{self, Files, Job, Loaded},
    owners::{ChangedBy, Owned, disown, give_back, journal_fault, own, unfit},
};
use crate::{
    config::{Config, NamedFile, Reading, Role, ViewConfig, Written, ZoneConfig},
    live::{self, Leases},
    logs::ZoneLine,
    zone::ZoneData,
    zones::{View, Zone, ZoneChange, ZoneMap, ZoneState},
};

/// The sources of all views.
#[derive(Default)]
pub(super) struct Sources(FxHashMap<Arc<str>, ViewSources>);

/// The sources of the zones of a view, by origin.
#[derive(Default)]
struct ViewSources(FxHashMap<Name, ZoneSource>);

/// The files that a zone's data was made of.
#[derive(Debug)]
pub struct ZoneSource {
    role: Role,
    journal: Option<PathBuf>,
    reading: Reading,
    files: Files,
    /// Whether the data is that of the files; `false` after an error, when older data may still be served.
    sound: bool,
    /// Where the zone's statement is.
    written: Written,
}

/// Who uses a file. Of several users, the greatest counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum User {
    /// A member of a catalog.
    Member,
    /// A zone of named.conf, or one that `rndc addzone` added.
    Configured,
}

/// A zone that was added or changed and can be served.
pub(super) struct Ready {
    pub(super) zone: Arc<Zone>,
    source: ZoneSource,
}

/// A zone file cannot be used; the log has the reason.
pub(super) struct Unusable;

/// The most zones that are logged one by one when they are loaded. Of more only the total is logged.
const LOGGED_ZONES: usize = 100;

/// Loads the zones of a configuration, with their journals, and drops them again.
///
/// Returns everything that was found; a zone with an error among it would not be served.
pub fn check(config: &Config) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for view in &config.views {
        let jobs: Vec<_> = view.zones.iter().map(|zone| Job { zone, current: None }).collect();
        load::load_all(&jobs, &config.directory, |Job { zone, .. }, Loaded { data, findings: found, legacy, .. }| {
            findings.extend(found);
            // With changes of named's, the journal is begun anew.
            if let Some(data) = data.filter(|_| legacy.is_none()) {
                findings.extend(journal_fault(zone, &data));
            }
        });
    }
    findings
}

impl Sources {
    /// The source of a zone.
    pub(super) fn get(&self, view: &str, origin: &Name) -> Option<&ZoneSource> {
        self.0.get(view)?.0.get(origin)
    }

    /// The views of a configuration, made from those that are served: zones that have not changed stay, the others are
    /// loaded. A zone that does not load keeps the data that it had.
    pub(super) fn views(&mut self, config: &Config, served: &[View]) -> Vec<View> {
        self.disown_stale(config, served);
        self.0.retain(|name, _| config.views.iter().any(|view| view.name == *name));
        let mut views: Vec<View> = Vec::with_capacity(config.views.len());
        for view in &config.views {
            let before = served.iter().find(|before| before.name == view.name);
            let mut zones = before.map_or_else(ZoneMap::new, |before| before.zones.clone());
            let sources = self.0.entry(Arc::clone(&view.name)).or_default();
            let changes = sources.update(view, &zones, &config.directory);
            zones.update(changes);
            zones.update(view.shared.iter().filter_map(|shared| {
                let owner = views.iter().find(|owner| owner.name == shared.view)?;
                Some(ZoneChange::Put(Arc::clone(owner.zones.get(shared.origin.as_ref())?)))
            }));
            let ViewConfig { name, membership, keys, settings, .. } = view;
            let (name, membership) = (Arc::clone(name), Arc::clone(membership));
            views.push(View { name, membership, keys: Arc::clone(keys), settings: Arc::clone(settings), zones });
        }
        views
    }

    /// Takes zones that do not stay as they are from their owners: each must have let go before its files are read
    /// again, be it for the zone of another view.
    fn disown_stale(&self, config: &Config, served: &[View]) {
        for view in served {
            let wanted = config.views.iter().find(|wanted| wanted.name == view.name);
            let owned: Vec<_> = view.zones.iter().filter(|zone| zone.live.is_some()).collect();
            if owned.is_empty() {
                continue;
            }
            let wanted: FxHashMap<&Name, &ZoneConfig> =
                wanted.into_iter().flat_map(|view| &view.zones).map(|zone| (&zone.origin, zone)).collect();
            for zone in owned {
                // A zone without a source is another view's.
                let Some(source) = self.get(&view.name, &zone.origin) else { continue };
                if !wanted.get(&zone.origin).is_some_and(|wanted| source.is_current(wanted, ChangedBy::of(zone))) {
                    disown(zone);
                }
            }
        }
    }

    /// Loads a served zone again, if its files changed, and returns how to serve it; `None` if they did not, or are
    /// unknown.
    pub(super) fn reload(&mut self, view: &str, zone: &Zone, directory: &Path) -> Option<Vec<ZoneChange>> {
        let sources = self.0.get_mut(view)?;
        let source = sources.0.get(&zone.origin)?;
        let config = source.config(zone);
        if source.is_current(&config, ChangedBy::of(zone)) {
            warn_of_edit(view, zone);
            return None;
        }
        let _files = Leases::keep();
        disown(zone);
        Some(sources.load(view, &[Job { zone: &config, current: Some(zone) }], directory))
    }

    /// Reads the file of a zone that has an owner, for the owner to take over.
    ///
    /// # Errors
    /// There are errors in the file, which are logged.
    pub(super) fn read(&self, view: &str, zone: &Zone, directory: &Path) -> Result<ZoneData, Unusable> {
        let source = self.get(view, &zone.origin).ok_or(Unusable)?;
        let config = source.config(zone);
        let Loaded { data, findings, .. } = load::load(Job { zone: &config, current: Some(zone) }, directory);
        log(&findings, "zoneload");
        data.ok_or(Unusable)
    }

    /// Loads a zone that is to be added or changed, if that is needed. It is not served yet, but its owner has let go.
    ///
    /// # Errors
    /// The errors in its file, which are logged, too.
    pub(super) fn prepare(
        &self,
        view: &str,
        zone: &ZoneConfig,
        current: Option<&Zone>,
        directory: &Path,
    ) -> Result<Ready, Vec<Diagnostic>> {
        let _files = Leases::keep();
        let known = self.get(view, &zone.origin).zip(current);
        let known = known.filter(|(source, current)| source.is_current(zone, ChangedBy::of(current)));
        let (Owned { state, live }, files) = match known {
            Some((source, current)) => {
                (Owned { state: current.state.clone(), live: current.live.clone() }, source.files.clone())
            }
            None => {
                current.into_iter().for_each(disown);
                let Loaded { data, files, findings, legacy } = load::load(Job { zone, current }, directory);
                log(&findings, "zoneload");
                let owned = own(zone, data, legacy, files.modified(), current.and_then(Zone::data));
                let owned = owned.map_err(|cause| vec![unfit(zone, &cause)])?;
                (owned.ok_or(findings)?, files)
            }
        };
        let source = ZoneSource::new(zone, files, true);
        let made = made(zone, state).after(current).owned_by(live);
        if let Some(serial) = made.data().and_then(ZoneData::serial) {
            let shown = ZoneLine { origin: zone.origin.as_ref(), view };
            info!(target: "zoneload", "zone {shown}: loaded serial {}", serial.0);
        }
        Ok(Ready { zone: Arc::new(made), source })
    }

    /// Takes note of a zone that is served from now on.
    pub(super) fn take(&mut self, view: &Arc<str>, ready: Ready) -> Arc<Zone> {
        let Ready { zone, source } = ready;
        self.0.entry(Arc::clone(view)).or_default().0.insert(zone.origin.clone(), source);
        zone
    }

    /// Forgets a zone that is no longer served.
    pub(super) fn forget(&mut self, view: &str, origin: &Name) -> Option<ZoneSource> {
        self.0.get_mut(view)?.0.remove(origin)
    }

    /// Takes members of catalogs from their owners and forgets them, as their files are to be removed.
    pub(super) fn discard(&mut self, view: &str, members: &FxHashSet<Name>, served: &ZoneMap) {
        let Some(sources) = self.0.get_mut(view) else { return };
        for origin in members {
            if let Some(live) = served.get(origin.as_ref()).and_then(|zone| zone.live.as_ref()) {
                live.discard();
            }
            sources.0.remove(origin);
        }
    }

    /// Who uses files with these names, in whichever folder.
    pub(super) fn users<'n>(&self, names: &FxHashSet<&'n str>) -> FxHashMap<&'n str, User> {
        let mut users = FxHashMap::default();
        if names.is_empty() {
            return users;
        }
        for source in self.0.values().flat_map(|sources| sources.0.values()) {
            let name = source.file().and_then(Path::file_name).and_then(OsStr::to_str);
            let Some(name) = name.and_then(|name| names.get(name)) else { continue };
            let user = if source.is_member() { User::Member } else { User::Configured };
            users.entry(*name).and_modify(|other| *other = user.max(*other)).or_insert(user);
        }
        users
    }

    /// Takes over what catalogs change about a view, and returns how the view has to change. What is removed has been
    /// [discarded](Sources::discard).
    pub(super) fn follow(&mut self, changes: &Changes, served: &ZoneMap, directory: &Path) -> Vec<ZoneChange> {
        let sources = self.0.entry(Arc::clone(&changes.view)).or_default();
        let mut done: Vec<_> = changes.remove.iter().cloned().map(ZoneChange::Remove).collect();
        let mut stale = Vec::new();
        for (origin, zone) in &changes.put {
            let current = served.get(origin.as_ref()).filter(|_| !changes.remove.contains(origin));
            match sources.keep(zone, current) {
                Ok(change) => done.extend(change),
                Err(job) => {
                    job.current.into_iter().for_each(disown);
                    if let Some(source) = sources.0.get(origin) {
                        source.move_files(zone);
                    }
                    stale.push(job);
                }
            }
        }
        done.extend(sources.load(&changes.view, &stale, directory));
        done
    }

    /// The statements of the zones that were added to a view, by origin.
    pub(super) fn added(&self, view: &str) -> BTreeMap<&Name, &str> {
        let sources = self.0.get(view).into_iter().flat_map(|sources| &sources.0);
        sources.filter_map(|(origin, source)| Some((origin, source.added()?))).collect()
    }
}

impl ViewSources {
    /// Loads what is needed, and returns how the view has to change.
    fn update(&mut self, config: &ViewConfig, served: &ZoneMap, directory: &Path) -> Vec<ZoneChange> {
        let mut changes = Vec::new();
        let own = config.zones.iter().map(|zone| &zone.origin);
        let wanted: FxHashSet<&Name> = own.chain(config.shared.iter().map(|zone| &zone.origin)).collect();
        for zone in served.iter().filter(|zone| !wanted.contains(&zone.origin)) {
            info!(target: "zoneload", "zone {}: no longer served", ZoneLine { origin: zone.origin.as_ref(), view: &config.name });
            changes.push(ZoneChange::Remove(zone.origin.clone()));
        }
        self.0.retain(|origin, _| wanted.contains(origin));
        config.shared.iter().for_each(|zone| drop(self.0.remove(&zone.origin)));
        let mut stale = Vec::new();
        for zone in &config.zones {
            let current = served.get(zone.origin.as_ref());
            match self.keep(zone, current) {
                Ok(change) => {
                    if let Some(current) = current {
                        warn_of_edit(&config.name, current);
                    }
                    changes.extend(change);
                }
                Err(job) => stale.push(job),
            }
        }
        changes.extend(self.load(&config.name, &stale, directory));
        changes
    }

    /// Goes on serving a zone with the data that it has, and returns how the view has to change for that.
    ///
    /// # Errors
    /// The zone has to be loaded.
    fn keep<'j>(
        &mut self,
        zone: &'j ZoneConfig,
        current: Option<&'j Arc<Zone>>,
    ) -> Result<Option<ZoneChange>, Job<'j>> {
        match (current, self.0.get_mut(&zone.origin)) {
            (Some(current), Some(source)) if source.is_current(zone, ChangedBy::of(current)) => {
                source.written.clone_from(&zone.written);
                source.role.clone_from(&zone.role);
                let alike = current.settings == zone.settings && current.secondary.as_ref() == zone.role.secondary();
                Ok((!alike).then(|| {
                    let made = made(zone, current.state.clone()).after(Some(current));
                    ZoneChange::Put(Arc::new(made.owned_by(current.live.clone())))
                }))
            }
            (current, _) => Err(Job { zone, current: current.map(Arc::as_ref) }),
        }
    }

    /// Loads zones. One that does not load keeps the data that it had.
    fn load(&mut self, view: &str, stale: &[Job<'_>], directory: &Path) -> Vec<ZoneChange> {
        let mut changes = Vec::with_capacity(stale.len());
        let each = stale.len() <= LOGGED_ZONES;
        let take = |Job { zone, current }: Job<'_>, Loaded { data, files, findings, legacy }: Loaded| {
            log(&findings, "zoneload");
            let shown = ZoneLine { origin: zone.origin.as_ref(), view };
            let old = current.and_then(Zone::data);
            let owned = own(zone, data, legacy, files.modified(), old).unwrap_or_else(|cause| {
                error!(target: "zoneload", "zone {shown}: {cause}");
                None
            });
            let sound = owned.is_some();
            let Owned { state, live } = match (owned, old) {
                (Some(owned), old) => {
                    let mended = self.0.get(&zone.origin).is_some_and(|source| !source.sound);
                    log_loaded(shown, old, &owned.state, each || mended, mended);
                    owned
                }
                (None, Some(old)) => {
                    log_failed(shown, zone, &findings);
                    error!(target: "zoneload", "zone {shown}: not loaded due to errors; what was served stays served");
                    current.into_iter().for_each(give_back);
                    let live = current.and_then(|current| current.live.clone());
                    // Updates may have come before the owner let go.
                    let newest = live.as_ref().map_or_else(|| old.clone(), |live| live.newest());
                    Owned { state: ZoneState::Loaded(newest), live }
                }
                (None, None) => {
                    log_failed(shown, zone, &findings);
                    error!(target: "zoneload", "zone {shown}: not loaded due to errors");
                    Owned { state: ZoneState::NotLoaded, live: None }
                }
            };
            let source = ZoneSource::new(zone, files, sound);
            self.0.insert(zone.origin.clone(), source);
            changes.push(ZoneChange::Put(Arc::new(made(zone, state).after(current).owned_by(live))));
        };
        load::load_all(stale, directory, take);
        changes
    }
}

impl ZoneSource {
    fn new(zone: &ZoneConfig, files: Files, sound: bool) -> ZoneSource {
        let (role, journal, written) = (zone.role.clone(), zone.journal.clone(), zone.written.clone());
        ZoneSource { role, journal, reading: zone.reading, files, sound, written }
    }

    /// The configuration of the zone.
    fn config(&self, zone: &Zone) -> ZoneConfig {
        ZoneConfig {
            origin: zone.origin.clone(),
            role: self.role.clone(),
            journal: self.journal.clone(),
            settings: Arc::clone(&zone.settings),
            reading: self.reading,
            written: self.written.clone(),
        }
    }

    /// The zone file.
    pub(super) fn file(&self) -> Option<&Path> {
        self.role.file().map(NamedFile::path)
    }

    /// Those of the zone file and the journals that there are, in the folder in which the zone file is written to be.
    pub(super) fn present_files(&self) -> Vec<PathBuf> {
        let Some(file) = self.role.file() else { return Vec::new() };
        let journals = journals(file.path(), self.journal.as_deref());
        let present = [file.path().to_owned()].into_iter().chain(journals).filter(|path| path.exists());
        let beside = |path: PathBuf| match path.file_name() {
            Some(name) if path.parent() == file.path().parent() => file.as_written().with_file_name(name),
            _ => path,
        };
        present.map(beside).collect()
    }

    /// Removes the zone file and the journals.
    pub(super) fn remove_files(&self) {
        if let Some(file) = self.file() {
            remove_with(file, self.journal.as_deref());
        }
    }

    /// Gives the copy and the journal of a secondary zone the names that they have in another configuration.
    fn move_files(&self, zone: &ZoneConfig) {
        let (Some(file), Some(other)) = (self.file(), zone.role.file().map(NamedFile::path)) else { return };
        if file == other || self.role.secondary().is_none() || zone.role.secondary().is_none() {
            return;
        }
        let journal = |file| crate::journal::path(file, None);
        for (from, to) in [(file.to_owned(), other.to_owned()), (journal(file), journal(other))] {
            if let Err(error) = fs::rename(&from, &to)
                && error.kind() != io::ErrorKind::NotFound
            {
                warn!(target: "general", "cannot rename {} to {}: {error}", from.display(), to.display());
            }
        }
    }

    /// Whether the zone is served because a catalog lists it.
    pub fn is_member(&self) -> bool {
        self.written == Written::Member
    }

    /// The zone file, then those that it includes.
    pub fn files(&self) -> impl Iterator<Item = &NamedFile> {
        self.role.file().into_iter().chain(self.files.includes())
    }

    /// When its file was last changed, as of the time when it was read; 1970 if there was none.
    pub fn modified(&self) -> Timestamp {
        self.files.modified()
    }

    /// The zone's statement, if `rndc addzone` added it.
    pub fn added(&self) -> Option<&str> {
        self.written.added()
    }

    /// Its statement, if rndc gave it; otherwise named.conf has it.
    pub(super) fn statement(&self) -> Option<&str> {
        self.written.line()
    }

    /// Whether the data is that of the files.
    pub(super) fn is_sound(&self) -> bool {
        self.sound
    }

    /// Whether the zone, as it is configured now, would be read from the same files in the same way. The file of a zone
    /// that its owner changes is the owner's.
    fn is_current(&self, zone: &ZoneConfig, by: ChangedBy) -> bool {
        self.sound
            && self.role.is_alike(&zone.role)
            && self.journal == zone.journal
            && self.reading == zone.reading
            && by == ChangedBy::wanted(zone)
            && (by == ChangedBy::Owner || zone.role.file().is_none_or(|file| self.files.are_unchanged(file.path())))
    }
}

fn made(zone: &ZoneConfig, state: ZoneState) -> Zone {
    let made = Zone::new(zone.origin.clone(), Arc::clone(&zone.settings), state);
    made.coming_from(zone.role.secondary().cloned())
}

/// Warns of a zone file that was edited by hand while its zone is updated: that is not read, and would not last.
fn warn_of_edit(view: &str, zone: &Zone) {
    if zone.updater().is_some_and(|live| live.has_lost_edit()) {
        let origin = zone.origin.as_ref();
        let (zone, name) = (ZoneLine { origin, view }, origin.without_final_dot());
        let message =
            "its file was edited, but the zone is dynamic: the edit is not read, and the next write undoes it";
        warn!(target: "zoneload", "zone {zone}: {message}; edit between `rndc freeze {name}` and `rndc thaw {name}`");
    }
}

/// The journals that a zone with this file may have: named's, and those that are written here.
fn journals(file: &Path, journal: Option<&Path>) -> [PathBuf; 3] {
    let named = journal.map_or_else(|| super::journal::path(file), Path::to_owned);
    [named, crate::journal::path(file, journal), live::differences_path(file)]
}

/// Removes the copy of a member of a catalog, with its journals, and returns whether it is gone.
pub(super) fn remove_copy(file: &Path) -> bool {
    remove_with(file, None)
}

/// Removes a zone file, with its journals, and returns whether it is gone.
fn remove_with(file: &Path, journal: Option<&Path>) -> bool {
    // A journal without its file would be in the way of the next one.
    let are_gone = journals(file, journal).map(|journal| remove(&journal));
    are_gone.into_iter().all(|is_gone| is_gone) & remove(file)
}

/// Removes a file, if it exists, and returns whether it is gone.
fn remove(file: &Path) -> bool {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(target: "general", "cannot remove {}: {error}", file.display());
            false
        }
        _ => true,
    }
}

/// Logs why a zone does not load, in named's words.
fn log_failed(shown: ZoneLine<'_>, zone: &ZoneConfig, findings: &[Diagnostic]) {
    let first = findings.iter().find(|finding| finding.severity == Severity::Error);
    let why = match first {
        _ if !zone.role.file().is_none_or(|file| file.path().exists()) => "file not found",
        Some(first) => &first.message,
        None => "failure",
    };
    let Some(file) = zone.role.file() else { return };
    let file = file.as_written().display();
    error!(target: "zoneload", "zone {shown}: loading from master file {file} failed: {why}");
}

/// Logs that a zone was loaded. `each`: so few zones are loaded that new ones are logged one by one; `mended`: its
/// files had an error before.
fn log_loaded(zone: ZoneLine<'_>, old: Option<&ZoneData>, state: &ZoneState, each: bool, mended: bool) {
    let new = match state {
        ZoneState::Loaded(new) => new,
        ZoneState::NotLoaded => return debug!(target: "zoneload", "zone {zone}: no master file"),
        // Its timers tell that it has expired.
        ZoneState::Expired => return debug!(target: "zoneload", "zone {zone}: its copy has expired"),
    };
    let serial = new.serial().unwrap_or(Serial(0));
    match old {
        None if !each => debug!(target: "zoneload", "zone {zone}: loaded serial {}", serial.0),
        Some(old) if old.is(new) && !mended => debug!(target: "zoneload", "zone {zone}: its content is as it was"),
        _ => info!(target: "zoneload", "zone {zone}: loaded serial {}", serial.0),
    }
    if let Some(old) = old {
        log_serial(zone, old, new);
    }
}

/// Warns of new content whose serial is not greater than that of the old.
pub(super) fn log_serial(zone: ZoneLine<'_>, old: &ZoneData, new: &ZoneData) {
    let (Some(before), Some(serial)) = (old.serial().filter(|_| !old.is(new)), new.serial()) else { return };
    if before == serial {
        let message = "the content changed and its serial did not: secondaries will not notice";
        warn!(target: "zoneload", "zone {zone}: {message}; raise the SOA's serial {}", serial.0);
    } else if before.partial_cmp(&serial) != Some(Ordering::Less) {
        let message = format!("the serial went back from {} to {}: secondaries will not notice", before.0, serial.0);
        warn!(target: "zoneload", "zone {zone}: {message}; make it greater than {}", before.0);
    }
}

/// Logs findings in the category `config` or `zoneload`.
pub(super) fn log(findings: &[Diagnostic], target: &str) {
    for finding in findings {
        let (severity, finding) = (finding.severity, finding.without_severity());
        match (severity, target) {
            (Severity::Error, "config") => error!(target: "config", "{finding}"),
            (Severity::Warning, "config") => warn!(target: "config", "{finding}"),
            (Severity::Note, "config") => info!(target: "config", "{finding}"),
            (Severity::Error, _) => error!(target: "zoneload", "{finding}"),
            (Severity::Warning, _) => warn!(target: "zoneload", "{finding}"),
            (Severity::Note, _) => info!(target: "zoneload", "{finding}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use std::{io::Write, net::IpAddr};
    use zonefmt::{Rtype, diagnostics::Source};

    const HEAD: &str = "$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.53\n";

    struct Folder(tempfile::TempDir, Sources);

    impl Folder {
        fn new() -> Folder {
            Folder(tempfile::tempdir().unwrap(), Sources::default())
        }

        fn write(&self, name: &str, text: &str) {
            let mut file = tempfile::NamedTempFile::new_in(&self.0).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.persist(self.0.path().join(name)).unwrap();
        }

        fn views(&mut self, conf: &str, served: &[View]) -> Vec<View> {
            let text = format!("options {{ directory {:?}; }}; {conf}", self.0.path());
            let config = Config::parse(Source::new("named.conf", text), Overrides::default()).unwrap();
            self.1.views(&config, served)
        }

        /// Of a configuration without views.
        fn load(&mut self, conf: &str, served: &ZoneMap) -> ZoneMap {
            self.views(conf, &[View::of(served.clone())])[0].zones.clone()
        }
    }

    fn zone<'m>(zones: &'m ZoneMap, origin: &str) -> &'m Arc<Zone> {
        zones.get(Name::from_ascii(origin).unwrap().as_ref()).unwrap()
    }

    #[test]
    fn only_what_changed_is_made_anew() {
        let mut folder = Folder::new();
        folder.write("a.zone", HEAD);
        folder.write("b.zone", HEAD);
        let conf = "zone a { type primary; file \"a.zone\"; }; zone b { type primary; file \"b.zone\"; };";
        let first = folder.load(conf, &ZoneMap::new());
        let second = folder.load(conf, &first);
        assert!(Arc::ptr_eq(zone(&first, "a"), zone(&second, "a")));

        folder.write("b.zone", &format!("{HEAD}www A 192.0.2.1\n"));
        let third = folder.load(conf, &second);
        assert!(Arc::ptr_eq(zone(&second, "a"), zone(&third, "a")));
        assert_eq!(zone(&third, "b").data().unwrap().records(), 4);
        assert_eq!(zone(&second, "b").data().unwrap().records(), 3, "a version that is being read stays as it is");

        folder.write("b.zone", "@ nonsense\n");
        let broken = folder.load(conf, &third);
        assert_eq!(zone(&broken, "b").data().unwrap().records(), 4);
        folder.write("b.zone", HEAD);
        let mended = folder.load(conf, &broken);
        assert_eq!(zone(&mended, "b").data().unwrap().records(), 3);

        let one = folder.load("zone a { type primary; file \"a.zone\"; allow-query { none; }; };", &mended);
        assert_eq!(one.len(), 1);
        assert!(!zone(&one, "a").settings.allow_query.allows(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(zone(&one, "a").data().unwrap().records(), 3);
    }

    #[test]
    fn an_rrset_has_the_ttl_that_it_has_last() {
        let mut folder = Folder::new();
        folder.write("a.zone", &format!("{HEAD}www 100 A 192.0.2.1\nx A 192.0.2.9\nwww 200 A 192.0.2.2\n"));
        let zones = folder.load("zone a { type primary; file \"a.zone\"; };", &ZoneMap::new());
        let www = Name::from_ascii("www.a").unwrap();
        assert_eq!(zone(&zones, "a").data().unwrap().rrset(www.as_ref(), Rtype::A).unwrap().ttl, 200);
    }

    #[test]
    fn name_servers_without_addresses_are_for_check_integrity() {
        let mut folder = Folder::new();
        folder.write("a.zone", &HEAD.replace("ns A", "other A"));
        let conf = |check| format!("zone a {{ type primary; file \"a.zone\"; check-integrity {check}; }};");
        let checked = folder.load(&conf("yes"), &ZoneMap::new());
        assert!(zone(&checked, "a").data().is_none());
        let unchecked = folder.load(&conf("no"), &checked);
        assert!(zone(&unchecked, "a").data().is_some());
    }

    #[test]
    fn limits_that_change_are_applied() {
        let mut folder = Folder::new();
        folder.write("a.zone", HEAD);
        let conf = |limit: u32| format!("zone a {{ type primary; file \"a.zone\"; max-records {limit}; }};");
        let strict = folder.load(&conf(2), &ZoneMap::new());
        assert!(zone(&strict, "a").data().is_none());
        let lenient = folder.load(&conf(3), &strict);
        assert!(zone(&lenient, "a").data().is_some());
    }

    #[test]
    fn a_zone_that_views_share_is_one_zone() {
        let mut folder = Folder::new();
        folder.write("a.zone", HEAD);
        let own = "zone a { type primary; file \"a.zone\"; };";
        let shared = format!("view inside {{ {own} }}; view outside {{ zone a {{ in-view inside; }}; }};");
        let first = folder.views(&shared, &[]);
        assert!(Arc::ptr_eq(zone(&first[0].zones, "a"), zone(&first[1].zones, "a")));

        folder.write("a.zone", &format!("{HEAD}www A 192.0.2.1\n"));
        let second = folder.views(&shared, &first);
        assert_eq!(zone(&second[1].zones, "a").data().unwrap().records(), 4);

        let apart = folder.views(&format!("view inside {{ {own} }}; view outside {{ {own} }};"), &second);
        assert!(!Arc::ptr_eq(zone(&apart[0].zones, "a"), zone(&apart[1].zones, "a")));
        let alone = folder.views(&format!("view inside {{ {own} }}; view outside {{ }};"), &apart);
        assert_eq!(alone[1].zones.len(), 0);
    }
}
