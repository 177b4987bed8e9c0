//! Adds, changes and deletes zones while the server runs. What fails changes nothing; what succeeds is on disk before
//! it is served.

use std::{io, path::PathBuf, sync::Arc};

use tracing::info;
use zonefmt::{
    Name,
    conf::{self, Part, Statement},
    diagnostics::{Diagnostic, Source},
};

use super::{
    Running, ServedZone, ZoneSource,
    owners::{ChangedBy, give_back},
    sources::{Ready, log},
};
use crate::{
    config::{NewZones, ZoneConfig, origin, unservable},
    zones::{Snapshot, View, Zone, ZoneChange},
};

/// The name under which findings show the statement that rndc gave.
pub const STATEMENT: &str = "rndc";

/// Why a zone was not added or changed.
#[derive(Debug)]
pub enum ZoneRefusal {
    /// The statement is malformed, or cannot be obeyed.
    Statement(Vec<Diagnostic>),
    /// There is no view of this name.
    NoView(String),
    /// No zones may be added to the view (`allow-new-zones`).
    NotAllowed(Arc<str>),
    /// Zones of this type cannot be added.
    Kind(String),
    /// The view has a zone of this name already.
    Exists,
    /// The view has no zone of this name.
    NotFound,
    /// This zone has the file, and one of the two writes to it.
    FileTaken(Name),
    /// The zone file does not exist.
    NoFile,
    /// The zone file cannot be used.
    NotLoaded(Vec<Diagnostic>),
    /// The file of added zones cannot be written.
    NotKept(io::Error),
}

/// How long a changed statement holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Modified {
    /// For good: the statement is kept in the file of added zones.
    Kept,
    /// Until named.conf, which declares the zone, is read again.
    UntilReconfigured,
}

/// A zone that was deleted.
#[derive(Debug)]
pub struct Deleted {
    /// Whether it had been added.
    pub added: bool,
    /// The files that it leaves behind.
    pub left: Vec<PathBuf>,
}

/// A zone that is to be added or changed, and where it belongs.
struct Wanted {
    view: Arc<str>,
    file: NewZones,
    zone: ZoneConfig,
    /// The class and the view in the statement, each with a space before it.
    place: String,
    /// The zone that is served under its name.
    current: Option<Arc<Zone>>,
}

impl Running {
    /// Adds the zone of a statement `zone NAME [CLASS [VIEW]] { … };`.
    ///
    /// # Errors
    /// See [`ZoneRefusal`]; nothing has changed then.
    pub fn add_zone(&mut self, statement: &str) -> Result<(), ZoneRefusal> {
        let Wanted { view, file, zone, current, .. } = self.wanted(statement, false)?;
        let ready = self.prepare(&view, &zone, current.as_deref())?;
        file.append(zone.written.added().unwrap_or_default()).map_err(ZoneRefusal::NotKept)?;
        info!(target: "general", "added zone {} in view {view} via addzone", zone.origin.as_ref().without_final_dot());
        self.serve(&view, ready, None);
        Ok(())
    }

    /// Replaces the statement of a zone, which has the same form as for [`add_zone`](Running::add_zone).
    ///
    /// # Errors
    /// See [`ZoneRefusal`]; nothing has changed then.
    pub fn modify_zone(&mut self, statement: &str) -> Result<Modified, ZoneRefusal> {
        let Wanted { view, file, mut zone, place, current } = self.wanted(statement, true)?;
        let kept = self.sources.get(&view, &zone.origin).is_some_and(|source| source.added().is_some());
        if !kept {
            zone.written = zone.written.into_modified(&place);
        }
        let kept_statement = |ready| {
            let Some(line) = zone.written.added() else { return Ok(ready) };
            let mut statements = self.sources.added(&view);
            statements.insert(&zone.origin, line);
            file.replace(statements.into_values()).map_err(ZoneRefusal::NotKept)?;
            Ok(ready)
        };
        let ready = self.prepare(&view, &zone, current.as_deref()).and_then(kept_statement);
        let ready = ready.inspect_err(|_| current.iter().for_each(|zone| give_back(zone)))?;
        info!(target: "general", "updated zone {} in view {view} via modzone", zone.origin.as_ref().without_final_dot());
        self.serve(&view, ready, current.as_ref());
        Ok(if kept { Modified::Kept } else { Modified::UntilReconfigured })
    }

    /// Deletes a zone. A zone that named.conf declares returns when named.conf is
    /// read again; a member of a catalog returns then, too, or when its catalog changes its entry. With `clean`, the zone
    /// file and the journal of an added zone are removed. If a catalog lists the zone, its member takes the place at once.
    ///
    /// # Errors
    /// The file of added zones cannot be written; the zone is served as before then.
    pub fn delete_zone(&mut self, served: &ServedZone, clean: bool) -> io::Result<Deleted> {
        let ServedZone { owner: view, zone, .. } = served;
        let source = self.source(served);
        let is_member = source.is_some_and(ZoneSource::is_member);
        let added = source.is_some_and(|source| source.added().is_some());
        let file = self.config.additions.as_ref().and_then(|additions| additions.file(view));
        if let Some(file) = file.filter(|_| added) {
            let mut statements = self.sources.added(view);
            statements.remove(&zone.origin);
            file.replace(statements.into_values())?;
        }
        info!(target: "general", "zone {} scheduled for removal via delzone", zone.origin.as_ref().without_final_dot());
        info!(target: "general", "deleting zone {} in view {view} via delzone", zone.origin.as_ref().without_final_dot());
        let source = self.sources.forget(view, &zone.origin);
        // Nothing is acknowledged any more, and no file is written once it is removed.
        if let Some(live) = &zone.live {
            live.retire();
        }
        self.publish(view, Some(zone), &ZoneChange::Remove(zone.origin.clone()));
        // As with named, a member of a catalog counts as added.
        let added = added || is_member;
        // Of files that another process has, none is removed.
        let is_ours = zone.live.as_ref().and_then(|live| live.waits_for()).is_none();
        if let Some(source) = source.as_ref().filter(|_| added && clean && is_ours) {
            source.remove_files();
        }
        let left = source.as_ref().map_or_else(Vec::new, ZoneSource::present_files);
        if !is_member {
            self.take_members(&zone.origin);
        }
        Ok(Deleted { added, left })
    }

    /// The statement of a zone, on one line; `None` unless zones may be added to its view.
    pub fn zone_statement(&self, served: &ServedZone) -> Option<String> {
        let additions = self.config.additions.as_ref()?;
        additions.file(&served.owner)?;
        if let Some(line) = self.source(served).and_then(ZoneSource::statement) {
            return Some(line.to_owned());
        }
        additions.written(&served.owner, &served.zone.origin).map(|line| line.to_string())
    }

    /// Reads the statement of a zone that has to be there already (`known`), or must not be.
    fn wanted(&self, statement: &str, known: bool) -> Result<Wanted, ZoneRefusal> {
        let conf = conf::parse_zones(Source::new(STATEMENT, statement)).map_err(|findings| {
            log(&findings, "config");
            ZoneRefusal::Statement(findings)
        })?;
        let mut statements = conf.statements();
        let zone = statements.next().ok_or_else(|| ZoneRefusal::Statement(Vec::new()))?;
        if let Some(second) = statements.next() {
            return Err(ZoneRefusal::Statement(vec![
                second.error("there is more than one zone").help("one at a time"),
            ]));
        }
        if let Some(kind) = unservable(zone) {
            return Err(ZoneRefusal::Kind(kind));
        }
        let name = view_of(zone);
        let snapshot = self.published.load();
        let view = snapshot.view(&name).ok_or(ZoneRefusal::NoView(name))?;
        let additions =
            self.config.additions.as_ref().and_then(|additions| Some((additions, additions.file(&view.name)?)));
        let (additions, file) = additions.ok_or_else(|| ZoneRefusal::NotAllowed(Arc::clone(&view.name)))?;
        let current = origin(zone).and_then(|origin| view.zones.get(origin.as_ref()).cloned());
        let owned = |zone: &Arc<Zone>| self.sources.get(&view.name, &zone.origin).is_some();
        match &current {
            Some(_) if !known => return Err(ZoneRefusal::Exists),
            Some(zone) if owned(zone) => {}
            None if !known => {}
            _ => return Err(ZoneRefusal::NotFound),
        }
        let place = zone.arguments().skip(1).take_while(|part| part.block().is_none());
        let place = place.fold(String::new(), |place, part| place + " " + &part.shown());
        let (zone, findings) = additions.read(&view.name, zone, &self.config.directory);
        log(&findings, "config");
        let zone = zone.ok_or(ZoneRefusal::Statement(findings))?;
        if let Some(other) = self.shares_file(&snapshot, &view.name, &zone) {
            return Err(ZoneRefusal::FileTaken(other));
        }
        Ok(Wanted { view: Arc::clone(&view.name), file: file.clone(), zone, place, current })
    }

    /// The zone that has the file of one that is wanted, if one of the two writes to it: with both, named.conf could not be
    /// read again.
    fn shares_file(&self, snapshot: &Snapshot, view: &str, wanted: &ZoneConfig) -> Option<Name> {
        let file = wanted.role.file()?.path();
        let writes = ChangedBy::wanted(wanted) == ChangedBy::Owner;
        let mut others =
            snapshot.declared().filter(|(other, zone)| *other.name != *view || zone.origin != wanted.origin);
        let other = others.find(|(other, zone)| {
            let source = self.sources.get(&other.name, &zone.origin);
            source.and_then(ZoneSource::file) == Some(file)
                && (writes || matches!(ChangedBy::of(zone), ChangedBy::Owner | ChangedBy::Nobody))
        });
        other.map(|(_, zone)| zone.origin.clone())
    }

    /// Loads the zone, if that is needed.
    fn prepare(&self, view: &str, zone: &ZoneConfig, current: Option<&Zone>) -> Result<Ready, ZoneRefusal> {
        let ready = self.sources.prepare(view, zone, current, &self.config.directory);
        let is_there = || zone.role.file().is_none_or(|file| file.path().exists());
        ready.map_err(|findings| if is_there() { ZoneRefusal::NotLoaded(findings) } else { ZoneRefusal::NoFile })
    }

    /// Serves a zone in place of `before`.
    fn serve(&mut self, view: &Arc<str>, ready: Ready, before: Option<&Arc<Zone>>) {
        let zone = self.sources.take(view, ready);
        self.publish(view, before, &ZoneChange::Put(zone));
    }

    /// Changes a view, and those that share the zone `before` with it.
    fn publish(&self, view: &Arc<str>, before: Option<&Arc<Zone>>, change: &ZoneChange) {
        self.published.update(|snapshot| {
            // An update may have made another version of it since.
            let now = before.and_then(|zone| snapshot.view(view)?.zones.get(zone.origin.as_ref()).cloned());
            let change = match (change, &now) {
                (ZoneChange::Put(zone), Some(now)) => ZoneChange::Put(zone.caught_up_with(now)),
                (change, _) => change.clone(),
            };
            for served in &mut snapshot.views {
                let same =
                    |now: &Arc<Zone>| served.zones.get(now.origin.as_ref()).is_some_and(|zone| Arc::ptr_eq(zone, now));
                if served.name == *view || now.as_ref().is_some_and(same) {
                    served.zones.update([change.clone()]);
                }
            }
        });
        let origin = match change {
            ZoneChange::Put(zone) => &zone.origin,
            ZoneChange::Remove(origin) => origin,
        };
        self.secondaries.follow_zone(view, origin);
        if let ZoneChange::Put(zone) = change {
            self.published.report_if_new(view, zone, before.map(Arc::as_ref));
        }
    }
}

/// The view that a zone belongs to, which is named behind its class.
fn view_of(zone: Statement<'_>) -> String {
    let view = zone.arguments().take_while(|part| part.block().is_none()).nth(2);
    view.map_or_else(|| View::DEFAULT.to_owned(), Part::shown)
}
