//! An update as a worker has received it, before it is queued or forwarded.

use std::sync::Arc;

use tracing::{error, info};
use zonefmt::{Class, NameRef, Rtype};

use crate::{
    Rcode,
    answer::{Answered, Outcome},
    listen::Client,
    live::Author,
    logs::ClientLine,
    stats::{Counters, Stat},
    wire::{Ede, request::Question},
    zones::{View, Zone},
};

/// An update of a client that has proved its key, if it has one.
pub(crate) struct Request<'r, 'v> {
    /// The view that the client belongs to.
    pub(crate) view: &'v View,
    /// The zone section.
    pub(crate) question: Question<'r>,
    pub(crate) client: &'r Client,
    /// The key that signs the message.
    pub(crate) key: Option<NameRef<'r>>,
    pub(crate) message: &'r [u8],
    /// How many updates may wait at a time (`update-quota`).
    pub(crate) quota: usize,
    /// The counters of the worker.
    pub(crate) counters: &'r Counters,
}

impl<'v> Request<'_, 'v> {
    /// The zone that the update is for, if this server has it.
    pub(crate) fn zone(&self) -> Option<&'v Arc<Zone>> {
        let is_for_zone = self.question.qtype == Rtype::SOA && self.question.qclass == Class::IN;
        self.view.zones.get(self.question.qname).filter(|_| is_for_zone)
    }

    /// What log lines about the update begin with.
    pub(crate) fn line(&self) -> ClientLine<'_> {
        let &Request { view, client, key, .. } = self;
        ClientLine { number: ClientLine::number(), client: client.addr, key, name: None, view: &view.name }
    }

    /// The response to an update that fails; logs why.
    pub(super) fn fails(&self, rcode: Rcode, ede: Option<Ede>, why: &str) -> Answered<'v> {
        let Question { qname, qclass, .. } = self.question;
        let (line, zone) = (self.line(), qname.without_final_dot());
        info!(target: "update", "{line}: updating zone '{zone}/{qclass}': update failed: {why} ({rcode})");
        self.tell_store(rcode, why);
        Outcome::error(rcode, ede).into()
    }

    /// The response to an update that its client may not make; logs which `kind` of request of this zone is `denied`. As
    /// with named, that is an error where others may make it, and otherwise (`for_nobody`) no news.
    pub(crate) fn denied(&self, zone: &'v Zone, kind: &str, denied: &str, for_nobody: bool) -> Answered<'v> {
        let (line, shown) = (self.line(), self.question.qname.without_final_dot());
        if for_nobody {
            info!(target: "update-security", "{line}: {kind} '{shown}/IN' {denied}");
        } else {
            error!(target: "update-security", "{line}: {kind} '{shown}/IN' {denied}");
        }
        self.tell_store(Rcode::REFUSED, denied);
        Answered { outcome: Outcome::error(Rcode::REFUSED, Some(Ede::Prohibited)), zone: Some(zone) }
    }

    /// The response to an update for which there is no place; counts and logs that.
    pub(crate) fn is_one_too_many(&self, why: &str) -> Answered<'v> {
        self.counters.of_zone(Stat::UpdateQuota, None);
        self.fails(Rcode::SERVFAIL, Some(Ede::NotReady), why)
    }

    /// Tells the store of the zone, if it has one, that the update is turned away.
    fn tell_store(&self, rcode: Rcode, why: &str) {
        let Some(zone) = self.view.zones.get(self.question.qname) else { return };
        if let Some(store) = zone.live.as_ref().and_then(|live| live.store()) {
            store.turned_away(&zone.origin, &Author::of(self.client, self.key, self.message), rcode, why);
        }
    }
}
