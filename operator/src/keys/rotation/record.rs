//! What a Secret records of its key's replacement, in annotations. Of those of RNDC keys, `created-at`, `rotate-at` and
//! `rotation-count` are the existing operator's; people set `created-at`, `rotate` and `revoke`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{super::Purpose, Policy, Rest, Step, later};

/// What is recorded of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::keys) struct Record {
    pub(super) purpose: Purpose,
    /// Since when the key is used, or what somebody has put in place of that to have it replaced.
    pub(super) created: Timestamp,
    /// How often the key was replaced.
    pub(in crate::keys) count: u32,
    /// When it was replaced last.
    pub(in crate::keys) rotated: Option<Timestamp>,
    /// When one was revoked last.
    pub(in crate::keys) revoked: Option<Timestamp>,
    pub(in crate::keys) phase: Phase,
    /// When pods were to be replaced last, so that servers accept other keys.
    pub(super) changed: Option<Timestamp>,
    /// What somebody asks for.
    pub(super) request: Option<Request>,
}

/// How far a replacement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::keys) enum Phase {
    /// None is under way.
    Settled,
    /// There is a successor, which servers are to accept.
    Staged { since: Timestamp },
    /// The successor is used, and the former key accepted still.
    Active,
    /// The key has replaced one at once, as that was revoked, say; some pod may accept it still.
    Revoked,
}

/// What somebody asks for by an annotation, of whatever value. It goes when it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::keys) enum Request {
    /// To replace the key.
    Rotate,
    /// To replace it at once.
    Revoke,
}

/// The names of the annotations, without what all of a purpose begin with ([`Purpose::note`]).
pub(in crate::keys) mod name {
    pub const CREATED: &str = "created-at";
    pub const ROTATE_AT: &str = "rotate-at";
    pub const COUNT: &str = "rotation-count";
    pub const ROTATED: &str = "rotated-at";
    pub const REVOKED: &str = "revoked-at";
    pub const STAGED: &str = "staged-at";
    pub const CHANGED: &str = "changed-at";
    pub const PHASE: &str = "rotation-phase";
    /// A reason and a message for people, with a colon between.
    pub const STATE: &str = "rotation";
    pub const ROTATE: &str = "rotate";
    pub const REVOKE: &str = "revoke";
}

impl Record {
    /// That of a key that is made now. Times have whole seconds.
    pub(in crate::keys) fn new(purpose: Purpose, now: Timestamp) -> Record {
        let (rotated, revoked, changed, request) = (None, None, None, None);
        Record { purpose, created: now, count: 0, rotated, revoked, phase: Phase::Settled, changed, request }
    }

    /// What the metadata of a Secret says. A key without a time of its own that can be read is as old as its Secret. What a
    /// clock that was ahead has written counts as if it were now, and is written so: else nothing would be done for years.
    pub(in crate::keys) fn of(purpose: Purpose, metadata: &Value, now: Timestamp) -> Record {
        let text = |name: &str| metadata["annotations"][purpose.note(name)].as_str();
        let time = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
        let past = |name: &str| time(text(name)).map(|time: Timestamp| time.min(now));
        let made: Timestamp = time(metadata["creationTimestamp"].as_str()).unwrap_or(now).min(now);
        let rotated = past(name::ROTATED);
        let phase = match text(name::PHASE) {
            Some("Staged") => Phase::Staged { since: past(name::STAGED).unwrap_or(made) },
            Some("Active") => Phase::Active,
            Some("Revoked") => Phase::Revoked,
            _ => Phase::Settled,
        };
        let asks = |name, request| text(name).map(|_| request);
        Record {
            purpose,
            created: past(name::CREATED).or(rotated).unwrap_or(made),
            count: text(name::COUNT).and_then(|text| text.trim().parse().ok()).unwrap_or(0),
            rotated,
            revoked: past(name::REVOKED),
            phase,
            // Nothing follows from this but that it is another time than before.
            changed: time(text(name::CHANGED)),
            request: asks(name::REVOKE, Request::Revoke).or_else(|| asks(name::ROTATE, Request::Rotate)),
        }
    }

    /// The same, if the Secret has a second key or not. Somebody may have taken away a successor.
    pub(in crate::keys) fn with(mut self, has_other: bool) -> Record {
        if !has_other && matches!(self.phase, Phase::Staged { .. }) {
            self.phase = Phase::Settled;
        }
        self
    }

    /// The annotations of a key that is not Bindy's to replace. What was before is kept, for when it is so again; and no
    /// pod is replaced as something else is said of its key. What somebody asks for stays until they take it back.
    pub(in crate::keys) fn none(&self, rest: &Rest) -> BTreeMap<String, Option<String>> {
        let mut kept = vec![name::STATE, name::CHANGED];
        if self.rotated.is_some() {
            kept.extend([name::ROTATED, name::COUNT, name::REVOKED]);
        }
        let kept: Vec<String> = kept.into_iter().map(|name| self.purpose.note(name)).collect();
        let all = self.annotations(Policy { after: None, restarts: false }, Some(rest));
        all.into_iter().map(|(name, text)| (name.clone(), text.filter(|_| kept.contains(&name)))).collect()
    }

    /// The same, after pods were to be replaced at this time.
    pub(in crate::keys) fn changed_at(self, now: Timestamp) -> Record {
        Record { changed: Some(now), ..self }
    }

    /// When that has begun which is under way.
    pub(in crate::keys) fn begun(&self) -> Timestamp {
        match self.phase {
            Phase::Staged { since } => since,
            Phase::Settled | Phase::Active | Phase::Revoked => self.rotated.unwrap_or(self.created),
        }
    }

    /// When the key is to be replaced; `None` if only on request.
    pub(super) fn rotate_at(&self, policy: Policy) -> Option<Timestamp> {
        policy.after.map(|age| later(self.created, age))
    }

    /// What is recorded after a step.
    pub(in crate::keys) fn then(&self, policy: Policy, step: &Step, now: Timestamp) -> Record {
        let used = || Record { created: now, rotated: Some(now), count: self.count.saturating_add(1), ..self.clone() };
        let then = match step {
            Step::Rest(_) => return self.clone(),
            // Whoever has asked for another key while one was on its way has got it.
            Step::Activate => {
                let request = self.request.filter(|request| *request == Request::Revoke);
                return Record { phase: Phase::Active, request, ..used() };
            }
            Step::Stage => Record { phase: Phase::Staged { since: now }, request: None, ..self.clone() },
            Step::Settle => Record { phase: Phase::Settled, ..self.clone() },
            Step::Replace { is_revoked } => {
                let revoked = Some(now).filter(|_| *is_revoked).or(self.revoked);
                Record { phase: Phase::Revoked, revoked, request: None, ..used() }
            }
        };
        // These have other keys accepted.
        Record { changed: if policy.restarts { Some(now) } else { then.changed }, ..then }
    }

    /// The annotations by which it is recorded; `None` for those that are not to be there. `rest` is what people are told.
    pub(in crate::keys) fn annotations(&self, policy: Policy, rest: Option<&Rest>) -> BTreeMap<String, Option<String>> {
        let time = |time: Timestamp| format!("{time:.0}");
        let (phase, staged) = match self.phase {
            Phase::Settled => (None, None),
            Phase::Staged { since } => (Some("Staged"), Some(since)),
            Phase::Active => (Some("Active"), None),
            Phase::Revoked => (Some("Revoked"), None),
        };
        let mut annotations: Vec<(&str, Option<String>)> = vec![
            (name::CREATED, Some(time(self.created))),
            (name::ROTATE_AT, self.rotate_at(policy).map(time)),
            (name::COUNT, Some(self.count.to_string())),
            (name::ROTATED, self.rotated.map(time)),
            (name::REVOKED, self.revoked.map(time)),
            (name::STAGED, staged.map(time)),
            (name::CHANGED, self.changed.map(time)),
            (name::PHASE, phase.map(str::to_owned)),
        ];
        if let Some(rest) = rest {
            annotations.push((name::STATE, Some(format!("{}: {rest}", rest.reason()))));
        }
        // What somebody asks for stays as it was written until it was done.
        if self.request != Some(Request::Revoke) {
            annotations.push((name::REVOKE, None));
        }
        if self.request.is_none() {
            annotations.push((name::ROTATE, None));
        }
        annotations.into_iter().map(|(name, text)| (self.purpose.note(name), text)).collect()
    }
}
