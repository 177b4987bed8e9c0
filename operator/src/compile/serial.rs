//! Decides when a zone gets a new serial, and which.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};
use zonefmt::{NameRef, Rtype, Serial};

/// The last published version of a zone. It must survive a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The serial of the zone.
    pub serial: Serial,
    /// The hash of the zone's content without the serial.
    pub hash: ContentHash,
}

/// A hash of a zone's content, updated at the cost of the change. It is the sum of the SHA-256 hashes of the RRsets,
/// lane by lane, so that it does not depend on their order.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentHash([u64; 4]);

impl Published {
    /// Returns the version that follows `last`. The same content keeps its serial and other content gets the next one,
    /// but if the serial of the manifest is ahead (RFC 1982), that one is used. The serial of the manifest is also the
    /// first one to be published.
    pub fn following(last: Option<Published>, hash: ContentHash, declared: Serial) -> Published {
        let serial = match last {
            None => declared,
            Some(last) if declared > last.serial => declared,
            Some(last) if last.hash == hash => last.serial,
            Some(last) => last.serial.next(),
        };
        Published { serial, hash }
    }
}

impl ContentHash {
    /// Adds an RRset. Its records must be in an order that depends on them alone.
    pub fn add<'r>(&mut self, owner: NameRef<'_>, rtype: Rtype, ttl: u32, rdatas: impl Iterator<Item = &'r [u8]>) {
        let set = Self::of_rrset(owner, rtype, ttl, rdatas);
        self.0.iter_mut().zip(set).for_each(|(sum, lane)| *sum = sum.wrapping_add(lane));
    }

    /// Removes an RRset that was added before.
    pub fn remove<'r>(&mut self, owner: NameRef<'_>, rtype: Rtype, ttl: u32, rdatas: impl Iterator<Item = &'r [u8]>) {
        let set = Self::of_rrset(owner, rtype, ttl, rdatas);
        self.0.iter_mut().zip(set).for_each(|(sum, lane)| *sum = sum.wrapping_sub(lane));
    }

    fn of_rrset<'r>(owner: NameRef<'_>, rtype: Rtype, ttl: u32, rdatas: impl Iterator<Item = &'r [u8]>) -> [u64; 4] {
        let mut hasher = Sha256::new();
        hasher.update(owner.as_wire().to_ascii_lowercase());
        hasher.update(rtype.0.to_be_bytes());
        hasher.update(ttl.to_be_bytes());
        for rdata in rdatas {
            hasher.update((rdata.len() as u64).to_be_bytes());
            hasher.update(rdata);
        }
        let digest = hasher.finalize();
        let mut lanes = [0; 4];
        for (lane, octets) in lanes.iter_mut().zip(digest.chunks_exact(8)) {
            *lane = octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
        }
        lanes
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lane| write!(f, "{lane:016x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ContentHash, Self::Err> {
        const WANTED: &str = "64 hexadecimal digits";
        if text.len() != 64 || !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(WANTED);
        }
        let mut lanes = [0; 4];
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = u64::from_str_radix(&text[i * 16..(i + 1) * 16], 16).map_err(|_| WANTED)?;
        }
        Ok(ContentHash(lanes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(sets: &[(&[u8], u32)]) -> ContentHash {
        let mut hash = ContentHash::default();
        for (rdata, ttl) in sets {
            hash.add(NameRef::ROOT, Rtype::TXT, *ttl, std::iter::once(*rdata));
        }
        hash
    }

    #[test]
    fn the_hash_is_of_the_content_not_of_the_way_to_it() {
        let (a, b) = ((&b"\x01a"[..], 1), (&b"\x01b"[..], 1));
        assert_eq!(hash(&[a, b]), hash(&[b, a]));
        assert_ne!(hash(&[a]), hash(&[b]));
        assert_ne!(hash(&[a]), hash(&[(a.0, 2)]));
        let mut gone = hash(&[a, b]);
        gone.remove(NameRef::ROOT, Rtype::TXT, 1, std::iter::once(b.0));
        assert_eq!(gone, hash(&[a]));
        assert_eq!(gone.to_string().parse(), Ok(gone));
    }

    #[test]
    fn a_serial_never_goes_back_and_never_names_two_contents() {
        let (old, new) = (hash(&[]), hash(&[(b"\x01a", 1)]));
        let next = |last: u32, content, declared| {
            Published::following(Some(Published { serial: Serial(last), hash: old }), content, Serial(declared))
                .serial
                .0
        };
        assert_eq!(Published::following(None, new, Serial(7)).serial, Serial(7), "the first is the manifest's");
        assert_eq!(next(9, old, 7), 9, "same content keeps its serial");
        assert_eq!(next(9, new, 7), 10, "other content gets the next");
        assert_eq!(next(9, new, 9), 10);
        assert_eq!(next(9, new, 20), 20, "the manifest's is taken up when ahead");
        assert_eq!(next(9, old, 20), 20);
        assert_eq!(next(u32::MAX, new, 7), 7, "RFC 1982: 7 comes after 2³² − 1");
        assert_eq!(next(u32::MAX, new, 0x8000_0000), 1, "and 0 is skipped");
    }
}
