//! Compares the engine with the naive model: every question near small random zones, over a million per run.
//!
//! `BINDY_SEED` chooses other zones, `BINDY_WORLDS` their number. A failure prints the smallest zones that still show
//! it.

use bindy_server::listen::Transport;
use bindy_tests::{
    engine::Engine,
    generate,
    message::{Query, Response, flags, set},
    model::{self, Rules},
    name::Name,
    zone::Zone,
};
use fastrand::Rng;

/// The Extended DNS Error of a zone that is configured but not loaded (RFC 8914 4.15).
const NOT_READY: u16 = 14;

#[test]
fn a_million_answers_are_those_of_the_model() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, worlds) = (number("BINDY_SEED").unwrap_or(2026), number("BINDY_WORLDS").unwrap_or(200));
    let mut rng = Rng::with_seed(seed);
    let mut engine = Engine::new();
    let mut asked = 0;
    for round in 0..worlds {
        // Sometimes the main zone is the root.
        let origin = if round % 8 == 0 { Name::default() } else { Name::of("example.") };
        let world = generate::world(&mut rng, &origin, &Name::of("other.test."));
        engine.serve(&world);
        for query in generate::queries(&mut rng, &world) {
            let case = rng.u32(..);
            asked += 2;
            if let Err(error) = check(&mut engine, &world, &query, case) {
                let (world, error) = shrink(&mut engine, world, &query, case, error);
                let zones: Vec<String> = world.iter().map(Zone::text).collect();
                panic!("seed {seed}, world {round}\n{query:?}\n{error}\n{}", zones.join("\n"));
            }
        }
    }
    println!("{asked} questions");
    assert!(worlds < 200 || asked >= 1_000_000, "only {asked} questions");
}

/// Asks over both transports and returns what is wrong with the responses.
fn check(engine: &mut Engine, world: &[Zone], query: &Query, case: u32) -> Result<(), String> {
    let expected = model::answer(world, query, Rules::BINDY);
    let request = query.wire(case as u16, case);
    let tcp = ask(engine, query, &request, Transport::Tcp)?;
    let wrong = |what: &str| Err(format!("{what}\nengine {tcp:?}\nmodel  {expected:?}"));
    if tcp.rcode() != expected.rcode {
        return wrong("response code");
    }
    if tcp.has(flags::AA) != expected.authoritative {
        return wrong("AA");
    }
    if tcp.extended_errors().contains(&NOT_READY) != (expected.not_ready && query.edns.is_some()) {
        return wrong("Extended DNS Error");
    }
    for (title, section, expected) in [
        ("answer", &tcp.answer, &expected.answer),
        ("authority", &tcp.authority, &expected.authority),
        ("additional", &tcp.additional, &expected.additional),
    ] {
        if set(section) != *expected {
            return wrong(title);
        }
        if section.len() != expected.len() {
            return wrong(&format!("a record stands twice in the {title} section"));
        }
    }
    if tcp.has(flags::TC) {
        return wrong("TC over TCP");
    }
    check_udp(engine, query, &request, &tcp)
}

/// Checks that the response over UDP is the same if it fits, and truncated if it does not.
fn check_udp(engine: &mut Engine, query: &Query, request: &[u8], tcp: &Response) -> Result<(), String> {
    let limit = query.edns.map_or(512, usize::from);
    let udp = ask(engine, query, request, Transport::Udp)?;
    let wrong = |what: &str| Err(format!("{what}\nudp {udp:?}\ntcp {tcp:?}"));
    if udp.size > limit {
        return wrong("too large for UDP");
    }
    let parts = |response: &Response| (set(&response.answer), set(&response.authority), set(&response.additional));
    let fits = tcp.size <= limit;
    if (udp.rcode(), udp.has(flags::AA)) != (tcp.rcode(), tcp.has(flags::AA)) {
        return wrong("UDP and TCP differ in code or AA");
    }
    if fits && (udp.has(flags::TC) || parts(&udp) != parts(tcp)) {
        return wrong("UDP differs from TCP though it fits");
    }
    if fits || udp.has(flags::TC) {
        return Ok(());
    }
    // Additional records may be left out silently, except those that a referral requires (RFC 9471 3.1).
    let referral = !tcp.has(flags::AA) && tcp.answer.is_empty();
    let cut = tcp.authority.first().filter(|_| referral).map(|ns| &ns.owner);
    let needed = |rr: &&bindy_tests::message::Rr| cut.is_some_and(|cut| rr.owner.is_under(cut));
    let left_out = tcp.additional.iter().filter(needed).any(|rr| !udp.additional.contains(rr));
    if left_out || set(&udp.answer) != set(&tcp.answer) {
        return wrong("shortened without TC");
    }
    Ok(())
}

fn ask(engine: &mut Engine, query: &Query, request: &[u8], transport: Transport) -> Result<Response, String> {
    let wire = engine.ask(request, transport).ok_or("no response")?;
    let response = Response::read(wire).map_err(|error| format!("{error}: {}", wire.escape_ascii()))?;
    let wrong = |what: &str| Err(format!("{what}: {response:?}"));
    let question = 12..12 + query.name.wire().len() + 4;
    let rd = if query.recursion_desired { flags::RD } else { 0 };
    if response.id.to_be_bytes() != request[..2] {
        return wrong("another id");
    }
    if response.flags & !(flags::AA | flags::TC | 15) != flags::QR | rd {
        return wrong("header flags");
    }
    if response.question != request[question] {
        return wrong("the question is not the client's, octet by octet");
    }
    if response.opt.is_some() != query.edns.is_some() {
        return wrong("OPT");
    }
    Ok(response)
}

/// Removes records for as long as the response stays wrong.
fn shrink(
    engine: &mut Engine,
    mut world: Vec<Zone>,
    query: &Query,
    case: u32,
    mut error: String,
) -> (Vec<Zone>, String) {
    loop {
        let places: Vec<(usize, usize)> =
            world.iter().enumerate().flat_map(|(z, zone)| (0..zone.records.len()).map(move |r| (z, r))).collect();
        let smaller = places.into_iter().find_map(|(z, r)| {
            let mut smaller = world.clone();
            smaller[z].records.remove(r);
            if smaller[z].records.is_empty() {
                smaller.remove(z); // An empty one would count as not loaded.
            }
            engine.serve(&smaller);
            check(engine, &smaller, query, case).err().map(|error| (smaller, error))
        });
        match smaller {
            Some(found) => (world, error) = found,
            None => return (world, error),
        }
    }
}
