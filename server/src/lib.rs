//! An authoritative DNS engine. `bindyd` is the server built from it.
//!
//! A packet's way: [`listen`] receives, [`respond`] has `wire` parse it and picks the class, `answer` finds the zone and
//! answers from its data, `wire` writes, [`listen`] sends. [`zone`] is the data of one zone, [`zones`] what is served as a
//! whole, `chaos` what is served of the server itself. On that way all above [`listen`] is synchronous and takes octets, a
//! snapshot, a client and the time. It reads no clock and takes no lock, except while queries are logged or tapped.
//!
//! [`cookies`] separate clients that really are at their address from those that may be forging it, and [`limit`]
//! bounds what the latter can do. [`tsig`] holds the keys of signed requests, [`keys`] the secrets themselves. [`stats`]
//! counts requests and responses and reports the counters; [`dnstap`] exports the messages themselves; [`logs`] writes
//! the log.
//!
//! Dependencies between modules:
//!
//! * Each of these modules has types of its own for its configuration: [`settings`], [`access`] lists, the channels of
//!   [`logs`], the output of [`dnstap`], and so on. None of them knows named.conf.
//! * [`config`] reads named.conf into those types, and runs nothing.
//! * [`serve`] makes a running server from a configuration, and reloads it. Only [`control`], which handles the commands
//!   of `rndc`, and `bindyd` use it.

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
pub mod serve;
pub mod settings;
pub mod stats;
mod sync;
pub mod tsig;
mod wire;
pub mod zone;
pub mod zones;

pub use wire::Rcode;
