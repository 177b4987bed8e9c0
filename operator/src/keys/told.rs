//! What a Secret tells people of the replacement of its key. There is nothing secret in it.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Purpose, material, rotation::name};
use crate::{
    cluster::Store,
    object::{ObjectId, Type},
};

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Since when it is used; `None` if it is not Bindy's to replace.
    pub created: Option<Timestamp>,
    /// When it is to be replaced; `None` if only on request.
    pub rotate_at: Option<Timestamp>,
    /// When it was replaced last.
    pub rotated: Option<Timestamp>,
    /// When one was revoked last.
    pub revoked: Option<Timestamp>,
    /// The algorithm of the key.
    pub algorithm: Option<String>,
    /// How often it was replaced.
    pub count: u32,
    /// What is about to happen or stands in the way of it: one word of the documented ones.
    pub reason: String,
    /// The same for people.
    pub message: String,
}

/// By how much the time of a replacement may be past until that counts as late. Pods may take some minutes.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// When the pods of a server were to be replaced last, so that it accepts other keys; `None` if never.
pub fn changed_at(secret: &Value) -> Option<&str> {
    secret["metadata"]["annotations"][Purpose::Control.note(name::CHANGED)].as_str()
}

impl Told {
    /// What the Secret with a key for this tells; `None` if it tells nothing.
    pub fn of(purpose: Purpose, secret: &Value) -> Option<Told> {
        let text = |name: &str| secret["metadata"]["annotations"][purpose.note(name)].as_str();
        let time = |name: &str| text(name).and_then(|text| text.trim().parse().ok());
        let (reason, message) = text(name::STATE)?.split_once(": ")?;
        Some(Told {
            created: time(name::CREATED),
            rotate_at: time(name::ROTATE_AT),
            rotated: time(name::ROTATED),
            revoked: time(name::REVOKED),
            algorithm: material::field(&secret["data"], "algorithm").map(|text| text.trim().to_owned()),
            count: text(name::COUNT).and_then(|text| text.parse().ok()).unwrap_or(0),
            reason: reason.to_owned(),
            message: message.to_owned(),
        })
    }

    /// What the Secrets with keys for this tell: their namespace, the name of the server or cluster, and that.
    pub fn all(store: &Store, purpose: Purpose) -> impl Iterator<Item = (String, String, Told)> {
        store.of(Type::Secret).filter_map(move |(ObjectId { namespace, name, .. }, secret)| {
            let owner = name.strip_suffix(&purpose.secret(""))?;
            Some((namespace.clone(), owner.to_owned(), Told::of(purpose, &secret)?))
        })
    }

    /// Whether the key is being replaced, or should be.
    pub fn is_due(&self) -> bool {
        matches!(&*self.reason, "Rotating" | "RotationWaiting")
    }

    /// Whether the key should have been replaced long ago.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.rotate_at.is_some_and(|at| at.duration_until(now) > LATE)
    }
}
