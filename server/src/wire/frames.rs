//! The frames of a message's records: owner, type, class, TTL and the octets of RDATA, which are not looked into.

use zonefmt::{Class, MAX_NAME, Rtype};

use super::Malformed;

/// A cursor over the records that follow the question.
#[derive(Clone, Copy)]
pub(crate) struct Frames<'a> {
    message: &'a [u8],
    at: usize,
}

/// The frame of one record.
pub(crate) struct Frame<'a> {
    /// The offset of the record, which starts with its owner.
    pub(crate) start: usize,
    pub(crate) rtype: Rtype,
    pub(crate) class: Class,
    pub(crate) ttl: [u8; 4],
    pub(crate) rdata: &'a [u8],
    /// The offset after the record.
    pub(crate) end: usize,
}

impl<'a> Frames<'a> {
    /// The records of `message` from the offset `at` on.
    pub(crate) fn new(message: &'a [u8], at: usize) -> Frames<'a> {
        Frames { message, at }
    }

    /// Reads the next frame.
    pub(crate) fn next(&mut self) -> Result<Frame<'a>, Malformed> {
        let start = self.at;
        self.skip_name()?;
        let fixed = self.take(10)?;
        let rtype = Rtype(u16::from_be_bytes([fixed[0], fixed[1]]));
        let class = Class(u16::from_be_bytes([fixed[2], fixed[3]]));
        let ttl = [fixed[4], fixed[5], fixed[6], fixed[7]];
        let rdata = self.take(usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))?;
        Ok(Frame { start, rtype, class, ttl, rdata, end: self.at })
    }

    fn take(&mut self, octets: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.message.get(self.at..self.at + octets).ok_or(Malformed)?;
        self.at += octets;
        Ok(taken)
    }

    /// Skips a name; a pointer must lead backwards (RFC 1035 4.1.4).
    fn skip_name(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        loop {
            let length = usize::from(self.take(1)?[0]);
            match length {
                0 => return Ok(()),
                1..=63 => {
                    self.take(length)?;
                }
                0xc0.. => {
                    let target = (length & 0x3f) << 8 | usize::from(self.take(1)?[0]);
                    return if target < start { Ok(()) } else { Err(Malformed) };
                }
                _ => return Err(Malformed),
            }
            if self.at - start > MAX_NAME {
                return Err(Malformed);
            }
        }
    }
}
