//! The record kinds, as a table. A row has the fields that users write besides `name` and `ttl`, and how these become
//! the records of a [`RecordSet`].

use std::borrow::Cow;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use zonefmt::{Rtype, zone::records_in_message};

use super::{
    MAX_TTL,
    crd::Column,
    data::{self, DataField, Form},
    record_set::RecordSet,
    schema,
};

/// Declares the kinds. A row has the documentation and CEL rules of the `spec`; the name of the kind, its `spec`, its
/// short name and its columns in listings; the fields of the `spec` besides `name` and `ttl`; the type of the records, or
/// `*` if the `spec` names it; and the form of each field that holds data, in the order of the data.
macro_rules! record_kinds {
    (@type *) => { None };
    (@type $rtype:ident) => { Some(Rtype::$rtype) };
    (@type_in $spec:ident *) => { $spec.rtype.0 };
    (@type_in $spec:ident $rtype:ident) => { Rtype::$rtype };
    ($(
        $(#[$about:meta])*
        $kind:ident($spec:ident, $short:literal, [$(($column:literal, $path:literal, $type:literal)),*]) {
            $($fields:tt)*
        } => $rtype:tt { $($value:ident: $form:ident($field:literal)),* };
    )*) => {
        /// A kind of the API for records.
        #[allow(missing_docs)] // The names are those of the kinds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RecordKind { $($kind,)* }

        impl RecordKind {
            /// All record kinds.
            pub const ALL: &[RecordKind] = &[$(RecordKind::$kind,)*];

            /// The name of the kind in manifests.
            pub fn name(self) -> &'static str {
                match self { $(RecordKind::$kind => stringify!($kind),)* }
            }

            /// The type of its records; `None` if the `spec` names the type.
            pub fn rtype(self) -> Option<Rtype> {
                match self { $(RecordKind::$kind => record_kinds!(@type $rtype),)* }
            }

            /// The fields of its `spec` that hold the data of its records, in the order of the data.
            pub fn data_fields(self) -> &'static [DataField] {
                match self {
                    $(RecordKind::$kind => &[$(DataField { name: $field, form: Form::$form },)*],)*
                }
            }

            /// The short name that kubectl accepts for the kind.
            pub(super) fn short_name(self) -> &'static str {
                match self { $(RecordKind::$kind => $short,)* }
            }

            /// The columns of listings besides name, zone and TTL.
            pub(super) fn columns(self) -> &'static [Column] {
                match self {
                    $(RecordKind::$kind => &[$(Column { name: $column, path: $path, kind: $type },)*],)*
                }
            }

            /// Reads a `spec` of this kind.
            pub fn read<'de, D: Deserializer<'de>>(self, spec: D) -> Result<RecordSet, D::Error> {
                match self { $(RecordKind::$kind => <$spec>::deserialize(spec).map(RecordSet::from),)* }
            }

            /// The schema of the `spec` of this kind.
            pub(super) fn schema(self) -> serde_json::Value {
                match self { $(RecordKind::$kind => schema::of::<$spec>(),)* }
            }
        }

        $(
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
            $(#[$about])*
            #[serde(rename_all = "camelCase")]
            pub struct $spec {
                /// The owner of the records: relative to the zone, absolute with a final dot, or `@` for the zone
                /// itself.
                #[schemars(length(max = 1004), extend("x-example" = "www"))]
                pub name: String,
                /// The TTL in seconds.
                #[schemars(
                    range(max = MAX_TTL),
                    extend("x-unit" = "seconds", "x-default" = "`ttl` of the zone"),
                    extend("x-example" = 3600)
                )]
                pub ttl: Option<u32>,
                $($fields)*
            }

            impl From<$spec> for RecordSet {
                fn from(spec: $spec) -> RecordSet {
                    let records = data::records(RecordKind::$kind.data_fields(), &[$(&spec.$value,)*]);
                    let rtype = record_kinds!(@type_in spec $rtype);
                    RecordSet { name: spec.name, ttl: spec.ttl, rtype, records }
                }
            }
        )*
    };
}

record_kinds! {
    /// The IPv4 addresses of a name (RFC 1035 3.4.1).
    ARecord(ARecordSpec, "a", [("Addresses", ".status.addresses", "string")]) {
        /// IPv4 addresses, one record for each.
        #[serde(deserialize_with = "at_least_one")]
        #[schemars(length(min = 1, max = records_in_message(4)), inner(length(max = 15)), extend("x-example" = ["192.0.2.10", "192.0.2.11"]))]
        pub ipv4_addresses: Vec<String>,
    } => A { ipv4_addresses: Each("ipv4Addresses") };

    /// The IPv6 addresses of a name (RFC 3596 2.1).
    AAAARecord(AaaaRecordSpec, "aaaa", [("Addresses", ".status.addresses", "string")]) {
        /// IPv6 addresses, one record for each.
        #[serde(deserialize_with = "at_least_one")]
        #[schemars(length(min = 1, max = records_in_message(16)), inner(length(max = 45)), extend("x-example" = ["2001:db8::10"]))]
        pub ipv6_addresses: Vec<String>,
    } => AAAA { ipv6_addresses: Each("ipv6Addresses") };

    /// An alias for another name (RFC 1035 3.3.1). A name with an alias can have no other data.
    #[x_kube(validation = Rule::new("self.name != '@'")
        .message("a zone's own name has a SOA, beside which no CNAME can stand: write an ARecord"))]
    CNAMERecord(CnameRecordSpec, "cname", [("Target", ".spec.target", "string")]) {
        /// The canonical name: absolute if it contains a dot, at its end or not, and otherwise relative to the zone.
        #[schemars(length(min = 1, max = 1004), extend("x-example" = "www.example.com."))]
        pub target: String,
    } => CNAME { target: Target("target") };

    /// A mail server of a domain (RFC 1035 3.3.9).
    MXRecord(
        MxRecordSpec,
        "mx",
        [("Priority", ".spec.priority", "integer"), ("Mail Server", ".spec.mailServer", "string")]
    ) {
        /// The preference of the mail server; lower ones are tried first.
        #[schemars(extend("x-unit" = "rank"), extend("x-example" = 10))]
        pub priority: u16,
        /// The name of the mail server: absolute if it contains a dot, at its end or not, and otherwise relative to the
        /// zone.
        #[schemars(length(min = 1, max = 1004), extend("x-example" = "mail.example.com."))]
        pub mail_server: String,
    } => MX { priority: Number("priority"), mail_server: Target("mailServer") };

    /// A text record (RFC 1035 3.3.14).
    TXTRecord(TxtRecordSpec, "txt", []) {
        /// The strings of the record, taken literally. A string over 255 octets becomes several, which readers join
        /// again.
        #[serde(deserialize_with = "at_least_one")]
        #[schemars(length(min = 1, max = 256), inner(length(max = 65_000)), extend("x-example" = ["v=spf1 mx -all"]))]
        pub text: Vec<String>,
    } => TXT { text: Strings("text") };

    /// A name server of the zone, or of a delegated zone (RFC 1035 3.3.11).
    NSRecord(NsRecordSpec, "nsr", [("Nameserver", ".spec.nameserver", "string")]) {
        /// The name of the server: absolute if it contains a dot, at its end or not, and otherwise relative to the
        /// zone.
        #[schemars(length(min = 1, max = 1004), extend("x-example" = "ns.lab.example.com."))]
        pub nameserver: String,
    } => NS { nameserver: Target("nameserver") };

    /// The location of a service (RFC 2782).
    SRVRecord(SrvRecordSpec, "srv", [("Target", ".spec.target", "string"), ("Port", ".spec.port", "integer")]) {
        /// The priority of the target; lower ones are tried first.
        #[schemars(extend("x-unit" = "rank"), extend("x-example" = 10))]
        pub priority: u16,
        /// The share of the load among targets of the same priority.
        #[schemars(extend("x-unit" = "share"), extend("x-example" = 60))]
        pub weight: u16,
        /// The port of the service.
        #[schemars(extend("x-unit" = "port"), extend("x-example" = 5060))]
        pub port: u16,
        /// The name of the host: absolute if it contains a dot, at its end or not, and otherwise relative to the zone;
        /// `.` means that there is no such service.
        #[schemars(length(min = 1, max = 1004), extend("x-example" = "sip.example.com."))]
        pub target: String,
    } => SRV { priority: Number("priority"), weight: Number("weight"), port: Number("port"), target: Target("target") };

    /// The authorities that may issue certificates (RFC 8659).
    CAARecord(CaaRecordSpec, "caa", [("Tag", ".spec.tag", "string"), ("Value", ".spec.value", "string")]) {
        /// Flags; 128 marks a tag that an issuer must understand.
        #[schemars(extend("x-unit" = "bits"), extend("x-example" = 0))]
        pub flags: u8,
        /// The property that the value is for: `issue`, `issuewild`, `iodef`, …
        #[schemars(length(min = 1, max = 255), regex(pattern = "^[A-Za-z0-9]+$"), extend("x-example" = "issue"))]
        pub tag: String,
        /// The value of the property.
        #[schemars(length(max = 65_000), extend("x-example" = "letsencrypt.org"))]
        pub value: String,
    } => CAA { flags: Number("flags"), tag: Word("tag"), value: Quoted("value") };

    /// The name for an address (RFC 1035 3.3.12), in a reverse zone such as `2.0.192.in-addr.arpa`.
    PTRRecord(PtrRecordSpec, "ptr", [("Target", ".spec.target", "string")]) {
        /// The name of the host: absolute if it contains a dot, at its end or not, and otherwise relative to the zone.
        #[schemars(length(min = 1, max = 1004), extend("x-example" = "www.example.com."))]
        pub target: String,
    } => PTR { target: Target("target") };

    /// Records of any single type, written as in a zone file.
    RecordSet(RecordSetSpec, "rrset", [("Type", ".spec.type", "string")]) {
        /// The type: its mnemonic, or `TYPE` and its number (RFC 3597 5). The SOA, and types that signing makes, are
        /// not allowed.
        #[serde(rename = "type")]
        #[schemars(extend("x-example" = "HTTPS"))]
        pub rtype: RecordType,
        /// The data of the records, one item for each, as it follows the type in a zone file: text in quotes, and names
        /// without a final dot relative to the zone.
        #[serde(deserialize_with = "at_least_one")]
        #[schemars(length(min = 1, max = 4096), inner(length(max = 262_144)), extend("x-example" = ["1 . alpn=\"h2,h3\""]))]
        pub rdata: Vec<String>,
    } => * { rdata: Lines("rdata") };
}

impl RecordKind {
    /// The kind with that name.
    pub fn from_name(name: &str) -> Option<RecordKind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// A record type that users may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordType(Rtype);

impl<'de> Deserialize<'de> for RecordType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RecordType, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Rtype::from_text(text.as_bytes()).map(RecordType).ok_or_else(|| {
            D::Error::custom(format_args!("`{text}` is no record type; write `TYPE123` for one without a name"))
        })
    }
}

impl Serialize for RecordType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for RecordType {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RecordType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": 16, "pattern": "^[A-Za-z][A-Za-z0-9-]*$" })
    }
}

/// Reads a list that must not be empty.
fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let strings = Vec::deserialize(deserializer)?;
    if strings.is_empty() { Err(D::Error::invalid_length(0, &"at least one string")) } else { Ok(strings) }
}
