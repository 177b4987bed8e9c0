//! Makes small random zones from so few labels that everything collides, and all questions near them.
//!
//! A world is what one server has: a zone, usually a second, separate one, and sometimes a child of the first. Names
//! point within a zone, across zones, and out of all of them.

use std::collections::BTreeSet;

use fastrand::Rng;

use crate::{
    message::Query,
    model,
    name::Name,
    zone::{Data, Record, Zone, types as t},
};

/// The labels that zones are made of; one of them needs escapes in text.
const LABELS: [&[u8]; 5] = [b"a", b"b", b"c", b"*", b"x.y"];

/// QTYPEs to ask for, besides those in the zone.
const QTYPES: [u16; 8] = [t::A, t::AAAA, t::NS, t::CNAME, t::DS, t::MX, t::TXT, t::ANY];

/// A world whose main zone is `origin`; `apart` is the origin of the second zone.
pub fn world(rng: &mut Rng, origin: &Name, apart: &Name) -> Vec<Zone> {
    let mut origins = vec![origin.clone()];
    if rng.u8(..3) > 0 {
        origins.push(apart.clone());
    }
    if rng.u8(..3) == 0 {
        origins.push(below(rng, origin, 1, 2));
    }
    let all = origins.clone();
    let mut world: Vec<Zone> = origins.into_iter().map(|origin| zone(rng, origin, &all)).collect();
    if let [main, .., child] = &mut world[..]
        && child.origin.is_below(&main.origin)
        && rng.u8(..4) > 0
    {
        // As it should be, the parent has the child's NS records as well.
        let servers = child.records.iter().filter(|record| record.owner == child.origin && record.rtype() == t::NS);
        for ns in servers.cloned() {
            add(main, rng, ns.owner, ns.data);
        }
    }
    // Sometimes one is not loaded.
    if let [_, .., last] = &mut world[..]
        && last.records.len() % 7 == 3
    {
        last.records.clear();
    }
    world
}

/// All names near a world's zones: owners and names in data, their ancestors, and children and siblings of those.
pub fn names(world: &[Zone]) -> Vec<Name> {
    let mut seeds = BTreeSet::new();
    for zone in world {
        for record in &zone.records {
            let target = match &record.data {
                Data::Cname(name) | Data::Dname(name) => Some(name),
                data => data.additional(&record.owner),
            };
            seeds.extend([&record.owner].into_iter().chain(target).cloned());
        }
        seeds.insert(zone.origin.clone());
    }
    let mut names = BTreeSet::new();
    for seed in seeds {
        let mut ancestor = Some(seed);
        while let Some(name) = ancestor {
            for label in [b"a".as_slice(), b"*", b"zz"] {
                names.insert(name.child(label));
                if let Some(parent) = name.parent() {
                    names.insert(parent.child(label));
                }
            }
            names.insert(name.child(b"zz").child(b"a"));
            ancestor = name.parent();
            names.insert(name);
        }
    }
    // A couple of names outside all zones are enough.
    let inside = |name: &Name| world.iter().any(|zone| name.is_under(&zone.origin));
    let (mut near, mut outside): (Vec<Name>, Vec<Name>) = names.into_iter().partition(inside);
    outside.truncate(2);
    near.append(&mut outside);
    near
}

/// All questions near a world: all its names, all its types and some that it does not have, with and without RD and
/// EDNS.
pub fn queries(rng: &mut Rng, world: &[Zone]) -> Vec<Query> {
    let mut queries = Vec::new();
    let own: BTreeSet<u16> = world.iter().flat_map(|zone| &zone.records).map(Record::rtype).collect();
    let qtypes: BTreeSet<u16> = own.into_iter().chain(QTYPES).collect();
    for name in names(world) {
        for &qtype in &qtypes {
            for recursion_desired in [false, true] {
                let edns = rng.bool().then_some(1232);
                queries.push(Query { name: name.clone(), qtype, recursion_desired, edns });
            }
        }
    }
    queries
}

fn zone(rng: &mut Rng, origin: Name, origins: &[Name]) -> Zone {
    let mut zone = Zone { origin: origin.clone(), records: Vec::new() };
    let mname = target(rng, &origin, origins);
    let minimum = rng.u32(1..4) * 1800;
    add(&mut zone, rng, origin.clone(), Data::Soa { mname, minimum });
    for _ in 0..rng.usize(2..16) {
        let owner = below(rng, &origin, 0, 3);
        let data = data(rng, &origin, origins);
        let delegates = data.rtype() == t::NS;
        add(&mut zone, rng, owner.clone(), data);
        if delegates && rng.bool() {
            let ds = Data::Ds(rng.u16(1..9));
            add(&mut zone, rng, owner, ds);
        }
    }
    // Addresses for some of the names that delegations use, so that there is glue in every position.
    let hosts: Vec<Name> = zone.records.iter().filter_map(|r| r.data.additional(&r.owner).cloned()).collect();
    for host in hosts {
        if host.is_under(&origin) && rng.u8(..3) > 0 {
            let data = if rng.bool() { Data::A(rng.u8(1..9)) } else { Data::Aaaa(rng.u8(1..9)) };
            add(&mut zone, rng, host, data);
        }
    }
    // BIND loads a zone only if the zone has the addresses of its own servers inside it.
    for _ in 0..rng.usize(1..4) {
        let ns = Data::Ns(target(rng, &origin, origins));
        add(&mut zone, rng, origin.clone(), ns);
    }
    if !zone.records.iter().any(|record| record.owner == origin && record.rtype() == t::NS) {
        add(&mut zone, rng, origin, Data::Ns(Name::of("ns.outside.invalid.")));
    }
    zone
}

/// Adds a record unless that would make the zone invalid: a CNAME must be alone, some types may have only one record,
/// and an RRset has one TTL.
fn add(zone: &mut Zone, rng: &mut Rng, owner: Name, data: Data) {
    let rtype = data.rtype();
    let node: Vec<&Record> = zone.records.iter().filter(|record| record.owner == owner).collect();
    let at_apex = owner == zone.origin;
    let has = |rtype: u16| node.iter().any(|record| record.rtype() == rtype);
    let refused = match rtype {
        t::CNAME => !node.is_empty(),
        t::SOA => !at_apex || has(t::SOA),
        t::DNAME => has(t::DNAME),
        t::DS => at_apex || !has(t::NS),
        // BIND does not load a wildcard NS (which RFC 4592 4.2 leaves undefined), nor an apex whose servers have no
        // address.
        t::NS if at_apex => matches!(&data, Data::Ns(host) if !model::may_serve(zone, host)),
        t::NS => owner.0.last().is_some_and(|label| label == b"*"),
        _ => false,
    };
    if refused || has(t::CNAME) || node.iter().any(|record| record.data == data) {
        return;
    }
    let ttl =
        node.iter().find(|record| record.rtype() == rtype).map_or_else(|| rng.u32(1..9) * 600, |record| record.ttl);
    zone.records.push(Record { owner, ttl, data });
}

fn data(rng: &mut Rng, origin: &Name, origins: &[Name]) -> Data {
    let target = target(rng, origin, origins);
    match rng.u8(..20) {
        0..3 => Data::A(rng.u8(1..9)),
        3 => Data::Aaaa(rng.u8(1..9)),
        4..8 => Data::Ns(target),
        8..12 => Data::Cname(target),
        12..14 => Data::Dname(target),
        14 => Data::Mx(rng.u16(1..3) * 10, target),
        15 => Data::Srv(rng.u16(1..3) * 100, target),
        16 => Data::Https(rng.u16(..2), target),
        17 => Data::Txt(rng.u8(1..9)),
        _ => Data::Private(rng.u8(1..9)),
    }
}

/// A name for data to point at: usually in the same zone, sometimes in another or nowhere.
fn target(rng: &mut Rng, origin: &Name, origins: &[Name]) -> Name {
    match rng.u8(..10) {
        0 => Name::of("outside.invalid."),
        1 | 2 => {
            let other = rng.choice(origins).expect("a world has a zone").clone();
            below(rng, &other, 0, 2)
        }
        _ => below(rng, origin, 0, 3),
    }
}

/// A name with `min` to `max` labels below `top`.
fn below(rng: &mut Rng, top: &Name, min: usize, max: usize) -> Name {
    let mut name = top.clone();
    for _ in 0..rng.usize(min..=max) {
        name = name.child(LABELS[rng.usize(..LABELS.len())]);
    }
    name
}
