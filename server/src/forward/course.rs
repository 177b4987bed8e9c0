//! Where a response ends that passes through. Of a transfer, nothing in a message says so, only the SOA records of all
//! messages (RFC 5936 2.2, RFC 1995 4).

use zonefmt::{Rtype, Serial, rdata::Soa};

use crate::{Malformed, Rcode, message::Message};

/// How far a response is.
#[derive(Clone, Debug)]
pub(super) struct Course {
    is_transfer: bool,
    /// The serial of the version that the client has, if it has asked for changes.
    has: Option<Serial>,
    /// How many records have come.
    records: usize,
    /// How many of them are SOA records.
    soas: usize,
    /// The serial in the first one.
    serial: Option<Serial>,
    /// Whether the records are changes, and not the whole zone.
    incremental: bool,
}

impl Course {
    /// A response that has not begun, to a client that has asked for this type, which may be a transfer. `has` is the serial
    /// of the version that it has.
    pub(super) fn of(qtype: Rtype, has: Option<Serial>) -> Course {
        let is_transfer = matches!(qtype, Rtype::AXFR | Rtype::IXFR);
        let has = has.filter(|_| qtype == Rtype::IXFR);
        Course { is_transfer, has, records: 0, soas: 0, serial: None, incremental: false }
    }

    /// Whether the response ends with this message, the next one of it. One that says nothing is an end, too.
    pub(super) fn ends_with(&mut self, message: &Message<'_>) -> Result<bool, Malformed> {
        let is_first = self.records == 0;
        let (mut answers, mut is_last) = (message.answers(), !self.is_transfer || message.rcode() != Rcode::NOERROR);
        while let Some(record) = answers.next()? {
            is_last |= record.rtype == Rtype::SOA && self.is_last_soa(Soa::serial_of(record.rdata));
            self.records += 1;
        }
        // A version that is no newer than the client's is told by its SOA alone.
        let is_current = || self.records == 1 && self.has.zip(self.serial).is_some_and(|(has, serial)| serial <= has);
        Ok(is_last || is_first && (self.records == 0 || is_current()))
    }

    fn is_last_soa(&mut self, serial: Option<Serial>) -> bool {
        let number = self.soas;
        self.soas += 1;
        if number == 0 {
            self.serial = serial;
            return false;
        }
        // Changes begin with the SOA of a former version; each version has one before what it loses and one before what it
        // gains. Where one would lose something that is the newest, all is said.
        if number == 1 {
            self.incremental = self.has.is_some() && self.records == 1 && serial != self.serial;
        }
        !self.incremental || number % 2 == 1 && serial == self.serial
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zonefmt::{Class, Name};

    use super::*;
    use crate::{
        Opcode,
        message::{Builder, Question, Record, Section},
    };

    /// A record: an SOA with a serial, or another one.
    type Said = Option<u32>;

    fn message(records: &[Said]) -> Vec<u8> {
        let (zone, root) = (Name::from_ascii("test").unwrap(), Name::from_ascii(".").unwrap());
        let question = Question { qname: zone.as_ref(), qtype: Rtype::AXFR, qclass: Class::IN };
        let mut message = Builder::new(1, Opcode::QUERY, question);
        for said in records {
            let (rtype, rdata) = match said {
                Some(serial) => {
                    let (primary, mailbox) = (root.as_ref(), root.as_ref());
                    let serial = Serial(*serial);
                    let soa = Soa { primary, mailbox, serial, refresh: 1, retry: 1, expire: 1, minimum: 1 };
                    (Rtype::SOA, soa.to_wire())
                }
                None => (Rtype::A, vec![192, 0, 2, 1]),
            };
            let record = Record { owner: zone.as_ref(), rtype, class: Class::IN, ttl: 1, rdata: &rdata };
            message = message.record(Section::Answer, &record).unwrap();
        }
        message.finish()
    }

    /// After which record the transfer ends, if the records come in messages of these sizes.
    fn end(has: Option<u32>, records: &[Said], sizes: &[usize]) -> Option<usize> {
        let (mut course, mut taken) =
            (Course::of(if has.is_some() { Rtype::IXFR } else { Rtype::AXFR }, has.map(Serial)), 0);
        for size in sizes.iter().chain([1].iter().cycle()) {
            if taken == records.len() {
                break;
            }
            let next = (taken + size).min(records.len());
            let octets = message(&records[taken..next]);
            taken = next;
            if course.ends_with(&Message::read(&octets).unwrap()).unwrap() {
                return Some(taken);
            }
        }
        None
    }

    /// What leads from one serial to another in so many steps, with so many records gone and come in each.
    fn changes(from: u32, steps: &[(usize, usize)]) -> Vec<Said> {
        let last = from + steps.len() as u32;
        let mut all = vec![Some(last)];
        for (serial, (gone, come)) in (from..).zip(steps) {
            all.push(Some(serial));
            all.extend(vec![None; *gone]);
            all.push(Some(serial + 1));
            all.extend(vec![None; *come]);
        }
        all.push(Some(last));
        all
    }

    proptest! {
        #[test]
        fn a_transfer_ends_with_its_last_record(
            count in 0..20_usize,
            steps in prop::collection::vec((0..4_usize, 0..4_usize), 1..6),
            // The first message of changes has two records: alone, the first says that there are none.
            sizes in (2..9_usize, prop::collection::vec(1..9_usize, 0..30)).prop_map(|(first, rest)| [vec![first], rest].concat()),
            has in prop::option::of(1..7_u32),
        ) {
            let whole = [vec![Some(7)], vec![None; count], vec![Some(7)]].concat();
            prop_assert_eq!(end(has, &whole, &sizes), Some(whole.len()));
            let changes = changes(7, &steps);
            prop_assert_eq!(end(Some(7), &changes, &sizes), Some(changes.len()));
            prop_assert_eq!(end(Some(7), &changes[..changes.len() - 1], &sizes), None);
        }
    }

    #[test]
    fn a_whole_zone_may_come_record_by_record() {
        let whole = [Some(7), None, None, Some(7)];
        assert_eq!(end(None, &whole, &[1]), Some(4));
        assert_eq!(end(Some(3), &whole, &[1]), Some(4));
    }

    #[test]
    fn a_version_that_is_no_newer_is_told_by_its_soa() {
        assert_eq!(end(Some(7), &[Some(7)], &[1]), Some(1));
        assert_eq!(end(Some(8), &[Some(7)], &[1]), Some(1));
        assert_eq!(end(Some(6), &[Some(7)], &[1]), None);
        assert_eq!(end(None, &[Some(7)], &[1]), None);
    }

    #[test]
    fn an_error_and_a_message_without_records_end_it() {
        assert_eq!(end(None, &[], &[]), None);
        let mut octets = message(&[]);
        assert!(Course::of(Rtype::AXFR, None).ends_with(&Message::read(&octets).unwrap()).unwrap());
        octets = message(&[Some(7)]);
        assert!(Course::of(Rtype::SOA, None).ends_with(&Message::read(&octets).unwrap()).unwrap());
        octets[3] |= 5;
        assert!(Course::of(Rtype::AXFR, None).ends_with(&Message::read(&octets).unwrap()).unwrap());
    }
}
