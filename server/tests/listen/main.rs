//! The listeners over real sockets: replies go to the right place, and no client can take more than its share.
//!
//! All waits are bounded, and nothing depends on speed: a test that must see that something does *not* happen waits for
//! something later to happen instead.

mod tcp;
mod udp;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bindy_server::listen::{Client, Config, Listeners, Now, Reply, Respond, TcpLimits, Transport, start};

/// Longer than anything takes on a busy machine; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The client that [`Oracle`] ignores.
const IGNORED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 9, 9));

/// Answers a request as its first octet after the header demands.
#[derive(Clone, Default)]
struct Oracle {
    /// Requests that were answered, or deliberately not answered.
    requests: Arc<AtomicUsize>,
    /// How often a worker dropped the data it held.
    releases: Arc<AtomicUsize>,
}

/// The octet after the header of a request to [`Oracle`].
mod ask {
    /// Returns the request with QR set.
    pub const ECHO: u8 = b'e';
    /// Sends no reply.
    pub const SILENCE: u8 = b's';
    /// Returns a header and 1000 octets.
    pub const LONG: u8 = b'l';
    /// Returns a header and as many octets as fit.
    pub const LONGEST: u8 = b'L';
    /// Returns a header and the client as text: `addr local transport`.
    pub const CLIENT: u8 = b'c';
    /// Returns a header and the request's length as text.
    pub const LENGTH: u8 = b'n';
    /// Like ECHO, and asks to keep the connection open.
    pub const KEEPALIVE: u8 = b'k';
}

struct OracleWorker {
    oracle: Oracle,
    holds_data: bool,
}

impl Oracle {
    fn worker(&self) -> OracleWorker {
        OracleWorker { oracle: self.clone(), holds_data: false }
    }
}

impl Respond for OracleWorker {
    fn refresh(&mut self, _: Now) {
        self.holds_data = true;
    }

    fn ignores(&mut self, addr: IpAddr) -> bool {
        addr == IGNORED
    }

    fn respond(&mut self, request: &[u8], client: &Client, out: &mut [u8]) -> Option<Reply> {
        self.oracle.requests.fetch_add(1, Ordering::Relaxed);
        let (header, rest) = request.split_at_checked(12)?;
        out[..12].copy_from_slice(header);
        out[2] |= 0x80;
        let mut with = |text: &[u8]| {
            out[12..12 + text.len()].copy_from_slice(text);
            12 + text.len()
        };
        let wanted = *rest.first()?;
        let length = match wanted {
            ask::ECHO | ask::KEEPALIVE => with(rest),
            ask::LONG => with(&[b'x'; 1000]),
            ask::LONGEST => {
                out[12..].fill(b'x');
                out.len()
            }
            ask::CLIENT => {
                let transport = if client.transport == Transport::Udp { "udp" } else { "tcp" };
                with(format!("{} {} {transport}", client.addr, client.local).as_bytes())
            }
            ask::LENGTH => with(request.len().to_string().as_bytes()),
            _ => return None,
        };
        Some(Reply { length, keepalive: wanted == ask::KEEPALIVE })
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.holds_data) {
            self.oracle.releases.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A request with this ID that asks for `what`.
fn request(id: u16, what: u8) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes.push(what);
    bytes
}

/// The ID of a reply, and what follows its header.
fn reply(bytes: &[u8]) -> (u16, &[u8]) {
    assert!(bytes[2] & 0x80 != 0, "a reply has QR set");
    (u16::from_be_bytes([bytes[0], bytes[1]]), &bytes[12..])
}

fn listen(addresses: &[&str], tcp: TcpLimits) -> Listeners<OracleWorker> {
    listen_with(addresses, tcp, &Oracle::default())
}

fn listen_with(addresses: &[&str], tcp: TcpLimits, oracle: &Oracle) -> Listeners<OracleWorker> {
    let oracle = oracle.clone();
    start(&config(addresses, tcp), move || oracle.worker()).expect("listens")
}

fn config(addresses: &[&str], tcp: TcpLimits) -> Config {
    let addresses = addresses.iter().map(|addr| addr.parse().expect("an address")).collect();
    Config { addresses, workers: NonZeroUsize::new(2).expect("not zero"), tcp }
}

/// The only address that is listened on.
fn only(listeners: &Listeners<OracleWorker>) -> SocketAddr {
    match listeners.local_addrs()[..] {
        [addr] => addr,
        ref addrs => panic!("{addrs:?}"),
    }
}

/// Waits until `done` returns true.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
