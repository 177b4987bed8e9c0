//! Updates of zones that a [`ChangeStore`] keeps. The store here keeps them in memory, and serves them as whoever makes the
//! versions of such a zone does.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use super::*;
use crate::{
    live::{Author, Batch, ChangeStore, Replies, Unkept, Written},
    sync::lock,
    update::{Names, Rule},
    zones::ZoneChange,
};

/// What happens when a batch is to be kept: an error, or nothing special.
type Act = Box<dyn FnOnce(&Memory, &Batch) -> Result<(), Unkept> + Send>;

/// A store without a disk.
#[derive(Default)]
struct Memory {
    zone: OnceLock<(Arc<Live>, Arc<Published>)>,
    /// For the next batches, one each.
    acts: Mutex<VecDeque<Act>>,
    /// How many batches there were.
    asked: AtomicUsize,
    kept: Mutex<Vec<Vec<Written>>>,
    /// What becomes of the replies; without it, they are sent.
    waiting: Mutex<Option<Sender<(Serial, Replies)>>>,
    turned_away: Mutex<Vec<(Author, Rcode, String)>>,
}

impl ChangeStore for Memory {
    fn keep(&self, batch: Batch) -> Result<Serial, Unkept> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let act = lock(&self.acts).pop_front();
        act.map_or(Ok(()), |act| act(self, &batch))?;
        let (live, _) = self.zone.get().unwrap();
        if !live.newest().is(&batch.before) {
            return Err(Unkept::Stale);
        }
        let mut at = batch.before;
        for Written { change, after, .. } in &batch.updates {
            at = change.apply(&at).unwrap();
            assert!(at.differences(after).next().is_none(), "each starts where the one before has ended");
        }
        if !batch.updates.is_empty() {
            lock(&self.kept).push(batch.updates);
            self.serve(&at);
        }
        Ok(at.serial().unwrap())
    }

    fn when_served(&self, origin: &Name, serial: Serial, replies: Replies) {
        assert_eq!(origin.as_ref(), self.newest().origin());
        match &*lock(&self.waiting) {
            Some(waiting) => waiting.send((serial, replies)).unwrap(),
            None => replies.send(),
        }
    }

    fn turned_away(&self, _: &Name, author: &Author, rcode: Rcode, why: &str) {
        lock(&self.turned_away).push((author.clone(), rcode, why.to_owned()));
    }
}

impl Memory {
    /// A server of the zone `example` that keeps it here, and that anybody may update.
    fn server() -> (Server, Arc<Memory>) {
        let memory = Arc::new(Memory::default());
        let server = Server::with("example", "key", |first| Live::kept_by(first, memory.clone()));
        assert!(memory.zone.set((Arc::clone(&server.live), Arc::clone(&server.published))).is_ok());
        (server, memory)
    }

    /// Lets this happen with the next batch for which nothing was said yet.
    fn then(&self, act: impl FnOnce(&Memory, &Batch) -> Result<(), Unkept> + Send + 'static) {
        lock(&self.acts).push_back(Box::new(act));
    }

    /// Holds the thread up with an update, until the returned sender is dropped, so that the next ones come together.
    fn hold_up(&self, server: &Server) -> (Pending, Sender<()>) {
        let (release, held) = channel::<()>();
        let (began, begins) = channel();
        self.then(move |_, _| {
            began.send(()).unwrap();
            let _ = held.recv_timeout(PATIENCE);
            Ok(())
        });
        let pending = server.ask(add("first"));
        begins.recv_timeout(PATIENCE).unwrap();
        (pending, release)
    }

    /// Has replies wait for the returned receiver.
    fn wait(&self) -> Receiver<(Serial, Replies)> {
        let (sender, waiting) = channel();
        *lock(&self.waiting) = Some(sender);
        waiting
    }

    /// Serves another version.
    fn serve(&self, data: &ZoneData) {
        let (live, published) = self.zone.get().unwrap();
        live.follow(data.clone());
        published.update(|snapshot| {
            let zone = snapshot.view(View::DEFAULT).unwrap().zones.get(data.origin()).unwrap();
            let zone = Arc::new(zone.with_state(ZoneState::Loaded(data.clone())));
            snapshot.change(View::DEFAULT, [ZoneChange::Put(zone)]);
        });
    }

    /// Serves a version with a name that nobody has sent.
    fn add_elsewhere(&self, label: &str) {
        let newest = self.newest();
        let soa = newest.rrset(newest.origin(), Rtype::SOA).unwrap().rdatas().next().unwrap();
        let mut edit = newest.edit();
        let next = Soa::with_serial(soa, newest.serial().unwrap().next());
        edit.replace(newest.origin(), Rtype::SOA, 60, [&next[..]]).unwrap();
        edit.add(name(label).as_ref(), Rtype::A, 60, &[192, 0, 2, 8]).unwrap();
        self.serve(&edit.commit());
    }

    fn newest(&self) -> ZoneData {
        self.zone.get().unwrap().0.newest()
    }

    /// Whether a name is served.
    fn serves(&self, label: &str) -> bool {
        let snapshot = self.zone.get().unwrap().1.load();
        let zone = snapshot.view(View::DEFAULT).unwrap().zones.get(self.newest().origin()).unwrap();
        zone.data().unwrap().node(name(label).as_ref()).is_some()
    }

    /// The names that were made durable, batch by batch.
    fn names(&self) -> Vec<Vec<Name>> {
        let of = |written: &Written| written.change.added().iter().nth(1).unwrap().owner.to_owned();
        lock(&self.kept).iter().map(|batch| batch.iter().map(of).collect()).collect()
    }
}

fn name(label: &str) -> Name {
    Name::from_ascii(format!("{label}.example")).unwrap()
}

fn names<const N: usize>(labels: [&str; N]) -> Vec<Name> {
    labels.map(name).into()
}

/// What a client sends.
#[derive(Clone, Copy)]
struct Ask<'a> {
    id: u16,
    adds: &'a str,
    /// A name, and whether it has to be there.
    prerequisite: Option<(&'a str, bool)>,
    signed: bool,
    edns: bool,
    qtype: Rtype,
}

/// Adds an address.
fn add(label: &str) -> Ask<'_> {
    Ask { id: 7, adds: label, prerequisite: None, signed: true, edns: true, qtype: Rtype::SOA }
}

impl<'a> Ask<'a> {
    fn unless(self, label: &'a str) -> Ask<'a> {
        Ask { prerequisite: Some((label, false)), ..self }
    }

    fn needing(self, label: &'a str) -> Ask<'a> {
        Ask { prerequisite: Some((label, true)), ..self }
    }

    fn message(&self) -> Vec<u8> {
        let (origin, class, rtype) = (Name::from_ascii("example").unwrap(), Class::IN, Rtype::A);
        let owner = if self.adds.contains('.') { Name::from_ascii(self.adds).unwrap() } else { name(self.adds) };
        let adds = Record { owner: owner.as_ref(), rtype, class, ttl: 60, rdata: &[192, 0, 2, 7] };
        let question = Question { qname: origin.as_ref(), qtype: self.qtype, qclass: class };
        let mut builder = Builder::new(self.id, Opcode::UPDATE, question).record(Section::Authority, &adds).unwrap();
        if let Some((label, is_there)) = self.prerequisite {
            let (owner, class) = (name(label), if is_there { Class::ANY } else { Class::NONE });
            let record = Record { owner: owner.as_ref(), rtype: Rtype::ANY, class, ttl: 0, rdata: &[] };
            builder = builder.record(Section::Answer, &record).unwrap();
        }
        if self.edns { builder.opt(1232, &[]).unwrap() } else { builder }.finish()
    }
}

/// An update that has no reply yet.
struct Pending {
    replies: UnboundedReceiver<Delivery>,
    exchange: Exchange,
}

/// A response code, and the Extended DNS Error beside it.
type Told = (Rcode, Option<(u8, String)>);

const MADE: Told = (Rcode::NOERROR, None);

impl Server {
    fn ask(&self, ask: Ask<'_>) -> Pending {
        let mut exchange = Exchange::new(ask.signed.then(|| self.key.clone()));
        let mut request = ask.message();
        exchange.sign(&mut request, Now::read().unix);
        Pending { replies: self.send(&request), exchange }
    }

    /// What an update gets that is turned away at once.
    fn refuses(&self, ask: Ask<'_>) -> Rcode {
        let mut responder = Responder::new(Arc::clone(&self.published)).updating(self.queue.clone());
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 4053));
        let client = Client { addr, local: addr, transport: Transport::Udp };
        let mut out = [0; 512];
        let Response::Reply(reply) = responder.respond(&ask.message(), &client, &mut out) else {
            panic!("it is not refused at once");
        };
        Message::read(&out[..reply.length]).unwrap().rcode()
    }
}

impl Pending {
    fn told(mut self) -> Told {
        let reply = receive(self.replies);
        let reply = Message::read(&reply).unwrap();
        self.exchange.verify(&reply, Now::read().unix).unwrap();
        let error = reply.opt().and_then(|opt| opt.option(15));
        (reply.rcode(), error.map(|data| (data[1], String::from_utf8(data[2..].to_vec()).unwrap())))
    }

    fn waits(&mut self) -> bool {
        self.replies.try_recv().is_err()
    }
}

fn failed(why: &str) -> Told {
    (Rcode::SERVFAIL, Some((14, why.to_owned())))
}

#[test]
fn an_update_is_stored_before_it_is_served_and_served_before_it_is_answered() {
    let (server, memory) = Memory::server();
    let waiting = memory.wait();
    let (found, finds) = channel();
    memory.then(move |memory, _| {
        found.send(memory.serves("a")).unwrap();
        Ok(())
    });
    let mut pending = server.ask(add("a"));
    let (serial, replies) = waiting.recv_timeout(PATIENCE).unwrap();
    assert!(!finds.recv().unwrap(), "it was served before it was stored");
    assert_eq!(serial, Serial(2));
    assert!(memory.serves("a") && pending.waits());
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 4053));
    let key = Some(Name::from_ascii("key").unwrap());
    assert_eq!(lock(&memory.kept)[0][0].author, Author { client, key, id: 7 });
    assert!(server.live.since(Serial(1)).is_some(), "secondaries get the change");
    replies.send();
    assert_eq!(pending.told(), MADE);
    assert!(lock(&memory.turned_away).is_empty());
}

#[test]
fn replies_that_are_dropped_are_sent() {
    let (server, memory) = Memory::server();
    let waiting = memory.wait();
    let mut pending = server.ask(add("a"));
    let replies = waiting.recv_timeout(PATIENCE).unwrap();
    assert!(pending.waits());
    drop(replies);
    assert_eq!(pending.told(), MADE);
}

#[test]
fn updates_that_change_nothing_are_not_stored_but_true_of_the_newest_version() {
    let (server, memory) = Memory::server();
    memory.add_elsewhere("a");
    let _waiting = memory.wait();
    assert_eq!(server.ask(add("b").unless("a")).told(), (Rcode::YXDOMAIN, None));
    // An address that is to come and is there makes no change.
    memory.serve(&{
        let mut edit = memory.newest().edit();
        edit.replace(name("a").as_ref(), Rtype::A, 60, [&[192, 0, 2, 7][..]]).unwrap();
        edit.commit()
    });
    assert_eq!(server.ask(add("a")).told(), MADE);
    assert_eq!((memory.asked.load(Ordering::Relaxed), memory.names().len()), (2, 0));
    for ask in [add("a"), add("b").unless("a")] {
        memory.then(|_, _| Err(Unkept::Failed("another operator leads".to_owned())));
        assert_eq!(server.ask(ask).told(), failed("another operator leads"));
    }
}

/// The thread held the zone's lock while it committed, and whoever gives the zone a version waits for that lock.
#[test]
fn a_version_may_be_handed_over_while_updates_are_stored() {
    let (server, memory) = Memory::server();
    memory.then(|memory, _| {
        let (live, newest) = (Arc::clone(&memory.zone.get().unwrap().0), memory.newest());
        let (done, is_done) = channel();
        thread::spawn(move || {
            live.follow(newest);
            drop(live.lock());
            let _ = done.send(());
        });
        is_done.recv_timeout(PATIENCE).map_err(|_| Unkept::Failed("deadlock".to_owned()))
    });
    assert_eq!(server.ask(add("a")).told(), MADE);
}

#[test]
fn updates_of_another_version_are_carried_out_anew_with_their_prerequisites() {
    let (server, memory) = Memory::server();
    let (first, release) = memory.hold_up(&server);
    memory.then(|memory, _| {
        memory.add_elsewhere("b");
        Err(Unkept::Stale)
    });
    let asks = [add("a"), add("c").unless("b"), add("d").needing("b"), add("e").needing("c")];
    let pending = asks.map(|ask| server.ask(ask));
    drop(release);
    assert_eq!(first.told(), MADE);
    let [yx, nx] = [Rcode::YXDOMAIN, Rcode::NXDOMAIN].map(|rcode| (rcode, None));
    // The last one has had its name from the second one at first.
    assert_eq!(pending.map(Pending::told), [MADE, yx, MADE, nx]);
    assert_eq!(memory.names(), [names(["first"]), names(["a", "d"])]);
    assert!(memory.serves("b") && !memory.serves("c"));
}

#[test]
fn an_update_that_is_tried_anew_is_made_only_if_its_client_still_may() {
    let (server, memory) = Memory::server();
    let (pending, release) = memory.hold_up(&server);
    memory.add_elsewhere("b");
    server.configure(Policy::nobody(), true);
    drop(release);
    assert_eq!(pending.told(), (Rcode::REFUSED, Some((18, "denied".to_owned()))));
    assert!(memory.names().is_empty());
}

#[test]
fn updates_do_not_wait_for_ever_for_the_replies_to_those_before() {
    let (server, memory) = Memory::server();
    let replies = memory.wait();
    let next = || replies.recv_timeout(PATIENCE).expect("it is stored").1;
    let first = server.ask(add("a"));
    let held = next();
    // The servers take their time.
    let others = [server.ask(add("b")), server.ask(add("c"))];
    let mut batches = 1;
    while memory.names().concat().len() < 3 || batches < memory.names().len() {
        next().send();
        batches += 1;
    }
    assert_eq!(others.map(Pending::told), [MADE, MADE]);
    held.send();
    assert_eq!(first.told(), MADE);
}

#[test]
fn a_zone_that_changes_all_the_time_lets_updates_fail() {
    let (server, memory) = Memory::server();
    for _ in 0..4 {
        memory.then(|_, _| Err(Unkept::Stale));
    }
    assert_eq!(server.ask(add("a")).told(), MADE, "the fifth time");
    for _ in 0..5 {
        memory.then(|_, _| Err(Unkept::Stale));
    }
    let why = "the zone is being changed elsewhere again and again; try again";
    assert_eq!(server.ask(add("b")).told(), failed(why));
    assert_eq!(memory.asked.load(Ordering::Relaxed), 10);
    assert_eq!(memory.names(), [names(["a"])]);
}

#[test]
fn an_update_that_the_store_refuses_leaves_the_others() {
    let (server, memory) = Memory::server();
    let (first, release) = memory.hold_up(&server);
    memory.then(|_, batch| {
        assert_eq!(batch.updates.len(), 4);
        Err(Unkept::Refused { update: 1, why: "a resource has this name".to_owned() })
    });
    let asks = [add("x").needing("nothing"), add("a"), add("b"), add("c"), add("d").needing("b")];
    let pending = asks.map(|ask| server.ask(ask));
    drop(release);
    assert_eq!(first.told(), MADE);
    let refused = (Rcode::REFUSED, Some((18, "a resource has this name".to_owned())));
    let nx = (Rcode::NXDOMAIN, None);
    assert_eq!(pending.map(Pending::told), [nx.clone(), MADE, refused, MADE, nx]);
    assert_eq!(memory.names(), [names(["first"]), names(["a", "c"])]);
    memory.then(|_, _| Err(Unkept::Refused { update: 1, why: "there is no such update".to_owned() }));
    assert_eq!(server.ask(add("e")).told().0, Rcode::SERVFAIL);
}

#[test]
fn updates_that_are_not_stored_fail_together() {
    let (server, memory) = Memory::server();
    let (first, release) = memory.hold_up(&server);
    memory.then(|_, _| Err(Unkept::Failed("the API server cannot be reached".to_owned())));
    let asks = [add("a"), add("b").unless("a")];
    let pending = asks.map(|ask| server.ask(ask));
    drop(release);
    assert_eq!(first.told(), MADE);
    let why = failed("the API server cannot be reached");
    assert_eq!(pending.map(Pending::told), [why.clone(), why], "what was found stood on what was not made");
    assert!(!memory.serves("a"));
    assert_eq!(server.ask(add("b").unless("a")).told(), MADE);
}

#[test]
fn a_store_that_panics_fails_these_updates_only() {
    let (server, memory) = Memory::server();
    memory.then(|_, _| panic!("on purpose"));
    assert_eq!(server.ask(add("a")).told(), failed("a fault of this server"));
    assert_eq!(server.ask(add("b")).told(), MADE);
    assert_eq!(memory.names(), [names(["b"])]);
}

#[test]
fn only_clients_with_edns_are_told_more_than_a_code() {
    let (server, memory) = Memory::server();
    for (signed, edns) in [(true, true), (false, true), (true, false), (false, false)] {
        memory.then(|_, _| Err(Unkept::Failed("why".to_owned())));
        let told = server.ask(Ask { signed, edns, ..add("a") }).told();
        assert_eq!(told, (Rcode::SERVFAIL, edns.then(|| (14, "why".to_owned()))), "{signed} {edns}");
    }
}

#[test]
fn the_store_hears_of_every_update_that_is_turned_away() {
    let (server, memory) = Memory::server();
    let rule = Rule {
        grant: true,
        identity: Name::from_ascii("key").unwrap(),
        names: Names::Subdomain(name("own")),
        types: Vec::new(),
    };
    server.configure(Policy::Rules(vec![rule]), true);
    let heard = || lock(&memory.turned_away).drain(..).collect::<Vec<_>>();
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 4053));
    let author = |id: u16, key: Option<&str>| Author { client, key: key.map(|key| Name::from_ascii(key).unwrap()), id };

    // By the worker.
    assert_eq!(server.refuses(Ask { id: 1, ..add("a") }), Rcode::REFUSED);
    assert_eq!(server.refuses(Ask { id: 2, qtype: Rtype::A, ..add("a") }), Rcode::FORMERR);
    let expected = [
        (author(1, None), Rcode::REFUSED, "denied".to_owned()),
        (author(2, None), Rcode::FORMERR, "update zone section contains non-SOA".to_owned()),
    ];
    assert_eq!(heard(), expected);

    // By the thread.
    let rejected = "a.example/A: rejected by secure update";
    let refused = server.ask(add("a")).told();
    assert_eq!(refused, (Rcode::REFUSED, Some((18, rejected.to_owned()))));
    assert_eq!(server.ask(add("a.elsewhere")).told().0, Rcode::NOTZONE);
    assert_eq!(server.ask(add("own").needing("a")).told().0, Rcode::NXDOMAIN);
    memory.then(|_, _| Err(Unkept::Failed("no".to_owned())));
    assert_eq!(server.ask(add("own")).told().0, Rcode::SERVFAIL);
    memory.then(|_, _| Err(Unkept::Refused { update: 0, why: "never".to_owned() }));
    assert_eq!(server.ask(add("own")).told().0, Rcode::REFUSED);
    assert_eq!(server.ask(add("own")).told(), MADE);
    server.live.close();
    assert_eq!(server.ask(add("own")).told().0, Rcode::SERVFAIL);
    let heard = heard();
    assert!(heard.iter().all(|(by, ..)| *by == author(7, Some("key"))), "{heard:?}");
    let heard: Vec<_> = heard.iter().map(|(_, rcode, why)| (*rcode, &**why)).collect();
    let expected = [
        (Rcode::REFUSED, rejected),
        (Rcode::NOTZONE, "update RR is outside zone"),
        (Rcode::NXDOMAIN, "a.example: 'name in use' prerequisite not satisfied"),
        (Rcode::SERVFAIL, "no"),
        (Rcode::REFUSED, "never"),
        (Rcode::SERVFAIL, "the zone has been loaded again or is not served any more; try again"),
    ];
    assert_eq!(heard, expected);
}

#[test]
fn a_zone_that_is_made_elsewhere_without_a_store_takes_no_updates() {
    let server = Server::with("example", "key", Live::remembered);
    let why = "the zone is made elsewhere; change it there";
    assert_eq!(server.ask(add("a")).told(), (Rcode::REFUSED, Some((18, why.to_owned()))));
    assert_eq!(server.live.newest().serial(), Some(Serial(1)));
}
