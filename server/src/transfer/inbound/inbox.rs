//! News for the refresh thread. Of each zone there is at most one piece of news of a kind, so that no flood of
//! notifications fills the memory.

use std::{collections::HashMap, mem, net::SocketAddr};

use zonefmt::Serial;

use crate::transfer::{ZoneId, mailbox::Mailbox};

/// What happens to a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// The zone was added or removed, or its configuration changed.
    Changed,
    /// A primary has sent a NOTIFY, with this serial if there was one.
    Notified(SocketAddr, Option<Serial>),
    /// `rndc refresh`: a primary is to be asked now.
    Refresh,
    /// `rndc retransfer`: the whole zone is to be transferred now.
    Retransfer,
}

/// All news since the last time, of which there may be none.
#[derive(Default)]
pub(super) struct All {
    /// Whether any zone may have changed.
    pub(super) changed: bool,
    /// The news of single zones.
    pub(super) zones: HashMap<ZoneId, Vec<News>>,
}

/// The news that wait; `None` while there is nothing to wake up for.
#[derive(Default)]
pub(super) struct Inbox(Mailbox<Option<All>>);

impl Inbox {
    /// Adds news of a zone, in place of news of the same kind.
    pub(super) fn tell(&self, zone: ZoneId, news: News) {
        self.0.put(|all| {
            let waiting = all.get_or_insert_default().zones.entry(zone).or_default();
            // Without a serial, the primary is asked in any case.
            if let News::Notified(_, serial) = news
                && waiting.iter().any(|known| {
                    matches!(known, News::Notified(_, known) if known.is_none() || serial.is_some() && *known >= serial)
                })
            {
                return;
            }
            waiting.retain(|known| mem::discriminant(known) != mem::discriminant(&news));
            waiting.push(news);
        });
    }

    /// Any zone may have changed.
    pub(super) fn tell_all(&self) {
        self.0.put(|all| all.get_or_insert_default().changed = true);
    }

    /// Ends the inbox.
    pub(super) fn close(&self) {
        self.0.close();
    }

    /// Wakes the thread without news.
    pub(super) fn wake(&self) {
        self.0.put(|all| {
            all.get_or_insert_default();
        });
    }

    /// Waits to be woken, and returns the news; `None` once the inbox is closed.
    pub(super) async fn next(&self) -> Option<All> {
        self.0.next(Option::take).await
    }
}
