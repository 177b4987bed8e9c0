//! The members of all catalogs of a view: which catalog each belongs to, and what changes when a catalog does.
//!
//! A zone belongs to the catalog that listed it first, for as long as that lists it (RFC 9432 5.2), unless the catalog
//! lets another one that lists the zone take it over (`coo`, 4.3.1). Catalogs that appear at the same time rank in the
//! order of named.conf. A zone that its catalog drops goes to the next one that lists it.

use rustc_hash::FxHashMap;
use zonefmt::Name;

use super::{Catalog, Member, Properties};

/// The members of all catalogs of a view.
#[derive(Clone, Default, Debug)]
pub struct Members {
    /// The catalogs in the order of named.conf, each with its last sound version.
    catalogs: Vec<(Name, Catalog)>,
    /// The index of the catalog that each member belongs to.
    owners: FxHashMap<Name, usize>,
}

/// What a new version of a catalog changes about a zone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MemberChange {
    /// The zone.
    pub zone: Name,
    /// What is to be done about it.
    pub step: Step,
}

/// What is to be done about a zone. Catalogs are named.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// The zone is new.
    Add {
        /// The catalog that it belongs to.
        catalog: Name,
    },
    /// The zone may be served in another way, and keeps its state.
    Modify {
        /// The catalog that it belongs to.
        catalog: Name,
    },
    /// The zone has another unique label: its state goes, and it is got anew (RFC 9432 5.4).
    Reset {
        /// The catalog that it belongs to.
        catalog: Name,
    },
    /// The zone changes to another catalog (RFC 9432 4.3.1).
    Move {
        /// The catalog that it belonged to.
        from: Name,
        /// The catalog that it belongs to now.
        to: Name,
        /// Whether its state goes, because its unique label is another one.
        reset: bool,
    },
    /// No catalog lists the zone any more: it goes, with its state (RFC 9432 5.3).
    Remove {
        /// The catalog that it belonged to.
        catalog: Name,
    },
    /// The catalog has begun to list a zone that belongs to another one and stays there (RFC 9432 5.2).
    Ignore {
        /// The catalog that lists it.
        catalog: Name,
    },
}

impl Members {
    /// The members of these catalogs, in the order of named.conf. Catalogs that were there keep their version and their
    /// members; the others have none yet.
    #[must_use]
    pub fn with_catalogs(self, names: impl IntoIterator<Item = Name>) -> Members {
        let former: Vec<Name> = self.catalogs.iter().map(|(name, _)| name.clone()).collect();
        let mut versions: FxHashMap<Name, Catalog> = self.catalogs.into_iter().collect();
        let mut version = |name: Name| (versions.remove(&name).unwrap_or_default(), name);
        let catalogs: Vec<_> = names.into_iter().map(&mut version).map(|(version, name)| (name, version)).collect();
        let mut members = Members { catalogs, owners: FxHashMap::default() };
        let listed: Vec<Name> =
            members.catalogs.iter().flat_map(|(_, catalog)| catalog.members.keys().cloned()).collect();
        for zone in listed {
            let before = self.owners.get(&zone).and_then(|&owner| members.index(&former[owner]));
            if let Some(owner) = members.resolve(&zone, before) {
                members.owners.insert(zone, owner);
            }
        }
        members
    }

    /// The last sound version of a catalog.
    pub fn catalog(&self, name: &Name) -> Option<&Catalog> {
        self.index(name).map(|index| &self.catalogs[index].1)
    }

    /// The catalog that a zone belongs to, and what it says of the zone.
    pub fn owner(&self, zone: &Name) -> Option<(&Name, &Member)> {
        let (name, catalog) = &self.catalogs[*self.owners.get(zone)?];
        Some((name, catalog.member(zone)?))
    }

    /// All members, each with the catalog that it belongs to.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.owners.iter().map(|(zone, &owner)| (zone, &self.catalogs[owner].0))
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// BIND's properties of a member: its own, and those of its catalog in place of missing ones.
    pub fn properties(&self, zone: &Name) -> Option<Properties> {
        let (_, catalog) = &self.catalogs[*self.owners.get(zone)?];
        let own = catalog.member(zone)?.properties.as_deref();
        Some(own.map_or_else(|| catalog.properties.clone(), |own| own.within(&catalog.properties)))
    }

    /// Puts a new version in the place of a catalog's last one. Returns what that changes, in the order of the zones'
    /// names; nothing for an unknown catalog.
    pub fn replace(&mut self, catalog: &Name, version: Catalog) -> Vec<MemberChange> {
        let Some(index) = self.index(catalog) else { return Vec::new() };
        let old = std::mem::replace(&mut self.catalogs[index].1, version);
        let new = &self.catalogs[index].1;
        let all_change = old.properties != new.properties;
        let gone = old.members.keys().filter(|zone| !new.members.contains_key(*zone));
        let listed = new.members.iter().filter(|(zone, member)| all_change || old.members.get(*zone) != Some(*member));
        let zones: Vec<Name> = gone.chain(listed.map(|(zone, _)| zone)).cloned().collect();
        let mut changes = Vec::new();
        for zone in zones {
            let before = self.owners.get(&zone).copied();
            let former = |owner: usize| if owner == index { &old } else { &self.catalogs[owner].1 };
            let label = before.and_then(|owner| former(owner).member(&zone)).map(|member| member.label.clone());
            let is_new = !old.members.contains_key(&zone);
            let after = self.resolve(&zone, before);
            // A name may have other letters in upper case than before.
            self.owners.remove(&zone);
            self.owners.extend(after.map(|after| (zone.clone(), after)));
            let relabelled = self.owner(&zone).map(|(_, member)| &member.label) != label.as_ref();
            let name = |index: usize| self.catalogs[index].0.clone();
            let step = match (before, after) {
                (None, None) => continue,
                (None, Some(after)) => Step::Add { catalog: name(after) },
                (Some(before), None) => Step::Remove { catalog: name(before) },
                (Some(before), Some(after)) if before != after => {
                    Step::Move { from: name(before), to: name(after), reset: relabelled }
                }
                (Some(_), Some(after)) if after != index && is_new => Step::Ignore { catalog: name(index) },
                (Some(_), Some(after)) if after != index => continue,
                (Some(_), Some(after)) if relabelled => Step::Reset { catalog: name(after) },
                (Some(_), Some(after)) => Step::Modify { catalog: name(after) },
            };
            changes.push(MemberChange { zone, step });
        }
        changes.sort();
        changes
    }

    /// The catalog that a zone belongs to, when it belonged to `before` until now.
    fn resolve(&self, zone: &Name, before: Option<usize>) -> Option<usize> {
        let listing = |index: usize| self.catalogs[index].1.member(zone);
        let stays = before.filter(|&before| listing(before).is_some());
        let first = stays.or_else(|| (0..self.catalogs.len()).find(|&index| listing(index).is_some()))?;
        let mut owner = first;
        for _ in 0..self.catalogs.len() {
            let heir = listing(owner).and_then(|member| self.index(member.coo.as_ref()?));
            match heir.filter(|&heir| heir != owner && listing(heir).is_some()) {
                Some(heir) => owner = heir,
                None => return Some(owner),
            }
        }
        // Catalogs that name one another: the zone stays where it is.
        Some(first)
    }

    fn index(&self, catalog: &Name) -> Option<usize> {
        self.catalogs.iter().position(|(name, _)| name == catalog)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn member(label: u8, coo: Option<&str>) -> Member {
        Member { label: [b'a' + label].into(), coo: coo.map(name), ..Member::default() }
    }

    fn catalog<'m>(members: impl IntoIterator<Item = (&'m str, Member)>) -> Catalog {
        let members = members.into_iter().map(|(zone, member)| (name(zone), member)).collect();
        Catalog { members, ..Catalog::default() }
    }

    fn of(catalogs: &[&str]) -> Members {
        Members::default().with_catalogs(catalogs.iter().map(|catalog| name(catalog)))
    }

    fn steps(changes: Vec<MemberChange>) -> Vec<(String, Step)> {
        changes.into_iter().map(|change| (change.zone.to_string(), change.step)).collect()
    }

    #[test]
    fn zones_come_change_and_go() {
        let mut members = of(&["c"]);
        let catalog_name = || name("c");
        let mut version = |version| steps(members.replace(&name("c"), version));
        let add = Step::Add { catalog: catalog_name() };
        let both = || catalog([("x", member(0, None)), ("y", member(1, None))]);
        assert_eq!(version(both()), [("x.".into(), add.clone()), ("y.".into(), add)]);
        assert_eq!(version(both()), []);
        let grouped = Member { groups: [b"g"[..].into()].into(), ..member(0, None) };
        let next = catalog([("x", grouped), ("y", member(2, None))]);
        let (modify, reset) = (Step::Modify { catalog: catalog_name() }, Step::Reset { catalog: catalog_name() });
        assert_eq!(version(next), [("x.".into(), modify.clone()), ("y.".into(), reset)]);
        let mut all = both();
        all.members.remove(&name("x"));
        all.members.insert(name("y"), member(2, None));
        all.properties.allow_query = Some(crate::access::Acl::none());
        let remove = Step::Remove { catalog: catalog_name() };
        assert_eq!(version(all), [("x.".into(), remove), ("y.".into(), modify)]);
        assert_eq!(members.replace(&name("other"), both()), []);
    }

    #[test]
    fn a_zone_stays_with_the_catalog_that_came_first() {
        let mut members = of(&["a", "b"]);
        let lists = || catalog([("x", member(0, None))]);
        members.replace(&name("b"), lists());
        let ignored = Step::Ignore { catalog: name("a") };
        assert_eq!(steps(members.replace(&name("a"), lists())), [("x.".into(), ignored)]);
        assert_eq!(members.owner(&name("X")).unwrap().0, &name("b"));
        // The zone is not removed as long as a catalog lists it.
        let moved = Step::Move { from: name("b"), to: name("a"), reset: false };
        assert_eq!(steps(members.replace(&name("b"), Catalog::default())), [("x.".into(), moved)]);
        let removed = Step::Remove { catalog: name("a") };
        assert_eq!(steps(members.replace(&name("a"), Catalog::default())), [("x.".into(), removed)]);
        assert!(members.is_empty());
    }

    #[test]
    fn ownership_changes_only_with_leave() {
        for (label, reset) in [(0, false), (1, true)] {
            let mut members = of(&["a", "b", "c"]);
            members.replace(&name("a"), catalog([("x", member(0, None))]));
            members.replace(&name("b"), catalog([("x", member(label, None))]));
            assert_eq!(members.replace(&name("a"), catalog([("x", member(0, Some("c")))])).len(), 1);
            assert_eq!(members.owner(&name("x")).unwrap().0, &name("a"));
            let moved = Step::Move { from: name("a"), to: name("b"), reset };
            let given = catalog([("x", member(0, Some("b")))]);
            assert_eq!(steps(members.replace(&name("a"), given)), [("x.".into(), moved)]);
            assert_eq!(members.replace(&name("a"), Catalog::default()), []);
            assert_eq!(members.owner(&name("x")).unwrap().0, &name("b"));
        }
    }

    #[test]
    fn catalogs_that_name_one_another_change_nothing() {
        let mut members = of(&["a", "b"]);
        members.replace(&name("a"), catalog([("x", member(0, Some("b")))]));
        members.replace(&name("b"), catalog([("x", member(0, Some("a")))]));
        for _ in 0..3 {
            assert_eq!(members.owner(&name("x")).unwrap().0, &name("a"));
            members.replace(&name("b"), Catalog::default());
            members.replace(&name("b"), catalog([("x", member(0, Some("a")))]));
        }
    }

    #[test]
    fn a_catalog_that_is_not_configured_any_more_has_no_members() {
        let mut members = of(&["a", "b"]);
        members.replace(&name("a"), catalog([("x", member(0, None)), ("y", member(1, None))]));
        members.replace(&name("b"), catalog([("x", member(0, None)), ("z", member(1, None))]));
        let left = members.clone().with_catalogs([name("b")]);
        let mut all: Vec<_> = left.iter().map(|(zone, catalog)| (zone.to_string(), catalog.to_string())).collect();
        all.sort();
        assert_eq!(all, [("x.".into(), "b.".into()), ("z.".into(), "b.".into())]);
        // Nor does the order of named.conf move a zone.
        let other = members.with_catalogs([name("b"), name("a")]);
        assert_eq!(other.owner(&name("x")).unwrap().0, &name("a"));
    }

    const ZONES: [&str; 3] = ["x.", "y.", "z."];
    const CATALOGS: [&str; 3] = ["a.", "b.", "c."];

    /// What a catalog says of each zone: its label and the catalog that may take it over.
    type Version = BTreeMap<&'static str, (u8, Option<&'static str>)>;

    /// The catalogs of all zones, found by looking at everything again.
    fn naive(
        versions: &BTreeMap<&'static str, Version>,
        before: &BTreeMap<&'static str, &'static str>,
    ) -> BTreeMap<&'static str, &'static str> {
        let mut owners = BTreeMap::new();
        for zone in ZONES {
            let lists = |catalog: &str| versions[catalog].contains_key(zone);
            let first = before.get(zone).copied().filter(|before| lists(before));
            let Some(first) = first.or_else(|| CATALOGS.into_iter().find(|catalog| lists(catalog))) else { continue };
            let mut way = vec![first];
            let owner = loop {
                let last = way[way.len() - 1];
                match versions[last][zone].1.filter(|heir| lists(heir) && *heir != last) {
                    None => break last,
                    Some(heir) if way.contains(&heir) => break first,
                    Some(heir) => way.push(heir),
                }
            };
            owners.insert(zone, owner);
        }
        owners
    }

    prop_compose! {
        fn any_version()(listed in proptest::collection::vec(proptest::option::of((0..2_u8, 0..6_usize)), ZONES.len())) -> Version {
            let listed = ZONES.into_iter().zip(listed);
            listed.filter_map(|(zone, said)| said.map(|(label, coo)| (zone, (label, CATALOGS.get(coo).copied())))).collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        /// Whoever carries out the changes one by one has the members that a look at everything finds.
        #[test]
        fn changes_lead_to_what_a_naive_model_says(versions in proptest::collection::vec((0..CATALOGS.len(), any_version()), 1..12)) {
            let mut members = of(&CATALOGS);
            let mut current: BTreeMap<_, Version> = CATALOGS.into_iter().map(|catalog| (catalog, Version::new())).collect();
            let mut owners = BTreeMap::new();
            let mut served = BTreeMap::<&str, (Name, u8)>::new();
            for (which, version) in versions {
                let changed = CATALOGS[which];
                let label = |owner: &Name, zone: &str, current: &BTreeMap<&str, Version>| current[&*owner.to_string()][zone].0;
                current.insert(changed, version.clone());
                owners = naive(&current, &owners);
                let version = catalog(version.into_iter().map(|(zone, (label, coo))| (zone, member(label, coo))));
                for MemberChange { zone, step } in members.replace(&name(changed), version) {
                    let zone = *ZONES.iter().find(|known| name(known) == zone).unwrap();
                    let had = served.get(zone).cloned();
                    match step {
                        Step::Add { catalog } => {
                            prop_assert_eq!(had, None);
                            let label = label(&catalog, zone, &current);
                            served.insert(zone, (catalog, label));
                        }
                        Step::Modify { catalog } => prop_assert_eq!(had, Some((catalog.clone(), label(&catalog, zone, &current)))),
                        Step::Reset { catalog } => {
                            let label = label(&catalog, zone, &current);
                            prop_assert_eq!(had, Some((catalog.clone(), 1 - label)));
                            served.insert(zone, (catalog, label));
                        }
                        Step::Move { from, to, reset } => {
                            let label = label(&to, zone, &current);
                            prop_assert_eq!(had, Some((from, if reset { 1 - label } else { label })));
                            served.insert(zone, (to, label));
                        }
                        Step::Remove { catalog } => {
                            prop_assert_eq!(had.map(|(owner, _)| owner), Some(catalog));
                            served.remove(zone);
                        }
                        Step::Ignore { catalog } => {
                            prop_assert_ne!(had.map(|(owner, _)| owner), Some(catalog.clone()));
                            prop_assert_eq!(catalog, name(changed));
                        }
                    }
                }
                let found: BTreeMap<_, _> = served.iter().map(|(zone, (owner, _))| (*zone, owner.to_string())).collect();
                let expected: BTreeMap<_, _> = owners.iter().map(|(zone, owner)| (*zone, (*owner).to_owned())).collect();
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(members.len(), owners.len());
                for (zone, (owner, label)) in &served {
                    prop_assert_eq!(*label, current[&*owner.to_string()][zone].0);
                }
            }
        }
    }
}
