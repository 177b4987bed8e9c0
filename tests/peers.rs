//! Compares the engine with BIND and NSD at their defaults: the same random zones, the same questions, section by
//! section.
//!
//! [`DIFFERENCES`] lists everything that may differ; each row is a rule of the model with its reason. Where a peer's
//! answer differs from the engine's, it must be exactly that of the model under the peer's rows, and every row must be
//! needed.

use bindy_server::listen::Transport;
use bindy_tests::{
    engine::Engine,
    generate,
    message::{Query, Response, flags, set},
    model::{self, Answer, Rules, Svcb, rcode},
    name::Name,
    peers::{Maker, NAMED, NSD, Peer},
    zone::{Data, Record, Zone, types},
};
use fastrand::Rng;

/// A deliberate difference between a peer and Bindy, on either side.
struct Difference {
    peer: Maker,
    /// What the peer does, and why Bindy does not.
    reason: &'static str,
    /// Sets the model's rules to the peer's behaviour.
    rule: fn(&mut Rules),
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        peer: NAMED,
        reason: "Without recursion BIND ends a chain, and the look for additional records, at the edge of the first \
                 zone, though it serves the other one too. Going on saves the resolver a question.",
        rule: |rules| (rules.chain_crosses_zones, rules.additional_crosses_zones) = (false, false),
    },
    Difference {
        peer: NAMED,
        reason: "BIND's referrals leave out the addresses of servers that are named in the zone itself, above any cut; \
                 a resolver has to ask for them at once. NSD gives them, and so do we.",
        rule: |rules| rules.referral_has_addresses = false,
    },
    Difference {
        peer: NAMED,
        reason: "BIND follows CNAMEs and aliases while it looks for the addresses of a SVCB target. RFC 9460 4.1 asks \
                 for the records of the target itself.",
        rule: |rules| rules.svcb = Svcb::Chain,
    },
    Difference {
        peer: NAMED,
        reason: "BIND takes addresses below a DNAME for glue. Nothing exists there (RFC 6672 2.4).",
        rule: |rules| rules.glue_below_dname = true,
    },
    Difference {
        peer: NAMED,
        reason: "BIND answers a chain longer than `max-query-restarts` with SERVFAIL. With the names so far a resolver \
                 can go on, as NSD and Knot see it, and none trusts a server to know a chain's end.",
        rule: |rules| rules.endless = rcode::SERVFAIL,
    },
    Difference {
        peer: NAMED,
        reason: "BIND refuses a question for DS at the top of a zone that has not loaded, as it would if the zone were no \
                 business of its own. It is, once it loads: the resolver may come again.",
        rule: |rules| rules.refuses_ds_of_unloaded = true,
    },
    Difference {
        peer: NSD,
        reason: "NSD repeats in the additional section what a wildcard has given to the answer.",
        rule: |rules| rules.repeats_wildcards = true,
    },
    Difference {
        peer: NSD,
        reason: "NSD ends a chain at a zone that has not loaded as it does where it serves none. A client that desires \
                 recursion cannot go on from there: BIND has it ask another server, and so do we.",
        rule: |rules| rules.recursion_needs_whole_chain = false,
    },
    Difference {
        peer: NSD,
        reason: "NSD gives nothing beside SVCB and HTTPS; RFC 9460 4.1 says that it should.",
        rule: |rules| rules.svcb = Svcb::Nothing,
    },
    Difference {
        peer: NSD,
        reason: "NSD looks for additional records in one zone, though it follows chains into others.",
        rule: |rules| rules.additional_crosses_zones = false,
    },
    Difference {
        peer: NSD,
        reason: "NSD gives glue, which is not the zone's own data, beside authoritative answers too.",
        rule: |rules| rules.apex_ns_has_glue = true,
    },
    Difference {
        peer: NSD,
        reason: "NSD sends the zone's NS records with every answer. A client that desires recursion is no resolver and \
                 has no use for them: BIND's `no-auth-recursive`.",
        rule: |rules| rules.always_apex_ns = true,
    },
    Difference {
        peer: NSD,
        reason: "NSD knows no `zero-no-soa-ttl`, which is BIND's default.",
        rule: |rules| rules.zero_soa_ttl = false,
    },
    Difference {
        peer: NSD,
        reason: "NSD sees at once that a DNAME which leads below itself leads nowhere; we follow it as far as any chain.",
        rule: |rules| rules.follows_dname_into_itself = false,
    },
    Difference {
        peer: NSD,
        reason: "NSD leaves the NS records out beside a CNAME that a DNAME made, the one answer without them.",
        rule: |rules| rules.apex_ns_beside_synthesis = false,
    },
];

/// The number of worlds that each peer serves at once, and of questions about each.
const WORLDS: usize = 300;
const QUESTIONS: usize = 150;

#[test]
fn bind_answers_the_same_but_for_listed_differences() {
    compare(NAMED);
}

#[test]
fn nsd_answers_the_same_but_for_listed_differences_and_never_shorter() {
    compare(NSD);
}

/// RRSIG, NSEC and KEY may stand beside a CNAME (RFC 4035 2.5), so a question for one of them is about the CNAME's
/// owner. Knot does the same except for KEY; NSD follows the CNAME for any type.
#[test]
fn what_may_stand_beside_a_cname_is_looked_for_at_its_owner_as_in_bind() {
    let zone = zone_with([
        ("alias.example.", Data::Cname(Name::of("ns.example."))),
        ("*.wild.example.", Data::Cname(Name::of("nothing.example."))),
    ]);
    let mut engine = Engine::new();
    engine.serve([&zone]);
    let named = Peer::start(NAMED, [&zone]);
    for name in ["alias.example.", "a.wild.example."] {
        for qtype in [types::RRSIG, types::NSEC, types::KEY] {
            let query = Query { name: Name::of(name), qtype, recursion_desired: false, edns: None };
            let ours = sections(&ask(&mut engine, &query));
            assert_eq!(ours, sections(&named.ask(&query, 1)), "{query:?}");
            assert_eq!((ours.rcode, ours.answer.len()), (rcode::NOERROR, 0), "{query:?}");
        }
    }
}

#[test]
fn a_key_is_answered_with_the_name_servers_of_its_zone_as_in_bind() {
    let zone = zone_with([("host.example.", Data::Key(512))]);
    let mut engine = Engine::new();
    engine.serve([&zone]);
    let query = Query { name: Name::of("host.example."), qtype: types::KEY, recursion_desired: false, edns: None };
    let ours = sections(&ask(&mut engine, &query));
    assert_eq!(ours, sections(&Peer::start(NAMED, [&zone]).ask(&query, 1)));
    assert_eq!((ours.answer.len(), ours.authority.len(), ours.additional.len()), (1, 1, 1));
}

/// The zone `example.` with these records, beside its SOA and a name server that has an address.
fn zone_with<const N: usize>(records: [(&str, Data); N]) -> Zone {
    let nameserver = Name::of("ns.example.");
    let top = [
        ("example.", Data::Soa { mname: nameserver.clone(), minimum: 300 }),
        ("example.", Data::Ns(nameserver)),
        ("ns.example.", Data::A(1)),
    ];
    let record = |(owner, data)| Record { owner: Name::of(owner), ttl: 300, data };
    Zone { origin: Name::of("example."), records: top.into_iter().chain(records).map(record).collect() }
}

fn compare(maker: Maker) {
    let other_seed = std::env::var("BINDY_SEED").ok().and_then(|text| text.parse().ok());
    let seed = other_seed.unwrap_or(2026);
    let mut rng = Rng::with_seed(seed);
    let origin = |letter: char, i: usize| Name::of(&format!("{letter}{i}.test."));
    let worlds: Vec<Vec<Zone>> =
        (0..WORLDS).map(|i| generate::world(&mut rng, &origin('m', i), &origin('n', i))).collect();
    let peer = Peer::start(maker, worlds.iter().flatten());
    let mut engine = Engine::new();

    let listed: Vec<&Difference> = DIFFERENCES.iter().filter(|row| row.peer == maker).collect();
    let mut needed = vec![false; listed.len()];
    let (mut asked, mut same) = (0, 0);
    for world in worlds.iter().filter(|world| comparable(&peer, maker, world)) {
        engine.serve(world);
        let mut queries = generate::queries(&mut rng, world);
        rng.shuffle(&mut queries);
        // NSD answers ANY with one RRset of its choice (RFC 8482 4.1), over TCP as well.
        queries.retain(|query| maker != NSD || query.qtype != types::ANY);
        for query in queries.into_iter().take(QUESTIONS) {
            let (ours, theirs) = (ask(&mut engine, &query), peer.ask(&query, rng.u16(..)));
            let (we, they) = (sections(&ours), sections(&theirs));
            let told = || {
                let zones: Vec<String> = world.iter().map(Zone::text).collect();
                format!("seed {seed}: {query:?}\n{} {theirs:?}\nours {ours:?}\n{}", maker.program, zones.join("\n"))
            };
            asked += 1;
            if we == they {
                same += 1;
                // The extended error for a zone that is not loaded is worth six octets (RFC 8914).
                let longer = ours.size > theirs.size && ours.extended_errors().is_empty();
                assert!(maker != NSD || !longer, "larger than NSD's\n{}", told());
                continue;
            }
            let under = |rows: &mut dyn Iterator<Item = &&Difference>| {
                let mut rules = Rules::BINDY;
                rows.for_each(|row| (row.rule)(&mut rules));
                (rules, model::answer(world, &query, rules))
            };
            let explained = |(rules, expected): (Rules, Answer)| alike(rules, &expected, &they);
            let expected = under(&mut listed.iter());
            assert!(explained(expected.clone()), "not a listed difference\n{}\nexpected {:?}", told(), expected.1);
            for (i, needed) in needed.iter_mut().enumerate() {
                let others = listed.iter().enumerate().filter(|(other, _)| *other != i).map(|(_, row)| row);
                *needed |= !explained(under(&mut { others }));
            }
        }
    }
    println!("{}: {asked} questions, {same} answered the same, {} by a listed difference", maker.program, asked - same);
    assert!(asked >= 5000, "{} loaded so few of the zones that only {asked} questions were asked", maker.program);
    for (row, needed) in listed.iter().zip(needed) {
        // Other zones may not happen to show every difference.
        assert!(needed || other_seed.is_some(), "no answer differs for this reason any more: {}", row.reason);
    }
}

/// Whether a world can be compared on a peer: it must have loaded all zones, each as if it were the only one.
fn comparable(peer: &Peer, maker: Maker, world: &[Zone]) -> bool {
    let soa =
        |zone: &Zone| Query { name: zone.origin.clone(), qtype: types::SOA, recursion_desired: false, edns: None };
    let loaded = |zone: &Zone| peer.ask(&soa(zone), 0).rcode() == rcode::NOERROR;
    if world.iter().any(|zone| !zone.records.is_empty() && !loaded(zone)) {
        return false;
    }
    // NSD has one tree of names for all zones: names of a child exist in its parent and vice versa, unless the parent
    // has nothing of the child but its delegation.
    let proper = |parent: &Zone, child: &Zone| {
        let mut shared = parent.records.iter().filter(|record| record.owner.is_under(&child.origin)).peekable();
        shared.peek().is_some() && shared.all(|record| record.owner == child.origin && record.rtype() == types::NS)
    };
    let apart = |parent: &Zone, child: &Zone| {
        !child.origin.is_below(&parent.origin) || !child.records.is_empty() && proper(parent, child)
    };
    maker != NSD || world.iter().all(|parent| world.iter().all(|child| apart(parent, child)))
}

/// Whether a peer's response is the one that its rules lead to. The model does not follow the chain of a SVCB target as
/// BIND does.
fn alike(rules: Rules, expected: &Answer, they: &Answer) -> bool {
    let chain = rules.svcb == Svcb::Chain && they.answer.iter().any(|rr| rr.rtype == types::HTTPS);
    let additional = if chain { &they.additional } else { &expected.additional };
    // Extended DNS Errors differ between servers.
    Answer { additional: additional.clone(), not_ready: false, ..expected.clone() } == *they
}

fn ask(engine: &mut Engine, query: &Query) -> Response {
    let wire = engine.ask(&query.wire(1, 0), Transport::Tcp).expect("a question has a response");
    Response::read(wire).unwrap_or_else(|error| panic!("{query:?}: {error}"))
}

fn sections(response: &Response) -> Answer {
    Answer {
        rcode: response.rcode(),
        authoritative: response.has(flags::AA),
        not_ready: false,
        answer: set(&response.answer),
        authority: set(&response.authority),
        additional: set(&response.additional),
    }
}
