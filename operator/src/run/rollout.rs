//! Which Deployments may be changed now. A change of a pod template replaces all pods of a server, so that servers which
//! stand in for each other, those of a cluster or of a zone, have their turn one after another: each when the others
//! have their pods, and these their zones, again.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use serde_json::Value;

use crate::{
    api::Role,
    cluster::Store,
    object::{Object, ObjectId, Type},
    render::names,
    servers::ServerId,
};

/// What is known of servers beyond their Deployments.
#[derive(Default)]
pub(super) struct Known<'k> {
    /// The servers of zones; each set of servers once.
    pub(super) of_zones: BTreeSet<Vec<&'k ServerId>>,
    /// The servers that lack a zone which another server of the zone has.
    pub(super) lacking: BTreeSet<&'k ServerId>,
}

/// A Deployment that is to be, beside what it is.
struct Server<'s> {
    id: ServerId,
    wanted: &'s Value,
    live: Value,
}

/// Whose turn it is to have its pods replaced, and who waits for it.
#[derive(Default)]
pub(super) struct Turns {
    waiting: BTreeMap<ServerId, ServerId>,
}

impl Turns {
    /// Leaves those objects due whose turn it is, and adds those that have waited for it. Returns the servers for which
    /// something else holds than before. `known` is asked only if pods are to be replaced at all.
    pub(super) fn choose<'k>(
        &mut self,
        due: &mut BTreeSet<ObjectId>,
        wanted: &BTreeMap<ObjectId, Object>,
        store: &Store,
        known: impl FnOnce() -> Known<'k>,
    ) -> BTreeSet<ServerId> {
        due.extend(self.waiting.keys().map(deployment));
        if !due.iter().any(|id| id.of == Type::Deployment) {
            return BTreeSet::new();
        }
        let former = mem::replace(&mut self.waiting, waiting(wanted, store, known));
        for server in self.waiting.keys() {
            due.remove(&deployment(server));
        }
        let all = former.keys().chain(self.waiting.keys());
        all.filter(|server| former.get(server) != self.waiting.get(server)).cloned().collect()
    }

    /// The server that a server waits for.
    pub(super) fn awaited_by(&self, server: &ServerId) -> Option<&ServerId> {
        self.waiting.get(server)
    }
}

/// The Deployment of a server.
pub(super) fn deployment(ServerId { namespace, name }: &ServerId) -> ObjectId {
    ObjectId { of: Type::Deployment, namespace: namespace.clone(), name: name.clone() }
}

/// The servers whose Deployment must not be changed now, each with the server that it waits for.
fn waiting<'k>(
    wanted: &BTreeMap<ObjectId, Object>,
    store: &Store,
    known: impl FnOnce() -> Known<'k>,
) -> BTreeMap<ServerId, ServerId> {
    let deployments = wanted.iter().filter(|(id, _)| id.of == Type::Deployment);
    // One that is new serves nobody yet.
    let servers = deployments.filter_map(|(id, object)| {
        let (live, id) = (store.get(id)?, ServerId { namespace: id.namespace.clone(), name: id.name.clone() });
        Some(Server { id, wanted: &object.body, live })
    });
    let servers: Vec<Server<'_>> = servers.collect();
    let mut next: Vec<&Server<'_>> = servers.iter().filter(|server| server.changes() && !server.is_down()).collect();
    if next.is_empty() {
        return BTreeMap::new();
    }
    let known = known();
    let is_away =
        |server: &&Server<'_>| server.is_down() || is_rolling(&server.live) || known.lacking.contains(&server.id);
    let mut away: BTreeSet<&ServerId> = servers.iter().filter(is_away).map(|server| &server.id).collect();
    // Whoever is being replaced already goes on, whatever its role and name.
    next.sort_by_key(|server| (!away.contains(&server.id), !server.is_secondary(), &server.id));
    let mut waiting = BTreeMap::new();
    for server in next {
        let mut others = servers.iter().filter(|other| other.id != server.id && away.contains(&other.id));
        if let Some(other) = others.find(|other| server.is_peer(other, &known)) {
            waiting.insert(server.id.clone(), other.id.clone());
        } else {
            away.insert(&server.id);
        }
    }
    waiting
}

/// Whether pods of a Deployment are being replaced.
pub(super) fn is_rolling(live: &Value) -> bool {
    let is_seen = live["status"]["observedGeneration"].as_u64() >= live["metadata"]["generation"].as_u64();
    let updated = count(live, "updatedReplicas");
    !is_seen || updated < replicas(live) || count(live, "replicas") > updated
}

fn replicas(live: &Value) -> u64 {
    live["spec"]["replicas"].as_u64().unwrap_or(1)
}

fn count(live: &Value, field: &str) -> u64 {
    live["status"][field].as_u64().unwrap_or(0)
}

impl Server<'_> {
    /// Whether its pods are to be replaced. An API server may store a template otherwise than it was told, so that only
    /// the hash says so.
    fn changes(&self) -> bool {
        let hash = names::ours(names::TEMPLATE_HASH);
        self.live["metadata"]["annotations"][&hash] != self.wanted["metadata"]["annotations"][&hash]
    }

    /// Whether it should have pods, and has none that is ready.
    fn is_down(&self) -> bool {
        replicas(&self.live) > 0 && count(&self.live, "readyReplicas") == 0
    }

    fn is_secondary(&self) -> bool {
        self.wanted["metadata"]["labels"][names::ours("role")] == Role::Secondary.name()
    }

    /// Whether the two stand in for each other.
    fn is_peer(&self, other: &Server<'_>, known: &Known<'_>) -> bool {
        let cluster = |server: &Server<'_>| server.wanted["metadata"]["labels"][names::ours("cluster")].clone();
        let of_cluster =
            self.id.namespace == other.id.namespace && cluster(self).is_string() && cluster(self) == cluster(other);
        of_cluster || known.of_zones.iter().any(|set| set.contains(&&self.id) && set.contains(&&other.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Seen, Text};
    use serde_json::json;

    /// Deployments that are to be, and those that are.
    #[derive(Default)]
    struct Site {
        wanted: BTreeMap<ObjectId, Object>,
        store: Store,
    }

    fn id(name: &str) -> ObjectId {
        ObjectId { of: Type::Deployment, namespace: "dns".into(), name: name.into() }
    }

    fn server(name: &str) -> ServerId {
        ServerId { namespace: "dns".into(), name: name.into() }
    }

    /// The status of a Deployment: how many pods there are, are of the newest template and are ready.
    fn status(replicas: u64, updated: u64, ready: u64) -> Value {
        json!({
            "observedGeneration": 1, "replicas": replicas, "updatedReplicas": updated, "readyReplicas": ready,
        })
    }

    fn metadata(cluster: Option<&str>, role: Role, image: &str) -> Value {
        json!({
            "labels": { names::ours("cluster"): cluster, names::ours("role"): role.name() },
            "annotations": { names::ours(names::TEMPLATE_HASH): image },
        })
    }

    fn template(image: &str) -> Value {
        json!({ "template": { "spec": { "containers": [{ "image": image }] } }, "replicas": 1 })
    }

    impl Site {
        /// The server is to have this image.
        fn wants(mut self, name: &str, cluster: Option<&str>, role: Role, image: &str) -> Site {
            let object = Object::new(id(name), metadata(cluster, role, image), json!({ "spec": template(image) }));
            self.wanted.insert(id(name), object);
            self
        }

        /// The server has this image.
        fn has(mut self, name: &str, image: &str, status: &Value) -> Site {
            let mut metadata = metadata(None, Role::Primary, image);
            metadata["generation"] = json!(1);
            let object = json!({ "metadata": metadata, "spec": template(image), "status": status });
            self.store.take(Seen::Put(id(name), Text::from(&object)), &mut BTreeSet::new());
            self
        }

        fn waiting(&self) -> Vec<(String, String)> {
            self.waiting_knowing(Known::default())
        }

        fn waiting_knowing(&self, known: Known<'_>) -> Vec<(String, String)> {
            let waiting = waiting(&self.wanted, &self.store, || known);
            waiting.into_iter().map(|(server, other)| (server.name, other.name)).collect()
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(one, other)| ((*one).into(), (*other).into())).collect()
    }

    /// Three servers of a cluster with the image `v2`, where they had `v1`.
    fn cluster() -> Site {
        let site =
            Site::default().wants("a", Some("ns"), Role::Primary, "v2").wants("b", Some("ns"), Role::Primary, "v2");
        site.wants("c", Some("ns"), Role::Secondary, "v2")
    }

    #[test]
    fn the_servers_of_a_cluster_are_replaced_one_after_another_secondaries_first() {
        let (old, new) = (status(1, 1, 1), status(1, 1, 1));
        let site = cluster().has("a", "v1", &old).has("b", "v1", &old).has("c", "v1", &old);
        assert_eq!(site.waiting(), pairs(&[("a", "c"), ("b", "c")]));
        // It was changed, and no controller has seen that.
        let mut unseen = old.clone();
        unseen["observedGeneration"] = json!(0);
        let site = cluster().has("a", "v1", &old).has("b", "v1", &old);
        for rolling in [unseen, status(2, 1, 1), status(1, 0, 1), status(1, 1, 0), status(0, 0, 0), json!({})] {
            let site = Site { wanted: site.wanted.clone(), store: Store::default() };
            let site = site.has("a", "v1", &old).has("b", "v1", &old).has("c", "v2", &rolling);
            assert_eq!(site.waiting(), pairs(&[("a", "c"), ("b", "c")]), "{rolling}");
        }
        let site = site.has("c", "v2", &new);
        assert_eq!(site.waiting(), pairs(&[("b", "a")]));
        let site = site.has("a", "v2", &status(2, 1, 1));
        assert_eq!(site.waiting(), pairs(&[("b", "a")]));
        let site = site.has("a", "v2", &new);
        assert!(site.waiting().is_empty());
    }

    #[test]
    fn who_is_new_or_down_or_being_replaced_waits_for_nobody() {
        let (fine, down) = (status(1, 1, 1), status(1, 1, 0));
        let site = cluster().has("b", "v1", &down).has("c", "v1", &down);
        assert!(site.waiting().is_empty(), "a is new, b and c have nothing to lose");
        let site = cluster().has("a", "v1", &fine).has("b", "v1", &status(2, 1, 1)).has("c", "v1", &fine);
        assert_eq!(site.waiting(), pairs(&[("a", "b"), ("c", "b")]), "what b gets was wrong, perhaps");
    }

    #[test]
    fn what_replaces_no_pod_waits_for_nobody() {
        let mut site = cluster().has("a", "v2", &status(1, 1, 1)).has("b", "v2", &status(1, 1, 0));
        site.wanted.get_mut(&id("a")).unwrap().body["spec"]["replicas"] = json!(3);
        assert!(site.waiting().is_empty());
        let hash = names::ours(names::TEMPLATE_HASH);
        site.wanted.get_mut(&id("a")).unwrap().body["metadata"]["annotations"][hash] = json!("less");
        assert_eq!(site.waiting(), pairs(&[("a", "b")]));
    }

    #[test]
    fn servers_with_nothing_in_common_are_replaced_at_once_and_those_of_a_zone_are_not() {
        let fine = status(1, 1, 1);
        let site = Site::default().wants("a", None, Role::Primary, "v2").wants("b", None, Role::Primary, "v2");
        let site = site.wants("c", Some("ns"), Role::Primary, "v2").wants("d", Some("other"), Role::Primary, "v2");
        let site = ["a", "b", "c", "d"].into_iter().fold(site, |site, name| site.has(name, "v1", &fine));
        assert!(site.waiting().is_empty());
        let (a, b, d) = (server("a"), server("b"), server("d"));
        let of_zones = BTreeSet::from([vec![&a, &d], vec![&b]]);
        assert_eq!(
            site.waiting_knowing(Known { of_zones: of_zones.clone(), lacking: BTreeSet::new() }),
            pairs(&[("d", "a")])
        );
        // The one that lacks a zone is replaced, if need be, and the other waits.
        assert_eq!(site.waiting_knowing(Known { of_zones, lacking: BTreeSet::from([&d]) }), pairs(&[("a", "d")]));
    }
}
