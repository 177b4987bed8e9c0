//! Numbers of the protocol as types: record type, class, serial.

use std::cmp::Ordering;

/// A record type (RFC 1035 3.2.2 and the IANA registry). Its text form is in the rdata table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

/// Constants for the types that code refers to. All other types are only in the rdata table.
macro_rules! rtypes {
    ($($name:ident = $value:literal),* $(,)?) => {
        #[allow(missing_docs)] // The names are those of the registry.
        impl Rtype { $(pub const $name: Rtype = Rtype($value);)* }
    };
}

rtypes! {
    A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, HINFO = 13, MX = 15, TXT = 16, X25 = 19, ISDN = 20, RT = 21, SIG = 24, KEY = 25, AAAA = 28, NXT = 30,
    SRV = 33, NAPTR = 35, DNAME = 39, OPT = 41, APL = 42, DS = 43, RRSIG = 46, NSEC = 47, DNSKEY = 48, NSEC3 = 50,
    NSEC3PARAM = 51, TLSA = 52, CDS = 59, CDNSKEY = 60, SVCB = 64, HTTPS = 65, L32 = 105, L64 = 106, TKEY = 249, TSIG = 250, IXFR = 251, AXFR = 252, MAILB = 253, MAILA = 254,
    ANY = 255, CAA = 257,
}

impl Rtype {
    /// Whether the type exists only in questions or for one message, never as data in a zone (RFC 6895 3.1: 128 to 255,
    /// and OPT).
    pub const fn is_meta(self) -> bool {
        self.0 == 0 || self.0 == Self::OPT.0 || (self.0 >= 128 && self.0 <= 255)
    }
}

/// A class (RFC 1035 3.2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(pub u16);

#[allow(missing_docs)] // The names are those of the registry.
impl Class {
    pub const IN: Class = Class(1);
    pub const CH: Class = Class(3);
    pub const HS: Class = Class(4);
    pub const NONE: Class = Class(254);
    pub const ANY: Class = Class(255);
}

/// A zone's serial: a point on a circle of 2³², ordered by RFC 1982, so that two serials 2³¹ apart have no order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Serial(pub u32);

impl Serial {
    /// The next serial. It skips 0, as BIND does, because some servers read 0 as "none".
    #[must_use]
    pub const fn next(self) -> Serial {
        match self.0.wrapping_add(1) {
            0 => Serial(1),
            n => Serial(n),
        }
    }
}

impl PartialOrd for Serial {
    fn partial_cmp(&self, other: &Serial) -> Option<Ordering> {
        match other.0.wrapping_sub(self.0) {
            0 => Some(Ordering::Equal),
            0x8000_0000 => None,
            1..0x8000_0000 => Some(Ordering::Less),
            _ => Some(Ordering::Greater),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_order_on_a_circle() {
        assert!(Serial(1) < Serial(2));
        assert!(Serial(u32::MAX) < Serial(0));
        assert!(Serial(0x8000_0001) > Serial(2));
        assert_eq!(Serial(0).partial_cmp(&Serial(0x8000_0000)), None);
        assert_eq!(Serial(u32::MAX).next(), Serial(1));
    }
}
