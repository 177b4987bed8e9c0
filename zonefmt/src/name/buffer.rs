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
}
