//! TCP listeners for those who run the server: the control channel and the statistics channels.
//!
//! A [`Service`] talks on a connection. [`Endpoints`] has the sockets: it opens and closes them as the configuration
//! says, lets in the clients that an address's list allows, and bounds how many there are at a time. All of a service
//! shares one thread, apart from those that answer DNS.

use std::{collections::BTreeMap, fmt, io, mem, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::warn;

use super::socket;
use crate::{access::Acl, notice};

/// A protocol that is spoken on the connections.
pub(crate) trait Service: Send + Sync + 'static {
    /// What holds for the connections of an address.
    type Rules: Send + Sync + 'static;

    /// The name of the service's thread.
    const THREAD: &'static str;
    /// What the log calls it.
    const WORDS: Words;
    /// Connections at a time; the others wait for one of them to end.
    const SEATS: u32;

    /// Serves a connection to its end. `inet` is what holds now; it may change meanwhile.
    fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        inet: Arc<ArcSwap<Inet<Self::Rules>>>,
    ) -> impl Future<Output = ()> + Send;
}

/// An `inet` clause of named.conf: an address, who may connect to it, and what holds for those who do.
#[derive(Clone, Debug)]
pub struct Inet<R> {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The clients that may connect.
    pub allow: Acl,
    /// What else the service is told about the address.
    pub rules: R,
}

/// named's words for a service, in its log.
pub(crate) struct Words {
    /// One of its listeners.
    pub(crate) listener: &'static str,
    /// What a client is refused.
    pub(crate) connection: &'static str,
    /// That an address cannot be listened on.
    pub(crate) failed: &'static str,
}

/// The listeners of a service.
pub(crate) struct Endpoints<S: Service> {
    runtime: Runtime,
    service: Arc<S>,
    seats: Arc<Semaphore>,
    open: BTreeMap<SocketAddr, Endpoint<S::Rules>>,
}

struct Endpoint<R> {
    inet: Arc<ArcSwap<Inet<R>>>,
    acceptor: JoinHandle<()>,
}

/// An address as named shows it: `127.0.0.1#953`.
pub(crate) struct Shown(pub(crate) SocketAddr);

/// Connections that the kernel holds until they are accepted.
const QUEUE: u32 = 1024;
/// How long a listener waits after it could not accept a connection.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for clients to read what they were sent.
const FAREWELL: Duration = Duration::from_secs(1);

impl<S: Service> Endpoints<S> {
    /// A service that listens nowhere yet.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn new(service: S) -> io::Result<Endpoints<S>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(S::THREAD)
            .enable_io()
            .enable_time()
            .build()?;
        let seats = Arc::new(Semaphore::new(S::SEATS as usize));
        Ok(Endpoints { runtime, service: Arc::new(service), seats, open: BTreeMap::new() })
    }

    /// Listens at these addresses and at no others; connections that are open stay. An address that cannot be listened
    /// on is logged: the server answers without it.
    pub(crate) fn listen(&mut self, wanted: Vec<Inet<S::Rules>>) {
        let mut former = mem::take(&mut self.open);
        for inet in wanted {
            let address = inet.address;
            if let Some(same) = former.remove(&address) {
                same.inet.store(Arc::new(inet));
                self.open.insert(address, same);
                continue;
            }
            let bound = {
                let _entered = self.runtime.enter();
                socket::bind_tcp(address, QUEUE).and_then(TcpListener::from_std)
            };
            match bound {
                Ok(socket) => {
                    let bound = socket.local_addr().unwrap_or(address);
                    notice!(target: "general", "{} listening on {}", S::WORDS.listener, Shown(bound));
                    let inet = Arc::new(ArcSwap::from_pointee(inet));
                    let accept = accept(socket, Arc::clone(&self.service), Arc::clone(&inet), Arc::clone(&self.seats));
                    let acceptor = self.runtime.spawn(accept);
                    self.open.insert(address, Endpoint { inet, acceptor });
                }
                Err(error) => warn!(target: "general", "{} {}: {error}", S::WORDS.failed, Shown(address)),
            }
        }
        for (address, closed) in former {
            notice!(target: "general", "stopping {} on {}", S::WORDS.listener, Shown(address));
            closed.acceptor.abort();
        }
    }

    /// Closes the listeners, then all connections, once the clients had a moment to end them.
    pub(crate) fn stop(mut self) {
        self.listen(Vec::new());
        let all_gone = self.seats.acquire_many(S::SEATS);
        // Connections that remain after that are cut off.
        let _ = self.runtime.block_on(async { timeout(FAREWELL, all_gone).await });
        self.runtime.shutdown_background();
    }
}

async fn accept<S: Service>(
    socket: TcpListener,
    service: Arc<S>,
    inet: Arc<ArcSwap<Inet<S::Rules>>>,
    seats: Arc<Semaphore>,
) {
    loop {
        // The semaphore is never closed, so this only waits.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(target: "general", "{}: cannot accept: {error}", S::WORDS.listener);
                sleep(PAUSE).await;
                continue;
            }
        };
        if !inet.load().allow.allows(peer.ip()) {
            warn!(target: "general", "rejected {} from {}", S::WORDS.connection, Shown(peer));
            continue;
        }
        let served = Arc::clone(&service).serve(stream, peer, Arc::clone(&inet));
        tokio::spawn(async move {
            served.await;
            drop(seat);
        });
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.0.ip(), self.0.port())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{Ipv4Addr, Ipv6Addr, TcpListener as Free, TcpStream as Client},
    };

    use super::*;

    /// Closes connections.
    struct Nothing;

    impl Service for Nothing {
        type Rules = ();

        const THREAD: &'static str = "nothing";
        const WORDS: Words = Words { listener: "nothing", connection: "nothing", failed: "nothing" };
        const SEATS: u32 = 1;

        async fn serve(self: Arc<Self>, _: TcpStream, _: SocketAddr, _: Arc<ArcSwap<Inet<()>>>) {}
    }

    /// The socket for all IPv4 addresses kept that for all IPv6 addresses from their common port.
    #[test]
    fn all_addresses_of_both_families_are_listened_on() {
        let free = Free::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let all: [SocketAddr; 2] = [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
        let mut endpoints = Endpoints::new(Nothing).unwrap();
        endpoints.listen(all.map(|address| Inet { address, allow: Acl::any(), rules: () }).into());
        let local: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        for address in local {
            let mut client = Client::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        endpoints.stop();
    }
}
