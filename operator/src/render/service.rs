//! The Service of a server: port 53 over UDP and TCP, changed as its role says; or one for each of them, as some load
//! balancers take one protocol each.

use serde_json::{Map, Value, json};

use super::{
    Surroundings,
    names::{self, DNS_PORT, SERVICE_PORT},
    subject::Subject,
};
use crate::{
    api::FieldError,
    object::{Object, Type},
};

/// The Services. Fields of the role's `service.spec` prevail, ports by their names; the selector is ours. A load balancer
/// keeps the addresses of clients unless told otherwise.
///
/// # Errors
/// There is a server of the name that the Service for TCP would have.
pub(super) fn services(subject: &Subject<'_>, surroundings: &Surroundings) -> Result<Vec<Object>, FieldError> {
    let mut spec = json!({
        "type": "ClusterIP",
        "ports": default_ports(),
        "ipFamilyPolicy": "PreferDualStack",
    });
    let given = subject.service();
    if let Some(overrides) = given.and_then(|given| given.spec.as_ref()) {
        merge(&mut spec, &overrides.0);
    }
    if spec["type"] == "LoadBalancer" && spec.get("externalTrafficPolicy").is_none() {
        spec["externalTrafficPolicy"] = json!("Local");
    }
    let name = subject.name().to_owned();
    if given.is_some_and(|given| given.split) {
        if subject.has_namesake {
            return Err(FieldError {
                path: "service.split".into(),
                message: format!("there is a server {}, whose Service has this name", names::tcp_service(&name)),
                help: Some("give one of the two another name".into()),
            });
        }
        let tcp = of_protocol(&spec, true);
        return Ok(vec![
            service(subject, name.clone(), of_protocol(&spec, false)),
            service(subject, names::tcp_service(&name), tcp),
        ]);
    }
    let mut services = vec![service(subject, name.clone(), spec)];
    if surroundings.tcp_services.contains_key(&subject.server.id) && !subject.has_namesake {
        // Nobody here removes an object. As this it takes no address outside of the cluster.
        let spec = json!({ "type": "ClusterIP", "ports": default_ports() });
        services.push(service(subject, names::tcp_service(&name), of_protocol(&spec, true)));
    }
    Ok(services)
}

fn service(subject: &Subject<'_>, name: String, mut spec: Value) -> Object {
    spec["selector"] = json!(subject.selector());
    let annotations = subject.service().map(|given| json!(given.annotations)).unwrap_or(json!({}));
    subject.object(Type::Service, name, &annotations, json!({ "spec": spec }))
}

fn default_ports() -> Value {
    let port = |name: &str, protocol: &str| json!({ "name": name, "port": SERVICE_PORT, "protocol": protocol, "targetPort": name });
    json!([port("dns-tcp", "TCP"), port("dns-udp", "UDP")])
}

/// The part of a Service that is for TCP, or that for everything else.
fn of_protocol(spec: &Value, is_tcp: bool) -> Value {
    let mut spec = spec.clone();
    if let Value::Array(ports) = &mut spec["ports"] {
        ports.retain(|port| port.get("protocol").is_none_or(|protocol| protocol == "TCP") == is_tcp);
    }
    if let Value::Object(fields) = &mut spec
        && is_tcp
    {
        // No two Services may have the same.
        fields.retain(|field, _| !["clusterIP", "clusterIPs", "healthCheckNodePort"].contains(&field.as_str()));
    }
    spec
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
