//! The control channel: how `rndc` speaks to a running server.
//!
//! * [`message`]: octets to messages and back, signed; [`session`]: a conversation, without sockets and clock.
//! * [`command`]: the commands, with those that add and remove zones in [`new_zones`], those about signing in [`signing`],
//!   those of a resolver in [`resolver`], and `dumpdb` in [`dump`]; [`reply`]: what rndc gets back.
//! * Here: sockets and their limits. A command goes as a [`Job`] to the thread that owns the server, one at a time.

mod command;
mod dump;
mod message;
mod new_zones;
mod reply;
mod resolver;
mod session;
mod signing;

pub use command::{Done, perform};
pub use reply::{CommandError, Failure, Reply};

use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{access::Acl, keys::Key, notice, sync::lock};
use message::MAX_MESSAGE;
use session::{Heard, Replays, Session};

/// A place to be controlled from: one `inet` of `controls`.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where to listen.
    pub address: SocketAddr,
    /// Who may connect.
    pub allow: Acl,
    /// Whose commands are heard.
    pub keys: Vec<Key>,
    /// Whether commands that change something are refused.
    pub read_only: bool,
}

/// A command that waits to be carried out.
#[derive(Debug)]
pub struct Job {
    /// The command line.
    pub line: String,
    /// Whether it may change something.
    pub read_only: bool,
    answer: oneshot::Sender<Reply>,
}

/// The control channel of a server.
pub struct Control {
    runtime: Runtime,
    shared: Arc<Shared>,
    listeners: BTreeMap<SocketAddr, Listening>,
}

/// Why there is no control channel at an address.
#[derive(Debug)]
pub struct ControlError {
    address: SocketAddr,
    error: io::Error,
}

struct Listening {
    rules: Arc<ArcSwap<Listener>>,
    task: JoinHandle<()>,
}

/// What all connections share.
struct Shared {
    jobs: mpsc::Sender<Job>,
    seats: Arc<Semaphore>,
    replays: Mutex<Replays>,
}

/// Connections at a time.
const SEATS: usize = 32;
/// How long a connection may be idle, and how long a message may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long whoever failed has to wait, and keeps its seat, so that keys cannot be tried quickly.
const PENALTY: Duration = Duration::from_secs(1);
/// How long the end waits for connections to be closed by the other side.
const FAREWELL: Duration = Duration::from_secs(1);

impl Control {
    /// A channel that sends its commands here; it listens nowhere yet.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(jobs: mpsc::Sender<Job>) -> io::Result<Control> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("control")
            .enable_io()
            .enable_time()
            .build()?;
        let shared = Shared { jobs, seats: Arc::new(Semaphore::new(SEATS)), replays: Mutex::default() };
        Ok(Control { runtime, shared: Arc::new(shared), listeners: BTreeMap::new() })
    }

    /// Listens at these places and at no others; a connection that is open stays. Gives what did not succeed.
    pub fn listen(&mut self, listeners: Vec<Listener>) -> Vec<ControlError> {
        let mut former = std::mem::take(&mut self.listeners);
        let mut errors = Vec::new();
        for listener in listeners {
            let address = listener.address;
            if let Some(same) = former.remove(&address) {
                same.rules.store(Arc::new(listener));
                self.listeners.insert(address, same);
                continue;
            }
            match self.runtime.block_on(TcpListener::bind(address)) {
                Ok(socket) => {
                    notice!(target: "general", "command channel listening on {}", Shown(address));
                    let rules = Arc::new(ArcSwap::from_pointee(listener));
                    let task = self.runtime.spawn(accept(socket, Arc::clone(&rules), Arc::clone(&self.shared)));
                    self.listeners.insert(address, Listening { rules, task });
                }
                Err(error) => errors.push(ControlError { address, error }),
            }
        }
        for (address, closed) in former {
            notice!(target: "general", "stopping command channel on {}", Shown(address));
            closed.task.abort();
        }
        errors
    }

    /// Closes the channel, once whoever was answered had a moment to read it.
    pub fn stop(mut self) {
        self.listen(Vec::new());
        let all_gone = self.shared.seats.acquire_many(SEATS as u32);
        // Who stays is cut off.
        let _ = self.runtime.block_on(async { timeout(FAREWELL, all_gone).await });
        self.runtime.shutdown_background();
    }
}

impl Job {
    /// Sends the reply to the client.
    pub fn answer(self, reply: Reply) {
        // The client may have gone away.
        let _ = self.answer.send(reply);
    }
}

async fn accept(socket: TcpListener, rules: Arc<ArcSwap<Listener>>, shared: Arc<Shared>) {
    loop {
        // Never closed, so it only waits.
        let Ok(seat) = Arc::clone(&shared.seats).acquire_owned().await else { return };
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(target: "general", "command channel: cannot accept: {error}");
                sleep(PENALTY).await;
                continue;
            }
        };
        if !rules.load().allow.allows(peer.ip()) {
            warn!(target: "general", "rejected command channel message from {}", Shown(peer));
            continue;
        }
        let (rules, shared) = (Arc::clone(&rules), Arc::clone(&shared));
        tokio::spawn(async move {
            if let Err(why) = converse(stream, &rules, &shared).await {
                warn!(target: "general", "invalid command from {}: {why}", Shown(peer));
                sleep(PENALTY).await;
            }
            drop(seat);
        });
    }
}

/// Hears commands until the other side has no more.
async fn converse(mut stream: TcpStream, rules: &ArcSwap<Listener>, shared: &Shared) -> Result<(), String> {
    // A hasher of a random key gives a number that nobody can foretell.
    let nonce = RandomState::new().build_hasher().finish() as u32;
    let mut session = Session::new(nonce);
    while let Some(message) = receive(&mut stream).await? {
        let (rules, now) = (rules.load_full(), seconds());
        let heard = {
            let mut replays = lock(&shared.replays);
            session.hear(&message, &rules.keys, &mut replays, now).map_err(|refusal| refusal.to_string())?
        };
        let answer = match heard {
            Heard::Greeting(answer) => answer,
            Heard::Command(request) => {
                info!(target: "general", "received control channel command '{}'", request.line.escape_debug());
                let (answer, reply) = oneshot::channel();
                let job = Job { line: request.line.clone(), read_only: rules.read_only, answer };
                if shared.jobs.send(job).is_err() {
                    return Ok(());
                }
                match reply.await {
                    Ok(reply) => request.answer(&reply, seconds()),
                    // The server is going away.
                    Err(_) => return Ok(()),
                }
            }
        };
        match timeout(PATIENCE, stream.write_all(&answer)).await {
            Ok(Ok(())) => {}
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// What follows a message's length field; `None` at the end.
async fn receive(stream: &mut TcpStream) -> Result<Option<Vec<u8>>, String> {
    let Ok(Ok(length)) = timeout(PATIENCE, stream.read_u32()).await else { return Ok(None) };
    let length = length as usize;
    if length == 0 || length > MAX_MESSAGE {
        return Err(format!("a message of {length} octets, where 1 to {MAX_MESSAGE} are allowed"));
    }
    let mut message = vec![0; length];
    match timeout(PATIENCE, stream.read_exact(&mut message)).await {
        Ok(Ok(_)) => Ok(Some(message)),
        _ => Ok(None),
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An address as named shows it: `127.0.0.1#953`.
struct Shown(SocketAddr);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.0.ip(), self.0.port())
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "couldn't add command channel {}: {}", Shown(self.address), self.error)
    }
}

impl std::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
