//! Commands of rndc about things that this server does not have, and the text of zones, compared with the answers of
//! `named`.

use super::control::Controlled;

/// One command per line: first those for resolvers, then those for signing, then those that change or show settings.
const COMMANDS: &str = "
    notify
    notify example.com
    notify example.org
    validation
    validation status
    validation check
    validation status _default
    validation status inside
    validation on inside
    validation off _default
    validation maybe
    secroots
    secroots -
    secroots - _default
    secroots - inside
    nta
    nta -dump
    serve-stale
    serve-stale status
    serve-stale on
    serve-stale off
    serve-stale reset
    serve-stale sometimes
    managed-keys
    managed-keys status
    managed-keys refresh
    managed-keys sync
    managed-keys frobnicate
    testgen
    testgen 5
    testgen 0
    testgen x
    testgen 100
    testgen 30000
    flush
    flush _default
    flush inside
    flushname
    flushname www.example.com
    flushname www.example.com _default
    flushname www.example.com inside
    flushtree
    flushtree example.com inside
    recursing
    null and void
    signing
    signing -clear
    signing -clear all
    signing -clear all example.com
    signing -clear 123/8 example.com
    signing -clear x example.com
    signing -clear all example.org
    signing -nsec3param
    signing -nsec3param none example.com
    signing -nsec3param none example.org
    signing -nsec3param 1 0
    signing -nsec3param 1 0 0 ABC example.com
    signing -nsec3param 1 0 0 xyz example.com
    signing -nsec3param x 0 0 - example.com
    signing -nsec3param 1 300 0 - example.com
    signing -nsec3param 300 0 0 - example.com
    signing -nsec3param 1 0 1000 - example.com
    signing -nsec3param 1 0 0 - example.org
    signing -serial
    signing -serial x example.com
    signing -serial 5
    signing -serial 5 example.com
    signing -serial 5 example.org
    dnssec -status
    dnssec -rollover
    dnssec -rollover example.com
    dnssec -rollover -key
    dnssec -rollover -key 5
    dnssec -rollover -key x example.com
    dnssec -rollover -key 70000 example.com
    dnssec -rollover -key 5 example.com
    dnssec -rollover -key 5 example.org
    dnssec -rollover -key 5 -alg
    dnssec -rollover -key 5 -alg 8 example.com
    dnssec -rollover -key 5 -alg ECDSAP256SHA256 example.com
    dnssec -rollover -key 5 -alg none-such example.com
    dnssec -rollover -key 5 -when
    dnssec -rollover -key 5 -when 20300101000000 example.com
    dnssec -rollover -key 5 -when soon example.com
    dnssec -rollover -soon example.com
    dnssec -checkds
    dnssec -checkds published
    dnssec -checkds example.com
    dnssec -checkds published example.com
    dnssec -checkds withdrawn example.com
    dnssec -checkds published example.org
    dnssec -checkds -key 5 -alg 13 published example.com
    dnssec -step example.com
    tcp-timeouts
    tcp-timeouts 300
    tcp-timeouts 300 300 300
    tcp-timeouts x 300 300 300
    tcp-timeouts -1 300 300 300
    tcp-timeouts 99999999999 300 300 300
    tcp-timeouts 24 300 300 300
    tcp-timeouts 1201 300 300 300
    tcp-timeouts 300 0 300 300
    tcp-timeouts 300 300 65536 300
    tcp-timeouts 300 300 300 65536
    tcp-timeouts 1200 1200 65535 0 more
    tcp-timeouts
    reconfig
    tcp-timeouts
    dumpdb -zones inside
    dumpdb -zones _bind inside
";

#[test]
fn what_there_is_none_of_is_told_as_by_named() {
    let (ours, named) = (Controlled::ours(""), Controlled::named(""));
    for row in COMMANDS.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let command: Vec<_> = row.split(' ').collect();
        let told = |server: &Controlled| {
            let (success, text) = server.told(&command);
            let day = text.split_once("secure roots as of ").map(|(_, rest)| rest.lines().next().unwrap_or_default());
            assert!(day.is_none_or(|day| day.len() == "21-Nov-2026 12:41:28.462:".len()), "{text}");
            (success, day.map_or(text.clone(), |day| text.replace(day, "")))
        };
        assert_eq!(told(&ours), told(&named), "{row}");
    }
}

#[test]
fn a_chain_of_nsec3_for_a_zone_that_is_not_signed_is_refused() {
    // named stores the parameters in the zone for when there are keys.
    let ours = Controlled::ours("");
    let (success, text) = ours.told(&["signing", "-nsec3param", "1", "0", "0", "-", "example.com"]);
    assert!(!success && text.contains("not dynamic") && text.contains("zones are not signed here"), "{text}");
}

#[test]
fn zones_are_dumped_as_by_named() {
    const RECORDS: &str = "b TXT x\nb 60 A 192.0.2.9\nb 60 A 192.0.2.10\nb AAAA 2001:db8::1\nb MX 10 www\nb MX 5 www\n\
                           *.b HINFO a \"b c\"\n@ NS a.elsewhere.\n@ TXT \"long text\"\nA\\.b TXT y\n";
    let (ours, named) = (Controlled::ours(""), Controlled::named(""));
    let dump = |server: &Controlled, file: &str| {
        let zone = format!("{}{RECORDS}", super::zone(2, "192.0.2.2"));
        server.server.write("example.zone", &zone);
        assert!(server.told(&["reload", "example.com"]).0);
        assert_eq!(server.told(&["dumpdb", "-zones"]), (true, String::new()));
        server.server.writes(file, "; Dump complete\n")
    };
    let of_zones = |text: &str| text.split("; Start view _bind").next().unwrap_or_default().to_owned();
    let (text, expected) = (dump(&ours, "named_dump.db"), dump(&named, "named_dump.db"));
    assert!(text.contains("; Zone dump of 'example.com/IN'\n"), "{text}");
    assert_eq!(of_zones(&text), of_zones(&expected));
    assert!(text.contains("version.bind."), "what the server says of itself is dumped, too: {text}");
}

#[test]
fn a_dump_goes_where_the_configuration_says_and_has_every_view() {
    let conf = "view inside { match-clients { 127.0.0.2; };
                  zone example.com { type primary; file \"example.zone\"; };
                  zone broken.test { type primary; file \"missing.zone\"; }; };
                view outside { zone example.com { in-view inside; }; };";
    let ours = Controlled::with("dump-file \"dump/all\";", conf);
    let (success, text) = ours.told(&["dumpdb", "-zones"]);
    assert!(!success && text.contains("dump/all': No such file") && text.contains("see `dump-file`"), "{text}");
    std::fs::create_dir(ours.server.folder().join("dump")).expect("the folder is there");
    assert_eq!(ours.told(&["dumpdb", "-all", "inside"]), (true, String::new()));
    let text = ours.server.writes("dump/all", "; Dump complete");
    let zones: Vec<_> = text.lines().filter(|line| line.starts_with("; ")).collect();
    let expected = [
        "; Start view inside",
        "; Zone dump of 'example.com/IN/inside'",
        "; Zone dump of 'broken.test/IN/inside'",
        "; zone not loaded",
        "; Dump complete",
    ];
    assert_eq!(zones, expected);
    assert_eq!(ours.told(&["dumpdb"]), (true, String::new()));
    assert!(!ours.server.writes("dump/all", "; Start view outside").contains("Zone dump"), "caches, unless told so");
}

#[test]
fn tcp_timeouts_hold_for_connections_to_come() {
    use std::io::Read;
    let ours = Controlled::ours("");
    assert!(ours.told(&["tcp-timeouts", "25", "1", "1", "7"]).0);
    let mut idle = std::net::TcpStream::connect(("127.0.0.1", ours.server.port())).expect("it listens");
    idle.set_read_timeout(Some(super::server::PATIENCE)).expect("no zero");
    assert_eq!(idle.read(&mut [0; 1]).expect("it is closed in time"), 0);
    let reply = ours.server.dig(&["+tcp", "+ednsopt=11", "www.example.com"]);
    assert!(reply.contains("TCP-KEEPALIVE: 0.7 secs") || reply.contains("TCP KEEPALIVE: 0.7 secs"), "{reply}");
}

#[test]
fn a_client_may_have_as_many_connections_as_the_configuration_says() {
    use std::io::Read;
    let ours = Controlled::with("tcp-clients-per-address 2;", super::EXAMPLE);
    let connect = || std::net::TcpStream::connect(("127.0.0.1", ours.server.port())).expect("it listens");
    let mut connections = [connect(), connect(), connect()];
    // The other connections are too recent to be closed to make room.
    let last = &mut connections[2];
    last.set_read_timeout(Some(super::server::PATIENCE)).expect("no zero");
    assert!(matches!(last.read(&mut [0; 1]), Ok(0) | Err(_)));
    let reply = ours.server.dig(&["+tcp", "-b", "127.0.0.2", "+short", "www.example.com"]);
    assert_eq!(reply, "192.0.2.1\n", "others are not kept out");
}
