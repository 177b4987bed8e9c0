//! Requests for something else than an answer: transfers, updates and notifications. Most of them begin here and are
//! carried out elsewhere; one that is refused gets a message that says so, which is composed as an answer is.

use std::sync::Arc;

use jiff::Timestamp;
use zonefmt::{Rtype, Serial, rdata::Soa};

use super::{super::MIN_UDP, Admitted};
use crate::{
    answer::{Answered, Outcome, Scratch},
    forward::{Forwarded, Forwarder},
    listen::{Messages, Transport},
    stats::Counters,
    transfer::{
        inbound::{self, Notice},
        outbound::{self, Begun, Datagram, Frame, Slots, Wanted},
    },
    tsig,
    update::{self, Queue},
    wire::{Ede, Rcode, flags, message::Message, names::Names, request::Parsed, writer::Writer},
    zones::Snapshot,
};

/// The room for a response without records: its question, OPT and TSIG have three names, of 255 octets at most.
const MOST_OF_ERROR: usize = 1232;

/// The one message that a request for something else than an answer gets.
pub(super) enum Instead<'r> {
    /// A response code, without records.
    Outcome(Answered<'r>),
    /// What a datagram takes of a transfer.
    Datagram(Box<Datagram>),
}

impl<'r> Admitted<'r> {
    /// Whether it asks for a zone transfer.
    #[inline]
    pub(in crate::respond) fn wants_transfer(&self) -> bool {
        matches!(self.asked, Some(Rtype::AXFR | Rtype::IXFR))
    }

    /// Begins the transfer that it asks for; `None` if it gets one message instead, which is to be composed.
    #[cold]
    pub(in crate::respond) fn transfer(&mut self, slots: &Slots, names: &mut Names) -> Option<Box<dyn Messages>> {
        match outbound::begin(&self.wanted()?, slots) {
            Ok(Begun::Transfer(start)) => Some(Box::new(start.within(self.frame(flags::AA, names), self.now))),
            Ok(Begun::Datagram(datagram)) => {
                self.instead = Some(Instead::Datagram(datagram));
                None
            }
            Err(answered) => {
                self.instead = Some(Instead::Outcome(answered));
                None
            }
        }
    }

    /// What it asks for, which may be a transfer.
    fn wanted(&self) -> Option<Wanted<'r>> {
        let (Parsed::Request(request), Ok(view)) = (self.parsed, self.seen.view) else { return None };
        let (question, key, has) = (request.question, self.seen.signature.key(), serial_of(self.message));
        Some(Wanted { client: self.client, view, question, key, has, most: self.server.transfers_out })
    }

    /// Whether it is an update (RFC 2136).
    #[inline]
    pub(in crate::respond) fn is_update(&self) -> bool {
        self.header.is_update()
    }

    /// Whether it is an update, or a question over TCP with a key that is not known here, which is not refused for other
    /// reasons than its key: a primary may know that.
    #[inline]
    pub(in crate::respond) fn may_be_forwarded(&self) -> bool {
        let signature = &self.seen.signature;
        let is_meant = if signature.is_unknown() {
            self.is_update() || self.header.is_query() && self.client.transport == Transport::Tcp
        } else {
            self.is_update() && !signature.is_bad()
        };
        is_meant && self.seen.view.is_ok()
    }

    /// Prepares to forward it, if it is for a secondary zone; also returns the response for the case that no primary
    /// responds. `None` if it is for another zone, or if it is refused, with a message that is to be composed.
    #[cold]
    pub(in crate::respond) fn forward(
        &mut self,
        forwarder: &Forwarder,
        counters: &Counters,
        names: &mut Names,
        scratch: &mut Scratch,
        arrived: Option<Timestamp>,
    ) -> Option<(Forwarded, Vec<u8>)> {
        let tapped = arrived.filter(|_| self.taps().responses);
        let admitted = if self.is_update() {
            forwarder.admit_update(&self.update_request(counters)?, tapped)?
        } else {
            forwarder.admit_question(&self.wanted()?, self.message)?
        };
        let forwarded = match admitted {
            Ok(forwarded) => forwarded,
            Err(answered) => {
                self.instead = Some(Instead::Outcome(answered));
                return None;
            }
        };
        let unreachable = Outcome { ede: Some(Ede::NoReachableAuthority), ..Outcome::uncounted(Rcode::SERVFAIL) };
        self.instead = Some(Instead::Outcome(unreachable.into()));
        let mut failure = vec![0; self.limit().min(MOST_OF_ERROR)];
        let length = self.compose(names, scratch, &mut failure).sent.map_or(0, |sent| sent.octets.len());
        failure.truncate(length);
        Some((forwarded, failure))
    }

    /// Whether it is an update that is not refused for other reasons.
    #[inline]
    pub(in crate::respond) fn wants_update(&self) -> bool {
        self.is_update() && self.seen.view.is_ok() && !self.seen.signature.is_bad() && self.instead.is_none()
    }

    /// Prepares the update that it asks for, and its reply; `None` if it is refused, with a message that is to be
    /// composed. `arrived` is when it came, if messages are tapped.
    #[cold]
    pub(in crate::respond) fn update(
        &mut self,
        queue: &Queue,
        counters: &Counters,
        names: &mut Names,
        arrived: Option<Timestamp>,
    ) -> Option<(update::Admitted, update::Reply)> {
        match queue.admit(&self.update_request(counters)?) {
            Ok(update) => {
                let tapped = arrived.filter(|_| self.taps().responses);
                let Frame { message, opt, signatures: signature } = self.frame(0, names);
                let opt = Some(opt).filter(|&opt| opt < message.len());
                let room = self.limit().saturating_sub(signature.as_ref().map_or(0, tsig::Chain::octets));
                Some((update, update::Reply { message, opt, room, signature, tapped }))
            }
            Err(answered) => {
                self.instead = Some(Instead::Outcome(answered));
                None
            }
        }
    }

    /// The update that it is.
    fn update_request<'c>(&'c self, counters: &'c Counters) -> Option<update::Request<'c, 'r>> {
        let (Parsed::Request(request), Ok(view)) = (self.parsed, self.seen.view) else { return None };
        let &Admitted { client, message, server, .. } = self;
        let (question, key) = (request.question, self.seen.signature.key());
        Some(update::Request { view, question, client, key, message, quota: server.update_quota, counters })
    }

    /// Whether it is a NOTIFY (RFC 1996) that is not refused for other reasons.
    #[inline]
    pub(in crate::respond) fn is_notice(&self) -> bool {
        self.header.is_notify() && self.seen.view.is_ok() && !self.seen.signature.is_bad()
    }

    /// Receives the NOTIFY that it is; returns what that announces and the view that declares the zone, if it is heeded.
    #[cold]
    pub(in crate::respond) fn notice<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        counters: &Counters,
    ) -> Option<(&'s Arc<str>, Notice)> {
        let (Parsed::Request(request), Ok(view)) = (self.parsed, self.seen.view) else { return None };
        let key = self.seen.signature.key();
        let (notice, outcome) = inbound::receive(view, request.question, self.client, key, self.message, counters);
        self.instead = Some(Instead::Outcome(outcome.into()));
        let notice = notice?;
        Some((&snapshot.declaring(&notice.zone)?.name, notice))
    }

    /// What surrounds the records of a response that is made elsewhere, with these flags. Without records and with its
    /// signature, it is no longer than the client takes.
    fn frame(&mut self, flags: u16, names: &mut Names) -> Frame {
        let signatures = self.signature().and_then(|reply| tsig::Chain::of(&reply));
        let room = self.limit().saturating_sub(signatures.as_ref().map_or(0, tsig::Chain::octets)).min(MIN_UDP.into());
        let opt = self.opt_reply();
        let opt = self.fitting(opt, room);
        let mut message = vec![0; MIN_UDP.into()];
        let writer = Writer::new(&mut message, room, names, self.question, opt.as_ref());
        let start = writer.position();
        let opt = self.edns.zip(opt.as_ref()).map(|(edns, opt)| (edns, opt, None));
        let length = writer.finish(self.header, flags, Rcode::NOERROR, opt);
        message.truncate(length);
        Frame { message, opt: start, signatures }
    }
}

/// The serial of the SOA in the authority section of a request for IXFR: that of the client's version (RFC 1995 3).
fn serial_of(request: &[u8]) -> Option<Serial> {
    let mut records = Message::read(request).ok()?.authorities();
    while let Some(record) = records.next().ok()? {
        if record.rtype == Rtype::SOA {
            return Soa::serial_of(record.rdata);
        }
    }
    None
}
