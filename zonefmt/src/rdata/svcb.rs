//! SVCB parameters: `key=value` pairs, sorted by key on the wire (RFC 9460 2.1, 2.2, appendix A).

use std::borrow::Cow;

use super::{
    Style, address,
    encoding::{self, Encoding},
    field::Malformed,
    number, text,
    token::{Fault, Fields, Token, shown},
};

/// How the value of a key is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Keys in ascending order, without duplicates.
    Keys,
    /// Strings of 1 to 255 octets, each with a length octet.
    List,
    /// No value.
    Empty,
    Port,
    Ipv4,
    Ipv6,
    Base64,
    /// A relative URI template with the variable `dns` (RFC 9461 5).
    Template,
    /// 16-bit numbers, without duplicates.
    Numbers,
    /// Octets as one string. Every unregistered key has this form.
    Octets,
}

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;

/// The registered keys, in order of their numbers.
static KEYS: &[(&str, Kind)] = &[
    ("mandatory", Kind::Keys),
    ("alpn", Kind::List),
    ("no-default-alpn", Kind::Empty),
    ("port", Kind::Port),
    ("ipv4hint", Kind::Ipv4),
    ("ech", Kind::Base64),
    ("ipv6hint", Kind::Ipv6),
    ("dohpath", Kind::Template),
    ("ohttp", Kind::Empty),
    ("tls-supported-groups", Kind::Numbers),
    ("docpath", Kind::List),
];

/// Keys below this number are printed by name. Later ones are printed as `keyN`, which every server that knows SVCB can
/// read.
const NAMED_IN_OUTPUT: u16 = 7;

fn kind(key: u16) -> Kind {
    KEYS.get(usize::from(key)).map_or(Kind::Octets, |&(_, kind)| kind)
}

/// Reads all remaining tokens.
pub(super) fn parse(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut params = Vec::new();
    while !fields.is_done() {
        let token = fields.take()?;
        let (key, value) = parse_param(token)?;
        if params.iter().any(|&(known, _)| known == key) {
            return Err(Fault::new(format_args!("the key of {} is given twice", shown(token.text)))
                .help("write each key once; separate its values by commas"));
        }
        params.push((key, value));
    }
    params.sort_unstable_by_key(|&(key, _)| key);
    for (key, value) in params {
        let len = u16::try_from(value.len())
            .map_err(|_| Fault::new(format_args!("the value of {} is over 65535 octets", name(key))))?;
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&value);
    }
    Ok(())
}

fn parse_param(token: Token<'_>) -> Result<(u16, Vec<u8>), Fault> {
    if token.quoted {
        return Err(Fault::new("a parameter in quotes").help("quote only the value: alpn=\"h2,h3\""));
    }
    let split = memchr::memchr(b'=', token.text);
    let (key, value) = split.map_or((token.text, &b""[..]), |at| (&token.text[..at], &token.text[at + 1..]));
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    let (key, kind) = parse_key(key)?;
    // A registered key that is written as `keyN` has its value in wire form, as unregistered keys do.
    let mut wire = Vec::with_capacity(value.len());
    parse_value(kind, Token { text: value, ..token }, &mut wire)
        .and_then(|()| check_value(self::kind(key), &wire).map_err(Fault::new))
        .map_err(|fault| Fault { what: format!("{}: {}", name(key), fault.what), ..fault })?;
    Ok((key, wire))
}

/// Reads a key, by name or as `key123`, and returns it with the form that its value then has.
fn parse_key(text: &[u8]) -> Result<(u16, Kind), Fault> {
    if let Some(key) = KEYS.iter().position(|(name, _)| name.as_bytes() == text) {
        return Ok((key as u16, KEYS[key].1));
    }
    let number = match text.strip_prefix(b"key") {
        Some(b"0") => Some(0),
        Some([b'1'..=b'9', ..]) => std::str::from_utf8(&text[3..]).ok().and_then(|digits| digits.parse().ok()),
        _ => None,
    };
    number.map(|number| (number, Kind::Octets)).ok_or_else(|| {
        let names: Vec<&str> = KEYS.iter().map(|&(name, _)| name).collect();
        Fault::new(format_args!("{} is no parameter key", shown(text)))
            .help(format_args!("write one of {}, or key0 to key65535, in lower case", names.join(", ")))
    })
}

fn parse_value(kind: Kind, value: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut text = Vec::with_capacity(value.text.len());
    text::parse_octets(value, &mut text)?;
    match kind {
        Kind::Octets | Kind::Template => *out = text,
        Kind::Empty | Kind::Base64 if text.is_empty() => {}
        Kind::Empty => return Err(Fault::new("takes no value")),
        Kind::Base64 => encoding::decode(Encoding::Base64, &text, out)?,
        Kind::Port => out.extend_from_slice(&number_u16(&text)?),
        Kind::List => {
            for item in items(&text)? {
                out.push(u8::try_from(item.len()).map_err(|_| Fault::new("an item is over 255 octets"))?);
                out.extend_from_slice(&item);
            }
        }
        Kind::Keys => {
            let mut keys =
                text.split(|&c| c == b',').map(|key| Ok(parse_key(key)?.0)).collect::<Result<Vec<_>, _>>()?;
            keys.sort_unstable();
            for key in keys {
                out.extend_from_slice(&key.to_be_bytes());
            }
        }
        Kind::Numbers => {
            for number in text.split(|&c| c == b',') {
                out.extend_from_slice(&number_u16(number)?);
            }
        }
        Kind::Ipv4 => addresses(&text, "IPv4", address::ipv4, |address| out.extend_from_slice(&address.octets()))?,
        Kind::Ipv6 => addresses(&text, "IPv6", address::ipv6, |address| out.extend_from_slice(&address.octets()))?,
    }
    Ok(())
}

fn number_u16(text: &[u8]) -> Result<[u8; 2], Fault> {
    let value = number::parse(Token { text, quoted: false, at: 0 }, u16::MAX.into())?;
    Ok((value as u16).to_be_bytes())
}

fn addresses<A>(
    text: &[u8],
    family: &str,
    parse: fn(&[u8]) -> Option<A>,
    mut each: impl FnMut(A),
) -> Result<(), Fault> {
    for item in text.split(|&c| c == b',') {
        each(parse(item).ok_or_else(|| {
            Fault::new(format_args!("{} is no {family} address", shown(item)))
                .help("write addresses with commas between them, no spaces")
        })?);
    }
    Ok(())
}

/// Splits a comma-separated list, in which `\` makes the next octet an ordinary one (RFC 9460 A.1).
fn items(text: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let mut items = vec![Vec::new()];
    let mut octets = text.iter().copied();
    while let Some(octet) = octets.next() {
        let plain = match octet {
            b',' => {
                items.push(Vec::new());
                continue;
            }
            b'\\' => octets.next().ok_or_else(|| Fault::new("ends in a backslash"))?,
            plain => plain,
        };
        // A last item exists: the list starts with one and only grows.
        items.last_mut().expect("never empty").push(plain);
    }
    if items.iter().any(Vec::is_empty) {
        return Err(Fault::new("has an empty item").help("write items with single commas between them"));
    }
    Ok(items)
}

/// Checks that parameters are well-formed, ascend, and include every mandatory key (RFC 9460 8).
pub(super) fn check(wire: &[u8]) -> Result<usize, Malformed> {
    let (mut last, mut mandatory, mut has_alpn) = (None, &[][..], false);
    for param in params(wire) {
        let (key, value) = param?;
        if last >= Some(key) {
            return Err("have a key twice, or keys out of order");
        }
        last = Some(key);
        check_value(kind(key), value)?;
        match key {
            MANDATORY if value.starts_with(&MANDATORY.to_be_bytes()) => {
                return Err("name `mandatory` among the mandatory keys");
            }
            MANDATORY => mandatory = value,
            ALPN => has_alpn = true,
            NO_DEFAULT_ALPN if !has_alpn => return Err("have `no-default-alpn` without `alpn`"),
            _ => {}
        }
        if let Some(after) = mandatory.strip_prefix(&key.to_be_bytes()) {
            mandatory = after;
        }
    }
    if mandatory.is_empty() { Ok(wire.len()) } else { Err("lack a key that `mandatory` names") }
}

/// Iterates over the parameters, as keys and values.
fn params(mut wire: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    std::iter::from_fn(move || {
        if wire.is_empty() {
            return None;
        }
        let param = wire.split_first_chunk().and_then(|(&[k0, k1, l0, l1], rest)| {
            let (value, rest) = rest.split_at_checked(u16::from_be_bytes([l0, l1]).into())?;
            wire = rest;
            Some((u16::from_be_bytes([k0, k1]), value))
        });
        if param.is_none() {
            wire = &[];
        }
        Some(param.ok_or("are cut short"))
    })
}

fn check_value(kind: Kind, value: &[u8]) -> Result<(), Malformed> {
    let ascending = || value.chunks_exact(2).is_sorted_by(|a, b| a < b);
    let whole = match kind {
        Kind::Octets | Kind::Base64 => true,
        Kind::Empty => value.is_empty(),
        Kind::Port => value.len() == 2,
        Kind::Ipv4 => !value.is_empty() && value.len().is_multiple_of(4),
        Kind::Ipv6 => !value.is_empty() && value.len().is_multiple_of(16),
        Kind::Keys => !value.is_empty() && value.len().is_multiple_of(2) && ascending(),
        Kind::Numbers => !value.is_empty() && value.len().is_multiple_of(2),
        Kind::List => !value.is_empty() && list(value).all(|item| item.is_some_and(|item| !item.is_empty())),
        Kind::Template => is_doh_template(value),
    };
    match (whole, kind) {
        (true, _) => Ok(()),
        (false, Kind::Keys) => Err("the list of keys is empty, or has one twice"),
        (false, Kind::Template) => Err("the value is no path with the variable {?dns}"),
        (false, _) => Err("the value has a wrong length"),
    }
}

/// Iterates over the items of a list in wire form; `None` for an item that is cut short.
fn list(mut wire: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (&len, rest) = wire.split_first()?;
        let item = rest.split_at_checked(len.into());
        wire = item.map_or(&[], |(_, rest)| rest);
        Some(item.map(|(item, _)| item))
    })
}

/// Whether `value` is a path whose template has the variable `dns` (RFC 9461 5).
fn is_doh_template(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let mut expressions = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    text.starts_with('/')
        && expressions.any(|(expression, _)| {
            let variables = expression.trim_start_matches(['?', '&', '+', '#', '.', '/', ';']);
            variables.split(',').any(|variable| variable.split([':', '*']).next() == Some("dns"))
        })
}

/// Prints well-formed parameters.
pub(super) fn print(wire: &[u8], out: &mut String) {
    for (i, (key, value)) in params(wire).filter_map(Result::ok).enumerate() {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(&name(key));
        if !value.is_empty() {
            out.push('=');
            print_value(if key < NAMED_IN_OUTPUT { kind(key) } else { Kind::Octets }, value, out);
        }
    }
}

/// The name under which a key is printed.
fn name(key: u16) -> Cow<'static, str> {
    match KEYS.get(usize::from(key)) {
        Some(&(name, _)) if key < NAMED_IN_OUTPUT => name.into(),
        _ => format!("key{key}").into(),
    }
}

fn print_value(kind: Kind, value: &[u8], out: &mut String) {
    let joined = |out: &mut String, size: usize, print: fn(&[u8], &mut String)| {
        for (i, item) in value.chunks_exact(size).enumerate() {
            if i > 0 {
                out.push(',');
            }
            print(item, out);
        }
    };
    match kind {
        Kind::Octets | Kind::Template => text::print_quoted(value, out),
        Kind::Empty => {}
        Kind::Port | Kind::Numbers => joined(out, 2, number::print),
        Kind::Ipv4 => joined(out, 4, address::print_ipv4),
        Kind::Ipv6 => joined(out, 16, address::print_ipv6),
        Kind::Keys => joined(out, 2, |key, out| out.push_str(&name(number::value(key) as u16))),
        Kind::Base64 => encoding::print(Encoding::Base64, value, &Style::ONE_WORD, out),
        Kind::List => {
            out.push('"');
            for (i, item) in list(value).flatten().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                for &octet in item {
                    print_list_octet(octet, out);
                }
            }
            out.push('"');
        }
    }
}

/// Prints one octet of a list inside quotes: escaped for the list first, then for the string.
fn print_list_octet(octet: u8, out: &mut String) {
    match octet {
        b',' => out.push_str("\\\\,"),
        b'\\' => out.push_str("\\\\\\\\"),
        b'"' => out.push_str("\\\""),
        b'!'..=b'~' => out.push(char::from(octet)),
        _ => text::print_decimal_escape(octet, out),
    }
}
