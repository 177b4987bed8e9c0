//! The `logging` statement, compared with `named`.

use std::{
    fs,
    io::Read,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
};

use bindy_tests::ports::free_port;

use super::{
    EXAMPLE, ZONE,
    server::{PATIENCE, Prepared, Server, dig, port_in, signal, wait_until},
};

/// A named without recursion, DNSSEC validation, control channel or port.
fn named(conf: &str, arguments: &[&str], files: &[(&str, &str)]) -> Prepared {
    let mut named = Prepared::new("recursion no; dnssec-validation no;", "", files);
    named.listen_on("{ none; }");
    named.configure(&format!("{conf}\ncontrols {{ }};"));
    named.with_arguments(arguments)
}

#[test]
fn log_lines_go_to_the_channels_of_the_configuration() {
    let logging = "logging { channel zones { file \"zones.log\"; print-severity yes; severity info; };\n\
                   channel rest { file \"rest.log\"; print-category yes; };\n\
                   category zoneload { zones; }; category default { rest; }; };\n";
    let prepared = Prepared::new("", &format!("{logging}{EXAMPLE}"), &[("example.zone", ZONE)]);
    let mut server = prepared.with_arguments(&["-f", "-c", "named.conf"]).run();
    let rest = server.writes("rest.log", "general: running\n");
    assert_eq!(server.writes("zones.log", "\n"), "info: zone example.com/IN: loaded serial 1\n");
    assert_eq!(dig("127.0.0.1", port_in(&rest), &["+short", "www.example.com"]), "192.0.2.1\n");
    assert!(server.stop().success());
    assert!(server.writes("rest.log", "exiting\n").starts_with("general: "));
}

#[test]
fn log_lines_look_as_named_writes_them() {
    let channels: Vec<String> = ["no", "yes", "local", "iso8601", "iso8601-utc"]
        .into_iter()
        .flat_map(|time| [(time, "no", "no"), (time, "no", "yes"), (time, "yes", "no"), (time, "yes", "yes")])
        .map(|(time, category, severity)| {
            format!("print-time {time}; print-category {category}; print-severity {severity};")
        })
        .collect();
    let define = |(i, prints): (usize, &String)| format!("channel c{i} {{ file \"c{i}.log\"; {prints} }};\n");
    let defined: String = channels.iter().enumerate().map(define).collect();
    let all = (0..channels.len()).map(|i| format!("c{i};")).collect::<Vec<_>>().join(" ");
    let conf = format!("logging {{ {defined} category zoneload {{ {all} }}; }};\n{EXAMPLE}");
    let broken = "zone broken.test { type primary; file \"broken.zone\"; };\n";
    let files = [("example.zone", ZONE), ("broken.zone", "@ nonsense\n")];
    let ours = Prepared::new("", &(conf.clone() + broken), &files).with_arguments(&["-f", "-c", "named.conf"]).run();
    let mut named = Prepared::new("pid-file none; session-keyfile none;", "", &files);
    named.listen_on("{ none; }");
    named.configure(&format!("{conf}\ncontrols {{ }};"));
    let mut named = named.with_arguments(&["-f", "-n", "1", "-c", "named.conf"]).run_program("named");
    for (i, prints) in channels.iter().enumerate() {
        let file = format!("c{i}.log");
        let line = |server: &Server| {
            let written = server.writes(&file, "zone example.com/IN: loaded serial 1\n");
            let line = written.lines().find(|line| line.contains("example.com")).expect("it was waited for");
            // The time is a different one.
            let (before, after) = line.split_at(line.find("zone").expect("it is there"));
            before.replace(|c: char| c.is_ascii_digit(), "0") + after
        };
        assert_eq!(line(&ours), line(&named), "{prints}");
        let findings = ours.writes(&file, "broken.zone:1:3: ");
        assert_eq!(
            findings.matches("error: ").count(),
            if prints.contains("severity yes") { 3 } else { 0 },
            "{findings}"
        );
    }
    assert!(named.stop().success());
}

#[test]
fn severities_let_through_what_named_lets_through() {
    const SEVERITIES: [&str; 10] =
        ["critical", "error", "warning", "notice", "info", "debug", "debug 0", "debug 3", "dynamic", ""];
    let define = |(i, severity): (usize, &&str)| {
        let severity = if severity.is_empty() { String::new() } else { format!("severity {severity};") };
        format!("channel c{i} {{ file \"c{i}.log\"; print-severity yes; print-category yes; {severity} }};\n")
    };
    let defined: String = SEVERITIES.iter().enumerate().map(define).collect();
    let all = (0..SEVERITIES.len()).map(|i| format!("c{i};")).collect::<Vec<_>>().join(" ");
    let conf = format!("logging {{ {defined} category default {{ {all} }}; }};\n{EXAMPLE}");
    // Lines that both servers write, of each severity that both use.
    let common = [
        "general: notice: all zones loaded",
        "general: notice: running",
        "general: notice: exiting",
        "zoneload: info: zone example.com/IN: loaded serial 1",
        "general: info: loading configuration from ",
        "general: info: reloading configuration succeeded",
    ];
    for level in ["0", "1", "3"] {
        let arguments = ["-f", "-n", "1", "-d", level, "-c", "named.conf"];
        let files = [("example.zone", ZONE)];
        let ours = Prepared::new("", &conf, &files).with_arguments(&arguments).run();
        let named = named(&conf, &arguments, &files).run_program("named");
        let written = [ours, named].map(|mut server| {
            server.writes("c7.log", ": running\n");
            server.reload();
            server.writes("c7.log", "reloading configuration succeeded");
            assert!(server.stop().success());
            SEVERITIES
                .iter()
                .enumerate()
                .map(|(i, _)| {
                    let log = fs::read_to_string(server.folder().join(format!("c{i}.log"))).unwrap_or_default();
                    let debugs = log.contains(": debug ");
                    (common.map(|line| log.matches(line).count().min(1)), debugs)
                })
                .collect::<Vec<_>>()
        });
        let [ours, named] = written;
        for (severity, (ours, named)) in SEVERITIES.iter().zip(ours.iter().zip(&named)) {
            assert_eq!(ours.0, named.0, "severity {severity}; -d {level}");
            // bindyd does not log everything that named logs at debug levels.
            assert!(!ours.1 || named.1, "severity {severity}; -d {level}");
        }
    }
}

#[test]
fn without_logging_lines_go_to_syslog_and_debugging_to_named_run() {
    let folder = tempfile::tempdir().expect("the temporary directory can be written");
    let path = folder.path().join("log");
    let syslog = UnixDatagram::bind(&path).expect("nobody has it");
    syslog.set_read_timeout(Some(PATIENCE)).expect("it can wait");
    let hear = |text: &str| loop {
        let mut octets = [0; 2000];
        let length = syslog.recv(&mut octets).expect("it tells");
        let message = String::from_utf8_lossy(&octets[..length]).into_owned();
        if message.contains(text) {
            return message;
        }
    };
    let conf = "logging { channel own { syslog local3; severity debug; print-severity yes; }; category zoneload { own; }; };\n";
    let mut server = Prepared::new("", &format!("{conf}{EXAMPLE}"), &[("example.zone", ZONE)])
        .with_arguments(&["-f", "-d", "1", "-c", "named.conf"])
        .with_variable("BINDYD_SYSLOG", &path.display().to_string())
        .run();
    let id = server.id();
    // Facility and severity, time, and process ID, as syslog(3) sends them.
    let form = |message: &str, priority: &str, text: &str| {
        let (head, told) = message.split_once(&format!(" bindyd[{id}]: ")).unwrap_or_else(|| panic!("{message}"));
        assert_eq!((head.len(), told), (format!("<{priority}>Nov 21 08:38:06").len(), text));
        assert!(head.starts_with(&format!("<{priority}>")), "{message}");
    };
    form(&hear("example.com"), "158", "info: zone example.com/IN: loaded serial 1");
    form(&hear("all zones"), "29", "all zones loaded");
    let run = server.writes("named.run", " running\n");
    assert!(!run.contains("example.com") && run.contains(" all zones loaded\n"), "{run}");
    assert!(server.stop().success());
    form(&hear("exiting"), "29", "exiting");
}

#[test]
fn a_log_file_of_the_command_line_is_for_what_has_no_channel() {
    let arguments = ["-f", "-n", "1", "-L", "default.log", "-c", "named.conf"];
    let conf = format!("logging {{ category zoneload {{ null; }}; }};\n{EXAMPLE}");
    let files = [("example.zone", ZONE)];
    let servers = [
        Prepared::new("", &conf, &files).with_arguments(&arguments).run(),
        named(&conf, &arguments, &files).run_program("named"),
    ];
    let lines = servers.map(|mut server| {
        server.writes("default.log", ": running\n");
        assert!(server.stop().success());
        let log = fs::read_to_string(server.folder().join("default.log")).expect("it is there");
        assert!(!log.contains("zoneload"), "{log}");
        let mut common: Vec<_> = log
            .lines()
            .filter(|line| ["all zones loaded", " running", " exiting"].iter().any(|end| line.ends_with(end)))
            .collect();
        for line in &mut common {
            *line = &line["21-Nov-2026 08:38:06.123".len()..];
        }
        common.join("\n")
    });
    assert_eq!(lines[0], lines[1]);
}

#[test]
fn json_lines_have_every_part_by_name() {
    let logging = "logging { channel json { file \"json.log\"; print-json yes; severity debug 3; }; category default { json; }; };\n";
    let mut server = Prepared::new("", &format!("{logging}{EXAMPLE}"), &[("example.zone", ZONE)])
        .with_arguments(&["-f", "-c", "named.conf"])
        .run();
    server.writes("json.log", "\"running\"}\n");
    assert!(server.stop().success());
    let log = fs::read_to_string(server.folder().join("json.log")).expect("it is there");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    let loaded = lines.iter().find(|line| line["category"] == "zoneload").expect("it is told");
    assert_eq!(
        (&loaded["severity"], &loaded["message"]),
        (&"info".into(), &"zone example.com/IN: loaded serial 1".into())
    );
    for line in &lines {
        let time = line["time"].as_str().expect("every line has one");
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
}

#[test]
fn files_make_room_for_new_ones() {
    let logging = "logging { channel a { file \"a.log\" versions 2; }; channel b { file \"b.log\" versions 3 size 100 suffix timestamp; };\n\
                   category default { a; b; }; };\n";
    let mut server = Prepared::new("", &format!("{logging}{EXAMPLE}"), &[("example.zone", ZONE)])
        .with_arguments(&["-f", "-c", "named.conf"])
        .run();
    for times in 0..3 {
        wait_until(
            || {
                let log = fs::read_to_string(server.folder().join("a.log")).unwrap_or_default();
                log.contains(if times == 0 { "running\n" } else { "all zones loaded\n" })
            },
            "it has told it",
        );
        fs::write(server.folder().join("a.log"), format!("{times}\n")).expect("it is ours");
        server.reload();
    }
    server.writes("a.log", "all zones loaded\n");
    for (name, begins) in [("a.log.0", "2\n"), ("a.log.1", "1\n")] {
        let log = fs::read_to_string(server.folder().join(name)).unwrap_or_default();
        assert!(log.starts_with(begins), "{name}: {log}");
    }
    assert!(server.stop().success());
    let names = fs::read_dir(server.folder()).expect("it is there").flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.contains(&"a.log.2".to_owned()), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("b.log.20")).count(), 3, "{names:?}");
}

/// More zones than a pipe has room for log lines.
fn many_zones() -> String {
    let zone = |n| format!("zone \"with-quite-a-long-name-{n}.example\" {{ type primary; file \"example.zone\"; }};");
    (0..3000).map(zone).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody_up() {
    let logging = "logging { channel pipe { file \"pipe\"; severity debug 3; }; channel rest { file \"rest.log\"; print-category yes; };\n\
                   category default { pipe; rest; }; };\n";
    let prepared = Prepared::new("", &format!("{logging}{}{EXAMPLE}", many_zones()), &[("example.zone", ZONE)]);
    let pipe = prepared.folder().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is everywhere").success());
    // Opened at both ends, so that the pipe has a reader, which never reads.
    let mut reader = fs::File::options().read(true).write(true).open(&pipe).expect("it is there");
    let mut server = prepared.with_arguments(&["-f", "-c", "named.conf"]).run();
    let rest = server.writes("rest.log", "general: running\n");
    assert_eq!(dig("127.0.0.1", port_in(&rest), &["+short", "www.example.com"]), "192.0.2.1\n");
    server.writes("rest.log", "log lines are missing: they came faster than they could be written");
    let mut octets = [0; 30];
    reader.read_exact(&mut octets).expect("the pipe is full");
    assert!(server.stop().success());
}

#[test]
fn a_standard_error_that_nobody_reads_holds_nobody_up() {
    let mut prepared = Prepared::new("", "", &[("example.zone", ZONE)]);
    let port = free_port();
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    prepared.configure(&format!("{}{EXAMPLE}", many_zones()));
    let prepared = prepared.with_arguments(&["-g", "-d", "3", "-c", "named.conf"]);
    let mut process =
        prepared.command(env!("CARGO_BIN_EXE_bindyd")).stderr(Stdio::piped()).spawn().expect("it was built");
    wait_until(|| dig("127.0.0.1", port, &["+short", "www.example.com"]) == "192.0.2.1\n", "it answers");
    signal(process.id(), "TERM");
    assert!(process.wait().expect("it was started").success());
    let mut said = Vec::new();
    process.stderr.take().expect("it is piped").read_to_end(&mut said).expect("it is closed");
    assert!(said.len() > 60_000, "there was more than a pipe holds: {}", said.len());
}
