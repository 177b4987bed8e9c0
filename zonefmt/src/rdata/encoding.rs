//! Base64, base32hex and hexadecimal. Most fields may be spread over any number of tokens.

use std::borrow::Cow;

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER, HEXUPPER_PERMISSIVE};

use super::{
    Style,
    token::{Fault, Fields, Token, shown},
};

/// How octets are encoded as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Base64,
    /// Base32hex (RFC 4648 7), without padding.
    Base32,
    Hex,
}

/// Reads all remaining tokens as one piece of data.
pub(super) fn parse(encoding: Encoding, fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    decode(encoding, &joined(fields)?, out)
}

/// Reads one token as a piece of data.
pub(super) fn parse_token(encoding: Encoding, token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    decode(encoding, unquoted(token)?, out)
}

/// The joined text of all remaining tokens. A single token is not copied.
fn joined<'a>(fields: &mut Fields<'a>) -> Result<Cow<'a, [u8]>, Fault> {
    let mut text = Cow::Borrowed(unquoted(fields.take()?)?);
    while !fields.is_done() {
        text.to_mut().extend_from_slice(unquoted(fields.take()?)?);
    }
    Ok(text)
}

fn unquoted(token: Token<'_>) -> Result<&[u8], Fault> {
    if token.quoted { Err(Fault::new("data in quotes").help("write it without quotes")) } else { Ok(token.text) }
}

/// Decodes `text` and appends the octets to `out`.
pub(super) fn decode(encoding: Encoding, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let codec = match encoding {
        Encoding::Base64 => &BASE64,
        Encoding::Base32 => return decode_base32(text, out),
        Encoding::Hex => &HEXUPPER_PERMISSIVE,
    };
    // Padding ends the data, but the decoder would continue after it.
    if text.iter().rev().skip(2).any(|&octet| octet == b'=') {
        return Err(fault(encoding, text));
    }
    let start = out.len();
    let decoded = codec.decode_len(text.len()).and_then(|len| {
        out.resize(start + len, 0);
        codec.decode_mut(text, &mut out[start..]).map_err(|partial| partial.error)
    });
    out.truncate(start + decoded.unwrap_or(0));
    decoded.map(drop).map_err(|_| fault(encoding, text))
}

/// Decodes base32hex in either case.
fn decode_base32(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let decoded = BASE32HEX_NOPAD.decode(&text.to_ascii_uppercase());
    out.extend_from_slice(&decoded.map_err(|_| fault(Encoding::Base32, text))?);
    Ok(())
}

#[cold]
fn fault(encoding: Encoding, text: &[u8]) -> Fault {
    let (kind, help, odd): (_, _, fn(&u8) -> bool) = match encoding {
        Encoding::Base64 => {
            ("base64", "write groups of four characters A-Z a-z 0-9 + /, the last one filled up with `=`", |c| {
                !c.is_ascii_alphanumeric() && !matches!(c, b'+' | b'/' | b'=')
            })
        }
        Encoding::Base32 => ("base32hex", "write characters 0-9 A-V without padding; 20 octets take 32 of them", |c| {
            !c.is_ascii_digit() && !(b'A'..=b'V').contains(&c.to_ascii_uppercase())
        }),
        Encoding::Hex => ("hexadecimal", "write two digits 0-9 A-F an octet", |c| !c.is_ascii_hexdigit()),
    };
    match text.iter().find(|octet| odd(octet)) {
        Some(&octet) => Fault::new(format_args!("{} does not belong in {kind}", shown(&[octet]))).help(help),
        None => Fault::new(format_args!("incomplete {kind}")).help(help),
    }
}

/// Prints `octets`, broken into words as `style` says.
pub(super) fn print(encoding: Encoding, octets: &[u8], style: &Style<'_>, out: &mut String) {
    let (codec, word) = match encoding {
        Encoding::Base64 => (&BASE64, style.word / 4 * 3),
        Encoding::Base32 => (&BASE32HEX_NOPAD, style.word / 8 * 5),
        Encoding::Hex => (&HEXUPPER, style.word / 2),
    };
    if word == 0 {
        codec.encode_append(octets, out);
        return;
    }
    for (i, word) in octets.chunks(word).enumerate() {
        if i > 0 {
            out.push(' ');
        }
        codec.encode_append(word, out);
    }
}
