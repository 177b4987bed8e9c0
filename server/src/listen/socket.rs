//! Binds and configures the sockets of an address: one UDP socket per worker and one TCP socket, all on the same port.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    num::NonZeroUsize,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{ListenError, Transport, udp};

/// The octets that the kernel may queue in each direction on a UDP socket, as far as it allows. Many outgoing replies
/// may be waiting for the link-layer addresses of clients that do not exist, and must not delay the replies to others.
const UDP_BUFFER: usize = 4 << 20;

/// The octets of replies that the kernel queues for one TCP client before it reports the socket as not writable.
const TCP_UNSENT: u32 = 128 << 10;

/// How often another free port is tried when port 0 resulted in one that is free only for UDP.
const FREE_PORT_TRIES: usize = 16;

/// All sockets of one address.
pub(super) struct Sockets {
    /// The address as bound, with its actual port.
    pub addr: SocketAddr,
    /// One socket per worker; the kernel distributes clients over them.
    pub udp: Vec<UdpSocket>,
    pub tcp: TcpListener,
}

/// Binds `addr` for UDP and TCP.
pub(super) fn bind(addr: SocketAddr, workers: NonZeroUsize, listen_queue: u32) -> Result<Sockets, ListenError> {
    let mut tries = if addr.port() == 0 { FREE_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_once(addr, workers, listen_queue) {
            Err(ListenError::Bind(_, Transport::Tcp, error))
                if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
}

fn bind_once(mut addr: SocketAddr, workers: NonZeroUsize, listen_queue: u32) -> Result<Sockets, ListenError> {
    let mut udp = Vec::with_capacity(workers.get());
    for worker in 0..workers.get() {
        let socket = bind_udp(addr, worker == 0).map_err(|error| ListenError::Bind(addr, Transport::Udp, error))?;
        // The first socket determines the port for port 0.
        addr = socket.local_addr().map_err(|error| ListenError::Bind(addr, Transport::Udp, error))?;
        udp.push(socket);
    }
    let tcp = bind_tcp(addr, listen_queue).map_err(|error| ListenError::Bind(addr, Transport::Tcp, error))?;
    Ok(Sockets { addr, udp, tcp })
}

/// Binds one UDP socket; `first` means that no other socket may share the address yet. Setting `SO_REUSEPORT` before
/// `bind` would let a second copy of the server take half of the queries unnoticed. Set on the first socket after
/// `bind`, it admits only the sockets that follow.
fn bind_udp(addr: SocketAddr, first: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(!first)?;
    socket.bind(&addr.into())?;
    socket.set_reuse_port(true)?;
    // Beyond net.core.{r,w}mem_max the kernel grants only what it may, without an error.
    socket.set_recv_buffer_size(UDP_BUFFER)?;
    socket.set_send_buffer_size(UDP_BUFFER)?;
    let socket = UdpSocket::from(socket);
    udp::prepare(&socket, addr)?;
    Ok(socket)
}

/// Binds a TCP socket, which does not wait; one of `::` is for IPv6 alone.
pub(super) fn bind_tcp(addr: SocketAddr, listen_queue: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Allows binding while connections of an earlier run are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit these options.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(TCP_UNSENT)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(listen_queue).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
