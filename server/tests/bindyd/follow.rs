//! A configuration that is followed (`--follow`), from a folder whose files change all at once as kubelets do it; and an
//! end that is announced (`--farewell`).

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use bindy_tests::ports::free_port;

use super::{
    EXAMPLE, ZONE,
    server::{Prepared, Server, wait_until},
    statistics::fetch,
};

const KEY: &str = "key k { algorithm hmac-sha256; secret \"";
const SECRETS: [&str; 2] = ["c2VjcmV0IG9uZQ==", "c2VjcmV0IHR3bw=="];
/// What the zone's statement ends with, instead of the last brace.
const TO_KEY_HOLDERS: &str = "allow-query { key k; }; };";

/// A server that follows `mount/named.conf`, which includes `mount/keys`.
struct Following {
    server: Server,
    statistics: u16,
    mount: PathBuf,
    /// What there was of `named.conf` before the statements of a test.
    head: String,
    versions: u32,
}

impl Following {
    fn start() -> Following {
        let statistics = free_port();
        let conf = format!(
            "include \"mount/keys\";\nstatistics-channels {{ inet 127.0.0.1 port {statistics}; }};\ncontrols {{ }};\n"
        );
        let arguments = ["-g", "-n", "1", "-c", "mount/named.conf", "--follow"];
        let prepared = Prepared::new("", &conf, &[("example.zone", ZONE)]).with_arguments(&arguments);
        let mount = prepared.folder().join("mount");
        fs::create_dir(&mount).expect("it is new");
        for file in ["named.conf", "keys"] {
            symlink(format!("..data/{file}"), mount.join(file)).expect("it is new");
        }
        let head = fs::read_to_string(prepared.folder().join("named.conf")).expect("it was written");
        put(&mount, 0, &(head.clone() + EXAMPLE), &format!("{KEY}{}\"; }};", SECRETS[0]));
        Following { server: prepared.run(), statistics, mount, head, versions: 0 }
    }

    /// Replaces all files at once.
    fn put(&mut self, conf: &str, keys: &str) {
        self.versions += 1;
        put(&self.mount, self.versions, &format!("{}{conf}", self.head), keys);
    }

    /// A line of `/readyz`, without the word that it begins with.
    fn line(&self, word: &str) -> Option<String> {
        let (_, _, body) = fetch(self.statistics, "/readyz");
        body.lines().find_map(|line| Some(line.strip_prefix(word)?.trim().to_owned()))
    }

    /// The hash of the file as others compute it.
    fn hash(&self) -> String {
        let output = Command::new("sha256sum").arg(self.mount.join("named.conf")).output().expect("it is everywhere");
        String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned()
    }

    fn is_in_effect(&self) -> bool {
        self.line("named.conf") == Some(self.hash()) && self.line("refused").is_none()
    }

    fn follows(&self) {
        wait_until(|| self.is_in_effect(), "the configuration is in effect");
    }

    fn status(&self, question: &[&str]) -> String {
        let reply = self.server.dig(question);
        let (_, status) = reply.split_once("status: ").unwrap_or_else(|| panic!("no answer: {reply}"));
        status.split(',').next().unwrap_or_default().to_owned()
    }
}

fn put(mount: &Path, version: u32, conf: &str, keys: &str) {
    let folder = format!("..v{version}");
    fs::create_dir(mount.join(&folder)).expect("it is new");
    fs::write(mount.join(&folder).join("named.conf"), conf).expect("the folder is there");
    fs::write(mount.join(&folder).join("keys"), keys).expect("the folder is there");
    symlink(&folder, mount.join("..new")).expect("it is new");
    fs::rename(mount.join("..new"), mount.join("..data")).expect("it was made");
}

fn key(secret: &str) -> String {
    format!("{KEY}{secret}\"; }};")
}

#[test]
fn a_configuration_that_is_replaced_is_followed() {
    let mut it = Following::start();
    it.follows();
    it.server.has_said(&format!("SHA-256 {}", it.hash()));
    assert_eq!(it.status(&["www.example.com"]), "NOERROR");

    it.put(&EXAMPLE.replace("};", TO_KEY_HOLDERS), &key(SECRETS[0]));
    it.follows();
    it.server.says(&format!("SHA-256 {}", it.hash()));
    assert_eq!(it.status(&["www.example.com"]), "REFUSED");
    let signed = |secret: &str| format!("hmac-sha256:k:{secret}");
    assert_eq!(it.status(&["-y", &signed(SECRETS[0]), "www.example.com"]), "NOERROR");
    assert_eq!(it.status(&["-y", &signed(SECRETS[1]), "www.example.com"]), "NOTAUTH");

    // named.conf stays as it is.
    let before = it.line("configuration");
    it.put(&EXAMPLE.replace("};", TO_KEY_HOLDERS), &key(SECRETS[1]));
    wait_until(|| it.line("configuration") != before, "the key is in effect");
    assert_eq!(it.status(&["-y", &signed(SECRETS[1]), "www.example.com"]), "NOERROR");
    assert_eq!(it.status(&["-y", &signed(SECRETS[0]), "www.example.com"]), "NOTAUTH");
    assert!(it.server.stop().success());
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_told_until_it_is_right() {
    let mut it = Following::start();
    let before = it.hash();
    it.put("zone \"example.com\" { type primray; file \"example.zone\"; };", &key(SECRETS[0]));
    wait_until(|| it.line("refused").is_some(), "it is refused");
    let told = it.line("refused").unwrap_or_default();
    let (hash, why) = told.split_once(": ").expect("a hash and a reason");
    assert_eq!((hash, it.line("named.conf")), (&*it.hash(), Some(before.clone())));
    assert!(why.contains("mount/named.conf:") && why.contains("primray"), "{why}");
    assert_eq!(it.status(&["www.example.com"]), "NOERROR");
    assert!(fetch(it.statistics, "/readyz").0.ends_with("200 OK"));

    // Only an include is wrong, and then there is none.
    it.put(EXAMPLE, "key k { };");
    wait_until(|| it.line("refused").is_some_and(|told| told.contains("mount/keys:")), "the include is refused");
    fs::remove_file(it.mount.join("..v2/keys")).expect("it is there");
    wait_until(|| it.line("refused").is_some_and(|told| told.contains("No such file")), "no include is refused");
    fs::write(it.mount.join("..v2/keys"), key(SECRETS[0])).expect("the folder is there");
    it.follows();

    fs::rename(it.mount.join("..v2/named.conf"), it.mount.join("..v2/away")).expect("it is there");
    wait_until(|| it.line("refused").is_some_and(|told| told.starts_with("unreadable: ")), "no file is refused");
    fs::rename(it.mount.join("..v2/away"), it.mount.join("..v2/named.conf")).expect("it is there");
    it.follows();

    it.put("zone \"example.net\" { type primray; };", &key(SECRETS[0]));
    wait_until(|| it.line("refused").is_some_and(|told| told.starts_with(&it.hash())), "it is refused");
    let failures = || it.server.log().matches("reloading configuration failed").count();
    let told = failures();
    // Longer than it takes to look again.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(failures(), told);
    it.put(EXAMPLE, &key(SECRETS[0]));
    it.follows();
}

#[test]
fn nothing_is_followed_that_nobody_asked_for() {
    let statistics = free_port();
    let conf = |more: &str| format!("statistics-channels {{ inet 127.0.0.1 port {statistics}; }};\n{EXAMPLE}\n{more}");
    let mut server = Server::start(&conf(""), &[("example.zone", ZONE)]);
    let before = fetch(statistics, "/readyz").2;
    server.configure(&conf("// Other.\n"));
    assert!(server.goes_on_without("the configuration has changed"));
    assert_eq!(fetch(statistics, "/readyz").2, before);
    server.configure("wrong");
    server.reload();
    wait_until(|| fetch(statistics, "/readyz").2.contains("\nrefused "), "a reload that fails is told, too");
    server.configure(&conf(""));
    server.reload();
    wait_until(|| fetch(statistics, "/readyz").2 == before, "all is as before");
}

#[test]
fn a_server_that_leaves_answers_until_it_is_told_again() {
    for second in ["TERM", "INT"] {
        let statistics = free_port();
        let conf = format!("statistics-channels {{ inet 127.0.0.1 port {statistics}; }};\n{EXAMPLE}");
        let arguments = ["-g", "-n", "1", "-c", "named.conf", "--farewell", "3600"];
        let prepared = Prepared::new("allow-transfer { any; };", &conf, &[("example.zone", ZONE)]);
        let mut server = prepared.with_arguments(&arguments).run();
        assert!(fetch(statistics, "/readyz").0.ends_with("200 OK"));
        server.signal("TERM");
        server.says("leaving in 3600 s");
        let (status, _, body) = fetch(statistics, "/readyz");
        assert!(status.contains("503") && body.starts_with("not ready: shutting down\n"), "{status}\n{body}");
        assert!(body.contains("\nnamed.conf "), "{body}");
        assert!(fetch(statistics, "/healthz").0.ends_with("200 OK"));
        assert_eq!(server.dig(&["+short", "www.example.com"]), "192.0.2.1\n");
        assert!(server.dig(&["example.com", "AXFR"]).contains("XFR size: 5 records"));
        server.write("example.zone", &super::zone(2, "192.0.2.2"));
        server.reload();
        server.says("zone example.com/IN: loaded serial 2");
        server.signal(second);
        assert!(server.ended().success());
    }
}

#[test]
fn a_server_that_leaves_ends_by_itself() {
    let arguments = ["-g", "-n", "1", "-c", "named.conf", "--farewell", "1"];
    let mut server = Prepared::new("", EXAMPLE, &[("example.zone", ZONE)]).with_arguments(&arguments).run();
    assert!(server.stop().success());
    server.says("leaving in 1 s");
    server.says("exiting");
    for wrong in ["3601", "-1", "soon"] {
        let (status, said) = Prepared::new("", EXAMPLE, &[]).with_arguments(&["--farewell", wrong]).refuses();
        assert_eq!(status, Some(1));
        assert!(said.contains(&format!("--farewell: `{wrong}` is no number from 0 to 3600")), "{said}");
    }
}
