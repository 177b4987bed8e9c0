//! Takes things out of a channel in batches: what comes together is worked on together.

use std::{mem, time::Duration};

use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, timeout_at},
};

/// The end of a channel, and what has come of the next batch.
pub(crate) struct Gather<T> {
    receiver: Receiver<T>,
    bounds: Bounds,
    batch: Vec<T>,
    /// When the batch is complete at the latest.
    complete: Option<Instant>,
}

/// What makes a batch complete, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// That nothing has come for this long.
    pub(crate) quiet: Duration,
    /// That its first came this long ago.
    pub(crate) patience: Duration,
    /// That it has so many.
    pub(crate) most: usize,
}

impl<T> Gather<T> {
    pub(crate) fn new(receiver: Receiver<T>, bounds: Bounds) -> Gather<T> {
        Gather { receiver, bounds, batch: Vec::new(), complete: None }
    }

    /// Waits for something, and then a little for what comes with it; empty when nobody sends any more. Nothing is lost if
    /// the caller does not wait to the end, and the time goes on from where it was.
    pub(crate) async fn next(&mut self) -> Vec<T> {
        let Bounds { quiet, patience, most } = self.bounds;
        if self.batch.is_empty() {
            self.batch.extend(self.receiver.recv().await);
        }
        let complete = *self.complete.get_or_insert_with(|| Instant::now() + patience);
        while !self.batch.is_empty() && self.batch.len() < most {
            match timeout_at(complete.min(Instant::now() + quiet), self.receiver.recv()).await {
                Ok(Some(one)) => self.batch.push(one),
                Ok(None) | Err(_) => break,
            }
        }
        self.complete = None;
        mem::take(&mut self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{sync::mpsc, time::sleep};

    const BOUNDS: Bounds = Bounds { quiet: Duration::from_millis(5), patience: Duration::from_millis(30), most: 100 };

    #[tokio::test]
    async fn what_is_there_makes_batches_of_bounded_size() {
        let (sender, receiver) = mpsc::channel(1000);
        let mut gather = Gather::new(receiver, BOUNDS);
        for number in 0..150 {
            sender.send(number).await.unwrap();
        }
        assert_eq!((gather.next().await.len(), gather.next().await.len()), (100, 50));
        drop(sender);
        assert!(gather.next().await.is_empty(), "nobody sends");
    }

    #[tokio::test]
    async fn who_does_not_wait_to_the_end_loses_nothing() {
        let (sender, receiver) = mpsc::channel(1000);
        let mut gather = Gather::new(receiver, BOUNDS);
        tokio::spawn(async move {
            for number in 0..50 {
                sender.send(number).await.unwrap();
                sleep(Duration::from_millis(2)).await;
            }
        });
        let (mut all, mut interrupted) = (Vec::new(), 0);
        while all.len() < 50 {
            tokio::select! {
                batch = gather.next() => all.extend(batch),
                // Before it is ever quiet: only the time since the first one ends a batch.
                () = sleep(Duration::from_millis(1)) => interrupted += 1,
            }
            assert!(interrupted < 10_000, "{all:?}");
        }
        assert!(all.into_iter().eq(0..50) && interrupted > 0);
    }
}
