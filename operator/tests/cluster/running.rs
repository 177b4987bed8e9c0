//! `deploy/` on a cluster with a node: the operator, the maker of keys and servers are real processes in pods, each with
//! the identity and no more rights than it has in anybody's cluster.

use std::{
    fs,
    time::{Duration, Instant},
};

use bindy_cluster::{Cluster, Extent};

use crate::deploy;

/// Nothing here takes this long unless it fails, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(180);

const SERVERS: &str = r"
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Cluster
metadata: { name: ns, namespace: dns-system }
spec:
  primary: { replicas: 2 }
  secondary: { replicas: 1 }
---
apiVersion: bindy.firestoned.io/v1beta1
kind: DNSZone
metadata: { name: example-com, namespace: dns-system }
spec:
  zoneName: example.com
  clusterRef: ns
  soaRecord: { primaryNs: ns1.example.com., adminEmail: hostmaster.example.com., serial: 7 }
  recordsFrom: [{ selector: { matchLabels: { zone: example } } }]
---
apiVersion: bindy.firestoned.io/v1beta1
kind: ARecord
metadata: { name: www, namespace: dns-system, labels: { zone: example } }
spec: { name: www, ipv4Addresses: [192.0.2.10] }
";

const INSTANCES: [&str; 3] = ["ns-primary-0", "ns-primary-1", "ns-secondary-0"];

struct Running {
    cluster: Cluster,
}

impl Running {
    async fn start() -> Running {
        let cluster = Cluster::start(Extent::Running).await;
        let running = Running { cluster };
        for part in ["crds", "."] {
            running.done(&["apply", "-k", &deploy::path(part)]);
        }
        running
    }

    fn done(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(arguments).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    fn apply(&self, manifests: &str) {
        let file = tempfile::NamedTempFile::new().expect("a file for some time");
        fs::write(file.path(), manifests).expect("it is ours");
        let file = file.path().to_str().expect("a path in UTF-8");
        // The definitions are established a little after they are there.
        self.until("the manifests are stored", || self.cluster.kubectl(&["apply", "-f", file]).is_ok());
    }

    /// A field of an object in `dns-system`; empty if it is not there.
    fn field(&self, object: &str, path: &str) -> String {
        let path = format!("-o=jsonpath={{{path}}}");
        self.cluster.kubectl(&["get", object, "-n", "dns-system", &path]).unwrap_or_default()
    }

    fn is_ready(&self, object: &str) -> bool {
        self.field(object, ".status.conditions[?(@.type=='Ready')].status") == "True"
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "waited in vain: {what}\n{}", self.told());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What there is to see for whoever looks for a fault.
    fn told(&self) -> String {
        let all = ["get", "pods,deployments,dns,events", "-A", "-o", "wide"];
        let seen = self.cluster.kubectl(&all).unwrap_or_else(|error| error);
        let mut logs = String::new();
        for namespace in ["bindy-system", "dns-system"] {
            let names = self.cluster.kubectl(&["get", "pods", "-n", namespace, "-o", "name"]).unwrap_or_default();
            for pod in names.lines().filter_map(|name| name.strip_prefix("pod/")) {
                for container in ["bindy", "bindy-keys", "bind9"] {
                    logs += &self.cluster.node().log(namespace, pod, container);
                }
            }
        }
        format!("{seen}\n{logs}\n{}", self.cluster.node().kubelet_log())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_is_answered_by_pods() {
    let running = Running::start().await;
    running.apply(SERVERS);
    running.until("the record is served", || running.is_ready("arecord/www"));
    running.until("everything is ready", || {
        running.is_ready("dnszone/example-com")
            && running.is_ready("bind9cluster/ns")
            && INSTANCES.iter().all(|instance| running.is_ready(&format!("bind9instance/{instance}")))
    });
    assert_eq!(running.field("dnszone/example-com", ".status.servers"), "3/3");
    // Each at the address that stays.
    for instance in INSTANCES {
        let address = running.field(&format!("service/{instance}"), ".spec.clusterIP");
        for transport in ["+notcp", "+tcp"] {
            let answer = running.cluster.node().dig(&address, &[transport, "www.example.com"]);
            assert_eq!(answer.as_deref(), Some("192.0.2.10"), "{instance} {transport}");
        }
    }
}
