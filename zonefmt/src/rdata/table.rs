//! The rows: every record type that Bindy knows by name, and how to find a row by number or mnemonic.

use std::{fmt, str::FromStr};

use super::{
    field::{Field, Field as F, Spec},
    names::NameRole,
    number,
    registry::{ALGORITHMS, CERT_ALGORITHMS, CERT_TYPES, DIGEST_TYPES, Digest, HASHES, PROTOCOLS, SCHEMES},
};
use crate::{Class, Rtype};

/// A row of the table: a record type's number, mnemonic and layout.
#[derive(Clone, Copy, Debug)]
pub struct TypeInfo {
    /// The number of the type.
    pub rtype: Rtype,
    /// The mnemonic in upper case, as BIND prints it.
    pub mnemonic: &'static str,
    /// Where the type may appear.
    pub usage: Usage,
    /// Whether the owner must be a host name, or `*.` and a host name, as named-checkzone demands of A, AAAA, MX and
    /// WKS.
    pub owner_is_host: bool,
    /// The fields of the rdata; none if only `\\# …` is defined for the type.
    pub(super) fields: &'static [Spec],
    /// Whether the type is defined in class IN only, and is an unknown type in other classes.
    only_in_internet: bool,
    /// The number of `fields` up to the last one that is a name.
    pub(super) through_names: usize,
}

/// Where a type may appear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// The type appears in zones.
    Data,
    /// The type appears in messages only: OPT, TSIG, TKEY, NXNAME.
    Meta,
    /// The type appears in questions only: ANY, AXFR, IXFR, MAILA, MAILB.
    Question,
    /// The type no longer appears in zone files, according to BIND (RFC 1035 3.3.4, 3.3.5): MD, MF.
    Obsolete,
}

impl TypeInfo {
    /// Whether the rdata contains names that [`super::names()`] finds.
    pub const fn has_names(&self) -> bool {
        self.through_names > 0
    }

    /// Whether the rdata has `key="value"` pairs (SVCB, HTTPS), where a quote after `=` opens a string inside the
    /// token.
    pub fn has_value_pairs(&self) -> bool {
        self.fields.iter().any(|field| field.kind == F::SvcParams)
    }
}

/// The row of `rtype`; `None` for a type that has no mnemonic here and is written as in RFC 3597.
#[inline]
pub fn info(rtype: Rtype) -> Option<&'static TypeInfo> {
    match BY_NUMBER.get(usize::from(rtype.0)) {
        Some(&row) => ROWS.get(usize::from(row)),
        None => ROWS.binary_search_by_key(&rtype, |row| row.rtype).ok().map(|row| &ROWS[row]),
    }
}

/// As [`info`], for records of a class. Some types exist in class IN only, and class CH has its own form of A, with a
/// host of the Chaosnet and its address in octal (RFC 1034 3.6).
#[inline]
pub(crate) fn info_in(class: Class, rtype: Rtype) -> Option<&'static TypeInfo> {
    match (class, rtype) {
        (Class::IN, _) | (Class::HS, Rtype::A) => info(rtype),
        (Class::CH, Rtype::A) => Some(&CHAOS_A),
        _ => info(rtype).filter(|row| !row.only_in_internet),
    }
}

/// All rows, in ascending order of their numbers.
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

/// Prints the mnemonic, or `TYPE123` (RFC 3597 5).
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

/// Prints the mnemonic, or `CLASS123` (RFC 3597 5).
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

/// The first name of each class is the one that is printed.
static CLASSES: &[(&str, Class)] = &[
    ("IN", Class::IN),
    ("CH", Class::CH),
    ("HS", Class::HS),
    ("NONE", Class::NONE),
    ("ANY", Class::ANY),
    ("CHAOS", Class::CH),
    ("HESIOD", Class::HS),
];

/// The error for a word that is not the name of a record type or class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownMnemonic(&'static str, &'static str);

impl fmt::Display for UnknownMnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {}: write its mnemonic, or its number as {}", self.0, self.1)
    }
}

impl std::error::Error for UnknownMnemonic {}

/// The number after `prefix`, which may be in either case.
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
    let (usage, owner_is_host, only_in_internet) = (Usage::Data, false, false);
    TypeInfo { rtype: Rtype(number), mnemonic, usage, owner_is_host, fields, only_in_internet, through_names }
}

const fn internet(row: TypeInfo) -> TypeInfo {
    TypeInfo { only_in_internet: true, ..row }
}

const fn at_host(row: TypeInfo) -> TypeInfo {
    TypeInfo { owner_is_host: true, ..row }
}

const fn only(usage: Usage, row: TypeInfo) -> TypeInfo {
    TypeInfo { usage, ..row }
}

const OPAQUE: &[Spec] = &[];
const TXT: &[Spec] = &[f("text", F::CharStrings)];
const HEX: &[Spec] = &[f("data", F::Hex)];
const BASE64: &[Spec] = &[f("data", F::Base64)];
const ALGORITHM: Spec = f("algorithm", F::Named(&ALGORITHMS));
const DS: &[Spec] =
    &[f("key tag", F::U16), ALGORITHM, f("digest type", F::Named(&DIGEST_TYPES)), f("digest", F::Digest(Digest::Ds))];
const DNSKEY: &[Spec] =
    &[f("flags", F::KeyFlags), f("protocol", F::Named(&PROTOCOLS)), ALGORITHM, f("public key", F::Base64)];
const KEY: &[Spec] =
    &[f("flags", F::KeyFlags), f("protocol", F::Named(&PROTOCOLS)), ALGORITHM, f("public key", F::KeyData)];
const RKEY: &[Spec] =
    &[f("flags", F::Zero), f("protocol", F::Named(&PROTOCOLS)), ALGORITHM, f("public key", F::Base64)];
const RRSIG: &[Spec] = &rrsig(F::Type);
const SIG: &[Spec] = &rrsig(F::OldType);
const TLSA: &[Spec] =
    &[f("usage", F::U8), f("selector", F::U8), f("matching type", F::U8), f("certificate data", F::Hex)];
const SVCB: &[Spec] = &[f("priority", F::U16), name("target", R::SVCB), f("parameters", F::SvcParams)];

const fn rrsig(covered: Field) -> [Spec; 9] {
    [
        f("type covered", covered),
        ALGORITHM,
        f("labels", F::U8),
        f("original TTL", F::U32),
        f("expiration", F::Time),
        f("inception", F::Time),
        f("key tag", F::U16),
        name("signer", R::FOLDED),
        f("signature", F::Base64),
    ]
}

const SOA: &[Spec] = &[
    name("primary server", R::SOA_HOST),
    name("mailbox", R::MAILBOX),
    f("serial", F::U32),
    f("refresh", F::Ttl),
    f("retry", F::Ttl),
    f("expire", F::Ttl),
    f("minimum", F::Ttl),
];
const SRV: &[Spec] = &[f("priority", F::U16), f("weight", F::U16), f("port", F::U16), name("target", R::SERVICE)];
const NAPTR: &[Spec] = &[
    f("order", F::U16),
    f("preference", F::U16),
    f("flags", F::CharString),
    f("service", F::CharString),
    f("regexp", F::Regexp),
    name("replacement", R::NAPTR),
];
const CERT: &[Spec] = &[
    f("type", F::Named(&CERT_TYPES)),
    f("key tag", F::U16),
    f("algorithm", F::Named(&CERT_ALGORITHMS)),
    f("certificate", F::Base64),
];
const NSEC3PARAM: [Spec; 4] =
    [f("hash algorithm", F::Named(&HASHES)), f("flags", F::U8), f("iterations", F::U16), f("salt", F::Salt)];
const NSEC3: &[Spec] = &[
    NSEC3PARAM[0],
    NSEC3PARAM[1],
    NSEC3PARAM[2],
    NSEC3PARAM[3],
    f("next hashed owner", F::Hash),
    f("types", F::Types),
];
const IPSECKEY: &[Spec] = &[
    f("precedence", F::U8),
    f("gateway type", F::U8),
    f("algorithm", F::U8),
    f("gateway", F::Gateway),
    f("public key", F::Base64),
];
const SSHFP: &[Spec] =
    &[f("algorithm", F::U8), f("fingerprint type", F::U8), f("fingerprint", F::Digest(Digest::Sshfp))];
const ZONEMD: &[Spec] =
    &[f("serial", F::U32), f("scheme", F::U8), f("hash algorithm", F::U8), f("digest", F::Digest(Digest::Zonemd))];
const DSYNC: &[Spec] =
    &[f("type", F::Type), f("scheme", F::Named(&SCHEMES)), f("port", F::U16), name("target", R::PLAIN_HOST)];
const DOA: &[Spec] = &[
    f("enterprise", F::U32),
    f("type", F::U32),
    f("location", F::U8),
    f("media type", F::CharString),
    f("data", F::Base64OrDash),
];
const AMTRELAY: &[Spec] = &[f("precedence", F::U8), f("discovery and relay type", F::RelayType), f("relay", F::Relay)];

static CHAOS_A: TypeInfo = at_host(row(1, "A", &[name("network", R::FOLDED), f("address", F::Octal)]));

/// The rows in ascending order of their numbers.
static ROWS: &[TypeInfo] = &[
    internet(at_host(row(1, "A", &[f("address", F::Ipv4)]))),
    row(2, "NS", &[name("server", R::HOST)]),
    only(Usage::Obsolete, row(3, "MD", &[name("host", R::ADDRESS)])),
    only(Usage::Obsolete, row(4, "MF", &[name("host", R::ADDRESS)])),
    row(5, "CNAME", &[name("target", R::COMPRESSED)]),
    row(6, "SOA", SOA),
    row(7, "MB", &[name("host", R::ADDRESS)]),
    row(8, "MG", &[name("mailbox", R::COMPRESSED)]),
    row(9, "MR", &[name("mailbox", R::COMPRESSED)]),
    row(10, "NULL", OPAQUE),
    internet(at_host(row(11, "WKS", &[f("address", F::Ipv4), f("services", F::Wks)]))),
    row(12, "PTR", &[name("target", R::REVERSE)]),
    row(13, "HINFO", &[f("CPU", F::CharString), f("OS", F::CharString)]),
    row(14, "MINFO", &[name("responsible mailbox", R::MAILBOX), name("error mailbox", R::MAILBOX)]),
    at_host(row(15, "MX", &[f("preference", F::U16), name("exchange", R::MAIL)])),
    row(16, "TXT", TXT),
    row(17, "RP", &[name("mailbox", R::FOLDED_MAILBOX), name("text", R::FOLDED)]),
    row(18, "AFSDB", &[f("subtype", F::U16), name("host", R::FOLDED_HOST)]),
    row(19, "X25", &[f("PSDN address", F::Digits)]),
    row(20, "ISDN", &[f("address", F::CharString), f("subaddress", F::MaybeCharString)]),
    row(21, "RT", &[f("preference", F::U16), name("host", R::ROUTE)]),
    internet(row(22, "NSAP", &[f("address", F::Nsap)])),
    internet(row(23, "NSAP-PTR", &[name("target", R::PLAIN)])),
    row(24, "SIG", SIG),
    row(25, "KEY", KEY),
    internet(row(
        26,
        "PX",
        &[f("preference", F::U16), name("RFC 822 domain", R::FOLDED), name("X.400 domain", R::FOLDED)],
    )),
    row(27, "GPOS", &[f("longitude", F::CharString), f("latitude", F::CharString), f("altitude", F::CharString)]),
    internet(at_host(row(28, "AAAA", &[f("address", F::Ipv6)]))),
    row(29, "LOC", &[f("place", F::Loc)]),
    row(30, "NXT", &[name("next name", R::FOLDED), f("types", F::OldTypes)]),
    internet(row(31, "EID", HEX)),
    internet(row(32, "NIMLOC", HEX)),
    internet(row(33, "SRV", SRV)),
    internet(row(34, "ATMA", &[f("address", F::Atm)])),
    row(35, "NAPTR", NAPTR),
    internet(row(36, "KX", &[f("preference", F::U16), name("exchanger", R::EXCHANGER)])),
    row(37, "CERT", CERT),
    internet(at_host(row(38, "A6", &[f("prefix, suffix and name", F::A6)]))),
    row(39, "DNAME", &[name("target", R::FOLDED)]),
    row(40, "SINK", &[f("coding", F::U8), f("subcoding", F::U8), f("meaning", F::U8), f("data", F::MaybeBase64)]),
    only(Usage::Meta, row(41, "OPT", OPAQUE)),
    internet(row(42, "APL", &[f("prefixes", F::Apl)])),
    row(43, "DS", DS),
    row(44, "SSHFP", SSHFP),
    row(45, "IPSECKEY", IPSECKEY),
    row(46, "RRSIG", RRSIG),
    row(47, "NSEC", &[name("next name", R::PLAIN), f("types", F::SomeTypes)]),
    row(48, "DNSKEY", DNSKEY),
    internet(row(49, "DHCID", BASE64)),
    row(50, "NSEC3", NSEC3),
    row(51, "NSEC3PARAM", &NSEC3PARAM),
    row(52, "TLSA", TLSA),
    row(53, "SMIMEA", TLSA),
    row(55, "HIP", &[f("identity, key and servers", F::Hip)]),
    row(56, "NINFO", TXT),
    row(57, "RKEY", RKEY),
    row(58, "TALINK", &[name("previous", R::PLAIN), name("next", R::PLAIN)]),
    row(59, "CDS", DS),
    row(60, "CDNSKEY", DNSKEY),
    row(61, "OPENPGPKEY", BASE64),
    row(62, "CSYNC", &[f("serial", F::U32), f("flags", F::U16), f("types", F::Types)]),
    row(63, "ZONEMD", ZONEMD),
    internet(row(64, "SVCB", SVCB)),
    internet(row(65, "HTTPS", SVCB)),
    row(66, "DSYNC", DSYNC),
    row(67, "HHIT", BASE64),
    row(68, "BRID", BASE64),
    row(99, "SPF", TXT),
    row(100, "UINFO", OPAQUE),
    row(101, "UID", OPAQUE),
    row(102, "GID", OPAQUE),
    row(103, "UNSPEC", OPAQUE),
    row(104, "NID", &[f("preference", F::U16), f("node", F::Groups)]),
    row(105, "L32", &[f("preference", F::U16), f("locator", F::Ipv4)]),
    row(106, "L64", &[f("preference", F::U16), f("locator", F::Groups)]),
    row(107, "LP", &[f("preference", F::U16), name("locator", R::LOCATOR)]),
    row(108, "EUI48", &[f("address", F::Eui(6))]),
    row(109, "EUI64", &[f("address", F::Eui(8))]),
    only(Usage::Meta, row(128, "NXNAME", OPAQUE)),
    only(Usage::Meta, row(249, "TKEY", OPAQUE)),
    only(Usage::Meta, row(250, "TSIG", OPAQUE)),
    only(Usage::Question, row(251, "IXFR", OPAQUE)),
    only(Usage::Question, row(252, "AXFR", OPAQUE)),
    only(Usage::Question, row(253, "MAILB", OPAQUE)),
    only(Usage::Question, row(254, "MAILA", OPAQUE)),
    only(Usage::Question, row(255, "ANY", OPAQUE)),
    row(256, "URI", &[f("priority", F::U16), f("weight", F::U16), f("target", F::QuotedText)]),
    row(257, "CAA", &[f("flags", F::U8), f("tag", F::Tag), f("value", F::Text)]),
    row(258, "AVC", TXT),
    row(259, "DOA", DOA),
    row(260, "AMTRELAY", AMTRELAY),
    row(261, "RESINFO", TXT),
    row(262, "WALLET", TXT),
    row(263, "CLA", TXT),
    row(264, "IPN", &[f("number", F::U64)]),
    row(32768, "TA", DS),
    row(32769, "DLV", DS),
    row(65533, "KEYDATA", OPAQUE),
];

/// The index in [`ROWS`] of each low number; out of range for numbers without a row.
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

/// A hash table of the mnemonics with open addressing: indices in [`ROWS`], out of range for empty slots.
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

/// The slot at which the search for a mnemonic starts. The case of letters does not matter.
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
