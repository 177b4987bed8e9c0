//! Follows catalogs while the server runs: their members are served as secondary zones.
//!
//! Members are zones like those of named.conf. [`Catalogs::configure`] adds the known ones to a configuration, and
//! [`Catalogs::follow`] says what new versions of catalogs change. The members themselves are on the disk only as
//! [`Copies`]: after a start, the copy of their catalog says again which they are.

use std::{
    ffi::OsStr,
    fmt, mem,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::Instant,
};

use rustc_hash::{FxHashMap, FxHashSet};
use tracing::{error, info, warn};
use zonefmt::{Name, Serial};

use super::{
    Running, ZoneSource,
    copies::{Copies, Labels},
    sources::Sources,
};
use crate::{
    catalog::{Catalog, MemberChange, Members, Reading, Step},
    config::{self, CatalogConfig, NamedFile, NoPrimaries, Role, ViewConfig, ZoneConfig},
    sync::lock,
    zone::ZoneData,
    zones::{Published, Snapshot, View, ZoneChange},
};

/// The catalogs of all views.
pub(super) struct Catalogs {
    views: Vec<ViewCatalogs>,
    copies: Copies,
    watched: Arc<Watched>,
    /// When to look at a catalog whose new version came too soon.
    due: Option<Instant>,
}

/// The catalogs of a view, and their members.
struct ViewCatalogs {
    view: Arc<str>,
    config: config::Catalogs,
    members: Members,
    /// The version of each catalog that was read last, and when.
    read: FxHashMap<Name, (ZoneData, Instant)>,
}

/// What new versions of catalogs change about a view. A zone that is removed and put comes without its past.
pub(super) struct Changes {
    pub(super) view: Arc<str>,
    pub(super) remove: FxHashSet<Name>,
    pub(super) put: FxHashMap<Name, ZoneConfig>,
}

/// The zones that change with new versions of catalogs.
#[derive(Default)]
struct Changed {
    /// Members that are served and do not stay, or not with their state.
    remove: FxHashSet<Name>,
    /// Members that come, or are served in another way.
    put: FxHashSet<Name>,
}

/// Which zones are catalogs, for the watcher of new versions.
struct Watched {
    /// Their names in all views.
    catalogs: Mutex<FxHashSet<Name>>,
    /// Whether somebody was woken and has not looked yet.
    pending: AtomicBool,
    wake: Mutex<Sender<()>>,
}

/// The most zones that are logged one by one when a catalog changes. Of more only the total is logged.
const LOGGED_ZONES: usize = 100;

impl Running {
    /// Serves the zones that new versions of catalogs list, and no longer serves those that they do not list any more.
    pub fn follow_catalogs(&mut self) {
        // What is published from now on wakes again.
        self.catalogs.watched.pending.store(false, Ordering::Release);
        let before = self.published.load();
        let changed = self.catalogs.follow(&before.views, &mut self.sources);
        self.serve_members(&before, changed);
        self.tell_if_members_are_known();
    }

    /// Tells whoever asks at `/readyz` that every catalog was read once, if that is so.
    pub(super) fn tell_if_members_are_known(&self) {
        if self.catalogs.are_read() {
            self.statistics.knows_members();
        }
    }

    /// Serves the members of this name, now that no other zone has it.
    pub(super) fn take_members(&mut self, freed: &Name) {
        let before = self.published.load();
        let changed = self.catalogs.take(freed, &before.views);
        self.serve_members(&before, changed);
    }

    fn serve_members(&mut self, before: &Snapshot, changed: Vec<Changes>) {
        if changed.is_empty() {
            return;
        }
        for changes in changed {
            let Some(view) = before.view(&changes.view) else { continue };
            let zones = self.sources.follow(&changes, &view.zones, &self.config.directory);
            self.published.update(|snapshot| {
                let Some(newest) = snapshot.view(&changes.view).map(|view| view.zones.clone()) else { return };
                let catch_up = |change| match change {
                    ZoneChange::Put(zone) => match newest.get(zone.origin.as_ref()) {
                        Some(now) => ZoneChange::Put(zone.caught_up_with(now)),
                        None => ZoneChange::Put(zone),
                    },
                    remove @ ZoneChange::Remove(_) => remove,
                };
                snapshot.change(&changes.view, zones.into_iter().map(catch_up));
            });
        }
        self.published.report_since(before);
        self.secondaries.follow();
    }
}

impl Catalogs {
    /// Follows no catalogs yet. Whenever one of them has a new version, something is sent to `wake`, and
    /// [`Running::follow_catalogs`] is to be called.
    pub(super) fn new(published: &Published, wake: Sender<()>) -> Catalogs {
        let (catalogs, pending) = (Mutex::default(), AtomicBool::default());
        let watched = Arc::new(Watched { catalogs, pending, wake: Mutex::new(wake) });
        let watch = Arc::clone(&watched);
        published.watch(move |_, zone| watch.published(&zone.origin));
        Catalogs { views: Vec::new(), copies: Copies::default(), watched, due: None }
    }

    /// Takes over the catalogs of a configuration, and adds the members that are known so far to its zones. A zone of
    /// named.conf is never replaced by a member.
    pub(super) fn configure(&mut self, views: &mut [ViewConfig]) {
        let mut before = mem::take(&mut self.views);
        let catalogs = views.iter().filter_map(|view| view.catalogs.as_ref()).flat_map(|config| &config.catalogs);
        self.copies.open(catalogs);
        for view in views {
            let Some(config) = view.catalogs.take() else { continue };
            let former = before.iter().position(|former| former.view == view.name);
            let (known, mut read) = former
                .map(|former| before.swap_remove(former))
                .map_or_else(Default::default, |former| (former.members, former.read));
            let members = known.with_catalogs(config.catalogs.iter().map(|catalog| catalog.origin.clone()));
            read.retain(|catalog, _| members.catalog(catalog).is_some());
            let mut followed = ViewCatalogs { view: Arc::clone(&view.name), config, members, read };
            let own = view.zones.iter().map(|zone| &zone.origin);
            let configured: FxHashSet<&Name> = own.chain(view.shared.iter().map(|zone| &zone.origin)).collect();
            let members = followed.members.iter().map(|(zone, _)| zone).filter(|zone| !configured.contains(zone));
            let members: Vec<Name> = members.cloned().collect();
            for (list, labels) in followed.labels(&members) {
                self.copies.admit(list, labels);
            }
            let zones: Vec<_> = members.iter().filter_map(|zone| followed.zone(zone, &self.copies).ok()).collect();
            view.zones.extend(zones);
            self.views.push(followed);
        }
        let catalogs = self.views.iter().flat_map(|view| &view.config.catalogs);
        *lock(&self.watched.catalogs) = catalogs.map(|catalog| catalog.origin.clone()).collect();
    }

    /// Reads the new versions of catalogs that these views serve, and returns what they change. What is to be removed has
    /// been, from the sources and from the disk.
    pub(super) fn follow(&mut self, views: &[View], sources: &mut Sources) -> Vec<Changes> {
        self.due = None;
        let now = Instant::now();
        let mut all = Vec::new();
        for followed in &mut self.views {
            let Some(view) = views.iter().find(|view| view.name == followed.view) else { continue };
            let (mut changed, mut read) = (Changed::default(), Vec::new());
            for catalog in followed.config.catalogs.clone() {
                // While a catalog is not there or has expired, its members stay.
                let Some(data) = view.zones.get(catalog.origin.as_ref()).and_then(|zone| zone.data()) else { continue };
                match followed.begin(&catalog, data, now) {
                    Some(wait) if wait <= now => {
                        if followed.read(&catalog, data, &mut changed, view, sources) {
                            read.push(catalog.origin);
                        }
                    }
                    wait => self.due = self.due.into_iter().chain(wait).min(),
                }
            }
            if read.is_empty() {
                continue;
            }
            let Changed { remove, put } = changed;
            sources.discard(&view.name, &remove, &view.zones);
            let is_own = |zone: &Name| remove.contains(zone) || !is_foreign(zone, view, sources);
            // Another catalog may have got some, too.
            let touched = |zone: &Name, owner: &Name| read.contains(owner) && is_own(zone) || put.contains(zone);
            let zones = followed.members.iter().filter(|(zone, owner)| touched(zone, owner));
            let mut labels = followed.labels(zones.map(|(zone, _)| zone));
            for catalog in &followed.config.catalogs {
                let Some(list) = catalog.copies.as_deref() else { continue };
                let wanted = labels.remove(list).unwrap_or_default();
                if read.contains(&catalog.origin) {
                    self.copies.settle(list, wanted, sources);
                } else {
                    self.copies.admit(list, wanted);
                }
            }
            let put = put.into_iter().filter_map(|zone| Some((zone.clone(), followed.wanted(&zone, &self.copies)?)));
            let put: FxHashMap<_, _> = put.collect();
            if !(remove.is_empty() && put.is_empty()) {
                all.push(Changes { view: Arc::clone(&view.name), remove, put });
            }
        }
        all
    }

    /// What changes about these views once nothing else has the name of a zone that their catalogs list.
    fn take(&mut self, freed: &Name, views: &[View]) -> Vec<Changes> {
        let mut all = Vec::new();
        for followed in &mut self.views {
            let view = views.iter().find(|view| view.name == followed.view);
            if view.is_none_or(|view| view.zones.get(freed.as_ref()).is_some()) {
                continue;
            }
            let Some((catalog, _)) = followed.members.owner(freed) else { continue };
            log(freed, &Step::Add { catalog: catalog.clone() });
            for (list, labels) in followed.labels([freed]) {
                self.copies.admit(list, labels);
            }
            let Some(config) = followed.wanted(freed, &self.copies) else { continue };
            let put = FxHashMap::from_iter([(freed.clone(), config)]);
            all.push(Changes { view: Arc::clone(&followed.view), remove: FxHashSet::default(), put });
        }
        all
    }

    /// Whether a version of every catalog was read.
    fn are_read(&self) -> bool {
        self.views.iter().all(|view| view.config.catalogs.iter().all(|it| view.read.contains_key(&it.origin)))
    }

    /// When [`Running::follow_catalogs`] is to be called even if nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl ViewCatalogs {
    /// When a version of a catalog is to be read; `None` if it has been.
    fn begin(&self, catalog: &CatalogConfig, data: &ZoneData, now: Instant) -> Option<Instant> {
        let Some((read, at)) = self.read.get(&catalog.origin) else { return Some(now) };
        if read.is(data) {
            return None;
        }
        let due = *at + catalog.min_update_interval;
        if due > now {
            // Up to the next second: 0 would mean that nothing is deferred.
            let (name, seconds) = (name(&catalog.origin), (due - now).as_secs_f64().ceil());
            info!(
                target: "general",
                "catz: {name}: new zone version came too soon, deferring update for {seconds} seconds",
            );
        }
        Some(due)
    }

    /// The unique labels that the copies of members are made under, by the lists of these copies.
    fn labels<'z>(&self, members: impl IntoIterator<Item = &'z Name>) -> FxHashMap<&Path, Labels> {
        let mut lists = FxHashMap::<_, Labels>::default();
        for zone in members {
            let Some((catalog, member)) = self.members.owner(zone) else { continue };
            let Some(list) = self.list(catalog) else { continue };
            lists.entry(list).or_default().insert(self.config.file_name(catalog, zone), member.label().into());
        }
        lists
    }

    /// The list of the copies of a catalog's members; `None` if these are in memory only.
    fn list(&self, catalog: &Name) -> Option<&Path> {
        self.config.catalogs.iter().find(|config| config.origin == *catalog)?.copies.as_deref()
    }

    /// As [`ViewCatalogs::zone`]; that a member cannot be served is logged.
    fn wanted(&mut self, zone: &Name, copies: &Copies) -> Option<ZoneConfig> {
        let config = self.zone(zone, copies);
        let failed =
            |cause| error!(target: "general", "catz: error \"{cause}\" while trying to add zone '{}'", name(zone));
        config.map_err(failed).ok()
    }

    /// The configuration of a member, without a file unless there may be a copy under its unique label.
    fn zone(&mut self, zone: &Name, copies: &Copies) -> Result<ZoneConfig, NoPrimaries> {
        let mut config = self.config.zone(&self.members, zone)?;
        if let Role::Secondary(copy, _) = &mut config.role {
            copy.take_if(|copy| !self.keeps(zone, copy, copies));
        }
        Ok(config)
    }

    /// Whether a member may have this copy.
    fn keeps(&self, zone: &Name, copy: &NamedFile, copies: &Copies) -> bool {
        let Some((catalog, member)) = self.members.owner(zone) else { return false };
        let file = copy.path().file_name().and_then(OsStr::to_str);
        self.list(catalog).zip(file).is_some_and(|(list, file)| copies.has(list, file, member.label()))
    }

    /// Reads a version of a catalog, and adds what it changes. Returns whether it could be used.
    fn read(
        &mut self,
        catalog: &CatalogConfig,
        data: &ZoneData,
        changed: &mut Changed,
        view: &View,
        sources: &Sources,
    ) -> bool {
        self.read.insert(catalog.origin.clone(), (data.clone(), Instant::now()));
        let name = name(&catalog.origin);
        let serial = data.serial().unwrap_or(Serial(0)).0;
        info!(target: "general", "catz: updating catalog zone '{name}' with serial {serial}");
        let Reading { catalog: version, findings, more } = match Catalog::read(
            data,
            self.members.catalog(&catalog.origin),
        ) {
            Ok(reading) => reading,
            Err(broken) => {
                error!(target: "general", "catz: zone '{name}': {broken}");
                let stays = "its members stay as they were";
                error!(target: "general", "catz: new catalog zone '{name}' is broken and will not be processed; {stays}");
                return false;
            }
        };
        for finding in findings {
            warn!(target: "general", "catz: zone '{name}': {finding}");
        }
        if more > 0 {
            warn!(target: "general", "catz: zone '{name}': {more} more");
        }
        let (listed, steps) = (version.len(), self.members.replace(&catalog.origin, version));
        let (count, each) = (steps.len(), steps.len() <= LOGGED_ZONES);
        for change in steps {
            take(change, each, changed, view, sources);
        }
        info!(target: "general", "catz: {name}: {listed} members, {count} of them changed");
        true
    }
}

impl Watched {
    /// Takes note of a new version of a zone.
    fn published(&self, zone: &Name) {
        if lock(&self.catalogs).contains(zone) && !self.pending.swap(true, Ordering::AcqRel) {
            // Without a receiver the server ends.
            let _ = lock(&self.wake).send(());
        }
    }
}

/// Adds a change to a member. A zone that is configured otherwise stays as it is.
fn take(change: MemberChange, each: bool, changed: &mut Changed, view: &View, sources: &Sources) {
    let MemberChange { zone, step } = change;
    if each {
        log(&zone, &step);
    }
    let (stays, comes) = match step {
        Step::Ignore { .. } => return,
        Step::Remove { .. } => (false, false),
        Step::Reset { .. } | Step::Move { reset: true, .. } => (false, true),
        Step::Add { .. } | Step::Modify { .. } | Step::Move { reset: false, .. } => (true, true),
    };
    let is_foreign = is_foreign(&zone, view, sources);
    if is_foreign && comes {
        let message = "will not be added because it is an explicitly configured zone";
        return error!(target: "general", "catz: zone '{}' {message}", name(&zone));
    }
    if !stays && is_member(&zone, view, sources) {
        changed.remove.insert(zone.clone());
    }
    if comes {
        changed.put.insert(zone);
    } else {
        changed.put.remove(&zone);
    }
}

fn is_member(zone: &Name, view: &View, sources: &Sources) -> bool {
    sources.get(&view.name, zone).is_some_and(ZoneSource::is_member)
}

/// Whether a zone is served that is no member.
fn is_foreign(zone: &Name, view: &View, sources: &Sources) -> bool {
    !is_member(zone, view, sources) && view.zones.get(zone.as_ref()).is_some()
}

/// A name in a log line.
fn name(name: &Name) -> impl fmt::Display {
    name.as_ref().without_final_dot()
}

/// Logs what a catalog changes about a zone, in named's words.
fn log(zone: &Name, step: &Step) {
    let zone = name(zone);
    match step {
        Step::Add { catalog } => {
            info!(target: "general", "catz: adding zone '{zone}' from catalog '{}'", name(catalog));
        }
        Step::Modify { catalog } => {
            info!(target: "general", "catz: modifying zone '{zone}' from catalog '{}'", name(catalog));
        }
        Step::Reset { .. } => info!(target: "general", "catz: zone '{zone}' unique label has changed, reset state"),
        Step::Move { from, to, .. } => {
            let (from, to) = (name(from), name(to));
            info!(target: "general", "catz: zone '{zone}' change of ownership from '{from}' to '{to}'");
        }
        Step::Remove { catalog } => {
            info!(target: "general", "catz: deleting zone '{zone}' from catalog '{}'", name(catalog));
        }
        Step::Ignore { catalog } => {
            let message = "another catalog zone already contains an entry with that zone";
            warn!(target: "general", "catz: zone '{zone}' will not be added from catalog '{}' because {message}", name(catalog));
        }
    }
}
