//! Addresses: IPv4 and IPv6, and those of rarely seen networks (NSAP, ATM, EUI, ILNP locators).

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use super::{
    field::Malformed,
    number,
    token::{Fault, Token, shown},
};

pub(super) fn parse_ipv4(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let address = (!token.quoted).then(|| ipv4(token.text)).flatten();
    let address = address
        .ok_or_else(|| fault(token, "IPv4 address", "four numbers from 0 to 255 without quotes, as 192.0.2.1"))?;
    out.extend_from_slice(&address.octets());
    Ok(())
}

/// Reads four decimal numbers. Leading zeros are refused, because some programs read such numbers as octal.
#[inline]
pub(super) fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut address = [0_u8; 4];
    let (mut part, mut digits, mut value) = (0, 0, 0_u32);
    for &octet in text {
        match octet {
            b'0'..=b'9' if digits == 0 || (value > 0 && digits < 3) => {
                value = value * 10 + u32::from(octet - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && part < 3 => {
                address[part] = u8::try_from(value).ok()?;
                (part, digits, value) = (part + 1, 0, 0);
            }
            _ => return None,
        }
    }
    address[3] = u8::try_from(value).ok()?;
    (part == 3 && digits > 0).then(|| address.into())
}

pub(super) fn parse_ipv6(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let address = (!token.quoted).then(|| ipv6(token.text)).flatten();
    let address = address.ok_or_else(|| {
        fault(token, "IPv6 address", "an address without quotes, prefix length or zone, as 2001:db8::1")
    })?;
    out.extend_from_slice(&address.octets());
    Ok(())
}

pub(super) fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    // Forms that contain an IPv4 address are rare.
    ipv6_groups(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// Reads an address that has only hexadecimal groups, with at most one `::`.
fn ipv6_groups(text: &[u8]) -> Option<Ipv6Addr> {
    let (mut groups, mut count, mut gap) = ([0_u16; 8], 0, None);
    let mut rest = text;
    if let Some(after) = rest.strip_prefix(b"::") {
        (gap, rest) = (Some(0), after);
    }
    while !rest.is_empty() {
        let (mut value, mut digits) = (0, 0);
        while let Some(digit) = rest.get(digits).and_then(|&octet| char::from(octet).to_digit(16)) {
            value = value << 4 | digit;
            digits += 1;
            if digits > 4 {
                return None;
            }
        }
        if digits == 0 {
            return None;
        }
        *groups.get_mut(count)? = value as u16;
        count += 1;
        rest = match &rest[digits..] {
            [] => break,
            [b':', b':', after @ ..] if gap.is_none() => {
                gap = Some(count);
                after
            }
            [b':', after @ ..] if !after.is_empty() => after,
            _ => return None,
        };
    }
    match gap {
        None if count == 8 => {}
        Some(gap) if count < 8 => {
            groups.copy_within(gap..count, 8 - (count - gap));
            groups[gap..8 - (count - gap)].fill(0);
        }
        _ => return None,
    }
    Some(groups.into())
}

#[cold]
fn fault(token: Token<'_>, what: &str, help: &str) -> Fault {
    Fault::new(format_args!("{} is no {what}", shown(token.text))).help(format_args!("write {help}"))
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
        // The form of inet_ntop, which `Ipv6Addr` no longer prints.
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

/// Reads `0x` and pairs of hexadecimal digits, with dots anywhere (RFC 1706 7).
pub(super) fn parse_nsap(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let hex = match token.text {
        [b'0', b'x' | b'X', hex @ ..] if !token.quoted => dotted_hex(hex),
        _ => None,
    };
    out.extend_from_slice(
        &hex.ok_or_else(|| fault(token, "NSAP address", "0x and pairs of hexadecimal digits, as 0x47.0005.80"))?,
    );
    Ok(())
}

/// Reads at least one octet in hexadecimal, with dots anywhere but at the start.
fn dotted_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().filter(|&octet| octet != b'.').collect();
    HEXLOWER_PERMISSIVE.decode(&digits).ok().filter(|octets| !octets.is_empty())
}

pub(super) fn print_nsap(wire: &[u8], out: &mut String) {
    out.push_str("0x");
    HEXLOWER.encode_append(wire, out);
}

/// Reads an ATM address: `+` and digits (E.164) or hexadecimal (AESA), with dots as separators. Writes a format octet
/// before it.
pub(super) fn parse_atm(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let address = match token.text {
        _ if token.quoted => None,
        [b'+', digits @ ..] => {
            let digits: Vec<u8> = digits.iter().copied().filter(|&octet| octet != b'.').collect();
            (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some((E164, digits))
        }
        hex => dotted_hex(hex).map(|octets| (AESA, octets)),
    };
    let (format, octets) = address
        .ok_or_else(|| fault(token, "ATM address", "+ and digits (E.164), or pairs of hexadecimal digits (AESA)"))?;
    out.push(format);
    out.extend_from_slice(&octets);
    Ok(())
}

const AESA: u8 = 0;
const E164: u8 = 1;

pub(super) fn check_atm(wire: &[u8]) -> Result<usize, Malformed> {
    match wire {
        [] | [_] => Err("is cut short"),
        [E164, digits @ ..] if !digits.iter().all(u8::is_ascii_digit) => Err("is not all digits"),
        _ => Ok(wire.len()),
    }
}

/// Prints an ATM address; `None` for a format without a text form.
pub(super) fn print_atm(wire: &[u8], out: &mut String) -> Option<()> {
    match wire {
        [AESA, octets @ ..] => HEXLOWER.encode_append(octets, out),
        [E164, digits @ ..] => {
            out.push('+');
            out.extend(digits.iter().map(|&digit| char::from(digit)));
        }
        _ => return None,
    }
    Some(())
}

/// Reads an EUI-48 or EUI-64: `octets` numbers of one or two hexadecimal digits with hyphens between them (RFC 7043).
pub(super) fn parse_eui(octets: u8, token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let Some(groups) = hex_groups(token, b'-', 2).filter(|groups| groups.len() == usize::from(octets)) else {
        let example = if octets == 6 { "00-00-5e-00-53-2a" } else { "00-00-5e-ef-10-00-00-2a" };
        return Err(fault(token, "EUI", &format!("{octets} octets in hexadecimal with hyphens, as {example}")));
    };
    out.extend(groups.iter().map(|&group| group as u8));
    Ok(())
}

/// Reads hexadecimal numbers of one to `digits` digits with a separator between them.
fn hex_groups(token: Token<'_>, separator: u8, digits: usize) -> Option<Vec<u16>> {
    let group = |text: &[u8]| {
        let plain = text.len() <= digits && text.iter().all(u8::is_ascii_hexdigit);
        std::str::from_utf8(text).ok().filter(|_| plain).and_then(|text| u16::from_str_radix(text, 16).ok())
    };
    token.text.split(|&octet| octet == separator).map(group).collect::<Option<_>>().filter(|_| !token.quoted)
}

pub(super) fn print_eui(wire: &[u8], out: &mut String) {
    for (i, octet) in wire.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{}{octet:02x}", if i > 0 { "-" } else { "" });
    }
}

/// Reads an ILNP 64-bit number (RFC 6742 2.1.1): four groups of up to four hexadecimal digits, none left out.
pub(super) fn parse_groups(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let groups = hex_groups(token, b':', 4)
        .filter(|groups| groups.len() == 4)
        .ok_or_else(|| fault(token, "64-bit locator", "four hexadecimal groups with colons, as 2001:db8:1140:1000"))?;
    out.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
    Ok(())
}

pub(super) fn print_groups(wire: &[u8], out: &mut String) {
    for (i, group) in wire.chunks_exact(2).enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{}{:x}", if i > 0 { ":" } else { "" }, number::value(group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn groups_are_read_as_the_standard_library_does(text in "[0-9a-fF:]{0,20}|([0-9a-f]{1,4}:){0,8}(:[0-9a-f]{1,4}){0,8}") {
            assert_eq!(ipv6_groups(text.as_bytes()), text.parse::<Ipv6Addr>().ok(), "{text}");
        }

        #[test]
        fn quads_are_read_as_the_standard_library_does(text in "[0-9.]{0,16}|([0-9]{1,3}\\.){3}[0-9]{1,3}") {
            assert_eq!(ipv4(text.as_bytes()), text.parse::<Ipv4Addr>().ok(), "{text}");
        }
    }
}
