//! A NOTIFY from another server (RFC 1996): whether it is heeded, and how it is answered.

use std::sync::Arc;

use tracing::info;
use zonefmt::{Class, NameRef, Rtype, Serial, rdata::Soa};

use crate::{
    Rcode,
    access::Requester,
    answer::{AUTHORITATIVE, Outcome},
    listen::Client,
    logs::{AddressLine, ClientLine, ZoneLine},
    message::Message,
    notice,
    stats::{Counters, Stat},
    wire::{Ede, request::Question},
    zones::{View, Zone},
};

/// A NOTIFY that is heeded.
pub(crate) struct Notice {
    /// The zone.
    pub(crate) zone: Arc<Zone>,
    /// The serial that it announces, if there is one.
    pub(crate) serial: Option<Serial>,
}

/// Receives a NOTIFY: returns what it announces, if that concerns a secondary zone, and the outcome to respond with.
pub(crate) fn receive(
    view: &View,
    question: Question<'_>,
    client: &Client,
    key: Option<NameRef<'_>>,
    message: &[u8],
    counters: &Counters,
) -> (Option<Notice>, Outcome) {
    let line =
        ClientLine { number: ClientLine::number(), client: client.addr, key: None, name: None, view: &view.name };
    // As by named. Of other classes nothing comes this far.
    match question.qclass {
        Class::CH => return (None, Outcome::error(Rcode::NOTIMP, None)),
        Class::ANY | Class::NONE => return (None, Outcome::error(Rcode::FORMERR, None)),
        _ => {}
    }
    if question.qtype != Rtype::SOA {
        notice!(target: "notify", "{line}: notify question section contains no SOA");
        return (None, Outcome::error(Rcode::FORMERR, None));
    }
    let shown = question.qname.without_final_dot();
    let signed = key.map_or_else(String::new, |key| format!(": TSIG '{}'", key.without_final_dot()));
    let Some(zone) = view.zones.get(question.qname).filter(|_| question.qclass == Class::IN) else {
        notice!(target: "notify", "{line}: received notify for zone '{shown}'{signed}: not authoritative");
        return (None, Outcome::error(Rcode::NOTAUTH, Some(Ede::NotAuthoritative)));
    };
    info!(target: "notify", "{line}: received notify for zone '{shown}'{signed}");
    counters.by_family([Stat::NotifyInv4, Stat::NotifyInv6], client.addr);
    // As in named, a NOTIFY for a primary zone is answered NOERROR and ignored.
    let Some(secondary) = &zone.secondary else { return (None, AUTHORITATIVE) };
    let is_primary = secondary.primaries.iter().any(|primary| primary.address.ip() == client.addr.ip());
    if !is_primary && !secondary.inbound.allow_notify.allows(Requester { addr: client.addr.ip(), key }) {
        counters.stat(Stat::NotifyRej);
        let shown = ZoneLine { origin: zone.origin.as_ref(), view: &view.name };
        info!(target: "general", "zone {shown}: refused notify from non-primary: {}", AddressLine(client.addr));
        return (None, Outcome::error(Rcode::REFUSED, Some(Ede::Prohibited)));
    }
    let notice = Notice { zone: Arc::clone(zone), serial: announced(question.qname, message) };
    (Some(notice), AUTHORITATIVE)
}

/// The serial of the SOA in the answer section (RFC 1996 3.7).
fn announced(zone: NameRef<'_>, message: &[u8]) -> Option<Serial> {
    let message = Message::read(message).ok()?;
    let mut answers = message.answers();
    while let Ok(Some(record)) = answers.next() {
        if record.rtype == Rtype::SOA && record.owner == zone {
            return Soa::serial_of(record.rdata);
        }
    }
    None
}
