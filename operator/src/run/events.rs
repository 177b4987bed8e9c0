//! Events, which people see with `kubectl describe` and `kubectl get events`: that something is ready, or is not any more.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::conditions::ready;
use crate::{
    api::{GROUP, Kind, ResourceId},
    object::{Object, ObjectId, Type},
};

/// The namespace of events about what has none.
const ELSEWHERE: &str = "default";
/// The longest note, in octets (events.k8s.io/v1).
const LONGEST_NOTE: usize = 1024;

/// The event of a status that was written; `None` if nothing has turned, or nobody would want to know: that a record is
/// ready its status says.
pub(super) fn of(id: &ResourceId, before: &Value, after: &Value, by: &str, now: Timestamp) -> Option<Object> {
    let (was, is) = (ready(before), ready(after)?);
    let turned = was.is_none_or(|was| (&was["status"], &was["reason"]) != (&is["status"], &is["reason"]));
    let is_ready = is["status"] == "True";
    if !turned || is_ready && matches!(id.kind, Kind::Record(_)) {
        return None;
    }
    let resource = Type::Own(id.kind).resource();
    let namespace = if id.namespace.is_empty() { ELSEWHERE } else { &id.namespace };
    // As with other sources of events, the time makes the name unique.
    let name = format!("{}.{:x}", id.name, now.as_nanosecond());
    let event = ObjectId { of: Type::Event, namespace: namespace.to_owned(), name };
    let mut note = is["message"].as_str().unwrap_or_default().to_owned();
    while note.len() > LONGEST_NOTE {
        note.pop();
    }
    let fields = json!({
        "eventTime": format!("{now:.6}"),
        "reportingController": format!("{GROUP}/bindy"),
        "reportingInstance": by,
        "action": "Reconcile",
        "reason": is["reason"],
        "note": note,
        "type": if is_ready { "Normal" } else { "Warning" },
        "regarding": {
            "apiVersion": resource.api_version, "kind": resource.kind, "name": id.name, "namespace": id.namespace,
            "uid": before["metadata"]["uid"],
        },
    });
    Some(Object::new(event, json!({}), fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_is_told_once() {
        let object = |status: &str, reason: &str| {
            json!({
                "metadata": { "uid": "1-2" },
                "status": { "conditions": [{ "type": "Ready", "status": status, "reason": reason, "message": "é".repeat(900) }] },
            })
        };
        let id = |kind| ResourceId { namespace: "dns".into(), name: "a".into(), kind };
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        let told = |kind, before: &Value, after: &Value| of(&id(kind), before, after, "bindy-0", now);
        let (waiting, served) = (object("False", "NotServedYet"), object("True", "Served"));
        let event = told(Kind::Zone, &waiting, &served).unwrap().body;
        assert_eq!(
            (&event["type"], &event["reason"], &event["regarding"]["uid"]),
            (&json!("Normal"), &json!("Served"), &json!("1-2"))
        );
        assert!(event["note"].as_str().unwrap().len() <= LONGEST_NOTE);
        assert!(told(Kind::Zone, &served, &served).is_none());
        let record = Kind::from_name("ARecord").unwrap();
        assert!(told(record, &json!({}), &served).is_none(), "its status says so");
        assert_eq!(told(record, &json!({}), &waiting).unwrap().body["type"], "Warning");
    }
}
