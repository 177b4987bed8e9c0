//! The hidden primary: the compiled zones, and the catalogs that say which server has which of them, served to whoever
//! has a key. It is the engine of `bindyd` in this process. What clients write into zones it hands in at the desk.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
};

use bindy_server::{
    access::{Acl, Match, Rule},
    dnstap::Tap,
    listen::{self, ListenError, Listeners, TcpLimits},
    live::{ChangeStore, Live},
    respond::Responder,
    settings::{Checks, Notify, Outbound, Remote, ServerSettings, TransferAcl, Updates, Whom, ZoneSettings},
    stats::Counters,
    transfer::{notify::Notifier, outbound::Slots},
    tsig::{Keyring, TsigKey},
    update::{Policy, Queue},
    zones::{Published, Snapshot, View, Zone, ZoneChange, ZoneMap, ZoneState},
};
use zonefmt::Name;

use crate::{compile::ZoneData, render::names};

/// The hidden primary. It ends when this is dropped.
pub(super) struct Primary {
    published: Arc<Published>,
    /// The settings in use, so that zones with the same ones share them.
    settings: HashSet<Arc<ZoneSettings>>,
    listeners: Listeners<Responder>,
    _notifier: Notifier,
    /// Where changes of clients go.
    store: Arc<dyn ChangeStore>,
}

/// Who may have a zone, who hears of its new versions, and who may change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Audience {
    /// The names of the keys.
    pub(super) keys: BTreeSet<Name>,
    /// The pods, each with the name of the key by which it knows us.
    pub(super) pods: BTreeMap<SocketAddr, Name>,
    /// The clients that may change it, if there are any.
    pub(super) writers: Option<Writers>,
}

/// The clients that may change a zone, or have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Writers {
    /// What each may change.
    pub(super) policy: Policy,
    /// The number of each rule of it among those of the zone.
    pub(super) numbers: Vec<usize>,
    /// The names of their keys.
    pub(super) keys: BTreeSet<Name>,
    /// The names of the keys that may have all of it.
    pub(super) readers: BTreeSet<Name>,
}

/// How many transfers run at a time.
const TRANSFERS: usize = 1000;
/// How many connections there are at a time. A server has one for each update and each question that it passes on, and
/// several servers may have the same address.
const CONNECTIONS: usize = 8192;

impl Primary {
    /// Begins to answer at these addresses. Changes of clients go to this store.
    ///
    /// # Errors
    /// An address cannot be listened on, or the system has no threads.
    pub(super) fn start(addresses: Vec<SocketAddr>, store: Arc<dyn ChangeStore>) -> Result<Primary, ListenError> {
        let settings = ServerSettings { transfers_out: TRANSFERS, port: names::DNS_PORT, ..ServerSettings::default() };
        let snapshot = Snapshot::new(Arc::new(settings), vec![View::of(ZoneMap::new())]);
        let published = Arc::new(Published::new(snapshot));
        let notifier =
            Notifier::start(&published, Counters::default()).map_err(|error| ListenError::Start("notify", error))?;
        let queue = Queue::start(&published, Counters::default, Tap::default)
            .map_err(|error| ListenError::Start("update", error))?;
        let (answering, slots) = (Arc::clone(&published), Slots::new());
        let workers = NonZeroUsize::MIN;
        let tcp = TcpLimits { clients: CONNECTIONS, clients_per_address: CONNECTIONS / 4, ..TcpLimits::default() };
        let config = listen::Config { addresses, workers, tcp };
        let responder =
            move || Responder::new(Arc::clone(&answering)).transferring(slots.clone()).updating(queue.clone());
        let listeners = listen::start(&config, responder)?;
        notifier.listens(listeners.local_addrs());
        Ok(Primary { published, settings: HashSet::new(), listeners, _notifier: notifier, store })
    }

    /// The addresses at which it answers.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.local_addrs()
    }

    /// Takes over the keys that there are.
    pub(super) fn know<'k>(&self, keys: impl Iterator<Item = &'k TsigKey>) {
        let ring = Arc::new(Keyring::new(keys.cloned()));
        self.published.update(|snapshot| {
            for view in &mut snapshot.views {
                view.keys = Arc::clone(&ring);
            }
        });
    }

    /// Serves these zones in place of those of the same names; without data, a zone is not served any more. Who hears of a
    /// zone is notified if its data is another.
    pub(super) fn serve(&mut self, zones: impl IntoIterator<Item = (Name, Option<(ZoneData, Audience)>)>) {
        let before = self.published.load();
        let mut changes = Vec::new();
        for (origin, zone) in zones {
            changes.push(match zone {
                Some((data, audience)) => {
                    let settings = self.shared(settings(audience));
                    // What changed between versions is kept by whoever had the zone before.
                    let former = before.view(View::DEFAULT).and_then(|view| view.zones.get(origin.as_ref()));
                    let history = match former.and_then(|zone| zone.live.clone()) {
                        Some(history) => {
                            history.follow(data.clone());
                            history
                        }
                        None => Arc::new(Live::kept_by(data.clone(), Arc::clone(&self.store))),
                    };
                    let zone = Zone::new(origin, settings, ZoneState::Loaded(data));
                    ZoneChange::Put(Arc::new(zone.owned_by(Some(history))))
                }
                None => ZoneChange::Remove(origin),
            });
        }
        if changes.is_empty() {
            return;
        }
        self.published.update(|snapshot| snapshot.change(View::DEFAULT, changes.iter().cloned()));
        for change in &changes {
            let ZoneChange::Put(zone) = change else { continue };
            let former = before.view(View::DEFAULT).and_then(|view| view.zones.get(zone.origin.as_ref()));
            self.published.report_if_new(View::DEFAULT, zone, former.map(Arc::as_ref));
        }
        drop(before);
        self.settings.retain(|settings| Arc::strong_count(settings) > 1);
    }

    /// The data of a zone that is served.
    pub(super) fn data(&self, origin: &Name) -> Option<ZoneData> {
        let snapshot = self.published.load();
        snapshot.view(View::DEFAULT)?.zones.get(origin.as_ref())?.data().cloned()
    }

    /// Notifies those who hear of a zone once more.
    pub(super) fn remind(&self, origin: &Name) {
        let snapshot = self.published.load();
        let zone = snapshot.view(View::DEFAULT).and_then(|view| view.zones.get(origin.as_ref()));
        if let Some(zone) = zone {
            self.published.report(View::DEFAULT, zone);
        }
    }

    fn shared(&mut self, settings: ZoneSettings) -> Arc<ZoneSettings> {
        if let Some(known) = self.settings.get(&settings) {
            return Arc::clone(known);
        }
        let settings = Arc::new(settings);
        self.settings.insert(Arc::clone(&settings));
        settings
    }
}

/// The settings of a zone: whoever has a key may ask for it and have it. A client that may change it may ask for it; whether
/// it may have it is said apart.
fn settings(Audience { keys, pods, writers }: Audience) -> ZoneSettings {
    let nobody =
        || Writers { policy: Policy::nobody(), numbers: Vec::new(), keys: BTreeSet::new(), readers: BTreeSet::new() };
    let Writers { policy, keys: writers, readers, .. } = writers.unwrap_or_else(nobody);
    let allows = |sets: &[&BTreeSet<Name>]| {
        let keys: BTreeSet<&Name> = sets.iter().copied().flatten().collect();
        let rules = keys.into_iter().map(|key| Rule { negated: false, matches: Match::Key(key.clone()) });
        Acl::new(rules.collect())
    };
    let clients = allows(&[&keys, &readers]);
    let also = pods.into_iter().map(|(address, key)| Remote { address, key: Some(key) }).collect();
    ZoneSettings {
        allow_query: allows(&[&keys, &writers, &readers]),
        // Whether the zone's servers have addresses is said of the DNSZone, and no fault of a client.
        updates: Updates { policy, checks: Checks { servers: false, ..Checks::default() }, ..Updates::default() },
        outbound: Outbound { allow: TransferAcl { clients, ..TransferAcl::default() }, ..Outbound::default() },
        notify: Notify { whom: Whom::Listed, also, ..Notify::default() },
        ..ZoneSettings::default()
    }
}
