//! TCP: requests of all sizes and in all pieces, and clients that want more than their share.

use std::{
    collections::{BTreeSet, HashSet},
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::atomic::Ordering,
    thread,
    time::Duration,
};

use bindy_server::listen::{TcpLimits, TcpTimeouts};
use proptest::{collection::vec, prelude::*};
use socket2::{Domain, Socket, Type};

use crate::{IGNORED, Oracle, PATIENCE, ask, config, eventually, listen, listen_with, only, reply, request};

/// A time-out that a test waits for.
const SOON: Duration = Duration::from_millis(200);

/// A time-out that never expires.
const NEVER: Duration = Duration::from_secs(3600);

/// Limits under which only this time-out ever expires.
fn timing_out(field: fn(&mut TcpTimeouts) -> &mut Duration) -> TcpLimits {
    let mut limits = patient();
    *field(&mut limits.timeouts) = SOON;
    limits
}

/// Limits under which nothing ever times out.
fn patient() -> TcpLimits {
    TcpLimits {
        timeouts: TcpTimeouts { initial: NEVER, idle: NEVER, keepalive: NEVER, advertised: NEVER },
        message_timeout: NEVER,
        write_timeout: NEVER,
        ..TcpLimits::default()
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    with_timeouts(TcpStream::connect(addr).expect("connects"))
}

/// Connects from one of this machine's addresses.
fn connect_from(from: IpAddr, addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(from, 0).into()).expect("binds");
    socket.connect(&addr.into()).expect("connects");
    with_timeouts(socket.into())
}

fn with_timeouts(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).expect("sets an option");
    stream.set_read_timeout(Some(PATIENCE)).expect("sets a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("sets a timeout");
    stream
}

/// A message preceded by its length.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a length that TCP carries");
    [&length.to_be_bytes(), message].concat()
}

/// Receives the next message.
fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Asks for an echo; false if the connection was closed instead.
fn echoes(stream: &mut TcpStream, id: u16) -> bool {
    let asked = stream.write_all(&framed(&request(id, ask::ECHO))).and_then(|()| receive(stream));
    match asked {
        Ok(bytes) => {
            assert_eq!(reply(&bytes), (id, [ask::ECHO].as_slice()));
            true
        }
        Err(error) => {
            assert!(is_close(&error), "{error}");
            false
        }
    }
}

/// Reads until the connection is closed; returns what came before that.
fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        assert!(is_close(&error), "{error}");
    }
    all
}

fn is_close(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

#[test]
fn requests_in_any_pieces_are_answered() {
    let listeners = listen(&["127.0.0.1:0", "[::1]:0"], TcpLimits::default());
    for addr in listeners.local_addrs() {
        let mut stream = connect(addr);
        // Octet by octet.
        for byte in framed(&request(1, ask::CLIENT)) {
            stream.write_all(&[byte]).expect("sends");
        }
        let expected = format!("{} {addr} tcp", stream.local_addr().expect("bound"));
        assert_eq!(reply(&receive(&mut stream).expect("a reply")), (1, expected.as_bytes()));
        // The end of one request with the start of another.
        let both = [framed(&request(2, ask::ECHO)), framed(&request(3, ask::LENGTH))].concat();
        stream.write_all(&both[..20]).expect("sends");
        assert_eq!(reply(&receive(&mut stream).expect("a reply")), (2, [ask::ECHO].as_slice()));
        stream.write_all(&both[20..]).expect("sends");
        assert_eq!(reply(&receive(&mut stream).expect("a reply")), (3, b"13".as_slice()));
        // The longest messages, both ways.
        let mut longest = request(4, ask::LENGTH);
        longest.resize(65_535, 0);
        stream.write_all(&framed(&longest)).expect("sends");
        assert_eq!(reply(&receive(&mut stream).expect("a reply")), (4, b"65535".as_slice()));
        stream.write_all(&framed(&request(5, ask::LONGEST))).expect("sends");
        assert_eq!(receive(&mut stream).expect("a reply").len(), 65_535);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any lengths of requests, cut anywhere by the client's writes.
    #[test]
    fn every_request_is_answered_once_and_in_full(
        requests in vec((prop::sample::select(&[ask::ECHO, ask::LENGTH, ask::LONG, ask::SILENCE]), 13..9000_usize), 1..100),
        writes in vec(1..20_000_usize, 1..20),
    ) {
        let listeners = listen(&["127.0.0.1:0"], patient());
        let mut stream = connect(only(&listeners));
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (id, &(what, length)) in requests.iter().enumerate() {
            let mut message = request(u16::try_from(id).expect("few"), what);
            message.resize(length, b'.');
            bytes.extend(framed(&message));
            let text = match what {
                ask::ECHO => message.split_off(12),
                ask::LENGTH => length.to_string().into_bytes(),
                ask::LONG => vec![b'x'; 1000],
                _ => continue,
            };
            message.truncate(12);
            message[2] |= 0x80;
            expected.extend(framed(&[message, text].concat()));
        }
        let mut writer = stream.try_clone().expect("a second handle");
        let client = thread::spawn(move || {
            let mut rest = &bytes[..];
            for length in writes.into_iter().cycle() {
                let (now, later) = rest.split_at(length.min(rest.len()));
                writer.write_all(now).expect("sends");
                rest = later;
                if rest.is_empty() {
                    return writer.shutdown(Shutdown::Write).expect("shuts down");
                }
            }
        });
        prop_assert!(until_closed(&mut stream) == expected);
        client.join().expect("no panic");
    }
}

#[test]
fn wildcard_connections_know_the_address_that_was_asked() {
    let listeners = listen(&["0.0.0.0:0"], TcpLimits::default());
    let addr: SocketAddr = (Ipv4Addr::new(127, 0, 0, 2), only(&listeners).port()).into();
    let mut stream = connect(addr);
    stream.write_all(&framed(&request(1, ask::CLIENT))).expect("sends");
    let expected = format!("{} {addr} tcp", stream.local_addr().expect("bound"));
    assert_eq!(reply(&receive(&mut stream).expect("a reply")), (1, expected.as_bytes()));
}

#[test]
fn ten_thousand_requests_may_be_written_before_the_first_reply_is_read() {
    for (what, limits) in [(ask::ECHO, TcpLimits::default()), (ask::LONG, patient())] {
        let listeners = listen(&["127.0.0.1:0"], limits);
        let mut stream = connect(only(&listeners));
        let ids = 0..10_000;
        let requests: Vec<u8> = ids.clone().flat_map(|id| framed(&request(id, what))).collect();
        stream.write_all(&requests).expect("sends");
        stream.shutdown(Shutdown::Write).expect("shuts down");
        let mut missing: HashSet<u16> = ids.collect();
        while !missing.is_empty() {
            let bytes = receive(&mut stream).expect("a reply");
            let (id, rest) = reply(&bytes);
            assert_eq!(rest.len(), if what == ask::LONG { 1000 } else { 1 });
            assert!(missing.remove(&id), "a reply to each request, once: {id}");
        }
        assert!(until_closed(&mut stream).is_empty());
    }
}

#[test]
fn replies_that_come_later_come_and_do_not_keep_others_waiting() {
    let listeners = listen(&["127.0.0.1:0"], TcpLimits::default());
    let mut stream = connect(only(&listeners));
    // More than may wait at a time, some of which get no reply.
    for id in 0..500 {
        let what = if id % 5 == 0 { ask::NEVER } else { ask::LATER };
        stream.write_all(&framed(&request(id, what))).expect("sends");
    }
    assert!(stream.write_all(&framed(&request(1000, ask::ECHO))).is_ok());
    let ids: BTreeSet<u16> = (0..401).map(|_| reply(&receive(&mut stream).expect("a reply")).0).collect();
    assert_eq!(ids, (0..500).filter(|id| id % 5 != 0).chain([1000]).collect());
    assert!(echoes(&mut stream, 7));
}

/// The connection was closed at once, and the reply lost.
#[test]
fn who_sends_no_more_still_gets_the_replies_that_come_later() {
    let listeners = listen(&["127.0.0.1:0"], TcpLimits::default());
    let mut stream = connect(only(&listeners));
    for id in 0..3 {
        stream.write_all(&framed(&request(id, ask::LATER))).expect("sends");
    }
    stream.shutdown(Shutdown::Write).expect("it is open");
    let ids: BTreeSet<u16> = (0..3).map(|_| reply(&receive(&mut stream).expect("a reply")).0).collect();
    assert_eq!(ids, (0..3).collect());
    assert!(until_closed(&mut stream).is_empty());
}

/// It came after the last message, however long that took.
#[test]
fn a_reply_that_comes_later_does_not_wait_for_the_end_of_several_messages() {
    let listeners = listen(&["127.0.0.1:0"], TcpLimits::default());
    let mut stream = connect(only(&listeners));
    stream.write_all(&[framed(&request(7, ask::LATER)), framed(&request(8, ask::ENDLESS))].concat()).expect("sends");
    eventually("the reply comes between the messages", || {
        (0..100).any(|_| receive(&mut stream).expect("a message").starts_with(&[0, 7]))
    });
}

#[test]
fn a_response_of_several_messages_is_whole_and_what_is_asked_behind_it_is_answered() {
    let listeners = listen(&["127.0.0.1:0"], TcpLimits::default());
    let mut stream = connect(only(&listeners));
    stream.write_all(&framed(&request(7, ask::MESSAGES))).expect("sends");
    stream.write_all(&framed(&request(8, ask::ECHO))).expect("sends");
    for number in 0..10 {
        let message = receive(&mut stream).expect("a message");
        assert!(
            message.len() == 30_000
                && message.starts_with(&[0, 7])
                && message[2..].iter().all(|&octet| octet == number)
        );
    }
    assert_eq!(reply(&receive(&mut stream).expect("a reply")).0, 8);
    stream.write_all(&framed(&request(9, ask::ABORTED))).expect("sends");
    let whole = until_closed(&mut stream).len() / 30_002;
    assert!(whole <= 10, "the connection is closed instead of the last one");
}

#[test]
fn no_reply_keeps_the_connection() {
    let listeners = listen(&["127.0.0.1:0"], patient());
    let mut stream = connect(only(&listeners));
    stream.write_all(&framed(&request(1, ask::SILENCE))).expect("sends");
    assert!(echoes(&mut stream, 2));
}

#[test]
fn what_cannot_be_dns_ends_the_connection_after_the_replies_before_it() {
    let listeners = listen(&["127.0.0.1:0"], patient());
    for short in [0, 1, 11] {
        let mut stream = connect(only(&listeners));
        let bytes = [framed(&request(1, ask::ECHO)), framed(&vec![0; short])].concat();
        stream.write_all(&bytes).expect("sends");
        let mut expected = framed(&request(1, ask::ECHO));
        expected[4] |= 0x80;
        assert_eq!(until_closed(&mut stream), expected);
    }
}

#[test]
fn a_request_cut_off_by_the_client_is_not_answered() {
    let oracle = Oracle::default();
    let listeners = listen_with(&["127.0.0.1:0"], patient(), &oracle);
    let mut stream = connect(only(&listeners));
    stream.write_all(&framed(&request(1, ask::ECHO))[..14]).expect("sends");
    stream.shutdown(Shutdown::Write).expect("shuts down");
    assert!(until_closed(&mut stream).is_empty());
    assert_eq!(oracle.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn silent_clients_are_closed() {
    let listeners = listen(&["127.0.0.1:0"], timing_out(|timeouts| &mut timeouts.initial));
    assert!(until_closed(&mut connect(only(&listeners))).is_empty());
}

#[test]
fn idle_clients_are_closed_unless_they_asked_for_keepalive() {
    let listeners = listen(&["127.0.0.1:0"], timing_out(|timeouts| &mut timeouts.idle));
    let addr = only(&listeners);
    let mut kept = connect(addr);
    kept.write_all(&framed(&request(1, ask::KEEPALIVE))).expect("sends");
    receive(&mut kept).expect("a reply");
    let mut idle = connect(addr);
    assert!(echoes(&mut idle, 2));
    assert!(until_closed(&mut idle).is_empty());
    assert!(echoes(&mut kept, 3));
}

#[test]
fn half_a_request_earns_no_more_time_than_none() {
    let timeouts = TcpTimeouts { initial: SOON, idle: SOON, ..patient().timeouts };
    let listeners = listen(&["127.0.0.1:0"], TcpLimits { timeouts, ..patient() });
    let mut first = connect(only(&listeners));
    first.write_all(&[0]).expect("sends");
    assert!(until_closed(&mut first).is_empty());
    let mut second = connect(only(&listeners));
    assert!(echoes(&mut second, 1));
    second.write_all(&[0]).expect("sends");
    assert!(until_closed(&mut second).is_empty());
}

#[test]
fn a_request_has_to_arrive_in_time_however_many_bytes_come() {
    let listeners = listen(&["127.0.0.1:0"], TcpLimits { message_timeout: SOON, ..patient() });
    let mut stream = connect(only(&listeners));
    assert!(echoes(&mut stream, 1));
    let mut long = request(2, ask::ECHO);
    long.resize(60_000, 0);
    // There is progress all the time, but the request would take twenty minutes.
    let mut bytes = framed(&long).into_iter();
    eventually("closed", || {
        thread::sleep(Duration::from_millis(20));
        stream.write_all(&[bytes.next().expect("closed before")]).is_err()
    });
}

#[test]
fn clients_that_do_not_read_hold_little_and_are_closed() {
    let oracle = Oracle::default();
    let listeners = listen_with(&["127.0.0.1:0"], TcpLimits { write_timeout: SOON, ..patient() }, &oracle);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(32 << 10).expect("sets an option");
    socket.connect(&only(&listeners).into()).expect("connects");
    let mut stream = with_timeouts(socket.into());
    stream.set_nonblocking(true).expect("sets an option");
    let request = framed(&request(1, ask::LONGEST));
    eventually("closed", || match stream.write(&request) {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            thread::sleep(Duration::from_millis(5));
            false
        }
        Err(_) => true,
    });
    // Both kernel buffers and one round of replies: fewer than a hundred of the thousands requested.
    let requests = oracle.requests.load(Ordering::Relaxed);
    assert!(requests < 100, "{requests} replies of 64 KiB for a client that reads none");
}

#[test]
fn at_the_limit_the_longest_idle_makes_room() {
    let limits = TcpLimits { clients: 4, clients_per_address: 4, ..patient() };
    let listeners = listen(&["127.0.0.1:0"], limits);
    let addr = only(&listeners);
    let mut clients: Vec<_> = (0..4).map(|_| connect(addr)).collect();
    for client in &mut clients {
        assert!(echoes(client, 1));
    }
    let [mut busy, mut idle, mut others @ ..] = <[TcpStream; 4]>::try_from(clients).expect("four");
    // Refused until one of the four has been idle for a while.
    let mut fifth = None;
    eventually("room", || {
        assert!(echoes(&mut busy, 2), "busy clients stay");
        for other in &mut others {
            assert!(echoes(other, 2), "busy clients stay");
        }
        let mut stream = connect(addr);
        let admitted = echoes(&mut stream, 3);
        if admitted {
            fifth = Some(stream);
        }
        admitted
    });
    assert!(until_closed(&mut idle).is_empty());
    assert!(echoes(&mut fifth.expect("admitted"), 4));
    assert!(echoes(&mut busy, 4));
}

#[test]
fn one_client_cannot_take_all_connections() {
    let limits = TcpLimits { clients: 100, clients_per_address: 3, ..patient() };
    let listeners = listen(&["127.0.0.1:0"], limits);
    let addr = only(&listeners);
    let mut greedy: Vec<_> = (0..20).map(|_| connect(addr)).collect();
    let open = greedy.iter_mut().filter_map(|stream| echoes(stream, 1).then_some(())).count();
    assert!((1..=3).contains(&open), "{open} of one client");
    // Another address is another client.
    assert!(echoes(&mut connect_from([127, 0, 0, 2].into(), addr), 2));
}

#[test]
fn who_is_ignored_is_closed_at_once_and_takes_no_place() {
    let limits = TcpLimits { clients: 1, clients_per_address: 1, ..patient() };
    let listeners = listen(&["127.0.0.1:0"], limits);
    let addr = only(&listeners);
    let mut ignored = connect_from(IGNORED, addr);
    assert!(until_closed(&mut ignored).is_empty());
    assert!(echoes(&mut connect(addr), 1));
}

#[test]
fn closed_connections_leave_their_place() {
    let limits = TcpLimits { clients: 2, clients_per_address: 2, ..patient() };
    let listeners = listen(&["127.0.0.1:0"], limits);
    let addr = only(&listeners);
    for id in 0..200 {
        // The server may notice that the previous connection was closed only after this one has connected.
        eventually("room", || echoes(&mut connect(addr), id));
    }
}

#[test]
fn stops_under_load_and_frees_the_port() {
    let listeners = listen(&["127.0.0.78:0"], patient());
    let addr = only(&listeners);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect(addr);
            assert!(echoes(&mut stream, 1));
            thread::spawn(move || while echoes(&mut stream, 2) {})
        })
        .collect();
    let mut silent = connect(addr);
    listeners.stop();
    assert!(until_closed(&mut silent).is_empty());
    for client in clients {
        client.join().expect("no assertion failed");
    }
    assert_eq!(TcpStream::connect(addr).expect_err("closed").kind(), ErrorKind::ConnectionRefused);
    let again = config(&[&addr.to_string()], TcpLimits::default());
    let oracle = Oracle::default();
    bindy_server::listen::start(&again, move || oracle.worker()).expect("starts again").stop();
}

#[test]
fn reconfigure_closes_connections_of_removed_addresses_only() {
    let mut listeners = listen(&["127.0.0.1:0", "127.0.0.2:0"], patient());
    let (mut kept, mut removed) = match listeners.local_addrs()[..] {
        [first, second] => (connect(first), connect(second)),
        ref addrs => panic!("{addrs:?}"),
    };
    assert!(echoes(&mut kept, 1) && echoes(&mut removed, 1));
    listeners.reconfigure(&config(&["127.0.0.1:0"], patient())).expect("one less");
    assert!(until_closed(&mut removed).is_empty());
    assert!(echoes(&mut kept, 2));
}

#[test]
fn a_port_taken_by_another_program_is_named() {
    let other = TcpListener::bind("127.0.0.1:0").expect("binds");
    let addr = other.local_addr().expect("bound");
    let taken = config(&[&addr.to_string()], TcpLimits::default());
    let Err(error) = bindy_server::listen::start(&taken, || -> crate::OracleWorker { unreachable!("not started") })
    else {
        panic!("two programs on {addr}")
    };
    let message = error.to_string();
    assert!(message.starts_with(&format!("cannot listen on {addr} (TCP): Address already in use")), "{message}");
    assert!(message.contains(&format!("ss -Htlnp 'sport = :{}'", addr.port())), "{message}");
}

#[test]
fn goes_on_after_too_many_open_files() {
    const TEST: &str = "tcp::goes_on_after_too_many_open_files";
    const FEW_FILES: &str = "BINDY_TEST_FEW_FILES";
    if std::env::var_os(FEW_FILES).is_none() {
        // The limit applies to the whole process, so this test needs one of its own.
        let status = Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().expect("this test's program"))
            .args(["--exact", TEST])
            .env(FEW_FILES, "1")
            .status()
            .expect("a shell");
        assert!(status.success());
        return;
    }
    let listeners = listen(&["127.0.0.1:0"], TcpLimits { clients: 100, clients_per_address: 100, ..patient() });
    let addr = only(&listeners);
    // The clients use up all file descriptors, so the server has none for their connections, which the kernel
    // establishes nevertheless.
    let mut clients = Vec::new();
    let error = loop {
        match Socket::new(Domain::IPV4, Type::STREAM, None) {
            Ok(socket) => clients.push(socket),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    for client in &clients {
        client.connect(&addr.into()).expect("connects");
    }
    // Gives the server time to fail in; without it the test would pass as well.
    thread::sleep(SOON);
    let kept = clients.pop().expect("more than one");
    drop(clients);
    assert!(echoes(&mut with_timeouts(kept.into()), 1), "accepted in the end");
}

#[test]
fn idle_workers_let_go_of_their_data() {
    let oracle = Oracle::default();
    let listeners = listen_with(&["127.0.0.1:0"], patient(), &oracle);
    assert!(echoes(&mut connect(only(&listeners)), 1));
    eventually("idle", || oracle.releases.load(Ordering::Relaxed) == 1);
}
