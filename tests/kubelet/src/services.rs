//! Leads the `ClusterIP`s of Services to the Pods behind them, as a proxy of connections and datagrams: Pods see the
//! Node as their client.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Notify,
    task::JoinHandle,
};

use crate::{
    follow::{News, follow},
    node::Node,
    relay::{self, Upstream},
};

/// Where Pods find the API server: the Service `kubernetes`, which the API server makes.
pub(crate) const API: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 1), 443);

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Front {
    address: SocketAddr,
    is_udp: bool,
}

/// The servers behind a port. They are in the network of the Pods, each in turn.
struct Back {
    node: Arc<Node>,
    servers: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

/// All Services and their endpoints, by namespace and name.
#[derive(Default)]
struct Known {
    services: BTreeMap<(String, String), Service>,
    slices: BTreeMap<(String, String), EndpointSlice>,
}

/// Serves all Services for ever.
pub(crate) async fn serve(node: Arc<Node>, client: Client) {
    let known = Arc::new(Mutex::new(Known::default()));
    let news = Arc::new(Notify::new());
    let services = follow(Api::<Service>::all(client.clone()), "", |it| {
        keep(&mut known.lock().expect("nothing panics while it is held").services, it);
        news.notify_one();
    });
    let slices = follow(Api::<EndpointSlice>::all(client), "", |it| {
        keep(&mut known.lock().expect("nothing panics while it is held").slices, it);
        news.notify_one();
    });
    let proxy = async {
        let mut proxy = Proxy { node: Arc::clone(&node), fronts: BTreeMap::new(), addresses: BTreeSet::new() };
        proxy.serve_api().await;
        loop {
            news.notified().await;
            let fronts = fronts(&known.lock().expect("nothing panics while it is held"));
            proxy.set(fronts).await;
        }
    };
    tokio::join!(services, slices, proxy);
}

fn keep<K: Resource>(known: &mut BTreeMap<(String, String), K>, news: News<K>) {
    let key = |it: &K| (it.namespace().unwrap_or_default(), it.name_any());
    match news {
        News::All(all) => *known = all.into_iter().map(|it| (key(&it), it)).collect(),
        News::Is(it) => _ = known.insert(key(&it), it),
        News::Gone(it) => _ = known.remove(&key(&it)),
    }
}

/// The ports of all Services with the servers behind them, except the API server's.
fn fronts(known: &Known) -> BTreeMap<Front, Vec<SocketAddr>> {
    let mut fronts = BTreeMap::new();
    for ((namespace, name), service) in &known.services {
        let Some(spec) = &service.spec else { continue };
        let slices: Vec<_> = known
            .slices
            .iter()
            .filter(|((of, _), slice)| {
                of == namespace && slice.labels().get("kubernetes.io/service-name") == Some(name)
            })
            .map(|(_, slice)| slice)
            .collect();
        // A headless one has `None`.
        let addresses = spec.cluster_ips.iter().flatten().filter_map(|text| text.parse::<IpAddr>().ok());
        let ports = || spec.ports.iter().flatten();
        for (address, port) in addresses.flat_map(|address| ports().map(move |port| (address, port))) {
            let Ok(number) = u16::try_from(port.port) else { continue };
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let address = SocketAddr::from((address, number));
            if address == API.into() || !matches!(protocol, "TCP" | "UDP") {
                continue;
            }
            let name = port.name.as_deref().unwrap_or_default();
            let slices: Vec<_> = slices.iter().copied().filter(|slice| is_of_family(slice, address)).collect();
            let mut servers = servers(&slices, name, protocol, Endpoints::Ready);
            if servers.is_empty() {
                servers = self::servers(&slices, name, protocol, Endpoints::Ending);
            }
            fronts.insert(Front { address, is_udp: protocol == "UDP" }, servers.into_iter().collect());
        }
    }
    fronts
}

/// Which endpoints serve.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoints {
    Ready,
    /// Where none is ready: those that serve until they end.
    Ending,
}

fn is_of_family(slice: &EndpointSlice, address: SocketAddr) -> bool {
    slice.address_type == if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn servers(slices: &[&EndpointSlice], name: &str, protocol: &str, which: Endpoints) -> BTreeSet<SocketAddr> {
    let mut servers = BTreeSet::new();
    for slice in slices {
        let ports = slice.ports.iter().flatten().filter(|port| {
            port.name.as_deref().unwrap_or_default() == name && port.protocol.as_deref().unwrap_or("TCP") == protocol
        });
        let numbers: Vec<u16> = ports.filter_map(|port| u16::try_from(port.port?).ok()).collect();
        for endpoint in slice.endpoints.iter().flatten() {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let serves = match which {
                Endpoints::Ready => conditions.ready.unwrap_or(true),
                Endpoints::Ending => conditions.serving == Some(true) && conditions.terminating == Some(true),
            };
            let addresses = endpoint.addresses.iter().filter(|_| serves).filter_map(|it| it.parse::<IpAddr>().ok());
            servers.extend(addresses.flat_map(|it| numbers.iter().map(move |port| SocketAddr::from((it, *port)))));
        }
    }
    servers
}

struct Proxy {
    node: Arc<Node>,
    fronts: BTreeMap<Front, (Arc<Back>, Option<JoinHandle<()>>)>,
    /// Those that the network has.
    addresses: BTreeSet<IpAddr>,
}

impl Proxy {
    /// Leads the Service `kubernetes` to the API server, which is outside of the network.
    async fn serve_api(&mut self) {
        let started = async {
            self.own((*API.ip()).into()).await.map_err(io::Error::other)?;
            let listener = self.node.network.listen_tcp(API.into()).await?;
            tokio::spawn(relay::tcp(TcpListener::from_std(listener)?, Arc::new(Outside(self.node.settings.api))));
            io::Result::Ok(())
        };
        if let Err(error) = started.await {
            eprintln!("the API server will not be found by Pods: {error}");
        }
    }

    async fn own(&mut self, address: IpAddr) -> Result<(), String> {
        if !self.addresses.contains(&address) {
            self.node.network.own(address).await?;
            self.addresses.insert(address);
        }
        Ok(())
    }

    /// Has these ports served, by these servers, and no others.
    async fn set(&mut self, mut fronts: BTreeMap<Front, Vec<SocketAddr>>) {
        self.fronts.retain(|front, (_, serving)| {
            let stays = fronts.contains_key(front);
            serving.iter().filter(|_| !stays).for_each(JoinHandle::abort);
            stays
        });
        let used: BTreeSet<_> = fronts.keys().map(|front| front.address.ip()).chain([(*API.ip()).into()]).collect();
        let unused: Vec<_> = self.addresses.iter().copied().filter(|it| !used.contains(it)).collect();
        for address in unused {
            self.addresses.remove(&address);
            let _ = self.node.network.disown(address).await;
        }
        while let Some((front, servers)) = fronts.pop_first() {
            if let Err(error) = self.set_one(&front, servers).await {
                eprintln!("{front:?}: {error}");
            }
        }
    }

    async fn set_one(&mut self, front: &Front, servers: Vec<SocketAddr>) -> io::Result<()> {
        self.own(front.address.ip()).await.map_err(io::Error::other)?;
        let node = &self.node;
        let (back, serving) = self.fronts.entry(front.clone()).or_insert_with(|| {
            let back = Back { node: Arc::clone(node), servers: Mutex::default(), turn: AtomicUsize::default() };
            (Arc::new(back), None)
        });
        let is_served = !servers.is_empty();
        *back.servers.lock().expect("nothing panics while it is held") = servers;
        match serving {
            // Nobody listens where nobody serves: the kernel tells clients at once.
            Some(task) if !is_served => {
                task.abort();
                *serving = None;
            }
            None if is_served => {
                let (network, back) = (&node.network, Arc::clone(back));
                *serving = Some(if front.is_udp {
                    tokio::spawn(relay::udp(UdpSocket::from_std(network.bind_udp(front.address).await?)?, back))
                } else {
                    tokio::spawn(relay::tcp(TcpListener::from_std(network.listen_tcp(front.address).await?)?, back))
                });
            }
            _ => {}
        }
        Ok(())
    }
}

impl Back {
    fn next(&self) -> io::Result<SocketAddr> {
        let servers = self.servers.lock().expect("nothing panics while it is held");
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let server = turn.checked_rem(servers.len()).map(|turn| servers[turn]);
        server.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }
}

impl Upstream for Back {
    async fn tcp(&self) -> io::Result<TcpStream> {
        self.node.network.connect_tcp(self.next()?).await
    }

    async fn udp(&self) -> io::Result<(std::net::UdpSocket, SocketAddr)> {
        let server = self.next()?;
        Ok((self.node.network.connect_udp(server).await?, server))
    }

    fn has(&self, server: SocketAddr) -> bool {
        self.servers.lock().expect("nothing panics while it is held").contains(&server)
    }
}

/// A server of this machine, outside of the network.
struct Outside(SocketAddr);

impl Upstream for Outside {
    async fn tcp(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }

    async fn udp(&self) -> io::Result<(std::net::UdpSocket, SocketAddr)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn has(&self, server: SocketAddr) -> bool {
        server == self.0
    }
}
