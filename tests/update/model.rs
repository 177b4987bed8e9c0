//! Compares many more updates with a naive model: a zone as a map of sets, and RFC 2136 word for word.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::{
    access::{Acl, Requester},
    message::Message,
    settings::Updates,
    update::{Policy, Update, Updater},
};
use bindy_tests::{
    engine,
    update::{Content, Line, Shown, content, message, start},
};
use fastrand::Rng;
use jiff::Zoned;
use zonefmt::{Class, Name, Rtype, Serial, rdata::Soa};

use crate::script::Script;

/// A zone.
#[derive(Clone, PartialEq)]
struct Model {
    origin: Name,
    sets: BTreeMap<(Name, Rtype), Set>,
}

/// The TTL and the data of an RRset.
type Set = (u32, BTreeSet<Vec<u8>>);

const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;
const YXDOMAIN: u16 = 6;
const YXRRSET: u16 = 7;
const NXRRSET: u16 = 8;
const NOTZONE: u16 = 10;

impl Model {
    fn has_name(&self, name: &Name) -> bool {
        self.sets.keys().any(|(owner, _)| owner == name)
    }

    fn has(&self, name: &Name, rtype: Rtype) -> bool {
        self.sets.contains_key(&(name.clone(), rtype))
    }

    /// Makes an update, or returns the response code and stays as it is.
    fn update(&mut self, lines: &[Line]) -> Result<(), u16> {
        let operations = || lines.iter().filter(|line| !line.is_prerequisite);
        for Line { owner, rtype, class, .. } in operations() {
            let is_inside = owner.as_ref().is_at_or_below(self.origin.as_ref());
            let wants_host = matches!(*rtype, Rtype::A | Rtype::AAAA | Rtype(11)) && *class == Class::IN;
            match () {
                () if !is_inside => return Err(NOTZONE),
                () if wants_host && owner.to_string().contains('_') => return Err(REFUSED),
                () if *rtype == Rtype::NSEC => return Err(REFUSED),
                () => {}
            }
        }
        self.check(lines.iter().filter(|line| line.is_prerequisite))?;
        let mut after = self.clone();
        for line in operations() {
            after.operate(line);
        }
        after.drop_orphans(self);
        if after != *self && after.soa() == self.soa() {
            let key = (self.origin.clone(), Rtype::SOA);
            let next = Serial(after.soa()).next();
            let set = after.sets.get_mut(&key).expect("a SOA stays");
            set.1 = set.1.iter().map(|soa| Soa::with_serial(soa, next)).collect();
        }
        *self = after;
        Ok(())
    }

    /// RFC 2136 3.2.5.
    fn check<'l>(&self, prerequisites: impl Iterator<Item = &'l Line>) -> Result<(), u16> {
        let mut values: BTreeMap<(Name, Rtype), Vec<&[u8]>> = BTreeMap::new();
        for Line { owner, rtype, class, rdata, .. } in prerequisites {
            match (*class, *rtype) {
                _ if !owner.as_ref().is_at_or_below(self.origin.as_ref()) => return Err(NOTZONE),
                (Class::ANY, Rtype::ANY) if !self.has_name(owner) => return Err(NXDOMAIN),
                (Class::NONE, Rtype::ANY) if self.has_name(owner) => return Err(YXDOMAIN),
                (_, Rtype::ANY) => {}
                (Class::ANY, rtype) if !self.has(owner, rtype) => return Err(NXRRSET),
                (Class::NONE, rtype) if self.has(owner, rtype) => return Err(YXRRSET),
                (Class::IN, rtype) => values.entry((owner.clone(), rtype)).or_default().push(rdata),
                _ => {}
            }
        }
        for (rrset, mut wanted) in values {
            wanted.sort_unstable();
            let found = self.sets.get(&rrset).ok_or(NXRRSET)?;
            if !found.1.iter().eq(wanted) {
                return Err(NXRRSET);
            }
        }
        Ok(())
    }

    /// RFC 2136 3.4.2.
    fn operate(&mut self, line: &Line) {
        let Line { owner, rtype, class, ttl, rdata, .. } = line;
        let (rtype, key) = (*rtype, (owner.clone(), *rtype));
        let is_apex = *owner == self.origin;
        match (*class, rtype) {
            (Class::IN, _) if self.takes(line) => {
                let (old_ttl, set) = self.sets.entry(key).or_insert_with(|| (*ttl, BTreeSet::new()));
                *old_ttl = *ttl;
                match rtype {
                    Rtype::SOA | Rtype::CNAME | Rtype::DNAME => set.clear(),
                    Rtype(11) => set.retain(|old| old[..5] != rdata[..5]),
                    _ => {}
                }
                set.insert(rdata.clone());
            }
            (Class::IN, _) | (Class::ANY | Class::NONE, Rtype::SOA) => {}
            (Class::ANY, Rtype::ANY) => {
                let stays = |rtype| is_apex && matches!(rtype, Rtype::SOA | Rtype::NS);
                self.sets.retain(|(name, rtype), _| name != owner || stays(*rtype));
            }
            (Class::ANY, Rtype::NS) if is_apex => {}
            (Class::ANY, _) => drop(self.sets.remove(&key)),
            _ => {
                let Some((_, set)) = self.sets.get_mut(&key) else { return };
                if !(is_apex && rtype == Rtype::NS && set.len() == 1) {
                    set.remove(rdata);
                }
                if set.is_empty() {
                    self.sets.remove(&key);
                }
            }
        }
    }

    /// Whether a record can be added.
    fn takes(&self, line: &Line) -> bool {
        let Line { owner, rtype, rdata, .. } = line;
        let mut others = self.sets.keys().filter(|(name, _)| name == owner);
        match *rtype {
            Rtype::NS | Rtype::DNAME if owner.as_ref().is_wildcard() => false,
            Rtype::CNAME => others.all(|(_, rtype)| matches!(*rtype, Rtype::CNAME | Rtype::KEY)),
            Rtype::KEY => true,
            _ if self.has(owner, Rtype::CNAME) => false,
            Rtype::SOA => *owner == self.origin && serial(rdata) > Serial(self.soa()),
            Rtype::DS => *owner != self.origin,
            _ => true,
        }
    }

    /// A DS goes if the update has left it without NS (RFC 3658 2.2).
    fn drop_orphans(&mut self, before: &Model) {
        let orphans = self.sets.iter().filter(|(key @ (name, rtype), set)| {
            let is_new = before.sets.get(key) != Some(*set);
            *rtype == Rtype::DS && !self.has(name, Rtype::NS) && (is_new || before.has(name, Rtype::NS))
        });
        let orphans: Vec<_> = orphans.map(|(key, _)| key.clone()).collect();
        for key in orphans {
            self.sets.remove(&key);
        }
    }

    fn soa(&self) -> u32 {
        let soa = self.sets.get(&(self.origin.clone(), Rtype::SOA)).and_then(|(_, set)| set.first());
        serial(soa.expect("a zone has a SOA")).0
    }

    fn content(&self) -> Content {
        let all = self.sets.iter().flat_map(|((name, rtype), (ttl, set))| {
            set.iter().map(move |rdata| Shown::new(name.as_ref(), *rtype, *ttl, rdata))
        });
        all.collect()
    }
}

fn serial(soa: &[u8]) -> Serial {
    Soa::serial_of(soa).expect("SOA data")
}

#[test]
fn updates_are_as_in_the_model() {
    let mut zone = engine::data(&start("ex."));
    let origin = zone.origin().to_owned();
    let mut model = Model { origin: origin.clone(), sets: BTreeMap::new() };
    for node in zone.iter() {
        for set in node.rrsets() {
            model.sets.insert((node.owner(), set.rtype), (set.ttl, set.rdatas().map(<[u8]>::to_vec).collect()));
        }
    }
    let settings = Updates { policy: Policy::Clients(Acl::any()), ..Updates::default() };
    let by = Updater { requester: Requester { addr: [127, 0, 0, 1].into(), key: None }, tcp: false };
    let (mut rng, mut codes) = (Rng::with_seed(8), BTreeSet::new());
    for id in 0..10_000 {
        let before = content(&zone);
        let serial = zone.serial().expect("the zone has a SOA").0;
        let mut texts = Script { rng: &mut rng, serial, content: before.iter().cloned().collect() }.lines();
        // The model knows no checks of hosts, so the zone's server stays, and there is no mail.
        texts.retain(|text| !text.starts_with("raw") && !text.contains(" MX"));
        let touches_server = |text: &str| {
            let words: Vec<&str> = text.split(' ').collect();
            matches!(words[..], ["add" | "delete", "ns" | "ns.ex.", ..] | ["add", "@", _, "NS" | "DNAME", ..])
        };
        texts.retain(|text| !touches_server(text));
        let lines: Vec<Line> = texts.iter().map(|text| Line::read(text, origin.as_ref())).collect();
        let octets = message(&origin, id, &lines);
        let message = Message::read(&octets).expect("the test writes messages");
        let ours = Update::read(&message)
            .and_then(|update| update.permit(by, &zone, &settings))
            .and_then(|update| update.apply(&zone, &settings, &Zoned::now(), &mut |_| {}));
        let expected = model.update(&lines);
        codes.insert(expected.err());
        match ours {
            Ok(new) => {
                assert_eq!(expected, Ok(()), "update {id}: {texts:#?} to {before:#?}");
                if let Some((new, _)) = new {
                    assert!(Some(Serial(serial)) < new.serial(), "update {id}: {texts:#?}");
                    zone = new;
                }
            }
            Err(refusal) => assert_eq!(expected, Err(refusal.rcode.0), "update {id}: {texts:#?} to {before:#?}"),
        }
        assert_eq!(content(&zone), model.content(), "update {id}: {texts:#?} to {before:#?}");
    }
    assert!(codes.len() >= 6, "{codes:?}");
}
