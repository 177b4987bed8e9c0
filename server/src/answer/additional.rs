//! The additional section: the addresses and other records of names that the response's records mention, and the glue
//! of a referral.

use zonefmt::{
    NameBuf, NameRef, Rtype,
    rdata::{self, Additional},
};

use super::Answering;
use crate::{
    wire::writer::{Need, Owner, Section},
    zone::{Found, Node, Rrset, Target},
    zones::Zone,
};

/// The most RRsets of a response whose names get additional records.
pub(super) const MAX_SOURCES: usize = 8;

/// An RRset that mentions more names than this gets no additional records (CVE-2024-11187).
const MAX_ADDITIONAL_NAMES: usize = 13;

/// An RRset whose names may get additional records.
#[derive(Clone, Copy)]
pub(super) struct Source<'s> {
    pub(super) rrset: Rrset<'s>,
    pub(super) zone: &'s Zone,
    /// The position of its first record in the response.
    pub(super) at: usize,
    /// In a referral, the zone cut of this RRset: its servers' addresses are taken from the parent's side.
    pub(super) cut: Option<Node<'s>>,
}

impl<'s> Answering<'s, '_, '_, '_> {
    /// Remembers an RRset whose names may get additional records.
    pub(super) fn note_source(&mut self, source: Source<'s>) {
        let rrset = source.rrset;
        let names = || rrset.rdatas().next().and_then(|rdata| rdata::names(rrset.rtype, rdata).next());
        if (self.additional || source.cut.is_some())
            && names().is_some()
            && let Some(free) = self.sources.iter_mut().find(|source| source.is_none())
        {
            *free = Some(source);
        }
    }

    /// Adds the additional records for all remembered RRsets.
    pub(super) fn add_additional(&mut self) {
        for index in 0..MAX_SOURCES {
            let Some(source) = self.sources[index] else { return };
            if source.rrset.len() > MAX_ADDITIONAL_NAMES && source.cut.is_none() {
                continue;
            }
            for rdata in source.rrset.rdatas() {
                for embedded in rdata::names(source.rrset.rtype, rdata) {
                    if let Ok(name) = NameRef::from_wire(&rdata[embedded.range]) {
                        self.add_for(source, name, embedded.additional);
                    }
                }
            }
        }
    }

    /// Adds the additional records for one name.
    fn add_for(&mut self, source: Source<'s>, name: NameRef<'_>, additional: Additional) {
        const ADDRESSES: &[Rtype] = &[Rtype::A, Rtype::AAAA];
        match additional {
            Additional::None => {}
            // The root as target means "not available" in alias form and the owner itself in service form (RFC 9460
            // 2.5).
            Additional::SvcbAlias if name.is_root() => {}
            Additional::SvcbTarget if name.is_root() => {
                if let Some(owner) = self.writer.owner(source.at) {
                    self.add_types(source, owner.as_ref(), ADDRESSES);
                }
            }
            Additional::Address | Additional::SvcbTarget => self.add_types(source, name, ADDRESSES),
            Additional::SvcbAlias => {
                self.add_types(source, name, &[source.rrset.rtype]);
                self.add_types(source, name, ADDRESSES);
            }
            Additional::Srv => self.add_types(source, name, &[Rtype::SRV]),
            Additional::Route => self.add_types(source, name, &[Rtype::X25, Rtype::ISDN, Rtype::A, Rtype::AAAA]),
            Additional::Locator => self.add_types(source, name, &[Rtype::L32, Rtype::L64]),
            Additional::Mail => self.add_service(source, name, 25),
            Additional::Service { port } => self.add_service(source, name, port),
        }
    }

    /// Adds a server's addresses, and its TLSA records at `_port._tcp` (RFC 7672 2.2).
    fn add_service(&mut self, source: Source<'s>, name: NameRef<'_>, port: u16) {
        self.add_types(source, name, &[Rtype::A, Rtype::AAAA]);
        let mut digits = [0; 5];
        let (mut rest, mut first) = (port, digits.len());
        loop {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let digits = &digits[first..];
        let parts = [&[1 + digits.len() as u8, b'_'][..], digits, b"\x04_tcp", name.as_wire()];
        if let Some(name) = NameBuf::from_parts(&parts) {
            self.add_types(source, name.as_ref(), &[Rtype::TLSA]);
        }
    }

    /// Adds RRsets of one name from the zone that contains it.
    fn add_types(&mut self, source: Source<'s>, name: NameRef<'_>, rtypes: &[Rtype]) {
        let zones = self.zones;
        let scratch = &mut *self.scratch;
        // Glue comes from the zone that delegates.
        let own = source.zone.origin.as_ref();
        let glue = source.cut.is_some() && name.is_at_or_below(own);
        let zone = if glue {
            source.zone
        } else {
            scratch.additional_key.set(name.as_wire());
            let Some(enclosing) = zones.enclosing(name, scratch.additional_key.view(), false) else { return };
            enclosing.zone
        };
        let same = std::ptr::eq(zone, source.zone);
        if !(same || zone.settings.admit(self.client, self.key)) {
            return;
        }
        let (Some(data), Some(labels)) = (zone.data(), name.strip_suffix(zone.origin.as_ref())) else { return };
        scratch.additional_key.set(labels);
        let target = Target { labels, key: scratch.additional_key.view() };
        // Servers below the cut cannot be reached without these addresses, so they must fit (RFC 9471).
        let in_domain = glue && source.cut.is_some_and(|cut| cut.is_above(labels));
        let node = if in_domain {
            data.at(target)
        } else {
            // Data at or below another cut is glue as well: only a referral may include it, and wildcards do not apply.
            match data.find(target, &mut scratch.spare) {
                Found::Exact(node) if glue || !node.is_cut() => Some(node),
                Found::Wildcard(node) => Some(node),
                Found::Delegation(_) if glue => data.at(target),
                _ => None,
            }
        };
        let Some(node) = node else { return };
        let need = if in_domain { Need::Must } else { Need::May };
        for &rtype in rtypes {
            if let Some(rrset) = node.rrset(rtype)
                && !self.is_given(rrset, name)
            {
                self.add(Section::Additional, Owner::Named(name), rrset, rrset.ttl, need);
            }
        }
    }
}
