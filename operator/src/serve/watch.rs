//! The events that `bindy serve` waits for: changes of files, and signals.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::ServeError;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Look at the folder, because something in it changed or SIGHUP asked for it.
    Look,
    /// Stop, because of SIGINT or SIGTERM.
    Stop,
}

/// A source of events.
pub(super) struct Watch {
    events: Receiver<Event>,
    watcher: RecommendedWatcher,
    folder: PathBuf,
    mode: RecursiveMode,
}

/// The quiet time to wait for before the folder is read, because editors and `git` change several files, or one file in
/// several steps.
const QUIET: Duration = Duration::from_millis(10);
/// The longest time to wait for that.
const PATIENCE: Duration = Duration::from_millis(50);
/// The time after which something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Watch {
    /// Starts to watch a folder with its subfolders, or one file.
    pub(super) fn start(path: &Path) -> Result<Watch, ServeError> {
        let (sender, events) = mpsc::channel();
        wait_for_signals(sender.clone()).map_err(ServeError::Signals)?;
        let failed = |error| ServeError::Watch(path.to_owned(), error);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Look at the folder after an error, too. Sending fails only once serving has stopped.
            if event.map_or(true, |event| is_change(event.kind)) {
                let _ = sender.send(Event::Look);
            }
        });
        // A file may be replaced by another of the same name, so its folder is watched.
        let (folder, mode) = match path.parent() {
            Some(parent) if path.is_file() => (parent.to_owned(), RecursiveMode::NonRecursive),
            _ => (path.to_owned(), RecursiveMode::Recursive),
        };
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        let mut watch = Watch { events, watcher: watcher.map_err(failed)?, folder, mode };
        watch.watcher.watch(&watch.folder, watch.mode).map_err(failed)?;
        Ok(watch)
    }

    /// Waits for the next event. If something is to be tried again, waits at most a second.
    pub(super) fn next(&mut self, retry: bool) -> Event {
        let first = if retry {
            self.events.recv_timeout(RETRY)
        } else {
            self.events.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match first {
            Ok(Event::Look) => self.settle(),
            Err(RecvTimeoutError::Timeout) => Event::Look,
            // Without its senders there would never be another event.
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => Event::Stop,
        }
    }

    /// Watches the folder again after it was replaced.
    pub(super) fn again(&mut self) {
        // If this fails, the folder is gone again, which the next look finds.
        let _ = self.watcher.unwatch(&self.folder);
        let _ = self.watcher.watch(&self.folder, self.mode);
    }

    fn settle(&self) -> Event {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(QUIET.min(left)) {
                Ok(Event::Stop) => return Event::Stop,
                Ok(Event::Look) if !left.is_zero() => {}
                _ => return Event::Look,
            }
        }
    }
}

/// Whether an event may mean that the content of a file changed. Reading a file, as a look does, is not such an event.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn wait_for_signals(sender: Sender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let event = if signal == SIGHUP { Event::Look } else { Event::Stop };
            if sender.send(event).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
