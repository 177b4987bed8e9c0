//! Events, which people see with `kubectl describe` and `kubectl get events`: that something is ready, or is not any more,
//! that a key was replaced, or cannot be, and that a client cannot write what a resource declares.

use jiff::Timestamp;
use kube::{Client, api::PostParams};
use serde_json::{Value, json};

use super::conditions::{self, NOT_READY, NOT_SERVED, PARTIALLY_READY, POD_NOT_STARTING, ready};
use crate::{
    api::{GROUP, Kind, ResourceId},
    cluster::collection,
    keys::Purpose,
    object::{Object, ObjectId, Type},
};

/// The namespace of events about what has none.
const ELSEWHERE: &str = "default";
/// The longest note, in octets (events.k8s.io/v1).
const LONGEST_NOTE: usize = 1024;

/// What people are told.
struct Turn {
    is_wrong: bool,
    reason: String,
    note: String,
}

/// The events of a status that was written.
pub(super) fn of(id: &ResourceId, before: &Value, after: &Value, by: &str, now: Timestamp) -> Vec<Object> {
    let of_keys = |purpose| [key_replaced(purpose, before, after), key_waits(purpose, before, after)];
    let turns = [readiness(id, before, after)].into_iter().chain(Purpose::ALL.into_iter().flat_map(of_keys));
    turns.flatten().enumerate().map(|(number, turn)| event(id, before, turn, by, now, number)).collect()
}

/// The event that a client cannot write into a zone what a resource declares.
pub(super) fn update_refused(zone: &ResourceId, live: &Value, why: &str, by: &str, now: Timestamp) -> Object {
    let turn = Turn { is_wrong: true, reason: "UpdateRefused".into(), note: format!("An update was refused: {why}.") };
    event(zone, live, turn, by, now, 0)
}

/// Makes an event known. What it is about is told otherwise, too, so that one may be lost.
pub(super) async fn tell(client: &Client, event: Object) {
    if let Ok(body) = serde_json::from_value(event.body) {
        let _ = collection(client, Type::Event, &event.id.namespace).create(&PostParams::default(), &body).await;
    }
}

/// Something is ready, or not any more, or not for another reason. That a record is ready, or will be, its status says, and
/// nobody would want to know. It is a warning if somebody has to do something, if a zone is not served for long, and if a
/// server has lost pods.
fn readiness(id: &ResourceId, before: &Value, after: &Value) -> Option<Turn> {
    let (was, is) = (ready(before), ready(after)?);
    let turned = was.is_none_or(|was| (&was["status"], &was["reason"]) != (&is["status"], &is["reason"]));
    let is_stalled = conditions::of(after, "Stalled").is_some_and(|stalled| stalled["status"] == "True");
    if !turned || !is_stalled && matches!(id.kind, Kind::Record(_)) {
        return None;
    }
    let was_ready =
        was.is_some_and(|was| was["status"] == "True" && was["observedGeneration"] == is["observedGeneration"]);
    let lacks_pods = [NOT_READY, PARTIALLY_READY, POD_NOT_STARTING].iter().any(|lacks| is["reason"] == **lacks);
    let has_lost_pods = id.kind == Kind::INSTANCE && was_ready && lacks_pods;
    let is_wrong = is_stalled || is["reason"] == NOT_SERVED || has_lost_pods;
    Some(Turn { is_wrong, ..Turn::of(is) })
}

/// A server or cluster has another key.
fn key_replaced(purpose: Purpose, before: &Value, after: &Value) -> Option<Turn> {
    let count = |object: &Value| object["status"][purpose.status()]["rotationCount"].as_u64();
    let (was, is) = (count(before)?, count(after)?);
    let revoked = |object: &Value| object["status"][purpose.status()]["lastRevokedAt"].clone();
    let (reason, what) = match revoked(after) {
        at if at.is_null() || at == revoked(before) => ("KeyRotated", "replaced"),
        _ => ("KeyRevoked", "revoked, and replaced at once"),
    };
    let note = format!("The {} key was {what} (rotation #{is}).", purpose.word());
    (is > was).then(|| Turn { is_wrong: false, reason: reason.into(), note })
}

/// Not all pods have answered to a new key, or use it.
fn key_waits(purpose: Purpose, before: &Value, after: &Value) -> Option<Turn> {
    let waits = |object| {
        let due = conditions::of(object, purpose.condition());
        due.filter(|due| due["reason"] == "RotationWaiting").map(Turn::of)
    };
    waits(after).filter(|_| waits(before).is_none())
}

impl Turn {
    /// That a condition holds.
    fn of(condition: &Value) -> Turn {
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        Turn { is_wrong: true, reason: text("reason"), note: text("message") }
    }
}

fn event(id: &ResourceId, before: &Value, turn: Turn, by: &str, now: Timestamp, number: usize) -> Object {
    let Turn { is_wrong, reason, mut note } = turn;
    let resource = Type::Own(id.kind).resource();
    let namespace = if id.namespace.is_empty() { ELSEWHERE } else { &id.namespace };
    // As with other sources of events, the time makes the name unique.
    let name = format!("{}.{:x}", id.name, now.as_nanosecond() + number as i128);
    let event = ObjectId { of: Type::Event, namespace: namespace.to_owned(), name };
    while note.len() > LONGEST_NOTE {
        note.pop();
    }
    let fields = json!({
        "eventTime": format!("{now:.6}"),
        "reportingController": format!("{GROUP}/bindy"),
        "reportingInstance": by,
        "action": "Reconcile",
        "reason": reason,
        "note": note,
        "type": if is_wrong { "Warning" } else { "Normal" },
        "regarding": {
            "apiVersion": resource.api_version, "kind": resource.kind, "name": id.name, "namespace": id.namespace,
            "uid": before["metadata"]["uid"],
        },
    });
    Object::new(event, json!({}), fields)
}

#[cfg(test)]
mod tests {
    use super::{super::conditions::Said, *};

    /// An object of which is said this.
    fn object(said: &Said) -> Value {
        let object = json!({ "metadata": { "uid": "1-2", "generation": 3 } });
        let conditions = said.conditions(&object, "2026-01-31T12:00:00Z".parse().unwrap());
        json!({ "metadata": object["metadata"], "status": { "conditions": conditions } })
    }

    fn all_told(kind: Kind, before: &Value, after: &Value) -> Vec<Value> {
        let id = ResourceId { namespace: "dns".into(), name: "a".into(), kind };
        let events = of(&id, before, after, "bindy-0", "2026-01-31T12:00:00Z".parse().unwrap());
        events.into_iter().map(|event| event.body).collect()
    }

    fn told(kind: Kind, before: &Value, after: &Value) -> Option<Value> {
        all_told(kind, before, after).pop()
    }

    #[test]
    fn what_turns_is_told_once() {
        let (waiting, served) = (Said::Waiting("NotServedYet", "é".into()), Said::Ready("Served", "é".repeat(900)));
        let (waiting, served) = (object(&waiting), object(&served));
        let event = told(Kind::Zone, &waiting, &served).unwrap();
        assert_eq!(
            (&event["type"], &event["reason"], &event["regarding"]["uid"]),
            (&json!("Normal"), &json!("Served"), &json!("1-2"))
        );
        assert!(event["note"].as_str().unwrap().len() <= LONGEST_NOTE);
        assert!(told(Kind::Zone, &served, &served).is_none());
    }

    #[test]
    fn only_what_is_wrong_is_a_warning() {
        let record = Kind::from_name("ARecord").unwrap();
        let waiting = |reason| object(&Said::Waiting(reason, "a".into()));
        let ready = object(&Said::Ready("AllReady", "a".into()));
        let stalled = object(&Said::Stalled("CnameConflict", "a".into()));
        for (kind, before, after, expected) in [
            (record, &json!({}), &ready, None),
            (record, &json!({}), &waiting("NotServedYet"), None),
            (record, &ready, &stalled, Some("Warning")),
            (Kind::Zone, &json!({}), &waiting("NotServedYet"), Some("Normal")),
            (Kind::Zone, &waiting("NotServedYet"), &waiting(NOT_SERVED), Some("Warning")),
            (Kind::INSTANCE, &json!({}), &waiting(NOT_READY), Some("Normal")),
            (Kind::INSTANCE, &ready, &waiting(NOT_READY), Some("Warning")),
            (Kind::INSTANCE, &ready, &waiting(POD_NOT_STARTING), Some("Warning")),
            (Kind::INSTANCE, &ready, &waiting("RolloutWaiting"), Some("Normal")),
        ] {
            let event = told(kind, before, after);
            let told = event.as_ref().and_then(|event| event["type"].as_str());
            assert_eq!(told, expected, "{kind:?}: {before} {after}");
        }
    }

    #[test]
    fn that_a_key_was_replaced_or_cannot_be_is_told() {
        let object = |count: u32, reason: &str, message: &str| {
            json!({ "status": {
                "rndcKeyRotation": { "rotationCount": count },
                "conditions": [{ "type": "RotationDue", "status": "True", "reason": reason, "message": message }],
            } })
        };
        let told = |before: &Value, after: &Value| {
            let field = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
            all_told(Kind::INSTANCE, before, after)
                .iter()
                .map(|event| (field(event, "type"), field(event, "reason")))
                .collect::<Vec<_>>()
        };
        let (one, waits) = (object(1, "NotDue", ""), object(1, "RotationWaiting", "from a-1"));
        let (warning, normal) = (("Warning".into(), "RotationWaiting".into()), ("Normal".into(), "KeyRotated".into()));
        assert_eq!(told(&json!({}), &one), [], "it is not known since when");
        assert_eq!(told(&one, &waits), [warning]);
        assert_eq!(told(&waits, &waits), []);
        assert_eq!(told(&waits, &object(1, "RotationWaiting", "from a-1, a-2")), [], "it is so already");
        assert_eq!(told(&waits, &object(2, "NotDue", "")), [normal]);
        let mut revoked = object(2, "Rotating", "");
        revoked["status"]["rndcKeyRotation"]["lastRevokedAt"] = json!("2026-01-31T12:00:00Z");
        assert_eq!(told(&one, &revoked), [("Normal".into(), "KeyRevoked".into())]);
    }
}
