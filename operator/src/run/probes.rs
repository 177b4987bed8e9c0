//! Asks pods for the serials of their zones, in rounds, until nobody has to be asked. The questions are signed, so that
//! who must not ask learns nothing and who answers is who it should be.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bindy_server::{
    Opcode, Rcode,
    message::{Builder, Message, Question as Asked},
    tsig::{Exchange, TsigKey},
};
use futures_util::{StreamExt, stream};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    time::timeout,
};
use zonefmt::{Class, Name, Rtype, Serial, rdata::Soa};

/// A question to a pod.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) zone: Name,
    pub(super) pod: SocketAddr,
    pub(super) key: TsigKey,
}

/// What a pod has answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) zone: Name,
    pub(super) pod: SocketAddr,
    pub(super) serial: Serial,
}

/// The one who asks. It ends when this is dropped.
pub(super) struct Probes {
    questions: watch::Sender<Vec<Question>>,
    answers: mpsc::Receiver<Vec<Answer>>,
}

/// How many questions are under way at a time.
const AT_A_TIME: usize = 256;
/// How long a pod may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait after the first round, in which pods may not have heard of a version yet; then twice as long.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest time between two rounds.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Probes {
    pub(super) fn start() -> Probes {
        let (questions, asked) = watch::channel(Vec::new());
        let (sender, answers) = mpsc::channel(16);
        tokio::spawn(rounds(asked, sender));
        Probes { questions, answers }
    }

    /// Asks this from now on, and nothing else.
    pub(super) fn ask(&self, questions: Vec<Question>) {
        let same = |one: &Question, other: &Question| one.zone == other.zone && one.pod == other.pod;
        self.questions.send_if_modified(|asked| {
            let is_new = asked.len() != questions.len() || !asked.iter().zip(&questions).all(|(a, b)| same(a, b));
            *asked = questions;
            is_new
        });
    }

    /// Waits for answers.
    pub(super) async fn next(&mut self) -> Option<Vec<Answer>> {
        self.answers.recv().await
    }
}

async fn rounds(mut questions: watch::Receiver<Vec<Question>>, answers: mpsc::Sender<Vec<Answer>>) {
    let mut pause = PAUSE;
    loop {
        let now = questions.borrow_and_update().clone();
        if !now.is_empty() {
            let asked = stream::iter(now).map(|question| async move { ask(question).await });
            let answered: Vec<Answer> =
                asked.buffer_unordered(AT_A_TIME).filter_map(|answer| async { answer }).collect().await;
            if !answered.is_empty() && answers.send(answered).await.is_err() {
                return;
            }
        }
        let idle = questions.borrow().is_empty();
        let changed = if idle { Ok(questions.changed().await) } else { timeout(pause, questions.changed()).await };
        pause = match changed {
            Ok(Ok(())) => PAUSE,
            Ok(Err(_)) => return,
            Err(_) => (2 * pause).min(LONGEST_PAUSE),
        };
    }
}

/// Asks a pod; `None` if it does not serve the zone, or does not answer.
async fn ask(Question { zone, pod, key }: Question) -> Option<Answer> {
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
    let answer = async {
        let mut octets = [0; 4096];
        loop {
            let length = socket.recv(&mut octets).await.ok()?;
            let Ok(message) = Message::read(&octets[..length]) else { continue };
            if message.id() == id && message.is_response() && exchange.verify(&message, now()).is_ok() {
                return serial(&message);
            }
        }
    };
    let serial = timeout(PATIENCE, answer).await.ok()??;
    Some(Answer { zone, pod, serial })
}

fn serial(message: &Message<'_>) -> Option<Serial> {
    if message.rcode() != Rcode::NOERROR || !message.is_authoritative() {
        return None;
    }
    let mut answers = message.answers();
    let record = answers.next().ok()??;
    (record.rtype == Rtype::SOA).then(|| Soa::read(record.rdata))?.map(|soa| soa.serial)
}
