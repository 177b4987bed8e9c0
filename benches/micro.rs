//! Measures answering a request from octets to octets, for each kind of answer, as well as loading a zone and changing
//! one of its RRsets, and making an update.

use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use bindy_benches::{load, origin, query, text};
use bindy_server::{
    Opcode,
    access::{Acl, Requester},
    cookies::{Cookie, CookieSecrets},
    limit::{Identity, Kind, Limiter, RateLimit},
    listen::{Client, Now, Respond, Transport},
    message::{Builder, Message, Question, Record, Section},
    respond::Responder,
    settings::{ServerSettings, Updates, ViewSettings, ZoneSettings},
    update::{Policy, Update, Updater},
    zones::{Published, Snapshot, View, Zone, ZoneMap, ZoneState},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Zoned;
use zonefmt::{Class, Name, Rtype};

const HOSTS: u32 = 100_000;

/// Makes a question from a number below [`HOSTS`].
type Asked = fn(u32) -> (String, Rtype);

const ANSWERS: &[(&str, Asked)] = &[
    ("hit", |i| (format!("h{i}.example.com"), Rtype::A)),
    ("nodata", |i| (format!("h{i}.example.com"), Rtype::TXT)),
    ("nxdomain", |i| (format!("nx{i}.example.com"), Rtype::A)),
    ("wildcard", |i| (format!("x{i}.wild.example.com"), Rtype::A)),
    ("chain", |i| (format!("c{}.example.com", i - i % 10), Rtype::A)),
    ("mx", |i| (format!("m{}.example.com", i - i % 20), Rtype::MX)),
    ("referral", |i| (format!("host.d{}.example.com", i - i % 50), Rtype::A)),
    ("refused", |i| (format!("h{i}.example.net"), Rtype::A)),
];

/// A zone of this many hosts, served to every client.
fn zones() -> ZoneMap {
    let state = ZoneState::Loaded(load(&text(HOSTS)));
    [Arc::new(Zone::new(origin(), Arc::new(ZoneSettings::default()), state))].into_iter().collect()
}

fn responder(snapshot: Snapshot) -> Responder {
    let mut responder = Responder::new(Arc::new(Published::new(snapshot)));
    responder.refresh(Now::read());
    responder
}

fn client() -> Client {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    Client { addr: local, local, transport: Transport::Udp }
}

/// Questions for names all over the zone, so that the CPU caches behave as in production.
fn questions(asked: Asked) -> Vec<Vec<u8>> {
    let question = |i: u32| {
        let (name, qtype) = asked(i.wrapping_mul(2_654_435_761) % HOSTS);
        query(Name::from_ascii(name).expect("a name").as_ref(), qtype.0)
    };
    (0..1 << 16).map(question).collect()
}

fn answers(criterion: &mut Criterion) {
    let mut responder = responder(Snapshot::from(zones()));
    let (client, mut out) = (client(), vec![0; 4096]);
    let mut group = criterion.benchmark_group("respond");
    group.throughput(Throughput::Elements(1));
    for (kind, asked) in ANSWERS {
        let questions = questions(*asked);
        let mut turn = 0;
        group.bench_function(*kind, |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % questions.len();
                black_box(responder.respond(&questions[turn], &client, &mut out))
            });
        });
    }
}

/// Measures what cookies and rate limiting add to an answer.
fn floods(criterion: &mut Criterion) {
    let now = Instant::now();
    let local = client().local;
    let name = Name::from_ascii("h12345.example.com").expect("a name");
    let identity = Identity::of(Kind::Answer, name.as_ref());
    let mut group = criterion.benchmark_group("floods");
    group.throughput(Throughput::Elements(1));
    for (kind, spread) in [("limit, one network", 0), ("limit, a million networks", 0xf_ffff)] {
        let settings = RateLimit { responses: 100, ..RateLimit::default() };
        let limiter = Limiter::new(settings, now);
        let mut turn = 0_u32;
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                turn = turn.wrapping_add(1);
                let network = (turn.wrapping_mul(2_654_435_761) & spread) << 8;
                let client = Client { addr: (Ipv4Addr::from(network), 4053).into(), local, transport: Transport::Udp };
                let later = now + Duration::from_micros(turn.into());
                black_box(limiter.open(&client, name.as_ref(), Rtype::A, later).judge(identity))
            });
        });
    }
    let secrets = CookieSecrets::new([7; CookieSecrets::OCTETS], []);
    let new = Cookie::read(&[1; 8]).expect("a client cookie");
    let known = Cookie::read(&secrets.check(&new, local.ip(), 0).reply).expect("what we made");
    for (kind, cookie) in [("cookie made", new), ("cookie known", known)] {
        group.bench_function(kind, |bencher| bencher.iter(|| secrets.check(black_box(&cookie), local.ip(), 0)));
    }
    group.finish();
    guarded_answers(criterion);
}

/// Measures answers with limits and cookies, where each host has a balance of its own.
fn guarded_answers(criterion: &mut Criterion) {
    let zones = zones();
    let snapshot = |limited: bool| {
        let settings = RateLimit { responses: 1000, errors: 1000, ..RateLimit::default() };
        let limiter = limited.then(|| Arc::new(Limiter::new(settings, Instant::now())));
        let settings = ViewSettings { limiter, ..ViewSettings::default() };
        let cookies = CookieSecrets::new([7; CookieSecrets::OCTETS], []);
        let server = ServerSettings { cookies: Some(Arc::new(cookies)), ..ServerSettings::default() };
        let view = View { settings: Arc::new(settings), ..View::of(zones.clone()) };
        Snapshot::new(Arc::new(server), vec![view])
    };
    let mut group = criterion.benchmark_group("respond guarded");
    group.throughput(Throughput::Elements(1));
    let mut out = vec![0; 4096];
    for (kind, limited, cookie) in
        [("neither", false, false), ("limit", true, false), ("cookie", false, true), ("limit and cookie", true, true)]
    {
        let mut responder = responder(snapshot(limited));
        let mut questions = questions(|i| (format!("h{i}.example.com"), Rtype::A));
        for question in questions.iter_mut().filter(|_| cookie) {
            // The length of the OPT's options is its last field.
            question.truncate(question.len() - 2);
            question.extend([0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        }
        let mut turn = 0;
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % questions.len();
                if turn % 32 == 0 {
                    responder.refresh(Now::read());
                }
                black_box(responder.respond(&questions[turn], &client(), &mut out))
            });
        });
    }
}

fn data(criterion: &mut Criterion) {
    let source = text(HOSTS);
    let zone = load(&source);
    let mut group = criterion.benchmark_group("zone");
    group.sample_size(20).throughput(Throughput::Elements(zone.records() as u64));
    group.bench_function("load", |bencher| bencher.iter_with_large_drop(|| load(&source)));
    group.throughput(Throughput::Elements(1));
    let mut turn = 0_u32;
    let mut next = || {
        turn += 1;
        let host = turn.wrapping_mul(2_654_435_761) % HOSTS;
        (Name::from_ascii(format!("h{host}.example.com")).expect("a name"), turn.to_be_bytes())
    };
    let change = |(owner, address): (Name, [u8; 4])| {
        let mut edit = zone.edit();
        edit.remove(owner.as_ref(), Rtype::A).expect("in the zone");
        edit.add(owner.as_ref(), Rtype::A, 60, &address).expect("in the zone");
        edit.commit()
    };
    group.bench_function("change one RRset", |bencher| bencher.iter_batched(&mut next, &change, BatchSize::SmallInput));
    let (settings, now) = (Updates { policy: Policy::Clients(Acl::any()), ..Updates::default() }, Zoned::now());
    let update = |(owner, address): (Name, [u8; 4])| {
        let octets = add(&owner, address);
        let update = Update::read(&Message::read(&octets).expect("a message")).expect("an update");
        let by = Updater { requester: Requester::from(client().addr.ip()), tcp: false };
        let update = update.permit(by, &zone, &settings).expect("everybody may update the zone");
        update.apply(&zone, &settings, &now, &mut |_| {}).expect("nothing forbids it")
    };
    group
        .bench_function("update one record", |bencher| bencher.iter_batched(&mut next, &update, BatchSize::SmallInput));
}

/// An update that adds an address.
fn add(owner: &Name, address: [u8; 4]) -> Vec<u8> {
    let origin = origin();
    let zone = Question { qname: origin.as_ref(), qtype: Rtype::SOA, qclass: Class::IN };
    let record = Record { owner: owner.as_ref(), rtype: Rtype::A, class: Class::IN, ttl: 60, rdata: &address };
    let builder = Builder::new(1, Opcode::UPDATE, zone).record(Section::Authority, &record);
    builder.expect("one record fits").finish()
}

criterion_group!(benches, answers, floods, data);
criterion_main!(benches);
