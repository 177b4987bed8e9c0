//! Replies that come later than the round in which their request arrived, from another thread. Over TCP, such a reply may
//! be several messages.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use tokio::sync::{mpsc, oneshot};

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
struct Waiting {
    /// `None` once the reply is sent.
    connection: Option<mpsc::UnboundedSender<Delivery>>,
    /// Whether some of the reply was sent.
    has_begun: bool,
}

/// What a connection receives for a request whose reply comes later.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// The reply, or the last message of it.
    Reply(Vec<u8>),
    /// There is none.
    Nothing,
    /// A message of the reply that is not the last. It is to be told once the client has room for the next.
    Part(Vec<u8>, oneshot::Sender<()>),
    /// What follows a part does not come.
    Broken,
}

/// The client is gone, or can take no reply of several messages.
#[derive(Debug)]
pub(crate) struct Gone;

impl Later {
    pub(super) fn udp(socket: &Arc<UdpSocket>, bound: SocketAddr, peer: SocketAddr, local: SocketAddr) -> Later {
        Later(Way::Udp { socket: Arc::clone(socket), bound, peer, local })
    }

    /// The way to a connection, which receives all of the reply.
    pub(crate) fn tcp(connection: mpsc::UnboundedSender<Delivery>) -> Later {
        Later(Way::Tcp(Waiting { connection: Some(connection), has_begun: false }))
    }

    /// Sends the reply, of at most 65,535 octets, or the last message of it. A client that is gone does not get it.
    pub fn send(self, reply: &[u8]) {
        match self.0 {
            Way::Udp { socket, bound, peer, local } => {
                if let Err(error) = udp::send_from(&socket, bound, local, peer, reply) {
                    tracing::debug!(client = %peer, %error, "a reply that the kernel did not take");
                }
            }
            Way::Tcp(mut waiting) => {
                if let Some(connection) = waiting.connection.take() {
                    // The connection may have ended.
                    let _ = connection.send(Delivery::Reply(reply.to_vec()));
                }
            }
        }
    }

    /// Sends a message of the reply, of at most 65,535 octets, and waits until the client has room for the next. If the
    /// last one is never sent, the connection is closed.
    ///
    /// # Errors
    /// The client is gone, or it is one over UDP.
    pub(crate) async fn send_part(&mut self, message: Vec<u8>) -> Result<(), Gone> {
        let Way::Tcp(Waiting { connection: Some(connection), has_begun }) = &mut self.0 else { return Err(Gone) };
        let (taken, is_taken) = oneshot::channel();
        connection.send(Delivery::Part(message, taken)).map_err(|_| Gone)?;
        *has_begun = true;
        is_taken.await.map_err(|_| Gone)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.send(if self.has_begun { Delivery::Broken } else { Delivery::Nothing });
        }
    }
}
