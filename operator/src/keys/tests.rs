//! What is made of declarations and Secrets.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    due::{Due, due},
    proofs::Proofs,
    wanted::{self, From, Wanted},
    *,
};
use crate::{
    cluster::{Seen, Store, Text},
    object::{ObjectId, Type},
    render::names::ours,
};

type Fields = BTreeMap<String, String>;

fn id(of: Type, name: &str) -> ObjectId {
    ObjectId { of, namespace: "dns".into(), name: name.into() }
}

fn put(store: &mut Store, id: ObjectId, object: &Value) {
    store.take(Seen::Put(id, Text::from(object)), &mut BTreeSet::new());
}

/// A user's Secret, which is looked for by its name.
fn give(store: &mut Store, name: &str, object: &Value) {
    store.take(Seen::One(id(Type::GivenSecret, name), Some(Text::from(object))), &mut BTreeSet::new());
}

fn now() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

/// A Secret with these fields as an API server has it.
fn secret(fields: &Fields) -> Value {
    let data: BTreeMap<&String, String> =
        fields.iter().map(|(key, text)| (key, BASE64.encode(text.as_bytes()))).collect();
    json!({ "metadata": { "creationTimestamp": "2026-01-31T11:00:00Z" }, "data": data })
}

fn a_users(name: &str, octets: &[u8]) -> Value {
    let fields = [("name", name.to_owned()), ("secret", BASE64.encode(octets))];
    secret(&fields.map(|(key, text)| (key.to_owned(), text)).into())
}

/// The servers of a cluster whose role and instance say this of keys. There are no pods.
fn declared(cluster: &Value, instance: &Value) -> Store {
    let mut store = Store::default();
    let mut spec = json!({ "clusterRef": "ns", "role": "primary" });
    spec.as_object_mut().unwrap().extend(instance.as_object().unwrap().clone());
    for (kind, name, spec) in [(Kind::CLUSTER, "ns", cluster), (Kind::INSTANCE, "a", &spec)] {
        let object = json!({ "metadata": { "name": name, "namespace": "dns", "uid": "0" }, "spec": spec });
        put(&mut store, id(Type::Own(kind), name), &object);
    }
    store.take(Seen::All(Type::Pod, "dns".into(), Vec::new()), &mut BTreeSet::new());
    store
}

fn rndc(store: &Store) -> Wanted {
    wanted::of(store).into_iter().find(|wanted| wanted.id.name == "a-rndc-key").unwrap()
}

/// The fields and the annotations that a Secret gets, of those that it has not; those that go are empty.
fn changes(wanted: &Wanted, store: &Store) -> Result<(Fields, Fields), String> {
    let mut proofs = Proofs::default();
    proofs.see(store, ["dns"].into_iter());
    let text = |text: Option<zeroize::Zeroizing<String>>| text.map(|text| text.to_string()).unwrap_or_default();
    Ok(match due(wanted, store, &mut proofs, now())? {
        None => Default::default(),
        Some(Due::Make { ring: None, .. }) => ([("secret".into(), "chance".into())].into(), Fields::new()),
        Some(Due::Make { ring: Some(ring), others }) => {
            let data = ring.data(wanted.purpose, wanted.policy().is_some(), &others);
            (
                data.into_iter().map(|(key, it)| (key, text(it))).filter(|(_, it)| !it.is_empty()).collect(),
                Fields::new(),
            )
        }
        Some(Due::Change(change)) => (
            change.data.into_iter().map(|(key, it)| (key, text(it))).collect(),
            change.annotations.into_iter().map(|(name, text)| (name, text.unwrap_or_default())).collect(),
        ),
    })
}

fn data(wanted: &Wanted, store: &Store) -> Result<Fields, String> {
    changes(wanted, store).map(|(data, _)| data)
}

/// The fields of a Secret that was made for a server.
fn made(wanted: &Wanted) -> Fields {
    let From::Chance { name, algorithm, .. } = &wanted.from else { panic!("it is given") };
    let used = material::Material::random(name.clone(), algorithm.unwrap_or_default()).unwrap();
    let data = material::Ring { used, other: None }.data(wanted.purpose, wanted.policy().is_some(), &[]);
    data.into_iter().filter_map(|(key, text)| Some((key, text?.to_string()))).collect()
}

#[test]
fn what_is_said_nearest_to_a_server_counts() {
    let (one, two) = (json!({ "name": "one" }), json!({ "name": "two" }));
    let cluster = |role: Value, global: Value| json!({ "primary": role, "global": global });
    let none = || json!({});
    let rotates = |after: &str| json!({ "autoRotate": true, "rotateAfter": after });
    let cases = [
        (cluster(none(), json!({ "rndcSecretRef": one })), none(), Some("one"), None),
        (cluster(json!({ "rndcSecretRef": two }), json!({ "rndcSecretRef": one })), none(), Some("two"), None),
        (cluster(json!({ "rndcKey": { "secretRef": two } }), none()), none(), Some("two"), None),
        (cluster(json!({ "rndcKeys": { "secretRef": two } }), none()), none(), Some("two"), None),
        (cluster(json!({ "rndcSecretRef": two }), none()), json!({ "rndcSecretRef": one }), Some("one"), None),
        (
            cluster(json!({ "rndcSecretRef": two }), none()),
            json!({ "rndcKey": { "secretRef": one } }),
            Some("one"),
            None,
        ),
        (cluster(json!({ "rndcKey": { "algorithm": "hmac-sha512" } }), none()), none(), None, None),
        (cluster(none(), json!({ "rndcKey": rotates("1w") })), none(), None, Some(168)),
        (cluster(json!({ "rndcKey": rotates("2d1h") }), json!({ "rndcKey": rotates("1w") })), none(), None, Some(49)),
        (cluster(json!({ "rndcKey": rotates("2d") }), none()), json!({ "rndcKey": rotates("1h") }), None, Some(1)),
        (cluster(json!({ "rndcKey": rotates("2d") }), none()), json!({ "rndcKey": {} }), None, None),
        (
            cluster(json!({ "rndcKey": { "secretRef": two } }), none()),
            json!({ "rndcKey": rotates("1h") }),
            None,
            Some(1),
        ),
        (cluster(none(), json!({ "rndcKey": rotates("1w") })), json!({ "rndcSecretRef": one }), Some("one"), None),
    ];
    for (cluster, instance, name, hours) in cases {
        let wanted = rndc(&declared(&cluster, &instance));
        let given: Vec<String> = wanted.given().map(|id| id.name).collect();
        assert_eq!(given, name.into_iter().collect::<Vec<_>>(), "{cluster} {instance}");
        let after = wanted.policy().and_then(|policy| policy.after).map(|after| after.as_hours());
        assert_eq!(after, hours, "{cluster} {instance}");
    }
}

#[test]
fn a_key_is_as_long_as_what_its_algorithm_makes_and_another_algorithm_replaces_it() {
    let role = |algorithm: &str| json!({ "primary": { "rndcKey": { "algorithm": algorithm } } });
    for (algorithm, octets) in
        [("hmac-sha1", 20), ("hmac-sha224", 28), ("hmac-sha256", 32), ("hmac-sha384", 48), ("hmac-sha512", 64)]
    {
        let mut store = declared(&role(algorithm), &json!({}));
        let wanted = rndc(&store);
        assert_eq!(data(&wanted, &store).unwrap()["secret"], "chance");
        let made = made(&wanted);
        assert_eq!(BASE64.decode(made["secret"].as_bytes()).unwrap().len(), octets);
        assert!(made["rndc.key"].contains(&format!("algorithm {algorithm};")));
        put(&mut store, wanted.id.clone(), &secret(&made));
        assert_eq!(data(&wanted, &store), Ok(Fields::new()));
        let other = if algorithm == "hmac-sha1" { "hmac-sha512" } else { "hmac-sha1" };
        let staged = data(&rndc(&self::declared(&role(other), &json!({}))), &store).unwrap();
        assert_eq!(staged["other-algorithm"], other);
        assert!(!staged.contains_key("secret") && !staged.contains_key("rndc.key"), "the former stays in use");
        assert!(staged["keys.conf"].contains(&made["secret"]) && staged["keys.conf"].contains(&staged["other-secret"]));
        let any = rndc(&self::declared(&json!({ "primary": {} }), &json!({})));
        assert_eq!(data(&any, &store), Ok(Fields::new()), "nobody asks for another");
    }
}

/// Writes what a Secret is to have, as an API server does; returns what it gets.
fn step(wanted: &Wanted, store: &mut Store, live: &mut Value) -> (Fields, Fields) {
    put(store, wanted.id.clone(), live);
    let (data, annotations) = changes(wanted, store).unwrap();
    for (field, changes) in [("annotations", &annotations), ("data", &data)] {
        let object = if field == "data" { &mut *live } else { &mut live["metadata"] };
        for (key, text) in changes {
            let encoded = if field == "data" { BASE64.encode(text.as_bytes()) } else { text.clone() };
            object[field][key] = if text.is_empty() { Value::Null } else { json!(encoded) };
        }
    }
    put(store, wanted.id.clone(), live);
    (data, annotations)
}

fn note<'l>(live: &'l Value, name: &str) -> &'l str {
    live["metadata"]["annotations"][ours(name)].as_str().unwrap_or_default()
}

fn text(live: &Value, key: &str) -> String {
    String::from_utf8(BASE64.decode(live["data"][key].as_str().unwrap().as_bytes()).unwrap()).unwrap()
}

/// Its `named.conf` stays as it is, and names that key.
#[test]
fn a_server_whose_cluster_is_gone_or_cannot_be_read_keeps_its_key_and_gets_another_on_request() {
    let mut store = declared(&json!({ "rndcSecretRefs": [{ "name": "more", "keyNameKey": "name" }] }), &json!({}));
    give(&mut store, "more", &a_users("l", b"three"));
    let mut live = secret(&made(&rndc(&store)));
    let (before, _) = step(&rndc(&store), &mut store, &mut live);
    assert!(before["keys.conf"].contains("key \"l\""));
    store.take(Seen::Gone(id(Type::Own(Kind::CLUSTER), "ns")), &mut BTreeSet::new());
    let wanted = rndc(&store);
    assert!(matches!(wanted.from, From::Kept));
    assert_eq!(step(&wanted, &mut store, &mut live), Default::default());
    let former = text(&live, "secret");
    for phase in ["Staged", "Active"] {
        live["metadata"]["annotations"][ours("rndc-rotate")] = json!("please");
        step(&wanted, &mut store, &mut live);
        assert_eq!(note(&live, "rndc-rotation-phase"), phase);
        assert_eq!(text(&live, "keys.conf").matches("key \"").count(), 3, "{phase}");
        assert!(
            text(&live, "keys.conf").contains(&before["keys.conf"][before["keys.conf"].find("key \"l").unwrap()..])
        );
    }
    assert_ne!(text(&live, "secret"), former);
    live["metadata"]["annotations"][ours("rndc-rotated-at")] = json!("2026-01-31T11:00:00Z");
    step(&wanted, &mut store, &mut live);
    assert!(!text(&live, "keys.conf").contains(&former), "what was under way comes to its end");

    live["metadata"]["annotations"][ours("key-from")] = json!("mine");
    live["metadata"]["annotations"][ours("rndc-rotate")] = json!("please");
    assert_eq!(step(&wanted, &mut store, &mut live), Default::default(), "that is not Bindy's to replace");
    let refused = declared(&json!({ "primary": { "rndcKey": { "algorithm": "hmac-md5" } } }), &json!({}));
    assert!(matches!(rndc(&refused).from, From::Kept));
    assert_eq!(data(&rndc(&refused), &refused), Ok(Fields::new()), "nobody knows what it should be");
}

#[test]
fn a_key_that_cannot_be_used_on_is_replaced_at_once_and_counts_as_replaced() {
    let mut store = declared(&json!({}), &json!({}));
    let wanted = rndc(&store);
    let mut good = secret(&made(&wanted));
    let past = "2026-01-31T11:30:00Z";
    good["metadata"]["annotations"] = json!({ ours("rndc-rotation-count"): "4", ours("rndc-rotated-at"): past });
    let mut bad = vec![good.clone()];
    bad[0]["metadata"]["annotations"][ours("key-from")] = json!("mine");
    for (key, text) in [("secret", json!("?")), ("algorithm", Value::Null), ("key-name", json!(BASE64.encode(b"a\"")))]
    {
        bad.push(good.clone());
        bad.last_mut().unwrap()["data"][key] = text;
    }
    for mut live in bad {
        let (data, _) = step(&wanted, &mut store, &mut live);
        assert!(data.contains_key("keys.conf") && note(&live, "rndc-rotation-phase") == "Revoked", "{live}");
        assert_eq!((note(&live, "rndc-rotation-count"), note(&live, "rndc-revoked-at")), ("5", ""));
        assert_eq!((note(&live, "rndc-rotated-at"), note(&live, "key-from")), ("2026-01-31T12:00:00Z", ""));
        assert!(note(&live, "rndc-rotation").starts_with("Rotating: "));
    }
}

#[test]
fn what_a_secret_records_outlasts_that_a_user_gives_the_key() {
    let reference = |strategy: &str| {
        let reference = json!({ "name": "mine", "keyNameKey": "name" });
        let mut store = declared(&json!({}), &json!({ "rndcKey": { "secretRef": reference, "strategy": strategy } }));
        give(&mut store, "mine", &a_users("k", b"one"));
        store
    };
    let mut live = secret(&made(&rndc(&declared(&json!({}), &json!({})))));
    let notes = [
        ("rndc-rotation-count", "4"),
        ("rndc-rotated-at", "2026-01-31T11:30:00Z"),
        ("rndc-changed-at", "2026-01-31T11:40:00Z"),
        ("rndc-revoke", "please"),
    ];
    for (name, text) in notes {
        live["metadata"]["annotations"][ours(name)] = json!(text);
    }
    let mut store = reference("Reload");
    let wanted = rndc(&store);
    let (data, _) = step(&wanted, &mut store, &mut live);
    assert_eq!(data["key-name"], "k");
    for (name, text) in notes {
        assert_eq!(note(&live, name), text, "{name}");
    }
    assert!(note(&live, "rndc-rotation").starts_with("ExternallyManaged: The key is that of the Secret mine"));
    let mut store = reference("Restart");
    let wanted = rndc(&store);
    assert_eq!(step(&wanted, &mut store, &mut live), Default::default());
    put(&mut store, id(Type::GivenSecret, "mine"), &a_users("k", b"two"));
    step(&wanted, &mut store, &mut live);
    assert_eq!(note(&live, "rndc-changed-at"), "2026-01-31T12:00:00Z", "pods are replaced for that");
}

/// A former version has not written it, and pods name it.
#[test]
fn a_secret_gets_the_file_that_servers_read_also_while_the_users_is_gone() {
    let mut store = declared(&json!({}), &json!({ "rndcKey": { "secretRef": { "name": "mine" } } }));
    store.take(Seen::One(id(Type::GivenSecret, "mine"), None), &mut BTreeSet::new());
    let wanted = rndc(&store);
    let mut fields = made(&rndc(&declared(&json!({}), &json!({}))));
    let whole = fields.remove("keys.conf").unwrap();
    let mut live = secret(&fields);
    let (data, _) = step(&wanted, &mut store, &mut live);
    assert!(whole.starts_with(&data["keys.conf"]), "{data:?}");
    assert!(self::data(&wanted, &store).unwrap_err().contains("there is no Secret dns/mine"));
}

#[test]
fn a_key_is_that_of_what_is_in_force() {
    let mut store = declared(&json!({ "primary": {} }), &json!({}));
    let before = json!({ "primary": { "rndcSecretRef": { "name": "mine" } } });
    let mut cluster = store.get(&id(Type::Own(Kind::CLUSTER), "ns")).unwrap();
    cluster["spec"] = json!({ "primary": { "rndcKey": { "algorithm": "hmac-md5" } } });
    cluster["status"] = json!({ "inForce": before.to_string() });
    store.take(Seen::Put(id(Type::Own(Kind::CLUSTER), "ns"), Text::from(&cluster)), &mut BTreeSet::new());
    let given: Vec<String> = rndc(&store).given().map(|id| id.name).collect();
    assert_eq!(given, ["mine"]);
}

#[test]
fn keys_follow_the_secrets_of_users() {
    let reference = json!({ "name": "mine", "keyNameKey": "name", "algorithm": "hmac-sha384" });
    let more = json!([{ "name": "more", "keyNameKey": "name" }]);
    let mut store = declared(&json!({ "rndcSecretRefs": more }), &json!({ "rndcKey": { "secretRef": reference } }));
    let wanted = rndc(&store);
    assert_eq!(data(&wanted, &store), Ok(Fields::new()), "nobody has looked yet");
    for name in ["mine", "more"] {
        store.take(Seen::One(id(Type::GivenSecret, name), None), &mut BTreeSet::new());
    }
    assert_eq!(data(&wanted, &store), Err("there is no Secret dns/mine; create it".into()));
    put(&mut store, id(Type::GivenSecret, "mine"), &a_users("k", b"one"));
    let first = data(&wanted, &store).unwrap();
    assert_eq!((&*first["key-name"], &*first["algorithm"]), ("k", "hmac-sha384"));
    put(&mut store, wanted.id.clone(), &secret(&first));
    assert_eq!(data(&wanted, &store), Err("there is no Secret dns/more; create it".into()));
    put(&mut store, id(Type::GivenSecret, "more"), &a_users("l", b"three"));
    let (second, annotations) = changes(&wanted, &store).unwrap();
    assert_eq!(second["keys.conf"].matches("key \"").count(), 2);
    assert!(annotations[&ours("rndc-rotation")].starts_with("ExternallyManaged: "), "{annotations:?}");
    put(&mut store, wanted.id.clone(), &secret(&first.into_iter().chain(second).collect()));
    assert_eq!(data(&wanted, &store), Ok(Fields::new()));
    assert_eq!(names_of(&store.get(&wanted.id).unwrap()), ["k", "l"]);
    put(&mut store, id(Type::GivenSecret, "mine"), &a_users("k", b"two"));
    assert_eq!(data(&wanted, &store).unwrap()["secret"], BASE64.encode(b"two"));
    for name in ["a\"; };", "", "a b"] {
        put(&mut store, id(Type::GivenSecret, "mine"), &a_users(name, b"two"));
        assert!(data(&wanted, &store).is_err(), "{name}");
    }
}

#[test]
fn a_replacement_goes_on_from_what_the_secret_has() {
    let mut store = declared(&json!({}), &json!({ "rndcKey": { "autoRotate": true, "rotateAfter": "1h" } }));
    let wanted = rndc(&store);
    let first = made(&wanted);
    let mut live = secret(&first);
    let mut step = |live: &mut Value| {
        let (_, annotations) = self::step(&wanted, &mut store, live);
        annotations.get(&ours("rndc-rotation-phase")).cloned()
    };
    // It is an hour old.
    assert_eq!(step(&mut live).as_deref(), Some("Staged"));
    assert_eq!((text(&live, "secret"), text(&live, "rndc.key")), (first["secret"].clone(), first["rndc.key"].clone()));
    let mut damaged = live.clone();
    damaged["data"]["other-secret"] = Value::Null;
    step(&mut damaged);
    assert_eq!(text(&damaged, "secret"), first["secret"], "nothing is put to use");
    assert_ne!(text(&damaged, "other-secret"), text(&live, "other-secret"), "what is lost is made anew");
    damaged["metadata"]["annotations"][ours("rndc-rotation-phase")] = Value::Null;
    damaged["metadata"]["annotations"][ours("rndc-created-at")] = json!("2026-01-31T12:00:00Z");
    step(&mut damaged);
    assert!(damaged["data"]["other-secret"].is_null(), "what nobody knows of is accepted by nobody");
    let successor = text(&live, "other-secret");
    assert_eq!(text(&live, "key-names"), "bindy-operator\nbindy-operator-other", "as before, and as ever");
    // There is no pod to be asked.
    assert_eq!(step(&mut live).as_deref(), Some("Active"));
    assert_eq!((text(&live, "secret"), text(&live, "other-secret")), (successor.clone(), first["secret"].clone()));
    assert!(text(&live, "rndc.key").contains(&successor) && text(&live, "keys.conf").contains(&first["secret"]));
    assert_eq!(note(&live, "rndc-rotation-count"), "1");
    assert_eq!(note(&live, "rndc-rotate-at"), "2026-01-31T13:00:00Z");
    assert!(note(&live, "rndc-rotation").starts_with("FormerKeyAccepted: "), "{live}");
    assert_eq!(step(&mut live), None, "the former key is accepted for a while");
    live["metadata"]["annotations"][ours("rndc-rotated-at")] = json!("2026-01-31T11:00:00Z");
    assert_eq!(step(&mut live).as_deref(), Some(""));
    assert!(!text(&live, "keys.conf").contains(&first["secret"]) && live["data"]["other-secret"].is_null());
    assert!(note(&live, "rndc-rotation").starts_with("NotDue: "), "{live}");
    live["metadata"]["annotations"][ours("rndc-revoke")] = json!("leaked");
    assert_eq!(step(&mut live).as_deref(), Some("Revoked"));
    assert!(!text(&live, "keys.conf").contains(&successor), "it is accepted no more");
    assert!(live["metadata"]["annotations"][ours("rndc-revoke")].is_null(), "it was done");
    assert_eq!(step(&mut live).as_deref(), Some(""));
    assert_eq!(step(&mut live), None);
}

/// What a cluster's key of transfers is, and what its Secret gets.
fn transfer(store: &Store) -> Wanted {
    wanted::of(store).into_iter().find(|wanted| wanted.id.name == "ns-transfer-key").unwrap()
}

#[test]
fn a_key_of_transfers_gets_another_name_and_the_former_goes_when_all_servers_use_it() {
    let mut store = declared(&json!({ "transferKey": { "autoRotate": true, "rotateAfter": "1h" } }), &json!({}));
    let wanted = transfer(&store);
    assert_eq!(wanted.servers.iter().map(|server| &*server.name).collect::<Vec<_>>(), ["a"]);
    let first = made(&wanted);
    assert_eq!((&*first["key-name"], &*first["key-names"]), ("dns.ns.1", "dns.ns.1"));
    let mut live = secret(&first);
    let keys = |live: &Value| {
        let mut store = Store::default();
        put(&mut store, wanted.id.clone(), live);
        let keys = TransferKeys::of(&store);
        let names = keys.of_owner("dns", "ns").iter().map(|key| key.name().to_string());
        names.collect::<Vec<_>>()
    };
    let uses = |store: &mut Store, key: &str| {
        let instance = id(Type::Own(Kind::INSTANCE), "a");
        let mut object = store.get(&instance).unwrap();
        object["status"][IN_USE] = json!(key);
        put(store, instance, &object);
    };
    assert_eq!(keys(&live), ["dns.ns.1."]);
    uses(&mut store, "dns.ns.1");
    // It is an hour old.
    step(&wanted, &mut store, &mut live);
    assert_eq!(note(&live, "transfer-rotation-phase"), "Staged");
    assert_eq!(
        (text(&live, "secret"), text(&live, "key-names")),
        (first["secret"].clone(), "dns.ns.1\ndns.ns.2".into())
    );
    assert!(text(&live, "transfer.key").starts_with(&first["transfer.key"]), "both are there");
    assert_eq!(keys(&live), ["dns.ns.1.", "dns.ns.2."]);
    let mut damaged = live.clone();
    damaged["data"]["other-key-name"] = damaged["data"]["key-name"].clone();
    step(&wanted, &mut store, &mut damaged);
    assert_eq!((text(&damaged, "other-key-name"), keys(&damaged).len()), ("dns.ns.2".into(), 2), "made anew");
    // There is no pod to be asked.
    put(&mut store, wanted.id.clone(), &live);
    step(&wanted, &mut store, &mut live);
    assert_eq!(
        (note(&live, "transfer-rotation-phase"), keys(&live)),
        ("Active", vec!["dns.ns.2.".into(), "dns.ns.1.".into()])
    );
    assert_ne!(text(&live, "secret"), first["secret"]);
    live["metadata"]["annotations"][ours("transfer-rotated-at")] = json!("2026-01-31T11:00:00Z");
    step(&wanted, &mut store, &mut live);
    assert_eq!(note(&live, "transfer-rotation-phase"), "Active");
    assert!(
        note(&live, "transfer-rotation").starts_with("RotationWaiting: Not all pods have the configuration"),
        "{live}"
    );
    uses(&mut store, "dns.ns.2");
    step(&wanted, &mut store, &mut live);
    assert_eq!((note(&live, "transfer-rotation-phase"), keys(&live)), ("", vec!["dns.ns.2.".into()]));
    assert!(live["data"]["other-key-name"].is_null() && live["data"]["other-secret"].is_null());
    assert_eq!(note(&live, "transfer-rotation-count"), "1");

    // What somebody else knows already has no name that is used again.
    live["metadata"]["annotations"][ours("transfer-rotate")] = json!("please");
    live["metadata"]["annotations"][ours("transfer-rotated-at")] = json!("2026-01-31T10:00:00Z");
    step(&wanted, &mut store, &mut live);
    assert_eq!(keys(&live), ["dns.ns.2.", "dns.ns.3."]);
    live["metadata"]["annotations"][ours("transfer-revoke")] = json!("leaked");
    step(&wanted, &mut store, &mut live);
    assert_eq!((note(&live, "transfer-rotation-phase"), keys(&live)), ("Revoked", vec!["dns.ns.4.".into()]));
    live["data"]["secret"] = json!("?");
    step(&wanted, &mut store, &mut live);
    assert_eq!(keys(&live), ["dns.ns.5."], "what is no key is replaced");
}

#[test]
fn a_server_on_its_own_has_a_key_of_transfers_and_says_when_it_is_replaced() {
    let mut store = declared(&json!({}), &json!({ "transferKey": { "autoRotate": true } }));
    let of = |store: &Store| {
        let keys = wanted::of(store).into_iter().filter(|wanted| wanted.purpose == Purpose::Transfer);
        let said = keys.map(|wanted| {
            let after = wanted.policy().and_then(|policy| policy.after).map(|after| after.as_hours());
            (wanted.id.name, wanted.servers.len(), after)
        });
        said.collect::<Vec<_>>()
    };
    assert_eq!(of(&store), [("ns-transfer-key".into(), 1, None)], "that of a cluster says nothing of it");
    let spec = json!({ "clusterRef": "", "role": "primary", "transferKey": { "autoRotate": true } });
    let alone = json!({ "metadata": { "name": "b", "namespace": "dns", "uid": "0" }, "spec": spec });
    put(&mut store, id(Type::Own(Kind::INSTANCE), "b"), &alone);
    assert_eq!(of(&store), [("ns-transfer-key".into(), 1, None), ("b-transfer-key".into(), 1, Some(720))]);
}

/// A kubelet may take a minute and a half, and each pod that answers is no news.
#[test]
fn it_takes_minutes_until_pods_are_waited_for_and_others_of_them_are_a_detail() {
    let mut store = declared(&json!({}), &json!({}));
    let pods = |names: &[&str]| {
        let pod = |name: &&str| {
            let pod = json!({
                "metadata": { "uid": name, "labels": { "instance": "a" } },
                "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
            });
            (id(Type::Pod, name), Text::from(&pod))
        };
        Seen::All(Type::Pod, "dns".into(), names.iter().map(pod).collect())
    };
    store.take(pods(&["a-1", "a-2"]), &mut BTreeSet::new());
    let wanted = rndc(&store);
    let mut live = secret(&made(&wanted));
    live["metadata"]["annotations"][ours("rndc-rotate")] = json!("please");
    step(&wanted, &mut store, &mut live);
    assert!(note(&live, "rndc-rotation").starts_with("Rotating: "));
    live["metadata"]["annotations"][ours("rndc-staged-at")] = json!("2026-01-31T11:58:01Z");
    put(&mut store, wanted.id.clone(), &live);
    assert_eq!(step(&wanted, &mut store, &mut live), Default::default(), "that may be");
    live["metadata"]["annotations"][ours("rndc-staged-at")] = json!("2026-01-31T11:58:00Z");
    let is_detail = |store: &Store| {
        let mut proofs = Proofs::default();
        proofs.see(store, ["dns"].into_iter());
        let Some(Due::Change(change)) = due(&wanted, store, &mut proofs, now()).unwrap() else { panic!() };
        change.is_detail
    };
    put(&mut store, wanted.id.clone(), &live);
    assert!(!is_detail(&store));
    step(&wanted, &mut store, &mut live);
    assert!(note(&live, "rndc-rotation").starts_with("RotationWaiting: No answer to the new key from a-1, a-2;"));
    store.take(pods(&["a-2"]), &mut BTreeSet::new());
    assert!(is_detail(&store));
}

#[test]
fn a_template_has_the_first_key_and_no_later_one() {
    let template = |data: Value| json!({ "rndcKey": { "autoRotate": true, "secret": { "metadata": { "name": "mine" }, "stringData": data } } });
    let whole = template(json!({ "key-name": "k", "algorithm": "hmac-sha512", "secret": "Zmlyc3Q=" }));
    let mut store = declared(&json!({}), &whole);
    let wanted = rndc(&store);
    let first = data(&wanted, &store).unwrap();
    assert_eq!([&first["key-name"], &first["algorithm"], &first["secret"]], ["k", "hmac-sha512", "Zmlyc3Q="]);
    let other = self::declared(
        &json!({}),
        &template(json!({ "key-name": "k", "algorithm": "hmac-sha512", "secret": "c2Vjb25k" })),
    );
    put(&mut store, wanted.id.clone(), &secret(&first));
    assert_eq!(data(&rndc(&other), &store), Ok(Fields::new()), "there is a key");
    let part = declared(&json!({}), &template(json!({ "key-name": "k" })));
    let made = data(&rndc(&part), &part).unwrap();
    assert_eq!((&*made["key-name"], BASE64.decode(made["secret"].as_bytes()).unwrap().len()), ("k", 32));
    let wrong = declared(&json!({}), &template(json!({ "secret": "?" })));
    assert!(data(&rndc(&wrong), &wrong).is_err_and(|why| why.contains("rndcKey.secret")));
}
