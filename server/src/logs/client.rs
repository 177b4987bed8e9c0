//! Clients and other servers as log lines name them, in named's form.

use std::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use zonefmt::NameRef;

use crate::zones::View;

/// An address and port in a log line.
#[derive(Clone, Copy)]
pub(crate) struct AddressLine(pub(crate) SocketAddr);

/// A client at the beginning of a log line.
pub(crate) struct ClientLine<'a> {
    /// Tells requests apart, where named prints where in memory it keeps the client.
    pub(crate) number: u64,
    pub(crate) client: SocketAddr,
    /// The key that its request is signed with.
    pub(crate) key: Option<NameRef<'a>>,
    /// The name that it asked for.
    pub(crate) name: Option<NameRef<'a>>,
    /// The view that it sees.
    pub(crate) view: &'a str,
}

impl ClientLine<'_> {
    /// A number for the next request that is not a query.
    pub(crate) fn number() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Relaxed)
    }
}

impl fmt::Display for AddressLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.0.ip(), self.0.port())
    }
}

impl fmt::Display for ClientLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClientLine { number, client, key, name, view } = *self;
        write!(f, "client @{number:#014x} {}", AddressLine(client))?;
        if let Some(key) = key {
            write!(f, "/key {}", key.without_final_dot())?;
        }
        if let Some(name) = name {
            write!(f, " ({})", name.without_final_dot())?;
        }
        if ![View::DEFAULT, View::CHAOS].contains(&view) {
            write!(f, ": view {view}")?;
        }
        Ok(())
    }
}
