//! Fuzzes raw zone files with any octets: what is read can be written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonefmt::zone;

fuzz_target!(|octets: &[u8]| zone::fuzz_raw(octets));
