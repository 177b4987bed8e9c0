//! The `catalog-zones` statement, and the templates that the groups of catalogs name.
//!
//! A member of a catalog is a secondary zone. It has the settings of its template, if one of its groups has one, and
//! otherwise what the view says; what the catalog itself says of the member prevails over both.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zonefmt::{
    Name,
    conf::{Conf, Statement, values},
};

use super::{
    ForEverybody, NamedFile, Reader, Reading, Role, Written, ZoneConfig,
    inherited::{Inherited, is_inherited},
    scope::{Scope, path},
};
use crate::{
    catalog::{Members, Properties},
    settings::{Remote, Secondary, ZoneSettings},
};

/// The catalogs of a view, and how their members are served.
#[derive(Debug)]
pub struct Catalogs {
    /// The catalogs in the order of named.conf.
    pub catalogs: Vec<CatalogConfig>,
    view: Arc<str>,
    directory: PathBuf,
    /// The port of primaries: a catalog lists addresses only.
    port: u16,
    /// What holds for members without a template.
    plain: Template,
    /// By the name of the group.
    templates: HashMap<Vec<u8>, Template>,
    /// The settings that were made for members, as most members have the same.
    made: HashMap<Kind, Made>,
}

/// A catalog in `catalog-zones`.
#[derive(Clone, Debug)]
pub struct CatalogConfig {
    /// The name of the catalog zone.
    pub origin: Name,
    /// The least time between two changes of the members (`min-update-interval`).
    pub min_update_interval: Duration,
    /// The primaries of members without any (`default-primaries`).
    primaries: Vec<Remote>,
    /// The folder of the members' files, as it is written; `None` if these are kept in memory only.
    folder: Option<PathBuf>,
    /// The file that lists those files; `None` if there are none.
    pub copies: Option<PathBuf>,
}

/// What `template` or a view says of secondary zones.
#[derive(Debug)]
struct Template {
    settings: Inherited,
    primaries: Option<Vec<Remote>>,
}

/// What the settings of a member depend on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Kind {
    catalog: Name,
    template: Option<Box<[u8]>>,
    properties: Properties,
}

/// The settings of members of a kind.
#[derive(Clone, Debug)]
struct Made {
    settings: Arc<ZoneSettings>,
    secondary: Arc<Secondary>,
    reading: Reading,
}

/// A member cannot be served: nothing says which servers have it.
#[derive(Debug)]
pub struct NoPrimaries;

/// The most kinds of members whose settings are shared; of more, each member has settings of its own.
const MAX_KINDS: usize = 1000;

/// The catalogs of a view, with the scope of its statements; `None` without `catalog-zones`.
pub(super) fn read<'c>(
    conf: &'c Conf,
    view: &Arc<str>,
    scope: &Scope<'c, '_>,
    directory: &Path,
    reader: &mut Reader<'c, '_>,
) -> Option<Catalogs> {
    let statement = scope.find("catalog-zones")?;
    // What the view says was reported when its zones were read.
    let reported = reader.findings.len();
    let all = Inherited::from_scope(scope, reader);
    reader.findings.truncate(reported);
    let mut catalogs = Vec::new();
    for entry in statement.block() {
        if !all.allow_transfer {
            ForEverybody::note(&mut reader.for_everybody, entry);
        }
        catalogs.extend(one(entry, view, directory, reader));
    }
    let mut templates = HashMap::new();
    for statement in conf.statements().all("template") {
        let Some(name) = statement.argument() else { continue };
        templates.insert(name.text().into_owned(), template(statement, &all, reader));
    }
    Some(Catalogs {
        catalogs,
        view: Arc::clone(view),
        directory: directory.to_owned(),
        port: reader.remotes.port(),
        plain: Template { settings: all.of_secondary(), primaries: None },
        templates,
        made: HashMap::new(),
    })
}

/// Reads `zone NAME [default-primaries …] [zone-directory …] [in-memory …] [min-update-interval …]`.
fn one<'c>(entry: Statement<'c>, view: &str, directory: &Path, reader: &mut Reader<'c, '_>) -> Option<CatalogConfig> {
    let parts = entry.arguments();
    let origin = Name::from_ascii(parts.clone().nth(1)?.text()).ok()?;
    let mut in_memory = parts.behind("in-memory").and_then(|part| values::yes_no(&part.text())).unwrap_or(false);
    let written = parts.behind("zone-directory");
    let folder = written.map(|part| path(&part.text())).unwrap_or_default();
    if let Some(part) = written.filter(|_| !in_memory && !directory.join(&folder).is_dir()) {
        // As with named.
        let message = format!("there is no directory `{}`: the members of the catalog get no files", part.shown());
        reader.findings.push(part.warning(message).help("make it, so that they are served at once after a restart"));
        in_memory = true;
    }
    let copies = (!in_memory).then(|| directory.join(&folder).join(list_name(view, &origin)));
    let interval = parts.behind("min-update-interval").and_then(|part| values::duration(&part.text()));
    Some(CatalogConfig {
        origin,
        min_update_interval: Duration::from_secs(interval.unwrap_or(0).into()),
        primaries: reader.remotes.read(entry, reader.findings),
        folder: (!in_memory).then_some(folder),
        copies,
    })
}

/// Reads `template NAME { … }` in a view.
fn template<'c>(statement: Statement<'c>, all: &Inherited, reader: &mut Reader<'c, '_>) -> Template {
    let (mut settings, mut primaries) = (all.clone(), None);
    for statement in statement.block() {
        match statement.name() {
            "primaries" | "masters" => primaries = Some(reader.remotes.read(statement, reader.findings)),
            name if is_inherited(name) => settings.take(statement, reader),
            _ => {}
        }
    }
    Template { settings: settings.of_secondary(), primaries }
}

impl Catalogs {
    /// The configuration of a member, as its catalog and its template say.
    ///
    /// # Errors
    /// Nothing says which servers have the zone.
    pub fn zone(&mut self, members: &Members, zone: &Name) -> Result<ZoneConfig, NoPrimaries> {
        let (catalog, member) = members.owner(zone).ok_or(NoPrimaries)?;
        let config = self.catalogs.iter().find(|config| config.origin == *catalog).ok_or(NoPrimaries)?;
        let template = member.groups().find(|group| self.templates.contains_key(*group)).map(Into::into);
        let properties = members.properties(zone).unwrap_or_default();
        let kind = Kind { catalog: catalog.clone(), template, properties };
        let made = match self.made.get(&kind) {
            Some(made) => made.clone(),
            None => self.make(config, &kind)?,
        };
        let file = config.folder.as_ref().map(|folder| folder.join(file_name(&self.view, catalog, zone)));
        let file = file.map(|file| NamedFile::new(&self.directory, &file));
        let Made { settings, secondary, reading } = made.clone();
        if self.made.len() < MAX_KINDS {
            self.made.insert(kind, made);
        }
        Ok(ZoneConfig {
            origin: zone.clone(),
            role: Role::Secondary(file, secondary),
            journal: None,
            settings,
            reading,
            written: Written::Member,
        })
    }

    /// The name of the file with a member's copy.
    pub fn file_name(&self, catalog: &Name, zone: &Name) -> String {
        file_name(&self.view, catalog, zone)
    }

    fn make(&self, config: &CatalogConfig, kind: &Kind) -> Result<Made, NoPrimaries> {
        let template = kind.template.as_ref().and_then(|name| self.templates.get(&**name)).unwrap_or(&self.plain);
        let primaries = match (&kind.properties.primaries, &template.primaries) {
            (Some(listed), _) => listed
                .iter()
                .map(|primary| Remote {
                    address: SocketAddr::new(primary.address, self.port),
                    key: primary.key.clone(),
                })
                .collect(),
            (None, Some(primaries)) => primaries.clone(),
            (None, None) => config.primaries.clone(),
        };
        if primaries.is_empty() {
            return Err(NoPrimaries);
        }
        let mut settings = template.settings.clone();
        if let Some(list) = &kind.properties.allow_query {
            settings.settings().allow_query = list.clone();
        }
        if let Some(list) = &kind.properties.allow_transfer {
            settings.settings().outbound.allow.clients = list.clone();
        }
        let Inherited { settings, inbound, reading, .. } = settings;
        Ok(Made { settings, secondary: Arc::new(Secondary { primaries: primaries.into(), inbound }), reading })
    }
}

/// The name that named gives the file of a member, so that either server finds the other's copies.
fn file_name(view: &str, catalog: &Name, zone: &Name) -> String {
    /// The octets of a hash in hexadecimal, and one that named's counting has more.
    const LONGEST: usize = 65;
    let (catalog, zone) = (catalog.as_ref(), zone.as_ref());
    let stem = format!("{view}_{}_{}", catalog.without_final_dot(), zone.without_final_dot());
    if stem.len() > LONGEST || stem.contains(['\\', '/', ':']) {
        return format!("__catz__{}.db", HEXLOWER.encode(&Sha256::digest(stem)));
    }
    format!("__catz__{stem}.db")
}

/// The name of the file that lists the copies of a catalog's members. It is another one for each catalog of each view,
/// whatever their names are.
fn list_name(view: &str, catalog: &Name) -> String {
    format!("__catz__{}.labels", HEXLOWER.encode(&Sha256::digest(format!("{view}\0{}", catalog.to_lowercase()))))
}

impl fmt::Display for NoPrimaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no primaries: write `default-primaries` in `catalog-zones`, or give the catalog `primaries.ext`")
    }
}

impl std::error::Error for NoPrimaries {}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use zonefmt::{Rtype, diagnostics::Source, zone::FileFormat};

    use super::*;
    use crate::{
        catalog::Catalog,
        config::{Config, Overrides},
        zone::ZoneData,
    };

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn read(text: &str) -> Catalogs {
        let config = Config::parse(Source::new("named.conf", text), Overrides::default()).unwrap();
        config.views.into_iter().next_back().unwrap().catalogs.unwrap()
    }

    /// The members of the catalog `c.`, which says `records` of these zones.
    fn members(zones: &[&str], records: &[(&str, Rtype, &[u8])]) -> Members {
        let mut edit = ZoneData::new(name("c")).edit();
        let mut add = |owner: &str, rtype, rdata: &[u8]| {
            edit.add(name(&format!("{owner}.c")).as_ref(), rtype, 0, rdata).unwrap();
        };
        add("version", Rtype::TXT, b"\x012");
        for (node, zone) in zones.iter().enumerate() {
            add(&format!("{node}.zones"), Rtype::PTR, name(zone).as_ref().as_wire());
        }
        for (owner, rtype, rdata) in records {
            add(owner, *rtype, rdata);
        }
        let mut members = Members::default().with_catalogs([name("c")]);
        members.replace(&name("c"), Catalog::read(&edit.commit(), None).unwrap().catalog);
        members
    }

    fn primaries(zone: &ZoneConfig) -> Vec<String> {
        let primaries = zone.role.secondary().unwrap().primaries.iter();
        let key = |remote: &Remote| remote.key.as_ref().map_or(String::new(), |key| format!(" key {key}"));
        primaries.map(|remote| format!("{}{}", remote.address, key(remote))).collect()
    }

    fn is_open(zone: &ZoneConfig) -> bool {
        zone.settings.allow_query.allows(IpAddr::from([192, 0, 2, 77]))
    }

    const ZONE: &str = "zone c { type secondary; primaries { 192.0.2.1; }; };";

    #[test]
    fn a_member_has_the_settings_of_secondaries() {
        let mut catalogs = read(&format!(
            "options {{ port 5300; directory \"/usr\"; allow-query {{ none; }}; min-refresh-time 77;\
             catalog-zones {{ zone \"C\" default-primaries port 54 {{ 192.0.2.1; 192.0.2.2 key k; }}\
             zone-directory \"lib\" min-update-interval 1m; }}; }};\
             key k {{ algorithm hmac-sha256; secret \"c2VjcmV0\"; }}; {ZONE}"
        ));
        let members = members(&["a.test", "B.test"], &[]);
        let zone = catalogs.zone(&members, &name("a.test")).unwrap();
        assert_eq!(primaries(&zone), ["192.0.2.1:54", "192.0.2.2:54 key k."]);
        assert_eq!(zone.role.file().unwrap().path(), Path::new("/usr/lib/__catz___default_c_a.test.db"));
        assert_eq!((zone.reading.format, is_open(&zone)), (FileFormat::Raw, false));
        assert_eq!(zone.role.secondary().unwrap().inbound.refresh.least, 77);
        assert_eq!(catalogs.catalogs[0].min_update_interval, Duration::from_secs(60));
        let other = catalogs.zone(&members, &name("B.test")).unwrap();
        assert_eq!(other.role.file().unwrap().as_written(), Path::new("lib/__catz___default_c_B.test.db"));
        assert!(Arc::ptr_eq(&zone.settings, &other.settings), "zones that are served alike share their settings");
        assert!(catalogs.zone(&members, &name("c.test")).is_err());
        // As with named, a missing directory costs the copies only.
        let catalog = "catalog-zones { zone c default-primaries { 192.0.2.1; } zone-directory \"/nowhere\"; };";
        let mut catalogs = read(&format!("options {{ {catalog} }}; {ZONE}"));
        assert!(catalogs.zone(&members, &name("a.test")).unwrap().role.file().is_none());
    }

    #[test]
    fn what_the_catalog_says_prevails_over_the_template_and_that_over_the_rest() {
        let mut catalogs = read(&format!(
            "options {{ port 5300; catalog-zones {{ zone c in-memory yes default-primaries {{ 192.0.2.9; }}; }}; }};\
             template t {{ primaries {{ 192.0.2.1; }}; allow-query {{ none; }}; masterfile-format text; notify no; }};\
             {ZONE}"
        ));
        let group: (&str, Rtype, &[u8]) = ("group.1.zones", Rtype::TXT, b"\x01t");
        let unknown: (&str, Rtype, &[u8]) = ("group.0.zones", Rtype::TXT, b"\x01u");
        let mut zone = |zone: &str, records: &[(&str, Rtype, &[u8])]| {
            let members = members(&["a.test", "b.test"], &[&[group, unknown], records].concat());
            catalogs.zone(&members, &name(zone)).map_err(|error| error.to_string())
        };
        let [a, b] = ["a.test", "b.test"].map(|origin| zone(origin, &[]).unwrap());
        assert_eq!([primaries(&a), primaries(&b)], [["192.0.2.9:5300"], ["192.0.2.1:5300"]]);
        assert_eq!([is_open(&a), is_open(&b)], [true, false]);
        assert_eq!((b.role.file(), b.reading.format), (None, FileFormat::Text));
        let b = zone(
            "b.test",
            &[
                ("primaries.ext", Rtype::A, &[192, 0, 2, 3]),
                ("allow-query.ext.1.zones", Rtype::APL, &[]),
                ("allow-transfer.ext", Rtype::APL, b"\0\x01\x08\x01\x0a"),
            ],
        );
        let b = b.unwrap();
        assert_eq!(primaries(&b), ["192.0.2.3:5300"]);
        assert_eq!(b.settings.outbound.allow.clients.rules().len(), 1);
        // A key that cannot be read leads to no other primaries.
        let none = zone("b.test", &[("primaries.ext.1.zones", Rtype::TXT, b"\x01a\x01b")]);
        assert!(none.unwrap_err().contains("`default-primaries`"));
    }

    #[test]
    fn a_view_has_its_own_catalogs_or_those_of_options() {
        let options = "options { catalog-zones { zone c; }; };";
        let own =
            read(&format!("{options} view v {{ catalog-zones {{ zone d; }}; {} }};", ZONE.replace("zone c", "zone d")));
        assert_eq!(own.catalogs[0].origin, name("d"));
        let inherited = read(&format!("{options} view v {{ {ZONE} }};"));
        assert_eq!(inherited.catalogs[0].origin, name("c"));
        assert_eq!(file_name("v", &name("c"), &name(".")), "__catz__v_c_..db");
    }

    /// named 9.18 writes these files for a view and members of these names.
    #[test]
    fn files_have_the_names_that_named_gives_them() {
        let file = |zone: &str| file_name("_default", &name("c"), &name(zone));
        assert_eq!(file("a.test"), "__catz___default_c_a.test.db");
        let long = format!("{}.test", "a".repeat(60));
        for zone in [long.as_str(), "a/b.test", "0/25.2.0.192.in-addr.arpa"] {
            let stem = format!("_default_c_{zone}");
            assert_eq!(file(zone), format!("__catz__{}.db", HEXLOWER.encode(&Sha256::digest(stem))));
        }
    }

    #[test]
    fn what_cannot_hold_for_all_members_is_an_error_in_a_template() {
        for (statement, message) in [
            ("file \"f\";", "`file` would be the same for all zones"),
            ("type forward;", "a template is for the members of catalogs, which are secondary zones"),
            ("allow-update { any; };", "`allow-update` has no meaning in"),
            ("primaries { 192.0.2.1 tls ephemeral; };", "other servers cannot be reached over TLS yet"),
        ] {
            let text = format!("options {{ catalog-zones {{ zone c; }}; }}; template t {{ {statement} }}; {ZONE}");
            let findings = Config::parse(Source::new("named.conf", text), Overrides::default()).unwrap_err();
            assert!(findings.iter().any(|finding| finding.message.contains(message)), "{statement}: {findings:?}");
        }
    }
}
