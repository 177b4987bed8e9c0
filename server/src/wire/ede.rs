//! Extended DNS Errors (RFC 8914): why a request failed, for whoever reads its response. They are an EDNS option, so only
//! clients with EDNS get them.

use super::u16_at;

/// Extended DNS Errors that this server gives (RFC 8914 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ede {
    Other = 0,
    NotReady = 14,
    Prohibited = 18,
    NotAuthoritative = 20,
    NoReachableAuthority = 22,
}

/// The number of the option.
const OPTION: u16 = 15;
/// Octets of the option without a text.
const BARE: usize = 6;
/// The most octets of a text: some names of a zone, and a sentence.
const MAX_TEXT: usize = 250;
/// Where the length of an OPT's options is, from the start of the record.
const LENGTH: usize = 9;

impl Ede {
    /// The option without a text.
    pub(super) fn option(self) -> [u8; BARE] {
        let [high, low] = OPTION.to_be_bytes();
        [high, low, 0, 2, 0, self as u8]
    }

    /// Adds the error to an unsigned message that ends with its OPT, which starts at `opt`, with as much of the text as has
    /// room. The message gets no longer than `most` octets; without room for the number, it stays as it is.
    pub(crate) fn append(self, message: &mut Vec<u8>, opt: usize, text: &str, most: usize) {
        let (Some(options), Some(room)) = (u16_at(message, opt + LENGTH), most.checked_sub(message.len() + BARE))
        else {
            return;
        };
        let text = cut(text, room.min(MAX_TEXT));
        let data = (BARE - 4 + text.len()) as u16;
        let Some(options) = options.checked_add(4 + data) else { return };
        message[opt + LENGTH..opt + LENGTH + 2].copy_from_slice(&options.to_be_bytes());
        let mut option = self.option();
        option[2..4].copy_from_slice(&data.to_be_bytes());
        message.extend(option);
        message.extend(text.as_bytes());
    }
}

/// The start of a text, of so many octets at most, in whole characters.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use zonefmt::{Class, NameRef, Rtype};

    use super::*;
    use crate::{
        Opcode,
        message::{Builder, Message, Question},
    };

    #[test]
    fn a_text_has_whole_characters_and_what_room_there_is() {
        let question = Question { qname: NameRef::ROOT, qtype: Rtype::SOA, qclass: Class::IN };
        let empty = Builder::new(1, Opcode::UPDATE, question).finish();
        let cookie: (u16, &[u8]) = (10, &[7; 8]);
        let message = Builder::new(1, Opcode::UPDATE, question).opt(512, &[cookie]).unwrap().finish();
        let with = |text: &str, room: usize| {
            let mut with = message.clone();
            Ede::Prohibited.append(&mut with, empty.len(), text, message.len() + room);
            assert!(with.len() <= message.len() + room);
            let opt = Message::read(&with).unwrap().opt().unwrap();
            assert_eq!(opt.option(10), Some(cookie.1), "what was there stays");
            opt.option(15).map(|data| (data[..2].to_vec(), String::from_utf8(data[2..].to_vec()).unwrap()))
        };
        let told = |text: &str| Some((vec![0, 18], text.to_owned()));
        assert_eq!(with("no", 100), told("no"));
        assert_eq!([with("no", 7), with("no", 6), with("no", 5), with("no", 0)], [told("n"), told(""), None, None]);
        assert_eq!([with("aé", 8), with("aé", 9)], [told("a"), told("aé")], "é has two octets");
        assert_eq!(with(&"é".repeat(200), 1000), told(&"é".repeat(MAX_TEXT / 2)));
    }
}
