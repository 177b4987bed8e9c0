//! Compares updates with BIND's: the same messages, one after the other, to the same zones with the same configuration.
//!
//! [`random`] has long sequences of random updates, [`policies`] the rules that those seldom meet, and [`differences`] all
//! that we do on purpose unlike BIND. [`model`] compares many more updates with a naive model, and
//! [`damaged`] has updates that are none.

mod damaged;
mod differences;
mod model;
mod pair;
mod policies;
mod random;
mod script;
