//! Replies that come later than the round in which their request arrived, from another thread.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use tokio::sync::mpsc;

use super::udp;

/// The way back to a client. Dropped unused, the client gets no reply.
pub struct Later(Way);

enum Way {
    Udp {
        socket: Arc<UdpSocket>,
        /// The address that the socket is bound to.
        bound: SocketAddr,
        peer: SocketAddr,
        /// The address that the request was sent to, and that the reply has to come from.
        local: SocketAddr,
    },
    Tcp(Waiting),
}

/// A request on a TCP connection that waits for its reply.
struct Waiting(Option<mpsc::UnboundedSender<Option<Vec<u8>>>>);

impl Later {
    pub(super) fn udp(socket: &Arc<UdpSocket>, bound: SocketAddr, peer: SocketAddr, local: SocketAddr) -> Later {
        Later(Way::Udp { socket: Arc::clone(socket), bound, peer, local })
    }

    /// The way to a connection, which receives one message for each of these: the reply, or `None` if there is none.
    pub(crate) fn tcp(connection: mpsc::UnboundedSender<Option<Vec<u8>>>) -> Later {
        Later(Way::Tcp(Waiting(Some(connection))))
    }

    /// Sends the reply, of at most 65,535 octets. A client that is gone does not get it.
    pub fn send(self, reply: &[u8]) {
        match self.0 {
            Way::Udp { socket, bound, peer, local } => {
                if let Err(error) = udp::send_from(&socket, bound, local, peer, reply) {
                    tracing::debug!(client = %peer, %error, "a reply that the kernel did not take");
                }
            }
            Way::Tcp(mut waiting) => {
                if let Some(connection) = waiting.0.take() {
                    // The connection may have ended.
                    let _ = connection.send(Some(reply.to_vec()));
                }
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            let _ = connection.send(None);
        }
    }
}
