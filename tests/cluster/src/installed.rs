//! Bindy in a cluster: `deploy/` as people apply it, something for it to serve, and waiting for what comes of it.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::Cluster;

/// Servers `ns-primary-0`, `ns-primary-1` and `ns-secondary-0` in `dns-system`, which answer for the zone `example.com`:
/// `www` has the address 192.0.2.10, and `hello` a text.
pub const EXAMPLE: &str = include_str!("../example.yaml");

/// Nothing takes this long unless it fails, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// The path of a part of `deploy/`; that of all of it is `.`.
pub fn deploy(part: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(part).canonicalize();
    path.expect("it is in the repository").display().to_string()
}

impl Cluster {
    /// Installs Bindy from `deploy/`, and waits until its resources may be declared.
    pub fn install(&self) {
        self.done(&["apply", "-k", &deploy("crds")]);
        self.done(&["wait", "--for=condition=Established", "--timeout=120s", "crds", "--all"]);
        for part in [".", "dns-system"] {
            self.done(&["apply", "-k", &deploy(part)]);
        }
    }

    /// What `kubectl` says of something that it does.
    ///
    /// # Panics
    /// It fails; the message has what it says then.
    pub fn done(&self, arguments: &[&str]) -> String {
        self.kubectl(arguments).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    /// Applies manifests, in YAML.
    ///
    /// # Errors
    /// One of them is refused; this is what `kubectl` says of all.
    pub fn try_apply(&self, manifests: &str) -> Result<String, String> {
        self.kubectl_with(&["apply", "-f", "-"], manifests)
    }

    /// As [`Self::try_apply`].
    ///
    /// # Panics
    /// One of them is refused.
    pub fn apply(&self, manifests: &str) {
        // How soon a kind can be found after it is established, nobody promises.
        self.until("the kinds are found", || match self.try_apply(manifests) {
            Ok(_) => true,
            Err(error) if error.contains("no matches for kind") => false,
            Err(error) => panic!("{error}\n{manifests}"),
        });
    }

    /// A field of an object in a namespace, by its JSONPath; empty if there is none, or no such object.
    pub fn field(&self, namespace: &str, object: &str, path: &str) -> String {
        self.kubectl(&["get", object, "-n", namespace, &format!("-o=jsonpath={{{path}}}")]).unwrap_or_default()
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// It is not so for minutes; the message has what there is to see for whoever looks for a fault.
    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "waited in vain: {what}\n{}", self.told());
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// What there is, and what Pods have written.
    fn told(&self) -> String {
        // The API server may have been stopped.
        let all = ["get", "pods,deployments,dns,events", "-A", "-o", "wide", "--request-timeout=10s"];
        let mut told = self.kubectl(&all).unwrap_or_else(|error| error);
        let logs = self
            .node
            .iter()
            .flat_map(|node| node.logs().into_iter().chain([("kubelet".to_owned(), node.kubelet_log())]));
        told.extend(logs.map(|(name, log)| format!("\n{name}:\n{log}")));
        told
    }
}
