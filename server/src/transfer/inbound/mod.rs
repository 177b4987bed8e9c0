//! Transfers in: how a secondary gets new versions of a zone from its primaries.
//!
//! * [`Secondaries`]: the thread that does it for all zones. `schedule` has their timers, an `attempt` carries out one
//!   step of one zone, `places` bounds how many transfers run at a time, `inbox` keeps what others tell, `notice` judges
//!   a NOTIFY.
//! * [`timers`]: when which primary is asked for what. [`client`]: the questions to one primary, over UDP and TCP.
//! * [`receiver`]: the messages of a transfer, without I/O; [`sequence`]: their records in order, and the version of the
//!   zone that they make, complete or not at all; [`chain`]: the changes of an IXFR; [`soundness`]: what a zone must not
//!   hold.
//! * [`failure`]: why a question or a transfer fails.
//!
//! A transfer is refused where BIND's secondary refuses it. What BIND tolerates is tolerated, with a [`Warning`], and
//! never served where it would be wrong: records out of the zone are dropped, for example. Where the changes of an IXFR
//! do not fit, the whole zone can still be asked for.

mod attempt;
mod chain;
mod client;
mod connections;
mod failure;
mod inbox;
mod notice;
mod places;
mod receiver;
mod schedule;
mod secondaries;
mod sequence;
mod soundness;
mod timers;

pub use attempt::Activity;
pub(crate) use client::Conversation;
pub use client::{Patience, Primary};
pub use connections::Connections;
pub(crate) use connections::LONGEST_IDLE;
pub use failure::{Failure, Reason};
pub(crate) use notice::{Notice, receive};
pub use receiver::{Progress, Receiver, Transfer};
pub use secondaries::Secondaries;
pub use sequence::{Outcome, Want, Warning};
pub use soundness::Limits;
pub use timers::{EdnsExpire, Heard, Moment, Notified, RefreshSettings, Step, Timers, Times};

use jiff::Timestamp;

use crate::{live::Validity, settings::Inbound, zone::ZoneData};

/// How long a copy of a zone is valid that was confirmed at `time`; `None` without data.
pub fn validity(data: &ZoneData, settings: &Inbound, time: Timestamp) -> Option<Validity> {
    let times = Times::of(&data.soa()?).within(&settings.refresh.range(), &settings.retry.range());
    // A time to come is a mistake of some clock.
    let confirmed = u64::try_from(time.min(Timestamp::now()).as_second()).unwrap_or(0);
    Some(Validity { confirmed, expires: confirmed + u64::from(times.expire) })
}
