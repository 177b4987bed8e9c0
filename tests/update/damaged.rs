//! Updates that were damaged on their way, or written by an attacker: they do no harm.

use bindy_tests::{
    engine,
    update::{Line, content, exercise, message, start},
};
use fastrand::Rng;

use crate::script::Script;

#[test]
fn damaged_updates_do_no_harm() {
    let (mut zone, mut rng) = (engine::data(&start("ex.")), Rng::with_seed(6));
    let origin = zone.origin().to_owned();
    let mut changes = 0;
    for id in 0..5_000 {
        let serial = zone.serial().expect("the zone has a SOA").0;
        let lines = Script { rng: &mut rng, serial, content: content(&zone).into_iter().collect() }.lines();
        let lines: Vec<Line> = lines.iter().map(|line| Line::read(line, origin.as_ref())).collect();
        let mut octets = message(&origin, id, &lines);
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(..octets.len());
            octets[at] = [0xc0, rng.u8(..), octets[at] ^ 1][rng.usize(..3)];
        }
        octets.truncate(if rng.u8(..8) == 0 { rng.usize(..octets.len()) } else { octets.len() });
        if let Some(new) = exercise(&octets, &zone) {
            zone = new;
            changes += 1;
        }
    }
    assert!(changes > 500, "{changes}");
}
