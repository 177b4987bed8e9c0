//! `deploy/` on a cluster with a node: the operator, the maker of keys and servers are real processes in pods, each with
//! the identity and no more rights than it has in anybody's cluster.

use std::net::{IpAddr, SocketAddr};

use bindy_cluster::{Cluster, EXAMPLE, Extent};

/// The servers of the example.
pub const INSTANCES: [&str; 3] = ["ns-primary-0", "ns-primary-1", "ns-secondary-0"];

/// A cluster in which Bindy runs. What is looked at is in `dns-system`.
pub struct Running {
    pub cluster: Cluster,
}

impl Running {
    pub async fn start() -> Running {
        let cluster = Cluster::start(Extent::Running).await;
        cluster.install();
        Running { cluster }
    }

    /// As [`Self::start`], with the example served.
    pub async fn with_example() -> Running {
        let running = Running::start().await;
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
}
