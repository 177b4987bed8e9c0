//! The network of the Pods: a namespace with a bridge, on which each Pod has a namespace of its own and an address.
//!
//! No interface of the machine leads there. What does is this process: sockets belong to the namespace of the thread
//! that makes them, so one thread lives in the Pods' network, and hands out what the others ask it for.

use std::{
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    process::Stdio,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
};

use rustix::{
    mount::{UnmountFlags, unmount},
    net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tokio::{io::AsyncWriteExt, net::TcpSocket, process::Command, sync::oneshot};

/// The address of the Node, which is the bridge.
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// The same for IPv6, where Pods have it.
const NODE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 1);

/// The folder of the namespaces, by the convention of `ip`.
const NAMESPACES: &str = "/run/netns";

/// The namespace with the bridge.
const HUB: &str = "hub";

/// How many Pods there can be while a kubelet runs: no address is given twice.
const PODS: u32 = 65_000;

pub(crate) struct Network {
    sockets: mpsc::Sender<(AddressFamily, SocketType, oneshot::Sender<io::Result<OwnedFd>>)>,
    given: AtomicU32,
    has_ipv6: bool,
}

/// The namespace of a Pod, which is removed with this.
pub(crate) struct Link {
    pub(crate) addresses: Addresses,
    namespace: String,
}

/// The addresses of a Pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) ipv4: Ipv4Addr,
    /// It comes first.
    pub(crate) ipv6: Option<Ipv6Addr>,
}

impl Addresses {
    pub(crate) fn first(self) -> IpAddr {
        self.ipv6.map_or(self.ipv4.into(), IpAddr::from)
    }

    pub(crate) fn all(self) -> impl Iterator<Item = IpAddr> {
        self.ipv6.map(IpAddr::from).into_iter().chain([self.ipv4.into()])
    }
}

impl Network {
    pub(crate) async fn start(has_ipv6: bool) -> Result<Network, String> {
        fs::create_dir_all(NAMESPACES).map_err(|error| format!("{NAMESPACES}: {error}"))?;
        make(HUB).await?;
        // A bridge that is given no address takes one of its ports', and another when that Pod ends: the other Pods would
        // not find the Node for most of a minute.
        let bridge = "link add pods address 02:00:0a:f4:00:01 type bridge";
        ip(HUB, &format!("link set lo up\n{bridge}\naddr add {NODE}/16 dev pods\nlink set pods up\n")).await?;
        if has_ipv6 {
            ip(HUB, &format!("addr add {NODE_V6}/64 dev pods nodad\n")).await?;
        }
        let (sockets, requests) = mpsc::channel::<(_, _, oneshot::Sender<_>)>();
        let (entered, has_entered) = oneshot::channel();
        thread::spawn(move || {
            let _ = entered.send(enter(HUB));
            for (family, kind, reply) in requests {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let _ = reply.send(socket_with(family, kind, flags, None).map_err(io::Error::from));
            }
        });
        has_entered.await.expect("the thread sends").map_err(|error| format!("the Pods' network: {error}"))?;
        Ok(Network { sockets, given: AtomicU32::new(0), has_ipv6 })
    }

    /// Makes the namespace of a Pod.
    pub(crate) async fn link(&self) -> Result<Link, String> {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        if number > PODS {
            return Err(format!("this kubelet has run {PODS} Pods, and has no more addresses: start another"));
        }
        let address = Ipv4Addr::from(u32::from(NODE) + number);
        let ipv6 = self.has_ipv6.then(|| Ipv6Addr::from(u128::from(NODE_V6) + u128::from(number)));
        let link = Link { addresses: Addresses { ipv4: address, ipv6 }, namespace: format!("pod{number}") };
        let name = &link.namespace;
        make(name).await?;
        let (one, other) = (format!("v{number}"), "eth0");
        ip(HUB, &format!("link add {one} type veth peer name {other} netns {name}\nlink set {one} master pods up\n"))
            .await?;
        ip(
            name,
            &format!(
                "link set lo up\naddr add {address}/16 dev {other}\nlink set {other} up\nroute add default via {NODE}\n"
            ),
        )
        .await?;
        if let Some(ipv6) = ipv6 {
            ip(name, &format!("addr add {ipv6}/64 dev {other} nodad\nroute add default via {NODE_V6}\n")).await?;
        }
        Ok(link)
    }

    /// Makes an address of Services the network's own.
    pub(crate) async fn own(&self, address: IpAddr) -> Result<(), String> {
        let of = if address.is_ipv4() { "32 dev lo" } else { "128 dev lo nodad" };
        ip(HUB, &format!("addr replace {address}/{of}\n")).await
    }

    pub(crate) async fn disown(&self, address: IpAddr) -> Result<(), String> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        ip(HUB, &format!("addr del {address}/{bits} dev lo\n")).await
    }

    /// A command that will run in the network.
    pub(crate) fn command(program: &[String]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={NAMESPACES}/{HUB}")).arg("--").args(program);
        command
    }

    pub(crate) async fn listen_tcp(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket(address, SocketType::STREAM).await?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        listen(&socket, 1024)?;
        Ok(socket.into())
    }

    pub(crate) async fn bind_udp(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.socket(address, SocketType::DGRAM).await?;
        bind(&socket, &address)?;
        Ok(socket.into())
    }

    pub(crate) async fn connect_udp(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = UdpSocket::from(self.socket(address, SocketType::DGRAM).await?);
        socket.connect(address)?;
        Ok(socket)
    }

    pub(crate) async fn connect_tcp(&self, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        let socket = self.socket(address, SocketType::STREAM).await?;
        TcpSocket::from_std_stream(TcpStream::from(socket)).connect(address).await
    }

    /// A socket for this address, or for what is there.
    async fn socket(&self, address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let (reply, socket) = oneshot::channel();
        self.sockets.send((family, kind, reply)).expect("the thread lives as long as this");
        socket.await.expect("it replies to each")
    }
}

impl Link {
    /// The file of the namespace.
    pub(crate) fn file(&self) -> String {
        format!("{NAMESPACES}/{}", self.namespace)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // With the namespace, its interfaces go.
        let _ = unmount(self.file(), UnmountFlags::DETACH);
        let _ = fs::remove_file(self.file());
    }
}

/// Moves this thread into a namespace.
fn enter(name: &str) -> io::Result<()> {
    move_into(&format!("{NAMESPACES}/{name}"))
}

/// Moves this thread into the network namespace of a file.
pub(crate) fn move_into(file: &str) -> io::Result<()> {
    Ok(move_into_link_name_space(File::open(file)?.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Makes a namespace with a file. `ip netns add` would do so for root alone.
async fn make(name: &str) -> Result<(), String> {
    let file = format!("{NAMESPACES}/{name}");
    fs::write(&file, "").map_err(|error| format!("{file}: {error}"))?;
    let output = Command::new("unshare").args([&format!("--net={file}"), "true"]).output().await;
    let output = output.map_err(|error| format!("unshare: {error}; it is in the package util-linux"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{file}: {}", told(&output.stderr))) }
}

/// Has `ip` do a list of things in a namespace.
async fn ip(namespace: &str, lines: &str) -> Result<(), String> {
    let mut process = Command::new("nsenter")
        .args([&format!("--net={NAMESPACES}/{namespace}"), "--", "ip", "-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("nsenter: {error}; it is in the package util-linux"))?;
    let mut input = process.stdin.take().expect("it is a pipe");
    let written = input.write_all(lines.as_bytes()).await;
    drop(input);
    let output = process.wait_with_output().await.map_err(|error| error.to_string())?;
    if output.status.success() && written.is_ok() {
        return Ok(());
    }
    Err(format!(
        "ip, of the package iproute2, in {namespace}: {}: {}",
        lines.trim().replace('\n', "; "),
        told(&output.stderr)
    ))
}

fn told(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().replace('\n', "; ")
}
