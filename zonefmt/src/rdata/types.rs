//! Record types as data: a single type, and the bitmaps of NSEC, NSEC3 and CSYNC (RFC 4034 4.1.2).

use super::{
    field::Malformed,
    number, table,
    token::{Fault, Fields, Token, shown},
};
use crate::Rtype;

/// Reads a type, by mnemonic or as `TYPE123`.
pub(super) fn parse(token: Token<'_>) -> Result<Rtype, Fault> {
    Rtype::from_text(token.text).filter(|_| !token.quoted).ok_or_else(|| {
        Fault::new(format_args!("{} is no record type", shown(token.text)))
            .help("write a mnemonic as AAAA, or TYPE and a number up to 65535")
    })
}

/// As [`parse`], but also accepts a bare number.
pub(super) fn parse_covered(token: Token<'_>) -> Result<Rtype, Fault> {
    let number = std::str::from_utf8(token.text).ok().and_then(|text| text.parse().ok());
    match number {
        Some(number) if !token.quoted && token.text[0] != b'+' => Ok(Rtype(number)),
        _ => parse(token),
    }
}

/// Reads all remaining tokens as types, in any order.
pub(super) fn parse_bitmap(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut types = Vec::new();
    while !fields.is_done() {
        types.push(parse(fields.take()?)?.0);
    }
    types.sort_unstable();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bits = [0_u8; 32];
        for rtype in window {
            bits[usize::from(rtype & 0xFF) / 8] |= 0x80 >> (rtype % 8);
        }
        let last = usize::from(window[window.len() - 1] & 0xFF) / 8;
        out.extend_from_slice(&[(window[0] >> 8) as u8, last as u8 + 1]);
        out.extend_from_slice(&bits[..=last]);
    }
    Ok(())
}

/// Checks that windows ascend and that none is empty or ends in a zero octet.
pub(super) fn check_bitmap(wire: &[u8]) -> Result<usize, Malformed> {
    let (mut rest, mut last) = (wire, None);
    while let [window, len, after @ ..] = rest {
        let len = usize::from(*len);
        if last >= Some(*window) {
            return Err("has its windows out of order");
        }
        match after.get(..len) {
            Some([.., last]) if len <= 32 && *last != 0 => {}
            None => return Err("is cut short"),
            _ => return Err("has a window that is empty, too long or ends in zeros"),
        }
        last = Some(*window);
        rest = &after[len..];
    }
    if rest.is_empty() { Ok(wire.len()) } else { Err("is cut short") }
}

/// Prints one type.
pub(super) fn print(wire: &[u8], out: &mut String) {
    if let Ok(number) = wire.try_into() {
        table::write_type(Rtype(u16::from_be_bytes(number)), out);
    }
}

/// Prints one type. A type without a mnemonic is printed as a bare number.
pub(super) fn print_known(wire: &[u8], out: &mut String) {
    if table::info(Rtype(number::value(wire) as u16)).is_some() {
        print(wire, out);
    } else {
        number::print(wire, out);
    }
}

/// Prints the types of a well-formed bitmap.
pub(super) fn print_bitmap(wire: &[u8], out: &mut String) {
    let mut rest = wire;
    while let [window, len, after @ ..] = rest {
        let (bits, after) = after.split_at(usize::from(*len).min(after.len()));
        if rest.len() < wire.len() {
            out.push(' ');
        }
        print_window(u16::from(*window) << 8, bits, out);
        rest = after;
    }
}

/// Prints the types of a bitmap that starts at type `base`.
pub(super) fn print_window(base: u16, bits: &[u8], out: &mut String) {
    let mut first = true;
    for bit in (0..bits.len() * 8).filter(|bit| bits[bit / 8] & (0x80 >> (bit % 8)) != 0) {
        if !first {
            out.push(' ');
        }
        first = false;
        table::write_type(Rtype(base | bit as u16), out);
    }
}

/// Reads NXT's bitmap, which has types below 128 only (RFC 2535 5.2).
pub(super) fn parse_old_bitmap(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut bits = [0_u8; 16];
    while !fields.is_done() {
        let rtype = parse_covered(fields.take()?)?;
        let octet = bits.get_mut(usize::from(rtype.0 / 8)).ok_or_else(|| {
            Fault::new(format_args!("{rtype} is over 127")).help("NXT knows the types below 128; use NSEC")
        })?;
        *octet |= 0x80 >> (rtype.0 % 8);
    }
    let len = bits.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    out.extend_from_slice(&bits[..len]);
    Ok(())
}

/// Checks that there are at most 16 octets and the last is not zero. The first bit means a form that was never defined.
pub(super) fn check_old_bitmap(wire: &[u8]) -> Result<usize, Malformed> {
    match wire {
        [0x80..=0xFF, ..] => Err("holds type 0"),
        [.., 0] => Err("ends in zeros"),
        _ if wire.len() > 16 => Err("is over 16 octets"),
        _ => Ok(wire.len()),
    }
}
