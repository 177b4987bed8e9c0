//! A folder of manifests, a `bindy serve` for it, and dig.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Nothing here takes this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of manifests and a folder for the state.
pub(crate) struct Site {
    pub(crate) manifests: TempDir,
    pub(crate) state: TempDir,
}

/// A running `bindy serve`, which is killed when dropped.
pub(crate) struct Bindy {
    child: Child,
    pub(crate) addr: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

pub(crate) struct Answer {
    pub(crate) status: String,
    /// The TTL and data of each record, sorted.
    pub(crate) records: Vec<String>,
    pub(crate) text: String,
}

impl Site {
    pub(crate) fn empty() -> Site {
        Site { manifests: TempDir::new().unwrap(), state: TempDir::new().unwrap() }
    }

    pub(crate) fn quickstart() -> Site {
        Site::story("quickstart")
    }

    /// Copies the manifests of a story in `examples`.
    pub(crate) fn story(name: &str) -> Site {
        let site = Site::empty();
        for entry in fs::read_dir(examples().join(name)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), site.manifests.path().join(entry.file_name())).unwrap();
        }
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.manifests.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from:?}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindy"));
        command.arg("serve").arg(self.manifests.path()).arg("--state").arg(self.state.path()).args(arguments);
        command
    }

    pub(crate) fn serve(&self) -> Bindy {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, arguments: &[&str]) -> Bindy {
        let mut command = self.command(&["--listen", "127.0.0.1:0"]);
        command.args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().unwrap(), &lines);
        collect(child.stderr.take().unwrap(), &lines);
        let mut bindy = Bindy { child, addr: ([127, 0, 0, 1], 0).into(), lines };
        bindy.await_said("Ctrl-C stops");
        let log = bindy.log();
        let line = log.lines().find_map(|line| line.strip_prefix("Answering on ")).unwrap();
        bindy.addr = line.split(',').next().unwrap().parse().unwrap();
        bindy
    }
}

impl Bindy {
    pub(crate) fn dig(&self, name: &str, rtype: &str, transport: &str) -> Answer {
        let port = self.addr.port().to_string();
        let output = Command::new("dig")
            .args(["@127.0.0.1", "-p", &port, "+norecurse", "+tries=5", "+time=2", transport, name, rtype])
            .output()
            .expect("dig is installed (package bind9-dnsutils)");
        let text = String::from_utf8(output.stdout).unwrap();
        let status =
            text.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default().to_owned();
        let answer =
            text.split(";; ANSWER SECTION:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
        let mut records: Vec<String> = answer
            .lines()
            .map(|line| {
                let mut fields = line.split_whitespace().skip(1);
                let ttl = fields.next().unwrap();
                format!("{ttl} {}", fields.skip(2).collect::<Vec<_>>().join(" "))
            })
            .collect();
        records.sort();
        Answer { status, records, text }
    }

    /// Asks for www.example.com that many times at once over UDP, and returns the number of truncated answers.
    pub(crate) fn truncated(&self, times: usize) -> usize {
        const QUESTION: &[u8] = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01";
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // By then all answers have arrived or were dropped.
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        for _ in 0..times {
            socket.send_to(QUESTION, self.addr).unwrap();
        }
        let mut answer = [0; 512];
        let answers = std::iter::from_fn(|| socket.recv(&mut answer).ok().map(|_| answer[2] & 2 != 0));
        answers.filter(|truncated| *truncated).count()
    }

    pub(crate) fn expect(&self, name: &str, rtype: &str, records: &[&str]) {
        assert_eq!(self.dig(name, rtype, "+notcp").records, strings(records), "{name} {rtype}");
    }

    pub(crate) fn await_answer(&self, name: &str, rtype: &str, records: &[&str]) {
        self.until(&format!("{name} {rtype} is {records:?}"), || {
            self.dig(name, rtype, "+notcp").records == strings(records)
        });
    }

    pub(crate) fn await_status(&self, name: &str, status: &str) {
        self.until(&format!("{name} is {status}"), || self.dig(name, "A", "+notcp").status == status);
    }

    pub(crate) fn serial(&self) -> u32 {
        let soa = self.dig("example.com", "SOA", "+notcp");
        soa.records[0].split(' ').nth(3).unwrap().parse().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    pub(crate) fn said(&self, what: &str) -> bool {
        self.log().contains(what)
    }

    pub(crate) fn await_said(&self, what: &str) {
        self.until(&format!("it says {what:?}"), || self.said(what));
    }

    pub(crate) fn until(&self, what: &str, happened: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !happened() {
            assert!(Instant::now() < end, "waited in vain until {what}; it said:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(mut self, signal: &str) -> ExitStatus {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not stop; it said:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the process as a crash would, without writing anything more.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Bindy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

pub(crate) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn collect(stream: impl std::io::Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    });
}
