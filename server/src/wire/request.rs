//! Reads requests: header, question, EDNS (RFC 6891) and TSIG (RFC 8945). Other records are walked, to find malformed
//! messages, and otherwise ignored.

use std::{fmt, net::IpAddr};

use zonefmt::Rtype;

pub(crate) use super::message::Question;
use super::{
    HEADER, Malformed, Opcode, Rcode,
    cookie::Cookie,
    flags,
    frames::{Frame, Frames},
    tsig::Tsig,
    u16_at,
};

/// A request as it was read.
pub(crate) enum Parsed<'a> {
    Request(Request<'a>),
    /// A query without a question, for a cookie only (RFC 7873 5.4).
    CookieOnly {
        header: Header,
        edns: Edns,
    },
    Rejected(Rejected<'a>),
}

/// A well-formed request with a question, whatever it asks for.
pub(crate) struct Request<'a> {
    pub(crate) header: Header,
    pub(crate) question: Question<'a>,
    pub(crate) edns: Option<Edns>,
    pub(crate) tsig: Option<Tsig<'a>>,
}

/// The parts of the header that the response repeats.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) id: [u8; 2],
    pub(crate) flags: u16,
}

/// The OPT record of a request.
#[derive(Clone, Copy, Default)]
pub(crate) struct Edns {
    /// The sender's UDP payload size, in octets.
    pub(crate) udp_size: u16,
    /// DNSSEC OK (RFC 3225), copied into the response.
    pub(crate) dnssec_ok: bool,
    /// The sender asks for the server's identifier (RFC 5001).
    pub(crate) nsid: bool,
    /// The sender asks how long it may keep the connection (RFC 7828).
    pub(crate) keepalive: bool,
    /// The sender takes part in DNS cookies (RFC 7873).
    pub(crate) cookie: Option<Cookie>,
    /// The network that the sender asks for; it is logged, and has no effect on the answer.
    pub(crate) subnet: Option<Subnet>,
    /// Its other options.
    pub(crate) noted: Noted,
}

/// The client subnet of a query (RFC 7871 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subnet {
    /// The address, with no bit set beyond the prefix; `None` without a family.
    address: Option<IpAddr>,
    /// The length of the prefix, in bits.
    length: u8,
}

/// Options of which only the presence matters, as a set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Noted(u8);

/// A request that is answered with an error.
pub(crate) struct Rejected<'a> {
    pub(crate) header: Header,
    /// The question, which the response repeats, if it could be read.
    pub(crate) question: Option<Question<'a>>,
    pub(crate) edns: Option<Edns>,
    pub(crate) rcode: Rcode,
}

impl Header {
    pub(crate) fn is_query(self) -> bool {
        Opcode::of(self.flags) == Opcode::QUERY
    }

    pub(crate) fn is_update(self) -> bool {
        Opcode::of(self.flags) == Opcode::UPDATE
    }

    pub(crate) fn is_notify(self) -> bool {
        Opcode::of(self.flags) == Opcode::NOTIFY
    }

    pub(crate) fn recursion_desired(self) -> bool {
        self.flags & flags::RD != 0
    }
}

/// Reads a request; `None` if the message is too short for one, or is a response, as an answer to that could start a
/// loop.
pub(crate) fn parse(message: &[u8]) -> Option<Parsed<'_>> {
    let (&id, flags) = (message.first_chunk()?, u16_at(message, 2)?);
    let is_request = message.len() >= HEADER && flags & flags::QR == 0;
    let header = Header { id, flags };
    is_request.then(|| match u16_at(message, 4) {
        Some(1) => with_question(message, header).map_or_else(Parsed::Rejected, Parsed::Request),
        questions => without_question(message, header, questions == Some(0)),
    })
}

/// Reads a request without a question, or only its header if there are several questions.
fn without_question(message: &[u8], header: Header, has_none: bool) -> Parsed<'_> {
    // A request with an OPT gets one back, question or not (`dig +header-only`; RFC 6891 6.1.1).
    let found = has_none.then(|| find(message, HEADER).ok()).flatten();
    let Found { edns, version, .. } = found.unwrap_or_default();
    let rejected = |rcode| Parsed::Rejected(Rejected { header, question: None, edns, rcode });
    match edns {
        // Each is about one zone (RFC 1996 3.7, RFC 2136 3.1.1).
        _ if header.is_notify() || header.is_update() => rejected(Rcode::FORMERR),
        _ if !header.is_query() => rejected(Rcode::NOTIMP),
        _ if version > 0 => rejected(Rcode::BADVERS),
        Some(edns) if edns.cookie.is_some() => Parsed::CookieOnly { header, edns },
        _ => rejected(Rcode::FORMERR),
    }
}

fn with_question(message: &[u8], header: Header) -> Result<Request<'_>, Rejected<'_>> {
    let reject = |question, edns, rcode| Rejected { header, question, edns, rcode };
    let (question, end) = Question::read(message).ok_or_else(|| reject(None, None, Rcode::FORMERR))?;
    let Found { edns, version, faulty, tsig } =
        find(message, end).map_err(|_| reject(Some(question), None, Rcode::FORMERR))?;
    if faulty {
        return Err(reject(Some(question), edns, Rcode::FORMERR));
    }
    if version > 0 {
        return Err(reject(Some(question), edns, Rcode::BADVERS));
    }
    Ok(Request { header, question, edns, tsig })
}

/// The records that are about the message itself.
#[derive(Default)]
struct Found<'a> {
    edns: Option<Edns>,
    /// The version of EDNS; 0 without an OPT.
    version: u8,
    /// Whether an option is malformed: then `edns` has none of them.
    faulty: bool,
    tsig: Option<Tsig<'a>>,
}

/// Walks all records from `at` on, as many as the header counts, and returns OPT and TSIG.
fn find(message: &[u8], at: usize) -> Result<Found<'_>, Malformed> {
    let count = |at| usize::from(u16_at(message, at).unwrap_or(0));
    let (before, additionals) = (count(6) + count(8), count(10));
    let mut frames = Frames::new(message, at);
    let mut found = Found::default();
    let last = (before + additionals).wrapping_sub(1);
    for index in 0..before + additionals {
        let Frame { start, rtype, class, ttl, rdata, .. } = frames.next()?;
        match rtype {
            Rtype::OPT => {
                let is_root = message[start] == 0;
                if !is_root || index < before || found.edns.is_some() {
                    return Err(Malformed);
                }
                let [_, version, high, _] = ttl;
                let edns = Edns { udp_size: class.0, dnssec_ok: high & 0x80 != 0, ..Edns::default() };
                let options = edns.with_options(rdata)?;
                (found.edns, found.version) = (options.or(Some(edns)), version);
                found.faulty = options.is_none();
            }
            Rtype::TSIG => {
                let is_last = index == last && additionals > 0;
                let tsig = Tsig::read(message, start, class, ttl, rdata).filter(|_| is_last);
                found.tsig = Some(tsig.ok_or(Malformed)?);
            }
            _ => {}
        }
    }
    Ok(found)
}

impl Noted {
    pub(crate) const SUBNET: Noted = Noted(1);
    pub(crate) const EXPIRE: Noted = Noted(2);
    pub(crate) const PADDING: Noted = Noted(4);
    pub(crate) const KEY_TAG: Noted = Noted(8);
    pub(crate) const OTHER: Noted = Noted(16);

    pub(crate) fn has(self, one: Noted) -> bool {
        self.0 & one.0 != 0
    }

    fn add(&mut self, one: Noted) {
        self.0 |= one.0;
    }
}

impl Edns {
    /// Adds what the options say; `None` if one of them does not have the form that its RFC gives it.
    fn with_options(mut self, mut options: &[u8]) -> Result<Option<Edns>, Malformed> {
        const LLQ: u16 = 1;
        const NSID: u16 = 3;
        const SUBNET: u16 = 8;
        const EXPIRE: u16 = 9;
        const COOKIE: u16 = 10;
        const KEEPALIVE: u16 = 11;
        const PADDING: u16 = 12;
        const KEY_TAG: u16 = 14;
        const EXTENDED_ERROR: u16 = 15;
        const CLIENT_TAG: u16 = 16;
        const SERVER_TAG: u16 = 17;
        let mut sound = true;
        while !options.is_empty() {
            let (code, length) = (u16_at(options, 0).ok_or(Malformed)?, u16_at(options, 2).ok_or(Malformed)?);
            let end = 4 + usize::from(length);
            let (option, rest) = options.split_at_checked(end).ok_or(Malformed)?;
            options = rest;
            let data = &option[4..];
            match code {
                NSID => self.nsid = true,
                SUBNET => {
                    match Subnet::read(data) {
                        Some(subnet) => _ = self.subnet.get_or_insert(subnet),
                        None => sound = false,
                    }
                    self.noted.add(Noted::SUBNET);
                }
                EXPIRE => {
                    sound &= matches!(data.len(), 0 | 4);
                    self.noted.add(Noted::EXPIRE);
                }
                COOKIE => match Cookie::read(data) {
                    Some(cookie) => _ = self.cookie.get_or_insert(cookie),
                    None => sound = false,
                },
                KEEPALIVE => self.keepalive = true,
                PADDING => self.noted.add(Noted::PADDING),
                KEY_TAG => {
                    sound &= !data.is_empty() && data.len().is_multiple_of(2);
                    self.noted.add(Noted::KEY_TAG);
                }
                _ => {
                    sound &= match code {
                        LLQ => data.len() == 18,
                        EXTENDED_ERROR => data.len() >= 2,
                        CLIENT_TAG | SERVER_TAG => data.len() == 2,
                        _ => true,
                    };
                    self.noted.add(Noted::OTHER);
                }
            }
        }
        Ok(sound.then_some(self))
    }
}

impl Subnet {
    /// Reads a query's client subnet: family, prefix length, a scope of zero, and the octets of an address that the prefix
    /// covers, with no bit set beyond it; `None` if `data` is otherwise.
    fn read(data: &[u8]) -> Option<Subnet> {
        let (family, &[_, _, length, scope]) = (u16_at(data, 0)?, data.first_chunk()?);
        let longest = match family {
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return None,
        };
        let octets = &data[4..];
        let beyond = match (octets.last(), length % 8) {
            (Some(last), bits @ 1..) => last & (0xff >> bits),
            _ => 0,
        };
        let is_whole = octets.len() == usize::from(length.div_ceil(8));
        if length > longest || scope != 0 || !is_whole || beyond != 0 {
            return None;
        }
        let mut whole = [0; 16];
        whole[..octets.len()].copy_from_slice(octets);
        let address = match family {
            1 => Some(IpAddr::from(*whole.first_chunk::<4>()?)),
            2 => Some(IpAddr::from(whole)),
            _ => None,
        };
        Some(Subnet { address, length })
    }
}

/// The address, the prefix length and the scope, as named logs them.
impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address}")?,
            None => f.write_str("<unknown address, family 0>")?,
        }
        write!(f, "/{}/0", self.length)
    }
}
