//! Which servers have which zones, and who may have them from here: a pure function of what is declared, of the keys and
//! of the pods that run.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::tsig::TsigKey;
use zonefmt::Name;

use super::{primary::Audience, seen::Pods};
use crate::{
    api::DnsZoneSpec,
    keys::TransferKeys,
    render::names,
    servers::{Server, ServerId, Servers},
};

/// The zones of all servers.
#[derive(Default)]
pub(super) struct Assignment {
    /// What each server's catalog lists.
    pub(super) members: BTreeMap<Name, BTreeSet<Name>>,
    /// Who may have which zone or catalog.
    pub(super) audiences: BTreeMap<Name, Audience>,
    /// The pods of each server of a zone or catalog.
    pub(super) pods: BTreeMap<Name, BTreeMap<ServerId, Pods>>,
    /// The zones that a server does not have because it has the most that it may have, each with such a server.
    pub(super) surplus: BTreeMap<Name, ServerId>,
}

/// A zone that is declared.
pub(super) struct DeclaredZone<'z> {
    pub(super) origin: Name,
    pub(super) namespace: &'z str,
    pub(super) spec: &'z DnsZoneSpec,
    /// Whether there is data of it to be served. Of a zone that cannot be compiled, servers keep what they have.
    pub(super) is_compiled: bool,
    /// The servers that have it, if it stays on them whatever it says.
    pub(super) former: Vec<ServerId>,
}

impl Assignment {
    /// Servers have `most` zones each; the zones that come first are theirs.
    pub(super) fn of<'z>(
        servers: &Servers,
        most: usize,
        zones: impl Iterator<Item = DeclaredZone<'z>>,
        keys: &TransferKeys,
        pods: &BTreeMap<ServerId, Pods>,
    ) -> Assignment {
        let mut all = Assignment::default();
        for server in servers.iter() {
            let Some(catalog) = catalog(&server.id) else { continue };
            all.members.entry(catalog.clone()).or_default();
            all.give(catalog.clone(), server, keys, pods);
            // Those who would give it to the server keep up with it.
            let Some(audience) = all.audiences.get_mut(&catalog) else { continue };
            let Some(key) = used(server, keys).map(|key| key.name().clone()) else { continue };
            let others =
                servers.sources(server).filter_map(|other| pods.get(&other.id)).flat_map(|pods| &pods.addresses);
            audience.pods.extend(others.map(|&pod| (pod, key.clone())));
        }
        for DeclaredZone { origin, namespace, spec, is_compiled, former } in zones {
            let former = former.iter().filter_map(|id| servers.server(id));
            for server in servers.of_zone(namespace, spec).chain(former) {
                let Some(catalog) = catalog(&server.id) else { continue };
                let members = all.members.entry(catalog).or_default();
                if members.len() >= most && !members.contains(&origin) {
                    all.surplus.insert(origin.clone(), server.id.clone());
                    continue;
                }
                members.insert(origin.clone());
                if is_compiled {
                    all.give(origin.clone(), server, keys, pods);
                }
            }
        }
        all
    }

    fn give(&mut self, zone: Name, server: &Server, keys: &TransferKeys, pods: &BTreeMap<ServerId, Pods>) {
        self.leave(&zone, server, keys, pods);
        // Nobody waits for a server that is about to go.
        if server.retires.is_none() {
            let pods = pods.get(&server.id).cloned().unwrap_or_default();
            self.pods.entry(zone).or_default().insert(server.id.clone(), pods);
        }
    }

    /// Lets a server have a zone, for which nobody waits.
    pub(super) fn leave(&mut self, zone: &Name, server: &Server, keys: &TransferKeys, pods: &BTreeMap<ServerId, Pods>) {
        let pods = pods.get(&server.id);
        if let Some(key) = used(server, keys) {
            let audience = self.audiences.entry(zone.clone()).or_default();
            audience.keys.extend(accepted(server, keys).iter().map(|key| key.name().clone()));
            let addresses = pods.into_iter().flat_map(|pods| &pods.addresses);
            audience.pods.extend(addresses.map(|&pod| (pod, key.name().clone())));
        }
    }
}

/// The keys by which a server may have its zones.
fn accepted<'k>(server: &Server, keys: &'k TransferKeys) -> &'k [TsigKey] {
    keys.of_owner(&server.id.namespace, names::key_owner(server))
}

/// The one by which it hears of them.
fn used<'k>(server: &Server, keys: &'k TransferKeys) -> Option<&'k TsigKey> {
    accepted(server, keys).first()
}

/// The catalog of a server.
pub(super) fn catalog(server: &ServerId) -> Option<Name> {
    Name::from_ascii(names::catalog(&server.namespace, &server.name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;
    use zonefmt::diagnostics::Source;

    #[test]
    fn a_server_with_very_many_zones_gets_no_more_and_that_is_told() {
        let text = "
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Cluster
metadata: { name: ns, namespace: dns }
spec: { primary: { replicas: 1 } }
---
apiVersion: bindy.firestoned.io/v1beta1
kind: DNSZone
metadata: { name: z, namespace: dns }
spec: { zoneName: z.test, clusterRef: ns, soaRecord: { primaryNs: ns.z.test., adminEmail: a } }
";
        let reading = manifest::read(&Source::new("test", text));
        let resources: Vec<_> = reading.manifests.iter().map(|manifest| &manifest.resource).collect();
        let servers = Servers::of(resources.iter().copied(), "dns");
        let crate::api::Spec::Zone(spec) = &resources[1].spec else { panic!("{resources:?}") };
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let zones = ["b.test", "a.test", "b.test", "c.test"].map(|zone| DeclaredZone {
            origin: name(zone),
            namespace: "dns",
            spec,
            is_compiled: true,
            former: Vec::new(),
        });
        let assignment = Assignment::of(&servers, 2, zones.into_iter(), &TransferKeys::default(), &BTreeMap::new());
        let server = ServerId { namespace: "dns".into(), name: "ns-primary-0".into() };
        let members = &assignment.members[&catalog(&server).unwrap()];
        assert_eq!(*members, BTreeSet::from([name("a.test"), name("b.test")]));
        assert!(assignment.pods.contains_key(&name("a.test")) && !assignment.pods.contains_key(&name("c.test")));
        assert_eq!(assignment.surplus, BTreeMap::from([(name("c.test"), server)]));
    }
}
