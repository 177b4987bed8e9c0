//! What `bindy run` and `bindy keys` make of what is declared, and of what becomes of it and of them.

use std::{fs, process::Command, time::Duration};

use bindy::api::Kind;
use bindy_cluster::PodSecurity;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Service},
    events::v1::Event,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy},
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    operated::{Operated, dig, own_address},
    witness::a_record,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_one_server_answers_for_its_zone() {
    let mut it = Operated::start().await;
    let elsewhere = it.cluster.namespace(PodSecurity::Restricted).await;
    it.apply_in(Kind::CLUSTER, &elsewhere, "ns", json!({ "primary": { "replicas": 1 } })).await;
    it.declare().await;
    let deployment: Deployment = it.object("ns-primary-0").await;
    let owner = &deployment.owner_references()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("Bind9Instance", "ns-primary-0"));
    let _: Service = it.object("ns-primary-0").await;
    let _: PodDisruptionBudget = it.object("ns-primary").await;

    // What named says of it, too.
    let folder = it.folder().join("checked");
    it.mount("ns-primary-0", &folder, "127.0.0.1").await;
    // It would forward updates to every primary, and has no statement by which to spare some; nor does it forward questions.
    let file = folder.join("named.conf");
    let mut text = fs::read_to_string(&file).unwrap();
    for statement in ["forward-updates no; ", "\tallow-signed-forwarding { any; };\n"] {
        assert!(text.contains(statement), "{text}");
        text = text.replace(statement, "");
    }
    fs::write(&file, text).unwrap();
    let checked = Command::new("named-checkconf").arg(folder.join("named.conf")).output().expect("bind9-utils");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

    it.until_not_ready(Kind::Zone, "example-com", "NotServedYet").await;
    assert_ne!(it.ready(a_record(), "www").await.0, "True");
    let address = own_address();
    it.run_pod("ns-primary-0", &address).await;
    it.until_ready(a_record(), "www", "Served").await;
    assert_eq!(dig(&address, "www.example.com", "A"), "192.0.2.10\n", "ready means true");
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    it.until_ready(Kind::INSTANCE, "ns-primary-0", "AllReady").await;
    it.until_ready(Kind::CLUSTER, "ns", "AllReady").await;
    it.apply(a_record(), "mail", json!({ "name": "mail", "ipv4Address": "192.0.2.25" })).await;
    it.until_ready(a_record(), "mail", "FormerSpelling").await;
    let spec = json!({ "primary": { "replicas": 1 }, "global": { "recursion": true } });
    it.apply(Kind::CLUSTER, "ns", spec).await;
    it.until_ready(Kind::CLUSTER, "ns", "NoEffect").await;
    let made = it.ours_in(Kind::INSTANCE, &elsewhere).list(&ListParams::default()).await.unwrap();
    assert!(made.items.is_empty(), "it is in no namespace that is watched");
    it.cluster.remove(&elsewhere).await;
    assert_eq!(dig(&address, "mail.example.com", "A"), "192.0.2.25\n");
    let alias = Kind::from_name("CNAMERecord").unwrap();
    it.apply(alias, "mail", json!({ "name": "mail", "target": "www" })).await;
    it.until_not_ready(alias, "mail", "CnameConflict").await;

    let zone = it.status(Kind::Zone, "example-com").await;
    let serial = dig(&address, "example.com", "SOA");
    assert_eq!(serial.split(' ').nth(2), Some(zone["serial"].to_string().as_str()));
    assert_eq!(zone["servers"], "1/1");
    let www = it.status(a_record(), "www").await;
    assert_eq!(www["publishedName"], "www.example.com.");
    assert_eq!(www["zoneRef"]["zoneName"], "example.com");

    // Nothing is written while nothing changes.
    let versions = async || {
        let mut versions = vec![
            it.api::<Deployment>().get("ns-primary-0").await.unwrap().metadata.generation.map(|it| it.to_string()),
            it.api::<Service>().get("ns-primary-0").await.unwrap().resource_version(),
            it.api::<ConfigMap>().get("ns-primary-0-config").await.unwrap().resource_version(),
            it.api::<PodDisruptionBudget>()
                .get("ns-primary")
                .await
                .unwrap()
                .metadata
                .generation
                .map(|it| it.to_string()),
        ];
        for kind in [Kind::CLUSTER, Kind::Zone, Kind::INSTANCE, a_record(), alias] {
            let all = it.ours(kind).list(&ListParams::default()).await.unwrap();
            versions.extend(all.items.iter().map(ResourceExt::resource_version));
        }
        versions
    };
    let mut before = versions().await;
    for _ in 0..60 {
        sleep(Duration::from_secs(1)).await;
        let now = versions().await;
        if now == before {
            break;
        }
        before = now;
    }
    // Longer than whatever the operator does by itself, and with something to see that leads to nothing.
    let pods = it.api::<Pod>();
    let pod = pods.list(&ListParams::default()).await.unwrap().items.remove(0);
    let touch = Patch::Merge(json!({ "metadata": { "annotations": { "example.com/touched": "yes" } } }));
    pods.patch(&pod.name_any(), &PatchParams::default(), &touch).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(versions().await, before);
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_operator_goes_on_where_the_first_was_killed() {
    let (mut it, address) = Operated::with_example().await;
    let serial = || {
        let soa = dig(&address, "example.com", "SOA");
        soa.split(' ').nth(2).unwrap_or_default().parse::<u32>().unwrap_or_default()
    };
    let before = serial();
    it.kill_operator();
    it.declare_record("late", "192.0.2.9").await;
    assert_eq!(dig(&address, "www.example.com", "A"), "192.0.2.10\n", "servers answer by themselves");
    it.start_operator(0);
    it.until_ready(a_record(), "late", "Served").await;
    assert_eq!(dig(&address, "late.example.com", "A"), "192.0.2.9\n");
    assert_eq!(serial(), before + 1);
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_that_follows_takes_over_with_what_has_changed_before() {
    let (mut it, address) = Operated::with_example().await;
    // Of a small zone, all of it is less than a difference.
    let (text, ballast) = (Kind::from_name("TXTRecord").unwrap(), ["x".repeat(250), "y".repeat(250)]);
    it.apply(text, "ballast", json!({ "name": "ballast", "text": ballast })).await;
    it.until_ready(text, "ballast", "Served").await;
    it.start_operator(1);
    it.until("the second has the zone", async || it.difference(1, 6).await.first() > Some(&0)).await;
    let serial = it.difference(1, 6).await[0];
    it.declare_record("early", "192.0.2.8").await;
    it.until_ready(a_record(), "early", "Served").await;
    let followed = [serial + 1, serial, serial + 1, serial + 1];
    assert_eq!(it.difference(0, serial).await, followed);
    it.until("the second follows", async || it.difference(1, serial).await == followed).await;
    // What cannot be used leaves in force what was there before, also when the second goes on.
    it.declare_record("early", "192.0.2.800").await;
    it.until_not_ready(a_record(), "early", "InvalidRecord").await;
    it.kill_operator();
    it.late_is_served(&address).await;
    let both = it.difference(1, serial).await;
    assert_eq!((both[0], both[1], both.len()), (serial + 2, serial, 4), "joined: {both:?}");
    assert_eq!(dig(&address, "early.example.com", "A"), "192.0.2.8\n");
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_force_stays_so_when_nobody_is_left_who_has_seen_it() {
    let (mut it, address) = Operated::with_example().await;
    it.declare_record("www", "192.0.2.800").await;
    it.until_not_ready(a_record(), "www", "InvalidRecord").await;
    it.patch(Kind::Zone, "example-com", json!({ "spec": { "soaRecord": { "adminEmail": "a@b" } } })).await;
    it.until_not_ready(Kind::Zone, "example-com", "InvalidZone").await;
    it.kill_operator();
    it.start_operator(0);
    it.late_is_served(&address).await;
    assert_eq!(dig(&address, "www.example.com", "A"), "192.0.2.10\n");
    assert_eq!(it.ready(a_record(), "www").await.1, "InvalidRecord");
    assert_eq!(dig(&address, "example.com", "SOA").split(' ').nth(1), Some("hostmaster.example.com."));
    let in_force = it.status(a_record(), "www").await["inForce"].as_str().unwrap().to_owned();
    assert!(in_force.contains("192.0.2.10"), "{in_force}");

    it.declare().await;
    it.until_ready(a_record(), "www", "Served").await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    assert_eq!(it.status(a_record(), "www").await["inForce"], json!(null));
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_would_remove_most_of_a_zone_waits_until_it_is_allowed() {
    let (it, address) = Operated::with_example().await;
    for number in 0..12 {
        it.declare_record(&format!("host{number}"), "192.0.2.7").await;
    }
    it.until_ready(a_record(), "host11", "Served").await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    // A label with a slip of the pen.
    let slip = json!({ "recordsFrom": [{ "selector": { "matchLabels": { "zone": "exmaple" } } }] });
    it.patch(Kind::Zone, "example-com", json!({ "spec": slip })).await;
    it.until_not_ready(Kind::Zone, "example-com", "LargeRemovalHeld").await;
    let serial = it.status(Kind::Zone, "example-com").await["serial"].to_string();
    assert_eq!(dig(&address, "host11.example.com", "A"), "192.0.2.7\n");
    assert_eq!(dig(&address, "example.com", "SOA").split(' ').nth(2), Some(&*serial));
    it.allow_removal(Kind::Zone, "example-com", "serial").await;
    it.until("the names are gone", async || dig(&address, "host11.example.com", "A").is_empty()).await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    it.end().await;
}

/// What there is of a zone belongs to its resource: another one of the same name begins with its own, however much was there.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_takes_the_place_of_another_serves_its_own_data() {
    let (it, address) = Operated::with_example().await;
    for number in 0..12 {
        it.declare_record(&format!("host{number}"), "192.0.2.7").await;
    }
    it.until_ready(a_record(), "host11", "Served").await;
    it.declare_zone("later", "example.com", "another.example.com.").await;
    it.until_not_ready(Kind::Zone, "later", "DuplicateZone").await;
    let serial = async |zone: &str| it.status(Kind::Zone, zone).await["serial"].as_u64();
    let before = serial("example-com").await.unwrap();
    it.ours(Kind::Zone).delete("example-com", &DeleteParams::default()).await.unwrap();
    it.until_ready(Kind::Zone, "later", "Served").await;
    assert_eq!(dig(&address, "host11.example.com", "A"), "");
    assert_eq!(dig(&address, "example.com", "SOA").split(' ').nth(1), Some("another.example.com."));
    assert!(serial("later").await.unwrap() > before);
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_stays_where_it_is_while_it_names_a_cluster_that_is_not_there() {
    let (mut it, address) = Operated::with_example().await;
    refer_to(&it, "sn").await;
    it.until_not_ready(Kind::Zone, "example-com", "DanglingReference").await;
    assert_eq!(dig(&address, "www.example.com", "A"), "192.0.2.10\n");

    // Who leads next finds it so.
    it.kill_operator();
    it.start_operator(0);
    it.late_is_served(&address).await;
    it.until_not_ready(Kind::Zone, "example-com", "DanglingReference").await;
    refer_to(&it, "ns").await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_stay_if_whoever_deletes_their_cluster_says_so() {
    let (it, address) = Operated::with_example().await;
    let delete = async |how: DeleteParams| {
        it.ours(Kind::CLUSTER).delete("ns", &how).await.unwrap();
        it.until("it is gone", async || it.ours(Kind::CLUSTER).get_opt("ns").await.unwrap().is_none()).await;
    };
    delete(DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() }).await;
    it.until_not_ready(Kind::Zone, "example-com", "DanglingReference").await;
    it.late_is_served(&address).await;
    let owners = async || it.ours(Kind::INSTANCE).get("ns-primary-0").await.unwrap().metadata.owner_references;
    assert_eq!(owners().await.unwrap_or_default(), []);

    // A cluster of that name takes them over; deleted as usual, it takes them along.
    it.apply(Kind::CLUSTER, "ns", json!({ "primary": { "replicas": 1 } })).await;
    it.until("it owns the server", async || owners().await.is_some_and(|owners| owners.len() == 1)).await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    delete(DeleteParams::background()).await;
    it.until_not_ready(Kind::Zone, "example-com", "NoServers").await;
    it.until_not_ready(a_record(), "www", "NoServers").await;
    it.end().await;
}

/// What it has made is a cluster like others then, which zones of other namespaces could not name.
#[tokio::test(flavor = "multi_thread")]
async fn servers_of_a_provider_stay_if_whoever_deletes_it_says_so() {
    let (mut it, address) = (Operated::start().await, own_address());
    let team = it.cluster.namespace(PodSecurity::Restricted).await;
    it.also_watched.push(team.clone());
    it.kill_operator();
    it.start_operator(0);
    // No other test has this one.
    let shared = it.namespace.clone();
    let provider = json!({ "namespace": it.namespace, "primary": { "replicas": 1 } });
    it.apply(Kind::PROVIDER, &shared, provider).await;
    let soa = json!({ "primaryNs": "ns1.example.net.", "adminEmail": "hostmaster.example.com." });
    let zone = json!({ "zoneName": "team.test", "soaRecord": soa, "clusterProviderRef": shared });
    it.apply_in(Kind::Zone, &team, "team", zone).await;
    it.run_pod(&format!("{shared}-primary-0"), &address).await;
    let reason = async || {
        let zone = it.ours_in(Kind::Zone, &team).get("team").await.unwrap();
        zone.data["status"]["conditions"][0]["reason"].clone()
    };
    it.until("the zone is served", async || reason().await == "Served").await;

    let how = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    it.ours(Kind::PROVIDER).delete(&shared, &how).await.unwrap();
    it.until("the zone says so", async || reason().await == "DanglingReference").await;
    // What comes now is served, too, so that the zone is there still by what is decided now.
    let soa = json!({ "primaryNs": "ns1.example.net.", "adminEmail": "another.example.com." });
    it.ours_in(Kind::Zone, &team)
        .patch("team", &PatchParams::default(), &Patch::Merge(json!({ "spec": { "soaRecord": soa } })))
        .await
        .unwrap();
    it.until("the change is served", async || {
        dig(&address, "team.test", "SOA").split(' ').nth(1) == Some("another.example.com.")
    })
    .await;
    it.cluster.remove(&team).await;
    it.end().await;
}

/// Servers would wait for it, and answer nothing meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_never_was_is_on_no_server() {
    let (it, _) = Operated::with_example().await;
    it.declare_zone("bad", "bad.test", "me@example.com").await;
    it.until_not_ready(Kind::Zone, "bad", "InvalidZone").await;
    it.declare_zone("good", "good.test", "me.example.com.").await;
    it.until_ready(Kind::Zone, "good", "Served").await;
    it.until("two zones", async || it.status(Kind::INSTANCE, "ns-primary-0").await["zonesCount"] == 2).await;
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_that_are_deleted_together_are_served_until_that_is_allowed() {
    let mut it = Operated::start().await;
    it.declare().await;
    for number in 0..12 {
        it.declare_zone(&format!("z{number}"), &format!("z{number}.test"), "hostmaster.example.com.").await;
    }
    let address = own_address();
    it.run_pod("ns-primary-0", &address).await;
    it.until("all zones", async || it.status(Kind::INSTANCE, "ns-primary-0").await["zonesCount"] == 13).await;
    it.until("the last zone", async || !dig(&address, "z11.test", "SOA").is_empty()).await;
    for number in 0..6 {
        it.ours(Kind::Zone).delete(&format!("z{number}"), &DeleteParams::default()).await.unwrap();
    }
    it.until_not_ready(Kind::INSTANCE, "ns-primary-0", "LargeRemovalHeld").await;
    assert!(!dig(&address, "z5.test", "SOA").is_empty());

    // Who leads next does not know which zones there were.
    it.kill_operator();
    it.start_operator(0);
    it.late_is_served(&address).await;
    it.until_not_ready(Kind::INSTANCE, "ns-primary-0", "LargeRemovalHeld").await;
    assert!(!dig(&address, "z5.test", "SOA").is_empty());
    it.allow_removal(Kind::INSTANCE, "ns-primary-0", "catalogSerial").await;
    for number in 0..6 {
        let zone = format!("z{number}.test");
        it.until(&format!("{zone} is gone"), async || dig(&address, &zone, "SOA").is_empty()).await;
    }
    assert!(!dig(&address, "z6.test", "SOA").is_empty());
    it.until_ready(Kind::INSTANCE, "ns-primary-0", "AllReady").await;
    it.until("seven zones", async || it.status(Kind::INSTANCE, "ns-primary-0").await["zonesCount"] == 7).await;
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_too_many_answers_on_for_some_time_and_comes_back_when_it_is_wanted() {
    let mut it = Operated::start().await;
    it.declare().await;
    scale_to(&it, 2).await;
    let labels = ListParams::default().labels("instance=ns-primary-1");
    it.until("it has a pod", async || it.api::<Pod>().list(&labels).await.is_ok_and(|pods| !pods.items.is_empty()))
        .await;
    let zones = async |name: &str| it.status(Kind::INSTANCE, name).await["zonesCount"].clone();
    it.until("its zones are counted", async || zones("ns-primary-1").await == 1).await;
    scale_to(&it, 1).await;
    it.until("it is told", async || {
        let events =
            it.api::<Event>().list(&ListParams::default()).await.map(|events| events.items).unwrap_or_default();
        let is_it = |event: &Event| event.reason.as_deref() == Some("Draining");
        events
            .iter()
            .any(|it| is_it(it) && it.regarding.as_ref().is_some_and(|of| of.name.as_deref() == Some("ns-primary-1")))
    })
    .await;
    it.until("its pods are to go", async || pods_of(&it, "ns-primary-1").await == Some(0)).await;
    it.until_ready(Kind::INSTANCE, "ns-primary-1", "Retired").await;
    assert_eq!(zones("ns-primary-1").await, 0, "a server without pods serves no zone");
    assert_eq!(pods_of(&it, "ns-primary-0").await, Some(1));
    it.run_pod("ns-primary-0", &own_address()).await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    it.until("its cluster does not count it", async || it.status(Kind::CLUSTER, "ns").await["instanceCount"] == 1)
        .await;
    scale_to(&it, 2).await;
    it.until("it has a pod again", async || pods_of(&it, "ns-primary-1").await == Some(1)).await;
    it.until("it counts", async || it.status(Kind::CLUSTER, "ns").await["instanceCount"] == 2).await;
    it.patch(Kind::INSTANCE, "ns-primary-1", json!({ "spec": { "replicas": 0 } })).await;
    it.until("nobody counts it", async || it.status(Kind::CLUSTER, "ns").await["instanceCount"] == 1).await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    it.until("its pods are to go", async || pods_of(&it, "ns-primary-1").await == Some(0)).await;
    it.until_ready(Kind::INSTANCE, "ns-primary-1", "Retired").await;
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_declared_without_pods_never_gets_any() {
    let it = Operated::start().await;
    it.declare().await;
    let spec = json!({ "clusterRef": "ns", "role": "secondary", "replicas": 0 });
    it.apply(Kind::INSTANCE, "later", spec).await;
    assert_eq!(pods_of(&it, "later").await, Some(0));
    it.until_ready(Kind::INSTANCE, "later", "Retired").await;
    it.end().await;
}

/// The cluster has so many primaries now.
async fn scale_to(it: &Operated, replicas: u8) {
    it.patch(Kind::CLUSTER, "ns", json!({ "spec": { "primary": { "replicas": replicas } } })).await;
}

/// The zone names this cluster now.
async fn refer_to(it: &Operated, cluster: &str) {
    it.patch(Kind::Zone, "example-com", json!({ "spec": { "clusterRef": cluster } })).await;
}

/// How many pods a server is to have.
async fn pods_of(it: &Operated, instance: &str) -> Option<i32> {
    it.object::<Deployment>(instance).await.spec?.replicas
}
