//! An authoritative DNS engine. `bindyd` is the server built from it.
//!
//! A packet travels from [`listen`], which receives it, to [`respond`], which has `wire` parse it and finds the view
//! that the client sees. `answer` finds the zone and answers from its data, `wire` writes the response, and [`listen`]
//! sends it. [`zone`] holds the data of one zone, [`zones`] everything that is served, and `chaos` the zones in which the
//! server describes itself. On this path everything above [`listen`] is synchronous and never waits: it takes octets, a
//! snapshot, a client and the time. It reads no clock and takes no lock, except while queries are logged or tapped.
//!
//! [`cookies`] separate clients that really are at their address from those that may be forging it, and [`limit`]
//! bounds what the latter can do. [`tsig`] holds the keys of signed requests, [`keys`] the secrets themselves. [`stats`]
//! counts requests and responses and reports the counters; [`dnstap`] exports the messages themselves; [`logs`] writes
//! the log. [`control`] receives the commands of `rndc`.
//!
//! [`transfer`] brings zones from one server to another, [`update`] makes the changes that clients ask for, and
//! [`catalog`] reads the zones that say which zones a secondary has; [`forward`] passes on what only a primary can judge.
//! Either way,
//! [`live`] is where a zone changes while it is served, and [`journal`] keeps its changes on the disk.
//!
//! Dependencies between modules:
//!
//! * Each of these modules has types of its own for its configuration: [`settings`], [`access`] lists, the channels of
//!   [`logs`], the output of [`dnstap`], and so on. None of them knows named.conf.
//! * [`config`] reads named.conf into those types, and runs nothing.
//! * [`serve`] makes a running server from a configuration, and reloads it. [`commands`] carries out what `rndc` asks of
//!   that server. Only `bindyd` uses these two.

pub mod access;
mod answer;
pub mod catalog;
mod chaos;
mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod cookies;
pub mod dnstap;
pub mod forward;
pub mod journal;
pub mod keys;
pub mod limit;
pub mod listen;
pub mod live;
pub mod logs;
pub mod respond;
pub mod serve;
pub mod settings;
mod stamp;
pub mod stats;
mod sync;
pub mod transfer;
pub mod tsig;
pub mod update;
mod wire;
pub mod zone;
pub mod zones;

pub use wire::{Malformed, Opcode, Rcode, message};
