//! The field reference, `docs/api.md`: every field of every kind with its type, unit, default, bounds, meaning and an
//! example. It is written from the schemas, which are made from the types.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use serde_json::Value;

use super::{GROUP, Kind, VERSION, schema, spelling};

const HEAD: &str = "\
# Fields of the API

This page is generated from the types in `operator/src/api`; do not edit it. `kubectl explain` shows the same descriptions.

A field without a default is *required*, or has no value if it is absent (—). Bounds are checked by the API server in a
cluster, and by `bindy` when it reads files. The unit of a time or size is beside its type.

The `name` of a record is relative to the zone unless it ends in a dot: `www`, or `www.example.com.`. A name that a record
points to (`target`, `mailServer`, `nameserver`) is relative only if it contains no dot at all: `mail` is in the zone, and
`mail.example.net` is the same as `mail.example.net.`. In the `rdata` of a RecordSet, names are as in a zone file: relative
without a final dot.
";

const TABLE: &str = "| Field | Type | Default | Bounds | Meaning | Example |\n|---|---|---|---|---|---|\n";

/// The page in Markdown.
pub fn reference() -> String {
    let mut shared = BTreeMap::new();
    let mut page = HEAD.to_owned();
    for kind in Kind::all() {
        // Writing to a String cannot fail, here and below.
        let _ = write_kind(&mut page, kind, &mut shared);
    }
    page.push_str("\n# Shared types\n");
    // A type may refer to others that have not been written yet.
    let mut written: Vec<String> = Vec::new();
    while let Some((name, node)) =
        shared.iter().find(|(name, _)| !written.contains(name)).map(|(n, s)| (n.clone(), s.clone()))
    {
        let mut section = String::new();
        write_table(&mut section, &node, &mut shared);
        let _ = write!(page, "\n## {name}\n\n{section}");
        written.push(name);
    }
    let _ = write_spellings(&mut page);
    page
}

fn write_kind(page: &mut String, kind: Kind, shared: &mut BTreeMap<String, Value>) -> fmt::Result {
    let spec = schema::spec(kind);
    let scope = if kind.is_namespaced() { "namespaced" } else { "cluster-scoped" };
    let short: Vec<String> = kind.short_names().iter().map(|name| format!("`{name}`")).collect();
    writeln!(page, "\n# {}\n\n{}\n", kind.name(), text(&spec["description"]))?;
    writeln!(
        page,
        "`apiVersion: {GROUP}/{VERSION}`, {scope}; `kubectl get {}`, or {}.\n\n## {} spec\n",
        kind.plural(),
        short.join(", "),
        kind.name()
    )?;
    write_table(page, spec, shared);
    writeln!(page, "\n## {} status\n", kind.name())?;
    write_table(page, &kind.status_schema(), shared);
    Ok(())
}

fn write_table(page: &mut String, schema: &Value, shared: &mut BTreeMap<String, Value>) {
    page.push_str(TABLE);
    write_fields(page, schema, "", shared);
}

fn write_fields(page: &mut String, schema: &Value, path: &str, shared: &mut BTreeMap<String, Value>) {
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|field| field == name));
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let (path, inner) = match field.get("items").filter(|items| items["type"] == "object") {
            Some(items) => (format!("{path}{name}[]"), items),
            None => (format!("{path}{name}"), field),
        };
        let default = match (field.get("default"), field["x-default"].as_str()) {
            (Some(default), _) => format!("`{}`", plain(default)),
            (None, Some(said)) => said.to_owned(),
            (None, None) if required(name) => "*required*".into(),
            (None, None) => "—".into(),
        };
        let columns = [
            format!("`{path}`"),
            type_of(field),
            default,
            bounds(field),
            text(&field["description"]),
            example(field, inner),
        ];
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {} |", columns.map(|column| cell(&column)).join(" | "));
        match inner["x-type"].as_str().filter(|_| inner.get("properties").is_some()) {
            Some(named) => drop(shared.entry(named.to_owned()).or_insert_with(|| inner.clone())),
            None => write_fields(page, inner, &format!("{path}."), shared),
        }
    }
}

fn type_of(field: &Value) -> String {
    let base = match field["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&field["items"])),
        Some("object") if field.get("additionalProperties").is_some() => {
            format!("map to {}", type_of(&field["additionalProperties"]))
        }
        Some("object") => match field["x-type"].as_str() {
            Some(name) if field.get("properties").is_some() => format!("[{name}](#{})", name.to_ascii_lowercase()),
            Some(name) => format!("{name} (core/v1)"),
            None => "object".into(),
        },
        other => other.unwrap_or("anything").to_owned(),
    };
    match field["x-unit"].as_str() {
        Some(unit) => format!("{base}, {unit}"),
        None => base,
    }
}

fn bounds(field: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(words) = field["enum"].as_array() {
        parts.push(words.iter().map(|word| format!("`{}`", plain(word))).collect::<Vec<_>>().join(", "));
    }
    let mut range = |least: &str, most: &str, of: &str| match (field.get(least), field.get(most)) {
        (Some(least), Some(most)) => parts.push(format!("{least} to {most}{of}")),
        (None, Some(most)) => parts.push(format!("at most {most}{of}")),
        (Some(least), None) => parts.push(format!("at least {least}{of}")),
        (None, None) => {}
    };
    range("minimum", "maximum", "");
    range("minLength", "maxLength", " characters");
    range("minItems", "maxItems", " items");
    range("minProperties", "maxProperties", " entries");
    if let Some(pattern) = field["pattern"].as_str() {
        parts.push(format!("`{pattern}`"));
    }
    let inner = field.get("items").or(field.get("additionalProperties"));
    if let Some(inner) = inner.map(bounds).filter(|inner| !inner.is_empty()) {
        parts.push(format!("each {inner}"));
    }
    parts.join("; ")
}

fn example(field: &Value, inner: &Value) -> String {
    let first = |field: &Value| field.get("x-example").map(plain);
    match first(field).or_else(|| first(inner)) {
        Some(example) => format!("`{example}`"),
        None => match (field["enum"].get(0), field["type"].as_str()) {
            (Some(word), _) => format!("`{}`", plain(word)),
            (None, Some("boolean")) => "`true`".into(),
            _ => String::new(),
        },
    }
}

/// A value as YAML on one line.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(quoted).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {}", quoted(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A value as [`plain`] prints it, but inside brackets.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) if text.contains([',', ':', '"', '!', '#', '[', '{']) => format!("'{text}'"),
        other => plain(other),
    }
}

fn write_spellings(page: &mut String) -> fmt::Result {
    page.push_str(
        "\n# Former spellings\n\nThese spellings are accepted, with a warning that says what to write instead: `bindy check` and \
         `bindy serve`\nprint it, and in a cluster it is in the condition `Ready` of the resource (`FormerSpelling`, or \
         `NoEffect`).\n\n",
    );
    page.push_str("| Kinds | Field | Instead |\n|---|---|---|\n");
    for (kinds, field, instead) in spelling::table() {
        writeln!(page, "| {kinds} | `{field}` | {} |", cell(&instead))?;
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace("\n\n", " ").replace('\n', " ").replace('|', "\\|")
}
