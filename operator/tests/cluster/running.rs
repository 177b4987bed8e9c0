//! `deploy/` on a cluster with a node: the operator, the maker of keys and servers are real processes in pods, each with
//! the identity and no more rights than it has in anybody's cluster.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use bindy_cluster::{Cluster, EXAMPLE, Extent};

/// The servers of the example.
pub const INSTANCES: [&str; 3] = ["ns-primary-0", "ns-primary-1", "ns-secondary-0"];

pub const KILL: i32 = 9;

/// A cluster in which Bindy runs. What is looked at is in `dns-system`.
pub struct Running {
    pub cluster: Cluster,
}

impl Running {
    pub async fn start() -> Running {
        Running::with(Extent::Running).await
    }

    async fn with(extent: Extent) -> Running {
        let cluster = Cluster::start(extent).await;
        cluster.install();
        Running { cluster }
    }

    /// As [`Self::start`], with the example served.
    pub async fn with_example() -> Running {
        Running::start().await.serving_example()
    }

    fn serving_example(self) -> Running {
        let running = self;
        running.cluster.apply(EXAMPLE);
        running
            .cluster
            .until("the records are served", || running.is_ready("arecord/www") && running.is_ready("txtrecord/hello"));
        running.until_all_is_ready();
        running
    }

    /// Waits until the zone, the cluster and the instances of the example are ready.
    pub fn until_all_is_ready(&self) {
        self.cluster.until("everything is ready", || {
            self.is_ready("dnszone/example-com")
                && self.is_ready("bind9cluster/ns")
                && INSTANCES.iter().all(|instance| self.is_ready(&format!("bind9instance/{instance}")))
        });
    }

    /// A field of an object; empty if it is not there.
    pub fn field(&self, object: &str, path: &str) -> String {
        self.cluster.field("dns-system", object, path)
    }

    pub fn is_ready(&self, object: &str) -> bool {
        self.field(object, ".status.conditions[?(@.type=='Ready')].status") == "True"
    }

    /// Waits until servers answer for the example at their addresses.
    pub fn until_all_answer(&self, instances: &[&str]) {
        for (instance, address) in instances.iter().zip(self.addresses(instances)) {
            let answer = || self.cluster.node().dig(&address.ip().to_string(), &["www.example.com"]);
            self.cluster.until(&format!("{instance} answers"), || answer().as_deref() == Some("192.0.2.10"));
        }
    }

    /// The name of the newest pod of a server.
    pub fn server(&self, instance: &str) -> String {
        let pods = ["get", "pods", "-n", "dns-system", "--sort-by=.metadata.creationTimestamp", "-o=name"];
        let names = self.cluster.done(&[&pods[..], &["-l", &format!("instance={instance}")]].concat());
        let last = names.lines().last().and_then(|name| name.strip_prefix("pod/"));
        last.unwrap_or_else(|| panic!("{instance} has no pod")).to_owned()
    }

    /// The pods of all servers, and how many times their containers have started.
    pub fn pods_of_servers(&self) -> String {
        let columns = "-o=custom-columns=UID:.metadata.uid,RESTARTS:.status.containerStatuses[*].restartCount";
        self.cluster.done(&["get", "pods", "-n", "dns-system", "--sort-by=.metadata.name", columns])
    }

    /// Deletes a pod, which ends in its own time.
    pub fn delete_pod(&self, namespace: &str, pod: &str) {
        self.cluster.done(&["delete", "pod", pod, "-n", namespace, "--wait=false"]);
    }

    /// Deletes the pod of a server; returns the name of the one that comes.
    pub fn replace(&self, instance: &str) -> String {
        let before = self.server(instance);
        self.delete_pod("dns-system", &before);
        self.cluster.until("there is another pod", || self.server(instance) != before);
        self.server(instance)
    }

    /// Kills the process of a server, and waits until its pod has another one, to which clients are led.
    pub fn kill_server(&self, instance: &str) {
        let pod = self.server(instance);
        let object = format!("pod/{pod}");
        let restarts = || self.field(&object, ".status.containerStatuses[0].restartCount");
        let before = restarts();
        self.signal("dns-system", &pod, "bind9", KILL);
        // Until then clients may be led there still, or no more.
        self.cluster.until("the server was started again", || {
            restarts() != before && self.field(&object, ".status.containerStatuses[0].ready") == "true"
        });
        self.until_all_answer(&[instance]);
    }

    pub fn signal(&self, namespace: &str, pod: &str, container: &str, signal: i32) {
        let sent = self.cluster.node().signal(namespace, pod, container, signal);
        sent.unwrap_or_else(|error| panic!("{pod}: {error}"));
    }

    /// The process that has the Lease; empty if nobody has.
    pub fn holder(&self) -> String {
        self.cluster.field("bindy-system", "lease/bindy-leader", ".spec.holderIdentity")
    }

    /// The pod of [`Self::holder`].
    pub fn leader(&self) -> String {
        self.holder().rsplit_once('_').map(|(pod, _)| pod.to_owned()).unwrap_or_default()
    }

    /// Has this many operators run, and waits until that is so.
    pub fn operators(&self, replicas: usize) {
        let replicas = format!("--replicas={replicas}");
        self.cluster.done(&["scale", "deployment/bindy", "-n", "bindy-system", &replicas]);
        let pods = ["get", "pods", "-n", "bindy-system", "-l", "app.kubernetes.io/name=bindy", "-o=name"];
        let count = || replicas.ends_with(&format!("={}", self.cluster.done(&pods).lines().count()));
        self.cluster.until(&format!("operators: {replicas}"), count);
    }

    /// The addresses of the Services of servers, which stay.
    pub fn addresses(&self, instances: &[&str]) -> Vec<SocketAddr> {
        let address = |instance| {
            let text = self.field(&format!("service/{instance}"), ".spec.clusterIP");
            let address: IpAddr = text.parse().unwrap_or_else(|error| panic!("{instance}: {text:?}: {error}"));
            SocketAddr::new(address, 53)
        };
        instances.iter().map(address).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_is_answered_by_pods() {
    let running = Running::with_example().await;
    assert_eq!(running.field("dnszone/example-com", ".status.servers"), "3/3");
    for address in running.addresses(&INSTANCES) {
        for transport in ["+notcp", "+tcp"] {
            let address = address.ip().to_string();
            let answer = running.cluster.node().dig(&address, &[transport, "www.example.com"]);
            assert_eq!(answer.as_deref(), Some("192.0.2.10"), "{address} {transport}");
        }
    }
    let line = "{range .items[*]}{.type} {.reason} {.involvedObject.kind}/{.involvedObject.name}{\"\\n\"}{end}";
    let events = || running.cluster.done(&["get", "events", "-n=dns-system", &format!("-o=jsonpath={line}")]);
    for event in ["Normal Served DNSZone/example-com", "Normal AllReady Bind9Instance/ns-primary-0"] {
        running.cluster.until(event, || events().lines().any(|line| line == event));
    }
}

/// Pods have IPv6 addresses first, so that all that Bindy sends them goes there; servers find the operator at both.
#[tokio::test(flavor = "multi_thread")]
async fn servers_with_addresses_of_both_families_answer_at_each() {
    let running = Running::with(Extent::DualStack).await.serving_example();
    let (cluster, node) = (&running.cluster, running.cluster.node());
    let both = |text: &str| {
        let addresses: Vec<IpAddr> = text.split_whitespace().map(|it| it.parse().expect("it is an address")).collect();
        assert!(addresses.iter().any(IpAddr::is_ipv4) && addresses.iter().any(IpAddr::is_ipv6), "{text:?}");
        addresses
    };
    let leaders = both(&cluster.field("bindy-system", "service/bindy-leader", ".spec.clusterIPs[*]"));
    let pod = cluster.field("bindy-system", &format!("pod/{}", running.leader()), ".status.podIPs[*].ip");
    let mut led = String::new();
    for family in ["ipv4", "ipv6"] {
        let slice = format!("endpointslice/bindy-leader-{family}");
        led += &(cluster.field("bindy-system", &slice, ".endpoints[*].addresses[*]") + " ");
    }
    assert_eq!(BTreeSet::from_iter(both(&led)), BTreeSet::from_iter(both(&pod)));
    for instance in INSTANCES {
        let config = running.field(&format!("configmap/{instance}-config"), ".data.named\\.conf");
        assert!(leaders.iter().all(|leader| config.contains(&format!("{leader} port 5353"))), "{config}");
        for address in both(&running.field(&format!("service/{instance}"), ".spec.clusterIPs[*]")) {
            for transport in ["+notcp", "+tcp"] {
                let answer = node.dig(&address.to_string(), &[transport, "www.example.com"]);
                assert_eq!(answer.as_deref(), Some("192.0.2.10"), "{instance}: {address} {transport}");
            }
        }
    }
    // What changes reaches servers at once, and who is asked whether it has.
    cluster.apply(
        "{ apiVersion: bindy.firestoned.io/v1beta1, kind: ARecord, metadata: { name: later, namespace: dns-system, \
         labels: { zone: example } }, spec: { name: later, ipv4Addresses: [192.0.2.12] } }",
    );
    cluster.until("it is served", || running.is_ready("arecord/later"));
}
