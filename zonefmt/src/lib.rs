//! DNS text formats, in both directions: zone files and named.conf.
//!
//! [`Name`] and [`Rtype`] are the vocabulary that all crates of Bindy share. The rdata table describes the data of each
//! record type, in text and on the wire; the zone parser and writer, the checks and the answer path all use that one
//! table. Nothing in this crate opens a socket or depends on the server.

#![forbid(unsafe_code)]

pub mod conf;
pub mod diagnostics;
pub mod durable;
mod name;
pub mod rdata;
mod record;
pub mod terminal;
pub mod zone;

pub use name::{Labels, MAX_NAME, Name, NameBuf, NameError, NameRef, parse_into, unescape};
pub use record::{Class, Rtype, Serial};
