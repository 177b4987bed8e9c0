//! What there is in the cluster, as far as it was seen: by watching, or as the outcome of a write. The same always makes
//! the same of it. Objects are kept as text, which takes a sixth of the memory of what is read of it, and most are seldom
//! looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::object::{ObjectId, Type};

/// The objects that were seen.
#[derive(Default)]
pub struct Store {
    objects: BTreeMap<ObjectId, Text>,
    /// The types and namespaces of which all objects were seen at least once; an empty namespace stands for all.
    listed: BTreeSet<(Type, String)>,
    /// The objects that were looked for by name, whether they are there or not.
    looked_for: BTreeSet<ObjectId>,
}

/// An object as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Text(Box<str>);

/// Something that was seen.
#[derive(Debug)]
pub enum Seen {
    /// An object is new, or has changed.
    Put(ObjectId, Text),
    /// An object is gone.
    Gone(ObjectId),
    /// These are all objects of a type in a namespace; an empty one stands for all.
    All(Type, String, Vec<(ObjectId, Text)>),
    /// This is the object of this name, if there is one.
    One(ObjectId, Option<Text>),
}

impl Store {
    /// Takes over what was seen, and adds what changed to `changed`.
    pub fn take(&mut self, seen: Seen, changed: &mut BTreeSet<ObjectId>) {
        match seen {
            Seen::Put(id, object) => self.put(id, object, changed),
            Seen::Gone(id) => self.remove(&id, changed),
            Seen::All(of, namespace, objects) => {
                let there: BTreeSet<&ObjectId> = objects.iter().map(|(id, _)| id).collect();
                let known = self.ids(of).filter(|id| namespace.is_empty() || id.namespace == namespace);
                let gone: Vec<ObjectId> = known.filter(|id| !there.contains(id)).cloned().collect();
                for id in gone {
                    self.remove(&id, changed);
                }
                for (id, object) in objects {
                    self.put(id, object, changed);
                }
                self.listed.insert((of, namespace));
            }
            Seen::One(id, object) => {
                // That there is none is news, too.
                if self.looked_for.insert(id.clone()) {
                    changed.insert(id.clone());
                }
                match object {
                    Some(object) => self.put(id, object, changed),
                    None => self.remove(&id, changed),
                }
            }
        }
    }

    /// Takes over what has become of an object that was `before`, unless something else was seen of it meanwhile.
    pub fn renew(&mut self, id: &ObjectId, before: &Text, after: Text) {
        if let Some(object) = self.objects.get_mut(id).filter(|object| *object == before) {
            *object = after;
        }
    }

    /// Forgets the objects that were looked for by name, but for these.
    pub fn retain(&mut self, wanted: &BTreeSet<ObjectId>) {
        for id in self.looked_for.difference(wanted) {
            self.objects.remove(id);
        }
        self.looked_for.retain(|id| wanted.contains(id));
    }

    fn put(&mut self, id: ObjectId, object: Text, changed: &mut BTreeSet<ObjectId>) {
        if self.objects.get(&id) != Some(&object) {
            self.objects.insert(id.clone(), object);
            changed.insert(id);
        }
    }

    fn remove(&mut self, id: &ObjectId, changed: &mut BTreeSet<ObjectId>) {
        if self.objects.remove(id).is_some() {
            changed.insert(id.clone());
        }
    }

    /// Whether all objects of a type in a namespace were seen at least once; an empty one stands for all.
    pub fn is_listed(&self, of: Type, namespace: &str) -> bool {
        self.listed.contains(&(of, namespace.to_owned()))
    }

    /// Whether there is an object.
    pub fn has(&self, id: &ObjectId) -> bool {
        self.objects.contains_key(id)
    }

    /// An object that was looked for by its name: `None` if that has not come to an end, `Some(None)` if there is none.
    pub fn find(&self, id: &ObjectId) -> Option<Option<Value>> {
        self.looked_for.contains(id).then(|| self.get(id))
    }

    /// An object.
    pub fn get(&self, id: &ObjectId) -> Option<Value> {
        self.objects.get(id).map(Text::read)
    }

    /// The objects of a type, by namespace and name.
    pub fn of(&self, of: Type) -> impl Iterator<Item = (&ObjectId, Value)> {
        self.range(of).map(|(id, object)| (id, object.read()))
    }

    /// Which objects of a type there are, by namespace and name.
    pub fn ids(&self, of: Type) -> impl Iterator<Item = &ObjectId> {
        self.range(of).map(|(id, _)| id)
    }

    fn range(&self, of: Type) -> impl Iterator<Item = (&ObjectId, &Text)> {
        let first = ObjectId { of, namespace: String::new(), name: String::new() };
        self.objects.range(first..).take_while(move |(id, _)| id.of == of)
    }
}

impl Text {
    fn read(&self) -> Value {
        // What was JSON can be JSON again.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<&Value> for Text {
    fn from(object: &Value) -> Text {
        Text(object.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn id(name: &str) -> ObjectId {
        ObjectId { of: Type::Pod, namespace: "dns".into(), name: name.into() }
    }

    #[test]
    fn a_list_takes_away_what_it_lacks_and_tells_what_differs() {
        let (mut store, mut changed) = (Store::default(), BTreeSet::new());
        let others =
            [ObjectId { of: Type::Secret, ..id("other") }, ObjectId { namespace: "else".into(), ..id("other") }];
        for other in &others {
            store.take(Seen::Put(other.clone(), Text::from(&json!({}))), &mut changed);
        }
        let text = |version: u32| Text::from(&json!(version));
        store.take(Seen::Put(id("a"), text(1)), &mut changed);
        assert!(!store.is_listed(Type::Pod, "dns"));
        store.take(
            Seen::All(Type::Pod, "dns".into(), vec![(id("a"), text(1)), (id("b"), text(1)), (id("c"), text(1))]),
            &mut changed,
        );
        assert!(store.is_listed(Type::Pod, "dns") && !store.is_listed(Type::Secret, "dns"));
        changed.clear();
        store.take(Seen::All(Type::Pod, "dns".into(), vec![(id("a"), text(1)), (id("b"), text(2))]), &mut changed);
        assert_eq!(changed, BTreeSet::from([id("b"), id("c")]));
        assert_eq!(store.ids(Type::Pod).map(|id| id.name.as_str()).collect::<Vec<_>>(), ["a", "b", "other"]);
        assert!(others.iter().all(|other| store.has(other)), "of another type, or in another namespace");
    }

    #[test]
    fn the_outcome_of_a_write_replaces_nothing_newer() {
        let (mut store, text) = (Store::default(), |version: u32| Text::from(&json!(version)));
        store.take(Seen::Put(id("a"), text(1)), &mut BTreeSet::new());
        store.renew(&id("a"), &text(1), text(2));
        assert_eq!(store.get(&id("a")), Some(json!(2)));
        store.take(Seen::Put(id("a"), text(4)), &mut BTreeSet::new());
        store.renew(&id("a"), &text(2), text(3));
        assert_eq!(store.get(&id("a")), Some(json!(4)));
        store.renew(&id("b"), &text(2), text(3));
        assert!(!store.has(&id("b")), "it is gone");
    }

    #[test]
    fn that_an_object_is_not_there_is_known_once_it_was_looked_for() {
        let (mut store, mut changed) = (Store::default(), BTreeSet::new());
        let given = ObjectId { of: Type::GivenConfigMap, ..id("a") };
        assert!(store.find(&given).is_none());
        store.take(Seen::One(given.clone(), None), &mut changed);
        assert!(store.find(&given) == Some(None) && changed.remove(&given));
        store.take(Seen::One(given.clone(), None), &mut changed);
        assert!(changed.is_empty());
        store.take(Seen::One(given.clone(), Some(Text::from(&json!(1)))), &mut changed);
        assert!(store.find(&given).flatten().is_some() && changed.contains(&given));
        store.retain(&BTreeSet::from([given.clone()]));
        assert!(store.find(&given).is_some());
        store.retain(&BTreeSet::new());
        assert!(store.find(&given).is_none() && store.get(&given).is_none());
    }
}
