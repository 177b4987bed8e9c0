//! Random catalog zones, as Bindy and a naive reader read them.

use bindy_tests::catalog::exercise;
use fastrand::Rng;

#[test]
fn catalogs_are_read_as_by_a_naive_reader() {
    let mut rng = Rng::with_seed(9432);
    let mut members = Vec::new();
    for _ in 0..50_000 {
        let octets: Vec<u8> = (0..rng.usize(..80)).map(|_| rng.u8(..)).collect();
        members.extend(exercise(&octets));
    }
    assert!(members.len() > 10_000 && members.iter().any(|&count| count > 1), "{}", members.len());
}
