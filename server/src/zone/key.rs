//! A name as the trie's key: labels from the root down, each octet as one or two small numbers, in canonical order.
//!
//! A branch of the trie has one twig for each number that may follow, so there must be few numbers. The octets of host
//! names get one number each; the others share an escape number per range and are told apart by a second number. Number
//! 0 ends a label, so a name sorts before everything below it (RFC 4034 6.1).

use std::cmp::Ordering;

/// The count of different numbers, 0 to 47: a set of them fits a branch's bitmap.
pub(super) const NUMBERS: u32 = 48;

/// The longest key: two numbers for each octet of a 255-octet name.
const MAX_KEY: usize = 512 + 2; // And those of a wildcard below it.

/// A name's key, built in a reusable buffer.
pub(crate) struct Key {
    len: usize,
    numbers: [u8; MAX_KEY],
}

impl Key {
    pub(crate) fn new() -> Key {
        Key { len: 0, numbers: [0; MAX_KEY] }
    }

    /// Sets the key to that of labels in wire form, leaf first; a final root label is ignored.
    pub(crate) fn set(&mut self, labels: &[u8]) {
        let mut starts = [0_u8; 128];
        let (mut count, mut at) = (0, 0);
        while at < labels.len() && labels[at] != 0 {
            starts[count] = at as u8;
            count += 1;
            at += 1 + usize::from(labels[at]);
        }
        let mut len = 0;
        for &start in starts[..count].iter().rev() {
            let start = usize::from(start) + 1;
            for &octet in &labels[start..start + usize::from(labels[start - 1])] {
                let (first, second) = NUMBER_OF[usize::from(octet)];
                self.numbers[len] = first;
                len += 1;
                if second != 0 {
                    self.numbers[len] = second;
                    len += 1;
                }
            }
            self.numbers[len] = 0;
            len += 1;
        }
        self.len = len;
    }

    /// Makes the key of labels; see [`Key::set`].
    pub(crate) fn of(labels: &[u8]) -> Key {
        let mut key = Key::new();
        key.set(labels);
        key
    }

    /// Sets the key to that of the wildcard directly below a name (RFC 4592 2.1.1).
    pub(super) fn set_wildcard_below(&mut self, name: KeyRef<'_>) {
        self.numbers[..name.len()].copy_from_slice(name.0);
        self.numbers[name.len()] = NUMBER_OF[usize::from(b'*')].0;
        self.numbers[name.len() + 1] = 0;
        self.len = name.len() + 2;
    }

    pub(crate) fn view(&self) -> KeyRef<'_> {
        KeyRef(&self.numbers[..self.len])
    }
}

/// A borrowed key, or the part of a key below some ancestor.
#[derive(Clone, Copy)]
pub(crate) struct KeyRef<'a>(&'a [u8]);

impl<'a> KeyRef<'a> {
    /// The length in numbers.
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    /// The number at a position; zero beyond the end.
    #[inline]
    pub(super) fn at(self, position: usize) -> u8 {
        self.0.get(position).copied().unwrap_or(0)
    }

    /// Whether a label starts at a position. The end of the key counts, since a child's label would start there.
    #[inline]
    pub(super) fn is_boundary(self, position: usize) -> bool {
        position == 0 || self.at(position - 1) == 0
    }

    /// The part of the key after an ancestor's key of this length.
    pub(crate) fn below(self, ancestor: usize) -> KeyRef<'a> {
        KeyRef(self.0.get(ancestor..).unwrap_or(&[]))
    }

    /// The key of the ancestor that ends at a boundary.
    pub(super) fn above(self, boundary: usize) -> KeyRef<'a> {
        KeyRef(&self.0[..boundary])
    }

    /// The first position where the two differ; `None` if they are equal.
    pub(crate) fn mismatch(self, other: KeyRef<'_>) -> Option<usize> {
        let common = self.0.iter().zip(other.0).take_while(|(a, b)| a == b).count();
        (common < self.len() || common < other.len()).then_some(common)
    }

    /// Compares two keys; this is the canonical order of the names.
    pub(super) fn order(self, other: KeyRef<'_>) -> Ordering {
        self.0.cmp(other.0)
    }

    /// The last boundary at or before a position.
    pub(super) fn boundary_before(self, position: usize) -> usize {
        (0..=position.min(self.len())).rev().find(|&at| self.is_boundary(at)).unwrap_or(0)
    }
}

/// The first and second number of each octet; a second number of 0 means that there is none. Upper case is folded.
const NUMBER_OF: [(u8, u8); 256] = {
    let mut table = [(0, 0); 256];
    let mut octet = 0;
    let (mut first, mut second) = (0, 0);
    let mut in_range = false;
    while octet < 256 {
        let o = octet as u8;
        if o.is_ascii_uppercase() {
            octet += 1; // Filled in below; leaves no gap in the order of the others.
            continue;
        }
        if o.is_ascii_lowercase() || o.is_ascii_digit() || o == b'-' || o == b'_' || o == b'*' {
            first += 1;
            in_range = false;
            table[octet] = (first, 0);
        } else {
            if !in_range || second == NUMBERS as u8 - 1 {
                first += 1;
                second = 0;
                in_range = true;
            }
            second += 1;
            table[octet] = (first, second);
        }
        octet += 1;
    }
    assert!((first as u32) < NUMBERS);
    let mut upper = b'A';
    while upper <= b'Z' {
        table[upper as usize] = table[upper.to_ascii_lowercase() as usize];
        upper += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_numbers_is_order_of_octets() {
        let folded: Vec<u8> = (0..=255_u8).filter(|o| !o.is_ascii_uppercase()).collect();
        for pair in folded.windows(2) {
            assert!(NUMBER_OF[usize::from(pair[0])] < NUMBER_OF[usize::from(pair[1])], "{pair:?}");
        }
        assert!(NUMBER_OF.iter().all(|&(a, b)| a > 0 && u32::from(a) < NUMBERS && u32::from(b) < NUMBERS));
    }

    #[test]
    fn boundaries_are_label_ends() {
        let key = Key::of(b"\x03www\x02a\x00\x01b");
        let key = key.view();
        assert_eq!(key.len(), 2 + 4 + 4); // b, a + escaped zero, www, and an end for each.
        assert_eq!(key.boundary_before(9), 6);
        assert_eq!(key.boundary_before(10), 10);
        assert_eq!(key.below(2).len(), 8);
    }
}
