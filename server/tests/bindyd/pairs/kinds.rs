//! The kinds of servers that pass zones on to each other, and how each is configured for that.

use std::fmt::Write as _;

use super::super::server::{Prepared, Server, run};

/// A zone that moves.
pub struct Zone {
    pub name: String,
    /// The key, which has the zone's name; `None`: all of 127.0.0.1 may transfer and update the zone.
    pub key: Option<Key>,
}

pub struct Key {
    pub algorithm: &'static str,
    pub secret: String,
}

/// What a server is configured with. All servers listen on 127.0.0.1.
pub struct Site<'a> {
    pub zones: &'a [Zone],
    /// The server's port.
    pub port: u16,
    /// The port of the primary that the zones come from, if there is one.
    pub from: Option<u16>,
    /// The port of the secondary that hears of new versions, if there is one.
    pub to: Option<u16>,
}

/// A kind of server.
pub struct Kind {
    pub program: &'static str,
    /// Whether it sends and takes changes; otherwise whole zones only.
    pub ixfr: bool,
    /// Whether the names that it sends are written as in the zone file; otherwise in lower case.
    pub keeps_case: bool,
    /// How a zone is changed whose primary it is.
    pub changed_by: ChangedBy,
    /// Writes the configuration, beside the zone files that have the zones' names, and returns the program's arguments.
    pub configure: fn(&mut Prepared, &Site) -> Vec<String>,
}

/// How a zone is changed.
pub enum ChangedBy {
    /// By DNS UPDATE.
    Updates,
    /// By its file, and by this then.
    Files(fn(&Server, &[Zone])),
}

pub const BINDYD: Kind = Kind { program: env!("CARGO_BIN_EXE_bindyd"), ..NAMED };

pub const NAMED: Kind = Kind {
    program: "named",
    ixfr: true,
    keeps_case: true,
    changed_by: ChangedBy::Updates,
    configure: |prepared, site| {
        let mut conf = String::new();
        for Zone { name, key } in site.zones {
            let (mut clients, mut signed) = ("127.0.0.1".to_owned(), String::new());
            if let Some(Key { algorithm, secret }) = key {
                let _ = writeln!(conf, "key {name} {{ algorithm {algorithm}; secret \"{secret}\"; }};");
                (clients, signed) = (format!("key {name}"), format!(" key {name}"));
            }
            let role = match site.from {
                None => format!("type primary; allow-update {{ {clients}; }};"),
                Some(port) => format!("type secondary; primaries {{ 127.0.0.1 port {port}{signed}; }};"),
            };
            let to = site.to.map_or_else(
                || "notify no;".to_owned(),
                |port| format!("notify explicit; also-notify {{ 127.0.0.1 port {port}{signed}; }}; notify-delay 0;"),
            );
            let _ = writeln!(conf, "zone {name} {{ file \"{name}\"; allow-transfer {{ {clients}; }}; {role} {to} }};");
        }
        prepared.listen_on(&format!("port {} {{ 127.0.0.1; }}", site.port));
        prepared.configure(&conf);
        ["-g", "-n", "1", "-c", "named.conf"].map(String::from).to_vec()
    },
};

pub const KNOTD: Kind = Kind {
    program: "knotd",
    ixfr: true,
    keeps_case: false,
    changed_by: ChangedBy::Updates,
    configure: |prepared, site| {
        let (folder, port) = (prepared.folder().display().to_string(), site.port);
        let sections = ["key", "remote", "acl", "zone"];
        let mut conf = format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {folder}\n    udp-workers: 1\n    tcp-workers: 1\n\
             database:\n    storage: {folder}\nlog:\n  - target: stderr\n    any: info\n"
        );
        for section in sections {
            let _ = writeln!(conf, "{section}:");
            for Zone { name, key } in site.zones {
                let signed = key.as_ref().map_or_else(String::new, |_| format!("    key: {name}\n"));
                let remote = |way: &str, port: Option<u16>| {
                    port.map_or_else(String::new, |port| {
                        format!("  - id: {way}-{name}\n    address: 127.0.0.1@{port}\n{signed}")
                    })
                };
                let role = |word: &str, way: &str, port: Option<u16>| {
                    port.map_or_else(String::new, |_| format!("    {word}: {way}-{name}\n"))
                };
                let item = match section {
                    "key" => key.as_ref().map_or_else(String::new, |Key { algorithm, secret }| {
                        format!("  - id: {name}\n    algorithm: {algorithm}\n    secret: {secret}\n")
                    }),
                    "remote" => remote("from", site.from) + &remote("to", site.to),
                    "acl" => {
                        let action = "    action: [transfer, notify, update]\n";
                        format!("  - id: {name}\n    address: 127.0.0.1\n{signed}{action}")
                    }
                    _ => {
                        format!("  - domain: {name}\n    storage: {folder}\n    file: {name}\n    acl: {name}\n")
                            + &role("master", "from", site.from)
                            + &role("notify", "to", site.to)
                    }
                };
                conf += &item;
            }
        }
        prepared.write("knot.conf", &conf);
        ["-c", "knot.conf"].map(String::from).to_vec()
    },
};

pub const NSD: Kind = Kind {
    program: "nsd",
    ixfr: true,
    keeps_case: false,
    changed_by: ChangedBy::Files(|server, _| server.reload()),
    configure: |prepared, site| {
        let (folder, port) = (prepared.folder().display().to_string(), site.port);
        let mut conf = format!(
            "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{folder}\"\n\
             database: \"\"\n pidfile: \"{folder}/nsd.pid\"\n xfrdfile: \"{folder}/xfrd\"\n\
             zonelistfile: \"{folder}/zones\"\n xfrdir: \"{folder}\"\n xfrd-reload-timeout: 0\n rrl-ratelimit: 0\n\
             remote-control:\n control-enable: no\n"
        );
        for Zone { name, key } in site.zones {
            let mut signed = "NOKEY";
            if let Some(Key { algorithm, secret }) = key {
                let _ = writeln!(conf, "key:\n name: {name}\n algorithm: {algorithm}\n secret: {secret}");
                signed = name;
            }
            let _ = writeln!(
                conf,
                "zone:\n name: {name}\n zonefile: {folder}/{name}\n provide-xfr: 127.0.0.1 {signed}\n store-ixfr: yes"
            );
            match site.from {
                None => conf += " create-ixfr: yes\n",
                Some(port) => {
                    let _ =
                        writeln!(conf, " request-xfr: 127.0.0.1@{port} {signed}\n allow-notify: 127.0.0.1 {signed}");
                }
            }
            if let Some(port) = site.to {
                let _ = writeln!(conf, " notify: 127.0.0.1@{port} {signed}\n notify-retry: 5");
            }
        }
        prepared.write("nsd.conf", &conf);
        ["-d", "-c", "nsd.conf"].map(String::from).to_vec()
    },
};

/// PowerDNS with its backend for zone files, which has no changes.
pub const PDNS: Kind = Kind {
    program: "pdns_server",
    ixfr: false,
    keeps_case: false,
    changed_by: ChangedBy::Files(|server, zones| {
        for Zone { name, .. } in zones {
            for command in ["bind-reload-now", "notify"] {
                run(server.folder(), "pdns_control", &["--socket-dir=.", command, name]);
            }
        }
    }),
    configure: |prepared, site| {
        let (folder, port) = (prepared.folder().display().to_string(), site.port);
        let to = site.to.map_or_else(String::new, |port| format!("also-notify=127.0.0.1:{port}\n"));
        let conf = format!(
            "launch=bind\nbind-config={folder}/zones.conf\nbind-dnssec-db={folder}/keys.db\nsocket-dir={folder}\n\
             local-address=127.0.0.1\nlocal-port={port}\nprimary=yes\nsecondary=yes\nslave-renotify=yes\n{to}\
             allow-axfr-ips=192.0.2.1\nonly-notify=\nxfr-cycle-interval=1\nreceiver-threads=1\nloglevel=5\n"
        );
        prepared.write("pdns.conf", &conf);
        let zone = |Zone { name, .. }: &Zone| {
            let role = site.from.map_or_else(
                || "type master;".to_owned(),
                |port| format!("type slave; masters {{ 127.0.0.1:{port}; }};"),
            );
            format!("zone \"{name}\" {{ {role} file \"{folder}/{name}\"; }};\n")
        };
        prepared.write("zones.conf", &site.zones.iter().map(zone).collect::<String>());
        let util = |arguments: &[&str]| {
            run(prepared.folder(), "pdnsutil", &[&["--config-dir=."], arguments].concat());
        };
        util(&["create-bind-db", "keys.db"]);
        for Zone { name, key } in site.zones {
            let Some(Key { algorithm, secret }) = key else {
                util(&["set-meta", name, "ALLOW-AXFR-FROM", "127.0.0.1"]);
                continue;
            };
            util(&["import-tsig-key", name, algorithm, secret]);
            util(&["activate-tsig-key", name, name, "primary"]);
            if site.from.is_some() {
                util(&["activate-tsig-key", name, name, "secondary"]);
            }
        }
        ["--config-dir=.", "--daemon=no", "--guardian=no"].map(String::from).to_vec()
    },
};
