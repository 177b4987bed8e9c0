//! An authoritative DNS engine; `bindyd` is the server made of it.
//!
//! A request's way: [`listen`] receives it, [`respond`] has `wire` parse it and picks the view, `answer` finds the zone and
//! answers from its data, `wire` writes the response, [`listen`] sends it. [`zone`] is the data of one zone, [`zones`] all
//! that is served, `chaos` the zones in which the server describes itself. On that way everything above [`listen`] is
//! synchronous and takes octets, a snapshot, a client and the time; there are no sockets, clocks or locks in it.
//!
//! [`cookies`] tell clients from those who only claim to be at their address, and [`limit`] bounds what the latter can do.
//! [`tsig`] has the keys of signed requests, [`keys`] the secrets themselves. [`stats`] counts requests and responses and
//! reports the counters; [`dnstap`] hands over the messages themselves; [`logs`] writes what happened.
//!
//! Who may use whom:
//!
//! * Each of these modules says in types of its own what can be configured of it: [`settings`], [`access`] lists, the
//!   channels of [`logs`], the output of [`dnstap`], and so on. None of them knows named.conf.
//! * [`config`] reads named.conf into those types, and runs nothing.
//! * [`serve`] makes a running server of a configuration, and reloads it. Only [`control`], whose commands `rndc` sends,
//!   and `bindyd` use it.

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
pub mod tsig;
mod wire;
pub mod zone;
pub mod zones;

pub use wire::Rcode;
