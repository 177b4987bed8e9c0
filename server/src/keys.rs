//! Shared secrets, which sign and verify TSIG (RFC 8945) and the messages of the control channel.
//!
//! Codes are compared in constant time. A secret is wiped when it is dropped, and never printed.

use std::fmt;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac as _, digest::Digest, digest::block_api::EagerHash};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;
use zonefmt::NameRef;

/// A named secret and its algorithm.
#[derive(Clone)]
pub struct Key {
    name: String,
    algorithm: Algorithm,
    secret: Zeroizing<Vec<u8>>,
}

/// The algorithm of a key (RFC 8945 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names are the registry's.
pub enum Algorithm {
    HmacMd5,
    HmacSha1,
    HmacSha224,
    HmacSha256,
    HmacSha384,
    HmacSha512,
}

/// A message authentication code, 16 to 64 octets.
#[derive(Clone, Copy)]
pub struct Mac {
    octets: [u8; Mac::MAX],
    len: usize,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The secret is not valid base64.
    NotBase64,
    /// The secret is empty.
    Empty,
}

impl Key {
    /// Makes a key from its name and its secret in base64, as in named.conf.
    pub fn new(name: impl Into<String>, algorithm: Algorithm, secret: &str) -> Result<Key, KeyError> {
        let packed: Zeroizing<String> = Zeroizing::new(secret.split_ascii_whitespace().collect());
        let secret = BASE64.decode(packed.as_bytes()).map_err(|_| KeyError::NotBase64)?;
        if secret.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Key { name: name.into(), algorithm, secret: Zeroizing::new(secret) })
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs the concatenation of these parts.
    pub fn sign(&self, parts: &[&[u8]]) -> Mac {
        self.sign_all(parts.iter().copied())
    }

    /// Signs the concatenation of all these parts.
    pub(crate) fn sign_all<'p>(&self, parts: impl Iterator<Item = &'p [u8]>) -> Mac {
        match self.algorithm {
            Algorithm::HmacMd5 => self.sign_by::<md5::Md5>(parts),
            Algorithm::HmacSha1 => self.sign_by::<sha1::Sha1>(parts),
            Algorithm::HmacSha224 => self.sign_by::<sha2::Sha224>(parts),
            Algorithm::HmacSha256 => self.sign_by::<sha2::Sha256>(parts),
            Algorithm::HmacSha384 => self.sign_by::<sha2::Sha384>(parts),
            Algorithm::HmacSha512 => self.sign_by::<sha2::Sha512>(parts),
        }
    }

    fn sign_by<'p, D: Digest + EagerHash>(&self, parts: impl Iterator<Item = &'p [u8]>) -> Mac
    where
        Hmac<D>: KeyInit + hmac::Mac,
    {
        let mut hmac = <Hmac<D> as KeyInit>::new_from_slice(&self.secret)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length (RFC 2104 2)"));
        for part in parts {
            hmac.update(part);
        }
        let code = hmac.finalize().into_bytes();
        let mut mac = Mac { octets: [0; Mac::MAX], len: code.len() };
        mac.octets[..code.len()].copy_from_slice(&code);
        mac
    }
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::HmacMd5,
        Algorithm::HmacSha1,
        Algorithm::HmacSha224,
        Algorithm::HmacSha256,
        Algorithm::HmacSha384,
        Algorithm::HmacSha512,
    ];

    /// The algorithm's name in named.conf.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::HmacMd5 => "hmac-md5",
            Algorithm::HmacSha1 => "hmac-sha1",
            Algorithm::HmacSha224 => "hmac-sha224",
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha384 => "hmac-sha384",
            Algorithm::HmacSha512 => "hmac-sha512",
        }
    }

    /// The algorithm's name in TSIG records (RFC 8945 6).
    pub fn tsig_name(self) -> NameRef<'static> {
        match self {
            Algorithm::HmacMd5 => const { name(b"\x08hmac-md5\x07sig-alg\x03reg\x03int\0") },
            Algorithm::HmacSha1 => const { name(b"\x09hmac-sha1\0") },
            Algorithm::HmacSha224 => const { name(b"\x0bhmac-sha224\0") },
            Algorithm::HmacSha256 => const { name(b"\x0bhmac-sha256\0") },
            Algorithm::HmacSha384 => const { name(b"\x0bhmac-sha384\0") },
            Algorithm::HmacSha512 => const { name(b"\x0bhmac-sha512\0") },
        }
    }

    /// The algorithm with this name in a TSIG record.
    pub fn from_tsig_name(name: NameRef<'_>) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.tsig_name() == name)
    }

    /// The length of the algorithm's codes, in octets.
    pub const fn octets(self) -> usize {
        match self {
            Algorithm::HmacMd5 => 16,
            Algorithm::HmacSha1 => 20,
            Algorithm::HmacSha224 => 28,
            Algorithm::HmacSha256 => 32,
            Algorithm::HmacSha384 => 48,
            Algorithm::HmacSha512 => 64,
        }
    }

    /// The algorithm with this name in named.conf, ignoring case.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }
}

impl Mac {
    /// The length of the longest code, in octets.
    pub const MAX: usize = 64;

    /// The octets of the code.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    /// Whether the code equals `other`, compared in constant time.
    pub fn is(&self, other: &[u8]) -> bool {
        self.octets().ct_eq(other).into()
    }

    /// Whether the code starts with this truncated code, compared in constant time.
    pub fn starts_with(&self, truncated: &[u8]) -> bool {
        self.octets().get(..truncated.len()).is_some_and(|start| start.ct_eq(truncated).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} ({})", self.name, self.algorithm.name())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyError::NotBase64 => "the secret is no base64; `rndc-confgen` and `tsig-keygen` make good ones",
            KeyError::Empty => "the secret is empty; `rndc-confgen` and `tsig-keygen` make good ones",
        })
    }
}

impl std::error::Error for KeyError {}

/// A name that is known when this is compiled, in wire form.
const fn name(wire: &'static [u8]) -> NameRef<'static> {
    match NameRef::from_wire(wire) {
        Ok(name) => name,
        Err(_) => panic!("these octets are not a name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(octets: &[u8]) -> String {
        data_encoding::HEXLOWER.encode(octets)
    }

    /// RFC 2202 and RFC 4231, test case 2: key "Jefe".
    #[test]
    fn codes_of_the_rfcs() {
        let expected = [
            (Algorithm::HmacMd5, "750c783e6ab0b503eaa86e310a5db738"),
            (Algorithm::HmacSha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Algorithm::HmacSha224, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
            (Algorithm::HmacSha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Algorithm::HmacSha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Algorithm::HmacSha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
                 caeab1a34d4a6b4b636e070a38bce737",
            ),
        ];
        for (algorithm, code) in expected {
            let key = Key::new("test", algorithm, "SmVmZQ==").unwrap();
            let mac = key.sign(&[b"what do ya want ", b"", b"for nothing?"]);
            assert_eq!(hex(mac.octets()), code, "{algorithm:?}");
            assert!(mac.is(mac.octets()));
            assert!(!mac.is(&mac.octets()[1..]));
            assert_eq!(Algorithm::from_name(&algorithm.name().to_uppercase()), Some(algorithm));
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let key = Key::new("k", Algorithm::HmacSha256, "c2VjcmV0").unwrap();
        assert_eq!(format!("{key:?}"), "key k (hmac-sha256)");
        assert_eq!(
            Key::new("k", Algorithm::HmacSha256, "c2Vjcm V0").unwrap().sign(&[b"x"]).octets(),
            key.sign(&[b"x"]).octets()
        );
        assert_eq!(Key::new("k", Algorithm::HmacSha256, "?").unwrap_err(), KeyError::NotBase64);
        assert_eq!(Key::new("k", Algorithm::HmacSha256, " ").unwrap_err(), KeyError::Empty);
    }
}
