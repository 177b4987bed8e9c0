//! Bindy: DNS as Kubernetes resources.
//!
//! A pure core and thin edges: [`api`] is what people write, [`compile`] turns it into zones, [`manifest`] reads it from
//! files, [`state`] keeps serials across restarts, and [`serve`] puts them together with the engine in one process.

#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod compile;
pub mod manifest;
pub mod serve;
pub mod state;
