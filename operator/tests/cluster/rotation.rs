//! RNDC keys are replaced while clients of all kinds go on: real rndc and queries on servers that run.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bindy_cluster::Refresh;
use data_encoding::BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::{
    load::Load,
    running::{INSTANCES, Running},
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

    /// Whether a server takes the key in a file.
    fn takes(&self, address: &str, key: &Keys) -> bool {
        let file = key.file.to_str().expect("a path in UTF-8");
        let ran = self.cluster.node().run(&["rndc", "-s", address, "-p", "9530", "-k", file, "status"]);
        ran.code == Some(0)
    }

    /// Lets an hour have passed since the key was replaced last, and the time come to replace it again.
    fn make_old(&self, instance: &str) {
        self.annotate(
            instance,
            &[("rndc-rotated-at", "2020-01-01T00:00:00Z"), ("rndc-created-at", "2020-01-01T00:00:00Z")],
        );
    }
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
        running.make_old(instance);
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
    let said: String = running.cluster.node().logs().into_iter().map(|(_, log)| log).collect();
    assert!(said.contains(&format!("Rotating RNDC Secret dns-system/{instance}-rndc-key (rotation #3)")), "{said}");
    let everything =
        running.cluster.done(&["get", "events,dns,configmaps,deployments,pods", "-A", "-o", "yaml"]) + &said;
    for key in &known {
        assert!(!everything.contains(key.secret()), "a key was told");
    }
}
