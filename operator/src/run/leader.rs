//! How servers find this process: a Service without a selector, which is there from the start, and the EndpointSlice that
//! leads it to this pod. So servers know an address that stays, whichever process it is at the moment.

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
const PORT: u16 = names::DNS_PORT;

/// The object by which this process is found, where it answers on this port; `None` outside of a pod.
pub(super) fn slice(place: &Place, port: u16) -> Option<Object> {
    let address: IpAddr = place.address.as_ref()?.parse().ok()?;
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let labels = json!({
        names::PART_OF.0: names::PART_OF.1,
        "kubernetes.io/service-name": SERVICE,
        "endpointslice.kubernetes.io/managed-by": "bindy.firestoned.io",
    });
    let id = ObjectId {
        of: Type::EndpointSlice,
        namespace: place.namespace.clone(),
        name: format!("{SERVICE}-{}", family.to_ascii_lowercase()),
    };
    let endpoint = json!({ "addresses": [address], "conditions": { "ready": true } });
    let ports = json!([
        { "name": "dns-udp", "port": port, "protocol": "UDP" },
        { "name": "dns-tcp", "port": port, "protocol": "TCP" },
    ]);
    let fields = json!({ "addressType": family, "endpoints": [endpoint], "ports": ports });
    Some(Object::new(id, json!({ "labels": labels }), fields))
}

/// The addresses of the Service, which it keeps as long as it lives.
pub(super) fn addresses(store: &Store, place: &Place) -> Vec<SocketAddr> {
    let id = ObjectId { of: Type::Service, namespace: place.namespace.clone(), name: SERVICE.to_owned() };
    let addresses = store.get(&id).map(|service| cluster_addresses(&service)).unwrap_or_default();
    addresses.into_iter().map(|address| SocketAddr::new(address, PORT)).collect()
}

/// The addresses of a Service in the cluster.
pub(super) fn cluster_addresses(service: &Value) -> Vec<IpAddr> {
    let addresses = service["spec"]["clusterIPs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    addresses.filter_map(|text| text.parse().ok()).collect()
}
