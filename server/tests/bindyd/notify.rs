//! How a secondary hears of a zone's new version.

use std::net::UdpSocket;

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    server::{PATIENCE, Prepared, Server, dig, wait_until},
    transfers::{KEY, SIGN},
    updates::nsupdate,
    zone,
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");

pub fn serve(program: &str, address: &str, port: u16, conf: &str, text: &str) -> Server {
    let options = format!("recursion no; dnssec-validation no; port {port};");
    let mut prepared = Prepared::new(&options, "", &[("example.zone", text)]);
    prepared.listen_on(&format!("{{ {address}; }}"));
    prepared.configure(&format!("{KEY}{conf}"));
    let server = prepared.run_until(program, "all zones loaded");
    server.runs();
    server
}

fn primary(port: u16, statements: &str, text: &str) -> Server {
    serve(BINDYD, "127.0.0.1", port, &declared(statements), text)
}

fn declared(statements: &str) -> String {
    format!(
        "zone \"example.com\" {{ type primary; file \"example.zone\"; allow-transfer {{ key k; }}; {statements} }};"
    )
}

/// named with a copy of the zone, which it would ask for once an hour.
pub fn secondary(port: u16, primary: &str) -> Server {
    let conf = format!(
        "zone \"example.com\" {{ type secondary; file \"copy\"; primaries {{ {primary} key k; }};\
         allow-transfer {{ none; }}; notify no; }};"
    );
    serve("named", "127.0.0.1", port, &conf, "")
}

pub fn follows(port: u16, expected: u32) {
    let serial = || dig("127.0.0.1", port, &["+short", "example.com", "SOA"]).split(' ').nth(2).map(str::to_owned);
    wait_until(|| serial() == Some(expected.to_string()), "named has the version");
}

#[test]
fn named_follows_each_update_at_once() {
    for key in ["", "key k"] {
        let (port, copy) = (free_port(), free_port());
        let statements =
            format!("allow-update {{ key k; }}; notify explicit; also-notify {{ 127.0.0.1 port {copy} {key}; }};");
        let primary = primary(port, &statements, ZONE);
        let _secondary = secondary(copy, &format!("127.0.0.1 port {port}"));
        follows(copy, 1);
        for serial in 2..5 {
            let update = format!("update add n{serial}.example.com 60 A 192.0.2.1");
            assert_eq!(nsupdate(port, &SIGN, &update), "");
            follows(copy, serial);
        }
        primary.says("zone example.com/IN: sending notifies (serial 4)");
        let signed = if key.is_empty() { "" } else { " : TSIG (k)" };
        primary.says(&format!("zone example.com/IN: sending notify to 127.0.0.1#{copy}{signed}"));
    }
}

#[test]
fn name_servers_are_notified_after_a_reload_but_for_this_one() {
    let text = |serial| {
        let more = "@ NS ns2\n@ NS ns3\nns2 A 127.0.0.1\nns3 A 127.0.0.2\n";
        zone(serial, "192.0.2.1").replace("192.0.2.53", "127.0.0.9") + more
    };
    let port = free_port();
    let conf = declared("notify-source 127.0.0.2;");
    let primary = serve(BINDYD, "127.0.0.2", port, &conf, &text(1));
    let _secondary = secondary(port, &format!("127.0.0.2 port {port}"));
    follows(port, 1);
    primary.write("example.zone", &text(2));
    primary.reload();
    follows(port, 2);
    primary.says("zone example.com/IN: sending notifies (serial 2)");
    primary.says(&format!("sending notify to 127.0.0.1#{port}"));
    // The primary that the SOA names, and the server itself.
    assert!(primary.goes_on_without("sending notify to 127.0.0.9"));
    assert!(primary.goes_on_without("sending notify to 127.0.0.2"));
}

#[test]
fn nobody_is_notified_where_notify_is_no() {
    let (port, copy) = (free_port(), free_port());
    let statements = format!("allow-update {{ key k; }}; notify no; also-notify {{ 127.0.0.1 port {copy}; }};");
    let primary = primary(port, &statements, ZONE);
    assert_eq!(nsupdate(port, &SIGN, "update add n.example.com 60 A 192.0.2.1"), "");
    assert!(primary.goes_on_without("sending notif"));
}

#[test]
fn a_secondary_that_refuses_is_logged() {
    let (port, copy) = (free_port(), free_port());
    // named hears only those that it has the zone from.
    let statements = format!("also-notify {{ 127.0.0.1 port {copy} key k; }}; notify-source 127.0.0.3;");
    let primary = primary(port, &statements, ZONE);
    let _secondary = secondary(copy, &format!("127.0.0.1 port {port}"));
    follows(copy, 1);
    primary.write("example.zone", &zone(2, "192.0.2.2"));
    primary.reload();
    primary.says(&format!("zone example.com/IN: notify response from 127.0.0.1#{copy}: REFUSED"));
}

#[test]
fn a_message_that_is_not_answered_is_sent_again() {
    let secondary = UdpSocket::bind("127.0.0.1:0").unwrap();
    secondary.set_read_timeout(Some(PATIENCE)).unwrap();
    let copy = secondary.local_addr().unwrap().port();
    let _primary = primary(free_port(), &format!("also-notify {{ 127.0.0.1 port {copy}; }};"), ZONE);
    let receive = || {
        let mut octets = [0; 512];
        let (length, from) = secondary.recv_from(&mut octets).unwrap();
        (octets[..length].to_vec(), from)
    };
    assert_eq!(receive(), receive());
}
