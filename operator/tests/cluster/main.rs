//! Tests of what needs a real API server. Here: what the definitions say there, and that `bindy check` says the same of
//! files. `operator` runs the operator beside a cluster whose pods do not run by themselves. In whole clusters, `deploy`
//! tests what is installed, `stories` the examples, `scenarios` what people do to resources, `rollout` how servers change,
//! and `chaos` what may fail.

mod chaos;
mod clients;
#[path = "../corpus/mod.rs"]
mod corpus;
mod deploy;
mod load;
mod mutants;
mod operated;
mod operator;
mod rollout;
mod rotation;
mod running;
mod scenarios;
mod server;
mod stories;
mod updates;
mod witness;
mod writer;

use std::{collections::BTreeSet, fs, path::Path};

use bindy::{
    api::{self, Kind, Resource},
    manifest::{self, Reading},
};
use serde_json::{Value, json};
use zonefmt::diagnostics::Source;

use mutants::Mutant;
use server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_are_applied_again_change_nothing() {
    // Each test installs them.
    let server = Server::start().await;
    for kind in Kind::all() {
        let first = server.definition(kind).await;
        let written = api::crd(kind);
        assert!(has(&first["spec"], &written["spec"]), "{}: a part of the definition was dropped", kind.name());
        server.install(kind).await;
        let second = server.definition(kind).await;
        assert_eq!(first["metadata"]["generation"], second["metadata"]["generation"], "{}", kind.name());
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_and_manifests_in_use_are_stored_as_they_are_meant() {
    let server = Server::start().await;
    let mut kinds = BTreeSet::new();
    for (file, source) in examples().into_iter().chain(corpus::files()) {
        for object in ours(&source) {
            kinds.insert(kind(&object).name());
            let stored = server.apply(&object).await;
            let mut stored = stored.unwrap_or_else(|refusal| panic!("{file}: {refusal:?}: {object}"));
            server.delete(&object).await;
            // The server's additions, of which the time of creation has a meaning.
            stored["metadata"] = object["metadata"].clone();
            assert_eq!(corpus::meaning(&stored), corpus::meaning(&object), "{file}");
        }
    }
    assert_eq!(kinds.len(), Kind::all().count(), "{kinds:?}");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_check_refuses_for_a_cluster_a_cluster_refuses_at_the_same_fields() {
    let server = Server::start().await;
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/refused.yaml")).unwrap();
    for document in text.split("---\n").skip(1) {
        let object = ours(&Source::new("", document)).remove(0);
        let reading = manifest::read(&Source::new("", document));
        let refused = reading.refused.first().unwrap_or_else(|| panic!("no finding: {document}"));
        let told: BTreeSet<String> = refused.findings.iter().map(|finding| finding.path.clone()).collect();
        let refusal = server.try_create(&object).await.expect_err(document);
        let fields: BTreeSet<String> = refusal.fields.iter().map(|field| below_spec(field)).collect();
        assert_eq!(told, fields, "{document}{refusal:?}");
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_and_check_refuse_the_same_of_many_thousand_manifests() {
    let server = Server::start().await;
    let valid: Vec<Value> = corpus::files().iter().flat_map(|(_, source)| ours(source)).collect();
    let mutants = mutants::of(&valid);
    println!("{} manifests", mutants.len());
    let verdicts = server.try_each(mutants).await;
    let mut differences = Vec::new();
    for (Mutant { object, what, is_open }, refusal) in &verdicts {
        let by_check = refused_by_check(object);
        match (refusal, &by_check) {
            (Ok(()), Err(why)) if is_for_a_cluster(object) && !is_open => {
                differences.push(format!("{what}: only check: {why}"));
            }
            (Err(why), Ok(())) => differences.push(format!("{what}: only the cluster: {why:?}")),
            _ => {}
        }
    }
    let refused = verdicts.iter().filter(|(_, refusal)| refusal.is_err()).count();
    assert!(refused > verdicts.len() / 10 && refused < verdicts.len() * 9 / 10, "{refused} of {}", verdicts.len());
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_plan_refuses_a_cluster_refuses() {
    let server = Server::start().await;
    let zone = |name: &str, more: Value| {
        let mut spec = json!({ "zoneName": name, "soaRecord": { "primaryNs": "ns1.example.net.", "adminEmail": "a" } });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        manifest_of("DNSZone", "changed", &spec)
    };
    let instance = |role: &str, replicas: u8| {
        manifest_of("Bind9Instance", "changed", &json!({ "clusterRef": "", "role": role, "replicas": replicas }))
    };
    let cases = [
        (zone("example.com", json!({})), zone("example.com", json!({ "ttl": 60 })), false),
        (zone("example.com", json!({})), zone("example.com.", json!({})), false),
        (zone("example.com.", json!({})), zone("example.com", json!({})), false),
        (zone("example.com", json!({})), zone("example.org", json!({})), true),
        (instance("primary", 1), instance("primary", 2), false),
        (instance("Primary", 1), instance("primary", 1), false),
        (instance("primary", 1), instance("secondary", 1), true),
        (instance("Primary", 1), instance("secondary", 1), true),
    ];
    for (old, new, is_refused) in cases {
        let resource = |object: &Value| -> Resource { read(object).manifests.remove(0).resource };
        let by_plan = api::refusals_of_change(&resource(&old), &resource(&new));
        assert_eq!(!by_plan.is_empty(), is_refused, "{old} → {new}: {by_plan:?}");
        server.apply(&old).await.unwrap_or_else(|refusal| panic!("{old}: {refusal:?}"));
        let changed = server.apply(&new).await;
        assert_eq!(changed.is_err(), is_refused, "{old} → {new}: {changed:?}");
        if let Err(refusal) = changed {
            assert!(refusal.message.contains(&by_plan[0].message), "{refusal:?} {by_plan:?}");
        }
        server.delete(&old).await;
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_are_listed_with_their_state_and_instances_can_be_scaled() {
    let server = Server::start().await;
    let soa = json!({ "primaryNs": "ns1.example.net.", "adminEmail": "a" });
    let zone = manifest_of("DNSZone", "listed", &json!({ "zoneName": "example.com", "soaRecord": soa }));
    let applied = server.apply(&zone).await.expect("it is a zone");
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Served", "message": "", "lastTransitionTime": "2026-01-31T12:00:00Z"
    });
    let state = json!({ "serial": 7, "recordsCount": 3, "servers": "2/2", "conditions": [ready] });
    let mut told = zone.clone();
    told["status"] = state.clone();
    told["spec"]["zoneName"] = json!("example.org");
    let told = server.replace(&told, "status", told.clone()).await.expect("it is a state of a zone");
    assert!(has(&told["status"], &state), "{}", told["status"]);
    assert_eq!(told["spec"], applied["spec"], "a state changes no zone");
    assert_eq!(told["metadata"]["generation"], applied["metadata"]["generation"]);
    let table = server.table(&zone).await;
    let columns = table["columnDefinitions"].as_array().unwrap().iter();
    let shown: Vec<_> = columns.filter(|column| column["priority"] == 0).map(|column| &column["name"]).collect();
    assert_eq!(shown, ["Name", "Zone", "Serial", "Records", "Servers", "Ready", "Age"]);
    let cells = &table["rows"][0]["cells"].as_array().unwrap()[..6];
    assert_eq!(json!(cells), json!(["listed", "example.com", 7, 3, "2/2", "True"]));

    let instance =
        manifest_of("Bind9Instance", "scaled", &json!({ "clusterRef": "", "role": "primary", "replicas": 1 }));
    server.apply(&instance).await.expect("it is an instance");
    let scale =
        |replicas: u8| json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "spec": { "replicas": replicas } });
    let scaled = server.replace(&instance, "scale", scale(3)).await.expect("it can be scaled");
    assert_eq!(scaled["spec"]["replicas"], 3);
    let refusal = server.replace(&instance, "scale", scale(101)).await.expect_err("100 is the bound");
    assert!(refusal.message.contains("less than or equal to 100"), "{refusal:?}");
    let mut told = instance.clone();
    told["status"] = json!({ "replicas": 2, "zonesCount": 7, "conditions": [ready] });
    server.replace(&told, "status", told.clone()).await.expect("it is a state of an instance");
    let table = server.table(&instance).await;
    let cells = &table["rows"][0]["cells"].as_array().unwrap()[..6];
    assert_eq!(json!(cells), json!(["scaled", "", "primary", 2, 7, "True"]), "the pods that there are");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_labels_are_refused_as_by_a_cluster() {
    let server = Server::start().await;
    let long = |length: usize| "a".repeat(length);
    let names = ["a", "a.b", "A", "-a", "a-", "a_b", "a..b", "", "ä", "a b", "1", "a.", &long(253), &long(254)];
    let values = ["", "a", "A_b.c-d", "-a", "a-", "a b", "ä", "a/b", &long(63), &long(64)];
    let keys = [
        "a",
        "A.b_c",
        "a/b",
        "a.b/c",
        "A/b",
        "a/",
        "/a",
        "-a",
        "a/b/c",
        "",
        "a b",
        "ä",
        "a..b/c",
        &long(63),
        &long(64),
    ];
    let long_prefix = format!("{}/a", [long(62), long(62), long(62), long(62)].join("."));
    let label = |key: &str, value: &str| json!({ "name": "a", "labels": { key: value } });
    let metadata = (names.iter().map(|name| json!({ "name": name })))
        .chain(values.iter().map(|value| label("a", value)))
        .chain(keys.iter().copied().chain([&*long_prefix]).map(|key| label(key, "")))
        .chain(keys.iter().map(|key| json!({ "name": "a", "annotations": { *key: "" } })));
    let mut differences = Vec::new();
    for metadata in metadata {
        let object = json!({
            "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "TXTRecord", "metadata": metadata,
            "spec": { "name": "a", "text": ["a"] }
        });
        let by_check = refused_by_check(&object);
        let by_cluster = server.try_create(&object).await;
        if by_check.is_ok() != by_cluster.is_ok() {
            differences.push(format!("{metadata}: check: {by_check:?}, cluster: {by_cluster:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    server.end().await;
}

/// Whether everything of a definition is in what a server made of it.
fn has(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(field, part)| whole.get(field).is_some_and(|whole| has(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| has(whole, part))
        }
        (Value::Number(whole), Value::Number(part)) => whole.as_f64() == part.as_f64(),
        _ => whole == part,
    }
}

/// The first error of `bindy check` about an object, if it is not used.
fn refused_by_check(object: &Value) -> Result<(), String> {
    let reading = read(object);
    if !reading.manifests.is_empty() {
        return Ok(());
    }
    Err(reading.diagnostics.iter().map(ToString::to_string).find(|told| told.contains("error")).unwrap_or_default())
}

/// Whether an object is refused because an API server would refuse it, not only because no server can serve it.
fn is_for_a_cluster(object: &Value) -> bool {
    let mut spec = object["spec"].clone();
    api::modernize(kind(object), &mut spec);
    !api::refusals(kind(object), &spec).is_empty()
}

fn read(object: &Value) -> Reading {
    manifest::read(&Source::new("object.json", object.to_string()))
}

/// The path of a field as findings have it.
fn below_spec(field: &str) -> String {
    field.strip_prefix("spec").map_or(String::new(), |field| field.trim_start_matches('.').to_owned())
}

fn manifest_of(kind: &str, name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "bindy.firestoned.io/v1beta1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// The objects of a file that are of our kinds.
fn ours(source: &Source) -> Vec<Value> {
    let objects = corpus::objects(source).into_iter();
    objects.filter(|object| object["apiVersion"] == "bindy.firestoned.io/v1beta1").collect()
}

fn kind(object: &Value) -> Kind {
    Kind::from_name(object["kind"].as_str().unwrap()).unwrap()
}

/// The manifests of all examples, with the names of their files.
fn examples() -> Vec<(String, Source)> {
    let mut files = Vec::new();
    for story in entries(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples"))) {
        for path in entries(&story).into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "yaml")) {
            files.push((path.display().to_string(), Source::new("", fs::read(&path).unwrap())));
        }
    }
    assert!(files.len() > 20, "{files:?}");
    files
}

/// What is in a folder; nothing if it is a file.
fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}
