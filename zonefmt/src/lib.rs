//! DNS text formats, in both directions: zone files and named.conf.
//!
//! [`Name`] and [`Rtype`] are the vocabulary that every other crate shares. The rdata table says what each record
//! type looks like, in text and on the wire; the zone parser and writer, the checks and the answer path all read
//! that one table. Nothing here opens a socket or knows of a server.

#![forbid(unsafe_code)]

pub mod conf;
pub mod diagnostics;
mod name;
pub mod rdata;
mod record;
pub mod zone;

use name::NameBuf;
pub use name::{Labels, MAX_NAME, Name, NameError, NameRef, parse_into, unescape};
pub use record::{Class, Rtype, Serial};
