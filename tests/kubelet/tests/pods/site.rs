//! A namespace with a Deployment of one `bindyd`, and the Service before it.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bindy_cluster::{Cluster, PodSecurity};
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams, WatchParams},
    core::WatchEvent,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub struct Site {
    pub cluster: Arc<Cluster>,
    pub namespace: String,
}

/// A Pod that is ready.
pub struct Ready {
    pub name: String,
    pub address: String,
    pub restarts: i32,
}

/// The name of everything.
const NAME: &str = "dns";

impl Site {
    pub async fn new(cluster: &Arc<Cluster>, security: PodSecurity) -> Site {
        let namespace = cluster.namespace(security).await;
        let site = Site { cluster: Arc::clone(cluster), namespace };
        // No Pod is admitted before its ServiceAccount is there, which a controller makes.
        let accounts = site.api::<ServiceAccount>();
        until("a ServiceAccount", || async { accounts.get("default").await.is_ok() }).await;
        site
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client(), &self.namespace)
    }

    /// Has a `bindyd` serve example.com with this text, as restricted as can be.
    pub async fn serve(&self, text: &str) {
        self.objects(text).await;
        let ports = json!([
            { "name": "udp", "protocol": "UDP", "port": 53, "targetPort": "dns" },
            { "name": "tcp", "protocol": "TCP", "port": 53, "targetPort": 5353 },
        ]);
        let service = json!({ "selector": { "app": NAME }, "ports": ports });
        self.create::<Service>(json!({ "metadata": { "name": NAME }, "spec": service })).await;
        let template = json!({ "metadata": { "labels": { "app": NAME } }, "spec": pod() });
        let spec = json!({ "replicas": 1, "selector": { "matchLabels": { "app": NAME } }, "template": template });
        self.create::<Deployment>(json!({ "metadata": { "name": NAME }, "spec": spec })).await;
    }

    /// Makes the ConfigMap and the Secret.
    pub async fn objects(&self, text: &str) {
        self.create::<ConfigMap>(json!({ "metadata": { "name": NAME }, "data": configuration(text) })).await;
        let key = json!({ "key.conf": "# first\nkey k { algorithm hmac-sha256; secret \"Zmlyc3Q=\"; };\n" });
        self.create::<Secret>(json!({ "metadata": { "name": NAME }, "stringData": key })).await;
    }

    /// What a server says of the text, if it answers.
    pub fn answer(&self, server: &str, arguments: &[&str]) -> Option<String> {
        self.cluster.node().dig(server, &[arguments, &["a.example.com", "TXT"]].concat())
    }

    /// Whether a Pod is ready, and how often it was restarted, in each state that it has from now on.
    pub async fn states(&self, pod: &str) -> Arc<Mutex<Vec<(bool, i32)>>> {
        let (pods, states) = (self.api::<Pod>(), Arc::<Mutex<Vec<_>>>::default());
        let version = pods.get(pod).await.expect("it is there").resource_version().expect("it has one");
        let selector = WatchParams::default().fields(&format!("metadata.name={pod}"));
        let events = pods.watch(&selector, &version).await.expect("the administrator may");
        let told = Arc::clone(&states);
        tokio::spawn(async move {
            pin_mut!(events);
            while let Some(Ok(WatchEvent::Modified(pod))) = events.next().await {
                let restarts =
                    pod.status.as_ref().and_then(|it| Some(it.container_statuses.as_ref()?[0].restart_count));
                let state = (is_ready(&pod), restarts.unwrap_or(0));
                told.lock().expect("nothing panics while it is held").push(state);
            }
        });
        states
    }

    /// Changes an object by a merge.
    pub async fn change<K>(&self, change: Value)
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let changed = self.api::<K>().patch(NAME, &PatchParams::default(), &Patch::Merge(change)).await;
        changed.expect("the administrator may");
    }

    /// Waits until there is one Pod, and it is ready.
    pub async fn ready_pod(&self) -> Ready {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pods = self.pods().await;
            if let [pod] = &pods[..]
                && is_ready(pod)
                && pod.metadata.deletion_timestamp.is_none()
            {
                let status = pod.status.clone().expect("it is ready");
                let address = status.pod_ip.expect("it is ready");
                let restarts = status.container_statuses.expect("it is ready")[0].restart_count;
                return Ready { name: pod.name_any(), address, restarts };
            }
            if Instant::now() > deadline {
                let logs: Vec<_> =
                    pods.iter().map(|pod| self.cluster.node().log(&self.namespace, &pod.name_any(), NAME)).collect();
                let kubelet = self.cluster.node().kubelet_log();
                let status = serde_json::to_string_pretty(&pods.iter().map(|pod| &pod.status).collect::<Vec<_>>());
                panic!("no Pod is ready: {}\n{logs:#?}\n{kubelet}", status.expect("it was JSON"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn pods(&self) -> Vec<Pod> {
        self.api::<Pod>().list(&ListParams::default()).await.expect("the administrator may").items
    }

    pub async fn service_address(&self) -> String {
        let service = self.api::<Service>().get(NAME).await.expect("it was made");
        service.spec.and_then(|spec| spec.cluster_ip).expect("it has one")
    }

    pub async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Serialize + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let object = serde_json::from_value(object).expect("it has the form of its kind");
        self.api::<K>().create(&PostParams::default(), &object).await.expect("the administrator may")
    }

    /// Removes the namespace.
    pub async fn end(self) {
        self.cluster.remove(&self.namespace).await;
    }
}

pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True")
}

/// A `named.conf`, and a zone with this text.
pub fn configuration(text: &str) -> Value {
    let conf = "include \"/etc/bindy/keys/key.conf\";\n\
                options { directory \"/var/cache/bindy\"; pid-file none; session-keyfile none; listen-on-v6 { none; };\n\
                \tlisten-on port 5353 { any; }; recursion no; };\n\
                controls { };\n\
                statistics-channels { inet 0.0.0.0 port 9530 allow { any; }; };\n\
                zone \"example.com\" { type primary; file \"/etc/bindy/zones/example.com\"; };\n";
    let serial = text.len();
    let zone =
        format!("$TTL 60\n@ SOA ns hostmaster {serial} 60 60 600 60\n@ NS ns\nns A 192.0.2.1\na TXT \"{text}\"\n");
    json!({ "named.conf": conf, "example.com": zone })
}

fn pod() -> Value {
    let security = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] }
    });
    let mounts = json!([
        { "name": "configuration", "mountPath": "/etc/bindy/zones" },
        { "name": "keys", "mountPath": "/etc/bindy/keys" },
        { "name": "state", "mountPath": "/var/cache/bindy" },
    ]);
    let container = json!({
        "name": NAME, "image": "registry.example/bindyd:v1", "args": ["-g", "-c", "/etc/bindy/zones/named.conf"],
        "ports": [{ "name": "dns", "protocol": "UDP", "containerPort": 5353 }],
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": 9530 }, "periodSeconds": 1 },
        "resources": { "limits": { "memory": "256Mi" } },
        "securityContext": security, "volumeMounts": mounts
    });
    json!({
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
            "seccompProfile": { "type": "RuntimeDefault" }
        },
        "containers": [container],
        "volumes": [
            { "name": "configuration", "configMap": { "name": NAME } },
            { "name": "keys", "secret": { "secretName": NAME, "defaultMode": 256 } },
            { "name": "state", "emptyDir": {} },
        ]
    })
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so that a cluster does in its own time.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited a minute for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
