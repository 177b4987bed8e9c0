//! Servers that are not wanted any more, as their cluster was scaled down, or themselves to none. No zone counts on them
//! from then on, but they answer for as long as somebody may still know their addresses; only then their pods go. The
//! instance stays, and takes up its work when it is scaled up.

use std::{collections::BTreeSet, env};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    conditions::{self, Said},
    rollout,
};
use crate::{
    cluster::Store,
    object::ObjectId,
    servers::{Retirement, Server, ServerId, Servers},
};

const DRAINING: &str = "Draining";
const RETIRED: &str = "Retired";

/// How long a server that is not wanted any more answers on, unless `BINDY_DRAIN_SECONDS` says so.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// The servers whose pods are to go: they have answered on for long enough.
pub(super) fn drained(servers: &Servers, store: &Store, now: Timestamp) -> BTreeSet<ServerId> {
    let said = env::var("BINDY_DRAIN_SECONDS").ok().and_then(|text| text.parse::<u32>().ok());
    let patience = said.map_or(PATIENCE, |seconds| SignedDuration::from_secs(seconds.into()));
    let is_drained = |server: &&Server| {
        let had_none = store.get(&rollout::deployment(&server.id)).is_none_or(|live| live["spec"]["replicas"] == 0);
        let instance = store.get(&ObjectId::from(&server.id.resource()));
        instance.is_some_and(|instance| {
            let since = drains_since(&instance);
            had_none || is_retired(&instance) || since.is_some_and(|since| now.duration_since(since) >= patience)
        })
    };
    let retiring = servers.iter().filter(|server| server.retires.is_some());
    retiring.filter(is_drained).map(|server| server.id.clone()).collect()
}

/// What is to be said of a server that is not wanted any more and has so many pods.
pub(super) fn said(why: Retirement, pods: usize) -> Said {
    let scaled = scaled(why);
    match pods {
        0 => Said::Ready(RETIRED, format!("{scaled}; scale it up to have the server again.")),
        _ => Said::Waiting(DRAINING, format!("{scaled}; it answers on for some time.")),
    }
}

/// The condition that says since when a server is not wanted any more: what else is said of it may be older.
pub(super) fn condition(instance: &Value, why: Retirement, now: Timestamp) -> Value {
    let why = format!("{}.", scaled(why));
    conditions::condition(instance, (DRAINING, "True"), (DRAINING, &why), now)
}

fn scaled(why: Retirement) -> &'static str {
    match why {
        Retirement::OfCluster => "Its cluster is scaled down",
        Retirement::OfInstance => "It is scaled down to no pods",
    }
}

/// Whether an instance says that it has no pods any more, so that it serves no zone.
pub(super) fn is_retired(instance: &Value) -> bool {
    conditions::ready(instance).is_some_and(|ready| ready["reason"] == RETIRED)
}

fn drains_since(instance: &Value) -> Option<Timestamp> {
    conditions::of(instance, DRAINING)?["lastTransitionTime"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_server_that_was_not_ready_before_drains_as_long_as_any_other() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let mut instance = json!({});
        let waiting = Said::Waiting("RolloutWaiting", "a".into()).conditions(&instance, at("2026-01-31T12:00:00Z"));
        instance["status"] = json!({ "conditions": waiting });
        assert_eq!(drains_since(&instance), None);
        let mut told = said(Retirement::OfCluster, 1).conditions(&instance, at("2026-01-31T13:00:00Z"));
        assert_eq!(told[0]["lastTransitionTime"], "2026-01-31T12:00:00Z", "it has not been ready since then");
        told.as_array_mut().unwrap().push(condition(&instance, Retirement::OfCluster, at("2026-01-31T13:00:00Z")));
        instance["status"] = json!({ "conditions": told });
        assert_eq!(drains_since(&instance), Some(at("2026-01-31T13:00:00Z")));
        let later = condition(&instance, Retirement::OfCluster, at("2026-01-31T13:00:09Z"));
        assert_eq!(later["lastTransitionTime"], "2026-01-31T13:00:00Z");
    }
}
