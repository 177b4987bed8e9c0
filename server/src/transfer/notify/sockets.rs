//! UDP sockets for messages to many servers: one for each address that they are sent from.

use std::{
    cell::RefCell,
    collections::HashMap,
    future::pending,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use tokio::{net::UdpSocket, sync::mpsc, task::spawn_local, time::sleep};

/// The sockets that were needed so far, by the address and port that they are bound to.
#[derive(Default)]
pub(super) struct Sockets(RefCell<HashMap<SocketAddr, Rc<Socket>>>);

/// A socket that hands each response to whoever waits for it.
pub(super) struct Socket {
    udp: UdpSocket,
    awaited: RefCell<HashMap<Sign, mpsc::Sender<Vec<u8>>>>,
}

/// The responses from one server with one id. Dropping this ends the waiting.
pub(super) struct Responses {
    socket: Rc<Socket>,
    sign: Sign,
    octets: mpsc::Receiver<Vec<u8>>,
}

/// What a response is recognized by: where it is from, and its id.
type Sign = (IpAddr, u16, u16);

/// The longest response that is read, in octets.
const LONGEST: usize = 4096;
/// How many messages may wait that look like a response.
const FORGED: usize = 4;
/// How long to wait after an error of a socket.
const PAUSE: Duration = Duration::from_millis(10);

impl Sockets {
    /// The socket that sends from this address.
    pub(super) fn of(&self, source: SocketAddr) -> io::Result<Rc<Socket>> {
        if let Some(socket) = self.0.borrow().get(&source) {
            return Ok(Rc::clone(socket));
        }
        let udp = std::net::UdpSocket::bind(source)?;
        udp.set_nonblocking(true)?;
        let socket = Rc::new(Socket { udp: UdpSocket::from_std(udp)?, awaited: RefCell::default() });
        spawn_local(Rc::clone(&socket).receive());
        self.0.borrow_mut().insert(source, Rc::clone(&socket));
        Ok(socket)
    }
}

impl Socket {
    /// Sends a message.
    pub(super) async fn send(&self, message: &[u8], to: SocketAddr) -> io::Result<()> {
        self.udp.send_to(message, to).await.map(drop)
    }

    /// Waits for responses from this address with this id from now on.
    pub(super) fn expect(self: &Rc<Self>, from: SocketAddr, id: u16) -> Responses {
        let (sender, octets) = mpsc::channel(FORGED);
        let sign = sign(from, id);
        self.awaited.borrow_mut().insert(sign, sender);
        Responses { socket: Rc::clone(self), sign, octets }
    }

    async fn receive(self: Rc<Self>) {
        let mut octets = vec![0; LONGEST];
        loop {
            let Ok((length, from)) = self.udp.recv_from(&mut octets).await else {
                sleep(PAUSE).await;
                continue;
            };
            let Some(&[high, low]) = octets[..length].first_chunk() else { continue };
            if let Some(waiting) = self.awaited.borrow().get(&sign(from, u16::from_be_bytes([high, low]))) {
                // If too many wait already, this one is lost.
                let _ = waiting.try_send(octets[..length].to_vec());
            }
        }
    }
}

impl Responses {
    /// The next response.
    pub(super) async fn next(&mut self) -> Vec<u8> {
        match self.octets.recv().await {
            Some(octets) => octets,
            // Somebody else waits for the same: one id of 65,536 was drawn twice.
            None => pending().await,
        }
    }
}

impl Drop for Responses {
    fn drop(&mut self) {
        self.octets.close();
        let mut awaited = self.socket.awaited.borrow_mut();
        if awaited.get(&self.sign).is_some_and(mpsc::Sender::is_closed) {
            awaited.remove(&self.sign);
        }
    }
}

fn sign(from: SocketAddr, id: u16) -> Sign {
    (from.ip(), from.port(), id)
}
