//! The examples on a cluster in which servers run: whatever people try first is served, or says why it is not.

use std::{collections::BTreeMap, path::Path, thread, time::Duration};

use bindy::compile::Reason;
use serde_json::{Value, json};

use crate::{examples, ours, running::Running};

/// What serves the zones of stories that name no servers.
const SERVERS: &str = "
apiVersion: bindy.firestoned.io/v1beta1
kind: ClusterBind9Provider
metadata: { name: stories }
spec:
  namespace: dns-system
  primary: { replicas: 1 }
  global: { rateLimit: { responsesPerSecond: 0 } }
";

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_served_or_says_why_it_is_not() {
    let running = Running::start().await;
    for namespace in ["dns", "team-b", "provider"] {
        running.cluster.done(&["create", "namespace", namespace]);
    }
    running.cluster.done(&["apply", "-n", "dns", "-f", &bindy_cluster::deploy("dns-namespace/keys.yaml")]);
    running.cluster.apply(SERVERS);
    let mut stories: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (file, source) in examples() {
        let story = Path::new(&file).parent().and_then(Path::file_name).expect("a file of a story");
        stories.entry(story.to_string_lossy().into_owned()).or_default().extend(ours(&source));
    }
    assert!(stories.len() >= 9, "{:?}", stories.keys());
    let compared: usize = stories.into_iter().map(|(story, objects)| tell(&running, &story, objects)).sum();
    assert!(compared >= 10, "{compared} A records compared");
}

/// Applies a story, waits until all of it is settled, compares what servers answer, and removes it; returns how many
/// records were compared.
fn tell(running: &Running, story: &str, mut objects: Vec<Value>) -> usize {
    println!("{story}");
    for object in &mut objects {
        let is_zone = object["kind"] == "DNSZone";
        if is_zone && object["spec"]["clusterRef"].is_null() && object["spec"]["bind9InstancesFrom"].is_null() {
            object["spec"]["clusterProviderRef"] = json!("stories");
        }
    }
    let cluster = &running.cluster;
    let story = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
    cluster.apply(&story);
    let now = || -> Vec<Value> {
        let got = cluster.kubectl_with(&["get", "-f", "-", "-o", "json"], &story).expect("it was applied");
        let got: Value = serde_json::from_str(&got).expect("it is JSON");
        got["items"].as_array().expect("a list").clone()
    };
    cluster.until("the story is settled", || now().iter().all(is_settled));
    let address = running.field("service/stories-primary-0", ".spec.clusterIP");
    let mut served = 0;
    for object in now() {
        let (status, reason, message) = ready(&object);
        if status == "True" {
            if object["kind"] == "ARecord" {
                served += usize::from(is_answered(running, &address, &object));
            }
            continue;
        }
        let is_known = Reason::ALL.iter().any(|known| known.name() == reason);
        assert!(is_known && message.len() > 20, "{reason}: {message}: {object:#}");
        println!("  {} {}: {reason}: {message}", object["kind"], object["metadata"]["name"]);
    }
    cluster.kubectl_with(&["delete", "-f", "-", "--wait=true"], &story).expect("it is there");
    served
}

/// Asks the server for an A record that is ready; nothing if its zone has other servers.
fn is_answered(running: &Running, address: &str, record: &Value) -> bool {
    let zone = &record["status"]["zoneRef"];
    let (zone, namespace) = (text(&zone["name"]), text(&zone["namespace"]));
    let servers = running.cluster.field(namespace, &format!("dnszone/{zone}"), ".spec.clusterProviderRef");
    if servers != "stories" {
        return false;
    }
    let name = text(&record["status"]["publishedName"]);
    // Below a cut an address is glue.
    let sections = ["dig", "+noall", "+answer", "+additional", &format!("@{address}"), name, "A"];
    let ask = || running.cluster.node().run(&sections).output;
    let mut answer = ask();
    if answer.contains("communications error") {
        // A Service leads to a pod a little after the pod is ready. Who asks tries twice.
        thread::sleep(Duration::from_secs(1));
        answer = ask();
    }
    for expected in record["spec"]["ipv4Addresses"].as_array().into_iter().flatten() {
        let is_it = |line: &str| line.starts_with(name) && line.ends_with(text(expected));
        assert!(answer.lines().any(is_it), "{name} is {answer}, not {expected}");
    }
    true
}

/// Whether nothing more is to come of a resource by itself.
fn is_settled(object: &Value) -> bool {
    let is = |kind: &str| conditions(object).any(|it| it["type"] == kind && it["status"] == "True");
    let generation = &object["metadata"]["generation"];
    is_current(object, generation) && (is("Ready") || is("Stalled"))
}

fn is_current(object: &Value, generation: &Value) -> bool {
    conditions(object).any(|it| it["type"] == "Ready" && it["observedGeneration"] == *generation)
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"].as_array().into_iter().flatten()
}

/// The status, the reason and the message of the condition `Ready`.
fn ready(object: &Value) -> (&str, &str, &str) {
    let ready = conditions(object).find(|it| it["type"] == "Ready").expect("it is settled");
    (text(&ready["status"]), text(&ready["reason"]), text(&ready["message"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
