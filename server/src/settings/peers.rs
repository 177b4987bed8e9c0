//! The settings for single remote servers (`server`).

use std::net::{IpAddr, SocketAddr};

use zonefmt::Name;

use super::TransferFormat;
use crate::access::Prefix;

/// What is special about some remote servers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peers(Vec<(Prefix, Peer)>);

/// What is special about a remote server; `None` is what holds for servers in general.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    /// The name of the key that messages to the server are signed with (`keys`).
    pub key: Option<Name>,
    /// Whether nothing the server sends is heeded (`bogus`).
    pub bogus: bool,
    /// Whether messages to the server may have EDNS (`edns`).
    pub edns: Option<bool>,
    /// Whether the server is only asked over TCP (`tcp-only`).
    pub tcp_only: Option<bool>,
    /// Whether the server gets incremental transfers (`provide-ixfr`).
    pub provide_ixfr: Option<bool>,
    /// Whether updates of secondary zones are forwarded to the server (`forward-updates`).
    pub forward_updates: Option<bool>,
    /// How many records a message of a transfer to the server holds.
    pub transfer_format: Option<TransferFormat>,
    /// Whether the server is asked for the changes only (`request-ixfr`).
    pub request_ixfr: Option<bool>,
    /// Whether the server is asked when a zone expires (`request-expire`).
    pub request_expire: Option<bool>,
    /// How many transfers from the server may run at a time (`transfers`).
    pub transfers: Option<usize>,
    /// The address and port that the server is asked from (`transfer-source`).
    pub transfer_source: Option<SocketAddr>,
    /// The address and port that the server is notified from (`notify-source`).
    pub notify_source: Option<SocketAddr>,
}

impl Peers {
    /// The settings of servers, by prefix.
    pub fn new(mut peers: Vec<(Prefix, Peer)>) -> Peers {
        peers.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.length()));
        Peers(peers)
    }

    /// Whether all servers are alike.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The settings of the longest prefix that the address lies in.
    pub fn of(&self, address: IpAddr) -> Option<&Peer> {
        self.0.iter().find(|(prefix, _)| prefix.contains(address)).map(|(_, peer)| peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let peer = |provide_ixfr| Peer { provide_ixfr: Some(provide_ixfr), ..Peer::default() };
        let prefix = |text: &str, length| Prefix::new(text.parse().unwrap(), length);
        let peers = Peers::new(vec![(prefix("10.0.0.0", 8), peer(true)), (prefix("10.0.0.1", 32), peer(false))]);
        let of = |text: &str| peers.of(text.parse().unwrap()).and_then(|peer| peer.provide_ixfr);
        assert_eq!([of("10.0.0.1"), of("10.0.0.2"), of("192.0.2.1")], [Some(false), Some(true), None]);
    }
}
