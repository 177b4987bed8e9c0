//! Reads manifests, and compares servers and the zones that they serve.

use std::net::IpAddr;

use zonefmt::diagnostics::Source;

use super::*;
use crate::manifest;

const SERVERS: &str = "
kind: ClusterBind9Provider
metadata: {name: shared}
spec: {primary: {replicas: 1}, global: {allowQuery: [any]}}
---
kind: Bind9Cluster
metadata: {name: own, namespace: team}
spec:
  acls: {office: [192.0.2.0/24, lab], lab: ['!198.51.100.9', 198.51.100.0/24], loop: [loop]}
  primary: {replicas: 2, labels: {tier: edge}, allowTransfer: [192.0.2.7]}
  secondary: {replicas: 1, config: {allowQuery: [none], rateLimit: {responsesPerSecond: 0}}}
  global: {allowQuery: ['!192.0.2.66', office], allowTransfer: [none], rateLimit: {responsesPerSecond: 30}}
---
kind: Bind9Instance
metadata: {name: extra, namespace: team, labels: {tier: extra}}
spec: {clusterRef: own, role: secondary, config: {listenOn: [localhost]}}
---
kind: Bind9Instance
metadata:
  name: open
  namespace: platform
  labels: {tier: edge}
  annotations: {bindy.firestoned.io/allow-zone-namespaces: 'team, other', unrelated: x}
spec: {clusterRef: '', role: primary}
---
kind: Bind9Instance
metadata: {name: closed, namespace: platform, labels: {tier: edge}}
spec: {clusterRef: shared, role: primary}
";

fn resources(yaml: &str) -> Vec<Resource> {
    let yaml = yaml.replace("\nkind: ", "\napiVersion: bindy.firestoned.io/v1beta1\nkind: ");
    let reading = manifest::read(&Source::new("test.yaml", yaml));
    assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
    reading.manifests.into_iter().map(|manifest| manifest.resource).collect()
}

fn servers() -> Servers {
    Servers::of(&resources(SERVERS), "bindy-system")
}

fn server(namespace: &str, name: &str) -> Server {
    servers().server(&ServerId { namespace: namespace.into(), name: name.into() }).unwrap().clone()
}

/// The servers of a zone in a namespace, as `namespace/name`.
fn serving(namespace: &str, spec: &str) -> Vec<String> {
    let servers = servers();
    let zone = zone(spec);
    let names = servers.of_zone(namespace, &zone).map(|server| format!("{}/{}", server.id.namespace, server.id.name));
    names.collect()
}

fn zone(spec: &str) -> DnsZoneSpec {
    let soa = "soaRecord: {primaryNs: ns.example.com., adminEmail: admin.example.com.}";
    serde_saphyr::from_str(&format!("{{zoneName: example.com, {soa}, {spec}}}")).unwrap()
}

fn local() -> Local {
    let only = |address: &str| {
        let matches =
            bindy_server::access::Match::Prefix(bindy_server::access::Prefix::new(address.parse().unwrap(), 32));
        Acl::new(vec![bindy_server::access::Rule { negated: false, matches }])
    };
    Local { addresses: only("127.0.0.1"), networks: only("127.0.0.0") }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn replicas_are_servers_with_numbers() {
    let servers = servers();
    let names: Vec<_> = servers.iter().map(|server| format!("{}/{}", server.id.namespace, server.id.name)).collect();
    assert_eq!(
        names,
        [
            "bindy-system/shared-primary-0",
            "platform/closed",
            "platform/open",
            "team/extra",
            "team/own-primary-0",
            "team/own-primary-1",
            "team/own-secondary-0",
        ]
    );
    let made = server("team", "own-primary-1");
    assert_eq!(made.role, Role::Primary);
    assert_eq!(made.labels["tier"], "edge");
    assert_eq!(made.labels["bindy.firestoned.io/cluster"], "own");
    assert_eq!(made.labels["bindy.firestoned.io/role"], "primary");
}

#[test]
fn a_zone_has_the_servers_of_all_its_references() {
    let own = ["team/extra", "team/own-primary-0", "team/own-primary-1", "team/own-secondary-0"];
    let shared = ["bindy-system/shared-primary-0", "platform/closed"];
    assert_eq!(serving("team", "clusterRef: own"), own);
    assert_eq!(serving("team", "clusterRef: shared"), shared, "no cluster of that name: the provider");
    assert_eq!(serving("other", "clusterProviderRef: shared"), shared);
    assert_eq!(serving("other", "clusterRef: own"), [""; 0], "a cluster is of its namespace only");
    assert_eq!(serving("team", "clusterRef: own, clusterProviderRef: shared").len(), 6);
    assert_eq!(serving("team", "ttl: 1"), [""; 0]);
}

#[test]
fn labels_reach_other_namespaces_where_the_annotation_says_so() {
    let edge = "bind9InstancesFrom: [{selector: {matchLabels: {tier: edge}}}]";
    assert_eq!(serving("team", edge), ["platform/open", "team/own-primary-0", "team/own-primary-1"]);
    assert_eq!(serving("other", edge), ["platform/open"]);
    assert_eq!(serving("third", edge), [""; 0]);
    assert_eq!(serving("platform", edge), ["platform/closed", "platform/open"]);
}

#[test]
fn references_that_lead_nowhere_are_told() {
    let servers = servers();
    let told = |namespace: &str, spec: &str| {
        let errors = servers.dangling(namespace, &zone(spec));
        errors.into_iter().map(|error| format!("{}: {}", error.path, error.message)).collect::<Vec<_>>()
    };
    assert_eq!(told("team", "clusterRef: own, clusterProviderRef: shared"), [""; 0]);
    assert_eq!(
        told("other", "clusterRef: own"),
        ["clusterRef: there is no Bind9Cluster other/own, and no ClusterBind9Provider own"]
    );
    assert_eq!(told("team", "clusterProviderRef: own"), ["clusterProviderRef: there is no ClusterBind9Provider own"]);
}

#[test]
fn an_instance_stands_above_its_role_and_that_above_the_cluster() {
    let allows = |server: &Server, from: &str| server.allow_query(&local()).unwrap().allows(address(from));
    let primary = server("team", "own-primary-0");
    assert_eq!(primary.config.allow_transfer.as_deref(), Some(&["192.0.2.7".to_owned()][..]));
    assert_eq!(primary.responses_per_second(), Some(30));
    assert!(allows(&primary, "192.0.2.1") && allows(&primary, "198.51.100.1"));
    assert!(!allows(&primary, "192.0.2.66"), "refused before the list is asked");
    assert!(!allows(&primary, "198.51.100.9"), "a list in a list refuses");
    assert!(!allows(&primary, "203.0.113.1"));

    let extra = server("team", "extra");
    assert!(!allows(&extra, "192.0.2.1"), "the role says none");
    assert_eq!(extra.responses_per_second(), None);
    let (ipv4, ipv6) = extra.listen_on(&local()).unwrap();
    assert!(ipv4.allows(address("127.0.0.1")) && !ipv4.allows(address("192.0.2.1")) && ipv6.allows(address("::1")));

    let alone = server("platform", "open");
    assert!(allows(&alone, "203.0.113.1"));
    assert!(!alone.allow_transfer(&local()).unwrap().allows(address("127.0.0.1")), "nobody transfers unless allowed");
    assert_eq!(alone.responses_per_second(), Some(15));
}

#[test]
fn a_list_that_cannot_be_read_says_where() {
    let mut broken = server("team", "own-primary-0");
    let mut told = |element: &str| {
        broken.config.allow_query = Some(vec!["any".into(), element.into()]);
        let error = broken.allow_query(&local()).unwrap_err();
        format!("{}: {}", error.path, error.message)
    };
    assert_eq!(told("10.0.0.0/33"), "allowQuery[1]: the prefix of `10.0.0.0/33` is no number from 0 to 32");
    assert_eq!(told("!nowhere"), "allowQuery[1]: `nowhere` is no address, and no list of `acls`");
    assert_eq!(told("10.0.0.256"), "allowQuery[1]: `10.0.0.256` is no address");
    assert!(told("loop").starts_with("acls.loop[0]: `loop` names itself"));
}

#[test]
fn lists_that_cannot_be_used_are_found_where_they_are_written() {
    let told = |yaml: &str| {
        let all = resources(yaml);
        let servers = Servers::of(&all, HOME);
        let errors = all.iter().flat_map(|resource| match &resource.spec {
            Spec::Infrastructure(infrastructure) => servers.unusable_lists(&resource.id, infrastructure),
            _ => Vec::new(),
        });
        errors.map(|error| format!("{}: {}", error.path, error.message)).collect::<Vec<_>>()
    };
    let cluster = |spec: &str| format!("\nkind: Bind9Cluster\nmetadata: {{name: c}}\nspec: {{{spec}}}\n");
    let instance = |list: &str| {
        format!(
            "---\nkind: Bind9Instance\nmetadata: {{name: i}}\nspec: {{clusterRef: c, role: primary, config: {{allowQuery: [{list}]}}}}\n"
        )
    };
    let around = told(&cluster("acls: {a: [b], b: [a]}, global: {allowQuery: [a]}"));
    assert!(around.len() == 2 && around[0].starts_with("acls.a[0]: `b` names itself"), "{around:?}");
    let undefined =
        cluster("acls: {a: [10.0.0.0/8]}, global: {allowQuery: [any]}, primary: {allowTransfer: ['!a', inner]}");
    let why = "`inner` is no address, and no list of `acls`";
    assert_eq!(told(&undefined), [format!("primary.allowTransfer[1]: {why}")]);
    let fine = cluster("acls: {a: [10.0.0.0/8], loop: [loop]}");
    assert_eq!(told(&format!("{fine}{}", instance("a"))).len(), 1, "the cluster's own list");
    let both = told(&format!("{fine}{}", instance("inner, loop")));
    assert!(both.len() == 2 && both[1] == format!("config.allowQuery[0]: {why}"), "{both:?}");
}

#[test]
fn a_list_is_checked_where_it_is_written() {
    let yaml = "apiVersion: bindy.firestoned.io/v1beta1\nkind: Bind9Cluster\nmetadata: {name: a}\nspec:\n  global:\n    \
                allowQuery: [any, 10.0.0.0/99]\n";
    let reading = manifest::read(&Source::new("t.yaml", yaml));
    let [error] = &reading.diagnostics[..] else { panic!("{:?}", reading.diagnostics) };
    assert!(error.to_string().starts_with("t.yaml:6:23: error: global.allowQuery[1]: "), "{error}");
}

/// It is a cluster like others then.
#[test]
fn what_a_provider_has_made_may_be_meant_when_the_provider_is_gone() {
    let left = "
kind: Bind9Cluster
metadata: {name: shared, namespace: dns-system}
spec: {primary: {replicas: 1}}
";
    let read = resources(left);
    let servers = Servers::of(read.iter(), HOME);
    let server = ServerId { namespace: "dns-system".into(), name: "shared-primary-0".into() };
    let may = |namespace: &str, reference: &str| servers.may_be_named(namespace, &zone(reference), &server);
    assert!(may("team", "clusterProviderRef: shared") && may("team", "clusterRef: shared"));
    assert!(!may("team", "clusterProviderRef: other") && !may("team", "clusterRef: other"));
    assert!(may("dns-system", "clusterRef: other"));
}
