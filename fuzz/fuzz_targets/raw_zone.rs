//! Fuzzes raw zone files with any octets: what is read can be written and read again.

#![no_main]

#[path = "../../zonefmt/tests/zone/any_raw.rs"]
mod any_raw;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| any_raw::try_raw(octets));
