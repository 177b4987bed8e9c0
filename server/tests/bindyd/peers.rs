//! `server`: what is special about single remote servers.

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    notify::{follows, serve},
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");

#[test]
fn a_primary_is_asked_as_its_server_statement_says() {
    // As named logs the questions: S: signed, E: EDNS, T: over TCP.
    for (statements, asked) in [
        ("", "IN SOA -E(0)"),
        ("tcp-only yes; edns no;", "IN SOA -T ("),
        ("edns no; keys k;", "IN SOA -S ("),
        ("keys { k; }; tcp-only yes; request-expire no;", "IN SOA -SE(0)T"),
    ] {
        let (port, copy) = (free_port(), free_port());
        let primary = "logging { category queries { default_stderr; }; };\
                       zone \"example.com\" { type primary; file \"example.zone\"; allow-transfer { any; }; };";
        let primary = serve("named", "127.0.0.1", port, primary, ZONE);
        let conf = format!(
            "server 127.0.0.1 {{ {statements} }};\
             zone \"example.com\" {{ type secondary; primaries {{ 127.0.0.1 port {port}; }}; allow-transfer {{ none; }}; }};"
        );
        let _secondary = serve(BINDYD, "127.0.0.1", copy, &conf, "");
        follows(copy, 1);
        primary.says(asked);
    }
}
