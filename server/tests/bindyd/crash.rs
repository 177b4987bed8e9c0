//! Kills in the midst of updates: what was acknowledged is there, and nothing is there twice.

use std::{
    collections::BTreeSet,
    env,
    net::UdpSocket,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bindy_tests::{ports::free_port, tsig::Key};

use super::{
    ZONE,
    server::{Prepared, Server, dig},
    transfers::{KEY, SIGN},
};

const WRITERS: u8 = 3;

/// How often the server is killed, unless the variable `BINDY_KILLS` says it.
const KILLS: u32 = 200;

/// Sends updates, each of which adds a name of its own, until it is told to stop. Returns which were acknowledged.
fn write(port: u16, writer: u8, stop: &AtomicBool) -> BTreeSet<String> {
    let key = Key::new("k", b"0123456789abcdef0123456789abcdef");
    let socket = UdpSocket::bind("127.0.0.1:0").and_then(|socket| {
        socket.connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        Ok(socket)
    });
    let socket = socket.expect("there is a loopback interface");
    let mut acknowledged = BTreeSet::new();
    let mut response = [0; 4096];
    for number in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let label = format!("u{number}-{writer}");
        let [high, low] = (number as u16).to_be_bytes();
        let mut update = vec![high, low, 0x28, 0, 0, 1, 0, 0, 0, 1, 0, 0];
        update.extend(b"\x07example\x03com\0\0\x06\0\x01");
        update.push(label.len() as u8);
        update.extend(label.as_bytes());
        update.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let code = key.sign(&mut update, now, 32);
        // The server may be down at the moment. Of what gets no reply, either outcome is right.
        let received = socket.send(&update).and_then(|_| socket.recv(&mut response));
        let Ok(length) = received else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        let mut reply = response[..length].to_vec();
        let rcode = reply[3] & 0xf;
        if reply[..2] == [high, low] && rcode == 0 {
            assert!(key.take(&mut reply, &code).is_some_and(|signature| signature.proven), "the reply is signed");
            acknowledged.insert(label);
        }
    }
    acknowledged
}

/// The names that the updates have made, and the zone's serial.
fn content(port: u16) -> (BTreeSet<String>, usize) {
    let answer = dig("127.0.0.1", port, &[&SIGN, &["+onesoa", "example.com", "AXFR"][..]].concat());
    let made = answer.lines().filter(|line| line.starts_with('u')).filter_map(|line| line.split('.').next());
    let soa = answer.lines().find(|line| line.contains("SOA")).expect("every zone has one");
    let serial = soa.split_ascii_whitespace().nth(6).and_then(|serial| serial.parse().ok());
    (made.map(str::to_owned).collect(), serial.expect("it has a serial"))
}

#[test]
fn no_acknowledged_update_is_lost_or_made_twice_however_often_the_server_is_killed() {
    let kills = env::var("BINDY_KILLS").ok().map_or(KILLS, |kills| kills.parse().expect("BINDY_KILLS is a number"));
    let port = free_port();
    let mut prepared = Prepared::new("", "", &[("example.zone", ZONE)]);
    prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
    prepared.configure(&format!(
        "{KEY} logging {{ category update {{ null; }}; category update-security {{ null; }}; }};\
         zone \"example.com\" {{ type primary; file \"example.zone\"; allow-update {{ key k; }}; }};"
    ));
    let mut server: Server = prepared.run();
    let stop = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let stop = &stop;
                    move || write(port, writer, stop)
                })
            })
            .collect();
        let (mut kill, mut serial) = (0, 1);
        while kill < kills && !writers.iter().any(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_micros(fastrand::u64(500..40_000)));
            server.replace("KILL", env!("CARGO_BIN_EXE_bindyd"));
            server.says(": running");
            kill += 1;
            if kill % 20 == 0 {
                let (made, now) = content(port);
                assert!(now >= serial && now >= made.len(), "the serial went from {serial} to {now}");
                serial = now;
            }
        }
        stop.store(true, Ordering::Relaxed);
        let all = writers.into_iter().flat_map(|writer| writer.join().expect("no writer fails"));
        all.collect::<BTreeSet<_>>()
    });
    server.replace("KILL", env!("CARGO_BIN_EXE_bindyd"));
    server.says(": running");
    let (made, serial) = content(port);
    let lost: Vec<_> = acknowledged.difference(&made).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert_eq!(serial, 1 + made.len(), "each update has raised the serial once");
    assert!(acknowledged.len() > kills as usize, "{} were acknowledged", acknowledged.len());
}
