//! What people are told of the keys of all servers and clusters: how they are replaced, how old they are and when it is their time.
//! It comes from declarations and their status, so that nobody needs to read a Secret for it.

use std::{collections::BTreeMap, fmt::Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Purpose,
    wanted::{self, From, Wanted},
};
use crate::{
    cluster::Store,
    object::ObjectId,
    terminal::{self, Terminal, say},
};

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table, and what is to be known of single keys.
    #[default]
    Text,
    /// An object with a list.
    Json,
    /// A line for each key, with commas between fields (RFC 4180).
    Csv,
}

/// What is told of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    /// The server, or the cluster, if it is the key of one.
    instance: String,
    /// How the key is replaced, in words.
    policy: String,
    /// The age at which it is, in hours.
    rotate_after_hours: Option<i64>,
    created_at: Option<String>,
    age_seconds: Option<i64>,
    rotate_at: Option<String>,
    last_rotated_at: Option<String>,
    last_revoked_at: Option<String>,
    algorithm: Option<String>,
    rotation_count: Option<u64>,
    /// The reason and the message of the condition about it.
    state: Option<String>,
    message: Option<String>,
    /// What it is for: `RNDC` or `transfer`.
    purpose: &'static str,
}

/// The keys of the servers that are declared.
pub(super) struct Report {
    now: Timestamp,
    rows: Vec<Row>,
}

impl Report {
    /// Of servers in this namespace; of all if it is empty.
    pub(super) fn of(store: &Store, namespace: &str, now: Timestamp) -> Report {
        let wanted = wanted::of(store);
        let keys: BTreeMap<(Purpose, ObjectId), &Wanted> =
            wanted.iter().map(|wanted| ((wanted.purpose, wanted.declaration()), wanted)).collect();
        let keys = keys.into_iter().filter(|((_, id), _)| namespace.is_empty() || id.namespace == namespace);
        let rows = keys.map(|((_, id), wanted)| Row::of(wanted, &store.get(&id).unwrap_or_default(), id, now));
        Report { now, rows: rows.collect() }
    }

    /// Prints what most people want to know.
    pub(super) fn show(&self) {
        if self.rows.is_empty() {
            say("There are no servers.");
            return;
        }
        let heading = ["OF", "KEY", "POLICY", "AGE", "NEXT ROTATION", "ROTATIONS", "STATE"].map(str::to_owned);
        let rows = self.rows.iter().map(|row| {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
            [
                format!("{}/{}", row.namespace, row.instance),
                row.purpose.to_owned(),
                row.policy.clone(),
                row.age_seconds.map_or("-".into(), age),
                or_none(&row.rotate_at),
                row.rotation_count.map_or("-".into(), |count| count.to_string()),
                or_none(&row.state),
            ]
        });
        Terminal::new().table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
    }

    /// Prints everything that is known.
    pub(super) fn print(&self, format: Format) {
        match format {
            Format::Text => {
                say(&format!("Keys at {:.0}", self.now));
                self.show();
                for row in &self.rows {
                    if let Some(message) = &row.message {
                        say(&format!("{}/{}, {} key: {message}", row.namespace, row.instance, row.purpose));
                    }
                }
            }
            Format::Json => terminal::json(&json!({ "generatedAt": format!("{:.0}", self.now), "keys": self.rows })),
            Format::Csv => say(self.csv().trim_end()),
        }
    }

    fn csv(&self) -> String {
        const FIELDS: [&str; 14] = [
            "namespace",
            "instance",
            "policy",
            "rotateAfterHours",
            "createdAt",
            "ageSeconds",
            "rotateAt",
            "lastRotatedAt",
            "lastRevokedAt",
            "algorithm",
            "rotationCount",
            "state",
            "message",
            "purpose",
        ];
        let mut text = FIELDS.join(",") + "\r\n";
        for row in &self.rows {
            let row = json!(row);
            let fields = FIELDS.map(|field| match &row[field] {
                Value::Null => String::new(),
                Value::String(text) => quoted(text),
                other => other.to_string(),
            });
            // Writing to a String cannot fail.
            let _ = write!(text, "{}\r\n", fields.join(","));
        }
        text
    }
}

impl Row {
    fn of(wanted: &Wanted, live: &Value, id: ObjectId, now: Timestamp) -> Row {
        let hours = wanted.policy().and_then(|policy| policy.after).map(|after| after.as_hours());
        let policy = match (&wanted.from, hours) {
            (From::Secret { reference, .. }, _) => format!("as in Secret {}", reference.name),
            (From::Chance { .. }, Some(hours)) => format!("every {hours} h"),
            (From::Chance { .. }, None) => "on request".into(),
            (From::Kept, _) => "kept, without its cluster".into(),
        };
        let status = &live["status"][wanted.purpose.status()];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let created: Option<Timestamp> = status["createdAt"].as_str().and_then(|time| time.parse().ok());
        let conditions = live["status"]["conditions"].as_array().into_iter().flatten();
        let due = conditions.into_iter().find(|condition| condition["type"] == wanted.purpose.condition());
        Row {
            namespace: id.namespace,
            instance: id.name,
            policy,
            rotate_after_hours: hours,
            created_at: text(&status["createdAt"]),
            age_seconds: created.map(|created| created.duration_until(now).as_secs().max(0)),
            rotate_at: text(&status["rotateAt"]),
            last_rotated_at: text(&status["lastRotatedAt"]),
            last_revoked_at: text(&status["lastRevokedAt"]),
            algorithm: text(&status["algorithm"]),
            rotation_count: status["rotationCount"].as_u64(),
            state: due.and_then(|due| text(&due["reason"])),
            message: due.and_then(|due| text(&due["message"])),
            purpose: wanted.purpose.word(),
        }
    }
}

/// A field of a line with commas (RFC 4180 2).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Seconds as people read an age.
fn age(seconds: i64) -> String {
    const DAY: i64 = 24 * 60 * 60;
    match seconds {
        DAY.. => format!("{} d", seconds / DAY),
        3600.. => format!("{} h", seconds / 3600),
        _ => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        api::Kind,
        cluster::{Seen, Text},
        object::Type,
    };

    #[test]
    fn a_report_has_the_policy_the_age_and_the_next_time_of_each_key() {
        let mut store = Store::default();
        let mut instance = |name: &str, key: Value, status: Value| {
            let mut object = json!({
                "metadata": { "name": name, "namespace": "dns", "uid": "0" },
                "spec": { "clusterRef": "", "role": "primary", "rndcKey": key },
                "status": status,
            });
            if name == "a" {
                object["spec"]["transferKey"] = json!({ "autoRotate": true, "rotateAfter": "1d" });
            }
            let id = ObjectId { of: Type::Own(Kind::INSTANCE), namespace: "dns".into(), name: name.into() };
            store.take(Seen::Put(id, Text::from(&object)), &mut BTreeSet::new());
        };
        let rotation = json!({
            "createdAt": "2026-01-01T00:00:00Z", "rotateAt": "2026-01-31T00:00:00Z", "rotationCount": 2,
            "lastRotatedAt": "2026-01-01T00:00:00Z", "algorithm": "hmac-sha256",
        });
        let due = json!([{ "type": "RotationDue", "reason": "NotDue", "message": "Later, \"perhaps\"." }]);
        let of_transfers = json!({ "createdAt": "2026-01-02T00:00:00Z" });
        let status = json!({ "rndcKeyRotation": rotation, "transferKeyRotation": of_transfers, "conditions": due });
        instance("a", json!({ "autoRotate": true, "rotateAfter": "30d" }), status);
        instance("b", json!({ "secretRef": { "name": "mine" } }), json!({}));
        instance("c", json!({}), json!({}));
        let now: Timestamp = "2026-01-03T00:00:00Z".parse().unwrap();
        let csv = Report::of(&store, "", now).csv();
        let lines: Vec<&str> = csv.split("\r\n").collect();
        assert_eq!(
            lines[1],
            "dns,a,every 720 h,720,2026-01-01T00:00:00Z,172800,2026-01-31T00:00:00Z,2026-01-01T00:00:00Z,,hmac-sha256,2,\
             NotDue,\
             \"Later, \"\"perhaps\"\".\",RNDC"
        );
        assert_eq!(lines[2], "dns,b,as in Secret mine,,,,,,,,,,,RNDC");
        assert_eq!(lines[3], "dns,c,on request,,,,,,,,,,,RNDC");
        assert_eq!(lines[4], "dns,a,every 24 h,24,2026-01-02T00:00:00Z,86400,,,,,,,,transfer");
        assert_eq!(lines[5], "dns,b,on request,,,,,,,,,,,transfer");
        let orphan = json!({
            "metadata": { "name": "d", "namespace": "dns", "uid": "0" },
            "spec": { "clusterRef": "gone", "role": "primary", "rndcKey": {} },
        });
        let id = ObjectId { of: Type::Own(Kind::INSTANCE), namespace: "dns".into(), name: "d".into() };
        store.take(Seen::Put(id, Text::from(&orphan)), &mut BTreeSet::new());
        assert!(Report::of(&store, "", now).csv().contains("dns,d,\"kept, without its cluster\","));
        assert!(Report::of(&store, "other", now).rows.is_empty());
        assert_eq!([59, 60, 7200, 172_800].map(age), ["0 min", "1 min", "2 h", "2 d"]);
    }
}
