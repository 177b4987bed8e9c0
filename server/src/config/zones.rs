//! The `zone` statements.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::FxHashMap;
use zonefmt::{
    Name,
    conf::{Part, Statement, Statements, values},
    zone::CheckNames,
};

use super::{
    Reader, SharedZone,
    scope::{Scope, path},
};
use crate::settings::{ZoneSettings, ZoneStatistics};

/// What is said of a zone.
#[derive(Clone, Debug)]
pub struct ZoneConfig {
    /// Its name.
    pub origin: Name,
    /// Its file.
    pub file: PathBuf,
    /// How it is served; shared by the zones that are served alike.
    pub settings: Arc<ZoneSettings>,
    /// How its file is read.
    pub reading: Reading,
}

/// How a zone file is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// How much it may hold.
    pub limits: Limits,
    /// `check-names`.
    pub check_names: CheckNames,
    /// `check-integrity`: whether a name server inside the zone needs an address there.
    pub check_integrity: bool,
}

/// How much a zone may hold; 0 is as much as there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Records (`max-records`).
    pub records: u32,
    /// Records of an RRset (`max-records-per-type`).
    pub records_per_type: u32,
    /// Types of a name (`max-types-per-name`).
    pub types_per_name: u32,
}

impl Default for Limits {
    /// As `named -C` says.
    fn default() -> Limits {
        Limits { records: 0, records_per_type: 100, types_per_name: 100 }
    }
}

/// The zones among these statements, and those that are another view's. What is wrong with one is reported, and the zone
/// left out.
pub(super) fn read<'c>(
    statements: &Statements<'c>,
    scope: &Scope<'c, '_>,
    directory: &Path,
    reader: &mut Reader<'c, '_>,
) -> (Vec<ZoneConfig>, Vec<SharedZone>) {
    let reading = Reading { limits: Limits::default(), check_names: CheckNames::Fail, check_integrity: true };
    let mut all = Inherited { settings: ZoneSettings::default(), reading };
    for name in INHERITED {
        if let Some(statement) = scope.find(name) {
            all.take(statement, reader);
        }
    }
    for names in scope.all("check-names") {
        if names.argument().is_some_and(|of| of.is("primary") || of.is("master")) {
            all.take(names, reader);
        }
    }
    let (mut zones, mut shared, mut alike) = (Vec::new(), Vec::new(), Alike::default());
    for zone in statements.all("zone") {
        match zone.block().find("in-view").and_then(Statement::argument) {
            Some(view) => shared.extend(origin(zone).map(|origin| SharedZone { origin, view: view.shown().into() })),
            None => zones.extend(one(zone, directory, &all, &mut alike, reader)),
        }
    }
    (zones, shared)
}

/// Settings by what they say, so that zones that are served alike share them.
type Alike = FxHashMap<ZoneSettings, Arc<ZoneSettings>>;

/// What a zone takes over from the blocks around it.
const INHERITED: [&str; 8] = [
    "allow-query",
    "allow-query-on",
    "check-integrity",
    "max-records",
    "max-records-per-type",
    "max-types-per-name",
    "masterfile-format",
    "zone-statistics",
];

/// What holds for a zone that says nothing.
#[derive(Clone)]
struct Inherited {
    settings: ZoneSettings,
    reading: Reading,
}

impl Inherited {
    fn take<'c>(&mut self, statement: Statement<'c>, reader: &mut Reader<'c, '_>) {
        let number = || statement.argument().and_then(|part| values::number(&part.text())).unwrap_or(0);
        match statement.name() {
            name @ ("allow-query" | "allow-query-on") => match reader.acls.read(statement.block()) {
                Ok(acl) if name == "allow-query" => self.settings.allow_query = acl,
                Ok(acl) => self.settings.allow_query_on = acl,
                Err(error) => reader.findings.push(*error),
            },
            "max-records" => self.reading.limits.records = number(),
            "max-records-per-type" => self.reading.limits.records_per_type = number(),
            "max-types-per-name" => self.reading.limits.types_per_name = number(),
            "check-names" => {
                self.reading.check_names = match statement.arguments().last() {
                    Some(part) if part.is("ignore") => CheckNames::Ignore,
                    Some(part) if part.is("warn") => CheckNames::Warn,
                    _ => CheckNames::Fail,
                };
            }
            "check-integrity" => {
                let read = statement.argument().and_then(|part| values::yes_no(&part.text()));
                self.reading.check_integrity = read.unwrap_or(true);
            }
            "zone-statistics" => {
                let level = statement.argument();
                self.settings.statistics = match level.and_then(|part| values::yes_no(&part.text())) {
                    Some(true) => ZoneStatistics::Full,
                    Some(false) => ZoneStatistics::None,
                    None if level.is_some_and(|part| part.is("full")) => ZoneStatistics::Full,
                    None if level.is_some_and(|part| part.is("none")) => ZoneStatistics::None,
                    None => ZoneStatistics::Terse,
                };
            }
            "masterfile-format" if !statement.argument().is_some_and(|part| part.is("text")) => {
                let error = statement.error("zone files are read as text only");
                reader.findings.push(error.help("`named-compilezone -f raw -F text` turns one into the other"));
            }
            _ => {}
        }
    }
}

fn one<'c>(
    zone: Statement<'c>,
    directory: &Path,
    all: &Inherited,
    alike: &mut Alike,
    reader: &mut Reader<'c, '_>,
) -> Option<ZoneConfig> {
    let (mut own, mut file) = (None, None);
    for statement in zone.block() {
        match statement.name() {
            "type" => is_served(statement.argument()?, reader).then_some(())?,
            "file" => file = statement.argument(),
            name if name == "check-names" || INHERITED.contains(&name) => {
                own.get_or_insert_with(|| all.clone()).take(statement, reader);
            }
            _ => {}
        }
    }
    let said = own.as_ref().unwrap_or(all);
    let settings = match alike.get(&said.settings) {
        Some(settings) => Arc::clone(settings),
        None => {
            let settings = Arc::new(said.settings.clone());
            alike.insert(said.settings.clone(), Arc::clone(&settings));
            settings
        }
    };
    // A primary zone without a file did not pass the checks of the configuration's form; what else a zone's data may come
    // from is an error of its own.
    Some(ZoneConfig {
        origin: origin(zone)?,
        file: directory.join(path(&file?.text())),
        settings,
        reading: said.reading,
    })
}

/// The name of a zone; one that is none did not pass the checks of the configuration's form.
fn origin(zone: Statement<'_>) -> Option<Name> {
    Name::from_ascii(zone.argument()?.text()).ok()
}

/// Whether zones of this type are served here.
fn is_served(kind: Part<'_>, reader: &mut Reader<'_, '_>) -> bool {
    const RESOLVING: [&str; 6] = ["hint", "forward", "stub", "static-stub", "redirect", "delegation-only"];
    if kind.is("primary") || kind.is("master") {
        return true;
    }
    let finding = if RESOLVING.iter().any(|resolving| kind.is(resolving)) {
        kind.warning(format!("a zone of type {} serves recursion only: it has no effect", kind.shown()))
    } else {
        let error = kind.error(format!("zones of type {} are not supported yet", kind.shown()));
        error.help("only `type primary` is")
    };
    reader.findings.push(finding);
    false
}
