//! The rdata table: the layout of every record type's data, in text and on the wire.
//!
//! A record type is a row (`table`): number, mnemonic, list of fields. A field kind (`field`) knows how to read its
//! text, how long it is in wire form and how it is printed; the special formats (SVCB parameters, LOC, APL, …) are
//! field kinds too. Everything else here walks rows: [`parse`] and [`write_text`] for zone files, [`read`] for records in
//! messages, [`validate`] for other data in wire form, [`canonical`] for DNSSEC and ZONEMD, and [`names()`] for the
//! answer path. A type without a row has the form of RFC 3597.
//!
//! What is accepted, and the text that is printed, agree with BIND 9.18's named-checkzone and named-compilezone.

mod address;
mod apl;
mod encoding;
mod field;
mod linked;
mod loc;
mod names;
mod number;
mod regexp;
mod registry;
mod soa;
mod svcb;
mod table;
mod text;
mod token;
mod types;
mod wks;

use std::ops::Range;

use encoding::Encoding;
use field::Context;
use token::Fault;

pub use apl::{AddressPrefix, address_prefixes};
pub use names::{Additional, EmbeddedName, EmbeddedNames, Letters, names};
pub(crate) use number::date;
pub use number::seconds;
pub use soa::Soa;
pub(crate) use table::info_in;
pub use table::{TypeInfo, UnknownMnemonic, Usage, all, info};
pub use token::{Fields, RdataError, Token};

use crate::{Class, NameBuf, NameRef, Rtype};

/// The largest length of rdata, in octets.
pub const MAX_RDATA: usize = 65535;

/// How rdata is printed.
#[derive(Clone, Copy, Debug)]
pub struct Style<'a> {
    /// Names at or below this one are printed relative to it.
    origin: Option<NameRef<'a>>,
    /// The length of the words into which base64 and hexadecimal data is split, in characters, a multiple of 4; 0 for
    /// no split.
    word: usize,
    class: Class,
}

impl Style<'static> {
    /// The style of named-compilezone (`-s full`) and dig: absolute names, long data in words of 56 characters.
    pub const FULL: Style<'static> = Style { origin: None, word: 56, class: Class::IN };
    /// As [`Self::FULL`], but with long data unbroken.
    pub const ONE_WORD: Style<'static> = Style { origin: None, word: 0, class: Class::IN };
}

impl<'a> Style<'a> {
    /// This style with names relative to `origin`.
    #[must_use]
    pub const fn relative_to(self, origin: NameRef<'a>) -> Style<'a> {
        Style { origin: Some(origin), ..self }
    }

    /// This style for records of a class other than IN.
    #[must_use]
    pub const fn in_class(self, class: Class) -> Style<'a> {
        Style { class, ..self }
    }

    /// Appends a name as this style prints it.
    pub fn write_name(&self, name: NameRef<'_>, out: &mut String) {
        use std::fmt::Write;
        let start = out.len();
        // Writing to a String cannot fail.
        let _ = write!(out, "{name}");
        // As in BIND, an end that differs in case is not left out, because it would come back in the case of the
        // origin.
        let ends_alike =
            |origin: &NameRef<'_>| name.as_wire().ends_with(origin.as_wire()) && name.is_at_or_below(*origin);
        let Some(origin) = self.origin.filter(ends_alike) else { return };
        if name.len() == origin.len() {
            out.truncate(start);
            out.push('@');
        } else {
            // Both texts end alike, so the text of the origin goes, and the dot before it.
            let tail = if origin.is_root() { 1 } else { origin.to_string().len() + 1 };
            out.truncate(out.len() - tail);
        }
    }
}

/// Reads the rdata of one record from its tokens and appends its wire form: names absolute, uncompressed, case kept.
///
/// Every type also accepts `\# length hex` (RFC 3597 5), which is then checked as by [`validate`]. All tokens must be
/// used up. On error `out` is left unchanged.
#[inline]
pub fn parse(rtype: Rtype, fields: &mut Fields<'_>, origin: NameRef<'_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let context = Context { origin, start: out.len() };
    let result = if fields.is_generic() {
        parse_generic(rtype, fields, out)
    } else {
        parse_fields(rtype, fields, &context, out)
    };
    result.inspect_err(|_| out.truncate(context.start))
}

#[inline]
fn parse_fields(
    rtype: Rtype,
    fields: &mut Fields<'_>,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let row = match info_in(fields.class(), rtype) {
        Some(row) if row.usage == Usage::Data && !row.fields.is_empty() => row,
        _ => return Err(no_text(rtype)),
    };
    for spec in row.fields {
        let before = fields.position();
        spec.kind.parse(fields, context, out).map_err(|fault| locate(rtype, spec.label, fault, before, fields))?;
    }
    if !fields.is_done() {
        return Err(too_many(rtype, fields));
    }
    if out.len() - context.start > MAX_RDATA {
        return Err(too_long(rtype));
    }
    Ok(())
}

/// Reads the generic form, `\# length hex`.
fn parse_generic(rtype: Rtype, fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    if !is_zone_data(rtype) {
        return Err(no_text(rtype));
    }
    let start = out.len();
    let before = fields.position();
    read_generic(fields, out).map_err(|fault| locate(rtype, "in \\# form", fault, before, fields))?;
    validate_in(fields.class(), rtype, &out[start..]).map_err(|error| RdataError { at: Some(before), ..error })
}

/// Whether records of a type may be in zones.
pub(crate) fn is_zone_data(rtype: Rtype) -> bool {
    !rtype.is_meta() && info(rtype).is_none_or(|row| row.usage == Usage::Data)
}

fn read_generic(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    fields.take()?;
    let len = number::parse(fields.take()?, MAX_RDATA as u64)? as usize;
    if !fields.is_done() {
        encoding::parse(Encoding::Hex, fields, out)?;
    }
    let found = out.len() - start;
    if found == len {
        return Ok(());
    }
    Err(Fault::new(format_args!("the length says {len} octets, the data has {found}"))
        .help("write the number of octets, then two hexadecimal digits for each"))
}

/// Checks that `rdata` in wire form has the layout of `rtype`: every field whole, nothing left over, names
/// uncompressed.
///
/// A type without a row allows any octets, up to [`MAX_RDATA`]. The class is IN.
pub fn validate(rtype: Rtype, rdata: &[u8]) -> Result<(), RdataError> {
    validate_in(Class::IN, rtype, rdata)
}

/// As [`validate`], for records of the given class.
pub(crate) fn validate_in(class: Class, rtype: Rtype, rdata: &[u8]) -> Result<(), RdataError> {
    if rdata.len() > MAX_RDATA {
        return Err(too_long(rtype));
    }
    let Some(row) = info_in(class, rtype).filter(|row| !row.fields.is_empty()) else { return Ok(()) };
    let mut at = 0;
    for spec in row.fields {
        at = spec.kind.end(rdata, at).map_err(|what| malformed(rtype, format_args!("{} {what}", spec.label)))?;
    }
    if at == rdata.len() { Ok(()) } else { Err(malformed(rtype, format_args!("octets follow the last field"))) }
}

/// Reads the rdata of one record from a message and appends its wire form, checked as by [`validate`] and with its names
/// uncompressed. `at` is the range of RDATA in `message`.
///
/// Only the types of RFC 1035 may have compressed names (RFC 3597 4). As in BIND, the other types are read all the same,
/// except HIP and A6.
///
/// # Errors
/// The rdata does not have the layout of its type in that class, or a name in it leads past its end or nowhere. `out` is
/// left unchanged then.
pub fn read(class: Class, rtype: Rtype, message: &[u8], at: Range<usize>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let start = out.len();
    let cut_short = || malformed(rtype, format_args!("the data {}", field::CUT_SHORT));
    // A pointer leads back, so nothing after the rdata is ever part of a name in it.
    let message = message.get(..at.end).ok_or_else(cut_short)?;
    let rdata = message.get(at.start..).ok_or_else(cut_short)?;
    out.extend_from_slice(rdata);
    let Some(row) = info_in(class, rtype).filter(|row| !row.fields.is_empty()) else { return Ok(()) };
    read_fields(row, message, at.start, start, out)
        .and_then(|()| if out.len() - start > MAX_RDATA { Err(too_long(rtype)) } else { Ok(()) })
        .inspect_err(|_| out.truncate(start))
}

/// Walks the fields of rdata that `out` has from `start` on, as it stands at `from` in the message up to its end, and
/// replaces compressed names.
fn read_fields(
    row: &TypeInfo,
    message: &[u8],
    mut from: usize,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let mut at = 0;
    for spec in row.fields {
        let rdata = &out[start..];
        let fault = |what| malformed(row.rtype, format_args!("{} {what}", spec.label));
        if spec.kind.is_name(rdata) && from < message.len() {
            let mut name = NameBuf::default();
            let end = name.read(message, from).map_err(|_| fault("holds no whole name"))?;
            let name = name.as_ref();
            if end - from != name.len() {
                out.truncate(start + at);
                out.extend_from_slice(name.as_wire());
                out.extend_from_slice(&message[end..]);
            }
            (from, at) = (end, at + name.len());
        } else {
            let end = spec.kind.end(rdata, at).map_err(fault)?;
            (from, at) = (from + end - at, end);
        }
    }
    if start + at == out.len() {
        Ok(())
    } else {
        Err(malformed(row.rtype, format_args!("octets follow the last field")))
    }
}

/// The number of a DNSSEC algorithm, from its mnemonic in either case or from digits.
pub(crate) fn algorithm(text: &[u8]) -> Option<u8> {
    u8::try_from(registry::ALGORITHMS.value(text)?).ok()
}

/// The number of a digest type of DS, from its mnemonic in either case or from digits.
pub(crate) fn digest_type(text: &[u8]) -> Option<u8> {
    u8::try_from(registry::DIGEST_TYPES.value(text)?).ok()
}

/// Appends the text form of `rdata`. Malformed rdata, and rdata without another text form, is printed as `\# length
/// hex`.
pub fn write_text(rtype: Rtype, rdata: &[u8], style: &Style<'_>, out: &mut String) {
    let start = out.len();
    if write_fields(rtype, rdata, style, out).is_none() {
        out.truncate(start);
        out.push_str("\\# ");
        number::print(&(rdata.len() as u64).to_be_bytes(), out);
        if !rdata.is_empty() {
            out.push(' ');
            encoding::print(Encoding::Hex, rdata, style, out);
        }
    }
}

fn write_fields(rtype: Rtype, rdata: &[u8], style: &Style<'_>, out: &mut String) -> Option<()> {
    let row = info_in(style.class, rtype).filter(|row| !row.fields.is_empty())?;
    let mut at = 0;
    for spec in row.fields {
        let end = spec.kind.end(rdata, at).ok()?;
        let wire = &rdata[at..end];
        if !spec.kind.is_silent(wire) {
            if at > 0 {
                out.push(' ');
            }
            spec.kind.print(rdata, wire, style, out)?;
        }
        at = end;
    }
    (at == rdata.len()).then_some(())
}

/// Appends the canonical form (RFC 4034 6.2, RFC 6840 5.1), with the names of the types listed there in lower case.
///
/// Malformed rdata is appended unchanged.
pub fn canonical(rtype: Rtype, rdata: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(rdata);
    let Some(row) = info(rtype) else { return };
    let mut at = 0;
    for spec in row.fields {
        let Ok(end) = spec.kind.end(rdata, at) else { return };
        if let Some(from) = spec.kind.folds_from(&rdata[at..end]) {
            out[start + at + from..start + end].make_ascii_lowercase();
        }
        at = end;
    }
}

/// Adds the type, the field and the token to a fault of a field.
#[cold]
fn locate(rtype: Rtype, label: &str, fault: Fault, before: usize, fields: &Fields<'_>) -> RdataError {
    // The token at fault is the last one taken. If none was taken, it is the token that is missing.
    let at = if fields.position() > before { fields.position() - 1 } else { before };
    RdataError { at: Some(at), message: format!("{rtype} {label}: {}", fault.what), help: fault.help }
}

/// The error for an `rtype` that has no text form, or only the generic one.
#[cold]
fn no_text(rtype: Rtype) -> RdataError {
    let (message, help) = if is_zone_data(rtype) {
        let help = "write \\#, the number of octets, and the octets in hexadecimal";
        (format!("{rtype} has no text form of its own"), help)
    } else if rtype.is_meta() {
        (format!("{rtype} is no data: it exists in messages only"), "remove the record")
    } else {
        (format!("{rtype} is obsolete (RFC 1035)"), "write an MX record")
    };
    RdataError { at: None, message, help: Some(help.into()) }
}

#[cold]
fn too_many(rtype: Rtype, fields: &Fields<'_>) -> RdataError {
    let extra = fields.peek().map_or(&b""[..], |token| token.text);
    RdataError {
        at: Some(fields.position()),
        message: format!("{rtype}: {} follows the last field", token::shown(extra)),
        help: Some("remove it, or start a comment with `;`".into()),
    }
}

#[cold]
fn too_long(rtype: Rtype) -> RdataError {
    RdataError { at: None, message: format!("{rtype}: the data is over {MAX_RDATA} octets"), help: None }
}

#[cold]
fn malformed(rtype: Rtype, what: std::fmt::Arguments<'_>) -> RdataError {
    RdataError { at: None, message: format!("{rtype}: {what}"), help: None }
}

#[cfg(test)]
mod tests;
