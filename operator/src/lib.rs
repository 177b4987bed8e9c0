//! Bindy: DNS as Kubernetes resources.
//!
//! A pure core and thin edges: [`api`] is what people write, [`compile`] turns it into zones and [`servers`] into the
//! servers that serve them, [`manifest`] reads it from files, [`state`] keeps serials across restarts, and [`serve`] puts
//! them together with the engine in one process.
//! [`check`] and [`plan`] tell beforehand what would be served; [`report`] is what they and `serve` tell.

#![forbid(unsafe_code)]

pub mod api;
pub mod check;
pub mod cli;
pub mod compile;
pub mod manifest;
pub mod plan;
pub mod report;
pub mod serve;
pub mod servers;
pub mod state;
mod terminal;
