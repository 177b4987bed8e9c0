//! A request that gets a response, and the response that is composed to it. `operations` are requests for something else
//! than an answer.

mod operations;

use zonefmt::{Class, NameRef, Rtype};

use self::operations::Instead;

use super::{LOOPING_PORTS, MAX_MESSAGE, MAX_NSID, MIN_UDP, seen::Seen};
use crate::{
    answer::{Answered, Outcome, Scratch, answer},
    cookies::Checked,
    dnstap::Directions,
    limit::{Case, Kind, Verdict},
    listen::{Client, Now, Transport},
    logs::{Asked, Ending, QueryLog},
    settings::{ServerSettings, ViewSettings},
    stats::Received,
    transfer::outbound::Datagram,
    tsig::{self, Signature, TsigError},
    wire::{
        HEADER, Rcode, flags,
        names::Names,
        request::{Edns, Header, Noted, Parsed, Question, Rejected},
        writer::{OptReply, Writer},
    },
    zones::Snapshot,
};

/// A request, and all that is known of it before it is answered.
pub(super) struct Admitted<'r> {
    pub(super) client: &'r Client,
    /// The request's octets.
    pub(super) message: &'r [u8],
    parsed: &'r Parsed<'r>,
    header: Header,
    /// The question, if there is one and the response has room to repeat it.
    question: Option<Question<'r>>,
    pub(super) edns: Option<Edns>,
    /// The view that it belongs to, and what its signature is worth.
    seen: Seen<'r>,
    server: &'r ServerSettings,
    /// The settings of its view, or those that hold outside of all views.
    rules: &'r ViewSettings,
    /// What its cookie is worth, if it has one and cookies are in use.
    pub(super) cookie: Option<Checked>,
    /// The type asked for, if the question is to be answered.
    pub(super) asked: Option<Rtype>,
    /// What became of a NOTIFY, or of a request for a transfer or an update that does not begin.
    instead: Option<Instead<'r>>,
    now: Now,
}

/// What a request came to.
pub(super) struct Composed<'c> {
    /// The answer, before rate limiting.
    pub(super) answered: Answered<'c>,
    pub(super) verdict: Verdict,
    /// The response; `None` if rate limiting drops it.
    pub(super) sent: Option<Sent<'c>>,
}

/// A response as it is sent.
#[derive(Clone, Copy)]
pub(super) struct Sent<'c> {
    pub(super) outcome: Outcome,
    pub(super) octets: &'c [u8],
}

impl<'r> Admitted<'r> {
    /// Finds out who asks and what they may see; `None`: they are to get no response.
    #[inline]
    pub(super) fn of(
        message: &'r [u8],
        parsed: &'r Parsed<'r>,
        client: &'r Client,
        snapshot: &'r Snapshot,
        now: Now,
    ) -> Option<Admitted<'r>> {
        let server = &*snapshot.settings;
        let loops = client.transport == Transport::Udp && LOOPING_PORTS.contains(&client.addr.port());
        if loops || server.blackhole.allows(client.addr.ip()) {
            return None;
        }
        let (header, question, edns, seen) = match parsed {
            Parsed::Request(request) => {
                let seen = Seen::by(request, client, snapshot, now.unix);
                (request.header, Some(request.question), request.edns, seen)
            }
            &Parsed::CookieOnly { header, edns } => (header, None, Some(edns), Seen::nothing(Rcode::FORMERR, None)),
            &Parsed::Rejected(Rejected { header, question, edns, rcode }) => {
                (header, question, edns, Seen::nothing(rcode, None))
            }
        };
        let rules = seen.view.map_or(&*server.outside, |view| &*view.settings);
        let given = edns.and_then(|edns| edns.cookie).zip(server.cookies.as_deref());
        let cookie = given.map(|(cookie, secrets)| secrets.check(&cookie, client.addr.ip(), now.unix));
        let answerable = header.is_query() && seen.view.is_ok() && !seen.signature.is_bad();
        let asked = question.filter(|_| answerable).map(|question| question.qtype);
        Some(Admitted {
            client,
            message,
            parsed,
            header,
            question,
            edns,
            seen,
            server,
            rules,
            cookie,
            asked,
            instead: None,
            now,
        })
    }

    /// Writes the response into `out`, or finds that there is to be none.
    #[inline]
    pub(super) fn compose<'c>(&mut self, names: &mut Names, scratch: &mut Scratch, out: &'c mut [u8]) -> Composed<'c>
    where
        'r: 'c,
    {
        let limit = self.limit().min(out.len());
        let tsig = self.signature();
        let unsigned = limit - tsig.as_ref().map_or(0, tsig::Reply::octets).min(limit);
        let opt = self.opt_reply();
        let opt = self.fitting(opt, unsigned);
        let case = self.case();
        let mut writer = Writer::new(out, unsigned, names, self.question, opt.as_ref());
        let answered = self.answered(&mut writer, scratch);
        let verdict =
            case.zip(answered.outcome.identity).map_or(Verdict::Send, |(case, identity)| case.judge(identity));
        let outcome = match verdict {
            Verdict::Send => answered.outcome,
            Verdict::Slip => slip(answered.outcome, self.question, self.cookie.is_some(), &mut writer),
            Verdict::Drop => return Composed { answered, verdict, sent: None },
        };
        let aa = if outcome.authoritative { flags::AA } else { 0 };
        let opt = self.edns.zip(opt.as_ref()).map(|(edns, opt)| (edns, opt, outcome.ede));
        let length = writer.finish(self.header, aa, outcome.rcode, opt);
        let length = match &tsig {
            // Without room for its signature a response is truncated: the client asks again over TCP.
            Some(tsig) => tsig.sign(&mut out[..limit], length).unwrap_or_else(|| truncate(out, length)),
            None => length,
        };
        Composed { answered, verdict, sent: Some(Sent { outcome, octets: &out[..length] }) }
    }

    /// Whether the client wants its connection kept open (RFC 7828).
    pub(super) fn keepalive(&self) -> bool {
        self.edns.is_some_and(|edns| edns.keepalive) && self.client.transport != Transport::Udp
    }

    /// Whether the client's cookie proves that it receives at its address.
    fn proven(&self) -> bool {
        self.cookie.is_some_and(|cookie| cookie.proves())
    }

    /// The request, to be counted.
    #[inline]
    pub(super) fn received(&self) -> Received<'_> {
        Received {
            client: self.client,
            octets: self.message,
            asked: self.asked,
            edns: self.edns,
            cookie: self.cookie.map(|cookie| cookie.standing),
            tsig: self.signature().map(|_| !self.seen.signature.is_bad()),
        }
    }

    /// Which messages of its kind are tapped: those of a view's clients.
    #[inline]
    pub(super) fn taps(&self) -> Directions {
        match self.seen.view {
            Ok(_) if self.is_update() => self.rules.taps.update,
            Ok(_) => self.rules.taps.auth,
            Err(_) => Directions::default(),
        }
    }

    /// The most octets that the response may have.
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
    fn signature(&self) -> Option<tsig::Reply<'r>> {
        let Parsed::Request(request) = self.parsed else { return None };
        tsig::Reply::to(request.tsig, self.seen.signature, self.now.unix)
    }

    /// The OPT that the response is to have.
    #[inline]
    fn opt_reply(&self) -> Option<OptReply<'r>> {
        let (edns, server) = (self.edns?, self.server);
        let timeout = || u16::try_from(server.tcp_advertised_timeout.as_millis() / 100).unwrap_or(u16::MAX);
        Some(OptReply {
            udp_size: self.rules.edns_udp_size,
            nsid: server.server_id.as_deref().filter(|_| edns.nsid).map(|id| &id[..id.len().min(MAX_NSID)]),
            keepalive: self.keepalive().then(timeout),
            cookie: self.cookie.map(|cookie| cookie.reply),
            expire: self.edns.filter(|edns| edns.noted.has(Noted::EXPIRE)).and_then(|_| self.expire()),
        })
    }

    /// For how many seconds the zone's version is valid, if it is the SOA or the whole zone that is asked for (RFC 7314).
    #[cold]
    fn expire(&self) -> Option<u32> {
        let (Parsed::Request(request), Ok(view)) = (self.parsed, self.seen.view) else { return None };
        let is_asked = matches!(self.asked, Some(Rtype::SOA | Rtype::AXFR | Rtype::IXFR));
        let zone =
            view.zones.get(request.question.qname).filter(|_| is_asked && request.question.qclass == Class::IN)?;
        let (data, key) = (zone.data()?, self.seen.signature.key());
        if !zone.settings.admit(self.client, key) {
            return None;
        }
        match zone.live.as_ref().filter(|_| zone.secondary.is_some()) {
            Some(live) => u32::try_from(live.timing().expires()?.saturating_sub(self.now.unix)).ok(),
            None => Some(data.soa()?.expire),
        }
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

    /// Writes the answer's records; or only finds the error to respond with.
    #[inline]
    fn answered(&mut self, writer: &mut Writer<'_>, scratch: &mut Scratch) -> Answered<'r> {
        let request = match self.parsed {
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
        let datagram = match self.instead.take() {
            Some(Instead::Outcome(answered)) => return answered,
            Some(Instead::Datagram(datagram)) => Some(datagram),
            None => None,
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
        if let Some(datagram) = datagram {
            datagram.write(writer);
            return Datagram::outcome(request.question.qname).into();
        }
        answer(view, request.header, request.question, self.client, key, writer, scratch)
    }

    /// What came of the request, for the query log.
    #[inline]
    pub(super) fn ending(&self, outcome: Outcome) -> Ending {
        match self.seen.signature {
            // Of a transfer that is refused, other lines tell.
            Signature::None | Signature::Valid(_) if self.wants_transfer() => Ending::Answered,
            Signature::None | Signature::Valid(_) => Ending::of(outcome),
            Signature::Unproven(error) | Signature::Proven(error, _) => Ending::BadSignature(error),
            Signature::Malformed => Ending::BadSignature(TsigError::BadSig),
        }
    }

    /// Logs the request, if its question was to be answered or its signature is wrong.
    #[cold]
    pub(super) fn note(&self, ending: Ending, queries: &mut QueryLog) {
        let (Parsed::Request(request), Ok(view)) = (self.parsed, self.seen.view) else { return };
        let named = request.tsig.and_then(|tsig| tsig.key());
        let key = match (ending, &named) {
            (Ending::BadSignature(_), Some(key)) => Some(key.as_ref()),
            _ if self.asked.is_some() => self.seen.signature.key(),
            _ => return,
        };
        let (client, cookie) = (self.client, self.cookie.map(|_| self.proven()));
        queries.note(&Asked { client, view, key, request, cookie, ending });
    }

    /// What rate limiting is to judge: the response to a client that has not proved to be at its address.
    #[inline]
    fn case(&self) -> Option<Case<'r>> {
        let limiter = self.rules.limiter.as_deref().filter(|_| !self.proven())?;
        let (qname, qtype) = self.question.map_or((NameRef::ROOT, Rtype::ANY), |q| (q.qname, q.qtype));
        Some(limiter.open(self.client, qname, qtype, self.now.instant))
    }
}

/// Makes of a response that is one too many a small one, with which a client at a true address can come back: over TCP,
/// or with the cookie that it gets.
fn slip(outcome: Outcome, question: Option<Question<'_>>, knows_cookies: bool, writer: &mut Writer<'_>) -> Outcome {
    let Some(question) = question else { return outcome };
    if knows_cookies {
        writer.clear(question);
        return Outcome::uncounted(Rcode::BADCOOKIE);
    }
    writer.truncate(question);
    // As in BIND, this does not show where a chain of CNAMEs ended.
    let exists = outcome.identity.is_none_or(|identity| identity.kind != Kind::Nxdomain);
    Outcome { rcode: if exists { Rcode::NOERROR } else { Rcode::NXDOMAIN }, ede: None, ..outcome }
}

/// Marks a finished response as truncated.
fn truncate(message: &mut [u8], length: usize) -> usize {
    message[2] |= (flags::TC >> 8) as u8;
    length
}
