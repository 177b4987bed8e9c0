//! Field kinds: how each reads its text, how far it reaches in wire form, and how it is printed.
//!
//! The three belong together, so a kind has one arm in each of [`Field::parse`], [`Field::end`] and [`Field::print`],
//! and formats with a grammar of their own have a module with those three functions.

use std::{fmt::Write, net::Ipv6Addr};

use super::{
    Style,
    encoding::{self, Encoding},
    names::NameRole,
    number, security, svcb,
    token::{Fault, Fields, Token, shown},
    types,
};
use crate::{MAX_NAME, NameError, NameRef, parse_into, unescape};

/// A field of a row: its kind, and its name in error messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub label: &'static str,
    pub kind: Field,
}

/// The kinds of field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    /// A domain name, never compressed here.
    Name(NameRole),
    /// Unsigned integers in decimal.
    U8,
    U16,
    U32,
    /// Seconds, or `1w2d3h4m5s`.
    Ttl,
    Ipv4,
    Ipv6,
    /// A length octet and up to 255 octets.
    CharString,
    /// One or more of them, to the end.
    CharStrings,
    /// NAPTR's substitution expression (RFC 3402 3.2), or an empty string.
    Regexp,
    /// CAA's property name: a length octet, letters and digits (RFC 8659 4.1).
    Tag,
    /// Octets to the end, written as one string.
    Text,
    /// Octets to the end, at least one, in any number of tokens.
    Base64,
    Hex,
    /// DNSSEC algorithm, as number or mnemonic.
    Algorithm,
    DigestType,
    /// As long as the digest type before it demands.
    Digest,
    KeyFlags,
    KeyProtocol,
    /// The public key of a KEY; absent if the flags say so.
    KeyData,
    TypeCovered,
    /// Seconds since 1970, written as YYYYMMDDHHMMSS (RFC 4034 3.2).
    Time,
    /// A type bitmap (RFC 4034 4.1.2); `SomeTypes` holds at least one.
    Types,
    SomeTypes,
    /// SVCB parameters to the end (RFC 9460 2.1).
    SvcParams,
}

/// What a field needs to know besides its own text.
pub(super) struct Context<'a> {
    pub origin: NameRef<'a>,
    /// Where this record's rdata starts in the output.
    pub start: usize,
}

/// Why wire form is malformed.
pub(super) type Malformed = &'static str;

impl Field {
    /// Reads the field's tokens and appends its wire form.
    #[inline]
    pub(super) fn parse(self, fields: &mut Fields<'_>, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Field::Name(role) => return parse_name(role, fields.take()?, context.origin, out),
            Field::U8 => out.push(number::parse(fields.take()?, u8::MAX.into())? as u8),
            Field::U16 => push_u16(out, number::parse(fields.take()?, u16::MAX.into())?),
            Field::U32 => push_u32(out, number::parse(fields.take()?, u32::MAX)?),
            Field::Ttl => push_u32(out, number::parse_seconds(fields.take()?)?),
            Field::Time => push_u32(out, number::parse_time(fields.take()?)?),
            Field::Ipv4 => return parse_ipv4(fields.take()?, out),
            Field::Ipv6 => return parse_ipv6(fields.take()?, out),
            Field::CharString => return parse_char_string(fields.take()?, out),
            Field::CharStrings => {
                parse_char_string(fields.take()?, out)?;
                while !fields.is_done() {
                    parse_char_string(fields.take()?, out)?;
                }
                return Ok(());
            }
            _ => return self.parse_checked(fields, context, out),
        }
        Ok(())
    }

    /// As [`Self::parse`], for the kinds whose wire form has rules that their text does not show.
    fn parse_checked(self, fields: &mut Fields<'_>, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        match self {
            Field::Regexp | Field::Tag => parse_char_string(fields.take()?, out)?,
            Field::Text => parse_octets(fields.take()?, out)?,
            Field::Hex | Field::Digest => encoding::parse(Encoding::Hex, fields, out)?,
            Field::Algorithm => out.push(security::parse_algorithm(fields.take()?)?),
            Field::DigestType => out.push(security::parse_digest_type(fields.take()?)?),
            Field::KeyFlags => push_u16(out, security::parse_key_flags(fields.take()?)?.into()),
            Field::KeyProtocol => out.push(security::parse_key_protocol(fields.take()?)?),
            Field::KeyData if security::has_no_key(&out[context.start..]) => {}
            Field::Base64 | Field::KeyData => encoding::parse(Encoding::Base64, fields, out)?,
            Field::TypeCovered => push_u16(out, types::parse_covered(fields.take()?)?.0.into()),
            Field::Types | Field::SomeTypes => types::parse_bitmap(fields, out)?,
            Field::SvcParams => svcb::parse(fields, out)?,
            _ => self.parse(fields, context, out)?,
        }
        let rdata = &out[context.start..];
        self.end(rdata, start - context.start).map(drop).map_err(Fault::new)
    }

    /// Where the field that starts at `at` ends; an error if it is malformed.
    #[inline]
    pub(super) fn end(self, rdata: &[u8], at: usize) -> Result<usize, Malformed> {
        let wire = rdata.get(at..).ok_or(CUT_SHORT)?;
        let len = match self {
            Field::Name(_) => {
                let (name, _) = NameRef::from_prefix(wire).map_err(|_| "holds no whole, uncompressed name")?;
                name.len()
            }
            Field::U8 | Field::Algorithm | Field::DigestType | Field::KeyProtocol => 1,
            Field::U16 | Field::KeyFlags | Field::TypeCovered => 2,
            Field::U32 | Field::Ttl | Field::Time | Field::Ipv4 => 4,
            Field::Ipv6 => 16,
            Field::CharString => char_string(wire)?.len() + 1,
            Field::CharStrings => {
                let mut rest = wire;
                loop {
                    rest = &rest[1 + char_string(rest)?.len()..];
                    if rest.is_empty() {
                        break wire.len();
                    }
                }
            }
            Field::Regexp => check_regexp(char_string(wire)?)?,
            Field::Tag => match char_string(wire)? {
                [] => return Err("is empty"),
                tag if tag.iter().all(u8::is_ascii_alphanumeric) => tag.len() + 1,
                _ => return Err("holds other characters than letters and digits"),
            },
            Field::Base64 | Field::Hex if wire.is_empty() => return Err("is empty"),
            Field::Text | Field::Base64 | Field::Hex => wire.len(),
            Field::Digest => security::check_digest(rdata, at)?,
            Field::KeyData => security::check_key(rdata, at, true)?,
            Field::SomeTypes if wire.is_empty() => return Err("name no type"),
            Field::Types | Field::SomeTypes => types::check_bitmap(wire)?,
            Field::SvcParams => svcb::check(rdata, wire)?,
        };
        if len > wire.len() { Err(CUT_SHORT) } else { Ok(at + len) }
    }

    /// Prints a field that [`Self::end`] has found well-formed.
    pub(super) fn print(self, wire: &[u8], style: &Style<'_>, out: &mut String) {
        match self {
            Field::Name(_) => print_name(wire, style, out),
            Field::Ipv4 => print_ipv4(wire, out),
            Field::Ipv6 => print_ipv6(wire, out),
            Field::CharString | Field::Regexp => print_char_string(wire, out),
            Field::CharStrings => {
                let mut rest = wire;
                while let Ok(string) = char_string(rest) {
                    let (this, after) = rest.split_at(1 + string.len());
                    if rest.len() < wire.len() {
                        out.push(' ');
                    }
                    print_char_string(this, out);
                    rest = after;
                }
            }
            Field::Tag => out.extend(wire[1..].iter().map(|&octet| char::from(octet))),
            Field::Text => print_quoted(wire, out),
            Field::Base64 | Field::KeyData => encoding::print(Encoding::Base64, wire, style, out),
            Field::Hex | Field::Digest => encoding::print(Encoding::Hex, wire, style, out),
            Field::TypeCovered => types::print(wire, out),
            Field::Time => number::print_time(wire, out),
            Field::Types | Field::SomeTypes => types::print_bitmap(wire, out),
            Field::SvcParams => svcb::print(wire, out),
            _ => number::print(wire, out),
        }
    }

    /// Whether the canonical form is lower case.
    pub(super) const fn folds(self) -> bool {
        matches!(self, Field::Name(role) if role.fold)
    }

    /// Whether the field prints nothing, not even the space before it.
    pub(super) fn is_silent(self, wire: &[u8]) -> bool {
        wire.is_empty() && matches!(self, Field::KeyData | Field::Types | Field::SvcParams)
    }
}

const CUT_SHORT: Malformed = "is cut short";

fn push_u16(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&(value as u16).to_be_bytes());
}

fn push_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// The content of the character-string that `wire` starts with.
fn char_string(wire: &[u8]) -> Result<&[u8], Malformed> {
    let (&len, rest) = wire.split_first().ok_or(CUT_SHORT)?;
    rest.get(..usize::from(len)).ok_or(CUT_SHORT)
}

fn parse_name(role: NameRole, token: Token<'_>, origin: NameRef<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut wire = [0; MAX_NAME];
    let len = match (token.quoted, parse_into(token.text, origin, &mut wire)) {
        (false, Ok(len)) => len,
        (true, Ok(len)) if role.may_be_quoted() => len,
        (true, _) => return Err(Fault::new("a name in quotes").help("write the name without quotes")),
        (false, Err(error)) => return Err(name_fault(token, error)),
    };
    out.extend_from_slice(&wire[..len]);
    Ok(())
}

#[cold]
fn name_fault(token: Token<'_>, error: NameError) -> Fault {
    let fault = Fault::new(format_args!("{}: {error}", shown(token.text)));
    match error {
        NameError::NameTooLong => fault.help("a name without a final dot gets the origin appended"),
        NameError::EmptyLabel => fault.help("write labels with single dots between them"),
        _ => fault,
    }
}

fn parse_ipv4(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut address = [0_u8; 4];
    let (mut part, mut digits, mut value) = (0, 0, 0_u32);
    for &octet in token.text.iter().chain(b".") {
        match octet {
            // No leading zeros: some readers take them for octal.
            b'0'..=b'9' if digits == 0 || (value > 0 && digits < 3) => {
                value = value * 10 + u32::from(octet - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && part < 4 && value <= 255 => {
                address[part] = value as u8;
                (part, digits, value) = (part + 1, 0, 0);
            }
            _ => return Err(address_fault(token, "IPv4", "four numbers from 0 to 255, as 192.0.2.1")),
        }
    }
    if part != 4 || token.quoted {
        return Err(address_fault(token, "IPv4", "four numbers from 0 to 255 without quotes, as 192.0.2.1"));
    }
    out.extend_from_slice(&address);
    Ok(())
}

fn parse_ipv6(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let address = std::str::from_utf8(token.text).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
    match address {
        Some(address) if !token.quoted => {
            out.extend_from_slice(&address.octets());
            Ok(())
        }
        _ => Err(address_fault(token, "IPv6", "an address without quotes, prefix length or zone, as 2001:db8::1")),
    }
}

#[cold]
fn address_fault(token: Token<'_>, family: &str, help: &str) -> Fault {
    Fault::new(format_args!("{} is no {family} address", shown(token.text))).help(format_args!("write {help}"))
}

pub(super) fn parse_char_string(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    out.push(0);
    parse_octets(token, out)?;
    let len = out.len() - start - 1;
    out[start] = u8::try_from(len).map_err(|_| {
        Fault::new(format_args!("a string of {len} octets is over 255"))
            .help("split it into several strings, each in quotes; readers join them")
    })?;
    Ok(())
}

/// The octets that a token stands for, escapes resolved.
pub(super) fn parse_octets(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut text = token.text;
    while let Some(plain) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(&text[..plain]);
        let (octet, used) =
            unescape(&text[plain..]).map_err(|error| Fault::new(format_args!("{}: {error}", shown(token.text))))?;
        out.push(octet);
        text = &text[plain + used..];
    }
    out.extend_from_slice(text);
    Ok(())
}

/// The shape of NAPTR's regexp: delimiter, expression, delimiter, replacement, delimiter, optional `i`.
fn check_regexp(regexp: &[u8]) -> Result<usize, Malformed> {
    let len = regexp.len() + 1;
    let Some((&delimiter, body)) = regexp.split_first() else { return Ok(len) };
    if matches!(delimiter, b'0'..=b'9' | b'\\' | b'i' | 0) {
        return Err("starts with a delimiter that is a digit, a backslash, `i` or NUL");
    }
    let mut part = 0;
    let mut rest = body.iter();
    while let Some(&octet) = rest.next() {
        match octet {
            0 => return Err("holds a NUL"),
            _ if octet == delimiter => part += 1,
            _ if part == 2 && octet == b'i' => {}
            _ if part >= 2 => return Err("has flags other than `i` after the last delimiter"),
            b'\\' => match rest.next() {
                None | Some(0) => return Err("ends in a backslash"),
                Some(b'0') if part == 1 => return Err("refers to group 0; groups count from 1"),
                Some(_) => {}
            },
            _ => {}
        }
    }
    if part == 2 { Ok(len) } else { Err("needs exactly three delimiters, as in !pattern!replacement!") }
}

fn print_name(wire: &[u8], style: &Style<'_>, out: &mut String) {
    if let Ok(name) = NameRef::from_wire(wire) {
        style.write_name(name, out);
    }
}

pub(super) fn print_ipv4(wire: &[u8], out: &mut String) {
    for (i, &octet) in wire.iter().enumerate() {
        if i > 0 {
            out.push('.');
        }
        number::print(&[octet], out);
    }
}

pub(super) fn print_ipv6(wire: &[u8], out: &mut String) {
    match wire {
        // inet_ntop's form, which no longer is `Ipv6Addr`'s.
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, v4 @ ..] if v4.len() == 4 && v4[..2] != [0, 0] => {
            out.push_str("::");
            print_ipv4(v4, out);
        }
        _ => {
            if let Ok(octets) = <[u8; 16]>::try_from(wire) {
                // Writing to a String cannot fail.
                let _ = write!(out, "{}", Ipv6Addr::from(octets));
            }
        }
    }
}

fn print_char_string(wire: &[u8], out: &mut String) {
    print_quoted(&wire[1..], out);
}

/// Octets in quotes, `"` and `\` escaped, what is not printable as `\DDD`.
pub(super) fn print_quoted(octets: &[u8], out: &mut String) {
    out.push('"');
    for &octet in octets {
        match octet {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(octet));
            }
            b' '..=b'~' => out.push(char::from(octet)),
            _ => print_decimal_escape(octet, out),
        }
    }
    out.push('"');
}

/// `\DDD`.
pub(super) fn print_decimal_escape(octet: u8, out: &mut String) {
    out.push('\\');
    for digit in [octet / 100, octet / 10 % 10, octet % 10] {
        out.push(char::from(b'0' + digit));
    }
}
