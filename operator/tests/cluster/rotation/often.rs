//! Keys are replaced over and over, under load, and leave no trace.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bindy_cluster::Refresh;
use data_encoding::BASE64;
use tokio::task::block_in_place;

use super::{Keys, delay};
use crate::running::{INSTANCES, Running};

/// How often a key is replaced, and how many queries a second there are meanwhile.
struct Extent {
    rotations: usize,
    queries: usize,
}

impl Extent {
    /// `BINDY_ROTATIONS` and `BINDY_QUERIES` say it.
    fn of_environment() -> Extent {
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
        Extent { rotations: number("BINDY_ROTATIONS").unwrap_or(6), queries: number("BINDY_QUERIES").unwrap_or(1000) }
    }
}

/// Who uses a server all the time.
#[derive(Default)]
struct Clients {
    are_done: AtomicBool,
    /// How many rndc commands were carried out.
    commands: AtomicUsize,
    /// How many queries were answered.
    answers: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Clients {
    /// Reads the key and gives a command with it, time and again, as a script would.
    fn command(&self, running: &Running, instance: &str, address: &str) {
        while !self.are_done.load(Ordering::Relaxed) {
            let key = Keys::of(running, instance);
            let file = key.file.to_str().expect("a path in UTF-8");
            let ran = running.cluster.node().run(&["rndc", "-s", address, "-p", "9530", "-k", file, "status"]);
            if ran.code != Some(0) {
                self.fail(format!("rndc: {}{}", ran.output, ran.errors));
            }
            self.commands.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks so many questions a second, some seconds at a time.
    fn ask(&self, running: &Running, address: &str, queries: usize) {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let questions = folder.path().join("questions");
        fs::write(&questions, "www.example.com A\n").expect("the folder is ours");
        let (questions, queries) = (questions.to_str().expect("a path in UTF-8"), queries.to_string());
        while !self.are_done.load(Ordering::Relaxed) {
            let arguments = ["-s", address, "-p", "5353", "-d", questions, "-l", "4", "-Q", &queries];
            let ran = running.cluster.node().run(&[&["dnsperf"], &arguments[..]].concat());
            // `Queries completed:    20000 (100.00%)`
            let line = |start: &str| ran.output.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
            let all = |start| line(start).filter(|it| it.ends_with("(100.00%)")).and_then(|it| it.split(' ').next());
            match all("Queries completed:").and_then(|count| count.parse().ok()) {
                Some(count) if all("Response codes:") == Some("NOERROR") => {
                    self.answers.fetch_add(count, Ordering::Relaxed);
                }
                _ => self.fail(format!("dnsperf: {}{}", ran.output, ran.errors)),
            }
        }
    }

    fn fail(&self, why: String) {
        self.failures.lock().expect("nobody panics with it").push(why);
    }
}

/// Ends the clients also if the test fails.
struct End<'c>(&'c Clients);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.are_done.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_replaced_again_and_again_fails_nobody_and_leaves_no_trace() {
    let Extent { rotations, queries } = Extent::of_environment();
    let running = Running::with_example().await;
    let instance = INSTANCES[0];
    let before = running.pods_of_servers();
    let address = running.pods_of(instance).remove(0);
    running.rotate(&serde_json::json!({ "autoRotate": true, "rotateAfter": "1h" }));
    running.cluster.until("it is told when", || !running.note(instance, "rndc-rotate-at").is_empty());
    let clients = Clients::default();
    let mut known = vec![Keys::of(&running, instance)];
    block_in_place(|| {
        thread::scope(|scope| {
            let _end = End(&clients);
            scope.spawn(|| clients.command(&running, instance, &address));
            scope.spawn(|| clients.ask(&running, &address, queries));
            for rotation in 1..=rotations {
                let refresh = match rotation % 10 {
                    5 => Refresh::Within(Duration::from_secs(delay())),
                    _ => Refresh::AtOnce,
                };
                running.cluster.node().refresh(refresh);
                running.make_old(instance);
                running.cluster.until("the key is replaced", || {
                    running.note(instance, "rndc-rotation-count") == rotation.to_string()
                });
                known.push(Keys::of(&running, instance));
                // The minutes for which the former key is accepted are cut short, but not for who has read it already.
                let commands = || clients.commands.load(Ordering::Relaxed);
                let now = commands();
                running.cluster.until("those who have read the former key have used it", || commands() > now + 1);
            }
        });
    });
    let (commands, answers) = (clients.commands.into_inner(), clients.answers.into_inner());
    let failures = clients.failures.into_inner().expect("nobody panics with it");
    assert!(failures.is_empty(), "of {commands} commands and {answers} queries: {failures:?}");
    assert!(commands > rotations && answers > queries, "{commands} commands, {answers} queries");
    eprintln!("{rotations} rotations, {commands} commands of rndc, {answers} queries, none failed");
    assert_eq!(running.pods_of_servers(), before, "no pod was replaced, and none restarted");

    running.cluster.node().refresh(Refresh::AtOnce);
    running.annotate(instance, &[("rndc-rotated-at", "2020-01-01T00:00:00Z")]);
    let former = &known[known.len() - 2];
    running.cluster.until("the former key is accepted no more", || !running.takes(&address, former));
    let (newest, former) = known.split_last().expect("there are some");
    assert!(newest.is_in(&memory(&running, &address)), "else nothing is seen in this memory");
    let left = || {
        let memory = memory(&running, &address);
        (0..former.len()).filter(|at| former[*at].is_in(&memory)).collect::<Vec<usize>>()
    };
    // The one that was accepted last goes a while after that was over.
    assert!(
        left().iter().all(|at| at + 1 == former.len()),
        "former keys are in the server's memory still: {:?}",
        left()
    );
    running.cluster.until("no former key is in the server's memory", || left().is_empty());
    let stored = running.cluster.stored().await;
    let (secrets, others): (Vec<_>, Vec<_>) =
        stored.iter().partition(|(name, _)| name.starts_with("/registry/secrets/"));
    assert!(secrets.iter().any(|(_, octets)| newest.is_in(octets)), "else nothing is seen there");
    for (name, octets) in others {
        assert!(!known.iter().any(|key| key.is_in(octets)), "{name} has a key");
    }
    for (name, log) in running.cluster.node().logs() {
        assert!(!known.iter().any(|key| key.is_in(log.as_bytes())), "the log {name} has a key");
    }
}

impl Keys {
    /// Whether these octets have the secret, in one of the forms in which it is written down or used.
    fn is_in(&self, octets: &[u8]) -> bool {
        let plain = BASE64.decode(self.secret().as_bytes()).expect("it is base64");
        let forms = [plain, self.secret().into(), BASE64.encode(self.secret().as_bytes()).into()];
        forms.iter().any(|form| memchr::memmem::find(octets, form).is_some())
    }
}

/// What the process of the pod with this address may write to: all that a core would have of it.
fn memory(running: &Running, address: &str) -> Vec<u8> {
    // Process ids of the Pods may be others than ours, but a network is the same for everybody.
    let network = format!("--net=/run/netns/{}", network_of(address));
    let network = running.cluster.node().run(&["nsenter", &network, "readlink", "/proc/self/ns/net"]).output;
    let is_there =
        |process: &Path| fs::read_link(process.join("ns/net")).is_ok_and(|its| its.to_str() == Some(network.trim()));
    let processes = fs::read_dir("/proc").expect("every system has it").map_while(Result::ok);
    let mut octets = Vec::new();
    for process in processes.map(|process| process.path()).filter(|process| is_there(process)) {
        let maps = fs::read_to_string(process.join("maps")).unwrap_or_default();
        // One that has ended just now has no memory.
        let Ok(file) = File::open(process.join("mem")) else { continue };
        for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
            let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
            let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).expect("an address"));
            let mut part = vec![0; usize::try_from(to - from).expect("it is memory")];
            // What cannot be read is in no core either.
            if file.read_exact_at(&mut part, from).is_ok() {
                octets.append(&mut part);
            }
        }
    }
    octets
}

/// The name of the network of the pod with this address: the kubelet counts them.
pub(super) fn network_of(address: &str) -> String {
    let octets: Vec<u32> = address.split('.').map(|octet| octet.parse().expect("an IPv4 address")).collect();
    format!("pod{}", octets[2] * 256 + octets[3] - 1)
}
