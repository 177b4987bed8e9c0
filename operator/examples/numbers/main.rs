//! Measures the operator on a cluster of this machine: how soon records are served by three primaries and two
//! secondaries, and gone again, what that asks of the API server, what it costs to do nothing, to lose a server, and to
//! lose the operator that leads; and in `updates` what clients write. `make bench-operator` runs it; its figures are in
//! benches/README.md.

mod updates;

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use bindy_cluster::{Cluster, Extent};
use bindy_server::message::Message;
use futures_util::{StreamExt, stream};
use http::Request;
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use zonefmt::rdata::Soa;

const SERVERS: [&str; 5] = ["ns-primary-0", "ns-primary-1", "ns-primary-2", "ns-secondary-0", "ns-secondary-1"];
const NAMESPACE: &str = "dns-system";
/// How many requests of the one who declares are under way at a time.
const AT_A_TIME: usize = 16;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long nothing changes when all is done.
const QUIET: Duration = Duration::from_secs(1);

const DECLARED: &str = "\
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Cluster
metadata: { name: ns, namespace: dns-system }
spec:
  global: { rateLimit: { responsesPerSecond: 0 } }
  primary: { replicas: 3 }
  secondary: { replicas: 2 }
---
apiVersion: bindy.firestoned.io/v1beta1
kind: DNSZone
metadata: { name: example-com, namespace: dns-system }
spec:
  zoneName: example.com
  clusterRef: ns
  soaRecord: { primaryNs: ns1.example.com., adminEmail: hostmaster.example.com., serial: 1 }
  recordsFrom: [{ selector: { matchLabels: { zone: example } } }]
";

struct Bench {
    cluster: Cluster,
    client: Client,
    /// To each server a socket, which stays: every new one is a client more for the proxy of ClusterIPs.
    servers: Vec<UdpSocket>,
}

/// What an operator has taken of the machine.
struct Usage {
    cpu: Duration,
    resident_mib: u64,
}

#[tokio::main]
async fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let bench = Bench::start().await;
    if quick {
        bench.updates(100, 4_000).await;
    } else {
        bench.updates(500, 100_000).await;
    }
    for count in if quick { vec![300] } else { vec![300, 10_000] } {
        bench.records(count, true).await;
        if count == 10_000 {
            bench.rest().await;
            bench.lose_a_server().await;
        }
        bench.records(count, false).await;
    }
    bench.zones(1000).await;
}

impl Bench {
    async fn start() -> Bench {
        let cluster = Cluster::start(Extent::Running).await;
        cluster.install();
        cluster.apply(DECLARED);
        let mut bench = Bench { client: cluster.client(), cluster, servers: Vec::new() };
        until("the zone is ready", || {
            bench.cluster.field(NAMESPACE, "dnszone/example-com", ".status.servers") == "5/5"
        });
        let sockets = SERVERS.iter().map(|server| {
            let socket = bench.cluster.node().udp(bench.address(server)).expect("the Node makes sockets");
            socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time that is not zero");
            socket
        });
        bench.servers = sockets.collect();
        bench
    }

    fn address(&self, server: &str) -> SocketAddr {
        let address = self.cluster.field(NAMESPACE, &format!("service/{server}"), ".spec.clusterIP");
        SocketAddr::new(address.parse().expect("a Service has an address"), 53)
    }

    /// Declares records, or deletes them.
    async fn records(&self, count: u32, there: bool) {
        let names: Vec<String> = (0..count).map(|number| format!("r{number}")).collect();
        let (api, before, started) = (self.ours("ARecord", "arecords"), self.requests().await, Instant::now());
        let writes = names.iter().map(|name| {
            let api = &api;
            async move {
                if there {
                    let record = json!({
                        "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "ARecord",
                        "metadata": { "name": name, "labels": { "zone": "example" } },
                        "spec": { "name": name, "ipv4Addresses": ["192.0.2.1"] },
                    });
                    let record = serde_json::from_value(record).expect("it is an object");
                    api.create(&PostParams::default(), &record).await.map(drop)
                } else {
                    api.delete(name, &DeleteParams::default()).await.map(drop)
                }
            }
        });
        let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_A_TIME).collect().await;
        for one in written {
            one.expect("the API server takes it");
        }
        let last = Instant::now();
        let served = self.final_version(last, &names, there).await.duration_since(last);
        let verb = if there { "declared" } else { "deleted" };
        let lasted = last - started;
        if there {
            loop {
                wait(last, "status");
                let all = api.list(&ListParams::default()).await.expect("the API server answers");
                if all.items.iter().all(|record| is_ready(&record.data)) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        let settled = last.elapsed();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let requests = self.requests().await - before;
        println!(
            "{count} records {verb} within {:.1} s: as wanted on 5 servers {:.2} s after the last, status {:.1} s after it; \
             {requests:.0} requests by the operator, {:.2} a record",
            lasted.as_secs_f32(),
            served.as_secs_f32(),
            settled.as_secs_f32(),
            requests / f64::from(count),
        );
        for (role, usage) in self.operators() {
            println!("  {role}: {} MiB", usage.resident_mib);
        }
    }

    /// Waits until every server has, or lacks, all of these names; returns since when. As asking for all takes a while, that
    /// is when the last server had the version in which they are found to be so.
    async fn final_version(&self, last: Instant, names: &[String], there: bool) -> Instant {
        let mut since: Option<(Vec<Option<u32>>, Instant)> = None;
        loop {
            wait(last, "records");
            tokio::time::sleep(Duration::from_millis(5)).await;
            let versions: Vec<Option<u32>> = (0..self.servers.len()).map(|server| self.serial(server)).collect();
            let now = Instant::now();
            if since.as_ref().is_none_or(|(known, _)| *known != versions) {
                since = Some((versions, now));
                continue;
            }
            let Some((known, since)) = since.as_ref().filter(|(_, since)| now - *since > QUIET) else { continue };
            if !there {
                self.allow_removal();
            }
            let same = known.iter().all(|version| *version == known[0] && version.is_some());
            let has_all =
                |server| names.iter().all(|name| self.has(server, &format!("{name}.example.com")) == Some(there));
            if same && (0..self.servers.len()).all(has_all) {
                return *since;
            }
        }
    }

    /// Lets the operator publish that most of the zone goes.
    fn allow_removal(&self) {
        let serial = self.cluster.field(NAMESPACE, "dnszone/example-com", ".status.serial");
        let allowed = format!("bindy.firestoned.io/allow-large-removal={serial}");
        self.cluster.done(&["annotate", "dnszone/example-com", "-n", NAMESPACE, "--overwrite", &allowed]);
    }

    /// What it costs to do nothing.
    async fn rest(&self) {
        const FOR: Duration = Duration::from_secs(30);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (requests, before) = (self.requests().await, self.operators());
        tokio::time::sleep(FOR).await;
        let requests = self.requests().await - requests;
        println!("at rest for {} s: {requests:.0} requests by the operators, but for the Lease", FOR.as_secs());
        for ((role, before), (_, after)) in before.iter().zip(self.operators()) {
            let share = after.cpu.saturating_sub(before.cpu).as_secs_f64() / FOR.as_secs_f64();
            println!("  {role}: {:.2} % of a core, {} MiB", share * 100.0, after.resident_mib);
        }
    }

    async fn lose_a_server(&self) {
        let before = self.requests().await;
        let pod = "-l=instance=ns-primary-0";
        let started = Instant::now();
        self.cluster.done(&["delete", "pod", "-n", NAMESPACE, pod, "--force", "--grace-period=0"]);
        until("the server is missed", || {
            self.cluster.field(NAMESPACE, "dnszone/example-com", ".status.servers") != "5/5"
        });
        until("the server is back", || {
            self.cluster.field(NAMESPACE, "dnszone/example-com", ".status.servers") == "5/5"
        });
        let back = started.elapsed();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let requests = self.requests().await - before;
        println!("a server lost: back after {:.1} s, {requests:.0} requests by the operator", back.as_secs_f32());
    }

    /// Declares zones, and loses the operator that leads.
    async fn zones(&self, count: usize) {
        let zones = self.ours("DNSZone", "dnszones");
        let started = Instant::now();
        let writes = (0..count).map(|number| {
            let zones = &zones;
            async move {
                let zone = json!({
                    "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "DNSZone",
                    "metadata": { "name": format!("z{number}") },
                    "spec": {
                        "zoneName": format!("z{number}.test"), "clusterRef": "ns",
                        "soaRecord": { "primaryNs": "ns1.example.com.", "adminEmail": "a.example.com.", "serial": 1 },
                    },
                });
                let zone = serde_json::from_value(zone).expect("it is an object");
                zones.create(&PostParams::default(), &zone).await.map(drop)
            }
        });
        let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_A_TIME).collect().await;
        for one in written {
            one.expect("the API server takes it");
        }
        let last = Instant::now();
        loop {
            wait(last, "zones");
            let all = zones.list(&ListParams::default()).await.expect("the API server answers");
            if all.items.iter().all(|zone| is_ready(&zone.data)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let ready = last.elapsed();
        println!(
            "{count} zones declared within {:.1} s: ready on 5 servers {:.1} s after the last",
            (last - started).as_secs_f32(),
            ready.as_secs_f32()
        );
        let (transfers, holder) = (self.transfers(), self.holder());
        self.cluster.node().signal("bindy-system", pod_of(&holder), "bindy", 9).expect("it runs");
        let lost = Instant::now();
        // It may be one in the same pod.
        until("another one leads", || self.holder() != holder);
        let led = lost.elapsed();
        let record = json!({
            "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "ARecord",
            "metadata": { "name": "after", "labels": { "zone": "example" } },
            "spec": { "name": "after", "ipv4Addresses": ["192.0.2.1"] },
        });
        let record = serde_json::from_value(record).expect("it is an object");
        let records = self.ours("ARecord", "arecords");
        records.create(&PostParams::default(), &record).await.expect("the API server takes it");
        let changed = Instant::now();
        until("a change is served", || {
            (0..self.servers.len()).all(|server| self.has(server, "after.example.com") == Some(true))
        });
        let served = changed.elapsed();
        tokio::time::sleep(Duration::from_secs(10)).await;
        println!(
            "the leader killed: another leads after {:.1} s, and a change is served {:.2} s later; {} transfers by 5 servers in \
             all, of which 5 for the change",
            led.as_secs_f32(),
            served.as_secs_f32(),
            self.transfers() - transfers,
        );
        for (role, usage) in self.operators() {
            println!("  {role}: {} MiB", usage.resident_mib);
        }
    }

    fn ours(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("bindy.firestoned.io", "v1beta1", kind);
        Api::namespaced_with(self.client.clone(), NAMESPACE, &ApiResource::from_gvk_with_plural(&gvk, plural))
    }

    /// Whether a server has an address for a name; `None` if it does not answer, or not as it should.
    fn has(&self, server: usize, name: &str) -> Option<bool> {
        let answer = self.ask(server, name, 1)?;
        match (answer[3] & 15, answer[7]) {
            (0, 1) => Some(true),
            (3, 0) => Some(false),
            _ => None,
        }
    }

    /// The version of the zone that a server has.
    fn serial(&self, server: usize) -> Option<u32> {
        let answer = self.ask(server, "example.com", 6)?;
        let answer = Message::read(&answer).ok()?;
        let mut answers = answer.answers();
        let record = answers.next().ok()??;
        Soa::read(record.rdata).map(|soa| soa.serial.0)
    }

    /// What a server answers to a question for records of this type.
    fn ask(&self, server: usize, name: &str, rtype: u8) -> Option<Vec<u8>> {
        static ASKED: AtomicU16 = AtomicU16::new(0);
        let id = ASKED.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut query = [&id[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
        for label in name.split('.') {
            query.push(label.len() as u8);
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, rtype, 0, 1]);
        let socket = &self.servers[server];
        socket.send(&query).ok()?;
        let mut answer = vec![0; 512];
        loop {
            let length = socket.recv(&mut answer).ok()?;
            // What comes late was an answer to an earlier question.
            if length >= 12 && answer[..2] == id {
                answer.truncate(length);
                return Some(answer);
            }
        }
    }

    /// How many requests of the operators the API server has taken up, but for those about the Lease.
    async fn requests(&self) -> f64 {
        let metrics = self.client.request_text(Request::get("/metrics").body(Vec::new()).expect("it is one")).await;
        let metrics = metrics.expect("the administrator may see them");
        let of_bindy = metrics.lines().filter(|line| {
            line.starts_with("apiserver_flowcontrol_dispatched_requests_total{")
                && line.contains("flow_schema=\"bindy\"")
        });
        of_bindy.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The pod of the operator that leads.
    fn holder(&self) -> String {
        self.cluster.field("bindy-system", "lease/bindy-leader", ".spec.holderIdentity")
    }

    /// How many transfers all servers have had.
    fn transfers(&self) -> f64 {
        let count = |server: &str| {
            let pod = self.cluster.done(&[
                "get",
                "pod",
                "-n",
                NAMESPACE,
                "-l",
                &format!("instance={server}"),
                "-o=jsonpath={.items[0].status.podIP}",
            ]);
            let ran = self.cluster.node().run(&["curl", "-s", &format!("http://{pod}:8080/metrics")]);
            let lines = ran.output.lines().filter(|line| line.contains("transfer") && line.contains("succe"));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
        };
        SERVERS.iter().map(|server| count(server)).sum()
    }

    /// What the operators have taken so far, the one that leads first.
    fn operators(&self) -> Vec<(&'static str, Usage)> {
        let holder = self.holder();
        let mut found: Vec<(&'static str, Usage)> = Vec::new();
        for process in fs::read_dir("/proc").expect("there is one on Linux").filter_map(Result::ok) {
            let folder: PathBuf = process.path();
            let read = |file: &str| fs::read(folder.join(file)).unwrap_or_default();
            if !read("cmdline").starts_with(b"bindy\0run\0") && !read("cmdline").starts_with(b"/bin/bindy\0run\0") {
                continue;
            }
            let environment = read("environ");
            let pod = environment.split(|octet| *octet == 0).find_map(|one| one.strip_prefix(b"POD_NAME="));
            let role = if pod == Some(pod_of(&holder).as_bytes()) { "leads" } else { "follows" };
            let text = |file: &str| String::from_utf8_lossy(&read(file)).into_owned();
            let ticks: u64 = text("stat")
                .rsplit(") ")
                .next()
                .map_or(0, |rest| rest.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum());
            let resident = text("status")
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
            let usage = Usage { cpu: Duration::from_millis(ticks * 10), resident_mib: resident.unwrap_or(0) / 1024 };
            found.push((role, usage));
        }
        found.sort_by_key(|(role, _)| *role == "follows");
        found
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        wait(started, what);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The pod of a holder.
fn pod_of(holder: &str) -> &str {
    holder.rsplit_once('_').map_or(holder, |(pod, _)| pod)
}

fn wait(since: Instant, what: &str) {
    assert!(since.elapsed() < PATIENCE, "waited in vain: {what}");
}

fn is_ready(resource: &Value) -> bool {
    let mut conditions = resource["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
