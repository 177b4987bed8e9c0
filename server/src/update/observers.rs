//! What takes account of the replies to updates: the counters, and dnstap.

use std::sync::Mutex;

use jiff::Timestamp;

use crate::{
    dnstap::{Message, Tap, Tapped},
    stats::{Counters, Sent, Stat},
    sync::lock,
    zones::Zone,
};

/// The counters and the tap of a thread that replies to updates. Other threads may send late replies of it, one at a time.
pub(crate) struct Observers(Mutex<(Counters, Tap)>);

impl Observers {
    pub(crate) fn new(counters: Counters, tap: Tap) -> Observers {
        Observers(Mutex::new((counters, tap)))
    }

    /// Counts something that became of an update of this zone.
    pub(crate) fn count(&self, stat: Stat, zone: &Zone) {
        let (counters, _) = &*lock(&self.0);
        counters.of_zone(stat, zone.counters.as_deref());
    }

    /// Takes account of a reply. `asked` is when the update came, if the reply is to be tapped.
    pub(crate) fn replied(&self, reply: &Sent<'_>, asked: Option<Timestamp>) {
        let (counters, tap) = &*lock(&self.0);
        counters.sent(reply);
        if let Some(asked) = asked {
            let &Sent { client, octets, .. } = reply;
            tap.tell(&Message { kind: Tapped::UpdateResponse, client, octets, asked, zone: None });
        }
    }
}
