//! The memory that a transfer in takes: while it comes, little more than twice what its zone takes in the end; and what
//! does not change is not held twice.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bindy_server::{
    transfer::inbound::{Limits, Outcome, Progress, Receiver, Want},
    zone::ZoneData,
};
use zonefmt::{Name, NameRef, Rtype, Serial, rdata::Soa};

/// Counts the octets that the current thread holds, and the most it has held.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

// Only an allocator can see allocations; this one counts and forwards them.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's obligations are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    // The system moves what is large without a copy, so that it is never held twice.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count(more: usize, less: usize) {
    let held = (HELD.get() + more).saturating_sub(less);
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

#[global_allocator]
static COUNTING: Counting = Counting;

const RECORDS: u32 = 300_000;
const A_MESSAGE: u32 = 500;

fn record(owner: &str, rtype: Rtype, rdata: &[u8]) -> Vec<u8> {
    let owner = Name::from_ascii(owner).unwrap();
    let length = (rdata.len() as u16).to_be_bytes();
    [owner.as_ref().as_wire(), &rtype.0.to_be_bytes(), &[0, 1, 0, 0, 1, 44], &length, rdata].concat()
}

fn soa(serial: u32) -> Vec<u8> {
    let (primary, mailbox) = (NameRef::ROOT, NameRef::ROOT);
    let soa = Soa { primary, mailbox, serial: Serial(serial), refresh: 1, retry: 1, expire: 1, minimum: 1 };
    record("example", Rtype::SOA, &soa.to_wire())
}

/// A message of an AXFR with these records.
fn message(records: &[Vec<u8>]) -> Vec<u8> {
    let question = b"\x07example\0\0\xfc\0\x01";
    let count = (records.len() as u16).to_be_bytes();
    [&[0, 1, 0x84, 0, 0, 1], &count[..], &[0; 4], question, &records.concat()].concat()
}

/// Transfers a zone in which the addresses of the hosts below `changed` depend on the serial. Returns it, and the most
/// octets that were held meanwhile beyond those before.
fn transfer(at_hand: ZoneData, serial: u32, changed: u32) -> (ZoneData, usize) {
    let before = HELD.get();
    MOST.set(before);
    let mut receiver = Receiver::new(1, at_hand, Want::Newer, Limits::default());
    let mut messages = (0..RECORDS / A_MESSAGE).map(|part| {
        let host = |i: u32| {
            let address = i.wrapping_add(if i < changed { serial << 24 } else { 0 });
            record(&format!("h{i}.example"), Rtype::A, &address.to_be_bytes())
        };
        let mut records: Vec<_> = (part * A_MESSAGE..(part + 1) * A_MESSAGE).map(host).collect();
        if part == 0 {
            records.splice(0..0, [soa(serial), record("example", Rtype::NS, &[0])]);
        }
        message(&records)
    });
    loop {
        let message = messages.next().unwrap_or_else(|| message(&[soa(serial)]));
        receiver = match receiver.receive(&message).unwrap() {
            Progress::More(receiver) => receiver,
            Progress::Complete(transfer) => match transfer.outcome {
                Outcome::Whole(data) => return (data, MOST.get() - before),
                other => panic!("{other:?}"),
            },
        };
    }
}

#[test]
fn a_transfer_holds_little_more_than_twice_what_its_zone_takes() {
    let start = HELD.get();
    let (first, most) = transfer(ZoneData::new(Name::from_ascii("example").unwrap()), 1, 0);
    let steady = HELD.get() - start;
    // The zone as it came, and its copy in canonical order.
    assert!(most <= 2 * steady + steady / 4, "{most} octets at most, {steady} in the end");
    let (_second, most) = transfer(first.clone(), 2, 10);
    assert!(most <= steady / 4, "{most} octets for ten changes, beside {steady}");
}
