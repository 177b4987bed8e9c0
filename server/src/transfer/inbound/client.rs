//! Questions to one primary: for its SOA over UDP or TCP, and for a transfer over TCP. A transfer's messages are read on
//! the reactor and applied to the zone on a thread that may block.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, UdpSocket},
    sync::mpsc,
    task,
    time::{Instant, timeout, timeout_at},
};
use zonefmt::{Class, NameRef, Rtype, Serial, rdata::Soa};

use super::{
    Connections, EdnsExpire, Failure, Limits, Progress, Reason, Receiver, Transfer, Want,
    connections::Connection,
    receiver::{check_header, edns_expire, request},
};
use crate::{
    Rcode,
    clock::unix_now,
    message::{Message, Question},
    settings::Inbound,
    transfer::SourceError,
    tsig::{Exchange, TsigKey},
    zone::ZoneData,
};

/// A primary, and how it is asked.
#[derive(Clone, Debug)]
pub struct Primary {
    /// Its address and port.
    pub address: SocketAddr,
    /// The address and port that it is asked from (`transfer-source`); 0 leaves the choice to the system.
    pub source: SocketAddr,
    /// The key that questions and answers are signed with.
    pub key: Option<TsigKey>,
    /// Whether questions have EDNS (`edns`), and if so, whether it is asked for how long its version is valid
    /// (`request-expire`, RFC 7314).
    pub edns: Option<bool>,
    /// Whether it is asked over TCP only (`tcp-only`).
    pub tcp_only: bool,
    /// Whether it is asked over TCP after it has not answered over UDP (`try-tcp-refresh`).
    pub try_tcp: bool,
    /// How long it may take.
    pub patience: Patience,
    /// The connections that are there from earlier transfers.
    pub connections: Connections,
}

/// How long a primary may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Until a connection is made.
    pub connect: Duration,
    /// Until a question for the SOA is answered; over UDP, each of three times.
    pub answer: Duration,
    /// Until the next message of a transfer is there (`max-transfer-idle-in`).
    pub idle: Duration,
    /// For a whole transfer (`max-transfer-time-in`).
    pub total: Duration,
}

/// How often a question is sent over UDP.
const UDP_TRIES: usize = 3;

/// The first message for a zone with fewer records than this is applied at once, not on another thread.
pub(super) const SMALL: usize = 1000;

/// Messages that wait to be applied: at most 64 KiB each.
const READ_AHEAD: usize = 8;

impl Patience {
    /// The configured limits of transfers. A question takes less time than in BIND, as the next primary is waiting.
    pub fn of(settings: &Inbound) -> Patience {
        let (connect, answer) = (Duration::from_secs(10), Duration::from_secs(2));
        Patience { connect, answer, idle: settings.max_idle, total: settings.max_time }
    }
}

impl Primary {
    /// Asks for the serial of the primary's version. Each question is reported to `asks`, but not how often it is sent.
    ///
    /// # Errors
    /// No usable answer came over any transport.
    pub async fn serial(&self, zone: NameRef<'_>, asks: impl Fn()) -> Result<(Serial, EdnsExpire), Failure> {
        let mut edns = self.edns;
        let first = loop {
            asks();
            let asked = if self.tcp_only { self.ask_tcp(zone, edns).await } else { self.ask_udp(zone, edns).await };
            match asked {
                // What predates EDNS does not know what to make of it (RFC 6891 7).
                Err(Reason::Rcode(Rcode::FORMERR | Rcode::NOTIMP | Rcode::BADVERS)) if edns.is_some() => edns = None,
                other => break other,
            }
        };
        let result = match first {
            first if self.tcp_only => first,
            Err(Reason::Truncated) => {
                asks();
                self.ask_tcp(zone, edns).await
            }
            // A transfer may be allowed where a question is not, or UDP may not get through.
            Err(why) if self.try_tcp => {
                asks();
                self.ask_tcp(zone, edns).await.map_err(|_| why)
            }
            other => other,
        };
        result.map_err(failed)
    }

    /// Asks for a transfer. Names that do not change share their data with the version at hand, which has no records if
    /// there is none.
    ///
    /// # Errors
    /// The transfer is not complete, or makes no sound zone. Nothing is kept.
    pub async fn transfer(&self, at_hand: ZoneData, want: Want, limits: Limits) -> Result<Transfer, Failure> {
        let deadline = Instant::now() + self.patience.total;
        if let Some(connection) = self.connections.take(self.source, self.address) {
            let (result, answered) = self.transfer_over(connection, at_hand.clone(), want, limits, deadline).await;
            // Without any answer, the primary has probably just closed the connection.
            if answered {
                return result;
            }
        }
        let connection = self.connect().await.map_err(failed)?;
        self.transfer_over(connection, at_hand, want, limits, deadline).await.0
    }

    /// Asks for a transfer over a connection, which is kept if nothing is under way on it afterwards. Also returns
    /// whether there was any answer.
    async fn transfer_over(
        &self,
        connection: Connection,
        at_hand: ZoneData,
        want: Want,
        limits: Limits,
        deadline: Instant,
    ) -> (Result<Transfer, Failure>, bool) {
        // Most transfers are one message, for which another thread is not worth while.
        let is_small = at_hand.records() < SMALL;
        let mut exchange = self.exchange();
        let mut reading = Reading { connection, answered: false, midway: false };
        let start = async {
            let receiver = Receiver::new(random_id()?, at_hand, want, limits);
            let mut question = receiver.question(self.edns);
            exchange.sign(&mut question, unix_now());
            self.send(&mut reading.connection, &question).await?;
            Ok(receiver)
        };
        let mut receiver = match start.await {
            Ok(receiver) => receiver,
            Err(why) => return (Err(failed(why)), false),
        };
        if is_small {
            match self.next_message(&mut reading, deadline).await {
                Err(why) => return (Err(receiver.interrupted(why)), reading.answered),
                Ok(message) => match apply_one(receiver, &message, &mut exchange) {
                    Applied::Complete(transfer) => {
                        self.keep(reading);
                        return (Ok(transfer), true);
                    }
                    Applied::Failed(failure) => return (Err(failure), true),
                    Applied::Incomplete(more) => receiver = more,
                },
            }
        }
        let (messages, waiting) = mpsc::channel(READ_AHEAD);
        let mut applied = task::spawn_blocking(move || apply(receiver, waiting, exchange));
        let (result, why) = {
            let mut read_all = pin!(self.read_all(&mut reading, messages, deadline));
            // Whoever has all messages ends before the primary closes the connection.
            let ended = poll_fn(|cx| match read_all.as_mut().poll(cx) {
                Poll::Ready(why) => Poll::Ready(Err(why)),
                Poll::Pending => Pin::new(&mut applied).poll(cx).map(Ok),
            });
            match ended.await {
                Ok(result) => (result, Reason::Closed),
                Err(why) => (applied.await, why),
            }
        };
        let answered = reading.answered;
        let result = match result {
            Ok(Applied::Complete(transfer)) => {
                self.keep(reading);
                Ok(transfer)
            }
            Ok(Applied::Failed(failure)) => Err(failure),
            Ok(Applied::Incomplete(receiver)) => Err(receiver.interrupted(why)),
            Err(_) => Err(failed(Reason::Io(io::ErrorKind::Other))),
        };
        (result, answered)
    }

    /// Sends a message as it is, over a connection of its own, and returns the message that comes back as it is.
    ///
    /// # Errors
    /// The primary cannot be reached, or does not send a message in time.
    pub(crate) async fn exchange_over_tcp(&self, message: &[u8]) -> Result<Vec<u8>, Reason> {
        self.converse(message).await?.next().await
    }

    /// Sends a message as it is, over a connection of its own, on which any number of messages may come back.
    ///
    /// # Errors
    /// The primary cannot be reached.
    pub(crate) async fn converse(&self, message: &[u8]) -> Result<Conversation, Reason> {
        let mut connection = self.connect().await?;
        self.send(&mut connection, message).await?;
        Ok(Conversation { connection, patience: self.patience.answer })
    }

    /// Sends a message over a connection from an earlier exchange, if there is one, and waits for one message back. The
    /// connection is kept for the next if the answer says that the server `is_right`. If such a connection fails, nobody
    /// knows whether the server has carried the message out, as with any other.
    pub(crate) async fn exchange_over_kept_tcp(
        &self,
        message: &[u8],
        is_right: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Reason> {
        let mut connection = match self.connections.take(self.source, self.address) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = self.exchange_over(&mut connection, message).await?;
        if connection.buffer().is_empty() && is_right(&answer) {
            self.connections.keep(self.source, self.address, connection);
        }
        Ok(answer)
    }

    async fn exchange_over(&self, connection: &mut Connection, message: &[u8]) -> Result<Vec<u8>, Reason> {
        self.send(connection, message).await?;
        let answer = timeout(self.patience.answer, read_message(connection)).await;
        answer.map_err(|_| Reason::Idle(self.patience.answer))?
    }

    /// Keeps a connection for the next transfer, if nothing is under way on it.
    fn keep(&self, Reading { connection, midway, .. }: Reading) {
        if !midway && connection.buffer().is_empty() {
            self.connections.keep(self.source, self.address, connection);
        }
    }

    /// Reads messages until no more can be read, or nobody takes them; returns why.
    async fn read_all(&self, reading: &mut Reading, messages: mpsc::Sender<Vec<u8>>, deadline: Instant) -> Reason {
        loop {
            match self.next_message(reading, deadline).await {
                Err(why) => return why,
                Ok(message) => {
                    reading.midway = true;
                    match timeout_at(deadline, messages.send(message)).await {
                        Ok(Ok(())) => reading.midway = false,
                        Ok(Err(_)) => return Reason::Closed,
                        Err(_) => return Reason::Overdue(self.patience.total),
                    }
                }
            }
        }
    }

    /// Reads the next message of a transfer.
    async fn next_message(&self, reading: &mut Reading, deadline: Instant) -> Result<Vec<u8>, Reason> {
        let until = deadline.min(Instant::now() + self.patience.idle);
        let read = async {
            // Until a message begins, this may end without harm.
            if reading.connection.fill_buf().await?.is_empty() {
                return Err(Reason::Closed);
            }
            (reading.answered, reading.midway) = (true, true);
            let message = read_message(&mut reading.connection).await?;
            reading.midway = false;
            Ok(message)
        };
        match timeout_at(until, read).await {
            Ok(read) => read,
            Err(_) if until == deadline => Err(Reason::Overdue(self.patience.total)),
            Err(_) => Err(Reason::Idle(self.patience.idle)),
        }
    }

    async fn ask_udp(&self, zone: NameRef<'_>, edns: Option<bool>) -> Result<(Serial, EdnsExpire), Reason> {
        let socket = UdpSocket::bind(self.source).await.map_err(|error| self.unsendable(&error))?;
        socket.connect(self.address).await?;
        let mut message = vec![0; usize::from(u16::MAX)];
        for _ in 0..UDP_TRIES {
            let mut question = SoaQuestion::new(zone, edns, self.exchange())?;
            socket.send(&question.octets).await?;
            let until = Instant::now() + self.patience.answer;
            while let Ok(received) = timeout_at(until, socket.recv(&mut message)).await {
                let octets = &message[..received?];
                // What is not the answer may be forged, or late: the answer may still come.
                match question.read(octets) {
                    Err(Reason::OtherId | Reason::OtherQuestion | Reason::NotAResponse | Reason::Malformed) => {}
                    answer => return answer,
                }
            }
        }
        Err(Reason::Idle(self.patience.answer * UDP_TRIES as u32))
    }

    async fn ask_tcp(&self, zone: NameRef<'_>, edns: Option<bool>) -> Result<(Serial, EdnsExpire), Reason> {
        let mut question = SoaQuestion::new(zone, edns, self.exchange())?;
        question.read(&self.exchange_over_tcp(&question.octets).await?)
    }

    fn exchange(&self) -> Exchange {
        Exchange::new(self.key.clone())
    }

    fn unsendable(&self, error: &io::Error) -> Reason {
        Reason::Source(SourceError::new(self.source, "transfer-source", error))
    }

    async fn connect(&self) -> Result<Connection, Reason> {
        let connecting = async {
            let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A choice that is left to the system is made when it knows the other end, too, as there are more ports
            // then.
            if !(self.source.ip().is_unspecified() && self.source.port() == 0) {
                // A fixed port may still be in TIME-WAIT from the transfer before.
                socket.set_reuseaddr(true)?;
                socket.bind(self.source).map_err(|error| self.unsendable(&error))?;
            }
            Ok::<_, Reason>(BufReader::with_capacity(READ_BUFFER, socket.connect(self.address).await?))
        };
        timeout(self.patience.connect, connecting).await.map_err(|_| Reason::Io(io::ErrorKind::TimedOut))?
    }

    async fn send(&self, connection: &mut Connection, question: &[u8]) -> Result<(), Reason> {
        let length = u16::try_from(question.len()).map_err(io::Error::other)?;
        let octets = [&length.to_be_bytes(), question].concat();
        let sending = timeout(self.patience.connect, connection.write_all(&octets));
        sending.await.map_err(|_| Reason::Io(io::ErrorKind::TimedOut))??;
        Ok(())
    }
}

/// A connection to a primary on which messages come.
pub(crate) struct Conversation {
    connection: Connection,
    /// How long each may take.
    patience: Duration,
}

impl Conversation {
    /// The next message, as it is.
    ///
    /// # Errors
    /// The primary does not send one in time.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>, Reason> {
        let message = timeout(self.patience, read_message(&mut self.connection)).await;
        message.map_err(|_| Reason::Idle(self.patience))?
    }
}

/// How far a connection has been read.
struct Reading {
    connection: Connection,
    /// Whether any message has begun.
    answered: bool,
    /// Whether a message has begun that nobody has taken yet.
    midway: bool,
}

/// A failure after which another kind of transfer does not help.
fn failed(why: Reason) -> Failure {
    Failure { why, axfr_may_help: false }
}

/// The room for messages that have arrived.
const READ_BUFFER: usize = 64 << 10;

/// What came of the messages of a transfer.
#[allow(clippy::large_enum_variant)] // There is one a transfer.
enum Applied {
    Complete(Transfer),
    Failed(Failure),
    /// No more messages came.
    Incomplete(Receiver),
}

/// Applies messages until the transfer is complete or fails.
fn apply(mut receiver: Receiver, mut messages: mpsc::Receiver<Vec<u8>>, mut exchange: Exchange) -> Applied {
    while let Some(message) = messages.blocking_recv() {
        match apply_one(receiver, &message, &mut exchange) {
            Applied::Incomplete(more) => receiver = more,
            ended => return ended,
        }
    }
    Applied::Incomplete(receiver)
}

fn apply_one(receiver: Receiver, message: &[u8], exchange: &mut Exchange) -> Applied {
    if let Err(why) = verify(exchange, message) {
        return Applied::Failed(receiver.interrupted(why));
    }
    match receiver.receive(message) {
        Ok(Progress::More(more)) => Applied::Incomplete(more),
        Ok(Progress::Complete(transfer)) if exchange.is_settled() => Applied::Complete(transfer),
        Ok(Progress::Complete(_)) => Applied::Failed(failed(Reason::Signature(exchange.unsettled()))),
        Err(failure) => Applied::Failed(failure),
    }
}

fn verify(exchange: &mut Exchange, octets: &[u8]) -> Result<(), Reason> {
    let message = Message::read(octets)?;
    exchange.verify(&message, unix_now()).map_err(|what| match message.rcode() {
        // An error is one without a signature, too.
        rcode if rcode != Rcode::NOERROR && !message.is_signed() => Reason::Rcode(rcode),
        _ => Reason::Signature(what),
    })
}

/// A question for the SOA.
struct SoaQuestion<'z> {
    id: u16,
    zone: NameRef<'z>,
    octets: Vec<u8>,
    exchange: Exchange,
}

impl<'z> SoaQuestion<'z> {
    fn new(zone: NameRef<'z>, edns: Option<bool>, mut exchange: Exchange) -> Result<SoaQuestion<'z>, Reason> {
        let id = random_id()?;
        let mut octets = request(id, soa_question(zone), None, edns);
        exchange.sign(&mut octets, unix_now());
        Ok(SoaQuestion { id, zone, octets, exchange })
    }

    /// Reads the answer.
    fn read(&mut self, octets: &[u8]) -> Result<(Serial, EdnsExpire), Reason> {
        let message = Message::read(octets)?;
        if message.question().is_some_and(|question| question != soa_question(self.zone)) {
            return Err(Reason::OtherQuestion);
        }
        match check_header(&message, self.id) {
            Err(why @ (Reason::OtherId | Reason::NotAResponse)) => return Err(why),
            checked => verify(&mut self.exchange, octets).and(checked)?,
        }
        if !message.is_authoritative() {
            return Err(Reason::NotAuthoritative);
        }
        let (mut serial, mut count) = (None, 0);
        let mut answers = message.answers();
        while let Some(record) = answers.next()? {
            if record.rtype == Rtype::SOA && record.class == Class::IN && record.owner == self.zone {
                serial = Some(Soa::read(record.rdata).ok_or(Reason::MalformedSoa)?.serial);
                count += 1;
            }
        }
        let serial = serial.filter(|_| count == 1).ok_or(Reason::SoaCount(count))?;
        Ok((serial, edns_expire(&message)))
    }
}

fn soa_question(zone: NameRef<'_>) -> Question<'_> {
    Question { qname: zone, qtype: Rtype::SOA, qclass: Class::IN }
}

/// Reads a message preceded by its length (RFC 1035 4.2.2).
async fn read_message(stream: &mut Connection) -> Result<Vec<u8>, Reason> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

fn random_id() -> Result<u16, Reason> {
    getrandom::u32().map(|random| random as u16).map_err(|_| Reason::Io(io::ErrorKind::Other))
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Reason {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Reason::Closed,
            kind => Reason::Io(kind),
        }
    }
}
