//! `bindy run` and `bindy keys` in a cluster whose pods do not run by themselves: a test does for a pod what a kubelet does.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

use bindy::api::{self, Kind};
use bindy_cluster::{Cluster, Extent, PodSecurity};
use bindy_tests::ports::free_port;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount},
    events::v1::Event,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PropagationPolicy},
    core::{ApiResource, GroupVersionKind, NamespaceResourceScope},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

/// Nothing here takes this long unless it fails, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster with an operator outside of it.
pub struct Operated {
    cluster: Cluster,
    pub client: Client,
    pub namespace: String,
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
        for kind in Kind::all() {
            let definitions = Api::<DynamicObject>::all_with(
                client.clone(),
                &ApiResource::from_gvk(&GroupVersionKind::gvk(
                    "apiextensions.k8s.io",
                    "v1",
                    "CustomResourceDefinition",
                )),
            );
            let name = api::crd(kind)["metadata"]["name"].as_str().unwrap().to_owned();
            let params = PatchParams::apply("bindy-test").force();
            definitions.patch(&name, &params, &Patch::Apply(&api::crd(kind))).await.expect("a definition");
        }
        let namespace = cluster.namespace(PodSecurity::Restricted).await;
        let folder = tempfile::tempdir().unwrap();
        let mut it =
            Operated { cluster, client, namespace, folder, ports: [free_port(), free_port()], processes: Vec::new() };
        it.until("ServiceAccount", async || it.api::<ServiceAccount>().get("default").await.is_ok()).await;
        it.bindy("keys", &[]);
        it.start_operator(0);
        it
    }

    /// Starts an operator at the first or second port. Servers try one after the other.
    pub fn start_operator(&mut self, which: usize) {
        let [first, second] = self.ports.map(|port| format!("127.0.0.1:{port}"));
        let at = if which == 0 { first.clone() } else { second.clone() };
        self.bindy("run", &["--listen", &at, "--http", "127.0.0.1:0", "--advertise", &first, "--advertise", &second]);
    }

    /// The serials in the SOAs of what the operator at a port gives for a version of example.com that a server has: with
    /// more than two, it is the difference (RFC 1995 4).
    async fn difference(&self, which: usize, since: u32) -> Vec<u32> {
        let key: Secret = self.object("ns-transfer-key").await;
        let data = key.data.unwrap();
        let text = |field: &str| String::from_utf8(data[field].0.clone()).unwrap();
        let key = format!("{}:{}:{}", text("algorithm"), text("key-name"), text("secret"));
        let (port, asked) = (self.ports[which].to_string(), format!("ixfr={since}"));
        let dig = Command::new("dig")
            .args([
                "@127.0.0.1",
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
        bindy.env("BINDY_WATCH_NAMESPACES", &self.namespace).env("BINDY_KUBE_QPS", "200").env("BINDY_KUBE_BURST", "50");
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

    fn ours_in(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(api::GROUP, api::VERSION, kind.name());
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk_with_plural(&gvk, &kind.plural()))
    }

    pub async fn apply(&self, kind: Kind, name: &str, spec: Value) {
        let resource = json!({
            "apiVersion": format!("{}/{}", api::GROUP, api::VERSION), "kind": kind.name(),
            "metadata": { "name": name, "namespace": self.namespace, "labels": { "zone": "example" } }, "spec": spec,
        });
        let params = PatchParams::apply("bindy-test").force();
        // Until the definition is established there is no such path.
        self.until(&format!("{} {name}", kind.name()), async || {
            self.ours(kind).patch(name, &params, &Patch::Apply(&resource)).await.is_ok()
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
        for (secret, key) in
            [(format!("{instance}-rndc-key"), "rndc.key"), (format!("{cluster}-transfer-key"), "transfer.key")]
        {
            let secret: Secret = self.object(&secret).await;
            fs::write(folder.join(key), &secret.data.unwrap()[key].0).unwrap();
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
fn own_address() -> String {
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

/// The condition `Ready` of a resource: its status and reason.
async fn ready(it: &Operated, kind: Kind, name: &str) -> (String, String) {
    let resource = it.ours(kind).get(name).await.unwrap();
    let conditions = resource.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
    let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"))
}

fn yes(reason: &str) -> (String, String) {
    ("True".into(), reason.into())
}

fn a_record() -> Kind {
    Kind::from_name("ARecord").unwrap()
}

/// Declares a cluster with one server, a zone of it and a record.
async fn declare(it: &Operated) {
    it.apply(Kind::CLUSTER, "ns", json!({ "primary": { "replicas": 1 } })).await;
    let soa = json!({ "primaryNs": "ns1.example.net.", "adminEmail": "hostmaster.example.com.", "serial": 7 });
    let zone = json!({
        "zoneName": "example.com", "soaRecord": soa, "clusterRef": "ns",
        "recordsFrom": [{ "selector": { "matchLabels": { "zone": "example" } } }],
    });
    it.apply(Kind::Zone, "example-com", zone).await;
    it.apply(a_record(), "www", json!({ "name": "www", "ipv4Addresses": ["192.0.2.10"] })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_one_server_answers_for_its_zone() {
    let mut it = Operated::start().await;
    let elsewhere = it.cluster.namespace(PodSecurity::Restricted).await;
    let cluster = json!({
        "apiVersion": format!("{}/{}", api::GROUP, api::VERSION), "kind": Kind::CLUSTER.name(),
        "metadata": { "name": "ns" }, "spec": { "primary": { "replicas": 1 } },
    });
    it.until("a cluster that is not watched", async || {
        let params = PatchParams::apply("bindy-test").force();
        it.ours_in(Kind::CLUSTER, &elsewhere).patch("ns", &params, &Patch::Apply(&cluster)).await.is_ok()
    })
    .await;
    declare(&it).await;
    let deployment: Deployment = it.object("ns-primary-0").await;
    let owner = &deployment.owner_references()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("Bind9Instance", "ns-primary-0"));
    let _: Service = it.object("ns-primary-0").await;
    let _: PodDisruptionBudget = it.object("ns-primary").await;

    // What named says of it, too.
    let folder = it.folder().join("checked");
    it.mount("ns-primary-0", &folder, "127.0.0.1").await;
    let checked = Command::new("named-checkconf").arg(folder.join("named.conf")).output().expect("bind9-utils");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

    it.until("a zone without a server that answers", async || {
        ready(&it, Kind::Zone, "example-com").await == ("False".into(), "NotServedYet".into())
    })
    .await;
    assert_ne!(ready(&it, a_record(), "www").await.0, "True");
    let address = &own_address();
    it.run_pod("ns-primary-0", address).await;
    it.until("www is ready", async || ready(&it, a_record(), "www").await == yes("Served")).await;
    assert_eq!(dig(address, "www.example.com", "A"), "192.0.2.10\n", "ready means true");
    it.until("all is ready", async || {
        ready(&it, Kind::Zone, "example-com").await == yes("Served")
            && ready(&it, Kind::INSTANCE, "ns-primary-0").await == yes("AllReady")
            && ready(&it, Kind::CLUSTER, "ns").await == yes("AllReady")
    })
    .await;
    it.apply(a_record(), "mail", json!({ "name": "mail", "ipv4Address": "192.0.2.25" })).await;
    it.until("mail is ready", async || ready(&it, a_record(), "mail").await == yes("FormerSpelling")).await;
    let spec = json!({ "primary": { "replicas": 1 }, "global": { "recursion": true } });
    it.apply(Kind::CLUSTER, "ns", spec).await;
    it.until("the cluster says so", async || ready(&it, Kind::CLUSTER, "ns").await == yes("NoEffect")).await;
    let made = it.ours_in(Kind::INSTANCE, &elsewhere).list(&ListParams::default()).await.unwrap();
    assert!(made.items.is_empty(), "it is in no namespace that is watched");
    it.cluster.remove(&elsewhere).await;
    assert_eq!(dig(address, "mail.example.com", "A"), "192.0.2.25\n");
    let alias = Kind::from_name("CNAMERecord").unwrap();
    it.apply(alias, "mail", json!({ "name": "mail", "target": "www" })).await;
    it.until("a conflict is told", async || {
        ready(&it, alias, "mail").await == ("False".into(), "CnameConflict".into())
    })
    .await;

    let zone = it.ours(Kind::Zone).get("example-com").await.unwrap();
    let serial = dig(address, "example.com", "SOA");
    assert_eq!(serial.split(' ').nth(2), Some(zone.data["status"]["serial"].to_string().as_str()));
    assert_eq!(zone.data["status"]["servers"], "1/1");
    let www = it.ours(a_record()).get("www").await.unwrap();
    assert_eq!(www.data["status"]["publishedName"], "www.example.com.");
    assert_eq!(www.data["status"]["zoneRef"]["zoneName"], "example.com");

    // Nothing is written while nothing changes.
    let versions = async || {
        let mut versions = vec![
            it.api::<Deployment>().get("ns-primary-0").await.unwrap().metadata.generation.map(|it| it.to_string()),
            it.api::<Service>().get("ns-primary-0").await.unwrap().resource_version(),
            it.api::<ConfigMap>().get("ns-primary-0-config").await.unwrap().resource_version(),
            it.api::<PodDisruptionBudget>()
                .get("ns-primary")
                .await
                .unwrap()
                .metadata
                .generation
                .map(|it| it.to_string()),
        ];
        for kind in [Kind::CLUSTER, Kind::Zone, Kind::INSTANCE, a_record(), alias] {
            let all = it.ours(kind).list(&ListParams::default()).await.unwrap();
            versions.extend(all.items.iter().map(ResourceExt::resource_version));
        }
        versions
    };
    let mut before = versions().await;
    for _ in 0..60 {
        sleep(Duration::from_secs(1)).await;
        let now = versions().await;
        if now == before {
            break;
        }
        before = now;
    }
    // Longer than whatever the operator does by itself, and with something to see that leads to nothing.
    let pods = it.api::<Pod>();
    let pod = pods.list(&ListParams::default()).await.unwrap().items.remove(0);
    let touch = Patch::Merge(json!({ "metadata": { "annotations": { "example.com/touched": "yes" } } }));
    pods.patch(&pod.name_any(), &PatchParams::default(), &touch).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(versions().await, before);
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_operator_goes_on_where_the_first_was_killed() {
    let mut it = Operated::start().await;
    declare(&it).await;
    let address = &own_address();
    it.run_pod("ns-primary-0", address).await;
    it.until("www", async || ready(&it, a_record(), "www").await == yes("Served")).await;
    let serial = || {
        let soa = dig(address, "example.com", "SOA");
        soa.split(' ').nth(2).unwrap_or_default().parse::<u32>().unwrap_or_default()
    };
    let before = serial();
    it.kill_operator();
    it.apply(a_record(), "late", json!({ "name": "late", "ipv4Addresses": ["192.0.2.9"] })).await;
    assert_eq!(dig(address, "www.example.com", "A"), "192.0.2.10\n", "servers answer by themselves");
    it.start_operator(0);
    it.until("late", async || ready(&it, a_record(), "late").await == yes("Served")).await;
    assert_eq!(dig(address, "late.example.com", "A"), "192.0.2.9\n");
    assert_eq!(serial(), before + 1);
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_that_follows_takes_over_with_what_has_changed_before() {
    let mut it = Operated::start().await;
    declare(&it).await;
    // Of a small zone, all of it is less than a difference.
    let ballast = json!({ "name": "ballast", "text": ["x".repeat(250), "y".repeat(250)] });
    it.apply(Kind::from_name("TXTRecord").unwrap(), "ballast", ballast).await;
    let address = &own_address();
    it.run_pod("ns-primary-0", address).await;
    it.until("www", async || ready(&it, a_record(), "www").await == yes("Served")).await;
    it.start_operator(1);
    it.until("the second has the zone", async || it.difference(1, 6).await.first() > Some(&0)).await;
    let serial = it.difference(1, 6).await[0];
    it.apply(a_record(), "early", json!({ "name": "early", "ipv4Addresses": ["192.0.2.8"] })).await;
    it.until("early", async || ready(&it, a_record(), "early").await == yes("Served")).await;
    let followed = [serial + 1, serial, serial + 1, serial + 1];
    assert_eq!(it.difference(0, serial).await, followed);
    it.until("the second follows", async || it.difference(1, serial).await == followed).await;
    // What cannot be used leaves in force what was there before, also when the second goes on.
    it.apply(a_record(), "early", json!({ "name": "early", "ipv4Addresses": ["192.0.2.800"] })).await;
    it.until("it is told", async || ready(&it, a_record(), "early").await.1 == "InvalidRecord").await;
    it.kill_operator();
    it.apply(a_record(), "late", json!({ "name": "late", "ipv4Addresses": ["192.0.2.9"] })).await;
    it.until("late", async || ready(&it, a_record(), "late").await == yes("Served")).await;
    assert_eq!(dig(address, "late.example.com", "A"), "192.0.2.9\n");
    let both = it.difference(1, serial).await;
    assert_eq!((both[0], both[1], both.len()), (serial + 2, serial, 4), "joined: {both:?}");
    assert_eq!(dig(address, "early.example.com", "A"), "192.0.2.8\n");
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_would_remove_most_of_a_zone_waits_until_it_is_allowed() {
    let mut it = Operated::start().await;
    declare(&it).await;
    for number in 0..12 {
        let name = format!("host{number}");
        it.apply(a_record(), &name, json!({ "name": name, "ipv4Addresses": ["192.0.2.7"] })).await;
    }
    let address = &own_address();
    it.run_pod("ns-primary-0", address).await;
    it.until("host11", async || ready(&it, a_record(), "host11").await == yes("Served")).await;
    it.until("the zone", async || ready(&it, Kind::Zone, "example-com").await == yes("Served")).await;
    // A label with a slip of the pen.
    let change = |zone: Value| Patch::Merge(json!({ "spec": zone }));
    let slip = json!({ "recordsFrom": [{ "selector": { "matchLabels": { "zone": "exmaple" } } }] });
    it.ours(Kind::Zone).patch("example-com", &PatchParams::default(), &change(slip)).await.unwrap();
    it.until("the removal is held", async || {
        ready(&it, Kind::Zone, "example-com").await == ("False".into(), "LargeRemovalHeld".into())
    })
    .await;
    let zone = it.ours(Kind::Zone).get("example-com").await.unwrap();
    let serial = zone.data["status"]["serial"].to_string();
    assert_eq!(dig(address, "host11.example.com", "A"), "192.0.2.7\n");
    assert_eq!(dig(address, "example.com", "SOA").split(' ').nth(2), Some(&*serial));
    let allowed = Patch::Merge(json!({
        "metadata": { "annotations": { "bindy.firestoned.io/allow-large-removal": serial } },
    }));
    it.ours(Kind::Zone).patch("example-com", &PatchParams::default(), &allowed).await.unwrap();
    it.until("the names are gone", async || dig(address, "host11.example.com", "A").is_empty()).await;
    it.until("the zone", async || ready(&it, Kind::Zone, "example-com").await == yes("Served")).await;
    it.end().await;
}

/// What there is of a zone belongs to its resource: another one of the same name begins with its own, however much was there.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_takes_the_place_of_another_serves_its_own_data() {
    let mut it = Operated::start().await;
    declare(&it).await;
    for number in 0..12 {
        let name = format!("host{number}");
        it.apply(a_record(), &name, json!({ "name": name, "ipv4Addresses": ["192.0.2.7"] })).await;
    }
    let address = &own_address();
    it.run_pod("ns-primary-0", address).await;
    it.until("host11", async || ready(&it, a_record(), "host11").await == yes("Served")).await;
    let soa = json!({ "primaryNs": "ns1.example.net.", "adminEmail": "another.example.com." });
    it.apply(Kind::Zone, "later", json!({ "zoneName": "example.com", "soaRecord": soa, "clusterRef": "ns" })).await;
    let duplicate = ("False".to_owned(), "DuplicateZone".to_owned());
    it.until("the other has to wait", async || ready(&it, Kind::Zone, "later").await == duplicate).await;
    let serial = async |zone: &str| it.ours(Kind::Zone).get(zone).await.unwrap().data["status"]["serial"].as_u64();
    let before = serial("example-com").await.unwrap();
    it.ours(Kind::Zone).delete("example-com", &DeleteParams::default()).await.unwrap();
    it.until("the other is served", async || ready(&it, Kind::Zone, "later").await == yes("Served")).await;
    assert_eq!(dig(address, "host11.example.com", "A"), "");
    assert_eq!(dig(address, "example.com", "SOA").split(' ').nth(1), Some("another.example.com."));
    assert!(serial("later").await.unwrap() > before);
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_stays_where_it_is_while_it_names_a_cluster_that_is_not_there() {
    let mut it = Operated::start().await;
    declare(&it).await;
    let address = &own_address();
    it.run_pod("ns-primary-0", address).await;
    it.until("the zone", async || ready(&it, Kind::Zone, "example-com").await == yes("Served")).await;
    let adrift = ("False".to_owned(), "DanglingReference".to_owned());
    refer_to(&it, "sn").await;
    it.until("that is told", async || ready(&it, Kind::Zone, "example-com").await == adrift).await;
    assert_eq!(dig(address, "www.example.com", "A"), "192.0.2.10\n");

    // Who leads next finds it so.
    it.kill_operator();
    it.start_operator(0);
    it.apply(a_record(), "late", json!({ "name": "late", "ipv4Addresses": ["192.0.2.9"] })).await;
    it.until("late", async || ready(&it, a_record(), "late").await == yes("Served")).await;
    assert_eq!(dig(address, "late.example.com", "A"), "192.0.2.9\n");
    assert_eq!(ready(&it, Kind::Zone, "example-com").await, adrift);
    refer_to(&it, "ns").await;
    it.until("the zone", async || ready(&it, Kind::Zone, "example-com").await == yes("Served")).await;
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_stay_if_whoever_deletes_their_cluster_says_so() {
    let mut it = Operated::start().await;
    declare(&it).await;
    let address = &own_address();
    it.run_pod("ns-primary-0", address).await;
    it.until("www", async || ready(&it, a_record(), "www").await == yes("Served")).await;
    let delete = async |how: DeleteParams| {
        it.ours(Kind::CLUSTER).delete("ns", &how).await.unwrap();
        it.until("it is gone", async || it.ours(Kind::CLUSTER).get_opt("ns").await.unwrap().is_none()).await;
    };
    delete(DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() }).await;
    let adrift = ("False".to_owned(), "DanglingReference".to_owned());
    it.until("that is told", async || ready(&it, Kind::Zone, "example-com").await == adrift).await;
    it.apply(a_record(), "late", json!({ "name": "late", "ipv4Addresses": ["192.0.2.9"] })).await;
    it.until("late", async || ready(&it, a_record(), "late").await == yes("Served")).await;
    assert_eq!(dig(address, "late.example.com", "A"), "192.0.2.9\n");
    let owners = async || it.ours(Kind::INSTANCE).get("ns-primary-0").await.unwrap().metadata.owner_references;
    assert_eq!(owners().await.unwrap_or_default(), []);

    // A cluster of that name takes them over; deleted as usual, it takes them along.
    it.apply(Kind::CLUSTER, "ns", json!({ "primary": { "replicas": 1 } })).await;
    it.until("it owns the server", async || owners().await.is_some_and(|owners| owners.len() == 1)).await;
    it.until("the zone", async || ready(&it, Kind::Zone, "example-com").await == yes("Served")).await;
    delete(DeleteParams::background()).await;
    let nobody = ("False".to_owned(), "NoServers".to_owned());
    it.until("the zone has no servers", async || ready(&it, Kind::Zone, "example-com").await == nobody).await;
    it.until("nor has www", async || ready(&it, a_record(), "www").await == nobody).await;
    it.end().await;
}

/// Servers would wait for it, and answer nothing meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_never_was_is_on_no_server() {
    let mut it = Operated::start().await;
    declare(&it).await;
    let address = &own_address();
    it.run_pod("ns-primary-0", address).await;
    let soa = json!({ "primaryNs": "ns1.example.net.", "adminEmail": "me@example.com" });
    it.apply(Kind::Zone, "bad", json!({ "zoneName": "bad.test", "soaRecord": soa, "clusterRef": "ns" })).await;
    let invalid = ("False".to_owned(), "InvalidZone".to_owned());
    it.until("it is told", async || ready(&it, Kind::Zone, "bad").await == invalid).await;
    let soa = json!({ "primaryNs": "ns1.example.net.", "adminEmail": "me.example.com." });
    it.apply(Kind::Zone, "good", json!({ "zoneName": "good.test", "soaRecord": soa, "clusterRef": "ns" })).await;
    it.until("the other is served", async || ready(&it, Kind::Zone, "good").await == yes("Served")).await;
    let zones =
        async || it.ours(Kind::INSTANCE).get("ns-primary-0").await.unwrap().data["status"]["zonesCount"].clone();
    it.until("two zones", async || zones().await == 2).await;
    it.end().await;
}

/// The zone names this cluster now.
async fn refer_to(it: &Operated, cluster: &str) {
    let change = Patch::Merge(json!({ "spec": { "clusterRef": cluster } }));
    it.ours(Kind::Zone).patch("example-com", &PatchParams::default(), &change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_that_are_deleted_together_are_served_until_that_is_allowed() {
    let mut it = Operated::start().await;
    declare(&it).await;
    let soa = json!({ "primaryNs": "ns1.example.com.", "adminEmail": "hostmaster.example.com." });
    for number in 0..12 {
        let zone = json!({ "zoneName": format!("z{number}.test"), "soaRecord": soa, "clusterRef": "ns" });
        it.apply(Kind::Zone, &format!("z{number}"), zone).await;
    }
    let address = &own_address();
    it.run_pod("ns-primary-0", address).await;
    let status =
        async |it: &Operated| it.ours(Kind::INSTANCE).get("ns-primary-0").await.unwrap().data["status"].clone();
    it.until("all zones", async || status(&it).await["zonesCount"] == 13).await;
    it.until("the last zone", async || !dig(address, "z11.test", "SOA").is_empty()).await;
    for number in 0..6 {
        it.ours(Kind::Zone).delete(&format!("z{number}"), &DeleteParams::default()).await.unwrap();
    }
    let held = ("False".to_owned(), "LargeRemovalHeld".to_owned());
    it.until("it is held", async || ready(&it, Kind::INSTANCE, "ns-primary-0").await == held).await;
    assert!(!dig(address, "z5.test", "SOA").is_empty());

    // Who leads next does not know which zones there were.
    it.kill_operator();
    it.start_operator(0);
    it.apply(a_record(), "late", json!({ "name": "late", "ipv4Addresses": ["192.0.2.9"] })).await;
    it.until("it leads", async || ready(&it, a_record(), "late").await == yes("Served")).await;
    it.until("it is held", async || ready(&it, Kind::INSTANCE, "ns-primary-0").await == held).await;
    assert!(!dig(address, "z5.test", "SOA").is_empty());
    let serial = status(&it).await["catalogSerial"].to_string();
    let allowed = Patch::Merge(json!({
        "metadata": { "annotations": { "bindy.firestoned.io/allow-large-removal": serial } },
    }));
    it.ours(Kind::INSTANCE).patch("ns-primary-0", &PatchParams::default(), &allowed).await.unwrap();
    for number in 0..6 {
        let zone = format!("z{number}.test");
        it.until(&format!("{zone} is gone"), async || dig(address, &zone, "SOA").is_empty()).await;
    }
    assert!(!dig(address, "z6.test", "SOA").is_empty());
    it.until("it is ready", async || ready(&it, Kind::INSTANCE, "ns-primary-0").await == yes("AllReady")).await;
    it.until("its zones are counted", async || status(&it).await["zonesCount"] == 7).await;
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_too_many_answers_on_for_some_time_and_comes_back_when_it_is_wanted() {
    let mut it = Operated::start().await;
    declare(&it).await;
    let replicas = async |count: u8| {
        let change = Patch::Merge(json!({ "spec": { "primary": { "replicas": count } } }));
        it.ours(Kind::CLUSTER).patch("ns", &PatchParams::default(), &change).await.unwrap();
    };
    let wanted = async |name: &str| -> Option<i32> { it.object::<Deployment>(name).await.spec.unwrap().replicas };
    replicas(2).await;
    let labels = ListParams::default().labels("instance=ns-primary-1");
    it.until("it has a pod", async || it.api::<Pod>().list(&labels).await.is_ok_and(|pods| !pods.items.is_empty()))
        .await;
    let zones =
        async |name: &str| it.ours(Kind::INSTANCE).get(name).await.unwrap().data["status"]["zonesCount"].clone();
    it.until("its zones are counted", async || zones("ns-primary-1").await == 1).await;
    replicas(1).await;
    it.until("it is told", async || {
        let events =
            it.api::<Event>().list(&ListParams::default()).await.map(|events| events.items).unwrap_or_default();
        let is_it = |event: &Event| event.reason.as_deref() == Some("Draining");
        events
            .iter()
            .any(|it| is_it(it) && it.regarding.as_ref().is_some_and(|of| of.name.as_deref() == Some("ns-primary-1")))
    })
    .await;
    it.until("its pods are to go", async || wanted("ns-primary-1").await == Some(0)).await;
    it.until("it is retired", async || ready(&it, Kind::INSTANCE, "ns-primary-1").await == yes("Retired")).await;
    assert_eq!(zones("ns-primary-1").await, 0, "a server without pods serves no zone");
    assert_eq!(wanted("ns-primary-0").await, Some(1));
    it.run_pod("ns-primary-0", &own_address()).await;
    it.until("nobody waits for it", async || ready(&it, Kind::Zone, "example-com").await == yes("Served")).await;
    it.until("its cluster does not count it", async || {
        it.ours(Kind::CLUSTER).get("ns").await.unwrap().data["status"]["instanceCount"] == 1
    })
    .await;
    let change = Patch::Merge(json!({ "spec": { "primary": { "replicas": 2 } } }));
    it.ours(Kind::CLUSTER).patch("ns", &PatchParams::default(), &change).await.unwrap();
    it.until("it has a pod again", async || {
        let deployment: Deployment = it.object("ns-primary-1").await;
        deployment.spec.unwrap().replicas == Some(1)
    })
    .await;
    it.end().await;
}
