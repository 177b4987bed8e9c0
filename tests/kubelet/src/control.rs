//! Obeys the test that started this kubelet.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::Arc,
    thread,
    time::Duration,
};

use bindy_kubelet::{CONTROL, Reply, Request, receive, send};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    runtime::Handle,
    time::timeout,
};

use crate::{
    network::Network,
    node::Node,
    relay::{self, Upstream},
};

/// Takes requests from now on.
pub(crate) fn serve(node: Arc<Node>) -> Result<(), String> {
    let path = node.settings.folder.join(CONTROL);
    let listener = UnixListener::bind(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let runtime = Handle::current();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (node, runtime) = (Arc::clone(&node), runtime.clone());
            thread::spawn(move || converse(&node, &runtime, &stream));
        }
    });
    Ok(())
}

fn converse(node: &Arc<Node>, runtime: &Handle, stream: &UnixStream) {
    let Ok((request, _)) = receive::<Request>(stream) else { return };
    let (reply, socket) = match runtime.block_on(obey(node, request)) {
        Ok(done) => done,
        Err(error) => (Reply::Failed(error.to_string()), None),
    };
    // Who has asked may have gone.
    let _ = send(stream, &reply, socket.as_ref());
}

async fn obey(node: &Arc<Node>, request: Request) -> io::Result<(Reply, Option<OwnedFd>)> {
    let reply = match request {
        Request::Run(command) => {
            let output = Network::command(&command).kill_on_drop(true).output().await?;
            let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
            Reply::Ran { code: output.status.code(), output: (text(&output.stdout), text(&output.stderr)) }
        }
        Request::Udp(address) => {
            let socket = node.network.connect_udp(address).await?;
            socket.set_nonblocking(false)?;
            return Ok((Reply::Socket, Some(socket.into())));
        }
        Request::Tcp(address) => {
            let connected = timeout(Duration::from_secs(5), node.network.connect_tcp(address)).await;
            let socket = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??.into_std()?;
            socket.set_nonblocking(false)?;
            return Ok((Reply::Socket, Some(socket.into())));
        }
        Request::Forward(address) => Reply::Forwarded(forward(node, address).await?),
        Request::Signal { namespace, pod, container, signal } => {
            let processes = node.processes.lock().expect("nothing panics while it is held");
            let process = processes.get(&(namespace, pod, container)).copied();
            let process = process.and_then(|process| Pid::from_raw(i32::try_from(process).ok()?));
            let process = process.ok_or_else(|| io::Error::other("no such container runs here"))?;
            let signal = Signal::from_named_raw(signal).ok_or_else(|| io::Error::other("there is no such signal"))?;
            kill_process(process, signal)?;
            Reply::Done
        }
        Request::Refresh(refresh) => {
            *node.refresh.lock().expect("nothing panics while it is held") = refresh;
            Reply::Done
        }
        Request::Machine => Reply::Machine(node.machine),
    };
    Ok((reply, None))
}

/// Makes a port outside of the network lead into it.
async fn forward(node: &Arc<Node>, to: SocketAddr) -> io::Result<SocketAddr> {
    let inside = Arc::new(Inside { node: Arc::clone(node), to });
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        // Some other process may have the port for UDP.
        if let Ok(socket) = UdpSocket::bind(address).await {
            tokio::spawn(relay::tcp(listener, Arc::clone(&inside)));
            tokio::spawn(relay::udp(socket, inside));
            return Ok(address);
        }
    }
    Err(io::Error::other("no port of 127.0.0.1 is free for UDP and TCP"))
}

/// An address in the network.
struct Inside {
    node: Arc<Node>,
    to: SocketAddr,
}

impl Upstream for Inside {
    async fn tcp(&self) -> io::Result<TcpStream> {
        self.node.network.connect_tcp(self.to).await
    }

    async fn udp(&self) -> io::Result<(std::net::UdpSocket, SocketAddr)> {
        Ok((self.node.network.connect_udp(self.to).await?, self.to))
    }

    fn has(&self, server: SocketAddr) -> bool {
        server == self.to
    }
}
