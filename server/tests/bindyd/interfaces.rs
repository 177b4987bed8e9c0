//! Addresses that appear and disappear while the server runs, in a network namespace of the test's own.

use std::process::Command;

use super::{control::Controlled, server::dig};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");
const PORT: u16 = 5300;
const CONF: &str = "zone \"example.com\" { type primary; file \"example.zone\"; allow-query { localnets; }; };";
/// Set in the environment of the test inside its namespace.
const INSIDE: &str = "BINDYD_INTERFACES";

#[test]
fn addresses_that_come_are_listened_on() {
    if std::env::var_os(INSIDE).is_some() {
        return by_rndc_and_by_time();
    }
    let this = std::env::current_exe().expect("this test is a program");
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(this)
        .args(["--exact", "interfaces::addresses_that_come_are_listened_on", "--nocapture"])
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

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().expect("ip: install iproute2").success());
}
