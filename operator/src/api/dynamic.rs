//! `spec.dynamic` of a DNSZone: which clients may write what by DNS UPDATE; and `DynamicRecords`, which have what they have
//! written.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{GROUP, VERSION, crd, schema};

/// What clients may do with a zone: write into it by DNS UPDATE (RFC 2136), and have all of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "Dynamic"))]
pub struct Dynamic {
    /// The rules, of which the first that fits the key, the name and the type of a change decides. What none fits is
    /// refused.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub rules: Vec<DynamicRule>,
    /// The keys whose clients may have the zone as a whole (AXFR and IXFR), at the address of any of its servers; as
    /// ExternalDNS has to, which compares what is there with what it wants.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub allow_transfer: Vec<KeyRef>,
}

/// What one client may write, or may not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DynamicRule {
    /// The Secret with the client's TSIG key.
    pub key: KeyRef,
    /// Whether the changes that the rule fits are refused.
    #[serde(default)]
    pub deny: bool,
    /// Which names the rule fits.
    #[serde(rename = "match")]
    pub matches: NameMatch,
    /// The name that `match` refers to, relative to the zone unless it ends in a dot.
    #[schemars(length(min = 1, max = 1004), extend("x-default" = "the zone's name"), extend("x-example" = "apps"))]
    pub name: Option<String>,
    /// The types that the rule fits, each perhaps with how many records of the type a name may have, as `A(4)`; `ANY` for
    /// all.
    #[serde(default)]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 32), regex(pattern = r"^[A-Za-z][A-Za-z0-9-]*(\([1-9][0-9]{0,4}\))?$")),
        extend("x-default" = "all but SOA, NS and RRSIG"),
        extend("x-example" = ["A", "AAAA", "TXT(4)"])
    )]
    pub types: Vec<String>,
}

/// A Secret with the TSIG key of a client, beside the servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// The namespace of the Secret. Its annotation `bindy.firestoned.io/allow-zone-namespaces` has the zone's namespace, or
    /// `*`.
    #[schemars(length(min = 1, max = 63), extend("x-example" = "dns-system"))]
    pub namespace: String,
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253), extend("x-example" = "acme"))]
    pub name: String,
}

/// Which names a rule fits, as in BIND's `update-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NameMatch {
    /// The name.
    Name,
    /// The name and all below it.
    Subdomain,
    /// All of the zone.
    ZoneSub,
    /// The names that the name, a wildcard, stands for.
    Wildcard,
    /// The name of the client's key.
    #[serde(rename = "Self")]
    OfKey,
    /// The name of the client's key, and all below it.
    SelfSub,
    /// The names below that of the client's key.
    SelfWild,
    /// TXT records of `_acme-challenge` below the name and those below it, as the ACME challenge DNS-01 needs (RFC 8555
    /// 8.4).
    AcmeChallenge,
}

/// A part of what clients have written into a zone by DNS UPDATE: a segment of the log of their updates, or a shard into
/// which the log was folded. Bindy writes it, and nobody else should; it stays when the DNSZone is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DynamicRecordsSpec {
    /// The name of the zone.
    #[schemars(length(min = 1, max = 1004), extend("x-example" = "example.com"))]
    pub zone_name: String,
    /// Which part it is.
    #[schemars(length(max = 16), regex(pattern = "^(log|base)-[0-9]{2}$"), extend("x-example" = "log-03"))]
    pub part: String,
    /// How many records the part has; of the log, how many came or went.
    #[serde(default)]
    pub records: u32,
    /// Who has made the last update in the part: the key, and the address it came from.
    #[schemars(extend("x-example" = "acme 10.0.3.7:50112"))]
    pub last_writer: Option<String>,
    /// When that was.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_change: Option<Timestamp>,
    /// The updates in a segment of the log.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub changes: Vec<DynamicChange>,
    /// The number of the last update that is folded into a shard.
    pub up_to: Option<u64>,
    /// The records of a shard, as lines of a zone file.
    #[serde(default)]
    #[schemars(length(max = 65_536), inner(length(max = 1_000_000)))]
    pub lines: Vec<String>,
}

/// An update that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DynamicChange {
    /// Its number, from 1 on without a gap.
    pub number: u64,
    /// When it was made.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Who has made it.
    #[serde(default)]
    pub by: String,
    /// The records that went, as lines of a zone file.
    #[serde(default)]
    #[schemars(length(max = 65_536), inner(length(max = 1_000_000)))]
    pub removed: Vec<String>,
    /// The records that came.
    #[serde(default)]
    #[schemars(length(max = 65_536), inner(length(max = 1_000_000)))]
    pub added: Vec<String>,
}

/// The CRD of `DynamicRecords`, as JSON.
pub fn dynamic_records_crd() -> Value {
    let mut spec = schema::of::<DynamicRecordsSpec>();
    crd::strip(&mut spec);
    let describe = |text: &str| json!({ "type": "string", "description": text });
    let column = |name: &str, path: &str, kind: &str| json!({ "name": name, "type": kind, "jsonPath": path });
    let schema = json!({
        "type": "object",
        "description": spec["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": describe("The version of this API: `bindy.firestoned.io/v1beta1`."),
            "kind": describe("The kind of this resource."),
            "metadata": { "type": "object" },
            "spec": spec,
        }
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("dynamicrecords.{GROUP}") },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": "DynamicRecords",
                "singular": "dynamicrecords",
                "plural": "dynamicrecords",
                "shortNames": ["dynr"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": schema },
                "selectableFields": [{ "jsonPath": ".spec.zoneName" }],
                "additionalPrinterColumns": [
                    column("Zone", ".spec.zoneName", "string"),
                    column("Part", ".spec.part", "string"),
                    column("Records", ".spec.records", "integer"),
                    column("Orphaned", r".metadata.labels.bindy\.firestoned\.io/orphaned", "string"),
                    column("Last Writer", ".spec.lastWriter", "string"),
                    column("Last Change", ".spec.lastChange", "date"),
                ],
            }],
        }
    })
}
