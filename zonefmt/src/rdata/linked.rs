//! Fields whose form depends on other octets of the same rdata: gateways, NSEC3's lengths, HIP, A6.

use super::{
    Style, address,
    encoding::{self, Encoding},
    field::{self, CUT_SHORT, Context, Malformed, name_len},
    number, text,
    token::{Fault, Fields, Token, shown},
};

// IPSECKEY (RFC 4025 2.3, 2.5) and AMTRELAY (RFC 8777 4.2): the second octet gives the kind of gateway.

const NO_GATEWAY: u8 = 0;
const IPV4: u8 = 1;
const IPV6: u8 = 2;
const NAME: u8 = 3;

/// The kind of gateway in `rdata`. AMTRELAY has its discovery bit in the same octet.
fn gateway_kind(relay: bool, rdata: &[u8]) -> u8 {
    rdata.get(1).map_or(NO_GATEWAY, |octet| if relay { octet & !DISCOVERY } else { *octet })
}

const DISCOVERY: u8 = 0x80;

pub(super) fn parse_gateway(
    relay: bool,
    token: Token<'_>,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    match gateway_kind(relay, &out[context.start..]) {
        NO_GATEWAY if token.text == b"." => Ok(()),
        NO_GATEWAY => Err(Fault::new(format_args!("{} where none should be", shown(token.text)))
            .help("write `.`, or the type that fits: 1 for IPv4, 2 for IPv6, 3 for a name")),
        IPV4 => address::parse_ipv4(token, out),
        IPV6 => address::parse_ipv6(token, out),
        NAME => field::parse_name(false, token, context.origin, out),
        kind => Err(Fault::new(format_args!("type {kind} has no text form")).help("write type 0, 1, 2 or 3")),
    }
}

/// Whether the gateway in `rdata` is a name.
pub(super) fn is_gateway_name(relay: bool, rdata: &[u8]) -> bool {
    gateway_kind(relay, rdata) == NAME
}

/// The length of the gateway in octets. An AMTRELAY may have one of an unknown type, which reaches to the end.
pub(super) fn check_gateway(relay: bool, rdata: &[u8], wire: &[u8]) -> Result<usize, Malformed> {
    match gateway_kind(relay, rdata) {
        NO_GATEWAY => Ok(0),
        IPV4 => Ok(4),
        IPV6 => Ok(16),
        NAME => name_len(wire),
        _ if relay => Ok(wire.len()),
        _ => Err("is of an unknown type"),
    }
}

pub(super) fn print_gateway(relay: bool, rdata: &[u8], wire: &[u8], style: &Style<'_>, out: &mut String) -> Option<()> {
    match gateway_kind(relay, rdata) {
        NO_GATEWAY => out.push('.'),
        IPV4 => address::print_ipv4(wire, out),
        IPV6 => address::print_ipv6(wire, out),
        NAME => field::print_name(wire, style, out),
        _ => return None,
    }
    Some(())
}

/// Reads AMTRELAY's discovery bit and relay type, two numbers that share an octet.
pub(super) fn parse_relay_type(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let discovery = number::parse(fields.take()?, 1)?;
    let kind = number::parse(fields.take()?, u64::from(!DISCOVERY))?;
    out.push((discovery << 7 | kind) as u8);
    Ok(())
}

pub(super) fn print_relay_type(wire: &[u8], out: &mut String) {
    number::print(&[wire[0] >> 7], out);
    out.push(' ');
    number::print(&[wire[0] & !DISCOVERY], out);
}

// NSEC3 (RFC 5155 3.2, 3.3): salt and hash each have a length octet.

pub(super) fn parse_salt(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    with_length(out, |out| if token.text == b"-" { Ok(()) } else { encoding::parse_token(Encoding::Hex, token, out) })
}

pub(super) fn parse_hash(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    with_length(out, |out| encoding::parse_token(Encoding::Base32, token, out))
}

/// Puts a length octet before the octets that `parse` appends.
fn with_length(out: &mut Vec<u8>, parse: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>) -> Result<(), Fault> {
    let start = out.len();
    out.push(0);
    parse(out)?;
    let len = out.len() - start - 1;
    out[start] = u8::try_from(len).map_err(|_| Fault::new(format_args!("{len} octets are over 255")))?;
    Ok(())
}

/// The length of a hashed name, which the hash algorithm in the first octet determines.
pub(super) fn check_hash(rdata: &[u8], wire: &[u8]) -> Result<usize, Malformed> {
    const SHA1: u8 = 1;
    match text::char_string(wire)?.len() {
        0 => Err("is empty"),
        len if rdata[0] == SHA1 && len != 20 => Err("is not the 20 octets of a SHA-1 hash"),
        len => Ok(len + 1),
    }
}

pub(super) fn print_salt(wire: &[u8], out: &mut String) {
    match wire {
        [0] => out.push('-'),
        _ => encoding::print(Encoding::Hex, &wire[1..], &Style::ONE_WORD, out),
    }
}

// HIP (RFC 8005 5): the lengths of tag and key come first on the wire, and do not appear in text.

pub(super) fn parse_hip(fields: &mut Fields<'_>, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let algorithm = number::parse(fields.take()?, u8::MAX.into())?;
    let (mut tag, mut key) = (Vec::new(), Vec::new());
    encoding::parse_token(Encoding::Hex, fields.take()?, &mut tag)?;
    encoding::parse_token(Encoding::Base64, fields.take()?, &mut key)?;
    let tag_len = u8::try_from(tag.len()).map_err(|_| Fault::new("the host identity tag is over 255 octets"))?;
    let key_len = u16::try_from(key.len()).map_err(|_| Fault::new("the key is over 65535 octets"))?;
    out.extend_from_slice(&[tag_len, algorithm as u8]);
    out.extend_from_slice(&key_len.to_be_bytes());
    out.extend_from_slice(&tag);
    out.extend_from_slice(&key);
    while !fields.is_done() {
        field::parse_name(false, fields.take()?, context.origin, out)?;
    }
    Ok(())
}

struct HostIdentity<'a> {
    algorithm: u8,
    tag: &'a [u8],
    key: &'a [u8],
    servers: &'a [u8],
}

impl<'a> HostIdentity<'a> {
    fn read(wire: &'a [u8]) -> Result<HostIdentity<'a>, Malformed> {
        let (&[tag_len, algorithm, key0, key1], rest) = wire.split_first_chunk().ok_or(CUT_SHORT)?;
        let (tag, rest) = rest.split_at_checked(tag_len.into()).ok_or(CUT_SHORT)?;
        let (key, servers) = rest.split_at_checked(u16::from_be_bytes([key0, key1]).into()).ok_or(CUT_SHORT)?;
        if tag.is_empty() || key.is_empty() {
            return Err("has no tag or no key");
        }
        Ok(HostIdentity { algorithm, tag, key, servers })
    }
}

pub(super) fn check_hip(wire: &[u8]) -> Result<usize, Malformed> {
    let mut servers = HostIdentity::read(wire)?.servers;
    while !servers.is_empty() {
        servers = &servers[name_len(servers)?..];
    }
    Ok(wire.len())
}

pub(super) fn print_hip(wire: &[u8], style: &Style<'_>, out: &mut String) -> Option<()> {
    let HostIdentity { algorithm, tag, key, mut servers } = HostIdentity::read(wire).ok()?;
    number::print(&[algorithm], out);
    out.push(' ');
    encoding::print(Encoding::Hex, tag, &Style::ONE_WORD, out);
    out.push(' ');
    encoding::print(Encoding::Base64, key, &Style::ONE_WORD, out);
    while !servers.is_empty() {
        let (server, rest) = servers.split_at(name_len(servers).ok()?);
        out.push(' ');
        field::print_name(server, style, out);
        servers = rest;
    }
    Some(())
}

// A6 (RFC 2874 3.1): a prefix length, the bits after the prefix, and the name that has the bits of the prefix, if it
// has any.

pub(super) fn parse_a6(fields: &mut Fields<'_>, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let prefix = number::parse(fields.take()?, 128)? as u8;
    out.push(prefix);
    if prefix < 128 {
        let mut suffix = Vec::with_capacity(16);
        address::parse_ipv6(fields.take()?, &mut suffix)?;
        suffix.drain(..usize::from(prefix / 8));
        suffix[0] &= 0xFF >> (prefix % 8);
        out.extend_from_slice(&suffix);
    }
    if prefix > 0 {
        field::parse_name(false, fields.take()?, context.origin, out)?;
    }
    Ok(())
}

/// Splits A6 rdata into prefix length, suffix and prefix name, which is empty if there is no prefix.
fn a6(wire: &[u8]) -> Result<(u8, &[u8], &[u8]), Malformed> {
    let (&prefix, rest) = wire.split_first().ok_or(CUT_SHORT)?;
    let suffix = 16_usize.checked_sub(usize::from(prefix / 8)).filter(|_| prefix <= 128);
    let (suffix, name) = rest.split_at_checked(suffix.ok_or("has a prefix length over 128")?).ok_or(CUT_SHORT)?;
    match suffix.first() {
        Some(first) if first & !(0xFF >> (prefix % 8)) != 0 => Err("has bits set inside the prefix"),
        _ => Ok((prefix, suffix, name)),
    }
}

/// The offset at which the prefix name starts.
pub(super) fn a6_name(wire: &[u8]) -> Option<usize> {
    a6(wire).ok().map(|(_, suffix, _)| 1 + suffix.len())
}

pub(super) fn check_a6(wire: &[u8]) -> Result<usize, Malformed> {
    let (prefix, suffix, name) = a6(wire)?;
    Ok(1 + suffix.len() + if prefix > 0 { name_len(name)? } else { 0 })
}

pub(super) fn print_a6(wire: &[u8], style: &Style<'_>, out: &mut String) -> Option<()> {
    let (prefix, suffix, name) = a6(wire).ok()?;
    number::print(&[prefix], out);
    out.push(' ');
    if prefix < 128 {
        let mut octets = [0; 16];
        octets[16 - suffix.len()..].copy_from_slice(suffix);
        address::print_ipv6(&octets, out);
    }
    if prefix > 0 {
        out.push(' ');
        field::print_name(name, style, out);
    }
    Some(())
}
