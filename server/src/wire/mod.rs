//! Messages as octets (RFC 1035 4): a borrowed parse of requests, and a writer of responses into a slice.
//!
//! [`request`] reads what an answer needs and checks the rest; [`writer`] appends RRsets whole or not at all,
//! compresses names and truncates; [`names`] is its memory of the names written; [`tsig`] is the record that signs a
//! request or a response, [`cookie`] the EDNS option. Nothing here knows how zones are stored, or of sockets.

pub(crate) mod cookie;
pub(crate) mod names;
pub(crate) mod request;
pub(crate) mod tsig;
pub(crate) mod writer;

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
    pub const NOTAUTH: Rcode = Rcode(9);
    pub const BADVERS: Rcode = Rcode(16);
    pub const BADCOOKIE: Rcode = Rcode(23);
}

/// Extended DNS Errors that this server gives (RFC 8914 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ede {
    Other = 0,
    NotReady = 14,
    Prohibited = 18,
    NotAuthoritative = 20,
}

/// Octets of a message header.
pub(crate) const HEADER: usize = 12;

/// The header's flag bits (RFC 1035 4.1.1), in the 16 bits that follow the id.
pub(crate) mod flags {
    pub(crate) const QR: u16 = 1 << 15;
    pub(crate) const OPCODE: u16 = 0xf << 11;
    /// The opcode UPDATE (RFC 2136) at its place in the flags.
    pub(crate) const UPDATE: u16 = 5 << 11;
    pub(crate) const AA: u16 = 1 << 10;
    pub(crate) const TC: u16 = 1 << 9;
    pub(crate) const RD: u16 = 1 << 8;
    /// Checking disabled (RFC 4035 3.2.2), copied into the response.
    pub(crate) const CD: u16 = 1 << 4;
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]))
}
