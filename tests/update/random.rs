//! Long sequences of random updates: after each of them both have given the same response code and have the same records,
//! with the same serial. In the end both have logged the same.

use std::collections::BTreeSet;

use bindy_tests::{
    peers::{Peer, UPDATED},
    tsig::Key,
    update::{Content, content, start},
};
use fastrand::Rng;

use crate::{
    pair::{Pair, Sender},
    script::Script,
};

/// The number of updates of each zone.
const UPDATES: u16 = 400;

#[test]
fn bind_makes_the_same_of_random_updates() {
    for zone in ["ex.", "small."] {
        let codes = compare(zone, &[Sender::default()], |_| true);
        // Neither a refusal nor a success is rare.
        assert!(codes.len() >= 6, "{codes:?}");
    }
}

#[test]
fn bind_allows_the_same_to_every_client() {
    let names = ["k1", "k2", "a.policy", "host.policy"];
    let keys = names.map(|name| Key::new(name, b"secret"));
    let signed = names.iter().zip(&keys).map(|(name, key)| Sender { key: Some((name, key)), tcp: false });
    let unsigned = [false, true].map(|tcp| Sender { key: None, tcp });
    let senders: Vec<_> = signed.chain(unsigned).collect();
    // Deletions of PTR and SRV are among the differences.
    let alike = |line: &str| !(line.starts_with("delete") && (line.contains(" PTR") || line.contains(" SRV")));
    let codes = compare("policy.", &senders, alike);
    assert!(codes.contains(&0) && codes.contains(&5), "{codes:?}");
}

/// Compares updates of a zone by these senders, without the lines that may differ; returns the response codes.
fn compare(origin: &str, senders: &[Sender<'_>], alike: impl Fn(&str) -> bool) -> BTreeSet<u16> {
    let zone = start(origin);
    let peer = Peer::start(UPDATED, [&zone]);
    let (mut pair, mut rng, mut codes) = (Pair::new(&peer, &zone), Rng::with_seed(5), BTreeSet::new());
    for id in 0..UPDATES {
        let before = content(&pair.zone);
        let serial = pair.zone.serial().expect("the zone has a SOA").0;
        let mut lines = Script { rng: &mut rng, serial, content: before.iter().cloned().collect() }.lines();
        lines.retain(|line| alike(line));
        let from = senders[rng.usize(..senders.len())];
        let (theirs, ours) = pair.update(id, &lines, from);
        let context = || {
            let signer = from.key.map(|(name, _)| name);
            format!("{origin} update {id} by {signer:?}: {lines:#?}\nto {before:#?}\n{}", pair.their_log())
        };
        codes.insert(theirs);
        assert_eq!(ours, theirs, "our response code, and theirs: {}", context());
        let (ours, theirs) = (content(&pair.zone), pair.theirs());
        let only = |a: &Content, b: &Content| a.difference(b).cloned().collect::<Vec<_>>();
        let differ = (only(&ours, &theirs), only(&theirs, &ours));
        assert_eq!(differ, (vec![], vec![]), "only we have, and only they: {}", context());
    }
    assert_eq!(pair.logged_otherwise(), None, "theirs and ours: {origin}");
    codes
}
