//! Which pods have answered to which key: to a command, or to a question for the list of their zones. A pod that has
//! answered to a key counts for as long as it is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use bindy_server::{control::takes_key, keys::Key, tsig::TsigKey};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use zonefmt::Name;

use super::{
    Purpose,
    material::Material,
    rotation::{Lacking, LackingPod, Stands},
};
use crate::{
    cluster::Store,
    object::{ObjectId, Type},
    render::names,
    rounds::{Ask, Reply},
    servers::ServerId,
    soa,
};

/// The pods of servers, and what they have answered to.
#[derive(Default)]
pub(super) struct Proofs {
    pods: BTreeMap<ServerId, Vec<Pod>>,
    /// The namespaces of which all pods were seen.
    listed: BTreeSet<String>,
    /// The namespaces whose pods could not be seen lately.
    outages: BTreeMap<String, Outage>,
    proven: BTreeMap<(PodId, Purpose), Material>,
    /// Who is to be asked now.
    open: Vec<Question>,
}

/// That pods cannot be seen.
struct Outage {
    since: Timestamp,
    /// When that was tried last.
    last: Timestamp,
    why: String,
}

/// How long pods that were seen count as they were then.
const TRUSTED: SignedDuration = SignedDuration::from_mins(1);
/// The longest time between two trials. Nobody tells that one has come to something, if no pod changes.
const TRIALS: SignedDuration = SignedDuration::from_mins(2);

/// A pod. One of the same name that comes later is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PodId {
    id: ObjectId,
    uid: String,
}

struct Pod {
    id: PodId,
    /// `None` as long as it has no address.
    at: Option<IpAddr>,
    stands: Stands,
}

/// The question whether a pod takes a key.
#[derive(Clone)]
pub(super) struct Question {
    pod: PodId,
    purpose: Purpose,
    at: SocketAddr,
    material: Material,
    how: How,
}

/// How a pod shows that it takes a key.
#[derive(Clone)]
enum How {
    /// It answers to a command.
    Command(Key),
    /// It answers for the list of its zones.
    Query(Name, TsigKey),
}

/// What a pod has answered to.
pub(super) type Proof = (PodId, Purpose, Material);

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
        self.proven.retain(|(pod, _), _| there.contains(pod));
    }

    /// The pods of a namespace cannot be seen. Those that were seen before count still for [`TRUSTED`].
    pub(super) fn hide(&mut self, namespace: &str, why: &str, now: Timestamp) {
        let former = self.outages.get(namespace).filter(|outage| outage.is_new(now));
        let since = former.map_or(now, |outage| outage.since);
        self.outages.insert(namespace.to_owned(), Outage { since, last: now, why: why.to_owned() });
    }

    /// Something of the pods of a namespace was seen.
    pub(super) fn show(&mut self, namespace: &str) {
        self.outages.remove(namespace);
    }

    /// The pods of servers of a namespace that have not answered to a key, and are to be asked; none if there is no such
    /// key. `None` if it is not known yet which pods there are.
    pub(super) fn lacking(
        &mut self,
        purpose: Purpose,
        servers: &[ServerId],
        key: Option<&Material>,
        now: Timestamp,
    ) -> Option<Lacking> {
        let Some(ServerId { namespace, .. }) = servers.first() else { return Some(Lacking::default()) };
        let (is_listed, outage) = (self.listed.contains(namespace), self.outages.get(namespace));
        if let Some(outage) = outage.filter(|outage| !is_listed || outage.is_long(now)) {
            return Some(Lacking::Hidden(outage.why.clone()));
        }
        if !is_listed {
            return None;
        }
        let mut lacking = Vec::new();
        let Some(material) = key else { return Some(Lacking::default()) };
        for server in servers {
            for pod in self.pods.get(server).into_iter().flatten() {
                let is_proven = self.proven.get(&(pod.id.clone(), purpose)) == Some(material);
                // One without an address begins with what the Secret has then, whenever it is begun.
                if is_proven || purpose == Purpose::Transfer && pod.at.is_none() {
                    continue;
                }
                lacking.push(LackingPod { name: pod.id.id.name.clone(), stands: pod.stands });
                self.open.extend(pod.question(server, purpose, material));
            }
        }
        Some(Lacking::Pods(lacking))
    }

    /// Who is to be asked, since this was called last.
    pub(super) fn questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.open)
    }

    /// A pod has answered to a key.
    pub(super) fn proven(&mut self, (pod, purpose, key): Proof) {
        self.proven.insert((pod, purpose), key);
    }
}

impl Pod {
    /// What it is to be asked, if it can be.
    fn question(&self, server: &ServerId, purpose: Purpose, material: &Material) -> Option<Question> {
        let (port, how) = match purpose {
            Purpose::Control => (names::RNDC_PORT, How::Command(material.key()?)),
            Purpose::Transfer => {
                let catalog = Name::from_ascii(names::catalog(&server.namespace, &server.name)).ok()?;
                (names::DNS_PORT, How::Query(catalog, material.tsig()?))
            }
        };
        let (at, material) = (SocketAddr::new(self.at?, port), material.clone());
        Some(Question { pod: self.id.clone(), purpose, at, material, how })
    }
}

impl Outage {
    /// Whether it has not come to an end, as far as one can know.
    fn is_new(&self, now: Timestamp) -> bool {
        self.last.duration_until(now) < TRIALS
    }

    /// Whether nobody can know any more which pods there are.
    fn is_long(&self, now: Timestamp) -> bool {
        self.is_new(now) && self.since.duration_until(now) >= TRUSTED
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
        at: address,
        stands,
    };
    Some((ServerId { namespace: id.namespace.clone(), name: server }, pod))
}

impl Ask for Question {
    type Answer = Proof;

    fn whom(&self) -> SocketAddr {
        self.at
    }

    fn is_same(&self, other: &Question) -> bool {
        self.pod == other.pod && self.at == other.at && self.material == other.material
    }

    async fn ask(self) -> Reply<Proof> {
        let reply = match self.how {
            How::Command(key) => match takes_key(self.at, &key).await {
                Ok(true) => Reply::Answer(()),
                // It has not heard of it yet.
                Ok(false) => Reply::Nothing,
                Err(_) => Reply::Silence,
            },
            // The version does not matter, but that the answer is signed.
            How::Query(catalog, key) => soa::version(&catalog, self.at, key).await.map(|_| ()),
        };
        reply.map(|()| (self.pod, self.purpose, self.material))
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

    fn at(time: &str) -> Timestamp {
        format!("2026-01-31T{time}Z").parse().unwrap()
    }

    #[test]
    fn who_sees_pods_no_more_says_so_after_a_while_and_goes_on_when_they_are_seen() {
        let of_it = [ServerId { namespace: "dns".into(), name: "a".into() }];
        let (mut store, mut proofs) = (Store::default(), Proofs::default());
        store.take(Seen::All(Type::Pod, "dns".into(), Vec::new()), &mut BTreeSet::new());
        proofs.see(&store, ["dns"].into_iter());
        let hidden = Some(Lacking::Hidden("forbidden".into()));
        proofs.hide("dns", "forbidden", at("12:00:00"));
        assert_eq!(proofs.lacking(Purpose::Control, &of_it, None, at("12:00:59")), Some(Lacking::default()));
        proofs.hide("dns", "forbidden", at("12:00:50"));
        assert_eq!(proofs.lacking(Purpose::Control, &of_it, None, at("12:01:00")), hidden);
        assert_eq!(
            proofs.lacking(Purpose::Control, &of_it, None, at("12:02:50")),
            Some(Lacking::default()),
            "it was tried since"
        );
        proofs.hide("dns", "forbidden", at("12:03:00"));
        assert_eq!(
            proofs.lacking(Purpose::Control, &of_it, None, at("12:03:10")),
            Some(Lacking::default()),
            "that is another time"
        );
        proofs.hide("dns", "forbidden", at("12:04:10"));
        assert_eq!(proofs.lacking(Purpose::Control, &of_it, None, at("12:04:10")), hidden);
        proofs.show("dns");
        assert_eq!(proofs.lacking(Purpose::Control, &of_it, None, at("12:04:20")), Some(Lacking::default()));
    }

    #[test]
    fn a_pod_counts_by_itself_and_until_it_ends() {
        let of_it = [ServerId { namespace: "dns".into(), name: "a".into() }];
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
        assert!(
            proofs.lacking(Purpose::Control, &of_it, Some(&key), at("12:00:00")).is_none(),
            "nobody knows which pods there are"
        );
        proofs.hide("dns", "forbidden", at("12:00:00"));
        assert_eq!(
            proofs.lacking(Purpose::Control, &of_it, Some(&key), at("12:00:00")),
            Some(Lacking::Hidden("forbidden".into()))
        );
        proofs.show("dns");
        see(&mut proofs, "1", "True", "Running");
        let lacks = |stands| Some(Lacking::Pods(vec![LackingPod { name: "a-1".into(), stands }]));
        assert_eq!(proofs.lacking(Purpose::Control, &of_it, Some(&key), at("12:00:00")), lacks(Stands::Ready));
        let asked = proofs.questions();
        assert_eq!((asked.len(), proofs.questions().len()), (1, 0));
        proofs.proven((asked[0].pod.clone(), Purpose::Control, key.clone()));
        assert_eq!(proofs.lacking(Purpose::Control, &of_it, Some(&key), at("12:00:00")), Some(Lacking::default()));
        assert_eq!(proofs.lacking(Purpose::Control, &of_it, Some(&other), at("12:00:00")), lacks(Stands::Ready));
        see(&mut proofs, "2", "False", "Running");
        let unready = Stands::Unready { since: "2026-01-31T12:00:00Z".parse().unwrap() };
        assert_eq!(
            proofs.lacking(Purpose::Control, &of_it, Some(&key), at("12:00:00")),
            lacks(unready),
            "another pod of the same name"
        );
        see(&mut proofs, "2", "leaves", "Running");
        assert_eq!(
            proofs.lacking(Purpose::Control, &of_it, Some(&key), at("12:00:00")),
            lacks(Stands::Leaving),
            "until somebody has seen its end"
        );
        see(&mut proofs, "2", "False", "Failed");
        assert_eq!(proofs.lacking(Purpose::Control, &of_it, Some(&key), at("12:00:00")), Some(Lacking::default()));
    }
}
