//! The `zone` statements.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::FxHashSet;
use zonefmt::{
    Name,
    conf::{Conf, Part, Secrets, Statement, Statements, values},
    diagnostics::{Diagnostic, Severity},
    zone::{CheckNames, FileFormat},
};

use super::{
    ForEverybody, Reader, SharedZone,
    scope::{Scope, path},
    support::Judge,
    transfers,
};
use crate::settings::{Limits, ZoneSettings, ZoneStatistics};

/// The configuration of a zone.
#[derive(Clone, Debug)]
pub struct ZoneConfig {
    /// Its name.
    pub origin: Name,
    /// Its zone file.
    pub file: PathBuf,
    /// Its journal, unless that is in the usual place beside the file.
    pub journal: Option<PathBuf>,
    /// How it is served. Zones that are served alike share their settings.
    pub settings: Arc<ZoneSettings>,
    /// How its zone file is read.
    pub reading: Reading,
    /// Where its statement is.
    pub written: Written,
}

/// Where the statement of a zone is. A statement that rndc gave is on one line and has no semicolon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Written {
    /// In named.conf.
    Configured,
    /// In the file of the zones that `rndc addzone` added: this one.
    Added(Arc<str>),
    /// In named.conf, but `rndc modzone` has replaced it by this one until named.conf is read again.
    Modified(Arc<str>),
}

impl Written {
    /// The statement of a zone that was added.
    pub(crate) fn added(&self) -> Option<&str> {
        match self {
            Written::Added(line) => Some(line),
            Written::Configured | Written::Modified(_) => None,
        }
    }

    /// The statement, unless it is as named.conf has it.
    pub(crate) fn line(&self) -> Option<&str> {
        match self {
            Written::Added(line) | Written::Modified(line) => Some(line),
            Written::Configured => None,
        }
    }

    /// The statement as one that replaces named.conf's, with the class and view that rndc gave, as named shows it.
    pub(crate) fn into_modified(self, place: &str) -> Written {
        match self {
            Written::Added(line) => Written::Modified(line.replacen(" {", &format!("{place} {{"), 1).into()),
            other => other,
        }
    }
}

/// How a zone file is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// `masterfile-format`.
    pub format: FileFormat,
    /// How much the zone may hold.
    pub limits: Limits,
    /// `check-names`.
    pub check_names: CheckNames,
    /// `check-integrity`: whether a name server inside the zone needs an address there.
    pub check_integrity: bool,
    /// What to do about hosts in MX and SRV records that cannot be used.
    pub targets: TargetChecks,
}

/// What to do about hosts in MX and SRV records that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TargetChecks {
    /// `check-mx`: an MX record has an address in place of a host, or a host of the zone without an address.
    pub mx: Check,
    /// `check-mx-cname`: the host of an MX record is a CNAME, or below a DNAME.
    pub mx_cname: Check,
    /// `check-srv-cname`: the same of an SRV record.
    pub srv_cname: Check,
}

/// What to do about a finding in a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// Nothing.
    Ignore,
    /// Log a warning.
    Warn,
    /// Not load the zone.
    Fail,
}

impl Default for Reading {
    /// The defaults of `named -C`.
    fn default() -> Reading {
        Reading {
            format: FileFormat::Text,
            limits: Limits::default(),
            check_names: CheckNames::Fail,
            check_integrity: true,
            targets: TargetChecks { mx: Check::Warn, mx_cname: Check::Warn, srv_cname: Check::Warn },
        }
    }
}

/// The zones of a view: those among its statements and those that were added; and the zones that it shares with other
/// views. A zone with an error is reported and left out.
pub(super) fn read<'c>(
    statements: &Statements<'c>,
    added: Option<&'c Conf>,
    scope: &Scope<'c, '_>,
    directory: &Path,
    reader: &mut Reader<'c, '_>,
) -> (Vec<ZoneConfig>, Vec<SharedZone>) {
    let all = Inherited::from_scope(scope, reader);
    let (mut zones, mut shared, mut alike) = (Vec::new(), Vec::new(), Alike::default());
    for zone in statements.all("zone") {
        match zone.block().find("in-view").and_then(Statement::argument) {
            Some(view) => shared.extend(origin(zone).map(|origin| SharedZone { origin, view: view.shown().into() })),
            None => zones.extend(one(zone, directory, &all, &mut alike, reader)),
        }
    }
    let Some(added) = added else { return (zones, shared) };
    let written: FxHashSet<Name> =
        zones.iter().map(|zone| &zone.origin).chain(shared.iter().map(|zone| &zone.origin)).cloned().collect();
    for zone in added.statements() {
        let Some(config) = one(zone, directory, &all, &mut alike, reader) else { continue };
        if written.contains(&config.origin) {
            let error = zone.error(format!("the zone {} was added, and is in the configuration, too", config.origin));
            reader.findings.push(error.help("remove it there, or its line here"));
        }
        zones.push(ZoneConfig { written: Written::Added(line(&config.origin, zone)), ..config });
    }
    (zones, shared)
}

/// Reads the statement of a zone that is to be added to a view of this configuration; `None` if there is an error among
/// the findings.
pub(super) fn read_one<'c>(
    conf: &'c Conf,
    view: &str,
    zone: Statement<'c>,
    directory: &Path,
) -> (Option<ZoneConfig>, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let mut reader = Reader::new(conf, &mut findings);
    let options = Scope::new(conf.statements().find("options").into_iter().flat_map(Statement::block), None);
    let statements = conf.statements();
    let view = statements.all("view").find(|statement| statement.argument().is_some_and(|name| name.shown() == view));
    let scope = Scope::new(view.into_iter().flat_map(Statement::block), Some(&options));
    let all = Inherited::from_scope(&scope, &mut reader);
    let config = one(zone, directory, &all, &mut Alike::default(), &mut reader);
    let mut judge = Judge::default();
    zone.block().for_each(|statement| judge.statement(statement));
    findings.extend(judge.finish());
    let config = config.filter(|_| findings.iter().all(|finding| finding.severity != Severity::Error));
    (config.map(|config| ZoneConfig { written: Written::Added(line(&config.origin, zone)), ..config }), findings)
}

/// A zone's statement on one line, without its semicolon, as named keeps and shows it.
pub(super) fn line(origin: &Name, zone: Statement<'_>) -> Arc<str> {
    let name = origin.to_lowercase();
    let name = name.as_ref().without_final_dot();
    format!("zone \"{name}\" {}", String::from_utf8_lossy(&zone.print_zone_block(Secrets::Show))).into()
}

/// The settings of all zones, so that zones that are served alike share them.
type Alike = FxHashSet<Arc<ZoneSettings>>;

/// The statements that a zone inherits from the blocks around it, apart from those of other modules.
const INHERITED: [&str; 11] = [
    "allow-query",
    "allow-query-on",
    "check-integrity",
    "check-mx",
    "check-mx-cname",
    "check-srv-cname",
    "max-records",
    "max-records-per-type",
    "max-types-per-name",
    "masterfile-format",
    "zone-statistics",
];

/// The configuration of a zone without statements of its own.
#[derive(Clone)]
struct Inherited {
    settings: Arc<ZoneSettings>,
    reading: Reading,
    /// Whether there is an `allow-transfer`.
    allow_transfer: bool,
}

impl Inherited {
    fn from_scope<'c>(scope: &Scope<'c, '_>, reader: &mut Reader<'c, '_>) -> Inherited {
        let reading = Reading::default();
        let allow_transfer = scope.find("allow-transfer").is_some();
        let mut all = Inherited { settings: Arc::default(), reading, allow_transfer };
        for name in INHERITED.into_iter().chain(transfers::NAMES) {
            if let Some(statement) = scope.find(name) {
                all.take(statement, reader);
            }
        }
        for names in scope.all("check-names") {
            if names.argument().is_some_and(|of| of.is("primary") || of.is("master")) {
                all.take(names, reader);
            }
        }
        all
    }

    fn take<'c>(&mut self, statement: Statement<'c>, reader: &mut Reader<'c, '_>) {
        let number = || statement.argument().and_then(|part| values::number(&part.text())).unwrap_or(0);
        match statement.name() {
            name @ ("allow-query" | "allow-query-on") => match reader.acls.read(statement.block()) {
                Ok(acl) if name == "allow-query" => self.settings().allow_query = acl,
                Ok(acl) => self.settings().allow_query_on = acl,
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
            "check-mx" => self.reading.targets.mx = check(statement),
            "check-mx-cname" => self.reading.targets.mx_cname = check(statement),
            "check-srv-cname" => self.reading.targets.srv_cname = check(statement),
            "zone-statistics" => {
                let level = statement.argument();
                self.settings().statistics = match level.and_then(|part| values::yes_no(&part.text())) {
                    Some(true) => ZoneStatistics::Full,
                    Some(false) => ZoneStatistics::None,
                    None if level.is_some_and(|part| part.is("full")) => ZoneStatistics::Full,
                    None if level.is_some_and(|part| part.is("none")) => ZoneStatistics::None,
                    None => ZoneStatistics::Terse,
                };
            }
            "masterfile-format" => {
                let raw = statement.argument().is_some_and(|part| part.is("raw"));
                self.reading.format = if raw { FileFormat::Raw } else { FileFormat::Text };
            }
            _ => transfers::take(&mut self.settings().outbound, statement, reader),
        }
    }

    fn settings(&mut self) -> &mut ZoneSettings {
        Arc::make_mut(&mut self.settings)
    }
}

/// `ignore`, `warn` or `fail`.
fn check(statement: Statement<'_>) -> Check {
    match statement.argument() {
        Some(part) if part.is("ignore") => Check::Ignore,
        Some(part) if part.is("fail") => Check::Fail,
        _ => Check::Warn,
    }
}

fn one<'c>(
    zone: Statement<'c>,
    directory: &Path,
    all: &Inherited,
    alike: &mut Alike,
    reader: &mut Reader<'c, '_>,
) -> Option<ZoneConfig> {
    let (mut own, mut file, mut journal, mut allow_transfer) = (None, None, None, all.allow_transfer);
    for statement in zone.block() {
        match statement.name() {
            "type" => is_served(statement.argument()?, reader).then_some(())?,
            "file" => file = statement.argument(),
            "journal" => journal = statement.argument(),
            name if name == "check-names" || INHERITED.contains(&name) || transfers::NAMES.contains(&name) => {
                allow_transfer |= name == "allow-transfer";
                own.get_or_insert_with(|| all.clone()).take(statement, reader);
            }
            _ => {}
        }
    }
    if !allow_transfer {
        ForEverybody::note(&mut reader.for_everybody, zone);
    }
    let said = own.as_ref().unwrap_or(all);
    let settings = if Arc::ptr_eq(&said.settings, &all.settings) {
        Arc::clone(&all.settings)
    } else {
        match alike.get(&said.settings) {
            Some(settings) => Arc::clone(settings),
            None => {
                alike.insert(Arc::clone(&said.settings));
                Arc::clone(&said.settings)
            }
        }
    };
    // The grammar's checks let no primary zone without a file pass, and other sources of its data are errors of their
    // own.
    Some(ZoneConfig {
        origin: origin(zone)?,
        file: directory.join(path(&file?.text())),
        journal: journal.map(|journal| directory.join(path(&journal.text()))),
        settings,
        reading: said.reading,
        written: Written::Configured,
    })
}

/// The name of a zone. The grammar's checks let only domain names pass.
pub(crate) fn origin(zone: Statement<'_>) -> Option<Name> {
    Name::from_ascii(zone.argument()?.text()).ok()
}

/// The types of zone that only matter to recursion.
const RESOLVING: [&str; 6] = ["hint", "forward", "stub", "static-stub", "redirect", "delegation-only"];

/// The type of a zone that cannot be served; `in-view` for one that is declared in another view.
pub(crate) fn unservable(zone: Statement<'_>) -> Option<String> {
    match zone.block().find("type").and_then(Statement::argument) {
        Some(kind) => RESOLVING.iter().any(|resolving| kind.is(resolving)).then(|| kind.shown()),
        None => Some("in-view".into()),
    }
}

/// Whether zones of this type can be served; if not, that is reported.
fn is_served(kind: Part<'_>, reader: &mut Reader<'_, '_>) -> bool {
    if kind.is("primary") || kind.is("master") {
        return true;
    }
    let shown = kind.shown();
    let finding = if kind.is("hint") || kind.is("delegation-only") {
        kind.warning(format!("a zone of type {shown} serves recursion only: it has no effect"))
    } else if RESOLVING.iter().any(|resolving| kind.is(resolving)) {
        let error = kind.error(format!("zones of type {shown} are not supported: they serve recursion only"));
        error.help("remove the zone, and let a resolver have it")
    } else {
        kind.error(format!("zones of type {shown} are not supported yet")).help("only `type primary` is")
    };
    reader.findings.push(finding);
    false
}
