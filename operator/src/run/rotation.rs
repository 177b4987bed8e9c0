//! What people see of the replacement of keys: of servers' RNDC keys and of those of transfers. The one who replaces them
//! records it in their Secrets, and may write nothing else.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{conditions, http::KeyFigures};
use crate::{
    cluster::Store,
    keys::{Purpose, Told},
    object::{ObjectId, Type},
};

/// The field of a resource's status, and its condition; none if nothing is known of such a key of its own.
pub(super) fn of(
    store: &Store,
    purpose: Purpose,
    (namespace, owner): (&str, &str),
    live: &Value,
    now: Timestamp,
) -> Option<(Value, Value)> {
    let id = ObjectId { of: Type::Secret, namespace: namespace.to_owned(), name: purpose.secret(owner) };
    let told = Told::of(purpose, &store.get(&id)?)?;
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
    let condition = conditions::condition(live, (purpose.condition(), is_due), (&told.reason, &told.message), now);
    Some((json!(status), condition))
}

/// The figures of all keys of a purpose that are replaced.
pub(super) fn figures(store: &Store, purpose: Purpose, now: Timestamp) -> Vec<KeyFigures> {
    let whose = match purpose {
        Purpose::Control => "instance",
        Purpose::Transfer => "owner",
    };
    let figures = Told::all(store, purpose).filter_map(|(namespace, owner, told)| {
        Some(KeyFigures {
            labels: [("namespace", namespace), (whose, owner)],
            age: told.created?.duration_until(now).as_secs(),
            next: told.rotate_at.map(Timestamp::as_second),
            replaced: u64::from(told.count),
            is_overdue: told.is_overdue(now),
        })
    });
    figures.collect()
}
