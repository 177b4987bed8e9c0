//! The `zone` statements.

use std::{
    hash::Hash,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::FxHashSet;
use zonefmt::{
    Name,
    conf::{Conf, Part, Secrets, Statement, Statements},
    diagnostics::{Diagnostic, Severity},
    zone::{CheckNames, FileFormat},
};

use super::{
    ForEverybody, NamedFile, Reader, SharedZone,
    inherited::{Inherited, is_inherited},
    new_zones::{Growing, LeftOut},
    scope::{Scope, path},
    support::Judge,
    updates,
};
use crate::settings::{Limits, Secondary, ZoneSettings};

/// The configuration of a zone.
#[derive(Clone, Debug)]
pub struct ZoneConfig {
    /// Its name.
    pub origin: Name,
    /// Where its data comes from.
    pub role: Role,
    /// Its journal, unless that is in the usual place beside the file.
    pub journal: Option<PathBuf>,
    /// How it is served. Zones that are served alike share their settings.
    pub settings: Arc<ZoneSettings>,
    /// How its zone file is read.
    pub reading: Reading,
    /// Where its statement is.
    pub written: Written,
}

/// Where a zone's data comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// From this zone file (`type primary`).
    Primary(NamedFile),
    /// From other servers (`type secondary`), with a copy in this file for the next start, if there is one.
    Secondary(Option<NamedFile>, Arc<Secondary>),
}

impl Role {
    /// The file that has the zone, or a copy; a secondary may have none.
    pub fn file(&self) -> Option<&NamedFile> {
        match self {
            Role::Primary(file) => Some(file),
            Role::Secondary(copy, _) => copy.as_ref(),
        }
    }

    /// How a secondary zone comes from its primaries.
    pub fn secondary(&self) -> Option<&Arc<Secondary>> {
        match self {
            Role::Primary(_) => None,
            Role::Secondary(_, secondary) => Some(secondary),
        }
    }

    /// Whether both are of the same type and have the same file.
    pub fn is_alike(&self, other: &Role) -> bool {
        self.secondary().is_some() == other.secondary().is_some() && self.file() == other.file()
    }
}

/// Where the statement of a zone is. A statement that rndc gave is on one line and has no semicolon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Written {
    /// In named.conf.
    Configured,
    /// Nowhere: a catalog lists the zone.
    Member,
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
            Written::Configured | Written::Member | Written::Modified(_) => None,
        }
    }

    /// The statement, unless it is as named.conf has it.
    pub(crate) fn line(&self) -> Option<&str> {
        match self {
            Written::Added(line) | Written::Modified(line) => Some(line),
            Written::Configured | Written::Member => None,
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

impl TargetChecks {
    /// The checks of a zone that clients change: they can take the address or the name of a host away that an MX or SRV
    /// record far off needs, and what was acknowledged must load again. So such a host only causes a warning.
    #[must_use]
    pub(crate) fn of_changing(self) -> TargetChecks {
        let [mx, mx_cname, srv_cname] = [self.mx, self.mx_cname, self.srv_cname].map(|check| match check {
            Check::Fail => Check::Warn,
            Check::Ignore | Check::Warn => check,
        });
        TargetChecks { mx, mx_cname, srv_cname }
    }
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
/// views. A zone with an error is reported and left out; one that was added is no error of the configuration.
pub(super) fn read<'c>(
    statements: &Statements<'c>,
    added: Option<&'c Growing>,
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
    let Some((file, added)) = added.and_then(|added| Some((&added.file, added.zones.as_ref()?))) else {
        return (zones, shared);
    };
    let written: FxHashSet<Name> =
        zones.iter().map(|zone| &zone.origin).chain(shared.iter().map(|zone| &zone.origin)).cloned().collect();
    for zone in added.statements() {
        let Some(origin) = origin(zone) else { continue };
        let before = reader.findings.len();
        let config = one(zone, directory, &all, &mut alike, reader);
        if written.contains(&origin) {
            let error = zone.error(format!("the zone {origin} was added, and is in the configuration, too"));
            reader.findings.push(error.help("remove it there, or its line here"));
        }
        let mut judge = Judge::default();
        zone.block().for_each(|statement| judge.statement(statement));
        reader.findings.extend(judge.finish().into_iter().filter(|finding| finding.severity == Severity::Error));
        let line = line(&origin, zone);
        let is_sound = reader.findings[before..].iter().all(|finding| finding.severity != Severity::Error);
        match config.filter(|_| is_sound) {
            Some(config) => zones.push(ZoneConfig { written: Written::Added(line), ..config }),
            None => {
                let why = reader.findings.split_off(before);
                reader.left_out.push((Arc::clone(&file.view), LeftOut::new(format!("{line};").as_bytes(), why)));
            }
        }
    }
    (zones, shared)
}

/// Reads the statement of a zone that is to be added to a view of this configuration; `port` is that of servers that are
/// written without one. `None` if there is an error among the findings.
pub(super) fn read_one<'c>(
    conf: &'c Conf,
    view: &str,
    zone: Statement<'c>,
    directory: &Path,
    port: u16,
) -> (Option<ZoneConfig>, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let mut reader = Reader::new(conf, port, &mut findings);
    let options = Scope::new(conf.statements().find("options").into_iter().flat_map(Statement::block), None);
    let statements = conf.statements();
    let view = statements.all("view").find(|statement| statement.argument().is_some_and(|name| name.shown() == view));
    let scope = Scope::new(view.into_iter().flat_map(Statement::block), Some(&options));
    if let Some(view) = view {
        reader.remotes.enter(view);
    }
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

/// The settings of all zones so far, so that zones that are alike share them.
#[derive(Default)]
struct Alike {
    settings: FxHashSet<Arc<ZoneSettings>>,
    secondaries: FxHashSet<Arc<Secondary>>,
}

/// This value, or an equal one among those so far.
fn shared<T: Eq + Hash + ?Sized>(values: &mut FxHashSet<Arc<T>>, value: Arc<T>) -> Arc<T> {
    match values.get(&value) {
        Some(known) => Arc::clone(known),
        None => {
            values.insert(Arc::clone(&value));
            value
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
    let (kind, origin) = (kind(zone.block().find("type")?.argument()?, reader)?, origin(zone)?);
    let (mut own, mut file, mut journal, mut primaries, mut policy) = (None, None, None, None, None);
    for statement in zone.block() {
        match statement.name() {
            "type" => {}
            "file" => file = statement.argument(),
            "journal" => journal = statement.argument(),
            "primaries" | "masters" => primaries = Some(statement),
            "update-policy" => policy = Some(statement),
            name if is_inherited(name) => own.get_or_insert_with(|| all.clone()).take(statement, reader),
            _ => {}
        }
    }
    // It prevails over an `allow-update` around.
    if let Some(policy) = policy {
        let policy = updates::policy(policy, &origin, reader);
        own.get_or_insert_with(|| all.clone()).settings().updates.policy = policy;
    }
    if !own.as_ref().unwrap_or(all).allow_transfer {
        ForEverybody::note(&mut reader.for_everybody, zone);
    }
    let place = |part: Part<'_>| NamedFile::new(directory, &path(&part.text()));
    let (said, role) = match kind {
        // The grammar's checks let no primary zone without a file pass, and other sources of its data are errors of
        // their own.
        Kind::Primary => (own, Role::Primary(place(file?))),
        Kind::Secondary => {
            let own = own.unwrap_or_else(|| all.clone()).of_secondary();
            let primaries = reader.remotes.read(primaries?, reader.findings);
            let secondary = Secondary { primaries: primaries.into(), inbound: Arc::clone(&own.inbound) };
            let secondary = shared(&mut alike.secondaries, Arc::new(secondary));
            (Some(own), Role::Secondary(file.map(place), secondary))
        }
    };
    let (settings, reading) = match said {
        None => (Arc::clone(&all.settings), all.reading),
        Some(own) => (shared(&mut alike.settings, own.settings), own.reading),
    };
    Some(ZoneConfig {
        origin,
        role,
        journal: journal.map(|journal| directory.join(path(&journal.text()))),
        settings,
        reading,
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

/// The types of zone that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Primary,
    Secondary,
}

/// The type of a zone. One that cannot be served is reported, and `None` unless it can at least be read.
fn kind(kind: Part<'_>, reader: &mut Reader<'_, '_>) -> Option<Kind> {
    if kind.is("primary") || kind.is("master") {
        return Some(Kind::Primary);
    }
    if kind.is("secondary") || kind.is("slave") {
        return Some(Kind::Secondary);
    }
    let shown = kind.shown();
    let finding = if kind.is("hint") || kind.is("delegation-only") {
        kind.warning(format!("a zone of type {shown} serves recursion only: it has no effect"))
    } else if RESOLVING.iter().any(|resolving| kind.is(resolving)) {
        let error = kind.error(format!("zones of type {shown} are not supported: they serve recursion only"));
        error.help("remove the zone, and let a resolver have it")
    } else {
        let error = kind.error(format!("zones of type {shown} are not supported yet"));
        error.help("only `type primary` and `type secondary` are")
    };
    reader.findings.push(finding);
    None
}

/// Reads the zones of a configuration without views.
#[cfg(test)]
pub(super) fn read_all(text: &str) -> (Vec<ZoneConfig>, Vec<String>) {
    use zonefmt::{conf, diagnostics::Source};

    let conf = conf::parse(Source::new("named.conf", text)).expect("a configuration");
    let mut findings = Vec::new();
    let mut reader = Reader::new(&conf, 53, &mut findings);
    let options = Scope::new(conf.statements().find("options").into_iter().flat_map(Statement::block), None);
    let (zones, _) = read(&conf.statements(), None, &options, Path::new("/var"), &mut reader);
    (zones, findings.into_iter().map(|finding| finding.message).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zonefmt::zone::{CheckNames, FileFormat};

    use super::*;
    use crate::{
        access::Acl,
        settings::{Bounds, Inbound, JournalSize, Whom},
        update::SerialMethod,
    };

    fn zones(text: &str) -> Vec<ZoneConfig> {
        let (zones, errors) = read_all(text);
        assert!(errors.is_empty(), "{errors:?}");
        zones
    }

    fn secondary(zone: &ZoneConfig) -> &Secondary {
        zone.role.secondary().unwrap_or_else(|| panic!("{zone:?}"))
    }

    #[test]
    fn a_secondary_has_the_defaults_of_named() {
        let both = zones(
            "zone a.test { type secondary; primaries { 192.0.2.1; }; };\
             zone b.test { type slave; masters { 192.0.2.1; }; file \"b\"; journal \"j\"; };",
        );
        let [a, b] = [&both[0], &both[1]].map(secondary);
        let copies = [&both[0], &both[1]].map(|zone| zone.role.file().cloned());
        assert_eq!(copies, [None, Some(NamedFile::new(Path::new("/var"), Path::new("b")))]);
        assert_eq!(both[1].journal.as_deref(), Some(Path::new("/var/j")));
        assert_eq!(*a.inbound, Inbound::default());
        assert_eq!(a.primaries[0].address, "192.0.2.1:53".parse().unwrap());
        assert!(std::ptr::eq(a, b));
        assert!(Arc::ptr_eq(&both[0].settings, &both[1].settings));
        assert_eq!((both[0].reading.check_names, both[0].reading.format), (CheckNames::Warn, FileFormat::Raw));
    }

    #[test]
    fn a_zone_overrides_what_options_say_of_secondaries() {
        let all = zones(
            "options { min-refresh-time 10; max-refresh-time 5; min-retry-time 6; max-retry-time 7; multi-master yes;\
             max-transfer-time-in 3; max-transfer-idle-in 4; request-ixfr no; request-expire no;\
             transfer-source 192.0.2.9 port 99; transfer-source-v6 2001:db8::9; allow-notify { 192.0.2.8; };\
             allow-update-forwarding { any; }; allow-signed-forwarding { any; }; max-journal-size 2m; serial-update-method unixtime;\
             masterfile-format text; check-names secondary fail; };\
             zone a.test { type secondary; primaries { 192.0.2.1; }; };\
             zone b.test { type secondary; primaries { 192.0.2.1; }; request-ixfr yes; max-refresh-time 50;\
             transfer-source *; max-journal-size unlimited; check-names ignore; masterfile-format raw; };\
             zone c.test { type primary; file \"c\"; serial-update-method date; max-journal-size default; };",
        );
        let [a, b] = [&all[0], &all[1]].map(|zone| Arc::clone(&secondary(zone).inbound));
        assert_eq!(a.refresh, Bounds { least: 10, most: 5 });
        assert_eq!((a.refresh.range(), b.refresh.range(), a.retry.range()), (10..=10, 10..=50, 6..=7));
        assert_eq!((a.max_time, a.max_idle), (Duration::from_secs(180), Duration::from_secs(240)));
        assert_eq!([a.multi_master, a.request_ixfr, a.request_expire], [true, false, false]);
        assert!(b.request_ixfr && !b.request_expire);
        assert_eq!((a.source.v4, b.source.v4), ("192.0.2.9:99".parse().unwrap(), "0.0.0.0:0".parse().unwrap()));
        assert_eq!(b.source.towards("[::1]:53".parse().unwrap()), "[2001:db8::9]:0".parse().unwrap());
        assert_ne!(a.allow_notify, Acl::none());
        assert_eq!([a.allow_update_forwarding.clone(), a.allow_signed_forwarding.clone()], [Acl::any(), Acl::any()]);
        let settings = |zone: usize| (all[zone].settings.journal_size, all[zone].settings.updates.serial);
        assert_eq!(settings(0), (JournalSize::Octets(2 << 20), SerialMethod::UnixTime));
        assert_eq!(settings(1), (JournalSize::Unlimited, SerialMethod::UnixTime));
        assert_eq!(settings(2), (JournalSize::TwiceTheZone, SerialMethod::Date));
        let reading = |zone: usize| (all[zone].reading.check_names, all[zone].reading.format);
        assert_eq!(reading(0), (CheckNames::Fail, FileFormat::Text));
        assert_eq!(reading(1), (CheckNames::Ignore, FileFormat::Raw));
    }

    #[test]
    fn some_statements_are_about_zones_of_one_type() {
        let settings = |options: &str| {
            let zones = zones(&format!(
                "options {{ {options} }}; zone a.test {{ type primary; file \"a\"; }};\
                 zone b.test {{ type secondary; primaries {{ 192.0.2.1; }}; }};"
            ));
            [&zones[0], &zones[1]].map(|zone| (zone.settings.notify.whom, zone.settings.ixfr_from_differences))
        };
        let (all, none) = (Whom::NameServers, Whom::Nobody);
        assert_eq!(settings(""), [(all, false), (all, false)]);
        assert_eq!(settings("notify primary-only; ixfr-from-differences yes;"), [(all, true), (none, true)]);
        assert_eq!(settings("notify master-only; ixfr-from-differences master;"), [(all, true), (none, false)]);
        assert_eq!(settings("notify no; ixfr-from-differences slave;"), [(none, false), (none, true)]);
        assert_eq!(settings("notify explicit;"), [(Whom::Listed, false); 2]);
    }
}
