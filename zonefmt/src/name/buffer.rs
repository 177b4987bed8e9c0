//! A name in a buffer of fixed size.

use std::fmt;

use super::{MAX_NAME, NameError, NameRef, parse_into};

/// Room for one name, that is written over again and again without allocation; at first it holds the root.
#[derive(Clone)]
pub struct NameBuf {
    /// Its first `len` octets are a name.
    wire: [u8; MAX_NAME],
    len: u8,
}

impl NameBuf {
    /// A copy of `name`.
    pub fn new(name: NameRef<'_>) -> NameBuf {
        let mut buffer = NameBuf::default();
        buffer.set(name);
        buffer
    }

    /// The name that these octets make in a row, in wire form; `None` if they make none, or one over 255 octets.
    #[inline]
    pub fn from_parts(parts: &[&[u8]]) -> Option<NameBuf> {
        let mut buffer = NameBuf::default();
        buffer.set_parts(parts).ok()?;
        Some(buffer)
    }

    /// Replaces the name with a copy of this one.
    #[inline]
    pub fn set(&mut self, name: NameRef<'_>) {
        self.wire[..name.len()].copy_from_slice(name.0);
        self.len = name.len() as u8;
    }

    /// Replaces the name with the one that these octets make in a row, in wire form.
    ///
    /// # Errors
    /// The octets do not make a name; the buffer holds the root then.
    #[inline]
    pub fn set_parts(&mut self, parts: &[&[u8]]) -> Result<(), NameError> {
        let mut len = 0;
        let joined = parts.iter().try_for_each(|part| {
            let room = self.wire.get_mut(len..len + part.len()).ok_or(NameError::NameTooLong)?;
            room.copy_from_slice(part);
            len += part.len();
            Ok(())
        });
        let written = joined.and_then(|()| NameRef::from_wire(&self.wire[..len]).map(NameRef::len));
        self.finish(written)
    }

    /// Replaces the name with the one that a text says; see [`parse_into`].
    ///
    /// # Errors
    /// The text does not say a name; the buffer holds the root then.
    #[inline]
    pub fn parse(&mut self, text: &[u8], origin: NameRef<'_>) -> Result<(), NameError> {
        let parsed = parse_into(text, origin, &mut self.wire);
        self.finish(parsed)
    }

    /// Replaces the name with the one at an offset of a message, following compression pointers (RFC 1035 4.1.4), and
    /// returns the offset after it. Each pointer must lead to before the name, and to before where the last one led.
    ///
    /// # Errors
    /// There is no name at that offset, or one with over 128 pointers; the buffer holds the root then.
    #[inline]
    pub fn read(&mut self, message: &[u8], at: usize) -> Result<usize, NameError> {
        let (mut len, mut next, mut bound, mut end, mut pointers) = (0, at, at, None, 0);
        let mut copy = || loop {
            let octet = *message.get(next).ok_or(NameError::Malformed)?;
            match octet {
                0..=63 => {
                    let label = message.get(next..=next + usize::from(octet)).ok_or(NameError::Malformed)?;
                    let room = self.wire.get_mut(len..len + label.len()).ok_or(NameError::NameTooLong)?;
                    room.copy_from_slice(label);
                    (len, next) = (len + label.len(), next + label.len());
                    if octet == 0 {
                        return Ok(len);
                    }
                }
                0xc0.. => {
                    let low = *message.get(next + 1).ok_or(NameError::Malformed)?;
                    let target = usize::from(octet & 0x3f) << 8 | usize::from(low);
                    end.get_or_insert(next + 2);
                    pointers += 1;
                    if target >= bound || pointers > MAX_POINTERS {
                        return Err(NameError::Malformed);
                    }
                    (bound, next) = (target, target);
                }
                _ => return Err(NameError::Malformed),
            }
        };
        let copied = copy();
        self.finish(copied)?;
        Ok(end.unwrap_or(next))
    }

    /// The name.
    #[inline]
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(&self.wire[..usize::from(self.len)])
    }

    /// Takes the length of the name that was written, if one was.
    #[inline]
    fn finish(&mut self, written: Result<usize, NameError>) -> Result<(), NameError> {
        match written {
            Ok(len) => self.len = len as u8,
            Err(error) => {
                self.set(NameRef::ROOT);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The most pointers of one name: more than its labels never help.
const MAX_POINTERS: usize = 128;

impl Default for NameBuf {
    #[inline]
    fn default() -> NameBuf {
        NameBuf { wire: [0; MAX_NAME], len: 1 }
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_a_name_or_none() {
        let joined = |parts: &[&[u8]]| NameBuf::from_parts(parts).map(|name| name.as_ref().to_string());
        assert_eq!(joined(&[b"\x03_25", b"\x04_tcp", b"\x01a\0"]).as_deref(), Some("_25._tcp.a."));
        assert_eq!(joined(&[b"\x02", b"a", b"b\0"]).as_deref(), Some("ab."));
        assert_eq!(joined(&[b"\0"]).as_deref(), Some("."));
        for bad in [&[][..], &[&b"\x01a"[..]], &[b"\x01a\0", b"\0"], &[b"\xc0\x0c"], &[b"\x02a\0"]] {
            assert_eq!(joined(bad), None, "{bad:?}");
        }
        let label = [&[63][..], &[b'a'; 63]].concat();
        let three = [&*label; 3].concat();
        assert!(joined(&[&three, b"\x3d", &[b'a'; 61], b"\0"]).is_some());
        assert_eq!(joined(&[&three, b"\x3e", &[b'a'; 62], b"\0"]), None);
        assert_eq!(joined(&[&[b'a'; 1000]]), None);
    }

    #[test]
    fn a_buffer_holds_the_root_after_an_error() {
        let mut name = NameBuf::from_parts(&[b"\x01a\0"]).unwrap();
        assert!(name.set_parts(&[b"\x07example", b"\x01"]).is_err());
        assert!(name.as_ref().is_root());
        assert!(name.parse(b"b", NameRef::ROOT).is_ok());
        assert_eq!(name.as_ref().to_string(), "b.");
        assert!(name.parse(b"b..c", NameRef::ROOT).is_err());
        assert_eq!(name.as_ref().to_string(), ".");
    }

    fn read(message: &[u8], at: usize) -> Result<(String, usize), NameError> {
        let mut name = NameBuf::default();
        let end = name.read(message, at);
        assert!(end.is_ok() || name.as_ref().is_root());
        end.map(|end| (name.as_ref().to_string(), end))
    }

    #[test]
    fn pointers_are_followed_backwards() {
        let message = b"\x01a\x01b\0\x01c\xc0\x02\xc0\x05\x01d\xc0\x09";
        let name = |text: &str, end| Ok((text.to_string(), end));
        assert_eq!(read(message, 0), name("a.b.", 5));
        assert_eq!(read(message, 5), name("c.b.", 9));
        assert_eq!(read(message, 9), name("c.b.", 11));
        assert_eq!(read(message, 11), name("d.c.b.", 15));
        assert_eq!(read(message, 15), Err(NameError::Malformed), "nothing is there");
    }

    #[test]
    fn pointers_that_lead_nowhere_are_refused() {
        let loops: [(&[u8], usize); 8] = [
            (b"\xc0\x00", 0),                   // to itself
            (b"\0\xc0\x03\0", 1),               // forward
            (b"\0\xc0\x01", 1),                 // to its own first octet
            (b"\x01a\xc0\x00", 0),              // to the label before it
            (b"\xc0\x02\xc0\x00", 2),           // two that lead to each other
            (b"\x01a\xc0\x04\x01b\xc0\x00", 4), // the same with labels
            (b"\0\xc0", 1),                     // cut short
            (b"\0\x40a", 1),                    // a reserved label type
        ];
        for (message, at) in loops {
            assert_eq!(read(message, at), Err(NameError::Malformed), "{message:x?}");
        }
        let label = [&[63][..], &[b'a'; 63]].concat();
        let long = [&*label, &label, &label, &label, b"\0"].concat();
        assert_eq!(read(&long, 0), Err(NameError::NameTooLong));
        let mut chain = b"\x01a\0".to_vec();
        for at in 0..=128_u16 {
            let target = if at == 0 { 0 } else { 1 + 2 * at };
            chain.extend((0xc000 | target).to_be_bytes());
        }
        assert!(read(&chain, 3 + 2 * 127).is_ok());
        assert_eq!(read(&chain, 3 + 2 * 128), Err(NameError::Malformed), "129 pointers");
    }
}
