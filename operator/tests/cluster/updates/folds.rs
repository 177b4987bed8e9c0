//! The API server refuses one object of a fold after the other, so that a fold ends at each of its steps.

use std::{env, iter, process::Command};

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{KEY, NOERROR, client::Client, rule, updated};
use crate::operated::Operated;

/// So many that each shard has some of them.
const NAMES: usize = 170;
/// How many updates of all names fill the log, with one to go on.
const ROUND: usize = 66;
/// The name of the policy, and of what binds it.
const POLICY: &str = "test-fold";

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_ends_at_any_of_its_steps_loses_nothing() {
    let (mut it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    let client = Client::new(&address, KEY);
    let write = |number: usize| {
        let lines = (0..NAMES).flat_map(|name| {
            let name = format!("n{name}.dyn");
            [format!("delete {name} TXT"), format!("add {name} 60 TXT {number}")]
        });
        let lines: Vec<String> = lines.collect();
        client.send("example.com", &lines.iter().map(String::as_str).collect::<Vec<&str>>()).0 == NOERROR
    };
    let mut number = 0;
    while number < ROUND {
        number += 1;
        it.until("an update", async || write(number)).await;
    }
    // The shards in their order, and last the segment in whose place they are. Not all if nobody has the time.
    let every = if env::var_os("BINDY_EACH_STEP").is_some() { 1 } else { 8 };
    let steps = (0..32).map(|shard| format!("base-{shard:02}")).chain(iter::once("log-00".to_owned()));
    for (step, part) in steps.step_by(every).enumerate() {
        it.refuse(&part).await;
        let end = number + ROUND;
        while write(number + 1) {
            number += 1;
            assert!(number < end, "no fold writes {part}");
        }
        // The next operator goes on, or the same one.
        if step % 2 == 0 {
            it.kill_operator();
        }
        it.refuse_no_more(&part).await;
        if step % 2 == 0 {
            it.start_operator(step / 2 % 2);
            it.late_is_served(&address).await;
        }
        assert_eq!(it.written().await, [number.to_string()], "after a fold that ended at {part}");
        assert_eq!(served(&address), vec![format!("\"{number}\""); NAMES], "after a fold that ended at {part}");
        number += 1;
        it.until("an update", async || write(number)).await;
        assert_eq!(it.written().await, [number.to_string()], "after the fold that followed");
        assert_eq!(served(&address), vec![format!("\"{number}\""); NAMES]);
    }
    it.end().await;
}

impl Operated {
    /// Has the API server refuse to write this part.
    async fn refuse(&self, part: &str) {
        let rules = json!([{
            "apiGroups": [bindy::api::GROUP], "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE"], "resources": ["dynamicrecords"],
        }]);
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": POLICY },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": rules },
                "validations": [{ "expression": format!("object.spec.part != '{part}'") }],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": POLICY },
            "spec": { "policyName": POLICY, "validationActions": ["Deny"] },
        });
        let params = PatchParams::apply("bindy-test").force();
        let policies = Api::<ValidatingAdmissionPolicy>::all(self.client.clone());
        policies.patch(POLICY, &params, &Patch::Apply(&policy)).await.unwrap();
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.client.clone());
        bindings.patch(POLICY, &params, &Patch::Apply(&binding)).await.unwrap();
        self.until("it is refused", async || !self.takes(part).await).await;
    }

    async fn refuse_no_more(&self, part: &str) {
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.client.clone());
        bindings.delete(POLICY, &DeleteParams::default()).await.unwrap();
        self.until("it is taken", async || self.takes(part).await).await;
    }

    /// Whether the API server would write this part.
    async fn takes(&self, part: &str) -> bool {
        let objects = self.dynamic_records();
        let all = objects.list(&ListParams::default()).await.unwrap().items;
        let object = all.into_iter().find(|object| object.data["spec"]["part"] == part).expect("there is one");
        let (name, patch) = (object.metadata.name.unwrap(), json!({ "metadata": { "annotations": { "test": part } } }));
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        objects.patch(&name, &params, &Patch::Merge(&patch)).await.is_ok()
    }

    /// The texts that clients have written, each once, if every name has one.
    async fn written(&self) -> Vec<String> {
        let lines = self.lines("example.com").await;
        assert_eq!(lines.len(), NAMES);
        let mut texts: Vec<String> =
            lines.iter().map(|line| line.rsplit(' ').next().unwrap_or_default().trim_matches('"').to_owned()).collect();
        texts.sort_unstable();
        texts.dedup();
        texts
    }
}

/// The text of each name that is served.
fn served(address: &str) -> Vec<String> {
    let questions = (0..NAMES).flat_map(|name| [format!("n{name}.dyn.example.com"), "TXT".to_owned()]);
    let dig = Command::new("dig").args([&format!("@{address}"), "-p", "5353", "+short"]).args(questions).output();
    let dig = dig.expect("dig is installed (package bind9-dnsutils)");
    String::from_utf8_lossy(&dig.stdout).lines().map(str::to_owned).collect()
}
