//! Zone transfers (RFC 5936, RFC 1995), and what makes a secondary ask for one.
//!
//! * [`outbound`]: how other servers get zones from this one.
//! * [`inbound`]: how a secondary gets its zones from primaries.
//! * [`notify`]: how this server's secondaries hear of new versions.
//!
//! The rules are apart from the sockets: what decides about messages and times takes octets and the present time, so
//! that tests and fuzzers call the same functions as the server.

pub mod inbound;
pub mod notify;
pub mod outbound;
mod pace;
mod totals;

pub use totals::Totals;
