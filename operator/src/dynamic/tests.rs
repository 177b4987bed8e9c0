//! The ledger beside a naive one, on a store that takes an object only in place of the version that the writer knows, and
//! where writing may end at each step.

use std::collections::{BTreeMap, BTreeSet};

use bindy_server::{
    live::Author,
    zone::{Change, ZoneData},
};
use jiff::Timestamp;
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any},
    prop_oneof, proptest,
};
use serde_json::{Value, json};
use zonefmt::{Name, Rtype};

use super::{
    Entry, Ledger, MOST_RECORDS, Unfit, line,
    part::{SEGMENTS, SHARDS},
};

/// The records of a zone, as lines.
type Content = BTreeSet<String>;

/// The API server: objects by name, each with its version.
#[derive(Clone, Default)]
struct Stored {
    objects: BTreeMap<String, (u64, Value)>,
    octets: usize,
    writes: usize,
}

/// A process, which knows what it has read or written last.
struct Writer {
    ledger: Ledger,
    versions: BTreeMap<String, u64>,
}

/// An update: the number of a name, and the text that it gets; without one, the name goes.
#[derive(Clone, Debug)]
struct Update {
    name: u16,
    text: Option<u32>,
}

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    /// A process writes a batch.
    Write { writer: usize, updates: Vec<Update> },
    /// It ends before it has written this many objects, and a new one reads all.
    Crash { writer: usize, updates: Vec<Update>, after: usize },
    /// It does not hear of the last write, and reads all again.
    Unsure { writer: usize, updates: Vec<Update> },
}

impl Stored {
    /// Stores an object in place of this version of it; `None` if another is there.
    fn put(&mut self, name: &str, known: Option<u64>, object: Value) -> Option<u64> {
        let there = self.objects.get(name).map(|(version, _)| *version);
        if there != known {
            return None;
        }
        let version = there.unwrap_or(0) + 1;
        self.octets += object.to_string().len();
        self.writes += 1;
        self.objects.insert(name.to_owned(), (version, object));
        Some(version)
    }

    fn read(&self) -> Writer {
        let objects = self.objects.values().map(|(_, object)| object);
        let ledger = Ledger::read("dns", zone(), objects).expect("what was written can be read");
        let versions = self.objects.iter().map(|(name, (version, _))| (name.clone(), *version));
        Writer { ledger, versions: versions.collect() }
    }
}

impl Writer {
    /// Writes updates, as far as `most` objects go; returns whether all is written, or `None` if somebody else has written.
    fn write(&mut self, stored: &mut Stored, updates: &[Update], most: usize) -> Option<bool> {
        let entries = self.entries(updates);
        let plan = self.ledger.append(entries).expect("there is room");
        let count = plan.parts().len();
        for part in plan.parts().iter().take(most) {
            let name = part.name();
            let version = stored.put(&name, self.versions.get(&name).copied(), part.object())?;
            self.versions.insert(name, version);
        }
        if most < count {
            return Some(false);
        }
        self.ledger = plan.into_ledger();
        Some(true)
    }

    /// The updates as the engine makes them: each replaces what is there.
    fn entries(&self, updates: &[Update]) -> Vec<Entry> {
        let mut data = self.ledger.data().clone();
        let entries = updates.iter().map(|Update { name, text }| {
            let owner = owner(*name);
            let mut edit = data.edit();
            edit.remove(owner.as_ref(), Rtype::TXT).unwrap();
            if let Some(text) = text {
                edit.add(owner.as_ref(), Rtype::TXT, 60, &rdata(*text)).unwrap();
            }
            let next = edit.commit();
            let change = change(&data, &next);
            data = next;
            Entry::of(&author(), &change, "2026-01-31T12:00:00.5Z".parse().unwrap())
        });
        entries.collect()
    }
}

fn zone() -> Name {
    Name::from_ascii("example.com").unwrap()
}

fn owner(number: u16) -> Name {
    Name::from_ascii(format!("n{number}.example.com")).unwrap()
}

fn rdata(number: u32) -> Vec<u8> {
    let text = number.to_string();
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn author() -> Author {
    Author { client: "192.0.2.7:53".parse().unwrap(), key: Some(Name::from_ascii("key.test").unwrap()), id: 7 }
}

/// The difference of versions, which get an SOA for it.
fn change(before: &ZoneData, after: &ZoneData) -> Change {
    let with_serial = |data: &ZoneData, serial: u32| {
        let mut edit = data.edit();
        let soa = [&[0, 0][..], &[serial, 1, 1, 1, 1].map(u32::to_be_bytes).concat()].concat();
        edit.add(zone().as_ref(), Rtype::SOA, 0, &soa).unwrap();
        edit.commit()
    };
    Change::between(&with_serial(before, 1), &with_serial(after, 2)).expect("the serials differ")
}

fn content(data: &ZoneData) -> Content {
    let mut lines = BTreeSet::new();
    for node in data.iter() {
        for set in node.rrsets() {
            lines.extend(set.rdatas().map(|rdata| line::write(node.owner().as_ref(), set.rtype, set.ttl, rdata)));
        }
    }
    lines
}

fn model(texts: &BTreeMap<u16, u32>) -> Content {
    texts.iter().map(|(name, text)| format!("{} 60 IN TXT \"{text}\"", owner(*name))).collect()
}

fn make(texts: &mut BTreeMap<u16, u32>, updates: &[Update]) {
    for Update { name, text } in updates {
        match text {
            Some(text) => _ = texts.insert(*name, *text),
            None => _ = texts.remove(name),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let update = (0..40_u16, prop_oneof![3 => any::<u32>().prop_map(Some), 1 => Just(None)])
        .prop_map(|(name, text)| Update { name, text });
    let updates = vec(update, 1..40);
    let step = prop_oneof![
        6 => (0..2_usize, updates.clone()).prop_map(|(writer, updates)| Step::Write { writer, updates }),
        1 => (0..2_usize, updates.clone(), 0..6_usize)
            .prop_map(|(writer, updates, after)| Step::Crash { writer, updates, after }),
        1 => (0..2_usize, updates).prop_map(|(writer, updates)| Step::Unsure { writer, updates }),
    ];
    vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two processes write, without hearing of each other, and end at any moment: what one was told is written stays so,
    /// and of what it was not told, either all is written or nothing.
    #[test]
    fn what_is_written_stays_and_nothing_is_written_by_halves(steps in steps()) {
        let (mut stored, mut texts) = (Stored::default(), BTreeMap::new());
        let mut writers = [stored.read(), stored.read()];
        for step in steps {
            let (writer, updates, most, hears) = match &step {
                Step::Write { writer, updates } => (*writer, updates, usize::MAX, true),
                Step::Crash { writer, updates, after } => (*writer, updates, *after, false),
                Step::Unsure { writer, updates } => (*writer, updates, usize::MAX, false),
            };
            let written = writers[writer].write(&mut stored, updates, most);
            if written == Some(true) {
                make(&mut texts, updates);
            }
            if written.is_none() || !hears {
                writers[writer] = stored.read();
            }
            let now = stored.read();
            assert_eq!(content(now.ledger.data()), model(&texts), "{step:?}");
            assert_eq!(content(writers[writer].ledger.data()), model(&texts), "{step:?}");
            assert_eq!(now.ledger.records(), texts.len());
        }
    }
}

#[test]
fn the_ring_goes_round_and_the_names_and_objects_stay_few_and_small() {
    let (mut stored, mut texts) = (Stored::default(), BTreeMap::new());
    let mut writer = stored.read();
    for number in 0..20_000_u32 {
        let update = [Update { name: (number * 7919 % 1000) as u16, text: Some(number) }];
        assert_eq!(writer.write(&mut stored, &update, usize::MAX), Some(true));
        make(&mut texts, &update);
    }
    assert_eq!(content(stored.read().ledger.data()), model(&texts));
    assert!(stored.objects.len() <= SEGMENTS + SHARDS);
    let longest = stored.objects.values().map(|(_, object)| object.to_string().len()).max().unwrap();
    assert!(longest < 16_384, "{longest} octets");
    let each = stored.octets / 20_000;
    assert!(each < 5000, "{each} octets for an update");
}

#[test]
fn a_zone_takes_so_many_records_and_no_more() {
    let mut ledger = Ledger::new("dns", zone());
    let lines = |from: usize, count: usize| {
        let mut edit = ZoneData::new(zone()).edit();
        for number in from..from + count {
            edit.add(owner(number as u16).as_ref(), Rtype::TXT, 60, &rdata(1)).unwrap();
        }
        edit.commit()
    };
    let none = ZoneData::new(zone());
    let entry = |from: &ZoneData, to: &ZoneData| Entry::of(&author(), &change(from, to), Timestamp::UNIX_EPOCH);
    for start in (0..MOST_RECORDS).step_by(500) {
        ledger = ledger.append(vec![entry(&none, &lines(start, 500))]).unwrap().into_ledger();
    }
    assert_eq!(ledger.records(), MOST_RECORDS);
    let more = vec![entry(&lines(0, 1), &none), entry(&none, &lines(30_000, 1)), entry(&none, &lines(30_001, 1))];
    let Err(Unfit::Update(2, why)) = ledger.append(more) else { panic!("one went, so that one could come") };
    assert!(why.contains("20000"), "{why}");
    let Err(Unfit::Update(0, why)) = ledger.append(vec![entry(&lines(0, 2000), &none)]) else { panic!("it is large") };
    assert!(why.contains("too large"), "{why}");
    let many = (0..10).map(|_| entry(&lines(0, 1000), &none)).collect();
    assert_eq!(ledger.append(many).unwrap_err(), Unfit::Together);
}

#[test]
fn what_somebody_has_broken_is_named() {
    let mut stored = Stored::default();
    let mut writer = stored.read();
    for number in 0..3 {
        writer.write(&mut stored, &[Update { name: number, text: Some(1) }], usize::MAX).unwrap();
    }
    let (name, (_, object)) = stored.objects.first_key_value().unwrap();
    assert!(name.starts_with("example.com-") && name.ends_with("-log-00"), "{name}");
    let read = |object: &Value| Ledger::read("dns", zone(), [object].into_iter()).map(|ledger| ledger.records());
    assert_eq!(read(object), Ok(3));
    let wrong = |path: &str, value: Value| {
        let mut object = object.clone();
        *object.pointer_mut(path).unwrap() = value;
        read(&object).unwrap_err().to_string()
    };
    let told = wrong("/spec/changes/1/added/0", json!("n1.example.com. 60 IN A no-address"));
    assert!(told.contains(name) && told.contains("changes[1]"), "{told}");
    let told = wrong("/spec/changes/1/added/0", json!("n1.example.org. 60 IN TXT x"));
    assert!(told.contains("of the zone"), "{told}");
    let told = wrong("/spec/changes/1/number", json!(7));
    assert!(told.contains("update 2"), "{told}");
    let told = wrong("/spec/changes/1/number", json!(1));
    assert!(told.contains("another update 1"), "{told}");
    assert!(wrong("/spec/part", json!("log-99")).contains("part"));
}

#[test]
fn what_somebody_has_lost_is_named() {
    let mut stored = Stored::default();
    let mut writer = stored.read();
    // The names are few, so that some shards have none.
    for number in 0..1500_u32 {
        let update = [Update { name: (number % 7) as u16, text: Some(number) }];
        assert_eq!(writer.write(&mut stored, &update, usize::MAX), Some(true));
    }
    let all = || stored.objects.iter().map(|(name, (_, object))| (name, object));
    let read = |objects: &[&Value]| Ledger::read("dns", zone(), objects.iter().copied()).map(|ledger| ledger.records());
    assert_eq!(read(&all().map(|(_, object)| object).collect::<Vec<_>>()), Ok(7));
    assert_eq!(stored.objects.len(), SEGMENTS + SHARDS);
    for (name, object) in all() {
        let mut others: Vec<&Value> = all().filter(|(other, _)| *other != name).map(|(_, object)| object).collect();
        let part = object["spec"]["part"].as_str().unwrap();
        let told = read(&others).unwrap_err().to_string();
        assert!(told.contains(part), "{told}");
        others.extend([object, object]);
        let told = read(&others).unwrap_err().to_string();
        assert!(told.contains(name), "{told}");
        let (mut less, field) = (object.clone(), if part.starts_with("log") { "changes" } else { "lines" });
        less["spec"].as_object_mut().unwrap().remove(field);
        others.truncate(others.len() - 2);
        others.push(&less);
        let told = read(&others).unwrap_err().to_string();
        assert!(told.contains(name) && told.contains(field), "{told}");
    }
}

#[test]
fn an_update_that_is_missing_from_the_log_is_named() {
    let mut stored = Stored::default();
    let mut writer = stored.read();
    for number in 0..1510_u32 {
        let update = [Update { name: (number * 7919 % 1000) as u16, text: Some(number) }];
        assert_eq!(writer.write(&mut stored, &update, usize::MAX), Some(true));
    }
    for name in stored.objects.keys().filter(|name| name.contains("-log-")) {
        let mut objects = stored.objects.clone();
        let changes = objects.get_mut(name).unwrap().1["spec"]["changes"].as_array_mut().unwrap();
        let missing = changes.remove(changes.len() / 2)["number"].clone();
        let told = Ledger::read("dns", zone(), objects.values().map(|(_, object)| object)).unwrap_err().to_string();
        assert!(told.contains(&format!("update {missing} ")), "{told}");
    }
}

#[test]
fn each_type_of_record_is_read_as_it_was_written() {
    for (rtype, rdata) in [
        (Rtype::A, vec![192, 0, 2, 1]),
        (Rtype::TXT, b"\x05a\"\\ ;\x00".to_vec()),
        (Rtype::MX, b"\x00\x0a\x04mail\x03TeS\x00".to_vec()),
        (Rtype(65_280), vec![0, 1, 255]),
        (Rtype(65_281), Vec::new()),
        (Rtype::CNAME, b"\x03a.b\x02\x00 \x00".to_vec()),
    ] {
        let owner =
            Name::parse(br"w\.\000 \*", zone().as_ref()).or_else(|_| Name::parse(br"w\.\000\032\*", zone().as_ref()));
        let owner = owner.unwrap();
        let text = line::write(owner.as_ref(), rtype, 7, &rdata);
        let read = line::read(&text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((read.owner, read.rtype, read.ttl, read.rdata), (owner, rtype, 7, rdata), "{text}");
    }
}
