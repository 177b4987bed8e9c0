//! Fuzzes the receiver of transfers with any octets as the messages of one: it must not panic, and what it takes must be
//! a zone with an SOA and NS records, newer than the version at hand where that is asked for.

#![no_main]

use std::thread_local;

use bindy_server::{
    transfer::inbound::{Limits, Outcome, Progress, Receiver, Want},
    zone::ZoneData,
};
use libfuzzer_sys::fuzz_target;
use zonefmt::{Name, Rtype, Serial, rdata::Soa};

thread_local! {
    static AT_HAND: ZoneData = at_hand();
}

/// Version 1 of the zone `a.`.
fn at_hand() -> ZoneData {
    let origin = Name::from_ascii("a").expect("it is a name");
    let (apex, root) = (origin.as_ref(), Name::root());
    let (primary, mailbox) = (root.as_ref(), root.as_ref());
    let soa = Soa { primary, mailbox, serial: Serial(1), refresh: 1, retry: 1, expire: 1, minimum: 1 };
    let mut edit = ZoneData::new(origin.clone()).edit();
    edit.add(apex, Rtype::SOA, 1, &soa.to_wire()).expect("it fits");
    edit.add(apex, Rtype::NS, 1, &[0]).expect("it fits");
    edit.add(apex, Rtype::A, 1, &[192, 0, 2, 1]).expect("it fits");
    edit.commit()
}

const ID: u16 = 0;

// What is wanted; then the messages without their ids, as many as fit, each preceded by its length in two octets.
fuzz_target!(|input: (u8, &[u8])| {
    let (want, mut rest) = input;
    let want = [Want::Changes, Want::Newer, Want::Any][usize::from(want) % 3];
    let at_hand = AT_HAND.with(ZoneData::clone);
    let mut receiver = Receiver::new(ID, at_hand, want, Limits::default());
    while let [high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (message, after) = after.split_at(after.len().min(length));
        rest = after;
        match receiver.receive(&[&ID.to_be_bytes(), message].concat()) {
            Ok(Progress::More(more)) => receiver = more,
            Ok(Progress::Complete(transfer)) => {
                let data = match &transfer.outcome {
                    Outcome::UpToDate(_) => return,
                    Outcome::Whole(data) | Outcome::Changes(_, data) => data,
                };
                let apex = data.apex().expect("it has an apex");
                assert!(apex.rrset(Rtype::NS).is_some());
                let serial = data.serial().expect("it has an SOA");
                assert!(want == Want::Any || serial > Serial(1));
                assert_eq!(transfer.outcome.serial(), Some(serial));
                return;
            }
            Err(_) => return,
        }
    }
});
