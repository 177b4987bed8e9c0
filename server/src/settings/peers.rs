//! The settings for single remote servers (`server`).

use std::net::IpAddr;

use super::TransferFormat;
use crate::access::Prefix;

/// What is special about some remote servers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peers(Vec<(Prefix, Peer)>);

/// What is special about a remote server; `None` is what holds for servers in general.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    /// Whether the server gets incremental transfers (`provide-ixfr`).
    pub provide_ixfr: Option<bool>,
    /// How many records a message of a transfer to the server holds.
    pub transfer_format: Option<TransferFormat>,
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
