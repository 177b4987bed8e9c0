//! An authoritative DNS engine; `bindyd` is the server made of it.
//!
//! A packet's way: [`listen`] receives, [`respond`] parses and finds view and zone, `answer` answers from the zone's
//! data, `wire` writes, [`listen`] sends. [`zone`] is the data of one zone, [`zones`] what is served as a whole. All
//! above [`listen`] is synchronous and takes octets, a snapshot and a client; there are no sockets, clocks or locks in it.

pub mod access;
mod answer;
mod chaos;
pub mod config;
pub mod listen;
pub mod logs;
pub mod respond;
pub mod settings;
mod wire;
pub mod zone;
pub mod zones;

pub use wire::Rcode;
