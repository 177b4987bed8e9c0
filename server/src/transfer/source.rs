//! The addresses that messages to other servers are sent from, where one of them cannot be.

use std::{fmt, io, net::SocketAddr};

/// A message cannot be sent from the address that named.conf says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceError {
    source: SocketAddr,
    statement: &'static str,
    kind: io::ErrorKind,
}

impl SourceError {
    /// `statement` is the one that says the address, without the `-v6` of its other name.
    pub(super) fn new(source: SocketAddr, statement: &'static str, error: &io::Error) -> SourceError {
        SourceError { source, statement, kind: error.kind() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceError { source, statement, kind } = self;
        let family = if source.is_ipv6() { "-v6" } else { "" };
        write!(f, "cannot send from {}: {kind}: ", source.ip())?;
        match kind {
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "this machine does not have the address; correct `{statement}{family}`")
            }
            io::ErrorKind::AddrInUse => write!(f, "leave port {} out of `{statement}{family}`", source.port()),
            _ => write!(f, "check `{statement}{family}`"),
        }
    }
}

impl std::error::Error for SourceError {}
