//! named.conf → settings.
//!
//! [`Config::load`] reads and judges named.conf ([`zonefmt::conf`] has checked its form), and gives settings for the
//! engine, addresses to listen on, zones to load and places to log to. [`serve`](crate::serve) makes a server of it.
//!
//! * `scope`: where a statement is looked for, `options` around `view`; `options`, `listen`: statements about the whole
//!   server; `views`, `zones`: about each view and zone.
//! * `acl`, `interfaces`, `keys`: address match lists, the addresses of this machine, secrets; `inet`: the addresses of
//!   `controls` and `statistics` channels; `run_files`: the process number's file, the lock and the session key.
//! * `floods`: rate limits and cookies; `logging`, `dnstap`: what is logged and tapped, and where to.
//! * `new_zones`: the zones that `rndc addzone` added before.
//! * `support`: what is said of the statements that are not obeyed.

mod acl;
mod controls;
mod dnstap;
mod floods;
mod inet;
mod interfaces;
mod keys;
mod listen;
mod logging;
mod new_zones;
mod options;
mod run_files;
mod scope;
mod statistics;
mod support;
mod views;
pub(crate) mod zones;

pub use interfaces::Interfaces;
pub(crate) use new_zones::{NewZones, whole};
pub use run_files::RunFiles;
pub(crate) use run_files::{RunFile, SessionKey};
pub use statistics::Statistics;
pub use views::{SharedZone, ViewConfig};
pub use zones::{Limits, Reading, ZoneConfig};

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zonefmt::{
    conf::{self, Conf, Statement},
    diagnostics::{Diagnostic, Severity, Source},
};

use crate::{
    control::Listener,
    listen::TcpLimits,
    logs::Logging,
    settings::ServerSettings,
    tsig::{Keyring, TsigKey},
};
use acl::Acls;
use new_zones::Growing;
use scope::Scope;
use support::Judge;

/// What the command line says, which comes before what named.conf says.
#[derive(Clone, Copy, Default, Debug)]
pub struct Overrides {
    /// The port for addresses without one.
    pub port: Option<u16>,
    /// Listen on IPv4 addresses only, or on IPv6 addresses only.
    pub only: Option<Family>,
}

/// A family of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// All that a configuration says.
#[derive(Debug)]
pub struct Config {
    /// For the whole server.
    pub settings: Arc<ServerSettings>,
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// The addresses of this machine that lists of `localhost` and `localnets` hold.
    pub interfaces: Interfaces,
    /// How often to look for other addresses.
    pub interface_interval: Option<Duration>,
    /// Bounds on TCP clients.
    pub tcp: TcpLimits,
    /// Where to be controlled from.
    pub controls: Vec<Listener>,
    /// What names of files are relative to.
    pub directory: PathBuf,
    /// Where to write the process's number and the like.
    pub run_files: RunFiles,
    /// Where log lines go, as far as named.conf says it.
    pub logging: Logging,
    /// Where counters are told.
    pub statistics: Statistics,
    /// Where messages go that dnstap is to have.
    pub dnstap: Option<crate::dnstap::Output>,
    /// What `rndc dumpdb` writes (`dump-file`).
    pub dump_file: PathBuf,
    /// The views, with their zones; one at least.
    pub views: Vec<ViewConfig>,
    /// How zones may be added while it runs, if they may.
    pub(crate) additions: Option<Additions>,
    /// SHA-256 of named.conf and then of what it includes, in hexadecimal: `sha256sum` says the same of a single file.
    pub hash: String,
    /// What was found that is no error.
    pub warnings: Vec<Diagnostic>,
}

/// What zones that are added while the server runs are read against, and where they are kept.
#[derive(Debug)]
pub(crate) struct Additions {
    pub(crate) conf: Conf,
    /// By view.
    pub(crate) files: Vec<NewZones>,
}

impl Config {
    /// Reads named.conf at `path`, and what it includes.
    ///
    /// # Errors
    /// All that is wrong, or cannot be obeyed; and warnings.
    pub fn load(path: &Path, overrides: Overrides) -> Result<Config, Vec<Diagnostic>> {
        Config::read(conf::load(path)?, overrides)
    }

    /// As [`Config::load`], from a text that includes nothing.
    pub fn parse(source: Source, overrides: Overrides) -> Result<Config, Vec<Diagnostic>> {
        Config::read(conf::parse(source)?, overrides)
    }

    fn read(conf: Conf, overrides: Overrides) -> Result<Config, Vec<Diagnostic>> {
        let mut findings = conf.warnings().to_vec();
        let growing = new_zones::of_views(&conf, &mut findings);
        let mut reader = Reader::new(&conf, &mut findings);
        let config = Config::assemble(&conf, &growing, overrides, &mut reader);
        let for_everybody = reader.for_everybody.take();
        findings.extend(for_everybody.map(ForEverybody::warning));
        findings.extend(judge(&conf, growing.iter().filter_map(|view| view.zones.as_ref())));
        // Zones that cannot be read are left out, with an error each.
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(findings);
        }
        let files: Vec<_> = growing.into_iter().map(|view| view.file).collect();
        let additions = (!files.is_empty()).then_some(Additions { conf, files });
        Ok(Config { warnings: findings, additions, ..config })
    }

    /// Lets requests in every view be signed with one more key.
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
        overrides: Overrides,
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
        let settings = options::settings(&scope, keys::ring(&known, None), tcp.timeouts.advertised, reader);
        let port = overrides.port.unwrap_or_else(|| listen::port(&scope));
        let logging = logging::read(conf.statements().find("logging"), options, &directory);
        Config {
            listen: listen::addresses(&scope, port, overrides.only, reader),
            interfaces: reader.acls.interfaces().clone(),
            interface_interval: Interfaces::interval(&scope),
            tcp,
            controls: controls::listeners(conf, &known, reader),
            run_files: RunFiles::read(&scope, &directory, reader),
            logging,
            statistics: Statistics::read(conf, &scope, &directory, reader),
            dnstap: dnstap::output(&scope, &directory),
            dump_file: directory.join(scope.path("dump-file").unwrap_or_else(|| "named_dump.db".into())),
            views: views::read(conf, growing, &scope, &settings, &directory, reader),
            settings: Arc::new(settings),
            hash: hash(conf),
            directory,
            additions: None,
            warnings: Vec::new(),
        }
    }
}

fn hash(conf: &Conf) -> String {
    let mut hash = Sha256::new();
    conf.sources().for_each(|source| hash.update(source.text()));
    HEXLOWER.encode(&hash.finalize())
}

/// What reading statements needs and yields.
struct Reader<'c, 'f> {
    acls: Acls<'c>,
    findings: &'f mut Vec<Diagnostic>,
    for_everybody: Option<ForEverybody<'c>>,
}

/// Zones that nobody said who may transfer: the first, and how many there are beside it.
struct ForEverybody<'c> {
    first: Statement<'c>,
    more: usize,
}

impl<'c> ForEverybody<'c> {
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
        self.first
            .warning(message)
            .help("transfers are refused for now; write `allow-transfer { none; };`, or name those who may")
    }
}

impl<'c, 'f> Reader<'c, 'f> {
    fn new(conf: &'c Conf, findings: &'f mut Vec<Diagnostic>) -> Reader<'c, 'f> {
        let interfaces = Interfaces::now().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot list the addresses of this machine: localhost and localnets match none");
            Interfaces::default()
        });
        Reader { acls: Acls::new(conf, interfaces), findings, for_everybody: None }
    }
}

/// Reports on all statements that are not obeyed, those of zones that were added included.
fn judge<'c>(conf: &'c Conf, added: impl Iterator<Item = &'c Conf>) -> Vec<Diagnostic> {
    let mut judge = Judge::default();
    for statement in conf.statements().chain(added.flat_map(Conf::statements)) {
        match statement.name() {
            "view" => {
                for inner in statement.block() {
                    judge.statement(inner);
                    if inner.name() == "zone" {
                        inner.block().for_each(|inner| judge.statement(inner));
                    }
                }
            }
            "options" | "zone" => statement.block().for_each(|inner| judge.statement(inner)),
            // A policy that no zone uses changes nothing.
            "dnssec-policy" => {}
            _ => judge.statement(statement),
        }
    }
    judge.finish()
}
