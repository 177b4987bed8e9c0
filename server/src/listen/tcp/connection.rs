//! One TCP connection: messages preceded by their length in two octets (RFC 1035 section 4.2.2), pipelined at the
//! client's will.
//!
//! A round takes what has arrived, answers all complete requests in it and writes the replies at once. Nothing more is
//! read while replies wait for the client, so a client that does not read occupies at most one round's worth of memory.
//! A response of several messages, such as a transfer, takes as many rounds as it needs; requests behind it wait, but
//! replies to requests before it do not.
//! Every state has a deadline: waiting for the first request, for the next one, for the rest of a request, and for the
//! client to receive its replies.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
    time,
};

use super::{Client, Delivery, Later, Messages, Next, Now, Pool, Respond, Response, Worker, clients::Seat};
use crate::wire::HEADER;

/// The octets read per round: some 300 queries.
pub(super) const READ: usize = 16 << 10;

/// Replies are written once they have this many octets, and at the end of a round.
const FLUSH: usize = 16 << 10;

/// The longest message, and the room for replies: the last one in a full buffer may have any length.
const LONGEST: usize = u16::MAX as usize;
pub(super) const OUTPUT: usize = FLUSH + 2 + LONGEST;

/// A connection and all its state.
pub(super) struct Connection<S, R> {
    stream: S,
    client: Client,
    seat: Seat,
    pool: Arc<Pool<R>>,
    /// Octets received but not answered: part of a request, or whole ones, but these only while `unsent` is not empty.
    /// Shorter than `READ` octets plus the longest message.
    held: Vec<u8>,
    /// Replies that the client has not received yet. At most `FLUSH` octets plus the longest message.
    unsent: Vec<u8>,
    /// The response that is still to be made, message by message.
    messages: Option<Box<dyn Messages>>,
    /// Replies that come later (RFC 7766 6.2.1.1: in any order), once there was a request for one.
    late: Option<Late>,
    /// Whether the client sent edns-tcp-keepalive (RFC 7828).
    keepalive: bool,
    /// When the present state times out.
    deadline: Instant,
    /// The present state.
    waiting_for: Wait,
}

/// Replies that come later, from other threads.
struct Late {
    sender: mpsc::UnboundedSender<Delivery>,
    receiver: mpsc::UnboundedReceiver<Delivery>,
    /// How many requests wait for theirs; at most [`MOST_LATE`].
    waiting: usize,
    /// Whether the client sends no more requests.
    is_last: bool,
}

/// The most requests of a connection that wait for their replies. Until one comes, no further request is read.
const MOST_LATE: usize = 128;

/// How long a reply may take to come.
const LATEST: Duration = Duration::from_secs(60);

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    FirstRequest,
    NextRequest,
    RestOfRequest,
    LateReplies,
    RoomForReplies,
}

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed the connection.
    Closed,
    /// The client closed the connection in the middle of a request.
    ClosedEarly,
    TimedOut(Wait),
    /// A message is shorter than a DNS header: the client does not speak DNS, so the rest is not read.
    TooShort(usize),
    /// A response of several messages cannot be completed.
    Aborted,
    Failed(io::Error),
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Respond> Connection<S, R> {
    pub(super) fn new(stream: S, client: Client, seat: Seat, pool: Arc<Pool<R>>) -> Connection<S, R> {
        let deadline = Instant::now() + seat.limits().timeouts.initial;
        let waiting_for = Wait::FirstRequest;
        let (held, unsent, messages) = (Vec::new(), Vec::new(), None);
        let (late, keepalive) = (None, false);
        Connection { stream, client, seat, pool, held, unsent, messages, late, keepalive, deadline, waiting_for }
    }

    /// Answers requests until the connection ends.
    pub(super) async fn serve(mut self) -> End {
        let mut timer = pin!(time::sleep_until(self.deadline.into()));
        poll_fn(|context| {
            loop {
                if let Poll::Ready(result) = self.poll_round(context) {
                    match result {
                        Ok(()) => continue,
                        Err(end) => return Poll::Ready(end),
                    }
                }
                // The deadline moves with every round, but the timer is reset only if it has to fire earlier or has
                // fired too early.
                if self.deadline < timer.deadline().into_std() {
                    timer.as_mut().reset(self.deadline.into());
                }
                ready!(timer.as_mut().poll(context));
                if Instant::now() >= self.deadline {
                    return Poll::Ready(End::TimedOut(self.waiting_for));
                }
                timer.as_mut().reset(self.deadline.into());
            }
        })
        .await
    }

    /// Sends waiting replies, then goes on with a response of several messages, then answers what is held or, if that
    /// is not a whole request, what arrives. Replies that come later go out as they come.
    fn poll_round(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        ready!(self.poll_unsent(context)).map_err(End::Failed)?;
        let pool = Arc::clone(&self.pool);
        // Before and between the messages of a response, as that may take long.
        if let Some(late) = self.late.as_mut().filter(|late| late.waiting > 0)
            && let Poll::Ready(Some(delivery)) = late.receiver.poll_recv(context)
        {
            late.waiting -= usize::from(!matches!(delivery, Delivery::Part(..)));
            return Poll::Ready(self.send_late(context, delivery));
        }
        if let Some(messages) = self.messages.take() {
            return Poll::Ready(pool.with(|worker| self.go_on(context, messages, &mut worker.output)));
        }
        match &self.late {
            Some(Late { waiting: 0, is_last: true, .. }) => return Poll::Ready(Err(End::Closed)),
            Some(late) if late.waiting >= MOST_LATE || late.waiting > 0 && late.is_last => return Poll::Pending,
            _ => {}
        }
        pool.with(|worker| {
            let Worker { responder, input, output } = worker;
            let mut arrived = ReadBuf::new(input);
            if first_message(&self.held).is_none() {
                ready!(Pin::new(&mut self.stream).poll_read(context, &mut arrived)).map_err(End::Failed)?;
                if arrived.filled().is_empty()
                    && let Some(late) = self.late.as_mut().filter(|late| late.waiting > 0)
                {
                    // Whoever closes its side of the connection may still wait for replies.
                    late.is_last = true;
                    return Poll::Ready(Ok(()));
                }
                if arrived.filled().is_empty() {
                    return Poll::Ready(Err(if self.held.is_empty() { End::Closed } else { End::ClosedEarly }));
                }
            }
            let now = Now::read();
            responder.refresh(now);
            let now = now.instant;
            let answered = if self.held.is_empty() {
                let arrived = arrived.filled();
                let answered = self.answer(context, responder, output, arrived)?;
                self.held.extend_from_slice(&arrived[answered..]);
                answered
            } else {
                let mut held = std::mem::take(&mut self.held);
                held.extend_from_slice(arrived.filled());
                let answered = self.answer(context, responder, output, &held)?;
                // Copying gives what remains only the memory that it needs.
                self.held = if answered == 0 { held } else { held[answered..].to_vec() };
                answered
            };
            if answered > 0 {
                self.seat.requested(now);
            }
            self.wait(now, answered > 0);
            Poll::Ready(Ok(()))
        })
    }

    /// Sends a reply that came later, or a message of it, if there is one.
    fn send_late(&mut self, context: &mut Context<'_>, delivery: Delivery) -> Result<(), End> {
        let now = Instant::now();
        let reply = match delivery {
            Delivery::Reply(reply) => Some(reply),
            Delivery::Part(reply, taken) => {
                // What is sent next waits here until the client has received this.
                let _ = taken.send(());
                Some(reply)
            }
            Delivery::Nothing => None,
            Delivery::Broken => return Err(End::Aborted),
        };
        if let Some(reply) = reply.filter(|reply| reply.len() <= LONGEST) {
            let length = (reply.len() as u16).to_be_bytes();
            self.send(context, &[&length, &*reply].concat())?;
            self.seat.requested(now);
        }
        self.wait(now, true);
        Ok(())
    }

    /// Makes and sends the next messages of a response.
    fn go_on(
        &mut self,
        context: &mut Context<'_>,
        mut messages: Box<dyn Messages>,
        output: &mut [u8],
    ) -> Result<(), End> {
        let now = Now::read();
        let (mut filled, mut next) = (0, Next::Done);
        while filled < FLUSH {
            let (length, out) = output[filled..].split_at_mut(2);
            next = messages.next(&mut out[..LONGEST], now);
            let Next::Message(octets) = next else { break };
            length.copy_from_slice(&(octets as u16).to_be_bytes());
            filled += 2 + octets;
        }
        if next == Next::Abort {
            return Err(End::Aborted);
        }
        self.send(context, &output[..filled])?;
        // Whoever takes what was asked for is not idle.
        self.seat.requested(now.instant);
        if matches!(next, Next::Message(_)) {
            self.messages = Some(messages);
        }
        self.wait(now.instant, true);
        Ok(())
    }

    /// Answers the complete requests at the start of `input`, as long as the client receives the replies. Returns the
    /// number of octets of the answered requests.
    fn answer(
        &mut self,
        context: &mut Context<'_>,
        responder: &mut R,
        output: &mut [u8],
        input: &[u8],
    ) -> Result<usize, End> {
        let (mut answered, mut filled) = (0, 0);
        let mut too_short = None;
        while self.unsent.is_empty()
            && self.messages.is_none()
            && self.waiting() < MOST_LATE
            && let Some(request) = first_message(&input[answered..])
        {
            if request.len() < HEADER {
                too_short = Some(End::TooShort(request.len()));
                break;
            }
            answered += 2 + request.len();
            let (length, out) = output[filled..].split_at_mut(2);
            match responder.respond(request, &self.client, &mut out[..LONGEST]) {
                Response::None => {}
                Response::Reply(reply) => {
                    length.copy_from_slice(&(reply.length as u16).to_be_bytes());
                    filled += 2 + reply.length;
                    self.keepalive |= reply.keepalive;
                }
                Response::Messages(messages) => self.messages = Some(messages),
                Response::Later(begin) => {
                    let late = self.late.get_or_insert_with(Late::new);
                    late.waiting += 1;
                    begin(Later::tcp(late.sender.clone()));
                }
            }
            if filled >= FLUSH {
                self.send(context, &output[..filled])?;
                filled = 0;
            }
        }
        if filled > 0 {
            self.send(context, &output[..filled])?;
        }
        too_short.map_or(Ok(answered), Err)
    }

    /// Writes what the client can receive now and keeps the rest in `unsent`, which must be empty before.
    fn send(&mut self, context: &mut Context<'_>, replies: &[u8]) -> Result<(), End> {
        let taken = match Pin::new(&mut self.stream).poll_write(context, replies) {
            Poll::Ready(result) => result.map_err(End::Failed)?,
            Poll::Pending => 0,
        };
        self.unsent.extend_from_slice(&replies[taken..]);
        Ok(())
    }

    /// Ready when the client has received everything.
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unsent.is_empty() {
            while !self.unsent.is_empty() {
                let taken = ready!(Pin::new(&mut self.stream).poll_write(context, &self.unsent))?;
                if taken == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.unsent.drain(..taken);
            }
            self.unsent = Vec::new();
            self.wait(Instant::now(), true);
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// How many requests wait for replies that come later.
    fn waiting(&self) -> usize {
        self.late.as_ref().map_or(0, |late| late.waiting)
    }

    /// Sets the deadline for the present state. It restarts when the state changes, or when the client has made
    /// progress within the same state; more octets of the same request do not count as progress.
    fn wait(&mut self, now: Instant, progress: bool) {
        let limits = self.seat.limits();
        let idle = match self.waiting_for {
            Wait::FirstRequest if !progress => limits.timeouts.initial,
            _ if self.keepalive => limits.timeouts.keepalive,
            _ => limits.timeouts.idle,
        };
        let (state, timeout) = if !self.unsent.is_empty() {
            (Wait::RoomForReplies, self.messages.as_ref().map_or(limits.write_timeout, |messages| messages.patience()))
        } else if self.waiting() > 0 {
            (Wait::LateReplies, LATEST)
        } else if !self.held.is_empty() {
            // A client that has sent half a request may not stay longer than one that has sent nothing.
            (Wait::RestOfRequest, limits.message_timeout.min(idle))
        } else {
            (Wait::NextRequest, idle)
        };
        if progress || state != self.waiting_for {
            self.deadline = now + timeout;
            self.waiting_for = state;
        }
    }
}

impl Late {
    fn new() -> Late {
        let (sender, receiver) = mpsc::unbounded_channel();
        Late { sender, receiver, waiting: 0, is_last: false }
    }
}

/// The message at the start of `bytes`, without its length, if it is complete.
fn first_message(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Closed => f.write_str("closed by the client"),
            End::ClosedEarly => f.write_str("closed by the client in the middle of a request"),
            End::TimedOut(Wait::FirstRequest) => f.write_str("no request came"),
            End::TimedOut(Wait::NextRequest) => f.write_str("idle"),
            End::TimedOut(Wait::RestOfRequest) => f.write_str("the rest of a request did not come in time"),
            End::TimedOut(Wait::LateReplies) => f.write_str("a reply from elsewhere took too long"),
            End::TimedOut(Wait::RoomForReplies) => f.write_str("the client did not take its replies in time"),
            End::TooShort(length) => write!(f, "a message of {length} octets, too short for a DNS header"),
            End::Aborted => f.write_str("a response of several messages cannot be completed"),
            End::Failed(error) => write!(f, "{error}"),
        }
    }
}
