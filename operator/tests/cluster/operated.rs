//! `bindy run` and `bindy keys` outside of a cluster whose pods do not run by themselves: a test does for a pod what a
//! kubelet does.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    slice,
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

use bindy::api::{self, Kind};
use bindy_cluster::{Cluster, Extent, PodSecurity};
use bindy_tests::ports::free_port;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind, NamespaceResourceScope},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::witness::a_record;

/// Nothing here takes this long unless it fails, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where operators listen. A server takes 127.0.0.1 for itself.
const OPERATORS: &str = "127.0.0.2";

/// A cluster with an operator outside of it.
pub struct Operated {
    pub cluster: Cluster,
    pub client: Client,
    pub namespace: String,
    /// The other namespaces in which operators that start from now on look for resources.
    pub also_watched: Vec<String>,
    folder: TempDir,
    /// Those at which operators serve zones.
    ports: [u16; 2],
    processes: Vec<Process>,
}

/// A process that ends with the test.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Operated {
    pub async fn start() -> Operated {
        let cluster = Cluster::start(Extent::Controlled).await;
        let client = cluster.client();
        for definition in Kind::all().map(api::crd).chain([api::dynamic_records_crd()]) {
            let definitions = Api::<DynamicObject>::all_with(
                client.clone(),
                &ApiResource::from_gvk(&GroupVersionKind::gvk(
                    "apiextensions.k8s.io",
                    "v1",
                    "CustomResourceDefinition",
                )),
            );
            let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
            let params = PatchParams::apply("bindy-test").force();
            definitions.patch(&name, &params, &Patch::Apply(&definition)).await.expect("a definition");
        }
        let namespace = cluster.namespace(PodSecurity::Restricted).await;
        let folder = tempfile::tempdir().unwrap();
        let (ports, also_watched, processes) = ([free_port(), free_port()], Vec::new(), Vec::new());
        let mut it = Operated { cluster, client, namespace, also_watched, folder, ports, processes };
        it.until("ServiceAccount", async || it.api::<ServiceAccount>().get("default").await.is_ok()).await;
        it.bindy("keys", &[]);
        it.start_operator(0);
        it
    }

    /// A cluster `ns` with one server, which runs at the address that is returned, and serves a zone with a record.
    pub async fn with_example() -> (Operated, String) {
        let (mut it, address) = (Operated::start().await, own_address());
        it.declare().await;
        it.run_pod("ns-primary-0", &address).await;
        it.until_ready(a_record(), "www", "Served").await;
        it.until_ready(Kind::Zone, "example-com", "Served").await;
        (it, address)
    }

    /// Declares the cluster, the zone and the record.
    pub async fn declare(&self) {
        self.apply(Kind::CLUSTER, "ns", json!({ "primary": { "replicas": 1 } })).await;
        let soa = json!({ "primaryNs": "ns1.example.net.", "adminEmail": "hostmaster.example.com.", "serial": 7 });
        let zone = json!({
            "zoneName": "example.com", "soaRecord": soa, "clusterRef": "ns",
            "recordsFrom": [{ "selector": { "matchLabels": { "zone": "example" } } }],
        });
        self.apply(Kind::Zone, "example-com", zone).await;
        self.declare_record("www", "192.0.2.10").await;
    }

    /// Declares a zone of the cluster, without records.
    pub async fn declare_zone(&self, name: &str, origin: &str, admin: &str) {
        let soa = json!({ "primaryNs": "ns1.example.net.", "adminEmail": admin });
        self.apply(Kind::Zone, name, json!({ "zoneName": origin, "soaRecord": soa, "clusterRef": "ns" })).await;
    }

    /// Declares a record of the zone.
    pub async fn declare_record(&self, name: &str, address: &str) {
        self.apply(a_record(), name, json!({ "name": name, "ipv4Addresses": [address] })).await;
    }

    /// Declares the record `late`, which the server at this address answers when it is ready.
    pub async fn late_is_served(&self, at: &str) {
        self.declare_record("late", "192.0.2.9").await;
        self.until_ready(a_record(), "late", "Served").await;
        assert_eq!(dig(at, "late.example.com", "A"), "192.0.2.9\n", "ready means true");
    }

    /// Starts an operator at the first or second port. Servers try one after the other.
    pub fn start_operator(&mut self, which: usize) {
        let [first, second] = self.ports.map(|port| format!("{OPERATORS}:{port}"));
        let at = if which == 0 { first.clone() } else { second.clone() };
        self.bindy("run", &["--listen", &at, "--http", "127.0.0.1:0", "--advertise", &first, "--advertise", &second]);
    }

    /// The serials in the SOAs of what the operator at a port gives for a version of example.com that a server has: with
    /// more than two, it is the difference (RFC 1995 4).
    pub async fn difference(&self, which: usize, since: u32) -> Vec<u32> {
        let key: Secret = self.object("ns-transfer-key").await;
        let data = key.data.unwrap();
        let text = |field: &str| String::from_utf8(data[field].0.clone()).unwrap();
        let key = format!("{}:{}:{}", text("algorithm"), text("key-name"), text("secret"));
        let (port, asked) = (self.ports[which].to_string(), format!("ixfr={since}"));
        let dig = Command::new("dig")
            .args([
                &format!("@{OPERATORS}"),
                "-p",
                &port,
                "-y",
                &key,
                "+tcp",
                "+tries=1",
                "+noall",
                "+answer",
                "example.com",
                &asked,
            ])
            .output()
            .expect("dig is installed (package bind9-dnsutils)");
        let answer = String::from_utf8(dig.stdout).unwrap();
        let soas = answer.lines().map(str::split_ascii_whitespace).filter(|line| line.clone().nth(3) == Some("SOA"));
        soas.filter_map(|mut line| line.nth(6)?.parse().ok()).collect()
    }

    /// Ends the operator that was started first as a crash would.
    pub fn kill_operator(&mut self) {
        let operator = self.processes.iter().position(|it| it.log.to_string_lossy().contains("/run-"));
        drop(self.processes.remove(operator.expect("it runs")));
    }

    /// Runs a part of Bindy.
    pub fn bindy(&mut self, command: &str, arguments: &[&str]) {
        let mut bindy = Command::new(env!("CARGO_BIN_EXE_bindy"));
        bindy.arg(command).args(arguments);
        bindy.env("BINDY_DRAIN_SECONDS", "2");
        // Whoever was killed is missed soon.
        bindy.env("BINDY_LEASE_DURATION_SECONDS", "3");
        bindy.env("KUBECONFIG", self.cluster.kubeconfig()).env("POD_NAMESPACE", &self.namespace);
        // What other tests declare is nothing to it.
        let watched = [slice::from_ref(&self.namespace), &self.also_watched].concat().join(",");
        bindy.env("BINDY_WATCH_NAMESPACES", watched).env("BINDY_KUBE_QPS", "200").env("BINDY_KUBE_BURST", "50");
        let log = self.folder.path().join(format!("{command}-{}.log", self.processes.len()));
        self.processes.push(Process::start(bindy, log));
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The resources of a kind of Bindy's.
    pub fn ours(&self, kind: Kind) -> Api<DynamicObject> {
        self.ours_in(kind, &self.namespace)
    }

    pub fn ours_in(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(api::GROUP, api::VERSION, kind.name());
        let resource = ApiResource::from_gvk_with_plural(&gvk, &kind.plural());
        if kind.is_namespaced() {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        }
    }

    pub async fn apply(&self, kind: Kind, name: &str, spec: Value) {
        self.apply_in(kind, &self.namespace, name, spec).await;
    }

    pub async fn apply_in(&self, kind: Kind, namespace: &str, name: &str, spec: Value) {
        let resource = json!({
            "apiVersion": format!("{}/{}", api::GROUP, api::VERSION), "kind": kind.name(),
            "metadata": { "name": name, "labels": { "zone": "example" } }, "spec": spec,
        });
        let params = PatchParams::apply("bindy-test").force();
        // Until the definition is established there is no such path.
        self.until(&format!("{} {name}", kind.name()), async || {
            self.ours_in(kind, namespace).patch(name, &params, &Patch::Apply(&resource)).await.is_ok()
        })
        .await;
    }

    /// Waits for an object.
    pub async fn object<K>(&self, name: &str) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        self.until(&format!("{} {name}", K::kind(&())), async || self.api::<K>().get(name).await.is_ok()).await;
        self.api::<K>().get(name).await.unwrap()
    }

    pub async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so().await {
            let logs: String = self.processes.iter().map(Process::said).collect();
            assert!(Instant::now() < end, "waited in vain for {what}; the logs:\n{logs}");
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until a resource is ready for this reason.
    pub async fn until_ready(&self, kind: Kind, name: &str, reason: &str) {
        self.until_said(kind, name, ("True", reason)).await;
    }

    /// Waits until a resource is not ready for this reason.
    pub async fn until_not_ready(&self, kind: Kind, name: &str, reason: &str) {
        self.until_said(kind, name, ("False", reason)).await;
    }

    async fn until_said(&self, kind: Kind, name: &str, (status, reason): (&str, &str)) {
        let is_so = async || self.ready(kind, name).await == (status.to_owned(), reason.to_owned());
        self.until(&format!("{} {name}: {status}, {reason}", kind.name()), is_so).await;
    }

    /// The condition `Ready` of a resource: its status and reason.
    pub async fn ready(&self, kind: Kind, name: &str) -> (String, String) {
        let status = self.status(kind, name).await;
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let ready = conditions.find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"))
    }

    pub async fn status(&self, kind: Kind, name: &str) -> Value {
        self.ours(kind).get(name).await.unwrap().data["status"].clone()
    }

    /// Changes what is said of a resource.
    pub async fn patch(&self, kind: Kind, name: &str, change: Value) {
        self.ours(kind).patch(name, &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    }

    /// Allows what is held because much would go, by the serial in this field of the status.
    pub async fn allow_removal(&self, kind: Kind, name: &str, field: &str) {
        let serial = self.status(kind, name).await[field].to_string();
        let annotations = json!({ "bindy.firestoned.io/allow-large-removal": serial });
        self.patch(kind, name, json!({ "metadata": { "annotations": annotations } })).await;
    }

    /// Runs the server of an instance as its pod would, at an address of 127/8, and tells the cluster that it does.
    pub async fn run_pod(&mut self, instance: &str, address: &str) {
        let labels = ListParams::default().labels(&format!("instance={instance}"));
        self.until(&format!("a pod of {instance}"), async || {
            self.api::<Pod>().list(&labels).await.is_ok_and(|pods| pods.items.len() == 1)
        })
        .await;
        let pod = self.api::<Pod>().list(&labels).await.unwrap().items.remove(0);
        let folder = self.folder.path().join(instance);
        self.mount(instance, &folder, address).await;
        let mut bindyd = Command::new(bindyd());
        bindyd.args(["-g", "-c"]).arg(folder.join("named.conf"));
        self.processes.push(Process::start(bindyd, folder.join("bindyd.log")));
        let status = json!({ "status": {
            "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        } });
        let params = PatchParams::default();
        self.api::<Pod>().patch_status(&pod.name_any(), &params, &Patch::Merge(&status)).await.unwrap();
    }

    /// Writes what the pod of an instance has mounted, as far as addresses and folders of this machine allow.
    pub async fn mount(&self, instance: &str, folder: &Path, address: &str) {
        let zones = folder.join("zones");
        fs::create_dir_all(&zones).unwrap();
        // Whoever runs the test may not be who runs the server.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        let config: ConfigMap = self.object(&format!("{instance}-config")).await;
        let owner = self.ours(Kind::INSTANCE).get(instance).await.unwrap();
        let cluster = owner.data["spec"]["clusterRef"].as_str().unwrap().to_owned();
        for (secret, key, file) in [
            (format!("{instance}-rndc-key"), "keys.conf", "rndc.key"),
            (format!("{cluster}-transfer-key"), "transfer.key", "transfer.key"),
        ] {
            let secret: Secret = self.object(&secret).await;
            fs::write(folder.join(file), &secret.data.unwrap()[key].0).unwrap();
        }
        let text = config.data.unwrap()["named.conf"].clone();
        let text = text
            .replace("/etc/bind", folder.to_str().unwrap())
            .replace("/var/cache/bind", zones.to_str().unwrap())
            .replace("listen-on { any; }", &format!("listen-on {{ {address}; }}"))
            .replace("listen-on-v6 { any; }", "listen-on-v6 { none; }")
            .replace("inet *", &format!("inet {address}"));
        // By its hash, the server would tell that this is another configuration than the operator's.
        let is_left_out = |line: &str| line.contains("inet ::") || line.contains(" port 8080 ");
        let text: Vec<&str> = text.lines().filter(|line| !is_left_out(line)).collect();
        fs::write(folder.join("named.conf"), text.join("\n")).unwrap();
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn end(self) {
        self.cluster.remove(&self.namespace).await;
    }
}

impl Process {
    fn start(mut command: Command, log: PathBuf) -> Process {
        let file = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process { child, log }
    }

    fn said(&self) -> String {
        format!("{}:\n{}\n", self.log.display(), fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server, which is built unless it was.
fn bindyd() -> PathBuf {
    let bindy = Path::new(env!("CARGO_BIN_EXE_bindy"));
    let profile = bindy.parent().and_then(Path::file_name).unwrap().to_str().unwrap();
    let profile = if profile == "debug" { "dev" } else { profile };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "bindy-server", "--bin", "bindyd", "--profile", profile])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success());
    bindy.with_file_name("bindyd")
}

/// An address of this machine that no other test uses, nor another run of them.
pub fn own_address() -> String {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let ([.., high, low], last) = (process::id().to_be_bytes(), LAST.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{low}.{}", 128 | high, last + 1)
}

/// What dig answers in short, or that nobody does.
pub fn dig(address: &str, name: &str, rtype: &str) -> String {
    let output = Command::new("dig")
        .args([&format!("@{address}"), "-p", "5353", "+short", "+tries=3", "+time=2", name, rtype])
        .output()
        .expect("dig is installed (package bind9-dnsutils)");
    if output.status.success() { String::from_utf8(output.stdout).unwrap() } else { "no answer".into() }
}
