//! A session of bindcar, the HTTP server in front of BIND9 that the operator before this one used: the statements as it
//! writes them, and the replies as it understands them. `bindyd` and `named` have the same configuration and must say the
//! same.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    ZONE,
    control::{Controlled, SECRET},
    server::PATIENCE,
    zone,
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");
const OPTIONS: &str = "allow-new-zones yes; allow-query { any; }; allow-transfer { none; };";

/// A server as bindcar sees it, and everything that it said.
struct Session {
    server: Controlled,
    replies: Vec<(bool, String)>,
}

/// What a caller of bindcar gets to know.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// HTTP 409.
    Exists,
    /// HTTP 404.
    NotFound,
    /// HTTP 502.
    Failed,
}

impl Session {
    fn start(program: &str) -> Session {
        let listen = if program == BINDYD { "port 0 { 127.0.0.1; }" } else { "{ none; }" };
        let key = format!("key \"k\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};");
        let server = Controlled::start(program, listen, OPTIONS, &key);
        Session { server, replies: Vec::new() }
    }

    /// Sends a command, and returns the text of the reply.
    fn send(&mut self, command: &[&str]) -> (Outcome, String) {
        let (success, text) = self.server.told(command);
        let outcome = match &*text {
            _ if success => Outcome::Done,
            text if text.contains("already exists") => Outcome::Exists,
            text if text.contains("not found") => Outcome::NotFound,
            _ => Outcome::Failed,
        };
        let known = text.lines().map(|line| line.split_once("last loaded: ").map_or(line, |(before, _)| before));
        // named leaves a blank for each part of `allow-transfer` that is not there, and replies before it has loaded a
        // zone.
        let known = known.collect::<Vec<_>>().join("\n").replace("  {", " {");
        self.replies.push((success, known.replace("zone reload queued", "zone reload successful")));
        (outcome, text)
    }

    fn outcome(&mut self, command: &[&str]) -> Outcome {
        self.send(command).0
    }

    /// The zone file of a zone, with its full path.
    fn file(&self, zone: &str) -> String {
        self.server.server.folder().join(format!("{zone}.zone")).display().to_string()
    }

    /// The serial in `zonestatus`: that of the last line with the word.
    fn serial(&mut self, zone: &str) -> u32 {
        let (_, status) = self.send(&["zonestatus", zone]);
        let line = status.lines().rfind(|line| line.contains("serial:")).expect("a line with the serial");
        line.rsplit(' ').next().and_then(|serial| serial.parse().ok()).expect("a number")
    }

    /// Waits until a reload is done, which named only queues.
    fn wait_for(&self, zone: &str, serial: u32) {
        let begin = Instant::now();
        while !self.server.told(&["zonestatus", zone]).1.contains(&format!("serial: {serial}\n")) {
            assert!(begin.elapsed() < PATIENCE, "{zone} is not loaded");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The statements in `showzone`, each without its semicolon.
    fn statements(&mut self, zone: &str) -> Vec<String> {
        let (_, shown) = self.send(&["showzone", zone]);
        // What is compared has no folder in it, the statements need it.
        let shown = shown.trim().replace(&format!("\"/{zone}.zone\""), &format!("\"{}\"", self.file(zone)));
        let inner = shown.strip_prefix(&format!("zone \"{zone}\" {{")).and_then(|rest| rest.strip_suffix("};"));
        let (mut statements, mut depth) = (vec![String::new()], 0);
        for character in inner.unwrap_or_else(|| panic!("{shown}")).chars() {
            depth += i32::from(character == '{') - i32::from(character == '}');
            match character {
                ';' if depth == 0 => statements.push(String::new()),
                _ => statements.last_mut().expect("it is never empty").push(character),
            }
        }
        let trimmed = statements.iter().map(|statement| statement.trim().to_owned());
        trimmed.filter(|statement| !statement.is_empty()).collect()
    }

    fn run(mut self) -> Vec<(bool, String)> {
        let (file, gone) = (self.file("a.test"), self.file("gone.test"));
        self.server.server.write("a.test.zone", ZONE);
        let body = format!(
            "{{ type primary; file \"{file}\"; allow-update {{ key \"k\"; }}; also-notify {{ 10.0.0.1 port 5353; }}; \
             allow-transfer {{ 10.0.0.0/8; key \"k\"; }}; }};"
        );
        assert_eq!(self.outcome(&["addzone", "a.test", &body]), Outcome::Done);
        assert_eq!(self.outcome(&["addzone", "a.test", &body]), Outcome::Exists);
        assert_eq!(self.outcome(&["addzone", "gone.test", &body.replace(&file, &gone)]), Outcome::NotFound);

        // A record is edited only in a primary zone, and modzone gets the statements back with one of them changed.
        let mut statements = self.statements("a.test");
        assert_eq!(statements[0], "type primary");
        let notify =
            statements.iter_mut().find(|statement| statement.starts_with("also-notify")).expect("it was added");
        *notify = "also-notify { 10.0.0.2 port 5354; 2001:db8::2; }".into();
        statements.retain(|statement| !statement.starts_with("allow-update"));
        let body = format!("{{ {}; }};", statements.join("; "));
        assert_eq!(self.outcome(&["modzone", "a.test", &body]), Outcome::Done);
        assert!(self.statements("a.test").iter().any(|statement| statement.contains("10.0.0.2 port 5354")));

        let before = self.serial("a.test");
        self.server.server.write("a.test.zone", &zone(before + 1, "192.0.2.2"));
        assert_eq!(self.outcome(&["reload", "a.test"]), Outcome::Done);
        self.wait_for("a.test", before + 1);
        assert_eq!(self.serial("a.test"), before + 1);

        // The zone does not take updates.
        assert_eq!(self.outcome(&["freeze", "a.test"]), Outcome::Failed);
        assert_eq!(self.outcome(&["thaw", "a.test"]), Outcome::Done);
        assert_eq!(self.outcome(&["notify", "a.test"]), Outcome::Done);
        assert_eq!(self.outcome(&["retransfer", "a.test"]), Outcome::Failed);
        for command in ["freeze", "thaw", "notify", "retransfer", "reload", "zonestatus", "showzone", "delzone"] {
            assert_eq!(self.outcome(&[command, "gone.test"]), Outcome::NotFound, "{command}");
        }
        assert_eq!(self.outcome(&["delzone", "a.test"]), Outcome::Done);
        assert_eq!(self.outcome(&["showzone", "a.test"]), Outcome::NotFound);
        self.replies
    }
}

#[test]
fn bindcar_works_as_with_named() {
    let [ours, named] = [BINDYD, "named"].map(|program| Session::start(program).run());
    assert_eq!(ours.len(), named.len());
    for (ours, named) in ours.iter().zip(&named) {
        assert_eq!(ours, named);
    }
}

/// bindyd adds the reason to named's word.
#[test]
fn a_statement_that_cannot_be_read_is_refused_with_the_word_of_named() {
    let [mut ours, mut named] = [BINDYD, "named"].map(Session::start);
    for body in
        ["{ type sekondary; };", "{ type; };", "{ type primary; notify maybe; };", "{ type primary; fil \"f\"; };"]
    {
        let [ours, named] = [&mut ours, &mut named].map(|session| session.send(&["addzone", "a.test", body]).1);
        assert_eq!(ours.lines().next(), named.lines().next(), "{body}");
    }
}
