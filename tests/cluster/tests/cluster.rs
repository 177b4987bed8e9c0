//! What tests rely on in a cluster of theirs.

use std::{
    env,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bindy_cluster::{Cluster, Extent, PodSecurity};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Node, Pod, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Config, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_do_what_roles_grant_and_nothing_else() {
    let cluster = Cluster::shared(Extent::Controlled).await;
    let namespace = cluster.namespace(PodSecurity::Privileged).await;
    let seen_by = |user: &str| Api::<ConfigMap>::namespaced(cluster.client_as(user, &["tenants"]), &namespace);
    let refused = seen_by("ann").list(&ListParams::default()).await.expect_err("no role grants it");
    assert_eq!(code(&refused), 403, "{refused}");

    let rule = json!({ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"] });
    let role = json!({ "metadata": { "name": "reader" }, "rules": [rule] });
    let to_ann = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann" });
    let of_reader = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" });
    let binding = json!({ "metadata": { "name": "ann" }, "subjects": [to_ann], "roleRef": of_reader });
    create::<Role>(&Api::namespaced(cluster.client(), &namespace), role).await.expect("the administrator may");
    create::<RoleBinding>(&Api::namespaced(cluster.client(), &namespace), binding)
        .await
        .expect("the administrator may");

    until("ann may list", || async { seen_by("ann").list(&ListParams::default()).await.is_ok() }).await;
    let refused = seen_by("bob").list(&ListParams::default()).await.expect_err("the role is ann's");
    assert_eq!(code(&refused), 403, "{refused}");
    let anything = json!({ "metadata": { "name": "a" } });
    let refused = create(&seen_by("ann"), anything).await.expect_err("she may list only");
    assert_eq!(code(&refused), 403, "{refused}");
    cluster.remove(&namespace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_restricted_refuses_other_pods() {
    let cluster = Cluster::shared(Extent::Controlled).await;
    let client = cluster.client();
    let namespace = cluster.namespace(PodSecurity::Restricted).await;
    // No Pod is admitted before its ServiceAccount is there, which a controller makes.
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), &namespace);
    until("a ServiceAccount", || async { accounts.get("default").await.is_ok() }).await;
    let pods = Api::<Pod>::namespaced(client, &namespace);
    let pod = |name: &str, security: Value| {
        let container = json!({ "name": "main", "image": "none", "securityContext": security });
        json!({ "metadata": { "name": name }, "spec": { "containers": [container] } })
    };
    let refused = create(&pods, pod("bad", json!({ "privileged": true }))).await.expect_err("it is privileged");
    assert_eq!(code(&refused), 403);
    assert!(refused.to_string().contains("violates PodSecurity \"restricted:latest\""), "{refused}");
    let restricted = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" }
    });
    create(&pods, pod("good", restricted)).await.expect("it is as restricted as can be");
    cluster.remove(&namespace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_becomes_pods_which_are_bound_to_nodes() {
    let cluster = Cluster::shared(Extent::Controlled).await;
    let client = cluster.client();
    let namespace = cluster.namespace(PodSecurity::Baseline).await;
    let nodes = Api::<Node>::all(client.clone());
    let of_tests = ListParams::default().labels("bindy.test/node");
    create(&nodes, json!({ "metadata": { "generateName": "node-", "labels": { "bindy.test/node": "" } } }))
        .await
        .expect("the administrator may");
    let node = nodes.list(&of_tests).await.expect("the administrator may").items.remove(0).name_any();
    let capacity = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
    let ready = json!({ "type": "Ready", "status": "True", "reason": "Test", "message": "it is a test's" });
    let status = json!({ "status": { "capacity": capacity, "allocatable": capacity, "conditions": [ready] } });
    nodes.patch_status(&node, &PatchParams::default(), &Patch::Merge(status)).await.expect("the administrator may");
    // Nodes start with a taint, which a controller that is not there takes away.
    let untainted = json!({ "spec": { "taints": null } });
    nodes.patch(&node, &PatchParams::default(), &Patch::Merge(untainted)).await.expect("the administrator may");

    let labels = json!({ "app": "a" });
    let pod = json!({ "metadata": { "labels": labels }, "spec": {
        "containers": [{ "name": "main", "image": "none" }], "nodeSelector": { "bindy.test/node": "" }
    } });
    let spec = json!({ "replicas": 2, "selector": { "matchLabels": labels }, "template": pod });
    let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace);
    create(&deployments, json!({ "metadata": { "name": "a" }, "spec": spec })).await.expect("the administrator may");
    let pods = Api::<Pod>::namespaced(client, &namespace);
    until("two Pods on the node", || async {
        let pods = pods.list(&ListParams::default()).await.expect("the administrator may").items;
        let bound = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_ref()).filter(|name| **name == node);
        bound.count() == 2
    })
    .await;
    cluster.remove(&namespace).await;
    nodes.delete(&node, &DeleteParams::default()).await.expect("the administrator may");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_cluster_that_was_dropped() {
    let cluster = Cluster::start(Extent::Api).await;
    let kubeconfig = cluster.kubeconfig().to_owned();
    let server = server(&kubeconfig).await;
    assert!(TcpStream::connect(server).is_ok());
    drop(cluster);
    // A cluster that was there before stays.
    if env::var_os("TEST_KUBECONFIG").is_none() {
        assert!(TcpStream::connect(server).is_err(), "the API server still listens on {server}");
        assert!(!kubeconfig.parent().expect("it is in a folder").exists());
    }
}

/// Set in the process that this test starts to be killed.
const TO_BE_KILLED: &str = "BINDY_TEST_TO_BE_KILLED";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_cluster_whose_test_was_killed() {
    if env::var_os(TO_BE_KILLED).is_some() {
        let cluster = Cluster::start(Extent::Api).await;
        println!("\nkubeconfig {}", cluster.kubeconfig().display());
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let mut test = Command::new(env::current_exe().expect("a test has a file"))
        .args(["--exact", "nothing_is_left_of_a_cluster_whose_test_was_killed", "--nocapture"])
        .env(TO_BE_KILLED, "")
        .env_remove("TEST_KUBECONFIG")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a test can run again");
    let mut lines = BufReader::new(test.stdout.take().expect("it is a pipe")).lines().map_while(Result::ok);
    let kubeconfig = lines.find_map(|line| line.strip_prefix("kubeconfig ").map(PathBuf::from));
    let kubeconfig = kubeconfig.expect("the other test starts a cluster");
    let server = server(&kubeconfig).await;
    assert!(TcpStream::connect(server).is_ok());
    test.kill().expect("it runs");
    test.wait().expect("it is a child");
    let folder = kubeconfig.parent().expect("it is in a folder");
    until("the end", || async { TcpStream::connect(server).is_err() && !folder.exists() }).await;
}

/// The address of the API server of a kubeconfig.
async fn server(kubeconfig: &Path) -> SocketAddr {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("it is a cluster's");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let url = config.expect("it is complete").cluster_url;
    let addresses = tokio::net::lookup_host((url.host().expect("it has one"), url.port_u16().unwrap_or(443))).await;
    addresses.expect("it has an address").next().expect("it has an address")
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<K, kube::Error>
where
    K: serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    let object = serde_json::from_value(object).expect("it has the form of its kind");
    api.create(&PostParams::default(), &object).await
}

/// Waits until something is so that a cluster does in its own time.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited a minute for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The HTTP status of an error.
fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        error => panic!("no answer of an API server: {error}"),
    }
}
