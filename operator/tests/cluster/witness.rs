//! Who believes what Bindy says: as soon as a resource is said to be ready, the witness asks every server for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use bindy::api::{GROUP, Kind, VERSION};
use bindy_cluster::Cluster;
use bindy_server::{Rcode, message::Message};
use futures_util::{StreamExt, stream};
use kube::{
    Api, Client, ResourceExt,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::Value;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, block_in_place},
    time::timeout,
};
use zonefmt::{Name, Rtype, Serial, rdata::Soa};

use crate::load::{addresses, question, socket};

/// A witness. It looks away when this is dropped.
pub struct Witness {
    /// Ends it when it has seen that these records are ready.
    end: oneshot::Sender<BTreeSet<String>>,
    watching: JoinHandle<Testimony>,
}

/// What a witness has seen.
#[derive(Debug, Default)]
pub struct Testimony {
    /// How many times a resource was said to be ready, and servers were asked.
    pub compared: usize,
    /// Where servers did not answer so.
    pub lies: Vec<String>,
}

/// A way to every server of a zone.
pub struct Servers {
    sockets: Vec<(SocketAddr, UdpSocket)>,
    last: u16,
}

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a witness may take until it sees what it could not while an API server was away.
const SEES_ALL: Duration = Duration::from_secs(120);

impl Witness {
    /// Watches the zones and the A records of `dns-system`, whose servers these are.
    pub fn start(cluster: &Cluster, servers: &[SocketAddr]) -> Witness {
        let (end, ended) = oneshot::channel();
        let (client, servers) = (cluster.client(), Servers::new(cluster, servers));
        let watching = tokio::spawn(async move {
            let seeing = See {
                client,
                servers,
                said: BTreeSet::new(),
                named: BTreeSet::new(),
                serials: BTreeMap::new(),
                told: Testimony::default(),
            };
            seeing.until(ended).await
        });
        Witness { end, watching }
    }

    /// Ends it when it has compared these records, too.
    pub async fn end(self, records: impl IntoIterator<Item = String>) -> Testimony {
        self.end.send(records.into_iter().collect()).expect("it watches until now");
        timeout(SEES_ALL, self.watching).await.expect("it sees all records").expect("it does not panic")
    }
}

struct See {
    client: Client,
    servers: Servers,
    /// The records, with their generations, of which it was said and true.
    said: BTreeSet<(String, i64)>,
    /// The names of these.
    named: BTreeSet<String>,
    /// The latest serial that each server has answered for a zone.
    serials: BTreeMap<(SocketAddr, Name), Serial>,
    told: Testimony,
}

impl See {
    async fn until(mut self, mut ended: oneshot::Receiver<BTreeSet<String>>) -> Testimony {
        let kinds = [Kind::Zone, a_record()];
        let watched = kinds.map(|kind| {
            let events = watcher(api(&self.client, kind), watcher::Config::default()).default_backoff().boxed();
            events.map(move |event| (kind, event))
        });
        let mut events = stream::select_all(watched);
        let (mut listed, mut awaited) = (BTreeSet::new(), None);
        while awaited.as_ref().is_none_or(|names: &BTreeSet<String>| !names.is_subset(&self.named)) {
            let (kind, event) = tokio::select! {
                Some(event) = events.next() => event,
                names = &mut ended, if awaited.is_none() => {
                    awaited = Some(names.unwrap_or_default());
                    continue;
                }
            };
            let Ok(event) = event else { continue };
            let compared = self.told.compared;
            if let watcher::Event::Apply(object) | watcher::Event::InitApply(object) = &event {
                match kind {
                    Kind::Zone => block_in_place(|| self.zone(object)),
                    _ => self.record(object).await,
                }
            }
            // What was said before all this does not count.
            match event {
                watcher::Event::InitDone => _ = listed.insert(kind),
                watcher::Event::InitApply(_) if !listed.contains(&kind) => self.told.compared = compared,
                _ => {}
            }
        }
        self.told
    }

    /// A zone that is ready is answered by every server that answers, and its serial never goes back there.
    fn zone(&mut self, zone: &DynamicObject) {
        let Some(name) = zone.data["spec"]["zoneName"].as_str() else { return };
        let name = Name::from_ascii(name).expect("an API server has admitted it");
        if !is_ready(zone) {
            return;
        }
        self.told.compared += 1;
        for (server, answer) in self.servers.ask(&name, Rtype::SOA, serial) {
            match answer {
                Some(Ok(serial)) => {
                    let former = self.serials.insert((server, name.clone()), serial);
                    if former.is_some_and(|former| serial < former) {
                        self.told.lies.push(format!("{name}: {server} went from {former:?} to {serial:?}"));
                    }
                }
                Some(Err(rcode)) => self.told.lies.push(format!("{name} is ready, and {server} answers {rcode}")),
                // Also a server that is away.
                None => {}
            }
        }
    }

    /// A record that is ready was once answered by every server, since it was what it is.
    async fn record(&mut self, record: &DynamicObject) {
        let key = (record.uid().unwrap_or_default(), record.metadata.generation.unwrap_or_default());
        let Some(name) = record.data["status"]["publishedName"].as_str() else { return };
        if !is_ready(record) || !self.said.insert(key) {
            return;
        }
        let name = Name::from_ascii(name).expect("it is a name");
        self.named.insert(record.name_any());
        let expected = addresses_of(&record.data["spec"]);
        self.told.compared += 1;
        let answers = block_in_place(|| self.servers.ask(&name, Rtype::A, addresses));
        let wrong: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| answer.as_ref().is_some_and(|it| *it != Ok(expected.clone())))
            .collect();
        if wrong.is_empty() {
            return;
        }
        // It may have been changed meanwhile.
        let now = api(&self.client, a_record()).get_opt(&record.name_any()).await;
        if now.is_ok_and(|now| now.is_some_and(|now| now.metadata.generation == record.metadata.generation)) {
            self.told.lies.push(format!("{name} is ready with {expected:?}, and servers answer {wrong:?}"));
        }
    }
}

impl Servers {
    pub fn new(cluster: &Cluster, servers: &[SocketAddr]) -> Servers {
        let sockets = servers.iter().map(|server| (*server, socket(cluster.node(), *server))).collect();
        Servers { sockets, last: 0 }
    }

    /// Asks every server; the answer is `None` of one that does not answer in a second.
    pub fn ask<T>(
        &mut self,
        name: &Name,
        rtype: Rtype,
        read: impl Fn(&Message<'_>) -> Result<T, Rcode>,
    ) -> Vec<(SocketAddr, Option<Result<T, Rcode>>)> {
        self.last = self.last.wrapping_add(1);
        let question = question(self.last, name, rtype);
        for (_, socket) in &self.sockets {
            let _ = socket.send(&question);
        }
        let end = Instant::now() + PATIENCE;
        let hear = |socket: &UdpSocket| {
            let mut octets = [0; 4096];
            while Instant::now() < end {
                let Ok(length) = socket.recv(&mut octets) else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                match Message::read(&octets[..length]) {
                    Ok(message) if message.id() == self.last => return Some(read(&message)),
                    _ => {}
                }
            }
            None
        };
        self.sockets.iter().map(|(server, socket)| (*server, hear(socket))).collect()
    }
}

/// The serial in the answer to a question for a SOA.
pub fn serial(message: &Message<'_>) -> Result<Serial, Rcode> {
    let mut answers = message.answers();
    let soa = answers.next().ok().flatten().filter(|record| record.rtype == Rtype::SOA);
    let serial = soa.and_then(|record| Soa::read(record.rdata)).map(|soa| soa.serial);
    serial.filter(|_| message.is_authoritative()).ok_or(message.rcode())
}

/// The resources of a kind in `dns-system`.
pub fn api(client: &Client, kind: Kind) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind.name());
    Api::namespaced_with(client.clone(), "dns-system", &ApiResource::from_gvk_with_plural(&gvk, &kind.plural()))
}

pub fn a_record() -> Kind {
    Kind::from_name("ARecord").expect("it is a kind")
}

/// Whether it is said that a resource, as it is now, is ready.
pub fn is_ready(object: &DynamicObject) -> bool {
    let conditions = object.data["status"]["conditions"].as_array().into_iter().flatten();
    let generation = object.metadata.generation.map(Value::from);
    let mut ready = conditions.filter(|it| it["type"] == "Ready" && it["status"] == "True");
    ready.any(|it| Some(&it["observedGeneration"]) == generation.as_ref())
}

/// The addresses of an A record, sorted.
fn addresses_of(spec: &Value) -> Vec<Ipv4Addr> {
    let texts = spec["ipv4Addresses"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut addresses: Vec<Ipv4Addr> = texts.filter_map(|text| text.parse().ok()).collect();
    addresses.sort();
    addresses
}
