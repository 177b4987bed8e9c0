//! Changes of servers that run: a configuration is taken live, and pods are replaced one after another.

use std::net::Ipv4Addr;

use bindy_cluster::EXAMPLE;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::{
    load::Load,
    running::{INSTANCES, Running},
};

/// A server of the example that keeps its zones on a claim, so that it has no two pods at a time.
const ON_A_CLAIM: &str = "
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Instance
metadata: { name: ns-primary-1, namespace: dns-system }
spec:
  clusterRef: ns
  role: primary
  storage: { storageType: persistentVolumeClaim, persistentVolumeClaim: { size: 1Gi } }
";

/// A server with a configuration of its user's own.
const OF_A_USER: &str = "
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Instance
metadata: { name: own, namespace: dns-system }
spec: { clusterRef: ns, role: primary, configMapRefs: { namedConf: own } }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: own, namespace: dns-system }
data:
  named.conf: |
    options { directory \"/var/cache/bind\"; pid-file none; session-keyfile none; port 5353; VERSION };
";

/// A server with options and zones of its user's own.
const WITH_FILES: &str = "
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Instance
metadata: { name: own, namespace: dns-system }
spec:
  clusterRef: ns
  role: primary
  configMapRefs: { namedConfOptions: own, namedConfZones: own-zones }
  volumes: [{ name: own, configMap: { name: own-zones } }]
  volumeMounts: [{ name: own, mountPath: /data/own }]
---
apiVersion: v1
kind: ConfigMap
metadata: { name: own, namespace: dns-system }
data: { named.conf.options: 'options { version \"VERSION\"; allow-query { !192.0.2.1; any; }; };' }
";

/// Zones that are no DNSZones.
const ZONES: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: own-zones, namespace: dns-system }
data:
  named.conf.zones: 'zone \"own.test\" { type primary; file \"/data/own/own.test\"; }; MORE'
  own.test: |
    $TTL 60
    @ SOA ns hostmaster 1 3600 600 86400 60
    @ NS ns
    ns A 192.0.2.53
";

/// A server with an RNDC key of its user's own.
const WITH_A_KEY: &str = "
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Instance
metadata: { name: own, namespace: dns-system }
spec:
  clusterRef: ns
  role: primary
  rndcKey: { secretRef: { name: control, algorithm: hmac-sha512, keyNameKey: name } }
---
apiVersion: v1
kind: Secret
metadata: { name: control, namespace: dns-system }
stringData: { name: people, secret: SECRET }
";

impl Running {
    /// A field of the pods of a server.
    fn pods(&self, instance: &str, path: &str) -> String {
        let (selector, path) = (format!("instance={instance}"), format!("-o=jsonpath={{.items[*]{path}}}"));
        self.cluster.done(&["get", "pods", "-n", "dns-system", "-l", &selector, &path])
    }

    /// The reason and the message of the condition `Ready` of a server.
    fn reason(&self, instance: &str) -> (String, String) {
        let field = |field: &str| {
            let path = format!(".status.conditions[?(@.type=='Ready')].{field}");
            self.field(&format!("bind9instance/{instance}"), &path)
        };
        (field("reason"), field("message"))
    }

    /// Changes a field of the servers of the example.
    fn patch(&self, spec: &Value) {
        let patch = json!({ "spec": spec }).to_string();
        self.cluster.done(&["patch", "bind9cluster", "ns", "-n", "dns-system", "--type=merge", "-p", &patch]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_taken_live_and_pods_are_replaced_one_after_another() {
    let running = Running::start().await;
    running.cluster.apply(ON_A_CLAIM);
    running.cluster.apply(EXAMPLE);
    running.cluster.until("the record is served", || running.is_ready("arecord/www"));
    running.until_all_is_ready();
    let identities = || INSTANCES.map(|instance| running.pods(instance, ".metadata.uid"));
    let generations =
        || INSTANCES.map(|instance| running.field(&format!("deployment/{instance}"), ".metadata.generation"));
    let (pods, before) = (identities(), generations());
    let addresses = running.addresses(&INSTANCES);
    let all_say = |what: &str| {
        let www = |address: &str| running.cluster.node().dig(address, &["www.example.com"]);
        addresses.iter().all(|address| www(&address.ip().to_string()).as_deref() == Some(what))
    };
    running.patch(&json!({ "global": { "allowQuery": ["192.0.2.1"], "rateLimit": { "responsesPerSecond": 1000 } } }));
    running.cluster.until("nobody may ask", || all_say(""));
    running.patch(&json!({ "global": { "allowQuery": ["any"], "rateLimit": { "responsesPerSecond": 0 } } }));
    running.cluster.until("everybody may ask", || all_say("192.0.2.10"));
    running.until_all_is_ready();
    for instance in INSTANCES {
        let hash = ".metadata.annotations.bindy\\.firestoned\\.io/config-hash";
        let hash = running.field(&format!("configmap/{instance}-config"), hash);
        let log = running.cluster.node().log("dns-system", &running.server(instance), "bind9");
        assert!(hash.len() == 64 && log.contains(&format!("SHA-256 {hash}")), "{hash}\n{log}");
    }
    assert_eq!((identities(), generations()), (pods.clone(), before), "no pod was replaced");

    let www = ("www.example.com", Ipv4Addr::new(192, 0, 2, 10));
    let load = Load::start(running.cluster.node(), &addresses, &[www]);
    running.patch(&json!({ "image": { "image": "example.org/bindyd:v2" } }));
    let images = |instance: &str| running.pods(instance, ".spec.containers[0].image");
    running.cluster.until("the pods are replaced", || {
        INSTANCES.iter().all(|instance| images(instance) == "example.org/bindyd:v2")
    });
    running.until_all_is_ready();
    let report = block_in_place(|| load.end());
    assert!(report.failures.is_empty(), "{report}");
    assert!(report.asked.len() == addresses.len() && report.asked.values().all(|asked| *asked > 100), "{report}");
    assert!(identities().iter().zip(&pods).all(|(new, old)| new != old && !new.is_empty()));
    let times = |instance: &str| {
        let ready = running.pods(instance, ".status.conditions[?(@.type=='Ready')].lastTransitionTime");
        (running.pods(instance, ".metadata.creationTimestamp"), ready)
    };
    let [first, second, secondary] = INSTANCES.map(times);
    assert!(secondary.1 <= first.0 && first.1 <= second.0, "one at a time: {secondary:?} {first:?} {second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_told_and_leaves_servers_as_they_are() {
    let running = Running::with_example().await;
    let pods = || INSTANCES.map(|instance| running.pods(instance, ".metadata.uid"));
    let before = pods();
    running.patch(&json!({ "image": { "image": "example.org/none:v3" } }));
    let [first, second, secondary] = INSTANCES;
    running.cluster.until("it is told", || running.reason(secondary).0 == "PodNotStarting");
    let message = running.reason(secondary).1;
    assert!(message.contains("example.org/none:v3") && message.contains("ImagePull"), "{message}");
    for primary in [first, second] {
        running.cluster.until("the others wait", || running.reason(primary).0 == "RolloutWaiting");
        assert!(running.reason(primary).1.contains(secondary), "{:?}", running.reason(primary));
    }
    running.until_all_answer(&INSTANCES);
    assert!(running.is_ready("dnszone/example-com"), "every server has a pod that serves it");
    running.patch(&json!({ "image": null }));
    running.until_all_is_ready();
    let after = pods();
    assert_eq!(after[..2], before[..2]);
    assert!(after[2].contains(&before[2]), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_a_pod_refuses_is_told() {
    let running = Running::with_example().await;
    let with = |version: &str| OF_A_USER.replace("VERSION", version);
    running.cluster.apply(&with("version \"one\";"));
    running.cluster.until("the server is ready", || running.is_ready("bind9instance/own"));
    let pod = running.pods("own", ".metadata.uid");
    running.cluster.apply(&with("version;"));
    running.cluster.until("it refuses", || running.reason("own").0 == "ConfigurationRefused");
    let message = running.reason("own").1;
    assert!(message.contains("/etc/bind/named.conf:1:"), "{message}");
    let address = running.addresses(&["own"])[0].ip().to_string();
    let version = || running.cluster.node().dig(&address, &["CH", "TXT", "version.bind"]);
    assert_eq!(version().as_deref(), Some("\"one\""));
    running.cluster.apply(&with("version \"two\";"));
    running.cluster.until("it takes it over", || version().as_deref() == Some("\"two\""));
    running.cluster.until("it is ready", || running.is_ready("bind9instance/own"));
    assert_eq!(running.pods("own", ".metadata.uid"), pod);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_and_zones_of_a_users_own_are_taken_live_and_missing_ones_are_told() {
    let running = Running::with_example().await;
    let options = |version: &str| running.cluster.apply(&WITH_FILES.replace("VERSION", version));
    options("one");
    running.cluster.until("it is told", || running.reason("own").0 == "InvalidServer");
    let message = running.reason("own").1;
    assert!(message.contains("configMapRefs.namedConfZones: there is no ConfigMap dns-system/own-zones"), "{message}");
    running.cluster.apply(&ZONES.replace("MORE", ""));
    running.cluster.until("the server is ready", || running.is_ready("bind9instance/own"));
    let pod = running.pods("own", ".metadata.uid");
    let address = running.addresses(&["own"])[0].ip().to_string();
    let dig = |arguments: &[&str]| running.cluster.node().dig(&address, arguments);
    let version = || dig(&["CH", "TXT", "version.bind"]);
    assert_eq!(version().as_deref(), Some("\"one\""));
    assert_eq!(dig(&["ns.own.test"]).as_deref(), Some("192.0.2.53"));
    running
        .cluster
        .until("it has the zones that are declared", || dig(&["www.example.com"]).as_deref() == Some("192.0.2.10"));
    running.cluster.until("all zones are served", || running.is_ready("dnszone/example-com"));
    options("two");
    running.cluster.until("it takes the options over", || version().as_deref() == Some("\"two\""));
    running.cluster.apply(&ZONES.replace("MORE", "zone;"));
    running.cluster.until("it refuses", || running.reason("own").0 == "ConfigurationRefused");
    let message = running.reason("own").1;
    assert!(message.contains("/etc/bind/named.conf.zones:1:"), "{message}");
    running.cluster.done(&["delete", "configmap", "own-zones", "-n", "dns-system"]);
    running.cluster.until("it is told", || running.reason("own").0 == "InvalidServer");
    assert_eq!(dig(&["www.example.com"]).as_deref(), Some("192.0.2.10"), "what runs stays");
    running.cluster.apply(&ZONES.replace("MORE", ""));
    running.cluster.until("the server is ready", || running.is_ready("bind9instance/own"));
    assert_eq!(running.pods("own", ".metadata.uid"), pod);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rndc_key_of_a_users_own_is_used_and_its_changes_are_taken_live() {
    let running = Running::with_example().await;
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let with = |secret: &str| {
        running.cluster.apply(&WITH_A_KEY.replace("SECRET", secret));
        let file = folder.path().join(secret.trim_end_matches('='));
        let key = format!("key \"people\" {{ algorithm hmac-sha512; secret \"{secret}\"; }};\n");
        std::fs::write(&file, key).expect("the folder is ours");
        file.to_str().expect("a path in UTF-8").to_owned()
    };
    let (instance, _) = WITH_A_KEY.split_once("---").expect("two documents");
    running.cluster.apply(instance);
    running.cluster.until("it is told", || running.reason("own").0 == "KeyMissing");
    let message = running.reason("own").1;
    assert!(message.contains("that `rndcKey.secretRef` names"), "{message}");
    let first = with("Zmlyc3Q=");
    running.cluster.until("the server is ready", || running.is_ready("bind9instance/own"));
    let (pod, address) = (running.pods("own", ".metadata.uid"), running.pods("own", ".status.podIP"));
    let status = |key: &str| running.cluster.node().run(&["rndc", "-s", &address, "-p", "9530", "-k", key, "status"]);
    running.cluster.until("it takes the key", || status(&first).code == Some(0));
    let second = with("c2Vjb25k");
    running.cluster.until("it takes the new key", || status(&second).code == Some(0));
    assert_ne!(status(&first).code, Some(0), "the former key is none any more");
    running.cluster.until("the server is ready", || running.is_ready("bind9instance/own"));
    assert_eq!(running.pods("own", ".metadata.uid"), pod);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_a_service_for_each_protocol_get_zones_from_each_other_and_join_them_again() {
    let running = Running::with_example().await;
    running.patch(&json!({ "primary": { "service": { "split": true } } }));
    let address = |service: &str| running.field(&format!("service/{service}"), ".spec.clusterIP");
    running.cluster.until("there is one for TCP", || !address("ns-primary-1-tcp").is_empty());
    let dig =
        |service: &str, transport: &str| running.cluster.node().dig(&address(service), &[transport, "www.example.com"]);
    let answers = |service: &str, transport: &str| dig(service, transport).as_deref() == Some("192.0.2.10");
    running.cluster.until("each has its protocol", || {
        answers("ns-primary-1-tcp", "+tcp") && answers("ns-primary-1", "+notcp") && !answers("ns-primary-1", "+tcp")
    });
    running.until_all_is_ready();
    running.operators(0);
    running.replace("ns-primary-0");
    running.cluster.until("it has its zones from others", || answers("ns-primary-0", "+notcp"));
    running.operators(1);
    running.patch(&json!({ "primary": { "service": { "split": false } } }));
    running.cluster.until("one has both", || answers("ns-primary-1", "+tcp") && answers("ns-primary-1", "+notcp"));
    running.until_all_is_ready();
}
