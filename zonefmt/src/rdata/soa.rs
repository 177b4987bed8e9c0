//! The fields of an SOA record.

use std::array;

use crate::{NameRef, Serial};

/// The data of an SOA record (RFC 1035 3.3.13). Times are in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Soa<'a> {
    /// The primary server of the zone.
    pub primary: NameRef<'a>,
    /// The mailbox of the person responsible for the zone, with a dot for its `@`.
    pub mailbox: NameRef<'a>,
    /// The version of the zone.
    pub serial: Serial,
    /// How long a secondary waits before it asks for the serial again.
    pub refresh: u32,
    /// How long a secondary waits after a failed attempt.
    pub retry: u32,
    /// How long a secondary serves the zone after it last reached a primary.
    pub expire: u32,
    /// The upper bound of the TTL of negative answers (RFC 2308 4).
    pub minimum: u32,
}

impl<'a> Soa<'a> {
    /// Reads RDATA in wire form with uncompressed names; `None` if it is not an SOA's.
    pub fn read(rdata: &'a [u8]) -> Option<Soa<'a>> {
        let (names, [serial, refresh, retry, expire, minimum]) = split(rdata)?;
        let (primary, mailbox) = NameRef::from_prefix(names).ok()?;
        let mailbox = NameRef::from_wire(mailbox).ok()?;
        Some(Soa { primary, mailbox, serial: Serial(serial), refresh, retry, expire, minimum })
    }

    /// Reads the serial alone, without looking at the names.
    #[inline]
    pub fn serial_of(rdata: &[u8]) -> Option<Serial> {
        split(rdata).map(|(_, [serial, ..])| Serial(serial))
    }

    /// Reads the minimum alone, without looking at the names.
    #[inline]
    pub fn minimum_of(rdata: &[u8]) -> Option<u32> {
        split(rdata).map(|(_, [.., minimum])| minimum)
    }

    /// The RDATA in wire form.
    pub fn to_wire(&self) -> Vec<u8> {
        let Soa { primary, mailbox, serial, refresh, retry, expire, minimum } = *self;
        let mut rdata = [primary.as_wire(), mailbox.as_wire()].concat();
        for number in [serial.0, refresh, retry, expire, minimum] {
            rdata.extend(number.to_be_bytes());
        }
        rdata
    }

    /// Returns RDATA with another serial, or unchanged if it is not an SOA's.
    pub fn with_serial(rdata: &[u8], serial: Serial) -> Vec<u8> {
        Soa::read(rdata).map_or_else(|| rdata.to_vec(), |soa| Soa { serial, ..soa }.to_wire())
    }
}

/// Splits RDATA into the octets of the two names and the five numbers.
#[inline]
fn split(rdata: &[u8]) -> Option<(&[u8], [u32; 5])> {
    let (names, numbers) = rdata.split_last_chunk::<20>()?;
    let (numbers, _) = numbers.as_chunks();
    Some((names, array::from_fn(|i| u32::from_be_bytes(numbers[i]))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    #[test]
    fn what_is_written_is_read() {
        let [primary, mailbox] = ["ns.example", "."].map(|text| Name::from_ascii(text).unwrap());
        let soa = Soa {
            primary: primary.as_ref(),
            mailbox: mailbox.as_ref(),
            serial: Serial(1),
            refresh: 2,
            retry: 3,
            expire: 4,
            minimum: 5,
        };
        let rdata = soa.to_wire();
        assert_eq!(rdata, b"\x02ns\x07example\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05");
        assert_eq!(Soa::read(&rdata), Some(soa));
        assert_eq!((Soa::serial_of(&rdata), Soa::minimum_of(&rdata)), (Some(Serial(1)), Some(5)));
        assert_eq!(Soa::read(&Soa::with_serial(&rdata, Serial(7))), Some(Soa { serial: Serial(7), ..soa }));
    }

    #[test]
    fn what_is_not_a_soa_is_left_as_it_is() {
        for rdata in [&b""[..], &[0; 19], &[0; 21], b"\x01a\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05"] {
            assert_eq!(Soa::read(rdata), None);
            assert_eq!(Soa::with_serial(rdata, Serial(7)), rdata);
        }
    }
}
