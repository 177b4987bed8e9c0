//! Which pods have answered to which key. A pod that has answered to a key counts for as long as it is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use bindy_server::{control::takes_key, keys::Key};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    material::Material,
    rotation::{Lacking, LackingPod, Stands},
};
use crate::{
    cluster::Store,
    object::{ObjectId, Type},
    render::names,
    rounds::{Ask, Reply},
    servers::ServerId,
};

/// The pods of servers, and what they have answered to.
#[derive(Default)]
pub(super) struct Proofs {
    pods: BTreeMap<ServerId, Vec<Pod>>,
    /// The namespaces of which all pods were seen.
    listed: BTreeSet<String>,
    /// Why pods of a namespace could not be seen, the last time.
    hidden: BTreeMap<String, String>,
    proven: BTreeMap<PodId, Material>,
    /// Who is to be asked now.
    open: Vec<Question>,
}

/// A pod. One of the same name that comes later is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PodId {
    id: ObjectId,
    uid: String,
}

struct Pod {
    id: PodId,
    /// `None` as long as it has no address.
    at: Option<SocketAddr>,
    stands: Stands,
}

/// The question whether a pod takes a key.
#[derive(Clone)]
pub(super) struct Question {
    pod: PodId,
    at: SocketAddr,
    material: Material,
    key: Key,
}

impl Proofs {
    /// Takes over which pods there are, in these namespaces.
    pub(super) fn see<'n>(&mut self, store: &Store, namespaces: impl Iterator<Item = &'n str>) {
        self.pods.clear();
        self.listed = namespaces.filter(|name| store.is_listed(Type::Pod, name)).map(str::to_owned).collect();
        for (id, pod) in store.of(Type::Pod) {
            if let Some((server, pod)) = read(id, &pod) {
                self.pods.entry(server).or_default().push(pod);
            }
        }
        let there: BTreeSet<&PodId> = self.pods.values().flatten().map(|pod| &pod.id).collect();
        self.proven.retain(|pod, _| there.contains(pod));
    }

    /// The pods of a namespace cannot be seen. It changes nothing where they were seen before.
    pub(super) fn hide(&mut self, namespace: &str, why: &str) {
        self.hidden.insert(namespace.to_owned(), why.to_owned());
    }

    /// The pods of a server that have not answered to a key, and are to be asked; none if there is no such key. `None` if
    /// it is not known yet which pods there are.
    pub(super) fn lacking(&mut self, server: &ServerId, key: Option<&Material>) -> Option<Lacking> {
        if !self.listed.contains(&server.namespace) {
            return self.hidden.get(&server.namespace).cloned().map(Lacking::Hidden);
        }
        let mut lacking = Vec::new();
        let Some(material) = key else { return Some(Lacking::default()) };
        for pod in self.pods.get(server).into_iter().flatten() {
            if self.proven.get(&pod.id) == Some(material) {
                continue;
            }
            lacking.push(LackingPod { name: pod.id.id.name.clone(), stands: pod.stands });
            if let (Some(at), Some(key)) = (pod.at, material.key()) {
                self.open.push(Question { pod: pod.id.clone(), at, material: material.clone(), key });
            }
        }
        Some(Lacking::Pods(lacking))
    }

    /// Who is to be asked, since this was called last.
    pub(super) fn questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.open)
    }

    /// A pod has answered to a key.
    pub(super) fn proven(&mut self, (pod, key): (PodId, Material)) {
        self.proven.insert(pod, key);
    }
}

/// A pod of a server, unless it has ended.
fn read(id: &ObjectId, pod: &Value) -> Option<(ServerId, Pod)> {
    let (metadata, status) = (&pod["metadata"], &pod["status"]);
    let server = metadata["labels"]["instance"].as_str()?.to_owned();
    if matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let conditions = status["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let since = ready.map_or(&metadata["creationTimestamp"], |ready| &ready["lastTransitionTime"]);
    let since = since.as_str().and_then(|time| time.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    let stands = match ready {
        _ if metadata.get("deletionTimestamp").is_some() => Stands::Leaving,
        Some(ready) if ready["status"] == "True" => Stands::Ready,
        _ => Stands::Unready { since },
    };
    let address = status["podIP"].as_str().and_then(|address| address.parse().ok());
    let pod = Pod {
        id: PodId { id: id.clone(), uid: metadata["uid"].as_str().unwrap_or_default().to_owned() },
        at: address.map(|address| SocketAddr::new(address, names::RNDC_PORT)),
        stands,
    };
    Some((ServerId { namespace: id.namespace.clone(), name: server }, pod))
}

impl Ask for Question {
    type Answer = (PodId, Material);

    fn whom(&self) -> SocketAddr {
        self.at
    }

    fn is_same(&self, other: &Question) -> bool {
        self.pod == other.pod && self.at == other.at && self.material == other.material
    }

    async fn ask(self) -> Reply<(PodId, Material)> {
        match takes_key(self.at, &self.key).await {
            Ok(true) => Reply::Answer((self.pod, self.material)),
            // It has not heard of it yet.
            Ok(false) => Reply::Nothing,
            Err(_) => Reply::Silence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::keys::RndcAlgorithm,
        cluster::{Seen, Text},
    };
    use serde_json::json;

    #[test]
    fn a_pod_counts_by_itself_and_until_it_ends() {
        let server = ServerId { namespace: "dns".into(), name: "a".into() };
        let (mut store, mut proofs) = (Store::default(), Proofs::default());
        let [key, other] = [1, 2].map(|_| Material::random("k".into(), RndcAlgorithm::default()).unwrap());
        let mut see = |proofs: &mut Proofs, uid: &str, ready: &str, phase: &str| {
            let pod = json!({
                "metadata": { "uid": uid, "labels": { "instance": "a" } },
                "status": {
                    "phase": phase,
                    "podIP": "192.0.2.1",
                    "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": "2026-01-31T12:00:00Z" }],
                },
            });
            let mut pod = pod;
            if ready == "leaves" {
                pod["metadata"]["deletionTimestamp"] = json!("2026-01-31T12:00:00Z");
            }
            let id = ObjectId { of: Type::Pod, namespace: "dns".into(), name: "a-1".into() };
            let all = Seen::All(Type::Pod, "dns".into(), vec![(id, Text::from(&pod))]);
            store.take(all, &mut BTreeSet::new());
            proofs.see(&store, ["dns"].into_iter());
        };
        assert!(proofs.lacking(&server, Some(&key)).is_none(), "nobody knows which pods there are");
        proofs.hide("dns", "forbidden");
        assert_eq!(proofs.lacking(&server, Some(&key)), Some(Lacking::Hidden("forbidden".into())));
        see(&mut proofs, "1", "True", "Running");
        let lacks = |stands| Some(Lacking::Pods(vec![LackingPod { name: "a-1".into(), stands }]));
        assert_eq!(proofs.lacking(&server, Some(&key)), lacks(Stands::Ready));
        let asked = proofs.questions();
        assert_eq!((asked.len(), proofs.questions().len()), (1, 0));
        proofs.proven((asked[0].pod.clone(), key.clone()));
        assert_eq!(proofs.lacking(&server, Some(&key)), Some(Lacking::default()));
        assert_eq!(proofs.lacking(&server, Some(&other)), lacks(Stands::Ready));
        see(&mut proofs, "2", "False", "Running");
        let unready = Stands::Unready { since: "2026-01-31T12:00:00Z".parse().unwrap() };
        assert_eq!(proofs.lacking(&server, Some(&key)), lacks(unready), "another pod of the same name");
        see(&mut proofs, "2", "leaves", "Running");
        assert_eq!(proofs.lacking(&server, Some(&key)), lacks(Stands::Leaving), "until somebody has seen its end");
        see(&mut proofs, "2", "False", "Failed");
        assert_eq!(proofs.lacking(&server, Some(&key)), Some(Lacking::default()));
    }
}
