//! The messages of a transfer in order. The receiver checks what each says about itself, and hands its records to the
//! [`sequence`](super::sequence). It does no I/O; the signatures of messages have been checked before.

use zonefmt::{Class, Rtype, Serial};

use super::{EdnsExpire, Failure, Limits, Outcome, Reason, Want, Warning, sequence::Sequence};
use crate::{
    Malformed, Opcode, Rcode,
    message::{Builder, Message, MessageFull, Question, Record, Section},
    transfer::Totals,
    zone::ZoneData,
};

/// A transfer under way. It is used up by each message, so that nothing is left of one that was refused.
pub struct Receiver {
    id: u16,
    sequence: Box<Sequence>,
    totals: Totals,
    edns_expire: EdnsExpire,
    /// Messages without records.
    empty: u32,
}

/// What a message leads to.
#[allow(clippy::large_enum_variant)] // The result comes once.
pub enum Progress {
    /// More messages are to come.
    More(Receiver),
    /// The transfer is complete; the connection is of no more use to it.
    Complete(Transfer),
}

/// A complete transfer.
#[derive(Debug)]
pub struct Transfer {
    /// The result.
    pub outcome: Outcome,
    /// How much was received.
    pub totals: Totals,
    /// For how long the primary's version is valid, if it said so.
    pub edns_expire: EdnsExpire,
    /// What is strange in the zone.
    pub warnings: Vec<Warning>,
}

/// The code of the EDNS option EXPIRE (RFC 7314).
const EXPIRE: u16 = 9;

/// The largest number of messages without a record.
const MAX_EMPTY: u32 = 1000;

impl Receiver {
    /// Starts a transfer with a question of this id. Names that do not change share their data with the version at
    /// hand, which has no records if there is none.
    pub fn new(id: u16, at_hand: ZoneData, want: Want, limits: Limits) -> Receiver {
        let sequence = Box::new(Sequence::new(at_hand, want, limits));
        Receiver { id, sequence, totals: Totals::default(), edns_expire: None, empty: 0 }
    }

    /// The question, before it is signed: for AXFR, or for IXFR with the SOA at hand (RFC 1995 3). `edns`: whether it has
    /// EDNS, and if so, whether it asks for how long the primary's version is valid (RFC 7314).
    pub fn question(&self, edns: Option<bool>) -> Vec<u8> {
        let (qtype, soa) = self.sequence.question();
        request(self.id, question(&self.sequence, qtype), soa, edns)
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// The message is not the next one of a transfer that makes a sound zone. Nothing is kept.
    pub fn receive(mut self, message: &[u8]) -> Result<Progress, Failure> {
        match self.take(message) {
            Ok(()) => {}
            Err(why) => return Err(self.sequence.failure(why)),
        }
        let Receiver { id, sequence, totals, edns_expire, empty } = self;
        Ok(match sequence.finish() {
            Ok((outcome, warnings)) => Progress::Complete(Transfer { outcome, totals, edns_expire, warnings }),
            Err(sequence) => Progress::More(Receiver { id, sequence: Box::new(sequence), totals, edns_expire, empty }),
        })
    }

    /// What to say of a transfer that ends here for a reason that is not in its messages.
    pub fn interrupted(&self, why: Reason) -> Failure {
        self.sequence.failure(why)
    }

    fn take(&mut self, octets: &[u8]) -> Result<(), Reason> {
        self.totals.octets += octets.len() as u64;
        let limit = self.sequence.limits().octets;
        if limit != 0 && self.totals.octets > limit {
            return Err(Reason::TooManyOctets(limit));
        }
        let message = Message::read(octets)?;
        self.check_header(&message)?;
        self.totals.messages += 1;
        self.edns_expire = edns_expire(&message).or(self.edns_expire);
        if message.count(Section::Answer) == 0 {
            // A primary that does not know IXFR may give an empty answer to it.
            if self.totals.messages == 1 && self.sequence.question().0 == Rtype::IXFR {
                return Err(Reason::NoAnswer);
            }
            self.empty += 1;
            return if self.empty > MAX_EMPTY { Err(Reason::TooManyEmpty(MAX_EMPTY)) } else { Ok(()) };
        }
        let mut records = message.answers();
        while let Some(record) = records.next()? {
            self.totals.records += 1;
            self.sequence.take(&record)?;
        }
        Ok(())
    }

    fn check_header(&self, message: &Message<'_>) -> Result<(), Reason> {
        check_header(message, self.id)?;
        let (qtype, _) = self.sequence.question();
        match message.question() {
            Some(asked) if asked != question(&self.sequence, qtype) => Err(Reason::OtherQuestion),
            None if self.totals.messages == 0 => Err(Reason::NoQuestion),
            _ => Ok(()),
        }
    }
}

/// The UDP payload size that questions announce.
const UDP_SIZE: u16 = 1232;

/// For how long the primary's version is valid, if the message says so.
pub(super) fn edns_expire(message: &Message<'_>) -> EdnsExpire {
    let option = message.opt()?.option(EXPIRE)?;
    option.try_into().ok().map(u32::from_be_bytes)
}

/// Checks what the header of a response says of it.
pub(super) fn check_header(message: &Message<'_>, id: u16) -> Result<(), Reason> {
    if message.id() != id {
        return Err(Reason::OtherId);
    }
    if !message.is_response() {
        return Err(Reason::NotAResponse);
    }
    if message.opcode() != Opcode::QUERY {
        return Err(Reason::OtherOpcode);
    }
    if message.rcode() != Rcode::NOERROR {
        return Err(Reason::Rcode(message.rcode()));
    }
    if message.is_truncated() { Err(Reason::Truncated) } else { Ok(()) }
}

/// A question of our own, with the SOA at hand if changes are asked for. `edns`: whether it has EDNS, and if so, whether
/// it asks for how long a version is valid.
pub(super) fn request(id: u16, question: Question<'_>, soa: Option<&[u8]>, edns: Option<bool>) -> Vec<u8> {
    let whole = || -> Result<Builder, MessageFull> {
        let mut builder = Builder::new(id, Opcode::QUERY, question);
        if let Some(rdata) = soa {
            let record = Record { owner: question.qname, rtype: Rtype::SOA, class: Class::IN, ttl: 0, rdata };
            builder = builder.record(Section::Authority, &record)?;
        }
        match edns {
            None => Ok(builder),
            Some(false) => builder.opt(UDP_SIZE, &[]),
            Some(true) => builder.opt(UDP_SIZE, &[(EXPIRE, &[])]),
        }
    };
    whole().expect("a question, an SOA and an OPT have less than 2,000 octets").finish()
}

fn question(sequence: &Sequence, qtype: Rtype) -> Question<'_> {
    Question { qname: sequence.origin(), qtype, qclass: Class::IN }
}

impl From<Malformed> for Reason {
    fn from(_: Malformed) -> Reason {
        Reason::Malformed
    }
}

impl Outcome {
    /// The serial of the primary's version.
    pub fn serial(&self) -> Option<Serial> {
        match self {
            Outcome::UpToDate(serial) => Some(*serial),
            Outcome::Whole(data) | Outcome::Changes(_, data) => data.serial(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zonefmt::{Name, NameRef, rdata::Soa};

    const ID: u16 = 0x1234;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn rr(owner: &str, rtype: Rtype, rdata: &[u8]) -> Vec<u8> {
        let length = (rdata.len() as u16).to_be_bytes();
        let fixed = [&rtype.0.to_be_bytes()[..], &[0, 1, 0, 0, 1, 44], &length].concat();
        [name(owner).as_ref().as_wire(), &fixed, rdata].concat()
    }

    fn soa_data(serial: u32) -> Vec<u8> {
        let (primary, mailbox) = (NameRef::ROOT, NameRef::ROOT);
        Soa { primary, mailbox, serial: Serial(serial), refresh: 1, retry: 1, expire: 1, minimum: 1 }.to_wire()
    }

    fn soa(serial: u32) -> Vec<u8> {
        rr("test", Rtype::SOA, &soa_data(serial))
    }

    /// The records of a small AXFR.
    fn axfr() -> Vec<Vec<u8>> {
        vec![soa(7), rr("test", Rtype::NS, &[0]), rr("a.test", Rtype::A, &[192, 0, 2, 1]), soa(7)]
    }

    /// How a message is made.
    #[derive(Clone)]
    struct Shape {
        id: u16,
        flags: u16,
        question: Option<(&'static str, Rtype, Class)>,
        expire: Option<u32>,
    }

    const GOOD: Shape = Shape { id: ID, flags: 0x8400, question: Some(("TEST", Rtype::AXFR, Class::IN)), expire: None };
    const IXFR: Shape = Shape { question: Some(("test", Rtype::IXFR, Class::IN)), ..GOOD };

    fn message(shape: &Shape, answers: &[Vec<u8>]) -> Vec<u8> {
        let Shape { id, flags, question, expire } = shape;
        let counts = [u16::from(question.is_some()), answers.len() as u16, 0, u16::from(expire.is_some())];
        let mut message =
            [&[*id, *flags][..], &counts].concat().into_iter().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        if let Some((qname, qtype, qclass)) = question {
            message.extend(name(qname).as_ref().as_wire());
            message.extend([qtype.0, qclass.0].map(u16::to_be_bytes).concat());
        }
        message.extend(answers.concat());
        if let Some(expire) = expire {
            message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 8, 0, 9, 0, 4]);
            message.extend(expire.to_be_bytes());
        }
        message
    }

    fn at_hand() -> ZoneData {
        let mut edit = ZoneData::new(name("test")).edit();
        edit.add(name("test").as_ref(), Rtype::SOA, 300, &soa_data(1)).unwrap();
        edit.add(name("test").as_ref(), Rtype::NS, 300, &[0]).unwrap();
        edit.commit()
    }

    /// Feeds messages to a receiver: the transfer if it is complete, `None` if it needs more.
    fn receive(want: Want, limits: Limits, messages: &[Vec<u8>]) -> Result<Option<Transfer>, Failure> {
        let mut receiver = Receiver::new(ID, at_hand(), want, limits);
        for message in messages {
            receiver = match receiver.receive(message)? {
                Progress::More(receiver) => receiver,
                Progress::Complete(transfer) => return Ok(Some(transfer)),
            };
        }
        Ok(None)
    }

    fn whole(messages: &[Vec<u8>]) -> Result<Option<Transfer>, Failure> {
        receive(Want::Any, Limits::default(), messages)
    }

    fn failure(result: Result<Option<Transfer>, Failure>) -> (Reason, bool) {
        let Failure { why, axfr_may_help } = result.map(drop).unwrap_err();
        (why, axfr_may_help)
    }

    #[test]
    fn a_transfer_may_come_in_any_number_of_messages() {
        let all = axfr();
        let no_question = Shape { question: None, ..GOOD };
        let expire = Shape { expire: Some(77), ..GOOD };
        let one_each: Vec<_> = all.iter().map(|record| message(&GOOD, std::slice::from_ref(record))).collect();
        for messages in [
            vec![message(&GOOD, &all)],
            one_each.clone(),
            vec![message(&GOOD, &all[..2]), message(&no_question, &all[2..])],
            vec![message(&GOOD, &[]), message(&GOOD, &all[..2]), message(&GOOD, &[]), message(&GOOD, &all[2..])],
            // As named, octets after the last record and the AA bit are not looked at.
            vec![[message(&Shape { flags: 0x8000, ..GOOD }, &all), vec![1, 2, 3]].concat()],
        ] {
            let transfer = whole(&messages).unwrap().unwrap();
            let Outcome::Whole(data) = &transfer.outcome else { panic!("it is an AXFR") };
            assert_eq!((data.records(), data.serial()), (3, Some(Serial(7))));
            let octets = messages.iter().map(|message| message.len() as u64).sum();
            assert_eq!(transfer.totals, Totals { messages: messages.len() as u64, records: 4, octets });
        }
        assert!(whole(&one_each[..3]).unwrap().is_none());
        assert_eq!(whole(&[message(&expire, &all)]).unwrap().unwrap().edns_expire, Some(77));
    }

    #[test]
    fn the_question_names_the_version_at_hand() {
        let asked = |want| Receiver::new(ID, at_hand(), want, Limits::default()).question(Some(true));
        let (axfr, ixfr) = (asked(Want::Any), asked(Want::Changes));
        let axfr = Message::read(&axfr).unwrap();
        let zone = name("test");
        let question = |qtype| Some(Question { qname: zone.as_ref(), qtype, qclass: Class::IN });
        assert_eq!((axfr.id(), axfr.question()), (ID, question(Rtype::AXFR)));
        assert_eq!(axfr.opt().unwrap().option(EXPIRE), Some(&[][..]));
        let ixfr = Message::read(&ixfr).unwrap();
        assert_eq!(ixfr.question(), question(Rtype::IXFR));
        let mut authorities = ixfr.authorities();
        let soa = authorities.next().unwrap().unwrap();
        assert_eq!((soa.owner, soa.rtype, soa.rdata), (zone.as_ref(), Rtype::SOA, &soa_data(1)[..]));
        assert!(authorities.next().unwrap().is_none());
        let first =
            Receiver::new(ID, ZoneData::new(name("test")), Want::Changes, Limits::default()).question(Some(true));
        assert_eq!(Message::read(&first).unwrap().question(), question(Rtype::AXFR));
    }

    #[test]
    fn messages_that_are_not_of_the_transfer_are_refused() {
        let all = axfr();
        let of = |shape: Shape| vec![message(&shape, &all)];
        let second = |shape: Shape| vec![message(&GOOD, &all[..2]), message(&shape, &all[2..])];
        let asked = |qname, qtype, qclass| Shape { question: Some((qname, qtype, qclass)), ..GOOD };
        let short_a = [all[..3].to_vec(), vec![rr("b.test", Rtype::A, &[1, 2, 3])]].concat();
        for (messages, why) in [
            (of(Shape { id: 1, ..GOOD }), Reason::OtherId),
            (second(Shape { id: 1, ..GOOD }), Reason::OtherId),
            (of(Shape { flags: 0x0400, ..GOOD }), Reason::NotAResponse),
            (of(Shape { flags: 0xa400, ..GOOD }), Reason::OtherOpcode),
            (of(Shape { flags: 0x8600, ..GOOD }), Reason::Truncated),
            (of(Shape { flags: 0x8405, ..GOOD }), Reason::Rcode(Rcode::REFUSED)),
            (second(Shape { flags: 0x8402, ..GOOD }), Reason::Rcode(Rcode::SERVFAIL)),
            (of(Shape { question: None, ..GOOD }), Reason::NoQuestion),
            (of(asked("other.test", Rtype::AXFR, Class::IN)), Reason::OtherQuestion),
            (of(asked("test", Rtype::IXFR, Class::IN)), Reason::OtherQuestion),
            (of(asked("test", Rtype::AXFR, Class::CH)), Reason::OtherQuestion),
            (second(asked("other.test", Rtype::AXFR, Class::IN)), Reason::OtherQuestion),
            (vec![message(&GOOD, &all)[..40].to_vec()], Reason::Malformed),
            (vec![message(&GOOD, &short_a)], Reason::Malformed),
            (vec![vec![0; 11]], Reason::Malformed),
        ] {
            assert_eq!(failure(whole(&messages)), (why, false));
        }
        for (shape, why) in [
            (Shape { flags: 0x8404, ..IXFR }, Reason::Rcode(Rcode::NOTIMP)),
            (Shape { id: 1, ..IXFR }, Reason::OtherId),
            (IXFR, Reason::NoAnswer),
        ] {
            let received = receive(Want::Changes, Limits::default(), &[message(&shape, &[])]);
            assert_eq!(failure(received), (why, true));
        }
    }

    #[test]
    fn a_transfer_has_bounds() {
        let (start, all) = (message(&GOOD, &axfr()[..2]), message(&GOOD, &axfr()));
        let empty = |count| [vec![start.clone()], vec![message(&GOOD, &[]); count], vec![message(&GOOD, &axfr()[2..])]];
        assert!(whole(&empty(1000).concat()).unwrap().is_some());
        assert_eq!(failure(whole(&empty(1001).concat())).0, Reason::TooManyEmpty(1000));
        let limited = |octets| receive(Want::Any, Limits { octets, ..Limits::default() }, std::slice::from_ref(&all));
        assert!(limited(all.len() as u64).unwrap().is_some());
        assert!(limited(0).unwrap().is_some());
        let bound = all.len() as u64 - 1;
        assert_eq!(failure(limited(bound)).0, Reason::TooManyOctets(bound));
    }

    proptest! {
        #[test]
        fn no_message_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
            incremental in any::<bool>(),
        ) {
            let (shape, want) = if incremental { (IXFR, Want::Changes) } else { (GOOD, Want::Any) };
            let mut octets = message(&shape, &[soa(7), soa(1), soa(7), rr("a.test", Rtype::A, &[1, 2, 3, 4]), soa(7)]);
            for (at, octet) in changes {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
            octets.truncate(cut.index(octets.len() + 1));
            let _ = receive(want, Limits::default(), &[octets.clone(), octets]);
        }
    }
}
