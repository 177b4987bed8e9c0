//! A flood with forged addresses from a million IPv6 networks: what it costs, whom it affects, and who is still served.
//!
//! It runs in its own network namespace, where every address of 2001:db8::/32 is local, so that the flood's sources are
//! real senders and the responses to them can be counted.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{
    MACHINE, figure, memory,
    server::{Prepared, Server, wait_until},
};

/// Set when the test runs inside its namespace.
const INSIDE: &str = "BINDY_FLOOD_INSIDE";

/// In a namespace of its own, every port is free.
const PORT: u16 = 5300;

/// The port from which the flood is sent, and on which the responses to it are counted.
const FLOOD_PORT: u16 = 4000;

/// The number of /56 networks that the flood comes from.
const NETWORKS: u64 = 1_000_000;

const WARM_UP: Duration = Duration::from_secs(5);
/// How long the flood lasts after that. It lasts longer, but not for ever, if not every network has sent by then.
const FLOOD: Duration = Duration::from_secs(30);

/// How long a client waits for an answer before it asks again, once.
const TRY: Duration = Duration::from_secs(1);

const ZONE: &str = "$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n";

/// The first of the networks, and the clients in it, are subject to the limits.
const CONF: &str = "zone \"example.com\" { type primary; file \"example.zone\"; };";
const OPTIONS: &str = "minimal-responses yes; listen-on-v6 port 5300 { ::1; };
  rate-limit { responses-per-second 5; ipv6-network-rates { 32 1000; }; exempt-clients { 127.0.0.1; }; };";

#[test]
fn a_flood_takes_no_memory_and_shuts_out_nobody_who_is_there() {
    if std::env::var_os(INSIDE).is_some() {
        return flood();
    }
    let _turn = MACHINE.lock();
    let this = std::env::current_exe().expect("this test is a program");
    let set_up = "ip link set lo up && ip -6 route add local 2001:db8::/32 dev lo && exec \"$@\"";
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", set_up, "sh"])
        .arg(this)
        .args(["--exact", "flood::a_flood_takes_no_memory_and_shuts_out_nobody_who_is_there", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare and ip: install util-linux and iproute2");
    assert!(status.success(), "in its namespace");
}

/// The traffic of the flood and the responses to it.
#[derive(Default)]
struct Traffic {
    requests: AtomicU64,
    octets_in: AtomicU64,
    octets_out: AtomicU64,
}

fn flood() {
    let mut prepared = Prepared::new(OPTIONS, CONF, &[("example.zone", ZONE)]);
    prepared.listen_on(&format!("port {PORT} {{ 127.0.0.1; }}"));
    prepared.configure(CONF);
    let server = prepared.run();
    let capacity = capacity(&server);
    let rate = capacity * 7 / 10;
    let (traffic, over) = (Traffic::default(), AtomicBool::new(false));
    let begin = Instant::now();
    let (warm, clients) = thread::scope(|scope| {
        // If anything fails, the other threads must end, too.
        let end = EndsAll(&over);
        scope.spawn(|| count(&traffic, &over));
        scope.spawn(|| send(&traffic, rate, &over));
        thread::sleep(WARM_UP);
        let warm = memory(server.id(), "VmRSS");
        let with_cookie = scope.spawn(|| with_cookie(&over));
        let over_tcp = scope.spawn(|| over_tcp(&over));
        thread::sleep(FLOOD);
        wait_until(|| traffic.requests.load(Ordering::Relaxed) > NETWORKS, "every network has sent");
        drop(end);
        let clients = [("with a cookie", with_cookie.join()), ("over TCP", over_tcp.join())];
        (warm, clients.map(|(who, share)| (who, share.expect("the client did not panic"))))
    });
    let after = memory(server.id(), "VmRSS");
    let [requests, brought, caused] =
        [traffic.requests, traffic.octets_in, traffic.octets_out].map(AtomicU64::into_inner);
    let offered = requests * 1000 / u64::try_from(begin.elapsed().as_millis()).expect("it does not last that long");
    println!(
        "capacity {capacity}/s, flood {offered}/s: {brought} octets in, {caused} out; {warm} KiB, then {after} KiB"
    );
    assert!(caused > 0, "something is answered");
    assert!(caused <= brought, "{caused} octets out, {brought} in");
    assert!(after <= warm + 5 * 1024, "{warm} KiB, then {after}");
    for (who, Served { asked, answered, at_once }) in clients {
        println!("{who}: {answered} of {asked} answered, {at_once} of them at the first try");
        assert!(asked > 1000 && answered * 1000 >= asked * 999, "{who}: {answered} of {asked}");
    }
}

struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many queries the server can answer a second.
fn capacity(server: &Server) -> u64 {
    let queries = server.folder().join("queries");
    fs::write(&queries, "www.example.com A\n").expect("the folder is ours");
    let output = Command::new("dnsperf")
        .args(["-s", "127.0.0.1", "-p", &PORT.to_string(), "-e", "-l", "3", "-q", "1000", "-d"])
        .arg(queries)
        .output()
        .expect("dnsperf: scripts/install-test-tools installs it");
    figure(&String::from_utf8_lossy(&output.stdout), "Queries per second")
}

/// Sends requests at this rate, each from another network.
fn send(traffic: &Traffic, rate: u64, over: &AtomicBool) {
    let (request, server) = (request(&[]), SockAddr::from(SocketAddr::from((Ipv6Addr::LOCALHOST, PORT))));
    let begin = Instant::now();
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_micros() as u64 * rate / 1_000_000;
        if sent >= due {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        for network in sent..due {
            let socket = socket_of(flood_address(network), FLOOD_PORT, Type::DGRAM);
            // What the server's socket has no room for is lost, as in a real flood.
            let _ = socket.send_to(&request, &server);
            if network % 64 == 0 && over.load(Ordering::Relaxed) {
                break;
            }
        }
        traffic.requests.fetch_add(due - sent, Ordering::Relaxed);
        traffic.octets_in.fetch_add((due - sent) * request.len() as u64, Ordering::Relaxed);
        sent = due;
    }
}

/// A host in one of the flood's networks; successive ones are far apart.
fn flood_address(turn: u64) -> Ipv6Addr {
    let network = turn.wrapping_mul(611_953) % NETWORKS;
    Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(network) << 72 | 1)
}

/// Counts what is sent to the flood's networks.
fn count(traffic: &Traffic, over: &AtomicBool) {
    let socket = UdpSocket::from(socket_of(Ipv6Addr::UNSPECIFIED, FLOOD_PORT, Type::DGRAM));
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
    let (mut response, mut longest) = ([0; 4096], 0);
    while !over.load(Ordering::Relaxed) {
        if let Ok(length) = socket.recv(&mut response) {
            traffic.octets_out.fetch_add(length as u64, Ordering::Relaxed);
            longest = longest.max(length as u64);
        }
    }
    // Responses that the machine was too busy to deliver count as well.
    let sockets = fs::read_to_string("/proc/net/udp6").expect("it is there");
    let ours = sockets.lines().find(|line| line.contains(&format!(":{FLOOD_PORT:04X} 0000")));
    let missed: u64 = ours.and_then(|line| line.split_whitespace().last()?.parse().ok()).expect("drops come last");
    traffic.octets_out.fetch_add(missed * longest, Ordering::Relaxed);
}

/// How often a client was served.
struct Served {
    asked: u64,
    answered: u64,
    at_once: u64,
}

/// A client that asks again and again; `ask` returns whether it was answered.
fn client(over: &AtomicBool, mut ask: impl FnMut() -> bool) -> Served {
    let mut served = Served { asked: 0, answered: 0, at_once: 0 };
    while !over.load(Ordering::Relaxed) {
        served.asked += 1;
        let at_once = ask();
        served.at_once += u64::from(at_once);
        served.answered += u64::from(at_once || ask());
        thread::sleep(Duration::from_millis(5));
    }
    served
}

/// A client in the flooded network that returns the cookie that it was given.
fn with_cookie(over: &AtomicBool) -> Served {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 77);
    let first = ask_tcp(address, &request(&[1; 8])).expect("an answer over TCP");
    let request = request(&first[first.len() - 24..]);
    let socket = UdpSocket::from(socket_of(address, 0, Type::DGRAM));
    socket.connect((Ipv6Addr::LOCALHOST, PORT)).expect("the loopback interface is up");
    socket.set_read_timeout(Some(TRY)).expect("not zero");
    client(over, || {
        let mut response = [0; 512];
        socket.send(&request).is_ok() && socket.recv(&mut response).is_ok_and(|length| is_answer(&response[..length]))
    })
}

/// A client in the flooded network that asks over TCP, with a new connection each time.
fn over_tcp(over: &AtomicBool) -> Served {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 78);
    let request = request(&[]);
    client(over, || ask_tcp(address, &request).is_ok_and(|response| is_answer(&response)))
}

fn ask_tcp(from: Ipv6Addr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = socket_of(from, 0, Type::STREAM);
    socket.connect_timeout(&SocketAddr::from((Ipv6Addr::LOCALHOST, PORT)).into(), TRY)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TRY))?;
    stream.write_all(&[&(request.len() as u16).to_be_bytes(), request].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut response = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut response)?;
    Ok(response)
}

/// Whether a response is NOERROR with one record.
fn is_answer(response: &[u8]) -> bool {
    let (truncated, rcode) = (response[2] & 2 != 0, response[3] & 15);
    !truncated && rcode == 0 && response[6..8] == [0, 1]
}

/// `www.example.com A` with an OPT, which has a cookie unless it is empty.
fn request(cookie: &[u8]) -> Vec<u8> {
    let option = if cookie.is_empty() { vec![] } else { [&[0, 10, 0, cookie.len() as u8], cookie].concat() };
    let question = b"\x03www\x07example\x03com\0\0\x01\0\x01";
    let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, option.len() as u8], &*option].concat();
    [&[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1], &question[..], &opt].concat()
}

/// A socket at an address that no interface has; several may share a port.
fn socket_of(address: Ipv6Addr, port: u16, kind: Type) -> Socket {
    let protocol = if kind == Type::DGRAM { Protocol::UDP } else { Protocol::TCP };
    let socket = Socket::new(Domain::IPV6, kind, Some(protocol)).expect("a socket more");
    socket.set_freebind_v6(true).expect("Linux knows it");
    socket.set_reuse_address(true).expect("it is not bound");
    socket.bind(&SocketAddr::from((address, port)).into()).expect("every address of the prefix is local");
    socket
}
