//! Checks whether a host that an NS, MX or SRV record names is usable: named's `check-integrity`.

use zonefmt::{NameRef, Rtype, zone::TargetProblem};

use super::{Found, Key, Node, Spare, Target, ZoneData};

impl ZoneData {
    /// The problem with a host that a record of `owner` names; `None` if there is none or the host lies outside the
    /// zone, where it cannot be checked.
    pub fn target_problem(&self, owner: NameRef<'_>, rtype: Rtype, host: NameRef<'_>) -> Option<TargetProblem> {
        let labels = host.strip_suffix(self.origin())?;
        let key = Key::of(labels);
        let target = Target { labels, key: key.view() };
        match self.find(target, &mut Spare::new()) {
            Found::Exact(cut) | Found::Delegation(cut) if cut.is_cut() => {
                // Only a delegation needs glue; other hosts below the cut are looked up there.
                let needs_glue = rtype == Rtype::NS && owner != self.origin();
                let own = cut.owner().as_ref() == owner;
                let problem = if own { TargetProblem::NoGlue } else { TargetProblem::NoSiblingGlue };
                (needs_glue && !self.at(target).is_some_and(has_address)).then_some(problem)
            }
            Found::Exact(node) | Found::Wildcard(node) if node.rrset(Rtype::CNAME).is_some() => {
                Some(TargetProblem::Cname)
            }
            Found::Exact(node) | Found::Wildcard(node) if has_address(node) => None,
            Found::Dname(_) => Some(TargetProblem::Dname),
            Found::Exact(_) | Found::Wildcard(_) | Found::Delegation(_) | Found::Ent | Found::NoName => {
                Some(TargetProblem::NoAddress)
            }
        }
    }
}

fn has_address(node: Node<'_>) -> bool {
    node.rrset(Rtype::A).is_some() || node.rrset(Rtype::AAAA).is_some()
}
