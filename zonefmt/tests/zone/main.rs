//! Zone files against real peers, random input, and the command line.

mod cli;
mod peers;
mod random;
mod support;
