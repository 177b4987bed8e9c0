//! RNDC keys are replaced while clients of all kinds go on: real rndc and queries on servers that run. `often` does so many
//! times, and looks for what is left of former keys; `hindered` has something stand in the way, and `restart` has servers
//! that read keys only at their start. `transfer` replaces the keys of transfers.

mod hindered;
mod often;
mod restart;
mod transfer;

use std::{env, net::Ipv4Addr, path::PathBuf, time::Duration};

use bindy_cluster::Refresh;
use data_encoding::BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::{
    load::Load,
    running::{INSTANCES, KILL, Running},
};

const WWW: (&str, Ipv4Addr) = ("www.example.com", Ipv4Addr::new(192, 0, 2, 10));

/// The group of the annotations, as JSONPath has it.
const GROUP: &str = "bindy\\.firestoned\\.io";

impl Running {
    /// Has the keys of the example's primaries replaced regularly.
    fn rotate(&self, key: &Value) {
        let patch = json!({ "spec": { "primary": { "rndcKey": key } } }).to_string();
        self.cluster.done(&["patch", "bind9cluster", "ns", "-n", "dns-system", "--type=merge", "-p", &patch]);
    }

    /// An annotation of a server's Secret, by its name in our group; empty if it is not there.
    fn note(&self, instance: &str, name: &str) -> String {
        self.field(&format!("secret/{instance}-rndc-key"), &format!(".metadata.annotations.{GROUP}/{name}"))
    }

    /// Writes annotations of a server's Secret, as people do.
    fn annotate(&self, instance: &str, notes: &[(&str, &str)]) {
        let notes: Vec<String> =
            notes.iter().map(|(name, text)| format!("bindy.firestoned.io/{name}={text}")).collect();
        let secret = format!("{instance}-rndc-key");
        let mut arguments = vec!["annotate", "secret", &secret, "-n", "dns-system", "--overwrite"];
        arguments.extend(notes.iter().map(String::as_str));
        self.cluster.done(&arguments);
    }

    /// A field of the data of a server's Secret.
    fn of_secret(&self, instance: &str, field: &str) -> String {
        let text = self.field(&format!("secret/{instance}-rndc-key"), &format!(".data.{}", field.replace('.', "\\.")));
        String::from_utf8(BASE64.decode(text.as_bytes()).expect("it is base64")).expect("it is UTF-8")
    }

    /// The addresses of the pods of a server.
    fn pods_of(&self, instance: &str) -> Vec<String> {
        let path = "-o=jsonpath={.items[*].status.podIP}";
        let pods = self.cluster.done(&["get", "pods", "-n", "dns-system", "-l", &format!("instance={instance}"), path]);
        pods.split_whitespace().map(str::to_owned).collect()
    }

    /// The address of the newest pod of a server; empty if it has none yet.
    fn newest_address(&self, instance: &str) -> String {
        self.field(&format!("pod/{}", self.server(instance)), ".status.podIP")
    }

    /// Whether a server takes the key in a file.
    fn takes(&self, address: &str, key: &Keys) -> bool {
        let file = key.file.to_str().expect("a path in UTF-8");
        let ran = self.cluster.node().run(&["rndc", "-s", address, "-p", "9530", "-k", file, "status"]);
        ran.code == Some(0)
    }

    /// What `bindy keys` says.
    fn keys(&self, arguments: &[&str]) -> String {
        let ran = self.cluster.command(env!("CARGO_BIN_EXE_bindy")).arg("keys").args(arguments).output();
        let ran = ran.expect("it is a program");
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("it is UTF-8")
    }

    /// Has a new key made of which pods are to hear, and lets so much time pass that they are waited for.
    fn stage_and_wait(&self, instance: &str) {
        self.annotate(instance, &[("rndc-rotate", "please")]);
        self.cluster.until("another key is made", || self.note(instance, "rndc-rotation-phase") == "Staged");
        self.annotate(instance, &[("rndc-staged-at", "2020-01-01T00:00:00Z")]);
    }

    /// Lets an hour have passed since the key was replaced last, and the time come to replace it again.
    fn make_old(&self, instance: &str) {
        self.annotate(
            instance,
            &[("rndc-rotated-at", "2020-01-01T00:00:00Z"), ("rndc-created-at", "2020-01-01T00:00:00Z")],
        );
    }
}

/// How long changes of Secrets take at most to reach a pod, in seconds. With kubelets that people run it is about 90 s:
/// `BINDY_REFRESH` says so.
fn delay() -> u64 {
    env::var("BINDY_REFRESH").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// A file with the key that a server's Secret had.
struct Keys {
    file: PathBuf,
    text: String,
    _folder: TempDir,
}

impl Keys {
    fn of(running: &Running, instance: &str) -> Keys {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let (file, text) = (folder.path().join("rndc.key"), running.of_secret(instance, "rndc.key"));
        std::fs::write(&file, &text).expect("the folder is ours");
        Keys { file, text, _folder: folder }
    }

    /// The secret, in base64.
    fn secret(&self) -> &str {
        self.text.split('"').nth(3).expect("a statement with a secret")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_while_rndc_and_queries_go_on() {
    let running = Running::with_example().await;
    let instance = INSTANCES[0];
    let before = running.pods_of_servers();
    let addresses = running.addresses(&INSTANCES);
    let load = Load::start(running.cluster.node(), &addresses, &[WWW]);
    running.rotate(&json!({ "autoRotate": true, "rotateAfter": "30d" }));
    running.cluster.until("it is told when", || !running.note(instance, "rndc-rotate-at").is_empty());
    let pod = running.pods_of(instance).remove(0);
    let mut known = vec![Keys::of(&running, instance)];
    for rotation in 1..=3 {
        match rotation {
            1 => drop(running.keys(&["rotate", instance, "-n", "dns-system"])),
            2 => running.make_old(instance),
            _ => {
                running.cluster.node().refresh(Refresh::Within(Duration::from_secs(delay())));
                running.make_old(instance);
            }
        }
        running.cluster.until("the key is replaced", || {
            // Whoever reads the Secret now can use what is in it, and who has read it before, too.
            let newest = Keys::of(&running, instance);
            assert!(running.takes(&pod, &newest), "what is in the Secret is taken");
            assert!(running.takes(&pod, known.last().expect("there is one")), "the former is taken");
            running.note(instance, "rndc-rotation-count") == rotation.to_string()
        });
        let newest = Keys::of(&running, instance);
        assert_ne!(newest.secret(), known.last().expect("there is one").secret());
        known.push(newest);
    }
    let former = known.len() - 2;
    assert!(running.takes(&pod, &known[former]), "it is accepted for a while");
    assert!(!running.takes(&pod, &known[former - 1]), "it is not any more");
    running.annotate(instance, &[("rndc-rotated-at", "2020-01-01T00:00:00Z")]);
    running.cluster.until("the former key is accepted no more", || !running.takes(&pod, &known[former]));
    assert!(running.takes(&pod, &known[former + 1]));

    let report = block_in_place(|| load.end());
    assert!(report.failures.is_empty(), "{report}");
    assert_eq!(running.pods_of_servers(), before, "no pod was replaced, and none restarted");
    assert_eq!(running.field(&format!("bind9instance/{instance}"), ".status.rndcKeyRotation.rotationCount"), "3");
    let reason = ".status.conditions[?(@.type=='RotationDue')].reason";
    running.cluster.until("it is told", || {
        running.field(&format!("bind9instance/{instance}"), reason) == "NotDue"
            && running.field("bind9instance/ns-secondary-0", reason) == "Disabled"
    });
    let status = running.keys(&["status"]);
    let line = |server: &str| status.lines().find(|line| line.contains(server)).unwrap_or_default().to_owned();
    let rotates = line(instance);
    assert!(rotates.contains("every 720 h") && rotates.contains(" 3 ") && rotates.contains("NotDue"), "{status}");
    assert!(line("ns-secondary-0").contains("on request"), "{status}");
    let report: Value = serde_json::from_str(&running.keys(&["report", "-n=dns-system", "-o=json"])).expect("JSON");
    let keys = report["keys"].as_array().expect("a list");
    // The last one is that of transfers.
    assert!(keys.len() == INSTANCES.len() + 1 && keys[0]["rotationCount"] == 3 && keys[0]["rotateAfterHours"] == 720);
    assert_eq!(running.keys(&["report", "-o=csv"]).lines().count(), 1 + INSTANCES.len() + 1);
    assert_eq!(keys[0]["algorithm"], "hmac-sha256");
    let rotated = || running.cluster.done(&["get", "events", "-n=dns-system", "--field-selector=reason=KeyRotated"]);
    running.cluster.until("it is told", || rotated().contains("rotation #3"));
    let said: String = running.cluster.node().logs().into_iter().map(|(_, log)| log).collect();
    assert!(said.contains(&format!("Rotating RNDC Secret dns-system/{instance}-rndc-key (rotation #3)")), "{said}");
    let everything =
        running.cluster.done(&["get", "events,dns,configmaps,deployments,pods", "-A", "-o", "yaml"]) + &said;
    for key in &known {
        assert!(!everything.contains(key.secret()), "a key was told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_does_not_take_a_new_key_is_named_and_the_former_stays_in_use() {
    let running = Running::with_example().await;
    let instance = INSTANCES[0];
    running.cluster.until("there is a key", || !running.note(instance, "rndc-created-at").is_empty());
    let (pod, address) = (running.server(instance), running.pods_of(instance).remove(0));
    let former = Keys::of(&running, instance);
    // No change of a Secret reaches a pod within this test, but those that a new pod begins with.
    running.cluster.node().refresh(Refresh::Within(Duration::from_secs(1_000_000)));
    running.stage_and_wait(instance);
    let server = format!("bind9instance/{instance}");
    let due = |field: &str| running.field(&server, &format!(".status.conditions[?(@.type=='RotationDue')].{field}"));
    running.cluster.until("it is told", || due("reason") == "RotationWaiting");
    assert!(due("message").contains(&pod) && due("status") == "True", "{}", due("message"));
    let events =
        || running.cluster.done(&["get", "events", "-n=dns-system", "--field-selector=reason=RotationWaiting"]);
    running.cluster.until("it is told", || events().contains(&pod));
    assert_eq!(Keys::of(&running, instance).text, former.text, "the former stays in use");
    assert!(running.takes(&address, &former) && running.is_ready(&server));
    assert_eq!(running.note(instance, "rndc-rotation-count"), "0");

    running.replace(instance);
    running.cluster.until("the key is replaced", || running.note(instance, "rndc-rotation-count") == "1");
    let address = running.newest_address(instance);
    assert!(running.takes(&address, &Keys::of(&running, instance)) && running.takes(&address, &former));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_once_however_often_its_replacer_ends_and_a_revoked_one_is_gone_at_once() {
    let running = Running::with_example().await;
    let instance = INSTANCES[0];
    running.rotate(&json!({ "autoRotate": true, "rotateAfter": "1h" }));
    running.cluster.until("it is told when", || !running.note(instance, "rndc-rotate-at").is_empty());
    running.cluster.node().refresh(Refresh::Within(Duration::from_secs(6)));
    let keeper = [
        "get",
        "pods",
        "-n=bindy-system",
        "-l=app.kubernetes.io/name=bindy-keys",
        "-o=jsonpath={.items[*].metadata.name}",
    ];
    let keeper = running.cluster.done(&keeper);
    let path = ".status.containerStatuses[0].restartCount";
    let restarts = || running.cluster.field("bindy-system", &format!("pod/{keeper}"), path);
    running.make_old(instance);
    for _ in 0..8 {
        let before = restarts();
        // It may be about to start again.
        let _ = running.cluster.node().signal("bindy-system", &keeper, "bindy-keys", KILL);
        running.cluster.until("it was started again", || restarts() != before);
    }
    running.cluster.until("the key is replaced", || running.note(instance, "rndc-rotation-phase") == "Active");
    assert_eq!(running.note(instance, "rndc-rotation-count"), "1");
    running.annotate(instance, &[("rndc-created-at", "2020-01-01T00:00:00Z"), ("rndc-rotate", "again")]);
    let address = running.pods_of(instance).remove(0);
    let former = Keys::of(&running, instance);
    assert!(running.takes(&address, &former));

    running.cluster.node().refresh(Refresh::AtOnce);
    running.annotate(instance, &[("rndc-revoke", "leaked")]);
    running.cluster.until("it is accepted no more", || !running.takes(&address, &former));
    running.cluster.until("that is noted", || running.note(instance, "rndc-rotation-phase").is_empty());
    assert!(running.takes(&address, &Keys::of(&running, instance)));
    assert_eq!(running.note(instance, "rndc-rotation-count"), "2");
    assert_eq!((running.note(instance, "rndc-rotate"), running.note(instance, "rndc-revoke")), Default::default());
    assert!(
        running.note(instance, "rndc-rotation").starts_with("NotDue"),
        "{}",
        running.note(instance, "rndc-rotation")
    );
    running.annotate(instance, &[("rndc-rotate", "again")]);
    running.cluster.until("once an hour", || running.note(instance, "rndc-rotation").starts_with("RateLimited"));
}
