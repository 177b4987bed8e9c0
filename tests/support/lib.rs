//! The code that the scenarios in this folder share.
//!
//! [`model`] is an authoritative server as the RFCs describe it, slow and obvious; [`engine`] is Bindy itself.
//! [`generate`] makes small random zones full of collisions, and all questions near them. [`message`] writes queries
//! and reads responses, and [`tsig`] signs and verifies them, both without any code of the engine; [`update`] writes
//! updates, and [`catalog`] catalog zones. [`peers`] starts other servers, on free [`ports`]. Names and records ([`name`], [`zone`]) are the tests' own
//! as well, because code shared with the engine could hide its mistakes.

#![forbid(unsafe_code)]
// In tests a panic reports a failure, and no caller minds a dropped value.
#![allow(clippy::missing_panics_doc, clippy::return_self_not_must_use)]

pub mod catalog;
pub mod engine;
pub mod generate;
pub mod message;
pub mod model;
pub mod name;
pub mod peers;
pub mod ports;
pub mod tsig;
pub mod update;
pub mod zone;
