//! Names that are merged together: one alone, or all at and below a delegation or DNAME, where data and what hides it
//! compete.
//!
//! Whatever lies below a zone cut or a DNAME is never answered (RFC 1034 4.2.1, RFC 6672 2.3), except that the addresses
//! of name servers go out as glue. So a delegation and data below it cannot both be served, and as everywhere the older
//! resource is.

use std::collections::{BTreeMap, BTreeSet};

use zonefmt::{Name, NameRef, Rtype};

use super::{
    Finding, Reason,
    glue::Servers,
    node::{Contribution, Resolved},
};
use crate::api::ResourceId;

/// Merges what resources say of the names of a region.
pub(super) struct Region<'z, 'i> {
    origin: &'z Name,
    /// The name servers whose addresses are glue.
    servers: &'z Servers,
    names: BTreeMap<Name, Resolved<'i>>,
}

impl<'z, 'i> Region<'z, 'i> {
    pub(super) fn new(origin: &'z Name, servers: &'z Servers, names: &BTreeSet<Name>) -> Region<'z, 'i> {
        let names = names.iter().map(|name| (name.clone(), Resolved::default())).collect();
        Region { origin, servers, names }
    }

    /// Takes one more resource, the oldest first: what stands already is never moved by what comes later.
    pub(super) fn take(&mut self, owner: &Name, said: Contribution<'i>) {
        let conflict = self.hidden(owner, &said).or_else(|| self.hiding(owner, &said));
        match conflict {
            None => {
                let resolved = self.names.entry(owner.clone()).or_default();
                resolved.take(self.origin, owner.as_ref(), said);
            }
            Some(message) => {
                let (zone, path) = (Some(self.origin.clone()), "name".into());
                let finding = Finding { reason: Reason::DelegationConflict, zone, path, message };
                self.refuse(owner, &said.rank.id, finding);
            }
        }
    }

    /// Notes why a resource has no part in this.
    pub(super) fn refuse(&mut self, owner: &Name, resource: &'i ResourceId, finding: Finding) {
        self.names.entry(owner.clone()).or_default().findings.push((resource, finding));
    }

    /// The names, merged.
    pub(super) fn into_names(self) -> BTreeMap<Name, Resolved<'i>> {
        self.names
    }

    /// Why data of this type would never be answered at `owner`.
    fn hidden(&self, owner: &Name, said: &Contribution<'_>) -> Option<String> {
        let rtype = said.rtype;
        let at_and_above = std::iter::successors(Some(owner.as_ref()), |name| name.parent());
        let inside = at_and_above.take_while(|name| name.is_at_or_below(self.origin.as_ref()));
        for cover in inside.map(NameRef::to_owned) {
            let Some(resolved) = self.names.get(&cover) else { continue };
            for (&by, set) in &resolved.rrsets {
                if self.hides(&cover, by, owner, rtype) {
                    return Some(format!(
                        "its {rtype} of {owner} would be hidden by the {by} of {cover} from {}, {}; remove one of them",
                        set.first.id,
                        set.first.advantage(said.rank)
                    ));
                }
            }
        }
        None
    }

    /// Why data of this type at `owner` would keep older data from being answered.
    fn hiding(&self, owner: &Name, said: &Contribution<'_>) -> Option<String> {
        let rtype = said.rtype;
        if !is_cover(rtype) {
            return None;
        }
        let below = self.names.range(owner..).take_while(|(name, _)| name.as_ref().is_at_or_below(owner.as_ref()));
        let mut sets = below.flat_map(|(name, resolved)| resolved.rrsets.iter().map(move |set| (name, set)));
        sets.find(|(name, (of, _))| self.hides(owner, rtype, name, **of)).map(|(name, (of, set))| {
            format!(
                "its {rtype} of {owner} would hide the {of} of {name} from {}, {}; remove one of them",
                set.first.id,
                set.first.advantage(said.rank)
            )
        })
    }

    /// Whether data of one type at `cover` keeps data of another at `name`, there or below, from being answered.
    fn hides(&self, cover: &Name, by: Rtype, name: &Name, rtype: Rtype) -> bool {
        let is_glue = || matches!(rtype, Rtype::A | Rtype::AAAA) && self.servers.has(name);
        // A CNAME beside a delegation is a conflict of its own.
        let stands_at_cut = || name == cover && matches!(rtype, Rtype::NS | Rtype::DS | Rtype::CNAME);
        match by {
            Rtype::NS => cover != self.origin && !stands_at_cut() && !is_glue(),
            Rtype::DNAME => name != cover,
            _ => false,
        }
    }
}

/// Whether data of this type may hide what lies below it.
pub(super) fn is_cover(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::NS | Rtype::DNAME)
}
