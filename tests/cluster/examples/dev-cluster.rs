//! `make dev-cluster`: a cluster on this machine to play with, with Bindy's CustomResourceDefinitions and a `bindyd`
//! behind a Service, until Ctrl-C.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use bindy_cluster::{Cluster, Extent, Node};
use http::Request;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service, ServiceAccount},
};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

#[tokio::main]
async fn main() {
    let cluster = Cluster::start(Extent::Running).await;
    let client = cluster.client();
    install(&client).await;
    let service = serve(&client).await;
    let to: SocketAddr = format!("{service}:53").parse().expect("it is an address");
    let here = cluster.node().forward(to);
    println!("\nexport KUBECONFIG={}", cluster.kubeconfig().display());
    println!("dig @{} -p {} hello.example.com TXT", here.ip(), here.port());
    println!("\nThe images are {}. Pods and ClusterIPs are in a network of their own.", Node::IMAGES.join(", "));
    println!("Ctrl-C ends the cluster and removes all that is in it.");
    tokio::signal::ctrl_c().await.expect("the runtime has signals");
}

/// Installs the definitions of `deploy/crds`.
async fn install(client: &Client) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    for entry in fs::read_dir(&folder).expect("it is part of this tree").map_while(Result::ok) {
        let path = entry.path();
        let Some(kind) = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_yaml(&path)) else { continue };
        let name = format!("{kind}.bindy.firestoned.io");
        let url = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=dev-cluster");
        let request = Request::patch(url).header("Content-Type", "application/apply-patch+yaml");
        let request = request.body(fs::read(&path).expect("it is part of this tree")).expect("it is a path");
        client.request::<Value>(request).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml")
}

/// Has a `bindyd` serve example.com; returns the address of its Service.
async fn serve(client: &Client) -> String {
    let accounts = Api::<ServiceAccount>::default_namespaced(client.clone());
    // No Pod is admitted before its ServiceAccount is there, which a controller makes.
    while accounts.get_opt("default").await.expect("the administrator may").is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let conf = "options { directory \"/tmp\"; pid-file none; session-keyfile none; listen-on port 5353 { any; };\n\
                \tlisten-on-v6 { none; }; recursion no; };\n\
                controls { };\n\
                statistics-channels { inet 0.0.0.0 port 9530 allow { any; }; };\n\
                zone \"example.com\" { type primary; file \"/etc/bindy/example.com\"; };\n";
    let zone = "$TTL 60\n@ SOA ns hostmaster 1 60 60 600 60\n@ NS ns\nns A 192.0.2.1\nhello TXT \"from a Pod\"\n";
    let files = json!({ "named.conf": conf, "example.com": zone });
    create::<ConfigMap>(client, json!({ "metadata": { "name": "dns" }, "data": files })).await;
    let container = json!({
        "name": "bindyd", "image": "bindyd", "args": ["-g", "-c", "/etc/bindy/named.conf"],
        "securityContext": { "runAsUser": 65532 },
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": 9530 }, "periodSeconds": 1 },
        "volumeMounts": [{ "name": "dns", "mountPath": "/etc/bindy" }]
    });
    let pod = json!({ "containers": [container], "volumes": [{ "name": "dns", "configMap": { "name": "dns" } }] });
    let labels = json!({ "app": "dns" });
    let template = json!({ "metadata": { "labels": labels }, "spec": pod });
    let spec = json!({ "replicas": 2, "selector": { "matchLabels": labels }, "template": template });
    create::<Deployment>(client, json!({ "metadata": { "name": "dns" }, "spec": spec })).await;
    let port = |protocol: &str| json!({ "name": protocol.to_ascii_lowercase(), "protocol": protocol, "port": 53, "targetPort": 5353 });
    let spec = json!({ "selector": labels, "ports": [port("UDP"), port("TCP")] });
    let service = create::<Service>(client, json!({ "metadata": { "name": "dns" }, "spec": spec })).await;
    service.spec.and_then(|spec| spec.cluster_ip).expect("it has one")
}

async fn create<K>(client: &Client, object: Value) -> K
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Clone
        + std::fmt::Debug,
    K::DynamicType: Default,
{
    let object = serde_json::from_value(object).expect("it has the form of its kind");
    let api = Api::<K>::default_namespaced(client.clone());
    api.create(&PostParams::default(), &object).await.expect("the administrator may")
}
