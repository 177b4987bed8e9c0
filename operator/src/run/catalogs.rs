//! Catalog zones (RFC 9432): what tells a server which zones it has. Each server, which may be several pods, has one.
//!
//! Many zones at a time leave a catalog only if somebody allows it; until then it lists them on. How many it lists is kept
//! in the status of the server's instance, which is what a process begins with: if it finds that many of them are gone,
//! it does not know which, so that it does not serve the catalog, and servers stay with the one that they have.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::zone::EditError;
use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};
use zonefmt::{Name, NameRef, Rtype, Serial};

use super::removal::{Change, LargeRemoval, Removals};
use crate::compile::ZoneData;

/// The catalogs.
#[derive(Default)]
pub(super) struct Catalogs {
    listed: BTreeMap<Name, Catalog>,
    removals: Removals,
    /// The catalogs that are held, with what was to allow it when that began.
    held: BTreeMap<Name, String>,
}

/// What may not leave a catalog yet.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) why: LargeRemoval,
    /// The zones, as far as this process knows them.
    pub(super) zones: BTreeSet<Name>,
}

struct Catalog {
    members: BTreeSet<Name>,
    data: ZoneData,
}

/// The most members of a catalog. A server reads all of it at each change, which takes it about a second with so many.
pub(super) const MOST_MEMBERS: usize = 100_000;

impl Catalogs {
    /// Puts back into the `wanted` catalogs what may not leave them yet, and takes those away of which it is not known what
    /// they have. `instance` is that of a catalog's server; without one, zones may go. Returns what is held.
    ///
    /// Who leads decides. Who follows notices by the status of the instance that a removal was let through.
    pub(super) fn hold(
        &mut self,
        wanted: &mut BTreeMap<Name, BTreeSet<Name>>,
        leads: bool,
        instance: impl Fn(&Name) -> Option<Value>,
    ) -> BTreeMap<Name, Kept> {
        let mut kept = BTreeMap::new();
        wanted.retain(|catalog, members| {
            let listed = self.listed.get(catalog).map(|listed| &listed.members);
            let zones: BTreeSet<Name> = listed.into_iter().flat_map(|it| it.difference(members)).cloned().collect();
            let added = listed.map_or(0, |listed| members.difference(listed).count());
            let change = Change { removed: zones.len(), added };
            let why = instance(catalog).and_then(|instance| {
                let size = listed.map(|listed| (listed.len(), change));
                let why = self.removals.hold_catalog(&instance, catalog, size, members.len())?;
                let went_on = !leads && self.held.get(catalog).is_some_and(|held| *held != why.allowed_by);
                (!went_on).then_some(why)
            });
            let Some(why) = why else {
                self.held.remove(catalog);
                self.removals.published(catalog, change);
                return true;
            };
            self.held.entry(catalog.clone()).or_insert_with(|| why.allowed_by.clone());
            self.removals.published(catalog, Change { removed: 0, added });
            let is_known = listed.is_some();
            members.extend(zones.iter().cloned());
            kept.insert(catalog.clone(), Kept { why, zones });
            is_known
        });
        kept
    }

    /// Forgets the catalogs of which another process has published more; `published` says how many members.
    pub(super) fn take_over(&mut self, published: impl Fn(&Name) -> usize) {
        self.listed.retain(|catalog, listed| listed.members.len() >= published(catalog));
    }

    /// How many zones a catalog lists, and its serial.
    pub(super) fn listed(&self, catalog: &Name) -> Option<(usize, Serial)> {
        let Catalog { members, data } = self.listed.get(catalog)?;
        Some((members.len(), data.serial()?))
    }

    /// Makes the catalogs have these members, and returns those that changed: with their data, or none for one that is
    /// gone. `now` is in seconds since 1970; a serial follows it, so that it is ahead of those of any predecessor.
    pub(super) fn list(&mut self, wanted: BTreeMap<Name, BTreeSet<Name>>, now: u32) -> Vec<(Name, Option<ZoneData>)> {
        let gone: Vec<Name> = self.listed.keys().filter(|origin| !wanted.contains_key(*origin)).cloned().collect();
        let mut changed: Vec<(Name, Option<ZoneData>)> = Vec::new();
        for origin in gone {
            self.listed.remove(&origin);
            self.removals.forget(&origin);
            changed.push((origin, None));
        }
        for (origin, members) in wanted {
            let known = self.listed.get(&origin);
            if known.is_some_and(|known| known.members == members) {
                continue;
            }
            let last = known.and_then(|known| known.data.serial());
            let now = Serial(now.max(1));
            let serial = last.map(Serial::next).filter(|next| *next > now).unwrap_or(now);
            // Names of zones and labels of our own always fit.
            let nothing = BTreeSet::new();
            let (before, listed) = match known {
                Some(known) => (known.data.clone(), &known.members),
                None => (ZoneData::new(origin.clone()), &nothing),
            };
            let Ok(data) = changed_to(&before, listed, &members, serial) else { continue };
            changed.push((origin.clone(), Some(data.clone())));
            self.listed.insert(origin, Catalog { members, data });
        }
        changed
    }

    /// Gives a catalog a serial ahead of one that a server has of it; `None` if there is no such catalog.
    pub(super) fn overtake(&mut self, origin: &Name, serial: Serial) -> Option<ZoneData> {
        let catalog = self.listed.get_mut(origin)?;
        catalog.data = changed_to(&catalog.data, &catalog.members, &catalog.members, serial.next()).ok()?;
        Some(catalog.data.clone())
    }

    /// The catalogs and what they have.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &ZoneData)> {
        self.listed.iter().map(|(origin, catalog)| (origin, &catalog.data))
    }
}

/// The label of a member: the same in every catalog and for ever, so that a server keeps the zone's data.
fn label(member: &Name) -> String {
    HEXLOWER.encode(&Sha256::digest(member.as_ref().as_wire().to_ascii_lowercase())[..16])
}

/// The next version of a catalog, from one that lists these members. It costs what changes.
fn changed_to(
    before: &ZoneData,
    listed: &BTreeSet<Name>,
    members: &BTreeSet<Name>,
    serial: Serial,
) -> Result<ZoneData, EditError> {
    const INVALID: &[u8] = b"\x07invalid\0";
    let numbers: [u32; 5] = [serial.0, 300, 10, 0x7fff_ffff, 0];
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    let origin = before.origin();
    let mut edit = before.edit();
    let below = |label: &str, name: NameRef<'_>| {
        let label = [&[label.len() as u8], label.as_bytes()].concat();
        name.prepend(&label).unwrap_or_else(|_| unreachable!("catalogs' names are short"))
    };
    edit.replace(origin, Rtype::SOA, 0, [&*[INVALID, INVALID, &numbers].concat()])?;
    edit.replace(origin, Rtype::NS, 0, [INVALID])?;
    edit.replace(below("version", origin).as_ref(), Rtype::TXT, 0, [&b"\x012"[..]])?;
    let zones = below("zones", origin);
    for gone in listed.difference(members) {
        edit.remove(below(&label(gone), zones.as_ref()).as_ref(), Rtype::PTR)?;
    }
    for new in members.difference(listed) {
        edit.add(below(&label(new), zones.as_ref()).as_ref(), Rtype::PTR, 0, new.as_ref().as_wire())?;
    }
    Ok(edit.commit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn wanted(members: &[&str]) -> BTreeMap<Name, BTreeSet<Name>> {
        BTreeMap::from([(name("c.catalog.bindy"), members.iter().map(|member| name(member)).collect())])
    }

    #[test]
    fn a_catalog_is_read_as_it_was_meant_and_its_serial_never_goes_back() {
        let mut catalogs = Catalogs::default();
        let (_, first) = catalogs.list(wanted(&["a.test", "b.test"]), 1000).remove(0);
        let first = first.unwrap();
        let reading = bindy_server::catalog::Catalog::read(&first, None).unwrap();
        assert_eq!((reading.catalog.len(), reading.findings.len()), (2, 0));
        assert!(catalogs.list(wanted(&["b.test", "A.test"]), 2000).is_empty(), "the same members");
        let serial = |changed: Vec<(Name, Option<ZoneData>)>| changed[0].1.as_ref().unwrap().serial().unwrap().0;
        assert_eq!(serial(catalogs.list(wanted(&["a.test"]), 1000)), 1001);
        assert_eq!(serial(catalogs.list(wanted(&[]), 900)), 1002, "also if the clock goes back");
        assert_eq!(serial(catalogs.list(wanted(&["a.test"]), 5000)), 5000);
        assert!(catalogs.list(BTreeMap::new(), 5000)[0].1.is_none());
    }

    #[test]
    fn a_catalog_lists_all_the_zones_of_a_server_with_very_many() {
        let mut catalogs = Catalogs::default();
        let all: BTreeSet<Name> = (0..MOST_MEMBERS).map(|number| name(&format!("{number}.test"))).collect();
        let read = |changed: Vec<(Name, Option<ZoneData>)>| {
            let reading = bindy_server::catalog::Catalog::read(changed[0].1.as_ref().unwrap(), None).unwrap();
            assert!(reading.findings.is_empty());
            reading.catalog.len()
        };
        let origin = name("c.catalog.bindy");
        assert_eq!(read(catalogs.list([(origin.clone(), all.clone())].into(), 1)), MOST_MEMBERS);
        let fewer: BTreeSet<Name> = all.iter().skip(2).cloned().chain([name("more.test")]).collect();
        assert_eq!(read(catalogs.list([(origin, fewer)].into(), 1)), MOST_MEMBERS - 1);
    }

    /// The instance of the catalog's server.
    fn instance(zones: usize, serial: u32, allowed: &str) -> Value {
        serde_json::json!({
            "metadata": { "annotations": { "bindy.firestoned.io/allow-large-removal": allowed } },
            "status": { "zonesCount": zones, "catalogSerial": serial },
        })
    }

    fn zones(count: usize) -> BTreeMap<Name, BTreeSet<Name>> {
        let members: Vec<String> = (0..count).map(|number| format!("z{number}.test")).collect();
        wanted(&members.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// How many zones the catalog of `catalogs` lists, if these are wanted.
    fn published(catalogs: &mut Catalogs, count: usize, leads: bool, instance: Option<&Value>) -> Option<usize> {
        let mut wanted = zones(count);
        let kept = catalogs.hold(&mut wanted, leads, |_| instance.cloned());
        catalogs.list(wanted, 1000);
        let listed = catalogs.listed(&name("c.catalog.bindy")).map(|(zones, _)| zones);
        assert_eq!(kept.is_empty(), listed == Some(count), "{kept:?}");
        listed
    }

    #[test]
    fn many_zones_leave_a_catalog_only_if_that_is_allowed() {
        let mut catalogs = Catalogs::default();
        let known = |allowed| instance(20, 7, allowed);
        assert_eq!(published(&mut catalogs, 20, true, Some(&known(""))), Some(20));
        assert_eq!(published(&mut catalogs, 14, true, Some(&known(""))), Some(14));
        assert_eq!(published(&mut catalogs, 13, true, Some(&known(""))), Some(14), "7 of 20 within ten minutes");
        assert_eq!(published(&mut catalogs, 0, true, Some(&known("6"))), Some(14));
        // What is new comes all the same.
        let mut wanted = wanted(&["new.test"]);
        let not_allowed = known("");
        let kept = catalogs.hold(&mut wanted, true, |_| Some(not_allowed.clone()));
        assert_eq!((wanted[&name("c.catalog.bindy")].len(), kept[&name("c.catalog.bindy")].zones.len()), (15, 14));
        assert_eq!(published(&mut catalogs, 5, true, Some(&known("7"))), Some(5));
        assert_eq!(published(&mut catalogs, 0, true, Some(&known(""))), Some(0), "what follows belongs to it");
    }

    #[test]
    fn the_zones_of_a_server_that_retires_may_go() {
        let mut catalogs = Catalogs::default();
        assert_eq!(published(&mut catalogs, 20, true, None), Some(20));
        assert_eq!(published(&mut catalogs, 0, true, None), Some(0));
    }

    #[test]
    fn a_process_that_begins_does_not_publish_a_catalog_that_has_lost_much() {
        let mut catalogs = Catalogs::default();
        assert_eq!(published(&mut catalogs, 13, true, Some(&instance(20, 7, ""))), None);
        assert_eq!(published(&mut catalogs, 13, true, Some(&instance(20, 7, "7"))), Some(13));
        let mut catalogs = Catalogs::default();
        assert_eq!(published(&mut catalogs, 14, true, Some(&instance(20, 7, ""))), Some(14));
    }

    #[test]
    fn who_follows_holds_what_the_leader_holds() {
        let (mut catalogs, before) = (Catalogs::default(), instance(20, 7, ""));
        assert_eq!(published(&mut catalogs, 20, false, Some(&before)), Some(20));
        assert_eq!(published(&mut catalogs, 5, false, Some(&before)), Some(20));
        // The annotation may be gone when the status is seen.
        assert_eq!(published(&mut catalogs, 5, false, Some(&instance(5, 9, ""))), Some(5));
        // The leader has held more than this process has seen.
        catalogs.take_over(|_| 20);
        assert_eq!(published(&mut catalogs, 5, true, Some(&before)), None);
    }
}
