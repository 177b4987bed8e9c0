//! Addresses that appear and disappear while the server runs, in a network namespace of the test's own.

use std::process::Command;

use super::{
    control::Controlled,
    server::{dig, wait_until},
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");
const PORT: u16 = 5300;
const CONF: &str = "zone \"example.com\" { type primary; file \"example.zone\"; allow-query { localnets; }; };";
/// Set in the environment of the test inside its namespace.
const INSIDE: &str = "BINDYD_INTERFACES";

#[test]
fn addresses_that_come_are_listened_on() {
    in_a_network("interfaces::addresses_that_come_are_listened_on", by_rndc_and_by_time);
}

#[test]
fn a_server_without_an_address_starts_and_listens_once_there_is_one() {
    in_a_network("interfaces::a_server_without_an_address_starts_and_listens_once_there_is_one", || {
        let nowhere = Controlled::start(BINDYD, "{ none; }", "", CONF);
        nowhere.server.says("not listening on any interfaces");
        drop(nowhere);
        for program in [BINDYD, "named"] {
            // Nothing but the address's coming makes it scan.
            let listen = format!("port {PORT} {{ 203.0.113.7; }}");
            let options = "interface-interval 0; allow-query { any; };";
            let server = Controlled::start(program, &listen, options, &CONF.replace("localnets", "any"));
            let asked = || dig("203.0.113.7", PORT, &["+short", "+timeout=1", "www.example.com"]);
            assert_ne!(asked(), "192.0.2.1\n", "{program}");
            ip(&["address", "add", "203.0.113.7/32", "dev", "lo"]);
            wait_until(|| asked() == "192.0.2.1\n", "it answers at the address that has come");
            drop(server);
            ip(&["address", "del", "203.0.113.7/32", "dev", "lo"]);
        }
    });
}

#[test]
fn link_local_addresses_are_listened_on() {
    in_a_network("interfaces::link_local_addresses_are_listened_on", || {
        ip(&["address", "add", "fe80::7/64", "dev", "lo"]);
        for program in [BINDYD, "named"] {
            let options = format!("listen-on-v6 port {PORT} {{ fe80::/10; }};");
            let server = Controlled::start(program, "{ none; }", &options, CONF);
            let asked = || dig("fe80::7%lo", PORT, &["+short", "+timeout=1", "www.example.com"]);
            wait_until(|| asked() == "192.0.2.1\n", "it answers at its link-local address");
            drop(server);
        }
    });
}

/// Runs the test of this name in a network that has nothing but a loopback interface.
pub fn in_a_network(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let this = std::env::current_exe().expect("this test is a program");
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(this)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare and ip: install util-linux and iproute2");
    assert!(status.success(), "in its network");
}

fn by_rndc_and_by_time() {
    let listen = format!("port {PORT} {{ 127.0.0.1; 192.0.2/24; }}");
    for (interval, first) in [("0", 10), ("1", 20)] {
        let server = Controlled::start(BINDYD, &listen, &format!("interface-interval {interval};"), CONF);
        for host in first..first + 2 {
            let address = format!("192.0.2.{host}");
            assert_eq!(server.told(&["scan"]), (true, String::new()), "nothing has changed");
            ip(&["address", "add", &format!("{address}/32"), "dev", "lo"]);
            if interval == "0" {
                assert_eq!(server.told(&["scan"]), (true, String::new()));
            }
            server.server.says(&format!("listening on {address}:{PORT}"));
            server.server.says("reloading configuration succeeded");
            // The client uses the same address, which is not in any network of the earlier interfaces.
            assert_eq!(dig(&address, PORT, &["+short", "-b", &address, "www.example.com"]), "192.0.2.1\n");
        }
        ip(&["address", "del", &format!("192.0.2.{first}/32"), "dev", "lo"]);
        if interval == "0" {
            assert_eq!(server.told(&["scan"]), (true, String::new()));
        }
        server.server.says(&format!("no longer listening on 192.0.2.{first}:{PORT}"));
    }
}

pub fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().expect("ip: install iproute2").success());
}
