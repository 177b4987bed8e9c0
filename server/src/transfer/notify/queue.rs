//! The zones whose secondaries are to be notified.

use std::{collections::HashMap, mem, net::SocketAddr};

use crate::transfer::{ZoneId, mailbox::Mailbox};

/// Why there is a new version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Occasion {
    /// The server has started.
    Start,
    /// The zone has changed, or an administrator wants it.
    Change,
}

/// The zones that wait, each once.
#[derive(Default)]
pub(super) struct Queue(Mailbox<Waiting>);

#[derive(Default)]
struct Waiting {
    zones: HashMap<ZoneId, Occasion>,
    /// The addresses of this server; `None` while it does not answer yet.
    own: Option<Vec<SocketAddr>>,
}

impl Queue {
    /// Adds a zone, unless it is waiting already.
    pub(super) fn push(&self, zone: ZoneId) {
        self.0.put(|Waiting { zones, own }| {
            let occasion = if own.is_some() { Occasion::Change } else { Occasion::Start };
            zones.entry(zone).or_insert(occasion);
        });
    }

    /// Lets the zones go, now that the server answers at these addresses.
    pub(super) fn open(&self, own: Vec<SocketAddr>) {
        self.0.put(|waiting| waiting.own = Some(own));
    }

    /// Ends the queue.
    pub(super) fn close(&self) {
        self.0.close();
    }

    /// Whether the server answers at this address.
    pub(super) fn is_own(&self, address: SocketAddr) -> bool {
        self.0.read(|waiting| waiting.own.as_ref().is_some_and(|own| own.contains(&address)))
    }

    /// Waits for zones; `None` once the queue is closed.
    pub(super) async fn next(&self) -> Option<HashMap<ZoneId, Occasion>> {
        let take =
            |Waiting { zones, own }: &mut Waiting| (own.is_some() && !zones.is_empty()).then(|| mem::take(zones));
        self.0.next(take).await
    }
}
