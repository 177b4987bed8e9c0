//! What BIND does with an update, and we do not.

use bindy_tests::{
    peers::{Peer, UPDATED},
    update::{Content, Shown, content, start},
};

use crate::pair::{Pair, Sender};

/// A deliberate difference.
struct Difference {
    /// What BIND does, and why Bindy does not.
    reason: &'static str,
    lines: &'static [&'static str],
    theirs: Outcome,
    ours: Outcome,
}

/// The response code, by how much the serial grows, and the records that come.
type Outcome = (u16, u32, &'static [&'static str]);

const NOERROR: u16 = 0;
const SERVFAIL: u16 = 2;
const REFUSED: u16 = 5;

const DIFFERENCES: &[Difference] = &[
    Difference {
        reason: "BIND takes a TTL with the first bit set as it is. It stands for 0 (RFC 2181 8).",
        lines: &["add b 2147483653 A 192.0.2.1"],
        theirs: (NOERROR, 1, &["b.{} 2147483653 A 192.0.2.1"]),
        ours: (NOERROR, 1, &["b.{} 0 A 192.0.2.1"]),
    },
    Difference {
        reason: "BIND gives an owner the letter case of the latest update. Case means nothing (RFC 4343), so nothing has \
                 changed for us, and the serial stays.",
        lines: &["add A 300 TXT \"text 001\""],
        theirs: (NOERROR, 1, &[]),
        ours: (NOERROR, 0, &[]),
    },
    Difference {
        reason: "BIND counts a DS without NS, which it drops, as a change; there is none.",
        lines: &["add b 60 DS 1 13 1 ABABABABABABABABABABABABABABABABABABABAB"],
        theirs: (NOERROR, 1, &[]),
        ours: (NOERROR, 0, &[]),
    },
    Difference {
        reason: "BIND signs zones, and starts to make an NSEC3 chain. Here NSEC3PARAM would promise a chain that nobody \
                 makes.",
        lines: &["add @ 60 NSEC3PARAM 1 0 0 -"],
        theirs: (NOERROR, 1, &["{} 0 TYPE65534 \\# 6 0001A0000000"]),
        ours: (REFUSED, 0, &[]),
    },
    Difference {
        reason: "BIND keeps notes about signing in records of this type. For us it is a private type like the others.",
        lines: &["add @ 60 TYPE65534 \\# 1 01"],
        theirs: (NOERROR, 0, &[]),
        ours: (NOERROR, 1, &["{} 60 TYPE65534 \\# 1 01"]),
    },
    Difference {
        reason: "BIND fails at NSEC3 where it refuses NSEC. Neither may be updated.",
        lines: &["raw update a 0 ANY NSEC3 "],
        theirs: (SERVFAIL, 0, &[]),
        ours: (REFUSED, 0, &[]),
    },
    Difference {
        reason: "BIND takes an SOA with a serial 2³¹ ahead, and then fails to write it to its journal. It is not later \
                 (RFC 1982 3.2), so it is ignored like older ones.",
        lines: &["add @ 300 SOA ns hostmaster.ns 2147483649 7200 900 1209600 60"],
        theirs: (SERVFAIL, 0, &[]),
        ours: (NOERROR, 0, &[]),
    },
    Difference {
        reason: "BIND does not notice that an empty non-terminal has no address for an MX record. It would when the zone \
                 is loaded.",
        lines: &["add c.b 60 A 192.0.2.1", "add @ 60 MX 1 b"],
        theirs: (NOERROR, 1, &["c.b.{} 60 A 192.0.2.1", "{} 60 MX 1 b.{}"]),
        ours: (REFUSED, 0, &[]),
    },
];

#[test]
fn bind_differs_where_there_is_a_reason() {
    let zones: Vec<_> = (0..DIFFERENCES.len()).map(|row| start(&format!("row{row}."))).collect();
    let peer = Peer::start(UPDATED, &zones);
    for (difference, zone) in DIFFERENCES.iter().zip(&zones) {
        let Difference { reason, lines, theirs, ours } = difference;
        let mut pair = Pair::new(&peer, zone);
        let before = content(&pair.zone);
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let codes = pair.update(1, &lines, Sender::default());
        let seen = (outcome(codes.0, &before, &pair.theirs()), outcome(codes.1, &before, &content(&pair.zone)));
        assert_ne!(seen.0, seen.1, "no difference any more: {reason}");
        let expected = [theirs, ours].map(|(code, serials, records)| {
            let mut records: Vec<_> = records.iter().map(|text| text.replace("{}", &zone.origin.to_string())).collect();
            records.sort();
            (*code, *serials, records)
        });
        assert_eq!([seen.0, seen.1], expected, "theirs and ours: {reason}");
    }
}

#[test]
fn bind_does_not_ask_its_rules_about_a_ptr_that_is_not_there() {
    // For the sake of rules about the target, BIND asks only for the records that an update would really delete. We
    // refuse alike what is there and what is not, which keeps it secret.
    let zone = start("127.in-addr.arpa.");
    let peer = Peer::start(UPDATED, [&zone]);
    let mut pair = Pair::new(&peer, &zone);
    for line in ["delete 2.0.0 PTR", "delete 2.0.0 PTR host.other.", "delete 2.0.0 SRV"] {
        let codes = pair.update(1, &[line.to_string()], Sender { key: None, tcp: true });
        assert_eq!(codes, (NOERROR, REFUSED), "theirs and ours: {line}");
    }
}

#[test]
fn bind_counts_types_that_the_same_update_has_removed() {
    // Its limit is on what the memory for the name holds. Ours is on what the zone holds in the end.
    let zone = start("few.");
    let peer = Peer::start(UPDATED, [&zone]);
    let mut pair = Pair::new(&peer, &zone);
    let lines = ["delete a TXT", "add a 60 A 192.0.2.1", "add a 60 AAAA 2001:db8::1"].map(String::from);
    assert_eq!(pair.update(1, &lines, Sender::default()), (SERVFAIL, NOERROR), "theirs and ours");
}

/// The outcome of an update that made `after` of `before`.
fn outcome(code: u16, before: &Content, after: &Content) -> (u16, u32, Vec<String>) {
    let is_soa = |record: &&Shown| record.parts().2 == "SOA";
    let serial = |content: &Content| {
        let soa = content.iter().find(is_soa).expect("the zone has a SOA");
        soa.parts().3.split(' ').nth(2).and_then(|serial| serial.parse::<u32>().ok()).expect("a serial")
    };
    let come = after.difference(before).filter(|record| !is_soa(record)).map(|record| record.0.clone());
    (code, serial(after).wrapping_sub(serial(before)), come.collect())
}
