//! The TSIG record (RFC 8945 4.2) as octets: read from a request, written to a response. [`tsig`](crate::tsig) knows
//! the keys and checks signatures.

use zonefmt::{Class, NameBuf, NameRef, Rtype};

use super::{HEADER, u16_at};

/// A request's TSIG record.
#[derive(Clone, Copy)]
pub(crate) struct Tsig<'a> {
    message: &'a [u8],
    /// Where the record starts, with its owner: the key's name.
    start: usize,
    /// Zero, unless somebody changed it on its way.
    pub(crate) ttl: [u8; 4],
    pub(crate) algorithm: NameRef<'a>,
    pub(crate) times: Times,
    pub(crate) mac: &'a [u8],
    pub(crate) original_id: [u8; 2],
    pub(crate) error: [u8; 2],
    pub(crate) other: &'a [u8],
}

/// The second since 1970 at which a message was signed, in 48 bits, and for how many seconds before and after that the
/// signature is valid, in 16.
pub(crate) type Times = [u8; 8];

/// A TSIG record to write.
pub(crate) struct TsigRecord<'r> {
    pub(crate) key: NameRef<'r>,
    pub(crate) algorithm: NameRef<'r>,
    pub(crate) times: Times,
    pub(crate) mac: &'r [u8],
    pub(crate) original_id: [u8; 2],
    pub(crate) error: [u8; 2],
    pub(crate) other: &'r [u8],
}

impl<'a> Tsig<'a> {
    /// Reads the record that starts at `start` in `message`; `None` if it is malformed. The caller must check that it
    /// is the last one.
    pub(super) fn read(
        message: &'a [u8],
        start: usize,
        class: Class,
        ttl: [u8; 4],
        rdata: &'a [u8],
    ) -> Option<Tsig<'a>> {
        let (algorithm, rest) = NameRef::from_prefix(rdata).ok()?;
        let (&times, rest) = rest.split_first_chunk()?;
        let (mac, rest) = rest.get(2..)?.split_at_checked(u16_at(rest, 0)?.into())?;
        let (&original_id, rest) = rest.split_first_chunk()?;
        let (&error, rest) = rest.split_first_chunk()?;
        let other = rest.get(2..)?;
        let whole = other.len() == usize::from(u16_at(rest, 0)?);
        let tsig = Tsig { message, start, ttl, algorithm, times, mac, original_id, error, other };
        (class == Class::ANY && whole).then_some(tsig)
    }

    /// The key's name; `None` if the octets there do not make a name.
    pub(crate) fn key(&self) -> Option<NameBuf> {
        let mut name = NameBuf::default();
        name.read(self.message, self.start).ok()?;
        Some(name)
    }

    /// The message as it was before it was signed, without its id (RFC 8945 4.3.3): the header up to the last count,
    /// that count, and all that follows.
    pub(crate) fn unsigned(&self) -> (&'a [u8], [u8; 2], &'a [u8]) {
        // The count includes this record.
        let additionals = u16_at(self.message, HEADER - 2).unwrap_or(1).wrapping_sub(1);
        (&self.message[2..HEADER - 2], additionals.to_be_bytes(), &self.message[HEADER..self.start])
    }
}

/// The second at which a message was signed, and for how many around it the signature is valid.
pub(crate) fn seconds(times: Times) -> (u64, u16) {
    let word = u64::from_be_bytes(times);
    (word >> 16, word as u16)
}

/// The octets of these seconds.
pub(crate) fn times(seconds: u64, fudge: u16) -> Times {
    (seconds << 16 | u64::from(fudge)).to_be_bytes()
}

impl TsigRecord<'_> {
    /// The record's class, which is signed, too.
    pub(crate) const CLASS: [u8; 2] = Class::ANY.0.to_be_bytes();
    /// The record's class and TTL.
    pub(crate) const CLASS_AND_TTL: [u8; 6] = [Self::CLASS[0], Self::CLASS[1], 0, 0, 0, 0];

    /// The length of a record with these names, and a code and other data of so many octets.
    pub(crate) fn octets(key: NameRef<'_>, algorithm: NameRef<'_>, mac: usize, other: usize) -> usize {
        let fixed = 2 + Self::CLASS_AND_TTL.len() + 2 + size_of::<Times>() + 2 + 2 + 2 + 2;
        fixed + key.len() + algorithm.len() + mac + other
    }

    /// Appends the record to a message of `at` octets and counts it; returns the message's new length, `None` if there
    /// is no room.
    pub(crate) fn append(&self, message: &mut [u8], at: usize) -> Option<usize> {
        let TsigRecord { key, algorithm, times, mac, original_id, error, other } = self;
        let rdlength = (algorithm.len() + times.len() + 2 + mac.len() + 2 + 2 + 2 + other.len()) as u16;
        let parts: [&[u8]; 12] = [
            key.as_wire(),
            &Rtype::TSIG.0.to_be_bytes(),
            &Self::CLASS_AND_TTL,
            &rdlength.to_be_bytes(),
            algorithm.as_wire(),
            times,
            &(mac.len() as u16).to_be_bytes(),
            mac,
            original_id,
            error,
            &(other.len() as u16).to_be_bytes(),
            other,
        ];
        let end = parts.into_iter().try_fold(at, |at, part| {
            message.get_mut(at..at + part.len())?.copy_from_slice(part);
            Some(at + part.len())
        })?;
        let additionals = u16_at(message, HEADER - 2)?.checked_add(1)?;
        message[HEADER - 2..HEADER].copy_from_slice(&additionals.to_be_bytes());
        Some(end)
    }
}
