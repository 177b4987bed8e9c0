//! The TSIG record (RFC 8945 4.2) as octets: read from a request, written to a response. What keys there are and whether
//! a MAC is right is decided elsewhere.

use zonefmt::{Class, MAX_NAME, NameRef, Rtype};

use super::{names::copy_name, u16_at};

/// A request's TSIG record.
#[derive(Clone, Copy)]
pub(crate) struct Tsig<'a> {
    message: &'a [u8],
    /// Where its owner stands, the key's name.
    key_name: usize,
    algorithm: NameRef<'a>,
    /// Time signed and fudge.
    time: &'a [u8],
    original_id: &'a [u8],
}

/// What is wrong with a key or a MAC (RFC 8945 5.2): the ERROR of a response's TSIG record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TsigError {
    /// The key, or this algorithm with it, is not known here.
    BadKey = 17,
}

/// A TSIG record without a MAC, which tells what is wrong with the request's (RFC 8945 5.3.2). Its time is the request's:
/// unsigned, it proves nothing.
pub(crate) struct Unsigned<'a> {
    pub(crate) to: Tsig<'a>,
    pub(crate) error: TsigError,
}

impl<'a> Tsig<'a> {
    /// Reads a record that has its owner at `key_name` in `message`; `None` if it is malformed. Whether it is the last
    /// one is the caller's to see.
    pub(super) fn read(message: &'a [u8], key_name: usize, class: Class, rdata: &'a [u8]) -> Option<Tsig<'a>> {
        let (algorithm, rest) = NameRef::from_prefix(rdata).ok()?;
        let (time, rest) = rest.split_at_checked(8)?;
        let (_mac, rest) = rest.get(2..)?.split_at_checked(u16_at(rest, 0)?.into())?;
        let (original_id, rest) = rest.split_at_checked(2)?;
        let (error_and_length, other) = rest.split_at_checked(4)?;
        let whole = other.len() == usize::from(u16_at(error_and_length, 2)?);
        (class == Class::ANY && whole).then_some(Tsig { message, key_name, algorithm, time, original_id })
    }
}

impl Unsigned<'_> {
    /// Appends the record to a message of `at` octets; gives the message's new length, `None` if it does not fit.
    pub(super) fn write(&self, message: &mut [u8], at: usize) -> Option<usize> {
        let Tsig { message: request, key_name, algorithm, time, original_id } = self.to;
        let mut owner = [0; MAX_NAME];
        let owner_len = copy_name(request, key_name, &mut owner);
        let [type_, class] = [Rtype::TSIG.0, Class::ANY.0].map(u16::to_be_bytes);
        let error = (self.error as u16).to_be_bytes();
        let rdlength = (algorithm.len() + time.len() + 2 + original_id.len() + error.len() + 2) as u16;
        let parts = [
            &owner[..owner_len],
            &type_,
            &class,
            &[0; 4],
            &rdlength.to_be_bytes(),
            algorithm.as_wire(),
            time,
            &[0; 2], // No MAC.
            original_id,
            &error,
            &[0; 2], // No other data.
        ];
        parts.into_iter().try_fold(at, |at, part| {
            message.get_mut(at..at + part.len())?.copy_from_slice(part);
            Some(at + part.len())
        })
    }
}
