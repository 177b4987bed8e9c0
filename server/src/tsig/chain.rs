//! The signatures of a response that consists of several messages (RFC 8945 5.3.1).

use zonefmt::Name;

use super::{FUDGE, Reply, Signed, Signer, TsigKey, code};
use crate::{
    keys::Key,
    wire::tsig::{TsigRecord, times},
};

/// The signatures of a response of several messages. All of them are signed.
pub(crate) struct Chain {
    key: TsigKey,
    secret: Key,
    /// The key's name as the request has it.
    owner: Name,
    algorithm: Name,
    mac_octets: usize,
    /// The code of the message before: first, that of the request.
    prior: Vec<u8>,
    is_first: bool,
}

impl Chain {
    /// The signatures of the response to a request; `None` if the request's signature is not valid.
    pub(crate) fn of(reply: &Reply<'_>) -> Option<Chain> {
        let Signer { key, secret } = reply.signer()?;
        Some(Chain {
            key: key.clone(),
            secret: secret.clone(),
            owner: reply.key.as_ref().to_owned(),
            algorithm: reply.to.algorithm.to_owned(),
            mac_octets: reply.mac_octets(),
            prior: reply.to.mac.to_vec(),
            is_first: true,
        })
    }

    /// The octets that a signature adds to a message.
    pub(crate) fn octets(&self) -> usize {
        TsigRecord::octets(self.owner.as_ref(), self.algorithm.as_ref(), self.mac_octets, 0)
    }

    /// Signs the next message, in the first `length` octets of `message`, and returns its new length; `None` if there
    /// is not enough room.
    pub(crate) fn sign(&mut self, message: &mut [u8], length: usize, now: u64) -> Option<usize> {
        let mut record = TsigRecord {
            key: self.owner.as_ref(),
            algorithm: self.algorithm.as_ref(),
            times: times(now, FUDGE),
            mac: &[],
            original_id: *message.first_chunk()?,
            error: [0; 2],
            other: &[],
        };
        let signed = if self.is_first { Signed::Whole } else { Signed::Times };
        let signer = Signer { key: &self.key, secret: &self.secret };
        let mac = code(signer, Some(&self.prior), &[&message[..length]], &record, signed);
        record.mac = &mac.octets()[..self.mac_octets];
        let length = record.append(message, length)?;
        self.prior = record.mac.to_vec();
        self.is_first = false;
        Some(length)
    }
}
