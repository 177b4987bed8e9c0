//! Records and zones of the tests, and their zone file text.

use std::fmt::Write;

use crate::name::Name;

/// Record types by number.
pub mod types {
    #![allow(missing_docs)]
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const KEY: u16 = 25;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const TSIG: u16 = 250;
    pub const DS: u16 = 43;
    pub const RRSIG: u16 = 46;
    pub const NSEC: u16 = 47;
    pub const HTTPS: u16 = 65;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
    pub const PRIVATE: u16 = 65_280;
}

/// One record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Record {
    /// The owner.
    pub owner: Name,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The data.
    pub data: Data,
}

/// A record's data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Data {
    A(u8),
    Aaaa(u8),
    Ns(Name),
    Cname(Name),
    Dname(Name),
    Mx(u16, Name),
    Srv(u16, Name),
    Https(u16, Name),
    Txt(u8),
    Key(u16),
    Ds(u16),
    Soa { mname: Name, minimum: u32 },
    Private(u8),
}

/// A zone's origin and its records.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The name of the apex.
    pub origin: Name,
    /// The records; those of an RRset have the same TTL.
    pub records: Vec<Record>,
}

impl Record {
    /// The number of the record's type.
    pub fn rtype(&self) -> u16 {
        self.data.rtype()
    }
}

impl Data {
    /// The number of the type.
    pub fn rtype(&self) -> u16 {
        match self {
            Data::A(_) => types::A,
            Data::Aaaa(_) => types::AAAA,
            Data::Ns(_) => types::NS,
            Data::Cname(_) => types::CNAME,
            Data::Dname(_) => types::DNAME,
            Data::Mx(..) => types::MX,
            Data::Srv(..) => types::SRV,
            Data::Https(..) => types::HTTPS,
            Data::Txt(_) => types::TXT,
            Data::Key(_) => types::KEY,
            Data::Ds(_) => types::DS,
            Data::Soa { .. } => types::SOA,
            Data::Private(_) => types::PRIVATE,
        }
    }

    /// The name whose records go into the additional section, if the type has one; it may be the owner.
    pub fn additional<'a>(&'a self, owner: &'a Name) -> Option<&'a Name> {
        match self {
            // The root means no alias, or the owner itself (RFC 9460 2.5).
            Data::Https(0, name) if name.0.is_empty() => None,
            Data::Https(_, name) if name.0.is_empty() => Some(owner),
            Data::Ns(name) | Data::Mx(_, name) | Data::Srv(_, name) | Data::Https(_, name) => Some(name),
            _ => None,
        }
    }

    /// The types of those additional records: addresses, and for an alias also its own type (RFC 9460 4.1).
    pub fn additional_types(&self) -> &'static [u16] {
        match self {
            Data::Https(0, _) => &[types::A, types::AAAA, types::HTTPS],
            _ => &[types::A, types::AAAA],
        }
    }

    /// Type and data as zone file text.
    pub fn text(&self) -> String {
        match self {
            Data::A(n) => format!("A 192.0.2.{n}"),
            Data::Aaaa(n) => format!("AAAA 2001:db8::{n:x}"),
            Data::Ns(name) => format!("NS {name}"),
            Data::Cname(name) => format!("CNAME {name}"),
            Data::Dname(name) => format!("DNAME {name}"),
            Data::Mx(preference, name) => format!("MX {preference} {name}"),
            Data::Srv(port, name) => format!("SRV 0 5 {port} {name}"),
            Data::Https(priority, name) => format!("HTTPS {priority} {name}"),
            Data::Txt(n) => format!("TXT \"text {n:03}\""),
            Data::Key(flags) => format!("KEY {flags} 3 13 AAAA"),
            Data::Ds(tag) => format!("DS {tag} 13 2 {}", "ab".repeat(32)),
            Data::Soa { mname, minimum } => format!("SOA {mname} hostmaster.{mname} 1 7200 900 1209600 {minimum}"),
            Data::Private(n) => format!("TYPE65280 \\# 1 {n:02x}"),
        }
    }

    /// Data in wire form, with its names uncompressed and in lower case.
    pub fn wire(&self) -> Vec<u8> {
        let numbers = |numbers: &[u16]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
        match self {
            Data::A(n) => vec![192, 0, 2, *n],
            Data::Aaaa(n) => [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[*n]].concat(),
            Data::Ns(name) | Data::Cname(name) | Data::Dname(name) => name.wire(),
            Data::Mx(preference, name) => [numbers(&[*preference]), name.wire()].concat(),
            Data::Srv(port, name) => [numbers(&[0, 5, *port]), name.wire()].concat(),
            Data::Https(priority, name) => [numbers(&[*priority]), name.wire()].concat(),
            Data::Txt(n) => [&[8][..], format!("text {n:03}").as_bytes()].concat(),
            Data::Key(flags) => [&flags.to_be_bytes()[..], &[3, 13, 0, 0, 0]].concat(),
            Data::Ds(tag) => [&tag.to_be_bytes()[..], &[13, 2], &[0xab; 32]].concat(),
            Data::Soa { mname, minimum } => {
                let timers = [1, 7200, 900, 1_209_600, *minimum].map(u32::to_be_bytes).concat();
                [mname.wire(), mname.child(b"hostmaster").wire(), timers].concat()
            }
            Data::Private(n) => vec![*n],
        }
    }
}

impl Zone {
    /// A zone file, with absolute names throughout.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Record { owner, ttl, data } in &self.records {
            writeln!(text, "{owner} {ttl} IN {}", data.text()).expect("writing to a string cannot fail");
        }
        text
    }
}
