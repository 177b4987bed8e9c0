//! Tests `deploy/` as people apply it: that a real API server takes it, and that those whom it lets in may do what they
//! have to, and nothing beyond.

use std::{fs, path::PathBuf};

use bindy::api::Kind;
use bindy_cluster::{Cluster, Extent, PodSecurity, deploy};
use serde_json::{Value, json};
use tempfile::TempDir;

const OPERATOR: &str = "system:serviceaccount:bindy-system:bindy";
const KEYS: &str = "system:serviceaccount:bindy-system:bindy-keys";

/// A cluster to which `deploy/` was applied. It has no nodes.
struct Deployed {
    cluster: Cluster,
    folder: TempDir,
}

impl Deployed {
    async fn start() -> Deployed {
        let deployed = Deployed {
            cluster: Cluster::start(Extent::Controlled).await,
            folder: TempDir::new().expect("a folder for temporary files"),
        };
        deployed.cluster.install();
        // A policy holds a little after it is there.
        let made = || deployed.create(OPERATOR, "bindy-system", &config_map("a", true));
        let holds = || made().is_err_and(|said| said.contains("denied request"));
        deployed.cluster.until("policies hold", holds);
        deployed
    }

    /// Whether a user may create an object in a namespace, as the API server says without storing it.
    fn create(&self, user: &str, namespace: &str, object: &Value) -> Result<String, String> {
        let file = self.file(object);
        let file = file.to_str().expect("a path in UTF-8");
        self.cluster.kubectl(&["create", "--dry-run=server", "--as", user, "-n", namespace, "-f", file])
    }

    /// As [`Self::create`], for applying.
    fn apply(&self, user: &str, namespace: &str, object: &Value) -> Result<String, String> {
        let file = self.file(object);
        let file = file.to_str().expect("a path in UTF-8");
        let how = ["apply", "--server-side", "--force-conflicts", "--dry-run=server"];
        self.cluster.kubectl(&[&how[..], &["--as", user, "-n", namespace, "-f", file]].concat())
    }

    /// Creates an object, as the administrator.
    fn store(&self, namespace: &str, object: &Value) {
        let file = self.file(object);
        self.cluster.done(&["create", "-n", namespace, "-f", file.to_str().expect("a path in UTF-8")]);
    }

    fn file(&self, object: &Value) -> PathBuf {
        let file = self.folder.path().join("object.json");
        fs::write(&file, object.to_string()).expect("the folder is ours");
        file
    }

    /// Whether a user may do something with a resource, `TYPE`, `TYPE/NAME` or `TYPE:SUBRESOURCE`.
    fn may(&self, user: &str, verb: &str, resource: &str, namespace: &str) -> bool {
        let (resource, subresource) = resource.split_once(':').unwrap_or((resource, ""));
        let subresource = format!("--subresource={subresource}");
        self.cluster.kubectl(&["auth", "can-i", verb, resource, &subresource, "--as", user, "-n", namespace]).is_ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_applied_and_lets_everybody_do_their_work_and_no_more() {
    let deployed = Deployed::start().await;
    what_is_applied_twice_changes_nothing(&deployed);
    neither_identity_can_become_another(&deployed);
    the_operator_makes_servers_and_nothing_else(&deployed);
    the_maker_of_keys_makes_keys_and_nothing_else(&deployed);
    people_edit_what_is_theirs(&deployed).await;
    removing_it_removes_no_zone(&deployed);
}

fn what_is_applied_twice_changes_nothing(deployed: &Deployed) {
    // The generation counts changes of what is wanted.
    let columns = "--output=custom-columns=KIND:.kind,NAME:.metadata.name,GENERATION:.metadata.generation";
    let parts = ["crds", ".", "dns-system"];
    let generations = || parts.map(|part| deployed.cluster.done(&["get", "-k", &deploy(part), columns]));
    let before = generations();
    assert!(before.iter().zip([10, 10, 3]).all(|(lines, least)| lines.lines().count() > least), "{before:?}");
    for part in parts {
        deployed.cluster.done(&["apply", "-k", &deploy(part)]);
    }
    assert_eq!(generations(), before);
}

/// The script says so, and says otherwise if it is not so.
fn neither_identity_can_become_another(deployed: &Deployed) {
    let verify = || {
        let output = deployed.cluster.command(deploy("rbac/verify-rbac.sh")).output().expect("it is a program");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    deployed.cluster.until("the roles grant no more", || verify().0);
    for (role, identity, complaint) in [
        ("edit", "bindy", "may delete"),
        ("bindy-makes-keys", "bindy", "may write Secrets"),
        ("cluster-admin", "bindy-keys", "may do everything"),
        ("bindy", "bindy-keys", "may write what clients have written"),
    ] {
        let subject = format!("--serviceaccount=bindy-system:{identity}");
        deployed.cluster.done(&["create", "rolebinding", "too-much", "-n", "default", "--clusterrole", role, &subject]);
        // An API server hears of bindings a little later.
        deployed.cluster.until(&format!("{role} is too much"), || {
            let (holds, said) = verify();
            !holds && said.contains(complaint) && said.contains("in default")
        });
        deployed.cluster.done(&["delete", "rolebinding", "too-much", "-n", "default"]);
        deployed.cluster.until("the roles grant no more", || verify().0);
    }
}

fn the_operator_makes_servers_and_nothing_else(deployed: &Deployed) {
    let server = deployment(json!({}), json!({}));
    let made = deployed.create(OPERATOR, "dns-system", &server);
    assert!(made.is_ok(), "{made:?}");
    let secret = json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "database", "key": "a" } } });
    let pods: [(&str, Value, Value); 13] = [
        ("no identity", json!({ "serviceAccountName": "bindy-keys" }), json!({})),
        ("no identity", json!({ "automountServiceAccountToken": true }), json!({})),
        ("volumes of", volume(json!({ "hostPath": { "path": "/" } })), json!({})),
        (
            "volumes of",
            volume(json!({ "projected": { "sources": [{ "serviceAccountToken": { "path": "token" } }] } })),
            json!({}),
        ),
        ("see Secrets", volume(json!({ "secret": { "secretName": "database" } })), json!({})),
        (
            "see Secrets",
            volume(json!({ "projected": { "sources": [{ "secret": { "name": "database" } }] } })),
            json!({}),
        ),
        ("in their environment", json!({}), json!({ "envFrom": [{ "secretRef": { "name": "database" } }] })),
        ("in their environment", json!({}), json!({ "env": [secret] })),
        ("machine's namespaces", json!({ "hostNetwork": true }), json!({})),
        ("machine's namespaces", json!({ "hostPID": true }), json!({})),
        ("machine's namespaces", json!({ "hostIPC": true }), json!({})),
        ("port of the machine", json!({}), json!({ "ports": [{ "containerPort": 53, "hostPort": 53 }] })),
        (
            "no capabilities",
            json!({}),
            json!({ "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": [] },
            } }),
        ),
    ];
    for (why, pod, container) in pods {
        let refused = deployed.create(OPERATOR, "dns-system", &deployment(pod.clone(), container.clone()));
        assert!(refused.as_ref().is_err_and(|said| said.contains(why)), "{pod} {container}: {refused:?}");
    }
    for namespace in ["bindy-system", "kube-system"] {
        let refused = deployed.create(OPERATOR, namespace, &server);
        assert!(refused.is_err_and(|said| said.contains("apart from the operator")), "{namespace}");
    }
    let service = |spec: Value| {
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "ns", "labels": labels() },
            "spec": { "selector": labels(), "ports": [{ "port": 53, "protocol": "UDP" }] },
        });
        merge(&mut service["spec"], spec);
        service
    };
    assert!(deployed.create(OPERATOR, "dns-system", &service(json!({ "type": "LoadBalancer" }))).is_ok());
    let refused = deployed.create(OPERATOR, "dns-system", &service(json!({ "externalIPs": ["192.0.2.1"] })));
    assert!(refused.is_err_and(|said| said.contains("meant for others")));
    let refused = service(json!({ "type": "ExternalName", "externalName": "example.com" }));
    assert!(deployed.create(OPERATOR, "dns-system", &refused).is_err_and(|said| said.contains("select Pods")));
    // What is not Bindy's stays so.
    deployed.store("default", &config_map("other", false));
    for ours in [false, true] {
        let refused = deployed.apply(OPERATOR, "default", &config_map("other", ours));
        assert!(refused.as_ref().is_err_and(|said| said.contains("only objects with the label")), "{refused:?}");
    }
    let made = deployed.apply(OPERATOR, "default", &config_map("server", true));
    assert!(made.is_ok(), "{made:?}");
    for (verb, resource, namespace) in [
        ("create", "pods", "dns-system"),
        ("create", "serviceaccounts:token", "bindy-system"),
        ("create", "secrets", "dns-system"),
        ("get", "secrets", "default"),
        ("delete", "deployments", "dns-system"),
        ("create", "endpointslices", "dns-system"),
        ("update", "leases", "kube-system"),
    ] {
        assert!(!deployed.may(OPERATOR, verb, resource, namespace), "{verb} {resource} in {namespace}");
    }
    for (verb, resource, namespace) in [
        ("get", "secrets", "dns-system"),
        ("patch", "endpointslices", "bindy-system"),
        ("create", "leases", "bindy-system"),
        ("update", "leases/bindy-leader", "bindy-system"),
    ] {
        assert!(deployed.may(OPERATOR, verb, resource, namespace), "{verb} {resource} in {namespace}");
    }
    for kind in Kind::all() {
        let (resource, status) = (kind.plural(), format!("{}:status", kind.plural()));
        assert!(deployed.may(OPERATOR, "watch", &resource, "default"), "{resource}");
        assert!(deployed.may(OPERATOR, "patch", &status, "default"), "{status}");
    }
}

fn the_maker_of_keys_makes_keys_and_nothing_else(deployed: &Deployed) {
    let secret = |of: &str, ours: bool| {
        let mut secret = config_map("ns-rndc-key", ours);
        secret["kind"] = json!("Secret");
        secret["type"] = json!(of);
        secret["metadata"]["annotations"] = json!({ "kubernetes.io/service-account.name": "default" });
        secret
    };
    let made = deployed.create(KEYS, "dns-system", &secret("Opaque", true));
    assert!(made.is_ok(), "{made:?}");
    let refused = deployed.create(KEYS, "dns-system", &secret("kubernetes.io/service-account-token", true));
    assert!(refused.is_err_and(|said| said.contains("type Opaque")));
    deployed.store("dns-system", &secret("Opaque", false));
    let refused = deployed.apply(KEYS, "dns-system", &secret("Opaque", true));
    assert!(refused.is_err_and(|said| said.contains("only Secrets with the label")));
    assert!(deployed.create(KEYS, "default", &secret("Opaque", true)).is_err_and(|said| said.contains("forbidden")));
    for (verb, resource) in
        [("create", "deployments.apps"), ("get", "configmaps"), ("delete", "secrets"), ("patch", "pods")]
    {
        assert!(!deployed.may(KEYS, verb, resource, "dns-system"), "{verb} {resource}");
    }
    assert!(deployed.may(KEYS, "watch", "pods", "dns-system") && !deployed.may(KEYS, "watch", "pods", "default"));
}

/// Two users, each with one of the roles that every cluster has, in a namespace of their own.
async fn people_edit_what_is_theirs(deployed: &Deployed) {
    let (one, other) = (
        deployed.cluster.namespace(PodSecurity::Restricted).await,
        deployed.cluster.namespace(PodSecurity::Restricted).await,
    );
    for (namespace, role, user) in [(&one, "edit", "jane"), (&other, "admin", "joe"), (&one, "view", "joe")] {
        let name = format!("{user}-{role}");
        deployed.cluster.done(&[
            "create",
            "rolebinding",
            &name,
            "-n",
            namespace,
            "--clusterrole",
            role,
            "--user",
            user,
        ]);
    }
    // The cluster's own roles take ours up in their own time.
    deployed.cluster.until("roles are aggregated", || deployed.may("joe", "create", "dnszones", &other));
    deployed.cluster.until("roles are aggregated", || deployed.may("jane", "create", "arecords", &one));
    deployed.cluster.until("roles are aggregated", || deployed.may("joe", "get", "arecords", &one));
    let record = json!({
        "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "ARecord", "metadata": { "name": "www" },
        "spec": { "name": "www", "ipv4Addresses": ["192.0.2.1"] },
    });
    assert!(deployed.create("jane", &one, &record).is_ok());
    assert!(deployed.create("jane", &other, &record).is_err_and(|said| said.contains("forbidden")));
    assert!(deployed.create("joe", &one, &record).is_err_and(|said| said.contains("forbidden")));
    assert!(deployed.create("joe", &other, &record).is_ok());
    for (user, verb, resource, namespace, may) in [
        ("jane", "get", "dnszones", &one, true),
        ("jane", "create", "dnszones", &one, false),
        ("joe", "create", "dnszones", &other, true),
        ("joe", "get", "arecords", &one, true),
        ("joe", "create", "bind9instances", &other, false),
        ("joe", "patch", "arecords:status", &other, false),
        ("joe", "patch", "dnszones:status", &other, false),
    ] {
        assert_eq!(deployed.may(user, verb, resource, namespace), may, "{user}: {verb} {resource}");
    }
    for kind in Kind::all().filter(|kind| kind.is_namespaced()) {
        assert!(deployed.may("joe", "list", &kind.plural(), &one), "{}", kind.plural());
    }
}

fn removing_it_removes_no_zone(deployed: &Deployed) {
    let zone = json!({
        "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "DNSZone", "metadata": { "name": "example-com" },
        "spec": { "zoneName": "example.com", "soaRecord": { "primaryNs": "ns1.example.net.", "adminEmail": "a" } },
    });
    deployed.store("dns-system", &zone);
    deployed.cluster.done(&["delete", "-k", &deploy("."), "--wait=false"]);
    assert!(deployed.cluster.done(&["get", "zones", "-n", "dns-system"]).contains("example.com"));
    let phase = ["get", "namespace", "dns-system", "-o=jsonpath={.status.phase}"];
    assert_eq!(deployed.cluster.done(&phase), "Active", "it would take its zones with it");
}

fn labels() -> Value {
    json!({ "app.kubernetes.io/part-of": "bindy" })
}

fn config_map(name: &str, ours: bool) -> Value {
    let labels = if ours { labels() } else { json!({}) };
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": labels } })
}

/// A server, changed in its Pod's specification and in its container.
fn deployment(pod: Value, container: Value) -> Value {
    let mut wanted_container = json!({
        "name": "bind9", "image": "bindy",
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        },
    });
    merge(&mut wanted_container, container);
    let mut wanted_pod = json!({
        "automountServiceAccountToken": false,
        "containers": [wanted_container],
        "volumes": [
            { "name": "zones", "emptyDir": {} },
            { "name": "config", "projected": { "sources": [
                { "configMap": { "name": "ns-config" } }, { "secret": { "name": "ns-rndc-key" } },
                { "secret": { "name": "cluster-transfer-key" } },
            ] } },
        ],
    });
    merge(&mut wanted_pod, pod);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "ns", "labels": labels() },
        "spec": {
            "selector": { "matchLabels": labels() },
            "template": { "metadata": { "labels": labels() }, "spec": wanted_pod },
        },
    })
}

fn volume(mut source: Value) -> Value {
    source["name"] = json!("more");
    json!({ "volumes": [source] })
}

/// Replaces fields.
fn merge(object: &mut Value, fields: Value) {
    if let (Value::Object(object), Value::Object(fields)) = (object, fields) {
        object.extend(fields);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_operator_writes_what_clients_have_written() {
    let deployed = Deployed::start().await;
    let namespace = deployed.cluster.namespace(PodSecurity::Restricted).await;
    let part = json!({
        "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "DynamicRecords", "metadata": { "name": "a" },
        "spec": { "zoneName": "example.com", "part": "log-00", "records": 0 },
    });
    let create = |who: &[&str]| {
        let file = deployed.file(&part);
        let file = file.to_str().expect("a path in UTF-8");
        deployed.cluster.kubectl(&[who, &["create", "--dry-run=server", "-n", &namespace, "-f", file]].concat())
    };
    let refused = |said: Result<String, String>| {
        said.as_ref().is_err_and(|why| why.contains("only the operator changes what clients have written"))
    };
    deployed.cluster.until("the policy holds", || refused(create(&[])));
    create(&["--as", OPERATOR]).expect("the operator");
    let administrator = ["--as=somebody", "--as-group=system:masters"];
    assert!(refused(create(&administrator)));
    let emergency = ["--as=somebody", "--as-group=bindy-break-glass"];
    create(&emergency).expect("in an emergency");
    create(&[&administrator[..], &emergency[1..]].concat()).expect("by an administrator in an emergency");
    assert!(create(&["--as", KEYS]).is_err());
    assert!(!deployed.may(KEYS, "list", "dynamicrecords.bindy.firestoned.io", &namespace));

    // It goes with its namespace, and not before.
    let file = deployed.file(&part);
    let file = file.to_str().expect("a path in UTF-8");
    deployed.cluster.done(&[&emergency[..], &["create", "-n", &namespace, "-f", file]].concat());
    assert!(refused(deployed.cluster.kubectl(&["delete", "dynamicrecords", "a", "-n", &namespace])));
    let gone = deployed.cluster.kubectl(&["delete", "namespace", &namespace, "--timeout=60s"]);
    gone.expect("the namespace can be deleted");
}
