//! What a change allocates, and what readers see of it: the allocated octets do not grow with the zone, and readers
//! never see half a change. Also that answering allocates nothing, logged or not.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use bindy_server::{
    listen::{Client, Now, Respond, Transport},
    logs::{LogFile, Logging, Logs, Output, Suffix, Versions},
    respond::Responder,
    zone::ZoneData,
    zones::{Published, Snapshot, View, Zone, ZoneChange, ZoneMap, ZoneState},
};
use zonefmt::{Name, Rtype};

/// Counts the octets that the current thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// Only an allocator can see allocations; this one counts and forwards them.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|allocated| allocated.set(allocated.get() + layout.size()));
        // SAFETY: the caller's obligations are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn zone_of(records: u32) -> ZoneData {
    let origin = name("example");
    let mut edit = ZoneData::new(origin.clone()).edit();
    for i in 0..records {
        edit.add(name(&format!("h{i}.example")).as_ref(), Rtype::A, 300, &i.to_be_bytes()).unwrap();
    }
    edit.commit()
}

fn served(data: ZoneData) -> Arc<Zone> {
    Arc::new(Zone::new(name("example"), Arc::default(), ZoneState::Loaded(data)))
}

fn map_of(zones: impl IntoIterator<Item = Arc<Zone>>) -> ZoneMap {
    zones.into_iter().collect()
}

/// The mean number of octets allocated by a change of one record, publishing included.
fn octets_per_change(records: u32, zones: u32) -> usize {
    const CHANGES: u32 = 500;
    let others = (0..zones).map(|i| {
        let origin = name(&format!("z{i}.test"));
        Arc::new(Zone::new(origin, Arc::default(), ZoneState::NotLoaded))
    });
    let mut data = zone_of(records);
    let published = Published::new(Snapshot::from(map_of(others.chain([served(data.clone())]))));
    let before = ALLOCATED.with(Cell::get);
    for i in 0..CHANGES {
        let mut edit = data.edit();
        let owner = name(&format!("h{}.example", (i * 7919) % records));
        edit.replace(owner.as_ref(), Rtype::A, 60, [&[10, 0, 0, 1][..]]).unwrap();
        data = edit.commit();
        published.update(|snapshot| snapshot.change(View::DEFAULT, [ZoneChange::Put(served(data.clone()))]));
    }
    (ALLOCATED.with(Cell::get) - before) / CHANGES as usize
}

#[test]
fn a_change_costs_the_same_in_a_large_zone() {
    let (small, large) = (octets_per_change(10_000, 10), octets_per_change(1_000_000, 10));
    // Two more levels of the trie, at most a kilobyte each; nothing that grows with the zone.
    assert!(large < small + 4096, "{small} octets at 10,000 records, {large} at 1,000,000");
}

#[test]
fn a_change_costs_nearly_the_same_among_many_zones() {
    let (few, many) = (octets_per_change(10_000, 10), octets_per_change(10_000, 100_000));
    // The list of pages grows by sixteen octets for each 256 zones.
    assert!(many < few + 16 * 100_000 / 256 + 8192, "{few} octets among 10 zones, {many} among 100,000");
}

#[test]
fn readers_never_see_half_a_change() {
    const CHANGES: u32 = 20_000;
    let origin = name("example");
    // Each version has one number in all records of an RRset, and the same in another name's RRset.
    let version = |data: &ZoneData, number: u32| {
        let mut edit = data.edit();
        let rdatas: Vec<Vec<u8>> = (0..4).map(|i| [&[3, i][..], &number.to_be_bytes()].concat()).collect();
        for owner in ["a.example", "b.example"] {
            edit.replace(name(owner).as_ref(), Rtype(65_280), 60, rdatas.iter().map(Vec::as_slice)).unwrap();
        }
        edit.commit()
    };
    let mut data = version(&ZoneData::new(origin), 0);
    let published = Arc::new(Published::new(Snapshot::from(map_of([served(data.clone())]))));
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (published, stop, answered) = (Arc::clone(&published), Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                let mut responder = Responder::new(published);
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    responder.refresh(Now::read());
                    let a = numbers(&mut responder, "a.example");
                    let b = numbers(&mut responder, "b.example");
                    assert_eq!(a.len(), 4);
                    assert!(a.iter().chain(&b).all(|&number| number == a[0]), "{a:?} {b:?}");
                    assert!(a[0] >= last, "went back from {last} to {}", a[0]);
                    last = a[0];
                    answered.fetch_add(2, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for number in 1..=CHANGES {
        data = version(&data, number);
        published.update(|snapshot| snapshot.change(View::DEFAULT, [ZoneChange::Put(served(data.clone()))]));
    }
    while answered.load(Ordering::Relaxed) < 1000 {
        thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn a_query_allocates_nothing_and_neither_does_its_line_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut edit = zone_of(1).edit();
    edit.replace(name("h0.example").as_ref(), Rtype(65_280), 60, [&[0, 0, 0, 7][..]]).unwrap();
    let zones = map_of([served(edit.commit())]);
    let published = Arc::new(Published::new(Snapshot::from(zones)));
    let path = folder.path().join("log");
    let output = Output::File(LogFile {
        path: path.clone(),
        size: None,
        versions: Versions::None,
        suffix: Suffix::Increment,
        buffered: false,
        later: false,
    });
    let logs = Logs::install("test", 0).unwrap();
    logs.change(&Logging::to(output)).unwrap();
    let mut responder = Responder::new(published).logging(logs.queries());
    responder.refresh(Now::read());
    for on in [false, true] {
        logs.set_querylog(on);
        let questions: Vec<Vec<u8>> = vec![question("h0.example"); 1000];
        let before = ALLOCATED.with(Cell::get);
        for question in &questions {
            assert_eq!(ask(&mut responder, question).0, question.len() + 16);
        }
        assert_eq!(ALLOCATED.with(Cell::get) - before, 0, "logged: {on}");
    }
    logs.flush();
    let log = std::fs::read_to_string(path).unwrap();
    assert_eq!(log.matches("(h0.example): query: h0.example IN TYPE65280 - (127.0.0.1)\n").count(), 1000);
}

/// The numbers in the records of an answer: the last four octets of each.
fn numbers(responder: &mut Responder, owner: &str) -> Vec<u32> {
    let question = question(owner);
    let (len, out) = ask(responder, &question);
    // A record has an owner pointer, type, class, TTL, length and six octets of data.
    out[question.len()..len].chunks(18).map(|record| u32::from_be_bytes(record[14..].try_into().unwrap())).collect()
}

fn question(owner: &str) -> Vec<u8> {
    [&[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name(owner).as_ref().as_wire(), &[0xff, 0, 0, 1]].concat()
}

fn ask(responder: &mut Responder, question: &[u8]) -> (usize, [u8; 512]) {
    let client = Client {
        addr: "127.0.0.1:5353".parse().unwrap(),
        local: "127.0.0.1:53".parse().unwrap(),
        transport: Transport::Udp,
    };
    let mut out = [0; 512];
    let reply = responder.respond(question, &client, &mut out).reply().unwrap();
    (reply.length, out)
}
