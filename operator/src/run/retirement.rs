//! Servers that their cluster wants no more, as it was scaled down. No zone counts on them from then on, but they answer
//! for as long as somebody may still know their addresses; only then their pods go. The instance stays, and takes up its
//! work when the cluster is scaled up.

use std::{collections::BTreeSet, env, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::conditions::{self, Said};
use crate::{
    api::Kind,
    cluster::Store,
    object::{ObjectId, Type},
    servers::{Server, ServerId, Servers},
};

const DRAINING: &str = "Draining";
const RETIRED: &str = "Retired";

/// How long a server that is not wanted any more answers on, unless `BINDY_DRAIN_SECONDS` says so.
const PATIENCE: Duration = Duration::from_secs(60);

/// The servers whose pods are to go: they have answered on for long enough.
pub(super) fn drained(servers: &Servers, store: &Store, now: Timestamp) -> BTreeSet<ServerId> {
    let said = env::var("BINDY_DRAIN_SECONDS").ok().and_then(|text| text.parse().ok());
    let patience = said.map_or(PATIENCE, Duration::from_secs);
    let is_drained = |server: &&Server| {
        let ServerId { namespace, name } = server.id.clone();
        let instance = store.get(&ObjectId { of: Type::Own(Kind::INSTANCE), namespace, name });
        instance.is_some_and(|instance| match said_last(&instance) {
            Some((RETIRED, _)) => true,
            Some((DRAINING, since)) => now.duration_since(since).unsigned_abs() >= patience,
            _ => false,
        })
    };
    let retiring = servers.iter().filter(|server| server.retires);
    retiring.filter(is_drained).map(|server| server.id.clone()).collect()
}

/// What is to be said of a server that is not wanted any more and has so many pods.
pub(super) fn said(pods: usize) -> Said {
    match pods {
        0 => Said::Ready(RETIRED, "Its cluster is scaled down; scale it up to have the server again.".into()),
        _ => Said::Waiting(DRAINING, "Its cluster is scaled down; it answers on for some time.".into()),
    }
}

/// The reason of the condition `Ready`, and since when it has its status.
fn said_last(instance: &Value) -> Option<(&str, Timestamp)> {
    let ready = conditions::ready(instance)?;
    Some((ready["reason"].as_str()?, ready["lastTransitionTime"].as_str()?.parse().ok()?))
}
