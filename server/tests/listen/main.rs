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

use bindy_server::listen::{
    Client, Config, Later, Listeners, Messages, Next, Now, Reply, Respond, Response, TcpLimits, Transport, start,
};

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
    /// Like CLIENT, but later and from another thread.
    pub const LATER: u8 = b'w';
    /// Nothing, but decided later.
    pub const NEVER: u8 = b'W';
    /// Returns, over TCP, ten replies of 30,000 octets, which are numbered from 0.
    pub const MESSAGES: u8 = b'm';
    /// Returns as many, but there should be one more, which cannot be made.
    pub const ABORTED: u8 = b'M';
    /// Returns such replies without end.
    pub const ENDLESS: u8 = b'E';
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

    fn respond(&mut self, request: &[u8], client: &Client, out: &mut [u8]) -> Response {
        self.oracle.requests.fetch_add(1, Ordering::Relaxed);
        let id = request.first_chunk().copied().unwrap_or_default();
        let (wanted, client_text) = (request.get(12), client_text(client));
        match wanted {
            Some(&(ask::LATER | ask::NEVER)) => {
                let answers = wanted == Some(&ask::LATER);
                Response::Later(Box::new(move |way| later(way, answers.then(|| text_reply(id, &client_text)))))
            }
            Some(&ask::MESSAGES) => Response::Messages(Box::new(Several { id, made: 0, tenth: Some(Next::Done) })),
            Some(&ask::ABORTED) => Response::Messages(Box::new(Several { id, made: 0, tenth: Some(Next::Abort) })),
            Some(&ask::ENDLESS) => Response::Messages(Box::new(Several { id, made: 0, tenth: None })),
            _ => OracleWorker::reply(request, client, out).map_or(Response::None, Response::Reply),
        }
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.holds_data) {
            self.oracle.releases.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl OracleWorker {
    fn reply(request: &[u8], client: &Client, out: &mut [u8]) -> Option<Reply> {
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
            ask::CLIENT => with(client_text(client).as_bytes()),
            ask::LENGTH => with(request.len().to_string().as_bytes()),
            _ => return None,
        };
        Some(Reply { length, keepalive: wanted == ask::KEEPALIVE })
    }
}

fn client_text(client: &Client) -> String {
    let transport = if client.transport == Transport::Udp { "udp" } else { "tcp" };
    format!("{} {} {transport}", client.addr, client.local)
}

fn text_reply(id: [u8; 2], text: &str) -> Vec<u8> {
    [&id, &[0x80; 10][..], text.as_bytes()].concat()
}

/// Replies from another thread, or lets go of the way back there.
fn later(way: Later, reply: Option<Vec<u8>>) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        if let Some(reply) = reply {
            way.send(&reply);
        }
    });
}

/// Long replies.
struct Several {
    id: [u8; 2],
    made: u8,
    /// What comes after the tenth; `None`: more of them.
    tenth: Option<Next>,
}

impl Messages for Several {
    fn next(&mut self, out: &mut [u8], _: Now) -> Next {
        if self.made == 10 {
            if let Some(end) = self.tenth {
                return end;
            }
            self.made = 0;
        }
        out[..30_000].fill(self.made);
        out[..2].copy_from_slice(&self.id);
        self.made += 1;
        Next::Message(30_000)
    }

    fn patience(&self) -> Duration {
        PATIENCE
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
