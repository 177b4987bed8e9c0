//! Messages of the control channel, from and to octets.
//!
//! ```text
//! length (4) | version (4) = 1 | _auth pair | the rest, which the code in _auth signs
//! pair:  length of key (1) | key | value
//! value: type (1) | length (4) | binary, table of pairs, or list of values
//! ```
//! All numbers are in network order. A message is read only after its code has proved right. Its length, the depth of
//! its tables and the keys of a table are bounded: no key may be there twice.

use data_encoding::BASE64;

use crate::keys::{Algorithm, Key};

/// The most octets of a message after its length field; named's limit.
pub(super) const MAX_MESSAGE: usize = 32_768;

/// The most tables and lists inside each other.
const MAX_DEPTH: usize = 10;
const VERSION: u32 = 1;

/// Keys and values, in the order of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table(Vec<(Vec<u8>, Value)>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Binary(Vec<u8>),
    Table(Table),
    List(Vec<Value>),
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageError {
    Malformed,
    Version,
    BadAuth,
}

mod kind {
    pub(super) const BINARY: u8 = 1;
    pub(super) const TABLE: u8 = 2;
    pub(super) const LIST: u8 = 3;
}

/// The key of the first pair, whose table has the code.
const AUTH: &[u8] = b"_auth";
/// In `_auth`: an octet for the algorithm and the code in base64, padded with zeros.
const HSHA: &[u8] = b"hsha";
const HSHA_CODE: usize = 88;
/// In `_auth`, for HMAC-MD5: the code in base64 without its padding.
const HMD5: &[u8] = b"hmd5";
const HMD5_CODE: usize = 22;

/// Reads a message without its length field, if one of the keys signed it; returns that key, too.
pub(super) fn read<'k>(octets: &[u8], keys: &'k [Key]) -> Result<(Table, &'k Key), MessageError> {
    let mut reader = Reader(octets);
    if reader.u32()? != VERSION {
        return Err(MessageError::Version);
    }
    let (name, auth) = reader.pair(0)?;
    let (AUTH, Value::Table(auth)) = (name, auth) else { return Err(MessageError::BadAuth) };
    let signed = reader.0;
    let key = keys.iter().find(|key| auth.is_by(key, signed)).ok_or(MessageError::BadAuth)?;
    Ok((reader.table(0)?, key))
}

/// The octets of a message, its length field included, signed with a key.
pub(super) fn write(table: &Table, key: &Key) -> Vec<u8> {
    let mut signed = Vec::new();
    table.write(&mut signed);
    let mut auth = Table::default();
    match code(key, &signed) {
        (HMD5, code) => auth.push(HMD5, Value::Binary(code)),
        (name, code) => auth.push(name, Value::Binary(code)),
    }
    let mut first = Table::default();
    first.push(AUTH, Value::Table(auth));
    let mut body = VERSION.to_be_bytes().to_vec();
    first.write(&mut body);
    body.extend(signed);
    let mut message = (body.len() as u32).to_be_bytes().to_vec();
    message.extend(body);
    message
}

impl Table {
    /// The value of `key`.
    pub(super) fn value(&self, key: &[u8]) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value of `key`, if that is a table.
    pub(super) fn table(&self, key: &[u8]) -> Option<&Table> {
        match self.value(key) {
            Some(Value::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// The value of `key`, if that is UTF-8.
    pub(super) fn text(&self, key: &[u8]) -> Option<&str> {
        match self.value(key) {
            Some(Value::Binary(octets)) => std::str::from_utf8(octets).ok(),
            _ => None,
        }
    }

    /// The value of `key`, if that is a decimal number.
    pub(super) fn number(&self, key: &[u8]) -> Option<u32> {
        self.text(key).filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()))?.parse().ok()
    }

    pub(super) fn push(&mut self, key: &[u8], value: Value) {
        debug_assert!(u8::try_from(key.len()).is_ok() && self.value(key).is_none());
        self.0.push((key.to_vec(), value));
    }

    pub(super) fn push_text(&mut self, key: &[u8], text: &(impl ToString + ?Sized)) {
        self.push(key, Value::Binary(text.to_string().into_bytes()));
    }

    /// Whether this is the `_auth` table that `key` makes for these octets; takes the same time whatever the code.
    fn is_by(&self, key: &Key, signed: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        let (name, code) = code(key, signed);
        matches!(self.value(name), Some(Value::Binary(given)) if given.ct_eq(&code).into())
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (key, value) in &self.0 {
            out.push(key.len() as u8);
            out.extend(key);
            value.write(out);
        }
    }
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let mut inner = Vec::new();
        let kind = match self {
            Value::Binary(octets) => {
                inner.extend(octets);
                kind::BINARY
            }
            Value::Table(table) => {
                table.write(&mut inner);
                kind::TABLE
            }
            Value::List(values) => {
                for value in values {
                    value.write(&mut inner);
                }
                kind::LIST
            }
        };
        out.push(kind);
        out.extend((inner.len() as u32).to_be_bytes());
        out.extend(inner);
    }
}

/// The pair that stands in `_auth`: the name of a kind of code, and the code of these octets.
fn code(key: &Key, signed: &[u8]) -> (&'static [u8], Vec<u8>) {
    let base64 = BASE64.encode(key.sign(&[signed]).octets());
    // The numbers that BIND's DST library gives these algorithms.
    let number = match key.algorithm() {
        Algorithm::HmacMd5 => return (HMD5, base64.as_bytes()[..HMD5_CODE].to_vec()),
        Algorithm::HmacSha1 => 161,
        Algorithm::HmacSha224 => 162,
        Algorithm::HmacSha256 => 163,
        Algorithm::HmacSha384 => 164,
        Algorithm::HmacSha512 => 165,
    };
    let mut code = vec![number];
    code.extend(base64.as_bytes());
    code.resize(1 + HSHA_CODE, 0);
    (HSHA, code)
}

struct Reader<'m>(&'m [u8]);

impl<'m> Reader<'m> {
    fn take(&mut self, len: usize) -> Result<&'m [u8], MessageError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(MessageError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, MessageError> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, MessageError> {
        let octets = self.take(4)?.try_into().map_err(|_| MessageError::Malformed)?;
        Ok(u32::from_be_bytes(octets))
    }

    fn pair(&mut self, depth: usize) -> Result<(&'m [u8], Value), MessageError> {
        let len = usize::from(self.u8()?);
        let key = self.take(len)?;
        Ok((key, self.value(depth)?))
    }

    fn value(&mut self, depth: usize) -> Result<Value, MessageError> {
        if depth >= MAX_DEPTH {
            return Err(MessageError::Malformed);
        }
        let kind = self.u8()?;
        let len = self.u32()? as usize;
        let mut inner = Reader(self.take(len)?);
        match kind {
            kind::BINARY => Ok(Value::Binary(inner.0.to_vec())),
            kind::TABLE => inner.table(depth + 1).map(Value::Table),
            kind::LIST => {
                let mut values = Vec::new();
                while !inner.0.is_empty() {
                    values.push(inner.value(depth + 1)?);
                }
                Ok(Value::List(values))
            }
            _ => Err(MessageError::Malformed),
        }
    }

    /// The pairs that are left, if each key is there once.
    fn table(&mut self, depth: usize) -> Result<Table, MessageError> {
        let mut table = Table::default();
        while !self.0.is_empty() {
            let (key, value) = self.pair(depth)?;
            if table.value(key).is_some() {
                return Err(MessageError::Malformed);
            }
            table.0.push((key.to_vec(), value));
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(algorithm: Algorithm) -> Key {
        Key::new("k", algorithm, &BASE64.encode(b"0123456789abcdef0123456789abcdef")).unwrap()
    }

    /// The first message of rndc 9.18 and named's answer, with hmac-sha256.
    const NULL: &str = "00000001055f61757468020000006304687368610100000059a3343774376f66487939636b76306c6d416a59444f6945583546625358314b7056326458554233797170336b3d\
        0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000055f6374726c020000003c045f736572010000000a32343132373233353835\
        045f74696d010000000a31373935323137373133045f657870010000000a31373935323137373733055f64617461020000000e047479706501000000046e756c6c";

    #[test]
    fn a_message_of_rndc_is_read() {
        let octets = data_encoding::HEXLOWER.decode(NULL.replace([' ', '\n'], "").as_bytes()).unwrap();
        let keys = [key(Algorithm::HmacSha512), key(Algorithm::HmacSha256)];
        let (table, by) = read(&octets, &keys).unwrap();
        assert_eq!(by.algorithm(), Algorithm::HmacSha256);
        assert_eq!(table.table(b"_ctrl").unwrap().number(b"_ser"), Some(2_412_723_585));
        assert_eq!(table.table(b"_data").unwrap().text(b"type"), Some("null"));
        assert_eq!(write(&table, by)[4..], octets, "written as rndc writes it");
        assert_eq!(read(&octets, &keys[..1]).unwrap_err(), MessageError::BadAuth);
        for at in 0..octets.len() {
            let mut spoilt = octets.clone();
            spoilt[at] ^= 1;
            assert!(read(&spoilt, &keys).is_err(), "octet {at}");
        }
    }

    #[test]
    fn every_algorithm_signs_and_is_told_from_the_others() {
        let mut table = Table::default();
        table.push_text(b"type", "status");
        for algorithm in Algorithm::ALL {
            let message = write(&table, &key(algorithm));
            for other in Algorithm::ALL {
                assert_eq!(read(&message[4..], &[key(other)]).is_ok(), other == algorithm);
            }
        }
    }

    #[test]
    fn nothing_is_deep_or_twice() {
        let nested = |depth: usize| {
            (0..depth).fold(Value::Binary(b"x".to_vec()), |value, _| {
                let mut table = Table::default();
                table.push(b"t", value);
                Value::Table(table)
            })
        };
        let key = key(Algorithm::HmacSha256);
        let message = |value: Value| {
            let mut table = Table::default();
            table.push(b"_data", value);
            write(&table, &key)
        };
        assert!(read(&message(nested(9))[4..], std::slice::from_ref(&key)).is_ok());
        assert_eq!(read(&message(nested(10))[4..], std::slice::from_ref(&key)).unwrap_err(), MessageError::Malformed);
        let mut twice = Table::default();
        twice.push_text(b"type", "a");
        twice.0.push((b"type".to_vec(), Value::Binary(Vec::new())));
        assert_eq!(read(&write(&twice, &key)[4..], std::slice::from_ref(&key)).unwrap_err(), MessageError::Malformed);
    }

    proptest! {
        #[test]
        fn no_octets_are_too_odd(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let key = key(Algorithm::HmacSha256);
            let mut signed = Vec::new();
            let mut auth = Table::default();
            auth.push(HSHA, Value::Binary(code(&key, &octets).1));
            let mut first = Table::default();
            first.push(AUTH, Value::Table(auth));
            signed.extend(VERSION.to_be_bytes());
            first.write(&mut signed);
            signed.extend(&octets);
            if let Ok((table, _)) = read(&signed, std::slice::from_ref(&key)) {
                prop_assert_eq!(&write(&table, &key)[4..], &signed[..]);
            }
            let _ = read(&octets, std::slice::from_ref(&key));
        }
    }
}
