//! The engine.

pub mod listen;
