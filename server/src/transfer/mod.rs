//! Zone transfers (RFC 5936, RFC 1995), and what makes a secondary ask for one.
//!
//! * [`outbound`]: how other servers get zones from this one.
//! * [`inbound`]: how a secondary gets its zones from primaries.
//! * [`notify`]: how this server's secondaries hear of new versions.
//!
//! The rules are apart from the sockets: what decides about messages and times takes octets and the present time, so
//! that tests and fuzzers call the same functions as the server.

pub mod inbound;
mod mailbox;
pub mod notify;
pub mod outbound;
mod pace;
mod source;
mod totals;

pub use source::SourceError;
pub use totals::Totals;

use std::{fmt, sync::Arc};

use zonefmt::Name;

use crate::logs::ZoneLine;

/// A zone of this server.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct ZoneId {
    /// The name of the view that declares the zone.
    view: Arc<str>,
    origin: Name,
}

/// The zone as log lines name it.
impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ZoneLine { origin: self.origin.as_ref(), view: &self.view }.fmt(f)
    }
}
