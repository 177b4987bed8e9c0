//! When a key is replaced, and how: a pure function of what is declared, of what the key's Secret records, and of which
//! pods have answered to which key.
//!
//! A key that is due gets a successor. At first that is [`Phase::Staged`]: servers accept both, and clients use the former.
//! Once every pod has answered to the successor, the two change places: clients use the new key, and servers accept the
//! former still ([`Phase::Active`]), for those who have read it a while ago. After [`GRACE`] that is accepted no more. A
//! key that is revoked is replaced at once, whoever has not heard of the new one yet ([`Phase::Revoked`]).
//!
//! Servers are clients of a key of transfers, too: which one they use says their configuration, and the former goes when
//! all have taken over one that names the new key. A server that is away would be without zones, so that it is waited for.
//!
//! Each step is a single write of the Secret, and all that the next one depends on is in it: whoever goes on, after however
//! many restarts, knows as much as who has begun. `record` is how it is written down.

mod record;
#[cfg(test)]
mod tests;

pub(super) use record::{Phase, Record, Request, name};

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::Purpose;
use crate::render::names;

/// What is declared of a key's replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// The age at which the key is replaced; `None` if only on request.
    pub(super) after: Option<SignedDuration>,
    /// Whether pods are replaced when servers are to accept other keys.
    pub(super) restarts: bool,
}

/// Who has not answered to the newest key since it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// These pods.
    Pods(Vec<LackingPod>),
    /// Nobody knows which pods there are, and why.
    Hidden(String),
}

/// A pod that has not answered, or a server whose pods have not the configuration that they are to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LackingPod {
    pub(super) name: String,
    pub(super) stands: Stands,
}

/// How a pod stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Ready,
    Unready {
        since: Timestamp,
    },
    /// It is to end, and may go on until somebody has seen it end.
    Leaving,
    /// It is a server whose pods are not known to use the key.
    Behind,
}

/// What is to be done about a key now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Rest(Rest),
    /// A successor is made, which servers are to accept, too.
    Stage,
    /// The successor is used from now on, and the former key accepted.
    Activate,
    /// The former key is accepted no more, or every pod has what has replaced a revoked one.
    Settle,
    /// The key is replaced without a successor that anybody knows: it `is_revoked`, or is none of Bindy's to use on.
    Replace { is_revoked: bool },
}

/// Why nothing is to be done. It is shown to people, as the reason and the message of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The key is replaced on request only.
    Disabled(Purpose),
    /// The key comes from a Secret of somebody's, which is never written.
    ExternallyManaged(String),
    /// The key is replaced at this time.
    NotDue(Timestamp),
    /// It is due, and the last replacement was less than [`INTERVAL`] before: it waits until this time.
    RateLimited(Timestamp),
    /// These pods have not answered to the newest key.
    Waiting(Purpose, Phase, Vec<String>),
    /// These servers are not known to use the key, of which all their pods know.
    Behind(Vec<String>),
    /// The key is due, and nobody knows which pods there are.
    Hidden(String),
    /// A new key is on its way to all pods.
    Rotating,
    /// The former key is accepted until this time.
    Grace(Timestamp),
}

/// The reason of what waits for pods or servers.
pub(super) const WAITING: &str = "RotationWaiting";
/// The shortest time between two replacements, and between two revocations.
pub(super) const INTERVAL: SignedDuration = SignedDuration::from_hours(1);
/// How long a key that was replaced is accepted still.
pub(super) const GRACE: SignedDuration = SignedDuration::from_mins(10);
/// How long a pod that is not ready, or is to end, is waited for. It may be ready any moment, and have read the Secret
/// before the successor was in it.
pub(super) const START: SignedDuration = SignedDuration::from_mins(5);
/// The most pods or servers that a message names.
const NAMED: usize = 5;

/// What is to be done about a key. `is_unlike` says that it is not of the kind that is declared, as when another algorithm
/// was asked for.
pub(super) fn next(policy: Policy, record: &Record, is_unlike: bool, lacking: &Lacking, now: Timestamp) -> Step {
    if record.request == Some(Request::Revoke) {
        match after(record.revoked, INTERVAL).filter(|free| now < *free) {
            None => return Step::Replace { is_revoked: true },
            // What is under way goes on meanwhile.
            Some(free) if record.phase == Phase::Settled => return Step::Rest(Rest::RateLimited(free)),
            Some(_) => {}
        }
    }
    if record.phase == Phase::Settled {
        return match (due(policy, record, is_unlike, now), lacking) {
            (Step::Stage, Lacking::Hidden(why)) => Step::Rest(Rest::Hidden(why.clone())),
            (step, _) => step,
        };
    }
    let awaited = match lacking {
        Lacking::Pods(pods) => awaited(pods, record, now),
        Lacking::Hidden(why) => return Step::Rest(Rest::Hidden(why.clone())),
    };
    let (behind, silent): (Vec<&LackingPod>, _) = awaited.into_iter().partition(|pod| pod.stands == Stands::Behind);
    let names = |of: Vec<&LackingPod>| of.into_iter().map(|pod| pod.name.clone()).collect();
    if !silent.is_empty() {
        return Step::Rest(Rest::Waiting(record.purpose, record.phase, names(silent)));
    }
    if !behind.is_empty() {
        return Step::Rest(Rest::Behind(names(behind)));
    }
    if matches!(record.phase, Phase::Staged { .. }) {
        return Step::Activate;
    }
    let grace = after(record.rotated, GRACE).filter(|end| record.phase == Phase::Active && now < *end);
    grace.map_or(Step::Settle, |end| Step::Rest(Rest::Grace(end)))
}

/// Those that are waited for. A pod that is cut off looks as if it were not ready, or were to end, and accepts a revoked key
/// as before: that is over only when all pods have answered.
fn awaited<'p>(pods: &'p [LackingPod], record: &Record, now: Timestamp) -> Vec<&'p LackingPod> {
    let is_of_transfers = record.purpose == Purpose::Transfer;
    let is_awaited = |pod: &&LackingPod| match (record.phase, pod.stands) {
        (Phase::Revoked, _) | (_, Stands::Ready) => true,
        (Phase::Staged { since: staged }, Stands::Unready { since }) => {
            is_of_transfers || now < later(since.max(staged), START)
        }
        // It answers on for a while, and is told of changes until then.
        (Phase::Staged { since: staged }, Stands::Leaving) => is_of_transfers && now < later(staged, START),
        // Before the key is used nobody can be behind.
        (phase, Stands::Behind) => phase == Phase::Active,
        (_, Stands::Unready { .. } | Stands::Leaving) => false,
    };
    pods.iter().filter(is_awaited).collect()
}

impl Default for Lacking {
    /// Every pod has answered.
    fn default() -> Lacking {
        Lacking::Pods(Vec::new())
    }
}

/// What is to be done about a key that nobody is replacing.
fn due(policy: Policy, record: &Record, is_unlike: bool, now: Timestamp) -> Step {
    let is_asked_for = is_unlike || record.request == Some(Request::Rotate);
    let at = if is_asked_for { Some(now) } else { record.rotate_at(policy) };
    let Some(at) = at else { return Step::Rest(Rest::Disabled(record.purpose)) };
    let free = after(record.rotated, INTERVAL);
    match free.filter(|free| now < *free) {
        _ if now < at => Step::Rest(Rest::NotDue(free.map_or(at, |free| at.max(free)))),
        Some(free) => Step::Rest(Rest::RateLimited(free)),
        None => Step::Stage,
    }
}

impl Rest {
    /// One word, for programs.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Rest::Disabled(_) => "Disabled",
            Rest::ExternallyManaged(_) => "ExternallyManaged",
            Rest::NotDue(_) => "NotDue",
            Rest::RateLimited(_) => "RateLimited",
            Rest::Waiting(..) | Rest::Behind(_) | Rest::Hidden(_) => WAITING,
            Rest::Rotating => "Rotating",
            Rest::Grace(_) => "FormerKeyAccepted",
        }
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rest::Disabled(purpose) => write!(
                f,
                "The key is replaced on request only: `autoRotate: true` in `{}` has it replaced regularly.",
                purpose.field()
            ),
            Rest::ExternallyManaged(secret) => {
                write!(
                    f,
                    "The key is that of the Secret {secret}, which is never written: replace it there. Whoever asks for \
                     another key here, by `rndc-rotate` or `rndc-revoke`, asks in vain."
                )
            }
            Rest::NotDue(at) => write!(f, "The key is replaced at {at:.0}."),
            Rest::RateLimited(at) => {
                write!(f, "The key is due, and was replaced less than an hour before: it is replaced at {at:.0}.")
            }
            Rest::Waiting(purpose, phase, pods) => {
                let named = named(pods);
                let meanwhile = match phase {
                    Phase::Staged { .. } => "the former one stays in use until then",
                    Phase::Settled | Phase::Active => "the former one is accepted until then",
                    Phase::Revoked => "these may accept the one before until then",
                };
                let (port, own) = match purpose {
                    Purpose::Control => (names::RNDC_PORT, "list all `key-names` of the Secret"),
                    Purpose::Transfer => (names::DNS_PORT, "include `/etc/bind/named.conf.options`"),
                };
                write!(
                    f,
                    "No answer to the new key from {named}; {meanwhile}. Look whether the pod runs, and whether port \
                     {port} can be reached; a `namedConf` of your own has to {own}."
                )
            }
            Rest::Behind(servers) => write!(
                f,
                "Not all pods have the configuration that names the new key, of {}; the former one is accepted until \
                 then. Look what the Bind9Instance says, and whether `bindy run` can reach its pods.",
                named(servers)
            ),
            Rest::Hidden(why) => write!(
                f,
                "No key is replaced before each pod has answered to the new one, and `bindy keys` does not see which pods \
                 there are: {why}. Apply deploy, and deploy/dns-namespace in this namespace: they grant that."
            ),
            Rest::Rotating => f.write_str("A new key is on its way to all pods."),
            Rest::Grace(until) => write!(f, "The key was replaced, and the former one is accepted until {until:.0}."),
        }
    }
}

/// The first names of a list.
fn named(all: &[String]) -> String {
    let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn after(time: Option<Timestamp>, duration: SignedDuration) -> Option<Timestamp> {
    time.map(|time| later(time, duration))
}

/// A time so much later; the last that there is, if that is beyond it.
fn later(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}
