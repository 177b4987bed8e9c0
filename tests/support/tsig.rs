//! TSIG on the client's side (RFC 8945), with HMAC-SHA256 only and without any code of the engine: signs requests, and
//! takes the TSIG off responses and verifies it.

use bindy_server::tsig::TsigKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::name::Name;

/// A secret that both sides have.
pub struct Key {
    name: Name,
    algorithm: Vec<u8>,
    secret: Vec<u8>,
}

/// The content of a response's TSIG record.
#[derive(PartialEq, Eq, Debug)]
pub struct Signature {
    /// ERROR.
    pub error: u16,
    /// Whether there is a code.
    pub signed: bool,
    /// Whether the code is right for this response to the request.
    pub proven: bool,
    /// How many octets of OTHER DATA there are: the server's time, or none.
    pub other: usize,
}

/// TSIG, class ANY, TTL 0.
const FIXED: [u8; 8] = [0, 250, 0, 255, 0, 0, 0, 0];
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\0";
const FUDGE: u16 = 300;
/// The position in a header of the number of additional records.
const ADDITIONALS: usize = 10;

impl Key {
    /// Makes a key of this name.
    pub fn new(name: &str, secret: &[u8]) -> Key {
        Key { name: Name::of(name), algorithm: ALGORITHM.to_vec(), secret: secret.to_vec() }
    }

    /// The same key, said to be of another algorithm.
    pub fn of_algorithm(self, name: &str) -> Key {
        Key { algorithm: Name::of(name).wire(), ..self }
    }

    /// The same key for the engine.
    pub fn served(&self) -> TsigKey {
        use bindy_server::keys::{Algorithm, Key};
        let base64 = data_encoding::BASE64.encode(&self.secret);
        let key = Key::new("key", Algorithm::HmacSha256, &base64).expect("the tests' secrets are not empty");
        let name = zonefmt::NameRef::from_wire(&self.name.wire()).expect("the tests' names are short").to_owned();
        TsigKey::new(&name, key, None)
    }

    /// Signs a request at a time, in seconds since 1970, with a code truncated to this many octets; returns the code.
    pub fn sign(&self, request: &mut Vec<u8>, time: u64, octets: usize) -> Vec<u8> {
        let times = [&time.to_be_bytes()[2..], &FUDGE.to_be_bytes()].concat();
        let mut code = self.code(&[request, &self.variables(&times, 0, &[])]);
        code.truncate(octets);
        let id = [request[0], request[1]];
        let length = |octets: &[u8]| (octets.len() as u16).to_be_bytes();
        let rdata = [&self.algorithm, &times, &length(&code)[..], &code, &id, &[0; 4]].concat();
        request.extend([&self.name.wire(), &FIXED[..], &length(&rdata), &rdata].concat());
        count(request, 1);
        code
    }

    /// Removes the TSIG record from a response to a request with this code; `None` if it has none of this key.
    pub fn take(&self, response: &mut Vec<u8>, request_code: &[u8]) -> Option<Signature> {
        if word(&response[ADDITIONALS..]) == 0 {
            return None;
        }
        let head = [&self.name.wire(), &FIXED[..]].concat();
        // The same octets may occur in a name.
        let whole = |record: &[u8]| {
            record.len() > head.len() + 2 && word(&record[head.len()..]) == record.len() - head.len() - 2
        };
        let is_one =
            |start: usize| response[start..][..head.len()].eq_ignore_ascii_case(&head) && whole(&response[start..]);
        let start = (0..=response.len().checked_sub(head.len())?).rev().find(|&start| is_one(start))?;
        let record = response.split_off(start);
        count(response, -1);
        let rdata = record[head.len() + 2..].strip_prefix(&self.algorithm[..])?;
        let (times, rdata) = rdata.split_at(8);
        let (code, rdata) = rdata[2..].split_at(word(rdata));
        assert_eq!(rdata[..2], response[..2], "the id is the request's");
        let error = word(&rdata[2..]) as u16;
        let other = &rdata[6..];
        assert_eq!(other.len(), word(&rdata[4..]), "nothing follows");
        let request = [&(request_code.len() as u16).to_be_bytes(), request_code].concat();
        let expected = self.code(&[&request, response, &self.variables(times, error, other)]);
        let proven = !code.is_empty() && expected.starts_with(code);
        Some(Signature { error, signed: !code.is_empty(), proven, other: other.len() })
    }

    fn variables(&self, times: &[u8], error: u16, other: &[u8]) -> Vec<u8> {
        let (error, length) = (error.to_be_bytes(), (other.len() as u16).to_be_bytes());
        [&self.name.wire(), &FIXED[2..], &self.algorithm, times, &error, &length, other].concat()
    }

    fn code(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        for part in parts {
            hmac.update(part);
        }
        hmac.finalize().into_bytes().to_vec()
    }
}

fn word(octets: &[u8]) -> usize {
    u16::from_be_bytes([octets[0], octets[1]]).into()
}

fn count(message: &mut [u8], more: i16) {
    let counted = u16::from_be_bytes([message[ADDITIONALS], message[ADDITIONALS + 1]]).wrapping_add_signed(more);
    message[ADDITIONALS..ADDITIONALS + 2].copy_from_slice(&counted.to_be_bytes());
}
