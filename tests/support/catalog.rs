//! Small catalog zones out of any octets, and what must be true of how they are read.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::{
    catalog::{Broken, Catalog, Finding, MAX_FINDINGS},
    zone::{Node, ZoneData},
};
use zonefmt::{Name, Rtype, rdata};

/// What the names of properties are made of; few, so that records meet.
const LABELS: [&[u8]; 16] = [
    b"zones",
    b"version",
    b"group",
    b"coo",
    b"ext",
    b"primaries",
    b"masters",
    b"allow-query",
    b"allow-transfer",
    b"u",
    b"U",
    b"v",
    b"w",
    b"x",
    b"ZONES",
    b"Coo",
];
const TYPES: [Rtype; 6] = [Rtype::PTR, Rtype::PTR, Rtype::TXT, Rtype::A, Rtype::AAAA, APL];
const APL: Rtype = Rtype(42);
/// Names that PTR records have: members, the catalog itself, another catalog.
const TARGETS: [&[u8]; 5] = [b"\x01m\0", b"\x01n\0", b"\x01M\0", b"\x01c\0", b"\x01d\0"];
const TEXTS: [&[u8]; 6] = [b"\x012", b"\x011", b"\x013", b"\x01k", b"\x01k\x01k", b"\0"];

/// Makes a catalog zone of the octets, reads it, and compares that with a naive reading; returns the number of members, or
/// `None` if the zone must not be used.
pub fn exercise(octets: &[u8]) -> Option<usize> {
    let zone = zone(octets);
    let naive = read(&zone);
    let reading = match Catalog::read(&zone, None) {
        Ok(reading) => reading,
        Err(broken) => {
            assert!(!broken.to_string().is_empty());
            let is_version = !matches!(broken, Broken::SeveralZones(_) | Broken::SeveralOwners(_));
            let expected = naive.expect_err("only a naive reader uses it");
            assert_eq!(expected == Unusable::Version, is_version, "{broken:?}");
            return None;
        }
    };
    let Naive { nodes, groups } = naive.unwrap_or_else(|why| panic!("it must not be used: {why:?}"));
    let catalog = &reading.catalog;
    assert_eq!((catalog.len(), catalog.is_empty()), (nodes.len(), nodes.is_empty()));
    let mut duplicates = 0;
    for (member, labels) in &nodes {
        duplicates += labels.len() - 1;
        let found = catalog.member(member).unwrap_or_else(|| panic!("{member} is missing"));
        let found: Vec<&[u8]> = found.groups().collect();
        // The first of several nodes has the zone.
        let expected = labels.first().and_then(|label| groups.get(label)).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{member}");
    }
    let all = reading.findings.len() + reading.more;
    assert!(
        reading.findings.len() <= MAX_FINDINGS && reading.findings.len() >= all.min(MAX_FINDINGS) && all >= duplicates
    );
    assert!(reading.findings.iter().all(|finding| !finding.to_string().is_empty()));
    if reading.more == 0 {
        let is_duplicate = |finding: &&Finding| matches!(finding, Finding::Duplicate { .. });
        assert_eq!(reading.findings.iter().filter(is_duplicate).count(), duplicates);
    }
    // Read again after itself, nothing is another node's.
    let again = Catalog::read(&zone, Some(catalog)).expect("it is the same zone");
    assert_eq!(&again.catalog, catalog);
    Some(catalog.len())
}

/// The zone `c.`: each record takes a number of labels, these, a type, and what chooses its data. Most zones have a version.
fn zone(octets: &[u8]) -> ZoneData {
    let origin = Name::from_ascii("c").expect("it is a name");
    let mut edit = ZoneData::new(origin.clone()).edit();
    let mut octets = octets.iter().copied();
    let mut version = || -> Option<()> {
        let text = TEXTS[usize::from(octets.next()?) % 8 % TEXTS.len()];
        let owner = origin.as_ref().prepend(b"\x07version").ok()?;
        edit.add(owner.as_ref(), Rtype::TXT, 0, text).ok()?;
        Some(())
    };
    version();
    let mut record = || -> Option<()> {
        let mut labels = Vec::new();
        for _ in 0..octets.next()? % 6 {
            let label = LABELS[usize::from(octets.next()?) % LABELS.len()];
            labels.extend([&[label.len() as u8], label].concat());
        }
        let rtype = TYPES[usize::from(octets.next()?) % TYPES.len()];
        let choice = octets.next()?;
        let data = match rtype {
            Rtype::PTR => TARGETS[usize::from(choice) % TARGETS.len()].to_vec(),
            Rtype::TXT => TEXTS[usize::from(choice) % TEXTS.len()].to_vec(),
            Rtype::A => vec![192, 0, 2, choice],
            Rtype::AAAA => [&[0x20, 1][..], &[choice; 14]].concat(),
            _ => octets.by_ref().take(usize::from(choice % 24)).collect(),
        };
        let owner = origin.as_ref().prepend(&labels).ok()?;
        if rdata::validate(rtype, &data).is_ok() {
            // What does not fit beside the others is left out.
            let _ = edit.add(owner.as_ref(), rtype, 0, &data);
        }
        Some(())
    };
    while record().is_some() {}
    edit.commit()
}

/// What a naive reader finds.
#[derive(Debug)]
struct Naive {
    /// The labels of the nodes that list each member, in the order of the zone.
    nodes: BTreeMap<Name, Vec<Vec<u8>>>,
    /// The groups that are below each of these labels, in order.
    groups: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

/// Why a zone must not be used.
#[derive(PartialEq, Eq, Debug)]
enum Unusable {
    Version,
    Several,
}

/// Reads the zone name by name, as RFC 9432 4 says it.
fn read(zone: &ZoneData) -> Result<Naive, Unusable> {
    let labels_of = |node: &Node<'_>| -> Vec<Vec<u8>> {
        let owner = node.owner();
        let mut labels: Vec<Vec<u8>> = owner.as_ref().labels().map(<[u8]>::to_ascii_lowercase).collect();
        // The origin has one label.
        labels.truncate(labels.len() - 1);
        labels
    };
    let rdatas = |node: &Node<'_>, rtype| -> BTreeSet<Vec<u8>> {
        node.rrset(rtype).into_iter().flat_map(|set| set.rdatas().map(<[u8]>::to_vec).collect::<Vec<_>>()).collect()
    };
    let all: Vec<_> = zone.iter().map(|node| (labels_of(&node), node)).collect();
    let version = all.iter().find(|(labels, _)| *labels == [b"version"]).map(|(_, node)| rdatas(node, Rtype::TXT));
    let version = match version.unwrap_or_default().into_iter().collect::<Vec<_>>().as_slice() {
        [text] if text[..] == *b"\x011" => 1,
        [text] if text[..] == *b"\x012" => 2,
        _ => return Err(Unusable::Version),
    };
    let mut nodes: BTreeMap<Name, Vec<Vec<u8>>> = BTreeMap::new();
    let mut listed = BTreeSet::new();
    for (labels, node) in &all {
        let [label, zones] = &labels[..] else { continue };
        let members = rdatas(node, Rtype::PTR);
        if zones != b"zones" || members.is_empty() {
            continue;
        }
        let [member] = &members.iter().collect::<Vec<_>>()[..] else { return Err(Unusable::Several) };
        let member = zonefmt::NameRef::from_wire(member).expect("it is a name").to_owned().to_lowercase();
        if member.as_ref() != zone.origin() {
            nodes.entry(member).or_default().push(label.clone());
            listed.insert(label.clone());
        }
    }
    let mut groups = BTreeMap::new();
    for (labels, node) in all.iter().filter(|_| version == 2) {
        let [property, label, zones] = &labels[..] else { continue };
        if zones != b"zones" || !listed.contains(label) {
            continue;
        }
        if property == b"coo" && rdatas(node, Rtype::PTR).len() > 1 {
            return Err(Unusable::Several);
        }
        if property == b"group" {
            let texts = rdatas(node, Rtype::TXT).into_iter().filter(|text| usize::from(text[0]) + 1 == text.len());
            let mut texts: Vec<_> = texts.map(|text| text[1..].to_vec()).collect();
            texts.sort();
            groups.insert(label.clone(), texts);
        }
    }
    Ok(Naive { nodes, groups })
}
