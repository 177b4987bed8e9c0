use proptest::prelude::*;
use zonefmt::{Name, Serial, rdata::Soa};

use super::*;
use crate::{
    wire::{
        names::Names,
        request::Header,
        writer::{Entry, Need, Owner, Section as Written, Writer},
    },
    zone::ZoneData,
};

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn question(qname: &Name) -> Question<'_> {
    Question { qname: qname.as_ref(), qtype: Rtype::SOA, qclass: Class::IN }
}

/// A record whose parts are owned.
type Owned = (Name, Rtype, Class, u32, Vec<u8>);

fn all(mut records: Records<'_>) -> Result<Vec<Owned>, Malformed> {
    let mut all = Vec::new();
    while let Some(Record { owner, rtype, class, ttl, rdata }) = records.next()? {
        all.push((owner.to_owned(), rtype, class, ttl, rdata.to_vec()));
    }
    assert_eq!(records.next(), Ok(None));
    Ok(all)
}

fn sections(octets: &[u8]) -> Result<[Vec<Owned>; 3], Malformed> {
    let message = Message::read(octets)?;
    Ok([all(message.answers())?, all(message.authorities())?, all(message.additionals())?])
}

fn build(records: &[(Section, Owned)], edns: bool) -> Vec<u8> {
    let zone = name("example");
    let mut builder = Builder::new(7, Opcode::UPDATE, question(&zone));
    for (section, (owner, rtype, class, ttl, rdata)) in records {
        let (rtype, class, ttl) = (*rtype, *class, *ttl);
        builder = builder.record(*section, &Record { owner: owner.as_ref(), rtype, class, ttl, rdata }).unwrap();
    }
    if edns { builder.opt(1232, &[(9, b""), (10, b"cookie..")]).unwrap() } else { builder }.finish()
}

#[test]
fn what_is_built_is_read() {
    let zone = name("example");
    let soa = Soa {
        primary: name("ns.example").as_ref(),
        mailbox: NameRef::ROOT,
        serial: Serial(9),
        refresh: 1,
        retry: 2,
        expire: 3,
        minimum: 4,
    }
    .to_wire();
    let record = Record { owner: zone.as_ref(), rtype: Rtype::SOA, class: Class::IN, ttl: 60, rdata: &soa };
    let octets = Builder::new(0x1234, Opcode::NOTIFY, question(&zone))
        .record(Section::Answer, &record)
        .and_then(|builder| builder.opt(1232, &[(9, b"\0\0\0\x01")]))
        .unwrap()
        .finish();
    let message = Message::read(&octets).unwrap();
    assert_eq!((message.id(), message.opcode(), message.rcode()), (0x1234, Opcode::NOTIFY, Rcode::NOERROR));
    assert!(message.is_authoritative() && !message.is_response() && !message.is_truncated() && !message.is_signed());
    assert_eq!(message.question(), Some(question(&zone)));
    assert_eq!(message.answers().next(), Ok(Some(record)));
    assert_eq!(message.authorities().next(), Ok(None));
    assert_eq!(message.additionals().next(), Ok(None));
    assert_eq!(message.count(Section::Additional), 1);
    let opt = message.opt().unwrap();
    assert_eq!((opt.udp_size, opt.version, opt.dnssec_ok), (1232, 0, false));
    assert_eq!((opt.option(9), opt.option(3)), (Some(&b"\0\0\0\x01"[..]), None));
}

#[test]
fn the_response_code_has_the_bits_of_opt() {
    let zone = name("example");
    let mut octets = Builder::new(1, Opcode::QUERY, question(&zone)).opt(1232, &[]).unwrap().finish();
    octets[2..4].copy_from_slice(&[0x84, 7]);
    let at = octets.len() - 6;
    octets[at] = 1;
    let message = Message::read(&octets).unwrap();
    assert!(message.is_response());
    assert_eq!(message.rcode(), Rcode(23));
}

#[test]
fn records_of_an_update_may_be_empty() {
    let owner = name("a.example");
    let host = b"\x01b\x07example\0".to_vec();
    let records = [
        (Section::Answer, (owner.clone(), Rtype::ANY, Class::NONE, 0, Vec::new())),
        (Section::Authority, (owner.clone(), Rtype::SOA, Class::ANY, 0, Vec::new())),
        (Section::Authority, (owner.clone(), Rtype::CNAME, Class::NONE, 0, host)),
    ];
    let octets = build(&records, false);
    let expected = records.map(|(_, record)| record);
    assert_eq!(sections(&octets), Ok([expected[..1].to_vec(), expected[1..].to_vec(), Vec::new()]));
    // In class IN, and in class NONE with data, the layout of the type holds.
    for (class, rdata) in [(Class::IN, &b""[..]), (Class::NONE, b"\x01"), (Class::ANY, b"\xc0\xff")] {
        let octets = build(&[(Section::Authority, (owner.clone(), Rtype::CNAME, class, 0, rdata.to_vec()))], false);
        assert_eq!(sections(&octets), Err(Malformed), "{class} {rdata:x?}");
    }
}

#[test]
fn what_is_misplaced_or_missing_is_malformed() {
    let zone = name("example");
    let opt = |builder: Builder| builder.opt(512, &[]).unwrap();
    let octets = opt(opt(Builder::new(1, Opcode::QUERY, question(&zone)))).finish();
    assert_eq!(Message::read(&octets).err(), Some(Malformed), "two OPTs");

    let octets = opt(Builder::new(1, Opcode::QUERY, question(&zone))).finish();
    assert!(Message::read(&octets).is_ok());
    for len in 0..octets.len() {
        assert_eq!(Message::read(&octets[..len]).err(), Some(Malformed), "{len} octets");
    }
    assert!(Message::read(&[&octets[..], b"garbage"].concat()).is_ok(), "as in BIND");
    let changed = |at: usize, octet| {
        let mut octets = octets.clone();
        octets[at] = octet;
        Message::read(&octets).map(|message| message.count(Section::Additional))
    };
    assert_eq!(changed(5, 2), Err(Malformed), "two questions");
    assert_eq!(changed(7, 1), Err(Malformed), "OPT in the answer");
    assert_eq!(changed(10, 0xff), Err(Malformed), "65,281 records counted");
    assert_eq!(changed(octets.len() - 11, 0xc0), Err(Malformed), "OPT with an owner");
}

#[test]
fn a_message_takes_no_more_than_fits() {
    let zone = name("example");
    let rdata = vec![0; 65_000];
    let record = Record { owner: zone.as_ref(), rtype: Rtype(65_280), class: Class::IN, ttl: 0, rdata: &rdata };
    let builder = Builder::new(1, Opcode::UPDATE, question(&zone)).record(Section::Authority, &record).unwrap();
    assert!(builder.clone().record(Section::Answer, &record).is_err());
    let message = builder.finish();
    assert_eq!(sections(&message).unwrap()[1].len(), 1);
}

/// A record whose data may have names that can be compressed.
fn record() -> impl Strategy<Value = Owned> {
    let host = prop::sample::select(vec!["example", "ns.example", "a.b.c.example", ".", "A.b.C.Example", "other"]);
    let number = any::<u16>();
    let data = (prop::sample::select(vec![1_u16, 2, 5, 6, 12, 15, 16, 33, 65, 65_280]), host.clone(), host, number);
    data.prop_map(|(rtype, owner, host, number)| {
        let (owner, host) = (name(owner), name(host));
        let wire = host.as_ref().as_wire();
        let number = number.to_be_bytes();
        let rdata = match rtype {
            1 => [number, number].concat(),
            6 => [wire, owner.as_ref().as_wire(), &[0; 20]].concat(),
            15 | 65 => [&number, wire].concat(),
            16 => [&[2][..], &number].concat(),
            33 => [&number, &number, &number, wire].concat(),
            _ => wire.to_vec(),
        };
        (owner, Rtype(rtype), Class::IN, 300, rdata)
    })
}

fn section() -> impl Strategy<Value = Section> {
    prop::sample::select(vec![Section::Answer, Section::Authority, Section::Additional])
}

proptest! {
    #[test]
    fn what_our_writer_compresses_is_read(records in prop::collection::vec(record(), 0..20)) {
        let (origin, asked) = (name("."), name("b.c.example"));
        let (mut names, mut octets) = (Names::new(), vec![0; 65_535]);
        let mut writer = Writer::new(&mut octets, 65_535, &mut names, Some(question(&asked)), None);
        let mut expected = Vec::new();
        for (owner, rtype, class, ttl, rdata) in records {
            let mut edit = ZoneData::new(origin.clone()).edit();
            edit.add(owner.as_ref(), rtype, ttl, &rdata).unwrap();
            let zone = edit.commit();
            let rrset = zone.rrset(owner.as_ref(), rtype).unwrap();
            let entry = Entry { owner: Owner::Named(owner.as_ref()), class, rrset, ttl, first: 0 };
            prop_assert!(writer.add(Written::Answer, &entry, Need::Must));
            expected.push((owner, rtype, class, ttl, rdata));
        }
        let header = Header { id: [1, 2], flags: 0 };
        let length = writer.finish(header, flags::AA, Rcode::NOERROR, None);
        let message = Message::read(&octets[..length]).unwrap();
        prop_assert_eq!(message.id(), 0x0102);
        prop_assert_eq!(all(message.answers()), Ok(expected));
    }

    #[test]
    fn built_messages_are_read_and_damaged_ones_do_no_harm(
        records in prop::collection::vec((section(), record()), 0..10),
        edns in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut octets = build(&records, edns);
        let in_section = |section| {
            records.iter().filter(|(found, _)| *found == section).map(|(_, record)| record.clone()).collect::<Vec<_>>()
        };
        let expected = [Section::Answer, Section::Authority, Section::Additional].map(in_section);
        prop_assert_eq!(sections(&octets), Ok(expected));
        for (place, octet) in damage {
            let place = place.index(octets.len());
            octets[place] = octet;
        }
        drop(sections(&octets));
        drop(sections(&octets[..cut.index(octets.len())]));
    }

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(sections(&octets));
    }
}
