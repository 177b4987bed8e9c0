//! UDP.

use std::{
    collections::HashSet,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::atomic::Ordering,
    thread,
};

use bindy_server::listen::TcpLimits;

use crate::{Oracle, PATIENCE, ask, config, eventually, listen, listen_with, only, reply, request};

fn client(addr: &str) -> UdpSocket {
    let socket = UdpSocket::bind((addr, 0)).expect("binds");
    socket.set_read_timeout(Some(PATIENCE)).expect("sets a timeout");
    socket
}

/// Asks from `socket`; returns the reply and the address it came from.
fn ask(socket: &UdpSocket, to: SocketAddr, request: &[u8]) -> (Vec<u8>, SocketAddr) {
    socket.send_to(request, to).expect("sends");
    let mut buffer = vec![0; 65_536];
    let (len, from) = socket.recv_from(&mut buffer).expect("a reply");
    buffer.truncate(len);
    (buffer, from)
}

#[test]
fn replies_go_to_who_asked_from_what_was_asked() {
    let listeners = listen(&["127.0.0.1:0", "[::1]:0"], TcpLimits::default());
    for addr in listeners.local_addrs() {
        let socket = client(if addr.is_ipv4() { "127.0.0.1" } else { "::1" });
        for way in [ask::CLIENT, ask::LATER] {
            let (bytes, from) = ask(&socket, addr, &request(7, way));
            let expected = format!("{} {addr} udp", socket.local_addr().expect("bound"));
            assert_eq!(reply(&bytes), (7, expected.as_bytes()));
            assert_eq!(from, addr);
        }
    }
}

#[test]
fn wildcard_replies_come_from_the_address_that_was_asked() {
    let listeners = listen(&["0.0.0.0:0"], TcpLimits::default());
    let port = only(&listeners).port();
    let socket = client("127.0.0.1");
    let ways = [ask::CLIENT, ask::LATER]
        .into_iter()
        .flat_map(|way| ["127.0.0.1", "127.0.0.2", "127.1.2.3"].map(|ip| (way, ip)));
    for (way, ip) in ways {
        let addr: SocketAddr = (ip.parse::<std::net::IpAddr>().expect("an address"), port).into();
        let (bytes, from) = ask(&socket, addr, &request(7, way));
        let expected = format!("{} {addr} udp", socket.local_addr().expect("bound"));
        assert_eq!(reply(&bytes), (7, expected.as_bytes()));
        assert_eq!(from, addr);
    }
    // The reply to a broadcast comes from an address of the interface, since the broadcast address belongs to nobody.
    socket.set_broadcast(true).expect("may broadcast");
    let (_, from) =
        ask(&socket, format!("127.255.255.255:{port}").parse().expect("an address"), &request(8, ask::ECHO));
    assert_eq!(from, format!("127.0.0.1:{port}").parse().expect("an address"));
}

#[test]
fn ipv6_wildcard_leaves_ipv4_alone() {
    let listeners = listen(&["[::]:0"], TcpLimits::default());
    let port = only(&listeners).port();
    let addr: SocketAddr = format!("[::1]:{port}").parse().expect("an address");
    let socket = client("::1");
    for way in [ask::CLIENT, ask::LATER] {
        let (bytes, from) = ask(&socket, addr, &request(7, way));
        assert_eq!(reply(&bytes), (7, format!("{} {addr} udp", socket.local_addr().expect("bound")).as_bytes()));
        assert_eq!(from, addr);
    }
    // The IPv4 port is free for others.
    UdpSocket::bind(("0.0.0.0", port)).expect("free");
}

#[test]
fn all_of_a_flood_is_answered_but_what_asks_for_silence() {
    let listeners = listen(&["127.0.0.1:0"], TcpLimits::default());
    let addr = only(&listeners);
    // Several clients, because the kernel keeps each one on the same worker.
    let clients: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(move || {
                let socket = client("127.0.0.1");
                for round in 0..20u16 {
                    // As much as any socket buffer holds, because this test is not about lost datagrams.
                    let ids = round * 50..(round + 1) * 50;
                    for id in ids.clone() {
                        let what = if id % 3 == 0 { ask::SILENCE } else { ask::ECHO };
                        socket.send_to(&request(id, what), addr).expect("sends");
                    }
                    let mut missing: HashSet<u16> = ids.filter(|id| id % 3 != 0).collect();
                    while !missing.is_empty() {
                        let mut buffer = [0; 64];
                        let len = socket.recv(&mut buffer).expect("a reply");
                        let (id, rest) = reply(&buffer[..len]);
                        assert_eq!(rest, [ask::ECHO]);
                        assert!(missing.remove(&id), "a reply to each request, once: {id}");
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("no assertion failed");
    }
}

#[test]
fn odd_datagrams_do_no_harm() {
    let listeners = listen(&["127.0.0.1:0"], TcpLimits::default());
    let addr = only(&listeners);
    let socket = client("127.0.0.1");
    for len in [0, 1, 11, 12] {
        socket.send_to(&vec![0xff; len], addr).expect("sends");
    }
    // What does not fit is cut off, and the message's own counts then show that it is incomplete.
    let mut long = request(9, ask::LENGTH);
    long.resize(60_000, 0);
    let (bytes, _) = ask(&socket, addr, &long);
    assert_eq!(reply(&bytes), (9, b"4096".as_slice()));
    // None of it is left in the buffers for the next request.
    let (bytes, _) = ask(&socket, addr, &request(10, ask::LENGTH));
    assert_eq!(reply(&bytes), (10, b"13".as_slice()));
    let (bytes, _) = ask(&socket, addr, &request(11, ask::LONGEST));
    assert_eq!(bytes.len(), 4096);
}

#[test]
fn a_second_server_cannot_take_half_of_the_queries() {
    let listeners = listen(&["127.0.0.1:0"], TcpLimits::default());
    let addr = only(&listeners);
    let second = config(&[&addr.to_string()], TcpLimits::default());
    let Err(error) = bindy_server::listen::start(&second, || -> crate::OracleWorker { unreachable!("not started") })
    else {
        panic!("two servers on {addr}")
    };
    let message = error.to_string();
    assert!(message.starts_with(&format!("cannot listen on {addr} (UDP): Address already in use")), "{message}");
    assert!(message.contains(&format!("ss -Hulnp 'sport = :{}'", addr.port())), "{message}");
}

#[test]
fn idle_workers_let_go_of_their_data() {
    let oracle = Oracle::default();
    let listeners = listen_with(&["127.0.0.1:0"], TcpLimits::default(), &oracle);
    ask(&client("127.0.0.1"), only(&listeners), &request(1, ask::ECHO));
    eventually("idle", || oracle.releases.load(Ordering::Relaxed) == 1);
}

#[test]
fn stops_under_load_and_frees_the_port() {
    // An address of its own, so that no other test's client takes the port in between.
    let listeners = listen(&["127.0.0.77:0"], TcpLimits::default());
    let addr = only(&listeners);
    let socket = client("127.0.0.1");
    socket.connect(addr).expect("connects");
    socket.send(&request(1, ask::ECHO)).expect("sends");
    socket.recv(&mut [0; 64]).expect("a reply");
    let flood = thread::spawn(move || {
        // Ends when the port is closed, which ICMP reports to a connected socket.
        while socket.send(&request(1, ask::ECHO)).is_ok() {}
    });
    listeners.stop();
    flood.join().expect("no panic");
    let again = config(&[&addr.to_string()], TcpLimits::default());
    let oracle = Oracle::default();
    bindy_server::listen::start(&again, move || oracle.worker()).expect("starts again").stop();
}

#[test]
fn reconfigure_goes_from_an_address_to_the_wildcard_and_back() {
    // A free port below the range that the kernel gives to clients, which would be in the wildcard's way.
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    let free =
        |port: &u16| UdpSocket::bind(("0.0.0.0", *port)).is_ok() && TcpListener::bind(("0.0.0.0", *port)).is_ok();
    let port = (start..start + 1000).find(free).expect("a free port");
    let (one, all) = (format!("127.0.0.2:{port}"), format!("0.0.0.0:{port}"));
    let addr = one.parse().expect("an address");
    let mut listeners = listen(&[&one], TcpLimits::default());
    for addresses in [&[&*all] as &[_], &[&*one], &[&*one, &*all], &[&*one]] {
        listeners.reconfigure(&config(addresses, TcpLimits::default())).expect("reconfigures");
        let (bytes, from) = ask(&client("127.0.0.1"), addr, &request(3, ask::ECHO));
        assert_eq!((reply(&bytes), from), ((3, [ask::ECHO].as_slice()), addr));
    }
    // The address that had to be closed first is restored when the other cannot be bound.
    let impossible = config(&[&all, "192.0.2.1:0"], TcpLimits::default());
    listeners.reconfigure(&impossible).expect_err("no such address");
    assert_eq!(only(&listeners), addr);
    ask(&client("127.0.0.1"), addr, &request(3, ask::ECHO));
}

#[test]
fn reconfigure_adds_and_removes_addresses_and_keeps_the_rest() {
    let mut listeners = listen(&["127.0.0.1:0"], TcpLimits::default());
    let first = only(&listeners);
    listeners.reconfigure(&config(&["127.0.0.1:0", "127.0.0.2:0"], TcpLimits::default())).expect("a second address");
    let addrs = listeners.local_addrs();
    assert_eq!(addrs.len(), 2);
    assert!(addrs.contains(&first));
    let socket = client("127.0.0.1");
    for addr in addrs {
        assert_eq!(reply(&ask(&socket, addr, &request(3, ask::ECHO)).0), (3, [ask::ECHO].as_slice()));
    }
    // An address that cannot be bound changes nothing.
    let impossible = config(&["127.0.0.3:0", "192.0.2.1:0"], TcpLimits::default());
    let message = listeners.reconfigure(&impossible).expect_err("no such address").to_string();
    assert!(message.contains("no interface of this machine"), "{message}");
    assert_eq!(listeners.local_addrs().len(), 2);
    listeners.reconfigure(&config(&["127.0.0.2:0"], TcpLimits::default())).expect("one less");
    assert_ne!(only(&listeners), first);
    let closed = client("127.0.0.1");
    closed.connect(first).expect("connects");
    closed.send(&request(4, ask::ECHO)).expect("sends");
    assert_eq!(closed.recv(&mut [0; 64]).expect_err("closed").kind(), io::ErrorKind::ConnectionRefused);
}
