//! Clients of a zone, which ask for its names all the time and judge what they get, as resolvers would: who gets no answer
//! in a second goes to the zone's next address, and gives up after two.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bindy_cluster::Node;
use bindy_server::{
    Opcode, Rcode,
    message::{Builder, Message, Question},
};
use zonefmt::{Class, Name, Rtype};

/// The clients. They end when this is dropped.
pub struct Load {
    is_over: Arc<AtomicBool>,
    asking: Option<JoinHandle<Report>>,
}

/// What the clients have seen.
#[derive(Debug, Default)]
pub struct Report {
    /// How many questions each address was the first to get.
    pub asked: BTreeMap<SocketAddr, usize>,
    /// How many questions went to a second address.
    pub repeated: usize,
    pub failures: Vec<Failure>,
}

/// A question without an answer, or with a wrong one.
#[derive(Debug)]
pub struct Failure {
    /// The time since the clients began.
    at: Duration,
    name: Name,
    /// The address that was asked last.
    address: SocketAddr,
    got: String,
}

/// How long a client waits for an address.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many addresses a client asks.
const TRIES: usize = 2;
/// The time between two questions, to some address.
const PAUSE: Duration = Duration::from_millis(2);

impl Load {
    /// Clients ask for the addresses of these names from now on, each address of a server in turn.
    pub fn start(node: &Node, servers: &[SocketAddr], names: &[(&str, Ipv4Addr)]) -> Load {
        let sockets = servers.iter().map(|server| (*server, socket(node, *server))).collect();
        let names = names.iter().map(|(name, address)| (Name::from_ascii(name).expect("it is a name"), *address));
        let mut clients = Clients {
            sockets,
            names: names.collect(),
            waiting: BTreeMap::new(),
            last: 0,
            since: Instant::now(),
            report: Report::default(),
        };
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let asking = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                clients.ask();
                clients.listen();
                thread::sleep(PAUSE);
            }
            // Who waits still may get an answer.
            while !clients.waiting.is_empty() {
                clients.listen();
                thread::sleep(PAUSE);
            }
            clients.report
        });
        Load { is_over, asking: Some(asking) }
    }

    /// Ends the clients; returns what they have seen.
    pub fn end(mut self) -> Report {
        self.is_over.store(true, Ordering::Relaxed);
        self.asking.take().expect("it ends once").join().expect("clients do not panic")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

struct Clients {
    sockets: Vec<(SocketAddr, UdpSocket)>,
    names: Vec<(Name, Ipv4Addr)>,
    /// The questions without an answer, by their ids.
    waiting: BTreeMap<u16, Waiting>,
    /// The id that was used last.
    last: u16,
    since: Instant,
    report: Report,
}

struct Waiting {
    /// The index of the name.
    name: usize,
    /// The index of the socket.
    socket: usize,
    tries: usize,
    until: Instant,
}

impl Clients {
    fn ask(&mut self) {
        let turn = usize::from(self.last);
        let socket = turn % self.sockets.len();
        *self.report.asked.entry(self.sockets[socket].0).or_default() += 1;
        self.send(Waiting { name: turn % self.names.len(), socket, tries: 1, until: Instant::now() + PATIENCE });
    }

    fn send(&mut self, waiting: Waiting) {
        self.last = self.last.wrapping_add(1);
        let question = question(self.last, &self.names[waiting.name].0, Rtype::A);
        // What cannot be sent is not answered.
        let _ = self.sockets[waiting.socket].1.send(&question);
        self.waiting.insert(self.last, waiting);
    }

    fn listen(&mut self) {
        for socket in 0..self.sockets.len() {
            let mut octets = [0; 4096];
            loop {
                match self.sockets[socket].1.recv(&mut octets) {
                    Ok(length) => self.hear(socket, &octets[..length]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Nobody is there, so that clients need not wait.
                    Err(_) => self.waiting.values_mut().filter(|it| it.socket == socket).for_each(Waiting::give_up),
                }
            }
        }
        let now = Instant::now();
        let late: Vec<u16> = self.waiting.iter().filter(|(_, it)| it.until <= now).map(|(id, _)| *id).collect();
        for id in late {
            let Some(waiting) = self.waiting.remove(&id) else { continue };
            if waiting.tries == TRIES {
                self.fail(&waiting, "no answer".into());
                continue;
            }
            self.report.repeated += 1;
            let socket = (waiting.socket + 1) % self.sockets.len();
            self.send(Waiting { socket, tries: waiting.tries + 1, until: now + PATIENCE, ..waiting });
        }
    }

    fn hear(&mut self, socket: usize, octets: &[u8]) {
        let Ok(message) = Message::read(octets) else { return };
        // Others are late.
        if self.waiting.get(&message.id()).is_none_or(|waiting| waiting.socket != socket) {
            return;
        }
        let Some(waiting) = self.waiting.remove(&message.id()) else { return };
        let (_, expected) = self.names[waiting.name];
        match addresses(&message) {
            Ok(got) if got == [expected] => {}
            Ok(got) => self.fail(&waiting, format!("{got:?}")),
            Err(rcode) => self.fail(&waiting, rcode.to_string()),
        }
    }

    fn fail(&mut self, waiting: &Waiting, got: String) {
        let (name, address) = (self.names[waiting.name].0.clone(), self.sockets[waiting.socket].0);
        self.report.failures.push(Failure { at: self.since.elapsed(), name, address, got });
    }
}

impl Waiting {
    fn give_up(&mut self) {
        self.until = Instant::now();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked: usize = self.asked.values().sum();
        writeln!(f, "{asked} questions, {} asked again, {} failed", self.repeated, self.failures.len())?;
        for Failure { at, name, address, got } in self.failures.iter().take(20) {
            writeln!(f, "  after {:.3} s: {name} at {address}: {got}", at.as_secs_f32())?;
        }
        Ok(())
    }
}

/// A socket to a server, which does not wait.
pub fn socket(node: &Node, server: SocketAddr) -> UdpSocket {
    let socket = node.udp(server).unwrap_or_else(|error| panic!("{server}: {error}"));
    socket.set_nonblocking(true).expect("every socket can");
    socket
}

/// A question without EDNS.
pub fn question(id: u16, name: &Name, rtype: Rtype) -> Vec<u8> {
    let question = Question { qname: name.as_ref(), qtype: rtype, qclass: Class::IN };
    Builder::new(id, Opcode::QUERY, question).finish()
}

/// The IPv4 addresses in an answer, sorted; or why there are none to be expected.
pub fn addresses(message: &Message<'_>) -> Result<Vec<Ipv4Addr>, Rcode> {
    if message.rcode() != Rcode::NOERROR {
        return Err(message.rcode());
    }
    let (mut answers, mut addresses) = (message.answers(), Vec::new());
    while let Ok(Some(record)) = answers.next() {
        let octets: Result<[u8; 4], _> = record.rdata.try_into();
        addresses.extend(octets.ok().filter(|_| record.rtype == Rtype::A).map(Ipv4Addr::from));
    }
    addresses.sort();
    Ok(addresses)
}
