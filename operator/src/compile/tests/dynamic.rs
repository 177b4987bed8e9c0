//! What clients write beside what resources declare.

use super::*;

const NAMESPACE: &str = "default";

/// What clients have written into `origin`: lines of an owner, a TTL, a type and one name, address or text.
fn written_into(origin: &str, lines: &str) -> ZoneData {
    let origin = name(origin);
    let mut edit = ZoneData::new(origin.clone()).edit();
    for line in lines.lines() {
        let [owner, ttl, rtype, data] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (owner, rtype) = (below(owner, &origin), Rtype::from_text(rtype.as_bytes()).unwrap());
        let rdata = match rtype {
            Rtype::A => data.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
            Rtype::TXT => [&[data.len() as u8], data.as_bytes()].concat(),
            _ => below(data, &origin).as_ref().as_wire().to_vec(),
        };
        edit.add(owner.as_ref(), rtype, ttl.parse().unwrap(), &rdata).unwrap();
    }
    edit.commit()
}

fn written(lines: &str) -> ZoneData {
    written_into("example.com.", lines)
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn below(text: &str, origin: &Name) -> Name {
    Name::parse(text.as_bytes(), origin.as_ref()).unwrap()
}

/// A compiler with the zone and these records.
fn declaring(records: &[String]) -> Compiler {
    compiled(resources(&format!("{ZONE}{}", records.concat())))
}

/// The resource that keeps clients from writing, as text; empty if none does.
fn declarer(compiler: &Compiler, owner: &str, rtype: Rtype) -> String {
    let origin = name("example.com.");
    let declarer = compiler.declarer(&origin, below(owner, &origin).as_ref(), rtype);
    declarer.map(|id| id.to_string()).unwrap_or_default()
}

#[test]
fn what_clients_write_is_served_beside_what_is_declared() {
    let mut compiler = declaring(&[record("ARecord", "a", "name: www, ipv4Addresses: [192.0.2.8]")]);
    compiler.write(NAMESPACE, written("www 60 TXT x\nnew 60 A 192.0.2.9\n@ 60 TXT y"));
    assert_eq!(records(&compiler), "@ 60 TXT \"y\"\nnew 60 A 192.0.2.9\nwww 3600 A 192.0.2.8\nwww 60 TXT \"x\"\n");
    assert_eq!(compiler.written(&name("example.com.")).map(ZoneData::records), Some(3));
    compiler.write(NAMESPACE, written(""));
    assert_eq!(records(&compiler), "www 3600 A 192.0.2.8\n");
}

#[test]
fn what_is_declared_wins_whatever_its_age_and_is_never_merged() {
    let mut compiler = declaring(&[]);
    compiler.write(NAMESPACE, written("www 60 A 192.0.2.9\nalias 60 A 192.0.2.9\nother 60 CNAME www"));
    assert_eq!(declarer(&compiler, "www", Rtype::A), "");
    let late = [
        record("ARecord", "a", "name: www, ipv4Addresses: [192.0.2.8]"),
        record("CNAMERecord", "alias", "name: alias, target: www"),
        record("TXTRecord", "other", "name: other, text: [x]"),
    ];
    let late = resources(&late.concat());
    let ids: Vec<ResourceId> = late.iter().map(|resource| resource.id.clone()).collect();
    let step = compiler.apply(late.into_iter().map(Change::Put));
    assert_eq!(records(&compiler), "alias 3600 CNAME www\nother 3600 TXT \"x\"\nwww 3600 A 192.0.2.8\n");
    assert_eq!((step.zones[0].added, step.zones[0].removed, step.zones[0].changed), (2, 2, 1));
    assert!(findings(&compiler).is_empty());
    assert_eq!(declarer(&compiler, "www", Rtype::A), "ARecord default/a");
    assert_eq!(declarer(&compiler, "www", Rtype::CNAME), "ARecord default/a");
    assert_eq!(declarer(&compiler, "www", Rtype::TXT), "");
    assert_eq!(declarer(&compiler, "alias", Rtype::A), "CNAMERecord default/alias");
    assert_eq!(declarer(&compiler, "other", Rtype::CNAME), "TXTRecord default/other");
    let step = compiler.apply(ids.into_iter().map(Change::Remove));
    assert_eq!(records(&compiler), "alias 60 A 192.0.2.9\nother 60 CNAME www\nwww 60 A 192.0.2.9\n", "it was kept");
    assert_eq!((step.zones[0].added, step.zones[0].removed, step.zones[0].changed), (2, 2, 1));
}

#[test]
fn a_declared_delegation_hides_what_clients_wrote_except_glue() {
    let cut = record("NSRecord", "cut", "name: sub, nameserver: ns.sub.example.com.");
    let mut compiler = declaring(&[]);
    compiler.write(NAMESPACE, written("a.sub 60 A 192.0.2.9\nns.sub 60 A 192.0.2.8\nsub 60 TXT x"));
    compiler.apply(resources(&cut).into_iter().map(Change::Put));
    assert_eq!(records(&compiler), "sub 3600 NS ns.sub\nns.sub 60 A 192.0.2.8\n");
    assert_eq!(declarer(&compiler, "b.sub", Rtype::A), "NSRecord default/cut");
    assert_eq!(declarer(&compiler, "ns.sub", Rtype::AAAA), "");
    assert_eq!(declarer(&compiler, "sub", Rtype::DS), "");
    compiler.apply([Change::Remove(resources(&cut)[0].id.clone())]);
    assert_eq!(records(&compiler), "sub 60 TXT \"x\"\na.sub 60 A 192.0.2.9\nns.sub 60 A 192.0.2.8\n");
}

#[test]
fn a_written_delegation_does_not_hide_what_is_declared() {
    let a = record("ARecord", "a", "name: a.sub, ipv4Addresses: [192.0.2.8]");
    let mut compiler = declaring(&[]);
    let cut = "sub 60 NS ns.sub\nns.sub 60 A 192.0.2.9";
    compiler.write(NAMESPACE, written(&format!("{cut}\nd 60 DNAME sub")));
    assert_eq!(records(&compiler), "d 60 DNAME sub\nsub 60 NS ns.sub\nns.sub 60 A 192.0.2.9\n");
    compiler.apply(resources(&a).into_iter().map(Change::Put));
    assert_eq!(records(&compiler), "d 60 DNAME sub\na.sub 3600 A 192.0.2.8\nns.sub 60 A 192.0.2.9\n");
    assert_eq!(declarer(&compiler, "sub", Rtype::NS), "ARecord default/a");
    assert_eq!(declarer(&compiler, "sub", Rtype::DNAME), "ARecord default/a");
    compiler.apply([Change::Remove(resources(&a)[0].id.clone())]);
    assert_eq!(records(&compiler), "d 60 DNAME sub\nsub 60 NS ns.sub\nns.sub 60 A 192.0.2.9\n");
}

#[test]
fn soa_and_apex_servers_are_the_zones_own() {
    let mut compiler = declaring(&[]);
    compiler.write(NAMESPACE, written("@ 60 NS other\nns1 60 A 192.0.2.9\n@ 60 TXT x"));
    assert_eq!(records(&compiler), "@ 60 TXT \"x\"\n");
    for (owner, rtype) in [("@", Rtype::NS), ("@", Rtype::SOA), ("ns1", Rtype::A), ("x", Rtype::RRSIG)] {
        assert_eq!(declarer(&compiler, owner, rtype), "DNSZone default/example", "{owner} {rtype}");
    }
}

#[test]
fn a_cname_that_was_hidden_yields_to_what_was_written_beside_it() {
    let a = record("ARecord", "a", "name: www, ipv4Addresses: [192.0.2.8]");
    let mut compiler = declaring(std::slice::from_ref(&a));
    compiler.write(NAMESPACE, written("www 60 CNAME other\nwww 60 TXT x"));
    assert_eq!(records(&compiler), "www 3600 A 192.0.2.8\nwww 60 TXT \"x\"\n");
    compiler.apply([Change::Remove(resources(&a)[0].id.clone())]);
    assert_eq!(records(&compiler), "www 60 TXT \"x\"\n");
    compiler.write(NAMESPACE, written("www 60 CNAME other"));
    assert_eq!(records(&compiler), "www 60 CNAME other\n");
}

#[test]
fn only_the_namespace_of_the_zone_writes_into_it() {
    let mut other = resources(&ZONE.replace("{name: example}", "{name: second, namespace: other}")).remove(0);
    other.created = Some("2026-01-01T00:00:00Z".parse().unwrap());
    let mut compiler = declaring(&[]);
    compiler.write(NAMESPACE, written("here 60 TXT x"));
    compiler.write("other", written("there 60 TXT x"));
    assert_eq!(records(&compiler), "here 60 TXT \"x\"\n");
    let id = other.id.clone();
    let step = compiler.apply([Change::Put(other)]);
    assert_eq!(records(&compiler), "there 60 TXT \"x\"\n", "the older zone takes over");
    assert_eq!((step.zones[0].removed, step.zones[0].withdrawn), (1, 0), "no client removed it");
    compiler.apply([Change::Remove(id)]);
    assert_eq!(records(&compiler), "here 60 TXT \"x\"\n");
    let zone = resources(ZONE).remove(0);
    compiler.apply([Change::Remove(zone.id.clone())]);
    assert_eq!(compiler.zones().count(), 0);
    compiler.apply([Change::Put(zone)]);
    assert_eq!(records(&compiler), "here 60 TXT \"x\"\n", "it is kept without a zone");
}

#[test]
fn what_clients_remove_does_not_count_as_removed() {
    let mut compiler = declaring(&[]);
    let counts = |step: Step| {
        let counts = |z: &ZoneStep| (z.added, z.removed, z.changed, z.withdrawn, z.after.map(|serial| serial.0));
        step.zones.iter().map(counts).collect::<Vec<_>>()
    };
    assert_eq!(counts(compiler.write(NAMESPACE, written("a 60 TXT x\nb 60 TXT x"))), [(2, 0, 0, 0, Some(8))]);
    assert_eq!(counts(compiler.write(NAMESPACE, written("b 60 TXT x\na 60 TXT x"))), [], "the same again");
    assert_eq!(counts(compiler.write(NAMESPACE, written("b 60 TXT y"))), [(0, 0, 1, 1, Some(9))]);
    assert_eq!(counts(compiler.write(NAMESPACE, written(""))), [(0, 0, 0, 1, Some(10))]);
    let both = [
        Change::Write(NAMESPACE.into(), written("a 60 TXT x")),
        Change::Put(resources(&record("ARecord", "b", "name: b, ipv4Addresses: [192.0.2.3]")).remove(0)),
    ];
    assert_eq!(counts(compiler.apply(both)), [(2, 0, 0, 0, Some(11))], "one step costs one serial");
}

#[test]
fn the_order_in_which_clients_wrote_records_does_not_matter() {
    let hash = |lines: &str| {
        let mut compiler = declaring(&[]);
        compiler.write(NAMESPACE, written(lines));
        (compiler.published()[&name("example.com.")].hash, zone_text(&compiler))
    };
    assert_eq!(hash("a 60 A 192.0.2.9\na 60 A 192.0.2.8"), hash("a 60 A 192.0.2.8\na 60 A 192.0.2.9"));
}

#[test]
fn a_server_that_clients_named_makes_no_glue_of_what_is_declared() {
    let cut = record("NSRecord", "a", "name: sub, nameserver: ns.example.net.");
    let address = record("ARecord", "b", "name: x.sub, ipv4Addresses: [192.0.2.8]");
    let mut compiler = declaring(&[cut, address]);
    let before = findings(&compiler);
    compiler.write(NAMESPACE, written("other 60 NS x.sub\nx.sub 60 A 192.0.2.9"));
    assert_eq!(records(&compiler), "other 60 NS x.sub\nsub 3600 NS ns.example.net.\n");
    assert_eq!(findings(&compiler), before);
    assert_eq!(before.len(), 1);
}

const OWNERS: [&str; 7] = ["example.com.", "www", "*", "sub", "a.sub", "ns1", "www.example.com."];
const TYPES: [&str; 5] = ["A 192.0.2.7", "CNAME www", "NS a.sub", "DNAME other", "TXT w"];

/// What clients may have written into a zone and the one below it.
fn writing() -> impl Strategy<Value = [ZoneData; 2]> {
    let line = (prop::sample::select(&OWNERS[..]), prop::sample::select(&TYPES[..]), 1..3_u8);
    let zone = prop::collection::vec(line, 0..6);
    (zone.clone(), zone).prop_map(|(parent, child)| {
        let data = |origin: &str, lines: Vec<(&str, &str, u8)>| {
            let inside = |owner: &&str| below(owner, &name(origin)).as_ref().is_at_or_below(name(origin).as_ref());
            let lines = lines.into_iter().filter(|(owner, ..)| inside(owner));
            let lines: Vec<String> = lines.map(|(owner, data, ttl)| format!("{owner} {ttl} {data}")).collect();
            written_into(origin, &lines.join("\n"))
        };
        [data("example.com.", parent), data("sub.example.com.", child)]
    })
}

fn rrsets(data: &ZoneData) -> impl Iterator<Item = (Name, Rtype)> {
    data.iter().flat_map(|node| node.rrsets().map(move |set| (node.owner(), set.rtype)))
}

/// Which RRsets of `written` are served beside the zone that resources alone make, found by the rules as they are
/// written.
fn model(declared: &ZoneData, written: &ZoneData) -> BTreeSet<(Name, Rtype)> {
    let origin = declared.origin().to_owned();
    let servers: BTreeSet<Name> = declared
        .iter()
        .filter_map(|node| node.rrset(Rtype::NS))
        .flat_map(|set| set.rdatas().map(|rdata| NameRef::from_wire(rdata).unwrap().to_owned()).collect::<Vec<_>>())
        .collect();
    let hides = |(cover, by): &(Name, Rtype), (at, of): &(Name, Rtype)| {
        let glue = *of == Rtype::A && servers.contains(at);
        at.as_ref().is_at_or_below(cover.as_ref())
            && match *by {
                Rtype::NS => *cover != origin && !glue && (at != cover || !matches!(*of, Rtype::NS | Rtype::CNAME)),
                Rtype::DNAME => at != cover,
                _ => false,
            }
    };
    let conflict = |new: &(Name, Rtype), old: &(Name, Rtype)| {
        let is_cname = [new.1, old.1].contains(&Rtype::CNAME);
        new.0 == old.0 && (new.1 == old.1 || is_cname) || hides(new, old) || hides(old, new)
    };
    let mut served: BTreeSet<_> = rrsets(written).filter(|new| *new != (origin.clone(), Rtype::NS)).collect();
    served.retain(|new| !rrsets(declared).any(|old| conflict(new, &old)));
    let candidates = served.clone();
    served.retain(|(at, of)| *of != Rtype::CNAME || !candidates.iter().any(|(name, rtype)| name == at && rtype != of));
    served
}

/// Applies changes, and asserts that the step counts what changed.
fn counted(compiler: &mut Compiler, changes: impl IntoIterator<Item = Change>) {
    let size = |compiler: &Compiler, origin: &Name| compiler.zone(origin).map_or(0, |data| rrsets(data).count());
    let before: BTreeMap<Name, usize> =
        compiler.zones().map(|(origin, _)| (origin.clone(), size(compiler, origin))).collect();
    let changes: Vec<Change> = changes.into_iter().collect();
    let only_clients = changes.iter().all(|change| change.id().is_none());
    for step in compiler.apply(changes).zones {
        let ZoneStep { origin, added, removed, withdrawn, .. } = step;
        let before = before.get(&origin).copied().unwrap_or(0);
        assert_eq!(before + added, size(compiler, &origin) + removed + withdrawn, "{origin}");
        assert!(removed == 0 || !only_clients, "{origin}: {removed} removed");
    }
}

fn writes(written: &[ZoneData; 2]) -> impl Iterator<Item = Change> {
    written.clone().into_iter().map(|data| Change::Write(NAMESPACE.into(), data))
}

fn lines(compiler: &Compiler) -> BTreeSet<String> {
    zone_text(compiler).lines().filter(|line| !line.contains(" SOA ")).map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn clients_get_what_resources_leave_in_any_order(
        (end, order) in meeting().prop_flat_map(|end| (Just(end.clone()), Just(end).prop_shuffle())),
        (detour, writing_before, writing_at_end) in (meeting(), writing(), writing()),
        cuts in prop::collection::vec(any::<bool>(), 16),
        at in 0..16_usize,
    ) {
        let bare = compiled(end.clone());
        let mut fresh = Compiler::default();
        counted(&mut fresh, end.iter().cloned().map(Change::Put).chain(writes(&writing_at_end)));

        let mut stepwise = Compiler::default();
        for resource in detour.clone() {
            counted(&mut stepwise, [Change::Put(resource)]);
        }
        counted(&mut stepwise, writes(&writing_before));
        let gone = detour.into_iter().map(|resource| resource.id).filter(|id| end.iter().all(|kept| kept.id != *id));
        let mut changes: Vec<Change> = gone.map(Change::Remove).chain(order.into_iter().map(Change::Put)).collect();
        let at = at.min(changes.len());
        changes.splice(at..at, writes(&writing_at_end));
        let mut batch = Vec::new();
        for (change, cut) in changes.into_iter().zip(cuts.into_iter().cycle()) {
            batch.push(change);
            if cut {
                counted(&mut stepwise, std::mem::take(&mut batch));
            }
        }
        counted(&mut stepwise, batch);
        prop_assert_eq!(lines(&fresh), lines(&stepwise));
        prop_assert_eq!(findings(&fresh), findings(&stepwise));

        // Warnings that look at what is served may see what clients wrote.
        let looks = [Reason::UnusableTarget, Reason::ServerWithoutAddress, Reason::HiddenByZone];
        let own = |compiler: &Compiler| -> Vec<String> {
            let is_own = |finding: &String| !looks.iter().any(|reason| finding.contains(reason.name()));
            findings(compiler).into_iter().filter(is_own).collect()
        };
        prop_assert_eq!(own(&bare), own(&fresh));
        for (origin, declared) in bare.zones() {
            prop_assert_eq!(fresh.published()[origin].hash, stepwise.published()[origin].hash);
            let data = fresh.zone(origin).unwrap();
            let clients = writing_at_end.iter().find(|data| data.origin() == origin.as_ref()).unwrap();
            let expected = model(declared, clients);
            prop_assert_eq!(rrsets(fresh.written(origin).unwrap()).collect::<BTreeSet<_>>(), expected.clone());
            prop_assert_eq!(rrsets(data).collect::<BTreeSet<_>>(), rrsets(declared).chain(expected).collect());
        }
        prop_assert!(lines(&bare).is_subset(&lines(&fresh)));

        // Whoever asks first is told what will happen.
        let before = lines(&fresh);
        for clients in &writing_at_end {
            let origin = clients.origin().to_owned();
            for (owner, line) in OWNERS.iter().flat_map(|owner| TYPES.map(|line| (owner, line))) {
                let owner = below(owner, &origin);
                if fresh.zone(&origin).is_none() || !owner.as_ref().is_at_or_below(origin.as_ref()) {
                    continue;
                }
                let added = written_into(origin.to_string().as_str(), &format!("{owner} 9 {line}"));
                let rtype = added.iter().next().unwrap().rrsets().next().unwrap().rtype;
                let declarer = fresh.declarer(&origin, owner.as_ref(), rtype);
                prop_assert!(declarer.as_ref().is_none_or(|id| fresh.verdict(id).is_some_and(|it| !it.served.is_empty())));
                let mut edit = clients.edit();
                let others = clients.node(owner.as_ref()).into_iter().flat_map(|node| node.rrsets().collect::<Vec<_>>());
                for other in others.filter(|set| set.rtype != rtype && [rtype, set.rtype].contains(&Rtype::CNAME)) {
                    edit.remove(owner.as_ref(), other.rtype).unwrap();
                }
                let set = added.rrset(owner.as_ref(), rtype).unwrap();
                edit.replace(owner.as_ref(), rtype, 9, set.rdatas()).unwrap();
                counted(&mut fresh, [Change::Write(NAMESPACE.into(), edit.commit())]);
                let is_served = fresh.written(&origin).unwrap().rrset(owner.as_ref(), rtype).is_some();
                prop_assert_eq!(is_served, declarer.is_none(), "{} {}: {:?}", owner, line, declarer);
            }
            counted(&mut fresh, [Change::Write(NAMESPACE.into(), clients.clone())]);
        }
        prop_assert_eq!(before, lines(&fresh));
    }
}
