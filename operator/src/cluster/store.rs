//! What there is in the cluster, as far as it was seen. Only events change it, and the same events always make the same of
//! it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use crate::object::{ObjectId, Type};

/// The objects that were seen.
#[derive(Default)]
pub struct Store {
    objects: BTreeMap<ObjectId, Arc<Value>>,
    /// The types and namespaces of which all objects were seen at least once; an empty namespace stands for all.
    listed: BTreeSet<(Type, String)>,
}

/// Something that was seen.
#[derive(Debug)]
pub enum Seen {
    /// An object is new, or has changed.
    Put(ObjectId, Value),
    /// An object is gone.
    Gone(ObjectId),
    /// These are all objects of a type in a namespace; an empty one stands for all.
    All(Type, String, Vec<(ObjectId, Value)>),
}

impl Store {
    /// Takes over what was seen, and adds what changed to `changed`.
    pub fn take(&mut self, seen: Seen, changed: &mut BTreeSet<ObjectId>) {
        match seen {
            Seen::Put(id, object) => self.put(id, object, changed),
            Seen::Gone(id) => self.remove(id, changed),
            Seen::All(of, namespace, objects) => {
                let there: BTreeSet<&ObjectId> = objects.iter().map(|(id, _)| id).collect();
                let known =
                    self.of(of).map(|(id, _)| id).filter(|id| namespace.is_empty() || id.namespace == namespace);
                let gone: Vec<ObjectId> = known.filter(|id| !there.contains(id)).cloned().collect();
                for id in gone {
                    self.remove(id, changed);
                }
                for (id, object) in objects {
                    self.put(id, object, changed);
                }
                self.listed.insert((of, namespace));
            }
        }
    }

    fn put(&mut self, id: ObjectId, object: Value, changed: &mut BTreeSet<ObjectId>) {
        let object = Arc::new(object);
        if self.objects.insert(id.clone(), Arc::clone(&object)).as_ref() != Some(&object) {
            changed.insert(id);
        }
    }

    fn remove(&mut self, id: ObjectId, changed: &mut BTreeSet<ObjectId>) {
        if self.objects.remove(&id).is_some() {
            changed.insert(id);
        }
    }

    /// Whether all objects of a type in a namespace were seen at least once; an empty one stands for all.
    pub fn is_listed(&self, of: Type, namespace: &str) -> bool {
        self.listed.contains(&(of, namespace.to_owned()))
    }

    /// An object.
    pub fn get(&self, id: &ObjectId) -> Option<&Arc<Value>> {
        self.objects.get(id)
    }

    /// The objects of a type, by namespace and name.
    pub fn of(&self, of: Type) -> impl Iterator<Item = (&ObjectId, &Arc<Value>)> {
        let first = ObjectId { of, namespace: String::new(), name: String::new() };
        self.objects.range(first..).take_while(move |(id, _)| id.of == of)
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
            store.take(Seen::Put(other.clone(), json!({})), &mut changed);
        }
        store.take(Seen::Put(id("a"), json!(1)), &mut changed);
        assert!(!store.is_listed(Type::Pod, "dns"));
        store.take(
            Seen::All(Type::Pod, "dns".into(), vec![(id("a"), json!(1)), (id("b"), json!(1)), (id("c"), json!(1))]),
            &mut changed,
        );
        assert!(store.is_listed(Type::Pod, "dns") && !store.is_listed(Type::Secret, "dns"));
        changed.clear();
        store.take(Seen::All(Type::Pod, "dns".into(), vec![(id("a"), json!(1)), (id("b"), json!(2))]), &mut changed);
        assert_eq!(changed, BTreeSet::from([id("b"), id("c")]));
        assert_eq!(store.of(Type::Pod).map(|(id, _)| id.name.as_str()).collect::<Vec<_>>(), ["a", "b", "other"]);
        assert!(others.iter().all(|other| store.get(other).is_some()), "of another type, or in another namespace");
    }
}
