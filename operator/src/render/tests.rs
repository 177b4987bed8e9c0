use serde_json::{Value, json};

use super::*;
use crate::{
    api::Kind,
    manifest,
    object::{ObjectId, Type},
};
use zonefmt::diagnostics::Source;

const CLUSTER: &str = "
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Cluster
metadata: { name: ns, namespace: dns }
spec:
  primary: { replicas: 2, labels: { tier: edge }, service: { spec: { type: LoadBalancer } } }
  secondary: { replicas: 1 }
  acls: { internal: [10.0.0.0/8, '!10.9.0.0/16'] }
  global: { allowQuery: [internal], allowTransfer: [192.0.2.1] }
";

fn instance(name: &str, more: &str) -> String {
    format!(
        "
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Instance
metadata: {{ name: {name}, namespace: dns }}
spec: {{ clusterRef: ns, role: primary, {more} }}
"
    )
}

fn render_yaml(documents: &[&str]) -> Rendered {
    render_given(documents, &[])
}

/// Renders with what is known of ConfigMaps that are named.
fn render_given(documents: &[&str], given: &[(&str, Given)]) -> Rendered {
    let given = given.iter().map(|(name, given)| (config_map(name), given.clone())).collect();
    render_in(documents, &Surroundings { given, ..surroundings() })
}

fn render_in(documents: &[&str], surroundings: &Surroundings) -> Rendered {
    let text = documents.join("---\n");
    let reading = manifest::read(&Source::new("test", text.as_str()));
    assert!(!reading.has_errors(), "{:?}", reading.diagnostics);
    let declared: Vec<_> =
        reading.manifests.iter().map(|it| Declared { resource: &it.resource, uid: "0-1-2" }).collect();
    let rendered = render(&declared, surroundings);
    let again: Vec<_> = declared.iter().rev().copied().collect();
    let mut other = render(&again, surroundings).objects;
    let mut objects = rendered.objects.clone();
    objects.sort_by(|a, b| a.id.cmp(&b.id));
    other.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(objects, other, "the order of declarations has no meaning");
    rendered
}

fn surroundings() -> Surroundings {
    Surroundings {
        home: "bindy-system".into(),
        image: "bindyd:test".into(),
        leader: vec!["10.96.0.7:53".parse().unwrap(), "[fd00::7]:53".parse().unwrap()],
        services: ["a", "b", "own", "ns-primary-0", "ns-primary-1", "ns-secondary-0"]
            .into_iter()
            .zip(1..)
            .map(service)
            .collect(),
        tcp_services: BTreeMap::new(),
        drained: BTreeSet::new(),
        rndc_keys: BTreeMap::new(),
        transfer_keys: BTreeMap::new(),
        keys_changed: BTreeMap::new(),
        budgets: BTreeMap::new(),
        given: BTreeMap::new(),
    }
}

fn config_map(name: &str) -> ObjectId {
    ObjectId { of: Type::GivenConfigMap, namespace: "dns".into(), name: name.into() }
}

/// The Service of a server.
fn service((name, number): (&str, u8)) -> (ServerId, Vec<IpAddr>) {
    (ServerId { namespace: "dns".into(), name: name.into() }, vec![IpAddr::from([10, 96, 1, number])])
}

fn find(rendered: &Rendered, of: Type, namespace: &str, name: &str) -> Value {
    let id = ObjectId { of, namespace: namespace.into(), name: name.into() };
    let known: Vec<_> = rendered.objects.iter().map(|object| object.id.to_string()).collect();
    let object = rendered.objects.iter().find(|object| object.id == id);
    object.unwrap_or_else(|| panic!("no {id} among {known:?}")).body.clone()
}

#[test]
fn a_provider_becomes_a_cluster_and_that_its_instances() {
    let provider = "
apiVersion: bindy.firestoned.io/v1beta1
kind: ClusterBind9Provider
metadata: { name: shared }
spec: { primary: { replicas: 1 }, global: { allowQuery: [any] } }
";
    let rendered = render_yaml(&[provider]);
    let cluster = find(&rendered, Type::Own(Kind::CLUSTER), "bindy-system", "shared");
    assert_eq!(cluster["spec"]["primary"]["replicas"], 1);
    assert_eq!(cluster["spec"]["global"]["allowQuery"], json!(["any"]));
    assert_eq!(cluster["metadata"]["ownerReferences"][0]["kind"], "ClusterBind9Provider");

    let rendered = render_yaml(&[CLUSTER]);
    let names: Vec<_> = rendered.objects.iter().map(|object| object.id.to_string()).collect();
    assert_eq!(
        names,
        [
            "Bind9Instance dns/ns-primary-0",
            "Bind9Instance dns/ns-primary-1",
            "Bind9Instance dns/ns-secondary-0",
            "PodDisruptionBudget dns/ns-primary",
            "PodDisruptionBudget dns/ns-secondary"
        ]
    );
    let first = find(&rendered, Type::Own(Kind::INSTANCE), "dns", "ns-primary-0");
    assert_eq!(first["spec"], json!({ "clusterRef": "ns", "role": "primary" }));
    assert_eq!(first["metadata"]["labels"]["tier"], "edge");
}

#[test]
fn an_instance_of_a_users_own_is_not_overwritten_by_a_cluster() {
    let rendered = render_yaml(&[CLUSTER, &instance("ns-primary-0", "")]);
    let made =
        |name: &str| rendered.objects.iter().any(|it| it.id.of == Type::Own(Kind::INSTANCE) && it.id.name == name);
    assert!(!made("ns-primary-0") && made("ns-primary-1"));
}

#[test]
fn an_instance_without_a_cluster_has_what_it_declares_itself() {
    let alone = |name: &str, more: &str| instance(name, more).replace("clusterRef: ns", "clusterRef: ''");
    let rendered = render_yaml(&[
        &alone("a", "image: { image: 'example.org/a:1' }"),
        &alone("b", "configMapRefs: { namedConfOptions: mine }"),
    ]);
    let pod = &find(&rendered, Type::Deployment, "dns", "a")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "example.org/a:1");
    assert!(rendered.named.contains(&config_map("mine")));
}

#[test]
fn an_instance_inherits_and_prevails() {
    let own = instance("own", "config: { allowQuery: [198.51.100.0/24] }, replicas: 3");
    let rendered = render_yaml(&[CLUSTER, &instance("a", ""), &own]);
    let text = |name: &str| {
        let map = find(&rendered, Type::ConfigMap, "dns", name);
        map["data"]["named.conf"].as_str().unwrap().to_owned()
    };
    let inherited = text("a-config");
    for line in [
        "acl \"internal\" { 10.0.0.0/8; !10.9.0.0/16; };",
        "allow-query { key \"dns.ns.1\"; key \"dns.ns.2\"; internal; };",
        "allow-transfer { key \"dns.ns.1\"; key \"dns.ns.2\"; 192.0.2.1; };",
        "primaries { 10.96.0.7 port 53 key \"dns.ns.1\"; fd00::7 port 53 key \"dns.ns.1\"; ",
    ] {
        assert!(inherited.contains(line), "{line}\n{inherited}");
    }
    assert!(text("own-config").contains("allow-query { key \"dns.ns.1\"; key \"dns.ns.2\"; 198.51.100.0/24; };"));
    assert_eq!(find(&rendered, Type::Deployment, "dns", "own")["spec"]["replicas"], 3);
    let service = find(&rendered, Type::Service, "dns", "a");
    assert_eq!(service["spec"]["type"], "LoadBalancer");
    assert_eq!(service["spec"]["externalTrafficPolicy"], "Local");
    assert_eq!(service["spec"]["ports"][1]["port"], 53);
}

/// So that the configuration need not change when a key is added, and pods take it as soon as they have it.
#[test]
fn a_server_uses_one_key_of_transfers_and_accepts_the_former_and_the_next() {
    let id = ServerId { namespace: "dns".into(), name: "a".into() };
    let text = |keys: &[&str]| {
        let keys = keys.iter().map(|key| format!("dns.ns.{key}")).collect();
        let surroundings = Surroundings { transfer_keys: BTreeMap::from([(id.clone(), keys)]), ..surroundings() };
        let rendered = render_in(&[CLUSTER, &instance("a", "")], &surroundings);
        find(&rendered, Type::ConfigMap, "dns", "a-config")["data"]["named.conf"].as_str().unwrap().to_owned()
    };
    let staged = text(&["9", "10"]);
    assert_eq!(staged, text(&["9"]));
    assert!(staged.contains(" key \"dns.ns.9\"; }") && !staged.contains("53 key \"dns.ns.10\""), "{staged}");
    let list = "{ key \"dns.ns.9\"; key \"dns.ns.10\"; }";
    for statement in ["allow-query", "allow-transfer", "allow-notify"] {
        assert!(staged.contains(&format!("{statement} {list}")), "{staged}");
    }
    let active = text(&["10", "9"]);
    assert!(active.contains("53 key \"dns.ns.10\"") && !active.contains("53 key \"dns.ns.9\""), "{active}");
    assert!(active.contains("allow-notify { key \"dns.ns.10\"; key \"dns.ns.9\"; key \"dns.ns.11\"; };"), "{active}");
    assert!(!text(&["10"]).contains("dns.ns.9"));
}

#[test]
fn a_service_is_changed_by_fields_and_by_the_names_of_ports() {
    let cluster = CLUSTER.replace(
        "spec: { type: LoadBalancer }",
        "annotations: { pool: dns }, spec: { type: NodePort, selector: { app: other }, ports: [{ name: dns-udp, nodePort: 30053 }, { name: alt, port: 5300 }] }",
    );
    let rendered = render_yaml(&[&cluster, &instance("a", "")]);
    let service = find(&rendered, Type::Service, "dns", "a");
    assert_eq!(service["metadata"]["annotations"]["pool"], "dns");
    assert_eq!(
        service["spec"]["ports"],
        json!([
            { "name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": "dns-tcp" },
            { "name": "dns-udp", "port": 53, "protocol": "UDP", "targetPort": "dns-udp", "nodePort": 30053 },
            { "name": "alt", "port": 5300, "targetPort": 5353 },
        ])
    );
    assert_eq!(service["spec"]["selector"]["instance"], "a", "the selector is ours");
}

#[test]
fn storage_that_lasts_is_in_one_pod_at_a_time() {
    let rendered = render_yaml(&[CLUSTER, &instance("a", "storage: { persistentVolumeClaim: { size: 2Gi } }")]);
    let claim = find(&rendered, Type::PersistentVolumeClaim, "dns", "a-zones");
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "2Gi");
    assert!(claim["metadata"].get("ownerReferences").is_none(), "zones outlive the server");
    let deployment = find(&rendered, Type::Deployment, "dns", "a");
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    assert_eq!(deployment["spec"]["template"]["spec"]["volumes"][1]["persistentVolumeClaim"]["claimName"], "a-zones");
}

#[test]
fn a_server_whose_lists_cannot_be_used_keeps_what_it_has() {
    let rendered = render_yaml(&[CLUSTER, &instance("a", "config: { allowQuery: [nobody] }"), &instance("b", "")]);
    let refused: Vec<_> = rendered.refused.iter().map(|(id, error)| (id.to_string(), error.path.clone())).collect();
    assert_eq!(refused, [("dns/a".to_owned(), "allowQuery[0]".to_owned())]);
    assert!(!rendered.objects.iter().any(|object| object.id.name == "a"));
    find(&rendered, Type::Deployment, "dns", "b");
}

#[test]
fn only_what_needs_other_pods_changes_a_pod_template() {
    let own = |more: &str| instance("own", more);
    let rendered = |documents: &[&str]| {
        let rendered = render_yaml(documents);
        (find(&rendered, Type::Deployment, "dns", "own"), find(&rendered, Type::ConfigMap, "dns", "own-config"))
    };
    let (before, config) = rendered(&[CLUSTER, &own("")]);
    let (deployment, other) = rendered(&[CLUSTER, &own("config: { allowQuery: [198.51.100.0/24] }")]);
    assert!(deployment == before && other["data"] != config["data"]);
    let hash = |deployment: &Value| deployment["metadata"]["annotations"]["bindy.firestoned.io/template-hash"].clone();
    let (deployment, _) = rendered(&[CLUSTER, &own("replicas: 2")]);
    assert!(deployment != before && hash(&deployment) == hash(&before) && hash(&before).is_string());
    let (deployment, _) = rendered(&[CLUSTER, &own("image: { image: other }")]);
    assert_ne!(hash(&deployment), hash(&before));
    let config_hash = config["metadata"]["annotations"]["bindy.firestoned.io/config-hash"].as_str().unwrap();
    assert_eq!(config_hash.len(), 64, "as servers tell it");
}

#[test]
fn a_server_gets_its_zones_from_others_while_the_operator_is_away() {
    let children = ["ns-primary-0", "ns-primary-1", "ns-secondary-0"].map(|name| {
        let role = name.split('-').nth(1).unwrap();
        instance(name, "").replace("role: primary", &format!("role: {role}"))
    });
    let declared = [&[CLUSTER.to_owned()][..], &children].concat();
    let rendered = render_yaml(&declared.iter().map(String::as_str).collect::<Vec<_>>());
    let text = |name: &str| {
        let map = find(&rendered, Type::ConfigMap, "dns", &format!("{name}-config"));
        map["data"]["named.conf"].as_str().unwrap().to_owned()
    };
    let sources = |name: &str| {
        let text = text(name);
        let list = text.split("primaries { ").nth(1).unwrap().split(" }").next().unwrap().to_owned();
        let addresses: Vec<String> =
            list.split(';').filter_map(|one| Some(one.split_whitespace().next()?.to_owned())).collect();
        addresses
    };
    let leader = ["10.96.0.7", "fd00::7"];
    assert_eq!(sources("ns-primary-0"), [&leader[..], &["10.96.1.5", "10.96.1.6", "127.0.0.1"]].concat());
    assert_eq!(sources("ns-secondary-0"), [&leader[..], &["10.96.1.4", "10.96.1.5", "127.0.0.1"]].concat());
    let first = text("ns-primary-0");
    for catalog in ["ns-primary-0", "ns-primary-1", "ns-secondary-0"] {
        assert!(first.contains(&format!("zone \"{catalog}.dns.catalog.bindy\" {{\n\ttype secondary;")), "{first}");
    }
    assert_eq!(first.matches("default-primaries").count(), 1, "it serves the zones of its own");
}

#[test]
fn files_of_a_users_own_become_part_of_the_configuration() {
    let own = instance("own", "configMapRefs: { namedConfOptions: o, namedConfZones: z }");
    let map = |key: &str, text: &str| Given::There(json!({ "data": { key: text } }));
    let options = map("named.conf.options", "options {\n  allow-query { internal; };\n};\n");
    let zones = "zone \"legacy.test\" { type primary; file \"/data/legacy\"; };\n";
    let given = [("o", options.clone()), ("z", map("named.conf.zones", zones))];
    let rendered = render_given(&[CLUSTER, &own], &given);
    assert_eq!(rendered.named, BTreeSet::from([config_map("o"), config_map("z")]));
    let data = find(&rendered, Type::ConfigMap, "dns", "own-config")["data"].clone();
    let conf = data["named.conf"].as_str().unwrap().to_owned();
    for line in
        ["include \"/etc/bind/named.conf.options\";", "include \"/etc/bind/named.conf.zones\";", "acl \"internal\""]
    {
        assert!(conf.contains(line), "{line}\n{conf}");
    }
    assert!(!conf.contains("options {") && conf.contains("zone \"own.dns.catalog.bindy\""), "{conf}");
    assert_eq!(data["named.conf.zones"], zones);
    let merged = data["named.conf.options"].as_str().unwrap();
    for part in [
        "\n  allow-query { key \"dns.ns.1\"; key \"dns.ns.2\"; internal; };\n",
        "catalog-zones {",
        "port 5353;",
        "directory",
    ] {
        assert!(merged.contains(part), "{part}\n{merged}");
    }
    assert!(!merged.contains("rate-limit"), "it is not in theirs: {merged}");
    // The hash of named.conf is that by which pods tell what they have.
    let given = [("o", options), ("z", map("named.conf.zones", ""))];
    let other = find(&render_given(&[CLUSTER, &own], &given), Type::ConfigMap, "dns", "own-config");
    assert_ne!(other["data"]["named.conf"], json!(conf));
    let template = |rendered| find(rendered, Type::Deployment, "dns", "own")["spec"].clone();
    assert_eq!(template(&rendered), template(&render_yaml(&[CLUSTER, &instance("own", "")])), "no pod is replaced");
}

#[test]
fn a_whole_configuration_of_a_users_own_may_include_the_options() {
    let own = instance("own", "configMapRefs: { namedConf: c }");
    let data = |conf: &str| {
        let given = [("c", Given::There(json!({ "data": { "named.conf": conf } })))];
        find(&render_given(&[CLUSTER, &own], &given), Type::ConfigMap, "dns", "own-config")["data"].clone()
    };
    let theirs = "include \"/etc/bind/named.conf.options\";\ninclude \"/etc/bind/keys/rndc.key\";\n";
    let files = data(theirs);
    let conf = files["named.conf"].as_str().unwrap();
    assert!(conf.starts_with(theirs) && conf.contains("inet * port 8080"), "a pod tells that it is ready: {conf}");
    let options = files["named.conf.options"].as_str().unwrap();
    for part in
        ["options {", "include \"/etc/bind/transfer.key\";", "zone \"own.dns.catalog.bindy\"", "acl \"internal\""]
    {
        assert!(options.contains(part), "{part}\n{options}");
    }
    let conf = "statistics-channels { inet 127.0.0.1 port 80; };";
    assert_eq!(data(conf)["named.conf"].as_str().unwrap().matches("statistics-channels").count(), 1);
}

#[test]
fn a_server_whose_config_map_is_not_there_keeps_what_it_has() {
    let own = instance("own", "configMapRefs: { namedConf: c, namedConfZones: z }");
    let there = |data: Value| Given::There(json!({ "data": data }));
    let refused = |given: &[(&str, Given)]| {
        let rendered = render_given(&[CLUSTER, &own], given);
        assert!(!rendered.objects.iter().any(|object| object.id.name.starts_with("own")));
        assert_eq!(rendered.named.len(), 2, "it is looked for, whatever is wrong with another");
        rendered.refused.into_values().map(|error| (error.path, error.message)).next()
    };
    assert_eq!(refused(&[]), None, "nobody knows yet");
    assert_eq!(refused(&[("c", there(json!({ "named.conf": "" })))]), None);
    let told = |field: &str, message: &str| Some((format!("configMapRefs.{field}"), message.to_owned()));
    assert_eq!(refused(&[("c", Given::Absent)]), told("namedConf", "there is no ConfigMap dns/c"));
    let given = [("c", there(json!({ "named.conf": "" }))), ("z", there(json!({ "zones": "" })))];
    let message = "ConfigMap dns/z has no text in the key `named.conf.zones`";
    assert_eq!(refused(&given), told("namedConfZones", message));
    let message = "ConfigMap dns/z cannot be read: forbidden";
    let given = [("c", there(json!({ "named.conf": "" }))), ("z", Given::Unreadable("forbidden".into()))];
    assert_eq!(refused(&given), told("namedConfZones", message));
    let given = [("c", there(json!({ "named.conf": "" }))), ("z", there(json!({ "named.conf.zones": "" })))];
    assert!(render_given(&[CLUSTER, &own], &given).refused.is_empty());
}

#[test]
fn a_pod_has_one_budget() {
    let budget = |name: &str, spec: Value| {
        let id = ObjectId { of: Type::PodDisruptionBudget, namespace: "dns".into(), name: name.into() };
        (id, json!({ "spec": spec }))
    };
    let primaries = |there: &[(&str, Value)]| {
        let budgets = there.iter().map(|(name, spec)| budget(name, spec.clone())).collect();
        let rendered = render_in(&[CLUSTER], &Surroundings { budgets, ..surroundings() });
        find(&rendered, Type::PodDisruptionBudget, "dns", "ns-secondary");
        let primary = rendered.objects.into_iter().find(|object| object.id.name == "ns-primary");
        primary.map(|object| object.body["spec"].clone())
    };
    let of = |labels: Value| json!({ "minAvailable": 1, "selector": { "matchLabels": labels } });
    let all = of(json!({ "app": "bind9", "bindy.firestoned.io/role": "primary", "bindy.firestoned.io/cluster": "ns" }));
    let alone = primaries(&[]);
    assert!(alone.as_ref().is_some_and(|it| it["selector"].get("matchExpressions").is_none()));
    for other in [of(json!({ "app": "web" })), json!({ "minAvailable": 1 })] {
        assert_eq!(primaries(&[("other", other)]), alone, "it is for no pod of these");
    }
    assert_eq!(primaries(&[("other", all.clone())]), None);
    assert_eq!(primaries(&[("ns-primary", all.clone())]), None, "it is left as it is");
    // What was made before is for the others only.
    let ours = alone.clone().unwrap();
    let excepted = |it: Option<Value>| it.unwrap()["selector"]["matchExpressions"][0]["values"].clone();
    let both = primaries(&[("ns-primary", ours.clone()), ("other", all)]);
    assert_eq!(excepted(both), json!(["ns-primary-0", "ns-primary-1"]));
    let one = of(json!({ "instance": "ns-primary-1" }));
    assert_eq!(excepted(primaries(&[("other", one)])), json!(["ns-primary-1"]));
    assert_eq!(primaries(&[("ns-primary", ours)]), alone);
}

#[test]
fn udp_and_tcp_have_a_service_each_where_that_is_asked_for() {
    let split = |more: &str| CLUSTER.replace("service: { ", &format!("service: {{ split: true, {more}"));
    let ports = |service: &Value| -> Vec<Value> {
        service["spec"]["ports"].as_array().unwrap().iter().map(|port| port["name"].clone()).collect()
    };
    let one = CLUSTER
        .replace("type: LoadBalancer", "type: LoadBalancer, clusterIP: 10.96.1.1, ports: [{ name: dot, port: 853 }]");
    let both = one.replace("service: { ", "service: { split: true, annotations: { shared: dns }, ");
    let rendered = render_yaml(&[&both, &instance("a", "")]);
    let (udp, tcp) = (find(&rendered, Type::Service, "dns", "a"), find(&rendered, Type::Service, "dns", "a-tcp"));
    assert_eq!((ports(&udp), ports(&tcp)), (vec![json!("dns-udp")], vec![json!("dns-tcp"), json!("dot")]));
    assert_eq!(udp["spec"]["selector"], tcp["spec"]["selector"]);
    for service in [&udp, &tcp] {
        assert_eq!(service["metadata"]["annotations"]["shared"], "dns");
        assert_eq!(service["spec"]["type"], "LoadBalancer");
    }
    assert!(udp["spec"]["clusterIP"] == "10.96.1.1" && tcp["spec"].get("clusterIP").is_none());

    let taken = render_yaml(&[&split(""), &instance("a", ""), &instance("a-tcp", "")]);
    let refused: Vec<_> = taken.refused.iter().map(|(id, error)| (id.to_string(), error.path.clone())).collect();
    assert_eq!(refused, [("dns/a".to_owned(), "service.split".to_owned())]);

    // It is no more: nobody removes the Service, so that it must not keep its load balancer.
    let id = ServerId { namespace: "dns".into(), name: "ns-primary-0".into() };
    let there =
        Surroundings { tcp_services: BTreeMap::from([(id, vec!["10.96.1.99".parse().unwrap()])]), ..surroundings() };
    let children = ["ns-primary-0", "ns-primary-1"].map(|name| instance(name, ""));
    let rendered = render_in(&[CLUSTER, &children[0], &children[1]], &there);
    let tcp = find(&rendered, Type::Service, "dns", "ns-primary-0-tcp");
    assert_eq!((&tcp["spec"]["type"], ports(&tcp)), (&json!("ClusterIP"), vec![json!("dns-tcp")]));
    let config = find(&rendered, Type::ConfigMap, "dns", "ns-primary-1-config");
    let text = config["data"]["named.conf"].as_str().unwrap();
    for line in ["server 10.96.1.99 { tcp-only yes; forward-updates no; };", "10.96.1.99 port 53 key"] {
        assert!(text.contains(line) && !text.contains("10.96.1.4 "), "{text}");
    }
}

/// So it was with the operator that made BIND9's pods.
#[test]
fn a_users_volume_for_the_zones_takes_the_place_of_bindys() {
    let given = "
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Cluster
metadata: { name: ns, namespace: dns }
spec:
  primary: { replicas: 1 }
  volumes: [{ name: zones, persistentVolumeClaim: { claimName: bind9-zones } }]
  volumeMounts: [{ name: zones, mountPath: /var/cache/bind/ }]
";
    let pods = |documents: &[&str]| {
        let rendered = render_yaml(documents);
        let deployment = rendered.objects.iter().find(|it| it.id.of == Type::Deployment).unwrap().body.clone();
        let pod = &deployment["spec"]["template"]["spec"];
        let named = |list: &Value| list.as_array().unwrap().iter().map(|it| it["name"].clone()).collect::<Vec<_>>();
        let mounts = pod["containers"][0]["volumeMounts"].clone();
        (named(&pod["volumes"]), mounts, deployment["spec"]["strategy"]["type"].clone())
    };
    let (volumes, mounts, strategy) = pods(&[given, &instance("a", "")]);
    assert_eq!(volumes, ["config", "zones"]);
    assert_eq!(mounts[1], json!({ "name": "zones", "mountPath": "/var/cache/bind/", "subPath": "a" }));
    assert_eq!((mounts.as_array().unwrap().len(), strategy), (2, json!("Recreate")));
    let own = "volumes: [{ name: zones, emptyDir: {} }], volumeMounts: [{ name: zones, mountPath: /data }]";
    let (volumes, mounts, strategy) = pods(&[given, &instance("a", own)]);
    assert_eq!(volumes, ["config", "bindy-zones", "zones"]);
    assert_eq!(mounts[1], json!({ "name": "bindy-zones", "mountPath": "/var/cache/bind" }));
    assert_eq!(
        (mounts[2].clone(), strategy),
        (json!({ "name": "zones", "mountPath": "/data" }), json!("RollingUpdate"))
    );
    let refused = "volumes: [{ name: v, emptyDir: {} }], volumeMounts: [{ name: v, mountPath: /etc/bind }]";
    let rendered = render_yaml(&[given, &instance("a", refused)]);
    let error = rendered.refused.values().next().unwrap();
    assert_eq!(error.path, "volumeMounts[0].mountPath");
}
