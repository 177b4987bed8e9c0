//! What every record kind comes down to: owner, type, TTL and the data of each record in presentation form. What the
//! fields of that data mean is in zonefmt's rdata table.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

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

impl Rdata {
    /// The path of its last field below `spec`: that of the name, in kinds that have one.
    pub fn last_path(&self) -> &str {
        match self {
            Rdata::Fields(fields) => fields.last().map_or("", |field| &field.path),
            Rdata::Line { path, .. } => path,
        }
    }
}

impl Field {
    /// A number, an address or a keyword.
    pub(super) fn word(path: impl Into<String>, value: &impl fmt::Display) -> Field {
        Field { path: path.into(), text: value.to_string(), quoted: false }
    }

    /// A name that the record points to.
    pub(super) fn target(path: &str, name: &str) -> Field {
        Field { path: path.into(), text: absolute(name).into_owned(), quoted: false }
    }

    /// One character string.
    pub(super) fn quoted(path: &str, text: &str) -> Field {
        Field { path: path.into(), text: escape(text.as_bytes()), quoted: true }
    }

    /// Character strings of up to 255 octets (RFC 1035 3.3).
    pub(super) fn strings(path: &str, text: &str) -> Vec<Field> {
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
pub(super) fn each(path: &str, values: &[String]) -> Vec<Rdata> {
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
