//! Whole messages, for everything off the query path: updates, notifies, transfers, and responses to questions of our
//! own. [`Message`] reads one, [`Builder`] makes a request.
//!
//! The frames of all records are checked when a message is read; their names and data are read one record at a time,
//! into buffers that the next record reuses.

use zonefmt::{Class, NameBuf, NameRef, Rtype, rdata};

use super::{
    HEADER, Malformed, Opcode, Rcode, flags,
    frames::{Frame, Frames},
    tsig::Tsig,
    u16_at,
};

/// A message whose header, question, OPT and frames are sound.
#[derive(Clone, Copy)]
pub struct Message<'m> {
    octets: &'m [u8],
    question: Option<Question<'m>>,
    sections: [Span; 3],
    opt: Option<Opt<'m>>,
    tsig: Option<Tsig<'m>>,
}

/// The question of a query, and the zone section of an update (RFC 2136 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question<'a> {
    /// QNAME.
    pub qname: NameRef<'a>,
    /// QTYPE.
    pub qtype: Rtype,
    /// QCLASS.
    pub qclass: Class,
}

/// A record of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'r> {
    /// The owner, uncompressed.
    pub owner: NameRef<'r>,
    /// The type.
    pub rtype: Rtype,
    /// The class; in an update it may be ANY or NONE (RFC 2136 2.4, 2.5).
    pub class: Class,
    /// The TTL in seconds as it is in the message, even above 2³¹−1.
    pub ttl: u32,
    /// RDATA in the layout of the type, with uncompressed names; empty in some records of an update.
    pub rdata: &'r [u8],
}

/// The OPT record of a message (RFC 6891 6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opt<'m> {
    /// The sender's UDP payload size, in octets.
    pub udp_size: u16,
    /// The upper eight bits of the response code.
    pub extended_rcode: u8,
    /// The version of EDNS.
    pub version: u8,
    /// DNSSEC OK (RFC 3225).
    pub dnssec_ok: bool,
    options: &'m [u8],
}

/// A section that holds records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// The answer; the prerequisites of an update (RFC 2136 2.4).
    Answer,
    /// The authority; the operations of an update (RFC 2136 2.5).
    Authority,
    /// The additional section.
    Additional,
}

/// A cursor over the records of a section, without OPT and TSIG, which are about the message itself.
pub struct Records<'m> {
    octets: &'m [u8],
    frames: Frames<'m>,
    left: u16,
    /// The class that the data of records of class ANY and NONE has.
    class: Class,
    owner: NameBuf,
    rdata: Vec<u8>,
}

/// Where a section is.
#[derive(Clone, Copy, Default)]
struct Span {
    at: usize,
    records: u16,
}

impl<'m> Message<'m> {
    /// Reads a message. Octets after the last record are ignored, as in BIND.
    ///
    /// # Errors
    /// The message has several questions or a malformed one, fewer records than it counts, a malformed or misplaced OPT
    /// or TSIG, or two OPTs.
    pub fn read(octets: &'m [u8]) -> Result<Message<'m>, Malformed> {
        let count = |at| u16_at(octets, at).ok_or(Malformed);
        let (questions, counts) = (count(4)?, [count(6)?, count(8)?, count(10)?]);
        let (question, mut at) = match questions {
            0 => (None, HEADER),
            1 => Question::read(octets).map(|(question, end)| (Some(question), end)).ok_or(Malformed)?,
            _ => return Err(Malformed),
        };
        let mut message = Message { octets, question, sections: [Span::default(); 3], opt: None, tsig: None };
        for (section, records) in [Section::Answer, Section::Authority, Section::Additional].into_iter().zip(counts) {
            message.sections[section as usize] = Span { at, records };
            let mut frames = Frames::new(octets, at);
            for left in (0..records).rev() {
                let frame = frames.next()?;
                at = frame.end;
                message.note(&frame, section == Section::Additional, left == 0)?;
            }
        }
        Ok(message)
    }

    /// The octets that the message was read from.
    pub fn octets(&self) -> &'m [u8] {
        self.octets
    }

    /// The id, by which a response is matched with its request.
    pub fn id(&self) -> u16 {
        self.word(0)
    }

    /// Whether this is a response (QR).
    pub fn is_response(&self) -> bool {
        self.word(2) & flags::QR != 0
    }

    /// Whether the answer is authoritative (AA).
    pub fn is_authoritative(&self) -> bool {
        self.word(2) & flags::AA != 0
    }

    /// Whether the message was truncated (TC).
    pub fn is_truncated(&self) -> bool {
        self.word(2) & flags::TC != 0
    }

    /// The opcode.
    pub fn opcode(&self) -> Opcode {
        Opcode::of(self.word(2))
    }

    /// The response code, including the upper bits that OPT holds.
    pub fn rcode(&self) -> Rcode {
        let upper = self.opt.map_or(0, |opt| u16::from(opt.extended_rcode));
        Rcode(upper << 4 | self.word(2) & 0xf)
    }

    /// The question.
    pub fn question(&self) -> Option<Question<'m>> {
        self.question
    }

    /// The OPT record.
    pub fn opt(&self) -> Option<Opt<'m>> {
        self.opt
    }

    /// The records of the answer section; of an update, its prerequisites.
    pub fn answers(&self) -> Records<'m> {
        self.records(Section::Answer)
    }

    /// The records of the authority section; of an update, its operations.
    pub fn authorities(&self) -> Records<'m> {
        self.records(Section::Authority)
    }

    /// The records of the additional section, without OPT and TSIG.
    pub fn additionals(&self) -> Records<'m> {
        self.records(Section::Additional)
    }

    /// The number of records in a section, with OPT and TSIG.
    pub fn count(&self, section: Section) -> u16 {
        self.sections[section as usize].records
    }

    /// Whether the message has a TSIG record, which nobody has checked yet.
    pub fn is_signed(&self) -> bool {
        self.tsig.is_some()
    }

    /// The TSIG record, which nobody has checked yet.
    pub(crate) fn tsig(&self) -> Option<Tsig<'m>> {
        self.tsig
    }

    fn records(&self, section: Section) -> Records<'m> {
        let Span { at, records: left } = self.sections[section as usize];
        let class = self.question.map_or(Class::IN, |question| question.qclass);
        let (octets, frames) = (self.octets, Frames::new(self.octets, at));
        Records { octets, frames, left, class, owner: NameBuf::default(), rdata: Vec::new() }
    }

    /// Takes note of a record that is about the message itself.
    fn note(&mut self, frame: &Frame<'m>, is_additional: bool, is_last: bool) -> Result<(), Malformed> {
        match frame.rtype {
            Rtype::OPT if !is_additional || self.opt.is_some() => return Err(Malformed),
            Rtype::OPT => self.opt = Some(Opt::read(self.octets, frame)?),
            Rtype::TSIG if !is_additional || !is_last => return Err(Malformed),
            Rtype::TSIG => {
                let tsig = Tsig::read(self.octets, frame.start, frame.class, frame.ttl, frame.rdata);
                self.tsig = Some(tsig.ok_or(Malformed)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// 16 bits of the header.
    fn word(&self, at: usize) -> u16 {
        u16_at(self.octets, at).unwrap_or_default() // A message that was read has a whole header.
    }
}

impl<'a> Question<'a> {
    /// Reads the first question of a message, and returns it with the offset at which it ends.
    pub(crate) fn read(message: &'a [u8]) -> Option<(Question<'a>, usize)> {
        let (qname, rest) = NameRef::from_prefix(message.get(HEADER..)?).ok()?;
        let question = Question { qname, qtype: Rtype(u16_at(rest, 0)?), qclass: Class(u16_at(rest, 2)?) };
        Some((question, HEADER + qname.len() + 4))
    }
}

impl<'m> Opt<'m> {
    fn read(message: &[u8], frame: &Frame<'m>) -> Result<Opt<'m>, Malformed> {
        let [extended_rcode, version, high, _] = frame.ttl;
        let opt =
            Opt { udp_size: frame.class.0, extended_rcode, version, dnssec_ok: high & 0x80 != 0, options: frame.rdata };
        let is_root = message[frame.start] == 0;
        let is_whole = opt.options().try_fold((), |(), option| option.map(drop));
        if is_root { is_whole.map(|()| opt) } else { Err(Malformed) }
    }

    /// The data of the first option with this code.
    pub fn option(&self, code: u16) -> Option<&'m [u8]> {
        self.options().flatten().find_map(|(found, data)| (found == code).then_some(data))
    }

    fn options(&self) -> impl Iterator<Item = Result<(u16, &'m [u8]), Malformed>> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (Some(code), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) else {
                rest = &[];
                return Some(Err(Malformed));
            };
            let Some((option, after)) = rest.split_at_checked(4 + usize::from(length)) else {
                rest = &[];
                return Some(Err(Malformed));
            };
            rest = after;
            Some(Ok((code, &option[4..])))
        })
    }
}

impl Records<'_> {
    /// Reads the next record; `None` after the last one. The record is lent until the next call.
    ///
    /// Without data, a record of class ANY or NONE need not have the layout of its type; with data, it has that of the
    /// question's class.
    ///
    /// # Errors
    /// The owner is not a name, or the data does not have the layout of its type. Nothing after it can be read then.
    #[allow(clippy::should_implement_trait)] // An iterator could not lend.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Malformed> {
        let frame = loop {
            if self.left == 0 {
                return Ok(None);
            }
            self.left -= 1;
            let frame = self.frames.next()?;
            if !matches!(frame.rtype, Rtype::OPT | Rtype::TSIG) {
                break frame;
            }
        };
        let Frame { start, rtype, class, ttl, rdata, end } = frame;
        self.rdata.clear();
        let is_update_class = matches!(class, Class::ANY | Class::NONE);
        let read = self.owner.read(self.octets, start).map_err(|_| Malformed).and_then(|_| {
            if is_update_class && rdata.is_empty() {
                return Ok(());
            }
            let class = if is_update_class { self.class } else { class };
            rdata::read(class, rtype, self.octets, end - rdata.len()..end, &mut self.rdata).map_err(|_| Malformed)
        });
        if let Err(malformed) = read {
            self.left = 0;
            return Err(malformed);
        }
        let (owner, ttl) = (self.owner.as_ref(), u32::from_be_bytes(ttl));
        Ok(Some(Record { owner, rtype, class, ttl, rdata: &self.rdata }))
    }
}

/// Builds a request, with uncompressed names.
#[derive(Clone, Debug)]
pub struct Builder {
    header: [u8; HEADER],
    question: Vec<u8>,
    sections: [Vec<u8>; 3],
}

/// The error for a message that would have more than 65,535 octets or records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageFull;

impl Builder {
    /// Starts a request. The id of one that is sent over UDP must be random (RFC 5452 4.3).
    pub fn new(id: u16, opcode: Opcode, question: Question<'_>) -> Builder {
        // As in BIND, a notify has AA set.
        let authoritative = if opcode == Opcode::NOTIFY { flags::AA } else { 0 };
        let mut header = [0; HEADER];
        header[..2].copy_from_slice(&id.to_be_bytes());
        header[2..4].copy_from_slice(&(opcode.bits() | authoritative).to_be_bytes());
        header[5] = 1;
        let Question { qname, qtype, qclass } = question;
        let question = [qname.as_wire(), &qtype.0.to_be_bytes(), &qclass.0.to_be_bytes()].concat();
        Builder { header, question, sections: Default::default() }
    }

    /// Adds a record. Sections may be filled in any order.
    ///
    /// # Errors
    /// The record does not fit.
    pub fn record(mut self, section: Section, record: &Record<'_>) -> Result<Builder, MessageFull> {
        let Record { owner, rtype, class, ttl, rdata } = *record;
        let length = u16::try_from(rdata.len()).map_err(|_| MessageFull)?;
        let parts: [&[u8]; 6] = [
            owner.as_wire(),
            &rtype.0.to_be_bytes(),
            &class.0.to_be_bytes(),
            &ttl.to_be_bytes(),
            &length.to_be_bytes(),
            rdata,
        ];
        let octets: usize = parts.iter().map(|part| part.len()).sum();
        let at = 6 + 2 * section as usize;
        let count = u16_at(&self.header, at).and_then(|count| count.checked_add(1)).ok_or(MessageFull)?;
        if self.len() + octets > usize::from(u16::MAX) {
            return Err(MessageFull);
        }
        self.header[at..at + 2].copy_from_slice(&count.to_be_bytes());
        self.sections[section as usize].extend(parts.concat());
        Ok(self)
    }

    /// Adds an OPT record with this UDP payload size and these options (RFC 6891 6.1.2). There may be only one.
    ///
    /// # Errors
    /// The record does not fit.
    pub fn opt(self, udp_size: u16, options: &[(u16, &[u8])]) -> Result<Builder, MessageFull> {
        let mut rdata = Vec::new();
        for (code, data) in options {
            let length = u16::try_from(data.len()).map_err(|_| MessageFull)?;
            rdata.extend([&code.to_be_bytes()[..], &length.to_be_bytes(), data].concat());
        }
        let (owner, rtype, class) = (NameRef::ROOT, Rtype::OPT, Class(udp_size));
        self.record(Section::Additional, &Record { owner, rtype, class, ttl: 0, rdata: &rdata })
    }

    /// The message.
    pub fn finish(self) -> Vec<u8> {
        let [answer, authority, additional] = self.sections;
        [&self.header[..], &self.question, &answer, &authority, &additional].concat()
    }

    fn len(&self) -> usize {
        HEADER + self.question.len() + self.sections.iter().map(Vec::len).sum::<usize>()
    }
}

impl std::fmt::Display for MessageFull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the message would have more than 65,535 octets or records: send several")
    }
}

impl std::error::Error for MessageFull {}

#[cfg(test)]
mod tests;
