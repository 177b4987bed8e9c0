//! A client that signs its updates, and asks with EDNS, so that it hears why one fails.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bindy_server::message::Message;
use bindy_tests::{
    tsig::Key,
    update::{Line, message},
};
use data_encoding::BASE64;
use zonefmt::Name;

pub const NOERROR: u8 = 0;
pub const SERVFAIL: u8 = 2;
pub const REFUSED: u8 = 5;
pub const YXDOMAIN: u8 = 6;
pub const YXRRSET: u8 = 7;
pub const NXRRSET: u8 = 8;

pub struct Client {
    server: SocketAddr,
    key: Key,
}

/// Longer than a server may take for its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// An OPT record (RFC 6891) for 1,232 octets.
const OPT: [u8; 11] = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
/// The number of the option that says why (RFC 8914).
const EDE: u16 = 15;

/// The secret of the key of this name, in base64.
pub fn secret(key: &str) -> String {
    BASE64.encode(format!("{key:-<32}").as_bytes())
}

impl Client {
    pub fn new(address: &str, key: &str) -> Client {
        let server = SocketAddr::new(address.parse().unwrap(), 5353);
        Client { server, key: Key::new(key, format!("{key:-<32}").as_bytes()) }
    }

    /// Sends these lines of nsupdate, with names relative to the zone; returns the code, and what else the answer says.
    pub fn send(&self, zone: &str, lines: &[&str]) -> (u8, Option<String>) {
        self.try_send(zone, lines).expect("an answer")
    }

    /// The same; `None` if nobody answers.
    pub fn try_send(&self, zone: &str, lines: &[&str]) -> Option<(u8, Option<String>)> {
        static ID: AtomicU16 = AtomicU16::new(1);
        let zone = Name::from_ascii(zone).unwrap();
        let lines: Vec<Line> = lines.iter().map(|line| Line::read(line, zone.as_ref())).collect();
        let mut request = message(&zone, ID.fetch_add(1, Ordering::Relaxed), &lines);
        request.extend(OPT);
        request[11] = 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.key.sign(&mut request, now, 32);
        // Whether an answer is signed as it should be, nsupdate says.
        let response = self.exchange(&request).ok()?;
        assert_eq!(response[..2], request[..2], "the id is the request's");
        Some((response[3] & 15, reason(&response)))
    }

    fn exchange(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[&(request.len() as u16).to_be_bytes(), request].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut response = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut response)?;
        Ok(response)
    }
}

/// The text of the EDE option, if there is one.
fn reason(response: &[u8]) -> Option<String> {
    let option = Message::read(response).expect("a message").opt()?.option(EDE)?;
    Some(String::from_utf8_lossy(option.get(2..)?).into_owned())
}
