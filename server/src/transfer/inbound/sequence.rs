//! The records of a transfer in order: from the first SOA to the last, AXFR (RFC 5936 2.2) or IXFR (RFC 1995 4). The
//! result is a whole version of the zone or none. The octets of messages, and their headers, are not known here.

use std::{fmt, mem};

use zonefmt::{Class, Name, NameRef, Rtype, Serial, rdata::Soa};

use super::{Failure, Limits, Reason, chain::Chain};
use crate::{
    message::Record,
    zone::{Added, Change, Edit, EditError, ZoneData},
};

/// What is asked of the primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// The changes since the version at hand (IXFR). The primary may give a newer version as a whole instead.
    Changes,
    /// A version newer than the one at hand, as a whole (AXFR).
    Newer,
    /// The primary's version as a whole (AXFR), whatever its serial.
    Any,
}

/// The result of a complete transfer.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The primary's version, with this serial, is not newer than the one at hand.
    UpToDate(Serial),
    /// The whole zone.
    Whole(ZoneData),
    /// The changes that lead from the version at hand to this one, at least one.
    Changes(Vec<Change>, ZoneData),
}

/// What is strange in a zone that is taken nevertheless.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    /// A record is outside the zone; it was dropped.
    OutOfZone(Name, Rtype),
    /// The records of an RRset have several TTLs; the last one holds for all.
    TtlsDiffer(Name, Rtype),
    /// A change adds a record that is there, or removes or adds one twice; once is enough.
    NoEffect(Name, Rtype),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::OutOfZone(owner, rtype) => write!(f, "{owner} {rtype} is out of the zone: dropped"),
            Warning::TtlsDiffer(owner, rtype) => write!(f, "{owner} {rtype} has records with different TTLs"),
            Warning::NoEffect(owner, rtype) => write!(f, "{owner} {rtype}: a change has no effect"),
        }
    }
}

/// The first warnings of a transfer.
#[derive(Default)]
pub(super) struct Warnings(Vec<Warning>);

/// How many warnings a transfer keeps.
const MAX_WARNINGS: usize = 20;

/// A transfer as far as it has come.
pub(super) struct Sequence {
    at_hand: ZoneData,
    want: Want,
    limits: Limits,
    state: State,
    warnings: Warnings,
}

enum State {
    /// Nothing has come.
    Start,
    /// The first SOA has come: its TTL and data.
    FirstSoa(u32, Vec<u8>),
    /// An AXFR under way: the data of the first SOA, and what came so far.
    Whole(Vec<u8>, Box<Edit>),
    /// An IXFR under way.
    Changes(Box<Chain>),
    Complete(Outcome),
}

impl Sequence {
    /// Starts a transfer. Names that do not change share their data with the version at hand, which has no records if
    /// there is none; then any version is newer.
    pub(super) fn new(at_hand: ZoneData, want: Want, limits: Limits) -> Sequence {
        let want = if at_hand.serial().is_some() { want } else { Want::Any };
        Sequence { at_hand, want, limits, state: State::Start, warnings: Warnings::default() }
    }

    /// The name of the zone.
    pub(super) fn origin(&self) -> NameRef<'_> {
        self.at_hand.origin()
    }

    /// What is asked for: the type of the question, and the data of the SOA that comes with it (RFC 1995 3).
    pub(super) fn question(&self) -> (Rtype, Option<&[u8]>) {
        let soa = || self.at_hand.apex()?.rrset(Rtype::SOA)?.rdatas().next();
        match self.want {
            Want::Changes => (Rtype::IXFR, soa()),
            Want::Newer | Want::Any => (Rtype::AXFR, None),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes the next record, with a TTL as it was sent: one above 2³¹−1 means 0 (RFC 2181 8).
    pub(super) fn take(&mut self, record: &Record<'_>) -> Result<(), Reason> {
        let ttl = if record.ttl > i32::MAX as u32 { 0 } else { record.ttl };
        self.advance(&Record { ttl, ..*record })
    }

    /// The result, and what was strange; `Err` returns the transfer while it is not complete.
    pub(super) fn finish(self) -> Result<(Outcome, Vec<Warning>), Sequence> {
        match self.state {
            State::Complete(outcome) => Ok((outcome, self.warnings.0)),
            state => Err(Sequence { state, ..self }),
        }
    }

    /// A failure at this point.
    pub(super) fn failure(&self, why: Reason) -> Failure {
        let axfr_may_help = self.want == Want::Changes && !matches!(self.state, State::Whole(..));
        Failure { why, axfr_may_help }
    }

    fn advance(&mut self, record: &Record<'_>) -> Result<(), Reason> {
        if let State::Complete(outcome) = &self.state {
            // Whoever has a version that is not newer may go on sending all of it.
            return if matches!(outcome, Outcome::UpToDate(_)) { Ok(()) } else { Err(Reason::AfterEnd) };
        }
        let Record { owner, rtype, class, ttl, rdata } = *record;
        if class != Class::IN {
            return Err(Reason::OtherClass(class));
        }
        if rtype.is_meta() {
            return Err(Reason::MetaType(owner.to_owned(), rtype));
        }
        let soa = if rtype == Rtype::SOA {
            if owner != self.origin() {
                return Err(Reason::SoaElsewhere(owner.to_owned()));
            }
            Some(Soa::read(rdata).ok_or(Reason::MalformedSoa)?.serial)
        } else {
            None
        };
        if let State::FirstSoa(ttl, first) = &mut self.state {
            self.state = start(&self.at_hand, self.want, soa, *ttl, mem::take(first))?;
        }
        match &mut self.state {
            State::Start => {
                let serial = soa.ok_or(Reason::FirstNotSoa(rtype))?;
                let is_newer = self.at_hand.serial().is_none_or(|ours| serial > ours);
                self.state = if is_newer || self.want == Want::Any {
                    State::FirstSoa(ttl, rdata.to_vec())
                } else {
                    State::Complete(Outcome::UpToDate(serial))
                };
                Ok(())
            }
            State::Whole(first, edit) => {
                let Some(last) = soa else {
                    return add(edit, record, &self.limits, &mut self.warnings);
                };
                if !is_same_soa(first, rdata) {
                    return Err(Reason::SoaMismatch(Soa::serial_of(first).unwrap_or(last), last));
                }
                let nothing = Box::new(ZoneData::new(self.at_hand.origin().to_owned()).edit());
                let data = mem::replace(edit, nothing).commit();
                self.limits.check_zone(&data)?;
                self.state = State::Complete(Outcome::Whole(data));
                Ok(())
            }
            State::Changes(chain) => {
                if let Some(serial) = soa {
                    if chain.turn(serial, record, &self.limits, &mut self.warnings)? {
                        let (changes, data) = chain.finish();
                        self.state = State::Complete(Outcome::Changes(changes, data));
                    }
                    return Ok(());
                }
                if !owner.is_at_or_below(self.at_hand.origin()) {
                    self.warnings.add(|| Warning::OutOfZone(owner.to_owned(), rtype));
                    return Ok(());
                }
                chain.take(record, self.at_hand.octets())
            }
            State::FirstSoa(..) | State::Complete(_) => Ok(()),
        }
    }
}

/// The state after the first SOA, which the second record decides: an IXFR continues with the SOA of the version at
/// hand, anything else is the whole zone.
fn start(at_hand: &ZoneData, want: Want, second: Option<Serial>, ttl: u32, first: Vec<u8>) -> Result<State, Reason> {
    if want == Want::Changes && second.is_some() && second == at_hand.serial() {
        let end = Soa::serial_of(&first).ok_or(Reason::MalformedSoa)?;
        return Ok(State::Changes(Box::new(Chain::new(at_hand.clone(), end))));
    }
    let mut edit = at_hand.rewrite();
    let unfit = |error| Reason::Unfit(at_hand.origin().to_owned(), Rtype::SOA, error);
    edit.add(at_hand.origin(), Rtype::SOA, ttl, &first).map_err(unfit)?;
    Ok(State::Whole(first, Box::new(edit)))
}

/// Adds a record of an AXFR. Limits are checked here already, so that no RRset grows beyond measure meanwhile.
fn add(
    edit: &mut Edit,
    &Record { owner, rtype, ttl, rdata, .. }: &Record<'_>,
    limits: &Limits,
    warnings: &mut Warnings,
) -> Result<(), Reason> {
    match edit.add(owner, rtype, ttl, rdata) {
        Ok(Added::Duplicate) => return Ok(()),
        Ok(Added::New) => {}
        Ok(Added::OtherTtl(_)) => warnings.add(|| Warning::TtlsDiffer(owner.to_owned(), rtype)),
        Err(EditError::OutOfZone) => {
            warnings.add(|| Warning::OutOfZone(owner.to_owned(), rtype));
            return Ok(());
        }
        Err(error) => return Err(Reason::Unfit(owner.to_owned(), rtype, error)),
    }
    let (types, records) = edit.sizes(rtype);
    limits.check_name(types, records, || (owner.to_owned(), rtype))
}

impl Warnings {
    /// Adds a warning, unless it is there or there are enough.
    pub(super) fn add(&mut self, warning: impl FnOnce() -> Warning) {
        if self.0.len() < MAX_WARNINGS {
            let warning = warning();
            if !self.0.contains(&warning) {
                self.0.push(warning);
            }
        }
    }
}

/// Whether the data of two SOAs is equal, ignoring the case of names.
fn is_same_soa(one: &[u8], other: &[u8]) -> bool {
    let canonical = |rdata: &[u8]| {
        let mut out = Vec::with_capacity(rdata.len());
        zonefmt::rdata::canonical(Rtype::SOA, rdata, &mut out);
        out
    };
    canonical(one) == canonical(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::{settings, zone::ChangeError};

    /// An owned record.
    #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
    struct Rr(Vec<u8>, u16, u32, Vec<u8>);

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn rr(owner: &str, rtype: Rtype, ttl: u32, rdata: &[u8]) -> Rr {
        Rr(name(owner).as_ref().as_wire().to_vec(), rtype.0, ttl, rdata.to_vec())
    }

    fn soa_by(primary: &str, serial: u32) -> Rr {
        let (primary, mailbox) = (name(primary), name("h.test"));
        let (primary, mailbox) = (primary.as_ref(), mailbox.as_ref());
        let soa = Soa { primary, mailbox, serial: Serial(serial), refresh: 1, retry: 2, expire: 3, minimum: 4 };
        rr("test", Rtype::SOA, 300, &soa.to_wire())
    }

    fn soa(serial: u32) -> Rr {
        soa_by("ns.test", serial)
    }

    fn ns() -> Rr {
        rr("test", Rtype::NS, 300, name("ns.test").as_ref().as_wire())
    }

    fn a(owner: &str, last: u8) -> Rr {
        rr(owner, Rtype::A, 300, &[192, 0, 2, last])
    }

    fn cname(owner: &str, to: &str) -> Rr {
        rr(owner, Rtype::CNAME, 300, name(to).as_ref().as_wire())
    }

    /// A small zone with this serial, and more.
    fn records(serial: u32, more: &[Rr]) -> Vec<Rr> {
        [&[soa(serial), ns(), a("a.test", 10), a("a.test", 11), a("ns.test", 1)], more].concat()
    }

    /// An AXFR of it.
    fn axfr(serial: u32, more: &[Rr]) -> Vec<Rr> {
        [records(serial, more), vec![soa(serial)]].concat()
    }

    fn zone(records: &[Rr]) -> ZoneData {
        let mut edit = ZoneData::new(name("test")).edit();
        for Rr(owner, rtype, ttl, rdata) in records {
            edit.add(NameRef::from_wire(owner).unwrap(), Rtype(*rtype), *ttl, rdata).unwrap();
        }
        edit.commit()
    }

    /// The records of a zone, sorted.
    fn content(zone: &ZoneData) -> Vec<Rr> {
        let mut all = Vec::new();
        for node in zone.iter() {
            for set in node.rrsets() {
                let owner = node.owner().as_ref().as_wire().to_vec();
                all.extend(set.rdatas().map(|rdata| Rr(owner.clone(), set.rtype.0, set.ttl, rdata.to_vec())));
            }
        }
        all.sort();
        all
    }

    fn take(sequence: &mut Sequence, Rr(owner, rtype, ttl, rdata): &Rr) -> Result<(), Failure> {
        let owner = NameRef::from_wire(owner).unwrap();
        let record = Record { owner, rtype: Rtype(*rtype), class: Class::IN, ttl: *ttl, rdata };
        sequence.take(&record).map_err(|why| sequence.failure(why))
    }

    /// The result of a transfer: `None` if it is not complete.
    type Taken = Result<Option<(Outcome, Vec<Warning>)>, Failure>;

    fn transfer(at_hand: &ZoneData, want: Want, limits: Limits, records: &[Rr]) -> Taken {
        let mut sequence = Sequence::new(at_hand.clone(), want, limits);
        records.iter().try_for_each(|record| take(&mut sequence, record))?;
        Ok(sequence.finish().ok())
    }

    fn first(records: &[Rr]) -> Taken {
        transfer(&ZoneData::new(name("test")), Want::Newer, Limits::default(), records)
    }

    fn changes(records: &[Rr]) -> Taken {
        transfer(&zone(&self::records(1, &[])), Want::Changes, Limits::default(), records)
    }

    fn failure(taken: Taken) -> (Reason, bool) {
        let Failure { why, axfr_may_help } = taken.map(drop).unwrap_err();
        (why, axfr_may_help)
    }

    fn whole(taken: Taken) -> (ZoneData, Vec<Warning>) {
        match taken.unwrap().expect("complete") {
            (Outcome::Whole(data), warnings) => (data, warnings),
            (other, _) => panic!("{other:?}"),
        }
    }

    /// An IXFR of successive changes: what each removes and adds, from serial 1 on.
    fn ixfr(lists: &[(&[Rr], &[Rr])]) -> Vec<Rr> {
        let end = soa(lists.len() as u32 + 1);
        let mut all = vec![end.clone()];
        for ((removed, added), serial) in lists.iter().zip(1..) {
            all.extend([&[soa(serial)], *removed, &[soa(serial + 1)], *added].concat());
        }
        all.push(end);
        all
    }

    #[test]
    fn a_whole_zone_is_taken_between_two_equal_soas() {
        let more = [a("b.test", 1), cname("c.test", "a.test")];
        let (data, warnings) = whole(first(&axfr(7, &more)));
        assert_eq!(content(&data), content(&zone(&records(7, &more))));
        assert_eq!(warnings, []);
        let mut with_case = axfr(7, &more);
        *with_case.last_mut().unwrap() = Rr { 2: 5, ..soa_by("NS.test", 7) };
        assert_eq!(content(&whole(first(&with_case)).0), content(&data));
    }

    #[test]
    fn unchanged_names_are_shared_with_the_version_at_hand() {
        let at_hand = zone(&records(7, &[]));
        let again = whole(transfer(&at_hand, Want::Any, Limits::default(), &axfr(7, &[]))).0;
        assert!(again.is(&at_hand));
    }

    #[test]
    fn what_named_refuses_in_an_axfr_is_refused() {
        let (second, elsewhere) = (name("d.test"), Rr { 0: name("a.test").as_ref().as_wire().to_vec(), ..soa(7) });
        let dname = |to: &str| rr("d.test", Rtype::DNAME, 300, name(to).as_ref().as_wire());
        let within = |more: &[Rr]| axfr(7, more);
        let end = |last: Rr| [records(7, &[]), vec![last]].concat();
        let types: Vec<Rr> = (1000..1101).map(|rtype| rr("b.test", Rtype(rtype), 300, b"x")).collect();
        let addresses: Vec<Rr> = (0..101).map(|last| a("b.test", last)).collect();
        let cut = [axfr(7, &[])[..3].to_vec(), vec![soa(8)], axfr(7, &[])[3..].to_vec()].concat();
        let short_soa = rr("test", Rtype::SOA, 300, &[0; 21]);
        for (records, why) in [
            (axfr(7, &[])[1..].to_vec(), Reason::FirstNotSoa(Rtype::NS)),
            (vec![short_soa], Reason::MalformedSoa),
            (vec![elsewhere.clone()], Reason::SoaElsewhere(name("a.test"))),
            (within(&[elsewhere]), Reason::SoaElsewhere(name("a.test"))),
            (cut, Reason::SoaMismatch(Serial(7), Serial(8))),
            (end(soa_by("other.test", 7)), Reason::SoaMismatch(Serial(7), Serial(7))),
            ([&[soa(7)], &axfr(7, &[])[..]].concat(), Reason::NoNs),
            (vec![soa(7), soa(7)], Reason::NoNs),
            ([axfr(7, &[]), vec![a("b.test", 1)]].concat(), Reason::AfterEnd),
            (within(&[rr("b.test", Rtype::ANY, 0, b"")]), Reason::MetaType(name("b.test"), Rtype::ANY)),
            (within(&[rr("b.test", Rtype(0), 0, b"")]), Reason::MetaType(name("b.test"), Rtype(0))),
            (within(&[cname("a.test", "b.test")]), Reason::CnameAndOther(name("a.test"))),
            (
                within(&[cname("d.test", "a.test"), cname("d.test", "b.test")]),
                Reason::Several(second.clone(), Rtype::CNAME),
            ),
            (within(&[dname("a.test"), dname("b.test")]), Reason::Several(second.clone(), Rtype::DNAME)),
            (within(&[dname("a.test"), cname("d.test", "b.test")]), Reason::CnameAndOther(second)),
            (
                within(&[rr("*.test", Rtype::NS, 1, name("a.test").as_ref().as_wire())]),
                Reason::AtWildcard(name("*.test"), Rtype::NS),
            ),
            (within(&addresses), Reason::TooManyInRrset(name("b.test"), Rtype::A, 100)),
            (within(&types), Reason::TooManyTypes(name("b.test"), 100)),
        ] {
            assert_eq!(failure(first(&records)), (why, false));
        }
        let zone = settings::Limits { records: 5, ..settings::Limits::default() };
        let limits = Limits { zone, ..Limits::default() };
        let empty = ZoneData::new(name("test"));
        let limited = |more: &[Rr]| transfer(&empty, Want::Newer, limits, &axfr(7, more));
        assert_eq!(whole(limited(&[])).0.records(), 5);
        assert_eq!(failure(limited(&[a("b.test", 1)])).0, Reason::TooManyRecords(5));
    }

    #[test]
    fn a_record_of_another_class_is_refused() {
        let mut sequence = Sequence::new(ZoneData::new(name("test")), Want::Any, Limits::default());
        let Rr(owner, rtype, ttl, rdata) = soa(1);
        let owner = NameRef::from_wire(&owner).unwrap();
        let record = Record { owner, rtype: Rtype(rtype), class: Class::CH, ttl, rdata: &rdata };
        assert_eq!(sequence.take(&record).unwrap_err(), Reason::OtherClass(Class::CH));
    }

    #[test]
    fn what_named_tolerates_is_taken_with_a_warning() {
        let more = [
            a("elsewhere", 1),
            a("a.test", 10),
            Rr { 2: 77, ..a("a.test", 12) },
            Rr { 2: 0x8000_0001, ..a("b.test", 1) },
        ];
        let (data, warnings) = whole(first(&axfr(7, &more)));
        let of = |owner: &str| data.rrset(name(owner).as_ref(), Rtype::A).map(|set| (set.len(), set.ttl));
        assert_eq!((of("a.test"), of("b.test"), data.records()), (Some((3, 77)), Some((1, 0)), 7));
        assert_eq!(
            warnings,
            [Warning::OutOfZone(name("elsewhere"), Rtype::A), Warning::TtlsDiffer(name("a.test"), Rtype::A)]
        );
    }

    #[test]
    fn only_a_newer_version_is_taken_unless_any_is_wanted() {
        let at_hand = zone(&records(5, &[]));
        let asked = |want, serial| {
            let mut records = axfr(serial, &[]);
            if want != Want::Any {
                // Whoever has no newer version may go on all the same.
                records.push(a("b.test", 1));
            }
            transfer(&at_hand, want, Limits::default(), &records)
        };
        for serial in [5, 4, 0x8000_0005, 0x8000_0006] {
            for want in [Want::Changes, Want::Newer] {
                let Ok(Some((Outcome::UpToDate(Serial(theirs)), _))) = asked(want, serial) else {
                    panic!("{want:?} {serial}")
                };
                assert_eq!(theirs, serial);
            }
            assert_eq!(whole(asked(Want::Any, serial)).0.serial(), Some(Serial(serial)));
        }
    }

    #[test]
    fn changes_are_made_one_after_the_other() {
        let lists: [(&[Rr], &[Rr]); 2] =
            [(&[a("a.test", 10)], &[a("b.test", 1), a("b.test", 2)]), (&[a("b.test", 1)], &[a("outside", 1)])];
        let (Outcome::Changes(changes, data), warnings) = changes(&ixfr(&lists)).unwrap().unwrap() else {
            panic!("it is incremental")
        };
        let mut expected = vec![soa(3), ns(), a("a.test", 11), a("ns.test", 1), a("b.test", 2)];
        expected.sort();
        assert_eq!(content(&data), expected);
        assert_eq!(changes.iter().map(|change| (change.from().0, change.to().0)).collect::<Vec<_>>(), [(1, 2), (2, 3)]);
        assert_eq!(warnings, [Warning::OutOfZone(name("outside"), Rtype::A)]);
    }

    #[test]
    fn a_whole_zone_may_answer_a_question_for_changes() {
        let (data, _) = whole(changes(&axfr(2, &[a("b.test", 1)])));
        assert_eq!(content(&data), content(&zone(&records(2, &[a("b.test", 1)]))));
    }

    #[test]
    fn changes_that_do_not_fit_are_refused_and_the_whole_zone_may_help() {
        let one = |removed: &[Rr], added: &[Rr]| ixfr(&[(removed, added)]);
        let from = |serials: &[u32]| serials.iter().map(|&serial| soa(serial)).collect::<Vec<_>>();
        let other_ttl = |last| Rr { 2: 5, ..a("a.test", last) };
        let missing = ChangeError::Missing(name("a.test"), Rtype::A);
        let other_old = [soa(2), soa_by("other.test", 1), soa(2), soa(2)];
        for (records, why) in [
            (one(&[a("a.test", 99)], &[]), Reason::NotExact(missing)),
            (one(&[other_ttl(10)], &[]), Reason::OtherTtl(name("a.test"), Rtype::A)),
            (one(&[], &[other_ttl(12)]), Reason::NotExact(ChangeError::OtherTtl(name("a.test"), Rtype::A))),
            (other_old.to_vec(), Reason::NotExact(ChangeError::Missing(name("test"), Rtype::SOA))),
            // A gap, a chain that ends too early, and one that goes back.
            (from(&[4, 1, 2, 3, 4, 4]), Reason::OutOfSync(Serial(2), Serial(3))),
            (from(&[4, 1, 2, 4]), Reason::OutOfSync(Serial(2), Serial(4))),
            (from(&[4, 1, 5, 5, 4, 4]), Reason::Backwards(Serial(5), Serial(4))),
            (from(&[2, 1, 1, 1, 2, 2]), Reason::Backwards(Serial(1), Serial(1))),
            (one(&[ns()], &[]), Reason::NoNs),
            (one(&[], &[cname("a.test", "b.test")]), Reason::CnameAndOther(name("a.test"))),
            ([one(&[], &[]), vec![a("b.test", 1)]].concat(), Reason::AfterEnd),
        ] {
            assert_eq!(failure(changes(&records)), (why, true));
        }
        // What is not an IXFR is an AXFR, which another AXFR would not mend.
        assert_eq!(failure(changes(&from(&[8, 7, 8, 8]))), (Reason::SoaMismatch(Serial(8), Serial(7)), false));
    }

    /// NSD's changes add what is there.
    #[test]
    fn what_has_no_effect_is_left_out_of_a_change() {
        let there = a("a.test", 11);
        let lists: [(&[Rr], &[Rr]); 1] =
            [(&[a("a.test", 10), a("a.test", 10)], &[there, a("b.test", 1), a("B.test", 1), a("a.test", 10)])];
        let (Outcome::Changes(changes, data), warnings) = changes(&ixfr(&lists)).unwrap().unwrap() else {
            panic!("it is incremental")
        };
        assert_eq!(content(&data), content(&zone(&records(2, &[a("b.test", 1)]))));
        let counts = (changes[0].removed().iter().count(), changes[0].added().iter().count());
        assert_eq!(counts, (2, 3));
        let no_effect = |owner| Warning::NoEffect(name(owner), Rtype::A);
        assert_eq!(warnings, [no_effect("a.test"), no_effect("b.test")]);
    }

    #[test]
    fn changes_may_not_outgrow_the_zone() {
        let text = vec![0; 65_535];
        let big: Vec<Rr> = (0..17).map(|i| rr(&format!("n{i}.test"), Rtype::TXT, 300, &text)).collect();
        assert_eq!(failure(changes(&ixfr(&[(&[], &big)]))), (Reason::ChangesOutgrowZone(1 << 20), true));
    }

    /// CVE-2022-27227: an interrupted transfer was taken for a complete one.
    #[test]
    fn what_is_cut_off_is_never_complete() {
        let incremental = ixfr(&[(&[a("a.test", 10)], &[a("b.test", 1)]), (&[a("b.test", 1)], &[])]);
        for records in [axfr(2, &[]), incremental, axfr(3, &[a("b.test", 1), a("c.test", 2)])] {
            for cut in 0..records.len() {
                assert!(matches!(changes(&records[..cut]), Ok(None)), "{cut} of {records:?}");
                if cut > 0 {
                    // A fallback to AXFR in the same stream is not one either.
                    let joined = [&records[..cut], &axfr(9, &[])].concat();
                    assert!(!matches!(changes(&joined), Ok(Some(_))), "{cut} of {records:?}");
                }
            }
        }
    }

    proptest! {
        /// The versions of a zone are sets of addresses; each is reached by AXFR and by IXFR.
        #[test]
        fn both_ways_lead_to_the_same_zone(
            versions in prop::collection::vec(prop::collection::btree_set((0..6u8, 0..4u8), 0..12), 2..5),
        ) {
            let address = |&(owner, last): &(u8, u8)| a(&format!("n{owner}.test"), last);
            let full: Vec<Vec<Rr>> = versions.iter().zip(1..).map(|(set, serial)| {
                let more: Vec<Rr> = set.iter().map(address).collect();
                [vec![soa(serial), ns()], more].concat()
            }).collect();
            let lists: Vec<(Vec<Rr>, Vec<Rr>)> = full.windows(2).map(|two| {
                let gone = two[0][2..].iter().filter(|rr| !two[1].contains(rr)).cloned().collect();
                (gone, two[1][2..].iter().filter(|rr| !two[0].contains(rr)).cloned().collect())
            }).collect();
            let lists: Vec<(&[Rr], &[Rr])> = lists.iter().map(|(gone, come)| (&gone[..], &come[..])).collect();
            let (at_hand, last) = (zone(&full[0]), full.last().unwrap());
            let whole_zone = [last, &[last[0].clone()][..]].concat();
            let whole = whole(transfer(&at_hand, Want::Newer, Limits::default(), &whole_zone)).0;
            let changed = match transfer(&at_hand, Want::Changes, Limits::default(), &ixfr(&lists)).unwrap().unwrap() {
                (Outcome::Changes(_, data), _) => data,
                (other, _) => panic!("{other:?}"),
            };
            prop_assert_eq!(content(&whole), content(&changed));
            prop_assert_eq!(content(&whole), content(&zone(last)));
        }
    }
}
