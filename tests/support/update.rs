//! Updates as a client writes them: lines in the language of nsupdate, and the messages that they make; and what must be
//! true of the changes that come of them.

use std::{collections::BTreeSet, fmt};

use bindy_server::{
    access::{Acl, Requester},
    message::{Message, Records},
    settings::Updates,
    update::{Note, Policy, Update, Updater},
    zone::{Change, ZoneData},
};
use jiff::Zoned;
use zonefmt::{
    Class, Name, NameRef, Rtype,
    rdata::{self, Style, write_text},
    zone::parse_rdata,
};

use crate::zone::{Data, Record, Zone};

/// A prerequisite or an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Whether this is a prerequisite.
    pub is_prerequisite: bool,
    /// The owner.
    pub owner: Name,
    /// The type; ANY for all types.
    pub rtype: Rtype,
    /// The class, which says what the line means (RFC 2136 2.4, 2.5).
    pub class: Class,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The data in wire form.
    pub rdata: Vec<u8>,
}

impl Line {
    /// Reads a line:
    ///
    /// ```text
    /// prereq nxdomain|yxdomain NAME
    /// prereq nxrrset|yxrrset NAME TYPE [DATA]
    /// add NAME TTL TYPE DATA
    /// delete NAME [TYPE [DATA]]
    /// raw prereq|update NAME TTL CLASS TYPE DATA   ; DATA in hexadecimal, perhaps none
    /// ```
    /// Names are relative to `origin`.
    pub fn read(text: &str, origin: NameRef<'_>) -> Line {
        let mut words = text.splitn(7, ' ');
        let mut word = || words.next().unwrap_or_default();
        let name = |text: &str| Name::parse(text.as_bytes(), origin).unwrap_or_else(|error| panic!("{text}: {error}"));
        let rtype = |text: &str| text.parse::<Rtype>().unwrap_or_else(|error| panic!("{text}: {error}"));
        let data = |rtype: Rtype, skipped: usize| {
            let data = text.splitn(skipped + 1, ' ').nth(skipped);
            data.map(|data| {
                let mut rdata = Vec::new();
                parse_rdata(rtype, data, origin, &mut rdata)
                    .unwrap_or_else(|error| panic!("{text}: {}", error.message));
                rdata
            })
        };
        let line = |owner, rtype, class, ttl, rdata| Line { is_prerequisite: false, owner, rtype, class, ttl, rdata };
        match word() {
            "prereq" => {
                let (kind, owner, of) = (word(), name(word()), word());
                let class = if kind.starts_with("yx") { Class::ANY } else { Class::NONE };
                let rtype = if of.is_empty() { Rtype::ANY } else { rtype(of) };
                let rdata = data(rtype, 4);
                let class = if rdata.is_some() { Class::IN } else { class };
                Line { is_prerequisite: true, ..line(owner, rtype, class, 0, rdata.unwrap_or_default()) }
            }
            "add" => {
                let (owner, ttl, rtype) = (name(word()), word(), rtype(word()));
                let rdata = data(rtype, 4).unwrap_or_else(|| panic!("{text}: no data"));
                line(owner, rtype, Class::IN, ttl.parse().expect("a number"), rdata)
            }
            "delete" => {
                let (owner, of) = (name(word()), word());
                let rtype = if of.is_empty() { Rtype::ANY } else { rtype(of) };
                let rdata = data(rtype, 3);
                let class = if rdata.is_some() { Class::NONE } else { Class::ANY };
                line(owner, rtype, class, 0, rdata.unwrap_or_default())
            }
            "raw" => {
                let (section, owner, ttl) = (word(), name(word()), word().parse().expect("a number"));
                let (class, rtype) = (word().parse().expect("a class"), rtype(word()));
                let rdata = data_encoding::HEXLOWER.decode(word().as_bytes()).expect("hexadecimal");
                Line { is_prerequisite: section == "prereq", ..line(owner, rtype, class, ttl, rdata) }
            }
            other => panic!("{other}: no such line"),
        }
    }
}

/// The update of a zone that these lines make.
pub fn message(zone: &Name, id: u16, lines: &[Line]) -> Vec<u8> {
    const UPDATE: u16 = 5 << 11;
    let section = |wanted| lines.iter().filter(move |line| line.is_prerequisite == wanted);
    let count = |wanted| section(wanted).count() as u16;
    let mut wire = [id, UPDATE, 1, count(true), count(false), 0].map(u16::to_be_bytes).concat();
    wire.extend([zone.as_ref().as_wire(), &[0, 6, 0, 1]].concat());
    for line in section(true).chain(section(false)) {
        wire.extend(line.owner.as_ref().as_wire());
        wire.extend([line.rtype.0, line.class.0].map(u16::to_be_bytes).concat());
        wire.extend(line.ttl.to_be_bytes());
        wire.extend((line.rdata.len() as u16).to_be_bytes());
        wire.extend(&line.rdata);
    }
    wire
}

/// A record as text; its owner and type can be taken from it again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown(pub String);

impl Shown {
    /// Shows a record of class IN, with the owner in lower case.
    pub fn new(owner: NameRef<'_>, rtype: Rtype, ttl: u32, rdata: &[u8]) -> Shown {
        let mut text = format!("{} {ttl} {rtype} ", owner.to_owned().to_lowercase());
        write_text(rtype, rdata, &Style::ONE_WORD, &mut text);
        Shown(text)
    }

    /// The owner, the TTL, the type and the data.
    pub fn parts(&self) -> (&str, &str, &str, &str) {
        let mut words = self.0.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        (word(), word(), word(), word())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The content of a zone.
pub type Content = BTreeSet<Shown>;

/// The records of a zone of ours.
pub fn content(zone: &ZoneData) -> Content {
    let mut content = BTreeSet::new();
    for node in zone.iter() {
        let owner = node.owner();
        for set in node.rrsets() {
            content.extend(set.rdatas().map(|rdata| Shown::new(owner.as_ref(), set.rtype, set.ttl, rdata)));
        }
    }
    content
}

/// A small zone to start from.
pub fn start(origin: &str) -> Zone {
    let origin = crate::name::Name::of(origin);
    let server = origin.child(b"ns");
    let record = |owner: &crate::name::Name, data| Record { owner: owner.clone(), ttl: 300, data };
    let records = vec![
        record(&origin, Data::Soa { mname: server.clone(), minimum: 60 }),
        record(&origin, Data::Ns(server.clone())),
        record(&server, Data::A(53)),
        record(&origin.child(b"a"), Data::Txt(1)),
    ];
    Zone { origin, records }
}

/// Checks what must be true of a change that made `new` of `old`.
pub fn check(old: &ZoneData, new: &ZoneData, change: &Change) {
    assert!(old.serial() < new.serial(), "the serial grows");
    assert_eq!((Some(change.from()), Some(change.to())), (old.serial(), new.serial()));
    let replayed = change.apply(old).expect("a change fits what it was made for");
    assert_eq!(content(&replayed), content(new));
    for record in change.added().iter() {
        rdata::validate(record.rtype, record.rdata).expect("what is added is well-formed");
        assert!(record.owner.is_at_or_below(new.origin()) && record.ttl <= i32::MAX.cast_unsigned());
    }
    let apex = new.apex().expect("a zone has an apex");
    assert_eq!(apex.rrset(Rtype::SOA).map(bindy_server::zone::Rrset::len), Some(1));
    assert!(apex.rrset(Rtype::NS).is_some());
}

/// Takes any octets for an update of the zone by somebody who may do everything; returns the new version if they are one
/// that changes something.
pub fn exercise(octets: &[u8], zone: &ZoneData) -> Option<ZoneData> {
    let message = Message::read(octets).ok()?;
    let walk = |mut records: Records<'_>| while let Ok(Some(_)) = records.next() {};
    [message.answers(), message.authorities(), message.additionals()].into_iter().for_each(walk);
    let settings = Updates { policy: Policy::Clients(Acl::any()), ..Updates::default() };
    let by = Updater { requester: Requester { addr: [127, 0, 0, 1].into(), key: None }, tcp: false };
    let update = Update::read(&message).and_then(|update| update.permit(by, zone, &settings));
    let mut note = |note: Note<'_>| assert!(!note.to_string().is_empty());
    let changed = update.and_then(|update| update.apply(zone, &settings, &Zoned::now(), &mut note));
    let (new, change) = changed.inspect_err(|refusal| assert!(!refusal.to_string().is_empty())).ok()??;
    check(zone, &new, &change);
    Some(new)
}
