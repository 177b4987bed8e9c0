//! Tests zone files against real peers and random input.

mod any_raw;
mod any_text;
mod peers;
mod random;
mod raw;
mod support;
