//! Signed messages (RFC 8945): the keys that there are, whether a request's signature is right, and the signature of its
//! response. The record's octets are [`wire`](crate::wire)'s.

use std::fmt;

use zonefmt::{MAX_NAME, Name, NameRef};

use crate::{
    keys::{Algorithm, Key, Mac},
    wire::tsig::{Times, Tsig, TsigRecord, seconds, times},
};

/// For how many seconds, both ways, a response's signature is good (RFC 8945 10 recommends it).
const FUDGE: u16 = 300;

/// The keys that messages may be signed with.
#[derive(Debug, Default)]
pub struct Keyring {
    /// By name and algorithm.
    keys: Vec<TsigKey>,
}

/// A key as both sides of a signature know it.
#[derive(Clone, Debug)]
pub struct TsigKey {
    /// In lower case, as it is signed.
    name: Name,
    algorithm: Algorithm,
    /// The shortest code that is taken, and made unless the request's is longer, in octets.
    shortest: usize,
    /// Any of them may have signed.
    secrets: Vec<Key>,
}

/// What a request's signature is worth.
#[derive(Clone, Copy)]
pub(crate) enum Signature<'s> {
    /// There is none.
    None,
    /// It is good.
    Valid(Signer<'s>),
    /// It is not, and the code is not its key's.
    Unproven(TsigError),
    /// It is not, though the code is its key's.
    Proven(TsigError, Signer<'s>),
    /// Its code has a length that none may have (RFC 8945 5.2.2.1).
    Malformed,
}

/// Who signed a request, and so signs its response.
#[derive(Clone, Copy)]
pub(crate) struct Signer<'s> {
    key: &'s TsigKey,
    secret: &'s Key,
}

/// What is wrong with a signature (RFC 8945 3): the ERROR of the response's TSIG record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::enum_variant_names)] // The names are the registry's.
pub(crate) enum TsigError {
    /// The code is not the key's.
    BadSig = 16,
    /// The key, or this algorithm with it, is not known here.
    BadKey = 17,
    /// The two clocks are too far apart.
    BadTime = 18,
    /// The code is shorter than is taken here.
    BadTrunc = 22,
}

/// The signature that the response to a signed request is to have.
pub(crate) struct Reply<'r> {
    to: Tsig<'r>,
    signature: Signature<'r>,
    now: u64,
}

impl Keyring {
    /// Of these keys. One that has the name and algorithm of another adds its secrets to it: all are taken.
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

    /// Every key.
    pub fn iter(&self) -> impl Iterator<Item = &TsigKey> {
        self.keys.iter()
    }

    /// What a request's signature is worth at this time, in seconds since 1970 (RFC 8945 5.2): the key is looked at first,
    /// then the code, the time, the length of the code.
    pub(crate) fn verify<'s>(&'s self, tsig: &Tsig<'_>, now: u64) -> Signature<'s> {
        let mut name = [0; MAX_NAME];
        let place =
            Algorithm::from_tsig_name(tsig.algorithm).and_then(|known| self.place(tsig.key(&mut name), known).ok());
        let Some(place) = place else { return Signature::Unproven(TsigError::BadKey) };
        let key = &self.keys[place];
        let (length, full) = (tsig.mac.len(), key.algorithm.octets());
        if length > full || length < 10 || length < full.div_ceil(2) {
            return Signature::Malformed;
        }
        let (header, additionals, rest) = tsig.unsigned();
        let other_length = (tsig.other.len() as u16).to_be_bytes();
        let parts: [&[u8]; 11] = [
            &tsig.original_id,
            header,
            &additionals,
            rest,
            key.name.as_ref().as_wire(),
            &TsigRecord::CLASS_AND_TTL,
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
    /// A key with one secret. `shortest`: of truncated codes the shortest that is taken, in octets; `None`: none is taken.
    pub fn new(name: &Name, secret: Key, shortest: Option<usize>) -> TsigKey {
        let algorithm = secret.algorithm();
        let shortest = shortest.unwrap_or(usize::MAX).min(algorithm.octets());
        TsigKey { name: name.to_lowercase(), algorithm, shortest, secrets: vec![secret] }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }
}

impl<'s> Signature<'s> {
    /// The name of the key that proves who asks.
    pub(crate) fn key(&self) -> Option<NameRef<'s>> {
        match self {
            Signature::Valid(signer) => Some(signer.name()),
            _ => None,
        }
    }

    /// Whether it is there and not to be trusted.
    pub(crate) fn is_bad(&self) -> bool {
        !matches!(self, Signature::None | Signature::Valid(_))
    }

    /// What is wrong with it.
    pub(crate) fn error(&self) -> Option<TsigError> {
        match *self {
            Signature::Unproven(error) | Signature::Proven(error, _) => Some(error),
            Signature::None | Signature::Valid(_) | Signature::Malformed => None,
        }
    }
}

impl<'s> Signer<'s> {
    /// The name of the key.
    pub(crate) fn name(&self) -> NameRef<'s> {
        self.key.name.as_ref()
    }
}

impl<'r> Reply<'r> {
    /// The signature of a response to what was signed so; `None`: it has none.
    pub(crate) fn to(request: Option<Tsig<'r>>, signature: Signature<'r>, now: u64) -> Option<Reply<'r>> {
        let signed = !matches!(signature, Signature::None | Signature::Malformed);
        request.filter(|_| signed).map(|to| Reply { to, signature, now })
    }

    /// How much longer it makes the response, in octets.
    pub(crate) fn octets(&self) -> usize {
        let fixed = 2 + TsigRecord::CLASS_AND_TTL.len() + 2 + size_of::<Times>() + 2 + 2 + 2 + 2;
        let mut name = [0; MAX_NAME];
        fixed
            + self.to.key(&mut name).len()
            + self.to.algorithm.len()
            + self.mac_octets()
            + self.now().map_or(0, |now| now.len())
    }

    /// Signs the response that is the first `length` octets of `message`; gives its new length, `None` if there is no room.
    pub(crate) fn sign(&self, message: &mut [u8], length: usize) -> Option<usize> {
        let mut name = [0; MAX_NAME];
        let error = self.signature.error().map_or(0, |error| error as u16).to_be_bytes();
        let now = self.now();
        // Such a client takes the response as one to its request (RFC 8945 5.2.3).
        let times = if now.is_some() { self.to.times } else { times(self.now, FUDGE) };
        let mut record = TsigRecord {
            key: self.to.key(&mut name),
            algorithm: self.to.algorithm,
            times,
            mac: &[],
            original_id: *message.first_chunk()?,
            error,
            other: now.as_ref().map_or(&[], |now| now),
        };
        let mac = self.signer().map(|signer| self.code(signer, &message[..length], &record));
        let octets = self.mac_octets();
        record.mac = mac.as_ref().map_or(&[], |mac| &mac.octets()[..octets]);
        record.append(message, length)
    }

    fn code(&self, signer: Signer<'_>, message: &[u8], record: &TsigRecord<'_>) -> Mac {
        let request_length = (self.to.mac.len() as u16).to_be_bytes();
        let other_length = (record.other.len() as u16).to_be_bytes();
        signer.secret.sign(&[
            &request_length,
            self.to.mac,
            message,
            signer.key.name.as_ref().as_wire(),
            &TsigRecord::CLASS_AND_TTL,
            signer.key.algorithm.tsig_name().as_wire(),
            &record.times,
            &record.error,
            &other_length,
            record.other,
        ])
    }

    /// Who signs: nobody if the request does not prove that both sides have the same secret.
    fn signer(&self) -> Option<Signer<'r>> {
        match self.signature {
            Signature::Valid(signer) | Signature::Proven(_, signer) => Some(signer),
            Signature::None | Signature::Unproven(_) | Signature::Malformed => None,
        }
    }

    fn mac_octets(&self) -> usize {
        self.signer().map_or(0, |signer| signer.key.shortest.max(self.to.mac.len()))
    }

    /// This server's time, for a client whose own is wrong (RFC 8945 5.2.3).
    fn now(&self) -> Option<[u8; 6]> {
        let [seconds @ .., _, _] = times(self.now, 0);
        (self.signature.error() == Some(TsigError::BadTime)).then_some(seconds)
    }
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
