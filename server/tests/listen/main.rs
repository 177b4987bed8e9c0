//! The listeners over real sockets: what comes in goes out at the right place, and nobody takes more than his share.
//!
//! Waits are bounded, and nothing depends on how fast anything is: a test that has to see something *not* happen sees
//! something later happen instead.

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

use bindy_server::listen::{Client, Config, Listeners, Now, Respond, TcpLimits, Transport, start};

/// Longer than anything takes on a busy machine; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whom [`Oracle`] ignores.
const IGNORED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 9, 9));

/// Answers a request by what its first octet after the header says.
#[derive(Clone, Default)]
struct Oracle {
    /// Requests that were answered, or met with silence.
    requests: Arc<AtomicUsize>,
    /// Workers that let go of data they held.
    releases: Arc<AtomicUsize>,
}

/// What follows the header of a request to [`Oracle`].
mod ask {
    /// The request again, QR set.
    pub const ECHO: u8 = b'e';
    /// No answer.
    pub const SILENCE: u8 = b's';
    /// Header and 1000 octets.
    pub const LONG: u8 = b'l';
    /// Header and the most that fits.
    pub const LONGEST: u8 = b'L';
    /// Header and the client as text: `addr local transport`.
    pub const CLIENT: u8 = b'c';
    /// Header and the request's length as text.
    pub const LENGTH: u8 = b'n';
    /// As ECHO, and the connection is to be kept.
    pub const KEEPALIVE: u8 = b'k';
}

struct OracleWorker {
    oracle: Oracle,
    holds_data: bool,
    keepalive: bool,
}

impl Oracle {
    fn worker(&self) -> OracleWorker {
        OracleWorker { oracle: self.clone(), holds_data: false, keepalive: false }
    }
}

impl Respond for OracleWorker {
    fn refresh(&mut self, _: Now) {
        self.holds_data = true;
    }

    fn ignores(&mut self, addr: IpAddr) -> bool {
        addr == IGNORED
    }

    fn respond(&mut self, request: &[u8], client: &Client, out: &mut [u8]) -> Option<usize> {
        self.keepalive = false;
        self.oracle.requests.fetch_add(1, Ordering::Relaxed);
        let (header, rest) = request.split_at_checked(12)?;
        out[..12].copy_from_slice(header);
        out[2] |= 0x80;
        let mut with = |text: &[u8]| {
            out[12..12 + text.len()].copy_from_slice(text);
            Some(12 + text.len())
        };
        match *rest.first()? {
            ask::ECHO => with(rest),
            ask::KEEPALIVE => {
                self.keepalive = true;
                with(rest)
            }
            ask::LONG => with(&[b'x'; 1000]),
            ask::LONGEST => {
                out[12..].fill(b'x');
                Some(out.len())
            }
            ask::CLIENT => {
                let transport = if client.transport == Transport::Udp { "udp" } else { "tcp" };
                with(format!("{} {} {transport}", client.addr, client.local).as_bytes())
            }
            ask::LENGTH => with(request.len().to_string().as_bytes()),
            _ => None,
        }
    }

    fn keepalive(&self) -> bool {
        self.keepalive
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.holds_data) {
            self.oracle.releases.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A request with this id that asks for `what`.
fn request(id: u16, what: u8) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes.push(what);
    bytes
}

/// The id and what follows the header of a reply.
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

/// The only address listened on.
fn only(listeners: &Listeners<OracleWorker>) -> SocketAddr {
    match listeners.local_addrs()[..] {
        [addr] => addr,
        ref addrs => panic!("{addrs:?}"),
    }
}

/// Waits until `done`.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
