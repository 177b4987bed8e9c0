//! What clients write by DNS UPDATE (RFC 2136), as nsupdate does, at the address of a server: it is stored in the cluster
//! before it is acknowledged, whoever leads.

mod client;
mod folds;
mod writers;

use std::{
    env,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bindy::api::Kind;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::operated::{Operated, dig};
use client::{Client, NOERROR, NXRRSET, REFUSED, SERVFAIL, YXRRSET, secret};
use writers::Writers;

/// The key of a client, and the Secret that has it.
const KEY: &str = "acme";

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_write_is_stored_and_served_before_it_is_acknowledged() {
    let mut soa = rule("ZoneSub", "");
    soa["types"] = json!(["SOA"]);
    let (mut it, address) = updated(json!([rule("Subdomain", "dyn"), rule("Name", "www"), soa])).await;
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
    let (rcode, why) = client.send("example.com", &["add @ 60 SOA ns1.example.net. root 1000000 1 1 1 1"]);
    assert_eq!(rcode, REFUSED);
    let why = why.expect("an error says why");
    assert!(why.contains(&format!("DNSZone {}/example-com", it.namespace)), "{why}");
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
    it.until("it is orphaned", async || it.orphaned().await == [true]).await;
    it.declare().await;
    it.until_ready(Kind::Zone, "example-com", "Served").await;
    assert_eq!(dig(&address, "a.dyn.example.com", "TXT"), "\"one\"\n");
    it.until("it is adopted", async || it.orphaned().await == [false]).await;
    it.rule(json!([rule("Subdomain", "dyn")])).await;
    let add = "update add b.dyn.example.com 60 TXT \"two\"\n";
    it.until("clients write again", async || nsupdate(&address, add).is_ok()).await;

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
    // Who may have a zone is said apart from who may change it.
    it.client_key("reader", &it.namespace).await;
    assert!(!listed(&address, KEY, "example.com") && !listed(&address, "reader", "other.test"));
    for (zone, key) in [("example-com", KEY), ("other", "reader")] {
        let readers = json!([{ "namespace": it.namespace, "name": key }]);
        it.patch(Kind::Zone, zone, json!({ "spec": { "dynamic": { "allowTransfer": readers } } })).await;
    }
    it.until("the keys are in use", async || {
        listed(&address, KEY, "example.com") && listed(&address, "reader", "other.test")
    })
    .await;
    for (key, zone, is_its_own, changes) in [
        (KEY, "example.com", true, true),
        (KEY, "other.test", false, false),
        ("reader", "other.test", true, false),
        ("reader", "example.com", false, false),
        ("strange", "other.test", false, false),
        ("strange", "example.com", false, false),
    ] {
        assert_eq!(listed(&address, key, zone), is_its_own, "{key} lists {zone}");
        assert_eq!(asked(&address, key, &[zone, "SOA"]).contains("status: NOERROR"), is_its_own, "{key} reads {zone}");
        let (rcode, _) = Client::new(&address, key).send(zone, &["add b 60 TXT b"]);
        assert_eq!(rcode == NOERROR, changes, "{key} changes {zone}: {rcode}");
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

/// The API server says nothing for some time, again and again: nobody knows what becomes of what it was asked.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_away_updates_fail_soon_and_answers_go_on() {
    let (it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    let client = Client::new(&address, KEY);
    let both = |number: u32| {
        ["a", "b"].map(|name| [format!("delete {name}.dyn TXT"), format!("add {name}.dyn 60 TXT {number}")]).concat()
    };
    let write = |number: u32| {
        let lines = both(number);
        let sent = Instant::now();
        let answer = client.send("example.com", &lines.iter().map(String::as_str).collect::<Vec<_>>());
        (answer, sent.elapsed())
    };
    for round in 0..6 {
        let number = round * 10;
        it.until("an update", async || write(number).0.0 == NOERROR).await;
        it.cluster.suspend_api();
        // Of these, the first is on its way to the API server, and the second finds that out.
        for number in [number + 1, number + 2] {
            let ((rcode, why), took) = write(number);
            assert_eq!((rcode, why.is_some()), (SERVFAIL, true), "round {round}: {why:?}");
            // Two seconds, and something for a machine that has more to do.
            assert!(took < Duration::from_secs(3), "round {round}: {took:?}");
        }
        assert_eq!(dig(&address, "www.example.com", "A"), "192.0.2.10\n");
        // Whoever leads may go on, or have lost the Lease meanwhile.
        sleep(Duration::from_millis(500 * u64::from(round))).await;
        it.cluster.resume_api();
        it.until("an update", async || write(number + 3).0.0 == NOERROR).await;
        assert_eq!(dig(&address, "a.dyn.example.com", "TXT"), format!("\"{}\"\n", number + 3));
        assert_eq!(dig(&address, "b.dyn.example.com", "TXT"), format!("\"{}\"\n", number + 3));
        assert_eq!(it.lines("example.com").await.len(), 2);
    }
    it.end().await;
}

/// The API server answers for a moment now and then, as one with too much to do.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_slow_updates_go_on_and_none_is_lost() {
    const STOPS: u64 = 60;
    let (it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    let writers = Writers::start(&address);
    for stop in 0..STOPS {
        it.cluster.suspend_api();
        sleep(Duration::from_millis(100 * (stop % 8))).await;
        it.cluster.resume_api();
        sleep(Duration::from_millis(150)).await;
    }
    let written = writers.end();
    let count = written.acknowledged();
    eprintln!("the API server was stopped {STOPS} times; {count} updates were acknowledged");
    assert!(count as u64 > STOPS, "{count} updates were acknowledged");
    it.late_is_served(&address).await;
    written.is_there();
    written.is_stored(&it.lines("example.com").await);
    it.end().await;
}

/// Somebody else writes the same objects all the time, each of which is a conflict.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_of_conflicts_nothing_that_was_acknowledged_is_lost() {
    const WRITERS: usize = 4;
    const EACH: usize = 40;
    let (it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    let end = Arc::new(AtomicBool::new(false));
    let storm = {
        let (objects, end) = (it.dynamic_records(), Arc::clone(&end));
        tokio::spawn(async move {
            let mut touched = 0;
            while !end.load(Ordering::Relaxed) {
                for object in objects.list(&ListParams::default()).await.unwrap().items {
                    let patch = json!({ "metadata": { "annotations": { "test/touched": touched.to_string() } } });
                    let name = object.metadata.name.unwrap();
                    objects.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
                    touched += 1;
                }
                sleep(Duration::from_millis(20)).await;
            }
            touched
        })
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let address = address.clone();
            thread::spawn(move || {
                let client = Client::new(&address, KEY);
                let add = |number: &usize| format!("add n{number}.w{writer}.dyn 60 TXT {number}");
                let made = |number: &usize| client.send("example.com", &[&add(number)]).0 == NOERROR;
                (0..EACH).filter(made).collect::<Vec<usize>>()
            })
        })
        .collect();
    let acknowledged: Vec<Vec<usize>> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    end.store(true, Ordering::Relaxed);
    assert!(storm.await.unwrap() > 100, "it was no storm");
    let count: usize = acknowledged.iter().map(Vec::len).sum();
    assert!(count > WRITERS * EACH / 2, "{count} updates were made");
    let client = Client::new(&address, KEY);
    it.until("an update", async || client.send("example.com", &["add last.dyn 60 TXT last"]).0 == NOERROR).await;
    let stored = it.lines("example.com").await;
    for (writer, numbers) in acknowledged.iter().enumerate() {
        for number in numbers {
            let name = format!("n{number}.w{writer}.dyn.example.com");
            assert_eq!(dig(&address, &name, "TXT"), format!("\"{number}\"\n"), "an update is lost: {name}");
            assert!(stored.contains(&format!("{name}. 60 IN TXT \"{number}\"")), "it is stored: {name}");
        }
    }
    it.end().await;
}

/// Clients write as many records as a zone takes, and one more.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_full_says_so_and_takes_what_makes_room() {
    const MOST: usize = 20_000;
    const EACH: usize = 500;
    let (it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    let client = Client::new(&address, KEY);
    for first in (0..MOST).step_by(EACH) {
        let lines: Vec<String> =
            (first..first + EACH).map(|number| format!("add r{number}.dyn 60 TXT \"record {number}\"")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        it.until("an update", async || client.send("example.com", &lines).0 == NOERROR).await;
    }
    let (rcode, why) = client.send("example.com", &["add more.dyn 60 TXT more"]);
    assert_eq!(rcode, REFUSED);
    let why = why.expect("an error says why");
    assert!(why.contains("20000"), "{why}");
    assert_eq!(dig(&address, "more.dyn.example.com", "TXT"), "");
    assert_eq!(client.send("example.com", &["delete r7.dyn TXT", "add more.dyn 60 TXT more"]).0, NOERROR);
    assert_eq!(dig(&address, "more.dyn.example.com", "TXT"), "\"more\"\n");
    let largest = it.dynamic("example.com").await.iter().map(|part| part.to_string().len()).max().unwrap();
    assert!(largest < 128 * 1024, "an object has {largest} octets");
    // Another operator finds all of them, and goes on.
    assert_eq!(it.lines("example.com").await.len(), MOST);
    let mut it = it;
    it.kill_operator();
    it.start_operator(0);
    it.until("an update", async || client.send("example.com", &["delete r8.dyn TXT"]).0 == NOERROR).await;
    for number in [0, 9, 4999, 19_999] {
        let text = dig(&address, &format!("r{number}.dyn.example.com"), "TXT");
        assert_eq!(text, format!("\"record {number}\"\n"));
    }
    it.end().await;
}

/// Sixteen clients write while whoever leads is killed again and again.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_leads_is_killed_and_nothing_that_was_acknowledged_is_lost() {
    /// How often between two looks at what there is, so that all of it has place in a zone.
    const ROUND: usize = 50;
    let kills: usize = env::var("BINDY_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let (mut it, address) = updated(json!([rule("Subdomain", "dyn")])).await;
    it.start_operator(1);
    for round in 0..kills.div_ceil(ROUND) {
        let writers = Writers::start(&address);
        let times = ROUND.min(kills - round * ROUND);
        for kill in 0..times {
            writers.go_on(&it).await;
            sleep(Duration::from_millis(37 * (kill as u64 % 19))).await;
            it.kill_operator();
            it.start_operator(kill % 2);
        }
        let written = writers.end();
        let count = written.acknowledged();
        eprintln!("whoever leads was killed {} times; {count} updates were acknowledged", round * ROUND + times);
        assert!(count > 2 * times, "{count} updates were acknowledged");
        it.late_is_served(&address).await;
        it.until_ready(Kind::Zone, "example-com", "ServerWithoutAddress").await;
        written.is_there();
        written.remove();
        assert_eq!(it.lines("example.com").await, <Vec<String>>::new());
    }
    it.end().await;
}

/// A cluster with a server at the address that is returned, and a zone with a record, whose rules these are.
async fn updated(rules: Value) -> (Operated, String) {
    let (it, address) = Operated::with_example().await;
    it.rule(rules).await;
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
    /// Has the zone allow this.
    async fn rule(&self, rules: Value) {
        let rules = rules.to_string().replace("NAMESPACE", &self.namespace);
        let rules: Value = serde_json::from_str(&rules).unwrap();
        self.patch(Kind::Zone, "example-com", json!({ "spec": { "dynamic": { "rules": rules } } })).await;
    }

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

    fn dynamic_records(&self) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(bindy::api::GROUP, bindy::api::VERSION, "DynamicRecords");
        let resource = ApiResource::from_gvk_with_plural(&gvk, "dynamicrecords");
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// The objects with what clients have written into a zone.
    async fn dynamic(&self, zone: &str) -> Vec<Value> {
        let all = self.dynamic_records().list(&ListParams::default()).await.unwrap().items.into_iter();
        all.map(|object| object.data["spec"].clone()).filter(|spec| spec["zoneName"] == zone).collect()
    }

    /// Which of all objects with what clients have written say that their zone is gone.
    async fn orphaned(&self) -> Vec<bool> {
        let all = self.dynamic_records().list(&ListParams::default()).await.unwrap().items.into_iter();
        all.map(|object| object.labels().contains_key("bindy.firestoned.io/orphaned")).collect()
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
        // Some of it may be in the shards already.
        for change in changes {
            let (removed, added) = (texts(&change["removed"]), texts(&change["added"]));
            lines.retain(|line| !removed.contains(line) && !added.contains(line));
            lines.extend(added);
        }
        lines
    }
}

/// What dig prints of the answer to a question over TCP that is signed with a client's key.
fn asked(address: &str, key: &str, question: &[&str]) -> String {
    let hmac = format!("hmac-sha256:{key}:{}", secret(key));
    let at = [&format!("@{address}"), "-p", "5353", "-y", &hmac, "+tries=1", "+tcp"];
    let dig = Command::new("dig").args(at).args(question).output();
    let dig = dig.expect("dig is installed (package bind9-dnsutils)");
    String::from_utf8_lossy(&dig.stdout).into_owned()
}

/// Whether the holder of a key gets a zone as a whole.
fn listed(address: &str, key: &str, zone: &str) -> bool {
    asked(address, key, &[zone, "AXFR"]).contains("\tSOA\t")
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
