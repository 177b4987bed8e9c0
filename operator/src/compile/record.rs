//! Reads a resource of records in the context of its zone.

use zonefmt::{Name, NameRef, Rtype};

use crate::api::{FieldError, MAX_TTL, RecordSet};

/// The owner of the records. An empty name is that of the zone, as `@` is.
pub(super) fn owner(set: &RecordSet, origin: NameRef<'_>) -> Result<Name, FieldError> {
    let text = if set.name.is_empty() { "@" } else { &set.name };
    Name::parse(text.as_bytes(), origin).map_err(|error| FieldError {
        path: "name".into(),
        message: format!("`{text}` is no name: {error}"),
        help: Some("write `www`, `@` for the zone's own name, or an absolute name with a final dot".into()),
    })
}

/// The RDATA of the records in wire form.
pub(super) fn wire(set: &RecordSet, origin: NameRef<'_>) -> Result<Vec<Vec<u8>>, FieldError> {
    if let Some((message, help)) = reserved(set.rtype) {
        return Err(FieldError {
            path: "type".into(),
            message: format!("{} {message}", set.rtype),
            help: Some(help.into()),
        });
    }
    if set.ttl.is_some_and(|ttl| ttl > MAX_TTL) {
        let message = format!("is over {MAX_TTL}, the most that DNS allows");
        return Err(FieldError { path: "ttl".into(), message, help: Some("write seconds, for example 3600".into()) });
    }
    set.wire(origin)
}

/// Why no resource may have records of a type, and what to do instead; `None` for all other types.
pub(crate) fn reserved(rtype: Rtype) -> Option<(&'static str, &'static str)> {
    match rtype {
        Rtype::SOA => Some(("is the zone's own", "write it as `soaRecord` of the DNSZone")),
        Rtype::DNSKEY | Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM => {
            Some(("belongs to a signed zone, and zones are served unsigned so far", "leave it out"))
        }
        _ if rtype.is_meta() => Some(("is no type of data (RFC 6895 3.1)", "leave it out")),
        _ => None,
    }
}
