//! Access control by address and key: the address match lists of named.conf.
//!
//! A list can be long, and is checked for each request. Elements that are addresses are therefore put in order when the
//! list is made (`steps`), and a check searches among them instead of trying one after the other.

mod steps;

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
    ops::RangeInclusive,
    sync::Arc,
};

use zonefmt::{Name, NameRef};

use steps::Steps;

/// An address match list. The first element that matches a requester decides; if none matches, access is denied.
#[derive(Clone)]
pub struct Acl {
    rules: Arc<[Rule]>,
    /// The same, as it is checked.
    parts: Arc<[Part]>,
    weight: usize,
}

/// An element of a list.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rule {
    /// Whether a match denies access (`!`).
    pub negated: bool,
    /// What the element matches.
    pub matches: Match,
}

/// The address and key that a list is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'k> {
    /// The address.
    pub addr: IpAddr,
    /// The name of the key that the requester has proved to hold.
    pub key: Option<NameRef<'k>>,
}

/// What an element matches.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Match {
    /// Every address.
    Any,
    /// The addresses of a prefix.
    Prefix(Prefix),
    /// Requesters that sign with the key of this name.
    Key(Name),
    /// Requesters that another list allows. Those that it denies count as not matched, so `!` never turns a denial into
    /// access.
    List(Arc<Acl>),
}

/// The IPv4 addresses, as IPv6 has them.
const IPV4: RangeInclusive<u128> = 0xffff_0000_0000..=0xffff_ffff_ffff;

/// An address prefix; IPv4 addresses are mapped to ::ffff:0:0/96.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prefix {
    bits: u128,
    mask: u128,
}

/// Elements of a list that are checked together.
enum Part {
    /// Elements that match by address alone.
    Addresses(Steps),
    /// An element of another kind, by its place in the list.
    Element(usize),
}

impl Acl {
    /// Makes a list of these elements.
    pub fn new(rules: Vec<Rule>) -> Acl {
        let weight = rules.iter().map(|rule| rule.matches.weight()).sum();
        let mut parts = Vec::new();
        let mut from = 0;
        for run in rules.chunk_by(|rule, next| rule.is_address() && next.is_address()) {
            parts.push(if run[0].is_address() { Part::Addresses(Steps::of(run)) } else { Part::Element(from) });
            from += run.len();
        }
        Acl { rules: rules.into(), parts: parts.into(), weight }
    }

    /// `{ any; }`.
    pub fn any() -> Acl {
        Acl::new(vec![Rule { negated: false, matches: Match::Any }])
    }

    /// `{ none; }`.
    pub fn none() -> Acl {
        Acl::new(Vec::new())
    }

    /// Whether the list allows a requester. An IPv4-mapped IPv6 address counts as the IPv4 address.
    #[inline]
    pub fn allows<'k>(&self, requester: impl Into<Requester<'k>>) -> bool {
        let Requester { addr, key } = requester.into();
        self.passes(bits(addr), key).unwrap_or(false)
    }

    /// The elements.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether the first element that matches allows or denies access; `None` without one.
    #[inline]
    fn passes(&self, address: u128, key: Option<NameRef<'_>>) -> Option<bool> {
        self.parts.iter().find_map(|part| match part {
            Part::Addresses(steps) => steps.at(address),
            &Part::Element(place) => self.rules[place].verdict(address, key),
        })
    }
}

/// Lists are equal if their elements are.
impl PartialEq for Acl {
    fn eq(&self, other: &Acl) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Acl {}

impl Hash for Acl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rules.hash(state);
    }
}

impl fmt::Debug for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acl").field(&self.rules).finish()
    }
}

impl Rule {
    /// Whether it matches by address alone.
    fn is_address(&self) -> bool {
        matches!(self.matches, Match::Any | Match::Prefix(_))
    }

    /// Whether it allows or denies access; `None` if it does not match.
    fn verdict(&self, address: u128, key: Option<NameRef<'_>>) -> Option<bool> {
        let matched = match &self.matches {
            Match::Any => true,
            Match::Prefix(prefix) => prefix.holds(address),
            Match::Key(name) => key == Some(name.as_ref()),
            Match::List(list) => list.passes(address, key) == Some(true),
        };
        matched.then_some(!self.negated)
    }
}

impl Match {
    /// The most elements that are compared to check this one. Addresses count as none: they are searched, however many.
    pub fn weight(&self) -> usize {
        match self {
            Match::Any | Match::Prefix(_) => 0,
            Match::Key(_) => 1,
            Match::List(list) => list.weight.max(1),
        }
    }
}

/// A requester without a proven key.
impl From<IpAddr> for Requester<'_> {
    fn from(addr: IpAddr) -> Self {
        Requester { addr, key: None }
    }
}

impl Default for Acl {
    /// `{ any; }`, as `allow-query` defaults to.
    fn default() -> Acl {
        Acl::any()
    }
}

impl Prefix {
    /// The first `length` bits of an address; a larger length than the address has is reduced to it.
    pub fn new(address: IpAddr, length: u8) -> Prefix {
        let (before, full) = if address.is_ipv4() { (96, 32) } else { (0, 128) };
        let length = before + u32::from(length).min(full);
        let mask = u128::MAX.checked_shl(u128::BITS - length).unwrap_or(0);
        Prefix { bits: bits(address) & mask, mask }
    }

    /// Whether an address has the prefix; an IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        self.holds(bits(address))
    }

    /// Its length, in bits of an IPv6 address.
    pub fn length(self) -> u32 {
        self.mask.leading_ones()
    }

    /// Whether an address has the prefix. As in BIND, `::/0` is every IPv6 address but no IPv4 address.
    fn holds(self, address: u128) -> bool {
        address & self.mask == self.bits && IPV4.contains(&address) == IPV4.contains(&self.bits)
    }

    /// The addresses that have the prefix: a range or, around the IPv4 addresses, two.
    fn ranges(self) -> impl Iterator<Item = RangeInclusive<u128>> {
        let (first, last) = (self.bits, self.bits | !self.mask);
        let around = !IPV4.contains(&first) && last >= *IPV4.start() && first <= *IPV4.end();
        let below = if around { first..=IPV4.start() - 1 } else { first..=last };
        let above = if around { IPV4.end() + 1..=last } else { RangeInclusive::new(1, 0) };
        [below, above].into_iter().filter(|range| !range.is_empty())
    }

    /// The address, if the prefix is a single address.
    pub fn address(self) -> Option<IpAddr> {
        (self.mask == u128::MAX).then(|| IpAddr::from(Ipv6Addr::from(self.bits)).to_canonical())
    }

    /// The first address of the prefix as a number, which distinguishes prefixes of the same length.
    pub(crate) fn bits(self) -> u128 {
        self.bits
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, length) = (Ipv6Addr::from(self.bits), self.length());
        match first.to_ipv4_mapped() {
            Some(first) if length >= 96 => write!(f, "{first}/{}", length - 96),
            _ => write!(f, "{first}/{length}"),
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str, length: u8) -> Match {
        Match::Prefix(Prefix::new(text.parse().unwrap(), length))
    }

    fn yes(matches: Match) -> Rule {
        Rule { negated: false, matches }
    }

    fn no(matches: Match) -> Rule {
        Rule { negated: true, matches }
    }

    fn allows(acl: &Acl, address: &str) -> bool {
        acl.allows(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn the_first_match_decides() {
        let acl = Acl::new(vec![no(prefix("10.1.0.0", 16)), yes(prefix("10.0.0.0", 8)), no(prefix("10.2.0.0", 16))]);
        assert!(!allows(&acl, "10.1.2.3"));
        assert!(allows(&acl, "10.2.0.1"));
        assert!(!allows(&acl, "192.0.2.1"), "without a match an address does not pass");
        assert!(!allows(&Acl::none(), "::1"));
        assert!(allows(&Acl::any(), "::1"));
    }

    #[test]
    fn a_refusal_in_a_nested_list_is_no_match() {
        // { !{ !10/8; any; }; any; }: what the inner list denies falls through to `any`.
        let inner = Acl::new(vec![no(prefix("10.0.0.0", 8)), yes(Match::Any)]);
        let acl = Acl::new(vec![no(Match::List(inner.into())), yes(Match::Any)]);
        assert!(allows(&acl, "10.1.2.3"));
        assert!(!allows(&acl, "192.0.2.1"));
    }

    #[test]
    fn families_are_kept_apart_but_for_mapped_addresses() {
        let v4 = Acl::new(vec![yes(prefix("0.0.0.0", 0))]);
        assert!(allows(&v4, "203.0.113.9"));
        assert!(allows(&v4, "::ffff:203.0.113.9"));
        assert!(!allows(&v4, "2001:db8::1"));
        let v6 = Acl::new(vec![yes(prefix("2001:db8::", 32))]);
        assert!(allows(&v6, "2001:db8:ffff::1"));
        assert!(!allows(&v6, "2001:db9::1"));
        let all_v6 = Acl::new(vec![yes(prefix("::", 0))]);
        assert!(allows(&all_v6, "2001:db9::1"));
        assert!(!allows(&all_v6, "203.0.113.9"), "IPv4 addresses are no part of ::/0");
        assert_eq!(Prefix::new("192.0.2.1".parse().unwrap(), 32).address(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(Prefix::new("192.0.2.0".parse().unwrap(), 24).address(), None);
    }
}
