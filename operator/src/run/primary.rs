//! The hidden primary: the compiled zones, and the catalogs that say which server has which of them, served to whoever
//! has a key. It is the engine of `bindyd` in this process.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
};

use bindy_server::{
    access::{Acl, Match, Rule},
    listen::{self, ListenError, Listeners, TcpLimits},
    live::Live,
    respond::Responder,
    settings::{Notify, Outbound, Remote, ServerSettings, TransferAcl, Whom, ZoneSettings},
    stats::Counters,
    transfer::{notify::Notifier, outbound::Slots},
    tsig::{Keyring, TsigKey},
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
}

/// Who may have a zone, and who hears of its new versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Audience {
    /// The names of the keys.
    pub(super) keys: BTreeSet<Name>,
    /// The pods, each with the name of the key by which it knows us.
    pub(super) pods: BTreeMap<SocketAddr, Name>,
}

/// How many transfers run at a time.
const TRANSFERS: usize = 1000;

impl Primary {
    /// Begins to answer at these addresses.
    ///
    /// # Errors
    /// An address cannot be listened on, or the system has no threads.
    pub(super) fn start(addresses: Vec<SocketAddr>) -> Result<Primary, ListenError> {
        let settings = ServerSettings { transfers_out: TRANSFERS, port: names::DNS_PORT, ..ServerSettings::default() };
        let snapshot = Snapshot::new(Arc::new(settings), vec![View::of(ZoneMap::new())]);
        let published = Arc::new(Published::new(snapshot));
        let notifier =
            Notifier::start(&published, Counters::default()).map_err(|error| ListenError::Start("notify", error))?;
        let (answering, slots) = (Arc::clone(&published), Slots::new());
        let workers = NonZeroUsize::MIN;
        let config = listen::Config { addresses, workers, tcp: TcpLimits::default() };
        let listeners =
            listen::start(&config, move || Responder::new(Arc::clone(&answering)).transferring(slots.clone()))?;
        notifier.listens(listeners.local_addrs());
        Ok(Primary { published, settings: HashSet::new(), listeners, _notifier: notifier })
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
                        None => Arc::new(Live::remembered(data.clone())),
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

/// The settings of a zone: whoever has a key may ask for it and have it.
fn settings(Audience { keys, pods }: Audience) -> ZoneSettings {
    let rules = keys.into_iter().map(|key| Rule { negated: false, matches: Match::Key(key) });
    let clients = Acl::new(rules.collect());
    let also = pods.into_iter().map(|(address, key)| Remote { address, key: Some(key) }).collect();
    ZoneSettings {
        allow_query: clients.clone(),
        outbound: Outbound { allow: TransferAcl { clients, ..TransferAcl::default() }, ..Outbound::default() },
        notify: Notify { whom: Whom::Listed, also, ..Notify::default() },
        ..ZoneSettings::default()
    }
}
