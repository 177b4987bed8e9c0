//! `bindyd` as its users see it: named.conf, zone files, signals and dig.

mod bindcar;
mod catalogs;
mod commands;
mod control;
mod crash;
mod differences;
mod dnstap;
mod floods;
mod follow;
mod forwarding;
mod interfaces;
mod journal;
mod logging;
mod new_zones;
mod notify;
mod nsupdate;
mod pairs;
mod partition;
mod peers;
mod process;
mod querylog;
mod requests;
mod secondaries;
mod server;
mod statistics;
mod transfers;
mod updates;
mod views;

use bindy_tests::ports::free_port;
use server::{Prepared, Server, dig};

const ZONE: &str = "$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n";

fn zone(serial: u32, address: &str) -> String {
    ZONE.replace("hostmaster 1 ", &format!("hostmaster {serial} ")).replace("192.0.2.1\n", &format!("{address}\n"))
}

const EXAMPLE: &str = "zone \"example.com\" { type primary; file \"example.zone\"; };";

#[test]
fn a_reload_serves_what_changed_and_keeps_what_is_broken() {
    let mut server = Server::start(EXAMPLE, &[("example.zone", ZONE)]);
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.1\n");

    server.write("example.zone", &zone(2, "192.0.2.2"));
    server.reload();
    server.says("zone example.com/IN: loaded serial 2");
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.2\n");

    server.write("example.zone", &format!("{}broken A 192.0.2.256\n", zone(3, "192.0.2.3")));
    server.reload();
    server.says("example.zone:6:10: A address: ");
    server.says("zone example.com/IN: not loaded due to errors; what was served stays served");
    server.says("reloading configuration succeeded");
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.2\n");

    server.write("example.zone", &zone(4, "192.0.2.4"));
    server.configure("zone \"example.com\" { type primray; file \"example.zone\"; };");
    server.reload();
    server.says("did you mean `primary`?");
    server.says("; all stays as it was: 'named.conf' has SHA-256 ");
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.2\n");

    server.write("example.net.zone", ZONE);
    server.configure("zone \"example.net\" { type primary; file \"example.net.zone\"; };");
    server.reload();
    server.says("zone example.com/IN: no longer served");
    server.says("reloading configuration succeeded");
    assert_eq!(server.dig(&["+short", "www.example.net"]), "192.0.2.1\n");
    assert!(server.dig(&["www.example.com"]).contains("status: REFUSED"));
    assert!(server.stop().success());
}

#[test]
fn a_change_of_an_included_file_is_seen() {
    let zone = format!("{ZONE}$INCLUDE hosts\n");
    let server = Server::start(EXAMPLE, &[("example.zone", &zone), ("hosts", "a A 192.0.2.11\n")]);
    assert_eq!(server.dig(&["+short", "a.example.com"]), "192.0.2.11\n");
    server.write("hosts", "a A 192.0.2.12\n");
    server.reload();
    server.says("its serial did not");
    server.says("reloading configuration succeeded");
    assert_eq!(server.dig(&["+short", "a.example.com"]), "192.0.2.12\n");
}

#[test]
fn a_serial_that_goes_back_is_told() {
    let server = Server::start(EXAMPLE, &[("example.zone", &zone(5, "192.0.2.5"))]);
    server.write("example.zone", &zone(4, "192.0.2.4"));
    server.reload();
    server.says("the serial went back from 5 to 4: secondaries will not notice; make it greater than 5");
    server.says("reloading configuration succeeded");
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.4\n");
}

#[test]
fn a_zone_file_that_is_right_again_is_told_even_if_nothing_changed() {
    let server = Server::start(EXAMPLE, &[("example.zone", ZONE)]);
    server.write("example.zone", "broken");
    server.reload();
    server.says("what was served stays served");
    server.write("example.zone", ZONE);
    server.reload();
    server.says("zone example.com/IN: loaded serial 1");
}

#[test]
fn a_raw_zone_file_is_served_as_the_text_that_it_was_made_of() {
    let records = "$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.53\n*.w 60 TXT \"a b\" c\n\
                   Mixed MX 10 Mail.Example.Org.\ncut NS ns.cut\nns.cut AAAA 2001:db8::1\n_s._tcp SRV 0 0 53 ns\n";
    let conf = |format| format!("zone example.com {{ type primary; file \"raw.zone\"; masterfile-format {format}; }};");
    let text = Server::start(EXAMPLE, &[("example.zone", records)]);
    let questions = ["SOA", "NS", "TXT x.w", "MX mixed", "A www.cut", "SRV _s._tcp", "A none"];
    let ask = |server: &Server, question: &str| {
        let (rtype, owner) = question.split_once(' ').unwrap_or((question, ""));
        let name = format!("{owner}.example.com").trim_start_matches('.').to_owned();
        let reply = server.dig(&["+nostats", "+nocmd", "+nocookie", &name, rtype]);
        reply.lines().filter(|line| !line.contains(";; ->>HEADER")).collect::<Vec<_>>().join("\n")
    };
    for version in ["raw", "raw=0"] {
        let prepared = Prepared::new("", &conf("raw"), &[("text.zone", records)]);
        let compile = ["-F", version, "-o", "raw.zone", "example.com", "text.zone"];
        let made =
            std::process::Command::new("named-compilezone").args(compile).current_dir(prepared.folder()).output();
        let made = made.expect("named-compilezone: install bind9-utils");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let mut raw = prepared.run();
        for question in questions {
            assert_eq!(ask(&raw, question), ask(&text, question), "{version}: {question}");
        }
        raw.configure(&conf("text"));
        raw.reload();
        raw.says("this is a raw zone file and no text");
        raw.says("what was served stays served");
    }
    let server = Server::start(&conf("raw"), &[("raw.zone", records)]);
    server.has_said("zone example.com/IN: not loaded due to errors");
}

#[test]
fn a_zone_file_that_is_a_pipe_holds_nothing_up() {
    let conf = format!("zone pipe.test {{ type primary; file \"pipe\"; }};\n{EXAMPLE}");
    let prepared = Prepared::new("", &conf, &[("example.zone", ZONE)]);
    let made = std::process::Command::new("mkfifo").arg(prepared.folder().join("pipe")).status();
    assert!(made.expect("mkfifo is everywhere").success());
    let mut server = prepared.run();
    server.has_said("pipe: cannot read the zone file: it is not a regular file");
    server.has_said("2 zones (1 not loaded), 4 records");
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.1\n");
    assert!(server.stop().success());
}

#[test]
fn a_zone_that_does_not_load_is_servfail_and_the_others_are_served() {
    let signed = format!(
        "{ZONE}@ DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==\n"
    );
    let crowded = format!("{ZONE}$GENERATE 0-100 crowd A 198.51.100.$\n");
    let conf = "zone missing.test { type primary; file \"missing.zone\"; };\n\
                zone signed.test { type primary; file \"signed.zone\"; };\n\
                zone crowded.test { type primary; file \"crowded.zone\"; };\n\
                zone wide.test { type primary; file \"crowded.zone\"; max-records-per-type 101; };\n\
                zone small.test { type primary; file \"example.zone\"; max-records 3; };\n\
                zone cname.test { type primary; file \"cname.zone\"; };\n\
                zone headless.test { type primary; file \"headless.zone\"; };\n";
    let server = Server::start(
        &format!("{conf}{EXAMPLE}"),
        &[
            ("example.zone", ZONE),
            ("signed.zone", &signed),
            ("crowded.zone", &crowded),
            ("cname.zone", &format!("{ZONE}www CNAME ns\n")),
            ("headless.zone", "$TTL 300\nwww A 192.0.2.1\n"),
        ],
    );
    for (line, zone) in [
        ("missing.zone: cannot read the zone file: No such file or directory", "missing.test"),
        ("signed.zone:6:1: signed zones are not supported yet: the zone has a DNSKEY", "signed.test"),
        ("crowd.crowded.test. has more A records than `max-records-per-type` allows", "crowded.test"),
        ("the zone has more records than `max-records` allows", "small.test"),
        ("CNAME and other data at www.cname.test.", "cname.test"),
        ("the zone headless.test. has no SOA record", "headless.test"),
    ] {
        server.has_said(line);
        server.has_said(&format!("zone {zone}/IN: not loaded due to errors"));
        assert!(server.dig(&[&format!("www.{zone}")]).contains("status: SERVFAIL"), "{zone}");
    }
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.1\n");
    assert_eq!(server.dig(&["+short", "www.wide.test"]), "192.0.2.1\n");
}

#[test]
fn who_may_ask_is_as_the_configuration_says() {
    let conf = "acl inside { 127.0.0.1; };\n\
                zone open.test { type primary; file \"example.zone\"; };\n\
                zone inside.test { type primary; file \"example.zone\"; allow-query { inside; }; };\n\
                zone outside.test { type primary; file \"example.zone\"; allow-query { !inside; any; }; };\n\
                zone local.test { type primary; file \"example.zone\"; allow-query { localhost; }; };\n\
                zone closed.test { type primary; file \"example.zone\"; allow-query { none; }; };\n\
                zone nobody-not.test { type primary; file \"example.zone\"; allow-query { !none; }; };\n\
                zone nobody-first.test { type primary; file \"example.zone\"; allow-query { none; any; }; };\n\
                zone nested.test { type primary; file \"example.zone\"; allow-query { !{ none; }; }; };\n";
    let server = Server::start(conf, &[("example.zone", ZONE)]);
    for (zone, status) in [
        ("open.test", "NOERROR"),
        ("inside.test", "NOERROR"),
        ("outside.test", "REFUSED"),
        ("local.test", "NOERROR"),
        ("closed.test", "REFUSED"),
        ("nobody-not.test", "NOERROR"),
        ("nobody-first.test", "REFUSED"),
        ("nested.test", "REFUSED"),
    ] {
        let reply = server.dig(&[&format!("www.{zone}")]);
        assert!(reply.contains(&format!("status: {status}")), "{zone}: {reply}");
    }
}

#[test]
fn lists_that_repeat_lists_are_bounded() {
    let doubling: Vec<_> = (1..40).map(|n| format!("acl l{n} {{ l{0}; l{0}; }};", n - 1)).collect();
    let conf = format!("acl l0 {{ 192.0.2.1; }};\n{}", doubling.join("\n"));
    let (status, said) = Prepared::new("", &conf, &[]).refuses();
    assert_eq!(status, Some(1));
    assert!(said.contains("the list holds more than 10000 keys and lists"), "{said}");
}

#[test]
fn lists_of_addresses_may_be_long() {
    let others = (0..20_000).map(|n| format!("10.{}.{}.0/24; ", n >> 8, n & 255)).collect::<Vec<_>>().concat();
    let zone =
        |name, list| format!("zone {name} {{ type primary; file \"example.zone\"; allow-query {{ {list} }}; }};\n");
    let conf = zone("open.test", format!("{others} 127.0.0.1;"))
        + &zone("closed.test", format!("{others} !127.0.0.0/8; any;"));
    let server = Server::start(&conf, &[("example.zone", ZONE)]);
    for (zone, status) in [("open.test", "NOERROR"), ("closed.test", "REFUSED")] {
        let reply = server.dig(&[&format!("www.{zone}")]);
        assert!(reply.contains(&format!("status: {status}")), "{zone}: {reply}");
    }
}

#[test]
fn who_is_in_the_blackhole_hears_nothing() {
    let mut prepared = Prepared::new("blackhole { 127.0.0.2; };", EXAMPLE, &[("example.zone", ZONE)]);
    prepared.listen_on("port 0 { 127.0.0.1; }");
    let server = prepared.run();
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.1\n");
    assert_eq!(server.dig(&["+short", "+time=1", "-b", "127.0.0.3", "www.example.com"]), "192.0.2.1\n");
    for transport in ["+notcp", "+tcp"] {
        let reply = server.dig(&["+short", "+time=1", transport, "-b", "127.0.0.2", "www.example.com"]);
        assert!(!reply.contains("192.0.2.1"), "{reply}");
    }
}

#[test]
fn options_shape_the_answers() {
    let conf = format!("{EXAMPLE}\n");
    let options = "version \"seven\"; server-id \"id\"; hostname none; minimal-responses yes; edns-udp-size 1400;";
    let server = Prepared::new(options, &conf, &[("example.zone", ZONE)]).run();
    assert_eq!(server.dig(&["+short", "CH", "TXT", "version.bind"]), "\"seven\"\n");
    assert_eq!(server.dig(&["+short", "CH", "TXT", "id.server"]), "\"id\"\n");
    let reply = server.dig(&["+nsid", "www.example.com"]);
    assert!(reply.contains("AUTHORITY: 0") && reply.contains("udp: 1400") && reply.contains("(\"id\")"), "{reply}");
    let full = Server::start(&conf, &[("example.zone", ZONE)]);
    assert!(full.dig(&["+norecurse", "www.example.com"]).contains("AUTHORITY: 1"));
}

#[test]
fn what_the_server_does_not_tell_of_itself_is_answered_without_data_as_by_named() {
    let options = "version none; hostname none; recursion no; dnssec-validation no;";
    let answers = [env!("CARGO_BIN_EXE_bindyd"), "named"].map(|program| {
        let port = free_port();
        let mut prepared = Prepared::new(options, "", &[("example.zone", ZONE)]);
        prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
        prepared.configure(EXAMPLE);
        let _server = prepared.run_until_it_answers(program);
        ["version.bind", "hostname.bind", "id.server", "authors.bind", "a.version.bind", "no.bind"].map(|name| {
            let reply = dig("127.0.0.1", port, &["+norecurse", "+nocookie", "CH", "TXT", name]);
            let told = |line: &&str| line.contains("status:") || !line.is_empty() && !line.starts_with(';');
            reply
                .lines()
                .filter(told)
                .map(|line| line.split(", id:").next().unwrap_or(line).to_owned())
                .collect::<Vec<_>>()
        })
    });
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0][0].iter().any(|line| line.contains("NOERROR")), "{:?}", answers[0]);
}

#[test]
fn the_process_number_is_in_the_pid_file_while_it_runs() {
    let mut server = Prepared::new("pid-file \"run/bindyd.pid\";", EXAMPLE, &[("example.zone", ZONE)]).run();
    let file = server.folder().join("run/bindyd.pid");
    assert_eq!(std::fs::read_to_string(&file).expect("it was written"), format!("{}\n", server.id()));
    assert!(server.stop().success());
    assert!(!file.exists());
}

#[test]
fn what_cannot_be_obeyed_is_an_error_with_its_place() {
    for (conf, message) in [
        ("zone a { type mirror; primaries { 192.0.2.1; }; };", "zones of type mirror are not supported yet"),
        ("zone a { type stub; primaries { 192.0.2.1; }; };", "zones of type stub are not supported"),
        ("zone a { type static-stub; server-names { b; }; };", "zones of type static-stub are not supported"),
        ("zone a { type forward; forwarders { 192.0.2.1; }; };", "zones of type forward are not supported"),
        ("zone . { type redirect; file \"f\"; };", "zones of type redirect are not supported"),
        ("zone a { type primary; dlz \"x\"; };", "`dlz` cannot be obeyed"),
        ("zone a { type primary; file \"f\"; masterfile-format map; };", "`map`"),
        ("dlz x { database \"dlopen x.so\"; };", "`dlz` cannot be obeyed"),
        ("dyndb x \"x.so\" { };", "`dyndb` cannot be obeyed"),
        ("plugin query \"x.so\";", "`plugin` cannot be obeyed: there are no plugins"),
        ("view v { plugin query \"x.so\"; };", "`plugin` cannot be obeyed: there are no plugins"),
        (
            "view v { response-policy { zone \"a\"; }; zone a { type primary; file \"f\"; }; };",
            "`response-policy` cannot be obeyed",
        ),
        ("view v { dns64 64:ff9b::/96 { }; };", "`dns64` cannot be obeyed"),
        ("acl a { geoip country DE; };", "access by place is not supported"),
        (
            "zone a { type primary; file \"f\"; dnssec-policy default; inline-signing yes; };",
            "`dnssec-policy`, `inline-signing` cannot be obeyed",
        ),
        ("zone a { type primary; file \"f\"; inline-signing yes; };", "`inline-signing` cannot be obeyed"),
        ("zone a { type primary; file \"f\"; allow-query { nobody; }; };", "there is no acl `nobody`"),
        ("acl a { b; }; acl b { a; };", "the acl `a` contains itself"),
        ("view v CH { };", "a view of class CH cannot be served"),
        ("zone a { type primary; file \"f\"; database \"x\"; };", "zones come from zone files only"),
    ] {
        let (status, said) = Prepared::new("", conf, &[]).refuses();
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(message) && said.contains("named.conf:2:"), "{conf}\n{said}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let prepared = Prepared::new("", "", &[]);
    prepared.write("named.conf", "options { directory \"gone\"; };");
    let (status, said) = prepared.refuses();
    assert_eq!(status, Some(1));
    assert!(said.contains("there is no directory `gone`") && said.contains("named.conf:1:21"), "{said}");
}

#[test]
fn statements_that_ask_for_nothing_here_are_taken_silently() {
    let conf = "key k { algorithm hmac-sha256; secret \"c2VjcmV0\"; };\n\
                acl unused { 192.0.2.0/24; };\n\
                controls { };\n";
    let options = "recursion no; dnssec-validation no; session-keyfile \"sk\"; minimal-responses yes; notify no;\n\
                   dnssec-policy none; allow-transfer { none; }; allow-update { none; }; check-names primary ignore;";
    let server = Prepared::new(options, &format!("{conf}{EXAMPLE}"), &[("example.zone", ZONE)]).run();
    let said = server.said();
    assert!(!said.contains("warning") && !said.contains("error"), "{said}");
}

#[test]
fn statements_about_recursion_get_one_warning() {
    let options = "allow-transfer { none; }; recursion yes; allow-recursion { any; }; forwarders { 192.0.2.9; }; max-cache-size 10%;";
    let conf = format!("zone \".\" {{ type hint; file \"root.hints\"; }};\n{EXAMPLE}");
    let server = Prepared::new(options, &conf, &[("example.zone", ZONE)]).run();
    server.has_said("without effect: allow-recursion, forwarders, max-cache-size, recursion");
    server.has_said("a zone of type hint serves recursion only");
    assert_eq!(server.said().matches("config: warning").count(), 2, "{}", server.said());
}

#[test]
fn a_statement_without_effect_gets_one_warning_however_many_zones_have_it() {
    let zone = |name| format!("zone {name} {{ type primary; file \"example.zone\"; max-zone-ttl 1d; }};\n");
    let conf = ["a.test", "b.test", "c.test"].map(zone).concat();
    let server =
        Prepared::new("max-zone-ttl 1d; allow-transfer { none; }; notify no;", &conf, &[("example.zone", ZONE)]).run();
    server.has_said("named.conf:1:");
    server.has_said("`max-zone-ttl` has no effect: TTLs are served as they are (and in 3 more places)");
    assert_eq!(server.said().matches("config: warning").count(), 1, "{}", server.said());
}

#[test]
fn that_everybody_may_transfer_zones_is_told_once() {
    let zone = |name| format!("zone {name} {{ type primary; file \"example.zone\"; }};\n");
    let conf =
        ["a.test", "b.test", "c.test"].map(zone).concat().replace("a.test {", "a.test { allow-transfer { none; };");
    let server = Server::start(&conf, &[("example.zone", ZONE)]);
    server
        .has_said("named.conf:3:1: no `allow-transfer` for this zone and 1 more: as in BIND 9.18, that lets everybody");
}

#[test]
fn listeners_that_are_not_there_yet_are_errors() {
    for listen in ["tls ephemeral", "tls none http default"] {
        let options = format!("listen-on port 853 {listen} {{ 127.0.0.1; }};");
        let (status, said) = Prepared::new(&options, EXAMPLE, &[]).refuses();
        assert_eq!(status, Some(1));
        assert!(said.contains("TLS and HTTPS are not supported yet") && said.contains("named.conf:1:"), "{said}");
    }
}

#[test]
fn an_address_that_is_taken_is_named_with_the_remedy() {
    let first = Server::start(EXAMPLE, &[("example.zone", ZONE)]);
    let port = first.port().to_string();
    let mut second = Prepared::new("", EXAMPLE, &[("example.zone", ZONE)]);
    second.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    second.configure(EXAMPLE);
    let (status, said) = second.refuses();
    assert_eq!(status, Some(1));
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")) && said.contains("another program"), "{said}");
}

#[test]
fn listeners_follow_the_configuration() {
    let mut server = Server::start(EXAMPLE, &[("example.zone", ZONE)]);
    let old = server.port();
    server.listen_on("port 0 { 127.0.0.2; }");
    server.configure(EXAMPLE);
    server.reload();
    server.says(&format!("no longer listening on 127.0.0.1:{old}"));
    server.says("listening on 127.0.0.2:");
    server.says("reloading configuration succeeded");
    assert!(!dig("127.0.0.1", old, &["www.example.com"]).contains("NOERROR"), "nobody listens there any more");
}

#[test]
fn the_command_line_is_that_of_named() {
    let run = |arguments: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_bindyd")).args(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    for version in ["-v", "--version"] {
        assert_eq!(run(&[version]), (Some(0), format!("bindyd {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let (status, said) = run(&["-V"]);
    assert!(status == Some(0) && said.contains("/etc/bind/named.conf"), "{said}");
    for wrong in [["-q"].as_slice(), &["-p", "70000"], &["-n", "x"], &["-c"], &["stray"]] {
        let (status, said) = run(wrong);
        assert!(status == Some(1) && said.contains("usage: bindyd"), "{wrong:?}: {said}");
    }
    assert!(run(&["-4", "-6"]).1.contains("-4 and -6 exclude each other"));
    let all = "-c /nonexistent/named.conf -4 -D marker -E engine -F -fg -d 3 -L log -m usage -M fill -n 0 -p 5300 -p tls=853 \
               -s -S 4096 -T clienttest -U 2 -x x -X none";
    let (status, said) = run(&all.split_ascii_whitespace().collect::<Vec<_>>());
    assert!(status == Some(1) && said.contains("cannot read the configuration"), "{said}");
    let (status, said) = run(&["-g", "-u", "nobody-of-that-name"]);
    assert!(status == Some(1) && said.contains("user 'nobody-of-that-name' unknown"), "{said}");
    let (status, said) = run(&["-g", "-t", "/nonexistent"]);
    assert!(status == Some(1) && said.contains("-t /nonexistent: "), "{said}");
}
