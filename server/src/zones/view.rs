//! Views: worlds of zones, one for each kind of client. The first that a request belongs to is what it sees.

use std::sync::Arc;

use zonefmt::Class;

use super::{ZoneChange, ZoneMap};
use crate::{
    access::{Acl, Requester},
    answer::Outcome,
    limit::Limiter,
    listen::Client,
    settings::{ServerSettings, ViewSettings},
    tsig::{Keyring, Signature},
    wire::{Ede, Rcode, request::Request},
};

/// Zones, and who sees them. Cheap to clone.
#[derive(Clone)]
pub struct View {
    /// Its name; [`View::DEFAULT`] where none is configured.
    pub name: Arc<str>,
    /// Which requests belong to it.
    pub membership: Arc<Membership>,
    /// The keys that requests may be signed with.
    pub keys: Arc<Keyring>,
    /// How it answers.
    pub settings: Arc<ViewSettings>,
    /// What it serves.
    pub zones: ZoneMap,
}

/// Which requests belong to a view: those for which all of it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// Who asks (`match-clients`).
    pub clients: Acl,
    /// The address asked (`match-destinations`).
    pub destinations: Acl,
    /// Recursion has to be desired (`match-recursive-only`).
    pub recursive_only: bool,
}

/// All that workers answer from, at one moment.
#[derive(Clone)]
pub struct Snapshot {
    /// What holds for the whole server.
    pub settings: Arc<ServerSettings>,
    /// The views of class IN, in the order in which they are tried.
    pub views: Vec<View>,
    /// Class CH: what the server says of itself (RFC 4892).
    pub(crate) chaos: View,
}

/// What a request sees of the server.
pub(crate) struct Seen<'s> {
    /// The view to answer from, or what to answer instead.
    pub(crate) view: Result<&'s View, Outcome>,
    /// What its signature is worth.
    pub(crate) signature: Signature<'s>,
}

impl View {
    /// The name of the one view that there is where no other is configured.
    pub const DEFAULT: &str = "_default";
    /// The name of the view of class CH.
    pub const CHAOS: &str = "_bind";

    /// A view of these zones for everybody.
    pub fn of(zones: ZoneMap) -> View {
        View {
            name: View::DEFAULT.into(),
            membership: Arc::default(),
            keys: Arc::default(),
            settings: Arc::default(),
            zones,
        }
    }

    fn takes(&self, client: &Client, request: &Request<'_>, signature: &Signature<'_>) -> bool {
        let Membership { clients, destinations, recursive_only } = &*self.membership;
        let key = signature.key();
        clients.allows(Requester { addr: client.addr.ip(), key })
            && destinations.allows(Requester { addr: client.local.ip(), key })
            && (!recursive_only || request.header.recursion_desired())
    }
}

impl Default for Membership {
    /// Every request belongs to it.
    fn default() -> Membership {
        Membership { clients: Acl::any(), destinations: Acl::any(), recursive_only: false }
    }
}

impl Snapshot {
    /// A snapshot of these views; class CH comes from the settings.
    pub fn new(settings: Arc<ServerSettings>, views: Vec<View>) -> Snapshot {
        let chaos = crate::chaos::view(&settings);
        Snapshot { settings, views, chaos }
    }

    /// All that bound what is said, each once.
    pub(crate) fn limiters(&self) -> impl Iterator<Item = &Limiter> {
        let views = self.views.iter().map(|view| &view.settings);
        let settings: Vec<_> = [&self.settings.outside, &self.chaos.settings].into_iter().chain(views).collect();
        let mut limiters: Vec<_> = settings.iter().filter_map(|settings| settings.limiter.as_deref()).collect();
        limiters.sort_by_key(|limiter| std::ptr::from_ref(*limiter));
        limiters.dedup_by(|one, other| std::ptr::eq(*one, *other));
        limiters.into_iter()
    }

    /// Changes what a view serves, if there is one of that name.
    pub fn change(&mut self, view: &str, changes: impl IntoIterator<Item = ZoneChange>) {
        if let Some(view) = self.views.iter_mut().find(|known| *known.name == *view) {
            view.zones.update(changes);
        }
    }

    /// The view of that name.
    pub fn view(&self, name: &str) -> Option<&View> {
        self.views.iter().find(|view| *view.name == *name)
    }

    /// What a request sees at this time, in seconds since 1970.
    pub(crate) fn seen<'s>(&'s self, request: &Request<'_>, client: &Client, now: u64) -> Seen<'s> {
        let views = match request.question.qclass {
            Class::IN | Class::ANY => &*self.views,
            Class::CH => std::slice::from_ref(&self.chaos),
            Class(0) | Class::NONE => return Seen::nothing(Rcode::FORMERR, None),
            _ => return Seen::nothing(Rcode::REFUSED, Some(Ede::NotAuthoritative)),
        };
        for view in views {
            // Each view has keys of its own, of one name even: what is valid for one need not be for the next.
            let signature = match &request.tsig {
                Some(tsig) => view.keys.verify(tsig, now),
                None => Signature::None,
            };
            if view.takes(client, request, &signature) {
                return Seen { view: Ok(view), signature };
            }
        }
        Seen::nothing(Rcode::REFUSED, Some(Ede::Prohibited))
    }
}

impl Default for Snapshot {
    fn default() -> Snapshot {
        Snapshot::from(ZoneMap::new())
    }
}

/// These zones for everybody, at default settings.
impl From<ZoneMap> for Snapshot {
    fn from(zones: ZoneMap) -> Snapshot {
        Snapshot::new(Arc::default(), vec![View::of(zones)])
    }
}

impl Seen<'_> {
    /// There is nothing to see but an error.
    pub(crate) fn nothing(rcode: Rcode, ede: Option<Ede>) -> Self {
        Seen { view: Err(Outcome::error(rcode, ede)), signature: Signature::None }
    }
}
