//! A pace at which messages are sent, so that thousands of zones at once flood nobody.

use std::{cell::Cell, time::Duration};

use tokio::time::{Instant, sleep_until};

/// Turns at even intervals.
#[derive(Default)]
pub(super) struct Pace(Cell<Option<Instant>>);

impl Pace {
    /// Waits for the next turn.
    pub(super) async fn turn(&self, per_second: u32) {
        let now = Instant::now();
        let at = self.0.get().map_or(now, |next| next.max(now));
        self.0.set(Some(at + Duration::from_secs(1) / per_second.max(1)));
        if at > now {
            sleep_until(at).await;
        }
    }
}
