//! What the log is told of limiting: when it starts for a balance, and when it has stopped. Workers leave a note in a
//! queue of fixed size and go on; the lines are written by [`Limiter::tend`](super::Limiter::tend), some a second at most.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use zonefmt::{MAX_NAME, NameRef, Rtype};

use super::{
    Account, Kind, RateLimit, Subject,
    table::{Key, Table, Ticks},
};
use crate::access::Prefix;

pub(super) struct Report {
    notes: SyncSender<Note>,
    /// Notes that the queue had no room for.
    lost: AtomicU64,
    book: Mutex<Book>,
}

/// A balance that started to be limited, and what it is for.
pub(super) struct Note {
    key: Key,
    network: Prefix,
    /// `None`: all kinds.
    kind: Option<Kind>,
    rtype: Rtype,
    wildcard: bool,
    name: [u8; MAX_NAME],
    name_len: u8,
}

/// What is being limited, as far as the log was told.
struct Book {
    notes: Receiver<Note>,
    limited: Vec<(Key, String)>,
    swept: usize,
}

/// Lines a call, and notes that may wait for it.
const MOST_NOTES: usize = 64;
/// Balances of which the log is told that they are no longer limited.
const MOST_LIMITED: usize = 1024;
/// Calls for one sweep of the table.
const PARTS: usize = 256;

impl Report {
    pub(super) fn new() -> Report {
        let (notes, queue) = sync_channel(MOST_NOTES);
        let book = Book { notes: queue, limited: Vec::new(), swept: 0 };
        Report { notes, lost: AtomicU64::new(0), book: Mutex::new(book) }
    }

    /// Takes note that a balance is limited from now on.
    #[cold]
    pub(super) fn note(&self, key: Key, network: Prefix, account: Account, subject: &Subject<'_>) {
        // Nobody waits at the queue's other end, so that this neither blocks nor wakes anyone.
        if self.notes.try_send(Note::new(key, network, account, subject)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what there is to say.
    pub(super) fn write(&self, settings: &RateLimit, table: &Table, now: Ticks) {
        // A call that panicked leaves at worst a line unsaid.
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
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
            // One that gave way to others, and came back.
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

/// Nobody is limited by a limiter that is no more.
impl Drop for Report {
    fn drop(&mut self) {
        let book = self.book.get_mut().unwrap_or_else(PoisonError::into_inner);
        book.limited.iter().for_each(|(_, what)| tracing::info!(target: TARGET, "stop limiting {what}"));
    }
}

const TARGET: &str = "rate-limit";

impl Note {
    pub(super) fn new(key: Key, network: Prefix, account: Account, subject: &Subject<'_>) -> Note {
        let kind = Some(subject.identity.kind).filter(|_| account == Account::Kind);
        let name = if matches!(kind, None | Some(Kind::Error)) { &[] } else { subject.name().as_wire() };
        let (rtype, wildcard) = (subject.qtype, subject.identity.wildcard);
        let mut note = Note { key, network, kind, rtype, wildcard, name: [0; MAX_NAME], name_len: name.len() as u8 };
        note.name[..name.len()].copy_from_slice(name);
        note
    }
}

/// As `named` says it: `NXDOMAIN responses to 192.0.2.0/24 for example.org.`.
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
        if let Ok(name) = NameRef::from_wire(&self.name[..self.name_len.into()]) {
            write!(f, " for {}{name}", if self.wildcard { "*." } else { "" })?;
        }
        if self.kind == Some(Kind::Answer) {
            write!(f, " {}", self.rtype)?;
        }
        Ok(())
    }
}
