//! Warnings about a single record, whatever else its zone has. The list is shared by the check of zone files and by
//! programs that build zones from other sources.

use std::fmt;

use super::letters::{odd_name, owner_is_fine};
use crate::{
    Labels, NameRef, Rtype,
    rdata::{self, TypeInfo},
};

/// A record that is probably not meant as written. `Display` gives the warning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remark<'a> {
    /// An owner of this type must be a host name, and this one is not (RFC 952, RFC 1123 2.1).
    OddOwner(Rtype, NameRef<'a>),
    /// A name in the data must be a host name, and this one is not.
    OddName(Rtype, NameRef<'a>),
    /// A `*` is not the first label.
    InnerWildcard(NameRef<'a>),
    /// The name contains the zone's name twice.
    HoldsZoneTwice(NameRef<'a>),
    /// An address is in place of a host name.
    Address(Rtype, NameRef<'a>),
}

impl<'a> Remark<'a> {
    /// The remark that `check-names` has on a record.
    #[inline]
    pub fn of_letters(owner: NameRef<'a>, info: &TypeInfo, data: &'a [u8]) -> Option<Remark<'a>> {
        let rtype = info.rtype;
        if info.owner_is_host && !owner_is_fine(owner) {
            return Some(Remark::OddOwner(rtype, owner));
        }
        let name = info.has_names().then(|| odd_name(owner, rtype, data)).flatten();
        name.map(|name| Remark::OddName(rtype, name))
    }

    /// The remarks on an owner in the given zone.
    pub fn of_owner(owner: NameRef<'a>, zone: NameRef<'_>) -> impl Iterator<Item = Remark<'a>> {
        let wildcard = has_inner_wildcard(owner).then_some(Remark::InnerWildcard(owner));
        wildcard.into_iter().chain(holds_twice(owner, zone).then_some(Remark::HoldsZoneTwice(owner)))
    }

    /// The remark on a host that NS, MX or SRV name in the given zone.
    pub fn of_target(rtype: Rtype, target: NameRef<'a>, zone: NameRef<'_>) -> Option<Remark<'a>> {
        if is_address(target, zone) && rtype != Rtype::SRV {
            return Some(Remark::Address(rtype, target));
        }
        holds_twice(target, zone).then_some(Remark::HoldsZoneTwice(target))
    }

    /// What to write instead.
    pub fn help(&self) -> &'static str {
        match self {
            Remark::OddOwner(..) | Remark::OddName(..) => "use letters, digits and hyphens only (RFC 1123 2.1)",
            Remark::InnerWildcard(_) => "only a first label of `*` stands for other names (RFC 4592 2.1.1)",
            Remark::HoldsZoneTwice(_) => "is the final dot missing? Without it the origin is appended",
            Remark::Address(..) => "write the host's name, and its address in an A or AAAA record",
        }
    }
}

impl fmt::Display for Remark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::OddOwner(rtype, owner) => write!(f, "{owner} is no host name, as the owner of {rtype} must be"),
            Remark::OddName(rtype, name) => write!(f, "{name} in the data of {rtype} is no host name"),
            Remark::InnerWildcard(name) => write!(f, "{name} has a `*` that is not its first label"),
            Remark::HoldsZoneTwice(name) => write!(f, "{name} has the zone's name in it twice"),
            Remark::Address(rtype, target) => write!(f, "{rtype} {target} looks like an address"),
        }
    }
}

/// The host name in the data of NS, MX or SRV, which should lead to addresses; `None` if it is the root, which means
/// "no such service".
pub fn target(rtype: Rtype, data: &[u8]) -> Option<NameRef<'_>> {
    let checked = matches!(rtype, Rtype::NS | Rtype::MX | Rtype::SRV);
    let name = rdata::names(rtype, data).next().filter(|_| checked)?;
    NameRef::from_wire(data.get(name.range)?).ok().filter(|name| !name.is_root())
}

/// Whether a label other than the first is `*`.
fn has_inner_wildcard(name: NameRef<'_>) -> bool {
    memchr::memchr(b'*', name.as_wire()).is_some() && name.labels().skip(1).any(|label| label == b"*")
}

/// Whether the labels of `zone` are in the name twice, because a final dot was forgotten.
fn holds_twice(name: NameRef<'_>, zone: NameRef<'_>) -> bool {
    let Some(inner) = name.strip_suffix(zone) else { return false };
    let labels = &zone.as_wire()[..zone.len() - 1];
    let Some(split) = inner.len().checked_sub(labels.len()) else { return false };
    !labels.is_empty() && inner[split..].eq_ignore_ascii_case(labels) && ends_label(name.labels(), split)
}

/// Whether a label ends before octet `split`.
fn ends_label(labels: Labels<'_>, split: usize) -> bool {
    let mut at = 0;
    labels
        .map_while(|label| {
            let end = at;
            at += 1 + label.len();
            (end <= split).then_some(end)
        })
        .any(|end| end == split)
}

/// Whether an address was probably meant: four numbers, relative to the zone or absolute, or colons.
fn is_address(name: NameRef<'_>, zone: NameRef<'_>) -> bool {
    let count = name.label_count() - if name.is_at_or_below(zone) { zone.label_count() } else { 0 };
    let number = |label: &[u8]| std::str::from_utf8(label).is_ok_and(|label| label.parse::<u8>().is_ok());
    let colons = |label: &[u8]| memchr::memchr_iter(b':', label).count() > 1;
    count == 4 && name.labels().take(4).all(number) || count == 1 && name.labels().next().is_some_and(colons)
}
