//! Merges names that depend on each other: a single name, or all names at and below a delegation or DNAME, where data
//! competes with the records that would hide it.
//!
//! Data below a zone cut or a DNAME is never answered (RFC 1034 4.2.1, RFC 6672 2.3), except that the addresses of name
//! servers are served as glue. So a delegation and data below it cannot both be served. As everywhere, the older
//! resource is.

use std::collections::{BTreeMap, BTreeSet};

use zonefmt::{Name, NameRef, Rtype};

use super::{
    Finding, Reason,
    glue::{Servers, servers_in},
    node::{Contribution, Resolved},
};
use crate::api::ResourceId;

/// What hides what in a zone.
#[derive(Clone, Copy)]
pub(super) struct Occlusion<'z> {
    pub(super) origin: &'z Name,
    /// The name servers whose addresses are glue.
    pub(super) servers: &'z Servers,
}

/// A region of names, while the resources for it are merged.
pub(super) struct Region<'z, 'i> {
    occlusion: Occlusion<'z>,
    names: BTreeMap<Name, Resolved<'i>>,
}

impl<'z, 'i> Region<'z, 'i> {
    pub(super) fn new(occlusion: Occlusion<'z>, names: &BTreeSet<Name>) -> Region<'z, 'i> {
        let names = names.iter().map(|name| (name.clone(), Resolved::default())).collect();
        Region { occlusion, names }
    }

    /// Adds a resource. Resources must come oldest first: what was added is never displaced by a later one.
    pub(super) fn take(&mut self, owner: &Name, said: Contribution<'i>) {
        let conflict = self.hidden(owner, &said).or_else(|| self.hiding(owner, &said));
        match conflict {
            None => {
                let resolved = self.names.entry(owner.clone()).or_default();
                resolved.take(self.occlusion.origin, owner.as_ref(), said);
            }
            Some(message) => {
                let (zone, path) = (Some(self.occlusion.origin.clone()), "name".into());
                let finding = Finding { reason: Reason::DelegationConflict, zone, path, message };
                self.refuse(owner, &said.rank.id, finding);
            }
        }
    }

    /// Notes why a resource is not part of the result.
    pub(super) fn refuse(&mut self, owner: &Name, resource: &'i ResourceId, finding: Finding) {
        self.names.entry(owner.clone()).or_default().findings.push((resource, finding));
    }

    /// The merged names.
    pub(super) fn into_names(self) -> BTreeMap<Name, Resolved<'i>> {
        self.names
    }

    /// Why data of this type would be hidden at `owner`.
    fn hidden(&self, owner: &Name, said: &Contribution<'_>) -> Option<String> {
        let rtype = said.rtype;
        for cover in owner.as_ref().ancestors(self.occlusion.origin.as_ref()).map(NameRef::to_owned) {
            let Some(resolved) = self.names.get(&cover) else { continue };
            for (&by, set) in &resolved.rrsets {
                if self.occlusion.hides(&cover, by, owner, rtype) {
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

    /// Why data of this type at `owner` would hide older data.
    fn hiding(&self, owner: &Name, said: &Contribution<'_>) -> Option<String> {
        let rtype = said.rtype;
        if !is_cover(rtype) {
            return None;
        }
        let below = self.names.range(owner..).take_while(|(name, _)| name.as_ref().is_at_or_below(owner.as_ref()));
        let sets = below.flat_map(|(name, resolved)| resolved.rrsets.iter().map(move |set| (name, set)));
        let hidden = sets.filter(|(name, (of, _))| self.occlusion.hides(owner, rtype, name, **of));
        // The addresses of its own servers could stay: they are glue once it is served.
        let servers = servers_in(said.records.iter().map(Vec::as_slice), self.occlusion.origin);
        let could_stay = |name: &Name, of: Rtype| rtype == Rtype::NS && is_address(of) && servers.contains(name);
        hidden.min_by_key(|(name, (of, _))| could_stay(name, **of)).map(|(name, (of, set))| {
            format!(
                "its {rtype} of {owner} would hide the {of} of {name} from {}, {}; remove one of them",
                set.first.id,
                set.first.advantage(said.rank)
            )
        })
    }
}

impl Occlusion<'_> {
    /// Whether data of type `by` at `cover` hides data of type `rtype` at `name`, which is at or below `cover`.
    pub(super) fn hides(&self, cover: &Name, by: Rtype, name: &Name, rtype: Rtype) -> bool {
        let is_glue = || is_address(rtype) && self.servers.has(name);
        // A CNAME beside a delegation is a different conflict.
        let stands_at_cut = || name == cover && matches!(rtype, Rtype::NS | Rtype::DS | Rtype::CNAME);
        match by {
            Rtype::NS => cover != self.origin && !stands_at_cut() && !is_glue(),
            Rtype::DNAME => name != cover,
            _ => false,
        }
    }
}

fn is_address(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA)
}

/// Whether data of this type may hide data below it.
pub(super) fn is_cover(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::NS | Rtype::DNAME)
}
