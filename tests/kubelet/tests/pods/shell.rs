//! A Pod that runs a script with the tools of this machine, as restricted as can be.

use std::fs;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::site::{Site, until};

pub struct Shell<'a> {
    site: &'a Site,
}

/// The name of the Pod and of its container.
const NAME: &str = "shell";

impl<'a> Shell<'a> {
    /// Starts a script. `/state` is an empty folder, and `/etc/shell/key` shows the Secret of the site.
    pub async fn new(site: &'a Site, script: &str) -> Shell<'a> {
        Shell::with(site, script, json!({})).await
    }

    /// The same with more fields of the container.
    pub async fn with(site: &'a Site, script: &str, container: Value) -> Shell<'a> {
        Shell::of(site, script, container, &json!({ "volumes": [{ "name": "state", "emptyDir": {} }] })).await
    }

    /// The same with the volume `state`.
    pub async fn of(site: &'a Site, script: &str, more: Value, volumes: &Value) -> Shell<'a> {
        let security = json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] }
        });
        let mut container = json!({
            "name": NAME, "image": "tools:1", "command": ["sh", "-c", script],
            "env": [{ "name": "NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
            "resources": { "limits": { "memory": "64Mi" } }, "securityContext": security,
            "volumeMounts": [{ "name": "state", "mountPath": "/state" }, { "name": "key", "mountPath": "/etc/shell" }]
        });
        if let (Some(container), Value::Object(more)) = (container.as_object_mut(), more) {
            container.extend(more);
        }
        let secret = json!({ "secretName": "dns", "items": [{ "key": "key.conf", "path": "key" }] });
        let mut all = volumes["volumes"].as_array().cloned().unwrap_or_default();
        all.push(json!({ "name": "key", "secret": secret }));
        let spec = json!({
            "terminationGracePeriodSeconds": 1, "containers": [container], "volumes": all,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                "seccompProfile": { "type": "RuntimeDefault" }
            }
        });
        site.create::<Pod>(json!({ "metadata": { "name": NAME }, "spec": spec })).await;
        Shell { site }
    }

    /// What the script has written.
    pub fn written(&self) -> String {
        self.site.cluster.node().log(&self.site.namespace, NAME, NAME)
    }

    pub async fn until_written(&self, text: &str) {
        until(&format!("{text:?} in what the script writes: {}", self.site.cluster.node().kubelet_log()), || async {
            self.written().contains(text)
        })
        .await;
    }

    /// Deletes the Pod with so many seconds of grace, and waits until it is gone.
    pub async fn end(&self, grace: u32) {
        let pods = self.site.api::<Pod>();
        pods.delete(NAME, &DeleteParams::default().grace_period(grace)).await.expect("the administrator may");
        until("the end of the Pod", || async { pods.get_opt(NAME).await.is_ok_and(|pod| pod.is_none()) }).await;
    }

    /// Removes what was written, so that another Pod may follow.
    pub fn forget(self) {
        let _ = fs::remove_file(self.site.cluster.node().log_file(&self.site.namespace, NAME, NAME));
    }
}
