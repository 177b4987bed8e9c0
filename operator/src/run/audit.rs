//! Who has written what, or wanted to: a line of the log for each update of a client, in fields that programs can take
//! apart, and for those that a resource stands in the way of, an event of the zone. Also a line for records whose zone is
//! gone, or is back.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    time::{Duration, Instant},
};

use bindy_server::{
    live::{Author, Written},
    zone::Change,
};
use jiff::Timestamp;
use kube::Client;
use serde_json::Value;
use zonefmt::{NameRef, Rtype, Serial, rdata::Soa};

use super::{
    desk::TurnedAway,
    events,
    ledgers::{Mark, ZoneKey},
};
use crate::{api::ResourceId, terminal::say};

/// Tells people, by events, which updates were refused.
pub(super) struct Refusals {
    client: Client,
    /// Who tells.
    by: String,
    /// The events that were told.
    told: BTreeSet<(ResourceId, String)>,
    /// When the last one was.
    last: Option<Instant>,
}

/// How many events are remembered, so that each is told once.
const MOST_TOLD: usize = 1000;
/// The time between two events. Whoever has many updates refused makes no flood of them: the log has all.
const PAUSE: Duration = Duration::from_secs(1);
/// How many names a line has. The objects have all of them.
const MOST_NAMES: usize = 16;

/// Tells of an update that is stored: by which of the zone's rules, and which serials it led from and to.
pub(super) fn made(update: &Written, rule: Option<usize>, (before, after): (Serial, Serial)) {
    let Written { author, change, after: data } = update;
    let rule = rule.map(|rule| format!(" rule={rule}")).unwrap_or_default();
    let (origin, before, after) = (data.origin(), before.0, after.0);
    say(&format!("update made {}{rule} serial={before}..{after} {}", Line { origin, author }, Names(change)));
}

/// Tells of an update that changes nothing.
pub(super) fn turned_away(TurnedAway { origin, author, rcode, why }: &TurnedAway) {
    let origin = origin.as_ref();
    say(&format!("update refused {} rcode={rcode} why={why:?}", Line { origin, author }));
}

/// Tells that the DNSZone of what clients have written is gone, or is back.
pub(super) fn marked(ZoneKey { namespace, origin }: &ZoneKey, mark: Mark) {
    let zone = origin.as_ref().without_final_dot();
    let what = match mark {
        Mark::Orphaned => "records orphaned",
        Mark::Adopted => "records adopted",
    };
    say(&format!("{what} zone={zone} namespace={namespace}"));
}

impl Refusals {
    /// Nothing was told yet by this one.
    pub(super) fn new(client: Client, by: &str) -> Refusals {
        Refusals { client, by: by.to_owned(), told: BTreeSet::new(), last: None }
    }

    /// Tells whoever looks at a zone, once, that a client cannot write what a resource declares.
    pub(super) fn tell(&mut self, zone: &ResourceId, live: &Value, why: &str) {
        if self.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        if self.told.len() == MOST_TOLD {
            self.told.clear();
        }
        if self.told.insert((zone.clone(), why.to_owned())) {
            self.last = Some(Instant::now());
            let event = events::update_refused(zone, live, why, &self.by, Timestamp::now());
            let client = self.client.clone();
            tokio::spawn(async move { events::tell(&client, event).await });
        }
    }
}

/// Who has written, and where.
struct Line<'u> {
    origin: NameRef<'u>,
    author: &'u Author,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Author { client, key, id } = self.author;
        let key = key.as_ref().map_or_else(|| "-".to_owned(), |key| key.as_ref().without_final_dot().to_string());
        write!(f, "zone={} key={key} client={client} id={id}", self.origin.without_final_dot())
    }
}

/// The names and types that a change touches.
struct Names<'u>(&'u Change);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = touched(self.0);
        let mut text = String::new();
        for (owner, rtype) in all.iter().take(MOST_NAMES) {
            // Writing to a String cannot fail.
            let _ = write!(text, ",{}/{rtype}", owner.without_final_dot());
        }
        let more = all.len().saturating_sub(MOST_NAMES);
        write!(f, "names={}", text.trim_start_matches(','))?;
        if more > 0 { write!(f, " more={more}") } else { Ok(()) }
    }
}

/// The RRsets that a change touches; the SOA, if not only its serial is new, as it is with each change.
pub(super) fn touched(change: &Change) -> Vec<(NameRef<'_>, Rtype)> {
    let versions = [change.removed(), change.added()];
    // Each begins with the SOA of its version.
    let [before, after] = versions.map(|records| {
        records
            .iter()
            .next()
            .and_then(|record| Some((record.ttl, Soa { serial: Serial(0), ..Soa::read(record.rdata)? })))
    });
    let others = usize::from(before == after);
    let records = versions.into_iter().flat_map(|records| records.iter().skip(others));
    let mut all: Vec<_> = records.map(|record| (record.owner, record.rtype)).collect();
    all.sort_unstable();
    all.dedup();
    all
}
