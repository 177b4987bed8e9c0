//! Reads named.conf into settings.
//!
//! [`zonefmt::conf`] parses named.conf and checks its form. [`Config::load`] takes it from there: it reports statements
//! that cannot be obeyed, and yields settings for the engine, addresses to listen on, zones to load and channels to log
//! to. Nothing runs here; [`serve`](crate::serve) makes a server of a [`Config`].
//!
//! * The whole server: `options`, `listen`, `controls`, `statistics`, `logging`, `dnstap`, `run_files`.
//! * Its parts: `views`; `zones`, which have statements of their own and `inherited` ones, among them those about
//!   `transfers`, `notify` and `updates`; `new_zones` for those that `rndc addzone` added, and `catalogs` for those that
//!   catalogs list.
//! * What statements of several kinds are made of: `acl` for address match lists, `interfaces` for the addresses of
//!   this machine, `keys` for secrets, `inet` for the addresses of channels, `floods` for rate limits and cookies,
//!   `remotes` and `peers` for other servers.
//! * `scope`: in which block a statement is looked for; `support`: what is reported of statements that are not obeyed.

mod acl;
mod catalogs;
mod controls;
mod dnstap;
mod floods;
mod inet;
mod inherited;
mod interfaces;
mod keys;
mod listen;
mod logging;
mod named_file;
mod new_zones;
mod notify;
mod options;
mod peers;
mod remotes;
mod run_files;
mod scope;
mod statistics;
mod support;
mod transfers;
mod updates;
mod views;
mod zones;

pub use catalogs::{CatalogConfig, Catalogs, NoPrimaries};
pub use interfaces::Interfaces;
pub use named_file::NamedFile;
pub(crate) use new_zones::{Additions, NewZones, whole};
pub use run_files::RunFiles;
pub(crate) use run_files::{RunFile, SessionKey};
pub use views::{SharedZone, ViewConfig};
pub use zones::{Check, Reading, Role, TargetChecks, Written, ZoneConfig};
pub(crate) use zones::{origin, unservable};

use std::{
    mem,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zonefmt::{
    Name,
    conf::{self, Conf, Statement},
    diagnostics::{Diagnostic, Severity, Source},
};

use crate::{
    listen::TcpLimits,
    logs::Logging,
    settings::ServerSettings,
    stats,
    tsig::{Keyring, TsigKey},
};
use acl::Acls;
use controls::Controls;
use new_zones::{Growing, LeftOut};
use remotes::Remotes;
use scope::Scope;
use support::Judge;

/// What the command line sets. It takes precedence over named.conf.
#[derive(Clone, Copy, Default, Debug)]
pub struct Overrides {
    /// The port of addresses that are written without one (`-p`).
    pub port: Option<u16>,
    /// The one family of addresses to listen on (`-4`, `-6`).
    pub only: Option<Family>,
}

/// A family of IP addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A configuration: everything that named.conf and the command line say.
#[derive(Debug)]
pub struct Config {
    /// The settings of the whole server.
    pub settings: Arc<ServerSettings>,
    /// The addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Addresses to listen on that no interface of this machine has yet.
    pub awaited: Vec<IpAddr>,
    /// The addresses of this machine as they were when lists with `localhost` and `localnets` were read.
    pub interfaces: Interfaces,
    /// How often to look whether those addresses changed; `None`: never.
    pub interface_interval: Option<Duration>,
    /// Bounds on TCP clients.
    pub tcp: TcpLimits,
    /// The control channel.
    pub(crate) controls: Controls,
    /// The folder that names of files are relative to.
    pub directory: PathBuf,
    /// The files of the process number, the lock and the session key.
    pub run_files: RunFiles,
    /// Where log lines go, as far as named.conf says.
    pub logging: Logging,
    /// The addresses at which statistics are served (`statistics-channels`).
    pub statistics_channels: Vec<stats::Listener>,
    /// The file that `rndc stats` appends to (`statistics-file`).
    pub statistics_file: PathBuf,
    /// Where dnstap messages go; `None`: nowhere.
    pub dnstap: Option<crate::dnstap::Output>,
    /// The file that `rndc dumpdb` writes (`dump-file`).
    pub dump_file: PathBuf,
    /// The views, at least one, with their zones.
    pub views: Vec<ViewConfig>,
    /// The views to which zones may be added while the server runs; `None` if there are none.
    pub(crate) additions: Option<Additions>,
    /// The SHA-256 of named.conf and then of the files that it includes, in hexadecimal. Without includes it is what
    /// `sha256sum` says of the file.
    pub hash: String,
    /// The SHA-256 of named.conf alone, in hexadecimal.
    pub file_hash: String,
    /// The warnings about named.conf, and the errors of added zones, which are left out.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// Reads named.conf at `path`, and what it includes.
    ///
    /// # Errors
    /// Everything that is wrong or cannot be obeyed, with the warnings.
    pub fn load(path: &Path, overrides: Overrides) -> Result<Config, Vec<Diagnostic>> {
        Config::read(conf::load(path).map_err(support::without_signing)?, overrides)
    }

    /// Reads a text that includes nothing, as [`Config::load`] reads a file.
    pub fn parse(source: Source, overrides: Overrides) -> Result<Config, Vec<Diagnostic>> {
        Config::read(conf::parse(source).map_err(support::without_signing)?, overrides)
    }

    fn read(conf: Conf, overrides: Overrides) -> Result<Config, Vec<Diagnostic>> {
        let mut findings = conf.warnings().to_vec();
        let growing = new_zones::of_views(&conf, &mut findings);
        let port = overrides.port.unwrap_or_else(|| listen::port(&conf));
        let mut reader = Reader::new(&conf, port, &mut findings);
        let config = Config::assemble(&conf, &growing, port, overrides.only, &mut reader);
        let for_everybody = reader.for_everybody.take();
        let mut left_out = mem::take(&mut reader.left_out);
        findings.extend(for_everybody.map(ForEverybody::warning));
        findings.extend(judge(conf.statements()));
        // What is an error there leaves the zone out, which has been done.
        let added = growing.iter().filter_map(|view| view.zones.as_ref()).flat_map(Conf::statements);
        findings.extend(judge(added).into_iter().filter(|finding| finding.severity != Severity::Error));
        // Zones that cannot be read are left out, with an error each.
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(findings);
        }
        let files: Vec<_> = growing.into_iter().map(|view| view.without(&mut left_out, &mut findings)).collect();
        let additions = (!files.is_empty()).then(|| Additions::new(conf, port, files));
        Ok(Config { warnings: findings, additions, ..config })
    }

    /// Adds a key that requests in every view may be signed with.
    pub(crate) fn add_key(&mut self, key: &TsigKey) {
        let with = |ring: &Keyring| Arc::new(Keyring::new(ring.iter().cloned().chain([key.clone()])));
        let (before, after) = (Arc::clone(&self.settings.keys), with(&self.settings.keys));
        for view in &mut self.views {
            view.keys = if Arc::ptr_eq(&view.keys, &before) { Arc::clone(&after) } else { with(&view.keys) };
        }
        Arc::make_mut(&mut self.settings).keys = after;
    }

    fn assemble<'c>(
        conf: &'c Conf,
        growing: &'c [Growing],
        port: u16,
        only: Option<Family>,
        reader: &mut Reader<'c, '_>,
    ) -> Config {
        let options = conf.statements().find("options");
        if let Err(error) = reader.acls.read_all(conf) {
            reader.findings.push(*error);
        }
        let scope = Scope::new(options.into_iter().flat_map(Statement::block), None);
        let directory = options::directory(&scope, reader);
        let known = keys::read(&conf.statements(), reader.findings);
        let tcp = options::tcp(&scope, reader);
        let peers = peers::read(conf.statements().all("server"));
        let settings =
            options::settings(&scope, port, peers, keys::ring(&known, None), tcp.timeouts.advertised, reader);
        let places = listen::places(&scope, port, only, reader);
        let logging = logging::read(conf.statements().find("logging"), options, &directory);
        let controls = controls::read(conf, &known, reader);
        Config {
            listen: places.sockets,
            awaited: places.awaited,
            interfaces: reader.acls.interfaces().clone(),
            interface_interval: Interfaces::interval(&scope),
            tcp,
            controls,
            run_files: RunFiles::read(&scope, &directory, reader),
            logging,
            statistics_channels: statistics::channels(conf, reader),
            statistics_file: statistics::file(&scope, &directory),
            dnstap: dnstap::output(&scope, &directory),
            dump_file: directory.join(scope.path("dump-file").unwrap_or_else(|| "named_dump.db".into())),
            views: views::read(conf, growing, &scope, &settings, &directory, reader),
            settings: Arc::new(settings),
            hash: hash(conf.sources()),
            file_hash: hash(conf.sources().take(1)),
            directory,
            additions: None,
            warnings: Vec::new(),
        }
    }
}

/// The hashes of named.conf at a moment, which nobody has checked; `None` while it cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hashes {
    /// As [`Config::hash`].
    pub(crate) all: String,
    /// As [`Config::file_hash`].
    pub(crate) file: String,
}

impl Hashes {
    /// The hashes that the files have now.
    pub(crate) fn of(path: &Path) -> Option<Hashes> {
        let texts = conf::texts(path).ok()?;
        Some(Hashes { all: hash(texts.iter()), file: hash(texts.iter().take(1)) })
    }
}

fn hash<'s>(sources: impl Iterator<Item = &'s Source>) -> String {
    let mut hash = Sha256::new();
    sources.for_each(|source| hash.update(source.text()));
    HEXLOWER.encode(&hash.finalize())
}

/// What every function that reads statements needs, and where it reports.
struct Reader<'c, 'f> {
    acls: Acls<'c>,
    remotes: Remotes<'c>,
    /// The name of the session key, if there is one.
    session_key: Option<Name>,
    findings: &'f mut Vec<Diagnostic>,
    for_everybody: Option<ForEverybody<'c>>,
    /// Added zones that cannot be served, with the names of their views.
    left_out: Vec<(Arc<str>, LeftOut)>,
}

/// The zones without an `allow-transfer`: the first, and the number of the others.
struct ForEverybody<'c> {
    first: Statement<'c>,
    more: usize,
}

impl<'c> ForEverybody<'c> {
    /// Takes note of such a zone.
    fn note(noted: &mut Option<ForEverybody<'c>>, zone: Statement<'c>) {
        match noted {
            Some(noted) => noted.more += 1,
            None => *noted = Some(ForEverybody { first: zone, more: 0 }),
        }
    }

    fn warning(self) -> Diagnostic {
        let more = match self.more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message =
            format!("no `allow-transfer` for this zone{more}: as in BIND 9.18, that lets everybody transfer it");
        self.first.warning(message).help("write `allow-transfer { none; };`, or name those who may")
    }
}

impl<'c, 'f> Reader<'c, 'f> {
    /// `port` is that of servers that are written without one.
    fn new(conf: &'c Conf, port: u16, findings: &'f mut Vec<Diagnostic>) -> Reader<'c, 'f> {
        let interfaces = Interfaces::now().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot list the addresses of this machine: localhost and localnets match none");
            Interfaces::default()
        });
        let (acls, remotes) = (Acls::new(conf, interfaces), Remotes::new(conf, port));
        let session_key = run_files::session_key(conf);
        Reader { acls, remotes, session_key, findings, for_everybody: None, left_out: Vec::new() }
    }
}

/// Reports all statements that are not obeyed.
fn judge<'c>(statements: impl Iterator<Item = Statement<'c>>) -> Vec<Diagnostic> {
    let mut judge = Judge::default();
    for statement in statements {
        match statement.name() {
            "view" => {
                for inner in statement.block() {
                    judge.statement(inner);
                    if let "zone" | "server" = inner.name() {
                        inner.block().for_each(|inner| judge.statement(inner));
                    }
                }
            }
            "options" | "template" | "zone" | "server" => statement.block().for_each(|inner| judge.statement(inner)),
            // A policy that no zone uses changes nothing.
            "dnssec-policy" => {}
            _ => judge.statement(statement),
        }
    }
    judge.finish()
}
