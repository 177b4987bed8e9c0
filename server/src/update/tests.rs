//! Updates of a server, from the request to the reply. `stored`: those of zones that it does not keep itself.

mod stored;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use zonefmt::{Class, Name, NameRef, Rtype, Serial, rdata::Soa};

use super::{Policy, Queue};
use crate::{
    Opcode, Rcode,
    access::Acl,
    dnstap::Tap,
    keys::{Algorithm, Key},
    listen::{Client, Delivery, Later, Now, Respond, Response, Transport},
    live::Live,
    message::{Builder, Message, Question, Record, Section},
    respond::Responder,
    settings::{ServerSettings, Updates, ZoneSettings},
    stats::Counters,
    tsig::{Exchange, Keyring, TsigKey},
    zone::ZoneData,
    zones::{Published, Snapshot, View, Zone, ZoneMap, ZoneState},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server of one zone, which has no files.
struct Server {
    first: ZoneData,
    key: TsigKey,
    live: Arc<Live>,
    published: Arc<Published>,
    queue: Queue,
}

impl Server {
    /// A server of a zone that anybody may update, and that knows a key.
    fn of(zone: &str, key: &str) -> Server {
        Server::with(zone, key, Live::unkept)
    }

    /// The same with another owner of the zone.
    fn with(zone: &str, key: &str, own: impl FnOnce(ZoneData) -> Live) -> Server {
        let (origin, key) = (Name::from_ascii(zone).unwrap(), Name::from_ascii(key).unwrap());
        let (primary, mailbox) = (NameRef::ROOT, NameRef::ROOT);
        let soa = Soa { primary, mailbox, serial: Serial(1), refresh: 1, retry: 1, expire: 1, minimum: 1 };
        let mut edit = ZoneData::new(origin.clone()).edit();
        edit.add(origin.as_ref(), Rtype::SOA, 60, &soa.to_wire()).unwrap();
        edit.add(origin.as_ref(), Rtype::NS, 60, NameRef::ROOT.as_wire()).unwrap();
        let first = edit.commit();
        let secret = Key::new("key", Algorithm::HmacSha512, "MDEyMzQ1Njc4OWFiY2RlZg==").unwrap();
        let key = TsigKey::new(&key, secret, None);
        let published = Arc::new(Published::new(Snapshot::default()));
        let queue = Queue::start(&published, Counters::default, Tap::default).unwrap();
        let server = Server { live: Arc::new(own(first.clone())), first, key, published, queue };
        server.configure(Policy::Clients(Acl::any()), true);
        server
    }

    /// Serves the zone to clients of this policy, with or without the key.
    fn configure(&self, policy: Policy, has_key: bool) {
        let settings = ZoneSettings { updates: Updates { policy, ..Updates::default() }, ..ZoneSettings::default() };
        let (origin, state) = (self.first.origin().to_owned(), ZoneState::Loaded(self.first.clone()));
        let zone = Zone::new(origin, Arc::new(settings), state).owned_by(Some(Arc::clone(&self.live)));
        let keys = Arc::new(Keyring::new(has_key.then(|| self.key.clone())));
        let view = View { keys, ..View::of(ZoneMap::from_iter([Arc::new(zone)])) };
        let settings = ServerSettings { server_id: Some(vec![b'i'; 300]), ..ServerSettings::default() };
        self.published.update(|snapshot| *snapshot = Snapshot::new(Arc::new(settings), vec![view]));
    }

    /// An update of a client that takes 512 octets, and what verifies its reply.
    fn request(&self) -> (Vec<u8>, Exchange) {
        let (origin, class) = (self.first.origin(), Class::IN);
        let question = Question { qname: origin, qtype: Rtype::SOA, qclass: class };
        let record = Record { owner: origin, rtype: Rtype::A, class, ttl: 60, rdata: &[192, 0, 2, 7] };
        let nsid: (u16, &[u8]) = (3, &[]);
        let request = Builder::new(1, Opcode::UPDATE, question).record(Section::Authority, &record);
        let mut request = request.and_then(|request| request.opt(512, &[nsid])).unwrap().finish();
        let mut exchange = Exchange::new(Some(self.key.clone()));
        exchange.sign(&mut request, Now::read().unix);
        (request, exchange)
    }

    /// Sends a request over UDP; the reply comes later.
    fn send(&self, request: &[u8]) -> UnboundedReceiver<Delivery> {
        let mut responder = Responder::new(Arc::clone(&self.published)).updating(self.queue.clone());
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 4053));
        let client = Client { addr, local: addr, transport: Transport::Udp };
        let Response::Later(begin) = responder.respond(request, &client, &mut [0; 512]) else {
            panic!("it is refused at once");
        };
        let (sender, replies) = unbounded_channel();
        begin(Later::tcp(sender));
        replies
    }
}

fn receive(mut replies: UnboundedReceiver<Delivery>) -> Vec<u8> {
    let begin = Instant::now();
    loop {
        if let Ok(reply) = replies.try_recv() {
            let Delivery::Reply(reply) = reply else { panic!("it gets a reply") };
            return reply;
        }
        assert!(begin.elapsed() < PATIENCE, "no reply");
        thread::sleep(Duration::from_millis(1));
    }
}

/// It was made, because the client had been allowed to make it when it came.
#[test]
fn an_update_that_waits_is_made_only_if_its_client_still_may() {
    let server = Server::of("example", "key");
    let anybody = || Policy::Clients(Acl::any());
    let cases = [
        (Policy::nobody(), true, Rcode::REFUSED, 1),
        (anybody(), false, Rcode::REFUSED, 1),
        (anybody(), true, Rcode::NOERROR, 2),
    ];
    for (policy, has_key, rcode, serial) in cases {
        server.configure(anybody(), true);
        let held = server.live.lock();
        let replies = server.send(&server.request().0);
        server.configure(policy, has_key);
        drop(held);
        let reply = receive(replies);
        let reply = Message::read(&reply).unwrap();
        let told = reply.opt().and_then(|opt| opt.option(15)).map(|error| error[1]);
        assert_eq!((reply.rcode(), told), (rcode, Some(18).filter(|_| rcode == Rcode::REFUSED)));
        assert_eq!(server.live.lock().data().serial(), Some(Serial(serial)));
    }
}

/// With two long names, a long signature and an identity of the server it was longer.
#[test]
fn a_reply_over_udp_is_no_longer_than_what_the_client_takes() {
    let long = |label: &str| [63, 63, 63, 57].map(|length| label.repeat(length)).join(".");
    for (zone, key) in [("example".to_owned(), "key".to_owned()), (long("z"), "key".into()), (long("z"), long("k"))] {
        let server = Server::of(&zone, &key);
        for (policy, rcode) in [(Policy::Clients(Acl::any()), Rcode::NOERROR), (Policy::nobody(), Rcode::REFUSED)] {
            let (request, mut exchange) = server.request();
            let held = server.live.lock();
            let replies = server.send(&request);
            server.configure(policy, true);
            drop(held);
            let reply = receive(replies);
            assert!(reply.len() <= 512, "{} octets", reply.len());
            let reply = Message::read(&reply).unwrap();
            assert_eq!(reply.rcode(), rcode);
            exchange.verify(&reply, Now::read().unix).unwrap();
        }
    }
}
