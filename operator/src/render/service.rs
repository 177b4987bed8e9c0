//! The Service of a server: port 53 over UDP and TCP, changed as its role says.

use serde_json::{Map, Value, json};

use super::{
    names::{DNS_PORT, SERVICE_PORT},
    subject::Subject,
};
use crate::object::{Object, Type};

/// The Service. Fields of the role's `service.spec` prevail, ports by their names; the selector is ours. A load balancer
/// keeps the addresses of clients unless told otherwise.
pub(super) fn service(subject: &Subject<'_>) -> Object {
    let port = |name: &str, protocol: &str| json!({ "name": name, "port": SERVICE_PORT, "protocol": protocol, "targetPort": name });
    let mut spec = json!({
        "type": "ClusterIP",
        "ports": [port("dns-tcp", "TCP"), port("dns-udp", "UDP")],
        "ipFamilyPolicy": "PreferDualStack",
    });
    let given = subject.service();
    if let Some(overrides) = given.and_then(|given| given.spec.as_ref()) {
        merge(&mut spec, &overrides.0);
    }
    if spec["type"] == "LoadBalancer" && spec.get("externalTrafficPolicy").is_none() {
        spec["externalTrafficPolicy"] = json!("Local");
    }
    spec["selector"] = json!(subject.selector());
    let annotations = given.map(|given| json!(given.annotations)).unwrap_or(json!({}));
    subject.object(Type::Service, subject.name().to_owned(), &annotations, json!({ "spec": spec }))
}

fn merge(spec: &mut Value, overrides: &Map<String, Value>) {
    for (field, value) in overrides {
        match (field.as_str(), value) {
            ("ports", Value::Array(ports)) => {
                for port in ports {
                    merge_port(&mut spec["ports"], port);
                }
            }
            _ => spec[field] = value.clone(),
        }
    }
}

fn merge_port(ports: &mut Value, given: &Value) {
    let Value::Array(ports) = ports else { return };
    let known = ports.iter_mut().find(|port| port["name"] == given["name"]);
    match (known, given) {
        (Some(Value::Object(known)), Value::Object(given)) => known.extend(given.clone()),
        _ => ports.push(with_target(given)),
    }
}

/// A port of the user's own leads to DNS unless it says where else.
fn with_target(given: &Value) -> Value {
    let mut port = given.clone();
    if port.is_object() && port.get("targetPort").is_none() {
        port["targetPort"] = json!(DNS_PORT);
    }
    port
}
