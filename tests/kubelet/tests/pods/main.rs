//! Pods on the Node of a cluster of ours: that they run as Pods do, and that Services lead to them.

mod shell;
mod site;

use std::{net::SocketAddr, path::Path, thread, time::Duration};

use bindy_cluster::{Cluster, Extent, PodSecurity, Refresh};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use serde_json::json;

use shell::Shell;
use site::{Site, configuration, until};

/// By their numbers.
const HUP: i32 = 1;
const KILL: i32 = 9;
const USR1: i32 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_bindyd_answers_by_pod_and_by_service() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.serve("first").await;
    let pod = site.ready_pod().await;
    let service = site.service_address().await;
    for (server, port) in [(pod.address.as_str(), "5353"), (&service, "53")] {
        for transport in ["+notcp", "+tcp"] {
            until(&format!("an answer of {server}, {transport}"), || async {
                site.answer(server, &["-p", port, transport]).as_deref() == Some("\"first\"")
            })
            .await;
        }
    }
    // From outside of the Pods' network, too.
    let to: SocketAddr = format!("{service}:53").parse().expect("it is an address");
    let port = cluster.node().forward(to).port().to_string();
    for transport in ["+notcp", "+tcp"] {
        let mut dig = std::process::Command::new("dig");
        dig.args(["+short", "@127.0.0.1", "-p", &port, transport, "a.example.com", "TXT"]);
        let output = dig.output().expect("it is installed");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "\"first\"\n");
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_prints_logs() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.serve("first").await;
    let script = "[ -e /state/end ] && exit; trap 'echo three; touch /state/end; exit' USR1; echo one; echo two; \
                  while :; do sleep 0.1; done";
    let shell = Shell::new(&site, script).await;
    shell.until_written("two").await;
    let logs = |more: &[&str]| cluster.kubectl(&[&["logs", "shell", "-n", &site.namespace], more].concat());
    assert_eq!(logs(&[]).expect("it has a log"), "one\ntwo\n");
    assert_eq!(logs(&["--tail=1"]).expect("it has a log"), "two\n");
    let followed = thread::scope(|scope| {
        let followed = scope.spawn(|| logs(&["--follow"]));
        cluster.node().signal(&site.namespace, "shell", "shell", USR1).expect("it runs");
        followed.join().expect("it does not panic")
    });
    assert_eq!(followed.expect("it has a log"), "one\ntwo\nthree\n", "until the container ends");
    let refused = logs(&["--timestamps"]);
    assert!(refused.as_ref().is_err_and(|why| why.contains("timestamps=true")), "{refused:?}");
    let refused = cluster.kubectl(&["exec", "shell", "-n", &site.namespace, "--", "true"]);
    assert!(refused.as_ref().is_err_and(|why| why.contains("this Node has logs only")), "{refused:?}");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_arrive_in_volumes() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.serve("first").await;
    let pod = site.ready_pod().await;
    // At once, and after a delay.
    for (text, refresh) in [("second", Refresh::AtOnce), ("the third", Refresh::Within(Duration::from_secs(2)))] {
        cluster.node().refresh(refresh);
        site.change::<ConfigMap>(json!({ "data": configuration(text) })).await;
        until(&format!("the zone with {text:?}"), || async {
            cluster.node().signal(&site.namespace, &pod.name, "dns", HUP).expect("it runs");
            site.answer(&pod.address, &["-p", "5353"]) == Some(format!("\"{text}\""))
        })
        .await;
    }
    cluster.node().refresh(Refresh::AtOnce);
    assert_eq!(site.ready_pod().await.restarts, 0, "edits do not restart anything");

    let shell = Shell::new(&site, "while :; do cat /etc/shell/key; sleep 0.1; done").await;
    shell.until_written("first").await;
    site.change::<Secret>(json!({ "stringData": { "key.conf": "second" } })).await;
    shell.until_written("second").await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_whose_process_was_killed_is_not_ready_until_it_runs_again() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.serve("first").await;
    let pod = site.ready_pod().await;
    let states = site.states(&pod.name).await;
    cluster.node().signal(&site.namespace, &pod.name, "dns", KILL).expect("it runs");
    until("a restart", || async { site.ready_pod().await.restarts == 1 }).await;
    let seen = || states.lock().expect("nothing panics while it is held").clone();
    until("it is seen", || async { seen().iter().any(|(_, restarts)| *restarts == 1) }).await;
    let states = seen();
    let restarted = states.iter().position(|(_, restarts)| *restarts == 1).expect("it was restarted");
    assert!(states[..=restarted].iter().any(|(is_ready, _)| !is_ready), "{states:?}");
    assert!(!states[restarted].0, "ready before it was asked: {states:?}");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_pod_has_its_user_and_limits_and_nothing_else() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.objects("first").await;
    let script = "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; touch /tmp/a || echo read-only; \
                  touch /state/a && echo state; cat /sys/fs/cgroup/memory.max \
                  /sys/fs/cgroup/memory/memory.limit_in_bytes; echo name $NAME of $UNKNOWN; echo end; sleep 1000";
    let shell = Shell::new(&site, script).await;
    shell.until_written("\nend\n").await;
    let written = shell.written();
    let machine = cluster.node().machine();
    let user = if machine.users { "65532\n" } else { "0\n" };
    let none = "0000000000000000";
    for expected in [
        user,
        &format!("CapEff:\t{none}\n"),
        &format!("CapBnd:\t{none}\n"),
        "NoNewPrivs:\t1\n",
        "read-only\n",
        "state\n",
        "name shell of\n",
    ] {
        assert!(written.contains(expected), "{expected:?} is not in {written}");
    }
    if machine.memory {
        assert!(written.contains(&format!("{}\n", 64 << 20)), "no limit of 64 MiB: {written}");
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_reaches_the_api_server_as_its_service_account() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.objects("first").await;
    let script = "cd /var/run/secrets/kubernetes.io/serviceaccount; \
                  printf 'GET /api/v1/namespaces/%s/pods HTTP/1.0\\r\\nAuthorization: Bearer %s\\r\\n\\r\\n' \
                  $(cat namespace) $(cat token) | openssl s_client -quiet -verify_return_error -CAfile ca.crt \
                  -connect $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT; sleep 1000";
    let shell = Shell::new(&site, script).await;
    let user = format!("system:serviceaccount:{}:default", site.namespace);
    shell.until_written(&format!("User \\\"{user}\\\" cannot list resource")).await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_deleted_is_asked_to_end_and_killed_after_its_grace() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.objects("first").await;
    let polite = "trap 'echo asked; exit 0' TERM; echo runs; while :; do sleep 0.1; done";
    let stubborn = "trap 'echo asked' TERM; echo runs; while :; do sleep 0.1; done";
    for script in [polite, stubborn] {
        let shell = Shell::new(&site, script).await;
        shell.until_written("runs").await;
        shell.end(2).await;
        assert!(shell.written().contains("asked"), "{}", shell.written());
        assert!(cluster.node().signal(&site.namespace, "shell", "shell", 0).is_err(), "it still runs");
        shell.forget();
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_keeps_its_address_when_pods_come_and_go() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.objects("first").await;
    let address = || {
        let link = cluster.node().run(&["ip", "-brief", "link", "show", "dev", "pods"]);
        link.output.split_whitespace().nth(2).expect("it is on the third place").to_owned()
    };
    let before = address();
    for _ in 0..4 {
        let shell = Shell::new(&site, "echo runs; exec sleep 1000").await;
        shell.until_written("runs").await;
        assert_eq!(address(), before, "other Pods would look for the Node at its former one");
        shell.end(0).await;
        shell.forget();
    }
    assert_eq!(address(), before);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_fails_its_liveness_probe_is_started_again() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.objects("first").await;
    let probe =
        json!({ "exec": { "command": ["test", "-e", "/state/alive"] }, "periodSeconds": 1, "failureThreshold": 1 });
    let script = "echo start; touch /state/alive; sleep 3; rm /state/alive; sleep 1000";
    let startup = json!({ "exec": { "command": ["test", "-e", "/state/alive"] }, "periodSeconds": 1 });
    let more = json!({ "livenessProbe": probe, "startupProbe": startup });
    let shell = Shell::with(&site, script, more).await;
    until("a restart", || async { shell.written().matches("start").count() > 1 }).await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_takes_more_memory_than_its_limit_is_killed() {
    let cluster = Cluster::shared(Extent::Running).await;
    if !cluster.node().machine().memory {
        // That limits hold is not promised on this machine.
        return;
    }
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.objects("first").await;
    // All of a line that does not end is kept.
    Shell::new(&site, "exec tail -n 1 /dev/zero").await;
    until("a kill", || async {
        let pods = site.pods().await;
        let statuses =
            pods.iter().flat_map(|pod| pod.status.iter().flat_map(|it| it.container_statuses.iter().flatten()));
        let states = statuses.flat_map(|status| [&status.state, &status.last_state]).flatten();
        states.filter_map(|state| state.terminated.as_ref()).any(|it| it.reason.as_deref() == Some("OOMKilled"))
    })
    .await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_keeps_its_files_when_its_pod_goes() {
    let cluster = Cluster::shared(Extent::Running).await;
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.objects("first").await;
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    site.create::<PersistentVolumeClaim>(json!({ "metadata": { "name": "shell" }, "spec": spec })).await;
    let claimed = json!({ "volumes": [{ "name": "state", "persistentVolumeClaim": { "claimName": "shell" } }] });
    for expected in ["new", "kept"] {
        let script = "test -e /state/a && echo kept || echo new; touch /state/a; sleep 1000";
        let shell = Shell::of(&site, script, json!({}), &claimed).await;
        shell.until_written(expected).await;
        shell.end(1).await;
        shell.forget();
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_node() {
    let cluster = std::sync::Arc::new(Cluster::start(Extent::Running).await);
    let site = Site::new(&cluster, PodSecurity::Restricted).await;
    site.objects("first").await;
    let mark = format!("left-{}", std::process::id());
    Shell::new(&site, &format!("echo {mark}; while :; do sleep 0.1; done # {mark}")).await.until_written(&mark).await;
    let runs = || {
        let processes = std::fs::read_dir("/proc").expect("every system has it").map_while(Result::ok);
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.map(|line| String::from_utf8_lossy(&line).into_owned()).any(|line| line.contains(&mark))
    };
    assert!(runs());
    let folder = cluster.kubeconfig().parent().expect("it is in a folder").to_owned();
    drop(site);
    drop(cluster);
    until("the end of the processes", || async { !runs() }).await;
    assert!(!folder.exists());
    let name = folder.file_name().expect("it has one");
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"] {
        assert!(!Path::new(root).join(name).exists(), "a cgroup is left in {root}");
    }
}
