//! Asks a server which version of a zone it serves. The question is signed, so that who must not ask learns nothing and who
//! answers is who it should be.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bindy_server::{
    Opcode, Rcode,
    message::{Builder, Message, Question},
    tsig::{Exchange, TsigKey},
};
use tokio::{net::UdpSocket, time::timeout};
use zonefmt::{Class, Name, Rtype, Serial, rdata::Soa};

use crate::rounds::Reply;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The version of a zone that a server serves; [`Reply::Nothing`] if it does not serve it, or not to who has this key, or
/// cannot be asked.
pub(crate) async fn version(zone: &Name, server: SocketAddr, key: TsigKey) -> Reply<Serial> {
    match timeout(PATIENCE, ask(zone, server, key)).await {
        Ok(Some(serial)) => Reply::Answer(serial),
        Ok(None) => Reply::Nothing,
        Err(_) => Reply::Silence,
    }
}

async fn ask(zone: &Name, server: SocketAddr, key: TsigKey) -> Option<Serial> {
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(server).await.ok()?;
    let id = getrandom::u32().ok()? as u16;
    let asked = Question { qname: zone.as_ref(), qtype: Rtype::SOA, qclass: Class::IN };
    let (mut message, mut exchange) = (Builder::new(id, Opcode::QUERY, asked).finish(), Exchange::new(Some(key)));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    exchange.sign(&mut message, now());
    socket.send(&message).await.ok()?;
    let mut octets = [0; 4096];
    loop {
        let length = socket.recv(&mut octets).await.ok()?;
        let Ok(message) = Message::read(&octets[..length]) else { continue };
        if message.id() == id && message.is_response() && exchange.verify(&message, now()).is_ok() {
            return serial(&message);
        }
    }
}

fn serial(message: &Message<'_>) -> Option<Serial> {
    if message.rcode() != Rcode::NOERROR || !message.is_authoritative() {
        return None;
    }
    let mut answers = message.answers();
    let record = answers.next().ok()??;
    (record.rtype == Rtype::SOA).then(|| Soa::read(record.rdata))?.map(|soa| soa.serial)
}
