//! The API as other programs see it: CustomResourceDefinitions, the field reference, and manifests that are in use.

mod corpus;

use std::{collections::BTreeSet, fs, path::Path};

use bindy::{
    api::{self, Kind},
    manifest,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::{ValidationErrors, Validator};
use serde_json::{Value, json};
use zonefmt::diagnostics::{Severity, Source};

#[test]
fn the_definitions_in_deploy_are_current() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crds"));
    for (name, text) in api::crd_files() {
        assert!(text.len() < 200_000, "{name} has {} octets, and `kubectl apply` takes 262144 at most", text.len());
        current(&folder.join(name), &text);
    }
    let listed = fs::read_to_string(folder.join("kustomization.yaml")).unwrap();
    let listed: BTreeSet<_> = listed.lines().filter_map(|line| Some(line.strip_prefix("  - ")?.to_owned())).collect();
    assert_eq!(listed, api::crd_files().into_iter().map(|(name, _)| name).collect());
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1 + listed.len());
}

#[test]
fn the_field_reference_is_current() {
    current(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md")), &api::reference());
}

#[test]
fn the_definitions_have_nothing_that_kubernetes_does_not_know() {
    for kind in Kind::all() {
        let crd = api::crd(kind);
        let typed: CustomResourceDefinition = serde_json::from_value(crd.clone()).unwrap();
        let mut again = serde_json::to_value(typed).unwrap();
        whole_numbers(&mut again);
        assert_eq!(again, crd, "{}", kind.name());
    }
}

#[test]
fn every_string_list_and_map_is_bounded_and_every_node_is_structural() {
    for kind in Kind::all() {
        each_node(&schema(kind), &mut String::from(kind.name()), &mut |path, node| {
            let open = node["x-kubernetes-preserve-unknown-fields"] == true;
            assert!(
                node["description"].is_string() || is_inner(path) || path.rsplit('.').next() == Some("metadata"),
                "{path}"
            );
            match node["type"].as_str() {
                Some("string") => {
                    let bounded = node.get("maxLength").or(node.get("enum")).or(node.get("format")).is_some();
                    assert!(bounded || matches!(path.rsplit('.').next(), Some("kind" | "apiVersion")), "{path}");
                }
                Some("array") => assert!(node["maxItems"].is_number() && node["items"].is_object(), "{path}"),
                Some("object") if node.get("additionalProperties").is_some() => {
                    assert!(node["maxProperties"].is_number(), "{path}");
                }
                Some("object") => {
                    let described =
                        open || node["properties"].is_object() || path.rsplit('.').next() == Some("metadata");
                    assert!(described, "{path}");
                }
                Some("integer" | "boolean") => {}
                other => assert!(open, "{path}: {other:?}"),
            }
        });
    }
}

#[test]
fn manifests_in_use_are_read_and_admitted() {
    const WITHOUT_EFFECT: [&str; 4] = ["forwarders", "bindcarConfig", "dnssec.validation", "dnssec.signing.enabled"];
    let mut kinds = BTreeSet::new();
    for (path, source) in corpus::files() {
        let reading = manifest::read(&source);
        let errors: Vec<_> = reading.diagnostics.iter().filter(|told| told.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let warnings = reading.diagnostics.iter().filter(|told| told.severity == Severity::Warning);
        let warnings: Vec<_> = warnings.map(|told| told.message.clone()).collect();
        let (without_effect, warnings): (Vec<_>, Vec<_>) =
            warnings.into_iter().partition(|told| told.contains("` has no effect: "));
        if path.ends_with("former.yaml") {
            let is_known =
                |told: &String| ["former", "no effect", "is an object"].iter().any(|word| told.contains(word));
            assert!(warnings.iter().all(is_known), "{warnings:?}");
        } else {
            assert_eq!(warnings, [""; 0], "{path}");
            let is_known = |told: &String| WITHOUT_EFFECT.iter().any(|field| told.contains(&format!(".{field}` has")));
            assert!(without_effect.iter().all(is_known), "{path}: {without_effect:?}");
        }
        for object in
            corpus::objects(&source).into_iter().filter(|object| object["apiVersion"] == "bindy.firestoned.io/v1beta1")
        {
            let kind = Kind::from_name(object["kind"].as_str().unwrap()).unwrap();
            kinds.insert(kind.name());
            let schema = schema(kind);
            let validator = jsonschema::validator_for(&schema).unwrap();
            let wrong: Vec<_> = validator.iter_errors(&object).map(|error| error.to_string()).collect();
            assert_eq!(wrong, [""; 0], "{path}: {} {}", kind.name(), object["metadata"]["name"]);
            assert_eq!(unknown(&schema, &object), [""; 0], "{path}: an API server would drop these");
            assert_eq!(broken(kind, &object, None), [""; 0], "{path}: {}", object["metadata"]["name"]);
            let mut defaulted = object.clone();
            fill_defaults(&schema, &mut defaulted);
            assert_eq!(
                corpus::meaning(&defaulted),
                corpus::meaning(&object),
                "{path}: defaults of an API server change what it says"
            );
        }
    }
    assert_eq!(kinds.len(), Kind::all().count(), "{kinds:?}");
}

#[test]
fn former_spellings_are_taken_for_what_was_meant() {
    let (_, source) = corpus::files().into_iter().find(|(path, _)| path.ends_with("former.yaml")).unwrap();
    let told: Vec<String> = manifest::read(&source).diagnostics.iter().map(ToString::to_string).collect();
    let expect = |line: &str| assert!(told.iter().any(|told| told.contains(line)), "{line}\n{told:#?}");
    expect(":19:3: warning: `common` is a former spelling (write what is in `common` one level up, without it)");
    expect(":21:5: warning: `zonesFrom` has no effect (zones select their servers");
    expect(":10:5: warning: `primary.rndcKeys` is a former spelling (write `primary.rndcKey`)");
    expect(":14:15: warning: `primary.service.type` is a former spelling (write `primary.service.spec.type`)");
    expect(":24:16: warning: `global.dnssec.enabled` has no effect");
    expect(": warning: `global.dnssec` as a switch has no effect");
    expect(": warning: `global.dnssecValidation` is a former spelling (write `global.dnssec.validation`)");
    expect(": warning: `role` has a former spelling (write `primary` or `secondary`)");
    expect(": warning: `storage.size` is a former spelling (write `storage.persistentVolumeClaim.size`)");
    expect(": warning: `soaRecord.primaryServer` is a former spelling (write `soaRecord.primaryNs`)");
    expect(": warning: `ipv4Address` is a former spelling (write a list, `ipv4Addresses`)");
    expect(": warning: `image` is an object (write `image: {image: …}`)");
}

#[test]
fn former_spellings_without_effect_are_refused_where_an_api_server_refuses_them() {
    let told = |spec: Value| {
        let object = json!({
            "apiVersion": "bindy.firestoned.io/v1beta1", "kind": "Bind9Cluster", "metadata": { "name": "a" }, "spec": spec
        });
        let reading = manifest::read(&Source::new("", object.to_string()));
        let errors = reading.refused.into_iter().flat_map(|refused| refused.findings);
        errors.map(|error| format!("{}: {}", error.path, error.message)).collect::<Vec<_>>()
    };
    assert_eq!(told(json!({ "common": "a" })), [r#"common: "a" is not of type "object""#]);
    let both =
        |former: Value| told(json!({ "global": { "dnssec": { "validation": true }, "dnssecValidation": former } }));
    assert_eq!(both(json!(false)), [""; 0]);
    assert_eq!(both(json!("a")), [r#"global.dnssecValidation: "a" is not of type "boolean""#]);
}

#[test]
fn what_an_api_server_would_refuse_is_refused_in_files() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/refused.yaml")).unwrap();
    let mut all = String::new();
    for document in text.split("---\n").skip(1) {
        let reading = manifest::read(&Source::new("", document));
        let errors = reading.diagnostics.iter().filter(|told| told.severity == Severity::Error);
        let told: Vec<_> = errors.map(|error| error.to_string().trim_start_matches(':').to_owned()).collect();
        let expected: Vec<_> = document.lines().filter_map(|line| line.strip_prefix("# ")).collect();
        assert_eq!(told, expected, "{document}");
        assert!(reading.manifests.is_empty());
        all.extend(told);
    }
    for kind in Kind::all() {
        assert!(text.contains(&format!("\nkind: {}\n", kind.name())), "nothing of {} is refused", kind.name());
        each_node(api::spec_schema(kind), &mut String::from(kind.name()), &mut |path, node| {
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let compares = rule["rule"].as_str().unwrap().contains("oldSelf");
                assert!(compares || all.contains(rule["message"].as_str().unwrap()), "{path}: {rule} refuses nothing");
            }
        });
    }
}

#[test]
fn rules_hold_where_types_cannot() {
    let record = |kind: &str, spec: Value| (kind.to_owned(), spec);
    let admitted = |(kind, spec): (String, Value), old: Option<Value>| {
        let kind = Kind::from_name(&kind).unwrap();
        broken(kind, &json!({ "spec": spec }), old.map(|old| json!({ "spec": old })).as_ref())
    };
    let zone = |name: &str, selector: Value| {
        let soa = json!({ "primaryNs": "ns.", "adminEmail": "a.", "serial": 1, "refresh": 1, "retry": 1, "expire": 1, "negativeTtl": 1 });
        json!({ "zoneName": name, "soaRecord": soa, "recordsFrom": [{ "selector": selector }] })
    };
    let any = json!({});
    assert_eq!(admitted(record("DNSZone", zone("a", any.clone())), Some(zone("a", any.clone()))), [""; 0]);
    let renamed = admitted(record("DNSZone", zone("b", any.clone())), Some(zone("a", any)));
    assert!(renamed[0].contains("zoneName cannot change"), "{renamed:?}");
    let dotted = zone("a.", json!({}));
    assert_eq!(admitted(record("DNSZone", dotted.clone()), Some(zone("a", json!({})))), [""; 0], "the same name");
    assert_eq!(admitted(record("DNSZone", zone("a", json!({}))), Some(dotted)), [""; 0], "the same name");
    let role = |role: &str| json!({ "clusterRef": "", "role": role });
    assert_eq!(admitted(record("Bind9Instance", role("primary")), Some(role("Primary"))), [""; 0], "as we ask for");
    assert_eq!(admitted(record("Bind9Instance", role("secondary")), Some(role("primary"))).len(), 1);
    let expressions = |operator: &str, values: Value| json!({ "matchExpressions": [{ "key": "a", "operator": operator, "values": values }] });
    assert_eq!(admitted(record("DNSZone", zone("a", expressions("In", json!(["x"])))), None), [""; 0]);
    assert_eq!(admitted(record("DNSZone", zone("a", expressions("In", json!([])))), None).len(), 1);
    assert_eq!(admitted(record("DNSZone", zone("a", expressions("Exists", json!(["x"])))), None).len(), 1);
    let apex = admitted(record("CNAMERecord", json!({ "name": "@", "target": "www" })), None);
    assert!(apex[0].contains("no CNAME can stand"), "{apex:?}");
    assert_eq!(admitted(record("CNAMERecord", json!({ "name": "a", "target": "www" })), None), [""; 0]);
    assert_eq!(admitted(record("ARecord", json!({ "name": "a" })), None).len(), 1, "neither spelling");
    assert_eq!(admitted(record("ARecord", json!({ "name": "a", "ipv4Address": "192.0.2.1" })), None), [""; 0]);
    let instance = |more: Value| {
        let mut spec = json!({ "clusterRef": "", "role": "primary" });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record("Bind9Instance", spec)
    };
    let spread = |constraint: Value| instance(json!({ "placement": { "spread": [constraint] } }));
    assert_eq!(admitted(spread(json!({ "topologyKey": "zone", "minDomains": 2 })), None).len(), 1);
    let hard = json!({ "topologyKey": "zone", "minDomains": 2, "whenUnsatisfiable": "DoNotSchedule" });
    assert_eq!(admitted(spread(hard), None), [""; 0]);
    let rotated = |after: &str| admitted(instance(json!({ "rndcKey": { "rotateAfter": after } })), None).len();
    assert_eq!(["1h", "8760h", "365d", "52w", "1w2d3h", "1d12h", "52w1d"].map(rotated), [0; 7]);
    assert_eq!(["8761h", "366d", "53w", "52w1d1h", "51w24d"].map(rotated), [1; 5]);
    let claim = json!({ "storage": { "storageType": "persistentVolumeClaim" } });
    assert_eq!(admitted(instance(claim), None).len(), 1);
}

/// Fails if the file does not have that text. With BLESS=1, writes it instead.
fn current(path: &Path, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == text, "{} is not what the types say: run this with BLESS=1", path.display());
}

/// The schema of objects of a kind.
fn schema(kind: Kind) -> Value {
    api::crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The CEL rules that an object breaks.
fn broken(kind: Kind, object: &Value, old: Option<&Value>) -> Vec<String> {
    let errors = Validator::new().validate(&schema(kind), object, old).err();
    errors.into_iter().flat_map(ValidationErrors::into_vec).map(|error| error.to_string()).collect()
}

/// Fills in defaults, as an API server does.
fn fill_defaults(schema: &Value, value: &mut Value) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if let (Some(default), Some(fields)) = (field.get("default"), value.as_object_mut()) {
            fields.entry(name.as_str()).or_insert_with(|| default.clone());
        }
        if let Some(inner) = value.get_mut(name) {
            fill_defaults(field, inner);
        }
    }
    for item in value.as_array_mut().into_iter().flatten() {
        fill_defaults(&schema["items"], item);
    }
}

fn unknown(schema: &Value, object: &Value) -> Vec<String> {
    let mut object = object.clone();
    object["metadata"] = json!({});
    api::unknown_fields(schema, &object).into_iter().map(|(path, _)| path).collect()
}

fn each_node(schema: &Value, path: &mut String, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    let length = path.len();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        path.push('.');
        path.push_str(name);
        each_node(field, path, visit);
        path.truncate(length);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(node) = schema.get(inner) {
            path.push_str("[]");
            each_node(node, path, visit);
            path.truncate(length);
        }
    }
}

fn is_inner(path: &str) -> bool {
    path.ends_with("[]")
}

/// Turns bounds into whole numbers, because Kubernetes' types have them in floating point.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => *value = json!(number.as_f64().unwrap_or_default() as i64),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}
