//! Compares the zone's data with a naive model: sorted maps that are searched from end to end.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zonefmt::{Name, NameRef, Rtype};

use super::{Edit, Found, Key, Spare, Target, ZoneData};

type Sets = BTreeMap<u16, (u32, Vec<Vec<u8>>)>;
type Naive = BTreeMap<Name, Sets>;

#[derive(Clone, Debug)]
enum Change {
    Add(Name, u16, u32, Vec<u8>),
    Remove(Name, u16),
    Replace(Name, u16, u32, Vec<Vec<u8>>),
    Commit,
}

const TYPES: [u16; 4] = [1, 2, 16, 39];

fn origin() -> Name {
    Name::from_ascii("b.Test").unwrap()
}

/// Names from few labels, so that they collide, enclose and neighbour each other, with octets of every kind.
fn name() -> impl Strategy<Value = Name> {
    let label = prop::sample::select(vec![
        "a", "A", "b", "ab", "aa", "*", "-", "_x", "\\000", "\\255", "\\200", "[", "z0", "0", "a\\001b",
    ]);
    prop::collection::vec(label, 0..4).prop_map(|labels| {
        let text = labels.join(".");
        Name::parse(if text.is_empty() { b"@" } else { text.as_bytes() }, origin().as_ref()).unwrap()
    })
}

fn rdata(rtype: u16) -> BoxedStrategy<Vec<u8>> {
    match rtype {
        1 => (0..3_u8).prop_map(|n| vec![10, 0, 0, n]).boxed(),
        16 => prop::sample::select(vec![b"\x01a".to_vec(), b"\x01A".to_vec(), b"\x00".to_vec()]).boxed(),
        _ => prop::sample::select(vec![b"\x01n\x00".to_vec(), b"\x01N\x00".to_vec(), b"\x01m\x00".to_vec()]).boxed(),
    }
}

fn change() -> impl Strategy<Value = Change> {
    let typed = || (name(), prop::sample::select(TYPES.to_vec()));
    let add = typed().prop_flat_map(|(n, t)| (Just(n), Just(t), 0..3_u32, rdata(t)));
    let replace = typed().prop_flat_map(|(n, t)| (Just(n), Just(t), 0..3_u32, prop::collection::vec(rdata(t), 0..3)));
    prop_oneof![
        6 => add.prop_map(|(n, t, ttl, r)| Change::Add(n, t, ttl, r)),
        2 => typed().prop_map(|(n, t)| Change::Remove(n, t)),
        1 => replace.prop_map(|(n, t, ttl, r)| Change::Replace(n, t, ttl, r)),
        1 => Just(Change::Commit),
    ]
}

/// Compares RDATA: type 16 is case-sensitive; in the other types RDATA is a name, whose case does not matter.
fn same(rtype: u16, a: &[u8], b: &[u8]) -> bool {
    if rtype == 16 { a == b } else { a.eq_ignore_ascii_case(b) }
}

fn naive_add(naive: &mut Naive, owner: &Name, rtype: u16, ttl: u32, rdata: &[u8]) {
    let set = naive.entry(owner.clone()).or_default().entry(rtype).or_insert((ttl, Vec::new()));
    if !set.1.iter().any(|other| same(rtype, other, rdata)) {
        set.0 = ttl;
        set.1.push(rdata.to_vec());
    }
}

fn naive_remove(naive: &mut Naive, owner: &Name, rtype: u16) {
    if let Some(sets) = naive.get_mut(owner) {
        sets.remove(&rtype);
        if sets.is_empty() {
            naive.remove(owner);
        }
    }
}

fn change_both(edit: &mut Edit, naive: &mut Naive, change: &Change) {
    match change {
        Change::Add(owner, rtype, ttl, rdata) => {
            edit.add(owner.as_ref(), Rtype(*rtype), *ttl, rdata).unwrap();
            naive_add(naive, owner, *rtype, *ttl, rdata);
        }
        Change::Remove(owner, rtype) => {
            edit.remove(owner.as_ref(), Rtype(*rtype)).unwrap();
            naive_remove(naive, owner, *rtype);
        }
        Change::Replace(owner, rtype, ttl, rdatas) => {
            edit.replace(owner.as_ref(), Rtype(*rtype), *ttl, rdatas.iter().map(Vec::as_slice)).unwrap();
            naive_remove(naive, owner, *rtype);
            for rdata in rdatas {
                naive_add(naive, owner, *rtype, *ttl, rdata);
            }
        }
        Change::Commit => {}
    }
}

/// Rewrites `old` with the content of `new`, in one pass for each list of types, so that names come up repeatedly.
fn rewritten(old: &ZoneData, new: &ZoneData, passes: &[&[u16]]) -> ZoneData {
    let mut edit = old.rewrite();
    for types in passes {
        for node in new.iter() {
            let rrsets = node.rrsets().filter(|rrset| types.contains(&rrset.rtype.0));
            for (rrset, rdata) in rrsets.flat_map(|rrset| rrset.rdatas().map(move |rdata| (rrset, rdata))) {
                edit.add(node.owner().as_ref(), rrset.rtype, rrset.ttl, rdata).unwrap();
            }
        }
    }
    edit.commit()
}

fn content(zone: &ZoneData) -> Vec<(Name, Sets)> {
    let sets = |node: super::Node<'_>| {
        node.rrsets().map(|s| (s.rtype.0, (s.ttl, s.rdatas().map(<[u8]>::to_vec).collect()))).collect()
    };
    zone.iter().map(|node| (node.owner(), sets(node))).collect()
}

#[derive(PartialEq, Eq, Debug)]
enum Says {
    Exact(Name),
    Wildcard(Name),
    Delegation(Name),
    Dname(Name),
    Ent,
    NoName,
}

fn says(zone: &ZoneData, name: NameRef<'_>) -> Says {
    let labels = name.strip_suffix(zone.origin()).unwrap();
    match zone.find(Target { labels, key: Key::of(labels).view() }, &mut Spare::new()) {
        Found::Exact(node) => Says::Exact(node.owner()),
        Found::Wildcard(node) => Says::Wildcard(node.owner()),
        Found::Delegation(node) => Says::Delegation(node.owner()),
        Found::Dname(node) => Says::Dname(node.owner()),
        Found::Ent => Says::Ent,
        Found::NoName => Says::NoName,
    }
}

fn naive_says(naive: &Naive, name: &Name) -> Says {
    let apex = origin().as_ref().label_count();
    let depth = name.as_ref().label_count();
    for labels in apex..depth {
        let ancestor = name.as_ref().suffix(labels).to_owned();
        let has = |rtype: u16| naive.get(&ancestor).is_some_and(|sets| sets.contains_key(&rtype));
        if labels > apex && has(2) {
            return Says::Delegation(ancestor);
        }
        if has(39) {
            return Says::Dname(ancestor);
        }
    }
    let exists = |name: NameRef<'_>| naive.keys().any(|owner| owner.as_ref().is_at_or_below(name));
    if naive.contains_key(name) {
        return Says::Exact(name.clone());
    }
    if exists(name.as_ref()) {
        return Says::Ent;
    }
    let encloser = (apex..depth).rev().map(|labels| name.as_ref().suffix(labels)).find(|name| exists(*name));
    let Some(wildcard) = encloser.map(|name| name.prepend(b"\x01*").unwrap()) else { return Says::NoName };
    match (naive.contains_key(&wildcard), exists(wildcard.as_ref())) {
        (true, _) => Says::Wildcard(wildcard),
        (false, true) => Says::Ent,
        (false, false) => Says::NoName,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn data_is_what_a_naive_map_holds(changes in prop::collection::vec(change(), 0..60), asked in prop::collection::vec(name(), 1..20)) {
        let mut naive = Naive::new();
        let mut versions: Vec<(ZoneData, Naive)> = vec![(ZoneData::new(origin()), Naive::new())];
        let mut edit = versions[0].0.edit();
        for change in &changes {
            change_both(&mut edit, &mut naive, change);
            if matches!(change, Change::Commit) {
                let zone = edit.commit();
                edit = zone.edit();
                versions.push((zone, naive.clone()));
            }
        }
        versions.push((edit.commit(), naive));
        for (zone, naive) in &versions {
            prop_assert_eq!(content(zone), naive.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(zone.names(), naive.len());
            prop_assert_eq!(zone.records(), naive.values().flat_map(BTreeMap::values).map(|set| set.1.len()).sum::<usize>());
            prop_assert_eq!(zone.apex().is_some(), naive.contains_key(&origin()));
            for name in &asked {
                // The apex of an empty zone does not exist, so the naive model finds no encloser.
                if !naive.is_empty() {
                    prop_assert_eq!(says(zone, name.as_ref()), naive_says(naive, name), "{:?}", name);
                }
            }
        }
        let (mut over, mut anew) = (versions[versions.len() - 1].0.rewrite(), Naive::new());
        for change in &changes {
            change_both(&mut over, &mut anew, change);
        }
        prop_assert_eq!(content(&over.commit()), anew.into_iter().collect::<Vec<_>>());
        let (first, last) = (&versions[0].0, &versions[versions.len() - 1].0);
        for (old, new) in [(first, last), (last, first), (&versions[versions.len() / 2].0, last)] {
            for passes in [&[TYPES.as_slice()] as &[_], &[&TYPES[..2], &TYPES[2..]]] {
                let rewritten = rewritten(old, new, passes);
                prop_assert_eq!(content(&rewritten), content(new));
                prop_assert_eq!((rewritten.names(), rewritten.records()), (new.names(), new.records()));
            }
            prop_assert!(rewritten(new, new, &[&TYPES]).is(new));
            let by_type = rewritten(new, new, &[&TYPES[..1], &TYPES[1..]]);
            prop_assert!(rewritten(&by_type, new, &[&TYPES[..1], &TYPES[1..]]).is(&by_type));
            prop_assert_eq!(new.differences(new).count(), 0);
        }
    }
}

#[test]
fn large_rrsets_drop_duplicates() {
    let mut edit = ZoneData::new(origin()).edit();
    for round in 0..2 {
        for n in 0..2000_u16 {
            let [a, b] = n.to_be_bytes();
            let added = edit.add(origin().as_ref(), Rtype::A, 1, &[10, 0, a, b]).unwrap();
            assert_eq!(added == super::Added::Duplicate, round == 1);
        }
        edit = edit.commit().edit();
    }
    assert_eq!(edit.commit().records(), 2000);
}

#[test]
fn the_index_does_not_grow_by_changes_taken_back() {
    // One large RRset keeps the share of dead entries too small for a compaction of the entries.
    let mut edit = ZoneData::new(origin()).edit();
    for n in 0..1000_u16 {
        edit.add(origin().as_ref(), Rtype::TXT, 1, &[[200].as_slice(), &n.to_be_bytes(), &[0; 198]].concat()).unwrap();
    }
    let host = |last: char| Name::parse(format!("host{last}").as_bytes(), origin().as_ref()).unwrap();
    for last in ('a'..='z').chain('0'..='9') {
        edit.add(host(last).as_ref(), Rtype::A, 1, &[10, 0, 0, 1]).unwrap();
    }
    for n in 0..2000 {
        let other = Name::parse(format!("x{n}").as_bytes(), origin().as_ref()).unwrap();
        edit.add(other.as_ref(), Rtype::A, 1, &[10, 0, 0, 1]).unwrap();
    }
    let mut zone = edit.commit();
    let before = zone.0.trie.octets();
    for _ in 0..1000 {
        let mut edit = zone.edit();
        edit.add(host('-').as_ref(), Rtype::A, 1, &[10, 0, 0, 1]).unwrap();
        let mut edit = edit.commit().edit();
        edit.remove(host('-').as_ref(), Rtype::A).unwrap();
        zone = edit.commit();
    }
    let after = zone.0.trie.octets();
    assert!(after < 2 * before, "from {before} octets to {after}");
}

#[test]
fn deep_and_long_names_are_found() {
    let deepest = Name::from_ascii("a.".repeat(127)).unwrap();
    let longest =
        Name::from_ascii(["\\001".repeat(63), "\\002".repeat(63), "\\003".repeat(63), "\\004".repeat(61)].join("."))
            .unwrap();
    let mut edit = ZoneData::new(Name::root()).edit();
    for name in [&deepest, &longest] {
        edit.add(name.as_ref(), Rtype::A, 1, &[10, 0, 0, 1]).unwrap();
    }
    let zone = edit.commit();
    for name in [&deepest, &longest] {
        assert_eq!(says(&zone, name.as_ref()), Says::Exact(name.clone()));
        assert_eq!(says(&zone, name.as_ref().parent().unwrap()), Says::Ent);
    }
}

#[test]
fn out_of_zone_data_is_refused() {
    let mut edit = ZoneData::new(origin()).edit();
    for name in ["test", "ab.test", "b.tes", "."] {
        let name = Name::from_ascii(name).unwrap();
        assert_eq!(edit.add(name.as_ref(), Rtype::A, 1, &[1, 2, 3, 4]), Err(super::EditError::OutOfZone));
    }
    assert_eq!(edit.add(origin().as_ref(), Rtype::ANY, 1, &[]), Err(super::EditError::MetaType));
}
