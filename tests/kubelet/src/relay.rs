//! Carries what clients send to one of several servers, and back. Servers see this kubelet as their client.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::timeout,
};

/// The servers that a relay leads to, which may change all the time.
pub(crate) trait Upstream: Send + Sync + 'static {
    /// Chooses a server and connects to it; `None` where there is none.
    fn tcp(&self) -> impl Future<Output = io::Result<TcpStream>> + Send;
    /// The same by UDP, with the server that was chosen.
    fn udp(&self) -> impl Future<Output = io::Result<(std::net::UdpSocket, SocketAddr)>> + Send;
    /// Whether a server is still one of them.
    fn has(&self, server: SocketAddr) -> bool;
}

/// How long a client of UDP keeps its server after the last message either way; the same as in the kernel's tables.
const IDLE: Duration = Duration::from_secs(30);

/// How many clients of UDP a relay serves at the same time. Messages of others are dropped.
const CLIENTS: usize = 10_000;

/// Serves TCP for ever.
pub(crate) async fn tcp(listener: TcpListener, upstream: Arc<impl Upstream>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            // Out of files: some come back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let upstream = Arc::clone(&upstream);
        connections.spawn(async move {
            let Ok(mut server) = upstream.tcp().await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

struct Flow {
    socket: Arc<UdpSocket>,
    server: SocketAddr,
}

/// Serves UDP for ever.
pub(crate) async fn udp(listener: UdpSocket, upstream: Arc<impl Upstream>) {
    let listener = Arc::new(listener);
    let flows: Arc<Mutex<HashMap<SocketAddr, Flow>>> = Arc::default();
    let mut replies = JoinSet::new();
    let mut message = vec![0; 65_535];
    loop {
        // An error of a datagram that was sent before: the client has gone.
        let Ok((length, client)) = listener.recv_from(&mut message).await else { continue };
        while replies.try_join_next().is_some() {}
        let known = {
            let flows = flows.lock().expect("nothing panics while it is held");
            if flows.len() >= CLIENTS && !flows.contains_key(&client) {
                continue;
            }
            flows.get(&client).filter(|flow| upstream.has(flow.server)).map(|flow| Arc::clone(&flow.socket))
        };
        let socket = match known {
            Some(socket) => socket,
            None => {
                let Ok((socket, server)) = upstream.udp().await else { continue };
                let Ok(socket) = UdpSocket::from_std(socket).map(Arc::new) else { continue };
                let flow = Flow { socket: Arc::clone(&socket), server };
                flows.lock().expect("nothing panics while it is held").insert(client, flow);
                let (listener, flows, from) = (Arc::clone(&listener), Arc::clone(&flows), Arc::clone(&socket));
                replies.spawn(async move {
                    bring_back(&listener, client, &from).await;
                    let mut flows = flows.lock().expect("nothing panics while it is held");
                    if flows.get(&client).is_some_and(|flow| Arc::ptr_eq(&flow.socket, &from)) {
                        flows.remove(&client);
                    }
                });
                socket
            }
        };
        // Lost, as datagrams may be.
        let _ = socket.send(&message[..length]).await;
    }
}

/// Sends a client what comes from its server, until nothing comes.
async fn bring_back(listener: &UdpSocket, client: SocketAddr, from: &UdpSocket) {
    let mut message = vec![0; 65_535];
    // An error says that nobody listens there, which may change.
    while let Ok(received) = timeout(IDLE, from.recv(&mut message)).await {
        let Ok(length) = received else { continue };
        let _ = listener.send_to(&message[..length], client).await;
    }
}
