//! A part of what clients have written into a zone, as an object of the kind DynamicRecords.

use std::fmt;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zonefmt::{Name, NameRef};

use crate::{
    api::{GROUP, VERSION},
    render::names,
};

/// How many segments the log has. Each is one write of the API server, so that a smaller one costs less.
pub const SEGMENTS: usize = 64;
/// How many shards there are.
pub const SHARDS: usize = 32;

/// Which part of what clients have written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// A segment of the log, below [`SEGMENTS`].
    Log(usize),
    /// A shard, below [`SHARDS`].
    Base(usize),
}

/// A part as it is to be kept.
#[derive(Clone, Debug)]
pub struct Kept {
    namespace: String,
    zone: Name,
    part: Part,
    /// What the part has, with how many records, and who has written last.
    content: Value,
}

/// The label of objects that tells of which zone they are: see [`zone_label`].
pub const ZONE_LABEL: &str = "bindy.firestoned.io/zone";
/// The longest name of an object, less what follows the zone's name.
const LONGEST_NAME: usize = 200;
/// The same of a label's value.
const LONGEST_LABEL: usize = 50;

/// The zone as the value of a label.
pub fn zone_label(zone: &Name) -> String {
    short(zone, LONGEST_LABEL)
}

impl Kept {
    pub(super) fn new(namespace: &str, zone: &Name, part: Part, content: Value) -> Kept {
        Kept { namespace: namespace.to_owned(), zone: zone.clone(), part, content }
    }

    /// Which part it is.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The name of the object.
    pub fn name(&self) -> String {
        format!("{}-{}", short(&self.zone, LONGEST_NAME), self.part)
    }

    /// The object.
    pub fn object(&self) -> Value {
        let mut spec =
            json!({ "zoneName": self.zone.as_ref().without_final_dot().to_string(), "part": self.part.to_string() });
        if let (Value::Object(spec), Value::Object(content)) = (&mut spec, &self.content) {
            spec.extend(content.clone());
        }
        let labels = json!({ names::PART_OF.0: names::PART_OF.1, ZONE_LABEL: zone_label(&self.zone) });
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "DynamicRecords",
            "metadata": { "name": self.name(), "namespace": self.namespace, "labels": labels },
            "spec": spec,
        })
    }
}

impl Part {
    /// All parts.
    pub(super) fn all() -> impl Iterator<Item = Part> {
        (0..SEGMENTS).map(Part::Log).chain((0..SHARDS).map(Part::Base))
    }

    /// The shard that has the records of a name.
    pub(super) fn shard_of(owner: NameRef<'_>) -> usize {
        usize::from(hash(owner)[0]) % SHARDS
    }

    pub(super) fn parse(text: &str) -> Option<Part> {
        let (kind, number) = text.split_once('-')?;
        let number = number.parse().ok()?;
        match kind {
            "log" => Some(Part::Log(number)).filter(|_| number < SEGMENTS),
            "base" => Some(Part::Base(number)).filter(|_| number < SHARDS),
            _ => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Log(number) => write!(f, "log-{number:02}"),
            Part::Base(number) => write!(f, "base-{number:02}"),
        }
    }
}

/// The name of a zone as part of one of an object, which is short and has no capitals, so that some of its hash follows.
fn short(zone: &Name, longest: usize) -> String {
    let zone = zone.to_lowercase();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let labels = zone.as_ref().without_final_dot().to_string();
    let labels = labels.split('.').map(|label| label.chars().map(plain).collect::<String>());
    let labels: Vec<String> = labels.map(|label| label.trim_matches('-').to_owned()).collect();
    let mut text = labels.into_iter().filter(|label| !label.is_empty()).collect::<Vec<_>>().join(".");
    text.truncate(longest);
    let text = text.trim_end_matches(['.', '-']);
    let text = if text.is_empty() { "zone" } else { text };
    format!("{text}-{}", &HEXLOWER.encode(&hash(zone.as_ref()))[..8])
}

/// The hash of a name, in which the case of letters has no meaning.
fn hash(name: NameRef<'_>) -> [u8; 32] {
    Sha256::digest(name.to_owned().to_lowercase().as_ref().as_wire()).into()
}
