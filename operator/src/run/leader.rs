//! How servers find this process: a Service without a selector, which is there from the start, and an EndpointSlice for
//! each family of addresses that leads it to this pod. So servers know addresses that stay, whichever process it is at
//! the moment.

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

/// The objects by which this process is found, which listens at these addresses; none outside of a pod.
pub(super) fn slices(place: &Place, listens: &[SocketAddr], store: &Store) -> Vec<Object> {
    let slice = |family: &str, is_of_it: fn(&IpAddr) -> bool| {
        let id = ObjectId {
            of: Type::EndpointSlice,
            namespace: place.namespace.clone(),
            name: format!("{SERVICE}-{}", family.to_ascii_lowercase()),
        };
        let found = place.addresses.iter().copied().filter(is_of_it).find_map(|address| {
            let listens_there =
                |at: &&SocketAddr| at.ip() == address || at.ip().is_unspecified() && at.is_ipv4() == address.is_ipv4();
            listens.iter().find(listens_there).map(|at| (address, at.port()))
        });
        // Who led before may have had an address where this process has none.
        let is_needed = found.is_some() || !place.addresses.is_empty() && store.get(&id).is_some();
        is_needed.then(|| object(id, family, found))
    };
    [slice("IPv4", IpAddr::is_ipv4), slice("IPv6", IpAddr::is_ipv6)].into_iter().flatten().collect()
}

fn object(id: ObjectId, family: &str, found: Option<(IpAddr, u16)>) -> Object {
    let labels = json!({
        names::PART_OF.0: names::PART_OF.1,
        "kubernetes.io/service-name": SERVICE,
        "endpointslice.kubernetes.io/managed-by": "bindy.firestoned.io",
    });
    let endpoint = |(address, _)| json!({ "addresses": [address], "conditions": { "ready": true } });
    let endpoints: Vec<Value> = found.map(endpoint).into_iter().collect();
    let port = found.map_or(PORT, |(_, port)| port);
    let ports = json!([
        { "name": "dns-udp", "port": port, "protocol": "UDP" },
        { "name": "dns-tcp", "port": port, "protocol": "TCP" },
    ]);
    let fields = json!({ "addressType": family, "endpoints": endpoints, "ports": ports });
    Object::new(id, json!({ "labels": labels }), fields)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cluster::Seen;

    /// The families, addresses and ports of the slices of a process.
    fn found(pod: &[&str], listens: &[&str], store: &Store) -> Vec<(String, Option<String>, u64)> {
        let place = Place {
            namespace: "bindy-system".into(),
            name: None,
            addresses: pod.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let listens: Vec<SocketAddr> = listens.iter().map(|text| text.parse().unwrap()).collect();
        let of = |object: &Object| {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let body = &object.body;
            let address = text(&body["endpoints"][0]["addresses"][0]);
            (text(&body["addressType"]).unwrap(), address, body["ports"][1]["port"].as_u64().unwrap())
        };
        slices(&place, &listens, store).iter().map(of).collect()
    }

    #[test]
    fn servers_find_each_address_at_which_the_process_listens() {
        let store = Store::default();
        let slice = |family: &str, address: &str, port| (family.to_owned(), Some(address.to_owned()), port);
        let (four, six) = (slice("IPv4", "10.0.0.7", 5353), slice("IPv6", "fd00::7", 5353));
        let all = ["0.0.0.0:5353", "[::]:5353"];
        assert_eq!(found(&["10.0.0.7"], &all, &store), std::slice::from_ref(&four));
        assert_eq!(found(&["fd00::7"], &all, &store), std::slice::from_ref(&six));
        assert_eq!(found(&["fd00::7", "10.0.0.7"], &all, &store), [four.clone(), six.clone()]);
        assert_eq!(found(&["10.0.0.7", "fd00::7"], &all[..1], &store), std::slice::from_ref(&four));
        let other = slice("IPv6", "fd00::7", 53);
        assert_eq!(found(&["10.0.0.7", "fd00::7"], &["[fd00::7]:53", "127.0.0.1:5353"], &store), [other]);
        assert!(found(&[], &all, &store).is_empty(), "outside of a pod");
    }

    #[test]
    fn an_address_of_who_led_before_leads_nowhere() {
        let (mut store, name) = (Store::default(), "bindy-leader-ipv6".to_owned());
        let id = ObjectId { of: Type::EndpointSlice, namespace: "bindy-system".into(), name };
        store.take(Seen::Put(id, (&json!({})).into()), &mut BTreeSet::new());
        let all = ["0.0.0.0:5353", "[::]:5353"];
        let slices = found(&["10.0.0.7"], &all, &store);
        assert_eq!(slices[0].1.as_deref(), Some("10.0.0.7"));
        assert_eq!(slices[1], ("IPv6".to_owned(), None, 5353));
        assert!(found(&[], &all, &store).is_empty(), "outside of a pod");
    }
}
