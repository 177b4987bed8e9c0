//! Manifests that differ from valid ones in one field: at a bound of its schema or beside it, or of another type.

use std::collections::BTreeSet;

use bindy::api::{self, Kind};
use serde_json::{Map, Value, json};

use crate::kind;

/// A manifest with one field changed.
#[derive(Clone, Debug)]
pub struct Mutant {
    pub object: Value,
    /// What was changed, for people.
    pub what: String,
    /// Whether the definition leaves the content of the field, or of one around it, to the operator: it is a type of
    /// Kubernetes' own, or what a schema cannot say, as "an object or a flag".
    pub is_open: bool,
}

/// The mutants of these objects. Each field is changed in one object only.
pub fn of(objects: &[Value]) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let mut seen = BTreeSet::new();
    for object in objects {
        let kind = kind(object);
        let crd = api::crd(kind);
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut walk = Walk { kind, object, seen: &mut seen, mutants: &mut mutants };
        // Providers have the fields of clusters.
        let name = if kind == Kind::PROVIDER { Kind::CLUSTER } else { kind }.name();
        walk.field(schema, "/spec", name, false);
    }
    mutants
}

struct Walk<'w> {
    kind: Kind,
    object: &'w Value,
    seen: &'w mut BTreeSet<String>,
    mutants: &'w mut Vec<Mutant>,
}

impl Walk<'_> {
    /// Changes the field at a JSON pointer, and the fields below it. `name` is the same for all items of a list.
    fn field(&mut self, schema: &Value, pointer: &str, name: &str, is_open: bool) {
        let is_open = is_open || schema["x-kubernetes-preserve-unknown-fields"] == true;
        let value = self.object.pointer(pointer).expect("it was found there").clone();
        if self.seen.insert(name.to_owned()) {
            for other in others(schema, &value) {
                self.change(pointer, name, Some(other), is_open);
            }
            if pointer != "/spec" {
                self.change(pointer, name, None, is_open);
            }
        }
        match &value {
            Value::Object(fields) => {
                self.missing(schema, fields, pointer, name, is_open);
                for field in fields.keys() {
                    let (inner, step) = match schema["properties"].get(field) {
                        Some(inner) => (inner, field.as_str()),
                        None => (&schema["additionalProperties"], "*"),
                    };
                    let pointer = format!("{pointer}/{}", field.replace('~', "~0").replace('/', "~1"));
                    self.field(inner, &pointer, &format!("{name}.{step}"), is_open);
                }
            }
            Value::Array(items) => {
                for index in 0..items.len() {
                    self.field(&schema["items"], &format!("{pointer}/{index}"), &format!("{name}[]"), is_open);
                }
            }
            _ => {}
        }
    }

    /// Adds each field that might be there and is not, of several types.
    fn missing(&mut self, schema: &Value, fields: &Map<String, Value>, pointer: &str, name: &str, is_open: bool) {
        let known = schema["properties"].as_object().into_iter().flatten();
        for (field, inner) in known.filter(|(field, _)| !fields.contains_key(*field)) {
            let name = format!("{name}.{field}");
            if self.seen.insert(format!("{name} missing")) {
                let is_open = is_open || inner["x-kubernetes-preserve-unknown-fields"] == true;
                for other in [json!(null), json!("a"), json!(1), json!(true), json!({}), json!([])] {
                    self.change(&format!("{pointer}/{field}"), &name, Some(other), is_open);
                }
            }
        }
    }

    fn change(&mut self, pointer: &str, name: &str, value: Option<Value>, is_open: bool) {
        let mut object = self.object.clone();
        let what = match &value {
            Some(value) => format!("{}: {name} = {}", self.kind.name(), short(&value.to_string())),
            None => format!("{}: no {name}", self.kind.name()),
        };
        let (parent, field) = pointer.rsplit_once('/').expect("it starts with a slash");
        let key = field.replace("~1", "/").replace("~0", "~");
        match (object.pointer_mut(parent).expect("it was found there"), value) {
            (Value::Object(fields), None) => drop(fields.remove(&key)),
            (Value::Object(fields), Some(value)) => drop(fields.insert(key, value)),
            (Value::Array(items), None) => drop(items.remove(key.parse().expect("an index"))),
            (Value::Array(items), Some(value)) => items[key.parse::<usize>().expect("an index")] = value,
            _ => unreachable!("only objects and lists have fields"),
        }
        self.mutants.push(Mutant { object, what, is_open });
    }
}

/// Values at the bounds of a schema and beside them, and values of other types.
fn others(schema: &Value, value: &Value) -> Vec<Value> {
    let bound = |name: &str| schema[name].as_f64().map(|bound| bound as i64);
    let mut others =
        vec![json!(null), json!(true), json!("true"), json!(-1), json!(1.5), json!(["a"]), json!({ "a": "b" })];
    let times = |length: i64, what: &str| what.repeat(usize::try_from(length).unwrap_or(0));
    match value {
        Value::String(_) => {
            others.extend(
                ["", " ", "a", "A", "a b", "-", "a-", "a.", ".", "..", "ä", "a\n", "a/b", "0", "1.5"].map(Value::from),
            );
            for bound in [bound("maxLength"), bound("minLength")].into_iter().flatten() {
                others.extend([-1, 0, 1].map(|more| times(bound + more, "a").into()));
                others.push(times(bound, "ä").into());
            }
            let words = schema["enum"].as_array().into_iter().flatten();
            others.extend(words.flat_map(|word| {
                let text = word.as_str().unwrap_or_default();
                [word.clone(), text.to_uppercase().into(), text.to_lowercase().into(), format!("{text} ").into()]
            }));
        }
        Value::Number(_) => {
            others.extend([json!(0), json!(1), json!(1.0), json!(1_i64 << 31), json!(1_i64 << 32), json!(i64::MAX)]);
            others.extend([json!(u64::MAX), json!(1e30), json!("1")]);
            for bound in [bound("maximum"), bound("minimum")].into_iter().flatten() {
                others.extend([-1, 0, 1].map(|more| json!(bound + more)));
            }
        }
        Value::Array(items) => {
            others.push(json!([]));
            others.extend(items.first().map(|item| json!([null, item])));
            for bound in [bound("maxItems"), bound("minItems")].into_iter().flatten() {
                let item = items.first().cloned().unwrap_or(json!("a"));
                others.extend(
                    [-1, 0, 1].map(|more| vec![item.clone(); usize::try_from(bound + more).unwrap_or(0)].into()),
                );
            }
        }
        Value::Object(fields) => {
            others.push(json!({}));
            if let (Some(bound), Some(inner)) = (bound("maxProperties"), fields.values().next()) {
                let many = |count: i64| (0..count).map(|key| (format!("k{key}"), inner.clone())).collect();
                others.extend([-1, 0, 1].map(|more| Value::Object(many(bound + more))));
            }
        }
        _ => {}
    }
    others.retain(|other| other != value);
    others
}

fn short(text: &str) -> String {
    let length = text.chars().count();
    if length < 100 {
        text.to_owned()
    } else {
        format!("{}… ({length} characters)", text.chars().take(60).collect::<String>())
    }
}
