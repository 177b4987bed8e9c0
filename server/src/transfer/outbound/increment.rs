//! What a client that has an earlier version gets in place of the whole zone (RFC 1995): the changes since then, unless
//! they are too large.

use tracing::warn;
use zonefmt::Serial;

use crate::{
    journal,
    zone::{Change, Node, ZoneData},
};

/// The most octets of changes that are joined into one.
const LONGEST_JOINED: usize = 1 << 20;

/// Reads changes up to the serial of this version, and joins them into one if that is shorter. `None` if they do not lead
/// to it, cannot be read, or are larger than so many percent of the zone (`max-ixfr-ratio`).
pub(super) fn read(found: journal::Changes, zone: &ZoneData, to: Serial, ratio: Option<u32>) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    // The journal may be ahead of what is served.
    for change in found {
        let change = change.inspect_err(|error| warn!(target: "xfer-out", "{error}")).ok()?;
        let is_last = change.to() == to;
        changes.push(change);
        if is_last {
            let changes = shortened(changes);
            return ratio.is_none_or(|percent| are_within(octets(&changes), percent, zone)).then_some(changes);
        }
    }
    None
}

/// Joins changes into one if that is shorter.
fn shortened(changes: Vec<Change>) -> Vec<Change> {
    let octets = octets(&changes);
    let joins = changes.len() > 1 && octets <= LONGEST_JOINED;
    let joined = if joins { Change::condensed(changes.iter().cloned()) } else { None };
    joined.filter(|joined| records(joined) < octets).map_or(changes, |joined| vec![joined])
}

fn octets(changes: &[Change]) -> usize {
    changes.iter().map(records).sum()
}

/// The octets of a change's records in wire form.
fn records(change: &Change) -> usize {
    change.removed().octets() + change.added().octets()
}

/// Whether so many octets are at most so many percent of a zone, counted and rounded as in BIND. Looks at no more of the
/// zone than it has to.
fn are_within(octets: usize, percent: u32, zone: &ZoneData) -> bool {
    let least = 100 * octets as u64 / (u64::from(percent) + 1) + 1;
    let mut size = 0;
    zone.iter().any(|node| {
        size += weight(node);
        size >= least
    })
}

/// The octets of a name's records, with the fixed fields once for each RRset, and without the lengths of data.
fn weight(node: Node<'_>) -> u64 {
    const FIXED: usize = 8; // Type, class and TTL.
    let sets = node.rrsets().map(|set| node.owner_len() + FIXED + set.rdatas().map(<[u8]>::len).sum::<usize>());
    sets.sum::<usize>() as u64
}
