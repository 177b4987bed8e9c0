//! How many transfers run at a time: in all (`transfers-in`) and from each primary (`transfers-per-ns`).

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    net::IpAddr,
    rc::Rc,
};

use tokio::sync::oneshot;

/// The places of transfers, which those that wait get in their order. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Places(Rc<RefCell<State>>);

/// A place, which is free again once this is dropped.
pub(super) struct Place {
    places: Places,
    primary: IpAddr,
}

#[derive(Default)]
struct State {
    /// How many may run, by the newest configuration.
    most: usize,
    running: usize,
    /// How many run from each primary.
    by_primary: HashMap<IpAddr, usize>,
    /// Who waits for a primary with a limit, which can differ between views, in their order.
    waiting: HashMap<(IpAddr, usize), VecDeque<Waiter>>,
    arrived: u64,
}

struct Waiter {
    arrived: u64,
    place: oneshot::Sender<Place>,
}

impl Places {
    /// Waits for a place, until fewer than `most` transfers run, and fewer than `most_from` of them from this primary.
    /// At least one may run. A later `most` holds for all who wait.
    pub(super) async fn take(&self, primary: IpAddr, most_from: usize, most: usize) -> Place {
        loop {
            let place = {
                let (sender, place) = oneshot::channel();
                let mut state = self.0.borrow_mut();
                state.most = most.max(1);
                state.arrived += 1;
                let waiter = Waiter { arrived: state.arrived, place: sender };
                state.waiting.entry((primary, most_from.max(1))).or_default().push_back(waiter);
                place
            };
            self.admit();
            // A waiter is only dropped without a place if nobody waits for it.
            if let Ok(place) = place.await {
                return place;
            }
        }
    }

    /// Gives free places to those who wait.
    fn admit(&self) {
        loop {
            let next = self.0.borrow_mut().next();
            let Some((primary, sender)) = next else { return };
            // Whoever gives up later gives the place back.
            let _ = sender.send(Place { places: self.clone(), primary });
        }
    }
}

impl State {
    /// The next one to get a place, which it is counted in; `None` if there is none.
    fn next(&mut self) -> Option<(IpAddr, oneshot::Sender<Place>)> {
        if self.running >= self.most {
            return None;
        }
        self.waiting.retain(|_, waiting| {
            while waiting.front().is_some_and(|waiter| waiter.place.is_closed()) {
                waiting.pop_front();
            }
            !waiting.is_empty()
        });
        let by_primary = &self.by_primary;
        let fits = |&(primary, most): &(IpAddr, usize)| by_primary.get(&primary).is_none_or(|&running| running < most);
        let waiting = self.waiting.iter_mut().filter(|(limit, _)| fits(limit));
        let (&(primary, _), first) = waiting.min_by_key(|(_, waiting)| waiting.front().map(|waiter| waiter.arrived))?;
        let waiter = first.pop_front()?;
        self.running += 1;
        *self.by_primary.entry(primary).or_default() += 1;
        Some((primary, waiter.place))
    }

    fn free(&mut self, primary: IpAddr) {
        self.running -= 1;
        if let Some(running) = self.by_primary.get_mut(&primary) {
            *running -= 1;
            if *running == 0 {
                self.by_primary.remove(&primary);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.0.borrow_mut().free(self.primary);
        self.places.admit();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Place>>>;

    /// Asks for a place; the first of the two has one at once.
    fn ask(places: &Places, primary: u8, most_from: usize, most: usize) -> Waiting {
        let places = places.clone();
        let mut waiting: Waiting =
            Box::pin(async move { places.take([192, 0, 2, primary].into(), most_from, most).await });
        // It is entered where it waits.
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => Box::pin(async { place }),
            Poll::Pending => waiting,
        }
    }

    fn has(waiting: &mut Waiting) -> Option<Place> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => Some(place),
            Poll::Pending => None,
        }
    }

    /// The places of one view were replaced by those of the other, and there was no limit.
    #[test]
    fn views_with_different_limits_for_a_primary_count_its_transfers_together() {
        let places = Places::default();
        let first = has(&mut ask(&places, 1, 2, 10)).unwrap();
        let second = has(&mut ask(&places, 1, 3, 10)).unwrap();
        let mut third = ask(&places, 1, 2, 10);
        assert!(has(&mut third).is_none());
        let fourth = has(&mut ask(&places, 1, 3, 10)).unwrap();
        let _elsewhere = has(&mut ask(&places, 2, 2, 10)).unwrap();
        drop(first);
        assert!(has(&mut third).is_none(), "two are running");
        drop(second);
        let _third = has(&mut third).unwrap();
        drop(fourth);
    }

    #[test]
    fn a_limit_that_changes_holds_for_transfers_that_run() {
        let places = Places::default();
        let mut running: Vec<_> = (0..3).map(|_| has(&mut ask(&places, 1, 9, 3)).unwrap()).collect();
        let mut waiting = ask(&places, 1, 9, 3);
        let mut last = ask(&places, 2, 9, 1);
        running.pop();
        running.pop();
        assert!(has(&mut waiting).is_none(), "one may run by now");
        running.pop();
        drop(has(&mut waiting).unwrap());
        assert!(has(&mut last).is_some());
    }

    #[test]
    fn whoever_gives_up_takes_no_place() {
        let places = Places::default();
        let running = has(&mut ask(&places, 1, 1, 1)).unwrap();
        let (gone, given, mut next) = (ask(&places, 1, 1, 1), ask(&places, 1, 1, 1), ask(&places, 1, 1, 1));
        drop(gone);
        drop(running);
        assert!(has(&mut next).is_none());
        drop(given);
        drop(has(&mut next).unwrap());
        let state = places.0.borrow();
        assert!(state.running == 0 && state.by_primary.is_empty() && state.waiting.values().all(VecDeque::is_empty));
    }
}
