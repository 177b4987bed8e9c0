//! APL: lists of address prefixes (RFC 3123 4, 5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    address,
    field::{CUT_SHORT, Malformed},
    number,
    token::{Fault, Fields, Token, shown},
};

const IPV4: u16 = 1;
const IPV6: u16 = 2;
const NEGATED: u8 = 0x80;

/// An item of an APL record that is about IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressPrefix {
    /// Whether the item is negated (`!`).
    pub negated: bool,
    /// The address; bits behind the prefix may be set.
    pub address: IpAddr,
    /// The length of the prefix, up to 32 or 128 bits.
    pub length: u8,
}

/// The items of an APL record's RDATA that are about IPv4 or IPv6. Malformed RDATA ends before its first malformed item.
pub fn address_prefixes(rdata: &[u8]) -> impl Iterator<Item = AddressPrefix> {
    let sound = items(rdata).map_while(Result::ok);
    sound.filter_map(|(family, length, negated, address)| {
        let mut octets = [0; 16];
        octets.get_mut(..address.len())?.copy_from_slice(address);
        let [a, b, c, d, ..] = octets;
        let (address, longest) = match family {
            IPV4 => (Ipv4Addr::new(a, b, c, d).into(), 32),
            IPV6 => (Ipv6Addr::from(octets).into(), 128),
            _ => return None,
        };
        (length <= longest).then_some(AddressPrefix { negated, address, length })
    })
}

/// Reads all remaining tokens; there may be none.
pub(super) fn parse(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    while !fields.is_done() {
        let token = fields.take()?;
        let item = if token.quoted { None } else { parse_item(token.text) };
        let (family, prefix, negated, address) = item.ok_or_else(|| fault(token))?;
        // Zero octets at the end are not sent.
        let len = address.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
        out.extend_from_slice(&family.to_be_bytes());
        out.extend_from_slice(&[prefix, len as u8 | if negated { NEGATED } else { 0 }]);
        out.extend_from_slice(&address[..len]);
    }
    Ok(())
}

/// Reads an item of the form `[!]family:address/prefix`.
fn parse_item(text: &[u8]) -> Option<(u16, u8, bool, Vec<u8>)> {
    let (negated, text) = text.strip_prefix(b"!").map_or((false, text), |text| (true, text));
    let colon = text.iter().position(|&octet| octet == b':')?;
    let slash = text.iter().position(|&octet| octet == b'/').filter(|&slash| slash > colon)?;
    let number = |text, most| number::parse(Token { text, quoted: false, at: 0 }, most).ok();
    let address = &text[colon + 1..slash];
    let (family, address) = match number(&text[..colon], u16::MAX.into())? as u16 {
        IPV4 => (IPV4, address::ipv4(address)?.octets().to_vec()),
        IPV6 => (IPV6, address::ipv6(address)?.octets().to_vec()),
        _ => return None,
    };
    let prefix = number(&text[slash + 1..], 8 * address.len() as u64)?;
    Some((family, prefix as u8, negated, address))
}

#[cold]
fn fault(token: Token<'_>) -> Fault {
    Fault::new(format_args!("{} is no address prefix", shown(token.text)))
        .help("write 1:192.0.2.0/24 for IPv4, 2:2001:db8::/32 for IPv6, `!` before it to negate")
}

/// An item: family, prefix length, whether it is negated, and the address without the zeros at its end.
type Item<'a> = (u16, u8, bool, &'a [u8]);

fn items(mut wire: &[u8]) -> impl Iterator<Item = Result<Item<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if wire.is_empty() {
            return None;
        }
        let item = wire.split_first_chunk().and_then(|(&[f0, f1, prefix, len], rest)| {
            let (address, rest) = rest.split_at_checked(usize::from(len & !NEGATED))?;
            wire = rest;
            Some((u16::from_be_bytes([f0, f1]), prefix, len & NEGATED != 0, address))
        });
        if item.is_none() {
            wire = &[];
        }
        Some(item.ok_or(CUT_SHORT))
    })
}

pub(super) fn check(wire: &[u8]) -> Result<usize, Malformed> {
    for item in items(wire) {
        let (family, prefix, _, address) = item?;
        let most = match family {
            IPV4 => 4,
            IPV6 => 16,
            _ => usize::from(u8::MAX),
        };
        if address.len() > most || usize::from(prefix) > 8 * most {
            return Err("has a prefix that is too long for its family");
        }
        if address.last() == Some(&0) {
            return Err("has an address that ends in zeros");
        }
    }
    Ok(wire.len())
}

/// Prints the items; `None` if a family has no text form.
pub(super) fn print(wire: &[u8], out: &mut String) -> Option<()> {
    for (i, item) in items(wire).enumerate() {
        let (family, prefix, negated, address) = item.ok()?;
        if i > 0 {
            out.push(' ');
        }
        if negated {
            out.push('!');
        }
        let mut octets = [0; 16];
        octets.get_mut(..address.len())?.copy_from_slice(address);
        number::print(&family.to_be_bytes(), out);
        out.push(':');
        match family {
            IPV4 => address::print_ipv4(&octets[..4], out),
            IPV6 => address::print_ipv6(&octets, out),
            _ => return None,
        }
        out.push('/');
        number::print(&[prefix], out);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_other_families_are_left_out() {
        let rdata = b"\0\x01\x18\x03\xc0\0\x02\0\x03\x08\x01\x07\0\x02\x20\x84\x20\x01\x0d\xb8\0\x01\0\0";
        let prefixes: Vec<_> =
            address_prefixes(rdata).map(|item| (item.negated, item.address.to_string(), item.length)).collect();
        let expected = [(false, "192.0.2.0", 24), (true, "2001:db8::", 32), (false, "0.0.0.0", 0)];
        assert_eq!(prefixes, expected.map(|(negated, address, length)| (negated, address.to_owned(), length)));
        assert_eq!(address_prefixes(b"\0\x01\x18\x03\xc0").count(), 0);
    }
}
