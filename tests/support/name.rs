//! Domain names of the tests: lower-case labels, the one next to the root first, so that an ancestor is a prefix.

use std::fmt;

/// An absolute name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(pub Vec<Vec<u8>>);

impl Name {
    /// Parses `a.b.`; labels cannot contain escapes.
    pub fn of(text: &str) -> Name {
        Name(text.split('.').filter(|l| !l.is_empty()).rev().map(|l| l.to_ascii_lowercase().into_bytes()).collect())
    }

    /// This name with one more label in front.
    pub fn child(&self, label: &[u8]) -> Name {
        let mut labels = self.0.clone();
        labels.push(label.to_ascii_lowercase());
        Name(labels)
    }

    /// This name without its first label; the root has no parent.
    pub fn parent(&self) -> Option<Name> {
        let (_, above) = self.0.split_last()?;
        Some(Name(above.to_vec()))
    }

    /// The name `*` below this one.
    pub fn wildcard(&self) -> Name {
        self.child(b"*")
    }

    /// Whether this name is `other` or below it.
    pub fn is_under(&self, other: &Name) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether this name is below `other`.
    pub fn is_below(&self, other: &Name) -> bool {
        self.is_under(other) && self != other
    }

    /// This name with its ancestor `from` replaced by `to`, as by a DNAME (RFC 6672 2.2).
    pub fn moved(&self, from: &Name, to: &Name) -> Name {
        Name(to.0.iter().chain(&self.0[from.0.len()..]).cloned().collect())
    }

    /// The uncompressed wire form.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in self.0.iter().rev() {
            wire.push(u8::try_from(label.len()).expect("labels are at most 63 octets"));
            wire.extend_from_slice(label);
        }
        wire.push(0);
        wire
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for label in self.0.iter().rev() {
            for &octet in label {
                match octet {
                    b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'*' => write!(f, "{}", octet as char)?,
                    other => write!(f, "\\{other:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
