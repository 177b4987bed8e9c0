//! How much a transfer has moved.

use std::{fmt, time::Duration};

/// How much was sent or received.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Records, with all SOAs.
    pub records: u64,
    /// Octets of the messages.
    pub octets: u64,
}

/// The totals of a transfer that took so long, in named's words.
pub(super) struct Within(pub(super) Totals, pub(super) Duration);

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Within(Totals { messages, records, octets }, time) = self;
        let millis = time.as_millis().max(1);
        let (seconds, rest, speed) = (millis / 1000, millis % 1000, u128::from(octets) * 1000 / millis);
        write!(
            f,
            "{messages} messages, {records} records, {octets} bytes, {seconds}.{rest:03} secs ({speed} bytes/sec)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time was rounded and the speed was not computed from it: `0.003 secs (162000 bytes/sec)`.
    #[test]
    fn the_speed_is_that_of_the_time_shown() {
        let totals = Totals { messages: 1, records: 6, octets: 324 };
        for (micros, shown) in [
            (2_900, "0.002 secs (162000 bytes/sec)"),
            (10, "0.001 secs (324000 bytes/sec)"),
            (1_500_000, "1.500 secs (216 bytes/sec)"),
        ] {
            let line = Within(totals, Duration::from_micros(micros)).to_string();
            assert_eq!(line, format!("1 messages, 6 records, 324 bytes, {shown}"));
        }
    }
}
