//! Signed messages (RFC 8945): holds the known keys, verifies the signatures of requests and signs the responses, and
//! the other way round for questions of our own ([`Exchange`]).
//! [`wire`](crate::wire) encodes and decodes the TSIG record.

mod chain;
mod exchange;

use std::fmt;

use zonefmt::{Name, NameBuf, NameRef};

use crate::{
    keys::{Algorithm, Key, Mac},
    wire::tsig::{Tsig, TsigRecord, seconds, times},
};

pub(crate) use chain::Chain;
pub use exchange::{Exchange, SignatureError};

/// For how many seconds in either direction the signature of a message made here is valid, as RFC 8945 10 recommends.
const FUDGE: u16 = 300;

/// The keys that messages may be signed with.
#[derive(Debug, Default)]
pub struct Keyring {
    /// The keys, sorted by name and algorithm.
    keys: Vec<TsigKey>,
}

/// A key that both sides of a signature know.
#[derive(Clone, Debug)]
pub struct TsigKey {
    /// The name in lower case, as it is signed.
    name: Name,
    algorithm: Algorithm,
    /// The length in octets of the shortest accepted code, and of the codes made here unless the request's is longer.
    shortest: usize,
    /// The secrets, any of which is accepted.
    secrets: Vec<Key>,
}

/// The result of verifying a request's TSIG.
#[derive(Clone, Copy)]
pub(crate) enum Signature<'s> {
    /// The request has no TSIG.
    None,
    /// The TSIG is valid.
    Valid(Signer<'s>),
    /// The TSIG is invalid, and the key is unknown or the code is not the key's.
    Unproven(TsigError),
    /// The TSIG is invalid, although the code is the key's.
    Proven(TsigError, Signer<'s>),
    /// The code has a length that is never allowed (RFC 8945 5.2.2.1), or the key's name cannot be read.
    Malformed,
}

/// The key and secret that signed a request, which also sign its response.
#[derive(Clone, Copy)]
pub(crate) struct Signer<'s> {
    key: &'s TsigKey,
    secret: &'s Key,
}

/// Why a TSIG is invalid (RFC 8945 3): the ERROR field of the response's TSIG record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::enum_variant_names)] // The names are the registry's.
pub(crate) enum TsigError {
    /// The code is not the key's.
    BadSig = 16,
    /// The key is not known here, or not with this algorithm.
    BadKey = 17,
    /// The clocks of client and server differ too much.
    BadTime = 18,
    /// The code is shorter than is accepted here.
    BadTrunc = 22,
}

/// The TSIG that the response to a signed request will have.
pub(crate) struct Reply<'r> {
    to: Tsig<'r>,
    key: NameBuf,
    signature: Signature<'r>,
    now: u64,
}

impl Keyring {
    /// Makes a keyring. Keys with the same name and algorithm are merged; any of their secrets is then accepted.
    pub fn new(keys: impl IntoIterator<Item = TsigKey>) -> Keyring {
        let mut ring = Keyring::default();
        for key in keys {
            match ring.place(key.name.as_ref(), key.algorithm) {
                Ok(known) => ring.keys[known].secrets.extend(key.secrets),
                Err(place) => ring.keys.insert(place, key),
            }
        }
        ring
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &TsigKey> {
        self.keys.iter()
    }

    /// A key of this name.
    pub(crate) fn find(&self, name: NameRef<'_>) -> Option<&TsigKey> {
        self.keys.iter().find(|key| key.name.as_ref() == name)
    }

    /// Verifies a request's TSIG (RFC 8945 5.2): first the key, then the code, the time, and the length of the code.
    /// `now` is in seconds since 1970.
    pub(crate) fn verify<'s>(&'s self, tsig: &Tsig<'_>, now: u64) -> Signature<'s> {
        let Some(name) = tsig.key() else { return Signature::Malformed };
        let place = Algorithm::from_tsig_name(tsig.algorithm).and_then(|known| self.place(name.as_ref(), known).ok());
        let Some(place) = place else { return Signature::Unproven(TsigError::BadKey) };
        let key = &self.keys[place];
        let (length, full) = (tsig.mac.len(), key.algorithm.octets());
        if length > full || length < 10 || length < full.div_ceil(2) {
            return Signature::Malformed;
        }
        let (header, additionals, rest) = tsig.unsigned();
        let other_length = (tsig.other.len() as u16).to_be_bytes();
        let parts: [&[u8]; 12] = [
            &tsig.original_id,
            header,
            &additionals,
            rest,
            key.name.as_ref().as_wire(),
            &TsigRecord::CLASS,
            &tsig.ttl,
            key.algorithm.tsig_name().as_wire(),
            &tsig.times,
            &tsig.error,
            &other_length,
            tsig.other,
        ];
        let Some(secret) = key.secrets.iter().find(|secret| secret.sign(&parts).starts_with(tsig.mac)) else {
            return Signature::Unproven(TsigError::BadSig);
        };
        let signer = Signer { key, secret };
        let (signed, fudge) = seconds(tsig.times);
        if now.abs_diff(signed) > fudge.into() {
            return Signature::Proven(TsigError::BadTime, signer);
        }
        if length < key.shortest {
            return Signature::Proven(TsigError::BadTrunc, signer);
        }
        Signature::Valid(signer)
    }

    fn place(&self, name: NameRef<'_>, algorithm: Algorithm) -> Result<usize, usize> {
        self.keys.binary_search_by(|key| key.name.as_ref().cmp(&name).then(key.algorithm.cmp(&algorithm)))
    }
}

impl TsigKey {
    /// Makes a key with one secret. `shortest` is the length in octets of the shortest truncated code that is accepted;
    /// with `None`, no truncated code is accepted.
    pub fn new(name: &Name, secret: Key, shortest: Option<usize>) -> TsigKey {
        let algorithm = secret.algorithm();
        let shortest = shortest.unwrap_or(usize::MAX).min(algorithm.octets());
        TsigKey { name: name.to_lowercase(), algorithm, shortest, secrets: vec![secret] }
    }

    /// The key's name in lower case.
    pub fn name(&self) -> &Name {
        &self.name
    }
}

impl<'s> Signature<'s> {
    /// The name of the key that the client has proved to hold.
    pub(crate) fn key(&self) -> Option<NameRef<'s>> {
        match self {
            Signature::Valid(signer) => Some(signer.name()),
            _ => None,
        }
    }

    /// Whether the request has a TSIG that is not valid.
    pub(crate) fn is_bad(&self) -> bool {
        !matches!(self, Signature::None | Signature::Valid(_))
    }

    /// Whether the request has a TSIG of a key that is not known here.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Signature::Unproven(TsigError::BadKey))
    }

    /// The error in the TSIG, if it is invalid.
    pub(crate) fn error(&self) -> Option<TsigError> {
        match *self {
            Signature::Unproven(error) | Signature::Proven(error, _) => Some(error),
            Signature::None | Signature::Valid(_) | Signature::Malformed => None,
        }
    }
}

impl<'s> Signer<'s> {
    /// The key's name in lower case.
    pub(crate) fn name(&self) -> NameRef<'s> {
        self.key.name.as_ref()
    }
}

impl<'r> Reply<'r> {
    /// The TSIG of the response to this request; `None` if the response is not signed.
    pub(crate) fn to(request: Option<Tsig<'r>>, signature: Signature<'r>, now: u64) -> Option<Reply<'r>> {
        let signed = !matches!(signature, Signature::None | Signature::Malformed);
        let to = request.filter(|_| signed)?;
        Some(Reply { to, key: to.key()?, signature, now })
    }

    /// The octets that the TSIG adds to the response.
    pub(crate) fn octets(&self) -> usize {
        let other = self.now().map_or(0, |now| now.len());
        TsigRecord::octets(self.key.as_ref(), self.to.algorithm, self.mac_octets(), other)
    }

    /// Signs the response in the first `length` octets of `message` and returns its new length; `None` if there is not
    /// enough room.
    pub(crate) fn sign(&self, message: &mut [u8], length: usize) -> Option<usize> {
        let error = self.signature.error().map_or(0, |error| error as u16).to_be_bytes();
        let now = self.now();
        // Only with its own time does the client accept the response as one to its request (RFC 8945 5.2.3).
        let times = if now.is_some() { self.to.times } else { times(self.now, FUDGE) };
        let mut record = TsigRecord {
            key: self.key.as_ref(),
            algorithm: self.to.algorithm,
            times,
            mac: &[],
            original_id: *message.first_chunk()?,
            error,
            other: now.as_ref().map_or(&[], |now| now),
        };
        let made = |signer| code(signer, Some(self.to.mac), &[&message[..length]], &record, Signed::Whole);
        let mac = self.signer().map(made);
        let octets = self.mac_octets();
        record.mac = mac.as_ref().map_or(&[], |mac| &mac.octets()[..octets]);
        record.append(message, length)
    }

    /// The signer of the response; `None` if the request does not prove that both sides have the same secret.
    fn signer(&self) -> Option<Signer<'r>> {
        match self.signature {
            Signature::Valid(signer) | Signature::Proven(_, signer) => Some(signer),
            Signature::None | Signature::Unproven(_) | Signature::Malformed => None,
        }
    }

    fn mac_octets(&self) -> usize {
        self.signer().map_or(0, |signer| signer.key.shortest.max(self.to.mac.len()))
    }

    /// This server's time, for a client whose clock differs too much (RFC 8945 5.2.3).
    fn now(&self) -> Option<[u8; 6]> {
        let [seconds @ .., _, _] = times(self.now, 0);
        (self.signature.error() == Some(TsigError::BadTime)).then_some(seconds)
    }
}

/// How much of a TSIG record is signed, besides the messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signed {
    /// Everything but the code (RFC 8945 4.3.3).
    Whole,
    /// The times only (RFC 8945 5.3.1).
    Times,
}

/// The code of messages. `prior` is the code of the message that they answer or follow; `messages` may be in parts.
fn code(signer: Signer<'_>, prior: Option<&[u8]>, messages: &[&[u8]], record: &TsigRecord<'_>, signed: Signed) -> Mac {
    let prior_length = prior.map_or(0, <[u8]>::len) as u16;
    let (prior_length, other_length) = (prior_length.to_be_bytes(), (record.other.len() as u16).to_be_bytes());
    let whole: [&[u8]; 7] = [
        signer.key.name.as_ref().as_wire(),
        &TsigRecord::CLASS_AND_TTL,
        signer.key.algorithm.tsig_name().as_wire(),
        &record.times,
        &record.error,
        &other_length,
        record.other,
    ];
    let variables: &[&[u8]] = match signed {
        Signed::Whole => &whole,
        Signed::Times => &[&record.times],
    };
    let prior: &[&[u8]] = &prior.map_or([&[][..], &[]], |prior| [&prior_length, prior]);
    signer.secret.sign_all([prior, messages, variables].into_iter().flatten().copied())
}

impl fmt::Display for TsigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TsigError::BadSig => "BADSIG",
            TsigError::BadKey => "BADKEY",
            TsigError::BadTime => "BADTIME",
            TsigError::BadTrunc => "BADTRUNC",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::request::{self, Parsed};
    use zonefmt::{Class, Rtype};

    const NOW: u64 = 1_800_000_000;
    const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn secret(base64: &str) -> Key {
        Key::new("key", Algorithm::HmacSha256, base64).unwrap()
    }

    fn ring(shortest: Option<usize>) -> Keyring {
        Keyring::new([TsigKey::new(&name("Key.example"), secret(SECRET), shortest)])
    }

    /// A query without its TSIG.
    const QUERY: [u8; 21] = [0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 1, b'b', 0, 0, 1, 0, 1];

    /// The query, signed this many seconds ago, with the code truncated to this many octets.
    fn signed(with: &Key, owner: &str, age: u64, octets: usize) -> Vec<u8> {
        let (owner, algorithm) = (name(owner), with.algorithm().tsig_name());
        let times = times(NOW - age, FUDGE);
        let variables = [&[0, 255, 0, 0, 0, 0], algorithm.as_wire(), &times, &[0; 4]].concat();
        let mac = with.sign(&[&QUERY, owner.to_lowercase().as_ref().as_wire(), &variables]);
        let record = TsigRecord {
            key: owner.as_ref(),
            algorithm,
            times,
            mac: &mac.octets()[..octets],
            original_id: [0, 7],
            error: [0, 0],
            other: &[],
        };
        let mut message = [&QUERY[..], &[0; 200]].concat();
        let length = record.append(&mut message, QUERY.len()).unwrap();
        message.truncate(length);
        message
    }

    fn read(message: &[u8]) -> Tsig<'_> {
        match request::parse(message) {
            Some(Parsed::Request(request)) => request.tsig.unwrap(),
            _ => panic!("it is well-formed"),
        }
    }

    /// The result of verifying a request, and the length of its response's code.
    fn verified(ring: &Keyring, message: &[u8]) -> (&'static str, usize) {
        let signature = ring.verify(&read(message), NOW);
        let what = match signature {
            Signature::None => "none",
            Signature::Valid(_) => "valid",
            Signature::Malformed => "malformed",
            Signature::Unproven(TsigError::BadKey) => "BADKEY",
            Signature::Unproven(_) => "BADSIG",
            Signature::Proven(TsigError::BadTime, _) => "BADTIME",
            Signature::Proven(..) => "BADTRUNC",
        };
        (what, Reply::to(Some(read(message)), signature, NOW).map_or(0, |reply| reply.mac_octets()))
    }

    #[test]
    fn what_is_wrong_is_told_and_proven_where_it_can_be() {
        let (ring, key, other) = (ring(None), secret(SECRET), secret("b3RoZXI="));
        let (md5, sha1) = (Algorithm::HmacMd5, Algorithm::HmacSha1);
        let of = |algorithm| Key::new("key", algorithm, SECRET).unwrap();
        for (message, expected) in [
            (signed(&key, "key.example", 0, 32), ("valid", 32)),
            (signed(&key, "KEY.example", 299, 32), ("valid", 32)),
            (signed(&key, "key.example", 301, 32), ("BADTIME", 32)),
            (signed(&other, "key.example", 0, 32), ("BADSIG", 0)),
            (signed(&other, "key.example", 301, 32), ("BADSIG", 0)),
            (signed(&key, "nobody.example", 0, 32), ("BADKEY", 0)),
            (signed(&of(sha1), "key.example", 0, 20), ("BADKEY", 0)),
            (signed(&of(md5), "key.example", 0, 16), ("BADKEY", 0)),
            (signed(&key, "key.example", 0, 16), ("BADTRUNC", 32)),
            (signed(&key, "key.example", 301, 16), ("BADTIME", 32)),
            (signed(&key, "key.example", 0, 15), ("malformed", 0)),
            (signed(&key, "key.example", 0, 0), ("malformed", 0)),
        ] {
            assert_eq!(verified(&ring, &message), expected, "{message:?}");
        }
        let truncating = super::tests::ring(Some(20));
        assert_eq!(verified(&truncating, &signed(&key, "key.example", 0, 20)), ("valid", 20));
        assert_eq!(verified(&truncating, &signed(&key, "key.example", 0, 32)), ("valid", 32));
        assert_eq!(verified(&truncating, &signed(&key, "key.example", 0, 19)), ("BADTRUNC", 20));
    }

    /// Such a signature was taken for one by an unknown key with the name `.`.
    #[test]
    fn a_signature_whose_key_has_no_readable_name_is_malformed() {
        let signed = signed(&secret(SECRET), ".", 0, 32);
        let (header, record) = (&signed[..12], &signed[QUERY.len() + 1..]);
        let (question, into_its_label) = (b"\x02\xff\xff\0\0\x01\0\x01", [0xc0, 13]);
        let message = [header, question, &into_its_label, record].concat();
        assert_eq!(verified(&ring(None), &message), ("malformed", 0));
    }

    #[test]
    fn any_octet_that_changes_is_noticed() {
        let (ring, message) = (ring(None), signed(&secret(SECRET), "key.example", 0, 32));
        for at in 2..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 0x20;
            let Some(Parsed::Request(request)) = request::parse(&changed) else { continue };
            // The case of names is signed in one canonical form; the original ID replaces the message's ID.
            let Some(tsig) = request.tsig else { continue };
            let is_letter = (QUERY.len()..QUERY.len() + 13).contains(&at) && changed[at].is_ascii_alphabetic();
            let in_algorithm = tsig.algorithm == Algorithm::HmacSha256.tsig_name() && changed[at].is_ascii_alphabetic();
            let valid = matches!(ring.verify(&tsig, NOW), Signature::Valid(_));
            assert!(!valid || is_letter || in_algorithm, "octet {at}");
        }
    }

    #[test]
    fn both_secrets_of_a_name_are_taken_and_the_one_used_answers() {
        let (old, new) = (secret("b2xkIHNlY3JldA=="), secret("bmV3IHNlY3JldA=="));
        let owner = name("key.example");
        let ring = Keyring::new([&new, &old].map(|secret| TsigKey::new(&owner, secret.clone(), None)));
        assert_eq!(ring.iter().count(), 1);
        for used in [&old, &new] {
            let request = signed(used, "key.example", 0, 32);
            let reply = Reply::to(Some(read(&request)), ring.verify(&read(&request), NOW), NOW).unwrap();
            let mut response = [&QUERY[..], &[0; 200]].concat();
            response[2] |= 0x80;
            let length = reply.sign(&mut response, QUERY.len()).unwrap();
            assert_eq!(length, QUERY.len() + reply.octets());
            let mac = &response[length - 6 - 32..length - 6];
            let unsigned = [&response[..10], &[0, 0], &response[12..QUERY.len()]].concat();
            let variables = [
                owner.as_ref().as_wire(),
                &[0, 255, 0, 0, 0, 0],
                Algorithm::HmacSha256.tsig_name().as_wire(),
                &times(NOW, FUDGE),
                &[0; 4],
            ];
            let expected = used.sign(&[&[0, 32], read(&request).mac, &unsigned, &variables.concat()]);
            assert_eq!(mac, expected.octets());
        }
    }

    #[test]
    fn who_is_late_is_told_the_time_in_a_record_of_its_own_time() {
        let (ring, request) = (ring(None), signed(&secret(SECRET), "key.example", 4000, 32));
        let reply = Reply::to(Some(read(&request)), ring.verify(&read(&request), NOW), NOW).unwrap();
        let mut response = [&QUERY[..], &[0; 200]].concat();
        let length = reply.sign(&mut response, QUERY.len()).unwrap();
        let [_, _, now @ ..] = NOW.to_be_bytes();
        assert_eq!(response[length - 6..length], now);
        assert_eq!(response[length - 10..length - 6], [0, 18, 0, 6]);
        let (before, record) = (QUERY.len(), &response[QUERY.len()..length]);
        assert_eq!(response[before - 4..before], [0, 1, 0, 1]);
        let rdata = name("key.example").as_ref().len() + 10;
        let signed_at = &record[rdata + 13..rdata + 19];
        assert_eq!(signed_at, &(NOW - 4000).to_be_bytes()[2..]);
        assert_eq!(u16::from_be_bytes([record[rdata - 10], record[rdata - 9]]), Rtype::TSIG.0);
        assert_eq!(u16::from_be_bytes([record[rdata - 8], record[rdata - 7]]), Class::ANY.0);
    }
}
