//! From a request's octets to a response's: parse, find out who asks and what they see, answer or refuse, add EDNS, sign.
//! Every transport, test, fuzzer and bench calls the same function.

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;
use zonefmt::{MAX_NAME, NameRef, Rtype};

use crate::{
    answer::{Answered, Outcome, Scratch, answer},
    cookies::{self, Checked},
    dnstap::{Message, Tap, Tapped, Taps},
    limit::{Kind, Verdict},
    listen::{Client, Now, Respond, Transport},
    logs::{Asked, Ending, QueryLog},
    settings::{ServerSettings, ViewSettings},
    stats::{Counters, Event},
    tsig::{self, Signature, TsigError},
    wire::{
        HEADER, Rcode, flags,
        names::Names,
        request::{self, Edns, Header, Parsed, Question, Rejected},
        writer::{OptReply, Writer},
    },
    zones::{Published, Seen, Snapshot},
};

/// The largest message there can be, in octets.
pub const MAX_MESSAGE: usize = 65_535;

/// Source ports of services that answer whatever they get: answering them could start a loop, or be what a forger wants
/// (echo, daytime, chargen, time; as `named` has it).
const LOOPING_PORTS: [u16; 4] = [7, 13, 19, 37];

/// Octets every client takes over UDP (RFC 1035 4.2.1).
const MIN_UDP: u16 = 512;

/// Octets of NSID, at most; what remains of [`MIN_UDP`] beside the header, the longest question, an OPT and its other options.
pub(crate) const MAX_NSID: usize = MIN_UDP as usize - HEADER - (MAX_NAME + 4) - (11 + 4 + 6 + 6 + 4 + cookies::REPLY);

/// Answers requests from the newest snapshot. Each worker has its own.
pub struct Responder {
    published: Arc<Published>,
    /// `None` while idle, so that an old snapshot is not kept.
    snapshot: Option<Arc<Snapshot>>,
    now: Now,
    scratch: Scratch,
    names: Names,
    queries: QueryLog,
    tap: Tap,
    keepalive: bool,
    counters: Counters,
}

impl Responder {
    /// A responder on what is published; what it counts, nobody reads.
    pub fn new(published: Arc<Published>) -> Responder {
        Responder::counting(published, Counters::default())
    }

    /// A responder on what is published, that counts here.
    pub fn counting(published: Arc<Published>, counters: Counters) -> Responder {
        let (scratch, names, now) = (Scratch::new(), Names::new(), Now::read());
        let (queries, tap) = (QueryLog::default(), Tap::default());
        Responder { published, snapshot: None, now, scratch, names, queries, tap, keepalive: false, counters }
    }

    /// With a log to tell what is asked.
    #[must_use]
    pub fn logging(self, queries: QueryLog) -> Responder {
        Responder { queries, ..self }
    }

    /// With a tap for the messages themselves.
    #[must_use]
    pub fn tapped(self, tap: Tap) -> Responder {
        Responder { tap, ..self }
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

    /// Writes the response to `message` into `out` and gives its length; `None`: there is to be no response. `out` takes
    /// 512 octets at least; over TCP, [`MAX_MESSAGE`].
    fn respond(&mut self, message: &[u8], client: &Client, out: &mut [u8]) -> Option<usize> {
        self.keepalive = false;
        if client.transport == Transport::Udp && LOOPING_PORTS.contains(&client.addr.port()) {
            return None;
        }
        let request = request::parse(message)?;
        let published = &self.published;
        let snapshot = &**self.snapshot.get_or_insert_with(|| published.load());
        if snapshot.settings.blackhole.allows(client.addr.ip()) {
            return None;
        }
        let mut heard = Heard::of(&request, client, snapshot, self.now.unix);
        self.keepalive = heard.keepalive();
        let taps = heard.taps();
        let asked_at = taps.any().then(Timestamp::now);
        if let Some(asked) = asked_at.filter(|_| taps.queries && heard.asked.is_some()) {
            self.tap.tell(&Message { kind: Tapped::AuthQuery, client, octets: message, asked, zone: None });
        }
        let limit = heard.limit().min(out.len());
        let tsig = heard.signature(self.now.unix);
        let unsigned = limit - tsig.as_ref().map_or(0, tsig::Reply::octets).min(limit);
        let opt = heard.opt_reply(&snapshot.settings);
        let opt = heard.fitting(opt, unsigned);
        let mut writer = Writer::new(out, unsigned, &mut self.names, heard.question, opt.as_ref());
        let Answered { outcome, zone } = heard.answered(&mut writer, &mut self.scratch);
        let ending = heard.ending(outcome);
        if self.queries.wants(ending) {
            heard.note(ending, &mut self.queries);
        }
        let verdict = heard.verdict(outcome, self.now);
        let event = |response| Event {
            client,
            request: message,
            asked: heard.asked,
            zone: zone.and_then(|zone| zone.counters.as_deref()),
            edns: heard.edns,
            cookie: heard.cookie.map(|cookie| cookie.standing),
            verdict,
            tsig: tsig.is_some(),
            response,
        };
        let outcome = match verdict {
            Verdict::Send => outcome,
            Verdict::Slip => slip(outcome, heard.question, heard.cookie.is_some(), &mut writer),
            Verdict::Drop => {
                self.counters.count(&event(None));
                return None;
            }
        };
        let aa = if outcome.authoritative { flags::AA } else { 0 };
        let opt = heard.edns.zip(opt.as_ref()).map(|(edns, opt)| (edns, opt, outcome.ede));
        let length = writer.finish(heard.header, aa, outcome.rcode, opt);
        let length = match &tsig {
            // Without room for its signature a response is truncated: the client asks again over TCP.
            Some(tsig) => tsig.sign(&mut out[..limit], length).unwrap_or_else(|| truncate(out, length)),
            None => length,
        };
        let octets = &out[..length];
        self.counters.count(&event(Some((outcome.rcode, octets))));
        if let Some(asked) = asked_at.filter(|_| taps.responses) {
            let zone = zone.filter(|_| outcome.authoritative).map(|zone| zone.origin.as_ref());
            self.tap.tell(&Message { kind: Tapped::AuthResponse, client, octets, asked, zone });
        }
        Some(length)
    }

    fn keepalive(&self) -> bool {
        self.keepalive
    }

    fn release(&mut self) {
        self.snapshot = None;
    }
}

/// A request, and what is found out of it before it is answered.
struct Heard<'h> {
    request: &'h Parsed<'h>,
    client: &'h Client,
    header: Header,
    question: Option<Question<'h>>,
    edns: Option<Edns>,
    /// What it sees of the server, and how it is answered there.
    seen: Seen<'h>,
    rules: &'h ViewSettings,
    cookie: Option<Checked>,
    /// The type asked for, if it comes to a question.
    asked: Option<Rtype>,
}

impl<'h> Heard<'h> {
    /// Finds out who asks and what they see; `now` is in seconds since 1970.
    #[inline]
    fn of(request: &'h Parsed<'h>, client: &'h Client, snapshot: &'h Snapshot, now: u64) -> Heard<'h> {
        let settings = &*snapshot.settings;
        let (header, question, edns, seen) = match request {
            Parsed::Request(request) => {
                (request.header, Some(request.question), request.edns, snapshot.seen(request, client, now))
            }
            &Parsed::CookieOnly { header, edns } => (header, None, Some(edns), Seen::nothing(Rcode::FORMERR, None)),
            &Parsed::Rejected(Rejected { header, question, edns, rcode }) => {
                (header, question, edns, Seen::nothing(rcode, None))
            }
        };
        let rules = seen.view.map_or(&*settings.outside, |view| &*view.settings);
        let given = edns.and_then(|edns| edns.cookie).zip(settings.cookies.as_deref());
        let cookie = given.map(|(cookie, secrets)| secrets.check(&cookie, client.addr.ip(), now));
        let answerable = header.is_query() && seen.view.is_ok() && !seen.signature.is_bad();
        let asked = question.filter(|_| answerable).map(|question| question.qtype);
        Heard { request, client, header, question, edns, seen, rules, cookie, asked }
    }

    /// Whether the client wants its connection kept open.
    fn keepalive(&self) -> bool {
        self.edns.is_some_and(|edns| edns.keepalive) && self.client.transport != Transport::Udp
    }

    /// Whether the client is certainly where it claims to be.
    fn proven(&self) -> bool {
        self.cookie.is_some_and(|cookie| cookie.proves())
    }

    /// Which messages dnstap is told: of a view's clients, and no updates, which it has other names for.
    #[inline]
    fn taps(&self) -> Taps {
        let told = self.seen.view.is_ok() && !self.header.is_update();
        if told { self.rules.taps } else { Taps::default() }
    }

    /// How many octets the response may have.
    #[inline]
    fn limit(&self) -> usize {
        let nocookie = if self.proven() { u16::MAX } else { self.rules.nocookie_udp_size };
        let most = self.rules.max_udp_size.min(nocookie).max(MIN_UDP);
        match (self.client.transport, self.edns) {
            (Transport::Tcp, _) => MAX_MESSAGE,
            (Transport::Udp, None) => MIN_UDP.into(),
            (Transport::Udp, Some(edns)) => edns.udp_size.clamp(MIN_UDP, most).into(),
        }
    }

    /// The signature that the response is to have.
    #[inline]
    fn signature(&self, now: u64) -> Option<tsig::Reply<'h>> {
        let Parsed::Request(request) = self.request else { return None };
        tsig::Reply::to(request.tsig, self.seen.signature, now)
    }

    /// The OPT that the response is to have.
    #[inline]
    fn opt_reply<'s>(&self, server: &'s ServerSettings) -> Option<OptReply<'s>> {
        let edns = self.edns?;
        let timeout = || u16::try_from(server.tcp_advertised_timeout.as_millis() / 100).unwrap_or(u16::MAX);
        Some(OptReply {
            udp_size: self.rules.edns_udp_size,
            nsid: server.server_id.as_deref().filter(|_| edns.nsid).map(|id| &id[..id.len().min(MAX_NSID)]),
            keepalive: self.keepalive().then(timeout),
            cookie: self.cookie.map(|cookie| cookie.reply),
        })
    }

    /// Leaves out what has no room in so many octets: beside a signature, whose two names may have 255 octets each, 512
    /// octets are few. The server's identity goes first, then the question, then all of EDNS.
    #[inline]
    fn fitting<'o>(&mut self, opt: Option<OptReply<'o>>, room: usize) -> Option<OptReply<'o>> {
        let fixed = |question: Option<Question<'_>>, opt: Option<&OptReply<'_>>| {
            HEADER + question.map_or(0, |question| question.qname.len() + 4) + opt.map_or(0, OptReply::octets)
        };
        if fixed(self.question, opt.as_ref()) <= room {
            return opt;
        }
        let opt = opt.map(|opt| OptReply { nsid: None, ..opt });
        if fixed(self.question, opt.as_ref()) > room {
            self.question = None;
        }
        opt.filter(|opt| fixed(self.question, Some(opt)) <= room)
    }

    /// Answers, or says why not.
    #[inline]
    fn answered(&self, writer: &mut Writer<'_>, scratch: &mut Scratch) -> Answered<'h> {
        let request = match self.request {
            Parsed::Request(request) => request,
            // The OPT has the cookie.
            Parsed::CookieOnly { .. } if self.cookie.is_some() => return Outcome::uncounted(Rcode::NOERROR).into(),
            Parsed::CookieOnly { .. } => return Outcome::error(Rcode::FORMERR, None).into(),
            Parsed::Rejected(rejected) => return Outcome::error(rejected.rcode, None).into(),
        };
        let view = match self.seen.view {
            Ok(view) => view,
            Err(instead) => return instead.into(),
        };
        let key = match &self.seen.signature {
            Signature::None => None,
            Signature::Valid(signer) => Some(signer.name()),
            Signature::Malformed => return Outcome::error(Rcode::FORMERR, None).into(),
            Signature::Unproven(_) | Signature::Proven(..) => return Outcome::error(Rcode::NOTAUTH, None).into(),
        };
        if !request.header.is_query() {
            return Outcome::error(Rcode::NOTIMP, None).into();
        }
        if self.question.is_none() {
            writer.give_up();
            return Outcome::uncounted(Rcode::NOERROR).into();
        }
        let asks_for_cookies = self.rules.require_server_cookie && self.client.transport == Transport::Udp;
        if asks_for_cookies && self.cookie.is_some() && !self.proven() {
            return Outcome::uncounted(Rcode::BADCOOKIE).into();
        }
        answer(view, request.header, request.question, self.client, key, writer, scratch)
    }

    /// What came of it, for the query log.
    #[inline]
    fn ending(&self, outcome: Outcome) -> Ending {
        match self.seen.signature {
            Signature::None | Signature::Valid(_) => Ending::of(outcome),
            Signature::Unproven(error) | Signature::Proven(error, _) => Ending::BadSignature(error),
            Signature::Malformed => Ending::BadSignature(TsigError::BadSig),
        }
    }

    /// Tells the query log, if it came to a question or to a signature that is wrong.
    #[cold]
    fn note(&self, ending: Ending, queries: &mut QueryLog) {
        let (Parsed::Request(request), Ok(view)) = (self.request, self.seen.view) else { return };
        let mut name = [0; MAX_NAME];
        let key = match (ending, &request.tsig) {
            (Ending::BadSignature(_), Some(tsig)) => Some(tsig.key(&mut name)),
            _ if self.asked.is_some() => self.seen.signature.key(),
            _ => return,
        };
        let (client, cookie) = (self.client, self.cookie.map(|_| self.proven()));
        queries.note(&Asked { client, view, key, request, cookie, ending });
    }

    /// Whether it is said too often.
    #[inline]
    fn verdict(&self, outcome: Outcome, now: Now) -> Verdict {
        match (self.rules.limiter.as_deref().filter(|_| !self.proven()), outcome.identity) {
            (Some(limiter), Some(identity)) => {
                let (qname, qtype) = self.question.map_or((NameRef::ROOT, Rtype::ANY), |q| (q.qname, q.qtype));
                limiter.judge(self.client, qname, qtype, identity, now.instant)
            }
            _ => Verdict::Send,
        }
    }
}

/// What is said in place of a response that is one too many: enough for a client that is there to come back, over TCP or
/// with the cookie that it gets.
fn slip(outcome: Outcome, question: Option<Question<'_>>, knows_cookies: bool, writer: &mut Writer<'_>) -> Outcome {
    let Some(question) = question else { return outcome };
    if knows_cookies {
        writer.clear(question);
        return Outcome::uncounted(Rcode::BADCOOKIE);
    }
    writer.truncate(question);
    // As in BIND: what a chain came to is not told.
    let exists = outcome.identity.is_none_or(|identity| identity.kind != Kind::Nxdomain);
    Outcome { rcode: if exists { Rcode::NOERROR } else { Rcode::NXDOMAIN }, ede: None, ..outcome }
}

/// Marks a finished response as truncated.
fn truncate(message: &mut [u8], length: usize) -> usize {
    message[2] |= (flags::TC >> 8) as u8;
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cookies::CookieSecrets,
        limit::{Limiter, NetworkRate, RateLimit},
        settings::{Order, OrderRule, RrsetOrder},
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
        let length = responder.respond(&request, &client, &mut out).unwrap();
        out[..length].to_vec()
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
            responder.respond(&request, &client, &mut [0; 512]).is_some()
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
            let length = responder.respond(&request, &Client { addr, local: addr, transport }, &mut out);
            (request.len(), out[..length.unwrap_or(0)].to_vec())
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
