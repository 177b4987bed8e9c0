//! Ports for servers that must be told one.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    sync::Mutex,
};

/// A port of 127.0.0.1 that is free for UDP and TCP, and that this process has not given before. It is below those that
/// the kernel gives to sockets without one: some server or client may take any of these before the port is used.
///
/// # Panics
/// There is no such port.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..1000 {
        let port = fastrand::u16(10_000..32_000);
        let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_free && GIVEN.lock().expect("nothing panics while it is held").insert(port) {
            return port;
        }
    }
    panic!("no port of 127.0.0.1 from 10000 to 32000 is free");
}
