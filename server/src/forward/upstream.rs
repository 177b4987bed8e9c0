//! The primaries to which a message of a client goes, and how each is asked.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::id_of;
use crate::{
    Opcode, Rcode,
    listen::Client,
    logs::ZoneLine,
    message::Message,
    settings::{Peer, Secondary, ViewSettings},
    transfer::inbound::{Connections, Patience, Primary, Reason},
    zones::Zone,
};

/// A message, who sent it, and the zone whose primaries are to have it.
pub(super) struct Upstream {
    pub(super) zone: Arc<Zone>,
    pub(super) secondary: Arc<Secondary>,
    pub(super) view: Arc<str>,
    pub(super) settings: Arc<ViewSettings>,
    pub(super) connections: Connections,
    pub(super) client: Client,
    pub(super) message: Vec<u8>,
}

/// Why a primary does not respond to a message.
pub(super) enum Failure {
    /// Nothing usable came from there.
    Reason(Reason),
    /// Its `server` statement says `bogus`.
    Bogus,
    /// Its `server` statement says `forward-updates no`.
    Excluded,
    /// The message comes from there.
    Sender,
}

/// How long a primary may take to accept a connection and the message.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a primary may take to respond.
const RESPOND: Duration = Duration::from_secs(12);

impl Upstream {
    /// The addresses of the primaries, in their order.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.secondary.primaries.iter().map(|remote| remote.address)
    }

    /// The zone as log lines name it.
    pub(super) fn zone_line(&self) -> ZoneLine<'_> {
        ZoneLine { origin: self.zone.origin.as_ref(), view: &self.view }
    }

    /// The primary at this address, if the message may go there.
    pub(super) fn towards(&self, address: SocketAddr) -> Result<Primary, Failure> {
        let peer = self.settings.peers.of(address.ip());
        if peer.is_some_and(|peer| peer.bogus) {
            return Err(Failure::Bogus);
        }
        if peer.is_some_and(|peer| peer.forward_updates == Some(false)) {
            return Err(Failure::Excluded);
        }
        if self.is_from(address.ip()) {
            return Err(Failure::Sender);
        }
        Ok(self.primary(address, peer))
    }

    /// The code in a message that a primary has sent, if it is a response to this one.
    pub(super) fn code_of(&self, response: &[u8]) -> Result<Rcode, Failure> {
        let read = Message::read(response).map_err(Reason::from)?;
        if id_of(response) != id_of(&self.message) {
            return Err(Reason::OtherId.into());
        }
        if !read.is_response() {
            return Err(Reason::NotAResponse.into());
        }
        let asked = Message::read(&self.message).map_or(Opcode::QUERY, |message| message.opcode());
        if read.opcode() != asked {
            return Err(Reason::OtherOpcode.into());
        }
        Ok(read.rcode())
    }

    /// How a primary is reached.
    fn primary(&self, address: SocketAddr, peer: Option<&Peer>) -> Primary {
        let inbound = &self.secondary.inbound;
        let mut source = inbound.source_towards(address, peer);
        // There may be several connections to the primary, which cannot have the same port.
        source.set_port(0);
        let patience = Patience { connect: CONNECT, answer: RESPOND, ..Patience::of(inbound) };
        let connections = self.connections.clone();
        Primary { address, source, key: None, edns: None, tcp_only: true, try_tcp: true, patience, connections }
    }

    /// Whether the message comes from this address, so that servers that are each other's primaries do not send it back
    /// and forth. Other servers of this host have the addresses that its clients have.
    fn is_from(&self, address: IpAddr) -> bool {
        let (from, to) = (self.client.addr.ip().to_canonical(), self.client.local.ip().to_canonical());
        from == address.to_canonical() && from != to
    }
}

impl<R: Into<Reason>> From<R> for Failure {
    fn from(reason: R) -> Failure {
        Failure::Reason(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Reason(reason) => reason.fmt(f),
            Failure::Bogus => f.write_str("its `server` statement says `bogus`"),
            Failure::Excluded => f.write_str("its `server` statement says `forward-updates no`"),
            Failure::Sender => f.write_str("the message comes from there; check `primaries` on both servers"),
        }
    }
}
