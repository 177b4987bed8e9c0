//! UDP: one thread per socket, which receives a batch of datagrams, answers them and sends the batch of replies.
//!
//! Each address has one socket per worker (with `SO_REUSEPORT`, the kernel keeps a client on one of them), and each
//! socket has its own thread that blocks in `recvmmsg`. So there is no `poll` before a receive, and threads share
//! nothing. With several addresses there are more threads than cores. An idle one costs its stack and one wake-up a
//! second, and the scheduler distributes the busy ones, which a poll loop over all addresses would have to do with more
//! system calls.

mod batch;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use self::batch::Batch;
pub(super) use self::batch::send_from;
use super::{Client, Later, Now, Respond, Response, Transport};

/// How long without a request until a worker drops the data that it holds.
const IDLE: Duration = Duration::from_secs(1);

/// How long a worker waits after a socket error, so that a persistent one does not occupy a core.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// The threads of one address; they end when this is dropped.
pub(super) struct Workers {
    stop: Arc<AtomicBool>,
    threads: Vec<(Arc<UdpSocket>, JoinHandle<()>)>,
}

/// Configures a socket bound to `addr` for `Workers`.
pub(super) fn prepare(socket: &UdpSocket, addr: SocketAddr) -> io::Result<()> {
    socket.set_read_timeout(Some(IDLE))?;
    batch::ignore_path_mtu(socket, addr)?;
    if addr.ip().is_unspecified() {
        batch::ask_for_destination(socket, addr)?;
    }
    Ok(())
}

impl Workers {
    /// Starts one thread for each of `sockets`, all bound to `addr`.
    pub(super) fn start<R: Respond>(
        sockets: Vec<UdpSocket>,
        addr: SocketAddr,
        responder: &(dyn Fn() -> R + Send + Sync),
    ) -> io::Result<Workers> {
        let mut workers =
            Workers { stop: Arc::new(AtomicBool::new(false)), threads: Vec::with_capacity(sockets.len()) };
        for (i, socket) in sockets.into_iter().enumerate() {
            let socket = Arc::new(socket);
            let (ours, stop, responder) = (Arc::clone(&socket), Arc::clone(&workers.stop), responder());
            let thread =
                thread::Builder::new().name(format!("udp-{i}")).spawn(move || serve(&ours, addr, responder, &stop))?;
            workers.threads.push((socket, thread));
        }
        Ok(workers)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for (socket, _) in &self.threads {
            // On Linux this wakes the thread that waits in `recvmmsg`, although it returns an error for an unconnected
            // socket. If it does not, the receive timeout ends the wait.
            let _ = socket2::SockRef::from(&**socket).shutdown(std::net::Shutdown::Both);
        }
        for (_, thread) in self.threads.drain(..) {
            // A panicking worker has already reported the panic.
            let _ = thread.join();
        }
    }
}

fn serve<R: Respond>(socket: &Arc<UdpSocket>, addr: SocketAddr, mut responder: R, stop: &AtomicBool) {
    let mut batch = Batch::new(addr);
    let mut now = Now::read();
    while !stop.load(Ordering::Acquire) {
        match batch.receive(socket) {
            Ok(_) => {
                now = now.next();
                responder.refresh(now);
                batch.answer(|datagram, out| {
                    let client = Client { addr: datagram.peer, local: datagram.local, transport: Transport::Udp };
                    match responder.respond(datagram.bytes, &client, out) {
                        Response::Reply(reply) => Some(reply.length),
                        Response::Later(begin) => {
                            begin(Later::udp(socket, addr, client.addr, client.local));
                            None
                        }
                        Response::None | Response::Messages(_) => None,
                    }
                });
                let dropped = batch.send(socket);
                if dropped > 0 {
                    tracing::debug!(%addr, dropped, "UDP replies that the kernel did not take");
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => responder.release(),
                io::ErrorKind::Interrupted => {}
                _ => {
                    tracing::warn!(%addr, %error, "cannot receive UDP datagrams");
                    thread::sleep(ERROR_PAUSE);
                }
            },
        }
    }
}
