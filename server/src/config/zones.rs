//! The `zone` statements.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::FxHashMap;
use zonefmt::{
    Name,
    conf::{Conf, Part, Statement, values},
    zone::CheckNames,
};

use super::{Reader, options::Options, options::path};
use crate::{access::Acl, settings::ZoneSettings};

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

/// The zones to serve. What is wrong with one is reported, and the zone left out.
pub(super) fn read<'c>(
    conf: &'c Conf,
    options: &Options<'c>,
    directory: &Path,
    reader: &mut Reader<'c, '_>,
) -> Vec<ZoneConfig> {
    let reading = Reading { limits: Limits::default(), check_names: CheckNames::Fail, check_integrity: true };
    let mut all = Inherited { allow_query: Acl::default(), reading };
    let inherited = [
        "allow-query",
        "check-integrity",
        "max-records",
        "max-records-per-type",
        "max-types-per-name",
        "masterfile-format",
    ];
    for name in inherited {
        if let Some(statement) = options.find(name) {
            all.take(statement, reader);
        }
    }
    for names in &options.check_names {
        if names.argument().is_some_and(|of| of.is("primary") || of.is("master")) {
            all.take(*names, reader);
        }
    }
    let mut shared = Shared::default();
    conf.statements().all("zone").filter_map(|zone| one(zone, directory, &all, &mut shared, reader)).collect()
}

/// Settings by what they say, so that zones that are served alike share them.
type Shared = FxHashMap<Acl, Arc<ZoneSettings>>;

/// What a zone takes over from `options` where it says nothing.
#[derive(Clone)]
struct Inherited {
    allow_query: Acl,
    reading: Reading,
}

impl Inherited {
    fn take<'c>(&mut self, statement: Statement<'c>, reader: &mut Reader<'c, '_>) {
        let number = || statement.argument().and_then(|part| values::number(&part.text())).unwrap_or(0);
        match statement.name() {
            "allow-query" => match reader.acls.read(statement.block()) {
                Ok(acl) => self.allow_query = acl,
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
    shared: &mut Shared,
    reader: &mut Reader<'c, '_>,
) -> Option<ZoneConfig> {
    let (mut own, mut file) = (None, None);
    for statement in zone.block() {
        match statement.name() {
            "type" => is_served(statement.argument()?, reader).then_some(())?,
            "file" => file = statement.argument(),
            "allow-query"
            | "max-records"
            | "max-records-per-type"
            | "max-types-per-name"
            | "check-names"
            | "check-integrity"
            | "masterfile-format" => own.get_or_insert_with(|| all.clone()).take(statement, reader),
            _ => {}
        }
    }
    let said = own.as_ref().unwrap_or(all);
    let settings = match shared.get(&said.allow_query) {
        Some(settings) => Arc::clone(settings),
        None => {
            let settings = Arc::new(ZoneSettings { allow_query: said.allow_query.clone().into() });
            shared.insert(said.allow_query.clone(), Arc::clone(&settings));
            settings
        }
    };
    // A name that is none, or a primary zone without a file, did not pass the checks of the configuration's form; what
    // else a zone's data may come from is an error of its own.
    let origin = Name::from_ascii(zone.argument()?.text()).ok()?;
    Some(ZoneConfig { origin, file: directory.join(path(&file?.text())), settings, reading: said.reading })
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
