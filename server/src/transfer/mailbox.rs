//! How other threads reach one that works for all zones: what they leave there waits until the thread takes it.

use std::sync::Mutex;

use tokio::sync::Notify;

use crate::sync::lock;

/// What waits for a thread.
#[derive(Default)]
pub(super) struct Mailbox<T> {
    state: Mutex<State<T>>,
    wake: Notify,
}

#[derive(Default)]
struct State<T> {
    content: T,
    closed: bool,
}

impl<T> Mailbox<T> {
    /// Changes the content, and wakes the thread.
    pub(super) fn put(&self, change: impl FnOnce(&mut T)) {
        change(&mut lock(&self.state).content);
        self.wake.notify_one();
    }

    /// Reads the content.
    pub(super) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&lock(&self.state).content)
    }

    /// Lets the thread end.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.wake.notify_one();
    }

    /// Waits until `take` finds what it looks for; `None` once the mailbox is closed.
    pub(super) async fn next<R>(&self, take: impl Fn(&mut T) -> Option<R>) -> Option<R> {
        loop {
            {
                let mut state = lock(&self.state);
                if state.closed {
                    return None;
                }
                if let Some(taken) = take(&mut state.content) {
                    return Some(taken);
                }
            }
            self.wake.notified().await;
        }
    }
}
