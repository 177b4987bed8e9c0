//! What a list of addresses says to each address, as a step function over all of them.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{Match, Rule};

/// A step function from addresses to verdicts.
pub(super) struct Steps {
    /// The first address of each step but the lowest, which begins at 0; in ascending order.
    starts: Box<[u128]>,
    /// The verdict of each step, the lowest first.
    verdicts: Box<[Verdict]>,
}

/// Whether access is allowed; `None` if no element matches.
type Verdict = Option<bool>;

impl Steps {
    /// What elements that match by address alone say; the first one that matches decides.
    pub(super) fn of(rules: &[Rule]) -> Steps {
        let mut painted = BTreeMap::from([(0, None)]);
        // Later elements first: those before them are painted over them.
        for rule in rules.iter().rev() {
            let verdict = Some(!rule.negated);
            match &rule.matches {
                Match::Any => paint(&mut painted, 0..=u128::MAX, verdict),
                Match::Prefix(prefix) => prefix.ranges().for_each(|range| paint(&mut painted, range, verdict)),
                Match::Key(_) | Match::List(_) => unreachable!("does not match by address alone"),
            }
        }
        let mut steps: Vec<_> = painted.into_iter().collect();
        steps.dedup_by_key(|&mut (_, verdict)| verdict);
        let starts = steps.iter().skip(1).map(|&(start, _)| start).collect();
        Steps { starts, verdicts: steps.into_iter().map(|(_, verdict)| verdict).collect() }
    }

    /// The verdict on an address.
    #[inline]
    pub(super) fn at(&self, address: u128) -> Verdict {
        self.verdicts[self.starts.partition_point(|&start| start <= address)]
    }
}

/// Gives a range of addresses this verdict.
fn paint(steps: &mut BTreeMap<u128, Verdict>, range: RangeInclusive<u128>, verdict: Verdict) {
    let (first, last) = range.into_inner();
    let (_, &after) = steps.range(..=last).next_back().expect("a step begins at 0");
    let covered: Vec<_> = steps.range(first..=last).map(|(&start, _)| start).collect();
    for start in covered {
        steps.remove(&start);
    }
    steps.insert(first, verdict);
    if let Some(next) = last.checked_add(1) {
        steps.entry(next).or_insert(after);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::access::{Prefix, bits};

    /// Addresses that share few distinct bits, so that prefixes overlap, and those at the edges of IPv4.
    fn address() -> impl Strategy<Value = IpAddr> {
        let v4 = any::<[bool; 4]>().prop_map(|bits| IpAddr::from(bits.map(|bit| u8::from(bit) * 255)));
        let v6 = (0_u128..4, 0_u128..4).prop_map(|(high, low)| Ipv6Addr::from(high << 126 | low).into());
        let first = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().to_bits();
        let near = (prop::sample::select(vec![first, first + (1 << 32)]), 0_u128..4)
            .prop_map(|(edge, offset)| Ipv6Addr::from(edge - 2 + offset).into());
        prop_oneof![v4, v6, near]
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let prefix = (address(), 0_u8..=128).prop_map(|(address, length)| Match::Prefix(Prefix::new(address, length)));
        let matches = prop_oneof![1 => Just(Match::Any), 8 => prefix];
        (any::<bool>(), matches).prop_map(|(negated, matches)| Rule { negated, matches })
    }

    proptest! {
        #[test]
        fn they_say_what_the_elements_say_one_after_the_other(
            rules in prop::collection::vec(rule(), 1..12),
            addresses in prop::collection::vec(address(), 1..20),
        ) {
            let steps = Steps::of(&rules);
            for address in addresses {
                let first = rules.iter().find_map(|rule| rule.verdict(bits(address), None));
                prop_assert_eq!(steps.at(bits(address)), first, "{}", address);
            }
        }
    }
}
