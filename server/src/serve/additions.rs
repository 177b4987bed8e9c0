//! Zones that are added, changed and taken away while the server runs. What cannot be done changes nothing; what is done is
//! on the disk before it is served.

use std::{fs, io, path::Path, sync::Arc};

use tracing::{info, warn};
use zonefmt::{
    conf::{self, Part, Statement},
    diagnostics::{Diagnostic, Source},
};

use super::{
    Running, ServedZone, journal,
    sources::{Ready, log},
};
use crate::{
    config::{
        Additions, NewZones, ZoneConfig,
        zones::{self, origin},
    },
    zones::{View, Zone, ZoneChange},
};

/// Why a zone was not added or changed.
#[derive(Debug)]
pub enum ZoneRefusal {
    /// The statement has not the form of one, or says what cannot be obeyed.
    Statement(Vec<Diagnostic>),
    /// There is no such view.
    NoView(String),
    /// The view takes no zones (`allow-new-zones`).
    NotAllowed(Arc<str>),
    /// Zones of this type are not added.
    Kind(String),
    /// There is such a zone already.
    Exists,
    /// There is no such zone.
    NotFound,
    /// Its file is not there.
    NoFile,
    /// Its file cannot be used.
    NotLoaded(Vec<Diagnostic>),
    /// It cannot be kept in the file of added zones.
    NotKept(io::Error),
}

/// What became of a zone whose statement was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Modified {
    /// It is kept.
    Kept,
    /// named.conf says otherwise, and has its way when it is read again.
    UntilReconfigured,
}

/// A zone's statement that came, and where it belongs.
struct Wanted {
    view: Arc<str>,
    file: NewZones,
    zone: ZoneConfig,
    /// What is served under that name.
    current: Option<Arc<Zone>>,
}

impl Running {
    /// Adds a zone, as a statement says it: `zone NAME [CLASS [VIEW]] { … };`.
    pub fn add_zone(&mut self, statement: &str) -> Result<(), ZoneRefusal> {
        let Wanted { view, file, zone, current } = self.wanted(statement, false)?;
        let ready = self.prepare(&view, &zone, current.as_deref())?;
        file.append(zone.added.as_deref().unwrap_or_default()).map_err(ZoneRefusal::NotKept)?;
        info!(target: "general", "added zone {} in view {view} via addzone", zone.origin);
        self.serve(&view, ready, None);
        Ok(())
    }

    /// Gives a zone another statement, of the same form.
    pub fn modify_zone(&mut self, statement: &str) -> Result<Modified, ZoneRefusal> {
        let Wanted { view, file, mut zone, current } = self.wanted(statement, true)?;
        let kept = self.sources.get(&view, &zone.origin).is_some_and(|source| source.added().is_some());
        let line = zone.added.clone().filter(|_| kept);
        zone.added.clone_from(&line);
        let ready = self.prepare(&view, &zone, current.as_deref())?;
        if let Some(line) = &line {
            let mut statements = self.sources.added(&view);
            statements.insert(&zone.origin, line);
            file.replace(statements.into_values()).map_err(ZoneRefusal::NotKept)?;
        }
        info!(target: "general", "updated zone {} in view {view} via modzone", zone.origin);
        self.serve(&view, ready, current.as_ref());
        Ok(if kept { Modified::Kept } else { Modified::UntilReconfigured })
    }

    /// Takes a zone away, wherever it came from; one of named.conf comes back when that is read again. `clean`: the file of
    /// a zone that was added goes, too. Whether it was added.
    ///
    /// # Errors
    /// The file of added zones cannot be written; the zone is served as before then.
    pub fn delete_zone(&mut self, served: &ServedZone, clean: bool) -> io::Result<bool> {
        let ServedZone { owner: view, zone, .. } = served;
        let added = self.source(served).is_some_and(|source| source.added().is_some());
        let file = self.config.additions.as_ref().and_then(|additions| additions.file(view));
        if let Some(file) = file.filter(|_| added) {
            let mut statements = self.sources.added(view);
            statements.remove(&zone.origin);
            file.replace(statements.into_values())?;
        }
        info!(target: "general", "deleting zone {} in view {view} via delzone", zone.origin);
        let source = self.sources.forget(view, &zone.origin);
        self.publish(view, Some(zone), &ZoneChange::Remove(zone.origin.clone()));
        if added && clean {
            for file in source.iter().filter_map(|source| source.files().next()) {
                remove(file);
                remove(&journal::path(file));
            }
        }
        Ok(added)
    }

    /// A zone's statement, on one line; `None` unless zones may be added to its view.
    pub fn zone_statement(&self, served: &ServedZone) -> Option<String> {
        let additions = self.config.additions.as_ref()?;
        additions.file(&served.owner)?;
        if let Some(line) = self.source(served).and_then(|source| source.added()) {
            return Some(line.to_owned());
        }
        let statements = additions.conf.statements();
        let view =
            statements.all("view").find(|view| view.argument().is_some_and(|name| name.shown() == *served.owner));
        let statements = view.map_or(statements, Statement::block);
        let zone =
            statements.all("zone").find(|zone| origin(*zone).is_some_and(|origin| origin == served.zone.origin))?;
        Some(zones::line(&served.zone.origin, zone).to_string())
    }

    fn wanted(&self, statement: &str, known: bool) -> Result<Wanted, ZoneRefusal> {
        let conf = conf::parse_zones(Source::new("rndc", statement)).map_err(|findings| {
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
        if let Some(kind) = zones::unservable(zone) {
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
        let (zone, findings) = zones::read_one(&additions.conf, &view.name, zone, &self.config.directory);
        log(&findings, "config");
        let zone = zone.ok_or(ZoneRefusal::Statement(findings))?;
        Ok(Wanted { view: Arc::clone(&view.name), file: file.clone(), zone, current })
    }

    fn prepare(&self, view: &str, zone: &ZoneConfig, current: Option<&Zone>) -> Result<Ready, ZoneRefusal> {
        let ready = self.sources.prepare(view, zone, current, &self.config.directory);
        ready
            .map_err(|findings| if zone.file.exists() { ZoneRefusal::NotLoaded(findings) } else { ZoneRefusal::NoFile })
    }

    /// Serves a zone, in place of the one that was.
    fn serve(&mut self, view: &Arc<str>, ready: Ready, before: Option<&Arc<Zone>>) {
        let zone = self.sources.take(view, ready);
        self.publish(view, before, &ZoneChange::Put(zone));
    }

    /// Changes a view, and those that share the zone with it.
    fn publish(&self, view: &str, before: Option<&Arc<Zone>>, change: &ZoneChange) {
        let shares = |zone: &Arc<Zone>| before.is_some_and(|before| Arc::ptr_eq(before, zone));
        self.published.update(|snapshot| {
            for served in &mut snapshot.views {
                let origin = before.map(|zone| zone.origin.as_ref());
                if *served.name == *view || origin.and_then(|origin| served.zones.get(origin)).is_some_and(shares) {
                    served.zones.update([change.clone()]);
                }
            }
        });
    }
}

impl Additions {
    /// Where a view keeps the zones that are added to it, if it takes any.
    fn file(&self, view: &str) -> Option<&NewZones> {
        self.files.iter().find(|file| *file.view == *view)
    }
}

/// The view that a zone is to come to: what stands behind its class.
fn view_of(zone: Statement<'_>) -> String {
    let view = zone.arguments().take_while(|part| part.block().is_none()).nth(2);
    view.map_or_else(|| View::DEFAULT.to_owned(), Part::shown)
}

/// What is not there need not be removed.
fn remove(file: &Path) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(target: "general", "cannot remove {}: {error}", file.display());
        }
        _ => {}
    }
}
