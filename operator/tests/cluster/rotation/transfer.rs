//! The key by which servers get zones is replaced while zones change: all servers have each change soon, and nobody is
//! refused who uses what is there.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use bindy_cluster::Refresh;
use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::{GROUP, WWW, delay};
use crate::{
    load::Load,
    running::{INSTANCES, KILL, Running},
};

const SECRET: &str = "secret/ns-transfer-key";
const CLUSTER: &str = "bind9cluster/ns";

/// How soon every server is to have a change.
const SOON: Duration = Duration::from_secs(10);

/// A key as dig takes it.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    name: String,
    text: String,
}

impl Running {
    fn of_transfers(&self, field: &str) -> String {
        let text = self.field(SECRET, &format!(".data.{}", field.replace('.', "\\.")));
        String::from_utf8(BASE64.decode(text.as_bytes()).expect("it is base64")).expect("it is UTF-8")
    }

    fn transfer_key(&self) -> Key {
        let [name, algorithm, secret] = ["key-name", "algorithm", "secret"].map(|field| self.of_transfers(field));
        Key { text: format!("{algorithm}:{name}:{secret}"), name }
    }

    fn transfer_note(&self, name: &str) -> String {
        self.field(SECRET, &format!(".metadata.annotations.{GROUP}/transfer-{name}"))
    }

    fn annotate_transfer(&self, notes: &[(&str, &str)]) {
        let notes: Vec<String> =
            notes.iter().map(|(name, text)| format!("bindy.firestoned.io/transfer-{name}={text}")).collect();
        let mut arguments = vec!["annotate", SECRET, "-n", "dns-system", "--overwrite"];
        arguments.extend(notes.iter().map(String::as_str));
        self.cluster.done(&arguments);
    }

    /// What is told of the key of the cluster.
    fn transfer_due(&self, field: &str) -> String {
        self.field(CLUSTER, &format!(".status.conditions[?(@.type=='TransferRotationDue')].{field}"))
    }

    /// Lets the minutes pass for which the former key is accepted at least, and waits until it is accepted no more.
    fn until_transfer_key_is_settled(&self) {
        self.annotate_transfer(&[("rotated-at", "2020-01-01T00:00:00Z")]);
        self.cluster.until("the former key is taken out", || self.transfer_note("rotation-phase").is_empty());
    }

    /// The addresses at which servers, and the hidden primary, answer themselves.
    fn answering(&self) -> Vec<String> {
        let leader = self.cluster.field("bindy-system", &format!("pod/{}", self.leader()), ".status.podIP");
        INSTANCES.iter().flat_map(|instance| self.pods_of(instance)).chain([leader]).collect()
    }

    /// Whether somebody takes a key; whoever takes it answers.
    fn knows(&self, address: &str, key: &Key) -> bool {
        let asked = ["dig", "-p", "5353", "+norec", "-y", &key.text, &format!("@{address}"), "example.com", "SOA"];
        let output = self.cluster.node().run(&asked).output;
        assert!(output.contains("status: NOERROR") != output.contains("BADKEY"), "{address}: {output}");
        !output.contains("BADKEY")
    }

    /// Changes a record, and waits until all servers have it; returns how long that took.
    fn change(&self, number: usize) -> Duration {
        let [high, low] = (number as u16).to_be_bytes();
        let address = format!("10.9.{high}.{low}");
        let record = json!({
            "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "ARecord",
            "metadata": { "name": "moves", "namespace": "dns-system", "labels": { "zone": "example" } },
            "spec": { "name": "moves", "ipv4Addresses": [address] },
        });
        self.cluster.apply(&record.to_string());
        let since = Instant::now();
        for (instance, server) in INSTANCES.iter().zip(self.addresses(&INSTANCES)) {
            let answer = || self.cluster.node().dig(&server.ip().to_string(), &["moves.example.com"]);
            while answer().as_deref() != Some(&*address) {
                assert!(since.elapsed() < SOON, "{instance} lacks change {number}: {:?}", answer());
                thread::sleep(Duration::from_millis(20));
            }
        }
        since.elapsed()
    }

    /// What was said of keys that were refused: to the operator and to servers. The maker of keys has to ask until pods have
    /// heard of a new one.
    fn refusals(&self) -> Vec<String> {
        let logs = self.cluster.node().logs().into_iter();
        let lines = logs.flat_map(|(name, log)| log.lines().map(|line| format!("{name}: {line}")).collect::<Vec<_>>());
        let addresses = self.answering();
        let is_theirs = |line: &str| {
            let is_of_client = line.contains("request has invalid signature");
            !is_of_client || addresses.iter().any(|address| line.contains(&format!(" {address}#")))
        };
        let is_refusal = |line: &str| ["BADKEY", "BADSIG", "there is no key"].iter().any(|word| line.contains(word));
        lines.filter(|line| is_refusal(line) && is_theirs(line)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clusters_transfer_key_is_replaced_while_its_zone_changes_and_the_former_is_refused_at_the_end() {
    let running = Running::with_example().await;
    let before = running.pods_of_servers();
    let load = Load::start(running.cluster.node(), &running.addresses(&INSTANCES), &[WWW]);
    let patch = json!({ "spec": { "transferKey": { "autoRotate": true, "rotateAfter": "30d" } } }).to_string();
    running.cluster.done(&["patch", "bind9cluster", "ns", "-n=dns-system", "--type=merge", "-p", &patch]);
    running.cluster.until("it is told when", || !running.transfer_note("rotate-at").is_empty());
    let mut known = vec![running.transfer_key()];
    assert_eq!(known[0].name, "dns-system.ns.1");
    let (mut changes, mut longest) = (0, Duration::ZERO);
    let rotations = 4;
    block_in_place(|| {
        for rotation in 1..=rotations {
            let refresh = match rotation {
                2 | 4 => Refresh::Within(Duration::from_secs(delay())),
                _ => Refresh::AtOnce,
            };
            running.cluster.node().refresh(refresh);
            match rotation {
                1 => drop(running.keys(&["rotate", "ns", "--transfer", "-n", "dns-system"])),
                _ => running.annotate_transfer(&[("created-at", "2020-01-01T00:00:00Z")]),
            }
            let mut go_on = |what: &str, is_so: &dyn Fn() -> bool| {
                let since = Instant::now();
                while !is_so() {
                    changes += 1;
                    longest = longest.max(running.change(changes));
                    assert!(
                        since.elapsed() < Duration::from_secs(120),
                        "{what}: {}",
                        running.transfer_note("rotation")
                    );
                }
            };
            go_on("it is staged", &|| !running.transfer_note("rotation-phase").is_empty());
            go_on("it is used", &|| running.transfer_note("rotation-count") == rotation.to_string());
            known.push(running.transfer_key());
            let all_use = |key: &Key| {
                INSTANCES.iter().all(|instance| {
                    running.field(&format!("bind9instance/{instance}"), ".status.transferKey") == key.name
                })
            };
            go_on("all use it", &|| all_use(&known[rotation]));
            for address in running.answering() {
                assert!(running.knows(&address, &known[rotation]) && running.knows(&address, &known[rotation - 1]));
            }
            running.annotate_transfer(&[("rotated-at", "2020-01-01T00:00:00Z")]);
            go_on("it is settled", &|| running.transfer_note("rotation-phase").is_empty());
            go_on("all have heard of that", &|| {
                running.answering().iter().all(|address| !running.knows(address, &known[rotation - 1]))
            });
        }
        let report = load.end();
        assert!(report.failures.is_empty(), "{report}");
    });
    eprintln!("{rotations} rotations, {changes} changes, the latest everywhere after {longest:?}");
    assert_eq!(running.pods_of_servers(), before, "no pod was replaced, and none restarted");
    let (newest, former) = known.split_last().expect("there are some");
    assert_eq!(newest.name, format!("dns-system.ns.{}", rotations + 1));
    for address in running.answering() {
        assert!(running.knows(&address, newest), "{address}");
        assert!(former.iter().all(|key| !running.knows(&address, key)), "{address} accepts a former key");
    }
    let refused = running.refusals();
    assert!(refused.is_empty(), "{refused:#?}");
    running.cluster.until("it is told", || running.transfer_due("reason") == "NotDue");
    assert_eq!(running.field(CLUSTER, ".status.transferKeyRotation.rotationCount"), rotations.to_string());
    let status = running.keys(&["status"]);
    let line = status.lines().find(|line| line.contains("transfer")).unwrap_or_default();
    assert!(line.contains("every 720 h") && line.contains(&format!(" {rotations} ")), "{status}");
    let events = || running.cluster.done(&["get", "events", "-n=dns-system", "--field-selector=reason=KeyRotated"]);
    running.cluster.until("it is told", || events().contains("The transfer key was replaced (rotation #4)"));
    let said: String = running.cluster.node().logs().into_iter().map(|(_, log)| log).collect();
    assert!(said.contains("Rotating transfer Secret dns-system/ns-transfer-key (rotation #4)"), "{said}");
    let everything =
        running.cluster.done(&["get", "events,dns,configmaps,deployments,pods", "-A", "-o", "yaml"]) + &said;
    for key in &known {
        assert!(!everything.contains(key.text.rsplit(':').next().expect("a secret")), "a key was told");
    }
}

/// No pod hears of the new key, but those that come later; the operator that leads and the maker of keys end meanwhile, and
/// then the Secret comes back from a backup.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lacks_the_new_transfer_key_is_named_and_restarts_and_a_backup_are_survived() {
    let running = Running::with_example().await;
    running.cluster.until("there is a key", || !running.transfer_note("created-at").is_empty());
    let backup = running.cluster.done(&["get", SECRET, "-n=dns-system", "-o=json"]);
    let first = running.transfer_key();
    running.cluster.node().refresh(Refresh::Within(Duration::from_secs(1_000_000)));
    running.annotate_transfer(&[("rotate", "please")]);
    running.cluster.until("another key is made", || running.transfer_note("rotation-phase") == "Staged");
    running.annotate_transfer(&[("staged-at", "2020-01-01T00:00:00Z")]);
    running.cluster.until("it is told", || running.transfer_due("reason") == "RotationWaiting");
    assert!(
        running.transfer_due("message").contains(&running.server(INSTANCES[0])),
        "{}",
        running.transfer_due("message")
    );
    assert_eq!(running.transfer_key(), first, "the former stays in use");
    // New pods have the new key, and the other one waits still.
    for instance in &INSTANCES[..2] {
        running.replace(instance);
    }
    running.until_all_is_ready();
    running.cluster.until("the last one is waited for", || {
        let message = running.transfer_due("message");
        message.contains(&running.server(INSTANCES[2])) && !message.contains(&running.server(INSTANCES[0]))
    });
    running.signal("bindy-system", &running.leader(), "bindy", KILL);
    running.signal("bindy-system", &running.keeper().0, "bindy-keys", KILL);
    running.cluster.node().refresh(Refresh::AtOnce);
    running.replace(INSTANCES[2]);
    running.cluster.until("it is used", || running.transfer_note("rotation-count") == "1");
    running.cluster.until("somebody leads", || !running.holder().is_empty());
    running.until_all_is_ready();
    running.until_transfer_key_is_settled();
    let second = running.transfer_key();
    running.cluster.until("the former is refused everywhere", || {
        running.answering().iter().all(|address| !running.knows(address, &first) && running.knows(address, &second))
    });
    block_in_place(|| running.change(1));

    // It goes on from what is in the Secret then.
    let mut backup: Value = serde_json::from_str(&backup).expect("JSON");
    for field in ["resourceVersion", "uid"] {
        backup["metadata"].as_object_mut().expect("an object").remove(field);
    }
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("secret.json");
    fs::write(&file, backup.to_string()).expect("the folder is ours");
    running.cluster.done(&["replace", "-n=dns-system", "-f", file.to_str().expect("a path in UTF-8")]);
    running.cluster.until("the first is taken everywhere", || {
        running.answering().iter().all(|address| running.knows(address, &first) && !running.knows(address, &second))
    });
    block_in_place(|| running.change(2));

    running.keys(&["rotate", "ns", "--transfer", "--revoke", "-n", "dns-system"]);
    running
        .cluster
        .until("it is accepted no more", || running.answering().iter().all(|address| !running.knows(address, &first)));
    running.cluster.until("that is over", || {
        running.transfer_note("rotation-count") == "1" && running.transfer_note("rotation-phase").is_empty()
    });
    let third = running.transfer_key();
    assert!(third.name == "dns-system.ns.2" && third != second, "{third:?}");
    block_in_place(|| running.change(3));
}
