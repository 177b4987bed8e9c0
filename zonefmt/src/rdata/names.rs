//! The names inside rdata: which may be compressed, which need additional data, which must be host names.

use std::{ops::Range, slice};

use super::{
    field::{Field, Spec},
    info,
};
use crate::{NameRef, Rtype};

/// A name inside rdata.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmbeddedName {
    /// The octets of the rdata that hold the name, including its final zero.
    pub range: Range<usize>,
    /// Whether the name may be compressed in a message, which RFC 3597 4 allows only in the types of RFC 1035.
    pub compress: bool,
    /// The records that an answer adds for the name.
    pub additional: Additional,
    /// The letters that named-checkzone allows in the name.
    pub letters: Letters,
}

/// The records that belong in the additional section for a name inside rdata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Additional {
    /// Nothing.
    None,
    /// A and AAAA of the name (NS, MX, AFSDB, KX, …).
    Address,
    /// A and AAAA of the name, TLSA of `_25._tcp` below it (MX).
    Mail,
    /// A and AAAA of the name, TLSA of `_port._tcp` below it (SRV).
    Service {
        /// SRV's port.
        port: u16,
    },
    /// SRV of the name (NAPTR with flag `S`).
    Srv,
    /// SVCB or HTTPS in alias mode: the record's own type at the name, or else A and AAAA (RFC 9460 4.1). The root gets
    /// none.
    SvcbAlias,
    /// SVCB or HTTPS in service mode: A and AAAA of the name; a root name stands for the owner (RFC 9460 2.5.2).
    SvcbTarget,
    /// X25, ISDN, A and AAAA of the name (RT).
    Route,
    /// L32, L64 of the name (LP).
    Locator,
}

/// The letters that named-checkzone allows in a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Letters {
    /// Any octets.
    Any,
    /// Letters and digits, and hyphens inside a label (RFC 952, RFC 1123 2.1); or the root.
    Host,
    /// As `Host`, but only if the owner lies in `in-addr.arpa`, `ip6.arpa` or `ip6.int`.
    HostInReverse,
    /// A printable first label, then a host name; or the root.
    Mailbox,
}

impl Letters {
    /// Whether `name` has only letters that are allowed. `HostInReverse` is tested as `Host`.
    pub fn allow(self, name: NameRef<'_>) -> bool {
        let host = |label: &[u8]| {
            let inside = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
            label.iter().all(inside) && label[0] != b'-' && label[label.len() - 1] != b'-'
        };
        let mut labels = name.labels();
        match self {
            Letters::Any => true,
            Letters::Host | Letters::HostInReverse => labels.all(host),
            Letters::Mailbox => {
                labels.next().is_none_or(|label| label.iter().all(u8::is_ascii_graphic)) && labels.all(host)
            }
        }
    }
}

/// The properties that a row gives to a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NameRole {
    compress: bool,
    /// Whether the canonical form of the name is lower case (RFC 4034 6.2 with RFC 6840 5.1).
    pub fold: bool,
    additional: Wanted,
    letters: Letters,
}

/// What [`Additional`] will be once the fields before the name are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Fixed(Additional),
    Service,
    Naptr,
    Svcb,
}

impl NameRole {
    /// Not compressed, case kept in the canonical form: types defined since RFC 3597.
    pub(super) const PLAIN: NameRole =
        NameRole { compress: false, fold: false, additional: Wanted::Fixed(Additional::None), letters: Letters::Any };
    /// Not compressed, folded in the canonical form.
    pub(super) const FOLDED: NameRole = NameRole { fold: true, ..Self::PLAIN };
    /// Compressed: the types of RFC 1035.
    pub(super) const COMPRESSED: NameRole = NameRole { compress: true, ..Self::FOLDED };
    pub(super) const ADDRESS: NameRole = Self::COMPRESSED.with(Additional::Address);
    pub(super) const HOST: NameRole = NameRole { letters: Letters::Host, ..Self::ADDRESS };
    pub(super) const MAIL: NameRole = Self::HOST.with(Additional::Mail);
    pub(super) const MAILBOX: NameRole = NameRole { letters: Letters::Mailbox, ..Self::COMPRESSED };
    pub(super) const SOA_HOST: NameRole = NameRole { letters: Letters::Host, ..Self::COMPRESSED };
    pub(super) const FOLDED_HOST: NameRole =
        NameRole { letters: Letters::Host, ..Self::FOLDED.with(Additional::Address) };
    pub(super) const FOLDED_MAILBOX: NameRole = NameRole { letters: Letters::Mailbox, ..Self::FOLDED };
    pub(super) const SERVICE: NameRole = NameRole { additional: Wanted::Service, ..Self::FOLDED_HOST };
    pub(super) const NAPTR: NameRole = NameRole { additional: Wanted::Naptr, ..Self::FOLDED };
    pub(super) const PLAIN_HOST: NameRole = NameRole { letters: Letters::Host, ..Self::PLAIN };
    /// The letters are checked in service mode only.
    pub(super) const SVCB: NameRole = NameRole { additional: Wanted::Svcb, ..Self::PLAIN_HOST };
    pub(super) const REVERSE: NameRole = NameRole { letters: Letters::HostInReverse, ..Self::COMPRESSED };
    pub(super) const LOCATOR: NameRole = Self::PLAIN.with(Additional::Locator);
    pub(super) const ROUTE: NameRole = Self::FOLDED_HOST.with(Additional::Route);
    pub(super) const EXCHANGER: NameRole = Self::FOLDED.with(Additional::Address);

    /// Whether the zone file may have the name in quotes, as BIND allows for SVCB's target.
    pub(super) const fn may_be_quoted(self) -> bool {
        matches!(self.additional, Wanted::Svcb)
    }

    const fn with(self, additional: Additional) -> NameRole {
        NameRole { additional: Wanted::Fixed(additional), ..self }
    }
}

/// An iterator over the names of one rdata; see [`names`].
#[derive(Clone, Debug)]
pub struct EmbeddedNames<'a> {
    fields: slice::Iter<'static, Spec>,
    rdata: &'a [u8],
    at: usize,
}

/// Iterates over the names in well-formed rdata, in order, without allocation. The iterator ends early at malformed
/// rdata.
///
/// It skips names in formats that are neither compressed nor looked up for answers: the gateways of IPSECKEY and
/// AMTRELAY, HIP's rendezvous servers, and A6's prefix name.
#[inline]
pub fn names(rtype: Rtype, rdata: &[u8]) -> EmbeddedNames<'_> {
    let fields = info(rtype).map_or(&[][..], |row| &row.fields[..row.through_names]);
    EmbeddedNames { fields: fields.iter(), rdata, at: 0 }
}

impl Iterator for EmbeddedNames<'_> {
    type Item = EmbeddedName;

    #[inline]
    fn next(&mut self) -> Option<EmbeddedName> {
        loop {
            let kind = self.fields.next()?.kind;
            let start = self.at;
            let Field::Name(role) = kind else {
                self.at = kind.end(self.rdata, start).ok()?;
                continue;
            };
            self.at = name_end(self.rdata, start)?;
            let additional = role.additional.resolve(self.rdata, start);
            let letters = if additional == Additional::SvcbAlias { Letters::Any } else { role.letters };
            return Some(EmbeddedName { range: start..self.at, compress: role.compress, additional, letters });
        }
    }
}

/// The offset at which the name that starts at `at` ends. Checks no more than is needed to stay inside `rdata`.
#[inline]
fn name_end(rdata: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let label = usize::from(*rdata.get(at)?);
        at += 1 + label;
        if label == 0 {
            return Some(at);
        }
    }
}

impl Wanted {
    #[inline]
    fn resolve(self, rdata: &[u8], name: usize) -> Additional {
        match self {
            Wanted::Fixed(additional) => additional,
            Wanted::Service => Additional::Service { port: u16::from_be_bytes([rdata[name - 2], rdata[name - 1]]) },
            Wanted::Svcb if rdata[..2] == [0, 0] => Additional::SvcbAlias,
            Wanted::Svcb => Additional::SvcbTarget,
            Wanted::Naptr => naptr_wants(&rdata[4..]),
        }
    }
}

/// The additional data for a NAPTR's flags. The first flag that names a next lookup decides (RFC 3404 4.3).
fn naptr_wants(flags: &[u8]) -> Additional {
    let flags = flags.split_first().and_then(|(&len, rest)| rest.get(..usize::from(len))).unwrap_or_default();
    let decisive = flags.iter().find_map(|flag| match flag.to_ascii_lowercase() {
        b's' => Some(Additional::Srv),
        b'a' => Some(Additional::Address),
        _ => None,
    });
    decisive.unwrap_or(Additional::None)
}
