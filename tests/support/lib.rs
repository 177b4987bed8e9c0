//! What the scenarios in this folder share.
//!
//! [`model`] is an authoritative server as the RFCs describe it, slow and obvious; [`engine`] is Bindy itself;
//! [`generate`] makes small random zones full of collisions, and every question near them; [`message`] writes queries and
//! reads responses without any code of the engine, [`tsig`] signs and judges them so; [`peers`] starts the servers of
//! other makers. Names and records here ([`name`], [`zone`]) are the tests' own: what the engine shares with them could
//! hide its mistakes.

#![forbid(unsafe_code)]
// Here a panic is how a test fails, and no caller minds a dropped value.
#![allow(clippy::missing_panics_doc, clippy::return_self_not_must_use)]

pub mod engine;
pub mod generate;
pub mod message;
pub mod model;
pub mod name;
pub mod peers;
pub mod tsig;
pub mod zone;
