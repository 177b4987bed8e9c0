//! The rows: every record type that Bindy knows by name, and the ways from number and mnemonic to its row.

use std::{fmt, str::FromStr};

use super::{
    field::{Field, Field as F, Spec},
    names::NameRole,
    number,
};
use crate::{Class, Rtype};

/// One row: a record type's number, mnemonic and layout.
#[derive(Debug)]
pub struct TypeInfo {
    /// The number.
    pub rtype: Rtype,
    /// The mnemonic, as BIND prints it; upper case.
    pub mnemonic: &'static str,
    /// Where the type may appear.
    pub usage: Usage,
    /// The rdata, field by field.
    pub(super) fields: &'static [Spec],
    /// How many of `fields` there are up to the last one that is a name.
    pub(super) through_names: usize,
}

/// Where a type may appear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// In zones.
    Data,
    /// In messages only: OPT, TSIG, TKEY.
    Meta,
    /// In questions only: ANY, AXFR, IXFR, MAILA, MAILB.
    Question,
}

impl TypeInfo {
    /// Whether the rdata holds `key="value"` pairs (SVCB, HTTPS), where a quote after `=` opens a string inside the token.
    pub fn has_value_pairs(&self) -> bool {
        self.fields.iter().any(|field| field.kind == F::SvcParams)
    }

    /// Whether text other than `\# …` is defined for it.
    pub(super) const fn has_text(&self) -> bool {
        !self.fields.is_empty()
    }
}

/// The row of `rtype`; `None` for a type that has no mnemonic here and is written as RFC 3597 says.
#[inline]
pub fn info(rtype: Rtype) -> Option<&'static TypeInfo> {
    match BY_NUMBER.get(usize::from(rtype.0)) {
        Some(&row) => ROWS.get(usize::from(row)),
        None => ROWS.binary_search_by_key(&rtype, |row| row.rtype).ok().map(|row| &ROWS[row]),
    }
}

/// Every row, by ascending number.
pub fn all() -> impl Iterator<Item = &'static TypeInfo> {
    ROWS.iter()
}

impl Rtype {
    /// Reads a mnemonic in either case, or `TYPE123`.
    #[inline]
    pub fn from_text(text: &[u8]) -> Option<Rtype> {
        by_mnemonic(text).or_else(|| numbered(text, b"TYPE").map(Rtype))
    }
}

/// The mnemonic, or `TYPE123` (RFC 3597 5).
impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match info(*self) {
            Some(row) => f.pad(row.mnemonic),
            None => f.pad(&format!("TYPE{}", self.0)),
        }
    }
}

impl fmt::Debug for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Rtype {
    type Err = UnknownMnemonic;

    fn from_str(text: &str) -> Result<Rtype, UnknownMnemonic> {
        Rtype::from_text(text.as_bytes()).ok_or(UnknownMnemonic("record type", "TYPE123"))
    }
}

impl Class {
    /// Reads a mnemonic in either case, or `CLASS123`.
    #[inline]
    pub fn from_text(text: &[u8]) -> Option<Class> {
        let known = CLASSES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text));
        known.map(|&(_, class)| class).or_else(|| numbered(text, b"CLASS").map(Class))
    }
}

/// The mnemonic, or `CLASS123` (RFC 3597 5).
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match CLASSES.iter().find(|(_, class)| class == self) {
            Some((name, _)) => f.pad(name),
            None => f.pad(&format!("CLASS{}", self.0)),
        }
    }
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Class {
    type Err = UnknownMnemonic;

    fn from_str(text: &str) -> Result<Class, UnknownMnemonic> {
        Class::from_text(text.as_bytes()).ok_or(UnknownMnemonic("class", "CLASS123"))
    }
}

/// The first name of a class is printed.
static CLASSES: &[(&str, Class)] = &[
    ("IN", Class::IN),
    ("CH", Class::CH),
    ("HS", Class::HS),
    ("NONE", Class::NONE),
    ("ANY", Class::ANY),
    ("CHAOS", Class::CH),
    ("HESIOD", Class::HS),
];

/// A word that names no record type or class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownMnemonic(&'static str, &'static str);

impl fmt::Display for UnknownMnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {}: write its mnemonic, or its number as {}", self.0, self.1)
    }
}

impl std::error::Error for UnknownMnemonic {}

/// The number after `prefix`, which is in either case.
fn numbered(text: &[u8], prefix: &[u8]) -> Option<u16> {
    let (head, digits) = text.split_at_checked(prefix.len())?;
    if !head.eq_ignore_ascii_case(prefix) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

use NameRole as R;

const fn f(label: &'static str, kind: Field) -> Spec {
    Spec { label, kind }
}

const fn name(label: &'static str, role: NameRole) -> Spec {
    Spec { label, kind: Field::Name(role) }
}

const fn row(number: u16, mnemonic: &'static str, fields: &'static [Spec]) -> TypeInfo {
    let mut through_names = fields.len();
    while through_names > 0 && !matches!(fields[through_names - 1].kind, Field::Name(_)) {
        through_names -= 1;
    }
    TypeInfo { rtype: Rtype(number), mnemonic, usage: Usage::Data, fields, through_names }
}

const fn only(usage: Usage, number: u16, mnemonic: &'static str) -> TypeInfo {
    TypeInfo { rtype: Rtype(number), mnemonic, usage, fields: &[], through_names: 0 }
}

const TXT: &[Spec] = &[f("text", F::CharStrings)];
const HEX: &[Spec] = &[f("data", F::Hex)];
const DS: &[Spec] =
    &[f("key tag", F::U16), f("algorithm", F::Algorithm), f("digest type", F::DigestType), f("digest", F::Digest)];
const DNSKEY: &[Spec] =
    &[f("flags", F::KeyFlags), f("protocol", F::KeyProtocol), f("algorithm", F::Algorithm), f("public key", F::Base64)];
const KEY: &[Spec] = &[DNSKEY[0], DNSKEY[1], DNSKEY[2], f("public key", F::KeyData)];
const RRSIG: &[Spec] = &[
    f("type covered", F::TypeCovered),
    f("algorithm", F::Algorithm),
    f("labels", F::U8),
    f("original TTL", F::U32),
    f("expiration", F::Time),
    f("inception", F::Time),
    f("key tag", F::U16),
    name("signer", R::FOLDED),
    f("signature", F::Base64),
];
const TLSA: &[Spec] =
    &[f("usage", F::U8), f("selector", F::U8), f("matching type", F::U8), f("certificate data", F::Hex)];
const SVCB: &[Spec] = &[f("priority", F::U16), name("target", R::SVCB), f("parameters", F::SvcParams)];

/// By ascending number.
static ROWS: &[TypeInfo] = &[
    row(1, "A", &[f("address", F::Ipv4)]),
    row(2, "NS", &[name("server", R::HOST)]),
    row(3, "MD", &[name("host", R::ADDRESS)]),
    row(4, "MF", &[name("host", R::ADDRESS)]),
    row(5, "CNAME", &[name("target", R::COMPRESSED)]),
    row(
        6,
        "SOA",
        &[
            name("primary server", R::SOA_HOST),
            name("mailbox", R::MAILBOX),
            f("serial", F::U32),
            f("refresh", F::Ttl),
            f("retry", F::Ttl),
            f("expire", F::Ttl),
            f("minimum", F::Ttl),
        ],
    ),
    row(7, "MB", &[name("host", R::ADDRESS)]),
    row(8, "MG", &[name("mailbox", R::COMPRESSED)]),
    row(9, "MR", &[name("mailbox", R::COMPRESSED)]),
    row(12, "PTR", &[name("target", R::COMPRESSED)]),
    row(13, "HINFO", &[f("CPU", F::CharString), f("OS", F::CharString)]),
    row(14, "MINFO", &[name("responsible mailbox", R::MAILBOX), name("error mailbox", R::MAILBOX)]),
    row(15, "MX", &[f("preference", F::U16), name("exchange", R::MAIL)]),
    row(16, "TXT", TXT),
    row(17, "RP", &[name("mailbox", R::FOLDED_MAILBOX), name("text", R::FOLDED)]),
    row(18, "AFSDB", &[f("subtype", F::U16), name("host", R::FOLDED_HOST)]),
    row(21, "RT", &[f("preference", F::U16), name("host", R::ROUTE)]),
    row(23, "NSAP-PTR", &[name("target", R::FOLDED)]),
    row(24, "SIG", RRSIG),
    row(25, "KEY", KEY),
    row(26, "PX", &[f("preference", F::U16), name("RFC 822 domain", R::FOLDED), name("X.400 domain", R::FOLDED)]),
    row(28, "AAAA", &[f("address", F::Ipv6)]),
    row(31, "EID", HEX),
    row(32, "NIMLOC", HEX),
    row(33, "SRV", &[f("priority", F::U16), f("weight", F::U16), f("port", F::U16), name("target", R::SERVICE)]),
    row(
        35,
        "NAPTR",
        &[
            f("order", F::U16),
            f("preference", F::U16),
            f("flags", F::CharString),
            f("service", F::CharString),
            f("regexp", F::Regexp),
            name("replacement", R::NAPTR),
        ],
    ),
    row(36, "KX", &[f("preference", F::U16), name("exchanger", R::EXCHANGER)]),
    row(39, "DNAME", &[name("target", R::FOLDED)]),
    only(Usage::Meta, 41, "OPT"),
    row(43, "DS", DS),
    row(44, "SSHFP", &[f("algorithm", F::U8), f("fingerprint type", F::U8), f("fingerprint", F::Hex)]),
    row(46, "RRSIG", RRSIG),
    row(47, "NSEC", &[name("next name", R::PLAIN), f("types", F::SomeTypes)]),
    row(48, "DNSKEY", DNSKEY),
    row(49, "DHCID", &[f("digest", F::Base64)]),
    row(52, "TLSA", TLSA),
    row(53, "SMIMEA", TLSA),
    row(56, "NINFO", TXT),
    row(57, "RKEY", KEY),
    row(58, "TALINK", &[name("previous", R::FOLDED), name("next", R::FOLDED)]),
    row(59, "CDS", DS),
    row(60, "CDNSKEY", DNSKEY),
    row(61, "OPENPGPKEY", &[f("public key", F::Base64)]),
    row(62, "CSYNC", &[f("serial", F::U32), f("flags", F::U16), f("types", F::Types)]),
    row(64, "SVCB", SVCB),
    row(65, "HTTPS", SVCB),
    row(99, "SPF", TXT),
    row(107, "LP", &[f("preference", F::U16), name("locator", R::LOCATOR)]),
    only(Usage::Meta, 249, "TKEY"),
    only(Usage::Meta, 250, "TSIG"),
    only(Usage::Question, 251, "IXFR"),
    only(Usage::Question, 252, "AXFR"),
    only(Usage::Question, 253, "MAILB"),
    only(Usage::Question, 254, "MAILA"),
    only(Usage::Question, 255, "ANY"),
    row(256, "URI", &[f("priority", F::U16), f("weight", F::U16), f("target", F::Text)]),
    row(257, "CAA", &[f("flags", F::U8), f("tag", F::Tag), f("value", F::Text)]),
    row(258, "AVC", TXT),
    row(261, "RESINFO", TXT),
    row(262, "WALLET", TXT),
    row(263, "CLA", TXT),
    row(32768, "TA", DS),
    row(32769, "DLV", DS),
];

/// The place in [`ROWS`] of each low number; out of range for none.
static BY_NUMBER: [u8; 320] = {
    let mut places = [u8::MAX; 320];
    let mut row = 0;
    while row < ROWS.len() {
        let number = ROWS[row].rtype.0 as usize;
        assert!(row == 0 || number > ROWS[row - 1].rtype.0 as usize, "rows ascend");
        if number < places.len() {
            places[number] = row as u8;
        }
        row += 1;
    }
    places
};

/// An open hash of the mnemonics: places in [`ROWS`], out of range for none.
static BY_MNEMONIC: [u8; SLOTS] = {
    let mut slots = [u8::MAX; SLOTS];
    let mut row = 0;
    while row < ROWS.len() {
        let mut slot = slot(ROWS[row].mnemonic.as_bytes());
        while slots[slot] != u8::MAX {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = row as u8;
        row += 1;
    }
    slots
};
const SLOTS: usize = 512;

/// Where the search for a mnemonic starts; the case of letters does not matter.
#[inline]
const fn slot(text: &[u8]) -> usize {
    let (mut hash, mut at) = (0_u32, 0);
    while at < text.len() {
        hash = (hash ^ (text[at] & 0x5F) as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 15)) as usize % SLOTS
}

#[inline]
fn by_mnemonic(text: &[u8]) -> Option<Rtype> {
    const LONGEST: usize = 10;
    if text.len() > LONGEST {
        return None;
    }
    let mut slot = slot(text);
    while let Some(row) = ROWS.get(usize::from(BY_MNEMONIC[slot])) {
        if row.mnemonic.as_bytes().eq_ignore_ascii_case(text) {
            return Some(row.rtype);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// Appends the text form of a type.
pub(super) fn write_type(rtype: Rtype, out: &mut String) {
    if let Some(row) = info(rtype) {
        out.push_str(row.mnemonic);
    } else {
        out.push_str("TYPE");
        number::print(&rtype.0.to_be_bytes(), out);
    }
}
