//! The listeners: UDP and TCP sockets, their limits and their time-outs.
//!
//! Octets go to a [`Respond`] and octets come back; nothing here knows what a DNS message says. Each address has one
//! UDP socket per worker, each with its own thread (`udp`), and one TCP socket, whose connections share a small runtime
//! (`tcp`). [`start`] binds everything before it returns. [`Listeners::reconfigure`] changes the addresses of a running
//! server without touching those that stay. `admin` listens for the other protocols: rndc's and HTTP.

pub(crate) mod admin;
mod later;
mod limits;
mod now;
mod socket;
mod tcp;
mod udp;

use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

#[cfg(test)]
pub(crate) use self::later::Delivery;
pub use self::later::Later;
pub use self::limits::{TcpLimits, TcpTimeout, TcpTimeouts};
pub use self::now::Now;
use self::socket::Sockets;
pub(crate) use self::tcp::origin;
pub use self::tcp::{Connections, FamilyCounts, TcpCounts};

/// The two ends of a request and its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address and port that the request came from.
    pub addr: SocketAddr,
    /// The address and port that the request was sent to.
    pub local: SocketAddr,
    /// The transport that the request came over.
    pub transport: Transport,
}

/// The transport of a request and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram: the reply has to fit in one, and the client's address may be forged.
    Udp,
    /// A connection (RFC 7766): replies of up to 65,535 octets to a client that really is at its address.
    Tcp,
}

/// What a request gets.
pub enum Response {
    /// Nothing.
    None,
    /// The reply that was written.
    Reply(Reply),
    /// Replies that are made one after the other, as the client takes them; only over TCP.
    Messages(Box<dyn Messages>),
    /// A reply that comes later: this is to be called with the way back to the client.
    Later(Box<dyn FnOnce(Later) + Send>),
}

/// A reply that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its length, in octets.
    pub length: usize,
    /// Whether the client wants its connection kept open (edns-tcp-keepalive, RFC 7828).
    pub keepalive: bool,
}

/// Several replies to one request, such as a zone transfer.
pub trait Messages: Send {
    /// Writes the next reply into `out`, which takes 65,535 octets.
    fn next(&mut self, out: &mut [u8], now: Now) -> Next;

    /// How long the client may take to receive a reply for which its window had no room.
    fn patience(&self) -> Duration;
}

/// What comes next of several replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A reply of this many octets.
    Message(usize),
    /// Nothing: the request has its whole response.
    Done,
    /// Nothing, although the response is not complete: the connection has to be closed.
    Abort,
}

/// Answers requests. Each worker owns one, which may keep buffers and a cached view of the data.
pub trait Respond: Send + 'static {
    /// Sets the current time and checks whether newer data has been published. Called once per batch of requests.
    fn refresh(&mut self, now: Now);

    /// Whether everything from this address is ignored; its connections are closed at once. Called after `refresh`.
    fn ignores(&mut self, _addr: IpAddr) -> bool {
        false
    }

    /// Responds to `request`; a single reply is written into `out`.
    fn respond(&mut self, request: &[u8], client: &Client, out: &mut [u8]) -> Response;

    /// Drops cached data because the worker is idle. The next call is `refresh`.
    fn release(&mut self) {}
}

impl Response {
    /// The single reply, if there is one.
    pub fn reply(self) -> Option<Reply> {
        match self {
            Response::Reply(reply) => Some(reply),
            Response::None | Response::Messages(_) | Response::Later(_) => None,
        }
    }
}

/// The configuration of the listeners.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses for UDP and TCP. Port 0 chooses a free port, the same for both. A wildcard address includes the other
    /// addresses with its port.
    pub addresses: Vec<SocketAddr>,
    /// The number of threads for each address's UDP, and of threads shared by all TCP connections.
    pub workers: NonZeroUsize,
    /// The bounds on TCP connections.
    pub tcp: TcpLimits,
}

/// Binds all addresses of `config`, then starts answering on them; `responder` makes the workers' responders.
///
/// # Errors
/// If an address cannot be bound or a thread cannot be started; nothing is left running then.
pub fn start<R: Respond>(
    config: &Config,
    responder: impl Fn() -> R + Send + Sync + 'static,
) -> Result<Listeners<R>, ListenError> {
    let responder: Arc<dyn Fn() -> R + Send + Sync> = Arc::new(responder);
    let tcp = tcp::Server::start(config.workers, config.tcp.clone(), Arc::clone(&responder))
        .map_err(|error| ListenError::Start("the TCP runtime", error))?;
    let mut listeners = Listeners { running: HashMap::new(), workers: config.workers, responder, tcp };
    listeners.reconfigure(config)?;
    Ok(listeners)
}

/// The running listeners. Dropping this stops them, as [`Listeners::stop`] does.
pub struct Listeners<R: Respond> {
    /// The listeners by address as configured, which has port 0 if any free port was wanted.
    running: HashMap<SocketAddr, Listener>,
    workers: NonZeroUsize,
    responder: Arc<dyn Fn() -> R + Send + Sync>,
    tcp: tcp::Server<R>,
}

/// The workers of one address.
struct Listener {
    addr: SocketAddr,
    /// Dropped to stop them.
    _udp: udp::Workers,
    _tcp: tcp::Acceptor,
}

impl<R: Respond> Listeners<R> {
    /// The addresses being served, with the ports that the kernel chose for port 0.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let mut addrs: Vec<_> = self.running.values().map(|listener| listener.addr).collect();
        addrs.sort_unstable();
        addrs
    }

    /// A handle for counting the TCP connections.
    pub fn connections(&self) -> Connections {
        self.tcp.connections()
    }

    /// The bounds on new connections.
    pub fn tcp_limits(&self) -> TcpLimits {
        self.tcp.limits()
    }

    /// Sets the bounds on new connections.
    pub fn set_tcp_limits(&self, limits: TcpLimits) {
        self.tcp.set_limits(limits);
    }

    /// Listens on exactly the addresses of `config`. Existing listeners and their connections are not disturbed. New
    /// limits apply to new connections, and a new length of the listen queue to new addresses. The number of workers
    /// stays what it was at the start.
    ///
    /// # Errors
    /// If an address cannot be bound or a thread cannot be started; the listeners are then as before.
    pub fn reconfigure(&mut self, config: &Config) -> Result<(), ListenError> {
        let wanted = distinct(&config.addresses);
        // A wildcard and an address that it covers exclude each other, so the old one has to be closed first.
        let mut in_the_way: Vec<_> = self.running.keys().copied().collect();
        in_the_way
            .retain(|old| !wanted.contains(old) && wanted.iter().any(|new| covers(*new, *old) || covers(*old, *new)));
        self.running.retain(|addr, _| !in_the_way.contains(addr));
        match self.listen(&wanted, config.tcp.listen_queue) {
            Ok(started) => {
                self.tcp.set_limits(config.tcp.clone());
                self.running.retain(|addr, _| wanted.contains(addr));
                self.running.extend(started);
                Ok(())
            }
            Err(error) => {
                match self.listen(&in_the_way, config.tcp.listen_queue) {
                    Ok(restarted) => self.running.extend(restarted),
                    Err(error) => tracing::error!(%error, "an address was lost in a failed reconfiguration"),
                }
                Err(error)
            }
        }
    }

    /// Whether [`Listeners::reconfigure`] could bind these addresses now; nothing is answered meanwhile.
    ///
    /// # Errors
    /// As of `reconfigure`.
    pub fn probe(&self, addresses: &[SocketAddr]) -> Result<(), ListenError> {
        self.bind(&distinct(addresses), 1).map(drop)
    }

    /// Binds those of `addresses` that are not served yet.
    fn bind(&self, addresses: &[SocketAddr], queue: u32) -> Result<Vec<(SocketAddr, Sockets)>, ListenError> {
        let new = addresses.iter().filter(|addr| !self.running.contains_key(addr));
        new.map(|&addr| Ok((addr, socket::bind(addr, self.workers, queue)?))).collect()
    }

    /// Binds those of `addresses` that are not served yet, then starts answering on them.
    fn listen(&self, addresses: &[SocketAddr], queue: u32) -> Result<Vec<(SocketAddr, Listener)>, ListenError> {
        let start = |(configured, Sockets { addr, udp, tcp })| {
            let listener = Listener {
                addr,
                _tcp: self.tcp.accept(tcp, addr).map_err(|error| ListenError::Start("a TCP listener", error))?,
                _udp: udp::Workers::start(udp, addr, &*self.responder)
                    .map_err(|error| ListenError::Start("a UDP worker", error))?,
            };
            Ok((configured, listener))
        };
        self.bind(addresses, queue)?.into_iter().map(start).collect()
    }

    /// Stops answering. On return, all sockets and connections are closed and the worker threads have ended.
    pub fn stop(self) {}
}

/// The addresses without duplicates, and without those that a wildcard covers.
fn distinct(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut distinct: Vec<SocketAddr> = Vec::with_capacity(addresses.len());
    for &addr in addresses {
        if !distinct.contains(&addr) && !addresses.iter().any(|&other| covers(other, addr)) {
            distinct.push(addr);
        }
    }
    distinct
}

/// Whether `wildcard` is a wildcard address that receives what is sent to `addr`.
fn covers(wildcard: SocketAddr, addr: SocketAddr) -> bool {
    wildcard.ip().is_unspecified()
        && !addr.ip().is_unspecified()
        && wildcard.is_ipv4() == addr.is_ipv4()
        && wildcard.port() == addr.port()
        && addr.port() != 0
}

/// Why listening failed.
#[derive(Debug)]
pub enum ListenError {
    /// This address and transport could not be bound.
    Bind(SocketAddr, Transport, io::Error),
    /// A thread or the runtime could not be started.
    Start(&'static str, io::Error),
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
