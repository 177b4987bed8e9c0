//! Field kinds: how each is read from text, how long it is in wire form, and how it is printed.
//!
//! These three belong together, so each kind has one arm in [`Field::parse`] (or its slower half), in [`Field::end`]
//! and in [`Field::print`]. Formats with a grammar of their own have those functions in a module.

use super::{
    Style, address, apl,
    encoding::{self, Encoding},
    linked, loc,
    names::NameRole,
    number, regexp,
    registry::{self, Digest, Registry},
    svcb, text,
    token::{Fault, Fields, Token, shown},
    types, wks,
};
use crate::{MAX_NAME, NameError, NameRef, parse_into};

/// A field of a row: its kind, and the name it has in error messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub label: &'static str,
    pub kind: Field,
}

/// The kinds of field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    /// A domain name. It is never compressed here.
    Name(NameRole),
    /// Unsigned integers in decimal.
    U8,
    U16,
    U32,
    U64,
    /// 16 bits in octal.
    Octal,
    /// 16 bits that must all be zero.
    Zero,
    /// Seconds, or `1w2d3h4m5s`.
    Ttl,
    /// Seconds since 1970, written as YYYYMMDDHHMMSS (RFC 4034 3.2).
    Time,
    /// A number that has a name.
    Named(&'static Registry),
    KeyFlags,
    Ipv4,
    Ipv6,
    Nsap,
    Atm,
    /// This many octets with hyphens between them.
    Eui(u8),
    /// Four groups of 16 bits.
    Groups,
    /// A length octet and up to 255 octets.
    CharString,
    /// An optional character-string.
    MaybeCharString,
    /// One or more character-strings, to the end.
    CharStrings,
    /// Four or more digits as a character-string.
    Digits,
    /// NAPTR's substitution expression.
    Regexp,
    /// CAA's property name.
    Tag,
    /// Octets to the end, written as one string.
    Text,
    /// Octets to the end, written as one string that must be quoted.
    QuotedText,
    /// Octets to the end, at least one, in any number of tokens.
    Base64,
    Hex,
    /// Octets to the end; there may be none.
    MaybeBase64,
    /// Octets to the end; no octets are written as `-`.
    Base64OrDash,
    /// A digest, as long as its type, in the octet before it, demands.
    Digest(Digest),
    /// The public key of a KEY; absent if the flags say so.
    KeyData,
    /// A record type by mnemonic, `TYPE123` or number.
    Type,
    /// A record type as for `Type`, but one without a mnemonic is printed as a number.
    OldType,
    /// A type bitmap (RFC 4034 4.1.2); `SomeTypes` holds at least one.
    Types,
    SomeTypes,
    /// NXT's bitmap (RFC 2535 5.2).
    OldTypes,
    /// IPSECKEY's gateway and AMTRELAY's relay, with its type.
    Gateway,
    Relay,
    RelayType,
    /// NSEC3's salt and hashed owner name.
    Salt,
    Hash,
    Hip,
    A6,
    Loc,
    Apl,
    Wks,
    /// SVCB parameters to the end.
    SvcParams,
}

/// The context that a field needs besides its own text.
pub(super) struct Context<'a> {
    pub origin: NameRef<'a>,
    /// The offset in the output at which this record's rdata starts.
    pub start: usize,
}

/// Why rdata in wire form is malformed.
pub(super) type Malformed = &'static str;

pub(super) const CUT_SHORT: Malformed = "is cut short";
const EMPTY: Malformed = "is empty";

impl Field {
    /// Reads the field's tokens and appends its wire form.
    #[inline]
    pub(super) fn parse(self, fields: &mut Fields<'_>, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Field::Name(role) => return parse_name(role.may_be_quoted(), fields.take()?, context.origin, out),
            Field::U8 => out.push(number::parse(fields.take()?, u8::MAX.into())? as u8),
            Field::U16 => push_u16(out, number::parse(fields.take()?, u16::MAX.into())? as u16),
            Field::U32 => push_u32(out, number::parse(fields.take()?, u32::MAX.into())? as u32),
            Field::Ttl => push_u32(out, number::parse_seconds(fields.take()?)?),
            Field::Ipv4 => return address::parse_ipv4(fields.take()?, out),
            Field::Ipv6 => return address::parse_ipv6(fields.take()?, out),
            Field::CharString => return text::parse_char_string(fields.take()?, out),
            Field::CharStrings => {
                text::parse_char_string(fields.take()?, out)?;
                while !fields.is_done() {
                    text::parse_char_string(fields.take()?, out)?;
                }
            }
            _ => return self.parse_checked(fields, context, out),
        }
        Ok(())
    }

    /// The part of [`Self::parse`] for the kinds whose wire form has rules that their text does not show.
    fn parse_checked(self, fields: &mut Fields<'_>, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        match self {
            Field::Octal => push_u16(out, number::parse_octal(fields.take()?)?),
            Field::U64 => out.extend_from_slice(&number::parse(fields.take()?, u64::MAX)?.to_be_bytes()),
            Field::Time => push_u32(out, number::parse_time(fields.take()?)?),
            Field::Named(registry) => registry.parse(fields.take()?, out)?,
            Field::KeyFlags | Field::Zero => push_u16(out, registry::parse_key_flags(fields.take()?)?),
            Field::Nsap => address::parse_nsap(fields.take()?, out)?,
            Field::Atm => address::parse_atm(fields.take()?, out)?,
            Field::Eui(octets) => address::parse_eui(octets, fields.take()?, out)?,
            Field::Groups => address::parse_groups(fields.take()?, out)?,
            Field::MaybeCharString | Field::MaybeBase64 | Field::Apl if fields.is_done() => {}
            Field::MaybeCharString | Field::Regexp => text::parse_char_string(fields.take()?, out)?,
            Field::Digits => text::parse_digits(fields.take()?, out)?,
            Field::Tag => text::parse_tag(fields.take()?, out)?,
            Field::Text => text::parse_octets(fields.take()?, out)?,
            Field::QuotedText => text::parse_quoted(fields.take()?, out)?,
            Field::KeyData if registry::has_no_key(&out[context.start..]) => {}
            Field::Base64OrDash if fields.peek().is_some_and(|token| token.text == b"-") => drop(fields.take()?),
            Field::Base64 | Field::MaybeBase64 | Field::Base64OrDash | Field::KeyData => {
                encoding::parse(Encoding::Base64, fields, out)?;
            }
            Field::Hex | Field::Digest(_) => encoding::parse(Encoding::Hex, fields, out)?,
            Field::Type | Field::OldType => push_u16(out, types::parse_covered(fields.take()?)?.0),
            Field::Types | Field::SomeTypes => types::parse_bitmap(fields, out)?,
            Field::OldTypes => types::parse_old_bitmap(fields, out)?,
            Field::Gateway | Field::Relay => linked::parse_gateway(self.is_relay(), fields.take()?, context, out)?,
            Field::RelayType => linked::parse_relay_type(fields, out)?,
            Field::Salt => linked::parse_salt(fields.take()?, out)?,
            Field::Hash => linked::parse_hash(fields.take()?, out)?,
            Field::Hip => linked::parse_hip(fields, context, out)?,
            Field::A6 => linked::parse_a6(fields, context, out)?,
            Field::Loc => loc::parse(fields, out)?,
            Field::Apl => apl::parse(fields, out)?,
            Field::Wks => wks::parse(fields, out)?,
            Field::SvcParams => svcb::parse(fields, out)?,
            _ => self.parse(fields, context, out)?,
        }
        self.end(&out[context.start..], start - context.start).map(drop).map_err(Fault::new)
    }

    /// Returns where the field that starts at `at` ends, or an error if it is malformed.
    #[inline]
    pub(super) fn end(self, rdata: &[u8], at: usize) -> Result<usize, Malformed> {
        let wire = rdata.get(at..).ok_or(CUT_SHORT)?;
        let len = match self {
            Field::Name(_) => name_len(wire)?,
            Field::U8 | Field::RelayType => 1,
            Field::U16 | Field::Octal | Field::KeyFlags | Field::Type | Field::OldType => 2,
            Field::U32 | Field::Ttl | Field::Time | Field::Ipv4 => 4,
            Field::U64 | Field::Groups => 8,
            Field::Ipv6 => 16,
            Field::Eui(octets) => octets.into(),
            Field::Named(registry) => registry.octets,
            Field::CharString => text::char_string(wire)?.len() + 1,
            Field::CharStrings => text::check_char_strings(wire)?,
            _ => self.checked_len(rdata, at, wire)?,
        };
        if len > wire.len() { Err(CUT_SHORT) } else { Ok(at + len) }
    }

    /// The part of [`Self::end`] for the kinds with rules of their own.
    fn checked_len(self, rdata: &[u8], at: usize, wire: &[u8]) -> Result<usize, Malformed> {
        match self {
            Field::Zero if wire.iter().take(2).any(|&octet| octet != 0) => Err("is not zero"),
            Field::Zero => Ok(2),
            Field::Atm => address::check_atm(wire),
            Field::MaybeCharString if wire.is_empty() => Ok(0),
            Field::Digits => text::check_digits(wire),
            Field::Regexp => {
                let string = text::char_string(wire)?;
                regexp::check(string).map(|()| string.len() + 1)
            }
            Field::Tag => text::check_tag(wire),
            Field::Nsap | Field::Base64 | Field::Hex if wire.is_empty() => Err(EMPTY),
            Field::Digest(digest) => digest.check(rdata, at),
            Field::KeyData => registry::check_key(rdata, wire),
            Field::SomeTypes if wire.is_empty() => Err("names no type"),
            Field::Types | Field::SomeTypes => types::check_bitmap(wire),
            Field::OldTypes => types::check_old_bitmap(wire),
            Field::Gateway | Field::Relay => linked::check_gateway(self.is_relay(), rdata, wire),
            Field::MaybeCharString | Field::Salt => Ok(text::char_string(wire)?.len() + 1),
            Field::Hash => linked::check_hash(rdata, wire),
            Field::Hip => linked::check_hip(wire),
            Field::A6 => linked::check_a6(wire),
            Field::Loc => loc::check(wire),
            Field::Apl => apl::check(wire),
            Field::Wks => wks::check(wire),
            Field::SvcParams => svcb::check(wire),
            // The other kinds take all octets to the end.
            _ => Ok(wire.len()),
        }
    }

    /// Prints the field at `wire`, which [`Self::end`] has found well-formed. Returns `None` if it has no text form.
    pub(super) fn print(self, rdata: &[u8], wire: &[u8], style: &Style<'_>, out: &mut String) -> Option<()> {
        match self {
            Field::Name(_) => print_name(wire, style, out),
            Field::Octal => number::print_octal(wire, out),
            Field::Time => number::print_time(wire, out),
            Field::Named(registry) => registry.print(wire, out),
            Field::Ipv4 => address::print_ipv4(wire, out),
            Field::Ipv6 => address::print_ipv6(wire, out),
            Field::Nsap => address::print_nsap(wire, out),
            Field::Atm => return address::print_atm(wire, out),
            Field::Eui(_) => address::print_eui(wire, out),
            Field::Groups => address::print_groups(wire, out),
            Field::CharString | Field::MaybeCharString | Field::CharStrings | Field::Digits | Field::Regexp => {
                text::print_char_strings(wire, out);
            }
            Field::Tag => out.extend(wire[1..].iter().map(|&octet| char::from(octet))),
            Field::Text | Field::QuotedText => text::print_quoted(wire, out),
            Field::Base64OrDash if wire.is_empty() => out.push('-'),
            Field::Base64 | Field::MaybeBase64 | Field::Base64OrDash | Field::KeyData => {
                encoding::print(Encoding::Base64, wire, style, out);
            }
            Field::Hex | Field::Digest(_) => encoding::print(Encoding::Hex, wire, style, out),
            Field::Type => types::print(wire, out),
            Field::OldType => types::print_known(wire, out),
            Field::Types | Field::SomeTypes => types::print_bitmap(wire, out),
            Field::OldTypes => types::print_window(0, wire, out),
            Field::Gateway | Field::Relay => return linked::print_gateway(self.is_relay(), rdata, wire, style, out),
            Field::RelayType => linked::print_relay_type(wire, out),
            Field::Salt => linked::print_salt(wire, out),
            Field::Hash => encoding::print(Encoding::Base32, &wire[1..], &Style::ONE_WORD, out),
            Field::Hip => return linked::print_hip(wire, style, out),
            Field::A6 => return linked::print_a6(wire, style, out),
            Field::Loc => return loc::print(wire, out),
            Field::Apl => return apl::print(wire, out),
            Field::Wks => wks::print(wire, out),
            Field::SvcParams => svcb::print(wire, out),
            Field::U8 | Field::U16 | Field::U32 | Field::U64 | Field::Zero | Field::Ttl | Field::KeyFlags => {
                number::print(wire, out);
            }
        }
        Some(())
    }

    /// Whether the field prints nothing, not even the space before it.
    pub(super) const fn is_silent(self, wire: &[u8]) -> bool {
        wire.is_empty()
            && !matches!(self, Field::Text | Field::QuotedText | Field::Base64OrDash | Field::Gateway | Field::Relay)
    }

    /// The offset from which the canonical form of a well-formed field is in lower case.
    pub(super) fn folds_from(self, wire: &[u8]) -> Option<usize> {
        match self {
            Field::Name(role) if role.fold => Some(0),
            Field::A6 => linked::a6_name(wire),
            _ => None,
        }
    }

    /// Whether the field is a name and nothing else, given the fields before it.
    pub(super) fn is_name(self, rdata: &[u8]) -> bool {
        match self {
            Field::Name(_) => true,
            Field::Gateway | Field::Relay => linked::is_gateway_name(self.is_relay(), rdata),
            _ => false,
        }
    }

    fn is_relay(self) -> bool {
        self == Field::Relay
    }
}

fn push_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn push_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// The length in octets of the name that `wire` starts with.
#[inline]
pub(super) fn name_len(wire: &[u8]) -> Result<usize, Malformed> {
    let (name, _) = NameRef::from_prefix(wire).map_err(|_| "holds no whole, uncompressed name")?;
    Ok(name.len())
}

#[inline]
pub(super) fn parse_name(
    may_be_quoted: bool,
    token: Token<'_>,
    origin: NameRef<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    if token.quoted && !may_be_quoted {
        return Err(Fault::new("a name in quotes").help("write the name without quotes"));
    }
    let mut wire = [0; MAX_NAME];
    let len = parse_into(token.text, origin, &mut wire).map_err(|error| name_fault(token, error))?;
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

pub(super) fn print_name(wire: &[u8], style: &Style<'_>, out: &mut String) {
    if let Ok(name) = NameRef::from_wire(wire) {
        style.write_name(name, out);
    }
}
