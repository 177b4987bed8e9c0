//! Signed requests, whole or changed on their way, as the engine handles them in random zones.

use std::time::{SystemTime, UNIX_EPOCH};

use bindy_server::listen::Transport;
use bindy_tests::{
    engine::Engine,
    generate,
    message::{Query, Response, flags},
    name::Name,
    tsig::Key,
};
use fastrand::Rng;

const FORMERR: u16 = 1;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
const NOTAUTH: u16 = 9;
const BADVERS: u16 = 16;
const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;
const BADTRUNC: u16 = 22;
/// The octets of a header.
const HEADER: usize = 12;
/// The octets of an HMAC-SHA256 code.
const FULL: usize = 32;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// A response with the records of each section in sorted order.
fn read(response: &[u8]) -> Response {
    let mut response = Response::read(response).expect("a well-formed response");
    for section in [&mut response.answer, &mut response.authority, &mut response.additional] {
        section.sort_unstable();
    }
    response
}

/// An engine with a zone and a key, and questions about the zone.
fn asked(rng: &mut Rng) -> (Engine, Key, Vec<Query>) {
    let key = Key::new("key.example.", b"a secret of 32 octets, or so long");
    let world = generate::world(rng, &Name::of("example."), &Name::of("apart.test."));
    let questions = generate::queries(rng, &world);
    let mut engine = Engine::new();
    engine.serve(&world);
    engine.trust([key.served()]);
    (engine, key, questions)
}

#[test]
fn a_signed_response_is_the_unsigned_one_with_a_signature() {
    let mut rng = Rng::with_seed(8945);
    for _ in 0..20 {
        let (mut engine, key, questions) = asked(&mut rng);
        for (id, query) in (0..).zip(questions) {
            let mut request = query.wire(id, rng.u32(..));
            let unsigned = engine.ask(&request, Transport::Tcp).expect("it is answered").to_vec();
            let code = key.sign(&mut request, now(), FULL);
            let mut response = engine.ask(&request, Transport::Tcp).expect("it is answered").to_vec();
            let signature = key.take(&mut response, &code).expect("it is signed");
            assert!(signature.proven && signature.error == 0, "{query:?}: {signature:?}");
            assert_eq!(read(&response), read(&unsigned), "{query:?}");
        }
    }
}

#[test]
fn what_was_changed_on_its_way_is_not_believed() {
    let mut rng = Rng::with_seed(8946);
    for _ in 0..20 {
        let (mut engine, key, questions) = asked(&mut rng);
        for (id, query) in (0..).zip(questions) {
            let mut request = query.wire(id, 0);
            let signed = request.len();
            let code = key.sign(&mut request, now(), FULL);
            // Not the ID, because the TSIG record has the original one. Not the counts, because then there would be no
            // TSIG, or more than that.
            let changed = if rng.u8(..8) == 0 { rng.usize(2..4) } else { rng.usize(HEADER..signed) };
            let bit = 1 << rng.u8(..8);
            request[changed] ^= bit;
            let Some(response) = engine.ask(&request, Transport::Tcp) else { continue };
            let mut response = response.to_vec();
            let rcode = read(&response).rcode();
            let Some(signature) = key.take(&mut response, &code) else {
                // The message's kind and class are checked before its sender.
                assert!(
                    [FORMERR, NOTIMP, REFUSED, BADVERS].contains(&rcode),
                    "{query:?}, octet {changed}, bit {bit}: {rcode}"
                );
                continue;
            };
            // The key's name may have become longer.
            let bad = [BADSIG, BADKEY].contains(&signature.error);
            assert!(bad && !signature.signed, "{query:?}, octet {changed}: {signature:?}");
            assert_eq!(rcode, NOTAUTH);
        }
    }
}

#[test]
fn a_signature_that_is_not_to_be_taken_is_told_why() {
    let mut rng = Rng::with_seed(8947);
    let (mut engine, key, questions) = asked(&mut rng);
    let other = Key::new("key.example.", b"another secret");
    let unknown = Key::new("unknown.example.", b"a secret of 32 octets, or so long");
    let cases = [
        (&other, 0, FULL, BADSIG, false),
        (&unknown, 0, FULL, BADKEY, false),
        (&key, 400, FULL, BADTIME, true),
        (&key, 0, FULL / 2, BADTRUNC, true),
        // The code is checked before the time, and the time before the code's length.
        (&other, 400, FULL, BADSIG, false),
        (&key, 400, FULL / 2, BADTIME, true),
    ];
    for (id, query) in (0..).zip(questions) {
        for (by, ago, octets, error, signed) in cases {
            let mut request = query.wire(id, 0);
            let code = by.sign(&mut request, now() - ago, octets);
            let mut response = engine.ask(&request, Transport::Udp).expect("it is answered").to_vec();
            let signature = by.take(&mut response, &code).expect("it says why");
            assert_eq!((signature.error, signature.signed, signature.proven), (error, signed, signed), "{query:?}");
            let response = read(&response);
            assert_eq!((response.rcode(), response.answer.len()), (NOTAUTH, 0), "{query:?}");
        }
    }
}

/// A name of this many octets in wire form, at least 3.
fn name_of(octets: usize) -> String {
    let labels = |octets: usize| (0..octets).map(|at| if at % 2 == 0 { "x" } else { "." }).collect::<String>();
    // Labels of one length octet and one octet of text, and the root; for an even length the first label is longer.
    let odd = if octets.is_multiple_of(2) { "y" } else { "" };
    format!("{odd}{}", labels(octets - 1 - odd.len()))
}

#[test]
fn a_signature_for_which_there_is_no_room_does_no_harm() {
    let mut rng = Rng::with_seed(8948);
    let (mut engine, _, _) = asked(&mut rng);
    engine.identify(&[b'i'; 180]);
    let options = [&[0, 3, 0, 0, 0, 10, 0, 8][..], &[7; 8]].concat();
    let opt = [&[0, 0, 41, 2, 0, 0, 0, 0, 0, 0, options.len() as u8][..], &options].concat();
    let lengths = [3, 60, 150, 180, 200, 220, 240, 254, 255];
    let mut complete = 0;
    for (key_octets, asked_octets, algorithm_octets) in lengths.into_iter().flat_map(|key| {
        lengths.into_iter().flat_map(move |asked| [None, Some(200), Some(255)].map(|algorithm| (key, asked, algorithm)))
    }) {
        let key = Key::new(&name_of(key_octets), b"secret");
        engine.trust([key.served()]);
        let key = match algorithm_octets {
            Some(octets) => key.of_algorithm(&name_of(octets)),
            None => key,
        };
        let query = Query { name: Name::of(&name_of(asked_octets)), qtype: 1, recursion_desired: false, edns: None };
        let mut request = [query.wire(1, 0), opt.clone()].concat();
        request[11] += 1;
        let code = key.sign(&mut request, now(), FULL);
        let mut response = engine.ask(&request, Transport::Udp).expect("it is answered").to_vec();
        let case = (key_octets, asked_octets, algorithm_octets, response.len());
        assert!(response.len() <= 512, "{case:?}");
        let read = Response::read(&response).expect("a well-formed response");
        let signature = key.take(&mut response, &code);
        let known = algorithm_octets.is_none();
        assert!(signature.as_ref().is_none_or(|it| it.proven == known && it.signed == known), "{case:?} {signature:?}");
        let whole = signature.is_some() && !read.question.is_empty();
        assert!(whole || !known || read.has(flags::TC), "{case:?}: what is left out can be had over TCP");
        complete += usize::from(whole);
    }
    assert!(complete > 50, "{complete}");
}
