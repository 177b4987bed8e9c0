//! From a request's octets to a response's: parse, choose the class, answer or refuse, add EDNS. Every transport, test, fuzzer and
//! bench calls the same function.

use crate::{
    answer::{Scratch, answer},
    listen::{Client, Respond, Transport},
    settings::ServerSettings,
    wire::{
        flags,
        names::Names,
        request::{self, Edns, Rejected, Request, Unanswerable},
        writer::{OptReply, Writer},
    },
    zones::{Published, Snapshot},
};
use std::{sync::Arc, time::Instant};

/// The largest message there can be, in octets.
pub const MAX_MESSAGE: usize = 65_535;

/// Octets every client takes over UDP (RFC 1035 4.2.1).
const MIN_UDP: u16 = 512;

/// Answers requests from the newest snapshot. Each worker has its own.
pub struct Responder {
    published: Arc<Published>,
    /// `None` while idle, so that an old snapshot is not kept.
    snapshot: Option<Arc<Snapshot>>,
    scratch: Scratch,
    names: Names,
    keepalive: bool,
}

impl Responder {
    /// A responder on what is published.
    pub fn new(published: Arc<Published>) -> Responder {
        Responder { published, snapshot: None, scratch: Scratch::new(), names: Names::new(), keepalive: false }
    }
}

impl Respond for Responder {
    #[inline]
    fn refresh(&mut self, _now: Instant) {
        if !self.snapshot.as_ref().is_some_and(|snapshot| self.published.is_current(snapshot)) {
            self.snapshot = Some(self.published.load());
        }
    }

    /// Writes the response to `request` into `out` and gives its length; `None`: there is to be no response. `out` takes
    /// 512 octets at least; over TCP, [`MAX_MESSAGE`].
    fn respond(&mut self, request: &[u8], client: &Client, out: &mut [u8]) -> Option<usize> {
        self.keepalive = false;
        let request = match request::parse(request) {
            Err(Unanswerable::Ignored) => return None,
            parsed => parsed,
        };
        let published = &self.published;
        let snapshot = &**self.snapshot.get_or_insert_with(|| published.load());
        let settings = &*snapshot.settings;
        if settings.blackhole.allows(client.addr.ip()) {
            return None;
        }
        let edns = match &request {
            Ok(request) => request.edns,
            Err(Unanswerable::Rejected(rejected)) => rejected.edns,
            Err(Unanswerable::Ignored) => None,
        };
        self.keepalive = edns.is_some_and(|edns| edns.keepalive) && client.transport != Transport::Udp;
        let reply = edns.map(|edns| opt_reply(settings, edns, self.keepalive));
        let opt = |ede| edns.zip(reply.as_ref()).map(|(edns, reply)| (edns, reply, ede));
        match request {
            Ok(Request { header, question, .. }) => {
                let limit = limit(settings, client.transport, edns);
                let mut writer = Writer::new(out, limit, &mut self.names, Some(question), reply.as_ref());
                let outcome = answer(snapshot, header, question, client, &mut writer, &mut self.scratch);
                let aa = if outcome.authoritative { flags::AA } else { 0 };
                Some(writer.finish(header, aa, outcome.rcode, opt(outcome.ede)))
            }
            Err(Unanswerable::Rejected(Rejected { header, question, rcode, .. })) => {
                let writer = Writer::new(out, MIN_UDP.into(), &mut self.names, question, reply.as_ref());
                Some(writer.finish(header, 0, rcode, opt(None)))
            }
            Err(Unanswerable::Ignored) => None,
        }
    }

    fn keepalive(&self) -> bool {
        self.keepalive
    }

    fn release(&mut self) {
        self.snapshot = None;
    }
}

/// How many octets a response may have.
fn limit(settings: &ServerSettings, transport: Transport, edns: Option<Edns>) -> usize {
    match (transport, edns) {
        (Transport::Tcp, _) => MAX_MESSAGE,
        (Transport::Udp, None) => MIN_UDP.into(),
        (Transport::Udp, Some(edns)) => edns.udp_size.clamp(MIN_UDP, settings.max_udp_size.max(MIN_UDP)).into(),
    }
}

fn opt_reply(settings: &ServerSettings, edns: Edns, keepalive: bool) -> OptReply<'_> {
    let timeout = || u16::try_from(settings.tcp_advertised_timeout.as_millis() / 100).unwrap_or(u16::MAX);
    OptReply {
        udp_size: settings.edns_udp_size,
        nsid: settings.server_id.as_deref().filter(|_| edns.nsid),
        keepalive: keepalive.then(timeout),
    }
}
