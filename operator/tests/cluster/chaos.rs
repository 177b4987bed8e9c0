//! Whatever dies, servers answer: each scenario happens while clients ask all the time and records are declared. No query
//! fails, nothing is ready that is not served, and all that was declared meanwhile is served in the end.

use std::{
    collections::BTreeSet,
    env,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bindy_server::Rcode;
use kube::api::ListParams;
use serde_json::Value;
use tokio::{task::block_in_place, time::sleep};
use zonefmt::{Name, Rtype, Serial};

use crate::{
    load::{Load, addresses},
    running::{INSTANCES, KILL, Running},
    witness::{Servers, Witness, a_record, api, is_ready, serial},
    writer::{Writer, Written},
};

const WWW: (&str, Ipv4Addr) = ("www.example.com", Ipv4Addr::new(192, 0, 2, 10));

const OTHER: (&str, Ipv4Addr) = ("www.example.org", Ipv4Addr::new(192, 0, 2, 11));

/// A zone that expires as soon as any zone can that is refreshed before, with the records of this label.
fn soon_expired(name: &str, label: &str) -> String {
    let zone = name.replace('-', ".");
    format!(
        "
apiVersion: bindy.firestoned.io/v1beta1
kind: DNSZone
metadata: {{ name: {name}, namespace: dns-system }}
spec:
  zoneName: {zone}
  clusterRef: ns
  soaRecord:
    {{ primaryNs: ns1.{zone}., adminEmail: hostmaster.{zone}., refresh: 1, retry: 1, expire: 3, negativeTtl: 1 }}
  recordsFrom: [{{ selector: {{ matchLabels: {{ zone: {label} }} }} }}]
"
    )
}

const OTHER_RECORD: &str = "
apiVersion: bindy.firestoned.io/v1beta1
kind: ARecord
metadata: { name: other, namespace: dns-system, labels: { zone: other } }
spec: { name: www, ipv4Addresses: [192.0.2.11] }
";

/// Longer than a server keeps those zones that nobody confirms: `min-retry-time` after they were to be refreshed.
const PAST_EXPIRE: Duration = Duration::from_secs(130);

/// How long the API server is away, in seconds; longer than an operator keeps the Lease. `BINDY_API_AWAY` says otherwise.
const AWAY: u64 = 16;

const CONTINUE: i32 = 18;
const STOP: i32 = 19;

#[tokio::test(flavor = "multi_thread")]
async fn servers_answer_whatever_dies() {
    let mut running = Running::with_example().await;
    let it = &mut running;
    // In the order of how much of it all has to start again.
    under_load(it, "a-server-is-killed", async |it| it.kill_server(INSTANCES[0])).await;
    under_load(it, "a-pod-is-deleted", async |it| a_pod_is_deleted(it, INSTANCES[1])).await;
    under_load(it, "the-leader-is-killed", async |it| the_leader_is_killed(it)).await;
    under_load(it, "the-leader-is-deleted", async |it| it.delete_pod("bindy-system", &it.leader())).await;
    an_upgrade_of_the_operator_changes_nothing(it);
    under_load(it, "no-operator", async |it| servers_need_no_operator(it)).await;
    for kind in ["arecords", "dnszones"] {
        under_load(it, kind, async |it| a_kind_is_forbidden(it, kind).await).await;
    }
    under_load(it, "api-away", async |it| the_api_server_is_away(it).await).await;
    under_load(it, "gone", what_happened_before_410_is_seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_without_an_operator_outlive_their_expire_time() {
    let mut running = Running::with_example().await;
    let zones = [soon_expired("example-com", "example"), soon_expired("example-org", "other")];
    running.cluster.apply(&[&zones[..], &[OTHER_RECORD.to_owned()]].concat().join("---"));
    running.cluster.until("another zone is served", || running.is_ready("arecord/other"));
    let servers = running.addresses(&INSTANCES);
    for zone in ["example.com", "example.org"] {
        let soa = |server: &SocketAddr| running.cluster.node().dig(&server.ip().to_string(), &[zone, "SOA"]);
        let expires = |server| soa(server).is_some_and(|soa| soa.ends_with(" 1 1 3 1"));
        running.cluster.until(&format!("{zone} expires soon"), || servers.iter().all(expires));
    }
    under_load(&mut running, "past-expire", async |it| zones_outlive_their_expire_time(it).await).await;
}

/// While there is no operator, a new pod gets its zones from the other servers.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_pod_gets_zones_without_an_operator() {
    let running = Running::with_example().await;
    running.operators(0);
    running.replace(INSTANCES[0]);
    running.until_all_answer(&INSTANCES);
}

/// Does something while clients ask and records are declared, and holds it against what they have seen.
async fn under_load(running: &mut Running, name: &str, scenario: impl AsyncFnOnce(&mut Running)) {
    println!("{name}");
    let servers = running.addresses(&INSTANCES);
    let load = Load::start(running.cluster.node(), &servers, &[WWW]);
    let witness = Witness::start(&running.cluster, &servers);
    let writer = Writer::start(running.cluster.client(), name);
    scenario(running).await;
    // Whoever looks after servers now does so.
    let last = format!("{name}-last");
    running.cluster.apply(&record(&last, "192.0.2.90"));
    running.cluster.until("the last record is served", || running.is_ready(&format!("arecord/{last}")));
    running.until_all_is_ready();
    let written = writer.end().await;
    until_served(running, &written).await;
    let names = written.iter().map(|it| it.name.clone());
    let (testimony, report) = (witness.end(names).await, block_in_place(|| load.end()));
    println!("  {} records; compared {} times; {report}", written.len(), testimony.compared);
    assert!(testimony.lies.is_empty(), "{name}: {:#?}", testimony.lies);
    assert!(report.failures.is_empty(), "{name}: {report}");
    // Else all this has seen nothing.
    assert!(!written.is_empty() && testimony.compared > written.len(), "{name}: {written:?} {testimony:?}");
    assert!(report.asked.len() == servers.len() && report.asked.values().all(|asked| *asked > 100), "{name}: {report}");
}

/// Waits until records are ready, and asks every server for them.
async fn until_served(running: &Running, written: &[Written]) {
    let client = running.cluster.client();
    let records = api(&client, a_record());
    let mut rounds = 0;
    loop {
        let all = records.list(&ListParams::default()).await.expect("the administrator may");
        let ready = all.items.iter().filter(|it| is_ready(it)).filter_map(|it| it.metadata.name.as_deref());
        let ready: BTreeSet<&str> = ready.collect();
        let lacking: Vec<_> = written.iter().filter(|it| !ready.contains(it.name.as_str())).collect();
        if lacking.is_empty() {
            break;
        }
        rounds += 1;
        assert!(rounds < 600, "not ready: {lacking:?}");
        sleep(Duration::from_millis(200)).await;
    }
    let mut servers = Servers::new(&running.cluster, &running.addresses(&INSTANCES));
    for Written { name, address } in written {
        let owner = Name::from_ascii(format!("{name}.example.com")).expect("it is a name");
        let mut ask = || block_in_place(|| servers.ask(&owner, Rtype::A, addresses));
        let mut answers = ask();
        // Its Service may hear a little later than the operator that a pod is there again.
        for _ in 0..5 {
            if answers.iter().any(|(_, answer)| answer.is_none()) {
                answers = ask();
            }
        }
        for (server, answer) in answers {
            assert_eq!(answer, Some(Ok(vec![*address])), "{owner} at {server}");
        }
    }
}

fn a_pod_is_deleted(running: &Running, instance: &str) {
    let server = running.replace(instance);
    running.cluster.done(&["wait", "--for=condition=Ready", "--timeout=120s", "-n", "dns-system", "pod", &server]);
    running.until_all_answer(&[instance]);
}

fn the_leader_is_killed(running: &Running) {
    let leader = running.leader();
    let holder = running.holder();
    running.signal("bindy-system", &leader, "bindy", KILL);
    running.cluster.until("another process leads", || !running.holder().is_empty() && running.holder() != holder);
}

/// Nothing of what servers are or serve depends on which version of the operator looks after them.
fn an_upgrade_of_the_operator_changes_nothing(running: &Running) {
    let servers = running.addresses(&INSTANCES);
    let load = Load::start(running.cluster.node(), &servers, &[WWW]);
    let before = (running.pods_of_servers(), serials(running));
    let cluster = &running.cluster;
    cluster.done(&["set", "image", "deployment/bindy", "bindy=example.org/bindy:v2", "-n", "bindy-system"]);
    // Both at once.
    cluster.done(&["delete", "pods", "-n", "bindy-system", "-l", "app.kubernetes.io/name=bindy", "--wait=false"]);
    cluster.done(&["rollout", "status", "deployment/bindy", "-n", "bindy-system", "--timeout=180s"]);
    let is_new = |pod: &str| cluster.field("bindy-system", &format!("pod/{pod}"), ".spec.containers[0].image");
    cluster.until("a new process leads", || is_new(&running.leader()) == "example.org/bindy:v2");
    // Something that only it can have done comes after all that it does by itself.
    cluster.apply(&record("after-upgrade", "192.0.2.99"));
    cluster.until("it serves", || running.is_ready("arecord/after-upgrade"));
    let after = (running.pods_of_servers(), serials(running));
    assert_eq!(after.0, before.0);
    let next: Vec<_> = before.1.iter().map(|serial| serial.next()).collect();
    assert_eq!(after.1, next, "one record, one serial");
    let report = block_in_place(|| load.end());
    assert!(report.failures.is_empty(), "{report}");
}

fn servers_need_no_operator(running: &Running) {
    running.operators(0);
    // A process that starts again has its zones on disk.
    running.kill_server(INSTANCES[0]);
    // A pod that is new has nothing, and clients are not sent to it.
    running.replace(INSTANCES[1]);
    running.until_all_answer(&[INSTANCES[0], INSTANCES[2]]);
    running.operators(2);
}

/// What servers have, they confirm to themselves and to each other; also what they have got from each other alone.
async fn zones_outlive_their_expire_time(running: &Running) {
    let load = Load::start(running.cluster.node(), &running.addresses(&INSTANCES), &[OTHER]);
    running.operators(0);
    // One keeps what it has got from the operator; the others have never heard from it.
    for instance in &INSTANCES[1..] {
        a_pod_is_deleted(running, instance);
    }
    sleep(PAST_EXPIRE).await;
    running.kill_server(INSTANCES[1]);
    running.until_all_answer(&INSTANCES);
    let report = block_in_place(|| load.end());
    assert!(report.failures.is_empty() && report.asked.len() == INSTANCES.len(), "{report}");
    running.operators(2);
}

/// The operator does nothing at all rather than take what it cannot see for what is not there.
async fn a_kind_is_forbidden(running: &Running, kind: &str) {
    let cluster = &running.cluster;
    let role = cluster.done(&["get", "clusterrole", "bindy", "-o", "json"]);
    let mut less: Value = serde_json::from_str(&role).expect("it is JSON");
    let rules = less["rules"].as_array_mut().expect("it has rules");
    for resources in rules.iter_mut().filter_map(|rule| rule["resources"].as_array_mut()) {
        resources.retain(|resource| resource != kind);
    }
    let replaced = |role: &str| cluster.kubectl_with(&["replace", "--force=false", "-f", "-"], role);
    less["metadata"] = serde_json::json!({ "name": "bindy", "labels": less["metadata"]["labels"] });
    replaced(&less.to_string()).expect("the administrator may");
    let log = |pod: &str| cluster.node().log("bindy-system", pod, "bindy");
    let holder = running.holder();
    cluster.done(&["delete", "pods", "-n", "bindy-system", "-l", "app.kubernetes.io/name=bindy", "--wait=false"]);
    cluster.until("it is said what is missing", || {
        running.holder() != holder
            && log(&running.leader()).contains("cannot watch")
            && log(&running.leader()).contains("forbidden")
    });
    // Enough for everything that servers would hear of, and for a refresh of theirs.
    sleep(Duration::from_secs(3)).await;
    running.until_all_answer(&INSTANCES);
    let mut full: Value = serde_json::from_str(&role).expect("it is JSON");
    full["metadata"] = less["metadata"].clone();
    replaced(&full.to_string()).expect("the administrator may");
}

async fn the_api_server_is_away(running: &Running) {
    let seconds = env::var("BINDY_API_AWAY").ok().and_then(|text| text.parse().ok()).unwrap_or(AWAY);
    running.cluster.suspend_api();
    sleep(Duration::from_secs(seconds)).await;
    running.cluster.resume_api();
}

/// While an operator does not look, the API server forgets what has happened: then all is listed again.
async fn what_happened_before_410_is_seen(running: &mut Running) {
    running.cluster.apply(&record("deleted-unseen", "192.0.2.98"));
    running.cluster.until("it is served", || running.is_ready("arecord/deleted-unseen"));
    running.operators(1);
    let only = ["get", "pods", "-n", "bindy-system", "-l", "app.kubernetes.io/name=bindy", "-o=name"];
    running.cluster.until("the one that is left leads", || {
        running.cluster.done(&only).trim_end().strip_prefix("pod/") == Some(&running.leader())
    });
    let records = running.cluster.done(&["get", "--raw", "/apis/bindy.firestoned.io/v1beta1/arecords?limit=1"]);
    let records: Value = serde_json::from_str(&records).expect("it is JSON");
    let version = records["metadata"]["resourceVersion"].as_str().expect("every list has a version");
    // An API server that starts remembers what there is then.
    running.cluster.apply(&record("after-that", "192.0.2.96"));
    let leader = running.leader();
    running.signal("bindy-system", &leader, "bindy", STOP);
    running.cluster.restart_api().await;
    let cluster = &running.cluster;
    cluster.done(&["delete", "arecord/deleted-unseen", "-n", "dns-system"]);
    cluster.apply(&record("made-unseen", "192.0.2.97"));
    let path =
        format!("/apis/bindy.firestoned.io/v1beta1/arecords?watch=true&resourceVersion={version}&timeoutSeconds=5");
    let watched = cluster.kubectl(&["get", "--raw", &path]);
    let is_gone = |text: &str| text.contains(r#""code":410"#);
    assert!(watched.as_ref().is_ok_and(|text| is_gone(text)), "the API server remembers: {watched:?}");
    running.signal("bindy-system", &leader, "bindy", CONTINUE);
    cluster.until("it is served", || running.is_ready("arecord/made-unseen"));
    let servers = running.addresses(&INSTANCES);
    cluster.until("what was deleted is gone", || {
        let dig = |server: &SocketAddr| cluster.node().dig(&server.ip().to_string(), &["deleted-unseen.example.com"]);
        servers.iter().all(|server| dig(server).as_deref() == Some(""))
    });
    running.operators(2);
}

/// The serials of the zone at all servers.
fn serials(running: &Running) -> Vec<Serial> {
    let mut servers = Servers::new(&running.cluster, &running.addresses(&INSTANCES));
    let zone = Name::from_ascii("example.com").expect("it is a name");
    let answers = block_in_place(|| servers.ask(&zone, Rtype::SOA, serial));
    answers
        .into_iter()
        .map(|(server, answer)| {
            answer.unwrap_or(Err(Rcode::SERVFAIL)).unwrap_or_else(|rcode| panic!("{server}: {rcode}"))
        })
        .collect()
}

fn record(name: &str, address: &str) -> String {
    format!(
        "{{ apiVersion: bindy.firestoned.io/v1beta1, kind: ARecord, \
         metadata: {{ name: {name}, namespace: dns-system, labels: {{ zone: example }} }}, \
         spec: {{ name: {name}, ipv4Addresses: [{address}] }} }}"
    )
}
