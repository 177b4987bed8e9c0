//! dnstap, compared with `named` by means of dnstap-ldns; and with fstrm_capture at the other end of a socket.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Child, Command, Stdio},
};

use bindy_tests::ports::free_port;

use super::{
    EXAMPLE, ZONE,
    control::Controlled,
    server::{PATIENCE, Prepared, Server, dig, signal, wait_until},
    transfers::{KEY, SIGN},
    updates::nsupdate,
};

const OPTIONS: &str = "dnstap { auth; }; dnstap-identity \"me\"; dnstap-version \"of mine\";";

/// Questions without a cookie, each with its own ID, over both transports.
const QUESTIONS: &[&[&str]] = &[
    &["+norecurse", "+qid=1", "www.example.com"],
    &["+recurse", "+qid=2", "example.net", "AAAA"],
    &["+norecurse", "+qid=3", "+tcp", "nothing.example.com"],
    &["+norecurse", "+qid=4", "+noedns", "example.com", "SOA"],
    &["+norecurse", "+qid=5", "example.org"],
    &["+norecurse", "+qid=6", "CH", "TXT", "id.server"],
    &["+norecurse", "+qid=8", "-y", "hmac-sha256:nobody:AAAA", "www.example.com"],
];

/// The output of dnstap-ldns for a file.
fn read(form: &str, file: &Path) -> String {
    let output = Command::new("dnstap-ldns").arg(form).arg("-r").arg(file).output();
    let output = output.expect("dnstap-ldns must be installed: run scripts/install-test-tools");
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it writes ASCII")
}

/// The complete messages, without what differs from run to run.
fn messages(text: &str) -> Vec<String> {
    let varies = |line: &str| {
        ["query_time:", "response_time:", "query_port:", "response_port:"]
            .iter()
            .any(|field| line.trim_start().starts_with(field))
            // The time that was signed, and the extended error that named does not send.
            || line.contains("TSIG")
            || line.contains(";; Data: \\# 6 000f")
    };
    let message = |message: &str| {
        let lines = message.lines().filter(|line| !varies(line));
        // If recursion was desired, named marks responses as a resolver's, although it answers as an authority.
        lines.collect::<Vec<_>>().join("\n").replace("CLIENT_RESPONSE", "AUTH_RESPONSE")
    };
    let mut messages: Vec<_> = text.split("---\n").map(message).collect();
    // The messages of one worker are in order, and each query precedes its response.
    let id = |message: &str| message.split_once(" id: ").and_then(|(_, rest)| rest.chars().next());
    messages.sort_by_key(|message| id(message));
    messages
}

#[test]
fn messages_are_those_of_named() {
    let options = format!("{OPTIONS} dnstap-output file \"tap\"; server-id \"one\";").replace("auth;", "all;");
    let ours = Controlled::with(&options, EXAMPLE);
    let port = free_port();
    let named = Controlled::start("named", &format!("port {port} {{ 127.0.0.1; }}"), &options, EXAMPLE);
    let told = |server: &Controlled, port: u16| {
        for question in QUESTIONS {
            dig("127.0.0.1", port, &[&["+nocookie"], *question].concat());
        }
        let said: Vec<_> = ["dnstap -roll 3", "dnstap", "dnstap -soon", "dnstap -roll x", "dnstap -reopen"]
            .iter()
            .map(|line| server.told(&line.split(' ').collect::<Vec<_>>()))
            .collect();
        (said, messages(&read("-y", &server.server.folder().join("tap.0"))))
    };
    let ((said, ours), (expected, theirs)) = (told(&ours, ours.server.port()), told(&named, port));
    assert_eq!(said, expected);
    assert!(ours.iter().any(|message| message.contains("query_zone: \"example.com.\"")), "{ours:#?}");
    assert_eq!(ours, theirs);
}

/// The messages as dnstap-read shows them in short, in order of their text, without times and the client's ports.
fn in_short(file: &Path) -> Vec<String> {
    let output = Command::new("dnstap-read").arg(file).output();
    let output = output.expect("dnstap-read must be installed: run scripts/install-test-tools");
    let text = String::from_utf8(output.stdout).expect("it writes ASCII");
    let message = |line: &str| {
        let mut words = line.split(' ').skip(2);
        let (kind, client) = (words.next()?, words.next()?.split(':').next()?);
        let (transport, size, question) = (words.nth(2)?, words.next()?, words.next()?);
        Some(format!("{kind} {client} {transport} {size} {question}"))
    };
    let mut messages: Vec<_> = text.lines().map(|line| message(line).expect(line)).collect();
    messages.sort();
    messages
}

#[test]
fn transfers_and_updates_are_tapped_as_by_named() {
    let run = |program: &str, wanted: &str| {
        let port = free_port();
        let options = format!(
            "recursion no; dnssec-validation no; dnstap {{ {wanted} }}; dnstap-identity \"me\"; \
             dnstap-output file \"tap\";"
        );
        let mut prepared = Prepared::new(&options, "", &[("example.zone", ZONE)]);
        prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
        let zone = EXAMPLE.replace("};", "allow-update { key k; }; allow-transfer { any; }; };");
        prepared.configure(&format!("{KEY}{zone}"));
        let mut server = prepared.run_until(program, "all zones loaded");
        server.runs();
        for question in [["+tcp", "AXFR"], ["+tcp", "IXFR=0"], ["+notcp", "IXFR=1"]] {
            dig("127.0.0.1", port, &[&["+noedns", "example.com"], &question[..]].concat());
        }
        let wrong = ["-y", "hmac-sha256:k:b3RoZXI="];
        for arguments in [&SIGN[..], &[&SIGN[..], &["-v"]].concat(), &[], &wrong] {
            nsupdate(port, arguments, "update add a.example.com 60 A 192.0.2.7");
        }
        nsupdate(port, &SIGN, "prereq nxdomain a.example.com\nupdate add b.example.com 60 A 192.0.2.7");
        server.stop();
        in_short(&server.folder().join("tap"))
    };
    for wanted in ["all;", "update;", "update query;", "auth response; update response;"] {
        let (ours, named) = (run(env!("CARGO_BIN_EXE_bindyd"), wanted), run("named", wanted));
        assert!(!named.is_empty());
        assert_eq!(ours, named, "{wanted}");
    }
}

#[test]
fn what_is_tapped_is_what_the_view_says() {
    let view = |name: &str, client: &str, dnstap: &str| {
        format!("view {name} {{ match-clients {{ {client}; }}; {dnstap} {EXAMPLE} }};\n")
    };
    let conf = [
        view("queries", "127.0.0.2", "dnstap { auth query; };"),
        view("responses", "127.0.0.3", "dnstap { auth response; };"),
        view("neither", "127.0.0.4", "dnstap { resolver; update; };"),
        view("both", "any", ""),
    ];
    let mut server =
        Prepared::new(&format!("{OPTIONS} dnstap-output file \"tap\";"), &conf.concat(), &[("example.zone", ZONE)])
            .run();
    for client in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        assert_eq!(server.dig(&["-b", client, "+short", "www.example.com"]), "192.0.2.1\n");
    }
    assert!(server.stop().success());
    let text = read("-q", &server.folder().join("tap"));
    let told: BTreeSet<_> = text.lines().map(|line| line.split(' ').skip(2).take(2).collect::<Vec<_>>()).collect();
    let expected = [["AQ", "127.0.0.1"], ["AR", "127.0.0.1"], ["AQ", "127.0.0.2"], ["AR", "127.0.0.3"]];
    assert_eq!(told, expected.map(Vec::from).into());
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn a_full_file_makes_room() {
    let options = format!("{OPTIONS} dnstap-output file \"tap\" size 2k versions 2;");
    let mut server = Prepared::new(&options, EXAMPLE, &[("example.zone", ZONE)]).run();
    server.write("questions", &"www.example.com A\n".repeat(100));
    server.dig(&["-f", &server.folder().join("questions").display().to_string()]);
    assert!(server.stop().success());
    for (file, at_least) in [("tap", 0), ("tap.0", 10), ("tap.1", 10)] {
        let messages = read("-q", &server.folder().join(file)).lines().count();
        assert!(messages >= at_least && messages < 40, "{file}: {messages}");
    }
    assert!(!server.folder().join("tap.2").exists());
}

#[test]
fn what_cannot_be_written_is_told_and_answers_go_on() {
    let nowhere = format!("{OPTIONS} dnstap-output file \"no/such/folder\";");
    let (status, said) = Prepared::new(&nowhere, EXAMPLE, &[("example.zone", ZONE)]).refuses();
    assert_eq!(status, Some(1));
    assert!(said.contains("no/such/folder: No such file") && said.contains("another `dnstap-output`"), "{said}");
    let (status, said) = Prepared::new("dnstap { auth; };", EXAMPLE, &[("example.zone", ZONE)]).refuses();
    assert_eq!(status, Some(1));
    assert!(said.contains("add `dnstap-output"), "{said}");
}

/// A program that captures what is sent to a socket in a file; killed at the end.
struct Capture(Child);

impl Capture {
    fn start(server: &Server) -> Capture {
        let mut capture = Command::new("fstrm_capture");
        capture.args(["-t", "protobuf:dnstap.Dnstap", "-u", "socket", "-w", "captured"]).current_dir(server.folder());
        let child = capture.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Capture(child.expect("fstrm_capture must be installed: run scripts/install-test-tools"))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_reader_may_come_later_and_gets_what_comes_then() {
    let options = format!("{OPTIONS} dnstap-output unix \"socket\";");
    let mut server = Prepared::new(&options, EXAMPLE, &[("example.zone", ZONE)]).run();
    server.has_said("cannot write dnstap messages to ");
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.1\n");
    let mut capture = Capture::start(&server);
    wait_until(|| server.folder().join("socket").exists(), "the reader listens");
    let begin = std::time::Instant::now();
    // Each question makes the server try to connect again, at most once every few seconds.
    while begin.elapsed() < PATIENCE && server.goes_on_without(" again") {
        assert_eq!(server.dig(&["+short", "first.example.com"]), "");
    }
    assert_eq!(server.dig(&["+short", "+tcp", "www.example.com"]), "192.0.2.1\n");
    assert!(server.stop().success());
    // The reader confirmed the end of the stream before the server ended.
    signal(capture.0.id(), "INT");
    capture.0.wait().expect("it was started");
    let text = read("-q", &server.folder().join("captured"));
    let of_www =
        text.lines().filter(|line| line.contains("127.0.0.1 TCP") && line.contains("\"www.example.com.\" IN A"));
    assert_eq!(of_www.count(), 2, "{text}");
}
