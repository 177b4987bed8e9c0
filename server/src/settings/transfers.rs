//! The settings of zone transfers: who may have a zone and how it is sent, and how one is got from its primaries.

use std::{net::SocketAddr, ops::RangeInclusive, sync::Arc, time::Duration};

use zonefmt::NameRef;

use super::{Peer, Remote, Sources};
use crate::{
    access::{Acl, Requester},
    listen::{Client, Transport},
};

/// How a zone is transferred to others. Defaults are those of `named -C`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Outbound {
    /// The clients that may transfer the zone (`allow-transfer`).
    pub allow: TransferAcl,
    /// How long a transfer may take in all (`max-transfer-time-out`); up to 28 days.
    pub max_time: Duration,
    /// How long a transfer may make no progress (`max-transfer-idle-out`); up to 28 days.
    pub max_idle: Duration,
    /// How large an incremental transfer may be, in percent of the whole zone (`max-ixfr-ratio`), before the whole zone
    /// is sent instead; `None` for any size.
    pub max_ixfr_ratio: Option<u32>,
}

/// How a secondary zone comes from its primaries.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Secondary {
    /// The servers that have the zone, in the order in which they are asked.
    pub primaries: Arc<[Remote]>,
    /// How it is got from them.
    pub inbound: Arc<Inbound>,
}

/// How a secondary gets a zone from its primaries, and what it takes from others. Defaults are those of `named -C`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Inbound {
    /// Whether primaries are asked for the changes only (`request-ixfr`), except where a [`Peer`] says
    /// otherwise.
    pub request_ixfr: bool,
    /// Whether primaries are asked when the zone expires (`request-expire`, RFC 7314), except where a
    /// [`Peer`] says otherwise.
    pub request_expire: bool,
    /// Whether primaries may have different versions, so that a lower serial at one is nothing to report
    /// (`multi-master`).
    pub multi_master: bool,
    /// The bounds of the refresh time, in seconds (`min-refresh-time`, `max-refresh-time`).
    pub refresh: Bounds,
    /// The bounds of the retry time, in seconds (`min-retry-time`, `max-retry-time`).
    pub retry: Bounds,
    /// How long a transfer may take in all (`max-transfer-time-in`); up to 28 days.
    pub max_time: Duration,
    /// How long a transfer may make no progress (`max-transfer-idle-in`); up to 28 days.
    pub max_idle: Duration,
    /// The addresses that primaries are asked from (`transfer-source`), except where a [`Peer`] says
    /// otherwise.
    pub source: Sources,
    /// The servers besides the primaries whose notifications are heeded (`allow-notify`).
    pub allow_notify: Acl,
    /// The clients whose updates are forwarded to the primary (`allow-update-forwarding`).
    pub allow_update_forwarding: Acl,
    /// The clients whose questions over TCP, transfers among them, are forwarded to the primary if their key is not known
    /// here (`allow-signed-forwarding`).
    pub allow_signed_forwarding: Acl,
}

/// The bounds of a time, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Bounds {
    /// The least.
    pub least: u32,
    /// The most, unless that is below the least.
    pub most: u32,
}

/// How many transfers from primaries may run at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InboundLimits {
    /// In all (`transfers-in`).
    pub in_all: usize,
    /// From one primary (`transfers-per-ns`), except where its [`Peer`] has a limit of its own.
    pub per_primary: usize,
}

/// The clients that may transfer a zone, and the transport over which they may.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TransferAcl {
    /// The clients.
    pub clients: Acl,
    /// The one port of this server at which they may ask; `None` for any.
    pub port: Option<u16>,
    /// The one transport over which they may ask; `None` for any.
    pub transport: Option<TransferTransport>,
}

/// A transport that `allow-transfer` may require.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TransferTransport {
    /// TCP without TLS.
    Tcp,
    /// TLS (RFC 9103). No client passes, as there are no TLS listeners.
    Tls,
}

/// How many records a message of a transfer holds (`transfer-format`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TransferFormat {
    /// As many as fit (RFC 5936 2.2).
    #[default]
    ManyAnswers,
    /// One, for secondaries older than BIND 4.9.5.
    OneAnswer,
}

impl Default for Outbound {
    fn default() -> Outbound {
        Outbound {
            allow: TransferAcl::default(),
            max_time: Duration::from_secs(120 * 60),
            max_idle: Duration::from_secs(60 * 60),
            max_ixfr_ratio: Some(100),
        }
    }
}

impl Default for Inbound {
    fn default() -> Inbound {
        Inbound {
            request_ixfr: true,
            request_expire: true,
            multi_master: false,
            refresh: Bounds { least: 300, most: 28 * 86400 },
            retry: Bounds { least: 500, most: 14 * 86400 },
            max_time: Duration::from_secs(120 * 60),
            max_idle: Duration::from_secs(60 * 60),
            source: Sources::default(),
            allow_notify: Acl::none(),
            allow_update_forwarding: Acl::none(),
            allow_signed_forwarding: Acl::none(),
        }
    }
}

impl Inbound {
    /// The address and port that a primary is asked from. `peer` is what is special about it.
    pub fn source_towards(&self, primary: SocketAddr, peer: Option<&Peer>) -> SocketAddr {
        let special = peer.and_then(|peer| peer.transfer_source);
        special.filter(|source| source.is_ipv4() == primary.is_ipv4()).unwrap_or_else(|| self.source.towards(primary))
    }
}

impl Default for InboundLimits {
    /// 100 and 30. named's 10 and 2 are too few for thousands of zones that change together; 30 connections are what any
    /// primary gives to one client.
    fn default() -> InboundLimits {
        InboundLimits { in_all: 100, per_primary: 30 }
    }
}

impl Bounds {
    /// The times within the bounds; as in BIND, the lower bound prevails over the upper one.
    pub fn range(self) -> RangeInclusive<u32> {
        self.least..=self.most.max(self.least)
    }
}

impl TransferAcl {
    /// Whether this client, with the key that it has proved to hold, may transfer the zone.
    pub fn admits(&self, client: &Client, key: Option<NameRef<'_>>) -> bool {
        let transport = match self.transport {
            None => true,
            Some(TransferTransport::Tcp) => client.transport == Transport::Tcp,
            Some(TransferTransport::Tls) => false,
        };
        transport
            && self.port.is_none_or(|port| port == client.local.port())
            && self.clients.allows(Requester { addr: client.addr.ip(), key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_hold_for_one_port_and_transport_only() {
        let client = |port, transport| Client {
            addr: "192.0.2.1:4000".parse().unwrap(),
            local: ([192, 0, 2, 53], port).into(),
            transport,
        };
        let acl = |port, transport| TransferAcl { clients: Acl::any(), port, transport };
        let (udp, tcp) = (client(53, Transport::Udp), client(53, Transport::Tcp));
        assert!(acl(None, None).admits(&udp, None) && acl(Some(53), None).admits(&udp, None));
        assert!(
            !acl(Some(853), None).admits(&tcp, None) && acl(Some(853), None).admits(&client(853, Transport::Tcp), None)
        );
        let tcp_only = acl(None, Some(TransferTransport::Tcp));
        assert!(tcp_only.admits(&tcp, None) && !tcp_only.admits(&udp, None));
        assert!(!acl(None, Some(TransferTransport::Tls)).admits(&tcp, None));
        assert!(!TransferAcl { clients: Acl::none(), ..tcp_only }.admits(&tcp, None));
    }
}
