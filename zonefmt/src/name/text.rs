//! Reads and prints names in presentation form (RFC 1035 5.1).

use std::fmt::{self, Write};

use super::{MAX_NAME, NameError, NameRef};

/// Reads presentation form into `out` and returns its length in wire form; see [`super::Name::parse`].
pub fn parse_into(text: &[u8], origin: NameRef<'_>, out: &mut [u8; MAX_NAME]) -> Result<usize, NameError> {
    match text {
        b"@" => {
            out[..origin.len()].copy_from_slice(origin.0);
            return Ok(origin.len());
        }
        b"." => {
            out[0] = 0;
            return Ok(1);
        }
        b"" => return Err(NameError::EmptyLabel),
        _ => {}
    }
    if let Some(len) = parse_plain(text, origin, out) {
        return Ok(len);
    }
    let (mut start, mut end, mut i) = (0, 1, 0);
    while i < text.len() {
        let octet = match text[i] {
            b'.' => {
                if end == start + 1 {
                    return Err(NameError::EmptyLabel);
                }
                if end >= MAX_NAME {
                    return Err(NameError::NameTooLong);
                }
                out[start] = (end - start - 1) as u8;
                start = end;
                end += 1;
                i += 1;
                continue;
            }
            b'\\' => {
                let (octet, used) = unescape(&text[i..])?;
                i += used;
                octet
            }
            plain => {
                i += 1;
                plain
            }
        };
        if end - start > 63 {
            return Err(NameError::LabelTooLong);
        }
        if end >= MAX_NAME {
            return Err(NameError::NameTooLong);
        }
        out[end] = octet;
        end += 1;
    }
    if end == start + 1 {
        // The text ends in a dot, so the name is absolute.
        out[start] = 0;
        return Ok(end);
    }
    out[start] = (end - start - 1) as u8;
    if end + origin.len() > MAX_NAME {
        return Err(NameError::NameTooLong);
    }
    out[end..end + origin.len()].copy_from_slice(origin.0);
    Ok(end + origin.len())
}

/// [`parse_into`] for names without escapes, whose wire form is their text moved by one octet. Returns `None` for any
/// other text, valid or not.
#[inline]
fn parse_plain(text: &[u8], origin: NameRef<'_>, out: &mut [u8; MAX_NAME]) -> Option<usize> {
    out.get_mut(1..=text.len())?.copy_from_slice(text);
    let mut start = 0;
    for (at, &octet) in text.iter().enumerate() {
        match octet {
            b'.' if (1..64).contains(&(at - start)) => {
                out[start] = (at - start) as u8;
                start = at + 1;
            }
            b'.' | b'\\' => return None,
            _ => {}
        }
    }
    let end = text.len() + 1;
    match end - start - 1 {
        0 => {
            out[start] = 0;
            Some(end)
        }
        last @ 1..64 => {
            out[start] = last as u8;
            out.get_mut(end..end + origin.len())?.copy_from_slice(origin.0);
            Some(end + origin.len())
        }
        _ => None,
    }
}

/// Reads one escape, `\X` or `\DDD` (RFC 1035 5.1). Returns the octet and the length of the escape in octets.
pub fn unescape(text: &[u8]) -> Result<(u8, usize), NameError> {
    match text {
        [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            u8::try_from(value).map(|octet| (octet, 4)).map_err(|_| NameError::BadEscape)
        }
        [b'\\', b'0'..=b'9', ..] => Err(NameError::BadEscape),
        [b'\\', other, ..] => Ok((*other, 2)),
        _ => Err(NameError::BadEscape),
    }
}

/// Prints presentation form with a final dot. Special characters become `\X` and unprintable ones `\DDD`, as in BIND.
impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.without_final_dot(), f)?;
        if self.is_root() { Ok(()) } else { f.write_char('.') }
    }
}

impl<'a> NameRef<'a> {
    /// The text of the name without its final dot, as BIND prints it in logs and statistics; the root is still `.`.
    pub fn without_final_dot(self) -> impl fmt::Display + use<'a> {
        WithoutFinalDot(self)
    }
}

struct WithoutFinalDot<'a>(NameRef<'a>);

impl fmt::Display for WithoutFinalDot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WithoutFinalDot(name) = *self;
        if name.is_root() {
            return f.write_char('.');
        }
        for (i, label) in name.labels().enumerate() {
            if i > 0 {
                f.write_char('.')?;
            }
            for &octet in label {
                match octet {
                    b'.' | b'"' | b'(' | b')' | b';' | b'\\' | b'@' | b'$' => write!(f, "\\{}", char::from(octet))?,
                    0x21..=0x7e => f.write_char(char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
        }
        Ok(())
    }
}
