//! dnstap: the messages of queries and responses, with their times and addresses, for whoever analyses them.
//!
//! * `tap`: what a worker does with a message: one copy, as a protobuf of dnstap, into a buffer of its own. It never waits,
//!   allocates or calls the system; what has no room is dropped and counted.
//! * `stream`: Frame Streams into a file or a unix socket, reopened and rolled.
//! * Here: the thread between the two, which empties the workers' buffers, and what starts and stops it.
//!
//! While nothing is tapped it costs a worker one look at its view's settings.

mod stream;
mod tap;

pub use stream::Destination;
pub(crate) use tap::{Message, Tapped};
pub use tap::{Tap, Taps};

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError, Sender, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing::{info, warn};

use stream::Stream;
use tap::Lane;

/// Where messages go, and what they say of the server (`dnstap-output`, `dnstap-identity`, `dnstap-version`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// The file or socket.
    pub destination: Destination,
    /// Who says it; `None`: it is left out.
    pub identity: Option<Vec<u8>>,
    /// What program says it; `None`: it is left out.
    pub version: Option<Vec<u8>>,
}

/// What becomes of a file that is opened again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Roll {
    /// It begins anew: whoever wants the old one has moved it away.
    Not,
    /// It is moved away, and so many of those before are kept; `None`: all of them.
    Keep(Option<u32>),
}

/// The output of a server, which may change.
#[derive(Default)]
pub struct Dnstap {
    lanes: Lanes,
    writer: Option<Writer>,
}

/// The buffers of all workers; cheap to clone.
#[derive(Clone, Default)]
pub struct Lanes(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lanes: Mutex<Vec<Arc<Lane>>>,
    dropped: Arc<AtomicU64>,
}

struct Writer {
    output: Output,
    commands: Sender<Command>,
}

enum Command {
    Reopen(Roll, SyncSender<io::Result<()>>),
    /// All that waits is to be written, then this told.
    Stop(SyncSender<()>),
}

/// Why a file or socket of dnstap cannot be used.
#[derive(Debug)]
pub struct OutputError(String);

/// How long messages wait for the thread: while some come, and while none do.
const BUSY: Duration = Duration::from_millis(10);
const IDLE: Duration = Duration::from_millis(100);
/// How long anyone waits for the thread.
const PATIENCE: Duration = Duration::from_secs(10);

impl Dnstap {
    /// The buffers, for workers that start.
    pub fn lanes(&self) -> Lanes {
        self.lanes.clone()
    }

    /// Writes there from now on, or nowhere. An output that stays goes on undisturbed.
    ///
    /// # Errors
    /// A file that cannot be opened, a thread that cannot be started; what was written to is written to no more then. A
    /// socket that nobody listens on is none: it is tried again.
    pub fn change(&mut self, output: Option<&Output>) -> Result<(), OutputError> {
        if self.writer.as_ref().map(|writer| &writer.output) == output {
            return Ok(());
        }
        self.stop();
        let Some(output) = output else { return Ok(()) };
        let failed = |error: io::Error| {
            OutputError(format!("cannot write dnstap messages to {}: {error}", output.destination.path().display()))
        };
        let stream = Stream::open(output).map_err(failed)?;
        let (commands, orders) = mpsc::channel();
        let lanes = self.lanes.clone();
        lanes.reserve();
        thread::Builder::new().name("dnstap".into()).spawn(move || write(stream, &lanes, &orders)).map_err(failed)?;
        info!(target: "dnstap", "dnstap messages go to {}", output.destination.path().display());
        self.writer = Some(Writer { output: output.clone(), commands });
        Ok(())
    }

    /// Where messages go.
    pub fn output(&self) -> Option<&Output> {
        self.writer.as_ref().map(|writer| &writer.output)
    }

    /// Opens the output again.
    ///
    /// # Errors
    /// A file that cannot be moved away or opened; or there is no output.
    pub fn reopen(&self, roll: Roll) -> io::Result<()> {
        let Some(writer) = &self.writer else { return Err(io::ErrorKind::NotFound.into()) };
        let (done, outcome) = sync_channel(1);
        // The thread ends only when it is told to.
        let _ = writer.commands.send(Command::Reopen(roll, done));
        outcome.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes what waits, and nothing more.
    pub fn stop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let (done, written) = sync_channel(1);
            let _ = writer.commands.send(Command::Stop(done));
            let _ = written.recv_timeout(PATIENCE);
        }
    }
}

impl Lanes {
    /// The tap of one more worker.
    pub fn tap(&self) -> Tap {
        let lane = Arc::new(Lane::default());
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| Arc::strong_count(lane) > 1 || !lane.is_empty());
        lanes.push(Arc::clone(&lane));
        lane.reserve();
        Tap::new(lane, Arc::clone(&self.0.dropped))
    }

    /// All buffers, those of workers that have ended for the last time.
    fn all(&self) -> Vec<Arc<Lane>> {
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let all = lanes.clone();
        // One is the list's, one the copy's.
        lanes.retain(|lane| Arc::strong_count(lane) > 2);
        all
    }

    /// Gives every buffer its size.
    fn reserve(&self) {
        let lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().for_each(|lane| lane.reserve());
    }
}

/// Empties the buffers until it is told to stop.
fn write(mut stream: Stream, lanes: &Lanes, orders: &mpsc::Receiver<Command>) {
    let mut taken = Vec::new();
    let (mut pause, mut lost) = (IDLE, 0);
    loop {
        let order = orders.recv_timeout(pause);
        pause = IDLE;
        for lane in lanes.all() {
            lane.take(&mut taken);
            if !taken.is_empty() {
                pause = BUSY;
                lost += stream.write(&taken);
                taken.clear();
            }
        }
        lost += stream.flush();
        let dropped = lanes.0.dropped.swap(0, Ordering::Relaxed) + std::mem::take(&mut lost);
        if dropped > 0 {
            warn!(target: "dnstap", "{dropped} dnstap messages were dropped: nobody takes them, or not quickly enough");
        }
        match order {
            Ok(Command::Reopen(roll, done)) => {
                // Whoever asked has gone if nobody waits.
                let _ = done.try_send(stream.reopen(roll));
            }
            Ok(Command::Stop(done)) => {
                stream.close();
                let _ = done.try_send(());
                return;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return stream.close(),
        }
    }
}

impl Drop for Dnstap {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Destination {
    /// Its name.
    pub fn path(&self) -> &Path {
        match self {
            Destination::File(file) => &file.path,
            Destination::Unix(path) => path,
        }
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; choose another `dnstap-output`", self.0)
    }
}

impl std::error::Error for OutputError {}
