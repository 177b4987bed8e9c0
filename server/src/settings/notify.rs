//! The settings of NOTIFY (RFC 1996).

use std::time::Duration;

use super::{Remote, Sources};

/// How others hear of a zone's new version.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Notify {
    /// Who is notified (`notify`).
    pub whom: Whom,
    /// The servers that are notified besides the zone's name servers (`also-notify`).
    pub also: Vec<Remote>,
    /// The addresses that notifications are sent from (`notify-source`).
    pub source: Sources,
    /// The least time between two rounds of notifications of the zone (`notify-delay`).
    pub delay: Duration,
    /// Whether the primary that the SOA names is notified if it is among the name servers (`notify-to-soa`).
    pub to_soa: bool,
}

/// Who is notified of a zone's new version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Whom {
    /// Nobody (`no`, and `primary-only` for a secondary zone).
    Nobody,
    /// The servers in `also-notify` (`explicit`).
    Listed,
    /// Also the zone's name servers (`yes`, and `primary-only` for a primary zone).
    #[default]
    NameServers,
}

/// How many messages are sent a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Notifications of changes (`notify-rate`).
    pub notify: u32,
    /// Notifications of zones that were loaded at the start (`startup-notify-rate`).
    pub startup_notify: u32,
    /// Questions for SOA records of primaries (`serial-query-rate`).
    pub serial_query: u32,
}

impl Default for Notify {
    /// The defaults of `named -C`, but for the delay: 5 ms, where named waits for 5 s.
    fn default() -> Notify {
        Notify {
            whom: Whom::default(),
            also: Vec::new(),
            source: Sources::default(),
            delay: Duration::from_millis(5),
            to_soa: false,
        }
    }
}

impl Default for Rates {
    /// 5,000 each. named's 20 lets ten thousand zones wait for minutes.
    fn default() -> Rates {
        Rates { notify: 5000, startup_notify: 5000, serial_query: 5000 }
    }
}
