//! Holds back a version of a zone that would remove much of it: more often than not, somebody has made a mistake, and
//! resolvers remember that a name is not there.

use std::fmt;

use serde_json::Value;

use crate::{compile::ZoneData, render::names};

/// A removal that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LargeRemoval {
    removed: usize,
    of: usize,
    what: &'static str,
    /// What the annotation has to say to allow it.
    allowed_by: String,
}

/// The smallest zone that this is about, in RRsets or record resources.
const LEAST: usize = 10;
/// How much may go, in percent.
const MOST_PERCENT: usize = 30;
/// The annotation of a DNSZone that allows the removal.
const ALLOWANCE: &str = "allow-large-removal";

/// Whether a new version has to wait: `removed` RRsets of what is served go. If nothing is served yet, the number of
/// records that the zone's status has is compared with `records`.
pub(super) fn of(zone: &Value, served: Option<ZoneData>, removed: usize, records: usize) -> Option<LargeRemoval> {
    let (removed, of, what) = match served {
        Some(_) if removed * 100 <= LEAST * MOST_PERCENT => return None,
        Some(served) => (removed, served.iter().map(|node| node.rrsets().count()).sum(), "RRsets"),
        None => {
            let before = zone["status"]["recordsCount"].as_u64().unwrap_or(0) as usize;
            (before.saturating_sub(records), before, "records")
        }
    };
    let allowed_by = zone["status"]["serial"].as_u64().unwrap_or(0).to_string();
    let is_allowed = zone["metadata"]["annotations"][names::ours(ALLOWANCE)] == *allowed_by;
    let is_large = of >= LEAST && removed * 100 > of * MOST_PERCENT;
    (is_large && !is_allowed).then_some(LargeRemoval { removed, of, what, allowed_by })
}

impl fmt::Display for LargeRemoval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LargeRemoval { removed, of, what, allowed_by } = self;
        write!(
            f,
            "{removed} of {of} {what} would go; if that is meant, annotate the DNSZone with {}={allowed_by}, the serial that \
             is served; until then it is served as it was",
            names::ours(ALLOWANCE)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_removal_of_much_of_a_zone_waits_until_it_is_allowed() {
        let zone = |count: u32, allowed: &str| {
            json!({
                "metadata": { "annotations": { "bindy.firestoned.io/allow-large-removal": allowed } },
                "status": { "recordsCount": count, "serial": 7 },
            })
        };
        assert!(of(&zone(9, ""), None, 0, 0).is_none(), "a small zone");
        assert!(of(&zone(10, ""), None, 0, 7).is_none());
        let large = of(&zone(10, ""), None, 0, 6).unwrap();
        assert!(large.to_string().contains("4 of 10 records") && large.to_string().contains("removal=7,"));
        assert!(of(&zone(10, "6"), None, 0, 6).is_some(), "that was for another version");
        assert!(of(&zone(10, "7"), None, 0, 6).is_none());
        assert!(of(&json!({}), None, 0, 0).is_none(), "a new zone");
    }
}
