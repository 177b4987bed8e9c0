//! From a request's octets to a response's: parse, choose the class, answer or refuse, add EDNS. Every transport, test, fuzzer and
//! bench calls the same function.

use std::{net::IpAddr, sync::Arc, time::Instant};

use zonefmt::MAX_NAME;

use crate::{
    answer::{Outcome, Scratch, answer},
    listen::{Client, Respond, Transport},
    settings::ServerSettings,
    stats::{Counters, Event},
    wire::{
        HEADER, Rcode, flags,
        names::Names,
        request::{self, Edns},
        tsig::{TsigError, Unsigned},
        writer::{OptReply, Writer},
    },
    zones::{Published, Snapshot},
};

/// The largest message there can be, in octets.
pub const MAX_MESSAGE: usize = 65_535;

/// Octets every client takes over UDP (RFC 1035 4.2.1).
const MIN_UDP: u16 = 512;

/// Octets of NSID, at most; what remains of [`MIN_UDP`] beside the header, the longest question, an OPT and its other options.
pub(crate) const MAX_NSID: usize = MIN_UDP as usize - HEADER - (MAX_NAME + 4) - (11 + 4 + 6 + 6);

/// Answers requests from the newest snapshot. Each worker has its own.
pub struct Responder {
    published: Arc<Published>,
    /// `None` while idle, so that an old snapshot is not kept.
    snapshot: Option<Arc<Snapshot>>,
    scratch: Scratch,
    names: Names,
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
        let (scratch, names) = (Scratch::new(), Names::new());
        Responder { published, snapshot: None, scratch, names, keepalive: false, counters }
    }

    fn snapshot(&mut self) -> &Snapshot {
        self.snapshot.get_or_insert_with(|| self.published.load())
    }
}

impl Respond for Responder {
    #[inline]
    fn refresh(&mut self, _now: Instant) {
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
        let request = request::parse(message)?;
        let published = &self.published;
        let snapshot = &**self.snapshot.get_or_insert_with(|| published.load());
        let settings = &*snapshot.settings;
        if settings.blackhole.allows(client.addr.ip()) {
            return None;
        }
        let (header, question, edns, tsig) = match &request {
            Ok(request) => (request.header, Some(request.question), request.edns, request.tsig),
            Err(rejected) => (rejected.header, rejected.question, rejected.edns, rejected.tsig),
        };
        self.keepalive = edns.is_some_and(|edns| edns.keepalive) && client.transport != Transport::Udp;
        let reply = edns.map(|edns| opt_reply(settings, edns, self.keepalive));
        // There are no keys yet, so that none is known (RFC 8945 5.2.1).
        let bad_key = tsig.map(|to| Unsigned { to, error: TsigError::BadKey });
        let asked = question.filter(|_| request.is_ok() && tsig.is_none()).map(|question| question.qtype);
        let limit = limit(settings, client.transport, edns);
        let mut writer = Writer::new(out, limit, &mut self.names, question, reply.as_ref());
        let outcome = match request {
            _ if bad_key.is_some() => Outcome::error(Rcode::NOTAUTH, None),
            Ok(request) => answer(snapshot, header, request.question, client, &mut writer, &mut self.scratch),
            Err(rejected) => Outcome::error(rejected.rcode, None),
        };
        let aa = if outcome.authoritative { flags::AA } else { 0 };
        let opt = edns.zip(reply.as_ref()).map(|(edns, reply)| (edns, reply, outcome.ede));
        let length = writer.finish(header, aa, outcome.rcode, opt, bad_key.as_ref());
        self.counters.count(&Event {
            client,
            request: message,
            asked,
            edns,
            tsig: tsig.is_some(),
            response: Some((outcome.rcode, &out[..length])),
        });
        Some(length)
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
        nsid: settings.server_id.as_deref().filter(|_| edns.nsid).map(|id| &id[..id.len().min(MAX_NSID)]),
        keepalive: keepalive.then(timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        settings::{Order, OrderRule, RrsetOrder},
        zone::ZoneData,
        zones::{Zone, ZoneMap, ZoneState},
    };
    use std::net::{Ipv4Addr, SocketAddr};
    use zonefmt::{Class, Name, Rtype};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn responder(settings: ServerSettings, zones: ZoneMap) -> Responder {
        Responder::new(Arc::new(Published::new(Snapshot::new(Arc::new(settings), zones))))
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
        let zones = ZoneMap::from_iter([Arc::new(Zone { origin, settings: Arc::default(), state })]);
        let rule = |name, order| OrderRule { class: None, rtype: None, name: Some(name), order };
        let rrset_order = RrsetOrder(vec![rule(alias.clone(), Order::Cyclic), rule(target, Order::Fixed)]);
        let mut responder = responder(ServerSettings { rrset_order, ..ServerSettings::default() }, zones);
        for _ in 0..4 {
            let response = ask(&mut responder, &alias, Rtype::A, Class::IN, &[]);
            let order: Vec<u8> =
                response.windows(4).filter(|four| four.starts_with(&[192, 0, 2])).map(|a| a[3]).collect();
            assert_eq!(order, [1, 2, 3, 4]);
        }
    }
}
