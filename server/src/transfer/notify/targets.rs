//! Who is notified of a zone's new version, and how.

use std::net::{IpAddr, SocketAddr};

use zonefmt::{Name, NameRef, Rtype, rdata::Soa};

use crate::{
    settings::{Remote, Whom},
    zone::{Key, Rrset, ZoneData},
    zones::{View, Zone},
};

/// A server that is notified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// Its address and port.
    pub(super) address: SocketAddr,
    /// The address and port that it is notified from.
    pub(super) source: SocketAddr,
    /// The name of the key that messages to it are signed with.
    pub(super) key: Option<Name>,
}

/// The most addresses of name servers that are notified of a zone.
const MOST_NAME_SERVERS: usize = 100;

/// The servers that are notified of the zone: first those that are listed, then its name servers at this port, without
/// those that this server answers at itself (`is_own`).
pub(super) fn of(
    zone: &Zone,
    data: &ZoneData,
    view: &View,
    port: u16,
    is_own: impl Fn(SocketAddr) -> bool,
) -> Vec<Target> {
    let notify = &zone.settings.notify;
    let name_servers = match notify.whom {
        Whom::Nobody => return Vec::new(),
        Whom::Listed => Vec::new(),
        Whom::NameServers => name_servers(data, view, notify.to_soa),
    };
    let named = name_servers.into_iter().map(|ip| SocketAddr::new(ip, port)).filter(|&address| !is_own(address));
    let named = named.map(|address| Remote { address, key: None }).take(MOST_NAME_SERVERS);
    let mut targets: Vec<Target> = Vec::new();
    for Remote { address, key } in notify.also.iter().cloned().chain(named) {
        let peer = view.settings.peers.of(address.ip());
        if peer.is_some_and(|peer| peer.bogus) || targets.iter().any(|target| target.address == address) {
            continue;
        }
        let source = peer.and_then(|peer| peer.notify_source).filter(|source| source.is_ipv4() == address.is_ipv4());
        let source = source.unwrap_or_else(|| notify.source.towards(address));
        targets.push(Target { address, source, key: key.or_else(|| peer?.key.clone()) });
    }
    targets
}

/// The addresses of the zone's name servers, as far as the zones of this view know them.
fn name_servers(data: &ZoneData, view: &View, to_soa: bool) -> Vec<IpAddr> {
    let Some(apex) = data.apex() else { return Vec::new() };
    let soa = apex.rrset(Rtype::SOA).and_then(|soas| soas.rdatas().next()).and_then(Soa::read);
    let hosts = apex.rrset(Rtype::NS).into_iter().flat_map(Rrset::rdatas);
    let hosts = hosts.filter_map(|rdata| NameRef::from_wire(rdata).ok());
    let hosts = hosts.filter(|&host| to_soa || soa.as_ref().is_none_or(|soa| soa.primary != host));
    hosts.flat_map(|host| addresses(host, data, view)).collect()
}

/// The addresses of a host: from the zone that it lies in, or as glue from the zone that it serves.
fn addresses(host: NameRef<'_>, data: &ZoneData, view: &View) -> Vec<IpAddr> {
    let enclosing = view.zones.enclosing(host, Key::of(host.as_wire()).view(), false);
    let enclosing = enclosing.as_ref().and_then(|enclosing| enclosing.zone.data());
    let in_zone = |zone: &ZoneData| {
        let sets = [Rtype::A, Rtype::AAAA].into_iter().filter_map(|rtype| zone.rrset(host, rtype));
        sets.flat_map(|set| set.rdatas().filter_map(address)).collect::<Vec<_>>()
    };
    let found = enclosing.map(in_zone).unwrap_or_default();
    if found.is_empty() { in_zone(data) } else { found }
}

fn address(rdata: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(rdata).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(rdata).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        access::Prefix,
        settings::{Notify, Peer, Peers, ViewSettings, ZoneSettings},
        zones::{ZoneChange, ZoneMap, ZoneState},
    };

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn data(origin: &str, servers: &[&str], hosts: &[(&str, [u8; 4])]) -> ZoneData {
        let origin = name(origin);
        let mut edit = ZoneData::new(origin.clone()).edit();
        let soa = [name("ns1.example").as_ref().as_wire(), &[0], &[0; 20]].concat();
        edit.add(origin.as_ref(), Rtype::SOA, 300, &soa).unwrap();
        for server in servers {
            edit.add(origin.as_ref(), Rtype::NS, 300, name(server).as_ref().as_wire()).unwrap();
        }
        for (host, address) in hosts {
            edit.add(name(host).as_ref(), Rtype::A, 300, address).unwrap();
        }
        edit.commit()
    }

    fn targets(notify: Notify, peers: Peers) -> Vec<Target> {
        let servers = ["ns1.example", "ns2.example", "ns.sub.example", "ns.elsewhere", "ns.unknown"];
        let hosts =
            [("ns1.example", [192, 0, 2, 1]), ("ns2.example", [192, 0, 2, 2]), ("ns.sub.example", [192, 0, 2, 3])];
        let example = data("example", &servers, &hosts);
        let other = data("elsewhere", &[], &[("ns.elsewhere", [192, 0, 2, 4])]);
        let settings = Arc::new(ZoneSettings { notify, ..ZoneSettings::default() });
        let zone = |data: &ZoneData, settings: &Arc<ZoneSettings>| {
            let state = ZoneState::Loaded(data.clone());
            Arc::new(Zone::new(data.origin().to_owned(), Arc::clone(settings), state))
        };
        let mut zones = ZoneMap::new();
        let example = zone(&example, &settings);
        zones.update([ZoneChange::Put(Arc::clone(&example)), ZoneChange::Put(zone(&other, &Arc::default()))]);
        let settings = ViewSettings { peers: Arc::new(peers), ..ViewSettings::default() };
        let view = View { settings: Arc::new(settings), ..View::of(zones) };
        of(&example, example.data().unwrap(), &view, 53, |address| address == "192.0.2.2:53".parse().unwrap())
    }

    fn addresses(targets: &[Target]) -> Vec<String> {
        targets.iter().map(|target| target.address.to_string()).collect()
    }

    #[test]
    fn name_servers_are_notified_but_for_the_primary_and_this_server() {
        let notify = Notify::default();
        assert_eq!(addresses(&targets(notify.clone(), Peers::default())), ["192.0.2.3:53", "192.0.2.4:53"]);
        let notify = Notify { to_soa: true, ..notify };
        let all = addresses(&targets(notify, Peers::default()));
        assert_eq!(all, ["192.0.2.1:53", "192.0.2.3:53", "192.0.2.4:53"]);
    }

    #[test]
    fn listed_servers_come_first_and_nobody_is_notified_twice() {
        let also = ["192.0.2.3:53", "192.0.2.9:5300", "192.0.2.2:53", "192.0.2.9:5300"];
        let also = also.map(|address| Remote { address: address.parse().unwrap(), key: Some(name("k")) }).to_vec();
        let notify = Notify { also, ..Notify::default() };
        let all = targets(notify.clone(), Peers::default());
        assert_eq!(addresses(&all), ["192.0.2.3:53", "192.0.2.9:5300", "192.0.2.2:53", "192.0.2.4:53"]);
        assert_eq!((&all[0].key, &all[3].key), (&Some(name("k")), &None));
        let listed = targets(Notify { whom: Whom::Listed, ..notify.clone() }, Peers::default());
        assert_eq!(listed, all[..3]);
        assert_eq!(targets(Notify { whom: Whom::Nobody, ..notify }, Peers::default()), []);
    }

    #[test]
    fn what_is_written_about_a_server_holds() {
        let prefix = |text: &str| Prefix::new(text.parse().unwrap(), 32);
        let source = "192.0.2.77:0".parse().unwrap();
        let signed = Peer { key: Some(name("k")), notify_source: Some(source), ..Peer::default() };
        let bogus = Peer { bogus: true, ..Peer::default() };
        let peers = Peers::new(vec![(prefix("192.0.2.3"), bogus), (prefix("192.0.2.4"), signed)]);
        let address = "192.0.2.4:53".parse().unwrap();
        assert_eq!(targets(Notify::default(), peers), [Target { address, source, key: Some(name("k")) }]);
    }
}
