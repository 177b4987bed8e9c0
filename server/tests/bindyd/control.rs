//! The control channel, driven by the real rndc and compared with `named`.

use std::{
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use bindy_tests::ports::free_port;

use super::{
    EXAMPLE, ZONE,
    server::{Prepared, Server},
    zone,
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");

/// A secret in base64; there is a key of each algorithm with it.
pub const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const ALGORITHMS: [&str; 6] = ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];

/// A server with a control channel, and the channel's port.
pub struct Controlled {
    pub server: Server,
    port: u16,
}

pub fn key(name: &str, algorithm: &str) -> String {
    format!("key \"{name}\" {{ algorithm {algorithm}; secret \"{SECRET}\"; }};\n")
}

impl Controlled {
    /// Prepares a folder with all keys, a zone, and these additions to `inet`; also returns the control port.
    fn prepare(listen: &str, inet: &str) -> (Prepared, u16) {
        Controlled::prepare_with(listen, inet, "", EXAMPLE)
    }

    /// The same with these options, and these statements instead of the zone.
    fn prepare_with(listen: &str, inet: &str, options: &str, statements: &str) -> (Prepared, u16) {
        let port = free_port();
        let keys: String = ALGORITHMS.iter().map(|algorithm| key(algorithm, algorithm)).collect();
        let names: String = format!("\"{}\";", ALGORITHMS.join("\"; \""));
        let conf = format!(
            "{keys}controls {{ inet 127.0.0.1 port {port} allow {{ 127.0.0.1; }} keys {{ {names} }} {inet}; }};\n{statements}"
        );
        let options = format!("dnssec-validation no; recursion no; {options}");
        let mut prepared = Prepared::new(&options, "", &[("example.zone", ZONE)]);
        prepared.listen_on(listen);
        prepared.configure(&conf);
        prepared.write("other.conf", &key("hmac-sha256", "hmac-sha256").replace("MDEy", "MDEx"));
        for algorithm in ALGORITHMS {
            prepared.write(&format!("{algorithm}.conf"), &key(algorithm, algorithm));
        }
        (prepared, port)
    }

    pub fn ours(inet: &str) -> Controlled {
        let (prepared, port) = Controlled::prepare("port 0 { 127.0.0.1; }", inet);
        Controlled { server: prepared.run(), port }
    }

    /// Starts `bindyd` with these options, and these statements instead of the zone.
    pub fn with(options: &str, zones: &str) -> Controlled {
        let (prepared, port) = Controlled::prepare_with("port 0 { 127.0.0.1; }", "", options, zones);
        Controlled { server: prepared.run(), port }
    }

    /// Starts `named`, with these further words for `inet`, and waits until it can be controlled.
    pub fn named(inet: &str) -> Controlled {
        let (prepared, port) = Controlled::prepare("{ none; }", inet);
        Controlled::launch("named", prepared, port)
    }

    /// Starts a server with these options and statements, and waits until it can be controlled.
    pub fn start(program: &str, listen: &str, options: &str, statements: &str) -> Controlled {
        Controlled::start_with(program, listen, options, statements, &[])
    }

    /// The same with further files.
    pub fn start_with(
        program: &str,
        listen: &str,
        options: &str,
        statements: &str,
        files: &[(&str, &str)],
    ) -> Controlled {
        let (prepared, port) = Controlled::prepare_with(listen, "", options, statements);
        for (name, text) in files {
            prepared.write(name, text);
        }
        Controlled::launch(program, prepared, port)
    }

    fn launch(program: &str, prepared: Prepared, port: u16) -> Controlled {
        // Lines must go to stderr whether this machine has a syslog or not.
        let prepared = prepared.with_variable("BINDYD_SYSLOG", "/nowhere");
        let server = prepared.with_arguments(&["-f", "-n", "1", "-c", "named.conf"]).run_program(program);
        let controlled = Controlled { server, port };
        controlled.wait();
        controlled
    }

    /// Ends the server with this signal and starts another one in the same folder.
    pub fn replace(&mut self, signal: &str, program: &str) {
        self.server.replace(signal, program);
        self.wait();
    }

    fn wait(&self) {
        let begin = Instant::now();
        while !self.told(&["status"]).0 {
            assert!(begin.elapsed() < Duration::from_secs(20), "it does not listen to rndc");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs rndc with a command and the key from this file.
    fn rndc(&self, key: &str, command: &[&str]) -> Output {
        let key = self.server.folder().join(format!("{key}.conf"));
        let port = self.port.to_string();
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut rndc = Command::new("rndc");
        rndc.env("PATH", path).arg("-k").arg(key).args(["-s", "127.0.0.1", "-p", &port]).args(command);
        rndc.output().expect("rndc must be installed: run scripts/install-test-tools")
    }

    /// Whether a command succeeded, and everything that rndc printed.
    pub fn told(&self, command: &[&str]) -> (bool, String) {
        let output = self.rndc("hmac-sha256", command);
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).replace(&self.server.folder().display().to_string(), ""),
        )
    }
}

#[test]
fn rndc_is_told_what_named_tells_it() {
    let (ours, named) = (Controlled::ours(""), Controlled::named(""));
    let commands: &[&[&str]] = &[
        &["zonestatus", "example.com"],
        &["zonestatus", "EXAMPLE.com.", "IN", "_default"],
        &["zonestatus", "example.org"],
        &["zonestatus", "example.com", "in", "inside"],
        &["zonestatus"],
        &["reload"],
        &["reload", "example.com"],
        &["reload", "example.org"],
        &["reconfig"],
        &["freeze", "example.com"],
        &["thaw", "example.com"],
        &["sync", "example.com"],
        &["sync", "-clean", "example.com"],
        &["freeze"],
        &["thaw"],
        &["sync"],
        &["zonestatus", "example.com", "ch"],
        &["flushtree", "www.example.com"],
        &["refresh", "example.com"],
        &["retransfer", "example.com"],
        &["retransfer", "example.org"],
        &["flush"],
        &["flushname", "www.example.com"],
        &["recursing"],
        &["scan"],
        &["null"],
        &["frobnicate"],
        &["trace"],
        &["trace", "5"],
        &["trace"],
        &["trace", "-1"],
        &["trace", "many"],
        &["tsig-list"],
        &["tsig-delete"],
        &["tsig-delete", "hmac-sha256", "_default"],
        &["sign", "example.com"],
        &["sign"],
        &["loadkeys", "example.com"],
        &["loadkeys", "example.org"],
        &["signing"],
        &["signing", "-list", "example.com"],
        &["signing", "-list", "example.org"],
        &["signing", "-serial", "5", "example.com"],
        &["signing", "-all", "example.com"],
        &["dnssec", "-status", "example.com"],
        &["dnssec", "-status", "example.org"],
        &["dnssec"],
        &["querylog", "on", "and", "on"],
        &["querylog", "OFF"],
        &["querylog", "1"],
        &["querylog"],
    ];
    for command in commands {
        let plain = |(success, text): (bool, String)| {
            let lines = text.lines().map(|line| match line.split_once("last loaded: ") {
                Some((before, time)) => {
                    assert_eq!(time.len(), "Fri, 20 Nov 2026 23:35:10 GMT".len(), "{time}");
                    format!("{before}last loaded")
                }
                None => line.to_owned(),
            });
            (success, lines.collect::<Vec<_>>().join("\n"))
        };
        assert_eq!(plain(ours.told(command)), plain(named.told(command)), "{command:?}");
    }
    for line in [
        "configuration file: /",
        "number of zones: ",
        "debug level: 6\n",
        "query logging is ON\n",
        "server is up and running",
    ] {
        for server in [&ours, &named] {
            let (success, text) = server.told(&["status"]);
            assert!(success && text.contains(line), "{line}: {text}");
        }
    }
    for server in [&ours, &named] {
        assert_eq!(server.told(&["notrace"]), (true, String::new()));
        assert!(server.told(&["status"]).1.contains("debug level: 0\n"));
    }
}

#[test]
fn a_zone_is_read_again_when_rndc_says_so() {
    let ours = Controlled::ours("");
    assert_eq!(ours.told(&["reload", "example.com"]), (true, "zone reload up-to-date\n".into()));
    ours.server.write("example.zone", &zone(2, "192.0.2.2"));
    assert_eq!(ours.told(&["reload", "example.com"]), (true, "zone reload successful\n".into()));
    assert_eq!(ours.server.dig(&["+short", "www.example.com"]), "192.0.2.2\n");
    ours.server.write("example.zone", "broken");
    assert!(!ours.told(&["reload", "example.com"]).0);
    assert_eq!(ours.server.dig(&["+short", "www.example.com"]), "192.0.2.2\n");
    ours.server.write("example.zone", &zone(3, "192.0.2.3"));
    assert_eq!(ours.told(&["reload"]), (true, "server reload successful\n".into()));
    assert_eq!(ours.server.dig(&["+short", "www.example.com"]), "192.0.2.3\n");
    ours.server.write("named.conf", "options {");
    assert!(!ours.told(&["reconfig"]).0);
}

#[test]
fn keys_of_all_algorithms_are_known_and_no_other() {
    let ours = Controlled::ours("");
    for algorithm in ALGORITHMS {
        let output = ours.rndc(algorithm, &["status"]);
        assert!(output.status.success(), "{algorithm}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!ours.rndc("other", &["status"]).status.success());
    ours.server.says(": bad auth");
    ours.server.has_said("invalid command from 127.0.0.1#");
    assert!(ours.told(&["status"]).0, "others are still heard");
}

/// `addzone` was an unknown command there, `showzone` a failure, and whatever is no command was called that.
#[test]
fn who_may_only_read_is_refused_as_by_named() {
    let (ours, named) = (Controlled::ours("read-only yes"), Controlled::named("read-only yes"));
    let commands: &[&[&str]] = &[
        &["null"],
        &["zonestatus"],
        &["zonestatus", "example.org"],
        &["showzone"],
        &["showzone", "example.org"],
        &["testgen"],
        &["nta"],
        &["nta", "-dump"],
        &["frobnicate"],
        &["addzone", "example.org { type primary; file \"example.zone\"; };"],
        &["addzone"],
        &["modzone", "example.com { type primary; file \"other.zone\"; };"],
        &["delzone", "example.com"],
        &["reload"],
        &["reload", "example.com"],
        &["reconfig"],
        &["querylog"],
        &["trace"],
        &["tsig-list"],
        &["signing", "-list", "example.com"],
        &["dnssec", "-status", "example.com"],
        &["managed-keys", "status"],
        &["serve-stale", "status"],
        &["validation", "status"],
        &["secroots", "-"],
        &["recursing"],
        &["flush"],
        &["stop"],
        &["halt"],
    ];
    for command in commands {
        assert_eq!(ours.told(command), named.told(command), "{command:?}");
    }
    assert!(ours.told(&["status"]).0);
    assert!(ours.told(&["zonestatus", "example.com"]).0);
    assert_eq!(ours.server.dig(&["+short", "www.example.com"]), "192.0.2.1\n");
}

#[test]
fn stop_stops_and_tells_the_process() {
    let mut ours = Controlled::ours("");
    let (success, text) = ours.told(&["stop", "-p"]);
    assert!(success && text.starts_with("pid: "), "{text}");
    assert!(ours.server.ended().success());
}

#[test]
fn status_has_the_lines_of_named() {
    for options in ["", "version none;", "version \"none of it\";"] {
        let lines = |program: &str| {
            let listen = if program == BINDYD { "port 0 { 127.0.0.1; }" } else { "{ none; }" };
            let server = Controlled::start(program, listen, options, EXAMPLE);
            let conf = std::fs::read_to_string(server.server.folder().join("named.conf")).expect("it is there");
            let now = server.told(&["status"]).1;
            server.server.write("named.conf", &format!("{conf}zone \"x\" {{ type primary file \"y\"; }};\n"));
            assert!(!server.told(&["reload"]).0);
            let broken = server.told(&["status"]).1;
            [now, broken].map(|text| {
                let comparable = |line: &str| match line.split_once(": ") {
                    Some(("version", version)) => version.split_once("<id:>").map_or("", |(_, rest)| rest).to_owned(),
                    Some((name, _)) if !name.starts_with("running on") && !name.contains("cp ") => name.to_owned(),
                    _ => line.to_owned(),
                };
                text.lines().map(comparable).collect::<Vec<_>>()
            })
        };
        let (ours, named) = (lines(BINDYD), lines("named"));
        assert_eq!(ours, named, "{options}");
        assert!(ours[1].contains(&"reload/reconfig failed".to_owned()), "{ours:?}");
    }
}

#[test]
fn zonestatus_tells_nodes_and_the_time_of_the_file_as_named() {
    const NAMES: &str = "a.b.c TXT x\n*.w.v TXT x\nx.e TXT x\ny.e TXT x\np.q.r.s TXT x\no.q.r.s TXT x\n*.e2 TXT x\n";
    let lines = |program: &str| {
        let listen = if program == BINDYD { "port 0 { 127.0.0.1; }" } else { "{ none; }" };
        let mut server = Controlled::start(program, listen, "", EXAMPLE);
        server.server.write("example.zone", &format!("{ZONE}{NAMES}"));
        let file = server.server.folder().join("example.zone");
        let touched = Command::new("touch").args(["-d", "2021-01-02T03:04:05Z"]).arg(file).status();
        assert!(touched.expect("touch is everywhere").success());
        server.replace("TERM", program);
        server.told(&["zonestatus", "example.com"]).1
    };
    let ours = lines(BINDYD);
    assert!(ours.contains("last loaded: Sat, 02 Jan 2021 03:04:05 GMT"), "{ours}");
    assert_eq!(ours, lines("named"));
}

#[test]
fn commands_are_logged_in_the_words_of_named() {
    const LOGGING: &str = "logging { channel g { file \"general.log\"; severity info; print-severity yes; };\n\
                           category general { g; }; };\n";
    const NEW: &str = "{ type primary; file \"example.zone\"; };";
    let commands: &[&[&str]] = &[
        &["addzone", "new.test", NEW],
        &["modzone", "new.test", "{ type primary; file \"example.zone\"; notify no; };"],
        &["delzone", "new.test"],
        &["sync"],
        &["sync", "-clean"],
        &["freeze"],
        &["thaw"],
        &["flush"],
        &["flush", "_default"],
        &["stats"],
        &["trace", "2"],
        &["notrace"],
        &["dumpdb", "-zones"],
        &["tsig-list"],
        &["null"],
        &["status"],
        &["nosuch", "command"],
    ];
    let logged = |program: &str| {
        let listen = if program == BINDYD { "port 0 { 127.0.0.1; }" } else { "{ none; }" };
        let server = Controlled::start(program, listen, "allow-new-zones yes;", &format!("{EXAMPLE}{LOGGING}"));
        for command in commands {
            server.told(command);
        }
        let log = server.server.writes("general.log", "unknown control channel command");
        let log = log.split_once("received control channel command 'addzone").expect("it was logged").1;
        // named dumps in a thread of its own.
        log.lines().skip(1).filter(|line| !line.contains("dumpdb ")).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(logged(BINDYD), logged("named"));
}
