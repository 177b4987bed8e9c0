//! The schemas of `spec` and `status`: structural, as CRDs require, and annotated for people.
//!
//! They are made from the Rust types. `x-unit`, `x-default`, `x-example` and `x-type` are for the reference, and
//! `x-no-effect` says why a field has no effect; none of them reaches a CRD. Every string, list and map has a bound, so
//! that the API server can estimate the cost of a CEL rule.

use std::{collections::BTreeMap, sync::LazyLock};

use kube::core::schema::{OptionalEnum, StructuralSchemaRewriter};
use schemars::{JsonSchema, generate::SchemaSettings, transform::AddNullable};
use serde_json::{Map, Value, json};
use zonefmt::diagnostics::nearest;

use super::{Kind, Note};

/// The most characters of a string, unless the type says otherwise.
const MAX_STRING: u32 = 1024;
/// The most items of a list or a map, unless the type says otherwise.
const MAX_ITEMS: u32 = 256;

/// The schema of the `spec` of a kind.
pub fn spec(kind: Kind) -> &'static Value {
    static SPECS: LazyLock<BTreeMap<Kind, Value>> =
        LazyLock::new(|| Kind::all().map(|kind| (kind, kind.spec_schema())).collect());
    &SPECS[&kind]
}

/// The schema of a type, inlined and structural.
pub(super) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let settings = settings
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    schema
}

/// The least and greatest value of the integer at this path below the schema.
pub fn bounds(schema: &Value, path: &str) -> Option<(u64, u64)> {
    let field = path.split(['.', '[']).filter(|step| !step.is_empty()).try_fold(schema, |schema, step| {
        let property = || schema["properties"].get(step).or_else(|| schema.get("additionalProperties"));
        if step.ends_with(']') { schema.get("items") } else { property() }
    })?;
    Some((field["minimum"].as_u64().unwrap_or(0), field["maximum"].as_u64()?))
}

/// The fields of `value` that its schema does not have, as paths, each with the most similar known field.
pub fn unknown_fields(schema: &Value, value: &Value) -> Vec<(String, Option<String>)> {
    let mut unknown = Vec::new();
    find_unknown(schema, value, &mut String::new(), &mut unknown);
    unknown
}

fn find_unknown(schema: &Value, value: &Value, path: &mut String, unknown: &mut Vec<(String, Option<String>)>) {
    let length = path.len();
    match value {
        Value::Object(fields) => {
            let known = schema["properties"].as_object();
            for (name, value) in fields {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                match (known.and_then(|known| known.get(name)), schema.get("additionalProperties")) {
                    (Some(schema), _) | (None, Some(schema)) => find_unknown(schema, value, path, unknown),
                    _ if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
                    _ => unknown.push((
                        path.clone(),
                        known.and_then(|known| nearest(name, known.keys().map(String::as_str))).map(str::to_owned),
                    )),
                }
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                path.extend(["[", &i.to_string(), "]"]);
                find_unknown(&schema["items"], item, path, unknown);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// The fields of `value` that are accepted but have no effect. Fields that switch something off are not included.
pub fn ineffective_fields(schema: &Value, value: &Value) -> Vec<Note> {
    let mut found = Vec::new();
    find_ineffective(schema, value, &mut String::new(), &mut found);
    found
}

fn find_ineffective(schema: &Value, value: &Value, path: &mut String, found: &mut Vec<Note>) {
    if let Some(why) = schema["x-no-effect"].as_str().filter(|_| *value != Value::Bool(false) && !is_empty(value)) {
        let message = format!("`{path}` has no effect: {why}");
        found.push(Note { path: path.clone(), has_effect: false, message, help: "remove it".into() });
    }
    let length = path.len();
    for (name, value) in value.as_object().into_iter().flatten() {
        let Some(schema) = schema["properties"].get(name) else { continue };
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        find_ineffective(schema, value, path, found);
        path.truncate(length);
    }
}

/// Turns a schema of schemars into one that a CRD can have, and adds bounds.
fn tidy(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else { return };
    for key in ["$schema", "title", "nullable", "writeOnly", "readOnly"] {
        node.remove(key);
    }
    if node.get("default").is_some_and(is_empty) {
        node.remove("default");
    }
    // A field that is null counts as absent.
    if let Some(Value::Array(words)) = node.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::String(description)) = node.get_mut("description") {
        *description = prose(description);
    }
    for key in ["minimum", "maximum", "default"] {
        if let Some(number) = node.get_mut(key) {
            whole(number);
        }
    }
    match node.get("type").and_then(Value::as_str) {
        Some("integer") => bound_integer(node),
        Some("string") if !node.contains_key("enum") && node.get("format").is_none() => {
            node.entry("maxLength").or_insert_with(|| json!(MAX_STRING));
        }
        Some("array") => {
            node.entry("maxItems").or_insert_with(|| json!(MAX_ITEMS));
        }
        Some("object") if node.contains_key("additionalProperties") => {
            node.entry("maxProperties").or_insert_with(|| json!(MAX_ITEMS));
        }
        _ => {}
    }
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        properties.values_mut().for_each(tidy);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = node.get_mut(key) {
            tidy(inner);
        }
    }
}

/// Bounds an integer by numbers, in place of formats that only Rust knows.
fn bound_integer(node: &mut Map<String, Value>) {
    let (maximum, format) = match node.get("format").and_then(Value::as_str) {
        Some("uint8") => (Some(u64::from(u8::MAX)), "int32"),
        Some("uint16") => (Some(u64::from(u16::MAX)), "int32"),
        Some("uint32") => (Some(u64::from(u32::MAX)), "int64"),
        _ => (None, "int64"),
    };
    if let Some(maximum) = maximum {
        node.entry("maximum").or_insert_with(|| json!(maximum));
    }
    let small = node.get("maximum").and_then(Value::as_u64).is_some_and(|maximum| i32::try_from(maximum).is_ok());
    node.insert("format".into(), json!(if small { "int32" } else { format }));
}

/// Rustdoc as running text: the lines of a paragraph are joined, and links lose their brackets.
fn prose(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n").replace("[`", "`").replace("`]", "`")
}

/// Turns 3.0 into 3.
fn whole(number: &mut Value) {
    if let Some(float) = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0) {
        *number = json!(float as i64);
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
