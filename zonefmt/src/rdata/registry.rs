//! Numbers with names: DNSSEC's algorithms and digest types, CERT's types, DSYNC's schemes, key flags.

use super::{
    field::Malformed,
    number,
    token::{Fault, Token, shown},
};

/// A registry of names for one number field, as BIND knows them. A number may have several names.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Registry {
    what: &'static str,
    names: &'static [(&'static str, u16)],
    /// The size of the field on the wire, in octets: 1 or 2.
    pub octets: usize,
    /// Whether the number is printed as its name.
    prints_name: bool,
}

pub(super) static ALGORITHMS: Registry =
    Registry { what: "algorithm", names: ALGORITHM_NAMES, octets: 1, prints_name: false };
/// CERT prints its algorithm by name.
pub(super) static CERT_ALGORITHMS: Registry = Registry { prints_name: true, ..ALGORITHMS };
pub(super) static CERT_TYPES: Registry = Registry {
    what: "certificate type",
    names: &[
        ("PKIX", 1),
        ("SPKI", 2),
        ("PGP", 3),
        ("IPKIX", 4),
        ("ISPKI", 5),
        ("IPGP", 6),
        ("ACPKIX", 7),
        ("IACPKIX", 8),
        ("URI", 253),
        ("OID", 254),
    ],
    octets: 2,
    prints_name: true,
};
pub(super) static DIGEST_TYPES: Registry = Registry {
    what: "digest type",
    names: &[("SHA-1", 1), ("SHA1", 1), ("SHA-256", 2), ("SHA256", 2), ("GOST", 3), ("SHA-384", 4), ("SHA384", 4)],
    octets: 1,
    prints_name: false,
};
pub(super) static HASHES: Registry =
    Registry { what: "hash algorithm", names: &[("SHA-1", 1)], octets: 1, prints_name: false };
pub(super) static PROTOCOLS: Registry = Registry {
    what: "protocol",
    names: &[("NONE", 0), ("TLS", 1), ("EMAIL", 2), ("DNSSEC", 3), ("IPSEC", 4), ("ALL", 255)],
    octets: 1,
    prints_name: false,
};
pub(super) static SCHEMES: Registry =
    Registry { what: "scheme", names: &[("NOTIFY", 1)], octets: 1, prints_name: true };

const ALGORITHM_NAMES: &[(&str, u16)] = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
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

impl Registry {
    /// The number for a text, which is a name or digits.
    pub(super) fn value(&self, text: &[u8]) -> Option<u16> {
        let known = self.names.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text));
        known.map(|&(_, value)| value).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
    }

    /// Reads a number, or a name in either case.
    pub(super) fn parse(&self, token: Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let most = if self.octets == 1 { u8::MAX.into() } else { u16::MAX };
        let value = if token.text.first().is_some_and(u8::is_ascii_digit) {
            number::parse(token, most.into())? as u16
        } else {
            let known = self.names.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(token.text));
            known.filter(|_| !token.quoted).map(|&(_, value)| value).ok_or_else(|| {
                Fault::new(format_args!("{} is no {}", shown(token.text), self.what))
                    .help(format_args!("write a number up to {most} or one of {}", listed(self.names)))
            })?
        };
        out.extend_from_slice(&value.to_be_bytes()[2 - self.octets..]);
        Ok(())
    }

    pub(super) fn print(&self, wire: &[u8], out: &mut String) {
        let value = number::value(wire);
        match self.names.iter().find(|&&(_, known)| u64::from(known) == value) {
            Some((name, _)) if self.prints_name => out.push_str(name),
            _ => number::print(wire, out),
        }
    }
}

fn listed(names: &[(&str, u16)]) -> String {
    let names: Vec<&str> = names.iter().map(|&(name, _)| name).collect();
    names.join(", ")
}

/// The flags of KEY and DNSKEY (RFC 2535 3.1.2, RFC 4034 2.1.1).
static KEY_FLAGS: &[(&str, u16)] = &[
    ("NOCONF", 0x4000),
    ("NOAUTH", 0x8000),
    ("NOKEY", NO_KEY),
    ("FLAG2", 0x2000),
    ("EXTEND", 0x1000),
    ("FLAG4", 0x0800),
    ("FLAG5", 0x0400),
    ("USER", 0x0000),
    ("ZONE", 0x0100),
    ("HOST", 0x0200),
    ("NTYP3", 0x0300),
    ("FLAG8", 0x0080),
    ("FLAG9", 0x0040),
    ("FLAG10", 0x0020),
    ("FLAG11", 0x0010),
    ("KSK", 0x0001),
];

const NO_KEY: u16 = 0xC000;

/// Reads key flags: a number, `0x…`, or names joined by `|`, which include `SIG0` to `SIG15`.
pub(super) fn parse_key_flags(token: Token<'_>) -> Result<u16, Fault> {
    let value = match token.text {
        _ if token.quoted => None,
        [b'0', b'x' | b'X', hex @ ..] if hex.first().is_some_and(u8::is_ascii_hexdigit) => {
            std::str::from_utf8(hex).ok().and_then(|hex| u16::from_str_radix(hex, 16).ok())
        }
        [b'0'..=b'9', ..] => return number::parse(token, u16::MAX.into()).map(|value| value as u16),
        names => names.split(|&octet| octet == b'|').try_fold(0, |flags, name| Some(flags | key_flag(name)?)),
    };
    value.ok_or_else(|| {
        Fault::new(format_args!("{} are no key flags", shown(token.text)))
            .help(format_args!("write a number up to 65535, or flags joined by `|`: {}", listed(KEY_FLAGS)))
    })
}

fn key_flag(name: &[u8]) -> Option<u16> {
    if let Some(&(_, flag)) = KEY_FLAGS.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)) {
        return Some(flag);
    }
    let (_, number) = name.split_at_checked(3).filter(|(sig, _)| sig.eq_ignore_ascii_case(b"SIG"))?;
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    (number <= 15).then_some(number)
}

/// Whether the flags at the start of KEY rdata say that no key follows (RFC 2535 3.1.2).
pub(super) fn has_no_key(rdata: &[u8]) -> bool {
    rdata.first_chunk().is_some_and(|&flags| u16::from_be_bytes(flags) & NO_KEY == NO_KEY)
}

/// Returns the length of a KEY's public key.
pub(super) fn check_key(rdata: &[u8], wire: &[u8]) -> Result<usize, Malformed> {
    match wire.len() {
        _ if has_no_key(rdata) => Ok(0),
        0 => Err("is empty"),
        len => Ok(len),
    }
}

/// The registry that gives digests their length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Digest {
    Ds,
    Sshfp,
    Zonemd,
}

impl Digest {
    /// Returns the length of the digest at `at`. Its type is the octet before it.
    pub(super) fn check(self, rdata: &[u8], at: usize) -> Result<usize, Malformed> {
        let len = rdata.len() - at;
        let kind = at.checked_sub(1).map_or(0, |before| rdata[before]);
        let (least, most) = match (self, kind) {
            (Digest::Ds | Digest::Sshfp, 1) => (20, 20),
            (Digest::Ds | Digest::Sshfp, 2) => (32, 32),
            (Digest::Ds, 4) | (Digest::Zonemd, 1) => (48, 48),
            (Digest::Zonemd, 2) => (64, 64),
            (Digest::Zonemd, _) => (12, usize::MAX),
            _ => (1, usize::MAX),
        };
        if (least..=most).contains(&len) { Ok(len) } else { Err("has not the length that its type demands") }
    }
}
