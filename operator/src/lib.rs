//! Bindy: DNS as Kubernetes resources.
//!
//! The crate has a pure core and thin edges. [`api`] has the types of the resources that users write. [`compile`] turns
//! them into zones, [`servers`] into the servers that serve the zones, and [`render`] these into the objects of
//! Kubernetes ([`object`]) that run them. [`manifest`] reads resources from files,
//! [`state`] keeps serials across restarts, and [`serve`] puts all of this together with the server's engine in one
//! process. [`run`] does so in a Kubernetes cluster, which [`cluster`] watches and writes, and for which [`keys`] makes
//! keys. [`check`] and [`plan`] show in advance what would be served; [`report`] is the output that they share with
//! `serve`.

#![forbid(unsafe_code)]

pub mod api;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod compile;
pub mod dynamic;
mod gather;
pub mod keys;
pub mod manifest;
pub mod object;
pub mod plan;
pub mod render;
pub mod report;
mod rounds;
pub mod run;
pub mod serve;
pub mod servers;
mod soa;
pub mod state;
mod terminal;
