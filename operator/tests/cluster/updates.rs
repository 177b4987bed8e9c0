//! What clients write by DNS UPDATE (RFC 2136), as nsupdate does, at the address of a server: it is stored in the cluster
//! before it is acknowledged, whoever leads.

mod client;

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bindy::api::Kind;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::operated::{Operated, dig};
use client::{Client, NOERROR, NXRRSET, REFUSED, SERVFAIL, YXRRSET, secret};

/// The key of a client, and the Secret that has it.
const KEY: &str = "acme";

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_write_is_stored_and_served_before_it_is_acknowledged() {
    let (mut it, address) = updated(json!([rule("Subdomain", "dyn"), rule("Name", "www")])).await;
    let before = serial(&address);
    assert_eq!(nsupdate(&address, "update add a.dyn.example.com 60 TXT \"one\"\n"), Ok(()));
    assert_eq!(dig(&address, "a.dyn.example.com", "TXT"), "\"one\"\n", "acknowledged is served");
    assert_eq!(serial(&address), before + 1);
    assert_eq!(it.lines("example.com").await, ["a.dyn.example.com. 60 IN TXT \"one\""]);

    // What a resource declares, and what no rule allows.
    let client = Client::new(&address, KEY);
    let (rcode, why) = client.send("example.com", &["delete www A"]);
    assert_eq!(rcode, REFUSED);
    let why = why.expect("an error says why");
    assert!(why.contains(&format!("ARecord {}/www", it.namespace)), "{why}");
    assert_eq!(client.send("example.com", &["add other 60 TXT a"]).0, REFUSED);
    assert_eq!(dig(&address, "www.example.com", "A"), "192.0.2.10\n");

    // All of an update or nothing.
    let (rcode, _) = client.send("example.com", &["add b.dyn 60 TXT a", "delete www A"]);
    assert_eq!(rcode, REFUSED);
    assert_eq!(dig(&address, "b.dyn.example.com", "TXT"), "");
    assert_eq!(client.send("example.com", &["prereq nxrrset a.dyn TXT", "add b.dyn 60 TXT a"]).0, YXRRSET);
    assert_eq!(client.send("example.com", &["prereq yxrrset b.dyn TXT", "add b.dyn 60 TXT a"]).0, NXRRSET);
    let both = ["prereq yxrrset a.dyn TXT", "add b.dyn 60 TXT two", "delete a.dyn TXT"];
    assert_eq!(client.send("example.com", &both).0, NOERROR);
    assert_eq!(dig(&address, "b.dyn.example.com", "TXT"), "\"two\"\n");
    assert_eq!(dig(&address, "a.dyn.example.com", "TXT"), "");

    // Another operator goes on, and so do declared records beside it.
    it.kill_operator();
    it.start_operator(0);
    it.late_is_served(&address).await;
    assert_eq!(dig(&address, "b.dyn.example.com", "TXT"), "\"two\"\n");
    it.until("an update", async || nsupdate(&address, "update add c.dyn.example.com 60 A 192.0.2.3\n").is_ok()).await;
    assert_eq!(dig(&address, "c.dyn.example.com", "A"), "192.0.2.3\n");
    assert_eq!(it.lines("example.com").await.len(), 2);
    it.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_have_written_waits_for_a_zone_that_returns() {
    let (it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    assert_eq!(nsupdate(&address, "update add a.dyn.example.com 60 TXT \"one\"\n"), Ok(()));
    it.ours(Kind::Zone).delete("example-com", &DeleteParams::default()).await.unwrap();
    it.allow_removal(Kind::INSTANCE, "ns-primary-0", "catalogSerial").await;
    it.until("the zone is gone", async || dig(&address, "a.dyn.example.com", "TXT") != "\"one\"\n").await;
    assert_eq!(it.lines("example.com").await.len(), 1, "it is kept");
    it.declare().await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    assert_eq!(dig(&address, "a.dyn.example.com", "TXT"), "\"one\"\n");

    // A resource that declares the name goes first, as long as it is there.
    let text = Kind::from_name("TXTRecord").unwrap();
    it.apply(text, "a", json!({ "name": "a.dyn", "text": ["declared"] })).await;
    it.until_ready(text, "a", "Served").await;
    assert_eq!(dig(&address, "a.dyn.example.com", "TXT"), "\"declared\"\n");
    it.ours(text).delete("a", &DeleteParams::default()).await.unwrap();
    it.until("it is back", async || dig(&address, "a.dyn.example.com", "TXT") == "\"one\"\n").await;
    it.end().await;
}

/// What a key may do in the zone whose rules name it, and in another, whose rules it is not in.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_one_tenant_does_nothing_in_the_zone_of_another() {
    let (it, address) = updated(json!([rule("ZoneSub", "")])).await;
    it.declare_zone("other", "other.test", "hostmaster.example.com.").await;
    it.until_ready(Kind::Zone, "other", "Served").await;
    // A zone of a namespace that the Secret does not name.
    it.client_key("strange", "elsewhere").await;
    let strange = json!([{ "key": { "namespace": it.namespace, "name": "strange" }, "match": "ZoneSub" }]);
    it.patch(Kind::Zone, "other", json!({ "spec": { "dynamic": { "rules": strange } } })).await;
    it.until("the zone says so", async || {
        let conditions = it.status(Kind::Zone, "other").await["conditions"].to_string();
        conditions.contains("KeyNotUsable")
    })
    .await;
    let (own, strange) = (Client::new(&address, KEY), Client::new(&address, "strange"));
    assert_eq!(own.send("example.com", &["add a 60 TXT a"]).0, NOERROR);
    assert_eq!(own.send("other.test", &["add a 60 TXT a"]).0, REFUSED);
    assert_ne!(strange.send("other.test", &["add a 60 TXT a"]).0, NOERROR);
    assert_ne!(strange.send("example.com", &["add a 60 TXT a"]).0, NOERROR);
    for zone in ["example.com", "other.test"] {
        for key in [KEY, "strange"] {
            let hmac = format!("hmac-sha256:{key}:{}", secret(key));
            let listed = Command::new("dig")
                .args([&format!("@{address}"), "-p", "5353", "-y", &hmac, "+tries=1", zone, "AXFR"])
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&listed.stdout).into_owned();
            assert!(!told.contains("\tSOA\t"), "{key} {zone}: {told}");
        }
    }
    it.end().await;
}

/// Of two clients that write only what is not there yet, one does.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_clients_that_race_one_wins() {
    let (it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    for round in 0..20 {
        let racers = [1, 2].map(|racer| {
            let address = address.clone();
            thread::spawn(move || {
                let client = Client::new(&address, KEY);
                let add = format!("add r{round}.dyn 60 TXT racer{racer}");
                client.send("example.com", &[&format!("prereq nxdomain r{round}.dyn"), &add]).0
            })
        });
        let mut rcodes = racers.map(|racer| racer.join().unwrap());
        rcodes.sort_unstable();
        assert_eq!(rcodes, [NOERROR, client::YXDOMAIN], "round {round}");
        assert_eq!(dig(&address, &format!("r{round}.dyn.example.com"), "TXT").lines().count(), 1);
    }
    it.end().await;
}

/// Nobody leads: clients hear so at once, and servers answer on.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_operator_updates_fail_at_once_and_answers_go_on() {
    let (mut it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    it.kill_operator();
    let client = Client::new(&address, KEY);
    let (rcode, why) = client.send("example.com", &["add a.dyn 60 TXT a"]);
    assert_eq!((rcode, why.is_some()), (SERVFAIL, true));
    assert_eq!(dig(&address, "www.example.com", "A"), "192.0.2.10\n");
    it.end().await;
}

/// Sixteen clients write while whoever leads is killed again and again.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_leads_is_killed_and_nothing_that_was_acknowledged_is_lost() {
    const WRITERS: usize = 16;
    let kills: usize = std::env::var("BINDY_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let (mut it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    it.start_operator(1);
    let (end, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (address, end, made) = (address.clone(), Arc::clone(&end), Arc::clone(&made));
            thread::spawn(move || {
                let client = Client::new(&address, KEY);
                let mut acknowledged = Vec::new();
                for number in 0_u32.. {
                    if end.load(Ordering::Relaxed) {
                        break;
                    }
                    // Both or none, in place of what this writer has written before.
                    let names = [format!("w{writer}"), format!("v{writer}")];
                    let lines = names
                        .iter()
                        .flat_map(|name| [format!("delete {name}.dyn TXT"), format!("add {name}.dyn 60 TXT {number}")]);
                    let mut lines: Vec<String> = lines.collect();
                    lines.push(format!("add n{number}.w{writer}.dyn 60 TXT {number}"));
                    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                    match client.try_send("example.com", &lines) {
                        Some((NOERROR, _)) => {
                            acknowledged.push(number);
                            made.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => thread::sleep(Duration::from_millis(100)),
                    }
                }
                acknowledged
            })
        })
        .collect();
    for kill in 0..kills {
        let before = made.load(Ordering::Relaxed);
        it.until("an update", async || made.load(Ordering::Relaxed) > before).await;
        sleep(Duration::from_millis(37 * (kill as u64 % 19))).await;
        it.kill_operator();
        it.start_operator(kill % 2);
    }
    end.store(true, Ordering::Relaxed);
    let acknowledged: Vec<Vec<u32>> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let count: usize = acknowledged.iter().map(Vec::len).sum();
    assert!(count > 2 * kills, "{count} updates were acknowledged");
    it.late_is_served(&address).await;
    it.until_ready(Kind::Zone, "example-com", "ServerWithoutAddress").await;
    for (writer, numbers) in acknowledged.iter().enumerate() {
        let (one, other) = (
            dig(&address, &format!("w{writer}.dyn.example.com"), "TXT"),
            dig(&address, &format!("v{writer}.dyn.example.com"), "TXT"),
        );
        assert_eq!(one, other, "half an update of writer {writer}");
        for number in numbers {
            let name = format!("n{number}.w{writer}.dyn.example.com");
            assert_eq!(dig(&address, &name, "TXT"), format!("\"{number}\"\n"), "an update is lost: {name}");
        }
        let last: u32 = one.trim_matches(['"', '\n']).parse().unwrap_or(0);
        assert!(numbers.last().is_none_or(|number| last >= *number), "writer {writer} goes back to {last}");
    }
    it.end().await;
}

/// A cluster with a server at the address that is returned, and a zone with a record, whose rules these are.
async fn updated(rules: Value) -> (Operated, String) {
    let (it, address) = Operated::with_example().await;
    let rules = rules.to_string().replace("NAMESPACE", &it.namespace);
    let rules: Value = serde_json::from_str(&rules).unwrap();
    it.patch(Kind::Zone, "example-com", json!({ "spec": { "dynamic": { "rules": rules } } })).await;
    it.until_ready(Kind::Zone, "example-com", "KeyNotUsable").await;
    it.client_key(KEY, &it.namespace).await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    // A server without address is told, and keeps nobody from writing.
    let servers = json!([{ "hostname": "ns9.example.com." }]);
    it.patch(Kind::Zone, "example-com", json!({ "spec": { "nameServers": servers } })).await;
    it.until_ready(Kind::Zone, "example-com", "ServerWithoutAddress").await;
    (it, address)
}

fn rule(what: &str, name: &str) -> Value {
    let mut rule = json!({ "key": { "namespace": "NAMESPACE", "name": KEY }, "match": what });
    if !name.is_empty() {
        rule["name"] = json!(name);
    }
    rule
}

impl Operated {
    /// Makes the Secret of a client's key, which zones of this namespace may name.
    async fn client_key(&self, name: &str, for_namespace: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name,
                "labels": { "app.kubernetes.io/part-of": "bindy", "bindy.firestoned.io/key": "client" },
                "annotations": { "bindy.firestoned.io/allow-zone-namespaces": for_namespace },
            },
            "stringData": { "key-name": name, "algorithm": "hmac-sha256", "secret": secret(name) },
        });
        let params = PatchParams::apply("bindy-test").force();
        self.api::<Secret>().patch(name, &params, &Patch::Apply(&secret)).await.unwrap();
    }

    /// The objects with what clients have written into a zone.
    async fn dynamic(&self, zone: &str) -> Vec<Value> {
        let gvk = GroupVersionKind::gvk(bindy::api::GROUP, bindy::api::VERSION, "DynamicRecords");
        let resource = ApiResource::from_gvk_with_plural(&gvk, "dynamicrecords");
        let objects: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let all = objects.list(&ListParams::default()).await.unwrap().items.into_iter();
        all.map(|object| object.data["spec"].clone()).filter(|spec| spec["zoneName"] == zone).collect()
    }

    /// The records that clients have written into a zone, as they are stored.
    async fn lines(&self, zone: &str) -> Vec<String> {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let mut changes = Vec::new();
        let mut lines = Vec::new();
        for part in self.dynamic(zone).await {
            changes.extend(part["changes"].as_array().cloned().unwrap_or_default());
            lines.extend(texts(&part["lines"]));
        }
        changes.sort_by_key(|change| change["number"].as_u64());
        for change in changes {
            let removed = texts(&change["removed"]);
            lines.retain(|line| !removed.contains(line));
            lines.extend(texts(&change["added"]));
        }
        lines
    }
}

/// Has nsupdate send what its lines say.
fn nsupdate(address: &str, lines: &str) -> Result<(), String> {
    use std::io::Write;
    let mut nsupdate = Command::new("nsupdate")
        .args(["-t", "10", "-y", &format!("hmac-sha256:{KEY}:{}", secret(KEY))])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsupdate is installed (package bind9-dnsutils)");
    let script = format!("server {address} 5353\nzone example.com\n{lines}send\n");
    nsupdate.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = nsupdate.wait_with_output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn serial(address: &str) -> u32 {
    dig(address, "example.com", "SOA").split(' ').nth(2).and_then(|text| text.parse().ok()).unwrap_or_default()
}
