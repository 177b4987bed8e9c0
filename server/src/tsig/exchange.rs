//! A question of our own and its answer: signs the one, and verifies the messages of the other (RFC 8945 5.3).

use std::fmt;

use zonefmt::Name;

use super::{FUDGE, Signed, Signer, TsigKey, code};
use crate::{
    message::Message,
    wire::tsig::{Tsig, TsigRecord, seconds, times},
};

/// A question and its answer, both signed with a key, or both without a signature. Times are in seconds since 1970.
pub struct Exchange(Option<Chain>);

/// The signatures of an exchange so far.
struct Chain {
    key: TsigKey,
    /// The code of the message signed last.
    prior: Vec<u8>,
    /// Whether a message of the answer was signed.
    is_answered: bool,
    /// The messages since then, none of which is signed.
    unsigned: Vec<Vec<u8>>,
}

/// What is wrong with the signature of an answer. It is shown with the key, and what to compare at both ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignatureError {
    /// The key of the question, if it was signed.
    key: Option<Name>,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// There is a signature, and the question had none.
    Unasked,
    /// There is none.
    Missing,
    /// The last message of the answer has none.
    Unfinished,
    /// It is by another key or algorithm.
    OtherKey,
    Truncation,
    /// The other server could not verify the question: the code of the error.
    Refused(u16),
    /// The other server's clock is so many seconds ahead of this one's; `refused`: it says so itself.
    Time {
        ahead: i64,
        refused: bool,
    },
    BadSig,
}

/// How many messages may follow each other without a signature (RFC 8945 5.3.1).
const MAX_UNSIGNED: usize = 99;

impl Exchange {
    /// An exchange that is signed with a key, or not at all.
    pub fn new(key: Option<TsigKey>) -> Exchange {
        Exchange(key.map(|key| Chain { key, prior: Vec::new(), is_answered: false, unsigned: Vec::new() }))
    }

    /// Signs the question.
    pub fn sign(&mut self, question: &mut Vec<u8>, now: u64) {
        let Some(Chain { key, prior, .. }) = &mut self.0 else { return };
        let (Some(secret), Some(&original_id)) = (key.secrets.first(), question.first_chunk()) else { return };
        let mut record = TsigRecord {
            key: key.name.as_ref(),
            algorithm: key.algorithm.tsig_name(),
            times: times(now, FUDGE),
            mac: &[],
            original_id,
            error: [0; 2],
            other: &[],
        };
        let mac = code(Signer { key, secret }, None, &[question], &record, Signed::Whole);
        record.mac = &mac.octets()[..key.shortest];
        let length = question.len();
        question.resize(length + TsigRecord::octets(record.key, record.algorithm, record.mac.len(), 0), 0);
        record.append(question, length);
        *prior = record.mac.to_vec();
    }

    /// Verifies the next message of the answer. Between the first message and the last, some may be unsigned.
    ///
    /// # Errors
    /// What is wrong with the signature.
    pub fn verify(&mut self, message: &Message<'_>, now: u64) -> Result<(), SignatureError> {
        let verified = match (&mut self.0, message.tsig()) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Fault::Unasked),
            (Some(chain), None) => chain.pass(message),
            (Some(chain), Some(tsig)) => chain.verify(&tsig, now),
        };
        verified.map_err(|fault| self.error(fault))
    }

    /// The error of an answer that ends without being [settled](Exchange::is_settled).
    pub fn unsettled(&self) -> SignatureError {
        self.error(Fault::Unfinished)
    }

    fn error(&self, fault: Fault) -> SignatureError {
        SignatureError { key: self.0.as_ref().map(|chain| chain.key.name().clone()), fault }
    }

    /// Whether the message verified last is signed, and all before it by that, as the last one must be.
    pub fn is_settled(&self) -> bool {
        self.0.as_ref().is_none_or(|chain| chain.is_answered && chain.unsigned.is_empty())
    }
}

impl Chain {
    /// Takes a message without a signature.
    fn pass(&mut self, message: &Message<'_>) -> Result<(), Fault> {
        if !self.is_answered || self.unsigned.len() == MAX_UNSIGNED {
            return Err(Fault::Missing);
        }
        self.unsigned.push(message.octets().to_vec());
        Ok(())
    }

    fn verify(&mut self, tsig: &Tsig<'_>, now: u64) -> Result<(), Fault> {
        match u16::from_be_bytes(tsig.error) {
            0 => {}
            BADTIME => return Err(Fault::Time { ahead: ahead(clock_in(tsig.other), now), refused: true }),
            error => return Err(Fault::Refused(error)),
        }
        let key = &self.key;
        let is_ours = tsig.key().is_some_and(|name| name.as_ref() == key.name.as_ref())
            && tsig.algorithm == key.algorithm.tsig_name()
            && tsig.ttl == [0; 4];
        let Some(secret) = key.secrets.first().filter(|_| is_ours) else { return Err(Fault::OtherKey) };
        if tsig.mac.len() < key.shortest || tsig.mac.len() > key.algorithm.octets() {
            return Err(Fault::Truncation);
        }
        let record = TsigRecord {
            key: key.name.as_ref(),
            algorithm: key.algorithm.tsig_name(),
            times: tsig.times,
            mac: &[],
            original_id: tsig.original_id,
            error: tsig.error,
            other: tsig.other,
        };
        let (header, additionals, rest) = tsig.unsigned();
        let mut messages: Vec<&[u8]> = self.unsigned.iter().map(Vec::as_slice).collect();
        messages.extend([&tsig.original_id[..], header, &additionals, rest]);
        let signed = if self.is_answered { Signed::Times } else { Signed::Whole };
        let expected = code(Signer { key, secret }, Some(&self.prior), &messages, &record, signed);
        if !expected.starts_with(tsig.mac) {
            return Err(Fault::BadSig);
        }
        let (signed_at, fudge) = seconds(tsig.times);
        if now.abs_diff(signed_at) > fudge.into() {
            return Err(Fault::Time { ahead: ahead(Some(signed_at), now), refused: false });
        }
        self.prior = tsig.mac.to_vec();
        self.is_answered = true;
        self.unsigned.clear();
        Ok(())
    }
}

/// The code of the error that is about clocks.
const BADTIME: u16 = 18;

/// The time at which a server says that it is (RFC 8945 5.2.3).
fn clock_in(other: &[u8]) -> Option<u64> {
    let seconds: [u8; 6] = other.try_into().ok()?;
    Some(seconds.iter().fold(0, |sum, &octet| sum << 8 | u64::from(octet)))
}

fn ahead(clock: Option<u64>, now: u64) -> i64 {
    clock.map_or(0, |clock| clock.cast_signed().wrapping_sub(now.cast_signed()))
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.key.as_ref().map(|key| key.as_ref().without_final_dot().to_string()).unwrap_or_default();
        let same = |what| format!("the key `{name}` must have the same {what} at both ends");
        match self.fault {
            Fault::Unasked => f.write_str("did not expect a TSIG: name the key in `primaries` or `server`"),
            Fault::Missing => write!(f, "expected a TSIG: the other server does not sign with the key `{name}`"),
            Fault::Unfinished => f.write_str("the last message is not signed: the other server breaks RFC 8945"),
            Fault::OtherKey => write!(f, "TSIG of another key: {}", same("name and algorithm")),
            Fault::Truncation => write!(f, "bad truncation: {}", same("algorithm")),
            Fault::BadSig => write!(f, "tsig verify failure (BADSIG): {}", same("secret")),
            Fault::Refused(16) => write!(f, "the other server says BADSIG: {}", same("secret")),
            Fault::Refused(17) => {
                write!(f, "the other server says BADKEY: define the key `{name}` there, with the same algorithm")
            }
            Fault::Refused(22) => write!(f, "the other server says BADTRUNC: {}", same("algorithm")),
            Fault::Refused(code) => write!(f, "TSIG indicates error {code}"),
            Fault::Time { ahead, refused } => {
                let what = if refused { "the other server says BADTIME" } else { "tsig verify failure (BADTIME)" };
                let by = match ahead {
                    0 => "differs from this one's".to_owned(),
                    1.. => format!("is {ahead} s ahead of this one's"),
                    ..0 => format!("is {} s behind this one's", ahead.unsigned_abs()),
                };
                write!(f, "{what}: its clock {by}; set the one that is wrong")
            }
        }
    }
}

impl std::error::Error for SignatureError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keys::{Algorithm, Key},
        tsig::{Keyring, Reply, Signature},
        wire::request::{self, Parsed},
    };
    use zonefmt::Name;

    const NOW: u64 = 1_800_000_000;
    const QUESTION: [u8; 17] = [0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 252, 0, 1];

    fn key(secret: &str) -> TsigKey {
        TsigKey::new(&Name::from_ascii("k").unwrap(), Key::new("k", Algorithm::HmacSha256, secret).unwrap(), None)
    }

    /// An exchange whose question is sent, and what the server needs to sign the answer.
    fn asked(server: &Keyring) -> (Exchange, crate::tsig::Chain) {
        let mut exchange = Exchange::new(Some(key("c2VjcmV0")));
        let mut question = QUESTION.to_vec();
        exchange.sign(&mut question, NOW);
        let Some(Parsed::Request(request)) = request::parse(&question) else { panic!("it is well-formed") };
        let tsig = request.tsig.unwrap();
        let signature = server.verify(&tsig, NOW);
        assert!(matches!(signature, Signature::Valid(_)));
        let chain = crate::tsig::Chain::of(&Reply::to(Some(tsig), signature, NOW).unwrap()).unwrap();
        (exchange, chain)
    }

    fn answer(number: u8) -> Vec<u8> {
        // The first octets of the header differ, so that messages cannot be swapped.
        [&[0, 7, 0x80, number], &QUESTION[4..]].concat()
    }

    fn signed(chain: &mut crate::tsig::Chain, number: u8, at: u64) -> Vec<u8> {
        let mut message = answer(number);
        let length = message.len();
        message.resize(length + chain.octets(), 0);
        let length = chain.sign(&mut message, length, at).unwrap();
        message.truncate(length);
        message
    }

    fn verify(exchange: &mut Exchange, message: &[u8]) -> Result<(), String> {
        exchange.verify(&Message::read(message).unwrap(), NOW).map_err(|error| error.to_string())
    }

    fn is_bad(verified: Result<(), String>, what: &str) {
        let said = verified.unwrap_err();
        assert!(said.starts_with(what), "{said}");
    }

    #[test]
    fn every_message_is_verified_in_its_place() {
        let ring = Keyring::new([key("c2VjcmV0")]);
        let (mut exchange, mut chain) = asked(&ring);
        assert!(!exchange.is_settled());
        for number in 0..5 {
            assert_eq!(verify(&mut exchange, &signed(&mut chain, number, NOW)), Ok(()));
            assert!(exchange.is_settled());
        }
        let (first, second) = (signed(&mut chain, 5, NOW), signed(&mut chain, 6, NOW));
        is_bad(verify(&mut exchange, &second), "tsig verify failure (BADSIG)");
        assert_eq!(verify(&mut exchange, &first), Ok(()));
        is_bad(verify(&mut exchange, &first), "tsig verify failure (BADSIG)");
        assert_eq!(verify(&mut exchange, &second), Ok(()));
        let late = signed(&mut chain, 7, NOW - 301);
        is_bad(
            verify(&mut exchange, &late),
            "tsig verify failure (BADTIME): its clock is 301 s behind this one's; set the one that is wrong",
        );
    }

    #[test]
    fn any_octet_that_changes_is_noticed() {
        let ring = Keyring::new([key("c2VjcmV0")]);
        let (_, mut chain) = asked(&ring);
        let whole = signed(&mut chain, 0, NOW);
        for at in 2..whole.len() {
            let (mut exchange, mut chain) = asked(&ring);
            let mut message = signed(&mut chain, 0, NOW);
            message[at] ^= 1;
            let Ok(message) = Message::read(&message) else { continue };
            assert!(exchange.verify(&message, NOW).is_err() || !message.is_signed(), "octet {at}");
        }
    }

    #[test]
    fn the_first_message_and_every_hundredth_must_be_signed() {
        let ring = Keyring::new([key("c2VjcmV0")]);
        let (mut exchange, mut chain) = asked(&ring);
        is_bad(verify(&mut exchange, &answer(0)), "expected a TSIG");
        assert_eq!(verify(&mut exchange, &signed(&mut chain, 0, NOW)), Ok(()));
        for number in 1..=99 {
            assert_eq!(verify(&mut exchange, &answer(number)), Ok(()));
            assert!(!exchange.is_settled());
        }
        is_bad(verify(&mut exchange, &answer(100)), "expected a TSIG");
        // A signature that does not cover the unsigned messages is none of theirs.
        is_bad(verify(&mut exchange, &signed(&mut chain, 101, NOW)), "tsig verify failure (BADSIG)");
    }

    #[test]
    fn another_secret_and_a_signature_that_nobody_asked_for_are_noticed() {
        let ring = Keyring::new([key("c2VjcmV0")]);
        let (_, mut chain) = asked(&ring);
        let message = signed(&mut chain, 0, NOW);
        let mut other = Exchange::new(Some(key("b3RoZXI=")));
        other.sign(&mut QUESTION.to_vec(), NOW);
        is_bad(verify(&mut other, &message), "tsig verify failure (BADSIG)");
        let mut unsigned = Exchange::new(None);
        is_bad(verify(&mut unsigned, &message), "did not expect a TSIG");
        assert_eq!(verify(&mut unsigned, &answer(0)), Ok(()));
        assert!(unsigned.is_settled());
    }
}
