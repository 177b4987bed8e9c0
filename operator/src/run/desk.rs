//! The desk at which clients hand in what they want to write (RFC 2136). The threads that carry updates out wait there
//! until the one task that decides everything has taken an update up, stored it and published it; whoever waits longer for
//! that than clients do takes the update back.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use bindy_server::{
    Rcode,
    live::{Author, Batch, ChangeStore, Replies, Unkept},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use zonefmt::{Name, Serial};

/// Where updates are handed in. Clones lead to the same desk.
#[derive(Clone)]
pub(super) struct Desk {
    /// Bounded by who waits: each thread for one answer, and as many replies as the queue of updates has places.
    handed: mpsc::UnboundedSender<Handed>,
    turned_away: mpsc::Sender<TurnedAway>,
}

/// The other side of the desk.
pub(super) struct Inbox {
    handed: mpsc::UnboundedReceiver<Handed>,
    turned_away: mpsc::Receiver<TurnedAway>,
    /// The replies that wait for servers, the oldest first.
    waiting: Vec<Waiting>,
}

/// Something to be done.
pub(super) enum Errand {
    /// Updates are to be stored and served.
    Keep(Keep),
    /// A reply waits for servers, or has waited for long enough: see [`Inbox::reply`].
    Reply,
    /// An update changes nothing.
    TurnedAway(TurnedAway),
}

/// Something that was handed in.
enum Handed {
    Keep(Keep),
    Reply(Waiting),
}

/// Updates that are to be stored and served.
pub(super) struct Keep {
    batch: Batch,
    stage: Arc<Mutex<Stage>>,
    answer: SyncSender<Result<Serial, Unkept>>,
}

/// An update that changes nothing, and why.
pub(super) struct TurnedAway {
    pub(super) origin: Name,
    pub(super) author: Author,
    pub(super) rcode: Rcode,
    pub(super) why: String,
}

/// How far updates are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    HandedIn,
    TakenUp,
    TakenBack,
}

/// Replies that wait until servers answer a version.
struct Waiting {
    origin: Name,
    serial: Serial,
    /// When they wait no longer.
    end: Instant,
    replies: Replies,
}

/// How long updates may lie on the desk. Their clients wait a few seconds, and had rather know.
const PATIENCE: Duration = Duration::from_millis(1200);
/// How long a reply waits at most for servers. What it says is true already: the update is stored.
const REPLY: Duration = Duration::from_secs(1);

/// How many updates that change nothing may wait to be told of. Anybody can send them, and of more, nobody is told.
const MOST_TURNED_AWAY: usize = 256;

/// A desk with both of its sides.
pub(super) fn open() -> (Desk, Inbox) {
    let (handing, handed) = mpsc::unbounded_channel();
    let (turning, turned_away) = mpsc::channel(MOST_TURNED_AWAY);
    (Desk { handed: handing, turned_away: turning }, Inbox { handed, turned_away, waiting: Vec::new() })
}

impl Desk {
    fn hand_in(&self, handed: Handed) -> Result<(), Unkept> {
        self.handed.send(handed).map_err(|_| ended())
    }
}

impl ChangeStore for Desk {
    fn keep(&self, batch: Batch) -> Result<Serial, Unkept> {
        let (answer, answers) = sync_channel(1);
        let stage = Arc::new(Mutex::new(Stage::HandedIn));
        self.hand_in(Handed::Keep(Keep { batch, stage: Arc::clone(&stage), answer }))?;
        match answers.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) if reaches(&stage, Stage::TakenBack) => {
                Err(Unkept::Failed("the operator is busy, or has no API server; try again".into()))
            }
            // It is being stored; that is bounded in time, too.
            Err(_) => answers.recv().unwrap_or_else(|_| Err(ended())),
        }
    }

    fn when_served(&self, origin: &Name, serial: Serial, replies: Replies) {
        let waiting = Waiting { origin: origin.clone(), serial, end: Instant::now() + REPLY, replies };
        // Replies that are dropped are sent.
        let _ = self.hand_in(Handed::Reply(waiting));
    }

    fn turned_away(&self, origin: &Name, author: &Author, rcode: Rcode, why: &str) {
        let (origin, author, why) = (origin.clone(), author.clone(), why.to_owned());
        let _ = self.turned_away.try_send(TurnedAway { origin, author, rcode, why });
    }
}

impl Inbox {
    /// Waits for something to be done. Nothing is lost if the caller does not wait to the end.
    pub(super) async fn next(&mut self) -> Errand {
        let Inbox { handed, turned_away, waiting } = self;
        let end = waiting.iter().map(|it| it.end).min();
        let over = async || match end {
            Some(end) => sleep_until(end).await,
            None => pending().await,
        };
        tokio::select! {
            handed = handed.recv() => match handed {
                Some(Handed::Keep(keep)) => Errand::Keep(keep),
                Some(Handed::Reply(reply)) => {
                    waiting.push(reply);
                    Errand::Reply
                }
                // Nobody has the desk any more.
                None => pending().await,
            },
            Some(update) = turned_away.recv() => Errand::TurnedAway(update),
            () = over() => Errand::Reply,
        }
    }

    /// Sends the replies of versions that servers serve, and those that have waited for long enough.
    pub(super) fn reply(&mut self, is_served: impl Fn(&Name, Serial) -> bool) {
        let now = Instant::now();
        let done = |it: &mut Waiting| it.end <= now || is_served(&it.origin, it.serial);
        self.waiting.extract_if(.., done).for_each(|it| it.replies.send());
    }
}

impl Keep {
    /// Takes the updates up; `None` if they were taken back.
    pub(super) fn take_up(self) -> Option<(Batch, Answer)> {
        let Keep { batch, stage, answer } = self;
        reaches(&stage, Stage::TakenUp).then_some((batch, Answer(answer)))
    }
}

/// The one who waits for updates to be kept.
pub(super) struct Answer(SyncSender<Result<Serial, Unkept>>);

impl Answer {
    pub(super) fn give(self, answer: Result<Serial, Unkept>) {
        // Nobody stops waiting for what was taken up.
        let _ = self.0.send(answer);
    }
}

/// Whether updates that were handed in come to this stage, and to no other first.
fn reaches(stage: &Mutex<Stage>, next: Stage) -> bool {
    let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = *stage == Stage::HandedIn;
    if is_first {
        *stage = next;
    }
    is_first
}

fn ended() -> Unkept {
    Unkept::Failed("the operator ends; try again".into())
}
