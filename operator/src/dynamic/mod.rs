//! What clients write into zones by DNS UPDATE, as it is kept in the cluster: pure functions of objects and updates.
//!
//! A [`Ledger`] is all that clients have written into one zone. It is kept in objects of the kind DynamicRecords, each a
//! `part` of it: segments of a log, to which updates are appended as they come, and shards, into which the log is folded.
//! `entry` is an update in the log, and `line` a record as people read it. `rules` say who may write what.

mod entry;
mod ledger;
mod line;
mod part;
pub mod rules;
#[cfg(test)]
mod tests;

pub use entry::Entry;
pub use ledger::{Ledger, LedgerError, MOST_RECORDS, Plan, Unfit};
pub use part::{Kept, Part, ZONE_LABEL, zone_label};
