//! The pods of a server: the Deployment, the ConfigMap with their configuration, and the claim on their storage.

use std::{collections::BTreeMap, iter};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Surroundings, names, subject::Subject, volumes};
use crate::{
    api::{
        Role,
        instance::StorageType,
        spread::{SpreadConstraint, SpreadScope},
    },
    object::{Object, ObjectId, Type},
};

/// The name of the container, which is that of the container of BIND whose place it takes.
const CONTAINER: &str = "bind9";

/// The ConfigMap, with the SHA-256 by which servers tell that they have it.
pub(super) fn config_map(subject: &Subject<'_>, files: &BTreeMap<&'static str, String>) -> Object {
    let conf = files.get("named.conf").map(String::as_str).unwrap_or_default();
    let annotations = json!({ names::ours("config-hash"): hash(conf) });
    subject.object(Type::ConfigMap, names::config_map(subject.name()), &annotations, json!({ "data": files }))
}

/// The claim on storage; `None` if the server keeps its zones as long as its pod, or on a claim that exists. It outlives
/// the server.
pub(super) fn claim(subject: &Subject<'_>) -> Option<Object> {
    let storage =
        subject.spec.storage.as_ref().filter(|storage| storage.kind() == StorageType::PersistentVolumeClaim)?;
    let claim = storage.persistent_volume_claim.clone().unwrap_or_default();
    if claim.claim_name.is_some() {
        return None;
    }
    let mut spec = json!({
        "accessModes": claim.access_modes.unwrap_or_else(|| vec!["ReadWriteOnce".into()]),
        "resources": { "requests": { "storage": claim.size.unwrap_or_else(|| "1Gi".into()) } },
    });
    if let Some(class) = claim.storage_class_name {
        spec["storageClassName"] = json!(class);
    }
    let id = ObjectId {
        of: Type::PersistentVolumeClaim,
        namespace: subject.namespace().to_owned(),
        name: names::claim(subject.name()),
    };
    Some(Object::new(id, json!({ "labels": subject.labels() }), json!({ "spec": spec })))
}

/// The Deployment; without pods if the server is drained.
pub(super) fn deployment(subject: &Subject<'_>, surroundings: &Surroundings, is_drained: bool) -> Object {
    let on_claim = storage_is_claim(subject) || volumes::has_zones_on_claim(subject);
    let strategy = if on_claim {
        // A volume is in one pod at a time.
        json!({ "type": "Recreate" })
    } else {
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } })
    };
    let mut template = json!({
        "metadata": { "labels": subject.labels() },
        "spec": pod(subject, &surroundings.image),
    });
    if let Some(changed) = surroundings.keys_changed.get(&subject.server.id) {
        template["metadata"]["annotations"] = json!({ names::ours("rndc-rotated-at"): changed });
    }
    // By this, whoever applies it knows whether pods are replaced by it.
    let annotations = json!({ names::ours(names::TEMPLATE_HASH): hash(&template.to_string()) });
    // One that is to have no pods has them until it is drained.
    let replicas = if is_drained { 0 } else { subject.spec.replicas.unwrap_or(1).max(1) };
    let spec = json!({
        "replicas": replicas,
        "selector": { "matchLabels": subject.selector() },
        "strategy": strategy,
        "template": template,
    });
    subject.object(Type::Deployment, subject.name().to_owned(), &annotations, json!({ "spec": spec }))
}

pub(super) fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

fn pod(subject: &Subject<'_>, image: &str) -> Value {
    let zones = (!volumes::has_zones(subject)).then(|| zones(subject));
    let given = subject.volumes().iter().map(|volume| Value::Object(volume.0.clone()));
    let volumes: Vec<Value> = iter::once(configuration(subject)).chain(zones).chain(given).collect();
    let mut pod = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": names::USER, "runAsGroup": names::USER, "fsGroup": names::USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "terminationGracePeriodSeconds": names::FAREWELL + names::END,
        "containers": [container(subject, image)],
        "volumes": volumes,
    });
    let spread = spread(subject);
    if !spread.is_empty() {
        pod["topologySpreadConstraints"] = json!(spread);
    }
    let secrets = subject.image().map(|image| image.image_pull_secrets.as_slice()).unwrap_or_default();
    if !secrets.is_empty() {
        pod["imagePullSecrets"] = secrets.iter().map(|name| json!({ "name": name })).collect();
    }
    pod
}

fn container(subject: &Subject<'_>, image: &str) -> Value {
    let own = |name: &str, folder: &str| json!({ "name": volumes::own_name(subject, name), "mountPath": folder });
    let mut config = own(volumes::CONFIG, names::CONFIG_FOLDER);
    config["readOnly"] = json!(true);
    let zones = (!volumes::has_zones(subject)).then(|| own(volumes::ZONES, names::ZONES_FOLDER));
    let mounts: Vec<Value> = iter::once(config).chain(zones).chain(volumes::mounts(subject)).collect();
    let port =
        |name: &str, port: u16, protocol: &str| json!({ "name": name, "containerPort": port, "protocol": protocol });
    let asked = |path: &str| json!({ "path": path, "port": "http" });
    let given = subject.image();
    let mut container = json!({
        "name": CONTAINER,
        "image": given.and_then(|given| given.image.as_deref()).unwrap_or(image),
        "command": [
            "bindyd", "-g", "-c", format!("{}/named.conf", names::CONFIG_FOLDER), "--follow", "--farewell",
            names::FAREWELL.to_string(),
        ],
        "ports": [
            port("dns-tcp", names::DNS_PORT, "TCP"),
            port("dns-udp", names::DNS_PORT, "UDP"),
            port("rndc", names::RNDC_PORT, "TCP"),
            port("http", names::HTTP_PORT, "TCP"),
        ],
        "resources": { "requests": { "cpu": "50m", "memory": "32Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        },
        "startupProbe": { "httpGet": asked("/healthz"), "periodSeconds": 1, "failureThreshold": 300 },
        "livenessProbe": {
            "httpGet": asked("/healthz"), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3,
        },
        "readinessProbe": {
            "httpGet": asked("/readyz"), "periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 2,
        },
        "volumeMounts": mounts,
    });
    if let Some(policy) = given.and_then(|given| given.image_pull_policy) {
        container["imagePullPolicy"] = json!(policy);
    }
    container
}

/// One volume with the configuration and the keys, so that they change together.
fn configuration(subject: &Subject<'_>) -> Value {
    let secret = |name: &str, key: &str, paths: &[&str]| {
        let items: Vec<Value> = paths.iter().map(|path| json!({ "key": key, "path": path })).collect();
        json!({ "secret": { "name": name, "items": items } })
    };
    json!({
        "name": volumes::own_name(subject, volumes::CONFIG),
        "projected": {
            "defaultMode": 0o440,
            "sources": [
                // Whatever files there are, so that no pod is replaced for another one.
                { "configMap": { "name": names::config_map(subject.name()) } },
                // The latter is where a user's own named.conf may include it from.
                secret(&names::rndc_secret(subject.name()), names::KEYS_FILE, &["rndc.key", "keys/rndc.key"]),
                secret(&subject.transfer_secret(), names::TRANSFER_FILE, &[names::TRANSFER_FILE]),
            ],
        },
    })
}

fn zones(subject: &Subject<'_>) -> Value {
    let (name, storage) =
        (volumes::own_name(subject, volumes::ZONES), subject.spec.storage.clone().unwrap_or_default());
    if storage_is_claim(subject) {
        let claim = storage.persistent_volume_claim.and_then(|claim| claim.claim_name);
        let claim = claim.unwrap_or_else(|| names::claim(subject.name()));
        return json!({ "name": name, "persistentVolumeClaim": { "claimName": claim } });
    }
    let (mut volume, folder) = (json!({}), storage.empty_dir.unwrap_or_default());
    if let Some(medium) = folder.medium.filter(|medium| !medium.is_empty()) {
        volume["medium"] = json!(medium);
    }
    if let Some(limit) = folder.size_limit {
        volume["sizeLimit"] = json!(limit);
    }
    json!({ "name": name, "emptyDir": volume })
}

fn storage_is_claim(subject: &Subject<'_>) -> bool {
    subject.spec.storage.as_ref().is_some_and(|storage| storage.kind() == StorageType::PersistentVolumeClaim)
}

/// How the pods are spread. Unless a user says otherwise, primaries of a cluster go to different zones where they can, also
/// if there is one so far: another one is to replace no pod.
fn spread(subject: &Subject<'_>) -> Vec<Value> {
    let by_default = || {
        let may_be_several = subject.server.role == Role::Primary && subject.server.cluster.is_some();
        may_be_several.then(|| SpreadConstraint {
            topology_key: "topology.kubernetes.io/zone".into(),
            max_skew: None,
            when_unsatisfiable: None,
            scope: None,
            min_domains: None,
            node_affinity_policy: None,
            node_taints_policy: None,
        })
    };
    let given = subject.placement().and_then(|placement| placement.spread.clone());
    let constraints = given.unwrap_or_else(|| by_default().into_iter().collect());
    constraints.into_iter().map(|constraint| one_spread(subject, &constraint)).collect()
}

fn one_spread(subject: &Subject<'_>, constraint: &SpreadConstraint) -> Value {
    let cluster = subject.server.cluster.as_ref().map(|cluster| cluster.name.as_str());
    let counted = match (constraint.scope.unwrap_or(SpreadScope::Role), cluster) {
        (SpreadScope::Role, Some(cluster)) => names::role_selector(cluster, subject.server.role),
        (SpreadScope::Cluster, Some(cluster)) => {
            let mut labels = names::role_selector(cluster, subject.server.role);
            labels.remove(&names::ours("role"));
            labels
        }
        (SpreadScope::Instance, _) | (_, None) => subject.selector(),
    };
    let mut value = json!({
        "topologyKey": constraint.topology_key,
        "maxSkew": constraint.max_skew.unwrap_or(1),
        "whenUnsatisfiable": constraint.when_unsatisfiable.map_or(json!("ScheduleAnyway"), |when| json!(when)),
        "labelSelector": { "matchLabels": counted },
    });
    let optional = [
        ("minDomains", constraint.min_domains.map(|domains| json!(domains))),
        ("nodeAffinityPolicy", constraint.node_affinity_policy.map(|policy| json!(policy))),
        ("nodeTaintsPolicy", constraint.node_taints_policy.map(|policy| json!(policy))),
    ];
    for (field, given) in optional {
        if let Some(given) = given {
            value[field] = given;
        }
    }
    value
}
