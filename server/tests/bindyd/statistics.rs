//! Statistics, compared with `named` given the same configuration, zones and questions, and read by the programs that
//! use them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use quick_xml::{Reader, events::Event};
use serde_json::Value;

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    server::{Prepared, Server, dig, wait_until},
    transfers::{KEY, SIGN},
    updates::nsupdate,
};

const ZONES: &str = "zone example.com { type primary; file \"example.zone\"; };\n\
                     zone broken.test { type primary; file \"broken.zone\"; };\n\
                     zone closed.test { type primary; file \"example.zone\"; allow-query { none; }; };\n";

/// Questions with every outcome.
const QUESTIONS: &[&str] = &[
    "www.example.com",
    "www.example.com AAAA",
    "www.example.com TYPE4711",
    "www.example.com CAA",
    "example.com SOA +noedns",
    "nowhere.example.com",
    "host.sub.example.com",
    "alias.example.com",
    "under.dname.example.com",
    "crowd.example.com",
    "crowd.example.com +ignore +bufsize=512",
    "www.example.com +tcp",
    "www.broken.test",
    "www.closed.test",
    "www.closed.test +norecurse",
    "elsewhere.test",
    "version.bind CH TXT",
    "www.example.com +opcode=status",
    "www.example.com +edns=1 +noednsneg",
    "www.example.com +nsid",
    "www.example.com +keepalive +tcp",
    "www.example.com -y hmac-sha256:unknown:MDEyMzQ1Njc4OWFiY2RlZg==",
];

/// Deliberate differences from named by a part of the path; most concern what this server does not do.
const DIFFERENT: &[(&str, &str)] = &[
    ("json-stats-version", "told alike, and compared apart"),
    ("boot-time", "the servers started at different times"),
    ("config-time", "the servers started at different times"),
    ("current-time", "they are asked one after the other"),
    ("server/version", "they are different programs"),
    ("resstat", "there is no resolver"),
    ("/resqtype", "there is no resolver"),
    ("/cachestats", "there is no resolver"),
    ("/adbstat", "there is no resolver"),
    ("/resolver/", "there is no resolver"),
    ("/default-quantum", "there are no tasks"),
    ("taskmgr/tasks", "there are no tasks"),
    ("memory", "it is measured by the process, without contexts"),
    ("sockstat", "named counts its own sockets, too: those that are told alike are compared apart"),
    ("/gluecache/", "additional records are found as they are needed"),
    ("/example.com/qtypes/A", "named leaves out questions that a CNAME or DNAME led on"),
    ("/example.com/qtype/A", "named leaves out questions that a CNAME or DNAME led on"),
    ("/version.bind/rcode", "class CH is not counted by zone"),
    ("/version.bind/qtype", "class CH is not counted by zone"),
    ("/dnssec-", "zones are not signed yet"),
    ("responses-sizes-sent-ipv4/16-31", "named gives no question back with NOTIMP and BADVERS"),
    ("responses-sizes-sent-ipv4/32-47", "named gives no question back with NOTIMP and BADVERS"),
    ("responses-sizes-sent-ipv4/48-63", "named gives no question back with NOTIMP and BADVERS"),
    ("ipv4/udp/response-size/", "compared in JSON"),
    ("/CAA", "named counts types above 255 together"),
    ("/Others", "named counts types above 255 together"),
];

/// A server with a statistics channel.
struct Watched {
    server: Server,
    port: u16,
    statistics: u16,
}

impl Watched {
    fn start(program: &str, options: &str) -> Watched {
        Watched::start_with(program, options, "")
    }

    fn start_with(program: &str, options: &str, conf: &str) -> Watched {
        let (port, statistics) = (free_port(), free_port());
        let options = format!(
            "version \"v\"; hostname \"h\"; server-id \"s\"; recursion no; dnssec-validation no; notify no; {options}"
        );
        let zone = format!(
            "{ZONE}sub NS ns.sub\nns.sub A 192.0.2.54\nalias CNAME www\n\
             dname DNAME sub.example.com.\n$GENERATE 1-60 crowd A 192.0.2.$\n"
        );
        let mut prepared =
            Prepared::new(&options, "", &[("example.zone", &zone), ("moving.zone", ZONE), ("hidden.zone", ZONE)]);
        prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
        prepared.configure(&format!(
            "statistics-channels {{ inet 127.0.0.1 port {statistics} allow {{ 127.0.0.1; }}; }};\n{ZONES}{conf}"
        ));
        let server = prepared.run_until(program, "all zones loaded");
        server.runs();
        Watched { server, port, statistics }
    }

    fn ours() -> Watched {
        Watched::start(env!("CARGO_BIN_EXE_bindyd"), "")
    }

    /// Asks all questions.
    fn ask(&self) {
        for question in QUESTIONS {
            let words: Vec<_> = ["+nocookie"].into_iter().chain(question.split(' ')).collect();
            dig("127.0.0.1", self.port, &words);
        }
    }

    /// Returns the status line, the header and the body.
    fn fetch(&self, path: &str) -> (String, String, String) {
        fetch(self.statistics, path)
    }

    fn json(&self, path: &str) -> BTreeMap<String, String> {
        let (status, header, body) = self.fetch(path);
        assert!(status.ends_with("200 OK") && header.to_ascii_lowercase().contains("application/json"), "{status}");
        let mut flat = BTreeMap::new();
        flatten("", &serde_json::from_str(&body).expect("it is JSON"), &mut flat);
        flat
    }

    fn xml(&self, path: &str) -> BTreeMap<String, String> {
        let (status, header, body) = self.fetch(path);
        assert!(status.ends_with("200 OK") && header.to_ascii_lowercase().contains("text/xml"), "{status}");
        flatten_xml(&body)
    }
}

pub fn fetch(port: u16, path: &str) -> (String, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers");
    let (header, body) = response.split_once("\r\n\r\n").expect("a header");
    let (status, header) = header.split_once("\r\n").expect("a status line");
    (status.into(), header.into(), body.into())
}

/// Flattens JSON: leaves by their path, in which elements of lists appear by their name.
fn flatten(path: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| flatten(&below(name), value, flat)),
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let name = element["name"].as_str().map_or_else(|| index.to_string(), ToOwned::to_owned);
                flatten(&below(&name), element, flat);
            }
        }
        leaf => {
            flat.insert(path.to_owned(), leaf.to_string());
        }
    }
}

/// Flattens XML: texts by the path of their element, in which elements appear by their name or type attribute, if any.
fn flatten_xml(text: &str) -> BTreeMap<String, String> {
    let mut reader = Reader::from_str(text);
    let (mut path, mut flat) = (Vec::new(), BTreeMap::new());
    loop {
        match reader.read_event().expect("it is XML") {
            Event::Start(element) => {
                let attribute = |name| element.try_get_attribute(name).ok().flatten();
                let known = attribute("name").or_else(|| attribute("type"));
                path.push(known.map_or_else(|| element.name().as_ref().into(), |known| known.value.into_owned()));
            }
            Event::Text(text) if !path.is_empty() => {
                flat.insert(path[1..].join("/"), text.into_owned().to_string());
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Eof => return flat,
            _ => {}
        }
    }
}

/// The part that must be the same on both servers.
fn comparable(mut flat: BTreeMap<String, String>) -> BTreeMap<String, String> {
    flat.remove("version");
    let different = |path: &str| DIFFERENT.iter().any(|(part, _)| path.contains(part));
    let timeless = |(path, value): (String, String)| {
        let is_time = ["/loaded", "/expires", "/refresh"].iter().any(|end| path.ends_with(end));
        let shape = |digit: char| if digit.is_ascii_digit() { '0' } else { digit };
        let is_shaped = is_time && !value.contains("1970-01-01T00:00:00Z");
        (path, if is_shaped { value.chars().map(shape).collect() } else { value })
    };
    // In a zone's XML, named also shows counters that are never counted per zone.
    let idle = |path: &str, value: &str| path.starts_with("views/") && path.contains("/rcode/") && value == "0";
    let compared = flat.into_iter().filter(|(path, value)| !different(path) && !idle(path, value));
    compared.map(timeless).collect()
}

/// Debian's Prometheus exporter, reading a server's statistics.
struct Exporter {
    process: Child,
    port: u16,
}

impl Exporter {
    fn start(watched: &Watched, form: &str) -> Exporter {
        let port = free_port();
        let process = Command::new("prometheus-bind-exporter")
            .arg(format!("--bind.stats-url=http://127.0.0.1:{}/", watched.statistics))
            .arg(format!("--bind.stats-version={form}"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--bind.stats-groups=server,view,tasks")
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-bind-exporter must be installed: run scripts/install-test-tools");
        wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok(), "the exporter listens");
        Exporter { process, port }
    }

    /// The exporter's metrics of the server, without times and those that only a resolver has.
    fn metrics(&self) -> BTreeSet<String> {
        const OTHER: [&str; 5] =
            ["bind_resolver_", "bind_boot_time", "bind_config_time", "bind_exporter_", "bind_worker_threads"];
        let (_, _, body) = fetch(self.port, "/metrics");
        let told = body.lines().filter(|line| line.starts_with("bind_"));
        told.filter(|line| !OTHER.iter().any(|other| line.starts_with(other))).map(ToOwned::to_owned).collect()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_exporter_for_prometheus_tells_the_same_of_both_servers() {
    let (ours, named) = (Watched::ours(), Watched::start("named", ""));
    ours.ask();
    named.ask();
    for form in ["auto", "xml.v3"] {
        let told = |watched| {
            let metrics = Exporter::start(watched, form).metrics();
            // named counts types above 255 together.
            metrics.into_iter().filter(|line| !line.contains("\"CAA\"") && !line.contains("\"Others\"")).collect()
        };
        let (ours, named): (BTreeSet<String>, BTreeSet<String>) = (told(&ours), told(&named));
        assert_eq!(ours, named, "{form}");
        for line in ["bind_up 1", "bind_zone_serial{view=\"_default\",zone_name=\"example.com\"} 1"] {
            assert!(ours.contains(line), "{form}: {line}: {ours:#?}");
        }
    }
}

#[test]
fn metrics_health_and_readiness_are_told_in_the_same_place() {
    let ours = Watched::start(env!("CARGO_BIN_EXE_bindyd"), "zone-statistics yes;");
    ours.ask();
    let (status, header, metrics) = ours.fetch("/metrics");
    assert!(status.ends_with("200 OK") && header.contains("application/openmetrics-text"), "{status}\n{header}");
    for line in [
        "bindyd_queries_total{type=\"AAAA\"} 1",
        "bindyd_queries_total{type=\"CAA\"} 1",
        "bindyd_responses_total{rcode=\"SERVFAIL\"} 1",
        "bindyd_query_outcomes_total{outcome=\"referral\"} 1",
        "bindyd_queries_answered_from_zones_total{transport=\"tcp\"} 2",
        "bindyd_requests_total{family=\"ipv6\"} 0",
        "bindyd_rate_limited_total{action=\"dropped\"} 0",
        "bindyd_zones{state=\"loaded\"} 2",
        "bindyd_zones{state=\"not loaded\"} 1",
        "bindyd_zone_serial{view=\"_default\",zone=\"example.com\"} 1",
        "bindyd_zone_query_outcomes_total{view=\"_default\",zone=\"example.com\",outcome=\"nxdomain\"} 1",
        "bindyd_ready 1",
        concat!("bindyd_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "bindyd_tcp_connects_total{family=\"ipv4\",outcome=\"accepted\"} 2",
        "bindyd_tcp_connections_high_water 1",
        "# TYPE bindyd_resident_memory_bytes gauge",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}:\n{metrics}");
    }
    assert_eq!(ours.fetch("/healthz").2, "ok\n");
    let (status, _, readiness) = ours.fetch("/readyz");
    assert!(status.ends_with("200 OK"), "{status}");
    let sum = |arguments: &[&str]| {
        let output = Command::new("sha256sum").args(arguments).current_dir(ours.server.folder()).output();
        String::from_utf8(output.expect("it is everywhere").stdout).expect("it is ASCII")
    };
    let hash = sum(&["named.conf"]).split(' ').next().unwrap_or_default().to_owned();
    let expected = format!(
        "ready\nconfiguration {hash}\nnamed.conf {hash}\n3 zones, 1 of them not served\nzone broken.test/IN: not loaded\n"
    );
    assert_eq!(readiness, expected);
    assert!(ours.fetch("/nowhere").0.ends_with("404 Not Found"));
    assert!(ours.fetch("/json/v2").0.ends_with("404 Not Found"));
}

#[test]
fn zones_are_counted_once_and_named_with_their_view() {
    let statistics = free_port();
    let broken = "zone z.test { type primary; file \"missing.zone\"; };";
    let conf = format!(
        "statistics-channels {{ inet 127.0.0.1 port {statistics}; }};\n\
         view a {{ match-clients {{ 127.0.0.2; }}; {broken} zone example.com {{ type primary; file \"example.zone\"; }}; }};\n\
         view b {{ {broken} zone example.com {{ in-view a; }}; }};\n"
    );
    let server = Server::start(&conf, &[("example.zone", ZONE)]);
    server.has_said("all zones loaded");
    let readiness = fetch(statistics, "/readyz").2;
    let (_, zones) = readiness.split_once("named.conf ").and_then(|(_, rest)| rest.split_once('\n')).expect("a hash");
    assert_eq!(zones, "3 zones, 2 of them not served\nzone z.test/IN/a: not loaded\nzone z.test/IN/b: not loaded\n");
    let metrics = fetch(statistics, "/metrics").2;
    assert!(metrics.contains("bindyd_zones{state=\"loaded\"} 1\n"), "{metrics}");
}

#[test]
fn whoever_is_slow_long_or_not_allowed_is_not_served() {
    let mut ours = Watched::ours();
    let connect = |ours: &Watched| {
        let stream = TcpStream::connect(("127.0.0.1", ours.statistics)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(40))).expect("not zero");
        stream
    };
    let mut long = connect(&ours);
    // The server may close the connection before everything is written.
    let _ = write!(long, "GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let mut response = Vec::new();
    let _ = long.read_to_end(&mut response);
    assert!(!response.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&response));
    let mut slow: Vec<_> = (0..40).map(|_| connect(&ours)).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /hea").expect("it reads");
    }
    assert_eq!(ours.fetch("/healthz").2, "ok\n", "after those that are slow were closed");

    ours.server.configure(&format!(
        "statistics-channels {{ inet 127.0.0.1 port {} allow {{ 127.0.0.2; }}; }};\n{ZONES}",
        ours.statistics
    ));
    ours.server.reload();
    ours.server.says("reloading configuration succeeded");
    let mut refused = connect(&ours);
    let _ = refused.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
    let mut response = Vec::new();
    let _ = refused.read_to_end(&mut response);
    assert!(response.is_empty());
    ours.server.says("rejected statistics connection from 127.0.0.1#");
}

#[test]
fn rndc_stats_appends_what_named_appends() {
    const SECTIONS: [&str; 4] = ["Incoming Requests", "Incoming Queries", "Outgoing Rcodes", "Name Server Statistics"];
    const RNDC_KEY: &str = "key \"k\" { algorithm hmac-sha256; secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; };\n";
    let dumped = |program: &str, written: &str, options: &str| {
        let control = free_port();
        let conf = format!("{RNDC_KEY}controls {{ inet 127.0.0.1 port {control} allow {{ any; }} keys {{ k; }}; }};\n");
        let watched = Watched::start_with(program, options, &conf);
        watched.server.write("rndc.key", RNDC_KEY);
        watched.ask();
        for _ in 0..2 {
            let mut rndc = Command::new("/usr/sbin/rndc");
            rndc.arg("-k").arg(watched.server.folder().join("rndc.key"));
            let output = rndc.args(["-s", "127.0.0.1", "-p", &control.to_string(), "stats"]).output();
            let output = output.expect("rndc must be installed: run scripts/install-test-tools");
            assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        }
        let file = watched.server.folder().join(written);
        std::fs::read_to_string(file).expect("it was written")
    };
    let sections = |dump: &str| {
        let headings = dump.lines().filter(|line| SECTIONS.iter().any(|section| *line == format!("++ {section} ++")));
        headings.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let full = "zone-statistics full;";
    let ours = dumped(env!("CARGO_BIN_EXE_bindyd"), "named.stats", full);
    let named = dumped("named", "counted", &format!("statistics-file \"counted\"; {full}"));
    for dump in [&ours, &named] {
        assert_eq!(dump.matches("+++ Statistics Dump +++ (").count(), 2, "{dump}");
        assert_eq!(dump.matches("--- Statistics Dump --- (").count(), 2, "{dump}");
    }
    assert_eq!(sections(&ours), sections(&named), "in that order");
    for section in SECTIONS {
        let lines = |dump: &str| {
            let lines = dump.lines().skip_while(|line| *line != format!("++ {section} ++")).skip(1);
            let lines = lines.take_while(|line| !line.starts_with("++ "));
            // named counts types above 255 together.
            let different = |line: &&str| ["CAA", "Others"].iter().any(|end| line.ends_with(end));
            lines.filter(|line| !different(line)).map(ToOwned::to_owned).collect::<Vec<String>>()
        };
        assert_eq!(lines(&ours), lines(&named), "{section}");
    }
}

fn same(ours: &BTreeMap<String, String>, named: &BTreeMap<String, String>, path: &str) {
    let differ = |ours: &BTreeMap<String, String>, named: &BTreeMap<String, String>| {
        let others = ours.iter().filter(|(path, value)| named.get(*path) != Some(value));
        others.map(|(path, value)| format!("{path}: {value}")).collect::<Vec<_>>().join("\n")
    };
    let (more, less) = (differ(ours, named), differ(named, ours));
    assert!(more.is_empty() && less.is_empty(), "{path}\nonly or otherwise here:\n{more}\nand with named:\n{less}");
}

#[test]
fn transfers_that_are_refused_are_counted_as_by_named() {
    let counted = |program: &str| {
        let watched = Watched::start(program, "allow-transfer { none; };");
        for (transport, question) in [("+tcp", "AXFR"), ("+tcp", "IXFR=1"), ("+notcp", "IXFR=1"), ("+tcp", "A")] {
            dig("127.0.0.1", watched.port, &["+nocookie", "+norecurse", transport, "example.com", question]);
        }
        let mut counts = watched.json("/json/v1/server");
        counts.retain(|path, _| ["Rej", "Qry"].iter().any(|part| path.contains(part)));
        counts
    };
    let (ours, named) = (counted(env!("CARGO_BIN_EXE_bindyd")), counted("named"));
    assert!(named.keys().any(|path| path.contains("XfrRej")), "{named:?}");
    assert_eq!(ours, named);
}

#[test]
fn transfers_and_updates_are_counted_as_by_named() {
    let zone =
        |name: &str, statements: &str| format!("zone {name} {{ type primary; file \"{name}.zone\"; {statements} }};\n");
    let conf = KEY.to_owned()
        + &zone("moving", "allow-transfer { any; }; allow-update { key k; };")
        + &zone("missing", "allow-transfer { any; }; allow-update { any; };")
        + "zone kept { type primary; file \"example.zone\"; allow-transfer { none; }; };\n"
        + &zone("hidden", "allow-update { any; }; allow-query { none; };");
    let counted = |program: &str| {
        let watched = Watched::start_with(program, "zone-statistics full;", &conf);
        // Without EDNS there is no extended error, and responses have one size.
        let dig = |words: &[&str]| dig("127.0.0.1", watched.port, &[&["+noedns", "+norecurse"], words].concat());
        let update = |arguments: &[&str], commands: &str| nsupdate(watched.port, arguments, commands);
        let wrong = ["-y", "hmac-sha256:k:b3RoZXI="];
        for name in ["moving", "www.moving", "nowhere", "missing", "kept"] {
            dig(&["+tcp", name, "AXFR"]);
            dig(&[&SIGN, &["+tcp", name, "AXFR"][..]].concat());
        }
        for transport in ["+tcp", "+notcp"] {
            for question in [["moving", "IXFR=0"], ["moving", "IXFR=1"], ["kept", "IXFR=1"], ["nowhere", "IXFR=1"]] {
                dig(&[&[transport], &question[..]].concat());
            }
        }
        dig(&[&wrong, &["+tcp", "moving", "AXFR"][..]].concat());
        let add = "zone moving\nupdate add a.moving 60 A 192.0.2.7";
        for arguments in [&SIGN[..], &SIGN, &[&SIGN[..], &["-v"]].concat(), &[], &wrong] {
            update(arguments, add);
        }
        for commands in [
            "zone moving\nprereq nxdomain a.moving\nupdate add b.moving 60 A 192.0.2.7",
            "zone moving\nprereq yxdomain b.moving\nupdate add b.moving 60 A 192.0.2.7",
            "zone moving\nprereq nxrrset www.moving A\nupdate add b.moving 60 A 192.0.2.7",
            "zone moving\nupdate add a.elsewhere 60 A 192.0.2.7",
            "zone moving\nupdate add moving 60 NS nowhere.moving",
            "zone nowhere\nupdate add a.nowhere 60 A 192.0.2.7",
            "zone missing\nupdate add a.missing 60 A 192.0.2.7",
            "zone kept\nupdate add a.kept 60 A 192.0.2.7",
            "zone hidden\nupdate add a.hidden 60 A 192.0.2.7",
        ] {
            update(&SIGN, commands);
        }
        // A transfer is counted once its last message is sent.
        let completed = || watched.json("/json/v1/server").get("nsstats/XfrReqDone").cloned();
        wait_until(|| completed().as_deref() == Some("4"), "all transfers have ended");
        ["server", "zones", "traffic"].map(|part| {
            let mut counts = comparable(watched.json(&format!("/json/v1/{part}")));
            counts.remove("nsstats/TCPConnHighWater");
            counts
        })
    };
    let (ours, named) = (counted(env!("CARGO_BIN_EXE_bindyd")), counted("named"));
    for count in ["XfrRej", "UpdateDone", "UpdateRej", "UpdateFail", "UpdateBadPrereq", "ReqTSIG", "ReqBadSIG"] {
        assert!(named[0].contains_key(&format!("nsstats/{count}")), "{count}: {named:#?}");
    }
    for (ours, named) in ours.iter().zip(&named) {
        same(ours, named, "after transfers and updates");
    }
}

#[test]
fn transfers_in_and_notifications_are_counted_as_by_named() {
    let port = free_port();
    let zone = |name: &str, statements: &str| format!("zone {name} {{ {statements} }};\n");
    let mut primary = Prepared::new("recursion no;", "", &[("moving.zone", ZONE), ("hidden.zone", ZONE)]);
    primary.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    primary.configure(
        &(zone("moving", "type primary; file \"moving.zone\"; allow-transfer { any; }; allow-update { any; };")
            + &zone("hidden", "type primary; file \"hidden.zone\"; allow-transfer { none; };")),
    );
    let _primary = primary.run_until("named", "all zones loaded");
    let counted = |program: &str, name: &str| {
        let primaries = format!("type secondary; primaries {{ 127.0.0.1 port {port}; }};");
        let notifies = format!("notify explicit; also-notify {{ 127.0.0.1 port {port}; }}; notify-delay 0;");
        let watched = Watched::start_with(program, "", &zone(name, &(primaries + &notifies)));
        let counts = || {
            let mut counts = watched.json("/json/v1/server");
            counts.retain(|path, _| path.starts_with("zonestats/"));
            counts
        };
        let is_counted = |counter: &str, count: &str| {
            let has = |counts: BTreeMap<String, String>| counts.get(counter).is_some_and(|known| known == count);
            wait_until(|| has(counts()), &format!("{program}: {counter} is {count}"));
        };
        if name == "hidden" {
            wait_until(|| counts().contains_key("zonestats/XfrFail"), &format!("{program}: a transfer fails"));
            // How often that is tried again is not the same.
            return counts().into_keys().map(|counter| (counter, String::new())).collect();
        }
        is_counted("zonestats/NotifyOutv4", "1");
        let update = format!("zone {name}\nupdate add n{}.{name} 60 A 192.0.2.7", watched.port);
        assert_eq!(nsupdate(port, &[], &update), "");
        for (from, zone) in
            [("127.0.0.2", name), ("127.0.0.1", "example.com"), ("127.0.0.1", "nowhere"), ("127.0.0.1", name)]
        {
            dig("127.0.0.1", watched.port, &["+opcode=notify", "-b", from, zone, "SOA"]);
        }
        is_counted("zonestats/NotifyOutv4", "2");
        counts()
    };
    for name in ["moving", "hidden"] {
        let (ours, named) = (counted(env!("CARGO_BIN_EXE_bindyd"), name), counted("named", name));
        assert!(named.len() >= 3, "{named:?}");
        same(&ours, &named, name);
    }
}

/// Secondary zones were told as primary ones, and without their times.
#[test]
fn secondary_zones_and_members_of_catalogs_are_told_with_their_times_as_by_named() {
    const CATALOG: &str = "@ 0 SOA invalid. invalid. 1 3600 900 604800 0\n@ 0 NS invalid.\n\
                           version 0 TXT \"2\"\nu1.zones 0 PTR hidden.\n";
    let port = free_port();
    let zone =
        |name: &str| format!("zone {name} {{ type primary; file \"{name}.zone\"; allow-transfer {{ any; }}; }};\n");
    let files = [("moving.zone", ZONE), ("hidden.zone", ZONE), ("catalog.zone", CATALOG)];
    let mut primary = Prepared::new("recursion no;", "", &files);
    primary.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    primary.configure(&["moving", "hidden", "catalog"].map(zone).concat());
    let _primary = primary.run_until("named", "all zones loaded");
    let primaries = format!("{{ 127.0.0.1 port {port}; }}");
    let told = |program: &str| {
        let options = format!("catalog-zones {{ zone catalog default-primaries {primaries} in-memory yes; }};");
        let copies = ["moving", "catalog", "closed"]
            .map(|name| format!("zone {name} {{ type secondary; primaries {primaries}; }};\n"))
            .concat();
        let watched = Watched::start_with(program, &options, &copies);
        for name in ["moving", "catalog", "hidden"] {
            let serial = format!("views/_default/zones/{name}/serial");
            wait_until(|| watched.json("/json/v1/zones").get(&serial).is_some_and(|serial| serial == "1"), name);
        }
        [comparable(watched.json("/json/v1/zones")), comparable(watched.xml("/xml/v3/zones"))]
    };
    let (ours, named) = (told(env!("CARGO_BIN_EXE_bindyd")), told("named"));
    for (form, (ours, named)) in ["JSON", "XML"].into_iter().zip(ours.iter().zip(&named)) {
        let times = named.keys().filter(|path| path.ends_with("/expires") || path.ends_with("/refresh"));
        assert_eq!(times.count(), 8, "{form}: {named:#?}");
        same(ours, named, form);
    }
}

#[test]
fn options_of_edns_are_counted_as_by_named() {
    const OPTIONS: [&str; 7] = ["3", "8:00011800c00002", "9", "11", "12:0000", "14:4a5c", "100:0102"];
    let counted = |program: &str| {
        let watched = Watched::start(program, "");
        for option in OPTIONS {
            dig("127.0.0.1", watched.port, &["+nocookie", "+tcp", &format!("+ednsopt={option}"), "www.example.com"]);
        }
        let mut counts = watched.json("/json/v1/server");
        counts.retain(|path, _| path.contains("Opt"));
        counts
    };
    let (ours, named) = (counted(env!("CARGO_BIN_EXE_bindyd")), counted("named"));
    assert!(named.len() >= OPTIONS.len(), "{named:?}");
    assert_eq!(ours, named);
}

#[test]
fn json_says_what_named_says() {
    both_say_the_same_in_json("");
}

#[test]
fn json_says_of_zones_what_named_says_as_far_as_they_are_to_be_told() {
    both_say_the_same_in_json("zone-statistics full;");
    for program in [env!("CARGO_BIN_EXE_bindyd"), "named"] {
        let silent = Watched::start(program, "zone-statistics none;");
        let told = silent.json("/json/v1/zones");
        assert!(!told.keys().any(|path| path.contains("example.com")), "{told:?}");
    }
}

fn both_say_the_same_in_json(options: &str) {
    let (ours, named) = (Watched::start(env!("CARGO_BIN_EXE_bindyd"), options), Watched::start("named", options));
    ours.ask();
    named.ask();
    for part in ["", "/v1", "/v1/status", "/v1/server", "/v1/zones", "/v1/net", "/v1/tasks", "/v1/mem", "/v1/traffic"] {
        let path = format!("/json{part}");
        let (ours, named) = (ours.json(&path), named.json(&path));
        assert_eq!(ours["json-stats-version"], named["json-stats-version"]);
        for always in ["boot-time", "config-time", "current-time", "version"] {
            assert_eq!(ours[always].len() > 2, named.contains_key(always), "{path} {always}");
        }
        same(&comparable(ours), &comparable(named), &path);
    }
}

#[test]
fn open_connections_are_told() {
    let ours = Watched::ours();
    let open: Vec<_> = (0..3).map(|_| TcpStream::connect(("127.0.0.1", ours.port)).expect("it listens")).collect();
    let clients = || ours.json("/json/v1/net").get("sockstats/TCP4Clients").cloned();
    wait_until(|| clients().as_deref() == Some("3"), "three connections are open");
    assert_eq!(ours.json("/json/v1/server")["nsstats/TCPConnHighWater"], "3");
    assert_eq!(ours.xml("/xml/v3/net")["server/sockstat/TCP4Accept"], "3");
    drop(open);
    wait_until(|| clients().is_none(), "no connection is open");
}

#[test]
fn xml_says_what_named_says() {
    let full = "zone-statistics full;";
    let (ours, named) = (Watched::start(env!("CARGO_BIN_EXE_bindyd"), full), Watched::start("named", full));
    ours.ask();
    named.ask();
    for path in [
        "/",
        "/xml",
        "/xml/v3",
        "/xml/v3/status",
        "/xml/v3/server",
        "/xml/v3/zones",
        "/xml/v3/tasks",
        "/xml/v3/mem",
        "/xml/v3/traffic",
    ] {
        same(&comparable(ours.xml(path)), &comparable(named.xml(path)), path);
    }
}
