//! A primary that is cut off from its secondaries, in network namespaces of the test's own.

use std::{
    net::UdpSocket,
    process::{Child, Command},
    sync::{
        atomic::{AtomicU8, Ordering},
        mpsc::{self, Receiver, TryRecvError},
    },
    thread,
    time::Duration,
};

use super::{
    ZONE,
    interfaces::{in_a_network, ip},
    server::{PATIENCE, Prepared, Server, dig, wait_until},
    transfers::{KEY, SIGN},
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");
const PORT: u16 = 5300;
const SECONDARIES: [(&str, &str); 2] = [(BINDYD, "192.0.2.2"), ("named", "192.0.2.3")];

/// A zone whose secondaries ask each second, and in which `v` has an address that ends with the serial.
fn text() -> String {
    ZONE.replace(" 3600 900 ", " 1 1 ") + "v 60 A 192.0.2.1\n"
}

#[test]
fn secondaries_answer_while_their_primary_is_cut_off_and_follow_it_afterwards() {
    let name = "partition::secondaries_answer_while_their_primary_is_cut_off_and_follow_it_afterwards";
    in_a_network(name, || {
        let primary = Primary::start();
        let secondaries = SECONDARIES.map(|(program, address)| secondary(program, address));
        follow(1);
        let made = AtomicU8::new(1);
        thread::scope(|scope| {
            let clients = SECONDARIES.map(|(_, address)| {
                let (running, ended) = mpsc::channel();
                let made = &made;
                (running, scope.spawn(move || ask(address, made, &ended)))
            });
            let change = |version| {
                made.store(version, Ordering::SeqCst);
                primary.change(version);
            };
            change(2);
            follow(2);
            primary.elsewhere.ip(&["link", "set", "there", "down"]);
            for version in 3..6 {
                change(version);
            }
            secondaries[0].says("zone example.com/IN: refresh: failure trying primary 192.0.2.1#5300");
            assert_eq!(SECONDARIES.map(|(_, address)| serial(address)), [Some(2), Some(2)]);
            primary.elsewhere.ip(&["link", "set", "there", "up"]);
            follow(5);
            change(6);
            follow(6);
            for (running, client) in clients {
                drop(running);
                let answers = client.join().expect("every answer is one of the versions, and none goes back");
                assert!(answers > 100, "{answers} answers");
            }
        });
    });
}

/// Asks a server until the test ends, and returns the number of answers. Each has a version that was made, and none an
/// older one than the answer before it.
fn ask(address: &str, made: &AtomicU8, ended: &Receiver<()>) -> u32 {
    const QUESTION: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\x01v\x07example\x03com\0\0\x01\0\x01";
    let socket = UdpSocket::bind("0.0.0.0:0").expect("there is a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    socket.connect((address, PORT)).expect("the address is local");
    let (mut newest, mut answers) = (1, 0_u32);
    while ended.try_recv() != Err(TryRecvError::Disconnected) {
        let [.., high, low] = answers.to_be_bytes();
        socket.send(&[&[high, low], QUESTION].concat()).expect("the server is there");
        let mut octets = [0; 512];
        let length = socket.recv(&mut octets).expect("an answer");
        // The flags say that the answer is authoritative and no error, and it has one record, whose address is last.
        assert_eq!((&octets[..4], &octets[6..8]), (&[high, low, 0x84, 0][..], &[0, 1][..]), "{address}: {newest}");
        let end = 2 + QUESTION.len() + 16;
        assert!(length >= end);
        let version = octets[end - 1];
        let possible = newest..=made.load(Ordering::SeqCst);
        assert!(possible.contains(&version), "{address}: {version} is not in {possible:?}");
        (newest, answers) = (version, answers + 1);
        thread::sleep(Duration::from_millis(1));
    }
    answers
}

fn serial(address: &str) -> Option<u32> {
    dig(address, PORT, &["+short", "example.com", "SOA"]).split(' ').nth(2)?.parse().ok()
}

/// Waits until all secondaries have this version.
fn follow(version: u32) {
    for (program, address) in SECONDARIES {
        wait_until(|| serial(address) == Some(version), &format!("{program} has version {version}"));
    }
}

fn secondary(program: &str, address: &str) -> Server {
    let conf = format!(
        "{KEY}zone \"example.com\" {{ type secondary; primaries {{ 192.0.2.1 port {PORT} key k; }}; notify no;\
         min-refresh-time 1; min-retry-time 1; try-tcp-refresh no; }};"
    );
    let mut prepared = Prepared::new("recursion no; dnssec-validation no;", "", &[]);
    prepared.listen_on(&format!("port {PORT} {{ {address}; }}"));
    prepared.configure(&conf);
    prepared.run_until_it_answers(program)
}

/// A primary in another network namespace, where it can always be updated.
struct Primary {
    elsewhere: Elsewhere,
    server: Server,
}

impl Primary {
    fn start() -> Primary {
        let elsewhere = Elsewhere::new();
        let to = SECONDARIES.map(|(_, address)| format!("{address} port {PORT};")).concat();
        let conf = format!(
            "{KEY}zone \"example.com\" {{ type primary; file \"example.zone\"; allow-update {{ key k; }};\
             allow-transfer {{ key k; }}; notify explicit; also-notify {{ {to} }}; }};"
        );
        let mut prepared = Prepared::new("", "", &[("example.zone", &text())]);
        prepared.listen_on(&format!("port {PORT} {{ any; }}"));
        prepared.configure(&conf);
        let arguments = [&elsewhere.network, BINDYD, "-g", "-n", "1", "-c", "named.conf"];
        let server = prepared.with_arguments(&arguments).run_until("nsenter", ": running");
        Primary { elsewhere, server }
    }

    fn change(&self, version: u8) {
        let update = format!(
            "server 127.0.0.1 {PORT}\nzone example.com\nupdate del v.example.com\n\
             update add v.example.com 60 A 192.0.2.{version}\nsend\n"
        );
        self.server.write("update", &update);
        let file = self.server.folder().join("update").display().to_string();
        self.elsewhere.run("nsupdate", &[&SIGN[..], &[&file]].concat());
    }
}

/// A network namespace that a cable leads to: its end `here` has the secondaries' addresses, `there` the primary's.
struct Elsewhere {
    /// A process that keeps the namespace.
    keeper: Child,
    /// The option of nsenter for the namespace.
    network: String,
}

impl Elsewhere {
    fn new() -> Elsewhere {
        let keeper = Command::new("unshare").args(["--net", "sleep", "600"]).spawn();
        let keeper = keeper.expect("unshare: install util-linux");
        let id = keeper.id().to_string();
        let elsewhere = Elsewhere { keeper, network: format!("--net=/proc/{id}/ns/net") };
        let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        wait_until(|| network(&id) != network("self"), "there is another network namespace");
        ip(&["link", "add", "here", "type", "veth", "peer", "name", "there", "netns", &id]);
        for (_, address) in SECONDARIES {
            ip(&["address", "add", &format!("{address}/24"), "dev", "here"]);
        }
        ip(&["link", "set", "here", "up"]);
        elsewhere.ip(&["link", "set", "lo", "up"]);
        elsewhere.ip(&["address", "add", "192.0.2.1/24", "dev", "there"]);
        elsewhere.ip(&["link", "set", "there", "up"]);
        elsewhere
    }

    fn ip(&self, arguments: &[&str]) {
        self.run("ip", arguments);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = Command::new("nsenter").args([&self.network, program]).args(arguments).status();
        assert!(status.expect("nsenter: install util-linux").success(), "{program} {arguments:?}");
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
