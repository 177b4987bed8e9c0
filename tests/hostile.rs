//! Compares what we make of strange and hostile transfers with what BIND's secondary makes of them: the same scripted
//! primary, the same zones, and in the end the same serial and number of records.
//!
//! [`DIFFERENCES`] lists the scripts whose result differs, with the reason; every row must be needed.

use std::{
    collections::HashSet,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bindy_server::{
    transfer::inbound::{Connections, Limits, Outcome, Patience, Primary, Want},
    zone::ZoneData,
};
use bindy_tests::{
    name::Name,
    peers::{Peer, read_message},
    zone::types as t,
};
use tokio::runtime::Runtime;

/// A record, or a message.
type Octets = Vec<u8>;

/// A zone as the primary gives it. Zones are named after their scripts.
struct Script {
    label: &'static str,
    /// The serial that the primary claims to have; where it is asked for changes, it has version 1 before.
    serial: u32,
    /// The messages of a transfer that goes wrong: of an IXFR where the version before is known, else of an AXFR.
    answer: fn(&Asked) -> Vec<Vec<u8>>,
    is_ixfr: bool,
}

const fn axfr(label: &'static str, answer: fn(&Asked) -> Vec<Vec<u8>>) -> Script {
    Script { label, serial: 2, answer, is_ixfr: false }
}

const fn ixfr(label: &'static str, serial: u32, answer: fn(&Asked) -> Vec<Vec<u8>>) -> Script {
    Script { label, serial, answer, is_ixfr: true }
}

const SCRIPTS: &[Script] = &[
    axfr("good", |q| vec![q.message(&q.whole(&[]))]),
    axfr("out-of-zone", |q| vec![q.message(&q.whole(&[q.a("x.other.", 5)]))]),
    axfr("no-question", |q| vec![q.without_question(&q.whole(&[]))]),
    axfr("other-question-name", |q| vec![q.with_question(b"\x05other\0\0\xfc\0\x01", &q.whole(&[]))]),
    axfr("other-question-type", |q| vec![q.with_question(&q.question(t::A, 1), &q.whole(&[]))]),
    axfr("other-question-class", |q| vec![q.with_question(&q.question(252, 3), &q.whole(&[]))]),
    axfr("second-other-question", |q| {
        let all = q.whole(&[]);
        vec![q.message(&all[..3]), q.with_question(b"\x05other\0\0\xfc\0\x01", &all[3..])]
    }),
    axfr("second-no-question", |q| vec![q.message(&q.whole(&[])[..3]), q.without_question(&q.whole(&[])[3..])]),
    axfr("other-id", |q| vec![patched(q.message(&q.whole(&[])), 1, 1)]),
    axfr("not-a-response", |q| vec![patched(q.message(&q.whole(&[])), 2, 0x80)]),
    axfr("not-authoritative", |q| vec![patched(q.message(&q.whole(&[])), 2, 0x04)]),
    axfr("truncated", |q| vec![patched(q.message(&q.whole(&[])), 2, 0x02)]),
    axfr("other-opcode", |q| vec![patched(q.message(&q.whole(&[])), 2, 0x20)]),
    axfr("refused", |q| vec![patched(q.message(&q.whole(&[])), 3, 5)]),
    axfr("second-servfail", |q| vec![q.message(&q.whole(&[])[..3]), patched(q.message(&q.whole(&[])[3..]), 3, 2)]),
    axfr("no-soa-first", |q| vec![q.message(&q.whole(&[])[1..])]),
    axfr("soa-in-the-middle", |q| vec![q.message(&[&q.whole(&[])[..3], &[q.soa(3)], &q.whole(&[])[3..]].concat())]),
    axfr("soa-repeated", |q| vec![q.message(&[&[q.soa(2)], &q.whole(&[])[..]].concat())]),
    axfr("other-end", |q| vec![q.message(&[q.records(2), vec![q.soa_by("other.", 2)]].concat())]),
    axfr("other-case-at-end", |q| vec![q.message(&[q.records(2), vec![q.soa_by("NS.", 2)]].concat())]),
    axfr("soa-elsewhere", |q| vec![q.message(&q.whole(&[q.rr("a.", t::SOA, &q.soa_data("ns.", 2))]))]),
    axfr("data-after-end", |q| vec![q.message(&[q.whole(&[]), vec![q.a("b.", 1)]].concat())]),
    axfr("message-after-end", |q| vec![q.message(&q.whole(&[])), q.message(&[q.a("b.", 1)])]),
    axfr("class-ch", |q| vec![q.message(&q.whole(&[patched(q.a("b.", 1), q.owner("b.").len() + 3, 2)]))]),
    axfr("empty-first", |q| vec![q.message(&[]), q.message(&q.whole(&[]))]),
    axfr("empty-middle", |q| {
        let (start, end) = (q.message(&q.whole(&[])[..3]), q.message(&q.whole(&[])[3..]));
        [vec![start], vec![q.message(&[]); 100], vec![end]].concat()
    }),
    axfr("cut-off", |q| vec![q.message(&q.records(2))]),
    axfr("no-ns", |q| vec![q.message(&[&[q.soa(2)], &q.whole(&[])[2..]].concat())]),
    axfr("only-soas", |q| vec![q.message(&[q.soa(2), q.soa(2)])]),
    axfr("two-cnames", |q| vec![q.message(&q.whole(&[q.alias("c.", t::CNAME, "a."), q.alias("c.", t::CNAME, "b.")]))]),
    axfr("cname-and-other", |q| vec![q.message(&q.whole(&[q.alias("a.", t::CNAME, "b.")]))]),
    axfr("two-dnames", |q| vec![q.message(&q.whole(&[q.alias("d.", t::DNAME, "a."), q.alias("d.", t::DNAME, "b.")]))]),
    axfr("wildcard-ns", |q| vec![q.message(&q.whole(&[q.alias("*.", t::NS, "a.")]))]),
    axfr("type-any", |q| vec![q.message(&q.whole(&[q.rr("b.", t::ANY, &[0])]))]),
    axfr("type-0", |q| vec![q.message(&q.whole(&[q.rr("b.", 0, &[0])]))]),
    axfr("type-200", |q| vec![q.message(&q.whole(&[q.rr("b.", 200, &[0])]))]),
    axfr("opt-in-answer", |q| vec![q.message(&q.whole(&[vec![0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0]]))]),
    axfr("duplicate", |q| vec![q.message(&q.whole(&[q.a("a.", 10)]))]),
    axfr("short-address", |q| vec![q.message(&q.whole(&[q.rr("b.", t::A, &[1, 2, 3])]))]),
    axfr("long-address", |q| vec![q.message(&q.whole(&[q.rr("b.", t::A, &[1, 2, 3, 4, 5])]))]),
    axfr("101-types", |q| {
        vec![q.message(&q.whole(&(1000..1101).map(|rtype| q.rr("b.", rtype, &[0])).collect::<Vec<_>>()))]
    }),
    axfr("101-addresses", |q| vec![q.message(&q.whole(&(0..101).map(|last| q.a("b.", last)).collect::<Vec<_>>()))]),
    axfr("octets-after-the-message", |q| vec![[q.message(&q.whole(&[])), vec![1, 2, 3]].concat()]),
    ixfr("i-good", 2, |q| q.changes(&[(&[q.a("a.", 10)], &[q.a("a.", 12)])])),
    ixfr("i-two", 3, |q| q.changes(&[(&[q.a("a.", 10)], &[q.a("a.", 12)]), (&[q.a("a.", 12)], &[])])),
    ixfr("i-removes-what-is-not-there", 2, |q| q.changes(&[(&[q.a("a.", 99)], &[])])),
    ixfr("i-adds-what-is-there", 2, |q| q.changes(&[(&[], &[q.a("a.", 10)])])),
    ixfr("i-adds-twice", 2, |q| q.changes(&[(&[], &[q.a("b.", 1), q.a("b.", 1)])])),
    ixfr("i-removes-twice", 2, |q| q.changes(&[(&[q.a("a.", 10), q.a("a.", 10)], &[])])),
    ixfr("i-gap", 4, |q| vec![q.message(&[4, 1, 2, 3, 4, 4].map(|serial| q.soa(serial)))]),
    ixfr("i-ends-early", 4, |q| vec![q.message(&[4, 1, 2, 4].map(|serial| q.soa(serial)))]),
    ixfr("i-out-of-zone", 2, |q| q.changes(&[(&[], &[q.a("x.other.", 1)])])),
    ixfr("i-single-soa-newer", 2, |q| vec![q.message(&[q.soa(2)])]),
    ixfr("i-single-soa-same", 2, |q| vec![q.message(&[q.soa(1)])]),
    ixfr("i-empty", 2, |q| vec![q.message(&[])]),
    ixfr("i-not-implemented", 2, |q| vec![patched(q.message(&[]), 3, 4)]),
    ixfr("i-refused", 2, |q| vec![patched(q.message(&[]), 3, 5)]),
    ixfr("i-closed", 2, |_| vec![]),
    ixfr("i-cut-off", 2, |q| vec![q.message(&[q.soa(2), q.soa(1), q.a("a.", 10), q.soa(2), q.a("a.", 12)])]),
    ixfr("i-whole", 2, |q| vec![q.message(&q.whole(&[]))]),
    ixfr("i-whole-cut-off", 2, |q| vec![q.message(&q.records(2))]),
    ixfr("i-removes-ns", 2, |q| q.changes(&[(&[q.alias("", t::NS, "ns.")], &[])])),
    ixfr("i-other-id", 2, |q| vec![patched(q.message(&[q.soa(2), q.soa(1), q.soa(2), q.soa(2)]), 1, 1)]),
    ixfr("i-other-old-soa", 2, |q| vec![q.message(&[q.soa(2), q.soa_by("x.", 1), q.soa(2), q.soa(2)])]),
    ixfr("i-cname-and-other", 2, |q| q.changes(&[(&[], &[q.alias("a.", t::CNAME, "b.")])])),
    ixfr("i-wildcard-ns", 2, |q| q.changes(&[(&[], &[q.alias("*.", t::NS, "b.")])])),
];

/// The scripts whose result differs from BIND's, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("out-of-zone", "BIND keeps, and transfers on, what is not in the zone. It is dropped here."),
    ("not-a-response", "BIND does not look at QR. What is not a response answers nothing."),
    ("truncated", "BIND does not look at TC. What says that it is not complete is not taken for complete."),
    ("i-ends-early", "BIND ends at the first SOA of the last version, whatever came before; then it has another one."),
    ("i-out-of-zone", "BIND keeps what is not in the zone. It is dropped here."),
    (
        "i-single-soa-newer",
        "BIND asks for the whole zone only after changes that fail; here, after all but a failed AXFR.",
    ),
    ("i-closed", "As above."),
    ("i-removes-ns", "BIND serves the zone no longer. Here it stays, and is asked for as a whole."),
];

/// A question as the primary sees it.
struct Asked<'a> {
    message: &'a [u8],
    zone: Name,
}

impl Asked<'_> {
    fn owner(&self, prefix: &str) -> Vec<u8> {
        let labels = prefix.split('.').filter(|label| !label.is_empty());
        let mut wire: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        // What is in the other zone is not below this one.
        wire.extend(if prefix.ends_with("other.") && prefix != "other." { vec![0] } else { self.zone.wire() });
        wire
    }

    fn rr(&self, owner: &str, rtype: u16, rdata: &[u8]) -> Vec<u8> {
        let length = (rdata.len() as u16).to_be_bytes();
        [&self.owner(owner)[..], &rtype.to_be_bytes(), &[0, 1, 0, 0, 1, 44], &length, rdata].concat()
    }

    fn a(&self, owner: &str, last: u8) -> Vec<u8> {
        self.rr(owner, t::A, &[192, 0, 2, last])
    }

    fn alias(&self, owner: &str, rtype: u16, to: &str) -> Vec<u8> {
        self.rr(owner, rtype, &self.owner(to))
    }

    fn soa_data(&self, primary: &str, serial: u32) -> Vec<u8> {
        let times = [serial, 3600, 600, 86_400, 60].map(u32::to_be_bytes).concat();
        [self.owner(primary), self.owner("h."), times].concat()
    }

    fn soa_by(&self, primary: &str, serial: u32) -> Vec<u8> {
        self.rr("", t::SOA, &self.soa_data(primary, serial))
    }

    fn soa(&self, serial: u32) -> Vec<u8> {
        self.soa_by("ns.", serial)
    }

    fn records(&self, serial: u32) -> Vec<Vec<u8>> {
        let ns = self.alias("", t::NS, "ns.");
        vec![self.soa(serial), ns, self.a("ns.", 1), self.a("a.", 10), self.a("a.", 11)]
    }

    /// An AXFR of version 2 with more records.
    fn whole(&self, more: &[Vec<u8>]) -> Vec<Vec<u8>> {
        [&self.records(2)[..], more, &[self.soa(2)]].concat()
    }

    /// An IXFR from version 1, with what each change removes and adds.
    fn changes(&self, lists: &[(&[Octets], &[Octets])]) -> Vec<Octets> {
        let end = self.soa(lists.len() as u32 + 1);
        let mut all = vec![end.clone()];
        for ((removed, added), serial) in lists.iter().zip(1..) {
            all.extend([&[self.soa(serial)], *removed, &[self.soa(serial + 1)], *added].concat());
        }
        all.push(end);
        vec![self.message(&all)]
    }

    fn question(&self, qtype: u16, class: u16) -> Vec<u8> {
        [&self.zone.wire()[..], &qtype.to_be_bytes(), &class.to_be_bytes()].concat()
    }

    fn qtype(&self) -> u16 {
        let at = 12 + self.zone.wire().len();
        u16::from_be_bytes([self.message[at], self.message[at + 1]])
    }

    fn message(&self, records: &[Vec<u8>]) -> Vec<u8> {
        self.with_question(&self.question(self.qtype(), 1), records)
    }

    fn without_question(&self, records: &[Vec<u8>]) -> Vec<u8> {
        patched(self.with_question(&[], records), 5, 1)
    }

    fn with_question(&self, question: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
        let count = (records.len() as u16).to_be_bytes();
        [&self.message[..2], &[0x84, 0, 0, 1], &count, &[0; 4], question, &records.concat()].concat()
    }
}

/// The octets with some bits of one of them turned.
fn patched(mut octets: Vec<u8>, at: usize, bits: u8) -> Vec<u8> {
    octets[at] ^= bits;
    octets
}

/// The primary of all scripts, on one port for UDP and TCP.
fn primary(has_second: Arc<AtomicBool>) -> SocketAddr {
    let (listener, socket) = loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().expect("it is bound")) {
            break (listener, socket);
        }
    };
    let address = listener.local_addr().expect("it is bound");
    let over_udp = Arc::clone(&has_second);
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            if let Some(answers) = answer(&question[..length], over_udp.load(Ordering::Relaxed)) {
                let _ = socket.send_to(&answers.concat(), from);
            }
        }
    });
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let has_second = has_second.load(Ordering::Relaxed);
            thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
                while let Some(question) = read_message(&mut stream) {
                    for message in answer(&question, has_second).unwrap_or_default() {
                        let length = (message.len() as u16).to_be_bytes();
                        if stream.write_all(&[&length, &message[..]].concat()).is_err() {
                            return;
                        }
                    }
                    if !is_soa(&question) {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn is_soa(question: &[u8]) -> bool {
    asked(question).is_some_and(|asked| asked.qtype() == t::SOA)
}

fn asked(message: &[u8]) -> Option<Asked<'_>> {
    let (mut at, mut labels) = (12, Vec::new());
    while *message.get(at)? != 0 {
        let length = usize::from(message[at]);
        labels.push(String::from_utf8_lossy(message.get(at + 1..at + 1 + length)?).into_owned());
        at += 1 + length;
    }
    (message[2] & 0x80 == 0).then(|| Asked { message, zone: Name::of(&labels.join(".")) })
}

/// The messages of the answer. Scripts of IXFRs have only version 1 at first.
fn answer(question: &[u8], has_second: bool) -> Option<Vec<Vec<u8>>> {
    let asked = asked(question)?;
    let label = asked.zone.to_string();
    let script = SCRIPTS.iter().find(|script| label == format!("{}.test.", script.label))?;
    let serial = if script.is_ixfr && !has_second { 1 } else { script.serial };
    let whole = || vec![asked.message(&[asked.records(serial), vec![asked.soa(serial)]].concat())];
    Some(match (asked.qtype(), script.is_ixfr) {
        (t::SOA, _) => vec![asked.message(&[asked.soa(serial)])],
        (252, false) | (251, true) => (script.answer)(&asked),
        _ => whole(),
    })
}

fn client(address: SocketAddr) -> Primary {
    let limit = Duration::from_secs(10);
    let patience = Patience { connect: limit, answer: limit, idle: limit, total: limit };
    let source = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Primary {
        address,
        source,
        key: None,
        edns: Some(false),
        tcp_only: false,
        try_tcp: false,
        patience,
        connections: Connections::default(),
    }
}

fn transfer(runtime: &Runtime, from: &Primary, at_hand: &ZoneData, want: Want) -> ZoneData {
    let ask = |want| runtime.block_on(from.transfer(at_hand.clone(), want, Limits::default()));
    let result = match ask(want) {
        Err(failure) if failure.axfr_may_help => ask(Want::Newer),
        result => result,
    };
    match result.map(|transfer| transfer.outcome) {
        Ok(Outcome::Whole(data) | Outcome::Changes(_, data)) => data,
        Ok(Outcome::UpToDate(_)) | Err(_) => at_hand.clone(),
    }
}

/// What BIND has made of a zone: its serial and the number of its records, with those that are not in the zone.
fn kept(runtime: &Runtime, named: &Primary, nothing: ZoneData) -> Option<(u32, usize)> {
    let transfer = runtime.block_on(named.transfer(nothing, Want::Any, Limits::default())).ok()?;
    // The SOA comes twice.
    Some((transfer.outcome.serial()?.0, transfer.totals.records as usize - 1))
}

/// Waits until BIND has ended a transfer of each zone, in any way but that it tries again.
fn wait_for(peer: &Peer, zones: &[String], seen: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let log = peer.log();
        let ends = |line: &&str| line.contains("Transfer status: ") && !line.ends_with("IXFR failed");
        let ended: HashSet<&str> =
            log[seen..].lines().filter(ends).filter_map(|line| line.split('\'').nth(1)).collect();
        if zones.iter().all(|zone| ended.contains(&*format!("{zone}/IN"))) {
            return log.len();
        }
        assert!(Instant::now() < deadline, "BIND has not ended:\n{log}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_bind_refuses_is_refused_and_what_it_takes_is_taken() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let has_second = Arc::new(AtomicBool::new(false));
    let from = client(primary(Arc::clone(&has_second)));
    let name = |script: &Script| format!("{}.test", script.label);
    let nothing = |zone: &str| ZoneData::new(zonefmt::Name::from_ascii(zone).unwrap());
    let (all, incremental): (Vec<String>, Vec<String>) =
        (SCRIPTS.iter().map(name).collect(), SCRIPTS.iter().filter(|script| script.is_ixfr).map(name).collect());

    let named = Peer::follow(from.address, &all);
    let mut ours: Vec<ZoneData> =
        all.iter().map(|zone| transfer(&runtime, &from, &nothing(zone), Want::Newer)).collect();
    let seen = wait_for(&named, &all, 0);
    has_second.store(true, Ordering::Relaxed);
    for (zone, script) in ours.iter_mut().zip(SCRIPTS).filter(|(_, script)| script.is_ixfr) {
        assert_eq!(zone.serial().map(|serial| serial.0), Some(1), "{}", script.label);
        *zone = transfer(&runtime, &from, zone, Want::Changes);
    }
    for zone in &incremental {
        let notify = [&[0, 9, 0x24, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &Name::of(zone).wire(), &[0, 6, 0, 1]].concat();
        named.ask_udp(&notify);
    }
    wait_for(&named, &incremental, seen);
    let (mut differences, mut surprises): (HashSet<_>, Vec<_>) =
        (DIFFERENCES.iter().map(|row| row.0).collect(), vec![]);
    for ((script, zone), ours) in SCRIPTS.iter().zip(&all).zip(&ours) {
        let ours = ours.serial().map(|serial| (serial.0, ours.records()));
        let theirs = kept(&runtime, &client(named.addr), nothing(zone));
        if (ours != theirs) != differences.remove(script.label) {
            surprises.push(format!("{}: ours {ours:?}, BIND's {theirs:?}", script.label));
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}\n{}", named.log());
    assert!(differences.is_empty(), "there are no such scripts: {differences:?}");
}
