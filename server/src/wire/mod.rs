//! Messages as octets (RFC 1035 4): a borrowed parse of requests, and a writer of responses into a slice; and a general
//! reader and builder for everything off the query path.
//!
//! [`request`] reads what an answer needs and checks the rest; [`message`] reads whole messages, record by record;
//! [`frames`] finds where records start and end for both. [`writer`] appends RRsets whole or not at all,
//! compresses names and truncates; [`names`] is its memory of the names written; [`tsig`] is the record that signs a
//! request or a response, [`cookie`] and [`ede`] are
//! options of EDNS. Nothing here knows how zones are stored, or of sockets.

pub(crate) mod cookie;
mod ede;
mod frames;
pub mod message;
pub(crate) mod names;
pub(crate) mod request;
pub(crate) mod tsig;
pub(crate) mod writer;

use std::fmt;

pub(crate) use ede::Ede;

/// Response codes (RFC 1035 4.1.1, RFC 2136 2.2, RFC 6891 9); above 15 they need EDNS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rcode(pub u16);

#[allow(missing_docs)] // The names are the registry's.
impl Rcode {
    pub const NOERROR: Rcode = Rcode(0);
    pub const FORMERR: Rcode = Rcode(1);
    pub const SERVFAIL: Rcode = Rcode(2);
    pub const NXDOMAIN: Rcode = Rcode(3);
    pub const NOTIMP: Rcode = Rcode(4);
    pub const REFUSED: Rcode = Rcode(5);
    pub const YXDOMAIN: Rcode = Rcode(6);
    pub const YXRRSET: Rcode = Rcode(7);
    pub const NXRRSET: Rcode = Rcode(8);
    pub const NOTAUTH: Rcode = Rcode(9);
    pub const NOTZONE: Rcode = Rcode(10);
    pub const BADVERS: Rcode = Rcode(16);
    pub const BADCOOKIE: Rcode = Rcode(23);
}

/// Prints the mnemonic as BIND does; a code without one is `RESERVED11` up to 15, and the number above.
impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 11] = [
            "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
            "NOTAUTH", "NOTZONE",
        ];
        match (NAMES.get(usize::from(self.0)), self.0) {
            (Some(name), _) => f.write_str(name),
            (None, 16) => f.write_str("BADVERS"),
            (None, 23) => f.write_str("BADCOOKIE"),
            (None, reserved @ ..16) => write!(f, "RESERVED{reserved}"),
            (None, number) => write!(f, "{number}"),
        }
    }
}

/// What a message is for (RFC 1035 4.1.1): 0 to 15.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opcode(u8);

#[allow(missing_docs)] // The names are the registry's.
impl Opcode {
    pub const QUERY: Opcode = Opcode(0);
    pub const NOTIFY: Opcode = Opcode(4);
    pub const UPDATE: Opcode = Opcode(5);

    /// The opcode in the header's flags.
    pub(crate) const fn of(flags: u16) -> Opcode {
        Opcode(((flags & flags::OPCODE) >> flags::OPCODE.trailing_zeros()) as u8)
    }

    /// The opcode at its place in the header's flags.
    const fn bits(self) -> u16 {
        (self.0 as u16) << flags::OPCODE.trailing_zeros()
    }
}

/// The error for octets that are not a DNS message: a request gets FORMERR, a response is worth nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed message")
    }
}

impl std::error::Error for Malformed {}

/// Octets of a message header.
pub(crate) const HEADER: usize = 12;

/// The header's flag bits (RFC 1035 4.1.1), in the 16 bits that follow the id.
pub(crate) mod flags {
    pub(crate) const QR: u16 = 1 << 15;
    pub(crate) const OPCODE: u16 = 0xf << 11;
    pub(crate) const AA: u16 = 1 << 10;
    pub(crate) const TC: u16 = 1 << 9;
    pub(crate) const RD: u16 = 1 << 8;
    /// Checking disabled (RFC 4035 3.2.2), copied into the response.
    pub(crate) const CD: u16 = 1 << 4;
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]))
}
