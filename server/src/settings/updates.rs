//! The settings of dynamic updates.

use super::Limits;
use crate::update::{Policy, SerialMethod};

/// How a zone is updated.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Updates {
    /// Who may change what.
    pub policy: Policy,
    /// How the zone's next serial is found (`serial-update-method`).
    pub serial: SerialMethod,
    /// How much the zone may hold.
    pub limits: Limits,
    /// The checks that a change must pass.
    pub checks: Checks,
}

/// The checks that a change must pass. Those that would only cause a warning are left out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is another check.
pub struct Checks {
    /// `check-names primary fail`: host names have only letters, digits and hyphens.
    pub names: bool,
    /// `check-integrity`: the hosts of new MX records have addresses, if they lie in the zone.
    pub integrity: bool,
    /// `check-mx fail`: the hosts of new MX records do not look like addresses.
    pub mx: bool,
    /// The zone's name servers have addresses, if they lie in the zone.
    pub servers: bool,
}

impl Default for Checks {
    /// The defaults of `named -C`.
    fn default() -> Checks {
        Checks { names: true, integrity: true, mx: false, servers: true }
    }
}
