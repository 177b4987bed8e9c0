//! What the thread of secondary zones is told. Of each zone there is at most one piece of news of a kind, so that no
//! flood of notifications fills the memory.

use std::{
    collections::HashMap,
    mem,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;
use zonefmt::{Name, Serial};

use crate::sync::lock;

/// A zone: the name of the view that declares it, and its origin.
pub(super) type ZoneId = (Arc<str>, Name);

/// What happens to a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// The zone was added or removed, or its configuration changed.
    Changed,
    /// A primary has sent a NOTIFY, with this serial if there was one.
    Notified(SocketAddr, Option<Serial>),
    /// An administrator wants it asked for now.
    Refresh,
    /// An administrator wants it transferred as a whole now.
    Retransfer,
}

/// All news since the last time: whether any zone may have changed, and the news of single zones.
pub(super) type All = (bool, HashMap<ZoneId, Vec<News>>);

/// The news that wait.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    news: All,
    closed: bool,
}

impl Inbox {
    /// Adds news of a zone, in place of news of the same kind.
    pub(super) fn tell(&self, zone: ZoneId, news: News) {
        let mut state = lock(&self.state);
        let waiting = state.news.1.entry(zone).or_default();
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
        self.wake.notify_one();
    }

    /// Any zone may have changed.
    pub(super) fn tell_all(&self) {
        lock(&self.state).news.0 = true;
        self.wake.notify_one();
    }

    /// Ends the inbox.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.wake.notify_one();
    }

    /// Wakes the thread without news.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits to be woken, and returns the news, of which there may be none; `None` once the inbox is closed.
    pub(super) async fn next(&self) -> Option<All> {
        self.wake.notified().await;
        let mut state = lock(&self.state);
        (!state.closed).then(|| mem::take(&mut state.news))
    }
}
