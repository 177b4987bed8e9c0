//! The zones that wait to be notified of.

use std::{
    collections::HashMap,
    mem,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;
use zonefmt::Name;

use crate::sync::lock;

/// A zone: the name of the view that declares it, and its origin.
pub(super) type ZoneId = (Arc<str>, Name);

/// Why there is a new version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Occasion {
    /// The server has started.
    Start,
    /// The zone has changed, or an administrator wants it.
    Change,
}

/// The zones that wait, each once.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    zones: HashMap<ZoneId, Occasion>,
    /// The addresses of this server; `None` while it does not answer yet.
    own: Option<Vec<SocketAddr>>,
    closed: bool,
}

impl Queue {
    /// Adds a zone, unless it is waiting already.
    pub(super) fn push(&self, zone: ZoneId) {
        let mut state = lock(&self.state);
        let occasion = if state.own.is_some() { Occasion::Change } else { Occasion::Start };
        state.zones.entry(zone).or_insert(occasion);
        self.wake.notify_one();
    }

    /// Lets the zones go, now that the server answers at these addresses.
    pub(super) fn open(&self, own: Vec<SocketAddr>) {
        lock(&self.state).own = Some(own);
        self.wake.notify_one();
    }

    /// Ends the queue.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.wake.notify_one();
    }

    /// Whether the server answers at this address.
    pub(super) fn is_own(&self, address: SocketAddr) -> bool {
        lock(&self.state).own.as_ref().is_some_and(|own| own.contains(&address))
    }

    /// Waits for zones; `None` once the queue is closed.
    pub(super) async fn next(&self) -> Option<HashMap<ZoneId, Occasion>> {
        loop {
            {
                let mut state = lock(&self.state);
                if state.closed {
                    return None;
                }
                if state.own.is_some() && !state.zones.is_empty() {
                    return Some(mem::take(&mut state.zones));
                }
            }
            self.wake.notified().await;
        }
    }
}
