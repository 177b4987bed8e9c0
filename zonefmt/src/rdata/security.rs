//! DNSSEC's small registries: algorithms, digest types, key flags and protocols; which lengths go with them.

use super::{
    field::Malformed,
    number,
    token::{Fault, Token, shown},
};

type Mnemonics = [(&'static str, u8)];

/// As BIND names them; several names may stand for one number.
static ALGORITHMS: &Mnemonics = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("ECC", 4),
    ("RSASHA1", 5),
    ("NSEC3DSA", 6),
    ("NSEC3RSASHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECCGOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

static DIGEST_TYPES: &Mnemonics =
    &[("SHA-1", 1), ("SHA1", 1), ("SHA-256", 2), ("SHA256", 2), ("GOST", 3), ("SHA-384", 4), ("SHA384", 4)];

static PROTOCOLS: &Mnemonics = &[("NONE", 0), ("TLS", 1), ("EMAIL", 2), ("DNSSEC", 3), ("IPSEC", 4), ("ALL", 255)];

/// Flags of KEY and DNSKEY (RFC 2535 3.1.2, RFC 4034 2.1.1), joined by `|`.
static KEY_FLAGS: &[(&str, u16)] = &[
    ("NOCONF", 0x4000),
    ("NOAUTH", 0x8000),
    ("NOKEY", NO_KEY),
    ("EXTEND", 0x1000),
    ("USER", 0x0000),
    ("ZONE", 0x0100),
    ("HOST", 0x0200),
    ("NTYP3", 0x0300),
    ("KSK", 0x0001),
];

const NO_KEY: u16 = 0xC000;

fn mnemonic(table: &Mnemonics, token: Token<'_>, what: &str) -> Result<u8, Fault> {
    if token.text.first().is_some_and(u8::is_ascii_digit) {
        return number::parse(token, u8::MAX.into()).map(|value| value as u8);
    }
    let known = table.iter().find(|(name, _)| !token.quoted && name.as_bytes().eq_ignore_ascii_case(token.text));
    known.map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|&(name, _)| name).collect();
        Fault::new(format_args!("{} is no {what}", shown(token.text)))
            .help(format_args!("write a number up to 255 or one of {}", names.join(", ")))
    })
}

pub(super) fn parse_algorithm(token: Token<'_>) -> Result<u8, Fault> {
    mnemonic(ALGORITHMS, token, "algorithm")
}

pub(super) fn parse_digest_type(token: Token<'_>) -> Result<u8, Fault> {
    mnemonic(DIGEST_TYPES, token, "digest type")
}

pub(super) fn parse_key_protocol(token: Token<'_>) -> Result<u8, Fault> {
    mnemonic(PROTOCOLS, token, "protocol")
}

/// A number, `0x…`, or flag names joined by `|`.
pub(super) fn parse_key_flags(token: Token<'_>) -> Result<u16, Fault> {
    let fault = || {
        let names: Vec<&str> = KEY_FLAGS.iter().map(|&(name, _)| name).collect();
        Fault::new(format_args!("{} are no key flags", shown(token.text)))
            .help(format_args!("write a number up to 65535, or {} joined by `|`", names.join(", ")))
    };
    match token.text {
        _ if token.quoted => Err(fault()),
        [b'0', b'x' | b'X', hex @ ..] if hex.first().is_some_and(u8::is_ascii_hexdigit) => {
            std::str::from_utf8(hex).ok().and_then(|hex| u16::from_str_radix(hex, 16).ok()).ok_or_else(fault)
        }
        [b'0'..=b'9', ..] => number::parse(token, u16::MAX.into()).map(|value| value as u16),
        names => names.split(|&octet| octet == b'|').try_fold(0, |flags, name| {
            let known = KEY_FLAGS.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
            known.map(|&(_, flag)| flags | flag).ok_or_else(fault)
        }),
    }
}

/// The length of the key at `at`; flags, protocol and algorithm stand before it. Only KEY may have none.
pub(super) fn check_key(rdata: &[u8], at: usize, may_be_absent: bool) -> Result<usize, Malformed> {
    match rdata.len() - at {
        0 if may_be_absent && has_no_key(rdata) => Ok(0),
        0 => Err("is empty"),
        len => Ok(len),
    }
}

/// Whether the flags of KEY rdata say that no key follows (RFC 2535 3.1.2).
pub(super) fn has_no_key(rdata: &[u8]) -> bool {
    rdata.len() >= 2 && number::value(&rdata[..2]) & u64::from(NO_KEY) == u64::from(NO_KEY)
}

/// The length of the digest at `at`; the digest type stands before it.
pub(super) fn check_digest(rdata: &[u8], at: usize) -> Result<usize, Malformed> {
    let len = rdata.len() - at;
    let whole = match at.checked_sub(1).map(|before| rdata[before]) {
        Some(1) => len == 20,
        Some(2 | 3) => len == 32,
        Some(4) => len == 48,
        _ => len > 0,
    };
    if whole { Ok(len) } else { Err("has not the length that its digest type demands") }
}
