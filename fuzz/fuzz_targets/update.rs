//! Fuzzes updates: any octets as a message to a small zone. What comes of it must be a whole change.

#![no_main]

use std::thread_local;

use bindy_server::zone::ZoneData;
use bindy_tests::{
    engine,
    update::{exercise, start},
};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static ZONE: ZoneData = engine::data(&start("ex."));
}

fuzz_target!(|octets: &[u8]| ZONE.with(|zone| drop(exercise(octets, zone))));
