//! Which configuration servers have in effect, as their pods were heard to tell. It is to be that of their ConfigMap.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Instant,
};

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    readiness::{ConfigQuestion, Refused, Told},
    seen,
    truth::GRACE,
};
use crate::{
    cluster::Store,
    object::{Object, ObjectId, Type, is_to_go},
    render::names,
    servers::ServerId,
};

/// What was heard of all pods.
#[derive(Default)]
pub(super) struct Configs {
    pods: BTreeMap<ObjectId, Pod>,
    /// The servers of which it is known what they are to have.
    servers: BTreeSet<ServerId>,
}

struct Pod {
    server: ServerId,
    at: SocketAddr,
    /// The hash of the `named.conf` that it is to have.
    wanted: String,
    /// When it was seen first.
    since: Instant,
    told: Option<Told>,
}

/// What a server is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InEffect {
    /// Nothing speaks against it that all its pods have what they are to have.
    Wanted,
    /// A pod may tell any moment.
    Unknown,
    /// This pod has another configuration.
    Pending(String),
    /// This pod has refused what it is to have, and why.
    Refused(String, String),
}

impl Configs {
    /// Takes over which pods there are, and what they are to have; returns the servers for which that is new.
    pub(super) fn expect(
        &mut self,
        store: &Store,
        wanted: &BTreeMap<ObjectId, Object>,
        now: Instant,
    ) -> BTreeSet<ServerId> {
        let hashes = hashes(wanted);
        let mut former = std::mem::take(&mut self.pods);
        let mut changed = BTreeSet::new();
        for (id, pod) in store.of(Type::Pod) {
            let Some((server, at)) = running(id, &pod) else { continue };
            let Some(wanted) = hashes.get(&server) else { continue };
            let known = former.remove(id).filter(|known| known.at == at && known.server == server);
            if known.as_ref().is_none_or(|known| known.wanted != *wanted) {
                changed.insert(server.clone());
            }
            let (since, told) = known.map_or((now, None), |known| (known.since, known.told));
            self.pods.insert(id.clone(), Pod { server, at, wanted: wanted.clone(), since, told });
        }
        changed.extend(former.into_values().map(|pod| pod.server));
        self.servers = hashes.into_keys().collect();
        changed
    }

    /// A pod has told this; returns its server, if that is new.
    pub(super) fn told(&mut self, pod: &ObjectId, told: Told) -> Option<&ServerId> {
        let pod = self.pods.get_mut(pod)?;
        let is_new = pod.told.as_ref() != Some(&told);
        pod.told = Some(told);
        is_new.then_some(&pod.server)
    }

    /// What is to be asked.
    pub(super) fn open(&self) -> impl Iterator<Item = ConfigQuestion> {
        let open = self.pods.iter().filter(|(_, pod)| !matches!(pod.told, Some(Told::Nothing)) && !pod.has_wanted());
        open.map(|(id, pod)| ConfigQuestion { pod: id.clone(), at: pod.at })
    }

    /// Whether each pod of a server that runs has told that it has what it is to have.
    pub(super) fn is_everywhere(&self, server: &ServerId) -> bool {
        self.servers.contains(server) && self.pods.values().all(|pod| pod.server != *server || pod.has_wanted())
    }

    /// What the pods of a server have in effect.
    pub(super) fn of(&self, server: &ServerId, now: Instant) -> InEffect {
        let pods = || self.pods.iter().filter(|(_, pod)| pod.server == *server);
        if let Some((id, refused)) = pods().find_map(|(id, pod)| Some((id, pod.refused()?))) {
            return InEffect::Refused(id.name.clone(), refused.why.clone());
        }
        let has_other = |pod: &Pod| matches!(pod.told, Some(Told::Config { .. })) && !pod.has_wanted();
        if let Some((id, _)) = pods().find(|(_, pod)| has_other(pod)) {
            return InEffect::Pending(id.name.clone());
        }
        let is_early = |pod: &Pod| pod.told.is_none() && now.saturating_duration_since(pod.since) < GRACE;
        if pods().any(|(_, pod)| is_early(pod)) { InEffect::Unknown } else { InEffect::Wanted }
    }
}

impl Pod {
    fn has_wanted(&self) -> bool {
        matches!(&self.told, Some(Told::Config { hash, refused: None }) if *hash == self.wanted)
    }

    /// What it refuses, if it is no earlier configuration than that which it is to have. It may be an included file that is
    /// wrong.
    fn refused(&self) -> Option<&Refused> {
        let Some(Told::Config { refused: Some(refused), .. }) = &self.told else { return None };
        refused.hash.as_ref().is_none_or(|hash| *hash == self.wanted).then_some(refused)
    }
}

/// The hash of the `named.conf` that the pods of each server are to have.
fn hashes(wanted: &BTreeMap<ObjectId, Object>) -> BTreeMap<ServerId, String> {
    let deployments = wanted.keys().filter(|id| id.of == Type::Deployment);
    let hashes = deployments.filter_map(|ObjectId { namespace, name, .. }| {
        let map = ObjectId { of: Type::ConfigMap, namespace: namespace.clone(), name: names::config_map(name) };
        let text = wanted.get(&map)?.body["data"]["named.conf"].as_str()?;
        let server = ServerId { namespace: namespace.clone(), name: name.clone() };
        Some((server, HEXLOWER.encode(&Sha256::digest(text))))
    });
    hashes.collect()
}

/// The server of a pod that runs, and where the pod tells its state.
fn running(id: &ObjectId, pod: &Value) -> Option<(ServerId, SocketAddr)> {
    let (server, address) = seen::pod_of_server(id, pod)?;
    let runs = !is_to_go(pod) && pod["status"]["phase"] == "Running";
    runs.then(|| (server, SocketAddr::new(address, names::HTTP_PORT)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Seen, Text};
    use serde_json::json;

    fn pod(name: &str) -> ObjectId {
        ObjectId { of: Type::Pod, namespace: "dns".into(), name: name.into() }
    }

    fn hash(text: &str) -> String {
        HEXLOWER.encode(&Sha256::digest(text))
    }

    /// A Deployment, and its ConfigMap.
    fn objects(text: &str) -> BTreeMap<ObjectId, Object> {
        let object = |of, name: &str, fields: Value| {
            let id = ObjectId { of, namespace: "dns".into(), name: name.into() };
            (id.clone(), Object::new(id, json!({}), fields))
        };
        BTreeMap::from([
            object(Type::ConfigMap, "a-config", json!({ "data": { "named.conf": text } })),
            object(Type::Deployment, "a", json!({})),
        ])
    }

    #[test]
    fn pods_are_asked_until_they_have_what_they_are_to_have() {
        let (mut store, mut configs, now) = (Store::default(), Configs::default(), Instant::now());
        let server = ServerId { namespace: "dns".into(), name: "a".into() };
        let mut run = |name: &str, ip: &str| {
            let status = json!({ "phase": "Running", "podIP": ip });
            let object = json!({ "metadata": { "labels": { "instance": "a" } }, "status": status });
            store.take(Seen::Put(pod(name), Text::from(&object)), &mut BTreeSet::new());
        };
        run("a-1", "192.0.2.1");
        run("a-2", "192.0.2.2");
        let of_us = BTreeSet::from([server.clone()]);
        assert_eq!(configs.expect(&store, &objects("one"), now), of_us);
        assert!(configs.expect(&store, &objects("one"), now).is_empty());
        let config = |text: &str, refused: Option<&str>| {
            let refused = refused.map(|text| Refused { hash: Some(hash(text)), why: "why".into() });
            Told::Config { hash: hash(text), refused }
        };
        let open = |configs: &Configs| configs.open().map(|it| it.pod.name).collect::<Vec<_>>();
        assert_eq!(open(&configs), ["a-1", "a-2"]);
        assert_eq!(configs.of(&server, now), InEffect::Unknown);
        assert!(!configs.is_everywhere(&server));
        assert_eq!(configs.of(&server, now + GRACE), InEffect::Wanted, "who tells nothing may be another server");
        configs.told(&pod("a-1"), config("one", None));
        configs.told(&pod("a-2"), config("one", None));
        assert!(configs.is_everywhere(&server));
        assert_eq!(configs.told(&pod("a-1"), Told::Nothing), Some(&server));
        assert!(!configs.is_everywhere(&server), "nobody knows what it has");
        configs.told(&pod("a-2"), config("zero", None));
        assert_eq!(configs.told(&pod("a-2"), config("one", None)), Some(&server));
        assert_eq!(configs.told(&pod("a-2"), config("one", None)), None);
        assert_eq!((open(&configs), configs.of(&server, now)), (vec![], InEffect::Wanted));

        assert_eq!(configs.expect(&store, &objects("two"), now), of_us);
        assert_eq!((open(&configs), configs.of(&server, now)), (vec!["a-2".into()], InEffect::Pending("a-2".into())));
        configs.told(&pod("a-2"), config("one", Some("zero")));
        assert_eq!(configs.of(&server, now), InEffect::Pending("a-2".into()), "that one is not wanted any more");
        configs.told(&pod("a-2"), config("one", Some("two")));
        assert_eq!(configs.of(&server, now), InEffect::Refused("a-2".into(), "why".into()));
        configs.told(&pod("a-2"), config("two", Some("two")));
        assert_eq!(configs.of(&server, now), InEffect::Refused("a-2".into(), "why".into()), "as for an included file");
        configs.told(&pod("a-2"), config("two", None));
        assert_eq!((open(&configs), configs.of(&server, now)), (vec![], InEffect::Wanted));

        // A server that is refused is to have nothing.
        assert_eq!(configs.expect(&store, &BTreeMap::new(), now), of_us);
        assert!(open(&configs).is_empty() && !configs.is_everywhere(&server));
    }
}
