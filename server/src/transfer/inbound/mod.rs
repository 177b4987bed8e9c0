//! Transfers in: how a secondary gets new versions of a zone from its primaries.
//!
//! * [`receiver`]: the messages of a transfer, without I/O. [`sequence`]: the records of a transfer in order, and the version of the zone that they make: complete or not at
//!   all. [`soundness`]: what that version must not hold.
//! * [`refusal`]: why a transfer is refused.
//! * [`timers`]: when which primary is asked for what.
//!
//! A transfer is refused where BIND's secondary refuses it. What BIND tolerates is tolerated, with a [`Warning`], and
//! never served where it would be wrong: records out of the zone are dropped, for example. The changes of an IXFR have
//! to fit exactly, as the whole zone can still be asked for.

mod receiver;
mod refusal;
mod sequence;
mod soundness;
mod timers;

pub use receiver::{Progress, Receiver, Totals, Transfer};
pub use refusal::{Refusal, Refused};
pub use sequence::{Outcome, Want, Warning};
pub use soundness::Limits;
pub use timers::{EdnsExpire, Heard, Moment, Notified, RefreshSettings, Step, Timers, Times};
