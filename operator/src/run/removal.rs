//! Holds back what would remove much at once, of a zone or of the catalog of a server: more often than not, somebody has
//! made a mistake, and resolvers remember that a name is not there.
//!
//! What goes is compared with the most that there was within the last ten minutes, so that many small removals are held
//! like a large one; those that follow wait with it. Once somebody has allowed it, all that goes within the next ten
//! minutes may. All this belongs to a resource: one that is made anew, or takes another's place, begins anew. This process
//! alone remembers such times; the next one to lead begins with what there is.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    ops::AddAssign,
    time::{Duration, Instant},
};

use bindy_server::zone::Difference;
use serde_json::Value;
use zonefmt::Name;

use crate::{compile::ZoneData, render::names};

/// A removal that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LargeRemoval {
    removed: usize,
    of: usize,
    what: What,
    /// What the annotation has to say to allow it.
    pub(super) allowed_by: String,
}

/// What would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// RRsets of a zone.
    Sets,
    /// Records of a zone of which nothing is served yet.
    Records,
    /// Zones of a server.
    Zones,
}

/// How much a new version removes and adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) removed: usize,
    pub(super) added: usize,
}

/// How much something had within the last ten minutes.
#[derive(Clone, Debug)]
struct Past {
    /// The uid of the resource that this is about.
    resource: Value,
    /// How much it has.
    size: usize,
    /// The most that it had before, by the minutes in which that ended, each with its begin.
    former: VecDeque<(Instant, usize)>,
    /// Until when all may go.
    open_until: Option<Instant>,
}

/// What is known of the zones, or the catalogs, that have lost something.
#[derive(Default)]
pub(super) struct Removals(BTreeMap<Name, Past>);

/// The smallest zone or catalog that this is about, in RRsets, record resources or zones.
const LEAST: usize = 10;
/// How much may go, in percent.
const MOST_PERCENT: usize = 30;
/// How long it counts what there was, and how long everything may go after somebody has allowed it.
const WINDOW: Duration = Duration::from_secs(600);
/// How often a size is remembered.
const MINUTE: Duration = Duration::from_secs(60);
/// The annotation that allows a removal.
const ALLOWANCE: &str = "allow-large-removal";

/// How many go of how many, if that is too much.
fn large(removed: usize, of: usize) -> Option<(usize, usize)> {
    (of >= LEAST && removed * 100 > of * MOST_PERCENT).then_some((removed, of))
}

impl Removals {
    /// Why a version of a zone has to wait, if it has to; `change` leads to it from what is served. If this process serves
    /// nothing of this resource yet, the number of records that its status has is compared with `records`.
    pub(super) fn hold(
        &mut self,
        zone: &Value,
        (origin, version): (&Name, &ZoneData),
        served: Option<&ZoneData>,
        change: Change,
        records: usize,
    ) -> Option<LargeRemoval> {
        let now = Instant::now();
        let (large, what) = match served {
            Some(_) if change.removed == 0 => return None,
            Some(served) => {
                let past = self.past(origin, zone, || rrsets(served));
                let is_large = past.large(change, now).is_some();
                // What several versions have removed may be there again.
                let exactly = || past.large(change.exactly(removed(served, version)), now);
                (is_large.then(exactly).flatten(), What::Sets)
            }
            None => {
                let before = zone["status"]["recordsCount"].as_u64().unwrap_or(0) as usize;
                (large(before.saturating_sub(records), before), What::Records)
            }
        };
        // What is allowed is taken over by this change, which begins with nothing if nothing is served yet.
        let before = || (rrsets(version) + change.removed).saturating_sub(change.added);
        self.unless_allowed(zone, "serial", origin, large?, what, before)
    }

    /// Why zones have to stay in the catalog of a server, if they have to. `listed` says how many it has, and what is to
    /// become of them; if that is not known here, the number that the status of the server's instance has is compared
    /// with how many are `wanted`.
    pub(super) fn hold_catalog(
        &mut self,
        instance: &Value,
        catalog: &Name,
        listed: Option<(usize, Change)>,
        wanted: usize,
    ) -> Option<LargeRemoval> {
        let large = match listed {
            Some((_, change)) if change.removed == 0 => return None,
            Some((size, change)) => {
                let past = self.past(catalog, instance, || size);
                past.large(change, Instant::now())
            }
            None => {
                let before = instance["status"]["zonesCount"].as_u64().unwrap_or(0) as usize;
                large(before.saturating_sub(wanted), before)
            }
        };
        self.unless_allowed(instance, "catalogSerial", catalog, large?, What::Zones, || wanted)
    }

    /// A removal, unless the annotation of an object allows it by the serial in its status.
    fn unless_allowed(
        &mut self,
        object: &Value,
        serial: &str,
        name: &Name,
        (removed, of): (usize, usize),
        what: What,
        size: impl FnOnce() -> usize,
    ) -> Option<LargeRemoval> {
        let allowed_by = object["status"][serial].as_u64().unwrap_or(0).to_string();
        if object["metadata"]["annotations"][names::ours(ALLOWANCE)] == *allowed_by {
            self.past(name, object, size).allow(Instant::now());
            return None;
        }
        Some(LargeRemoval { removed, of, what, allowed_by })
    }

    /// What is known of a zone or catalog that belongs to this object.
    fn past(&mut self, name: &Name, object: &Value, size: impl FnOnce() -> usize) -> &mut Past {
        let resource = &object["metadata"]["uid"];
        if self.0.get(name).is_some_and(|past| past.resource != *resource) {
            self.0.remove(name);
        }
        self.0.entry(name.clone()).or_insert_with(|| Past::of(resource.clone(), size()))
    }

    /// Takes note that a version is served now, to which this led from the one that was served before.
    pub(super) fn published(&mut self, origin: &Name, change: Change) {
        if let Some(past) = self.0.get_mut(origin) {
            past.take(change, Instant::now());
        }
    }

    /// Forgets a zone that is not there any more.
    pub(super) fn forget(&mut self, origin: &Name) {
        self.0.remove(origin);
    }
}

impl Past {
    /// The past of something that has had no more than this lately.
    fn of(resource: Value, size: usize) -> Past {
        Past { resource, size, former: VecDeque::new(), open_until: None }
    }

    /// How many would go of how many, if a change is too much.
    fn large(&self, change: Change, now: Instant) -> Option<(usize, usize)> {
        if change.removed == 0 || self.is_open(now) {
            return None;
        }
        let recent = self.former.iter().filter(|(minute, _)| now.saturating_duration_since(*minute) < WINDOW);
        let most = recent.map(|(_, size)| *size).fold(self.size, usize::max);
        // What comes meanwhile makes it no smaller to those who read of it.
        let lately = large(most.saturating_sub(self.after(change)), most);
        lately.map(|(removed, of)| (removed.max(change.removed), of)).or_else(|| large(change.removed, self.size))
    }

    /// Lets all go for some time.
    fn allow(&mut self, now: Instant) {
        self.open_until = Some(now + WINDOW);
    }

    /// Takes over a change.
    fn take(&mut self, change: Change, now: Instant) {
        if self.is_open(now) {
            // What goes now counts no more when the time is over.
            self.former.clear();
        } else {
            self.former.retain(|(minute, _)| now.saturating_duration_since(*minute) < WINDOW);
            match self.former.back_mut() {
                Some((minute, most)) if now.saturating_duration_since(*minute) < MINUTE => *most = self.size.max(*most),
                _ => self.former.push_back((now, self.size)),
            }
        }
        self.size = self.after(change);
    }

    fn after(&self, change: Change) -> usize {
        (self.size + change.added).saturating_sub(change.removed)
    }

    fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }
}

impl Change {
    /// The same change, of which it is known how much really goes.
    fn exactly(self, removed: usize) -> Change {
        Change { removed, added: (self.added + removed).saturating_sub(self.removed) }
    }
}

impl AddAssign for Change {
    fn add_assign(&mut self, more: Change) {
        self.removed += more.removed;
        self.added += more.added;
    }
}

fn rrsets(zone: &ZoneData) -> usize {
    zone.iter().map(|node| node.rrsets().count()).sum()
}

/// How many RRsets of a version a later one does not have.
fn removed(before: &ZoneData, after: &ZoneData) -> usize {
    let removed = before.differences(after).map(|difference| match difference {
        Difference::Removed(node) => node.rrsets().count(),
        Difference::Added(_) => 0,
        Difference::Changed { old, new } => old.rrsets().filter(|set| new.rrset(set.rtype).is_none()).count(),
    });
    removed.sum()
}

impl fmt::Display for LargeRemoval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LargeRemoval { removed, of, what, allowed_by } = self;
        let annotation = names::ours(ALLOWANCE);
        let (what, on, why) = match what {
            What::Sets => ("RRsets", "DNSZone", ", the serial that is served; until then it is served as it was"),
            What::Records => ("records", "DNSZone", ", the serial that is served; until then it is served as it was"),
            What::Zones => ("zones", "Bind9Instance", "; until then it keeps what it has"),
        };
        write!(
            f,
            "{removed} of {of} {what} would be gone; if that is meant, annotate the {on} with {annotation}={allowed_by}{why}"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use zonefmt::Rtype;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn zone(count: u32, allowed: &str) -> Value {
        json!({
            "metadata": { "annotations": { "bindy.firestoned.io/allow-large-removal": allowed } },
            "status": { "recordsCount": count, "serial": 7 },
        })
    }

    fn removes(removed: usize) -> Change {
        Change { removed, added: 0 }
    }

    /// A zone with so many RRsets.
    fn data(origin: &Name, count: usize) -> ZoneData {
        let mut edit = ZoneData::new(origin.clone()).edit();
        for number in 0..count {
            let owner = Name::from_ascii(format!("h{number}.{origin}")).unwrap();
            edit.add(owner.as_ref(), Rtype::A, 0, &[192, 0, 2, 1]).unwrap();
        }
        edit.commit()
    }

    #[test]
    fn the_removal_of_much_of_a_zone_waits_until_it_is_allowed() {
        let (origin, mut removals) = (Name::from_ascii("example.com").unwrap(), Removals::default());
        let some = data(&origin, 3);
        let mut of = |zone: &Value, records| removals.hold(zone, (&origin, &some), None, removes(0), records);
        assert!(of(&zone(9, ""), 0).is_none(), "a small zone");
        assert!(of(&zone(10, ""), 7).is_none());
        let large = of(&zone(10, ""), 6).unwrap();
        assert!(large.to_string().contains("4 of 10 records") && large.to_string().contains("removal=7,"));
        assert!(of(&zone(10, "6"), 6).is_some(), "that was for another version");
        assert!(of(&zone(10, "7"), 6).is_none());
        assert!(of(&json!({}), 0).is_none(), "a new zone");
    }

    #[test]
    fn a_removal_that_was_taken_back_is_held_no_more() {
        let (origin, mut removals) = (Name::from_ascii("example.com").unwrap(), Removals::default());
        let (all, few) = (data(&origin, 20), data(&origin, 5));
        let mut held =
            |version, change| removals.hold(&zone(20, ""), (&origin, version), Some(&all), change, 0).is_some();
        assert!(held(&few, removes(15)));
        assert!(!held(&all, Change { removed: 15, added: 15 }));
        assert!(held(&few, Change { removed: 30, added: 15 }));
    }

    #[test]
    fn what_was_allowed_when_nothing_was_served_yet_counts_once() {
        let (origin, mut removals) = (Name::from_ascii("example.com").unwrap(), Removals::default());
        let whole = data(&origin, 20);
        let all = Change { removed: 0, added: 20 };
        assert!(removals.hold(&zone(40, "7"), (&origin, &whole), None, all, 20).is_none());
        removals.published(&origin, all);
        assert_eq!(removals.0[&origin].size, 20);
    }

    #[test]
    fn what_is_allowed_for_a_zone_is_not_for_another_of_its_name() {
        let (origin, mut removals) = (Name::from_ascii("example.com").unwrap(), Removals::default());
        let (all, few) = (data(&origin, 20), data(&origin, 5));
        let mut is_held = |uid: &str, allowed: &str| {
            let mut zone = zone(20, allowed);
            zone["metadata"]["uid"] = json!(uid);
            removals.hold(&zone, (&origin, &few), Some(&all), removes(15), 0).is_some()
        };
        assert!(is_held("a", ""));
        assert!(!is_held("a", "7"));
        assert!(!is_held("a", ""), "what follows belongs to it");
        assert!(is_held("b", ""));
    }

    /// What happens to something with so many members.
    struct Story {
        past: Past,
        now: Instant,
        waits: Change,
        held: usize,
        is_held: bool,
    }

    impl Story {
        fn of(size: usize) -> Story {
            Story {
                past: Past::of(Value::Null, size),
                now: Instant::now(),
                waits: Change::default(),
                held: 0,
                is_held: false,
            }
        }

        fn change(&mut self, pause: Duration, change: Change) {
            self.now += pause;
            self.waits += change;
            let is_held = self.past.large(self.waits, self.now).is_some();
            self.held += usize::from(is_held && !self.is_held);
            self.is_held = is_held;
            if !is_held {
                self.past.take(std::mem::take(&mut self.waits), self.now);
            }
        }

        fn allow(&mut self) {
            self.past.allow(self.now);
            self.change(Duration::ZERO, Change::default());
        }
    }

    proptest! {
        /// In a stream within minutes, of which somebody allows what is held at any moment, or in one step.
        #[test]
        fn what_is_removed_within_minutes_is_held_once(
            size in 10usize..200,
            goes in 31usize..=100,
            steps in 1usize..100,
            pause in 0u64..5,
            patience in 0usize..50,
        ) {
            let goes = (size * goes).div_ceil(100);
            let (mut story, mut left, mut since) = (Story::of(size), goes, 0);
            while left > 0 {
                let step = goes.div_ceil(steps).min(left);
                left -= step;
                story.change(SECOND * pause as u32, removes(step));
                since += usize::from(story.is_held);
                if story.is_held && since > patience {
                    story.allow();
                    prop_assert!(!story.is_held);
                }
            }
            prop_assert_eq!(story.held, 1);
            if story.is_held {
                story.allow();
            }
            prop_assert_eq!(story.past.size, size - goes);
            // Later it begins anew.
            story.change(WINDOW, Change { removed: 0, added: 100 });
            story.change(SECOND, removes(story.past.size));
            prop_assert_eq!(story.held, 2);
        }

        #[test]
        fn what_is_replaced_one_by_one_or_removed_slowly_is_never_held(
            size in 10usize..200,
            steps in prop::collection::vec((0u64..100, any::<bool>()), 1..400),
        ) {
            let mut story = Story::of(size);
            for (pause, removed_first) in steps {
                let both = [removes(1), Change { removed: 0, added: 1 }];
                let both = if removed_first { both } else { [both[1], both[0]] };
                for change in both {
                    story.change(SECOND * pause as u32, change);
                }
            }
            prop_assert_eq!(story.held, 0);
            // Of a zone that becomes small, little matters.
            while story.past.size > 0 {
                story.change(WINDOW / (story.past.size as u32 / 5).max(1), removes(1));
            }
            prop_assert_eq!(story.held, 0);
        }
    }
}
