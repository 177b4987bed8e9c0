//! An authoritative DNS engine; `bindyd` is the server made of it.
//!
//! A packet's way: [`listen`] receives, [`respond`] has `wire` parse it and picks the class, `answer` finds the zone and
//! answers from its data, `wire` writes, [`listen`] sends. [`zone`] is the data of one zone, [`zones`] what is served as a
//! whole, `chaos` what is served of the server itself. On that way all above [`listen`] is synchronous and takes octets, a
//! snapshot, a client and the time; there are no sockets, clocks or locks in it.
//!
//! [`cookies`] tell clients from those who only claim to be at their address, and [`limit`] bounds what those can do.
//!
//! [`control`] is what `rndc` speaks to, [`keys`] the secrets by which it is known; [`tsig`] has those of signed requests.
//!
//! [`stats`] counts what was asked and answered, and tells it to whoever watches; [`dnstap`] hands over the messages
//! themselves.
//!
//! [`config`] makes [`settings`], [`access`] lists, zones and [`logs`] of named.conf.

pub mod access;
mod answer;
mod chaos;
pub mod config;
pub mod control;
pub mod cookies;
pub mod dnstap;
pub mod keys;
pub mod limit;
pub mod listen;
pub mod logs;
pub mod respond;
pub mod settings;
pub mod stats;
pub mod tsig;
mod wire;
pub mod zone;
pub mod zones;

pub use wire::Rcode;
