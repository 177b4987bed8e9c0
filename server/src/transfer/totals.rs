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
        let time = time.max(Duration::from_millis(1));
        let (seconds, speed) = (time.as_secs_f64(), u128::from(octets) * 1000 / time.as_millis());
        write!(f, "{messages} messages, {records} records, {octets} bytes, {seconds:.3} secs ({speed} bytes/sec)")
    }
}
