//! From a request's octets to a response's. Every transport, test, fuzzer and bench calls the same function,
//! [`Responder::respond`]:
//!
//! 1. `admitted`: the message is parsed, `seen` checks its signature and finds the view that it belongs to.
//! 2. `admitted` composes the response: an answer or an error, response rate limiting, EDNS, the signature.
//!    Its `operations` begin what is no question: a zone transfer gets its messages from [`transfer`](crate::transfer),
//!    and an update its reply from [`update`](crate::update).
//! 3. Here, the observers take account of it: the counters, the query log, dnstap.
//!
//! Except for these, none of this allocates or waits. It reads no clock and takes no lock, except while queries are logged or tapped.

mod admitted;
mod seen;

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;
use zonefmt::MAX_NAME;

use crate::{
    answer::{Answered, Scratch},
    dnstap::{Message, Tap, Tapped},
    forward::Forwarder,
    listen::{Client, Now, Reply, Respond, Response},
    logs::{Ending, QueryLog},
    stats::{Counters, Event},
    transfer::{
        inbound::{Notice, Secondaries},
        outbound::Slots,
    },
    update::Queue,
    wire::{HEADER, cookie::COOKIE, names::Names, request},
    zones::{Published, Snapshot},
};
use admitted::{Admitted, Composed, Sent};

/// The largest message there can be, in octets.
pub const MAX_MESSAGE: usize = 65_535;

/// Source ports of services that answer everything: to answer them could start a loop, or be what a forger wants (echo,
/// daytime, chargen, time; as in `named`).
const LOOPING_PORTS: [u16; 4] = [7, 13, 19, 37];

/// Octets that every client takes over UDP (RFC 1035 4.2.1).
const MIN_UDP: u16 = 512;

/// The most octets of an NSID: what [`MIN_UDP`] leaves beside the header, the longest question, and an OPT with all
/// other options.
pub(crate) const MAX_NSID: usize = MIN_UDP as usize - HEADER - (MAX_NAME + 4) - (11 + 4 + 6 + 6 + 4 + COOKIE);

/// Answers requests from the newest snapshot. Each worker has its own.
pub struct Responder {
    published: Arc<Published>,
    /// `None` while the worker is idle, so that an old snapshot is not kept.
    snapshot: Option<Arc<Snapshot>>,
    now: Now,
    scratch: Scratch,
    names: Names,
    transfers: Slots,
    /// Where updates go; without it, there are none.
    updates: Option<Queue>,
    /// Where updates of secondary zones go, and questions about them with other keys; without it, they are not forwarded.
    forwarder: Option<Forwarder>,
    /// Where notifications of primaries go; without it, there are none.
    secondaries: Option<Secondaries>,
    observers: Observers,
}

/// All that takes account of requests and responses.
struct Observers {
    counters: Counters,
    queries: QueryLog,
    tap: Tap,
}

impl Responder {
    /// A responder that answers from what is published, and counts for nobody.
    pub fn new(published: Arc<Published>) -> Responder {
        Responder::counting(published, Counters::default())
    }

    /// A responder that answers from what is published, and counts here.
    pub fn counting(published: Arc<Published>, counters: Counters) -> Responder {
        let (scratch, names, now) = (Scratch::new(), Names::new(), Now::read());
        let observers = Observers { counters, queries: QueryLog::default(), tap: Tap::default() };
        let (transfers, updates, forwarder, secondaries) = (Slots::new(), None, None, None);
        let snapshot = None;
        Responder { published, snapshot, now, scratch, names, transfers, updates, forwarder, secondaries, observers }
    }

    /// Makes zone transfers within these slots.
    #[must_use]
    pub fn transferring(mut self, slots: Slots) -> Responder {
        self.transfers = slots;
        self
    }

    /// Sends updates to this queue.
    #[must_use]
    pub fn updating(mut self, queue: Queue) -> Responder {
        self.updates = Some(queue);
        self
    }

    /// Forwards updates of secondary zones, and questions about them with other keys, here.
    #[must_use]
    pub fn forwarding(mut self, forwarder: Forwarder) -> Responder {
        self.forwarder = Some(forwarder);
        self
    }

    /// Passes notifications of primaries on to these secondary zones.
    #[must_use]
    pub fn notifying(mut self, secondaries: Secondaries) -> Responder {
        self.secondaries = Some(secondaries);
        self
    }

    /// Logs queries here.
    #[must_use]
    pub fn logging(mut self, queries: QueryLog) -> Responder {
        self.observers.queries = queries;
        self
    }

    /// Taps messages here.
    #[must_use]
    pub fn tapped(mut self, tap: Tap) -> Responder {
        self.observers.tap = tap;
        self
    }

    fn snapshot(&mut self) -> &Snapshot {
        self.snapshot.get_or_insert_with(|| self.published.load())
    }
}

impl Respond for Responder {
    #[inline]
    fn refresh(&mut self, now: Now) {
        self.now = now;
        if !self.snapshot.as_ref().is_some_and(|snapshot| self.published.is_current(snapshot)) {
            self.snapshot = Some(self.published.load());
        }
    }

    fn ignores(&mut self, addr: IpAddr) -> bool {
        self.snapshot().settings.blackhole.allows(addr)
    }

    /// Writes the response to `message` into `out`, which takes 512 octets at least; over TCP, [`MAX_MESSAGE`].
    fn respond(&mut self, message: &[u8], client: &Client, out: &mut [u8]) -> Response {
        let Some(parsed) = request::parse(message) else { return Response::None };
        let published = &self.published;
        let snapshot = &**self.snapshot.get_or_insert_with(|| published.load());
        let Some(mut request) = Admitted::of(message, &parsed, client, snapshot, self.now) else {
            return Response::None;
        };
        let arrived = self.observers.request(&request);
        if request.wants_transfer()
            && let Some(transfer) = request.transfer(&self.transfers, &mut self.names)
        {
            self.observers.begun(&request);
            return Response::Messages(transfer);
        }
        if let Some(forwarder) = self.forwarder.as_ref().filter(|_| request.may_be_forwarded())
            && let Some((message, failure)) =
                request.forward(forwarder, &self.observers.counters, &mut self.names, &mut self.scratch, arrived)
        {
            self.observers.begun(&request);
            return Response::Later(Box::new(move |way| message.begin(failure, way)));
        }
        if let Some(queue) = self.updates.as_ref().filter(|_| request.wants_update())
            && let Some((update, reply)) = request.update(queue, &self.observers.counters, &mut self.names, arrived)
        {
            self.observers.begun(&request);
            return Response::Later(Box::new(move |way| update.enqueue(reply, way)));
        }
        if let Some(secondaries) = self.secondaries.as_ref().filter(|_| request.is_notice())
            && let Some((view, Notice { zone, serial })) = request.notice(snapshot, &self.observers.counters)
        {
            secondaries.notified(view, &zone.origin, client.addr, serial);
        }
        let composed = request.compose(&mut self.names, &mut self.scratch, out);
        self.observers.response(&request, &composed, arrived);
        let Some(Sent { octets, .. }) = composed.sent else { return Response::None };
        Response::Reply(Reply { length: octets.len(), keepalive: request.keepalive() })
    }

    fn release(&mut self) {
        self.snapshot = None;
    }
}

impl Observers {
    /// Taps a request; returns when it came, if its response may have to be tapped, too.
    #[inline]
    fn request(&self, request: &Admitted<'_>) -> Option<Timestamp> {
        let taps = request.taps();
        let arrived = taps.any().then(Timestamp::now)?;
        if taps.queries && (request.asked.is_some() || request.may_be_forwarded()) {
            let &Admitted { client, message: octets, .. } = request;
            let kind = if request.is_update() { Tapped::UpdateQuery } else { Tapped::AuthQuery };
            self.tap.tell(&Message { kind, client, octets, asked: arrived, zone: None });
        }
        Some(arrived)
    }

    /// Counts and logs a request whose response is made elsewhere.
    #[cold]
    fn begun(&mut self, request: &Admitted<'_>) {
        if self.queries.wants(Ending::Answered) {
            request.note(Ending::Answered, &mut self.queries);
        }
        self.counters.received(&request.received(), false);
    }

    /// Counts a request and its response, logs them, and taps the response.
    #[inline]
    fn response(&mut self, request: &Admitted<'_>, composed: &Composed<'_>, arrived: Option<Timestamp>) {
        let &Composed { answered: Answered { outcome, zone }, verdict, sent } = composed;
        let ending = request.ending(outcome);
        if self.queries.wants(ending) {
            request.note(ending, &mut self.queries);
        }
        self.counters.count(&Event {
            request: request.received(),
            zone: zone.and_then(|zone| zone.counters.as_deref()),
            verdict,
            response: sent.map(|sent| (sent.outcome.rcode, sent.octets)),
        });
        if let (Some(asked), Some(sent)) = (arrived, sent)
            && request.taps().responses
        {
            let zone = zone.filter(|_| sent.outcome.authoritative).map(|zone| zone.origin.as_ref());
            let kind = if request.is_update() { Tapped::UpdateResponse } else { Tapped::AuthResponse };
            self.tap.tell(&Message { kind, client: request.client, octets: sent.octets, asked, zone });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cookies::CookieSecrets,
        limit::{Limiter, NetworkRate, RateLimit},
        listen::Transport,
        settings::{Order, OrderRule, RrsetOrder, ServerSettings, ViewSettings},
        zone::ZoneData,
        zones::{View, Zone, ZoneMap, ZoneState},
    };
    use std::net::{Ipv4Addr, SocketAddr};
    use zonefmt::{Class, Name, Rtype};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn responder(settings: ServerSettings, zones: ZoneMap) -> Responder {
        Responder::new(Arc::new(Published::new(Snapshot::new(Arc::new(settings), vec![View::of(zones)]))))
    }

    /// Asks over UDP, with these options in an OPT.
    fn ask(responder: &mut Responder, qname: &Name, qtype: Rtype, qclass: Class, options: &[u8]) -> Vec<u8> {
        let request = [
            &[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1],
            qname.as_ref().as_wire(),
            &qtype.0.to_be_bytes(),
            &qclass.0.to_be_bytes(),
            &[0, 0, 41, 2, 0, 0, 0, 0, 0, 0, options.len() as u8],
            options,
        ]
        .concat();
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
        let client = Client { addr: loopback, local: loopback, transport: Transport::Udp };
        let mut out = [0; 4096];
        let reply = responder.respond(&request, &client, &mut out).reply().unwrap();
        out[..reply.length].to_vec()
    }

    #[test]
    fn a_long_server_id_is_cut_to_what_every_client_takes() {
        let longest = name(&["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join("."));
        for length in [1, MAX_NSID, MAX_NSID + 1, 600, 5000] {
            let settings = ServerSettings { server_id: Some(vec![b'i'; length]), ..ServerSettings::default() };
            let response = ask(&mut responder(settings, ZoneMap::new()), &longest, Rtype::A, Class::IN, &[0, 3, 0, 0]);
            let told = vec![b'i'; length.min(MAX_NSID)];
            let option = [&[0, 3], &(told.len() as u16).to_be_bytes()[..], &told].concat();
            assert!(response[..response.len() - 6].ends_with(&option), "{response:?}"); // An EDE comes last.
            assert!(response.len() <= 512, "{} octets", response.len());
        }
    }

    #[test]
    fn services_that_answer_everything_are_not_answered() {
        let mut responder = responder(ServerSettings::default(), ZoneMap::new());
        let request = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
        let mut answers = |port, transport| {
            let client = Client { addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), local, transport };
            responder.respond(&request, &client, &mut [0; 512]).reply().is_some()
        };
        let silent: Vec<u16> = (1..1024).filter(|&port| !answers(port, Transport::Udp)).collect();
        assert_eq!(silent, LOOPING_PORTS);
        assert!(answers(LOOPING_PORTS[0], Transport::Tcp), "its address is not forged");
    }

    #[test]
    fn an_empty_version_is_one_empty_string() {
        for (version, txt) in
            [(vec![], vec![0, 1, 0]), (vec![b'v'; 256], [vec![1, 2, 255], vec![b'v'; 255], vec![1]].concat())]
        {
            let settings = ServerSettings { version: Some(version), ..ServerSettings::default() };
            let response =
                ask(&mut responder(settings, ZoneMap::new()), &name("version.bind"), Rtype::TXT, Class::CH, &[]);
            let rdata = HEADER + 14 + 4 + 2 + 8; // The question, then all of the record but RDLENGTH and RDATA.
            assert!(response[rdata..].starts_with(&txt), "{:?}", &response[rdata..]);
        }
    }

    #[test]
    fn an_order_by_name_is_for_that_owner_also_at_a_chains_end() {
        let origin = name("example");
        let mut edit = ZoneData::new(origin.clone()).edit();
        let (alias, target) = (name("alias.example"), name("target.example"));
        edit.add(alias.as_ref(), Rtype::CNAME, 1, target.as_ref().as_wire()).unwrap();
        for last in 1..=4 {
            edit.add(target.as_ref(), Rtype::A, 1, &[192, 0, 2, last]).unwrap();
        }
        let state = ZoneState::Loaded(edit.commit());
        let zones = ZoneMap::from_iter([Arc::new(Zone::new(origin, Arc::default(), state))]);
        let rule = |name, order| OrderRule { class: None, rtype: None, name: Some(name), order };
        let rrset_order = RrsetOrder(vec![rule(alias.clone(), Order::Cyclic), rule(target, Order::Fixed)]);
        let settings = Arc::new(ViewSettings { rrset_order, ..ViewSettings::default() });
        let view = View { settings, ..View::of(zones) };
        let mut responder = Responder::new(Arc::new(Published::new(Snapshot::new(Arc::default(), vec![view]))));
        for _ in 0..4 {
            let response = ask(&mut responder, &alias, Rtype::A, Class::IN, &[]);
            let order: Vec<u8> =
                response.windows(4).filter(|four| four.starts_with(&[192, 0, 2])).map(|a| a[3]).collect();
            assert_eq!(order, [1, 2, 3, 4]);
        }
    }

    #[test]
    fn a_flood_gets_out_no_more_than_it_brings_in_and_shuts_out_nobody_who_is_there() {
        let origin = name("example");
        let mut edit = ZoneData::new(origin.clone()).edit();
        edit.add(origin.as_ref(), Rtype::A, 1, &[192, 0, 2, 1]).unwrap();
        let state = ZoneState::Loaded(edit.commit());
        let zones = ZoneMap::from_iter([Arc::new(Zone::new(origin.clone(), Arc::default(), state))]);
        let networks = vec![NetworkRate { ipv6: true, prefix: 32, rate: 100 }];
        let limits = RateLimit { responses: 5, networks, ..RateLimit::default() };
        let limiter = Some(Arc::new(Limiter::new(limits, Now::read().instant)));
        let view = View { settings: Arc::new(ViewSettings { limiter, ..ViewSettings::default() }), ..View::of(zones) };
        let cookies = Some(Arc::new(CookieSecrets::new([7; CookieSecrets::OCTETS], [])));
        let server = ServerSettings { cookies, ..ServerSettings::default() };
        let mut responder = Responder::new(Arc::new(Published::new(Snapshot::new(Arc::new(server), vec![view]))));
        let mut ask = |network: u128, transport, cookie: &[u8]| {
            let option = [&[0, 10, 0, cookie.len() as u8], cookie].concat();
            let option = if cookie.is_empty() { &[] } else { &*option };
            let request = [
                &[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1],
                origin.as_ref().as_wire(),
                &[0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, option.len() as u8],
                option,
            ]
            .concat();
            let addr = SocketAddr::from(((0x2001_0db8_u128 << 96 | network << 72 | 1).to_be_bytes(), 4053));
            let mut out = [0; 512];
            let reply = responder.respond(&request, &Client { addr, local: addr, transport }, &mut out).reply();
            (request.len(), out[..reply.map_or(0, |reply| reply.length)].to_vec())
        };
        let (mut brought, mut got) = (0, 0);
        for turn in 0..200_000 {
            let (request, response) = ask(turn * 5 % (1 << 20), Transport::Udp, &[]);
            (brought, got) = (brought + request, got + response.len());
        }
        assert!(got < brought, "{got} octets out, {brought} in");
        for network in 0..1000 {
            let (_, first) = ask(network, Transport::Tcp, &[1; 8]);
            assert_eq!(first[7], 1, "an answer over TCP");
            let (_, known) = ask(network, Transport::Udp, &first[first.len() - 24..]);
            assert_eq!(known[7], 1, "an answer to a client with a cookie");
        }
    }
}
