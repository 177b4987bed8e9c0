//! The change from one version of a zone to a later one, as the records that go and those that come: what a journal
//! keeps, and what IXFR transfers (RFC 1995 4).

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use zonefmt::{Name, NameBuf, NameRef, Rtype, Serial, rdata::Soa};

use super::{Added, Difference, EditError, Node, Rrset, ZoneData};

/// The change from one version of a zone to a later one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    from: Serial,
    to: Serial,
    removed: Records,
    added: Records,
}

/// Records of class IN in wire form, one after the other, names uncompressed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Records(Vec<u8>);

/// A record of class IN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRef<'a> {
    /// The owner.
    pub owner: NameRef<'a>,
    /// The type.
    pub rtype: Rtype,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The data in wire form with uncompressed names.
    pub rdata: &'a [u8],
}

/// Why a change does not fit a version of a zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeError {
    /// The change starts from the first serial, the zone has the second.
    OtherSerial(Serial, Option<Serial>),
    /// A record that is to go does not exist.
    Missing(Name, Rtype),
    /// A record that is to come exists already.
    Present(Name, Rtype),
    /// A record that is to come has another TTL than the records of its RRset that stay.
    OtherTtl(Name, Rtype),
    /// A record cannot be in the zone.
    Unfit(Name, Rtype, EditError),
}

impl Change {
    /// Makes a change of what is removed and what is added. Each begins with the SOA of its version, and has no other
    /// SOA of the zone. Returns `None` otherwise.
    pub fn new(removed: Records, added: Records) -> Option<Change> {
        let (from, to) = (removed.serial()?, added.serial()?);
        Some(Change { from, to, removed, added })
    }

    /// The change that makes `new` of `old`; `None` if a version has no SOA, or both have the same serial.
    pub fn between(old: &ZoneData, new: &ZoneData) -> Option<Change> {
        let (from, to) = (old.serial()?, new.serial()?);
        if from == to {
            return None;
        }
        let (mut removed, mut added) = (Records::of_soa(old), Records::of_soa(new));
        for difference in old.differences(new) {
            match difference {
                Difference::Removed(node) => removed.extend(node),
                Difference::Added(node) => added.extend(node),
                Difference::Changed { old, new } => {
                    removed.extend_unless(old, new);
                    added.extend_unless(new, old);
                }
            }
        }
        Some(Change { from, to, removed, added })
    }

    /// Joins successive changes into one, in which what comes and goes again does not appear; `None` without any
    /// change, if one does not start where the one before ended, or if together they lead back to the first serial.
    pub fn condensed(changes: impl IntoIterator<Item = Change>) -> Option<Change> {
        let mut changes = changes.into_iter();
        let first = changes.next()?;
        let mut to = first.to;
        let (mut removed, mut added) = (BTreeMap::<Vec<u8>, Records>::new(), BTreeMap::<Vec<u8>, Records>::new());
        let mut soas = (first.removed.iter().next()?.into_records(), first.added.iter().next()?.into_records());
        let mut take = |change: &Change| {
            for record in change.removed.iter().skip(1) {
                let key = record.key();
                if added.remove(&key).is_none() {
                    removed.insert(key, record.into_records());
                }
            }
            for record in change.added.iter().skip(1) {
                let (key, record) = (record.key(), record.into_records());
                if removed.get(&key) == Some(&record) {
                    removed.remove(&key);
                } else {
                    added.insert(key, record);
                }
            }
        };
        take(&first);
        for change in changes {
            if change.from != to {
                return None;
            }
            to = change.to;
            soas.1 = change.added.iter().next()?.into_records();
            take(&change);
        }
        let join = |soa: Records, others: BTreeMap<Vec<u8>, Records>| {
            Records([soa].into_iter().chain(others.into_values()).flat_map(|records| records.0).collect())
        };
        let change = Change { from: first.from, to, removed: join(soas.0, removed), added: join(soas.1, added) };
        (change.from != change.to).then_some(change)
    }

    /// The serial that the change starts from.
    pub fn from(&self) -> Serial {
        self.from
    }

    /// The serial that the change leads to.
    pub fn to(&self) -> Serial {
        self.to
    }

    /// The records that go, the SOA first.
    pub fn removed(&self) -> &Records {
        &self.removed
    }

    /// The records that come, the SOA first.
    pub fn added(&self) -> &Records {
        &self.added
    }

    /// Makes the change to a version of the zone, which stays as it is.
    ///
    /// # Errors
    /// The change does not fit that version exactly.
    pub fn apply(&self, zone: &ZoneData) -> Result<ZoneData, ChangeError> {
        if zone.serial() != Some(self.from) {
            return Err(ChangeError::OtherSerial(self.from, zone.serial()));
        }
        let mut edit = zone.edit();
        for RecordRef { owner, rtype, rdata, .. } in self.removed.iter() {
            let unfit = |error| ChangeError::Unfit(owner.to_owned(), rtype, error);
            if !edit.remove_record(owner, rtype, rdata).map_err(unfit)? {
                return Err(ChangeError::Missing(owner.to_owned(), rtype));
            }
        }
        for RecordRef { owner, rtype, ttl, rdata } in self.added.iter() {
            let unfit = |error| ChangeError::Unfit(owner.to_owned(), rtype, error);
            match edit.add(owner, rtype, ttl, rdata).map_err(unfit)? {
                Added::New => {}
                Added::Duplicate => return Err(ChangeError::Present(owner.to_owned(), rtype)),
                Added::OtherTtl(_) => return Err(ChangeError::OtherTtl(owner.to_owned(), rtype)),
            }
        }
        Ok(edit.commit())
    }

    /// Whether it may have led to a version, which has all that it adds and nothing that it removes then.
    pub fn may_have_led_to(&self, zone: &ZoneData) -> bool {
        let has = |record: RecordRef<'_>| {
            let rrset = zone.rrset(record.owner, record.rtype);
            rrset.is_some_and(|rrset| rrset.ttl == record.ttl && rrset.contains(record.rdata))
        };
        zone.serial() == Some(self.to) && self.added.iter().all(has) && !self.removed.iter().any(has)
    }

    /// The length of [`Change::write`]'s octets.
    pub fn octets(&self) -> usize {
        4 + self.removed.octets() + self.added.octets()
    }

    /// Appends the change in the form that [`Change::read`] reads: the length of the removed records in four octets,
    /// the removed records, the added ones.
    ///
    /// # Panics
    /// If there are more than 4 GiB of removed records.
    pub fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.removed.octets()).expect("a zone has at most 8 GiB, with each name once");
        out.extend(length.to_be_bytes());
        out.extend(&self.removed.0);
        out.extend(&self.added.0);
    }

    /// Reads what [`Change::write`] wrote; `None` if the octets are something else.
    pub fn read(octets: &[u8]) -> Option<Change> {
        let (length, rest) = octets.split_first_chunk()?;
        let (removed, added) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        Change::new(Records::read(removed)?, Records::read(added)?)
    }
}

impl Records {
    /// No records.
    pub fn new() -> Records {
        Records::default()
    }

    /// Reads records from octets in wire form; `None` if they are something else.
    pub fn read(octets: &[u8]) -> Option<Records> {
        let mut rest = octets;
        while !rest.is_empty() {
            rest = RecordRef::split(rest)?.1;
        }
        Some(Records(octets.to_vec()))
    }

    /// Appends a record.
    ///
    /// # Panics
    /// If `rdata` is longer than 65,535 octets.
    pub fn push(&mut self, owner: NameRef<'_>, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        let length = u16::try_from(rdata.len()).expect("RDATA has at most 65,535 octets");
        self.0.extend(owner.as_wire());
        self.0.extend(rtype.0.to_be_bytes());
        self.0.extend([0, 1]);
        self.0.extend(ttl.to_be_bytes());
        self.0.extend(length.to_be_bytes());
        self.0.extend(rdata);
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = RecordRef<'_>> + Clone {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (record, after) = RecordRef::split(rest)?;
            rest = after;
            Some(record)
        })
    }

    /// The record that starts at this octet, and the octet at which it ends.
    pub(crate) fn at(&self, octet: usize) -> Option<(RecordRef<'_>, usize)> {
        let (record, rest) = RecordRef::split(self.0.get(octet..)?)?;
        Some((record, self.0.len() - rest.len()))
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The length of all records in octets.
    pub fn octets(&self) -> usize {
        self.0.len()
    }

    /// The records in wire form.
    pub fn as_octets(&self) -> &[u8] {
        &self.0
    }

    /// The serial of the SOA that the records begin with; `None` if they do not, or have another SOA.
    fn serial(&self) -> Option<Serial> {
        let mut soas = self.iter().enumerate().filter(|(_, record)| record.rtype == Rtype::SOA);
        let (0, first) = soas.next()? else { return None };
        soas.next().is_none().then(|| Soa::serial_of(first.rdata)).flatten()
    }

    fn of_soa(zone: &ZoneData) -> Records {
        let mut records = Records::new();
        if let Some(soa) = zone.apex().and_then(|apex| apex.rrset(Rtype::SOA)) {
            soa.rdatas().for_each(|rdata| records.push(zone.origin(), Rtype::SOA, soa.ttl, rdata));
        }
        records
    }

    /// Appends the records of a node, except for an SOA.
    fn extend(&mut self, node: Node<'_>) {
        let mut owner = NameBuf::default();
        let owner = node.owner_into(&mut owner);
        for set in node.rrsets().filter(|set| set.rtype != Rtype::SOA) {
            set.rdatas().for_each(|rdata| self.push(owner, set.rtype, set.ttl, rdata));
        }
    }

    /// Appends the records of a node that another version of the node does not have, except for an SOA.
    fn extend_unless(&mut self, node: Node<'_>, other: Node<'_>) {
        let mut owner = NameBuf::default();
        let owner = node.owner_into(&mut owner);
        for set in node.rrsets().filter(|set| set.rtype != Rtype::SOA) {
            let same = other.rrset(set.rtype).filter(|same| same.ttl == set.ttl);
            let others: HashSet<&[u8]> = same.into_iter().flat_map(Rrset::rdatas).collect();
            for rdata in set.rdatas().filter(|rdata| !others.contains(rdata)) {
                self.push(owner, set.rtype, set.ttl, rdata);
            }
        }
    }
}

impl<'a> RecordRef<'a> {
    /// Reads the record at the start of `octets`, and returns what follows it.
    fn split(octets: &'a [u8]) -> Option<(RecordRef<'a>, &'a [u8])> {
        let (owner, rest) = NameRef::from_prefix(octets).ok()?;
        let (&[t0, t1, _, _, ttl @ .., l0, l1], rest) = rest.split_first_chunk::<10>()?;
        let (rdata, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        let (rtype, ttl) = (Rtype(u16::from_be_bytes([t0, t1])), u32::from_be_bytes(ttl));
        Some((RecordRef { owner, rtype, ttl, rdata }, rest))
    }

    /// What is equal for equal records (RFC 2181 5).
    pub(crate) fn key(self) -> Vec<u8> {
        let mut key = self.owner.as_wire().to_ascii_lowercase();
        key.extend(self.rtype.0.to_be_bytes());
        zonefmt::rdata::canonical(self.rtype, self.rdata, &mut key);
        key
    }

    fn into_records(self) -> Records {
        let mut records = Records::new();
        records.push(self.owner, self.rtype, self.ttl, self.rdata);
        records
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::OtherSerial(from, Some(is)) => {
                write!(f, "starts from serial {}, the zone has {}", from.0, is.0)
            }
            ChangeError::OtherSerial(from, None) => write!(f, "starts from serial {}, the zone has no SOA", from.0),
            ChangeError::Missing(owner, rtype) => write!(f, "removes {owner} {rtype}, which does not exist"),
            ChangeError::Present(owner, rtype) => write!(f, "adds {owner} {rtype}, which exists already"),
            ChangeError::OtherTtl(owner, rtype) => {
                write!(f, "adds {owner} {rtype} with another TTL than its RRset has")
            }
            ChangeError::Unfit(owner, rtype, error) => write!(f, "has {owner} {rtype}: {error}"),
        }
    }
}

impl std::error::Error for ChangeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    /// The content of a zone: a set of addresses, and a TTL, for each of a few names.
    type Content = BTreeMap<u8, (BTreeSet<u8>, u32)>;

    fn zone(serial: u32, content: &Content) -> ZoneData {
        let origin = name("example");
        let mut edit = ZoneData::new(origin.clone()).edit();
        let soa = Soa {
            primary: origin.as_ref(),
            mailbox: origin.as_ref(),
            serial: Serial(serial),
            refresh: 1,
            retry: 1,
            expire: 1,
            minimum: 1,
        };
        edit.add(origin.as_ref(), Rtype::SOA, 300, &soa.to_wire()).unwrap();
        for (owner, (addresses, ttl)) in content {
            for &last in addresses {
                let owner = name(&format!("{owner}.example"));
                edit.add(owner.as_ref(), Rtype::A, *ttl, &[192, 0, 2, last]).unwrap();
            }
        }
        edit.commit()
    }

    fn content() -> impl Strategy<Value = Content> {
        let set = (prop::collection::btree_set(0..6u8, 0..5), 1..3u32);
        prop::collection::btree_map(0..5u8, set, 0..5)
    }

    fn same(one: &ZoneData, other: &ZoneData) -> bool {
        let sorted = |zone: &ZoneData| {
            let mut all = Records::of_soa(zone);
            zone.iter().for_each(|node| all.extend(node));
            let mut all: Vec<_> = all.iter().map(|record| (record.key(), record.ttl)).collect();
            all.sort();
            all
        };
        sorted(one) == sorted(other)
    }

    proptest! {
        #[test]
        fn a_change_makes_the_new_version_of_the_old_one(versions in prop::collection::vec(content(), 2..6)) {
            let versions: Vec<_> = versions.iter().zip(1..).map(|(content, serial)| zone(serial, content)).collect();
            let changes: Vec<_> = versions.windows(2).map(|two| Change::between(&two[0], &two[1]).unwrap()).collect();
            let mut now = versions[0].clone();
            for (change, after) in changes.iter().zip(&versions[1..]) {
                let mut octets = Vec::new();
                change.write(&mut octets);
                prop_assert_eq!(octets.len(), change.octets());
                prop_assert!(Change::read(&octets).is_some_and(|read| read == *change));
                now = change.apply(&now).unwrap();
                prop_assert!(same(&now, after));
            }
            let last = versions.last().unwrap();
            let condensed = Change::condensed(changes).unwrap();
            prop_assert!(same(&condensed.apply(&versions[0]).unwrap(), last));
            prop_assert_eq!(condensed.removed().octets(), Change::between(&versions[0], last).unwrap().removed().octets());
        }

        #[test]
        fn octets_that_are_no_change_are_refused(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(change) = Change::read(&octets) {
                let mut again = Vec::new();
                change.write(&mut again);
                prop_assert_eq!(again.len(), octets.len());
            }
        }
    }

    #[test]
    fn records_of_a_large_set_are_removed_one_by_one() {
        let (origin, owner) = (name("example"), name("a.example"));
        let mut edit = ZoneData::new(origin).edit();
        let address = |last| [192, 0, 2, last];
        for last in 0..40 {
            edit.add(owner.as_ref(), Rtype::A, 300, &address(last)).unwrap();
        }
        for last in 0..10 {
            assert!(edit.remove_record(owner.as_ref(), Rtype::A, &address(last)).unwrap());
            assert!(!edit.remove_record(owner.as_ref(), Rtype::A, &address(last)).unwrap());
        }
        for (last, added) in [(50, Added::New), (50, Added::Duplicate), (51, Added::New), (52, Added::New)] {
            assert_eq!(edit.add(owner.as_ref(), Rtype::A, 300, &address(last)), Ok(added));
        }
        for last in 50..53 {
            assert_eq!(edit.add(owner.as_ref(), Rtype::A, 300, &address(last)), Ok(Added::Duplicate));
        }
        assert_eq!(edit.commit().records(), 33);
    }

    #[test]
    fn a_change_that_does_not_fit_is_refused() {
        let one =
            |addresses: &[u8]| -> Content { [(1, (addresses.iter().copied().collect(), 300))].into_iter().collect() };
        let (v1, v2) = (zone(1, &one(&[1, 2])), zone(2, &one(&[2, 3])));
        let change = Change::between(&v1, &v2).unwrap();
        let owner = name("1.example");
        let refused = |zone: &ZoneData| change.apply(zone).unwrap_err();
        assert_eq!(refused(&v2), ChangeError::OtherSerial(Serial(1), Some(Serial(2))));
        assert_eq!(refused(&zone(1, &one(&[2]))), ChangeError::Missing(owner.clone(), Rtype::A));
        assert_eq!(refused(&zone(1, &one(&[1, 3]))), ChangeError::Present(owner, Rtype::A));
        assert_eq!(Change::between(&v1, &zone(1, &one(&[7]))), None);
    }
}
