//! What keys are for, and what follows from that: where they are, what is recorded of them and under which names.

use super::material::Ring;
use crate::render::names;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The control channel of a server.
    Control,
    /// The transfers of zones to the servers of a cluster, or to one on its own.
    Transfer,
}

/// The field of a server's status with the name of the key by which all of its pods get their zones. The former one goes
/// by what it says.
pub const IN_USE: &str = "transferKey";

impl Purpose {
    /// All purposes.
    pub const ALL: [Purpose; 2] = [Purpose::Control, Purpose::Transfer];

    /// How people call such a key.
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Control => "RNDC",
            Purpose::Transfer => "transfer",
        }
    }

    /// The type of the condition that says whether such a key is being replaced, and why not.
    pub fn condition(self) -> &'static str {
        match self {
            Purpose::Control => "RotationDue",
            Purpose::Transfer => "TransferRotationDue",
        }
    }

    /// The field of a status that says how old such a key is.
    pub fn status(self) -> &'static str {
        match self {
            Purpose::Control => "rndcKeyRotation",
            Purpose::Transfer => "transferKeyRotation",
        }
    }

    /// The field of a declaration that says how such a key is replaced.
    pub(super) fn field(self) -> &'static str {
        match self {
            Purpose::Control => "rndcKey",
            Purpose::Transfer => "transferKey",
        }
    }

    /// The name of the Secret with such a key of a server or cluster.
    pub fn secret(self, owner: &str) -> String {
        match self {
            Purpose::Control => names::rndc_secret(owner),
            Purpose::Transfer => names::transfer_secret(owner),
        }
    }

    /// The name of an annotation of that Secret.
    pub(super) fn note(self, name: &str) -> String {
        let prefix = match self {
            Purpose::Control => "rndc",
            Purpose::Transfer => "transfer",
        };
        names::ours(&format!("{prefix}-{name}"))
    }

    /// The name of a key that replaces these. Servers that transfer zones tell keys apart by their names.
    pub(super) fn successor(self, Ring { used, other }: &Ring) -> String {
        match (self, other) {
            (Purpose::Control, _) => used.name().to_owned(),
            (Purpose::Transfer, other) => {
                let newest = other.iter().chain([used]).max_by_key(|key| names::key_number(key.name()));
                names::next_key(newest.unwrap_or(used).name())
            }
        }
    }
}
