//! Catalog zones (RFC 9432): what tells a server which zones it has. Each server, which may be several pods, has one.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::zone::EditError;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zonefmt::{Name, NameRef, Rtype, Serial};

use crate::compile::ZoneData;

/// The catalogs, by name.
#[derive(Default)]
pub(super) struct Catalogs(BTreeMap<Name, Catalog>);

struct Catalog {
    members: BTreeSet<Name>,
    data: ZoneData,
}

/// The most members of a catalog. A server reads all of it at each change, which takes it about a second with so many.
pub(super) const MOST_MEMBERS: usize = 100_000;

impl Catalogs {
    /// Makes the catalogs have these members, and returns those that changed: with their data, or none for one that is
    /// gone. `now` is in seconds since 1970; a serial follows it, so that it is ahead of those of any predecessor.
    pub(super) fn list(&mut self, wanted: BTreeMap<Name, BTreeSet<Name>>, now: u32) -> Vec<(Name, Option<ZoneData>)> {
        let gone: Vec<Name> = self.0.keys().filter(|origin| !wanted.contains_key(*origin)).cloned().collect();
        let mut changed: Vec<(Name, Option<ZoneData>)> = Vec::new();
        for origin in gone {
            self.0.remove(&origin);
            changed.push((origin, None));
        }
        for (origin, members) in wanted {
            let known = self.0.get(&origin);
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
            self.0.insert(origin, Catalog { members, data });
        }
        changed
    }

    /// Gives a catalog a serial ahead of one that a server has of it; `None` if there is no such catalog.
    pub(super) fn overtake(&mut self, origin: &Name, serial: Serial) -> Option<ZoneData> {
        let catalog = self.0.get_mut(origin)?;
        catalog.data = changed_to(&catalog.data, &catalog.members, &catalog.members, serial.next()).ok()?;
        Some(catalog.data.clone())
    }

    /// The catalogs and what they have.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &ZoneData)> {
        self.0.iter().map(|(origin, catalog)| (origin, &catalog.data))
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
}
