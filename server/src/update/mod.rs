//! Dynamic updates (RFC 2136) as pure functions: a message and a version of a zone in, a refusal or the next version
//! out.

mod policy;
mod serial;

pub use policy::{Names, Policy, Rule, TypeLimit, Updater, Verdict};
pub use serial::SerialMethod;
