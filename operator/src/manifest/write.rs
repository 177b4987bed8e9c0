//! Writes a zone as manifests, which [`super::read`] reads back.
//!
//! One `DNSZone` has the SOA, the name servers and a selector. Every other RRset becomes a resource of the kind for its
//! type, or one resource for each record if the kind holds only one. Data that no kind can express word for word
//! becomes a `RecordSet`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use sha2::{Digest, Sha256};
use zonefmt::{
    Name, NameRef, Rtype,
    rdata::{self, Soa, Style},
    unescape,
    zone::{Record, RrSet, RrSets},
};

use super::yaml::{Fields, Value, write_document};
use crate::{
    api::{self, DataField, Form, GROUP, Kind, RecordKind, VERSION},
    compile,
};

/// Why a zone cannot be written as manifests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsayable(pub String);

/// Writes the documents of a zone, in the form in which people write them.
///
/// # Errors
/// The zone has no SOA, or it has records of a type that manifests may not have.
pub fn write(origin: &Name, zone: &RrSets, namespace: Option<&str>) -> Result<String, Unsayable> {
    let apex = Apex::find(origin, zone)?;
    let mut writer = Writer {
        origin: origin.as_ref(),
        ttl: apex.soa.ttl,
        label: zone_label(origin.as_ref()),
        namespace,
        names: BTreeSet::new(),
        out: String::new(),
    };
    writer.zone(&apex);
    for set in zone.iter().filter(|set| !apex.says(*set)) {
        writer.records(set)?;
    }
    Ok(writer.out)
}

/// The part of the zone that the `DNSZone` itself declares.
struct Apex<'z> {
    origin: NameRef<'z>,
    soa: Record<'z>,
    /// The RRset of name servers, if the `DNSZone` declares it.
    servers: Option<RrSet<'z>>,
    /// Single addresses of name servers in the zone, by name and type.
    addresses: BTreeMap<(NameRef<'z>, Rtype), RrSet<'z>>,
}

impl<'z> Apex<'z> {
    fn find(origin: &'z Name, zone: &'z RrSets) -> Result<Apex<'z>, Unsayable> {
        let origin = origin.as_ref();
        let at_apex = |rtype| move |set: &RrSet<'_>| set.owner() == origin && set.rtype() == rtype;
        let soa = zone.iter().find(at_apex(Rtype::SOA)).and_then(|set| set.records().next());
        let soa = soa.ok_or_else(|| Unsayable(format!("{origin} has no SOA")))?;
        // The zone's own records all have the same TTL.
        let shares_ttl = |set: &RrSet<'_>| set.ttl() == soa.ttl;
        let servers = zone.iter().find(at_apex(Rtype::NS)).filter(shares_ttl);
        let mut apex = Apex { origin, soa, servers, addresses: BTreeMap::new() };
        let names: BTreeSet<_> = apex.servers().collect();
        let single = |set: &RrSet<'_>| shares_ttl(set) && set.records().nth(1).is_none();
        let addresses =
            zone.iter().filter(|set| matches!(set.rtype(), Rtype::A | Rtype::AAAA) && names.contains(&set.owner()));
        apex.addresses = addresses.filter(single).map(|set| ((set.owner(), set.rtype()), set)).collect();
        Ok(apex)
    }

    fn servers(&self) -> impl Iterator<Item = NameRef<'z>> {
        let records = self.servers.into_iter().flat_map(RrSet::records);
        records.filter_map(|record| NameRef::from_wire(record.rdata).ok())
    }

    /// Whether the `DNSZone` declares an RRset.
    fn says(&self, set: RrSet<'_>) -> bool {
        let is_own = set.owner() == self.origin
            && (set.rtype() == Rtype::SOA || set.rtype() == Rtype::NS && self.servers.is_some());
        is_own || self.addresses.contains_key(&(set.owner(), set.rtype()))
    }
}

struct Writer<'w> {
    origin: NameRef<'w>,
    /// The TTL of the zone in seconds.
    ttl: u32,
    /// The label of the zone's records.
    label: String,
    namespace: Option<&'w str>,
    /// The kinds and names that are already used.
    names: BTreeSet<(Kind, String)>,
    out: String,
}

impl Writer<'_> {
    fn zone<'z>(&mut self, apex: &Apex<'z>) {
        let Some(soa) = Soa::read(apex.soa.rdata) else { return };
        let record: Fields = vec![
            ("primaryNs", Value::Text(soa.primary.to_string())),
            // An `@` would look like that of a mail address.
            ("adminEmail", Value::Text(soa.mailbox.to_string().replace("\\@", "\\064"))),
            ("serial", Value::Number(soa.serial.0.into())),
            ("refresh", Value::Number(soa.refresh.into())),
            ("retry", Value::Number(soa.retry.into())),
            ("expire", Value::Number(soa.expire.into())),
            ("negativeTtl", Value::Number(soa.minimum.into())),
        ];
        let mut spec: Fields = vec![
            ("zoneName", Value::Text(self.origin.without_final_dot().to_string())),
            ("ttl", Value::Number(self.ttl.into())),
            ("soaRecord", Value::Fields(record)),
        ];
        if !apex.servers().any(|server| server == soa.primary) {
            spec.push(("hiddenPrimary", Value::True));
        }
        let address = |server: NameRef<'z>, rtype| {
            let record = apex.addresses.get(&(server, rtype))?.records().next()?;
            Some(Value::Text(data_text(&record)))
        };
        let server = |name: NameRef<'z>| {
            let addresses = [("ipv4Address", Rtype::A), ("ipv6Address", Rtype::AAAA)];
            let addresses = addresses.into_iter().filter_map(|(field, rtype)| Some((field, address(name, rtype)?)));
            [("hostname", Value::Text(name.to_string()))].into_iter().chain(addresses).collect()
        };
        let servers: Vec<Fields> = apex.servers().map(server).collect();
        if !servers.is_empty() {
            spec.push(("nameServers", Value::Items(servers)));
        }
        let labels =
            Value::Fields(vec![("matchLabels", Value::Fields(vec![("zone", Value::Text(self.label.clone()))]))]);
        spec.push(("recordsFrom", Value::Items(vec![vec![("selector", labels)]])));
        let name = self.label.clone();
        self.document(Kind::Zone, &name, spec);
    }

    fn records(&mut self, set: RrSet<'_>) -> Result<(), Unsayable> {
        let rtype = set.rtype();
        if let Some((why, help)) = compile::reserved(rtype) {
            return Err(Unsayable(format!("{} has a record whose type {rtype} {why}: {help}", set.owner())));
        }
        let kind = RecordKind::ALL.iter().copied().find(|kind| kind.rtype() == Some(rtype));
        let said = kind.and_then(|kind| Some((kind, say(kind, set)?)));
        let (kind, specs) = said.unwrap_or_else(|| (RecordKind::RecordSet, vec![generic(set)]));
        for fields in specs {
            let mut owner = String::new();
            Style::FULL.relative_to(self.origin).write_name(set.owner(), &mut owner);
            let mut spec = vec![("name", Value::Text(owner))];
            if kind.rtype().is_none() {
                spec.push(("type", Value::Text(rtype.to_string())));
            }
            if set.ttl() != self.ttl {
                spec.push(("ttl", Value::Number(set.ttl().into())));
            }
            spec.extend(fields);
            let name = self.resource_name(set);
            self.out.push_str("---\n");
            self.document(Kind::Record(kind), &name, spec);
        }
        Ok(())
    }

    fn document(&mut self, kind: Kind, name: &str, spec: Fields) {
        let mut metadata: Fields = vec![("name", Value::Text(self.unique(kind, name)))];
        metadata.extend(self.namespace.map(|namespace| ("namespace", Value::Text(namespace.into()))));
        if kind != Kind::Zone {
            metadata.push(("labels", Value::Fields(vec![("zone", Value::Text(self.label.clone()))])));
        }
        let document = [
            ("apiVersion", Value::Text(format!("{GROUP}/{VERSION}"))),
            ("kind", Value::Text(kind.name().into())),
            ("metadata", Value::Fields(metadata)),
            ("spec", Value::Fields(spec)),
        ];
        write_document(&document, &mut self.out);
    }

    /// The name of a resource, from zone, owner and type: `example.com-www-a`, `example.com-mx`. The zone is part of it
    /// because glue may be in two zones.
    fn resource_name(&self, set: RrSet<'_>) -> String {
        const MOST: usize = 240;
        let mut name = self.label.clone();
        let below = set.owner().label_count() - self.origin.label_count();
        if below > 0 {
            name.push('-');
            name.push_str(&speakable(set.owner().labels().take(below)));
        }
        name.truncate(MOST);
        format!("{}-{}", name.trim_end_matches(['-', '.']), set.rtype().to_string().to_ascii_lowercase())
    }

    /// The name, with a number appended if a resource of the kind already has it.
    fn unique(&mut self, kind: Kind, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        // There are more numbers than records in a zone.
        let name = names.find(|name| !self.names.contains(&(kind, name.clone()))).unwrap_or_default();
        self.names.insert((kind, name.clone()));
        name
    }
}

/// The fields of each resource; `None` if the kind cannot express all of the RRset.
fn say(kind: RecordKind, set: RrSet<'_>) -> Option<Vec<Fields>> {
    let records = set.records().map(|record| data_text(&record));
    let list = |field: &'static str, items: Vec<String>| {
        (items.len() <= most(kind, field)).then(|| vec![(field, Value::Texts(items))])
    };
    match *kind.data_fields() {
        [DataField { name, form: Form::Each | Form::Lines }] => Some(vec![list(name, records.collect())?]),
        [DataField { name, form: Form::Strings }] => {
            let strings = |text: String| tokens(&text).into_iter().map(Token::literal).collect::<Option<Vec<_>>>();
            records.map(|text| list(name, strings(text)?)).collect()
        }
        ref fields => records
            .map(|text| fields.iter().zip(tokens(&text)).map(|(field, token)| one(*field, token)).collect())
            .collect(),
    }
}

/// The most items that a list may have.
fn most(kind: RecordKind, field: &str) -> usize {
    let most = api::spec_schema(Kind::Record(kind))["properties"][field]["maxItems"].as_u64();
    most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// A field of the `spec` that holds a single field of the data.
fn one(DataField { name, form }: DataField, token: Token<'_>) -> Option<(&'static str, Value)> {
    let value = match form {
        Form::Word | Form::Target => Value::Text(token.text.into()),
        Form::Number => Value::Number(token.text.parse().ok()?),
        Form::Quoted => Value::Text(token.literal()?),
        // Kinds with lists have no other data fields.
        Form::Strings | Form::Each | Form::Lines => return None,
    };
    Some((name, value))
}

/// The `rdata` field of a `RecordSet`.
fn generic(set: RrSet<'_>) -> Fields {
    vec![("rdata", Value::Texts(set.records().map(|record| data_text(&record)).collect()))]
}

fn data_text(record: &Record<'_>) -> String {
    let mut text = String::new();
    rdata::write_text(record.rtype, record.rdata, &Style::ONE_WORD, &mut text);
    text
}

/// One field of data in presentation form.
struct Token<'t> {
    text: &'t str,
    quoted: bool,
}

/// Splits data that was just printed into fields. Its quotes are closed, and blanks separate the fields.
fn tokens(mut text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    while !text.is_empty() {
        let quoted = text.starts_with('"');
        let start = usize::from(quoted);
        let mut escaped = false;
        let ends = |octet: u8| if quoted { octet == b'"' } else { octet == b' ' };
        let length = text.bytes().skip(start).position(|octet| {
            let found = !escaped && ends(octet);
            escaped = !escaped && octet == b'\\';
            found
        });
        let end = length.map_or(text.len(), |length| start + length);
        tokens.push(Token { text: &text[start..end], quoted });
        text = text.get(end + start..).unwrap_or_default().trim_start_matches(' ');
    }
    tokens
}

impl Token<'_> {
    /// The text between the quotes, if people can read it.
    fn literal(self) -> Option<String> {
        let mut octets = Vec::with_capacity(self.text.len());
        let mut rest = self.text.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            let (octet, length) = if first == b'\\' { unescape(rest).ok()? } else { (first, 1) };
            octets.push(octet);
            rest = if first == b'\\' { &rest[length..] } else { after };
        }
        let text = String::from_utf8(octets).ok()?;
        (self.quoted && !text.chars().any(char::is_control)).then_some(text)
    }
}

/// The name of a zone as a label and as the name of a resource, as far as Kubernetes allows it.
fn zone_label(origin: NameRef<'_>) -> String {
    const MOST: usize = 63;
    let label = speakable(origin.labels());
    if label == origin.without_final_dot().to_string().to_ascii_lowercase() && label.len() <= MOST {
        return label;
    }
    // A hash distinguishes zones whose names differ only in parts that are left out.
    let digest = Sha256::digest(origin.as_wire().to_ascii_lowercase());
    let hash = format!("{:08x}", digest.iter().take(4).fold(0, |hash: u32, octet| hash << 8 | u32::from(*octet)));
    let kept = label.get(..MOST - hash.len() - 1).unwrap_or(&label).trim_end_matches(['-', '.']);
    format!("{kept}-{hash}")
}

/// The labels of a name as parts of an RFC 1123 subdomain.
fn speakable<'l>(labels: impl Iterator<Item = &'l [u8]>) -> String {
    let labels = labels.map(|label| {
        let mut text = String::new();
        for &octet in label {
            match octet.to_ascii_lowercase() {
                octet @ (b'a'..=b'z' | b'0'..=b'9' | b'-') => text.push(char::from(octet)),
                b'_' => {}
                b'*' => text.push_str("wildcard"),
                // Writing to a String cannot fail.
                octet => drop(write!(text, "x{octet:02x}")),
            }
        }
        match text.trim_matches('-') {
            "" => "x".to_owned(),
            text => text.to_owned(),
        }
    });
    let text = labels.collect::<Vec<_>>().join(".");
    if text.is_empty() { "root".into() } else { text }
}
