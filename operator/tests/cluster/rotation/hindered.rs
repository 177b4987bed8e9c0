//! What stands in the way of a new key is told, and nothing is lost by it.

use super::{Keys, often::network_of};
use crate::running::{INSTANCES, Running};

impl Running {
    /// A field of what is told of the key of a server.
    fn due(&self, instance: &str, field: &str) -> String {
        let path = format!(".status.conditions[?(@.type=='RotationDue')].{field}");
        self.field(&format!("bind9instance/{instance}"), &path)
    }

    /// The name and the address of the pod that makes keys.
    pub(super) fn keeper(&self) -> (String, String) {
        let pods = "-o=jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{\"\\n\"}{end}";
        let of_keeper = "-l=app.kubernetes.io/name=bindy-keys";
        let pods = self.cluster.done(&["get", "pods", "-n=bindy-system", of_keeper, pods]);
        let last = pods.lines().last().and_then(|line| line.split_once(' ')).expect("there is one");
        (last.0.to_owned(), last.1.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_named_and_gets_its_key_when_it_is_back() {
    let running = Running::with_example().await;
    let [instance, other] = [INSTANCES[0], INSTANCES[1]];
    running.cluster.until("there are keys", || {
        [instance, other].iter().all(|server| !running.note(server, "rndc-created-at").is_empty())
    });
    let (pod, address) = (running.server(instance), running.pods_of(instance).remove(0));
    let former = Keys::of(&running, instance);
    let (_, keeper) = running.keeper();
    let network = network_of(&address);
    // It is there and ready, and answers everybody but the one who makes keys.
    let route = |what: &str| {
        let route = ["ip", "-n", &network, "route", what, "blackhole", &format!("{keeper}/32")];
        let ran = running.cluster.node().run(&route);
        assert_eq!(ran.code, Some(0), "{route:?}: {}", ran.errors);
    };
    route("add");
    running.annotate(other, &[("rndc-rotate", "please")]);
    running.stage_and_wait(instance);
    running.cluster.until("it is told", || running.due(instance, "reason") == "RotationWaiting");
    assert!(running.due(instance, "message").contains(&pod), "{}", running.due(instance, "message"));
    running.cluster.until("others are not held up", || running.note(other, "rndc-rotation-count") == "1");
    assert_eq!(Keys::of(&running, instance).text, former.text, "the former stays in use");
    assert!(running.takes(&address, &former) && running.is_ready(&format!("bind9instance/{instance}")));

    route("del");
    running.cluster.until("the key is replaced", || running.note(instance, "rndc-rotation-count") == "1");
    assert!(running.takes(&address, &Keys::of(&running, instance)) && running.takes(&address, &former));
    running.cluster.until("it is told", || running.due(instance, "reason") == "FormerKeyAccepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_may_not_see_pods_says_so_and_goes_on_when_it_may() {
    let running = Running::with_example().await;
    let instance = INSTANCES[0];
    running.cluster.until("there is a key", || !running.note(instance, "rndc-created-at").is_empty());
    let former = Keys::of(&running, instance);
    let role = "clusterrole/bindy-makes-keys";
    let rights = running.cluster.done(&["get", role, "-o=json"]);
    let mut less: serde_json::Value = serde_json::from_str(&rights).expect("JSON");
    let rules = less["rules"].as_array_mut().expect("a list");
    rules.retain(|rule| !rule["resources"].as_array().is_some_and(|of| of.contains(&"pods".into())));
    assert_eq!(rules.len(), 1, "only that of Secrets is left");
    let rules = serde_json::json!({ "rules": rules }).to_string();
    running.cluster.done(&["patch", role, "--type=merge", "-p", &rules]);
    let (keeper, _) = running.keeper();
    running.delete_pod("bindy-system", &keeper);
    running.annotate(instance, &[("rndc-rotate", "please")]);
    running.cluster.until("it is told", || running.due(instance, "reason") == "RotationWaiting");
    let message = running.due(instance, "message");
    assert!(
        message.contains("pods is forbidden") && message.contains("Apply deploy, and deploy/dns-namespace"),
        "{message}"
    );
    let events =
        || running.cluster.done(&["get", "events", "-n=dns-system", "--field-selector=reason=RotationWaiting"]);
    running.cluster.until("it is told", || events().contains("pods is forbidden"));
    assert_eq!(Keys::of(&running, instance).text, former.text);

    let all: serde_json::Value = serde_json::from_str(&rights).expect("JSON");
    let rules = serde_json::json!({ "rules": all["rules"] }).to_string();
    running.cluster.done(&["patch", role, "--type=merge", "-p", &rules]);
    running.cluster.until("the key is replaced", || running.note(instance, "rndc-rotation-count") == "1");
}
