//! Where requests come in: UDP and TCP sockets, their limits and their time-outs.
//!
//! Bytes go to a [`Respond`], bytes come back; nothing here knows what a DNS message says. Each address has one UDP
//! socket a worker, each with a thread of its own (`udp`), and one TCP socket whose connections share a small runtime
//! (`tcp`). [`start`] binds everything before it returns, [`Listeners::reconfigure`] changes the addresses of a running
//! server without touching those that stay.

mod socket;
mod tcp;
mod udp;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who asks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address and port that the request came from.
    pub addr: SocketAddr,
    /// The address and port that it was sent to.
    pub local: SocketAddr,
    /// What it came over.
    pub transport: Transport,
}

/// What a request came over, and a reply goes back over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams: the reply has to fit, and the client's address may be forged.
    Udp,
    /// A connection (RFC 7766): replies up to 65,535 bytes, from a client that does receive at its address.
    Tcp,
}

/// Answers requests. Each worker owns one, so that it may keep buffers and a cached view of the data.
pub trait Respond: Send + 'static {
    /// Takes note of the time and looks whether newer data was published. Called once a batch of requests.
    fn refresh(&mut self, now: Instant);

    /// Writes the reply to `request` into `out` and returns its length; `None`: nothing is sent.
    fn respond(&mut self, request: &[u8], client: &Client, out: &mut [u8]) -> Option<usize>;

    /// Whether the request answered last wants its connection kept open (edns-tcp-keepalive, RFC 7828).
    fn keepalive(&self) -> bool {
        false
    }

    /// Lets go of cached data: the worker is idle. The next call is `refresh`.
    fn release(&mut self) {}
}

/// What to listen on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses for UDP and TCP. Port 0 is a free one, the same for both.
    pub addresses: Vec<SocketAddr>,
    /// Threads for each address's UDP, and threads shared by all TCP connections.
    pub workers: NonZeroUsize,
    /// Bounds on TCP connections.
    pub tcp: TcpLimits,
}

/// Bounds on what TCP clients may take.
#[derive(Clone, Debug)]
pub struct TcpLimits {
    /// Connections at a time (`tcp-clients`). At the limit, the connection that has gone longest without a request
    /// makes room, unless all have had one within the last second; then the new one is closed.
    pub clients: usize,
    /// Connections at a time of one IPv4 address or IPv6 /64. The client's own connections make room, as above.
    pub clients_per_address: usize,
    /// Connections that the kernel may hold before they are accepted (`tcp-listen-queue`).
    pub listen_queue: u32,
    /// From the connection to the first byte of a request (`tcp-initial-timeout`).
    pub initial_timeout: Duration,
    /// From a reply to the first byte of the next request (`tcp-idle-timeout`).
    pub idle_timeout: Duration,
    /// The same for clients that sent edns-tcp-keepalive (`tcp-keepalive-timeout`).
    pub keepalive_timeout: Duration,
    /// From the first byte of a request to its last.
    pub message_timeout: Duration,
    /// From a reply that the client's window had no room for, to its last byte taken.
    pub write_timeout: Duration,
}

impl Default for TcpLimits {
    /// `named`'s, where it has such a limit; but a listen queue of 256, as 10 loses connections in any burst.
    fn default() -> TcpLimits {
        let clients = 150;
        TcpLimits {
            clients,
            clients_per_address: clients / 4,
            listen_queue: 256,
            initial_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(30),
            message_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// Binds all addresses of `config`, then starts to answer on them with what `responder` makes.
///
/// # Errors
/// An address that cannot be bound, or a thread that cannot be started; nothing is left running then.
pub fn start<R: Respond>(
    config: &Config,
    responder: impl Fn() -> R + Send + Sync + 'static,
) -> Result<Listeners<R>, ListenError> {
    let responder: Arc<dyn Fn() -> R + Send + Sync> = Arc::new(responder);
    let tcp = tcp::Server::start(config.workers, config.tcp.clone(), Arc::clone(&responder))
        .map_err(ListenError::starting("the TCP runtime"))?;
    let mut listeners = Listeners { running: HashMap::new(), workers: config.workers, responder, tcp };
    listeners.reconfigure(config)?;
    Ok(listeners)
}

/// A running set of listeners. Dropping it stops them, as [`Listeners::stop`] does.
pub struct Listeners<R: Respond> {
    /// By the address as configured, which has port 0 where any would do.
    running: HashMap<SocketAddr, Listener>,
    workers: NonZeroUsize,
    responder: Arc<dyn Fn() -> R + Send + Sync>,
    tcp: tcp::Server<R>,
}

/// One address: what answers there.
struct Listener {
    addr: SocketAddr,
    /// Dropped to stop.
    _udp: udp::Workers,
    _tcp: tcp::Acceptor,
}

impl<R: Respond> Listeners<R> {
    /// The addresses that are answered on, with the ports that the kernel chose where port 0 was asked for.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let mut addrs: Vec<_> = self.running.values().map(|listener| listener.addr).collect();
        addrs.sort_unstable();
        addrs
    }

    /// Listens on the addresses of `config` and on no others; what already runs goes on undisturbed, its connections
    /// included. New limits hold for new connections, a new length of the listen queue for new addresses. The number of
    /// workers stays what it was at the start.
    ///
    /// # Errors
    /// The first address that cannot be bound; the listeners are as before then.
    pub fn reconfigure(&mut self, config: &Config) -> Result<(), ListenError> {
        let mut bound = HashMap::new();
        for &addr in &config.addresses {
            if !self.running.contains_key(&addr) && !bound.contains_key(&addr) {
                bound.insert(addr, socket::bind(addr, self.workers, config.tcp.listen_queue)?);
            }
        }
        self.tcp.set_limits(config.tcp.clone());
        self.running.retain(|addr, _| config.addresses.contains(addr));
        for (addr, sockets) in bound {
            let listener = Listener {
                addr: sockets.addr,
                _tcp: self.tcp.accept(sockets.tcp, sockets.addr).map_err(ListenError::starting("a TCP listener"))?,
                _udp: udp::Workers::start(sockets.udp, sockets.addr, &*self.responder)
                    .map_err(ListenError::starting("a UDP worker"))?,
            };
            self.running.insert(addr, listener);
        }
        Ok(())
    }

    /// Stops answering: the sockets are closed, connections too, and the worker threads have ended.
    pub fn stop(self) {}
}

/// Why listening failed.
#[derive(Debug)]
pub enum ListenError {
    /// The address and transport could not be bound.
    Bind(SocketAddr, Transport, io::Error),
    /// A thread or the runtime could not be started.
    Start(&'static str, io::Error),
}

impl ListenError {
    fn starting(what: &'static str) -> impl FnOnce(io::Error) -> ListenError {
        move |error| ListenError::Start(what, error)
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::Bind(addr, transport, error) => {
                let (name, letter) = match transport {
                    Transport::Udp => ("UDP", 'u'),
                    Transport::Tcp => ("TCP", 't'),
                };
                write!(f, "cannot listen on {addr} ({name}): {error}")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => write!(
                        f,
                        "; another program (or another copy of this one) holds port {port}: \
                         `ss -H{letter}lnp 'sport = :{port}'` shows which",
                        port = addr.port()
                    ),
                    io::ErrorKind::PermissionDenied => write!(
                        f,
                        "; ports below {first} need the capability CAP_NET_BIND_SERVICE: run as root, grant it, or choose a \
                         higher port",
                        first = 1024
                    ),
                    io::ErrorKind::AddrNotAvailable => {
                        write!(f, "; no interface of this machine has that address: `ip address` shows those there are")
                    }
                    _ => Ok(()),
                }
            }
            ListenError::Start(what, error) => write!(f, "cannot start {what}: {error}"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ListenError::Bind(_, _, error) | ListenError::Start(_, error) => Some(error),
        }
    }
}
