//! The resources there are, and which of them claim which zone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use zonefmt::Name;

use super::apex::Apex;
use crate::api::{DnsZoneSpec, FieldError, Kind, RecordSet, Resource, ResourceId, Spec};

/// All resources, by identity; namespaces are contiguous.
#[derive(Default)]
pub(super) struct Index {
    zones: BTreeMap<ResourceId, ZoneEntry>,
    records: BTreeMap<ResourceId, RecordEntry>,
    /// Who wants to be the zone of that name, the oldest first.
    claims: BTreeMap<Name, BTreeSet<Rank>>,
}

pub(super) struct ZoneEntry {
    pub(super) rank: Rank,
    pub(super) spec: Box<DnsZoneSpec>,
    pub(super) apex: Result<Apex, Vec<FieldError>>,
}

pub(super) struct RecordEntry {
    pub(super) rank: Rank,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) set: RecordSet,
}

/// Decides between resources: the lesser one is served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    age: Age,
    pub(super) id: ResourceId,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Since(Timestamp),
    /// Never was in a cluster.
    New,
}

/// What changes of resources may have changed.
#[derive(Default)]
pub(super) struct Touched {
    /// Zones whose claims changed.
    pub(super) origins: BTreeSet<Name>,
    pub(super) zones: BTreeSet<ResourceId>,
    pub(super) records: BTreeSet<ResourceId>,
    /// Namespaces whose records another set of zones can select.
    pub(super) namespaces: BTreeSet<String>,
}

impl Index {
    pub(super) fn put(&mut self, resource: Resource, touched: &mut Touched) {
        let Resource { id, labels, created, spec } = resource;
        // An object made anew may have changed its kind of spec, never its identity.
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
                self.zones.insert(id, ZoneEntry { rank, spec, apex });
            }
            Spec::Record(set) => {
                touched.records.insert(id.clone());
                self.records.insert(id, RecordEntry { rank, labels, set });
            }
        }
    }

    pub(super) fn remove(&mut self, id: &ResourceId, touched: &mut Touched) {
        if let Some(ZoneEntry { rank, apex, .. }) = self.zones.remove(id) {
            if let Ok(Apex { origin, .. }) = apex {
                if let Some(claims) = self.claims.get_mut(&origin) {
                    claims.remove(&rank);
                    if claims.is_empty() {
                        self.claims.remove(&origin);
                    }
                }
                touched.origins.insert(origin);
            }
            touched.zones.insert(id.clone());
            touched.namespaces.insert(id.namespace.clone());
        }
        if self.records.remove(id).is_some() {
            touched.records.insert(id.clone());
        }
    }

    /// The resources that want to be the zone of that name, the oldest first.
    pub(super) fn claims(&self, origin: &Name) -> impl Iterator<Item = &Rank> {
        self.claims.get(origin).into_iter().flatten()
    }

    pub(super) fn zone(&self, id: &ResourceId) -> Option<&ZoneEntry> {
        self.zones.get(id)
    }

    pub(super) fn record(&self, id: &ResourceId) -> Option<&RecordEntry> {
        self.records.get(id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &ResourceId> {
        self.zones.keys().chain(self.records.keys())
    }

    pub(super) fn zones_of(&self, namespace: &str) -> impl Iterator<Item = (&ResourceId, &ZoneEntry)> {
        within(&self.zones, namespace)
    }

    pub(super) fn records_of(&self, namespace: &str) -> impl Iterator<Item = (&ResourceId, &RecordEntry)> {
        within(&self.records, namespace)
    }
}

impl ZoneEntry {
    /// The zone that it claims, if it could be read.
    pub(super) fn origin(&self) -> Option<&Name> {
        self.apex.as_ref().ok().map(|apex| &apex.origin)
    }

    pub(super) fn selects(&self, record: &RecordEntry) -> bool {
        self.spec.records_from.iter().any(|source| source.selector.matches(&record.labels))
    }
}

fn within<'i, T>(all: &'i BTreeMap<ResourceId, T>, namespace: &str) -> impl Iterator<Item = (&'i ResourceId, &'i T)> {
    let first = ResourceId { namespace: namespace.to_owned(), name: String::new(), kind: Kind::Zone };
    all.range(&first..).take_while({
        let namespace = first.namespace.clone();
        move |(id, _)| id.namespace == namespace
    })
}
