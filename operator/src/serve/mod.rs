//! `bindy serve`: serves manifests from a folder over UDP and TCP, in one process.
//!
//! One thread does everything but answering queries: it waits for changes of files or a signal (`watch`), compiles,
//! selects the zones that this server serves (`scope`), makes the serials durable, publishes the zones, and reports
//! what it did (`news`). Meanwhile the threads of the engine answer queries.

mod news;
mod scope;
mod watch;

use std::{
    fmt, io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use bindy_server::{
    listen::{self, ListenError, TcpLimits},
    respond::Responder,
    settings::ZoneSettings,
    zones::{Published, Snapshot, View, Zone, ZoneChange, ZoneState},
};
use sha2::{Digest, Sha256};
use zonefmt::Name;

use crate::{
    api::Kind,
    compile::{Change, Compiler, ZoneStep},
    manifest::{Folder, FolderError},
    servers::ServerId,
    state::{State, StateError},
    terminal::Output,
};
use news::{News, Place};
use scope::Scope;
use watch::{Event, Watch};

/// The arguments of `bindy serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The folder with the manifests (*.yaml, *.yml, *.json, including those in subfolders), or a single manifest file.
    dir: PathBuf,
    /// Address to serve on, over UDP and TCP; may be given several times. Port 0 takes a free port.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5300", value_parser = address)]
    listen: Vec<SocketAddr>,
    /// Folder that keeps the serials across restarts [default: one for each DIR, below $XDG_STATE_HOME]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// How to report events; as JSON, each line is an event.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Serve only the zones of this server, to the clients that its configuration allows: a Bind9Instance, or
    /// CLUSTER-ROLE-NUMBER for one that a Bind9Cluster makes [default: all zones, to everybody]
    #[arg(long, value_name = "NAMESPACE/NAME")]
    instance: Option<ServerId>,
}

/// Why serving did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The manifests cannot be read.
    Folder(FolderError),
    /// The server given by `--instance` is not declared, or its declaration has errors.
    Instance(String),
    /// The serials cannot be kept.
    State(StateError),
    /// There is no default place for the serials.
    NoHome,
    /// An address cannot be listened on.
    Listen(ListenError),
    /// The folder cannot be watched.
    Watch(PathBuf, notify::Error),
    /// Signals cannot be waited for.
    Signals(io::Error),
}

/// Serves until SIGINT or SIGTERM.
pub fn run(options: &Options) -> Result<(), ServeError> {
    // Watching starts before reading, so that no change is missed in between.
    let mut watch = Watch::start(&options.dir)?;
    let state_folder = options.state.clone().or_else(|| default_state(&options.dir)).ok_or(ServeError::NoHome)?;
    let (state, published) = State::open(&state_folder).map_err(ServeError::State)?;
    let mut news = News::new(options.output);
    let mut folder = Folder::new(options.dir.clone());
    let mut first = folder.look().map_err(ServeError::Folder)?;
    let scope = Scope::of(options.instance.clone(), folder.resources()).map_err(|error| {
        // The cause may be a file with errors.
        news.files(&first);
        ServeError::Instance(error)
    })?;
    let mut serving = Serving::new(folder, state, Compiler::new(published), scope);

    let step = serving.compiler.apply(std::mem::take(&mut first.changes));
    serving.publish(step.zones).map_err(ServeError::State)?;
    let answering = Arc::clone(&serving.published);
    let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let config = listen::Config { addresses: options.listen.clone(), workers, tcp: TcpLimits::default() };
    let listeners =
        listen::start(&config, move || Responder::new(Arc::clone(&answering))).map_err(ServeError::Listen)?;

    let (addresses, serves) = (listeners.local_addrs(), |origin: &Name| serving.settings_of(origin).is_some());
    let at = Place { dir: &options.dir, state: &state_folder, addresses: &addresses, serves: &serves };
    news.serving(&serving.folder, &serving.compiler, &first, &at);
    loop {
        match watch.next(serving.trouble.is_some()) {
            Event::Stop => break,
            Event::Look => serving.look(&mut watch, &mut news),
        }
    }
    listeners.stop();
    news.stopped();
    Ok(())
}

/// The state that changes while serving.
struct Serving {
    folder: Folder,
    state: State,
    compiler: Compiler,
    scope: Scope,
    published: Arc<Published>,
    /// The changes of zones that are compiled but not published yet, because their serials could not be made durable.
    pending: Vec<ZoneStep>,
    /// The failure at the last look, so that it is reported once.
    trouble: Option<String>,
}

impl Serving {
    fn new(folder: Folder, state: State, compiler: Compiler, scope: Scope) -> Serving {
        let published = Arc::new(Published::new(Snapshot::default()));
        let serving = Serving { folder, state, compiler, scope, published, pending: Vec::new(), trouble: None };
        serving.rescope();
        serving
    }

    /// Takes over what changed in the folder. If something goes wrong, what was served stays served.
    fn look(&mut self, watch: &mut Watch, news: &mut News) {
        let result = self.folder.look().map_err(|error| format!("{error}; what was served stays served"));
        let result = result.and_then(|update| {
            news.files(&update);
            if update.changes.iter().filter_map(Change::id).any(|id| matches!(id.kind, Kind::Infrastructure(_))) {
                if let Err(error) = self.scope.learn(self.folder.resources()) {
                    news.failure(&error);
                }
                self.rescope();
            }
            let step = self.compiler.apply(update.changes);
            news.verdicts(&self.folder, &self.compiler, &step.judged);
            self.publish(step.zones).map_err(|error| format!("{error}; nothing new is served before that works"))
        });
        match result {
            Ok(published) => {
                if self.trouble.take().is_some() {
                    // The folder may have been replaced by another one of the same name.
                    watch.again();
                    news.recovered();
                }
                news.zones(&published, &self.compiler);
            }
            Err(trouble) if self.trouble.as_ref() == Some(&trouble) => {}
            Err(trouble) => {
                news.failure(&trouble);
                self.trouble = Some(trouble);
            }
        }
    }

    /// Publishes changed zones once their serials are durable, and returns those that were published.
    fn publish(&mut self, zones: Vec<ZoneStep>) -> Result<Vec<ZoneStep>, StateError> {
        self.pending.extend(zones);
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        self.state.save(self.compiler.published())?;
        let changes = self.pending.iter().map(|ZoneStep { origin, .. }| self.zone(origin));
        self.published.update(|snapshot| snapshot.change(View::DEFAULT, changes));
        let mut shown = std::mem::take(&mut self.pending);
        shown.retain(|step| step.after.is_none() || self.settings_of(&step.origin).is_some());
        Ok(shown)
    }

    /// Serves every zone according to the servers that are declared now.
    fn rescope(&self) {
        let known = self.compiler.zones().map(|(origin, _)| origin);
        // Zones that are not published yet are left to their own step.
        let published = known.filter(|origin| self.pending.iter().all(|step| step.origin != **origin));
        let changes: Vec<ZoneChange> = published.map(|origin| self.zone(origin)).collect();
        let settings = self.scope.view_settings();
        self.published.update(|snapshot| {
            snapshot.views.iter_mut().for_each(|view| view.settings = Arc::clone(&settings));
            snapshot.change(View::DEFAULT, changes);
        });
    }

    /// What to serve of a zone.
    fn zone(&self, origin: &Name) -> ZoneChange {
        match (self.compiler.zone(origin), self.settings_of(origin)) {
            (Some(data), Some(settings)) => {
                let state = ZoneState::Loaded(data.clone());
                ZoneChange::Put(Arc::new(Zone::new(origin.clone(), settings, state)))
            }
            _ => ZoneChange::Remove(origin.clone()),
        }
    }

    /// The settings with which a zone is served here; `None` if it is not.
    fn settings_of(&self, origin: &Name) -> Option<Arc<ZoneSettings>> {
        let id = self.compiler.zone_resource(origin)?;
        self.scope.settings_of(&self.folder.manifest(id)?.resource)
    }
}

/// Parses an argument of `--listen`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an IP address and a port, as 127.0.0.1:5300 or [::1]:5300")
}

/// The folder for the state of a folder of manifests (XDG Base Directory Specification). Its name is recognisable and
/// unique.
fn default_state(dir: &Path) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let hash = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    let short = hash.iter().take(6).fold(0, |number: u64, octet| number << 8 | u64::from(*octet));
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Some(base.join("bindy/serve").join(format!("{name}-{short:012x}")))
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Folder(error) => error.fmt(f),
            ServeError::Instance(error) => f.write_str(error),
            ServeError::State(error) => error.fmt(f),
            ServeError::NoHome => f.write_str("no place to keep serials: set HOME, or name a folder with --state"),
            ServeError::Listen(error) => {
                error.fmt(f)?;
                match error {
                    ListenError::Bind(..) => f.write_str("; `--listen ADDR:PORT` chooses another address"),
                    ListenError::Start(..) => Ok(()),
                }
            }
            ServeError::Watch(path, error) => {
                write!(f, "cannot watch {}: ", path.display())?;
                match &error.kind {
                    notify::ErrorKind::MaxFilesWatch => {
                        f.write_str("too many files are watched; raise fs.inotify.max_user_watches with sysctl")
                    }
                    notify::ErrorKind::PathNotFound => {
                        f.write_str("it is not there; name a folder of manifests, or one manifest")
                    }
                    notify::ErrorKind::Io(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                        write!(f, "{cause}; allow this user to read it")
                    }
                    notify::ErrorKind::Io(cause) => cause.fmt(f),
                    _ => error.fmt(f),
                }
            }
            ServeError::Signals(error) => write!(f, "cannot wait for signals: {error}"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServeError::Folder(error) => Some(error),
            ServeError::State(error) => Some(error),
            ServeError::Listen(error) => Some(error),
            ServeError::Watch(_, error) => Some(error),
            ServeError::Signals(error) => Some(error),
            ServeError::Instance(_) | ServeError::NoHome => None,
        }
    }
}
