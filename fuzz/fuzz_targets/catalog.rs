//! Fuzzes the reader of catalog zones: small zones of any records near the names that matter, compared with a naive
//! reading.

#![no_main]

use bindy_tests::catalog::exercise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    exercise(octets);
});
