//! Compares two zones, RRset by RRset.

use std::{cmp::Ordering, iter::Peekable};

use rustc_hash::FxHashSet;

use super::{Record, RrSet, RrSets};
use crate::{Rtype, Serial, rdata::Soa};

/// RRsets of one owner and type that are not the same in both zones.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'z> {
    /// The RRset of the first zone, if it has one.
    pub old: Option<RrSet<'z>>,
    /// The RRset of the second zone, if it has one.
    pub new: Option<RrSet<'z>>,
}

/// Whether the serials of SOA records are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serials {
    /// SOA records with different serials are different.
    Compare,
    /// SOA records that differ only in their serials are the same.
    Ignore,
}

/// Returns the differences in the order of [`RrSets`]. Owners and data are compared in canonical form (RFC 4034 6),
/// which ignores the case of names; TTLs are compared too.
pub fn diff<'z>(old: &'z RrSets, new: &'z RrSets, serials: Serials) -> impl Iterator<Item = Difference<'z>> {
    let pairs = Pairs { old: old.iter().peekable(), new: new.iter().peekable() };
    pairs.filter(move |pair| !pair.is_same(serials))
}

impl<'z> Difference<'z> {
    /// The records that only the first zone has, or all of its records if the TTLs differ.
    pub fn removed(&self) -> Vec<Record<'z>> {
        only(self.old, self.new)
    }

    /// The records that only the second zone has, or all of its records if the TTLs differ.
    pub fn added(&self) -> Vec<Record<'z>> {
        only(self.new, self.old)
    }

    fn is_same(&self, serials: Serials) -> bool {
        let (Some(old), Some(new)) = (self.old, self.new) else { return false };
        let same = || old.records().map(|record| record.rdata).eq(new.records().map(|record| record.rdata));
        old.ttl() == new.ttl() && (same() || old.canonical().eq(new.canonical()) || same_but_serial(old, new, serials))
    }
}

/// The records of `set` that are not in `other`.
fn only<'z>(set: Option<RrSet<'z>>, other: Option<RrSet<'z>>) -> Vec<Record<'z>> {
    let ttl = set.map(RrSet::ttl);
    let known: FxHashSet<_> =
        other.filter(|other| ttl == Some(other.ttl())).into_iter().flat_map(RrSet::canonical).collect();
    let records = set.into_iter().flat_map(|set| set.records().zip(set.canonical()));
    records.filter(|(_, canonical)| !known.contains(canonical)).map(|(record, _)| record).collect()
}

fn same_but_serial(old: RrSet<'_>, new: RrSet<'_>, serials: Serials) -> bool {
    let without_serial = |soa: Vec<u8>| Soa::with_serial(&soa, Serial(0));
    serials == Serials::Ignore
        && old.rtype() == Rtype::SOA
        && old.canonical().map(without_serial).eq(new.canonical().map(without_serial))
}

/// The RRsets of two zones side by side.
struct Pairs<'z, I: Iterator<Item = RrSet<'z>>> {
    old: Peekable<I>,
    new: Peekable<I>,
}

impl<'z, I: Iterator<Item = RrSet<'z>>> Iterator for Pairs<'z, I> {
    type Item = Difference<'z>;

    fn next(&mut self) -> Option<Difference<'z>> {
        let order = match (self.old.peek(), self.new.peek()) {
            (Some(old), Some(new)) => old.order(*new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let old = if order.is_le() { self.old.next() } else { None };
        let new = if order.is_ge() { self.new.next() } else { None };
        Some(Difference { old, new })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Name,
        diagnostics::Source,
        zone::{Options, write_record},
    };

    const OLD: &str = "\
$TTL 300
@ SOA ns hm 1 2 3 4 5
@ NS ns
@ MX 10 Mail
b A 192.0.2.2
a A 192.0.2.1
a A 192.0.2.9
c 60 TXT x
";

    fn sets(text: &str) -> RrSets {
        let origin = Name::from_ascii("example.com").unwrap();
        let (sets, report) = RrSets::parse(&Source::new("z", text), &Options::new(origin.as_ref()));
        assert!(!report.has_errors(), "{:?}", report.diagnostics);
        sets
    }

    /// Formats each difference as its lines, with blanks instead of columns.
    fn listed(old: &str, new: &str, serials: Serials) -> Vec<String> {
        let (old, new) = (sets(old), sets(new));
        let mut lines = Vec::new();
        for difference in diff(&old, &new, serials) {
            for (sign, records) in [("-", difference.removed()), ("+", difference.added())] {
                for record in records {
                    let mut line = String::new();
                    write_record(&record, &mut line);
                    lines.push(format!("{sign}{}", line.split_whitespace().collect::<Vec<_>>().join(" ")));
                }
            }
        }
        lines
    }

    #[test]
    fn order_case_and_repetition_are_no_difference() {
        let new = "\
A.Example.COM. 300 A 192.0.2.9
$TTL 300
b A 192.0.2.2
c 60 TXT x
a A 192.0.2.1
a A 192.0.2.1
@ MX 10 mail
@ NS NS
@ SOA ns hm 1 2 3 4 5
";
        assert_eq!(listed(OLD, new, Serials::Compare), [""; 0]);
    }

    #[test]
    fn what_differs_is_listed_in_order() {
        let new = OLD.replace("192.0.2.9", "192.0.2.3").replace("c 60", "c 61").replace("b A", "ab A");
        let expected = [
            "-a.example.com. 300 IN A 192.0.2.9",
            "+a.example.com. 300 IN A 192.0.2.3",
            "+ab.example.com. 300 IN A 192.0.2.2",
            "-b.example.com. 300 IN A 192.0.2.2",
            "-c.example.com. 60 IN TXT \"x\"",
            "+c.example.com. 61 IN TXT \"x\"",
        ];
        assert_eq!(listed(OLD, &new, Serials::Compare), expected);
        assert_eq!(listed("", OLD, Serials::Compare).len(), 7);
    }

    #[test]
    fn texts_that_differ_in_case_differ() {
        assert_eq!(listed(OLD, &OLD.replace("TXT x", "TXT X"), Serials::Compare).len(), 2);
    }

    #[test]
    fn serials_can_be_left_out() {
        let new = OLD.replace("hm 1", "hm 2");
        assert_eq!(listed(OLD, &new, Serials::Compare).len(), 2);
        assert_eq!(listed(OLD, &new, Serials::Ignore), [""; 0]);
        let expected = [
            "-example.com. 300 IN SOA ns.example.com. hm.example.com. 1 2 3 4 5",
            "+example.com. 300 IN SOA ns.example.com. hm.example.com. 2 2 3 4 6",
        ];
        assert_eq!(listed(OLD, &OLD.replace("hm 1 2 3 4 5", "hm 2 2 3 4 6"), Serials::Ignore), expected);
    }
}
