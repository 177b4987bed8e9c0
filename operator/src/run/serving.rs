//! What servers get from here, and what they are seen to have of it: the zones, and the catalogs that list them, each for
//! those who are to have it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bindy_server::tsig::TsigKey;
use serde_json::Value;
use zonefmt::{Name, Serial};

use super::{
    assignment::Assignment,
    catalogs::{Catalogs, Kept},
    primary::{Audience, Primary},
    probes::{Answer, Question},
    rollout::Known,
    truth::{Extent, Truth},
};
use crate::{compile::ZoneData, keys::TransferKeys, servers::ServerId};

/// What is served.
pub(super) struct Serving {
    primary: Primary,
    catalogs: Catalogs,
    /// Who may have the zones and catalogs that are served.
    audiences: BTreeMap<Name, Audience>,
    truth: Truth,
    /// The zones that a server does not have because it has the most that it may have, each with such a server.
    surplus: BTreeMap<Name, ServerId>,
}

impl Serving {
    pub(super) fn new(primary: Primary) -> Serving {
        Serving {
            primary,
            catalogs: Catalogs::default(),
            audiences: BTreeMap::new(),
            truth: Truth::default(),
            surplus: BTreeMap::new(),
        }
    }

    /// The addresses at which this is.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.primary.addresses()
    }

    /// Whether a zone is served.
    pub(super) fn knows(&self, origin: &Name) -> bool {
        self.audiences.contains_key(origin)
    }

    /// The data of a zone that is served.
    pub(super) fn data(&self, origin: &Name) -> Option<ZoneData> {
        self.primary.data(origin)
    }

    /// Serves new versions of zones to those who have them already; without data, a zone is not served any more.
    pub(super) fn renew(&mut self, zones: impl IntoIterator<Item = (Name, Option<ZoneData>)>) {
        let mut all = Vec::new();
        for (origin, data) in zones {
            if let Some(serial) = data.as_ref().and_then(ZoneData::serial) {
                self.truth.renew(&origin, serial, Instant::now());
            }
            let audience = self.audiences.get(&origin).cloned();
            all.push((origin, data.zip(audience)));
        }
        self.primary.serve(all);
    }

    /// Puts back into the catalogs what may not leave them yet: see [`Catalogs::hold`].
    pub(super) fn hold(
        &mut self,
        members: &mut BTreeMap<Name, BTreeSet<Name>>,
        leads: bool,
        instance: impl Fn(&Name) -> Option<Value>,
    ) -> BTreeMap<Name, Kept> {
        self.catalogs.hold(members, leads, instance)
    }

    /// How many zones a catalog lists, and its serial.
    pub(super) fn listed(&self, catalog: &Name) -> Option<(usize, Serial)> {
        self.catalogs.listed(catalog)
    }

    /// Goes on where another process has ended, which has published so many members of a catalog.
    pub(super) fn take_over(&mut self, published: impl Fn(&Name) -> usize) {
        self.catalogs.take_over(published);
    }

    /// Serves these zones, and the catalogs, to those who are to have them now, and nothing else any more; of each zone it
    /// is told whether the version is a new one. Returns the zones of which servers have to be asked anew.
    pub(super) fn assign(
        &mut self,
        assignment: Assignment,
        zones: Vec<(Name, ZoneData, bool)>,
        keys: &TransferKeys,
    ) -> Vec<Name> {
        self.primary.know(keys.iter());
        let Assignment { members, mut audiences, mut pods, surplus } = assignment;
        self.surplus = surplus;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let changed: BTreeSet<Name> =
            self.catalogs.list(members, now as u32).into_iter().map(|(catalog, _)| catalog).collect();
        let catalogs: Vec<_> =
            self.catalogs.iter().map(|(name, data)| (name.clone(), data.clone(), changed.contains(name))).collect();
        let (mut open, mut there) = (Vec::new(), BTreeSet::new());
        // Zones come before the catalogs that list them.
        for group in [zones, catalogs] {
            let mut put = Vec::new();
            for (origin, data, is_new) in group {
                there.insert(origin.clone());
                let audience = audiences.remove(&origin).unwrap_or_default();
                let pods = pods.remove(&origin).unwrap_or_default();
                if let Some(serial) = data.serial()
                    && self.truth.expect(&origin, serial, pods, Instant::now())
                {
                    open.push(origin.clone());
                }
                if is_new || self.audiences.get(&origin) != Some(&audience) {
                    self.audiences.insert(origin.clone(), audience.clone());
                    put.push((origin, Some((data, audience))));
                }
            }
            self.primary.serve(put);
        }
        let gone: Vec<Name> = self.audiences.keys().filter(|origin| !there.contains(*origin)).cloned().collect();
        for origin in &gone {
            self.audiences.remove(origin);
            self.truth.forget(origin);
        }
        self.primary.serve(gone.into_iter().map(|origin| (origin, None)));
        open
    }

    /// Forgets what servers have answered.
    pub(super) fn forget(&mut self) {
        self.truth = Truth::default();
    }

    /// Takes over what a server has answered. Returns its serial if that is ahead of what is served here.
    pub(super) fn heard(&mut self, Answer { zone, pod, serial }: &Answer) -> Option<Serial> {
        if !self.truth.answered(zone, *pod, *serial) {
            return None;
        }
        if let Some(data) = self.catalogs.overtake(zone, *serial) {
            self.renew([(zone.clone(), Some(data))]);
            return None;
        }
        Some(*serial)
    }

    /// Notifies servers that should have had a zone for some time once more; returns the zones.
    pub(super) fn remind(&self) -> Vec<&Name> {
        let late: Vec<&Name> = self.truth.late(Instant::now()).collect();
        for origin in &late {
            self.primary.remind(origin);
        }
        late
    }

    /// What servers are to be asked: for what they are not known to have.
    pub(super) fn questions(&self, keys: &TransferKeys, most: usize) -> Vec<Question> {
        let by_name: BTreeMap<&Name, &TsigKey> = keys.iter().map(|key| (key.name(), key)).collect();
        let questions = self.truth.open().filter_map(|(zone, pod)| {
            let key = by_name.get(self.audiences.get(zone)?.pods.get(&pod)?)?;
            Some(Question { zone: zone.clone(), pod, key: (*key).clone() })
        });
        questions.take(most).collect()
    }

    /// Which servers have zones in common, and which of them lack some.
    pub(super) fn known(&self) -> Known<'_> {
        Known { of_zones: self.truth.servers(), lacking: self.truth.lacking(Instant::now()) }
    }

    /// How many zones and catalogs some server does not have in their newest version.
    pub(super) fn behind(&self) -> usize {
        self.truth.behind()
    }

    /// Whether every server has this version of a zone or a later one.
    pub(super) fn has(&self, origin: &Name, serial: Serial) -> bool {
        self.truth.has(origin, serial)
    }

    /// How far a zone or catalog is served; `None` if it is early to tell that some server lacks its newest version.
    pub(super) fn extent(&self, origin: &Name) -> Option<Extent> {
        (!self.is_early(origin)).then(|| self.truth.extent(origin))
    }

    /// A server that should have a zone, and does not because it has the most zones that it may have.
    pub(super) fn lacks_room(&self, origin: &Name) -> Option<&ServerId> {
        self.surplus.get(origin)
    }

    /// Whether it is early to tell that some server lacks the newest version of a zone.
    pub(super) fn is_early(&self, origin: &Name) -> bool {
        self.truth.is_fresh(origin, Instant::now())
    }
}
