//! DNS messages without any code of the engine: writes queries, and reads whole responses strictly.

use std::{collections::BTreeSet, fmt};

use crate::name::Name;

/// A question, and how it is asked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Query {
    /// QNAME.
    pub name: Name,
    /// QTYPE.
    pub qtype: u16,
    /// The RD bit.
    pub recursion_desired: bool,
    /// The UDP size in the OPT record, if there is one.
    pub edns: Option<u16>,
}

/// A response, with its names in lower case and uncompressed.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Response {
    pub id: u16,
    /// The second 16 bits of the header.
    pub flags: u16,
    /// The octets of the question section.
    pub question: Vec<u8>,
    pub answer: Vec<Rr>,
    pub authority: Vec<Rr>,
    /// The additional section without OPT.
    pub additional: Vec<Rr>,
    /// The OPT's class (the UDP size), TTL (extended RCODE, version, flags) and data.
    pub opt: Option<(u16, u32, Vec<u8>)>,
    /// The message's length in octets.
    pub size: usize,
}

/// A record in a response.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct Rr {
    pub owner: Name,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    /// The data, with its names uncompressed and in lower case.
    pub data: Vec<u8>,
}

/// Bits of the header.
#[allow(missing_docs)]
pub mod flags {
    pub const QR: u16 = 0x8000;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
    pub const RA: u16 = 0x0080;
}

impl Query {
    /// The message in wire form. QNAME's letters are in upper case where `case` has a bit, so that a test can recognize
    /// its echo.
    pub fn wire(&self, id: u16, case: u32) -> Vec<u8> {
        let flags = if self.recursion_desired { flags::RD } else { 0 };
        let mut wire = [id, flags, 1, 0, 0, u16::from(self.edns.is_some())].map(u16::to_be_bytes).concat();
        let mut name = self.name.wire();
        for (i, octet) in name.iter_mut().enumerate() {
            // Length octets are below 64 and so never letters.
            if case >> (i % 32) & 1 == 1 {
                octet.make_ascii_uppercase();
            }
        }
        wire.extend(name);
        wire.extend([self.qtype, 1].map(u16::to_be_bytes).concat());
        if let Some(size) = self.edns {
            wire.push(0);
            wire.extend([crate::zone::types::OPT, size, 0, 0, 0].map(u16::to_be_bytes).concat());
        }
        wire
    }
}

impl Response {
    /// Reads a whole message; the error says what is wrong with it.
    pub fn read(wire: &[u8]) -> Result<Response, String> {
        let mut reader = Reader { wire, at: 0 };
        let [id, flags, questions, answers, authorities, additionals] = reader.numbers()?;
        let start = reader.at;
        for _ in 0..questions {
            reader.name()?;
            reader.take(4)?;
        }
        let question = wire[start..reader.at].to_vec();
        let mut section = |count| (0..count).map(|_| reader.rr()).collect::<Result<Vec<Rr>, String>>();
        let (answer, authority, mut additional) = (section(answers)?, section(authorities)?, section(additionals)?);
        if reader.at != wire.len() {
            return Err(format!("{} octets after the last record", wire.len() - reader.at));
        }
        let opts: Vec<Rr> = additional.extract_if(.., |rr| rr.rtype == crate::zone::types::OPT).collect();
        if opts.len() > 1 {
            return Err("two OPT records".into());
        }
        let opt = opts.into_iter().next().map(|opt| (opt.class, opt.ttl, opt.data));
        Ok(Response { id, flags, question, answer, authority, additional, opt, size: wire.len() })
    }

    /// The response code, including the OPT's upper bits.
    pub fn rcode(&self) -> u16 {
        let upper = self.opt.as_ref().map_or(0, |(_, ttl, _)| (ttl >> 24) as u16);
        upper << 4 | self.flags & 15
    }

    /// Whether the header has a flag.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The INFO-CODEs of the response's Extended DNS Errors (RFC 8914), in order.
    pub fn extended_errors(&self) -> Vec<u16> {
        let mut codes = Vec::new();
        let mut rest = self.opt.as_ref().map_or(&[][..], |(_, _, data)| data);
        while let [a, b, c, d, after @ ..] = rest {
            let (code, len) = (u16::from_be_bytes([*a, *b]), usize::from(u16::from_be_bytes([*c, *d])));
            let Some((value, after)) = after.split_at_checked(len) else { break };
            if let (15, [x, y, ..]) = (code, value) {
                codes.push(u16::from_be_bytes([*x, *y]));
            }
            rest = after;
        }
        codes
    }
}

struct Reader<'a> {
    wire: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let taken = self.wire.get(self.at..self.at + count).ok_or("message ends inside a record")?;
        self.at += count;
        Ok(taken)
    }

    fn numbers<const N: usize>(&mut self) -> Result<[u16; N], String> {
        let octets = self.take(2 * N)?;
        Ok(std::array::from_fn(|i| u16::from_be_bytes([octets[2 * i], octets[2 * i + 1]])))
    }

    fn name(&mut self) -> Result<Name, String> {
        let mut labels = Vec::new();
        let (mut at, mut end, mut total) = (self.at, None, 1);
        loop {
            match *self.wire.get(at).ok_or("message ends inside a name")? {
                0 => break,
                length @ 1..=63 => {
                    let label = at + 1..at + 1 + usize::from(length);
                    labels
                        .push(self.wire.get(label.clone()).ok_or("message ends inside a label")?.to_ascii_lowercase());
                    total += label.len() + 1;
                    at = label.end;
                }
                high @ 0xc0.. => {
                    let low = *self.wire.get(at + 1).ok_or("message ends inside a pointer")?;
                    let target = usize::from(u16::from_be_bytes([high & 0x3f, low]));
                    end.get_or_insert(at + 2);
                    if target >= at {
                        return Err(format!("a pointer at {at} that does not point back: {target}"));
                    }
                    at = target;
                }
                other => return Err(format!("label type {other:#x}")),
            }
        }
        if total > 255 {
            return Err("a name of more than 255 octets".into());
        }
        self.at = end.unwrap_or(at + 1);
        labels.reverse();
        Ok(Name(labels))
    }

    fn rr(&mut self) -> Result<Rr, String> {
        use crate::zone::types as t;
        let owner = self.name()?;
        let [rtype, class, high, low, length] = self.numbers()?;
        let end = self.at + usize::from(length);
        // The positions of names in the data of the types that the generator makes: (octets before, names, octets
        // after).
        let (before, names) = match rtype {
            t::NS | t::CNAME | t::DNAME | t::PTR => (0, 1),
            t::SOA => (0, 2),
            t::MX | t::HTTPS => (2, 1),
            t::SRV => (6, 1),
            _ => (0, 0),
        };
        let mut data = self.take(before)?.to_vec();
        for _ in 0..names {
            data.extend(self.name()?.wire());
        }
        let rest = end.checked_sub(self.at).ok_or("a name that runs past its record")?;
        data.extend_from_slice(self.take(rest)?);
        Ok(Rr { owner, rtype, class, ttl: u32::from(high) << 16 | u32::from(low), data })
    }
}

/// A section without its order.
pub fn set(section: &[Rr]) -> BTreeSet<Rr> {
    section.iter().cloned().collect()
}

impl fmt::Debug for Rr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} CLASS{} TYPE{} {}", self.owner, self.ttl, self.class, self.rtype, self.data.escape_ascii())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rcode {} flags {:#06x} size {}", self.rcode(), self.flags, self.size)?;
        if let Some((size, ttl, data)) = &self.opt {
            write!(f, " opt {size} {ttl:#x} {}", data.escape_ascii())?;
        }
        for (title, section) in
            [("answer", &self.answer), ("authority", &self.authority), ("additional", &self.additional)]
        {
            for rr in section {
                write!(f, "\n  {title:10} {rr:?}")?;
            }
        }
        Ok(())
    }
}
