//! `make dev-cluster`: a cluster on this machine to play with, with Bindy installed from `deploy/` and servers that answer
//! for example.com, until Ctrl-C.

use std::net::SocketAddr;

use bindy_cluster::{Cluster, EXAMPLE, Extent, Node};

#[tokio::main]
async fn main() {
    let cluster = Cluster::start(Extent::Running).await;
    cluster.install();
    cluster.apply(EXAMPLE);
    cluster.done(&["wait", "--for=condition=Ready", "--timeout=120s", "txtrecord/hello", "-n", "dns-system"]);
    let address = cluster.field("dns-system", "service/ns-primary-0", ".spec.clusterIP");
    let to: SocketAddr = format!("{address}:53").parse().expect("it is an address");
    let here = cluster.node().forward(to);
    println!("\nexport KUBECONFIG={}", cluster.kubeconfig().display());
    println!("kubectl get dns -A");
    println!("kubectl logs -n bindy-system deploy/bindy");
    println!("dig @{} -p {} hello.example.com TXT", here.ip(), here.port());
    println!("\nThe images are {}. Pods and ClusterIPs are in a network of their own.", Node::IMAGES.join(", "));
    println!("There is no kubectl exec, attach or port-forward.");
    println!("Ctrl-C ends the cluster and removes all that is in it.");
    tokio::signal::ctrl_c().await.expect("the runtime has signals");
}
