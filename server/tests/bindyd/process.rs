//! The process: how it starts and ends, the user it runs as, its notifications and its files, compared with `named`.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{MetadataExt, PermissionsExt, chown},
            net::{SocketAddr, UnixDatagram},
        },
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bindy_tests::ports::free_port;

use super::{
    EXAMPLE, ZONE, control,
    server::{Prepared, Server, dig, port_in, signal, wait_until},
    updates::nsupdate,
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");
const NAMED: &str = "named";
/// A user and group that every machine has and that own nothing.
const NOBODY: &str = "nobody";

const RUN_FILES: &str = "pid-file \"run/named/named.pid\"; session-keyfile \"run/session.key\"; recursion no; \
                         dnssec-validation no;";
const LOG: &str = "logging { channel all { file \"all.log\"; print-category yes; }; category default { all; }; };";

/// A background process.
struct Background {
    prepared: Prepared,
    id: u32,
}

impl Background {
    /// Starts the program in the background and waits until its parent has exited, which must be with success.
    fn start(program: &str, arguments: &[&str]) -> Background {
        let mut prepared = Prepared::new(RUN_FILES, "", &[("example.zone", ZONE)]);
        prepared.listen_on(listen(program));
        prepared.configure(&format!("{LOG}\n{EXAMPLE}"));
        let prepared = prepared.with_arguments(arguments);
        // named makes directories for its user, but not as that user.
        fs::set_permissions(prepared.folder(), fs::Permissions::from_mode(0o777)).expect("it is ours");
        let output = prepared.command(program).stdin(Stdio::null()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program}: {said}");
        let pid = fs::read_to_string(prepared.folder().join("run/named/named.pid")).expect("it is there by then");
        Background { prepared, id: pid.trim().parse().expect("a number") }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.prepared.folder().join(name)
    }

    fn is_alive(&self) -> bool {
        Path::new(&format!("/proc/{}/fd", self.id)).exists() && !status(self.id).contains("State:\tZ")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.is_alive() {
            signal(self.id, "KILL");
        }
    }
}

/// The listener of named would need a port of its own.
fn listen(program: &str) -> &'static str {
    if program == NAMED { "{ none; }" } else { "port 0 { 127.0.0.1; }" }
}

fn status(id: u32) -> String {
    fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default()
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[test]
fn without_f_it_leaves_the_terminal_once_it_answers() {
    for program in [BINDYD, NAMED] {
        let server = Background::start(program, &["-n", "1", "-c", "named.conf", "-D", "marker"]);
        for (number, name) in [(0, "stdin"), (1, "stdout"), (2, "stderr")] {
            let open = fs::read_link(format!("/proc/{}/fd/{number}", server.id)).expect("it runs");
            assert_eq!(open, Path::new("/dev/null"), "{program}: {name}");
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", server.id)).expect("it runs");
        let session =
            stat.rsplit(')').next().and_then(|rest| rest.split_ascii_whitespace().nth(3)).expect("it is there");
        assert_eq!(session, server.id.to_string(), "{program} has a session of its own");
        let line = fs::read_to_string(format!("/proc/{}/cmdline", server.id)).expect("it runs");
        assert!(line.ends_with("\0-n\x001\0-c\0named.conf\0-D\0marker\0"), "{line:?}");
        if program == BINDYD {
            let log = fs::read_to_string(server.path("all.log")).expect("it is there by then");
            assert_eq!(dig("127.0.0.1", port_in(&log), &["+short", "www.example.com"]), "192.0.2.1\n");
        }
        // BIND does not define the effect of these signals, and named then leaves files behind; here they do not end
        // the process.
        for name in if program == BINDYD { ["USR1", "USR2"].as_slice() } else { &[] } {
            signal(server.id, name);
        }
        signal(server.id, "TERM");
        wait_until(|| !server.is_alive(), "it ends");
        for file in ["run/named/named.pid", "run/session.key"] {
            assert!(!server.path(file).exists(), "{program} leaves {file}");
        }
        let log = fs::read_to_string(server.path("all.log")).expect("it is there");
        assert!(log.contains("exiting\n"), "{program}: {log}");
    }
}

#[test]
fn flags_of_memory_are_those_of_named() {
    for (option, flags) in
        [("-m", "bogus"), ("-M", "bogus"), ("-m", "usage,bogus"), ("-m", "usage,trace"), ("-M", "nofill")]
    {
        let verdicts = [BINDYD, NAMED].map(|program| {
            let prepared = Prepared::new("", "", &[]).with_arguments(&["-g", "-c", "nowhere.conf", option, flags]);
            let output = prepared.command(program).stdin(Stdio::null()).output().expect("it runs");
            assert!(!output.status.success(), "there is no configuration");
            String::from_utf8_lossy(&output.stderr).contains("unrecognized flag 'bogus'")
        });
        assert_eq!(verdicts[0], verdicts[1], "{option} {flags}");
    }
}

#[test]
fn a_check_shows_all_that_is_wrong_and_serves_nothing() {
    let check = |conf: &str| {
        let prepared = Prepared::new("", conf, &[("good.zone", ZONE), ("broken.zone", "x A 192.0.2.256\n")]);
        let prepared = prepared.with_arguments(&["--check", "-c", "named.conf"]);
        let output = prepared.command(BINDYD).stdin(Stdio::null()).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let zone = |name: &str, file: &str| format!("zone {name} {{ type primary; file \"{file}\"; }};\n");
    let (success, said) = check(&zone("good.test", "good.zone"));
    assert!(success && said.contains("named.conf: 0 errors in 1 zone\n"), "{said}");
    let (success, said) = check(&["broken", "missing"].map(|name| zone(name, &format!("{name}.zone"))).concat());
    assert!(!success && said.contains("192.0.2.256") && said.contains("cannot read the zone file"), "{said}");
    let (success, said) =
        check("zone a.test { type mirror; file \"a\"; primaries { 192.0.2.1; }; };\nplugin query \"x\";");
    assert!(!success && said.contains("type mirror") && said.contains("`plugin` cannot be obeyed"), "{said}");
}

/// Where named.conf has no `directory`, the path was as relative as in named.conf, and nobody knew to what.
#[test]
fn a_zone_file_that_cannot_be_read_is_named_by_its_whole_path() {
    let prepared = Prepared::new("", "", &[]);
    prepared.write("named.conf", "zone missing.test { type primary; file \"missing.zone\"; };\ncontrols { };\n");
    let prepared = prepared.with_arguments(&["--check", "-c", "named.conf"]);
    let output = prepared.command(BINDYD).stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let file = prepared.folder().canonicalize().expect("it is there").join("missing.zone");
    assert!(said.contains(&file.display().to_string()), "{said}");
}

#[test]
fn whoever_started_it_learns_that_it_did_not_start() {
    for program in [BINDYD, NAMED] {
        let prepared = Prepared::new("", "zone broken", &[]).with_arguments(&["-c", "named.conf"]);
        let output = prepared.command(program).stdin(Stdio::null()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{program}");
        if program == BINDYD {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("the configuration has 2 errors"), "{said}");
        }
    }
}

#[test]
fn u_leaves_the_right_to_listen_and_no_other() {
    if !is_root() {
        let (status, said) =
            Prepared::new("", EXAMPLE, &[("example.zone", ZONE)]).with_arguments(&["-g", "-u", "root"]).refuses();
        assert_eq!(status, Some(1));
        assert!(said.contains("only root can run it as user 'root'"), "{said}");
        return;
    }
    let arguments = ["-u", NOBODY, "-n", "1", "-c", "named.conf"];
    let (ours, named) = (Background::start(BINDYD, &arguments), Background::start(NAMED, &arguments));
    let rights = |server: &Background| {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.id)).expect("it runs");
        let of = |task: fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let told = |line: &&str| {
                ["Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapAmb:"]
                    .iter()
                    .any(|name| line.starts_with(name))
            };
            status.lines().filter(told).collect::<Vec<_>>().join("\n")
        };
        let mut all: Vec<_> = tasks.flatten().map(of).filter(|text| !text.is_empty()).collect();
        all.dedup();
        all.join("\n\n")
    };
    assert_eq!(rights(&ours), rights(&named));
    assert!(rights(&ours).contains("CapEff:\t0000000000000400"), "{}", rights(&ours));
    for file in ["run", "run/named", "run/named/named.pid", "run/session.key"] {
        let told = |server: &Background| {
            let metadata = fs::metadata(server.path(file)).expect("it is there");
            (metadata.uid(), metadata.gid(), metadata.mode())
        };
        assert_eq!(told(&ours), told(&named), "{file}");
    }
}

#[test]
fn an_address_that_comes_later_may_have_a_low_port() {
    if !is_root() {
        // Without root there is no capability to keep.
        return u_leaves_the_right_to_listen_and_no_other();
    }
    let prepared = Prepared::new("", EXAMPLE, &[("example.zone", ZONE)]);
    chown(prepared.folder().join("example.zone"), Some(65534), None).expect("root may");
    fs::set_permissions(prepared.folder(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut server = prepared.with_arguments(&["-g", "-u", NOBODY, "-n", "1", "-c", "named.conf"]).run();
    server.listen_on("port 53 { 127.53.53.53; }");
    server.configure(EXAMPLE);
    server.reload();
    server.says("listening on 127.53.53.53:53");
    server.says("reloading configuration succeeded");
    assert_eq!(dig("127.53.53.53", 53, &["+short", "www.example.com"]), "192.0.2.1\n");
    assert!(server.stop().success());
}

/// A server that has its folder as `/`, with these further options and statements; `None` if that is refused, as it is
/// to all but root.
fn in_its_own_root(options: &str, conf: &str) -> Option<Server> {
    let prepared = Prepared::new("", "", &[("example.zone", ZONE)]);
    prepared.write("named.conf", &rooted(options, conf));
    let folder = prepared.folder().display().to_string();
    let prepared = prepared.with_arguments(&["-g", "-t", &folder, "-c", "/named.conf"]);
    if is_root() {
        return Some(prepared.run());
    }
    let (status, said) = prepared.refuses();
    assert!(status == Some(1) && said.contains("Operation not permitted"), "{said}");
    None
}

fn rooted(options: &str, conf: &str) -> String {
    let listen = "listen-on port 0 { 127.0.0.1; }; listen-on-v6 { none; };";
    format!("options {{ directory \"/\"; {listen} session-keyfile none; {options} }};\n{conf}\n{EXAMPLE}")
}

#[test]
fn another_root_is_entered_before_anything_is_read() {
    let Some(mut server) = in_its_own_root("pid-file \"/pid\";", "controls { };") else { return };
    assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.1\n");
    assert_eq!(server.writes("pid", "\n"), format!("{}\n", server.id()));
    assert!(server.stop().success());
}

/// There was no control channel, and nothing said so.
#[test]
fn whoever_has_no_key_for_rndc_learns_how_to_make_it() {
    let Some(mut server) = in_its_own_root("pid-file none;", "") else { return };
    let says = "/etc/bind/rndc.key: cannot read the key of rndc: No such file or directory";
    server.has_said(says);
    server.has_said("`rndc-confgen -a` makes the key");
    server.write("named.conf", &rooted("pid-file none;", "controls { };"));
    server.reload();
    server.says("reloading configuration succeeded");
    assert_eq!(server.log().matches(says).count(), 1, "{}", server.said());
    assert!(server.stop().success());
}

#[test]
fn only_one_server_has_a_lock() {
    let folder = tempfile::tempdir().expect("the temporary directory can be written");
    let lock = folder.path().join("lock").display().to_string();
    let first = Prepared::new(&format!("lock-file \"{lock}\";"), EXAMPLE, &[("example.zone", ZONE)]).run();
    let again =
        |arguments: &[&str]| Prepared::new("", EXAMPLE, &[("example.zone", ZONE)]).with_arguments(arguments).refuses();
    let (status, said) = again(&["-g", "-c", "named.conf", "-X", &lock]);
    assert_eq!(status, Some(1));
    assert!(said.contains(&format!("could not lock {lock}: ")) && said.contains("another server holds it"), "{said}");

    // The two programs exclude each other.
    let named = Prepared::new("", EXAMPLE, &[]).with_arguments(&["-g", "-c", "named.conf", "-X", &lock]);
    named.write(
        "named.conf",
        "options { listen-on { none; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; }; controls { };",
    );
    let output = named.command(NAMED).output().expect("named is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("could not lock {lock}")), "{said}");

    // -X takes precedence over named.conf.
    let mut free = Prepared::new(&format!("lock-file \"{lock}\";"), EXAMPLE, &[("example.zone", ZONE)])
        .with_arguments(&["-g", "-c", "named.conf", "-X", "none"])
        .run();
    assert!(free.stop().success());
    drop(first);
    let mut next = Prepared::new(&format!("lock-file \"{lock}\";"), EXAMPLE, &[("example.zone", ZONE)]).run();
    assert!(next.stop().success());
}

#[test]
fn the_session_key_is_one_that_clients_can_use() {
    for (alg, octets) in [("hmac-sha256", 32), ("hmac-sha512", 64), ("hmac-md5", 16)] {
        let options = format!(
            "session-keyfile \"session.key\"; session-keyname \"own\"; session-keyalg {alg}; recursion no; dnssec-validation no;"
        );
        let read = |program: &str| {
            let mut prepared = Prepared::new(&options, EXAMPLE, &[("example.zone", ZONE)]);
            prepared.listen_on(listen(program));
            prepared.configure(EXAMPLE);
            let server =
                prepared.with_arguments(&["-g", "-n", "1", "-c", "named.conf"]).run_until(program, "all zones loaded");
            let key = fs::read_to_string(server.folder().join("session.key")).expect("it is there by then");
            let secret = key.split('"').nth(3).expect("it is quoted").to_owned();
            let file = server.folder().join("session.key");
            let dig = Command::new("dig").arg("-k").arg(file).args(["@127.0.0.1", "-p", "1", "+tries=1"]).output();
            let said = String::from_utf8_lossy(&dig.expect("dig is installed").stdout).into_owned();
            assert!(said.contains("connection refused"), "it was no key: {said}");
            (secret.len(), key.replace(&secret, ""))
        };
        let ours = read(BINDYD);
        assert_eq!(ours, read(NAMED), "{alg}");
        assert_eq!(ours.0, 4 * usize::div_ceil(octets, 3), "base64 of as many octets as the algorithm's codes");
    }
}

#[test]
fn the_session_key_is_one_of_every_view() {
    let view = |name: &str, key: &str| format!("view {name} {{ {EXAMPLE} {key} }};\n");
    let views = view("inside", "") + &view("outside", &control::key("own", "hmac-sha256"));
    let options = "session-keyfile \"session.key\"; session-keyname \"Session.Key\"; session-keyalg hmac-sha512;";
    let start = |program: &str| control::Controlled::start(program, listen(program), options, &views);
    let (ours, named) = (start(BINDYD), start(NAMED));
    let sorted = |(success, text): (bool, String)| {
        assert!(success, "{text}");
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let listed = sorted(ours.told(&["tsig-list"]));
    assert_eq!(listed, sorted(named.told(&["tsig-list"])));
    assert!(listed.contains(&"view \"inside\"; type \"static\"; key \"session.key\";".to_owned()), "{listed:?}");
    let before = fs::read_to_string(ours.server.folder().join("session.key")).expect("it is there");
    assert!(ours.told(&["reconfig"]).0);
    assert_eq!(fs::read_to_string(ours.server.folder().join("session.key")).expect("it is there"), before);

    let mut plain = Prepared::new(options, EXAMPLE, &[("example.zone", ZONE)]);
    plain.listen_on("port 0 { 127.0.0.1; }");
    let server = plain.run();
    let key = server.folder().join("session.key").display().to_string();
    let reply = server.dig(&["-k", &key, "www.example.com"]);
    assert!(reply.contains("NOERROR") && reply.contains("TSIG PSEUDOSECTION") && !reply.contains("verify"), "{reply}");
}

/// A second server that did not get the address had replaced the session key of the first one by then.
#[test]
fn a_server_that_does_not_start_leaves_the_session_key_of_the_one_that_runs() {
    let port = free_port();
    let zone = "zone example.com { type primary; file \"example.zone\"; update-policy local; };";
    let mut prepared = Prepared::new("session-keyfile \"session.key\";", "", &[("example.zone", ZONE)]);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    prepared.configure(zone);
    let mut server = prepared.run();
    let file = server.folder().join("session.key");
    let key = fs::read_to_string(&file).expect("it is there by then");
    let second = Command::new(BINDYD).args(["-g", "-c", "named.conf"]).current_dir(server.folder()).output();
    let second = second.expect("it was built");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && said.contains("Address already in use"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("it is still there"), key);
    let signed = ["-k", &file.display().to_string()];
    assert_eq!(nsupdate(port, &signed, "update add a.example.com 60 A 192.0.2.7"), "");
    assert_eq!(server.dig(&["+short", "a.example.com"]), "192.0.2.7\n");
    assert!(server.stop().success());
    assert!(!file.exists());
}

#[test]
fn a_supervisor_hears_how_it_goes() {
    let folder = tempfile::tempdir().expect("the temporary directory can be written");
    let path = folder.path().join("notify");
    let name = format!("bindyd-test-{}", std::process::id());
    let sockets = [
        (path.display().to_string(), UnixDatagram::bind(&path)),
        (format!("@{name}"), SocketAddr::from_abstract_name(&name).and_then(|at| UnixDatagram::bind_addr(&at))),
    ];
    for (variable, socket) in sockets {
        let socket = socket.expect("nobody has it");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("it can wait");
        let hear = || {
            let mut octets = [0; 200];
            let length = socket.recv(&mut octets).expect("it tells");
            String::from_utf8_lossy(&octets[..length]).into_owned()
        };
        let prepared = Prepared::new("", EXAMPLE, &[("example.zone", ZONE)]).with_variable("NOTIFY_SOCKET", &variable);
        let mut server: Server = prepared.run();
        let ready = format!("READY=1\nMAINPID={}", server.id());
        assert_eq!(hear(), ready);
        server.reload();
        let reloading = hear();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|time| time.parse::<u64>().ok());
        assert!(time.is_some_and(|time| time > 0), "{reloading}");
        assert_eq!(hear(), ready);
        assert!(server.stop().success());
        assert_eq!(hear(), "STOPPING=1");
    }
}
