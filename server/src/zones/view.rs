//! Views: separate sets of zones for different clients. A request sees the first view that it belongs to.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Zone, ZoneChange, ZoneMap};
use crate::{
    access::Acl,
    limit::Limiter,
    settings::{ServerSettings, ViewSettings},
    tsig::Keyring,
};

/// Zones, their settings, and the requests that see them. Cheap to clone.
#[derive(Clone)]
pub struct View {
    /// The view's name; [`View::DEFAULT`] if none is configured.
    pub name: Arc<str>,
    /// Which requests belong to the view.
    pub membership: Arc<Membership>,
    /// The keys that requests may be signed with.
    pub keys: Arc<Keyring>,
    /// How the view answers.
    pub settings: Arc<ViewSettings>,
    /// The zones that the view serves.
    pub zones: ZoneMap,
}

/// The conditions for a request to belong to a view; all of them must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// The client's address or key (`match-clients`).
    pub clients: Acl,
    /// The address that the request was sent to (`match-destinations`).
    pub destinations: Acl,
    /// Whether recursion must be desired (`match-recursive-only`).
    pub recursive_only: bool,
}

/// Everything that workers answer from, at one moment.
#[derive(Clone)]
pub struct Snapshot {
    /// The settings of the whole server.
    pub settings: Arc<ServerSettings>,
    /// The views of class IN, in the order in which they are tried.
    pub views: Vec<View>,
    /// The view of class CH: what the server says about itself (RFC 4892).
    pub(crate) chaos: View,
}

impl View {
    /// The name of the only view if none is configured.
    pub const DEFAULT: &str = "_default";
    /// The name of the view of class CH.
    pub const CHAOS: &str = "_bind";

    /// Makes a view of these zones for every client.
    pub fn of(zones: ZoneMap) -> View {
        View {
            name: View::DEFAULT.into(),
            membership: Arc::default(),
            keys: Arc::default(),
            settings: Arc::default(),
            zones,
        }
    }
}

impl Default for Membership {
    /// Every request belongs to the view.
    fn default() -> Membership {
        Membership { clients: Acl::any(), destinations: Acl::any(), recursive_only: false }
    }
}

impl Snapshot {
    /// Makes a snapshot of these views; the view of class CH follows from the settings.
    pub fn new(settings: Arc<ServerSettings>, views: Vec<View>) -> Snapshot {
        let chaos = crate::chaos::view(&settings);
        Snapshot { settings, views, chaos }
    }

    /// The zones that the configuration declares, each once, with the view that declares it: views that have it by
    /// `in-view` are left out.
    pub fn declared(&self) -> impl Iterator<Item = (&View, &Arc<Zone>)> {
        self.views.iter().enumerate().flat_map(move |(index, view)| {
            // Views share with those before them only.
            let is_shared = move |zone: &Arc<Zone>| {
                let same =
                    |view: &View| view.zones.get(zone.origin.as_ref()).is_some_and(|same| Arc::ptr_eq(same, zone));
                self.views[..index].iter().any(same)
            };
            view.zones.iter().filter(move |zone| !is_shared(zone)).map(move |zone| (view, zone))
        })
    }

    /// The view that declares a zone: the first of those that share it.
    pub(crate) fn declaring(&self, zone: &Arc<Zone>) -> Option<&View> {
        let declares = |view: &&View| view.zones.get(zone.origin.as_ref()).is_some_and(|same| Arc::ptr_eq(same, zone));
        self.views.iter().find(declares)
    }

    /// All rate limiters in use, each once.
    pub(crate) fn limiters(&self) -> impl Iterator<Item = &Limiter> {
        let views = self.views.iter().map(|view| &view.settings);
        let settings: Vec<_> = [&self.settings.outside, &self.chaos.settings].into_iter().chain(views).collect();
        let mut limiters: Vec<_> = settings.iter().filter_map(|settings| settings.limiter.as_deref()).collect();
        limiters.sort_by_key(|limiter| std::ptr::from_ref(*limiter));
        limiters.dedup_by(|one, other| std::ptr::eq(*one, *other));
        limiters.into_iter()
    }

    /// Changes the zones of the view with this name, if there is one.
    pub fn change(&mut self, view: &str, changes: impl IntoIterator<Item = ZoneChange>) {
        if let Some(view) = self.views.iter_mut().find(|known| *known.name == *view) {
            view.zones.update(changes);
        }
    }

    /// Takes over the newest versions of zones that have changed while this snapshot was made. Views that share a zone
    /// go on sharing it.
    pub(crate) fn catch_up(&mut self, newest: &Snapshot) {
        let owned = newest.views.iter().flat_map(|view| view.zones.iter());
        let newest: FxHashMap<_, _> =
            owned.filter_map(|zone| Some((zone.live.as_ref().map(Arc::as_ptr)?, zone))).collect();
        if newest.is_empty() {
            return;
        }
        let mut made: FxHashMap<_, Arc<Zone>> = FxHashMap::default();
        for view in &mut self.views {
            let mut changes = Vec::new();
            for zone in view.zones.iter() {
                let Some(now) = zone.live.as_ref().and_then(|live| newest.get(&Arc::as_ptr(live))) else { continue };
                let caught_up = made.entry(Arc::as_ptr(zone)).or_insert_with(|| zone.caught_up_with(now));
                if !Arc::ptr_eq(caught_up, zone) {
                    changes.push(ZoneChange::Put(Arc::clone(caught_up)));
                }
            }
            view.zones.update(changes);
        }
    }

    /// The view with this name.
    pub fn view(&self, name: &str) -> Option<&View> {
        self.views.iter().find(|view| *view.name == *name)
    }
}

impl Default for Snapshot {
    fn default() -> Snapshot {
        Snapshot::from(ZoneMap::new())
    }
}

/// Serves these zones to every client with default settings.
impl From<ZoneMap> for Snapshot {
    fn from(zones: ZoneMap) -> Snapshot {
        Snapshot::new(Arc::default(), vec![View::of(zones)])
    }
}
