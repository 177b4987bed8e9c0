//! What is to be done about a Secret: a function of what was seen, and of the time. Only new keys are left to chance.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    IN_USE, Purpose,
    material::{self, Data, Material, Ring, field},
    proofs::Proofs,
    rotation::{self, GRACE, Lacking, LackingPod, Phase, Policy, Record, Rest, Stands, Step, WAITING, name},
    wanted::{From, Wanted},
};
use crate::{api::keys::RndcSecretRef, cluster::Store, object::ObjectId, render::names, servers::ServerId};

/// What is to be done about a Secret.
pub(super) enum Due {
    /// It is made.
    Make {
        /// Its key; `None` if a former version may have made one.
        ring: Option<Ring>,
        others: Vec<Material>,
    },
    Change(Change),
}

/// A change of a Secret that is there.
pub(super) struct Change {
    /// The version of the Secret that it is a change of.
    pub(super) version: String,
    /// The data and the annotations that differ; `None` for those that are not to be there any more.
    pub(super) data: Data,
    pub(super) annotations: BTreeMap<String, Option<String>>,
    /// What is told of it.
    pub(super) told: Option<String>,
    /// Whether only people are told more exactly what they are told already.
    pub(super) is_detail: bool,
}

/// The annotation with the name of the Secret that a key was taken from, in our group.
pub(super) const KEY_FROM: &str = "key-from";

/// How long pods may take before it is said that they are waited for: longer than kubelets take to bring a Secret to them.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// What a Secret is to have, and what is told of what has led to it.
struct Wish {
    ring: Ring,
    annotations: BTreeMap<String, Option<String>>,
    told: Option<String>,
}

/// What is to be done about a Secret; `None` if nothing, or if it is not known yet. `now` has whole seconds.
///
/// # Errors
/// A Secret of a user's that is not there, or has no key.
pub(super) fn due(wanted: &Wanted, store: &Store, proofs: &mut Proofs, now: Timestamp) -> Result<Option<Due>, String> {
    let there = store.get(&wanted.id);
    if there.as_ref().is_some_and(Value::is_null) {
        // It is not Bindy's.
        return Ok(None);
    }
    let find = |reference: &RndcSecretRef| match store.find(&wanted.secret(&reference.name)) {
        None => Ok(None),
        Some(None) => Err(format!("there is no Secret {}/{}; create it", wanted.id.namespace, reference.name)),
        Some(Some(secret)) => Material::referenced(&secret, reference).map(Some),
    };
    let mut others = Vec::new();
    for reference in &wanted.others {
        match find(reference) {
            Ok(Some(other)) => others.push(other),
            Ok(None) => return Ok(None),
            // A server without any key would not start.
            Err(_) if there.is_none() => {}
            Err(why) => return completed(wanted, there.as_ref(), why),
        }
    }
    let given = match &wanted.from {
        From::Chance { .. } | From::Kept => None,
        From::Secret { reference, restarts } => match find(reference) {
            Ok(Some(used)) => Some((Ring { used, other: None }, reference, *restarts)),
            Ok(None) => return Ok(None),
            Err(why) => return completed(wanted, there.as_ref(), why),
        },
    };
    let Some(there) = there else {
        let ring = match (&wanted.from, given) {
            (_, Some((ring, ..))) => Some(ring),
            (From::Kept, None) => return Ok(None),
            (From::Chance { name, algorithm, template: Some(template), .. }, None) => {
                let used = Material::of_template(template, name, algorithm.unwrap_or_default())?;
                Some(Ring { used, other: None })
            }
            _ => None,
        };
        return Ok(Some(Due::Make { ring, others }));
    };
    let Wish { ring, annotations, told } = match given {
        Some((ring, reference, restarts)) => {
            let data = differing(&there, ring.data(wanted.purpose, false, &others));
            let mut record = Record::of(wanted.purpose, &there["metadata"], now);
            if restarts && data.contains_key(names::KEYS_FILE) {
                record = record.changed_at(now);
            }
            Wish { ring, annotations: wanted.annotations(&record, Some(&reference.name), now), told: None }
        }
        None => match wish(wanted, &there, store, proofs, now)? {
            Some(wish) => wish,
            None => return Ok(None),
        },
    };
    if let From::Kept = wanted.from {
        others = ring.others(&there["data"]);
    }
    let data = differing(&there, ring.data(wanted.purpose, wanted.policy().is_some(), &others));
    Ok(changed(wanted, &there, data, annotations, told))
}

/// What is to be done about a Secret that cannot be made what it is to be: if it has a key, and not the file that servers
/// read, as with one that a former version has made, it gets that.
///
/// # Errors
/// Why it cannot be made, if there is nothing to be done.
fn completed(wanted: &Wanted, there: Option<&Value>, why: String) -> Result<Option<Due>, String> {
    let there = there.filter(|there| field(&there["data"], names::KEYS_FILE).is_none());
    let Some((there, ring)) = there.and_then(|there| Some((there, Ring::of(wanted.purpose, &there["data"])?))) else {
        return Err(why);
    };
    if !ring.used.is_sound() {
        return Err(why);
    }
    let data = differing(there, ring.data(wanted.purpose, wanted.policy().is_some(), &ring.others(&there["data"])));
    Ok(changed(wanted, there, data, BTreeMap::new(), Some(format!("{} has its key as before: {why}", wanted.id))))
}

/// The fields that a Secret has not like this.
fn differing(there: &Value, mut data: Data) -> Data {
    data.retain(|key, text| field(&there["data"], key) != *text);
    data
}

/// The change by which a Secret gets this; `None` if it has it.
fn changed(
    wanted: &Wanted,
    there: &Value,
    data: Data,
    mut annotations: BTreeMap<String, Option<String>>,
    told: Option<String>,
) -> Option<Due> {
    annotations.retain(|name, text| there["metadata"]["annotations"][name].as_str() != text.as_deref());
    if data.is_empty() && annotations.is_empty() {
        return None;
    }
    let version = there["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let told = told.or_else(|| (!data.is_empty()).then(|| format!("{} is written anew", wanted.id)));
    let reason = |text: &str| text.split(':').next().map(str::to_owned);
    let state = wanted.purpose.note(name::STATE);
    let is_same = |text: &Option<String>| {
        let former = there["metadata"]["annotations"][&state].as_str();
        former.is_some_and(|former| text.as_deref().and_then(reason) == reason(former))
    };
    let is_detail = data.is_empty() && annotations.iter().all(|(name, text)| *name == state && is_same(text));
    Some(Due::Change(Change { version, data, annotations, told, is_detail }))
}

/// What a Secret is to have whose key is made; `None` if it is left as it is.
fn wish(
    wanted: &Wanted,
    there: &Value,
    store: &Store,
    proofs: &mut Proofs,
    now: Timestamp,
) -> Result<Option<Wish>, String> {
    let (metadata, policy) = (&there["metadata"], wanted.policy());
    let (name, algorithm, former) = match &wanted.from {
        From::Chance { name, algorithm, former, .. } => (Some(name), *algorithm, former.clone()),
        _ => (None, None, Some(names::former_rndc_secret(wanted.owner()))),
    };
    let from = metadata["annotations"][names::ours(KEY_FROM)].as_str();
    let is_made = from.is_none_or(|from| Some(from) == former.as_deref());
    let ring = Ring::of(wanted.purpose, &there["data"]).filter(|ring| policy.is_none() || ring.used.is_sound());
    let record = Record::of(wanted.purpose, metadata, now);
    let (Some(ring), true) = (ring, is_made) else {
        let Some(name) = name else { return Ok(None) };
        // That of a user is not Bindy's to use on, and what is no key cannot be.
        let name = match wanted.purpose {
            Purpose::Control => name.clone(),
            Purpose::Transfer => {
                names::next_key(&material::name_of_used(&there["data"]).unwrap_or_else(|| name.clone()))
            }
        };
        let used = Material::random(name, algorithm.unwrap_or_default())?;
        let step = Step::Replace { is_revoked: false };
        let then = policy.map_or_else(|| Record::new(wanted.purpose, now), |policy| record.then(policy, &step, now));
        let told = policy.and_then(|_| told(wanted, &step, &record, &then));
        let annotations = wanted.annotations(&then, None, now);
        return Ok(Some(Wish { ring: Ring { used, other: None }, annotations, told }));
    };
    let Some(policy) = policy else { return Ok(Some(Wish { ring, annotations: BTreeMap::new(), told: None })) };
    let record = record.with(ring.other.is_some());
    let ring = ring.in_phase(record.phase);
    let key = ring.newest(record.phase);
    let Some(mut lacking) = proofs.lacking(wanted.purpose, &wanted.servers, key, now) else {
        // Which pods there are is not known yet.
        return Ok(Some(Wish { ring, annotations: BTreeMap::new(), told: None }));
    };
    if let Lacking::Pods(lacking) = &mut lacking {
        lacking.extend(behind(wanted, store, &ring));
    }
    let is_unlike = algorithm.is_some_and(|algorithm| !ring.used.is_for(algorithm));
    let step = rotation::next(policy, &record, is_unlike, &lacking, now);
    let then = record.then(policy, &step, now);
    let algorithm = algorithm.or(ring.used.algorithm()).unwrap_or_default();
    let ring = ring.then(wanted.purpose, &step, algorithm)?;
    let rest = rest(policy, &step, &then, now);
    let mut annotations = then.annotations(policy, rest.as_ref());
    annotations.insert(names::ours(KEY_FROM), from.map(str::to_owned).filter(|_| step_keeps_key(&step)));
    let told = told(wanted, &step, &record, &then).or_else(|| {
        let waits = rest.filter(|rest| rest.reason() == WAITING || matches!(rest, Rest::RateLimited(_)));
        waits.map(|rest| format!("{}: {rest}", wanted.title()))
    });
    Ok(Some(Wish { ring, annotations, told }))
}

/// The servers that are not known to use the key of transfers. What all of their pods use, their status says.
fn behind(wanted: &Wanted, store: &Store, ring: &Ring) -> Vec<LackingPod> {
    if wanted.purpose != Purpose::Transfer {
        return Vec::new();
    }
    let uses = |server: &ServerId| {
        let instance = store.get(&ObjectId::from(&server.resource()))?;
        instance["status"][IN_USE].as_str().map(str::to_owned)
    };
    let behind = wanted.servers.iter().filter(|server| uses(server).as_deref() != Some(ring.used.name()));
    behind.map(|server| LackingPod { name: server.name.clone(), stands: Stands::Behind }).collect()
}

/// Whether the key that is used stays.
fn step_keeps_key(step: &Step) -> bool {
    !matches!(step, Step::Activate | Step::Replace { .. })
}

/// What people are told of the state after a step; `None` if that is not to be said so soon.
fn rest(policy: Policy, step: &Step, then: &Record, now: Timestamp) -> Option<Rest> {
    let Step::Rest(rest) = step else { return Some(prospect(policy, then, now)) };
    let is_early = matches!(rest, Rest::Waiting(..) | Rest::Behind(_)) && now.duration_since(then.begun()) < PATIENCE;
    Some(rest.clone()).filter(|_| !is_early)
}

/// What is to be expected of a key, if all goes well.
fn prospect(policy: Policy, record: &Record, now: Timestamp) -> Rest {
    match rotation::next(policy, record, false, &Lacking::default(), now) {
        Step::Rest(rest) => rest,
        _ => Rest::Rotating,
    }
}

/// The log line of a step. It says what is known then, and no more.
fn told(wanted: &Wanted, step: &Step, before: &Record, then: &Record) -> Option<String> {
    let secret = wanted.title();
    match step {
        Step::Rest(_) => None,
        Step::Stage => Some(format!("Rotating {secret} (rotation #{})", then.count.saturating_add(1))),
        Step::Replace { is_revoked } => Some(format!(
            "Rotating {secret} (rotation #{}): the former key is {}, and not accepted where the new one is known",
            then.count,
            if *is_revoked { "revoked" } else { "not used on" }
        )),
        Step::Activate => Some(format!(
            "{secret}: all pods that are ready have answered to the new key, which is used now; the former one is \
             accepted for {} minutes{}",
            GRACE.as_mins(),
            if wanted.purpose == Purpose::Transfer { ", or until all servers use the new one" } else { "" }
        )),
        Step::Settle if before.phase == Phase::Revoked => {
            Some(format!("{secret}: every pod that is there has answered to the new key"))
        }
        Step::Settle => Some(format!("{secret}: the former key is taken out; pods hear of it within minutes")),
    }
}

impl Wanted {
    /// How its log lines begin.
    fn title(&self) -> String {
        format!("{} Secret {}/{}", self.purpose.word(), self.id.namespace, self.id.name)
    }

    /// When the key is replaced; `None` if it never is.
    pub(super) fn policy(&self) -> Option<Policy> {
        match &self.from {
            From::Chance { policy, .. } => Some(*policy),
            From::Secret { .. } => None,
            From::Kept => Some(Policy { after: None, restarts: false }),
        }
    }

    /// The annotations of a Secret whose key is new, `record`ed as that, or taken from another one.
    pub(super) fn annotations(
        &self,
        record: &Record,
        from: Option<&str>,
        now: Timestamp,
    ) -> BTreeMap<String, Option<String>> {
        let mut annotations = match (&self.from, self.policy()) {
            (From::Secret { reference, .. }, _) => record.none(&Rest::ExternallyManaged(reference.name.clone())),
            (_, None) => BTreeMap::new(),
            (_, Some(policy)) => record.annotations(policy, Some(&prospect(policy, record, now))),
        };
        annotations.insert(names::ours(KEY_FROM), from.map(str::to_owned));
        annotations
    }
}
