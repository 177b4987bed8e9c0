//! Tests zone files against real peers and random input.

mod peers;
mod random;
mod raw;
mod support;
