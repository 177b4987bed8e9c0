//! What people do to resources, in any order: all the while the servers of others answer, and the operator neither ends nor
//! hangs.

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::{
    load::Load,
    running::{INSTANCES, Running},
};

const WWW: (&str, Ipv4Addr) = ("www.example.com", Ipv4Addr::new(192, 0, 2, 10));

type Scenario = fn(&Running);

#[tokio::test(flavor = "multi_thread")]
async fn what_people_do_to_one_resource_leaves_the_others_as_they_are() {
    let it = Running::with_example().await;
    let restarts = || {
        let restarts = "-o=jsonpath={.items[*].status.containerStatuses[*].restartCount}";
        it.cluster.done(&["get", "pods", "-n", "bindy-system", restarts])
    };
    let before = restarts();
    let load = Load::start(it.cluster.node(), &it.addresses(&INSTANCES), &[WWW]);
    let scenarios: [(&str, Scenario); 11] = [
        ("several values at one name", several_values_at_one_name_are_all_served),
        ("a conflict", a_conflict_ends_with_its_cause),
        ("a record that cannot be used", a_record_that_cannot_be_used_any_more_stays_as_it_was),
        ("a record's name", a_record_moves_with_its_name),
        ("a zone's resource", a_zone_may_get_another_resource),
        ("a zone is deleted first", a_zone_is_deleted_before_its_records),
        ("a cluster is deleted first", a_cluster_is_deleted_before_its_zones),
        ("an instance is deleted", an_instance_of_a_cluster_comes_back),
        ("a provider is deleted first", a_provider_is_deleted_before_its_zones),
        ("refused objects", a_server_whose_objects_are_refused_says_so),
        ("replicas", a_cluster_gets_more_servers_and_fewer),
    ];
    for (name, scenario) in scenarios {
        println!("{name}");
        block_in_place(|| scenario(&it));
    }
    it.until_all_is_ready();
    let report = block_in_place(|| load.end());
    println!("{report}");
    assert!(report.failures.is_empty(), "{report}");
    for (name, log) in it.cluster.node().logs() {
        assert!(!log.contains("panicked"), "{name}: {log}");
    }
    assert_eq!(restarts(), before, "{}", it.cluster.node().kubelet_log());
}

fn several_values_at_one_name_are_all_served(it: &Running) {
    for (name, priority) in [("one", 10), ("two", 20)] {
        let server = format!("{name}.example.net.");
        it.declare("MXRecord", name, &json!({ "name": "@", "priority": priority, "mailServer": server }));
        it.declare("TXTRecord", name, &json!({ "name": "@", "text": [name] }));
    }
    for record in ["mxrecord/one", "mxrecord/two", "txtrecord/one", "txtrecord/two"] {
        it.until_is(record, "Served");
    }
    assert_eq!(it.answers("example.com", "MX"), ["10 one.example.net.", "20 two.example.net."]);
    assert_eq!(it.answers("example.com", "TXT"), ["\"one\"", "\"two\""]);
}

fn a_conflict_ends_with_its_cause(it: &Running) {
    it.declare("ARecord", "both", &json!({ "name": "both", "ipv4Addresses": ["192.0.2.31"] }));
    it.until_is("arecord/both", "Served");
    it.declare("CNAMERecord", "both", &json!({ "name": "both", "target": "www" }));
    it.until_is("cnamerecord/both", "CnameConflict");
    assert_eq!(it.answers("both.example.com", "A"), ["192.0.2.31"]);
    it.delete("arecord/both");
    it.until_is("cnamerecord/both", "Served");
    assert_eq!(it.answers("both.example.com", "CNAME"), ["www.example.com."]);
}

/// An API server cannot see what is wrong with it.
fn a_record_that_cannot_be_used_any_more_stays_as_it_was(it: &Running) {
    let set = |rdata: &str| json!({ "name": "keys", "type": "SSHFP", "rdata": [rdata] });
    let good = "1 1 DD465C09CFA51FB45020CC83316FFF21B9EC74AC";
    it.declare("RecordSet", "keys", &set(good));
    it.until_is("recordset/keys", "Served");
    it.declare("RecordSet", "keys", &set("1 1 of a host"));
    it.until_is("recordset/keys", "InvalidRecord");
    assert_eq!(it.answers("keys.example.com", "SSHFP"), [good]);
    it.declare("RecordSet", "keys", &set("2 1 DD465C09CFA51FB45020CC83316FFF21B9EC74AC"));
    it.until_is("recordset/keys", "Served");
    assert_eq!(it.answers("keys.example.com", "SSHFP"), ["2 1 DD465C09CFA51FB45020CC83316FFF21B9EC74AC"]);
}

fn a_record_moves_with_its_name(it: &Running) {
    it.declare("ARecord", "moves", &json!({ "name": "here", "ipv4Addresses": ["192.0.2.32"] }));
    it.until_is("arecord/moves", "Served");
    assert_eq!(it.answers("here.example.com", "A"), ["192.0.2.32"]);
    it.declare("ARecord", "moves", &json!({ "name": "there", "ipv4Addresses": ["192.0.2.32"] }));
    it.until_is("arecord/moves", "Served");
    assert_eq!(it.answers("there.example.com", "A"), ["192.0.2.32"]);
    assert_eq!(it.answers("here.example.com", "A"), [""; 0]);
}

/// The name of the resource is not that of the zone. Who makes the new one before deleting the old one loses nothing.
fn a_zone_may_get_another_resource(it: &Running) {
    let before = it.serial("example.com");
    for (old, new) in [("example-com", "example-again"), ("example-again", "example-com")] {
        let zone = it.cluster.done(&["get", "dnszone", old, "-n", "dns-system", "-o=jsonpath={.spec}"]);
        let zone: Value = serde_json::from_str(&zone).expect("it is JSON");
        it.declare("DNSZone", new, &zone);
        it.until_is(&format!("dnszone/{new}"), "DuplicateZone");
        it.delete(&format!("dnszone/{old}"));
        it.until_is(&format!("dnszone/{new}"), "Served");
        it.cluster.until("the record says so", || it.field("arecord/www", ".status.zoneRef.name") == new);
        // Else the next operator would begin anew.
        let kept = || it.field(&format!("dnszone/{new}"), ".status.serial");
        it.cluster.until("its serial is kept", || kept() == it.serial("example.com").to_string());
    }
    assert!(it.serial("example.com") >= before);
}

fn a_zone_is_deleted_before_its_records(it: &Running) {
    it.own_zone("first", "clusterRef", "ns");
    it.until_is("arecord/first", "Served");
    let serial = it.serial("first.test");
    it.delete("dnszone/first");
    it.until_is("arecord/first", "NotSelected");
    it.cluster.until("the zone is not served", || it.answers("www.first.test", "A").is_empty());
    it.own_zone("first", "clusterRef", "ns");
    it.until_is("arecord/first", "Served");
    assert!(it.serial("first.test") >= serial, "servers must not have a higher one");
    it.delete("dnszone/first");
    it.delete("arecord/first");
}

fn a_cluster_is_deleted_before_its_zones(it: &Running) {
    let cluster = || it.declare("Bind9Cluster", "second", &json!({ "primary": { "replicas": 1 } }));
    cluster();
    it.own_zone("second", "clusterRef", "second");
    it.until_is("arecord/second", "Served");
    it.delete("bind9cluster/second");
    it.until_is("dnszone/second", "NoServers");
    it.cluster.until("its servers go with it", || it.field("service/second-primary-0", ".metadata.name").is_empty());
    cluster();
    it.until_is("dnszone/second", "Served");
    for object in ["arecord/second", "dnszone/second", "bind9cluster/second"] {
        it.delete(object);
    }
}

fn an_instance_of_a_cluster_comes_back(it: &Running) {
    let uid = it.field("bind9instance/ns-primary-1", ".metadata.uid");
    it.delete("bind9instance/ns-primary-1");
    it.cluster.until("there is another", || {
        let now = it.field("bind9instance/ns-primary-1", ".metadata.uid");
        !now.is_empty() && now != uid
    });
    it.until_all_is_ready();
}

fn a_provider_is_deleted_before_its_zones(it: &Running) {
    it.cluster.apply(&provider("third", "dns-system"));
    it.own_zone("third", "clusterProviderRef", "third");
    it.until_is("arecord/third", "Served");
    it.delete("clusterbind9provider/third");
    it.until_is("dnszone/third", "NoServers");
    it.delete("arecord/third");
    it.delete("dnszone/third");
}

/// The policies of `deploy/` keep servers apart from the operator.
fn a_server_whose_objects_are_refused_says_so(it: &Running) {
    it.cluster.apply(&provider("fourth", "bindy-system"));
    let message = ".status.conditions[?(@.type=='Ready')].message";
    it.cluster.until("it is said why", || {
        let told = it.cluster.field("bindy-system", "bind9instance/fourth-primary-0", message);
        told.contains("servers run apart from the operator and the system; give the provider another namespace")
    });
    it.delete("clusterbind9provider/fourth");
}

/// A provider of one server.
fn provider(name: &str, namespace: &str) -> String {
    let provider = json!({
        "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "ClusterBind9Provider", "metadata": { "name": name },
        "spec": { "namespace": namespace, "primary": { "replicas": 1 } },
    });
    provider.to_string()
}

fn a_cluster_gets_more_servers_and_fewer(it: &Running) {
    let scale = |replicas: u32| {
        let patch = json!({ "spec": { "primary": { "replicas": replicas } } }).to_string();
        it.cluster.done(&["patch", "bind9cluster", "ns", "-n", "dns-system", "--type=merge", "-p", &patch]);
    };
    scale(3);
    it.cluster.until("a server more", || it.field("dnszone/example-com", ".status.servers") == "4/4");
    it.until_all_answer(&["ns-primary-2"]);
    scale(2);
    it.cluster.until("a server less counts", || it.field("dnszone/example-com", ".status.servers") == "3/3");
    // It answers on for some time, for those who know its address.
    it.until_all_answer(&["ns-primary-2"]);
    it.delete("bind9instance/ns-primary-2");
    it.until_all_is_ready();
}

impl Running {
    /// Declares a resource, which the example's zone selects if it is a record.
    fn declare(&self, kind: &str, name: &str, spec: &Value) {
        let labels = json!({ "zone": "example" });
        let metadata = json!({ "name": name, "namespace": "dns-system", "labels": labels });
        let object = json!({
            "apiVersion": "bindy.firestoned.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec,
        });
        self.cluster.apply(&object.to_string());
    }

    /// Declares a zone `NAME.test` whose servers a field names, and `www` in it.
    fn own_zone(&self, name: &str, field: &str, servers: &str) {
        let origin = format!("{name}.test");
        let soa = json!({ "primaryNs": "ns1.example.com.", "adminEmail": "hostmaster.example.com." });
        let selector = json!({ "matchLabels": { "own": name } });
        let mut zone = json!({
            "zoneName": origin, "soaRecord": soa, "recordsFrom": [{ "selector": selector }],
        });
        zone[field] = json!(servers);
        self.declare("DNSZone", name, &zone);
        let record = json!({
            "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "ARecord",
            "metadata": { "name": name, "namespace": "dns-system", "labels": { "own": name } },
            "spec": { "name": "www", "ipv4Addresses": ["192.0.2.40"] },
        });
        self.cluster.apply(&record.to_string());
    }

    fn delete(&self, object: &str) {
        self.cluster.done(&["delete", object, "-n", "dns-system"]);
    }

    /// Waits until `Ready` of a resource, as it is now, has this reason.
    fn until_is(&self, object: &str, reason: &str) {
        self.cluster.until(&format!("{object} is {reason}"), || {
            let path = ".metadata.generation}/{.status.conditions[?(@.type=='Ready')].observedGeneration}/\
                        {.status.conditions[?(@.type=='Ready')].reason";
            let told = self.field(object, path);
            let parts: Vec<&str> = told.split('/').collect();
            matches!(parts[..], [now, of, why] if now == of && why == reason)
        });
    }

    /// What the servers answer, sorted; all must answer the same.
    fn answers(&self, name: &str, rtype: &str) -> Vec<String> {
        let answers = self.addresses(&INSTANCES).into_iter().map(|address| {
            let ask = || self.cluster.node().dig(&address.ip().to_string(), &[name, rtype]);
            let answer = (0..5).find_map(|_| ask()).unwrap_or_else(|| panic!("{address} does not answer"));
            let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        });
        let mut answers: Vec<_> = answers.collect();
        answers.dedup();
        assert_eq!(answers.len(), 1, "{name} {rtype}: {answers:?}");
        answers.remove(0)
    }

    /// The serial of a zone at the servers.
    fn serial(&self, zone: &str) -> u32 {
        let soa = self.answers(zone, "SOA").pop().unwrap_or_default();
        let serial = soa.split(' ').nth(2).and_then(|serial| serial.parse().ok());
        serial.unwrap_or_else(|| panic!("{zone} has no serial: {soa}"))
    }
}
