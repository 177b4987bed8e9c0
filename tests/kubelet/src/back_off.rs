//! How long a container that ends waits until it is started again.

use std::time::Duration;

/// The delays of one container: none, then the first, then each twice the one before, up to [`MOST`] times the first.
pub(crate) struct BackOff {
    first: Duration,
    next: Duration,
}

/// The longest delay, in first delays; a container that ran for twice as long starts anew.
const MOST: u32 = 30;

impl BackOff {
    pub(crate) fn new(first: Duration) -> BackOff {
        BackOff { first, next: Duration::ZERO }
    }

    /// The delay after a container has run for some time.
    pub(crate) fn after(&mut self, ran: Duration) -> Duration {
        if ran > 2 * MOST * self.first {
            self.next = Duration::ZERO;
        }
        let delay = self.next;
        self.next = if delay.is_zero() { self.first } else { (2 * delay).min(MOST * self.first) };
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound_and_are_forgotten_by_a_container_that_ran_for_long() {
        let second = Duration::from_secs(1);
        let mut back_off = BackOff::new(10 * second);
        let delays: Vec<_> = (0..8).map(|_| back_off.after(second).as_secs()).collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(back_off.after(601 * second), Duration::ZERO);
        assert_eq!(back_off.after(second), 10 * second);
    }
}
