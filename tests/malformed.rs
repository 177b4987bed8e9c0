//! Messages that no well-behaved client sends, each with the outcome that the RFCs ask for, checked on the engine and
//! on BIND.
//!
//! Where BIND deviates, the row says so and the comment above it gives the reason.

use std::time::Duration;

use bindy_server::listen::Transport;
use bindy_tests::{
    engine::Engine,
    message::{Response, flags},
    name::Name,
    peers::{NAMED, Peer},
    zone::{Data, Record, Zone, types},
};

/// The outcome of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// No response at all.
    Silence,
    /// A response with this code.
    Code(u16),
}

use Outcome::{Code, Silence};

const NOERROR: Outcome = Code(0);
const FORMERR: Outcome = Code(1);
const NXDOMAIN: Outcome = Code(3);
const NOTIMP: Outcome = Code(4);
const REFUSED: Outcome = Code(5);
const NOTAUTH: Outcome = Code(9);
const BADVERS: Outcome = Code(16);

struct Row {
    what: &'static str,
    reason: &'static str,
    message: Vec<u8>,
    expected: Outcome,
    /// BIND's outcome, if it differs.
    named: Option<Outcome>,
}

const ID: u16 = 0x1d5a;
const QUERY: u16 = 0;
/// QNAME `www.example.`.
const NAME: &[u8] = b"\x03www\x07example\0";

fn row(what: &'static str, reason: &'static str, message: Vec<u8>, expected: Outcome) -> Row {
    Row { what, reason, message, expected, named: None }
}

impl Row {
    fn but_bind(mut self, outcome: Outcome) -> Row {
        self.named = Some(outcome);
        self
    }
}

/// A header with these flags and counts, followed by `rest`.
fn message(flags: u16, counts: [u16; 4], rest: &[&[u8]]) -> Vec<u8> {
    let header = [[ID, flags].as_slice(), &counts].concat().into_iter().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    [header, rest.concat()].concat()
}

/// The type and class of a question.
fn asks(qtype: u16, qclass: u16) -> Vec<u8> {
    [qtype.to_be_bytes(), qclass.to_be_bytes()].concat()
}

/// A complete question for an address.
fn question() -> Vec<u8> {
    [NAME, &asks(types::A, 1)].concat()
}

/// A query with one record in the additional section.
fn with(record: &[u8]) -> Vec<u8> {
    message(QUERY, [1, 0, 0, 1], &[&question(), record])
}

/// A record of the root: type, class, TTL, data and, if it is false, the claimed length.
fn record(rtype: u16, class: u16, ttl: u32, data: &[u8], claims: Option<u16>) -> Vec<u8> {
    let length = claims.unwrap_or(u16::try_from(data.len()).expect("short"));
    [&[0], &rtype.to_be_bytes()[..], &class.to_be_bytes(), &ttl.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

fn opt(data: &[u8]) -> Vec<u8> {
    record(types::OPT, 1232, 0, data, None)
}

/// A question for this type of `www.example.`.
fn of_type(qtype: u16) -> Vec<u8> {
    message(QUERY, [1, 0, 0, 0], &[NAME, &asks(qtype, 1)])
}

fn of_class(qclass: u16) -> Vec<u8> {
    message(QUERY, [1, 0, 0, 0], &[NAME, &asks(types::A, qclass)])
}

/// A question for the name made of these octets.
fn of_name(name: &[u8]) -> Vec<u8> {
    message(QUERY, [1, 0, 0, 0], &[name, &asks(types::A, 1)])
}

fn opcode(opcode: u16) -> Vec<u8> {
    message(opcode << 11, [1, 0, 0, 0], &[&question()])
}

/// Labels of 63 octets and a shorter last one, so that the name has `octets` in wire form.
fn long_name(octets: usize) -> Vec<u8> {
    let mut name = Vec::new();
    let mut left = octets - 1 - b"\x07example".len();
    while left > 0 {
        let label = left.min(64);
        name.push(u8::try_from(label - 1).expect("below 64"));
        name.extend(std::iter::repeat_n(b'a', label - 1));
        left -= label;
    }
    [&name, b"\x07example\0".as_slice()].concat()
}

#[allow(clippy::too_many_lines)] // It is a table.
fn rows() -> Vec<Row> {
    let headers = "RFC 1035 4.1.1";
    let names = "RFC 1035 4.1.4, 3.1";
    let edns = "RFC 6891 6.1.1";
    let tsigs = "RFC 8945 5.1, 5.2";
    let signed = tsig(255, &[7; 32], &[]);
    let cut = &signed[..signed.len() - 1];
    let new = record(types::OPT, 1232, 0x0001_0000, &[], None);
    vec![
        // No question, or not even a header.
        row("nothing", headers, vec![], Silence),
        row("one octet", headers, vec![0x1d], Silence),
        row("an id", headers, ID.to_be_bytes().to_vec(), Silence),
        row("a header cut short", headers, message(QUERY, [1, 0, 0, 0], &[])[..11].to_vec(), Silence),
        row("a header that promises a question", headers, message(QUERY, [1, 0, 0, 0], &[]), FORMERR),
        row("a response", "RFC 9619; RUSTSEC-2023-0041", message(flags::QR, [1, 0, 0, 0], &[&question()]), Silence),
        row("a response that is only a header", headers, message(flags::QR, [0; 4], &[]), Silence),
        row("no question", "RFC 9619", message(QUERY, [0; 4], &[]), FORMERR),
        row("an OPT without question", "RFC 9619", message(QUERY, [0, 0, 0, 1], &[&opt(&[])]), FORMERR),
        row("two questions", "RFC 9619", message(QUERY, [2, 0, 0, 0], &[&question(), &question()]), FORMERR),
        row("65,535 questions", "RFC 9619", message(QUERY, [65_535, 0, 0, 0], &[&question()]), FORMERR),
        row("a question without type", headers, message(QUERY, [1, 0, 0, 0], &[NAME]), FORMERR),
        row("a question without class", headers, message(QUERY, [1, 0, 0, 0], &[NAME, &[0, 1]]), FORMERR),
        // Counts that are not true.
        row("an answer that is not there", headers, message(QUERY, [1, 1, 0, 0], &[&question()]), FORMERR),
        row(
            "65,535 authorities that are not there",
            headers,
            message(QUERY, [1, 0, 65_535, 0], &[&question()]),
            FORMERR,
        ),
        row("an OPT that is not there", headers, message(QUERY, [1, 0, 0, 1], &[&question()]), FORMERR),
        row("trailing octets", "not forbidden", message(QUERY, [1, 0, 0, 0], &[&question(), &[0; 7]]), NOERROR),
        row("flags Z, AD, CD, TC, AA, RA", "RFC 1035 4.1.1", message(0x07f0, [1, 0, 0, 0], &[&question()]), NOERROR),
        // Names.
        row("a name that points at itself", names, of_name(&[0xc0, 12]), FORMERR),
        row("a name that points ahead", names, of_name(&[0xc0, 40]), FORMERR),
        // A count is not a name, even if it reads like one; BIND takes it for the root.
        row("a name that points at the header", names, of_name(&[0xc0, 4]), FORMERR).but_bind(REFUSED),
        row("a name that points at its own start", names, of_name(b"\x03www\xc0\x0c"), FORMERR),
        row("half a pointer", names, message(QUERY, [1, 0, 0, 0], &[&[0xc0]]), FORMERR),
        row("label type 0x40", "RFC 6891 5", of_name(b"\x41\x01\0"), FORMERR),
        row("label type 0x80", "RFC 1035 4.1.4", of_name(b"\x81a\0"), FORMERR),
        row("a label that runs out of the message", names, message(QUERY, [1, 0, 0, 0], &[b"\x3fabc"]), FORMERR),
        row("a name without end", names, message(QUERY, [1, 0, 0, 0], &[b"\x03www"]), FORMERR),
        row("a name of 255 octets", names, of_name(&long_name(255)), NXDOMAIN),
        row("a name of 256 octets", names, of_name(&long_name(256)), FORMERR),
        row("a name of 4,000 octets", names, of_name(&long_name(4000)), FORMERR),
        row("a label of any octets", "RFC 2181 11", of_name(b"\x05\0.\xff\\ \x07example\0"), NXDOMAIN),
        row("the root", names, of_name(&[0]), REFUSED),
        // Types and classes. Type 0 is reserved and never a type of data; BIND looks for it in the zone.
        row("QTYPE 0", "RFC 6895 3.1", of_type(0), FORMERR).but_bind(NOERROR),
        row("QTYPE OPT", "RFC 6891 6.1.1", of_type(41), FORMERR),
        row("QTYPE 128, unassigned meta", "RFC 6895 3.1", of_type(128), FORMERR),
        row("QTYPE TKEY", "RFC 2930", of_type(249), FORMERR),
        row("QTYPE TSIG", "RFC 8945", of_type(250), FORMERR),
        // There is no zone of this name.
        row("QTYPE IXFR without SOA", "RFC 1995 3", of_type(251), NOTAUTH),
        row("QTYPE AXFR over UDP", "RFC 5936 4.2", of_type(252), NOTAUTH),
        row("QTYPE MAILB", "RFC 1035 3.2.3", of_type(253), NOTIMP),
        row("QTYPE MAILA", "RFC 1035 3.2.3", of_type(254), NOTIMP),
        row("QTYPE ANY", "RFC 8482", of_type(255), NOERROR),
        row("QTYPE 65280", "RFC 3597", of_type(65_280), NOERROR),
        row("QTYPE 65535", "RFC 6895 3.1; CVE-2021-36754", of_type(65_535), NOERROR),
        row("class 0", "RFC 6895 3.2", of_class(0), FORMERR),
        // There are no zones of these classes, for which REFUSED is the answer; NOTIMP is for opcodes.
        row("class CS", "RFC 6895 3.2", of_class(2), REFUSED).but_bind(NOTIMP),
        row("class 65535", "RFC 6895 3.2", of_class(65_535), REFUSED).but_bind(NOTIMP),
        row("class CH", "RFC 6895 3.2", of_class(3), REFUSED),
        row("class HS", "RFC 6895 3.2", of_class(4), REFUSED),
        row("class NONE", "RFC 2136 2.4", of_class(254), FORMERR),
        // A valid QCLASS, which class IN answers; BIND no longer accepts it.
        row("class ANY", "RFC 1034 3.7.1", of_class(255), NOERROR).but_bind(FORMERR),
        // Opcodes.
        row("IQUERY", "RFC 3425", opcode(1), NOTIMP),
        row("STATUS", "RFC 1035 4.1.1", opcode(2), NOTIMP),
        row("opcode 3", "RFC 6895 2.2", opcode(3), NOTIMP),
        // Not supported yet. BIND supports them, but these messages have a question of type A instead of SOA.
        row("NOTIFY", "RFC 1996", opcode(4), NOTIMP).but_bind(FORMERR),
        row("UPDATE", "RFC 2136", opcode(5), NOTIMP).but_bind(FORMERR),
        row("DSO", "RFC 8490", opcode(6), NOTIMP),
        row("opcode 15", "RFC 6895 2.2", opcode(15), NOTIMP),
        row("DSO without question", "RFC 8490 5.4", message(6 << 11, [0; 4], &[]), NOTIMP),
        row("UPDATE without zone", "RFC 2136 3.1.1", message(5 << 11, [0; 4], &[]), FORMERR),
        // EDNS.
        row("OPT", edns, with(&opt(&[])), NOERROR),
        row("OPT that takes 0 octets", "RFC 6891 6.2.3", with(&record(types::OPT, 0, 0, &[], None)), NOERROR),
        row("OPT that takes 65,535 octets", "RFC 6891 6.2.5", with(&record(types::OPT, 65_535, 0, &[], None)), NOERROR),
        row("OPT version 1", "RFC 6891 6.1.3", with(&record(types::OPT, 1232, 0x0001_0000, &[], None)), BADVERS),
        row("OPT version 255", "RFC 6891 6.1.3", with(&record(types::OPT, 1232, 0x00ff_0000, &[], None)), BADVERS),
        row("OPT with unknown flags", "RFC 6891 6.1.4", with(&record(types::OPT, 1232, 0x7fff, &[], None)), NOERROR),
        row(
            "OPT with extended RCODE",
            "RFC 6891 6.1.3",
            with(&record(types::OPT, 1232, 0xff00_0000, &[], None)),
            NOERROR,
        ),
        row("an unknown option", "RFC 6891 6.1.2", with(&opt(b"\xff\xfe\0\x02hi")), NOERROR),
        row("half an option code", edns, with(&opt(&[0])), FORMERR),
        row("an option without length", edns, with(&opt(&[0, 3])), FORMERR),
        row("an option longer than OPT", edns, with(&opt(&[0, 3, 0, 9, 1])), FORMERR),
        row("an OPT longer than the message", edns, with(&record(types::OPT, 1232, 0, &[], Some(400))), FORMERR),
        row("LLQ cut short", "RFC 8764 3.2", with(&opt(&[0, 1, 0, 4, 0, 1, 0, 1])), FORMERR),
        row("an extended error of one octet", "RFC 8914 2", with(&opt(&[0, 15, 0, 1, 0])), FORMERR),
        row("a client tag of three octets", edns, with(&opt(&[0, 16, 0, 3, 0, 1, 2])), FORMERR),
        row("a server tag without data", edns, with(&opt(&[0, 17, 0, 0])), FORMERR),
        row("client subnet", "RFC 7871 6", with(&opt(&[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2])), NOERROR),
        row("client subnet with a scope", "RFC 7871 6", with(&opt(&[0, 8, 0, 7, 0, 1, 24, 24, 192, 0, 2])), FORMERR),
        row("no question and OPT version 1", "RFC 6891 6.1.3", message(QUERY, [0, 0, 0, 1], &[&new]), BADVERS),
        row("NSID with data", "RFC 5001 2.1", with(&opt(&[0, 3, 0, 1, 7])), NOERROR),
        row("keepalive over UDP", "RFC 7828 3.2.1", with(&opt(&[0, 11, 0, 0])), NOERROR),
        row("two OPTs", edns, message(QUERY, [1, 0, 0, 2], &[&question(), &opt(&[]), &opt(&[])]), FORMERR),
        row("OPT among the answers", edns, message(QUERY, [1, 1, 0, 0], &[&question(), &opt(&[])]), FORMERR),
        row("OPT of a name", edns, with(&[b"\x01a", &opt(&[])[..]].concat()), FORMERR),
        // Other records are skipped without being read, since nothing in them can affect the answer. BIND reads them.
        row("an address that comes along", "ignored", with(&record(types::A, 1, 0, &[192, 0, 2, 1], None)), NOERROR),
        row("an address of three octets", "ignored", with(&record(types::A, 1, 0, &[192, 0, 2], None)), NOERROR)
            .but_bind(FORMERR),
        row("a name that runs past its record", "ignored", with(&record(types::NS, 1, 0, b"\x03ww", None)), NOERROR)
            .but_bind(FORMERR),
        row("as many records as fit", "ignored", message(QUERY, [1, 0, 0, 30], &[&question(), &[0; 11 * 30]]), NOERROR)
            .but_bind(FORMERR),
        row("a record cut short", headers, with(&record(types::A, 1, 0, &[192, 0, 2], Some(4))), FORMERR),
        // TSIG.
        row("TSIG of garbage", tsigs, with(&record(250, 255, 0, b"\0garbage", None)), FORMERR),
        row("TSIG with an unknown key", tsigs, with(&tsig(255, &[7; 32], &[])), NOTAUTH),
        row("TSIG with an unknown key, no MAC and other data", tsigs, with(&tsig(255, &[], &[0; 6])), NOTAUTH),
        row("TSIG of class IN", "RFC 8945 4.2", with(&tsig(1, &[7; 32], &[])), FORMERR),
        row("TSIG cut short", tsigs, message(QUERY, [1, 0, 0, 1], &[&question(), cut]), FORMERR),
        row("TSIG before OPT", tsigs, message(QUERY, [1, 0, 0, 2], &[&question(), &signed, &opt(&[])]), FORMERR),
        row("two TSIGs", tsigs, message(QUERY, [1, 0, 0, 2], &[&question(), &signed, &signed]), FORMERR),
        row("TSIG among the answers", tsigs, message(QUERY, [1, 1, 0, 0], &[&question(), &signed]), FORMERR),
        row("TSIG and opcode STATUS", tsigs, message(2 << 11, [1, 0, 0, 1], &[&question(), &signed]), NOTAUTH),
        // It is unknown what the rest means in another version of EDNS.
        row(
            "TSIG and OPT version 1",
            "RFC 6891 6.1.3",
            message(QUERY, [1, 0, 0, 2], &[&question(), &new, &signed]),
            BADVERS,
        ),
    ]
}

/// A TSIG record of the key `key.`, with hmac-sha256, time 1 and the message's ID.
fn tsig(class: u16, mac: &[u8], other: &[u8]) -> Vec<u8> {
    let length = |octets: &[u8]| u16::try_from(octets.len()).expect("short").to_be_bytes();
    let data = [
        b"\x0bhmac-sha256\0\0\0\0\0\0\x01\x01\x2c".as_slice(),
        &length(mac),
        mac,
        &ID.to_be_bytes(),
        &[0; 2],
        &length(other),
        other,
    ];
    [b"\x03key", record(types::TSIG, class, 0, &data.concat(), None).as_slice()].concat()
}

fn zone() -> Zone {
    let record = |owner: &str, data| Record { owner: Name::of(owner), ttl: 300, data };
    Zone {
        origin: Name::of("example."),
        records: vec![
            record("example.", Data::Soa { mname: Name::of("ns.example."), minimum: 300 }),
            record("example.", Data::Ns(Name::of("ns.example."))),
            record("ns.example.", Data::A(1)),
            record("www.example.", Data::A(2)),
        ],
    }
}

fn outcome(row: &Row, response: Option<&[u8]>) -> Outcome {
    let Some(wire) = response else { return Silence };
    let response =
        Response::read(wire).unwrap_or_else(|error| panic!("{}: {error}: {}", row.what, wire.escape_ascii()));
    let request = u16::from_be_bytes([row.message[2], row.message[3]]);
    assert_eq!(response.id, ID, "{}: another id", row.what);
    assert!(response.has(flags::QR), "{}: not a response", row.what);
    assert_eq!(response.flags & 0x7800, request & 0x7800, "{}: another opcode", row.what);
    assert!(!response.has(0x0040), "{}: Z is set", row.what);
    Code(response.rcode())
}

#[test]
fn malformed_messages_get_what_the_rfcs_ask_for() {
    let mut engine = Engine::new();
    engine.serve([&zone()]);
    let mut wrong = Vec::new();
    for row in rows() {
        let outcome = outcome(&row, engine.ask(&row.message, Transport::Udp));
        if outcome != row.expected {
            wrong.push(format!("{} ({}): {outcome:?} instead of {:?}", row.what, row.reason, row.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `dig +header-only` sends one. A FORMERR without OPT would mean that EDNS is not supported here (RFC 6891 7).
#[test]
fn an_opt_without_a_question_gets_one_back() {
    let mut engine = Engine::new();
    engine.serve([&zone()]);
    let named = Peer::start(NAMED, [&zone()]);
    for opcode in [QUERY, 2 << 11] {
        let request = message(opcode, [0, 0, 0, 1], &[&opt(&[])]);
        let theirs = named.ask_udp(&request);
        for wire in [engine.ask(&request, Transport::Udp).expect("a response"), &theirs] {
            assert!(Response::read(wire).expect("a message").opt.is_some(), "{}", wire.escape_ascii());
        }
    }
}

#[test]
fn an_unknown_key_is_told_by_a_tsig_that_is_not_signed() {
    let mut engine = Engine::new();
    engine.serve([&zone()]);
    let named = Peer::start(NAMED, [&zone()]);
    let request = with(&tsig(255, &[7; 32], &[]));
    let theirs = named.ask_udp(&request);
    let ours = engine.ask(&request, Transport::Udp).expect("a response");
    let told = |wire: &[u8]| {
        let mut additional = Response::read(wire).expect("a message").additional;
        assert_eq!(additional.len(), 1);
        // The time is that of each server.
        additional[0].data[b"\x0bhmac-sha256\0".len()..][..6].fill(0);
        additional
    };
    assert_eq!(told(ours), told(&theirs));
    // Key name and type, class ANY, TTL 0; algorithm. Fudge, no MAC, original ID, BADKEY, no other data.
    let (before, after) = ours.split_at(ours.len() - 10 - 6);
    let (time, after) = after.split_at(6);
    assert!(before.ends_with(b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x1d\x0bhmac-sha256\0"), "{}", ours.escape_ascii());
    assert_eq!(after, b"\x01\x2c\0\0\x1d\x5a\0\x11\0\0");
    assert_ne!(time, [0; 6], "it has a clock");
}

#[test]
fn a_question_without_room_beside_a_tsig_is_left_out() {
    let mut engine = Engine::new();
    engine.serve([&zone()]);
    let key = &tsig(255, &[7; 32], &[])[b"\x03key".len()..];
    let request = message(QUERY, [1, 0, 0, 1], &[&long_name(255), &asks(types::A, 1), &long_name(255)[..254], key]);
    for (transport, has_room) in [(Transport::Udp, false), (Transport::Tcp, true)] {
        let response = Response::read(engine.ask(&request, transport).expect("a response")).expect("a message");
        assert!(response.additional.len() == 1 && response.rcode() == 9, "{response:?}");
        assert_eq!(!response.question.is_empty(), has_room, "{response:?}");
    }
}

#[test]
fn bind_agrees_but_where_a_row_says_otherwise() {
    let named = Peer::start(NAMED, [&zone()]);
    let mut wrong = Vec::new();
    for row in rows().iter().filter(|row| row.message.len() > 1) {
        let expected = row.named.unwrap_or(row.expected);
        // Waiting for silence always takes the full time; a response over loopback arrives sooner.
        let patience = Duration::from_millis(if expected == Silence { 200 } else { 5000 });
        let outcome = outcome(row, named.try_udp(&row.message, patience).as_deref());
        if outcome != expected {
            wrong.push(format!("{} ({}): {outcome:?} instead of {expected:?}", row.what, row.reason));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
