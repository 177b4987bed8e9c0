//! The log of rate limiting: when it starts for a balance, and when it has stopped. Workers leave a note in a queue of
//! fixed size and go on; [`Limiter::tend`](super::Limiter::tend) writes the lines, a bounded number per call.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use zonefmt::{NameBuf, Rtype};

use super::{
    Account, Kind, RateLimit, Subject,
    table::{Key, Table, Ticks},
};
use crate::{access::Prefix, sync::lock};

pub(super) struct Report {
    notes: SyncSender<Note>,
    /// The number of notes that the queue had no room for.
    lost: AtomicU64,
    book: Mutex<Book>,
}

/// A balance that started to be limited, and what it is for.
pub(super) struct Note {
    key: Key,
    network: Prefix,
    /// `None` means all kinds.
    kind: Option<Kind>,
    rtype: Rtype,
    wildcard: bool,
    /// `None` for errors, and for all kinds together.
    name: Option<NameBuf>,
}

/// What is being limited, as far as it has been logged.
struct Book {
    notes: Receiver<Note>,
    limited: Vec<(Key, String)>,
    swept: usize,
}

/// The most notes that are logged in one call and that wait in the queue.
const MOST_NOTES: usize = 64;
/// The most balances that are watched to log the end of their limiting.
const MOST_LIMITED: usize = 1024;
/// The number of calls in which the whole table is swept.
const PARTS: usize = 256;

impl Report {
    pub(super) fn new() -> Report {
        let (notes, queue) = sync_channel(MOST_NOTES);
        let book = Book { notes: queue, limited: Vec::new(), swept: 0 };
        Report { notes, lost: AtomicU64::new(0), book: Mutex::new(book) }
    }

    /// Notes that a balance is limited from now on.
    #[cold]
    pub(super) fn note(&self, key: Key, network: Prefix, account: Account, subject: &Subject<'_>) {
        // The receiver only polls the queue, so sending neither blocks nor wakes anyone.
        if self.notes.try_send(Note::new(key, network, account, subject)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes the lines that are due.
    pub(super) fn write(&self, settings: &RateLimit, table: &Table, now: Ticks) {
        let mut book = lock(&self.book);
        let Book { notes, limited, swept } = &mut *book;
        let would = if settings.log_only { "would " } else { "" };
        limited.retain(|(key, what)| {
            let stopped = table.settle(*key, now);
            if stopped {
                tracing::info!(target: TARGET, "{would}stop limiting {what}");
            }
            !stopped
        });
        for note in notes.try_iter().take(MOST_NOTES) {
            // The balance was evicted, came back, and is already in the log.
            if limited.iter().any(|(key, _)| *key == note.key) {
                continue;
            }
            let what = note.to_string();
            tracing::info!(target: TARGET, "{would}limit {what}");
            if limited.len() < MOST_LIMITED {
                limited.push((note.key, what));
            }
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::info!(target: TARGET, "{would}limit {lost} more kinds of responses");
        }
        table.sweep(*swept, PARTS, now);
        *swept = (*swept + 1) % PARTS;
    }
}

/// A limiter that is dropped limits nobody any more, and the log says so.
impl Drop for Report {
    fn drop(&mut self) {
        let book = lock(&self.book);
        book.limited.iter().for_each(|(_, what)| tracing::info!(target: TARGET, "stop limiting {what}"));
    }
}

const TARGET: &str = "rate-limit";

impl Note {
    pub(super) fn new(key: Key, network: Prefix, account: Account, subject: &Subject<'_>) -> Note {
        let kind = Some(subject.identity.kind).filter(|_| account == Account::Kind);
        let name = kind.filter(|kind| *kind != Kind::Error).map(|_| NameBuf::new(subject.name()));
        Note { key, network, kind, rtype: subject.qtype, wildcard: subject.identity.wildcard, name }
    }
}

/// Uses the words of `named`: `NXDOMAIN responses to 192.0.2.0/24 for example.org.`.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            None => "all ",
            Some(Kind::Answer) => "",
            Some(Kind::Referral) => "referral ",
            Some(Kind::Nodata) => "NODATA ",
            Some(Kind::Nxdomain) => "NXDOMAIN ",
            Some(Kind::Error) => "error ",
        };
        write!(f, "{kind}responses to {}", self.network)?;
        if let Some(name) = &self.name {
            write!(f, " for {}{}", if self.wildcard { "*." } else { "" }, name.as_ref())?;
        }
        if self.kind == Some(Kind::Answer) {
            write!(f, " {}", self.rtype)?;
        }
        Ok(())
    }
}
