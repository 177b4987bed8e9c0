//! The control channel: how `rndc` sends commands to a running server.
//!
//! * [`message`]: octets to messages and back, signed; [`session`]: a conversation, without sockets and clock; [`reply`]:
//!   what rndc gets back.
//! * [`takes_key`]: a client, which asks a server whether it takes a key.
//! * Here: sockets and their limits. A command goes as a [`Job`] to the thread that owns the server, one at a time;
//!   [`commands`](crate::commands) has what each of them does.

mod client;
mod message;
mod reply;
mod session;

pub use client::takes_key;
pub use reply::{CommandError, Failure, Reply};

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};
use tracing::warn;

use crate::{
    clock::unix_now,
    keys::Key,
    listen::admin::{Endpoints, Inet, Service, Shown, Words},
    sync::lock,
};
use message::MAX_MESSAGE;
use session::{Heard, Replays, Session};

/// An address for rndc: one `inet` of `controls`.
pub type Listener = Inet<Rules>;

/// What holds for the commands that come to an address.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The keys, one of which must have signed a command.
    pub keys: Vec<Key>,
    /// Whether commands that change something are refused.
    pub read_only: bool,
}

/// A command that waits to be carried out.
#[derive(Debug)]
pub struct Job {
    /// The command line.
    pub line: String,
    /// Whether commands that change something are refused.
    pub read_only: bool,
    answer: oneshot::Sender<Reply>,
}

/// The control channel of a server.
pub struct Control(Endpoints<Channel>);

/// The service: what all connections share.
struct Channel {
    jobs: mpsc::Sender<Job>,
    replays: Mutex<Replays>,
}

/// How long a connection may be idle, and how long a message may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a connection stays open, and keeps its seat, after a message that was refused, so that keys cannot be tried
/// quickly.
const PENALTY: Duration = Duration::from_secs(1);

impl Control {
    /// A channel that sends its commands to `jobs`; it listens nowhere yet.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(jobs: mpsc::Sender<Job>) -> io::Result<Control> {
        Endpoints::new(Channel { jobs, replays: Mutex::default() }).map(Control)
    }

    /// Listens at these addresses and at no others; a connection that is open stays. An address that cannot be listened
    /// on is logged.
    pub fn listen(&mut self, listeners: Vec<Listener>) {
        self.0.listen(listeners);
    }

    /// Closes the channel, once clients had a moment to read their replies.
    pub fn stop(self) {
        self.0.stop();
    }
}

impl Job {
    /// Sends the reply to the client.
    pub fn answer(self, reply: Reply) {
        // The client may have gone away.
        let _ = self.answer.send(reply);
    }
}

impl Service for Channel {
    type Rules = Rules;

    const THREAD: &'static str = "control";
    const WORDS: Words = Words {
        listener: "command channel",
        connection: "command channel message",
        failed: "couldn't add command channel",
    };
    const SEATS: u32 = 32;

    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, inet: Arc<ArcSwap<Listener>>) {
        if let Err(why) = converse(stream, &inet, &self).await {
            warn!(target: "general", "invalid command from {}: {why}", Shown(peer));
            sleep(PENALTY).await;
        }
    }
}

/// Hears commands until the client has no more.
async fn converse(mut stream: TcpStream, inet: &ArcSwap<Listener>, channel: &Channel) -> Result<(), String> {
    // A hasher with a random key gives a number that nobody can foretell.
    let nonce = RandomState::new().build_hasher().finish() as u32;
    let mut session = Session::new(nonce);
    while let Some(message) = receive(&mut stream).await? {
        let (inet, now) = (inet.load_full(), unix_now());
        let heard = {
            let mut replays = lock(&channel.replays);
            session.hear(&message, &inet.rules.keys, &mut replays, now).map_err(|refusal| refusal.to_string())?
        };
        let answer = match heard {
            Heard::Greeting(answer) => answer,
            Heard::Command(request) => {
                let (answer, reply) = oneshot::channel();
                let job = Job { line: request.line.clone(), read_only: inet.rules.read_only, answer };
                if channel.jobs.send(job).is_err() {
                    return Ok(());
                }
                match reply.await {
                    Ok(reply) => request.answer(&reply, unix_now()),
                    // The server is going away.
                    Err(_) => return Ok(()),
                }
            }
        };
        match timeout(PATIENCE, stream.write_all(&answer)).await {
            Ok(Ok(())) => {}
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// Reads a message, without its length field; `None` at the end.
async fn receive(stream: &mut TcpStream) -> Result<Option<Vec<u8>>, String> {
    let Ok(Ok(length)) = timeout(PATIENCE, stream.read_u32()).await else { return Ok(None) };
    let length = length as usize;
    if length == 0 || length > MAX_MESSAGE {
        return Err(format!("a message of {length} octets, where 1 to {MAX_MESSAGE} are allowed"));
    }
    let mut message = vec![0; length];
    match timeout(PATIENCE, stream.read_exact(&mut message)).await {
        Ok(Ok(_)) => Ok(Some(message)),
        _ => Ok(None),
    }
}
