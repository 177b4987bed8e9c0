//! Former spellings of manifests, which Bindy's documentation or examples once used and the API does not have. Each is
//! read as what it meant, or has no effect. Either way it is reported, and never dropped silently.
//!
//! There is one table. [`modernize`] applies it to a `spec` before that is read. [`admit`] adds it to a CRD, so that an
//! API server accepts the spellings that the operator then replaces.

use serde_json::{Map, Value, json};

use super::{Kind, RecordKind};

/// A former spelling of a field, below each of its parents.
struct Former {
    kinds: &'static [Kind],
    /// The paths of the parents below `spec`; empty for `spec` itself.
    parents: &'static [&'static str],
    field: &'static str,
    fate: Fate,
}

/// What a former spelling is replaced by.
enum Fate {
    /// It became another field, at this path below the same parent.
    Moved(&'static str),
    /// It became the only item of a list, at this path below the same parent.
    Item(&'static str),
    /// Its content moved one level up.
    Up,
    /// A string in place of an object became this field of the object.
    Text(&'static str),
    /// Its values changed.
    Words(&'static [(&'static str, &'static str)]),
    /// It has no effect. The text says what to write instead.
    Dropped(&'static str),
    /// As [`Fate::Dropped`], but only if it is `true` or `false` rather than an object.
    DroppedFlag(&'static str),
}

/// A field that was found in a former spelling, or that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The path of the field below `spec`, as it was written.
    pub path: String,
    /// Whether the field has an effect, in the spelling that is current.
    pub has_effect: bool,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// The paths of fields before they were moved.
#[derive(Clone, Debug, Default)]
pub struct Moves(Vec<(String, String)>);

const ZONE: &[Kind] = &[Kind::Zone];
const CLUSTERS: &[Kind] = &[Kind::CLUSTER, Kind::PROVIDER];
const INSTANCE: &[Kind] = &[Kind::INSTANCE];
const SERVERS: &[Kind] = &[Kind::CLUSTER, Kind::PROVIDER, Kind::INSTANCE];
/// The paths of the Services of roles.
const SERVICES: &[&str] = &["primary.service", "secondary.service"];
/// The paths at which a Bind9Config may be.
const CONFIGS: &[&str] = &["global", "config", "primary.config", "secondary.config"];

/// The former spellings, in the order in which they are applied: those that move content up come first.
const FORMER: &[Former] = &[
    Former { kinds: SERVERS, parents: &[""], field: "common", fate: Fate::Up },
    Former {
        kinds: &[Kind::Record(RecordKind::ARecord)],
        parents: &[""],
        field: "ipv4Address",
        fate: Fate::Item("ipv4Addresses"),
    },
    Former {
        kinds: &[Kind::Record(RecordKind::AAAARecord)],
        parents: &[""],
        field: "ipv6Address",
        fate: Fate::Item("ipv6Addresses"),
    },
    Former { kinds: ZONE, parents: &["soaRecord"], field: "primaryServer", fate: Fate::Moved("primaryNs") },
    Former { kinds: ZONE, parents: &["soaRecord"], field: "ttl", fate: Fate::Moved("negativeTtl") },
    Former {
        kinds: ZONE,
        parents: &[""],
        field: "secondaryIps",
        fate: Fate::Dropped("secondaries are found by `clusterRef` or `bind9InstancesFrom`"),
    },
    Former {
        kinds: ZONE,
        parents: &[""],
        field: "recordCount",
        fate: Fate::Dropped("the number of records is reported in `status.recordsCount`"),
    },
    Former {
        kinds: ZONE,
        parents: &[""],
        field: "instanceRef",
        fate: Fate::Dropped("select the instance by its labels under `bind9InstancesFrom`"),
    },
    Former {
        kinds: ZONE,
        parents: &[""],
        field: "records",
        fate: Fate::Dropped("write each as a resource of its own, for example a RecordSet that `recordsFrom` selects"),
    },
    Former {
        kinds: SERVERS,
        parents: &[""],
        field: "zonesFrom",
        fate: Fate::Dropped("zones select their servers: write `clusterRef` or `bind9InstancesFrom` in each DNSZone"),
    },
    Former { kinds: SERVERS, parents: &[""], field: "image", fate: Fate::Text("image") },
    Former { kinds: CLUSTERS, parents: SERVICES, field: "type", fate: Fate::Moved("spec.type") },
    Former { kinds: CLUSTERS, parents: SERVICES, field: "loadBalancerIP", fate: Fate::Moved("spec.loadBalancerIP") },
    Former { kinds: CLUSTERS, parents: SERVICES, field: "sessionAffinity", fate: Fate::Moved("spec.sessionAffinity") },
    Former {
        kinds: CLUSTERS,
        parents: SERVICES,
        field: "externalTrafficPolicy",
        fate: Fate::Moved("spec.externalTrafficPolicy"),
    },
    Former { kinds: CLUSTERS, parents: &["primary", "secondary"], field: "rndcKeys", fate: Fate::Moved("rndcKey") },
    Former { kinds: INSTANCE, parents: &[""], field: "rndcKeys", fate: Fate::Moved("rndcKey") },
    Former {
        kinds: INSTANCE,
        parents: &[""],
        field: "role",
        fate: Fate::Words(&[("Primary", "primary"), ("Secondary", "secondary")]),
    },
    Former { kinds: INSTANCE, parents: &["storage"], field: "size", fate: Fate::Moved("persistentVolumeClaim.size") },
    Former {
        kinds: INSTANCE,
        parents: &["storage"],
        field: "storageClassName",
        fate: Fate::Moved("persistentVolumeClaim.storageClassName"),
    },
    Former { kinds: SERVERS, parents: CONFIGS, field: "dnssec", fate: Fate::DroppedFlag(SIGNING) },
    Former { kinds: SERVERS, parents: CONFIGS, field: "dnssecValidation", fate: Fate::Moved("dnssec.validation") },
    Former {
        kinds: SERVERS,
        parents: &["global.dnssec", "config.dnssec", "primary.config.dnssec", "secondary.config.dnssec"],
        field: "enabled",
        fate: Fate::Dropped(SIGNING),
    },
];

const SIGNING: &str = "signatures are part of answers wherever there are any; to sign zones, write \
                       `dnssec: {signing: {enabled: true}}`";

/// Whether a `spec` has a field that is, or was, a former spelling.
pub fn has_former(kind: Kind, spec: &Value) -> bool {
    FORMER.iter().filter(|former| former.kinds.contains(&kind)).any(|former| {
        let parents = former.parents.iter().map(|parent| parent.split('.').filter(|step| !step.is_empty()));
        let mut parents = parents.filter_map(|mut steps| steps.try_fold(spec, |value, step| value.get(step)));
        parents.any(|parent| parent.get(former.field).is_some())
    })
}

/// Replaces the former spellings in a `spec`. Returns what was changed, and the former paths of moved fields.
pub fn modernize(kind: Kind, spec: &mut Value) -> (Vec<Note>, Moves) {
    let (mut notes, mut moves) = (Vec::new(), Moves::default());
    for former in FORMER.iter().filter(|former| former.kinds.contains(&kind)) {
        for parent in former.parents {
            if let Some(fields) = descend(spec, parent) {
                former.apply(parent, fields, &mut notes, &mut moves);
            }
        }
    }
    (notes, moves)
}

/// Adds the former spellings of a kind to the schema of its `spec`.
pub(super) fn admit(kind: Kind, schema: &mut Value) {
    for former in FORMER.iter().filter(|former| former.kinds.contains(&kind)) {
        for parent in former.parents {
            if let Some(node) = descend_schema(schema, parent) {
                former.admit(node);
            }
        }
    }
}

/// The table for the documentation: kinds, field, and what to write instead.
pub(super) fn table() -> impl Iterator<Item = (String, String, String)> {
    let rows = FORMER.iter().flat_map(|former| former.parents.iter().map(move |parent| (former, parent)));
    rows.map(|(former, parent)| {
        let (path, _, help) = former.tell(parent);
        let kinds: Vec<_> = former.kinds.iter().map(|kind| kind.name()).collect();
        (kinds.join(", "), path, help)
    })
}

impl Former {
    fn apply(&self, parent: &str, fields: &mut Map<String, Value>, notes: &mut Vec<Note>, moves: &mut Moves) {
        let Some(value) = fields.get(self.field) else { return };
        let applies = match self.fate {
            Fate::Text(_) => value.is_string(),
            Fate::DroppedFlag(_) => value.is_boolean(),
            Fate::Words(words) => words.iter().any(|(old, _)| value == old),
            Fate::Up => value.is_object(),
            _ => true,
        };
        if !applies {
            return;
        }
        let Some(value) = fields.remove(self.field) else { return };
        let (path, message, mut help) = self.tell(parent);
        let mut went = |to: &str, at: String, fields: &mut Map<String, Value>, value: Value| {
            if put(fields, to, value) {
                moves.0.push((join(parent, to), at));
            } else {
                help = format!("it has no effect, as `{}` is there, too; remove it", join(parent, to));
            }
        };
        match self.fate {
            Fate::Moved(to) => went(to, path.clone(), fields, value),
            Fate::Item(to) => went(to, path.clone(), fields, if value.is_array() { value } else { json!([value]) }),
            Fate::Up => {
                for (field, value) in value.as_object().cloned().unwrap_or_default() {
                    went(&field, join(&path, &field), fields, value);
                }
            }
            Fate::Text(field) => drop(fields.insert(self.field.into(), json!({ field: value }))),
            Fate::Words(words) => {
                let word = words.iter().find(|(old, _)| value == *old).map(|(_, new)| *new);
                fields.insert(self.field.into(), json!(word));
            }
            Fate::Dropped(_) | Fate::DroppedFlag(_) => {}
        }
        let path = moves.original(&path);
        let has_effect = !matches!(self.fate, Fate::Dropped(_) | Fate::DroppedFlag(_));
        notes.push(Note { path, has_effect, message, help });
    }

    /// The path of the field, what is wrong, and what to write instead.
    fn tell(&self, parent: &str) -> (String, String, String) {
        let path = join(parent, self.field);
        let former = format!("`{path}` is a former spelling");
        let (message, help) = match self.fate {
            Fate::Moved(to) => (former, format!("write `{}`", join(parent, to))),
            Fate::Item(to) => (former, format!("write a list, `{}`", join(parent, to))),
            Fate::Up => (former, format!("write what is in `{path}` one level up, without it")),
            Fate::Text(field) => (format!("`{path}` is an object"), format!("write `{path}: {{{field}: …}}`")),
            Fate::Words(words) => {
                let new: Vec<_> = words.iter().map(|(_, new)| format!("`{new}`")).collect();
                (format!("`{path}` has a former spelling"), format!("write {}", new.join(" or ")))
            }
            Fate::Dropped(help) => (format!("`{path}` has no effect"), help.to_owned()),
            Fate::DroppedFlag(help) => (format!("`{path}` as a switch has no effect"), help.to_owned()),
        };
        (path, message, help)
    }

    fn admit(&self, node: &mut Map<String, Value>) {
        // An API server fills in defaults before the former spelling is replaced.
        match self.fate {
            Fate::Moved(to) => descend_path_mut(node, to).into_iter().for_each(leave_default_to_us),
            Fate::Up => node.get_mut("properties").and_then(Value::as_object_mut).into_iter().for_each(|fields| {
                fields.values_mut().filter_map(Value::as_object_mut).for_each(leave_default_to_us);
            }),
            _ => {}
        }
        let (_, _, help) = self.tell("");
        let described = |mut schema: Value, description: &str| {
            schema["description"] = json!(description);
            schema
        };
        let anything = json!({ "x-kubernetes-preserve-unknown-fields": true });
        let former = match self.fate {
            Fate::Moved(to) | Fate::Item(to) => {
                let mut target = descend_path(node, to).cloned().unwrap_or(anything);
                if matches!(self.fate, Fate::Item(_)) {
                    target = target["items"].take();
                }
                if let Some(target) = target.as_object_mut() {
                    target.remove("default");
                }
                allow_either(node, to, self.field);
                described(target, &format!("Former spelling: {help}."))
            }
            Fate::Up => described(
                json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
                &format!("Former spelling: {help}."),
            ),
            Fate::Dropped(_) => described(anything, &format!("No effect: {help}.")),
            Fate::Words(words) => {
                if let Some(Value::Array(known)) =
                    node.get_mut("properties").and_then(|p| p[self.field].get_mut("enum"))
                {
                    known.extend(words.iter().map(|(old, _)| json!(old)));
                }
                return;
            }
            // A schema cannot say "an object or a flag".
            Fate::Text(_) | Fate::DroppedFlag(_) => {
                let Some(target) = node.get_mut("properties").and_then(|p| p.get_mut(self.field)) else { return };
                if let Some(target) = target.as_object_mut() {
                    target.remove("type");
                    target.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
                }
                return;
            }
        };
        if let Some(Value::Object(properties)) = node.get_mut("properties") {
            properties.entry(self.field).or_insert(former);
        }
    }
}

impl Moves {
    /// The path of a field before anything was moved; paths are below `spec`.
    pub fn original(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for (new, old) in self.0.iter().rev() {
            if let Some(rest) = below(&path, new) {
                // The only item of a list was not a list before.
                path = format!("{old}{}", rest.strip_prefix("[0]").unwrap_or(rest));
            }
        }
        path
    }
}

/// The rest of `path` after `start`, if it is a path to that field or into it.
fn below<'p>(path: &'p str, start: &str) -> Option<&'p str> {
    path.strip_prefix(start).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn join(parent: &str, field: &str) -> String {
    if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") }
}

fn descend<'v>(value: &'v mut Value, path: &str) -> Option<&'v mut Map<String, Value>> {
    let steps = path.split('.').filter(|step| !step.is_empty());
    steps.into_iter().try_fold(value, |value, step| value.get_mut(step))?.as_object_mut()
}

fn descend_schema<'v>(schema: &'v mut Value, path: &str) -> Option<&'v mut Map<String, Value>> {
    let steps = path.split('.').filter(|step| !step.is_empty());
    steps.into_iter().try_fold(schema, |schema, step| schema.get_mut("properties")?.get_mut(step))?.as_object_mut()
}

fn descend_path<'v>(node: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let mut steps = path.split('.');
    let first = node.get("properties")?.get(steps.next()?)?;
    steps.try_fold(first, |schema, step| schema.get("properties")?.get(step))
}

fn descend_path_mut<'v>(node: &'v mut Map<String, Value>, path: &str) -> Option<&'v mut Map<String, Value>> {
    let mut steps = path.split('.');
    let first = node.get_mut("properties")?.get_mut(steps.next()?)?;
    steps.try_fold(first, |schema, step| schema.get_mut("properties")?.get_mut(step))?.as_object_mut()
}

/// Describes a default in words, in place of one that API servers fill in.
fn leave_default_to_us(field: &mut Map<String, Value>) {
    let said = match field.remove("default") {
        Some(Value::String(text)) => text,
        Some(default) => default.to_string(),
        None => return,
    };
    field.insert("x-default".into(), json!(said));
}

/// Sets a field that is still absent, and creates the objects on its path. Returns whether that was possible.
fn put(fields: &mut Map<String, Value>, path: &str, value: Value) -> bool {
    match path.split_once('.') {
        None if fields.contains_key(path) => false,
        None => {
            fields.insert(path.to_owned(), value);
            true
        }
        Some((first, rest)) => {
            let inner = fields.entry(first).or_insert_with(|| json!({}));
            inner.as_object_mut().is_some_and(|inner| put(inner, rest, value))
        }
    }
}

/// Lets `former` satisfy a requirement of `to`.
fn allow_either(node: &mut Map<String, Value>, to: &str, former: &str) {
    let Some(Value::Array(required)) = node.get_mut("required") else { return };
    let before = required.len();
    required.retain(|field| field != to);
    if required.len() == before {
        return;
    }
    let rule =
        json!({ "rule": format!("has(self.{to}) || has(self.{former})"), "message": format!("{to} is missing") });
    match node.entry("x-kubernetes-validations").or_insert_with(|| json!([])) {
        Value::Array(rules) => rules.push(rule),
        other => *other = json!([rule]),
    }
}
