//! Names, labels, ports and paths that operator, servers and keys agree on. Those of objects are the existing operator's,
//! so that a running Deployment can be taken over: its selector cannot change.

use std::collections::BTreeMap;

use crate::{
    api::{GROUP, Role},
    servers::Server,
};

/// The port on which a server answers inside of its pod; its Service has port 53.
pub const DNS_PORT: u16 = 5353;
/// The port of its Service.
pub const SERVICE_PORT: u16 = 53;
/// The port on which a server takes commands of `rndc`.
pub const RNDC_PORT: u16 = 9530;
/// The port on which a server tells its statistics and whether it is ready.
pub const HTTP_PORT: u16 = 8080;

/// How long a pod that has to go answers on, in seconds, until nobody asks it any more.
pub const FAREWELL: u32 = 15;
/// How long it may take to end then, in seconds.
pub const END: u32 = 15;

/// The user and the group of a server's process.
pub const USER: u32 = 101;

/// The folder with the configuration in the pod.
pub const CONFIG_FOLDER: &str = "/etc/bind";
/// The folder with the zones in the pod.
pub const ZONES_FOLDER: &str = "/var/cache/bind";

/// The key of a Secret's data with the RNDC key that clients use, as `rndc` reads it.
pub const RNDC_FILE: &str = "rndc.key";
/// The key of the same data with all keys that the server accepts.
pub const KEYS_FILE: &str = "keys.conf";
/// The key of a Secret's data with the key of transfers.
pub const TRANSFER_FILE: &str = "transfer.key";

/// The label of all objects that Bindy makes.
pub const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "bindy");

/// The label of a pod with the name of its server.
pub const INSTANCE: &str = "instance";

/// The name of the RNDC key of a server, unless its Secret has another one.
pub const RNDC_KEY: &str = "bindy-operator";

/// The annotation of a Deployment with a hash of its pod template, in our group.
pub const TEMPLATE_HASH: &str = "template-hash";

/// A name in Bindy's group, as labels and annotations have it.
pub fn ours(name: &str) -> String {
    format!("{GROUP}/{name}")
}

/// The ConfigMap with a server's `named.conf`.
pub fn config_map(instance: &str) -> String {
    format!("{instance}-config")
}

/// The Service of a server for TCP, if that is another one.
pub fn tcp_service(instance: &str) -> String {
    format!("{instance}-tcp")
}

/// The Secret with a server's RNDC key.
pub fn rndc_secret(instance: &str) -> String {
    format!("{instance}-rndc-key")
}

/// The Secret with a server's RNDC key as documents of former versions have it.
pub fn former_rndc_secret(instance: &str) -> String {
    format!("{instance}-rndc")
}

/// The claim on which a server keeps its zones, if it has one of its own.
pub fn claim(instance: &str) -> String {
    format!("{instance}-zones")
}

/// The Secret with the key of transfers to the servers of a cluster, or to one that is on its own.
pub fn transfer_secret(owner: &str) -> String {
    format!("{owner}-transfer-key")
}

/// The name of the first such key. One that replaces it gets another name, and so another number.
pub fn transfer_key(namespace: &str, owner: &str) -> String {
    numbered_key(&format!("{namespace}.{owner}"), 1)
}

/// The name of the key of transfers that replaces one of this name.
pub fn next_key(name: &str) -> String {
    let base = name.rsplit_once('.').filter(|(_, number)| number.parse::<u64>().is_ok()).map_or(name, |(base, _)| base);
    numbered_key(base, key_number(name).saturating_add(1))
}

/// The number of a key of transfers; 1 if its name has none.
pub fn key_number(name: &str) -> u64 {
    name.rsplit_once('.').and_then(|(_, number)| number.parse().ok()).unwrap_or(1)
}

fn numbered_key(base: &str, number: u64) -> String {
    format!("{base}.{number}")
}

/// The zone that lists the zones of a server.
pub fn catalog(namespace: &str, instance: &str) -> String {
    format!("{instance}.{namespace}.catalog.bindy")
}

/// The labels by which a server's pods are selected.
pub fn selector(instance: &str, manager: &str, role: Role) -> BTreeMap<String, String> {
    let labels = [
        ("app", "bind9"),
        (INSTANCE, instance),
        ("app.kubernetes.io/name", "bind9"),
        ("app.kubernetes.io/instance", instance),
        ("app.kubernetes.io/component", "dns-server"),
        PART_OF,
        ("app.kubernetes.io/managed-by", manager),
        ("bindy.firestoned.io/role", role.name()),
    ];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The labels by which the pods of a role of a cluster are selected.
pub fn role_selector(cluster: &str, role: Role) -> BTreeMap<String, String> {
    let labels = [PART_OF, ("bindy.firestoned.io/cluster", cluster), ("bindy.firestoned.io/role", role.name())];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Who has the key of transfers to a server: its cluster, or itself.
pub fn key_owner(server: &Server) -> &str {
    server.cluster_name.as_ref().unwrap_or(&server.id.name)
}
