//! TCP connections to primaries that are kept for a moment after a transfer or a forwarded update, as the next one is often
//! for the same primary (RFC 5936 4.1.1, RFC 7766 6.2.1): tens of thousands of zones need no connection each, nor a port
//! each that then rests in TIME-WAIT.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{io::BufReader, net::TcpStream, time::Instant};

use crate::sync::lock;

/// A connection that has room for messages that have arrived.
pub(super) type Connection = BufReader<TcpStream>;

/// The connections that nobody uses at the moment; clones share them.
#[derive(Clone, Default, Debug)]
pub struct Connections(Arc<Mutex<HashMap<Ends, Vec<Idle>>>>);

/// The address and port that a connection was made from, which 0 leaves to the system, and the primary's.
type Ends = (SocketAddr, SocketAddr);

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// How long a connection may be idle: less than any server waits.
pub(crate) const LONGEST_IDLE: Duration = Duration::from_secs(2);

impl Connections {
    /// A connection between these ends that is still open, as far as can be seen.
    pub(super) fn take(&self, source: SocketAddr, primary: SocketAddr) -> Option<Connection> {
        let mut all = lock(&self.0);
        let idle = all.get_mut(&(source, primary))?;
        while let Some(Idle { connection, since }) = idle.pop() {
            // Whatever arrives while nothing was asked, be it the end, makes it useless.
            let is_silent = connection.get_ref().try_read(&mut [0]).is_err_and(|error| error.kind() == WOULD_BLOCK);
            if since.elapsed() < LONGEST_IDLE && is_silent {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection on which nothing is under way.
    pub(super) fn keep(&self, source: SocketAddr, primary: SocketAddr, connection: Connection) {
        let mut all = lock(&self.0);
        all.entry((source, primary)).or_default().push(Idle { connection, since: Instant::now() });
    }

    /// Closes connections that have been idle for long; returns whether others are left. To be called every now and
    /// then.
    pub(crate) fn tend(&self) -> bool {
        let mut all = lock(&self.0);
        all.retain(|_, idle| {
            idle.retain(|idle| idle.since.elapsed() < LONGEST_IDLE);
            !idle.is_empty()
        });
        !all.is_empty()
    }
}

const WOULD_BLOCK: std::io::ErrorKind = std::io::ErrorKind::WouldBlock;
