//! How servers find this process: a Service without a selector, and the EndpointSlice that leads it to this pod. So
//! servers know an address that stays, whichever process it is at the moment.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::Place;
use crate::{
    cluster::Store,
    object::{Object, ObjectId, Type},
    render::names,
};

/// The name of the Service.
const SERVICE: &str = "bindy-leader";
/// Its port.
const PORT: u16 = 53;

/// The objects by which this process is found, where it answers on this port.
pub(super) fn objects(place: &Place, port: u16) -> Vec<Object> {
    let id = |of, name: &str| ObjectId { of, namespace: place.namespace.clone(), name: name.to_owned() };
    let port_named =
        |name: &str, protocol: &str, port: u16| json!({ "name": name, "port": port, "protocol": protocol });
    let ports = |port| json!([port_named("dns-tcp", "TCP", port), port_named("dns-udp", "UDP", port)]);
    let labels = json!({ names::PART_OF.0: names::PART_OF.1 });
    let spec = json!({ "type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack", "ports": ports(PORT) });
    let mut objects =
        vec![Object::new(id(Type::Service, SERVICE), json!({ "labels": labels }), json!({ "spec": spec }))];
    if let Some(address) = place.address.as_ref().and_then(|text| text.parse::<IpAddr>().ok()) {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let labels = json!({
            names::PART_OF.0: names::PART_OF.1,
            "kubernetes.io/service-name": SERVICE,
            "endpointslice.kubernetes.io/managed-by": "bindy.firestoned.io",
        });
        let slice = id(Type::EndpointSlice, &format!("{SERVICE}-{}", family.to_ascii_lowercase()));
        let endpoint = json!({ "addresses": [address], "conditions": { "ready": true } });
        let fields = json!({ "addressType": family, "endpoints": [endpoint], "ports": ports(port) });
        objects.push(Object::new(slice, json!({ "labels": labels }), fields));
    }
    objects
}

/// The addresses of the Service, which it keeps as long as it lives.
pub(super) fn addresses(store: &Store, place: &Place) -> Vec<SocketAddr> {
    let id = ObjectId { of: Type::Service, namespace: place.namespace.clone(), name: SERVICE.to_owned() };
    let addresses = store.get(&id).and_then(|service| service["spec"]["clusterIPs"].as_array().cloned());
    let addresses = addresses.unwrap_or_default();
    let addresses = addresses.iter().filter_map(Value::as_str).filter_map(|text| text.parse::<IpAddr>().ok());
    addresses.map(|address| SocketAddr::new(address, PORT)).collect()
}
