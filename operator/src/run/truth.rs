//! What servers serve, as they were seen to. A zone counts as served where every pod of a server has answered its serial
//! or a later one (RFC 1982), and clients are led to one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use zonefmt::{Name, Serial};

use super::seen::Pods;
use crate::servers::ServerId;

/// What was seen of all zones.
#[derive(Default)]
pub(super) struct Truth {
    zones: BTreeMap<Name, Zone>,
    /// The zones of which a pod is not known to have the newest version.
    open: BTreeSet<Name>,
    /// The zones that some server does not serve in their newest version, also as it has no pod.
    behind: BTreeSet<Name>,
}

struct Zone {
    serial: Serial,
    /// Those of each of its servers.
    pods: BTreeMap<ServerId, Pods>,
    /// The latest serial that each pod has answered.
    seen: BTreeMap<SocketAddr, Serial>,
    /// When the newest version, or the last pod, has come.
    since: Instant,
}

/// How far a zone is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// The servers that should have it.
    pub(super) servers: Vec<ServerId>,
    /// The servers that do not serve its newest version.
    pub(super) behind: Vec<ServerId>,
}

/// How long a server may take until it is told to be behind.
pub(super) const GRACE: Duration = Duration::from_secs(2);

impl Truth {
    /// A zone has this serial now, and these pods serve it or are to; returns whether that is new.
    pub(super) fn expect(
        &mut self,
        origin: &Name,
        serial: Serial,
        pods: BTreeMap<ServerId, Pods>,
        now: Instant,
    ) -> bool {
        let is_known = self.zones.contains_key(origin);
        let zone = self.zones.entry(origin.clone()).or_insert_with(|| Zone {
            serial,
            pods: BTreeMap::new(),
            seen: BTreeMap::new(),
            since: now,
        });
        if is_known && zone.serial == serial && zone.pods == pods {
            return false;
        }
        zone.since = now;
        // A pod that goes takes its address with it, which another may get.
        zone.seen.retain(|pod, _| pods.values().any(|pods| pods.addresses.contains(pod)));
        (zone.serial, zone.pods) = (serial, pods);
        self.settle(origin);
        true
    }

    /// A zone that is served already has this serial now.
    pub(super) fn renew(&mut self, origin: &Name, serial: Serial, now: Instant) {
        if let Some(pods) = self.zones.get(origin).map(|zone| zone.pods.clone()) {
            self.expect(origin, serial, pods, now);
        }
    }

    /// A zone is not served any more.
    pub(super) fn forget(&mut self, origin: &Name) {
        self.zones.remove(origin);
        self.settle(origin);
    }

    /// A pod has answered this serial. Returns whether it is ahead of the newest version.
    pub(super) fn answered(&mut self, origin: &Name, pod: SocketAddr, serial: Serial) -> bool {
        let Some(zone) = self.zones.get_mut(origin) else { return false };
        let is_ahead = serial > zone.serial;
        zone.seen.insert(pod, serial);
        self.settle(origin);
        is_ahead
    }

    /// The pods that are to be asked, with the zones.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Name, SocketAddr)> {
        let zones = self.open.iter().filter_map(|origin| Some((origin, self.zones.get(origin)?)));
        zones.flat_map(|(origin, zone)| zone.lacking().map(move |pod| (origin, pod)))
    }

    /// The zones that some server does not serve in their newest version.
    pub(super) fn behind(&self) -> impl Iterator<Item = &Name> {
        self.behind.iter()
    }

    /// The zones that some server should have had for some time and has not.
    pub(super) fn late(&self, now: Instant) -> impl Iterator<Item = &Name> {
        self.open.iter().filter(move |origin| {
            self.zones.get(*origin).is_some_and(|zone| now.saturating_duration_since(zone.since) >= GRACE)
        })
    }

    /// Whether it is early to tell that servers lack the newest version of a zone.
    pub(super) fn is_fresh(&self, origin: &Name, now: Instant) -> bool {
        self.open.contains(origin)
            && self.zones.get(origin).is_some_and(|zone| now.saturating_duration_since(zone.since) < GRACE)
    }

    /// Whether every server has answered this serial of a zone or a later one.
    pub(super) fn has(&self, origin: &Name, serial: Serial) -> bool {
        self.zones
            .get(origin)
            .is_some_and(|zone| !zone.pods.is_empty() && zone.pods.values().all(|pods| zone.is_served_by(pods, serial)))
    }

    /// Whether no server is to have a zone, as far as it was said who is.
    pub(super) fn is_deserted(&self, origin: &Name) -> bool {
        self.zones.get(origin).is_some_and(|zone| zone.pods.is_empty())
    }

    /// How far a zone is served.
    pub(super) fn extent(&self, origin: &Name) -> Extent {
        let Some(zone) = self.zones.get(origin) else { return Extent::default() };
        let behind = zone.pods.iter().filter(|(_, pods)| !zone.is_served_by(pods, zone.serial));
        Extent {
            servers: zone.pods.keys().cloned().collect(),
            behind: behind.map(|(server, _)| server.clone()).collect(),
        }
    }

    /// The servers of zones; each set of servers once.
    pub(super) fn servers(&self) -> BTreeSet<Vec<&ServerId>> {
        self.zones.values().map(|zone| zone.pods.keys().collect()).collect()
    }

    /// The servers of which a pod has never answered for a zone that another server answers for, or that no server could
    /// answer for yet.
    pub(super) fn lacking(&self, now: Instant) -> BTreeSet<&ServerId> {
        let mut lacking = BTreeSet::new();
        for (origin, zone) in self.open.iter().filter_map(|origin| Some((origin, self.zones.get(origin)?))) {
            let lacks = |pods: &Pods| pods.addresses.iter().any(|pod| !zone.seen.contains_key(pod));
            let has = |pods: &Pods| !pods.addresses.is_empty() && !lacks(pods);
            if zone.pods.values().any(has) || self.is_fresh(origin, now) {
                lacking.extend(zone.pods.iter().filter(|(_, pods)| lacks(pods)).map(|(server, _)| server));
            }
        }
        lacking
    }

    fn settle(&mut self, origin: &Name) {
        let zone = self.zones.get(origin);
        let is_open = zone.is_some_and(|zone| zone.lacking().next().is_some());
        let is_behind = zone.is_some_and(|zone| zone.pods.values().any(|pods| !zone.is_served_by(pods, zone.serial)));
        for (set, belongs) in [(&mut self.open, is_open), (&mut self.behind, is_behind)] {
            if !belongs {
                set.remove(origin);
            } else if !set.contains(origin) {
                set.insert(origin.clone());
            }
        }
    }
}

impl Zone {
    fn is_at(&self, pod: &SocketAddr, serial: Serial) -> bool {
        self.seen.get(pod).is_some_and(|seen| *seen >= serial)
    }

    /// Whether clients get this version or a later one from a server.
    fn is_served_by(&self, pods: &Pods, serial: Serial) -> bool {
        pods.is_open && pods.addresses.iter().all(|pod| self.is_at(pod, serial))
    }

    fn lacking(&self) -> impl Iterator<Item = SocketAddr> {
        let pods = self.pods.values().flat_map(|pods| &pods.addresses);
        pods.filter(|pod| !self.is_at(pod, self.serial)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_served_where_all_pods_have_its_serial_or_a_later_one() {
        let (origin, now) = (Name::from_ascii("example.com").unwrap(), Instant::now());
        let server = |name: &str| ServerId { namespace: "dns".into(), name: name.into() };
        let pod = |last: u8| SocketAddr::from(([192, 0, 2, last], 5353));
        let open = |pods: &[SocketAddr]| Pods { addresses: pods.iter().copied().collect(), is_open: true };
        let pods = BTreeMap::from([(server("a"), open(&[pod(1), pod(2)])), (server("b"), Pods::default())]);
        let mut truth = Truth::default();
        truth.expect(&origin, Serial(u32::MAX), pods.clone(), now);
        assert_eq!(truth.open().map(|(_, pod)| pod).collect::<Vec<_>>(), [pod(1), pod(2)]);
        assert!(truth.is_fresh(&origin, now) && !truth.is_fresh(&origin, now + GRACE));
        assert!(truth.lacking(now + GRACE).is_empty(), "no server has it");
        assert_eq!(truth.behind().collect::<Vec<_>>(), [&origin]);
        assert_eq!(truth.lacking(now), BTreeSet::from([&server("a")]), "what they have is not known yet");
        truth.answered(&origin, pod(1), Serial(u32::MAX));
        assert_eq!(truth.extent(&origin).behind.len(), 2);
        truth.answered(&origin, pod(2), Serial(1));
        assert_eq!(truth.extent(&origin).behind, [server("b")], "1 comes after 2³² − 1, and b has no pod");
        assert!(truth.open().next().is_none() && truth.behind().next().is_some(), "nobody is to be asked");
        truth.expect(&origin, Serial(2), BTreeMap::from([(server("a"), open(&[pod(1)]))]), now);
        assert!(!truth.has(&origin, Serial(2)) && truth.late(now).next().is_none());
        assert_eq!(truth.late(now + GRACE).collect::<Vec<_>>(), [&origin]);
        truth.answered(&origin, pod(1), Serial(2));
        assert!(truth.has(&origin, Serial(2)) && truth.has(&origin, Serial(1)) && !truth.has(&origin, Serial(3)));
        assert!(truth.behind().next().is_none());
        truth.expect(&origin, Serial(2), pods, now);
        assert!(!truth.has(&origin, Serial(2)), "a pod that comes back is asked again");
    }

    #[test]
    fn a_server_to_which_no_client_is_led_serves_nothing() {
        let (origin, now) = (Name::from_ascii("example.com").unwrap(), Instant::now());
        let server = ServerId { namespace: "dns".into(), name: "a".into() };
        let pod = SocketAddr::from(([192, 0, 2, 1], 5353));
        let pods = |is_open| BTreeMap::from([(server.clone(), Pods { addresses: [pod].into(), is_open })]);
        let mut truth = Truth::default();
        truth.expect(&origin, Serial(1), pods(false), now);
        truth.answered(&origin, pod, Serial(1));
        assert_eq!(truth.extent(&origin).behind.len(), 1);
        assert!(!truth.has(&origin, Serial(1)) && truth.open().next().is_none());
        assert!(truth.expect(&origin, Serial(1), pods(true), now), "there is something new to be said");
        assert!(truth.has(&origin, Serial(1)) && truth.extent(&origin).behind.is_empty());
    }

    #[test]
    fn a_server_lacks_a_zone_until_all_its_pods_have_answered_for_it() {
        let (origin, now) = (Name::from_ascii("example.com").unwrap(), Instant::now());
        let server = |name: &str| ServerId { namespace: "dns".into(), name: name.into() };
        let (a, b) = (server("a"), server("b"));
        let pod = |last: u8| SocketAddr::from(([192, 0, 2, last], 5353));
        let open = |pods: &[SocketAddr]| Pods { addresses: pods.iter().copied().collect(), is_open: true };
        let pods = BTreeMap::from([(a.clone(), open(&[pod(1)])), (b.clone(), open(&[pod(2), pod(3)]))]);
        let mut truth = Truth::default();
        truth.expect(&origin, Serial(1), pods, now);
        assert_eq!(truth.servers(), BTreeSet::from([vec![&a, &b]]));
        truth.answered(&origin, pod(1), Serial(1));
        truth.answered(&origin, pod(2), Serial(1));
        assert_eq!(truth.lacking(now + GRACE), BTreeSet::from([&b]));
        truth.answered(&origin, pod(3), Serial(1));
        assert!(truth.lacking(now + GRACE).is_empty());
        truth.renew(&origin, Serial(2), now);
        assert!(truth.lacking(now + GRACE).is_empty(), "they have a version of it");
    }
}
