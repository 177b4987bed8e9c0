//! Refuses what an API server would refuse, for objects that are read from files: first the types, bounds and patterns
//! in the schema of the kind, then its CEL rules. Nothing here repeats what a schema says. Each schema is compiled
//! once, when the first object of its kind is read.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{LazyLock, OnceLock},
};

use jsonschema::{ValidationError, error::ValidationErrorKind, paths::LocationSegment};
use kube::core::cel;
use serde_json::{Value, json};

use super::{FieldError, Infrastructure, Kind, Resource, Spec, crd, schema};

/// The errors in the `spec` of a new resource, with paths below `spec`.
pub fn refusals(kind: Kind, spec: &Value) -> Vec<FieldError> {
    Schema::of(kind).refusals(spec, None)
}

/// The errors in the `spec` of a new resource as it was written, with the former spellings in it. What is found at a
/// current field, [`refusals`] finds too.
pub fn refusals_as_written(kind: Kind, spec: &Value) -> Vec<FieldError> {
    static SCHEMAS: Schemas = LazyLock::new(schemas);
    static TEXTS: LazyLock<BTreeMap<Kind, Value>> =
        LazyLock::new(|| Kind::all().map(|kind| (kind, crd::spec(kind))).collect());
    SCHEMAS[&kind].get_or_init(|| Schema::new(&TEXTS[&kind])).refusals(spec, None)
}

/// The errors in a change of a resource whose old and new forms are each valid, with paths below `spec`.
pub fn refusals_of_change(old: &Resource, new: &Resource) -> Vec<FieldError> {
    match (json_of(&old.spec), json_of(&new.spec)) {
        (Some(before), Some(after)) => Schema::of(new.id.kind).refusals(&after, Some(&before)),
        _ => Vec::new(),
    }
}

/// The errors in the `metadata` of any object, with paths below `metadata`.
pub fn metadata_refusals(metadata: &Value) -> Vec<FieldError> {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(&METADATA));
    SCHEMA.refusals(metadata, None)
}

/// Kubernetes' own rules for names, labels and annotations in files: RFC 1123 in lower case, and the API conventions.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
    const KEY: &str = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
    let keys = |prefix: &str, example: &str| {
        let form = json!({ "pattern": format!("^({prefix}/)?{KEY}$"), "x-example": example });
        let length = json!({ "pattern": "^([^/]{1,253}/)?[^/]*$", "x-example": example });
        json!({ "allOf": [form, length] })
    };
    // The prefixes of annotations may be in upper case.
    let any_case = SUBDOMAIN.replace("a-z", "A-Za-z");
    json!({
        "properties": {
            "name": { "maxLength": 253, "pattern": format!("^{SUBDOMAIN}$"), "x-example": "www.example-com" },
            "namespace": { "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "x-example": "dns" },
            "labels": {
                "propertyNames": keys(SUBDOMAIN, "app.kubernetes.io/name"),
                "additionalProperties": {
                    "maxLength": 63,
                    "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
                    "x-example": "example.com"
                }
            },
            "annotations": { "propertyNames": keys(&any_case, "example.com/note") }
        }
    })
});

/// A `spec` in the form that the API has; `None` for records, because no rule compares them with their former state.
fn json_of(spec: &Spec) -> Option<Value> {
    let json = match spec {
        Spec::Zone(spec) => serde_json::to_value(spec),
        Spec::Infrastructure(Infrastructure::Provider(spec) | Infrastructure::Cluster(spec)) => {
            serde_json::to_value(spec)
        }
        Spec::Infrastructure(Infrastructure::Instance(spec)) => serde_json::to_value(spec),
        Spec::Record(_) => return None,
    };
    let mut json = json.ok()?;
    remove_nulls(&mut json);
    Some(json)
}

/// Removes fields that are null, which mean the same as absent fields, as on API servers.
pub(crate) fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// A schema that has been compiled.
struct Schema {
    text: &'static Value,
    structure: jsonschema::Validator,
    /// The CEL rules; `None` if there are none.
    rules: Option<cel::CompiledSchema>,
}

/// The schemas of all kinds, each compiled when it is asked for.
type Schemas = LazyLock<BTreeMap<Kind, OnceLock<Schema>>>;

fn schemas() -> BTreeMap<Kind, OnceLock<Schema>> {
    Kind::all().map(|kind| (kind, OnceLock::new())).collect()
}

impl Schema {
    fn of(kind: Kind) -> &'static Schema {
        static SCHEMAS: Schemas = LazyLock::new(schemas);
        SCHEMAS[&kind].get_or_init(|| Schema::new(schema::spec(kind)))
    }

    fn new(text: &'static Value) -> Schema {
        let structure = jsonschema::validator_for(text).expect("a test has compiled this very schema");
        Schema { text, structure, rules: has_rules(text).then(|| cel::compile_schema(text)) }
    }

    /// Applies the CEL rules only to objects of the right types and sizes, as API servers do.
    fn refusals(&self, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
        static EVALUATOR: LazyLock<cel::Validator> = LazyLock::new(cel::Validator::new);
        let wrong: Vec<_> = self.structure.iter_errors(value).collect();
        let mut refusals: Vec<_> = wrong.iter().map(|error| self.explain(error)).collect();
        let Some(rules) = self.rules.as_ref().filter(|_| !wrong.iter().any(precludes_rules)) else { return refusals };
        let broken = EVALUATOR.validate_compiled(rules, value, old).err();
        let broken = broken.into_iter().flat_map(cel::ValidationErrors::into_vec);
        let mut broken: Vec<_> =
            broken.map(|error| FieldError { path: error.field_path, message: error.message, help: None }).collect();
        // The errors come in the order of a hash.
        broken.sort_by(|one, other| one.path.cmp(&other.path));
        refusals.extend(broken);
        refusals
    }

    /// Explains an error in words, with an example of a valid value.
    fn explain(&self, error: &ValidationError<'_>) -> FieldError {
        let keyword = error.schema_path().as_str();
        let node = keyword.rsplit_once('/').and_then(|(node, _)| self.text.pointer(node));
        let example = node.and_then(|node| node.get("x-example")).and_then(Value::as_str);
        FieldError {
            path: dotted(error.instance_path().segments()),
            message: words(error),
            help: example.map(|example| format!("write it as `{example}`")),
        }
    }
}

/// Whether an error is one of those with which an API server does not try the CEL rules: their types and their costs
/// would not be sure.
fn precludes_rules(error: &ValidationError<'_>) -> bool {
    use ValidationErrorKind::{Enum, MaxItems, MaxLength, MaxProperties, Required, Type};
    matches!(
        error.kind(),
        Enum { .. } | MaxItems { .. } | MaxLength { .. } | MaxProperties { .. } | Required { .. } | Type { .. }
    )
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields.contains_key("x-kubernetes-validations") || fields.values().any(has_rules),
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

fn words(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Maximum { limit } => format!("is over {limit}"),
        ValidationErrorKind::Minimum { limit } => format!("is below {limit}"),
        ValidationErrorKind::MinLength { limit: 1 } | ValidationErrorKind::MinItems { limit: 1 } => "is empty".into(),
        ValidationErrorKind::MinLength { limit } => format!("has fewer than {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("has over {limit} characters"),
        ValidationErrorKind::MinItems { limit } => format!("has fewer than {limit} items"),
        ValidationErrorKind::MaxItems { limit } => format!("has over {limit} items"),
        ValidationErrorKind::MaxProperties { limit } => format!("has over {limit} entries"),
        ValidationErrorKind::Pattern { pattern } => format!("does not match {pattern}"),
        ValidationErrorKind::PropertyNames { error } => format!("its key {} {}", error.instance(), words(error)),
        _ => error.to_string(),
    }
}

fn dotted<'s>(segments: impl Iterator<Item = LocationSegment<'s>>) -> String {
    let mut path = String::new();
    for segment in segments {
        // Writing to a String cannot fail.
        let _ = match segment {
            LocationSegment::Index(index) => write!(path, "[{index}]"),
            LocationSegment::Property(name) if path.is_empty() => write!(path, "{name}"),
            LocationSegment::Property(name) => write!(path, ".{name}"),
        };
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_and_every_rule_compiles() {
        for kind in Kind::all() {
            let schema = Schema::of(kind);
            assert_eq!(schema.rules.is_some(), schema.text.to_string().contains("x-kubernetes-validations"));
            schema.rules.iter().for_each(sound);
        }
        assert!(metadata_refusals(&json!({ "name": "a" })).is_empty());
    }

    fn sound(rules: &cel::CompiledSchema) {
        assert!(rules.compilation_errors().is_empty(), "{:?}", rules.compilation_errors());
        rules
            .properties
            .values()
            .chain(rules.items.as_deref())
            .chain(rules.additional_properties.as_deref())
            .for_each(sound);
    }

    #[test]
    fn what_is_refused_is_said_with_its_place() {
        let told = |kind: &str, spec: Value| -> Vec<String> {
            let refused = refusals(Kind::from_name(kind).unwrap(), &spec);
            refused.into_iter().map(|error| format!("{}: {}", error.path, error.message)).collect()
        };
        assert_eq!(told("ARecord", json!({ "name": "a", "ipv4Addresses": ["192.0.2.1"] })), [""; 0]);
        assert_eq!(told("ARecord", json!({ "name": "a", "ipv4Addresses": [] })), ["ipv4Addresses: is empty"]);
        assert_eq!(
            told(
                "ARecord",
                json!({ "name": "a", "ttl": 4_294_967_295_u32, "ipv4Addresses": ["192.0.2.1", "x".repeat(16)] })
            ),
            ["ipv4Addresses[1]: has over 15 characters", "ttl: is over 2147483647"]
        );
        assert_eq!(
            told("CNAMERecord", json!({ "name": "@", "target": "www" })),
            [": a zone's own name has a SOA, beside which no CNAME can stand: write an ARecord"]
        );
    }

    #[test]
    fn no_rule_compares_records_with_what_they_were() {
        for kind in Kind::all() {
            let compares = schema::spec(kind).to_string().contains("oldSelf");
            assert!(!compares || !matches!(kind, Kind::Record(_)), "{}", kind.name());
        }
    }

    #[test]
    fn names_and_labels_are_kubernetes_own() {
        let told = |metadata: Value| -> Vec<String> {
            metadata_refusals(&metadata).into_iter().map(|error| error.path).collect()
        };
        assert_eq!(
            told(json!({ "name": "www.example-1", "labels": { "a.b/c-d": "", "zone": "example.com" } })),
            [""; 0]
        );
        assert_eq!(told(json!({ "name": "Www" })), ["name"]);
        assert_eq!(told(json!({ "name": "a", "namespace": "a.b" })), ["namespace"]);
        assert_eq!(told(json!({ "name": "a", "labels": { "zone": "-x" } })), ["labels.zone"]);
        assert_eq!(told(json!({ "name": "a", "labels": { "a b": "x" } })), ["labels"]);
        assert_eq!(told(json!({ "name": "a", "labels": { "a..b/c": "x" } })), ["labels"]);
        assert_eq!(told(json!({ "name": "a", "annotations": { "A/b": "x" }, "labels": { "A/b": "x" } })), ["labels"]);
        let long = "a.".repeat(127) + "a/b";
        assert_eq!(told(json!({ "name": "a", "annotations": { long: "x" } })), ["annotations"]);
    }
}
