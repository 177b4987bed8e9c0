//! Bounds on the connections and time that TCP clients may use.

use std::{ops::RangeInclusive, time::Duration};

/// Bounds on the resources that TCP clients may use.
#[derive(Clone, Debug)]
pub struct TcpLimits {
    /// Connections at a time (`tcp-clients`). At the limit, the connection that has gone longest without a request is
    /// closed to make room; if all have had one within the last second, the new connection is closed instead.
    pub clients: usize,
    /// Connections at a time of one IPv4 address or IPv6 /64. Room is made as above, among the client's own
    /// connections.
    pub clients_per_address: usize,
    /// Connections that the kernel may queue before they are accepted (`tcp-listen-queue`).
    pub listen_queue: u32,
    /// How long a connection may be idle.
    pub timeouts: TcpTimeouts,
    /// The time from the first octet of a request to its last, unless the time-out before the request is shorter.
    pub message_timeout: Duration,
    /// The time that a client may take to receive a reply for which its window had no room.
    pub write_timeout: Duration,
}

/// How long a TCP connection may be idle, as far as `named.conf` and `rndc tcp-timeouts` set it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpTimeouts {
    /// The time from the connection to the first octet of a request (`tcp-initial-timeout`).
    pub initial: Duration,
    /// The time from a reply to the first octet of the next request (`tcp-idle-timeout`).
    pub idle: Duration,
    /// The same for clients that sent edns-tcp-keepalive (`tcp-keepalive-timeout`).
    pub keepalive: Duration,
    /// The time that responses promise to those clients (`tcp-advertised-timeout`, RFC 7828). It does not itself close
    /// connections.
    pub advertised: Duration,
}

/// One of the [`TcpTimeouts`], which is written in tenths of a second.
#[derive(Clone, Debug)]
pub struct TcpTimeout {
    /// The name of the statement.
    pub name: &'static str,
    /// The valid values, in tenths of a second.
    pub bounds: RangeInclusive<u32>,
    field: fn(&mut TcpTimeouts) -> &mut Duration,
}

impl TcpLimits {
    /// The default limits for this many connections in total, at least one; each client may have a quarter of them.
    pub fn of(clients: usize) -> TcpLimits {
        let clients = clients.max(1);
        TcpLimits {
            clients,
            clients_per_address: (clients / 4).max(1),
            listen_queue: 256,
            timeouts: TcpTimeouts::default(),
            message_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for TcpLimits {
    /// The defaults of `named` where it has such a limit, except for a listen queue of 256, because 10 loses
    /// connections in any burst.
    fn default() -> TcpLimits {
        TcpLimits::of(150)
    }
}

impl TcpTimeouts {
    /// All time-outs, in the order in which `rndc tcp-timeouts` takes and lists them.
    pub const ALL: [TcpTimeout; 4] = [
        TcpTimeout { name: "tcp-initial-timeout", bounds: 25..=1200, field: |timeouts| &mut timeouts.initial },
        TcpTimeout { name: "tcp-idle-timeout", bounds: 1..=1200, field: |timeouts| &mut timeouts.idle },
        TcpTimeout { name: "tcp-keepalive-timeout", bounds: 1..=65535, field: |timeouts| &mut timeouts.keepalive },
        TcpTimeout { name: "tcp-advertised-timeout", bounds: 0..=65535, field: |timeouts| &mut timeouts.advertised },
    ];
}

impl Default for TcpTimeouts {
    /// The defaults of `named`: 30 seconds each.
    fn default() -> TcpTimeouts {
        let timeout = Duration::from_secs(30);
        TcpTimeouts { initial: timeout, idle: timeout, keepalive: timeout, advertised: timeout }
    }
}

impl TcpTimeout {
    /// The value of this time-out in `of`, in tenths of a second.
    pub fn tenths(&self, mut of: TcpTimeouts) -> u128 {
        (self.field)(&mut of).as_millis() / 100
    }

    /// Sets the value of this time-out in `of`, in tenths of a second.
    pub fn set(&self, of: &mut TcpTimeouts, tenths: u32) {
        *(self.field)(of) = Duration::from_millis(u64::from(tenths) * 100);
    }
}
