//! `make dev-cluster`: a cluster on this machine to play with, with Bindy installed from `deploy/` and a server that answers
//! for example.com, until Ctrl-C.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use bindy_cluster::{Cluster, Extent, Node};

const MANIFESTS: &str = "\
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Cluster
metadata: { name: ns, namespace: dns-system }
spec:
  primary: { replicas: 1 }
---
apiVersion: bindy.firestoned.io/v1beta1
kind: DNSZone
metadata: { name: example-com, namespace: dns-system }
spec:
  zoneName: example.com
  clusterRef: ns
  soaRecord: { primaryNs: ns1.example.com., adminEmail: hostmaster.example.com., serial: 1 }
  recordsFrom: [{ selector: { matchLabels: { zone: example } } }]
---
apiVersion: bindy.firestoned.io/v1beta1
kind: TXTRecord
metadata: { name: hello, namespace: dns-system, labels: { zone: example } }
spec: { name: hello, text: [from a Pod] }
";

#[tokio::main]
async fn main() {
    let cluster = Cluster::start(Extent::Running).await;
    for part in ["crds", "."] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(part);
        let folder = folder.canonicalize().expect("it is part of this tree");
        done(&cluster, &["apply", "-k", folder.to_str().expect("a path in UTF-8")]);
    }
    let file = cluster.kubeconfig().with_file_name("example.yaml");
    fs::write(&file, MANIFESTS).expect("the folder is ours");
    let file = file.to_str().expect("a path in UTF-8");
    // The definitions are established a little after they are there.
    until("example.com is declared", || cluster.kubectl(&["apply", "-f", file]).is_ok());
    done(&cluster, &["wait", "--for=condition=Ready", "--timeout=120s", "txtrecord/hello", "-n", "dns-system"]);
    let address = ["get", "service/ns-primary-0", "-n", "dns-system", "-o=jsonpath={.spec.clusterIP}"];
    let to: SocketAddr = format!("{}:53", done(&cluster, &address)).parse().expect("it is an address");
    let here = cluster.node().forward(to);
    println!("\nexport KUBECONFIG={}", cluster.kubeconfig().display());
    println!("kubectl get dns -A");
    println!("dig @{} -p {} hello.example.com TXT", here.ip(), here.port());
    println!("\nThe images are {}. Pods and ClusterIPs are in a network of their own.", Node::IMAGES.join(", "));
    println!("Ctrl-C ends the cluster and removes all that is in it.");
    tokio::signal::ctrl_c().await.expect("the runtime has signals");
}

fn done(cluster: &Cluster, arguments: &[&str]) -> String {
    cluster.kubectl(arguments).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
