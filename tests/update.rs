//! Compares updates with BIND's: the same messages, one after the other, to the same zones. After each of them both have
//! given the same response code and have the same records, with the same serial, and both have logged the same.

use std::collections::BTreeSet;

use bindy_server::{
    Rcode,
    access::{Acl, Requester},
    message::Message,
    settings::{Limits, Updates},
    update::{Note, Policy, Refusal, Update, Updater},
    zone::ZoneData,
};
use bindy_tests::{
    engine,
    name::Name,
    peers::{Peer, UPDATED},
    update::{Content, Line, Shown, message},
    zone::{Data, Record, Zone},
};
use fastrand::Rng;
use jiff::Zoned;
use zonefmt::Rtype;

/// The number of updates of each zone.
const UPDATES: u16 = 400;

/// A zone of ours, beside the same one of BIND's.
struct Pair<'p> {
    peer: &'p Peer,
    origin: Name,
    zone: ZoneData,
    settings: Updates,
    notes: Vec<String>,
}

impl Pair<'_> {
    fn new<'p>(peer: &'p Peer, zone: &Zone) -> Pair<'p> {
        let limits = if zone.origin.to_string().starts_with("small") {
            Limits { records: 20, records_per_type: 3, types_per_name: 0 }
        } else {
            Limits::default()
        };
        let settings = Updates { policy: Policy::Clients(Acl::any()), limits, ..Updates::default() };
        let (origin, zone) = (zone.origin.clone(), engine::data(zone));
        Pair { peer, origin, zone, settings, notes: Vec::new() }
    }

    /// Sends the update to BIND and makes it here; returns the response codes, theirs first.
    fn update(&mut self, id: u16, lines: &[String]) -> (u16, u16) {
        let origin = self.zone.origin().to_owned();
        let lines: Vec<Line> = lines.iter().map(|line| Line::read(line, origin.as_ref())).collect();
        let octets = message(&origin, id, &lines);
        let response = if octets.len() < 1000 { self.peer.ask_udp(&octets) } else { self.peer.ask_tcp(&octets) };
        let theirs = u16::from(response[3] & 15);
        let ours = self.ours(&octets).err().map_or(Rcode::NOERROR, |refusal| refusal.rcode);
        (theirs, ours.0)
    }

    fn ours(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        let by = Updater { requester: Requester::from(self.peer.addr.ip()), tcp: false };
        let message = Message::read(octets).expect("the test writes messages");
        let update = Update::read(&message)?.permit(by, &self.zone, &self.settings)?;
        let notes = &mut self.notes;
        let mut note = |note: Note<'_>| notes.push(note.to_string());
        if let Some((zone, change)) = update.apply(&self.zone, &self.settings, &Zoned::now(), &mut note)? {
            let replayed = change.apply(&self.zone).expect("a change fits what it was made for");
            assert_eq!(content(&replayed), content(&zone));
            assert_eq!((Some(change.from()), Some(change.to())), (self.zone.serial(), zone.serial()));
            self.zone = zone;
        }
        Ok(())
    }

    fn theirs(&self) -> Content {
        let records = self.peer.transfer(&self.origin);
        let show = |owner: &Name, rtype, ttl, data: &[u8]| {
            let owner = owner.wire();
            Shown::new(zonefmt::NameRef::from_wire(&owner).expect("a name"), Rtype(rtype), ttl, data)
        };
        records.iter().map(|rr| show(&rr.owner, rr.rtype, rr.ttl, &rr.data)).collect()
    }
}

fn content(zone: &ZoneData) -> Content {
    let mut content = BTreeSet::new();
    for node in zone.iter() {
        let owner = node.owner();
        for set in node.rrsets() {
            content.extend(set.rdatas().map(|rdata| Shown::new(owner.as_ref(), set.rtype, set.ttl, rdata)));
        }
    }
    content
}

fn start(origin: &str) -> Zone {
    let origin = Name::of(origin);
    let server = origin.child(b"ns");
    let record = |owner: &Name, data| Record { owner: owner.clone(), ttl: 300, data };
    let records = vec![
        record(&origin, Data::Soa { mname: server.clone(), minimum: 60 }),
        record(&origin, Data::Ns(server.clone())),
        record(&server, Data::A(53)),
        record(&origin.child(b"a"), Data::Txt(1)),
    ];
    Zone { origin, records }
}

/// Random updates, full of collisions.
struct Script<'r> {
    rng: &'r mut Rng,
    serial: u32,
    content: Vec<Shown>,
}

impl Script<'_> {
    fn one_of<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.rng.usize(..choices.len())]
    }

    fn name(&mut self) -> &'static str {
        if self.rng.u8(..60) == 0 {
            return "elsewhere.";
        }
        self.one_of(&["@", "a", "b", "c", "a.b", "*.b", "ns", "mail", "d", "x.d", "under_score"])
    }

    fn host(&mut self) -> &'static str {
        self.one_of(&["ns", "ns", "mail", "a", "b", "c", "x.d", "nowhere", "y.b", "host.other."])
    }

    fn data(&mut self, rtype: &str) -> String {
        let n = self.rng.u8(1..4);
        match rtype {
            "A" => format!("192.0.2.{n}"),
            "AAAA" => format!("2001:db8::{n}"),
            "TXT" => format!("text{n}"),
            "NS" | "CNAME" | "DNAME" | "PTR" => self.host().to_string(),
            // `b` may be an empty non-terminal, which is among the differences.
            "MX" => format!("{n} {}", self.one_of(&["ns", "mail", "a", "c", "x.d", "nowhere", "y.b", "host.other."])),
            "SRV" => format!("0 0 {n} {}", self.host()),
            "HTTPS" => format!("{n} {} port=44{n}", self.host()),
            "KEY" => format!("{n} 3 13 AAAA"),
            "DS" => format!("{n} 13 2 {}", "ab".repeat(32)),
            "NSEC" => format!("{} A", self.host()),
            "SOA" => {
                let ahead = [0, 1, 5, u32::MAX, 0x7fff_ffff][self.rng.usize(..5)];
                let serial = self.serial.wrapping_add(ahead);
                format!("ns mailbox{n} {serial} 7200 900 1209600 60")
            }
            "WKS" => format!("192.0.2.1 {n} 25"),
            _ => format!("\\# 1 0{n}"),
        }
    }

    fn rtype(&mut self) -> &'static str {
        let common = ["A", "A", "AAAA", "TXT", "TXT", "CNAME", "CNAME", "NS", "MX", "TYPE65280"];
        let rare = ["SOA", "DNAME", "DS", "PTR", "SRV", "HTTPS", "KEY", "NSEC", "WKS"];
        if self.rng.u8(..4) > 0 { self.one_of(&common) } else { self.one_of(&rare) }
    }

    fn prerequisites(&mut self, lines: &mut Vec<String>) {
        let name = self.name();
        let rtype = self.rtype();
        match self.rng.u8(..7) {
            0 => lines.push(format!("prereq nxdomain {name}")),
            1 => lines.push(format!("prereq yxdomain {name}")),
            2 => lines.push(format!("prereq nxrrset {name} {rtype}")),
            3 => lines.push(format!("prereq yxrrset {name} {rtype}")),
            4 => {
                let data = self.data(rtype);
                lines.push(format!("prereq yxrrset {name} {rtype} {data}"));
            }
            _ => {
                // An RRset as it is, perhaps but for one record.
                let Some(one) = self.rng.choice(&self.content) else { return };
                let (owner, _, rtype, _) = one.parts();
                let same = self.content.iter().map(Shown::parts).filter(|(o, _, t, _)| (*o, *t) == (owner, rtype));
                lines.extend(same.map(|(owner, _, rtype, data)| format!("prereq yxrrset {owner} {rtype} {data}")));
                if self.rng.u8(..4) == 0 {
                    lines.pop();
                }
            }
        }
    }

    fn operation(&mut self, lines: &mut Vec<String>) {
        let name = self.name();
        let rtype = self.rtype();
        lines.push(match self.rng.u8(..14) {
            0..8 => {
                let name = if rtype == "SOA" && self.rng.u8(..4) > 0 { "@" } else { name };
                let ttl = [60, 60, 60, 300, 0][self.rng.usize(..5)];
                let data = self.data(rtype);
                if rtype == "DS" {
                    // A DS without NS is among the differences.
                    let owner = self.one_of(&["a", "d", "x.d"]);
                    lines.push(format!("add {owner} {ttl} NS {}", self.host()));
                    return lines.push(format!("add {owner} {ttl} DS {data}"));
                }
                format!("add {name} {ttl} {rtype} {data}")
            }
            8 | 9 => {
                let known = self.rng.choice(&self.content).map(Shown::parts);
                let deletion = known.map(|(owner, _, rtype, data)| format!("delete {owner} {rtype} {data}"));
                deletion.unwrap_or_else(|| "delete a A 192.0.2.1".into())
            }
            10 => format!("delete {name} {rtype} {}", self.data(rtype)),
            11 | 12 => format!("delete {name} {rtype}"),
            _ => format!("delete {name}"),
        });
    }

    /// A line of a form that is wrong.
    fn wrong(&mut self) -> String {
        let name = self.name();
        let form = self.one_of(&[
            "prereq {} 60 ANY A ",
            "prereq {} 0 ANY A c0000201",
            "prereq {} 0 NONE A c0000201",
            "prereq {} 60 IN A c0000201",
            "prereq {} 0 CH TYPE65280 ",
            "prereq {} 0 IN ANY ",
            "prereq {} 0 IN TYPE65280 ",
            "update {} 60 ANY A ",
            "update {} 0 ANY A c0000201",
            "update {} 0 ANY AXFR ",
            "update {} 60 NONE A c0000201",
            "update {} 0 NONE ANY ",
            "update {} 60 IN ANY ",
            "update {} 60 IN TYPE200 ",
            "update {} 60 CH TYPE65280 ",
            "update {} 60 CLASS77 TYPE65280 ",
            "update {} 0 ANY RRSIG ",
        ]);
        format!("raw {}", form.replace("{}", name))
    }

    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.rng.u8(..3) == 0 {
            (0..self.rng.u8(1..3)).for_each(|_| self.prerequisites(&mut lines));
        }
        for _ in 0..self.rng.u8(..6) {
            self.operation(&mut lines);
        }
        if self.rng.u8(..12) == 0 {
            let (at, wrong) = (self.rng.usize(..=lines.len()), self.wrong());
            lines.insert(at, wrong);
        }
        lines
    }
}

#[test]
fn bind_makes_the_same_of_random_updates() {
    let zones = [start("ex."), start("small.")];
    let peer = Peer::start(UPDATED, &zones);
    let mut rng = Rng::with_seed(5);
    for zone in &zones {
        let mut pair = Pair::new(&peer, zone);
        let mut codes = BTreeSet::new();
        for id in 0..UPDATES {
            let before = content(&pair.zone);
            let serial = pair.zone.serial().expect("the zone has a SOA").0;
            let lines = Script { rng: &mut rng, serial, content: before.iter().cloned().collect() }.lines();
            let (theirs, ours) = pair.update(id, &lines);
            let context = || format!("{} update {id}: {lines:#?}\nto {before:#?}\n{}", zone.origin, tail(&peer.log()));
            codes.insert(theirs);
            assert_eq!(ours, theirs, "our response code, and theirs: {}", context());
            let (ours, theirs) = (content(&pair.zone), pair.theirs());
            let only = |a: &Content, b: &Content| a.difference(b).cloned().collect::<Vec<_>>();
            let differ = (only(&ours, &theirs), only(&theirs, &ours));
            assert_eq!(differ, (vec![], vec![]), "only we have, and only they: {}", context());
        }
        // Neither a refusal nor a success is rare.
        assert!(codes.len() >= 6, "{codes:?}");
        assert_eq!(pair.notes, logged(&peer.log(), &zone.origin), "what is logged of {}", zone.origin);
    }
}

/// What BIND has logged of the operations on a zone.
fn logged(log: &str, origin: &Name) -> Vec<String> {
    let zone = origin.to_string();
    let about = format!("updating zone '{}/IN': ", zone.trim_end_matches('.'));
    let texts = log.lines().filter_map(|line| line.split_once(&about).map(|(_, text)| text));
    let operations = ["adding an RR at", "deleting", "delete all", "attempt to", "SOA update failed"];
    texts.filter(|text| operations.iter().any(|start| text.starts_with(start))).map(String::from).collect()
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
