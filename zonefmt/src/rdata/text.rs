//! Strings: character-strings (RFC 1035 3.3), free octets, and how both are quoted.

use super::{
    field::{CUT_SHORT, Malformed},
    token::{Fault, Token, shown},
};
use crate::unescape;

/// The content of the character-string that `wire` starts with.
pub(super) fn char_string(wire: &[u8]) -> Result<&[u8], Malformed> {
    let (&len, rest) = wire.split_first().ok_or(CUT_SHORT)?;
    rest.get(..usize::from(len)).ok_or(CUT_SHORT)
}

/// The length in octets of one or more character-strings, which reach to the end.
pub(super) fn check_char_strings(wire: &[u8]) -> Result<usize, Malformed> {
    let mut rest = &wire[1 + char_string(wire)?.len()..];
    while !rest.is_empty() {
        rest = &rest[1 + char_string(rest)?.len()..];
    }
    Ok(wire.len())
}

/// Returns the length of CAA's property name (RFC 8659 4.1).
pub(super) fn check_tag(wire: &[u8]) -> Result<usize, Malformed> {
    match char_string(wire)? {
        [] => Err("is empty"),
        tag if tag.iter().all(u8::is_ascii_alphanumeric) => Ok(tag.len() + 1),
        _ => Err("holds other characters than letters and digits"),
    }
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

/// Appends the octets of a token, with its escapes resolved.
#[inline]
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

/// Appends the octets of a token that must be in quotes.
pub(super) fn parse_quoted(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if !token.quoted {
        return Err(Fault::new(format_args!("{} is not in quotes", shown(token.text))).help("put it in double quotes"));
    }
    parse_octets(token, out)
}

/// Reads a word of letters and digits as a character-string.
pub(super) fn parse_tag(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if token.quoted || !token.text.iter().all(u8::is_ascii_alphanumeric) {
        return Err(Fault::new(format_args!("{} is no tag", shown(token.text)))
            .help("write letters and digits without quotes, as issue, issuewild or iodef"));
    }
    parse_char_string(token, out)
}

/// Reads X25's digits (RFC 1183 3.1).
pub(super) fn parse_digits(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if token.text.len() < 4 || !token.text.iter().all(u8::is_ascii_digit) {
        return Err(Fault::new(format_args!("{} is no X.121 address", shown(token.text)))
            .help("write at least four digits, the first four are the DNIC"));
    }
    parse_char_string(token, out)
}

pub(super) fn check_digits(wire: &[u8]) -> Result<usize, Malformed> {
    match char_string(wire)? {
        digits if digits.len() >= 4 && digits.iter().all(u8::is_ascii_digit) => Ok(digits.len() + 1),
        _ => Err("is not four or more digits"),
    }
}

pub(super) fn print_char_strings(wire: &[u8], out: &mut String) {
    let mut rest = wire;
    while let Ok(string) = char_string(rest) {
        if rest.len() < wire.len() {
            out.push(' ');
        }
        print_quoted(string, out);
        rest = &rest[1 + string.len()..];
    }
}

/// Prints octets in quotes. `"` and `\` are escaped, and unprintable octets become `\DDD`.
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

/// Prints an octet as `\DDD`.
pub(super) fn print_decimal_escape(octet: u8, out: &mut String) {
    out.push('\\');
    for digit in [octet / 100, octet / 10 % 10, octet % 10] {
        out.push(char::from(b'0' + digit));
    }
}
