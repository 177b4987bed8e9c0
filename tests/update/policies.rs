//! Rules about the addresses of clients, and limits that random updates seldom meet, compared with BIND's.

use bindy_tests::{
    peers::{Peer, UPDATED},
    update::{content, start},
};

use crate::pair::{Pair, Sender};

const NOERROR: u16 = 0;
const SERVFAIL: u16 = 2;
const REFUSED: u16 = 5;

/// Sends updates over UDP or TCP; both give the expected response codes and have the same records.
fn both(origin: &str, updates: &[(bool, &[&str], u16)]) {
    let zone = start(origin);
    let peer = Peer::start(UPDATED, [&zone]);
    let mut pair = Pair::new(&peer, &zone);
    for (id, (tcp, lines, code)) in (0..).zip(updates) {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let codes = pair.update(id, &lines, Sender { key: None, tcp: *tcp });
        assert_eq!(codes, (*code, *code), "theirs and ours: {lines:?}\n{}", pair.their_log());
        assert_eq!(pair.theirs(), content(&pair.zone), "{lines:?}");
    }
    assert_eq!(pair.logged_otherwise(), None, "theirs and ours: {origin}");
}

#[test]
fn clients_may_update_the_name_of_their_address() {
    let (udp, tcp) = (false, true);
    both(
        "127.in-addr.arpa.",
        &[
            (tcp, &["add 1.0.0 60 PTR host.other."], NOERROR),
            (tcp, &["add 1.0.0 60 PTR second.other."], NOERROR),
            (tcp, &["add 1.0.0 60 TXT text", "add 1.0.0 60 TXT more"], NOERROR),
            (tcp, &["add 1.0.0 60 HINFO a b"], REFUSED),
            (tcp, &["add 2.0.0 60 PTR host.other."], REFUSED),
            (udp, &["add 1.0.0 60 TXT udp"], REFUSED),
            (tcp, &["delete 1.0.0"], NOERROR),
            (udp, &[], REFUSED),
            (tcp, &[], NOERROR),
        ],
    );
    both(
        "2.0.0.2.ip6.arpa.",
        &[
            (tcp, &["add 1.0.0.0.0.0.f.7 60 NS host.other."], NOERROR),
            (tcp, &["add 2.0.0.0.0.0.f.7 60 NS host.other."], REFUSED),
            (udp, &["add 1.0.0.0.0.0.f.7 60 NS more.other."], REFUSED),
        ],
    );
}

#[test]
fn a_name_has_no_more_types_than_allowed() {
    both(
        "few.",
        &[
            (false, &["add a 60 A 192.0.2.1"], NOERROR),
            (false, &["add a 60 AAAA 2001:db8::1"], SERVFAIL),
            (false, &["add b 60 A 192.0.2.1", "add b 60 TXT text", "add b 60 AAAA 2001:db8::1"], SERVFAIL),
            (false, &["add b 60 A 192.0.2.1", "add b 60 TXT text"], NOERROR),
        ],
    );
}
