//! Transfers in: zones and their changes from BIND, Knot and NSD, and from primaries that mean harm.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use bindy_server::{
    keys::{Algorithm, Key},
    transfer::inbound::{Connections, Failure, Limits, Outcome, Patience, Primary, Reason, Transfer, Want},
    tsig::TsigKey,
    zone::ZoneData,
};
use bindy_tests::{
    generate,
    name::Name,
    peers::{KNOT_PRIMARY, Maker, NAMED_PRIMARY, NSD_PRIMARY, Peer, TRANSFER_KEY, read_message},
    zone::{Data, Record, Zone, types},
};
use fastrand::Rng;
use tokio::runtime::Runtime;
use zonefmt::Serial;

const PRIMARIES: [Maker; 3] = [NAMED_PRIMARY, KNOT_PRIMARY, NSD_PRIMARY];

/// A record as a tuple that has an order: owner in lower case, type, TTL, data.
type Row = (Vec<u8>, u16, u32, Vec<u8>);

fn primary(address: SocketAddr) -> Primary {
    let patience = Patience {
        connect: Duration::from_secs(5),
        answer: Duration::from_secs(5),
        idle: Duration::from_secs(20),
        total: Duration::from_secs(40),
    };
    let source = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Primary {
        address,
        source,
        key: None,
        edns: Some(true),
        tcp_only: false,
        try_tcp: true,
        patience,
        connections: Connections::default(),
    }
}

fn nothing(origin: &Name) -> ZoneData {
    let wire = origin.wire();
    ZoneData::new(zonefmt::NameRef::from_wire(&wire).expect("the tests' names are short").to_owned())
}

fn transfer(runtime: &Runtime, from: &Primary, at_hand: &ZoneData, want: Want) -> Result<Transfer, Failure> {
    runtime.block_on(from.transfer(at_hand.clone(), want, Limits::default()))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads are to be had")
}

/// The rows of a zone with this serial.
fn rows(zone: &Zone, serial: u32) -> Vec<Row> {
    let row = |Record { owner, ttl, data }: &Record| {
        let mut wire = data.wire();
        if let Data::Soa { .. } = data {
            let at = wire.len() - 20;
            wire[at..at + 4].copy_from_slice(&serial.to_be_bytes());
        }
        (owner.wire(), data.rtype(), *ttl, wire)
    };
    let mut rows: Vec<Row> = zone.records.iter().map(row).collect();
    rows.sort();
    rows.dedup();
    rows
}

/// The text of a zone with this serial.
fn text(zone: &Zone, serial: u32) -> String {
    zone.text().replacen(" 1 7200 ", &format!(" {serial} 7200 "), 1)
}

/// The rows of what was transferred.
fn taken(data: &ZoneData) -> Vec<Row> {
    let mut rows = Vec::new();
    for node in data.iter() {
        for set in node.rrsets() {
            let owner = node.owner().as_ref().as_wire().to_ascii_lowercase();
            rows.extend(set.rdatas().map(|rdata| (owner.clone(), set.rtype.0, set.ttl, rdata.to_vec())));
        }
    }
    rows.sort();
    rows
}

fn a_zone() -> Zone {
    let origin = Name::of("example.");
    let record = |owner: &str, data| Record { owner: Name::of(owner), ttl: 300, data };
    let soa = Data::Soa { mname: Name::of("ns.example."), minimum: 60 };
    let mut records = vec![
        record("example.", soa),
        record("example.", Data::Ns(Name::of("ns.example."))),
        record("example.", Data::Mx(10, Name::of("mail.example."))),
        record("ns.example.", Data::A(1)),
        record("mail.example.", Data::Aaaa(2)),
        record("*.wild.example.", Data::Txt(3)),
        record("alias.example.", Data::Cname(Name::of("mail.example."))),
        record("moved.example.", Data::Dname(Name::of("elsewhere."))),
        record("odd.example.", Data::Private(4)),
    ];
    // More than fits into one message.
    records.extend((0..5000_u32).map(|i| record(&format!("host{i}.sub{}.example.", i % 7), Data::A((i % 250) as u8))));
    Zone { origin, records }
}

/// Waits until the primary has this serial.
fn wait_for(runtime: &Runtime, peer: &Peer, zone: &Zone, serial: u32) {
    let wire = zone.origin.wire();
    let origin = zonefmt::NameRef::from_wire(&wire).expect("the tests' names are short");
    let deadline = Instant::now() + Duration::from_secs(60);
    for round in 1.. {
        let found = runtime.block_on(primary(peer.addr).serial(origin, || ()));
        match found {
            Ok((found, _)) if found == Serial(serial) => return,
            _ => assert!(Instant::now() < deadline, "{found:?} instead of {serial}:\n{}", peer.log()),
        }
        thread::sleep(Duration::from_millis(100));
        // It may have read the file while it was still the old one, as far as its time says.
        if round % 20 == 0 {
            peer.reload();
        }
    }
}

#[test]
fn whole_zones_come_as_they_are() {
    let runtime = runtime();
    let mut rng = Rng::with_seed(11);
    let mut zones = vec![a_zone()];
    zones.extend(generate::world(&mut rng, &Name::of("random."), &Name::of("apart.test.")));
    zones.retain(|zone| !zone.records.is_empty());
    for maker in PRIMARIES {
        // Knot does not load what lies below a DNAME.
        let zones = if maker == KNOT_PRIMARY { &zones[..1] } else { &zones[..] };
        let peer = Peer::start(maker, zones);
        for zone in zones {
            let transfer = transfer(&runtime, &primary(peer.addr), &nothing(&zone.origin), Want::Newer);
            let transfer = transfer.unwrap_or_else(|why| panic!("{} {}: {why}", maker.program, zone.origin));
            let Outcome::Whole(data) = &transfer.outcome else { panic!("{transfer:?}") };
            assert_eq!(taken(data), rows(zone, 1), "{} {}", maker.program, zone.origin);
            assert_eq!(transfer.warnings, [], "{} {}", maker.program, zone.origin);
        }
    }
}

#[test]
fn changes_lead_to_the_newest_version() {
    let runtime = runtime();
    let first = a_zone();
    let with = |zone: &Zone, more: Record| {
        let mut zone = zone.clone();
        zone.records.retain(|record| record.owner != more.owner || record.rtype() == types::SOA);
        zone.records.push(more);
        zone
    };
    let second = with(&first, Record { owner: Name::of("host1.sub1.example."), ttl: 77, data: Data::Txt(9) });
    let third = with(&second, Record { owner: Name::of("ns.example."), ttl: 300, data: Data::Aaaa(9) });
    let third = with(&third, Record { owner: Name::of("new.example."), ttl: 5, data: Data::A(9) });
    for maker in PRIMARIES {
        let peer = Peer::start(maker, [&first]);
        let from = primary(peer.addr);
        let get = |at_hand: &ZoneData, want| {
            let ask = || transfer(&runtime, &from, at_hand, want);
            // NSD's children of before a reload may still take a connection, and leave.
            let mut result = ask();
            for _ in 0..5 {
                if let Err(Failure { why: Reason::Io(_) | Reason::Closed, .. }) = result {
                    thread::sleep(Duration::from_millis(200));
                    result = ask();
                }
            }
            match result {
                Ok(transfer) => transfer.outcome,
                Err(why) => panic!("{}: {why}\n{}", maker.program, peer.log()),
            }
        };
        let Outcome::Whole(one) = get(&nothing(&first.origin), Want::Changes) else { panic!("there is no change") };
        let mut latest = one.clone();
        for (zone, serial) in [(&second, 2), (&third, 3)] {
            peer.rewrite(0, &text(zone, serial));
            wait_for(&runtime, &peer, zone, serial);
            let Outcome::Changes(changes, data) = get(&latest, Want::Changes) else {
                panic!("{} gives all at {serial}\n{}", maker.program, peer.log())
            };
            assert_eq!((changes[0].from().0, changes.last().unwrap().to().0), (serial - 1, serial));
            assert_eq!(taken(&data), rows(zone, serial), "{}", maker.program);
            latest = data;
        }
        // Over two versions at once.
        let Outcome::Changes(changes, data) = get(&one, Want::Changes) else { panic!("{} gives all", maker.program) };
        assert_eq!((changes[0].from().0, changes.last().unwrap().to().0), (1, 3));
        assert_eq!(taken(&data), rows(&third, 3), "{}", maker.program);
        // And the whole, of which nothing is new.
        let Outcome::Whole(again) = get(&data, Want::Any) else { panic!("all is wanted") };
        assert_eq!(taken(&again), rows(&third, 3), "{}", maker.program);
        for want in [Want::Changes, Want::Newer] {
            assert!(matches!(get(&latest, want), Outcome::UpToDate(Serial(3))), "{}", maker.program);
        }
    }
}

#[test]
fn signed_transfers_are_verified() {
    let runtime = runtime();
    let zone = a_zone();
    let key = |secret| {
        let secret = Key::new("key", Algorithm::HmacSha256, secret).expect("it is base64");
        Some(TsigKey::new(&zonefmt::Name::from_ascii(TRANSFER_KEY.0).expect("it is a name"), secret, None))
    };
    for maker in PRIMARIES {
        let peer = Peer::start(maker, [&zone]);
        let from = Primary { key: key(TRANSFER_KEY.1), ..primary(peer.addr) };
        let origin = nothing(&zone.origin);
        let (serial, _) = runtime.block_on(from.serial(origin.origin(), || ())).expect("the question is signed");
        assert_eq!(serial, Serial(1));
        let transfer = transfer(&runtime, &from, &origin, Want::Any);
        let transfer = transfer.unwrap_or_else(|why| panic!("{}: {why}\n{}", maker.program, peer.log()));
        let Outcome::Whole(data) = &transfer.outcome else { panic!("{transfer:?}") };
        assert!(transfer.totals.messages > 2, "{:?}", transfer.totals);
        assert_eq!(taken(data), rows(&zone, 1), "{}", maker.program);
        let other = Primary { key: key("b3RoZXI="), ..from };
        let failure = self::transfer(&runtime, &other, &origin, Want::Any).expect_err("the secret is another one");
        assert!(matches!(failure.why, Reason::Signature(_) | Reason::Rcode(_)), "{}: {failure}", maker.program);
    }
}

/// A primary that sends these octets in answer to any question, and then waits for the other side to go, or goes itself.
fn scripted(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static, stays: bool) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Some(question) = read_message(&mut stream) else { continue };
            for message in answer(&question) {
                let length = u16::try_from(message.len()).expect("a message").to_be_bytes();
                if stream.write_all(&[&length, &message[..]].concat()).is_err() {
                    break;
                }
            }
            if stays {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
                let _ = stream.read(&mut [0]);
            }
        }
    });
    address
}

/// A response to this question with these records.
fn response(question: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|&octet| octet == 0).expect("a name ends") + 5;
    let count = u16::try_from(records.len()).expect("they are few").to_be_bytes();
    let header = [&question[..2], &[0x84, 0, 0, 1], &count, &[0; 4]].concat();
    [&header, &question[12..end], &records.concat()].concat()
}

fn rr(owner: &str, rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rdata.len()).expect("it is short").to_be_bytes();
    [&Name::of(owner).wire()[..], &rtype.to_be_bytes(), &[0, 1, 0, 0, 1, 44], &length, rdata].concat()
}

fn soa(serial: u32) -> Vec<u8> {
    rr("example.", types::SOA, &[&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat())
}

fn ns() -> Vec<u8> {
    rr("example.", types::NS, &[0])
}

fn a(last: u8) -> Vec<u8> {
    rr("a.example.", types::A, &[192, 0, 2, last])
}

/// A version at hand, with serial 1.
fn at_hand(runtime: &Runtime) -> ZoneData {
    let address = scripted(|question| vec![response(question, &[soa(1), ns(), a(1), soa(1)])], true);
    let origin = nothing(&Name::of("example."));
    let transfer = transfer(runtime, &primary(address), &origin, Want::Any).expect("it is whole");
    match transfer.outcome {
        Outcome::Whole(data) => data,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_primary_that_means_harm_changes_nothing() {
    let runtime = runtime();
    let at_hand = at_hand(&runtime);
    let refused = |records: Vec<Vec<u8>>, stays, want| {
        let address = scripted(move |question| vec![response(question, &records)], stays);
        let mut from = primary(address);
        if stays {
            from.patience.idle = Duration::from_millis(200);
        }
        let Failure { why, axfr_may_help } = transfer(&runtime, &from, &at_hand, want).expect_err("it is refused");
        (why, axfr_may_help)
    };
    let idle = Reason::Idle(Duration::from_millis(200));
    let (whole, incremental) = ([soa(2), ns(), a(2)], [soa(2), soa(1), a(1), soa(2), a(2)]);
    for (stays, why) in [(false, Reason::Closed), (true, idle)] {
        assert_eq!(refused(whole.to_vec(), stays, Want::Newer), (why.clone(), false));
        assert_eq!(refused(whole.to_vec(), stays, Want::Changes), (why.clone(), false));
        // CVE-2022-27227: what was cut off was taken for complete.
        assert_eq!(refused(incremental.to_vec(), stays, Want::Changes), (why.clone(), true));
        assert_eq!(refused(vec![soa(2)], stays, Want::Changes), (why, true));
    }
    let with = |last| [&whole[..], &[last]].concat();
    assert_eq!(refused(with(soa(3)), false, Want::Newer), (Reason::SoaMismatch(Serial(2), Serial(3)), false));
}

#[test]
fn a_primary_that_never_ends_is_left() {
    let runtime = runtime();
    let at_hand = at_hand(&runtime);
    let endless = |question: &[u8]| {
        let start = response(question, &[soa(2), ns()]);
        let more = response(question, &(0..200).map(|_| a(7)).collect::<Vec<_>>());
        [vec![start], vec![more; 1000]].concat()
    };
    let mut from = primary(scripted(endless, true));
    let limits = Limits { octets: 1 << 20, ..Limits::default() };
    let failure = runtime.block_on(from.transfer(at_hand.clone(), Want::Newer, limits)).unwrap_err();
    assert_eq!(failure.why, Reason::TooManyOctets(1 << 20));
    from.patience.total = Duration::from_millis(300);
    from.address = scripted(|question| vec![response(question, &[soa(2), ns()])], true);
    let failure = transfer(&runtime, &from, &at_hand, Want::Newer).unwrap_err();
    assert_eq!(failure.why, Reason::Overdue(Duration::from_millis(300)));
}

#[test]
fn a_complete_transfer_does_not_wait_for_the_end_of_the_connection() {
    let runtime = runtime();
    let at_hand = at_hand(&runtime);
    let answer = |question: &[u8]| vec![response(question, &[soa(2), soa(1), a(1), soa(2), a(2), soa(2)])];
    let transfer = transfer(&runtime, &primary(scripted(answer, true)), &at_hand, Want::Changes).unwrap();
    assert_eq!(transfer.outcome.serial(), Some(Serial(2)));
}

#[test]
fn nobody_there_is_a_failure_with_a_reason() {
    let runtime = runtime();
    let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).unwrap();
    let mut from = primary(unused);
    from.patience.answer = Duration::from_millis(100);
    let origin = nothing(&Name::of("example."));
    let failure = transfer(&runtime, &from, &origin, Want::Any).unwrap_err();
    assert_eq!(failure.why, Reason::Io(std::io::ErrorKind::ConnectionRefused));
    let asked = runtime.block_on(from.serial(origin.origin(), || ()));
    assert!(asked.is_err());
}
