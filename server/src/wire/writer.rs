//! Writes a response front to back into a slice. An RRset goes in whole or not at all. Only the writer truncates, as
//! only it knows what must stay free for the OPT record.

use zonefmt::{Class, NameBuf, NameRef, Rtype, rdata};

use super::{
    Ede, HEADER, Rcode,
    cookie::COOKIE,
    flags,
    names::{Case, Names, reads_as},
    request::{Edns, Header, Question},
};
use crate::zone::Rrset;

/// A response under construction.
pub(crate) struct Writer<'b> {
    message: &'b mut [u8],
    at: usize,
    /// The offset at which records must end.
    limit: usize,
    /// The offset at which the message must end; what lies between is kept for the OPT.
    end: usize,
    counts: [u16; 4],
    names: &'b mut Names,
    /// Whether `names` has the question's name, which it gets only when there is a name to compress.
    knows_question: bool,
    truncated: bool,
}

/// A section that records go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    Answer = 1,
    Authority = 2,
    Additional = 3,
}

/// The owner of records.
#[derive(Clone, Copy)]
pub(crate) enum Owner<'n> {
    /// The question's name from this octet on, at which a label starts.
    Asked(usize),
    /// Any name.
    Named(NameRef<'n>),
}

/// What to do about an RRset that does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Truncate the response (TC).
    Must,
    /// Leave the RRset out (RFC 2181 9).
    May,
}

/// An RRset to be written.
pub(crate) struct Entry<'n, 'z> {
    pub(crate) owner: Owner<'n>,
    pub(crate) class: Class,
    pub(crate) rrset: Rrset<'z>,
    pub(crate) ttl: u32,
    /// The index of the record that comes first; the others follow in a circle.
    pub(crate) first: usize,
}

/// A record does not fit.
struct Full;

/// The content of the response's OPT.
pub(crate) struct OptReply<'o> {
    /// The UDP payload size that this server takes, in octets.
    pub(crate) udp_size: u16,
    pub(crate) nsid: Option<&'o [u8]>,
    /// How long the client may keep its connection, in units of 100 ms (RFC 7828 3.1).
    pub(crate) keepalive: Option<u16>,
    /// Both parts of the client's cookie (RFC 7873 4).
    pub(crate) cookie: Option<[u8; COOKIE]>,
    /// For how many seconds the zone is valid (RFC 7314).
    pub(crate) expire: Option<u32>,
}

impl OptReply<'_> {
    /// The length of the OPT record.
    pub(crate) fn octets(&self) -> usize {
        let (nsid, keepalive) = (self.nsid.map_or(0, |nsid| 4 + nsid.len()), self.keepalive.map_or(0, |_| 6));
        11 + nsid + keepalive + self.cookie.map_or(0, |cookie| 4 + cookie.len()) + self.expire.map_or(0, |_| 8)
    }
}

impl<'b> Writer<'b> {
    /// Starts a response of at most `limit` octets, in which header, question and OPT must have room. The question is
    /// copied if there is one.
    pub(crate) fn new(
        message: &'b mut [u8],
        limit: usize,
        names: &'b mut Names,
        question: Option<Question<'_>>,
        opt: Option<&OptReply<'_>>,
    ) -> Writer<'b> {
        let end = limit.min(message.len());
        let limit = end.saturating_sub(opt.map_or(0, OptReply::octets));
        let (knows_question, truncated) = (false, false);
        let mut writer = Writer { message, at: HEADER, limit, end, counts: [0; 4], names, knows_question, truncated };
        if let Some(Question { qname, qtype, qclass }) = question {
            let end = HEADER + qname.len();
            writer.message[HEADER..end].copy_from_slice(qname.as_wire());
            writer.message[end..end + 2].copy_from_slice(&qtype.0.to_be_bytes());
            writer.message[end + 2..end + 4].copy_from_slice(&qclass.0.to_be_bytes());
            writer.at = end + 4;
            writer.counts[0] = 1;
        }
        writer
    }

    /// Whether an RRset that must be there did not fit. Nothing is added after it.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The offset at which the next record will start, by which [`Writer::owner_is`] knows it later.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Whether the record that starts at `position` has this owner.
    pub(crate) fn owner_is(&self, position: usize, name: NameRef<'_>) -> bool {
        reads_as(&self.message[..self.at], position, name.as_wire(), Case::Ignore)
    }

    /// The owner of the record that starts at `position`, if one does.
    pub(crate) fn owner(&self, position: usize) -> Option<NameBuf> {
        let mut name = NameBuf::default();
        name.read(&self.message[..self.at], position).ok()?;
        Some(name)
    }

    /// Adds an RRset; returns whether it fits.
    pub(crate) fn add(&mut self, section: Section, entry: &Entry<'_, '_>, need: Need) -> bool {
        if self.truncated {
            return false;
        }
        let start = self.at;
        if self.write_rrset(entry).is_ok() {
            self.counts[section as usize] += entry.rrset.len() as u16;
            return true;
        }
        self.at = start;
        self.truncated = need == Need::Must;
        false
    }

    /// Adds a CNAME record to the answer, as a DNAME makes one (RFC 6672 3.1); returns whether it fits.
    pub(crate) fn add_cname(&mut self, owner: Owner<'_>, class: Class, ttl: u32, target: NameRef<'_>) -> bool {
        if self.truncated {
            return false;
        }
        let start = self.at;
        if self.write_record(owner, Rtype::CNAME, class, ttl, |w| w.name(target, Case::Keep, true)).is_ok() {
            self.counts[Section::Answer as usize] += 1;
            return true;
        }
        self.at = start;
        self.truncated = true;
        false
    }

    /// Adds records to the answer, all or none. `write` gets the message up to where records must end, and how long it is so
    /// far, and returns how long it is then and how many records that makes; `None` if they do not fit. Returns whether
    /// they do.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut [u8], usize) -> Option<(usize, u16)>) -> bool {
        let written = write(&mut self.message[..self.limit], self.at);
        if let Some((length, records)) = written {
            self.at = length;
            self.counts[Section::Answer as usize] += records;
        }
        written.is_some()
    }

    /// Writes OPT and header, with the flags `set`; returns the length of the message.
    pub(crate) fn finish(
        mut self,
        header: Header,
        set: u16,
        rcode: Rcode,
        opt: Option<(Edns, &OptReply<'_>, Option<Ede>)>,
    ) -> usize {
        if let Some((edns, reply, ede)) = opt {
            self.opt(edns, reply, ede, rcode);
        }
        let copied = flags::OPCODE | flags::RD | flags::CD;
        let tc = if self.truncated { flags::TC } else { 0 };
        let word = flags::QR | header.flags & copied | set | tc | rcode.0 & 0xf;
        self.message[..2].copy_from_slice(&header.id);
        self.message[2..4].copy_from_slice(&word.to_be_bytes());
        for (count, field) in self.counts.iter().zip(self.message[4..HEADER].chunks_exact_mut(2)) {
            field.copy_from_slice(&count.to_be_bytes());
        }
        self.at
    }

    /// Empties the sections after the question, for an error in place of an answer.
    pub(crate) fn clear(&mut self, question: Question<'_>) {
        self.at = HEADER + question.qname.len() + 4;
        self.counts = [1, 0, 0, 0];
        self.truncated = false;
    }

    /// Empties the sections after the question and truncates the response, so that the client asks again over TCP.
    pub(crate) fn truncate(&mut self, question: Question<'_>) {
        self.clear(question);
        self.give_up();
    }

    /// Marks the response as truncated; from now on nothing is added.
    pub(crate) fn give_up(&mut self) {
        self.truncated = true;
    }

    fn opt(&mut self, edns: Edns, reply: &OptReply<'_>, ede: Option<Ede>, rcode: Rcode) {
        let flags = if edns.dnssec_ok { 0x80 } else { 0 };
        let [size_high, size_low] = reply.udp_size.to_be_bytes();
        let header = [0, 0, Rtype::OPT.0 as u8, size_high, size_low, (rcode.0 >> 4) as u8, 0, flags, 0, 0, 0];
        let start = self.at;
        self.put_raw(&header);
        if let Some(nsid) = reply.nsid {
            self.put_raw(&[0, 3]);
            self.put_raw(&(nsid.len() as u16).to_be_bytes());
            self.put_raw(nsid);
        }
        if let Some(cookie) = &reply.cookie {
            self.put_raw(&[0, 10, 0, cookie.len() as u8]);
            self.put_raw(cookie);
        }
        if let Some(expire) = reply.expire {
            self.put_raw(&[0, 9, 0, 4]);
            self.put_raw(&expire.to_be_bytes());
        }
        if let Some(timeout) = reply.keepalive {
            self.put_raw(&[0, 11, 0, 2]);
            self.put_raw(&timeout.to_be_bytes());
        }
        if let Some(ede) = ede
            && self.at + ede.option().len() <= self.end
        {
            self.put_raw(&ede.option());
        }
        let length = self.at - start - header.len();
        self.message[start + 9..start + 11].copy_from_slice(&(length as u16).to_be_bytes());
        self.counts[Section::Additional as usize] += 1;
    }

    /// Writes into the room that was kept.
    fn put_raw(&mut self, octets: &[u8]) {
        self.message[self.at..self.at + octets.len()].copy_from_slice(octets);
        self.at += octets.len();
    }

    #[inline]
    fn write_rrset(&mut self, entry: &Entry<'_, '_>) -> Result<(), Full> {
        let rdatas = entry.rrset.rdatas();
        let plain = matches!(entry.rrset.rtype, Rtype::A | Rtype::AAAA | Rtype::TXT);
        for rdata in rdatas.clone().skip(entry.first).chain(rdatas.take(entry.first)) {
            self.write_record(entry.owner, entry.rrset.rtype, entry.class, entry.ttl, |w| {
                if plain { w.put(rdata) } else { w.rdata(entry.rrset.rtype, rdata) }
            })?;
        }
        Ok(())
    }

    #[inline]
    fn write_record(
        &mut self,
        owner: Owner<'_>,
        rtype: Rtype,
        class: Class,
        ttl: u32,
        rdata: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        match owner {
            Owner::Asked(octet) => self.put(&(0xc000 | (HEADER + octet) as u16).to_be_bytes())?,
            Owner::Named(name) => self.name(name, Case::Ignore, true)?,
        }
        let mut fixed = [0; 10];
        fixed[..2].copy_from_slice(&rtype.0.to_be_bytes());
        fixed[2..4].copy_from_slice(&class.0.to_be_bytes());
        fixed[4..8].copy_from_slice(&ttl.to_be_bytes());
        self.put(&fixed)?;
        let start = self.at;
        rdata(self)?;
        let length = (self.at - start) as u16;
        self.message[start - 2..start].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Writes RDATA, with its names compressed where that is allowed (RFC 3597 4).
    fn rdata(&mut self, rtype: Rtype, rdata: &[u8]) -> Result<(), Full> {
        let mut written = 0;
        for embedded in rdata::names(rtype, rdata) {
            self.put(&rdata[written..embedded.range.start])?;
            written = embedded.range.end;
            match NameRef::from_wire(&rdata[embedded.range]) {
                Ok(name) => self.name(name, Case::Keep, embedded.compress)?,
                Err(_) => return Err(Full), // Data was checked when it was loaded.
            }
        }
        self.put(&rdata[written..])
    }

    fn name(&mut self, name: NameRef<'_>, case: Case, compress: bool) -> Result<(), Full> {
        if !self.knows_question {
            self.learn_question();
        }
        let message = &self.message[..self.at];
        let known = if compress {
            self.names.compress(name, message, case)
        } else {
            self.names.learn(name, self.at);
            None
        };
        match known {
            Some((octets, target)) => {
                self.put(&name.as_wire()[..octets])?;
                self.put(&(0xc000 | target).to_be_bytes())
            }
            None => self.put(name.as_wire()),
        }
    }

    fn learn_question(&mut self) {
        self.knows_question = true;
        self.names.clear();
        if self.counts[0] == 1
            && let Ok((name, _)) = NameRef::from_prefix(&self.message[HEADER..self.at])
        {
            self.names.learn(name, HEADER);
        }
    }

    #[inline]
    fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.at + octets.len();
        if end > self.limit {
            return Err(Full);
        }
        self.message[self.at..end].copy_from_slice(octets);
        self.at = end;
        Ok(())
    }
}
