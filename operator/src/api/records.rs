//! The record kinds. Each is a `spec` that people write and its translation, a few lines, into a [`RecordSet`]: owner,
//! type, TTL and the fields of each record in presentation form. What those fields mean is in zonefmt's rdata table.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use serde::{Deserialize, Deserializer, de::Error};
use zonefmt::{
    NameRef, Rtype,
    rdata::{self, Fields, Token},
    zone,
};

/// Records of one type at one name: what every record kind comes down to.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordSet {
    /// The owner: relative to the zone, absolute with a final dot, or `@` for the zone's own name.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// The type.
    pub rtype: Rtype,
    /// At least one record, or [`RecordSet::wire`] refuses.
    pub records: Vec<Rdata>,
}

/// The RDATA of one record in presentation form.
#[derive(Clone, Debug, PartialEq)]
pub enum Rdata {
    /// Field by field.
    Fields(Vec<Field>),
    /// As it stands in a zone file after the type.
    Line {
        /// Path below `spec`.
        path: String,
        /// The text.
        text: String,
    },
}

/// One field of RDATA, and where the manifest has it from.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Path below `spec`, for example `ipv4Addresses[1]`.
    path: String,
    /// As in a zone file, escapes included.
    text: String,
    quoted: bool,
}

/// What is wrong with one field of a `spec`, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path below `spec`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// Declares the kinds: name, `spec`, in the order of their names in listings.
macro_rules! record_kinds {
    ($($kind:ident: $spec:ty,)*) => {
        /// A kind of the API that stands for records.
        #[allow(missing_docs)] // The names are the kinds'.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RecordKind { $($kind,)* }

        impl RecordKind {
            /// All of them.
            pub const ALL: &[RecordKind] = &[$(RecordKind::$kind,)*];

            /// Its name in manifests.
            pub fn name(self) -> &'static str {
                match self { $(RecordKind::$kind => stringify!($kind),)* }
            }

            /// Reads a `spec` of this kind.
            pub fn read<'de, D: Deserializer<'de>>(self, spec: D) -> Result<RecordSet, D::Error> {
                match self { $(RecordKind::$kind => <$spec>::deserialize(spec).map(RecordSet::from),)* }
            }
        }
    };
}

record_kinds! {
    ARecord: ARecordSpec,
    AAAARecord: AaaaRecordSpec,
    CNAMERecord: CnameRecordSpec,
    MXRecord: MxRecordSpec,
    TXTRecord: TxtRecordSpec,
    NSRecord: NsRecordSpec,
    SRVRecord: SrvRecordSpec,
    CAARecord: CaaRecordSpec,
    PTRRecord: PtrRecordSpec,
    RecordSet: RecordSetSpec,
}

impl RecordKind {
    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<RecordKind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl RecordSet {
    /// The records in wire form, names uncompressed; relative names get `origin` appended.
    pub fn wire(&self, origin: NameRef<'_>) -> Result<Vec<Vec<u8>>, FieldError> {
        if self.records.is_empty() {
            return Err(FieldError { path: String::new(), message: "names no data".into(), help: None });
        }
        self.records.iter().map(|record| to_wire(self.rtype, record, origin)).collect()
    }
}

fn to_wire(rtype: Rtype, record: &Rdata, origin: NameRef<'_>) -> Result<Vec<u8>, FieldError> {
    let mut wire = Vec::new();
    let result = match record {
        Rdata::Fields(fields) => {
            let tokens: Vec<Token<'_>> =
                fields.iter().map(|field| Token { text: field.text.as_bytes(), quoted: field.quoted, at: 0 }).collect();
            rdata::parse(rtype, &mut Fields::new(&tokens), origin, &mut wire)
                .map_err(|error| (error.at.and_then(|at| fields.get(at)).map(|field| &field.path), error))
        }
        Rdata::Line { path, text } => {
            zone::parse_rdata(rtype, text, origin, &mut wire).map_err(|error| (Some(path), error))
        }
    };
    match result {
        Ok(()) => Ok(wire),
        Err((path, error)) => {
            let path = path.cloned().unwrap_or_default();
            Err(FieldError { path, message: error.message, help: error.help })
        }
    }
}

/// IPv4 addresses of a name (RFC 1035 3.4.1).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ARecordSpec {
    /// The owner.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// One record each. A single `ipv4Address` is the old spelling.
    #[serde(alias = "ipv4Address", deserialize_with = "one_or_many")]
    pub ipv4_addresses: Vec<String>,
}

impl From<ARecordSpec> for RecordSet {
    fn from(spec: ARecordSpec) -> RecordSet {
        let records = each("ipv4Addresses", &spec.ipv4_addresses);
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: Rtype::A, records }
    }
}

/// IPv6 addresses of a name (RFC 3596 2.1).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AaaaRecordSpec {
    /// The owner.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// One record each. A single `ipv6Address` is the old spelling.
    #[serde(alias = "ipv6Address", deserialize_with = "one_or_many")]
    pub ipv6_addresses: Vec<String>,
}

impl From<AaaaRecordSpec> for RecordSet {
    fn from(spec: AaaaRecordSpec) -> RecordSet {
        let records = each("ipv6Addresses", &spec.ipv6_addresses);
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: Rtype::AAAA, records }
    }
}

/// Another name for a name (RFC 1035 3.3.1).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CnameRecordSpec {
    /// The owner, which can have no other data.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// The canonical name.
    pub target: String,
}

impl From<CnameRecordSpec> for RecordSet {
    fn from(spec: CnameRecordSpec) -> RecordSet {
        let records = vec![Rdata::Fields(vec![Field::target("target", &spec.target)])];
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: Rtype::CNAME, records }
    }
}

/// A mail server of a domain (RFC 1035 3.3.9).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MxRecordSpec {
    /// The owner.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// Its preference, 0 to 65535; lower ones are tried first.
    pub priority: u16,
    /// Its name.
    pub mail_server: String,
}

impl From<MxRecordSpec> for RecordSet {
    fn from(spec: MxRecordSpec) -> RecordSet {
        let fields = vec![Field::word("priority", &spec.priority), Field::target("mailServer", &spec.mail_server)];
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: Rtype::MX, records: vec![Rdata::Fields(fields)] }
    }
}

/// Text (RFC 1035 3.3.14): one record.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TxtRecordSpec {
    /// The owner.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// The strings of the record, taken literally. One over 255 octets becomes several, which readers join again.
    #[serde(deserialize_with = "one_or_many")]
    pub text: Vec<String>,
}

impl From<TxtRecordSpec> for RecordSet {
    fn from(spec: TxtRecordSpec) -> RecordSet {
        let strings = spec.text.iter().enumerate();
        let fields: Vec<Field> = strings.flat_map(|(i, text)| Field::strings(&format!("text[{i}]"), text)).collect();
        let records = if fields.is_empty() { Vec::new() } else { vec![Rdata::Fields(fields)] };
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: Rtype::TXT, records }
    }
}

/// A name server of the zone, or of a zone that is delegated (RFC 1035 3.3.11).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NsRecordSpec {
    /// The owner: `@`, or the name of the delegated zone.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// The server's name.
    pub nameserver: String,
}

impl From<NsRecordSpec> for RecordSet {
    fn from(spec: NsRecordSpec) -> RecordSet {
        let records = vec![Rdata::Fields(vec![Field::target("nameserver", &spec.nameserver)])];
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: Rtype::NS, records }
    }
}

/// Where a service is (RFC 2782).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SrvRecordSpec {
    /// The owner, for example `_ldap._tcp`.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// 0 to 65535; lower ones are tried first.
    pub priority: u16,
    /// The share among targets of one priority, 0 to 65535.
    pub weight: u16,
    /// 0 to 65535.
    pub port: u16,
    /// The host's name.
    pub target: String,
}

impl From<SrvRecordSpec> for RecordSet {
    fn from(spec: SrvRecordSpec) -> RecordSet {
        let fields = vec![
            Field::word("priority", &spec.priority),
            Field::word("weight", &spec.weight),
            Field::word("port", &spec.port),
            Field::target("target", &spec.target),
        ];
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: Rtype::SRV, records: vec![Rdata::Fields(fields)] }
    }
}

/// Who may issue certificates (RFC 8659).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaaRecordSpec {
    /// The owner.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// 0 to 255; 128 marks a tag that an issuer must understand.
    pub flags: u8,
    /// `issue`, `issuewild`, `iodef`, …
    pub tag: String,
    /// What the tag says, at most 65,000 octets.
    pub value: String,
}

impl From<CaaRecordSpec> for RecordSet {
    fn from(spec: CaaRecordSpec) -> RecordSet {
        let value = Field { path: "value".into(), text: escape(spec.value.as_bytes()), quoted: true };
        let fields = vec![Field::word("flags", &spec.flags), Field::word("tag", &spec.tag), value];
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: Rtype::CAA, records: vec![Rdata::Fields(fields)] }
    }
}

/// The name of an address (RFC 1035 3.3.12), in a reverse zone such as `2.0.192.in-addr.arpa`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PtrRecordSpec {
    /// The owner, for example `10` in zone `2.0.192.in-addr.arpa` for 192.0.2.10.
    pub name: String,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// The name of the host.
    pub target: String,
}

impl From<PtrRecordSpec> for RecordSet {
    fn from(spec: PtrRecordSpec) -> RecordSet {
        let records = vec![Rdata::Fields(vec![Field::target("target", &spec.target)])];
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: Rtype::PTR, records }
    }
}

/// Records of any one type, written as in a zone file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordSetSpec {
    /// The owner.
    pub name: String,
    /// The type: its mnemonic, for example `HTTPS`, or `TYPE65` (RFC 3597 5).
    #[serde(rename = "type", deserialize_with = "record_type")]
    pub rtype: Rtype,
    /// TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// The data, one record an item, as a zone file has it after the type: quotes around text, and names without a
    /// final dot are relative to the zone.
    #[serde(deserialize_with = "one_or_many")]
    pub rdata: Vec<String>,
}

impl From<RecordSetSpec> for RecordSet {
    fn from(spec: RecordSetSpec) -> RecordSet {
        let lines = spec.rdata.into_iter().enumerate();
        let records = lines.map(|(i, text)| Rdata::Line { path: format!("rdata[{i}]"), text }).collect();
        RecordSet { name: spec.name, ttl: spec.ttl, rtype: spec.rtype, records }
    }
}

impl Field {
    /// A number, an address or a keyword.
    fn word(path: impl Into<String>, value: &impl fmt::Display) -> Field {
        Field { path: path.into(), text: value.to_string(), quoted: false }
    }

    /// A name that the record points to.
    fn target(path: &str, name: &str) -> Field {
        Field { path: path.into(), text: absolute(name).into_owned(), quoted: false }
    }

    /// Character strings of up to 255 octets (RFC 1035 3.3).
    fn strings(path: &str, text: &str) -> Vec<Field> {
        let field = |octets: &[u8]| Field { path: path.into(), text: escape(octets), quoted: true };
        match text.as_bytes() {
            [] => vec![field(&[])],
            octets => octets.chunks(255).map(field).collect(),
        }
    }
}

/// A name that a field points to, as a zone file writes it. `www` is relative to the zone, and `www.example.org` is
/// absolute: it always was in this API, where a name with a dot in it was never continued with the zone's.
pub fn absolute(name: &str) -> Cow<'_, str> {
    if name.contains('.') && !name.ends_with('.') { Cow::Owned(format!("{name}.")) } else { Cow::Borrowed(name) }
}

/// One record a value, each of one field.
fn each(path: &str, values: &[String]) -> Vec<Rdata> {
    values
        .iter()
        .enumerate()
        .map(|(i, value)| Rdata::Fields(vec![Field::word(format!("{path}[{i}]"), value)]))
        .collect()
}

/// Writes octets so that a zone file's reader gets them back (RFC 1035 5.1).
fn escape(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for &octet in octets {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(octet)]),
            b' '..=b'~' => text.push(char::from(octet)),
            // Writing to a String cannot fail.
            _ => drop(write!(text, "\\{octet:03}")),
        }
    }
    text
}

/// Reads the type of records that people may write.
fn record_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rtype, D::Error> {
    // What signing makes: written by hand it would contradict the zone's other data sooner or later.
    const MADE: &[Rtype] = &[Rtype::RRSIG, Rtype::NSEC, Rtype::NSEC3, Rtype::NSEC3PARAM];
    let text = <Cow<'de, str>>::deserialize(deserializer)?;
    match Rtype::from_text(text.as_bytes()) {
        None => Err(Error::custom(format_args!("`{text}` is no record type; write `TYPE123` for one without a name"))),
        Some(Rtype::SOA) => Err(Error::custom("the SOA is `soaRecord` of the DNSZone; set it there")),
        Some(rtype) if rtype.is_meta() => {
            Err(Error::custom(format_args!("{rtype} is no data: it exists in messages only")))
        }
        Some(rtype) if MADE.contains(&rtype) => {
            Err(Error::custom(format_args!("{rtype} records come from signing the zone; leave them out")))
        }
        Some(rtype) => Ok(rtype),
    }
}

/// Reads a list of strings, or a string alone, as older manifests write it.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;
    impl<'de> serde::de::Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of strings")
        }

        fn visit_str<E>(self, one: &str) -> Result<Vec<String>, E> {
            Ok(vec![one.to_owned()])
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut many: A) -> Result<Vec<String>, A::Error> {
            let mut strings = Vec::new();
            while let Some(string) = many.next_element()? {
                strings.push(string);
            }
            if strings.is_empty() {
                return Err(serde::de::Error::invalid_length(0, &"at least one string"));
            }
            Ok(strings)
        }
    }
    deserializer.deserialize_any(OneOrMany)
}
