//! What people see of the replacement of servers' RNDC keys. The one who replaces them records it in their Secrets, and
//! may write nothing else.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{conditions, http::KeyFigures};
use crate::{
    cluster::Store,
    keys::Told,
    object::{ObjectId, Type},
    render::names,
    servers::ServerId,
};

/// The condition that says whether the key is being replaced, and why not.
pub(super) const ROTATION_DUE: &str = "RotationDue";

/// The fields of a server's status, and its condition; none if nothing is known.
pub(super) fn of(store: &Store, server: &ServerId, live: &Value, now: Timestamp) -> Option<(Value, Value)> {
    let ServerId { namespace, name } = server.clone();
    let told = Told::of(&store.get(&ObjectId { of: Type::Secret, namespace, name: names::rndc_secret(&name) })?)?;
    let time = |time: Timestamp| format!("{time:.0}");
    let status = told.created.map(|created| {
        json!({
            "createdAt": time(created),
            "rotateAt": told.rotate_at.map(time),
            "lastRotatedAt": told.rotated.map(time),
            "lastRevokedAt": told.revoked.map(time),
            "algorithm": told.algorithm,
            "rotationCount": told.count,
        })
    });
    let is_due = if told.is_due() { "True" } else { "False" };
    let condition = conditions::condition(live, (ROTATION_DUE, is_due), (&told.reason, &told.message), now);
    Some((json!(status), condition))
}

/// The figures of all keys that are replaced.
pub(super) fn figures(store: &Store, now: Timestamp) -> Vec<KeyFigures> {
    let figures = Told::all(store).filter_map(|(namespace, server, told)| {
        Some(KeyFigures {
            labels: [("namespace", namespace), ("instance", server)],
            age: told.created?.duration_until(now).as_secs(),
            next: told.rotate_at.map(Timestamp::as_second),
            replaced: u64::from(told.count),
            is_overdue: told.is_overdue(now),
        })
    });
    figures.collect()
}
