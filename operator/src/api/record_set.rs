//! The common form of all record kinds: owner, type, TTL and the data of each record in presentation form. The meaning
//! of the data's fields is in zonefmt's rdata table.

use std::{borrow::Cow, fmt::Write};

use zonefmt::{
    NameRef, Rtype,
    rdata::{self, Fields, Token},
    zone,
};

/// Records of one type at one name: the common form of all record kinds.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordSet {
    /// The owner: relative to the zone, absolute with a final dot, or `@` for the zone's own name.
    pub name: String,
    /// The TTL in seconds, 0 to 2147483647.
    pub ttl: Option<u32>,
    /// The type of the records.
    pub rtype: Rtype,
    /// The data of the records. There must be at least one, or [`RecordSet::wire`] fails.
    pub records: Vec<Rdata>,
}

/// The RDATA of one record in presentation form.
#[derive(Clone, Debug, PartialEq)]
pub enum Rdata {
    /// The data as separate fields.
    Fields(Vec<Field>),
    /// The data as in a zone file, after the type.
    Line {
        /// The path of the field below `spec`.
        path: String,
        /// The text of the data.
        text: String,
    },
}

/// One field of RDATA, and the field of the manifest that it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The path below `spec`, for example `ipv4Addresses[1]`.
    path: String,
    /// The text as in a zone file, including escapes.
    text: String,
    quoted: bool,
}

/// An error in one field of a `spec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The path of the field below `spec`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl RecordSet {
    /// The records in wire form, with uncompressed names. Relative names are relative to `origin`.
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
    /// The path below `spec` of the last field, which is that of the name in kinds that have one.
    pub fn last_path(&self) -> &str {
        match self {
            Rdata::Fields(fields) => fields.last().map_or("", |field| &field.path),
            Rdata::Line { path, .. } => path,
        }
    }
}

impl Field {
    /// Creates a field with a number, an address or a keyword.
    pub(super) fn word(path: impl Into<String>, value: &str) -> Field {
        Field { path: path.into(), text: value.to_owned(), quoted: false }
    }

    /// Creates a field with a name that the record points to.
    pub(super) fn target(path: &str, name: &str) -> Field {
        Field { path: path.into(), text: absolute(name).into_owned(), quoted: false }
    }

    /// Creates a field with a single character string.
    pub(super) fn quoted(path: &str, text: &str) -> Field {
        Field { path: path.into(), text: escape(text.as_bytes()), quoted: true }
    }

    /// Creates fields with character strings of up to 255 octets each (RFC 1035 3.3).
    pub(super) fn strings(path: &str, text: &str) -> Vec<Field> {
        let field = |octets: &[u8]| Field { path: path.into(), text: escape(octets), quoted: true };
        match text.as_bytes() {
            [] => vec![field(&[])],
            octets => octets.chunks(255).map(field).collect(),
        }
    }
}

/// A name that a field points to, in the form of zone files. `www` is relative to the zone, and `www.example.org` is
/// absolute. That is how this API has always worked: the zone's name is never appended to a name that contains a dot.
pub fn absolute(name: &str) -> Cow<'_, str> {
    if name.contains('.') && !name.ends_with('.') { Cow::Owned(format!("{name}.")) } else { Cow::Borrowed(name) }
}

/// Escapes octets so that a reader of zone files gets the same octets back (RFC 1035 5.1).
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
