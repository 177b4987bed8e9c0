//! An index of the resources: which of them claim which zone, which zones may select which records, and the declared
//! servers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use zonefmt::Name;

use super::apex::Apex;
use crate::api::{DnsZoneSpec, FieldError, Kind, RecordSet, RecordSource, Resource, ResourceId, Spec};

/// All resources by identity. The map of zones is ordered, so that those of a namespace are together; there are fewer
/// zones than records.
#[derive(Default)]
pub(super) struct Index {
    zones: BTreeMap<ResourceId, ZoneEntry>,
    records: HashMap<ResourceId, RecordEntry>,
    infrastructure: BTreeMap<ResourceId, Resource>,
    /// The zones that cannot be read.
    unreadable: BTreeSet<ResourceId>,
    /// The resources that claim to be the zone of a name, oldest first.
    claims: BTreeMap<Name, BTreeSet<Rank>>,
    /// The records that have a label.
    labelled: HashMap<Handle, HashSet<ResourceId>>,
    /// The zones with a selector that requires the label, or that requires no label at all.
    selecting: BTreeMap<Handle, BTreeSet<ResourceId>>,
}

/// A namespace and a label in it, by which records are found for zones and zones for records. Without a label it stands
/// for all records of the namespace.
type Handle = (String, Option<(String, String)>);

pub(super) struct ZoneEntry {
    /// The handles under which `selecting` has the zone.
    handles: BTreeSet<Handle>,
    pub(super) rank: Rank,
    pub(super) spec: Box<DnsZoneSpec>,
    pub(super) apex: Result<Apex, Vec<FieldError>>,
}

pub(super) struct RecordEntry {
    pub(super) rank: Rank,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) set: RecordSet,
}

/// The order of resources that conflict: the lesser one is served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    age: Age,
    pub(super) id: ResourceId,
}

impl Rank {
    /// Why this resource comes before another, for messages.
    pub(super) fn advantage(&self, other: &Rank) -> &'static str {
        let (this, that) = (&self.id, &other.id);
        if this.kind == Kind::Zone && that.kind != Kind::Zone {
            "whose own data goes first"
        } else if self.age != other.age {
            "which is older"
        } else if this.namespace != that.namespace {
            "which comes first by namespace"
        } else if this.name != that.name {
            "which comes first by name"
        } else {
            "which comes first by kind"
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Since(Timestamp),
    /// The resource was never in a cluster.
    New,
}

/// What a change of resources may have affected.
#[derive(Default)]
pub(super) struct Touched {
    /// The names of zones whose claims changed.
    pub(super) origins: BTreeSet<Name>,
    pub(super) zones: BTreeSet<ResourceId>,
    pub(super) records: HashSet<ResourceId>,
    pub(super) infrastructure: BTreeSet<ResourceId>,
    /// Namespaces whose zones changed, which affects the findings about records that no zone serves.
    pub(super) namespaces: BTreeSet<String>,
}

impl Index {
    pub(super) fn put(&mut self, resource: Resource, touched: &mut Touched) {
        let Resource { id, labels, annotations, created, spec } = resource;
        // A resource that is created again may have another spec, but it has the same identity.
        self.remove(&id, touched);
        let rank = Rank { age: created.map_or(Age::New, Age::Since), id: id.clone() };
        match spec {
            Spec::Zone(spec) => {
                let apex = Apex::read(&spec);
                if let Ok(apex) = &apex {
                    self.claims.entry(apex.origin.clone()).or_default().insert(rank.clone());
                    touched.origins.insert(apex.origin.clone());
                }
                touched.zones.insert(id.clone());
                touched.namespaces.insert(id.namespace.clone());
                let handles = self.handles_of_zone(&id.namespace, &spec);
                for handle in &handles {
                    self.selecting.entry(handle.clone()).or_default().insert(id.clone());
                }
                self.zones.insert(id, ZoneEntry { handles, rank, spec, apex });
            }
            Spec::Record(set) => {
                touched.records.insert(id.clone());
                for handle in handles(&id, &labels) {
                    self.labelled.entry(handle).or_default().insert(id.clone());
                }
                self.records.insert(id, RecordEntry { rank, labels, set });
            }
            Spec::Infrastructure(_) => {
                touched.infrastructure.insert(id.clone());
                self.infrastructure.insert(id.clone(), Resource { id, labels, annotations, created, spec });
            }
        }
    }

    /// Notes that a resource is there and cannot be read, which matters if it is a zone.
    pub(super) fn refuse(&mut self, id: ResourceId, touched: &mut Touched) {
        self.remove(&id, touched);
        if id.kind == Kind::Zone {
            touched.namespaces.insert(id.namespace.clone());
            self.unreadable.insert(id);
        }
    }

    pub(super) fn remove(&mut self, id: &ResourceId, touched: &mut Touched) {
        if self.unreadable.remove(id) {
            touched.namespaces.insert(id.namespace.clone());
        }
        if let Some(ZoneEntry { handles, rank, apex, .. }) = self.zones.remove(id) {
            if let Ok(Apex { origin, .. }) = apex {
                forget(&mut self.claims, &origin, &rank);
                touched.origins.insert(origin);
            }
            for handle in handles {
                forget(&mut self.selecting, &handle, id);
            }
            touched.zones.insert(id.clone());
            touched.namespaces.insert(id.namespace.clone());
        }
        if let Some(RecordEntry { labels, .. }) = self.records.remove(id) {
            for handle in handles(id, &labels) {
                if let Some(labelled) = self.labelled.get_mut(&handle) {
                    labelled.remove(id);
                    if labelled.is_empty() {
                        self.labelled.remove(&handle);
                    }
                }
            }
            touched.records.insert(id.clone());
        }
        if self.infrastructure.remove(id).is_some() {
            touched.infrastructure.insert(id.clone());
        }
    }

    /// The records that a zone selects.
    pub(super) fn selected_by(&self, zone: &ZoneEntry) -> BTreeSet<&ResourceId> {
        let namespace = &zone.rank.id.namespace;
        let mut selected = BTreeSet::new();
        for RecordSource { selector } in &zone.spec.records_from {
            let labels = selector.match_labels.iter();
            let labelled = labels.map(|label| self.labelled.get(&handle(namespace, Some(label))));
            // The smallest set contains every match; a label that no record has counts as an empty set.
            match labelled.min_by_key(|records| records.map_or(0, HashSet::len)) {
                Some(candidates) => selected.extend(
                    candidates
                        .into_iter()
                        .flatten()
                        .filter(|id| self.records.get(*id).is_some_and(|record| selector.matches(&record.labels))),
                ),
                None => selected.extend(
                    self.records_of(namespace).filter(|(_, record)| selector.matches(&record.labels)).map(|(id, _)| id),
                ),
            }
        }
        selected
    }

    /// The zones that may select a record. These include all that do.
    pub(super) fn may_select(&self, record: &RecordEntry) -> impl Iterator<Item = (&ResourceId, &ZoneEntry)> {
        let handles = handles(&record.rank.id, &record.labels);
        let zones: BTreeSet<&ResourceId> = handles.filter_map(|handle| self.selecting.get(&handle)).flatten().collect();
        zones.into_iter().filter_map(|id| self.zones.get_key_value(id))
    }

    /// One label that each selector requires. If it requires several, this is the one that the fewest zones use.
    fn handles_of_zone(&self, namespace: &str, spec: &DnsZoneSpec) -> BTreeSet<Handle> {
        let rarest = |RecordSource { selector }: &RecordSource| {
            let handles = selector.match_labels.iter().map(|label| handle(namespace, Some(label)));
            let rarest = handles.min_by_key(|handle| self.selecting.get(handle).map_or(0, BTreeSet::len));
            rarest.unwrap_or_else(|| handle(namespace, None))
        };
        spec.records_from.iter().map(rarest).collect()
    }

    /// The resources that claim to be the zone of that name, oldest first.
    pub(super) fn claims(&self, origin: &Name) -> impl Iterator<Item = &Rank> {
        self.claims.get(origin).into_iter().flatten()
    }

    pub(super) fn zone(&self, id: &ResourceId) -> Option<&ZoneEntry> {
        self.zones.get(id)
    }

    pub(super) fn record(&self, id: &ResourceId) -> Option<&RecordEntry> {
        self.records.get(id)
    }

    /// The resources that declare servers.
    pub(super) fn infrastructure(&self) -> &BTreeMap<ResourceId, Resource> {
        &self.infrastructure
    }

    /// The identities of all resources, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = &ResourceId> {
        let mut records: Vec<&ResourceId> = self.records.keys().collect();
        records.sort_unstable();
        self.zones.keys().chain(records).chain(self.infrastructure.keys())
    }

    pub(super) fn zones(&self) -> impl Iterator<Item = (&ResourceId, &ZoneEntry)> {
        self.zones.iter()
    }

    pub(super) fn zones_of(&self, namespace: &str) -> impl Iterator<Item = (&ResourceId, &ZoneEntry)> {
        let first = ResourceId { namespace: namespace.to_owned(), name: String::new(), kind: Kind::Zone };
        self.zones.range(&first..).take_while(move |(id, _)| id.namespace == first.namespace)
    }

    /// The first zone of a namespace that cannot be read.
    pub(super) fn unreadable_zone_of(&self, namespace: &str) -> Option<&ResourceId> {
        self.unreadable.iter().find(|id| id.namespace == namespace)
    }

    pub(super) fn records_of(&self, namespace: &str) -> impl Iterator<Item = (&ResourceId, &RecordEntry)> {
        let records = self.labelled.get(&handle(namespace, None)).into_iter().flatten();
        records.filter_map(|id| self.records.get_key_value(id))
    }
}

impl ZoneEntry {
    /// The name of the zone that the resource claims, if it could be read.
    pub(super) fn origin(&self) -> Option<&Name> {
        self.apex.as_ref().ok().map(|apex| &apex.origin)
    }

    pub(super) fn selects(&self, record: &RecordEntry) -> bool {
        self.spec.records_from.iter().any(|source| source.selector.matches(&record.labels))
    }
}

fn handle(namespace: &str, label: Option<(&String, &String)>) -> Handle {
    (namespace.to_owned(), label.map(|(key, value)| (key.clone(), value.clone())))
}

/// The handles under which a record is found.
fn handles(id: &ResourceId, labels: &BTreeMap<String, String>) -> impl Iterator<Item = Handle> {
    labels.iter().map(Some).chain([None]).map(|label| handle(&id.namespace, label))
}

/// Removes one entry from the set of `key`, and the set from the map if it is empty.
fn forget<K: Ord, T: Ord>(sets: &mut BTreeMap<K, BTreeSet<T>>, key: &K, one: &T) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(one);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
