//! Transfers in: how a secondary gets new versions of a zone from its primaries.
//!
//! * [`timers`]: when which primary is asked for what. [`client`]: the questions to one primary, over UDP and TCP.
//! * [`receiver`]: the messages of a transfer, without I/O; [`sequence`]: their records in order, and the version of the
//!   zone that they make, complete or not at all; [`chain`]: the changes of an IXFR; [`soundness`]: what a zone must not
//!   hold.
//! * [`failure`]: why a question or a transfer fails.
//!
//! A transfer is refused where BIND's secondary refuses it. What BIND tolerates is tolerated, with a [`Warning`], and
//! never served where it would be wrong: records out of the zone are dropped, for example. Where the changes of an IXFR
//! do not fit, the whole zone can still be asked for.

mod chain;
mod client;
mod failure;
mod receiver;
mod sequence;
mod soundness;
mod timers;

pub use client::{Patience, Primary};
pub use failure::{Failure, Reason};
pub use receiver::{Progress, Receiver, Totals, Transfer};
pub use sequence::{Outcome, Want, Warning};
pub use soundness::Limits;
pub use timers::{EdnsExpire, Heard, Moment, Notified, RefreshSettings, Step, Timers, Times};
