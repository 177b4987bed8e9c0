//! TCP (RFC 7766): one task per connection, on a runtime with as many threads as there are workers.
//!
//! An idle connection owns nothing. To answer, it borrows a responder and buffers from the [`Pool`] for one synchronous
//! round between two waits. It keeps only the octets of an incomplete request or of replies that the client has not
//! received, both bounded in size and time (`connection`). `clients` decides who may connect.

mod clients;
mod connection;

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    task::{AbortHandle, JoinSet},
    time,
};

use self::clients::Clients;
pub(crate) use self::clients::origin;
pub use self::clients::{FamilyCounts, TcpCounts};
use self::connection::{Connection, OUTPUT, READ};
use super::{Client, Later, Messages, Next, Now, Respond, Response, TcpLimits, Transport, later::Delivery};
use crate::sync::lock;

/// How often idle responders drop the data that they hold.
const IDLE: Duration = Duration::from_secs(1);

/// How long accepting pauses after an error that may persist, such as too many open files.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// How long stopping waits for tasks that are in the middle of a round.
const STOP: Duration = Duration::from_secs(5);

/// The state that all TCP listeners share.
pub(super) struct Server<R: Respond> {
    /// `Some` until dropped.
    runtime: Option<Runtime>,
    clients: Arc<Clients>,
    pool: Arc<Pool<R>>,
}

impl<R: Respond> Server<R> {
    pub(super) fn start(
        workers: NonZeroUsize,
        limits: TcpLimits,
        responder: Arc<dyn Fn() -> R + Send + Sync>,
    ) -> io::Result<Server<R>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers.get())
            .thread_name("tcp")
            .enable_io()
            .enable_time()
            .build()?;
        let pool = Arc::new(Pool { idle: Mutex::new(Vec::new()), responder });
        runtime.spawn({
            let pool = Arc::clone(&pool);
            async move {
                loop {
                    time::sleep(IDLE).await;
                    pool.release();
                }
            }
        });
        Ok(Server { runtime: Some(runtime), clients: Arc::new(Clients::new(limits)), pool })
    }

    /// A handle for counting connections.
    pub(super) fn connections(&self) -> Connections {
        Connections(Arc::clone(&self.clients))
    }

    /// The limits of new connections.
    pub(super) fn limits(&self) -> TcpLimits {
        self.clients.limits()
    }

    /// Sets the limits of new connections.
    pub(super) fn set_limits(&self, limits: TcpLimits) {
        self.clients.set_limits(limits);
    }

    /// Accepts connections on a listening, non-blocking socket bound to `addr`.
    pub(super) fn accept(&self, listener: TcpListener, addr: SocketAddr) -> io::Result<Acceptor> {
        let runtime = self.runtime.as_ref().expect("there until dropped");
        let _context = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (alive, ended) = mpsc::sync_channel(0);
        let task = runtime.spawn(accept(alive, listener, addr, Arc::clone(&self.clients), Arc::clone(&self.pool)));
        Ok(Acceptor { task: task.abort_handle(), ended })
    }
}

impl<R: Respond> Drop for Server<R> {
    fn drop(&mut self) {
        // The acceptors and their connections have ended, so there is nothing to wait for; and waiting here is
        // forbidden if the caller is itself a task.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A handle for counting the connections of a server.
#[derive(Clone)]
pub struct Connections(Arc<Clients>);

impl Connections {
    /// The number of past and present connections.
    pub fn counts(&self) -> TcpCounts {
        self.0.counts()
    }
}

/// One listening socket and its connections, which are closed when it is dropped.
pub(super) struct Acceptor {
    task: AbortHandle,
    /// Disconnected once the task and all its connections are gone.
    ended: mpsc::Receiver<()>,
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(mpsc::RecvTimeoutError::Timeout) = self.ended.recv_timeout(STOP) {
            tracing::warn!("TCP connections are still being closed");
        }
    }
}

/// Accepts connections. `alive` is held by this task and by each of its connections; being the first parameter, it is
/// dropped last, after the sockets.
async fn accept<R: Respond>(
    alive: mpsc::SyncSender<()>,
    listener: tokio::net::TcpListener,
    local: SocketAddr,
    clients: Arc<Clients>,
    pool: Arc<Pool<R>>,
) {
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, addr)) => {
                failing = false;
                if pool.with(|worker| worker.ignores(addr.ip())) {
                    tracing::debug!(client = %addr, %local, "TCP connection dropped: the client is ignored");
                    continue;
                }
                let Some(seat) = clients.admit(addr.ip()) else {
                    tracing::debug!(client = %addr, %local, "TCP connection refused: too many");
                    continue;
                };
                let id = seat.id();
                // If it listens on a wildcard, only the accepted socket knows the address that the client connected to.
                let client = Client { addr, local: stream.local_addr().unwrap_or(local), transport: Transport::Tcp };
                let connection = Connection::new(stream, client, seat, Arc::clone(&pool));
                let alive = alive.clone();
                let task = connections.spawn(async move {
                    let _alive = alive;
                    let end = connection.serve().await;
                    tracing::debug!(client = %addr, %local, %end, "TCP connection closed");
                });
                clients.seated(id, task);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%local, %error, "cannot accept TCP connections");
                }
                time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// What a round of answers needs. There are never more of these than threads in the runtime.
struct Worker<R> {
    responder: R,
    input: Box<[u8]>,
    output: Box<[u8]>,
}

impl<R: Respond> Worker<R> {
    fn ignores(&mut self, addr: IpAddr) -> bool {
        self.responder.refresh(Now::read());
        self.responder.ignores(addr)
    }
}

/// The workers that no connection is using at the moment.
struct Pool<R> {
    idle: Mutex<Vec<Worker<R>>>,
    responder: Arc<dyn Fn() -> R + Send + Sync>,
}

impl<R: Respond> Pool<R> {
    /// Lends a worker to `round`, which must not wait.
    fn with<T>(&self, round: impl FnOnce(&mut Worker<R>) -> T) -> T {
        let worker = lock(&self.idle).pop();
        let mut worker = worker.unwrap_or_else(|| Worker {
            responder: (self.responder)(),
            input: vec![0; READ].into(),
            output: vec![0; OUTPUT].into(),
        });
        let result = round(&mut worker);
        lock(&self.idle).push(worker);
        result
    }

    fn release(&self) {
        for worker in lock(&self.idle).iter_mut() {
            worker.responder.release();
        }
    }
}
