//! dnstap: exports queries and responses, with times and addresses, for analysis.
//!
//! * `tap`: what a worker does with a message: it copies it, as a dnstap protobuf, into a buffer of its own. It never
//!   waits, allocates or makes a system call; messages that do not fit are dropped and counted.
//! * `stream`: Frame Streams to a file or unix socket, which can be reopened and rolled.
//! * This file: the thread between the two, which empties the workers' buffers, and how it is started and stopped.
//!
//! While nothing is tapped, the cost to a worker is one look at its view's settings.

mod stream;
mod tap;

pub use stream::Destination;
pub use tap::{Directions, Tap, Taps};
pub(crate) use tap::{Message, Tapped};

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError, Sender, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing::{info, warn};

use crate::sync::lock;
use stream::Stream;
use tap::Lane;

/// Where messages are written, and how they describe the server (`dnstap-output`, `dnstap-identity`, `dnstap-version`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// The file or socket.
    pub destination: Destination,
    /// The server's identity; `None` leaves it out.
    pub identity: Option<Vec<u8>>,
    /// The server's version; `None` leaves it out.
    pub version: Option<Vec<u8>>,
}

/// What happens to a file when it is reopened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Roll {
    /// The file is created anew; if the old one is wanted, someone has moved it away before.
    Not,
    /// The file is moved away, and this many old ones are kept; `None` keeps all.
    Keep(Option<u32>),
}

/// The dnstap output of a server, which can be changed at run time.
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
    /// Ends the thread after everything buffered has been written, then signals.
    Stop(SyncSender<()>),
}

/// A file or socket for dnstap cannot be used.
#[derive(Debug)]
pub struct OutputError(String);

/// The writing thread's pause while messages arrive, and while none do.
const BUSY: Duration = Duration::from_millis(10);
const IDLE: Duration = Duration::from_millis(100);
/// The longest that a caller waits for the writing thread.
const PATIENCE: Duration = Duration::from_secs(10);

impl Dnstap {
    /// The buffers, for use by new workers.
    pub fn lanes(&self) -> Lanes {
        self.lanes.clone()
    }

    /// Writes to this output from now on, or to none. An unchanged output continues undisturbed.
    ///
    /// # Errors
    /// If a file cannot be opened or a thread cannot be started; the former output is closed even then. A socket that
    /// nobody listens on is not an error: connecting is tried again.
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

    /// The current output.
    pub fn output(&self) -> Option<&Output> {
        self.writer.as_ref().map(|writer| &writer.output)
    }

    /// Reopens the output.
    ///
    /// # Errors
    /// If the file cannot be moved away or opened, or there is no output.
    pub fn reopen(&self, roll: Roll) -> io::Result<()> {
        let Some(writer) = &self.writer else { return Err(io::ErrorKind::NotFound.into()) };
        let (done, outcome) = sync_channel(1);
        // The thread only ends when it is stopped.
        let _ = writer.commands.send(Command::Reopen(roll, done));
        outcome.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes what is buffered, then closes the output.
    pub fn stop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let (done, written) = sync_channel(1);
            let _ = writer.commands.send(Command::Stop(done));
            let _ = written.recv_timeout(PATIENCE);
        }
    }
}

impl Lanes {
    /// Makes the tap of one more worker.
    pub fn tap(&self) -> Tap {
        let lane = Arc::new(Lane::default());
        let mut lanes = lock(&self.0.lanes);
        lanes.retain(|lane| Arc::strong_count(lane) > 1 || !lane.is_empty());
        lanes.push(Arc::clone(&lane));
        lane.reserve();
        Tap::new(lane, Arc::clone(&self.0.dropped))
    }

    /// All buffers. Those of workers that have ended are returned for the last time.
    fn all(&self) -> Vec<Arc<Lane>> {
        let mut lanes = lock(&self.0.lanes);
        let all = lanes.clone();
        // One reference belongs to the list, one to the copy.
        lanes.retain(|lane| Arc::strong_count(lane) > 2);
        all
    }

    /// Gives every buffer its capacity.
    fn reserve(&self) {
        let lanes = lock(&self.0.lanes);
        lanes.iter().for_each(|lane| lane.reserve());
    }
}

/// Empties the buffers until it is stopped.
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
                // If nobody waits any more, the requester has given up.
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
    /// The path of the file or socket.
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
