//! Asks pods for the serials of their zones. The questions are signed, so that who must not ask learns nothing and who
//! answers is who it should be.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bindy_server::{
    Opcode, Rcode,
    message::{Builder, Message, Question as Asked},
    tsig::{Exchange, TsigKey},
};
use tokio::{net::UdpSocket, time::timeout};
use zonefmt::{Class, Name, Rtype, Serial, rdata::Soa};

use super::rounds::{Ask, Reply};

/// The question which version of a zone a pod serves.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) zone: Name,
    pub(super) pod: SocketAddr,
    pub(super) key: TsigKey,
}

/// The version that a pod serves.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) zone: Name,
    pub(super) pod: SocketAddr,
    pub(super) serial: Serial,
}

/// How long a pod may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

impl Ask for Question {
    type Answer = Answer;

    fn whom(&self) -> SocketAddr {
        self.pod
    }

    fn is_same(&self, other: &Question) -> bool {
        self.zone == other.zone && self.pod == other.pod
    }

    async fn ask(self) -> Reply<Answer> {
        let Question { zone, pod, key } = self;
        match timeout(PATIENCE, ask(&zone, pod, key)).await {
            Ok(Some(serial)) => Reply::Answer(Answer { zone, pod, serial }),
            Ok(None) => Reply::Nothing,
            Err(_) => Reply::Silence,
        }
    }
}

/// Asks a pod; `None` if it does not serve the zone, or cannot be asked.
async fn ask(zone: &Name, pod: SocketAddr, key: TsigKey) -> Option<Serial> {
    let any: SocketAddr =
        if pod.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(pod).await.ok()?;
    let id = getrandom::u32().ok()? as u16;
    let asked = Asked { qname: zone.as_ref(), qtype: Rtype::SOA, qclass: Class::IN };
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
