//! A map of zones by origin, which finds the zone that a name belongs to.

use std::sync::Arc;

use zonefmt::NameRef;

use super::{Zone, ZoneChange};
use crate::zone::{Descent, Key, KeyRef, Leaf, Trie, TrieEdit};

/// Zones by origin. The map is persistent and cheap to clone.
#[derive(Clone)]
pub struct ZoneMap {
    /// Each leaf refers to a slot and carries the length of the origin's key.
    trie: Trie,
    /// The zones, without gaps.
    slots: Arc<[Page]>,
    len: usize,
}

/// Slots that are copied together when one of them changes.
type Page = Arc<[Option<Arc<Zone>>]>;

const PAGE: usize = 256;

/// The zone that encloses a name, and the length of the origin's part of the name's key.
#[derive(Clone, Copy)]
pub(crate) struct Enclosing<'s> {
    pub(crate) zone: &'s Zone,
    pub(crate) origin_key: usize,
}

impl ZoneMap {
    /// Makes a map without zones.
    pub fn new() -> ZoneMap {
        ZoneMap { trie: Trie::new(), slots: Arc::new([]), len: 0 }
    }

    /// The zone with exactly this origin.
    pub fn get(&self, origin: NameRef<'_>) -> Option<&Arc<Zone>> {
        let descent = self.trie.descend(Key::of(origin.as_wire()).view(), |_, _| ())?;
        let zone = self.slot(descent.leaf);
        (descent.followed && zone.origin.as_ref() == origin).then_some(zone)
    }

    /// The zone that a name belongs to: the one with the longest matching origin (RFC 1034 4.3.2 step 2). With
    /// `strictly`, an origin equal to the name does not count, which finds the parent's side of a cut (RFC 4035
    /// 3.1.4.1).
    #[inline]
    pub(crate) fn enclosing(&self, name: NameRef<'_>, key: KeyRef<'_>, strictly: bool) -> Option<Enclosing<'_>> {
        let mut passed = None;
        let descent = self.trie.descend(key, |_, leaf| passed = Some(leaf))?;
        let encloses = |leaf: Leaf| {
            let origin = self.slot(leaf).origin.as_ref();
            name.is_at_or_below(origin) && !(strictly && name.len() == origin.len())
        };
        let found = Some(descent.leaf).filter(|&leaf| encloses(leaf)).or(passed.filter(|&leaf| encloses(leaf)));
        found
            .or_else(|| self.passed_before_parting(key, descent.leaf).filter(|&leaf| encloses(leaf)))
            .map(|leaf| Enclosing { zone: self.slot(leaf), origin_key: leaf.word as usize })
    }

    /// The deepest origin that the key passes before it differs from the key of the leaf where its descent ended.
    fn passed_before_parting(&self, key: KeyRef<'_>, end: Leaf) -> Option<Leaf> {
        let parting = key.mismatch(Key::of(self.slot(end).origin.as_ref().as_wire()).view())?;
        let mut passed = None;
        self.trie.descend(key, |at, leaf| {
            if at <= parting {
                passed = Some(leaf);
            }
        });
        passed
    }

    /// Makes changes in order. Clones of the map are unaffected.
    pub fn update(&mut self, changes: impl IntoIterator<Item = ZoneChange>) {
        let mut edit = MapEdit { trie: self.trie.edit(), pages: self.slots.to_vec(), len: self.len };
        for change in changes {
            match change {
                ZoneChange::Put(zone) => edit.put(zone),
                ZoneChange::Remove(origin) => edit.remove(origin.as_ref()),
            }
        }
        if edit.trie.wants_compaction() {
            edit.trie = edit.trie.compact(|slot| slot);
        }
        *self = ZoneMap { trie: edit.trie.commit(), slots: edit.pages.into(), len: edit.len };
    }

    /// All zones, in canonical order of their origins.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.trie.iter().map(|leaf| self.slot(leaf))
    }

    /// The number of zones.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the map has no zones.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn slot(&self, leaf: Leaf) -> &Arc<Zone> {
        slot(&self.slots, leaf.to)
    }
}

impl Default for ZoneMap {
    fn default() -> ZoneMap {
        ZoneMap::new()
    }
}

/// If two zones have the same origin, the later one is used.
impl FromIterator<Arc<Zone>> for ZoneMap {
    fn from_iter<I: IntoIterator<Item = Arc<Zone>>>(zones: I) -> ZoneMap {
        let mut map = ZoneMap::new();
        map.update(zones.into_iter().map(ZoneChange::Put));
        map
    }
}

fn slot(pages: &[Page], slot: u32) -> &Arc<Zone> {
    let slot = slot as usize;
    // Leaves refer only to slots below `len`, and all of those are filled.
    pages[slot / PAGE][slot % PAGE].as_ref().expect("a leaf's slot holds its zone")
}

struct MapEdit {
    trie: TrieEdit,
    pages: Vec<Page>,
    len: usize,
}

impl MapEdit {
    fn put(&mut self, zone: Arc<Zone>) {
        let key = Key::of(zone.origin.as_ref().as_wire());
        let descent = self.trie.descend(key.view());
        if let Some(leaf) = self.leaf_of(zone.origin.as_ref(), descent.as_ref()) {
            return self.set_slot(leaf.to as usize, Some(zone));
        }
        let leaf = Leaf { to: self.len as u32, word: key.view().len() as u32 };
        match descent {
            None => self.trie.insert(key.view(), leaf, None),
            Some(Descent { leaf: nearest, .. }) => {
                let nearest = Key::of(slot(&self.pages, nearest.to).origin.as_ref().as_wire());
                self.trie.insert(key.view(), leaf, Some(nearest.view()));
            }
        }
        if self.len == self.pages.len() * PAGE {
            self.pages.push(vec![None; PAGE].into());
        }
        self.set_slot(self.len, Some(zone));
        self.len += 1;
    }

    /// Removes a zone; the last zone moves into its slot.
    fn remove(&mut self, origin: NameRef<'_>) {
        let key = Key::of(origin.as_wire());
        let descent = self.trie.descend(key.view());
        let Some(leaf) = self.leaf_of(origin, descent.as_ref()) else { return };
        self.trie.remove(key.view());
        self.len -= 1;
        if leaf.to as usize != self.len {
            let last = Arc::clone(slot(&self.pages, self.len as u32));
            let key = Key::of(last.origin.as_ref().as_wire());
            self.trie.replace(key.view(), Leaf { to: leaf.to, word: key.view().len() as u32 });
            self.set_slot(leaf.to as usize, Some(last));
        }
        self.set_slot(self.len, None);
    }

    fn leaf_of(&self, origin: NameRef<'_>, descent: Option<&Descent>) -> Option<Leaf> {
        let leaf = descent.filter(|descent| descent.followed)?.leaf;
        (slot(&self.pages, leaf.to).origin.as_ref() == origin).then_some(leaf)
    }

    fn set_slot(&mut self, slot: usize, zone: Option<Arc<Zone>>) {
        Arc::make_mut(&mut self.pages[slot / PAGE])[slot % PAGE] = zone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zones::ZoneState;
    use zonefmt::Name;

    #[test]
    fn the_map_does_not_grow_by_zones_that_come_and_go() {
        let origin = |i: u32| Name::from_ascii(format!("z{i}.example")).unwrap();
        let zone = |i| Arc::new(Zone::new(origin(i), Arc::default(), ZoneState::NotLoaded));
        let mut zones: ZoneMap = (0..100).map(zone).collect();
        let before = zones.trie.octets();
        for i in 100..2000 {
            zones.update([ZoneChange::Put(zone(i)), ZoneChange::Remove(origin(i - 100))]);
        }
        assert_eq!(zones.len(), 100);
        let after = zones.trie.octets();
        assert!(after < before + 32 * 1024, "from {before} octets to {after}");
    }
}
