//! Domain names in wire form (RFC 1035 3.1): labels, each after its length octet, and a final zero. The module `text`
//! reads and prints their presentation form.
//!
//! [`NameRef`] borrows a name, [`Name`] owns one, and [`NameBuf`] holds one without allocation. All are always absolute,
//! uncompressed and valid, so code that has one never checks again. The case of letters is kept but ignored in
//! comparisons (RFC 4343), and the order is canonical (RFC 4034 6.1).

mod buffer;
mod text;

pub use buffer::NameBuf;
pub use text::{parse_into, unescape};

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    iter,
};

/// An owned absolute name.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

/// A borrowed absolute name: 1 to 255 octets in wire form, including the root's zero.
#[derive(Clone, Copy)]
pub struct NameRef<'a>(&'a [u8]);

/// Why octets or text are not a valid name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NameError {
    /// A label has more than 63 octets.
    LabelTooLong,
    /// The name has more than 255 octets in wire form.
    NameTooLong,
    /// The text has two dots in a row, or a leading one.
    EmptyLabel,
    /// The text has a `\` at its end, or a `\DDD` beyond 255 or with fewer than three digits.
    BadEscape,
    /// The wire octets end inside the name, or contain a compression pointer.
    Malformed,
}

/// The longest name in wire form, in octets (RFC 1035 2.3.4).
pub const MAX_NAME: usize = 255;

impl Name {
    /// The name in lower case: its canonical form (RFC 4034 6.2).
    #[must_use]
    pub fn to_lowercase(&self) -> Name {
        // Length octets are at most 63, below all letters, so folding leaves them alone.
        Name(self.0.to_ascii_lowercase().into())
    }

    /// The root name.
    pub fn root() -> Name {
        Name(Box::new([0]))
    }

    /// Reads presentation form (RFC 1035 5.1, including escapes). A name without a final dot is taken as absolute.
    pub fn from_ascii(text: impl AsRef<[u8]>) -> Result<Name, NameError> {
        Self::parse(text.as_ref(), NameRef::ROOT)
    }

    /// Reads presentation form. A name without a final dot is relative to `origin`, and `@` is `origin` itself.
    pub fn parse(text: &[u8], origin: NameRef<'_>) -> Result<Name, NameError> {
        let mut wire = [0; MAX_NAME];
        let len = parse_into(text, origin, &mut wire)?;
        Ok(Name(wire[..len].into()))
    }

    /// Borrows the name.
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(&self.0)
    }
}

impl<'a> NameRef<'a> {
    /// The root name.
    pub const ROOT: NameRef<'static> = NameRef(&[0]);

    /// Reads exactly one uncompressed name in wire form.
    pub const fn from_wire(wire: &'a [u8]) -> Result<NameRef<'a>, NameError> {
        match Self::from_prefix(wire) {
            Ok((name, [])) => Ok(name),
            Ok(_) => Err(NameError::Malformed),
            Err(error) => Err(error),
        }
    }

    /// Reads an uncompressed name from the start of `wire`, and returns it with the octets after it.
    pub const fn from_prefix(wire: &'a [u8]) -> Result<(NameRef<'a>, &'a [u8]), NameError> {
        let mut at = 0;
        while at < wire.len() {
            match wire[at] {
                0 => {
                    let (name, rest) = wire.split_at(at + 1);
                    return Ok((NameRef(name), rest));
                }
                len @ 1..=63 => at += 1 + len as usize,
                _ => return Err(NameError::Malformed),
            }
            if at >= MAX_NAME {
                return Err(NameError::NameTooLong);
            }
        }
        Err(NameError::Malformed)
    }

    /// The length in wire form, 1 to 255 octets.
    #[allow(clippy::len_without_is_empty)] // A name is never empty.
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// The octets in wire form.
    pub const fn as_wire(self) -> &'a [u8] {
        self.0
    }

    /// Whether this is the root.
    pub const fn is_root(self) -> bool {
        self.0.len() == 1
    }

    /// An owned copy.
    pub fn to_owned(self) -> Name {
        Name(self.0.into())
    }

    /// The labels from the leaf up, without the root's.
    pub fn labels(self) -> Labels<'a> {
        Labels(self.0)
    }

    /// The number of labels without the root's; a `*` counts as one.
    pub fn label_count(self) -> usize {
        self.labels().count()
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(self) -> Option<NameRef<'a>> {
        (!self.is_root()).then(|| NameRef(&self.0[1 + usize::from(self.0[0])..]))
    }

    /// The name itself, its parent, and so on up to `within`; nothing if the name is not at or below `within`.
    pub fn ancestors(self, within: NameRef<'_>) -> impl Iterator<Item = NameRef<'a>> + use<'a> {
        let last = within.len();
        let first = self.is_at_or_below(within).then_some(self);
        iter::successors(first, move |name| name.parent().filter(|parent| parent.len() >= last))
    }

    /// The last `labels` labels of the name, or the whole name if it has no more.
    #[must_use]
    pub fn suffix(self, labels: usize) -> NameRef<'a> {
        let mut name = self;
        for _ in labels..self.label_count() {
            name = NameRef(&name.0[1 + usize::from(name.0[0])..]);
        }
        name
    }

    /// The part of the name from the label that starts at octet `at`, or else from the first label after it; the root
    /// if there is none.
    #[must_use]
    pub fn suffix_at(self, at: usize) -> NameRef<'a> {
        let mut name = self;
        while self.len() - name.len() < at
            && let Some(parent) = name.parent()
        {
            name = parent;
        }
        name
    }

    /// Whether the name equals `ancestor` or lies below it.
    pub fn is_at_or_below(self, ancestor: NameRef<'_>) -> bool {
        self.strip_suffix(ancestor).is_some()
    }

    /// The octets of the labels before `origin`, without a final zero; `None` unless the name is at or below `origin`.
    pub fn strip_suffix(self, origin: NameRef<'_>) -> Option<&'a [u8]> {
        let split = self.len().checked_sub(origin.len())?;
        if !same_octets(&self.0[split..], origin.0) {
            return None;
        }
        // The octets agree, but the split must also fall between two labels.
        let mut at = 0;
        while at < split {
            at += 1 + usize::from(self.0[at]);
        }
        (at == split).then(|| &self.0[..split])
    }

    /// Whether the first label is `*` alone (RFC 4592 2.1.1).
    pub fn is_wildcard(self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// Prepends labels in wire form. Fails if the result has more than 255 octets.
    pub fn prepend(self, labels: &[u8]) -> Result<Name, NameError> {
        if labels.len() + self.len() > MAX_NAME {
            return Err(NameError::NameTooLong);
        }
        NameRef::from_wire(&[labels, self.0].concat()).map(NameRef::to_owned)
    }
}

/// Whether octets are equal apart from case. Mostly the case agrees as well, which the first comparison finds out
/// quickly.
fn same_octets(a: &[u8], b: &[u8]) -> bool {
    a == b || a.eq_ignore_ascii_case(b)
}

/// An iterator over the labels of a name, leaf first; see [`NameRef::labels`].
#[derive(Clone)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.0.split_first()?;
        if len == 0 {
            return None;
        }
        let (label, rest) = rest.split_at(usize::from(len));
        self.0 = rest;
        Some(label)
    }
}

impl PartialEq for NameRef<'_> {
    fn eq(&self, other: &NameRef<'_>) -> bool {
        same_octets(self.0, other.0) // Length octets are below `A`, so folding cannot confuse them.
    }
}

impl Eq for NameRef<'_> {}

impl Hash for NameRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octet in self.0 {
            state.write_u8(octet.to_ascii_lowercase());
        }
    }
}

impl Ord for NameRef<'_> {
    fn cmp(&self, other: &NameRef<'_>) -> Ordering {
        let (mut a, mut b) = ([0_u8; 128], [0_u8; 128]);
        let (a, b) = (label_starts(self.0, &mut a), label_starts(other.0, &mut b));
        for (&x, &y) in a.iter().rev().zip(b.iter().rev()) {
            let label = |wire: &'_ [u8], at: u8| {
                let at = usize::from(at);
                at + 1..at + 1 + usize::from(wire[at])
            };
            let (x, y) = (&self.0[label(self.0, x)], &other.0[label(other.0, y)]);
            let folded = x.iter().map(u8::to_ascii_lowercase).cmp(y.iter().map(u8::to_ascii_lowercase));
            if folded != Ordering::Equal {
                return folded;
            }
        }
        a.len().cmp(&b.len())
    }
}

/// Fills `starts` with the offset of each label of a wire name, leaf first, without the root's.
fn label_starts<'s>(wire: &[u8], starts: &'s mut [u8; 128]) -> &'s [u8] {
    let (mut at, mut count) = (0, 0);
    while wire[at] != 0 {
        starts[count] = at as u8;
        count += 1;
        at += 1 + usize::from(wire[at]);
    }
    &starts[..count]
}

impl PartialOrd for NameRef<'_> {
    fn partial_cmp(&self, other: &NameRef<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Parses as [`Name::from_ascii`] does.
impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        Name::from_ascii(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::LabelTooLong => "a label is longer than 63 octets",
            NameError::NameTooLong => "the name is longer than 255 octets",
            NameError::EmptyLabel => "the name has an empty label",
            NameError::BadEscape => "bad escape: write \\DDD with three digits up to 255, or \\ and one character",
            NameError::Malformed => "malformed name",
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn text_round_trips() {
        for text in [".", "example.com.", "a\\.b.example.", "\\000\\255.x.", "*.example.", "\\@.x."] {
            assert_eq!(name(text).to_string(), text);
        }
        assert_eq!(name("WWW.Example").to_string(), "WWW.Example.");
        assert_eq!(name("\\065.x").to_string(), "A.x.");
    }

    #[test]
    fn the_final_dot_is_left_out_and_no_other() {
        for (text, shown) in [(".", "."), ("example.com.", "example.com"), ("a\\..", "a\\.")] {
            assert_eq!(name(text).as_ref().without_final_dot().to_string(), shown);
        }
    }

    #[test]
    fn ancestors_end_at_a_name() {
        let ancestors = |text, within| {
            let (name, within) = (name(text), name(within));
            name.as_ref().ancestors(within.as_ref()).map(|name| name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ancestors("a.B.example", "b.example"), ["a.B.example.", "B.example."]);
        assert_eq!(ancestors("example", "."), ["example.", "."]);
        assert_eq!(ancestors(".", "."), ["."]);
        assert_eq!(ancestors("a.example", "b.example"), [] as [&str; 0]);
    }

    #[test]
    fn relative_names_take_the_origin() {
        let origin = name("example.com");
        assert_eq!(Name::parse(b"www", origin.as_ref()).unwrap(), name("www.example.com"));
        assert_eq!(Name::parse(b"@", origin.as_ref()).unwrap(), origin);
        assert_eq!(Name::parse(b"www.", origin.as_ref()).unwrap(), name("www"));
    }

    #[test]
    fn limits_hold() {
        let label = "a".repeat(63);
        assert!(Name::from_ascii(&label).is_ok());
        assert_eq!(Name::from_ascii("a".repeat(64)), Err(NameError::LabelTooLong));
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(Name::from_ascii(&longest).unwrap().as_ref().len(), 255);
        assert_eq!(Name::from_ascii(format!("{longest}a")), Err(NameError::NameTooLong));
        assert_eq!(Name::from_ascii(format!("{longest}a.")), Err(NameError::NameTooLong));
        assert_eq!(Name::from_ascii("a..b"), Err(NameError::EmptyLabel));
        assert_eq!(Name::from_ascii(".a"), Err(NameError::EmptyLabel));
        assert_eq!(Name::from_ascii("a\\"), Err(NameError::BadEscape));
        assert_eq!(Name::from_ascii("a\\256"), Err(NameError::BadEscape));
        assert_eq!(Name::from_ascii("a\\25"), Err(NameError::BadEscape));
        assert!(NameRef::from_wire(b"\x01a\xc0\x00").is_err());
        assert!(NameRef::from_wire(b"\x05abc").is_err());
    }

    #[test]
    fn order_is_canonical() {
        // The example is from RFC 4034 6.1.
        let sorted = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "Z.a.example",
            "zABC.a.EXAMPLE",
            "z.example",
            "\\001.z.example",
            "*.z.example",
            "\\200.z.example",
        ];
        for pair in sorted.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn suffixes_fall_between_labels() {
        let origin = name("b.c");
        assert_eq!(name("a.b.c").as_ref().strip_suffix(origin.as_ref()), Some(&b"\x01a"[..]));
        assert_eq!(origin.as_ref().strip_suffix(origin.as_ref()), Some(&b""[..]));
        assert_eq!(name("ab.c").as_ref().strip_suffix(origin.as_ref()), None);
        // A careless comparison takes `\001b\001c` inside one label for two labels.
        assert_eq!(name("a\\001b\\001c").as_ref().strip_suffix(origin.as_ref()), None);
        assert_eq!(name("a.b.c").as_ref().suffix(2), origin.as_ref());
        assert!(name("a.b").as_ref().is_at_or_below(NameRef::ROOT));
        let at = |at| name("aa.b.c").as_ref().suffix_at(at).to_string();
        assert_eq!([0, 1, 3, 4, 5, 7, 300].map(at), ["aa.b.c.", "b.c.", "b.c.", "c.", "c.", ".", "."]);
    }

    proptest::proptest! {
        /// The fast path for names without escapes agrees with the general one.
        #[test]
        fn escapes_do_not_change_a_name(text in "[a-c.@]{0,30}|[ab.]{240,256}|a{60,66}[.b]{0,3}", relative: bool) {
            let origin = if relative { name("example") } else { Name::root() };
            let escaped = text.replace('a', "\\097");
            if escaped != text {
                assert_eq!(
                    Name::parse(text.as_bytes(), origin.as_ref()),
                    Name::parse(escaped.as_bytes(), origin.as_ref())
                );
            }
        }
    }
}
