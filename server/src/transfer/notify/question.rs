//! One NOTIFY message, and the response to it (RFC 1996 3).

use std::io;

use zonefmt::{Class, Name, NameRef, Rtype};

use crate::{
    Opcode, Rcode,
    clock::unix_now,
    message::{self, Builder, Message, Record, Section},
    tsig::{Exchange, SignatureError, TsigKey},
    zone::Rrset,
};

/// A NOTIFY message that waits for its response.
pub(super) struct Question {
    id: u16,
    zone: Name,
    octets: Vec<u8>,
    exchange: Exchange,
}

impl Question {
    /// Makes a message with the zone's SOA (RFC 1996 3.7), signed with a key if there is one.
    pub(super) fn new(zone: NameRef<'_>, soa: Rrset<'_>, key: Option<TsigKey>) -> io::Result<Question> {
        let id = getrandom::u32().map_err(io::Error::other)? as u16;
        let mut builder = Builder::new(id, Opcode::NOTIFY, asked(zone));
        for rdata in soa.rdatas().take(1) {
            let record = Record { owner: zone, rtype: Rtype::SOA, class: Class::IN, ttl: soa.ttl, rdata };
            builder = builder.record(Section::Answer, &record).map_err(io::Error::other)?;
        }
        let (mut octets, mut exchange) = (builder.finish(), Exchange::new(key));
        exchange.sign(&mut octets, unix_now());
        Ok(Question { id, zone: zone.to_owned(), octets, exchange })
    }

    pub(super) fn id(&self) -> u16 {
        self.id
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The response code in these octets; `None` if they are not the response. An error is what is wrong with its
    /// signature.
    pub(super) fn read(&mut self, octets: &[u8]) -> Option<Result<Rcode, SignatureError>> {
        let message = Message::read(octets).ok()?;
        let fits = message.is_response()
            && message.id() == self.id
            && message.opcode() == Opcode::NOTIFY
            && message.question().is_none_or(|question| question == asked(self.zone.as_ref()));
        if !fits {
            return None;
        }
        let rcode = message.rcode();
        Some(match self.exchange.verify(&message, unix_now()) {
            Ok(()) => Ok(rcode),
            // Who cannot verify the message cannot sign the response.
            Err(_) if rcode != Rcode::NOERROR && !message.is_signed() => Ok(rcode),
            Err(what) => Err(what),
        })
    }
}

fn asked(zone: NameRef<'_>) -> message::Question<'_> {
    message::Question { qname: zone, qtype: Rtype::SOA, qclass: Class::IN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{wire::flags, zone::ZoneData};

    fn question() -> Question {
        let zone = Name::from_ascii("example").unwrap();
        let mut edit = ZoneData::new(zone.clone()).edit();
        let soa = [&[0, 0][..], &[0, 0, 0, 5], &[0; 16]].concat();
        edit.add(zone.as_ref(), Rtype::SOA, 300, &soa).unwrap();
        let data = edit.commit();
        Question::new(zone.as_ref(), data.rrset(zone.as_ref(), Rtype::SOA).unwrap(), None).unwrap()
    }

    #[test]
    fn the_message_says_which_version_there_is() {
        let question = question();
        let message = Message::read(question.octets()).unwrap();
        assert!(message.is_authoritative() && !message.is_response());
        assert_eq!((message.opcode(), message.id()), (Opcode::NOTIFY, question.id()));
        assert_eq!(message.question(), Some(asked(question.zone.as_ref())));
        let mut answers = message.answers();
        let soa = answers.next().unwrap().unwrap();
        assert_eq!((soa.rtype, soa.ttl, &soa.rdata[2..6]), (Rtype::SOA, 300, &[0, 0, 0, 5][..]));
        assert_eq!(answers.next(), Ok(None));
    }

    #[test]
    fn only_the_response_to_this_message_counts() {
        let mut question = question();
        let mut response = question.octets().to_vec();
        assert_eq!(question.read(&response), None, "the message itself");
        response[2] |= (flags::QR >> 8) as u8;
        assert_eq!(question.read(&response), Some(Ok(Rcode::NOERROR)));
        response[3] |= 5;
        assert_eq!(question.read(&response), Some(Ok(Rcode::REFUSED)));
        for at in [0, 1, 13, 21] {
            let mut other = response.clone();
            other[at] ^= 1;
            assert_eq!(question.read(&other), None, "octet {at}");
        }
        assert_eq!(question.read(&response[..30]), None);
    }
}
