//! An update in the log: who has made it and when, and which records went and came.

use std::net::SocketAddr;

use bindy_server::{live::Author, zone::Change};
use jiff::Timestamp;
use serde_json::{Value, json};
use zonefmt::Name;

use super::line::{self, Line};

/// An update of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Who has made it, as people read it.
    pub(super) by: String,
    /// When, in whole seconds.
    pub(super) at: Timestamp,
    pub(super) removed: Vec<Line>,
    pub(super) added: Vec<Line>,
}

impl Entry {
    /// The update that this client has made. Of the zone's SOA, which is the zone's own, nothing is kept.
    pub fn of(author: &Author, change: &Change, at: Timestamp) -> Entry {
        let lines = |records: &bindy_server::zone::Records| -> Vec<Line> {
            // Each begins with the SOA of its version.
            let records = records.iter().skip(1);
            let line = |record: bindy_server::zone::RecordRef<'_>| Line {
                owner: record.owner.to_owned(),
                rtype: record.rtype,
                ttl: record.ttl,
                rdata: record.rdata.to_vec(),
            };
            records.map(line).collect()
        };
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        Entry {
            by: by(author.key.as_ref(), author.client),
            at,
            removed: lines(change.removed()),
            added: lines(change.added()),
        }
    }

    /// The records that the update touches.
    pub(super) fn records(&self) -> impl Iterator<Item = &Line> {
        self.removed.iter().chain(&self.added)
    }

    /// The update as it is in an object.
    pub(super) fn write(&self, number: u64) -> Value {
        let lines = |lines: &[Line]| -> Vec<String> {
            lines.iter().map(|it| line::write(it.owner.as_ref(), it.rtype, it.ttl, &it.rdata)).collect()
        };
        let mut entry = json!({ "number": number, "at": self.at.to_string(), "by": self.by });
        for (field, records) in [("removed", &self.removed), ("added", &self.added)] {
            if !records.is_empty() {
                entry[field] = json!(lines(records));
            }
        }
        entry
    }

    /// Reads what [`Entry::write`] has written, with the number; `None` if it has no such form.
    pub(super) fn read(value: &Value) -> Option<(u64, Entry)> {
        let lines = |field: &str| -> Option<Vec<Line>> {
            let Some(lines) = value.get(field).filter(|lines| !lines.is_null()) else { return Some(Vec::new()) };
            lines.as_array()?.iter().map(|text| line::read(text.as_str()?)).collect()
        };
        let text = |field: &str| value[field].as_str();
        let (by, at) = (text("by").unwrap_or_default().to_owned(), text("at")?.parse().ok()?);
        let entry = Entry { by, at, removed: lines("removed")?, added: lines("added")? };
        Some((value["number"].as_u64()?, entry))
    }
}

/// Who has made an update: the key, and from where.
fn by(key: Option<&Name>, client: SocketAddr) -> String {
    match key {
        Some(key) => format!("{} {client}", key.as_ref().without_final_dot()),
        None => client.to_string(),
    }
}
