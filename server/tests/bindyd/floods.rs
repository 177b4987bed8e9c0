//! Rate limits and cookies: `named` and `bindyd` under the same bursts, and with each other's cookies.

use std::{net::UdpSocket, time::Duration};

use bindy_tests::ports::free_port;

use super::{
    EXAMPLE, ZONE,
    server::{PATIENCE, Prepared, Server, dig, wait_until},
};

const SECRET: &str = "00112233445566778899aabbccddeeff";

/// A server and its port.
struct Peer {
    server: Server,
    port: u16,
}

impl Peer {
    /// `bindyd` and `named` with these statements in `options`, and this zone.
    fn both(options: &str, zone: &str) -> [Peer; 2] {
        [Peer::ours(options, zone), Peer::named(options, zone)]
    }

    fn ours(options: &str, zone: &str) -> Peer {
        let server = Prepared::new(options, EXAMPLE, &[("example.zone", zone)]).run();
        let port = server.port();
        Peer { server, port }
    }

    fn named(options: &str, zone: &str) -> Peer {
        let port = free_port();
        let options = format!("recursion no; dnssec-validation no; minimal-responses no; {options}");
        let mut prepared = Prepared::new(&options, "", &[("example.zone", zone)]);
        prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
        prepared.configure(EXAMPLE);
        let server = prepared.with_arguments(&["-f", "-n", "1", "-c", "named.conf"]).run_program("named");
        let named = Peer { server, port };
        wait_until(|| named.dig(&["+time=1", "www.example.com", "-b", EXEMPT]).contains("NOERROR"), "named answers");
        named
    }

    fn dig(&self, question: &[&str]) -> String {
        dig("127.0.0.1", self.port, question)
    }

    /// The outcomes of several questions at once, as one letter each: `A`nswer, `T`runcated, bad`C`ookie, `.` for none.
    fn burst(&self, question: impl Fn(u16) -> Vec<u8>) -> String {
        const QUESTIONS: u16 = 16;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", self.port)).unwrap();
        for id in 0..QUESTIONS {
            socket.send(&question(id)).unwrap();
        }
        // Requests are answered in order: a question without a response by then gets none.
        let last = UdpSocket::bind((EXEMPT, 0)).unwrap();
        last.set_read_timeout(Some(PATIENCE)).unwrap();
        last.send_to(&asked(99, "www.example.com", 1, &[]), ("127.0.0.1", self.port)).unwrap();
        last.recv(&mut [0; 512]).expect("an exempt client is answered");
        let mut outcomes = vec!['.'; QUESTIONS.into()];
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut response = [0; 4096];
        while let Ok(length) = socket.recv(&mut response) {
            let truncated = response[2] & 2 != 0;
            // The upper bits of the response code are in the OPT, which is owned by the root and comes last here.
            let bad_cookie = response[..length].windows(6).any(|opt| opt[..3] == [0, 0, 41] && opt[5] == 1);
            outcomes[usize::from(response[1])] = match (truncated, bad_cookie) {
                (true, _) => 'T',
                (_, true) => 'C',
                _ => 'A',
            };
        }
        outcomes.into_iter().collect()
    }
}

/// A client that is never limited.
const EXEMPT: &str = "127.0.0.9";

/// A question over UDP with an OPT that has these options.
fn asked(id: u16, name: &str, rtype: u16, options: &[u8]) -> Vec<u8> {
    let name = zonefmt::Name::from_ascii(name).unwrap();
    [
        &id.to_be_bytes()[..],
        &[0, 0, 0, 1, 0, 0, 0, 0, 0, 1],
        name.as_ref().as_wire(),
        &rtype.to_be_bytes(),
        &[0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0],
        &u16::try_from(options.len()).unwrap().to_be_bytes(),
        options,
    ]
    .concat()
}

fn limits(more: &str) -> String {
    format!("rate-limit {{ responses-per-second 1; window 5; exempt-clients {{ {EXEMPT}; }}; {more} }};")
}

fn zone() -> String {
    format!(
        "{ZONE}*.wild A 192.0.2.2\nalias CNAME nowhere\nsub NS ns.sub\nns.sub A 192.0.2.3\ndname DNAME elsewhere.\n"
    )
}

/// A burst without the answers at its start, of which there are few; how many depends on the timing.
fn limited(burst: &str) -> &str {
    let limited = burst.trim_start_matches('A');
    assert!((12..16).contains(&limited.len()), "{burst}");
    &limited[..12]
}

#[test]
fn what_is_limited_is_what_named_limits() {
    let peers = Peer::both(&limits(""), &zone());
    let same_for_all = |name: &'static str, rtype| move |id| asked(id, name, rtype, &[]);
    let one_each = |below: &'static str, rtype| move |id| asked(id, &format!("x{id}.{below}"), rtype, &[]);
    for peer in &peers {
        let slips = "T.T.T.T.T.T.";
        assert_eq!(limited(&peer.burst(same_for_all("www.example.com", 1))), slips);
        assert_eq!(limited(&peer.burst(same_for_all("alias.example.com", 1))), slips);
        assert_eq!(limited(&peer.burst(|id| asked(id, "ns.example.com", 16 + id % 8, &[]))), slips);
        for below in ["example.com", "wild.example.com", "sub.example.com", "dname.example.com"] {
            assert_eq!(limited(&peer.burst(one_each(below, 1))), slips, "{below}");
        }
        assert_eq!(limited(&peer.burst(one_each("elsewhere", 1))), "............", "errors never slip");
        let different = peer.burst(|id| asked(id, "ns.example.com", 1, &[]));
        assert!(different.starts_with('A'), "another name");
    }
}

#[test]
fn slips_are_as_named_has_them() {
    for (slip, expected) in [(0, "............"), (1, "TTTTTTTTTTTT"), (3, "T..T..T..T..")] {
        for peer in Peer::both(&limits(&format!("slip {slip};")), &zone()) {
            assert_eq!(limited(&peer.burst(|id| asked(id, "www.example.com", 1, &[]))), expected);
        }
    }
    for peer in Peer::both(
        &limits("responses-per-second 1000; all-per-second 1;").replacen("responses-per-second 1;", "", 1),
        &zone(),
    ) {
        let burst = peer.burst(|id| asked(id, "www.example.com", id, &[]));
        assert!(limited(&burst).chars().all(|outcome| outcome == '.'), "{burst}");
    }
    for peer in Peer::both(&limits("log-only yes;"), &zone()) {
        assert_eq!(peer.burst(|id| asked(id, "www.example.com", 1, &[])), "AAAAAAAAAAAAAAAA");
    }
}

#[test]
fn a_response_that_slips_is_empty_and_leads_on() {
    for peer in Peer::both(&limits("slip 1;"), &zone()) {
        let ask = |name: &str| {
            peer.burst(|id| asked(id, name, 1, &[]));
            peer.dig(&["+nocookie", "+ignore", "+noad", name])
        };
        let answer = ask("www.example.com");
        assert!(answer.contains("status: NOERROR") && answer.contains("flags: qr aa tc rd"), "{answer}");
        assert!(answer.contains("ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1"), "{answer}");
        let negative = ask("x.example.com");
        assert!(negative.contains("status: NXDOMAIN") && negative.contains(" tc "), "{negative}");
        assert_eq!(peer.dig(&["+nocookie", "+short", "www.example.com"]), "192.0.2.1\n", "over TCP it is answered");
    }
}

#[test]
fn a_network_has_rates_of_our_own_in_several_sizes() {
    let rates = "responses-per-second 1000; ipv4-network-rates { 32 1000; 20 1; };";
    let peer = Peer::ours(&limits(rates).replacen("responses-per-second 1;", "", 1), &zone());
    assert_eq!(limited(&peer.burst(|id| asked(id, "www.example.com", id, &[]))), "T.T.T.T.T.T.");
}

#[test]
fn the_log_tells_when_limiting_starts_and_stops() {
    let options = limits("").replace("window 5", "window 1");
    let mut peer = Peer::ours(&options, &zone());
    peer.burst(|id| asked(id, &format!("x{id}.example.com"), 1, &[]));
    peer.server.says("limit NXDOMAIN responses to 127.0.0.0/24 for example.com.");
    peer.server.says("stop limiting NXDOMAIN responses to 127.0.0.0/24 for example.com.");
    peer.burst(|id| asked(id, "www.example.com", 1, &[]));
    peer.server.says("limit responses to 127.0.0.0/24 for www.example.com. A");
    // A reload resets the balances.
    peer.server.reload();
    peer.server.says("reloading configuration succeeded");
    assert!(peer.burst(|id| asked(id, "www.example.com", 1, &[])).starts_with('A'));
    assert!(peer.server.stop().success());
}

/// The cookie in a response.
fn cookie(answer: &str) -> String {
    let (_, rest) = answer.split_once("COOKIE: ").unwrap_or_else(|| panic!("no cookie in {answer}"));
    rest.split_whitespace().next().unwrap_or_default().into()
}

#[test]
fn servers_with_one_secret_take_each_others_cookies() {
    let first_is = |secret: &str| format!("require-server-cookie yes; cookie-secret \"{secret}\";");
    let options = first_is(SECRET) + "cookie-secret \"ffeeddccbbaa99887766554433221100\";";
    let ours = Peer::both(&options, &zone());
    let [other, _] = Peer::both(&first_is("ffeeddccbbaa99887766554433221100"), &zone());
    let ask = |peer: &Peer, option: &str| peer.dig(&[option, "+nobadcookie", "www.example.com"]);
    for giver in ours.iter().chain([&other]) {
        let given = ask(giver, "+cookie=0011223344556677");
        assert!(given.contains("status: BADCOOKIE") && given.contains("ANSWER: 0"), "{given}");
        let cookie = cookie(&given);
        assert!(cookie.starts_with("0011223344556677") && cookie.len() == 48, "{cookie}");
        for taker in &ours {
            let answer = ask(taker, &format!("+cookie={cookie}"));
            assert!(answer.contains("status: NOERROR") && answer.contains("ANSWER: 1"), "{answer}");
            let forged = ask(taker, &format!("+cookie=ff{}", &cookie[2..]));
            assert!(forged.contains("status: BADCOOKIE"), "{forged}");
        }
    }
    for peer in &ours {
        assert!(ask(peer, "+nocookie").contains("status: NOERROR"), "who knows no cookies needs none");
        assert!(peer.dig(&["+cookie", "+tcp", "www.example.com"]).contains("status: NOERROR"), "nor over TCP");
        assert!(peer.dig(&["+cookie", "www.example.com"]).contains("status: NOERROR"), "dig asks again by itself");
    }
}

#[test]
fn cookies_are_read_as_named_reads_them() {
    for peer in Peer::both("", &zone()) {
        let bare = peer.dig(&["+header-only", "+cookie"]);
        assert!(bare.contains("status: NOERROR") && bare.contains("QUERY: 0") && bare.contains("(good)"), "{bare}");
        assert!(peer.dig(&["+header-only", "+nocookie"]).contains("status: FORMERR"));
        for (octets, status) in [(0, "FORMERR"), (7, "FORMERR"), (8, "NOERROR"), (9, "FORMERR"), (15, "FORMERR")]
            .into_iter()
            .chain([(16, "NOERROR"), (24, "NOERROR"), (40, "NOERROR"), (41, "FORMERR")])
        {
            let option = format!("+ednsopt=10:{}", "a1".repeat(octets));
            let answer = peer.dig(&["+nocookie", &option, "www.example.com"]);
            assert!(answer.contains(&format!("status: {status}")), "{octets} octets: {answer}");
        }
        assert!(!peer.dig(&["+nocookie", "www.example.com"]).contains("COOKIE"));
    }
    for peer in Peer::both("answer-cookie no;", &zone()) {
        let answer = peer.dig(&["+cookie", "www.example.com"]);
        assert!(answer.contains("status: NOERROR"), "{answer}");
        assert!(!answer.contains("(good)"), "{answer}");
    }
}

#[test]
fn a_cookie_gives_more() {
    let large = (0..40).map(|i| format!("large A 192.0.2.{i}\n")).collect::<Vec<_>>().concat();
    let options = limits("") + "nocookie-udp-size 512;";
    for peer in Peer::both(&options, &(zone() + &large)) {
        let ask = |option: &str| peer.dig(&[option, "+ignore", "-b", EXEMPT, "large.example.com"]);
        let first = ask("+cookie=0011223344556677");
        assert!(first.contains(" tc "), "{first}");
        let mut known = cookie(&first);
        assert!(ask(&format!("+cookie={known}")).contains("ANSWER: 40"));
        // A cookie is valid for one address only.
        known = cookie(&peer.dig(&["+cookie=0011223344556677", "ns.example.com"]));
        let octets = data_encoding::HEXLOWER.decode(known.as_bytes()).unwrap();
        let option = [&[0, 10, 0, 24], &octets[..]].concat();
        assert_eq!(peer.burst(|id| asked(id, "www.example.com", 1, &option)), "AAAAAAAAAAAAAAAA");
        let option = [&[0, 10, 0, 8], &octets[..8]].concat();
        assert_eq!(limited(&peer.burst(|id| asked(id, "sub.example.com", 1, &option))), "C.C.C.C.C.C.");
    }
}
